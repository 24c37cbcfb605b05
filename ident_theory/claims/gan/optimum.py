"""Appendix on the global optimum of adversarial training, eqs. 27-35."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.finite import Table, laws, shown_law, shown_table, tables
from ident_theory.claims.gan.logs import Law, LogSum, adversarial_value, divergence, jensen_shannon, log
from ident_theory.claims.gan.pointwise import (
    A,
    B,
    Y,
    js_is_a_divergence,
    js_term_identity,
    optimal_discriminator,
    value_term,
    vanishes,
)
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)

_VALUES = st.sampled_from([HALF, Fraction(1, 10), Fraction(9, 10), Fraction(1, 1000)])


@dataclass(frozen=True)
class Game:
    """A data law, a law of the latent, a generator and a discriminator, all finite."""

    data: Law
    latent: Law
    generator: tuple[int, ...]
    discriminator: tuple[Fraction, ...]

    def generated(self) -> Law:
        """The law of G(z)."""
        law = [Fraction(0)] * len(self.data)
        for mass, state in zip(self.latent, self.generator, strict=True):
            law[state] += mass
        return tuple(law)

    def over_latents(self) -> LogSum:
        """V with the second expectation over z."""
        result = LogSum()
        for mass, value in zip(self.data, self.discriminator, strict=True):
            result = result + log(value).times(mass)
        for mass, state in zip(self.latent, self.generator, strict=True):
            result = result + log(1 - self.discriminator[state]).times(mass)
        return result

    def over_samples(self) -> LogSum:
        """V with the second expectation over x = G(z)."""
        return adversarial_value(self.data, self.generated(), self.discriminator)

    def best(self) -> bool:
        """Whether D is the optimal discriminator p/(p + p_G)."""
        return all(value * (p + g) == p for value, p, g in
                   zip(self.discriminator, self.data, self.generated(), strict=True))

    def shown(self) -> str:
        """As text."""
        return (f"p = {shown_law(self.data)}, z ~ {shown_law(self.latent)}, G(z) = {self.generator}, "
                f"D = {shown_law(self.discriminator)}")


@st.composite
def _games(draw: st.DrawFn, best: bool | None = None) -> Game:
    """Constant generators and generators that reproduce the data are common."""
    size, latents = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    data = draw(laws(size))
    state = st.integers(0, size - 1)
    if draw(st.booleans()):
        game = Game(data, data, tuple(range(size)), (HALF,) * size)
    else:
        chosen = draw(st.lists(state, min_size=latents, max_size=latents))
        game = Game(data, draw(laws(latents)), tuple(chosen), (HALF,) * size)
    optimal = tuple(p / (p + g) for p, g in zip(data, game.generated(), strict=True))
    free = draw(st.lists(_VALUES, min_size=size, max_size=size).map(tuple))
    # Where nothing is generated the optimal value is 1, outside of the domain of log(1 - D), which has weight 0 there.
    discriminator = optimal if best or (best is None and draw(st.booleans())) else free
    return Game(data, game.latent, game.generator, discriminator)


@chapter.claim(
    "gan.eq27-28", place="Appendix on the optimum, eqs. 27-28", kind=Kind.IDENTITY,
    statement="The expectation over z of log(1 - D(G(z))) is that of log(1 - D(x)) over the law of x = G(z).",
    universal=lambda: Universal(
        statement="both forms of V agree", cases=lambda dropped: _games(best=False), show=Game.shown,
        conclusion=lambda game: (game.over_latents() - game.over_samples()).sign() == 0))
def expectation_over_samples(on: Record) -> None:
    on.printed.search(cases=100)
    z, x = sp.symbols("z x", real=True)
    slope = sp.Symbol("g", positive=True)
    density = sp.exp(-z**2 / 2) / sp.sqrt(2 * sp.pi)
    pushed = density.subs(z, x / slope) / slope
    on.printed.support(
        all(sp.simplify(sp.integrate((slope * z) ** power * density, (z, -sp.oo, sp.oo))
                        - sp.integrate(x**power * pushed, (x, -sp.oo, sp.oo))) == 0 for power in range(4)),
        "z ~ N(0, 1), G(z) = g z: powers up to 3 as test functions (symbolic)", cases=4,
        evidence=Evidence.EXACT)


def _value_of_the_best() -> Universal[Game]:
    return Universal(
        statement="V(D, G) = -log 4 + 2 JSD(p, p_G)",
        cases=lambda dropped: _games(best=None if dropped else True), show=Game.shown,
        hypotheses={"optimal discriminator": Game.best},
        conclusion=lambda game: (game.over_samples() + log(4)
                                 - jensen_shannon(game.data, game.generated()).times(2)).sign() == 0,
        needed=("optimal discriminator",))


@chapter.claim(
    "gan.eq29-30", place="Appendix on the optimum, eqs. 29-30", kind=Kind.IDENTITY,
    statement="a log y + b log(1 - y) is largest at y = a/(a + b), so that the best discriminator is p/(p + p_G).",
    hypotheses=("a, b >= 0, not both 0", "the discriminator is unrestricted"))
def best_discriminator(on: Record) -> None:
    on.printed.prove(optimal_discriminator(), "one stationary point, second derivative -a/y^2 - b/(1-y)^2 < 0 "
                                              "(symbolic)")
    ends = [sp.limit(sp.log(Y), Y, 1, "-"), sp.diff(sp.log(Y), Y).is_positive]
    on.printed.prove(ends == [0, True], "for b = 0 the supremum is at y = 1 = a/(a + 0), and likewise for a = 0")


@chapter.claim(
    "gan.eq31", place="Appendix on the optimum, eq. 31", kind=Kind.IDENTITY,
    statement="For p_G = p the best discriminator is 1/2 everywhere and V = -log 4.")
def value_at_equality(on: Record) -> None:
    on.printed.prove(sp.simplify((A / (A + B)).subs(B, A)) == HALF
                     and vanishes(value_term(sp.Rational(1, 2)).subs(B, A) + A * sp.log(4)),
                     "each state contributes -p log 4 (symbolic), and the masses p sum to 1")


@chapter.claim(
    "gan.eq32-34", place="Appendix on the optimum, eqs. 32-34", kind=Kind.IDENTITY,
    statement="V at the best discriminator is the sum of two integrals of the form of KL, against the unnormalised p "
              "+ p_G.",
    scope="divergences of laws, which these integrals are not: p + p_G has mass 2")
def value_as_integrals(on: Record) -> None:
    first, second = A * sp.log(A / (A + B)), B * sp.log(B / (A + B))
    on.printed.prove(vanishes(value_term(A / (A + B)) - first - second)
                     and sp.simplify(1 - A / (A + B) - B / (A + B)) == 0, "state by state (symbolic)")
    law = (HALF, HALF)
    doubled = tuple(2 * p for p in law)
    on.printed.prove(divergence(law, doubled).sign() < 0, f"they can be negative: {divergence(law, doubled)} for p_G "
                                                          "= p")


@chapter.claim(
    "gan.eq35", place="Appendix on the optimum, eq. 35", kind=Kind.IDENTITY,
    statement="V at the best discriminator is -log 4 plus twice the Jensen-Shannon divergence.",
    argument="The middle law appears on multiplying the equation by log 2 / log 2.", universal=_value_of_the_best)
def value_with_the_middle_law(on: Record) -> None:
    on.printed.prove(js_term_identity(), "adding and subtracting p log 2 and p_G log 2, which integrate to log 2 each "
                                         "(symbolic, state by state)")
    on.printed.search(cases=100)
    factor = sp.simplify(sp.log(2) / sp.log(2))
    unchanged = A * sp.log(A / (A + B)) * factor
    wanted = A * sp.log(2 * A / (A + B))
    on.argument.refute(factor == 1 and not vanishes(unchanged - wanted)
                       and vanishes(unchanged + A * sp.log(2) - wanted),
                       "the factor is 1 and changes nothing: the middle law needs a log 2 added to every state's share")


@dataclass(frozen=True)
class GeneratorClass:
    """A data law and the laws that a generator can reach."""

    data: Law
    reachable: Table

    def attains(self) -> bool:
        """Whether the data law is among them."""
        return self.data in self.reachable

    def optimum_is_data(self) -> bool:
        """Whether the least value is -log 4, and all laws that reach it are the data law."""
        values = [jensen_shannon(self.data, law) for law in self.reachable]
        least = values[0]
        for value in values[1:]:
            least = value if (value - least).sign() < 0 else least
        best = [law for law, value in zip(self.reachable, values, strict=True) if (value - least).sign() == 0]
        return least.sign() == 0 and all(law == self.data for law in best)


@st.composite
def _generator_classes(draw: st.DrawFn) -> GeneratorClass:
    size = draw(st.integers(2, 3))
    data = draw(laws(size))
    reached = list(draw(tables(draw(st.integers(1, 3)), size)))
    if draw(st.booleans()):
        reached.append(data)
    return GeneratorClass(data, tuple(reached))


@chapter.claim(
    "gan.glob", place="Appendix on the optimum, end", kind=Kind.THEOREM,
    statement="min over G of V(G, D*) is -log 4, and it is reached by p_G = p alone.",
    hypotheses=("optimal discriminator", "some generator has the data law"),
    universal=lambda: Universal(
        statement="the best generators have the data law and the value -log 4",
        cases=lambda dropped: _generator_classes(), hypotheses={"the data law is reachable": GeneratorClass.attains},
        conclusion=GeneratorClass.optimum_is_data, needed=("the data law is reachable",),
        show=lambda case: f"p = {shown_law(case.data)}, reachable: {shown_table(case.reachable)}"))
def global_optimum(on: Record) -> None:
    on.printed.prove(js_is_a_divergence() and js_term_identity(),
                     "2 JSD is a sum of shares a phi(b/a), phi convex with phi(1) = phi'(1) = 0 (symbolic)")
    on.printed.search(cases=100)


@chapter.claim(
    "gan.glob.support", place="Appendix on the optimum, end", kind=Kind.ADDED,
    statement="The Jensen-Shannon divergence is log 2, and V zero, for every generated law that is singular to the "
              "data law: the best discriminator then gives the generator nothing to descend.",
    hypotheses=("latent dimension below data dimension, noiseless generator, data with a density",))
def singular_laws(on: Record) -> None:
    pairs = [((Fraction(1, 3), Fraction(2, 3), Fraction(0), Fraction(0)), (Fraction(0), Fraction(0), p, 1 - p))
             for p in (Fraction(0), Fraction(1, 7), HALF, Fraction(1))]
    on.printed.support(all((jensen_shannon(*pair) - log(2)).sign() == 0 for pair in pairs),
                       "laws on disjoint states, exactly", cases=len(pairs))
    share = sp.limit(A * sp.log(2 * A / (A + B)) + B * sp.log(2 * B / (A + B)), B, 0, "+")
    on.printed.prove(sp.simplify(share - A * sp.log(2)) == 0,
                     "a state with data mass a alone contributes a log 2 to 2 JSD (symbolic); both sides together 2 "
                     "log 2")
