"""The bound of the iVAE against exact likelihoods, quadrature and densities evaluated by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

pytest.importorskip("torch")

from common.runs import batch_of, numbers, set_up

import ident_theory as it
from ident_theory import GaussianMixture, Model
from ident_theory.estimators.ivae import IVAE
from ident_theory.estimators.network import Shape

RNG = np.random.default_rng(5)
S = 0.3
#: Orthogonal columns, so that the exact posterior is factorial.
W = np.array([[1.2, 0.5], [-0.4, 0.8], [0.4, 0.7]])
W[:, 1] -= W[:, 0] * (W[:, 0] @ W[:, 1]) / (W[:, 0] @ W[:, 0])
B = np.array([0.3, -1.0, 0.2])
MEANS, VARIANCES = RNG.normal(size=(3, 2)), np.array([0.7, 1.9])
X, U = RNG.normal(size=(40, 3)), np.arange(40) % 3
NODES = np.linspace(-9, 9, 6001)
WEIGHTS = stats.norm.pdf(NODES) * (NODES[1] - NODES[0])


def exact_posterior(shift=0.0):
    """All parameters of the linear-Gaussian model, its posterior moved by `shift`."""
    precision = 1 / VARIANCES + (W**2).sum(axis=0) / S**2
    means = (W / S**2 / precision, (MEANS / VARIANCES - W.T @ B / S**2) / precision)
    table = np.stack([MEANS, np.tile(np.log(VARIANCES), (3, 1))])
    return {"encoder.weight0": np.stack([means[0], np.zeros((3, 2))]),
            "encoder.table": np.stack([means[1] + shift, np.zeros((3, 2))]),
            "encoder.bias0": np.stack([np.zeros(2), -np.log(precision)]),
            "decoder.weight0": W.T, "decoder.bias0": B, "prior.table": table}


def conditional_law(model, u, mean=True):
    """The law of x given u of a model with a normal conditional prior."""
    natural = model.prior.natural[u]
    variance = -0.5 / natural[:, -1]
    centre = natural[:, 0] * variance if mean else np.zeros(len(variance))
    return it.law(Model(GaussianMixture([1], [centre], [np.diag(variance)]), model.decoder, model.noise))


def log_likelihoods(model, x, u, mean=True):
    out = np.empty(len(x))
    for value in np.unique(u):
        out[u == value] = conditional_law(model, value, mean).log_density(x[u == value])
    return out


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_bound_is_the_likelihood_at_the_exact_posterior_and_below_it_elsewhere(shift):
    estimator = IVAE(layers=1, noise_std=S, prior="table", prior_mean=True)
    network, parameters = set_up(estimator, Shape(40, 3, 2, 3), values=exact_posterior(shift))
    exact = log_likelihoods(network.model(parameters.one(0)), X, U)
    bounds = []
    for _ in range(64):
        noise = RNG.normal(size=(40, 2))
        batch = batch_of(estimator, parameters, X, U, noise)
        bounds.append(numbers(network.score(batch))[0])
        assert numbers(network.loss(batch))[0] == pytest.approx(-bounds[-1].mean(), rel=1e-12)
    bounds = np.array(bounds)
    if shift == 0:
        # log p(x, z) - log q(z) is the same at every z, not only on average.
        np.testing.assert_allclose(bounds, np.tile(exact, (64, 1)), rtol=1e-9)
        return
    importance = logsumexp(bounds, axis=0) - np.log(64)
    assert (bounds.mean(axis=0) < importance).all()
    assert bounds.mean() < importance.mean() < exact.mean()


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "table"])
@pytest.mark.parametrize("exact_kl", [False, True])
def test_one_latent_by_quadrature(mean, kind, exact_kl):
    """The bound of each row: its terms by scipy at each node, its mean over the posterior, the gap to the law."""
    estimator = IVAE(hidden=6, noise_std=0.4, prior=kind, prior_mean=mean, exact_kl=exact_kl)
    network, parameters = set_up(estimator, Shape(40, 2, 1, 4), runs=2)
    x, u = RNG.normal(size=(5, 2)), np.array([0, 1, 2, 3, 1])
    for run in range(2):
        model = network.model(parameters.one(run))
        assert model.prior.family.name == ("normal" if mean else "normal_variance")
        exact = log_likelihoods(model, x, u, mean)
        for row in range(5):
            rows, same = np.tile(x[row], (len(NODES), 1)), np.full(len(NODES), u[row])
            batch = batch_of(estimator, parameters, rows, same, NODES[:, None])
            found = numbers(network.score(batch))[run]
            q_mean, q_log = (numbers(part)[run, 0, 0] for part in network.posterior(batch))
            z = q_mean + np.exp(q_log / 2) * NODES
            law = conditional_law(model, u[row], mean)
            prior = stats.norm(law.model.prior.means[0, 0], np.sqrt(law.model.prior.covariances[0, 0, 0]))
            decoded = stats.norm.logpdf(x[row], model.decoder(z[:, None]), 0.4).sum(axis=1)
            gap = stats.norm.logpdf(z, q_mean, np.exp(q_log / 2)) - prior.logpdf(z)
            expected = decoded - (WEIGHTS @ gap if exact_kl else gap)
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
            assert WEIGHTS @ found < exact[row]


def test_a_learnt_noise_is_that_of_the_model():
    estimator = IVAE(hidden=6, learn_noise=True)
    values = {"noise.log_variance": [np.log(0.09)]}
    network, parameters = set_up(estimator, Shape(40, 2, 1, 4), values=values)
    model = network.model(parameters.one(0))
    np.testing.assert_allclose(model.noise.root(2), 0.3 * np.eye(2), rtol=1e-12)
    known, fixed = set_up(IVAE(hidden=6, noise_std=0.3), Shape(40, 2, 1, 4),
                          values={name: value for name, value in parameters.one(0).items() if "noise" not in name})
    x, u, noise = RNG.normal(size=(5, 2)), np.array([0, 1, 2, 3, 1]), RNG.normal(size=(5, 1))
    np.testing.assert_allclose(numbers(network.score(batch_of(estimator, parameters, x, u, noise))),
                               numbers(known.score(batch_of(IVAE(hidden=6, noise_std=0.3), fixed, x, u, noise))),
                               rtol=1e-12)


def test_the_annealed_objective_weighs_the_parts():
    """Against densities in a loop; after 5/8 of the training it is the ELBO."""
    estimator = IVAE(hidden=5, noise_std=0.1, annealed=True)
    network, parameters = set_up(estimator, Shape(1000, 2, 2, 3))
    assert network.coupled
    x, u, noise = RNG.normal(size=(6, 2)), np.arange(6) % 3, RNG.normal(size=(6, 2))
    batch = batch_of(estimator, parameters, x, u, noise, progress=0.25)
    mean, log_variance = (numbers(part)[0] for part in network.posterior(batch))
    std = np.exp(log_variance / 2)
    z = mean + std * noise
    model = network.model(parameters.one(0))
    prior = np.sqrt(-0.5 / model.prior.natural[u, :, 0])
    t, a, total = 0.4, 50.0, 0.0
    for i in range(6):
        pairs = np.array([stats.norm.logpdf(z[i], mean[j], std[j]) for j in range(6)])
        joint = logsumexp(pairs.sum(axis=1)) - np.log(6000)
        apart = (logsumexp(pairs, axis=0) - np.log(6000)).sum()
        fit = stats.norm.logpdf(x[i], model.decoder(z[i:i + 1])[0], 0.1).sum()
        total += (0.3 * a * (1 - t) * (pairs[i].sum() - joint) + t * (joint - apart)
                  + 0.5 * a * (1 - t) * (apart - stats.norm.logpdf(z[i], 0, prior[i]).sum()) - a * (1 + t) * fit) / 6
    assert numbers(network.loss(batch))[0] == pytest.approx(total, rel=1e-10)
    later = batch_of(estimator, parameters, x, u, noise, progress=0.625)
    assert numbers(network.loss(later))[0] == pytest.approx(-numbers(network.score(later)).mean(), rel=1e-12)


def test_L_of_the_learnt_model_is_what_check_sees():
    """With k = 1 and no mean: invertible as soon as d + 1 conditions differ, singular for one variance everywhere."""
    estimator = IVAE(hidden=5, prior="table")
    network, parameters = set_up(estimator, Shape(40, 2, 2, 3))
    assert it.check(network.model(parameters.one(0)))["ivae.L"].status == "holds"
    network, parameters = set_up(estimator, Shape(40, 2, 2, 3), values={"prior.table": np.zeros((3, 2))})
    assert it.check(network.model(parameters.one(0)))["ivae.L"].status == "fails"
