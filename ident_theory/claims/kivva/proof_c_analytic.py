"""Appendix C.1: reduced form, analytic functions, and mixtures that agree on a ball."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
from flint import arb, ctx
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_pairs import is_reduced, listed, mixtures, small
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.models import GaussianMixture
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

HALF = Fraction(1, 2)


@chapter.claim(
    "kivva.eq6", place="App. C.1, (6) and the sentence after it", kind=Kind.IDENTITY,
    statement="A normal law with positive definite Sigma has the density (6), and A Y + b with A invertible is normal "
              "with mean A mu + b and covariance A Sigma A^T.",
    scope="That (6) has total mass 1 is checked for up to three coordinates; the change of variables for any number.")
def normal_density(on: Record) -> None:
    m = sympy.Symbol("m", integer=True, positive=True)
    a, s = sympy.MatrixSymbol("A", m, m), sympy.MatrixSymbol("S", m, m)
    y, mean = sympy.MatrixSymbol("y", m, 1), sympy.MatrixSymbol("mu", m, 1)
    shift = a * (y - mean)  # (A y + b) - (A mu + b)
    moved = (shift.T * (a * s * a.T).inverse() * shift).doit()
    on.printed.prove(moved == ((y - mean).T * s.inverse() * (y - mean)).doit()
                     and sympy.det(a * s * a.T).doit() == sympy.det(a)**2 * sympy.det(s),
                     "in matrix symbols: the exponent of (6) at A y + b for the moved law is that at y, and its "
                     "determinant has the factor det(A)^2 of the change of variables")
    x, v = sympy.symbols("x v", positive=True)
    mass = 2 * sympy.integrate(sympy.exp(-x**2 / (2 * v)), (x, 0, sympy.oo)) / sympy.sqrt(2 * sympy.pi * v)
    roots = [sympy.Matrix(k, k, lambda i, j: sympy.Symbol(f"l{i}{j}", positive=i == j) if j <= i else 0)
             for k in (1, 2, 3)]
    on.printed.prove(sympy.simplify(mass) == 1 and all(
        sympy.expand((root * root.T).det() - sympy.prod(root.diagonal())**2) == 0 for root in roots),
        "mass 1 for one coordinate, and for up to three as the image of independent ones under the triangular root of "
        "Sigma, whose determinant is the root of det Sigma")


@cache
def reduced_form() -> Universal[GaussianMixture]:
    """Definition C.1 against the reduced form of the package."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> GaussianMixture:
        count, m = draw(st.integers(1, 5)), draw(st.integers(1, 2))
        weights = [draw(st.integers(0, 2)) for _ in range(count)]
        weights[0] += 1
        means = [[draw(st.sampled_from([0, 0, 1])) for _ in range(m)] for _ in range(count)]
        variances = [[draw(st.sampled_from([1, 1, 2])) for _ in range(m)] for _ in range(count)]
        return GaussianMixture([Fraction(w, sum(weights)) for w in weights], means, variances)

    def holds(p: GaussianMixture) -> bool:
        wanted: dict[tuple[Any, ...], Fraction] = {}
        for w, *row in listed(p):
            wanted[tuple(row)] = wanted.get(tuple(row), Fraction(0)) + w
        found = p.reduced()
        return (is_reduced(found) and sorted((w, *row) for row, w in wanted.items() if w) == listed(found)
                and (listed(p) == listed(found)) == is_reduced(p))

    return Universal("every mixture has one reduced form, found by adding weights, and is its own when it meets the "
                     "definition", cases, holds, show=repr)


@chapter.claim(
    "kivva.defC.1", place="App. C.1, Definition C.1", kind=Kind.DEFINITION, covers=("Definition C.1",),
    universal=reduced_form,
    statement="A mixture is in reduced form when all weights are positive and no (mean, covariance) occurs twice; "
              "every mixture has a reduced form of the same law, unique up to order.")
def definition_of_reduced_form(on: Record) -> None:
    on.printed.search(cases=300)


@chapter.claim(
    "kivva.defC.2", place="App. C.1, Definition C.2", kind=Kind.DEFINITION, covers=("Definition C.2",),
    statement="A function is real analytic on an open set when derivatives are bounded by alpha! C^(|alpha| + 1) on "
              "compact sets; equivalently, when it has a Taylor expansion that converges on the set.",
    correction=Correction("Equivalently, when around every point of the set its Taylor expansion converges to it on "
                          "some neighbourhood of that point."))
