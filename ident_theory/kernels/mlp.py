"""Small fully connected networks of many runs: values and gradients, one run at a time in cache.

Every array is C-contiguous. Inside, a batch lies with its rows last, so that the inner loops run along the batch
whatever the widths. A row of `flat` holds the parameters of one run, from some column on: the table (heads, M, out) if
there are conditions, then weights (heads, in, out) and biases (heads, out) of each layer.
"""

from __future__ import annotations

import numpy as np
from numba import njit


# Sums may be reordered, so that reductions run in vector registers; nothing exact rests on these kernels. Rows are
# taken in pairs, so that a number that is read serves twice.
@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def _add_product(w: np.ndarray, start: int, step: int, along: int, x: np.ndarray, count: int, out: np.ndarray,
                 outputs: int) -> None:
    """``out[j] += sum_k w[start + j * step + k * along] x[k]`` for rows j < outputs, k < count."""
    size = x.shape[1]
    spare = np.zeros(size, x.dtype)
    for j in range(0, outputs, 2):
        h0, p = out[j], start + j * step
        h1, q = (out[j + 1], p + step) if j + 1 < outputs else (spare, p)
        k = 0
        while k + 4 <= count:
            a0, a1, a2, a3 = w[p], w[p + along], w[p + 2 * along], w[p + 3 * along]
            b0, b1, b2, b3 = w[q], w[q + along], w[q + 2 * along], w[q + 3 * along]
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            for b in range(size):
                v0, v1, v2, v3 = x0[b], x1[b], x2[b], x3[b]
                h0[b] += a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3
                h1[b] += b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3
            p, q, k = p + 4 * along, q + 4 * along, k + 4
        while k < count:
            a0, b0, x0 = w[p], w[q], x[k]
            for b in range(size):
                h0[b] += a0 * x0[b]
                h1[b] += b0 * x0[b]
            p, q, k = p + along, q + along, k + 1


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def _weight_gradient(x: np.ndarray, count: int, g: np.ndarray, outputs: int, gradient: np.ndarray,
                     start: int) -> None:
    """``gradient[start + k * outputs + j] = x[k] . g[j]``."""
    size = g.shape[1]
    for k in range(0, count, 2):
        other = min(k + 1, count - 1)
        x0, x1 = x[k], x[other]
        p, q = start + k * outputs, start + other * outputs
        j = 0
        while j + 4 <= outputs:
            g0, g1, g2, g3 = g[j], g[j + 1], g[j + 2], g[j + 3]
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = x.dtype.type(0)
            for b in range(size):
                v, w, y0, y1, y2, y3 = x0[b], x1[b], g0[b], g1[b], g2[b], g3[b]
                s0 += v * y0
                s1 += v * y1
                s2 += v * y2
                s3 += v * y3
                t0 += w * y0
                t1 += w * y1
                t2 += w * y2
                t3 += w * y3
            gradient[p + j], gradient[p + j + 1], gradient[p + j + 2], gradient[p + j + 3] = s0, s1, s2, s3
            gradient[q + j], gradient[q + j + 1], gradient[q + j + 2], gradient[q + j + 3] = t0, t1, t2, t3
            j += 4
        while j < outputs:
            g0 = g[j]
            s0 = t0 = x.dtype.type(0)
            for b in range(size):
                s0 += x0[b] * g0[b]
                t0 += x1[b] * g0[b]
            gradient[p + j], gradient[q + j] = s0, t0
            j += 1


