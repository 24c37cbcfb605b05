"""Error bars of an unmixing: tests on what is left off the diagonals, on equal ratios, standard errors, bootstrap."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2, norm

from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import FloatArray
from ident_theory.recovery.estimates import MixtureEstimate
from ident_theory.recovery.factorial_exact import pivot_of
from ident_theory.recovery.factorial_joint import refine, sensitivities, start, tied_pairs

#: A residual whose variance is this far below that of a free covariance is zero by construction, up to rounding.
_FREE = 1e-9


class EstimatedBasis:
    """An estimated basis W = A'^-1 and the first-order effect of the input's errors on it.

    Parameters
    ----------
    estimate : MixtureEstimate
    used : sequence of int
        The components that W makes diagonal.
    columns, rows : ndarray, shape (m, m)
        A' and W.
    images : ndarray, shape (J, m, m)
        W S_j W^T of the components used.
    """

    def __init__(self, estimate: MixtureEstimate, used: Sequence[int], columns: FloatArray, rows: FloatArray,
                 images: FloatArray) -> None:
        self.estimate, self.used, self.columns, self.rows = estimate, list(used), columns, rows
        self.weights, self.images = estimate.counts[self.used], images
        self.variances = np.einsum("jss->sj", self.images)
        self.k = sensitivities(self.variances, self.weights)

    def diagonal_p_value(self) -> float:
        """P-value of the hypothesis that one basis makes all components diagonal: Bonferroni over the residuals.

        Each residual covariance F_j,st divided by its standard error is normal to first order, the fit of C allowed
        for. Two components can always be made diagonal together, so the value is one for them.
        """
        count, size = len(self.used), len(self.rows)
        if count < 3 or size < 2:
            return 1.0
        worst, tests = 0.0, 0
        for s, t in itertools.combinations(range(size), 2):
            share = np.eye(count) - np.outer(self.variances[t], self.k[s, t]) \
                - np.outer(self.variances[s], self.k[t, s])
            variance = self._variance(share[:, :, None, None] * np.outer(self.rows[s], self.rows[t]))
            free = self._variance(np.eye(count)[:, :, None, None] * np.outer(self.rows[s], self.rows[t]))
            real = variance > _FREE * free
            tests += int(real.sum())
            if real.any():
                worst = max(worst, float((np.abs(self.images[real, s, t]) / np.sqrt(variance[real])).max()))
        return float(min(1.0, 2 * tests * norm.sf(worst)))

    def separation_p_values(self) -> FloatArray:
        """P-values of the hypotheses that coordinates s and t have variances in one proportion, shape (m, m).

        With h_j = log v_sj - log v_tj, the weighted sum of squares of h_j about their mean is compared with chi-square
        of 2 (J - 1) degrees of freedom: under the hypothesis no direction in the plane of s and t is special, and the
        fit has turned all deviation of the covariances from one proportion, on and off the diagonal, into ratios.
        """
        size, count = self.variances.shape
        values = np.zeros((size, size))
        for s, t in itertools.combinations(range(size), 2):
            squares = [np.outer(self.rows[i], self.rows[i]) / self.variances[i][:, None, None] for i in (s, t)]
            derivative = np.zeros((count, count, size, size))
            derivative[np.arange(count), np.arange(count)] = squares[0] - squares[1]
            precision = 1 / self._variance(derivative)
            logs = np.log(self.variances[s] / self.variances[t])
            centred = logs - precision @ logs / precision.sum()
            values[s, t] = values[t, s] = chi2.sf(precision @ centred**2, 2 * (count - 1)) if count > 1 else 1.0
        return values

    def standard_errors(self) -> FloatArray:
        """Standard errors of the entries of A', shape (m, m), the largest entry of each column being held at one.

        Infinite in columns whose ratios are equal to those of another, up to rounding.
        """
        size = len(self.rows)
        errors = np.zeros((size, size))
        tied = tied_pairs(self.variances, self.weights)
        for s in range(size):
            pivot = pivot_of(np.abs(self.columns[:, s]).tolist())
            weight = self.columns - np.outer(self.columns[:, s], self.columns[pivot])
            effect = np.einsum("it,tj,ta->ija", weight, self.k[:, s], self.rows)
            errors[:, s] = np.sqrt(self._variance(effect[..., None] * self.rows[s]))
            if tied[s].any():
                errors[np.arange(size) != pivot, s] = np.inf
        return errors

    def _variance(self, derivative: FloatArray) -> FloatArray:
        """Sampling variance of functions with these derivatives by the covariances of the used components."""
        full = np.zeros((*derivative.shape[:-3], self.estimate.mixture.n_components, *derivative.shape[-2:]))
        full[..., self.used, :, :] = derivative
        return self.estimate.variance(covariances=full)

    def replicate(self, rng: np.random.Generator) -> tuple[FloatArray, bool, GaussianMixture]:
        """Unmix one bootstrap draw from scratch and put it in the order, signs and scales of the basis.

        Returns
        -------
        columns : ndarray, shape (m, m)
        same : bool
            Every column lies closer to its own column of the basis than to the span of the others, in units of the
            standard deviations of the latents: the permutation is beyond doubt.
        mixture : GaussianMixture
            The draw, unmixed.
        """
        weights, means, covariances = self.estimate.draw_arrays(rng)
        images = self.rows @ covariances[self.used] @ self.rows.T
        mass = np.maximum(weights[self.used], np.finfo(float).tiny)
        first = start(images, mass)
        rows = refine(first @ images @ first.T, mass) @ first
        spread = np.sqrt(self.variances @ self.weights / self.weights.sum())
        turn = np.linalg.inv(rows) / spread[:, None]
        turn /= np.linalg.norm(turn, axis=0)
        order = linear_sum_assignment(-np.abs(turn))[1]
        turn = turn[:, order]
        same = bool((np.diag(turn)**2 > 0.5).all())
        columns = self.columns @ (spread[:, None] * turn)
        pivots = [pivot_of(sizes) for sizes in np.abs(self.columns).T.tolist()]
        columns = columns / columns[pivots, np.arange(len(pivots))]
        back = np.linalg.inv(columns)
        unmixed = back @ covariances @ back.T
        unmixed = (unmixed + unmixed.transpose(0, 2, 1)) / 2
        for j in self.used:
            unmixed[j] = np.diag(np.diag(unmixed[j]))
        return columns, same, GaussianMixture(weights, means @ back.T, unmixed,
                                              states=self.estimate.mixture.states)
