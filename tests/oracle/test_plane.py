"""The exact law for two latents against independent routes."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.special import owens_t
from scipy.stats import multivariate_normal, norm

from ident_theory.errors import DegenerateLawError, InputError, UnsupportedError
from ident_theory.kernels.polygons import TIGHT, log_normal_interval, log_polygon_mass, nearest_points
from ident_theory.laws.base import ErrorKind, LawKind
from ident_theory.laws.plane import PlaneLaw
from ident_theory.models import GaussianMixture, GaussianNoise, LaplaceNoise, Model, ReLUNetwork


def random_model(rng: np.random.Generator, widths: tuple[int, ...], noise: GaussianNoise, slope: float = 0.0,
                 components: int = 2) -> Model:
    weights = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)]
    biases = [rng.normal(size=b) for b in widths[1:]]
    root = rng.normal(size=(components, 2, 2))
    covariances = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    prior = GaussianMixture(rng.dirichlet(np.ones(components)), rng.normal(size=(components, 2)), covariances)
    return Model(prior, ReLUNetwork(weights, biases, slope), noise)


# Masses of polygons ---------------------------------------------------------------------------------------


def polygon_mass(corners: np.ndarray) -> float:
    """Log mass of a bounded polygon given by its corners, anticlockwise."""
    following = np.roll(corners, -1, axis=0)
    along = following - corners
    normals = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
    sides = np.column_stack([normals, np.einsum("ij,ij->i", normals, corners)])
    count = len(corners)
    ends = np.column_stack([np.arange(count), (np.arange(count) + 1) % count])
    anchors = np.empty((count, 3))
    distance, nearest = nearest_points(sides, ends, corners, anchors)
    return log_polygon_mass(sides, corners, np.empty((0, 2)), anchors, distance, nearest, TIGHT)[0]


def edge_sum(corners: np.ndarray) -> float:
    """Mass by Owen's T function: each side adds the signed mass of the triangle it spans with the origin."""
    total = 0.0
    for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = (q - p) / math.hypot(*(q - p))
        h = p[0] * along[1] - p[1] * along[0]
        for sign, end in ((1, q), (-1, p)):
            t = float(end @ along)
            # The mass of the triangle from the foot of the perpendicular: angle / 2 pi - T(h, t / h).
            total += sign * (math.atan(t / h) / (2 * math.pi) - owens_t(h, t / h))
    return total


@settings(max_examples=60)
@given(st.integers(3, 7), st.integers(0, 2**32 - 1))
def test_polygons_agree_with_owens_t(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    if np.diff(angles, append=angles[0] + 2 * np.pi).max() > 3 or np.diff(angles).min() < 1e-3:
        return
    corners = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.3, 4) + rng.normal(size=2)
    assert math.exp(polygon_mass(corners)) == pytest.approx(edge_sum(corners), abs=3e-15)


def mp_triangle(corners: np.ndarray) -> mp.mpf:
    """Log mass of a triangle by iterated quadrature in 30 digits, slab by slab."""
    with mp.workdps(30):
        points = sorted([mp.mpf(float(a)), mp.mpf(float(b))] for a, b in corners)
        (x0, y0), (x1, y1), (x2, y2) = points

        def mass(u: mp.mpf) -> mp.mpf:
            long = y0 + (y2 - y0) * (u - x0) / (x2 - x0)
            short = y0 + (y1 - y0) * (u - x0) / (x1 - x0) if u < x1 else y1 + (y2 - y1) * (u - x1) / (x2 - x1)
            low, high = min(long, short) / mp.sqrt(2), max(long, short) / mp.sqrt(2)
            if high < 0:
                low, high = -high, -low
            return mp.npdf(u) * (mp.erfc(low) - mp.erfc(high)) / 2

        total = mp.mpf(0)
        for a, b in ((x0, x1), (x1, x2)):
            pieces = [a + (b - a) * k / 64 for k in range(65)]
            total += mp.quad(mass, pieces)
        return mp.log(total)


