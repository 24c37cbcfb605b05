"""Unmixing: exact monomial tests, high-precision and scipy eigenproblems, finite differences, simulated data."""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from ident_theory import AffineChange, Evidence, GaussianMixture, InputError, Status, UnsupportedError
from ident_theory.recovery import MixtureEstimate, unmix_factorial

F = Fraction


def fractions(matrix):
    return np.array([[F(v) if isinstance(v, F) else F(int(v)) for v in row] for row in matrix], dtype=object)


def mixed(a, diagonals, means=None, weights=None):
    """The law of A Z with the variances `diagonals` (J, m) of Z, in rationals."""
    a, count = fractions(a), len(diagonals)
    covariances = [(a * fractions([d])[0] @ a.T).tolist() for d in diagonals]
    means = means if means is not None else [[F(j * (i + 1), 2) for i in range(len(a))] for j in range(count)]
    return GaussianMixture(weights or [F(1, count)] * count, means, covariances)


def invertible(rng, m, bound=4):
    while True:
        a = rng.integers(-bound, bound + 1, (m, m))
        if round(np.linalg.det(a)):
            return a


def turn_of(result, a):
    """A'^-1 A in rationals."""
    return result.inverse_exact @ fractions(a)


def is_monomial(matrix):
    return all((line != 0).sum() == 1 for line in (*matrix, *matrix.T))


def profiles(diagonals):
    """Variances of each coordinate over their sum: equal exactly when in one proportion."""
    return [tuple(F(v) / sum(map(F, column)) for v in column) for column in zip(*diagonals, strict=True)]


@given(st.integers(0, 2**32 - 1))
def test_exact_input_gives_a_up_to_permutation_signs_and_scales(seed):
    """Coordinates in one proportion everywhere form the blocks; else A'^-1 A is monomial. Small numbers, many ties."""
    rng = np.random.default_rng(seed)
    m, count = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    a, diagonals = invertible(rng, m), rng.integers(1, 4, (count, m)).tolist()
    y = mixed(a, diagonals)
    result = unmix_factorial(y)
    turn, true = turn_of(result, a), profiles(diagonals)
    assert result.evidence is Evidence.EXACT
    assert result.status is (Status.HOLDS if len(set(true)) == m else Status.FAILS)
    assert sorted(map(len, result.blocks)) == sorted(true.count(p) for p in set(true))
    for block in result.blocks:  # the rows of a block see the coordinates of one profile, all of them and no others
        seen = {s for i in block for s in range(m) if turn[i, s] != 0}
        assert len({true[s] for s in seen}) == 1
        assert len(seen) == len(block)
    if result.is_determined:
        assert is_monomial(turn)
    # Y is A' Z', exactly, and Z' is diagonal.
    assert result.change.carry(result.mixture) == y
    assert all(c[i, k] == 0 for c in result.mixture.covariances_exact for i, k in itertools.permutations(range(m), 2))
    assert all(max(abs(v) for v in column) == max(column) == 1 for column in result.matrix_exact.T)
    rounded = fractions([[F(v) for v in row] for row in result.matrix.tolist()])
    assert np.abs(rounded - result.matrix_exact).max() <= result.radius <= 1.2e-16
    assert (result.inverse_exact @ result.matrix_exact == np.eye(m, dtype=int)).all()
    assert (result.gap == 0) == (not result.is_determined)
    assert np.isinf(result.condition) == (not result.is_determined)


def test_a_shift_is_not_seen_and_the_order_of_components_only_permutes():
    rng = np.random.default_rng(1)
    a, diagonals = invertible(rng, 4), [[1, 2, 3, 4], [4, 1, 5, 2], [1, 1, 7, 3]]
    y = mixed(a, diagonals)
    moved = AffineChange(np.eye(4, dtype=int), [F(1, 3), 2, -5, 7]).carry(y)
    first = unmix_factorial(y)
    assert (unmix_factorial(moved).matrix_exact == first.matrix_exact).all()
    for order in itertools.permutations(range(3)):
        other = unmix_factorial(mixed(a, [diagonals[j] for j in order]))
        assert {tuple(c) for c in other.matrix_exact.T} == {tuple(c) for c in first.matrix_exact.T}
        assert other.gap == pytest.approx(first.gap, rel=1e-12)


