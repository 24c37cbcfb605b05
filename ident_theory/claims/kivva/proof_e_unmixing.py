"""Appendix E: independent coordinates up to permutation, scale and translation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_mixtures import IDENTITY
from ident_theory.claims.kivva.proof_c_pairs import is_reduced, listed, matched, positive, small
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import AffineChange, GaussianMixture, Model
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import exact_alignments, unmix_factorial

chapter = Chapter(KIVVA)


@dataclass(frozen=True)
class Mixed:
    """Z and the map z -> A z + b."""

    z: GaussianMixture
    h: AffineChange


def is_factorial(p: GaussianMixture) -> bool:
    """Whether every covariance is diagonal."""
    return all(v == 0 or s == t for c in p.covariances_exact for (s, t), v in np.ndenumerate(c))


def has_distinct_ratios(p: GaussianMixture) -> bool:
    """The second half of P2, over the components of positive weight."""
    rows = [c.diagonal() for w, c in zip(p.weights_exact, p.covariances_exact, strict=True) if w]
    return any(len({a / b for a, b in zip(u, v, strict=True)}) == p.latent_dim
               for u, v in itertools.combinations(rows, 2))


@st.composite
def rotations(draw: st.DrawFn, m: int) -> list[list[Fraction]]:
    """An orthogonal matrix in rationals: a signed permutation, one plane of it turned by a Pythagorean angle."""
    order = draw(st.permutations(range(m)))
    q = [[Fraction(draw(st.sampled_from([1, -1]))) if j == order[i] else Fraction(0) for j in range(m)]
         for i in range(m)]
    adjacent, opposite, r = draw(st.sampled_from([(1, 0, 1), (3, 4, 5), (5, 12, 13)]))
    c, s = Fraction(adjacent, r), Fraction(opposite, r)
    if m > 1:
        q[0], q[1] = ([c * x - s * y for x, y in zip(q[0], q[1], strict=True)],
                      [s * x + c * y for x, y in zip(q[0], q[1], strict=True)])
    return q


@st.composite
def changes(draw: st.DrawFn, m: int) -> AffineChange:
    """Any invertible map: a scaled permutation, a rotation, or a product of triangular matrices with one."""
    kind = draw(st.sampled_from(["monomial", "rotation", "any"]))
    q = np.array(draw(rotations(m)), dtype=object)
    if kind == "monomial":
        q = np.array([[draw(small.filter(bool)) if v else Fraction(0) for v in row]
                      for row in np.array(draw(rotations(1)) if m == 1 else np.eye(m, dtype=int)[
                          list(draw(st.permutations(range(m))))], dtype=object)], dtype=object)
    elif kind == "any":
        lower = np.array([[draw(small) if j < i else draw(positive) if i == j else Fraction(0) for j in range(m)]
                          for i in range(m)], dtype=object)
        q = lower @ q
    return AffineChange(q.tolist(), [draw(small) for _ in range(m)])


@st.composite
def factorial_cases(draw: st.DrawFn, dropped: frozenset[str] = frozenset()) -> Mixed:
    """One to three latents and two or three components; equal ratios, equal means and equal components are common."""
    m, count = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    means = [[draw(small) for _ in range(m)] for _ in range(count)]
    sizes = st.sampled_from([Fraction(v) for v in (1, 2, 3, 4)])
    variances: list[Any] = [[draw(sizes) for _ in range(m)] for _ in range(count)]
    if "distinct ratios" in dropped:
        variances[1:] = [[draw(sizes)] * m for _ in variances[1:]]
        variances[0] = [Fraction(1)] * m
    if "diagonal covariances" in dropped and m > 1:
        root = np.array([[draw(small) if j < i else draw(positive) if i == j else Fraction(0) for j in range(m)]
                         for i in range(m)], dtype=object)
        full = [[[v if i == j else Fraction(0) for j in range(m)] for i, v in enumerate(row)] for row in variances]
        full[0] = (root @ root.T).tolist()
        variances = full
    weights = [Fraction(draw(st.integers(1, 3))) for _ in range(count)]
    z = GaussianMixture([w / sum(weights) for w in weights], means, variances)
    return Mixed(z, draw(changes(m)))


def _recovered(case: Mixed) -> bool:
    found = unmix_factorial(case.h.carry(case.z))
    if found.status is not Status.HOLDS or found.inverse_exact is None:
        return False
    return AffineChange((found.inverse_exact @ case.h.matrix_exact).tolist(), [0] * case.z.latent_dim).is_monomial


@cache
def mixing_is_recovered() -> Universal[Mixed]:
    """Theorem E.1 with signed scales, held against the exact unmixing."""
    return Universal("from the law of Y = A Z + b, Z with diagonal components, two of them with distinct variance "
                     "ratios, one finds A' with one non-zero entry of A'^-1 A in every row and column", factorial_cases,
                     _recovered, {"diagonal covariances": lambda case: is_factorial(case.z),
                                  "distinct ratios": lambda case: has_distinct_ratios(case.z)
                                  if is_factorial(case.z) else True},
                     ("diagonal covariances", "distinct ratios"), repr)


@chapter.claim(
    "kivva.thmE.1", place="App. E, Theorem E.1", kind=Kind.THEOREM, covers=("Theorem E.1", "Remark E.2"),
    universal=mixing_is_recovered,
    statement="From Y = A Z + b, Z a mixture of J >= 2 diagonal components of which two have distinct variance ratios, "
              "one can recover A' with A'^-1 A = Q D, Q a permutation and D a diagonal matrix with positive entries; "
              "A need not preserve volume.",
    hypotheses=("J >= 2, positive weights", "diagonal, positive definite covariances", "A invertible",
                "two components with pairwise distinct variance ratios"),
    correction=Correction("The same with non-zero entries of D, whose signs cannot be recovered."))
def mixing_up_to_scaled_permutations(on: Record) -> None:
    up, down = GaussianMixture(["1/2", "1/2"], [0, 1], [1, 4]), GaussianMixture(["1/2", "1/2"], [0, -1], [1, 4])
    mirror = AffineChange(-1, 0)
    on.printed.refute(has_distinct_ratios(up) and has_distinct_ratios(down) and listed(mirror.carry(down)) == listed(up)
                      and up != down,
                      "1/2 N(0, 1) + 1/2 N(1, 4) with A = 1 and 1/2 N(0, 1) + 1/2 N(-1, 4) with A = -1 give one law of "
                      "Y, so one A' would have to be positive and negative", shown=f"{up!r}\n{down!r}, A = -1")
    on.corrected.search(cases=300)
    a = AffineChange([[1, 2, 0, -1], [0, 1, -3, 1], [-2, 0, 1, 1], [1, -1, 1, 2]], [3, 0, -1, 2])
    z = GaussianMixture(["1/2", "1/2"], [[0] * 4, [1, -1, 2, 0]], [[1] * 4, [2, 3, 5, 7]])
    on.corrected.support(_recovered(Mixed(z, a)) and abs(sympy.Matrix(a.matrix_exact).det()) != 1,
                         "four latents, a matrix whose determinant is not +-1", cases=1, evidence=Evidence.EXACT)


@cache
def singular_vectors() -> Universal[tuple[Any, Any, tuple[Fraction, ...]]]:
    """The step after (22)."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> tuple[Any, Any, tuple[Fraction, ...]]:
        m = draw(st.integers(2, 3))
        ratios = tuple(draw(st.sampled_from([Fraction(v) for v in (1, 2, 3, 5)])) for _ in range(m))
        if dropped:
            ratios = (ratios[0],) * m
        return draw(rotations(m)), draw(rotations(m)), ratios

    def holds(case: tuple[Any, Any, tuple[Fraction, ...]]) -> bool:
        first, second = (np.array(q, dtype=float) for q in case[:2])
        found = np.linalg.svd(first @ np.diag([float(r) for r in case[2]]) @ second.T)[0]
        product = np.abs(first.T @ found)
        return bool(np.allclose(np.sort(product, axis=0)[:-1], 0, atol=1e-9) and np.allclose(product.max(axis=0), 1))

    return Universal("the left singular vectors of R_1 S R_2^-1, S diagonal with distinct entries, are the columns of "
                     "R_1 up to order and sign", cases, holds,
                     {"distinct ratios": lambda case: len(set(case[2])) == len(case[2])}, ("distinct ratios",), repr,
                     Evidence.NUMERICAL)


