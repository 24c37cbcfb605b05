"""Section III, eqs. 10-18: the loss and its adversarial part."""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF, BoundCase, bound
from ident_theory.claims.gan.finite import FiniteModel, shown_law
from ident_theory.claims.gan.logs import (
    LogSum,
    adversarial_value,
    divergence,
    jensen_shannon,
    log,
    log_mixture,
    log_mixture_sign,
    log_normal,
    normal_divergence,
)
from ident_theory.claims.gan.pointwise import (
    A,
    B,
    evidence_gap_is_a_divergence,
    js_is_a_divergence,
    js_term_identity,
    optimal_discriminator,
    value_is_negative,
    value_term,
)
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)


def _generators(count: int = 8) -> list[tuple[Fraction, Fraction]]:
    return [(Fraction(k, count), Fraction(count - k, count)) for k in range(1, count)]


@chapter.claim(
    "gan.eq10-13", place="Section III, eqs. 10-13", kind=Kind.DEFINITION,
    statement="The loss is minus the divergence of encoder and conditional prior plus V(D, G); the encoder raises it, "
              "the generator lowers V and the discriminator raises V.",
    correction=Correction("E_(x,u)[-KL(q(z|x,u), p(z|u))] - max_D V(D, G) is maximised over encoder, prior parameters "
                          "and generator, V averaging over u as well", notational=True))
def loss_has_one_sign(on: Record) -> None:
    data = (HALF, HALF)
    values = {g: adversarial_value(data, g, optimal(data, g)) for g in _generators()}
    # The encoder's term does not depend on the generator here, so the loss ranks generators by +V or by -V.
    highest = max(values, key=lambda g: float(values[g]))
    lowest = min(values, key=lambda g: float(values[g]))
    on.printed.refute(highest != data and lowest == data and (values[highest] - values[lowest]).sign() > 0,
                      "data (1/2, 1/2), optimal D: the sum in eq. 10 is largest for the generator "
                      f"{shown_law(highest)}, not for the data law, although eq. 20 subtracts the same V")
    on.printed.refute(values[data].sign() != 0,
                      f"eqs. 10 and 20 agree only if V = 0; at the optimum V = {values[data]}")
    law, priors = (HALF, HALF), ((Fraction(1, 4), Fraction(3, 4)), (Fraction(3, 4), Fraction(1, 4)))
    each = [divergence(law, prior) for prior in priors]
    other = divergence((Fraction(1, 3), Fraction(2, 3)), priors[0])
    on.printed.refute((each[0] - other).sign() != 0,
                      f"without an average over (x, u), eq. 11 is no number: KL is {each[0]} at one observation "
                      f"and {other} at another")
    on.corrected.prove(all((values[g] - values[data]).sign() > 0 for g in values if g != data)
                       and js_is_a_divergence() and js_term_identity(),
                       "subtracting V ranks the data law first: V - V(data) = 2 JSD, a convex divergence with its only "
                       "zero at equality (symbolic), and on a grid of 7 generators (exact)")


