"""Whether the image of a cell is covered by the images of other cells, up to measure zero: exact, with a proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ident_theory.geometry.images import Piece, meeting
from ident_theory.geometry.linear_programs import (
    ONE,
    Constraint,
    Multipliers,
    Point,
    evaluate,
    maximise,
    step_inside,
    towards,
)


@dataclass(frozen=True)
class Uncovered:
    """A part of a cell that no other full-dimensional image reaches.

    Attributes
    ----------
    constraints : tuple of constraints
        The part, with an interior.
    point : list of fmpq
        A point of its interior.
    """

    constraints: tuple[Constraint, ...]
    point: Point


@dataclass(frozen=True)
class Cover:
    """Another cell seen from the first one: its constraints in the coordinates of the first."""

    leaf: int
    units: tuple[int, ...]
    constraints: tuple[Constraint, ...]


def pulled_back(piece: Piece, other: Piece, leaf: int) -> Cover:
    """The constraints of `other` in z, where f on `piece` at z equals f on `other`; the planes must be equal."""
    both = meeting(other, piece)
    assert both is not None
    # `piece` is the second one, so its z is the parameter itself: base 0, span the identity.
    return Cover(leaf, other.cell.units, tuple(both.pull(other.cell.constraints, ())))


def cover_tree(piece: Piece, n_units: int, find: Callable[[Point], Cover | None],
               check: Callable[[], None]) -> dict[str, Any] | Uncovered:
    """A proof tree that the cell of `piece` lies in a union of other cells, or a part of it that does not.

    Parameters
    ----------
    piece : Piece
    n_units : int
        Number of hidden units: positions of the constraints of cuts start there.
    find : callable
        A cell that holds a point, None when there is none.
    check : callable
        Called at every step; raises to give up.

    Returns
    -------
    dict or Uncovered
        Nodes ``{"in": leaf, "y": {unit: {position: factor}}}`` with fmpq factors, and
        ``{"cut": [leaf, unit], "neg": node, "pos": node}``.
    """
    return _Covering(n_units, len(piece.cell.units), find, check).cover(
        list(piece.cell.constraints), list(piece.cell.units), piece.cell.point, None, {})


@dataclass(frozen=True)
class _Covering:
    """What stays the same while one cell is covered."""

    n_units: int
    n_walls: int
    find: Callable[[Point], Cover | None]
    check: Callable[[], None]

    def cover(self, region: list[Constraint], positions: list[int], point: Point, chosen: Cover | None,
              proofs: dict[int, Multipliers]) -> dict[str, Any] | Uncovered:
        """Cover a region, given an interior point, by `chosen`, whose walls in `proofs` are proved, and by others."""
        self.check()
        if chosen is None:
            chosen, proofs = self.find(point), {}
            if chosen is None:
                return Uncovered(tuple(region), point)
        for unit, wall in zip(chosen.units, chosen.constraints, strict=True):
            if unit in proofs:
                continue
            outward = [-v for v in wall]
            best = maximise(region, outward[:-1], point, wall[-1])
            if best.value is not None:
                proofs[unit] = {positions[r]: y for r, y in best.multipliers.items()}
                continue
            sides = _both_sides(region, point, wall, best.point)
            if sides is None:
                return self.cover(region, positions, point, None, {})
            inside, beyond = sides
            position = self.n_units + len(positions) - self.n_walls
            # What is inside goes on with this cover, what lies beyond its wall starts again.
            negative = self.cover([*region, outward], [*positions, position], beyond, None, {})
            if isinstance(negative, Uncovered):
                return negative
            positive = self.cover([*region, wall], [*positions, position], inside, chosen,
                                  {**proofs, unit: {position: ONE}})
            if isinstance(positive, Uncovered):
                return positive
            return {"cut": [chosen.leaf, unit], "neg": negative, "pos": positive}
        return {"in": chosen.leaf, "y": proofs}


def _both_sides(region: list[Constraint], point: Point, wall: Constraint,
                found: Point) -> tuple[Point, Point] | None:
    """Interior points of a region with wall > 0 and wall < 0, from an interior point and one with wall < 0.

    None when the region has no point with wall > 0.
    """
    height = evaluate(wall, point)
    if height > 0:
        return point, towards(found, point, evaluate(wall, found), height)
    if not height:
        step = step_inside(region, point, wall[:-1])
        inside = [p + step * a for p, a in zip(point, wall[:-1], strict=True)]
        return inside, [2 * p - q for p, q in zip(point, inside, strict=True)]
    reach = maximise(region, wall[:-1], point, -wall[-1])
    if reach.value is not None:
        return None
    return towards(reach.point, point, evaluate(wall, reach.point), height), point
