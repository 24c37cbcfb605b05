"""Entropy, cross-entropy and divergence: closed forms, scipy quadrature, Monte Carlo; errors hold."""

import math

import numpy as np
import pytest
from common.strategies import line_models
from hypothesis import given, settings
from scipy import integrate, stats

from ident_theory import (
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
    law,
)
from ident_theory.errors import InputError
from ident_theory.laws import ErrorKind
from ident_theory.laws.expectation import adaptive_integral


def gaussian(mean, variance, slope=1, noise="1/2"):
    prior = GaussianMixture([1], [mean], [variance])
    return law(Model(prior, PiecewiseAffineMap([], [slope], [0]), GaussianNoise(noise)))


@pytest.mark.parametrize(("mean", "variance"), [(0, 1), (3, 0.01), (-1, 1e4), (0.5, 0)])
def test_gaussian_closed_forms(mean, variance):
    p, q = gaussian(mean, variance), gaussian(0, 2, slope=2)
    vp, vq = variance + 0.25, 8.25
    entropy, kl = p.entropy(), p.kl(q)
    exact = 0.5 * math.log(2 * math.pi * math.e * vp)
    exact_kl = 0.5 * (vp / vq + mean**2 / vq - 1 + math.log(vq / vp))
    assert abs(entropy.value - exact) <= entropy.error <= 1e-9
    assert abs(kl.value - exact_kl) <= kl.error <= 1e-9
    cross = p.cross_entropy(q)
    assert abs(cross.value - exact - exact_kl) <= cross.error <= 1e-9 * max(1, cross.value)
    assert float(cross) == cross.value


@given(model=line_models(1))
@settings(max_examples=40)
def test_entropy_against_the_mean_over_samples(model):
    """Five standard errors of 20,000 draws; entropy of noise below, that of the worst mixture above."""
    exact = law(model)
    entropy = exact.entropy(rtol=1e-8)
    logs = exact.log_density(exact.sample(20_000, np.random.default_rng(0)))
    assert abs(entropy.value + logs.mean()) <= entropy.error + 5 * logs.std() / math.sqrt(20_000) + 1e-12
    noise = 0.5 * math.log(2 * math.pi * math.e * float(model.noise.covariance_exact(1)[0, 0]))
    assert entropy.value >= noise - entropy.error
    # Observations of size 1e7 are rounded by a sizeable part of a noise scale of 1e-6, and integrals suffer.
    rounding = 1e-14 * np.abs(exact.sample(100, np.random.default_rng(0))).max() / math.exp(noise)
    assert entropy.error < (1e-6 + rounding) * max(1, abs(entropy.value))


def test_divergence_against_scipy():
    f = ReLUNetwork([[[1], [1]], [[1, "-3/2"]]], [[0, -1], [0]])
    p = law(Model(GaussianMixture(["1/3"] * 3, [-2, -1, 3], [1, 1, 1]), f, GaussianNoise("1/4")))
    q = law(Model(GaussianMixture(["1/2"] * 2, [-2, 3], [1, 2]), f, GaussianNoise("1/4")))

    def integrand(x):
        lp, lq = float(p.log_density([x])[0]), float(q.log_density([x])[0])
        return math.exp(lp) * (lp - lq)

    reference = sum(integrate.quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
                    for a, b in [(-8, -2), (-2, -0.5), (-0.5, 0.5), (0.5, 2), (2, 6)])
    kl = p.kl(q, rtol=1e-12)
    assert abs(kl.value - reference) < 1e-10
    assert kl.kind is ErrorKind.ESTIMATED
    assert p.kl(p).value == 0.0


def test_observed_dimensions_two_and_three():
    """Affine decoder: x is Gaussian with covariance a a^T + s^2 I, entropy in closed form."""
    for n in (2, 3):
        f = PiecewiseAffineMap([], [[1] * n], [[0] * n])
        p = law(Model(GaussianMixture([1], [1], [2]), f, GaussianNoise("1/2")))
        covariance = 2 * np.ones((n, n)) + 0.25 * np.eye(n)
        exact = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * covariance)[1]
        entropy = p.entropy(rtol=1e-6)
        assert abs(entropy.value - exact) <= entropy.error + 1e-13 <= 1e-5


