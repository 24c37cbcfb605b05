"""Sections III, V and VI: does the adversarial loss give what the identifiability theorem asks for?"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF, AverageCase, aggregate, average_cases
from ident_theory.claims.gan.cyclic import matched_signal_statement
from ident_theory.claims.gan.finite import FiniteModel, Table, laws, mix, shown_law, shown_table, tables
from ident_theory.claims.gan.logs import Law, LogSum, divergence, jensen_shannon, log, normal_divergence
from ident_theory.claims.gan.model_pairs import identified_models
from ident_theory.claims.gan.pointwise import (
    A,
    B,
    T,
    evidence_gap_is_a_divergence,
    js_is_a_divergence,
    js_term_identity,
    logarithm_below_tangent,
    optimal_discriminator,
    vanishes,
)
from ident_theory.claims.matrices import rank, solve
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.numerics import Evidence, Status

chapter = Chapter(GAN)


def _posterior_is_best() -> Universal[AverageCase]:
    return Universal(
        statement="no encoder has a larger E[-KL(q, p(z|u)) + E_q log p(x|z)] than the posterior",
        cases=lambda dropped: average_cases((False, True) if dropped else (True,)),
        hypotheses={"likelihood term": lambda case: case.reconstruction},
        conclusion=lambda case: (case.objective(case.posteriors()) - case.objective(case.encoders)).sign() >= 0,
        needed=("likelihood term",), show=AverageCase.shown)


@chapter.claim(
    "gan.ident.collapse", place="Section III, end, and Section V", kind=Kind.CLAIM,
    statement="An encoder and a generator that maximise the loss recover the latents: the encoder is the posterior "
              "of the identified model.",
    hypotheses=("data from a model with an injective decoder and a conditional prior", "loss at its global optimum"),
    correction=Correction("so does an encoder that maximises E[-KL(q, p(z|u)) + E_q log p(x|z)] for a generator that "
                          "reproduces the data", hypotheses=("a likelihood term ties the encoder to x",)),
    universal=_posterior_is_best)
def encoder_collapse(on: Record) -> None:
    # x = z + N(0, 1/100), z | u ~ N(2u, 1): the posterior is N(2u + k (x - 2u), 1 - k), k = 100/101.
    noise = Fraction(1, 100)
    k = 1 / (1 + noise)
    prior = (Fraction(2), Fraction(1))
    # KL(posterior, prior) is quadratic in x - 2u, which has mean 0 and variance 1 + noise.
    at_centre = normal_divergence((prior[0], 1 - k), prior)
    averaged = at_centre + LogSum(k**2 * (1 + noise) / 2)
    information = log(1 + 1 / noise).times(HALF)
    collapsed = normal_divergence(prior, prior)
    on.printed.refute(
        (averaged - information).sign() == 0 and averaged.sign() > 0 and collapsed.sign() == 0,
        f"x = z + N(0, 1/100), z|u ~ N(2u, 1), u = +-1: generator = truth (JSD = 0) with encoder = prior reaches the "
        f"maximum 0 of L_prior and tells nothing about z given u; the true posterior scores -I(x; z|u) = "
        f"{-information}", shown="p(u) = 1/2, z|u ~ N(2u, 1), x|z ~ N(z, 1/100), q(z|x,u) = N(2u, 1), "
                                   "generated samples N(z, 1/100) with z|u ~ N(2u, 1)")
    # z = x given u is one fair bit: the encoder that ignores x has no covariance with z, the posterior copies z.
    right, wrong = Fraction(9, 10), Fraction(1, 10)
    bit = FiniteModel((Fraction(1),), ((HALF, HALF),), ((right, wrong), (wrong, right)))
    ignoring = (bit.prior[0], bit.prior[0])
    covariances = [_covariance(bit, encoder) for encoder in (ignoring, (bit.posterior(0, 0), bit.posterior(0, 1)))]
    on.printed.refute(covariances[0] == 0 and covariances[1] > 0,
                      f"one fair bit through a channel with error 1/10: covariance of encoded and true latent "
                      f"{covariances[0]} at the optimum of the loss, {covariances[1]} for the posterior")
    on.printed.search(cases=100, without=("likelihood term",))
    on.corrected.prove(evidence_gap_is_a_divergence() and logarithm_below_tangent(),
                       "log p(x|u) minus the objective is KL(q, p(z|x,u)) (symbolic), zero at the posterior alone")
    on.corrected.search(cases=100)


def _covariance(model: FiniteModel, encoders: Table) -> Fraction:
    """Covariance of z and of the encoder's sample, both 0 or 1, for the one value of u."""
    joint = [(model.prior[0][z] * model.decoder[z][x] * encoders[x][code], z, code)
             for z in range(2) for x in range(model.n_x) for code in range(2)]
    first = sum((weight * z for weight, z, _ in joint), Fraction(0))
    second = sum((weight * code for weight, _, code in joint), Fraction(0))
    return sum((weight * z * code for weight, z, code in joint), Fraction(0)) - first * second


