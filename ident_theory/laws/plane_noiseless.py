"""Two latents, two observations, no noise: a change of variables on every cell.

A network is continuous, so a cell on which it is constant has neighbours on which it is constant along the
common side, of rank one at most. Without cells of rank one, therefore, either all cells are invertible or the
network is constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from flint import fmpq_mat

from ident_theory.errors import DegenerateLawError
from ident_theory.geometry.plane import PlaneCell
from ident_theory.laws.base import Atoms, LawKind
from ident_theory.laws.plane_terms import Component, ratio
from ident_theory.models.value import FloatArray

_EPS = float(np.finfo(np.float64).eps)


class NoiselessPlane:
    r"""The law of f(z) for f from the plane to the plane whose cells are all invertible, or for constant f.

    Parameters
    ----------
    cells : sequence of PlaneCell
    components : sequence of Component

    Raises
    ------
    DegenerateLawError
        When a cell has rank 1 or a component a singular covariance: part of the law lives on a curve.
    """

    def __init__(self, cells: Sequence[PlaneCell], components: Sequence[Component]) -> None:
        if any(c.rank < 2 for c in components):
            raise DegenerateLawError("without noise a component with a singular covariance puts part of the law of x "
                                     "on a curve; add Gaussian noise to the model, or drop the component")
        ranks = [cell.rank() for cell in cells]
        if 1 in ranks:
            cell = cells[ranks.index(1)]
            z = [ratio(v) for v in cell.interior_point()]
            raise DegenerateLawError(f"the network maps the cell around z={z} to a line (its matrix has rank 1), so "
                                     "without noise part of the law of x lives on a line and has no density; add "
                                     "Gaussian noise to the model")
        self._components = list(components)
        self._regular = [cell for cell, rank in zip(cells, ranks, strict=True) if rank == 2]
        self._value = cells[0].offset
        self.kind = LawKind.DENSITY if self._regular else LawKind.ATOMS
        self._inverses = [fmpq_mat([list(row) for row in cell.matrix]).inv() for cell in self._regular]

    def log_density(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density (-inf outside the image) and the effect of rounding, shapes (N,) and (N,)."""
        value, error = np.full(len(x), -np.inf), np.full(len(x), 4 * _EPS)
        for cell, inverse in zip(self._regular, self._inverses, strict=True):
            back = np.array([[ratio(inverse[i, j]) for j in range(2)] for i in range(2)])
            start = [-inverse[i, 0] * cell.offset[0] - inverse[i, 1] * cell.offset[1] for i in range(2)]
            inside = np.ones(len(x), dtype=bool)
            for side in cell.sides():
                a1, a2 = side.normal
                gradient = np.array([ratio(a1 * inverse[0, j] + a2 * inverse[1, j]) for j in range(2)])
                inside &= x @ gradient <= ratio(side.offset - a1 * start[0] - a2 * start[1])
            rows = np.flatnonzero(inside)
            jacobian = math.log(abs(ratio(inverse.det())))
            for component in self._components:
                # The preimage minus the mean: the constant is subtracted in rationals.
                shift = [ratio(start[i] - component.mean[i]) for i in range(2)]
                z = x[rows] @ back.T + shift
                blur = _EPS * (np.abs(x[rows]) @ np.abs(back.T) + np.abs(shift))
                (a, b), (_, c) = component.covariance
                root = math.sqrt(ratio(a))
                tilt, spread = ratio(b / a), math.sqrt(ratio(c - b * b / a))
                y1, y2 = z[:, 0] / root, (z[:, 1] - tilt * z[:, 0]) / spread
                blur1, blur2 = blur[:, 0] / root, (blur[:, 1] + abs(tilt) * blur[:, 0]) / spread
                term = (math.log(ratio(component.weight)) + jacobian - math.log(root * spread) - math.log(2 * math.pi)
                        - 0.5 * (y1 * y1 + y2 * y2))
                doubt = 4 * (np.abs(y1) * blur1 + np.abs(y2) * blur2) + 4 * _EPS * (1 + np.abs(term))
                value[rows] = np.logaddexp(value[rows], term)
                error[rows] = np.maximum(error[rows], doubt)
        return value, error

    def atoms(self) -> Atoms:
        """The value of a constant network; otherwise none."""
        if self._regular:
            return Atoms(np.empty((0, 2)), np.empty(0))
        return Atoms(np.array([[ratio(v) for v in self._value]]), np.zeros(1))
