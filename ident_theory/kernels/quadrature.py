"""Numerical integration over one latent: adaptive Gauss-Legendre panels with analytic error bounds.

Everything happens in the standardised latent t = (z - mu) / tau and in whitened residuals r_i(t) = R_i - B_i t,
so a *root* (one mixture component on one affine piece) is an interval of t with numbers B_i and C_i, R_i being
the whitened observation minus C_i. Positions and levels are kept as unevaluated sums of two floats ("pairs");
inside a panel only offsets y from its centre occur, so no large numbers cancel.

A panel carries a rigorous bound of its mass and the panel with the largest bound is treated first. The error of
Gauss-Legendre with m points for a function bounded by M on the Bernstein ellipse of parameter rho is at most
4 (1 + 1 / (4 m^2 - 1)) M rho^(-2m) / (1 - rho^-2): its Chebyshev coefficients are at most 2 M rho^-k, the rule is
exact below degree 2m, and a Chebyshev polynomial of even degree k has error at most 2 + 2 / (k^2 - 1). M comes from
the formulas of the densities at complex arguments, see `_bound`.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import LOWEST, fma

GAUSSIAN, LAPLACE, LOGISTIC, STUDENT = range(4)
#: Standardised latents beyond this are left out; their mass is below exp(-T^2 / 2) and part of the error.
T_MAX = 1.0e60
#: Whitened slopes and residuals up to this size keep every square finite.
SIZE_MAX = 1.0e70

_EPS = 2.3e-16
_PAIR_EPS = 2.0**-98  # relative error of a few operations on pairs, with room to spare
_RHO = np.array([1.4, 1.7, 2.0, 2.4, 2.9, 3.5, 4.3, 5.3, 6.6, 8.5, 11.5, 16.0, 30.0])
_RHO_SEMI_REAL = (_RHO + 1 / _RHO) / 2
_RHO_SEMI_IMAG = (_RHO - 1 / _RHO) / 2
_LOG_RHO = np.log(_RHO)
_LOG_RHO_TAIL = np.log(4.01 / (1 - _RHO**-2.0))
_REBASE = 300.0  # levels this far from the reference start the point again with a better reference
_REBASE_TRIES = 6

# Entries of the vector that describes one panel at one observation, see _describe.
_CENTRE, _HALF, _LEVEL, _SLOPE, _CURVE, _UNSURE, _REFERENCE = range(7)
# Entries of the accumulator, all but the first in units of exp(SCALE).
_SCALE, _SUM, _TRUNCATION, _ROUNDING = range(4)


@nb.njit(inline="always")
def _two_sum(a: float, b: float) -> tuple[float, float]:
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@nb.njit(inline="always")
def _add(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    s, e = _two_sum(ah, bh)
    t, f = _two_sum(al, bl)
    s, e = _two_sum(s, e + t)
    return _two_sum(s, e + f)


@nb.njit(inline="always")
def _mul(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    p = ah * bh
    return _two_sum(p, fma(ah, bh, -p) + (ah * bl + al * bh))


@nb.njit(inline="always")
def _div(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    q = ah / bh
    ph, pl = _mul(bh, bl, q, 0.0)
    rh, rl = _add(ah, al, -ph, -pl)
    return _two_sum(q, (rh + rl) / bh)


@nb.njit(cache=True, nogil=True)
def _residual(at_hi: float, at_lo: float, shift: np.ndarray, slope: np.ndarray) -> tuple[float, float]:
    """R - B t as a pair."""
    ph, pl = _mul(slope[0], slope[1], at_hi, at_lo)
    return _add(shift[0], shift[1], -ph, -pl)


@nb.njit(cache=True, nogil=True)
def _log_noise(family: int, nu: float, r: float) -> float:
    """Log density of one standardised noise coordinate, without its constant."""
    size = abs(r)
    if family == GAUSSIAN:
        return -0.5 * size * size
    if family == LAPLACE:
        return -size
    if family == LOGISTIC:
        return -size - 2.0 * math.log1p(math.exp(-size))
    if size > 1e100:
        return -(nu + 1.0) * (math.log(size) - 0.5 * math.log(nu))
    return -0.5 * (nu + 1.0) * math.log1p(size * (size / nu))


@nb.njit(cache=True, nogil=True)
def _score(family: int, nu: float, r: float) -> float:
    """Minus the derivative of `_log_noise`."""
    if family == GAUSSIAN:
        return r
    if family == LAPLACE:
        return math.copysign(1.0, r)
    if family == LOGISTIC:
        return math.tanh(0.5 * r)
    return (nu + 1.0) * r / (nu + r * r)


@nb.njit(cache=True, nogil=True)
def _describe(ch: float, cl: float, inward: float, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
              ref_hi: float, ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """Residuals at the point `ch + cl`, and the quadratic part of the log integrand round it.

    The quadratic part holds prior, Gaussian and Laplace terms entirely and the linear part -|r| of logistic
    ones; its level is taken relative to the reference. At a Laplace kink it is the branch on the side of `inward`.
    """
    sh, sl = _mul(ch, cl, ch, cl)
    level_hi, level_lo = -0.5 * sh, -0.5 * sl
    slope_hi, slope_lo = -ch, -cl
    curve = 1.0
    unsure = 0.0
    for i in range(len(r0)):
        bh, bl = slopes[i, 0], slopes[i, 1]
        rh, rl = _residual(ch, cl, shifts[i], slopes[i])
        r0[i] = rh
        blur = shifts[i, 2] + abs(bh * ch)
        unsure += abs(_score(family, nu, rh)) * blur
        if family == GAUSSIAN:
            sh, sl = _mul(rh, rl, rh, rl)
            level_hi, level_lo = _add(level_hi, level_lo, -0.5 * sh, -0.5 * sl)
            sh, sl = _mul(rh, rl, bh, bl)
            slope_hi, slope_lo = _add(slope_hi, slope_lo, sh, sl)
            curve += bh * bh
        elif family != STUDENT:
            at_kink = family == LAPLACE and abs(rh) <= 2.0 * _PAIR_EPS * blur
            sign = math.copysign(1.0, -bh * inward if at_kink else rh)
            level_hi, level_lo = _add(level_hi, level_lo, -sign * rh, -sign * rl)
            slope_hi, slope_lo = _add(slope_hi, slope_lo, sign * bh, sign * bl)
    out[_CENTRE] = ch
    out[_LEVEL] = (level_hi - ref_hi) + (level_lo - ref_lo)
    out[_SLOPE] = slope_hi
    out[_CURVE] = curve
    out[_UNSURE] = _PAIR_EPS * (unsure + ch * ch + abs(level_hi))
    out[_REFERENCE] = ref_hi


@nb.njit(cache=True, nogil=True)
def _describe_centre(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
                     ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """`_describe` at the centre of a panel."""
    ch, cl = _add(panel[0], panel[1], 0.5 * panel[4], 0.0)
    out[_HALF] = 0.5 * panel[4]
    _describe(ch, cl, 0.0, shifts, slopes, family, nu, ref_hi, ref_lo, r0, out)


@nb.njit(cache=True, nogil=True)
def _describe_end(panel: np.ndarray, side: int, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                  ref_hi: float, ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """`_describe` at the left (side 0) or right (side 2) end of a panel."""
    _describe(panel[side], panel[side + 1], 1.0 - side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, out)


@nb.njit(cache=True, nogil=True)
def _student_curvature(nu: float, least: float, most: float) -> float:
    """Largest second derivative of the Student log density over least <= \\|r\\| <= most."""
    peak = 3.0 * nu
    if most * most < peak:
        r = most
    elif least * least > peak:
        r = least
    else:
        return (nu + 1.0) / (8.0 * nu)
    d = nu + r * r
    return (nu + 1.0) / d * ((r * r - nu) / d)


@nb.njit(cache=True, nogil=True)
def _complex_factor(family: int, nu: float, least: float, imag: float) -> float:
    """Log of a bound on \\|p(u + iv)\\| / p(u) over \\|u\\| >= least, \\|v\\| <= imag; inf when a pole may be near.

    Logistic: \\|p(u + iv)\\| = 1 / (2 (cosh u + cos v)), so the ratio is at most 2 / (1 + cos v), that is
    1 / cos^2(v / 2). Student, with w = r / sqrt(nu): \\|1 + w^2\\| >= 1 + u^2 when \\|u\\| >= 1, and
    \\|1 + w^2\\| >= (1 - v^2)(1 + u^2) when \\|v\\| < 1.
    """
    if family == LOGISTIC:
        return -2.0 * math.log(math.cos(0.5 * imag)) if imag < 3.1 else math.inf
    if family == STUDENT:
        root = math.sqrt(nu)
        if least >= root:
            return 0.0
        v = imag / root
        return -0.5 * (nu + 1.0) * math.log1p(-v * v) if v < 0.9999 else math.inf
    return 0.0


@nb.njit(inline="always")
def _highest(linear: float, quadratic: float) -> float:
    """Maximum over -1 <= c <= 1 of linear * c + quadratic * c^2 / 2."""
    if quadratic < 0.0 and abs(linear) < -quadratic:
        return linear * (linear / (-2.0 * quadratic))
    return abs(linear) + 0.5 * quadratic


@nb.njit(cache=True, nogil=True)
def _bound(real: float, imag: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
           slopes: np.ndarray) -> float:
    """Log of a bound on the integrand over the ellipse with semi-axes real * h and imag * h round the centre.

    With imag = 0 and real = 1 this is the panel itself. Two bounds are formed and the smaller one taken.
    *Joint*: on the ellipse, real part y = a cos, imaginary part b sin, the quadratic part is itself quadratic in
    the cosine; concave terms lie under their tangent at the centre, Student ones under a parabola.
    *Separate*: every factor at its own maximum.
    """
    h = info[_HALF]
    a, b = real * h, imag * h
    q = info[_CURVE]
    level, slope, curvature = info[_LEVEL], info[_SLOPE], 0.0
    factors = 0.0
    if family >= LOGISTIC:
        for i in range(len(r0)):
            steep = abs(slopes[i, 0])
            size = abs(r0[i])
            least, most = max(0.0, size - steep * a), size + steep * a
            factors += _complex_factor(family, nu, least, steep * b)
            if family == LOGISTIC:
                tail = math.exp(-size)
                level -= 2.0 * math.log1p(tail)
                slope -= math.copysign(1.0, r0[i]) * slopes[i, 0] * 2.0 * tail / (1.0 + tail)
            else:
                level += _log_noise(family, nu, size)
                slope += _score(family, nu, r0[i]) * slopes[i, 0]
                curvature += steep * steep * _student_curvature(nu, least, most)
    if factors == math.inf:
        return math.inf
    high = _highest(slope * a, curvature * a * a - q * (a * a + b * b))
    best = level + 0.5 * q * b * b + high + 4.0 * _EPS * (abs(level) + abs(high))
    if family != GAUSSIAN:
        best = min(best, _separate_bound(a, b, family, nu, info, r0, slopes))
    return best + factors + info[_UNSURE]


@nb.njit(cache=True, nogil=True)
def _separate_bound(a: float, b: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
                    slopes: np.ndarray) -> float:
    """Sum of the maxima of the factors, complex factors apart."""
    least = max(0.0, abs(info[_CENTRE]) - a)
    total = 0.5 * (b * b - least * least)
    for i in range(len(r0)):
        gap = abs(r0[i]) - abs(slopes[i, 0]) * a
        if family == LAPLACE and b > 0.0:
            total -= gap  # the linear branch continues beyond the kink
        else:
            total += _log_noise(family, nu, max(0.0, gap))
    return total - info[_REFERENCE] + 4.0 * _EPS * (abs(total) + abs(info[_REFERENCE]))


@nb.njit(cache=True, nogil=True)
def _tangent_bound(panel: np.ndarray, side: int, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                   ref_hi: float, ref_lo: float, r0: np.ndarray, info: np.ndarray) -> float:
    """Maximum over a panel of the parabola that touches a concave log integrand from above at one end."""
    _describe_end(panel, side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
    level, width, q = info[_LEVEL], panel[4], info[_CURVE]
    slope = info[_SLOPE] * (1 - side)
    if family == LOGISTIC:
        for i in range(len(r0)):
            tail = math.exp(-abs(r0[i]))
            level -= 2.0 * math.log1p(tail)
            slope -= (1 - side) * math.copysign(1.0, r0[i]) * slopes[i, 0] * 2.0 * tail / (1.0 + tail)
    rise = 0.0
    if slope >= q * width:
        rise = width * (slope - 0.5 * q * width)
    elif slope > 0.0:
        rise = 0.5 * slope * (slope / q)
    return level + rise + 4.0 * _EPS * (abs(level) + rise) + info[_UNSURE]


@nb.njit(cache=True, nogil=True)
def _factor_bound(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                  ref_hi: float) -> float:
    """Sum of the maxima of the factors over a panel, found from its ends."""
    least = 0.0 if panel[0] * panel[2] < 0.0 else min(abs(panel[0]), abs(panel[2]))
    total = -0.5 * least * least
    unsure = abs(total)
    for i in range(len(shifts)):
        left = _residual(panel[0], panel[1], shifts[i], slopes[i])[0]
        right = _residual(panel[2], panel[3], shifts[i], slopes[i])[0]
        least = 0.0 if left * right < 0.0 else min(abs(left), abs(right))
        total += _log_noise(family, nu, least)
        far = max(abs(panel[0]), abs(panel[2]))
        unsure += abs(_score(family, nu, least)) * (shifts[i, 2] + abs(slopes[i, 0]) * far)
    return total - ref_hi + 4.0 * _EPS * (abs(total) + abs(ref_hi)) + _PAIR_EPS * unsure


@nb.njit(cache=True, nogil=True)
def _mass_bound(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
                ref_lo: float, r0: np.ndarray, info: np.ndarray) -> float:
    """Log of a bound on the integral over a panel.

    A function whose logarithm bends down by at least q has mass at most sqrt(2 pi / q) times its maximum, so wide
    panels are no worse than that (with Student noise this holds only for the separate bound of the factors, where
    it is the prior that bends down). Wide panels are bounded from their ends, short ones from the centre.
    """
    q = 1.0
    steepest = 1.0
    for i in range(len(shifts)):
        steepest = max(steepest, abs(slopes[i, 0]))
        if family == GAUSSIAN:
            q += slopes[i, 0] * slopes[i, 0]
    length = math.log(min(panel[4], math.sqrt(2.0 * math.pi / q)))
    if panel[4] * steepest < 6.0:
        _describe_centre(panel, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
        if family == STUDENT:
            length = math.log(panel[4])
        return _bound(1.0, 0.0, family, nu, info, r0, slopes) + length
    best = math.inf
    if family != GAUSSIAN:
        best = _factor_bound(panel, shifts, slopes, family, nu, ref_hi)
    if family != STUDENT:
        for side in (0, 2):
            best = min(best, _tangent_bound(panel, side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info))
    return best + length


@nb.njit(cache=True, nogil=True)
def _kink_inside(panel: np.ndarray, shift: np.ndarray, slope: np.ndarray) -> bool:
    """Whether a Laplace kink lies inside the panel, further from its ends than could matter.

    Ignoring a kink at the residual d from an end replaces -|r| by one of its branches, at most 2 d too high, over
    the fraction d / (B width) of the panel.
    """
    left = _residual(panel[0], panel[1], shift, slope)[0]
    right = _residual(panel[2], panel[3], shift, slope)[0]
    if left * right >= 0.0:
        return False
    steep = abs(slope[0])
    least = 1e-9 * min(1.0, steep * panel[4])
    return (abs(left) > least + _PAIR_EPS * (shift[2] + steep * abs(panel[0]))
            and abs(right) > least + _PAIR_EPS * (shift[2] + steep * abs(panel[2])))


@nb.njit(cache=True, nogil=True)
def _has_kink(panel: np.ndarray, family: int, shifts: np.ndarray, slopes: np.ndarray) -> bool:
    """Whether any Laplace kink lies inside the panel."""
    if family == LAPLACE:
        for i in range(len(shifts)):
            if _kink_inside(panel, shifts[i], slopes[i]):
                return True
    return False


@nb.njit(cache=True, nogil=True)
def _truncation(points: int, target: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
                slopes: np.ndarray) -> float:
    """Log of a bound on the error of the Gauss-Legendre rule on the panel."""
    log_half = math.log(info[_HALF])
    best = math.inf
    for i in range(len(_RHO)):
        sup = _bound(_RHO_SEMI_REAL[i], _RHO_SEMI_IMAG[i], family, nu, info, r0, slopes)
        if sup == math.inf:
            break
        error = sup + log_half + _LOG_RHO_TAIL[i] - 2.0 * points * _LOG_RHO[i]
        if error > best + 5.0:
            break
        best = min(best, error)
        if best < target - 4.0:
            break
    return best


@nb.njit(cache=True, nogil=True)
def _integrate(family: int, nu: float, info: np.ndarray, r0: np.ndarray, slopes: np.ndarray, nodes: np.ndarray,
               weights: np.ndarray, work: np.ndarray) -> float:
    """Log of the Gauss-Legendre sum over the panel."""
    h, q = info[_HALF], info[_CURVE]
    top = -math.inf
    for p in range(len(nodes)):
        y = h * nodes[p]
        g = info[_LEVEL] + y * (info[_SLOPE] - 0.5 * q * y)
        if family == LOGISTIC:
            for i in range(len(r0)):
                # -|r| is -s r plus a smooth rest, s the sign at the centre, wherever r itself is.
                r = math.copysign(1.0, r0[i]) * (r0[i] - slopes[i, 0] * y)
                g -= 2.0 * (max(-r, 0.0) + math.log1p(math.exp(-abs(r))))
        elif family == STUDENT:
            for i in range(len(r0)):
                g += _log_noise(family, nu, r0[i] - slopes[i, 0] * y)
        work[p] = g
        top = max(top, g)
    total = 0.0
    for p in range(len(nodes)):
        total += weights[p] * math.exp(work[p] - top)
    return top + math.log(total * h)


@nb.njit(cache=True, nogil=True)
def _rounding(family: int, nu: float, info: np.ndarray, r0: np.ndarray, slopes: np.ndarray) -> float:
    """Relative rounding error of `_integrate`: arithmetic in offsets, and in pairs at the centre."""
    h = info[_HALF]
    size = 24.0 + abs(info[_LEVEL]) + 2.0 * abs(info[_SLOPE]) * h + 2.0 * info[_CURVE] * h * h
    if family >= LOGISTIC:
        for i in range(len(r0)):
            reach = abs(slopes[i, 0]) * h
            least, most = max(0.0, abs(r0[i]) - reach), abs(r0[i]) + reach
            if family == LOGISTIC:
                size += 6.0 + 4.0 * most / (1.0 + math.exp(min(least, 50.0)))
            else:
                size += 4.0 * abs(_log_noise(family, nu, most))
                size += 4.0 * (nu + 1.0) * most * min(0.5 / math.sqrt(nu), most / nu, 1.0 / max(least, 1e-300))
    return _EPS * size + info[_UNSURE]


@nb.njit(cache=True, nogil=True)
def _accumulate(total: np.ndarray, value: float, truncation: float, rounding: float) -> None:
    """Add exp(value) and its errors to the running sums."""
    if value > total[_SCALE]:
        factor = math.exp(total[_SCALE] - value)
        total[_SUM] *= factor
        total[_TRUNCATION] *= factor
        total[_ROUNDING] *= factor
        total[_SCALE] = value
    part = math.exp(value - total[_SCALE])
    total[_SUM] += part
    total[_ROUNDING] += part * rounding
    total[_TRUNCATION] += math.exp(min(truncation - total[_SCALE], 700.0))


@nb.njit(cache=True, nogil=True)
def _end_slope(panel: np.ndarray, side: int, family: int, nu: float, shifts: np.ndarray, slopes: np.ndarray,
               r0: np.ndarray, info: np.ndarray) -> float:
    """Derivative of the log integrand at an end of a panel."""
    _describe_end(panel, side, shifts, slopes, family, nu, 0.0, 0.0, r0, info)
    slope = info[_SLOPE]
    if family == LOGISTIC:
        for i in range(len(r0)):
            tail = math.exp(-abs(r0[i]))
            slope -= math.copysign(1.0, r0[i]) * slopes[i, 0] * 2.0 * tail / (1.0 + tail)
    return slope


@nb.njit(cache=True, nogil=True)
def _cut_by_slope(panel: np.ndarray, family: int, nu: float, shifts: np.ndarray, slopes: np.ndarray, r0: np.ndarray,
                  info: np.ndarray, mid: np.ndarray) -> bool:
    """Cut near the maximum of a concave log integrand; False when the panel is short enough for bisection.

    `mid` receives the cut as a pair, found from the nearer end so that its relative position is accurate.
    """
    left = _end_slope(panel, 0, family, nu, shifts, slopes, r0, info)
    right = _end_slope(panel, 2, family, nu, shifts, slopes, r0, info)
    width = panel[4]
    spread = 4.5 / math.sqrt(info[_CURVE])
    if left * spread <= 1e-3 or right * spread >= -1e-3:
        falling = left * spread <= 1e-3
        step = min(spread, 16.0 / max(-left if falling else right, 1e-300))
        if falling:
            mid[0], mid[1] = _add(panel[0], panel[1], step, 0.0)
        else:
            mid[0], mid[1] = _add(panel[2], panel[3], -step, 0.0)
        return step * 1.5 < width
    if family >= LOGISTIC or width < 1.5 * spread:
        return False
    mid[0], mid[1] = _add(panel[0], panel[1], 0.5 * width, 0.0)
    for _ in range(10):  # Newton on a linear slope: every step gains the 16 digits of the division
        _describe(mid[0], mid[1], 0.0, shifts, slopes, family, nu, 0.0, 0.0, r0, info)
        step = info[_SLOPE] / info[_CURVE]
        mid[0], mid[1] = _add(mid[0], mid[1], step, 0.0)
        if abs(step) < 1e-6 * spread:
            break
    return True


@nb.njit(cache=True, nogil=True)
def _cut_at_kink(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, mid: np.ndarray) -> bool:
    """Cut at the steepest Laplace kink inside the panel."""
    steepest, chosen = 0.0, -1
    for i in range(len(shifts)):
        steep = abs(slopes[i, 0])
        if steep > steepest and _kink_inside(panel, shifts[i], slopes[i]):
            steepest, chosen = steep, i
    if chosen < 0:
        return False
    mid[0], mid[1] = _div(shifts[chosen, 0], shifts[chosen, 1], slopes[chosen, 0], slopes[chosen, 1])
    return True


@nb.njit(cache=True, nogil=True)
def _cut_by_scale(panel: np.ndarray, family: int, nu: float, shifts: np.ndarray, slopes: np.ndarray,
                  mid: np.ndarray) -> bool:
    """Cut where a factor of the integrand varies over many of its own scales: at its centre or geometrically."""
    worst = 6.0
    found = False
    unit = math.sqrt(nu) if family == STUDENT else 1.0
    for i in range(-1, len(shifts)):
        if i < 0:
            left, right, scale, steep = -panel[0], -panel[2], 1.0, 1.0
        else:
            left = _residual(panel[0], panel[1], shifts[i], slopes[i])[0]
            right = _residual(panel[2], panel[3], shifts[i], slopes[i])[0]
            scale, steep = unit, abs(slopes[i, 0])
        if steep == 0.0:
            continue
        least, most = min(abs(left), abs(right)), max(abs(left), abs(right))
        inside = left * right < 0.0
        ratio = most / scale if inside else most / max(least, scale)
        if ratio <= worst:
            continue
        worst = ratio
        found = True
        if inside:
            if i < 0:
                mid[0], mid[1] = 0.0, 0.0
            else:
                mid[0], mid[1] = _div(shifts[i, 0], shifts[i, 1], slopes[i, 0], slopes[i, 1])
        else:
            step = (math.sqrt(max(least, scale)) * math.sqrt(most) - least) / steep
            if abs(left) <= abs(right):
                mid[0], mid[1] = _add(panel[0], panel[1], step, 0.0)
            else:
                mid[0], mid[1] = _add(panel[2], panel[3], -step, 0.0)
    return found


@nb.njit(cache=True, nogil=True)
def _strictly_inside(panel: np.ndarray, mid: np.ndarray) -> bool:
    lower = _add(mid[0], mid[1], -panel[0], -panel[1])[0]
    upper = _add(panel[2], panel[3], -mid[0], -mid[1])[0]
    return lower > 0.0 and upper > 0.0


@nb.njit(cache=True, nogil=True)
def _cut(panel: np.ndarray, family: int, nu: float, info: np.ndarray, r0: np.ndarray, shifts: np.ndarray,
         slopes: np.ndarray, mid: np.ndarray) -> bool:
    """Choose where to cut a panel; False when pairs no longer tell its ends apart."""
    if panel[4] < max(1e-30 * max(abs(panel[0]), abs(panel[2])), 1e-280):
        return False
    found = family == LAPLACE and _cut_at_kink(panel, shifts, slopes, mid)
    if not found and family != STUDENT:
        found = _cut_by_slope(panel, family, nu, shifts, slopes, r0, info, mid)
    if not found and family >= LOGISTIC:
        found = _cut_by_scale(panel, family, nu, shifts, slopes, mid)
    if found and _strictly_inside(panel, mid):
        return True
    mid[0], mid[1] = _add(panel[0], panel[1], 0.5 * panel[4], 0.0)
    return _strictly_inside(panel, mid)


@nb.njit(cache=True, nogil=True)
def _sift_up(keys: np.ndarray, slots: np.ndarray, at: int) -> None:
    while at > 0:
        parent = (at - 1) // 2
        if keys[parent] >= keys[at]:
            return
        keys[parent], keys[at] = keys[at], keys[parent]
        slots[parent], slots[at] = slots[at], slots[parent]
        at = parent


@nb.njit(cache=True, nogil=True)
def _sift_down(keys: np.ndarray, slots: np.ndarray, size: int) -> None:
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and keys[child + 1] > keys[child]:
            child += 1
        if keys[at] >= keys[child]:
            return
        keys[child], keys[at] = keys[at], keys[child]
        slots[child], slots[at] = slots[at], slots[child]
        at = child


@nb.njit(cache=True, nogil=True)
def _shifts(x: np.ndarray, whiten: np.ndarray, centres: np.ndarray, out: np.ndarray) -> bool:
    """Whitened observation minus every root's constant: pair and magnitude; False when out of range."""
    n = len(x)
    fine = True
    for i in range(n):
        th, tl, size = 0.0, 0.0, 0.0
        for j in range(i, i + 1) if whiten.shape[1] != n else range(i + 1):
            column = 0 if whiten.shape[1] != n else j
            ph, pl = _mul(whiten[i, column, 0], whiten[i, column, 1], x[j], 0.0)
            th, tl = _add(th, tl, ph, pl)
            size += abs(ph)
        for q in range(len(centres)):
            out[q, i, 0], out[q, i, 1] = _add(th, tl, -centres[q, i, 0], -centres[q, i, 1])
            out[q, i, 2] = size + abs(centres[q, i, 0])
            fine = fine and out[q, i, 2] < SIZE_MAX
    return fine


