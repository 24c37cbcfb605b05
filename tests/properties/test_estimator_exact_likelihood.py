"""Exact likelihoods of drawn models: the law's values, and what must not change them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory.estimators.exact_likelihood import ExactLikelihood  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from tests.common.runs import batch_of, numbers, set_up  # noqa: E402


def drawn(m, n, seed, options, spread):
    """Network and parameters, rounded to quarters so that units meet in one point or coincide."""
    estimator = ExactLikelihood(components=2, hidden=3, **options)
    network, parameters = set_up(estimator, Shape(20, n, m))
    values = np.random.default_rng(seed).normal(size=parameters.matrix.shape) * spread
    parameters.matrix[:] = torch.as_tensor(np.round(4 * values) / 4)
    return estimator, network, parameters


@settings(max_examples=12)
@given(st.sampled_from([1, 2]), st.integers(1, 4), st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 1.0, 2.0]),
       st.sampled_from([1e-4, 0.1, 1.0, 20.0]), st.integers(1, 3), st.sampled_from([0.3, 1.0]),
       st.sampled_from([0.0, 1.0, 1e3]), st.sampled_from(["diagonal", "full"]))
@example(2, 2, 0, 0.0, 1e-4, 2, 0.3, 1.0, "full")
def test_values_are_those_of_the_law(m, n, seed, slope, std, layers, spread, size, covariance):
    options = {"slope": slope, "noise_std": std, "layers": layers, "covariance": covariance}
    estimator, network, parameters = drawn(m, n, seed, options, spread)
    x = np.random.default_rng(seed + 1).normal(size=(4, n)) * size
    found = numbers(network.score(batch_of(estimator, parameters, x)))[0]
    expected = it.law(network.model(parameters.one(0))).log_density(x)
    # Residuals are rounded to 1e-16 of the observations and of the biases of far cells, and taken over the noise.
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10 + 1e-14 / std)
    loss = network.loss(batch_of(estimator, parameters, x))
    parameters.differentiate(loss.sum(), parameters.groups, slice(0, parameters.size))
    assert torch.isfinite(parameters.gradient).all()


@settings(max_examples=8)
@given(st.sampled_from([1, 2]), st.integers(0, 10**6), st.sampled_from([0.05, 0.5]))
def test_the_order_of_components_units_and_latents_does_not_count(m, seed, std):
    estimator, network, parameters = drawn(m, 2, seed, {"noise_std": std}, 0.7)
    x = np.random.default_rng(seed).normal(size=(8, 2))
    batch = batch_of(estimator, parameters, x)
    before, latents = numbers(network.score(batch)), numbers(network.encode(batch))
    turned = {"prior.logits": -1, "prior.means": -2, "prior.log_scales": -2, "decoder.weight0": -1,
              "decoder.bias0": -1, "decoder.weight1": -2}
    for name, axis in turned.items():
        parameters.set(name, parameters.values[name].detach().flip(axis))
    for name, axis in {"prior.means": -1, "prior.log_scales": -1, "decoder.weight0": -2}.items():
        parameters.set(name, parameters.values[name].detach().flip(axis))
    assert numbers(network.score(batch)) == pytest.approx(before, rel=1e-10, abs=1e-10)
    assert numbers(network.encode(batch))[..., ::-1] == pytest.approx(latents, abs=1e-8)
