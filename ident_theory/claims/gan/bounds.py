"""Section III, eqs. 19-24: what the loss is claimed to bound."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF, BoundCase, bound
from ident_theory.claims.gan.finite import FiniteModel, finite_models, laws, shown_law, shown_model
from ident_theory.claims.gan.logs import (
    PI,
    Law,
    LogSum,
    divergence,
    jensen_shannon,
    log,
    log_mixture,
    log_mixture_sign,
    log_normal,
    normal_divergence,
    total,
)
from ident_theory.claims.gan.pointwise import (
    evidence_gap_is_a_divergence,
    js_is_a_divergence,
    js_term_identity,
    logarithm_below_tangent,
    optimal_discriminator,
    vanishes,
)
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)


def _divergence_bound() -> Universal[BoundCase]:
    return bound("log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u)) - 2 JSD(data, generated)",
                 lambda case: case.twice_negative_divergence)


@chapter.claim(
    "gan.eq19", place="Section III, eq. 19", kind=Kind.CLAIM,
    statement="log p(x) - E_q log p(x|z) is at least -KL(q, p(z|u)) - 2 JSD(p, p_G), because subtracting a divergence "
              "from the smaller side is harmless.",
    hypotheses=("the prior of z depends on u",),
    correction=Correction("the same with log p(x|u), the model's own, on the left",
                          hypotheses=("the evidence is that of the model given u",)),
    universal=_divergence_bound)
def divergence_bound(on: Record) -> None:
    x, own = Fraction(2), Fraction(2)
    terms = [(HALF, log_normal(x, mean, Fraction(2))) for mean in (own, -own)]
    posterior = ((x + own) / 2, HALF)
    right = (log_normal(x, posterior[0], Fraction(1)) + LogSum(-posterior[1] / 2)
             - normal_divergence(posterior, (own, Fraction(1))))
    on.printed.refute(
        log_mixture_sign(terms, right) < 0 and (log_normal(x, own, Fraction(2)) - right).sign() == 0
        and jensen_shannon((HALF, HALF), (HALF, HALF)).sign() == 0,
        "u = + or - equally likely, z|u ~ N(2u, 1), x|z ~ N(z, 1), generator (JSD = 0) and encoder exact, x = 2, "
        f"u = +: log p(x) = {log_mixture(terms):.5f} < {float(right):.5f} = E_q log p(x|z) - KL",
        evidence=Evidence.CERTIFIED,
        shown="p(u) = 1/2, z|u ~ N(2u, 1), x|z ~ N(z, 1), q(z|x,u) = N((x + 2u)/2, 1/2), p_G = p, x = 2, u = +1")
    on.printed.search(cases=100, without=("conditional evidence",))
    on.corrected.prove(evidence_gap_is_a_divergence() and js_is_a_divergence(),
                       "left minus -KL is KL(q, p(z|x,u)) >= 0, and -2 JSD <= 0 (symbolic)")
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.eq20", place="Section III, eq. 20", kind=Kind.IDENTITY,
    statement="The right side of eq. 19 is L_prior - V(G, D*), the constant log 4 being of no consequence.",
    hypotheses=("eq. 19 is a bound: its sides are numbers, not objectives up to a constant",),
    correction=Correction("it is L_prior - V(G, D*) - log 4"))
def right_side_in_terms_of_the_value(on: Record) -> None:
    law = (Fraction(1, 3), Fraction(2, 3))
    value = total([log(HALF).times(p) for p in law + law])
    on.printed.refute((-value - jensen_shannon(law, law).times(-2) - log(4)).sign() == 0,
                      f"perfect generator: -V(G, D*) = {-value} and -2 JSD = 0")
    model = FiniteModel((Fraction(1),), (law,), ((HALF, HALF), (Fraction(1, 4), Fraction(3, 4))))
    gap = model.gap(0, 0, model.posterior(0, 0), model.given(0)[0])
    on.printed.refute((gap + value + log(4)).sign() == 0 and gap.sign() == 0,
                      "so eq. 19 with this right side fails even without u: for an exact posterior and a perfect "
                      "generator the left side misses L_prior - V by log 4")
    on.corrected.prove(js_term_identity() and optimal_discriminator(),
                       "V(G, D*) + log 4 = 2 JSD state by state (symbolic)")


@chapter.claim(
    "gan.eq21", place="Section III, eq. 21", kind=Kind.IDENTITY,
    statement="E log X is at most log E X.", hypotheses=("X > 0", "E X is finite"))
def jensen_for_the_logarithm(on: Record) -> None:
    x, w = sp.symbols("x0:2", positive=True), sp.symbols("w0:2", positive=True)
    mean = sum(a * b for a, b in zip(w, x, strict=True))
    excess = sum(a * (b / mean - 1 - sp.log(b / mean)) for a, b in zip(w, x, strict=True))
    difference = sp.log(mean) * sum(w) - sum(a * sp.log(b) for a, b in zip(w, x, strict=True)) + 1 - sum(w)
    on.printed.prove(logarithm_below_tangent() and vanishes(excess - difference),
                     "log t <= t - 1 by convexity, averaged at t = X / E X (symbolic, two atoms; linear in the atoms)")


@dataclass(frozen=True)
class AveragingCase:
    """A model, an observation, and the law over which its likelihood is averaged."""

    model: FiniteModel
    u: int
    x: int
    law: Law

    def conclusion(self) -> bool:
        """Reversed Jensen step, and the average likelihood equals the model's evidence."""
        average = sum((w * row[self.x] for w, row in zip(self.law, self.model.decoder, strict=True)), Fraction(0))
        reversed_step = (log(average) - self.model.reconstruction(self.law, self.x)).sign() >= 0
        return reversed_step and average == self.model.given(self.u)[self.x]


