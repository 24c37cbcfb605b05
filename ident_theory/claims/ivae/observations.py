"""What the paper says in passing: the observation model, remarks after the proof, categories."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.ivae.setting import probabilities
from ident_theory.claims.matrices import Matrix
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal

chapter = Chapter(IVAE)

z = sympy.Symbol("z", real=True)
INDEPENDENT = "noise independent of z"


@dataclass(frozen=True)
class Decoded:
    """A joint law of z and noise on the numbers 0, 1, ..., a row for every z, and the values of the decoder."""

    joint: Matrix
    decoder: tuple[int, ...]

    @property
    def prior(self) -> tuple[Fraction, ...]:
        """Law of z."""
        return tuple(sum(row, Fraction(0)) for row in self.joint)

    @property
    def noise(self) -> tuple[Fraction, ...]:
        """Law of the noise."""
        return tuple(sum(column, Fraction(0)) for column in zip(*self.joint, strict=True))


def additive_noise() -> Universal[Decoded]:
    """The law of f(z) + noise given z, outcome by outcome."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Decoded:
        n, d = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        decoder = tuple(draw(st.lists(st.integers(-2, 2), min_size=n, max_size=n)))
        if INDEPENDENT in dropped:
            flat = draw(probabilities(n * d))
            return Decoded(tuple(flat[i * d:(i + 1) * d] for i in range(n)), decoder)
        prior, noise = draw(probabilities(n)), draw(probabilities(d))
        return Decoded(tuple(tuple(p * q for q in noise) for p in prior), decoder)

    def conclusion(case: Decoded) -> bool:
        outcomes: dict[tuple[int, int], Fraction] = {}
        for i, row in enumerate(case.joint):
            for e, p in enumerate(row):
                outcomes[i, case.decoder[i] + e] = outcomes.get((i, case.decoder[i] + e), Fraction(0)) + p
        return all(outcomes.get((i, x), Fraction(0))
                   == p * (case.noise[x - case.decoder[i]] if 0 <= x - case.decoder[i] < len(case.noise) else 0)
                   for i, p in enumerate(case.prior) for x in range(-2, 6))

    return Universal("P(z, f(z) + noise = x) is P(z) times the noise law at x - f(z)", cases, conclusion,
                     {INDEPENDENT: lambda case: all(
                         cell == p * q for row, p in zip(case.joint, case.prior, strict=True)
                         for cell, q in zip(row, case.noise, strict=True))}, (INDEPENDENT,))


@chapter.claim(
    "ivae.eq5-6", place="Sec. 3.1, eqs. 5-6", kind=Kind.DEFINITION, universal=additive_noise,
    hypotheses=("the noise is independent of z and u",),
    statement="The model x = f(z) + noise has the joint law p_f(x|z) p(z|u), p_f(x|z) the noise density at x - f(z).",
    scope="laws on finitely many integers")
def observation_model(on: Record) -> None:
    on.printed.search(cases=100)


@chapter.claim(
    "ivae.rem.inverse", place="App. B, first observation", kind=Kind.REMARK,
    hypotheses=("A = L^-T L'^T, as eq. 23 should say", "A and L are invertible"),
    statement="L' is invertible.")
def inverse_of_the_second_l(on: Record) -> None:
    a, l = sympy.symbols("A L^T", commutative=False)
    second = l * a  # L'^T
    candidate = a ** -1 * l ** -1
    on.printed.prove(sympy.expand(l ** -1 * second) == a and second * candidate == 1 and candidate * second == 1,
                     "L'^T = L^T A has the inverse A^-1 L^-T, with matrices of any size as non-commuting symbols")


@chapter.claim(
    "ivae.rem.bijective", place="App. B, second observation", kind=Kind.REMARK,
    hypotheses=("f is bijective", "f is differentiable"),
    statement="The Jacobian of a bijective f has full rank.",
    correction=Correction("It has full rank where f^-1 is differentiable as well.",
                          ("f^-1 is differentiable at f(z)",)),
    scope="corrected statement: the chain rule in one variable; a matrix with a left inverse has full rank in any")
