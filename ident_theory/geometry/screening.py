"""How many cells hold a preimage of a value, in float64: proposals of values with one preimage, for exact proof."""

from __future__ import annotations

import numpy as np
from flint import fmpq

from ident_theory.geometry.images import Piece
from ident_theory.geometry.linear_programs import Point
from ident_theory.models.value import FloatArray

#: Relative slack within which a point counts as inside a cell: too many preimages cost nothing but a proposal.
SLACK = 1e-9


def _float(value: fmpq) -> float:
    return int(value.p) / int(value.q)


class Screen:
    """The pieces of a network as arrays of float64."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        m, n = pieces[0].m, len(pieces[0].cell.offset)
        walls = max(len(p.cell.constraints) for p in pieces)
        self.inverse = np.array([[_float(v) for v in p.inverse.entries()] for p in pieces]).reshape(-1, m, n)
        self.matrix = np.array([[_float(v) for v in p.matrix.entries()] for p in pieces]).reshape(-1, n, m)
        self.offset = np.array([[_float(v) for v in p.cell.offset] for p in pieces])
        # Cells with fewer walls than others get the constraint 1 >= 0.
        self.walls: FloatArray = np.zeros((len(pieces), walls, m + 1))
        self.walls[:, :, m] = 1.0
        for i, piece in enumerate(pieces):
            for k, g in enumerate(piece.cell.constraints):
                self.walls[i, k] = [_float(v) for v in g]

    def preimages(self, x: FloatArray) -> np.ndarray:
        """Positions of the pieces with a preimage of x, up to the slack."""
        z = np.einsum("pmn,pn->pm", self.inverse, x - self.offset)
        size = 1.0 + np.abs(z).max(1) + np.abs(x).max()
        heights = np.einsum("pkm,pm->pk", self.walls[:, :, :-1], z) + self.walls[:, :, -1]
        scale = np.abs(self.walls).sum(2) * size[:, None]
        inside = (heights >= -SLACK * scale).all(1)
        missed = np.abs(np.einsum("pnm,pm->pn", self.matrix, z) + self.offset - x).max(1)
        return np.flatnonzero(inside & (missed <= SLACK * size * (1.0 + np.abs(self.matrix).max((1, 2)))))

    def value(self, i: int, z: Point) -> FloatArray:
        """The affine map of piece `i` at a point."""
        return np.asarray(self.matrix[i] @ np.array([_float(v) for v in z]) + self.offset[i])

    def single(self, i: int, z: Point) -> bool:
        """Whether piece `i` alone seems to have a preimage of its value at z."""
        return bool((self.preimages(self.value(i, z)) == i).all())
