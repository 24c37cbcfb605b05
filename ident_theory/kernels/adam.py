"""One step of Adam for many runs in one pass over memory."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


# Sums may be reordered, so that the reduction runs in vector registers; nothing exact rests on this kernel.
@njit(cache=True, fastmath={"reassoc"}, error_model="numpy")
def adam_step(values: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, loss: np.ndarray,
              rates: np.ndarray, factors: np.ndarray, alive: np.ndarray, rate: float, beta1: float, beta2: float,
              count: int, eps: float, decay: float, clip: float) -> None:
    """Move `values`, `first` and `second`, shape (R, P), by Adam; runs whose loss or gradient is not finite stop.

    Parameters
    ----------
    loss : ndarray, shape (R,)
    rates, factors : ndarray, shape (R,)
        The learning rate of a run is the product of its two entries and `rate`.
    alive : ndarray of bool, shape (R,)
        Set to False where the loss or the gradient is not finite; rows that are False are left alone.
    count : int
        Number t >= 1 of this step.
    decay, clip : float
        Weight decay, added after clipping; largest norm of a row of the gradient, infinity for none.
    """
    runs, size = values.shape
    number = values.dtype.type
    one1, one2, kept2 = number(1 - beta1), number(1 - beta2), number(beta2)
    inverse, small, factor = number(1 / math.sqrt(1 - beta2**count)), number(eps), number(decay)
    for r in range(runs):
        if not alive[r]:
            continue
        g, m, v, w = gradient[r], first[r], second[r], values[r]
        total = number(0)
        for i in range(size):
            total += g[i] * g[i]
        if not (np.isfinite(total) and np.isfinite(loss[r])):
            alive[r] = False
            continue
        norm = math.sqrt(total)
        scale = number(clip / norm if norm > clip else 1.0)
        length = number(rates[r] * factors[r] * rate / (1 - beta1**count))
        for i in range(size):
            slope = g[i] * scale + factor * w[i]
            m[i] += one1 * (slope - m[i])
            v[i] = kept2 * v[i] + one2 * slope * slope
            w[i] -= length * m[i] / (np.sqrt(v[i]) * inverse + small)
