"""Lemma 1: points at which the derivatives of the sufficient statistics are independent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.ivae.pairs import GRID, text_of, values
from ident_theory.claims.matrices import Matrix, Row, degenerate_matrices, matrices, rank
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.statistics import statistics_findings
from ident_theory.models.families import custom_family
from ident_theory.numerics import Evidence, Status

chapter = Chapter(IVAE)

MINIMAL, CONTINUOUS, SLOPES = "minimality", "absolute continuity", "derivatives"
z = sympy.Symbol("z", real=True)


@dataclass(frozen=True)
class Statistics:
    """k statistics in the span of z, z^2, |z| and sign(z), as rows of coefficients."""

    rows: Matrix

    def plain(self) -> list[str]:
        """The statistics as expressions."""
        return [text_of(row) for row in self.rows]

    def values(self, point: Fraction) -> Row:
        """T at a point."""
        return tuple(values(row, point) for row in self.rows)

    def slopes(self, point: Fraction) -> Row:
        """T' at a point other than 0."""
        return tuple(a + 2 * b * point + (c if point > 0 else -c) for a, b, c, _ in self.rows)


def is_minimal(case: Statistics) -> bool:
    """Whether 1 and the statistics are linearly independent, from their values."""
    return rank([(Fraction(1), *case.values(point)) for point in GRID]) == len(case.rows) + 1


def has_points(case: Statistics) -> bool:
    """Whether k points with independent derivatives exist: the derivatives are affine on each half line."""
    return rank([case.slopes(point) for point in GRID]) == len(case.rows)


def has_slopes(case: Statistics) -> bool:
    """Whether no statistic is constant on a half line."""
    return all(any(case.slopes(point)[j] for point in GRID if (point > 0) is side)
               for j in range(len(case.rows)) for side in (False, True))


@st.composite
def _statistics(draw: st.DrawFn, dropped: frozenset[str]) -> Statistics:
    k = draw(st.sampled_from([2, 1, 3]))
    rows = draw(degenerate_matrices(k, 4) if MINIMAL in dropped else matrices(k, 4))
    if CONTINUOUS not in dropped:
        rows = tuple((*row[:3], Fraction(0)) for row in rows)
    return Statistics(rows)


def lemma_1_holds() -> Universal[Statistics]:
    """Lemma 1 with minimal, absolutely continuous statistics."""
    return Universal(
        "minimal statistics that are locally absolutely continuous have k points with independent derivatives",
        _statistics, has_points,
        {MINIMAL: is_minimal, CONTINUOUS: lambda case: not any(row[3] for row in case.rows), SLOPES: has_slopes},
        (MINIMAL, CONTINUOUS), lambda case: f"T = ({', '.join(case.plain())})")


def toolkit_agrees() -> Universal[Statistics]:
    """The toolkit's decisions against ranks of values and of slopes."""
    def conclusion(case: Statistics) -> bool:
        found = statistics_findings(custom_family(case.plain(), "exp(-z**4)"))
        answers = {"exp.minimal": is_minimal(case), "ivae.lem1": has_points(case), "ivae.statistics": has_slopes(case)}
        return all(found[name].status is (Status.HOLDS if answer else Status.FAILS)
                   for name, answer in answers.items())

    return Universal("the toolkit decides minimality, the points of Lemma 1 and condition (ii) as exact ranks do",
                     lambda dropped: _statistics(frozenset({MINIMAL, CONTINUOUS})), conclusion,
                     show=lambda case: f"T = ({', '.join(case.plain())})")


@chapter.claim(
    "ivae.lem1", place="App. B, Lemma 1", kind=Kind.LEMMA, covers=("Lemma 1",),
    hypotheses=("a univariate exponential family with k statistics",
                "every T_i is differentiable with a non-zero derivative almost everywhere"),
    statement="There are k points at which the derivative vectors T' are linearly independent.",
    correction=Correction("The same for minimal statistics that are locally absolutely continuous (or differentiable "
                          "everywhere); non-zero derivatives are then not needed.",
                          ("1, T_1, ..., T_k are linearly independent", "every T_i is locally absolutely continuous")),
    universal=lemma_1_holds)
