"""MCC against all permutations, numpy and scipy correlations, scikit-learn, exact rationals; pairs of runs."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats
from sklearn.cross_decomposition import CCA

from ident_theory.metrics.correlation import halves, mcc
from ident_theory.metrics.pairs import mcc_against, mcc_pairs

CASES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(15, 80), st.integers(0, 2**32 - 1))
CORRELATIONS = st.sampled_from(["pearson", "spearman"])


def latents(d_a, d_b, size, rng, tied=False):
    za = rng.normal(size=(size, d_a))
    zb = za @ rng.normal(size=(d_a, d_b)) + rng.uniform(0.1, 3) * rng.normal(size=(size, d_b))
    return (np.round(2 * za), np.round(zb)) if tied else (za, zb)


def table(za, zb, correlation):
    """Correlations by numpy, or by scipy's ranks."""
    if correlation == "spearman":
        za, zb = (np.apply_along_axis(stats.rankdata, 0, z) for z in (za, zb))
    return np.corrcoef(za.T, zb.T)[:za.shape[1], za.shape[1]:]


def best_of_all(absolute):
    """The largest sum over all matchings of the shorter side."""
    if absolute.shape[0] > absolute.shape[1]:
        absolute = absolute.T
    rows, cols = absolute.shape
    return max((sorted((absolute[i, j] for i, j in enumerate(choice)), reverse=True)
                for choice in itertools.permutations(range(cols), rows)), key=sum)


@given(case=CASES, correlation=CORRELATIONS, tied=st.booleans())
def test_strong_against_all_permutations(case, correlation, tied):
    d_a, d_b, size, seed = case
    za, zb = latents(d_a, d_b, size, np.random.default_rng(seed), tied)
    if any(np.ptp(z, axis=0).min() == 0 for z in (za, zb)):
        return
    found, expected = mcc(za, zb, correlation=correlation), table(za, zb, correlation)
    best = best_of_all(np.abs(expected))
    assert found.value == pytest.approx(np.mean(best), abs=1e-12)
    assert float(found) == found.value
    np.testing.assert_allclose(found.per_dimension, np.abs(expected[found.columns_a, found.columns_b]), atol=1e-12)
    np.testing.assert_allclose(found.signs * found.per_dimension, expected[found.columns_a, found.columns_b],
                               atol=1e-12)
    assert (np.diff(found.per_dimension) <= 0).all()
    np.testing.assert_allclose(found.cumulative, [found.per_dimension[:i + 1].mean() for i in range(min(d_a, d_b))])
    assert found.cumulative[-1] == pytest.approx(found.value, abs=1e-15)
    assert (found.permutation[found.columns_a] == found.columns_b).all()
    assert (found.permutation >= 0).sum() == min(d_a, d_b) == len(set(found.columns_b))
    assert (found.in_sample, found.n_align, found.n_score, found.n_flipped) == (True, size, size, 0)
    a, b = found.aligned(za, zb)
    np.testing.assert_array_equal(a, za[:, found.columns_a])
    np.testing.assert_array_equal(b, zb[:, found.columns_b] * found.signs)
    # The other way round nothing changes.
    assert mcc(zb, za, correlation=correlation).value == pytest.approx(found.value, abs=1e-12)
    assert json.loads(json.dumps(found.to_dict()))["value"] == found.value
    assert "in sample" in str(found)


@given(case=CASES, correlation=CORRELATIONS)
@settings(max_examples=50)
def test_strong_sees_through_permutations_signs_scales_shifts(case, correlation):
    d, _, size, seed = case
    rng = np.random.default_rng(seed)
    za = rng.normal(size=(size, d))
    order, scales = rng.permutation(d), rng.choice([-1, 1], d) * 10 ** rng.uniform(-3, 3, d)
    zb = (za * scales)[:, order] + rng.normal(size=d)
    found = mcc(za, zb, correlation=correlation)
    assert found.value == pytest.approx(1, abs=1e-12)
    assert all(order[j] == i for i, j in enumerate(found.permutation))
    assert (found.signs == np.sign(scales)[found.columns_a]).all()


