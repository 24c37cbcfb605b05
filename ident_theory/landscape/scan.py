"""Slices and planes of the negative log-likelihood: asked for, checked, computed, resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from ident_theory.errors import InputError
from ident_theory.landscape.grids import PLANE_POINTS, SLICE_POINTS, grid_of
from ident_theory.landscape.minima import line_minima, plane_minima
from ident_theory.landscape.objective import DataObjective, Objective, PopulationObjective, weakest
from ident_theory.landscape.paths import find_parameter, parameter, with_parameters
from ident_theory.landscape.results import Landscape, Plane, Slice, spec_hash
from ident_theory.landscape.store import find_stored, package_versions, partial_path, save_landscape
from ident_theory.laws import ErrorKind
from ident_theory.models import Model
from ident_theory.models.value import FloatArray
from ident_theory.spec import to_dict

Progress = Callable[[int, int], None]
#: Seconds between two saves of an unfinished plane.
SAVE_SECONDS = 5.0
_MAX_NOTES = 20
Result = TypeVar("Result", bound=Landscape)


@dataclass
class Request(Generic[Result]):
    """A checked request for a landscape; nothing is computed before `run`, and making it writes nothing.

    Attributes
    ----------
    model : Model
        The model whose parameters vary.
    paths : tuple of str
        Canonical paths, one for a slice and two for a plane.
    grids : tuple of ndarray
    truth : Model or None
        Where the observations come from (population) or are said to come from (data).
    data : ndarray or None
    rtol : float
    """

    model: Model
    paths: tuple[str, ...]
    grids: tuple[FloatArray, ...]
    truth: Model | None
    data: Any
    rtol: float

    @cached_property
    def objective(self) -> Objective:
        """The function that is scanned; its reference is computed on first use."""
        if self.data is not None:
            return DataObjective(self.data, self.model.observed_dim, self.truth)
        assert self.truth is not None
        return PopulationObjective(self.truth, self.rtol)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything the values depend on, as plain JSON."""
        return {"landscape": "slice" if len(self.paths) == 1 else "plane", "model": to_dict(self.model),
                "truth": None if self.truth is None else to_dict(self.truth), "paths": list(self.paths),
                "grids": [grid.tolist() for grid in self.grids], **self.objective.description(),
                "ident_theory": package_versions()["ident_theory"]}

    def run(self, progress: Progress | None = None, out: str | Path | None = None, resume: bool = True) -> Result:
        """Compute; see `landscape_slice` and `landscape_plane` for the arguments."""
        run = _run_slice if len(self.paths) == 1 else _run_plane
        return run(self, progress, None if out is None else Path(out), resume)  # type: ignore[return-value, arg-type]


def slice_request(model: Model, path: str, grid: Any = None, truth: Model | None = None, data: Any = None, *,
                  window: tuple[float, float] | None = None, points: int = SLICE_POINTS,
                  rtol: float = 1e-10) -> Request[Slice]:
    """Check a request for a slice; the arguments are those of `landscape_slice`."""
    return _request(model, (path,), (grid,), truth, data, window, points, rtol)


def plane_request(model: Model, path_a: str, path_b: str, grid_a: Any = None, grid_b: Any = None,
                  truth: Model | None = None, data: Any = None, *, window: tuple[float, float] | None = None,
                  points: int = PLANE_POINTS, rtol: float = 1e-10) -> Request[Plane]:
    """Check a request for a plane; the arguments are those of `landscape_plane`."""
    request: Request[Plane] = _request(model, (path_a, path_b), (grid_a, grid_b), truth, data, window, points, rtol)
    if find_parameter(model, path_a) == find_parameter(model, path_b):
        raise InputError(f"plane: expected two different parameters, got {path_a!r} twice")
    return request


