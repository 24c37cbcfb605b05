"""Theorem 2: one statistic a latent, bounded on one side, leaves a scaled permutation."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product as choices

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.ivae.whole_models import separation_by_the_toolkit
from ident_theory.claims.matrices import (
    SMALL,
    Matrix,
    Row,
    determinant,
    inverse,
    invertible_matrices,
    is_monomial,
    matrix_of,
    shown_matrix,
)
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.statistics import statistics_findings
from ident_theory.models.families import custom_family
from ident_theory.numerics import Evidence, Status

chapter = Chapter(IVAE)

BOUNDED, ONTO, NONCONSTANT = "bounded on one side", "images agree", "not constant"
z = sympy.Symbol("z", real=True)

#: The closed convex hull of the values of a statistic: its ends, None for infinity.
Interval = tuple[Fraction | None, Fraction | None]
KINDS: tuple[Interval, ...] = ((Fraction(0), None), (Fraction(0), Fraction(1)), (None, Fraction(0)),
                               (Fraction(-1), None))


@dataclass(frozen=True)
class Boxes:
    """The affine map of the statistics and the convex hulls of the values of T and of T'."""

    matrix: Matrix
    shift: Row
    target: tuple[Interval, ...]
    source: tuple[Interval, ...]

    def text(self) -> str:
        """As text to paste."""
        def interval(ends: Interval) -> str:
            low, high = ends
            return f"[{'-oo' if low is None else low}, {'oo' if high is None else high}]"

        return (f"A = {shown_matrix(self.matrix)}, c = {list(map(str, self.shift))}, T in "
                f"{' x '.join(map(interval, self.target))}, T' in {' x '.join(map(interval, self.source))}")


def _corners(box: tuple[Interval, ...]) -> list[Row]:
    """Vertices; directions along which the box is a whole line stand at 0."""
    return [tuple(item) for item in choices(*(
        sorted({end for end in ends if end is not None}) or [Fraction(0)] for ends in box))]


def _rays(box: tuple[Interval, ...]) -> list[Row]:
    """Unit directions in which the box is unbounded, lines in both directions."""
    found = []
    for i, ends in enumerate(box):
        for end, sign in zip(ends, (-1, 1), strict=True):
            if end is None:
                found.append(tuple(Fraction(sign * (i == j)) for j in range(len(box))))
    return found


def _lines(box: tuple[Interval, ...]) -> set[int]:
    return {i for i, ends in enumerate(box) if ends == (None, None)}


def _apply(matrix: Matrix, point: Row, shift: Row | None = None) -> Row:
    image = tuple(sum((a * p for a, p in zip(row, point, strict=True)), Fraction(0)) for row in matrix)
    return image if shift is None else tuple(a + b for a, b in zip(image, shift, strict=True))


def _direction(ray: Row) -> Row:
    size = sum((abs(item) for item in ray), Fraction(0))
    return tuple(item / size for item in ray) if size else ray


def images_agree(case: Boxes) -> bool:
    """Whether A (source) + c is the target: the same lines, and modulo these the same vertices and rays."""
    own, other = _lines(case.target), _lines(case.source)
    kept = [i for i in range(len(case.target)) if i not in own]
    if len(own) != len(other) or any(case.matrix[i][j] for i in kept for j in other):
        return False

    def cut(points: list[Row]) -> set[Row]:
        return {tuple(point[i] for i in kept) for point in points}

    corners = cut([_apply(case.matrix, p, case.shift) for p in _corners(case.source)])
    rays = {_direction(ray) for ray in cut([_apply(case.matrix, ray) for ray in _rays(case.source)])}
    expected = {_direction(ray) for ray in cut(_rays(case.target))}
    return corners == cut(_corners(case.target)) and rays - {(Fraction(0),) * len(kept)} == expected - {
        (Fraction(0),) * len(kept)}


