"""Affine pieces of networks of one latent in float64, and moments of truncated normal laws."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import exp_nonpositive

_LOG_SQRT_2PI = 0.9189385332046727
_INV_SQRT_2PI = 0.3989422804014327
_SQRT_HALF = 0.7071067811865476
#: Thirty nodes integrate exp(-a t - t^2 / 2) to rounding while it falls by `_DROP` nats.
_NODES = 0.5 * (np.polynomial.legendre.leggauss(30)[0] + 1.0)
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(30)[1]
_DROP = 42.0
#: Closed forms serve intervals at least so wide that begin at most so far out; others would cancel.
_WIDE, _NEAR = 0.5, 3.0


@nb.njit(cache=True, nogil=True)
def line_pieces(flat: np.ndarray, widths: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Pieces on which a network of one latent is affine.

    Parameters
    ----------
    flat : ndarray, shape (P,)
        Weights (out, in), row by row, and biases of each layer, one layer after the other.
    widths : ndarray of int, shape (L + 1,)
        Latents (1), hidden widths, outputs.
    slope : float
        Negative slope of the activation.

    Returns
    -------
    ends : ndarray, shape (K + 1,)
        Increasing, from -inf to inf. An end is off by rounding; the network is continuous, so that the likelihood
        changes to second order only.
    factors : ndarray, shape (K, H)
        What each hidden unit multiplies its input by on each piece, 1 or `slope`, the first layer first.
    """
    ends = np.array([-np.inf, np.inf])
    hidden = np.ones((1, 1, 2))
    hidden[0, 0, 1] = 0.0
    factors = np.empty((1, 0))
    start = 0
    for layer in range(len(widths) - 2):
        inputs, outputs = widths[layer], widths[layer + 1]
        weight = flat[start:start + inputs * outputs].reshape(outputs, inputs)
        bias = flat[start + inputs * outputs:start + (inputs + 1) * outputs]
        start += (inputs + 1) * outputs
        most = len(hidden) * (outputs + 1)
        new_ends = np.empty(most + 1)
        new_ends[0] = -np.inf
        new_hidden, new_factors = np.empty((most, outputs, 2)), np.empty((most, factors.shape[1] + outputs))
        count = 0
        roots, lines = np.empty(outputs + 1), np.empty((outputs, 2))
        for k in range(len(hidden)):
            cuts = 0
            for o in range(outputs):
                a, c = 0.0, bias[o]
                for i in range(inputs):
                    a += weight[o, i] * hidden[k, i, 0]
                    c += weight[o, i] * hidden[k, i, 1]
                lines[o, 0], lines[o, 1] = a, c
                if a != 0.0 and ends[k] < -c / a < ends[k + 1]:
                    roots[cuts] = -c / a
                    cuts += 1
            roots[cuts] = ends[k + 1]
            roots[:cuts] = np.sort(roots[:cuts])
            for cut in range(cuts + 1):
                low, high = new_ends[count], roots[cut]
                if not low < high:
                    continue
                middle = 0.5 * low + 0.5 * high
                if low == -np.inf:
                    middle = high - 1.0 - abs(high) if high < np.inf else 0.0
                elif high == np.inf:
                    middle = low + 1.0 + abs(low)
                new_factors[count, :factors.shape[1]] = factors[k]
                for o in range(outputs):
                    factor = 1.0 if lines[o, 0] * middle + lines[o, 1] > 0.0 else slope
                    new_hidden[count, o] = factor * lines[o]
                    new_factors[count, factors.shape[1] + o] = factor
                count += 1
                new_ends[count] = high
        ends, hidden, factors = new_ends[:count + 1].copy(), new_hidden[:count].copy(), new_factors[:count].copy()
    return ends, factors


@nb.njit(cache=True, nogil=True)
def interval_moments(low: float, high: float) -> tuple[float, float, float]:
    """Log mass, mean and variance of the standard normal law on an interval, low < high, infinite ends allowed.

    Relative errors of about 1e-14, however far out or narrow the interval is.
    """
    if low == -np.inf and high == np.inf:
        return 0.0, 0.0, 1.0
    if low + high < 0.0:
        log_mass, mean, variance = interval_moments(-high, -low)
        return log_mass, -mean, variance
    if high - low >= _WIDE and low <= _NEAR:
        left, right = _INV_SQRT_2PI * math.exp(-0.5 * low * low), 0.0
        if low < 0.0:
            mass = 0.5 * (math.erf(high * _SQRT_HALF) - math.erf(low * _SQRT_HALF))
        else:
            mass = 0.5 * (math.erfc(low * _SQRT_HALF) - math.erfc(high * _SQRT_HALF))
        moment = low * left
        if high < np.inf:
            right = _INV_SQRT_2PI * math.exp(-0.5 * high * high)
            moment -= high * right
        mean = (left - right) / mass
        return math.log(mass), mean, max(1.0 + moment / mass - mean * mean, 0.0)
    reach = 2.0 * _DROP / (low + math.sqrt(low * low + 2.0 * _DROP))
    reach = min(high - low, reach)
    total, first, second = _sums(low, reach)
    return math.log(reach * total) - 0.5 * low * low - _LOG_SQRT_2PI, low + first, second


# Sums may be reordered, so that the loops run in vector registers.
@nb.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _sums(low: float, reach: float) -> tuple[float, float, float]:
    """Mean of exp(-low t - t^2 / 2) over t in (0, reach); mean and variance of t under it."""
    values = np.empty(_NODES.size)
    rise, total, first, second = max(0.0, -reach * low), 0.0, 0.0, 0.0
    for i in range(_NODES.size):
        t = reach * _NODES[i]
        values[i] = _WEIGHTS[i] * exp_nonpositive(-t * (low + 0.5 * t) - rise)
        total += values[i]
        first += values[i] * t
    first /= total
    for i in range(_NODES.size):
        second += values[i] * (reach * _NODES[i] - first) ** 2
    return total * math.exp(rise), first, second / total
