"""Pairs of conditional models on one observed space, decided exactly: the quantified form of the first theorem.

Latent i of both models has statistics in the span of z, z^2, |z| and sign(z), so a few rational points settle every
identity. The second decoder is the first one after a signed permutation h of the latents. Base densities of the first
model are exp(-z^4), on the whole line or on the half line z > 0 alone; the second model's are whatever makes the laws
agree at u_0, so the laws agree for all u when the log ratios to u_0 agree where the base density is positive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ident_theory.claims.matrices import (
    Matrix,
    Row,
    combination,
    degenerate_matrices,
    determinant,
    identity,
    invertible_matrices,
    matrices,
    product,
    rank,
    row_basis,
    same_row_space,
)
from ident_theory.claims.universal import Universal

#: Points that determine a function of the span of 1 and the basis, on each half line and on both.
GRID = tuple(Fraction(v) for v in (-3, -2, -1, 1, 2, 3))
NAMES = ("z", "z**2", "Abs(z)", "sign(z)")

MINIMAL, INVERTIBLE, POSITIVE, SLOPES, EQUAL = (
    "minimality", "invertible L", "positive base density", "derivatives", "equal laws")


def basis(z: Fraction) -> Row:
    """Values of the basis at a point that is not 0."""
    return z, z * z, abs(z), Fraction(1 if z > 0 else -1)


_VALUES = {z: basis(z) for z in GRID}


@lru_cache(maxsize=4096)
def _on_grid(coefficients: Row) -> dict[Fraction, Fraction]:
    return {z: sum((a * b for a, b in zip(coefficients, _VALUES[z], strict=True) if a), Fraction(0)) for z in GRID}


def values(coefficients: Row, z: Fraction) -> Fraction:
    """Value of one statistic at a point of the grid."""
    return _on_grid(coefficients)[z]


def combined(weights: Sequence[Fraction], block: Matrix) -> Row:
    """Coefficients of a combination of statistics."""
    used = [(w, row) for w, row in zip(weights, block, strict=True) if w]
    return tuple(sum((w * row[c] for w, row in used), Fraction(0)) for c in range(4))


def text_of(coefficients: Sequence[Fraction]) -> str:
    """A statistic as an expression in z."""
    return " + ".join(f"({a})*{name}" for a, name in zip(coefficients, NAMES, strict=True) if a) or "0*z"


@dataclass(frozen=True)
class Pair:
    """Two conditional models with n latents, k statistics each, and n_u conditions.

    Attributes
    ----------
    first, second : tuple of n matrices, k x 4
        Coefficients of the statistics.
    natural, other : tuple of n_u tuples of n tuples of k
        Natural parameters.
    places, signs : tuple of int, length n
        The second latent: w_i = signs[i] * z_places[i].
    half : tuple of bool, length n
        Whether the base density of z_i vanishes for z_i < 0.
    """

    first: tuple[Matrix, ...]
    natural: tuple[Matrix, ...]
    second: tuple[Matrix, ...]
    other: tuple[Matrix, ...]
    places: tuple[int, ...]
    signs: tuple[int, ...]
    half: tuple[bool, ...]

    @property
    def n(self) -> int:
        """Number of latents."""
        return len(self.first)

    @property
    def k(self) -> int:
        """Statistics of each latent."""
        return len(self.first[0])

    def support(self, j: int) -> list[Fraction]:
        """Grid points where the base density of z_j is positive."""
        return [z for z in GRID if z > 0 or not self.half[j]]

    def stacked(self) -> tuple[list[Row], list[Row]]:
        """T(z) - T(1, ..., 1) and T'(h(z)) - T'(h(1, ..., 1)) with one z_j moved over the grid; rows are statistics."""
        one = Fraction(1)
        own: list[Row] = []
        moved: list[Row] = []
        for i, block in enumerate(self.first):
            own += [tuple(values(row, z) - values(row, one) if j == i else Fraction(0)
                          for j in range(self.n) for z in GRID) for row in block]
        for i, block in enumerate(self.second):
            s = self.signs[i]
            moved += [tuple(values(row, s * z) - values(row, Fraction(s)) if j == self.places[i] else Fraction(0)
                            for j in range(self.n) for z in GRID) for row in block]
        return own, moved


def l_determinants(natural: Sequence[Matrix]) -> list[Fraction]:
    """det L for every choice of nk + 1 conditions."""
    flat = [tuple(item for block in table for item in block) for table in natural]
    size = len(flat[0])
    return [determinant([_minus(flat[u], flat[chosen[0]]) for u in chosen[1:]])
            for chosen in combinations(range(len(flat)), size + 1)]


def _minus(row: Row, other: Row) -> Row:
    return tuple(a - b for a, b in zip(row, other, strict=True))


def is_minimal(pair: Pair) -> bool:
    """Whether 1 and the statistics of every latent of the first model are linearly independent."""
    return all(rank([[Fraction(1)] * len(GRID), *([values(row, z) for z in GRID] for row in block)]) == pair.k + 1
               for block in pair.first)


def has_slopes(pair: Pair) -> bool:
    """The printed condition (ii): every statistic of the first model has a derivative that is almost nowhere zero."""
    return all((a + c, b) != (0, 0) and (a - c, b) != (0, 0) for block in pair.first for a, b, c, _ in block)


def laws_agree(pair: Pair) -> bool:
    """Whether x given u has the same law in both models, for every u."""
    for u in range(1, len(pair.natural)):
        for i, j in enumerate(pair.places):
            own = combined(_minus(pair.natural[u][j], pair.natural[0][j]), pair.first[j])
            moved = combined(_minus(pair.other[u][i], pair.other[0][i]), pair.second[i])
            if len({values(own, z) - values(moved, pair.signs[i] * z) for z in pair.support(j)}) > 1:
                return False
    return True


def affinely_related(pair: Pair) -> bool:
    """Whether T(z) = A T'(h(z)) + c almost everywhere for some invertible A and some c."""
    return same_row_space(*pair.stacked())


