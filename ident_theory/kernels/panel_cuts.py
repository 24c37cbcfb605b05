"""Where the quadrature over one latent cuts its panels. Any cut is correct; a good one saves work."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.pairs import pair_add, pair_div
from ident_theory.kernels.panels import (
    CURVE,
    LAPLACE,
    LOGISTIC,
    SLOPE,
    STUDENT,
    describe,
    describe_end,
    kink_inside,
    residual,
)


@nb.njit(cache=True, nogil=True)
def _end_slope(panel: np.ndarray, side: int, family: int, nu: float, shifts: np.ndarray, slopes: np.ndarray,
               r0: np.ndarray, info: np.ndarray) -> float:
    """Derivative of the log integrand at an end of a panel."""
    describe_end(panel, side, shifts, slopes, family, nu, 0.0, 0.0, r0, info)
    slope = info[SLOPE]
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
    spread = 4.5 / math.sqrt(info[CURVE])
    if left * spread <= 1e-3 or right * spread >= -1e-3:
        falling = left * spread <= 1e-3
        step = min(spread, 16.0 / max(-left if falling else right, 1e-300))
        if falling:
            mid[0], mid[1] = pair_add(panel[0], panel[1], step, 0.0)
        else:
            mid[0], mid[1] = pair_add(panel[2], panel[3], -step, 0.0)
        return step * 1.5 < width
    if family >= LOGISTIC or width < 1.5 * spread:
        return False
    mid[0], mid[1] = pair_add(panel[0], panel[1], 0.5 * width, 0.0)
    for _ in range(10):  # Newton on a linear slope: every step gains the 16 digits of the division
        describe(mid[0], mid[1], 0.0, shifts, slopes, family, nu, 0.0, 0.0, r0, info)
        step = info[SLOPE] / info[CURVE]
        mid[0], mid[1] = pair_add(mid[0], mid[1], step, 0.0)
        if abs(step) < 1e-6 * spread:
            break
    return True


@nb.njit(cache=True, nogil=True)
def _cut_at_kink(panel: np.ndarray, shifts: np.ndarray, slopes: np.ndarray, mid: np.ndarray) -> bool:
    """Cut at the steepest Laplace kink inside the panel."""
    steepest, chosen = 0.0, -1
    for i in range(len(shifts)):
        steep = abs(slopes[i, 0])
        if steep > steepest and kink_inside(panel, shifts[i], slopes[i]):
            steepest, chosen = steep, i
    if chosen < 0:
        return False
    mid[0], mid[1] = pair_div(shifts[chosen, 0], shifts[chosen, 1], slopes[chosen, 0], slopes[chosen, 1])
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
            left = residual(panel[0], panel[1], shifts[i], slopes[i])[0]
            right = residual(panel[2], panel[3], shifts[i], slopes[i])[0]
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
                mid[0], mid[1] = pair_div(shifts[i, 0], shifts[i, 1], slopes[i, 0], slopes[i, 1])
        else:
            step = (math.sqrt(max(least, scale)) * math.sqrt(most) - least) / steep
            if abs(left) <= abs(right):
                mid[0], mid[1] = pair_add(panel[0], panel[1], step, 0.0)
            else:
                mid[0], mid[1] = pair_add(panel[2], panel[3], -step, 0.0)
    return found


@nb.njit(cache=True, nogil=True)
def _strictly_inside(panel: np.ndarray, mid: np.ndarray) -> bool:
    lower = pair_add(mid[0], mid[1], -panel[0], -panel[1])[0]
    upper = pair_add(panel[2], panel[3], -mid[0], -mid[1])[0]
    return lower > 0.0 and upper > 0.0


@nb.njit(cache=True, nogil=True)
def choose_cut(panel: np.ndarray, family: int, nu: float, info: np.ndarray, r0: np.ndarray, shifts: np.ndarray,
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
    mid[0], mid[1] = pair_add(panel[0], panel[1], 0.5 * panel[4], 0.0)
    return _strictly_inside(panel, mid)


@nb.njit(cache=True, nogil=True)
def divide(panels: np.ndarray, owner: np.ndarray, slot: int, free: int, mid: np.ndarray) -> None:
    """Replace the panel in `slot` by its left part and put the right part into `free`."""
    whole = panels[slot]
    right = panels[free]
    lower = pair_add(mid[0], mid[1], -whole[0], -whole[1])[0]
    upper = pair_add(whole[2], whole[3], -mid[0], -mid[1])[0]
    if whole[4] < 1e-20 * abs(whole[0]):
        # Pairs no longer resolve such a width; the exact one given with the root is shared out instead.
        upper = whole[4] * (upper / (lower + upper))
        lower = whole[4] - upper
    right[0], right[1], right[2], right[3], right[4] = mid[0], mid[1], whole[2], whole[3], upper
    whole[2], whole[3], whole[4] = mid[0], mid[1], lower
    owner[free] = owner[slot]
