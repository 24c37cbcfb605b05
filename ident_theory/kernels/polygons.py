r"""Standard normal mass of convex polygons with small relative error, however far away they lie.

The mass is :math:`\int \varphi(u) [\Phi(t(u)) - \Phi(b(u))] du` in a frame whose u axis points to the nearest
point of the polygon. The integrand is positive and log-concave, so its peak and its effective range are found
by search, and nothing cancels. All values are logarithms.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from ident_theory.kernels.elementary import mills

_LOG_SQRT_2PI = 0.9189385332046727
_SQRT_HALF = 0.7071067811865476
_EPS = 2.220446049250313e-16
#: Sides further than this from the origin cut off less than 1e-20.
_SAFE = 9.5
#: The range of integration ends where the integrand has fallen by this many nats.
_DROP = 40.0
_GOLDEN = 0.3819660112501051
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_HALF_NODES = 0.5 * (np.polynomial.legendre.leggauss(6)[0] + 1.0)
_HALF_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(6)[1]
#: Tolerance of the quadrature for full accuracy.
TIGHT = 1e-13
_MAX_INTERVALS = 400


@nb.njit(cache=True, nogil=True)
def log_normal_interval(b: float, t: float) -> float:
    r"""log(Phi(t) - Phi(b)) for b < t, infinite ends allowed; relative error of the difference about 1e-15."""
    if b <= 0.0 <= t:
        return math.log(0.5 * (math.erf(t * _SQRT_HALF) - math.erf(b * _SQRT_HALF)))
    if t < 0.0:
        b, t = -t, -b
    return log_normal_stretch(b, t - b)


@nb.njit(cache=True, nogil=True)
def log_normal_stretch(b: float, width: float) -> float:
    """log(Phi(b + width) - Phi(b)) for b >= 0, for callers that know the width better than both ends."""
    fall = width * (b + 0.5 * width)
    if fall < 1.0:  # nearly constant density: integrate about the middle, so that the tails need no subtraction
        middle, half = b + 0.5 * width, 0.5 * width
        mean = 0.0
        for i in range(_HALF_NODES.size):
            s = half * _HALF_NODES[i]
            mean += _HALF_WEIGHTS[i] * math.cosh(middle * s) * math.exp(-0.5 * s * s)
        return math.log(width) + math.log(mean) - 0.5 * middle * middle - _LOG_SQRT_2PI
    ratio = mills(b)
    if fall < 700.0:
        ratio -= math.exp(-fall) * mills(b + width)
    return math.log(ratio) - 0.5 * b * b - _LOG_SQRT_2PI


@nb.njit(cache=True, nogil=True)
def _chord(s: float, lines: np.ndarray, count: int) -> tuple[float, float]:
    """Lower and upper end of the polygon at s; the rows of `lines` are (s, v, slope, +1 upper or -1 lower)."""
    bottom, top = -np.inf, np.inf
    for k in range(count):
        v = lines[k, 1] + (s - lines[k, 0]) * lines[k, 2]
        if lines[k, 3] > 0.0:
            top = min(top, v)
        else:
            bottom = max(bottom, v)
    return bottom, top


@nb.njit(cache=True, nogil=True)
def _log_integrand(s: float, d: float, lines: np.ndarray, count: int) -> float:
    bottom, top = _chord(s, lines, count)
    if not bottom < top:
        return -np.inf
    return -s * (d + 0.5 * s) + log_normal_interval(bottom, top)


@nb.njit(cache=True, nogil=True)
def _peak(lo: float, hi: float, d: float, lines: np.ndarray, count: int) -> tuple[float, float, float, float]:
    """Golden section until the ends of the bracket are within a nat of the best point: peak, value, bracket."""
    left, right = lo, hi
    g_left, g_right = _log_integrand(left, d, lines, count), _log_integrand(right, d, lines, count)
    s1, s2 = left + _GOLDEN * (right - left), right - _GOLDEN * (right - left)
    g1, g2 = _log_integrand(s1, d, lines, count), _log_integrand(s2, d, lines, count)
    for _ in range(400):
        best = max(max(g1, g2), max(g_left, g_right))
        if (best > -np.inf and best - min(g_left, g_right) < 1.0) or not (left < s1 < s2 < right):
            break
        # With no probability at either point the polygon lies, but for rounding, at the end nearer to s = 0.
        if g1 > g2 or (g1 == -np.inf and g2 == -np.inf and abs(left) <= abs(right)):
            right, g_right, s2, g2 = s2, g2, s1, g1
            s1 = left + _GOLDEN * (right - left)
            g1 = _log_integrand(s1, d, lines, count)
        else:
            left, g_left, s1, g1 = s1, g1, s2, g2
            s2 = right - _GOLDEN * (right - left)
            g2 = _log_integrand(s2, d, lines, count)
    s, g = left, g_left
    for s_new, g_new in ((s1, g1), (s2, g2), (right, g_right)):
        if g_new > g:
            s, g = s_new, g_new
    return s, g, left, right


@nb.njit(cache=True, nogil=True)
def _range_end(peak: float, g_peak: float, step: float, limit: float, d: float, lines: np.ndarray,
               count: int) -> float:
    """Walk from the peak by doubling steps until the integrand has fallen by `_DROP` nats or `limit` is met."""
    while True:
        s = peak + step
        if (step > 0.0 and s >= limit) or (step < 0.0 and s <= limit) or step == 0.0:
            return limit
        if _log_integrand(s, d, lines, count) < g_peak - _DROP:
            return s
        step *= 2.0


@nb.njit(cache=True, nogil=True)
def _panel(a: float, b: float, g_peak: float, d: float, lines: np.ndarray, count: int) -> float:
    half, middle, total = 0.5 * (b - a), 0.5 * (a + b), 0.0
    for i in range(_NODES.size):
        total += _WEIGHTS[i] * math.exp(_log_integrand(middle + half * _NODES[i], d, lines, count) - g_peak)
    return half * total


@nb.njit(cache=True, nogil=True)
def _integrate(cuts: np.ndarray, n_cuts: int, g_peak: float, d: float, lines: np.ndarray,
               count: int, agreement: float) -> tuple[float, float]:
    """Adaptive Gauss-Legendre over the panels between the cuts: integral and error estimate."""
    first = np.empty(n_cuts - 1)
    scale = 0.0
    for i in range(n_cuts - 1):
        first[i] = _panel(cuts[i], cuts[i + 1], g_peak, d, lines, count)
        scale += first[i]
    stack = np.empty((64, 3))
    total, error, used = 0.0, 0.0, 0
    for i in range(n_cuts - 1):
        stack[0, 0], stack[0, 1], stack[0, 2] = cuts[i], cuts[i + 1], first[i]
        depth = 1
        while depth > 0:
            depth -= 1
            a, b, whole = stack[depth, 0], stack[depth, 1], stack[depth, 2]
            m = 0.5 * (a + b)
            left = _panel(a, m, g_peak, d, lines, count)
            right = _panel(m, b, g_peak, d, lines, count)
            used += 1
            gap = abs(left + right - whole)
            settled = gap <= agreement * scale
            if settled or depth >= 60 or used > _MAX_INTERVALS or not (a < m < b):
                total += left + right
                error += 0.3 * gap if settled else gap
            else:
                stack[depth, 0], stack[depth, 1], stack[depth, 2] = m, b, right
                stack[depth + 1, 0], stack[depth + 1, 1], stack[depth + 1, 2] = a, m, left
                depth += 2
    return total, error


@nb.njit(cache=True, nogil=True)
def nearest_points(sides: np.ndarray, ends: np.ndarray, points: np.ndarray,
                   anchors: np.ndarray) -> tuple[float, int]:
    """Nearest point of every side, and the distance from the origin to the polygon.

    Parameters
    ----------
    sides : ndarray, shape (K, 3)
        Outward unit normal and offset e of each side: the polygon is where normal . w <= e.
    ends : ndarray of int, shape (K, 2)
        Rows of `points` where the side starts and ends, anticlockwise; -1 for infinity.
    points : ndarray, shape (P, 2)
        Corners; a side without ends may have one of its points here too.
    anchors : ndarray, shape (K, 3)
        Receives the nearest point of each side, and 1 where that is the foot of the perpendicular.

    Returns
    -------
    distance : float
        Zero when the origin is inside.
    side : int
        The side nearest to the origin, or, inside, the one with the smallest offset; -1 without sides.
    """
    nearest, distance, inner, smallest = -1, np.inf, -1, np.inf
    for k in range(len(sides)):
        nx, ny, e = sides[k, 0], sides[k, 1], sides[k, 2]
        anchors[k, 0], anchors[k, 1], anchors[k, 2] = e * nx, e * ny, 1.0
        for i in range(2):
            j = ends[k, i]
            if j >= 0:
                along = nx * points[j, 1] - ny * points[j, 0]
                if (i == 0 and along > 0.0) or (i == 1 and along < 0.0):
                    anchors[k, 0], anchors[k, 1], anchors[k, 2] = points[j, 0], points[j, 1], 0.0
        if e < 0.0:
            r = -e if anchors[k, 2] == 1.0 else math.hypot(anchors[k, 0], anchors[k, 1])
            if r < distance:
                nearest, distance = k, r
        if e < smallest:
            inner, smallest = k, e
    if nearest >= 0:
        return distance, nearest
    return 0.0, inner


@nb.njit(cache=True, nogil=True)
def log_polygon_mass(sides: np.ndarray, points: np.ndarray, rays: np.ndarray, anchors: np.ndarray,
                     distance: float, nearest: int, agreement: float) -> tuple[float, float, float]:
    """Log of the standard normal mass of a convex polygon.

    Parameters
    ----------
    sides, points : ndarray
        As for `nearest_points`, which provides `anchors`, `distance` and `nearest`.
    rays : ndarray, shape (R, 2)
        Unit directions in which the polygon is unbounded.
    agreement : float
        Relative tolerance, `TIGHT` for full accuracy: the whole and the halves of a panel must agree to this.

    Returns
    -------
    log_mass : float
        -inf when the polygon is empty in float64.
    error : float
        Estimated relative error of the quadrature.
    sensitivity : float
        Estimated change of the log mass when a side moves by one.
    """
    count = len(sides)
    if count == 0:
        return 0.0, 0.0, 0.0
    close, only = 0, 0
    for k in range(count):
        if sides[k, 2] < _SAFE:
            close += 1
            only = k
    if close == 0:
        return 0.0, 1e-20 * count, 0.0
    if count == 1 or (close == 1 and sides[only, 2] >= -3.0):
        e = sides[only, 2]
        value = log_normal_interval(-np.inf, e)
        return value, (0.0 if count == 1 else 1e-17), math.exp(-0.5 * e * e - _LOG_SQRT_2PI - value)
    outside = distance > 0.0
    # Unit vector of the u axis, and the point where s = 0.
    if not outside:
        ux, uy, px, py = sides[nearest, 0], sides[nearest, 1], 0.0, 0.0
    elif anchors[nearest, 2] == 1.0:
        ux, uy, px, py = -sides[nearest, 0], -sides[nearest, 1], anchors[nearest, 0], anchors[nearest, 1]
    else:
        px, py = anchors[nearest, 0], anchors[nearest, 1]
        ux, uy = px / distance, py / distance
    # The polygon lies at s >= 0 when the origin is outside, but only up to rounding when its nearest point is a
    # corner: the direction of a corner close by is not well determined, and need not be.
    lo = -13.0
    hi = 160.0 / (distance + math.sqrt(distance * distance + 160.0)) if outside else 13.0
    forward, backward = False, False
    for k in range(len(rays)):
        along = ux * rays[k, 0] + uy * rays[k, 1]
        forward = forward or along > 1e-15
        backward = backward or along < -1e-15
    cuts = np.empty(4 * count + len(points) + 3)
    least, most = np.inf, -np.inf
    for k in range(len(points)):
        cuts[k] = ux * (points[k, 0] - px) + uy * (points[k, 1] - py)
        least, most = min(least, cuts[k]), max(most, cuts[k])
    n_cuts = len(points)
    if not forward and n_cuts:
        hi = min(hi, most)
    if not backward and n_cuts:
        lo = max(lo, least)
    lines = np.empty((count, 4))
    n_lines = 0
    for k in range(count):
        nu = ux * sides[k, 0] + uy * sides[k, 1]
        nv = ux * sides[k, 1] - uy * sides[k, 0]
        s = ux * (anchors[k, 0] - px) + uy * (anchors[k, 1] - py)
        v = ux * anchors[k, 1] - uy * anchors[k, 0]
        if abs(nv) < 4e-16 or (k == nearest and (not outside or anchors[k, 2] == 1.0)):
            if nu > 0.0:
                hi = min(hi, s)
            else:
                lo = max(lo, s)
            continue
        slope = -nu / nv
        lines[n_lines, 0], lines[n_lines, 1], lines[n_lines, 2], lines[n_lines, 3] = s, v, slope, nv
        n_lines += 1
        if abs(slope) > 2.0:  # a steep side: cut where it crosses the bulk, so that no panel steps over it
            for v_cut in (-7.0, 0.0, 7.0):
                cuts[n_cuts] = s + (v_cut - v) / slope
                n_cuts += 1
    if not lo < hi:
        return -np.inf, np.inf, 0.0
    peak, g_peak, left, right = _peak(lo, hi, distance, lines, n_lines)
    if g_peak == -np.inf:
        return -np.inf, np.inf, 0.0
    start = _range_end(peak, g_peak, left - peak, lo, distance, lines, n_lines)
    stop = _range_end(peak, g_peak, right - peak, hi, distance, lines, n_lines)
    kept = 0
    for i in range(n_cuts):
        if start < cuts[i] < stop:
            cuts[kept] = cuts[i]
            kept += 1
    for s in (start, peak, stop):
        cuts[kept] = s
        kept += 1
    cuts[:kept] = np.sort(cuts[:kept])
    integral, error = _integrate(cuts, kept, g_peak, distance, lines, n_lines, agreement)
    if not integral > 0.0:
        return -np.inf, np.inf, 0.0
    bottom, top = _chord(peak, lines, n_lines)
    inside = log_normal_interval(bottom, top)
    edges = math.exp(-0.5 * bottom * bottom - inside) + math.exp(-0.5 * top * top - inside)
    # On top of the quadrature, an ulp or so of the rounding of every quantity involved.
    value = g_peak + math.log(integral) - 0.5 * distance * distance - _LOG_SQRT_2PI
    return value, error / integral + 20.0 * _EPS, distance + edges + 1.0 / (stop - start) + 1.0
