r"""Two latents, one observation, no noise: lines of constant x cut chords out of the polygons.

On a polygon with :math:`f(z) = a\cdot z + c`, :math:`a \ne 0`, a component :math:`N(\mu, S)` is in turned and
whitened coordinates a pair of independent standard normals: y along the gradient, :math:`x = m + y\sqrt v` with
:math:`m = a\cdot\mu + c` and :math:`v = a^T S a`, and t along the chord. A side :math:`g\cdot z \le e` reads

.. math:: t \, \frac{a_1 g_2 - a_2 g_1}{\sqrt{v / \det S}} \le e - g\cdot\mu - (x - m)\frac{g^T S a}{v},

so the ends of the chord are affine in x: rational functions times the one root of :math:`v / \det S`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat

from ident_theory.exact.balls import to_float, to_pair
from ident_theory.geometry.plane import PlaneCell
from ident_theory.kernels.chords import chord_log_density
from ident_theory.kernels.polygon_sums import plane_log_density
from ident_theory.laws.base import Atoms, LawKind, add_logs
from ident_theory.laws.line_terms import BITS
from ident_theory.laws.noiseless import NoiselessLineLaw
from ident_theory.laws.parallel import in_parts
from ident_theory.laws.plane_terms import Component, Posterior, plane_terms
from ident_theory.models.value import FloatArray

#: Points below which a second thread costs more than it brings.
POINTS_PER_THREAD = 1024
#: Zeros of affine functions beyond this are not used as such: their pair would leave the range of float64.
_FAR_ZERO = 1e290
_EPS = float(np.finfo(np.float64).eps)
#: An affine function of x with rational coefficients, constant first.
_Affine = tuple[fmpq, fmpq]


class NoiselessScalar:
    r"""The law of :math:`x = f(z)` for a piecewise affine f from the plane to the line.

    The density is :math:`\sum w_j N(x; m, v) [\Phi(t_{max}(x)) - \Phi(t_{min}(x))]` over the components j of
    full rank and the cells on which f is not constant, plus the densities of the singular components, which
    are laws of one latent. Where a line of constant x runs along a border of cells, the density is its limit
    from above in x.

    **Accuracy.** Constants are rounded once, out of rationals and balls; the ends of the chords, and their
    length where it is short, keep their relative accuracy. The error is a few 1e-16 (1 + |log p|), and that of
    `NoiselessLineLaw` where a singular component contributes. Whether a cell reaches x is decided exactly.

    Parameters
    ----------
    cells : sequence of PlaneCell
    components : sequence of Component
        Those with a regular covariance.
    singular : sequence of (fmpq, NoiselessLineLaw)
        Weights and laws of the others.
    """

    def __init__(self, cells: Sequence[PlaneCell], components: Sequence[Component],
                 singular: Sequence[tuple[fmpq, NoiselessLineLaw]]) -> None:
        self._sloped = [cell for cell in cells if cell.rank() == 1]
        self._flat = [cell for cell in cells if cell.rank() == 0]
        self._components = list(components)
        self._singular = list(singular)
        spread = bool(self._components and self._sloped) or any(
            law.kind is not LawKind.ATOMS for _, law in self._singular)
        points = bool(self._components and self._flat) or any(
            law.kind is not LawKind.DENSITY for _, law in self._singular)
        self.kind = LawKind.ATOMS if not spread else LawKind.DENSITY_AND_ATOMS if points else LawKind.DENSITY

    @cached_property
    def _terms(self) -> tuple[np.ndarray, ...]:
        """Arguments of the kernel between x and the results."""
        bases: list[float] = []
        centers: list[tuple[float, float]] = []
        scales: list[float] = []
        ranges: list[tuple[float, float, float, float]] = []
        rows: list[list[float]] = []
        starts = [0]
        with ctx.workprec(BITS):
            for cell in self._sloped:
                low, high = _image_between_parallels(cell)
                for component in self._components:
                    mean, variance, root = _normal_of(cell, component)
                    bases.append(to_float(arb(component.weight).log() - (2 * arb.pi() * arb(variance)).log() / 2))
                    centers.append(to_pair(mean))
                    scales.append(to_float(1 / arb(variance).sqrt()))
                    ranges.append((*low, *high))
                    upper, lower = _chord_ends(cell, component, mean, variance)
                    widths = [(u[0] - b[0], u[1] - b[1]) for u in upper for b in lower]
                    for group in (upper, lower, widths):
                        rows += [_row(function, root) for function in group]
                        starts.append(len(rows))
        return (np.array(bases), np.array(centers).reshape(-1, 2), np.array(scales),
                np.array(ranges).reshape(-1, 4), np.array(rows).reshape(-1, 4), np.array(starts, dtype=np.int64))

    def log_density(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density of the continuous part, -inf where f does not reach, and its error: (N, 1) -> (N,), (N,)."""
        column = np.ascontiguousarray(x[:, 0])
        value, error = np.full(len(column), -np.inf), np.zeros(len(column))
        if self._sloped and self._components:
            arguments = self._terms
            in_parts(lambda part: chord_log_density(column[part], *arguments, value[part], error[part]), len(column),
                     POINTS_PER_THREAD)
        for weight, law in self._singular:
            with np.errstate(over="ignore"):  # the square of a far observation
                part = law.log_density_with_error(x)
            with ctx.workprec(BITS):
                share = to_float(arb(weight).log())
            value, error = add_logs(value, error, part.value + share, part.error)
        return value, error

    def atoms(self) -> Atoms:
        """Values that f takes on a flat cell or at a component of variance zero, with the logs of their masses.

        Sorted by location; locations that are equal in float64 are one atom. The relative error of a mass is
        about 1e-13.
        """
        parts: dict[float, list[float]] = {}
        places: dict[fmpq, list[PlaneCell]] = {}
        for cell in self._flat if self._components else ():
            places.setdefault(cell.offset[0], []).append(cell)
        for place, cells in places.items():
            # Rounded by the same function as the atoms of the line, so that one number has one float.
            parts.setdefault(to_float(place), []).append(_log_prior_mass(cells, self._components))
        for weight, law in self._singular:
            atoms = law.atoms()
            with ctx.workprec(BITS):
                share = to_float(arb(weight).log())
            for location, log_mass in zip(atoms.locations[:, 0], atoms.log_masses, strict=True):
                parts.setdefault(float(location), []).append(share + float(log_mass))
        order = sorted(parts)
        logs = [float(np.logaddexp.reduce(parts[place])) for place in order]
        return Atoms(np.array(order).reshape(-1, 1), np.array(logs))


