"""Section 3.2 and Appendix B: normal latents on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as tuples

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.algebra import forced_by
from ident_theory.claims.gin.pairs import SMALL, Pair, pairs
from ident_theory.claims.matrices import product, rank, shown_matrix, transpose
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)


def symbols(name: str, rows: int, columns: int) -> sp.Matrix:
    """A matrix of real symbols."""
    return sp.Matrix(rows, columns, lambda i, j: sp.Symbol(f"{name}_{i}_{j}", real=True))


def row_equations(d: int) -> tuple[sp.Expr, sp.Expr, dict[str, sp.Matrix], sp.Matrix]:
    """The right sides of eqs. 22 and 23 for one latent, their coefficients, and w."""
    w = symbols("w", d, 1)
    blocks = {name: symbols(name, 1, d) for name in ("a", "b", "e", "f")} | {"c": symbols("c", 1, 2)}
    squares = w.applyfunc(lambda v: v**2)
    first = (blocks["a"] * w + blocks["b"] * squares)[0] + blocks["c"][0]
    second = (blocks["e"] * w + blocks["f"] * squares)[0] + blocks["c"][1]
    return first, second, blocks, w


@chapter.claim("gin.eq17-23", place="App. B, eqs. 17-23", kind=Kind.IDENTITY,
               statement="For the statistics z and z^2 the relation of Theorem 1 splits into four n x d blocks, one "
                         "sum for each z_i and one for each z_i^2.",
               hypotheses=("statistics are stacked by their number, not latent by latent as in App. A",),
               scope="n <= 2 and d <= 3; other sizes are written in the same way")
def block_form(on: Record) -> None:
    for n, d in ((1, 1), (1, 2), (2, 2), (2, 3)):
        interleaved, shift, w = symbols("m", 2 * n, 2 * d), symbols("c", 2 * n, 1), symbols("w", d, 1)
        sources = sp.Matrix([v**e for v in w for e in (1, 2)])
        values = interleaved * sources + shift
        # Rows and columns 0, 2, 4, ... belong to the first statistic, the others to the second.
        block = {(r, c): interleaved[r::2, c::2] for r in (0, 1) for c in (0, 1)}
        gaps = []
        for r, i in tuples((0, 1), range(n)):
            total = sum(block[r, 0][i, j] * w[j] + block[r, 1][i, j] * w[j] ** 2 for j in range(d)) + shift[2 * i + r]
            gaps.append(sp.expand(total - values[2 * i + r]))
        on.printed.prove(not any(gaps) and block[0, 0].shape == (n, d),
                         f"n = {n}, d = {d}, generic A: eqs. 22-23 after reordering the rows and columns of App. A")


@chapter.claim("gin.eq24-26", place="App. B, eqs. 24-26", kind=Kind.IDENTITY,
               statement="Equating the square of z_i with z_i^2 leaves (A2_ij)^2 w_j^4 without a partner, so A2 = 0.",
               hypotheses=("w fills an open set",))
def fourth_powers(on: Record) -> None:
    first, second, blocks, w = row_equations(3)
    polynomial = sp.Poly(sp.expand(first**2 - second), *w)
    tops = [polynomial.coeff_monomial(v**4) for v in w]
    on.printed.prove(tops == [b**2 for b in blocks["b"]],
                     "generic row with d = 3: the coefficient of w_j^4 in eq. 22 squared minus eq. 23 is (A2_ij)^2; "
                     "with the other w at 0 this is the case of any d")
    b, squares = blocks["b"], [v**2 for v in w]
    total = sum(b[i] * s for i, s in enumerate(squares)) ** 2
    split = sum(b[i] ** 2 * s**2 for i, s in enumerate(squares)) + sum(
        b[i] * b[j] * squares[i] * squares[j] for i, j in tuples(range(3), repeat=2) if i != j)
    on.printed.prove(sp.expand(total - split) == 0, "eqs. 24-25, generic, d = 3")


@chapter.claim("gin.eq27", place="App. B, eq. 27", kind=Kind.IDENTITY,
               statement="The square of sum_j A_ij w_j is sum_j A_ij w_j^2 plus the cross terms.",
               correction=Correction("Its first sum has the squares (A_ij)^2 w_j^2.", notational=True))
def square_of_a_sum(on: Record) -> None:
    def gap(power: int) -> sp.Expr:
        a, w = symbols("a", 1, 3), symbols("w", 3, 1)
        cross = sum(a[i] * a[j] * w[i] * w[j] for i, j in tuples(range(3), repeat=2) if i != j)
        return sp.expand((a * w)[0] ** 2 - sum(a[j] ** power * w[j] ** 2 for j in range(3)) - cross)

    values = {s: (2 if s.name == "a_0_0" else 1 if s.name == "w_0_0" else 0) for s in gap(1).free_symbols}
    on.printed.refute(gap(1).subs(values) == 2, "d = 1, A = 2, w = 1: 4 on the left, 2 on the right",
                      shown="A_ij = 2, w_j = 1")
    on.corrected.prove(gap(2) == 0, "generic, d = 3: every pair of terms is there")


@dataclass(frozen=True)
class Rows:
    """Rows of A1, A2 and shifts, and the values that each w_j takes."""

    first: tuple[tuple[Fraction, ...], ...]
    second: tuple[tuple[Fraction, ...], ...]
    shift: tuple[Fraction, ...]
    values: tuple[Fraction, ...]

    @property
    def d(self) -> int:
        """Number of estimated latents."""
        return len(self.first[0])

    @property
    def squares_match(self) -> bool:
        """Whether every z_i^2 is a combination of 1, w_j and w_j^2 on the grid."""
        grid = list(tuples(self.values, repeat=self.d))
        basis = [[Fraction(1)] * len(grid)] + [[w[j] ** e for w in grid] for e in (1, 2) for j in range(self.d)]
        size = rank(basis)
        for a, b, c in zip(self.first, self.second, self.shift, strict=True):
            square = [(sum((a[j] * w[j] + b[j] * w[j] ** 2 for j in range(self.d)), c)) ** 2 for w in grid]
            if rank([*basis, square]) != size:
                return False
        return True

    @property
    def is_independent(self) -> bool:
        """Whether the rows (A1, A2) are linearly independent."""
        return rank([[*a, *b] for a, b in zip(self.first, self.second, strict=True)]) == len(self.first)

    @property
    def is_monomial(self) -> bool:
        """A2 = 0, one entry in each row of A1, no column used twice."""
        places = [[j for j, v in enumerate(row) if v] for row in self.first]
        return not any(map(any, self.second)) and all(len(p) == 1 for p in places) \
            and len({p[0] for p in places}) == len(places)

    def show(self) -> str:
        """The numbers to paste."""
        return (f"# A1 = {shown_matrix(self.first)}, A2 = {shown_matrix(self.second)}, "
                f"c1 = {shown_matrix([self.shift])}, every w_j in {shown_matrix([self.values])}")


def monomial_rows() -> Universal[Rows]:
    """The conclusion of Appendix B from the squares and the rank alone."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Rows]:
        entry = st.sampled_from([Fraction(v) for v in (0, 0, 0, 1, -1, 2, -2)])
        wide = tuple(Fraction(v) for v in (-2, -1, 0, 1, 2))
        narrow = st.sampled_from([wide[2:4], wide[1:4]])

        def build(size: tuple[int, int]) -> st.SearchStrategy[Rows]:
            n, d = size
            single = st.tuples(st.integers(0, d - 1), SMALL).map(
                lambda pair: tuple(pair[1] * int(j == pair[0]) for j in range(d)))
            row = st.one_of(single, single, st.tuples(*[entry] * d))
            flat = st.tuples(*[st.just((Fraction(0),) * d)] * n)
            matrix = st.tuples(*[row] * n)
            return st.builds(Rows, matrix, st.one_of(flat, flat, matrix), st.tuples(*[SMALL] * n),
                             narrow if "w fills an open set" in dropped else st.just(wide))

        return st.sampled_from([(1, 1), (1, 2), (2, 2)]).flatmap(build)

    return Universal(
        "A2 = 0, every row of A1 has exactly one entry that is not zero, and no two rows share its column", cases,
        lambda case: case.is_monomial,
        {"w fills an open set": lambda case: len(case.values) >= 5,
         "independent rows": lambda case: case.is_independent, "squares match": lambda case: case.squares_match},
        needed=("squares match", "w fills an open set", "independent rows"), show=Rows.show)


