"""IDNU: for Gaussian latents weak and strong identifiability are one; the check of the package on Theorem 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

import ident_theory as it
from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.idnu.theorems import differences
from ident_theory.claims.matrices import (
    INTEGERS,
    NONZERO,
    Matrix,
    apply,
    inverse_or_none,
    invertible_matrices,
    matrices,
    matrix_of,
    product,
    rank,
    shown_matrix,
)
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)


@dataclass(frozen=True)
class GaussianChange:
    """Means and variances of independent normal latents by u, and a linear map of the latent."""

    means: Matrix
    variances: Matrix
    h: Matrix


def _natural(case: GaussianChange) -> Matrix:
    return tuple(tuple(v for m, s in zip(means, variances, strict=True) for v in (m / s, -1 / (2 * s)))
                 for means, variances in zip(case.means, case.variances, strict=True))


def _stays_factorial(case: GaussianChange) -> bool:
    """Whether H diag(v(u)) H^T is diagonal for every u."""
    n = len(case.h)
    for row in case.variances:
        scaled = tuple(tuple(h * v for h, v in zip(line, row, strict=True)) for line in case.h)
        covariance = product(scaled, tuple(zip(*case.h, strict=True)))
        if any(covariance[i][j] for i in range(n) for j in range(n) if i != j):
            return False
    return True


@st.composite
def _changes(draw: st.DrawFn, dropped: frozenset[str]) -> GaussianChange:
    n = draw(st.integers(1, 3))
    count = 2 * n + 1 + draw(st.integers(0, 1))
    sizes = st.sampled_from([Fraction(v) for v in (1, 2, 3, 5, 100)] + [Fraction(1, 2), Fraction(1, 7)])
    equal = "L invertible" in dropped and draw(st.booleans())
    variances = []
    for _ in range(count):
        first = draw(sizes)
        variances.append((first,) * n if equal else (first, *(draw(sizes) for _ in range(n - 1))))
    means = draw(matrices(count, n, st.one_of(INTEGERS, NONZERO)))
    h = draw(invertible_matrices(n))
    if n > 1 and (draw(st.integers(0, 2)) == 0 or equal):
        turn = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
        turn[0][:2], turn[1][:2] = [Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]
        h = matrix_of(turn)
    if "invertible map" in dropped:
        h = draw(matrices(n, n))
    return GaussianChange(means, tuple(variances), h)


def gaussian_changes() -> Universal[GaussianChange]:
    """Linear maps that keep normal latents independent for every u."""
    return Universal(
        "with L invertible, a linear map that keeps the latents independent normal given every u is a permutation with "
        "scales",
        cases=_changes, conclusion=lambda case: all(sum(v != 0 for v in row) == 1 for row in case.h),
        hypotheses={"invertible map": lambda case: inverse_or_none(case.h) is not None,
                    "independent in both models": _stays_factorial,
                    "L invertible": lambda case: rank(differences(_natural(case))) == 2 * len(case.h)},
        needed=("invertible map", "independent in both models", "L invertible"),
        show=lambda case: f"means {shown_matrix(case.means)}, variances {shown_matrix(case.variances)}, "
                          f"H = {shown_matrix(case.h)}")


@chapter.claim(
    "idnu.weak=strong", place="sections 2 and 4 (derived)", kind=Kind.ADDED,
    statement="For independent Gaussians with both statistics (k = 2) and L invertible the weak relation makes every "
              "z_i = a w_s(i) + b: weak and strong identifiability are the same for the models used in the paper.",
    hypotheses=("T_i = T'_i = (z, z^2)", "L invertible, for both models by R2"), universal=gaussian_changes)
def weak_is_strong(on: Record) -> None:
    """Coefficients of the square of z_i, which has to be a sum of functions of single w_j."""
    w, a, e, c = sp.symbols("w1:4"), sp.symbols("a1:4"), sp.symbols("e1:4"), sp.Symbol("c")
    square = sp.Poly(sp.expand((sum(x * v + y * v**2 for x, y, v in zip(a, e, w, strict=True)) + c)**2), *w)
    fourth = all(square.coeff_monomial(w[j]**4) == e[j]**2 for j in range(3))
    without = sp.Poly(square.as_expr().subs(dict.fromkeys(e, 0)), *w)
    mixed = all(sp.expand(without.coeff_monomial(w[i] * w[j]) - 2 * a[i] * a[j]) == 0
                for i in range(3) for j in range(i))
    on.printed.prove(fourth and mixed,
                     "z_i = sum of a_j w_j + e_j w_j^2 + c and z_i^2 = the like: the coefficient e_j^2 of w_j^4 "
                     "vanishes, then the coefficient 2 a_j a_l of w_j w_l, so one a_j is left (symbolic, any two "
                     "latents at a time)")
    on.printed.search(cases=200)


def changed_pair(case: GaussianChange) -> tuple[it.Model, it.Model]:
    """The model with decoder 1 and the same model with latent H z and decoder H^-1."""
    back = inverse_or_none(case.h)
    assert back is not None
    means = [apply(case.h, row) for row in case.means]
    variances = [[sum((h * h * v for h, v in zip(line, row, strict=True)), Fraction(0)) for line in case.h]
                 for row in case.variances]
    unit = [[int(i == j) for j in range(len(back))] for i in range(len(back))]

    def model(means: Sequence[Sequence[Fraction]], variances: Sequence[Sequence[Fraction]],
              weights: Sequence[Sequence[int | Fraction]]) -> it.Model:
        prior = it.ConditionalPrior.from_means_variances([list(row) for row in means], [list(row) for row in variances])
        return it.Model(prior, it.ReLUNetwork([[list(row) for row in weights]], [[0] * len(back)]), None)

    return model(case.means, case.variances, unit), model(means, variances, back)


def related_pairs() -> Universal[GaussianChange]:
    """The equality of laws and the finest equivalence, by the decisions of the package."""
    algebra = gaussian_changes()

    def conclusion(case: GaussianChange) -> bool | None:
        first, second = changed_pair(case)
        law = it.equal_in_law(first, second).status
        if law != "holds":
            return None if law == "unknown" else False
        found = it.equivalence(first, second)
        # A change of sign is orthogonal and a permutation with scales: two finest kinds, one of which is named.
        also = found.findings.get("equivalent.monomial")
        return found.equivalence.implies(it.Equivalence.MONOMIAL) or (also is not None and also.status == "holds")

    return Universal(
        "with L invertible, two models with independent normal latents given u, linear decoders and one law of x are "
        "related by a permutation with scales and a shift",
        cases=lambda dropped: _changes(dropped).filter(lambda case: len(case.h) <= 2), conclusion=conclusion,
        hypotheses={name: test for name, test in algebra.hypotheses.items() if name != "invertible map"},
        needed=("independent in both models", "L invertible"), show=algebra.show)


@chapter.claim(
    "idnu.thm2.check", place="Theorem 2 (added)", kind=Kind.ADDED,
    statement="Theorem 2 for Gaussians against the decisions of the package: models that differ by an invertible "
              "linear map of the latent have one law of x, and with L invertible the finest relation between them is a "
              "permutation with scales; without, it need not be.",
    hypotheses=("k = 2, normal latents independent given u in both models", "linear injective decoders, no noise",
                "L invertible"),
    universal=related_pairs, slow=True)
def decisions_agree(on: Record) -> None:
    """Hypotheses by rational algebra, laws and relation by the package."""
    on.printed.search(cases=30)


#: Pairs of statistics, and whether they are independent together with 1.
PAIRS = ((("z", "2*z"), False), (("z", "z**2"), True), (("z**3", "z**3 + 5"), False), (("z", "Abs(z)"), True))


@chapter.claim(
    "idnu.thm1.check", place="Theorem 1 (added)", kind=Kind.ADDED,
    statement="The check of a model tells the two apart: for T = (z, 2z) it finds all printed hypotheses of Theorem 1 "
              "fulfilled and minimality violated, and concludes nothing; for T = (z, z^2) it concludes.",
    hypotheses=("a diffeomorphism as decoder, Gaussian noise, det L = 1",), slow=True)
def check_of_the_package(on: Record) -> None:
    """Independence of 1, T_1, T_2 by values at points, against the findings."""
    z = sp.Symbol("z", real=True)
    found = []
    for texts, independent in PAIRS:
        statistics = [sp.sympify(text, locals={"z": z}) for text in texts]
        by_values = sp.Matrix([[1, *(t.subs(z, p) for t in statistics)] for p in (-2, -1, 0, 1, 3)]).rank() == 3
        prior = it.ConditionalPrior("custom", [[[0, 0]], [[1, 0]], [[0, 1]]], statistics=list(texts),
                                    base="exp(-z**4)", support=("-oo", "oo"))
        model = it.Model(prior, it.DeclaredMap(1, 1, ["diffeomorphism"]), it.GaussianNoise(std=1))
        report = it.check(model)
        printed = [str(report[name].status) for name in ("ivae.noise", "ivae.injective", "ivae.statistics", "ivae.L")]
        concludes = report.conclusion.equivalence is not it.Equivalence.NONE
        found.append(by_values == independent and printed == ["holds"] * 4 and concludes == independent
                     and (str(report["exp.minimal"].status) == "holds") == independent)
    on.printed.support(all(found), "pairs of statistics: " + ", ".join(f"({a}, {b})" for (a, b), _ in PAIRS),
                       cases=len(PAIRS), evidence=Evidence.EXACT)
