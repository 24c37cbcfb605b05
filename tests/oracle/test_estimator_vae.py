"""Objectives of the VAEs without u against exact likelihoods, quadrature and densities in a loop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

torch = pytest.importorskip("torch")

from common.runs import batch_of, numbers, set_up  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory import GaussianMixture, Model  # noqa: E402
from ident_theory.estimators.hashed import HashedVAE  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.estimators.vae import VAE, BetaTCVAE, BetaVAE  # noqa: E402
from ident_theory.estimators.variational import decomposed  # noqa: E402

RNG = np.random.default_rng(6)
S = 0.5
W = np.array([[1.0, 0.6], [-0.5, 1.2]])  # orthogonal columns: the exact posterior is factorial
B = np.array([0.4, -0.7])
NODES = np.linspace(-9, 9, 6001)
WEIGHTS = stats.norm.pdf(NODES) * (NODES[1] - NODES[0])


def linear(means, variances):
    """The linear decoder and the exact posterior for one normal prior."""
    precision = 1 / variances + (W**2).sum(axis=0) / S**2
    return {"encoder.weight0": np.stack([W / S**2 / precision, np.zeros((2, 2))]),
            "encoder.bias0": np.stack([(means / variances - W.T @ B / S**2) / precision, -np.log(precision)]),
            "decoder.weight0": W.T, "decoder.bias0": B}


def test_the_bound_is_the_likelihood_at_the_exact_posterior():
    estimator = VAE(layers=1, noise_std=S, exact_kl=False)
    network, parameters = set_up(estimator, Shape(30, 2, 2), values=linear(np.zeros(2), np.ones(2)))
    x = RNG.normal(size=(30, 2))
    exact = it.law(network.model(parameters.one(0))).log_density(x)
    for _ in range(3):
        found = numbers(network.score(batch_of(estimator, parameters, x, noise=RNG.normal(size=(30, 2)))))[0]
        np.testing.assert_allclose(found, exact, rtol=1e-9)
    parameters.set("encoder.bias0", parameters.values["encoder.bias0"] + 0.1)
    bounds = np.array([numbers(network.score(batch_of(estimator, parameters, x, noise=RNG.normal(size=(30, 2)))))[0]
                       for _ in range(64)])
    importance = logsumexp(bounds, axis=0) - np.log(64)
    assert bounds.mean() < importance.mean() < exact.mean()


@pytest.mark.parametrize("options", [{}, {"exact_kl": False}, {"prior": "laplace"},
                                     {"observation": "bernoulli"}, {"observation": "bernoulli", "prior": "laplace"}],
                         ids=str)
def test_one_latent_by_quadrature(options):
    """The bound at each node of the noise by scipy; its mean lies below the evidence, a quadrature over z."""
    estimator = VAE(hidden=6, noise_std=0.4, **options)
    network, parameters = set_up(estimator, Shape(30, 2, 1), runs=2)
    prior = stats.laplace() if estimator.prior == "laplace" else stats.norm()
    exact_kl = estimator.exact_kl and estimator.prior == "normal"
    for run in range(2):
        values = parameters.one(run)

        def decoded(x, z, values=values):
            h = z[:, None]
            for k in range(3):
                h = h @ values[f"decoder.weight{k}"] + values[f"decoder.bias{k}"]
                h = np.where(h > 0, h, 0.1 * h) if k < 2 else h
            if estimator.observation == "bernoulli":
                return (x * h - np.logaddexp(0, h)).sum(axis=1)
            return stats.norm.logpdf(x, h, 0.4).sum(axis=1)

        for x in RNG.uniform(size=(3, 2)):
            batch = batch_of(estimator, parameters, np.tile(x, (len(NODES), 1)), noise=NODES[:, None])
            found = numbers(network.score(batch))[run]
            mean, log_variance = (numbers(part)[run, 0, 0] for part in network.posterior(batch))
            z = mean + np.exp(log_variance / 2) * NODES
            gap = stats.norm.logpdf(z, mean, np.exp(log_variance / 2)) - prior.logpdf(z)
            np.testing.assert_allclose(found, decoded(x, z) - (WEIGHTS @ gap if exact_kl else gap), rtol=1e-7,
                                       atol=1e-7)
            grid = np.linspace(-40, 40, 200_001)
            evidence = logsumexp(decoded(x, grid) + prior.logpdf(grid)) + np.log(grid[1] - grid[0])
            assert WEIGHTS @ found < evidence
            if estimator.prior == "normal" and estimator.observation == "gaussian":
                assert it.law(network.model(values)).log_density(x[None])[0] == pytest.approx(evidence, abs=1e-6)


def test_what_a_vae_is_as_a_model():
    shape = Shape(30, 2, 3)
    network, parameters = set_up(VAE(prior="laplace"), shape)
    prior = network.model(parameters.one(0)).prior
    assert (prior.family.name, prior.n_values, prior.natural.tolist()) == ("laplace", 1, [[[-1.0]] * 3])
    network, parameters = set_up(VAE(observation="bernoulli"), shape)
    assert network.model(parameters.one(0)) is None
    network, parameters = set_up(VAE(learn_noise=True, noise_std=0.2), shape)
    model = network.model(parameters.one(0))
    np.testing.assert_allclose(model.noise.root(2), 0.2 * np.eye(2), rtol=1e-12)
    z = RNG.normal(size=(5, 3))
    np.testing.assert_allclose(model.decoder(z), numbers(network.decoder(parameters.values, torch.tensor(z)[None]))[0],
                               rtol=1e-12)


def test_beta_weighs_the_divergence_of_each_run():
    estimator = BetaVAE(hidden=5, beta=(1.0, 4.0))
    network, parameters = set_up(estimator, Shape(30, 2, 2), runs=2)
    x, noise = RNG.normal(size=(7, 2)), RNG.normal(size=(7, 2))
    batch = batch_of(estimator, parameters, x, noise=noise)
    mean, log_variance = (numbers(part) for part in network.posterior(batch))
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=(1, 2)) / 7
    bound = numbers(network.score(batch)).mean(axis=1)
    np.testing.assert_allclose(numbers(network.loss(batch)), -bound + np.array([0, 3]) * divergence, rtol=1e-10)


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_the_parts_of_the_divergence(size, d, seed):
    """Each against densities in a loop, and their sum."""
    rng = np.random.default_rng(seed)
    z, mean, log_variance = rng.normal(size=(3, size, d))
    gap = rng.normal(size=size)
    parts = decomposed(torch.tensor(z)[None], torch.tensor(np.stack([mean, log_variance]))[None],
                       torch.tensor(gap)[None], 50)
    for i in range(size):
        pairs = np.array([stats.norm.logpdf(z[i], mean[j], np.exp(log_variance[j] / 2)) for j in range(size)])
        joint = logsumexp(pairs.sum(axis=1)) - np.log(50 * size)
        apart = (logsumexp(pairs, axis=0) - np.log(50 * size)).sum()
        log_prior = pairs[i].sum() - gap[i]
        expected = pairs[i].sum() - joint, joint - apart, apart - log_prior
        np.testing.assert_allclose([part[0, i] for part in parts], expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(sum(parts)[0], gap, rtol=1e-8, atol=1e-8)


def test_the_parts_are_those_of_the_aggregate_posterior():
    """With the whole data as batch q(z) is known: here two points, far apart in both latents.

    The mutual information and the total correlation are log 2, one bit, and either estimate is larger by log 2,
    because it has 1 / (N B) in place of 1 / B.
    """
    mean = torch.tensor([[-30.0, -30.0], [30.0, 30.0]], dtype=torch.float64)[None]
    posterior = torch.stack([mean, torch.zeros_like(mean)], dim=1)
    z = mean + torch.tensor(RNG.normal(size=(1, 2, 2)))
    for part in decomposed(z, posterior, torch.zeros((1, 2), dtype=torch.float64), 2)[:2]:
        np.testing.assert_allclose(part, np.full((1, 2), 2 * np.log(2)), rtol=1e-9)


def test_beta_tc_with_weights_one_is_the_sampled_bound_and_each_weight_has_its_part():
    shape, x, noise = Shape(30, 2, 2), RNG.normal(size=(7, 2)), RNG.normal(size=(7, 2))
    estimator = BetaTCVAE(hidden=5, alpha=(1.0, 2.0, 1.0, 1.0), beta=(1.0, 1.0, 3.0, 1.0), gamma=(1.0, 1.0, 1.0, 5.0))
    network, parameters = set_up(estimator, shape, runs=4)
    batch = batch_of(estimator, parameters, x, noise=noise)
    assert network.coupled
    posterior = network.both(batch)
    parts = decomposed(*(network.sample(batch, posterior)[:1]), posterior, network.sample(batch, posterior)[1], 30)
    found = numbers(network.loss(batch)) + numbers(network.score(batch)).mean(axis=1)
    weights = np.array([0, 1, 2, 4])
    expected = [0, *(weights[k] * numbers(parts[k - 1]).mean(axis=1)[k] for k in (1, 2, 3))]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def hash_of(signs, x, centre=0.0):
    """E.1 to E.3, one row and one bit after the other."""
    return np.array([sum(2**i for i, row in enumerate(signs) if row @ (point - centre) >= 0) for point in x])


def test_the_bound_of_the_hashed_model():
    """Rows whose hash is that of the component for which the posterior is exact: log p(u) + log p(x | u)."""
    estimator = HashedVAE(layers=1, bits=2, noise_std=S)
    means, variances = RNG.normal(size=(4, 2)), RNG.uniform(0.5, 2, size=(4, 2))
    logits = RNG.normal(size=4)
    signs = [[1, 1], [1, -1]]
    x = RNG.normal(size=(60, 2))
    u = hash_of(np.array(signs), x)
    log_weights = logits - logsumexp(logits)
    for value in range(4):
        rows = x[u == value]
        values = {**linear(means[value], variances[value]), "hash.signs": signs, "prior.logits": logits,
                  "prior.table": np.stack([means, np.log(variances)])}
        network, parameters = set_up(estimator, Shape(60, 2, 2), values=values)
        batch = batch_of(estimator, parameters, rows, noise=RNG.normal(size=rows.shape))
        assert numbers(network.conditions_of(batch)).tolist() == [[value] * len(rows)]
        model = network.model(parameters.one(0))
        one = it.law(Model(GaussianMixture([1], [means[value]], [variances[value]]), model.decoder, model.noise))
        found = numbers(network.score(batch))[0]
        np.testing.assert_allclose(found, log_weights[value] + one.log_density(rows), rtol=1e-9)
        assert (found < it.law(model).log_density(rows)).all()


def test_the_hash_of_each_run_and_where_it_ties():
    estimator = HashedVAE(bits=3)
    network, parameters = set_up(estimator, Shape(60, 4, 2), runs=5)
    x = np.vstack([RNG.normal(size=(20, 4)), np.zeros(4), [1, 1, 1, 1], [1, -1, 1, -1]])
    found = numbers(network.conditions_of(batch_of(estimator, parameters, x)))
    signs = numbers(parameters.values["hash.signs"])
    assert set(signs.ravel()) == {-1.0, 1.0}
    assert len({one.tobytes() for one in signs}) == 5
    for run in range(5):
        assert found[run].tolist() == hash_of(signs[run], x).tolist()
        assert found[run, 20] == 7  # zero counts as positive