@pytest.mark.parametrize("distance", [0.0, 3.0, 30.0, 400.0])
@pytest.mark.parametrize("size", [1e-3, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_triangles_keep_relative_accuracy_far_away(distance: float, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    turn = rng.uniform(0, 2 * np.pi) + np.array([0.0, 2.0, 4.1])
    corners = size * np.column_stack([np.cos(turn), np.sin(turn)])
    corners += distance * np.array([math.cos(angle), math.sin(angle)])
    reference = mp_triangle(corners)
    # Corners are rounded to 1e-16 distance, which moves the mass by 1e-16 distance / size.
    allowed = 1e-14 + 4e-15 * abs(float(reference)) + 1e-15 * distance / size
    assert abs(float(polygon_mass(corners) - reference)) < allowed


@pytest.mark.parametrize(("b", "t"), [(0, 1), (-1, 2), (3, 3.0001), (5, 5 + 1e-9), (40, 41), (40, 40.001),
                                      (300, math.inf), (-math.inf, -20), (-math.inf, 0.5), (-9, -8.5), (1, 9)])
def test_normal_intervals(b: float, t: float) -> None:
    with mp.workdps(40):
        root = mp.sqrt(2)
        low, high = (-t, -b) if t < 0 else (b, t)
        reference = mp.log((mp.erfc(mp.mpf(low) / root) - mp.erfc(mp.mpf(high) / root)) / 2)
        gap = abs(mp.mpf(log_normal_interval(float(b), float(t))) - reference)
    assert float(gap) < 2e-15 * max(1.0, abs(float(reference)))


# Densities ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [GaussianNoise(std=0.5), GaussianNoise(std=[0.2, 1.5, 1e-3]),
                                   GaussianNoise(covariance=[[2, 1, 0], [1, 3, -1], [0, -1, 1]])])
@pytest.mark.parametrize("kinks", [False, True])
def test_affine_networks_are_linear_gaussian(noise: GaussianNoise, kinks: bool) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(3, 2)), rng.normal(size=3)
    eye = np.eye(2)
    # s(t) - s(-t) = t: four cells, one affine map.
    network = ReLUNetwork([np.vstack([eye, -eye]), np.hstack([a, -a])], [np.zeros(4), b]) if kinks else (
        ReLUNetwork([a], [b]))
    s = np.array([[1.5, -0.4], [-0.4, 0.8]])
    law = PlaneLaw(Model(GaussianMixture([1], [[0.3, -1.0]], [s]), network, noise))
    x = np.vstack([law.sample(30, rng), 20 * rng.normal(size=(10, 3))])
    omega = noise.covariance_exact(3).astype(float)
    reference = multivariate_normal(a @ [0.3, -1.0] + b, a @ s @ a.T + omega).logpdf(x)
    np.testing.assert_allclose(law.log_density(x), reference, rtol=1e-10, atol=1e-10)


def mp_scalar(w: list[int], b: list[float], out: list[float], mean: float, variance: float, std: float,
              x: float) -> mp.mpf:
    """Density of out . relu(w z + b) + noise for one latent, by quadrature between the kinks."""
    def integrand(z: mp.mpf) -> mp.mpf:
        f = sum(mp.mpf(o) * max(mp.mpf(a) * z + mp.mpf(c), mp.mpf(0)) for a, c, o in zip(w, b, out, strict=True))
        return mp.npdf(z, mean, mp.sqrt(mp.mpf(variance))) * mp.npdf(mp.mpf(x), f, std)

    kinks = [-mp.mpf(c) / a for a, c in zip(w, b, strict=True)]
    grid = sorted({*kinks, *(mp.mpf(k) / 2 for k in range(-30, 31))})
    return mp.quad(integrand, grid)


@pytest.mark.parametrize("std", [0.5])
def test_products_factorise(std: float) -> None:
    w1, b1, out1 = [1, 2], [0.25, -0.75], [1.0, -1.5]
    w2, b2, out2 = [1, -1], [0.5, 0.125], [2.0, 1.0]
    network = ReLUNetwork([[[1, 0], [2, 0], [0, 1], [0, -1]], [[*out1, 0, 0], [0, 0, *out2]]], [b1 + b2, [0, 0]])
    prior = GaussianMixture([1], [[0.5, -0.25]], [[1.5, 0.75]])
    law = PlaneLaw(Model(prior, network, GaussianNoise(std=std)))
    x = np.array([[0.3, 0.7], [-1.0, 2.5], [1.5, 0.0], [-4.0, -1.0]])
    value = law.log_density_with_error(x)
    for i, (p, q) in enumerate(x):
        with mp.workdps(25):
            reference = float(mp.log(mp_scalar(w1, b1, out1, 0.5, 1.5, std, p))
                              + mp.log(mp_scalar(w2, b2, out2, -0.25, 0.75, std, q)))
        assert abs(value.value[i] - reference) <= value.error[i] + 1e-15
        assert value.value[i] == pytest.approx(reference, rel=1e-13, abs=1e-13)


