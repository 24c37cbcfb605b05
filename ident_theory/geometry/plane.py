"""The affine pieces of a network of two latents, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flint import fmpq

from ident_theory.errors import InputError
from ident_theory.geometry.line import REMEMBERED, dot, rational
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap

#: A corner in homogeneous coordinates: (x, y, 1) is a point, (x, y, 0) the direction of a ray to infinity.
Corner = tuple[fmpq, fmpq, fmpq]
Vector = tuple[fmpq, ...]

_ZERO, _ONE = fmpq(0), fmpq(1)
_WHOLE_PLANE: tuple[Corner, ...] = ((_ONE, _ZERO, _ZERO), (_ZERO, _ONE, _ZERO),
                                    (-_ONE, _ZERO, _ZERO), (_ZERO, -_ONE, _ZERO))


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
    """

    corners: tuple[Corner, ...]
    matrix: tuple[tuple[fmpq, fmpq], ...]
    offset: Vector

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

    Layer by layer in rationals: on a cell every unit is affine, so its zero set there is a chord that cuts
    the cell in two. The cells cover the plane and their interiors are disjoint; neighbours that carry the
    same map are not merged. Cost: cells x weights.

    Raises
    ------
    InputError
        When the decoder does not have two latents.
    """
    if decoder.latent_dim != 2 or isinstance(decoder, PiecewiseAffineMap):
        raise InputError(f"plane_cells: expected a decoder with two latents, got latent_dim={decoder.latent_dim}")
    negative = rational(decoder.negative_slope_exact)
    cells = [PlaneCell(_WHOLE_PLANE, ((_ONE, _ZERO), (_ZERO, _ONE)), (_ZERO, _ZERO))]
    for layer in range(decoder.depth):
        rows = [[rational(v) for v in row] for row in decoder.weights_exact[layer]]
        bias = [rational(v) for v in decoder.biases_exact[layer]]
        cells = [_affine(cell, rows, bias) for cell in cells]
        if layer < decoder.depth - 1 and negative != 1:
            cells = [part for cell in cells for part in _activate(cell, negative)]
    return tuple(PlaneCell(_without_straight_corners(cell.corners), cell.matrix, cell.offset) for cell in cells)


def _affine(cell: PlaneCell, rows: list[list[fmpq]], bias: list[fmpq]) -> PlaneCell:
    """Follow the map of a cell by x -> W x + b."""
    matrix = tuple((dot(row, [a for a, _ in cell.matrix]), dot(row, [a for _, a in cell.matrix])) for row in rows)
    offset = tuple(dot(row, cell.offset) + b for row, b in zip(rows, bias, strict=True))
    return PlaneCell(cell.corners, matrix, offset)


def _activate(cell: PlaneCell, negative: fmpq) -> list[PlaneCell]:
    """Apply the activation to every unit, cutting the cell where a unit changes sign."""
    parts: list[tuple[tuple[Corner, ...], tuple[fmpq, ...]]] = [(cell.corners, ())]
    for (a, b), c in zip(cell.matrix, cell.offset, strict=True):
        cut: list[tuple[tuple[Corner, ...], tuple[fmpq, ...]]] = []
        for corners, scales in parts:
            positive, other = _split(corners, a, b, c)
            if positive is not None:
                cut.append((positive, (*scales, _ONE)))
            if other is not None:
                cut.append((other, (*scales, negative)))
        parts = cut
    return [PlaneCell(corners,
                      tuple((s * a, s * b) for s, (a, b) in zip(scales, cell.matrix, strict=True)),
                      tuple(s * c for s, c in zip(scales, cell.offset, strict=True)))
            for corners, scales in parts]


def _split(corners: tuple[Corner, ...], a: fmpq, b: fmpq,
           c: fmpq) -> tuple[tuple[Corner, ...] | None, tuple[Corner, ...] | None]:
    """The parts of a polygon with a x + b y + c > 0 and < 0; None for a part without interior."""
    if not (a or b):
        return (corners, None) if c > 0 else (None, corners)
    values = [a * x + b * y + c * w for x, y, w in corners]
    if min(values) >= 0:
        return corners, None
    if max(values) <= 0:
        return None, corners
    foot = (-c * a / (a * a + b * b), -c * b / (a * a + b * b), _ONE)
    return (_clip(corners, values, foot), _clip(corners, [-v for v in values], foot))


def _clip(corners: tuple[Corner, ...], values: list[fmpq], foot: Corner) -> tuple[Corner, ...]:
    """Keep the part with values >= 0; `foot` is a point of the cutting line."""
    kept: list[Corner] = []
    on_line: list[bool] = []
    for i, (p, v) in enumerate(zip(corners, values, strict=True)):
        if v >= 0:
            kept.append(p)
            on_line.append(v == 0)
        following = values[(i + 1) % len(values)]
        if (v > 0 > following) or (v < 0 < following):
            kept.append(_between(p, v, corners[(i + 1) % len(values)], following))
            on_line.append(True)
    # The new side runs between the two corners on the line; when both are rays it is the whole line.
    for i, flag in enumerate(on_line):
        j = (i + 1) % len(kept)
        if flag and on_line[j] and not (kept[i][2] or kept[j][2]):
            kept.insert(i + 1, foot)
            break
    return tuple(kept)


def _between(p: Corner, fp: fmpq, q: Corner, fq: fmpq) -> Corner:
    """Where the side from p to q meets the line on which fp and fq have opposite signs."""
    s, t = abs(fq), abs(fp)
    x, y, w = (s * u + t * v for u, v in zip(p, q, strict=True))
    size = w if w else abs(x) + abs(y)
    return x / size, y / size, _ONE if w else _ZERO


def _line_through(p: Corner, q: Corner) -> tuple[fmpq, fmpq, fmpq]:
    """Coefficients with a x + b y + c >= 0 on the left of the side from p to q."""
    return (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])


def _without_straight_corners(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    """Drop points with a straight angle, left over where a whole line was cut later."""
    kept = list(corners)
    i = 0
    while i < len(kept):
        p, v, q = kept[i - 1], kept[i], kept[(i + 1) % len(kept)]
        if v[2] and (p[2] or q[2]):
            a, b, c = _line_through(p, q)
            if len(kept) > 2 and a * v[0] + b * v[1] + c == 0 and (a or b):
                del kept[i]
                continue
        i += 1
    return tuple(kept)
