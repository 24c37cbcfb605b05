"""Images of cells: where two affine pieces meet, in rationals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from flint import fmpq, fmpq_mat

from ident_theory.geometry.cells import Cell
from ident_theory.geometry.linear_programs import (
    ONE,
    ZERO,
    Constraint,
    Multipliers,
    Point,
    evaluate,
    interior,
    maximise,
)
from ident_theory.geometry.linear_systems import solutions

#: A hashable name of an affine plane: equal exactly for equal planes.
PlaneKey = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]


class Piece:
    """A cell whose matrix has full column rank, with what its preimages need.

    The image of the cell lies in the plane {x : N (x - c) = 0}, and there z = S (x - c).
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        n, m = len(cell.matrix), len(cell.point)
        self.m = m
        # [A | I] reduced: the first m rows give S with S A = I, the rows after them N with N A = 0.
        augmented = fmpq_mat(n, m + n)
        for i, row in enumerate(cell.matrix):
            for j, v in enumerate(row):
                augmented[i, j] = v
            augmented[i, m + i] = ONE
        reduced = augmented.rref()[0].tolist()
        self.inverse = fmpq_mat(m, n, [v for row in reduced[:m] for v in row[m:]])
        self.normals = fmpq_mat(n - m, n, [v for row in reduced[m:] for v in row[m:]])
        self.matrix = fmpq_mat(n, m, [v for row in cell.matrix for v in row])
        self.offset = fmpq_mat(n, 1, list(cell.offset))

    def preimage(self, x: fmpq_mat) -> Point | None:
        """The solution of A z + c = x, None when x is not in the plane of the image."""
        gap = x - self.offset
        if self.normals.nrows() and any((self.normals * gap).entries()):
            return None
        return list((self.inverse * gap).entries())

    @cached_property
    def plane(self) -> PlaneKey:
        """The plane that holds the image; equal exactly when the planes are."""
        reduced, rank = self.matrix.transpose().rref()
        rows = reduced.tolist()
        pivots = [next(j for j, v in enumerate(row) if v) for row in rows[:rank]]
        offset = list(self.offset.entries())
        for row, j in zip(rows, pivots, strict=True):
            if offset[j]:
                factor = offset[j]
                offset = [o - factor * v for o, v in zip(offset, row, strict=True)]
        numbers = [v for row in rows for v in row] + offset
        return tuple(pivots), tuple((int(v.p), int(v.q)) for v in numbers)


@dataclass(frozen=True)
class Meeting:
    """All (z, z') with A_i z + c_i = A_j z' + c_j: z' = base + span t, z = other_base + other_span t, t in R^e."""

    base: Point
    span: list[list[fmpq]]
    other_base: Point
    other_span: list[list[fmpq]]

    @property
    def dim(self) -> int:
        """The number e of free parameters."""
        return len(self.span[0]) if self.span else 0

    def pull(self, first: Sequence[Constraint], second: Sequence[Constraint]) -> list[list[fmpq]]:
        """Constraints on z, then those on z', as constraints on t."""
        return ([_composed(g, self.other_base, self.other_span) for g in first]
                + [_composed(g, self.base, self.span) for g in second])

    def points(self, t: Sequence[fmpq]) -> tuple[Point, Point]:
        """The pair (z, z') at a parameter."""
        return (_moved(self.other_base, self.other_span, t), _moved(self.base, self.span, t))


def _composed(g: Constraint, base: Point, span: list[list[fmpq]]) -> list[fmpq]:
    """g(base + span t) as a constraint on t."""
    e = len(span[0]) if span else 0
    row = [ZERO] * e
    for a, directions in zip(g, span, strict=False):
        if a:
            row = [r + a * d for r, d in zip(row, directions, strict=True)]
    return [*row, evaluate(g, base)]


def _moved(base: Point, span: list[list[fmpq]], t: Sequence[fmpq]) -> Point:
    return [b + sum((s * v for s, v in zip(row, t, strict=True)), ZERO) for b, row in zip(base, span, strict=True)]


