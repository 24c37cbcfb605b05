"""Algorithms held against random truths: sound ones pass, wrong ones fail on a small truth, undecided is no pass."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import strategies as st

from ident_theory import AffineChange, GaussianMixture, GaussianNoise, InputError, Model, ReLUNetwork, loads
from ident_theory.conditions.relation import equivalence
from ident_theory.testing import UndecidedError, VerdictError, assert_recovers, models, recovering
from ident_theory.testing.strategies_pairs import equivalent_pair

#: Two latents that vary, seen through matrices of full rank with little noise.
LINEAR = st.builds(
    lambda a, d, mean: Model(GaussianMixture(["1/2", "1/2"], [[0, 0], mean], [[1, d], [d, 1]]),
                             ReLUNetwork([[[1, 0], [a, 1], [1, -1]]], [[0, 0, 0]]), GaussianNoise("1/100")),
    st.integers(-3, 3), st.integers(2, 4), st.tuples(st.integers(-2, 2), st.integers(-2, 2)))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Counterexamples need not be the smallest, but where a test looks at them."""
    monkeypatch.setattr(recovering, "SHRINK_SECONDS", 1.0)


def principal_components(x, rng):
    _, vectors = np.linalg.eigh(np.cov(x.T))
    return (x - x.mean(axis=0)) @ vectors[:, ::-1][:, :2]


def one_component(x, rng):
    return np.repeat(principal_components(x, rng)[:, :1], 2, axis=1)


def raising(x, rng):
    raise RuntimeError("no convergence")


def test_data_to_latents():
    found = assert_recovers(principal_components, "affine", LINEAR, cases=15, size=500)
    assert found.cases == 15
    assert 0.95 <= found.worst <= 1


def test_a_wrong_algorithm_fails_on_a_small_truth(monkeypatch):
    monkeypatch.setattr(recovering, "SHRINK_SECONDS", 60.0)
    with pytest.raises(VerdictError) as caught:
        assert_recovers(one_component, "affine", LINEAR, cases=15, size=500, name="PCA to one")
    text = str(caught.value)
    assert text.startswith("PCA to one: to recover the truth up to an invertible affine map of z; missed after 0")
    assert "weak MCC" in text
    truth = caught.value.report
    assert loads(text[text.index("{"):], format="json") == truth
    assert json.loads(text[text.index("{"):])["decoder"]["weights"] == [[[1, 0], [0, 1], [1, -1]]]
    (row,) = caught.value.rows
    assert (row.question, row.verdict, row.evidence) == ("recovers affine", "missed", "numerical")


def test_affine_recovery_is_not_monomial_recovery():
    with pytest.raises(VerdictError, match="strong MCC"):
        assert_recovers(principal_components, "monomial", LINEAR, cases=15, size=500)


def test_an_algorithm_that_raises_fails():
    with pytest.raises(VerdictError, match="raises RuntimeError: no convergence"):
        assert_recovers(raising, truths=LINEAR, cases=3, size=50)


@pytest.mark.parametrize(("estimate", "text"), [
    (lambda x, rng: x[:, :1], r"expected latents of shape \(50, 2\), found \(50, 1\)"),
    (lambda x, rng: "latents", "expected latents of shape"),
    (lambda x, rng: np.full((50, 2), np.nan), "cannot be compared"),
])
def test_latents_that_are_none_fail(estimate, text):
    with pytest.raises(VerdictError, match=text):
        assert_recovers(estimate, truths=LINEAR, cases=3, size=50)


#: One latent with two separate components.
LINE = st.builds(lambda gap, slope: Model(GaussianMixture(["1/3", "2/3"], [0, gap], [1, 2]),
                                          ReLUNetwork([[[slope]]], [[0]]), GaussianNoise("1/10")),
                 st.integers(4, 6), st.integers(1, 3))


def test_mixtures():
    def shifted(model):
        return AffineChange(2, 3).carry(model.mixture)

    assert assert_recovers(shifted, "affine", LINE, given_as="model", cases=3).worst < 1e-6
    assert assert_recovers(lambda law: law.model.mixture, "equal", LINE, given_as="law", cases=3).worst == 0
    with pytest.raises(VerdictError, match="L2 distance"):
        assert_recovers(shifted, "equal", LINE, given_as="model", cases=3)
    with pytest.raises(VerdictError, match="affine distance"):
        assert_recovers(lambda model: GaussianMixture([1], [0], [1]), "affine", LINE, given_as="model", cases=3)
    with pytest.raises(VerdictError, match="cannot be compared"):
        assert_recovers(lambda model: GaussianMixture([1], [[0, 0]], [[1, 1]]), "affine", LINE, given_as="model",
                        cases=3)


