"""Cells of networks of two latents as arrays, and moments of the normal law on polygons."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.geometry.plane import PlaneCell
from ident_theory.kernels.elementary import exp_nonpositive
from ident_theory.kernels.polygons import log_normal_interval, log_polygon_mass, nearest_points
from ident_theory.laws.plane_terms import ratio
from ident_theory.models.value import FloatArray

_LOG_SQRT_2PI = 0.9189385332046727
_SQRT_HALF = 0.7071067811865476
#: Corners nearer to the origin than the root of this are seen at an angle that rounding blurs.
_BLURRED = 1e-6
_NODES = (0.5 * (np.polynomial.legendre.leggauss(20)[0] + 1.0)) ** 2
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(20)[1] / (2.0 * math.pi)

#: Sides (S, 3): outward unit normal and offset; their ends (S, 2); points (P, 2); rays (Q, 2); and where the sides,
#: points and rays of each cell begin (3, K + 1).
Polygons = tuple[FloatArray, np.ndarray, FloatArray, FloatArray, np.ndarray]


def polygons_of(cells: tuple[PlaneCell, ...]) -> Polygons:
    """Exact cells, rounded once."""
    sides: list[list[float]] = []
    ends: list[list[int]] = []
    points: list[list[float]] = []
    rays: list[list[float]] = []
    starts = [[0, 0, 0]]
    for cell in cells:
        for side in cell.sides():
            sides.append([ratio(side.normal[0]), ratio(side.normal[1]), ratio(side.offset)])
            ends.append([-1 if side.start is None else side.start, -1 if side.end is None else side.end])
        for x, y, finite in cell.corners:
            (points if finite else rays).append([ratio(x), ratio(y)])
        starts.append([len(sides), len(points), len(rays)])
    return (np.array(sides).reshape(-1, 3), np.array(ends, dtype=np.int64).reshape(-1, 2),
            np.array(points).reshape(-1, 2), np.array(rays).reshape(-1, 2), np.array(starts, dtype=np.int64).T.copy())


def no_polygons() -> Polygons:
    """For one latent."""
    return polygons_of(())


@nb.njit(cache=True, nogil=True)
def owens_t(h: float, a: float) -> float:
    r"""Owen's :math:`T(h, a) = \int_0^a e^{-h^2 (1 + s^2) / 2} / (2 \pi (1 + s^2))\, ds`; absolute error below 2e-16.

    Gauss-Legendre up to a = 1, the reflection of Owen (1956, eq. 2.3) beyond; a may be infinite.
    """
    if a < 0.0:
        return -owens_t(h, -a)
    h = abs(h)
    if a > 1.0:
        upper = 0.25 * math.erfc(h * _SQRT_HALF)
        if a == np.inf:
            return upper
        beyond = 0.25 * math.erfc(a * h * _SQRT_HALF)
        return upper + beyond - 4.0 * upper * beyond - owens_t(a * h, 1.0 / a)
    return 0.0 if h > 9.0 else a * _owens_mean(-0.5 * h * h, a * a)


# Sums may be reordered, so that the loop runs in vector registers.
@nb.njit(cache=True, nogil=True, fastmath={"reassoc"})
def _owens_mean(square: float, width: float) -> float:
    total = 0.0
    for i in range(_NODES.size):
        s = 1.0 + width * _NODES[i]
        total += _WEIGHTS[i] * exp_nonpositive(square * s) / s
    return total


@nb.njit(cache=True, nogil=True)
def large_mass(sides: np.ndarray, ends: np.ndarray, points: np.ndarray) -> float:
    r"""Standard normal mass of a convex polygon to about 1e-15, or nan where rounding spoils it.

    The field :math:`w (1 - e^{-|w|^2 / 2}) / (2 \pi |w|^2)` has the normal density as its divergence. Its flux through
    a side from t_0 to t_1 at the distance e is the angle under which the side is seen minus
    :math:`T(e, t_1 / e) - T(e, t_0 / e)`, and the angles add up to 1, or to 0 for a polygon without the origin.
    """
    mass = 1.0
    for k in range(len(sides)):
        if sides[k, 2] < 0.0:
            mass = 0.0
    for k in range(len(sides)):
        nx, ny, e = sides[k, 0], sides[k, 1], sides[k, 2]
        if abs(e) > 9.0:
            continue
        for end in range(2):
            sign, along = 2.0 * end - 1.0, np.inf
            if ends[k, end] >= 0:
                along = sign * (nx * points[ends[k, end], 1] - ny * points[ends[k, end], 0])
            if not e * e + along * along > _BLURRED:
                return np.nan
            mass -= owens_t(e, along / e if e != 0.0 else math.copysign(np.inf, along))
    return mass


@nb.njit(cache=True, nogil=True)
def polygon_moments(sides: np.ndarray, ends: np.ndarray, points: np.ndarray, rays: np.ndarray, anchors: np.ndarray,
                    least: float, agreement: float, mean: np.ndarray, covariance: np.ndarray) -> float:
    r"""Log mass, mean and covariance of the standard normal law on a convex polygon.

    The mass is `large_mass` or that of `log_polygon_mass`; with it the moments are closed, by the divergence theorem,
    as sums over the sides with outward normal n and the density :math:`\varphi`:
    :math:`E[w] M = -\oint n \varphi`, :math:`E[w w^T] M = I M - \oint w n^T \varphi`.

    Parameters
    ----------
    sides, ends, points, rays
        As for `log_polygon_mass`.
    anchors : ndarray
        Scratch of the size of `sides`.
    least : float
        Masses above this may have an absolute error of 1e-15; smaller ones take the slower quadrature in logs.
    agreement : float
        Relative tolerance of the latter.
    mean, covariance : ndarray, shapes (2,), (2, 2)
        Receive the moments.

    Returns
    -------
    float
        -inf when the polygon is empty in float64, or its mass is rounding where `least` is zero.
    """
    mass = large_mass(sides, ends, points)
    if mass > least:
        log_mass = math.log(mass)
    elif mass <= least == 0.0:
        log_mass = -np.inf
    else:
        distance, nearest = nearest_points(sides, ends, points, anchors)
        log_mass, _, _ = log_polygon_mass(sides, points, rays, anchors, distance, nearest, agreement)
    m1, m2, s11, s12, s22 = 0.0, 0.0, 1.0, 0.0, 1.0
    if log_mass > -np.inf:
        for k in range(len(sides)):
            nx, ny, e = sides[k, 0], sides[k, 1], sides[k, 2]
            start, stop = -np.inf, np.inf
            if ends[k, 0] >= 0:
                start = nx * points[ends[k, 0], 1] - ny * points[ends[k, 0], 0]
            if ends[k, 1] >= 0:
                stop = nx * points[ends[k, 1], 1] - ny * points[ends[k, 1], 0]
            if not start < stop:
                continue
            level = -0.5 * e * e - _LOG_SQRT_2PI - log_mass
            along = math.exp(level + log_normal_interval(start, stop))
            skew = (math.exp(level - 0.5 * start * start - _LOG_SQRT_2PI)
                    - math.exp(level - 0.5 * stop * stop - _LOG_SQRT_2PI))
            m1 -= nx * along
            m2 -= ny * along
            s11 -= nx * (e * nx * along - ny * skew)
            s22 -= ny * (e * ny * along + nx * skew)
            s12 -= e * nx * ny * along + 0.5 * (nx * nx - ny * ny) * skew
    mean[0], mean[1] = m1, m2
    # The variance of a log-concave law is at most that of the normal law it is cut from; rounding is cut off.
    covariance[0, 0] = min(max(s11 - m1 * m1, 0.0), 1.0)
    covariance[1, 1] = min(max(s22 - m2 * m2, 0.0), 1.0)
    most = math.sqrt(covariance[0, 0] * covariance[1, 1])
    covariance[0, 1] = covariance[1, 0] = min(max(s12 - m1 * m2, -most), most)
    return log_mass