def test_double_quadrature() -> None:
    rng = np.random.default_rng(0)
    model = random_model(rng, (2, 3, 1), GaussianNoise(std=0.9), 0.125, components=1)
    law = PlaneLaw(model)
    prior = multivariate_normal(model.prior.means[0], model.prior.covariances[0])
    x = float(law.sample(1, rng)[0, 0])

    def integrand(v: float, u: float) -> float:
        return float(prior.pdf([u, v]) * norm.pdf(x, model.decoder([[u, v]])[0, 0], 0.9))

    value, _ = dblquad(integrand, -7, 7, -7, 7, epsabs=1e-6, epsrel=1e-6)
    assert math.exp(law.log_density([x])[0]) == pytest.approx(value, rel=3e-5)


@settings(max_examples=12)
@given(st.sampled_from([(2, 3, 2), (2, 4, 1), (2, 2, 3, 2), (2, 3, 3)]),
       st.sampled_from([3.0, 0.5, 0.05, 1e-4, 1e-7]), st.sampled_from([1.0, 40.0]),
       st.sampled_from([0.0, 0.125]), st.integers(0, 2**32 - 1))
def test_errors_hold_against_rigorous_bounds(widths: tuple[int, ...], std: float, spread: float, slope: float,
                                             seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = PlaneLaw(random_model(rng, widths, GaussianNoise(std=std), slope))
    x = np.vstack([law.sample(2, rng), spread * rng.normal(size=(2, widths[-1]))])
    result = law.log_density_with_error(x)
    assert result.kind is ErrorKind.ESTIMATED
    lo, hi = law.log_density_bounds(x)
    assert np.all((lo <= result.value) & (result.value <= hi))
    tight = 1e-12 * np.maximum(1, np.abs(result.value))
    assert np.all(hi - lo <= np.maximum(result.error, 1e-15 * np.abs(lo)) + tight)
    # What the float law gives away it gives away to small noise only.
    assert np.all(result.error <= (1e-12 + 1e-14 / std) * np.maximum(1, np.abs(result.value)))


def test_bounds_agree_with_a_closed_form_and_refuse_bad_tolerances() -> None:
    law = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0], [0, 1], [0, -1]],
                         [[1, 0, 0], [0, 1, -1]]], [[50, 0, 0], [0, 0]], 0), GaussianNoise(std=1)))
    lo, hi = law.log_density_bounds([[50.0, 1.0]], rtol=1e-14)
    reference = -math.log(4 * math.pi) - 0.25
    assert lo[0] <= reference + 1e-15
    assert hi[0] >= reference - 1e-15
    assert hi[0] - lo[0] < 1e-13
    with pytest.raises(InputError, match="rtol"):
        law.log_density_bounds([[0.0, 0.0]], rtol=0.0)


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_densities_integrate_to_one(slope: float) -> None:
    rng = np.random.default_rng(8)
    scalar = PlaneLaw(random_model(rng, (2, 3, 1), GaussianNoise(std=0.4), slope))
    edge = 60.0
    total, _ = quad(lambda x: math.exp(scalar.log_density([x])[0]), -edge, edge, limit=400, points=[-5, 0, 5])
    assert total == pytest.approx(1, abs=1e-7)
    plane = PlaneLaw(random_model(rng, (2, 3, 2), GaussianNoise(std=1.0), slope))
    grid = np.arange(-30, 30.01, 0.4)  # the trapezoidal rule converges at once: the density is smooth at scale 1
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    assert np.exp(plane.log_density(x)).sum() * 0.16 == pytest.approx(1, abs=1e-7)


# Degenerate parts -----------------------------------------------------------------------------------------


