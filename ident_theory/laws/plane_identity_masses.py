r"""Masses of polygons under normal laws of the plane, as formal sums of numbers, and these numbers as balls.

The numbers are 1; :math:`\Phi(t)` for :math:`t > 0`, named (t^2,); Owen's function
:math:`T(h, a) = \frac{1}{2\pi} \int_0^a e^{-h^2(1+x^2)/2}/(1+x^2)\,dx` for h, a > 0, named (h^2, a^2); and
:math:`\arccos(c)/(2\pi)` for 0 < c^2 < 1/2, named ("angle", c^2). All names are rational.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flint import acb, arb, fmpq

from ident_theory.geometry.plane import PlaneCell
from ident_theory.laws.identity import Plain, Sums, add_term, plain
from ident_theory.laws.plane_terms import Component

Pair = tuple[fmpq, fmpq]
#: The name of a number, as above.
NumberName = tuple[Any, ...]
_ONE, _HALF = fmpq(1), fmpq(1, 2)
#: Angles that are rational multiples of a full turn and have a rational squared cosine.
_TURNS = {(1, 4): fmpq(1, 6), (1, 2): fmpq(1, 8), (3, 4): fmpq(1, 12)}


def add_flat_masses(atoms: Sums, location: Any, cells: Sequence[PlaneCell], components: Sequence[Component]) -> None:
    r"""Add the masses of polygons with one value of f, for components of rank 2.

    In whitened coordinates with the mean as origin, the field :math:`r (1 - e^{-|r|^2/2}) / (2\pi |r|^2)` has the
    normal density as divergence. By the theorem of Gauss the mass of a polygon is the share of a turn
    in which the origin lies inside, minus the sum over the sides of
    :math:`T(h, b/h) - T(h, a/h)`: h is the distance of the side's line, positive when the origin is on the
    inner side, and a < b are the places of its ends along it, measured anticlockwise from the foot of the origin.
    The numbers do not depend on the coordinates of the latent, and what two cells share cancels.

    Parameters
    ----------
    atoms : dict
        Receives the terms, named (location, *number).
    location : hashable
    cells : sequence of PlaneCell
    components : sequence of Component
    """
    for component in components:
        wedges: dict[Pair, Pair] = {}
        whole = False
        for cell in cells:
            for name, value in _side_terms(cell, component):
                add_term(atoms, (location, *name), component.weight * value)
            found = _wedge(cell, component.mean)
            whole = whole or found is True
            if isinstance(found, tuple):
                wedges[found[0]] = found[1]
        for name, value in [((), _ONE)] if whole else _turn(wedges, component):
            add_term(atoms, (location, *name), component.weight * value)


def _side_terms(cell: PlaneCell, component: Component) -> list[tuple[NumberName, fmpq]]:
    """The sum over the sides."""
    (s, t), (_, u) = component.covariance
    mu1, mu2 = component.mean
    points = cell.points
    terms: list[tuple[NumberName, fmpq]] = []
    for side in cell.sides():
        n1, n2 = side.normal
        gap = side.offset - n1 * mu1 - n2 * mu2
        if not gap:
            continue
        k1, k2 = s * n1 + t * n2, t * n1 + u * n2
        spread = n1 * k1 + n2 * k2
        square = gap * gap / spread
        sign = -1 if gap > 0 else 1
        foot = (mu1 + k1 * gap / spread, mu2 + k2 * gap / spread)
        # A step d = (-n2, n1) along the side has the squared whitened length spread / det S.
        length = spread / (s * u - t * t)
        for end, way in ((side.start, -1), (side.end, 1)):
            if end is None:  # T(h, oo) = (1 - Phi(h)) / 2
                terms += [((), sign * _HALF), ((plain(square),), -sign * _HALF)]
                continue
            x, y = points[end]
            steps = (n1 * (y - foot[1]) - n2 * (x - foot[0])) / (n1 * n1 + n2 * n2)
            if steps:
                name = (plain(square), plain(steps * steps * length / square))
                terms.append((name, fmpq(sign * way * (1 if steps > 0 else -1))))
    return terms


def _wedge(cell: PlaneCell, mean: Pair) -> tuple[Pair, Pair] | bool:
    """The directions in which a cell lies as seen from a point: from one to another anticlockwise, all, or none."""
    points = cell.points
    first: Pair | None = None
    last: Pair | None = None
    for side in cell.sides():
        gap = side.offset - side.normal[0] * mean[0] - side.normal[1] * mean[1]
        if gap < 0:
            return False
        if gap == 0:
            n1, n2 = side.normal
            if side.end is None or points[side.end] != mean:
                first = (-n2, n1)
            if side.start is None or points[side.start] != mean:
                last = (n2, -n1)
    return True if first is None or last is None else (first, last)


def _turn(wedges: dict[Pair, Pair], component: Component) -> list[tuple[NumberName, fmpq]]:
    """The share of a turn that disjoint wedges fill, neighbours joined."""
    terms: list[tuple[NumberName, fmpq]] = []
    lasts = set(wedges.values())
    starts = [first for first in wedges if first not in lasts]
    if wedges and not starts:
        return [((), _ONE)]
    for first in starts:
        last = wedges[first]
        while last in wedges:
            last = wedges[last]
        terms += _share(first, last, component)
    return terms


def _share(first: Pair, last: Pair, component: Component) -> list[tuple[NumberName, fmpq]]:
    """The whitened angle from one direction anticlockwise to another, over a full turn."""
    cross = first[0] * last[1] - first[1] * last[0]
    if cross == 0:
        return [((), _HALF)]
    if cross < 0:
        return [((), _ONE), *((name, -value) for name, value in _share(last, first, component))]
    (s, t), (_, u) = component.covariance

    def product(p: Pair, q: Pair) -> fmpq:
        return u * p[0] * q[0] - t * (p[0] * q[1] + p[1] * q[0]) + s * p[1] * q[1]

    inner = product(first, last)
    if inner == 0:
        return [((), fmpq(1, 4))]
    square = plain(inner * inner / (product(first, first) * product(last, last)))
    acute: list[tuple[NumberName, fmpq]]
    if square in _TURNS:
        acute = [((), _TURNS[square])]
    elif 2 * square[0] < square[1]:
        acute = [(("angle", square), _ONE)]
    else:  # the complementary angle
        acute = [((), fmpq(1, 4)), (("angle", (square[1] - square[0], square[1])), -_ONE)]
    return acute if inner > 0 else [((), _HALF), *((name, -value) for name, value in acute)]


def number(name: NumberName) -> arb:
    """A ball, at the working precision, around the number of a name."""
    if not name:
        return arb(1)
    if name[0] == "angle":
        return _root(name[1]).acos() / (2 * arb.pi())
    if len(name) == 1:
        return (1 + (_root(name[0]) / arb(2).sqrt()).erf()) / 2
    half, end = arb(fmpq(*name[0])) / 2, _root(name[1])

    def integrand(x: acb, _: bool) -> acb:
        spread = 1 + x * x
        return (-half * spread).exp() / spread

    return acb.integral(integrand, acb(0), acb(end)).real / (2 * arb.pi())


def _root(square: Plain) -> arb:
    return arb(fmpq(*square)).sqrt()


def total(terms: Mapping[NumberName, fmpq]) -> arb:
    """A ball around a formal sum of numbers."""
    return sum((arb(value) * number(name) for name, value in terms.items()), arb(0))