@given(case=CASES, correlation=CORRELATIONS, split=st.sampled_from([None, "half"]))
@settings(max_examples=50)
def test_weak_sees_through_affine_maps(case, correlation, split):
    """1 up to rounding; by ranks too, but for observations that rounding lets change places."""
    d, _, size, seed = case
    rng = np.random.default_rng(seed)
    za = rng.normal(size=(size + 15, d))
    zb = za @ (linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.5, 2, d)) + rng.normal(size=d)
    for alignment in ("cca", "least squares"):
        found = mcc(za, zb, "weak", correlation=correlation, split=split, rng=rng, alignment=alignment)
        assert found.value == pytest.approx(1, abs=1e-10 if correlation == "pearson" else 1e-3)
        a, b = found.aligned(za, zb)
        assert a.shape == b.shape == za.shape
        correlations = np.diag(np.corrcoef(a.T, b.T)[:d, d:]) if d > 1 else [np.corrcoef(a.T, b.T)[0, 1]]
        np.testing.assert_allclose(correlations, 1, atol=1e-9)


@given(case=CASES, correlation=CORRELATIONS)
@settings(max_examples=30)
def test_weak_against_scikit_learn(case, correlation):
    """Canonical variates of scikit-learn, matched over all permutations."""
    d_a, d_b, size, seed = case
    za, zb = latents(d_a, d_b, size + 20, np.random.default_rng(seed))
    k = min(d_a, d_b)
    x, y = CCA(n_components=k, max_iter=200_000, tol=1e-15).fit(za, zb).transform(za, zb)
    expected = best_of_all(np.abs(table(x, y, correlation)))
    found = mcc(za, zb, "weak", correlation=correlation)
    # Ranks jump where scikit-learn's error of 1e-7 swaps neighbours.
    np.testing.assert_allclose(found.value, np.mean(expected), atol=1e-6 if correlation == "pearson" else 5e-3)
    assert len(found.per_dimension) == k
    if k > 1:
        fewer = mcc(za, zb, "weak", correlation=correlation, dimension=1)
        expected = abs(table(x[:, :1], y[:, :1], correlation)[0, 0])
        assert fewer.value == pytest.approx(expected, abs=1e-6 if correlation == "pearson" else 5e-3)


@given(case=CASES, correlation=CORRELATIONS)
@settings(max_examples=30)
def test_split_against_the_same_by_hand(case, correlation):
    """kivva.mcc.oos: everything fitted on one half, scored on the other."""
    d_a, d_b, size, seed = case
    za, zb = latents(d_a, d_b, 2 * size + 20, np.random.default_rng(seed))
    fit, score = halves(len(za), "half", np.random.default_rng(seed))
    assert sorted([*fit, *score]) == list(range(len(za)))
    assert abs(len(fit) - len(score)) <= 1
    found = mcc(za, zb, correlation=correlation, split="half", rng=np.random.default_rng(seed))
    assert (found.in_sample, found.n_align, found.n_score) == (False, len(fit), len(score))
    inner = np.abs(table(za[fit], zb[fit], correlation))
    assert inner[found.columns_a, found.columns_b].sum() == pytest.approx(sum(best_of_all(inner)), abs=1e-12)
    outer = table(za[score], zb[score], correlation)[found.columns_a, found.columns_b]
    np.testing.assert_allclose(found.per_dimension, np.abs(outer), atol=1e-12)
    assert found.n_flipped == (np.sign(outer) != found.signs).sum()
    assert "scored on" in str(found)
    if correlation == "pearson":
        k = min(d_a, d_b)
        theirs = CCA(n_components=k, max_iter=200_000, tol=1e-15).fit(za[fit], zb[fit])
        x, y = theirs.transform(za[score], zb[score])
        weak = mcc(za, zb, "weak", split="half", rng=np.random.default_rng(seed))
        expected = [abs(np.corrcoef(x[:, i], y[:, i])[0, 1]) for i in range(k)]
        # Nearly equal canonical correlations leave their variates open to scikit-learn's tolerance.
        np.testing.assert_allclose(weak.per_dimension, np.sort(expected)[::-1], atol=1e-4)


@given(case=CASES)
def test_least_squares_is_never_below_strong_in_sample(case):
    """kivva.mcc.order: the multiple correlation dominates; also the multiple correlations themselves."""
    d_a, d_b, size, seed = case
    za, zb = latents(d_a, d_b, size + 10, np.random.default_rng(seed))
    weak = mcc(za, zb, "weak", alignment="least squares")
    assert weak.value >= mcc(za, zb).value - 1e-12
    design = np.column_stack([za, np.ones(len(za))])
    fitted = design @ np.linalg.lstsq(design, zb, rcond=None)[0]
    multiple = [np.corrcoef(fitted[:, j], zb[:, j])[0, 1] for j in range(d_b)]
    assert weak.value >= np.mean(np.sort(multiple)[::-1][:min(d_a, d_b)]) - 1e-12
    assert weak.alignment == "least squares"


