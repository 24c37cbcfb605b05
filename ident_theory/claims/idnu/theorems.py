"""IDNU, Theorems 1 and 2: the hypotheses that they lack, and the slips in those that they have."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import sympy as sp
from flint import arb, arb_mat
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.matrices import (
    Matrix,
    Row,
    apply,
    inverse_or_none,
    invertible_matrices,
    matrices,
    matrix_of,
    rank,
    shown_matrix,
)
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.repair.noise_removal import FiniteModel, noise_removal
from ident_theory.claims.repair.sum_of_curves import sum_of_curves
from ident_theory.claims.universal import Universal
from ident_theory.models.families import FAMILY_NAMES, family
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)

#: A sympy expression or a ball.
Number = TypeVar("Number", bound=Any)
ModelPair = tuple[FiniteModel, FiniteModel]
#: The rotation by the angle of the triangle (3, 4, 5).
ROTATION = matrix_of([[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]])


def differences(natural: Matrix) -> Matrix:
    """The rows lambda(u_l) - lambda(u_0): the transpose of L."""
    return tuple(tuple(a - b for a, b in zip(row, natural[0], strict=True)) for row in natural[1:])


def invertibly_related(first: Matrix, second: Matrix) -> bool:
    """Whether first = A second + c at all points for an invertible A: both obey the same affine relations."""
    def centred(rows: Matrix) -> list[Row]:
        return [tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows]
    left, right = centred(first), centred(second)
    return rank(left) == rank(right) == rank([a + b for a, b in zip(left, right, strict=True)])


@st.composite
def _model_pairs(draw: st.DrawFn, dropped: frozenset[str]) -> ModelPair:
    """T = A T' + c with any A, or with statistics that lambda never weighs; f the same, one to one on points."""
    size, points = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    second_statistics = draw(matrices(points, size))
    a = draw(st.one_of(matrices(size, size), invertible_matrices(size).filter(_is_integral)))
    c = draw(matrices(1, size))[0]
    first_statistics = tuple(apply(a, row, c) for row in second_statistics)
    natural = draw(matrices(size + draw(st.integers(0, 2)) + (size == 1), size)) if draw(st.booleans()) else \
        _star(size, draw(st.sampled_from((1, -1))))
    if "equal laws" in dropped and draw(st.booleans()):
        second_statistics = draw(matrices(points, size))
    if "L invertible" in dropped and draw(st.booleans()):
        natural = tuple((*row[:-1], natural[0][-1] * 0) for row in natural)
        spare = draw(matrices(points, 1))
        first_statistics = tuple((*row[:-1], *other) for row, other in zip(first_statistics, spare, strict=True))
    weights = tuple(Fraction(draw(st.sampled_from((1, 2, 7)))) for _ in range(points))
    second_natural = tuple(apply(tuple(zip(*a, strict=True)), row) for row in natural)
    place, noise = tuple(range(points)), tuple(Fraction(int(x == 0)) for x in range(points))
    return (FiniteModel(weights, first_statistics, natural, place, noise),
            FiniteModel(weights, second_statistics, second_natural, place, noise))


def _is_integral(matrix: Matrix) -> bool:
    return all(v.denominator == 1 and abs(v) <= 3 for row in matrix for v in row)


def _star(size: int, step: int) -> Matrix:
    """lambda = 0 and then the multiples of the unit vectors: L is invertible."""
    return ((Fraction(0),) * size, *(tuple(Fraction(step * (i == j)) for j in range(size)) for i in range(size)))


def _is_minimal(model: FiniteModel) -> bool:
    return rank([(Fraction(1), *row) for row in model.statistics]) == len(model.statistics[0]) + 1


def weak_identifiability() -> Universal[ModelPair]:
    """Theorem 1 for finitely many latents, n = 1, where every law is rational."""
    return Universal(
        "equal laws of x for all u, L invertible and minimal statistics give T = A T' + c with an invertible A",
        cases=_model_pairs,
        conclusion=lambda pair: invertibly_related(pair[0].statistics, pair[1].statistics),
        hypotheses={"equal laws": lambda pair: all(pair[0].observed_law(u) == pair[1].observed_law(u)
                                                   for u in range(len(pair[0].natural))),
                    "L invertible": lambda pair: rank(differences(pair[0].natural)) == len(pair[0].statistics[0]),
                    "minimality": lambda pair: _is_minimal(pair[0])},
        needed=("equal laws", "L invertible", "minimality"), show=lambda pair: f"first: {pair[0]}; second: {pair[1]}")


