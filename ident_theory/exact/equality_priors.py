"""Which affine maps relate two models, told from the priors alone where the decoders leave too much open.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from ident_theory.exact.equality_maps import KINDS, Map, decoders_agree, is_refuted, priors_differ
from ident_theory.exact.equality_pairs import Pair, joined
from ident_theory.exact.pair_equivalence import (
    Monomial,
    affine_invariants_differ,
    covariance_of,
    mean_of,
    monomial_maps,
)
from ident_theory.exact.pair_trees import Mixture, Pieces, Row, dot, pieces, reject, times


def may_be_related(pair: Pair, kind: str, points: Sequence[Row]) -> bool:
    """Whether a map of the kind, perhaps with irrational numbers, may relate the two models.

    One latent: exactly, for a first decoder that is constant on every piece. Several: affine and orthogonal maps are
    excluded by invariants of the priors; of the maps latent by latent the priors leave finitely many, unless a latent
    is constant, and each is excluded by the decoders (for three or more latents at one of `points`).
    """
    if pair.first.m == 1:
        return _is_flat_related(pair, kind)
    p, q = joined(pair)
    if affine_invariants_differ(p, q):
        return False
    if kind == "affine":
        return True
    if kind == "orthogonal":
        return _rigid(p) == _rigid(q)
    return any(_survives(pair, kind, p, q, change, points) for change in monomial_maps(p, q))


def _rigid(p: Mixture) -> Counter[tuple[Fraction, ...]]:
    """What maps z -> A z with orthogonal A keep, component by component."""
    return Counter((w, dot(mean, mean), _trace(c), _trace(times(c, c)), dot(mean, tuple(dot(r, mean) for r in c)))
                   for (mean, c), w in p.items())


def _trace(c: Sequence[Row]) -> Fraction:
    return sum((r[i] for i, r in enumerate(c)), Fraction(0))


def _survives(pair: Pair, kind: str, p: Mixture, q: Mixture, change: Monomial, points: Sequence[Row]) -> bool:
    """Whether a map latent by latent that carries p to q may be of the kind and keep the decoder."""
    m = len(change.order)
    if kind in ("equal", "permutation") and not (all(s == 1 for s in change.signs)
                                                 and all(v == 1 for v in change.squares)):
        return False
    roots = [Fraction(math.isqrt(v.numerator), math.isqrt(v.denominator)) for v in change.squares]
    is_open = kind == "monomial" and not all(covariance_of(p)[i][i] for i in range(m))
    if is_open or any(r * r != v for r, v in zip(roots, change.squares, strict=True)):
        return True
    scales = [s * r for s, r in zip(change.signs, roots, strict=True)]
    before, after = mean_of(p), mean_of(q)
    back = [change.order.index(k) for k in range(m)]
    matrix = tuple(tuple(scales[i] if i == k else Fraction(0) for i in range(m)) for k in back)
    shift = tuple(after[k] - scales[i] * before[i] for k, i in enumerate(back))
    return KINDS[kind](matrix, shift) and not is_refuted(pair, (matrix, shift), points)


def _is_flat_related(pair: Pair, kind: str) -> bool:
    f, g = pieces(pair.first.decoder), pieces(pair.second.decoder)
    if any(map(any, f.slopes)):
        reject("expected the entry at: the first decoder moves somewhere")
    if any(map(any, g.slopes)) or len(f.breaks) != len(g.breaks):
        return False
    if len(f.breaks) > 1:
        first, last = f.breaks[0], f.breaks[-1]
        images = [(g.breaks[0], g.breaks[-1]), (g.breaks[-1], g.breaks[0])]
        return any(_relates(pair, kind, (y - x) / (last - first), x - (y - x) / (last - first) * first)
                   for x, y in images)
    p, q = joined(pair)
    if not covariance_of(p)[0][0]:
        return _point_related(pair, kind, f, g, p, q)
    return any(_may_relate(kind, f, g, p, q, change.signs[0], change.squares[0]) for change in monomial_maps(p, q))


def _relates(pair: Pair, kind: str, scale: Fraction, shift: Fraction) -> bool:
    change: Map = ((scale,),), (shift,)
    return KINDS[kind](*change) and not priors_differ(pair, change) and decoders_agree(pair.first, pair.second, change)


def _may_relate(kind: str, f: Pieces, g: Pieces, p: Mixture, q: Mixture, sign: int, square: Fraction) -> bool:
    """Whether the map that carries p to q, with the scale sign * sqrt(square), is of the kind and keeps the decoder."""
    (a,), (b,) = mean_of(p), mean_of(q)
    if kind in ("equal", "permutation") and (sign, square, a) != (1, 1, b):
        return False
    if kind == "orthogonal" and (square != 1 or b != sign * a):
        return False
    if not f.breaks:
        return f.intercepts == g.intercepts
    (t,), (s,) = f.breaks, g.breaks
    if sign * square * (t - a) * abs(t - a) != (s - b) * abs(s - b):
        return False
    has_mass = any(not c[0][0] and mean[0] == t for mean, c in p)
    return f.intercepts == g.intercepts[::sign] and (sign > 0 or not has_mass)


def _point_related(pair: Pair, kind: str, f: Pieces, g: Pieces, p: Mixture, q: Mixture) -> bool:
    """The same for a point mass, which every scale carries to a point mass."""
    (a,), (b,) = mean_of(p), mean_of(q)
    if covariance_of(q)[0][0]:
        return False
    if f.breaks and (a == f.breaks[0]) != (b == g.breaks[0]):
        return False
    scales = [Fraction(1), Fraction(-1)]
    if f.breaks and a != f.breaks[0]:
        scales = [(g.breaks[0] - b) / (f.breaks[0] - a)]
    return any(_relates(pair, kind, scale, b - scale * a) for scale in scales)
