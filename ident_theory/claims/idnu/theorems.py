"""IDNU, Theorems 1 and 2: the hypotheses that they lack, and the slips in those that they have."""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
from flint import arb, arb_mat
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record
from ident_theory.claims.repair.matrices import (
    Row,
    Rows,
    apply,
    invertible,
    matrices,
    rank,
    rows_of,
    shown,
)
from ident_theory.claims.repair.noise_removal import FiniteModel, noise_removal
from ident_theory.claims.repair.sum_of_curves import sum_of_curves
from ident_theory.claims.universal import Universal
from ident_theory.models.families import FAMILY_NAMES, family
from ident_theory.numerics import Evidence

chapter = Chapter(IDNU)

ModelPair = tuple[FiniteModel, FiniteModel]


def differences(natural: Rows) -> Rows:
    """The rows lambda(u_l) - lambda(u_0): the transpose of L."""
    return tuple(tuple(a - b for a, b in zip(row, natural[0], strict=True)) for row in natural[1:])


def invertibly_related(first: Rows, second: Rows) -> bool:
    """Whether first = A second + c at all points for an invertible A: both obey the same affine relations."""
    def centred(rows: Rows) -> list[Row]:
        return [tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows]
    left, right = centred(first), centred(second)
    return rank(left) == rank(right) == rank([a + b for a, b in zip(left, right, strict=True)])


@st.composite
def _model_pairs(draw: st.DrawFn, dropped: frozenset[str]) -> ModelPair:
    """T = A T' + c with any A, or with statistics that lambda never weighs; f the same, one to one on points."""
    size, points = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    second_statistics = draw(matrices(points, size))
    a, c = draw(st.one_of(matrices(size, size), invertible(size).filter(_is_integral))), draw(matrices(1, size))[0]
    first_statistics = tuple(apply(a, row, c) for row in second_statistics)
    natural = draw(matrices(size + draw(st.integers(0, 2)) + (size == 1), size)) if draw(st.booleans()) else \
        _star(size, draw(st.sampled_from((1, -1))))
    if "L invertible" in dropped and draw(st.booleans()):
        natural = tuple((*row[:-1], natural[0][-1] * 0) for row in natural)
        spare = draw(matrices(points, 1))
        first_statistics = tuple((*row[:-1], *other) for row, other in zip(first_statistics, spare, strict=True))
    weights = tuple(Fraction(draw(st.sampled_from((1, 2, 7)))) for _ in range(points))
    second_natural = tuple(apply(tuple(zip(*a, strict=True)), row) for row in natural)
    place, noise = tuple(range(points)), tuple(Fraction(int(x == 0)) for x in range(points))
    return (FiniteModel(weights, first_statistics, natural, place, noise),
            FiniteModel(weights, second_statistics, second_natural, place, noise))


def _is_integral(matrix: Rows) -> bool:
    return all(v.denominator == 1 and abs(v) <= 3 for row in matrix for v in row)


def _star(size: int, step: int) -> Rows:
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
        needed=("L invertible", "minimality"), show=lambda pair: f"first: {pair[0]}; second: {pair[1]}")


