"""R4: a sum of curves on a curve, so that weak identifiability is strong for C^1 minimal families with k >= 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import (
    INTEGERS,
    NONZERO,
    NUMBERS,
    Matrix,
    Row,
    inverse_or_none,
    invertible_matrices,
    matrices,
    product,
    rank,
    shown_matrix,
    solve,
)
from ident_theory.claims.papers import REPAIRS
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.models.families import family
from ident_theory.numerics import Evidence

chapter = Chapter(REPAIRS)

#: A polynomial in v_1, ..., v_d: exponents -> coefficient.
Polynomial = dict[tuple[int, ...], Fraction]
#: Exponents of the statistics of a latent: minimal, and C^1 on the whole line.
EXPONENTS = {1: ((1,), (3,)), 2: ((1, 2), (1, 3)), 3: ((1, 2, 3), (1, 2, 4))}


@dataclass(frozen=True)
class SumCase:
    """T(z) = A T'(w) + c for z = a (w_1^g_1, ..., w_d^g_d) + b, all w_j and z_i real, all g_j odd.

    T_i is `targets[i]` times the powers of z_i with `exponents`, T'_j is `sources[j]` times the powers of w_j with
    `powers[j]`. In the lattice case T_i and T'_j run through Z^k in steps, one step an interval of unit length, and z
    is the bijection that A makes; a, b and the powers mean nothing.
    """

    k: int
    exponents: tuple[int, ...]
    targets: tuple[Matrix, ...]
    sources: tuple[Matrix, ...]
    powers: tuple[tuple[int, ...], ...]
    g: tuple[int, ...]
    a: Matrix
    b: Row
    blocks: tuple[tuple[Matrix, ...], ...]
    c: Matrix
    lattice: bool = False


def _plus(p: Polynomial, q: Polynomial, factor: Fraction) -> Polynomial:
    found = dict(p)
    for key, value in q.items():
        found[key] = found.get(key, Fraction(0)) + factor * value
    return {key: value for key, value in found.items() if value}


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for (key, value), (other, factor) in ((x, y) for x in p.items() for y in q.items()):
        at = tuple(map(sum, zip(key, other, strict=True)))
        found[at] = found.get(at, Fraction(0)) + value * factor
    return {key: value for key, value in found.items() if value}


def _power(j: int, e: int, d: int) -> tuple[int, ...]:
    return tuple(e if other == j else 0 for other in range(d))


def _statistics(target: Matrix, exponents: Sequence[int], z: Polynomial, d: int) -> list[Polynomial]:
    """T_i as polynomials in w."""
    powers: list[Polynomial] = [{(0,) * d: Fraction(1)}]
    for _ in range(max(exponents)):
        powers.append(_times(powers[-1], z))
    found = []
    for row in target:
        total: Polynomial = {}
        for entry, e in zip(row, exponents, strict=True):
            total = _plus(total, powers[e], entry)
        found.append(total)
    return found


def _latent(case: SumCase, i: int) -> Polynomial:
    d = len(case.sources)
    z: Polynomial = {(0,) * d: case.b[i]} if case.b[i] else {}
    for j, entry in enumerate(case.a[i]):
        z = _plus(z, {_power(j, case.g[j], d): Fraction(1)}, entry)
    return z


def _holds(case: SumCase) -> bool:
    """The relation, as an identity of polynomials; on a lattice, that A is a bijection of it."""
    d = len(case.sources)
    if case.lattice:
        whole = _whole(case)
        back = inverse_or_none(whole) if len(whole) == len(whole[0]) else None
        return back is not None and all(v.denominator == 1 for row in (*whole, *back, *case.c) for v in row)
    for i, target in enumerate(case.targets):
        left = _statistics(target, case.exponents, _latent(case, i), d)
        for r in range(case.k):
            right: Polynomial = {(0,) * d: case.c[i][r]} if case.c[i][r] else {}
            for j, source in enumerate(case.sources):
                row = product([case.blocks[i][j][r]], source)[0]
                for entry, e in zip(row, case.powers[j], strict=True):
                    right = _plus(right, {_power(j, e, d): Fraction(1)}, entry)
            if left[r] != right:
                return False
    return True


def _whole(case: SumCase) -> Matrix:
    return tuple(tuple(v for block in blocks for v in block[r]) for blocks in case.blocks for r in range(case.k))


def _takes_all(case: SumCase) -> bool:
    return case.lattice or rank(case.a) == len(case.a)


def is_block_permutation(blocks: Sequence[Sequence[Matrix]]) -> bool:
    """Whether every row of blocks has exactly one that is not zero, an invertible one, in a column of its own."""
    columns = []
    for row in blocks:
        found = [j for j, block in enumerate(row) if any(v for line in block for v in line)]
        if len(found) != 1 or inverse_or_none(row[found[0]]) is None:
            return False
        columns.append(found[0])
    return len(set(columns)) == len(columns)


@st.composite
def _recombinations(draw: st.DrawFn, k: int, may_be_singular: bool) -> Matrix:
    """Matrices that make statistics out of the powers; singular ones make statistics that are not minimal."""
    if may_be_singular and draw(st.booleans()):
        return tuple((draw(INTEGERS), *[Fraction(0)] * (k - 1)) for _ in range(k))
    return draw(invertible_matrices(k))


@st.composite
def _unimodular(draw: st.DrawFn, size: int) -> Matrix:
    """Integer matrices with an integer inverse."""
    found = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    for _ in range(draw(st.integers(1, 2))):
        i, j = draw(st.permutations(range(size)))[:2]
        found[i] = [v + w for v, w in zip(found[i], found[j], strict=True)]
    return tuple(map(tuple, found))


def _on_lattice(k: int, whole: Matrix) -> SumCase:
    unit = tuple(tuple(Fraction(int(i == j)) for j in range(k)) for i in range(k))
    blocks = tuple(tuple(tuple(row[j * k:(j + 1) * k] for row in whole[i * k:(i + 1) * k]) for j in range(2))
                   for i in range(2))
    zero = (Fraction(0),) * k
    return SumCase(k, (), (unit, unit), (unit, unit), (), (), (), (), blocks, (zero, zero), lattice=True)


@st.composite
def _cases(draw: st.DrawFn, dropped: frozenset[str]) -> SumCase:
    k = draw(st.sampled_from((1, 2)) if "k >= 2" in dropped else st.sampled_from((2, 2, 3)))
    if "C1" in dropped and draw(st.booleans()):
        return _on_lattice(k, draw(_unimodular(2 * k)))
    n = draw(st.integers(1, 2))
    d = n + draw(st.integers(0, 1))
    exponents = draw(st.sampled_from(EXPONENTS[k]))
    g = tuple(draw(st.sampled_from((1, 1, 3))) for _ in range(d))
    powers = tuple(tuple(e * odd for e in exponents) for odd in g)
    targets = tuple(draw(_recombinations(k, "T minimal" in dropped)) for _ in range(n))
    sources = tuple(draw(_recombinations(k, "T' minimal" in dropped)) for _ in range(d))
    if draw(st.integers(0, 2)) or ({"T minimal", "k >= 2"} & dropped and draw(st.booleans())):
        a = draw(matrices(n, d, NUMBERS))
    else:
        columns = draw(st.permutations(range(d)))
        a = tuple(tuple(draw(NONZERO) if j == columns[i] else Fraction(0) for j in range(d)) for i in range(n))
    if "z takes all values" in dropped and draw(st.booleans()):
        a = (a[0],) * n
    b = draw(matrices(1, n))[0] if draw(st.booleans()) else (Fraction(0),) * n
    blank = SumCase(k, exponents, targets, sources, powers, g, a, b, (), ())
    blocks, c = [], []
    for i, target in enumerate(targets):
        left = _statistics(target, exponents, _latent(blank, i), d)
        c.append(tuple(p.get((0,) * d, Fraction(0)) for p in left))
        row = []
        for j, source in enumerate(sources):
            transposed = tuple(zip(*source, strict=True))
            wanted = [[p.get(_power(j, e, d), Fraction(0)) for e in powers[j]] for p in left]
            lines = [solve(transposed, line) for line in wanted]
            # Where T'_j is not minimal, A_ij is not unique: another solution is as good.
            spare = _annihilator(source)
            factor = draw(INTEGERS) if spare is not None else Fraction(0)
            row.append(tuple(tuple(v + factor * (spare[q] if spare is not None else 0) for q, v in enumerate(line))
                             if line is not None else (Fraction(0),) * k for line in lines))
        blocks.append(tuple(row))
    return SumCase(k, exponents, targets, sources, powers, g, a, b, tuple(blocks), tuple(c))


def _annihilator(source: Matrix) -> Row | None:
    """Some v other than 0 with v T' = 0, None if there is none."""
    size = len(source)
    transposed = tuple(zip(*source, strict=True))
    for q in range(size):
        rest = [tuple(v for p, v in enumerate(row) if p != q) for row in transposed]
        if size == 1:
            return (Fraction(1),) if source[0][0] == 0 else None
        found = solve(rest, [-row[q] for row in transposed])
        if found is not None:
            return (*found[:q], Fraction(1), *found[q:])
    return None