@chapter.claim("gin.rows", place="App. B, after eq. 27", kind=Kind.CLAIM,
               statement="Every row of A1 has exactly one entry that is not zero, and no two rows have it in the same "
                         "column.",
               hypotheses=("eqs. 22 and 23 for all w", "A has full row rank"), universal=monomial_rows)
def one_entry_a_row(on: Record) -> None:
    first, second, blocks, w = row_equations(2)
    terms = sp.Poly(sp.expand(first**2 - second), *w).coeffs()
    a, b = blocks["a"], blocks["b"]
    unknowns = [v for block in blocks.values() for v in block]
    on.printed.prove(all(forced_by(terms, v, unknowns) for v in (*b, a[0] * a[1]))
                     and not forced_by(terms, a[0], unknowns),
                     "two columns, generic row: the equations force A2 = 0 and A_ij A_ij' = 0, and not A_ij = 0; the "
                     "other w at 0, this settles every pair of columns for any d")
    alone = symbols("a", 2, 1)
    on.printed.prove(sp.Matrix.hstack(alone, sp.zeros(2, 3)).rank() == 1 and sp.zeros(1, 4).rank() == 0,
                     "two rows with entries in one column only have rank 1, and a zero row has rank 0: both against "
                     "full row rank, whatever n <= d")
    on.printed.search(cases=60)


