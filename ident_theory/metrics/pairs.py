"""Mean correlation coefficients of many runs: all pairs at once, or each against known sources."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ident_theory.errors import InputError
from ident_theory.metrics.correlation import MCC, Settings, Side, compare, halves
from ident_theory.metrics.latents import columns, generator, positive_int, same_length
from ident_theory.models.value import FloatArray

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class MCCPairs:
    """The MCC of all pairs of runs; ``float(result)`` is the mean.

    Attributes
    ----------
    values : ndarray, shape (R, R)
        Symmetric; NaN on the diagonal, as a run is not compared with itself.
    mean, std : float
        Over the pairs, each once; the standard deviation has divisor n_pairs - 1 (NaN for one pair).
    n_pairs, n_runs : int
        n_pairs = R (R - 1) / 2.
    per_dimension : ndarray, shape (k,)
        Mean over the pairs of the sorted curves; k is the least number of dimensions matched in any pair.
    std_error : float
        Standard error of the mean by the bootstrap over runs; by the jackknife where none was asked for; NaN for two
        runs.
    interval : (float, float) or None
        mean -+ t std_error cut to [0, 1], t the quantile of Student's law with R - 1 degrees of freedom. None for two
        runs.
    std_error_jackknife : float
        That of the U-statistic, leaving out one run at a time; NaN for two runs.
    interval_jackknife : (float, float) or None
    interval_method : str
        What `interval` rests on: ``"bootstrap over runs"``, ``"jackknife over runs"`` or ``"none"``.
    level : float
    n_boot : int
        Bootstrap draws; 0 when there was none.
    kind, correlation, in_sample, n_align, n_score
        As in `MCC`.
    notes : tuple of str
        Conventions that were applied, in words.
    """

    values: FloatArray
    mean: float
    std: float
    n_pairs: int
    n_runs: int
    per_dimension: FloatArray
    std_error: float
    interval: Interval | None
    std_error_jackknife: float
    interval_jackknife: Interval | None
    interval_method: str
    level: float
    n_boot: int
    kind: str
    correlation: str
    in_sample: bool
    n_align: int
    n_score: int
    notes: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.mean

    @property
    def cumulative(self) -> FloatArray:
        """Mean over the best 1, 2, ..., k dimensions of `per_dimension`, shape (k,)."""
        return np.cumsum(self.per_dimension) / np.arange(1, len(self.per_dimension) + 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; None on the diagonal of the values."""
        tree = {name: getattr(self, name) for name in (
            "kind", "correlation", "n_runs", "n_pairs", "mean", "interval", "interval_method",
            "interval_jackknife", "level", "n_boot", "in_sample", "n_align", "n_score")}
        rows = [[None if i == j else value for j, value in enumerate(row)]
                for i, row in enumerate(self.values.tolist())]
        figures = {name: None if math.isnan(getattr(self, name)) else getattr(self, name)
                   for name in ("std", "std_error", "std_error_jackknife")}
        return tree | figures | {"values": rows, "per_dimension": self.per_dimension.tolist(),
                                 "cumulative": self.cumulative.tolist(), "notes": list(self.notes)}

    def __str__(self) -> str:
        spread = "" if self.n_pairs == 1 else f" (standard deviation {self.std:.4f})"
        text = (f"{self.kind} MCC over {self.n_pairs} pair{'s' * (self.n_pairs > 1)} of {self.n_runs} runs: "
                f"mean {self.mean:.4f}{spread}")
        if self.interval is not None:
            text += (f", {self.level:.4g} interval [{self.interval[0]:.4f}, {self.interval[1]:.4f}] by "
                     f"{self.interval_method}")
        where = "in sample" if self.in_sample else f"scored on {self.n_score:,} held-out observations"
        return "\n".join([f"{text}; {self.correlation.capitalize()}, {where}", *self.notes])