def definition_of_analytic(on: Record) -> None:
    n, a, x = sympy.symbols("n", integer=True, nonnegative=True), sympy.Symbol("a", real=True), sympy.Symbol("x")
    function = 1 / (1 + x**2)
    # 1/(1 + x^2) = Im of 1/(x - i): the n-th derivative is (-1)^n n! Im((x - i)^-(n + 1)).
    def derivative(k: sympy.Expr) -> sympy.Expr:
        return (-1)**k * sympy.factorial(k) * ((x - sympy.I)**(-k - 1) - (x + sympy.I)**(-k - 1)) / (2 * sympy.I)

    # All orders by induction: the formula of order 0, and the derivative of that of order n is that of order n + 1.
    step = sympy.combsimp(sympy.simplify(sympy.diff(derivative(n), x) / derivative(n + 1)))
    formula = sympy.simplify(derivative(sympy.Integer(0)) - function) == 0 and sympy.simplify(step) == 1
    modulus = sympy.simplify(sympy.Abs(a - sympy.I)**2 - (1 + a**2)) == 0
    terms = [sympy.series(function, x, 0, 2 * k + 1).removeO().coeff(x, 2 * k) for k in range(5)]
    at_two = sympy.limit(4**n, n, sympy.oo)
    on.printed.refute(formula and modulus and terms == [(-1)**k for k in range(5)] and at_two == sympy.oo,
                      "1/(1 + x^2) on R: |n-th derivative| = n! |Im (x - i)^-(n+1)| <= n!, the bound with C = 1, but "
                      "the expansion at 0 has the terms (-1)^n x^(2n), which at x = 2 grow without bound",
                      shown="f(x) = 1/(1 + x^2), D = R")
    places = [sympy.Rational(k, 2) for k in range(-4, 5)]
    near: list[sympy.Expr] = []
    far: list[sympy.Expr] = []
    for place in places:
        size = 1 + place**2  # the coefficients are (-1)^k Im (place - i)^-(k + 1)
        terms = [((-1)**k * sympy.im(sympy.expand((place + sympy.I)**(k + 1))) / size**(k + 1)) for k in range(41)]
        for ahead, found in ((sympy.Rational(1, 2), near), (3 * sympy.ceiling(sympy.sqrt(size)), far)):
            partial = sum(c * ahead**k for k, c in enumerate(terms))
            found.append(abs(partial - function.subs(x, place + ahead)))
    on.corrected.support(max(near) < sympy.Rational(1, 10**10) and min(far) > 10**6,
                         f"for this function, exact sums of 41 terms of the expansion at {len(places)} places "
                         f"-2, -3/2, ..., 2: off by {float(max(near)):.0e} at most at distance 1/2, within the radius "
                         "sqrt(1 + a^2), and by more than a million at three times the radius", cases=len(places),
                         evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.defC.4", place="App. C.1, Definitions C.3 to C.5", kind=Kind.DEFINITION,
    covers=("Definition C.3", "Definition C.4", "Definition C.5"),
    statement="The analytic continuation Ext of a function on a ball to the whole space is unique if there is one, and "
              "for some functions there is none, where Ext is 0.")
def definition_of_extension(on: Record) -> None:
    x = sympy.Symbol("x", real=True)
    pole, value = sympy.limit(1 / (2 - x), x, 2, "-"), sympy.limit(1 / (2 - x), x, 1)
    on.printed.support(pole == sympy.oo and value == 1, "there may be none: 1/(2 - x) on the ball of radius 1 about 0 "
                       "tends to infinity at 2, so no function that is finite on R continues it", cases=1,
                       evidence=Evidence.EXACT)
    # Away from one point the line falls apart, and a continuation of 0 from its left half is not unique there.
    flat = sympy.Piecewise((0, x < 0), (1, True))
    on.printed.support(flat.subs(x, -1) == 0 and flat.subs(x, 1) == 1 and all(
        flat.diff(x, k).subs(x, place) == 0 for k in (1, 2) for place in (-1, 1)),
        "that the whole space is connected is used: on R without 0 the function 0 on the negative half has the "
        "continuations 0 and 1 to the positive half", cases=1, evidence=Evidence.EXACT)
    u, v = sympy.symbols("u v", real=True)
    series = sympy.series(sympy.exp(u * x + v * x**2), x, 0, 5).removeO()
    read = sympy.solve([series.coeff(x, 1) - 3, series.coeff(x, 2) - 1], [u, v], dict=True)
    on.printed.support(read == [{u: 3, v: sympy.Rational(-7, 2)}], "there is at most one, for its Taylor coefficients "
                       "at the centre of the ball are given: of exp(u x + v x^2) two of them fix u and v", cases=1,
                       evidence=Evidence.EXACT)


@dataclass(frozen=True)
class OnBall:
    """Two mixtures on the line and a ball."""

    p: GaussianMixture
    q: GaussianMixture
    center: Fraction
    radius: Fraction


