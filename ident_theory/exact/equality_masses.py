r"""Gaussian masses of intervals and polygons as formal sums that affine changes of the latent keep, for the verifier.

A formal sum has rational coefficients of symbols, whose entries are rationals as `equality_cells.name` writes them:

- ``("1",)``: the number 1;
- ``("F", t)``: :math:`F(\sqrt t) = \Phi(\sqrt t) - 1/2`, t > 0;
- ``("FF", s, t)``: :math:`F(\sqrt s) F(\sqrt t)`, s <= t;
- ``("T", s, t)``: :math:`T(\sqrt s, \sqrt{t / s})`, s > t > 0, Owen's T: the standard normal mass beyond a line at
  distance h = sqrt(s) from the origin, within the angle between its normal and the point sqrt(t) beside its foot;
- ``("A", t)``: :math:`\arctan(\sqrt t) / (2 \pi)`, 0 < t < 1, t not 1/3.

The last three are brought to this form by :math:`T(h, k/h) + T(k, h/k) = 1/4 - F(h) F(k)` (the rectangle with sides h
and k) and by complementary angles; angles with a rational tan^2 that are rational multiples of pi become rationals.
Equal sums are equal numbers. The converse is not claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

from flint import acb, arb, ctx, fmpq

from ident_theory.exact.equality_cells import Corner, Polygon, edges, name

#: Rational coefficients of symbols.
Formal = dict[tuple[Any, ...], Any]
Vector = Sequence[Any]

ONE: tuple[Any, ...] = ("1",)
_HALF = fmpq(1, 2)
#: tan^2 of an acute angle: the angle as a part of the whole turn, when that is rational.
_RATIONAL_ANGLES = {fmpq(1): fmpq(1, 8), fmpq(1, 3): fmpq(1, 12)}


def add(total: Formal, symbol: tuple[Any, ...], value: Any) -> None:
    """Add a multiple of a symbol; zeros are dropped."""
    value = total.get(symbol, 0) + value
    if value:
        total[symbol] = value
    else:
        total.pop(symbol, None)


def add_scaled(total: Formal, other: Formal, factor: Any) -> None:
    """Add a multiple of a formal sum."""
    for symbol, value in other.items():
        add(total, symbol, factor * value)


def add_below(total: Formal, gap: Any, variance: Any, factor: Any) -> None:
    """Add factor times P(N(0, variance) < gap)."""
    add(total, ONE, factor * _HALF)
    if gap:
        add(total, ("F", name(gap * gap / variance)), factor if gap > 0 else -factor)


def interval_mass(low: Any, high: Any, mean: Any, variance: Any) -> Formal:
    """P(low < N(mean, variance) < high) for a positive variance; None is infinity."""
    total: Formal = {}
    if high is None:
        add(total, ONE, fmpq(1))
    else:
        add_below(total, high - mean, variance, fmpq(1))
    if low is not None:
        add_below(total, low - mean, variance, fmpq(-1))
    return total


def polygon_mass(polygons: Sequence[Polygon], mean: Vector, covariance: Sequence[Vector]) -> Formal:
    """Mass of a regular bivariate normal law on polygons that overlap in sides at most.

    A side at distance h > 0 from the mean (in the metric of the covariance) spans a triangle with it. With p and q
    the signed distances of its ends from the foot, the mass of the triangle is its angle over 2 pi minus
    T(h, q/h) + T(h, p/h), and minus that when the mean is on the outer side. The angles add up to the part of a small
    circle around the mean that lies in the polygons.
    """
    total: Formal = {}
    turns: dict[tuple[Any, Any], int] = {}
    for polygon in polygons:
        sides = [_Side(p, q, mean, covariance) for p, q in edges(polygon) if p[2] or q[2]]
        for side in sides:
            if side.height:
                sign = 1 if side.height > 0 else -1
                for foot, factor in ((side.after, -sign), (side.before, sign)):
                    _add_owen(total, side.distance, foot, factor)
        if all(side.height >= 0 for side in sides):
            around = [side for side in sides if not side.height]
            if not around:
                add(total, ONE, fmpq(1))
            elif len(around) == 1:
                add(total, ONE, _HALF)
            else:
                _add_wedge(total, turns, _outgoing(around, mean), _incoming(around, mean))
    _add_angles(total, turns, covariance)
    return total


class _Side:
    """A directed side seen from the mean.

    ``height`` is positive when the mean lies to the left; ``distance`` is the squared distance of the line,
    ``before`` and ``after`` are sign and squared distance from the foot of the two ends, None at infinity.
    """

    __slots__ = ("after", "before", "direction", "distance", "end", "height", "start")

    def __init__(self, p: Corner, q: Corner, mean: Vector, covariance: Sequence[Vector]) -> None:
        (a, b), (_, d) = covariance
        self.start, self.end = p, q
        x, y = (q[0] - p[0], q[1] - p[1]) if p[2] and q[2] else (q[0], q[1]) if p[2] else (-p[0], -p[1])
        self.direction = x, y
        anchor = p if p[2] else q
        u, v = anchor[0] - mean[0], anchor[1] - mean[1]
        self.height = u * y - v * x
        # Squares in the inverse covariance, times the determinant; the normal (y, -x) in the covariance is the same.
        square = d * x * x - 2 * b * x * y + a * y * y
        self.distance = self.height * self.height / square
        determinant = a * d - b * b
        ends: list[tuple[int, Any]] = []
        for corner, step in ((p, -1), (q, 1)):
            u, v = corner[0] - mean[0], corner[1] - mean[1]
            inner = d * x * u + a * y * v - b * (x * v + y * u)
            ends.append(((inner > 0) - (inner < 0), inner * inner / (determinant * square)) if corner[2]
                        else (step, None))
        self.before, self.after = ends


def _add_owen(total: Formal, height: Any, foot: tuple[int, Any], factor: int) -> None:
    """Add factor T(h, k / h) for squared h > 0 and signed squared k, None for infinity."""
    sign, leg = foot
    if not sign:
        return
    weight = fmpq(sign * factor)
    if leg is None:
        add(total, ONE, weight / 4)
        add(total, ("F", name(height)), -weight / 2)
    elif height > leg:
        add(total, ("T", name(height), name(leg)), weight)
    else:
        if height == leg:
            weight = weight / 2
        else:
            add(total, ("T", name(leg), name(height)), -weight)
        add(total, ONE, weight / 4)
        add(total, ("FF", name(height), name(leg)), -weight)


def _outgoing(around: Sequence[_Side], mean: Vector) -> tuple[Any, Any]:
    """Direction of the side that starts at the mean."""
    return next(side.direction for side in around if side.start[2] and tuple(side.start[:2]) == tuple(mean))


def _incoming(around: Sequence[_Side], mean: Vector) -> tuple[Any, Any]:
    """Direction from the mean along the side that ends there."""
    x, y = next(side.direction for side in around if side.end[2] and tuple(side.end[:2]) == tuple(mean))
    return -x, -y


def _add_wedge(total: Formal, turns: dict[tuple[Any, Any], int], first: tuple[Any, Any],
               second: tuple[Any, Any]) -> None:
    """Record the angle, below pi, from one direction to another: the lines in `turns`, half turns in `total`."""
    halves = []
    for (x, y), step in ((first, -1), (second, 1)):
        is_upper = y > 0 or (not y and x > 0)
        halves.append(is_upper)
        size = (abs(x) + abs(y)) * (1 if is_upper else -1)
        line = x / size, y / size
        turns[line] = turns.get(line, 0) + step
    if halves[0] != halves[1]:
        add(total, ONE, _HALF)


def _add_angles(total: Formal, turns: dict[tuple[Any, Any], int], covariance: Sequence[Vector]) -> None:
    """Add the recorded angles: for the gap between neighbouring lines how often it was covered.

    All gaps together make a half turn, so one of them is taken as not covered.
    """
    lines = sorted((line for line, count in turns.items() if count), key=cmp_to_key(_compare_angles))
    if not lines:
        return
    covered = []
    count = 0
    for line in lines:
        count -= turns[line]
        covered.append(count)
    least = min(covered)
    add(total, ONE, _HALF * least)
    for i, line in enumerate(lines):
        x, y = lines[i + 1] if i + 1 < len(lines) else (-lines[0][0], -lines[0][1])
        _add_gap(total, line, (x, y), covariance, fmpq(covered[i] - least))


def _compare_angles(p: tuple[Any, Any], q: tuple[Any, Any]) -> int:
    return -1 if p[0] * q[1] > p[1] * q[0] else 1


def _add_gap(total: Formal, p: tuple[Any, Any], q: tuple[Any, Any], covariance: Sequence[Vector],
             factor: Any) -> None:
    """Add factor times an angle below pi, in the metric of the covariance, as a part of the whole turn."""
    if not factor:
        return
    (a, b), (_, d) = covariance
    inner = d * p[0] * q[0] + a * p[1] * q[1] - b * (p[0] * q[1] + p[1] * q[0])
    if inner < 0:
        add(total, ONE, factor * _HALF)
        factor = -factor
    if not inner:
        add(total, ONE, factor / 4)
        return
    tangent = (p[0] * q[1] - p[1] * q[0]) ** 2 * (a * d - b * b) / inner ** 2
    if tangent > 1:
        add(total, ONE, factor / 4)
        tangent, factor = 1 / tangent, -factor
    if tangent in _RATIONAL_ANGLES:
        add(total, ONE, factor * _RATIONAL_ANGLES[tangent])
    else:
        add(total, ("A", name(tangent)), factor)


def evaluate(total: Formal) -> arb:
    """A formal sum as a ball at the working precision."""
    return sum((arb(value) * _VALUES[kind](*(fmpq(*v) for v in entries)) for (kind, *entries), value in total.items()),
               arb(0))


def _half_normal(t: Any) -> arb:
    return (arb(t) / 2).sqrt().erf() / 2


def _owen(height: Any, leg: Any) -> arb:
    square, end = arb(height), arb(leg / height).sqrt()
    limit = (-square / 2).exp() * end / (2 * arb.pi())
    if limit < arb(2) ** (-ctx.prec - 16):
        return limit.union(arb(0))
    value = acb.integral(lambda x, _: (-square / 2 * (1 + x * x)).exp() / (1 + x * x), 0, end)
    return value.real / (2 * arb.pi())


_VALUES: dict[str, Callable[..., arb]] = {
    "1": lambda: arb(1),
    "F": _half_normal,
    "FF": lambda s, t: _half_normal(s) * _half_normal(t),
    "T": _owen,
    "A": lambda t: arb(t).sqrt().atan() / (2 * arb.pi()),
}
