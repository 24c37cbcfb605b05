"""Strategies: they draw what they say, degenerate cases are common, counterexamples are small, arguments named."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import ident_theory as it
from ident_theory import Status, testing
from ident_theory.conditions.l_matrix import l_matrix_finding
from ident_theory.conditions.prior import prior_findings
from ident_theory.errors import InputError
from ident_theory.recovery import latent_graph
from ident_theory.testing import random_models, strategies, strategies_networks, strategies_pairs
from ident_theory.testing.matrices import apply, identity, inverse, plus, times

QUIET = settings(database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(strategy, count=200):
    """Examples of a strategy, the same at every run."""
    seen = []

    @settings(QUIET, max_examples=count)
    @given(strategy)
    def collect(value):
        seen.append(value)

    collect()
    return seen


def smallest(strategy, condition):
    return find(strategy, condition, settings=QUIET)


# Mixtures


def test_mixtures_are_what_was_asked_for():
    for p in drawn(testing.gaussian_mixtures((1, 3), (2, 3), diagonal=True)):
        assert 1 <= p.latent_dim <= 3
        assert 2 <= p.n_components <= 3
        assert all(c[i, k] == 0 for c in p.covariances_exact for i, k in np.ndindex(c.shape) if i != k)
    for p in drawn(testing.gaussian_mixtures(2, degenerate=False)):
        assert all(w > 0 for w in p.weights_exact)
        assert all(c[0, 0] * c[1, 1] > c[0, 1] ** 2 for c in p.covariances_exact)


@pytest.mark.parametrize("exact", [True, False])
def test_degenerate_mixtures_are_common(exact):
    seen = Counter()
    mixtures = drawn(testing.gaussian_mixtures((1, 2), exact=exact), 300)
    for p in mixtures:
        determinants = [c[0, 0] if len(c) == 1 else c[0, 0] * c[1, 1] - c[0, 1] ** 2 for c in p.covariances_exact]
        sizes = [c[0, 0] for c in p.covariances_exact]
        seen["no weight"] += any(w == 0 for w in p.weights_exact)
        seen["singular"] += any(d == 0 for d in determinants)
        seen["repeated"] += p.reduced().n_components < sum(w > 0 for w in p.weights_exact)
        seen["tiny"] += any(0 < v < Fraction(1, 500) for v in sizes)
        seen["huge"] += any(v > 500 for v in sizes)
        seen["plain"] += p.reduced() == p
    assert min(seen[key] for key in ("no weight", "singular", "repeated", "tiny", "huge")) >= 5, seen
    assert seen["plain"] > 50
    if exact:
        assert all(isinstance(v, Fraction) for p in mixtures for v in p.means_exact.ravel())


def test_symmetric_mixtures_occur():
    assert sum(p.reduced() != it.GaussianMixture([1], [0], [1]) and p.n_components > 1
               and it.AffineChange(-1, 0).carry(p).by_component() == p.by_component()
               for p in drawn(testing.gaussian_mixtures())) > 5


# Decoders and noises


def test_networks_are_what_was_asked_for():
    for f in drawn(testing.relu_networks((1, 2), (2, 3), (1, 2), (2, 3), Fraction(1, 3), hidden=5)):
        assert 1 <= f.latent_dim <= 2
        assert 2 <= f.observed_dim <= 3
        widths = [len(b) for b in f.biases_exact[:-1]]
        assert len(widths) in (1, 2)
        assert all(width in (2, 3) for width in widths)
        assert sum(widths) <= 5
        assert f.negative_slope_exact == Fraction(1, 3)


def test_degenerate_networks_are_common():
    seen = Counter()
    for f in drawn(testing.relu_networks((1, 2), (1, 2)), 400):
        if f.depth == 1:
            seen["affine"] += 1
            continue
        rows = [tuple(row) for w in f.weights_exact[:-1] for row in w]
        seen["dead"] += any(not any(row) for row in rows)
        seen["unread"] += any(not any(column) for w in f.weights_exact[1:] for column in w.T)
        seen["doubled"] += any(len({tuple(row) for row in w}) < len(w) for w in f.weights_exact[:-1])
        seen["deep"] += f.depth > 2
        seen[f"slope {f.negative_slope_exact}"] += 1
        seen["large"] += any(abs(v) > 100 for row in rows for v in row)
        seen["small"] += any(0 < abs(v) < Fraction(1, 100) for row in rows for v in row)
    for name in ("affine", "dead", "unread", "doubled", "deep", "large", "small", "slope 0", "slope 1", "slope -1",
                 "slope 1/2", "slope 2"):
        assert seen[name] >= 5, (name, seen)


def test_maps_fold_jump_and_are_flat():
    seen = Counter()
    for f in drawn(testing.piecewise_maps()):
        seen["jumps"] += not f.is_continuous
        seen["flat"] += any(not any(row) for row in f.slopes_exact)
        seen["folds"] += any(a[0] * b[0] < 0 for a, b in zip(f.slopes_exact, f.slopes_exact[1:], strict=False))
    assert min(seen.values()) >= 20, seen
    assert all(f.is_continuous for f in drawn(testing.piecewise_maps(2, (2, 4), continuous=True)))
    assert all(f.is_continuous for f in drawn(testing.piecewise_maps(2, (2, 4), continuous=True, exact=False)))


def test_noises_of_every_kind():
    kinds = Counter(type(noise).__name__ for noise in drawn(testing.noises(2, strategies.NOISES)))
    assert len(kinds) == 7
    assert sum(noise.full_exact is not None for noise in drawn(testing.noises(2, "gaussian"))) > 10
    assert drawn(testing.noises(1, "none"), 3) == [None]


@pytest.mark.parametrize("exact", [True, False])
def test_models_fit_together(exact):
    seen = drawn(testing.models((1, 2), noise=("none", "gaussian", "laplace"), exact=exact))
    assert {model.latent_dim for model in seen} == {1, 2}
    assert all(model.observed_dim - model.latent_dim in (0, 1) for model in seen)
    assert {type(model.decoder).__name__ for model in seen} == {"ReLUNetwork", "PiecewiseAffineMap"}


@given(st.data())
def test_observations_fit(data):
    model = data.draw(testing.models(1, (1, 2), noise=("none", "gaussian", "laplace")))
    assert data.draw(testing.observations(model)).shape == (model.observed_dim,)


def test_counterexamples_shrink_to_models_that_can_be_read():
    small = testing.models((1, 2), width=(1, 2), depth=(0, 1), components=(1, 2), decoders="relu")
    model = smallest(small, lambda model: model.latent_dim > 1 and model.decoder.depth > 1)
    assert repr(model) == ("Model(prior=GaussianMixture(weights=[1.0], means=[[0.0, 0.0]], "
                           "covariances=[[[1.0, 0.0], [0.0, 1.0]]]), "
                           "decoder=ReLUNetwork(weights=[[[0.0, 0.0]], [[0.0], [0.0]]], biases=[[0.0], [0.0, 0.0]], "
                           "negative_slope=0.0), noise=None)")
    mixture = smallest(testing.gaussian_mixtures(), lambda p: prior_findings(p)["P1"].status is Status.FAILS)
    assert repr(mixture) == "GaussianMixture(weights=[1.0], means=[[0.0]], covariances=[[[0.0]]])"


# Priors with more structure


def test_conditional_priors_are_legal_and_often_singular():
    seen = Counter()
    for prior in drawn(testing.conditional_priors((1, 2), (1, 6)), 300):
        seen[prior.family.name] += 1
        seen[str(l_matrix_finding(prior).status)] += 1
    assert len(seen) == 9 + 2
    assert seen["holds"] > 30
    assert seen["fails"] > 30
    named = drawn(testing.conditional_priors(1, 3, ("normal", "custom"), exact=False))
    assert {prior.family.name for prior in named} == {"normal", "custom"}
    assert all(prior.n_values == 3 for prior in named)


def test_factorial_mixtures_carry_their_truth():
    seen = Counter()
    for truth in drawn(testing.factorial_mixtures((1, 3))):
        prior = truth.prior
        assert prior.states == truth.states == truth.table.shape
        assert prior.neighbourhoods == truth.neighbourhoods
        assert prior.by_component() == truth.mixture.by_component()
        assert truth.n_variables == len(truth.states)
        assert prior_findings(prior)["P3"].status is (Status.HOLDS if truth.satisfies_p3 else Status.FAILS), truth
        seen[truth.satisfies_p3] += 1
    assert min(seen[True], seen[False]) > 20, seen


def test_the_truth_is_recovered_where_p3_holds():
    for truth in drawn(testing.factorial_mixtures((1, 3), degenerate=False), 60):
        assert truth.satisfies_p3
        found = latent_graph(truth.mixture)
        assert found.status is Status.HOLDS
        assert sorted(found.neighbourhoods) == sorted(truth.neighbourhoods)
        assert sorted(found.states) == sorted(truth.states)
        assert sorted(found.table.ravel()) == sorted(truth.table.ravel())


def test_three_variables_on_three_latents_overlap():
    seen = drawn(testing.factorial_mixtures(3, 2, 3, degenerate=False), 40)
    assert any(set(truth.neighbourhoods[0]) & set(truth.neighbourhoods[1]) for truth in seen)


# Pairs


def value(f, z):
    """f(z) in fractions, layer by layer or piece by piece."""
    if isinstance(f, it.PiecewiseAffineMap):
        k = sum(t <= z[0] for t in f.breakpoints_exact)
        return [a * z[0] + c for a, c in zip(f.slopes_exact[k], f.intercepts_exact[k], strict=True)]
    for k, (w, b) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        z = plus(apply(w.tolist(), z), b.tolist())
        if k < f.depth - 1:
            z = [v if v > 0 else f.negative_slope_exact * v for v in z]
    return z


@pytest.mark.parametrize("kind", ["equal", "permutation", "orthogonal", "monomial", "affine", None])
def test_pairs_are_equivalent(kind):
    """By evaluation: f_b(h(z)) = f_a(z) at points, and h#P_a = P_b as lists."""
    names = set()
    for pair in drawn(testing.equivalent_pairs(kind), 60):
        h, m = pair.change, pair.first.latent_dim
        assert strategies_pairs.is_of_kind(pair.matrix, pair.shift, pair.up_to)
        assert pair.up_to == kind or kind is None
        assert strategies_pairs.carried(pair.first.mixture, pair.matrix, pair.shift) == \
            strategies_pairs.carried(pair.second.mixture, identity(m), [Fraction(0)] * m)
        for step in range(5):
            z = [Fraction(7 * step - 15 + 4 * i, 11) for i in range(m)]
            assert value(pair.second.decoder, plus(apply(h.matrix_exact.tolist(), z), h.shift_exact.tolist())) == \
                value(pair.first.decoder, z)
        names |= set(pair.steps)
    assert len(names) > 5


