r"""Quadrature nodes on the line that serve every law of a family, with a proven error.

Let p be the density of X = F + s e with F any random variable and e standard normal. With :math:`\psi(x) =
\log p(x) + x^2/2s^2`, which is convex (a log-Laplace transform of F), and posterior means and variances of F,

.. math:: p(x + iy) = p(x)\, e^{y^2/2s^2} e^{-iy(x - m)/s^2}\, E[e^{iy(F - m)/s^2} | x],
          \qquad |E[\cdot] - 1| \le y^2 Var(F|x) / 2s^4 .

So log p is analytic, and bounded in terms of log p(x), for :math:`|y| \le s^2 / \sqrt{Var(F|x)}`. The variance is
bounded by differences of log densities: from :math:`t^2 \le (e^{\eta t} + e^{-\eta t} - 2)/\eta^2`,
E[(F - c)^2 | x] is at most

.. math:: \frac{s^4}{\eta^2} [e^{\psi(x+\eta) - \psi(x) - \eta c/s^2} + e^{\psi(x-\eta) - \psi(x) + \eta c/s^2} - 2],

and convexity makes the two differences monotone in x, so their values at the ends of an interval bound them
inside. A mixture's difference is at most the largest of its components', so a table of component densities at
equidistant points bounds the strip for every mixture over them; or the variance is split into that within
components, bounded likewise, and that between their means, which the same differences bound. Gauss-Legendre
panels then have a geometric error on the largest ellipse inside the strip (Trefethen, Approximation Theory and
Approximation Practice, ch. 19).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.line import LinePieces
from ident_theory.kernels.strips import widen_excess
from ident_theory.laws.line_terms import Component
from ident_theory.models.value import FloatArray

#: Equidistant points to one noise std, and the lags (in points) at which differences are taken.
POINTS_PER_STD = 8
LAGS = np.array([1, 2, 4, 8], dtype=np.int64)
#: Panels are this many intervals wide, or a share of one; orders of the Gauss rule.
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MIN_ORDER, MAX_ORDER = 3, 64
#: Heights of the ellipses tried, over half the width of their panel; intervals at each end that no panel starts in.
FLATNESS = (0.25, 0.5, 1.0, 2.0)
MARGIN = 3
#: An interval is divided into up to two to this power of panels.
MAX_HALVINGS = 12
#: Nodes that a rule may have.
MAX_NODES = 5_000_000
#: Error of the tabulated log densities, times max(1, |log p|): the promise of the closed form.
TABLE_ERROR = 1e-12


@dataclass(frozen=True)
class Target:
    """A law of which the expectations are taken: pieces of its decoder and components of its prior."""

    pieces: LinePieces
    components: tuple[Component, ...]


@dataclass(frozen=True)
class Rule:
    """Panels of Gauss-Legendre nodes.

    Attributes
    ----------
    nodes, weights : ndarray, shape (Q,)
    panels : ndarray, shape (B, 2)
        Ends of the panels, which do not overlap.
    orders : ndarray of int, shape (B,)
        Nodes of each panel, in the order of the panels.
    errors : ndarray, shape (T,)
        Proven bound of the error of -E log p for each target and every law of the family.
    pointwise : float
        Proven bound of how far the polynomial through a panel's values is from log p; infinite unless asked for.
    """

    nodes: FloatArray
    weights: FloatArray
    panels: FloatArray
    orders: np.ndarray
    errors: FloatArray
    pointwise: float = math.inf


class Strips:
    """The half-widths, interval by interval, of the strip on which every log density of a family is analytic."""

    def __init__(self, low: float, high: float, noise_std: float) -> None:
        self.noise_std = noise_std
        self.spacing = noise_std / POINTS_PER_STD
        margin = int(LAGS.max()) + 4
        first = math.floor(low / self.spacing) - margin
        last = math.ceil(high / self.spacing) + margin
        self.points: FloatArray = np.arange(first, last + 1, dtype=np.float64) * self.spacing
        #: Largest second differences, of single components and over the components of a prior, by lag and interval.
        self.excess = np.full((2, len(LAGS), len(self.points) - 1), -math.inf)
        self.inner = slice(margin - 4, len(self.points) - 1 - (margin - 4))

    def widen(self, table: FloatArray, chosen: np.ndarray) -> None:
        """Take account of all mixtures of the chosen rows of a table of log densities at `points`, shape (C, G)."""
        widen_excess(table, chosen, LAGS, self.excess[0], self.excess[1])

    def half_widths(self, reach: float) -> FloatArray:
        r"""Half-widths for the inner intervals; on them :math:`y^2 Var(F|x) \le s^4` for every law seen.

        Parameters
        ----------
        reach : float
            Bound of \|x - F\| in root mean square, for the rounding of the table.
        """
        s, g = self.noise_std, self.spacing
        eta = LAGS[:, None] * g
        size = np.maximum(1.0, log_bound(np.abs(self.points[:-1]) + g + eta, reach, s))
        with np.errstate(over="ignore", invalid="ignore"):
            single, joint = np.maximum(self.excess + 4 * TABLE_ERROR * size + eta * (g + eta) / (s * s), 1e-12)
            within, all_together = (2 * s**4 / eta**2 * np.expm1(total / 2) for total in (single, joint))
            # Posterior means of the components lie within s^2 joint / eta, for the variance between them.
            between = (s * s * joint / (2 * eta)) ** 2
            variance = np.fmin(np.fmin.reduce(all_together), np.fmin.reduce(within) + np.fmin.reduce(between))
        widths: FloatArray = (s * s / np.sqrt(variance))[self.inner]
        return widths

    @property
    def edges(self) -> FloatArray:
        """Ends of the inner intervals."""
        return self.points[self.inner.start:self.inner.stop + 1]


def root_mean_square(pieces: LinePieces, mean: float, std: float) -> float:
    """A bound of the root mean square of f(Z) for Z ~ N(mean, std^2): |f(mean)| + Lipschitz constant * std + jumps."""
    steepest = max(abs(float(a[0])) for a in pieces.slopes)
    jumps = sum(abs(float((a1[0] - a0[0]) * t + (c1[0] - c0[0]))) for t, (a0, a1), (c0, c1) in zip(
        pieces.breakpoints, itertools.pairwise(pieces.slopes), itertools.pairwise(pieces.intercepts), strict=True))
    k = sum(float(t) <= mean for t in pieces.breakpoints)
    return abs(float(pieces.slopes[k][0]) * mean + float(pieces.intercepts[k][0])) + steepest * std + jumps


def log_bound(x: FloatArray | float, reach: float, noise_std: float) -> FloatArray:
    r"""Bound of \|log p(x)\| for every law with E F^2 <= reach^2, by Jensen's inequality."""
    return np.asarray(abs(math.log(noise_std * math.sqrt(2 * math.pi))) + (np.abs(x) + reach) ** 2 / (2 * noise_std**2))


