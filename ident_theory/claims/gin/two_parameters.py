"""Appendix C: families with two parameters, and the columns of Table 1."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from itertools import product as tuples

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.algebra import forced_by, independent
from ident_theory.claims.gin.families import X, log_density_slope, rows
from ident_theory.claims.gin.theorem import affine_dimension
from ident_theory.claims.matrices import Matrix, inverse, product, rank, shown_matrix
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)


@dataclass(frozen=True)
class Curves:
    """Curves A_j T'_j in R^k: each block holds the coefficients of w, w^2, w^3, one row a coordinate."""

    blocks: tuple[tuple[tuple[Fraction, ...], ...], ...]

    @property
    def k(self) -> int:
        """Statistics a latent."""
        return len(self.blocks[0])

    @property
    def is_on_a_curve(self) -> bool:
        """Whether the sum of the curves has a Jacobian of rank at most 1 everywhere: tangents of two are parallel."""
        return all(a[r][p] * b[s][q] == a[s][p] * b[r][q] for a, b in combinations(self.blocks, 2)
                   for r, s in combinations(range(self.k), 2) for p, q in tuples(range(3), repeat=2))

    @property
    def is_minimal(self) -> bool:
        """Whether the sums lie in no hyperplane."""
        return rank([[v for block in self.blocks for v in block[r]] for r in range(self.k)]) == self.k

    def show(self) -> str:
        """The numbers to paste."""
        return "# T(z) = sum_j M_j (w_j, w_j^2, w_j^3) + c; " + "; ".join(
            f"M_{j + 1} = {shown_matrix(block)}" for j, block in enumerate(self.blocks))


def one_curve() -> Universal[Curves]:
    """Repair R4 for polynomial curves."""
    entry = st.one_of(st.just(Fraction(0)), st.integers(-2, 2).map(Fraction))

    @st.composite
    def cases(draw: st.DrawFn, any_k: bool) -> Curves:
        k, count = draw(st.integers(1 if any_k else 2, 3)), draw(st.integers(1, 3))
        direction = draw(st.tuples(*[entry] * k))
        blocks = []
        for _ in range(count):
            kind = draw(st.sampled_from(("zero", "line", "curve")))
            along = draw(st.tuples(*[entry] * 3))
            free = st.tuples(*[st.tuples(*[entry] * 3)] * k)
            blocks.append(tuple(tuple(a * b for b in along) for a in direction) if kind == "line"
                          else tuple(tuple(Fraction(0) for _ in range(3)) for _ in range(k)) if kind == "zero"
                          else draw(free))
        return Curves(tuple(blocks))

    return Universal(
        "if sum_j A_j T'_j(w_j) + c stays on one curve that lies in no hyperplane, only one A_j T'_j is not constant",
        lambda dropped: cases("k >= 2" in dropped),
        lambda case: sum(any(map(any, block)) for block in case.blocks) <= 1,
        {"on a curve": lambda case: case.is_on_a_curve, "minimality": lambda case: case.is_minimal,
         "k >= 2": lambda case: case.k >= 2},
        needed=("on a curve", "minimality", "k >= 2"), show=Curves.show)


def two_blocks() -> tuple[int, int]:
    """How many of the ways in which two blocks of A can both matter are impossible on a curve, and how many there are.

    For k = 2 the Jacobian of A_1 T'(w_1) + A_2 T'(w_2) has the determinant D(w_1) . A_1^T J A_2 D(w_2), where D is the
    derivative of T' and J the rotation by a right angle. The components of D are independent for minimal C1
    statistics, so on a curve A_1^T J A_2 = 0. A way: an entry of each block and a 2 x 2 minor of (A_1, A_2) not zero.
    """
    first, second = sp.Matrix(2, 2, sp.symbols("a:4")), sp.Matrix(2, 2, sp.symbols("b:4"))
    both = sp.Matrix.hstack(first, second)
    equations = list(first.T * sp.Matrix([[0, 1], [-1, 0]]) * second)
    minors = [both[:, list(pair)].det() for pair in combinations(range(4), 2)]
    # Exchanging rows, columns within a block, and blocks leaves one entry of the first block to look at.
    ways = [first[0] * b * minor for b in second for minor in minors]
    return sum(forced_by(equations, way, list(both)) for way in ways), len(ways)