def _normal_of(cell: PlaneCell, component: Component) -> tuple[fmpq, fmpq, arb]:
    """Mean m and variance v of the map of a cell under a component, and the root of v / det S."""
    (a1, a2), = cell.matrix
    (s11, s12), (_, s22) = component.covariance
    mean = a1 * component.mean[0] + a2 * component.mean[1] + cell.offset[0]
    variance = a1 * a1 * s11 + 2 * a1 * a2 * s12 + a2 * a2 * s22
    return mean, variance, arb(variance / (s11 * s22 - s12 * s12)).sqrt()


def _image_between_parallels(cell: PlaneCell) -> tuple[tuple[float, float], tuple[float, float]]:
    """The range of x that the sides along the chords leave, as two pairs."""
    (a1, a2), = cell.matrix
    low, high = (-math.inf, 0.0), (math.inf, 0.0)
    for side in cell.sides():
        g1, g2 = side.normal
        if a1 * g2 == a2 * g1:
            # g = ratio a, so g.z <= e bounds x = a.z + c by c + e / ratio. A convex cell has one such side each way.
            ratio = g1 / a1 if a1 else g2 / a2
            end = to_pair(cell.offset[0] + side.offset / ratio)
            low, high = (low, end) if ratio > 0 else (end, high)
    return low, high


def _chord_ends(cell: PlaneCell, component: Component, mean: fmpq,
                variance: fmpq) -> tuple[list[_Affine], list[_Affine]]:
    """Upper and lower bounds of t by the sides across the chords, without the root of v / det S."""
    (a1, a2), = cell.matrix
    (s11, s12), (_, s22) = component.covariance
    upper: list[_Affine] = []
    lower: list[_Affine] = []
    for side in cell.sides():
        g1, g2 = side.normal
        cross = a1 * g2 - a2 * g1
        if cross:
            pull = (g1 * (s11 * a1 + s12 * a2) + g2 * (s12 * a1 + s22 * a2)) / variance
            gap = side.offset - g1 * component.mean[0] - g2 * component.mean[1]
            (upper if cross > 0 else lower).append(((gap + mean * pull) / cross, -pull / cross))
    return upper, lower


def _row(function: _Affine, root: arb) -> list[float]:
    """An affine function times a root as slope, zero (a pair) and constant."""
    constant, slope = function
    rounded = to_float(slope * root)
    if rounded:
        zero = to_pair(-constant / slope)
        if abs(zero[0]) < _FAR_ZERO:
            return [rounded, *zero, 0.0]
    return [rounded, 0.0, 0.0, to_float(constant * root)]


def _log_prior_mass(cells: Sequence[PlaneCell], components: Sequence[Component]) -> float:
    """Log of the prior mass of some cells.

    This is the sum of the law with noise for an observation that says nothing: the gain is zero, so that the
    posterior is the prior, and the normal factor of x is a constant that is taken out again.
    """
    pairs = []
    for cell in cells:
        for component in components:
            covariance = fmpq_mat([list(row) for row in component.covariance])
            pairs.append(Posterior(cell, component, (fmpq(0),), fmpq_mat([[fmpq(1)]]), fmpq(1), covariance.inv(),
                                   covariance, fmpq_mat([[fmpq(0)], [fmpq(0)]]), component.mean))
    value, error = np.empty(1), np.empty(1)
    plane_log_density(np.zeros((1, 1)), *plane_terms(pairs, 1).arguments(), value, error)
    return float(value[0]) + 0.5 * math.log(2 * math.pi)