def tail_bound(target: Target, edge: float, sign: int, noise_std: float, reach: float) -> float:
    r"""Bound of the integral of p \|log q\| beyond `edge` (to the right for sign = 1), q any law within `reach`."""
    total = 0.0
    constant = abs(math.log(noise_std * math.sqrt(2 * math.pi)))
    pieces = target.pieces
    for k in range(pieces.n_pieces):
        a, c = sign * float(pieces.slopes[k][0]), sign * float(pieces.intercepts[k][0])
        left, right = (None if end is None else float(end) for end in pieces.ends(k))
        far = right if a > 0 else left
        for component in target.components:
            mu, tau = float(component.mean), math.sqrt(float(component.variance))
            if a == 0:
                center, spread = c, noise_std
            elif far is not None:  # its image stays behind that end, and the noise alone reaches further
                center, spread = a * far + c, noise_std
            else:
                center, spread = a * mu + c, math.hypot(a * tau, noise_std)
            u = (sign * edge - center) / spread
            if u <= 1:
                return math.inf
            density = math.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
            # E[(X - edge)^i; X > edge] <= i! spread^i density / u^(i+1) for a Gaussian X.
            start = abs(edge) + reach
            moments = [spread**i * math.factorial(i) * density / u ** (i + 1) for i in range(3)]
            total += float(component.weight) * (
                (constant + start**2 / (2 * noise_std**2)) * moments[0] + start / noise_std**2 * moments[1]
                + moments[2] / (2 * noise_std**2))
    return total