def test_many_observed_dimensions_give_a_standard_error():
    n = 5
    p = law(Model(GaussianMixture([1], [1], [2]), PiecewiseAffineMap([], [[1] * n], [[0] * n]), GaussianNoise("1/2")))
    exact = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * (2 * np.ones((n, n)) + 0.25 * np.eye(n)))[1]
    entropy = p.entropy()
    assert entropy.kind is ErrorKind.STANDARD_ERROR
    assert abs(entropy.value - exact) <= 5 * entropy.error
    assert entropy.error < 0.01


@pytest.mark.parametrize(("noise", "exact"), [
    (LaplaceNoise("1/2"), stats.laplace(scale=0.5).entropy()), (StudentNoise(1, 4), stats.t(4).entropy())])
def test_other_noise(noise, exact):
    """A point-mass prior leaves the entropy of the noise."""
    p = law(Model(GaussianMixture([1], [0], [0]), PiecewiseAffineMap([], [1], [0]), noise))
    entropy = p.entropy(rtol=1e-8)
    assert abs(entropy.value - exact) < 1e-6


@pytest.mark.parametrize("power", [0.0, 0.5, 3.0])
def test_adaptive_integral_error_covers_hard_integrands(power):
    """|x - 0.3|^power with a kink or root inside a panel, and a peak of width 1e-4."""
    value, error = adaptive_integral(lambda x: np.abs(x - 0.3) ** power, np.array([0.0, 1.0]), 1e-10)
    exact = (0.3 ** (power + 1) + 0.7 ** (power + 1)) / (power + 1)
    assert abs(value - exact) <= error <= 1e-9
    splits = np.array([0.0, 0.298, 0.3, 0.302, 1.0])
    value, error = adaptive_integral(lambda x: np.exp(-0.5 * ((x - 0.3) / 1e-4) ** 2), splits, 1e-12)
    assert abs(value - 1e-4 * math.sqrt(2 * math.pi)) <= error <= 1e-11


def test_bad_input():
    p, q = gaussian(0, 1), law(Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[1, 1]], [[0, 0]]),
                                     GaussianNoise(1)))
    with pytest.raises(InputError, match="n=1 and n=2"):
        p.kl(q)
    with pytest.raises(InputError, match="rtol"):
        p.entropy(rtol=0.0)


def test_two_latents_and_a_scalar_observation():
    """The same law written with one latent, whose expectations are integrals of the closed form."""
    one = law(Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.5]), ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]]),
                    GaussianNoise("1/2")))
    two = law(Model(GaussianMixture([0.5, 0.5], [[-1, 0], [2, 1]], [[1, 1], [0.5, 3]]),
                    ReLUNetwork([[[1, 0], [-1, 0]], [[1, 2]]], [[0, 1], [0]]), GaussianNoise("1/2")))
    exact, found = one.entropy(), two.entropy(rtol=1e-8)
    assert found.kind is ErrorKind.ESTIMATED
    assert abs(exact.value - found.value) <= exact.error + found.error < 1e-6
    other = gaussian(0, 2)
    exact, found = one.kl(other), two.kl(other, rtol=1e-8)
    assert abs(exact.value - found.value) <= exact.error + found.error < 1e-6
    # Three units in general position, no closed form: the mean over draws.
    plane = law(Model(GaussianMixture([1], [[0.5, 0]], [[1, 2]]),
                      ReLUNetwork([[[1, 0], [1, 1], [0.5, -1]], [[1, -0.5, 2]]], [[0, -1, 0], [0]]),
                      GaussianNoise("1/10")))
    entropy = plane.entropy(rtol=1e-6)
    logs = plane.log_density(plane.sample(2000, np.random.default_rng(0)))
    assert abs(entropy.value + logs.mean()) <= entropy.error + 5 * logs.std() / math.sqrt(2000)
