"""Small exact matrices as rows of rationals, and hypothesis strategies for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from flint import fmpq_mat
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ident_theory.exact.rationals import fraction, rational

Number = int | Fraction
Row = tuple[Fraction, ...]
Matrix = tuple[Row, ...]
Rows = Sequence[Sequence[Number]]

#: Entries, small integers first, so that counterexamples shrink to them.
INTEGERS = st.integers(-2, 2).map(Fraction)
SMALL = INTEGERS | st.sampled_from([Fraction(p, q) for p in (-3, -1, 1, 3) for q in (2, 3)])
NUMBERS = INTEGERS | st.sampled_from([Fraction(1, 2), Fraction(-1, 3), Fraction(5, 2), Fraction(100)])
NONZERO = st.sampled_from([Fraction(v) for v in (1, -1, 2, -3)] + [Fraction(1, 2), Fraction(100)])


def matrix_of(rows: Iterable[Iterable[Number]]) -> Matrix:
    """Rows of numbers as rows of fractions."""
    return tuple(tuple(Fraction(value) for value in row) for row in rows)


def identity(size: int) -> Matrix:
    """The identity matrix."""
    return matrix_of([int(i == j) for j in range(size)] for i in range(size))


def block_diagonal(blocks: Sequence[Rows]) -> Matrix:
    """Blocks along the diagonal, zero elsewhere."""
    width = sum(len(block[0]) for block in blocks)
    rows, offset = [], 0
    for block in blocks:
        rows += [(*[0] * offset, *row, *[0] * (width - offset - len(row))) for row in block]
        offset += len(block[0])
    return matrix_of(rows)


def transpose(rows: Rows) -> Matrix:
    """The transposed matrix."""
    return matrix_of(zip(*rows, strict=True))


def product(left: Rows, right: Rows) -> Matrix:
    """Matrix product; the left one needs at least one column."""
    return _plain(flint_of(left) * flint_of(right))


def apply(rows: Rows, vector: Sequence[Number], shift: Sequence[Number] | None = None) -> Row:
    """A v + c."""
    image = (sum((Fraction(a) * v for a, v in zip(row, vector, strict=True)), Fraction(0)) for row in rows)
    return tuple(image) if shift is None else tuple(v + c for v, c in zip(image, shift, strict=True))


def rank(rows: Rows) -> int:
    """Exact rank; 0 without rows or columns."""
    return int(flint_of(rows).rank()) if rows and rows[0] else 0


def determinant(rows: Rows) -> Fraction:
    """Exact determinant."""
    return fraction(flint_of(rows).det())


def is_regular(rows: Rows) -> bool:
    """Whether the matrix is square and invertible."""
    return len(rows) == len(rows[0]) == rank(rows)


def is_diagonal(rows: Rows) -> bool:
    """Whether nothing stands off the diagonal."""
    return all(value == 0 for i, row in enumerate(rows) for j, value in enumerate(row) if i != j)


def is_monomial(rows: Rows) -> bool:
    """Whether every row and every column has exactly one entry that is not zero."""
    return all(sum(value != 0 for value in line) == 1 for line in (*rows, *zip(*rows, strict=True)))


def inverse(rows: Rows) -> Matrix:
    """Exact inverse; ZeroDivisionError for a singular matrix."""
    return _plain(flint_of(rows).inv())


def inverse_or_none(rows: Rows) -> Matrix | None:
    """Exact inverse of a square matrix, None if it is singular."""
    return inverse(rows) if is_regular(rows) else None


def solve(rows: Rows, right: Sequence[Number]) -> Row | None:
    """Some x with A x = b, its free coordinates 0; None if there is none."""
    reduced, leads = _reduced([[*row, value] for row, value in zip(rows, right, strict=True)])
    width = len(rows[0])
    if width in leads:
        return None
    found = [Fraction(0)] * width
    for row, lead in zip(reduced, leads, strict=True):
        found[lead] = row[width]
    return tuple(found)


def combination(vectors: Rows, target: Sequence[Number]) -> Row | None:
    """Coefficients with sum_j x_j vectors[j] = target; None if there are none."""
    return solve([[vector[i] for vector in vectors] for i in range(len(target))], target)


def kernel_vector(rows: Rows) -> Row | None:
    """Some v with A v = 0 that is not zero; None if there is none."""
    reduced, leads = _reduced(rows)
    width = len(rows[0])
    free = next((j for j in range(width) if j not in leads), None)
    if free is None:
        return None
    vector = [Fraction(int(j == free)) for j in range(width)]
    for row, lead in zip(reduced, leads, strict=True):
        vector[lead] = -row[free]
    return tuple(vector)


def row_basis(rows: Rows) -> list[Row]:
    """A basis of the row space, in reduced form."""
    return _reduced(rows)[0] if rows and rows[0] else []


def column_basis(rows: Rows) -> Matrix:
    """Columns of the matrix, as rows of the result, that are a basis of its column space."""
    return matrix_of([row[j] for row in rows] for j in _reduced(rows)[1])


def same_row_space(first: Rows, second: Rows) -> bool:
    """Whether first = A second for some invertible A; both have the same number of rows."""
    return rank(first) == rank(second) == rank([*first, *second])


def shown_matrix(rows: Rows) -> str:
    """A matrix as text to paste."""
    return "[" + ", ".join("[" + ", ".join(str(value) for value in row) + "]" for row in rows) + "]"


def matrices(height: int, width: int, entries: SearchStrategy[Fraction] = INTEGERS) -> SearchStrategy[Matrix]:
    """Matrices of a shape."""
    row = st.lists(entries, min_size=width, max_size=width).map(tuple)
    return st.lists(row, min_size=height, max_size=height).map(tuple)


@st.composite
def degenerate_matrices(draw: st.DrawFn, height: int, width: int, entries: SearchStrategy[Fraction] = SMALL) -> Matrix:
    """Matrices among which zero, repeated and proportional rows are common."""
    rows = [list(row) for row in draw(matrices(height, width, entries))]
    for _ in range(draw(st.integers(0, 2))):
        i, j = draw(st.integers(0, height - 1)), draw(st.integers(0, height - 1))
        factor = draw(st.sampled_from([0, 1, 2, -1]))
        rows[i] = [factor * value for value in rows[j]]
    return matrix_of(rows)


@st.composite
def invertible_matrices(draw: st.DrawFn, size: int) -> Matrix:
    """Invertible matrices: a permutation with scales, then at most two elementary changes."""
    order = draw(st.permutations(range(size)))
    found = [[Fraction(0)] * size for _ in range(size)]
    for i, j in enumerate(order):
        found[i][j] = draw(NONZERO)
    for _ in range(draw(st.integers(0, 2)) if size > 1 else 0):
        i, j = draw(st.permutations(range(size)))[:2]
        factor = draw(INTEGERS)
        found[i] = [a + factor * b for a, b in zip(found[i], found[j], strict=True)]
    return matrix_of(found)


def flint_of(rows: Rows) -> fmpq_mat:
    """The matrix for python-flint."""
    entries = [rational(Fraction(value)) for row in rows for value in row]
    return fmpq_mat(len(rows), len(rows[0]) if rows else 0, entries)


def _plain(matrix: fmpq_mat) -> Matrix:
    return tuple(tuple(fraction(value) for value in row) for row in matrix.tolist())


def _reduced(rows: Rows) -> tuple[list[Row], list[int]]:
    """The rows of the reduced echelon form that are not zero, and the columns that they lead in."""
    reduced, count = flint_of(rows).rref()
    found = list(_plain(reduced)[:int(count)])
    return found, [next(j for j, value in enumerate(row) if value) for row in found]