@st.composite
def _boxes(draw: st.DrawFn, dropped: frozenset[str]) -> Boxes:
    n = draw(st.integers(1, 3))
    kinds: list[Interval] = list(KINDS)
    if BOUNDED in dropped:
        kinds += [(None, None)] * 3
    if NONCONSTANT in dropped:
        kinds += [(Fraction(0), Fraction(0))] * 3
    source = tuple(draw(st.sampled_from(kinds)) for _ in range(n))
    if draw(st.booleans()):
        factors = draw(st.lists(SMALL.filter(bool), min_size=n, max_size=n))
        order = draw(st.permutations(range(n)))
        matrix: Matrix = tuple(tuple(factors[i] * (order[i] == j) for j in range(n)) for i in range(n))
    else:
        matrix = draw(invertible_matrices(n))
    shift = tuple(draw(st.lists(SMALL, min_size=n, max_size=n)))
    # The smallest box around the image: the only box that the image can be.
    corners = [_apply(matrix, p, shift) for p in _corners(source)]
    rays = [_apply(matrix, ray) for ray in _rays(source)]
    target: tuple[Interval, ...] = tuple(
        (None if any(ray[i] < 0 for ray in rays) else min(p[i] for p in corners),
         None if any(ray[i] > 0 for ray in rays) else max(p[i] for p in corners)) for i in range(n))
    return Boxes(matrix, shift, target, source)


def scaled_permutations() -> Universal[Boxes]:
    """Affine maps between the hulls of two sets of statistics."""
    return Universal(
        "an invertible affine map of a product of intervals onto a product of intervals, none a point, each bounded "
        "below or above, is a scaled permutation", _boxes, lambda case: is_monomial(case.matrix),
        {ONTO: images_agree, BOUNDED: lambda case: not _lines(case.target),
         NONCONSTANT: lambda case: all(low is None or low != high for low, high in case.target)},
        (ONTO, BOUNDED, NONCONSTANT), Boxes.text)


def exhausted(entries: tuple[int, ...], n: int) -> tuple[int, list[Matrix]]:
    """All invertible matrices with such entries, and those that map some product of rays and intervals onto one."""
    count, found = 0, []
    kinds = KINDS[:3]
    for flat in choices(entries, repeat=n * n):
        rows = matrix_of([flat[i * n:(i + 1) * n] for i in range(n)])
        if determinant(rows) == 0:
            continue
        for source in choices(kinds, repeat=n):
            count += 1
            corners = [_apply(rows, p) for p in _corners(source)]
            rays = [_apply(rows, ray) for ray in _rays(source)]
            target: tuple[Interval, ...] = tuple(
                (None if any(ray[i] < 0 for ray in rays) else min(p[i] for p in corners),
                 None if any(ray[i] > 0 for ray in rays) else max(p[i] for p in corners)) for i in range(n))
            if not _lines(target) and images_agree(Boxes(rows, (Fraction(0),) * n, target, source)):
                found.append(rows)
    return count, found


@chapter.claim(
    "ivae.thm2", place="Sec. 4, Theorem 2; App. C", kind=Kind.THEOREM, covers=("Theorem 2",),
    hypotheses=("T = A T' + c with A invertible, as in Theorem 1", "k = 1 and the same statistic T for every latent",
                "T has a unique minimum"),
    statement="A is a scaled permutation.",
    argument="T minus its minimum has the half line as its support, so the stacked statistics have the quadrant.",
    universal=scaled_permutations, scope="the facets of a product of intervals prove it: a repair of its own")
def theorem_2(on: Record) -> None:
    on.printed.search(cases=150)
    count, found = exhausted((-2, -1, 0, 1, 2), 2)
    on.printed.support(bool(found) and all(map(is_monomial, found)),
                       f"all 2 x 2 matrices with entries from -2 to 2 on products of rays and intervals: {len(found)} "
                       f"of {count} cases map onto a product, all with scaled permutations", cases=count,
                       evidence=Evidence.EXACT)
    bounded = z ** 2 / (1 + z ** 2)
    critical = sympy.solve(sympy.diff(bounded, z), z)
    on.argument.refute(
        critical == [0] and bounded.subs(z, 0) == 0 and sympy.simplify(1 - bounded - 1 / (1 + z ** 2)) == 0
        and sympy.limit(bounded, z, sympy.oo) == 1,
        "T = z^2/(1 + z^2) has the unique minimum 0 at z = 0, and 1 - T = 1/(1 + z^2) > 0: its support is [0, 1], not "
        "the half line")
    outer = sympy.Interval(1, sympy.oo, left_open=True)
    values = [sympy.calculus.util.function_range(z ** 2, z, sympy.Interval(-1, 1)),
              sympy.calculus.util.function_range(z ** 2 + 1, z, outer)]
    on.argument.refute(values == [sympy.Interval(0, 1), sympy.Interval.open(2, sympy.oo)],
                       "T = z^2 for |z| <= 1 and z^2 + 1 beyond, a unique minimum, unbounded: no values between 1 "
                       "and 2")