@st.composite
def _averaging_cases(draw: st.DrawFn, free: bool) -> AveragingCase:
    model = draw(finite_models(2, 3))
    u, x = draw(st.integers(0, len(model.weights) - 1)), draw(st.integers(0, model.n_x - 1))
    others = st.one_of(st.just(model.posterior(u, x)), laws(len(model.decoder)))
    return AveragingCase(model, u, x, draw(others) if free else model.prior[u])


def _likelihood_average() -> Universal[AveragingCase]:
    return Universal(
        statement="-E log p(x|z) >= -log E p(x|z), and E p(x|z) = p(x|u)",
        cases=lambda dropped: _averaging_cases(bool(dropped)),
        hypotheses={"average over the prior": lambda case: case.law == case.model.prior[case.u]},
        conclusion=AveragingCase.conclusion, needed=("average over the prior",),
        show=lambda case: f"{shown_model(case.model)}; u = {case.u}, x = {case.x}, average over {shown_law(case.law)}")


@chapter.claim(
    "gan.eq22", place="Section III, eq. 22", kind=Kind.CLAIM,
    statement="log p - E_q log p(x|z) is at most log p - log E_q p(x|z), and that is log p - log p_G(x).",
    correction=Correction("the inequality goes the other way for every q, and E p(x|z) is the model's evidence when "
                          "the average is over the prior in place of the encoder"),
    universal=_likelihood_average)