def test_pairs_without_rewriting():
    for pair in drawn(testing.equivalent_pairs("affine", 2, rewrite=False, depth=1), 30):
        assert pair.steps == ()
        assert pair.change.precompose(pair.first.decoder) == pair.second.decoder


def test_perturbed_models_differ_in_one_number():
    for first, second, where in drawn(testing.perturbed_models(), 60):
        assert first.observed_dim == second.observed_dim
        assert first != second
        assert " by " in where
    (_, _, where), *_ = drawn(testing.perturbed_models(testing.models(1, components=1), "1/10"), 3)
    assert where.endswith("1/10") or "weights" in where


def test_a_generator_that_gives_zeros_ends():
    class Zeros:
        def randint(self, low, high):
            return max(low, min(0, high))

        def choice(self, items):
            return items[0]

    assert random_models.random_covariance(Zeros(), 2, False) == identity(2)
    assert strategies_pairs.random_change(type("Z", (Zeros,), {"sample": lambda self, items, k: list(items)})(), 2,
                                          it.Equivalence.AFFINE)[0] == identity(2)


def test_the_inverse_is_one():
    a = [[Fraction(2), Fraction(1)], [Fraction(1), Fraction(1)]]
    assert times(a, inverse(a)) == identity(2)
    assert inverse([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]]) is None


