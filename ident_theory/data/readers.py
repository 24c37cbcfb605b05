"""Readers for image files that a user has: IDX, CIFAR-10, SVHN and npz."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ident_theory.data.arguments import choice, number
from ident_theory.data.dataset import Dataset
from ident_theory.data.idx_format import read_idx
from ident_theory.data.pickles import PickledArray, read_plain_pickle
from ident_theory.data.subsets import Subset
from ident_theory.errors import InputError

Labels = Literal["conditions", "factors"]
#: Names of IDX files, as MNIST, FashionMNIST and EMNIST have them.
IDX_NAME = re.compile(r"(?:emnist-(?P<emnist>[a-z]+)-)?(?P<part>train|t10k|test)-(?P<what>images|labels)"
                      r"[-.]idx[13]-ubyte(?P<packed>\.gz)?")
#: Bytes of a picture of CIFAR-10, and of its record in the binary version.
CIFAR_PICTURE = 3 * 32 * 32
CIFAR_RECORD = CIFAR_PICTURE + 1


def idx(rng: np.random.Generator, *, data_dir: str | Path, split: Literal["train", "test"] = "train",
        emnist: str | None = None, size: int | None = None, fraction: float | None = None,
        classes: tuple[int, ...] | None = None, labels: Labels = "conditions") -> Dataset:
    """MNIST, FashionMNIST, EMNIST and others in IDX files, plain or .gz, in [0, 1].

    The files are ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, ``t10k-...`` or ``test-...`` for the
    test part, with ``emnist-digits-`` or the like in front for EMNIST, whose pictures are stored with rows and columns
    exchanged and are turned back.

    Parameters
    ----------
    rng : numpy.random.Generator
        For the choice of rows, where `size` or `fraction` is given.
    data_dir : str or Path
        The folder; its subfolders ``raw`` and ``gzip`` are looked into as well.
    split : str
        ``train`` or ``test``.
    emnist : str, optional
        Which part of EMNIST: ``digits``, ``letters``, ``balanced``, ``byclass``, ``bymerge`` or ``mnist``. Needed
        where the folder holds several.
    size : int, optional
        Number of images, drawn without replacement; by default all, in their order.
    fraction : float, optional
        Share of the images instead.
    classes : tuple of int, optional
        Labels to keep, whose positions in this tuple become the conditions; by default all that occur, in ascending
        order (EMNIST's letters are numbered from 1).
    labels : str
        ``conditions`` (u is the renumbered label) or ``factors`` (no u). ``factors["label"]`` is the label in the
        file either way.

    Raises
    ------
    InputError
        For missing, unreadable, truncated or other files, labels that are not as many as the pictures, and other
        arguments.

    References
    ----------
    LeCun et al. 1998; Xiao, Rasul and Vollgraf 2017 (FashionMNIST); Cohen, Afshar, Tapson and van Schaik 2017 (EMNIST).
    """
    subset = Subset("idx", size, fraction, classes, labels)
    choice(split, "idx: split", ("train", "test"))
    folder = _folder(data_dir)
    found: dict[tuple[str | None, str], Path] = {}
    for file in (file for place in (folder, *_inner(folder)) for file in _files(place)):
        name = IDX_NAME.fullmatch(file.name)
        if name and (name["part"] == "train") == (split == "train") and emnist in (None, name["emnist"]):
            found.setdefault((name["emnist"], name["what"]), file)  # plain comes before .gz
    kinds = sorted({kind or "MNIST" for kind, _ in found})
    if len(kinds) > 1:
        raise InputError(f"{folder}: expected the files of one data set, found those of {', '.join(kinds)}; say which "
                         "with emnist=, or keep them in different folders")
    kind = next((kind for kind, _ in found), emnist)
    images, values = (read_idx(_need(found.get((kind, what)), folder, f"{'' if kind is None else f'emnist-{kind}-'}"
                                     f"{split if kind or split == 'train' else 't10k'}-{what}-idx{axes}-ubyte[.gz]"))
                      for what, axes in (("images", 3), ("labels", 1)))
    if images.ndim != 3 or images.dtype != np.uint8:
        raise InputError(f"{found[kind, 'images']}: expected bytes of shape (images, rows, columns), found "
                         f"{images.dtype} of shape {images.shape}")
    if kind is not None:
        images = images.transpose(0, 2, 1)
    values = _labels(values, len(images), found[kind, "labels"])
    return subset.dataset(images[:, None], values, rng, scale=255.0, settings={
        "data_dir": str(data_dir), "split": split, "emnist": kind})


def cifar10(rng: np.random.Generator, *, data_dir: str | Path, split: Literal["train", "test"] = "train",
            size: int | None = None, fraction: float | None = None, classes: tuple[int, ...] | None = None,
            labels: Labels = "conditions") -> Dataset:
    """CIFAR-10, pictures of 3 x 32 x 32 in [0, 1], from its Python or its binary version.

    The files are ``data_batch_1`` to ``data_batch_5`` and ``test_batch``, which are pickles, or the same with
    ``.bin``. The pickles are read without running anything they name: plain values and arrays of bytes, nothing else.

    Parameters
    ----------
    data_dir : str or Path
        The folder with the files, or the one with ``cifar-10-batches-py`` or ``cifar-10-batches-bin`` in it.
    rng, split, size, fraction, classes, labels
        As in `idx`.

    Raises
    ------
    InputError
        For missing, unreadable, truncated or other files, a pickle that names anything but arrays, labels that are
        not as many as the pictures, and other arguments.

    References
    ----------
    Krizhevsky 2009, Learning multiple layers of features from tiny images, section 3.1.
    """
    subset = Subset("cifar10", size, fraction, classes, labels)
    choice(split, "cifar10: split", ("train", "test"))
    folder = _folder(data_dir)
    names = [f"data_batch_{k}" for k in range(1, 6)] if split == "train" else ["test_batch"]
    places = [folder, folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin"]
    versions = [(place, ending) for place in places for ending in ("", ".bin")
                if any((place / f"{name}{ending}").is_file() for name in names)]
    place, ending = versions[0] if versions else (folder, "")
    batches = []
    for name in names:
        file = place / f"{name}{ending}"
        _need(file if file.is_file() else None, place, f"{name}{ending}" if versions else f"{name} or {name}.bin")
        batches.append((_binary_batch if ending else _pickled_batch)(file))
    images = np.concatenate([images for images, _ in batches]).reshape(-1, 3, 32, 32)
    return subset.dataset(images, np.concatenate([values for _, values in batches]), rng, scale=255.0, settings={
        "data_dir": str(data_dir), "split": split})


def svhn(rng: np.random.Generator, *, data_dir: str | Path, split: Literal["train", "test", "extra"] = "train",
         size: int | None = None, fraction: float | None = None, classes: tuple[int, ...] | None = None,
         labels: Labels = "conditions") -> Dataset:
    """The cropped digits of SVHN, pictures of 3 x 32 x 32 in [0, 1], from ``train_32x32.mat`` and its like.

    The files number the digit 0 as 10; here its label is 0.

    Parameters
    ----------
    data_dir : str or Path
        The folder with the file.
    split : str
        ``train``, ``test`` or ``extra``.
    rng, size, fraction, classes, labels
        As in `idx`.

    Raises
    ------
    InputError
        For a missing, unreadable, truncated or other file, labels that are not as many as the pictures, and other
        arguments.

    References
    ----------
    Netzer, Wang, Coates, Bissacco, Wu and Ng 2011, Reading digits in natural images with unsupervised feature learning.
    """
    from scipy.io import loadmat  # half a second to import

    subset = Subset("svhn", size, fraction, classes, labels)
    choice(split, "svhn: split", ("train", "test", "extra"))
    folder = _folder(data_dir)
    name = f"{split}_32x32.mat"
    file = _need(folder / name if (folder / name).is_file() else None, folder, name)
    try:
        held = loadmat(file, variable_names=("X", "y"), appendmat=False)
    except Exception as error:  # scipy's reader fails in many ways on damaged files
        raise InputError(f"{file}: expected a MATLAB file up to version 7.2, found: {type(error).__name__}: {error}; "
                         "it may be truncated, get it again") from error
    for key in ("X", "y"):
        if key not in held:
            raise InputError(f"{file}: expected the arrays X and y, found no {key}")
    images = held["X"]
    if images.ndim == 3:  # MATLAB drops the last axis of a single picture
        images = images[..., None]
    if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3):
        raise InputError(f"{file}: X: expected bytes of shape (32, 32, 3, images), found {images.dtype} of shape "
                         f"{held['X'].shape}")
    values = _labels(held["y"].reshape(-1), images.shape[3], file, 1, 10) % 10
    return subset.dataset(images.transpose(3, 2, 0, 1), values, rng, scale=255.0, settings={
        "data_dir": str(data_dir), "split": split})


def npz(rng: np.random.Generator, *, data_dir: str | Path, x: str = "x", u: str = "u", z: str = "z",
        factors: tuple[str, ...] | None = None, scale: float | None = None,
        channels: Literal["first", "last"] = "first", size: int | None = None, fraction: float | None = None,
        classes: tuple[int, ...] | None = None, labels: Labels = "conditions") -> Dataset:
    """Arrays of an npz file of numpy: observations, and what there is of conditions, latents and factors.

    What `save_dataset` wrote is read whole by `load_dataset`. For dSprites:
    ``npz(rng, data_dir="dsprites.npz", x="imgs", z="latents_values", scale=1.0, size=50_000)``.

    Parameters
    ----------
    data_dir : str or Path
        The file, or a folder with one npz file in it.
    x : str
        Name of the observations: shape (N, n), or pictures of shape (N, H, W), (N, C, H, W) or (N, H, W, C).
    u, z : str
        Names of the labels, whole numbers of shape (N,), and of the latents of shape (N, d) or (N,). The arrays under
        the default names may be missing.
    factors : tuple of str, optional
        Names of further arrays, of N rows each; by default all that can be read without pickle and have N rows.
    scale : float, optional
        Divisor of x; by default 255 for bytes and 1 for other numbers.
    channels : str
        Which axis of four the channels are: ``first`` (N, C, H, W) or ``last``.
    rng, size, fraction, classes, labels
        As in `idx`.

    Raises
    ------
    InputError
        For a missing, unreadable, truncated or other file, arrays of objects (which need pickle and could run code),
        missing arrays, other shapes, labels that are no whole numbers, and other arguments.
    """
    subset = Subset("npz", size, fraction, classes, labels)
    choice(channels, "npz: channels", ("first", "last"))
    divisor = None if scale is None else number(scale, "npz: scale", 0, above=True)
    file = _npz_file(Path(data_dir))
    held = _npz_arrays(file, [x, *(name for name, default in ((u, "u"), (z, "z")) if name != default),
                              *(factors or ())], None if factors is None else {x, u, z, *factors})
    pictures = _pictures(held[x], file, x, channels)
    rows = len(pictures)
    values = _labels(held[u], rows, file) if u in held else None
    latents = held.get(z)
    if latents is not None and (latents.dtype.kind not in "uif" or latents.ndim not in (1, 2) or len(latents) != rows):
        raise InputError(f"{file}: {z}: expected {rows} rows of numbers, found {latents.dtype} of shape "
                         f"{latents.shape}")
    others = {name: array for name, array in held.items() if name not in (x, u, z)}
    for name in factors or ():
        if others[name].shape[:1] != (rows,):
            raise InputError(f"{file}: {name}: expected {rows} rows, found an array of shape {others[name].shape}")
    return subset.dataset(
        pictures, values, rng, name=file.name, scale=divisor or (255.0 if pictures.dtype == np.uint8 else 1.0),
        factors={name: array for name, array in others.items() if array.shape[:1] == (rows,)},
        z=None if latents is None else latents.reshape(rows, -1),
        settings={"data_dir": str(data_dir), "x": x, "u": u, "z": z, "channels": channels, "scale": divisor})


def _folder(data_dir: str | Path) -> Path:
    folder = Path(data_dir)
    if not folder.is_dir():
        raise InputError(f"data_dir: expected a folder, found {'a file' if folder.exists() else 'nothing'} at {folder}")
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def _inner(folder: Path) -> tuple[Path, Path]:
    """Where torchvision and the archive of EMNIST put IDX files."""
    return folder / "raw", folder / "gzip"


def _need(file: Path | None, folder: Path, name: str) -> Path:
    if file is None:
        names = [file.name for place in (folder, *_inner(folder)) for file in _files(place)]
        others = f"only {', '.join(names[:6])}{' and others' * (len(names) > 6)}" if names else "no files"
        raise InputError(f"{folder}: expected the file {name}, found {others}; data_dir is the folder that holds it")
    return file


def _labels(values: np.ndarray, rows: int, file: Path, low: int | None = None, high: int | None = None) -> np.ndarray:
    """Labels as int64, one for each of `rows` pictures, between `low` and `high`."""
    if values.shape != (rows,) or rows == 0:
        raise InputError(f"{file}: expected a label for each of {rows or 'some'} pictures, found an array of shape "
                         f"{values.shape}; pictures and labels must come from the same part")
    whole = values.dtype.kind in "uib" or (values.dtype.kind == "f" and np.array_equal(values, np.floor(values))
                                           and bool(np.abs(values).max() < 2**53))
    if not whole:
        raise InputError(f"{file}: expected whole numbers as labels, found an array of {values.dtype}")
    numbers = values.astype(np.int64)
    if low is not None and high is not None and not (low <= numbers.min() and numbers.max() <= high):
        wrong = numbers[(numbers < low) | (numbers > high)][0]
        raise InputError(f"{file}: expected labels from {low} to {high}, found {wrong}; this is another file")
    return numbers


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: expected a readable file, found: {error.strerror}") from error


def _binary_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    data = _bytes(file)
    if not data or len(data) % CIFAR_RECORD:
        raise InputError(f"{file}: expected records of {CIFAR_RECORD} bytes, found {len(data)} bytes; it is truncated "
                         "or another file, get the binary version of CIFAR-10 again")
    records = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD)
    return records[:, 1:], _labels(records[:, 0], len(records), file, 0, 9)


def _pickled_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    what = "a batch of the Python version of CIFAR-10"
    try:
        held = read_plain_pickle(_bytes(file))
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: expected {what}, found a pickle that was refused: {error}; get it again") from error
    if not isinstance(held, dict):
        raise InputError(f"{file}: expected {what}, a dictionary, found {type(held).__name__}")
    named = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in held.items()}
    data, values = named.get("data"), named.get("labels")
    if not isinstance(data, PickledArray) or not isinstance(values, list):
        keys = ", ".join(sorted(map(str, named)))
        raise InputError(f"{file}: expected {what}, with an array 'data' and a list 'labels', found the keys {keys}")
    try:
        images = data.array()
    except pickle.UnpicklingError as error:
        raise InputError(f"{file}: data: expected bytes of shape (pictures, {CIFAR_PICTURE}), found {error}") from error
    if images.ndim != 2 or images.shape[1] != CIFAR_PICTURE:
        raise InputError(f"{file}: data: expected bytes of shape (pictures, {CIFAR_PICTURE}), found the shape "
                         f"{images.shape}")
    if not all(type(value) is int and 0 <= value <= 9 for value in values):
        raise InputError(f"{file}: labels: expected whole numbers from 0 to 9")
    return images, _labels(np.array(values, dtype=np.int64), len(images), file)


def _npz_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = [file for file in _files(path) if file.suffix == ".npz"]
    if len(files) != 1:
        raise InputError(f"{path}: expected one npz file in this folder, found "
                         f"{', '.join(file.name for file in files) or 'none'}; give the file itself")
    return files[0]


def _npz_arrays(file: Path, needed: Iterable[str], wanted: set[str] | None) -> dict[str, np.ndarray]:
    """The arrays of a file, those that are `needed` and others that can be read without pickle."""
    held: dict[str, np.ndarray] = {}
    needed = list(needed)
    try:
        with file.open("rb") as stream:  # numpy itself leaves a damaged file open
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise InputError(f"{file}: expected an npz file, found one array; save it with "
                                 "numpy.savez(file, x=...)")
            missing = [name for name in needed if name not in archive.files]
            if missing:
                raise InputError(f"{file}: expected an array {missing[0]!r}, found "
                                 f"{', '.join(archive.files) or 'none'}")
            for name in archive.files:
                if wanted is None or name in wanted:
                    array = _npz_array(archive, name)
                    if array is None and (name in needed or name in ("u", "z")):
                        raise InputError(f"{file}: {name}: expected an array of numbers, found one of objects, which "
                                         "could run code; save it as numbers")
                    if array is not None:
                        held[name] = array
    except InputError:
        raise
    except Exception as error:  # damaged archives fail in zipfile, zlib or numpy
        raise InputError(f"{file}: expected a readable npz file of numpy, found: {type(error).__name__}: {error}"
                         ) from error
    return held


def _npz_array(archive: Any, name: str) -> np.ndarray | None:
    """One array of an archive; None where it holds objects."""
    try:
        return archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            return None
        raise


def _pictures(array: np.ndarray, file: Path, name: str, channels: str) -> np.ndarray:
    """Observations with axes (N, n) or (N, C, H, W)."""
    if array.dtype.kind not in "uifb" or array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise InputError(f"{file}: {name}: expected numbers of shape (N, n), (N, H, W), (N, C, H, W) or (N, H, W, C), "
                         f"found {array.dtype} of shape {array.shape}")
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4 and channels == "last":
        return array.transpose(0, 3, 1, 2)
    if array.ndim == 4 and array.shape[1] > 4 >= array.shape[3]:
        raise InputError(f"{file}: {name}: expected channels first, found the shape {array.shape}; use channels='last'")
    return array
