"""The distribution function under noise: scipy's bivariate normal, quadrature of the density, limits."""

import numpy as np
import pytest
from common.strategies import line_models
from hypothesis import given, settings
from scipy import integrate, stats

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.errors import UnsupportedError
from ident_theory.laws.splits import split_points


@given(model=line_models(1))
@settings(max_examples=60)
def test_is_the_integral_of_the_density(model):
    """Between two quantile-like points; 1e-10 is the tolerance asked of the quadrature."""
    exact = law(model)
    splits = split_points(model)
    draws = np.quantile(exact.sample(400, np.random.default_rng(0)), [0.1, 0.5, 0.9])
    cdf = exact.cdf(draws)
    assert (np.diff(cdf) >= -1e-13).all()
    for a, b, mass in zip(draws[:-1], draws[1:], np.diff(cdf), strict=True):
        cuts = [a, *splits[(splits > a) & (splits < b)], b]
        total = sum(integrate.fixed_quad(lambda x: np.exp(exact.log_density(x)), u, v, n=40)[0]
                    for u, v in zip(cuts[:-1], cuts[1:], strict=True) if v > u)
        slack = 1e-15 * np.abs(draws).max() / float(model.noise.std_exact.item())  # rounding of x, in noise scales
        assert total == pytest.approx(mass, abs=1e-8 + slack)


@given(model=line_models(1))
@settings(max_examples=60)
def test_limits_and_monotonicity(model):
    exact = law(model)
    splits = split_points(model)
    x = np.linspace(splits[0], splits[-1], 201)
    values = exact.cdf(x)
    assert (np.diff(values) >= -1e-12).all()
    assert values[0] == pytest.approx(0, abs=1e-12)
    assert values[-1] == pytest.approx(1, abs=1e-12)


def test_against_the_bivariate_normal():
    """P(z <= 1, x <= t) for one kink, by scipy's multivariate normal to its 1e-8 or so."""
    f = PiecewiseAffineMap([1], [2, -1], [0, 3])
    exact = law(Model(GaussianMixture([1], [0.5], [2]), f, GaussianNoise("1/2")))
    for t in (-2.0, 0.0, 1.0, 2.5):
        left = stats.multivariate_normal([0.5, 1.0], [[2, 4], [4, 8.25]]).cdf([1, t])
        right = stats.multivariate_normal([-0.5, 2.5], [[2, 2], [2, 2.25]]).cdf([-1, t])
        assert exact.cdf([t])[0] == pytest.approx(left + right, abs=1e-7)


def test_exact_corner():
    """z and x both at their means at a breakpoint: the quadrant probability 1/4 + asin(r)/(2 pi)."""
    exact = law(Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]], [[1]]], [[0], [0]]), GaussianNoise(1)))
    quadrant = 0.5 * 0.5 + (0.25 - np.arcsin(1 / np.sqrt(2)) / (2 * np.pi))
    assert exact.cdf([0.0])[0] == pytest.approx(quadrant, abs=1e-15)


def test_only_for_one_observed_dimension():
    exact = law(Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[1, 1]], [[0, 0]]), GaussianNoise(1)))
    with pytest.raises(UnsupportedError, match="n = 2"):
        exact.cdf([[0.0, 0.0]])
