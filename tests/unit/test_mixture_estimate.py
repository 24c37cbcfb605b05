"""Estimated mixtures: validation, sampling covariances against simulation, bootstrap draws."""

import numpy as np
import pytest

from ident_theory import GaussianMixture, InputError
from ident_theory.recovery import MixtureEstimate

MIXTURE = GaussianMixture(["1/4", "3/4"], [[0, 1], [2, -1]], [[[2, "1/2"], ["1/2", 1]], [[1, "-1/3"], ["-1/3", 3]]])
ROUND = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [1.0, 2.0])


@pytest.mark.parametrize(("arguments", "message"), [
    (([[1]], 10), "expected a GaussianMixture"),
    ((MIXTURE,), "n_observations or at least two replicates"),
    ((MIXTURE, None, [MIXTURE]), "at least two replicates, got 1 replicate;"),
    ((MIXTURE, None, iter([MIXTURE])), "sequence of GaussianMixture"),
    ((MIXTURE, None, [MIXTURE, 3]), r"replicates\[1\]: expected a GaussianMixture"),
    ((MIXTURE, None, [MIXTURE, ROUND]), "expected 2 components in 2 dimensions"),
    ((MIXTURE, 0), "positive integer"),
    ((MIXTURE, -5), "positive integer"),
    ((MIXTURE, 100.0), "positive integer"),
    ((MIXTURE, True), "positive integer"),
    ((MIXTURE, float("nan")), "positive integer"),
    ((MIXTURE, 12), "at least m \\+ 2 = 4 observations"),
    ((GaussianMixture([0, 1], [[0], [1]], [1, 1]), 100), "observations in every component"),
    ((GaussianMixture([1], [[0, 0]], [[[1, 1], [1, 1]]]), 100), "definite covariances"),
])
def test_bad_input_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MixtureEstimate(*arguments)


def test_bad_requests_are_named():
    estimate = MixtureEstimate(MIXTURE, 1000)
    with pytest.raises(InputError, match="Generator"):
        estimate.draw(None)
    with pytest.raises(InputError, match="component from 0 to 1"):
        estimate.mean_covariance(2)
    with pytest.raises(InputError, match="component from 0 to 1"):
        estimate.covariance_covariance(-1)
    with pytest.raises(InputError, match="got none"):
        estimate.variance()
    with pytest.raises(InputError, match=r"shape \(\.\.\., 2, 2, 2\)"):
        estimate.variance(covariances=np.zeros((2, 2)))


def test_the_sampling_covariances_are_those_of_labelled_samples():
    """5000 samples of 400 observations with known labels: each entry within 5 standard errors, where one of a
    covariance estimated from R draws is at most about sqrt(2 / R) times the product of the standard deviations."""
    rng, runs, size = np.random.default_rng(0), 5000, 400
    means, covariances, weights = np.empty((runs, 2, 2)), np.empty((runs, 2, 2, 2)), np.empty((runs, 2))
    roots = np.linalg.cholesky(MIXTURE.covariances)
    for r in range(runs):
        counts = rng.multinomial(size, MIXTURE.weights)
        weights[r] = counts / size
        for j, count in enumerate(counts):
            z = MIXTURE.means[j] + rng.standard_normal((count, 2)) @ roots[j].T
            means[r, j], covariances[r, j] = z.mean(axis=0), np.cov(z.T)
    estimate = MixtureEstimate(MIXTURE, size)

    def agree(samples, expected):
        found = np.cov(samples.reshape(runs, -1).T)
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        # The formulas are of first order in 1 / N_j, N_j = 100 in the smaller component: 5 % of leeway.
        np.testing.assert_array_less(np.abs(found - expected), (5 * np.sqrt(2 / runs) + 0.05) * scale)

    agree(weights[:, :1], estimate.weight_covariance()[:1, :1])
    for j in range(2):
        agree(means[:, j], estimate.mean_covariance(j))
        agree(covariances[:, j], estimate.covariance_covariance(j).reshape(4, 4))
    derivative = rng.standard_normal((3, 2, 2, 2))
    effect = np.einsum("aijk,rijk->ra", derivative, covariances)
    np.testing.assert_allclose(effect.var(axis=0), estimate.variance(covariances=derivative), rtol=0.15)


def test_the_delta_method_is_the_quadratic_form():
    estimate, rng = MixtureEstimate(MIXTURE, 700), np.random.default_rng(1)
    a, b, c = rng.standard_normal((4, 2)), rng.standard_normal((4, 2, 2)), rng.standard_normal((4, 2, 2, 2))
    expected = np.einsum("ri,ik,rk->r", a, estimate.weight_covariance(), a)
    for j in range(2):
        expected += np.einsum("ri,ik,rk->r", b[:, j], estimate.mean_covariance(j), b[:, j])
        expected += np.einsum("rik,ikln,rln->r", c[:, j], estimate.covariance_covariance(j), c[:, j])
    np.testing.assert_allclose(estimate.variance(weights=a, means=b, covariances=c), expected, rtol=1e-12)


def test_parametric_draws_have_the_stated_covariances():
    estimate, rng, runs = MixtureEstimate(MIXTURE, 2000), np.random.default_rng(2), 4000
    draws = [estimate.draw_arrays(rng) for _ in range(runs)]
    for j in range(2):
        for part, expected in ((1, estimate.mean_covariance(j)),
                               (2, estimate.covariance_covariance(j).reshape(4, 4))):
            found = np.cov(np.array([draw[part][j].ravel() for draw in draws]).T)
            scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            np.testing.assert_array_less(np.abs(found - expected), (5 * np.sqrt(2 / runs) + 0.02) * scale)
    np.testing.assert_allclose(np.var([draw[0][0] for draw in draws]), 0.25 * 0.75 / 2000, rtol=0.12)
    one, same = (estimate.draw(np.random.default_rng(5)) for _ in range(2))
    assert one == same
    assert one.n_components == 2


def test_replicates_take_the_place_of_the_formulas():
    rng = np.random.default_rng(3)
    replicates = [MixtureEstimate(MIXTURE, 500).draw(rng) for _ in range(40)]
    estimate = MixtureEstimate(MIXTURE, 10**6, replicates)
    means = np.array([item.means for item in replicates])
    covariances = np.array([item.covariances for item in replicates])
    np.testing.assert_allclose(estimate.mean_covariance(1), np.cov(means[:, 1].T), rtol=1e-10)
    flat = np.cov(covariances[:, 0].reshape(40, 4).T)
    np.testing.assert_allclose(estimate.covariance_covariance(0).reshape(4, 4), flat,
                               rtol=1e-10, atol=1e-18)
    b, c = rng.standard_normal((5, 2, 2)), rng.standard_normal((5, 2, 2, 2))
    effect = np.einsum("ajk,rjk->ra", b, means) + np.einsum("ajkl,rjkl->ra", c, covariances)
    np.testing.assert_allclose(estimate.variance(means=b, covariances=c), effect.var(axis=0, ddof=1), rtol=1e-10)
    assert estimate.draw(rng) in replicates
    assert estimate.basis == "40 bootstrap replicates"
    assert "lower bound" in MixtureEstimate(MIXTURE, 500).basis
