"""Small exact linear algebra on lists of rationals, and strategies for rational matrices."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import fmpq, fmpq_mat
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Row = tuple[Fraction, ...]
Matrix = tuple[Row, ...]

#: Small integers first, then small fractions: what a counterexample shrinks to.
SMALL = st.one_of(st.integers(-2, 2).map(Fraction), st.sampled_from([Fraction(p, q) for p in (-3, -1, 1, 3)
                                                                     for q in (2, 3)]))


def matrix_of(rows: Sequence[Sequence[int | Fraction]]) -> Matrix:
    """Rows of numbers as rows of fractions."""
    return tuple(tuple(Fraction(item) for item in row) for row in rows)


def flint_of(rows: Sequence[Sequence[Fraction]]) -> fmpq_mat:
    """The matrix for python-flint; at least one row."""
    return fmpq_mat([[fmpq(item.numerator, item.denominator) for item in row] for row in rows])


def rank(rows: Sequence[Sequence[Fraction]]) -> int:
    """Exact rank; 0 for no rows or no columns."""
    return int(flint_of(rows).rref()[1]) if rows and rows[0] else 0


def determinant(rows: Sequence[Sequence[Fraction]]) -> Fraction:
    """Exact determinant."""
    value = flint_of(rows).det()
    return Fraction(int(value.p), int(value.q))


def product(left: Matrix, right: Matrix) -> Matrix:
    """Matrix product."""
    return tuple(tuple(sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0))
                       for column in zip(*right, strict=True)) for row in left)


def transpose(rows: Matrix) -> Matrix:
    """Transposed matrix."""
    return tuple(zip(*rows, strict=True))


def identity(size: int) -> Matrix:
    """Identity matrix."""
    return tuple(tuple(Fraction(int(i == j)) for j in range(size)) for i in range(size))


def inverse(rows: Matrix) -> Matrix:
    """Exact inverse of an invertible matrix."""
    found = flint_of(rows).inv()
    return tuple(tuple(Fraction(int(found[i, j].p), int(found[i, j].q)) for j in range(len(rows)))
                 for i in range(len(rows)))


def solve(columns: Sequence[Sequence[Fraction]], target: Sequence[Fraction]) -> Row | None:
    """Coefficients with sum_j x_j columns[j] = target, the free ones 0; None when there are none."""
    width = len(columns)
    reduced, count = flint_of([[*(column[i] for column in columns), value] for i, value in enumerate(target)]).rref()
    found = [Fraction(0)] * width
    for i in range(int(count)):
        pivot = next(j for j in range(width + 1) if reduced[i, j] != 0)
        if pivot == width:
            return None
        found[pivot] = Fraction(int(reduced[i, width].p), int(reduced[i, width].q))
    return tuple(found)


def span_basis(rows: Sequence[Sequence[Fraction]]) -> list[Row]:
    """A basis of the row space, in reduced form."""
    if not rows or not rows[0]:
        return []
    reduced, count = flint_of(rows).rref()
    return [tuple(Fraction(int(reduced[i, j].p), int(reduced[i, j].q)) for j in range(len(rows[0])))
            for i in range(int(count))]


def same_row_space(first: Sequence[Sequence[Fraction]], second: Sequence[Sequence[Fraction]]) -> bool:
    """Whether first = A second for some invertible A; both have the same number of rows."""
    return rank(first) == rank(second) == rank([*first, *second])


def is_monomial(rows: Matrix) -> bool:
    """Whether every row and every column has exactly one entry that is not zero."""
    return all(sum(item != 0 for item in line) == 1 for line in (*rows, *transpose(rows)))


def matrices(height: int, width: int, entries: SearchStrategy[Fraction] = SMALL) -> SearchStrategy[Matrix]:
    """Rational matrices of a shape."""
    return st.lists(st.lists(entries, min_size=width, max_size=width).map(tuple), min_size=height,
                    max_size=height).map(tuple)


def invertible(size: int) -> SearchStrategy[Matrix]:
    """Invertible rational matrices."""
    return matrices(size, size).filter(lambda rows: determinant(rows) != 0)


@st.composite
def degenerate_matrices(draw: st.DrawFn, height: int, width: int) -> Matrix:
    """Matrices among which zero, repeated and proportional rows and columns are common."""
    rows = [list(row) for row in draw(matrices(height, width))]
    for _ in range(draw(st.integers(0, 2))):
        i, j = draw(st.integers(0, height - 1)), draw(st.integers(0, height - 1))
        factor = draw(st.sampled_from([Fraction(0), Fraction(1), Fraction(2), Fraction(-1)]))
        rows[i] = [factor * item for item in rows[j]]
    return matrix_of(rows)


def shown_matrix(rows: Matrix) -> str:
    """A matrix as text to paste."""
    return "[" + ", ".join("[" + ", ".join(map(str, row)) + "]" for row in rows) + "]"
