"""Local minima on a grid, refined between its points."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import optimize

from ident_theory.landscape.results import Minimum
from ident_theory.models.value import FloatArray

#: A value and its error at a point.
Evaluate = Callable[..., tuple[float, float]]

#: Minima of a plane that are refined; the others are listed as they stand on the grid.
MAX_POLISHED = 12
#: Second differences below this share of the largest one count as a flat direction.
FLAT_SHARE = 2e-4
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


def line_minima(grid: FloatArray, values: FloatArray, errors: FloatArray, evaluate: Evaluate,
                candidates: Sequence[float] = ()) -> tuple[Minimum, ...]:
    """Local minima along a line.

    Neighbours whose values agree within their errors form a run; a run lower than what stands beside it is a
    minimum. Runs of up to two points are refined by bounded Brent search between their neighbours, longer ones
    are plateaus. A minimum narrower than the grid may be missed.

    Parameters
    ----------
    grid, values, errors : ndarray, shape (N,)
        The grid is increasing; values may be ``inf``.
    evaluate : callable
        Position to (value, error).
    candidates : sequence of float
        Positions worth trying, such as the truth. One that ties with the refined minimum within the errors is
        taken as its location, because the values do not tell the two apart.
    """
    found: list[Minimum] = []
    last = len(grid) - 1
    penalty = float(values[np.isfinite(values)].max() + 1e3) if np.isfinite(values).any() else 0.0
    for a, b in _runs(values, errors):
        if (a > 0 and values[a - 1] <= values[a]) or (b < last and values[b + 1] <= values[b]):
            continue
        lowest = a + int(np.argmin(values[a:b + 1]))
        edge = a == 0 or b == last
        if b - a >= 2:
            found.append(Minimum((float(grid[(a + b) // 2]),), float(values[lowest]), float(errors[lowest]),
                                 at_boundary=edge, plateau=((float(grid[a]), float(grid[b])),)))
            continue
        low, high = float(grid[max(a - 1, 0)]), float(grid[min(b + 1, last)])
        tries = [(float(values[lowest]), float(errors[lowest]), float(grid[lowest]))]
        if high > low:
            search = optimize.minimize_scalar(lambda x: min(evaluate(x)[0], penalty), bounds=(low, high),
                                              method="bounded", options={"xatol": 1e-9 * (high - low)})
            tries.append((*evaluate(float(search.x)), float(search.x)))
        best = min(tries)
        for x in candidates:
            if low <= x <= high:
                value, error = evaluate(x)
                if value <= best[0] + best[1] + error + _rounding(best[0]):
                    best = (value, error, float(x))
        found.append(Minimum((best[2],), best[0], best[1], polished=True,
                             at_boundary=edge and best[2] in (float(grid[0]), float(grid[-1]))))
    return _ranked(found, [float(grid[-1] - grid[0])])


def plane_minima(grid_a: FloatArray, grid_b: FloatArray, values: FloatArray, errors: FloatArray,
                 evaluate: Evaluate, candidates: Sequence[tuple[float, float]] = ()) -> tuple[Minimum, ...]:
    """Local minima over a rectangle.

    Grid points are compared with their eight neighbours; neighbours equal within their errors belong
    together. The lowest `MAX_POLISHED` are refined by Nelder-Mead search within the window, and those that
    slide to one point are listed once.

    Parameters
    ----------
    grid_a, grid_b : ndarray
    values, errors : ndarray, shape (len(grid_a), len(grid_b))
    evaluate : callable
        Two positions to (value, error).
    candidates : sequence of points
        As for `line_minima`.
    """
    bounds = np.array([[grid_a[0], grid_a[-1]], [grid_b[0], grid_b[-1]]])
    cell = np.array([(high - low) / max(len(grid) - 1, 1)
                     for (low, high), grid in zip(bounds, (grid_a, grid_b), strict=True)])
    finite = values[np.isfinite(values)]
    penalty = float(finite.max() + 1e3) if finite.size else 0.0
    found: list[Minimum] = []
    groups = sorted(_basins(values, errors), key=lambda group: min(values[i] for i in group))
    for rank, group in enumerate(groups):
        i, j = min(group, key=lambda index: values[index])
        rows, columns = [k[0] for k in group], [k[1] for k in group]
        edge = min(rows) == 0 or min(columns) == 0 or max(rows) == len(grid_a) - 1 or max(columns) == len(grid_b) - 1
        start = Minimum((float(grid_a[i]), float(grid_b[j])), float(values[i, j]), float(errors[i, j]),
                        at_boundary=edge)
        if len(group) > 4:
            extent = tuple((float(grid[min(k)]), float(grid[max(k)]))
                           for grid, k in ((grid_a, rows), (grid_b, columns)))
            found.append(replace(start, plateau=extent))
        elif rank >= MAX_POLISHED or (cell == 0).any():
            found.append(start)
        else:
            found.append(_polish(start, cell, bounds, evaluate, penalty, candidates))
    return _ranked(found, [float(high - low) for low, high in bounds])


def _polish(start: Minimum, cell: FloatArray, bounds: FloatArray, evaluate: Evaluate, penalty: float,
            candidates: Sequence[tuple[float, float]]) -> Minimum:
    # The first simplex points into the window, whichever corner the start is in.
    inward = np.where(np.array(start.location) + cell / 2 <= bounds[:, 1], cell / 2, -cell / 2)
    simplex = np.array([start.location] * 3)
    simplex[1, 0] += inward[0]
    simplex[2, 1] += inward[1]
    search = optimize.minimize(
        lambda p: min(evaluate(*p)[0], penalty), start.location, method="Nelder-Mead", bounds=bounds,
        options={"initial_simplex": simplex, "xatol": 1e-7 * float(cell.max()), "fatol": 1e-12, "maxfev": 300})
    point = (float(search.x[0]), float(search.x[1]))
    value, error = evaluate(*point)
    best = min((value, error, point), (start.value, start.error, start.location))
    for x in candidates:
        if bool(np.all(np.abs(np.array(x) - best[2]) <= 2 * cell)) and bool(
                np.all((bounds[:, 0] <= x) & (x <= bounds[:, 1]))):
            value, error = evaluate(*x)
            if value <= best[0] + best[1] + error + _rounding(best[0]):
                best = (value, error, x)
    place = np.array(best[2])
    edge = bool(np.any(np.abs(place[:, None] - bounds) <= 1e-6 * cell[:, None]))
    return Minimum(tuple(map(float, place)), best[0], best[1], polished=True, at_boundary=edge,
                   isolated=None if edge else _isolated(place, best[0], cell, bounds, evaluate))


def _isolated(place: FloatArray, value: float, cell: FloatArray, bounds: FloatArray, evaluate: Evaluate) -> bool | None:
    step = 0.02 * cell  # short: along a curved valley the values rise with the fourth power
    if np.any(place - step < bounds[:, 0]) or np.any(place + step > bounds[:, 1]):
        return None

    def at(i: int, j: int) -> float:
        return evaluate(*(place + step * (i, j)))[0]

    aa, bb = at(1, 0) + at(-1, 0) - 2 * value, at(0, 1) + at(0, -1) - 2 * value
    ab = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / 4
    if not np.isfinite([aa, bb, ab]).all():
        return None
    low, high = np.linalg.eigvalsh([[aa, ab], [ab, bb]])
    return bool(low > FLAT_SHARE * high)


def _runs(values: FloatArray, errors: FloatArray) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for i, value in enumerate(values):
        if not np.isfinite(value):
            continue
        if runs and runs[-1][1] == i - 1 and _equal(values, errors, i - 1, i):
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs


def _basins(values: FloatArray, errors: FloatArray) -> list[list[tuple[int, int]]]:
    """Groups of equal neighbours that no neighbour undercuts."""
    rows, columns = values.shape
    seen = np.zeros(values.shape, dtype=bool)
    basins = []
    for start in itertools.product(range(rows), range(columns)):
        if seen[start] or not np.isfinite(values[start]):
            continue
        group, stack, lowest = [], [start], True
        seen[start] = True
        while stack:
            i, j = stack.pop()
            group.append((i, j))
            for other in itertools.product(range(max(i - 1, 0), min(i + 2, rows)),
                                           range(max(j - 1, 0), min(j + 2, columns))):
                if np.isfinite(values[other]) and _equal(values, errors, (i, j), other):
                    if not seen[other]:
                        seen[other] = True
                        stack.append(other)
                elif values[other] < values[i, j]:
                    lowest = False
        if lowest:
            basins.append(group)
    return basins


def _equal(values: FloatArray, errors: FloatArray, i: int | tuple[int, int], j: int | tuple[int, int]) -> bool:
    return bool(abs(values[i] - values[j]) <= errors[i] + errors[j] + _rounding(float(values[i])))


def _rounding(value: float) -> float:
    return _ROUNDING * max(1.0, abs(value))


def _ranked(found: list[Minimum], widths: Sequence[float]) -> tuple[Minimum, ...]:
    """Lowest first, doubles dropped, the global ones marked."""
    kept: list[Minimum] = []
    for minimum in sorted(found, key=lambda item: (item.value, item.location)):
        if not any(all(abs(x - y) <= 1e-5 * width for x, y, width in
                       zip(minimum.location, other.location, widths, strict=True)) for other in kept):
            kept.append(minimum)
    if not kept:
        return ()
    top = min(kept, key=lambda item: item.value + item.error)
    return tuple(replace(item, is_global=item.value - item.error <= top.value + top.error + _rounding(top.value))
                 for item in kept)
