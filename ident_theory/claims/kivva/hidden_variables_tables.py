"""Mixtures whose components form a table over several hidden variables, read straight from the definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations, permutations, product
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ident_theory.models import GaussianMixture

Cell = tuple[int, ...]
#: Mean and variance of one coordinate.
Law = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Table:
    """P(U = u) and the laws of the coordinates of Z given U = u; coordinates independent given U.

    Attributes
    ----------
    states : tuple of int
        (d_1, ..., d_k).
    weights : dict
        Cell u -> P(U = u).
    laws : dict
        Cell u -> the law of every coordinate.
    """

    states: Cell
    weights: dict[Cell, Fraction]
    laws: dict[Cell, tuple[Law, ...]]

    @property
    def k(self) -> int:
        """Number of hidden variables."""
        return len(self.states)

    @property
    def m(self) -> int:
        """Number of coordinates."""
        return len(next(iter(self.laws.values())))

    @property
    def cells(self) -> list[Cell]:
        """All configurations u, in C order."""
        return list(product(*map(range, self.states)))

    @property
    def live(self) -> list[Cell]:
        """Configurations of positive probability."""
        return [u for u in self.cells if self.weights[u]]

    @property
    def prior(self) -> GaussianMixture:
        """The same as a model's prior."""
        rows = [self.laws[u] for u in self.cells]
        return GaussianMixture(np.array([self.weights[u] for u in self.cells], dtype=object).reshape(self.states),
                               [[law[0] for law in row] for row in rows], [[law[1] for law in row] for row in rows])

    @property
    def mixture(self) -> dict[tuple[Law, ...], Fraction]:
        """P(Z), reduced."""
        found: dict[tuple[Law, ...], Fraction] = {}
        for u in self.live:
            found[self.laws[u]] = found.get(self.laws[u], Fraction(0)) + self.weights[u]
        return found

    def neighbourhood(self, i: int) -> frozenset[int]:
        """ne(U_i), Definition 3.2: the coordinates that are not independent of U_i given the other variables.

        Z_t is independent of U_i given the others when all u of positive probability that agree but for u_i give Z_t
        one law.
        """
        def rest(u: Cell) -> Cell:
            return u[:i] + u[i + 1:]

        groups: dict[Cell, list[Cell]] = {}
        for u in self.live:
            groups.setdefault(rest(u), []).append(u)
        return frozenset(t for t in range(self.m)
                         if any(len({self.laws[u][t] for u in group}) > 1 for group in groups.values()))

    @cached_property
    def neighbourhoods(self) -> list[frozenset[int]]:
        """All of them."""
        return [self.neighbourhood(i) for i in range(self.k)]

    def acting(self, coordinates: Sequence[int]) -> list[int]:
        """ne(Z') for a set Z' of coordinates."""
        return [i for i, near in enumerate(self.neighbourhoods) if near & set(coordinates)]

    def _given(self, coordinates: Sequence[int], by: Sequence[int]) -> list[frozenset[tuple[Any, Fraction]]]:
        """The law of Z' given the variables `by`, for each of their configurations that occurs."""
        found: dict[Cell, dict[tuple[Law, ...], Fraction]] = {}
        mass: dict[Cell, Fraction] = {}
        for u in self.live:
            given = tuple(u[i] for i in by)
            law = tuple(self.laws[u][t] for t in coordinates)
            part = found.setdefault(given, {})
            part[law] = part.get(law, Fraction(0)) + self.weights[u]
            mass[given] = mass.get(given, Fraction(0)) + self.weights[u]
        return [frozenset((law, w / mass[given]) for law, w in part.items()) for given, part in found.items()]

    @cached_property
    def satisfies_a(self) -> bool:
        """P3(a), for every set of coordinates: other configurations of ne(Z') give Z' another law."""
        subsets = chain.from_iterable(combinations(range(self.m), r) for r in range(1, self.m + 1))
        laws = (self._given(coordinates, self.acting(coordinates)) for coordinates in subsets)
        return all(len(set(found)) == len(found) for found in laws)

    @property
    def satisfies_c(self) -> bool:
        """P3(c): no neighbourhood inside another."""
        return not any(a <= b for a, b in permutations(self.neighbourhoods, 2))

    @property
    def is_positive(self) -> bool:
        """Whether every configuration has positive probability."""
        return all(self.weights.values())

    @property
    def all_act(self) -> bool:
        """Whether every hidden variable acts on some coordinate."""
        return all(self.neighbourhoods)

    def merged(self, i: int, j: int) -> Table:
        """U_i and U_j as one variable, the last."""
        keep = [r for r in range(self.k) if r not in (i, j)]

        def name(u: Cell) -> Cell:
            return (*(u[r] for r in keep), u[i] * self.states[j] + u[j])

        return Table((*(self.states[r] for r in keep), self.states[i] * self.states[j]),
                     {name(u): w for u, w in self.weights.items()}, {name(u): x for u, x in self.laws.items()})

    def swapped(self, i: int, given: dict[int, int]) -> Table:
        """The states of U_i turned round wherever the variables `given` have these values: components keep Z."""
        def name(u: Cell) -> Cell:
            turn = all(u[j] == v for j, v in given.items())
            return (*u[:i], self.states[i] - 1 - u[i], *u[i + 1:]) if turn else u

        return Table(self.states, {name(u): w for u, w in self.weights.items()},
                     {name(u): x for u, x in self.laws.items()})

    def same_structure(self, other: Table) -> bool:
        """Whether k, the d_i and P(U) agree up to the order of the variables and the names of their states."""
        return any(all(self.weights[u] == other.weights[name(u)] for u in self.cells)
                   for name in self._renamings(other.states))

    def same_joint(self, other: Table) -> bool:
        """Whether P(U, Z) agrees up to the same."""
        return any(all(self.weights[u] == other.weights[name(u)] and (not self.weights[u] or self.laws[u]
                                                                     == other.laws[name(u)]) for u in self.cells)
                   for name in self._renamings(other.states))

    def _renamings(self, states: Cell) -> Iterator:
        for order in permutations(range(self.k)):
            if tuple(self.states[i] for i in order) != states:
                continue
            for names in product(*(permutations(range(self.states[i])) for i in order)):
                yield lambda u, order=order, names=names: tuple(
                    row[u[i]] for row, i in zip(names, order, strict=True))


