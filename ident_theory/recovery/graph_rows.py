"""Which components give a latent the same law, when the numbers are rounded or estimated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2, norm

from ident_theory.errors import InputError
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import FloatArray
from ident_theory.recovery.estimates import MixtureEstimate
from ident_theory.recovery.graph_tables import Labels


@dataclass(frozen=True)
class Merged:
    """Laws of the coordinates, those that are close enough taken as equal.

    Attributes
    ----------
    labels : ndarray of int, shape (m, J)
        Equal labels of a coordinate: equal laws.
    chain : tuple (t, a, b) or None
        A coordinate and two components whose laws are too far apart to be equal, though a chain of others, each
        close to the next, leads from one to the other.
    margins : (float, float)
        The largest distance between laws taken as equal (0 without any) and the least between laws taken as different
        (infinite without any), in units of the largest that counts as equal.
    """

    labels: Labels
    chain: tuple[int, int, int] | None
    margins: tuple[float, float]


def merged(distances: FloatArray) -> Merged:
    """Classes of laws at distance at most one, distances of shape (m, J, J)."""
    labels = np.empty(distances.shape[:2], dtype=np.int64)
    chain, inner, outer = None, 0.0, float("inf")
    for t, row in enumerate(distances):
        labels[t] = connected_components(row <= 1, directed=False)[1]
        same = labels[t][:, None] == labels[t]
        inner = max(inner, float(row[same].max()))
        outer = min(outer, float(row[~same].min(initial=np.inf)))
        if chain is None and (row[same] > 1).any():
            a, b = (int(i) for i in np.argwhere(same & (row > 1))[0])
            chain = (t, a, b)
    return Merged(labels, chain, (inner, outer))


def averaged(values: FloatArray, labels: Labels, weights: FloatArray) -> FloatArray:
    """Values (J, m) with those of one class, labels (m, J), replaced by their weighted average."""
    rows = np.empty_like(values)
    for t, row in enumerate(labels):
        rows[:, t] = (np.bincount(row, weights * values[:, t]) / np.bincount(row, weights))[row]
    return rows


def tolerance_distances(means: FloatArray, variances: FloatArray, tolerance: float) -> FloatArray:
    """Distances of laws in units of a tolerance: that of means in overall standard deviations of the coordinate, that
    of variances relative to the larger one; (J, m) each -> (m, J, J)."""
    scale = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    shifts = np.abs(means[:, None] - means[None]) / np.where(scale > 0, scale, 1.0)
    larger = np.maximum(variances[:, None], variances[None])
    spreads = np.abs(variances[:, None] - variances[None]) / np.where(larger > 0, larger, 1.0)
    return np.asarray(np.maximum(shifts, spreads).transpose(2, 0, 1) / tolerance)


def clear_correlation(mixture: GaussianMixture, tolerance: float) -> tuple[int, int, int] | None:
    """A component and two coordinates with a correlation above the tolerance."""
    for j, matrix in enumerate(mixture.covariances):
        roots = np.sqrt(np.diag(matrix))
        bound = tolerance * np.outer(roots, roots)
        np.fill_diagonal(bound, np.inf)
        if mixture.weights_exact[j] > 0 and (np.abs(matrix) > bound).any():
            s, t = (int(i) for i in np.argwhere(np.abs(matrix) > bound)[0])
            return j, s, t
    return None


class EstimatedRows:
    """Means and variances of the coordinates of an estimate, with their sampling covariance and the test of equality.

    Parameters
    ----------
    estimate : MixtureEstimate
    live : sequence of int
        Components of positive weight.
    level : float
        Probability that some laws which are equal are taken for different, at most (Bonferroni over all pairs of
        components and coordinates; normal errors).
    """

    def __init__(self, estimate: MixtureEstimate, live: list[int], level: float) -> None:
        self.estimate, self.live = estimate, live
        mixture = estimate.mixture
        self.means = mixture.means[live]
        self.variances = np.einsum("jtt->jt", mixture.covariances[live])
        if (self.variances <= 0).any():
            j, t = (int(i) for i in np.argwhere(self.variances <= 0)[0])
            raise InputError(f"latent_graph: expected positive variances in an estimate, got "
                             f"covariances[{live[j]}][{t}][{t}] = 0")
        count, size = self.means.shape
        pairs = max(1, size * count * (count - 1) // 2)
        self.level, self.threshold = level, float(chi2.isf(level / pairs, 2))
        if estimate.replicates:
            draws = [self._read(item.means, item.covariances) for item in estimate.replicates]
            self.centre = np.mean([draw[0] for draw in draws], axis=0), np.mean([draw[1] for draw in draws], axis=0)
            self.errors = [np.cov(np.concatenate([[draw[0][:, t] for draw in draws],
                                                  [draw[1][:, t] / self.variances[:, t] for draw in draws]], axis=1).T)
                           for t in range(size)]
        else:
            counts = estimate.counts[live]
            self.centre = self.means, self.variances
            self.errors = [np.diag(np.concatenate([self.variances[:, t] / counts, 2 / counts])) for t in range(size)]

    def merge(self, means: FloatArray, variances: FloatArray) -> Merged:
        """Classes of laws, for means and variances of shape (J, m)."""
        return merged(np.stack([self._distances(t, means[:, t], np.log(variances[:, t]))
                                for t in range(means.shape[1])]))

    def draw(self, means: FloatArray, variances: FloatArray, rng: np.random.Generator) -> Merged:
        """Classes of laws after sampling errors like those of the estimate on these means and variances."""
        _, drawn, covariances = self.estimate.draw_arrays(rng)
        shift, spread = self._read(drawn, covariances)
        ratio = np.maximum(spread / self.centre[1], np.finfo(float).tiny)
        return self.merge(means + shift - self.centre[0], variances * ratio)

    def dependence(self) -> tuple[int, int, int, float] | None:
        """Component, two coordinates and p-value where independence given U is rejected at the level (Bonferroni)."""
        size = self.means.shape[1]
        upper = np.triu_indices(size, 1)
        tests = max(1, len(upper[0]) * len(self.live))
        for j in self.live:
            values = self.estimate.mixture.covariances[j][upper]
            if not values.any():
                continue
            square = self.estimate.covariance_covariance(j)[upper[0], upper[1], upper[0], upper[1]]
            with np.errstate(divide="ignore", invalid="ignore"):
                scores = np.where(values != 0, np.abs(values) / np.sqrt(square), 0.0)
            worst = int(np.argmax(scores))
            p_value = float(min(1.0, 2 * tests * norm.sf(scores[worst])))
            if p_value < self.level:
                return j, int(upper[0][worst]), int(upper[1][worst]), p_value
        return None

    def _read(self, means: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
        return means[self.live], np.einsum("jtt->jt", covariances[self.live])

    def _distances(self, t: int, means: FloatArray, logs: FloatArray) -> FloatArray:
        """Chi-square statistics of two degrees of freedom for equal mean and variance, over the threshold."""
        count = len(means)
        errors = self.errors[t]
        blocks = {(a, b): errors[a * count:(a + 1) * count, b * count:(b + 1) * count] for a in (0, 1) for b in (0, 1)}
        covariance = {key: np.diag(block)[:, None] + np.diag(block)[None] - block - block.T
                      for key, block in blocks.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = [np.where(gap == 0, 0.0, gap / np.sqrt(covariance[i, i]))
                      for i, gap in enumerate((means[:, None] - means, logs[:, None] - logs))]
            link = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        link = np.clip(np.nan_to_num(link), -1 + 1e-9, 1 - 1e-9)
        finite = np.isfinite(scores[0]) & np.isfinite(scores[1])
        a, b = (np.where(finite, score, 0.0) for score in scores)
        statistic = (a**2 - 2 * link * a * b + b**2) / (1 - link**2)
        return np.asarray(np.where(finite, statistic, np.inf) / self.threshold)
