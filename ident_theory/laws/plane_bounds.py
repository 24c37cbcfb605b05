"""Rigorous enclosures of the log density for two latents.

For a rational observation the posterior mean and covariance, the corners of every cell and the coefficients
of every chord are rational. The mass of a polygon is then a sum of integrals of entire functions,
:math:`\\int \\varphi(u) [\\Phi(t(u)) - \\Phi(b(u))] du` with affine t and b, which ball arithmetic integrates
with a proven error (Johansson's ``acb.integral``). Floats only choose the frame, the scale and which terms are
worth integrating; the others enter by a proven upper bound.

**Cost.** Some 10 to 50 ms for each cell and component that matters at a point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import acb, arb, ctx, fmpq, fmpq_mat

from ident_theory.errors import BudgetExceeded
from ident_theory.exact.balls import from_float, outward, scaled_mass, scaled_tail
from ident_theory.kernels.polygons import TIGHT, log_polygon_mass, nearest_points
from ident_theory.laws.base import check_width
from ident_theory.laws.plane_terms import PlaneTerms, Posterior, ratio
from ident_theory.models.value import FloatArray

#: Relative accuracy of the integrals in bits, tried in turn.
BITS = (60, 120, 240)


@dataclass(frozen=True)
class _Chord:
    """One end of the chord: its standardised position is (start + slope u) / sqrt(variance of s given u)."""

    start: fmpq
    slope: fmpq

    def at(self, u: fmpq) -> fmpq:
        return self.start + self.slope * u


@dataclass(frozen=True)
class _Frame:
    """A cell in the coordinates u = a.z, s = b.z, seen from the posterior mean; the first axis is `a`."""

    u_variance: fmpq
    s_variance: fmpq  # of s given u
    uppers: tuple[_Chord, ...]
    lowers: tuple[_Chord, ...]
    corners: tuple[fmpq, ...]  # their u, sorted
    unbounded_left: bool
    unbounded_right: bool

    @property
    def least(self) -> fmpq | None:
        """The smallest u of the cell; None when there is none."""
        return None if self.unbounded_left or not self.corners else self.corners[0]


class PlaneBalls:
    """Ball evaluation of the terms of a law with two latents and Gaussian noise.

    Parameters
    ----------
    pairs : sequence of Posterior
        All cells with all regular components.
    terms : PlaneTerms
        The same, rounded.
    n : int
        Dimension of x.
    """

    def __init__(self, pairs: Sequence[Posterior], terms: PlaneTerms, n: int) -> None:
        self.n = n
        self._pairs = pairs
        self._terms = terms
        self._inverses = [pair.marginal.inv() for pair in pairs]

    def density(self, x: Sequence[fmpq], bits: int, log_other: float) -> tuple[fmpq, arb]:
        """Enclosure of the density at a rational point, with about `bits` correct bits, as exp(e) times a ball.

        `log_other` is the log of what other terms contribute: what is smaller by `bits` is only bounded.
        """
        column = fmpq_mat([[v] for v in x])
        floats = np.array([ratio(v) for v in x])
        plans: list[tuple[fmpq, fmpq, arb, _Frame]] = []
        for p, pair in enumerate(self._pairs):
            r = fmpq_mat([[v - m] for v, m in zip(x, pair.mean, strict=True)])
            exponent = -(r.transpose() * self._inverses[p] * r)[0, 0] / 2
            factor = arb(pair.component.weight) / arb(pair.determinant).sqrt()
            shift = pair.gain * column
            mean = (pair.start[0] + shift[0, 0], pair.start[1] + shift[1, 0])
            axis, log_mass = self._guess(p, floats)
            frame = _frame(pair, mean, axis)
            least = frame.least
            if math.isfinite(log_mass):
                guess = from_float(log_mass)
            else:  # beyond the range of float64
                guess = -least * least / frame.u_variance / 2 if least is not None and least > 0 else fmpq(0)
            plans.append((exponent + from_float(float(factor.log().mid())), guess, factor, frame))
        best = max(plan[0] + plan[1] for plan in plans)
        if math.isfinite(log_other):
            best = max(best, from_float(log_other))
        slack = from_float((bits + 8) * math.log(2) + math.log(len(plans)))
        total = arb(0)
        for level, guess, factor, frame in plans:
            shrunk = factor * arb(level - from_float(float(factor.log().mid())) - best).exp()
            bound = shrunk * _bound(frame)
            if level + guess < best - slack:
                total += arb(0).union(bound)
            else:
                mass = shrunk * arb(guess).exp() * _mass(frame, guess, bits)
                total += mass if mass.is_finite() else arb(0).union(bound)
        return best, total / (2 * arb.pi()) ** (arb(self.n) / 2)

    def _guess(self, p: int, x: FloatArray) -> tuple[tuple[fmpq, fmpq], float]:
        """A direction a in which the cell lies as seen from the posterior mean, and the log of its mass."""
        t = self._terms
        sides = slice(t.side_start[p], t.side_start[p + 1])
        if sides.start == sides.stop:
            return (fmpq(1), fmpq(0)), 0.0
        points = t.points[t.point_start[p]:t.point_start[p + 1]] - t.pulls[p] @ x
        placed = np.column_stack([t.normals[sides], t.offsets[sides] + t.gradients[sides] @ x])
        anchors = np.empty((len(placed), 3))
        distance, nearest = nearest_points(placed, t.ends[sides], points, anchors)
        log_mass, _, _ = log_polygon_mass(placed, points, t.rays[t.ray_start[p]:t.ray_start[p + 1]], anchors,
                                          distance, nearest, TIGHT)
        pair = self._pairs[p]
        if distance > 0 and anchors[nearest, 2] == 0.0:
            # e.w = (C e).z for the Cholesky factor C of the precision; any direction will do.
            # Its last pivot is formed in rationals: in float64 it may vanish.
            (p11, p12), (_, p22) = pair.precision.tolist()
            first = math.sqrt(ratio(p11))
            root = np.array([[first, 0.0], [ratio(p12) / first, math.sqrt(ratio(p22 - p12 * p12 / p11))]])
            a = root @ (anchors[nearest, :2] / distance)
            a /= np.abs(a).max()
            axis = (fmpq(round(a[0] * 2**30), 2**30), fmpq(round(a[1] * 2**30), 2**30))
        else:
            normal = pair.cell.sides()[nearest].normal
            axis = (-normal[0], -normal[1])
        return axis, max(log_mass, -0.5 * distance * distance - 200.0)


def _frame(pair: Posterior, mean: tuple[fmpq, fmpq], axis: tuple[fmpq, fmpq]) -> _Frame:
    """Turn a cell into chords over the axis, in rationals."""
    a, b = axis, (-axis[1], axis[0])
    v = pair.covariance

    def product(p: tuple[fmpq, fmpq], q: tuple[fmpq, fmpq]) -> fmpq:
        return p[0] * (v[0, 0] * q[0] + v[0, 1] * q[1]) + p[1] * (v[1, 0] * q[0] + v[1, 1] * q[1])

    u_variance, cross = product(a, a), product(a, b)
    regression = cross / u_variance
    size = a[0] * a[0] + a[1] * a[1]
    uppers: list[_Chord] = []
    lowers: list[_Chord] = []
    for side in pair.cell.sides():
        # normal . z <= offset, with z = mean + (a u + b s) / |a|^2.
        nu = (side.normal[0] * a[0] + side.normal[1] * a[1]) / size
        ns = (side.normal[0] * b[0] + side.normal[1] * b[1]) / size
        if ns:
            rest = side.offset - side.normal[0] * mean[0] - side.normal[1] * mean[1]
            chord = _Chord(rest / ns, -nu / ns - regression)
            (uppers if ns > 0 else lowers).append(chord)
    corners = sorted({a[0] * (x - mean[0]) + a[1] * (y - mean[1]) for x, y in pair.cell.points})
    along = [a[0] * x + a[1] * y for x, y, w in pair.cell.corners if not w]
    return _Frame(u_variance, product(b, b) - cross * regression, tuple(uppers), tuple(lowers), tuple(corners),
                  any(r < 0 for r in along), any(r > 0 for r in along))


def _bound(frame: _Frame) -> arb:
    """A proven upper bound of the mass: that of the half plane u >= least."""
    least = frame.least
    if least is None or least <= 0:
        return arb(1)
    return arb(-least * least / frame.u_variance / 2).exp() * scaled_tail(arb(least) / arb(frame.u_variance).sqrt())


def _mass(frame: _Frame, guess: fmpq, bits: int) -> arb:
    """Enclosure of the mass over exp(guess); the guess of its log only sets the scale of the tolerance."""
    if not frame.corners:
        return arb(-guess).exp()
    spread = arb(frame.u_variance).sqrt()
    # What lies beyond `reach` standard deviations is below the tolerance.
    reach = math.sqrt(2 * (max(0.0, -ratio(guess)) + (bits + 10) * math.log(2)))
    limit = from_float(min(reach * math.sqrt(ratio(frame.u_variance)), 1e300))
    if frame.least is not None and frame.least > limit / 2:
        limit = 2 * frame.least
    tail = arb(0).union(2 * scaled_tail(arb(limit) / spread)
                        * arb(-limit * limit / frame.u_variance / 2 - guess).exp())
    left = -limit if frame.unbounded_left else max(-limit, frame.corners[0])
    right = limit if frame.unbounded_right else min(limit, frame.corners[-1])
    if left >= right:
        return tail
    inner = {c for c in frame.corners if left < c < right}
    for chord in (*frame.uppers, *frame.lowers):
        if chord.slope:
            zero = -chord.start / chord.slope
            if left < zero < right:
                inner.add(zero)
    cuts = [left, *sorted(inner), right]
    total = tail
    for lo, hi in itertools.pairwise(cuts):
        middle = (lo + hi) / 2
        top = min(frame.uppers, key=lambda chord: chord.at(middle), default=None)
        bottom = max(frame.lowers, key=lambda chord: chord.at(middle), default=None)
        total += _panel(frame, lo, hi, bottom, top, guess, bits)
    return total


def _panel(frame: _Frame, lo: fmpq, hi: fmpq, bottom: _Chord | None, top: _Chord | None, guess: fmpq,
           bits: int) -> arb:
    """The mass over exp(guess) between two u between which the chord ends on two lines, with fixed signs."""
    if bottom is None and top is None:
        exponent, mantissa = scaled_mass(lo, hi, frame.u_variance)
        return mantissa * arb(exponent - guess).exp()
    spread = arb(frame.u_variance).sqrt()
    start, stop = arb(lo) / spread, arb(hi) / spread
    unit = (2 * arb(frame.s_variance)).sqrt()
    middle = (lo + hi) / 2
    above = bottom is not None and bottom.at(middle) >= 0
    below = top is not None and top.at(middle) <= 0

    ends = [None if chord is None else (arb(chord.start) / unit, arb(chord.slope) * spread / unit)
            for chord in (bottom, top)]
    weight = 1 / (2 * (2 * arb.pi()).sqrt())
    scale = arb(guess)

    def integrand(u: acb, _: bool) -> acb:
        b: Any
        t: Any
        b, t = (None if end is None else end[0] + end[1] * u for end in ends)
        # Complementary error functions where both ends lie on one side, so that the tails do not cancel.
        if above:
            chord = b.erfc() - (0 if t is None else t.erfc())
        elif below:
            chord = (-t).erfc() - (0 if b is None else (-b).erfc())
        else:
            chord = (1 if t is None else t.erf()) - (-1 if b is None else b.erf())
        return (-(u * u) / 2 - scale).exp() * weight * chord

    tolerance = arb(2) ** (-bits)
    return acb.integral(integrand, acb(start), acb(stop), rel_tol=tolerance, abs_tol=tolerance).real


def plane_bounds(balls: PlaneBalls | None, points: FloatArray, other_lo: FloatArray, other_hi: FloatArray,
                 rtol: float) -> tuple[FloatArray, FloatArray]:
    """Float64 intervals that contain the log density at each row of `points`.

    Parameters
    ----------
    balls : PlaneBalls or None
        The regular components.
    points : ndarray, shape (N, n)
    other_lo, other_hi : ndarray, shape (N,)
        Enclosure of the log of what the singular components contribute; -inf for nothing.
    rtol : float
        The width asked for is ``rtol * max(1, |log p|)``.

    Raises
    ------
    BudgetExceeded
        When the largest precision does not reach the width.
    """
    check_width(rtol)
    lo, hi = np.empty(len(points)), np.empty(len(points))
    for i, row in enumerate(points):
        exact = [from_float(float(v)) for v in row]
        for bits in BITS:
            with ctx.workprec(2 * bits + 64):
                other = None
                if other_hi[i] > -np.inf:
                    other = arb(from_float(float(max(other_lo[i], -1e308)))).union(arb(float(other_hi[i])))
                value = other
                if balls is not None:
                    exponent, density = balls.density(exact, bits, float(other_hi[i]))
                    if other is not None:
                        density += (other - arb(exponent)).exp()
                    value = density.log() + arb(exponent) if density > 0 else arb.nan()
                if value is not None and value.is_finite() and (
                        2 * value.rad() <= rtol * (value.abs_lower() if abs(value) > 1 else arb(1))):
                    lo[i], hi[i] = outward(value)
                    break
        else:
            raise BudgetExceeded(f"log_density_bounds: width {rtol:g} not reached with integrals to {BITS[-1]} bits "
                                 f"at x={row.tolist()}; ask for a larger rtol")
    return lo, hi