@njit(cache=True, error_model="numpy")
def _transposed(x: np.ndarray, out: np.ndarray) -> None:
    for b in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[k, b] = x[b, k]


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def mlp_values(x: np.ndarray, u: np.ndarray, flat: np.ndarray, first: int, widths: np.ndarray, conditions: int,
               slope: float, hidden: np.ndarray, out: np.ndarray) -> None:
    """Values of leaky ReLU networks.

    Parameters
    ----------
    x : ndarray, shape (R, B, widths[0])
    u : ndarray of int64, shape (R, B)
        Read if `conditions` is not 0.
    flat : ndarray, shape (R, P)
    first : int
        Column of `flat` in which the parameters begin.
    widths : ndarray of int64
        Input, hidden, output.
    conditions : int
    slope : float
    hidden : ndarray, shape (R, heads, sum of the hidden widths, B)
        Filled with the values of the hidden layers.
    out : ndarray, shape (R, heads, B, widths[-1])
    """
    runs, heads, size, outputs = out.shape
    layers = len(widths) - 1
    a = flat.dtype.type(slope)
    turned, last = np.empty((widths[0], size), flat.dtype), np.empty((outputs, size), flat.dtype)
    places = np.empty(size, np.int64)
    for r in range(runs):
        w = flat[r, first:]
        _transposed(x[r], turned)
        for c in range(heads):
            offset = heads * conditions * widths[1]
            start = 0
            source = turned
            for k in range(layers):
                before, width = widths[k], widths[k + 1]
                target = last if k == layers - 1 else hidden[r, c, start:start + width]
                bias = offset + heads * before * width + c * width
                for j in range(width):
                    target[j, :] = w[bias + j]
                if k == 0 and conditions:
                    for b in range(size):
                        places[b] = (c * conditions + u[r, b]) * width
                    for j in range(width):
                        for b in range(size):
                            target[j, b] += w[places[b] + j]
                _add_product(w, offset + c * before * width, 1, width, source, before, target, width)
                if k < layers - 1:
                    for j in range(width):
                        h = target[j]
                        for b in range(size):
                            h[b] = h[b] if h[b] > 0 else a * h[b]
                offset += heads * (before + 1) * width
                start += width
                source = target
            for b in range(size):
                for j in range(outputs):
                    out[r, c, b, j] = last[j, b]


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def mlp_gradients(x: np.ndarray, u: np.ndarray, flat: np.ndarray, first: int, widths: np.ndarray, conditions: int,
                  slope: float, hidden: np.ndarray, outer: np.ndarray, gradient: np.ndarray,
                  by_x: np.ndarray) -> None:
    """Gradients of `mlp_values`, whose arguments come first.

    Parameters
    ----------
    outer : ndarray, shape (R, heads, B, widths[-1])
        Gradient with respect to the values.
    gradient : ndarray, shape (R, P)
        Its columns from `first` on are filled with the gradient with respect to those of `flat`.
    by_x : ndarray, shape (R, B, widths[0])
        Filled with the gradient with respect to x unless it is empty.
    """
    runs, heads, size, outputs = outer.shape
    layers, widest = len(widths) - 1, widths.max()
    count = heads * (conditions * widths[1] + ((widths[:-1] + 1) * widths[1:]).sum())
    a = flat.dtype.type(slope)
    turned, inner = np.empty((widths[0], size), flat.dtype), np.empty((widths[0], size), flat.dtype)
    one, other = np.empty((widest, size), flat.dtype), np.empty((widest, size), flat.dtype)
    for r in range(runs):
        w, by_w = flat[r, first:], gradient[r, first:]
        _transposed(x[r], turned)
        inner[:] = 0
        by_w[:heads * conditions * widths[1]] = 0
        for c in range(heads):
            for b in range(size):
                for j in range(outputs):
                    one[j, b] = outer[r, c, b, j]
            g, spare = one, other
            offset, start = count, hidden.shape[2]
            for k in range(layers - 1, -1, -1):
                before, width = widths[k], widths[k + 1]
                offset -= heads * (before + 1) * width
                weight, bias = offset + c * before * width, offset + heads * before * width + c * width
                for j in range(width):
                    by_w[bias + j] = g[j].sum()
                if k == 0:
                    _weight_gradient(turned, before, g, width, by_w, weight)
                    if conditions:
                        for b in range(size):
                            place = (c * conditions + u[r, b]) * width
                            for j in range(width):
                                by_w[place + j] += g[j, b]
                    if by_x.size:
                        _add_product(w, weight, width, 1, g, width, inner, before)
                else:
                    start -= before
                    values = hidden[r, c, start:start + before]
                    _weight_gradient(values, before, g, width, by_w, weight)
                    spare[:before] = 0
                    _add_product(w, weight, width, 1, g, width, spare, before)
                    for j in range(before):
                        h, s = values[j], spare[j]
                        for b in range(size):
                            s[b] = s[b] if h[b] > 0 else a * s[b]
                    g, spare = spare, g
        if by_x.size:
            for b in range(size):
                for k in range(widths[0]):
                    by_x[r, b, k] = inner[k, b]