def _difference(case: OnBall, x: Fraction) -> arb:
    total = arb(0)
    for sign, mixture in ((1, case.p), (-1, case.q)):
        for w, mean, v in listed(mixture):
            if v:
                total += sign * w.numerator * arb(1) / w.denominator * (
                    -(_ball(x - mean) ** 2) / (2 * _ball(v))).exp() / (2 * arb.pi() * _ball(v)).sqrt()
    return total


def _ball(value: Fraction) -> arb:
    return arb(value.numerator) / value.denominator


def _agree_on_ball(case: OnBall) -> bool:
    """Whether two mixtures have the same point masses in the ball, and one density at 15 places of it.

    A difference of two densities of at most three terms each has at most ten zeros, or is zero. That a ball of 400
    bits contains 0 is read as a zero, so that a counterexample would not be lost as undecided.
    """
    masses: list[dict[Fraction, Fraction]] = [{}, {}]
    for sums, mixture in zip(masses, (case.p, case.q), strict=True):
        for w, mean, v in listed(mixture):
            if not v and abs(mean - case.center) < case.radius:
                sums[mean] = sums.get(mean, Fraction(0)) + w
    with ctx.workprec(400):
        places = (case.center + case.radius * Fraction(k, 8) for k in range(-7, 8))
        return masses[0] == masses[1] and all(_difference(case, x).contains(0) for x in places)


@cache
def mixtures_agree_everywhere() -> Universal[OnBall]:
    """Theorem C.3 on the line."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> OnBall:
        p, q = draw(mixtures()), draw(mixtures())
        kind = draw(st.sampled_from(["other", "close", "same"]))
        if kind == "same":
            q = GaussianMixture(*zip(*reversed(listed(p)), strict=True))
        elif kind == "close":  # one number apart, by very little
            w, mean, v = listed(p)[0]
            tiny = draw(st.sampled_from([Fraction(1, 10**6), Fraction(1, 10**12)]))
            q = GaussianMixture(*zip(*[(w, mean + tiny, v), *listed(p)[1:]], strict=True))
        if "reduced form" in dropped:
            w, mean, v = listed(q)[0]
            q = GaussianMixture(*zip(*[(w / 2, mean, v), (w / 2, mean, v), *listed(q)[1:]], strict=True))
        if "definite covariances" in dropped:
            far = [GaussianMixture([*(w / 2 for w in mix.weights_exact), HALF],
                                   [*mix.means_exact[:, 0], draw(st.sampled_from([5, 7]))],
                                   [*mix.covariances_exact[:, 0, 0], 0]) for mix in (p, q)]
            p, q = far
        return OnBall(p, q, draw(small), draw(st.sampled_from([Fraction(1), Fraction(1, 100)])))

    def conclusion(case: OnBall) -> bool:
        return not _agree_on_ball(case) or listed(case.p) == listed(case.q)

    return Universal("two mixtures in reduced form that differ give different measures to some part of every ball",
                     cases, conclusion, {
                         "reduced form": lambda case: is_reduced(case.p) and is_reduced(case.q),
                         "definite covariances": lambda case: all(v > 0 for mix in (case.p, case.q)
                                                                  for _, _, v in listed(mix))},
                     ("reduced form", "definite covariances"), repr, Evidence.CERTIFIED)


@chapter.claim(
    "kivva.thmC.3", place="App. C.1, Theorem C.3", kind=Kind.THEOREM, covers=("Theorem C.3",),
    universal=mixtures_agree_everywhere,
    statement="Two finite Gaussian mixtures in reduced form that induce one measure on a ball are equal: as many "
              "components, and the same ones with the same weights.",
    hypotheses=("reduced form", "components non-degenerate"), scope="Checked on the line, m = 1.")
def mixtures_equal_on_a_ball(on: Record) -> None:
    m1, m2, x = sympy.symbols("m1 m2 x", real=True)
    v, d = sympy.symbols("v d", positive=True)
    log_ratio = sympy.expand(-(x - m2)**2 / (2 * v) + (x - m1)**2 / (2 * (v + d)))
    leading = sympy.factor(log_ratio.coeff(x, 2))
    equal_variance = sympy.expand(-(x - m2)**2 / (2 * v) + (x - m1)**2 / (2 * v))
    on.printed.support(sympy.simplify(leading + d / (2 * v * (v + d))) == 0
                       and sympy.simplify(equal_variance.coeff(x, 1) - (m2 - m1) / v) == 0
                       and equal_variance.coeff(x, 2) == 0,
                       "symbolically, m = 1: of two components the one with the larger (variance, mean) dominates as "
                       "x grows, so no combination of distinct ones vanishes; all pairs at once", cases=1,
                       evidence=Evidence.EXACT)
    on.printed.search(cases=300)