def _shown(case: SumCase) -> str:
    blocks = "; ".join(f"A_{i + 1}{j + 1} = {shown_matrix(block)}" for i, row in enumerate(case.blocks)
                       for j, block in enumerate(row))
    if case.lattice:
        return f"T_i and T'_j run through Z^{case.k} in steps of unit length; {blocks}; c = 0"
    return (f"T_i = M_i (z^e), e in {case.exponents}, M = {', '.join(map(shown_matrix, case.targets))}; T'_j = N_j "
            f"(w^e), e in {case.powers}, N = {', '.join(map(shown_matrix, case.sources))}; z = a (w^g) + b, "
            f"g = {case.g}, a = {shown_matrix(case.a)}, b = {shown_matrix([case.b])}; {blocks}; "
            f"c = {shown_matrix(case.c)}")


def sum_of_curves() -> Universal[SumCase]:
    """R4 for recombined powers, where the relation is an identity of polynomials."""
    return Universal(
        "if T(z) = A T'(w) + c with w in R^d and z taking all values in R^n, all T_i and T'_j minimal and C^1, k >= 2, "
        "then every row of k x k blocks of A has exactly one that is not zero, an invertible one, in a column of its "
        "own",
        cases=_cases, conclusion=lambda case: is_block_permutation(case.blocks),
        hypotheses={"T(z) = A T'(w) + c": _holds, "k >= 2": lambda case: case.k >= 2,
                    "C1": lambda case: not case.lattice,
                    "T minimal": lambda case: all(rank(m) == case.k for m in case.targets),
                    "T' minimal": lambda case: all(rank(m) == case.k for m in case.sources),
                    "z takes all values": _takes_all},
        needed=("T(z) = A T'(w) + c", "k >= 2", "C1", "T minimal", "T' minimal", "z takes all values"), show=_shown)


