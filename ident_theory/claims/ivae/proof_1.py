"""The proof of Theorem 1, equation by equation."""

from __future__ import annotations

from fractions import Fraction

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.ivae.noise import noise_removal
from ident_theory.claims.ivae.pairs import SLOPES, affinely_related, theorem, weak_identifiability
from ident_theory.claims.matrices import (
    Matrix,
    degenerate_matrices,
    determinant,
    flint_of,
    identity,
    inverse,
    product,
    rank,
    shown_matrix,
    transpose,
)
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)

z = sympy.Symbol("z", real=True)


def squared_volume(rows: Matrix) -> Fraction:
    """Product of the squares of the non-zero singular values: the last non-zero coefficient of det(t + A^T A)."""
    coefficients = flint_of(product(transpose(rows), rows)).charpoly().coeffs()
    last = next(c for c in coefficients if c != 0)
    return abs(Fraction(int(last.p), int(last.q)))


def gram_volume(rows: Matrix) -> Fraction:
    """det A^T A, or det A A^T for a matrix that is wider than tall."""
    wide = len(rows) < len(rows[0])
    return determinant(product(rows, transpose(rows)) if wide else product(transpose(rows), rows))


def volumes() -> Universal[Matrix]:
    """The volume of a matrix as a Gram determinant on the shorter side."""
    shapes = st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3)])
    return Universal("the product of the squared singular values is det A^T A for tall and det A A^T for wide matrices",
                     lambda dropped: shapes.flatmap(lambda shape: degenerate_matrices(*shape)),
                     lambda rows: squared_volume(rows) == gram_volume(rows),
                     {"full rank": lambda rows: rank(rows) == min(len(rows), len(rows[0]))}, ("full rank",),
                     shown_matrix)


def printed_volumes() -> Universal[Matrix]:
    """The volume with A^T A for every shape, as printed."""
    base = volumes()
    return Universal("the product of the squared singular values is det A^T A", base.cases,
                     lambda rows: squared_volume(rows) == determinant(product(transpose(rows), rows)),
                     base.hypotheses, (), base.show)


def inverse_volumes() -> Universal[Matrix]:
    """The volume of the pseudo-inverse of an injective Jacobian."""
    def conclusion(rows: Matrix) -> bool:
        back = product(inverse(product(transpose(rows), rows)), transpose(rows))
        return squared_volume(back) * squared_volume(rows) == 1 and product(back, rows) == identity(len(rows[0]))

    shapes = st.sampled_from([(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 3)])
    return Universal("the pseudo-inverse of a matrix of full column rank has the reciprocal volume",
                     lambda dropped: shapes.flatmap(lambda shape: degenerate_matrices(*shape).filter(
                         lambda rows: rank(rows) == shape[1])), conclusion, show=shown_matrix)


@chapter.claim(
    "ivae.vol", place="App. B, before eq. 18", kind=Kind.IDENTITY, hypotheses=("A has full rank",),
    statement="The volume of A, the product of its singular values, is the square root of det A^T A; for invertible A "
              "it is |det A|.",
    correction=Correction("That needs full column rank; a wide matrix, such as the Jacobian of f^-1, has the volume "
                          "sqrt(det A A^T), and that of the pseudo-inverse of J_f is 1 / vol J_f.", notational=True),
    universal=volumes)
def matrix_volume(on: Record) -> None:
    wide = sympy.Matrix([[1, 2, 2]])
    singular = wide.singular_values()
    on.printed.refute(wide.rank() == 1 and (wide.T * wide).det() == 0 and max(singular) == 3,
                      "A = [1 2 2] has full rank and the only singular value 3, but det A^T A = 0")
    on.printed.search(printed_volumes(), cases=100)
    on.corrected.search(cases=100)
    on.corrected.search(inverse_volumes(), cases=60)
    t = sympy.Symbol("t", real=True)
    image = sympy.Matrix([3 * t, 4 * t])
    squares = []
    for weights in ((sympy.Rational(3, 25), sympy.Rational(4, 25)), (sympy.Rational(1, 3), sympy.Integer(0))):
        inverse = sympy.Matrix([weights])  # a linear map of the plane that inverts f on its image
        squares.append((inverse * inverse.T).det() if inverse * image == sympy.Matrix([t]) else None)
    on.corrected.support(squares == [sympy.Rational(1, 25), sympy.Rational(1, 9)],
                         "the pseudo-inverse has to be named: f(t) = (3t, 4t) has volume 5, and of the two maps "
                         "(3 x + 4 y)/25 and x/3 that invert it on the line the first has volume 1/5, the second 1/3",
                         cases=1, evidence=Evidence.EXACT)


