"""Distances of two laws that are known by samples only: energy distance and sliced Wasserstein distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.metrics.latents import Columns, columns, generator, positive_int
from ident_theory.models.value import FloatArray

#: Entries of a block of distances, 32 MB.
BLOCK_ENTRIES = 1 << 22
#: Differences between statistics below this part of the mean distance are rounding, and count as ties.
ROUNDING = 1e-12


@dataclass(frozen=True)
class EnergyDistance:
    """Energy distance of two samples; ``float(result)`` is `distance`.

    Attributes
    ----------
    statistic : float
        2 E|X - Y| - E|X - X'| - E|Y - Y'|; with the unbiased estimator it can be negative.
    distance : float
        Square root of the statistic, 0 where that is negative: the convention of `scipy.stats.energy_distance`.
    unbiased : bool
        Whether the means within a sample leave out the pairs of a point with itself (U-statistic) or not (V).
    n_x, n_y : int
        Sample sizes.
    p_value : float or None
        Of the permutation test that both samples come from one law.
    n_permutations : int
    """

    statistic: float
    distance: float
    unbiased: bool
    n_x: int
    n_y: int
    p_value: float | None = None
    n_permutations: int = 0

    def __float__(self) -> float:
        return self.distance

    def __str__(self) -> str:
        kind = "U-statistic, unbiased" if self.unbiased else "V-statistic"
        tail = "" if self.p_value is None else f"; p = {self.p_value:.4g} ({self.n_permutations:,} permutations)"
        return f"energy distance {self.distance:.6g} ({kind}, {self.n_x:,} and {self.n_y:,} observations){tail}"


def energy_distance(x: Any, y: Any, *, unbiased: bool = False, n_permutations: int = 0,
                    rng: np.random.Generator | None = None) -> EnergyDistance:
    r"""Energy distance :math:`\sqrt{2E|X-Y| - E|X-X'| - E|Y-Y'|}` of two samples in :math:`R^d`.

    Zero between two laws with finite means only when they are equal (Szekely and Rizzo 2013). Takes
    O((N + M)^2 d) time, and memory for one block of distances and the labels of the permutations. The statistic is a
    difference of means of distances: its rounding error is of the order of 1e-15 of the mean distance.

    Parameters
    ----------
    x, y : array_like, shapes (N, d) and (M, d)
        Independent draws. The scales of the coordinates matter: standardise them first if they have no common unit.
    unbiased : bool
        False: V-statistic, which is never negative, and of mean above 0 for equal laws; True: U-statistic.
    n_permutations : int
        Draws of the permutation test, 0 for none; its p-value is (1 + number at least as large) / (1 + draws),
        valid for samples of any size.
    rng : numpy.random.Generator, optional
        Needed for the test.

    Raises
    ------
    InputError
        For different numbers of columns, entries that are not finite, fewer than two draws on a side.
    """
    a, b = _samples(x, y, least=2)
    draws = positive_int(n_permutations, "n_permutations", least=0)
    pooled, scale = _scaled(a, b)
    size, first = len(pooled), len(a)
    labels = np.zeros((1 + draws, size))
    labels[0, :first] = 1.0
    if draws:
        order = generator(rng, "the permutation test")
        for row in labels[1:]:
            row[order.permutation(size)[:first]] = 1.0
    others = 1.0 - labels
    within_x, within_y, across, total = np.zeros(1 + draws), np.zeros(1 + draws), np.zeros(1 + draws), 0.0
    step = max(1, BLOCK_ENTRIES // size)
    for start in range(0, size, step):
        stop = min(size, start + step)
        block = cdist(pooled[start:stop], pooled[start:])
        block[:, stop - start:] *= 2  # distances are symmetric: those before the block are known
        total += float(block.sum())
        to_x, to_y = block @ labels[:, start:].T, block @ others[:, start:].T
        of_x, of_y = labels[:, start:stop].T, others[:, start:stop].T
        # Three sums of non-negative terms; differences would lose digits where one sample is much smaller.
        within_x += (of_x * to_x).sum(axis=0)
        within_y += (of_y * to_y).sum(axis=0)
        across += (of_x * to_y + of_y * to_x).sum(axis=0) / 2
    other = size - first
    pairs_x, pairs_y = (first * (first - 1), other * (other - 1)) if unbiased else (first**2, other**2)
    statistics = 2 * across / (first * other) - within_x / pairs_x - within_y / pairs_y
    if not unbiased:
        statistics = np.maximum(statistics, 0.0)  # the V-statistic is not negative: what lies below is rounding
    slack = ROUNDING * total / size**2
    extreme = int((statistics[1:] >= statistics[0] - slack).sum())
    value = float(statistics[0])
    return EnergyDistance(value * scale, math.sqrt(max(0.0, value)) * math.sqrt(scale), bool(unbiased), first, other,
                          (1 + extreme) / (1 + draws) if draws else None, draws)


@dataclass(frozen=True)
class SlicedWasserstein:
    """Sliced Wasserstein distance of two samples; ``float(result)`` is its value.

    Attributes
    ----------
    value : float
        (mean over directions of W_p^p)^(1/p).
    std_error : float
        Monte Carlo standard error of the value over the directions alone (delta method); what another sample
        would change is not in it.
    p : float
    n_projections : int
    n_x, n_y : int
        Sample sizes.
    """

    value: float
    std_error: float
    p: float
    n_projections: int
    n_x: int
    n_y: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return (f"sliced Wasserstein distance {self.value:.6g} +- {self.std_error:.2g} (p = {self.p:g}, "
                f"{self.n_projections:,} directions; {self.n_x:,} and {self.n_y:,} observations)")


def sliced_wasserstein(x: Any, y: Any, *, p: float = 2, n_projections: int = 200,
                       rng: np.random.Generator) -> SlicedWasserstein:
    r"""Sliced Wasserstein distance :math:`(E_\theta W_p^p(\theta^T X, \theta^T Y))^{1/p}` of two samples.

    Directions are uniform on the sphere and drawn with `rng`; the distances on the line are exact (POT).

    Parameters
    ----------
    x, y : array_like, shapes (N, d) and (M, d)
    p : float
        At least 1.
    n_projections : int
        At least 2, for the standard error.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        For different numbers of columns, entries that are not finite, or options out of range.
    UnsupportedError
        When POT is not installed.
    """
    a, b = _samples(x, y, least=1)
    if isinstance(p, bool) or not isinstance(p, int | float | np.floating) or not 1 <= p < math.inf:
        raise InputError(f"expected a finite p >= 1, got p={p!r}")
    count = positive_int(n_projections, "n_projections", least=2)
    directions = generator(rng, "sliced_wasserstein").normal(size=(a.width, count))
    directions /= np.linalg.norm(directions, axis=0)
    try:
        import ot  # it imports torch where that is installed, so not before it is needed
    except ImportError as error:
        raise UnsupportedError("sliced_wasserstein needs POT, which is not installed; run: "
                               "pip install 'ident_theory[transport]'") from error
    pooled, scale = _scaled(a, b)
    _, log = ot.sliced_wasserstein_distance(pooled[:len(a)], pooled[len(a):], p=float(p), projections=directions,
                                            log=True)
    powers = np.asarray(log["projected_emds"], dtype=np.float64)
    mean = float(powers.mean())
    value = mean ** (1 / p)
    spread = float(powers.std(ddof=1)) / math.sqrt(count) * (value / (p * mean) if mean > 0 else 0.0)
    return SlicedWasserstein(value * scale, spread * scale, float(p), count, len(a), len(b))


def _samples(x: Any, y: Any, least: int) -> tuple[Columns, Columns]:
    a, b = columns(x, "x"), columns(y, "y")
    if a.width != b.width:
        raise InputError(f"expected two samples of the same space, found x of shape {a.values.shape} and y of shape "
                         f"{b.values.shape}")
    for side in (a, b):
        if len(side) < least:
            raise InputError(f"{side.name}: expected at least {least} observations, found {len(side)}")
    return a, b


def _scaled(a: Columns, b: Columns) -> tuple[FloatArray, float]:
    """Both samples, one below the other, divided by a power of two so that no square or power overflows."""
    pooled = np.ascontiguousarray(np.vstack([a.values, b.values]))
    largest = float(np.abs(pooled).max())
    scale = 2.0 ** math.floor(math.log2(largest)) if largest > 0 else 1.0
    return pooled / scale, scale
