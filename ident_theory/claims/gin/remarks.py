"""Appendix A after eq. 15: the rank of A, random parameters, and noise among the estimated latents."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as tuples

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.pairs import SMALL, Pair, pairs
from ident_theory.claims.gin.theorem import affine_dimension, dependent_statistics
from ident_theory.claims.gin.two_parameters import SPLIT
from ident_theory.claims.matrices import Rows, inverse, is_regular, product, rank, shown_matrix, transpose
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)


def ranks_of_factors() -> Universal[tuple[Rows, Rows]]:
    """A of size r x m and Q' of size m x r with small entries."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[tuple[Rows, Rows]]:
        def matrix(rows: int, columns: int) -> st.SearchStrategy[Rows]:
            return st.lists(st.lists(SMALL, min_size=columns, max_size=columns), min_size=rows, max_size=rows)

        return st.tuples(st.integers(1, 3), st.integers(0, 2)).flatmap(
            lambda size: st.tuples(matrix(size[0], sum(size)), matrix(sum(size), size[0])))

    return Universal(
        "if Q = A Q' is invertible then A and Q' have the rank of Q", cases,
        lambda case: rank(case[0]) == rank(case[1]) == len(case[0]),
        {"Q invertible": lambda case: is_regular(product(*case))}, needed=("Q invertible",),
        show=lambda case: f"# A = {shown_matrix(case[0])}, Q' = {shown_matrix(case[1])}")


def cantor(level: int, ones: tuple[int, ...]) -> tuple[Fraction, Fraction]:
    """Middle of an interval that the Cantor construction removes, and the Cantor function there.

    The interval is that after the ternary digits 2 * ones; the function is constant on it.
    """
    start = sum((Fraction(2 * bit, 3 ** (m + 1)) for m, bit in enumerate(ones)), Fraction(0))
    value = sum((Fraction(bit, 2 ** (m + 1)) for m, bit in enumerate(ones)), Fraction(0))
    return start + Fraction(1, 2 * 3**level), value + Fraction(1, 2 ** (level + 1))


@chapter.claim("gin.eq16", place="App. A, eq. 16", kind=Kind.IDENTITY,
               statement="The derivatives of eq. 15 at k points give Q = A Q' with Q square; where Q is invertible, A "
                         "and Q' have full rank nk.",
               argument="A lemma supplies, under condition (i), k points whose derivative vectors of T_i are "
                        "independent, so that Q is invertible.",
               universal=ranks_of_factors)
