"""Logarithms of many mixtures over one table of component densities: the inner loop of the search."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import exp_nonpositive

#: Component densities further than this below the largest at a node (in nats) are summed in logs.
DEEP = 600.0
_LN2_HI = 6.93147180369123816490e-01
_LN2_LO = 1.90821492927058770002e-10
#: P interpolates (2 artanh(s) - 2 s) / s^3 in the Chebyshev points of z in [0, 0.0295]; z P(z) is off by 1e-17 at most.
_C = (0.666666666666667, 0.39999999999899505, 0.28571428625975487, 0.2222221113479508, 0.18182889125261723,
      0.15331721600556042, 0.14616449685043406)
#: Bits of sqrt(1/2): mantissas are brought into [sqrt(1/2), sqrt(2)).
_ROOT_HALF = 0x3FE6A09E667F3BCD


@nb.njit(error_model="numpy", nogil=True, cache=True)
def rescale(logs: np.ndarray, densities: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Densities relative to the largest component at each node; returns the deep nodes.

    Parameters
    ----------
    logs : ndarray, shape (C, Q)
    densities : ndarray, shape (C, Q)
        Receives exp(logs - scale).
    scale : ndarray, shape (Q,)
        Receives the largest log density of each node.
    """
    components, nodes = logs.shape
    deep = np.empty(nodes, dtype=np.int64)
    count = 0
    for q in range(nodes):
        top = logs[0, q]
        low = top
        for c in range(1, components):
            top = max(top, logs[c, q])
            low = min(low, logs[c, q])
        scale[q] = top
        if top - low > DEEP:
            deep[count] = q
            count += 1
    for c in range(components):
        for q in range(nodes):
            densities[c, q] = exp_nonpositive(logs[c, q] - scale[q])
    return deep[:count]


@nb.njit(error_model="numpy", nogil=True, cache=True)
def mixture_logs(densities: np.ndarray, rows: np.ndarray, weights: np.ndarray, first: int, last: int,
                 start: int, stop: int, out: np.ndarray) -> None:
    r"""out[r, q] = log sum_j w_rj d_{c_rj q}, for rows first..last and nodes start..stop.

    The logarithm is split into exponent and mantissa, and the mantissa's taken by :math:`2\,\mathrm{artanh}(s) =
    2 s + s z P(z)`, s = (m - 1)/(m + 1), z = s^2, in loops without calls or branches, which the compiler
    vectorises. Its relative error is one unit in the last place.

    Parameters
    ----------
    densities : ndarray, shape (C, Q)
        Positive normal numbers.
    rows, weights : ndarray, shape (R, J)
        Components and weights of each mixture; a weight of zero ends the row.
    out : ndarray, shape (at least last - first, stop - start)
    """
    count = stop - start
    buffer = np.empty(count)
    bits = buffer.view(np.int64)
    places = rows.shape[1]
    for r in range(first, last):
        line = out[r - first]
        d0, w0 = densities[rows[r, 0], start:stop], weights[r, 0]
        d1, d2, w1, w2 = d0, d0, 0.0, 0.0
        if places > 1:
            d1, w1 = densities[rows[r, 1], start:stop], weights[r, 1]
        if places > 2:
            d2, w2 = densities[rows[r, 2], start:stop], weights[r, 2]
        # Up to three components in one pass: a pass for each would take as long as the logarithm.
        if w1 == 0.0:
            for q in range(count):
                buffer[q] = w0 * d0[q]
        elif w2 == 0.0:
            for q in range(count):
                buffer[q] = w0 * d0[q] + w1 * d1[q]
        else:
            for q in range(count):
                buffer[q] = w0 * d0[q] + w1 * d1[q] + w2 * d2[q]
            for j in range(3, places):
                w = weights[r, j]
                if w == 0.0:
                    break
                d = densities[rows[r, j], start:stop]
                for q in range(count):
                    buffer[q] += w * d[q]
        for q in range(count):
            exponent = (bits[q] - _ROOT_HALF) >> 52
            bits[q] -= exponent << 52
            line[q] = float(exponent)
        for q in range(count):
            k = line[q]
            f = buffer[q] - 1.0
            s = f / (2.0 + f)
            z = s * s
            z2 = z * z
            even = z2 * (_C[1] + z2 * (_C[3] + z2 * _C[5]))
            odd = z * (_C[0] + z2 * (_C[2] + z2 * (_C[4] + z2 * _C[6])))
            half = 0.5 * f * f
            # log(1 + f) = f - (f^2/2 - s (f^2/2 + z P)): the largest part is added last.
            line[q] = k * _LN2_HI - ((half - (s * (half + even + odd) + k * _LN2_LO)) - f)


@nb.njit(error_model="numpy", nogil=True, cache=True)
def deep_logs(logs: np.ndarray, scale: np.ndarray, deep: np.ndarray, rows: np.ndarray, weights: np.ndarray,
              first: int, last: int, start: int, stop: int, out: np.ndarray) -> None:
    """Replace the entries of `mixture_logs` at the deep nodes, where its densities may have underflowed."""
    for q in deep:
        if not start <= q < stop:
            continue
        for r in range(first, last):
            top = -math.inf
            for j in range(rows.shape[1]):
                if weights[r, j] > 0.0:
                    top = max(top, logs[rows[r, j], q])
            total = 0.0
            for j in range(rows.shape[1]):
                if weights[r, j] > 0.0:
                    total += weights[r, j] * math.exp(logs[rows[r, j], q] - top)
            out[r - first, q - start] = math.log(total) + (top - scale[q])


@nb.njit(error_model="numpy", nogil=True, cache=True)
def row_codes(rows: np.ndarray, weights: np.ndarray, image: np.ndarray, base: int, codes: np.ndarray) -> None:
    """One integer for each prior whose components are renamed by `image`: equal integers, equal mixtures.

    Parameters
    ----------
    rows : ndarray of int, shape (P, J)
    weights : ndarray of int, shape (P, J)
        Zero marks an unused place.
    image : ndarray of int, shape (C,)
        New name of every component; names may coincide.
    base : int
        More than the number of names times (1 + the sum of weights).
    codes : ndarray of int64, shape (P,)
    """
    priors, places = rows.shape
    name = np.empty(places, dtype=np.int64)
    weight = np.empty(places, dtype=np.int64)
    for p in range(priors):
        used = 0
        unit = 0
        for j in range(places):
            w = weights[p, j]
            unit += w
            if w == 0:
                continue
            c = image[rows[p, j]]
            at = used
            while at > 0 and name[at - 1] > c:
                at -= 1
            if at > 0 and name[at - 1] == c:
                weight[at - 1] += w
                continue
            for k in range(used, at, -1):
                name[k] = name[k - 1]
                weight[k] = weight[k - 1]
            name[at] = c
            weight[at] = w
            used += 1
        code = 0
        for k in range(used):
            code = code * base + name[k] * (unit + 1) + weight[k]
        codes[p] = code


@nb.njit(error_model="numpy", nogil=True, cache=True)
def lowest_of(values: np.ndarray, place: np.ndarray, best: np.ndarray, index: np.ndarray) -> None:
    """The lowest of ``values[place[p]]`` over p, and the first p that attains it, for every column.

    Parameters
    ----------
    values : ndarray, shape (U, T)
    place : ndarray of int, shape (P,)
    best, index : ndarray, shape (T,)
    """
    targets = values.shape[1]
    for t in range(targets):
        best[t] = values[place[0], t]
        index[t] = 0
    for p in range(1, place.size):
        row = values[place[p]]
        for t in range(targets):
            if row[t] < best[t]:
                best[t] = row[t]
                index[t] = p