def exact_sample(covariance):
    """Columns whose sample covariance is the given one to rounding."""
    factor = np.linalg.cholesky(covariance)
    columns = linalg.hadamard(32)[:, 1:len(factor) + 1] / math.sqrt(32)
    return columns @ factor.T * math.sqrt(31)


def test_canonical_alignment_can_lie_below_the_strong_value():
    """kivva.mcc.order: X_i = W + d_i, Y_i = X_i + noise; variances 1, .01, .09: strong 0.958, weak 0.647."""
    x = np.ones((2, 2)) + 0.01 * np.eye(2)
    z = exact_sample(np.block([[x, x], [x, x + 0.09 * np.eye(2)]]))
    strong, weak = mcc(z[:, :2], z[:, 2:]), mcc(z[:, :2], z[:, 2:], "weak")
    assert strong.value == pytest.approx(math.sqrt(1.01 / 1.1), abs=1e-12)
    assert weak.value == pytest.approx((math.sqrt(2.01 / 2.1) + math.sqrt(0.01 / 0.1)) / 2, abs=1e-12)
    assert (round(strong.value, 3), round(weak.value, 3)) == (0.958, 0.647)
    fitted = mcc(z[:, :2], z[:, 2:], "weak", alignment="least squares")
    assert fitted.value >= strong.value - 1e-12


def test_rotation_by_45_degrees():
    """kivva.mcc: strong 0.7071, weak 1."""
    z = exact_sample(np.eye(2))
    turned = z @ np.array([[1, 1], [-1, 1]]) / math.sqrt(2)
    assert mcc(z, turned).value == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert mcc(z, turned, "weak").value == pytest.approx(1, abs=1e-12)


def test_pointwise_maps():
    """ivae.s5.mcc: -z scores 1 (absolute values); z^3 scores 3 / sqrt(15) by Pearson and 1 by Spearman.

    A sample with the first six moments of the normal law: Gauss-Hermite nodes, repeated by their weights, give them
    to the rounding of the weights to millionths.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    z = np.repeat(nodes, np.round(weights / weights.sum() * 1e6).astype(int))[:, None]
    assert mcc(z, -z).value == pytest.approx(1, abs=1e-12)
    assert mcc(z, -z).signs.tolist() == [-1]
    assert mcc(z, z**3).value == pytest.approx(3 / math.sqrt(15), abs=1e-3)
    assert mcc(z, z**3, correlation="spearman").value == pytest.approx(1, abs=1e-12)
    assert mcc(z, z**3, "weak").value == pytest.approx(3 / math.sqrt(15), abs=1e-3)


def exact_correlation(x, y):
    """Squared correlation of whole numbers, exact, then one square root."""
    n = len(x)
    x, y = [Fraction(int(v)) for v in x], [Fraction(int(v)) for v in y]
    mx, my = sum(x) / n, sum(y) / n
    cov = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    square = cov**2 / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
    return math.sqrt(square)


@pytest.mark.parametrize("offset", [0, 10**8, 10**12, -(10**14)])
def test_offsets_cost_no_digits(offset):
    """Whole numbers are exact at these offsets, so only the arithmetic can err; 1e-14 is 50 roundings."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        za = rng.integers(-100, 100, size=(60, 1))
        zb = za + rng.integers(-100, 100, size=(60, 1))
        expected = exact_correlation(za[:, 0], zb[:, 0])
        for kind in ("strong", "weak"):
            assert mcc(za + offset, zb - offset, kind).value == pytest.approx(expected, abs=1e-14)


def test_sizes_do_not_overflow():
    rng = np.random.default_rng(6)
    za, zb = latents(3, 3, 50, rng)
    plain = mcc(za, zb)
    for a, b in ((1e279, 1e-279), (1e-200, 1e155), (1e155, 1e270)):
        assert mcc(za * a, zb * b).value == pytest.approx(plain.value, abs=1e-14)


def test_equal_observations_stay_tied_under_the_alignment():
    """Ranks of canonical variates of discrete latents, from the variates of each different observation, once."""
    rng = np.random.default_rng(16)
    for size in (333, 1001):
        za = rng.integers(0, 2, size=(size, 5)).astype(float)
        zb = np.round(za @ rng.normal(size=(5, 5)) + 0.5 * rng.normal(size=(size, 5)))
        found = mcc(za, zb, "weak", correlation="spearman")
        variates = []
        for z, weights, means in ((za, found.weights_a, found.means_a), (zb, found.weights_b, found.means_b)):
            different, which = np.unique(z, axis=0, return_inverse=True)
            image = np.array([[math.fsum(row) for row in (one - means)[None] * weights.T] for one in different])
            variates.append(np.round(image, 10)[which.ravel()])
        expected = [abs(stats.spearmanr(u, v).statistic) for u, v in zip(variates[0].T, variates[1].T, strict=True)]
        np.testing.assert_allclose(found.per_dimension, expected, atol=1e-12)