def test_singular_priors() -> None:
    network = ReLUNetwork([[[1, 2], [-1, 1], [3, 0]], [[1, -1, 0.5], [0, 2, 1]]], [[0.5, 0, -1], [0, 1]])
    point, on_line = [0.5, -0.25], [1.0, 0.0]
    prior = GaussianMixture([0.25, 0.5, 0.25], [point, on_line, [0, 0]],
                            [[[0, 0], [0, 0]], [[1, 2], [2, 4]], [[1, 0], [0, 2]]])
    law = PlaneLaw(Model(prior, network, GaussianNoise(std=0.5)))
    assert [float(int(w.p) / int(w.q)) for w, _ in law.singular_parts] == [0.25, 0.5]
    regular = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 2]]), network, GaussianNoise(std=0.5)))
    for x in law.sample(4, np.random.default_rng(0)):
        def along(t: float, x: np.ndarray = x) -> float:
            mean = network([[1 + t, 2 * t]])[0]
            return float(norm.pdf(t) * norm.pdf(x, mean, 0.5).prod())

        line, _ = quad(along, -9, 9, points=[-1, -0.5, 0, 0.5], limit=200, epsabs=1e-13)
        spot = norm.pdf(x, network([point])[0], 0.5).prod()
        reference = 0.25 * spot + 0.5 * line + 0.25 * math.exp(regular.log_density(x[None])[0])
        assert math.exp(law.log_density(x[None])[0]) == pytest.approx(reference, rel=1e-9)
        lo, hi = law.log_density_bounds(x[None])
        assert lo[0] <= law.log_density(x[None])[0] <= hi[0]
        assert hi[0] - lo[0] < 3e-12 * max(1, abs(lo[0]))


def test_noiseless_change_of_variables_and_atoms() -> None:
    w = [[[1, 0], [0, 1]], [[1, 0], [1, 1]]]
    leaky = ReLUNetwork(w, [[0, 0], [0, 0]], "1/2")
    prior = GaussianMixture([0.5, 0.5], [[1, 0], [-1, 0]], [[1, 1], [1, 2]])
    law = PlaneLaw(Model(prior, leaky, None))
    assert law.kind is LawKind.DENSITY
    noisy = PlaneLaw(Model(prior, leaky, GaussianNoise(std=1e-4)))
    x = np.array([[1.0, 2.0], [-1.0, -0.25], [0.5, -1.0]])
    np.testing.assert_allclose(law.log_density(x), noisy.log_density(x), atol=1e-6)
    z = np.array([1.0, 1.0])
    by_hand = 0.5 * (norm.pdf(z[0] - 1) * norm.pdf(z[1]) + norm.pdf(z[0] + 1) * norm.pdf(z[1], 0, math.sqrt(2)))
    assert math.exp(law.log_density(x[:1])[0]) == pytest.approx(by_hand, rel=1e-14)
    with pytest.raises(UnsupportedError, match="without noise"):
        law.log_density_bounds(x)


def test_noiseless_constant_network_is_an_atom() -> None:
    law = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[0, 0], [0, 0]]], [[1, 2]]), None))
    assert law.kind is LawKind.ATOMS
    atoms = law.atoms()
    np.testing.assert_array_equal(atoms.locations, [[1.0, 2.0]])
    assert atoms.masses[0] == pytest.approx(1, abs=1e-15)
    assert law.log_density([[1.0, 2.0]])[0] == -math.inf


def test_noiseless_refusals() -> None:
    prior = GaussianMixture([1], [[0, 0]], [[1, 1]])
    relu = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])
    with pytest.raises(DegenerateLawError, match="rank 1"):
        PlaneLaw(Model(prior, relu, None))
    with pytest.raises(DegenerateLawError, match="surface"):
        PlaneLaw(Model(prior, ReLUNetwork([np.ones((3, 2))], [np.ones(3)]), None))
    with pytest.raises(DegenerateLawError, match="singular"):
        PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 0]]), ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]]), None))
    with pytest.raises(UnsupportedError, match="Gaussian"):
        PlaneLaw(Model(prior, relu, LaplaceNoise(1)))


def test_extreme_observations_stay_finite() -> None:
    law = PlaneLaw(random_model(np.random.default_rng(2), (2, 4, 2), GaussianNoise(std=0.1)))
    x = np.array([[s * 10.0**e, 10.0**e] for e in (3, 50, 150, 200, 308) for s in (-1, 1)])
    result = law.log_density_with_error(x)
    assert np.isfinite(result.value).all()
    assert not np.isnan(result.error).any()
    assert result.value[-1] == -np.finfo(np.float64).max
    assert law.log_density(np.empty((0, 2))).shape == (0,)


def test_bounds_beyond_the_range_of_floats() -> None:
    law = PlaneLaw(random_model(np.random.default_rng(2), (2, 3, 2), GaussianNoise(std=0.1)))
    x = np.array([[1e150, 1.0], [1e300, -1e300]])
    lo, hi = law.log_density_bounds(x)
    value = law.log_density(x)
    assert np.all((lo <= value) & (value <= hi))
    assert hi[0] - lo[0] <= 1e-12 * abs(value[0])
    assert lo[1] == -math.inf
