"""The basis in which several covariances are diagonal at once, in rationals or enclosed by balls.

With T the sum of the covariances S_j, the matrices T^-1 S_j are self-adjoint for the inner product of T. One basis
makes all S_j diagonal exactly when they commute. Its vectors are then eigenvectors of a combination sum_j t_j T^-1 S_j,
and for t_j = x^j all but finitely many x keep apart every two vectors that some S_j keeps apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, ctx, fmpq, fmpq_mat, fmpq_poly

from ident_theory.errors import BudgetExceeded
from ident_theory.exact.balls import MAX_BITS
from ident_theory.geometry.linear_programs import ONE, ZERO
from ident_theory.geometry.linear_systems import solutions


@dataclass(frozen=True)
class Basis:
    """A basis in which all covariances are diagonal.

    Attributes
    ----------
    columns, rows : fmpq_mat or arb_mat, shape (m, m)
        A' with one entry of each column scaled to one, see `pivot_of`, and its inverse.
    blocks : tuple of tuple of int
        Columns that cannot be told apart stand together: their variances are in one proportion in all components.
        Inside a block any rotation (in units of its variances) would do as well.
    """

    columns: fmpq_mat | arb_mat
    rows: fmpq_mat | arb_mat
    blocks: tuple[tuple[int, ...], ...]

    @property
    def is_exact(self) -> bool:
        """Whether the entries are rational numbers, not balls."""
        return isinstance(self.columns, fmpq_mat)


def clashing_pair(covariances: Sequence[fmpq_mat]) -> tuple[int, int] | None:
    """Two covariances that no basis makes diagonal together with the sum T of all; None when one basis does for all.

    S_i T^-1 S_j is symmetric exactly when T^-1 S_i and T^-1 S_j commute.
    """
    back = sum_of(covariances).inv()
    halves = [matrix * back for matrix in covariances]
    for i, j in itertools.combinations(range(len(covariances)), 2):
        product = halves[i] * covariances[j]
        if product != product.transpose():
            return i, j
    return None


def common_basis(covariances: Sequence[fmpq_mat], bits: int = 64) -> Basis:
    """The basis that makes all covariances diagonal; they must be definite and have no `clashing_pair`.

    The vectors stand in ascending order of their eigenvalue of sum_j x^j T^-1 S_j with the least x >= 2 that keeps
    apart what can be kept apart: for two components in the order of the ratio of the second variance to the first.

    Parameters
    ----------
    covariances : sequence of fmpq_mat
    bits : int
        When an eigenvalue is irrational, the balls are narrower than 2^-bits times the largest entry of their column
        (of A') or row (of its inverse).

    Raises
    ------
    BudgetExceeded
        When `MAX_BITS` bits do not give balls that narrow.
    """
    total = sum_of(covariances)
    pencil, spectrum = _generic(covariances, total)
    exact = sum(len(part.roots()) for part, _ in spectrum) == sum(part.degree() for part, _ in spectrum)
    if exact:
        rational = [(-part[0] / part[1], times) for whole, times in spectrum for part, _ in whole.factor()[1]]
        return _basis(pencil, total, rational)
    precision = 4 * bits
    while precision <= MAX_BITS:
        with ctx.workprec(precision):
            found = [(root.real, times) for part, times in spectrum for root, _ in part.numer().complex_roots()]
            basis = _basis(arb_mat(pencil), arb_mat(total), found)
            if _is_narrow(basis.columns.transpose(), bits) and _is_narrow(basis.rows, bits):
                return basis
        precision *= 2
    raise BudgetExceeded(f"unmix_factorial: {MAX_BITS} bits of precision do not separate the eigenvalues; the ratios "
                         "of variances lie too close together")


def sum_of(covariances: Sequence[fmpq_mat]) -> fmpq_mat:
    """The sum of one or more matrices."""
    total = covariances[0]
    for matrix in covariances[1:]:
        total = total + matrix
    return total


def _generic(covariances: Sequence[fmpq_mat], total: fmpq_mat) -> tuple[fmpq_mat, list[tuple[fmpq_poly, int]]]:
    """A combination with as many different eigenvalues as any has; their polynomials, without square factors, and
    multiplicities."""
    back = total.inv()
    for x in itertools.count(2):
        pencil = back * sum_of([matrix * fmpq(x)**j for j, matrix in enumerate(covariances)])
        characteristic = fmpq_poly(pencil.charpoly())
        spectrum = [(fmpq_poly(part), times) for part, times in characteristic.numer().factor_squarefree()[1]]
        distinct = sum(part.degree() for part, _ in spectrum)
        if distinct == pencil.nrows() or _generates(pencil, [back * matrix for matrix in covariances], distinct):
            return pencil, spectrum
    raise AssertionError("unreachable: finitely many x fail")


def _generates(pencil: fmpq_mat, others: Sequence[fmpq_mat], distinct: int) -> bool:
    """Whether all the commuting matrices are polynomials in the combination, so none splits an eigenspace of it.

    On matrices that are self-adjoint for T, tr(X Y) is an inner product: each must equal its projection onto the
    powers of the combination, which are independent.
    """
    powers = [_identity(pencil.nrows())]
    while len(powers) < distinct:
        powers.append(powers[-1] * pencil)
    flats = [power.entries() for power in powers]
    duals = [power.transpose().entries() for power in powers]
    moments = [_dot(flats[a // 2], duals[a - a // 2]) for a in range(2 * distinct - 1)]
    gram = fmpq_mat([[moments[a + b] for b in range(distinct)] for a in range(distinct)])
    for other in others:
        products = fmpq_mat([[_dot(flat, other.transpose().entries())] for flat in flats])
        if (products.transpose() * gram.solve(products))[0, 0] != _dot(other.entries(), other.transpose().entries()):
            return False
    return True


def _dot(a: Sequence[fmpq], b: Sequence[fmpq]) -> fmpq:
    return sum((x * y for x, y in zip(a, b, strict=True)), ZERO)


def _basis(pencil: fmpq_mat | arb_mat, total: fmpq_mat | arb_mat, roots: list[tuple[fmpq | arb, int]]) -> Basis:
    """Vectors to all eigenvalues, given with their multiplicities."""
    roots = sorted(roots, key=lambda item: item[0] if isinstance(item[0], fmpq) else item[0].mid().fmpq())
    rows: list[list[fmpq | arb]] = []
    columns: list[list[fmpq | arb]] = []
    blocks: list[tuple[int, ...]] = []
    for index, (root, times) in enumerate(roots):
        kernel = _exact_kernel(pencil, total, root) if isinstance(pencil, fmpq_mat) else \
            _ball_kernel(pencil, total, root, [other for other, _ in roots[:index] + roots[index + 1:]])
        blocks.append(tuple(range(len(rows), len(rows) + times)))
        for vector, square in _orthogonal(kernel, times):
            image = [sum((a * b for a, b in zip(line, vector, strict=True)), 0 * square) for line in total.tolist()]
            top = image[pivot_of([float(abs(arb(entry)).mid()) for entry in image])]
            columns.append([entry / top for entry in image])
            rows.append([entry * top / square for entry in vector])
    kind = type(pencil)
    return Basis(kind(columns).transpose(), kind(rows), tuple(blocks))


def pivot_of(sizes: Sequence[float]) -> int:
    """Which entry of a column is scaled to one: the first within 1e-9 of the largest, so that rounding cannot choose
    between entries of equal size."""
    bound = max(sizes) * (1 - 1e-9)
    return next(i for i, size in enumerate(sizes) if size >= bound)


def _exact_kernel(pencil: fmpq_mat, total: fmpq_mat, root: fmpq) -> fmpq_mat:
    """The T-orthogonal projector onto an eigenspace, times T^-1."""
    size = pencil.nrows()
    shifted = (pencil - _identity(size) * root).tolist()
    found = solutions(fmpq_mat([[*row, ZERO] for row in shifted]))
    assert found is not None
    space = fmpq_mat(found[1])
    return space.transpose() * (space * total * space.transpose()).inv() * space


def _ball_kernel(pencil: arb_mat, total: arb_mat, root: arb, others: Sequence[arb]) -> arb_mat:
    """The same by Lagrange interpolation in the eigenvalues."""
    kernel = total.inv()
    for other in others:
        kernel = (pencil * kernel - kernel * other) * (1 / (root - other))
    return kernel


def _orthogonal(kernel: fmpq_mat | arb_mat, count: int) -> list[tuple[list[fmpq | arb], fmpq | arb]]:
    """Vectors v of an eigenspace, orthogonal for T, and v^T T v; the kernel is the projector onto it times T^-1.

    The columns l_i of a factorisation kernel = sum_i l_i l_i^T / d_i with the largest diagonal entries as pivots d_i:
    kernel T kernel = kernel makes l_i^T T l_k = d_i for i = k and zero otherwise.
    """
    work = kernel.tolist()
    found = []
    for _ in range(count):
        pivot = max(range(len(work)), key=lambda i: float(arb(work[i][i]).mid()))
        vector = [row[pivot] for row in work]
        square = vector[pivot]
        found.append((vector, square))
        work = [[entry - a * b / square for entry, b in zip(row, vector, strict=True)]
                for row, a in zip(work, vector, strict=True)]
    return found


def _identity(size: int) -> fmpq_mat:
    return fmpq_mat([[ONE if i == k else ZERO for k in range(size)] for i in range(size)])


def _is_narrow(lines: arb_mat, bits: int) -> bool:
    return all(entry.is_finite() for entry in lines.entries()) and all(
        max(entry.rad() for entry in line) <= max(abs(entry.mid()) for entry in line) * arb(2)**-bits
        for line in lines.tolist())
