"""Sections II and IV: how many values of u the theory asks for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.l_matrix import l_matrix_finding, largest_latent_dim
from ident_theory.models import ConditionalPrior
from ident_theory.numerics import Status

chapter = Chapter(GAN)


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
    correction=Correction("with ten labels at most nine latents with one statistic each, or four with two"),
    scope="the other reading: ten laws p(z|u), one a label, say nothing about the number of latents")
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
    m, p = sp.Symbol("m", real=True), sp.Symbol("p", positive=True)
    on.printed.prove(sp.expand(m * p + 2 * m * (-p / 2)) == 0,
                     "any n: a fixed mean m ties the parameters (m/v, -1/(2v)) of its latent by one equation, the same "
                     "in every segment (symbolic)")