@chapter.claim(
    "idnu.thm1", place="Theorem 1", kind=Kind.THEOREM, covers=("Theorem 1",),
    statement="If (i) the noise has an almost everywhere non-zero characteristic function, (ii) f is injective, (iii) "
              "the statistics are differentiable almost everywhere with non-zero derivative and (iv) L is invertible "
              "for some k d_z + 1 values of u, then the parameters are identified up to an invertible affine map of "
              "the statistics.",
    hypotheses=("the slips in (i), (iii) and (iv) mended", "one law of the noise", "Q positive on the values of z",
                "(iv) for one of the two parameters, as in the original theorem (for both: see idnu.thm1.both)"),
    correction=Correction("the same for minimal statistics, and (iii) is then not needed (R1 and R2)",
                          hypotheses=("1, T_i1, ..., T_ik linearly independent for every i",)),
    scope="the search of the corrected form is over finitely many latents, n = 1; R1 and R2 are claims of their own",
    universal=weak_identifiability)
def minimality_is_missing(on: Record) -> None:
    """T = (z, 2z) against T' = (z, z^2) with the same normal laws."""
    z = sp.Symbol("z", real=True)
    first, second = sp.Matrix([z, 2 * z]), sp.Matrix([z, z**2])
    natural = [(0, 0), (1, 0), (0, 1)]
    other = [(a + 2 * b, 0) for a, b in natural]
    same_laws = all(sp.expand((sp.Matrix([lam]) * first)[0] - (sp.Matrix([mu]) * second)[0]) == 0
                    for lam, mu in zip(natural, other, strict=True))
    with_l = sp.Matrix([[a - natural[0][0], b - natural[0][1]] for a, b in natural[1:]]).det() == 1
    derivatives = all(sp.solveset(t.diff(z), z, sp.S.Reals).is_FiniteSet for t in (*first, *second))
    coefficients = sp.symbols("a0:4 c0:2")
    residual = first - sp.Matrix(2, 2, coefficients[:4]) * second - sp.Matrix(coefficients[4:])
    found = sp.solve([c for entry in residual for c in sp.Poly(entry, z).coeffs()], coefficients, dict=True)
    only = sp.Matrix(2, 2, [found[0][c] for c in coefficients[:4]])
    unique = len(found) == 1 and len(found[0]) == 6
    on.printed.refute(same_laws and with_l and derivatives and unique and only.det() == 0,
                      "n = 1, k = 2, Q = exp(-z^2/2), f = identity, any noise, T = (z, 2z) with lambda = (0,0), "
                      "(1,0), (0,1), so det L = 1; T' = (z, z^2) with lambda' = (lambda_1 + 2 lambda_2, 0): equal "
                      f"laws given u, and the only A is {only.tolist()}, of determinant 0 (L' is singular, which (iv) "
                      "does not exclude)",
                      shown="T = (z, 2*z), lambda = [[0, 0], [1, 0], [0, 1]]; T' = (z, z**2), lambda' = [[0, 0], [1, "
                            "0], [2, 0]]; Q = exp(-z**2/2), f(z) = z")
    on.printed.search(cases=50, without=("minimality",))
    on.corrected.search(cases=150)


@dataclass(frozen=True)
class TwoMatrices:
    """L^T T = L'^T T' + b at some points: T' (one row a point), L^T, L'^T and b; T follows as L is invertible."""

    second: Matrix
    left: Matrix
    right: Matrix
    shift: Row

    def first(self) -> Matrix:
        """T."""
        back = inverse_or_none(self.left)
        assert back is not None
        return tuple(apply(back, apply(self.right, row, self.shift)) for row in self.second)


@st.composite
def _two_matrices(draw: st.DrawFn, dropped: frozenset[str]) -> TwoMatrices:
    size, points = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    second = draw(matrices(points, size))
    if size > 1 and draw(st.booleans()):  # a statistic that repeats another
        second = tuple((*row[:-1], 2 * row[0]) for row in second)
    right = draw(matrices(size, size)) if "L' invertible" in dropped else draw(invertible_matrices(size))
    return TwoMatrices(second, draw(invertible_matrices(size)), right, draw(matrices(1, size))[0])