@dataclass(frozen=True)
class MatchCase:
    """Data and generated laws given u, and whether the discriminator sees u."""

    weights: Law
    data: Table
    generated: Table
    sees_u: bool

    def seen(self, table: Table) -> Law:
        """The law of what the discriminator is shown."""
        if self.sees_u:
            return tuple(w * p for w, row in zip(self.weights, table, strict=True) for p in row)
        return mix(self.weights, table)

    def fooled(self) -> bool:
        """Whether no discriminator gains anything."""
        return jensen_shannon(self.seen(self.data), self.seen(self.generated)).sign() == 0

    def shown(self) -> str:
        """The case as text."""
        return (f"p(u) = {shown_law(self.weights)}; data p(x|u) = {shown_table(self.data)}; "
                f"generated p(x|u) = {shown_table(self.generated)}")


@st.composite
def _match_cases(draw: st.DrawFn, sees_u: tuple[bool, ...], unseen: bool) -> MatchCase:
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weights = draw(st.one_of(st.just((Fraction(1, rows),) * rows), laws(rows, least=0 if unseen else 1)))
    data = draw(tables(rows, columns))
    blended = (mix(weights, data),) * rows
    free = tables(rows, columns)
    choices = [st.just(data), st.permutations(data).map(tuple), st.just(blended), free]
    if unseen:
        # The data law wherever u has mass, anything elsewhere.
        choices.append(free.map(lambda table: tuple(known if weight else other for weight, known, other
                                                    in zip(weights, data, table, strict=True))))
    generated = draw(st.one_of(choices))
    return MatchCase(weights, data, generated, draw(st.sampled_from(sees_u)))


def _fooled_discriminator() -> Universal[MatchCase]:
    return Universal(
        statement="if no discriminator tells data from generated samples, then p(x|u) agrees for every u",
        cases=lambda dropped: _match_cases((False, True) if "the discriminator sees u" in dropped else (True,),
                                           "every u is seen" in dropped),
        hypotheses={"no divergence": MatchCase.fooled,
                    "the discriminator sees u": lambda case: case.sees_u,
                    "every u is seen": lambda case: all(case.weights)},
        conclusion=lambda case: case.data == case.generated,
        needed=("the discriminator sees u", "no divergence", "every u is seen"),
        show=MatchCase.shown)


@chapter.claim(
    "gan.ident.marginal", place="Sections III and VI", kind=Kind.CLAIM,
    statement="A vanishing divergence of generated and observed data gives p(x|u) = p~(x|u), which is what the "
              "identifiability theorem assumes; nothing else is asked of the adversarial training.",
    correction=Correction("it does if the discriminator sees the pair (x, u)",
                          hypotheses=("the discriminator sees u", "every u has positive probability")),
    universal=_fooled_discriminator)
def marginal_match(on: Record) -> None:
    decoder, noise = ReLUNetwork(weights=[[[1]]], biases=[[0]]), GaussianNoise(std="1/2")
    means = ([[-2], [2]], [[2], [-2]])
    mixtures = [Model(GaussianMixture(["1/2", "1/2"], m, [[[1]], [[1]]]), decoder, noise) for m in means]
    conditional = [Model(ConditionalPrior.from_means_variances(m, [[1], [1]], weights=["1/2", "1/2"]), decoder, noise)
                   for m in means]
    together, given_u = equal_in_law(*mixtures), equal_in_law(*conditional)
    on.printed.refute(together.status is Status.HOLDS and given_u.status is Status.FAILS,
                      "data z|u ~ N(-2, 1), N(2, 1), model with the two classes exchanged: the laws of x agree, so "
                      "that JSD = 0 and KL = 0, while p(x|u) differs for either u",
                      shown=show_models(data=conditional[0], generated=conditional[1]), evidence=given_u.evidence)
    on.printed.search(cases=100, without=("the discriminator sees u",))
    on.corrected.prove(js_is_a_divergence(), "JSD of the joint laws sums the weights p(u) times non-negative shares "
                                             "that vanish only where p(x|u) = p~(x|u) (symbolic)")
    on.corrected.search(cases=100)


def _fold(z: Fraction) -> Fraction:
    return z if abs(z) < 1 else -z


@chapter.claim(
    "gan.ident.main", place="Abstract, Sections III and VI", kind=Kind.THEOREM,
    statement="At the optimum of the loss the model is identified: decoder and statistics are those of the data up to "
              "the relation of eq. 9, whatever form the adversarial training takes.",
    hypotheses=("injective decoders", "an invertible L", "minimal statistics", "JSD = 0 and KL = 0"),
    correction=Correction("they are if generated and observed data agree given every u",
                          hypotheses=("the discriminator sees u", "the generator adds the model's noise")),
    universal=identified_models,
    scope="in the second counterexample: that the increasing map between two even laws exists and is odd")
