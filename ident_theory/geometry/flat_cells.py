"""Cells whose matrix has no full column rank."""

from __future__ import annotations

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


def kernel(cell: Cell) -> list[list[fmpq]]:
    """A basis of {v : A v = 0}, one vector a free coordinate."""
    solved = _solved(cell, [ZERO] * len(cell.offset))
    assert solved is not None
    return solved[1]


def _solved(cell: Cell, right: list[fmpq]) -> tuple[Point, list[list[fmpq]]] | None:
    """A solution of A z = right and a basis of the kernel; None without a solution."""
    n, m = len(cell.matrix), len(cell.point)
    system = fmpq_mat(n, m + 1, [v for row, r in zip(cell.matrix, right, strict=True) for v in (*row, r)])
    return solutions(system)


def _linear(g: Constraint, v: Point) -> fmpq:
    return sum((a * x for a, x in zip(g, v, strict=False)), ZERO)


def flat_pair(cell: Cell) -> tuple[Point, Point]:
    """Two points of a flat cell with the same value."""
    direction = kernel(cell)[0]
    step = ONE
    for g in cell.constraints:
        slope = _linear(g, direction)
        if slope < 0:
            step = min(step, evaluate(g, cell.point) / -slope / 2)
    return cell.point, [p + step * v for p, v in zip(cell.point, direction, strict=True)]


def unreached(cell: Cell, x: fmpq_mat) -> Multipliers | None:
    """Multipliers, by unit, that prove x not to be a value on the cell; None when it is one.

    Empty when x is not even in the plane of the image.
    """
    solved = _solved(cell, [v - c for v, c in zip(x.entries(), cell.offset, strict=True)])
    if solved is None:
        return {}
    base, basis = solved
    constraints = [[*(_linear(g, v) for v in basis), evaluate(g, base)] for g in cell.constraints]
    inside = interior(constraints, len(basis))
    return None if inside.feasible is not None else {cell.units[k]: y for k, y in inside.multipliers.items()}


def bounded_kernel(cell: Cell) -> list[Multipliers] | None:
    """The proof that the cell has no ray along which f is constant; None when it has one.

    For every vector v_k of `kernel`, with coordinates t along them, and for + and then -: multipliers by unit whose
    sum of constraints has the linear part -t_k, and then +t_k, on the kernel.
    """
    basis = kernel(cell)
    walls = [[*(_linear(g, v) for v in basis), ZERO] for g in cell.constraints]
    proofs = []
    for k in range(len(basis)):
        for sign in (ONE, -ONE):
            best = maximise(walls, [sign if i == k else ZERO for i in range(len(basis))], [ZERO] * len(basis))
            if best.value is None:
                return None
            proofs.append({cell.units[i]: y for i, y in best.multipliers.items()})
    return proofs
