"""Exact linear algebra on nested sequences of rationals, and a strategy for matrices."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import fmpq, fmpq_mat
from hypothesis import strategies as st

Row = tuple[Fraction, ...]
Matrix = tuple[Row, ...]
Rows = Sequence[Sequence[Fraction | int]]


def _flint(rows: Rows) -> fmpq_mat:
    entries = [fmpq(Fraction(x).numerator, Fraction(x).denominator) for row in rows for x in row]
    return fmpq_mat(len(rows), len(rows[0]) if rows else 0, entries)


def _plain(matrix: fmpq_mat) -> Matrix:
    return tuple(tuple(Fraction(int(x.p), int(x.q)) for x in row) for row in matrix.tolist())


def rank(rows: Rows) -> int:
    """Rank."""
    return int(_flint(rows).rref()[1]) if rows and len(rows[0]) else 0


def invertible(rows: Rows) -> bool:
    """Whether a square matrix is invertible."""
    return rank(rows) == len(rows)


def inverse(rows: Rows) -> Matrix:
    """The inverse."""
    return _plain(_flint(rows).inv())


def product(a: Rows, b: Rows) -> Matrix:
    """Matrix product."""
    return _plain(_flint(a) * _flint(b))


def transpose(rows: Rows) -> Matrix:
    """Transpose."""
    return tuple(tuple(Fraction(x) for x in column) for column in zip(*rows, strict=True))


def solve(matrix: Rows, right: Sequence[Fraction]) -> Row | None:
    """One solution of matrix . x = right, or None if there is none."""
    augmented, pivots = _flint([[*row, b] for row, b in zip(matrix, right, strict=True)]).rref()
    width = len(matrix[0])
    found = [Fraction(0)] * width
    for row in _plain(augmented)[:pivots]:
        lead = next(index for index, value in enumerate(row) if value)
        if lead == width:
            return None
        found[lead] = row[-1]
    return tuple(found)


def kernel_vector(rows: Rows) -> Row | None:
    """A non-zero vector v with rows . v = 0, or None."""
    reduced, pivots = _flint(rows).rref()
    width = len(rows[0])
    leads = [next(index for index, value in enumerate(row) if value) for row in _plain(reduced)[:pivots]]
    free = next((column for column in range(width) if column not in leads), None)
    if free is None:
        return None
    vector = [Fraction(0)] * width
    vector[free] = Fraction(1)
    for lead, row in zip(leads, _plain(reduced), strict=False):
        vector[lead] = -row[free]
    return tuple(vector)


def block_diagonal(blocks: Sequence[Rows]) -> Matrix:
    """Blocks along the diagonal, zero elsewhere."""
    width = sum(len(block[0]) for block in blocks)
    rows, offset = [], 0
    for block in blocks:
        for row in block:
            after = width - offset - len(row)
            rows.append((Fraction(0),) * offset + tuple(Fraction(x) for x in row) + (Fraction(0),) * after)
        offset += len(block[0])
    return tuple(rows)


def shown_matrix(rows: Rows) -> str:
    """A matrix as text, row by row."""
    return "[" + ", ".join("[" + ", ".join(str(x) for x in row) + "]" for row in rows) + "]"


def matrices(rows: int, width: int) -> st.SearchStrategy[Matrix]:
    """Small integer matrices with many zeros and repeated rows."""
    entry = st.sampled_from([Fraction(x) for x in (0, 0, 1, -1, 2)])
    row = st.lists(entry, min_size=width, max_size=width).map(tuple)
    free = st.lists(row, min_size=rows, max_size=rows).map(tuple)
    return st.one_of(free, row.map(lambda one: (one,) * rows))
