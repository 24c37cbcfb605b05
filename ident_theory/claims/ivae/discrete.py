"""Appendix E: discrete observations as a limit of noisy continuous ones."""

from __future__ import annotations

import sympy
from flint import acb, arb, ctx

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.ivae.noise import noise_removal
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)


@chapter.claim(
    "ivae.appE.bern", place="App. E, eqs. 26-29", kind=Kind.IDENTITY,
    hypotheses=("noise Logistic(0, 1), coordinate by coordinate",),
    statement="As the temperature tends to 0, sigmoid((m + noise)/temperature) tends in law to a Bernoulli variable "
              "with probability sigmoid(m).")
def bernoulli_limit(on: Record) -> None:
    m, e = sympy.symbols("m e", real=True)
    y, t = sympy.symbols("y t", positive=True)
    density = sympy.exp(-e) / (1 + sympy.exp(-e)) ** 2
    cdf = 1 / (1 + sympy.exp(-e))
    above = 1 - cdf.subs(e, -m)
    on.printed.prove(
        sympy.simplify(sympy.diff(cdf, e) - density) == 0 and sympy.limit(cdf, e, -sympy.oo) == 0
        and sympy.limit(1 / (1 + sympy.exp(-y / t)), t, 0, "+") == 1
        and sympy.limit(1 / (1 + sympy.exp(y / t)), t, 0, "+") == 0
        and sympy.simplify(above - 1 / (1 + sympy.exp(-m))) == 0,
        "the limit is 1 for m + noise > 0 and 0 for m + noise < 0, and P(noise > -m) = sigmoid(m)")


@chapter.claim(
    "ivae.appE.cf", place="App. E", kind=Kind.CLAIM, hypotheses=("noise Logistic(0, 1)",),
    statement="The characteristic function of the noise is non-zero almost everywhere.")
@ctx.workprec(80)
def logistic_cf(on: Record) -> None:
    t = sympy.Symbol("t", positive=True)
    # With p = the distribution function, exp(i t e) = (p/(1 - p))^(i t): a Beta integral, B(1 + i t, 1 - i t).
    e = sympy.Symbol("e", real=True)
    p = 1 / (1 + sympy.exp(-e))
    odds = sympy.simplify(sympy.log(p / (1 - p)).rewrite(sympy.exp))
    beta = sympy.gammasimp(sympy.gamma(1 + sympy.I * t) * sympy.gamma(1 - sympy.I * t) / sympy.gamma(2))
    cf = sympy.pi * t / sympy.sinh(sympy.pi * t)
    log_odds = sympy.simplify(sympy.exp(odds) - sympy.exp(e)) == 0
    value = acb.integral(lambda s, _: (acb(0, 1) * s).exp() * (-s).exp() / (1 + (-s).exp()) ** 2, -60, 60).real
    closed = arb.pi() / arb.pi().sinh()
    on.printed.prove(log_odds and sympy.simplify(beta - cf) == 0 and cf.is_positive is True
                     and sympy.limit(cf, t, 0) == 1 and bool(abs(value - closed) < arb("1e-15")),
                     "it is Gamma(1 + it) Gamma(1 - it) = pi t / sinh(pi t) > 0 for t > 0, even in t, and 1 at t = 0; "
                     "the integral at t = 1 agrees to 1e-15 (balls)", Evidence.CERTIFIED)


@chapter.claim(
    "ivae.appE.Tpos", place="App. E", kind=Kind.CLAIM,
    hypotheses=("a fixed temperature > 0", "noise with a characteristic function that is almost nowhere zero"),
    statement="For a fixed positive temperature the law of x determines that of m.", universal=noise_removal,
    scope="that noise can be removed: lattice laws; the general proof is a repair of its own")
def positive_temperature(on: Record) -> None:
    y, t = sympy.Symbol("y", real=True), sympy.Symbol("t", positive=True)
    x = 1 / (1 + sympy.exp(-y / t))
    back = t * sympy.log(x / (1 - x))
    slope = sympy.simplify(sympy.diff(x, y) * t - x * (1 - x))
    on.printed.support(sympy.simplify(sympy.exp(back / t) - sympy.exp(y / t)) == 0 and slope == 0,
                       "m + noise = t log(x/(1 - x)) undoes the sigmoid", cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=150)


def _probability(shift: arb, power: int) -> arb:
    """E sigmoid((shift + xi)^power) for xi ~ N(0, 1), in a ball."""
    def integrand(point: acb, analytic: bool) -> acb:
        value = (point + shift) ** power
        density = (-point * point / 2).exp() / (2 * acb.pi()).sqrt()
        return density / (1 + (-value).exp())

    inside = acb.integral(integrand, -12, 12).real
    # The tails hold at most 2 P(xi > 12) < exp(-72).
    tail = arb(-72).exp()
    return inside + tail / 2 + arb(0, tail / 2)


@chapter.claim(
    "ivae.appE.ident", place="App. E; Sec. 3.1", kind=Kind.CLAIM,
    hypotheses=("observations in the limit of vanishing temperature", "the hypotheses of Theorem 1"),
    statement="The identifiability result carries over to discrete observations.")
@ctx.workprec(60)
def discrete_observations(on: Record) -> None:
    target = _probability(arb(1), 1)
    low, high = arb("0.84"), arb("0.842")
    ends = [_probability(shift, 3) for shift in (low, high)]
    # Odd decoders and a symmetric law of z give probability 1/2 at u_0.
    halves = [_probability(arb(0), power) for power in (1, 3)]
    cubes = [(v, sympy.Integer(v ** 3)) for v in (0, 1, 2)]
    related = sympy.Matrix([[sympy.cbrt(m), m, 1] for _, m in cubes]).rank() < 3
    symmetric = sympy.simplify(sum(1 / (1 + sympy.exp(-s * sympy.Symbol("y", real=True))) for s in (1, -1)) - 1)
    on.printed.refute(
        bool(ends[0] < target) and bool(target < ends[1]) and symmetric == 0 and not related
        and all(half.overlaps(arb(0.5)) for half in halves),
        "n = d = k = 1, T = z, z ~ N(mu(u), 1), one bit x: f = identity with mu = 0, 1 gives P(x = 1|u) = 1/2 and "
        f"{target.str(8, radius=False)}; f' = z^3 with mu' = 0 gives 1/2 too, and with mu'(u_1) between 0.84 "
        f"({ends[0].str(8, radius=False)}) and 0.842 ({ends[1].str(8, radius=False)}) exactly the other value, by "
        "continuity; f^-1(m) = m and f'^-1(m) = m^(1/3) are not affinely related", evidence=Evidence.CERTIFIED)
