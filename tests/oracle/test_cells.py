"""The quasi-Monte Carlo law against exact routes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import laplace, logistic, multivariate_normal, norm, t

from ident_theory.errors import DegenerateLawError, InputError, UnsupportedError
from ident_theory.laws.base import ErrorKind, LogDensity
from ident_theory.laws.cells import CellsLaw
from ident_theory.laws.cells_modes import nearest_in_polyhedron
from ident_theory.laws.plane import PlaneLaw
from ident_theory.models import (
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
)
from ident_theory.models.noise import Noise


def network(rng: np.random.Generator, widths: tuple[int, ...], slope: float = 0.0) -> ReLUNetwork:
    return ReLUNetwork([rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)],
                       [rng.normal(size=b) for b in widths[1:]], slope)


def covariance(rng: np.random.Generator, m: int) -> np.ndarray:
    root = rng.normal(size=(m, m))
    s = root @ root.T + 0.1 * np.eye(m)
    return (s + s.T) / 2


def check(result: LogDensity, reference: np.ndarray, largest: float) -> None:
    """Errors within five standard errors (nearly always within three), and standard errors small.

    Far from the image of the network the posterior is squeezed into corners, and the error may grow a little.
    """
    assert result.kind is ErrorKind.STANDARD_ERROR
    assert np.all(result.error > 0)
    assert np.all(result.error <= largest + 1e-4 * np.abs(reference)), result.error
    scores = np.abs(result.value - reference) / result.error
    assert np.all(scores < 5), scores
    assert np.mean(scores < 3) >= 0.8, scores


@pytest.mark.parametrize(("widths", "std"), [((2, 3, 2), 0.5), ((2, 5, 2), 0.1), ((2, 4, 3, 1), 1.0),
                                             ((2, 3, 3), 0.02), ((2, 5, 2), 1e-3), ((2, 5, 1), 0.05)])
@pytest.mark.parametrize("slope", [0.0, 0.125])
def test_two_latents(widths: tuple[int, ...], std: float, slope: float) -> None:
    rng = np.random.default_rng(7)
    prior = GaussianMixture([0.4, 0.6], rng.normal(size=(2, 2)), [covariance(rng, 2), covariance(rng, 2)])
    model = Model(prior, network(rng, widths, slope), GaussianNoise(std=std))
    exact = PlaneLaw(model)
    x = np.vstack([exact.sample(10, rng), 3 * rng.normal(size=(3, widths[-1]))])
    check(CellsLaw(model).log_density_with_error(x), exact.log_density(x), 0.1)


@pytest.mark.parametrize("m", [3, 4, 6])
@pytest.mark.parametrize("std", [1.0, 1e-3])
def test_linear_gaussian(m: int, std: float) -> None:
    rng = np.random.default_rng(m)
    a, b, s = rng.normal(size=(m + 1, m)), rng.normal(size=m + 1), covariance(rng, m)
    eye = np.eye(m)
    decoder = ReLUNetwork([np.vstack([eye, -eye]), np.hstack([a, -a])], [np.zeros(2 * m), b])
    law = CellsLaw(Model(GaussianMixture([1], [np.ones(m)], [s]), decoder, GaussianNoise(std=std)))
    x = law.sample(5, rng)
    reference = multivariate_normal(a @ np.ones(m) + b, a @ s @ a.T + std**2 * np.eye(m + 1)).logpdf(x)
    check(law.log_density_with_error(x), reference, 0.01)


@pytest.mark.parametrize("std", [0.5, 0.01])
def test_a_flat_prior_in_three_dimensions_is_a_model_with_two_latents(std: float) -> None:
    rng = np.random.default_rng(11)
    w1, b1 = rng.integers(-4, 5, size=(6, 3)) / 4, rng.integers(-4, 5, size=6) / 4
    w2, b2 = rng.integers(-4, 5, size=(3, 6)) / 4, rng.integers(-4, 5, size=3) / 4
    plane = np.array([[1, 0], [1, 2], [0, 1]])
    prior = GaussianMixture([1], [[0, 0, 0]], [plane @ plane.T])
    model = Model(prior, ReLUNetwork([w1, w2], [b1, b2]), GaussianNoise(std=std))
    exact = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([w1 @ plane, w2], [b1, b2]),
                           GaussianNoise(std=std)))
    x = np.vstack([exact.sample(10, rng), rng.normal(size=(3, 3))])
    check(CellsLaw(model).log_density_with_error(x), exact.log_density(x), 0.05)


def scalar_density(x: float, slope: float, kernel: Callable[[float], float]) -> float:
    """Density of relu(z) - slope relu(-z) + noise for z standard normal."""
    value, _ = quad(lambda z: norm.pdf(z) * kernel(x - (z if z > 0 else slope * z)), -9, 9, limit=400,
                    points=[0.0, x, x / slope] if abs(x / slope) < 9 else [0.0], epsabs=1e-14)
    return value


@pytest.mark.parametrize(("noise", "kernel"), [
    (LaplaceNoise(0.3), lambda r: laplace.pdf(r, scale=0.3)),
    (LogisticNoise(0.3), lambda r: logistic.pdf(r, scale=0.3)),
    (StudentNoise(0.3, 3), lambda r: t.pdf(r, 3, scale=0.3)),
    (GaussianNoise(std=0.3), lambda r: norm.pdf(r, scale=0.3))])
def test_products_of_scalar_models(noise: Noise, kernel: Callable[[float], float]) -> None:
    eye = np.eye(3)
    decoder = ReLUNetwork([eye, eye], [np.zeros(3), np.zeros(3)], 0.25)
    law = CellsLaw(Model(GaussianMixture([1], [np.zeros(3)], [eye]), decoder, noise))
    x = np.vstack([law.sample(6, np.random.default_rng(4)), [[0.0, 0.0, 0.0], [3.0, -2.0, 0.1]]])
    reference = [sum(math.log(scalar_density(float(v), 0.25, kernel)) for v in row) for row in x]
    check(law.log_density_with_error(x), np.array(reference), 0.02)


def test_point_priors_are_exact() -> None:
    rng = np.random.default_rng(1)
    decoder = network(rng, (3, 4, 2))
    law = CellsLaw(Model(GaussianMixture([1], [[1, 2, 3]], [np.zeros((3, 3))]), decoder, GaussianNoise(std=0.5)))
    x = rng.normal(size=(4, 2))
    reference = norm.logpdf(x, decoder([[1, 2, 3]])[0], 0.5).sum(axis=1)
    np.testing.assert_allclose(law.log_density(x), reference, rtol=1e-13)


def test_a_seed_fixes_the_numbers_whatever_else_is_asked() -> None:
    rng = np.random.default_rng(3)
    model = Model(GaussianMixture([1], [np.zeros(3)], [np.eye(3)]), network(rng, (3, 5, 3)), GaussianNoise(std=0.2))
    x = rng.normal(size=(5, 3))
    first = CellsLaw(model).log_density_with_error(x)
    again = CellsLaw(model).log_density_with_error(x[::-1])
    np.testing.assert_array_equal(first.value, again.value[::-1])
    np.testing.assert_array_equal(first.error, again.error[::-1])
    other = CellsLaw(model, seed=1).log_density_with_error(x)
    assert np.all(first.value != other.value)
    assert np.all(np.abs(first.value - other.value) < 6 * np.hypot(first.error, other.error))


def test_more_points_shrink_the_error() -> None:
    rng = np.random.default_rng(6)
    model = Model(GaussianMixture([1], [np.zeros(3)], [np.eye(3)]), network(rng, (3, 4, 3)), GaussianNoise(std=0.5))
    x = CellsLaw(model).sample(6, rng)
    coarse = CellsLaw(model, points=32).log_density_with_error(x)
    fine = CellsLaw(model, points=1024).log_density_with_error(x)
    assert np.median(fine.error / coarse.error) < 0.2  # the root of 32, or better


def test_far_observations_stay_finite() -> None:
    rng = np.random.default_rng(2)
    model = Model(GaussianMixture([1], [np.zeros(3)], [np.eye(3)]), network(rng, (3, 4, 3)), GaussianNoise(std=0.1))
    x = np.array([[10.0**e, -(10.0**e), 1.0] for e in (2, 5, 20, 100, 200, 308)])
    result = CellsLaw(model).log_density_with_error(x)
    assert np.isfinite(result.value).all()
    assert not np.isnan(result.error).any()
    heavy = CellsLaw(Model(model.prior, model.decoder, StudentNoise(1, 2))).log_density_with_error(x)
    assert np.all(heavy.error[:4] < 1)
    # Each coordinate falls like |x|^-3.
    np.testing.assert_allclose(heavy.value[3] - heavy.value[2], -6 * 80 * np.log(10), rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_nearest_point_of_a_polyhedron(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(6, 3))
    h = g @ rng.normal(size=3) * 10.0 ** rng.integers(0, 5) - rng.uniform(0, 1, size=6)
    y, active = nearest_in_polyhedron(g, h)
    assert y is not None
    scale = max(1.0, float(np.abs(h).max()))
    assert np.all(g @ y >= h - 1e-8 * scale)
    np.testing.assert_allclose(g[active] @ y, h[active], atol=1e-8 * scale)
    reference = minimize(lambda v: v @ v / scale**2, y + 0.1 * scale * rng.normal(size=3), method="SLSQP",
                         constraints={"type": "ineq", "fun": lambda v: (g @ v - h) / scale})
    assert np.linalg.norm(y) <= np.linalg.norm(reference.x) * (1 + 1e-5) + 1e-6


def test_an_empty_polyhedron_has_no_nearest_point() -> None:
    assert nearest_in_polyhedron(np.array([[1.0], [-1.0]]), np.array([1.0, 1.0]))[0] is None


def test_refusals() -> None:
    prior = GaussianMixture([1], [np.zeros(3)], [np.eye(3)])
    decoder = ReLUNetwork([np.eye(3)], [np.zeros(3)])
    with pytest.raises(DegenerateLawError, match="noise"):
        CellsLaw(Model(prior, decoder, None))
    with pytest.raises(UnsupportedError, match="ReLUNetwork"):
        CellsLaw(Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [1], [0]), GaussianNoise(std=1)))
    noisy = Model(prior, decoder, GaussianNoise(std=1))
    for settings in ({"points": 100}, {"points": 1}, {"replicates": 1}, {"seed": -1}, {"points": 2.0}):
        with pytest.raises(InputError):
            CellsLaw(noisy, **settings)
    with pytest.raises(InputError, match="shape"):
        CellsLaw(noisy).log_density(np.zeros((2, 2)))
