"""Bounds of the images of cells along a few directions, and the pairs of cells that these do not separate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from flint import fmpq

from ident_theory.geometry.images import Piece
from ident_theory.geometry.linear_programs import ZERO, maximise

#: Rows of the table of pairs that are compared at once.
ROWS = 512

Support = list[int] | None


class Boxes:
    """Exact bounds of direction . f over every piece, from linear programs.

    Parameters
    ----------
    pieces : sequence of Piece
    check : callable
        Called before every piece; raises to give up.

    Attributes
    ----------
    directions : list of lists of int
    supports : list, by piece, of lists, by direction, of (low, high)
        The units whose constraints prove the bound; None where the image is unbounded.
    """

    def __init__(self, pieces: Sequence[Piece], check: Callable[[], None]) -> None:
        self.pieces, self._check = pieces, check
        self.directions: list[list[int]] = []
        self.supports: list[list[tuple[Support, Support]]] = [[] for _ in pieces]
        self._low: list[np.ndarray] = []
        self._high: list[np.ndarray] = []

    def add(self, direction: list[int]) -> None:
        """Bound all pieces along one more direction."""
        lows: list[fmpq | None] = []
        highs: list[fmpq | None] = []
        weights = [fmpq(v) for v in direction]
        for piece, supports in zip(self.pieces, self.supports, strict=True):
            self._check()
            cell = piece.cell
            slope = [sum((w * row[j] for w, row in zip(weights, cell.matrix, strict=True) if w), ZERO)
                     for j in range(piece.m)]
            shift = sum((w * c for w, c in zip(weights, cell.offset, strict=True)), ZERO)
            found: list[Support] = []
            for sign, values in ((-1, lows), (1, highs)):
                best = maximise(cell.constraints, [sign * v for v in slope], cell.point)
                if best.value is None:
                    values.append(None)
                    found.append(None)
                else:
                    values.append(sign * best.value + shift)
                    found.append([cell.units[k] for k in sorted(best.multipliers)])
            supports.append((found[0], found[1]))
        self.directions.append(direction)
        ranks = {(int(v.p), int(v.q)): r for r, v in
                 enumerate(sorted({(int(v.p), int(v.q)): v for v in lows + highs if v is not None}.values()))}
        self._low.append(np.array([-1 if v is None else ranks[int(v.p), int(v.q)] for v in lows]))
        self._high.append(np.array([len(ranks) if v is None else ranks[int(v.p), int(v.q)] for v in highs]))

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Positions i < j of the pairs of pieces that no direction separates strictly."""
        count = len(self.pieces)
        for start in range(0, count, ROWS):
            stop = min(start + ROWS, count)
            near = np.tri(stop - start, count, start, dtype=bool)
            np.logical_not(near, out=near)
            for low, high in zip(self._low, self._high, strict=True):
                near &= high[start:stop, None] >= low[None, :]
                near &= low[start:stop, None] <= high[None, :]
            for i, j in zip(*np.nonzero(near), strict=True):
                yield start + int(i), int(j)

    def n_pairs(self) -> int:
        """How many pairs are left."""
        return sum(1 for _ in self.pairs())

    def separate(self, most: int, seed: int = 0) -> None:
        """Add the axes, then random directions while they help, until about `most` pairs a piece are left."""
        n = len(self.pieces[0].cell.offset)
        rng = np.random.default_rng(seed)
        for k in range(min(n, 3)):
            self.add([int(i == k) for i in range(n)])
        left = self.n_pairs()
        while left > most * len(self.pieces) and len(self.directions) < 12:
            direction = [int(v) for v in rng.integers(-3, 4, n)]
            if any(direction):
                self.add(direction)
                left = self.n_pairs()
