"""Checks of certificates and witnesses about explicit piecewise affine maps of the line.

The map is f(z) = a_k z + c_k for t_{k-1} <= z < t_k, so a breakpoint belongs to the piece on its right and f may jump.
A proof holds little or no data: every claim is decided here by intersecting pieces two by two in rationals. Conditions
are those of Kivva et al. (2022), Definition 3.1, as corrected in the ledger: F2 asks for a ball in which the image has
positive length and every value has one preimage; F3 for a non-constant map whose repeated values have length zero.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from ident_theory.exact.network_linear import Row, index, numbers, only_keys, reject, solutions

Tree = Mapping[str, Any]
#: An interval: lower end, upper end (None: unbounded), and whether the ends belong to it.
Interval = tuple[Any, Any, bool, bool]


class Line:
    """A piecewise affine map read from a model tree.

    Attributes
    ----------
    m, n : int
        Dimensions; m is 1.
    breakpoints : list of fmpq
    slopes, intercepts : list of list of fmpq
        One row of n numbers a piece.
    """

    m = 1

    def __init__(self, model: Tree) -> None:
        decoder = model["decoder"]
        if decoder["type"] != "piecewise_affine":
            reject(f"decoder: expected a piecewise_affine map, got {decoder['type']!r}")
        self.breakpoints = numbers(decoder["breakpoints"], None, "breakpoints")
        if any(a >= b for a, b in zip(self.breakpoints, self.breakpoints[1:], strict=False)):
            reject("breakpoints: expected strictly increasing numbers")
        self.n = len(decoder["slopes"][0])
        self.slopes = [numbers(row, self.n, "slopes") for row in decoder["slopes"]]
        self.intercepts = [numbers(row, self.n, "intercepts") for row in decoder["intercepts"]]
        self.count = len(self.breakpoints) + 1
        if len(self.slopes) != self.count or len(self.intercepts) != self.count or not self.n:
            reject(f"decoder: expected {self.count} rows of slopes and of intercepts")

    def piece(self, z: Any) -> int:
        """The piece that a point belongs to."""
        return bisect_right(self.breakpoints, z)

    def at(self, k: int, z: Any) -> list[Any]:
        """Value of the affine map of piece k."""
        return [a * z + c for a, c in zip(self.slopes[k], self.intercepts[k], strict=True)]

    def __call__(self, point: list[Any]) -> list[Any]:
        """Value of f at [z]."""
        return self.at(self.piece(point[0]), point[0])

    def interval(self, k: int) -> Interval:
        """Piece k: closed on the left, open on the right."""
        return (self.breakpoints[k - 1] if k else None, self.breakpoints[k] if k < self.count - 1 else None,
                k > 0, False)

    def is_flat(self, k: int) -> bool:
        """Whether piece k is constant."""
        return not any(self.slopes[k])

    def meeting(self, k: int, l: int) -> Any:
        """The (z, w) with f_k(z) = f_l(w), as an affine set of the plane; None when there are none."""
        columns = zip(self.slopes[k], self.slopes[l], self.intercepts[k], self.intercepts[l], strict=True)
        equations: list[Row] = [[a, -b, d - c] for a, b, c, d in columns]
        return solutions(equations, 2)

    def shadow(self, k: int, l: int) -> Interval | None:
        """The z whose value under the map of k is taken on piece l, for two non-constant pieces on one line."""
        both = self.meeting(k, l)
        if both is None or len(both.directions) != 1:
            return None
        (z, w), (dz, dw) = both.point, both.directions[0]
        return _moved(self.interval(l), dz / dw, z - w * dz / dw)


def _moved(interval: Interval, scale: Any, shift: Any) -> Interval:
    """The image of an interval under t -> scale t + shift, scale not zero."""
    lo, hi, has_lo, has_hi = interval
    lo, hi = (None if t is None else scale * t + shift for t in (lo, hi))
    return (lo, hi, has_lo, has_hi) if scale > 0 else (hi, lo, has_hi, has_lo)


def _contains(interval: Interval, t: Any) -> bool:
    lo, hi, has_lo, has_hi = interval
    return (lo is None or t > lo or (has_lo and t == lo)) and (hi is None or t < hi or (has_hi and t == hi))


def _common(a: Interval, b: Interval) -> Interval:
    """The intersection; it may be empty."""
    lo, has_lo = (a[0], a[2]) if b[0] is None or (a[0] is not None and a[0] > b[0]) else (b[0], b[2])
    if a[0] == b[0]:
        has_lo = a[2] and b[2]
    hi, has_hi = (a[1], a[3]) if b[1] is None or (a[1] is not None and a[1] < b[1]) else (b[1], b[3])
    if a[1] == b[1]:
        has_hi = a[3] and b[3]
    return lo, hi, has_lo, has_hi


def _has_length(interval: Interval) -> bool:
    return interval[0] is None or interval[1] is None or bool(interval[0] < interval[1])


def _is_empty(interval: Interval) -> bool:
    lo, hi, has_lo, has_hi = interval
    return not _has_length(interval) and not (lo == hi and has_lo and has_hi)


def continuous(model: Tree, data: Tree) -> None:
    """Proves continuity: neighbouring pieces agree at every breakpoint."""
    only_keys(data, (), "data")
    f = Line(model)
    for k, t in enumerate(f.breakpoints):
        if f.at(k, t) != f.at(k + 1, t):
            reject(f"f jumps at breakpoints[{k}]")


def jump(model: Tree, data: Tree) -> None:
    """Refutes continuity: the pieces on both sides of ``breakpoint`` (an index) disagree there."""
    only_keys(data, ("breakpoint",), "data")
    f = Line(model)
    k = index(data["breakpoint"], len(f.breakpoints), "breakpoint")
    if f.at(k, f.breakpoints[k]) == f.at(k + 1, f.breakpoints[k]):
        reject(f"f is continuous at breakpoints[{k}]")


def injective(model: Tree, data: Tree) -> None:
    """Proves F4: no piece is constant, and no two half-open pieces take a common value.

    For two pieces the solutions of f_k(z) = f_l(w) are none, one point, or a line that is a graph over both axes (no
    piece is constant); each is intersected with the two intervals.
    """
    only_keys(data, (), "data")
    f = Line(model)
    for k in range(f.count):
        if f.is_flat(k):
            reject(f"piece {k} is constant")
        for l in range(k):
            both = f.meeting(k, l)
            if both is None:
                continue
            if both.directions:
                shadow = f.shadow(k, l)
                meets = shadow is not None and not _is_empty(_common(f.interval(k), shadow))
            else:
                z, w = both.point
                meets = _contains(f.interval(k), z) and _contains(f.interval(l), w)
            if meets:
                reject(f"pieces {l} and {k} take a common value")


def observably_injective(model: Tree, data: Tree) -> None:
    """Proves F3, and with it F2: some piece is not constant, and no two such pieces share a segment.

    The image then has dimension one. Constant pieces add finitely many values, pieces on different lines meet in
    finitely many values, and so do pieces on one line without a common segment: repeated values have length zero.
    """
    only_keys(data, (), "data")
    f = Line(model)
    moving = [k for k in range(f.count) if not f.is_flat(k)]
    if not moving:
        reject("all pieces are constant")
    for k in moving:
        for l in moving:
            shadow = f.shadow(k, l) if l < k else None
            if shadow is not None and _has_length(_common(f.interval(k), shadow)):
                reject(f"pieces {l} and {k} take a segment of values twice")


def single_preimage(model: Tree, data: Tree) -> None:
    """Proves F2: ``z`` is inside a piece that is not constant, and no closure of another piece takes f(z).

    The images of the other closures are closed and miss f(z). So near f(z) only the own piece takes values, each once,
    and these have positive length.
    """
    only_keys(data, ("z",), "data")
    f = Line(model)
    if not isinstance(data["z"], list | tuple):
        reject(f"z: expected a list with one number, got {data['z']!r}")
    z = numbers(data["z"], 1, "z")[0]
    own = f.piece(z)
    if z in f.breakpoints or f.is_flat(own):
        reject("z is a breakpoint, or its piece is constant")
    value = f.at(own, z)
    for l in range(f.count):
        if l == own:
            continue
        found = solutions([[a, v - c] for a, v, c in zip(f.slopes[l], value, f.intercepts[l], strict=True)], 1)
        lo, hi, _, _ = f.interval(l)
        if found is not None and (found.directions or _contains((lo, hi, True, True), found.point[0])):
            reject(f"the closure of piece {l} takes the value f(z)")


def covered(model: Tree, data: Tree) -> None:
    """Refutes F2: on every piece that is not constant, the values are taken by other pieces, up to length zero.

    A ball in which the image has positive length holds a segment of values of such a piece, and almost all of them have
    a second preimage. Without such pieces no ball has positive length, and every value is taken on an interval.
    """
    only_keys(data, (), "data")
    f = Line(model)
    moving = [k for k in range(f.count) if not f.is_flat(k)]
    for k in moving:
        shadows = [shadow for l in moving if l != k and (shadow := f.shadow(k, l)) is not None]
        gaps = [f.interval(k)]
        for lo, hi, _, _ in shadows:
            below, above = (None, lo, False, False), (hi, None, False, False)
            gaps = [part for gap in gaps for side, end in ((below, lo), (above, hi)) if end is not None
                    and _has_length(part := _common(gap, side))]
        if gaps:
            reject(f"no other piece takes the values of piece {k} near z between {gaps[0][0]} and {gaps[0][1]}")


def flat(model: Tree, data: Tree) -> None:
    """Refutes F2, F3 and F4: every piece is constant, so every value is taken on an interval."""
    only_keys(data, (), "data")
    f = Line(model)
    for k in range(f.count):
        if not f.is_flat(k):
            reject(f"piece {k} is not constant")


VERIFIERS: dict[str, Callable[[Tree, Tree], None]] = {
    "line.continuous": continuous,
    "line.jump": jump,
    "line.injective": injective,
    "line.observably_injective": observably_injective,
    "line.single_preimage": single_preimage,
    "line.covered": covered,
    "line.flat": flat,
}

_NOT_F2 = {"F2": False, "F3": False, "F4": False, "ivae.injective": False}

#: What an accepted proof of a kind says: condition id -> True (it holds) or False (it fails).
PROVES: dict[str, dict[str, bool]] = {
    "line.continuous": {"continuous": True},
    "line.jump": {"continuous": False},
    "line.injective": {"F4": True, "F3": True, "F2": True, "ivae.injective": True},
    "line.observably_injective": {"F3": True, "F2": True},
    "line.single_preimage": {"F2": True},
    "line.covered": _NOT_F2,
    "line.flat": _NOT_F2,
}