def test_constant_latents():
    """Refused, or scored 0 when asked; never silent."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=(100, 4))
    dead = z.copy()
    dead[:, 2] = 0.1
    found = mcc(z, dead, constant="zero")
    np.testing.assert_allclose(found.per_dimension, [1, 1, 1, 0], atol=1e-12)
    assert found.value == pytest.approx(0.75)
    assert any("score 0" in note for note in found.notes)
    weak = mcc(z, dead, "weak", constant="zero")
    np.testing.assert_allclose(weak.per_dimension, [1, 1, 1, 0], atol=1e-12)
    assert (weak.columns_a[-1], weak.columns_b[-1], weak.signs[-1]) == (-1, -1, 0)
    assert any("numerical rank 3" in note for note in weak.notes)
    assert mcc(z, dead, "weak", dimension=3).value == pytest.approx(1)
    a, b = weak.aligned(z, dead)
    assert a.shape == b.shape == (100, 4)
    np.testing.assert_array_equal(a[:, 3], 0)
    copied = np.column_stack([z[:, :3], z[:, 0]])
    assert mcc(z, copied, "weak", constant="zero").value == pytest.approx(0.75)
    fitted = mcc(z, dead, "weak", alignment="least squares", constant="zero")
    np.testing.assert_allclose(fitted.per_dimension, [1, 1, 1, 0], atol=1e-12)


def test_in_sample_values_are_biased_and_held_out_ones_less():
    """Unrelated latents: 20 canonical correlations of 60 observations average above 0.4, on the other half 0.2."""
    rng = np.random.default_rng(8)
    inside, outside = [], []
    for _ in range(20):
        za, zb = rng.normal(size=(120, 20)), rng.normal(size=(120, 20))
        inside.append(mcc(za[:60], zb[:60], "weak").value)
        outside.append(mcc(za, zb, "weak", split="half", rng=rng).value)
    assert np.mean(inside) > 0.4
    # |corr| of 60 independent normal pairs has mean sqrt(2 / (60 pi)).
    assert np.mean(outside) == pytest.approx(math.sqrt(2 / (60 * math.pi)), abs=0.01)


def test_torch_and_other_arrays():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    za, zb = latents(3, 3, 50, rng)
    expected = mcc(za, zb).value
    a = torch.tensor(za, requires_grad=True)
    assert mcc(a, torch.tensor(zb)).value == expected
    assert mcc(za.tolist(), np.asfortranarray(zb)).value == expected
    assert mcc(a.float(), zb).value == pytest.approx(expected, abs=1e-6)
    assert mcc(za[:, 0] > 0, zb[:, 0] > 0).value == pytest.approx(
        abs(np.corrcoef(za[:, 0] > 0, zb[:, 0] > 0)[0, 1]), abs=1e-12)


def many(count, d, size, rng, loud=1.0):
    truth = rng.normal(size=(size, d))
    return truth, [truth + loud * rng.uniform(0.1, 2) * rng.normal(size=(size, d)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["strong", "weak"])
@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
@pytest.mark.parametrize("split", [None, "half"])
def test_pairs_are_those_of_mcc(kind, correlation, split):
    _, runs = many(4, 3, 60, np.random.default_rng(10))
    runs[2] = runs[2][:, :2]
    found = mcc_pairs(runs, kind, correlation=correlation, split=split, rng=np.random.default_rng(1), n_boot=50)
    single = {(i, j): mcc(runs[i], runs[j], kind, correlation=correlation, split=split, rng=np.random.default_rng(1))
              for i, j in itertools.combinations(range(4), 2)}
    for (i, j), expected in single.items():
        assert found.values[i, j] == found.values[j, i] == expected.value
    assert np.isnan(np.diag(found.values)).all()
    values = [item.value for item in single.values()]
    assert (found.n_pairs, found.n_runs) == (6, 4)
    assert float(found) == found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    np.testing.assert_allclose(found.per_dimension, np.mean([item.per_dimension[:2] for item in single.values()], 0))
    assert found.in_sample == (split is None)
    low, high = found.interval
    assert 0 <= low < found.mean < high <= 1
    assert "6 pairs of 4 runs" in str(found)
    assert "approximate" in str(found)
    tree = json.loads(json.dumps(found.to_dict()))
    assert tree["values"][0][0] is None
    assert tree["n_pairs"] == 6


def test_ten_runs_have_45_pairs():
    """idnu.55: 45 pairs, not 55; a run is not compared with itself."""
    _, runs = many(10, 2, 40, np.random.default_rng(11))
    found = mcc_pairs(runs, n_boot=0)
    assert found.n_pairs == 45
    assert found.mean < 1
    assert found.interval_method == "jackknife over runs"
    assert found.interval == found.interval_jackknife


def pair_mean(values, runs):
    """Mean over pairs of different runs of a list of runs; None without any."""
    pairs = [values[i, j] for i, j in itertools.combinations(runs, 2) if i != j]
    return np.mean(pairs) if pairs else None


def test_bootstrap_and_jackknife_against_enumeration():
    """All 4^4 draws of four runs give the bootstrap's limit; 40,000 draws come within 2% of it."""
    _, runs = many(4, 2, 50, np.random.default_rng(12))
    found = mcc_pairs(runs, rng=np.random.default_rng(0), n_boot=40_000)
    means = [pair_mean(found.values, draw) for draw in itertools.product(range(4), repeat=4)]
    limit = np.std([mean for mean in means if mean is not None]) * math.sqrt(4 / 3)
    assert found.std_error == pytest.approx(limit, rel=0.02)
    without = [pair_mean(found.values, [i for i in range(4) if i != left]) for left in range(4)]
    assert found.std_error_jackknife == pytest.approx(math.sqrt(3 / 4 * np.sum((without - np.mean(without)) ** 2)))
    reach = stats.t.ppf(0.975, 3) * found.std_error
    assert found.interval == pytest.approx((max(0, found.mean - reach), min(1, found.mean + reach)))
    again = mcc_pairs(runs, rng=np.random.default_rng(0), n_boot=40_000)
    assert again.interval == found.interval


