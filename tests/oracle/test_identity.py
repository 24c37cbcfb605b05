"""Exact comparison of models with one latent, against their densities and against known pairs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.identity import Comparison, Relation, compare, compare_parts, law_key
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.models import LaplaceNoise, StudentNoise

NOISE = GaussianNoise("1/2")
small = st.builds(Fraction, st.integers(-3, 3), st.integers(1, 3))
nonzero = small.filter(bool)


def mixtures(variances):
    """Priors with up to three components."""
    def build(parts):
        total = sum(w for w, _, _ in parts)
        return GaussianMixture([Fraction(w, total) for w, _, _ in parts], [m for _, m, _ in parts],
                               [v for _, _, v in parts])

    part = st.tuples(st.integers(1, 3), small, st.sampled_from(variances))
    return st.lists(part, min_size=1, max_size=3).map(build)


@st.composite
def networks(draw, n: int):
    width = draw(st.integers(1, 3))
    column = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    rows = st.lists(column, min_size=n, max_size=n)
    return ReLUNetwork([[[v] for v in draw(column)], draw(rows)], [draw(column), [draw(small) for _ in range(n)]])


@st.composite
def jumping_maps(draw, n: int):
    breaks = sorted(draw(st.sets(small, max_size=3)))
    row = st.lists(st.integers(-1, 1), min_size=n, max_size=n)
    rows = st.lists(row, min_size=len(breaks) + 1, max_size=len(breaks) + 1)
    return PiecewiseAffineMap(breaks, draw(rows), draw(rows))


@st.composite
def models(draw, n: int):
    """Continuous decoders under any prior, jumping ones under priors without point masses."""
    if draw(st.booleans()):
        return Model(draw(mixtures([0, 1, 1, 2, Fraction(1, 4)])), draw(networks(n)), NOISE)
    return Model(draw(mixtures([1, 2, Fraction(1, 4)])), draw(jumping_maps(n)), NOISE)


def changed(model: Model, s: Fraction, t: Fraction) -> Model:
    """The model with latent h(z) = s z + t, written down from the parameters."""
    f, prior = model.decoder, model.prior
    if isinstance(f, ReLUNetwork):
        first = f.weights_exact[0] / s
        decoder = ReLUNetwork([first, *f.weights_exact[1:]],
                              [f.biases_exact[0] - first[:, 0] * t, *f.biases_exact[1:]])
    else:
        order = slice(None, None, 1 if s > 0 else -1)
        decoder = PiecewiseAffineMap((f.breakpoints_exact * s + t)[order], (f.slopes_exact / s)[order],
                                     (f.intercepts_exact - f.slopes_exact * t / s)[order])
    moved = GaussianMixture(prior.weights_exact, prior.means_exact * s + t, prior.covariances_exact * (s * s))
    return Model(moved, decoder, model.noise)


def parts(model: Model):
    """Function and prior as values: equal exactly for the same function and the same mixture."""
    return line_pieces(model.decoder), set(components_of(model.prior))


def key(model: Model):
    return law_key(line_pieces(model.decoder), components_of(model.prior))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2).flatmap(models), nonzero, small)
def test_the_change_of_latent_is_found(a: Model, s: Fraction, t: Fraction) -> None:
    b = changed(a, s, t)
    found = compare(a, b)
    assert found.relation is (Relation.SAME if parts(a) == parts(b) else Relation.AFFINE)
    assert found.scale is not None
    assert found.shift is not None
    assert parts(changed(a, found.scale, found.shift)) == parts(b)
    back = compare(b, a)
    assert back.relation is found.relation
    assert parts(changed(b, back.scale, back.shift)) == parts(a)
    assert key(a) == key(b)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 2).flatmap(lambda n: st.tuples(models(n), models(n))), st.booleans(), nonzero, small)
def test_relations_are_symmetric_and_do_not_see_the_latent(pair, one_map: bool, s: Fraction, t: Fraction) -> None:
    a, b = pair
    if one_map:
        continuous = isinstance(a.decoder, ReLUNetwork)
        b = Model(b.prior if continuous or np.all(b.prior.covariances > 0) else a.prior, a.decoder, NOISE)
    relation = compare(a, b).relation
    assert compare(b, a).relation is relation
    assert (relation is Relation.DIFFERENT) == (key(a) != key(b))
    elsewhere = compare(a, changed(b, s, t)).relation
    explained = {Relation.SAME, Relation.AFFINE}
    assert elsewhere is relation or {elsewhere, relation} <= explained


def relu_pair(alpha, beta, pi, weights, means, variances=None) -> Model:
    network = ReLUNetwork([[[b] for b in beta], [list(alpha)]], [list(pi), [0]])
    return Model(GaussianMixture(weights, means, variances or [1] * len(means)), network, NOISE)


def distinct(candidates):
    seen = {}
    for model in candidates:
        pieces, components = parts(model)
        seen.setdefault((pieces, frozenset(components)), model)
    return list(seen.values())


def agreement(family: list[Model], points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """For all pairs: largest difference of the log densities; whether the keys are equal."""
    logs = np.array([law(m).log_density(points) for m in family])
    numbers: dict = {}
    classes = np.array([numbers.setdefault(key(m), len(numbers)) for m in family])
    gaps = np.zeros((len(family), len(family)))
    for column in logs.T:
        np.maximum(gaps, np.abs(column[:, None] - column[None, :]), out=gaps)
    return gaps, classes[:, None] == classes[None, :], float(gaps[classes[:, None] != classes[None, :]].min())


def test_keys_agree_with_densities_on_a_whole_family() -> None:
    """Every pair out of the networks with entries in {-1, 0, 1} and J <= 2: both routes find the same classes."""
    signs = (-1, 0, 1)
    priors = [(["1"], [m]) for m in signs]
    priors += [([w, 1 - w], pair) for w in (Fraction(1, 4), Fraction(1, 2))
               for pair in itertools.permutations(signs, 2)]
    functions = {line_pieces(m.decoder): m.decoder for m in (
        relu_pair(e[:2], e[2:4], e[4:], ["1"], [0]) for e in itertools.product(signs, repeat=6))}
    family = distinct(Model(GaussianMixture(w, mu, [1] * len(mu)), f, NOISE)
                      for f in functions.values() for w, mu in priors)
    gaps, equal, least = agreement(family, np.linspace(-6, 6, 25))
    assert np.array_equal(gaps <= 1e-10, equal)
    assert least > 1e-6  # so the tolerance decides nothing
    relations = [compare(family[i], family[j]).relation for i, j in np.argwhere(np.triu(equal, 1))[::7]]
    assert Relation.DIFFERENT not in relations
    assert Relation.SAME not in relations
    assert {Relation.AFFINE, Relation.LAW} <= set(relations)


def test_keys_agree_with_densities_on_curves_and_with_atoms() -> None:
    """n = 2, overlapping and crossing pieces, point masses and several flat pieces."""
    rng = np.random.default_rng(7)
    family = []
    for _ in range(120):
        count = rng.integers(1, 4)
        breaks = sorted(rng.choice([-1, 0, 1, 2], size=count - 1, replace=False).tolist())
        slopes = rng.choice([-1, 0, 1], size=(count, 1)) * rng.choice([[1, 1], [1, 1], [1, -1]], size=count)
        intercepts = np.repeat(rng.integers(-1, 2, size=(count, 1)), 2, axis=1)
        means = rng.integers(-1, 2, size=2)
        variances = rng.choice([0, 1, 1, 4], size=2)
        prior = GaussianMixture(["1/4", "3/4"], means.tolist(), variances.tolist())
        model = Model(prior, PiecewiseAffineMap(breaks, slopes.tolist(), intercepts.tolist()), NOISE)
        family += [model, Model(GaussianMixture(["1/4", "3/4"], (-means).tolist(), variances.tolist()),
                                model.decoder, NOISE)]
    axis = np.linspace(-5, 5, 9)
    points = np.array(list(itertools.product(axis, axis)))
    family = distinct(family)
    gaps, equal, least = agreement(family, points)
    assert np.array_equal(gaps <= 1e-10, equal)
    assert least > 1e-6
    assert equal.sum() > len(family)  # some distinct models do share a law


@pytest.mark.parametrize(("pi", "weights", "first", "second"), [
    ((0, 0), ["1/3"] * 3, (-2, -1, 3), (-2, 1, 3)),
    ((-1, -1), ["1/4", "3/4"], (-2, 1), (2, 1)),
])
def test_literature_counterexamples(pi, weights, first, second) -> None:
    """Equal laws without affine equivalence (ledger row kivva.sec4.ml)."""
    a = relu_pair((1, 1), (1, -1), pi, weights, first)
    b = relu_pair((1, 1), (1, -1), pi, weights, second)
    assert compare(a, b) == compare(b, a) == Comparison(Relation.LAW)


def test_flipping_a_mean_under_an_uneven_v_changes_the_law() -> None:
    """F2 fails, the law still tells the models apart (ledger row kivva.f2.notnecessary)."""
    v = PiecewiseAffineMap([0], [-1, 2], [0, 0])
    a = Model(GaussianMixture(["1/2", "1/2"], [-1, 3], [1, 1]), v, NOISE)
    b = Model(GaussianMixture(["1/2", "1/2"], [1, 3], [1, 1]), v, NOISE)
    assert compare(a, b) == Comparison(Relation.DIFFERENT)


def with_prior(decoder, weights, means, variances) -> Model:
    return Model(GaussianMixture(weights, means, variances), decoder, NOISE)


def test_reflections_of_a_symmetric_map() -> None:
    hat = PiecewiseAffineMap([1], [1, -1], [0, 2])  # symmetric about 1
    a = with_prior(hat, ["1/4", "3/4"], [0, 5], [1, 2])
    b = with_prior(hat, ["1/4", "3/4"], [2, -3], [1, 2])
    assert compare(a, b) == Comparison(Relation.AFFINE, Fraction(-1), Fraction(2))
    even = with_prior(hat, ["1/4", "3/4"], [1, 1], [1, 2])  # both orientations serve: the increasing one is given
    assert compare(even, changed(even, Fraction(-2), Fraction(3))) == Comparison(
        Relation.AFFINE, Fraction(2), Fraction(-1))
    c = with_prior(hat, ["1/4", "3/4"], [2, 5], [1, 2])  # only one component reflected
    assert compare(a, c) == Comparison(Relation.LAW)


def test_constant_maps() -> None:
    flat = PiecewiseAffineMap([], [0], [3])
    a = with_prior(flat, ["1/4", "3/4"], [0, 4], [1, 2])
    for s, t in ((Fraction(1, 3), Fraction(5)), (Fraction(-2), Fraction(1))):
        b = with_prior(flat, ["1/4", "3/4"], [t, 4 * s + t], [s * s, 2 * s * s])
        assert compare(a, b) == Comparison(Relation.AFFINE, s, t)
    assert compare(a, with_prior(flat, ["3/4", "1/4"], [0, 4], [1, 2])) == Comparison(Relation.LAW)
    assert compare(a, with_prior(flat, ["1"], [0], [0])) == Comparison(Relation.LAW)
    assert compare(a, with_prior(PiecewiseAffineMap([], [0], [4]), ["1"], [0], [1])).relation is Relation.DIFFERENT
    one, two, point = (with_prior(flat, ["1"], [m], [v]) for m, v in ((0, 1), (1, 2), (5, 0)))
    assert compare(one, two) == Comparison(Relation.AFFINE)  # h has scale sqrt(2)
    assert compare(point, with_prior(flat, ["1"], [2], [0])) == Comparison(Relation.AFFINE, Fraction(1), Fraction(-3))
    lopsided = with_prior(flat, ["1/2", "1/2"], [-1, 1], [1, 1])
    doubled = with_prior(flat, ["1/2", "1/2"], [-1, 1], [3, 3])  # twice the total variance, no image
    assert compare(lopsided, doubled) == Comparison(Relation.LAW)


def test_a_single_step_may_be_stretched() -> None:
    up, down = PiecewiseAffineMap([1], [0, 0], [0, 1]), PiecewiseAffineMap([0], [0, 0], [1, 0])
    a = with_prior(up, ["1/4", "3/4"], [0, 4], [1, 2])
    assert compare(a, with_prior(up, ["1/4", "3/4"], [-1, 7], [4, 8])) == Comparison(
        Relation.AFFINE, Fraction(2), Fraction(-1))
    assert compare(a, with_prior(down, ["1/4", "3/4"], [3, -9], [9, 18])) == Comparison(
        Relation.AFFINE, Fraction(-3), Fraction(3))
    on_step, wider = with_prior(up, ["1"], [1], [1]), with_prior(up, ["1"], [1], [2])
    assert compare(on_step, wider) == Comparison(Relation.AFFINE)
    # Same masses of the two atoms, but no stretching leads from one mixture to the other.
    assert compare(on_step, with_prior(up, ["1/2", "1/2"], [0, 2], [1, 1])) == Comparison(Relation.LAW)
    assert compare(on_step, with_prior(up, ["1"], [2], [1])) == Comparison(Relation.DIFFERENT)


def test_point_mass_at_a_jump_sees_the_orientation() -> None:
    up, down = PiecewiseAffineMap([0], [0, 0], [0, 1]), PiecewiseAffineMap([0], [0, 0], [1, 0])
    a, b = with_prior(up, ["1"], [0], [0]), with_prior(down, ["1"], [0], [0])
    assert compare(a, b) == Comparison(Relation.DIFFERENT)  # x = 1 against x = 0
    a, b = with_prior(up, ["1/2", "1/2"], [0, 0], [0, 1]), with_prior(down, ["1/2", "1/2"], [0, 0], [0, 2])
    assert compare(a, b) == Comparison(Relation.DIFFERENT)
    assert compare(a, with_prior(up, ["1/2", "1/2"], [0, 0], [0, 2])) == Comparison(Relation.AFFINE)
    saw = PiecewiseAffineMap([0, 1], [1, 1, 1], [0, 2, 4])
    turned = PiecewiseAffineMap([-1, 0], [-1, -1, -1], [4, 2, 0])
    assert compare(with_prior(saw, ["1"], [1], [0]), with_prior(turned, ["1"], [-1], [0])).relation \
        is Relation.DIFFERENT
    assert compare(with_prior(saw, ["1"], [1], [1]), with_prior(turned, ["1"], [-1], [1])) == Comparison(
        Relation.AFFINE, Fraction(-1), Fraction(0))


def test_masses_of_two_atoms_are_compared_symbolically() -> None:
    def masses(breaks, values, means, variances):
        weights = [Fraction(1, len(means))] * len(means)
        return key(with_prior(PiecewiseAffineMap(breaks, [0] * len(values), values), weights, means, variances))

    assert masses([1], [0, 1], [0], [1]) == masses([-1], [1, 0], [0], [1])  # Phi(-1) = 1 - Phi(1)
    assert masses([1, 3], [1, 2, 1], [0], [1]) == masses([-3, -1], [1, 2, 1], [0], [1])
    assert masses([1, 3], [1, 2, 1], [0], [1]) != masses([1, 3], [2, 1, 2], [0], [1])
    assert masses([-3, -1, 1, 3], [1, 2, 1, 2, 1], [0], [1]) != masses([1, 3], [1, 2, 1], [0], [1])  # twice the mass
    assert masses([0], [0, 1], [0], [1]) == masses([5], [1, 0], [5], [3]) == masses([0], [0, 1], [-1, 1], [0, 0])
    # Components of other widths under other pieces: the standardised ends are 1/2 and 1, twice each.
    assert masses([-1, 1], [0, 1, 0], [0, 0], [1, 4]) == masses(["-1/2", "1/2"], [0, 1, 0], [0, 0], ["1/4", 1])


def test_unreduced_components() -> None:
    pieces = line_pieces(PiecewiseAffineMap([0], [-1, 2], [0, 0]))
    whole = [Component(fmpq(1), fmpq(2), fmpq(1))]
    split = [Component(fmpq(1, 3), fmpq(2), fmpq(1)), Component(fmpq(0), fmpq(9), fmpq(1)),
             Component(fmpq(2, 3), fmpq(2), fmpq(1))]
    assert law_key(pieces, whole) == law_key(pieces, split)
    assert compare_parts(pieces, whole, pieces, split).relation is Relation.SAME


def test_wrong_inputs() -> None:
    one = relu_pair((1, 1), (1, -1), (0, 0), ["1"], [1])
    two_latents = Model(GaussianMixture(["1"], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0]]], [[0]]), NOISE)
    with pytest.raises(UnsupportedError, match="second model has 2"):
        compare(one, two_latents)
    with pytest.raises(InputError, match="first is of type int"):
        compare(3, one)
    two_values = Model(one.prior, PiecewiseAffineMap([], [[1, 2]], [[0, 0]]), NOISE)
    with pytest.raises(InputError, match="n=1 and n=2"):
        compare(one, two_values)
    with pytest.raises(InputError, match="same noise"):
        compare(one, Model(one.prior, one.decoder, GaussianNoise(1)))
    with pytest.raises(InputError, match="same noise"):
        compare(one, Model(one.prior, one.decoder))
    with pytest.raises(InputError, match="values of one dimension"):
        compare_parts(line_pieces(one.decoder), components_of(one.prior), line_pieces(two_values.decoder),
                      components_of(one.prior))
    with pytest.raises(InputError, match="at least one component"):
        compare_parts(line_pieces(one.decoder), [], line_pieces(one.decoder), components_of(one.prior))


@pytest.mark.parametrize(("first", "second", "same"), [
    (None, None, True),
    (GaussianNoise("1/2"), GaussianNoise(["1/2", "1/2"]), True),
    (GaussianNoise("1/2"), GaussianNoise(covariance=[["1/4", 0], [0, "1/4"]]), True),
    (GaussianNoise("1/2"), GaussianNoise(["1/2", 1]), False),
    (LaplaceNoise(1), LaplaceNoise([1, 1]), True),
    (LaplaceNoise(1), GaussianNoise(1), False),
    (StudentNoise(1, 3), StudentNoise([1, 1], 3), True),
    (StudentNoise(1, 3), StudentNoise(1, 4), False),
])
def test_noise_is_compared_by_its_law(first, second, same: bool) -> None:
    prior, decoder = GaussianMixture(["1"], [0], [1]), PiecewiseAffineMap([], [[1, 2]], [[0, 0]])
    a, b = Model(prior, decoder, first), Model(prior, decoder, second)
    if same:
        assert compare(a, b).relation is Relation.SAME
    else:
        with pytest.raises(InputError, match="same noise"):
            compare(a, b)
