"""Appendix on identifiability, eqs. 63-68: ranks, strongly exponential families, Lemma 1."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.piecewise import Statistics, linear_pieces, statistics
from ident_theory.claims.matrices import Matrix, degenerate_matrices, product, rank, shown_matrix
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.statistics import statistics_findings
from ident_theory.models.families import custom_family, family
from ident_theory.numerics import Evidence, Status

chapter = Chapter(GAN)

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Factors:
    """Two matrices that can be multiplied."""

    left: Matrix
    right: Matrix

    def shown(self) -> str:
        """As text."""
        return f"A = {shown_matrix(self.left)}, B = {shown_matrix(self.right)}"


@st.composite
def _factors(draw: st.DrawFn) -> Factors:
    a, b = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    c = draw(st.integers(1, 2))
    return Factors(draw(degenerate_matrices(a, b)), draw(degenerate_matrices(b, c)))


@chapter.claim(
    "gan.eq64", place="Appendix on identifiability, eq. 64", kind=Kind.IDENTITY,
    statement="The rank of a product is smaller than either factor's.",
    correction=Correction("it is at most the smaller of the two", notational=True),
    universal=lambda: Universal(
        statement="rank(AB) <= min(rank A, rank B)", cases=lambda dropped: _factors(),
        conclusion=lambda case: rank(product(case.left, case.right)) <= min(rank(case.left), rank(case.right)),
        show=Factors.shown), scope="whether the sign in the text layer of the source is that of the printed page")
def rank_of_a_product(on: Record) -> None:
    identity = ((ONE, ZERO), (ZERO, ONE))
    on.printed.refute(rank(product(identity, identity)) == rank(identity), "A = B = I: equal ranks")
    on.corrected.search(cases=150)


@chapter.claim(
    "gan.eq63", place="Appendix on identifiability, eqs. 63 and 75", kind=Kind.IDENTITY,
    statement="J_T(x) = A times the Jacobian of T~ after f~^-1.", hypotheses=("all maps are differentiable",),
    correction=Correction("on the left the Jacobian of T after f^-1", notational=True))
def chain_rule(on: Record) -> None:
    x = sp.Symbol("x")
    # T(z) = z^2, f(z) = 2z; T~(z~) = z~^2, f~(z~) = 6z~, so that T(f^-1(x)) = 9 T~(f~^-1(x)).
    whole, other, factor = (x / 2) ** 2, (x / 6) ** 2, 9
    literal = sp.diff(x**2, x)
    on.printed.refute(sp.expand(whole - factor * other) == 0 and sp.expand(literal - factor * sp.diff(other, x)) != 0,
                      f"T(z) = z^2, f(z) = 2z, f~(z~) = 6z~, A = 9: the Jacobian of T at x is {literal}, A times the "
                      f"right one is {factor * sp.diff(other, x)}")
    a = sp.Matrix(2, 2, sp.symbols("a0:4"))
    u = [sp.Function(f"s{i}")(x) for i in range(2)]
    image = a * sp.Matrix(u) + sp.Matrix(sp.symbols("c0:2"))
    on.corrected.prove(sp.simplify(image.diff(x) - a * sp.Matrix(u).diff(x)) == sp.zeros(2, 1),
                       "differentiating T(f^-1(x)) = A S(x) + c with generic functions S (symbolic)")


@chapter.claim(
    "gan.eq64.exists", place="Appendix on identifiability, after eq. 64", kind=Kind.CLAIM,
    statement="A has rank n at least, and the Jacobian of T~ after f~^-1 rank n where it exists.",
    hypotheses=("the Jacobian of T after f^-1 has rank n",),
    argument="The Jacobian of T~ after f~^-1 exists since it is a factor of one that does.",
    universal=lambda: Universal(
        statement="rank(AB) = n columns of B: both factors have rank n at least", cases=lambda dropped: _factors(),
        hypotheses={"product of full column "
                    "rank": lambda case: rank(product(case.left, case.right)) == len(case.right[0])},
        conclusion=lambda case: min(rank(case.left), rank(case.right)) >= len(case.right[0]),
        needed=("product of full column rank",), show=Factors.shown))
def existence_of_the_factor(on: Record) -> None:
    on.printed.search(cases=150)
    z = sp.Symbol("z", real=True)
    matrix, image = sp.Matrix([[1, 0]]), sp.Matrix([z, sp.Abs(z)])
    slopes = [sp.limit(sp.Abs(z) / z, z, 0, side) for side in "+-"]
    on.argument.refute((matrix * image)[0] == z and slopes == [1, -1],
                       "A = (1, 0) and S(z) = (z, |z|): A S(z) = z is differentiable at 0, S is not; the argument "
                       "uses A before A is known to be invertible", shown="A = (1, 0), S(z) = (z, |z|), at z = 0")


def _as_written(t: Statistics) -> bool:
    """Eq. 65 read with its quantifiers as printed: some theta makes the implication true."""
    # theta = 0 makes its right side true, whatever the statistics.
    thetas = [(ZERO,) * t.k, (ONE,) * t.k]
    return any(not any(theta) or not _constant_somewhere(t, theta) for theta in thetas)


def _constant_somewhere(t: Statistics, theta: tuple[Fraction, ...]) -> bool:
    """Whether theta . T is constant on a cell."""
    return any(not any(sum(a * row[p] for a, row in zip(theta, cell, strict=True)) for p in range(1, len(cell[0])))
               for cell in t.coefficients)


@chapter.claim(
    "gan.eq65", place="Appendix on identifiability, eq. 65", kind=Kind.DEFINITION,
    statement="Strongly exponential: there is a theta for which theta . T constant on the set X implies that X is "
              "null or theta zero; in words, the exponent is constant for theta = 0 alone.",
    correction=Correction("for every theta and every set: theta . T constant on the set implies theta = 0 or the set "
                          "null",
                          notational=True),
    universal=lambda: Universal(
        statement="strongly exponential families are minimal",
        cases=lambda dropped: statistics(), hypotheses={"strongly exponential": Statistics.strong},
        conclusion=Statistics.minimal, needed=("strongly exponential",), show=Statistics.shown))
def strongly_exponential(on: Record) -> None:
    doubled = linear_pieces(((0, 1), (0, 2)))
    kinked = linear_pieces(((0, 1), (0, 0)), ((0, 1), (0, 1)))
    on.printed.refute(_as_written(doubled) and not doubled.minimal() and not doubled.strong(),
                      "the printed quantifier admits theta = 0, so that every family qualifies, T = (z, 2z) too",
                      shown=doubled.shown())
    on.printed.refute(kinked.minimal() and not kinked.strong() and _constant_somewhere(kinked, (ZERO, ONE)),
                      "the version in words is minimality: T = (z, max(z, 0)) has no constant combination on the "
                      "line, but T_2 is constant on z < 0", shown=kinked.shown())
    named = {"normal": True, "gamma": True, "laplace": True, "beta": True}
    found = {name: statistics_findings(family(name))["exp.strong"].status is Status.HOLDS for name in named}
    custom = [(("z", "2*z"), False), (("z", "Max(z, 0)"), False), (("z", "z**3"), True)]
    answers = [statistics_findings(custom_family(list(t), base="exp(-z**4)"))["exp.strong"].status is Status.HOLDS
               for t, _ in custom]
    on.corrected.support(found == named and answers == [expected for _, expected in custom],
                         "the toolkit's decision on seven families", cases=7, evidence=Evidence.EXACT)
    on.corrected.search(cases=100)


@dataclass(frozen=True)
class FiniteFamily:
    """Statistics on finitely many points: T[j][z]."""

    table: Matrix

    def dimension(self) -> int:
        """Least number of statistics that write the same laws: rank of all log ratios at theta = e_j against 0."""
        ratios = [[row[z] - row[0] for z in range(1, len(row))] for row in self.table]
        return rank(ratios) if ratios[0] else 0

    def minimal(self) -> bool:
        """Whether no fewer statistics will do."""
        return self.dimension() == len(self.table)

    def independent(self) -> bool:
        """Whether 1, T_1, ..., T_k are linearly independent."""
        return rank([(ONE,) * len(self.table[0]), *self.table]) == len(self.table) + 1


@st.composite
def _finite_families(draw: st.DrawFn) -> FiniteFamily:
    k, size = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    table = draw(degenerate_matrices(k, size))
    kind = draw(st.sampled_from(["free", "constant", "sum"]))
    if kind == "constant":
        table = (*table[:-1], (ONE,) * size)
    elif kind == "sum" and k > 1:
        table = (*table[:-1], tuple(a + 1 for a in table[0]))
    return FiniteFamily(table)


@chapter.claim(
    "gan.lem1", place="Appendix on identifiability, Lemma 1 and eq. 66", kind=Kind.LEMMA, covers=("Lemma 1",),
    statement="If the number k of statistics is minimal, they are linearly independent, and even together with the "
              "constant.",
    hypotheses=("k is the least number of statistics that write the family",),
    universal=lambda: Universal(
        statement="minimal families: 1, T_1, ..., T_k are linearly "
                  "independent", cases=lambda dropped: _finite_families(),
        hypotheses={"minimal": FiniteFamily.minimal}, conclusion=FiniteFamily.independent, needed=("minimal",),
        show=lambda case: f"T on {len(case.table[0])} points: {shown_matrix(case.table)}"))
def independent_statistics(on: Record) -> None:
    # The converse fails without the constant: T = (1, z) is independent, and one statistic writes the same laws.
    family_ = FiniteFamily(((ONE, ONE, ONE), (ZERO, ONE, Fraction(2))))
    on.printed.support(rank(family_.table) == 2 and family_.dimension() == 1 and not family_.independent(),
                       "independence of the statistics alone is weaker: T = (1, z) is independent and not minimal",
                       cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=150)


@chapter.claim(
    "gan.eq67-68", place="Appendix on identifiability, eqs. 67-68", kind=Kind.IDENTITY,
    statement="The exponent theta . T is T_1 theta_1 + T_2 theta_1 + ... and its derivative is T' . theta.",
    correction=Correction("the second term is T_2 theta_2", notational=True))
def exponent_and_derivative(on: Record) -> None:
    x, first, second = sp.symbols("x theta1 theta2")
    t = [sp.Function("T1")(x), sp.Function("T2")(x)]
    literal = t[0] * first + t[1] * first
    mended = t[0] * first + t[1] * second
    slope = sp.diff(t[0], x) * first + sp.diff(t[1], x) * second
    on.printed.refute(sp.expand(sp.diff(literal, x) - slope) != 0,
                      "the derivative of the printed sum is not the one in eq. 68, whose second coefficient is theta_2")
    on.corrected.prove(sp.expand(sp.diff(mended, x) - slope) == 0, "generic T_1, T_2 (symbolic)")
