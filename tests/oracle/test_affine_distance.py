"""The affine distance: closed forms against quadrature and sampling, minima against grids, exact copies at zero."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from ident_theory import GaussianMixture
from ident_theory.errors import DegenerateLawError, InputError
from ident_theory.metrics.affine import affine_distance, l2_distance
from ident_theory.metrics.affine_descent import descend, newton
from ident_theory.models import AffineChange
from ident_theory.numerics import Evidence
from ident_theory.recovery.alignment_l2 import Loss, log_inner, parts_of, precise_distance, swept


def mixture(rng, count, m, spread=2.0):
    roots = rng.normal(size=(count, m, m)) / np.sqrt(m)
    c = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(m)
    return GaussianMixture(rng.dirichlet(np.full(count, 5.0)), spread * rng.normal(size=(count, m)),
                           (c + c.transpose(0, 2, 1)) / 2)


def density(p, points):
    return sum(w * multivariate_normal(mu, c).pdf(points) for w, mu, c in zip(p.weights, p.means, p.covariances,
                                                                             strict=True))


def float_copy(rng, a, matrix, shift):
    order = rng.permutation(a.n_components)
    c = (matrix @ a.covariances @ matrix.T)[order]
    return GaussianMixture(a.weights[order], (a.means @ matrix.T + shift)[order], (c + c.transpose(0, 2, 1)) / 2)


def test_inner_products_against_quadrature():
    rng = np.random.default_rng(0)
    a, b = mixture(rng, 2, 2), mixture(rng, 3, 2)
    for p, q in ((a, b), (a, a), (b, b)):
        # The trapezoidal rule converges exponentially for these; a component's spread is 0.4 at least, the step 0.05.
        line = np.linspace(-15, 15, 601)
        points = np.stack(np.meshgrid(line, line), axis=-1)
        other = float((density(p, points) * density(q, points)).sum()) * 0.05**2
        assert np.exp(log_inner(parts_of(p), parts_of(q))).sum() == pytest.approx(other, rel=1e-11)


def test_distance_against_sampling():
    """||p - q||^2 as a mean over draws from p and q; five standard errors."""
    rng = np.random.default_rng(1)
    a, b = mixture(rng, 3, 3, 1.0), mixture(rng, 4, 3, 1.0)
    x, y = a.sample(200_000, rng)[0], b.sample(200_000, rng)[0]
    first, second = density(a, x) - density(b, x), density(a, y) - density(b, y)
    square, error = first.mean() - second.mean(), math.hypot(first.std(), second.std()) / math.sqrt(200_000)
    scale = math.exp(0.5 * sum(float(np.log(np.exp(log_inner(parts_of(p), parts_of(p))).sum())) for p in (a, b)))
    assert l2_distance(a, b) ** 2 * scale == pytest.approx(square, abs=5 * error)


def test_known_values():
    one, two = GaussianMixture([1], [0], [1]), GaussianMixture([1], [0], [256])
    four = GaussianMixture([1], [0], [65536])

    def by_hand(s):  # N(0, 1) against N(0, s^2)
        return math.sqrt(math.sqrt(s) + 1 / math.sqrt(s) - 2 * math.sqrt(2 * s / (1 + s * s)))

    assert l2_distance(one, two) == pytest.approx(by_hand(16), rel=1e-12)
    assert l2_distance(one, four) == pytest.approx(by_hand(256), rel=1e-12)
    assert l2_distance(one, four) > l2_distance(one, two) + l2_distance(two, four)  # no metric
    assert affine_distance(one, four).value < 1e-14
    assert affine_distance(one, four).metric is False


def test_swept_inverts():
    rng = np.random.default_rng(2)
    roots = rng.normal(size=(50, 6, 6))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(6)
    inverse, logs = swept(np.ascontiguousarray(matrices.transpose(1, 2, 0)))
    assert np.allclose(inverse.transpose(2, 0, 1), np.linalg.inv(matrices), rtol=1e-9, atol=1e-10)
    assert np.allclose(logs, np.linalg.slogdet(matrices)[1], rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_gradient_against_differences(seed, m, first, second):
    rng = np.random.default_rng(seed)
    a, b = mixture(rng, first, m), mixture(rng, second, m)
    loss = Loss(parts_of(a), parts_of(b))
    matrix, shift = rng.normal(size=(m, m)) + 2 * np.eye(m), rng.normal(size=m)
    value, by_matrix, by_shift = loss(matrix, shift)
    assert value == pytest.approx(l2_distance(AffineChange(matrix, shift).carry(a), b) ** 2, rel=1e-10)
    turn, move = rng.normal(size=(m, m)), rng.normal(size=m)
    # Richardson: central differences at two steps, error of fourth order.
    d1, d2 = ((loss(matrix + s * turn, shift + s * move)[0] - loss(matrix - s * turn, shift - s * move)[0]) / (2 * s)
              for s in (1e-3, 5e-4))
    size = max(value, float(np.abs(by_matrix).max()), 1.0)
    assert float((by_matrix * turn).sum() + by_shift @ move) == pytest.approx((4 * d2 - d1) / 3, abs=1e-5 * size)


def test_scales_far_apart_do_no_harm():
    rng = np.random.default_rng(3)
    a, b = mixture(rng, 3, 2), mixture(rng, 3, 2)
    plain = affine_distance(a, b).value
    big, small = AffineChange(np.diag([1e60, 1e-50]), [1e70, 0]), AffineChange(np.diag([1e-40, 1e30]), [0, 1e31])
    assert affine_distance(big.carry(a), small.carry(b)).value == pytest.approx(plain, rel=1e-7)


def test_balls_agree_with_float64_where_both_serve():
    rng = np.random.default_rng(4)
    a, b = mixture(rng, 3, 3), mixture(rng, 2, 3)
    h = AffineChange(rng.normal(size=(3, 3)), rng.normal(size=3))
    assert precise_distance(a, b, h) == pytest.approx(l2_distance(h.carry(a), b), rel=1e-11)


def test_small_distances_are_accurate():
    """N(0, 1) against N(d, 1): sqrt(2 - 2 exp(-d^2 / 4)) = d / sqrt 2 to first order."""
    for exponent in (-3, -6, -9, -15, -30):
        d = 10.0**exponent
        found = l2_distance(GaussianMixture([1], [0], [1]), GaussianMixture([1], [d], [1]))
        assert found == pytest.approx(math.sqrt(-2 * math.expm1(-d * d / 4)), rel=1e-9)
    assert l2_distance(GaussianMixture([1], [0.3], [1]), GaussianMixture([0.5, 0.5], [0.3, 0.3], [1, 1])) == 0.0


@pytest.mark.parametrize(("count", "m"), [(1, 1), (4, 1), (2, 2), (3, 2), (2, 4), (4, 3), (8, 5),
                                          pytest.param(25, 10, marks=pytest.mark.slow)])
def test_copies_are_at_zero(count, m):
    rng = np.random.default_rng(100 * count + m)
    for orientation in (1, -1):
        a = mixture(rng, count, m)
        matrix = rng.normal(size=(m, m))
        matrix[0] *= orientation * np.sign(np.linalg.det(matrix))
        shift = rng.normal(size=m)
        exact = affine_distance(a, AffineChange(matrix, shift).carry(a))
        assert exact.value <= (0.0 if count > 1 else 1e-13)  # one component: the exact map may be irrational
        rounded = affine_distance(a, float_copy(rng, a, matrix, shift))
        assert rounded.value <= 1e-10
        assert rounded.converged


def test_perturbed_copies_grow_linearly():
    rng = np.random.default_rng(5)
    a = mixture(rng, 6, 3)
    matrix, shift, kick = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(6, 3))
    b = float_copy(np.random.default_rng(1), a, matrix, shift)
    values = [affine_distance(a, GaussianMixture(b.weights, b.means + e * kick, b.covariances)).value
              for e in (1e-3, 1e-5, 1e-8, 1e-11)]
    assert np.allclose(np.array(values) / values[1], [1e2, 1, 1e-3, 1e-6], rtol=0.05)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_symmetric_bounded_and_below_the_means_matching(seed, m, first, second):
    rng = np.random.default_rng(seed)
    a, b = mixture(rng, first, m), mixture(rng, second, m)
    found, back = affine_distance(a, b, restarts=1), affine_distance(b, a, restarts=1)
    assert found.value == back.value
    assert 0 <= found.value < math.sqrt(2)
    assert found.means_matching_value is None or found.value <= found.means_matching_value
    assert found.value <= min(end for _, end in found.start_values.values()) + 1e-7
    carried = found.change.carry(a)
    assert l2_distance(carried, b) == pytest.approx(found.value, rel=1e-8, abs=1e-12)
    assert l2_distance(back.change.carry(b), a) == pytest.approx(found.value, rel=1e-6, abs=1e-12)
    assert found.evidence == Evidence.NUMERICAL
    assert float(found) == found.value


def test_affine_changes_of_both_leave_it():
    rng = np.random.default_rng(6)
    for m in (1, 2):
        a, b = mixture(rng, 4, m), mixture(rng, 3, m)
        g, h = (AffineChange(rng.normal(size=(m, m)) + np.eye(m), rng.normal(size=m)) for _ in range(2))
        assert l2_distance(g.carry(a), g.carry(b)) == pytest.approx(l2_distance(a, b), rel=1e-11)
        plain, carried = affine_distance(a, b), affine_distance(g.carry(a), h.carry(b))
        assert carried.value == pytest.approx(plain.value, rel=1e-7)


def test_line_against_a_grid():
    """On the line a grid over scale, shift and orientation, then its best cells refined: an independent minimiser."""
    rng = np.random.default_rng(7)
    for _ in range(6):
        a, b = mixture(rng, int(rng.integers(2, 5)), 1), mixture(rng, int(rng.integers(2, 5)), 1)
        u, s, w = a.means[:, 0], a.covariances[:, 0, 0], a.weights
        v, g, z = b.means[:, 0], b.covariances[:, 0, 0], b.weights

        def square(scale, shift, u=u, s=s, w=w, v=v, g=g, z=z):
            def inner(w1, m1, c1, w2, m2, c2):
                c = c1[..., :, None] + c2[..., None, :]
                gap = m1[..., :, None] - m2[..., None, :]
                return (w1[:, None] * w2 * np.exp(-gap**2 / (2 * c)) / np.sqrt(2 * np.pi * c)).sum((-1, -2))

            scale, shift = scale[..., None], shift[..., None]
            image, spread = scale * u + shift, scale**2 * s
            first = inner(w, image, spread, w, image, spread)
            second = inner(z, v, g, z, v, g)
            return (first + second - 2 * inner(w, image, spread, z, v, g)) / np.sqrt(first * second)

        ratio = b.means.std() / a.means.std() + math.sqrt(g.max() / s.min())
        scales = np.exp(np.linspace(math.log(ratio) - 5, math.log(ratio) + 2, 120))
        scales = np.concatenate([-scales, scales])[:, None]
        targets = np.linspace(v.min() - 3, v.max() + 3, 150)  # where the first component lands
        grid = square(*np.broadcast_arrays(scales, targets - scales * u[0]))
        best = math.inf
        for flat in np.argsort(grid, axis=None)[:10]:
            i, k = np.unravel_index(flat, grid.shape)
            scale, target, width = scales[i, 0], targets[k], np.array([0.06, 0.2])
            for _ in range(25):
                near = np.linspace(-1, 1, 9)
                one, two = np.meshgrid(scale * np.exp(width[0] * near), target + width[1] * near, indexing="ij")
                values = square(one, two - one * u[0])
                i, k = np.unravel_index(np.argmin(values), values.shape)
                scale, target, width = one[i, k], two[i, k], width * 0.6
                best = min(best, float(values[i, k]))
        found = affine_distance(a, b)
        assert found.value == pytest.approx(math.sqrt(best), rel=1e-5)
        assert found.converged


def test_means_matching_is_a_start_not_the_end():
    """The best matching over all permutations and both directions, formed here with lstsq."""
    rng = np.random.default_rng(8)
    for _ in range(5):
        a, b = mixture(rng, 4, 2), mixture(rng, 4, 2)
        found = affine_distance(a, b, restarts=0)
        values = []
        for one, two in ((a, b), (b, a)):
            design = np.column_stack([one.means, np.ones(4)])
            for order in itertools.permutations(range(4)):
                fit = np.linalg.lstsq(design, two.means[list(order)], rcond=None)[0].T
                values.append(l2_distance(AffineChange(fit[:, :2], fit[:, 2]).carry(one), two))
        assert found.means_matching_value == pytest.approx(min(values), rel=1e-8)
        assert found.value < found.means_matching_value


def test_few_components_have_no_means_matching():
    rng = np.random.default_rng(9)
    found = affine_distance(mixture(rng, 2, 2), mixture(rng, 2, 2))
    assert found.means_matching_value is None
    assert found.value < math.sqrt(2)


def test_starts_and_generators_are_used():
    rng = np.random.default_rng(10)
    a, b = mixture(rng, 3, 2), mixture(rng, 3, 2)
    h = AffineChange([[1, 2], [0, 3]], [1, 1])
    found = affine_distance(a, b, start=h, restarts=3, rng=np.random.default_rng(5))
    assert {"given", "identity", "random 3"} <= set(found.start_values)
    assert "random 4" not in found.start_values
    assert found.n_evaluations > 0
    before = {found.start_values["given"][0], affine_distance(b, a, start=h.inverse()).start_values["given"][0]}
    assert all(value == pytest.approx(l2_distance(h.carry(a), b), rel=1e-9) for value in before)


def test_descent_keeps_the_orientation():
    rng = np.random.default_rng(11)
    a, b = mixture(rng, 4, 3), mixture(rng, 4, 3)
    loss = Loss(parts_of(a), parts_of(b))
    for sign in (1.0, -1.0):
        value, matrix, shift = descend(loss, np.diag([sign, 1.0, 1.0]), np.zeros(3), 300)
        assert np.sign(np.linalg.det(matrix)) == sign
        finished = newton(loss, value, matrix, shift)
        if finished is not None:
            assert finished[0] <= value + 1e-13
            assert max(np.abs(part).max() for part in loss(*finished[1:])[1:]) < 1e-9


def test_degenerate_maps_have_large_values_without_warnings():
    rng = np.random.default_rng(12)
    loss = Loss(parts_of(mixture(rng, 3, 2)), parts_of(mixture(rng, 2, 2)))
    for scale in (0.0, 1e-200, 1e-60, 1e60, 1e200):
        assert loss(scale * np.eye(2), np.zeros(2))[0] > 1e20
    assert loss(np.eye(2), np.full(2, 1e200))[0] >= 2 - 1e-12


def test_bad_input_is_named():
    flat = GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 1], [1, 1]]] * 2)
    round_one = GaussianMixture([1], [[0, 0]], [np.eye(2)])
    for call in (affine_distance, l2_distance):
        with pytest.raises(DegenerateLawError, match="singular covariance"):
            call(flat, round_one)
        with pytest.raises(InputError, match="one dimension"):
            call(round_one, GaussianMixture([1], [0], [1]))
        with pytest.raises(InputError, match="GaussianMixture"):
            call(round_one, None)
    with pytest.raises(InputError, match="restarts"):
        affine_distance(round_one, round_one, restarts=-1)
    with pytest.raises(InputError, match="start"):
        affine_distance(round_one, round_one, start=AffineChange(1, 0))