def both_matrices() -> Universal[TwoMatrices]:
    """What invertibility of both matrices gives without minimality."""
    return Universal(
        "if L^T T = L'^T T' + b with L and L' invertible, then T and T' obey the same affine relations, minimal or not",
        cases=_two_matrices, conclusion=lambda case: invertibly_related(case.first(), case.second),
        hypotheses={"L' invertible": lambda case: inverse_or_none(case.right) is not None}, needed=("L' invertible",),
        show=lambda case: f"T' = {shown_matrix(case.second)}, L^T = {shown_matrix(case.left)}, "
                          f"L'^T = {shown_matrix(case.right)}, b = {shown_matrix([case.shift])}")


@chapter.claim(
    "idnu.thm1.both", place="Theorem 1 (added)", kind=Kind.ADDED,
    statement="If L and L' are both invertible, for the same values of u, then the relation L^T T = L'^T T' + b alone "
              "gives T = A T' + c with the invertible A = L^-T L'^T: then neither (iii) nor minimality is needed for "
              "the weak form. The strong form needs minimality all the same.",
    hypotheses=("(iv) holds for both parameters, with the same u_0, ..., u_(k d_z)", "the relation that R1 gives"),
    universal=both_matrices)
def two_invertible_matrices(on: Record) -> None:
    """The formula for A, for any size; then that the counterexample to Theorem 2 has both matrices invertible."""
    m = sp.Symbol("m", integer=True, positive=True)
    left, right = sp.MatrixSymbol("L", m, m), sp.MatrixSymbol("R", m, m)
    b, t = sp.MatrixSymbol("b", m, 1), sp.MatrixSymbol("t", m, 1)
    solved = (sp.Inverse(left.T) * (right.T * t + b)).expand().doit()
    a = sp.Inverse(left.T) * right.T
    residual = (left.T * solved - right.T * t - b).expand().doit()
    inverse_of_a = sp.Inverse(right.T) * left.T
    determinants = [sp.Matrix(differences(rows)).det() for rows in _rotated_parameters()]
    on.printed.prove(solved == (a * t + sp.Inverse(left.T) * b).expand().doit() and residual == sp.ZeroMatrix(m, 1)
                     and (a * inverse_of_a).doit() == sp.Identity(m) and all(d != 0 for d in determinants),
                     "T = L^-T (L'^T T' + b), and A = L^-T L'^T has the inverse L'^-T L^T (matrix symbols of any "
                     f"size); in the counterexample of idnu.thm2 det L = {determinants[0]} and det L' = "
                     f"{determinants[1]}")
    on.printed.search(cases=100)


def _rotated_parameters() -> tuple[Matrix, Matrix]:
    """Two sets of natural parameters for T_i = (z_i, 2 z_i), with one law of x for z = R^T w, f' = f R^T.

    The mean of latent i is m_i = lambda_i1 + 2 lambda_i2; the second set has the mean R m, and lambda_i2 as it was.
    """
    natural = matrix_of([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 2]])
    other = []
    for row in natural:
        mean = apply(ROTATION, (row[0] + 2 * row[1], row[2] + 2 * row[3]))
        other.append((mean[0] - 2 * row[1], row[1], mean[1] - 2 * row[3], row[3]))
    return natural, tuple(other)


def _polya_density(x: Number, sine: Number, cosine: Number, e: Number) -> Number:
    """pi times the density whose characteristic function is exp(-t) up to 1 and (2 - t)/e up to 2, at x."""
    inner = (1 - (cosine - x * sine) / e) / (1 + x**2)
    return inner + (-sine / x + (cosine - (2 * cosine**2 - 1)) / x**2) / e


@chapter.claim(
    "idnu.thm1.i", place="Theorem 1 (i)", kind=Kind.CLAIM,
    statement="It is enough that the noise's characteristic function vanishes on a null subset of the data space only.",
    hypotheses=("the rest of Theorem 1, minimal statistics included",),
    correction=Correction("the set of zeros is one of frequencies, and null (or with dense complement) there",
                          notational=True),
    universal=noise_removal)
