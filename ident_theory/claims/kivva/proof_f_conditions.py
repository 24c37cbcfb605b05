"""Appendix F: the conditions on the hidden variables, and what is lost without each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import sympy

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_f_tables import (
    Cell,
    Graph,
    Hidden,
    antichain,
    drawn,
    faithful,
    hidden_tables,
    markov,
    maximal,
    no_twins,
    positive_table,
    same_up_to_names,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

ONE = Fraction(1)
Laws = dict[Cell, tuple[Fraction, Fraction]]


def steps(*sizes: int, variances: tuple[int, ...] = (1,)) -> Laws:
    """Laws of a coordinate under variables with these numbers of states: means 0, 1, 2, ... and variances in turn."""
    cells: list[Cell] = list(itertools.product(*(range(d) for d in sizes)))
    return {u: (Fraction(j), Fraction(variances[j % len(variances)])) for j, u in enumerate(cells)}


#: ne(U_1) = {1}, ne(U_2) = {1, 2}; two tables that a swap of U_1 inside U_2 = 1 relates.
NESTED: Graph = ((0,), (0, 1))


def nested(table: list[Any], swapped: bool = False) -> Hidden:
    """A 2 x 2 table over `NESTED`; swapped: the components of the two cells with U_2 = 1 the other way round."""
    plain = steps(2, 2)
    first = {u: plain[(1 - u[0], 1)] if swapped and u[1] else plain[u] for u in plain}
    return drawn((2, 2), table, NESTED, 2, [first, steps(2)])


@cache
def factorisation() -> Universal[Hidden]:
    """(24) from P2 and a positive table."""
    return Universal("with a positive table and coordinates independent given U, every coordinate given U follows the "
                     "variables that act on it", lambda dropped: hidden_tables(zeros=bool(dropped)),
                     lambda case: markov(case, case.acting()), {"positivity": positive_table}, ("positivity",), repr)


@chapter.claim(
    "kivva.F.markov", place="App. F, (24) and Remark F.1", kind=Kind.CLAIM, universal=factorisation,
    covers=("Remark F.1",),
    statement="The neighbourhoods form a bipartite graph between hidden variables and coordinates, and under P2 with "
              "P(U = u) > 0 the joint law factorises over it: P(U, Z) = P(U) prod_i P(Z_i | ne(Z_i)).",
    hypotheses=("coordinates independent given U", "P(U = u) > 0"))
def factorisation_over_neighbourhoods(on: Record) -> None:
    on.printed.search(cases=300)


@chapter.claim(
    "kivva.F.mixing", place="App. F, second paragraph", kind=Kind.CLAIM,
    statement="If Z with two coordinates or more is conditionally factorial, A Z + b almost surely is not, for A "
              "drawn with a density.")
def mixed_latents_are_dependent(on: Record) -> None:
    for m in (2, 3, 4):
        a = sympy.Matrix(m, m, lambda i, j: sympy.Symbol(f"a{i}{j}"))
        s = sympy.diag(*sympy.symbols(f"s0:{m}", positive=True))
        entries = [sympy.Poly((a * s * a.T)[i, j], *a) for i in range(m) for j in range(i)]
        on.printed.support(all(not p.is_zero and all(c.is_positive for c in p.coeffs()) for p in entries),
                           f"symbolically, {m} latents and any variances: every covariance of A Z is a polynomial in A "
                           "that is not zero, so it vanishes for a null set of matrices", cases=1,
                           evidence=Evidence.EXACT)


@dataclass(frozen=True)
class Alternatives:
    """Two tables over hidden variables with one law of Z."""

    one: Hidden
    other: Hidden

    @property
    def one_law(self) -> bool:
        """Whether P(Z) is the same."""
        return self.one.mixture.by_component() == self.other.mixture.by_component()


def _failing(hidden: Hidden) -> list[str]:
    """Which of L1 to L4 fail, for the arrows that are drawn."""
    checks = {"L1": no_twins(hidden.graph), "L2": maximal(hidden), "L3a": positive_table(hidden),
              "L3b": faithful(hidden, hidden.graph), "L4": antichain(hidden.graph)}
    return [name for name, holds in checks.items() if not holds]


def twins() -> Alternatives:
    """Two variables that act on the same coordinate."""
    laws = steps(2, 2)
    cells = list(laws)
    turned = {u: laws[cells[(j + 1) % 4]] for j, u in enumerate(cells)}
    return Alternatives(drawn((2, 2), [4, 3, 2, 1], ((0,), (0,)), 1, [laws]),
                        drawn((2, 2), [3, 2, 1, 4], ((0,), (0,)), 1, [turned]))


def merged() -> Alternatives:
    """A variable with four states that is two, each with a coordinate of its own."""
    pair = drawn((2, 2), [4, 3, 2, 1], ((0,), (1,)), 2, [steps(2), steps(2)])
    return Alternatives(Hidden((4,), pair.table, pair.laws, ((0, 1),)), pair)


def copied() -> Alternatives:
    """Two variables that are always equal, against one."""
    return Alternatives(drawn((2, 2), [1, 0, 0, 2], ((0,), (1,)), 2, [steps(2), steps(2)]),
                        drawn((2,), [1, 2], ((0, 1),), 2, [steps(2), steps(2)]))


def repeated() -> Alternatives:
    """Two states with one law."""
    laws: Laws = {(0,): (ONE, ONE), (1,): (0 * ONE, ONE), (2,): (0 * ONE, ONE)}
    return Alternatives(drawn((3,), [4, 2, 2], ((0,),), 1, [laws]), drawn((3,), [4, 1, 3], ((0,),), 1, [laws]))


def swapped() -> Alternatives:
    """One neighbourhood inside another."""
    return Alternatives(nested([4, 2, 1, 3]), nested([4, 3, 1, 2], True))


#: For each condition a pair without it, and the conditions that fail in the first table and in the second: L4 fails
#: with L1, and L3(b) with L2, for L4 implies L1, and L3 with L4 implies L2.
CONDITIONS: dict[str, tuple[Callable[[], Alternatives], list[str], list[str]]] = {
    "L1": (twins, ["L1", "L4"], ["L1", "L4"]), "L2": (merged, ["L2", "L3b"], []), "L3a": (copied, ["L3a"], []),
    "L3b": (repeated, ["L3b"], ["L3b"]), "L4": (swapped, ["L4"], ["L4"])}


@chapter.claim(
    "kivva.F.necessary", place="App. F, before (L1)", kind=Kind.CLAIM,
    statement="Each of L1 to L4 is necessary for recovering U from P(Z): in a model without it, P(U) is not "
              "determined.",
    correction=Correction("Without any one of them, and with the others except that L4 goes with L1 and L3(b) with L2, "
                          "there are tables with one P(Z) whose joint laws P(U, Z) differ."))
def conditions_on_the_graph(on: Record) -> None:
    flat, turned = nested([1] * 4), nested([1] * 4, True)
    tables = set()
    for shape, order in itertools.product(((4,), (2, 2)), itertools.permutations(range(4))):
        placed = Hidden(shape, tuple(flat.table[j] for j in order), tuple(flat.laws[j] for j in order), ())
        candidate = Hidden(placed.states, placed.table, placed.laws, placed.acting())
        if markov(candidate, candidate.graph) and set(_failing(candidate)) <= {"L4"}:
            tables.add((candidate.states, candidate.table))
    on.printed.refute(_failing(flat) == ["L4"] and Alternatives(flat, turned).one_law
                      and tables == {((2, 2), flat.table)} and not same_up_to_names(flat, turned, joint=True),
                      "a uniform 2 x 2 table with ne(U_1) = {1}, ne(U_2) = {1, 2}: only L4 fails, and every way to "
                      "place the four components in a table with L1, L2 and L3 gives the uniform 2 x 2 table, so P(U) "
                      "is recovered; P(U, Z) is not", shown=repr(flat))
    for name, (make, *wanted) in CONDITIONS.items():
        pair = make()
        failing = [_failing(pair.one), _failing(pair.other)]
        on.corrected.support(failing == wanted and pair.one_law
                             and not same_up_to_names(pair.one, pair.other, joint=True),
                             f"{name}: {make.__doc__} One P(Z), different P(U, Z). Not met: {', '.join(failing[0])} by "
                             f"the first table, {', '.join(failing[1]) or 'none'} by the second", cases=1,
                             evidence=Evidence.EXACT)


def _l_conditions(case: Hidden) -> bool:
    near = case.acting()
    return no_twins(near) and positive_table(case) and faithful(case) and antichain(near) and maximal(case)


P3: dict[str, Callable[[Hidden], bool]] = {"positivity": positive_table, "P3(a)": faithful,
                                           "P3(c)": lambda case: antichain(case.acting())}


@cache
def conditions_follow() -> Universal[Hidden]:
    """L1 to L4 from P3 without (b)."""
    return Universal("P3(a), P3(c) and a positive table give L1, L2, L3 and L4",
                     lambda dropped: hidden_tables(graphs="any" if dropped else "antichain"), _l_conditions, P3,
                     tuple(P3), repr)


def one_variable_in_two_parts() -> Hidden:
    """Four states that are two bits, each bit seen by a coordinate of its own."""
    return merged().one


@chapter.claim(
    "kivva.F.P3toL", place="App. F, proof of Theorem F.1", kind=Kind.CLAIM, universal=conditions_follow,
    statement="P3 with P(U = u) > 0 implies L1 to L4.", hypotheses=("P3", "P(U = u) > 0"),
    argument="(b) and (c) of P3 together imply L2.")
def conditions_from_maximality(on: Record) -> None:
    on.printed.search(cases=300)
    case = one_variable_in_two_parts()
    on.argument.refute(antichain(case.acting()) and positive_table(case) and not maximal(case) and not faithful(case),
                       "one variable with four states, of which Z_1 sees the first bit and Z_2 the second: (c) is "
                       "empty for one variable, (b) as printed, with the joint law of (U', Z, X) equal to that of "
                       "(U, Z, X), allows only dim(U') = dim(U), and U splits into two variables, so L2 fails; (a) "
                       "excludes it",
                       shown=repr(case))


@cache
def conditions_are_equivalent() -> Universal[Hidden]:
    """Remark F.2."""
    return Universal("with a positive table, P3(a) and P3(c) hold exactly when L1 to L4 do",
                     lambda dropped: hidden_tables(zeros=bool(dropped)),
                     lambda case: (faithful(case) and antichain(case.acting())) == _l_conditions(case),
                     {"positivity": positive_table}, ("positivity",), repr)


@chapter.claim(
    "kivva.remF.2", place="App. F, Remark F.2", kind=Kind.REMARK, covers=("Remark F.2",),
    universal=conditions_are_equivalent,
    statement="With P(U = u) > 0 the conditions L1 to L4 are no stronger than P3, so Theorem F.1 gives part (c) of "
              "Theorem 3.3; without part (b), which is void, they are P3.")
def conditions_compared(on: Record) -> None:
    on.printed.search(cases=300)
