"""The matrix L of condition (iii): what it says about the natural parameters."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import sympy
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import SMALL, Matrix, determinant, matrices, rank, transpose
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.l_matrix import l_matrix, l_matrix_finding
from ident_theory.models import ConditionalPrior
from ident_theory.numerics import Evidence, Status

chapter = Chapter(IVAE)

#: (mean, variance) of every latent under every condition: tables[u][i].
Tables = tuple[Matrix, ...]


def prior_of(tables: Tables) -> ConditionalPrior:
    """The normal prior with these means and variances."""
    return ConditionalPrior.from_means_variances([[row[0] for row in table] for table in tables],
                                                 [[row[1] for row in table] for table in tables])


def show_tables(tables: Tables) -> str:
    """Means and variances as text."""
    return "; ".join(f"u{u}: " + ", ".join(f"N({m}, {v})" for m, v in table) for u, table in enumerate(tables))


def natural_rows(tables: Tables) -> list[tuple[Fraction, ...]]:
    """Flat natural parameters (mu/s^2, -1/(2 s^2)) of every condition."""
    return [tuple(v for m, s in table for v in (m / s, Fraction(-1, 2) / s)) for table in tables]


def some_l_is_invertible(tables: Tables) -> bool:
    """Whether some nk + 1 conditions give an invertible L, by trying them all."""
    rows = natural_rows(tables)
    size = len(rows[0])
    return any(determinant([tuple(a - b for a, b in zip(rows[u], rows[chosen[0]], strict=True)) for u in chosen[1:]])
               for chosen in combinations(range(len(rows)), size + 1))


VARIANCES = st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 2), Fraction(3)])


@st.composite
def normal_tables(draw: st.DrawFn, sizes: tuple[int, ...] = (1, 1, 2)) -> Tables:
    """Normal latents; constant means, constant variances, points on a line and repeated conditions are common."""
    n = draw(st.sampled_from(sizes))
    count = draw(st.integers(2, 2 * n + 2))
    kinds = [draw(st.sampled_from(["free", "constant mean", "constant variance", "line"])) for _ in range(n)]
    tables: list[Matrix] = []
    for _ in range(count):
        if tables and draw(st.integers(0, 5)) == 0:
            tables.append(tables[-1])
            continue
        rows = []
        for kind in kinds:
            mean, variance = draw(SMALL), draw(VARIANCES)
            mean = Fraction(1) if kind == "constant mean" else 2 * variance - 1 if kind == "line" else mean
            rows.append((mean, Fraction(1) if kind == "constant variance" else variance))
        tables.append(tuple(rows))
    return tuple(tables)


def spans_hold_against_toolkit() -> Universal[Tables]:
    """Invertibility for some conditions, the span of h(U), and the toolkit's decision."""
    def conclusion(tables: Tables) -> bool:
        rows = natural_rows(tables)
        spans = rank([tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows[1:]]) == len(rows[0])
        found = l_matrix_finding(prior_of(tables))
        return some_l_is_invertible(tables) is spans and found.status is (Status.HOLDS if spans else Status.FAILS)

    return Universal("some nk + 1 conditions give an invertible L exactly when h(U) spans R^nk, as the toolkit says",
                     lambda dropped: normal_tables(), conclusion, show=show_tables)


def off_a_line(tables: Tables, latent: int) -> bool:
    """Whether the (mean, variance) points of a latent contain a triangle of positive area."""
    points = [table[latent] for table in tables]
    return any((q[0] - p[0]) * (r[1] - p[1]) != (r[0] - p[0]) * (q[1] - p[1])
               for p, q, r in combinations(points, 3))


SPANS, TRIANGLE, ONE = "h(U) spans R^nk", "three (mean, variance) points off a line", "one latent"


def spanning() -> Universal[Tables]:
    """Conditions whose parameters span give an invertible L."""
    def spans(tables: Tables) -> bool:
        rows = natural_rows(tables)
        return rank([tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows[1:]]) == len(rows[0])

    return Universal("if h(U) spans R^nk, some nk + 1 conditions give an invertible L", lambda dropped: normal_tables(),
                     some_l_is_invertible, {SPANS: spans}, (SPANS,), show_tables)


