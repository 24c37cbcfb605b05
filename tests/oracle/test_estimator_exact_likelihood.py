"""Exact likelihood with its gradient against the law, finite differences, quadrature grids and sampling."""

import math

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import assume, example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.special import owens_t as scipy_owens_t  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory.estimators.exact_likelihood import (  # noqa: E402
    ConditionalExactLikelihood,
    ExactLikelihood,
    affine_maps,
)
from ident_theory.estimators.exact_line import interval_moments, line_pieces  # noqa: E402
from ident_theory.estimators.exact_plane import large_mass, owens_t, polygon_moments  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.geometry.line import line_pieces as exact_line_pieces  # noqa: E402
from ident_theory.laws.equality import normal_given  # noqa: E402
from tests.common.runs import batch_of, numbers, set_up  # noqa: E402

NO_RAYS = np.empty((0, 2))


def trained(estimator, m, n, seed=0, spread=0.4, conditions=0, size=50):
    """Network and parameters of one run, moved away from where they start."""
    network, parameters = set_up(estimator, Shape(size, n, m, conditions))
    rng = np.random.default_rng(seed)
    parameters.matrix += torch.as_tensor(rng.normal(size=parameters.matrix.shape) * spread)
    return network, parameters


def gradient(network, parameters, batch):
    """Of the loss of one run, by the network."""
    parameters.differentiate(network.loss(batch).sum(), parameters.groups, slice(0, parameters.size))
    return parameters.gradient[0].numpy().copy()


def differences(function, parameters, step=1e-5):
    """Central differences of a function of the parameters' matrix."""
    out = np.empty(parameters.size)
    for i in range(parameters.size):
        values = []
        for sign in (1, -1):
            parameters.matrix[0, i] += sign * step
            values.append(function())
            parameters.matrix[0, i] -= sign * step
        out[i] = (values[0] - values[1]) / (2 * step)
    return out


# --- normal laws cut to intervals

ENDS = st.one_of(st.floats(-40, 40), st.sampled_from([0.0, 1e-9, 3.0, 1e4, -1e4, 38.0]))
WIDTHS = st.one_of(st.floats(1e-6, 30), st.sampled_from([1e-9, 0.5, 0.4999, 100.0]))


@settings(max_examples=50)
@given(ENDS, WIDTHS)
@example(-0.25, 0.5)
@example(3.0, 0.6)
@example(-1e4, 1e-3)
def test_moments_on_intervals_are_those_of_a_quadrature(low, width):
    high = low + width
    assume(high > low)
    width = high - low
    # By panels of Gauss-Legendre nodes, in the distance t from the end that is nearer to zero.
    flip = abs(low) > abs(high)
    start = -high if flip else low
    nodes, weights = np.polynomial.legendre.leggauss(20)
    cuts = np.linspace(0, min(width, 45 / (abs(start) + 1) if start > 0 else 2 * abs(start) + 45), 61)
    t = (cuts[:-1, None] + cuts[1:, None] + nodes * np.diff(cuts)[:, None]) / 2
    peak = max(0.0, -start) ** 2 / 2 if width > -start else -width * (start + width / 2)
    density = np.diff(cuts)[:, None] / 2 * weights * np.exp(-t * (start + t / 2) - peak)
    mass = density.sum()
    first = (density * t).sum() / mass
    variance = (density * (t - first)**2).sum() / mass
    log_mass = math.log(mass) + peak - start**2 / 2 - math.log(2 * math.pi) / 2
    mean = -(start + first) if flip else start + first
    found = interval_moments(low, high)
    # A mean between the ends and a variance against its square; both ends are floats.
    assert found[0] == pytest.approx(log_mass, rel=1e-13, abs=1e-13)
    assert found[1] == pytest.approx(mean, rel=1e-12, abs=1e-13)
    assert found[2] == pytest.approx(variance, rel=1e-11)