# Arguments


@pytest.mark.parametrize(("call", "text"), [
    (lambda: testing.gaussian_mixtures(0), r"gaussian_mixtures: latent_dim: expected a whole number >= 1 .*, found 0"),
    (lambda: testing.gaussian_mixtures(1, (3, 2)), r"components: expected .*pair \(least, largest\).*, found \(3, 2\)"),
    (lambda: testing.gaussian_mixtures(1, 2.0), r"components: .*found 2.0"),
    (lambda: testing.gaussian_mixtures(True), r"latent_dim: .*found True"),
    (lambda: testing.gaussian_mixtures(diagonal=1), r"diagonal: expected True or False, found 1"),
    (lambda: testing.relu_networks(depth=-1), r"relu_networks: depth: expected a whole number >= 0"),
    (lambda: testing.relu_networks(negative_slope="x"), r"negative_slope: expected a number, found 'x'"),
    (lambda: testing.relu_networks(negative_slope=()), r"negative_slope: expected a number, or several"),
    (lambda: testing.relu_networks(negative_slope=float("nan")), r"negative_slope: expected a number, found nan"),
    (lambda: testing.relu_networks(hidden=-1), r"hidden: expected a whole number >= 0, found -1"),
    (lambda: testing.piecewise_maps(1, 0), r"piecewise_maps: pieces: expected a whole number >= 1"),
    (lambda: testing.piecewise_maps(continuous="yes"), r"continuous: expected True or False, found 'yes'"),
    (lambda: testing.noises(1, "cauchy"), r"noises: kinds: expected one or several of none, gaussian.*'cauchy'"),
    (lambda: testing.noises((1, 2)), r"observed_dim: expected a whole number >= 1, found \(1, 2\)"),
    (lambda: testing.models(2, decoders="piecewise"), r"latent_dim: expected 1 for decoders"),
    (lambda: testing.models(noise="cauchy"), r"models: noise: expected one or several"),
    (lambda: testing.models(depth="deep"), r"depth: .*found 'deep'"),
    (lambda: testing.equivalent_pairs("linear"), r"equivalent_pairs: up_to: expected one of equal, .*found 'linear'"),
    (lambda: testing.equivalent_pairs(exact=False), r"equivalent_pairs: exact: expected nothing"),
    (lambda: testing.perturbed_models(size="big"), r"perturbed_models: size: expected a number, found 'big'"),
    (lambda: testing.conditional_priors(families="cauchy"), r"conditional_priors: families: .*'cauchy'"),
    (lambda: testing.relu_networks(depth=1, width=3, hidden=2), r"relu_networks: hidden: expected at least 3"),
    (lambda: testing.noises(exact=1), r"noises: exact: expected True or False, found 1"),
    (lambda: testing.observations(3), r"observations: model: expected Model, found int"),
    (lambda: testing.observations(it.load_example("vanilla_vae")), r"model: expected one latent, found 2"),
    (lambda: testing.equivalent_pairs(colour=1), r"equivalent_pairs: colour: expected arguments of models among"),
    (lambda: testing.perturbed_models(3), r"perturbed_models: of: expected SearchStrategy, found int"),
    (lambda: testing.perturbed_models(size=0), r"perturbed_models: size: expected a number other than 0"),
    (lambda: testing.profiles.load("fast"), r"profiles.load: name: expected one of ci, dev, thorough, found 'fast'"),
    (lambda: testing.factorial_mixtures(states=1), r"factorial_mixtures: states: expected a whole number >= 2"),
    (lambda: testing.factorial_mixtures(3, 2, 2), r"latent_dim: expected enough latents for 3 variables"),
])
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_all_public_names_load():
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert set(testing.__all__) <= set(dir(testing))
    assert strategies_networks.SLOPES[0] == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        testing.nothing  # noqa: B018
