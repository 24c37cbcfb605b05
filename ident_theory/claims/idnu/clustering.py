"""IDNU, section 3: the Bayes-optimal q(u|x) of VaDE, and what its single-sample estimator estimates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp
from flint import arb
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.idnu.bounds import HALF, all_of, divergence_is_positive
from ident_theory.claims.idnu.logarithms import (
    FiniteBound,
    Row,
    Table,
    ball,
    finite_bounds,
    log_sum,
    minus,
    normalised,
    show,
    sign,
)
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.exact.rationals import rational
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)


@dataclass(frozen=True)
class Competitor:
    """p(u | z) by z, q(z), and a law of u to compare with the optimal one.

    Attributes
    ----------
    responsibilities : Table
        p(u | z), one row a z; positive.
    q_z, q_u : Row
    mean_of : str
        What the optimal law is made of: the mean of ``"log"`` p(u | z), or of ``"plain"`` p(u | z).
    """

    responsibilities: Table
    q_z: Row
    q_u: Row
    mean_of: str = "log"

    def weights(self) -> list[arb]:
        """Unnormalised optimal law: exp E log p(u | z)."""
        columns = list(zip(*self.responsibilities, strict=True))
        if self.mean_of == "plain":
            return [arb(rational(sum((q * p for q, p in zip(self.q_z, c, strict=True)), Fraction(0)))) for c in columns]
        return [ball(log_sum(zip(self.q_z, column, strict=True))).exp() for column in columns]

    def cost(self, law: list[arb]) -> arb:
        """E KL(law, p(u | z))."""
        return sum((v * (v.log() - ball(log_sum(zip(self.q_z, column, strict=True))))
                    for v, column in zip(law, zip(*self.responsibilities, strict=True), strict=True) if v != 0), arb(0))


@st.composite
def _competitors(draw: st.DrawFn, dropped: frozenset[str]) -> Competitor:
    count, points = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    positive = st.sampled_from((1, 2, 3, 1000))
    rows = tuple(normalised(draw(st.lists(positive, min_size=count, max_size=count))) for _ in range(points))
    q_z = normalised([draw(st.sampled_from((1, 2, 1000))) for _ in range(points)])
    q_u = normalised([1] + [draw(st.sampled_from((1, 0, 2, 1000))) for _ in range(count - 1)])
    return Competitor(rows, q_z, q_u, "plain" if "mean of logarithms" in dropped else "log")


def _is_best(case: Competitor) -> bool | None:
    weights = case.weights()
    total = sum(weights, arb(0))
    best, other = case.cost([w / total for w in weights]), case.cost([arb(rational(q)) for q in case.q_u])
    if best > other:
        return False
    # Where the two laws agree the balls overlap: a difference within the error is no counterexample.
    return True if best <= other or abs(float((best - other).mid())) < 1e-12 else None


def bayes_optimal() -> Universal[Competitor]:
    """No law of u has a smaller expected divergence, against random ones."""
    return Universal("q(u) proportional to exp E log p(u|z) has the least E KL(q(u), p(u|z))",
                     cases=_competitors, conclusion=_is_best,
                     hypotheses={"mean of logarithms": lambda case: case.mean_of == "log"},
                     needed=("mean of logarithms",), evidence=Evidence.CERTIFIED)


@chapter.claim(
    "idnu.bayes", place="section 3, after eq. 5", kind=Kind.IDENTITY,
    statement="The q(u|x) that makes E KL(q(u|x), p(u|z)) least over z from q(z|x) is proportional to exp E log "
              "p(u|z).",
    hypotheses=("finitely many u", "p(u|z) positive"), universal=bayes_optimal)
def optimal_posterior(on: Record) -> None:
    """The objective is KL(q, optimum) less log of the normaliser."""
    q, g, total = sp.symbols("q g S", positive=True)
    optimum = sp.exp(g) / total
    identity = sp.expand(sp.expand_log(q * (sp.log(q) - g) - q * sp.log(q / optimum) + q * sp.log(total), force=True))
    on.printed.prove(identity == 0 and divergence_is_positive(),
                     "with g = E log p(u|z) and S = sum exp g, the terms q (log q - g) are those of KL(q, exp(g)/S) "
                     "less q log S: least at q = exp(g)/S alone, with value -log S (symbolic)")
    on.printed.search(cases=100)


@chapter.claim(
    "idnu.mc0", place="section 3, before eq. 6; footnote 1", kind=Kind.CLAIM,
    statement="With a single sample z, from which q(u|x) is made too, the estimate of E KL(q(u|x), p(u|z)) is zero; "
              "with more samples it need not be.",
    hypotheses=("q(u|x) is the optimal one for the samples drawn",))
def one_sample(on: Record) -> None:
    """One sample: q is p(u|z) itself. Two: minus the logarithm of a sum of geometric means."""
    first, second = sp.symbols("p1 p2", positive=True)
    law = [first, second, 1 - first - second]
    weights = [sp.exp(sp.log(p)) for p in law]
    total = sp.simplify(sum(weights))
    zero = all(sp.simplify(w / total - p) == 0 for w, p in zip(weights, law, strict=True))
    two = Competitor(((Fraction(2, 3), Fraction(1, 3)), (Fraction(1, 5), Fraction(4, 5))), (HALF, HALF), (HALF, HALF))
    weights_of_two = two.weights()
    mass = sum(weights_of_two, arb(0))
    value = two.cost([w / mass for w in weights_of_two])
    least = bool(abs(value + mass.log()) < arb("1e-12"))  # -log S, by idnu.bayes
    on.printed.prove(zero and least and bool(value > 0),
                     "exp log p(u|z) sums to 1, so q(u|x) = p(u|z) and the divergence vanishes (symbolic, three "
                     "clusters); for two samples with p(u|z) = (2/3, 1/3) and (1/5, 4/5) it is "
                     f"{float(value.mid()):.4f}",
                     Evidence.CERTIFIED)


def eq6(case: FiniteBound) -> dict[int, Fraction]:
    """The expectation of the single-sample estimator, eq. 6."""
    return minus(case.reconstruction(), case.divergence_z(case.prior_z))


def _bounds_in_order(case: FiniteBound) -> bool | None:
    """log p(x) >= eq. 6 >= eq. 5 for this q(u), and eq. 6 is the ELBO with u summed out."""
    summed = replace(case, joint=(case.prior_z,), q_u=(Fraction(1),))
    if minus(eq6(case), summed.joint_bound()):
        return False
    signs = (sign(minus(case.evidence(), eq6(case))), sign(minus(eq6(case), case.joint_bound())))
    return all_of(None if s is None else s >= 0 for s in signs)


@chapter.claim(
    "idnu.eq6", place="eq. 6 and the paragraph after it", kind=Kind.CLAIM,
    statement="Eq. 6, E log p(x|z) - KL(q(z|x), p(z)), is a single-sample estimator of the bound of eq. 5, free "
              "of the bias of a relaxed discrete sample, and needs no exact sum over u.",
    hypotheses=("one sample z, q(u|x) made from it",),
    correction=Correction("eq. 6 estimates, without bias, another bound, at least that of eq. 5 and still at most log "
                          "p(x): the ELBO with u summed out; log p(z) in it is the exact sum over all clusters"),
    universal=lambda: Universal("log p(x) >= eq. 6 >= eq. 5 for every q(u), and eq. 6 is the ELBO of the model with u "
                                "summed out", cases=lambda dropped: finite_bounds(), conclusion=_bounds_in_order,
                                evidence=Evidence.CERTIFIED))
def another_bound(on: Record) -> None:
    """Two clusters, two latents: the best q(u) leaves a gap of log(3 / (2 sqrt 2))."""
    case = FiniteBound(((Fraction(1, 3), Fraction(1, 6)), (Fraction(1, 6), Fraction(1, 3))), (HALF, HALF), (HALF, HALF),
                       (HALF, HALF))
    gap = minus(eq6(case), case.joint_bound())
    # By symmetry, and by idnu.bayes, (1/2, 1/2) is the optimal q(u).
    rows = tuple(zip(*case.joint, strict=True))
    optimal = Competitor(tuple(tuple(p / sum(row) for p in row) for row in rows), case.q_z, case.q_u)
    first, second = optimal.weights()
    exact = log_sum([(Fraction(1), Fraction(3)), (Fraction(-3, 2), Fraction(2))])
    on.printed.refute(not minus(gap, exact) and sign(gap) == 1 and bool((first - second).contains(0)),
                      "p(u|z) = (2/3, 1/3) and (1/3, 2/3), q(z) = (1/2, 1/2): the expectation of eq. 6 exceeds the "
                      "largest value of eq. 5 by log(3/(2 sqrt 2)) = "
                      f"{show(gap)}", shown=repr(case), evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=100)
