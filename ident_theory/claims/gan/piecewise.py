"""Piecewise polynomial sufficient statistics: minimality, strength and derivative ranks, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from ident_theory.claims.matrices import Matrix, rank

#: Highest degree of a piece.
DEGREE = 3


@dataclass(frozen=True)
class Statistics:
    """T_1, ..., T_k on the line, each a polynomial on every cell between breakpoints.

    Attributes
    ----------
    breakpoints : tuple of int
        Increasing.
    coefficients : tuple of tuple of tuple of Fraction
        ``coefficients[cell][j]`` are those of T_j from degree 0 to `DEGREE`.
    """

    breakpoints: tuple[int, ...]
    coefficients: tuple[Matrix, ...]

    @property
    def k(self) -> int:
        """Number of statistics."""
        return len(self.coefficients[0])

    def minimal(self) -> bool:
        """Whether 1, T_1, ..., T_k are linearly independent."""
        one = (Fraction(1),) + (Fraction(0),) * DEGREE
        rows = [[c for cell in self.coefficients for c in cell[j]] for j in range(self.k)]
        return rank([[c for _ in self.coefficients for c in one], *rows]) == self.k + 1

    def strong(self) -> bool:
        """Whether no combination but the trivial one is constant on a set of positive measure.

        A polynomial is constant on such a set only if it is constant, so this is a question for every cell.
        """
        return all(rank([row[1:] for row in cell]) == self.k for cell in self.coefficients)

    def continuous(self) -> bool:
        """Whether the pieces meet; then T is locally absolutely continuous."""
        return all(_value(left[j], at) == _value(right[j], at)
                   for at, (left, right) in zip(self.breakpoints, pairwise(self.coefficients), strict=True)
                   for j in range(self.k))

    def points(self) -> list[tuple[int, Fraction]]:
        """Interior points with their cells: three in every cell determine a derivative of degree 2."""
        ends = [*self.breakpoints]
        low, high = (ends[0], ends[-1]) if ends else (0, 0)
        edges = [low - 4, *ends, high + 4]
        return [(cell, a + (b - a) * Fraction(step, 4))
                for cell, (a, b) in enumerate(pairwise(edges)) for step in (1, 2, 3)]

    def derivative(self, cell: int, at: Fraction) -> tuple[Fraction, ...]:
        """T'(at)."""
        return tuple(sum((power * c * at ** (power - 1) for power, c in enumerate(row) if power), Fraction(0))
                     for row in self.coefficients[cell])

    def derivative_rank(self) -> int:
        """Dimension of the span of all T'(x)."""
        return rank([self.derivative(cell, at) for cell, at in self.points()])

    def nowhere_flat(self) -> bool:
        """Whether every T_i' vanishes at isolated points only."""
        return all(any(row[1:]) for cell in self.coefficients for row in cell)

    def shown(self) -> str:
        """As text, cell by cell."""
        edges = ["-oo", *map(str, self.breakpoints), "oo"]
        cells = []
        for (a, b), cell in zip(pairwise(edges), self.coefficients, strict=True):
            texts = [" + ".join(f"{c} z^{p}" for p, c in enumerate(row) if c) or "0" for row in cell]
            cells.append(f"({a}, {b}): T = ({', '.join(texts)})")
        return "; ".join(cells)


def _value(row: tuple[Fraction, ...], at: int) -> Fraction:
    return sum((c * at**power for power, c in enumerate(row)), Fraction(0))


def _monomial(power: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(int(p == power)) for p in range(DEGREE + 1))


_ENTRY = st.sampled_from([Fraction(x) for x in (0, 0, 1, -1, 2)])
_PIECE = st.one_of(st.just(_monomial(1)), st.tuples(*[_ENTRY] * (DEGREE + 1)),
                   st.integers(1, DEGREE).map(_monomial))


@st.composite
def statistics(draw: st.DrawFn, *, sizes: tuple[int, int] = (1, 3), continuous: bool = False,
               cells: int = 3) -> Statistics:
    """Flat pieces, repeated statistics, jumps and kinks are common."""
    k, count = draw(st.integers(*sizes)), draw(st.integers(1, cells))
    breakpoints = tuple(range(count - 1))
    first = [draw(_PIECE) for _ in range(k)]
    if k > 1 and draw(st.booleans()):
        first[-1] = tuple(2 * c for c in first[0])
    pieces = [tuple(first)]
    for at in breakpoints:
        previous = pieces[-1]
        if draw(st.booleans()):
            following = [draw(_PIECE) for _ in range(k)]
        else:
            # The same polynomials up to constants, some of them perhaps without their slopes.
            following = [(draw(_ENTRY), *row[1:]) if draw(st.booleans()) else (draw(_ENTRY), *(0 * c for c in row[1:]))
                         for row in previous]
        if continuous:
            following = [(row[0] + _value(before, at) - _value(row, at), *row[1:])
                         for row, before in zip(following, previous, strict=True)]
        pieces.append(tuple(following))
    return Statistics(breakpoints, tuple(pieces))


def linear_pieces(*cells: tuple[tuple[int, int], ...]) -> Statistics:
    """Statistics with pieces c + s z, given as pairs (c, s)."""
    return Statistics(tuple(range(len(cells) - 1)),
                      tuple(tuple((Fraction(c), Fraction(s), Fraction(0), Fraction(0)) for c, s in cell)
                            for cell in cells))