def steps(z: Fraction) -> tuple[Fraction, Fraction]:
    """T(z) = (z, z + floor z)."""
    return z, z + z // 1


@dataclass(frozen=True)
class Split:
    """One latent z on (0, 2) and uniform noise e on (0, 1) become w_1 = [z] + {2e} and w_2 = {z} + [2e].

    [ ] is the integer part and { } the fractional part. All statistics are `steps`, all base measures 1 on (0, 2).
    """

    #: lambda(u) of z at the three conditions.
    parameters: tuple[tuple[Fraction, Fraction], ...]

    @staticmethod
    def image(z: Fraction, e: Fraction) -> tuple[Fraction, Fraction]:
        """w of (z, e)."""
        return z // 1 + (2 * e) % 1, z % 1 + (2 * e) // 1

    @property
    def estimated(self) -> tuple[tuple[Fraction, ...], ...]:
        """lambda'(u): w_1 carries the integer part T_2 - T_1, w_2 the fractional part 2 T_1 - T_2."""
        return tuple((-(a + 2 * b), a + 2 * b, 2 * (a + b), -(a + b)) for a, b in self.parameters)

    @property
    def relation(self) -> Matrix:
        """A by eq. 15."""
        own, other = ([[x - y for x, y in zip(row, table[0], strict=True)] for row in table[1:]]
                      for table in (self.parameters, self.estimated))
        return product(inverse(own), other)

    def cells(self) -> list[tuple[Fraction, Fraction]]:
        """A point inside each of the four squares on which everything is affine."""
        thirds = (Fraction(1, 3), Fraction(4, 3))
        return [(z, e / 2) for z in thirds for e in thirds]

    def points(self) -> list[tuple[Fraction, Fraction]]:
        """Three points off a line in each cell: enough for functions that are affine there."""
        small = Fraction(1, 100)
        return [(z + a * small, e + b * small) for z, e in self.cells() for a, b in ((0, 0), (1, 0), (0, 1))]

    def is_one_to_one(self) -> bool:
        """Whether the four cells go onto the four unit squares of (0, 2)^2, each by a map with determinant 2."""
        size = Fraction(1, 100)
        squares, jacobians = set(), set()
        for z, e in self.cells():
            start, right, up = self.image(z, e), self.image(z + size, e), self.image(z, e + size)
            columns = [[(b - a) / size for a, b in zip(start, moved, strict=True)] for moved in (right, up)]
            jacobians.add(abs(columns[0][0] * columns[1][1] - columns[0][1] * columns[1][0]))
            squares.add(tuple(v // 1 for v in start))
        return len(squares) == 4 and jacobians == {Fraction(2)}

    def has_equal_laws(self) -> bool:
        """Whether p(z|u) p(e) = 2 p(w_1|u) p(w_2|u) on every cell, as functions of the fractional parts."""
        for (a, b), prime in zip(self.parameters, self.estimated, strict=True):
            r, s, t = a + b, a + 2 * b, sp.Symbol("t", positive=True)
            bump = sp.integrate(sp.exp(r * t), (t, 0, 1))
            steps_up = 1 + sp.exp(s)
            own = sum(sp.integrate(sp.exp(a * v + b * (v + n)), (v, n, n + 1))
                      for n, v in ((0, t), (1, sp.Symbol("v"))))
            if sp.simplify(own - steps_up * bump) != 0:
                return False
            for z, e in self.points():
                w = self.image(z, e)
                exponent = sum((c * v for c, v in zip(prime, (*steps(w[0]), *steps(w[1])), strict=True)), Fraction(0))
                if exponent != sum((c * v for c, v in zip((a, b), steps(z), strict=True)), Fraction(0)):
                    return False
            # Z'_1 Z'_2 = 2 Z, so the factor 2 of the Jacobian is made up for.
            first, second = (sum(sp.exp((p + 2 * q) * n) for n in (0, 1)) * sp.integrate(sp.exp((p + q) * t), (t, 0, 1))
                             for p, q in (prime[:2], prime[2:]))
            if sp.simplify(first * second - 2 * own) != 0:
                return False
        return True


#: The two models at three conditions.
SPLIT = Split(tuple((Fraction(a), Fraction(b)) for a, b in ((0, 0), (1, 0), (0, 1))))


@chapter.claim("gin.appC", place="Sec. 3.2; App. C, eqs. 29-35", kind=Kind.CLAIM,
               statement="For every family with two parameters each z_i depends on exactly one w_j, and every w_j "
                         "belongs to at most one z_i.",
               hypotheses=("those of Theorem 1, with minimality", "one pair of statistics T_1, T_2 in both models",
                           "T_1 is one-to-one",
                           "t = T_2 o T_1^-1 is not affine and has a convergent Taylor expansion in some region"),
               correction=Correction("The same for minimal statistics that are continuously differentiable, k >= 2; t "
                                     "need not exist.", ("T_1 and T_2 are C1",)),
               argument="Every pair of statistics has t = T_2 o T_1^-1; since t is not linear, its expansion in a "
                        "region has terms of order two or more, whose cross terms match nothing.",
               universal=one_curve,
               scope="read for all statistics that Theorem 1 admits, which have derivatives almost everywhere; the "
                     "families of Table 1 have smooth ones. The correction is searched over polynomial curves, for "
                     "analytic t it is shown by the mixed derivative")
def one_latent_each(on: Record) -> None:
    case = SPLIT
    relation = case.relation
    fits = all([sum((c * v for c, v in zip(row, (*steps(w[0]), *steps(w[1])), strict=True)), Fraction(0))
                for row in relation] == list(steps(z)) for z, e in case.points() for w in [case.image(z, e)])
    points = [steps(Fraction(z)) for z in ("1/4", "3/4", "7/4")]
    minimal = affine_dimension(points) == 2
    both = any(row[0] or row[1] for row in relation) and any(row[2] or row[3] for row in relation)
    same = case.is_one_to_one() and case.has_equal_laws()
    on.printed.refute(same and minimal and fits and both and rank(relation) == 2,
                      "T = (z, z + floor z) on (0, 2): derivatives 1, minimal, T_1 = z, t(x) = x + floor x analytic "
                      "on (0, 1) and not affine, lambda at (0,0), (1,0), (0,1). With e uniform on (0, 1), w_1 = floor "
                      "z + frac 2e and w_2 = frac z + floor 2e have the same family, the law of x given u is the "
                      f"same, and A = {shown_matrix(relation)}: z = floor w_1 + frac w_2 depends on both. (f permutes "
                      "squares and is not continuous, which the statement does not ask; its Jacobian exists almost "
                      "everywhere.)",
                      shown="z = floor(w_1) + frac(w_2), e = (floor(w_2) + frac(w_1))/2, T = T' = (z, z + floor z) on "
                            "(0, 2)")
    inside = [steps(Fraction(z)) for z in ("1/4", "1/2", "3/4")]
    on.argument.refute(minimal and affine_dimension(inside) == 1,
                       "t(x) = x + floor x is not affine, and on (0, 1) its expansion is x: no term of order two",
                       shown="t(x) = x + floor(x)")
    first, second = ((z**2, z) for z in (Fraction(-1), Fraction(1)))
    on.argument.refute(first[0] == second[0] and first[1] != second[1],
                       "the normal family with its statistics in the order (z^2, z): T_1 takes the value 1 at z = -1 "
                       "and at z = 1, where T_2 differs, so t does not exist", shown="T = (z^2, z)")
    x, y, c = sp.symbols("x y c", real=True)
    t, left, right = (sp.Function(name) for name in ("t", "s1", "s2"))
    inner = left(x) + right(y) + c
    mixed = sp.diff(t(inner), x, y)
    bend = sp.diff(t(X), X, 2).subs(X, inner).doit()
    on.corrected.support(sp.simplify(mixed - bend * left(x).diff(x) * right(y).diff(y)) == 0,
                         "analytic t: the mixed derivative of the left side of eq. 33 is t'' s_1' s_2' and that of "
                         "the right side 0; t'' vanishes only at isolated points, so one s_j is constant", cases=1,
                         evidence=Evidence.EXACT)
    impossible, ways = two_blocks()
    on.corrected.support(impossible == ways,
                         "k = 2, generic blocks: where the sum of two curves stays on a curve, one of the blocks is "
                         "zero or A has rank 1 in these rows", cases=ways, evidence=Evidence.EXACT)
    on.corrected.support(sp.Matrix(4, 2, lambda i, j: sp.Symbol(f"a_{i}{j}")).rank() == 2,
                         "two latents on one w_j have four rows of A in two columns, of rank 2 and not 4", cases=1,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=60)


@chapter.claim("gin.eq32", place="App. C, eq. 32", kind=Kind.IDENTITY,
               statement="t(T_1(w_j)) is the combination of the T_1(w_j) and t(T_1(w_j)) with the coefficients of "
                         "T_2(z_i).",
               correction=Correction("The left side is t(T_1(z_i)).", notational=True))
def left_side_of_eq32(on: Record) -> None:
    # Normal, n = d = 1, z = a w + b: the coefficients of T_2(z) = z^2 are those of gin.eq28.
    a, b, w = sp.symbols("a b w", real=True)
    right = 2 * a * b * w + a**2 * w**2 + b**2
    on.printed.refute((w**2 - right).subs({a: 1, b: 1, w: 0}) != 0,
                      "normal, z = w + 1: at w = 0 the left side is 0 and the right side 1", shown="z = w + 1, w = 0")
    on.corrected.prove(sp.expand((a * w + b) ** 2 - right) == 0,
                       "normal, z = a w + b with generic a and b: t(T_1(z)) fits")


@chapter.claim("gin.t", place="App. C, Table 1, column t(x)", kind=Kind.TABLE,
               statement="In all six rows t(T_1(z)) = T_2(z) on the support, and T_1 is one-to-one.",
               covers=("Table 1",))
def column_of_t(on: Record) -> None:
    table = rows()
    gaps = [sp.simplify(row.change.subs(X, row.statistics[0]) - row.statistics[1]) for row in table]
    slopes = [sp.diff(row.statistics[0], row.z) for row in table]
    on.printed.prove(len(gaps) == 6 and not any(gaps) and all(v.is_positive for v in slopes),
                     "composed symbolically; T_1' > 0 on every support")


@chapter.claim("gin.tab.stats", place="App. B; App. C, Table 1, column of statistics", kind=Kind.TABLE,
               statement="The six pairs of statistics are sufficient for both parameters of their families, and "
                         "minimal.",
               covers=("Table 1",))
def column_of_statistics(on: Record) -> None:
    for row in rows():
        slopes = [sp.diff(f, row.z) for f in row.statistics]
        here = log_density_slope(row, row.parameters)
        # All families have a slope that is affine in some functions of the parameters; two further generic values.
        values = [tuple(sp.Symbol(f"{p.name}_{m}", positive=True) for p in row.parameters) for m in (1, 2)]
        others = [here - log_density_slope(row, (first, second)) for first, second in values]
        inside = all(sp.simplify(sp.wronskian([*slopes, gap], row.z)) == 0 for gap in others)
        place = sp.Rational(1, 3)
        spread = independent(others, row.z, place)
        minimal = independent(slopes, row.z, place)
        on.printed.prove(inside and spread and minimal,
                         f"{row.name}: differences of log densities at generic parameters are combinations of T_1 and "
                         "T_2, and two of them are independent, so both are needed and no constant combination exists")
