"""Exact matrices of rationals, as lists of rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import fmpq, fmpq_mat

Matrix = Sequence[Sequence[Fraction]]


def _flint(matrix: Matrix) -> fmpq_mat:
    return fmpq_mat([[fmpq(v.numerator, v.denominator) for v in map(Fraction, row)] for row in matrix])


def _rows(matrix: fmpq_mat) -> list[list[Fraction]]:
    return [[Fraction(int(v.p), int(v.q)) for v in row] for row in matrix.tolist()]


def rank(matrix: Matrix) -> int:
    """Rank; that of a matrix without entries is 0."""
    return int(_flint(matrix).rref()[1]) if matrix and matrix[0] else 0


def inverse(matrix: Matrix) -> list[list[Fraction]]:
    """Inverse; ZeroDivisionError for a singular matrix."""
    return _rows(_flint(matrix).inv())


def product(left: Matrix, right: Matrix) -> list[list[Fraction]]:
    """Matrix product."""
    return _rows(_flint(left) * _flint(right))


def transpose(matrix: Matrix) -> list[list[Fraction]]:
    """Rows become columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def is_diagonal(matrix: Matrix) -> bool:
    """Whether nothing stands off the diagonal."""
    return all(v == 0 for i, row in enumerate(matrix) for j, v in enumerate(row) if i != j)


def is_regular(matrix: Matrix) -> bool:
    """Whether a square matrix is invertible."""
    return len(matrix) == len(matrix[0]) == rank(matrix)


def coordinates(vector: Sequence[Fraction], rows: Matrix) -> list[Fraction] | None:
    """The coefficients of a vector in independent rows; None where it is outside their span."""
    if rank(rows) != len(rows) or rank([*rows, vector]) != len(rows):
        return None
    gram = product(rows, transpose(rows))
    right = product(rows, [[v] for v in vector])
    return [row[0] for row in product(inverse(gram), right)]


def solution(matrix: Matrix, right: Sequence[Fraction]) -> list[Fraction] | None:
    """A solution of M x = r, or None where there is none."""
    reduced, size = _flint([[*row, r] for row, r in zip(matrix, right, strict=True)]).rref()
    width, found = len(matrix[0]), [Fraction(0)] * len(matrix[0])
    for row in _rows(reduced)[:int(size)]:
        place = next(j for j, v in enumerate(row) if v)
        if place == width:
            return None
        found[place] = row[width]
    return found


def text(matrix: Matrix) -> str:
    """A matrix to paste."""
    return "[" + ", ".join("[" + ", ".join(str(v) for v in row) + "]" for row in matrix) + "]"
