"""IDNU, section 4: what the mean correlation coefficient measures, before and after alignment."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import Matrix, Row, apply, invertible_matrices, matrices, rank, shown_matrix
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.metrics import mcc
from ident_theory.models.value import FloatArray
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)

#: An MCC this close to 1 is 1: rounding of the correlations of at most ten small numbers.
NEAR_ONE = 1 - 1e-10


@dataclass(frozen=True)
class Codes:
    """Two sets of latents of the same observations, one row an observation."""

    first: Matrix
    second: Matrix


def _columns(rows: Matrix) -> list[Row]:
    return list(zip(*rows, strict=True))


def _shown(case: Codes) -> str:
    return f"z = {shown_matrix(case.first)}, z' = {shown_matrix(case.second)}"


def _varies(case: Codes) -> bool:
    """Whether no latent is constant, without which there is no correlation."""
    return all(len(set(column)) > 1 for rows in (case.first, case.second) for column in _columns(rows))


def _affine(a: Row, b: Row) -> bool:
    return rank([(Fraction(1),) * len(a), a, b]) == 2


def permuted_affinely(case: Codes) -> bool:
    """Whether some permutation makes every latent an affine function of its partner, decided in rationals."""
    first, second = _columns(case.first), _columns(case.second)
    return any(all(_affine(a, second[j]) for a, j in zip(first, order, strict=True))
               for order in permutations(range(len(second))))


def _floats(rows: Matrix) -> FloatArray:
    return np.array([[float(v) for v in row] for row in rows])


@st.composite
def _codes(draw: st.DrawFn, dropped: frozenset[str]) -> Codes:
    """Permuted and scaled latents, sometimes bent by a monotone map, mixed, or unrelated."""
    n = draw(st.integers(1, 3))
    size = draw(st.integers(2 * n + 2, 2 * n + 4))  # fewer observations leave CCA no choice
    first = draw(matrices(size, n, st.integers(-3, 3).map(Fraction)))
    kind = draw(st.sampled_from(["permuted", "bent", "mixed", "unrelated"]))
    if kind == "unrelated":
        return Codes(first, draw(matrices(size, n, st.integers(-3, 3).map(Fraction))))
    change = draw(invertible_matrices(n))
    if kind != "mixed":
        order = draw(st.permutations(range(n)))
        scales = [draw(st.sampled_from((1, -2))) for _ in range(n)]
        change = tuple(tuple(Fraction(scales[i] * (j == order[i])) for j in range(n)) for i in range(n))
    shift = draw(matrices(1, n))[0]
    second = tuple(apply(change, row, shift) for row in first)
    return Codes(first, tuple(tuple(v**3 for v in row) for row in second) if kind == "bent" else second)


def strong_score() -> Universal[Codes]:
    """The permutation-aligned MCC against an exact decision."""
    return Universal(
        "the permutation-aligned MCC is 1 exactly if the latents agree up to a permutation and an affine map of each",
        cases=_codes, hypotheses={"no constant latent": _varies},
        conclusion=lambda case: (mcc(_floats(case.first), _floats(case.second)).value > NEAR_ONE)
        == permuted_affinely(case) if _varies(case) else None, show=_shown, evidence=Evidence.NUMERICAL)


@chapter.claim(
    "idnu.mcc.strong", place="section 4", kind=Kind.CLAIM,
    statement="Strong identifiability is measured by the MCC of the latents under the best permutation: perfect "
              "recovery in the sense of Definition 2 scores 1.",
    hypotheses=("Pearson correlations in absolute value", "any family of eq. 1"),
    correction=Correction("it is 1 exactly for recovery up to a permutation and an affine map of each latent, which is "
                          "strong identifiability where T forces affine maps, as the Gaussian does"),
    universal=strong_score)
def logarithms_are_not_affine(on: Record) -> None:
    """Log-normal latents, recovered up to squaring."""
    w = sp.Symbol("w", positive=True)
    first, second = sp.Matrix([sp.log(w**2), sp.log(w**2)**2]), sp.Matrix([sp.log(w), sp.log(w)**2])
    block = sp.diag(2, 4)
    related = all(sp.simplify(sp.expand_log(v, force=True)) == 0 for v in first - block * second)

    def moment(order: int) -> sp.Expr:
        """E w^order for log w standard normal."""
        return sp.exp(sp.Rational(order**2, 2))

    covariance = moment(3) - moment(1) * moment(2)
    correlation = covariance / sp.sqrt((moment(2) - moment(1)**2) * (moment(4) - moment(2)**2))
    on.printed.refute(related and block.det() != 0 and bool(correlation < sp.Rational(7, 10)),
                      "z = w^2 with log w standard normal, T = (log z, (log z)^2): T(z) = diag(2, 4) T(w), a strong "
                      f"relation, and the correlation of z and w is {float(correlation):.4f}",
                      shown="lognormal prior, f(z) = z against f'(w) = w^2")
    on.corrected.search(cases=200)


def affinely_related(case: Codes) -> bool:
    """Whether each set of latents is an affine image of the other, decided in rationals."""
    def centred(rows: Matrix) -> list[Row]:
        return [tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows]
    first, second = centred(case.first), centred(case.second)
    return rank(first) == rank(second) == rank([a + b for a, b in zip(first, second, strict=True)])


def _full_rank(case: Codes) -> bool:
    return all(rank([(Fraction(1), *row) for row in rows]) == len(rows[0]) + 1 for rows in (case.first, case.second))


def weak_score() -> Universal[Codes]:
    """The MCC after canonical correlation analysis with all dimensions, against an exact decision."""
    return Universal(
        "the MCC after CCA with all dimensions is 1 exactly if one set of latents is an affine image of the other",
        cases=_codes, hypotheses={"no constant combination": _full_rank},
        conclusion=lambda case: (mcc(_floats(case.first), _floats(case.second), "weak").value > NEAR_ONE)
        == affinely_related(case) if _full_rank(case) else None, show=_shown, evidence=Evidence.NUMERICAL)


@chapter.claim(
    "idnu.mcc.weak", place="section 4; section 4.1", kind=Kind.CLAIM,
    statement="Weak identifiability is measured by the MCC of the latents after CCA, with 20 dimensions.",
    hypotheses=("Pearson correlations",),
    correction=Correction("with all dimensions it is 1 exactly if z is an affine image of z'; the weak relation is one "
                          "of T(z), and neither implies the other",
                          hypotheses=("all dimensions kept", "no latent an affine function of the others")),
    universal=weak_score)
def statistics_are_not_latents(on: Record) -> None:
    """A cubic statistic; a rotation; and one canonical direction of two."""
    z = sp.Symbol("z", real=True)
    density = sp.exp(-z**2 / 2) / sp.sqrt(2 * sp.pi)
    moments = {p: sp.integrate(z**p * density, (z, -sp.oo, sp.oo)) for p in (2, 4, 6)}
    correlation = moments[4] / sp.sqrt(moments[2] * moments[6])
    on.printed.refute(correlation == 3 / sp.sqrt(15) and correlation < 1,
                      "T = z^3 and T' = w with w = z^3: T(z) = T'(w), a weak relation, but one latent leaves CCA "
                      f"nothing to align, and corr(z, z^3) = 3/sqrt(15) = {float(correlation):.4f} for a standard "
                      "normal z",
                      shown="k = 1, T = z^3, T' = w, f(z) = z against f'(w) = w^(1/3)")
    turned = Codes(tuple((Fraction(a), Fraction(b)) for a, b in ((1, 0), (0, 1), (2, 1), (1, 3), (-1, 2), (0, -2))), ())
    rotation = ((Fraction(3, 5), Fraction(-4, 5)), (Fraction(4, 5), Fraction(3, 5)))
    turned = Codes(turned.first, tuple(apply(rotation, row) for row in turned.first))
    squares = Codes(*(tuple((*row, *(v * v for v in row)) for row in rows) for rows in (turned.first, turned.second)))
    on.printed.refute(mcc(_floats(turned.first), _floats(turned.second), "weak").value > NEAR_ONE
                      and affinely_related(turned) and not affinely_related(squares),
                      "the other way: a rotation of two latents scores 1, and T = (z, z^2) of the one is no affine "
                      "image of T of the other (exact, six points)", shown=_shown(turned), evidence=Evidence.NUMERICAL)
    shared = Codes(tuple((row[0], Fraction(i % 3)) for i, row in enumerate(turned.first)),
                   tuple((row[0], Fraction(i // 3)) for i, row in enumerate(turned.first)))
    value = mcc(_floats(shared.first), _floats(shared.second), "weak", dimension=1).value
    on.printed.refute(value > NEAR_ONE and not affinely_related(shared),
                      "and with fewer dimensions than latents: one shared latent of two scores 1 with one canonical "
                      "direction, although no affine map relates the "
                      "two", shown=_shown(shared), evidence=Evidence.NUMERICAL)
    on.corrected.search(cases=200)


def _best_permutation(case: Codes) -> bool | None:
    """Whether the score is the largest over all permutations, each computed by itself; None without correlations."""
    if not _varies(case):
        return None
    first, second = _floats(case.first), _floats(case.second)
    n = first.shape[1]
    found = np.abs(np.corrcoef(first.T, second.T)[:n, n:])
    values = [float(np.mean([found[i, j] for i, j in enumerate(order)])) for order in permutations(range(n))]
    return abs(mcc(first, second).value - max(values)) < 1e-10


def best_of_all() -> Universal[Codes]:
    """In sample the alignment is the best one for the data that are scored."""
    return Universal("the in-sample score is the largest over all permutations", cases=_codes,
                     conclusion=_best_permutation, hypotheses={"no constant latent": _varies}, show=_shown,
                     evidence=Evidence.NUMERICAL)


@chapter.claim(
    "idnu.insample", place="section 4.1", kind=Kind.CLAIM,
    statement="The alignment is found on one half of the test set and used again on the other; in sample it is the "
              "best for the data that are scored, so that independent latents score well above zero, and more the more "
              "latents there are.",
    hypotheses=("5000 observations a half, independent Gaussian latents, for the numbers",),
    universal=best_of_all, slow=True)
def null_level(on: Record) -> None:
    """Brute force over permutations; then the level of independent latents, in and out of sample."""
    on.printed.search(cases=80)
    rng = np.random.default_rng(1)
    found = {}
    for dim in (50, 200):
        first, second = rng.standard_normal((2, 10_000, dim))
        inside = mcc(first[:5000], second[:5000], "weak", dimension=20)
        one, other = inside.aligned(first[5000:], second[5000:])
        outside = np.abs((one * other).mean(axis=0) / (one.std(axis=0) * other.std(axis=0))).mean()
        found[dim] = (mcc(first[:5000], second[:5000]).value, inside.value, float(outside))
    levels = [found[dim][1] for dim in (50, 200)]
    on.printed.support(levels == sorted(levels) and levels[0] > 0.1 and levels[1] > 0.3
                       and all(strong > 0.025 and outside < 0.03 for strong, _, outside in found.values()),
                       "independent latents, d_z: strong in sample, CCA with 20 dimensions in sample, out of sample: "
                       + "; ".join(f"{dim}: {a:.3f}, {b:.3f}, {c:.3f}" for dim, (a, b, c) in found.items()),
                       cases=2, evidence=Evidence.STATISTICAL)


@dataclass(frozen=True)
class Scores:
    """Correlations of matched coordinates in the order of plotting."""

    values: Row


def cumulative_means() -> Universal[Scores]:
    """Running means of numbers in descending order."""
    def running(case: Scores) -> list[Fraction]:
        return [sum(case.values[:m], Fraction(0)) / m for m in range(1, len(case.values) + 1)]
    return Universal(
        "running means of descending numbers do not increase",
        cases=lambda dropped: st.lists(st.fractions(0, 1, max_denominator=10), min_size=1, max_size=6).map(
            lambda values: Scores(tuple(values) if "descending" in dropped else tuple(sorted(values, reverse=True)))),
        conclusion=lambda case: all(a >= b for a, b in zip(running(case), running(case)[1:], strict=False)),
        hypotheses={"descending": lambda case: list(case.values) == sorted(case.values, reverse=True)},
        needed=("descending",))


@chapter.claim(
    "idnu.cum", place="section 4.1, Figures 2 to 4", kind=Kind.CLAIM,
    statement="Scores are plotted as cumulative means over matched coordinates in descending order: such curves never "
              "rise, and end at the MCC.",
    hypotheses=("in sample; out of sample the order of the other half is used, and a curve may rise",),
    universal=cumulative_means)
def curves_fall(on: Record) -> None:
    """The drop of the mean is the distance of the new value from it, divided."""
    m, total, new = sp.symbols("m S x", positive=True)
    drop = total / m - (total + new) / (m + 1)
    rng = np.random.default_rng(2)
    curve = mcc(*rng.standard_normal((2, 50, 6)))
    ends = abs(curve.cumulative[-1] - curve.value) < 1e-12 and bool((np.diff(curve.cumulative) <= 1e-15).all())
    on.printed.prove(sp.simplify(drop - (total / m - new) / (m + 1)) == 0 and ends,
                     "S/m - (S + x)/(m + 1) = (S/m - x)/(m + 1), not negative as x is at most each of the m values "
                     "before")
    on.printed.search(cases=100)