@pytest.mark.parametrize("low", [-math.inf, -3.0, 0.0, 2.0, 5.0, 300.0])
def test_moments_on_half_lines(low):
    log_mass, mean, variance = interval_moments(low, math.inf)
    if low == -math.inf:
        assert (log_mass, mean, variance) == (0.0, 0.0, 1.0)
        return
    with mpmath.workdps(40):
        z = mpmath.mpf(low)
        upper = mpmath.erfc(z / mpmath.sqrt(2)) / 2
        ratio = mpmath.npdf(z) / upper
        expected = float(mpmath.log(upper)), float(ratio), float(1 + z * ratio - ratio**2)
    assert (log_mass, mean, variance) == pytest.approx(expected, rel=1e-12)
    assert interval_moments(-math.inf, -low) == pytest.approx((log_mass, -mean, variance), rel=1e-15)


# --- normal laws cut to polygons

@given(st.floats(-12, 12), st.one_of(st.floats(-50, 50), st.sampled_from([1.0, -1.0, 1e12, 1e-300, np.inf, -np.inf])))
def test_owens_function_is_that_of_scipy(h, a):
    assert owens_t(h, a) == pytest.approx(scipy_owens_t(h, a), abs=3e-16)


def sides_of(points):
    """Sides and ends of a polygon from its corners, anticlockwise."""
    edges = np.roll(points, -1, axis=0) - points
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1)[:, None]
    count = len(points)
    ends = np.stack([np.arange(count), (np.arange(count) + 1) % count], axis=1)
    return np.column_stack([normals, (normals * points).sum(1)]), ends


def moments(sides, ends, points, rays=NO_RAYS, least=1e-3):
    mean, covariance = np.empty(2), np.empty((2, 2))
    log_mass = polygon_moments(sides, ends, points, rays, np.empty((len(sides), 3)), least, 1e-13, mean, covariance)
    return log_mass, mean, covariance


@settings(max_examples=60)
@given(st.floats(-6, 6), st.floats(0.05, 8), st.floats(-6, 6), st.floats(0.05, 8), st.floats(0, 6.3),
       st.sampled_from([1e-3, 2.0]))
def test_rotated_rectangles_are_products_of_intervals(left, width, bottom, height, angle, least):
    one, other = interval_moments(left, left + width), interval_moments(bottom, bottom + height)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    x, y = (left, left + width), (bottom, bottom + height)
    points = np.array([[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]]) @ turn.T
    log_mass, mean, covariance = moments(*sides_of(points), points, least=least)
    # What is far out loses digits: side terms are of the size of the distance squared, over a width.
    lost = 1e-13 * (1 + np.abs(points).max()) ** 2 / min(width, height, 1)
    assert log_mass == pytest.approx(one[0] + other[0], abs=2e-12)
    assert mean == pytest.approx(turn @ [one[1], other[1]], abs=10 * lost)
    assert covariance == pytest.approx(turn @ np.diag([one[2], other[2]]) @ turn.T, abs=100 * lost)


@given(st.floats(-4, 4), st.floats(-4, 4))
def test_quadrants_and_half_planes(x, y):
    one, other = interval_moments(x, math.inf), interval_moments(y, math.inf)
    points = np.array([[x, y]])
    log_mass, mean, covariance = moments(np.array([[0.0, -1.0, -y], [-1.0, 0.0, -x]]), np.array([[0, -1], [-1, 0]]),
                                         points, np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert log_mass == pytest.approx(one[0] + other[0], abs=1e-12)
    assert mean == pytest.approx([one[1], other[1]], abs=1e-11)
    assert covariance == pytest.approx(np.diag([one[2], other[2]]), abs=1e-10)
    log_mass, mean, covariance = moments(np.array([[-1.0, 0.0, -x]]), np.array([[-1, -1]]), np.array([[x, 0.0]]),
                                         np.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]]))
    assert (log_mass, *mean) == pytest.approx((one[0], one[1], 0), abs=1e-12)
    assert covariance == pytest.approx(np.diag([one[2], 1]), abs=1e-10)