def lemma_1(on: Record) -> None:
    jump = Statistics(((Fraction(1),) + (Fraction(0),) * 3, (Fraction(1),) + (Fraction(0),) * 2 + (Fraction(1),)))
    t = (z, z + sympy.sign(z))
    ranks = {side: sympy.Matrix([[sympy.diff(item.subs(sympy.sign(z), side), z) for item in t]] * 2).rank()
             for side in (-1, 1)}
    normaliser = [sympy.integrate(sympy.exp(-z ** 2 / 2 + z + s), (z, *ends))
                  for s, ends in ((-1, (-sympy.oo, 0)), (1, (0, sympy.oo)))]
    on.printed.refute(
        is_minimal(jump) and has_slopes(jump) and not has_points(jump) and set(ranks.values()) == {1}
        and all(v.is_finite for v in normaliser),
        "T = (z, z + sign(z)) with a Gaussian base: 1, T_1, T_2 are independent, T_1' = T_2' = 1 wherever both are "
        "differentiable, so every pair of derivative vectors has rank 1", shown="T = (z, z + sign(z))")
    on.corrected.search(cases=100, without=(SLOPES,))
    on.corrected.search(toolkit_agrees(), cases=20)


@chapter.claim(
    "ivae.lem1.proof", place="App. B, eqs. 15-17", kind=Kind.CLAIM,
    hypotheses=("T is minimal and locally absolutely continuous",),
    statement="If every choice of k points gives dependent derivative vectors, 1 and the statistics are linearly "
              "dependent, so k independent ones exist for minimal T.",
    argument="Solving the first equations for alpha_1, ..., alpha_{k-1} in turn and integrating makes the last "
             "statistic a combination of the others.",
    universal=lemma_1_holds)
def elimination(on: Record) -> None:
    on.printed.search(cases=100, without=(SLOPES,))
    x1, x2, x = sympy.symbols("x1 x2 x", real=True)
    t = (z, 2 * z, z ** 2)
    slopes = sympy.Matrix([[sympy.diff(item, z).subs(z, point) for point in (x, x1, x2)] for item in t])
    pivot = slopes[:2, 1:].det()
    c = sympy.symbols("c0 c1 c2")
    last = sympy.Poly(t[2] - c[0] - c[1] * t[0] - c[2] * t[1], z).coeffs()
    on.argument.refute(
        slopes.det() == 0 and pivot == 0 and sympy.solve(last, c, dict=True) == [],
        "T = (z, 2z, z^2): every three derivative vectors are dependent and no derivative vanishes on a set of "
        "positive measure, but the second pivot is zero for every choice of points, and T_3 is no combination of 1, "
        "T_1 and T_2")
    step = Statistics(((Fraction(1), Fraction(0), Fraction(0), Fraction(0)),
                       (Fraction(1), Fraction(0), Fraction(0), Fraction(1))))
    same = all(len(set(step.slopes(point))) == 1 for point in GRID)
    gaps = {step.values(point)[1] - step.values(point)[0] for point in GRID}
    on.argument.refute(same and len(gaps) > 1,
                       "T = (z, z + sign(z)): T_2' = T_1' almost everywhere, but integrating that does not give "
                       f"T_2 = T_1 + b: the difference takes the values {sorted(map(str, gaps))}")


@chapter.claim(
    "ivae.eq17", place="App. B, eq. 17", kind=Kind.IDENTITY,
    hypotheses=("T_k' = sum_i beta_i T_i' with constant beta_i", "T is locally absolutely continuous"),
    statement="Integration gives T_k = sum_i T_i + b.",
    correction=Correction("T_k = sum_i beta_i T_i + b.", notational=True))
def coefficients_survive_integration(on: Record) -> None:
    beta = sympy.Integer(2)
    t1, t2 = z, beta * z
    relation = sympy.diff(t2, z) - beta * sympy.diff(t1, z)
    on.printed.refute(relation == 0 and sympy.diff(t2 - t1, z) != 0,
                      "T = (z, 2z), beta_1 = 2: T_2 - T_1 = z is not constant")
    betas = sympy.symbols("beta1:4")
    functions = [sympy.Function(f"T{i}")(z) for i in (1, 2, 3)]
    derivative = sum(b * sympy.diff(f, z) for b, f in zip(betas, functions, strict=True))
    start = sympy.Symbol("z0", real=True)
    integral = sympy.integrate(derivative, (z, start, z)).doit()
    expected = sum(b * (f - f.subs(z, start)) for b, f in zip(betas, functions, strict=True))
    on.corrected.prove(sympy.simplify(integral - expected) == 0,
                       "the integral of sum_i beta_i T_i' from z0 to z is sum_i beta_i (T_i(z) - T_i(z0)), for three "
                       "functions", Evidence.EXACT)
