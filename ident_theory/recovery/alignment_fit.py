"""Least squares for an affine map between mixtures whose components are matched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_l2 import Parts

#: Relative eigenvalues of the normal matrix below this count as directions that the data leave open.
OPEN = 1e-12


@dataclass(frozen=True)
class Matched:
    r"""Matched components: images of the first should be the second.

    The objective is

    .. math:: R(A, t) = \sum_j \omega_j \left( |G_j (A \mu_j + t - \nu_j)|^2
              + \tfrac12 \|G_j (A \Sigma_j A^T - \Gamma_j) G_j^T\|_F^2 \right),

    with :math:`G_j^T G_j` the inverse of Gamma_j (then R is to second order twice the sum of the Kullback-Leibler
    divergences of the components), or that of the target's whole covariance when a Gamma_j is singular.

    Attributes
    ----------
    means, covariances, target_means, target_covariances : ndarray, shapes (n, m) and (n, m, m)
    weights : ndarray, shape (n,)
        :math:`\omega_j = 2 w_j v_j / (w_j + v_j)`, the precision of a difference of two estimates.
    metrics : ndarray, shape (n, m, m)
        G_j.
    """

    means: FloatArray
    covariances: FloatArray
    target_means: FloatArray
    target_covariances: FloatArray
    weights: FloatArray
    metrics: FloatArray


def matched(p: Parts, q: Parts, pairs: Sequence[tuple[int, int]], metric: FloatArray | None = None) -> Matched:
    """The matched components; with the metric of the components unless one for all is given."""
    rows, columns = np.array(pairs).T
    w, v = p.weights[rows], q.weights[columns]
    target = q.covariances[columns]
    metrics = np.linalg.inv(np.linalg.cholesky(target)) if metric is None else np.broadcast_to(metric, target.shape)
    return Matched(p.means[rows], p.covariances[rows], q.means[columns], target, 2 * w * v / (w + v), metrics)


def residuals(data: Matched, matrix: FloatArray, shift: FloatArray) -> FloatArray:
    """Residuals, shape (n, m + m (m + 1) / 2); their squares sum to R."""
    m = len(matrix)
    rows, columns = np.tril_indices(m)
    gaps = np.einsum("jab,jb->ja", data.metrics, data.means @ matrix.T + shift - data.target_means)
    spread = data.metrics @ (matrix @ data.covariances @ matrix.T - data.target_covariances) \
        @ data.metrics.transpose(0, 2, 1)
    packed = spread[:, rows, columns] * np.where(rows == columns, math.sqrt(0.5), 1.0)
    return np.sqrt(data.weights)[:, None] * np.concatenate([gaps, packed], axis=1)


def jacobian(data: Matched, matrix: FloatArray) -> FloatArray:
    """Derivatives of the residuals by A (row by row) and t, shape (n, m + m (m + 1) / 2, m m + m)."""
    m, count = len(matrix), len(data.weights)
    rows, columns = np.tril_indices(m)
    scale = np.where(rows == columns, math.sqrt(0.5), 1.0)
    pulled = data.metrics @ matrix @ data.covariances
    g = data.metrics
    by_matrix = np.einsum("jpc,jpd->jpcd", g[:, rows], pulled[:, columns])
    by_matrix += np.einsum("jpc,jpd->jpcd", g[:, columns], pulled[:, rows])
    top = np.einsum("jac,jd->jacd", g, data.means).reshape(count, m, m * m)
    first = np.concatenate([top, g], axis=2)
    second = np.concatenate([(by_matrix * scale[:, None, None]).reshape(count, len(rows), m * m),
                             np.zeros((count, len(rows), m))], axis=2)
    return np.sqrt(data.weights)[:, None, None] * np.concatenate([first, second], axis=1)


def _curvature(data: Matched, matrix: FloatArray) -> FloatArray:
    """What the Hessian of R / 2 has beyond J^T J, shape (m m + m, m m + m): the covariances are quadratic in A."""
    size = matrix.size
    gaps = data.metrics @ (matrix @ data.covariances @ matrix.T - data.target_covariances) \
        @ data.metrics.transpose(0, 2, 1)
    pulled = data.metrics.transpose(0, 2, 1) @ gaps @ data.metrics
    full = np.zeros((size + len(matrix), size + len(matrix)))
    full[:size, :size] = np.einsum("j,jce,jdf->cdef", data.weights, pulled, data.covariances,
                                   optimize=True).reshape(size, size)
    return full


def refine(data: Matched, matrix: FloatArray, shift: FloatArray, steps: int = 100,
           tolerance: float = 1e-15) -> tuple[FloatArray, FloatArray, float]:
    """Minimise R by damped Newton steps from a start, by Gauss-Newton steps where R is not convex: A, t and R."""
    m = len(matrix)
    current = residuals(data, matrix, shift).ravel()
    value, damping = float(current @ current), 1e-8
    for _ in range(steps):
        slope = jacobian(data, matrix).reshape(-1, m * m + m)
        normal, gradient = slope.T @ slope, slope.T @ current
        whole = normal + _curvature(data, matrix)
        if np.linalg.eigvalsh(whole)[0] > 0:
            normal = whole
        scale = np.diag(normal) + np.finfo(float).tiny
        while damping < 1e8:
            step = np.linalg.solve(normal + damping * np.diag(scale + scale.mean()), gradient)
            new_matrix, new_shift = matrix - step[:m * m].reshape(m, m), shift - step[m * m:]
            new = residuals(data, new_matrix, new_shift).ravel()
            new_value = float(new @ new)
            if new_value <= value:
                break
            damping *= 10
        else:
            return matrix, shift, value
        size = float(np.abs(step).max() / (np.abs(matrix).max() + np.abs(shift).max()))
        gain = value - new_value
        matrix, shift, current, value = new_matrix, new_shift, new, new_value
        damping = max(damping / 10, 1e-14)
        if size < tolerance or (gain <= tolerance * value and size < 1e-10):
            break
    return matrix, shift, value


def open_directions(normal: FloatArray) -> tuple[FloatArray, float]:
    """Eigenvectors (k, m m + m) along which the data leave the map open, and the condition number of the rest."""
    values, vectors = np.linalg.eigh(normal)
    still = values < OPEN * values[-1]
    kept = values[~still]
    return vectors[:, still].T, math.sqrt(float(kept[-1] / kept[0]))
