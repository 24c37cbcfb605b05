"""The affine pieces of a network of two latents, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from flint import fmpq

from ident_theory.errors import BudgetExceeded, InputError
from ident_theory.geometry.line import REMEMBERED
from ident_theory.geometry.plane_walk import Corner, PlaneWalk
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap

Vector = tuple[fmpq, ...]

_ZERO = fmpq(0)


@dataclass(frozen=True)
class Side:
    """A side of a cell, on the border of the half plane ``a1 z1 + a2 z2 <= b`` that contains the cell.

    Attributes
    ----------
    normal, offset
        The pair (a1, a2), pointing outwards, and b.
    start, end : int or None
        Positions of its ends in `PlaneCell.points`, anticlockwise; None where it runs to infinity.
    """

    normal: tuple[fmpq, fmpq]
    offset: fmpq
    start: int | None
    end: int | None


@dataclass(frozen=True)
class PlaneCell:
    r"""A closed convex polygon, perhaps unbounded, with the affine map :math:`f(z) = A z + c` on it.

    Attributes
    ----------
    corners : tuple of Corner
        Anticlockwise; the set is the convex hull of its points plus the cone of its rays. Neighbouring rays
        bound an arc at infinity. A side that is a whole line has one of its points as a corner between its
        two rays. The whole plane has four rays and no point.
    matrix : tuple of n pairs of fmpq
        Rows of A.
    offset : tuple of n fmpq
        The vector c.
    pattern : str
        One character a hidden unit, the first layer first: ``+`` where what goes into its activation is >= 0
        on the whole cell, ``-`` otherwise. A unit that is zero on the cell is ``+``. With negative slope 1 the
        network is affine, nothing is cut, and all are ``+``.
    """

    corners: tuple[Corner, ...]
    matrix: tuple[tuple[fmpq, fmpq], ...]
    offset: Vector
    pattern: str = ""

    @property
    def is_bounded(self) -> bool:
        """Whether the cell has no rays."""
        return all(w for _, _, w in self.corners)

    @property
    def points(self) -> tuple[tuple[fmpq, fmpq], ...]:
        """The finite corners."""
        return tuple((x, y) for x, y, w in self.corners if w)

    def sides(self) -> tuple[Side, ...]:
        """The sides, anticlockwise; none for the whole plane."""
        count = len(self.corners)
        place = {i: k for k, i in enumerate(i for i in range(count) if self.corners[i][2])}
        sides: list[Side] = []
        for i in range(count):
            j = (i + 1) % count
            p, q, r = self.corners[i], self.corners[j], self.corners[(j + 1) % count]
            if not (p[2] or q[2]):
                continue
            a, b, c = _line_through(p, q)
            scale = 1 / (abs(a) + abs(b))
            normal, offset = (-a * scale, -b * scale), c * scale
            if p[2] and not q[2] and self._is_line(self.corners[i - 1], p, q):
                continue  # the second half of a whole line
            whole = not p[2] and self._is_line(p, q, r)
            sides.append(Side(normal, offset, place.get(i), None if whole else place.get(j)))
        return tuple(sides)

    @staticmethod
    def _is_line(p: Corner, v: Corner, q: Corner) -> bool:
        """Whether the point v stands between two opposite rays."""
        return not (p[2] or q[2]) and p[0] * q[1] == p[1] * q[0]

    def contains(self, z1: fmpq, z2: fmpq) -> bool:
        """Whether a rational point lies in the closed cell."""
        return all(s.normal[0] * z1 + s.normal[1] * z2 <= s.offset for s in self.sides())

    def interior_point(self) -> tuple[fmpq, fmpq]:
        """A point of the interior: the mean of the points moved along the sum of the rays."""
        count = fmpq(max(1, len(self.points)))
        x = sum((p[0] for p in self.points), _ZERO) / count + sum((p[0] for p in self.corners if not p[2]), _ZERO)
        y = sum((p[1] for p in self.points), _ZERO) / count + sum((p[1] for p in self.corners if not p[2]), _ZERO)
        return x, y

    def value(self, z1: fmpq, z2: fmpq) -> Vector:
        """The affine map of this cell at a point."""
        return tuple(a * z1 + b * z2 + c for (a, b), c in zip(self.matrix, self.offset, strict=True))

    def rank(self) -> int:
        """Rank of A: 0 (flat), 1 or 2."""
        rows = [row for row in self.matrix if row[0] or row[1]]
        if not rows:
            return 0
        first = rows[0]
        return 2 if any(first[0] * row[1] != first[1] * row[0] for row in rows[1:]) else 1


@lru_cache(REMEMBERED)
def plane_cells(decoder: ReLUNetwork | PiecewiseAffineMap) -> tuple[PlaneCell, ...]:
    """Split the plane into convex cells on each of which a network with m = 2 is affine.

    The cells cover the plane and their interiors are disjoint; neighbours that carry the same map are not merged.
    They come in the order of `iter_plane_cells`, all at once.

    Raises
    ------
    InputError
        When the decoder does not have two latents.
    """
    return tuple(iter_plane_cells(decoder))


def iter_plane_cells(decoder: ReLUNetwork | PiecewiseAffineMap, limit: int | None = None) -> Iterator[PlaneCell]:
    """The cells of `plane_cells` one by one, depth first.

    On a cell of the first layers every unit of the next is affine, so its zero set there is a chord that cuts the
    cell in two. The cells come in the order of their patterns, ``+`` before ``-``. Memory grows with the depth and
    the square of the width, not with the number of cells.

    Parameters
    ----------
    decoder : ReLUNetwork
    limit : int, optional
        The most cells to yield.

    Accuracy
    --------
    Cells, corners and maps are exact. Floats decide only the signs that an error bound proves.

    Raises
    ------
    InputError
        When the decoder does not have two latents.
    BudgetExceeded
        After `limit` cells when there are more, so that a part is not taken for the whole.
    """
    if decoder.latent_dim != 2 or isinstance(decoder, PiecewiseAffineMap):
        raise InputError(f"plane_cells: expected a decoder with two latents, got latent_dim={decoder.latent_dim}")
    return _limited(PlaneWalk(decoder), limit)


def _limited(walk: PlaneWalk, limit: int | None) -> Iterator[PlaneCell]:
    for count, raw in enumerate(walk.cells()):
        if count == limit:
            raise BudgetExceeded(f"iter_plane_cells: the network has more than limit={limit} cells; raise the limit")
        yield PlaneCell(*raw)


def _line_through(p: Corner, q: Corner) -> tuple[fmpq, fmpq, fmpq]:
    """Coefficients with a x + b y + c >= 0 on the left of the side from p to q."""
    return (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])