def _request(model: Model, paths: tuple[str, ...], grids: tuple[Any, ...], truth: Model | None, data: Any,
             window: tuple[float, float] | None, points: int, rtol: float) -> Request[Any]:
    for name, given in (("model", model), ("truth", truth)):
        if not isinstance(given, Model) and not (name == "truth" and given is None):
            raise InputError(f"{name}: expected a Model, got {type(given).__name__}")
    if truth is not None and truth.observed_dim != model.observed_dim:
        raise InputError(f"truth: expected n = {model.observed_dim} observed coordinates, as the model has, "
                         f"got {truth.observed_dim}")
    if data is None and truth is None:
        truth = model
    places = tuple(find_parameter(model, path).path for path in paths)
    checked = tuple(grid_of(model, path, grid, window, points) for path, grid in zip(places, grids, strict=True))
    request: Request[Any] = Request(model, places, checked, truth, data, rtol)
    # A law that does not exist at the model itself would not exist along the grid either: say so at once.
    request.objective.evaluate(model)
    return request


def landscape_slice(model: Model, path: str, grid: Any = None, truth: Model | None = None, data: Any = None, *,
                    window: tuple[float, float] | None = None, points: int = SLICE_POINTS, rtol: float = 1e-10,
                    progress: Progress | None = None, out: str | Path | None = None) -> Slice:
    """The negative log-likelihood as one parameter varies, with its local minima.

    Parameters
    ----------
    model : Model
    path : str
        The parameter, for instance ``"decoder.weights[1][0,1]"``.
    grid : array_like, optional
        Increasing values. By default `points` values over `window`, and by default that is the current value
        plus and minus 3, cut to where the parameter makes sense.
    truth : Model, optional
        Law of the observations; `model` itself by default, unless there is `data`.
    data : array_like, shape (N, n), optional
        Take the mean over these observations instead of the expectation under the truth.
    rtol : float
        Relative tolerance of the integrals.
    progress : callable, optional
        Called with (points done, points in all).
    out : path, optional
        Also store the result there: ``.nc`` or ``.json``.

    Returns
    -------
    Slice
        Values that cannot be computed are ``inf`` and explained in `notes`.

    Raises
    ------
    InputError
        For unknown parameters, and for grids that leave the parameter's domain.
    """
    request = slice_request(model, path, grid, truth, data, window=window, points=points, rtol=rtol)
    return request.run(progress, out)


def landscape_plane(model: Model, path_a: str, path_b: str, grid_a: Any = None, grid_b: Any = None,
                    truth: Model | None = None, data: Any = None, *, window: tuple[float, float] | None = None,
                    points: int = PLANE_POINTS, rtol: float = 1e-10, progress: Progress | None = None,
                    out: str | Path | None = None, resume: bool = True) -> Plane:
    """The negative log-likelihood as two parameters vary, with its local minima.

    With `out`, finished rows are saved every few seconds beside it (``.partial``), and an interrupted run
    goes on from there. Pairs of values that give no model although each alone does are stored as ``inf``.

    Parameters
    ----------
    model, truth, data, window, points, rtol, progress
        As for `landscape_slice`; `window` and `points` hold for both parameters.
    path_a, path_b : str
    grid_a, grid_b : array_like, optional
    out : path, optional
    resume : bool
        Go on from what is stored at `out`; False starts afresh and overwrites it.

    Returns
    -------
    Plane

    Raises
    ------
    InputError
        As for `landscape_slice`.
    StoreMismatchError
        When `out` holds a result of other settings and `resume` is true.
    """
    request = plane_request(model, path_a, path_b, grid_a, grid_b, truth, data, window=window, points=points,
                            rtol=rtol)
    return request.run(progress, out, resume)


