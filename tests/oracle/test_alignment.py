"""Affine alignment: exact maps against brute force, estimated ones against scipy, error bars against simulation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from ident_theory import GaussianMixture
from ident_theory.errors import DegenerateLawError, InputError
from ident_theory.exact.pair_equivalence import affine_invariants_differ
from ident_theory.models import AffineChange
from ident_theory.recovery.alignment import align_mixtures, alignment_errors, exact_alignments
from ident_theory.recovery.alignment_fit import jacobian, matched, refine, residuals
from ident_theory.recovery.alignment_l2 import parts_of
from ident_theory.recovery.estimates import MixtureEstimate


def law(mixture):
    """The components as a set: two mixtures are one law exactly when these agree."""
    r = mixture.reduced()
    return {(w, tuple(mean), tuple(c.ravel())) for w, mean, c in
            zip(r.weights_exact, r.means_exact, r.covariances_exact, strict=True)}


def tree(mixture):
    """As the verifier reads mixtures."""
    r = mixture.reduced()
    return {(tuple(mean), tuple(map(tuple, c))): w for w, mean, c in
            zip(r.weights_exact, r.means_exact, r.covariances_exact, strict=True)}


def random_mixture(rng, count, m, spread=3):
    """Small integers: equal means, equal covariances and singular ones are common."""
    raw = rng.integers(1, 4, count)
    roots = rng.integers(-2, 3, (count, m, m))
    if rng.random() < 0.3:
        roots[:] = roots[0]
    return GaussianMixture([Fraction(int(w), int(raw.sum())) for w in raw],
                           rng.integers(-spread, spread + 1, (count, m)), roots @ roots.transpose(0, 2, 1))


def random_change(rng, m):
    while True:
        matrix = rng.integers(-3, 4, (m, m))
        if round(np.linalg.det(matrix)):
            return AffineChange([[Fraction(int(v), 2) for v in row] for row in matrix], rng.integers(-3, 4, m))


def disguised(rng, mixture):
    """The same law: components permuted, one split, one of weight zero added."""
    w, mu, c = (list(part) for part in (mixture.weights_exact, mixture.means_exact, mixture.covariances_exact))
    j = int(rng.integers(len(w)))
    w += [w[j] / 3, Fraction(0)]
    w[j] = w[j] * 2 / 3
    mu += [mu[j], mu[0] + 7]
    c += [c[j], c[0]]
    order = rng.permutation(len(w))
    return GaussianMixture([w[i] for i in order], [mu[i].tolist() for i in order], [c[i].tolist() for i in order])


def test_exact_copies_are_recognised():
    rng, listed, left_open = np.random.default_rng(0), 0, 0
    for _ in range(500):
        m, count = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        a, h = random_mixture(rng, count, m, int(rng.integers(0, 4))), random_change(rng, m)
        b = disguised(rng, h.carry(a))
        found = exact_alignments(a, b)
        assert found.exist is True
        assert all(law(g.carry(a)) == law(b) for g in found.changes)
        assert len(set(found.changes)) == len(found.changes)
        if found.complete:
            assert h in found.changes
            listed += 1
        else:
            assert found.changes or "infinitely many" in found.reason, found
            left_open += not found.changes
    assert listed > 250
    assert left_open < 75  # a rational isometry of two forms is not always found


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 6))
def test_generic_copies_have_one_map(seed, m, count):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(count, m, m))
    spread = roots @ roots.transpose(0, 2, 1)
    spread = (spread + spread.transpose(0, 2, 1)) / 2
    a = GaussianMixture(np.full(count, 1 / count), rng.normal(size=(count, m)), spread)
    h = AffineChange(rng.normal(size=(m, m)), rng.normal(size=m))
    found = exact_alignments(a, disguised(rng, h.carry(a)))
    assert found.changes[0] == h if count > 2 or m > 1 else h in found.changes
    assert found.complete


def test_perturbed_copies_are_told_apart():
    """Whatever is found carries one to the other; where invariants of the verifier differ, nothing is."""
    rng, told = np.random.default_rng(1), 0
    for _ in range(250):
        m, count = int(rng.integers(1, 4)), int(rng.integers(2, 5))
        a, h = random_mixture(rng, count, m), random_change(rng, m)
        b = h.carry(a)
        means, spread = b.means_exact.copy(), b.covariances_exact.copy()
        if rng.random() < 0.5:
            means[int(rng.integers(count)), int(rng.integers(m))] += Fraction(1, 10**9)
        else:
            i = int(rng.integers(m))
            spread[int(rng.integers(count)), i, i] += Fraction(1, 10**9)
        b = GaussianMixture(b.weights_exact, means.tolist(), spread.tolist())
        found = exact_alignments(a, b)
        assert all(law(g.carry(a)) == law(b) for g in found.changes)
        if affine_invariants_differ(tree(a), tree(b)):
            assert found.exist is False
            assert found.complete
            told += 1
    assert told > 150


@pytest.mark.parametrize("m", [1, 2, 3])
def test_all_symmetries_of_a_cube(m):
    corners = list(itertools.product((-1, 1), repeat=m))
    cube = GaussianMixture([Fraction(1, 2**m)] * 2**m, corners, [np.eye(m, dtype=int)] * 2**m)
    signed = {AffineChange((np.eye(m, dtype=int)[list(p)] * np.array(s)[:, None]).tolist(), [0] * m)
              for p in itertools.permutations(range(m)) for s in itertools.product((1, -1), repeat=m)}
    found = exact_alignments(cube, cube, limit=100)
    assert found.complete
    assert set(found.changes) == signed
    assert found.changes[0].is_identity
    short = exact_alignments(cube, cube, limit=1)
    assert len(short.changes) == 1
    assert not short.complete


def test_covariances_alone_leave_signs():
    a = GaussianMixture(["1/3", "2/3"], [[0, 0, 0]] * 2, [[1, 1, 1], [2, 3, 5]])
    h = AffineChange([[1, 2, 0], [0, 1, 1], [1, 0, 1]], [1, 2, 3])
    found = exact_alignments(a, h.carry(a))
    assert found.complete
    assert set(found.changes) == {h.after(AffineChange(np.diag(s), [0, 0, 0]))
                                  for s in itertools.product((1, -1), repeat=3)}


def test_roots_in_number_fields():
    """The eigenvectors of C are irrational: the two rational maps are found, and that there are others is said."""
    a = GaussianMixture(["1/3", "2/3"], [[0, 0]] * 2, [np.eye(2, dtype=int), [[2, 1], [1, 1]]])
    h = AffineChange([[3, 1], [1, 2]], [0, 0])
    found = exact_alignments(a, h.carry(a))
    assert not found.complete
    assert "irrational" in found.reason
    assert set(found.changes) == {h, AffineChange([[-3, -1], [-1, -2]], [0, 0])}


def test_irrational_maps_are_named():
    found = exact_alignments(GaussianMixture([1], [0], [2]), GaussianMixture([1], [1], [3]))
    assert found.changes == ()
    assert found.exist
    assert not found.complete
    assert "irrational" in found.reason


def test_rotations_and_planes_are_named():
    ball = GaussianMixture([1], [[1, 2, 3]], [np.eye(3, dtype=int)])
    found = exact_alignments(ball, ball)
    assert found.changes[0].is_identity
    assert not found.complete
    assert "infinitely many" in found.reason
    flat = GaussianMixture(["1/3", "2/3"], [[0, 0], [1, 1]], [[[1, 1], [1, 1]]] * 2)
    moved = AffineChange([[0, 1], [-1, 3]], [5, 0]).carry(flat)
    found = exact_alignments(flat, moved)
    assert found.exist
    assert "planes of dimension 1" in found.reason
    assert all(law(h.carry(flat)) == law(moved) for h in found.changes)
    assert found.changes
    assert exact_alignments(flat, ball_of_two()).exist is False


def ball_of_two():
    return GaussianMixture(["1/3", "2/3"], [[0, 0], [1, 1]], [np.eye(2, dtype=int)] * 2)


def test_bad_input_is_named():
    one, two = GaussianMixture([1], [0], [1]), ball_of_two()
    with pytest.raises(InputError, match="one dimension, got 1 and 2"):
        exact_alignments(one, two)
    with pytest.raises(InputError, match="limit"):
        exact_alignments(one, one, limit=0)
    with pytest.raises(InputError, match="one dimension"):
        align_mixtures(one, two)
    with pytest.raises(InputError, match="by="):
        align_mixtures(one, one, by="guess")
    with pytest.raises(InputError, match="GaussianMixture"):
        align_mixtures(one, np.zeros(3))


def float_mixture(rng, count, m):
    roots = rng.normal(size=(count, m, m)) / np.sqrt(m)
    spread = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(m)
    return GaussianMixture(rng.dirichlet(np.full(count, 5.0)), 2 * rng.normal(size=(count, m)),
                           (spread + spread.transpose(0, 2, 1)) / 2)


def noisy_copy(rng, a, matrix, shift, noise):
    """An affine copy with permuted components whose numbers are off by about `noise`."""
    count, m = a.means.shape
    order = rng.permutation(count)
    wobble = matrix @ (np.eye(m) + noise * rng.normal(size=(count, m, m)))
    spread = wobble @ a.covariances @ wobble.transpose(0, 2, 1)
    means = (a.means + noise * rng.normal(size=(count, m))) @ matrix.T + shift
    w = a.weights * np.exp(noise * rng.normal(size=count))
    return GaussianMixture((w / w.sum())[order], means[order], ((spread + spread.transpose(0, 2, 1)) / 2)[order]), order


@pytest.mark.parametrize(("count", "m"), [(2, 3), (3, 2), (5, 3), (12, 5),
                                         pytest.param(25, 10, marks=pytest.mark.slow)])
def test_error_of_the_map_is_linear_in_the_noise(count, m):
    rng = np.random.default_rng(count)
    a = float_mixture(rng, count, m)
    matrix, shift = rng.normal(size=(m, m)), rng.normal(size=m)
    errors = []
    for noise in (0.0, 1e-9, 1e-7, 1e-5, 1e-3):
        b, order = noisy_copy(np.random.default_rng(1), a, matrix, shift, noise)
        found = align_mixtures(a, b)
        assert {(j, int(np.flatnonzero(order == j)[0])) for j in range(count)} == set(found.pairs)
        errors.append(np.abs(found.matrix - matrix).max() / np.abs(matrix).max())
        assert found.residual < 30 * (noise + 1e-13) * m
    assert errors[0] < 1e-11
    # The same noise scaled: errors scale with it up to second order, and rounding at the smallest.
    assert np.allclose(np.array(errors[1:]) / errors[3], [1e-4, 1e-2, 1, 1e2], rtol=0.3)


def test_exact_maps_are_found_first():
    a = GaussianMixture(["1/3", "2/3"], [[0, 1], [2, "1/7"]], [[1, 2], [3, 5]])
    h = AffineChange([[1, "1/3"], [2, 5]], ["1/7", 0])
    found = align_mixtures(a, h.carry(a))
    assert found.exact == found.change == h
    assert found.residual == 0
    assert found.distance == 0


def test_by_means_is_the_least_squares_fit_over_all_matchings():
    rng = np.random.default_rng(3)
    for _ in range(10):
        m = int(rng.integers(1, 4))
        a, b = float_mixture(rng, m + 2, m), float_mixture(rng, m + 2, m)
        found = align_mixtures(a, b, by="means")
        design = np.column_stack([a.means, np.ones(m + 2)])
        root = np.linalg.inv(np.linalg.cholesky(parts_of(b).moments()[1]))
        best = np.inf
        for order in itertools.permutations(range(m + 2)):
            target = b.means[list(order)] @ root.T
            fit = np.linalg.lstsq(design, target, rcond=None)[0]
            best = min(best, np.linalg.norm(design @ fit - target))
        assert found.residual == pytest.approx(best, rel=1e-9)
        rows, columns = np.array(found.pairs).T
        fit = np.linalg.lstsq(design[rows], b.means[columns], rcond=None)[0]
        assert np.allclose(np.column_stack([found.matrix, found.shift]), fit.T, rtol=1e-8, atol=1e-10)


def test_m_plus_one_means_fit_every_matching_and_the_distance_decides():
    rng = np.random.default_rng(4)
    a = float_mixture(rng, 4, 3)
    b, order = noisy_copy(rng, a, rng.normal(size=(3, 3)), rng.normal(size=3), 1e-4)
    found = align_mixtures(a, b, by="means")
    assert found.residual < 1e-12
    assert all(order[k] == j for j, k in found.pairs)
    assert "every matching" in found.reason


def test_few_means_and_planes_are_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(DegenerateLawError, match="do not span"):
        align_mixtures(float_mixture(rng, 3, 3), float_mixture(rng, 3, 3), by="means")
    flat = GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 1], [1, 1]]] * 2)
    with pytest.raises(DegenerateLawError, match="lies on a plane"):
        align_mixtures(flat, ball_of_two())


def test_covariances_may_be_singular():
    rng = np.random.default_rng(6)
    whole = rng.integers(-3, 4, (4, 3, 2))  # rank two of three
    a = GaussianMixture(np.full(4, 0.25), rng.normal(size=(4, 3)), whole @ whole.transpose(0, 2, 1))
    h = random_change(rng, 3)
    image = h.carry(a)
    b = GaussianMixture(image.weights, image.means + 1e-6 * rng.normal(size=(4, 3)), image.covariances_exact.tolist())
    found = align_mixtures(a, b)
    assert found.metric is not None
    assert found.distance is None
    assert np.abs(found.matrix - h.matrix).max() < 1e-4


def test_numbers_of_components_may_differ():
    rng = np.random.default_rng(7)
    a = float_mixture(rng, 6, 2)
    matrix = rng.normal(size=(2, 2))
    b, order = noisy_copy(rng, a, matrix, np.zeros(2), 1e-3)
    kept = [k for k in range(6) if order[k] != int(np.argmin(a.weights))]
    w = b.weights[kept]
    smaller = GaussianMixture(w / w.sum(), b.means[kept], b.covariances[kept])
    found = align_mixtures(a, smaller)
    assert len(found.pairs) == 5
    assert np.abs(found.matrix - matrix).max() < 0.1
    zero = GaussianMixture([*w / w.sum(), 0], [*b.means[kept], [9, 9]], [*b.covariances[kept], np.eye(2)])
    assert align_mixtures(a, zero).pairs == found.pairs


@pytest.mark.parametrize("points", [list(itertools.product(values, repeat=m)) for values, m in
                                    ((range(4), 2), ((-1, 1), 3), ((-1, 0, 1), 3))], ids=["square", "cube", "grid"])
def test_symmetric_arrangements_are_matched(points):
    """Invariants do not tell the components apart; the fit is as good as the one that knows the matching."""
    rng = np.random.default_rng(15)
    count, m = np.shape(points)
    a = GaussianMixture([1 / count] * count, points, [0.1 * np.eye(m)] * count)
    for _ in range(3):
        matrix, shift = rng.normal(size=(m, m)), rng.normal(size=m)
        b, order = noisy_copy(rng, a, matrix, shift, 1e-3)
        data = matched(parts_of(a), parts_of(b), [(int(j), k) for k, j in enumerate(order)])
        known = math.sqrt(refine(data, matrix, shift)[2] / data.weights.sum())
        assert align_mixtures(a, b).residual <= known * (1 + 1e-6)


def test_a_change_of_both_carries_the_map():
    rng = np.random.default_rng(8)
    a = float_mixture(rng, 5, 3)
    b, _ = noisy_copy(rng, a, rng.normal(size=(3, 3)), rng.normal(size=3), 0.02)
    g, h = (AffineChange(rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2))
    plain, carried = align_mixtures(a, b), align_mixtures(g.carry(a), h.carry(b))
    expected = h.after(plain.change).after(g.inverse())
    assert np.allclose(carried.matrix, expected.matrix, rtol=1e-6, atol=1e-8)
    assert carried.residual == pytest.approx(plain.residual, rel=1e-8)
    assert carried.distance == pytest.approx(plain.distance, rel=1e-8)


def test_one_component_leaves_rotations_open():
    rng = np.random.default_rng(9)
    found = align_mixtures(float_mixture(rng, 1, 4), float_mixture(rng, 1, 4))
    assert len(found.open_directions) == 6
    assert found.residual < 1e-12
    assert "6 directions" in found.reason


def test_least_squares_agrees_with_scipy():
    rng = np.random.default_rng(10)
    for _ in range(5):
        m, count = int(rng.integers(1, 5)), 4
        p, q = parts_of(float_mixture(rng, count, m)), parts_of(float_mixture(rng, count, m))
        data = matched(p, q, [(j, j) for j in range(count)])
        x = rng.normal(size=m * m + m)

        def objective(x, data=data, m=m):
            return residuals(data, x[:m * m].reshape(m, m), x[m * m:]).ravel()

        slope = jacobian(data, x[:m * m].reshape(m, m)).reshape(-1, len(x))
        central = np.array([(objective(x + 1e-6 * e) - objective(x - 1e-6 * e)) / 2e-6 for e in np.eye(len(x))]).T
        assert np.allclose(slope, central, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
        matrix, shift, value = refine(data, x[:m * m].reshape(m, m), x[m * m:])
        again = least_squares(objective, np.concatenate([matrix.ravel(), shift]), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        assert 2 * again.cost == pytest.approx(value, rel=1e-10)


def estimated(rng, a, size):
    return MixtureEstimate(a, n_observations=size).draw(rng)


@pytest.mark.parametrize("by", ["means and covariances", "means"])
def test_perturbation_theory_agrees_with_the_bootstrap(by):
    rng = np.random.default_rng(11)
    a = float_mixture(rng, 5, 2)
    h = AffineChange(rng.normal(size=(2, 2)), rng.normal(size=2))
    one, two = (MixtureEstimate(estimated(rng, item, 100_000), n_observations=100_000) for item in (a, h.carry(a)))
    found = align_mixtures(one, two, by=by)
    errors = alignment_errors(one, two, found, n_boot=400, rng=rng)
    # A standard deviation from 400 draws has a relative standard error of 3.5 percent; 4 of these, and second order.
    assert np.allclose(errors.matrix_error, errors.matrix_bootstrap, rtol=0.16)
    assert np.allclose(errors.shift_error, errors.shift_bootstrap, rtol=0.16)
    assert errors.draws.shape == (400, 2, 3)
    half = alignment_errors(one, h.carry(a), found)
    assert (half.matrix_error < errors.matrix_error).all()
    assert np.isnan(half.matrix_bootstrap).all()
    low, high = errors.interval(0.5)
    assert np.allclose((high - low)[:, :2], 2 * 0.6744897501960817 * errors.matrix_error)


def test_errors_are_infinite_where_the_map_is_open():
    rng = np.random.default_rng(12)
    a = float_mixture(rng, 1, 2)
    one = MixtureEstimate(a, n_observations=1000)
    errors = alignment_errors(one, a, align_mixtures(a, float_mixture(rng, 1, 2)))
    assert np.isinf(errors.matrix_error).all()


def test_error_bars_need_an_estimate():
    a = float_mixture(np.random.default_rng(13), 3, 2)
    found = align_mixtures(a, a)
    with pytest.raises(InputError, match="MixtureEstimate"):
        alignment_errors(a, a, found)
    one = MixtureEstimate(a, n_observations=1000)
    with pytest.raises(InputError, match="rng"):
        alignment_errors(one, a, found, n_boot=5)
    with pytest.raises(InputError, match="mixtures of the alignment"):
        alignment_errors(MixtureEstimate(float_mixture(np.random.default_rng(1), 2, 2), n_observations=999), a, found)
    with pytest.raises(InputError, match="level"):
        alignment_errors(one, a, found).interval(1.5)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["means and covariances", "means"])
def test_intervals_cover(by):
    """95 percent intervals of all entries over 400 data sets: coverage within four standard errors of 0.95."""
    rng = np.random.default_rng(14)
    a = float_mixture(rng, 5, 2)
    h = AffineChange(rng.normal(size=(2, 2)), rng.normal(size=2))
    truth = np.column_stack([h.matrix, h.shift])
    inside = np.zeros((2, 3))
    for _ in range(400):
        one, two = (MixtureEstimate(estimated(rng, item, 20_000), n_observations=20_000) for item in (a, h.carry(a)))
        low, high = alignment_errors(one, two, align_mixtures(one, two, by=by)).interval()
        inside += (low <= truth) & (truth <= high)
    assert np.abs(inside / 400 - 0.95).max() < 4 * np.sqrt(0.95 * 0.05 / 400)
