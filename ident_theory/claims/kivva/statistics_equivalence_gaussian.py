"""Appendix G.2: Gaussian statistics, for which the relation of iVAE is affine equivalence."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

import sympy as sp
from hypothesis import strategies as st
from sympy.polys.matrices import DomainMatrix

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.statistics_equivalence import carried_model, first_model
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence

chapter = Chapter(KIVVA)

Exponents = tuple[int, ...]
#: Coefficients of a polynomial by the exponents of its monomials.
Polynomial = dict[Exponents, Fraction]


def pairs(m: int) -> list[tuple[int, int]]:
    """Indices of the distinct products z_i z_j."""
    return list(combinations_with_replacement(range(m), 2))


def symmetric_square(matrix: sp.Matrix) -> sp.Matrix:
    """The matrix that M induces on the distinct products z_i z_j."""
    m = matrix.rows
    rows = []
    for i, j in pairs(m):
        rows.append([matrix[i, k] * matrix[j, l] + (matrix[i, l] * matrix[j, k] if k != l else 0) for k, l in pairs(m)])
    return sp.Matrix(rows)


def determinant(matrix: sp.Matrix) -> Any:
    """The determinant of a polynomial matrix, expanded."""
    return sp.expand(DomainMatrix.from_Matrix(matrix).charpoly()[-1].as_expr() * (-1) ** matrix.rows)


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    out: Polynomial = {}
    for a, u in p.items():
        for b, v in q.items():
            key = tuple(x + y for x, y in zip(a, b, strict=True))
            out[key] = out.get(key, Fraction(0)) + u * v
    return {key: v for key, v in out.items() if v}


def degree(p: Polynomial) -> int:
    """The degree, 0 for the zero polynomial."""
    return max((sum(key) for key, v in p.items() if v), default=0)


@dataclass(frozen=True)
class Latents:
    """z as polynomials of degree two at most in z', coefficients in the order of `monomials`."""

    m: int
    coefficients: tuple[tuple[Fraction, ...], ...]

    def polynomials(self) -> list[Polynomial]:
        """The polynomials p_i with z_i = p_i(z')."""
        return [{key: v for key, v in zip(monomials(self.m), row, strict=True) if v} for row in self.coefficients]

    def relation(self) -> sp.Matrix:
        """The matrix from (z', distinct z'_i z'_j) to (z, distinct z_i z_j), terms of higher degree left out."""
        p = self.polynomials()
        rows = p + [multiply(p[i], p[j]) for i, j in pairs(self.m)]
        return sp.Matrix([[sp.Rational(str(row.get(key, Fraction(0)))) for key in monomials(self.m)[1:]]
                          for row in rows])

    def linear_part(self) -> sp.Matrix:
        """M."""
        return self.relation()[:self.m, :self.m]


def monomials(m: int) -> list[Exponents]:
    """Exponents of 1, z_i, z_i z_j."""
    units = [tuple(int(i == k) for i in range(m)) for k in range(m)]
    return [(0,) * m, *units, *(tuple(a + b for a, b in zip(units[i], units[j], strict=True)) for i, j in pairs(m))]


def related_latents(dropped: frozenset[str]) -> st.SearchStrategy[Latents]:
    """Polynomial latents, mostly affine; squares of other affine functions where the relation is dropped."""
    entry = st.sampled_from([Fraction(v) for v in (0, 0, 1, -1, 2)] + [Fraction(1, 2)])

    @st.composite
    def draw_latents(draw: Any) -> Latents:
        m = draw(st.integers(1, 3 if not dropped else 2))
        affine, quadratic = 1 + m, len(pairs(m))
        curved = draw(st.booleans()) if "relation" in dropped else draw(st.integers(0, 9)) == 0
        return Latents(m, tuple(tuple(draw(entry) if k < affine or curved else Fraction(0)
                                      for k in range(affine + quadratic)) for _ in range(m)))

    return draw_latents()


def is_related(case: Latents) -> bool:
    """Whether all products z_i z_j have degree two at most in z', so that T(z) is an affine function of T(z')."""
    p = case.polynomials()
    return all(degree(multiply(p[i], p[j])) <= 2 for i, j in pairs(case.m))


