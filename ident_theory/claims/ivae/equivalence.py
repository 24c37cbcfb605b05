"""Identifiability up to an equivalence relation: Definition 1, Proposition 1, and what eq. 9 and eq. 10 say."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.ivae.pairs import SLOPES, weak_identifiability
from ident_theory.claims.matrices import (
    Row,
    degenerate_matrices,
    invertible_matrices,
    matrices,
    product,
    rank,
    same_row_space,
    transpose,
)
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)

INVERTIBLE, IMAGE = "invertible A", "same image"
z = sympy.Symbol("z", real=True)


@dataclass(frozen=True)
class Triple:
    """Stacked statistics of three parameters after their inverse decoders, on points of X; None off an image."""

    first: tuple[Row | None, ...]
    second: tuple[Row | None, ...]
    third: tuple[Row | None, ...]
    any_matrix: bool = False  #: whether the relation admits singular matrices A

    @property
    def members(self) -> tuple[tuple[Row | None, ...], ...]:
        """All three."""
        return self.first, self.second, self.third


def related(first: tuple[Row | None, ...], second: tuple[Row | None, ...], any_matrix: bool = False) -> bool:
    """Whether some A (invertible unless `any_matrix`) and c carry the second to the first, where both are defined."""
    both = [(p, q) for p, q in zip(first, second, strict=True) if p is not None and q is not None]
    if not both:
        return True
    (p0, q0), *rest = both
    left, right = ([tuple(v - w for v, w in zip(pair[side], (p0, q0)[side], strict=True)) for pair in rest]
                   for side in (0, 1))
    if not rest:
        return True
    own, moved = transpose(tuple(left)), transpose(tuple(right))
    return rank([*moved, *own]) == rank(moved) if any_matrix else same_row_space(own, moved)


@st.composite
def _triples(draw: st.DrawFn, dropped: frozenset[str]) -> Triple:
    size, count = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    first = draw(degenerate_matrices(count, size))
    members = [first]
    for _ in range(2):
        previous = members[-1]
        matrix = draw(invertible_matrices(size) if INVERTIBLE not in dropped else degenerate_matrices(size, size))
        shift = draw(matrices(1, size))[0]
        members.append(draw(st.sampled_from([tuple(
            tuple(a + b for a, b in zip(row, shift, strict=True)) for row in product(previous, transpose(matrix))),
            draw(matrices(count, size))])))
    shown: list[tuple[Row | None, ...]] = []
    for member in members:
        hidden = draw(st.sets(st.integers(0, count - 1))) if IMAGE in dropped else set()
        shown.append(tuple(None if i in hidden else row for i, row in enumerate(member)))
    return Triple(shown[0], shown[1], shown[2], INVERTIBLE in dropped)


def equivalence_laws() -> Universal[Triple]:
    """The relation of eq. 12 on finite sets of points."""
    def laws(triple: Triple) -> bool:
        any_matrix, (first, second, third) = triple.any_matrix, triple.members
        reflexive = all(related(member, member, any_matrix) for member in triple.members)
        symmetric = all(related(p, q, any_matrix) == related(q, p, any_matrix)
                        for p in triple.members for q in triple.members)
        transitive = related(first, third, any_matrix) or not (
            related(first, second, any_matrix) and related(second, third, any_matrix))
        return reflexive and symmetric and transitive

    return Universal(
        "the relation is reflexive, symmetric and transitive", _triples, laws,
        {IMAGE: lambda triple: all(row is not None for member in triple.members for row in member),
         INVERTIBLE: lambda triple: not triple.any_matrix}, (IMAGE, INVERTIBLE))


@chapter.claim(
    "ivae.def1", place="Sec. 4, Definition 1", kind=Kind.DEFINITION, covers=("Definition 1",),
    hypotheses=("the conditional model with u observed",),
    statement="The model is identifiable up to an equivalence relation if equal laws p(x), as in the unconditional "
              "model, imply equivalent parameters.",
    correction=Correction("The model is the conditional one, and equal laws p(x|u) for all u have to imply equivalent "
                          "parameters.", notational=True),
    universal=weak_identifiability)
def identifiability(on: Record) -> None:
    # u is 0 or 1 with probability 1/2. The second model splits the same p(x) by 1 + g and 1 - g, g odd, |g| < 1.
    g = z / (2 * (1 + z ** 2))
    half = sympy.Rational(1, 2)
    marginal = sum(sympy.exp(-(z - c) ** 2 / 2) / sympy.sqrt(2 * sympy.pi) for c in (-1, 1)) / 2
    odd = sympy.simplify((marginal * g).subs(z, -z) + marginal * g) == 0
    same = sympy.simplify(half * marginal * (1 + g) + half * marginal * (1 - g) - marginal) == 0
    bounded = sympy.simplify(1 - 4 * g ** 2 - (1 + z ** 2 + z ** 4) / (1 + z ** 2) ** 2) == 0
    ratio = [((1 + g) / (1 - g)).subs(z, v) for v in (1, 2)]
    # T = z and T' = log((1 + g)/(1 - g)) are odd: T' affine in T would be linear, with T'(2) = 2 T'(1).
    on.printed.refute(
        odd and same and bounded and ratio[0] ** 2 != ratio[1],
        "n = d = k = 1, f = f' = identity, two conditions: N(-1, 1), N(1, 1) with T = z, against p (1 + g), p (1 - g) "
        "with T' = log((1 + g)/(1 - g)), g = z/(2 (1 + z^2)) and p the half-half mixture. Both have the law p of x, "
        f"and exp T'(1) = {ratio[0]}, exp T'(2) = {ratio[1]} exclude an affine relation; L = 2 and L' = 1 are "
        "invertible, and only p(x|u) tells them apart")
    on.corrected.search(cases=20, without=(SLOPES,))


@chapter.claim(
    "ivae.prop1", place="Sec. 4, Proposition 1; App. A, eq. 14", kind=Kind.PROPOSITION, covers=("Proposition 1",),
    hypotheses=("A is an invertible nk x nk matrix", "all decoders have the same image X"),
    statement="Being related by T(f^-1(x)) = A T'(f'^-1(x)) + c for all x in X is an equivalence relation.",
    universal=equivalence_laws)
def equivalence_relation(on: Record) -> None:
    a1, a2, c1, c2, t2, t = sympy.symbols("A1 A2 c1 c2 T2 T", commutative=False)
    first = a1 * t2 + c1  # T in terms of T'
    third = sympy.expand(a2 * first + c2)
    inverse = sympy.expand(a1 ** -1 * t - a1 ** -1 * c1)
    on.printed.prove(
        sympy.expand(third - (a2 * a1 * t2 + (a2 * c1 + c2))) == 0
        and sympy.expand(inverse.subs(t, first) - t2) == 0
        and sympy.expand((a2 * a1) * (a1 ** -1 * a2 ** -1)) == 1,
        "with matrices as non-commuting symbols: A = I, c = 0 is reflexive; T' = A^-1 T - A^-1 c; composition gives "
        "A_2 A_1 and A_2 c_1 + c_2, and A_1^-1 A_2^-1 inverts the product")
    on.printed.search(cases=80)


@chapter.claim(
    "ivae.prop1.invertible", place="Sec. 4, Proposition 1", kind=Kind.ADDED,
    hypotheses=("A may be singular",),
    statement="Without invertibility of A the relation of eq. 12 is not symmetric.")
def singular_maps_are_not_symmetric(on: Record) -> None:
    constant = (Fraction(1),), (Fraction(1),)
    moving = (Fraction(0),), (Fraction(1),)
    on.printed.prove(related(constant, moving, True) and not related(moving, constant, True),
                     "T = 1 and T' = z, on two points: T = 0 T' + 1, but T' is no function of T")


@chapter.claim(
    "ivae.eq9", place="Sec. 3.3, eq. 9; Sec. 4 after Theorem 1", kind=Kind.IDENTITY,
    hypotheses=("no noise", "the hypotheses of Theorem 1"),
    statement="The true statistics, the first of them printed as T*_11 of z*_n, are a linear image A of the "
              "recovered ones.",
    correction=Correction("The first entry is T*_11(z*_1), and a constant vector c is added.", notational=True),
    universal=weak_identifiability)
def affine_not_linear(on: Record) -> None:
    # N(lambda(u), 1), f'(z') = f(z' + 1): z = z' + 1, so T = z and T' = z' differ by the constant.
    pairs = [(Fraction(v), Fraction(v - 1)) for v in (0, 1, 2)]
    on.printed.refute(not related_linearly(pairs) and related(tuple((p,) for p, _ in pairs),
                                                              tuple((q,) for _, q in pairs)),
                      "n = k = 1, T = T' = z, z' = z - 1: no number A has z = A z' for all z, and z = z' + 1")
    rows = [tuple(map(Fraction, row)) for row in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))]
    printed = tuple((z2, z2) for _, z2 in rows)
    on.printed.refute(not related(printed, tuple(rows)) and related(tuple(rows), tuple(rows)),
                      "n = 2, k = 1, the true parameters recovered: (z_2, z_2), as the index n has it, is no "
                      "invertible affine image of (z_1, z_2)")
    on.corrected.search(cases=20, without=(SLOPES,))


def related_linearly(pairs: list[tuple[Fraction, Fraction]]) -> bool:
    """Whether p = a q for one number a."""
    return rank([tuple(q for _, q in pairs), tuple(p for p, _ in pairs)]) <= 1 and any(q for _, q in pairs)


@chapter.claim(
    "ivae.eq10", place="Sec. 3.4, eq. 10", kind=Kind.CLAIM, hypotheses=("x = f(z) with f invertible, n = d",),
    statement="Without noise every posterior of z is degenerate; with noise it is not.",
    scope="linear decoders, normal prior and noise")
def degenerate_posteriors(on: Record) -> None:
    a, m, x = sympy.symbols("a m x", real=True, nonzero=True)
    v, s = sympy.symbols("v s", positive=True)
    precision = 1 / v + a ** 2 / s
    variance = sympy.simplify(1 / precision)
    mean = sympy.simplify((m / v + a * x / s) / precision)
    on.printed.support(sympy.limit(variance, s, 0, "+") == 0 and variance.is_positive is True
                       and sympy.simplify(sympy.limit(mean, s, 0, "+") - x / a) == 0,
                       f"posterior variance {variance} is positive for noise of variance s > 0 and tends to 0 with "
                       "it, the mean to f^-1(x)", cases=1, evidence=Evidence.EXACT)
