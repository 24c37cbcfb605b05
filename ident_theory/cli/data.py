"""Reading observations from files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ident_theory.errors import InputError
from ident_theory.models.value import FloatArray

SUFFIXES = (".npy", ".npz", ".csv", ".txt")


def read_data(path: Path) -> FloatArray:
    """Observations, one a row: ``.npy``, ``.npz`` with one array, ``.csv`` (header line allowed), ``.txt``.

    Raises
    ------
    InputError
        When the file is missing, of another kind, or holds something else than numbers.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"data: expected a file name ending in {', '.join(SUFFIXES)}, got {str(path)!r}")
    if not path.is_file():
        raise InputError(f"data: expected a file, {str(path)!r} is {'a folder' if path.is_dir() else 'missing'}")
    try:
        binary = suffix in (".npy", ".npz")
        array = _read_numpy(path) if binary else _read_text(path, "," if suffix == ".csv" else None)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"data: {str(path)!r} cannot be read as numbers ({error})") from None
    if array.size == 0:
        raise InputError(f"data: expected at least one observation, {str(path)!r} is empty")
    return array


def _read_numpy(path: Path) -> FloatArray:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = list(loaded.files)
        if len(names) != 1:
            raise InputError(f"data: expected one array in {str(path)!r}, got {len(names)}: {', '.join(names)}")
        array: FloatArray = loaded[names[0]]
        return array


def _read_text(path: Path, delimiter: str | None) -> FloatArray:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.split("#")[0].strip()]
    if lines and not _numeric(lines[0], delimiter):
        lines = lines[1:]
    if not lines:
        return np.empty((0, 1))
    return np.loadtxt(lines, delimiter=delimiter, ndmin=2)


def _numeric(line: str, delimiter: str | None) -> bool:
    try:
        [float(part) for part in line.split("#")[0].split(delimiter)]
    except ValueError:
        return False
    return True