def test_triangles_by_quadrature_and_corners_at_the_origin():
    rng = np.random.default_rng(0)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    s, t = np.meshgrid((nodes + 1) / 2, (nodes + 1) / 2)
    cover = np.outer(weights, weights).T / 4
    for k in range(12):
        corners = rng.normal(size=(3, 2)) * 2
        if k == 0:
            corners[0] = 0
        edges = corners[1:] - corners[0]
        area = np.linalg.det(edges)
        if area < 0:
            corners, area = corners[[0, 2, 1]], -area
            edges = corners[1:] - corners[0]
        w = corners[0] + (s * (1 - t))[..., None] * edges[0] + (s * t)[..., None] * edges[1]
        density = cover * s * area * np.exp(-0.5 * (w**2).sum(-1)) / (2 * math.pi)
        mass = density.sum()
        mean = (density[..., None] * w).sum((0, 1)) / mass
        second = np.einsum("ij,ijk,ijl->kl", density, w - mean, w - mean) / mass
        sides, ends = sides_of(corners)
        log_mass, found, covariance = moments(sides, ends, corners)
        assert log_mass == pytest.approx(math.log(mass), abs=1e-11)
        assert found == pytest.approx(mean, abs=1e-10)
        assert covariance == pytest.approx(second, abs=1e-9)
        assert math.isnan(large_mass(sides, ends, corners)) == (k == 0)


# --- cells

@pytest.mark.parametrize("widths", [(1, 4, 2), (1, 5, 3), (1, 4, 3, 2), (1, 2)])
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.5])
def test_pieces_are_the_exact_ones(widths, slope):
    rng = np.random.default_rng([len(widths), round(10 * slope)])
    weights = [rng.integers(-4, 5, size=(b, a)) / 2 for a, b in zip(widths, widths[1:], strict=False)]
    biases = [rng.integers(-4, 5, size=b) / 2 for b in widths[1:]]
    network = it.ReLUNetwork(weights, biases, slope)
    flat = np.concatenate([part.ravel() for pair in zip(weights, biases, strict=True) for part in pair])
    ends, factors = line_pieces(flat, np.array(widths), slope)
    assert tuple(ends[[0, -1]]) == (-np.inf, np.inf)
    assert (np.diff(ends) > 0).all()
    exact = np.array([float(t) for t in exact_line_pieces(network).breakpoints])
    assert all(np.abs(ends[1:-1] - t).min() < 1e-12 for t in exact)
    slopes, intercepts = affine_maps([(torch.as_tensor(w.T)[None], torch.as_tensor(b)[None])
                                      for w, b in zip(weights, biases, strict=True)], torch.as_tensor(factors)[None])
    z = np.concatenate([rng.normal(size=200) * 3, exact])
    cell = np.searchsorted(ends, z, side="right") - 1
    values = slopes[0].numpy()[cell, :, 0] * z[:, None] + intercepts[0].numpy()[cell]
    assert values == pytest.approx(network(z[:, None]), abs=1e-11)


# --- values and gradients

CASES = [
    # m, n, settings, spread of the parameters, factor of the observations
    (1, 1, {}, 0.4, 1),
    (1, 3, {"slope": 0.0, "layers": 3}, 0.6, 1),
    (1, 2, {"layers": 1}, 0.4, 1),
    (1, 2, {"noise_std": 1e-3}, 0.2, 1),
    (1, 4, {"noise_std": 1e-2}, 0.4, 100),
    (2, 1, {"hidden": 3}, 0.4, 1),
    (2, 2, {"hidden": 4, "covariance": "full"}, 0.4, 1),
    (2, 3, {"hidden": 3, "layers": 3, "slope": 0.0, "covariance": "full"}, 0.5, 1),
    (2, 4, {"hidden": 4, "noise_std": 1e-2}, 0.3, 1),
    (2, 2, {"hidden": 4, "noise_std": 0.1}, 0.4, 10),
    (2, 2, {"layers": 1, "covariance": "full"}, 0.4, 1),
]