def tail_edge(target: Target, sign: int, noise_std: float, reach: float, tolerance: float) -> float:
    """An edge beyond which `tail_bound` is at most `tolerance`, found by doubling and bisection."""
    images = [float(target.pieces.slopes[k][0]) * z + float(target.pieces.intercepts[k][0])
              for k in range(target.pieces.n_pieces)
              for z in (*(float(c.mean) for c in target.components),
                        *(float(t) for t in target.pieces.ends(k) if t is not None))]
    inside = sign * max(sign * v for v in images)
    step = noise_std
    while tail_bound(target, inside + sign * step, sign, noise_std, reach) > tolerance:
        step *= 2
    low, high = step / 2, step
    while high - low > 0.05 * noise_std:
        middle = (low + high) / 2
        if tail_bound(target, inside + sign * middle, sign, noise_std, reach) > tolerance:
            low = middle
        else:
            high = middle
    return inside + sign * high


def build_rule(strips: Strips, reach: float, tolerance: float, log_targets: FloatArray,
               tails: Sequence[float] | FloatArray = (), interpolate: bool = False,
               widths: FloatArray | None = None) -> Rule:
    """Panels on the edges of the strips' intervals with as few nodes as the tolerance allows.

    Parameters
    ----------
    strips : Strips
    reach : float
        Bound of the root mean square of f(Z) over the family.
    tolerance : float
        Bound of the summed errors of each target, the tails apart.
    log_targets : ndarray, shape (T, G)
        Log densities of the targets at ``strips.points``.
    tails : array_like of float
        Errors already made by cutting the tails, one a target.
    interpolate : bool
        Ask besides that the polynomial through a panel's values meets the tolerance at every point (for sums over
        data).
    widths : ndarray, optional
        Half-widths of the inner intervals in place of those of `strips`.

    Raises
    ------
    BudgetExceeded
        When the tolerance would take more than `MAX_NODES` nodes.
    """
    s, g, edges = strips.noise_std, strips.spacing, strips.edges
    # On an interval log p + (x - middle)^2 / 2 s^2 is convex: it is largest at an end.
    ends = log_targets[:, strips.inner.start:strips.inner.stop + 1]
    peaks = np.maximum(ends[:, :-1], ends[:, 1:]) + (g / 2) ** 2 / (2 * s * s)
    widths = strips.half_widths(reach) if widths is None else widths
    sizes = [(size, 1) for size in WIDTHS] + [(1, 2**k) for k in range(1, MAX_HALVINGS + 1)]
    options = [_Panels(strips, widths, reach, size, parts, flatness, peaks, tolerance, interpolate)
               for size, parts in sizes for flatness in FLATNESS]
    panels: list[tuple[float, float]] = []
    orders: list[int] = []
    errors = np.zeros(len(peaks)) + (np.asarray(tails) if len(tails) else 0.0)
    pointwise, count = 0.0, 0
    i, last = MARGIN, len(edges) - 1 - MARGIN  # the outermost intervals only carry what ellipses reach into
    while i < last:
        best = min((option for option in options if i + option.size <= last),
                   key=lambda option: (option.order[i] * option.parts / option.size, option.parts - option.size))
        if not math.isfinite(best.order[i]) or count > MAX_NODES:
            raise BudgetExceeded(f"nodes: the tolerance {tolerance:.1g} would take more than {MAX_NODES:,} nodes "
                                 f"(at x = {edges[i]:.6g}); raise the tolerance or the noise")
        order = int(best.order[i])
        errors = errors + best.error(i)
        pointwise = max(pointwise, best.pointwise(i))
        if order:
            cuts = np.linspace(edges[i], edges[i + best.size], best.parts + 1)
            panels += zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
            orders += [order] * best.parts
            count += order * best.parts
        i += best.size
    half = np.array([(b - a) / 2 for a, b in panels])
    nodes = [(a + b) / 2 + h * _gauss(q)[0] for (a, b), h, q in zip(panels, half, orders, strict=True)]
    weights = [h * _gauss(q)[1] for h, q in zip(half, orders, strict=True)]
    return Rule(np.concatenate([np.empty(0), *nodes]), np.concatenate([np.empty(0), *weights]),
                np.array(panels).reshape(-1, 2), np.array(orders, dtype=np.int64), errors,
                pointwise if interpolate else math.inf)


