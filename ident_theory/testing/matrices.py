"""Matrices as lists of fractions: an arithmetic of its own, apart from the exact arithmetic of the package."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Matrix = list[list[Fraction]]
Vector = list[Fraction]


def identity(m: int) -> Matrix:
    return [[Fraction(int(i == j)) for j in range(m)] for i in range(m)]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in zip(*b, strict=True)]
            for row in a]


def apply(a: Matrix, v: Sequence[Fraction]) -> Vector:
    return [sum((x * y for x, y in zip(row, v, strict=True)), Fraction(0)) for row in a]


def plus(v: Sequence[Fraction], w: Sequence[Fraction]) -> Vector:
    return [x + y for x, y in zip(v, w, strict=True)]


def transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def inverse(a: Matrix) -> Matrix | None:
    """By Gauss and Jordan; None for a singular matrix."""
    size = len(a)
    rows = [[*row, *unit] for row, unit in zip(a, identity(size), strict=True)]
    for j in range(size):
        pivot = next((i for i in range(j, size) if rows[i][j]), None)
        if pivot is None:
            return None
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [v / rows[j][j] for v in rows[j]]
        for i in range(size):
            if i != j and rows[i][j]:
                rows[i] = [v - rows[i][j] * u for v, u in zip(rows[i], rows[j], strict=True)]
    return [row[size:] for row in rows]
