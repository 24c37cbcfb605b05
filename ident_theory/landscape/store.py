"""Landscapes on disk: netCDF or JSON, written atomically, carrying all that is needed to make them again."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ident_theory.errors import InputError, StoreMismatchError
from ident_theory.files import write_atomically
from ident_theory.landscape.results import Landscape, Minimum, Plane, Slice

SUFFIXES = (".nc", ".json")
#: Version of the layout written here.
LAYOUT = 1


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the values depend on."""
    names = ("ident_theory", "numpy", "scipy", "numba", "python-flint")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def partial_path(path: str | Path) -> Path:
    """Where the finished rows of an interrupted plane are kept."""
    return Path(path).with_name(Path(path).name + ".partial")


def save_landscape(landscape: Landscape, path: str | Path, *, partial: bool = False) -> Path:
    """Write a slice or plane; a kill at any moment leaves the old file or the new one, never a torn one.

    Parameters
    ----------
    landscape : Slice or Plane
    path : str or Path
        ``.nc`` gives netCDF (classic format, readable by xarray and any netCDF tool), ``.json`` JSON.
    partial : bool
        Write to `partial_path` instead, for an unfinished plane.

    Returns
    -------
    Path
        The file written.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise InputError(f"store: expected a file name ending in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    content = _to_netcdf(landscape) if file.suffix == ".nc" else _to_json(landscape)
    target = partial_path(file) if partial else file
    write_atomically(target, content)
    return target


def load_landscape(path: str | Path) -> Slice | Plane:
    """Read a stored slice or plane, finished or partial; the unfinished rows of a plane are NaN.

    Raises
    ------
    InputError
        When the file is missing or holds no landscape.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
        tree = _from_netcdf(content) if content[:3] == b"CDF" else json.loads(content)
        if tree["layout"] != LAYOUT:
            raise ValueError(f"layout {tree['layout']}, this version reads {LAYOUT}")
        return _from_tree(tree)
    except OSError as error:
        raise InputError(f"store: expected a stored landscape, cannot read {str(file)!r}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"store: expected a stored landscape, {str(file)!r} holds none "
                         f"({type(error).__name__}: {error})") from None


def find_stored(path: Path, spec: dict[str, Any]) -> Slice | Plane | None:
    """What is stored for these settings at `path`, finished or partial; None when there is nothing.

    Raises
    ------
    StoreMismatchError
        When the stored result has other settings; names those that differ.
    """
    for file in (path, partial_path(path)):
        if file.exists():
            stored = load_landscape(file)
            if stored.spec != spec:
                raise StoreMismatchError(
                    f"{file}: holds a result of other settings ({_differences(stored.spec, spec)}); "
                    "choose another place, or start afresh without resuming, which overwrites it")
            return stored
    return None


def _differences(stored: dict[str, Any], asked: dict[str, Any]) -> str:
    parts = []
    for key in sorted({*stored, *asked}):
        old, new = stored.get(key), asked.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
            parts.append(f"{key}: {', '.join(changed)}")
        elif key == "grids":
            parts.append(f"grids: {_grids(old)} there, {_grids(new)} asked for")
        else:
            parts.append(f"{key}: {old} there, {new} asked for")
    return "; ".join(parts)


def _grids(grids: Any) -> str:
    return " x ".join(f"{len(grid)} points over [{grid[0]:.6g}, {grid[-1]:.6g}]" for grid in grids)


def _to_tree(landscape: Landscape) -> dict[str, Any]:
    tree = {item.name: getattr(landscape, item.name) for item in fields(landscape)}
    tree["minima"] = [asdict(minimum) for minimum in landscape.minima]
    return {"layout": LAYOUT, **tree, "spec_hash": landscape.spec_hash}


def _from_tree(tree: dict[str, Any]) -> Slice | Plane:
    kind: type[Slice] | type[Plane] = Slice if tree["spec"]["landscape"] == "slice" else Plane
    given = {item.name: tree[item.name] for item in fields(kind)}
    for name in ("values", "errors", "grid", "grid_a", "grid_b"):
        if name in given:
            given[name] = np.array(given[name], dtype=np.float64)
    for name in ("notes", "paths", "model_point", "truth_point"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])
    given["minima"] = tuple(_minimum(item) for item in given["minima"])
    if "model_value" in given:
        given["model_value"] = float(given["model_value"])
    if given["spec"] is None or tree["spec_hash"] != (landscape := kind(**given)).spec_hash:
        raise ValueError("the description does not agree with its checksum")
    return landscape


def _minimum(item: dict[str, Any]) -> Minimum:
    plateau = item["plateau"]
    return Minimum(**{**item, "location": tuple(item["location"]), "value": float(item["value"]),
                      "error": float(item["error"]),
                      "plateau": None if plateau is None else tuple(tuple(ends) for ends in plateau)})


def _plain(value: Any) -> Any:
    """JSON without the numbers that JSON lacks: they become the strings that `float` reads."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _to_json(landscape: Landscape) -> bytes:
    return (json.dumps(_plain(_to_tree(landscape))) + "\n").encode()


def _to_netcdf(landscape: Landscape) -> bytes:
    import xarray

    tree = _to_tree(landscape)
    values, errors = tree.pop("values"), tree.pop("errors")
    names = ["grid"] if isinstance(landscape, Slice) else ["grid_a", "grid_b"]
    paths = [landscape.path] if isinstance(landscape, Slice) else list(getattr(landscape, "paths", ()))
    attributes = {"units": "nats per observation", "long_name": "negative log-likelihood"}
    dataset = xarray.Dataset(
        {"values": (names, values, attributes),
         "errors": (names, errors, {"units": attributes["units"], "long_name": "error of the value",
                                    "kind": tree["error_kind"]})},
        coords={name: (name, tree.pop(name), {"long_name": path}) for name, path in zip(names, paths, strict=True)},
        attrs={"title": f"ident_theory landscape: {', '.join(paths)}", "model": json.dumps(tree["spec"]["model"]),
               "paths": ", ".join(paths), "objective": tree["objective"], "spec_hash": tree["spec_hash"],
               "versions": json.dumps(tree["versions"]), "minima": json.dumps(_plain(tree["minima"])),
               "record": json.dumps(_plain(tree))})
    return bytes(dataset.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))


def _from_netcdf(content: bytes) -> dict[str, Any]:
    import io

    import xarray

    with xarray.open_dataset(io.BytesIO(content), engine="scipy", decode_cf=False) as dataset:
        tree: dict[str, Any] = json.loads(dataset.attrs["record"])
        for name in ("values", "errors", *dataset["values"].dims):
            tree[str(name)] = np.array(dataset[name])
    return tree