@chapter.claim(
    "repair.r4", place="audit, section 0, R4", kind=Kind.REPAIR,
    statement="Let k >= 2, let T_i and T'_j be C^1 and minimal on intervals, and let T(z) = A T'(w) + c, where w "
              "ranges over a product of d >= n intervals and z takes all values of its own product. Then every row of "
              "k x k blocks of A has exactly one non-zero block, which is invertible, and no two rows share its "
              "column. So the weak relation is the strong one, also for d > n; for k = 1 it is not.",
    hypotheses=("k >= 2", "T_i and T'_j are C^1 on intervals (for T_i: the curve T_i(Z_i) has no area)",
                "1, T_i1, ..., T_ik independent, and 1, T'_j1, ..., T'_jk", "the same k on both sides",
                "w takes all values of a product of intervals",
                "z takes all values of the product of the Z_i (tacit in the audit's text)"),
    scope="that a C^1 curve has no area, and that a C^1 map of rank 2 covers some, are quoted and not computed; both "
          "hold with null sets of w left out as well, so R1's relation almost everywhere is enough",
    universal=sum_of_curves)
def one_block_a_row(on: Record) -> None:
    """Two curves whose tangents are always parallel are straight (symbolic); random recombined powers."""
    on.printed.support(all(_parallel_identity(k) for k in (2, 3, 4, 5)),
                       "with v = alpha'(s0) not 0, all 2 x 2 minors of (v, beta'(t)) zero give |v|^2 beta'(t) = "
                       "(v . beta'(t)) v: the second curve is straight, and so is the first (symbolic, k = 2, ..., 5)",
                       cases=4, evidence=Evidence.EXACT)
    on.printed.search(cases=200)