def test_both_signs_explain_the_same_law():
    """The witness of the ledger against the printed theorem: A = 1 and A = -1 give one Y (kivva.thmE.1)."""
    y = GaussianMixture(["1/2", "1/2"], [[0], [1]], [1, 4])
    result = unmix_factorial(y)
    mirrored = AffineChange([[-1]], [0])
    assert result.is_determined
    assert mirrored.carry(mirrored.carry(result.mixture)) == result.mixture == y


@pytest.mark.parametrize("m", [2, 5, 10])
@pytest.mark.parametrize("count", [2, 3])
def test_directions_to_1e9_with_ratios_1e3_apart_and_conditioning_1e4(m, count):
    """Every direction, relatively, by the exact route and by the numerical one, against the true columns of A."""
    rng = np.random.default_rng(m)
    left, right = (np.linalg.qr(rng.standard_normal((m, m)))[0] for _ in range(2))
    a = left * np.geomspace(1, 1e-4, m) @ right
    assert 0.9e4 < np.linalg.cond(a) < 1.1e4
    ratios = [F(1000 + i, 1000) for i in range(m)]
    diagonals = [[F(1)] * m, ratios, ratios][:count]
    y = mixed([[F(float(v)) for v in row] for row in a], diagonals)
    for result in (unmix_factorial(y), unmix_factorial(y, tolerance=1e-6)):
        assert result.status is Status.HOLDS
        assert 0.9e-3 < result.gap < 1.1e-3
        true = a / a[np.abs(a).argmax(axis=0), np.arange(m)]
        # Ascending ratios: the columns are not permuted.
        errors = np.linalg.norm(result.matrix - true, axis=0) / np.linalg.norm(true, axis=0)
        assert errors.max() < 1e-9
        assert np.abs(result.inverse @ a - np.diag(np.diag(result.inverse @ a))).max() < 1e-9 * 1e4
        assert result.condition > 1e3