def zeros_are_frequencies(on: Record) -> None:
    """One latent in the plane: the data space is null whatever the noise does."""
    x, t = sp.symbols("x t", positive=True)
    closed = sp.integrate(sp.exp(-t) * sp.cos(t * x), (t, 0, 1)) \
        + sp.integrate((2 - t) * sp.exp(-1) * sp.cos(t * x), (t, 1, 2))
    matches = sp.simplify(closed - _polya_density(x, sp.sin(x), sp.cos(x), sp.E)) == 0
    rows = []
    for p in (1, 2, 3):
        at = arb(p)
        normal = -at**2 / 2
        polya = _polya_density(at, at.sin(), at.cos(), arb(1).exp())
        rows.append([normal - (1 / (1 + at**2)).log(), normal - polya.log(), arb(1)])
    independent = arb_mat(rows).det()
    on.printed.refute(matches and not independent.contains(0),
                      "d = 2, f(z) = (z, 0), whose image is null; noise with characteristic function max(1 - |w_1|, 0) "
                      "g(w_2); given u_0 Cauchy, or the law of repair.r1.dense (positive, a mixture of Fejer kernels), "
                      "given u_1 N(0, 1) in both models: equal laws of x, T = log of the ratio, and T, T', 1 are "
                      f"independent (determinant at 1, 2, 3: {float(independent.mid()):.5f})",
                      shown="p(z|u0) = 1/(pi (1 + z^2)) against (1/pi) * integral of phi(t) cos(t z) over t >= 0, "
                            "phi(t) = exp(-t) for t < 1, (2 - t)/e for 1 < t < 2; p(z|u1) = N(0, "
                            "1)", evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=100)


@chapter.claim(
    "idnu.thm1.iii", place="Theorem 1 (iii)", kind=Kind.CLAIM,
    statement="The statistics have derivative zero almost everywhere.",
    hypotheses=("the rest of Theorem 1",),
    correction=Correction("their derivative is not zero almost everywhere", notational=True))
def derivative_not_zero(on: Record) -> None:
    """The printed sign excludes the Gaussian, and admits a constant statistic, for which the theorem is false."""
    z, a, c = sp.symbols("z a c", real=True)
    step, natural, other = sp.Heaviside(z), (0, 1), (0, 0)
    same = all(sp.simplify(lam * sp.Integer(0) - mu * step) == 0 for lam, mu in zip(natural, other, strict=True))
    solution = sp.solve([sp.Integer(0) - a * step.subs(z, p) - c for p in (-1, 1)], (a, c), dict=True)
    zero_derivative = sp.diff(sp.Integer(0), z) == 0 and all(sp.diff(step, z).subs(z, p) == 0 for p in (-1, 2))
    gaussian_excluded = z.diff(z) != 0
    on.printed.refute(same and zero_derivative and natural[1] != natural[0] and solution == [{a: 0, c: 0}]
                      and gaussian_excluded,
                      "n = k = 1: T = 0 with lambda = 0, 1 (L = 1) and T' = 1{z > 0} with lambda' = 0 have derivative "
                      "0 almost everywhere and equal laws for any Q, but 0 = A 1{z > 0} + c forces A = 0; and T = z, "
                      "the Gaussian's, has derivative "
                      "1", shown="T = 0, lambda = (0, 1); T' = Heaviside(z), lambda' = (0, 0)")
    known = [(name, text) for name in FAMILY_NAMES if name != "custom" for text in family(name).statistics]
    on.corrected.support(all(_zeros_are_finite(text, family(name).support) for name, text in known),
                         "the derivatives of all statistics of the catalogue have finitely many "
                         "zeros", cases=len(known),
                         evidence=Evidence.EXACT)


def _zeros_are_finite(text: str, support: tuple[str, str]) -> bool:
    z = sp.Symbol("z", real=True)
    domain = sp.Interval.open(sp.sympify(support[0]), sp.sympify(support[1]))
    derivative = sp.sympify(text, locals={"z": z}).diff(z)
    return bool(sp.solveset(derivative, z, domain - sp.FiniteSet(0)).is_FiniteSet or
                sp.solveset(derivative, z, domain) == sp.S.EmptySet)


def _l_matrix(last: int, size: int) -> sp.Matrix:
    """Columns lambda(u_l) - lambda(u_0) for l = 1, ..., last, all entries symbols."""
    values = [sp.Matrix([sp.Symbol(f"l{u}_{i}") for i in range(size)]) for u in range(last + 1)]
    return sp.Matrix.hstack(*[value - values[0] for value in values[1:]])


