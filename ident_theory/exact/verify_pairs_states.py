"""Checks of witnesses about several hidden variables: one law of z, another table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

from ident_theory.exact.pair_trees import components, identical, index, reject

Tree = Mapping[str, Any]
Cell = tuple[int, ...]
#: Namings of variables and states that are tried.
MAX_NAMINGS = 50_000


def check_label_swap(model: Tree, data: Tree) -> None:
    """Two labels of one hidden variable change places inside one state of another; its neighbourhood is inside theirs.

    The components are the same, only their places in the table change, so the law of z is the same. Each latent
    depends on the same hidden variables as before. No order of the variables and naming of their states carries one
    table of probabilities to the other. Entries inner, outer (variables), state (of outer), swap (two states).
    """
    if set(data) != {"second", "refutes", "differs", "inner", "outer", "state", "swap"}:
        reject("expected the entries second, refutes, differs, inner, outer, state and swap")
    if (data["refutes"], data["differs"]) != ("permutation", "structure"):
        reject("this kind shows that the table of the hidden variables is not identified")
    second = data["second"]
    if set(model) != set(second) or any(not identical(model[k], second[k]) for k in model if k != "prior"):
        reject("the models differ in more than the prior")
    prior, other = model["prior"], second["prior"]
    states = prior["states"]
    if set(prior) != set(other) or any(not identical(prior.get(k), other.get(k)) for k in ("states", "neighbourhoods")):
        reject("the hidden variables of the two models differ in number, states or neighbourhoods")
    inner, outer, state, (first, last) = data["inner"], data["outer"], data["state"], data["swap"]
    k = len(states)
    for value, end in ((inner, k), (outer, k), (state, states[outer]), (first, states[inner]), (last, states[inner])):
        index(value, end)
    if inner == outer or not first < last:
        reject("expected two variables, and two states in order")
    cells = list(product(*(range(d) for d in states)))
    old, new = (dict(zip(cells, components(p), strict=True)) for p in (prior, other))
    exchanged = {first: last, last: first}
    for cell in cells:
        source = list(cell)
        if cell[outer] == state:
            source[inner] = exchanged.get(cell[inner], cell[inner])
        if new[cell] != old[tuple(source)]:
            reject("the second prior is not the first with the labels swapped")
    before, after = _dependence(old, states), _dependence(new, states)
    if not all(a <= b for a, b in zip(after, before, strict=True)):
        reject("a latent of the second model depends on more hidden variables than before")
    table = {cell: old[cell][0] for cell in cells}
    changed = {cell: new[cell][0] for cell in cells}
    if any(all(changed[naming(cell)] == w for cell, w in table.items()) for naming in _namings(states)):
        reject("the two tables are the same up to names")


def _dependence(parts: Mapping[Cell, tuple[Fraction, Any, Any]], states: Sequence[int]) -> list[set[int]]:
    """For every latent the hidden variables with which its mean or variance changes."""
    out: list[set[int]] = []
    m = len(next(iter(parts.values()))[1])
    if any(c[i][j] for _, _, c in parts.values() for i in range(m) for j in range(m) if i != j):
        reject("the covariances are not diagonal")
    for i in range(m):
        out.append({axis for axis in range(len(states)) for cell, (_, mean, c) in parts.items()
                    if (mean[i], c[i][i]) != ((base := parts[(*cell[:axis], 0, *cell[axis + 1:])])[1][i],
                                              base[2][i][i])})
    return out


class _Naming:
    """An order of the variables and a naming of their states."""

    def __init__(self, order: Sequence[int], names: Sequence[Sequence[int]]) -> None:
        self.order, self.names = order, names

    def __call__(self, cell: Cell) -> Cell:
        return tuple(self.names[axis][cell[axis]] for axis in self.order)


def _namings(states: Sequence[int]) -> Iterator[_Naming]:
    if math.factorial(len(states)) * math.prod(math.factorial(d) for d in states) > MAX_NAMINGS:
        reject("too many orders of variables and states to try")
    for order in permutations(range(len(states))):
        if all(states[axis] == d for axis, d in zip(order, states, strict=True)):
            for names in product(*(tuple(permutations(range(d))) for d in states)):
                yield _Naming(order, names)
