"""Two exponential families with one law of x given u: quadratic statistics, related by an affine map of the latents.

The generating latents have :math:`p(z_i | u) \\propto exp(-20 z_i^2 + \\lambda_i(u) \\cdot T_i(z_i))` with
:math:`T_{ij}(z) = c_1 z + c_2 z^2`, the noise :math:`p(\\varepsilon) \\propto exp(-20 \\varepsilon^2)`, and
:math:`w = B (z, \\varepsilon) + b`. Every question about such a pair is one about rational polynomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property

from hypothesis import strategies as st

from ident_theory.claims.matrices import (
    Row,
    Rows,
    combination,
    inverse,
    is_diagonal,
    is_regular,
    matrix_of,
    product,
    rank,
    shown_matrix,
    transpose,
)

#: Curvature of the base measure, large enough for every parameter that is drawn to have a finite normaliser.
CURVATURE = 20


@dataclass(frozen=True)
class Increment:
    """A quadratic polynomial in w without its constant: linear . w + w . square . w."""

    linear: list[Fraction]
    square: Sequence[Sequence[Fraction]]

    def along(self, j: int) -> list[Fraction]:
        """Coefficients of w_j and w_j^2."""
        return [self.linear[j], self.square[j][j]]

    @property
    def is_additive(self) -> bool:
        """Whether there are no cross terms."""
        return is_diagonal(self.square)


@dataclass(frozen=True)
class Pair:
    """The two models.

    Attributes
    ----------
    statistics : tuple, n x k x 2
        Coefficients of z and z^2 in the statistics of each generating latent.
    estimated : tuple, d x k x 2
        The same for the estimated latents.
    matrix, shift : tuple, d x d and d
        w = B (z, noise) + b.
    parameters : tuple, m x n x k
        Coefficients of the generating statistics at the m conditions.
    """

    statistics: tuple[tuple[Row, ...], ...]
    estimated: tuple[tuple[Row, ...], ...]
    matrix: tuple[Row, ...]
    shift: Row
    parameters: tuple[tuple[Row, ...], ...]

    @property
    def n(self) -> int:
        """Number of generating latents."""
        return len(self.statistics)

    @property
    def d(self) -> int:
        """Number of estimated latents."""
        return len(self.estimated)

    @property
    def k(self) -> int:
        """Statistics a latent."""
        return len(self.statistics[0])

    @cached_property
    def back(self) -> Rows:
        """B^-1, whose first n rows give z from w - b."""
        return inverse(self.matrix)

    def in_w(self, coefficients: Sequence[Sequence[Fraction]]) -> Increment:
        """sum_i a_i z_i + c_i z_i^2 as a polynomial in w."""
        d = self.d
        start = [-sum((row[j] * self.shift[j] for j in range(d)), Fraction(0)) for row in self.back]
        linear = [sum((self.back[i][j] * (a + 2 * c * start[i]) for i, (a, c) in enumerate(coefficients)), Fraction(0))
                  for j in range(d)]
        square = [[sum((c * self.back[i][j] * self.back[i][m] for i, (_, c) in enumerate(coefficients)), Fraction(0))
                   for m in range(d)] for j in range(d)]
        return Increment(linear, square)

    @cached_property
    def natural(self) -> list[list[list[Fraction]]]:
        """m x n x 2: coefficients of z_i and z_i^2 in the log density, without the base measure."""
        return [[[sum((v * row[e] for v, row in zip(values, rows, strict=True)), Fraction(0)) for e in (0, 1)]
                 for values, rows in zip(at_u, self.statistics, strict=True)] for at_u in self.parameters]

    @cached_property
    def increments(self) -> list[Increment]:
        """log p(z|u) - log p(z|u_0) as polynomials in w, without constants, for the conditions after the first."""
        first = self.natural[0]
        return [self.in_w([[x - y for x, y in zip(a, b, strict=True)] for a, b in zip(at_u, first, strict=True)])
                for at_u in self.natural[1:]]

    @property
    def is_normalised(self) -> bool:
        """Whether every normaliser is finite."""
        return all(c < CURVATURE for at_u in self.natural for _, c in at_u)

    @cached_property
    def has_equal_laws(self) -> bool:
        """Whether w has a factorial law with the estimated statistics at every u, some base measure at the first."""
        base = [[Fraction(0), c - CURVATURE] for _, c in self.natural[0]]
        base += [[Fraction(0), Fraction(-CURVATURE)]] * (self.d - self.n)
        return self.in_w(base).is_additive and all(
            step.is_additive and all(_coordinates(rows, step.along(j)) is not None
                                     for j, rows in enumerate(self.estimated)) for step in self.increments)

    @cached_property
    def l_matrix(self) -> Rows:
        """L of the first nk + 1 conditions; eq. 8 has the differences as columns."""
        flat = [[v for row in at_u for v in row] for at_u in self.parameters[:self.n * self.k + 1]]
        return transpose([[x - y for x, y in zip(row, flat[0], strict=True)] for row in flat[1:]])

    @property
    def is_l_regular(self) -> bool:
        """Condition (ii)."""
        return is_regular(self.l_matrix)

    @property
    def is_minimal(self) -> bool:
        """Whether 1, T_i1, ..., T_ik are independent for every generating latent."""
        return all(rank(rows) == self.k for rows in self.statistics)

    @property
    def has_slopes(self) -> bool:
        """Condition (i): no statistic has a derivative that vanishes on a set of positive measure."""
        return all(any(row) for rows in self.statistics for row in rows)

    @property
    def estimated_l_matrix(self) -> Rows:
        """L' by the law of w: the coordinates of the increments in the estimated statistics."""
        columns = []
        for step in self.increments[:self.n * self.k]:
            parts = [_coordinates(rows, step.along(j)) for j, rows in enumerate(self.estimated)]
            columns.append([v for part in parts if part is not None for v in part])
        return transpose(columns)

    @cached_property
    def relation(self) -> Rows | None:
        """A with T(z) = A T'(w) + c by comparing coefficients, or None where there is none."""
        found = []
        for i, rows in enumerate(self.statistics):
            for row in rows:
                own = [[Fraction(0), Fraction(0)] for _ in range(self.d)]
                own[i] = list(row)
                polynomial = self.in_w(own)
                parts = [_coordinates(target, polynomial.along(j)) for j, target in enumerate(self.estimated)]
                if not polynomial.is_additive or None in parts:
                    return None
                found.append([v for part in parts if part is not None for v in part])
        return matrix_of(found)

    def is_free_of_u(self, j: int) -> bool:
        """Whether the law of w_j is the same at every u."""
        return all(not any(step.along(j)) for step in self.increments)

    def reads(self, i: int, j: int) -> bool:
        """Whether z_i depends on w_j."""
        return self.back[i][j] != 0

    def show(self) -> str:
        """The numbers to paste."""
        statistics = "; ".join(f"T_{i + 1} rows {shown_matrix(rows)}" for i, rows in enumerate(self.statistics))
        estimated = "; ".join(f"T'_{j + 1} rows {shown_matrix(rows)}" for j, rows in enumerate(self.estimated))
        conditions = "; ".join(f"lambda(u_{u}) = {shown_matrix(at_u)}" for u, at_u in enumerate(self.parameters))
        return (f"# coefficients of (z, z^2), base measure exp(-{CURVATURE} z^2): {statistics}\n# estimated: "
                f"{estimated}\n# w = B (z, noise) + b, B = {shown_matrix(self.matrix)}, "
                f"b = {shown_matrix([self.shift])}\n# {conditions}")