@chapter.claim(
    "ivae.appC.square", place="Sec. 4, before Theorem 2; App. C", kind=Kind.CLAIM,
    hypotheses=("T is squaring or the absolute value", "a density that is positive everywhere"),
    statement="T takes exactly the non-negative values, and such families fulfil what Theorem 2 needs.")
def squares_and_absolute_values(on: Record) -> None:
    y = sympy.Symbol("y", nonnegative=True)
    onto = sympy.sqrt(y) ** 2 == y and sympy.Abs(y) == y
    never = (z ** 2).is_nonnegative is True and sympy.Abs(z).is_nonnegative is True
    minima = [sympy.solveset(item, z, sympy.S.Reals) for item in (z ** 2, sympy.Abs(z))]
    held = [statistics_findings(custom_family([text], "exp(-z**4)")) for text in ("z**2", "Abs(z)", "z")]
    on.printed.prove(
        onto and never and all(item == sympy.FiniteSet(0) for item in minima)
        and [found["exp.bounded"].status for found in held] == [Status.HOLDS, Status.HOLDS, Status.FAILS],
        "sqrt(y) and y are mapped to y >= 0, no value is negative, 0 is the only point of minimum; the toolkit finds "
        "z^2 and |z| bounded on one side, and z not")


@chapter.claim(
    "ivae.thm2.sign", place="Sec. 4, Theorem 2", kind=Kind.ADDED,
    hypotheses=("the hypotheses of Theorem 2",),
    statement="The scaled permutation may have negative entries: A = -1, c = 1 occurs.")
def negative_factors(on: Record) -> None:
    t = sympy.Rational(1, 2) + z / (1 + z ** 2)
    square = sympy.simplify(t - (1 + z) ** 2 / (2 * (1 + z ** 2)))
    on.printed.prove(
        sympy.simplify(t + t.subs(z, -z) - 1) == 0 and square == 0
        and sympy.solveset((1 + z) ** 2, z, sympy.S.Reals) == sympy.FiniteSet(-1)
        and sympy.solveset(sympy.diff(t, z), z, sympy.S.Reals) == sympy.FiniteSet(-1, 1),
        "T = 1/2 + z/(1 + z^2) = (1 + z)^2 / (2 (1 + z^2)) has its unique minimum at -1, and T(z) + T(-z) = 1: "
        "z' = -z with T' = T and lambda' = -lambda gives the same law and T(z) = -T(z') + 1")


ONE_SIDED = "unbounded above"