class _Panels:
    """Panels of one size, by the interval they start in.

    Attributes
    ----------
    size, parts : int
        Intervals covered, and panels they are divided into.
    order : ndarray
        Nodes that each of the panels needs; 0 where they may be left out, inf where no order suffices.
    """

    def __init__(self, strips: Strips, widths: FloatArray, reach: float, size: int, parts: int, flatness: float,
                 peaks: FloatArray, tolerance: float, interpolate: bool) -> None:
        s, g, edges = strips.noise_std, strips.spacing, strips.edges
        self.size, self.parts = size, parts
        half = size * g / (2 * parts)
        # Ellipses are at most `flatness` times as high as half their panel, and reach this many intervals beyond it.
        window = size + 2 * math.ceil((math.hypot(1.0, flatness) - 1) * half / g)

        def spread(values: FloatArray, most: bool) -> FloatArray:
            """Largest or least value over the intervals that the ellipses reach into."""
            found: FloatArray = (ndimage.maximum_filter1d if most else ndimage.minimum_filter1d)(
                values, window, axis=-1, origin=-(size // 2), mode="constant", cval=-math.inf if most else 0.0)
            return found

        d = np.minimum(spread(widths, False), flatness * half)
        x = spread(np.maximum(np.abs(edges[:-1]), np.abs(edges[1:])), True)
        # |log p| on the ellipse: its real part by |E| in [1/2, 3/2], its imaginary part by |x - m| <= |x| + reach.
        logs = log_bound(x, reach, s) + d * d / (2 * s * s) + math.log(2) + d * (x + reach) / (s * s) + math.pi / 6
        rho = np.maximum(d / half + np.hypot(1.0, d / half), 1 + 1e-9)
        top = np.exp(spread(peaks, True)) if len(peaks) else peaks
        width = 2 * half * parts
        allowed = tolerance * width / (edges[-1] - edges[0])
        self._rho, self._logs = rho, logs
        self._skipped = top * (logs * width)
        self._unit = top * (64 / 15 * half * parts * np.exp(d * d / (2 * s * s)) * logs / (1 - rho**-2.0))
        worst = self._unit.max(axis=0, initial=0.0)
        with np.errstate(divide="ignore"):
            order = np.maximum(MIN_ORDER, np.ceil(np.log(worst / allowed) / (2 * np.log(rho))))
        if interpolate:
            fine = np.full(len(rho), math.inf)
            for q in range(MAX_ORDER, MIN_ORDER - 1, -1):
                fine[_interpolation_error(q, logs, rho) <= tolerance] = q
            order = np.maximum(order, fine)
        else:
            order[self._skipped.max(axis=0, initial=0.0) <= allowed] = 0
        order[order > MAX_ORDER] = math.inf
        self.order: FloatArray = order

    def error(self, i: int) -> FloatArray:
        """Bound of the quadrature error of the panels in interval i, for every target."""
        found: FloatArray = self._unit[:, i] * self._rho[i] ** (-2 * self.order[i]) if self.order[i] else \
            self._skipped[:, i]
        return found

    def pointwise(self, i: int) -> float:
        """Bound of the interpolation error of the panels in interval i."""
        order = int(self.order[i])
        return float(_interpolation_error(order, self._logs[i], self._rho[i])) if order else math.inf


def _interpolation_error(order: int, logs: FloatArray, rho: FloatArray) -> FloatArray:
    """Lebesgue's inequality with the best approximation on the ellipse rho of a function bounded by `logs`."""
    return (1 + _lebesgue(order)) * 2 * logs * rho ** -(order - 1.0) / (rho - 1)


@lru_cache(MAX_ORDER + 1)
def _gauss(order: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


@lru_cache(MAX_ORDER + 1)
def _lebesgue(order: int) -> float:
    """Lebesgue constant of interpolation in Gauss-Legendre nodes, from a fine grid with a tenth to spare."""
    x = np.cos(np.linspace(0, math.pi, 40 * order + 1))
    return 1.1 * float(np.abs(interpolation_weights(_gauss(order)[0], x)).sum(axis=1).max())


def interpolation_weights(nodes: FloatArray, x: FloatArray) -> FloatArray:
    """Lagrange polynomials of the nodes at x, shape (len(x), len(nodes)), by the barycentric formula."""
    gaps = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(gaps, 1.0)
    sign = np.sign(gaps).prod(axis=1)
    logs = np.log(np.abs(gaps)).sum(axis=1)
    barycentric = sign * np.exp(logs.min() - logs)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = barycentric / (x[:, None] - nodes[None, :])
        values = terms / terms.sum(axis=1, keepdims=True)
    hit = x[:, None] == nodes[None, :]
    rows = hit.any(axis=1)
    values[rows] = hit[rows]
    return values
