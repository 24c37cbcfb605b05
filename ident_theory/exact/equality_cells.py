"""The cells of a network of two latents, by clipping one quadrant after another, for the verifier.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.network_linear import Row
from ident_theory.exact.pair_trees import Matrix, Network, times
from ident_theory.exact.pair_trees import Row as Fractions

#: A rational as numerator and denominator.
Name = tuple[int, int]
#: (x, y, 1) is a point, (x, y, 0) the direction of a ray.
Corner = tuple[Any, Any, int]
#: Corners of a closed convex set with interior, anticlockwise; it holds no whole line and has an angle below pi at
#: infinity. Of two neighbouring rays the first comes before the arc at infinity, the second after it.
Polygon = tuple[Corner, ...]

_ZERO, _ONE = fmpq(0), fmpq(1)
#: The plane in four pieces without lines.
QUADRANTS: tuple[Polygon, ...] = tuple(
    ((_ZERO, _ZERO, 1), (fmpq(a), fmpq(b), 0), (fmpq(-b), fmpq(a), 0)) for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1)))


def exact(value: Any) -> fmpq:
    """A Fraction in the arithmetic of flint."""
    return fmpq(value.numerator, value.denominator)


def name(value: Any) -> Name:
    """A rational as a key of dictionaries: integers hash many times faster."""
    return int(value.p), int(value.q)


def at(row: Row, corner: Corner) -> Any:
    """An affine function [a, b, c] at a point; its slope along a ray."""
    value = row[0] * corner[0] + row[1] * corner[1]
    return value + row[2] if corner[2] else value


def split(polygon: Polygon, row: Row) -> tuple[Polygon | None, Polygon | None]:
    """The parts where an affine function is >= 0 and <= 0; None for a part without interior."""
    values = [at(row, corner) for corner in polygon]
    if all(v >= 0 for v in values):
        return polygon, None
    if all(v <= 0 for v in values):
        return None, polygon
    above: list[Corner] = []
    below: list[Corner] = []
    for i, (corner, value) in enumerate(zip(polygon, values, strict=True)):
        if value >= 0:
            above.append(corner)
        if value <= 0:
            below.append(corner)
        following = values[(i + 1) % len(values)]
        if value * following < 0:
            cut = _between(corner, polygon[(i + 1) % len(values)], abs(following), abs(value))
            above.append(cut)
            below.append(cut)
    return tuple(above), tuple(below)


def _between(p: Corner, q: Corner, weight: Any, other: Any) -> Corner:
    """The positive combination weight p + other q, as a point where it is one."""
    x, y, w = weight * p[0] + other * q[0], weight * p[1] + other * q[1], weight * p[2] + other * q[2]
    if not w:
        size = abs(x) + abs(y)
        return x / size, y / size, 0
    return x / w, y / w, 1


def edges(polygon: Polygon) -> Iterator[tuple[Corner, Corner]]:
    """Neighbouring corners, anticlockwise; the arc at infinity is a pair of rays."""
    return zip(polygon, (*polygon[1:], polygon[0]), strict=True)


def moved(polygon: Polygon, t: Sequence[Row]) -> Polygon:
    """The image under an invertible affine map with rows [a, b, c], anticlockwise again."""
    corners = [(at(t[0], corner), at(t[1], corner), corner[2]) for corner in polygon]
    return tuple(corners if t[0][0] * t[1][1] > t[0][1] * t[1][0] else corners[::-1])


def side_row(p: Corner, q: Corner) -> Row:
    """The function [a, b, c] that vanishes on a side of a polygon and is positive inside."""
    x, y = (q[0] - p[0], q[1] - p[1]) if p[2] and q[2] else (q[0], q[1]) if p[2] else (-p[0], -p[1])
    anchor = p if p[2] else q
    return [-y, x, y * anchor[0] - x * anchor[1]]


def contains(polygon: Polygon, point: Sequence[Any]) -> bool:
    """Whether a closed polygon contains a point."""
    return all(at(side_row(p, q), (point[0], point[1], 1)) >= 0 for p, q in edges(polygon) if p[2] or q[2])


def composed(net: Network, a: Matrix, shift: Fractions) -> Network:
    """The network z -> f(a z + shift)."""
    first = net.weights[0]
    bias = tuple(b + sum(w * s for w, s in zip(r, shift, strict=True))
                 for r, b in zip(first, net.biases[0], strict=True))
    return Network((times(first, a), *net.weights[1:]), (bias, *net.biases[1:]), net.slope)


class PlaneNetwork:
    """A network of two latents in the arithmetic of flint."""

    def __init__(self, net: Network) -> None:
        self._slope = exact(net.slope)
        self._layers = [fmpq_mat(len(w), len(w[0]) + 1, [exact(v) for r, b in zip(w, bias, strict=True)
                                                         for v in (*r, b)])
                        for w, bias in zip(net.weights, net.biases, strict=True)]

    def cells(self, polygons: Sequence[Polygon] = QUADRANTS) -> Iterator[tuple[Polygon, list[Row]]]:
        """Polygons that tile the given ones, each with the map on it: n rows [a, b, c].

        Every unit cuts the polygons on which it takes both signs. The map on a polygon is the one of the closed
        cell, because the activation is continuous.
        """
        start = self._apply(0, [[_ONE, _ZERO, _ZERO], [_ZERO, _ONE, _ZERO]])
        stack: list[tuple[int, Polygon, list[Row], tuple[Row, ...]]] = [(0, p, start, ()) for p in polygons]
        last = len(self._layers) - 1
        while stack:
            layer, polygon, rows, active = stack.pop()
            if layer == last:
                yield polygon, rows
            elif len(active) == len(rows):
                stack.append((layer + 1, polygon, self._apply(layer + 1, active), ()))
            else:
                row = rows[len(active)]
                above, below = split(polygon, row)
                if below is not None:
                    stack.append((layer, below, rows, (*active, [self._slope * v for v in row])))
                if above is not None:
                    stack.append((layer, above, rows, (*active, row)))

    def _apply(self, layer: int, inputs: Sequence[Row]) -> list[Row]:
        flat = [v for row in inputs for v in row]
        rows: list[Row] = (self._layers[layer]
                           * fmpq_mat(len(inputs) + 1, 3, [*flat, _ZERO, _ZERO, _ONE])).tolist()
        return rows


@lru_cache(maxsize=2)
def all_cells(net: Network) -> tuple[tuple[Polygon, list[Row]], ...]:
    """The cells of a network on the whole plane; kept, because priors given u ask for them once for every u."""
    return tuple(PlaneNetwork(net).cells())
