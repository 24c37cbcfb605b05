"""Panels of the quadrature over one latent: the integrand on them and rigorous bounds; see `quadrature`."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.pairs import pair_add, pair_mul

GAUSSIAN, LAPLACE, LOGISTIC, STUDENT = range(4)
#: Standardised latents beyond this are left out; their mass is below exp(-T^2 / 2) and part of the error.
T_MAX = 1.0e60
#: Whitened slopes and residuals up to this size keep every square finite.
SIZE_MAX = 1.0e70

EPS = 2.3e-16
PAIR_EPS = 2.0**-98  # relative error of a few operations on pairs, with room to spare
_RHO = np.array([1.4, 1.7, 2.0, 2.4, 2.9, 3.5, 4.3, 5.3, 6.6, 8.5, 11.5, 16.0, 30.0])
_RHO_SEMI_REAL = (_RHO + 1 / _RHO) / 2
_RHO_SEMI_IMAG = (_RHO - 1 / _RHO) / 2
_LOG_RHO = np.log(_RHO)
_LOG_RHO_TAIL = np.log(4.01 / (1 - _RHO**-2.0))

# Entries of the vector that describes one panel at one observation, see describe.
CENTRE, HALF, LEVEL, SLOPE, CURVE, UNSURE, REFERENCE = range(7)


@nb.njit(cache=True, nogil=True)
def residual(at_hi: float, at_lo: float, shift: np.ndarray, slope: np.ndarray) -> tuple[float, float]:
    """R - B t as a pair."""
    ph, pl = pair_mul(slope[0], slope[1], at_hi, at_lo)
    return pair_add(shift[0], shift[1], -ph, -pl)


@nb.njit(cache=True, nogil=True)
def log_noise(family: int, nu: float, r: float) -> float:
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
def score(family: int, nu: float, r: float) -> float:
    """Minus the derivative of `log_noise`."""
    if family == GAUSSIAN:
        return r
    if family == LAPLACE:
        return math.copysign(1.0, r)
    if family == LOGISTIC:
        return math.tanh(0.5 * r)
    return (nu + 1.0) * r / (nu + r * r)


@nb.njit(cache=True, nogil=True)
def describe(ch: float, cl: float, inward: float, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
              ref_hi: float, ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """Residuals at the point `ch + cl`, and the quadratic part of the log integrand round it.

    The quadratic part holds prior, Gaussian and Laplace terms entirely and the linear part -|r| of logistic
    ones; its level is taken relative to the reference. At a Laplace kink it is the branch on the side of `inward`.
    """
    sh, sl = pair_mul(ch, cl, ch, cl)
    level_hi, level_lo = -0.5 * sh, -0.5 * sl
    slope_hi, slope_lo = -ch, -cl
    curve = 1.0
    unsure = 0.0
    for i in range(len(r0)):
        bh, bl = slopes[i, 0], slopes[i, 1]
        rh, rl = residual(ch, cl, shifts[i], slopes[i])
        r0[i] = rh
        blur = shifts[i, 2] + abs(bh * ch)
        unsure += abs(score(family, nu, rh)) * blur
        if family == GAUSSIAN:
            sh, sl = pair_mul(rh, rl, rh, rl)
            level_hi, level_lo = pair_add(level_hi, level_lo, -0.5 * sh, -0.5 * sl)
            sh, sl = pair_mul(rh, rl, bh, bl)
            slope_hi, slope_lo = pair_add(slope_hi, slope_lo, sh, sl)
            curve += bh * bh
        elif family != STUDENT:
            at_kink = family == LAPLACE and abs(rh) <= 2.0 * PAIR_EPS * blur
            sign = math.copysign(1.0, -bh * inward if at_kink else rh)
            level_hi, level_lo = pair_add(level_hi, level_lo, -sign * rh, -sign * rl)
            slope_hi, slope_lo = pair_add(slope_hi, slope_lo, sign * bh, sign * bl)
    out[CENTRE] = ch
    out[LEVEL] = (level_hi - ref_hi) + (level_lo - ref_lo)
    out[SLOPE] = slope_hi
    out[CURVE] = curve
    out[UNSURE] = PAIR_EPS * (unsure + ch * ch + abs(level_hi))
    out[REFERENCE] = ref_hi


@nb.njit(cache=True, nogil=True)
def describe_centre(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
                     ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """`describe` at the centre of a panel."""
    ch, cl = pair_add(panel[0], panel[1], 0.5 * panel[4], 0.0)
    out[HALF] = 0.5 * panel[4]
    describe(ch, cl, 0.0, shifts, slopes, family, nu, ref_hi, ref_lo, r0, out)


@nb.njit(cache=True, nogil=True)
def describe_end(panel: np.ndarray, side: int, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                  ref_hi: float, ref_lo: float, r0: np.ndarray, out: np.ndarray) -> None:
    """`describe` at the left (side 0) or right (side 2) end of a panel."""
    describe(panel[side], panel[side + 1], 1.0 - side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, out)


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
def ellipse_bound(real: float, imag: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
           slopes: np.ndarray) -> float:
    """Log of a bound on the integrand over the ellipse with semi-axes real * h and imag * h round the centre.

    With imag = 0 and real = 1 this is the panel itself. Two bounds are formed and the smaller one taken.
    *Joint*: on the ellipse, real part y = a cos, imaginary part b sin, the quadratic part is itself quadratic in
    the cosine; concave terms lie under their tangent at the centre, Student ones under a parabola.
    *Separate*: every factor at its own maximum.
    """
    h = info[HALF]
    a, b = real * h, imag * h
    q = info[CURVE]
    level, slope, curvature = info[LEVEL], info[SLOPE], 0.0
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
                level += log_noise(family, nu, size)
                slope += score(family, nu, r0[i]) * slopes[i, 0]
                curvature += steep * steep * _student_curvature(nu, least, most)
    if factors == math.inf:
        return math.inf
    high = _highest(slope * a, curvature * a * a - q * (a * a + b * b))
    best = level + 0.5 * q * b * b + high + 4.0 * EPS * (abs(level) + abs(high))
    if family != GAUSSIAN:
        best = min(best, _separate_bound(a, b, family, nu, info, r0, slopes))
    return best + factors + info[UNSURE]


@nb.njit(cache=True, nogil=True)
def _separate_bound(a: float, b: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
                    slopes: np.ndarray) -> float:
    """Sum of the maxima of the factors, complex factors apart."""
    least = max(0.0, abs(info[CENTRE]) - a)
    total = 0.5 * (b * b - least * least)
    for i in range(len(r0)):
        gap = abs(r0[i]) - abs(slopes[i, 0]) * a
        if family == LAPLACE and b > 0.0:
            total -= gap  # the linear branch continues beyond the kink
        else:
            total += log_noise(family, nu, max(0.0, gap))
    return total - info[REFERENCE] + 4.0 * EPS * (abs(total) + abs(info[REFERENCE]))


@nb.njit(cache=True, nogil=True)
def _tangent_bound(panel: np.ndarray, side: int, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                   ref_hi: float, ref_lo: float, r0: np.ndarray, info: np.ndarray) -> float:
    """Maximum over a panel of the parabola that touches a concave log integrand from above at one end."""
    describe_end(panel, side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
    level, width, q = info[LEVEL], panel[4], info[CURVE]
    slope = info[SLOPE] * (1 - side)
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
    return level + rise + 4.0 * EPS * (abs(level) + rise) + info[UNSURE]


@nb.njit(cache=True, nogil=True)
def _factor_bound(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float,
                  ref_hi: float) -> float:
    """Sum of the maxima of the factors over a panel, found from its ends."""
    least = 0.0 if panel[0] * panel[2] < 0.0 else min(abs(panel[0]), abs(panel[2]))
    total = -0.5 * least * least
    unsure = abs(total)
    for i in range(len(shifts)):
        left = residual(panel[0], panel[1], shifts[i], slopes[i])[0]
        right = residual(panel[2], panel[3], shifts[i], slopes[i])[0]
        least = 0.0 if left * right < 0.0 else min(abs(left), abs(right))
        total += log_noise(family, nu, least)
        far = max(abs(panel[0]), abs(panel[2]))
        unsure += abs(score(family, nu, least)) * (shifts[i, 2] + abs(slopes[i, 0]) * far)
    return total - ref_hi + 4.0 * EPS * (abs(total) + abs(ref_hi)) + PAIR_EPS * unsure


@nb.njit(cache=True, nogil=True)
def mass_bound(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, family: int, nu: float, ref_hi: float,
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
        describe_centre(panel, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info)
        if family == STUDENT:
            length = math.log(panel[4])
        return ellipse_bound(1.0, 0.0, family, nu, info, r0, slopes) + length
    best = math.inf
    if family != GAUSSIAN:
        best = _factor_bound(panel, shifts, slopes, family, nu, ref_hi)
    if family != STUDENT:
        for side in (0, 2):
            best = min(best, _tangent_bound(panel, side, shifts, slopes, family, nu, ref_hi, ref_lo, r0, info))
    return best + length


@nb.njit(cache=True, nogil=True)
def kink_inside(panel: np.ndarray, shift: np.ndarray, slope: np.ndarray) -> bool:
    """Whether a Laplace kink lies inside the panel, further from its ends than could matter.

    Ignoring a kink at the residual d from an end replaces -|r| by one of its branches, at most 2 d too high, over
    the fraction d / (B width) of the panel.
    """
    left = residual(panel[0], panel[1], shift, slope)[0]
    right = residual(panel[2], panel[3], shift, slope)[0]
    if left * right >= 0.0:
        return False
    steep = abs(slope[0])
    least = 1e-9 * min(1.0, steep * panel[4])
    return (abs(left) > least + PAIR_EPS * (shift[2] + steep * abs(panel[0]))
            and abs(right) > least + PAIR_EPS * (shift[2] + steep * abs(panel[2])))


@nb.njit(cache=True, nogil=True)
def has_kink(panel: np.ndarray, family: int, shifts: np.ndarray, slopes: np.ndarray) -> bool:
    """Whether any Laplace kink lies inside the panel."""
    if family == LAPLACE:
        for i in range(len(shifts)):
            if kink_inside(panel, shifts[i], slopes[i]):
                return True
    return False


@nb.njit(cache=True, nogil=True)
def truncation_bound(points: int, target: float, family: int, nu: float, info: np.ndarray, r0: np.ndarray,
                slopes: np.ndarray) -> float:
    """Log of a bound on the error of the Gauss-Legendre rule on the panel."""
    log_half = math.log(info[HALF])
    best = math.inf
    for i in range(len(_RHO)):
        sup = ellipse_bound(_RHO_SEMI_REAL[i], _RHO_SEMI_IMAG[i], family, nu, info, r0, slopes)
        if sup == math.inf:
            break
        error = sup + log_half + _LOG_RHO_TAIL[i] - 2.0 * points * _LOG_RHO[i]
        if error > best + 5.0:
            break
        best = min(best, error)
        if best < target - 4.0:
            break
    return best