def jacobian_of_a_bijection(on: Record) -> None:
    cube = z ** 3
    on.printed.refute(
        sympy.solve(cube - sympy.Symbol("x", positive=True), z) != [] and sympy.diff(cube, z).subs(z, 0) == 0
        and sympy.solveset(sympy.diff(cube, z) < 0, z, sympy.S.Reals) == sympy.EmptySet
        and sympy.limit(cube, z, sympy.oo) == sympy.oo and sympy.limit(cube, z, -sympy.oo) == -sympy.oo,
        "f(z) = z^3 increases from -oo to oo, so it is bijective, and f'(0) = 0", shown="f(z) = z**3")
    # Remove from [0, 1] middle intervals, 2^(m-1) of length 4^-m at step m; f' = distance to what is left, K.
    m = sympy.Symbol("m", integer=True, positive=True)
    left = 1 - sympy.summation(2 ** (m - 1) * sympy.Rational(1, 4) ** m, (m, 1, sympy.oo))
    longest = sympy.limit(sympy.Rational(1, 2) ** m, m, sympy.oo)  # 2^m intervals left, of total length at most 1
    on.printed.refute(left == sympy.Rational(1, 2) and longest == 0,
                      "nor almost everywhere: K, what is left of [0, 1] after removing 2^(m-1) middle intervals of "
                      "length 4^-m for m = 1, 2, ..., has measure 1/2 and contains no interval, as those left at step "
                      "m are shorter than 2^-m; f(z), the integral of the distance to K from 0 to z, is strictly "
                      "increasing and onto, and f' = 0 on K")
    forward, backward = sympy.Function("f"), sympy.Function("g")
    chain = sympy.diff(backward(forward(z)), z).doit()
    slope = sympy.Symbol("s")
    chain = chain.subs(sympy.diff(forward(z), z), slope)
    on.corrected.prove(chain != 0 and chain.subs(slope, 0) == 0 and sympy.rem(chain, slope, slope) == 0,
                       "the derivative of g(f(z)) is a multiple of f', so it is 0 where f' = 0, but for g = f^-1 it "
                       "is 1: J of f^-1 is a left inverse of J of f")


@chapter.claim(
    "ivae.appE.cat", place="App. E, last sentence", kind=Kind.CLAIM,
    hypotheses=("independent standard Gumbel noise on every coordinate of m",),
    statement="The example extends to categorical variables: as the temperature tends to 0, softmax((m + noise)/"
              "temperature) tends in law to a category with the probabilities softmax(m).",
    scope="three categories")
def categorical_limit(on: Record) -> None:
    m = sympy.symbols("m1:4", real=True)
    s, gap, t = sympy.symbols("s gap t", positive=True)
    e = sympy.Symbol("e", real=True)
    cdf = sympy.exp(-sympy.exp(-e))
    density = sympy.exp(-e) * cdf
    # P(m_1 + e_1 is the largest): others below m_1 + e - m_j; with s = exp(-e) the integrand is exp(-s * total).
    others = sympy.prod(cdf.subs(e, e + m[0] - item) for item in m[1:])
    total = sum(sympy.exp(item - m[0]) for item in m)
    inner = sympy.simplify((density * others * sympy.exp(e)).subs(e, -sympy.log(s)))
    same = sympy.simplify(sympy.log(inner).expand(force=True) + s * total) == 0
    scale = sympy.Symbol("scale", positive=True)
    chance = sympy.integrate(sympy.exp(-s * scale), (s, 0, sympy.oo)).subs(scale, total)
    softmax = sympy.exp(m[0]) / sum(map(sympy.exp, m))
    on.printed.prove(sympy.simplify(sympy.diff(cdf, e) - density) == 0 and same
                     and sympy.simplify(chance - softmax) == 0
                     and sympy.limit(1 / (1 + sympy.exp(-gap / t)), t, 0, "+") == 1,
                     "the limit marks the largest coordinate, and P(the first is the largest) is the integral of "
                     "exp(-s sum_j exp(m_j - m_1)) over s > 0, which is softmax(m)_1")
