"""Sums of normal laws times masses of polygons: the log density for two latents."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import LOWEST
from ident_theory.kernels.polygons import TIGHT, log_polygon_mass, nearest_points

_EPS = 2.220446049250313e-16


@nb.njit(cache=True, nogil=True)
def plane_log_density(x: np.ndarray, bases: np.ndarray, whiteners: np.ndarray, means: np.ndarray,
                      normals: np.ndarray, offsets: np.ndarray, gradients: np.ndarray, ends: np.ndarray,
                      points: np.ndarray, pulls: np.ndarray, rays: np.ndarray, side_start: np.ndarray,
                      point_start: np.ndarray, ray_start: np.ndarray, value: np.ndarray,
                      error: np.ndarray) -> None:
    """Log density of a sum of normal laws, each times the mass of a polygon that moves with x.

    Term p is exp(bases[p] - |whiteners[p] (x - means[p])|^2 / 2) times the standard normal mass of the
    polygon with sides normal . w <= offset + gradient . x and corners point - pull x.

    Parameters
    ----------
    x : ndarray, shape (N, n)
    bases, whiteners, means : ndarray, shapes (T,), (T, n, n), (T, n)
    normals, offsets, gradients, ends : ndarray, shapes (K, 2), (K,), (K, n), (K, 2)
        Sides of all terms; `ends` counts within the term.
    points, rays : ndarray, shapes (P, 2), (R, 2)
    pulls : ndarray, shape (T, 2, n)
    side_start, point_start, ray_start : ndarray of int, shape (T + 1,)
    value, error : ndarray, shape (N,)
        Receive the log density and its estimated absolute error.
    """
    n = x.shape[1]
    terms = len(bases)
    most = 1
    for p in range(terms):
        most = max(most, max(side_start[p + 1] - side_start[p], point_start[p + 1] - point_start[p]))
    sides, anchors, corners = np.empty((most, 3)), np.empty((most, 3)), np.empty((most, 2))
    upper, base, base_error = np.empty(terms), np.empty(terms), np.empty(terms)
    for i in range(len(x)):
        for p in range(terms):
            square, blur = 0.0, 0.0
            for a in range(n):
                y, size = 0.0, 0.0
                for b in range(a + 1):
                    y += whiteners[p, a, b] * (x[i, b] - means[p, b])
                    size += abs(whiteners[p, a, b]) * (abs(x[i, b]) + abs(means[p, b]))
                square += y * y
                blur += abs(y) * size
            base[p] = bases[p] - 0.5 * square
            base_error[p] = _EPS * (2.0 * blur + square + abs(bases[p]))
            k = side_start[p + 1] - side_start[p]
            _place(p, x[i], normals, offsets, gradients, points, pulls, side_start, point_start, sides, corners)
            distance, _ = nearest_points(sides[:k], ends[side_start[p]:side_start[p + 1]], corners, anchors)
            upper[p] = base[p] - 0.5 * distance * distance
        order = np.argsort(-upper)
        total, peak, doubt = 0.0, -np.inf, 0.0  # the sum, the doubt about it, both over exp(peak)
        for q in range(terms):
            p = order[q]
            if not upper[p] > -np.inf:
                break
            if peak > -np.inf and upper[p] - peak < math.log(total) - 40.0 - math.log(terms):
                doubt += (terms - q) * math.exp(upper[p] - peak)
                break
            k = side_start[p + 1] - side_start[p]
            c = point_start[p + 1] - point_start[p]
            _place(p, x[i], normals, offsets, gradients, points, pulls, side_start, point_start, sides, corners)
            distance, nearest = nearest_points(sides[:k], ends[side_start[p]:side_start[p + 1]], corners, anchors)
            agreement = TIGHT  # a term with a small share needs few digits
            if peak > -np.inf:
                agreement = min(1e-3, TIGHT * max(1.0, total * math.exp(min(700.0, peak - upper[p]))))
            mass, relative, sensitivity = log_polygon_mass(
                sides[:k], corners[:c], rays[ray_start[p]:ray_start[p + 1]], anchors, distance, nearest, agreement)
            term = base[p] + mass
            level = term if mass > -np.inf else upper[p]
            if level > peak:
                shrink = math.exp(peak - level)
                total, doubt, peak = total * shrink, doubt * shrink, level
            share = math.exp(level - peak)
            if mass == -np.inf:  # empty by rounding: its upper bound is the doubt
                doubt += share
                continue
            total += share
            shift = _blur_of_polygon(p, x[i], distance, offsets, gradients, points, pulls, side_start,
                                     point_start, anchors)
            doubt += share * (relative + base_error[p] + 6.0 * shift * sensitivity + _EPS * abs(term))
        if total > 0.0:
            value[i] = max(peak + math.log(total), LOWEST)
            error[i] = doubt / total + _EPS * (4.0 + abs(peak))
        else:
            value[i], error[i] = LOWEST, np.inf
        if not value[i] > LOWEST:
            value[i], error[i] = LOWEST, np.inf


@nb.njit(cache=True, nogil=True)
def _place(p: int, x: np.ndarray, normals: np.ndarray, offsets: np.ndarray, gradients: np.ndarray,
           points: np.ndarray, pulls: np.ndarray, side_start: np.ndarray, point_start: np.ndarray,
           sides: np.ndarray, corners: np.ndarray) -> None:
    """The polygon of term p as seen from its posterior mean at x."""
    first = side_start[p]
    for k in range(side_start[p + 1] - first):
        sides[k, 0], sides[k, 1] = normals[first + k, 0], normals[first + k, 1]
        e = offsets[first + k]
        for b in range(len(x)):
            e += gradients[first + k, b] * x[b]
        sides[k, 2] = e
    first = point_start[p]
    for a in range(2):
        shift = 0.0
        for b in range(len(x)):
            shift += pulls[p, a, b] * x[b]
        for k in range(point_start[p + 1] - first):
            corners[k, a] = points[first + k, a] - shift


@nb.njit(cache=True, nogil=True)
def _blur_of_polygon(p: int, x: np.ndarray, distance: float, offsets: np.ndarray, gradients: np.ndarray,
                     points: np.ndarray, pulls: np.ndarray, side_start: np.ndarray, point_start: np.ndarray,
                     anchors: np.ndarray) -> float:
    """Rounding error of the position of the sides near the mass."""
    blur = 0.0
    reach = distance + 12.0
    first = side_start[p]
    corner = False
    for k in range(side_start[p + 1] - first):
        if math.hypot(anchors[k, 0], anchors[k, 1]) < reach:
            size = abs(offsets[first + k])
            for b in range(len(x)):
                size += abs(gradients[first + k, b] * x[b])
            blur = max(blur, size)
            corner = corner or anchors[k, 2] == 0.0
    if corner:
        for a in range(2):
            size = 0.0
            for b in range(len(x)):
                size += abs(pulls[p, a, b] * x[b])
            blur = max(blur, size + reach)
    return _EPS * blur