@chapter.claim(
    "idnu.thm1.iv", place="Theorem 1 (iv), eq. 2", kind=Kind.CLAIM,
    statement="u_0, ..., u_(k d_z + 1) are k d_z + 1 values, and the matrix L of eq. 2, with columns for u_1, ..., "
              "u_(k d_z + 1), is square of size k d_z.",
    hypotheses=(),
    correction=Correction("the last index is k d_z", notational=True))
def one_column_too_many(on: Record) -> None:
    """Counted, for k and d_z up to 4."""
    sizes = [(k, d) for k in range(1, 5) for d in range(1, 5)]
    printed = [_l_matrix(k * d + 1, k * d).shape for k, d in sizes]
    on.printed.refute(all(rows != columns for rows, columns in printed) and printed[0] == (1, 2)
                      and all(len(range(k * d + 2)) != k * d + 1 for k, d in sizes),
                      "k = d_z = 1: u_0, u_1, u_2 are three values, not two, and L has shape (1, 2)",
                      shown="k = d_z = 1: L = (lambda(u_1) - lambda(u_0), lambda(u_2) - lambda(u_0))")
    corrected = [_l_matrix(k * d, k * d).shape for k, d in sizes]
    j, size = sp.symbols("j kd", integer=True, positive=True)
    columns = sp.summation(1, (j, 1, size))
    on.corrected.prove(columns == size and all(shape == (k * d, k * d) for shape, (k, d) in zip(corrected, sizes,
                                                                                                strict=True)),
                       "indices 1, ..., k d_z make k d_z columns of length k d_z")


@chapter.claim(
    "idnu.thm2", place="Theorem 2", kind=Kind.THEOREM, covers=("Theorem 2",),
    statement="With the hypotheses of Theorem 1, k >= 2, twice differentiable statistics and a decoder with second "
              "cross derivatives, the parameters are identified up to a permutation of the blocks of statistics.",
    hypotheses=("the hypotheses of Theorem 1 as mended there, minimality not among them",),
    correction=Correction("the same for minimal statistics; then C^1 is enough and nothing is asked of f but "
                          "injectivity (R4)",
                          hypotheses=("1, T_i1, ..., T_ik and 1, T'_j1, ..., T'_jk linearly independent",)),
    universal=sum_of_curves)
def rotation_with_idle_statistics(on: Record) -> None:
    """Two normal latents with T_i = (z_i, 2 z_i): a rotation by the angle of (3, 4, 5)."""
    natural, other = _rotated_parameters()
    w = sp.symbols("w1 w2", real=True)
    back = sp.Matrix(ROTATION).T * sp.Matrix(w)  # z = R^T w, and f' = f R^T
    statistics = sp.Matrix([back[0], 2 * back[0], back[1], 2 * back[1]])
    own = sp.Matrix([w[0], 2 * w[0], w[1], 2 * w[1]])
    same_laws = all(sp.expand((sp.Matrix([row]) * statistics - sp.Matrix([second]) * own)[0]) == 0
                    for row, second in zip(natural, other, strict=True))
    same_base = sp.expand(back.dot(back) - (w[0]**2 + w[1]**2)) == 0
    mixed = all(statistics[2 * i + r].coeff(w[j]) != 0 for i in range(2) for r in range(2) for j in range(2))
    determinants = [sp.Matrix(differences(rows)).det() for rows in (natural, other)]
    on.printed.refute(same_laws and same_base and mixed and all(d != 0 for d in determinants),
                      f"n = k = 2, T_i = (z_i, 2 z_i), det L = {determinants[0]}, det L' = {determinants[1]}, z = R^T "
                      "w with R the rotation of cosine 3/5, f linear, any noise: equal laws given u, and every z_i "
                      "depends on both w_j, so no block of any A vanishes",
                      shown=f"T_i = (z_i, 2*z_i), lambda = {shown_matrix(natural)}, Q = exp(-z^2/2), f(z) = z; "
                            f"w = R z, R = {shown_matrix(ROTATION)}, T'_j = (w_j, 2*w_j), "
                            f"lambda' = {shown_matrix(other)}")
    on.printed.search(cases=50, without=("T minimal",))
    on.corrected.search(cases=100)
