"""Canonical correlations: scikit-learn, subspace angles of scipy, 60 digits; ranks and conventions."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from sklearn.cross_decomposition import CCA

from ident_theory.errors import InputError
from ident_theory.metrics.canonical import canonical_correlations

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(30, 120), st.integers(0, 2**32 - 1))


def related(d_a, d_b, size, rng):
    """Two sets of latents with some shared variation, badly scaled and shifted."""
    shared = rng.normal(size=(size, 3))
    sets = []
    for d in (d_a, d_b):
        mixed = shared @ rng.normal(size=(3, d)) * rng.uniform(0, 2) + rng.normal(size=(size, d))
        sets.append(mixed * 10.0 ** rng.integers(-3, 4, size=d) + rng.normal(size=d) * 100)
    return sets


def digits(za, zb, precision=60):
    """Canonical correlations, descending, from the eigenvalues of S_aa^-1 S_ab S_bb^-1 S_ba in many digits."""
    with mpmath.workdps(precision):
        sides = []
        for z in (za, zb):
            matrix = mpmath.matrix([[mpmath.mpf(float(entry)) for entry in row] for row in z])
            for j in range(matrix.cols):
                mean = mpmath.fsum(matrix[:, j]) / matrix.rows
                for i in range(matrix.rows):
                    matrix[i, j] -= mean
            sides.append(matrix)
        a, b = sides
        ab = a.T * b
        product = (a.T * a) ** -1 * ab * (b.T * b) ** -1 * ab.T
        squares = sorted((mpmath.re(value) for value in mpmath.eig(product, left=False, right=False)), reverse=True)
        squares = squares[:min(a.cols, b.cols)]
        return ([mpmath.sqrt(max(square, 0)) for square in squares],
                [mpmath.asin(mpmath.sqrt(max(1 - square, 0))) for square in squares])


@given(case=SHAPES)
@settings(max_examples=25)
def test_against_scikit_learn(case):
    """Asked for 1e-6; its power method is stopped by a tolerance, so it is given a small one."""
    d_a, d_b, size, seed = case
    za, zb = related(d_a, d_b, size, np.random.default_rng(seed))
    found = canonical_correlations(za, zb)
    k = min(d_a, d_b)
    theirs = CCA(n_components=k, max_iter=200_000, tol=1e-15).fit(za, zb)
    x, y = theirs.transform(za, zb)
    expected = [abs(np.corrcoef(x[:, i], y[:, i])[0, 1]) for i in range(k)]
    np.testing.assert_allclose(found.correlations, np.sort(expected)[::-1], atol=1e-6)


@given(case=SHAPES)
def test_against_subspace_angles(case):
    d_a, d_b, size, seed = case
    za, zb = related(d_a, d_b, size, np.random.default_rng(seed))
    found = canonical_correlations(za, zb)
    # Without the scaling of the columns scipy loses digits to their scales.
    a, b = ((z - z.mean(0)) / z.std(0) for z in (za, zb))
    angles = np.sort(linalg.subspace_angles(a, b))
    np.testing.assert_allclose(found.angles, angles, atol=1e-12)
    np.testing.assert_allclose(found.correlations, np.cos(angles), atol=1e-12)


@given(case=SHAPES)
def test_variates_and_invariance(case):
    """Unit covariance on each side, the correlations across, and no change under affine maps."""
    d_a, d_b, size, seed = case
    rng = np.random.default_rng(seed)
    za, zb = related(d_a, d_b, size, rng)
    found = canonical_correlations(za, zb)
    k = min(d_a, d_b)
    assert (found.rank_a, found.rank_b, found.n_components, found.notes) == (d_a, d_b, k, ())
    u, v = found.variates_a(za), found.variates_b(zb)
    both = np.atleast_2d(np.cov(np.hstack([u, v]).T))
    np.testing.assert_allclose(both[:k, :k], np.eye(k), atol=1e-10)
    np.testing.assert_allclose(both[k:, k:], np.eye(k), atol=1e-10)
    np.testing.assert_allclose(both[:k, k:], np.diag(found.correlations), atol=1e-10)
    # Rows of a held-out set are mapped one by one.
    np.testing.assert_allclose(found.variates_a(za[3:5]), u[3:5], atol=1e-10)
    mix = linalg.qr(rng.normal(size=(d_a, d_a)))[0] * rng.uniform(0.5, 2, size=d_a)
    moved = canonical_correlations((za - za.mean(0)) / za.std(0) @ mix + 3, zb[:, ::-1])
    np.testing.assert_allclose(moved.correlations, found.correlations, atol=1e-12)
    swapped = canonical_correlations(zb, za)
    np.testing.assert_allclose(swapped.correlations, found.correlations, atol=1e-12)
    np.testing.assert_allclose(swapped.angles, found.angles, atol=1e-12)


@pytest.mark.parametrize("condition", [1e2, 1e5, 1e8])
def test_ill_conditioned_against_sixty_digits(condition):
    """The error is that of the rounded input: eps times the condition number, with a margin of 20."""
    rng = np.random.default_rng(int(condition))
    for _ in range(3):
        left, _, right = np.linalg.svd(rng.normal(size=(40, 4)), full_matrices=False)
        za = left * np.geomspace(1, 1 / condition, 4) @ right
        zb = za @ rng.normal(size=(4, 3)) + 0.3 * rng.normal(size=(40, 3))
        found = canonical_correlations(za, zb)
        expected, _ = digits(za, zb)
        np.testing.assert_allclose(found.correlations, np.array(expected, dtype=float),
                                   atol=20 * condition * np.finfo(float).eps)


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-9, 1e-12])
def test_small_angles_against_sixty_digits(size):
    """Where the correlations round to 1 the angles still tell the sets apart: 1e-14 of absolute error."""
    rng = np.random.default_rng(3)
    za = rng.normal(size=(40, 3))
    zb = za @ rng.normal(size=(3, 3)) + size * rng.normal(size=(40, 3)) * [1, 1e-1, 1e-2]
    found = canonical_correlations(za, zb)
    correlations, angles = digits(za, zb)
    np.testing.assert_allclose(found.angles, np.array(angles, dtype=float), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.correlations, np.array(correlations, dtype=float), atol=1e-15 * 10)
    exact = canonical_correlations(za, za @ rng.normal(size=(3, 3)))
    assert (exact.correlations <= 1).all()
    assert (exact.correlations > 1 - 1e-14).all()
    assert (exact.angles < 1e-13).all()


def test_uncorrelated_sets_give_zero():
    """Orthogonal columns: correlations of the size of rounding, angles of 90 degrees."""
    columns = linalg.hadamard(32)[:, 1:9].astype(float)
    found = canonical_correlations(columns[:, :4], columns[:, 4:] + 7)
    np.testing.assert_allclose(found.correlations, 0, atol=1e-15)
    np.testing.assert_allclose(found.angles, np.pi / 2, atol=1e-15)


def test_offsets_cost_no_digits():
    """Whole numbers, exact with and without an offset of 1e8."""
    rng = np.random.default_rng(0)
    za, zb = rng.integers(-1000, 1000, size=(200, 4)), rng.integers(-1000, 1000, size=(200, 3))
    zb[:, 0] += za[:, 0]
    near, far = canonical_correlations(za, zb), canonical_correlations(za + 10**8, zb - 10**8)
    np.testing.assert_allclose(far.correlations, near.correlations, atol=1e-14)


def test_rank_deficiency_is_stated():
    """A copy, a sum and a constant: the span counts, the directions without variation are listed."""
    rng = np.random.default_rng(1)
    base, zb = rng.normal(size=(100, 3)), rng.normal(size=(100, 5))
    zb[:, 0] += base[:, 0]
    za = np.column_stack([base, base[:, 0] + base[:, 1] - 5, np.full(100, 0.1), 1e5 * base[:, 2]])
    found, reduced = canonical_correlations(za, zb), canonical_correlations(base, zb)
    assert (found.rank_a, found.rank_b, found.n_components) == (3, 5, 3)
    np.testing.assert_allclose(found.correlations, reduced.correlations, atol=1e-12)
    np.testing.assert_allclose(found.angles, reduced.angles, atol=1e-12)
    assert found.dropped_a.shape == (6, 3)
    assert found.dropped_b.shape == (5, 0)
    np.testing.assert_array_equal(found.dropped_a[:, 0], [0, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(np.linalg.norm(found.dropped_a, axis=0), 1)
    assert np.linalg.matrix_rank(found.dropped_a) == 3
    assert (za @ found.dropped_a).std(axis=0).max() < 1e-9
    assert len(found.notes) == 1
    assert "numerical rank 3, constant: 4" in found.notes[0]
    assert "numerical rank 3" in str(found)
    variates = found.variates_a(za)
    np.testing.assert_allclose(np.cov(variates.T), np.eye(3), atol=1e-9)
    kept = canonical_correlations(za, zb, dimension=2)
    np.testing.assert_array_equal(kept.correlations, found.correlations[:2])
    assert kept.weights_b.shape == (5, 2)
    with pytest.raises(InputError, match="expected dimension <= 3"):
        canonical_correlations(za, zb, dimension=4)


def test_rank_knows_the_precision_of_the_data():
    """A copy that differs by the rounding of float32, or by that of an offset, is no second latent."""
    rng = np.random.default_rng(2)
    z, zb = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    single = np.column_stack([z, z[:, 0] + z[:, 1]]).astype(np.float32)
    assert canonical_correlations(single, zb).rank_a == 2
    assert canonical_correlations(single.astype(np.float64), zb).rank_a == 3  # nothing tells that it was rounded
    shifted = np.column_stack([z, z[:, 0] + z[:, 1] + 1e9])
    assert canonical_correlations(shifted, zb).rank_a == 2
    small = np.column_stack([z, z[:, 0] + 1e-6 * rng.normal(size=300)])
    assert canonical_correlations(small, zb).rank_a == 3
    rounding = np.array([0.1 + 0.2, 0.3] * 150)  # constant but for the last bit
    found = canonical_correlations(np.column_stack([z, rounding]), zb)
    assert found.rank_a == 2
    assert "constant: 2" in found.notes[0]


@given(scale=st.sampled_from([1e-270, 1e-150, 1.0, 1e150, 1e270]), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_any_scale(scale, seed):
    rng = np.random.default_rng(seed)
    za, zb = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    plain, scaled = canonical_correlations(za, zb), canonical_correlations(za * scale, zb)
    np.testing.assert_allclose(scaled.correlations, plain.correlations, atol=1e-12)


def test_too_few_observations():
    rng = np.random.default_rng(4)
    with pytest.raises(InputError, match="more observations than latents"):
        canonical_correlations(rng.normal(size=(4, 5)), rng.normal(size=(4, 1)))
    # Two spaces of dimensions 5 and 5 in the 9 dimensions of 10 centred observations share a line.
    with pytest.raises(InputError, match="at least 1 of the correlations are 1 whatever"):
        canonical_correlations(rng.normal(size=(10, 5)), rng.normal(size=(10, 5)))
    assert canonical_correlations(rng.normal(size=(11, 5)), rng.normal(size=(11, 5))).correlations[0] < 1
    with pytest.raises(InputError, match="all 2 of zb are constant"):
        canonical_correlations(rng.normal(size=(20, 2)), np.ones((20, 2)))
    found = canonical_correlations(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)))
    with pytest.raises(InputError, match="expected 2 latents as in the fit, found 3"):
        found.variates_a(np.ones((5, 3)))