def latents_are_affine(case: Latents) -> bool:
    """Whether z = M z' + c with an invertible M."""
    return all(degree(p) <= 1 for p in case.polynomials()) and case.linear_part().det() != 0


def gaussian_relation() -> Universal[Latents]:
    """Proposition G.2 for polynomial relations in up to three latents."""
    return Universal(
        "if (z, z_i z_j) is an invertible affine function of (z', z'_i z'_j) on an open set, then z = M z' + c with an "
        "invertible M",
        related_latents, latents_are_affine,
        {"relation": is_related, "A invertible": lambda case: bool(case.relation().det() != 0)},
        needed=("relation", "A invertible"),
        show=lambda case: "; ".join(f"z{i + 1} = {shown(p)}" for i, p in enumerate(case.polynomials())))


def shown(p: Polynomial) -> str:
    """A polynomial in z'."""
    terms = [f"{v}" + "".join(f"*z{k + 1}'^{e}" for k, e in enumerate(key) if e) for key, v in sorted(p.items())]
    return " + ".join(terms) or "0"


@chapter.claim(
    "kivva.remG.3", place="App. G.2, (29) and Remark G.3", kind=Kind.REMARK, covers=("Remark G.3",),
    statement="The sufficient statistics of the multivariate normal laws are the coordinates and their products; for "
              "product laws there are no products of different coordinates.",
    hypotheses=("every covariance is positive definite",), scope="m <= 3; a product involves two coordinates")
def gaussian_statistics(on: Record) -> None:
    for m in (1, 2, 3):
        z = sp.symbols(f"z1:{m + 1}")
        mu = sp.Matrix(sp.symbols(f"mu1:{m + 1}"))
        precision = sp.Matrix(m, m, lambda i, j: sp.Symbol(f"p{min(i, j)}{max(i, j)}"))
        gap = sp.Matrix(z) - mu
        exponent = sp.Poly(sp.expand(-(gap.T * precision * gap)[0] / 2), *z)
        crossed = all(exponent.coeff_monomial(z[i] * z[j]) == -precision[i, j] for i in range(m) for j in range(i))
        on.printed.prove(exponent.total_degree() == 2 and crossed,
                         f"m = {m}, generic mean and precision: a polynomial of degree two, the coefficient of z_i z_j "
                         "minus the entry of the precision, zero for all i != j exactly when it is diagonal")


@chapter.claim(
    "kivva.eq30", place="App. G.2, (30)", kind=Kind.IDENTITY,
    statement="The vector of statistics that A maps begins with z_1, ..., z_n and goes on with the products up to "
              "z_m z_m.",
    hypotheses=("A is a square matrix of size m + m^2",),
    correction=Correction("It begins with z_1, ..., z_m.", notational=True))
def vector_of_statistics(on: Record) -> None:
    def length(first: int, m: int) -> int:
        return len([*range(first), *((i, j) for i in range(m) for j in range(m))])

    on.printed.refute(length(3, 2) == 7 and length(3, 2) != 2 + 2**2, "m = 2, n = 3: 7 entries, and A has 6 columns")
    on.corrected.prove(all(length(m, m) == m + m**2 for m in range(1, 9)), "m entries and m^2 products, m = 1, ..., 8")


@chapter.claim(
    "kivva.propG.2", place="App. G.2, Proposition G.2", kind=Kind.PROPOSITION, covers=("Proposition G.2",),
    statement="Gaussian models that are equivalent in the sense of iVAE have latents related by an invertible affine "
              "map: f^-1(x) = M f'^-1(x) + c.",
    hypotheses=("the statistics of both models are the coordinates and all their products",
                "f'^-1(x) ranges over an open set", "A is invertible"),
    universal=gaussian_relation,
    scope="the identities are shown for m <= 4 and m <= 3; that products which occur twice do no harm is a count of "
          "dimensions in words")