def test_two_and_three_runs():
    _, runs = many(3, 2, 50, np.random.default_rng(13))
    two = mcc_pairs(runs[:2], rng=np.random.default_rng(0))
    assert two.interval is None
    assert two.interval_jackknife is None
    assert (two.n_pairs, two.interval_method) == (1, "none")
    assert math.isnan(two.std)
    assert "2 runs give no interval" in str(two)
    assert json.loads(json.dumps(two.to_dict()))["std"] is None
    assert mcc_pairs(runs, rng=np.random.default_rng(0)).interval[1] <= 1


def test_intervals_respect_that_pairs_share_runs():
    """Coverage of the population mean in 300 experiments of 8 runs with one latent, noise levels differing by run.

    Nominal 95%; with a standard error of 1.3% the bootstrap and the jackknife stay above 88%, and the interval that
    takes the 28 pairs for independent falls below 70%.
    """
    rng = np.random.default_rng(14)
    truth = rng.normal(size=(100, 1))
    # The population mean over pairs, from 4,000 runs at once.
    crowd = truth + np.exp(0.7 * rng.normal(size=4000)) * rng.normal(size=(100, 4000))
    correlations = np.abs(np.corrcoef(crowd.T))
    mean = (correlations.sum() - 4000) / (4000 * 3999)
    hits = {"bootstrap": 0, "jackknife": 0, "pairs taken as independent": 0}
    for _ in range(300):
        runs = [truth + np.exp(0.7 * rng.normal()) * rng.normal(size=(100, 1)) for _ in range(8)]
        found = mcc_pairs(runs, rng=rng, n_boot=300)
        reach = stats.t.ppf(0.975, 27) * found.std / math.sqrt(28)
        for name, (low, high) in (("bootstrap", found.interval), ("jackknife", found.interval_jackknife),
                                  ("pairs taken as independent", (found.mean - reach, found.mean + reach))):
            hits[name] += low <= mean <= high
    assert hits["bootstrap"] / 300 > 0.88
    assert hits["jackknife"] / 300 > 0.88
    assert hits["pairs taken as independent"] / 300 < 0.7


def test_against_known_sources():
    truth, runs = many(5, 3, 80, np.random.default_rng(15))
    found = mcc_against(truth, runs, "strong")
    values = [mcc(run, truth).value for run in runs]
    np.testing.assert_array_equal(found.values, values)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found.interval == pytest.approx((max(0, expected[0]), min(1, expected[1])))
    assert "5 runs" in str(found)
    single = mcc_against(truth, runs[:1])
    assert single.interval is None
    assert float(single) == values[0]
