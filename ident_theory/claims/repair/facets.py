"""R3: an invertible affine map between products of intervals is a scaled permutation, by facets."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as cartesian

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy.calculus.util import minimum

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import Matrix, Row, inverse_or_none, invertible_matrices, matrices, shown_matrix
from ident_theory.claims.papers import REPAIRS
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(REPAIRS)

#: Ends of a closed interval; None is no end.
Interval = tuple[Fraction | None, Fraction | None]


@dataclass(frozen=True)
class BoxCase:
    """A t' + c for t' in a product of closed intervals, and the product that it should be."""

    a: Matrix
    shift: Row
    source: tuple[Interval, ...]
    target: tuple[Interval, ...]


def row_range(row: Row, shift: Fraction, box: tuple[Interval, ...]) -> Interval:
    """The values of an affine function on a product of closed intervals, exactly."""
    low: Fraction | None = shift
    high: Fraction | None = shift
    for entry, (start, end) in zip(row, box, strict=True):
        if entry == 0:
            continue
        first, last = (start, end) if entry > 0 else (end, start)
        low = None if low is None or first is None else low + entry * first
        high = None if high is None or last is None else high + entry * last
    return low, high


def _within(inner: Interval, outer: Interval) -> bool:
    return ((outer[0] is None or (inner[0] is not None and inner[0] >= outer[0]))
            and (outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])))


def is_onto(case: BoxCase) -> bool:
    """Whether the image is the target: both inclusions for an invertible A; one row needs only its range.

    False also where A is neither, which is not decided.
    """
    ranges = [row_range(row, c, case.source) for row, c in zip(case.a, case.shift, strict=True)]
    if len(case.a) == 1:
        return ranges[0] == case.target[0]
    back = inverse_or_none(case.a) if len(case.a) == len(case.a[0]) else None
    if back is None or not all(_within(r, t) for r, t in zip(ranges, case.target, strict=True)):
        return False
    moved = [sum((-b * c for b, c in zip(row, case.shift, strict=True)), Fraction(0)) for row in back]
    return all(_within(row_range(row, c, case.target), s)
               for row, c, s in zip(back, moved, case.source, strict=True))


def _is_invertible(case: BoxCase) -> bool:
    return len(case.a) == len(case.a[0]) and inverse_or_none(case.a) is not None


def _is_bounded(interval: Interval) -> bool:
    return interval != (None, None)


def single_entry(row: Row) -> bool:
    """Whether exactly one entry is not zero."""
    return sum(entry != 0 for entry in row) == 1


_ENDS = st.sampled_from([Fraction(v) for v in (0, 1, -1)] + [Fraction(1, 2), Fraction(100)])


@st.composite
def _intervals(draw: st.DrawFn, kinds: tuple[str, ...]) -> Interval:
    kind = draw(st.sampled_from(kinds))
    if kind == "line":
        return None, None
    start = draw(_ENDS)
    if kind == "point":
        return start, start
    if kind == "segment":
        return start, start + draw(st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 3)]))
    return (start, None) if kind == "up" else (None, start)


@st.composite
def _cases(draw: st.DrawFn, dropped: frozenset[str], any_line: bool = False) -> BoxCase:
    n = draw(st.integers(1, 3))
    kinds: tuple[str, ...] = ("up", "down", "segment")
    if any_line or "bounded on a side" in dropped:
        kinds = ("up", "line", "segment", "down")
    if "non-degenerate" in dropped:
        kinds = ("up", "point", "segment", "down")
    if "A invertible" in dropped and draw(st.booleans()):
        d = draw(st.integers(2, 3))
        a, n = draw(matrices(1, d)), 1
    else:
        d, a = n, draw(invertible_matrices(n))
    source = tuple(draw(_intervals(kinds)) for _ in range(d))
    shift = draw(matrices(1, n))[0]
    box = tuple(row_range(row, c, source) for row, c in zip(a, shift, strict=True))
    target = tuple(draw(_intervals(kinds)) for _ in range(n)) if draw(st.integers(0, 9)) == 9 else box
    return BoxCase(a, shift, source, target)


def _shown(case: BoxCase) -> str:
    def text(box: tuple[Interval, ...]) -> str:
        return " x ".join(f"[{'-oo' if low is None else low}, {'oo' if high is None else high}]" for low, high in box)
    return f"A = {shown_matrix(case.a)}, c = {shown_matrix([case.shift])}: {text(case.source)} -> {text(case.target)}"


def facets() -> Universal[BoxCase]:
    """R3 for the closed convex hulls, decided by interval arithmetic in rationals."""
    return Universal(
        "an invertible affine map of a product of intervals onto a product of non-degenerate intervals, each bounded "
        "on at least one side, has exactly one non-zero entry in every row",
        cases=_cases, conclusion=lambda case: all(map(single_entry, case.a)),
        hypotheses={"A invertible": _is_invertible, "onto": is_onto,
                    "non-degenerate": lambda case: all(low is None or low != high for low, high in case.target),
                    "bounded on a side": lambda case: all(map(_is_bounded, case.target))},
        needed=("A invertible", "onto", "non-degenerate", "bounded on a side"), show=_shown)


def facets_by_rows() -> Universal[BoxCase]:
    """R3 row by row: the other intervals may be whole lines."""
    return Universal(
        "if A carries a product of intervals onto a product of non-degenerate intervals and I_i is bounded on at least "
        "one side, then row i of A has exactly one non-zero entry, whatever the other intervals",
        cases=lambda dropped: _cases(dropped, any_line=True),
        conclusion=lambda case: all(single_entry(row) for row, interval in zip(case.a, case.target, strict=True)
                                    if _is_bounded(interval)),
        hypotheses={"A invertible": _is_invertible, "onto": is_onto,
                    "non-degenerate": lambda case: all(low is None or low != high for low, high in case.target)},
        needed=("A invertible", "onto", "non-degenerate"), show=_shown)


def face_dimensions() -> dict[tuple[int, str], int | None]:
    """Dimension of the set where a t is least on a closed interval, for the sign of a; None if nothing is least."""
    t, size = sp.Symbol("t", real=True), sp.Symbol("a", positive=True)
    intervals = {"up": sp.Interval(0, sp.oo), "down": sp.Interval(-sp.oo, 0), "segment": sp.Interval(0, 1),
                 "line": sp.Interval(-sp.oo, sp.oo)}
    found: dict[tuple[int, str], int | None] = {}
    for sign, (name, domain) in cartesian((-1, 0, 1), intervals.items()):
        value = sign * size * t
        least = minimum(value, t, domain)
        if least == -sp.oo:
            found[sign, name] = None
            continue
        where = domain if value == least else sp.solveset(sp.Eq(value, least), t, domain)
        is_point = isinstance(where, sp.FiniteSet) and len(where) == 1
        found[sign, name] = 0 if is_point else 1 if where.measure > 0 else None
    return found


def monomial_counts() -> dict[str, tuple[int, int]]:
    """Integer matrices that carry the orthant, or the cube [-1, 1]^n, onto itself, and how many are no permutation.

    Integer arithmetic with the adjugate; n = 2 with entries up to 3, n = 3 with entries up to 1.
    """
    found = {}
    for n, size in ((2, 3), (3, 1)):
        grid = np.array(list(cartesian(range(-size, size + 1), repeat=n * n)), dtype=np.int64).reshape(-1, n, n)
        adjugate, det = _adjugates(grid)
        grid, adjugate, det = grid[det != 0], adjugate[det != 0], det[det != 0]
        back = adjugate * np.sign(det)[:, None, None]
        monomial = ((grid != 0).sum(axis=2) == 1).all(axis=1)
        orthant = (grid >= 0).all(axis=(1, 2)) & (back >= 0).all(axis=(1, 2))
        cube = ((np.abs(grid).sum(axis=2) <= 1).all(axis=1)
                & (np.abs(back).sum(axis=2) <= np.abs(det)[:, None]).all(axis=1))
        for name, kept in (("orthant", orthant), ("cube", cube)):
            found[f"{name}, n = {n}"] = (int(kept.sum()), int((kept & ~monomial).sum()))
    return found


def _adjugates(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = grid.shape[1]
    adjugate = np.empty_like(grid)
    for i, j in cartesian(range(n), repeat=2):
        rows, columns = [r for r in range(n) if r != i], [c for c in range(n) if c != j]
        minor = grid[:, rows][:, :, columns]
        value = minor[:, 0, 0] if n == 2 else minor[:, 0, 0] * minor[:, 1, 1] - minor[:, 0, 1] * minor[:, 1, 0]
        adjugate[:, j, i] = (-1) ** (i + j) * value
    return adjugate, (grid[:, 0] * adjugate[:, :, 0]).sum(axis=1)


@chapter.claim(
    "repair.r3", place="audit, section 0, R3", kind=Kind.REPAIR,
    statement="Let A be invertible and carry I'_1 x ... x I'_n, shifted by c, onto I_1 x ... x I_n, where every I_i "
              "has more than one point and is bounded on at least one side. Then every row of A has exactly one "
              "non-zero entry: A is a permutation with scales, which may be negative.",
    hypotheses=("A is square and "
                "invertible", "the image is the whole product, not a part of it", "both sets are products",
                "every I_i has at least two points", "every I_i is bounded above or below",
                "where the relation holds almost everywhere only: I_i and I'_i are the closed supports"),
    universal=facets)
def scaled_permutation(on: Record) -> None:
    """The dimension of the face where a row is least, by cases; all small integer matrices; random boxes."""
    dimensions = face_dimensions()
    one_dimensional = {key for key, value in dimensions.items() if value == 1}
    on.printed.prove(
        one_dimensional == {(0, name) for name in ("up", "down", "segment", "line")}
        and all(value in (0, 1, None) for value in dimensions.values()),
        "the facet {t_i = end} of the target has dimension n - 1 and comes from the face of the source where row i is "
        "least (or greatest); a separable function is least where every term is, and a_j t'_j is least on a set of "
        "dimension 1 exactly if a_j = 0 (12 cases of sign and interval, symbolic; no I'_j is a point, as A is "
        "invertible and no I_i is): so n - 1 entries of row i vanish, for every n")
    counts = monomial_counts()
    on.printed.support(all(bad == 0 and total > 0 for total, bad in counts.values()),
                       "; ".join(f"{name}: {total} integer matrices carry it onto itself, {bad} not monomial"
                                 for name, (total, bad) in counts.items()),
                       cases=7**4 + 3**9, evidence=Evidence.EXACT)
    on.printed.search(cases=300)


@chapter.claim(
    "repair.r3.rows", place="after R3", kind=Kind.ADDED,
    statement="R3 holds row by row: if I_i is bounded above or below, then row i of A has exactly one non-zero entry, "
              "also where other intervals are whole lines: lines in the polyhedron need no separate argument.",
    hypotheses=("A is square and invertible", "the image is the whole product", "every I_i has at least two points",
                "I_i is bounded above or below for the row in question"),
    universal=facets_by_rows)
def row_by_row(on: Record) -> None:
    """The face of row i alone decides row i; the rows of unbounded intervals are free."""
    dimensions = face_dimensions()
    on.printed.prove(dimensions[0, "line"] == 1 and dimensions[1, "line"] is None and dimensions[-1, "line"] is None
                     and {key for key, value in dimensions.items() if value == 1} == {(0, name) for name in
                                                                                     ("up", "down", "segment", "line")},
                     "the argument of R3 uses one facet {t_i = end}: on a line a_j t'_j has a least value only for a_j "
                     "= 0, where its dimension is 1, as for the other intervals")
    on.printed.search(cases=300)