def triangles() -> Universal[Tables]:
    """One normal latent: triangles in the (mean, variance) plane."""
    return Universal(
        "one normal latent with three (mean, variance) points off a line has an invertible L",
        lambda dropped: normal_tables((1, 2) if ONE in dropped else (1,)),
        lambda tables: l_matrix_finding(prior_of(tables)).status is Status.HOLDS,
        {ONE: lambda tables: len(tables[0]) == 1,
         TRIANGLE: lambda tables: all(off_a_line(tables, i) for i in range(len(tables[0])))},
        (ONE, TRIANGLE), show_tables)


def lines() -> Universal[Tables]:
    """Normal latents: without a triangle for each latent no L is invertible."""
    return Universal("an invertible L needs three (mean, variance) points off a line for every latent",
                     lambda dropped: normal_tables(), lambda tables: all(
                         off_a_line(tables, i) for i in range(len(tables[0])))
                     or l_matrix_finding(prior_of(tables)).status is Status.FAILS, show=show_tables)


def rank_bounds() -> Universal[Tables]:
    """Rank of the parameter differences when only means or only variances vary."""
    def conclusion(tables: Tables) -> bool:
        rows = natural_rows(tables)
        found = rank([tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows[1:]])
        return found <= len(tables[0])

    def constant(tables: Tables, entry: int) -> bool:
        return all(len({table[i][entry] for table in tables}) == 1 for i in range(len(tables[0])))

    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Tables:
        tables = draw(normal_tables((1, 2, 3)))
        if dropped:
            return tables
        which = draw(st.integers(0, 1))
        return tuple(tuple((tables[0][i][0], row[1]) if which == 0 else (row[0], tables[0][i][1])
                           for i, row in enumerate(table)) for table in tables)

    return Universal("with constant means, or with constant variances, the rank is at most n", cases, conclusion,
                     {"only means or only variances vary": lambda tables: constant(tables, 0) or constant(tables, 1)},
                     ("only means or only variances vary",), show_tables)


def base_condition() -> Universal[Matrix]:
    """det L does not depend on which of the conditions is u_0."""
    def conclusion(rows: Matrix) -> bool:
        found = set()
        for base in range(len(rows)):
            others = [row for u, row in enumerate(rows) if u != base]
            found.add(abs(determinant(transpose(tuple(
                tuple(a - b for a, b in zip(row, rows[base], strict=True)) for row in others)))))
        bordered = abs(determinant([(Fraction(1), *row) for row in rows]))
        return found == {bordered}

    def cases(dropped: frozenset[str]) -> SearchStrategy[Matrix]:
        return st.integers(1, 4).flatmap(lambda size: matrices(size + 1, size))

    return Universal("|det L| is the same for every choice of u_0 among the conditions: it is |det [1, lambda(u)]|",
                     cases, conclusion)


@chapter.claim(
    "ivae.eq13", place="Sec. 4, eq. 13", kind=Kind.DEFINITION, hypotheses=("nk + 1 distinct conditions",),
    statement="L has a row for every parameter and a column for every condition but u_0, of differences to u_0; "
              "whether it is invertible does not depend on which condition is u_0.", universal=base_condition)
def definition_of_l(on: Record) -> None:
    on.printed.search(cases=150)
    natural = [[[Fraction(3 * u + i + 5 * j * u * u) for j in range(2)] for i in range(2)] for u in range(5)]
    prior = ConditionalPrior("custom", natural, statistics=["z", "Abs(z)"], base="exp(-z**4)")
    points = (2, 0, 1, 3, 4)
    own = l_matrix(prior, points)
    agrees = all(own[2 * i + j, column] == natural[u][i][j] - natural[2][i][j]
                 for i in range(2) for j in range(2) for column, u in enumerate(points[1:]))
    on.printed.support(agrees and own.shape == (4, 4), "the toolkit's L is the definition's, entry by entry, for "
                                                       "n = k = 2 and u_0 = 2", cases=1, evidence=Evidence.EXACT)