def reversed_jensen(on: Record) -> None:
    # z ~ N(0, 1), x | z ~ N(z, 1), x = 0, exact posterior N(0, 1/2).
    zero = Fraction(0)
    expected_log = log_normal(zero, zero, Fraction(1)) + LogSum(Fraction(-1, 4))
    log_expected = log_normal(zero, zero, Fraction(3, 2))
    evidence = log_normal(zero, zero, Fraction(2))
    z = sp.Symbol("z", real=True)
    # E_q p(0|z) as an integral, and the exact posterior closes the gap of eq. 15.
    average = sp.integrate(sp.exp(-z**2 / 2) / sp.sqrt(2 * sp.pi) * sp.exp(-z**2) / sp.sqrt(sp.pi), (z, -sp.oo, sp.oo))
    right_numbers = (sp.simplify(average * sp.sqrt(3 * sp.pi)) == 1
                     and (log_expected + log(3).times(HALF) + LogSum(0, {PI: HALF})).sign() == 0
                     and (evidence - expected_log + normal_divergence((zero, HALF), (zero, Fraction(1)))).sign() == 0)
    on.printed.refute(right_numbers and (log_expected - expected_log).sign() > 0,
                      f"z ~ N(0, 1), x|z ~ N(z, 1), q = N(0, 1/2) exact, x = 0: left {evidence - expected_log} exceeds "
                      f"right {evidence - log_expected}", shown="z ~ N(0, 1), x|z ~ N(z, 1), q = N(x/2, 1/2), x = 0")
    on.printed.refute((log_expected - evidence).sign() > 0,
                      f"the same model: log E_q p(x|z) = {log_expected} is not log p(x) = {evidence}")
    on.printed.search(cases=100, without=("average over the prior",))
    on.corrected.prove(logarithm_below_tangent(), "E log <= log E (eq. 21): minus signs reverse the printed step")
    on.corrected.search(cases=100)


@dataclass(frozen=True)
class DataCase:
    """A data law, a generated law and a value of KL(q, prior); at one state, or averaged over the data."""

    data: Law
    generated: Law
    divergence: Fraction
    state: int | None

    def conclusion(self) -> bool:
        """Left side at least right side."""
        if self.state is None:
            left = divergence(self.data, self.generated)
        else:
            left = log(self.data[self.state] / self.generated[self.state])
        right = jensen_shannon(self.data, self.generated).times(-2) - LogSum(self.divergence)
        return (left - right).sign() >= 0

    def shown(self) -> str:
        """The case as text."""
        where = "averaged over the data" if self.state is None else f"at state {self.state}"
        return f"p = {shown_law(self.data)}, p_G = {shown_law(self.generated)}, KL = {self.divergence}, {where}"


@st.composite
def _data_cases(draw: st.DrawFn, pointwise: bool) -> DataCase:
    size = draw(st.integers(1, 4))
    data = draw(laws(size))
    generated = draw(st.one_of(laws(size), st.just(data)))
    state = draw(st.integers(0, size - 1)) if pointwise else None
    return DataCase(data, generated, draw(st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(3)])), state)


def _averaged_bound() -> Universal[DataCase]:
    return Universal(
        statement="log p(x) - log p_G(x) >= -KL - 2 JSD(p, p_G)",
        cases=lambda dropped: _data_cases(bool(dropped)),
        hypotheses={"averaged over the data": lambda case: case.state is None},
        conclusion=DataCase.conclusion, needed=("averaged over the data",), show=DataCase.shown)


@chapter.claim(
    "gan.eq23", place="Section III, eq. 23", kind=Kind.CLAIM,
    statement="log p(x) - log p_G(x) is at least -KL(q, p(z|u)) - 2 JSD(p, p_G) at every x.",
    correction=Correction("it holds averaged over x from the data law, where the left side is KL(p, p_G) >= 0 and the "
                          "bound says nothing"),
    universal=_averaged_bound)
def density_gap_bound(on: Record) -> None:
    # 2 JSD = V(G, D*) + log 4 is at most log 4, so the right side is at least -log 4 when q equals the prior.
    x = Fraction(5)
    left = log_normal(x, Fraction(0), Fraction(1)) - log_normal(x, Fraction(1), Fraction(1))
    on.printed.refute((left + log(4)).sign() < 0 and js_term_identity(),
                      f"data N(0, 1), decoder N(1, 1) for every z, encoder = prior, x = 5: left side {left}, right "
                      f"side at least -log 4 = {-log(4)}",
                      shown="p = N(0, 1), p(x|z) = N(1, 1) for all z, q(z|x,u) = p(z|u), x = 5")
    on.printed.search(cases=100, without=("averaged over the data",))
    on.corrected.prove(logarithm_below_tangent() and js_is_a_divergence(),
                       "KL(p, p_G) >= 0 since -log t >= 1 - t; KL and JSD on the right come with a minus sign")
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.eq24", place="Section III, eq. 24", kind=Kind.CLAIM,
    statement="The Jensen-Shannon divergence vanishes only for p = p_G, and then the bound says 0 >= -KL, the usual "
              "sign of a divergence.")