def _coordinates(rows: Rows, vector: Sequence[Fraction]) -> Row | None:
    """The coefficients of a vector in independent rows; None where they are dependent or it is outside their span."""
    return combination(rows, vector) if rank(rows) == len(rows) else None


def eq15(pair: Pair) -> Rows:
    """A = L^-T L'^T."""
    return product(inverse(transpose(pair.l_matrix)), transpose(pair.estimated_l_matrix))


SMALL = st.sampled_from([Fraction(v) for v in (0, 1, -1, 2, -2)])
NONZERO = st.sampled_from([Fraction(v) for v in ("1", "-1", "2", "1/2", "-3")])
_UNIT: tuple[Row, ...] = ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))
_TURNS = tuple((Fraction(c), Fraction(s)) for c, s in (("3/5", "4/5"), ("-4/5", "3/5"), ("5/13", "12/13")))


@cache
def _vectors(length: int) -> st.SearchStrategy[list[Fraction]]:
    return st.lists(SMALL, min_size=length, max_size=length)


@cache
def _tables(length: int) -> st.SearchStrategy[Rows]:
    unit = [[Fraction(int(i == j)) for j in range(length)] for i in range(length)]
    return st.one_of(st.just(unit), st.lists(_vectors(length), min_size=length, max_size=length))