_HYPOTHESES = {
    "L invertible": lambda case: case.is_l_regular,
    "one law of x": lambda case: case.has_equal_laws,
}


def _places(case: Pair) -> list[list[int]]:
    return [[j for j in range(case.d) if case.reads(i, j)] for i in range(case.n)]


def recovered_latents() -> Universal[Pair]:
    """Appendix B on pairs of normal models."""
    def conclusion(case: Pair) -> bool:
        places = _places(case)
        return all(len(p) == 1 for p in places) and len({p[0] for p in places}) == len(places)

    return Universal("z_i = a_i w_j + b_i with a_i not zero and j different for different i",
                     lambda dropped: pairs(normal=True), conclusion, _HYPOTHESES,
                     needed=("one law of x", "L invertible"), show=Pair.show)


@chapter.claim("gin.eq28", aliases=("gin.appB",), place="Sec. 3.2; App. B, eq. 28", kind=Kind.CLAIM,
               statement="With normal latents in both models every z_i is a_i w_j + b_i for one j, with a_i not zero, "
                         "and every w_j belongs to at most one z_i.",
               hypotheses=("one law of x given u", "normal latents in both models", "L is invertible"),
               universal=recovered_latents)
def affine_and_one_to_one(on: Record) -> None:
    first, second, blocks, w = row_equations(1)
    terms = sp.Poly(sp.expand(first**2 - second), *w).coeffs()
    a, b, e, f = (blocks[name][0] for name in ("a", "b", "e", "f"))
    c = blocks["c"]
    claimed = [b, f - a**2, e - 2 * a * c[0], c[1] - c[0] ** 2]
    unknowns = [a, b, e, f, *c]
    on.printed.prove(all(forced_by(terms, v, unknowns) for v in claimed)
                     and not any(forced_by(terms, v, unknowns) for v in (a, c[0])),
                     "one column, generic: A2 = 0, A4 = A1^2, A3 = 2 A1 c1, c2 = c1^2 follow, A1 and c1 are free; the "
                     "step to one column is gin.rows")
    solved = {b: 0, f: a**2, e: 2 * a * c[0], c[1]: c[0] ** 2}
    block = sp.Matrix([[a, b], [e, f]]).subs(solved, simultaneous=True)
    on.printed.prove(sp.expand((first**2 - second).subs(solved, simultaneous=True)) == 0
                     and sp.expand(block.det() - a**3) == 0,
                     "and they solve eqs. 22-23; the block has determinant a^3, so full rank is a != 0")
    on.printed.search(cases=50)


def uninformative() -> Universal[Pair]:
    """What is left over is noise."""
    def conclusion(case: Pair) -> bool:
        used = {j for places in _places(case) for j in places}
        covariance = product(case.matrix, transpose(case.matrix))
        left = [j for j in range(case.d) if j not in used and case.is_free_of_u(j)
                and not any(v for m, v in enumerate(covariance[j]) if m != j)]
        return len(left) == case.d - case.n

    return Universal("d - n estimated latents enter no z_i, have a law free of u, and no covariance with the others",
                     lambda dropped: pairs(normal=True, freedom=(1,)), conclusion, _HYPOTHESES,
                     needed=("one law of x", "L invertible"), show=Pair.show)