def second_is_minimal(pair: Pair) -> bool:
    """Whether 1 and the statistics of every latent of the second model are linearly independent."""
    return all(rank([[Fraction(1)] * len(GRID), *([values(row, z) for z in GRID] for row in block)]) == pair.k + 1
               for block in pair.second)


def second_has_slopes(pair: Pair) -> bool:
    """Condition (ii) of the second model."""
    return all((a + c, b) != (0, 0) and (a - c, b) != (0, 0) for block in pair.second for a, b, c, _ in block)


def second_l_is_invertible(pair: Pair) -> bool:
    """Whether L' is invertible for every choice of conditions for which L is."""
    return all(own == 0 or other != 0
               for own, other in zip(l_determinants(pair.natural), l_determinants(pair.other), strict=True))


def show_pair(pair: Pair) -> str:
    """The pair as text."""
    def side(blocks: Sequence[Matrix], natural: Sequence[Matrix]) -> str:
        statistics = "; ".join(f"T_{i + 1} = ({', '.join(map(text_of, block))})" for i, block in enumerate(blocks))
        tables = "; ".join(f"lambda(u{u}) = {[[str(v) for v in row] for row in table]}"
                           for u, table in enumerate(natural))
        return f"{statistics}; {tables}"

    base = ", ".join("exp(-z**4) on z > 0, else 0" if half else "exp(-z**4)" for half in pair.half)
    moves = ", ".join(f"w{i + 1} = {'-' if s < 0 else ''}z{j + 1}"
                      for i, (j, s) in enumerate(zip(pair.places, pair.signs, strict=True)))
    return (f"first model, base densities {base}: {side(pair.first, pair.natural)}\n"
            f"second model, {moves}: {side(pair.second, pair.other)}")


def _flipped(row: Row, sign: int) -> Row:
    """Coefficients of w -> T(sign w)."""
    return row[0] * sign, row[1], row[2], row[3] * sign