@cache
def _rows(k: int, regular: bool) -> st.SearchStrategy[tuple[Row, ...]]:
    """Statistics of one latent."""
    drawn = st.tuples(*[st.tuples(SMALL, SMALL)] * k)
    return drawn.filter(lambda found: rank(found) == k) if regular else st.one_of(st.just(_UNIT[:k]), drawn)


@cache
def _orders(d: int) -> st.SearchStrategy[list[int]]:
    return st.permutations(range(d))


@cache
def _scales(d: int) -> st.SearchStrategy[list[Fraction]]:
    return st.lists(NONZERO, min_size=d, max_size=d)


@st.composite
def latent_maps(draw: st.DrawFn, d: int) -> tuple[Row, ...]:
    """Permutations, scalings and rational rotations of pairs of coordinates."""
    order = draw(_orders(d))
    rows = [[Fraction(int(order[i] == j)) for j in range(d)] for i in range(d)]
    if d > 1 and draw(st.booleans()):
        c, s = draw(st.sampled_from(_TURNS))
        first, second = draw(st.sampled_from([(i, j) for i in range(d) for j in range(i)]))
        a, b = rows[first], rows[second]
        rows[first] = [c * x - s * y for x, y in zip(a, b, strict=True)]
        rows[second] = [s * x + c * y for x, y in zip(a, b, strict=True)]
    return tuple(tuple(scale * v for v in row) for row, scale in zip(rows, draw(_scales(d)), strict=True))


@st.composite
def pairs(draw: st.DrawFn, *, normal: bool = False, extra: int = 0, freedom: tuple[int, ...] = (0, 1),
          spare: bool = False) -> Pair:
    """Pairs over one and two latents, with constant, repeated and dependent statistics and parameters.

    Parameters
    ----------
    normal : bool
        Only the statistics (z, z^2) on both sides.
    extra : int
        Conditions beyond the nk + 1 that L uses, at most.
    freedom : tuple of int
        Values of d - n.
    spare : bool
        For k = 2: estimated statistics other than (w, w^2) too.
    """
    n = draw(st.integers(1, 2))
    d = n + draw(st.sampled_from(freedom))
    k = 2 if normal else draw(st.integers(1, 2))
    statistics = (_UNIT,) * n if normal else tuple(draw(_rows(k, False)) for _ in range(n))
    estimated = (_UNIT,) * d if k == 2 and not spare else tuple(draw(_rows(k, True)) for _ in range(d))
    if k == 1 and draw(st.booleans()):
        estimated = tuple(draw(st.sampled_from([rows if any(rows[0]) else _UNIT[:1] for rows in statistics]))
                          for _ in range(d))
    count = n * k
    start = draw(_vectors(count))
    steps = draw(_tables(count))
    if extra:
        steps = [*steps, *draw(st.lists(_vectors(count), max_size=extra))]
    if k == 2 and draw(st.booleans()):  # a quadratic part that never varies, as in a family with one variance
        steps = [[v if j % 2 == 0 else Fraction(0) for j, v in enumerate(step)] for step in steps]
    flat = [start, *([x + y for x, y in zip(start, step, strict=True)] for step in steps)]
    parameters = tuple(tuple(tuple(row[i * k:(i + 1) * k]) for i in range(n)) for row in flat)
    shift = tuple(draw(_vectors(d)))
    return Pair(statistics, estimated, draw(latent_maps(d)), shift, parameters)