@chapter.claim("gin.noise", place="App. B, end", kind=Kind.CLAIM,
               statement="Estimated latents that belong to no z_i carry no information about the generating latents.",
               hypotheses=("one law of x given u", "normal latents in both models", "L is invertible", "d > n"),
               universal=uninformative)
def leftover_is_noise(on: Record) -> None:
    # eq. 11 with z_i = a_i w_i + b_i: what remains of the other w_j is lambda'_j(u) - lambda'_j(u_0), which must drop
    # out. Latents that are not looked at stay at 0.
    for n, d in ((1, 2), (2, 3), (2, 4)):
        w, a, b = symbols("w", d, 1), symbols("a", n, 1), symbols("b", n, 1)
        gap, own = symbols("g", 2 * n, 1), symbols("h", 2 * d, 1)
        z = [a[i] * w[i] + b[i] for i in range(n)]
        equation = sum(gap[2 * i] * v + gap[2 * i + 1] * v**2 for i, v in enumerate(z)) \
            - sum(own[2 * j] * v + own[2 * j + 1] * v**2 for j, v in enumerate(w))
        rest = [c for m, c in sp.Poly(sp.expand(equation), *w).terms() if any(m[n:])]
        on.printed.prove(len(rest) == 2 * (d - n) and all(forced_by(rest, v, list(own)) for v in own[2 * n:])
                         and not forced_by(rest, own[0], list(own)),
                         f"n = {n}, d = {d}, z_i = a_i w_i + b_i in eq. 11, generic: the parameters of the other "
                         "latents are those at u_0; given u they are independent of the matched ones, so they are "
                         "independent of (z, u)")
    on.printed.search(cases=60)


def dimension_found() -> Universal[Pair]:
    """As many estimated latents depend on u as there are generating ones."""
    return Universal("the number of estimated latents whose law depends on u is n",
                     lambda dropped: pairs(normal=True, extra=1),
                     lambda case: sum(not case.is_free_of_u(j) for j in range(case.d)) == case.n, _HYPOTHESES,
                     needed=("L invertible",), show=Pair.show)


@chapter.claim("gin.dim", place="Abstract; Sec. 1; Sec. 3.2", kind=Kind.CLAIM,
               statement="With normal latents in both models the intrinsic dimension is found: as many estimated "
                         "latents are informative as there are generating ones.",
               hypotheses=("one law of x given u", "normal latents in both models",
                           "read as the abstract and the introduction say it, without condition (ii) of Theorem 1"),
               correction=Correction("The same where L is invertible, so that every latent has three (mean, variance) "
                                     "pairs off a line; a latent whose mean alone or variance alone varies is outside.",
                                     ("L is invertible",)),
               universal=dimension_found)
def intrinsic_dimension(on: Record) -> None:
    one, zero = Fraction(1), Fraction(0)
    unit = ((one, zero), (zero, one))
    turn = ((Fraction(3, 5), Fraction(4, 5)), (Fraction(-4, 5), Fraction(3, 5)))
    case = Pair((unit,), (unit, unit), turn, (zero, zero), tuple(((Fraction(m), zero),) for m in (0, 1, 2)))
    informative = sum(not case.is_free_of_u(j) for j in range(2))
    on.printed.refute(case.has_equal_laws and informative == 2 and not case.is_l_regular,
                      "n = 1, d = 2, one variance and three means, and w a rotation of z and the noise: both w_1 and "
                      "w_2 depend on u", shown=case.show())
    on.corrected.search(cases=50)
    # One latent: L is singular exactly where the natural parameters of its three laws lie on a line.
    means, variances = sp.symbols("m_0:3", real=True), sp.symbols("v_0:3", positive=True)
    lifted = sp.Matrix([[m / v, -1 / (2 * v), 1] for m, v in zip(means, variances, strict=True)]).det()
    moments = sp.Matrix([[m, 1, v] for m, v in zip(means, variances, strict=True)]).det()
    on.corrected.support(sp.simplify(lifted * sp.prod(variances) + moments / 2) == 0,
                         "n = 1: det L vanishes exactly where the three pairs (mean, variance) lie on a line", cases=1,
                         evidence=Evidence.EXACT)