def positive_factors() -> Universal[Boxes]:
    """Both statistics bounded below and unbounded above."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Boxes:
        case = draw(_boxes(frozenset()))
        if ONE_SIDED in dropped:
            return case
        half = tuple((Fraction(0) if low is None else low, None) for low, _ in case.source)
        n = len(half)
        matrix = tuple(tuple(abs(item) for item in row) for row in case.matrix) if is_monomial(case.matrix) \
            else case.matrix
        minima = tuple(low for low, _ in half)
        target = tuple((low, None) for low in _apply(matrix, minima, case.shift))
        return Boxes(matrix, case.shift, target, half) if n else case

    def conclusion(case: Boxes) -> bool:
        low = tuple(ends[0] or Fraction(0) for ends in case.source)
        expected = tuple(t[0] - v for t, v in zip(case.target, _apply(case.matrix, low), strict=True)
                         if t[0] is not None)
        return all(item >= 0 for row in case.matrix for item in row) and case.shift == expected

    return Universal(
        "if all statistics are bounded below and unbounded above, A has no negative entry and c = min T - A min T'",
        cases, conclusion,
        {ONTO: images_agree, ONE_SIDED: lambda case: all(
            low is not None and high is None for low, high in (*case.target, *case.source))},
        (ONTO, ONE_SIDED), Boxes.text)


@chapter.claim(
    "ivae.thm2.scale", place="Sec. 4, Theorem 2", kind=Kind.ADDED, universal=positive_factors,
    hypotheses=("the hypotheses of Theorem 2", "T and T' are bounded below and unbounded above"),
    statement="If all statistics are bounded below and unbounded above, A has no negative entry, and c is the minimum "
              "of T less A times the minimum of T'.")
def positive_scales(on: Record) -> None:
    on.printed.search(cases=150)


def boolean_inverses(n: int) -> tuple[int, list[tuple[int, ...]]]:
    """Zero patterns P with a Q such that P Q and Q P, products without cancellation, have the pattern of I."""
    patterns = list(choices((0, 1), repeat=n * n))
    rows = [[sum(bit << j for j, bit in enumerate(p[i * n:(i + 1) * n])) for i in range(n)] for p in patterns]

    def is_identity(left: list[int], right: list[int]) -> bool:
        for i, row in enumerate(left):
            image = 0
            for j in range(n):
                if row >> j & 1:
                    image |= right[j]
            if image != 1 << i:
                return False
        return True

    found = [patterns[a] for a, left in enumerate(rows)
             if all(left) and any(is_identity(left, right) and is_identity(right, left) for right in rows)]
    return len(patterns) ** 2, found


@chapter.claim(
    "ivae.thm2.plumbley", place="App. C, last sentence", kind=Kind.CLAIM, hypotheses=("A is invertible",),
    statement="Only a scaled permutation maps the non-negative quadrant onto itself.",
    argument="Non-negative ICA: it is enough that non-negative well-grounded sources are mapped to non-negative ones.")
def quadrant_onto_itself(on: Record) -> None:
    # A >= 0 and A^-1 >= 0: their products have no cancellation, so zero patterns decide.
    for n in (1, 2, 3):
        count, found = boolean_inverses(n)
        monomial = all(is_monomial(matrix_of([p[i * n:(i + 1) * n] for i in range(n)])) for p in found)
        on.printed.support(monomial and len(found) == int(sympy.factorial(n)),
                           f"n = {n}, all real matrices: among the zero patterns of A >= 0 with an inverse >= 0 only "
                           f"the {len(found)} permutations occur", cases=count, evidence=Evidence.EXACT)
    shear = matrix_of([[1, 1], [0, 1]])
    on.argument.refute(
        all(item >= 0 for row in shear for item in row) and determinant(shear) == 1 and not is_monomial(shear)
        and any(item < 0 for row in inverse(shear) for item in row),
        "A = [[1, 1], [0, 1]] is invertible and maps the quadrant into itself, so independent non-negative sources to "
        "non-negative ones, and is no scaled permutation; the theorem quoted is about orthogonal A, and what carries "
        "the proof is that the map is onto")


@chapter.claim(
    "ivae.thm2.more", place="Sec. 4, Theorem 2 (i) and (ii)", kind=Kind.ADDED, universal=scaled_permutations,
    hypotheses=("T = A T' + c with A invertible", "k = 1", "every T_i is not constant and bounded below or above"),
    statement="Neither a common statistic nor a unique minimum is needed for Theorem 2: every T_i bounded on one side "
              "suffices, and nothing is asked of T'.")
def bounded_on_one_side(on: Record) -> None:
    on.printed.search(cases=100)


@chapter.claim(
    "ivae.thm2.models", place="Sec. 4, Theorem 2", kind=Kind.ADDED, universal=separation_by_the_toolkit,
    hypotheses=("zero-mean normal latents given u, T = z^2", "invertible affine decoders", "the same Gaussian noise",
                "an invertible L"),
    statement="Two whole models that are equal in law, as decided without the theorem, have latents that are scaled "
              "permutations of each other.")
def whole_models(on: Record) -> None:
    on.printed.search(cases=100)