@chapter.claim(
    "ivae.eq18", place="App. B, eqs. 18-19", kind=Kind.CLAIM,
    hypotheses=("equal noisy conditional laws", "the same noise law in both models",
                "its characteristic function is non-zero on a dense set of frequencies"),
    statement="The noise-free laws of f(z) given u are equal.",
    argument="Change variables to densities on X with the volume of the Jacobian, integrate over R^d, and divide the "
             "Fourier transforms.",
    universal=noise_removal,
    scope="lattice laws on the line and on finite cycles; the proof by push-forward measures is a repair of its own")
def noise_free_laws(on: Record) -> None:
    on.printed.search(cases=100)
    x1, x2 = sympy.symbols("x1 x2", real=True)
    density = sympy.exp(-x1 ** 2 / 2) / sympy.sqrt(2 * sympy.pi)
    extended = sympy.Piecewise((density, sympy.Eq(x2, 0)), (0, True))
    inner = sympy.integrate(extended, (x2, -sympy.oo, sympy.oo))
    on.argument.refute(
        sympy.integrate(inner, (x1, -sympy.oo, sympy.oo)) == 0
        and sympy.integrate(density, (x1, -sympy.oo, sympy.oo)) == 1,
        "n = 1, d = 2, f(z) = (z, 0), z ~ N(0, 1): the extended density vanishes off the line x2 = 0, so its integral "
        "over R^2 is 0, not 1; its convolutions and its Fourier transform are 0, and line 4 onwards compares 0 with 0")


@chapter.claim(
    "ivae.eq20", place="App. B, eq. 20", kind=Kind.IDENTITY,
    hypotheses=("the noise-free densities agree",),
    statement="Taking logarithms gives, for every x in X, an equation between log base densities, normalisers and "
              "natural parameters times statistics.",
    correction=Correction("That holds where the base densities are positive; they have to be positive almost "
                          "everywhere on the support.", ("every base density is positive almost everywhere on Z_i",)),
    universal=weak_identifiability)
def logarithms(on: Record) -> None:
    p, w = sympy.symbols("p w", positive=True)
    laws = [sympy.exp(-z ** 4 + u * z) * sympy.Heaviside(z, 0) for u in (0, 1)]
    others = [sympy.exp(-z ** 4 + u * sympy.Abs(z)) * sympy.Heaviside(z, 0) for u in (0, 1)]
    equal = all(sympy.simplify((a - b).subs(z, v)) == 0 for a, b in zip(laws, others, strict=True) for v in (p, -w))
    statistics = [(v, abs(v)) for v in (-1, 1, 2)]
    related = sympy.Matrix([[a, b, 1] for a, b in statistics]).rank() < 3
    on.printed.refute(equal and not related,
                      "n = d = k = 1, Z = R, Q = exp(-z^4) for z > 0 and 0 else: T = z and T' = |z| with lambda = 0, 1 "
                      "give equal densities, but they are not affinely related on Z")
    on.corrected.search(cases=20, without=(SLOPES,))


def _symbols(prefix: str, n: int, k: int, u: int) -> list[list[sympy.Symbol]]:
    return [[sympy.Symbol(f"{prefix}_{i}{j}_u{u}") for j in range(k)] for i in range(n)]


class _Model:
    """Generic symbols of one model with n latents and k statistics, at nk + 1 conditions."""

    def __init__(self, mark: str, n: int, k: int) -> None:
        self.n, self.k = n, k
        self.volume = sympy.Symbol(f"logvol{mark}")
        self.base = sympy.symbols(f"logQ{mark}_:{n}")
        self.statistics = [[sympy.Symbol(f"T{mark}_{i}{j}") for j in range(k)] for i in range(n)]
        self.natural = [_symbols(f"l{mark}", n, k, u) for u in range(n * k + 1)]
        self.normalisers = [[sympy.Symbol(f"Z{mark}_{i}_u{u}", positive=True) for i in range(n)]
                            for u in range(n * k + 1)]

    def log_density(self, u: int) -> sympy.Expr:
        """Eq. 20, one side."""
        return self.volume + sum(
            self.base[i] - sympy.log(self.normalisers[u][i])
            + sum(t * v for t, v in zip(self.statistics[i], self.natural[u][i], strict=True)) for i in range(self.n))

    def difference(self, u: int) -> sympy.Expr:
        """One side of eq. 21, the sum over i reaching over both terms."""
        return sum(sympy.log(self.normalisers[0][i] / self.normalisers[u][i])
                   + sum(t * (v - w) for t, v, w in zip(self.statistics[i], self.natural[u][i], self.natural[0][i],
                                                        strict=True)) for i in range(self.n))

    def l_matrix(self) -> sympy.Matrix:
        """Eq. 13: a column for every u."""
        flat = [[v for row in table for v in row] for table in self.natural]
        return sympy.Matrix([[flat[u][r] - flat[0][r] for u in range(1, len(flat))] for r in range(len(flat[0]))])

    def stacked(self) -> sympy.Matrix:
        """The vector of statistics."""
        return sympy.Matrix([t for row in self.statistics for t in row])


