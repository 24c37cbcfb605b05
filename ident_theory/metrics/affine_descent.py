"""Minimising the distance over affine maps from a start."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_l2 import Loss

#: A map with its squared distance: (value, A, t).
End = tuple[float, FloatArray, FloatArray]
#: Largest entry of the gradient at a stationary point, between whitened mixtures.
STATIONARY = 1e-6
#: Newton steps need a gradient for each of the m^2 + m numbers; this many operations are allowed for all.
NEWTON_OPERATIONS = 2e7


def descend(loss: Loss, matrix: FloatArray, shift: FloatArray, iterations: int) -> End:
    r"""L-BFGS in the chart :math:`A = A_0 L D U`, with unit triangular L, U and :math:`D = e^{\mathrm{diag}(s)}`.

    The determinant keeps the sign of that of the start. The chart is centred anew at the end until that gains nothing.
    """
    m = loss.p.dim
    low, high = np.tril_indices(m, -1), np.triu_indices(m, 1)
    size = len(low[0])

    def chart(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        lower, upper = np.eye(m), np.eye(m)
        lower[low], upper[high] = x[:size], x[size:2 * size]
        return lower, upper, np.exp(np.clip(x[2 * size:2 * size + m], -100.0, 100.0))

    value = loss(matrix, shift)[0]
    while iterations > 0 and math.isfinite(value):
        base = matrix

        def objective(x: FloatArray, base: FloatArray = base) -> tuple[float, FloatArray]:
            lower, upper, scale = chart(x)
            current, by_matrix, by_shift = loss(base @ (lower * scale) @ upper, x[2 * size + m:])
            if not math.isfinite(current):
                return 1e300, np.zeros_like(x)
            pulled = base.T @ by_matrix
            return current, np.concatenate([(pulled @ (scale[:, None] * upper).T)[low],
                                            ((lower * scale).T @ pulled)[high],
                                            np.einsum("ba,bc,ac->a", lower, pulled, upper) * scale, by_shift])

        x0 = np.concatenate([np.zeros(2 * size + m), shift])
        found = minimize(objective, x0, jac=True, method="L-BFGS-B",
                         options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 30, "ftol": 1e-16,
                                  "gtol": 1e-10})
        if not found.fun < value:
            break
        gain, value = value - float(found.fun), float(found.fun)
        lower, upper, scale = chart(found.x)
        matrix, shift = base @ (lower * scale) @ upper, found.x[2 * size + m:]
        iterations -= found.nit
        if gain < 1e-12:
            break
    return value, matrix, shift


def newton(loss: Loss, value: float, matrix: FloatArray, shift: FloatArray) -> End | None:
    """Newton steps on the gradient alone, which stays accurate where differences of values are lost to rounding.

    None when the Hessian, by central differences of the gradient, is not positive definite, when the steps do not end
    at a stationary point with a value no larger, or when the problem is too large.
    """
    m = loss.p.dim
    size = m * m + m
    if loss.p.count * loss.q.count * m * m * size > NEWTON_OPERATIONS:
        return None

    def gradient(x: FloatArray) -> FloatArray:
        _, by_matrix, by_shift = loss(x[:m * m].reshape(m, m), x[m * m:])
        return np.concatenate([by_matrix.ravel(), by_shift])

    x = np.concatenate([matrix.ravel(), shift])
    slope = gradient(x)
    step = 1e-5
    hessian = np.array([(gradient(x + step * e) - gradient(x - step * e)) / (2 * step) for e in np.eye(size)])
    hessian = (hessian + hessian.T) / 2
    values, vectors = np.linalg.eigh(hessian)
    if values[0] <= 1e-8 * values[-1]:
        return None
    better = False
    for _ in range(6):
        moved = x - vectors @ (vectors.T @ slope / values)
        new = gradient(moved)
        if not np.abs(new).max() < 0.5 * np.abs(slope).max():
            break
        x, slope, better = moved, new, True
    if not better or np.abs(slope).max() > STATIONARY:
        return None
    matrix, shift = x[:m * m].reshape(m, m), x[m * m:]
    new_value = loss(matrix, shift)[0]
    return (new_value, matrix, shift) if new_value <= value + 1e-13 else None
