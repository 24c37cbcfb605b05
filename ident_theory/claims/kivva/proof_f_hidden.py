"""Appendix F: hidden variables recovered from the law of mixed coordinates."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import factorial

from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_e_unmixing import changes, has_distinct_ratios
from ident_theory.claims.kivva.proof_f_conditions import NESTED, Alternatives, steps
from ident_theory.claims.kivva.proof_f_tables import (
    Hidden,
    antichain,
    drawn,
    faithful,
    hidden_tables,
    markov,
    positive_table,
    recover,
    same_up_to_names,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.models import AffineChange
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import latent_graph, unmix_factorial

chapter = Chapter(KIVVA)

ONE = Fraction(1)


@dataclass(frozen=True)
class Observed:
    """A table and a mixing of its coordinates."""

    hidden: Hidden
    h: AffineChange


def is_recovered(case: Observed) -> bool:
    """Whether unmixing and the graph algorithm give back k, d, ne and the table up to names."""
    truth = case.hidden
    mixing = unmix_factorial(case.h.carry(truth.mixture))
    if mixing.inverse_exact is None or mixing.status is not Status.HOLDS:
        return False
    place = (mixing.inverse_exact @ case.h.matrix_exact)
    if any(sum(v != 0 for v in row) != 1 for row in place):
        return False
    found = latent_graph(mixing)
    if found.status is not Status.HOLDS or found.assignment is None or found.table is None:
        return False
    # Coordinate s of the recovered Z is coordinate column[s] of the true one.
    column = [next(j for j, v in enumerate(row) if v) for row in place]
    near, acting = [tuple(sorted(column[s] for s in row)) for row in found.neighbourhoods], truth.acting()
    if sorted(zip(near, found.states, strict=True)) != sorted(zip(acting, truth.states, strict=True)):
        return False
    order = [near.index(row) for row in acting]
    names: list[dict[int, int]] = [{} for _ in truth.states]
    for (u, w, _), seen in zip(truth.live, found.assignment, strict=True):
        if seen is None or found.table[seen] != w:
            return False
        for i, name in enumerate(names):
            if name.setdefault(u[i], seen[order[i]]) != seen[order[i]]:
                return False
    return all(len(set(name.values())) == len(name) == d for name, d in zip(names, truth.states, strict=True))


def observed(graphs: str, free: frozenset[str]) -> st.SearchStrategy[Observed]:
    tables = hidden_tables(graphs="any" if free & {"P3(c)", "non-empty neighbourhoods"} else graphs,
                           repeats="P3(a)" in free, zeros="positivity" in free)
    if "distinct ratios" in free:
        tables = tables.map(lambda t: Hidden(t.states, t.table, tuple(tuple((mu, ONE) for mu, _ in row)
                                                                      for row in t.laws), t.graph))
    return tables.flatmap(lambda t: changes(t.m).map(lambda h: Observed(t, h)))


OBSERVED: dict[str, Callable[[Observed], bool]] = {
    "positivity": lambda case: positive_table(case.hidden),
    "P3(a)": lambda case: faithful(case.hidden),
    "P3(c)": lambda case: antichain(case.hidden.acting()),
    "non-empty neighbourhoods": lambda case: all(case.hidden.acting()),
    "distinct ratios": lambda case: has_distinct_ratios(case.hidden.mixture)}


@cache
def hidden_variables_are_recovered() -> Universal[Observed]:
    """Theorem F.1 without (b), held against the exact recovery."""
    return Universal("from P(A Z + b) alone one recovers k, the numbers of states, the neighbourhoods and P(U, Z) up "
                     "to names of variables and states, and scaled permutations of the coordinates",
                     lambda dropped: observed("antichain", dropped), is_recovered, OBSERVED, tuple(OBSERVED), repr)


@chapter.claim(
    "kivva.thmF.1", place="App. F, Theorem F.1", kind=Kind.THEOREM, covers=("Theorem F.1",),
    universal=hidden_variables_are_recovered,
    statement="Under F2, P2, P3 and P(U = u) > 0 the number k of hidden variables, their numbers of states and the "
              "joint law of (U, Z) are determined by the law of X up to permutations of the U_i and permutation, "
              "scaling and translation of the Z_i.",
    hypotheses=("P1, components non-degenerate", "F2", "P2", "P3", "P(U = u) > 0"),
    correction=Correction("The same without part (b) of P3, when every variable acts on some coordinate and has two "
                          "states or more, up to a relabelling of the states of each U_i and non-zero scales.",
                          ("ne(U_i) not empty", "known noise law")))
def hidden_variables_from_the_law(on: Record) -> None:
    idle = [drawn((d,), [1] * d, ((),), 1, [{(): (0 * ONE, ONE)}]) for d in (2, 3)]
    on.printed.refute(all(faithful(h) and antichain(h.acting()) and positive_table(h) for h in idle)
                      and has_distinct_ratios(idle[0].mixture) and Alternatives(*idle).one_law
                      and idle[0].states != idle[1].states,
                      "one hidden variable that acts on nothing, Z ~ N(0, 1): P2 and P3 hold, for two states as for "
                      "three, with one law", shown="\n".join(map(repr, idle)))
    biased = [drawn((2,), table, ((0,),), 1, [laws]) for table, laws in (
        ([3, 7], steps(2)), ([7, 3], {(1 - u,): law for (u,), law in steps(2).items()}))]
    on.printed.refute(Alternatives(*biased).one_law and biased[0].table != biased[1].table
                      and same_up_to_names(*biased, joint=True),
                      "the states of a variable can be renamed: P(U) = (3/10, 7/10) and (7/10, 3/10), which no "
                      "permutation of variables relates", shown="\n".join(map(repr, biased)))
    on.corrected.search(cases=150)
    chain = drawn((2, 3, 2), range(1, 13), ((0, 1), (1, 2), (2, 3)), 4, [
        steps(2, variances=(1, 2)), steps(2, 3, variances=(1, 3)), steps(3, 2, variances=(1, 5)),
        steps(2, variances=(1, 7))])
    on.corrected.support(is_recovered(Observed(chain, AffineChange([[1, 2, 0, -1], [0, 1, -3, 1], [-2, 0, 1, 1],
                                                                      [1, -1, 1, 2]], [3, 0, -1, 2]))),
                         "a chain {1, 2}, {2, 3}, {3, 4} with 2, 3 and 2 states, mixed by a 4 x 4 matrix", cases=1,
                         evidence=Evidence.EXACT)


@cache
def counting_recovers() -> Universal[Hidden]:
    """Recovery by counting distinct rows, written here without the package."""
    def holds(case: Hidden) -> bool:
        weights, states = recover(case.mixture)
        sizes: dict[tuple[int, ...], Fraction] = {}
        for near, d in zip(case.graph, case.states, strict=True):  # twins are one variable
            sizes[near] = sizes.get(near, ONE) * d
        if weights != sizes:
            return False
        if states is None or len(sizes) < len(case.states):
            return states is None or antichain(tuple(sizes))
        rows = [tuple(zip(mu, c.diagonal(), strict=True)) for mu, c in zip(
            case.mixture.means_exact, case.mixture.covariances_exact, strict=True)]
        order = {row: j for j, row in enumerate(rows)}
        for i, near in enumerate(weights):
            true = [u[case.graph.index(near)] for u, *_ in case.live]
            pairs = {(a, states[i][order[rows[j]]]) for j, a in enumerate(true)}
            if len(pairs) != case.states[case.graph.index(near)]:
                return False
        return True

    return Universal("counting distinct rows gives the numbers of states and the neighbourhoods, twins merged; where "
                     "none lies inside another, chains of components that agree outside a neighbourhood give the "
                     "states", lambda dropped: hidden_tables(repeats="P3(a)" in dropped, zeros="positivity" in dropped),
                     holds, {"P3(a)": lambda case: faithful(case, case.graph), "positivity": positive_table,
                             "non-empty neighbourhoods": lambda case: all(case.graph)},
                     ("P3(a)", "positivity", "non-empty neighbourhoods"), repr)


def _labellings(hidden: Hidden) -> int:
    """The number of ways to place the components in the table that keep the arrows and P3(a)."""
    count = 0
    for order in itertools.permutations(range(len(hidden.laws))):
        moved = Hidden(hidden.states, hidden.table, tuple(hidden.laws[j] for j in order), hidden.graph)
        count += moved.acting() == hidden.graph and markov(moved, hidden.graph)
    return count


@chapter.claim(
    "kivva.F.recovery", place="App. F, around Theorem F.1", kind=Kind.ADDED, universal=counting_recovers,
    statement="Under P3(a), a positive table and non-empty neighbourhoods the numbers of distinct rows of a mixture on "
              "sets of coordinates give k, the d_i and the ne(U_i), twins merged into one variable. If no "
              "neighbourhood lies inside another they give P(U); otherwise P(U) is determined up to relabelling a "
              "variable separately inside each state of those whose neighbourhood contains its own.")
def recovery_by_counting(on: Record) -> None:
    on.printed.search(cases=300)
    for a, b in ((2, 2), (3, 2), (2, 3)):
        inside = drawn((a, b), range(1, a * b + 1), NESTED, 2, [steps(a, b), steps(b)])
        apart = drawn((a, b), range(1, a * b + 1), ((0,), (1,)), 2, [steps(a), steps(b)])
        counts = _labellings(inside), _labellings(apart)
        on.printed.support(counts == (factorial(b) * factorial(a)**b, factorial(a) * factorial(b)),
                           f"{a} x {b} states: of all ways to label the components {counts[0]} keep nested "
                           f"neighbourhoods, as many as U_2 has names times those of U_1 for each state of U_2, and "
                           f"{counts[1]} keep disjoint ones, the names of either", cases=1, evidence=Evidence.EXACT)
