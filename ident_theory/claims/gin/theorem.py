"""Theorem 1 and its proof: Appendix A up to eq. 15, and what the theorem needs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product as pairs_of
from typing import Any

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.pairs import Pair, eq15, pairs
from ident_theory.claims.matrices import rank, shown_matrix
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)

_HYPOTHESES = {
    "derivatives not zero": lambda case: case.has_slopes,
    "minimality": lambda case: case.is_minimal,
    "L invertible": lambda case: case.is_l_regular,
    "one law of x": lambda case: case.has_equal_laws,
}


def _fractions(rows: Sequence[Sequence[int]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(Fraction(v) for v in row) for row in rows)


def dependent_statistics() -> Pair:
    """T = (z, 2 z) against T' = (w, w^2) for w = z."""
    return Pair((_fractions([[1, 0], [2, 0]]),), (_fractions([[1, 0], [0, 1]]),), _fractions([[1]]), (Fraction(0),),
                tuple(_fractions([row]) for row in ([0, 0], [1, 0], [0, 1])))


def has_full_relation(case: Pair) -> bool:
    """Whether T(z) = A T'(w) + c with an A of full row rank, by comparing coefficients."""
    return case.relation is not None and rank(case.relation) == case.n * case.k


def relation_of_full_rank(freedom: tuple[int, ...] = (0, 1)) -> Universal[Pair]:
    """Theorem 1 with minimality, over quadratic statistics and affine maps between the latents."""
    return Universal("two models with one law of x given u have T(z) = A T'(w) + c with A of full row rank",
                     lambda dropped: pairs(freedom=freedom), has_full_relation, _HYPOTHESES,
                     needed=("one law of x", "L invertible", "minimality"), show=Pair.show)


@chapter.claim("gin.thm1", place="Sec. 3.1, eq. 4; App. A, Theorem 1, eqs. 8-9", kind=Kind.THEOREM,
               statement="If two models have one law of x given u, the statistics of the first have almost nowhere "
                         "vanishing derivatives, and nk + 1 conditions make L invertible, then T(z) = A T'(w) + c "
                         "with a constant nk x dk matrix A of full rank.",
               hypotheses=("one law of x given u", "(i) T_ij has a derivative that is almost nowhere zero",
                           "(ii) L is invertible"),
               correction=Correction("The same with statistics that are minimal: 1, T_i1, ..., T_ik are linearly "
                                     "independent for every i. Condition (i) is then not needed.", ("minimality",)),
               covers=("Theorem 1",), universal=relation_of_full_rank,
               scope="searched over quadratic statistics and affine maps between the latents")
def full_rank_needs_minimality(on: Record) -> None:
    case = dependent_statistics()
    meets = case.has_equal_laws and case.is_l_regular and case.has_slopes and case.is_normalised
    on.printed.refute(meets and case.relation is not None and rank(case.relation) == 1,
                      f"T = (z, 2z), T' = (w, w^2), w = z, L = {shown_matrix(case.l_matrix)}: the only A is "
                      f"{shown_matrix(case.relation or [])}, of rank 1 and not 2", shown=case.show())
    on.printed.search(without=("minimality",), cases=60)
    on.corrected.search(cases=60)


@chapter.claim("gin.square", place="Sec. 3.1, after eq. 4", kind=Kind.COROLLARY,
               statement="Where the two latent spaces have one dimension, A is square and invertible.",
               hypotheses=("those of Theorem 1", "d = n"),
               correction=Correction("The same with minimal statistics.", ("minimality",)),
               universal=lambda: relation_of_full_rank((0,)),
               scope="searched over quadratic statistics and affine maps between the latents")
def square_and_invertible(on: Record) -> None:
    case = dependent_statistics()
    on.printed.refute(case.d == case.n and case.has_equal_laws and case.is_l_regular and case.has_slopes
                      and sp.Matrix(case.relation).det() == 0,
                      "the models of gin.thm1 have n = d = 1 and a singular A", shown=case.show())
    on.corrected.search(cases=30)


Tables = tuple[tuple[tuple[Fraction, ...], ...], ...]


def affine_dimension(points: Sequence[Sequence[Fraction]]) -> int:
    """Dimension of the affine hull."""
    return rank([[x - y for x, y in zip(point, points[0], strict=True)] for point in points[1:]])


def _stacked(case: tuple[Tables, str]) -> list[list[Fraction]]:
    tables, domain = case
    places = pairs_of(*tables) if domain == "product" else zip(*tables, strict=True)
    return [[v for part in place for v in part] for place in places]