def meeting(first: Piece, second: Piece) -> Meeting | None:
    """Where the planes of two pieces meet, None when nowhere; both matrices have full column rank."""
    m = second.m
    gap = second.offset - first.offset
    left, right = (first.normals * second.matrix).tolist(), (first.normals * gap).entries()
    solved = solutions(fmpq_mat(len(left), m + 1, [v for row, r in zip(left, right, strict=True) for v in (*row, -r)]))
    if solved is None:
        return None
    base, basis = solved
    span = [[vector[j] for vector in basis] for j in range(m)]
    image = second.matrix * fmpq_mat(m, 1, base) + gap
    other_base = list((first.inverse * image).entries())
    if not basis:
        return Meeting(base, span, other_base, [[] for _ in range(m)])
    directions = second.matrix * fmpq_mat(m, len(basis), [v for row in span for v in row])
    return Meeting(base, span, other_base, (first.inverse * directions).tolist())


@dataclass(frozen=True)
class Collision:
    """Two different points with the same value."""

    z: Point
    other: Point


@dataclass(frozen=True)
class Apart:
    """Why two cells have no common value at different points.

    Attributes
    ----------
    kind : str
        ``"direct"``: the common values fill a point or a line at most, and a direct computation decides;
        ``"empty"``: there are none; ``"diagonal"``: they come from equal points only.
    parts : list of pairs of Multipliers
        Multipliers of the constraints of either cell, by unit.
    """

    kind: str
    parts: list[tuple[Multipliers, Multipliers]]


def collision(first: Piece, second: Piece) -> Collision | Apart:
    """Whether two full-rank pieces take the same value at different points of their closed cells."""
    both = meeting(first, second)
    if both is None:
        return Apart("direct", [])
    e = both.dim
    if e == 0:
        if both.base == both.other_base or not (first.cell.contains(both.other_base)
                                                and second.cell.contains(both.base)):
            return Apart("direct", [])
        return Collision(both.other_base, both.base)
    constraints = both.pull(first.cell.constraints, second.cell.constraints)
    if e == 1:
        t = _off_diagonal(constraints, both)
        return Apart("direct", []) if t is None else Collision(*both.points([t]))
    inside = interior(constraints, e)
    if inside.feasible is None:
        return Apart("empty", [split(first.cell, second.cell, inside.multipliers)])
    parts = []
    for k in range(first.m):
        for sign in (ONE, -ONE):
            objective = [sign * (a - b) for a, b in zip(both.other_span[k], both.span[k], strict=True)]
            shift = sign * (both.other_base[k] - both.base[k])
            best = maximise(constraints, objective, inside.feasible, -shift)
            if best.value is None:
                return Collision(*both.points(best.point))
            parts.append(split(first.cell, second.cell, best.multipliers))
    return Apart("diagonal", parts)


def _off_diagonal(constraints: list[list[fmpq]], both: Meeting) -> fmpq | None:
    """A parameter of the line within all constraints at which z and z' differ."""
    low: fmpq | None = None
    high: fmpq | None = None
    for a, b in constraints:
        if a > 0:
            low = -b / a if low is None else max(low, -b / a)
        elif a < 0:
            high = -b / a if high is None else min(high, -b / a)
        elif b < 0:
            return None
    if low is not None and high is not None and low > high:
        return None
    # z - z' vanishes everywhere, nowhere or once along the line, so two parameters decide.
    tries = [low, high] if low is not None and high is not None else \
        [low, low + 1] if low is not None else [high, high - 1] if high is not None else [ZERO, ONE]
    for t in tries:
        z, other = both.points([t])
        if z != other:
            return t
    return None


def overlap(first: Piece, second: Piece) -> Collision | Apart | None:
    """Whether the images of two cells overlap in more than measure zero; None when their planes differ."""
    if first.plane != second.plane:
        return None
    both = meeting(first, second)
    assert both is not None
    inside = interior(both.pull(first.cell.constraints, second.cell.constraints), both.dim)
    if inside.point is not None:
        return Collision(*both.points(inside.point))
    return Apart("apart", [split(first.cell, second.cell, inside.multipliers)])


def split(first: Cell, second: Cell, multipliers: Multipliers) -> tuple[Multipliers, Multipliers]:
    """Multipliers of the constraints of two cells, one after the other, as multipliers by unit of each."""
    count = len(first.units)
    return ({first.units[k]: y for k, y in multipliers.items() if k < count},
            {second.units[k - count]: y for k, y in multipliers.items() if k >= count})
