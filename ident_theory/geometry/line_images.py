"""Injectivity of explicit piecewise affine maps of the line, half-open pieces and jumps included, in rationals."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from flint import fmpq

from ident_theory.geometry.line import LinePieces, point_inside
from ident_theory.geometry.stretches import stretches

#: Points of an uncovered stretch that are tried; finitely many values are taken in passing, so few are needed.
TRIALS = 64


class EqualValues(NamedTuple):
    """Two different points with the same value."""

    z: fmpq
    other: fmpq


def jump(pieces: LinePieces) -> int | None:
    """The first breakpoint at which neighbouring pieces do not meet."""
    return next((k for k, t in enumerate(pieces.breakpoints) if pieces.value(k, t) != pieces.value(k + 1, t)), None)


def equal_values(pieces: LinePieces) -> EqualValues | None:
    """Two different points with the same value, None for an injective map (F4)."""
    for k in range(pieces.n_pieces):
        if pieces.is_flat(k):
            left, right = pieces.ends(k)
            inside = point_inside(left, right)
            return EqualValues(inside, point_inside(inside, right))
    for i, j in combinations(range(pieces.n_pieces), 2):
        found = _meeting(pieces, i, j)
        if found is not None:
            return found
    return None


def _meeting(pieces: LinePieces, i: int, j: int) -> EqualValues | None:
    """Points of two moving pieces with the same value."""
    a, c, b, d = pieces.slopes[i], pieces.intercepts[i], pieces.slopes[j], pieces.intercepts[j]
    lead = next(k for k, v in enumerate(b) if v)
    # z' = ratio z + shift from the coordinate `lead`; the others then restrict z.
    ratio, shift = a[lead] / b[lead], (c[lead] - d[lead]) / b[lead]
    rests = [(ak - ratio * bk, ck - dk - shift * bk) for ak, ck, bk, dk in zip(a, c, b, d, strict=True)]
    if any(slope == 0 and value for slope, value in rests):
        return None
    moving = next(((slope, value) for slope, value in rests if slope), None)
    if moving is not None:
        z = -moving[1] / moving[0]
        other = ratio * z + shift
        fits = all(slope * z + value == 0 for slope, value in rests)
        return EqualValues(z, other) if fits and pieces.contains(i, z) and pieces.contains(j, other) else None
    if not ratio:
        return None
    # The same line: a half-open interval, and another one seen through z' = ratio z + shift.
    (low, high), (left, right) = pieces.ends(i), pieces.ends(j)
    ends = [None if t is None else (t - shift) / ratio for t in (left, right)]
    ends = ends if ratio > 0 else ends[::-1]
    lows, highs = [t for t in (low, ends[0]) if t is not None], [t for t in (high, ends[1]) if t is not None]
    start, stop = max(lows, default=None), min(highs, default=None)
    if start is not None and stop is not None and start > stop:
        return None
    for z in (start, stop, point_inside(start, stop)):
        if z is not None and pieces.contains(i, z) and pieces.contains(j, ratio * z + shift):
            return EqualValues(z, ratio * z + shift)
    return None


def overlapping_values(pieces: LinePieces) -> EqualValues | None:
    """Points inside two pieces whose images overlap along a positive length; None when there are none (F3)."""
    for stretch in stretches(pieces, pieces):
        rival = next((m for m in stretch.maps if m.piece != stretch.piece), None)
        if rival is not None:
            z = point_inside(stretch.left, stretch.right)
            return EqualValues(z, rival.ratio * z + rival.shift)
    return None


def single_value(pieces: LinePieces) -> fmpq | None:
    """A point inside a moving piece whose value no closed piece takes elsewhere; None when there is none (F2)."""
    for stretch in stretches(pieces, pieces):
        if len(stretch.maps) == 1:
            left, right = stretch.left, stretch.right
            for _ in range(TRIALS + 2 * pieces.n_pieces):
                z = point_inside(left, right)
                if not _is_taken(pieces, stretch.piece, z):
                    return z
                left = z
    return None


def _is_taken(pieces: LinePieces, home: int, z: fmpq) -> bool:
    """Whether another closed piece takes the value at z."""
    x = pieces.value(home, z)
    for j in range(pieces.n_pieces):
        if j == home:
            continue
        if pieces.is_flat(j):
            if pieces.intercepts[j] == x:
                return True
            continue
        lead = next(k for k, v in enumerate(pieces.slopes[j]) if v)
        other = (x[lead] - pieces.intercepts[j][lead]) / pieces.slopes[j][lead]
        left, right = pieces.ends(j)
        if pieces.value(j, other) == x and (left is None or left <= other) and (right is None or other <= right):
            return True
    return False
