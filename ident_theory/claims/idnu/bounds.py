"""IDNU, sections 2 and 3: the bounds of iVAE and VaDE, on finite models where they are sums of logarithms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.idnu.logarithms import (
    FiniteBound,
    LogSum,
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
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)

HALF = Fraction(1, 2)
#: Two clusters over two latents; x is likelier under the first cluster.
EXAMPLE = FiniteBound(joint=((Fraction(1, 3), Fraction(1, 6)), (Fraction(1, 6), Fraction(1, 3))),
                      likelihood=(HALF, Fraction(1, 4)), q_z=(HALF, HALF), q_u=(HALF, HALF))


def given_u(case: FiniteBound, u: int) -> FiniteBound:
    """The model given u, as one with a single value of u."""
    total = case.prior_u[u]
    return replace(case, joint=(tuple(p / total for p in case.joint[u]),), q_u=(Fraction(1),))


def posterior_z(case: FiniteBound) -> Row:
    """p(z | x)."""
    weights = [p * l for p, l in zip(case.prior_z, case.likelihood, strict=True)]
    return tuple(w / sum(weights) for w in weights)


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    found = list(answers)
    return False if False in found else None if None in found else True


def divergence_is_positive() -> bool:
    """Gibbs: log t <= t - 1 with equality at 1 alone, so the sum of q log(p / q) is at most the sum of p - q."""
    t = sp.Symbol("t", positive=True)
    gap = t - 1 - sp.log(t)
    return bool(sp.solve(gap.diff(t), t) == [1] and gap.subs(t, 1) == 0 and gap.diff(t, 2).is_positive)


@chapter.claim(
    "idnu.eq3", place="eq. 3", kind=Kind.IDENTITY,
    statement="The iVAE objective is the evidence lower bound of p(x|u), without a logarithm: never above it, and "
              "equal to it where q is the posterior.",
    hypotheses=("a single x and u", "that a bound of this kind is attained at the posterior is tacit"),
    correction=Correction("the left side is log p(x|u); the gap is KL(q, posterior)", notational=True),
    universal=lambda: Universal(
        "log p(x|u) - ELBO = KL(q(z), p(z|x,u)), so the bound holds and is attained at the posterior",
        cases=lambda dropped: finite_bounds(),
        conclusion=lambda case: all_of(_gap_is_divergence(given_u(case, u)) for u in range(len(case.joint))),
        evidence=Evidence.CERTIFIED))
def log_is_missing(on: Record) -> None:
    """At the posterior the objective is log p, which p exceeds by one at least."""
    case = given_u(EXAMPLE, 0)
    tight = replace(case, q_z=posterior_z(case))
    value = tight.joint_bound()
    p = sum((a * b for a, b in zip(case.prior_z, case.likelihood, strict=True)), Fraction(0))
    contradicts = not minus(value, tight.evidence()) and bool(float(p) - ball(value) >= 1)
    on.printed.refute(contradicts, f"q the exact posterior: the objective is log(5/12) = {show(value)}, not p(x|u) = "
                                   f"{p}; the printed inequality as such holds, with a gap of at least 1",
                      shown=repr(tight), evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=100)


def _gap_is_divergence(case: FiniteBound) -> bool | None:
    gap = minus(case.evidence(), case.joint_bound())
    divergence = case.divergence_z(posterior_z(case))
    if gap != divergence:
        return False
    least = sign(gap)
    return None if least is None else least >= 0


@dataclass(frozen=True)
class Fit:
    """A finite class of models p_theta(x, z), a finite family of q(z | x), and the law of the data.

    Attributes
    ----------
    models : tuple of Table
        One table (rows x, columns z) a parameter; the last is the one that should be the truth.
    family : tuple of Table
        One table q(z | x) (rows x) a member.
    data : Row
        Law of x.
    maximum : bool
        Whether the chosen pair is a maximum of the objective; otherwise it is the first pair.
    """

    models: tuple[Table, ...]
    family: tuple[Table, ...]
    data: Row
    maximum: bool


def _marginal(model: Table) -> Row:
    return tuple(sum(row, Fraction(0)) for row in model)


def _posterior(model: Table) -> Table:
    return tuple(tuple(p / sum(row, Fraction(0)) for p in row) for row in model)


def _objective(model: Table, q: Table, data: Row) -> LogSum:
    return log_sum((mass * a, p / a) for mass, row, given in zip(data, model, q, strict=True)
                   for p, a in zip(row, given, strict=True) if mass * a)


def _best(case: Fit) -> list[int] | None:
    """Parameters of the pairs that are chosen; None if two values could not be told apart."""
    values = [(theta, _objective(model, q, case.data)) for theta, model in enumerate(case.models) for q in case.family]
    if not case.maximum:
        return [values[0][0]]
    signs = {(a, b): sign(minus(values[a][1], values[b][1])) for a in range(len(values)) for b in range(len(values))}
    if any(s is None for s in signs.values()):
        return None
    return [values[a][0] for a in range(len(values)) if all((signs[a, b] or 0) >= 0 for b in range(len(values)))]


@st.composite
def _fits(draw: st.DrawFn, dropped: frozenset[str]) -> Fit:
    def table(rows: int, columns: int) -> Table:
        entries = normalised(draw(st.lists(st.sampled_from((1, 2, 3, 7)), min_size=rows * columns,
                                           max_size=rows * columns)))
        return tuple(entries[i * columns:(i + 1) * columns] for i in range(rows))

    points = draw(st.integers(2, 3))
    models = tuple(table(points, 2) for _ in range(draw(st.integers(2, 3))))
    data = _marginal(models[-1]) if "well specified" not in dropped else normalised(
        draw(st.lists(st.sampled_from((1, 2, 3, 7)), min_size=points, max_size=points)))
    others = tuple(_posterior(table(points, 2)) for _ in range(draw(st.integers(1, 2))))
    family = others if "posterior in the family" in dropped else (*others, _posterior(models[-1]))
    return Fit(models, family, data, "global maximum" not in dropped)


def maximum_likelihood_by_bound() -> Universal[Fit]:
    """The squeeze E ELBO <= E log p_theta <= E log p*, over finite classes."""
    return Universal(
        "every maximum of the population objective over the class and the family has p_theta(x) = p*(x)",
        cases=_fits,
        conclusion=lambda case: None if (best := _best(case)) is None else
        all(_marginal(case.models[theta]) == case.data for theta in best),
        hypotheses={"well specified": lambda case: _marginal(case.models[-1]) == case.data,
                    "posterior in the family": lambda case: _posterior(case.models[-1]) in case.family,
                    "global maximum": lambda case: case.maximum},
        needed=("well specified", "posterior in the family", "global maximum"), evidence=Evidence.CERTIFIED)


@chapter.claim(
    "idnu.s2.must", place="section 2, after eq. 3", kind=Kind.CLAIM,
    statement="For the theory to hold for iVAEs the generative model must be an infinitely flexible function "
              "approximator, the true posterior must be in the family of q, data must be infinite, and the global "
              "maximum must be found.",
    hypotheses=("population objective",),
    correction=Correction("these are sufficient; of the model only that it contains the truth is needed, and the "
                          "posterior at the truth has to be in the "
                          "family", hypotheses=("the model contains the truth",)),
    scope="that the law determines the parameters up to the relation is Theorem 1",
    universal=maximum_likelihood_by_bound)
def a_small_class_will_do(on: Record) -> None:
    """Two parameters, far from any universal approximator, and the maximum is the truth alone."""
    models = (((HALF, Fraction(1, 4)), (Fraction(1, 8), Fraction(1, 8))),
              ((Fraction(1, 8), Fraction(1, 8)), (HALF, Fraction(1, 4))))
    case = Fit(models, (_posterior(models[1]), _posterior(models[0])), _marginal(models[1]), maximum=True)
    on.printed.refute(maximum_likelihood_by_bound().meets(case) and _best(case) == [1],
                      "a class of two models on two points, which approximates nothing, still returns the true "
                      "parameter: flexibility is not necessary", shown=repr(case), evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=60)


def _on_cluster(case: FiniteBound, u: int) -> FiniteBound:
    return replace(case, q_u=tuple(Fraction(int(v == u)) for v in range(len(case.joint))))


def _eq4(case: FiniteBound, u: int) -> LogSum:
    """Eq. 4 with the one-hot posterior on u."""
    prior = tuple(p / case.prior_u[u] for p in case.joint[u])
    return minus(case.reconstruction(), case.divergence_z(prior))


@dataclass(frozen=True)
class OneHot:
    """A finite model, the cluster of its x, and whether log p(u) is part of the bound."""

    model: FiniteBound
    u: int
    prior_term: bool


@st.composite
def _one_hot(draw: st.DrawFn, dropped: frozenset[str]) -> OneHot:
    model = draw(finite_bounds())
    if draw(st.booleans()):
        model = replace(model, q_z=posterior_z(model))
    return OneHot(model, draw(st.integers(0, len(model.joint) - 1)), "prior of u counted" not in dropped)


def _bounded(case: OneHot) -> bool | None:
    value = _eq4(case.model, case.u)
    full = minus(value, log_sum([(Fraction(-1), case.model.prior_u[case.u])])) if case.prior_term else value
    if case.prior_term and minus(full, _on_cluster(case.model, case.u).joint_bound()):
        return False
    least = sign(minus(case.model.evidence(), full))
    return None if least is None else least >= 0


def one_hot_bound() -> Universal[OneHot]:
    """Eq. 4 with and without the term of p(u)."""
    return Universal("eq. 4 plus log p(omega(x)) is the ELBO of log p(x) with one-hot q(u|x), so at most log p(x)",
                     cases=_one_hot, conclusion=_bounded,
                     hypotheses={"prior of u counted": lambda case: case.prior_term}, needed=("prior of u counted",),
                     evidence=Evidence.CERTIFIED)


@chapter.claim(
    "idnu.eq4", place="eq. 4", kind=Kind.IDENTITY,
    statement="With u latent and its posterior one-hot at omega(x), the iVAE objective E log p(x|z) - KL(q(z|x,u), "
              "p(z|u)) is the evidence lower bound, no longer conditioned on u.",
    hypotheses=("q(u|x) puts all mass on omega(x)",),
    correction=Correction("it bounds log p(x | u = omega(x)); for log p(x) the term log p(omega(x)) has to be added, a "
                          "constant only if u is uniform"),
    universal=one_hot_bound)
def prior_of_u_is_missing(on: Record) -> None:
    """Eq. 4 at the posterior is log p(x|u), which can exceed log p(x)."""
    tight = replace(EXAMPLE, q_z=posterior_z(given_u(EXAMPLE, 0)))
    excess = minus(_eq4(tight, 0), tight.evidence())
    on.printed.refute(not minus(_eq4(tight, 0), tight.evidence_given(0)) and sign(excess) == 1,
                      f"two clusters of weight 1/2, log p(x) = {show(tight.evidence())}, eq. 4 = log p(x|u) = "
                      f"{show(_eq4(tight, 0))}: no lower bound, too large by log(10/9) = {show(excess)}",
                      shown=repr(tight), evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=100)


@chapter.claim(
    "idnu.eq5", place="eq. 5", kind=Kind.IDENTITY,
    statement="With q(z, u|x) = q(z|x) q(u|x) the ELBO is E log p(x|z) - KL(q(z|x), p(z)) - E KL(q(u|x), p(u|z)), and "
              "a lower bound of log p(x).",
    hypotheses=("the model is p(u) p(z|u) p(x|z)", "q factorises"),
    universal=lambda: Universal(
        "the three terms of eq. 5 add up to E log p(x,z,u)/(q(z) q(u)), which is at most log p(x)",
        cases=lambda dropped: finite_bounds(), conclusion=_decomposition, evidence=Evidence.CERTIFIED))
def vade_bound(on: Record) -> None:
    """Every term of the double sum splits as p(z, u) = p(z) p(u|z)."""
    x_z, z, u_z, q_z, q_u = sp.symbols("lik pz pu_z qz qu", positive=True)
    term = sp.log(x_z * (z * u_z) / (q_z * q_u))
    split = sp.log(x_z) - sp.log(q_z / z) - sp.log(q_u / u_z)
    on.printed.prove(sp.expand(sp.expand_log(term - split)) == 0 and divergence_is_positive(),
                     "log p(x|z) p(z) p(u|z) / (q(z) q(u)) splits into the three integrands, for every z and u "
                     "(symbolic); log p(x) less the ELBO is KL(q(z) q(u), p(z, u|x)), not negative as log t <= t - 1 "
                     "(symbolic)")
    on.printed.search(cases=100)


def _decomposition(case: FiniteBound) -> bool | None:
    parts = minus(minus(case.reconstruction(), case.divergence_z(case.prior_z)), case.divergence_u())
    if minus(parts, case.joint_bound()):
        return False
    least = sign(minus(case.evidence(), parts))
    return None if least is None else least >= 0
