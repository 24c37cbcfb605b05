"""Exact log-likelihoods of piecewise affine decoders with their gradients, for one or two latents."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.estimators.exact_line import interval_moments
from ident_theory.estimators.exact_plane import polygon_moments
from ident_theory.kernels.polygons import TIGHT

_LOG_2PI = 1.8378770664093453
#: Terms smaller than the largest one by this many nats change nothing in float64.
_NEGLIGIBLE = 40.0
#: Masses below this need their relative error bounded, unless their term would not exceed the largest one by more than
#: `_COMPARABLE` nats if its mass were 1.
_LARGE, _COMPARABLE = 1e-3, 4.0


@nb.njit(cache=True, nogil=True)
def _factor(white: np.ndarray, slope: np.ndarray, std: float, root: np.ndarray, inverse: np.ndarray,
            pull: np.ndarray) -> float:
    """QR of the rows of `white` above those of `slope` / `std`: returns log det R.

    The precision of z given x is R^T R; no product of the two is formed, which would square the condition number.
    `root` receives R, `inverse` its inverse, `pull` the rows of Q^T that belong to `slope`, over `std`.
    """
    n, m = slope.shape
    stacked = np.empty((m + n, m))
    stacked[:m] = white
    stacked[m:] = slope / std
    root[:] = 0.0
    for i in range(m):
        for _ in range(2):  # twice is enough for orthogonality to rounding (Kahan and Parlett)
            for k in range(i):
                along = 0.0
                for row in range(m + n):
                    along += stacked[row, k] * stacked[row, i]
                root[k, i] += along
                for row in range(m + n):
                    stacked[row, i] -= along * stacked[row, k]
        length = 0.0
        for row in range(m + n):
            length = math.hypot(length, stacked[row, i])
        root[i, i] = length
        for row in range(m + n):
            stacked[row, i] /= length
    log_det = 0.0
    inverse[:] = 0.0
    for i in range(m):
        log_det += math.log(root[i, i])
        inverse[i, i] = 1.0 / root[i, i]
    if m == 2:
        inverse[0, 1] = -root[0, 1] / (root[0, 0] * root[1, 1])
    for i in range(m):
        for a in range(n):
            pull[i, a] = stacked[m + a, i] / std
    return log_det


@nb.njit(cache=True, nogil=True)
def posterior_pass(x: np.ndarray, chosen: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray,
                   log_weights: np.ndarray, means: np.ndarray, whites: np.ndarray, std: float,
                   interval_ends: np.ndarray, sides: np.ndarray, side_ends: np.ndarray, points: np.ndarray,
                   rays: np.ndarray, starts: np.ndarray, value: np.ndarray, latents: np.ndarray,
                   by_slope: np.ndarray, by_intercept: np.ndarray, by_weight: np.ndarray, by_mean: np.ndarray,
                   by_white: np.ndarray, by_std: np.ndarray) -> None:
    r"""Log densities, posterior means, and the sum over the rows of the gradient of the log density.

    The model is :math:`z \sim \sum_j w_j N(\mu_j, (W_j^T W_j)^{-1})`, :math:`x = A_k z + b_k + \epsilon` on cell k,
    :math:`\epsilon \sim N(0, s^2 I)`.

    Parameters
    ----------
    x : ndarray, shape (N, n)
    chosen : ndarray of int, shape (N,)
        The component that a row comes from, -1 for any.
    slopes, intercepts : ndarray, shapes (K, n, m), (K, n)
        A and b.
    log_weights, means, whites : ndarray, shapes (J,), (J, m), (J, m, m)
        log w, mu, W; W lower triangular with positive diagonal.
    std : float
        s.
    interval_ends : ndarray, shape (K + 1,)
        For m = 1.
    sides, side_ends, points, rays, starts : ndarray
        `Polygons`, for m = 2.
    value, latents : ndarray, shapes (N,), (N, m)
        Receive the log densities and E[z | x].
    by_slope, by_intercept, by_weight, by_mean, by_white : ndarray, shaped as what they are gradients by
        To them the gradients are added; no gradients are computed when `by_slope` is empty.
    by_std : ndarray, shape (1,)
        Likewise, by log s.
    """
    n, m = x.shape[1], means.shape[1]
    cells, components = len(slopes), len(means)
    terms = cells * components
    line = m == 1
    roots, inverses = np.empty((terms, m, m)), np.empty((terms, m, m))
    pulls, bases, centres = np.empty((terms, m, n)), np.empty(terms), np.empty((terms, n))
    width = 1
    if not line:
        for k in range(cells):
            for part in range(3):
                width = max(width, starts[part, k + 1] - starts[part, k])
    # The cell of each term in the frame that whitens its posterior, seen from the prior mean.
    frames = np.empty((terms, width, 3))
    corners = np.empty((terms, width, 2))
    directions = np.empty((terms, width, 2))
    for k in range(cells):
        for j in range(components):
            p = k * components + j
            log_det = _factor(whites[j], slopes[k], std, roots[p], inverses[p], pulls[p])
            bases[p] = log_weights[j] - log_det - n * (math.log(std) + 0.5 * _LOG_2PI)
            for i in range(m):
                bases[p] += math.log(whites[j, i, i])
            for a in range(n):
                centres[p, a] = intercepts[k, a]
                for i in range(m):
                    centres[p, a] += slopes[k, a, i] * means[j, i]
            if line:
                frames[p, 0, 0] = roots[p, 0, 0] * (interval_ends[k] - means[j, 0])
                frames[p, 0, 1] = roots[p, 0, 0] * (interval_ends[k + 1] - means[j, 0])
            else:
                _place(k, means[j], roots[p], inverses[p], sides, points, rays, starts, frames[p], corners[p],
                       directions[p])
    upper, logs = np.empty(terms), np.empty(terms)
    shifts, residuals = np.empty((terms, m)), np.empty((terms, n))
    found, spreads = np.empty((terms, m)), np.empty((terms, m, m))
    moved, moved_corners, anchors = np.empty((width, 3)), np.empty((width, 2)), np.empty((width, 3))
    delta, error = np.empty(m), np.empty(n)
    spread, half, deviation = np.empty((m, m)), np.empty((m, m)), np.empty(m)
    for row in range(len(x)):
        first, last = 0, components
        if chosen[row] >= 0:
            first, last = chosen[row], chosen[row] + 1
        best, best_term = -np.inf, -1
        for k in range(cells):
            for j in range(first, last):
                p = k * components + j
                for a in range(n):
                    residuals[p, a] = x[row, a] - centres[p, a]
                for i in range(m):
                    shifts[p, i] = 0.0
                    for a in range(n):
                        shifts[p, i] += pulls[p, i, a] * residuals[p, a]
                _apply(inverses[p], shifts[p], delta)
                square = 0.0
                for a in range(n):
                    e = residuals[p, a]
                    for i in range(m):
                        e -= slopes[k, a, i] * delta[i]
                    square += (e / std) ** 2
                for i in range(m):
                    e = 0.0
                    for c in range(i + 1):
                        e += whites[j, i, c] * delta[c]
                    square += e * e
                logs[p] = bases[p] - 0.5 * square
                outside = 0.0
                if line:
                    outside = max(frames[p, 0, 0] - shifts[p, 0], shifts[p, 0] - frames[p, 0, 1], 0.0)
                else:
                    for side in range(starts[0, k + 1] - starts[0, k]):
                        outside = max(outside, frames[p, side, 0] * shifts[p, 0] + frames[p, side, 1] * shifts[p, 1]
                                      - frames[p, side, 2])
                upper[p] = logs[p] - 0.5 * outside * outside
                if upper[p] > best:
                    best, best_term = upper[p], p
        if best_term < 0:
            value[row] = np.nan
            continue
        # The term with the largest bound comes first; what it leaves behind by far is not computed.
        peak, floor = -np.inf, -np.inf
        for turn in range(-1, terms):
            p = best_term if turn < 0 else turn
            k, j = p // components, p % components
            if turn >= 0 and (p == best_term or j < first or j >= last):
                continue
            if not upper[p] > floor:
                logs[p] = -np.inf
                continue
            if line:
                mass, mean, variance = -np.inf, 0.0, 0.0
                low, high = frames[p, 0, 0] - shifts[p, 0], frames[p, 0, 1] - shifts[p, 0]
                if low < high:
                    mass, mean, variance = interval_moments(low, high)
                logs[p] += mass
                found[p, 0], spreads[p, 0, 0] = mean, variance
            else:
                count, size = starts[0, k + 1] - starts[0, k], starts[1, k + 1] - starts[1, k]
                for side in range(count):
                    moved[side, 0], moved[side, 1] = frames[p, side, 0], frames[p, side, 1]
                    moved[side, 2] = (frames[p, side, 2] - frames[p, side, 0] * shifts[p, 0]
                                      - frames[p, side, 1] * shifts[p, 1])
                for corner in range(size):
                    moved_corners[corner, 0] = corners[p, corner, 0] - shifts[p, 0]
                    moved_corners[corner, 1] = corners[p, corner, 1] - shifts[p, 1]
                least, agreement = _LARGE, TIGHT  # a term with a small share needs few digits
                if peak > -np.inf:
                    agreement = min(1e-3, TIGHT * max(1.0, math.exp(min(700.0, peak - upper[p]))))
                    if logs[p] < peak + _COMPARABLE:
                        least = 0.0
                logs[p] += polygon_moments(moved[:count], side_ends[starts[0, k]:starts[0, k + 1]],
                                           moved_corners[:size], directions[p, :starts[2, k + 1] - starts[2, k]],
                                           anchors, least, agreement, found[p], spreads[p])
            if logs[p] > peak:
                peak = logs[p]
                floor = peak - _NEGLIGIBLE - math.log(terms)
        total = 0.0
        for k in range(cells):
            for j in range(first, last):
                total += math.exp(logs[k * components + j] - peak)
        value[row] = peak + math.log(total)
        latents[row] = 0.0
        for k in range(cells):
            for j in range(first, last):
                p = k * components + j
                share = math.exp(logs[p] - value[row])
                if not share > 1e-20:
                    continue
                for i in range(m):
                    deviation[i] = shifts[p, i] + found[p, i]
                _apply(inverses[p], deviation, delta)
                for i in range(m):
                    latents[row, i] += share * (means[j, i] + delta[i])
                if by_slope.size == 0:
                    continue
                for i in range(m):  # covariance of z: R^-1 C R^-T
                    for c in range(m):
                        half[i, c] = 0.0
                        for q in range(i, m):
                            half[i, c] += inverses[p, i, q] * spreads[p, q, c]
                for i in range(m):
                    for c in range(m):
                        spread[i, c] = 0.0
                        for q in range(c, m):
                            spread[i, c] += half[i, q] * inverses[p, c, q]
                square = 0.0
                for a in range(n):
                    error[a] = residuals[p, a]
                    for i in range(m):
                        error[a] -= slopes[k, a, i] * delta[i]
                    square += (error[a] / std) ** 2
                    by_intercept[k, a] += share * error[a] / std / std
                    for i in range(m):
                        blur = 0.0
                        for c in range(m):
                            blur += slopes[k, a, c] * spread[c, i]
                        square += blur / std * slopes[k, a, i] / std
                        by_slope[k, a, i] += share * (error[a] * (means[j, i] + delta[i]) - blur) / std / std
                by_std[0] += share * (square - n)
                by_weight[j] += share
                for i in range(m):
                    scaled = 0.0
                    for c in range(i + 1):
                        scaled += whites[j, i, c] * delta[c]
                    for c in range(i + 1):
                        by_mean[j, c] += share * whites[j, i, c] * scaled
                        inner = scaled * delta[c]
                        for q in range(i + 1):
                            inner += whites[j, i, q] * spread[q, c]
                        by_white[j, i, c] -= share * inner
                    by_white[j, i, i] += share / whites[j, i, i]


@nb.njit(cache=True, nogil=True)
def _apply(inverse: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """R^-1 w for an upper triangular R of size 1 or 2."""
    out[0] = inverse[0, 0] * w[0]
    if len(w) == 2:
        out[0] += inverse[0, 1] * w[1]
        out[1] = inverse[1, 1] * w[1]


@nb.njit(cache=True, nogil=True)
def _place(k: int, mean: np.ndarray, root: np.ndarray, inverse: np.ndarray, sides: np.ndarray, points: np.ndarray,
           rays: np.ndarray, starts: np.ndarray, frame: np.ndarray, corners: np.ndarray,
           directions: np.ndarray) -> None:
    """Sides, corners and rays of cell k in the coordinates w = R (z - mean)."""
    for side in range(starts[0, k + 1] - starts[0, k]):
        a, b, offset = sides[starts[0, k] + side, 0], sides[starts[0, k] + side, 1], sides[starts[0, k] + side, 2]
        u, v = a * inverse[0, 0], a * inverse[0, 1] + b * inverse[1, 1]
        length = math.hypot(u, v)
        frame[side, 0], frame[side, 1] = u / length, v / length
        frame[side, 2] = (offset - a * mean[0] - b * mean[1]) / length
    for corner in range(starts[1, k + 1] - starts[1, k]):
        u, v = points[starts[1, k] + corner, 0] - mean[0], points[starts[1, k] + corner, 1] - mean[1]
        corners[corner, 0], corners[corner, 1] = root[0, 0] * u + root[0, 1] * v, root[1, 1] * v
    for ray in range(starts[2, k + 1] - starts[2, k]):
        u, v = rays[starts[2, k] + ray, 0], rays[starts[2, k] + ray, 1]
        u, v = root[0, 0] * u + root[0, 1] * v, root[1, 1] * v
        length = math.hypot(u, v)
        directions[ray, 0], directions[ray, 1] = u / length, v / length
