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

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ident_theory.geometry.line import LinePieces
from ident_theory.kernels.strips import widen_excess
from ident_theory.laws.line_terms import Component
from ident_theory.models.value import FloatArray

#: Equidistant points to one noise std, and the lags (in points) at which differences are taken.
POINTS_PER_STD = 8
LAGS = np.array([1, 2, 4, 8], dtype=np.int64)
#: Panels are this many intervals wide; orders of the Gauss rule.
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MIN_ORDER, MAX_ORDER = 3, 64
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
    """

    nodes: FloatArray
    weights: FloatArray
    panels: FloatArray
    orders: np.ndarray
    errors: FloatArray


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

    def merge(self, excess: FloatArray) -> None:
        """Take account of what another `Strips` of the same points has seen."""
        np.maximum(self.excess, excess, out=self.excess)

    def half_widths(self, reach: float) -> FloatArray:
        r"""Half-widths for the inner intervals; on them :math:`y^2 Var(F|x) \le s^4` for every law seen.

        Parameters
        ----------
        reach : float
            Bound of \|x - F\| in root mean square, for the rounding of the table.
        """
        s, g = self.noise_std, self.spacing
        size = log_bound(np.abs(self.points[:-1]) + g, reach, s)
        eta = LAGS[:, None] * g
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
    """A bound of the root mean square of f(Z) for Z ~ N(mean, std^2): |f(mean)| + Lipschitz constant * std."""
    steepest = max(abs(float(a[0])) for a in pieces.slopes)
    k = sum(float(t) <= mean for t in pieces.breakpoints)
    return abs(float(pieces.slopes[k][0]) * mean + float(pieces.intercepts[k][0])) + steepest * std


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


def build_rule(strips: Strips, reach: float, tolerance: float, log_targets: FloatArray | None,
               tails: Sequence[float] | FloatArray = ()) -> Rule:
    """Panels on the edges of the strips' intervals with as few nodes as the tolerance allows.

    Parameters
    ----------
    strips : Strips
    reach : float
        Bound of the root mean square of f(Z) over the family.
    tolerance : float
        Bound of the summed errors of each target, the tails apart.
    log_targets : ndarray, shape (T, G), or None
        Log densities of the targets at ``strips.points``. None asks instead for nodes from which the polynomial
        through a panel's values meets the tolerance at every point (for sums over data).
    tails : array_like of float
        Errors already made by cutting the tails, one a target.
    """
    s, g = strips.noise_std, strips.spacing
    edges, widths = strips.edges, strips.half_widths(reach)
    start = strips.inner.start
    count = len(widths)
    peaks = None
    if log_targets is not None:  # on an interval log p + (x - middle)^2 / 2 s^2 is convex: largest at an end
        ends = log_targets[:, start:start + count + 1]
        peaks = np.maximum(ends[:, :-1], ends[:, 1:]) + (g / 2) ** 2 / (2 * s * s)
    range_share = tolerance / (edges[-4] - edges[3])
    cost = _cost_function(edges, widths, peaks, reach, s, range_share)
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    panels: list[tuple[float, float]] = []
    orders: list[int] = []
    errors = np.array(tails if len(tails) else np.zeros(1 if peaks is None else len(peaks)), dtype=np.float64)
    i = 3  # the outermost intervals only carry what ellipses reach into
    while i < count - 3:
        order, size, error = min((cost(i, size) for size in WIDTHS if i + size <= count - 3),
                                 key=lambda item: (item[0] / item[1], -item[1]))
        errors = errors + error
        if order:
            middle, half = (edges[i] + edges[i + size]) / 2, (edges[i + size] - edges[i]) / 2
            x, w = _gauss(int(order))
            nodes.append(middle + half * x)
            weights.append(half * w)
            panels.append((float(edges[i]), float(edges[i + size])))
            orders.append(int(order))
        i += size
    return Rule(np.concatenate(nodes), np.concatenate(weights), np.array(panels), np.array(orders), errors)


Cost = Callable[[int, int], tuple[float, int, FloatArray]]


def _cost_function(edges: FloatArray, widths: FloatArray, peaks: FloatArray | None, reach: float, s: float,
                   share: float) -> Cost:
    """Nodes that a panel needs, its size, and its error for every target."""
    g = edges[1] - edges[0]
    biggest = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))

    def cost(i: int, size: int) -> tuple[float, int, FloatArray]:
        half = size * g / 2
        d = float(widths[i:i + size].min())
        reached = math.ceil((math.hypot(half, d) - half) / g)
        around = slice(max(i - reached, 0), i + size + reached)
        if i - reached < 0 or i + size + reached > len(widths):
            d = 0.5 * g
            around = slice(max(i - 1, 0), i + size + 1)
        d = min(d, float(widths[around].min()))
        rho = d / half + math.hypot(1.0, d / half)
        x = float(biggest[around].max())
        # |log p| on the ellipse: its real part by |E| in [1/2, 3/2], its imaginary part by |x - m| <= |x| + reach.
        logs = float(log_bound(x, reach, s)) + d * d / (2 * s * s) + math.log(2)
        logs += d * (x + reach) / (s * s) + math.pi / 6
        if peaks is None:
            allowed = share * (edges[-1] - edges[0])
            for order in range(MIN_ORDER, MAX_ORDER + 1):
                error = (1 + _lebesgue(order)) * 2 * logs * rho ** -(order - 1) / (rho - 1)
                if error <= allowed:
                    return order, size, np.array([error])
            return math.inf, size, np.zeros(1)
        top = np.exp(peaks[:, around].max(axis=1))
        skipped = top * logs * 2 * half
        allowed = share * 2 * half
        if skipped.max() <= allowed:
            return 0, size, skipped
        unit = 64 / 15 * half * math.exp(d * d / (2 * s * s)) * logs * top / (1 - rho**-2)
        order = max(MIN_ORDER, math.ceil(math.log(unit.max() / allowed) / (2 * math.log(rho))))
        if order > MAX_ORDER:
            return math.inf, size, np.zeros(len(top))
        return order, size, unit * rho ** (-2 * order)

    return cost


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
