"""Wilcoxon signed-rank comparison: all sign patterns, scipy, brute estimates, corrections by definition."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ident_theory.metrics import methods
from ident_theory.metrics.methods import compare_methods

DIFFERENCES = st.lists(st.integers(-4, 4), min_size=1, max_size=9)


def single(first, second, **options):
    return compare_methods({"a": first, "b": second}, **options).tests[0]


@given(differences=DIFFERENCES)
def test_exact_against_all_sign_patterns(differences):
    """Ties and zeros included: given the ranks each sign pattern has probability 2^-n."""
    second = np.arange(len(differences)) / 10
    found = single(second + differences, second)  # the tenths do not add up exactly: ties must survive that
    unequal = [value for value in differences if value]
    ranks = stats.rankdata(np.abs(unequal)) if unequal else np.empty(0)
    observed = sum(rank for rank, value in zip(ranks, unequal, strict=True) if value > 0)
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
            for signs in itertools.product([0, 1], repeat=len(unequal))]
    below, above = np.mean([s <= observed for s in sums]), np.mean([s >= observed for s in sums])
    assert found.p_value == pytest.approx(min(1, 2 * min(below, above)), abs=1e-14)
    assert found.least_p == pytest.approx(min(1, 2 * min(np.mean([s <= 0 for s in sums]), 1)), abs=1e-14)
    assert (found.statistic, found.n_pairs, found.n_zero) == (observed, len(differences),
                                                              len(differences) - len(unequal))
    assert found.exact
    total = sum(ranks)
    assert found.rank_biserial == pytest.approx((2 * observed - total) / total if total else 0)
    walsh = [(p + q) / 2 for p, q in itertools.combinations_with_replacement(differences, 2)]
    assert found.location == pytest.approx(np.median(walsh), abs=1e-12)
    assert found.median_difference == pytest.approx(np.median(differences), abs=1e-12)
    reverse = single(second, second + differences)
    assert reverse.p_value == found.p_value
    assert reverse.rank_biserial == pytest.approx(-found.rank_biserial)
    assert reverse.interval == pytest.approx((-found.interval[1], -found.interval[0]))


@given(n=st.integers(1, 40), seed=st.integers(0, 10_000))
@settings(max_examples=60)
def test_against_scipy_without_ties(n, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=n) + 0.3, rng.normal(size=n)
    expected = stats.wilcoxon(first, second, method="exact")
    found = single(first, second)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert min(found.statistic, n * (n + 1) / 2 - found.statistic) == expected.statistic


def test_many_pairs(monkeypatch):
    """Above the limit scipy's approximation with continuity correction; it agrees with the exact law there."""
    rng = np.random.default_rng(0)
    first, second = np.round(rng.normal(size=400) + 0.1, 1), np.round(rng.normal(size=400), 1)
    found = single(first, second)
    kept = np.round(first - second, 1)
    expected = stats.wilcoxon(kept[kept != 0], correction=True, method="asymptotic")
    assert not found.exact
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert "approximate" in str(compare_methods({"a": first, "b": second}))
    monkeypatch.setattr(methods, "EXACT_PAIRS", 400)
    exact = single(first, second)
    assert exact.exact
    assert found.p_value == pytest.approx(exact.p_value, rel=0.01)
    assert found.interval == pytest.approx(exact.interval, abs=0.02)


def test_distribution_of_the_statistic():
    """Known table: for n = 5 the counts of subsets of 1..5 by their sum."""
    law = methods.signed_rank_law(np.arange(1, 6)) * 32
    assert law.tolist() == [1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 2, 2, 1, 1, 1]
    large = methods.signed_rank_law(np.arange(1, 301))
    assert large.sum() == pytest.approx(1, abs=1e-13)
    assert large[0] == pytest.approx(0.5**300, rel=1e-12)