@pytest.mark.parametrize(("m", "n", "options", "spread", "factor"), CASES)
def test_values_are_those_of_the_law(m, n, options, spread, factor):
    estimator = ExactLikelihood(**{"noise_std": 0.3, **options})
    network, parameters = trained(estimator, m, n, seed=m + n, spread=spread)
    law = it.law(network.model(parameters.one(0)))
    x = law.sample(60, np.random.default_rng(1)) * factor
    expected = law.log_density(x)
    found = numbers(network.score(batch_of(estimator, parameters, x)))[0]
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)
    loss = network.loss(batch_of(estimator, parameters, x)).detach()
    assert float(loss) == pytest.approx(-expected.mean(), rel=1e-10)


@pytest.mark.parametrize(("m", "n", "options", "spread"), [case[:4] for case in CASES if case[4] == 1
                                                           and case[2].get("noise_std", 1) >= 1e-2])
def test_gradients_are_the_differences_of_the_law(m, n, options, spread):
    estimator = ExactLikelihood(**{"noise_std": 0.3, "components": 2, **options, "hidden": 4 if m == 1 else 2})
    network, parameters = trained(estimator, m, n, seed=m + n, spread=spread)
    x = it.law(network.model(parameters.one(0))).sample(8 if m == 1 else 3, np.random.default_rng(1))
    found = gradient(network, parameters, batch_of(estimator, parameters, x))
    expected = differences(lambda: -it.law(network.model(parameters.one(0))).log_density(x).mean(), parameters)
    # Third differences of log densities at noise s are of the order of 1 / s^3, times the step squared.
    assert found == pytest.approx(expected, abs=2e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("m", [1, 2])
def test_gradient_of_learned_noise_against_autograd_on_a_grid(m):
    """Brute force: trapezoidal sums over z, differentiated by torch through the network itself."""
    estimator = ExactLikelihood(components=2, hidden=3)
    network, parameters = trained(estimator, m, 2, seed=3)
    parameters.set("noise.log_std", torch.tensor([math.log(0.5)]))
    x = it.law(network.model(parameters.one(0))).sample(8, np.random.default_rng(2))
    batch = batch_of(estimator, parameters, x)
    found = gradient(network, parameters, batch)
    points = 40_001 if m == 1 else 501
    axis = torch.linspace(-9, 9, points, dtype=torch.float64)
    z = axis[:, None] if m == 1 else torch.cartesian_prod(axis, axis)
    p = parameters.values
    image = network.decoder(p, z[None])[0]
    log_std = p["noise.log_std"][0]
    scaled = (z[:, None] - p["prior.means"][0]) * torch.exp(-p["prior.log_scales"][0])
    log_prior = torch.logsumexp(torch.log_softmax(p["prior.logits"][0], 0) - p["prior.log_scales"][0].sum(1)
                                - 0.5 * scaled.square().sum(-1), 1)
    square = (batch.x[0][:, None] - image).square().sum(-1) * torch.exp(-2 * log_std)
    joint = log_prior - 0.5 * square - 2 * log_std
    value = torch.logsumexp(joint, 1) + m * math.log(18 / (points - 1)) - (m + 2) / 2 * math.log(2 * math.pi)
    assert numbers(network.score(batch))[0] == pytest.approx(numbers(value), abs=1e-4)
    parameters.differentiate(-value.mean(), parameters.groups, slice(0, parameters.size))
    # The integrand of the gradient jumps at the kinks, so the sums converge as the spacing, 5e-4 or 3e-2.
    assert found == pytest.approx(parameters.gradient[0].numpy(), abs=1e-4 if m == 1 else 2e-3)


def test_posterior_means_by_sums_over_a_grid():
    estimator = ExactLikelihood(components=2, hidden=4, noise_std=0.4)
    network, parameters = trained(estimator, 1, 2, seed=5)
    model = network.model(parameters.one(0))
    x = it.law(model).sample(20, np.random.default_rng(3))
    z = np.linspace(-12, 12, 60_001)
    prior = sum(w * np.exp(-(z - mu)**2 / (2 * v)) / math.sqrt(v) for w, mu, v in
                zip(model.prior.weights, model.prior.means[:, 0], model.prior.covariances[:, 0, 0], strict=True))
    joint = prior * np.exp(-((x[:, None] - model.decoder(z[:, None])) ** 2).sum(-1) / (2 * 0.4**2))
    found = numbers(network.encode(batch_of(estimator, parameters, x)))[0, :, 0]
    assert found == pytest.approx((joint * z).sum(1) / joint.sum(1), abs=1e-6)


@pytest.mark.parametrize("m", [1, 2])
def test_given_u_the_likelihood_is_that_of_one_component(m):
    estimator = ConditionalExactLikelihood(hidden=3, noise_std=0.3)
    network, parameters = trained(estimator, m, 2, conditions=3)
    model = network.model(parameters.one(0))
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(15, 2)), np.arange(15) % 3
    laws = [it.law(it.Model(normal_given(model.prior, k), model.decoder, model.noise)) for k in range(3)]
    expected = np.array([laws[k].log_density(row[None])[0] for row, k in zip(x, u, strict=True)])
    batch = batch_of(estimator, parameters, x, u)
    assert numbers(network.score(batch))[0] == pytest.approx(expected, rel=1e-10, abs=1e-10)
    found = gradient(network, parameters, batch)
    again = differences(lambda: float(network.loss(batch).detach()), parameters)
    assert found == pytest.approx(again, abs=1e-6 * max(1, np.abs(again).max()))