@chapter.claim(
    "ivae.rem.iii", place="App. B, remark on (iii)", kind=Kind.REMARK,
    hypotheses=("the lambda_ij(u) are random and independent",),
    statement="Unless h(U) lies in a null set some conditions make L invertible, and for random independent parameters "
              "that happens almost surely.",
    correction=Correction("Some conditions make L invertible exactly when h(U) spans R^nk; nk + 1 random conditions do "
                          "so almost surely when the parameters have a joint density.",
                          ("at least nk + 1 conditions", "a joint density of the parameters")),
    universal=spanning)
def random_parameters(on: Record) -> None:
    small = [p == q for p, q in product((0, 1), repeat=2)]
    # Flipping the coordinates where lambda(u_0) is 1 is an affine map of the cube, so lambda(u_0) = 0 will do.
    bits = np.arange(2 ** 16)[:, None] >> np.arange(16) & 1
    determinants = np.rint(np.linalg.det(bits.reshape(-1, 4, 4).astype(float))).astype(int)
    singular = Fraction(int(np.sum(determinants == 0)), 2 ** 16)
    on.printed.refute(sum(small) == 2, "n = k = 1, lambda(u_0) and lambda(u_1) independent and Bernoulli(1/2): L = "
                                       "lambda(u_1) - lambda(u_0) is 0 in two of the four equally likely cases")
    on.printed.refute(singular > Fraction(1, 2), f"the same with nk = 4 and five conditions: L is singular with "
                                                 f"probability {singular} = {float(singular):.4f}, by enumeration")
    finite = [(Fraction(0),), (Fraction(1),)]
    on.printed.refute(rank([tuple(a - b for a, b in zip(row, finite[0], strict=True)) for row in finite]) == 1
                      and sympy.FiniteSet(0, 1).measure == 0,
                      "two conditions with lambda = 0, 1: with finitely many conditions h(U) is finite, so it is a "
                      "null set however lambda is drawn, and never outside all of them; yet L = 1 is invertible")
    for size in (1, 2, 3):
        table = sympy.Matrix(size + 1, size, sympy.symbols(f"l:{size * (size + 1)}"))
        bordered = sympy.ones(size + 1, 1).row_join(table).det()
        on.corrected.support(sympy.Poly(bordered, *table).is_zero is False,
                             f"det L is a polynomial in the parameters that is not zero for nk = {size}, so its zeros "
                             "are a null set", cases=1, evidence=Evidence.EXACT)
    on.corrected.search(cases=60)
    on.corrected.search(spans_hold_against_toolkit(), cases=100)


@chapter.claim(
    "ivae.L.gauss", place="Sec. 4, (iii), for normal latents with k = 2", kind=Kind.ADDED,
    hypotheses=("normal latents, T = (z, z^2)",),
    statement="For one latent and three conditions det L = det [1, mu, s^2] / (2 s_0^2 s_1^2 s_2^2), so L is singular "
              "exactly when the (mean, variance) points lie on a line; with only means or only variances varying the "
              "rank is at most n.",
    universal=triangles)
def normal_l(on: Record) -> None:
    mu, v = sympy.symbols("mu:3", real=True), sympy.symbols("v:3", positive=True)
    natural = [sympy.Matrix([m / s, -1 / (2 * s)]) for m, s in zip(mu, v, strict=True)]
    l_of_u = sympy.Matrix.hstack(natural[1] - natural[0], natural[2] - natural[0])
    points = sympy.Matrix([[1, m, s] for m, s in zip(mu, v, strict=True)])
    on.printed.prove(sympy.simplify(l_of_u.det() - points.det() / (2 * sympy.prod(v))) == 0,
                     "symbolically, for generic means and variances")
    means, variances = sympy.symbols("m:3"), sympy.symbols("w:3", positive=True)
    common = sympy.Symbol("w", positive=True)
    only_means = sympy.Matrix([[m / common, -1 / (2 * common)] for m in means])
    only_variances = sympy.Matrix([[common / s, -1 / (2 * s)] for s in variances])
    on.printed.prove(all(sympy.simplify(sympy.ones(3, 1).row_join(table).det()) == 0
                         for table in (only_means, only_variances)),
                     "one of the two parameters of a latent is an affine function of the other when its variance, or "
                     "its mean, is constant, so each latent adds at most 1 to the rank")
    on.printed.search(cases=60)
    on.printed.search(lines(), cases=100)
    on.printed.search(rank_bounds(), cases=60)
