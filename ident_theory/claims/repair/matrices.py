"""Small exact matrices, as rows of rationals, for the checks of the repairs and of the papers about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from flint import fmpq, fmpq_mat
from hypothesis import strategies as st

from ident_theory.exact.rationals import fraction, rational

Row = tuple[Fraction, ...]
Rows = tuple[Row, ...]
Number = int | Fraction

#: Small numbers first, so that counterexamples shrink to integers.
INTEGERS = st.integers(-2, 2).map(Fraction)
NUMBERS = st.one_of(INTEGERS, st.sampled_from([Fraction(1, 2), Fraction(-1, 3), Fraction(5, 2), Fraction(100)]))
NONZERO = st.sampled_from([Fraction(v) for v in (1, -1, 2, -3)] + [Fraction(1, 2), Fraction(100)])


def rows_of(matrix: Iterable[Iterable[Number]]) -> Rows:
    """The matrix as tuples of Fraction."""
    return tuple(tuple(Fraction(v) for v in row) for row in matrix)


def _flint(matrix: Sequence[Sequence[Number]]) -> fmpq_mat:
    return fmpq_mat([[rational(Fraction(v)) for v in row] for row in matrix])


def _rows(matrix: fmpq_mat) -> Rows:
    return tuple(tuple(fraction(fmpq(matrix[i, j])) for j in range(matrix.ncols())) for i in range(matrix.nrows()))


def rank(matrix: Sequence[Sequence[Number]]) -> int:
    """Exact rank; 0 without rows or columns."""
    return 0 if not matrix or not matrix[0] else int(_flint(matrix).rank())


def product(a: Sequence[Sequence[Number]], b: Sequence[Sequence[Number]]) -> Rows:
    """Exact matrix product; a needs at least one column."""
    return _rows(_flint(a) * _flint(b))


def inverse(matrix: Sequence[Sequence[Number]]) -> Rows | None:
    """Exact inverse of a square matrix, None if it is singular."""
    square = _flint(matrix)
    return None if square.det() == 0 else _rows(square.inv())


def solve(a: Sequence[Sequence[Number]], b: Sequence[Number]) -> Row | None:
    """Some x with a x = b, None if there is none."""
    reduced, found = _flint([[*row, value] for row, value in zip(a, b, strict=True)]).rref()
    columns = len(a[0])
    x = [Fraction(0)] * columns
    for i in range(found):
        pivot = next(j for j in range(columns + 1) if reduced[i, j] != 0)
        if pivot == columns:
            return None
        x[pivot] = fraction(fmpq(reduced[i, columns]))
    return tuple(x)


def column_basis(matrix: Sequence[Sequence[Number]]) -> Rows:
    """Columns of the matrix, as rows of the result, that are a basis of its column space."""
    reduced, found = _flint(matrix).rref()
    pivots = [next(j for j in range(reduced.ncols()) if reduced[i, j] != 0) for i in range(found)]
    return tuple(tuple(Fraction(row[j]) for row in matrix) for j in pivots)


def apply(matrix: Sequence[Sequence[Number]], vector: Sequence[Number], shift: Sequence[Number] | None = None) -> Row:
    """A v + c."""
    image = (sum((Fraction(a) * v for a, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix)
    return tuple(image) if shift is None else tuple(v + c for v, c in zip(image, shift, strict=True))


@st.composite
def matrices(draw: st.DrawFn, n: int, m: int, entries: st.SearchStrategy[Fraction] = INTEGERS) -> Rows:
    """Matrices of this shape."""
    return tuple(tuple(draw(st.lists(entries, min_size=m, max_size=m))) for _ in range(n))


@st.composite
def invertible(draw: st.DrawFn, n: int) -> Rows:
    """Invertible matrices: a permutation with scales, then at most two elementary changes."""
    order = draw(st.permutations(range(n)))
    found = [[Fraction(0)] * n for _ in range(n)]
    for i, j in enumerate(order):
        found[i][j] = draw(NONZERO)
    for _ in range(draw(st.integers(0, 2)) if n > 1 else 0):
        i, j = draw(st.permutations(range(n)))[:2]
        factor = draw(INTEGERS)
        found[i] = [a + factor * b for a, b in zip(found[i], found[j], strict=True)]
    return rows_of(found)


def shown(matrix: Sequence[Sequence[Number]]) -> str:
    """The matrix as text to paste."""
    return "[" + ", ".join("[" + ", ".join(str(v) for v in row) + "]" for row in matrix) + "]"
