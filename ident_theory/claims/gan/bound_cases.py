"""The paper's lower bounds as quantified statements over finite models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

from ident_theory.claims.gan.finite import FiniteModel, finite_models, laws, mix, shown_law, shown_model
from ident_theory.claims.gan.logs import Law, LogSum, adversarial_value, jensen_shannon
from ident_theory.claims.universal import Universal

#: The evidence whose logarithm the bound may have on its left.
CONDITIONAL = "p(x|u)"
KINDS = ("p(x)", "the data density", CONDITIONAL)
HALF = Fraction(1, 2)
_VALUES = st.sampled_from([HALF, Fraction(1, 10), Fraction(9, 10), Fraction(1, 1000)])


@dataclass(frozen=True)
class BoundCase:
    """An encoder, a generator and a discriminator at one observation."""

    model: FiniteModel
    u: int
    x: int
    encoder: Law
    kind: str
    data: Law
    generated: Law
    discriminator: tuple[Fraction, ...]

    @property
    def evidence(self) -> Fraction:
        """The number whose logarithm is on the left."""
        if self.kind == CONDITIONAL:
            return self.model.given(self.u)[self.x]
        return self.model.marginal()[self.x] if self.kind == "p(x)" else self.data[self.x]

    def excess(self, penalty: LogSum) -> int:
        """Sign of left side minus right side, the right side being -KL plus a penalty."""
        return (self.model.gap(self.u, self.x, self.encoder, self.evidence) - penalty).sign()

    @property
    def value(self) -> LogSum:
        """V(D, G)."""
        return adversarial_value(self.data, self.generated, self.discriminator)

    @property
    def twice_negative_divergence(self) -> LogSum:
        """-2 JSD(data, generated)."""
        return jensen_shannon(self.data, self.generated).times(-2)

    def shown(self) -> str:
        """The case as text."""
        return (f"{shown_model(self.model)}; u = {self.u}, x = {self.x}, q(z|x,u) = {shown_law(self.encoder)}; "
                f"left side: log {self.kind}; data law {shown_law(self.data)}, generated {shown_law(self.generated)}, "
                f"D = {shown_law(self.discriminator)}")


@st.composite
def bound_cases(draw: st.DrawFn, kinds: tuple[str, ...], classes: int = 6) -> BoundCase:
    """Exact posteriors, perfect generators and optimal or blind discriminators are common."""
    n_u = draw(st.integers(1, classes))
    size = n_u if draw(st.booleans()) else draw(st.integers(1, 3))
    if size == n_u and draw(st.booleans()):
        # Every class has its own state: u is all but readable from x.
        sharp = tuple(tuple(Fraction(997 if z == u else 1, 996 + size) for z in range(size)) for u in range(n_u))
        model = FiniteModel((Fraction(1, n_u),) * n_u, sharp, sharp)
    else:
        model = draw(finite_models(classes, 3))
    u = draw(st.integers(0, len(model.weights) - 1))
    x = draw(st.integers(0, model.n_x - 1))
    encoder = draw(st.one_of(st.just(model.posterior(u, x)), laws(len(model.decoder))))
    data = draw(st.one_of(st.just(model.marginal()), laws(model.n_x)))
    generated = draw(st.one_of(st.just(data), st.just(model.marginal()), laws(model.n_x)))
    optimal = tuple(p / (p + g) for p, g in zip(data, generated, strict=True))
    blind = (HALF,) * model.n_x
    free = st.tuples(*[_VALUES] * model.n_x)
    discriminator = draw(st.one_of(st.just(optimal), st.just(blind), free))
    return BoundCase(model, u, x, encoder, draw(st.sampled_from(kinds)), data, generated, discriminator)


def bound(statement: str, penalty: Callable[[BoundCase], LogSum]) -> Universal[BoundCase]:
    """The bound log p(x|u) - E_q log p(x|z) >= -KL(q, p(z|u)) + penalty.

    Without the hypothesis about the evidence it is the printed one, with p(x) on the left.
    """
    return Universal(
        statement=statement,
        cases=lambda dropped: bound_cases(KINDS if dropped else (CONDITIONAL,)),
        hypotheses={"conditional evidence": lambda case: case.kind == CONDITIONAL},
        conclusion=lambda case: case.excess(penalty(case)) >= 0,
        needed=("conditional evidence",),
        show=BoundCase.shown)


@dataclass(frozen=True)
class AverageCase:
    """A model with encoders for every observation."""

    model: FiniteModel
    encoders: tuple[tuple[Law, ...], ...]
    reconstruction: bool

    def objective(self, encoders: tuple[tuple[Law, ...], ...]) -> LogSum:
        """Expected -KL(q, p(z|u)), with E_q log p(x|z) where that term belongs to the objective."""
        result = LogSum()
        for u, weight in enumerate(self.model.weights):
            given = self.model.given(u)
            for x, mass in enumerate(given):
                q = encoders[u][x]
                # gap with evidence 1 is KL - E_q log p(x|z)
                term = -self.model.gap(u, x, q, Fraction(1))
                if not self.reconstruction:
                    term = term - self.model.reconstruction(q, x)
                result = result + term.times(weight * mass)
        return result

    def posteriors(self) -> tuple[tuple[Law, ...], ...]:
        """The true posteriors."""
        return tuple(tuple(self.model.posterior(u, x) for x in range(self.model.n_x))
                     for u in range(len(self.model.weights)))

    def shown(self) -> str:
        """The case as text."""
        rows = "; ".join(f"q(z|x={x}, u={u}) = {shown_law(q)}" for u, row in enumerate(self.encoders)
                         for x, q in enumerate(row))
        return f"{shown_model(self.model)}; {rows}"


@st.composite
def average_cases(draw: st.DrawFn, reconstruction: tuple[bool, ...]) -> AverageCase:
    """Encoders that ignore x and equal the prior are common, as are decoders that ignore z."""
    model = draw(finite_models(2, 2))
    ignoring = tuple((row,) * model.n_x for row in model.prior)
    size = len(model.decoder)
    free = st.tuples(*[st.tuples(*[laws(size)] * model.n_x)] * len(model.weights))
    encoders = draw(st.one_of(st.just(ignoring), free))
    return AverageCase(model, encoders, draw(st.sampled_from(reconstruction)))


def aggregate(model: FiniteModel, encoders: tuple[tuple[Law, ...], ...], u: int) -> Law:
    """The aggregate encoder law given u: the mixture of q(z|x, u) over p(x|u)."""
    return mix(model.given(u), encoders[u])
