"""Continuous piecewise affine maps of the line as sums of kinks: the form in which neurons are added up.

A map is its leftmost affine piece and its kinks, each with the change of slope there. Adding maps adds these
numbers, so a layer is summed without ever cutting the line into pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flint import fmpq

from ident_theory.geometry.line import LinePieces, Vector, point_inside

_ZERO = fmpq(0)


class Kinked(NamedTuple):
    r"""A continuous map :math:`f(z) = a z + c + \sum_i d_i \max(z - t_i, 0)` into R^n; equal maps are equal tuples.

    Attributes
    ----------
    slope, intercept : tuple of n fmpq
        a and c, the leftmost piece.
    kinks : tuple of (fmpq, tuple of n fmpq)
        :math:`(t_i, d_i)`, t increasing, no d zero.
    """

    slope: Vector
    intercept: Vector
    kinks: tuple[tuple[fmpq, Vector], ...]

    def pieces(self) -> LinePieces:
        """The same map as canonical pieces."""
        slopes, intercepts = [self.slope], [self.intercept]
        for t, d in self.kinks:
            slopes.append(tuple(a + e for a, e in zip(slopes[-1], d, strict=True)))
            intercepts.append(tuple(c - e * t for c, e in zip(intercepts[-1], d, strict=True)))
        return LinePieces(tuple(t for t, _ in self.kinks), tuple(slopes), tuple(intercepts))


#: The latent itself.
IDENTITY = Kinked((fmpq(1),), (_ZERO,), ())


def constant(value: Vector) -> Kinked:
    """The constant map."""
    return Kinked((_ZERO,) * len(value), value, ())


def add(f: Kinked, g: Kinked) -> Kinked:
    """The sum of two maps into the same R^n."""
    slope = tuple([a + b for a, b in zip(f.slope, g.slope, strict=True)])
    intercept = tuple([a + b for a, b in zip(f.intercept, g.intercept, strict=True)])
    if not g.kinks:
        return Kinked(slope, intercept, f.kinks)
    if not f.kinks:
        return Kinked(slope, intercept, g.kinks)
    changes = dict(f.kinks)
    for t, d in g.kinks:
        if t in changes:
            d = tuple([a + b for a, b in zip(changes[t], d, strict=True)])
        changes[t] = d
    return Kinked(slope, intercept, tuple(sorted([item for item in changes.items() if any(item[1])])))


def scale(f: Kinked, vector: Sequence[fmpq]) -> Kinked:
    """A scalar map times a vector of R^n."""
    if not any(vector):
        return constant((_ZERO,) * len(vector))
    (a,), (c,) = f.slope, f.intercept
    return Kinked(tuple([v * a for v in vector]), tuple([v * c for v in vector]),
                  tuple([(t, tuple([v * d for v in vector])) for t, (d,) in f.kinks]))


def activate(f: Kinked, negative_slope: fmpq) -> Kinked:
    """The (leaky) ReLU of a scalar map: t for t > 0, negative_slope * t otherwise."""
    pieces = f.pieces()
    slopes: list[fmpq] = []
    cuts: list[fmpq] = []
    first_intercept = _ZERO
    for k in range(pieces.n_pieces):
        (a,), (c,) = pieces.slopes[k], pieces.intercepts[k]
        left, right = pieces.ends(k)
        edges = [left, right]
        if a:
            root = -c / a
            if (left is None or left < root) and (right is None or root < right):
                edges = [left, root, right]
        for i in range(len(edges) - 1):
            inner = point_inside(edges[i], edges[i + 1])
            factor = fmpq(1) if a * inner + c > 0 else negative_slope
            if not slopes:
                first_intercept = factor * c
            else:
                cuts.append(edges[i])
            slopes.append(factor * a)
    changes = [(t, (right - left,)) for t, left, right in zip(cuts, slopes[:-1], slopes[1:], strict=True)]
    return Kinked((slopes[0],), (first_intercept,), tuple((t, d) for t, d in changes if d[0]))
