"""R2: minimal statistics on a product set have an affine hull of full dimension, so A has full row rank."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as cartesian
from math import prod

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import (
    NUMBERS,
    Matrix,
    Row,
    apply,
    column_basis,
    matrices,
    matrix_of,
    rank,
    shown_matrix,
    solve,
)
from ident_theory.claims.papers import REPAIRS
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal

chapter = Chapter(REPAIRS)


@dataclass(frozen=True)
class HullCase:
    """Statistics on finitely many points, and an affine relation T = A S + c on some of the tuples of points.

    Attributes
    ----------
    statistics : tuple of Matrix
        For every i the values of T_i, one row a point of Z_i.
    null : tuple of frozenset of int
        For every i the points of Z_i of measure zero.
    tuples : tuple of tuple of int
        The set Z, as indices of points.
    a, shift, s : Matrix, Row, dict
        A, c, and S on the tuples of positive measure.
    """

    statistics: tuple[Matrix, ...]
    null: tuple[frozenset[int], ...]
    tuples: tuple[tuple[int, ...], ...]
    a: Matrix
    shift: Row
    s: tuple[Row, ...]

    def seen(self) -> list[tuple[int, ...]]:
        """The tuples of positive measure."""
        return [z for z in self.tuples if not any(p in null for p, null in zip(z, self.null, strict=True))]

    def stacked(self, z: tuple[int, ...]) -> Row:
        """T at a tuple."""
        return tuple(v for p, rows in zip(z, self.statistics, strict=True) for v in rows[p])


def _relation(case: HullCase) -> bool:
    seen = case.seen()
    return len(seen) == len(case.s) > 0 and all(
        apply(case.a, s, case.shift) == case.stacked(z) for z, s in zip(seen, case.s, strict=True))


def _independent(case: HullCase, constant: bool = True, positive_only: bool = False) -> bool:
    """Whether T_i1, ..., T_ik, with or without 1, are independent on the points of Z_i, for every i."""
    for rows, null in zip(case.statistics, case.null, strict=True):
        table = [((Fraction(1),) if constant else ()) + row for p, row in enumerate(rows)
                 if not (positive_only and p in null)]
        if not table or rank(table) < len(table[0]):
            return False
    return True


def _is_product(case: HullCase) -> bool:
    return len(set(case.tuples)) == prod(len({z[i] for z in case.tuples}) for i in range(len(case.statistics)))


def _takes_all_points(case: HullCase) -> bool:
    return all({z[i] for z in case.tuples} == set(range(len(rows))) for i, rows in enumerate(case.statistics))


def _shown(case: HullCase) -> str:
    statistics = "; ".join(f"T_{i + 1} at the points of Z_{i + 1}: {shown_matrix(rows)}, null: {sorted(null)}"
                           for i, (rows, null) in enumerate(zip(case.statistics, case.null, strict=True)))
    return (f"{statistics}; Z (indices of points): {list(case.tuples)}; A = {shown_matrix(case.a)}, c = "
            f"{shown_matrix([case.shift])}, S = {shown_matrix(case.s)}")


@st.composite
def _cases(draw: st.DrawFn, dropped: frozenset[str]) -> HullCase:
    n, k = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    k = 3 if k == 2 and n == 1 and draw(st.booleans()) else k
    statistics = []
    for _ in range(n):
        points = draw(st.integers(k + 1, k + 2))
        table = [list(row) for row in draw(matrices(points, k, NUMBERS))]
        if "1, T independent" in dropped and draw(st.booleans()):
            table = [[Fraction(1), *row[1:]] for row in table]
        statistics.append(matrix_of(table))
    tuples = list(cartesian(*[range(len(rows)) for rows in statistics]))
    if "Z is a product" in dropped:  # often the diagonal, which takes all points of every Z_i
        least = [tuple(min(p, len(rows) - 1) for rows in statistics) for p in range(k + 2)]
        tuples = draw(st.just(list(dict.fromkeys(least))) | st.lists(st.sampled_from(tuples), min_size=1, unique=True))
    if "Z takes all points of every Z_i" in dropped and draw(st.booleans()):
        tuples = list(cartesian(*[range(draw(st.integers(1, len(rows)))) for rows in statistics]))
    null = tuple(frozenset(draw(st.lists(st.sampled_from(range(len(rows))), max_size=1))) for rows in statistics)
    bare = HullCase(tuple(statistics), null, tuple(tuples), (), (), ())
    seen = bare.seen()
    if not seen:
        return bare
    values = [bare.stacked(z) for z in seen]
    origin = values[0]
    steps = [tuple(v - o for v, o in zip(value, origin, strict=True)) for value in values]
    # The columns of A: a basis of the directions that T takes, then combinations of it that S makes up for.
    basis = column_basis(tuple(zip(*steps, strict=True)))
    mixing = draw(matrices(len(basis), draw(st.integers(0, 1)))) if basis else ()
    columns = list(zip(*basis, strict=True)) if basis else [()] * (n * k)
    a = tuple(tuple(row) + apply(tuple(zip(*mixing, strict=True)), row) if mixing and mixing[0] else tuple(row)
              for row in columns)
    if not a[0]:
        a = tuple((Fraction(0),) for _ in range(n * k))
    solved = [solve(a, step) for step in steps]
    extra = draw(matrices(1, len(a[0])))[0]  # S may be moved along with c
    s = tuple(tuple(x + e for x, e in zip(row, extra, strict=True)) for row in solved if row is not None)
    shift = tuple(o - v for o, v in zip(origin, apply(a, extra), strict=True))
    if "T = A S + c" in dropped and draw(st.booleans()):
        a = (a[0],) * len(a)
    return HullCase(tuple(statistics), null, tuple(tuples), a, shift, s)


def affine_hull() -> Universal[HullCase]:
    """R2 on finite sets, where all of it is rational arithmetic."""
    return Universal(
        "if T = A S + c almost everywhere on a product set, with 1, T_i1, ..., T_ik independent modulo null sets for "
        "every i, then A has full row rank nk",
        cases=_cases,
        conclusion=lambda case: rank(case.a) == len(case.a),
        # The second follows from the third: dropped alone it leaves all that is needed.
        hypotheses={"T = A S + c": _relation, "1, T independent": _independent,
                    "modulo null sets": lambda case: _independent(case, positive_only=True),
                    "Z takes all points of every Z_i": _takes_all_points, "Z is a product": _is_product},
        needed=("T = A S + c", "modulo null sets", "Z takes all points of every Z_i", "Z is a product"), show=_shown)


def without_the_constant() -> Universal[HullCase]:
    """The same with T_i1, ..., T_ik alone independent: too weak a form of minimality."""
    full = affine_hull()
    return Universal("the same with T_i1, ..., T_ik independent, the constant function left out", cases=lambda dropped:
                     _cases(dropped | {"1, T independent"}), conclusion=full.conclusion,
                     hypotheses={**{name: test for name, test in full.hypotheses.items()
                                    if name not in ("1, T independent", "modulo null sets")},
                                 "T independent": lambda case: _independent(case, constant=False)}, show=_shown)


@chapter.claim(
    "repair.r2", place="audit, section 0, R2", kind=Kind.REPAIR,
    statement="Let Z be a product of sets Z_1, ..., Z_n. If T = A S + c on Z for some map S into R^m, and if for every "
              "i no non-trivial combination of T_i1, ..., T_ik is constant on Z_i, then A has full row rank nk; so A "
              "is invertible for m = nk. No derivative is used, and nothing is asked of S.",
    hypotheses=("Z is a product set", "minimality: 1, T_i1, ..., T_ik are linearly independent on Z_i, for every i",
                "for a relation that holds almost everywhere: minimality modulo null sets, Z_i with a product measure"),
    scope="the block form of the differences is computed for n, k up to 3; it is the same for all. That independent "
          "functions have k + 1 points where det [1 T_i] is not 0 is quoted",
    universal=affine_hull)
def full_row_rank(on: Record) -> None:
    """Differences of T over nk + 1 points make a block diagonal matrix; its determinant, for all n and k."""
    k, n = sp.symbols("k n", integer=True, positive=True)
    one, values, at_origin = sp.OneMatrix(k, 1), sp.MatrixSymbol("V", k, k), sp.MatrixSymbol("t", 1, k)
    bordered = sp.det(sp.BlockMatrix([[sp.Identity(1), at_origin], [one, values]]))
    before, block = sp.MatrixSymbol("D", (n - 1) * k, (n - 1) * k), sp.MatrixSymbol("E", k, k)
    step = sp.det(sp.BlockDiagMatrix(before, block))
    on.printed.prove(
        bordered == sp.det(values - one * at_origin) and step == sp.det(before) * sp.det(block)
        and all(_star_is_block_diagonal(n_, k_) for n_ in (1, 2, 3) for k_ in (1, 2, 3)),
        "move one coordinate at a time from a base point to k other points of Z_i with det [1 T_i] not 0: the nk "
        "differences of T form a block diagonal matrix D whose determinant is the product of the det [1 T_i] (generic "
        "k, induction over n, symbolic), and D = A (differences of S) bounds rank A below by nk")
    on.printed.search(cases=200)


def _star_is_block_diagonal(n: int, k: int) -> bool:
    """Differences of the stacked T over the star of points, all values symbols."""
    base = [[sp.Symbol(f"t{i}_{j}") for j in range(k)] for i in range(n)]
    moved = [[[sp.Symbol(f"v{i}_{p}_{j}") for j in range(k)] for p in range(k)] for i in range(n)]
    origin = sp.Matrix([v for row in base for v in row])
    columns = []
    for i in range(n):
        for p in range(k):
            at = [moved[i][p] if other == i else base[other] for other in range(n)]
            columns.append(sp.Matrix([v for row in at for v in row]) - origin)
    blocks = [(sp.Matrix(moved[i]) - sp.ones(k, 1) * sp.Matrix([base[i]])).T for i in range(n)]
    return bool(sp.Matrix.hstack(*columns) == sp.diag(*blocks))


@chapter.claim(
    "repair.r2.star", place="after R2", kind=Kind.ADDED,
    statement="R2 needs the relation at nk + 1 points only: a base point and, for every latent, k points that differ "
              "from it in that latent alone. No fewer will do: on nk points a matrix of rank nk - 1 can satisfy the "
              "relation.",
    hypotheses=("the k + 1 values of (1, T_i) over the star are independent, for every i",),
    scope="n and k up to 3 by computation; the block diagonal form is the same for all")
def star_of_points(on: Record) -> None:
    """The star suffices, and a point less does not, over n, k up to 3."""
    sizes = list(cartesian((1, 2, 3), (1, 2, 3)))
    on.printed.prove(
        all(_star_is_block_diagonal(n, k) and _fails_on_fewer_points(n, k) for n, k in sizes if n * k > 1),
        "the matrix of the differences over the star is block diagonal, its blocks invertible by hypothesis; without "
        "the last point a matrix A with nk - 1 columns satisfies T = A S + c (n, k = 1, 2, 3)")


def _fails_on_fewer_points(n: int, k: int) -> bool:
    """A relation of rank nk - 1 on all points of the star but the last, all T_i minimal on their points."""
    corner = [tuple(Fraction(int(p == j + 1)) for j in range(k)) for p in range(k + 1)]
    star = [(0,) * n] + [tuple(p if other == i else 0 for other in range(n)) for i in range(n) for p in range(1, k + 1)]
    size = n * k
    a = tuple(tuple(Fraction(int(i == j)) for j in range(size - 1)) for i in range(size))
    s = tuple(tuple(Fraction(int(q == j + 1)) for j in range(size - 1)) for q in range(size))
    case = HullCase((tuple(corner),) * n, (frozenset(),) * n, tuple(star[:-1]), a, (Fraction(0),) * size, s)
    return _relation(case) and _independent(case, constant=True, positive_only=True) and rank(a) == size - 1