def mcc_pairs(runs: Iterable[Any], kind: str = "strong", *, correlation: str = "pearson", split: str | None = None,
              rng: np.random.Generator | None = None, n_boot: int = 2000, level: float = 0.95,
              dimension: int | None = None, constant: str = "error") -> MCCPairs:
    r"""MCC of all pairs of runs, with an interval for the mean that knows that pairs share runs.

    The mean over pairs, :math:`U = \binom R2^{-1} \sum_{i<j} h(Z_i, Z_j)`, is a U-statistic of the R independent runs:
    its variance is of order 1/R, not 1/n_pairs. The bootstrap draws runs with replacement, leaves out pairs of a run
    with itself, and weighs the other pairs by how often they occur; its standard deviation is multiplied by
    sqrt(R / (R - 1)), because a bootstrap of R draws shrinks by that. The jackknife leaves out one run at a time.

    Parameters
    ----------
    runs : iterable of array_like, each (N, d)
        Latents of the same observations in the same order. Numbers of latents may differ.
    kind, correlation, split, dimension, constant
        As in `mcc`; the weak kind aligns by canonical correlations. One split serves all pairs.
    rng : numpy.random.Generator, optional
        Needed for ``split="half"`` and for the bootstrap; without it `interval` is the jackknife's.
    n_boot : int
        Bootstrap draws, 0 for none.
    level : float
        Nominal coverage of the intervals.

    Returns
    -------
    MCCPairs
        With fewer than about ten runs intervals are approximate. Measured at 95% in simulations of 4 to 20 runs: the
        bootstrap covered 88 to 95% where pairs depend on the quality of their runs, 85 to 99.8% where runs fall into
        two solutions; the jackknife 90 to 96% and as little as 50%; the interval that takes the pairs for independent
        34 to 70% in the first case. Where pairs are close to independent, both are too wide.

    Raises
    ------
    InputError
        For fewer than two runs, and whatever `mcc` refuses in some pair.
    """
    settings = Settings(kind, correlation, "cca", constant, dimension)
    positive_int(n_boot, "n_boot", least=0)
    _check_level(level)
    whole = [columns(run, f"runs[{i}]") for i, run in enumerate(_listed(runs))]
    if len(whole) < 2:
        raise InputError(f"mcc_pairs: expected at least two runs, got {len(whole)}")
    same_length(whole)
    fit, score = halves(len(whole[0]), split, rng)
    sides = [Side(item, fit, score) for item in whole]
    count = len(sides)
    values = np.full((count, count), np.nan)
    curves: list[FloatArray] = []
    notes: dict[str, None] = {}
    for i, j in itertools.combinations(range(count), 2):
        found = compare(sides[i], sides[j], settings)
        values[i, j] = values[j, i] = found.value
        curves.append(found.per_dimension)
        notes |= dict.fromkeys(found.notes)
    shortest = min(map(len, curves))
    pairs = values[np.triu_indices(count, 1)]
    jackknife = _jackknife(values)
    draws = n_boot if rng is not None and count > 2 else 0
    error = _bootstrap(values, draws, generator(rng, "the bootstrap")) if draws else jackknife
    mean = float(pairs.mean())
    method = "none" if count == 2 else "bootstrap over runs" if draws else "jackknife over runs"
    extra = [] if count > 5 else [f"{count} runs give no interval" if count == 2 else
                                  f"{count} runs: the interval is approximate, its coverage may fall well short"]
    return MCCPairs(
        values=values, mean=mean, std=float(pairs.std(ddof=1)) if len(pairs) > 1 else math.nan, n_pairs=len(pairs),
        n_runs=count, per_dimension=np.mean([curve[:shortest] for curve in curves], axis=0), std_error=error,
        interval=_interval(mean, error, count, level), std_error_jackknife=jackknife,
        interval_jackknife=_interval(mean, jackknife, count, level), interval_method=method, level=float(level),
        n_boot=draws, kind=kind, correlation=correlation, in_sample=split is None, n_align=len(sides[0].fit),
        n_score=len(sides[0].score), notes=(*notes, *extra))