@given(st.integers(0, 2**32 - 1))
def test_irrational_columns_lie_within_their_radius(seed):
    """Two random integer covariances, against the generalised eigenproblem at 60 digits."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 5))
    roots = [rng.integers(-3, 4, (m, m + 1)) for _ in range(2)]
    covariances = [(r @ r.T + np.eye(m, dtype=int)).tolist() for r in roots]
    result = unmix_factorial(GaussianMixture(["1/3", "2/3"], np.zeros((2, m)), covariances))
    if result.evidence is Evidence.EXACT or not result.is_determined:
        return
    assert result.evidence is Evidence.CERTIFIED
    with mpmath.workdps(60):
        s1, s2 = (mpmath.matrix(c) for c in covariances)
        root = mpmath.cholesky(s1) ** -1
        values, vectors = mpmath.eigsy(root * s2 * root.T)  # ascending
        columns = mpmath.cholesky(s1) * vectors
        for s in range(m):
            top = max(columns[:, s], key=abs)
            for i in range(m):
                assert abs(columns[i, s] / top - mpmath.mpf(float(result.matrix[i, s]))) <= result.radius
        ratios = [result.mixture.covariances[1][s, s] / result.mixture.covariances[0][s, s] for s in range(m)]
        np.testing.assert_allclose(ratios, [float(v) for v in values], rtol=1e-12)
    assert result.radius < 3e-16
    assert result.inverse_radius < 3e-16 * max(1, np.abs(result.inverse).max())


def test_coincident_ratios_are_refused_with_their_block():
    a = [[1, 2, 0], [0, 1, -1], [3, 0, 1]]
    result = unmix_factorial(mixed(a, [[1, 2, 3], [2, 4, 1]]))
    assert result.status is Status.FAILS
    assert not result.is_determined
    assert sorted(map(len, result.blocks)) == [1, 2]
    assert "P2 fails" in result.reason
    assert result.gap == 0
    assert np.isinf(result.condition)
    # An irrational block: two coordinates with ratio 1 + sqrt 2, two with 1 - sqrt 2 shifted to be positive.
    base = [[3, 1], [1, 1]]
    double = np.kron(np.eye(2, dtype=int), base).tolist()
    irrational = unmix_factorial(GaussianMixture([0.5, 0.5], np.zeros((2, 4)), [np.eye(4).tolist(), double]))
    assert irrational.status is Status.FAILS
    assert irrational.evidence is Evidence.CERTIFIED
    assert irrational.blocks == ((0, 1), (2, 3))
    back = irrational.inverse @ np.array(double) @ irrational.inverse.T
    np.testing.assert_allclose(back, np.diag(np.diag(back)), atol=1e-14)
    one = unmix_factorial(GaussianMixture([1], [[0, 0]], [[[2, 1], [1, 2]]]))
    assert one.blocks == ((0, 1),)
    assert one.status is Status.FAILS


@pytest.mark.parametrize("tolerance", [None, 1e-8])
def test_three_components_separate_what_no_pair_does(tolerance):
    """Coordinates 0, 1 are tied in components 0, 1; 1, 2 in components 1, 2; 0, 2 in components 0, 2."""
    a = [[1, 2, 0], [0, 1, -1], [3, 0, 1]]
    y = mixed(a, [[1, 1, 1], [1, 1, 2], [1, 2, 2]])
    for pair in itertools.combinations(range(3), 2):
        result = unmix_factorial(y, components=pair, tolerance=tolerance)
        assert result.status is Status.FAILS
        assert result.gap <= (tolerance or 0)
    result = unmix_factorial(y, tolerance=tolerance)
    assert result.status is Status.HOLDS
    assert result.gap == pytest.approx(0.5)
    turn = result.inverse @ np.array(a)
    assert is_monomial(np.where(np.abs(turn) > 1e-12, turn, 0))


def commute(covariances):
    """Whether all S_0^-1 S_j commute, in Fractions by Gauss-Jordan elimination."""
    m = len(covariances[0])
    work = [[F(v) for v in row] + [F(i == k) for k in range(m)] for i, row in enumerate(covariances[0])]
    for i in range(m):
        work[i] = [v / work[i][i] for v in work[i]]
        for r in range(m):
            if r != i:
                work[r] = [v - work[r][i] * w for v, w in zip(work[r], work[i], strict=True)]
    back = np.array([row[m:] for row in work], dtype=object)
    products = [back @ fractions(c) for c in covariances[1:]]
    return all((p @ q == q @ p).all() for p, q in itertools.combinations(products, 2))


def test_what_is_not_factorial_is_refused():
    rng, refused = np.random.default_rng(2), 0
    for _ in range(60):
        m, count = int(rng.integers(2, 4)), int(rng.integers(2, 5))
        covariances = [np.eye(m, dtype=int) * 2]
        for _ in range(count - 1):
            root = rng.integers(-1, 2, (m, m))
            covariances.append(root @ root.T + np.eye(m, dtype=int))
        law = GaussianMixture([F(1, count)] * count, np.zeros((count, m)), [c.tolist() for c in covariances])
        result = unmix_factorial(law)
        factorial = commute(covariances)
        assert (result.matrix is not None) == factorial
        assert (unmix_factorial(law, tolerance=1e-10).matrix is not None) == factorial
        if not factorial:
            refused += 1
            assert result.status is Status.FAILS
            assert result.evidence is Evidence.EXACT
            assert 1e-6 < result.residual < 1
            assert "not factorial" in result.reason
            with pytest.raises(UnsupportedError, match="not factorial"):
                _ = result.change
    assert 20 < refused < 55


def test_rounded_numbers_need_a_tolerance_and_lose_no_more_than_the_condition():
    rng = np.random.default_rng(3)
    a, diagonals = rng.standard_normal((4, 4)), rng.uniform(0.5, 2, (3, 4))
    covariances = np.array([a * d @ a.T for d in diagonals])
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    law = GaussianMixture([0.25, 0.25, 0.5], np.zeros((3, 4)), covariances)
    strict = unmix_factorial(law)
    assert strict.status is Status.FAILS
    assert strict.residual < 1e-14
    assert "pass a tolerance" in strict.reason
    result = unmix_factorial(law, tolerance=1e-12)
    assert result.evidence is Evidence.NUMERICAL
    turn = result.inverse @ a
    order = np.abs(turn).argmax(axis=1)
    true = a[:, order] / a[np.abs(a[:, order]).argmax(axis=0), order]
    errors = np.linalg.norm(result.matrix - true, axis=0) / np.linalg.norm(true, axis=0)
    # Rounding of the three products: a few units of 1e-16 relative to the covariances.
    assert errors.max() < 5e-16 * result.condition
    assert unmix_factorial(law, tolerance=0.9).status is Status.FAILS  # the gap counts as none


def test_the_condition_bounds_the_change_and_is_nearly_attained():
    rng = np.random.default_rng(4)
    for _ in range(5):
        m = 3
        a, diagonals = rng.standard_normal((m, m)), rng.uniform(0.5, 2, (2, m))
        covariances = np.array([a * d @ a.T for d in diagonals])
        covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
        law = GaussianMixture([0.5, 0.5], np.zeros((2, m)), covariances)
        base, size, worst = unmix_factorial(law), 1e-9, 0.0
        pivots = np.abs(base.matrix).argmax(axis=0)
        for _ in range(60):
            noise = rng.standard_normal((2, m, m))
            # Rank-one noise along columns of A'^-T reaches further than noise without direction.
            s, t = rng.integers(m, size=2)
            noise = noise + noise.transpose(0, 2, 1) if rng.random() < 0.3 else \
                np.array([1, -1])[:, None, None] * (np.outer(base.inverse[s], base.inverse[t])
                                                    + np.outer(base.inverse[t], base.inverse[s]))
            norms = np.linalg.norm(covariances, axis=(1, 2)) / np.linalg.norm(noise, axis=(1, 2))
            changed = covariances + size * norms[:, None, None] * noise
            other = unmix_factorial(GaussianMixture([0.5, 0.5], np.zeros((2, m)), changed), tolerance=1e-13)
            # Columns change in scale as well, which the first-order formula leaves out: compare at the same pivots.
            columns = other.matrix / other.matrix[pivots, np.arange(m)]
            change = columns - base.matrix
            change -= base.matrix * (base.matrix * change).sum(axis=0) / (base.matrix**2).sum(axis=0)
            worst = max(worst, float((np.linalg.norm(change, axis=0) / np.linalg.norm(base.matrix, axis=0)).max()))
        assert worst < 1.01 * size * base.condition
        assert worst > 0.02 * size * base.condition


def test_two_components_agree_with_scipy_and_three_minimise_the_criterion():
    rng = np.random.default_rng(5)
    covariances = np.array([np.cov(rng.standard_normal((4, 30)) * np.array([[1], [2], [3], [4]])) for _ in range(3)])
    _, vectors = scipy.linalg.eigh(covariances[1], covariances[0])
    columns = covariances[0] @ vectors
    columns /= columns[np.abs(columns).argmax(axis=0), np.arange(4)]
    two = unmix_factorial(MixtureEstimate(GaussianMixture([0.4, 0.6], np.zeros((2, 4)), covariances[:2]), 1000))
    np.testing.assert_allclose(two.matrix, columns, rtol=1e-10, atol=1e-12)
    assert two.residual < 1e-13
    weights = np.array([0.2, 0.3, 0.5])
    three = unmix_factorial(MixtureEstimate(GaussianMixture(weights, np.zeros((3, 4)), covariances), 60))

    def criterion(rows):
        images = rows @ covariances @ rows.T
        return weights @ (np.log(np.einsum("jss->js", images)).sum(axis=1) - np.linalg.slogdet(images)[1])

    assert three.p_value > 0.05
    best = criterion(three.inverse)
    for _ in range(200):
        assert criterion((np.eye(4) + 1e-4 * rng.standard_normal((4, 4))) @ three.inverse) > best
    for _ in range(20):  # other starts end no lower
        rows = rng.standard_normal((4, 4))
        found = scipy.optimize.minimize(lambda x: criterion(x.reshape(4, 4)), rows.ravel(), method="BFGS")
        assert found.fun > best - 1e-7


def test_error_bars_perturbation_theory_agrees_with_the_bootstrap():
    """200 draws estimate a standard deviation to 5 %; the delta method is of first order: within 25 %."""
    rng = np.random.default_rng(6)
    for count in (2, 3):
        a = rng.standard_normal((3, 3))
        law = mixed([[F(v) for v in row] for row in a.tolist()], [[1, 2, 3], [4, 2, 1], [1, 1, 4]][:count])
        result = unmix_factorial(MixtureEstimate(law, 20000), n_boot=200, rng=rng)
        assert result.status is Status.HOLDS
        assert result.evidence is Evidence.STATISTICAL
        assert result.agreement == 1
        free = result.standard_errors > 0
        assert free.sum() == 6
        np.testing.assert_allclose(result.bootstrap_errors[free], result.standard_errors[free], rtol=0.25)
        assert result.bootstrap_errors[~free].max() == 0
        # Replicates given by the user lead to the same error bars.
        replicates = [MixtureEstimate(law, 20000).draw(rng) for _ in range(200)]
        other = unmix_factorial(MixtureEstimate(law, None, replicates))
        np.testing.assert_allclose(other.standard_errors[free], result.standard_errors[free], rtol=0.25)
        assert len(result.estimate.replicates) == 200
        assert result.estimate.mixture == result.mixture


def sampled(law, size, rng):
    """A mixture estimated from labelled draws."""
    z, component = law.sample(size, rng)
    parts = [z[component == j] for j in range(law.n_components)]
    return GaussianMixture([F(len(part), size) for part in parts], [part.mean(axis=0) for part in parts],
                           [np.cov(part.T) for part in parts])


def test_what_the_data_do_not_tell_apart_is_unknown():
    rng = np.random.default_rng(7)
    a = rng.integers(-3, 4, (3, 3)) + 4 * np.eye(3, dtype=int)
    tied, apart = mixed(a, [[1, 2, 3], [2, 4, 1]]), mixed(a, [[1, 2, 3], [2, 8, 1]])
    result = unmix_factorial(MixtureEstimate(sampled(tied, 5000, rng), 5000))
    assert result.status is Status.UNKNOWN
    assert sorted(map(len, result.blocks)) == [1, 2]
    assert "not told apart" in result.reason
    assert unmix_factorial(MixtureEstimate(sampled(apart, 5000, rng), 5000)).status is Status.HOLDS
    twisted = GaussianMixture([F(1, 3)] * 3, np.zeros((3, 2)), [[[1, 0], [0, 2]], [[2, 0], [0, 1]], [[2, 1], [1, 2]]])
    refused = unmix_factorial(MixtureEstimate(sampled(twisted, 3000, rng), 3000))
    assert refused.status is Status.FAILS
    assert refused.p_value < 1e-6
    assert refused.matrix is None


@pytest.mark.slow
def test_error_bars_cover_and_tests_keep_their_levels():
    """400 labelled samples: z-scores of the entries of A' have variance one, tests reject at most at their level."""
    rng, runs, size = np.random.default_rng(8), 400, 3000
    a = np.array([[2, 1, 0], [-1, 3, 1], [1, 0, 2]])
    law = mixed(a, [[1, 2, 3], [4, 2, 1], [1, 1, 4]])
    true = unmix_factorial(law).matrix
    scores, rejected = [], 0
    for _ in range(runs):
        result = unmix_factorial(MixtureEstimate(sampled(law, size, rng), size))
        if result.matrix is None:
            rejected += 1
            continue
        turn = np.abs(np.linalg.solve(true, result.matrix))
        order = (turn / turn.sum(axis=0)).argmax(axis=1)
        assert sorted(order) == [0, 1, 2]
        columns, errors = result.matrix[:, order], result.standard_errors[:, order]
        top = np.abs(true).argmax(axis=0)
        if (np.abs(columns).argmax(axis=0) == top).all():
            scores.append((columns - true)[errors > 0] / errors[errors > 0])
    scores = np.array(scores)
    assert len(scores) > 300
    np.testing.assert_allclose(scores.var(axis=0), 1, atol=0.3)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=0.25)
    assert (np.abs(scores) < 1.96).mean() == pytest.approx(0.95, abs=0.02)
    # Bonferroni keeps the level of 5 %: 400 runs, three standard errors of leeway.
    assert rejected / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    tied = mixed(a, [[1, 2, 3], [2, 4, 1], [1, 2, 4]])
    told = sum(unmix_factorial(MixtureEstimate(sampled(tied, size, rng), size)).status is Status.HOLDS
               for _ in range(runs))
    assert told / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("options", "message"), [
    ({"components": []}, "each once"), ({"components": [0, 0]}, "each once"), ({"components": [0, 5]}, "each once"),
    ({"components": [True, 0]}, "each once"), ({"components": 1}, "each once"), ({"components": [[0]]}, "each once"),
    ({"tolerance": 0}, "between 0 and 1"), ({"tolerance": float("nan")}, "between 0 and 1"),
    ({"tolerance": "small"}, "between 0 and 1"), ({"level": 1}, "between 0 and 1"),
    ({"level": float("nan")}, "between 0 and 1"), ({"n_boot": 10}, "MixtureEstimate for a bootstrap"),
    ({"n_boot": 1}, "at least 2"), ({"n_boot": -3}, "at least 2"), ({"n_boot": 2.5}, "at least 2"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        unmix_factorial(mixed([[1, 2], [0, 1]], [[1, 1], [1, 2]]), **options)


def test_bad_input_is_named():
    law = mixed([[1, 2], [0, 1]], [[1, 1], [1, 2]])
    with pytest.raises(InputError, match="expected a GaussianMixture"):
        unmix_factorial([[1, 0], [0, 1]])
    with pytest.raises(InputError, match="no tolerance with an estimate"):
        unmix_factorial(MixtureEstimate(law, 100), tolerance=1e-3)
    with pytest.raises(InputError, match="Generator"):
        unmix_factorial(MixtureEstimate(law, 100), n_boot=10)
    flat = GaussianMixture([0.5, 0.5], np.zeros((2, 2)), [[[1, 0], [0, 1]], [[1, 1], [1, 1]]])
    with pytest.raises(UnsupportedError, match="component 1 has a singular covariance"):
        unmix_factorial(flat)
    with pytest.raises(InputError, match=r"definite covariances in every replicate.*replicates\[1\]"):
        unmix_factorial(MixtureEstimate(law, None, [law, flat]), n_boot=5, rng=np.random.default_rng(0))
    empty = GaussianMixture([0.5, 0.5, 0], np.zeros((3, 2)), [[[1, 0], [0, 1]], [[2, 0], [0, 1]], [[1, 1], [1, 1]]])
    assert unmix_factorial(empty).components == (0, 1)


def test_one_latent_and_one_component():
    """Nothing to separate for m = 1; nothing that separates for J = 1."""
    line = GaussianMixture(["1/2", "1/2"], [[0], [1]], [1, 4])
    for result in (unmix_factorial(line), unmix_factorial(line, tolerance=1e-9),
                   unmix_factorial(MixtureEstimate(line, 100), n_boot=3, rng=np.random.default_rng(0))):
        assert result.status is Status.HOLDS
        assert result.matrix.tolist() == [[1]]
        assert np.isinf(result.gap)
    one = GaussianMixture([1], [[0, 0]], [[[2, 1], [1, 2]]])
    for result in (unmix_factorial(one), unmix_factorial(one, tolerance=1e-9),
                   unmix_factorial(MixtureEstimate(one, 100))):
        assert not result.is_determined
        assert result.blocks == ((0, 1),)
    assert np.isinf(result.standard_errors).sum() == 2


@pytest.mark.parametrize("digits", [6, 8, 10, 12])
def test_nearly_equal_ratios_are_still_solved(digits):
    """Gaps down to 1e-12: the numerical route agrees with the exact one to 1e-16 / gap, relatively."""
    a = [[1, 2, 0], [0, 1, -1], [3, 0, 1]]
    law = mixed(a, [[1, 1, 1], [1, 1 + F(1, 10**digits), 2]])
    exact, result = unmix_factorial(law), unmix_factorial(law, tolerance=1e-13)
    assert result.status is Status.HOLDS
    np.testing.assert_allclose(result.matrix, exact.matrix, atol=1e-16 * 10**digits)
    assert result.residual < 1e-15


def test_scales_far_apart():
    """Components 1e200 apart and latents 1e20 apart: both routes, without overflow or loss."""
    a = [[1, 2, 0], [0, 1, -1], [3, 0, 1]]
    for scale in (F(1, 10**200), F(10**200)):
        law = mixed(a, [[1, 2, 3], [scale * 3, scale, scale * 2], [1, 1, 5]])
        exact, result = unmix_factorial(law), unmix_factorial(law, tolerance=1e-9)
        # One component outweighs the sums by which columns are ordered: compare as sets.
        for column in exact.matrix.T:
            assert np.abs(result.matrix.T - column).max(axis=1).min() < 1e-14
        assert exact.gap == pytest.approx(0.7)
        assert 1 < exact.condition < 100
    law = mixed(a, [[1, F(1, 10**12), F(1, 10**20)], [2, F(1, 10**12), F(3, 10**20)]])
    exact, result = unmix_factorial(law), unmix_factorial(law, tolerance=1e-9)
    np.testing.assert_allclose(result.matrix, exact.matrix, atol=1e-14)
    assert exact.condition > 1e15


def test_the_result_reads_well():
    result = unmix_factorial(mixed([[1, 2], [0, 1]], [[1, 1], [1, 2]]))
    assert str(result).startswith("unmixing: holds (exact)\nA is determined up to permutation, signs and scales")
    assert "A' = [[" in str(result)
