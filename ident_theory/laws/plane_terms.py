"""From a model with two latents to the constants of the polygon kernel.

Everything but square roots is done in rationals, and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import fmpq, fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.geometry.plane import PlaneCell
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Component:
    """One component of a prior on the plane, exactly."""

    weight: fmpq
    mean: tuple[fmpq, fmpq]
    covariance: tuple[tuple[fmpq, fmpq], tuple[fmpq, fmpq]]

    @property
    def rank(self) -> int:
        """Rank of the covariance."""
        (a, b), (_, c) = self.covariance
        return 2 if a * c != b * b else int(bool(a or c))


@dataclass(frozen=True)
class Posterior:
    r"""One cell and component: the law of x and of z given x, were the map of the cell valid everywhere.

    Attributes
    ----------
    mean : tuple of n fmpq
        :math:`A\mu + c`, the mean of x.
    marginal : fmpq_mat, shape (n, n)
        :math:`M = A S A^T + \Omega`, the covariance of x.
    determinant : fmpq
        det M.
    precision, covariance : fmpq_mat, shape (2, 2)
        :math:`V^{-1} = S^{-1} + A^T\Omega^{-1}A` and V.
    gain : fmpq_mat, shape (2, n)
    start : tuple of two fmpq
        The posterior mean is ``start + gain x``.
    """

    cell: PlaneCell
    component: Component
    mean: tuple[fmpq, ...]
    marginal: fmpq_mat
    determinant: fmpq
    precision: fmpq_mat
    covariance: fmpq_mat
    gain: fmpq_mat
    start: tuple[fmpq, fmpq]


@dataclass(frozen=True)
class PlaneTerms:
    """Arguments of `kernels.polygon_sums.plane_log_density` between x and the results."""

    bases: FloatArray
    whiteners: FloatArray
    means: FloatArray
    normals: FloatArray
    offsets: FloatArray
    gradients: FloatArray
    ends: np.ndarray
    points: FloatArray
    pulls: FloatArray
    rays: FloatArray
    side_start: np.ndarray
    point_start: np.ndarray
    ray_start: np.ndarray

    def arguments(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order of the kernel."""
        return (self.bases, self.whiteners, self.means, self.normals, self.offsets, self.gradients, self.ends,
                self.points, self.pulls, self.rays, self.side_start, self.point_start, self.ray_start)


def components_of(prior: GaussianMixture) -> list[Component]:
    """Components with positive weight, equal ones merged."""
    reduced = prior.reduced()
    out = []
    for w, mu, sigma in zip(reduced.weights_exact, reduced.means_exact, reduced.covariances_exact, strict=True):
        a, b, c = rational(sigma[0, 0]), rational(sigma[0, 1]), rational(sigma[1, 1])
        out.append(Component(rational(w), (rational(mu[0]), rational(mu[1])), ((a, b), (b, c))))
    return out


def posteriors(cells: Sequence[PlaneCell], components: Sequence[Component], noise: GaussianNoise,
               n: int) -> list[Posterior]:
    """All cells with all components, whose covariances must be regular."""
    omega = fmpq_mat([[rational(v) for v in row] for row in noise.covariance_exact(n)])
    omega_inverse, omega_det = omega.inv(), omega.det()
    out = []
    for cell in cells:
        a = fmpq_mat([list(row) for row in cell.matrix])
        pulled = a.transpose() * omega_inverse
        information = pulled * a
        c = fmpq_mat([[v] for v in cell.offset])
        for component in components:
            s = fmpq_mat([list(row) for row in component.covariance])
            mu = fmpq_mat([[v] for v in component.mean])
            s_inverse = s.inv()
            precision = s_inverse + information
            covariance = precision.inv()
            start = covariance * (s_inverse * mu - pulled * c)
            mean = a * mu + c
            out.append(Posterior(cell, component, tuple(mean[i, 0] for i in range(n)), a * s * a.transpose() + omega,
                                 omega_det * s.det() * precision.det(), precision, covariance, covariance * pulled,
                                 (start[0, 0], start[1, 0])))
    return out


