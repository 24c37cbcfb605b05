"""The cells of a ReLU network and their images, worked out on demand within a budget, and decisions about them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.findings import Certificate, Witness
from ident_theory.geometry.boxes import Boxes
from ident_theory.geometry.cells import Branch, Cell, CellWalk, plain_tree
from ident_theory.geometry.images import Piece
from ident_theory.geometry.linear_programs import Multipliers, Point
from ident_theory.models.network import ReLUNetwork
from ident_theory.numerics import Stopwatch

#: Pairs of cells a cell that are left to be decided one by one before more directions are tried.
PAIRS_A_CELL = 12


class OutOfTime(Exception):
    """The budget is spent; the text says at which step."""


@dataclass
class Decision:
    """One condition decided, or not.

    Attributes
    ----------
    proof : Certificate, Witness or None
        None when undecided.
    reason : str
        How it was decided, or which step ran out.
    shortcut : bool
        The architecture alone decided it.
    details : dict
        What a search that decided nothing covered.
    """

    proof: Certificate | Witness | None
    reason: str
    shortcut: bool = False
    details: dict[str, Any] = field(default_factory=dict)


class CellImages:
    """The cells of one network and their images, each worked out once and when it is needed.

    Parameters
    ----------
    network : ReLUNetwork
    clock : Stopwatch
        Shared budget; what is not decided when it is over stays open.
    """

    def __init__(self, network: ReLUNetwork, clock: Stopwatch) -> None:
        self.network, self.clock = network, clock
        self._cells: list[Cell] = []
        self._tree: list[Branch] = []
        self._complete = False
        self._given_up = ""
        self._pause: Stopwatch | None = None

    @property
    def n_cells(self) -> int | None:
        """Number of cells, None when they were not all enumerated."""
        return len(self._cells) if self._complete else None

    def walk(self) -> Iterator[Cell]:
        """All cells; those already known first."""
        if self._complete:
            yield from self._cells
            return
        if self._given_up:
            raise OutOfTime(self._given_up)
        walk = CellWalk(self.network)
        self._cells, self._tree = [], walk.tree
        for cell in walk:
            self.check("enumerating cells", len(self._cells))
            self._cells.append(cell)
            yield cell
        self._complete = True

    def cells(self) -> list[Cell]:
        """All cells."""
        if not self._complete:
            for _ in self.walk():
                pass
        return self._cells

    @cached_property
    def leaves(self) -> list[int]:
        """Positions of the cells whose matrix has rank m."""
        m = self.network.latent_dim
        return [leaf for leaf, cell in enumerate(self.cells()) if cell.rank == m]

    @cached_property
    def pieces(self) -> list[Piece]:
        """The cells at `leaves`, with what their preimages need."""
        cells, pieces = self.cells(), []
        for leaf in self.leaves:
            self.check("inverting the maps of cells")
            pieces.append(Piece(cells[leaf]))
        return pieces

    @cached_property
    def boxes(self) -> Boxes:
        """Bounds of the images of `pieces`."""
        boxes = Boxes(self.pieces, lambda: self.check("bounding the images of cells"))
        boxes.separate(PAIRS_A_CELL)
        return boxes

    def determinant(self, cell: Cell) -> fmpq:
        """Determinant of the matrix of a cell, for n = m."""
        m = self.network.latent_dim
        return fmpq_mat(m, m, [v for row in cell.matrix for v in row]).det()

    def check(self, step: str, done: int | None = None) -> None:
        """Raise OutOfTime when the budget is spent."""
        if self.clock.is_over or (self._pause is not None and self._pause.is_over):
            raise OutOfTime(step if done is None else f"{step} ({done} done)")

    @contextmanager
    def part_of_the_time(self, share: float) -> Iterator[None]:
        """Within this block the budget is this share of what is left; what runs out there is not tried again."""
        if self.clock.seconds is not None:
            self._pause = Stopwatch(share * self.clock.left)
        try:
            yield
        except OutOfTime as error:
            self._given_up = str(error)
            raise
        finally:
            self._pause = None

    def guarded(self, decide: Callable[[], Decision]) -> Decision:
        """A decision, or the step at which the budget ran out."""
        try:
            return decide()
        except OutOfTime as error:
            return Decision(None, self.ran_out(error))

    def ran_out(self, error: OutOfTime) -> str:
        """Which step ran out of time, for a reader."""
        return f"the budget of {self.clock.seconds:g} s ran out while {error}; a larger budget would settle it"

    def tree_data(self) -> list[Any]:
        """The tree of cells as plain JSON."""
        return plain_tree(self._tree)

    def boxes_data(self) -> dict[str, Any]:
        """The bounds of the images as plain JSON, one entry a cell."""
        directions = self.boxes.directions
        bounds: list[list[Any]] = [[[None, None]] * len(directions) for _ in self._cells]
        for leaf, supports in zip(self.leaves, self.boxes.supports, strict=True):
            bounds[leaf] = [[low, high] for low, high in supports]
        return {"directions": directions, "bounds": bounds}


def plain_number(value: fmpq) -> int | str:
    """A rational as plain JSON."""
    return int(value.p) if value.q == 1 else str(value)


def plain_point(z: Point) -> list[Any]:
    """A point as plain JSON."""
    return [plain_number(v) for v in z]


def plain_multipliers(y: Multipliers) -> dict[str, Any]:
    """Multipliers as plain JSON, zeros left out."""
    return {str(k): plain_number(v) for k, v in y.items() if v}


def shown(z: Point) -> str:
    """A point that can be pasted."""
    return "[" + ", ".join(f'"{v}"' if v.q != 1 else str(v) for v in z) + "]"


def random_point(m: int, rng: random.Random, scale: int = 1) -> Point:
    """A random point of a cube around zero."""
    return [fmpq(scale * rng.randint(-10**6, 10**6), 10**6) for _ in range(m)]


def point_near(cell: Cell, rng: random.Random) -> Point:
    """A random point of the interior near the one that the cell holds."""
    for shrink in range(4, 40):
        point = [p + fmpq(rng.randint(-999, 999), 1000 * 2**shrink) for p in cell.point]
        if cell.contains_inside(point):
            return point
    return cell.point
