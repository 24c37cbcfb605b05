"""A store of tiled results: one zarr group that many processes fill and a kill cannot spoil.

The rows of every array (its first axis) are divided into tiles. A tile is written whole, by one process, and its flag
in the array ``done`` follows after its data. Promised: a process killed at any moment leaves every flagged tile whole
and every other tile open. Data are flushed to the disk before the flag is written, so this also holds for a power cut
as far as disk and file system keep their promises; an open tile may then hold an unreadable chunk until it is written
again, which is why `TileStore.read` looks at flagged tiles only. A kill may leave ``*.partial`` files beside chunks
and hidden ``.name.*.new`` folders beside the store: nothing reads them, and they can be deleted.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from ident_theory.errors import InputError, StoreMismatchError, StoreWriteError
from ident_theory.landscape.results import spec_hash
from ident_theory.landscape.store import package_versions

#: Version of the layout written here.
LAYOUT = 1
_KIND = "ident_theory tile store"

#: Untiled arrays: name -> (dims, array); one-dimensional ones named like their dimension are coordinates.
Constants = Mapping[str, tuple[tuple[str, ...], np.ndarray]]


@dataclass(frozen=True)
class Layout:
    """One tiled array as xarray will show it: axis 0 is tiled, `fill` stands in tiles not written yet.

    `chunk` splits the axes after the first; by default they are not split.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    fill: float | int = math.nan
    attributes: dict[str, Any] = field(default_factory=dict)
    chunk: tuple[int, ...] | None = None