def rank_of_the_factors(on: Record) -> None:
    n = k = 2
    # Columns of Q run over points and latents; T_i has slopes only in z_i.
    slopes = [[[sp.Symbol(f"s_{i}{j}_{p}") for p in range(k)] for j in range(k)] for i in range(n)]
    matrix = sp.Matrix(n * k, n * k, lambda r, c: slopes[r // k][r % k][c // n] if c % n == r // k else 0)
    blocks = sp.prod([sp.Matrix(block).det() for block in slopes])
    on.printed.support(matrix.shape == (4, 4) and sp.expand(matrix.det() ** 2 - blocks**2) == 0,
                       "n = k = 2, generic slopes: det Q is plus or minus the product of the determinants of the "
                       "latents, so Q is invertible exactly when every latent has k independent derivative vectors",
                       cases=1, evidence=Evidence.EXACT)
    left = sp.Matrix(2, 4, lambda i, j: sp.Symbol(f"a_{i}{j}"))
    right = sp.Matrix(4, 2, lambda i, j: sp.Symbol(f"q_{i}{j}"))
    minors = sum(left[:, [i, j]].det() * right[[i, j], :].det() for i in range(4) for j in range(i + 1, 4))
    on.printed.prove(sp.expand((left * right).det() - minors) == 0,
                     "generic A (2 x 4) and Q' (4 x 2): det Q is the sum over pairs of products of minors "
                     "(Cauchy-Binet), so a minor of each is not zero; the same expansion holds in every size")
    on.printed.search(cases=60)
    case = dependent_statistics()
    vectors = [[row[0] + 2 * row[1] * z for row in case.statistics[0]] for z in map(Fraction, range(-3, 4))]
    on.argument.refute(case.has_slopes and rank(vectors) == 1 and all(v == vectors[0] for v in vectors),
                       "T = (z, 2z) meets (i) and has the derivative vector (1, 2) everywhere", shown="T = (z, 2 z)")
    level = sp.Symbol("m", integer=True, nonnegative=True)
    length = sp.summation(sp.Rational(1, 3) * sp.Rational(2, 3) ** level, (level, 0, sp.oo))
    points = [cantor(0, ()), cantor(1, (0,)), cantor(2, (0, 1))]
    on.argument.refute(length == 1 and affine_dimension([[z, z + c] for z, c in points]) == 2,
                       "minimality does not save the lemma: T = (z, z + C(z)) with the Cantor function C on [0, 1] "
                       "has the derivative (1, 1) on the removed intervals, of total length 1, and its values at z = "
                       f"{', '.join(str(z) for z, _ in points)} are not on a line", shown="T = (z, z + Cantor(z))")


@chapter.claim("gin.L.base", place="App. A, Theorem 1 (ii)", kind=Kind.ADDED,
               statement="Whether L is invertible does not depend on which of the nk + 1 conditions is called u_0.")
def base_point_is_immaterial(on: Record) -> None:
    for size in (1, 2, 3):
        columns = [sp.Matrix(size, 1, lambda i, _, u=u: sp.Symbol(f"l_{i}_{u}")) for u in range(size + 1)]
        lifted = sp.Matrix.vstack(sp.ones(1, size + 1), sp.Matrix.hstack(*columns)).det()
        gaps = []
        for base in range(size + 1):
            others = [columns[u] - columns[base] for u in range(size + 1) if u != base]
            gaps.append(sp.expand(sp.Matrix.hstack(*others).det() ** 2 - lifted**2))
        on.printed.support(not any(gaps),
                           f"nk = {size}, generic: det L is up to sign the determinant with a row of ones",
                           cases=size + 1, evidence=Evidence.EXACT)


def singular_share(size: int) -> Fraction:
    """The share of tables of independent fair bits, nk + 1 conditions, for which L is singular."""
    count = 0
    for bits in tuples((0, 1), repeat=size * (size + 1)):
        table = [bits[u * size:(u + 1) * size] for u in range(size + 1)]
        columns = [[Fraction(x - y) for x, y in zip(row, table[0], strict=True)] for row in table[1:]]
        count += rank(columns) < size
    return Fraction(count, 2 ** (size * (size + 1)))


@chapter.claim("gin.A1", place="Sec. 3.1; App. A.1", kind=Kind.REMARK,
               statement="If the parameters are random and independent and there are nk + 1 conditions, L is almost "
                         "surely invertible.",
               hypotheses=("lambda_ij(u_l) are independent random variables",),
               correction=Correction("The same for parameters with a joint density.", ("a joint density",)),
               covers=("Remark A.1",))
def random_parameters(on: Record) -> None:
    shares = [singular_share(size) for size in (1, 2, 3)]
    on.printed.refute(min(shares) > 0,
                      "independent fair bits, all tables counted: L is singular with probability "
                      + ", ".join(f"{share} for nk = {size}" for size, share in enumerate(shares, 1)),
                      shown="nk = 1: lambda(u_0), lambda(u_1) independent fair bits, equal with probability 1/2")
    for size in (1, 2, 3):
        table = sp.Matrix(size, size + 1, lambda i, u: sp.Symbol(f"l_{i}_{u}"))
        determinant = sp.Matrix(size, size, lambda i, u, t=table: t[i, u + 1] - t[i, 0]).det()
        terms = sp.Poly(determinant, *table).terms()
        on.corrected.support(len(terms) == sp.factorial(size + 1) and all(abs(c) == 1 for _, c in terms),
                             f"nk = {size}: det L is a polynomial with {len(terms)} terms, so not zero, and its zeros "
                             "have measure zero", cases=1, evidence=Evidence.EXACT)
    points = {size: [[Fraction(1)] * size, *([Fraction(1 + (i == u)) for i in range(size)] for u in range(size))]
              for size in range(1, 13)}
    on.corrected.support(all(affine_dimension(table) == size for size, table in points.items()),
                         "lambda(u_0) = (1, ..., 1) and a unit vector more at each other condition give an invertible "
                         "L, nk = 1, ..., 12, so det L is not the zero polynomial", cases=12, evidence=Evidence.EXACT)


@dataclass(frozen=True)
class Variable:
    """One estimated latent: statistics rows in (w, w^2), its parameters at the conditions, and an invertible L."""

    statistics: tuple[tuple[Fraction, ...], ...]
    parameters: tuple[tuple[Fraction, ...], ...]
    l_matrix: tuple[tuple[Fraction, ...], ...]

    @property
    def is_free_of_u(self) -> bool:
        """Whether lambda'(u) . T'(w) is the same at every u but for a constant."""
        natural = product(self.parameters, self.statistics)
        return all(row == natural[0] for row in natural)

    @property
    def columns(self) -> Rows:
        """The columns of A = L^-T L'^T that belong to this latent."""
        steps = [[x - y for x, y in zip(row, self.parameters[0], strict=True)] for row in self.parameters[1:]]
        return product(inverse(transpose(self.l_matrix)), steps)

    def show(self) -> str:
        """The numbers to paste."""
        return (f"# T' rows in (w, w^2): {shown_matrix(self.statistics)}; "
                f"lambda' at u_0, ...: {shown_matrix(self.parameters)}; "
                f"L = {shown_matrix(self.l_matrix)}; columns of A: {shown_matrix(self.columns)}")


@st.composite
def variables(draw: st.DrawFn, minimal: bool) -> Variable:
    """Estimated latents, those whose law is free of u among them."""
    k, size = draw(st.integers(1, 2)), 2
    rows = st.tuples(*[st.tuples(SMALL, SMALL)] * k)
    statistics = draw(rows.filter(lambda found: rank(found) == k) if minimal else rows)
    start = draw(st.tuples(*[SMALL] * k))
    # Steps along the relations between the statistics leave the law as it is.
    null = [[Fraction(int(v.p), int(v.q)) for v in vector] for vector in sp.Matrix(statistics).T.nullspace()]
    null = null or [[Fraction(0)] * k]
    free = st.tuples(SMALL, st.sampled_from(null)).map(lambda pair: tuple(pair[0] * v for v in pair[1]))
    steps = draw(st.lists(free if draw(st.booleans()) else st.tuples(*[SMALL] * k), min_size=size, max_size=size))
    parameters = (start, *(tuple(x + y for x, y in zip(start, step, strict=True)) for step in steps))
    regular = draw(st.sampled_from(((("1", "0"), ("0", "1")), (("2", "1"), ("1", "1")), (("0", "-1"), ("3", "1")))))
    return Variable(statistics, parameters, tuple(tuple(Fraction(v) for v in row) for row in regular))


def noise_has_no_columns() -> Universal[Variable]:
    """A.2 forwards, for minimal statistics."""
    return Universal(
        "an estimated latent whose law does not depend on u has zero columns in A",
        lambda dropped: variables("minimal T'" not in dropped), lambda case: not any(map(any, case.columns)),
        {"law free of u": lambda case: case.is_free_of_u,
         "minimal T'": lambda case: rank(case.statistics) == len(case.statistics)},
        needed=("law free of u", "minimal T'"), show=Variable.show)


@chapter.claim("gin.A2.fwd", place="App. A.2", kind=Kind.REMARK,
               statement="If the law of an estimated latent does not depend on u, its columns in L'^T and in A are "
                         "zero.",
               hypotheses=("L is invertible", "the law of w_i is free of u"),
               correction=Correction("The same for minimal T'_i; without it the columns may differ from zero, and "
                                     "they act on T'_i as zero.", ("T'_i is minimal",)),
               covers=("Remark A.2",), universal=noise_has_no_columns)
def columns_of_a_noise_variable(on: Record) -> None:
    one, two = Fraction(1), Fraction(2)
    case = Variable(((one, 0 * one), (two, 0 * one)), ((0 * one, 0 * one), (two, -one), (2 * two, -two)),
                    ((one, 0 * one), (0 * one, one)))
    acts = product(case.columns, case.statistics)
    on.printed.refute(case.is_free_of_u and any(map(any, case.columns)),
                      "T' = (w, 2w) with lambda' = (2s, -s): lambda' . T' = 0 for every s, and the columns are "
                      f"{shown_matrix(case.columns)}", shown=case.show())
    on.printed.search(without=("minimal T'",), cases=60)
    on.corrected.support(not any(map(any, acts)), "in that example the columns times (w, 2w) are zero", cases=1,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=60)


def noise_equation(zero_block: bool) -> sp.Expr:
    """What eq. 11 at two points that differ in w_i only says, less: the terms of w_i in log p(w|u) do not differ."""
    size = 2
    matched = sp.Matrix(size, size, sp.symbols("a:4"))
    block = sp.zeros(size, size) if zero_block else sp.Matrix(size, size, sp.symbols("n:4"))
    relation, shift = sp.Matrix.hstack(matched, block), sp.Matrix(sp.symbols("c:2"))
    own, other = sp.Matrix(sp.symbols("g:2")), sp.Matrix(sp.symbols("h:4"))  # differences of parameters, u against u_0
    here, there = (sp.Matrix([*sp.symbols("m:2"), *sp.symbols(f"{name}:2")]) for name in ("v", "y"))
    sides = [(own.T * (relation * t + shift))[0] - (other.T * t)[0] for t in (here, there)]
    return sp.expand(sides[0] - sides[1] + (other[2:, :].T * (here - there)[2:, :])[0])


def zero_columns_mean_noise() -> Universal[tuple[Pair, int]]:
    """A.2 backwards, for all k columns of a variable; the law is compared at further conditions too."""
    def block(case: tuple[Pair, int]) -> Rows:
        pair, j = case
        assert pair.relation is not None
        return [row[j * pair.k:(j + 1) * pair.k] for row in pair.relation]

    def some_column(case: tuple[Pair, int]) -> bool:
        return case[0].relation is not None and any(not any(column) for column in transpose(block(case)))

    def all_columns(case: tuple[Pair, int]) -> bool:
        return case[0].relation is not None and not any(map(any, block(case)))

    def choose(pair: Pair, place: int) -> tuple[Pair, int]:
        # Latents that enter few z_i come first.
        order = sorted(range(pair.d), key=lambda j: sum(pair.reads(i, j) for i in range(pair.n)))
        return pair, order[place % pair.d]

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[tuple[Pair, int]]:
        if "all k columns" in dropped:
            return st.builds(choose, pairs(extra=2, spare=True, freedom=(0,)), st.integers(0, 1))
        return st.builds(choose, pairs(extra=2, spare=True, freedom=(1,)), st.sampled_from((0, 0, 0, 1, 2)))

    return Universal(
        "an estimated latent all of whose columns in A are zero has a law that does not depend on u", cases,
        lambda case: case[0].is_free_of_u(case[1]),
        {"derivatives not zero": lambda case: case[0].has_slopes, "L invertible": lambda case: case[0].is_l_regular,
         "one law of x": lambda case: case[0].has_equal_laws, "a zero column": some_column,
         "all k columns": all_columns},
        needed=("all k columns",), show=lambda case: f"{case[0].show()}\n# w_{case[1] + 1}")


@chapter.claim("gin.A2.rev", place="App. A.2", kind=Kind.REMARK,
               statement="If a column of A is zero, the law of the estimated latent that it belongs to does not "
                         "depend on u.",
               hypotheses=("one law of x given u", "(i) T_ij has a derivative that is almost nowhere zero",
                           "(ii) L is invertible"),
               correction=Correction("If all k columns of an estimated latent are zero, its law is the same at every "
                                     "u with one law of x, the nk + 1 chosen ones and any other; minimality is not "
                                     "needed.",
                                     ("all k columns",)),
               covers=("Remark A.2",), universal=zero_columns_mean_noise)
def zero_column(on: Record) -> None:
    case = dependent_statistics()
    relation = case.relation or []
    on.printed.refute(case.has_equal_laws and case.is_l_regular and case.has_slopes
                      and not any(row[1] for row in relation) and not case.is_free_of_u(0),
                      f"T = (z, 2z), T' = (w, w^2), w = z: A = {shown_matrix(relation)} has a zero second column, and "
                      "the mean of its variable w depends on u", shown=case.show())
    # Floor and fractional part of w, in place of w and w + floor w, for both estimated latents.
    change = [[Fraction(v) for v in row] for row in ((1, 1, 0, 0), (2, 1, 0, 0), (0, 0, 1, 1), (0, 0, 2, 1))]
    full = product(SPLIT.relation, change)
    depends = any(row[:2] != SPLIT.estimated[0][:2] for row in SPLIT.estimated)
    on.printed.refute(SPLIT.has_equal_laws() and SPLIT.is_one_to_one() and depends and rank(full) == 2
                      and not any(row[1] for row in full),
                      "an A of full rank does not help: the models of gin.appC, with T' = (floor w, frac w), have A = "
                      f"{shown_matrix(full)}, whose second column is zero, and the law of w_1 depends on u",
                      shown="z = floor(w_1) + frac(w_2), e = (floor(w_2) + frac(w_1))/2, T = (z, z + floor z), "
                            "T' = (floor w, frac w) on (0, 2)")
    gaps = [noise_equation(zero_block) for zero_block in (True, False)]
    on.corrected.prove(gaps[0] == 0 and gaps[1] != 0,
                       "generic, n = 1, k = 2, any u: eq. 11 at two points that differ in w_i only, with T = A T' + c "
                       "and a zero block for w_i, leaves (lambda'_i(u) - lambda'_i(u_0)) . T'_i(w_i) constant, which "
                       "is a law free of u; no property of T or T' is used, and without the zero block it does not "
                       "follow")
    on.corrected.search(cases=40)
