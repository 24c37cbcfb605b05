"""Sections I and II: identifiability, the conditional model, and what it is said to recover."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.family_pairs import FamilyPair, affine_relation
from ident_theory.claims.gan.logs import log_normal
from ident_theory.claims.gan.model_pairs import identified_models
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.conditions.relation import equivalence
from ident_theory.conditions.result import Equivalence, Target
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.numerics import Evidence, Status

chapter = Chapter(GAN)

X, Z, SLOPE, SCALE = sp.symbols("x z a s", real=True)


def _normal(at: sp.Expr, mean: sp.Expr, variance: sp.Expr) -> sp.Expr:
    return sp.exp(-((at - mean) ** 2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)


@chapter.claim(
    "gan.eq1-3", place="Section II.A, eqs. 1-3", kind=Kind.DEFINITION,
    statement="A model is identifiable if equal observed laws come from equal parameters only; the joint law is "
              "decoder times prior, and the observed law integrates it over the latent.",
    scope="other models than the one computed in closed form, normal and linear")
def identifiability(on: Record) -> None:
    slope, noise = sp.symbols("a v", positive=True)
    joint = _normal(X, slope * Z, noise) * _normal(Z, 0, 1)
    marginal = sp.integrate(sp.expand(sp.exp(sp.expand(sp.log(joint).expand(force=True)))), (Z, -sp.oo, sp.oo))
    exact = sp.simplify(sp.expand_log(sp.log(sp.simplify(marginal / _normal(X, 0, slope**2 + noise))), force=True)) == 0
    # The observed law has the one parameter a^2 + v: of a alone it fixes the modulus.
    with_known_noise = sp.solve(sp.Eq(SLOPE**2, slope**2), SLOPE)
    on.printed.prove(exact and set(with_known_noise) == {slope, -slope},
                     "x|z ~ N(a z, v), z ~ N(0, 1): the integral of the joint density is the density of N(0, a^2 + v) "
                     "(symbolic); the slopes a and -a give one law, so the model is identifiable for a > 0 and not for "
                     "a of either sign")


@chapter.claim(
    "gan.s1.encoder", place="Section I", kind=Kind.CLAIM,
    statement="By its definition an identifiable model needs a learnt map from data to latents, which a generative "
              "adversarial network lacks.",
    hypotheses=("identifiability as in eq. 1",),
    correction=Correction("identifiability is a property of the laws that generators and priors give; a map to the "
                          "latents is needed to read them off, and an injective generator has one as its inverse",
                          hypotheses=("the generator is injective",)))
def no_encoder_is_needed(on: Record) -> None:
    slope, other = sp.symbols("g h", positive=True)
    # z ~ N(0, 1), x = g z: the law is N(0, g^2).
    density = _normal(Z, 0, 1).subs(Z, X / slope) / slope
    same = sp.solve(sp.Eq(slope**2, other**2), slope)
    on.printed.refute(sp.simplify(density / _normal(X, 0, slope**2)) == 1 and same == [other],
                      "x = g z, z ~ N(0, 1), g > 0, no encoder anywhere: x ~ N(0, g^2), and equal laws have equal g",
                      shown="z ~ N(0, 1), G(z) = g z, g > 0")
    on.corrected.prove(sp.solve(sp.Eq(X, slope * Z), Z) == [X / slope] and same == [other],
                       "in the example the law fixes g, and z = x/g is read off without training (symbolic)")


@chapter.claim(
    "gan.s2a.joint", place="Section II.A, after eq. 3", kind=Kind.CLAIM,
    statement="Latent variable models with an unconditional prior do not fix the joint law of data and latents, so "
              "that the latents cannot be recovered.",
    correction=Correction("those with a standard normal prior do not: z may be rotated; a Gaussian mixture prior with "
                          "a piecewise affine injective decoder fixes the joint law up to an affine change of the "
                          "latent",
                          hypotheses=("the prior is standard normal",)),
    scope="that every mixture fixes the joint law, a theorem of the literature; one example of it is decided")
def unconditional_priors(on: Record) -> None:
    prior = GaussianMixture(["1/3", "2/3"], [[0], [5]], [[[1]], [[2]]])
    model = Model(prior, ReLUNetwork(weights=[[[1]]], biases=[[0]]), GaussianNoise(std="1/2"))
    reached = {conclusion.target: conclusion for conclusion in check(model).conclusions}
    on.printed.refute(Target.JOINT in reached and Target.LATENT in reached,
                      "a mixture of N(0, 1) and N(5, 2) with weights 1/3, 2/3, decoder z, known noise: the joint law "
                      f"is fixed up to {reached[Target.JOINT].equivalence} maps", shown=show_models(model=model),
                      evidence=reached[Target.JOINT].evidence)
    t = sp.Symbol("t", real=True)
    matrix = sp.Matrix(2, 2, sp.symbols("a0:4", real=True))
    turn = sp.Matrix([[sp.cos(t), -sp.sin(t)], [sp.sin(t), sp.cos(t)]])
    same = sp.simplify(matrix * turn * (matrix * turn).T - matrix * matrix.T) == sp.zeros(2)
    other = sp.simplify(matrix * turn - matrix)
    on.corrected.prove(same and other != sp.zeros(2) and Target.JOINT in reached,
                       "z ~ N(0, I), x = M z + e: M and M R have one law of x, and covariances M and M R of x with z "
                       "(symbolic); the mixture is the example above")


@chapter.claim(
    "gan.s2a.recover", place="Section II.A, end", kind=Kind.CLAIM,
    statement="For the identifiable model only one joint law gives the observed one, so that the latents are "
              "recovered.",
    hypotheses=("the conditional model of eqs. 4-6", "decoder and prior parameters in the class of eq. 9"),
    correction=Correction("the joint law is fixed up to the relation of eq. 9, and with it the statistics of the "
                          "latents up to an invertible affine map"))
def one_joint_law(on: Record) -> None:
    noise = GaussianNoise(std="1/2")
    priors = (ConditionalPrior.from_means_variances([[-2], [2], [0]], [[1], [1], [3]]),
              ConditionalPrior.from_means_variances([[-4], [4], [0]], [[4], [4], [12]]))
    decoders = tuple(ReLUNetwork(weights=[[[slope]]], biases=[[0]]) for slope in ("1", "1/2"))
    first, second = (Model(prior, decoder, noise) for prior, decoder in zip(priors, decoders, strict=True))
    same = equal_in_law(first, second)
    # Covariance of x and z given the first u: slope times variance of the latent.
    covariances = [-decoder.weights_exact[0][0, 0] / (2 * prior.natural_exact[0, 0, 1])
                   for prior, decoder in zip(priors, decoders, strict=True)]
    on.printed.refute(same.status is Status.HOLDS and covariances == [1, 2],
                      "z~ = 2 z with the decoder z~/2: p(x|u) agrees for three values of u, while the covariances of x "
                      f"with the latent are {covariances[0]} and {covariances[1]} at the first",
                      shown=show_models(first=first, second=second), evidence=same.evidence)
    relation = equivalence(first, second)
    on.corrected.support(relation.equivalence is not Equivalence.NONE, f"the toolkit relates the two: "
                                                                       f"{relation.equivalence}",
                         cases=1, evidence=Evidence.EXACT)
    on.corrected.search(affine_relation())


@chapter.claim(
    "gan.eq5-9", place="Section II.B and II.D, eqs. 4-9", kind=Kind.DEFINITION,
    statement="The prior given u is a product of exponential families, the decoder adds noise, and two parameters are "
              "related when the statistics of the inferred latents are invertible affine images of each other.",
    scope="priors and noise that are not normal")
def conditional_model(on: Record) -> None:
    mean, centre = sp.symbols("m c", real=True)
    variance = sp.Symbol("v", positive=True)
    exponent = Z * (mean / variance) + Z**2 * (-1 / (2 * variance))
    normaliser = sp.sqrt(2 * sp.pi * variance) * sp.exp(mean**2 / (2 * variance))
    normal = sp.simplify(sp.exp(exponent) / normaliser / _normal(Z, mean, variance)) == 1
    on.printed.prove(normal and bool(sp.integrate(_normal(X, centre, variance), (X, -sp.oo, sp.oo)) == 1),
                     "T = (z, z^2) with natural parameters (m/v, -1/(2v)) is N(m, v); the decoder density of additive "
                     "noise integrates to 1 (symbolic)")
    # Symbols that do not commute stand for matrices and columns of any size.
    a, b, c, d, t = sp.symbols("a b c d t", commutative=False)
    back = sp.expand(a**-1 * (a * t + c) - (a**-1 * c)) - t
    twice = sp.expand(a * (b * t + d) + c - ((a * b) * t + (a * d + c)))
    on.printed.prove(back == 0 and twice == 0 and a * b * (b**-1 * a**-1) == 1,
                     "invertible affine maps are closed under inverses and composition, in any dimension: eq. 9 is an "
                     "equivalence (symbolic)")
    # Independence holds given u and is lost when u is mixed: variances (1, 1) or (4, 4), each with probability 1/2.
    density = _normal(X, 0, variance) * _normal(Z, 0, variance)
    joint = sp.integrate(sp.integrate(X**2 * Z**2 * density, (X, -sp.oo, sp.oo)), (Z, -sp.oo, sp.oo))
    each = sp.integrate(X**2 * _normal(X, 0, variance), (X, -sp.oo, sp.oo))
    mixed = sum(joint.subs(variance, v) for v in (1, 4)) / 2 - (sum(each.subs(variance, v) for v in (1, 4)) / 2) ** 2
    on.printed.prove(sp.simplify(joint - each**2) == 0 and mixed == sp.Rational(9, 4),
                     f"given u the squares of two latents are uncorrelated; after mixing over u their covariance is "
                     f"{mixed}")


@chapter.claim(
    "gan.s2b.universal", place="Section II.B, after eq. 5", kind=Kind.CLAIM,
    statement="That the latent law is an exponential family is no restriction, since such families approximate any "
              "law.",
    hypotheses=("statistics and their number are fixed over u",),
    correction=Correction("exponential families approximate any positive law if statistics may be added without end; "
                          "with given statistics they do not, and factorial ones never approximate dependent latents"),
    scope="laws on infinitely many points")
def fixed_statistics_restrict(on: Record) -> None:
    w, r = sp.symbols("w r", positive=True)
    weights = [w, w * r, w * r**2]
    law = (Fraction(1, 4), HALF, Fraction(1, 4))
    on.printed.refute(sp.simplify(weights[1] ** 2 - weights[0] * weights[2]) == 0 and law[1] ** 2 != law[0] * law[2],
                      "T(z) = z on {0, 1, 2}: every law of the family, and every limit, has p1^2 = p0 p2 (symbolic), "
                      f"which (1/4, 1/2, 1/4) misses by {law[1] ** 2 - law[0] * law[2]}")
    coupled = ((HALF, Fraction(0)), (Fraction(0), HALF))
    on.printed.refute(rank(coupled) > 1, "products of laws of two latents, and their limits, are tables of rank 1; two "
                                         "equal fair bits have rank 2")
    p = sp.symbols("p0:3", positive=True)
    natural = [sp.log(p[1] / p[0]), sp.log(p[2] / p[0])]
    rebuilt = [1, sp.exp(natural[0]), sp.exp(natural[1])]
    on.corrected.prove(all(sp.simplify(value / sum(rebuilt) - q / sum(p)) == 0
                           for value, q in zip(rebuilt, p, strict=True)),
                       "on three points two indicator statistics reach every positive law (symbolic)")


@dataclass(frozen=True)
class PowerStatistics:
    """T(z) = z^p and T~(z~) = z~^q with odd powers and T = T~: z~ is a power of z."""

    p: int
    q: int
    scale: Fraction

    def affine(self) -> bool:
        """Whether z~ is an affine function of z: equal differences at equally spaced points."""
        # z = t^q gives z~ = scale * t^p; three points of the curve are on a line just for a straight curve.
        (a, b), (c, d), (e, f) = ((Fraction(t) ** self.q, self.scale * Fraction(t) ** self.p) for t in (0, 1, 2))
        return (c - a) * (f - b) == (e - a) * (d - b)

    def shown(self) -> str:
        """As text."""
        return (f"T(z) = z^{self.p}, f(z) = z; T~(z~) = (z~/{self.scale})^{self.q}, the decoder undoing the change of "
                "latent")


def _affine_latents() -> Universal[PowerStatistics]:
    powers = st.sampled_from([1, 3, 5])
    scales = st.integers(-40, 40).filter(bool).map(lambda k: Fraction(k, 7))
    return Universal(
        statement="T(z) = A T~(z~) + c: the latents are affine functions of each other",
        cases=lambda dropped: st.builds(PowerStatistics, powers if dropped else st.just(1),
                                        powers if dropped else st.just(1), scales),
        hypotheses={"affine statistics": lambda case: case.p == case.q == 1},
        conclusion=PowerStatistics.affine, needed=("affine statistics",), show=PowerStatistics.shown)


@chapter.claim(
    "gan.abs.lin", place="Abstract, Section II.D, after eq. 62", kind=Kind.CLAIM,
    statement="The recovered latents are a linear transformation of the true ones.",
    hypotheses=("equal p(x|u)", "invertible L", "strongly exponential statistics"),
    correction=Correction("the statistics of the latents are affine in those of the recovered ones; the latents "
                          "themselves are if the statistics are affine and "
                          "injective", hypotheses=("T and T~ are affine, k = 1",)),
    universal=_affine_latents)
def statistics_not_latents(on: Record) -> None:
    z = sp.Symbol("z", positive=True)
    lam = sp.Symbol("lambda", real=True)
    on.printed.search(without=("affine statistics",))
    # z has density exp(lambda z^3 - z^4)/Z, and z~ = z^3: exponential in z~ with T~(z~) = z~.
    density = sp.exp(lam * z**3 - z**4)
    w = sp.Symbol("w", positive=True)
    pushed = density.subs(z, w ** sp.Rational(1, 3)) * sp.diff(w ** sp.Rational(1, 3), w)
    base = sp.simplify(pushed / sp.exp(lam * w))
    on.printed.refute(lam not in base.free_symbols and sp.diff(z**3, z, 2) != 0,
                      "T = z^3, base exp(-z^4), f(z) = z against z~ = z^3, T~ = z~, f~ = the cube root: the same "
                      "p(x|u) for every lambda(u), T = T~ as functions of x, and z~ is no affine function of z "
                      "(symbolic)",
                      shown="p(z|u) ~ exp(lambda(u) z^3 - z^4), x = z; z~ = z^3, x = cube root of z~")
    on.corrected.search()


@chapter.claim(
    "gan.s2d.noise", place="Section II.D, after eq. 9, and before eq. 46", kind=Kind.CLAIM,
    statement="The original latents are f^-1(x), so that a model related to the true one recovers them from x.",
    hypotheses=("the model of eq. 6, x = f(z) + noise",),
    correction=Correction("they are f^-1 of the noise-free f(z); from x itself f^-1 misses them by the noise",
                          hypotheses=("the noise is zero",)))
def noise_hides_the_latents(on: Record) -> None:
    slope, noise = sp.symbols("a v", positive=True)
    # x = a z + e with e ~ N(0, v): f^-1(x) - z = e/a.
    e = sp.Symbol("e", real=True)
    miss = sp.expand((slope * Z + e) / slope - Z)
    error = sp.integrate(miss**2 * _normal(e, 0, noise), (e, -sp.oo, sp.oo))
    on.printed.refute(sp.simplify(error - noise / slope**2) == 0 and error.subs({slope: 1, noise: 1}) == 1,
                      "z ~ N(0, 1), x = z + N(0, 1), f known: f^-1(x) misses z by 1 in the mean square, as much as the "
                      "latent varies", shown="z ~ N(0, 1), f(z) = z, noise N(0, 1)")
    on.corrected.prove(sp.expand(miss.subs(e, 0)) == 0 and sp.limit(error, noise, 0, "+") == 0,
                       "x = a z + e: the miss e/a is zero without noise (symbolic)")


@chapter.claim(
    "gan.s2d.post", place="Section II.D, end", kind=Kind.CLAIM,
    statement="The encoder q(z|x,u) approximates the posterior p(z|u).",
    correction=Correction("the posterior is p(z|x,u); p(z|u) is the prior", notational=True))
def posterior_not_prior(on: Record) -> None:
    zero, x = Fraction(0), Fraction(2)
    # z | u ~ N(0, 1), x | z ~ N(z, 1): Bayes' rule at x = 2 gives N(1, 1/2).
    bayes = log_normal(zero, zero, Fraction(1)) + log_normal(x, zero, Fraction(1)) - log_normal(x, zero, Fraction(2))
    prior = log_normal(zero, zero, Fraction(1))
    on.printed.refute((bayes - prior).sign() != 0, f"z ~ N(0, 1), x|z ~ N(z, 1), x = 2: at z = 0 the posterior log "
                                                   f"density is {bayes}, the printed one {prior}")
    point, variance = sp.symbols("x v", positive=True)
    joint = sp.log(_normal(Z, 0, 1) * _normal(point, Z, variance) / _normal(point, 0, 1 + variance))
    stated = sp.log(_normal(Z, point / (1 + variance), variance / (1 + variance)))
    on.corrected.prove(sp.simplify(sp.expand_log(joint - stated, force=True)) == 0,
                       "z ~ N(0, 1), x|z ~ N(z, v): Bayes' rule gives N(x/(1+v), v/(1+v)) (symbolic)")


@chapter.claim(
    "gan.s2d.result", aliases=("gan.thm",), place="Section II.D, eqs. 7-9", kind=Kind.THEOREM,
    statement="Equal p(x|u) in two models of this form imply that their parameters are related as in eq. 9.",
    hypotheses=("injective decoders with the same noise", "the characteristic function of the noise does not vanish",
                "nk + 1 values of u with an invertible L", "minimal (or strongly exponential) statistics"),
    universal=affine_relation,
    scope="statistics other than cubic ones, decoders other than networks and scaled permutations")
def main_result(on: Record) -> None:
    on.printed.search(cases=200)
    on.printed.search(identified_models(), cases=20)


def example_without_minimality() -> FamilyPair:
    """T = (z, 2z), T~ = (z, z^2) with second parameter zero: equal laws, only singular matrices relate them."""
    one, zero = Fraction(1), Fraction(0)
    natural = ((zero, zero), (one, zero), (zero, one))
    doubled = ((one, zero, zero), (2 * one, zero, zero))
    quadratic = ((one, zero, zero), (zero, one, zero))
    return FamilyPair((doubled,), (quadratic,), (0,), (1,), natural, ((zero, zero), (one, zero), (2 * one, zero)))


@chapter.claim(
    "gan.s2d.minimal", place="Section II.D and appendix", kind=Kind.ADDED,
    statement="Without minimality the result fails even for an invertible L.",
    hypotheses=("statistics that are differentiable with derivatives that vanish nowhere",))
def minimality_is_needed(on: Record) -> None:
    pair = example_without_minimality()
    sloped = all(row[0] != 0 and not any(row[1:]) for block in pair.first for row in block)
    on.printed.prove(sloped and pair.equal_laws() and pair.spanning() and not pair.minimal() and not pair.related(),
                     f"exactly: {pair.shown()}")