def plane_terms(pairs: Sequence[Posterior], n: int) -> PlaneTerms:
    """Round the posteriors and the cells, seen in the frame that whitens the posterior."""
    count = len(pairs)
    bases, means = np.empty(count), np.empty((count, n))
    whiteners, pulls = np.empty((count, n, n)), np.empty((count, 2, n))
    normals: list[list[float]] = []
    offsets: list[float] = []
    gradients: list[list[float]] = []
    ends: list[list[int]] = []
    points: list[list[float]] = []
    rays: list[list[float]] = []
    starts = ([0], [0], [0])
    for p, pair in enumerate(pairs):
        bases[p] = (log_ratio(pair.component.weight) - 0.5 * log_ratio(pair.determinant)) - 0.5 * n * _LOG_2PI
        means[p] = [ratio(v) for v in pair.mean]
        whiteners[p] = _whitener(pair.marginal)
        # Cholesky C C^T of the precision: w = C^T (z - m) is standard normal under the posterior.
        p11, p12 = pair.precision[0, 0], pair.precision[0, 1]
        tilt = p12 / p11
        c11 = math.sqrt(ratio(p11))
        c22 = math.sqrt(ratio(pair.precision[1, 1] - p12 * tilt))
        for i in range(n):
            g1, g2 = pair.gain[0, i], pair.gain[1, i]
            pulls[p, 0, i], pulls[p, 1, i] = c11 * ratio(g1 + tilt * g2), c22 * ratio(g2)
        for side in pair.cell.sides():
            a1, a2 = side.normal
            v = pair.covariance
            length = math.sqrt(ratio(a1 * a1 * v[0, 0] + 2 * a1 * a2 * v[0, 1] + a2 * a2 * v[1, 1]))
            n1, n2 = ratio(a1) / c11, ratio(a2 - tilt * a1) / c22
            unit = math.hypot(n1, n2)
            normals.append([n1 / unit, n2 / unit])
            offsets.append(ratio(side.offset - a1 * pair.start[0] - a2 * pair.start[1]) / length)
            gradients.append([-ratio(a1 * pair.gain[0, i] + a2 * pair.gain[1, i]) / length for i in range(n)])
            ends.append([-1 if side.start is None else side.start, -1 if side.end is None else side.end])
        for x, y, w in pair.cell.corners:
            if w:
                dx, dy = x - pair.start[0], y - pair.start[1]
                points.append([c11 * ratio(dx + tilt * dy), c22 * ratio(dy)])
            else:
                r1, r2 = c11 * ratio(x + tilt * y), c22 * ratio(y)
                size = math.hypot(r1, r2)
                rays.append([r1 / size, r2 / size])
        for start, items in zip(starts, (normals, points, rays), strict=True):
            start.append(len(items))
    side_start, point_start, ray_start = (np.array(start, dtype=np.int64) for start in starts)
    return PlaneTerms(bases, whiteners, means, np.array(normals).reshape(-1, 2), np.array(offsets),
                      np.array(gradients).reshape(-1, n), np.array(ends, dtype=np.int64).reshape(-1, 2),
                      np.array(points).reshape(-1, 2), pulls, np.array(rays).reshape(-1, 2),
                      side_start, point_start, ray_start)


def ratio(value: fmpq) -> float:
    """The float64 nearest to a rational, cut to the finite range."""
    try:
        return int(value.p) / int(value.q)
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if value.p > 0 else -1)


def log_ratio(value: fmpq) -> float:
    """Log of a positive rational of any size."""
    rounded = ratio(value)
    if 1e-300 < rounded < 1e300:
        return math.log(rounded)
    return math.log(int(value.p)) - math.log(int(value.q))


def _whitener(marginal: fmpq_mat) -> FloatArray:
    """Lower triangular W with W^T W the inverse of a covariance: rational elimination, then one rounding."""
    n = marginal.nrows()
    rows = [[marginal[i, j] for j in range(n)] for i in range(n)]
    inverse = [[fmpq(int(i == j)) for j in range(n)] for i in range(n)]
    w = np.zeros((n, n))
    for k in range(n):
        pivot = rows[k][k]
        for i in range(k + 1, n):
            factor = rows[i][k] / pivot
            if factor:
                for j in range(k, n):
                    rows[i][j] -= factor * rows[k][j]
                for j in range(k + 1):
                    inverse[i][j] -= factor * inverse[k][j]
        scale = math.sqrt(ratio(pivot))
        w[k, :k + 1] = [ratio(inverse[k][j]) / scale for j in range(k + 1)]
    return w


def as_fraction(value: fmpq) -> Fraction:
    """A flint rational as a Fraction."""
    return Fraction(int(value.p), int(value.q))