#: Numbers of latents and of statistics for which eqs. 21 and 22 are written out.
SIZES = ((2, 2), (3, 1), (1, 3))
_SIZES_CHECKED = "(n, k) = (2, 2), (3, 1), (1, 3)"


def _zero(value: sympy.Expr) -> bool:
    return bool(sympy.expand(sympy.expand_log(value, force=True)) == 0)


@chapter.claim(
    "ivae.eq21", place="App. B, eq. 21", kind=Kind.IDENTITY, hypotheses=("eq. 20 at u_0, ..., u_nk",),
    statement="Subtracting the equation at u_0 removes the base densities and the Jacobian volumes and leaves ratios "
              "of normalisers and differences of natural parameters.", scope=_SIZES_CHECKED)
def differences_remove_base_densities(on: Record) -> None:
    for n, k in SIZES:
        gaps = [m.log_density(u) - m.log_density(0) - m.difference(u) for m in (_Model("", n, k), _Model("'", n, k))
                for u in range(1, n * k + 1)]
        on.printed.prove(all(map(_zero, gaps)), f"symbolically for n = {n}, k = {k} and all {n * k + 1} conditions; "
                                                "the sum over i has to reach over both printed terms")


@chapter.claim(
    "ivae.eq22", place="App. B, eq. 22", kind=Kind.IDENTITY, hypotheses=("eq. 21",),
    statement="L^T T = L'^T T' + b with b_l = sum_i log of Z'_i(u_0) Z_i(u_l) / (Z_i(u_0) Z'_i(u_l)).",
    scope=_SIZES_CHECKED)
def matrix_form(on: Record) -> None:
    for n, k in SIZES:
        first, second = _Model("", n, k), _Model("'", n, k)
        b = sympy.Matrix([sum(sympy.log(second.normalisers[0][i] * first.normalisers[u][i]
                                        / (first.normalisers[0][i] * second.normalisers[u][i])) for i in range(n))
                          for u in range(1, n * k + 1)])
        residual = first.l_matrix().T * first.stacked() - second.l_matrix().T * second.stacked() - b
        gaps = [residual[u - 1] - (first.difference(u) - second.difference(u)) for u in range(1, n * k + 1)]
        on.printed.prove(all(map(_zero, gaps)), "row l of L^T T - L'^T T' - b is the difference of the two sides of "
                                                f"eq. 21, n = {n}, k = {k}")


@chapter.claim(
    "ivae.eq23", place="App. B, eq. 23", kind=Kind.IDENTITY, hypotheses=("L is invertible", "eq. 22"),
    statement="T = A T' + c with A = L^-T L' and c = L^-T b, found by multiplying with the transpose of the inverse "
              "of L^T.",
    correction=Correction("A = L^-T L'^T; the factor is the inverse of L^T.", notational=True))