class TileStore:
    """Tiled results on the local file system; made by `create`, `open` or `open_or_create`.

    Attributes
    ----------
    spec, spec_hash
        The settings that the values belong to, as JSON, and its SHA-256.
    versions, numerics
        Package versions and numeric policy of the process that made the store.
    notes
        What a user should know: other package versions here, another numeric policy.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.spec: dict[str, Any] = header["spec"]
        self.spec_hash: str = header["spec_hash"]
        self.versions: dict[str, str] = header["versions"]
        self.numerics: dict[str, Any] = header["numerics"]
        self.names = tuple(header["tiled"])
        self.rows, self.rows_per_tile = int(header["rows"]), int(header["rows_per_tile"])
        self.n_tiles = math.ceil(self.rows / self.rows_per_tile)
        self.notes = _changes(self.versions, _versions())
        self._group: Any = zarr.open_group(LocalStore(path), mode="r+", zarr_format=3)

    @classmethod
    def create(cls, path: str | Path, spec: dict[str, Any], constants: Constants, layouts: Sequence[Layout],
               rows: int, rows_per_tile: int, numerics: dict[str, Any] | None = None) -> TileStore:
        """Make a store with all tiles open; it appears complete or not at all.

        Parameters
        ----------
        path : str or Path
            A folder that does not exist yet, or is empty.
        spec, numerics : dict
            All settings that the values depend on; numeric policy (precision, threads and the like), for the record.
        rows, rows_per_tile : int
            Length of axis 0 of every layout, and of the part of it that is one tile.
        """
        folder = Path(path).absolute()
        if not _build(folder, spec, constants, layouts, rows, rows_per_tile, numerics):
            raise InputError(f"tile store: expected a new or empty folder, {str(folder)!r} is in use; open it, "
                             "or choose another place")
        return cls.open(folder)

    @classmethod
    def open(cls, path: str | Path) -> TileStore:
        """Open an existing store; InputError when there is none, or one of another layout."""
        folder = Path(path).absolute()
        header = _header(folder)
        try:
            if header["layout"] != LAYOUT:
                raise ValueError(f"layout {header['layout']}, this version of ident_theory reads {LAYOUT}")
            if header["spec_hash"] != spec_hash(header["spec"]):
                raise ValueError("the settings do not agree with their checksum")
            return cls(folder, header)
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            raise InputError(f"tile store: cannot read the one at {str(folder)!r} ({type(error).__name__}: {error}); "
                             "use the version that wrote it, or start afresh") from error

    @classmethod
    def open_or_create(cls, path: str | Path, spec: dict[str, Any],
                       make: Callable[[], tuple[Constants, Sequence[Layout], int, int]],
                       resume: bool = True, numerics: dict[str, Any] | None = None) -> TileStore:
        """Open the store of these settings, or make it; several processes may do so at the same moment.

        `make` gives constants, layouts, rows and rows_per_tile; it is called only when the store has to be made.
        ``resume=False`` removes a tile store that is there (and nothing else than one) and starts afresh; it is for
        one process alone, never for shards that share a store. StoreMismatchError when the store there has other
        settings; it names every field that differs.
        """
        folder = Path(path).absolute()
        if not resume and _in_use(folder):
            _header(folder)  # refuses whatever is no tile store
            with _writing(str(folder), first=True):
                _remove(folder)
        if not _in_use(folder):
            _build(folder, spec, *make(), numerics)  # who loses the race opens what the winner made
        store, asked = cls.open(folder), _as_json("spec", spec)
        if store.spec_hash != spec_hash(asked):
            raise StoreMismatchError(
                f"{folder}: holds results of other settings ({'; '.join(_differences(store.spec, asked))}); "
                "choose another place, or start afresh without resuming, which removes them")
        store.notes += _changes(store.numerics, _as_json("numerics", numerics or {}))
        return store

    @property
    def done(self) -> np.ndarray:
        """Which tiles are complete, read anew at every call."""
        return np.asarray(self._group["done"][:], dtype=bool)

    def rows_of(self, tile: int) -> slice:
        """The rows that a tile holds."""
        if not 0 <= tile < self.n_tiles:
            raise InputError(f"tile: expected 0 to {self.n_tiles - 1}, got {tile}")
        return slice(tile * self.rows_per_tile, min((tile + 1) * self.rows_per_tile, self.rows))

    def open_tiles(self, shard: tuple[int, int] | None = None) -> list[int]:
        """The tiles still to be written; of shard (i, n) those with ``tile % n == i``."""
        part, parts = shard or (0, 1)
        if not 0 <= part < parts:
            raise InputError(f"shard: expected (i, n) with 0 <= i < n, got {shard}")
        return [tile for tile in np.flatnonzero(~self.done).tolist() if tile % parts == part]

    def write_tile(self, tile: int, values: Mapping[str, np.ndarray],
                   extra: Mapping[str, np.ndarray] | None = None) -> None:
        """Write one tile whole and flag it as done; a failure leaves it open and the others as they were.

        `values` holds the tile's rows of every tiled array; `extra` arrays of any shape that belong to the tile and
        replace those stored before. StoreWriteError when the disk is full, or the store was removed or replaced.
        """
        rows = self.rows_of(tile)
        arrays = self._checked(rows, values)
        extras = {name: _checked(name, value) for name, value in (extra or {}).items()}
        with _writing(f"{self.path}: tile {tile}"):
            if _header(self.path, missing_ok=True).get("spec_hash") != self.spec_hash:
                raise OSError(errno.ESTALE, "the store was removed or replaced since it was opened")
            self._flag(tile, False)  # a tile written anew must not look complete halfway
            for name, value in arrays.items():
                self._group[name][rows] = value
            self._write_extra(self.path / "extra" / str(tile), extras)
            _flush(*(self.path / name / "c" / str(tile) for name in self.names))
            self._flag(tile, True)

    def _flag(self, tile: int, value: bool) -> None:
        self._group["done"][tile] = value
        _flush(self.path / "done" / "c" / str(tile))

    def _checked(self, rows: slice, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if set(values) != set(self.names):
            raise InputError(f"tile: expected the arrays {sorted(self.names)}, got {sorted(values)}")
        arrays = {name: np.asarray(value) for name, value in values.items()}
        for name, value in arrays.items():
            shape, dtype = (rows.stop - rows.start, *self._group[name].shape[1:]), self._group[name].dtype
            if value.shape != shape or not np.can_cast(value.dtype, dtype, "same_kind"):
                raise InputError(f"tile: expected {name!r} for rows {rows.start} to {rows.stop - 1} of shape {shape} "
                                 f"and type {dtype}, got {value.shape} and {value.dtype}")
        return arrays

    @staticmethod
    def _write_extra(place: Path, extra: Mapping[str, np.ndarray]) -> None:
        """Build the folder beside its place, then put it there whole."""
        if not extra:
            return _remove(place)
        with _beside(place) as new:
            group = zarr.create_group(LocalStore(new))
            for name, value in extra.items():
                group.create_array(name, data=value, chunks=_whole(value.shape))
            _flush(new)
            while not _put(new, place):
                _remove(place)

    def read(self, name: str) -> np.ndarray:
        """A tiled array; the rows of open tiles are fill, even if some of them are on disk."""
        array = self._array(name, self.names)
        result = np.full(array.shape, array.fill_value, array.dtype)
        for whole, run in groupby(range(self.n_tiles), key=self.done.tolist().__getitem__):
            if whole:
                tiles = list(run)
                rows = slice(self.rows_of(tiles[0]).start, self.rows_of(tiles[-1]).stop)
                result[rows] = array[rows]
        return result

    def read_extra(self, tile: int) -> dict[str, np.ndarray]:
        """The arrays of any shape that were stored with a tile; none for an open tile."""
        if not self.done[tile] or not (self.path / "extra" / str(tile)).exists():
            return {}
        return {name: np.asarray(array[...]) for name, array in sorted(self._group[f"extra/{tile}"].arrays())}

    def constant(self, name: str) -> np.ndarray:
        """An untiled array."""
        return np.asarray(self._array(name, sorted({*self._group.array_keys()} - {*self.names, "done"}))[...])

    def _array(self, name: str, known: Sequence[str]) -> Any:
        if name not in known:
            raise InputError(f"{self.path}: expected one of {', '.join(known)}; got {name!r}")
        return self._group[name]


def _build(folder: Path, spec: dict[str, Any], constants: Constants, layouts: Sequence[Layout], rows: int,
           rows_per_tile: int, numerics: dict[str, Any] | None) -> bool:
    """Make the store beside its place and put it there; False when something is there already."""
    names = [*constants, *(item.name for item in layouts), "done", "extra"]
    if len(set(names)) != len(names):
        raise InputError(f"tile store: expected names that differ from each other, got {', '.join(names)}")
    if rows < 1 or rows_per_tile < 1 or any(item.shape[:1] != (rows,) for item in layouts):
        raise InputError("tile store: expected at least one row, one row a tile, and layouts with that many rows, got "
                         f"{rows}, {rows_per_tile} and {[(item.name, item.shape) for item in layouts]}")
    header: dict[str, Any] = {
        "kind": _KIND, "layout": LAYOUT, "spec": _as_json("spec", spec), "versions": _versions(),
        "rows": rows, "rows_per_tile": rows_per_tile, "numerics": _as_json("numerics", numerics or {}),
        "tiled": [item.name for item in layouts]}
    header["spec_hash"] = spec_hash(header["spec"])
    with _writing(str(folder), first=True):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _beside(folder) as new:
            group = zarr.create_group(LocalStore(new))
            for name, (dims, value) in constants.items():
                _add(group, name, data=_checked(name, value), chunks=_whole(np.shape(value)), dimension_names=dims)
            for item in layouts:
                _checked(item.name, np.empty(0, item.dtype))
                _add(group, item.name, shape=item.shape, dtype=item.dtype, fill_value=item.fill,
                     chunks=(rows_per_tile, *(item.chunk or _whole(item.shape[1:]))),
                     dimension_names=item.dims, attributes=item.attributes)
            _add(group, "done", shape=(math.ceil(rows / rows_per_tile),), chunks=(1,), dtype="bool", fill_value=False,
                 dimension_names=("tile",))
            group.create_group("extra")
            group.update_attributes(header)  # last, so that half a store is no store
            _flush(new)
            return _put(new, folder)


def _add(group: zarr.Group, name: str, **options: Any) -> None:
    try:
        group.create_array(name, **options)
    except (ValueError, TypeError) as error:
        raise InputError(f"tile store: cannot make the array {name!r}: {error}") from error


def _checked(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or name[:1] in ("", ".", "_") or "/" in name:
        raise InputError("tile store: expected numbers or booleans, under a name without / that begins with a letter; "
                         f"got {array.dtype} under {name!r}. Texts belong in the spec or the attributes")
    return array


def _whole(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(1, length) for length in shape)


def _versions() -> dict[str, str]:
    found = package_versions()
    for name in ("zarr", "torch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _header(folder: Path, missing_ok: bool = False) -> dict[str, Any]:
    """What a tile store says of itself."""
    try:
        header = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        if header["kind"] != _KIND:
            raise ValueError(f"its kind is {header['kind']!r}")
        return dict(header)
    except (OSError, ValueError, LookupError, TypeError) as error:
        if missing_ok:
            return {}
        raise InputError(f"tile store: expected one at {str(folder)!r}, found none ({type(error).__name__}: {error}); "
                         "choose another place") from None


def _as_json(what: str, value: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(value, sort_keys=True, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise InputError(f"tile store: expected {what} that can be written as JSON: {error}") from None


def _differences(stored: Any, asked: Any, path: str = "") -> Iterator[str]:
    """Every leaf that differs, by its path; 1 and 1.0 differ, as their checksums do."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in sorted({*stored, *asked}):
            here = f"{path}.{key}" if path else key
            yield from _differences(stored.get(key, "<nothing>"), asked.get(key, "<nothing>"), here)
    elif isinstance(stored, list) and isinstance(asked, list):
        if len(stored) != len(asked):
            yield f"{path}: {len(stored)} entries there, {len(asked)} asked for"
        for index, (old, new) in enumerate(zip(stored, asked, strict=False)):
            yield from _differences(old, new, f"{path}[{index}]")
    elif (old := json.dumps(stored)) != (new := json.dumps(asked)):
        yield f"{path}: {old} there, {new} asked for"