def test_units_that_are_dead_equal_or_parallel():
    """Columns of zeros, units without a weight, two units with one zero line, two parallel ones."""
    estimator = ExactLikelihood(components=2, hidden=4, noise_std=0.3, slope=0.0)
    network, parameters = trained(estimator, 2, 2, seed=9)
    weight, bias = (parameters.values[name].detach().clone() for name in ("decoder.weight0", "decoder.bias0"))
    weight[0, :, 0], bias[0, 0] = 0, -1
    weight[0, :, 2], bias[0, 2] = 2 * weight[0, :, 1], 2 * bias[0, 1]
    weight[0, :, 3] = -weight[0, :, 1]
    parameters.set("decoder.weight0", weight)
    parameters.set("decoder.bias0", bias)
    model = network.model(parameters.one(0))
    x = it.law(model).sample(20, np.random.default_rng(1))
    batch = batch_of(estimator, parameters, x)
    expected = it.law(model).log_density(x)
    assert numbers(network.score(batch))[0] == pytest.approx(expected, rel=1e-10, abs=1e-10)
    found = gradient(network, parameters, batch)
    assert np.isfinite(found).all()
    # Directions that do not move a unit through zero on the whole plane are differentiable.
    shift = torch.zeros_like(parameters.matrix)
    start = parameters.columns(["prior"]).start
    shift[0, start:] = torch.as_tensor(np.random.default_rng(2).normal(size=parameters.size - start))
    values = []
    for sign in (1, -1):
        parameters.matrix += sign * 1e-5 * shift
        values.append(float(network.loss(batch).detach()))
        parameters.matrix -= sign * 1e-5 * shift
    assert found @ shift[0].numpy() == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


def test_the_gradient_at_the_truth_is_zero_in_expectation():
    """Each parameter within five standard errors, from 40 batches of 100 observations."""
    estimator = ExactLikelihood(components=2, hidden=3)
    network, parameters = trained(estimator, 1, 2, seed=4)
    x = it.law(network.model(parameters.one(0))).sample(4000, np.random.default_rng(5))
    parts = np.array([gradient(network, parameters, batch_of(estimator, parameters, rows))
                      for rows in x.reshape(40, 100, 2)])
    error = parts.std(axis=0, ddof=1) / math.sqrt(len(parts))
    assert (np.abs(parts.mean(axis=0)) < 5 * error + 1e-12).all()
    assert error.max() < 0.1
