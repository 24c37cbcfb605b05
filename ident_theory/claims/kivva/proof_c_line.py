"""Piecewise affine maps of the line in fractions: preimages counted one by one, by a route of their own.

Pieces may be open, closed or single points, so that the literal wording of a definition can be tested too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ident_theory.models import GaussianMixture, PiecewiseAffineMap


@dataclass(frozen=True)
class Piece:
    """z -> slope z + intercept for z between `low` and `high` (None: unbounded); ends belong to it where closed."""

    low: Fraction | None
    high: Fraction | None
    slope: Fraction
    intercept: Fraction
    closed: tuple[bool, bool] = (True, False)

    def has(self, z: Fraction) -> bool:
        """Whether z belongs to the piece."""
        above = self.low is None or self.low < z or (self.closed[0] and self.low == z)
        below = self.high is None or z < self.high or (self.closed[1] and self.high == z)
        return above and below

    def at(self, z: Fraction) -> Fraction:
        """The affine map of the piece, also outside it."""
        return self.slope * z + self.intercept

    def inside(self, z: Fraction) -> bool:
        """Whether z is an interior point."""
        return (self.low is None or self.low < z) and (self.high is None or z < self.high)


LineMap = tuple[Piece, ...]


def pieces_of(f: PiecewiseAffineMap) -> LineMap:
    """The pieces of a map with values in R; a breakpoint belongs to the piece on its right."""
    ends: list[Fraction | None] = [None, *f.breakpoints_exact, None]
    return tuple(Piece(low, high, a[0], c[0]) for (low, high), a, c in zip(pairwise(ends), f.slopes_exact,
                                                                         f.intercepts_exact, strict=True))


def written(f: LineMap) -> str:
    """The pieces as a user would write them."""
    parts = []
    for piece in f:
        if piece.low is not None and piece.low == piece.high:
            parts.append(f"{piece.at(piece.low)} at z = {piece.low}")
            continue
        low = "" if piece.low is None else f"{piece.low} {'<=' if piece.closed[0] else '<'} "
        high = "" if piece.high is None else f" {'<=' if piece.closed[1] else '<'} {piece.high}"
        parts.append(f"{piece.slope} z + {piece.intercept} for {low}z{high}")
    return "; ".join(parts)


def with_value(f: LineMap, z: Fraction, value: Fraction) -> LineMap:
    """The same map with another value at the one point z, a break of f or not."""
    out: list[Piece] = [Piece(z, z, Fraction(0), value, (True, True))]
    for piece in f:
        if piece.inside(z):
            out += [Piece(piece.low, z, piece.slope, piece.intercept, (piece.closed[0], False)),
                    Piece(z, piece.high, piece.slope, piece.intercept, (False, piece.closed[1]))]
        else:
            closed = (piece.closed[0] and piece.low != z, piece.closed[1] and piece.high != z)
            out.append(Piece(piece.low, piece.high, piece.slope, piece.intercept, closed))
    return tuple(out)


def preimages(f: LineMap, x: Fraction) -> list[Fraction] | None:
    """All z with f(z) = x; None when they are infinitely many."""
    found = set()
    for piece in f:
        if piece.slope:
            z = (x - piece.intercept) / piece.slope
            if piece.has(z):
                found.add(z)
        elif piece.intercept == x:
            if piece.low is None or piece.low != piece.high:
                return None
            if piece.has(piece.low):
                found.add(piece.low)
    return sorted(found)


def marks(f: LineMap) -> list[Fraction]:
    """The values where the number of preimages can change: at and next to ends of pieces."""
    return sorted({piece.at(end) for piece in f for end in (piece.low, piece.high) if end is not None}
                  | {piece.intercept for piece in f if not piece.slope})


def gaps(f: LineMap) -> list[Fraction]:
    """One value between any two neighbouring marks, and one beyond either end."""
    return between(marks(f))


def between(values: Iterable[Fraction]) -> list[Fraction]:
    """One number of every open interval into which these split the line."""
    ends = sorted(set(values))
    if not ends:
        return [Fraction(0)]
    return [ends[0] - 1, *((a + b) / 2 for a, b in pairwise(ends)), ends[-1] + 1]


def counts(f: LineMap) -> list[int]:
    """Numbers of preimages between the marks, from left to right."""
    return [len(preimages(f, x) or ()) for x in gaps(f)]


def has_length(f: LineMap) -> bool:
    """Whether the image has dimension one."""
    return any(piece.slope and (piece.low is None or piece.low != piece.high) for piece in f)


def is_weakly_injective(f: LineMap) -> bool:
    """F2 with a ball of positive measure in the image: some interval of values is taken exactly once."""
    return 1 in counts(f)


def is_observably_injective(f: LineMap) -> bool:
    """F3: up to a null set of an image of dimension one, every value is taken once."""
    return has_length(f) and max(counts(f)) == 1


def is_injective(f: LineMap) -> bool:
    """F4: no value is taken twice."""
    values = [*marks(f), *gaps(f)]
    return all((found := preimages(f, x)) is not None and len(found) <= 1 for x in values)


def is_injective_inside(f: LineMap) -> bool:
    """F4 but for values at the ends of pieces, which have no mass: for continuous maps the same."""
    return all((found := preimages(f, x)) is not None and sum(any(p.inside(z) for p in f) for z in found) <= 1
               for x in [*marks(f), *gaps(f)])


def is_continuous(f: LineMap) -> bool:
    """Whether the pieces meet, single points included."""
    ends = {end for piece in f for end in (piece.low, piece.high) if end is not None}
    return all(len({piece.at(t) for piece in f if t in (piece.low, piece.high)}) == 1 for t in ends)


def is_generic(f: LineMap, x: Fraction) -> bool:
    """Definition C.6 as printed: x is a value, with finitely many preimages, and f is affine near each of them."""
    found = preimages(f, x)
    return bool(found) and all(any(piece.inside(z) for piece in f) for z in found or ())


def is_stable(f: LineMap, x: Fraction) -> bool:
    """Whether the preimages vary affinely near x: x is no mark."""
    return x not in marks(f)


def printed_weak_injectivity(f: LineMap, x: Fraction, radius: Fraction) -> bool:
    """F2 word for word, with x a value: values within `radius` of x are taken once, and infinite fibres are null.

    Null by having fewer dimensions than the image: on the line, finitely many values of an image with length.
    """
    near = [v for v in [x, *marks(f)] if abs(v - x) < radius]
    ends = [x - radius, *near, x + radius]
    values = [v for v in [*near, *((a + b) / 2 for a, b in pairwise(sorted(set(ends))))]]
    single = all(found is not None and len(found) <= 1 for found in map(lambda v: preimages(f, v), values))
    return single and len(preimages(f, x) or ()) == 1 and has_length(f)


def merge(f: LineMap, x: Fraction, prior: GaussianMixture) -> dict[tuple[Fraction, Fraction], Fraction]:
    """The density of f(Z) at a stable value, as weights of normal densities (mean, variance): one term a branch."""
    sums: dict[tuple[Fraction, Fraction], Fraction] = {}
    for z in preimages(f, x) or ():
        piece = next(p for p in f if p.inside(z))
        for w, mean, c in zip(prior.weights_exact, prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0],
                              strict=True):
            name = (piece.at(mean), piece.slope**2 * c)
            sums[name] = sums.get(name, Fraction(0)) + w
    return {name: w for name, w in sums.items() if w}


def equal_laws(f: LineMap, prior_f: GaussianMixture, g: LineMap, prior_g: GaussianMixture) -> bool:
    """Whether two maps without flat pieces push definite mixtures to one law, by their branches at all values."""
    if not all(piece.slope or (piece.low is not None and piece.low == piece.high) for piece in (*f, *g)):
        raise ValueError("equal_laws: expected maps without flat pieces")
    return all(merge(f, x, prior_f) == merge(g, x, prior_g) for x in between([*marks(f), *marks(g)]))


def line_map(breaks: Sequence[object], slopes: Sequence[object], start: object = 0) -> PiecewiseAffineMap:
    """The continuous map with these slopes that has the value `start` at the first break (at 0 without one)."""
    t, a = [Fraction(str(v)) for v in breaks], [Fraction(str(v)) for v in slopes]
    at = t[0] if t else Fraction(0)
    c = [Fraction(str(start)) - a[0] * at]
    for k, here in enumerate(t):
        c.append(c[k] + (a[k] - a[k + 1]) * here)
    return PiecewiseAffineMap(t, a, c)
