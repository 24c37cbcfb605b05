"""Theorem 1 from end to end: the toolkit decides whether two laws are equal, points decide about the statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as choices

from hypothesis import strategies as st

from ident_theory.claims.matrices import (
    SMALL,
    Matrix,
    Row,
    inverse,
    invertible_matrices,
    is_monomial,
    product,
    rank,
    same_row_space,
    transpose,
)
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, GaussianNoise, Model, ReLUNetwork
from ident_theory.numerics import Status

EQUAL, INVERTIBLE, BOUNDED = "equal laws", "invertible L", "bounded on one side"

STATISTICS: dict[str, Callable[[Fraction], Row]] = {
    "normal": lambda z: (z, z * z), "normal_mean": lambda z: (z,), "normal_variance": lambda z: (z * z,)}
TURNS: tuple[Matrix, ...] = (((Fraction(3, 5), Fraction(-4, 5)), (Fraction(4, 5), Fraction(3, 5))),
                             ((Fraction(0), Fraction(-1)), (Fraction(1), Fraction(0))))


@dataclass(frozen=True)
class Side:
    """One model: normal latents (means, variances) for every u, and x = matrix z + shift + N(0, I)."""

    family: str
    tables: tuple[Matrix, ...]
    matrix: Matrix
    shift: Row

    def model(self) -> Model:
        """The toolkit's model."""
        means, variances = ([[row[i] for row in table] for table in self.tables] for i in (0, 1))
        if self.family == "normal":
            prior = ConditionalPrior.from_means_variances(means, variances)
        elif self.family == "normal_mean":
            prior = ConditionalPrior("normal_mean", means)
        else:
            prior = ConditionalPrior("normal_variance", [[Fraction(-1, 2) / v for v in row] for row in variances])
        return Model(prior, ReLUNetwork(weights=[[list(row) for row in self.matrix]], biases=[list(self.shift)]),
                     noise=GaussianNoise(std=1))

    def natural(self) -> list[Row]:
        """Flat natural parameters."""
        if self.family == "normal_mean":
            return [tuple(m for m, _ in table) for table in self.tables]
        pairs = [[(m / v, Fraction(-1, 2) / v) for m, v in table] for table in self.tables]
        return [tuple(item for pair in table for item in (pair if self.family == "normal" else pair[1:]))
                for table in pairs]

    def latent(self, x: Row) -> Row:
        """f^-1(x)."""
        gap = tuple(a - b for a, b in zip(x, self.shift, strict=True))
        return tuple(row[0] for row in product(inverse(self.matrix), transpose((gap,))))

    def statistics(self, x: Row) -> Row:
        """T(f^-1(x)), stacked."""
        return tuple(t for z in self.latent(x) for t in STATISTICS[self.family](z))


@dataclass(frozen=True)
class TwoModels:
    """Two models of one family."""

    first: Side
    second: Side


def _affine(case: TwoModels) -> bool:
    n = len(case.first.shift)
    points = [tuple(Fraction(v) for v in point) for point in choices((-1, 0, 1, 2, 3), repeat=n)]
    rows: list[list[Row]] = []
    for side in (case.first, case.second):
        start = side.statistics(points[0])
        rows.append([tuple(a - b for a, b in zip(side.statistics(x), start, strict=True)) for x in points])
    own, other = (transpose(tuple(item)) for item in rows)
    return same_row_space(own, other)


def _l_is_invertible(case: TwoModels) -> bool:
    rows = case.first.natural()
    return rank([tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows]) == len(rows[0])


def _equal(case: TwoModels) -> bool:
    return equal_in_law(case.first.model(), case.second.model()).status is Status.HOLDS


@st.composite
def _cases(draw: st.DrawFn, dropped: frozenset[str], families: tuple[str, ...] = tuple(STATISTICS)) -> TwoModels:
    family = draw(st.sampled_from(families))
    n = draw(st.integers(1, 2))
    k = 2 if family == "normal" else 1
    count = draw(st.integers(1, n * k + 2)) if INVERTIBLE in dropped else n * k + 1
    variances = st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 2), Fraction(3), Fraction(4)])
    common = draw(st.booleans()) if INVERTIBLE in dropped else False
    tables = []
    for _ in range(count):
        row = [(Fraction(0) if family == "normal_variance" else draw(SMALL),
                Fraction(1) if family == "normal_mean" else draw(variances)) for _ in range(n)]
        tables.append(tuple((m, row[0][1]) if common else (m, v) for m, v in row))
    matrix, shift = draw(invertible_matrices(n)), tuple(draw(SMALL) for _ in range(n))
    first = Side(family, tuple(tables), matrix, shift)
    # z = change z' + offset; variances stay diagonal for scaled permutations, and for turns of equal variances.
    spherical = all(len({v for _, v in table}) == 1 for table in tables)
    turned = n == 2 and spherical and draw(st.booleans())
    factors = [Fraction(1) if family == "normal_mean" else draw(SMALL.filter(bool)) for _ in range(n)]
    order = draw(st.permutations(range(n)))
    change: Matrix = draw(st.sampled_from(TURNS)) if turned else tuple(
        tuple(factors[i] * (order[i] == j) for j in range(n)) for i in range(n))
    offset = tuple(Fraction(0) if family == "normal_variance" else draw(SMALL) for _ in range(n))
    back = inverse(change)
    other = []
    for table in tables:
        means = product(back, transpose((tuple(m - c for (m, _), c in zip(table, offset, strict=True)),)))
        spread = product(product(back, tuple(tuple(v * (i == j) for j in range(n)) for i, (_, v) in enumerate(table))),
                         transpose(back))
        other.append(tuple((means[i][0], spread[i][i]) for i in range(n)))
    moved = product(matrix, transpose((offset,)))
    second = Side(family, tuple(other), product(matrix, change),
                  tuple(a + b[0] for a, b in zip(shift, moved, strict=True)))
    if EQUAL in dropped and draw(st.booleans()):
        second = Side(family, tuple(tables), draw(invertible_matrices(n)), shift)
    return TwoModels(first, second)


def laws_from_the_toolkit() -> Universal[TwoModels]:
    """Normal latents and invertible affine decoders under Gaussian noise."""
    return Universal(
        "normal models with affine decoders that the toolkit proves equal in law, with an invertible L, have affinely "
        "related statistics", _cases, _affine, {INVERTIBLE: _l_is_invertible, EQUAL: _equal}, (INVERTIBLE, EQUAL),
        lambda case: show_models(first=case.first.model(), second=case.second.model()))


def separation_by_the_toolkit() -> Universal[TwoModels]:
    """Theorem 2 from end to end: T = z^2 against T = z."""
    return Universal(
        "models with one statistic a latent, bounded on one side, affine decoders and an invertible L, that the "
        "toolkit proves equal in law, have latents that are scaled permutations of each other",
        lambda dropped: _cases(dropped, ("normal_mean",) if BOUNDED in dropped else ("normal_variance",)),
        lambda case: is_monomial(product(inverse(case.first.matrix), case.second.matrix)),
        {BOUNDED: lambda case: case.first.family == "normal_variance", INVERTIBLE: _l_is_invertible, EQUAL: _equal},
        (BOUNDED, INVERTIBLE, EQUAL), lambda case: show_models(first=case.first.model(), second=case.second.model()))
