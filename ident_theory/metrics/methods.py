"""Comparison of methods on the same runs: exact Wilcoxon signed-rank tests, effect sizes, correction for many."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ident_theory.errors import InputError
from ident_theory.metrics.latents import columns, one_of
from ident_theory.models.value import FloatArray

#: Up to this many pairs the distribution of the statistic is computed exactly, with ties; above, approximately.
EXACT_PAIRS = 300
CORRECTIONS = ("holm", "bonferroni", "fdr_bh", "none")


@dataclass(frozen=True)
class PairedTest:
    """One method against another on the same units; differences are first minus second.

    Attributes
    ----------
    first, second : str
    n_pairs, n_zero : int
        Pairs, and how many of them are equal; equal pairs are left out of the test (Wilcoxon's convention) and kept
        in the estimates.
    statistic : float
        Sum of the ranks of the positive differences, ties averaged.
    p_value, p_adjusted : float
        Two-sided, before and after the correction.
    least_p : float
        The smallest p-value that so many unequal pairs with these ties can give.
    exact : bool
        Whether the p-value is from the exact distribution given the ranks.
    rank_biserial : float
        Matched-pairs rank-biserial correlation (W+ - W-) / (W+ + W-) in [-1, 1]; 0 when all pairs are equal.
    median_difference : float
        Median of the differences.
    location : float
        Hodges-Lehmann estimate: median of the means of all pairs of differences.
    interval : (float, float)
        Interval for the location from the signed-rank distribution.
    interval_level : float
        Its exact coverage for a continuous symmetric law of the differences; below the asked level when too few
        pairs cannot reach that.
    """

    first: str
    second: str
    n_pairs: int
    n_zero: int
    statistic: float
    p_value: float
    p_adjusted: float
    least_p: float
    exact: bool
    rank_biserial: float
    median_difference: float
    location: float
    interval: tuple[float, float]
    interval_level: float


@dataclass(frozen=True)
class MethodComparison:
    """Tests of several methods; ``str(result)`` is a table.

    Attributes
    ----------
    tests : tuple of PairedTest
    correction : str
    level : float
        1 - level is the error rate that the notes refer to.
    notes : tuple of str
        What the number of pairs allows, and which conventions were applied.
    """

    tests: tuple[PairedTest, ...]
    correction: str
    level: float
    notes: tuple[str, ...] = ()

    def __getitem__(self, names: tuple[str, str]) -> PairedTest:
        for test in self.tests:
            if (test.first, test.second) == tuple(names):
                return test
        raise InputError(f"no comparison {names!r}; there are {[(test.first, test.second) for test in self.tests]}")

    def __str__(self) -> str:
        head = ("methods", "pairs", "W+", "p", f"p ({self.correction})", "rank-biserial", "difference", "interval")
        rows = [head] + [(
            f"{test.first} - {test.second}", str(test.n_pairs) + (f" ({test.n_zero} equal)" if test.n_zero else ""),
            f"{test.statistic:g}", f"{test.p_value:.4g}" + ("" if test.exact else " (approximate)"),
            f"{test.p_adjusted:.4g}", f"{test.rank_biserial:+.3f}", f"{test.location:+.4g}",
            f"[{test.interval[0]:.4g}, {test.interval[1]:.4g}] ({test.interval_level:.1%})") for test in self.tests]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *self.notes])


def compare_methods(scores: Mapping[str, Any], *, baseline: str | None = None, correction: str = "holm",
                    level: float = 0.95) -> MethodComparison:
    """Wilcoxon signed-rank tests of methods that were run on the same units, corrected for their number.

    Parameters
    ----------
    scores : mapping of str to array_like, shape (n,)
        Scores of each method; entry i of all methods belongs to the same unit (seed, data set). Units must be
        independent: pairs of runs that share runs are not.
    baseline : str, optional
        Compare every other method with this one; by default all pairs of methods.
    correction : {"holm", "bonferroni", "fdr_bh", "none"}
        Holm and Bonferroni bound the probability of any false rejection, Benjamini and Hochberg the expected share
        of false ones (for independent or positively dependent tests).
    level : float
        Nominal coverage of the intervals.

    Returns
    -------
    MethodComparison
        Two-sided p-values, exact given the ranks (ties included) for up to 300 unequal pairs, else by the normal
        approximation with continuity and tie correction. Differences that agree to rounding (1e-13 of the scores)
        count as ties, and as zero when the scores do.

    Raises
    ------
    InputError
        For fewer than two methods, different lengths, no units, entries that are not finite, unknown names.
    """
    one_of(correction, CORRECTIONS, "correction")
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise InputError(f"expected 0 < level < 1, got {level!r}")
    if not isinstance(scores, Mapping) or len(scores) < 2:
        raise InputError("compare_methods: expected a mapping of at least two methods to their scores, got "
                         f"{type(scores).__name__}" + (f" of {len(scores)}" if isinstance(scores, Mapping) else ""))
    values = {str(name): _scores(data, name) for name, data in scores.items()}
    lengths = {name: len(data) for name, data in values.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"compare_methods: expected scores of the same units, found lengths {lengths}")
    if baseline is not None and baseline not in values:
        raise InputError(f"expected baseline to be one of {list(values)}, got {baseline!r}")
    pairs = list(itertools.combinations(values, 2)) if baseline is None else \
        [(name, baseline) for name in values if name != baseline]
    found = [_test(values[first], values[second], level) for first, second in pairs]
    adjusted = _adjusted(np.array([item["p_value"] for item in found]), correction)
    tests = tuple(PairedTest(first=first, second=second, p_adjusted=float(p), **item)
                  for (first, second), item, p in zip(pairs, found, adjusted, strict=True))
    return MethodComparison(tests, correction, float(level), _notes(tests, correction, level))


def _scores(data: Any, name: Any) -> FloatArray:
    z = columns(data, f"scores[{name!r}]")
    if z.width != 1:
        raise InputError(f"scores[{name!r}]: expected shape (n,), one score a unit, found {z.values.shape}")
    return z.values[:, 0]


def _test(first: FloatArray, second: FloatArray, level: float) -> dict[str, Any]:
    """Fields of `PairedTest` but the names and the correction."""
    difference = first - second
    # 0.3 - 0.2 and 0.2 - 0.1 are equal scores' differences: without this, rounding would break ties.
    slack = 1e-13 * max(np.abs(first).max(), np.abs(second).max())
    difference = np.where(np.abs(difference) <= slack, 0.0, difference)
    unequal = difference[difference != 0]
    n, size = len(unequal), np.abs(unequal)
    order = np.argsort(size, kind="stable")
    steps = np.diff(size[order], prepend=size[order][:1]) > slack
    groups = np.empty(n)
    groups[order] = np.cumsum(steps)
    ranks = stats.rankdata(groups) if n else np.empty(0)
    positive = float(ranks[unequal > 0].sum())
    total = n * (n + 1) / 2
    p, least, exact = _p_value(ranks, positive)
    walsh = np.sort((difference[:, None] + difference)[np.triu_indices(len(difference))] / 2)
    low, high, reached = _interval(walsh, len(difference), level)
    return {"n_pairs": len(difference), "n_zero": len(difference) - n, "statistic": positive, "p_value": p,
            "least_p": least, "exact": exact, "rank_biserial": (2 * positive - total) / total if n else 0.0,
            "median_difference": float(np.median(difference)), "location": float(np.median(walsh)),
            "interval": (low, high), "interval_level": reached}


def _p_value(ranks: FloatArray, positive: float) -> tuple[float, float, bool]:
    """Two-sided p-value of the signed-rank sum, the least possible one, and whether they are exact."""
    n = len(ranks)
    if not n:
        return 1.0, 1.0, True
    total = ranks.sum()
    if n <= EXACT_PAIRS:
        law = signed_rank_law(np.rint(2 * ranks).astype(np.int64))
        reach = round(2 * min(positive, total - positive))
        return min(1.0, 2 * float(law[:reach + 1].sum())), 2.0 * 0.5**n, True
    spread = math.sqrt(float((ranks**2).sum()) / 4)
    z = max(0.0, abs(positive - total / 2) - 0.5) / spread
    return float(2 * stats.norm.sf(z)), 2.0 * 0.5**n, False


def signed_rank_law(doubled: np.ndarray[Any, np.dtype[np.int64]]) -> FloatArray:
    """Probabilities of the values 0, 1, 2, ... of a sum in which each rank counts with probability 1/2.

    The ranks come doubled, so that midranks are integers. Each step averages two non-negative sequences: the relative
    error stays below n eps.
    """
    law = np.zeros(int(doubled.sum()) + 1)
    law[0], top = 1.0, 0
    for step in doubled.tolist():
        moved = law[:top + 1].copy()
        law[:top + 1] *= 0.5
        law[step:step + top + 1] += 0.5 * moved
        top += step
    return law


def _interval(walsh: FloatArray, n: int, level: float) -> tuple[float, float, float]:
    """Order statistics of the Walsh averages that cover the centre of symmetry with at least `level`, if any do."""
    half = (1 - level) / 2
    if n <= EXACT_PAIRS:
        below = np.cumsum(signed_rank_law(np.arange(1, n + 1)))
        # P(W+ <= k) <= half for the largest k possible; the interval starts at the Walsh average number k + 1.
        k = int(np.searchsorted(below, half * (1 + 1e-12), side="right")) - 1
        k = max(k, 0)
        return float(walsh[k]), float(walsh[len(walsh) - 1 - k]), max(0.0, 1 - 2 * float(below[k]))
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    k = math.floor(n * (n + 1) / 4 - 0.5 + float(stats.norm.ppf(half)) * spread)
    return float(walsh[k]), float(walsh[len(walsh) - 1 - k]), level


def _adjusted(p: FloatArray, correction: str) -> FloatArray:
    """p-values after the correction, in the order given."""
    count = len(p)
    if correction == "none":
        return p
    if correction == "bonferroni":
        return np.minimum(1.0, count * p)
    if correction == "fdr_bh":
        return np.asarray(stats.false_discovery_control(p, method="bh"))
    order = np.argsort(p, kind="stable")
    raised = np.empty(count)
    raised[order] = np.minimum(1.0, np.maximum.accumulate((count - np.arange(count)) * p[order]))
    return raised


def _notes(tests: tuple[PairedTest, ...], correction: str, level: float) -> tuple[str, ...]:
    rate, found = 1 - level, []
    for test in tests:
        name, used = f"{test.first} - {test.second}", test.n_pairs - test.n_zero
        if test.least_p > rate * (1 + 1e-12):
            found.append(f"{name}: {used} unequal pairs cannot give a two-sided p below {test.least_p:.4g}, "
                         f"whatever the scores; {math.ceil(1 - math.log2(rate))} are needed for {rate:.4g}")
        if test.interval_level < level - 1e-12:
            found.append(f"{name}: the widest interval of {test.n_pairs} pairs covers with "
                         f"{test.interval_level:.1%} only")
        if test.n_zero:
            found.append(f"{name}: {test.n_zero} equal pairs are left out of the test")
    least = min(test.least_p for test in tests)
    if correction in ("holm", "bonferroni") and least <= rate < least * len(tests):
        found.append(f"no corrected p can fall below {least * len(tests):.4g} with {len(tests)} comparisons of so few "
                     "pairs")
    return tuple(found)