def proposition_g_2(on: Record) -> None:
    for m in (1, 2, 3, 4):
        x = sp.symbols(f"x1:{m + 1}")
        products = [x[i] * x[j] for i, j in pairs(m)]  # in lexicographic order, the largest first
        a = sp.symbols(f"a0:{len(products)}")
        leads = []
        for r, lead in enumerate(products):
            form = sp.Poly(sum(c * p for c, p in zip(a[r:], products[r:], strict=True)), *x)
            leads.append((form * form).coeff_monomial(lead**2) == a[r]**2)
        on.printed.prove(all(leads), f"m = {m}, generic quadratic part of z_i: the square of its leading term stays in "
                         "z_i^2, so z_i^2 has degree four unless the quadratic part is zero")
    for m in (1, 2, 3):
        matrix = sp.Matrix(m, m, sp.symbols(f"m0:{m * m}"))
        det = determinant(matrix)
        reduced = sp.expand(determinant(symmetric_square(matrix)) - det ** (m + 1))
        on.printed.prove(reduced == 0, f"m = {m}: on the distinct products M induces a matrix of determinant "
                         f"(det M)^{m + 1}; so a singular M lowers the dimension m + m (m + 1) / 2 that T(z) spans, "
                         "and an invertible A cannot do that")
    on.printed.search(cases=150)


@chapter.claim(
    "kivva.propG.2.matrix", place="App. G.2, proof of Proposition G.2", kind=Kind.ADDED,
    statement="The relation leaves A open: with all m + m^2 statistics, of which z_i z_j and z_j z_i are equal, a "
              "matrix of determinant (det M)^(2m + 1) relates them, and for m >= 2 so do others, invertible as well as "
              "singular.",
    hypotheses=("z = M z' + c with an invertible M",), scope="m <= 2; larger m are alike")
def matrix_is_not_unique(on: Record) -> None:
    for m in (1, 2):
        matrix = sp.Matrix(m, m, sp.symbols(f"m0:{m * m}"))
        whole = sp.Matrix(sp.BlockDiagMatrix(matrix, sp.kronecker_product(matrix, matrix)))
        on.printed.prove(sp.expand(whole.det(method="berkowitz") - matrix.det() ** (2 * m + 1)) == 0,
                         f"m = {m}: det(M) det(M x M) = (det M)^{2 * m + 1}, generic M")
    z = sp.symbols("z1 z2")
    statistics = sp.Matrix([*z, *(a * b for a in z for b in z)])
    nothing = sp.Matrix([[0, 0, 0, 1, -1, 0]])
    step = sp.zeros(6, 6)
    step[3, :] = nothing
    plain, other, singular = sp.eye(6), sp.eye(6) + step, sp.eye(6) - step
    same = all((a * statistics - statistics).expand().is_zero_matrix for a in (plain, other, singular))
    on.printed.prove(same and plain != other and other.det() != 0 and singular.det() == 0,
                     f"m = 2, M = I: three matrices of determinants {plain.det()}, {other.det()}, {singular.det()}")


@chapter.claim(
    "kivva.propG.2.open", place="App. G.2, proof of Proposition G.2", kind=Kind.ADDED,
    statement="Proposition G.2 needs the latents to range over an open set: on three points of the line the relation "
              "can hold with an invertible A for latents that no affine map relates.",
    hypotheses=("the latents take three values",))
def three_points_are_too_few(on: Record) -> None:
    before, after = [0, 1, 2], [0, 1, 4]
    a, b = sp.symbols("a0:4"), sp.symbols("b0:2")
    matrix = sp.Matrix(2, 2, a)
    rows = [matrix * sp.Matrix([x, x**2]) + sp.Matrix(b) - sp.Matrix([y, y**2])
            for x, y in zip(before, after, strict=True)]
    found = sp.solve([entry for row in rows for entry in row], [*a, *b], dict=True)
    bend = after[2] - 2 * after[1] + after[0]
    on.printed.prove(len(found) == 1 and matrix.subs(found[0]).det() != 0 and bend != 0,
                     f"z' in {before}, z in {after}: A = {matrix.subs(found[0]).tolist()}, and z is not affine in z'")


@chapter.claim(
    "kivva.propG.2.product", place="App. G.2, after Remark G.3", kind=Kind.ADDED,
    statement="For product laws, whose statistics are z_i and z_i^2 alone, the same argument gives a monomial M: every "
              "latent of one model is a scaled and shifted latent of the other.",
    hypotheses=("the statistics are z_i and z_i^2", "the latents range over an open set", "A is invertible"),
    scope="m <= 4; the other latents at 0, two of them are all there is to look at")