@chapter.claim(
    "kivva.thmE.1.svd", place="App. E, proof of Theorem E.1, (22) and (23)", kind=Kind.CLAIM,
    universal=singular_vectors,
    statement="The singular value decomposition of V_1^-1 V_2 gives an orthogonal R_1' for which A' = V_1 R_1' has one "
              "non-zero entry of A'^-1 A in every row and column.",
    hypotheses=("the ratios of the variances are pairwise distinct",),
    argument="The decomposition determines R_1 up to a permutation, so A'^-1 A is a permutation matrix times "
             "Sigma_1^-1/2, which is positive.")
def rotation_from_singular_vectors(on: Record) -> None:
    on.printed.search(cases=200)
    s, flip = sympy.diag(2, 3), sympy.diag(-1, 1)
    on.argument.refute(flip * s * flip.T == s and flip * flip.T == sympy.eye(2)
                       and all(flip != q for q in (sympy.eye(2), sympy.Matrix([[0, 1], [1, 0]]))),
                       "A = I, Sigma_1 = I, Sigma_2 = diag(4, 9): V_1^-1 V_2 = diag(2, 3) = R S R^T for R = I and "
                       "for R = diag(-1, 1), which no permutation relates; the second gives A'^-1 A = diag(-1, 1)",
                       shown=f"V_2 = {s.tolist()}, R = {flip.tolist()}")


