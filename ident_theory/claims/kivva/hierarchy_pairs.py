"""Pairs of models with one law of x, and the theorems of Section 3.3 as statements about such pairs.

The pairs are made so that their laws are equal more often than not: by an affine map of the latent, by folds, by
turning a stretch of a symmetric prior round, by dividing components, by atoms, by another noise. Whether the laws are
equal, and every hypothesis, is then decided for each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from ident_theory.claims.kivva.hierarchy_relations import (
    has_distinct_ratios,
    is_definite,
    is_factorial,
    is_reduced,
)
from ident_theory.claims.kivva.injectivity_lines import is_injective, is_weakly_injective, pieces_of, without_jumps
from ident_theory.claims.shown import show_models
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.identity import Relation, compare
from ident_theory.models import AffineChange, GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Status
from ident_theory.testing.strategies import piecewise_maps

Strategy = st.SearchStrategy
WEIGHTS: tuple[list[Any], ...] = ([1], ["1/2", "1/2"], ["1/4", "3/4"], ["1/3"] * 3, ["1/2", "1/4", "1/4"])
IDENTITY = PiecewiseAffineMap([], [1], [0])
EXAMPLE_4 = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])


@dataclass(frozen=True)
class Pair:
    """Two models; the laws of x are compared."""

    first: Model
    second: Model

    @property
    def priors(self) -> tuple[GaussianMixture, GaussianMixture]:
        """Their mixtures."""
        return self.first.mixture, self.second.mixture

    @property
    def decoders(self) -> tuple[Any, Any]:
        """Their decoders."""
        return self.first.decoder, self.second.decoder


def show(pair: Pair) -> str:
    """Both as model files."""
    return show_models(first=pair.first, second=pair.second)


# What is assumed

def equal_laws(pair: Pair) -> bool:
    """Whether x has one law under both; undecided counts as no."""
    a, b = pair.first, pair.second
    if a.noise != b.noise:
        return _equal_normal_sums(pair)
    if a.latent_dim == 1:
        return compare(a, b).relation is not Relation.DIFFERENT
    return equal_in_law(a, b, budget=5.0).status is Status.HOLDS


def _equal_normal_sums(pair: Pair) -> bool:
    """For affine decoders of the line: x is a mixture of normals with the noise added to their variances."""
    laws = []
    for model in (pair.first, pair.second):
        pieces = pieces_of(model.decoder)  # type: ignore[arg-type]
        if len(pieces) > 1 or model.observed_dim > 1 or not isinstance(model.noise, GaussianNoise):
            return False
        (a,), (c,) = pieces[0].slope, pieces[0].intercept
        extra = model.noise.covariance_exact(1)[0][0]
        prior = model.mixture
        sums: dict[tuple[Fraction, Fraction], Fraction] = {}
        for w, mu, v in zip(prior.weights_exact, prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0],
                            strict=True):
            key = a * mu + c, a * a * v + extra
            sums[key] = sums.get(key, Fraction(0)) + w
        laws.append(sums)
    return laws[0] == laws[1]


def _decided(decoder: Any, condition: str, own: Callable[[Any], bool]) -> bool:
    """F2 or F4: on the line by counting how often the image is covered, otherwise by the toolkit."""
    if decoder.latent_dim == 1:
        return own(pieces_of(decoder))
    return decoder_findings(decoder)[condition].status is Status.HOLDS


def continuous(decoder: Any) -> bool:
    """Networks are; pieces of the line have to meet."""
    if isinstance(decoder, ReLUNetwork):
        return True
    pieces = pieces_of(decoder)
    return all(q.low is not None and p.at(q.low) == q.at(q.low) for p, q in pairwise(pieces))


HYPOTHESES: dict[str, Callable[[Pair], bool]] = {
    "known noise": lambda pair: pair.first.noise == pair.second.noise,
    "positive definite covariances": lambda pair: all(map(is_definite, pair.priors)),
    "reduced form": lambda pair: all(map(is_reduced, pair.priors)),
    "weakly injective": lambda pair: _decided(pair.decoders[0], "F2", is_weakly_injective),
    "injective": lambda pair: all(_decided(f, "F4", lambda pieces: is_injective(without_jumps(pieces)))
                                  for f in pair.decoders),
    "continuous": lambda pair: all(map(continuous, pair.decoders)),
    "independent given U": lambda pair: all(map(is_factorial, pair.priors)),
    "distinct ratios": lambda pair: all(map(has_distinct_ratios, pair.priors)),
    "equal laws": equal_laws,
}


# Pairs of one latent

@st.composite
def _prior(draw: st.DrawFn, about: int | None = None) -> GaussianMixture:
    """A small mixture of the line; with `about`, symmetric around that point."""
    mean, variance = st.integers(-3, 3), st.sampled_from([1, 1, 2, 4, "1/4"])
    if about is None:
        weights = draw(st.sampled_from(WEIGHTS))
        return GaussianMixture(weights, [draw(mean) for _ in weights], [draw(variance) for _ in weights])
    gaps, v = draw(st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True)), draw(variance)
    means = [about + s * gap for gap in gaps for s in ((1, -1) if gap else (1,))]
    return GaussianMixture([Fraction(1, len(means))] * len(means), means, [v] * len(means))


@st.composite
def _affine(draw: st.DrawFn, points: bool = False) -> Pair:
    f = draw(piecewise_maps((1, 2), (1, 4), continuous=draw(st.sampled_from([True, True, None]))))
    prior = draw(_prior())
    if points:
        spread = [v if draw(st.booleans()) else 0 for v in prior.covariances_exact[:, 0, 0]]
        prior = GaussianMixture(prior.weights_exact, prior.means_exact, spread)
    change = AffineChange(draw(st.sampled_from([1, -1, 2, "-1/2", 3])), draw(st.integers(-2, 2)))
    second = change.precompose(f)
    return Pair(Model(prior, f), Model(change.carry(prior), second))


@st.composite
def _fold(draw: st.DrawFn) -> Pair:
    """A map that is even around c, and some components turned round c."""
    c, arms = draw(st.integers(-1, 1)), draw(st.lists(st.integers(-2, 3), min_size=1, max_size=3))
    breaks = [c + k for k in range(1 - len(arms), len(arms))]
    slopes = [-a for a in reversed(arms)] + arms
    prior = draw(_prior())
    turned = [2 * c - mu if draw(st.booleans()) else mu for mu in prior.means_exact[:, 0]]
    f = joined(breaks, slopes)
    return Pair(Model(prior, f), Model(GaussianMixture(prior.weights_exact, turned, prior.covariances_exact), f))


def joined(breaks: Sequence[Any], slopes: Sequence[Any], start: Any = 0) -> PiecewiseAffineMap:
    """The continuous map with these slopes and the value `start` at the first breakpoint."""
    at, offset = Fraction(breaks[0]), Fraction(start)
    intercepts = [offset - slopes[0] * at]
    for k, slope in enumerate(slopes[1:]):
        intercepts.append(intercepts[-1] + (slopes[k] - slope) * Fraction(breaks[k]))
    return PiecewiseAffineMap(breaks, slopes, intercepts)


def turned_inside(f: PiecewiseAffineMap, center: Fraction, radius: Fraction) -> PiecewiseAffineMap:
    """g(z) = f(2 center - z) for |z - center| < radius and f(z) elsewhere (ends of pieces aside)."""
    low, high = center - radius, center + radius
    pieces = pieces_of(f)
    rows: list[tuple[Fraction | None, Any, Any]] = []
    for p in pieces:
        if p.low is None or p.low < low:
            rows.append((p.low, p.slope, p.intercept))
    for p in reversed(pieces):
        start = low if p.high is None or 2 * center - p.high < low else 2 * center - p.high
        stop = high if p.low is None or 2 * center - p.low > high else 2 * center - p.low
        if start < stop:
            rows.append((start, tuple(-a for a in p.slope),
                         tuple(b + 2 * center * a for a, b in zip(p.slope, p.intercept, strict=True))))
    for p in pieces:
        if p.high is None or p.high > high:
            rows.append((high if p.low is None or p.low < high else p.low, p.slope, p.intercept))
    return PiecewiseAffineMap([row[0] for row in rows[1:]], [row[1] for row in rows], [row[2] for row in rows])


@st.composite
def _turned(draw: st.DrawFn, decoders: Strategy[PiecewiseAffineMap]) -> Pair:
    """A stretch of a symmetric prior turned round, by the decoder."""
    c, r = draw(st.integers(-1, 1)), draw(st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 2)]))
    f, prior = draw(decoders), draw(_prior(c))
    return Pair(Model(prior, f), Model(prior, turned_inside(f, Fraction(c), r)))


@st.composite
def _example_4(draw: st.DrawFn) -> Pair:
    g = PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4])
    return Pair(*(Model(GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1]), f) for f in draw(
        st.permutations([EXAMPLE_4, g]))))


@st.composite
def _divided(draw: st.DrawFn) -> Pair:
    """One component written as two, in two ways."""
    f, mu = draw(piecewise_maps(1, (1, 3), continuous=True)), draw(st.integers(-1, 1))
    ways: list[list[list[Any]]] = [[["1/2", "1/2"], ["1/4", "1/4", "1/2"]],
                                   [["1/4", "3/4"], [1], ["1/8", "3/8", "1/2"]]]
    chosen = [draw(st.sampled_from(way)) for way in ways]
    return Pair(*(Model(GaussianMixture(w, [mu, mu, 2][:len(w)], [1] * len(w)), f) for w in chosen))


@st.composite
def _atoms(draw: st.DrawFn) -> Pair:
    """Point masses, and the same with their gaps stretched under a continuous injective map."""
    places = [0, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))]
    other = [0, *draw(st.lists(st.integers(1, 4), min_size=len(places) - 1, max_size=len(places) - 1))]
    first, second = ([sum(gaps[:k + 1]) for k in range(len(gaps))] for gaps in (places, other))
    weights = [Fraction(1, len(first))] * len(first)
    slopes = [1, *(Fraction(a, b) for a, b in zip(places[1:], other[1:], strict=True)), 1]
    return Pair(Model(GaussianMixture(weights, first, [0] * len(first)), IDENTITY),
                Model(GaussianMixture(weights, second, [0] * len(first)), joined(second, slopes)))


@st.composite
def _atom_in_fold(draw: st.DrawFn) -> Pair:
    """A normal component and a point mass, at two places of one value in a stretch that is covered three times."""
    f = PiecewiseAffineMap([1, 2], [1, -1, 1], [0, 2, -2])
    at = draw(st.permutations(["1/2", "3/2", "5/2"]))
    return Pair(*(Model(GaussianMixture(["1/2", "1/2"], [0, place], [1, 0]), f) for place in at[:2]))


@st.composite
def _other_noise(draw: st.DrawFn) -> Pair:
    prior = draw(_prior())
    extra = draw(st.sampled_from([Fraction(1, 2), Fraction(3, 4), Fraction(0)]))
    wider = GaussianMixture(prior.weights_exact, prior.means_exact, prior.covariances_exact + extra)
    return Pair(Model(prior, IDENTITY, GaussianNoise(covariance=[[1]])),
                Model(wider, IDENTITY, GaussianNoise(covariance=[[1 - extra]])))


@st.composite
def _constant(draw: st.DrawFn) -> Pair:
    f = PiecewiseAffineMap([], [0], [draw(st.integers(0, 2))])
    return Pair(Model(draw(_prior()), f), Model(draw(_prior()), f))


@st.composite
def _free(draw: st.DrawFn) -> Pair:
    return Pair(*(Model(draw(_prior()), draw(piecewise_maps(1, (1, 3)))) for _ in range(2)))


def loops() -> Strategy[PiecewiseAffineMap]:
    """Continuous curves in the plane with f(-r) = f(r) for some r: observably injective, not injective."""
    return st.sampled_from([PiecewiseAffineMap([-1, 0, 1], [[1, 0], [1, 1], [-1, 1], [1, 0]],
                                               [[1, 0], [1, 1], [1, 1], [-1, 2]]), _loop(1), _loop(2)])


def _loop(r: int) -> PiecewiseAffineMap:
    """Along (1, 0), then round a triangle from the origin to the origin, then on along (-1, -1)."""
    return PiecewiseAffineMap([-r, Fraction(-r, 3), Fraction(r, 3), r],
                              [[1, 0], [0, 3], [3, 0], [-3, -3], [-1, -1]],
                              [[r, 0], [0, 3 * r], [r, 2 * r], [3 * r, 3 * r], [r, r]])


def line_pairs(dropped: frozenset[str]) -> Strategy[Pair]:
    """Pairs of one latent; those that a dropped hypothesis lets in are common."""
    every: dict[str, Strategy[Pair]] = {
        "affine": _affine(), "fold": _fold(), "any": _turned(piecewise_maps((1, 2), (1, 3))), "example 4": _example_4(),
        "divided": _divided(), "atoms": _atoms(), "atom": _atom_in_fold(),
        "noise": _other_noise(), "constant": _constant(), "free": _free(),
        "jump": _turned(st.just(IDENTITY)), "loop": _turned(loops())}
    let_in = {"known noise": ["noise"], "positive definite covariances": ["atoms", "atom"], "reduced form": ["divided"],
              "weakly injective": ["fold", "constant"], "injective": ["loop", "example 4", "any"],
              "continuous": ["jump"], "equal laws": ["free"]}
    wanted = [every[kind] for name in sorted(dropped) for kind in let_in.get(name, [])]
    # With everything assumed, what is left are affine copies; the rest must be discarded by the hypotheses.
    return st.one_of(*wanted * 4, *[every["affine"]] * 2) if wanted else st.one_of(*every.values(),
                                                                                 *[every["affine"]] * 8)


def mixed_pairs() -> Strategy[Pair]:
    """Affine copies of models some of whose components are point masses."""
    return _affine(points=True)


def turned_pairs(dropped: frozenset[str]) -> Strategy[Pair]:
    """Pairs of curves that turn a stretch of a symmetric prior round, and affine copies."""
    if "positive definite covariances" in dropped:
        return _atoms()
    return _turned(st.just(IDENTITY)) if "continuous" in dropped else st.one_of(
        _turned(loops()), _turned(loops()), _affine(), _turned(piecewise_maps((1, 2), (1, 3), continuous=True)))