def marginal_law_identifies_nothing(on: Record) -> None:
    # Three values of u, equally likely: z | u ~ N(0, 1), N(1, 2), N(-1, 2); the mixture is even.
    table = ((Fraction(0), Fraction(1)), (Fraction(1), Fraction(2)), (Fraction(-1), Fraction(2)))
    natural = [(m / v, Fraction(-1) / (2 * v)) for m, v in table]
    spanning = rank([[a - b for a, b in zip(row, natural[0], strict=True)] for row in natural[1:]]) == 2
    even = sorted(table) == sorted((-m, v) for m, v in table)
    # G(z) = z for |z| < 1 and -z otherwise keeps every even law.
    points = [Fraction(p) for p in (-2, 2)] + [-HALF, HALF]
    rows = [(_fold(p), p * p, Fraction(1)) for p in points]
    # The map changes no modulus and undoes itself, so that it is injective and keeps even laws.
    fair = all(_fold(_fold(p)) == p and abs(_fold(p)) == abs(p) for p in [*points, Fraction(1), Fraction(-1)])
    on.printed.refute(spanning and even and fair and solve(rows, points) is None,
                      "z|u ~ N(0, 1), N(1, 2), N(-1, 2), x = z, generator z for |z| < 1 and -z otherwise, encoder = "
                      "prior: injective, L invertible, JSD = KL = 0; z at -2, -1/2, 1/2, 2 is no affine function of "
                      "T~ = (G^-1, its square)",
                      shown="p(u) = 1/3, z|u ~ N(0, 1), N(1, 2), N(-1, 2), f(z) = z; f~(z) = z if |z| < 1 else -z, "
                            "same prior")
    s = sp.Symbol("s", positive=True)
    scalings = [sp.solve(sp.Eq(s**2 * 1, 1), s), sp.solve(sp.Eq(2 * s, 1), s)]
    on.printed.refute(scalings[0] != scalings[1],
                      "nor does continuity help: with means 0, 2, -2 in place of 0, 1, -1 the increasing map that "
                      "carries one mixture to the other is a decoder with JSD = 0; it is odd, so eq. 9 would make it "
                      f"a scaling, by {scalings[0]} for the variances and {scalings[1]} for the means")
    on.corrected.search(cases=25)


@chapter.claim(
    "gan.gen.noise", place="Section III, eqs. 12 and 16 with eq. 6", kind=Kind.CLAIM,
    statement="The law of the generator's output G(z) is the observed law of the model x = f(z) + e with f = G, so "
              "that the data law is matched by the true decoder.",
    hypotheses=("G has no noise of its own",),
    correction=Correction("it is for G(z) + e with the noise of the model",
                          hypotheses=("the model's noise is added to the generator's output",
                                      "its characteristic function vanishes nowhere")),
    universal=matched_signal_statement)
def generator_without_noise(on: Record) -> None:
    data, generated = (Fraction(0), Fraction(2)), (Fraction(0), Fraction(1))
    on.printed.refute(normal_divergence(data, generated).sign() > 0,
                      "z ~ N(0, 1), x = z + N(0, 1): the data law is N(0, 2), the true decoder without noise gives "
                      f"N(0, 1), KL {normal_divergence(data, generated)}; G(z) = sqrt(2) z fits instead",
                      shown="z ~ N(0, 1), f(z) = z, e ~ N(0, 1), G(z) = z")
    g = sp.Matrix(sp.symbols("g0:2", real=True))
    s = sp.Symbol("s", positive=True)
    of_generator, of_data = sp.expand((g * g.T).det()), sp.expand((g * g.T + s * sp.eye(2)).det())
    on.printed.refute(of_generator == 0 and sp.expand(of_data - s * (s + g.dot(g))) == 0,
                      "one latent, two observed coordinates, f(z) = g z, noise N(0, s I): the generator's covariance "
                      "has determinant 0 for every g, the data's s(s + |g|^2) > 0, so that JSD = log 2 whatever g is")
    on.printed.search(cases=100, without=("noise added",))
    on.corrected.search(cases=100)


@dataclass(frozen=True)
class FeedCase:
    """A model and encoders whose samples the generator is fed."""

    case: AverageCase

    def fed(self) -> Law:
        """Law of the generated samples in the algorithm, path by path: u, latent, data, code, sample."""
        model, law = self.case.model, [Fraction(0)] * self.case.model.n_x
        for (u, weight), (z, row), x in product(enumerate(model.weights), enumerate(model.decoder), range(model.n_x)):
            path = weight * model.prior[u][z] * row[x]
            for code, sample in product(range(len(model.decoder)), range(model.n_x)):
                law[sample] += path * self.case.encoders[u][x][code] * model.decoder[code][sample]
        return tuple(law)

    def aggregates(self) -> bool:
        """Whether the aggregate encoder law given u is the prior, for every u."""
        model = self.case.model
        return all(aggregate(model, self.case.encoders, u) == model.prior[u] for u in range(len(model.weights)))


