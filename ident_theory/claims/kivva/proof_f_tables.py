"""Several hidden variables as a table with a law of every coordinate, and the conditions of Appendix F on it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from ident_theory.models import GaussianMixture

Cell = tuple[int, ...]
Law = tuple[Fraction, Fraction]
Graph = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Hidden:
    """P(U) and the (mean, variance) of every coordinate in every cell.

    Attributes
    ----------
    states : tuple of int
    table : tuple of Fraction
        P(U = u), the last variable moving first.
    laws : tuple of tuples
        One row a cell, one (mean, variance) a coordinate.
    graph : tuple of tuple of int
        The coordinates that each variable is drawn with an arrow to; `acting` are those it acts on.
    """

    states: tuple[int, ...]
    table: tuple[Fraction, ...]
    laws: tuple[tuple[Law, ...], ...]
    graph: Graph

    @property
    def cells(self) -> list[Cell]:
        """All states of U."""
        return list(itertools.product(*(range(d) for d in self.states)))

    @property
    def m(self) -> int:
        """Number of coordinates."""
        return len(self.laws[0])

    @property
    def live(self) -> list[tuple[Cell, Fraction, tuple[Law, ...]]]:
        """The cells of positive weight."""
        return [(u, w, row) for u, w, row in zip(self.cells, self.table, self.laws, strict=True) if w]

    @property
    def mixture(self) -> GaussianMixture:
        """P(Z), with nothing said about the variables."""
        return GaussianMixture([w for _, w, _ in self.live], [[mu for mu, _ in row] for *_, row in self.live],
                               [[v for _, v in row] for *_, row in self.live])

    def acting(self) -> Graph:
        """Definition 3.2: the coordinates that depend on U_i given the other variables."""
        found: list[set[int]] = [set() for _ in self.states]
        for (u, _, first), (v, _, second) in itertools.combinations(self.live, 2):
            changed = [i for i, (a, b) in enumerate(zip(u, v, strict=True)) if a != b]
            if len(changed) == 1:
                found[changed[0]] |= {t for t in range(self.m) if first[t] != second[t]}
        return tuple(tuple(sorted(row)) for row in found)


def variables_of(graph: Graph, coordinates: Iterable[int]) -> list[int]:
    """ne(Z') for a set of coordinates."""
    wanted = set(coordinates)
    return [i for i, near in enumerate(graph) if wanted & set(near)]


def subsets(m: int) -> list[tuple[int, ...]]:
    """All non-empty sets of coordinates."""
    return [s for size in range(1, m + 1) for s in itertools.combinations(range(m), size)]


def conditional_law(hidden: Hidden, coordinates: Sequence[int], given: Sequence[int], values: Cell) -> dict[Any, Any]:
    """The law of some coordinates given that some variables have these values; empty where that has no mass."""
    sums: dict[Any, Fraction] = {}
    for u, w, row in hidden.live:
        if tuple(u[i] for i in given) == values:
            key = tuple(row[t] for t in coordinates)
            sums[key] = sums.get(key, Fraction(0)) + w
    total = sum(sums.values(), Fraction(0))
    return {key: w / total for key, w in sums.items()}


def faithful(hidden: Hidden, graph: Graph | None = None) -> bool:
    """P3(a), which is L3(b): different states of ne(Z') give Z' different laws, for every Z'."""
    near = hidden.acting() if graph is None else graph
    for coordinates in subsets(hidden.m):
        given = variables_of(near, coordinates)
        seen = {tuple(u[i] for i in given) for u, _, _ in hidden.live}
        laws = [frozenset(conditional_law(hidden, coordinates, given, values).items()) for values in seen]
        if len(set(laws)) < len(laws):
            return False
    return True


def antichain(graph: Graph) -> bool:
    """P3(c), which is L4: no neighbourhood inside another."""
    return not any(set(a) <= set(b) for i, a in enumerate(graph) for j, b in enumerate(graph) if i != j)


def no_twins(graph: Graph) -> bool:
    """L1."""
    return len(set(graph)) == len(graph)


def positive_table(hidden: Hidden) -> bool:
    """L3(a)."""
    return all(hidden.table)


def markov(hidden: Hidden, graph: Graph) -> bool:
    """(24): given U, every coordinate follows the variables with an arrow to it."""
    for t in range(hidden.m):
        given = variables_of(graph, [t])
        seen: dict[Cell, Law] = {}
        for u, _, row in hidden.live:
            if seen.setdefault(tuple(u[i] for i in given), row[t]) != row[t]:
                return False
    return True


def splits(hidden: Hidden) -> Iterable[Hidden]:
    """U with one variable replaced by two of which it is the pair, in every way that uses each pair once."""
    for i, d in enumerate(hidden.states):
        for a in range(2, d // 2 + 1):
            if d % a:
                continue
            for order in itertools.permutations(range(d)):
                if order[0]:
                    continue  # the names of the states of the first part do not matter
                states = (*hidden.states[:i], a, d // a, *hidden.states[i + 1:])
                rows = {}
                for u, w, row in zip(hidden.cells, hidden.table, hidden.laws, strict=True):
                    first, second = divmod(order[u[i]], d // a)
                    rows[*u[:i], first, second, *u[i + 1:]] = (w, row)
                cells = list(itertools.product(*(range(s) for s in states)))
                yield Hidden(states, tuple(rows[u][0] for u in cells), tuple(rows[u][1] for u in cells), ())


def maximal(hidden: Hidden) -> bool:
    """L2: no split is Markov with respect to its own neighbourhoods and free of twins."""
    return not any(no_twins(near) and markov(split, near) for split in splits(hidden)
                   for near in (split.acting(),))


def same_up_to_names(one: Hidden, other: Hidden, *, joint: bool) -> bool:
    """Whether a renaming of variables and of their states carries P(U), or with `joint` P(U, Z), to the other."""
    k = len(one.states)
    if sorted(one.states) != sorted(other.states):
        return False
    target = {u: (w, row if joint else None) for u, w, row in zip(other.cells, other.table, other.laws, strict=True)}
    for order in itertools.permutations(range(k)):
        if tuple(one.states[i] for i in order) != other.states:
            continue
        for names in itertools.product(*(itertools.permutations(range(one.states[i])) for i in order)):
            if all(target[tuple(name[u[i]] for i, name in zip(order, names, strict=True))] == (w, row if joint else
                                                                                               None)
                   for u, w, row in zip(one.cells, one.table, one.laws, strict=True)):
                return True
    return False


def recover(p: GaussianMixture) -> tuple[dict[tuple[int, ...], Fraction], list[dict[int, int]] | None]:
    """Numbers of states by neighbourhood, and the state of every variable in every component.

    Counting distinct rows: with N(S) the number of laws on the coordinates S, the quotient N([m]) / N([m] - T) is the
    number of states of the variables with neighbourhood inside T, and inclusion and exclusion single those out whose
    neighbourhood is T. Two components have one state of U_i when they agree outside the neighbourhood of some U_j,
    j != i, in a chain. None in place of the states where a neighbourhood lies inside another.
    """
    p = p.reduced()
    m = p.latent_dim
    rows = [tuple(zip(mu, c.diagonal(), strict=True)) for mu, c in zip(p.means_exact, p.covariances_exact,
                                                                       strict=True)]

    def number(coordinates: Iterable[int]) -> int:
        kept = sorted(coordinates)
        return len({tuple(row[t] for t in kept) for row in rows})

    inside: dict[tuple[int, ...], Fraction] = {(): Fraction(1)}
    inside |= {t: Fraction(number(range(m)), number(set(range(m)) - set(t))) for t in subsets(m)}
    weights = {}
    for t in subsets(m):
        value = Fraction(1)
        for q in inside:
            if set(q) <= set(t):
                value *= inside[q] if (len(t) - len(q)) % 2 == 0 else 1 / inside[q]
        if value != 1:
            weights[t] = value
    if not antichain(tuple(weights)):
        return weights, None
    near = list(weights)
    states: list[dict[int, int]] = []
    for i in range(len(near)):
        label = list(range(len(rows)))
        for j in (j for j in range(len(near)) if j != i):
            kept = [t for t in range(m) if t not in near[j]]
            for a, b in itertools.combinations(range(len(rows)), 2):
                if all(rows[a][t] == rows[b][t] for t in kept):
                    low, high = sorted((label[a], label[b]))
                    label = [low if v == high else v for v in label]
        states.append(dict(enumerate(label)))
    return weights, states


def drawn(states: Sequence[int], weights: Sequence[Any], graph: Graph, m: int, laws: Sequence[Mapping[Any, Law]],
          ) -> Hidden:
    """The table with these weights in which coordinate t follows the variables with an arrow to it."""
    cells = list(itertools.product(*(range(d) for d in states)))
    total = sum(Fraction(w) for w in weights)
    rows = tuple(tuple(laws[t][tuple(u[i] for i in variables_of(graph, [t]))] for t in range(m)) for u in cells)
    return Hidden(tuple(states), tuple(Fraction(w) / total for w in weights), rows, graph)


@st.composite
def hidden_tables(draw: st.DrawFn, *, graphs: str = "any", repeats: bool = True, zeros: bool = True,
                  most_cells: int = 8) -> Hidden:
    """One to three variables; `graphs`: any, antichains, or coordinates of its own for each variable."""
    shapes = [d for k in (1, 2, 3) for d in itertools.product((2, 3, 4), repeat=k)
              if len(d) == 1 or math.prod(d) <= most_cells]
    states = draw(st.sampled_from(shapes))
    k = len(states)
    sizes = [draw(st.sampled_from([1, 1, 2])) for _ in states] if graphs == "own" else []
    m = sum(sizes) or draw(st.integers(1 if graphs == "any" else k, 3))
    if graphs == "own":
        graph: Graph = tuple(tuple(range(sum(sizes[:i]), sum(sizes[:i + 1]))) for i in range(k))
    elif graphs == "antichain":
        sized = [[s for s in subsets(m) if len(s) == size] for size in (1, 2)]
        pools = [*sized, [tuple(range(m))]]
        enough = [pool for pool in pools if len(pool) >= k]
        graph = tuple(draw(st.permutations(draw(st.sampled_from(enough))))[:k])
    else:
        graph = tuple(tuple(sorted(draw(st.sets(st.integers(0, m - 1), max_size=m)))) for _ in states)
    repeat = draw(st.booleans()) if repeats else False
    laws = []
    for t in range(m):
        configurations = list(itertools.product(*(range(states[i]) for i in variables_of(graph, [t]))))
        spreads = [Fraction(draw(st.sampled_from([1, 2, 3, 5, 7]))) for _ in configurations]
        means = [Fraction(draw(st.integers(0, 1)) if repeat else j) for j in range(len(configurations))]
        laws.append(dict(zip(configurations, zip(means, spreads, strict=True), strict=True)))
    weights = [draw(st.integers(0 if zeros else 1, 3)) for _ in range(math.prod(states))]
    if zeros and draw(st.booleans()):
        weights = [max(w, 1) for w in weights]
    return drawn(states, weights if any(weights) else [1] * len(weights), graph, m, laws)