def product_statistics_give_monomial_maps(on: Record) -> None:
    for m in (2, 3, 4):
        x, row = sp.symbols(f"x1:{m + 1}"), sp.symbols(f"m1:{m + 1}")
        c = sp.Symbol("c")
        square = sp.Poly((sum(a * v for a, v in zip(row, x, strict=True)) + c) ** 2, *x)
        crossed = [square.coeff_monomial(x[j] * x[k]) - 2 * row[j] * row[k] for j in range(m) for k in range(j)]
        on.printed.prove(not any(crossed), f"m = {m}: the coefficient of z'_j z'_k in z_i^2 is 2 M_ij M_ik, so a row "
                         "of M with no products of different latents has one entry that is not zero")


@chapter.claim(
    "kivva.G.stronger", place="App. G, introduction", kind=Kind.CLAIM,
    statement="Identifiability up to an affine map is stronger than identifiability up to the relation of iVAE: affine "
              "equivalence implies the relation, and not conversely in general.",
    hypotheses=("the statistics of the second model are free, or the Gaussian ones",),
    scope="for the Gaussian statistics (29) the two coincide, by Proposition G.2; the identity is shown for m <= 2")
def affine_is_stronger(on: Record) -> None:
    for m in (1, 2):
        z, c = sp.symbols(f"z1:{m + 1}"), sp.symbols(f"c1:{m + 1}")
        matrix = sp.Matrix(m, m, sp.symbols(f"m0:{m * m}"))
        image = matrix * sp.Matrix(z) + sp.Matrix(c)
        entries = [*image, *(image[i] * image[j] for i, j in pairs(m))]
        basis = [*z, *(z[i] * z[j] for i, j in pairs(m))]
        linear = sp.Matrix([[sp.Poly(entry, *z).coeff_monomial(b) for b in basis] for entry in entries])
        rest = [sp.Poly(entry, *z).total_degree() <= 2 for entry in entries]
        det = sp.expand(linear.det(method="berkowitz") - matrix.det() ** (m + 2))
        on.printed.prove(all(rest) and det == 0, f"m = {m}, generic M and c: the distinct Gaussian statistics of "
                         f"M z + c are an affine function of those of z, of determinant (det M)^{m + 2}")
    first, second = first_model(), carried_model()
    found = equivalence(first, second)
    found.verify()
    on.printed.prove(found.equivalence is Equivalence.AFFINE_STATISTICS
                     and not found.equivalence.implies(Equivalence.AFFINE),
                     "two models that the statistics relate and, decided exactly, no affine map does")


def exchanged(power: int) -> tuple[Any, Any]:
    """Mixed derivatives in w of log p(z|u) and of lambda . z, for z = (w1 + w2, w1 - w2), Q = exp(-z^power)."""
    w, weights = sp.symbols("w1 w2", real=True), sp.symbols("lambda1 lambda2", real=True)
    z = (w[0] + w[1], w[0] - w[1])
    base, natural = -sum(v**power for v in z), sum(a * v for a, v in zip(weights, z, strict=True))
    return sp.expand(sp.diff(base + natural, *w)), sp.expand(sp.diff(natural, *w))


@chapter.claim(
    "kivva.G.best", place="App. G, introduction", kind=Kind.ADDED,
    statement="The relation of iVAE, called the best possible under its assumptions, is not so for every base measure: "
              "with the statistic T_i = z_i, f and f o A can be related by (26) although no prior of the form (25) "
              "gives f o A the law of x that f has.",
    hypotheses=("A is invertible and not monomial", "the base measures are exp(-z^4)"),
    scope="one example, A = ((1, 1), (1, -1))")
def relation_can_be_too_coarse(on: Record) -> None:
    matrix = sp.Matrix([[1, 1], [1, -1]])
    quartic, natural = exchanged(4)
    normal, _ = exchanged(2)
    on.printed.prove(matrix.det() != 0 and natural == 0 and quartic != 0 and normal == 0,
                     f"T = z: (26) holds with this A, z = A w. The law of w given u would have to be that of A^-1 z, "
                     f"whose log density has the mixed derivative {quartic} for every lambda: it is no product, so no "
                     "factorial prior fits; with exp(-z^2) the mixed derivative is 0")
