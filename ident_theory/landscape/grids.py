"""Grids over a parameter: the default window, and refusal of values that give no model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ident_theory.errors import InputError
from ident_theory.landscape.paths import find_parameter, parameter, with_parameter
from ident_theory.models import Model
from ident_theory.models.value import FloatArray

SLICE_POINTS = 241
PLANE_POINTS = 41
#: Half the default window.
REACH = 3.0
#: A positive parameter's default window starts at this share of its value: near zero the likelihood explodes.
POSITIVE_SHARE = 0.2


def default_window(model: Model, path: str) -> tuple[float, float]:
    """The value of the parameter plus and minus 3, cut down to what gives a model.

    Weights get [0, 1]; variances, scales and degrees of freedom start at a fifth of their value; entries of
    covariance matrices and breakpoints stop where the model stops being one.
    """
    place = find_parameter(model, path)
    value = float(parameter(model, path))
    name = f"{place.section}.{place.field}"
    if name == "prior.weights":
        if model.mixture.n_components == 1:
            raise InputError(f"{place.path}: the weight of a single component is 1 and cannot vary")
        return 0.0, 1.0
    low, high = value - REACH, value + REACH
    positive = place.section == "noise" or name == "prior.covariances"
    if positive and (len(place.index) < 2 or place.index[-1] == place.index[-2]):
        low = max(low, POSITIVE_SHARE * value)
    return _last_valid(model, path, value, low), _last_valid(model, path, value, high)


def grid_of(model: Model, path: str, grid: Any, window: tuple[float, float] | None, points: int) -> FloatArray:
    """The grid asked for, checked: increasing, finite, and every value gives a model.

    Raises
    ------
    InputError
        Names the first value that does not.
    """
    place = find_parameter(model, path)
    if grid is None:
        grid = _uniform(model, place.path, window, points)
    try:
        array = np.array(grid, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"grid of {place.path}: expected a list of numbers, got {grid!r} ({error})") from None
    if array.ndim != 1 or not array.size:
        raise InputError(f"grid of {place.path}: expected a non-empty list of numbers, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(f"grid of {place.path}: expected finite numbers, got grid[{bad[0]}]={array[bad[0]]}")
    bad = np.flatnonzero(np.diff(array) <= 0)
    if bad.size:
        i = int(bad[0])
        raise InputError(f"grid of {place.path}: expected increasing numbers, got grid[{i}]={array[i]}, "
                         f"grid[{i + 1}]={array[i + 1]}")
    for value in array:
        with_parameter(model, place.path, float(value))
    array.flags.writeable = False
    return array


def _uniform(model: Model, path: str, window: tuple[float, float] | None, points: int) -> FloatArray:
    if not isinstance(points, int | np.integer) or points < 3:
        raise InputError(f"points: expected an integer >= 3, got points={points!r}")
    low, high = default_window(model, path) if window is None else (float(end) for end in window)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"range of {path}: expected two finite numbers, the lower first, got {low} {high}")
    grid = np.linspace(low, high, points)
    # The parameter's own value, missed by rounding, is put back on the grid.
    value = float(parameter(model, path))
    near = int(np.argmin(np.abs(grid - value)))
    if abs(grid[near] - value) <= 1e-9 * (high - low):
        grid[near] = value
    return grid


def _last_valid(model: Model, path: str, inside: float, outside: float) -> float:
    """`outside` if it gives a model, else the farthest value towards it that bisection finds to give one."""
    if _valid(model, path, outside):
        return outside
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _valid(model, path, middle) else (inside, middle)
    return inside


def _valid(model: Model, path: str, value: float) -> bool:
    try:
        with_parameter(model, path, value)
    except InputError:
        return False
    return True