@nb.njit(cache=True, nogil=True)
def _atom_level(shift: np.ndarray, log_weight: float, family: int, nu: float) -> tuple[float, float, float]:
    """Log density of one point-mass component as a pair, with its error."""
    hi, lo, unsure = log_weight, 0.0, 0.0
    for i in range(len(shift)):
        rh, rl = shift[i, 0], shift[i, 1]
        if family == GAUSSIAN:
            sh, sl = _mul(rh, rl, rh, rl)
            hi, lo = _add(hi, lo, -0.5 * sh, -0.5 * sl)
        elif family == STUDENT:
            g = _log_noise(family, nu, rh)
            hi, lo = _add(hi, lo, g, 0.0)
            unsure += _EPS * (4.0 * abs(g) + 4.0 * (nu + 1.0) * min(1.0, rh * rh / nu))
        else:
            sign = math.copysign(1.0, rh)
            hi, lo = _add(hi, lo, -sign * rh, -sign * rl)
            if family == LOGISTIC:
                hi, lo = _add(hi, lo, -2.0 * math.log1p(math.exp(-abs(rh))), 0.0)
                unsure += 8.0 * _EPS
        unsure += _PAIR_EPS * abs(_score(family, nu, rh)) * shift[i, 2]
    return hi, lo, unsure + 4.0 * _EPS + _PAIR_EPS * abs(hi)


