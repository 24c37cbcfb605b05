"""Two maps of the line and two mixtures whose images have one law for a reason that is built in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from ident_theory.claims.kivva.proof_c_line import (
    is_continuous,
    is_injective_inside,
    is_weakly_injective,
    pieces_of,
)
from ident_theory.claims.shown import show_models
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap
from ident_theory.recovery import exact_alignments

Number = Fraction


@dataclass(frozen=True)
class Pair:
    """(f, P) and (g, Q) on the line."""

    f: PiecewiseAffineMap
    p: GaussianMixture
    g: PiecewiseAffineMap
    q: GaussianMixture

    @property
    def models(self) -> tuple[Model, Model]:
        """Both as models without noise."""
        return Model(self.p, self.f), Model(self.q, self.g)

    def show(self) -> str:
        """As two model files."""
        first, second = self.models
        return show_models(first=first, second=second)


def same_law(pair: Pair) -> bool:
    """Whether f(Z) and g(Z') are equally distributed, in rationals."""
    first, second = ((line_pieces(f), components_of(p)) for f, p in ((pair.f, pair.p), (pair.g, pair.q)))
    return law_key(*first) == law_key(*second)


def is_reduced(p: GaussianMixture) -> bool:
    """Definition C.1: positive weights, no component twice."""
    rows = [(*mean, *c.ravel()) for mean, c in zip(p.means_exact, p.covariances_exact, strict=True)]
    return all(w > 0 for w in p.weights_exact) and len(set(rows)) == len(rows)


def is_definite(p: GaussianMixture) -> bool:
    """Whether every variance of a mixture on the line is positive."""
    return all(c[0, 0] > 0 for c in p.covariances_exact)


def listed(p: GaussianMixture) -> list[tuple[Any, ...]]:
    """The components as they stand, in an order that does not depend on how they are numbered."""
    return sorted((w, *mean, *c.ravel()) for w, mean, c in zip(p.weights_exact, p.means_exact, p.covariances_exact,
                                                              strict=True))


def matched(p: GaussianMixture, q: GaussianMixture) -> bool | None:
    """Whether an invertible affine h carries the components of P, weights and all, to those of Q one by one.

    None where such an h exists, but none in rationals.
    """
    found = exact_alignments(p, q)
    if any(listed(h.carry(p)) == listed(q) for h in found.changes):
        return True
    return None if found.exist is None or (found.exist and not found.changes) else False


HYPOTHESES = {
    "equal laws": same_law,
    "weak injectivity": lambda pair: any(is_weakly_injective(pieces_of(f)) for f in (pair.f, pair.g)),
    "reduced form": lambda pair: is_reduced(pair.p) and is_reduced(pair.q),
    "definite covariances": lambda pair: is_definite(pair.p) and is_definite(pair.q),
    "continuity": lambda pair: all(is_continuous(pieces_of(f)) for f in (pair.f, pair.g)),
    "injectivity": lambda pair: all(is_injective_inside(pieces_of(f)) for f in (pair.f, pair.g)),
}


def node_map(nodes: Sequence[Number], values: Sequence[Number], left: Number, right: Number) -> PiecewiseAffineMap:
    """The continuous map through these points, with these slopes before the first and after the last."""
    pairs = list(zip(pairwise(nodes), pairwise(values), strict=True))
    slopes = [left, *((b - a) / (t - s) for (s, t), (a, b) in pairs), right]
    starts = [(nodes[0], values[0]), *zip(nodes, values, strict=True)]
    return PiecewiseAffineMap(nodes, slopes, [v - a * t for a, (t, v) in zip(slopes, starts, strict=True)])


def rearranged(f: PiecewiseAffineMap, radii: Sequence[Number]) -> PiecewiseAffineMap:
    """f o T for T(z) = -z where an odd number of the radii lies above \\|z\\|, else z.

    T keeps every law that is symmetric about 0. Values at single points may differ.
    """
    ends = sorted({*f.breakpoints_exact, *(-t for t in f.breakpoints_exact), *radii, *(-r for r in radii)})
    slopes, intercepts = [], []
    for low, high in pairwise([None, *ends, None]):
        z = Fraction(0) if low is None and high is None else high - 1 if low is None else low + 1 if high is None \
            else (low + high) / 2
        sign = -1 if sum(abs(z) < r for r in radii) % 2 else 1
        k = sum(t <= sign * z for t in f.breakpoints_exact)
        slopes.append(sign * f.slopes_exact[k])
        intercepts.append(f.intercepts_exact[k])
    return PiecewiseAffineMap(ends, [a.tolist() for a in slopes], [c.tolist() for c in intercepts])


small = st.sampled_from([Fraction(v) for v in (0, 1, -1, 2, -2, 3, -3)] + [Fraction(1, 2), Fraction(-1, 2)])
nonzero = small.filter(bool)
positive = st.sampled_from([Fraction(v) for v in (1, 1, 2, 4)] + [Fraction(1, 2)])


@st.composite
def mixtures(draw: st.DrawFn, *, symmetric: bool = False, most: int = 3) -> GaussianMixture:
    """One to three normal components on the line, or such a set with its mirror image."""
    count = draw(st.integers(1, most))
    rows = [(draw(small), draw(positive)) for _ in range(count)]
    weights = [Fraction(draw(st.integers(1, 3))) for _ in rows]
    if symmetric:
        rows, weights = [*rows, *((-mu, v) for mu, v in rows)], weights * 2
    total = sum(weights)
    found = GaussianMixture([w / total for w in weights], [mu for mu, _ in rows], [v for _, v in rows])
    return found.reduced()


@st.composite
def continuous_maps(draw: st.DrawFn, *, increasing: bool = False) -> PiecewiseAffineMap:
    """One to four pieces; flat ones, folds and straight joints are common."""
    nodes = sorted(draw(st.sets(small, min_size=1, max_size=3)))
    values = [draw(small)]
    slope = positive if increasing else small
    for s, t in pairwise(nodes):
        values.append(values[-1] + draw(slope) * (t - s))
    return node_map(nodes, values, draw(slope), draw(slope))


@st.composite
def affine_copies(draw: st.DrawFn, increasing: bool = False) -> Pair:
    """(f, P) and (f o h^-1, h#P), jumps allowed where nothing asks for a monotone map."""
    f = draw(continuous_maps(increasing=increasing))
    if not increasing and draw(st.booleans()):
        f = PiecewiseAffineMap(f.breakpoints_exact, f.slopes_exact,
                               [[c[0] + draw(small)] for c in f.intercepts_exact])
    p = draw(mixtures())
    return Pair(f, p, f, p)


@st.composite
def folded(draw: st.DrawFn) -> Pair:
    """An even map, so that the mean of a component and its mirror image are not told apart."""
    half = draw(continuous_maps())
    nodes = sorted({abs(t) for t in half.breakpoints_exact} | {Fraction(1)})
    values = [Fraction(draw(st.integers(-2, 2))) for _ in nodes]
    end, start = draw(nonzero), values[0] - draw(nonzero) * nodes[0]
    both = [-t for t in reversed(nodes) if t], [v for t, v in zip(reversed(nodes), reversed(values), strict=True) if t]
    inner = [] if nodes[0] == 0 else [Fraction(0)]
    f = node_map([*both[0], *inner, *nodes], [*both[1], *([start] if inner else []), *values], -end, end)
    p = draw(mixtures())
    flips = [draw(st.sampled_from([1, -1])) for _ in p.weights_exact]
    q = GaussianMixture(p.weights_exact, [s * mu[0] for s, mu in zip(flips, p.means_exact, strict=True)],
                        p.covariances_exact[:, 0, 0].tolist())
    return Pair(f, p, f, q.reduced())


@st.composite
def mirrored(draw: st.DrawFn, increasing: bool = False) -> Pair:
    """A symmetric prior; the second map runs through one or two rings about 0 backwards."""
    f = draw(continuous_maps(increasing=increasing))
    radii = sorted({abs(draw(nonzero)) for _ in range(draw(st.integers(1, 2)))})
    p = draw(mixtures(symmetric=True, most=2))
    return Pair(f, p, rearranged(f, radii), p)


@st.composite
def turned(draw: st.DrawFn) -> Pair:
    """As in Example 4: both maps continuous, because the first has one value at the two ends of the turned ring."""
    radius = abs(draw(nonzero))
    value, middle = draw(small), [draw(small), draw(small)]
    nodes = [-radius, -radius / 3, radius / 3, radius]
    f = node_map(nodes, [value, *middle, value], draw(nonzero), draw(nonzero))
    p = draw(mixtures(symmetric=True, most=2))
    return Pair(f, p, rearranged(f, [radius]), p)


@st.composite
def with_atoms(draw: st.DrawFn) -> Pair:
    """Point masses: an increasing map may move them about at will."""
    count = draw(st.integers(2, 3))
    places = [sorted(draw(st.sets(small, min_size=count, max_size=count))) for _ in range(2)]
    weights = [Fraction(1, count)] * count
    p, q = (GaussianMixture(weights, where, [0] * count) for where in places)
    f = node_map(places[0], places[0], Fraction(1), Fraction(1))
    return Pair(f, p, node_map(places[1], places[0], draw(st.sampled_from([Fraction(1), Fraction(-1)])), Fraction(1)),
                q)


@st.composite
def line_pairs(draw: st.DrawFn, dropped: frozenset[str] = frozenset(), *, increasing: bool = False) -> Pair:
    """Pairs with one law; what a dropped hypothesis excludes is made common."""
    kinds = [affine_copies(increasing), mirrored(increasing)] + ([] if increasing else [turned(), folded()])
    if dropped & {"weak injectivity", "injectivity"}:
        kinds += [folded(), folded(), turned()]
    if "definite covariances" in dropped:
        kinds += [with_atoms()] * 3
    pair = draw(st.one_of(kinds))
    h = AffineChange(draw(st.sampled_from([Fraction(1), Fraction(-1), Fraction(2), Fraction(-1, 2)])), draw(small))
    g, q = h.precompose(pair.g), h.carry(pair.q)
    assert isinstance(g, PiecewiseAffineMap)
    if "equal laws" in dropped:
        g = draw(continuous_maps())
    if "reduced form" in dropped and draw(st.booleans()):
        w = q.weights_exact.tolist()
        q = GaussianMixture([w[0] / 2, w[0] / 2, *w[1:]], [q.means_exact[0].tolist(), *q.means_exact.tolist()],
                            [q.covariances_exact[0].tolist(), *q.covariances_exact.tolist()])
    return Pair(pair.f, pair.p, g, q)