def _parallel_identity(k: int) -> bool:
    v, b = sp.symbols(f"v:{k}"), sp.symbols(f"b:{k}")
    square, inner = sum(x * x for x in v), sum(x * y for x, y in zip(v, b, strict=True))
    return all(sp.expand(square * b[r] - inner * v[r] - sum(v[s] * (v[s] * b[r] - v[r] * b[s]) for s in range(k))) == 0
               for r in range(k))


#: T_2 as a function t of T_1, and the range of T_1, for the two-parameter families of GIN Table 1.
#: The names are those of the catalogue, whose statistics are compared with the composition.
SECOND_OF_FIRST = {"normal": ("x**2", "-oo", "oo"), "lognormal": ("x**2", "-oo", "oo"),
                   "inverse_gaussian": ("1/x", "0", "oo"), "gamma": ("exp(x)", "-oo", "oo"),
                   "inverse_gamma": ("exp(-x)", "-oo", "oo"), "beta": ("log(1 - exp(x))", "-oo", "0")}


@chapter.claim(
    "repair.r4.graph", place="after R4", kind=Kind.ADDED,
    statement="Let k = 2 and T_i2 = t(T_i1) with t twice continuously differentiable and t'' not zero on a dense set "
              "of the range of T_i1. Then no row of blocks of A has two non-zero ones, for any d and any minimal C^1 "
              "statistics T'. All six two-parameter families of GIN Table 1 are of this kind.",
    hypotheses=("T(z) = A T'(w) + c, w over a product of "
                "intervals", "T'_j minimal and C^1", "T_i2 = t(T_i1), t'' as said"))
def graph_of_a_function(on: Record) -> None:
    """The mixed derivative of t(g_1(w_1) + g_2(w_2) + rest) is t'' g_1' g_2'; t'' has no zero for the six families."""
    x, y, rest = sp.symbols("x y r", real=True)
    first, second, t = sp.Function("g1"), sp.Function("g2"), sp.Function("t")
    argument = first(x) + second(y) + rest
    u = sp.Symbol("u", real=True)
    mixed = sp.diff(t(argument), x, y)
    curvature = sp.diff(t(u), u, 2).subs(u, argument).doit()
    product_rule = sp.simplify(mixed - curvature * first(x).diff(x) * second(y).diff(y)) == 0
    zeros = {name: sp.solveset(sp.diff(sp.sympify(text, locals={"x": u}), u, 2), u,
                               sp.Interval.open(sp.sympify(low), sp.sympify(high)))
             for name, (text, low, high) in SECOND_OF_FIRST.items()}
    on.printed.prove(product_rule and all(found == sp.S.EmptySet for found in zeros.values())
                     and all(map(_composes, SECOND_OF_FIRST)),
                     "the second row of blocks has no mixed derivative, so t''(T_i1) g_1' g_2' = 0 for any two w_j: "
                     "where g_1' and g_2' are both not 0 the argument covers an interval, on which t'' is somewhere "
                     "not 0; so only one g_j varies, T_i with it, and the other blocks vanish as T' is minimal "
                     "(symbolic; t'' has no zero for the six families, whose T_2 is t(T_1))")


def _composes(name: str) -> bool:
    """Whether T_2 = t(T_1) for the family of the catalogue, and T_1 takes its support onto the range that is given."""
    known, (text, low, high) = family(name), SECOND_OF_FIRST[name]
    z = sp.Symbol("z", real=True, positive=True if known.support[0] == "0" else None)
    first, second = (sp.sympify(t, locals={"z": z}) for t in known.statistics)
    ends = [sp.limit(first, z, sp.sympify(end), "+" if end == known.support[0] else "-") for end in known.support]
    return bool(sp.simplify(sp.sympify(text, locals={"x": first}) - second) == 0
                and ends == [sp.sympify(low), sp.sympify(high)])