def bound_at_the_optimum(on: Record) -> None:
    q, p = sp.symbols("q p", positive=True)
    share = q * sp.log(q / p) - (q - p)
    tangent = p / q - 1 - sp.log(p / q)
    on.printed.prove(js_is_a_divergence() and logarithm_below_tangent() and vanishes(share - q * tangent),
                     "the divergence's share of a state is a phi(b/a) with phi convex and phi(1) = phi'(1) = 0; KL's "
                     "is q h(p/q) with h(t) = t - 1 - log t >= 0 (symbolic)")


@chapter.claim(
    "gan.s3.max", place="Section III, after eq. 23", kind=Kind.CLAIM,
    statement="Maximising the adversarial part of the bound brings the generated law to the data law.",
    argument="Raising the lower bound lowers what it bounds, the difference of the log densities.")
def raising_a_lower_bound(on: Record) -> None:
    on.printed.prove(js_is_a_divergence(), "-2 JSD <= 0 with equality only for equal laws (symbolic, state by state)")
    data = (Fraction(1, 3),) * 3
    before = (Fraction(1, 3), Fraction(1, 100), Fraction(197, 300))
    after = (Fraction(1, 4), Fraction(3, 8), Fraction(3, 8))
    rise = jensen_shannon(data, before) - jensen_shannon(data, after)
    gaps = [log(data[0] / law[0]) for law in (before, after)]
    on.argument.refute(rise.sign() > 0 and (gaps[1] - gaps[0]).sign() > 0 and gaps[0].sign() == 0,
                       f"data (1/3, 1/3, 1/3): from p_G = {shown_law(before)} to {shown_law(after)} the bound rises by "
                       f"{rise.times(2)}, and the gap of the log densities at the first state from 0 to {gaps[1]}")


@chapter.claim(
    "gan.s3.approach", place="Section III, after eq. 14", kind=Kind.CLAIM,
    statement="As the loss is maximised, the expected log likelihood under the encoder approaches the log density of "
              "the data.",
    hypotheses=("the loss reaches its maximum: JSD = 0 and KL(q, p(z|u)) = 0",),
    correction=Correction("the law of the generated samples approaches that of the data; the expected log likelihood "
                          "stays below log p(x|u) by KL(prior, posterior) when encoder and prior agree"))
def likelihood_at_the_maximum(on: Record) -> None:
    zero, one = Fraction(0), Fraction(1)
    # z ~ N(0, 1), x | z ~ N(z, 1), encoder = prior: E_q log p(x|z) at x = 0, the posterior being N(0, 1/2).
    expected = log_normal(zero, zero, one) - LogSum(HALF)
    evidence = log_normal(zero, zero, Fraction(2))
    gap = evidence - expected
    encoder = normal_divergence((zero, one), (zero, one))
    on.printed.refute(encoder.sign() == 0 and gap.sign() > 0,
                      f"z ~ N(0, 1), x|z ~ N(z, 1), generated law = data law, encoder = prior: the loss has its "
                      f"maximum, and at x = 0 log p(x) exceeds E_q log p(x|z) by {gap}",
                      shown="z ~ N(0, 1), x|z ~ N(z, 1), q(z|x) = N(0, 1), p_G = p, x = 0")
    on.corrected.prove(js_is_a_divergence() and evidence_gap_is_a_divergence()
                       and (gap - normal_divergence((zero, one), (zero, HALF))).sign() == 0,
                       "-2 JSD is largest for equal laws only; the gap is KL(q, posterior) (symbolic), in the example "
                       f"KL(N(0, 1), N(0, 1/2)) = {gap} (exact)")
