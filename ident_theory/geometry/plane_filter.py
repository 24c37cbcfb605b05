r"""Cuts one convex cell by many lines, in float64 with a proven error bound.

Every decision is the sign of a line at a corner, and a corner is the cross product of the two lines through it. The
error of each entry of a line is given; those of the products follow, with u = 2^-53 for every rounding. A sign that
the bound does not settle is left `OPEN`, and the caller fills it in from rationals. Lines with small integer
entries have no error at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from ident_theory.models.value import FloatArray

PLUS, MINUS = ord("+"), ord("-")
#: A sign that floats do not settle.
OPEN = 2
#: Determinants of three lines with integer entries up to this size are exact in float64.
SMALL = 2.0**16
#: What `advance` returns.
DONE, FULL, UNSETTLED = 0, 1, 2
#: Line 0 is the line at infinity. The reference r of a side is +-(1 + line), positive on the side of the cell.
INFINITY = 1

_U = 2.0**-53
#: Covers the roundings in the bounds themselves.
_SLACK = 1.0 + 2.0**-40
#: Covers what underflow can take away; lines are scaled to size 1.
_UNDERFLOW = 1e-290


class Workspace(NamedTuple):
    """Arrays of one walk: lines, corners, the stack of parts still to cut, and the parts found.

    A corner is a pair of references: (r, s) where side r meets side s, (r, r) the foot of the origin on r, (0, k)
    the k-th of the rays east, north, west and south.
    """

    lines: FloatArray  # (lines, 3)
    line_errors: FloatArray  # (lines, 3)
    small: np.ndarray  # (lines,) whether integers up to SMALL without error
    corner_refs: np.ndarray  # (corners, 2)
    points: FloatArray  # (corners, 3) homogeneous
    point_errors: FloatArray  # (corners, 3)
    exact: np.ndarray  # (corners,) whether free of error
    signs: np.ndarray  # (corners, units) of every unit's line
    state: np.ndarray  # parts on the stack, parts found, entries of found_refs used, first corner to settle, corners
    sizes: np.ndarray  # (depth, 3) of a part: corners, units still to decide, corners to keep
    corners: np.ndarray  # (depth, corners) of a part, anticlockwise
    sides: np.ndarray  # (depth, corners) the reference of the side that starts there
    units: np.ndarray  # (depth, units) still to decide
    patterns: np.ndarray  # (depth, units)
    found_ends: np.ndarray  # (found,)
    found_refs: np.ndarray  # (entries, 3) of corners: their pair and the side that starts there
    found_patterns: np.ndarray  # (found, units)


def workspace(lines: int, corners: int, units: int, found: int = 128) -> Workspace:
    """Room for a cell of so many corners cut by so many units."""
    slots, depth, most = corners + 3 * units + 3, units + 2, corners + 2 * units + 2
    return Workspace(np.empty((lines, 3)), np.empty((lines, 3)), np.empty(lines, dtype=np.bool_),
                     np.empty((slots, 2), dtype=np.int32), np.empty((slots, 3)), np.empty((slots, 3)),
                     np.empty(slots, dtype=np.bool_), np.empty((slots, units), dtype=np.int8),
                     np.zeros(5, dtype=np.int64), np.empty((depth, 3), dtype=np.int32),
                     np.empty((depth, most), dtype=np.int32), np.empty((depth, most), dtype=np.int32),
                     np.empty((depth, units), dtype=np.int32), np.empty((depth, units), dtype=np.uint8),
                     np.empty(found, dtype=np.int64), np.empty((8 * found + most, 3), dtype=np.int32),
                     np.empty((found, units), dtype=np.uint8))


@nb.njit(cache=True, nogil=True)
def _place(work: Workspace, r: int, s: int) -> int:
    """Add a corner and return its position."""
    k = work.state[4]
    work.state[4] = k + 1
    work.corner_refs[k, 0], work.corner_refs[k, 1] = r, s
    p, e = work.points[k], work.point_errors[k]
    if r == 0:
        p[0], p[1], p[2] = (1.0, 0.0, -1.0, 0.0)[s], (0.0, 1.0, 0.0, -1.0)[s], 0.0
        e[:] = 0.0
        work.exact[k] = True
        return k
    f, g = work.lines[abs(r) - 1], work.lines[abs(s) - 1]
    df, dg = work.line_errors[abs(r) - 1], work.line_errors[abs(s) - 1]
    work.exact[k] = work.small[abs(r) - 1] and work.small[abs(s) - 1]
    if r == s:
        p[0], p[1], p[2] = -f[2] * f[0], -f[2] * f[1], f[0] * f[0] + f[1] * f[1]
        e[0], e[1] = _product_error(f[2], df[2], f[0], df[0]), _product_error(f[2], df[2], f[1], df[1])
        e[2] = _product_error(f[0], df[0], f[0], df[0]) + _product_error(f[1], df[1], f[1], df[1])
        return k
    turn = 1.0 if (r > 0) == (s > 0) else -1.0
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        p[a] = turn * (f[b] * g[c] - f[c] * g[b])
        e[a] = _product_error(f[b], df[b], g[c], dg[c]) + _product_error(f[c], df[c], g[b], dg[b])
    return k


@nb.njit(cache=True, nogil=True)
def _product_error(x: float, dx: float, y: float, dy: float) -> float:
    """How far a product is off, its rounding and that of up to two sums after it included."""
    return abs(x) * dy + abs(y) * dx + dx * dy + 4 * _U * abs(x * y)


@nb.njit(cache=True, nogil=True)
def _evaluate(work: Workspace, k: int, first: int, units: np.ndarray, count: int) -> bool:
    """Signs of units at corner k; whether one stays open."""
    p, e = work.points[k], work.point_errors[k]
    unsettled = False
    for m in range(count):
        line, error = work.lines[first + units[m]], work.line_errors[first + units[m]]
        value, bound = 0.0, 0.0
        for a in range(3):
            value += line[a] * p[a]
            bound += _product_error(line[a], error[a], p[a], e[a])
        bound = 0.0 if work.exact[k] and work.small[first + units[m]] else bound * _SLACK + _UNDERFLOW
        sign = OPEN
        if value > bound:
            sign = 1
        elif value < -bound:
            sign = -1
        elif bound == 0.0:
            sign = 0
        else:
            unsettled = True
        work.signs[k, units[m]] = sign
    return unsettled


@nb.njit(cache=True, nogil=True)
def begin(work: Workspace, first: int, polygon: np.ndarray, units: np.ndarray, pattern: np.ndarray) -> int:
    """Put the whole cell on the stack: rows (pair of a corner, side that starts there), and the units that may cut."""
    work.state[:] = 0
    work.state[0] = 1
    count, unsettled = len(polygon), False
    for i in range(count):
        k = _place(work, polygon[i, 0], polygon[i, 1])
        work.corners[0, i], work.sides[0, i] = k, polygon[i, 2]
        unsettled |= _evaluate(work, k, first, units, len(units))
    work.sizes[0, 0], work.sizes[0, 1], work.sizes[0, 2] = count, len(units), count
    work.units[0, :len(units)] = units
    work.patterns[0, :len(pattern)] = pattern
    return UNSETTLED if unsettled else DONE


@nb.njit(cache=True, nogil=True)
def advance(work: Workspace, first: int, n_units: int) -> int:
    """Cut until the parts are all found, the room for them is full, or a sign must be settled in rationals.

    Depth first: the lowest unit that cuts a part splits it, and its positive side is walked first, so the parts
    come in the order of their patterns.
    """
    state = work.state
    state[1], state[2] = 0, 0
    while state[0] > 0:
        top = state[0] - 1
        chosen = _decide(work, top)
        if chosen < 0:
            if state[1] == len(work.found_ends) or state[2] + work.sizes[top, 0] > len(work.found_refs):
                return FULL
            _record(work, top, n_units)
            state[0] = top
            if top:
                state[4] = work.sizes[top - 1, 2]
            continue
        state[3] = state[4]
        _split(work, top, chosen, first, n_units)
        unsettled = False
        for k in range(state[3], state[4]):
            unsettled |= _evaluate(work, k, first, work.units[top], work.sizes[top, 1])
        if unsettled:
            return UNSETTLED
    return DONE


@nb.njit(cache=True, nogil=True)
def _decide(work: Workspace, top: int) -> int:
    """Note the sign of the units that do not cut a part; take the lowest of the others off its list."""
    count, left, chosen = work.sizes[top, 0], 0, -1
    for m in range(work.sizes[top, 1]):
        u = work.units[top, m]
        below = above = False
        for i in range(count):
            sign = work.signs[work.corners[top, i], u]
            below |= sign < 0
            above |= sign > 0
        if not (below and above):
            work.patterns[top, u] = PLUS if above else MINUS
        elif chosen < 0:
            chosen = u
        else:
            work.units[top, left] = u
            left += 1
    work.sizes[top, 1] = left
    return chosen


@nb.njit(cache=True, nogil=True)
def _split(work: Workspace, top: int, u: int, first: int, n_units: int) -> None:
    """Replace a part by its negative side and, above it, its positive side."""
    count, line = work.sizes[top, 0], first + u + 1
    old, old_sides = work.corners[top, :count].copy(), work.sides[top, :count].copy()
    low, high = top, top + 1  # positions on the stack
    n_low = n_high = 0
    for i in range(count):
        k, side, after = old[i], old_sides[i], old[(i + 1) % count]
        here, there = work.signs[k, u], work.signs[after, u]
        if here >= 0:
            work.corners[high, n_high] = k
            work.sides[high, n_high] = line if here == 0 and there < 0 else side
            n_high += 1
        if here <= 0:
            work.corners[low, n_low] = k
            work.sides[low, n_low] = -line if here == 0 and there > 0 else side
            n_low += 1
        if here * there < 0:
            new = _place(work, side, line) if here > 0 else _place(work, line, side)
            work.corners[high, n_high] = work.corners[low, n_low] = new
            work.sides[high, n_high] = line if here > 0 else side
            work.sides[low, n_low] = side if here > 0 else -line
            n_high += 1
            n_low += 1
    fresh = work.state[4]
    n_high = _with_foot(work, high, n_high, line, -1)
    n_low = _with_foot(work, low, n_low, -line, fresh if work.state[4] > fresh else -1)
    work.sizes[low, 0], work.sizes[high, 0] = n_low, n_high
    work.sizes[high, 1] = work.sizes[low, 1]
    work.sizes[low, 2] = work.sizes[high, 2] = work.state[4]
    work.units[high, :work.sizes[low, 1]] = work.units[low, :work.sizes[low, 1]]
    work.patterns[high, :n_units] = work.patterns[low, :n_units]
    work.patterns[high, u], work.patterns[low, u] = PLUS, MINUS
    work.state[0] = top + 2


@nb.njit(cache=True, nogil=True)
def _with_foot(work: Workspace, part: int, count: int, line: int, foot: int) -> int:
    """Where the new side is a whole line, put a point of it between its two rays; return the number of corners."""
    for i in range(count):
        j = (i + 1) % count
        if work.sides[part, i] == line and _is_ray(work, work.corners[part, i]) and \
                _is_ray(work, work.corners[part, j]):
            for m in range(count, i + 1, -1):
                work.corners[part, m] = work.corners[part, m - 1]
                work.sides[part, m] = work.sides[part, m - 1]
            work.corners[part, i + 1] = foot if foot >= 0 else _place(work, abs(line), abs(line))
            work.sides[part, i + 1] = line
            return count + 1
    return count


@nb.njit(cache=True, nogil=True)
def _is_ray(work: Workspace, k: int) -> bool:
    r, s = work.corner_refs[k, 0], work.corner_refs[k, 1]
    return r == 0 or ((r == INFINITY) != (s == INFINITY))


@nb.njit(cache=True, nogil=True)
def _record(work: Workspace, top: int, n_units: int) -> None:
    """Copy a part to the found ones, without the points of former whole lines."""
    count, end = work.sizes[top, 0], work.state[2]
    for i in range(count):
        k, before, after = work.corners[top, i], (i + count - 1) % count, (i + 1) % count
        if work.sides[top, i] == work.sides[top, before] and not _is_ray(work, k) and not (
                _is_ray(work, work.corners[top, before]) and _is_ray(work, work.corners[top, after])):
            continue
        work.found_refs[end, 0], work.found_refs[end, 1] = work.corner_refs[k, 0], work.corner_refs[k, 1]
        work.found_refs[end, 2] = work.sides[top, i]
        end += 1
    found = work.state[1]
    work.found_ends[found] = end
    work.found_patterns[found, :n_units] = work.patterns[top, :n_units]
    work.state[1], work.state[2] = found + 1, end
