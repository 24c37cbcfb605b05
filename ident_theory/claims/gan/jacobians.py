"""Appendix on identifiability, eqs. 70-82: Jacobians of the statistics, and the invertibility of A."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.family_pairs import AffineImage, invertible_relation
from ident_theory.claims.gan.piecewise import Statistics, statistics
from ident_theory.claims.matrices import Matrix, block_diagonal, degenerate_matrices, rank, shown_matrix
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)

ZERO, ONE = Fraction(0), Fraction(1)


def _blocks(n: int, k: int, point: str) -> sp.Matrix:
    """The Jacobian of T in z: column i has the k derivatives of latent i in the rows of its block."""
    return sp.Matrix(n * k, n, lambda row, column:
                     sp.Symbol(f"d{column}_{row % k}_{point}") if row // k == column else 0)


@chapter.claim(
    "gan.k1", place="Appendix on identifiability, after eq. 64", kind=Kind.CLAIM,
    statement="For one statistic per latent A is invertible.",
    hypotheses=("no statistic is constant", "the latent space is a product of intervals"),
    universal=lambda: invertible_relation((1, 1), "not constant"))
def one_statistic(on: Record) -> None:
    on.printed.search(cases=150)
    a, s = sp.Matrix(2, 2, sp.symbols("a0:4")), sp.Matrix(2, 2, sp.symbols("s0:4"))
    rest = sp.expand((a * s).det() - a.det() * s.det())
    on.printed.support(rest == 0,
                       "n = 2: differences of T at three points are A times differences of T~, and determinants "
                       "multiply, so det A = 0 would make those of T singular for all points (symbolic)", cases=1,
                       evidence=Evidence.EXACT)


@chapter.claim(
    "gan.eq70-74", place="Appendix on identifiability, eqs. 70-74", kind=Kind.IDENTITY,
    statement="The Jacobian of T(f^-1(x)) in x is nk x n with one block of derivatives T_i' a column.",
    correction=Correction("that is the Jacobian in z = f^-1(x); in x it is nk x d, the same times the Jacobian of f^-1",
                          notational=True))
def jacobian_in_the_data(on: Record) -> None:
    x = sp.Matrix(sp.symbols("x1 x2"))
    # n = d = 2, k = 1, T(z) = (z1^2, z2^2), f^-1(x) = (x1 + x2, x2).
    z = sp.Matrix([x[0] + x[1], x[1]])
    in_x = sp.Matrix([entry**2 for entry in z]).jacobian(x)
    in_z = sp.diag(2 * z[0], 2 * z[1])
    on.printed.refute(in_x[0, 1] != 0 and in_x.shape == in_z.shape,
                      f"T = (z1^2, z2^2), f^-1(x) = (x1 + x2, x2): the entry that should be 0 is {in_x[0, 1]}")
    longer = sp.Matrix(sp.symbols("x1:4"))
    on.printed.refute(sp.Matrix([longer[0] ** 2]).jacobian(longer).shape == (1, 3),
                      "n = k = 1, d = 3: the Jacobian in x is 1 x 3, not 1 x 1")
    on.corrected.prove(sp.expand(in_x - in_z * z.jacobian(x)) == sp.zeros(2, 2) and _general_chain_rule(),
                       "chain rule with generic statistics and inverse decoder, n = 2, k = 2, d = 3 (symbolic)")


def _general_chain_rule() -> bool:
    x = sp.Matrix(sp.symbols("x1:4"))
    inverse_map = sp.Matrix([sp.Function(f"g{i}")(*x) for i in range(2)])
    z = sp.symbols("z0:2")
    statistics_ = sp.Matrix([sp.Function(f"T{i}_{j}")(z[i]) for i in range(2) for j in range(2)])
    pairs = list(zip(z, inverse_map, strict=True))
    composed = statistics_.subs(pairs).jacobian(x)
    blocks = statistics_.jacobian(sp.Matrix(z))
    zeros = all(blocks[row, column] == 0 for row in range(4) for column in range(2) if row // 2 != column)
    difference = (composed - blocks.subs(pairs) * inverse_map.jacobian(x)).doit()
    return bool(zeros and sp.simplify(difference) == sp.zeros(4, 3))


@chapter.claim(
    "gan.eq76-79", place="Appendix on identifiability, eqs. 76-79", kind=Kind.IDENTITY,
    statement="Jacobians at k points side by side: Q = A Q~, since A acts on every block.",
    scope="sizes other than n = k = 2; a column of Q is A times that column of Q~ in any size")
def blocks_side_by_side(on: Record) -> None:
    n, k = 2, 2
    a = sp.Matrix(n * k, n * k, sp.symbols(f"a0:{(n * k) ** 2}"))
    others = [sp.Matrix(n * k, n, sp.symbols(f"q{point}_0:{n * n * k}")) for point in range(k)]
    joined = sp.Matrix.hstack(*[a * block for block in others])
    on.printed.prove(sp.expand(joined - a * sp.Matrix.hstack(*others)) == sp.zeros(n * k, n * k)
                     and joined.shape == (n * k, n * k), "n = k = 2, generic blocks (symbolic)")


def _rearranged(n: int, k: int) -> tuple[sp.Matrix, sp.Matrix]:
    """Q with its columns sorted by latent, and the block diagonal matrix of the B_i."""
    joined = sp.Matrix.hstack(*[_blocks(n, k, str(point)) for point in range(k)])
    order = [point * n + latent for latent in range(n) for point in range(k)]
    blocks = [sp.Matrix(k, k, lambda row, point, latent=latent: sp.Symbol(f"d{latent}_{row}_{point}"))
              for latent in range(n)]
    return joined.extract(list(range(n * k)), order), sp.diag(*blocks)


@chapter.claim(
    "gan.eq80", place="Appendix on identifiability, eq. 80", kind=Kind.IDENTITY,
    statement="With its columns rearranged Q is block diagonal, block i holding the derivatives of latent i at the k "
              "points.",
    hypotheses=("Jacobians in z",), scope="n and k above 4")
def block_diagonal_form(on: Record) -> None:
    for n, k in product(range(1, 5), repeat=2):
        sorted_columns, stated = _rearranged(n, k)
        on.printed.prove(sorted_columns == stated, f"n = {n}, k = {k} (symbolic)")
    joined = sp.Matrix.hstack(*[_blocks(2, 2, str(point)) for point in range(2)])
    sorted_columns, stated = _rearranged(2, 2)
    on.printed.prove(sp.expand(joined.det() ** 2 - stated.det() ** 2) == 0 and sorted_columns != joined,
                     "the rearrangement changes the determinant by a sign at most (symbolic)")


@dataclass(frozen=True)
class Latents:
    """Statistics of several latents with the same number k."""

    each: tuple[Statistics, ...]

    def all_span(self) -> bool:
        """Whether every latent has k points with independent derivatives."""
        return all(t.derivative_rank() == t.k for t in self.each)

    def chosen(self) -> list[list[tuple[int, Fraction]]]:
        """Per latent, points found greedily that raise the rank, padded to k."""
        result = []
        for t in self.each:
            found: list[tuple[int, Fraction]] = []
            for point in t.points():
                rows = [t.derivative(*p) for p in (*found, point)]
                if len(found) < t.k and rank(rows) == len(rows):
                    found.append(point)
            result.append(found + [t.points()[0]] * (t.k - len(found)))
        return result

    def joined(self) -> Matrix:
        """Q at the points (z_1^l, ..., z_n^l), l = 1..k, in z."""
        chosen, k = self.chosen(), self.each[0].k
        columns = [tuple(value if i == j else ZERO for j, other in enumerate(self.each)
                         for value in (t.derivative(*chosen[i][point]) if i == j else (ZERO,) * other.k))
                   for point in range(k) for i, t in enumerate(self.each)]
        return tuple(columns)


@st.composite
def _latents(draw: st.DrawFn) -> Latents:
    k, n = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Latents(tuple(draw(statistics(sizes=(k, k), continuous=True)) for _ in range(n)))


@chapter.claim(
    "gan.points", place="Appendix on identifiability, after eq. 81", kind=Kind.CLAIM,
    statement="There are k points of the latent space at which all blocks are invertible, so that Q is.",
    hypotheses=("every latent has k points with independent derivatives", "the latent space is a product"),
    argument="k points that serve Lemma 3 make every block the same invertible matrix.",
    universal=lambda: Universal(
        statement="points chosen for every latent by itself make Q invertible", cases=lambda dropped: _latents(),
        hypotheses={"Lemma 3 for every latent": Latents.all_span},
        conclusion=lambda case: rank(case.joined()) == len(case.joined()), needed=("Lemma 3 for every latent",),
        show=lambda case: " | ".join(t.shown() for t in case.each)))
def points_for_all_latents(on: Record) -> None:
    on.printed.search(cases=100)
    quadratic = Statistics((), (((ZERO, ONE, ZERO, ZERO), (ZERO, ZERO, ONE, ZERO)),))
    points = ((ZERO, ZERO), (ONE, ZERO))
    blocks = [[quadratic.derivative(0, point[latent]) for point in points] for latent in range(2)]
    whole = [tuple(value for latent in range(2) for value in (blocks[latent][p] if latent == i else (ZERO, ZERO)))
             for p in range(2) for i in range(2)]
    on.argument.refute(rank(blocks[0]) == 2 and rank(blocks[1]) == 1 and rank(whole) < 4,
                       "normal latents, T = (z, z^2), n = 2, points (0, 0) and (1, 0): the blocks are "
                       f"{shown_matrix(blocks[0])} and {shown_matrix(blocks[1])}, the second singular, and Q has rank "
                       f"{rank(whole)} of 4",
                       shown="T(z) = (z, z^2) for two latents, z^1 = (0, 0), z^2 = (1, 0)")
    cubic = Statistics((), (((ZERO, ONE, ZERO, ZERO), (ZERO, ZERO, ZERO, ONE)),))
    mixed = [[t.derivative(0, Fraction(p)) for p in (1, 2)] for t in (quadratic, cubic)]
    on.argument.refute(mixed[0] != mixed[1], "different statistics have different blocks at the same points: T = (z, "
                                             "z^2) and (z, z^3) at 1 and 2")


@chapter.claim(
    "gan.eq81", place="Appendix on identifiability, eq. 81", kind=Kind.IDENTITY,
    statement="The inverse of a block diagonal matrix has the inverse blocks on its diagonal, but for the last, which "
              "stands as it is.",
    correction=Correction("the last block is inverted too", notational=True))
def inverse_of_blocks(on: Record) -> None:
    whole, literal = sp.diag(2, 2), sp.diag(sp.Rational(1, 2), 2)
    on.printed.refute(whole * literal != sp.eye(2) and whole * sp.diag(literal[0], 1 / literal[1, 1]) == sp.eye(2),
                      f"blocks (2) and (2): the printed matrix diag(1/2, 2) times diag(2, 2) is diag(1, "
                      f"{(whole * literal)[1, 1]})")
    # Blocks of any size as symbols that do not commute; two blocks, since the first may itself consist of blocks.
    blocks = sp.symbols("b c", commutative=False)
    inverses = [block**-1 for block in blocks]
    products = [[sum(a * b for a, b in zip(row, column, strict=True))
                 for column in zip(*_diagonal(inverses), strict=True)] for row in _diagonal(blocks)]
    on.corrected.prove(products == [[1, 0], [0, 1]], "two blocks of any size, the first of which may consist of "
                                                     "blocks again (symbolic)")


def _diagonal(blocks: Sequence[sp.Expr]) -> list[list[sp.Expr]]:
    return [[block if i == j else sp.Integer(0) for j in range(len(blocks))] for i, block in enumerate(blocks)]


@chapter.claim(
    "gan.eq82", place="Appendix on identifiability, eq. 82", kind=Kind.IDENTITY,
    statement="Q^-1 = Q~^-1 A~^-1.",
    correction=Correction("Q^-1 = (A Q~)^-1 = Q~^-1 A^-1: the tilde belongs to Q alone", notational=True),
    scope="whether the tildes in the text layer of the source are those of the printed page")
def inverse_of_the_product(on: Record) -> None:
    # Matrices of any size as symbols that do not commute.
    a, other, tilde = sp.symbols("A R S", commutative=False)
    literal = a * other * (other**-1 * tilde**-1)
    on.printed.refute(literal != 1 and literal.subs(tilde, a) == 1,
                      "Q times the printed inverse is A A~^-1, the identity for A~ = A alone; no A~ is defined")
    on.corrected.prove(a * other * (other**-1 * a**-1) == 1 and other**-1 * a**-1 * a * other == 1,
                       "invertible matrices of any size (symbolic)")


@dataclass(frozen=True)
class Factorisation:
    """Q = A Q~."""

    a: Matrix
    other: Matrix

    def square(self) -> bool:
        """Whether both factors are square."""
        return len(self.a) == len(self.other)

    def product_invertible(self) -> bool:
        """Whether Q is invertible, by its determinant."""
        return bool((sp.Matrix(self.a) * sp.Matrix(self.other)).det() != 0)

    def shown(self) -> str:
        """As text."""
        return f"A = {shown_matrix(self.a)}, Q~ = {shown_matrix(self.other)}"


@st.composite
def _factorisations(draw: st.DrawFn, square: bool) -> Factorisation:
    size = draw(st.integers(1, 3))
    between = size if square else size + draw(st.integers(0, 1))
    return Factorisation(draw(degenerate_matrices(size, between)), draw(degenerate_matrices(between, size)))


@chapter.claim(
    "gan.eq78.factors", place="Appendix on identifiability, after eqs. 80 and 82", kind=Kind.CLAIM,
    statement="If Q = A Q~ is invertible, then so are A and Q~.", hypotheses=("A and Q~ are square, nk x nk",),
    universal=lambda: Universal(
        statement="Q = A Q~ invertible: A and Q~ are invertible",
        cases=lambda dropped: _factorisations("square factors" not in dropped),
        hypotheses={"Q invertible": Factorisation.product_invertible, "square factors": Factorisation.square},
        conclusion=lambda case: all(len(m) == len(m[0]) == rank(m) for m in (case.a, case.other)),
        needed=("Q invertible", "square factors"), show=Factorisation.shown))
def factors_of_an_invertible_matrix(on: Record) -> None:
    a, other, whole = sp.symbols("A R Q", commutative=False)
    right = (a * other * whole**-1).subs(a * other, whole)
    left = (whole**-1 * a * other).subs(a * other, whole)
    on.printed.prove(right == 1 and left == 1,
                     "Q~ Q^-1 is a right inverse of A and Q^-1 A a left inverse of Q~, which is enough for square "
                     "matrices (symbolic, any size)")
    on.printed.search(cases=100)


@chapter.claim(
    "gan.s1.permutation", place="Section I", kind=Kind.CLAIM,
    statement="Latents are recovered up to a linear map of their statistics, in certain cases up to a scaled "
              "permutation.",
    hypotheses=("the conditional model of eqs. 4-6",), scope="the linear relation itself, which is gan.s2d.result")
def scaled_permutations(on: Record) -> None:
    # Normal latents with k = 2: z_i = a.w + b.w^2 + c and z_i^2 of the same form, w = z~ ranging over the plane.
    w = sp.symbols("w1 w2", real=True)
    a, b = sp.symbols("a1 a2", real=True), sp.symbols("b1 b2", real=True)
    latent = sum(p * x + q * x**2 for p, q, x in zip(a, b, w, strict=True)) + sp.Symbol("c", real=True)
    square = sp.Poly(sp.expand(latent**2), *w)
    # The square may only have the monomials w_i and w_i^2.
    forbidden = [coefficient for powers, coefficient in square.terms() if max(powers) > 2 or min(powers) > 0]
    solutions = sp.solve(forbidden, [*a, *b], dict=True)
    one_latent = all(solution.get(b[0]) == 0 == solution.get(b[1]) and 0 in (solution.get(a[0]), solution.get(a[1]))
                     for solution in solutions)
    on.printed.prove(bool(solutions) and one_latent, "normal latents with means and variances that vary: z_i is an "
                                                     "affine function of one z~_j (coefficients compared, n = 2)")
    # Means alone: any rotation keeps N(m, I) in the family.
    t = sp.Symbol("t", real=True)
    turn = sp.Matrix([[sp.cos(t), -sp.sin(t)], [sp.sin(t), sp.cos(t)]])
    kept = sp.simplify(turn * turn.T - sp.eye(2)) == sp.zeros(2)
    on.printed.prove(kept and all(entry != 0 for entry in turn.subs(t, sp.pi / 4)),
                     "only in certain cases: with means that vary and variance 1 every rotation is possible (symbolic)")


@chapter.claim(
    "gan.concl", place="Appendix on identifiability, end", kind=Kind.THEOREM,
    statement="A is invertible for every k, so that eq. 62 is an equivalence.",
    hypotheses=("minimal statistics for every latent", "the latent space is a product of intervals"),
    universal=lambda: invertible_relation((1, 3), "minimal"))
def conclusion(on: Record) -> None:
    on.printed.search(cases=150)
    doubled = AffineImage((((ONE, ZERO, ZERO), (2 * ONE, ZERO, ZERO)),), ((ONE, ZERO), (2 * ONE, ZERO)))
    on.printed.support(doubled.factors() and not doubled.minimal()
                       and rank(block_diagonal(doubled.blocks)) == rank(doubled.matrix) == 1,
                       "minimality is what it rests on: T = (z, 2z) is A (z, z^2) for the singular A = [[1, 0], [2, "
                       "0]]",
                       cases=1, evidence=Evidence.EXACT)