@nb.njit(cache=True, nogil=True)
def _divide(panels: np.ndarray, owner: np.ndarray, slot: int, free: int, mid: np.ndarray) -> None:
    """Replace the panel in `slot` by its left part and put the right part into `free`."""
    whole = panels[slot]
    right = panels[free]
    lower = _add(mid[0], mid[1], -whole[0], -whole[1])[0]
    upper = _add(whole[2], whole[3], -mid[0], -mid[1])[0]
    if whole[4] < 1e-20 * abs(whole[0]):
        # Pairs no longer resolve such a width; the exact one given with the root is shared out instead.
        upper = whole[4] * (upper / (lower + upper))
        lower = whole[4] - upper
    right[0], right[1], right[2], right[3], right[4] = mid[0], mid[1], whole[2], whole[3], upper
    whole[2], whole[3], whole[4] = mid[0], mid[1], lower
    owner[free] = owner[slot]


@nb.njit(cache=True, nogil=True)
def _level_at(at_hi: float, at_lo: float, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
              ref_lo: float, r0: np.ndarray, info: np.ndarray) -> float:
    """Log integrand at a point, relative to the reference."""
    _describe(at_hi, at_lo, 0.0, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
    level = info[_LEVEL]
    for i in range(len(r0)):
        if family == STUDENT:
            level += _log_noise(family, nu, r0[i])
        elif family == LOGISTIC:
            level -= 2.0 * math.log1p(math.exp(-abs(r0[i])))
    return level


@nb.njit(cache=True, nogil=True)
def _clip_to(edges: np.ndarray, at: np.ndarray) -> bool:
    """Move a point into an interval; True when it had been outside."""
    for side in (0, 2):
        beyond = _add(at[0], at[1], -edges[side], -edges[side + 1])[0] * (1 - side)
        if not beyond >= 0.0:
            at[0], at[1] = edges[side], edges[side + 1]
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _raise_reference(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, family: int, nu: float,
                     reference: np.ndarray, known: bool) -> None:
    """Raise the reference to the highest level met at the prior mean and at the centres of the noise factors.

    A reference that is not yet `known` is zero and is replaced by the first level met.
    With Gaussian noise the maximum itself is found: the slope is linear, so two Newton steps suffice.
    """
    n = shifts.shape[1]
    r0, info, at = np.empty(n), np.empty(7), np.empty(2)
    for q in range(len(edges)):
        for i in range(-1, 0 if family == GAUSSIAN else n):
            at[0], at[1] = 0.0, 0.0
            if i >= 0:
                if slopes[q, i, 0] == 0.0:
                    continue
                at[0], at[1] = _div(shifts[q, i, 0], shifts[q, i, 1], slopes[q, i, 0], slopes[q, i, 1])
            _clip_to(edges[q], at)
            for _ in range(2 if family == GAUSSIAN else 0):
                _describe(at[0], at[1], 0.0, shifts[q], slopes[q], family, nu, 0.0, 0.0, r0, info)
                at[0], at[1] = _add(at[0], at[1], info[_SLOPE] / info[_CURVE], 0.0)
                if _clip_to(edges[q], at):
                    break
            for _ in range(2):  # the second time with the rounding of the first
                level = _level_at(at[0], at[1], shifts[q], slopes[q], family, nu, reference[0], reference[1], r0, info)
                if level > 0.0 or not known:
                    reference[0], reference[1] = _add(reference[0], reference[1], level, 0.0)
            known = True


@nb.njit(cache=True, nogil=True)
def _log_sum(keys: np.ndarray, size: int) -> float:
    if size == 0:
        return -math.inf
    top = keys[0]
    total = 0.0
    for i in range(size):
        total += math.exp(keys[i] - top)
    return top + math.log(total)


@nb.njit(cache=True, nogil=True)
def _search(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, log_roots: np.ndarray, family: int, nu: float,
            nodes: np.ndarray, weights: np.ndarray, rtol: float, ref_hi: float, ref_lo: float, may_rebase: bool,
            panels: np.ndarray, owner: np.ndarray, keys: np.ndarray, slots: np.ndarray, total: np.ndarray,
            rebased: np.ndarray) -> float:
    """Treat panels, largest bound first, until what is left is negligible; returns the log of what is left.

    When the first panel to be integrated lies far from the reference level, `rebased` receives a better one.
    """
    n = shifts.shape[1]
    r0, info, mid = np.empty(n), np.empty(7), np.empty(2)
    work = np.empty(len(nodes))
    roots = len(log_roots)
    accept, drop = math.log(rtol / 200.0), math.log(rtol / 100.0)
    stuck = -math.inf
    for q in range(roots):
        panels[q] = edges[q]
        owner[q] = q
        slots[q] = q
        keys[q] = _mass_bound(panels[q], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info) + log_roots[q]
        _sift_up(keys, slots, q)
    size, used = roots, roots
    while size > 0:
        done = total[_SCALE] + math.log(total[_SUM]) if total[_SUM] > 0.0 else -math.inf
        key, slot = keys[0], slots[0]
        if key + math.log(size) < done + drop or used >= len(keys):
            break
        q = owner[slot]
        _describe_centre(panels[slot], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info)
        # Bounds and value are formed relative to the panel's own level, so a poor reference does not blur them.
        level = info[_LEVEL]
        info[_LEVEL], info[_REFERENCE] = 0.0, ref_hi + level
        base = level + log_roots[q]
        own = _bound(1.0, 0.0, family, nu, info, r0, slopes[q]) + math.log(panels[slot, 4])
        target = max(done, own + base) + accept
        error = math.inf
        if not _has_kink(panels[slot], family, shifts[q], slopes[q]):
            error = _truncation(len(nodes), max(done - base, own) + accept, family, nu, info, r0, slopes[q]) + base
        accepted = False
        if error <= target:
            value = _integrate(family, nu, info, r0, slopes[q], nodes, weights, work) + base
            if error <= max(done, value) + accept:
                if may_rebase and abs(value) > _REBASE and (done == -math.inf or value > done):
                    rebased[0] = 1.0
                    rebased[1], rebased[2] = _add(ref_hi, ref_lo, value, 0.0)
                    return 0.0
                rounding = _rounding(family, nu, info, r0, slopes[q]) + _EPS * (abs(level) + abs(log_roots[q]))
                _accumulate(total, value, error, rounding)
                accepted = True
        if not accepted and not _cut(panels[slot], family, nu, info, r0, shifts[q], slopes[q], mid):
            stuck = max(stuck, key) + math.log1p(math.exp(-abs(stuck - key))) if stuck > -math.inf else key
            accepted = True
        if accepted:
            size -= 1
            keys[0], slots[0] = keys[size], slots[size]
            _sift_down(keys, slots, size)
            continue
        _divide(panels, owner, slot, used, mid)
        keys[0] = _mass_bound(panels[slot], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info) + log_roots[q]
        _sift_down(keys, slots, size)
        keys[size] = (_mass_bound(panels[used], shifts[q], slopes[q], family, nu, ref_hi, ref_lo, r0, info)
                      + log_roots[q])
        slots[size] = used
        _sift_up(keys, slots, size)
        size += 1
        used += 1
    rest = _log_sum(keys, size)
    if stuck > rest:
        return stuck + math.log1p(math.exp(rest - stuck))
    return rest + math.log1p(math.exp(stuck - rest)) if stuck > -math.inf else rest


@nb.njit(cache=True, nogil=True)
def _finish(total: np.ndarray, rest: float, ref_hi: float, ref_lo: float,
            log_constant: float) -> tuple[float, float]:
    """Log density and its error from the accumulated sums and the mass that was left out."""
    if total[_SUM] <= 0.0:
        value = ref_hi + (min(rest, 0.0) if rest > -math.inf else 0.0) + log_constant
        return max(value, LOWEST), math.inf
    level = total[_SCALE] + math.log(total[_SUM])
    relative = total[_TRUNCATION] / total[_SUM]
    missing = rest - level
    upper = math.log1p(relative + math.exp(missing)) if missing < 700.0 else missing + 1.0
    lower = -math.log1p(-relative) if relative < 1.0 else math.inf
    value = ref_hi + (level + (ref_lo + log_constant))
    if not value > LOWEST:
        return LOWEST, math.inf
    error = max(upper, lower) + total[_ROUNDING] / total[_SUM]
    return value, error + 2.0 * _EPS * (abs(value) + abs(level) + 2.0 * abs(log_constant) + 2.0 * abs(ref_lo))


@nb.njit(cache=True, nogil=True)
def _crude(shifts: np.ndarray, slopes: np.ndarray, edges: np.ndarray, log_roots: np.ndarray, atom_shifts: np.ndarray,
           atom_logs: np.ndarray, family: int, nu: float, log_constant: float) -> float:
    """A finite stand-in where numbers leave the range: the largest integrand seen at a few points."""
    best = LOWEST
    n = shifts.shape[1]
    for q in range(len(log_roots)):
        for k in range(-1, n):
            t = 0.0 if k < 0 or slopes[q, k, 0] == 0.0 else shifts[q, k, 0] / slopes[q, k, 0]
            t = min(max(t, edges[q, 0]), edges[q, 2])
            g = log_roots[q] - 0.5 * t * t
            for i in range(n):
                g += _log_noise(family, nu, shifts[q, i, 0] - slopes[q, i, 0] * t)
            if g > best:
                best = g
    for q in range(len(atom_logs)):
        g = atom_logs[q]
        for i in range(n):
            g += _log_noise(family, nu, atom_shifts[q, i, 0])
        if g > best:
            best = g
    return max(best + log_constant, LOWEST)


@nb.njit(cache=True, nogil=True)
def quadrature_line(x: np.ndarray, whiten: np.ndarray, centres: np.ndarray, slopes: np.ndarray, edges: np.ndarray,
                    log_roots: np.ndarray, atom_centres: np.ndarray, atom_logs: np.ndarray, family: int, nu: float,
                    log_constant: float, nodes: np.ndarray, weights: np.ndarray, rtol: float, max_panels: int,
                    value: np.ndarray, error: np.ndarray) -> None:
    r"""Log density of x = f(z) + eps for one latent, by adaptive quadrature with error bounds.

    .. math::

        \log p(x) = c + \log\Big[\sum_q e^{\ell_q} \int_{s_q}^{e_q} e^{-t^2/2} \prod_i g(r_{qi}(t))\, dt
        + \sum_a e^{\ell_a} \prod_i g(r_{ai})\Big], \quad r_q(t) = W x - C_q - B_q t

    with g the noise density divided by its constant. Roots q are pairs of mixture component and affine piece.

    Parameters
    ----------
    x : (N, n)
        Observations, finite.
    whiten : (n, n, 2) or (n, 1, 2)
        Lower triangular W, or its diagonal, as pairs of floats (last axis: high and low part).
    centres, slopes : (Q, n, 2)
        C and B as pairs.
    edges : (Q, 5)
        Ends of the t-interval as pairs, then its width; \|t\| <= `T_MAX`.
    log_roots : (Q,)
        Log of weight and prior constant.
    atom_centres, atom_logs : (A, n, 2), (A,)
        Point-mass components: C and log weight.
    family : int
        `GAUSSIAN`, `LAPLACE`, `LOGISTIC` or `STUDENT`; `nu` is the degrees of freedom of the last.
    log_constant : float
        Sum of the logs of the noise constants.
    nodes, weights : (m,)
        Gauss-Legendre rule on [-1, 1].
    rtol : float
        Aim for the relative truncation error of the density.
    max_panels : int
        Panels kept at most for one observation; at least Q + 2.
    value, error : (N,)
        Results. `value` is finite; `error` bounds the truncation error and estimates rounding.

    Notes
    -----
    **Accuracy.** `error` is near ``1e-12 + 1e-15 * abs(value)`` unless the panels run out (then it covers the mass
    not resolved), or whitened numbers exceed `SIZE_MAX` (then it is inf). Time grows with the roots that matter
    at x, memory with Q n + `max_panels` only.
    """
    n = x.shape[1]
    count, atoms = len(log_roots), len(atom_logs)
    shifts, atom_shifts = np.empty((count, n, 3)), np.empty((atoms, n, 3))
    panels, owner = np.empty((max_panels, 5)), np.empty(max_panels, np.int64)
    keys, slots = np.empty(max_panels), np.empty(max_panels, np.int64)
    total, rebased, levels = np.empty(4), np.zeros(3), np.empty((atoms, 3))
    reference = np.empty(2)
    slopes_fit = True
    for q in range(count):
        for i in range(n):
            slopes_fit = slopes_fit and abs(slopes[q, i, 0]) < SIZE_MAX
    for row in range(len(x)):
        fine = _shifts(x[row], whiten, centres, shifts)
        fine = _shifts(x[row], whiten, atom_centres, atom_shifts) and fine
        if not (fine and slopes_fit):
            value[row] = _crude(shifts, slopes, edges, log_roots, atom_shifts, atom_logs, family, nu, log_constant)
            error[row] = math.inf
            continue
        reference[:] = 0.0
        for a in range(atoms):
            levels[a] = _atom_level(atom_shifts[a], atom_logs[a], family, nu)
            if a == 0 or levels[a, 0] > reference[0]:
                reference[:] = levels[a, :2]
        _raise_reference(shifts, slopes, edges, family, nu, reference, atoms > 0)
        ref_hi, ref_lo = reference[0], reference[1]
        rest = -math.inf
        for attempt in range(_REBASE_TRIES):
            total[:] = 0.0
            total[_SCALE] = -math.inf
            for a in range(atoms):
                level = (levels[a, 0] - ref_hi) + (levels[a, 1] - ref_lo)
                _accumulate(total, level, -math.inf, levels[a, 2] + _EPS * (24.0 + abs(level)))
            rebased[0] = 0.0
            rest = _search(shifts, slopes, edges, log_roots, family, nu, nodes, weights, rtol, ref_hi, ref_lo,
                           attempt + 1 < _REBASE_TRIES, panels, owner, keys, slots, total, rebased)
            if rebased[0] == 0.0:
                break
            ref_hi, ref_lo = rebased[1], rebased[2]
        outside = 2.0 - 0.5 * T_MAX * T_MAX - ref_hi
        if outside > rest:
            rest = outside + math.log1p(math.exp(rest - outside))
        value[row], error[row] = _finish(total, rest, ref_hi, ref_lo, log_constant)