@chapter.claim(
    "kivva.eq22", place="App. E, proof of Theorem E.1, (19) to (22)", kind=Kind.IDENTITY,
    statement="If V_i V_i^T is the covariance A Sigma_i A^T, then V_i R_i = A Sigma_i^1/2 for an orthogonal R_i, and "
              "R_1 Sigma_1^-1/2 Sigma_2^1/2 R_2^-1 = V_1^-1 V_2.",
    hypotheses=("A and all V_i invertible", "Sigma_i diagonal with positive entries"))
def factors_of_the_covariances(on: Record) -> None:
    m = sympy.Symbol("m", integer=True, positive=True)
    a, v, r, t = (sympy.MatrixSymbol(name, m, m) for name in ("A", "V", "R_1", "R_2"))
    # V^-1 (A S A^T) V^-T with V V^T in the place of A S A^T: R = V^-1 A S^1/2 is orthogonal.
    on.printed.prove((v.inverse() * (v * v.T) * v.T.inverse()).doit() == sympy.Identity(m),
                     "in matrix symbols: R R^T = V^-1 (A Sigma A^T) V^-T = V^-1 (V V^T) V^-T is the identity")
    # With V_1 = A S_1 R_1^-1 and V_2 = A S_2 R_2^-1, where S_i is the root of Sigma_i.
    s, u = (sympy.MatrixSymbol(name, m, m) for name in ("S_1", "S_2"))
    right = ((a * s * r.inverse()).inverse() * (a * u * t.inverse())).doit()
    on.printed.prove(right == (r * s.inverse() * u * t.inverse()).doit() != (r * u * s.inverse() * t.inverse()).doit(),
                     "in matrix symbols, for V_i = A Sigma_i^1/2 R_i^-1: V_1^-1 V_2 is the left side of (22)")


@chapter.claim(
    "kivva.remE.1", place="App. E, Remark E.1", kind=Kind.REMARK, covers=("Remark E.1",),
    statement="The translation b in Y = A Z + b cannot be recovered: every b goes with some translate of Z.")