@dataclass(frozen=True, eq=False)
class MCCAgainst:
    """The MCC of each run with known sources; ``float(result)`` is the mean.

    Attributes
    ----------
    results : tuple of MCC
    values : ndarray, shape (R,)
    mean, std, std_error : float
        Over the runs, which are independent given the sources; NaN spreads for one run.
    interval : (float, float) or None
        By Student's law with R - 1 degrees of freedom, cut to [0, 1]; None for one run.
    level : float
    n_runs : int
    """

    results: tuple[MCC, ...]
    values: FloatArray
    mean: float
    std: float
    std_error: float
    interval: Interval | None
    level: float
    n_runs: int

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        first = self.results[0]
        text = f"{first.kind} MCC of {self.n_runs} runs with the sources: mean {self.mean:.4f}"
        if self.interval is not None:
            text += (f" (standard deviation {self.std:.4f}), {self.level:.4g} interval "
                     f"[{self.interval[0]:.4f}, {self.interval[1]:.4f}]")
        return text


def mcc_against(sources: Any, runs: Iterable[Any], kind: str = "strong", *, correlation: str = "pearson",
                split: str | None = None, rng: np.random.Generator | None = None, level: float = 0.95,
                dimension: int | None = None, alignment: str = "cca", constant: str = "error") -> MCCAgainst:
    """MCC of each run with known sources (N, d); the run is `za` and the sources are `zb` of `mcc`.

    The runs are the independent units here, so the interval for their mean is Student's.

    Raises
    ------
    InputError
        For no runs, and whatever `mcc` refuses.
    """
    settings = Settings(kind, correlation, alignment, constant, dimension)
    _check_level(level)
    truth = columns(sources, "sources")
    whole = [columns(run, f"runs[{i}]") for i, run in enumerate(_listed(runs))]
    if not whole:
        raise InputError("mcc_against: expected at least one run, got none")
    same_length([truth, *whole])
    fit, score = halves(len(truth), split, rng)
    other = Side(truth, fit, score)
    results = tuple(compare(Side(item, fit, score), other, settings) for item in whole)
    values, count = np.array([item.value for item in results]), len(results)
    std = float(values.std(ddof=1)) if count > 1 else math.nan
    error = std / math.sqrt(count)
    return MCCAgainst(results, values, float(values.mean()), std, error,
                      _interval(float(values.mean()), error, count, level), float(level), count)


def _listed(runs: Any) -> list[Any]:
    if isinstance(runs, str | dict) or not isinstance(runs, Iterable):
        raise InputError(f"expected runs as a sequence of arrays (N, d), got {type(runs).__name__}")
    return list(runs)


def _check_level(level: Any) -> None:
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise InputError(f"expected 0 < level < 1, got {level!r}")


def _interval(mean: float, error: float, count: int, level: float) -> Interval | None:
    if math.isnan(error):
        return None
    reach = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return max(0.0, mean - reach), min(1.0, mean + reach)


def _jackknife(values: FloatArray) -> float:
    """Standard error of the mean over pairs, leaving out one run at a time."""
    count = len(values)
    if count < 3:
        return math.nan
    rows = np.nansum(values, axis=1)
    without = (rows.sum() - 2 * rows) / ((count - 1) * (count - 2))
    return float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def _bootstrap(values: FloatArray, draws: int, rng: np.random.Generator) -> float:
    """Standard error of the mean over pairs by runs drawn with replacement."""
    count = len(values)
    table = np.where(np.isnan(values), 0.0, values)
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    weight = count**2 - (times**2).sum(axis=1)
    some = weight > 0  # a draw of one run only holds no pair
    means = np.einsum("bi,bi->b", times @ table, times)[some] / weight[some]
    return float(means.std(ddof=1) * math.sqrt(count / (count - 1))) if some.sum() > 1 else math.nan
