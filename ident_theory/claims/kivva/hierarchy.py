"""Section 3.3: Theorems 3.2 and 3.3 and Table 1."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hidden_variables_tables import Table, tables
from ident_theory.claims.kivva.hidden_variables_tables import show as show_table
from ident_theory.claims.kivva.hierarchy_family import simple_family
from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, Pair, equal_laws, show
from ident_theory.claims.kivva.hierarchy_relations import has_distinct_ratios, is_factorial
from ident_theory.claims.kivva.hierarchy_statements import (
    both,
    checked,
    refute_without,
    same_coordinates,
    same_decoder,
    same_decoder_and_coordinates,
    same_joint,
    same_latent,
    theorem,
)
from ident_theory.claims.kivva.injectivity import ABSOLUTE, passes_as_printed
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.lattice import Target
from ident_theory.conditions.prior import prior_findings
from ident_theory.conditions.theorems import THEOREMS
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import latent_graph

chapter = Chapter(KIVVA)

DEFINITE, REDUCED, NOISE = "positive definite covariances", "reduced form", "known noise"
WEAK, INJECTIVE, CONTINUOUS = "weakly injective", "injective", "continuous"
P2 = ("independent given U", "distinct ratios")
STANDING = (NOISE, DEFINITE)
#: What the printed theorems do not say.
LACKING = ("positive definite covariances", "the law of the noise is known, its scale included")


def theorem_32a() -> Universal[Pair]:
    """Theorem 3.2(a), corrected."""
    needed = (*STANDING, REDUCED, WEAK)
    return theorem("equal laws of x and a weakly injective decoder of the first model: one affine map carries P(U, Z) "
                   "to P(U', Z')", needed, same_joint, needed)


def theorem_32b() -> Universal[Pair]:
    """Theorem 3.2(b), corrected."""
    assumed = (*STANDING, REDUCED, WEAK, *P2)
    return theorem("with P2 in both models, P(Z) and P(Z') differ by order, non-zero factors and shifts of the "
                   "coordinates", assumed, both(same_joint, same_coordinates), assumed)


def theorem_32c() -> Universal[Pair]:
    """Theorem 3.2(c), corrected."""
    assumed = (*STANDING, REDUCED, INJECTIVE, CONTINUOUS)
    return theorem("with injective continuous decoders, one affine map carries prior and decoder", assumed,
                   both(same_joint, same_decoder), assumed)


def theorem_32c_p2() -> Universal[Pair]:
    """Theorem 3.2(c) in case (b), corrected.

    P2 has a component with independent coordinates of positive variance, and one definite component is enough here.
    """
    assumed = (NOISE, REDUCED, INJECTIVE, CONTINUOUS, *P2)
    return theorem("with P2 in both models and injective continuous decoders, one map z -> (order, factors, shifts) "
                   "carries prior and decoder", assumed, both(same_joint, same_decoder_and_coordinates), assumed)


def theorem_33a() -> Universal[Pair]:
    """Theorem 3.3(a), corrected: P(Z) alone, components may be repeated."""
    needed = (*STANDING, WEAK)
    return theorem("equal laws of x and a weakly injective decoder of the first model: one affine map carries P(Z) to "
                   "P(Z')", needed, same_latent, needed)


def theorem_33b() -> Universal[Pair]:
    """Theorem 3.3(b), corrected."""
    return theorem("with P2 in both models, P(Z) and P(Z') differ by order, non-zero factors and shifts",
                   (*STANDING, WEAK, *P2), same_coordinates, (*STANDING, WEAK, *P2))


def theorem_33d() -> Universal[Pair]:
    """Theorem 3.3(d), corrected."""
    assumed = (*STANDING, INJECTIVE, CONTINUOUS)
    return theorem("with injective continuous decoders, one affine map carries P(Z) and the decoder", assumed,
                   both(same_latent, same_decoder), assumed)


def theorem_33d_p2() -> Universal[Pair]:
    """Theorem 3.3(d) in case (b), corrected; as there, P2 makes up for singular components."""
    assumed = (NOISE, INJECTIVE, CONTINUOUS, *P2)
    return theorem("with P2 in both models and injective continuous decoders, one map z -> (order, factors, shifts) "
                   "carries P(Z) and the decoder", assumed, same_decoder_and_coordinates, assumed)


@chapter.claim(
    "kivva.thm3.2a", place="Theorem 3.2(a)", kind=Kind.THEOREM, covers=("Theorem 3.2",),
    statement="One hidden variable and a weakly injective f: P(X) determines P(U, Z) up to an affine map of Z.",
    hypotheses=("P1", "F1", "F2", "dim U = 1"),
    correction=Correction("The same, up to the names of the states of U, for distinct components with positive "
                          "definite covariances, known noise, and F2 with x_0 in the image.",
                          (*LACKING, "distinct components")),
    universal=theorem_32a)
def one_hidden_variable(on: Record) -> None:
    refute_without(on, DEFINITE, REDUCED, NOISE)
    pair = Pair(*(Model(GaussianMixture(["1/3"] * 3, means, [1] * 3), ABSOLUTE) for means in ([-2, -1, 3], [-2, 1, 3])))
    on.printed.refute(passes_as_printed(ABSOLUTE) and equal_laws(pair) and same_joint(pair) is False,
                      "|z| satisfies F2 as printed, with x_0 = -5, and the two priors of Remark 3.6 have one law of X",
                      shown=show(pair))
    on.corrected.search(cases=80)
    pairs, weak, shared = simple_family()
    on.corrected.support(shared == 0, f"all {pairs} pairs of a two-unit network with parameters -1, 0, 1 and a prior "
                         f"of two components on a grid: none of the {weak} with a weakly injective map shares its "
                         "law of f(Z) with an inequivalent one", cases=weak, evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.thm3.2b", place="Theorem 3.2(b)", kind=Kind.THEOREM, covers=("Theorem 3.2",),
    statement="If moreover P2 holds, P(U, Z) is determined up to permutation, scaling and translation of Z.",
    hypotheses=("P1", "P2", "F1", "F2", "dim U = 1"),
    correction=Correction("The same among models with P2, with factors of either sign, under the hypotheses of (a) as "
                          "corrected.", (*LACKING, "distinct components")), universal=theorem_32b)
def one_hidden_variable_factorial(on: Record) -> None:
    refute_without(on, DEFINITE, REDUCED)
    on.corrected.search(cases=60)


@chapter.claim(
    "kivva.thm3.2c", place="Theorem 3.2(c)", kind=Kind.THEOREM, covers=("Theorem 3.2",),
    statement="If moreover f is injective and continuous, f is determined up to an affine map.",
    hypotheses=("P1", "F1", "F4", "f continuous", "dim U = 1"),
    correction=Correction("The same among continuous injective decoders, under the hypotheses of (a) as corrected.",
                          (*LACKING, "distinct components")), universal=theorem_32c)
def one_hidden_variable_decoder(on: Record) -> None:
    refute_without(on, DEFINITE, REDUCED)
    on.corrected.search(cases=60)


@chapter.claim(
    "kivva.thm3.2c.P2", place="Theorem 3.2(c), case (b)", kind=Kind.THEOREM, covers=("Theorem 3.2",),
    statement="If in case (b) f is injective and continuous, P(U, Z) and f are determined up to permutation, scaling "
              "and translation.", hypotheses=("P1", "P2", "F1", "F4", "f continuous", "dim U = 1"),
    correction=Correction("The same among models with P2, with one map for both, factors of either sign, for distinct "
                          "components and known noise; singular ones do no harm, for P2 has one that is not.",
                          ("known noise", "distinct components")),
    universal=theorem_32c_p2)
def one_hidden_variable_factorial_decoder(on: Record) -> None:
    refute_without(on, NOISE, REDUCED)
    on.corrected.search(cases=40)


@chapter.claim(
    "kivva.thm3.3a", place="Theorem 3.3(a)", kind=Kind.THEOREM, covers=("Theorem 3.3",),
    statement="A weakly injective f, however many hidden variables: P(X) determines P(Z) up to an affine map.",
    hypotheses=("P1", "F1", "F2"),
    correction=Correction("The same for positive definite covariances, known noise, and F2 with x_0 in the image; "
                          "components may be repeated.", LACKING), universal=theorem_33a)
def many_hidden_variables(on: Record) -> None:
    refute_without(on, DEFINITE, NOISE)
    on.corrected.search(cases=70)
    on.corrected.search(checked(), cases=60)


@chapter.claim(
    "kivva.thm3.3b", place="Theorem 3.3(b)", kind=Kind.THEOREM, covers=("Theorem 3.3",),
    statement="If moreover P2 holds, P(Z) is determined up to permutation, scaling and translation.",
    hypotheses=("P1", "P2", "F1", "F2"),
    correction=Correction("The same among models with P2, with factors of either sign, under the hypotheses of (a) as "
                          "corrected.", LACKING), universal=theorem_33b)
def many_hidden_variables_factorial(on: Record) -> None:
    refute_without(on, DEFINITE)
    on.corrected.search(cases=60)


Reading = tuple[Table, Table]
SYSTEMS = ([{0}, {1}], [{0, 1}, {1, 2}], [{0}, {1, 2}], [{0}, {1}, {2}], [{0, 1}, {1, 2}, {0, 2}], [{0}], [{0, 1}])


def _other_readings(table: Table, kind: str, moves: list[int]) -> Table:
    """Another table with the same components."""
    i, j = 0, table.k - 1
    if kind == "merge" and table.k > 1:
        return table.merged(i, j)
    if kind == "swap" and table.k > 1:
        return table.swapped(i, {j: moves[0] % table.states[j]})
    if kind == "childless":
        return _with_idle(table, Fraction(1 + moves[0], 6)) if any(table.neighbourhoods) else Table(
            (2,), {(0,): Fraction(1 + moves[0], 6), (1,): Fraction(5 - moves[0], 6)},
            {(r,): table.laws[table.cells[0]] for r in range(2)})
    if kind == "cut":  # the empty cells laid out along one variable
        live = table.live
        return Table((len(live),), {(r,): table.weights[u] for r, u in enumerate(live)},
                     {(r,): table.laws[u] for r, u in enumerate(live)})
    turned = table.swapped(i, {})
    order = list(range(table.k))[::-1 if moves[0] % 2 else 1]
    return Table(tuple(turned.states[r] for r in order),
                 {tuple(u[r] for r in order): w for u, w in turned.weights.items()},
                 {tuple(u[r] for r in order): x for u, x in turned.laws.items()})


def _with_idle(table: Table, heads: Fraction) -> Table:
    """One more variable that acts on nothing."""
    share = (heads, 1 - heads)
    cells = [(*u, c) for u in table.cells for c in range(2)]
    return Table((*table.states, 2), {u: table.weights[u[:-1]] * share[u[-1]] for u in cells},
                 {u: table.laws[u[:-1]] for u in cells})


def _readings(dropped: frozenset[str]) -> st.SearchStrategy[Reading]:
    kind = {"(a)": "merge", "(c)": "swap", "every variable acts": "childless", "positivity": "cut"}
    wanted = [kind[name] for name in dropped if name in kind]
    systems = st.sampled_from([[{0}, {0, 1}], [{0, 1}, {0, 1}]] if "(c)" in dropped else
                              [[set()]] if "every variable acts" in dropped else SYSTEMS)

    def pair(table: Table) -> st.SearchStrategy[Reading]:
        kinds = st.sampled_from(wanted * 3 + (["rename"] if wanted else ["rename"] * 3 + [*kind.values()]))
        moves = st.lists(st.integers(0, 3), min_size=1, max_size=1)
        return st.tuples(kinds, moves).map(lambda how: (table, _other_readings(table, *how)))

    return tables(edges=systems, zeros="positivity" in dropped).flatmap(pair)


def theorem_33c() -> Universal[Reading]:
    """Theorem 3.3(c), corrected: what P(Z) says about U."""
    return Universal(
        "of two tables with one P(Z), P3(a) and (c), positivity and no idle variable, the numbers of variables and "
        "states and P(U) agree up to order and names, and the toolkit recovers them behind any change of the latents",
        cases=_readings,
        hypotheses={"one P(Z)": lambda two: two[0].mixture == two[1].mixture,
                    "(a)": lambda two: all(table.satisfies_a for table in two),
                    "(c)": lambda two: all(table.satisfies_c for table in two),
                    "positivity": lambda two: all(table.is_positive for table in two),
                    "every variable acts": lambda two: all(table.all_act for table in two)},
        conclusion=lambda two: two[0].same_structure(two[1]) and _recovered(two[0]) in (None, True),
        needed=("(a)", "(c)", "positivity", "every variable acts"),
        show=lambda two: "\n".join(show_table(table) for table in two))


def _recovered(table: Table) -> bool | None:
    """Whether the graph read off a shuffled, rescaled copy of the mixture is the table; None if there is none."""
    m = table.m
    change = AffineChange([[-2 - t if (s + t) % m == m - 1 else 0 for t in range(m)] for s in range(m)], [1] * m)
    graph = latent_graph(change.carry(GaussianMixture(*_flat(table))))
    if graph.status is not Status.HOLDS or graph.table is None:
        return None
    found = Table(graph.states, {u: Fraction(graph.table[u]) for u in product(*map(range, graph.states))}, {})
    return table.same_structure(found)


def _flat(table: Table) -> tuple[list[Any], list[Any], list[Any]]:
    cells = table.live[::-1]
    return ([table.weights[u] for u in cells], [[law[0] for law in table.laws[u]] for u in cells],
            [[law[1] for law in table.laws[u]] for u in cells])


@chapter.claim(
    "kivva.thm3.3c", place="Theorem 3.3(c)", kind=Kind.THEOREM, covers=("Theorem 3.3",),
    statement="If moreover P3 holds, the number of hidden variables, their numbers of states and P(U) are determined "
              "up to permuting U.",
    hypotheses=("P1", "P2", "P3", "F1", "F2"),
    correction=Correction("The same, up to the names of the states of each U_i as well, if every configuration of U "
                          "has positive probability, as Section 3 takes for granted, and every U_i acts on some "
                          "latent.",
                          (*LACKING, "positivity", "every hidden variable acts on some latent")),
    universal=theorem_33c,
    scope="From P(Z) on; that P(X) determines P(Z) up to order, factors and shifts is (b).")
def structure_of_the_hidden_variables(on: Record) -> None:
    law = ((Fraction(0), Fraction(1)),)
    idle = [Table((2,), {(0,): w, (1,): 1 - w}, {(0,): law, (1,): law}) for w in (Fraction(1, 2), Fraction(1, 3))]
    on.printed.refute(
        all(t.satisfies_a and t.satisfies_c and t.is_positive and is_factorial(t.prior)
            and has_distinct_ratios(t.prior) for t in idle)
        and idle[0].mixture == idle[1].mixture and not idle[0].same_structure(idle[1]),
        "one latent N(0, 1) and one binary variable that acts on nothing satisfy P2 and P3, with P(U) = (1/2, 1/2) or "
        "(1/3, 2/3)", shown="\n".join(map(show_table, idle)))
    on.corrected.search(cases=100)


@chapter.claim(
    "kivva.thm3.3d", place="Theorem 3.3(d)", kind=Kind.THEOREM, covers=("Theorem 3.3",),
    statement="If moreover f is injective and continuous, f is determined up to an affine map.",
    hypotheses=("P1", "F1", "F4", "f continuous"),
    correction=Correction("The same for positive definite covariances and known noise; the map is the one of P(Z).",
                          LACKING), universal=theorem_33d)
def many_hidden_variables_decoder(on: Record) -> None:
    refute_without(on, DEFINITE)
    on.corrected.search(cases=60)


@chapter.claim(
    "kivva.thm3.3d.P2", place="Theorem 3.3(d), case (b)", kind=Kind.THEOREM, covers=("Theorem 3.3",),
    statement="If in case (b) f is injective and continuous, P(Z) and f are determined up to permutation, scaling and "
              "translation.", hypotheses=("P1", "P2", "F1", "F4", "f continuous"),
    correction=Correction("The same among models with P2, with one map for both, factors of either sign, for known "
                          "noise; singular components do no harm, for P2 has one that is not.", ("known noise",)),
    universal=theorem_33d_p2)
def many_hidden_variables_factorial_decoder(on: Record) -> None:
    refute_without(on, NOISE)
    on.corrected.search(cases=40)


#: Rows of Table 1: first column, second column, results cited, and what is said to be determined.
ROWS = (({"P1"}, {"F1", "F2"}, ("thm3.2a", "thm3.3a"), {Target.LATENT}),
        ({"P1"}, {"F1", "F4"}, ("thm3.2c", "thm3.3d"), {Target.LATENT, Target.DECODER}),
        ({"P1", "P2"}, {"F1", "F4"}, ("thm3.2b", "thm3.3b"), {Target.LATENT, Target.DECODER}),
        ({"P1", "P2", "P3"}, {"F1", "F4"}, ("thm3.3c", "thm3.3d"), {Target.STRUCTURE, Target.LATENT, Target.DECODER}))


@chapter.claim(
    "kivva.table1", place="Table 1", kind=Kind.TABLE, covers=("Table 1",),
    statement="Table 1 lists, under assumptions on f and on Z, what is determined and by which theorem; both grow from "
              "row to row.",
    correction=Correction("The heads of the first two columns change places, row 3 cites Theorems 3.2(c) and 3.3(d) as "
                          "well, and rows 2 to 4 ask that f is continuous, as those theorems do.", ("f continuous",)),
    scope="That each theorem holds is checked by its own claim. P(U, Z) in row 4 is read as P(U) and P(Z), which is "
          "what Theorem 3.3(c) states.")
def summary_of_results(on: Record) -> None:
    of_prior = set(prior_findings(GaussianMixture([1], [0], [1])))
    of_decoder = set(decoder_findings(PiecewiseAffineMap([], [1], [0])))
    about = {name.removeprefix("kivva."): set(t.conclusions) for name, t in THEOREMS.items()}
    said = [what <= set.union(*(about[name] for name in cited)) | {Target.LATENT} for _, _, cited, what in ROWS]
    on.printed.refute(
        all(first <= of_prior and not first & of_decoder and second <= of_decoder for first, second, _, _ in ROWS)
        and said == [True, True, False, True],
        f"the column headed with f lists {sorted(set.union(*(row[0] for row in ROWS)))}, conditions on Z, and the "
        "other one conditions on f; the results that row 3 cites say nothing about f, which its text claims")
    straight = PiecewiseAffineMap([], [1], [0])
    turned = PiecewiseAffineMap([-1, 1], [1, -1, 1], [0, 0, 0])
    pair = Pair(*(Model(GaussianMixture([1], [0], [1]), f) for f in (straight, turned)))
    on.printed.refute(
        all(HYPOTHESES[name](pair) for name in (*STANDING, REDUCED, *P2, INJECTIVE)) and equal_laws(pair)
        and not HYPOTHESES[CONTINUOUS](pair) and same_decoder(pair) is False,
        "rows 2 to 4 ask for F1 and F4 alone: under N(0, 1) the identity, and the map that turns -1 < z < 1 round and "
        "jumps at its ends, have one law and are not affinely related", shown=show(pair))
    mended = set.union(*(about[name] for name in (*ROWS[2][2], "thm3.2c", "thm3.3d")))
    implied = {"F4": {"F4", "F3", "F2", "F1"}, "F2": {"F2", "F1"}, "F1": {"F1"}}
    strength = [first | set.union(*(implied[name] for name in second)) for first, second, _, _ in ROWS]
    on.corrected.support(ROWS[2][3] <= mended and all(a < b for a, b in zip(strength[:-1], strength[1:], strict=True)),
                         "with those two citations every row is about what it says, and the assumptions, closed under "
                         "F4 => F2 => F1, strictly grow", cases=len(ROWS), evidence=Evidence.EXACT)