def affine_map_of_statistics(on: Record) -> None:
    c, s = sympy.Rational(3, 5), sympy.Rational(4, 5)
    turn = sympy.Matrix([[c, -s], [s, c]])
    latent = sympy.Matrix(sympy.symbols("z1 z2"))
    moved = turn * latent
    nothing = sympy.zeros(2, 1)
    own, other = sympy.eye(2), turn  # lambda(u_l) = e_l and lambda' = turn lambda, lambda(u_0) = 0; b = 0
    exponents = own.T * latent - other.T * moved
    printed, mended = own.inv().T * other, own.inv().T * other.T
    on.printed.refute(
        exponents.expand() == nothing and (printed * moved - latent).expand() != nothing
        and (mended * moved - latent).expand() == nothing,
        "two N(lambda(u), I) latents, lambda = 0, e_1, e_2, z' = R z and lambda' = R lambda with the rotation R by "
        "(3/5, 4/5): L = I, L' = R and b = 0, so the printed A is R, but z = R^T z'",
        shown=f"L = {own.tolist()}, L' = {other.tolist()}, true A = {mended.tolist()}")
    shear = sympy.Matrix([[1, 1], [0, 1]])
    on.printed.refute(sympy.eye(2) != shear.T.inv().T * shear.T,
                      "L = [[1, 1], [0, 1]]: the transpose of the inverse of L^T, times L^T, is not the identity")
    l, m, t, b = sympy.symbols("L^T L'^T T' b", commutative=False)
    on.corrected.prove(sympy.expand(l * (l ** -1 * m * t + l ** -1 * b)) == m * t + b,
                       "L^T (A T' + c) = L'^T T' + b with matrices of any size as non-commuting symbols")
    for size in (2, 3):
        left, right = (sympy.Matrix(size, size, sympy.symbols(f"{name}:{size * size}")) for name in ("l", "m"))
        moved, b = sympy.Matrix(sympy.symbols(f"t:{size}")), sympy.Matrix(sympy.symbols(f"b:{size}"))
        image = left.T.adjugate() * right.T * moved + left.T.adjugate() * b  # det(L) times A T' + c
        residual = (left.T * image - left.det() * (right.T * moved + b)).expand()
        on.corrected.prove(residual.is_zero_matrix is True,
                           f"L^T (A T' + c) = L'^T T' + b for generic L, L', b and nk = {size}")


def takagi_slope(start: int, level: int) -> Fraction:
    """Slope of Takagi's function between start/2^level and (start + 1)/2^level."""
    def value(point: Fraction) -> Fraction:
        bends = (2 ** k * point for k in range(level + 1))  # later ones vanish at a point of this level
        return sum((abs(bend - round(bend)) / 2 ** k for k, bend in enumerate(bends)), Fraction(0))

    return (value(Fraction(start + 1, 2 ** level)) - value(Fraction(start, 2 ** level))) * 2 ** level


@chapter.claim(
    "ivae.thm1.rank", place="App. B, after eq. 23", kind=Kind.CLAIM,
    hypotheses=("eq. 23", "(ii)", "f and f' are bijective"),
    statement="The Jacobian of the stacked statistics has rank n, so that of T' after f'^-1 exists and has rank n, and "
              "A has rank at least n (n itself, as printed, for k = 1).",
    correction=Correction("For minimal statistics A has the full rank nk, so T' = A^-1 (T - c) is differentiable where "
                          "T is, and both Jacobians have rank n.", ("minimal statistics",)),
    universal=lambda: theorem("A has full rank nk: an invertible one relates the statistics", affinely_related))
def rank_of_the_affine_map(on: Record) -> None:
    own, other = sympy.eye(2), sympy.Matrix([[1, 2], [0, 0]])  # lambda = 0, e_1, e_2; lambda' = (l_1 + 2 l_2, 0)
    a = own.inv().T * other.T
    anything = sympy.Function("g")(z)
    gap = sympy.Matrix([z, 2 * z]) - a * sympy.Matrix([z, anything])
    steps = set()
    for level in range(6):
        for start in range(2 ** level):
            slope = takagi_slope(start, level)
            steps |= {abs(takagi_slope(half, level + 1) - slope) for half in (2 * start, 2 * start + 1)}
    on.printed.refute(
        gap == sympy.zeros(2, 1) and own.det() == 1 and steps == {1},
        "n = 1, k = 2, f = f' = identity: T = (z, 2z), lambda = (0,0), (1,0), (0,1), so L = I; T' = (z, g(z)) with "
        "lambda' = (lambda_1 + 2 lambda_2, 0) has the same exponents, T = A T' with A = [[1, 0], [2, 0]], and nothing "
        "is asked of g. For Takagi's continuous g = sum_k dist(2^k z, Z)/2^k the slopes over the dyadic intervals "
        "around a point change by exactly 1 from each to the next, so they converge nowhere and T' has no Jacobian",
        shown="T = (z, 2*z), T' = (z, sum_k dist(2**k*z, Z)/2**k), A = [[1, 0], [2, 0]]")
    j1, j2 = sympy.symbols("j1 j2", nonzero=True)
    block = sympy.Matrix([[j1, 0], [j1 * 2, 0], [0, j2], [0, j2 * 3]])
    on.corrected.support(block.rank() == 2, "the Jacobian of the stacked statistics, with n columns of disjoint "
                         "support, has rank n (n = k = 2), and the rank of a product is no larger than that of A",
                         cases=1, evidence=Evidence.EXACT)
    on.corrected.search(cases=20)


