"""Broken lines in the plane as decoders of one latent, where they cross themselves; self-maps of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
from hypothesis import strategies as st

from ident_theory.claims.kivva.proof_c_line import between
from ident_theory.claims.kivva.proof_c_pairs import Pair, mixtures, rearranged
from ident_theory.models import AffineChange, GaussianMixture, PiecewiseAffineMap, ReLUNetwork

Point = tuple[int, int]


def broken_line(nodes: Sequence[int], points: Sequence[Point], left: Point, right: Point) -> PiecewiseAffineMap:
    """The curve through these points at these times, which arrives and leaves with these velocities."""
    at = [np.array([Fraction(v) for v in p], dtype=object) for p in points]
    slopes = [np.array([Fraction(v) for v in left], dtype=object),
              *((b - a) / Fraction(t - s) for (s, t), (a, b) in zip(pairwise(nodes), pairwise(at), strict=True)),
              np.array([Fraction(v) for v in right], dtype=object)]
    starts = [(nodes[0], at[0]), *zip(nodes, at, strict=True)]
    return PiecewiseAffineMap(nodes, [a.tolist() for a in slopes],
                              [(p - a * t).tolist() for a, (t, p) in zip(slopes, starts, strict=True)])


#: A triangle between the times -3 and 3, from the origin to the origin, and two tails along the negative axes.
TRIANGLE = broken_line([-3, -1, 1, 3], [(0, 0), (2, 1), (1, 2), (0, 0)], (1, 0), (0, -1))


def soft(t: Fraction) -> Fraction:
    """How far t is above 1 or below -1."""
    return t - max(Fraction(-1), min(Fraction(1), t))


def tip(a: Fraction, b: Fraction) -> tuple[Fraction, Fraction]:
    """A square about 0 goes to the segment from (0, 0) to (-1, -1), what is around it onto the plane."""
    along = min(Fraction(1), max(abs(a), abs(b)))
    return soft(a) - along, soft(b) - along


#: The same as a network: |a|, (|b| - |a|)_+ and the parts of `soft`; then the maximum and its excess over 1.
TIP = ReLUNetwork(
    [[[1, 0], [-1, 0], [0, 1], [0, -1]] * 2,
     [[1, 1, 0, 0, 0, 0, 0, 0], [-1, -1, 1, 1, 0, 0, 0, 0], *([int(j == k) for j in range(8)] for k in range(4, 8))],
     [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], *([int(j == k) for j in range(6)] for k in range(2, 6))],
     [[-1, 1, 1, -1, 0, 0], [-1, 1, 0, 0, 1, -1]]],
    [[0] * 4 + [-1] * 4, [0] * 6, [0, -1, 0, 0, 0, 0], [0, 0]])


@dataclass(frozen=True)
class SelfMap:
    """f(z) = A z + c + w max(0, n.z + b) of the plane, or a map of the line; and a mixture."""

    prior: GaussianMixture
    decoder: ReLUNetwork | PiecewiseAffineMap


def bent(a: list[list[Fraction]], c: list[Fraction], w: list[Fraction], n: list[Fraction],
         b: Fraction) -> ReLUNetwork:
    """A z + c + w max(0, n.z + b)."""
    rows = [[a[i][0], a[i][1]] for i in range(2)]
    return ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1], n],
                        [[row[0], -row[0], row[1], -row[1], k] for row, k in zip(rows, w, strict=True)]],
                       [[0, 0, 0, 0, b], c])


def _ends(f: PiecewiseAffineMap, k: int) -> tuple[Fraction | None, Fraction | None]:
    t = f.breakpoints_exact
    return (t[k - 1] if k else None), (t[k] if k < len(t) else None)


def _within(t: Fraction, ends: tuple[Fraction | None, Fraction | None]) -> bool:
    return (ends[0] is None or ends[0] <= t) and (ends[1] is None or t <= ends[1])


def repeated_times(f: PiecewiseAffineMap) -> list[Fraction] | None:
    """The times at which a continuous curve is where it also is at another time; None for a whole stretch of them."""
    found: set[Fraction] = set()
    for i, j in combinations(range(len(f.slopes_exact)), 2):
        a, b = f.slopes_exact[i], f.slopes_exact[j]
        gap = f.intercepts_exact[j] - f.intercepts_exact[i]
        cross = a[0] * b[1] - a[1] * b[0]
        if cross:
            s, t = (gap[0] * b[1] - gap[1] * b[0]) / cross, (gap[0] * a[1] - gap[1] * a[0]) / cross
            if _within(s, _ends(f, i)) and _within(t, _ends(f, j)) and s != t:
                found |= {s, t}
        elif a[0] * gap[1] == a[1] * gap[0] and _stretch(f, i, j):
            return None
    return sorted(found) if f.slopes_exact.any(axis=1).all() else None


def _stretch(f: PiecewiseAffineMap, i: int, j: int) -> bool:
    """Whether two pieces on one line overlap in more than a point; a piece without direction counts."""
    axis = 0 if f.slopes_exact[i][0] else 1
    spans = []
    for k in (i, j):
        a, c = f.slopes_exact[k][axis], f.intercepts_exact[k][axis]
        if not a:
            return True
        low, high = _ends(f, k)[::1 if a > 0 else -1]
        spans.append((None if low is None else a * low + c, None if high is None else a * high + c))
    lows, highs = [s[0] for s in spans if s[0] is not None], [s[1] for s in spans if s[1] is not None]
    return not lows or not highs or max(lows) < min(highs)


@st.composite
def orbits(draw: st.DrawFn) -> GaussianMixture:
    """A mixture in the plane that the quarter turn keeps."""
    rows: dict[tuple[int, int], int] = {}
    for _ in range(draw(st.integers(1, 2))):
        x, y = draw(st.integers(-2, 2)), draw(st.integers(0, 2))
        v = draw(st.integers(1, 2))
        for _ in range(4):
            x, y = -y, x
            rows[x, y] = v
    count = len(rows)
    return GaussianMixture([Fraction(1, count)] * count, [list(z) for z in rows], [[v, v] for v in rows.values()])


@dataclass(frozen=True)
class OnParts:
    """Two curves with their priors, and some components of the line without the repeated times of the first."""

    pair: Pair
    parts: tuple[int, ...]


def agree_on(f: PiecewiseAffineMap, g: PiecewiseAffineMap, h: AffineChange,
             low: Fraction | None, high: Fraction | None) -> bool:
    """Whether g o h = f between two times."""
    a, b = h.matrix_exact[0, 0], h.shift_exact[0]
    cuts = [*f.breakpoints_exact, *((t - b) / a for t in g.breakpoints_exact)]
    inner = sorted({t for t in cuts if (low is None or low < t) and (high is None or t < high)}
                   | {t for t in (low, high) if t is not None})
    places = [t for t in between(inner) if (low is None or low < t) and (high is None or t < high)]

    def piece(m: PiecewiseAffineMap, t: Fraction) -> tuple[np.ndarray, np.ndarray]:
        k = sum(s <= t for s in m.breakpoints_exact)
        return m.slopes_exact[k], m.intercepts_exact[k]

    for t in places:
        (p, c), (q, d) = piece(f, t), piece(g, a * t + b)
        if (p != q * a).any() or (c != q * b + d).any():
            return False
    return True


@st.composite
def loops(draw: st.DrawFn, dropped: frozenset[str] = frozenset()) -> OnParts:
    """One loop or two on a common point; the second curve runs through some of them, or the tails, backwards."""
    corner = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).filter(any)
    inner = [(0, 0), draw(corner), draw(corner), (0, 0)]
    if draw(st.booleans()):
        nodes, points, radii = [-3, -1, 1, 3], inner, [Fraction(3)]
    else:
        nodes, points = [-6, -5, -4, -3, -1, 1, 3, 4, 5, 6], [
            (0, 0), draw(corner), draw(corner), *inner, draw(corner), draw(corner), (0, 0)]
        radii = draw(st.sampled_from([[Fraction(3)], [Fraction(6)], [Fraction(3), Fraction(6)]]))
    f = broken_line(nodes, points, draw(corner), draw(corner))
    p = draw(mixtures(symmetric=True, most=2))
    g = rearranged(f, radii) if draw(st.booleans()) or dropped else f
    h = AffineChange(draw(st.sampled_from([1, -1, 2])), draw(st.integers(-1, 1)))
    moved = h.precompose(g)
    assert isinstance(moved, PiecewiseAffineMap)
    times = repeated_times(f)
    count = 1 if times is None else len(times) + 1
    parts = tuple(range(count)) if "connected trace" in dropped else (draw(st.integers(0, count - 1)),)
    return OnParts(Pair(f, p, moved, h.carry(p)), parts)