def test_making_a_truth_smaller_has_an_end(monkeypatch):
    monkeypatch.setattr(recovering, "SHRINK_SECONDS", 0.0)
    with pytest.raises(VerdictError, match="weak MCC") as caught:
        assert_recovers(one_component, "affine", LINEAR, cases=15, size=500)
    assert isinstance(caught.value.report, Model)


def rewritten(model):
    """The same model written otherwise, and behind a permutation."""
    from random import Random

    return equivalent_pair(Random(0), model, recovering.Equivalence.PERMUTATION, 2).second


def test_models_are_compared_exactly():
    truths = models((1, 2), depth=(0, 1), noise="gaussian", degenerate=False)
    found = assert_recovers(rewritten, "permutation", truths, given_as="model", cases=8)
    assert found == recovering.Recovery(8, None)

    def rounded(model):
        net = model.decoder
        if not isinstance(net, ReLUNetwork):
            return model
        return Model(model.prior, ReLUNetwork(net.weights_exact, [np.round(b.astype(float)) for b in net.biases_exact],
                                              net.negative_slope_exact), model.noise)

    with pytest.raises(VerdictError) as caught:
        assert_recovers(rounded, "affine", truths, given_as="model", cases=60)
    assert caught.value.rows[0].evidence == "exact"
    with pytest.raises(VerdictError, match="cannot be equivalent"):
        assert_recovers(lambda model: Model(model.prior, model.decoder, GaussianNoise(7)), "affine", truths,
                        given_as="model", cases=3)


def test_undecided_comparisons_do_not_pass(monkeypatch):
    from dataclasses import replace

    def undecided(first, second, budget=None):
        found = equivalence(first, second)
        return replace(found, equivalence=recovering.Equivalence.NONE, findings={
            key: replace(item, status=recovering.Status.UNKNOWN, proof=None) for key, item in found.findings.items()})

    monkeypatch.setattr(recovering, "equivalence", undecided)
    with pytest.raises(UndecidedError, match="UNDECIDED"):
        assert_recovers(lambda model: model, truths=LINEAR, given_as="model", cases=2)


def test_the_same_truths_every_time():
    seen = []

    def spy(model):
        seen.append(model)
        return model

    for _ in range(2):
        assert_recovers(spy, truths=models(decoders="piecewise"), given_as="model", cases=10)
    assert seen[:len(seen) // 2] == seen[len(seen) // 2:]
    first = len(seen)
    assert_recovers(spy, truths=models(decoders="piecewise"), given_as="model", cases=10, random_seed=1)
    assert seen[first:] != seen[:first // 2]


@pytest.mark.parametrize(("call", "text"), [
    (lambda: assert_recovers(3), "algorithm: expected a function that estimates, found 3"),
    (lambda: assert_recovers(raising, "block_permutation"), "up_to: expected one of equal"),
    (lambda: assert_recovers(raising, truths=models), "truths: expected SearchStrategy, found function"),
    (lambda: assert_recovers(raising, given_as="samples"), "given_as: expected one of data, law, model"),
    (lambda: assert_recovers(raising, cases=0), "cases: expected a whole number >= 1, found 0"),
    (lambda: assert_recovers(raising, size=1.5), "size: expected a whole number >= 3, found 1.5"),
    (lambda: assert_recovers(raising, least_mcc="high"), "least_mcc: expected a number >= 0, found 'high'"),
    (lambda: assert_recovers(lambda x, rng: x, "orthogonal", LINEAR, cases=1), "up_to: expected monomial or affine"),
    (lambda: assert_recovers(lambda m: m.mixture, "monomial", LINEAR, given_as="model", cases=1),
     "up_to: expected equal or affine for mixtures"),
    (lambda: assert_recovers(lambda m: [1], truths=LINEAR, given_as="model", cases=1),
     "expected a GaussianMixture or a Model from a model, found list"),
    (lambda: assert_recovers(raising, truths=st.just(3), cases=1), "truths: expected Model, found int"),
])
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_the_default_truths_can_be_recovered():
    """From data up to affine maps; what cannot be promised has to be asked for."""
    def centred(x, rng):
        _, vectors = np.linalg.eigh(np.cov(x.T))
        return (x - x.mean(axis=0)) @ vectors[:, 1:]

    assert assert_recovers(centred, cases=20, size=500).worst > 0.99
    with pytest.raises(InputError, match="truths: expected a strategy of models that can be recovered"):
        assert_recovers(centred, "monomial")


def test_an_algorithm_that_is_not_deterministic_fails():
    calls = []

    def moody(x, rng):
        calls.append(x)
        return principal_components(x, rng) if len(calls) % 3 else x[:, :2] * 0

    with pytest.raises(VerdictError, match=r"weak MCC|cannot be compared"):
        assert_recovers(moody, truths=LINEAR, cases=10, size=100)


def test_no_truth_is_no_pass():
    with pytest.raises(VerdictError, match="nothing was tested"):
        assert_recovers(raising, truths=st.nothing(), cases=3)
