"""Mixture priors and their bounds against scipy, quadrature that is exact for quadratics, and brute force over q."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.special import logsumexp, softmax  # noqa: E402
from scipy.stats import multivariate_normal, norm  # noqa: E402

from ident_theory.estimators.mixture_prior import OBJECTIVES, MixturePrior  # noqa: E402
from ident_theory.estimators.mixtures_fit import Mixtures  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402

RUNS, K, D = 2, 3, 2


def prior_of(covariance, seed=0):
    """A prior with random parameters, and for each run its scipy laws and weights."""
    rng = np.random.default_rng(seed)
    prior = MixturePrior("prior", K, D, covariance)
    parameters = Parameters(prior.parameters(), range(RUNS), torch.device("cpu"), torch.float64)
    parameters.set("prior.logits", torch.as_tensor(rng.normal(size=(RUNS, K))))
    parameters.set("prior.means", torch.as_tensor(rng.normal(size=(RUNS, K, D)) * 2))
    parameters.set("prior.log_variances", torch.as_tensor(rng.normal(size=(RUNS, K, D))))
    if covariance == "full":
        parameters.set("prior.couplings", torch.as_tensor(rng.normal(size=(RUNS, K, D, D))))
    laws = []
    for run in range(RUNS):
        one = parameters.one(run)
        weights = softmax(one["prior.logits"])
        parts = []
        for k in range(K):
            lower = np.diag(np.exp(-one["prior.log_variances"][k] / 2))
            if covariance == "full":
                lower = lower + np.tril(one["prior.couplings"][k], -1)
            parts.append(multivariate_normal(one["prior.means"][k], np.linalg.inv(lower @ lower.T)))
        laws.append((weights, parts))
    return prior, parameters, laws


def posterior(seed=1, rows=4):
    """Means and log-variances of q, shape (R, B, d)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(RUNS, rows, D)), rng.normal(size=(RUNS, rows, D)) - 0.5