def affine_hull() -> Universal[tuple[Tables, str]]:
    """Statistics on finite sets, given by their tables of values: no derivative in sight (repair R2)."""
    values = st.integers(-2, 2).map(Fraction)

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Any]:
        domain = st.sampled_from(["diagonal"] if "product domain" in dropped else ["product"])
        return st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(2, 4)).flatmap(lambda size: st.tuples(
            st.tuples(*[st.tuples(*[st.tuples(*[values] * size[1])] * size[2])] * size[0]), domain))

    return Universal(
        "T(z) = A S(z) + c forces rank A = nk whatever S is, since T takes values in no smaller affine space", cases,
        lambda case: affine_dimension(_stacked(case)) == sum(len(table[0]) for table in case[0]),
        {"minimality": lambda case: all(affine_dimension(table) == len(table[0]) for table in case[0]),
         "product domain": lambda case: case[1] == "product"},
        needed=("minimality", "product domain"),
        show=lambda case: f"# tables of T_i at the points of Z_i, on the {case[1]}\n"
                          + "\n".join(map(shown_matrix, case[0])))


@chapter.claim("gin.thm1.i", place="App. A, Theorem 1 (i)", kind=Kind.ADDED,
               statement="With minimal statistics on a product domain the matrix of Theorem 1 has full row rank "
                         "without condition (i): no derivative is used.",
               hypotheses=("minimality", "z ranges over a product"), universal=affine_hull)
def derivatives_are_superfluous(on: Record) -> None:
    z = sp.Symbol("z", negative=True)
    flat = sp.diff(sp.Max(z, 0), z) == 0
    on.printed.support(flat and affine_dimension([[Fraction(max(v, 0))] for v in (-1, 0, 1)]) == 1,
                       "T = max(z, 0) has derivative 0 on a half line, against (i), and is minimal", cases=1,
                       evidence=Evidence.EXACT)
    on.printed.search(cases=100)


def generic(n: int, k: int, conditions: int, mark: str) -> dict[str, Any]:
    """A generic family: log p at every condition by eq. 1, T, lambda as columns, and log Z_i(u) as i x u."""
    statistics = sp.Matrix(n * k, 1, lambda r, _: sp.Symbol(f"T{mark}_{r}"))
    parameters = sp.Matrix(n * k, conditions, lambda r, u: sp.Symbol(f"lambda{mark}_{r}_{u}"))
    normalisers = sp.Matrix(n, conditions, lambda i, u: sp.Symbol(f"logZ{mark}_{i}_{u}"))
    base = [sp.Symbol(f"logQ{mark}_{i}") for i in range(n)]
    logs = [sum(base[i] - normalisers[i, u] + sum(statistics[i * k + j] * parameters[i * k + j, u] for j in range(k))
                for i in range(n)) for u in range(conditions)]
    return {"logs": logs, "T": statistics, "lambda": parameters, "logZ": normalisers}


def differences(columns: sp.Matrix) -> sp.Matrix:
    """Columns minus the first one: eq. 8."""
    return sp.Matrix.hstack(*[columns[:, u] - columns[:, 0] for u in range(1, columns.cols)])


def b_vector(first: dict[str, Any], second: dict[str, Any], own: int, other: int) -> sp.Matrix:
    """b of eq. 14 with the sum over Z up to `own` and the one over Z' up to `other`."""
    z, w = first["logZ"], second["logZ"]
    return sp.Matrix([sum(z[i, u] - z[i, 0] for i in range(own)) - sum(w[i, u] - w[i, 0] for i in range(other))
                      for u in range(1, z.cols)])


_SIZES = ((1, 1, 1), (1, 2, 1), (1, 2, 2), (2, 2, 2), (2, 3, 2), (2, 3, 1))


@chapter.claim("gin.eq10-14", place="App. A, eqs. 10-14", kind=Kind.IDENTITY,
               statement="The change of variables gives the log density of x as that of the latents and the noise "
                         "plus the log determinant of the inverse; its differences between conditions are free of "
                         "noise, Jacobian and base measures, and stacked they read L^T T(z) = L'^T T'(w) + b.",
               scope="eq. 10 is shown for linear f of one latent and one noise; b with its two ranges of summation: "
                     "gin.eq14.b")
def differences_in_matrix_form(on: Record) -> None:
    a, b, c, d, m, s, t, x, y = sp.symbols("a b c d m s t x y", real=True)
    mixing, point, mean = sp.Matrix([[a, b], [c, d]]), sp.Matrix([x, y]), sp.Matrix([m, 0])
    latent = mixing.inv() * point
    gap = point - mixing * mean
    covariance = mixing * sp.diag(s**2, t**2) * mixing.T
    exponent = (latent[0] - m) ** 2 / s**2 + latent[1] ** 2 / t**2 - (gap.T * covariance.inv() * gap)[0]
    factor = mixing.inv().det() ** 2 / (s**2 * t**2) * covariance.det()
    on.printed.prove(sp.simplify(exponent) == 0 and sp.simplify(factor) == 1,
                     "eq. 10 for a generic linear f of one latent and one noise gives the normal law of its mean and "
                     "covariance")
    residuals = []
    for n, d_, k in _SIZES:
        first, second = generic(n, k, n * k + 1, ""), generic(d_, k, n * k + 1, "'")
        sides = differences(first["lambda"]).T * first["T"] - differences(second["lambda"]).T * second["T"] \
            - b_vector(first, second, n, d_)
        residuals += [sp.expand((first["logs"][u] - first["logs"][0]) - (second["logs"][u] - second["logs"][0])
                                - sides[u - 1]) for u in range(1, n * k + 1)]
    on.printed.prove(not any(residuals), f"generic symbols, (n, d, k) in {_SIZES}: eq. 11 row by row is eq. 14; a row "
                                         "involves one condition, and adding latents adds like terms")


