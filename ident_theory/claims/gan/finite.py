"""Finite latent-variable models u -> z -> x in rationals, and strategies for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from hypothesis import strategies as st

from ident_theory.claims.gan.logs import Law, LogSum, divergence, log, total

Table = tuple[Law, ...]


@dataclass(frozen=True)
class FiniteModel:
    """p(u), p(z|u) and p(x|z) as tables.

    Attributes
    ----------
    weights : tuple of Fraction
        p(u).
    prior : tuple of tuple of Fraction
        ``prior[u][z]`` = p(z|u).
    decoder : tuple of tuple of Fraction
        ``decoder[z][x]`` = p(x|z).
    """

    weights: Law
    prior: Table
    decoder: Table

    @property
    def n_x(self) -> int:
        """Number of observable states."""
        return len(self.decoder[0])

    def given(self, u: int) -> Law:
        """p(x|u)."""
        return push(self.prior[u], self.decoder)

    def marginal(self) -> Law:
        """p(x)."""
        return mix(self.weights, tuple(self.given(u) for u in range(len(self.weights))))

    def posterior(self, u: int, x: int) -> Law:
        """p(z|x, u), by Bayes' rule."""
        joint = [p * row[x] for p, row in zip(self.prior[u], self.decoder, strict=True)]
        mass = sum(joint)
        return tuple(value / mass for value in joint)

    def reconstruction(self, q: Law, x: int) -> LogSum:
        """E_q log p(x|z)."""
        return total([log(row[x]).times(weight) for weight, row in zip(q, self.decoder, strict=True) if weight])

    def gap(self, u: int, x: int, q: Law, evidence: Fraction) -> LogSum:
        """log evidence - E_q log p(x|z) + KL(q, p(z|u))."""
        return log(evidence) - self.reconstruction(q, x) + divergence(q, self.prior[u])


def push(law: Law, kernel: Table) -> Law:
    """The law after a stochastic kernel."""
    return tuple(sum((p * row[x] for p, row in zip(law, kernel, strict=True)), Fraction(0))
                 for x in range(len(kernel[0])))


def mix(weights: Law, laws: Table) -> Law:
    """The mixture of laws."""
    return push(weights, laws)


def _normalised(counts: Sequence[int]) -> Law:
    return tuple(Fraction(count, sum(counts)) for count in counts)


# Strategies are kept: making one again at every draw costs more than the draw.
@cache
def laws(size: int, least: int = 1) -> st.SearchStrategy[Law]:
    """Laws on finitely many states, uniform and spiked ones often; `least` = 0 allows states without mass."""
    count = st.sampled_from([1, 1, 2, 3, 30] if least else [0, 1, 1, 2, 5])
    return st.tuples(*[count] * size).filter(any).map(_normalised)


@cache
def tables(rows: int, columns: int) -> st.SearchStrategy[Table]:
    """Stochastic matrices with positive entries; equal rows and near-permutations often."""
    free = st.tuples(*[laws(columns)] * rows)
    equal = laws(columns).map(lambda row: (row,) * rows)
    sharp = st.just(tuple(_normalised([60 if x == z % columns else 1 for x in range(columns)]) for z in range(rows)))
    return st.one_of(free, equal, sharp)


@st.composite
def finite_models(draw: st.DrawFn, classes: int = 3, states: int = 3) -> FiniteModel:
    """Models with positive tables, at most this many values of u and of z, x."""
    n_u, n_z = draw(st.integers(1, classes)), draw(st.integers(1, states))
    n_x = draw(st.integers(1, states))
    return FiniteModel(draw(laws(n_u)), draw(tables(n_u, n_z)), draw(tables(n_z, n_x)))


def shown_law(law: Law) -> str:
    """A law as text."""
    return "(" + ", ".join(str(p) for p in law) + ")"


def shown_table(table: Table) -> str:
    """A stochastic matrix as text, row by row."""
    return "[" + ", ".join(shown_law(row) for row in table) + "]"


def shown_model(model: FiniteModel) -> str:
    """A finite model as text."""
    return (f"p(u) = {shown_law(model.weights)}; p(z|u) = {shown_table(model.prior)}; "
            f"p(x|z) = {shown_table(model.decoder)}")
