"""What the words of ``ident-theory train`` mean: data, settings of an estimator, and a preset below both."""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.data import Dataset
    from ident_theory.estimators import Estimator
    from ident_theory.estimators.plan import Schedule

#: Files that hold observations, and models to draw them from.
ARRAYS, MODELS = (".npz", ".npy", ".csv", ".txt"), (".toml", ".json")


def pairs_of(words: Sequence[str] | None, option: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a mapping.

    Raises
    ------
    InputError
        For a word without ``=``, or a key that comes twice.
    """
    out: dict[str, str] = {}
    for word in words or ():
        key, sign, value = word.partition("=")
        key = key.strip().replace("-", "_")
        if not sign or not key:
            raise InputError(f"{option}: expected KEY=VALUE, found {word!r}")
        if key in out:
            raise InputError(f"{option}: expected {key} once, found it twice")
        out[key] = value.strip()
    return out


def estimator_of(name: str, settings: Mapping[str, Any]) -> Estimator:
    """An estimator from its name and settings, those that are texts read by the type of the setting.

    Raises
    ------
    InputError
        For an unknown name or setting, or a text that is none of what the setting takes.
    """
    from ident_theory.data.catalogue import from_text
    from ident_theory.estimators import estimator, estimator_class

    made = estimator_class(name)
    known = [field.name for field in fields(made)]
    unknown = [key for key in settings if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        raise InputError(f"{name}: expected settings among {', '.join(known)}, found {', '.join(unknown)}"
                         + (f"; did you mean {near[0]}?" if near else ""))
    hints = get_type_hints(made)
    read = {key: value if not isinstance(value, str) else
            schedule_of(value, f"{name}: {key}") if key == "schedule" else
            from_text(value, hints[key], f"{name}: {key}") for key, value in settings.items()}
    return estimator(name, **read)


def schedule_of(text: str, where: str) -> Schedule:
    """``constant``, ``cosine``, ``plateau``, ``plateau:PATIENCE`` or ``steps:FRACTION,FRACTION,...``.

    Raises
    ------
    InputError
        For anything else.
    """
    from ident_theory.estimators import Constant, Cosine, Plateau, Steps

    word, _, rest = text.partition(":")
    try:
        if word == "plateau":
            return Plateau(patience=int(rest)) if rest else Plateau()
        if word == "steps" and rest:
            at = tuple(float(part) for part in rest.split(","))
            if all(0 < part < 1 for part in at):
                return Steps(at)
        if not rest and word in ("constant", "cosine"):
            return Constant() if word == "constant" else Cosine()
    except ValueError:
        pass
    raise InputError(f"{where}: expected constant, cosine, plateau, plateau:PATIENCE or steps:FRACTION,FRACTION,... "
                     f"with fractions between 0 and 1, found {text!r}")


def data_of(source: str, settings: Mapping[str, Any], seed: int, data_dir: Path | None) -> Dataset:
    """The data set of a generator, a reader, a file of observations, or a model file.

    Parameters
    ----------
    source : str
        Name of a generator, or a file name.
    settings : mapping
        Of the generator or reader; texts are read by their types.
    seed : int
    data_dir : Path, optional
        Setting ``data_dir`` of readers.

    Raises
    ------
    InputError
        For an unknown name, a missing or unreadable file, settings that do not fit.
    """
    from numpy.random import default_rng

    from ident_theory.data import generate, generators
    from ident_theory.spec import load

    rng, options = default_rng(seed), dict(settings)
    known = generators()
    suffix = Path(source).suffix.lower()
    if source not in known and suffix not in (*ARRAYS, *MODELS):
        near = difflib.get_close_matches(source, known, 1)
        raise InputError(f"--data: expected one of {', '.join(known)}, or a file ending in "
                         f"{', '.join((*ARRAYS, *MODELS))}, found {source!r}"
                         + (f"; did you mean {near[0]}?" if near else ""))
    if data_dir is not None:
        if source not in known or "data_dir" not in known[source].settings:
            readers = [name for name, item in known.items() if "data_dir" in item.settings]
            raise InputError(f"--data-dir: belongs to --data {', '.join(readers)}, found --data {source}")
        options["data_dir"] = str(data_dir)
    if source in known:
        if source == "sampled" and isinstance(options.get("model"), str):
            options["model"] = load(options["model"])
        return generate(source, rng, **options)
    if suffix in MODELS:
        return generate("sampled", rng, model=load(source), **options)
    return _from_file(Path(source), rng, options)


def _from_file(file: Path, rng: Any, options: dict[str, Any]) -> Dataset:
    """Observations of a file: what `Dataset.save` wrote, arrays of one's own, or numbers alone."""
    import numpy as np

    from ident_theory.cli.data import read_data
    from ident_theory.data import Dataset, generate, load_dataset
    from ident_theory.data.storage import ABOUT

    if file.suffix.lower() == ".npz":
        if file.is_file() and not options:
            try:
                with file.open("rb") as stream:  # numpy itself leaves a damaged file open
                    is_ours = ABOUT in np.load(stream, allow_pickle=False).files
            except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile):
                is_ours = False  # the reader says what is wrong
            if is_ours:
                return load_dataset(file)
        return generate("npz", rng, data_dir=str(file), **options)
    if options:
        raise InputError(f"--data-set: expected none for {file}, whose numbers are taken as they are, found "
                         f"{', '.join(options)}")
    numbers = read_data(file)
    return Dataset(numbers[:, None] if numbers.ndim == 1 else numbers, name=file.name,
                   settings={"data_dir": str(file)})
