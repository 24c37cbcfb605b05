"""Data sets on disk: one npz file, written atomically."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError, StoreWriteError
from ident_theory.files import write_atomically
from ident_theory.models import (
    ConditionalPrior,
    DeclaredMap,
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
    UniformNoise,
)

#: Version of the layout written here.
LAYOUT = 1
#: Entry of the file with everything that is no array, and what the names of factors begin with.
ABOUT, FACTOR = "about", "factors."
_DECODERS = {"relu_network": ReLUNetwork, "piecewise_affine": PiecewiseAffineMap, "declared": DeclaredMap}
_NOISES = {"gaussian": GaussianNoise, "laplace": LaplaceNoise, "logistic": LogisticNoise, "student": StudentNoise,
           "uniform": UniformNoise, "fejer": FejerNoise}


def save_dataset(data: Dataset, path: str | Path) -> Path:
    """Write a data set; a kill at any moment leaves the old file or the new one, never a torn one.

    Parameters
    ----------
    data : Dataset
    path : str or Path
        Name ending in ``.npz``; its folder is made if it is missing.

    Returns
    -------
    Path
        The file: arrays ``x``, ``u``, ``z`` and ``factors.NAME``, and the text ``about`` (JSON) with name, settings,
        image shape and the model as exact numbers.

    Raises
    ------
    InputError
        For another ending.
    StoreWriteError
        When the file cannot be written; what was there stays.
    """
    file = Path(path)
    if file.suffix != ".npz":
        raise InputError(f"save: expected a file name ending in .npz, found {str(path)!r}")
    about = {"layout": LAYOUT, "name": data.name, "settings": data.settings, "image_shape": data.image_shape,
             "model": None if data.model is None else data.model.plain()}
    arrays = {"x": data.x, "u": data.u, "z": data.z, **{FACTOR + key: value for key, value in data.factors.items()}}
    text = json.dumps(about, default=_jsonable)
    try:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{ABOUT: np.array(text)},
                 **{key: value for key, value in arrays.items() if value is not None})
        write_atomically(file, buffer.getvalue())
    except OSError as error:
        raise StoreWriteError(f"save: {str(path)!r} could not be written ({error}); what was there before stays. "
                              "Free space or rights and save again") from error
    return file


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def load_dataset(path: str | Path) -> Dataset:
    """Read what `Dataset.save` wrote: the same arrays bit by bit and an equal model.

    Settings come back as numbers, texts, tuples and None; anything else is the text that was made of it.

    Raises
    ------
    InputError
        For a file that is missing, no npz, torn, or without what a data set needs; the message names it.
    """
    file, where = Path(path), f"data set {str(path)!r}"
    if not file.is_file():
        raise InputError(f"{where}: expected a file written by Dataset.save, found "
                         f"{'a folder' if file.is_dir() else 'nothing'}")
    try:
        with file.open("rb") as stream:
            stored = np.load(stream, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise InputError(f"{where}: expected an npz file written by Dataset.save, found something that does not read "
                         f"as one ({error}); use the reader ident_theory.data.npz for files of your own") from error
    missing = [name for name in ("x", ABOUT) if name not in arrays]
    if missing:
        raise InputError(f"{where}: expected the entries x and {ABOUT}, found no {' and no '.join(missing)} among "
                         f"{', '.join(arrays) or 'none'}; use the reader ident_theory.data.npz for files of your own")
    about = _about(arrays[ABOUT], where)
    model = None if about["model"] is None else _model(about["model"], where)
    return Dataset(arrays["x"], u=arrays.get("u"), z=arrays.get("z"), model=model, name=str(about["name"]),
                   image_shape=None if about["image_shape"] is None else tuple(about["image_shape"]),
                   factors={key.removeprefix(FACTOR): value for key, value in arrays.items()
                            if key.startswith(FACTOR)},
                   settings=_tuples(about["settings"]))


def _about(entry: np.ndarray, where: str) -> dict[str, Any]:
    try:
        about = json.loads(str(entry))
        layout = about["layout"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{where}: {ABOUT}: expected a JSON object with a layout, found "
                         f"{str(entry)[:60]!r}") from error
    if layout != LAYOUT:
        raise InputError(f"{where}: {ABOUT}: expected layout {LAYOUT}, found {layout!r}; "
                         "it comes from another version of ident_theory")
    absent = {"name", "settings", "image_shape", "model"} - about.keys()
    if absent:
        raise InputError(f"{where}: {ABOUT}: expected the key {min(absent)}, found none")
    return about


def _tuples(value: Any) -> Any:
    """JSON has lists where settings have tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _model(tree: Any, where: str) -> Model:
    """The model that `Model.plain` described."""
    try:
        prior_tree, noise_tree = dict(tree["prior"]), tree.get("noise")
        kind = ConditionalPrior if "natural_parameters" in prior_tree else GaussianMixture
        decoder_tree = dict(tree["decoder"])
        decoder = _DECODERS[decoder_tree.pop("type")](**decoder_tree)
        noise = None if noise_tree is None else _NOISES[noise_tree["type"]](
            **{key: value for key, value in noise_tree.items() if key != "type"})
        return Model(kind(**prior_tree), decoder, noise)
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{where}: {ABOUT}: expected the description of a model, found one that is none "
                         f"({error})") from error