@st.composite
def tables(draw: st.DrawFn, k: tuple[int, int] = (1, 3), m: tuple[int, int] = (1, 3), *, zeros: bool = False,
           clashes: bool = False, edges: st.SearchStrategy | None = None, most: int = 12) -> Table:
    """Tables whose coordinates depend on chosen variables.

    With `zeros` some cells have no weight; with `clashes` coordinates forget what they depend on in some cells; `most`
    bounds the number of cells.
    """
    m_drawn = draw(st.integers(*m))
    near = draw(edges) if edges is not None else draw(st.lists(
        st.sets(st.integers(0, m_drawn - 1), max_size=m_drawn), min_size=k[0], max_size=k[1]))
    size = 1 + max([m_drawn - 1, *chain.from_iterable(near)])
    states = tuple(draw(st.integers(2, 3)) for _ in near)
    if prod(states) > most:
        states = (2,) * len(near)
    cells = list(product(*map(range, states)))
    raw = {u: draw(st.sampled_from([0, 0, 1, 2] if zeros else [1, 1, 2, 3])) for u in cells}
    if not any(raw.values()):
        raw[cells[0]] = 1
    total = sum(raw.values())
    laws: dict[Cell, list[Law]] = {u: [] for u in cells}
    for t in range(size):
        acting = [i for i, row in enumerate(near) if t in row]
        count = prod(states[i] for i in acting)
        pool = draw(st.permutations(range(count))) if not clashes else [draw(st.integers(0, 1)) for _ in range(count)]
        number = {given: pool[r] for r, given in enumerate(product(*(range(states[i]) for i in acting)))}
        for u in cells:
            value = number[tuple(u[i] for i in acting)]
            laws[u].append((Fraction(value), Fraction(1 + value % 2)))
    return Table(states, {u: Fraction(w, total) for u, w in raw.items()}, {u: tuple(x) for u, x in laws.items()})


def show(table: Table) -> str:
    """The table as the prior of a model file."""
    return str({"prior": table.prior.plain()})