def _changes(stored: dict[str, Any], here: dict[str, Any]) -> tuple[str, ...]:
    """A note for every entry that differs."""
    return tuple(f"the store was made with {name} {stored.get(name, 'absent')}, here it is {here.get(name, 'absent')}: "
                 "old and new tiles may differ in the last digits"
                 for name in sorted({*stored, *here}) if stored.get(name) != here.get(name))


@contextmanager
def _writing(what: str, first: bool = False) -> Iterator[None]:
    """A failed write, or at first, unless the disk is full, a wrong place."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if first and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise InputError(f"tile store: expected a folder that can be made and written, {what!r} cannot ({why}); "
                             "choose another place") from error
        raise StoreWriteError(f"{what} could not be written ({why}); everything stored before stays usable: "
                              "free space or rights and run again") from error


def _in_use(folder: Path) -> bool:
    """Whether anything but an empty folder is there."""
    with _writing(str(folder), first=True):
        return any(folder.iterdir()) if folder.is_dir() else os.path.lexists(folder)


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Name of a new folder on the same file system; what is left under it goes away at the end."""
    new = place.with_name(f".{place.name}.{uuid.uuid4().hex}.new")
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _put(new: Path, place: Path) -> bool:
    """Rename a folder to its place, where only an empty folder gives way; False when the place is taken."""
    try:
        os.rename(new, place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    _flush(place / "zarr.json")
    return True


def _remove(folder: Path) -> None:
    """Take a folder away in one step, then delete it: a kill leaves no half of it in its place."""
    with _beside(folder) as old, suppress(FileNotFoundError):
        os.rename(folder, old)


def _flush(*paths: Path) -> None:
    """Force files or folders, with all that is in them, and the two folders around them to the disk."""
    for path in paths:
        for item in (*path.rglob("*"), path, path.parent, path.parent.parent):
            # Some file systems cannot flush folders; a chunk of nothing but fill has no file.
            with suppress(FileNotFoundError if item.is_file() else OSError):
                handle = os.open(item, os.O_RDWR if item.is_file() else os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