@chapter.claim(
    "idnu.thm1", place="Theorem 1", kind=Kind.THEOREM, covers=("Theorem 1",),
    statement="If (i) the noise has an almost everywhere non-zero characteristic function, (ii) f is injective, (iii) "
              "the statistics are differentiable almost everywhere with non-zero derivative and (iv) L is invertible "
              "for some k d_z + 1 values of u, then the parameters are identified up to an invertible affine map of "
              "the statistics.",
    hypotheses=("the slips in (i), (iii) and (iv) mended", "one law of the noise", "Q positive on the values of z"),
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
    with_l = sp.Matrix([[a - natural[0][0], b - natural[0][1]] for a, b in natural[1:]]).det() != 0
    derivatives = all(sp.solveset(t.diff(z), z, sp.S.Reals).is_FiniteSet for t in (*first, *second))
    coefficients = sp.symbols("a0:4 c0:2")
    residual = first - sp.Matrix(2, 2, coefficients[:4]) * second - sp.Matrix(coefficients[4:])
    found = sp.solve([c for entry in residual for c in sp.Poly(entry, z).coeffs()], coefficients, dict=True)
    only = sp.Matrix(2, 2, [found[0][c] for c in coefficients[:4]])
    unique = len(found) == 1 and len(found[0]) == 6
    on.printed.refute(same_laws and with_l and derivatives and unique and only.det() == 0,
                      "n = k = 1, 2, Q = exp(-z^2/2), f = identity, T = (z, 2z) with lambda = (0,0), (1,0), (0,1), so "
                      "det L = 1; T' = (z, z^2) with lambda' = (lambda_1 + 2 lambda_2, 0): equal laws given u, and the "
                      f"only A is {only.tolist()}, of determinant 0",
                      shown="T = (z, 2*z), lambda = [[0, 0], [1, 0], [0, 1]]; T' = (z, z**2), lambda' = [[0, 0], [1, "
                            "0], [2, 0]]; Q = exp(-z**2/2), f(z) = z")
    on.printed.search(cases=50, without=("minimality",))
    on.corrected.search(cases=150)


def _polya_density(x: arb) -> arb:
    """pi times the density whose characteristic function is exp(-t) up to 1 and (2 - t)/e up to 2."""
    e = arb(1).exp()
    inner = (1 - (x.cos() - x * x.sin()) / e) / (1 + x**2)
    return inner + (-x.sin() / x + (x.cos() - (2 * x).cos()) / x**2) / e


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
    matches = all(abs(float(_polya_density(arb(p)).mid()) - float(sp.N(closed.subs(x, p), 30))) < 1e-13
                  for p in (1, 2, 3))
    rows = []
    for p in (1, 2, 3):
        at = arb(p)
        normal = -at**2 / 2
        rows.append([normal - (1 / (1 + at**2)).log(), normal - _polya_density(at).log(), arb(1)])
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
    natural = rows_of([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 2]])
    rotation = rows_of([[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]])
    w = sp.symbols("w1 w2", real=True)
    back = sp.Matrix(rotation).T * sp.Matrix(w)  # z = R^T w, and f' = f R^T
    statistics = sp.Matrix([back[0], 2 * back[0], back[1], 2 * back[1]])
    own = sp.Matrix([w[0], 2 * w[0], w[1], 2 * w[1]])
    same_laws = True
    for row in natural:
        mean = apply(rotation, (row[0] + 2 * row[1], row[2] + 2 * row[3]))
        second = sp.Matrix([[mean[0], 0, mean[1], 0]])
        same_laws &= sp.expand((sp.Matrix([row]) * statistics - second * own)[0]) == 0
    same_base = sp.expand(back.dot(back) - (w[0]**2 + w[1]**2)) == 0
    mixed = all(statistics[2 * i + r].coeff(w[j]) != 0 for i in range(2) for r in range(2) for j in range(2))
    determinant = sp.Matrix(differences(natural)).det()
    on.printed.refute(same_laws and same_base and mixed and determinant != 0,
                      f"n = k = 2, T_i = (z_i, 2 z_i), det L = {determinant}, z = R^T w with R the rotation of cosine "
                      "3/5, f linear: equal laws given u, and every z_i depends on both w_j, so no block of any A "
                      "vanishes",
                      shown=f"T_i = (z_i, 2*z_i), lambda = {shown(natural)}, Q = exp(-z^2/2), f(z) = z; "
                            f"w = R z, R = {shown(rotation)}, T'_j = (w_j, 2*w_j), lambda'(u) = (R m(u), 0) with m_i = "
                            "lambda_i1 + 2 lambda_i2")
    on.printed.search(cases=50, without=("T minimal",))
    on.corrected.search(cases=100)
