"""Solutions of linear systems in rationals."""

from __future__ import annotations

from flint import fmpq, fmpq_mat

from ident_theory.geometry.linear_programs import ONE, ZERO, Point


def solutions(system: fmpq_mat) -> tuple[Point, list[Point]] | None:
    """All solutions of a system given as the matrix [A | b]: one of them, and a basis of the kernel of A.

    The solution is zero in the free coordinates; basis vector k is one in the k-th free coordinate and zero in the
    others. None without a solution.
    """
    unknowns = system.ncols() - 1
    reduced, rank = system.rref()
    rows = reduced.tolist()[:rank]
    pivots = [next(j for j, v in enumerate(row) if v) for row in rows]
    if pivots and pivots[-1] == unknowns:
        return None
    base: list[fmpq] = [ZERO] * unknowns
    for row, j in zip(rows, pivots, strict=True):
        base[j] = row[unknowns]
    basis = []
    for free in (j for j in range(unknowns) if j not in pivots):
        vector = [ONE if j == free else ZERO for j in range(unknowns)]
        for row, j in zip(rows, pivots, strict=True):
            vector[j] = -row[free]
        basis.append(vector)
    return base, basis