def translation_is_free(on: Record) -> None:
    m = sympy.Symbol("m", integer=True, positive=True)
    a = sympy.MatrixSymbol("A", m, m)
    mean, b, other = (sympy.MatrixSymbol(name, m, 1) for name in ("mu", "b", "c"))
    shifted = mean + a.inverse() * (b - other)
    here, there = ((a * shifted + place).expand().doit() for place in (other, b))
    on.printed.prove(here == (a * mean + b).doit() != there,
                     "in matrix symbols, any number of latents and any component: Z + A^-1 (b - c) with the "
                     "translation c has the means of Z with b, for all c; a translation of Z changes no covariance")
    z, h = GaussianMixture(["1/2", "1/2"], [[0, 1], [2, 0]], [[1, 1], [2, 3]]), AffineChange([[1, 1], [0, 2]], [0, 0])
    moved = AffineChange(np.eye(2, dtype=int), [1, 0]).carry(z)
    back = AffineChange(h.matrix_exact.tolist(), [-1, 0])
    on.printed.support(h.carry(z) == back.carry(moved) and has_distinct_ratios(moved) and is_factorial(moved),
                     "the translate of a mixture that satisfies P2 satisfies P2", cases=1, evidence=Evidence.EXACT)


def _scaled_permutation(case: Mixed) -> bool | None:
    found = exact_alignments(case.z, case.h.carry(case.z))
    good = any(h.is_monomial and listed(h.carry(case.z)) == listed(case.h.carry(case.z)) for h in found.changes)
    return good or (None if not found.complete else False)


@cache
def coordinates_are_determined() -> Universal[Mixed]:
    """Theorem E.2 for P(Z), once Theorem C.1 has given an affine map."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Mixed]:
        if "diagonal covariances" in dropped:  # the alternative is factorial, Z is not
            return factorial_cases().map(lambda case: Mixed(case.h.carry(case.z), case.h.inverse()))
        return factorial_cases(dropped)

    return Universal("if Z and h(Z), h affine, both have diagonal components and Z has a pair of them with distinct "
                     "variance ratios, a scaled permutation with a translation carries the one law to the other",
                     cases, _scaled_permutation, {
                         "alternative factorial": lambda case: is_factorial(case.h.carry(case.z)),
                         "diagonal covariances": lambda case: is_factorial(case.z),
                         "distinct ratios": lambda case: not is_factorial(case.z) or has_distinct_ratios(case.z)},
                     ("alternative factorial", "diagonal covariances", "distinct ratios"), repr)


@chapter.claim(
    "kivva.thmE.2", place="App. E, Theorem E.2", kind=Kind.THEOREM, covers=("Theorem E.2",),
    universal=coordinates_are_determined,
    statement="In model (3) with a weakly injective decoder, coordinates independent given U and two states with "
              "pairwise distinct variance ratios, the joint law of (U, Z) is determined up to permutation, scaling and "
              "translation of the coordinates.",
    hypotheses=("P1, components non-degenerate", "F2", "P2"),
    correction=Correction("The same up to non-zero scales and a relabelling of the states, for one hidden variable "
                          "with different components for different states and a noise of known law, among models that "
                          "satisfy P2 themselves.", ("k = 1", "reduced form", "known noise law")))
def coordinates_up_to_scaled_permutations(on: Record) -> None:
    parts = [GaussianMixture([*w, "1/2"], [0, 0, 1], [1, 1, 4]) for w in (("1/4", "1/4"), ("1/8", "3/8"))]
    first, second = (Model(p, IDENTITY) for p in parts)
    on.printed.refute(check(first)["F2"].status is Status.HOLDS and all(map(has_distinct_ratios, parts))
                      and equal_in_law(first, second).status is Status.HOLDS and matched(*parts) is False
                      and not is_reduced(parts[0]),
                      "f = id, states 1 and 2 with the component N(0, 1), state 3 with N(1, 4): P(U) = (1/4, 1/4, 1/2) "
                      "and (1/8, 3/8, 1/2) give one law of X", shown=show_models(first=first, second=second))
    up, down = GaussianMixture(["1/2", "1/2"], [0, 1], [1, 4]), GaussianMixture(["1/2", "1/2"], [0, -1], [1, 4])
    found = exact_alignments(up, down)
    on.printed.refute(found.complete and [h.matrix_exact[0, 0] for h in found.changes] == [-1],
                      "scaling has to allow negative numbers: means (0, 1) and (0, -1) with variances (1, 4) are "
                      "related by z -> -z and by no other affine map", shown=f"{up!r}\n{down!r}")
    on.corrected.search(cases=300)
