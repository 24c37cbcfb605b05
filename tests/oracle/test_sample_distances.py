"""Energy and sliced Wasserstein distances: scipy on the line, plain double sums, enumeration, closed forms."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ident_theory.errors import UnsupportedError
from ident_theory.metrics import samples
from ident_theory.metrics.samples import energy_distance, sliced_wasserstein

CASES = st.tuples(st.integers(1, 4), st.integers(2, 25), st.integers(2, 25), st.integers(0, 2**32 - 1))


def statistic(x, y, unbiased=False):
    """The double sums, one distance at a time."""
    def mean(a, b, pairs):
        return math.fsum(math.dist(p, q) for p in a for q in b) / pairs
    n, m = len(x), len(y)
    xx, yy = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    return 2 * mean(x, y, n * m) - mean(x, x, xx) - mean(y, y, yy)


@given(case=CASES, unbiased=st.booleans(), block=st.sampled_from([1, 37, 100, 1 << 22]))
def test_energy_against_double_sums(case, unbiased, block):
    d, n, m, seed = case
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 2 + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "BLOCK_ENTRIES", block)
        found = energy_distance(x, y, unbiased=unbiased)
    expected = statistic(x.tolist(), y.tolist(), unbiased)
    assert found.statistic == pytest.approx(expected, abs=1e-13)
    assert float(found) == found.distance == pytest.approx(math.sqrt(max(0, expected)), abs=1e-6)
    assert ("unbiased" in str(found)) == unbiased
    far = energy_distance(x + 1e6, y + 1e6, unbiased=unbiased)  # the inputs lose 1e-10 there
    assert far.statistic == pytest.approx(expected, abs=1e-8)


@given(case=CASES, scale=st.sampled_from([1e-200, 1e-3, 1.0, 1e200]))
@settings(max_examples=40)
def test_energy_against_scipy_on_the_line(case, scale):
    _, n, m, seed = case
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=m) + 0.5
    found = energy_distance(x * scale, y * scale)
    assert found.distance / math.sqrt(scale) == pytest.approx(stats.energy_distance(x, y), rel=1e-9)


def test_energy_of_equal_samples():
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert energy_distance(x, x[::-1]).distance < 1e-7
    assert energy_distance(x, x, unbiased=True).statistic < 0
    same = np.ones((5, 2))
    assert energy_distance(same, same, n_permutations=9, rng=np.random.default_rng(0)).p_value == 1
    assert energy_distance(np.zeros((5, 2)), np.zeros((3, 2))).distance == 0


def test_permutation_test_against_all_splits():
    """Eight points, 70 splits: the Monte Carlo p-value of 20,000 draws within four standard errors."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)) + 0.8
    pooled = np.vstack([x, y]).tolist()
    observed = statistic(x.tolist(), y.tolist())
    every = [statistic([pooled[i] for i in chosen], [pooled[i] for i in range(8) if i not in chosen])
             for chosen in itertools.combinations(range(8), 4)]
    exact = np.mean([value >= observed - 1e-12 for value in every])
    found = energy_distance(x, y, n_permutations=20_000, rng=rng)
    assert abs(found.p_value - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000)
    assert "20,000 permutations" in str(found)


def test_permutation_test_keeps_its_level_and_has_power():
    """Under one law P(p <= 0.1) <= 0.1, in 400 experiments within three standard errors; a shift is found."""
    rng = np.random.default_rng(2)
    p = [energy_distance(rng.normal(size=(15, 2)), rng.normal(size=(12, 2)), n_permutations=99, rng=rng).p_value
         for _ in range(400)]
    assert abs(np.mean(np.array(p) <= 0.1) - 0.1) < 3 * math.sqrt(0.09 / 400)
    assert energy_distance(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 1.5, n_permutations=99,
                           rng=rng).p_value == 0.01


@given(case=CASES, p=st.sampled_from([1, 2, 3.5]))
@settings(max_examples=40)
def test_sliced_wasserstein_on_the_line(case, p):
    """One direction up to sign: the distance of scipy (p = 1) or of the sorted samples, without Monte Carlo error."""
    _, n, m, seed = case
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(size=m) + 0.5
    found = sliced_wasserstein(x, y, p=p, n_projections=4, rng=rng)
    common = np.sort(np.repeat(x, m)), np.sort(np.repeat(y, n))
    expected = np.mean(np.abs(common[0] - common[1]) ** p) ** (1 / p)
    assert found.value == pytest.approx(expected, rel=1e-6)
    if p == 1:
        assert found.value == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-6)
    assert found.std_error <= 1e-6 * found.value
    assert float(found) == found.value


@pytest.mark.parametrize("d", [2, 5])
def test_sliced_wasserstein_of_a_shift(d):
    """A translation by t: W_2 = |theta . t|, so the value is |t| / sqrt(d); 200 estimates spread as they say."""
    rng = np.random.default_rng(d)
    x, shift = rng.normal(size=(30, d)), rng.normal(size=d)
    expected = np.linalg.norm(shift) / math.sqrt(d)
    found = [sliced_wasserstein(x, x + shift, n_projections=200, rng=rng) for _ in range(200)]
    values, errors = np.array([item.value for item in found]), np.array([item.std_error for item in found])
    assert abs(values.mean() - expected) < 5 * values.std() / math.sqrt(200)
    # The standard deviation of 200 values is known to 5%.
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.2)
    big = sliced_wasserstein(x * 1e200, (x + shift) * 1e200, rng=np.random.default_rng(0))
    small = sliced_wasserstein(x, x + shift, rng=np.random.default_rng(0))
    assert big.value / 1e200 == pytest.approx(small.value, rel=1e-9)
    assert big.std_error / 1e200 == pytest.approx(small.std_error, rel=1e-9)
    assert "200 directions" in str(small)


def test_sliced_wasserstein_of_equal_samples():
    x = np.random.default_rng(3).normal(size=(20, 3))
    found = sliced_wasserstein(x, x, rng=np.random.default_rng(0))
    assert (found.value, found.std_error) == (0, 0)


def test_missing_pot_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'ident_theory\[transport\]'"):
        sliced_wasserstein([[0.0], [1.0]], [[0.0], [2.0]], rng=np.random.default_rng(0))


def test_pot_and_torch_load_only_when_needed():
    code = ("import sys; from ident_theory.metrics.samples import energy_distance; energy_distance([1., 2.], [3., 4.]);"
            "sys.exit('ot' in sys.modules or 'torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
