"""Sections I and II: identifiability, the conditional model, and what it is said to recover."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.family_pairs import FamilyPair, affine_relation
from ident_theory.claims.gan.linear import rank
from ident_theory.claims.gan.logs import log_normal
from ident_theory.claims.gan.model_pairs import identified_models
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.conditions.l_matrix import l_matrix_finding, largest_latent_dim
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
              "decoder times prior, and the observed law integrates it over the latent.")
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
    "gan.s2a.joint", place="Section II.A, after eq. 3", kind=Kind.CLAIM,
    statement="Latent variable models with an unconditional prior do not fix the joint law of data and latents, so "
              "that the latents cannot be recovered.",
    correction=Correction("those with a standard normal prior do not: z may be rotated; a Gaussian mixture prior with "
                          "a piecewise affine injective decoder fixes the joint law up to an affine change of the "
                          "latent",
                          hypotheses=("the prior is standard normal",)))
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
    correction=Correction("the joint law is fixed up to the relation of eq. 9, and the latents with it"))
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
              "related when the statistics of the inferred latents are invertible affine images of each other.")
def conditional_model(on: Record) -> None:
    mean, centre = sp.symbols("m c", real=True)
    variance = sp.Symbol("v", positive=True)
    exponent = Z * (mean / variance) + Z**2 * (-1 / (2 * variance))
    normaliser = sp.sqrt(2 * sp.pi * variance) * sp.exp(mean**2 / (2 * variance))
    normal = sp.simplify(sp.exp(exponent) / normaliser / _normal(Z, mean, variance)) == 1
    on.printed.prove(normal and bool(sp.integrate(_normal(X, centre, variance), (X, -sp.oo, sp.oo)) == 1),
                     "T = (z, z^2) with natural parameters (m/v, -1/(2v)) is N(m, v); the decoder density of additive "
                     "noise integrates to 1 (symbolic)")
    a, b = sp.Matrix(2, 2, sp.symbols("a0:4")), sp.Matrix(2, 2, sp.symbols("b0:4"))
    c, d, t = (sp.Matrix(sp.symbols(f"{name}0:2")) for name in ("c", "d", "t"))
    back = a.inv() * (a * t + c) - a.inv() * c - t
    twice = a * (b * t + d) + c - ((a * b) * t + (a * d + c))
    on.printed.prove(sp.simplify(back) == sp.zeros(2, 1) and sp.expand(twice) == sp.zeros(2, 1)
                     and sp.expand((a * b).det() - a.det() * b.det()) == 0,
                     "invertible affine maps are closed under inverses and composition: eq. 9 is an equivalence "
                     "(symbolic)")
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
                          "with given statistics they do not, and factorial ones never approximate dependent latents"))
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


@dataclass(frozen=True)
class NaturalTable:
    """Natural parameters of normal latents (k = 2), one row a value of u."""

    rows: tuple[tuple[Fraction, ...], ...]

    def enough(self) -> bool:
        """Whether there are nk + 1 values of u."""
        return len(self.rows) > len(self.rows[0])

    def general(self) -> bool:
        """Whether 1 and the parameters are as independent over the values of u as their number allows."""
        width = len(self.rows[0]) + 1
        return rank([(Fraction(1), *row) for row in self.rows]) == min(width, len(self.rows))

    def prior(self) -> ConditionalPrior:
        """The prior."""
        return ConditionalPrior("normal", [[list(row[i:i + 2]) for i in range(0, len(row), 2)] for row in self.rows])


@st.composite
def _tables(draw: st.DrawFn, enough: bool) -> NaturalTable:
    n = draw(st.integers(1, 2))
    count = draw(st.integers(2 * n + 1 if enough else 2, 2 * n + 2))
    any_, negative = st.sampled_from([0, 1, -1, 3]), st.sampled_from([-1, -2, -5])
    rows = [tuple(Fraction(draw(negative if place % 2 else any_)) for place in range(2 * n)) for _ in range(count)]
    return NaturalTable(tuple(rows))


def _enough_values() -> Universal[NaturalTable]:
    return Universal(
        statement="some choice of nk + 1 values of u makes L invertible",
        cases=lambda dropped: _tables("nk + 1 values" not in dropped),
        hypotheses={"nk + 1 values": NaturalTable.enough, "general position": NaturalTable.general},
        conclusion=lambda case: l_matrix_finding(case.prior()).status is Status.HOLDS,
        needed=("nk + 1 values", "general position"))


def _determinant(columns: list[sp.Matrix], points: tuple[int, ...]) -> sp.Expr:
    """det L for the values of u with these indices, the first being u_0."""
    return sp.Matrix.hstack(*[columns[u] - columns[points[0]] for u in points[1:]]).det()


@chapter.claim(
    "gan.s2d.count", place="Section II.D, and before eq. 49", kind=Kind.CLAIM,
    statement="nk + 1 values of u are what the system of equations needs, in the words of the appendix one for each "
              "of nk segments.",
    correction=Correction("nk + 1 segments with parameters in general position; with nk segments L is singular",
                          hypotheses=("the parameters are in general position",), notational=True),
    universal=_enough_values)
def number_of_segments(on: Record) -> None:
    for size in (2, 3):
        columns = [sp.Matrix(sp.symbols(f"l{u}_0:{size}")) for u in range(size + 1)]
        singular = [sp.expand(_determinant(columns, points)) == 0
                    for points in itertools.product(range(size), repeat=size + 1)]
        on.printed.refute(all(singular) and sp.expand(_determinant(columns, tuple(range(size + 1)))) != 0,
                          f"nk = {size} segments: L is singular for all {len(singular)} choices of points, whatever "
                          "the parameters, and one segment more makes it generically invertible (symbolic)")
    on.printed.search(cases=100, without=("nk + 1 values",))
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.s4.mnist", place="Sections II.C and IV", kind=Kind.CLAIM,
    statement="For hand-written digits the label can be u, and the latent space can be expected to have one "
              "independent coordinate a digit, ten in all.",
    hypotheses=("the theory is to apply: some L is invertible",),
    correction=Correction("with ten labels at most nine latents with one statistic each, or four with two"))
def ten_labels(on: Record) -> None:
    # Ten segments with distinct variances, the most favourable choice being tried: one label raises one variance.
    variances = [[2 if latent == label else 1 for latent in range(10)] for label in range(10)]
    ten = ConditionalPrior("normal_variance", [[[Fraction(-1, 2 * v)] for v in row] for row in variances])
    nine = ConditionalPrior("normal_variance", [[[Fraction(-1, 2 * v)] for v in row[:9]] for row in variances])
    on.printed.refute(l_matrix_finding(ten).status is Status.FAILS and len(variances) < 10 * 1 + 1,
                      "ten latents need eleven values of u: L has ten columns, differences of ten vectors, and rank 9 "
                      "at most", shown="10 labels, label j with variance 2 in latent j and 1 elsewhere")
    on.corrected.prove(l_matrix_finding(nine).status is Status.HOLDS and largest_latent_dim(10, 1) == 9
                       and largest_latent_dim(10, 2) == 4, "nk + 1 <= 10 bounds n by 9 and 4; nine latents with an "
                                                           "invertible L (exact)")


@chapter.claim(
    "gan.tab2.variance", place="Table 2 with Section IV.A", kind=Kind.ADDED,
    statement="If the segments differ in their variances alone, L is singular for normal latents with two statistics, "
              "and one statistic, z^2, is the right number.")
def variances_alone(on: Record) -> None:
    precision = [[sp.Symbol(f"p{u}_{i}", positive=True) for i in range(2)] for u in range(5)]
    mean = sp.symbols("m0:2", real=True)
    both = [sp.Matrix([entry for i in range(2) for entry in (mean[i] * row[i], -row[i] / 2)]) for row in precision]
    one = [sp.Matrix([-entry / 2 for entry in row]) for row in precision]
    on.printed.prove(sp.expand(_determinant(both, (0, 1, 2, 3, 4))) == 0
                     and sp.expand(_determinant(one, (0, 1, 2))) != 0,
                     "n = 2, any fixed means: det L vanishes identically for k = 2 and not for k = 1 (symbolic)")


@chapter.claim(
    "gan.s2d.result", place="Section II.D, eqs. 7-9", kind=Kind.THEOREM,
    statement="Equal p(x|u) in two models of this form imply that their parameters are related as in eq. 9.",
    hypotheses=("injective decoders with the same noise", "the characteristic function of the noise does not vanish",
                "nk + 1 values of u with an invertible L", "minimal (or strongly exponential) statistics"),
    universal=affine_relation,
    scope="cubic statistics with decoders that differ by a scaled permutation; normal latents with network decoders")
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
    on.printed.prove(pair.equal_laws() and pair.spanning() and not pair.minimal() and not pair.related(),
                     f"exactly: {pair.shown()}")
