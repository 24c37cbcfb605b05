r"""Log density of a Gaussian mixture pushed through a piecewise affine map of the line, plus Gaussian noise.

Everything is reduced to one coordinate a piece: the observation projected on the piece's (whitened)
direction, kept as an unevaluated sum of two floats, and the energy of what is orthogonal to it. On a piece
(l, u) with slope a, a component N(mu, tau^2) and noise scale s contribute

    w N(x; m, S^2) [Phi(beta) - Phi(alpha)],   m = f(mu),  S^2 = a^2 tau^2 + s^2,

with alpha, beta the standardised ends under the posterior of z. Written with the joint density at the ends,

    N(x; m, S^2) phi(alpha) = N(l; mu, tau^2) N(x; f(l), s^2) v,   v = tau s / S,

so every exponent is a constant minus half a squared residual, each residual relatively accurate, and what
remains are Mills ratios in [0, 1.26]: nothing underflows and no two large numbers cancel. Four kinds of term:

* peak: the whole Gaussian (one piece only, a flat piece with its mass, or a degenerate component);
* end: one finite end; gamma is the standardised end counted so that the piece is (gamma, infinity);
* wide: two ends at least one posterior standard deviation apart;
* narrow: two ends closer than that, by a series with positive terms around the middle.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import (
    INV_SQRT_2PI,
    LOWEST,
    difference,
    exp_nonpositive,
    fma,
    mills,
)
from ident_theory.kernels.pairs import pair_add, pair_mul

#: Points worked on together: the block's arrays stay in the first-level cache.
BLOCK = 256
#: Even powers in the series of a narrow term; the next one is below 5e-19 of the sum.
SERIES_TERMS = 10


@nb.njit(inline="always")
def _add(total: np.ndarray, scale: np.ndarray, i: int, exponent: float, value: float) -> None:
    """Add value * exp(exponent) to total[i] * exp(scale[i]) without leaving the log scale."""
    gain = exponent - scale[i]
    ratio = exp_nonpositive(-abs(gain))
    rises = gain > 0.0
    smaller = total[i] if rises else value
    larger = value if rises else total[i]
    total[i] = fma(smaller, ratio, larger)
    scale[i] = exponent if rises else scale[i]


@nb.njit(error_model="numpy", nogil=True, forceinline=True)
def _peak_terms(count, hi, lo, energy, total, scale, peak, center, spread):  # type: ignore[no-untyped-def]
    c, c_lo = center
    for i in range(count):
        r = difference(hi[i], lo[i], c, c_lo) * spread
        _add(total, scale, i, peak - 0.5 * r * r - energy[i], 1.0)


@nb.njit(error_model="numpy", nogil=True, forceinline=True)
def _end_terms(count, hi, lo, energy, total, scale, peak, center, spread, inv_s, end):  # type: ignore[no-untyped-def]
    c, c_lo = center
    f, f_lo, offset, shift, tilt = end
    for i in range(count):
        r = difference(hi[i], lo[i], c, c_lo) * spread
        rho = difference(hi[i], lo[i], f, f_lo) * inv_s
        gamma = shift - tilt * rho
        distance = abs(gamma)
        ratio = mills(distance)
        outside = gamma > 0.0
        exponent = offset - 0.5 * rho * rho if outside else peak - 0.5 * r * r
        value = ratio if outside else 1.0 - INV_SQRT_2PI * exp_nonpositive(-0.5 * distance * distance) * ratio
        _add(total, scale, i, exponent - energy[i], value)


@nb.njit(error_model="numpy", nogil=True, forceinline=True)
def _wide_terms(count, hi, lo, energy, total, scale, peak, center, spread, inv_s, left, right, gap):  # type: ignore[no-untyped-def]
    c, c_lo = center
    fl, fl_lo, offset_l, shift_l, tilt = left
    fr, fr_lo, offset_r, shift_r, _ = right
    for i in range(count):
        r = difference(hi[i], lo[i], c, c_lo) * spread
        rho_l = difference(hi[i], lo[i], fl, fl_lo) * inv_s
        rho_r = difference(hi[i], lo[i], fr, fr_lo) * inv_s
        alpha = shift_l - tilt * rho_l
        beta = shift_r - tilt * rho_r
        a = abs(alpha)
        b = abs(beta)
        inside = (alpha <= 0.0) & (beta > 0.0)
        left_near = alpha > 0.0
        near = a if left_near else b
        decay = -gap * (near + 0.5 * gap)
        power_a = -0.5 * a * a if inside else (0.0 if left_near else decay)
        power_b = -0.5 * b * b if inside else (decay if left_near else 0.0)
        part_a = exp_nonpositive(power_a) * mills(a)
        part_b = exp_nonpositive(power_b) * mills(b)
        outside_value = part_a - part_b if left_near else part_b - part_a
        value = 1.0 - INV_SQRT_2PI * (part_a + part_b) if inside else outside_value
        rho = rho_l if left_near else rho_r
        offset = offset_l if left_near else offset_r
        exponent = peak - 0.5 * r * r if inside else offset - 0.5 * rho * rho
        _add(total, scale, i, exponent - energy[i], value)


@nb.njit(error_model="numpy", nogil=True, forceinline=True)
def _narrow_terms(count, hi, lo, energy, total, scale, inv_s, middle, half, series):  # type: ignore[no-untyped-def]
    f, f_lo, offset, shift, tilt = middle
    s0, s1, s2, s3, s4 = series[0], series[1], series[2], series[3], series[4]
    s5, s6, s7, s8, s9 = series[5], series[6], series[7], series[8], series[9]
    for i in range(count):
        rho = difference(hi[i], lo[i], f, f_lo) * inv_s
        p = abs(shift - tilt * rho)
        q = p * half
        q2 = min(q * q, 1.0)
        near = fma(q2, fma(q2, fma(q2, fma(q2, s9, s8), s7), s6), s5)
        near = fma(q2, fma(q2, fma(q2, fma(q2, fma(q2, near, s4), s3), s2), s1), s0)
        far = mills(max(p - half, 0.0)) - exp_nonpositive(-2.0 * q) * mills(p + half)
        steep = q > 1.0
        exponent = offset - 0.5 * rho * rho
        exponent += q - 0.5 * half * half if steep else 0.0
        _add(total, scale, i, exponent - energy[i], far if steep else near)


@nb.njit(error_model="numpy", nogil=True)
def project(x, direction, origin, slope, start, inv_slope, whiten, hi, lo, energy):  # type: ignore[no-untyped-def]
    """Coordinate of x along a piece and half its squared whitened distance from the piece's line.

    All constants come as (value, remainder) pairs in the last axis. `direction` (n, 2) is the covector q
    with q.x the coordinate, `start` = q.origin, `inv_slope` = 1 / |L^-1 a|, `whiten` (n, n, 2) = L^-1 (lower
    triangular) for the noise covariance L L^T. The point of the line nearest to x is computed as a pair
    before it is subtracted, so the distance keeps its relative accuracy however far x lies along the line.
    """
    count, n = x.shape
    flat = inv_slope[0] == 0.0
    e_hi = np.empty(n)
    e_lo = np.empty(n)
    for i in range(count):
        g, g_lo = 0.0, 0.0
        z, z_lo = 0.0, 0.0
        if not flat:
            for d in range(n):
                p, p_lo = pair_mul(direction[d, 0], direction[d, 1], x[i, d], 0.0)
                g, g_lo = pair_add(g, g_lo, p, p_lo)
            z, z_lo = pair_add(g, g_lo, -start[0], -start[1])
            z, z_lo = pair_mul(z, z_lo, inv_slope[0], inv_slope[1])
        for d in range(n):
            p, p_lo = pair_mul(slope[d, 0], slope[d, 1], z, z_lo)
            p, p_lo = pair_add(p, p_lo, origin[d, 0], origin[d, 1])
            e_hi[d], e_lo[d] = pair_add(x[i, d], 0.0, -p, -p_lo)
        total = 0.0
        for d in range(n):
            r, r_lo = 0.0, 0.0
            for k in range(d + 1):
                if whiten[d, k, 0] != 0.0:
                    p, p_lo = pair_mul(whiten[d, k, 0], whiten[d, k, 1], e_hi[k], e_lo[k])
                    r, r_lo = pair_add(r, r_lo, p, p_lo)
            total += 0.5 * r * r
        hi[i] = g
        lo[i] = g_lo
        energy[i] = total


@nb.njit(error_model="numpy", nogil=True, cache=True)
def line_log_density(x, inv_s, projections, kinds, starts, terms, series, out):  # type: ignore[no-untyped-def]
    r"""Log density at every row of `x`.

    Parameters
    ----------
    x : ndarray, shape (N, n)
        Entries times any reciprocal scale of the terms at most 1e140 in size, so that squares stay finite.
    inv_s : float
        Reciprocal of the noise scale along a piece: 1/s for n = 1; 1 for n > 1, where x is whitened.
    projections : tuple of arrays
        The arguments of `project`, with a leading axis over pieces; not read when n = 1.
    kinds : ndarray of int, shape (T,)
        0 peak, 1 end, 2 wide, 3 narrow.
    starts : ndarray of int, shape (K + 1,)
        Terms ``starts[k]:starts[k + 1]`` belong to piece k.
    terms : ndarray, shape (T, 16)
        Constants of the terms: peak, centre (2), spread, first end or middle (5), second end (5), gap or half.
    series : ndarray, shape (T, 10)
        Coefficients of narrow terms.
    out : ndarray, shape (N,)
        Receives the result; every value is finite.

    Notes
    -----
    Cost: terms x points, 256 points at a time, so memory does not depend on N.
    """
    n = x.shape[1]
    direction, origin, slope, start, inv_slope, whiten = projections
    hi = np.empty(BLOCK)
    lo = np.zeros(BLOCK)
    energy = np.zeros(BLOCK)
    total = np.empty(BLOCK)
    scale = np.empty(BLOCK)
    for first in range(0, x.shape[0], BLOCK):
        count = min(BLOCK, x.shape[0] - first)
        for i in range(count):
            total[i] = 0.0
            scale[i] = LOWEST
            hi[i] = x[first + i, 0]
        for k in range(starts.size - 1):
            if n > 1 and starts[k] < starts[k + 1]:
                project(x[first:first + count], direction[k], origin[k], slope[k], start[k], inv_slope[k], whiten,
                        hi, lo, energy)
            for t in range(starts[k], starts[k + 1]):
                c = terms[t]
                center = (c[1], c[2])
                one = (c[4], c[5], c[6], c[7], c[8])
                if kinds[t] == 0:
                    _peak_terms(count, hi, lo, energy, total, scale, c[0], center, c[3])
                elif kinds[t] == 1:
                    _end_terms(count, hi, lo, energy, total, scale, c[0], center, c[3], inv_s, one)
                elif kinds[t] == 2:
                    two = (c[9], c[10], c[11], c[12], c[13])
                    _wide_terms(count, hi, lo, energy, total, scale, c[0], center, c[3], inv_s, one, two, c[14])
                else:
                    _narrow_terms(count, hi, lo, energy, total, scale, inv_s, one, c[14], series[t])
        for i in range(count):
            out[first + i] = max(scale[i] + math.log(total[i]), LOWEST) if total[i] > 0.0 else LOWEST