def optimal(data: tuple[Fraction, ...], generated: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The optimal discriminator's values."""
    return tuple(p / (p + g) for p, g in zip(data, generated, strict=True))


def _adversarial_bound() -> Universal[BoundCase]:
    return bound("log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u)) + V(D, G)", lambda case: case.value)


@chapter.claim(
    "gan.eq14", place="Section III, eq. 14", kind=Kind.CLAIM,
    statement="The loss is a lower bound of log p(x) minus the expected log likelihood under the encoder.",
    hypotheses=("the prior of z depends on u", "D takes values in (0, 1)"),
    correction=Correction("log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u)) + V(D, G) for every D",
                          hypotheses=("the evidence is that of the model given u",)),
    universal=_adversarial_bound)
def loss_bounds_the_gap(on: Record) -> None:
    # Five classes, z | u ~ N(12 u, 1), x | z ~ N(z, 1), perfect generator, D = 1/2 everywhere, exact posterior.
    x, own = Fraction(0), Fraction(0)
    terms = [(Fraction(1, 5), log_normal(x, Fraction(12 * u), Fraction(2))) for u in range(5)]
    posterior = ((x + own) / 2, HALF)
    expected = log_normal(x, posterior[0], Fraction(1)) + LogSum(-posterior[1] / 2)
    right = expected - normal_divergence(posterior, (own, Fraction(1))) - log(4)
    on.printed.refute(
        log_mixture_sign(terms, right) < 0,
        f"five classes with z|u ~ N(12u, 1), x|z ~ N(z, 1), generator and encoder exact, D = 1/2: at x = 0, u = 0 "
        f"log p(x) = {log_mixture(terms):.5f} < {float(right):.5f} = E_q log p(x|z) - KL + V",
        evidence=Evidence.CERTIFIED,
        shown="p(u) = 1/5, z|u ~ N(12u, 1) for u = 0..4, x|z ~ N(z, 1), q = N(x/2 + 6u, 1/2), D = 1/2, x = 0, u = 0")
    # Point masses: z = x = u. Everything is a logarithm of a rational, and four classes are just enough.
    gaps = {}
    for n in range(2, 8):
        unit = tuple(tuple(Fraction(int(i == j)) for j in range(n)) for i in range(n))
        model = FiniteModel((Fraction(1, n),) * n, unit, unit)
        law = model.marginal()
        left = model.gap(0, 0, model.posterior(0, 0), law[0])
        gaps[n] = (left - adversarial_value(law, law, (HALF,) * n)).sign()
    on.printed.refute(gaps == {2: 1, 3: 1, 4: 0, 5: -1, 6: -1, 7: -1},
                      "n equally likely classes that x reveals, everything exact: left minus right is log 4 - log n, "
                      "negative from n = 5 on")
    on.printed.search(cases=100, without=("conditional evidence",))
    on.corrected.prove(evidence_gap_is_a_divergence() and value_is_negative(),
                       "left minus -KL is KL(q, p(z|x,u)) >= 0, and V < 0 for every D in (0, 1) (symbolic)")
    on.corrected.search(cases=100)


def _evidence_bound() -> Universal[BoundCase]:
    return bound("log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u))", lambda case: LogSum())


@chapter.claim(
    "gan.eq15", place="Section III, eq. 15", kind=Kind.CLAIM,
    statement="log p(x) - E_q log p(x|z) is at least -KL(q(z|x,u), p(z|u)).",
    hypotheses=("the prior of z depends on u",),
    correction=Correction("log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u)), with equality for the exact posterior",
                          hypotheses=("p(x|u) is the model's own",)),
    universal=_evidence_bound)
def evidence_bound(on: Record) -> None:
    x, own = Fraction(2), Fraction(2)
    terms = [(HALF, log_normal(x, mean, Fraction(2))) for mean in (own, -own)]
    posterior = ((x + own) / 2, HALF)
    expected = log_normal(x, posterior[0], Fraction(1)) + LogSum(-posterior[1] / 2)
    gap = normal_divergence(posterior, (own, Fraction(1)))
    on.printed.refute(
        log_mixture_sign(terms, expected - gap) < 0,
        f"u = + or - equally likely, z|u ~ N(2u, 1), x|z ~ N(z, 1), exact posterior: at x = 2, u = + the left side is "
        f"{log_mixture(terms) - float(expected):.5f}, the right side {-float(gap):.5f}", evidence=Evidence.CERTIFIED,
        shown="p(u) = 1/2, z|u ~ N(2u, 1), x|z ~ N(z, 1), q(z|x,u) = N((x + 2u)/2, 1/2), x = 2, u = +1")
    three = Fraction(3)
    data, decoder = log_normal(three, Fraction(0), Fraction(1)), log_normal(three, three, Fraction(1, 100))
    on.printed.refute((data - decoder).sign() < 0,
                      "the data density in place of the model's fails even without u: data N(0, 1), decoder "
                      "N(3, 1/100) for every z, q = prior, x = 3: the right side is 0, the left side negative")
    on.printed.search(cases=100, without=("conditional evidence",))
    exact = (log_normal(x, own, Fraction(2)) - expected + gap).sign()
    on.corrected.prove(exact == 0 and evidence_gap_is_a_divergence(),
                       "the difference of the two sides is KL(q, p(z|x,u)) >= 0 (symbolic, term by term in z), and it "
                       "is 0 in the Gaussian case above (exact)")
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.eq16", place="Section III, eq. 16", kind=Kind.IDENTITY,
    statement="With the best discriminator, V is -log 4 plus twice the Jensen-Shannon divergence of data and generated "
              "law.",
    hypotheses=("the discriminator is unrestricted", "the generated law is that of what the discriminator is shown"))
def value_is_a_divergence(on: Record) -> None:
    on.printed.prove(js_term_identity() and optimal_discriminator(),
                     "per state with masses a, b: the maximum over D is at a/(a+b), and its value is the state's share "
                     "of 2 JSD minus (a+b) log 2 (symbolic); the shares (a+b) sum to 2")
    cases = [(data, g) for data in _generators(6) for g in _generators(6)]
    on.printed.support(all((adversarial_value(p, g, optimal(p, g)) - jensen_shannon(p, g).times(2) + log(4)).sign() == 0
                           for p, g in cases), "two-point laws, exactly", cases=len(cases), evidence=Evidence.EXACT)


@chapter.claim(
    "gan.eq17-18", place="Section III, eqs. 17-18", kind=Kind.IDENTITY,
    statement="Minimising V over the generator is the same as maximising -V, and the constant log 4 may be dropped: "
              "the same generators are optimal.",
    scope="the optimal values, which differ by sign and by log 4")
def constants_do_not_move_the_optimum(on: Record) -> None:
    divergence_value = sp.Symbol("J", nonnegative=True)
    value = -sp.log(4) + 2 * divergence_value
    on.printed.prove(sp.diff(value, divergence_value) == -sp.diff(-2 * divergence_value, divergence_value)
                     and sp.diff(value, divergence_value).is_positive and js_term_identity()
                     and sp.simplify(value.subs(divergence_value, 0) - value_term(HALF).subs({A: 1, B: 1})) == 0,
                     "V is an increasing affine function of the divergence J, -2J the decreasing one: same optimum")
    data = (Fraction(3, 8), Fraction(5, 8))
    by_value = min(_generators(), key=lambda g: float(adversarial_value(data, g, optimal(data, g))))
    by_divergence = max(_generators(), key=lambda g: float(-jensen_shannon(data, g)))
    on.printed.support(by_value == by_divergence == data, "grid of 7 generators: the same best one by both", cases=7)
