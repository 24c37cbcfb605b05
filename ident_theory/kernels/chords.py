"""Sums of normal laws times masses of chords: the density of a scalar image of the plane."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import LOWEST, difference
from ident_theory.kernels.polygons import log_normal_interval, log_normal_stretch

_EPS = 2.220446049250313e-16
#: Standardised distances whose square is no float64.
_TOO_FAR = 1e150


@nb.njit(cache=True, nogil=True)
def _line(x: float, row: np.ndarray) -> float:
    """The affine function slope (x - zero) + constant; a zero given as a pair keeps its relative accuracy."""
    return row[0] * difference(x, 0.0, row[1], row[2]) + row[3]


@nb.njit(cache=True, nogil=True)
def chord_log_density(x: np.ndarray, bases: np.ndarray, centers: np.ndarray, scales: np.ndarray,
                      ranges: np.ndarray, rows: np.ndarray, starts: np.ndarray, value: np.ndarray,
                      error: np.ndarray) -> None:
    """Log density of a sum of normal laws, each times the normal mass of an interval that moves with x.

    Term p is exp(bases[p] - y^2 / 2) [Phi(top) - Phi(bottom)] with y = (x - centers[p]) scales[p], where top is
    the least of some affine functions of x, bottom the greatest of others, and x must lie in ranges[p].

    The width of the interval is the least difference of an upper and a lower function. These differences are
    affine functions with exact zeros of their own, so that narrow intervals lose no digits, and whether an
    interval is empty is decided without rounding.

    Parameters
    ----------
    x : ndarray, shape (N,)
    bases, scales : ndarray, shape (T,)
    centers : ndarray, shape (T, 2)
        Unevaluated sums of two floats.
    ranges : ndarray, shape (T, 4)
        Lower end (inside) and upper end (outside), each as a pair.
    rows : ndarray, shape (R, 4)
        Affine functions: slope, zero as a pair, constant.
    starts : ndarray of int, shape (3 T + 1,)
        Where the upper functions, the lower ones and the differences of every term start in `rows`.
    value, error : ndarray, shape (N,)
        Receive the log density, -inf where no term reaches, and the effect of rounding.
    """
    terms = len(bases)
    logs, doubts = np.empty(terms), np.empty(terms)
    for i in range(len(x)):
        used, reached, peak = 0, False, -np.inf
        for p in range(terms):
            if (difference(x[i], 0.0, ranges[p, 0], ranges[p, 1]) < 0.0
                    or difference(x[i], 0.0, ranges[p, 2], ranges[p, 3]) >= 0.0):
                continue
            width, top, bottom = np.inf, np.inf, -np.inf
            for k in range(starts[3 * p + 2], starts[3 * p + 3]):
                width = min(width, _line(x[i], rows[k]))
            if not width > 0.0:
                continue
            reached = True
            for k in range(starts[3 * p], starts[3 * p + 1]):
                top = min(top, _line(x[i], rows[k]))
            for k in range(starts[3 * p + 1], starts[3 * p + 2]):
                bottom = max(bottom, _line(x[i], rows[k]))
            y = difference(x[i], 0.0, centers[p, 0], centers[p, 1]) * scales[p]
            near = max(0.0, max(bottom, -top))
            if abs(y) > _TOO_FAR or near > _TOO_FAR:
                continue
            mass = log_normal_interval(bottom, top) if near == 0.0 else log_normal_stretch(near, width)
            term = bases[p] - 0.5 * y * y + mass
            logs[used] = term
            # Ends, widths and y have a relative error of a few ulps; the log mass moves by `near` times that of the
            # nearer end, and by at most the relative error of the width.
            doubts[used] = _EPS * (12.0 + 4.0 * (y * y + near * near) + abs(bases[p]) + abs(term))
            peak = max(peak, term)
            used += 1
        if not peak > LOWEST:
            value[i], error[i] = (LOWEST, np.inf) if reached else (-np.inf, 0.0)
            continue
        total, doubt = 0.0, 0.0
        for q in range(used):
            share = math.exp(logs[q] - peak)
            total += share
            doubt += share * doubts[q]
        value[i] = peak + math.log(total)
        error[i] = doubt / total + _EPS * (4.0 + abs(value[i]))