@chapter.claim(
    "ivae.eq24.Q", place="App. B, before eq. 24", kind=Kind.CLAIM,
    hypotheses=("for every latent k points with independent derivative vectors",),
    statement="The nk x nk matrix of the k Jacobians of the stacked statistics at those points is invertible.",
    scope="(n, k) = (2, 2), (1, 3), (3, 2)")
def concatenated_jacobians(on: Record) -> None:
    for n, k in ((2, 2), (1, 3), (3, 2)):
        slopes = [sympy.Matrix(k, k, sympy.symbols(f"d{i}_:{k * k}")) for i in range(n)]
        columns = []
        for point in range(k):
            for i in range(n):
                column = sympy.zeros(n * k, 1)
                column[i * k:(i + 1) * k, 0] = slopes[i][:, point]
                columns.append(column)
        full = sympy.Matrix.hstack(*columns).det(method="berkowitz")
        blocks = sympy.prod(m.det() for m in slopes)
        on.printed.prove(blocks != 0 and sympy.expand(full - blocks) * sympy.expand(full + blocks) == 0,
                         f"its determinant is, up to sign, the product of the determinants of the latents' derivative "
                         f"vectors (n = {n}, k = {k})")


@chapter.claim(
    "ivae.eq24", place="App. B, eq. 24", kind=Kind.IDENTITY,
    hypotheses=("Q = A Q' with square matrices", "Q is invertible"),
    statement="A and Q' are invertible.",
    argument="The k points of Lemma 1 exist for every latent, so Q is invertible, and T' after f'^-1 and f is "
             "differentiable there.",
    scope="square matrices of size 2 and 3")
def invertible_factors(on: Record) -> None:
    for size in (2, 3):
        a, q = (sympy.Matrix(size, size, sympy.symbols(f"{name}:{size * size}")) for name in ("a", "q"))
        on.printed.prove(sympy.expand((a * q).det() - a.det() * q.det()) == 0,
                         f"det Q = det A det Q', so neither factor vanishes (generic, size {size})")
    t = (z, z + sympy.sign(z))
    slopes = [[sympy.diff(item.subs(sympy.sign(z), side), z) for item in t] for side in (-1, 1)]
    values = sympy.Matrix([[1, *(item.subs(z, v) for item in t)] for v in (-1, 1, 2)])
    ranks = {sympy.Matrix([slopes[i], slopes[j]]).rank() for i in (0, 1) for j in (0, 1)}
    on.argument.refute(values.rank() == 3 and ranks == {1},
                       "T = T' = (z, z + sign(z)), A the identity: T is minimal and A invertible, but no two points "
                       "give an invertible Q")


@chapter.claim(
    "ivae.rem.narrow", place="App. B, third observation", kind=Kind.REMARK,
    hypotheses=("normal latents with k = 2", "T = A T' + c as in Theorem 1"),
    statement="The true equivalence class may be narrower, since A and c have a special form.")
def narrower_class(on: Record) -> None:
    w = sympy.Symbol("w")
    a11, a12, a21, a22, c1, c2 = unknowns = sympy.symbols("a11 a12 a21 a22 c1 c2")
    image = a11 * w + a12 * w ** 2 + c1
    equations = sympy.Poly(image ** 2 - (a21 * w + a22 * w ** 2 + c2), w).coeffs()
    solutions = sympy.solve(equations, (a12, a21, a22, c2), dict=True)
    free = [set(unknowns) - set(s) for s in solutions]
    shear = {a11: 1, a12: 1, a21: 0, a22: 1, c1: 0, c2: 0}
    on.printed.prove(
        free == [{a11, c1}] and solutions[0] == {a12: 0, a21: 2 * a11 * c1, a22: a11 ** 2, c2: c1 ** 2}
        and any(eq.subs(shear) != 0 for eq in equations),
        "T = (z, z^2) and T = A T' + c hold together only for A = [[a, 0], [2 a c, a^2]] and the shift (c, c^2): two "
        "numbers, not six; the invertible A = [[1, 1], [0, 1]] never occurs")