def _solved(pair: Pair) -> tuple[Matrix, ...]:
    """Natural parameters of the second model that make the laws agree; zero where there are none."""
    tables = []
    for u in range(len(pair.natural)):
        rows = []
        for i, j in enumerate(pair.places):
            points = pair.support(j)
            own = combined(_minus(pair.natural[u][j], pair.natural[0][j]), pair.first[j])
            target = [values(own, z) - values(own, points[0]) for z in points]
            columns = [[values(row, pair.signs[i] * z) - values(row, pair.signs[i] * points[0]) for z in points]
                       for row in pair.second[i]]
            rows.append(combination(columns, target) or (Fraction(0),) * pair.k)
        tables.append(tuple(rows))
    return tuple(tables)


#: Numbers of latents and of statistics.
SIZES = ((1, 1), (1, 2), (2, 1), (1, 2), (2, 1), (2, 2), (3, 1), (1, 3))


@st.composite
def pairs(draw: st.DrawFn, dropped: frozenset[str], sizes: tuple[tuple[int, int], ...] = SIZES) -> Pair:
    """Pairs of models, most with equal laws; degenerate statistics, parameters and base densities are common."""
    n, k = draw(st.sampled_from(sizes))
    small = st.integers(-1, 2).map(Fraction)
    loose = MINIMAL in dropped
    first = tuple(draw(degenerate_matrices(k, 4) if loose else matrices(k, 4, small)) for _ in range(n))
    few = INVERTIBLE in dropped and draw(st.booleans())
    count = draw(st.integers(1, n * k)) if few else n * k + draw(st.integers(1, 2))
    natural = tuple(draw(matrices(n, k, small)) for _ in range(count))
    if draw(st.booleans()) and not few:  # a simplex, so that L is often invertible
        natural = (tuple((Fraction(0),) * k for _ in range(n)), *(
            tuple(tuple(identity(n * k)[u][i * k + t] for t in range(k)) for i in range(n)) for u in range(n * k)))
    places = tuple(draw(st.permutations(range(n))))
    signs = tuple(draw(st.lists(st.sampled_from([1, -1]), min_size=n, max_size=n)))
    half = tuple(draw(st.booleans()) if POSITIVE in dropped else False for _ in range(n))
    second = []
    for j, s in zip(places, signs, strict=True):
        own: Matrix = tuple(_flipped(row, s) for row in first[j])
        way = draw(st.sampled_from(["image", "span", "free"]))
        if way == "image":
            own = product(draw(invertible_matrices(k)), own)
        elif way == "span":
            # Nothing but what the conditions distinguish, filled up with anything.
            weights = [_minus(table[j], natural[0][j]) for table in natural]
            kept = row_basis(product(tuple(weights), own))[:k]
            own = (*kept, *draw(matrices(k - len(kept), 4, small)))
        else:
            own = draw(matrices(k, 4, small))
        if half[j] and draw(st.booleans()):  # anything that vanishes where the base density is positive
            own = tuple((a + s * t, b, c - t, d) for (a, b, c, d), t in
                        zip(own, draw(st.lists(small, min_size=k, max_size=k)), strict=True))
        second.append(own)
    pair = Pair(first, natural, tuple(second), natural, places, signs, half)
    if EQUAL in dropped and draw(st.booleans()):
        return pair
    return Pair(first, natural, tuple(second), _solved(pair), places, signs, half)


def theorem(statement: str, conclusion: Callable[[Pair], bool], needed: tuple[str, ...] = (MINIMAL, INVERTIBLE,
                                                                                          POSITIVE, EQUAL),
            cases: Callable[[frozenset[str]], SearchStrategy[Pair]] = pairs) -> Universal[Pair]:
    """A conclusion about two models with the same law of x given u, under the corrected and the printed hypotheses."""
    return Universal(statement, cases, conclusion, {
        MINIMAL: is_minimal, INVERTIBLE: lambda pair: any(l_determinants(pair.natural)),
        POSITIVE: lambda pair: not any(pair.half), SLOPES: has_slopes, EQUAL: laws_agree}, needed, show_pair)


def weak_identifiability() -> Universal[Pair]:
    """Theorem 1 with minimal statistics and positive base densities."""
    return theorem("models with the same law of x given u have stacked statistics that are invertible affine images of "
                   "each other", affinely_related)
