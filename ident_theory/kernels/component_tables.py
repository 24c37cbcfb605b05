r"""Log densities of single Gaussian components pushed through one piecewise affine map of the line, plus noise.

The same terms as in `closed_form`, with constants made here, in float64, from numbers taken as exact: a search
over many maps cannot wait for balls. That loses nothing, because every constant is a product of correctly
rounded factors. Differences of inputs are single subtractions, which round once; values f(mean) and f(end),
which are subtracted from observations later, are unevaluated pairs; so is the middle of a narrow piece.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.closed_form import (
    BLOCK,
    SERIES_TERMS,
    _end_terms,
    _narrow_terms,
    _peak_terms,
    _wide_terms,
)
from ident_theory.kernels.elementary import INV_SQRT_2PI, LOWEST, _bits, _from_bits, fma, mills
from ident_theory.kernels.pairs import pair_add, pair_mul, two_sum

PEAK, END, WIDE, NARROW, NOTHING = range(5)
#: Ends closer than this many posterior standard deviations make a narrow term.
_NARROW_GAP = 1.0
_HALF_LOG_2PI = 0.9189385332046727
#: Stands for an infinite end in Mills ratios, whose argument must be finite.
_FAR = 1e300
#: Powers of -h^2/2 in a coefficient of a narrow term; with h <= 1/2 the next one is below 4e-20 of it.
_POWERS = 12
# Row k holds the power series in -h^2/2 of the integral of x^2k exp(-h^2 x^2 / 2) / (2k)! over (0, 1).
_SERIES = np.array([[1.0 / (math.factorial(i) * (2 * k + 2 * i + 1) * math.factorial(2 * k)) for i in range(_POWERS)]
                    for k in range(SERIES_TERMS)])

_LN2_HI = 0.6931471805599453
_LN2_LO = 2.3190468138462996e-17
_ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
_SHIFTER = 6755399441055744.0  # its low bits count integers: see exp_nonpositive


@nb.njit(inline="always")
def log_positive(x: float) -> float:
    """log(x) for normal x > 0, error below 3e-16 max(1, |log x|); unlike math.log it vectorises.

    With x = 2^e m, m in [sqrt(1/2), sqrt(2)), and s = (m - 1) / (m + 1): log m = 2 s (1 + s^2/3 + s^4/5 + ...).
    """
    e = (_bits(x) - np.int64(_ROOT_HALF_BITS)) >> np.int64(52)
    m = _from_bits(_bits(x) - (e << np.int64(52)))
    power = _from_bits(_bits(_SHIFTER) + e) - _SHIFTER
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 21.0
    p = fma(p, z, 1.0 / 19.0)
    p = fma(p, z, 1.0 / 17.0)
    p = fma(p, z, 1.0 / 15.0)
    p = fma(p, z, 1.0 / 13.0)
    p = fma(p, z, 1.0 / 11.0)
    p = fma(p, z, 1.0 / 9.0)
    p = fma(p, z, 1.0 / 7.0)
    p = fma(p, z, 1.0 / 5.0)
    p = fma(p, z, 1.0 / 3.0)
    s += s
    return fma(power, _LN2_HI, s + fma(s * z, p, power * _LN2_LO))


@nb.njit(inline="always")
def _affine(slope: float, intercept: float, z: float, z_lo: float) -> tuple[float, float]:
    """slope * (z + z_lo) + intercept as a pair."""
    p, p_lo = pair_mul(slope, 0.0, z, z_lo)
    return pair_add(p, p_lo, intercept, 0.0)


@nb.njit(error_model="numpy", nogil=True)
def _series(half: float, gap: float, out: np.ndarray) -> None:
    """Coefficients of a narrow term of half-width `half`, times its width."""
    u = -0.5 * half * half
    for k in range(SERIES_TERMS):
        c = _SERIES[k, _POWERS - 1]
        for i in range(_POWERS - 2, -1, -1):
            c = fma(c, u, _SERIES[k, i])
        out[k] = gap * c


@nb.njit(error_model="numpy", nogil=True)
def _log_mass(left: float, right: float, mean: float, tau: float, series: np.ndarray) -> float:
    """log P(left < N(mean, tau^2) < right), relatively accurate; infinite ends are allowed, `series` is scratch."""
    gap = (right - left) / tau
    if gap < _NARROW_GAP:
        middle, middle_lo = two_sum(left, right)
        p = abs(pair_add(0.5 * middle, 0.5 * middle_lo, -mean, 0.0)[0]) / tau
        half = 0.5 * gap
        q = p * half
        log_phi = -0.5 * p * p - _HALF_LOG_2PI
        if q > 1.0:
            return log_phi + (q - 0.5 * half * half + math.log(mills(p - half) - math.exp(-2.0 * q) * mills(p + half)))
        _series(half, gap, series)
        value = series[SERIES_TERMS - 1]
        for k in range(SERIES_TERMS - 2, -1, -1):
            value = fma(value, q * q, series[k])
        return log_phi + math.log(value)
    alpha = (left - mean) / tau
    beta = (right - mean) / tau
    a = min(abs(alpha), _FAR)
    b = min(abs(beta), _FAR)
    if alpha <= 0.0 and beta > 0.0:
        return math.log1p(-INV_SQRT_2PI * (math.exp(-0.5 * a * a) * mills(a) + math.exp(-0.5 * b * b) * mills(b)))
    near = min(a, b)
    value = mills(near) - math.exp(-gap * (near + 0.5 * gap)) * mills(max(a, b))
    return math.log(value) - (0.5 * near * near + _HALF_LOG_2PI)


@nb.njit(error_model="numpy", nogil=True)
def _set_point(row, at, z, z_lo, slope, intercept, mean, tau, ratio, tilt, peak, sign):  # type: ignore[no-untyped-def]
    """Constants at an end or middle: f(z) as a pair, offset, shift and tilt of the standardised end."""
    t = pair_add(z, z_lo, -mean, 0.0)[0] / tau
    row[at], row[at + 1] = _affine(slope, intercept, z, z_lo)
    row[at + 2] = peak - _HALF_LOG_2PI - 0.5 * t * t
    row[at + 3] = sign * t * ratio
    row[at + 4] = sign * tilt


@nb.njit(error_model="numpy", nogil=True)
def set_term(left, right, slope, intercept, mean, variance, std, row, series):  # type: ignore[no-untyped-def]
    """Write the constants of one component on one piece into `row` (16) and `series` (10), as `closed_form` reads them.

    Ends may be infinite. Returns the kind of the term; NOTHING where the component does not reach the piece.
    """
    row[3] = 1.0 / std
    if variance == 0.0:
        if not left <= mean < right:
            return NOTHING
        row[0] = -math.log(std) - _HALF_LOG_2PI
        row[1], row[2] = _affine(slope, intercept, mean, 0.0)
        return PEAK
    if not left < right:  # breakpoints that were rounded to one float
        return NOTHING
    tau = math.sqrt(variance)
    if slope == 0.0:
        row[0] = _log_mass(left, right, mean, tau, series) - math.log(std) - _HALF_LOG_2PI
        row[1], row[2] = intercept, 0.0
        return PEAK
    spread = math.sqrt(fma(slope * slope, variance, std * std))
    ratio = std / spread
    tilt = slope * tau / spread
    peak = -math.log(spread) - _HALF_LOG_2PI
    row[0] = peak
    row[1], row[2] = _affine(slope, intercept, mean, 0.0)
    row[3] = 1.0 / spread
    if left == -np.inf and right == np.inf:
        return PEAK
    if right == np.inf:
        _set_point(row, 4, left, 0.0, slope, intercept, mean, tau, ratio, tilt, peak, 1.0)
        return END
    if left == -np.inf:
        _set_point(row, 4, right, 0.0, slope, intercept, mean, tau, ratio, tilt, peak, -1.0)
        return END
    gap = (right - left) / (tau * ratio)
    if gap >= _NARROW_GAP:
        _set_point(row, 4, left, 0.0, slope, intercept, mean, tau, ratio, tilt, peak, 1.0)
        _set_point(row, 9, right, 0.0, slope, intercept, mean, tau, ratio, tilt, peak, 1.0)
        row[14] = gap
        return WIDE
    middle, middle_lo = two_sum(left, right)
    _set_point(row, 4, 0.5 * middle, 0.5 * middle_lo, slope, intercept, mean, tau, ratio, tilt, peak, 1.0)
    row[14] = 0.5 * gap
    _series(0.5 * gap, gap, series)
    return NARROW


@nb.njit(error_model="numpy", nogil=True, cache=True)
def component_log_densities(breaks, slopes, intercepts, means, variances, noise_std, x, out):  # type: ignore[no-untyped-def]
    r"""Log density of every component, alone, at every point.

    Component j contributes :math:`\sum_k N(x; a_k\mu_j + c_k, a_k^2 v_j + s^2) [\Phi(\beta_{kj}) -
    \Phi(\alpha_{kj})]`, the sum over the pieces k of the map; with variance zero it is :math:`N(x; f(\mu_j), s^2)`.

    Parameters
    ----------
    breaks : ndarray, shape (K - 1,)
        Increasing; a breakpoint belongs to the piece on its right. Of equal ones the piece between is left out.
    slopes, intercepts : ndarray, shape (K,)
    means, variances : ndarray, shape (C,)
    noise_std : float
        Positive.
    x : ndarray, shape (Q,)
    out : ndarray, shape (C, Q)
        Receives the result; every value is finite.

    Notes
    -----
    The floats are taken as exact numbers. The error is at most 1e-12 max(1, \|log p\|) for slopes, intercepts,
    means and breakpoints that are zero or between 1e-4 and 1e4 in size, standard deviations and noise between
    1e-3 and 1e3, and \|x\| up to 1e140; the most in 60,000 adversarial cases was 3e-15. Cost: components x pieces
    x points. Arrays should be C-contiguous: for others the kernel is compiled again and may run slower.
    """
    pieces = slopes.size
    kinds = np.empty(pieces, np.int64)
    terms = np.zeros((pieces, 16))
    series = np.zeros((pieces, SERIES_TERMS))
    inv_s = 1.0 / noise_std
    hi = np.empty(BLOCK)
    lo = np.zeros(BLOCK)
    energy = np.zeros(BLOCK)
    total = np.empty(BLOCK)
    scale = np.empty(BLOCK)
    for j in range(means.size):
        count_terms = 0
        for k in range(pieces):
            left = breaks[k - 1] if k > 0 else -np.inf
            right = breaks[k] if k < pieces - 1 else np.inf
            kind = set_term(left, right, slopes[k], intercepts[k], means[j], variances[j], noise_std,
                            terms[count_terms], series[count_terms])
            if kind != NOTHING:
                kinds[count_terms] = kind
                count_terms += 1
        for first in range(0, x.size, BLOCK):
            count = min(BLOCK, x.size - first)
            for i in range(count):
                total[i] = 0.0
                scale[i] = LOWEST
                hi[i] = x[first + i]
            for t in range(count_terms):
                c = terms[t]
                center = (c[1], c[2])
                one = (c[4], c[5], c[6], c[7], c[8])
                if kinds[t] == PEAK:
                    _peak_terms(count, hi, lo, energy, total, scale, c[0], center, c[3])
                elif kinds[t] == END:
                    _end_terms(count, hi, lo, energy, total, scale, c[0], center, c[3], inv_s, one)
                elif kinds[t] == WIDE:
                    two = (c[9], c[10], c[11], c[12], c[13])
                    _wide_terms(count, hi, lo, energy, total, scale, c[0], center, c[3], inv_s, one, two, c[14])
                else:
                    _narrow_terms(count, hi, lo, energy, total, scale, inv_s, one, c[14], series[t])
            for i in range(count):
                value = scale[i] + log_positive(total[i])
                out[j, first + i] = max(value, LOWEST) if total[i] > 0.0 else LOWEST
