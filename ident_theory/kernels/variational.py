"""Samples of factorial normal laws with their divergences, and squared distances: values and gradients in one pass."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def sample_values(both: np.ndarray, std: np.ndarray, noise: np.ndarray, table: np.ndarray, precision: np.ndarray,
                  u: np.ndarray, exact: bool, z: np.ndarray, gap: np.ndarray) -> None:
    r"""``z = mean + std * noise``, and the divergence of its law from a normal one that depends on u.

    Parameters
    ----------
    both : ndarray, shape (R, 2, B, d)
        Means and log-variances.
    std, noise : ndarray, shape (R, B, d)
    table : ndarray, shape (R, T, M, d)
        Log-variances of the other law at each u (T = 1, means zero), or means and log-variances (T = 2).
    precision : ndarray, shape (R, M, d)
        Exponentials of minus its log-variances.
    u : ndarray of int64, shape (R, B)
    exact : bool
        The divergence in closed form; otherwise ``log q(z) - log p(z)``, which has it as mean.
    z : ndarray, shape (R, B, d)
    gap : ndarray, shape (R, B)
        Both filled.
    """
    runs, size, dim = z.shape
    half, one, zero = z.dtype.type(0.5), z.dtype.type(1), z.dtype.type(0)
    last = table.shape[1] - 1
    for r in range(runs):
        for b in range(size):
            m = u[r, b]
            total = zero
            for i in range(dim):
                mean, s, e = both[r, 0, b, i], std[r, b, i], noise[r, b, i]
                value = mean + s * e
                z[r, b, i] = value
                centre = table[r, 0, m, i] if last else zero
                if exact:
                    spread, own = s * s + (mean - centre) ** 2, one
                else:
                    spread, own = (value - centre) ** 2, e * e
                total += table[r, last, m, i] - both[r, 1, b, i] - own + spread * precision[r, m, i]
            gap[r, b] = half * total


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def sample_gradients(both: np.ndarray, std: np.ndarray, noise: np.ndarray, table: np.ndarray, precision: np.ndarray,
                     u: np.ndarray, exact: bool, z: np.ndarray, by_z: np.ndarray, by_gap: np.ndarray,
                     by_both: np.ndarray, by_table: np.ndarray) -> None:
    """Gradients of `sample_values`, whose arguments come first.

    Parameters
    ----------
    by_z, by_gap : ndarray, shapes (R, B, d) and (R, B)
        Gradient with respect to z and gap.
    by_both : ndarray, shape (R, 2, B, d)
        Filled.
    by_table : ndarray, shape (R, T, M, d)
        Filled.
    """
    runs, size, dim = z.shape
    half, one, zero = z.dtype.type(0.5), z.dtype.type(1), z.dtype.type(0)
    last = table.shape[1] - 1
    by_table[:] = 0
    for r in range(runs):
        for b in range(size):
            m, g = u[r, b], by_gap[r, b]
            for i in range(dim):
                s, p = std[r, b, i], precision[r, m, i]
                centre = table[r, 0, m, i] if last else zero
                away = (both[r, 0, b, i] if exact else z[r, b, i]) - centre
                pull = g * away * p
                by_both[r, 0, b, i] = by_z[r, b, i] + pull
                slope = half * s * noise[r, b, i]
                if exact:
                    by_both[r, 1, b, i] = by_z[r, b, i] * slope + half * g * (s * s * p - one)
                    spread = s * s + away * away
                else:
                    by_both[r, 1, b, i] = (by_z[r, b, i] + pull) * slope - half * g
                    spread = away * away
                by_table[r, last, m, i] += half * g * (one - spread * p)
                if last:
                    by_table[r, 0, m, i] -= pull


@njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def squares(x: np.ndarray, y: np.ndarray, factor: float, out: np.ndarray) -> None:
    """``out[r, b] = sum_i (x - y)^2``, for x and y of shape (R, B, n); y becomes ``factor * (y - x)``."""
    slope = x.dtype.type(factor)
    for r in range(x.shape[0]):
        for b in range(x.shape[1]):
            total = x.dtype.type(0)
            for i in range(x.shape[2]):
                away = y[r, b, i] - x[r, b, i]
                total += away * away
                y[r, b, i] = slope * away
            out[r, b] = total