@pytest.mark.parametrize(("n", "level"), [(5, 0.9), (8, 0.95), (12, 0.9), (20, 0.99)])
def test_interval_covers_as_it_says(n, level):
    """The stated coverage is exact: 4,000 experiments within four standard errors; at least the asked one."""
    rng = np.random.default_rng(n)
    hits, stated = 0, None
    for _ in range(4000):
        difference = rng.logistic(size=n) + 2
        walsh = np.sort(((difference[:, None] + difference) / 2)[np.triu_indices(n)])
        low, high, stated = methods._interval(walsh, n, level)
        hits += low <= 2 <= high
    assert stated >= level
    assert abs(hits / 4000 - stated) < 4 * math.sqrt(stated * (1 - stated) / 4000)


def test_five_pairs_cannot_reach_five_percent():
    """1/16 at best; six reach 1/32."""
    five = compare_methods({"a": [1.0, 2, 3, 4, 5], "b": [0.0, 0, 0, 0, 0]})
    assert five.tests[0].p_value == five.tests[0].least_p == 1 / 16
    assert five.tests[0].interval_level == 15 / 16
    text = str(five)
    assert "5 unequal pairs cannot give a two-sided p below 0.0625" in text
    assert "6 are needed for 0.05" in text
    assert "covers with 93.8% only" in text
    six = compare_methods({"a": [1.0, 2, 3, 4, 5, 6], "b": [0.0] * 6})
    assert six.tests[0].p_value == 1 / 32
    assert six.tests[0].interval == (1, 6)
    assert not six.notes
    three = compare_methods({"a": np.arange(6) + 1.0, "b": np.zeros(6), "c": -np.arange(6) ** 2 - 3.0})
    assert any("no corrected p can fall below 0.09375 with 3 comparisons" in note for note in three.notes)


def test_equal_scores():
    found = compare_methods({"a": [0.3, 0.2, 0.5], "b": [0.2, 0.1, 0.5]})  # 0.3 - 0.2 and 0.2 - 0.1 are tied
    assert found["a", "b"].statistic == 3
    assert found["a", "b"].n_zero == 1
    assert any("1 equal pairs are left out" in note for note in found.notes)
    same = single([1.0, 2.0], [1.0, 2.0])
    assert (same.p_value, same.rank_biserial, same.location, same.n_zero) == (1, 0, 0, 2)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
@settings(max_examples=40)
def test_corrections_by_definition(seed, count):
    """Holm: closed testing with Bonferroni; Benjamini and Hochberg: least level at which a test is rejected."""
    rng = np.random.default_rng(seed)
    scores = {f"m{i}": rng.normal(size=10) + i / 2 for i in range(count)}
    raw = [test.p_value for test in compare_methods(scores, correction="none").tests]
    size = len(raw)
    assert size == count * (count - 1) // 2

    def adjusted(correction):
        return [test.p_adjusted for test in compare_methods(scores, correction=correction).tests]
    assert adjusted("none") == raw
    assert adjusted("bonferroni") == pytest.approx([min(1, size * p) for p in raw])
    if size <= 6:
        subsets = [s for k in range(1, size + 1) for s in itertools.combinations(range(size), k)]
        closed = [max(min(1, len(s) * min(raw[j] for j in s)) for s in subsets if i in s) for i in range(size)]
        assert adjusted("holm") == pytest.approx(closed)
    stepped = sorted(raw)
    hochberg = [min(1, *(size * stepped[k] / (k + 1) for k in range(size) if stepped[k] >= p)) for p in raw]
    assert adjusted("fdr_bh") == pytest.approx(hochberg)


def test_baseline_and_table():
    rng = np.random.default_rng(3)
    scores = {"ours": rng.normal(size=8) + 1, "iVAE": rng.normal(size=8), "VAE": rng.normal(size=8)}
    found = compare_methods(scores, baseline="iVAE")
    assert [(test.first, test.second) for test in found.tests] == [("ours", "iVAE"), ("VAE", "iVAE")]
    lines = str(found).splitlines()
    assert lines[0].split()[:2] == ["methods", "pairs"]
    assert lines[1].startswith("ours - iVAE")
    assert f"{found['ours', 'iVAE'].p_value:.4g}" in lines[1]