class _Scan:
    """Evaluates candidates and keeps the weakest kind of error and the notes."""

    def __init__(self, request: Request[Any]) -> None:
        self.request = request
        self.kinds: set[ErrorKind] = set()
        self.notes: list[str] = []

    def __call__(self, *point: float) -> tuple[float, float]:
        values: Mapping[str, float] = dict(zip(self.request.paths, map(float, point), strict=True))
        place = ", ".join(f"{path}={value:.6g}" for path, value in values.items())
        try:
            candidate = with_parameters(self.request.model, values)
        except InputError as error:
            self._note(str(error))
            return math.inf, math.inf
        result = self.request.objective.attempt(candidate)
        self.kinds.add(result.kind)
        if result.note:
            self._note(f"{place}: {result.note}")
        return result.value, result.error

    def _note(self, text: str) -> None:
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)
        elif len(self.notes) == _MAX_NOTES:
            self.notes.append("further points could not be computed either")

    def shared(self) -> dict[str, Any]:
        """The fields that slices and planes have in common."""
        reference = self.request.objective.reference
        kinds = self.kinds | ({reference.kind} if reference is not None else set())
        return {"spec": self.request.spec, "objective": self.request.objective.name,
                "error_kind": weakest(kinds or {ErrorKind.RIGOROUS}).name,
                "reference": None if reference is None else reference.value,
                "reference_error": None if reference is None else reference.error,
                "notes": tuple(self.notes), "versions": package_versions()}

    def value_in(self, model: Model | None) -> tuple[float, ...] | None:
        """The varied parameters in a model, None where it lacks one."""
        try:
            return None if model is None else tuple(float(parameter(model, path)) for path in self.request.paths)
        except InputError:
            return None


def _run_slice(request: Request[Slice], progress: Progress | None, out: Path | None, resume: bool) -> Slice:
    scan, grid = _Scan(request), request.grids[0]
    pairs = []
    for i, value in enumerate(grid):
        pairs.append(scan(value))
        if progress is not None:
            progress(i + 1, len(grid))
    values, errors = (np.array(column) for column in zip(*pairs, strict=True))
    truth, own = scan.value_in(request.truth), scan.value_in(request.model)
    assert own is not None
    minima = line_minima(grid, values, errors, scan, [x for x in (truth or ())])
    result = Slice(**scan.shared(), values=values, errors=errors, minima=minima, path=request.paths[0], grid=grid,
                   model_value=own[0], truth_value=None if truth is None else truth[0])
    if out is not None:
        save_landscape(result, out)
    return result


def _run_plane(request: Request[Plane], progress: Progress | None, out: Path | None, resume: bool) -> Plane:
    stored = find_stored(out, request.spec) if out is not None and resume else None
    grid_a, grid_b = request.grids
    scan = _Scan(request)
    truth, own = scan.value_in(request.truth), scan.value_in(request.model)
    assert own is not None
    shape = len(grid_a), len(grid_b)
    values, errors = np.full(shape, math.nan), np.full(shape, math.nan)
    if isinstance(stored, Plane):
        assert out is not None
        if out.exists():  # else every row may be there, and the search for minima was cut off
            return stored
        values, errors = stored.values.copy(), stored.errors.copy()
        scan.notes.extend(stored.notes)
        scan.kinds.add(ErrorKind[stored.error_kind])

    def result() -> Plane:
        return Plane(**scan.shared(), values=values, errors=errors, paths=(request.paths[0], request.paths[1]),
                     grid_a=grid_a, grid_b=grid_b, model_point=(own[0], own[1]),
                     truth_point=None if truth is None else (truth[0], truth[1]))

    saved = time.monotonic()
    for i, a in enumerate(grid_a):
        if not np.isnan(values[i]).any():
            continue
        row = []
        for j, b in enumerate(grid_b):
            row.append(scan(a, b))
            if progress is not None:
                progress(i * len(grid_b) + j + 1, values.size)
        values[i], errors[i] = zip(*row, strict=True)
        if out is not None and time.monotonic() - saved >= SAVE_SECONDS:
            save_landscape(result(), out, partial=True)
            saved = time.monotonic()
    if out is not None:
        save_landscape(result(), out, partial=True)  # the search for minima may take a while
    candidates = [(truth[0], truth[1])] if truth is not None else []
    final = replace(result(), minima=plane_minima(grid_a, grid_b, values, errors, scan, candidates))
    final = replace(final, notes=tuple(scan.notes), error_kind=scan.shared()["error_kind"])
    if out is not None:
        save_landscape(final, out)
        partial_path(out).unlink(missing_ok=True)
    return final


__all__ = ["Request", "landscape_plane", "landscape_slice", "plane_request", "slice_request", "spec_hash"]