def hermite(count):
    """Nodes (Q, d) and weights of the standard normal law in the plane."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    weights = weights / weights.sum()
    return np.stack([a.ravel() for a in np.meshgrid(nodes, nodes)], -1), np.outer(weights, weights).ravel()


def log_joint(law, z):
    """log pi_c + log N_c, shape (N, K), by scipy."""
    weights, parts = law
    return np.stack([np.log(w) + np.atleast_1d(part.logpdf(z)) for w, part in zip(weights, parts, strict=True)], -1)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_densities_and_their_means_under_q(covariance):
    """The logarithm of a normal density is quadratic, so three nodes a coordinate give its mean exactly."""
    prior, parameters, laws = prior_of(covariance)
    mean, log_variance = posterior()
    found = prior.log_joint(parameters.values, torch.as_tensor(mean))
    expected = prior.log_joint(parameters.values, torch.as_tensor(mean), torch.as_tensor(log_variance).exp())
    nodes, weights = hermite(3)
    for run, law in enumerate(laws):
        np.testing.assert_allclose(found[run].detach(), log_joint(law, mean[run]), rtol=1e-10)
        for row in range(4):
            z = mean[run, row] + np.exp(log_variance[run, row] / 2) * nodes
            np.testing.assert_allclose(expected[run, row].detach(), weights @ log_joint(law, z), rtol=1e-10)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_one_sample_of_each_bound_by_its_formula(covariance):
    prior, parameters, laws = prior_of(covariance)
    mean, log_variance = posterior()
    noise = np.random.default_rng(2).normal(size=mean.shape)
    tensors = [torch.as_tensor(array) for array in (mean, log_variance, noise)]
    found = {name: prior.bound(parameters.values, name, *tensors).detach().numpy() for name in OBJECTIVES}
    nodes, weights = hermite(3)
    for run, law in enumerate(laws):
        for row in range(4):
            m, s = mean[run, row], np.exp(log_variance[run, row] / 2)
            z = m + s * noise[run, row]
            log_q = norm(m, s).logpdf(z).sum()
            entropy = norm(m, s).entropy().sum()
            inner = weights @ log_joint(law, m + s * nodes)
            joint = log_joint(law, z[None])[0]
            chances = softmax(joint)
            for name, value in (("marginal", logsumexp(joint) - log_q), ("vade", logsumexp(inner) + entropy),
                                ("sampled", chances @ (inner - np.log(chances)) + entropy)):
                assert found[name][run, row] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_responsibilities_maximise_the_bound(covariance):
    """Over 2,000 random q(c | x); the average of p(c | z), eq. 16 of Jiang et al., falls short."""
    prior, parameters, laws = prior_of(covariance)
    mean, log_variance = posterior()
    tensors = torch.as_tensor(mean), torch.as_tensor(log_variance)
    best = prior.responsibilities(parameters.values, *tensors).detach().numpy()
    bound = prior.bound(parameters.values, "vade", *tensors, torch.zeros_like(tensors[0])).detach().numpy()
    rng = np.random.default_rng(4)
    exact, fine = hermite(3), hermite(60)
    short = []
    for run, law in enumerate(laws):
        for row in range(4):
            m, s = mean[run, row], np.exp(log_variance[run, row] / 2)
            inner = exact[1] @ log_joint(law, m + s * exact[0])
            entropy = norm(m, s).entropy().sum()

            def value(q, inner=inner, entropy=entropy):
                return (q * (inner - np.log(q))).sum(-1) + entropy

            assert value(best[run, row]) == pytest.approx(bound[run, row], rel=1e-10)
            assert value(rng.dirichlet(np.ones(K), size=2000)).max() <= bound[run, row]
            averaged = fine[1] @ softmax(log_joint(law, m + s * fine[0]), axis=1)
            short.append(bound[run, row] - value(averaged))
    assert min(short) >= -1e-12
    assert max(short) > 1e-3


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_each_bound_is_in_expectation_at_most_the_one_before(covariance):
    """Expectations over the noise with 60 x 60 nodes; the first is minus the divergence of q from the prior."""
    prior, parameters, laws = prior_of(covariance)
    mean, log_variance = posterior()
    nodes, weights = hermite(60)
    means = {}
    for name in OBJECTIVES:
        tensors = [torch.as_tensor(np.repeat(a[:, :1], len(nodes), axis=1)) for a in (mean, log_variance)]
        noise = torch.as_tensor(np.broadcast_to(nodes, (RUNS, *nodes.shape)).copy())
        means[name] = (prior.bound(parameters.values, name, *tensors, noise).detach().numpy() * weights).sum(1)
    assert (means["marginal"] > means["vade"]).all()
    assert (means["vade"] > means["sampled"]).all()
    # The divergence on a grid, 8 standard deviations wide.
    for run, law in enumerate(laws):
        m, s = mean[run, 0], np.exp(log_variance[run, 0] / 2)
        axis = np.linspace(-8, 8, 401)
        z = m + s * np.stack([a.ravel() for a in np.meshgrid(axis, axis)], -1)
        log_q = norm(m, s).logpdf(z).sum(1)
        inside = np.exp(log_q) * (logsumexp(log_joint(law, z), axis=1) - log_q)
        assert means["marginal"][run] == pytest.approx(inside.sum() * (axis[1] - axis[0])**2 * s.prod(), abs=1e-4)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_fitted_mixtures_are_taken_over_and_come_out_again(covariance):
    _, _, laws = prior_of(covariance, seed=9)
    fitted = Mixtures(
        torch.as_tensor(np.stack([weights for weights, _ in laws])),
        torch.as_tensor(np.stack([[part.mean for part in parts] for _, parts in laws])),
        torch.as_tensor(np.stack([[np.diag(part.cov) if covariance == "diagonal" else part.cov for part in parts]
                                  for _, parts in laws])),
        torch.zeros(RUNS), torch.zeros(RUNS))
    other = MixturePrior("prior", K, D, covariance)
    fresh = Parameters(other.parameters(), range(RUNS), torch.device("cpu"), torch.float64)
    other.start_at(fresh, fitted)
    for run, (weights, parts) in enumerate(laws):
        found = other.model(fresh.one(run))
        np.testing.assert_allclose(found.weights, weights, rtol=1e-12)
        np.testing.assert_allclose(found.means, [part.mean for part in parts], rtol=1e-12)
        np.testing.assert_allclose(found.covariances, [part.cov for part in parts], rtol=1e-9, atol=1e-12)
    fresh.set("prior.logits", torch.zeros(RUNS, K))
    other.start_at(fresh, fitted, 0.01)
    np.testing.assert_allclose(fresh.one(0)["prior.logits"], 0)
    np.testing.assert_allclose(fresh.one(0)["prior.log_variances"], np.log(0.01))