@st.composite
def _feed_cases(draw: st.DrawFn) -> FeedCase:
    case = draw(average_cases((False,)))
    return FeedCase(draw(st.sampled_from([case, AverageCase(case.model, case.posteriors(), False)])))


def _fed_law() -> Universal[FeedCase]:
    return Universal(
        statement="samples decoded from encoder samples have the law of samples decoded from the conditional prior",
        cases=lambda dropped: _feed_cases(), hypotheses={"aggregate encoder = prior": FeedCase.aggregates},
        conclusion=lambda case: case.fed() == case.case.model.marginal(), needed=("aggregate encoder = prior",),
        show=lambda case: case.case.shown())


@chapter.claim(
    "gan.alg1.enc", place="Section III, Algorithm 1 against eq. 12", kind=Kind.CLAIM,
    statement="Algorithm 1 decodes encoder samples; with the best discriminator its value is -log 4 + 2 JSD of the "
              "data and of that law, which is eq. 12's once the aggregate encoder given u is the prior.",
    argument="The generated law of the training algorithm is that of eq. 12, z drawn from the conditional prior.",
    covers=("Algorithm 1",), universal=_fed_law)
def generator_input(on: Record) -> None:
    on.printed.support(js_term_identity() and optimal_discriminator(),
                       "eq. 16 with the law of the decoded encoder samples (symbolic, per state)", cases=1,
                       evidence=Evidence.EXACT)
    on.printed.search(cases=100)
    on.argument.search(cases=100, without=("aggregate encoder = prior",))
    law, decoder = (Fraction(1, 2), Fraction(1, 2)), ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))
    stuck = ((Fraction(1), Fraction(0)),) * 2
    case = FeedCase(AverageCase(FiniteModel((Fraction(1),), (law,), decoder), (stuck,), False))
    value = jensen_shannon(law, case.fed())
    on.argument.refute(value.sign() > 0 and case.case.model.marginal() == law,
                       "a true decoder and prior with an encoder stuck at one state: decoded samples "
                       f"{shown_law(case.fed())} against {shown_law(law)} from the prior, JSD {value} in place of 0",
                       shown=case.case.shown())


def _non_saturating_identity() -> bool:
    share = B * sp.log((A + B) / A)
    middle = (A + B) / 2
    return vanishes(share - (B * sp.log(B / A) - B * sp.log(B / middle) + B * sp.log(2)))


@chapter.claim(
    "gan.eq26.ns", place="Section III, Algorithm 1, eq. 26", kind=Kind.CLAIM,
    statement="The generator's cross entropy against the label 1, with the best discriminator, is least exactly when "
              "the generated law is the data law.",
    argument="This loss is the generator's part of V, so that eqs. 16-20 describe it.")
def non_saturating_loss(on: Record) -> None:
    curve = sp.log(1 + 1 / T)
    on.printed.prove(_non_saturating_identity() and sp.simplify(sp.diff(curve, T, 2)).is_positive
                     and curve.subs(T, 1) == sp.log(2),
                     "E_G[-log D*] = KL(p_G, p) - KL(p_G, (p + p_G)/2) + log 2 = E_G c(p/p_G) with c(t) = log(1 + 1/t) "
                     "strictly convex, so at least c(1) = log 2, with equality only for p = p_G (symbolic)")
    data, law = (HALF, HALF), (Fraction(1, 4), Fraction(3, 4))
    optimal = tuple(p / (p + g) for p, g in zip(data, law, strict=True))
    loss = sum((log(d).times(-g) for d, g in zip(optimal, law, strict=True)), LogSum())
    part = sum((log(1 - d).times(g) for d, g in zip(optimal, law, strict=True)), LogSum())
    at_data = (log(2), -log(2))
    middle = tuple((p + g) / 2 for p, g in zip(data, law, strict=True))
    whole = part + sum((log(d).times(p) for d, p in zip(optimal, data, strict=True)), LogSum())
    right_numbers = ((loss - divergence(law, data) + divergence(law, middle) - log(2)).sign() == 0
                     and (whole - jensen_shannon(data, law).times(2) + log(4)).sign() == 0)
    on.argument.refute(right_numbers and (loss - at_data[0] - (part - at_data[1])).sign() != 0,
                       f"data (1/2, 1/2), generated (1/4, 3/4): above its optimum the loss is {loss - at_data[0]}, the "
                       f"generator's part of V {part - at_data[1]}, so the loss is no 2 JSD plus a constant")