@chapter.claim("gin.eq13.bar", place="App. A, before eq. 13", kind=Kind.IDENTITY,
               statement="lambda(u) is set to lambda(u) - lambda(u_0).",
               hypotheses=("read as an equation for the same lambda on both sides",),
               correction=Correction("It defines a new vector, written with a bar in eq. 13.", notational=True),
               scope="the text that was read is a conversion, which may have lost the bar")
def the_difference_has_a_name_of_its_own(on: Record) -> None:
    case = dependent_statistics()
    moved = Pair(case.statistics, case.estimated, case.matrix, case.shift,
                 tuple(tuple(tuple(v + 1 for v in row) for row in at_u) for at_u in case.parameters))
    first = [v for row in moved.parameters[0] for v in row]
    on.printed.refute(any(first) and moved.is_l_regular,
                      f"as an equation it forces lambda(u_0) = 0; here lambda(u_0) = {[str(v) for v in first]} and L "
                      "is invertible", shown=moved.show())
    data = generic(1, 2, 2, "")
    bar = data["lambda"][:, 1] - data["lambda"][:, 0]
    gap = data["logs"][1] - data["logs"][0] - (data["T"].T * bar)[0] + data["logZ"][0, 1] - data["logZ"][0, 0]
    on.corrected.prove(sp.expand(gap) == 0, "generic symbols: with the difference under a new name eq. 13 is eq. 12")


@chapter.claim("gin.eq14.b", place="App. A, after eq. 14", kind=Kind.IDENTITY,
               statement="b_l is one sum over i of log Z'_i(u_0) Z_i(u_l)/(Z_i(u_0) Z'_i(u_l)).",
               hypotheses=("n < d is allowed",),
               correction=Correction("Two sums: over i <= n for Z and over i <= d for Z'.", notational=True))
def two_sums_of_different_length(on: Record) -> None:
    n, d, k = 1, 2, 2
    first, second = generic(n, k, n * k + 1, ""), generic(d, k, n * k + 1, "'")
    sides = differences(first["lambda"]).T * first["T"] - differences(second["lambda"]).T * second["T"]
    logs = [(first["logs"][u] - first["logs"][0]) - (second["logs"][u] - second["logs"][0]) for u in (1, 2)]
    common = [sp.expand(logs[u] - sides[u] + b_vector(first, second, n, n)[u]) for u in (0, 1)]
    full = [sp.expand(logs[u] - sides[u] + b_vector(first, second, n, d)[u]) for u in (0, 1)]
    on.printed.refute(all(v != 0 for v in common) and first["logZ"].rows < second["logZ"].rows,
                      f"n = 1, d = 2: Z_2 does not exist, and the sum over the common i = 1 leaves {common[0]}")
    on.corrected.prove(not any(full), "generic symbols, n = 1, d = 2: with both sums nothing is left; every size: "
                                      "gin.eq10-14")


def eq15_agrees() -> Universal[Pair]:
    """A by eq. 15 from the laws against A by comparing coefficients of the statistics."""
    def conclusion(case: Pair) -> bool:
        return case.relation is not None and case.is_l_regular and eq15(case) == case.relation

    return Universal("A = L^-T L'^T exists and is the matrix that relates the statistics",
                     lambda dropped: pairs(spare=True), conclusion,
                     {key: _HYPOTHESES[key] for key in ("L invertible", "one law of x")},
                     needed=("one law of x", "L invertible"), show=Pair.show)


def eq15_formula(left: Any, right: Any, b: Any) -> tuple[Any, Any]:
    """A and c of eq. 15 from L, L' and b, of any size."""
    return left.T.I * right.T, left.T.I * b


@chapter.claim("gin.eq15", place="App. A, eq. 15", kind=Kind.IDENTITY,
               statement="A = L^-T L'^T, of size nk x dk, and c = L^-T b.",
               hypotheses=("L is invertible", "L^T T = L'^T T' + b"), universal=eq15_agrees)
def transposed_inverse(on: Record) -> None:
    size, other = sp.symbols("r s", integer=True, positive=True)  # nk and dk
    left, right = sp.MatrixSymbol("L", size, size), sp.MatrixSymbol("M", other, size)
    b, own, estimated = (sp.MatrixSymbol(name, length, 1) for name, length in (("b", size), ("T", size), ("t", other)))
    right_side = right.T * estimated + b
    matrix, shift = eq15_formula(left, right, b)
    on.printed.prove(matrix.shape == (size, other) and (left.T * (matrix * estimated + shift)).expand() == right_side
                     and left.T.I * (left.T * own) == own,
                     "matrices of symbols of any size: A T' + c solves L^T T = L'^T T' + b, and L^-T leads back from "
                     "L^T T to T, so nothing else does")
    on.printed.search(cases=40)
