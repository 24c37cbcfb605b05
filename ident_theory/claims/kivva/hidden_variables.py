"""Section 3.2: what is assumed of the latents (P2, Definition 3.2, P3, Remark 3.4)."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, permutations, product

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hidden_variables_tables import Table, show, tables
from ident_theory.claims.kivva.hierarchy_relations import has_distinct_ratios, is_definite, is_factorial
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.prior import prior_findings
from ident_theory.conditions.prior_states import HiddenTable
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import latent_graph, unmix_factorial
from ident_theory.testing.strategies import gaussian_mixtures

chapter = Chapter(KIVVA)


def show_prior(prior: GaussianMixture) -> str:
    """A mixture as the section of a model file."""
    return str({"prior": prior.plain()})


@st.composite
def _factorial(draw: st.DrawFn, dims: tuple[int, int]) -> GaussianMixture:
    m, count = draw(st.integers(*dims)), draw(st.integers(1, 3))
    variances = [[draw(st.integers(1, 3)) for _ in range(m)] for _ in range(count)]
    means = [[draw(st.integers(-1, 1)) for _ in range(m)] for _ in range(count)]
    weights = [draw(st.integers(1, 3)) for _ in range(count)]
    return GaussianMixture([Fraction(w, sum(weights)) for w in weights], means, variances)


@st.composite
def _correlated(draw: st.DrawFn) -> GaussianMixture:
    size, gap = st.integers(2, 4), st.integers(-1, 1)
    rows = [(draw(size), draw(gap), draw(size)) for _ in range(draw(st.integers(1, 3)))]
    return GaussianMixture([Fraction(1, len(rows))] * len(rows), [[j, 0] for j in range(len(rows))],
                           [[[a, c], [c, b]] for a, c, b in rows])


def _unmixes(prior: GaussianMixture) -> bool:
    """Whether the toolkit's unmixing recovers a mixed copy of the latents up to order, signs and factors."""
    m = prior.latent_dim
    mixing = AffineChange([[1 if i == j else i - j + 2 if i > j else 0 for j in range(m)] for i in range(m)], [1] * m)
    found = unmix_factorial(mixing.carry(prior))
    return found.is_determined and found.change.inverse().after(mixing).is_monomial


def _ratios() -> Universal[GaussianMixture]:
    return Universal(
        "with two or more latents, P2 takes two components at least, and then a mixed copy of the latents is unmixed "
        "up to order, signs and factors",
        cases=lambda dropped: _correlated() if "independent given U" in dropped else _factorial(
            (1, 3) if "m >= 2" in dropped else (2, 3)),
        hypotheses={"m >= 2": lambda prior: prior.latent_dim >= 2,
                    "independent given U": is_factorial, "distinct ratios": has_distinct_ratios},
        conclusion=lambda prior: prior.n_components >= 2 and _unmixes(prior), show=show_prior,
        needed=("m >= 2", "independent given U", "distinct ratios"))


@chapter.claim(
    "kivva.p2", place="Sec. 3.2 (P2)", kind=Kind.DEFINITION,
    statement="P2: coordinates independent given U, and two states whose variance ratios are pairwise distinct; this "
              "implies that there are at least two components.",
    correction=Correction("It implies two components for two or more latents; for one latent it says nothing.",
                          ("m >= 2",)), universal=_ratios)
def distinct_variance_ratios(on: Record) -> None:
    single = GaussianMixture([1], [0], [1])
    on.printed.refute(is_factorial(single) and has_distinct_ratios(single) and single.n_components == 1
                      and prior_findings(single)["P2"].status is Status.HOLDS,
                      "one latent and one component: there is no pair i != j, and a single ratio is distinct from no "
                      "other", shown=show_prior(single))
    on.corrected.search(cases=100)
    on.corrected.search(Universal(
        "the toolkit's P2 is the definition, read literally", lambda _: gaussian_mixtures((1, 3), (1, 3)),
        lambda prior: (prior_findings(prior)["P2"].status is Status.HOLDS) == (
            is_factorial(prior.reduced()) and has_distinct_ratios(prior.reduced())),
        {"positive definite covariances": is_definite}, show=show_prior), cases=100)
    q, d, e = sympy.symbols("q d e", positive=True)
    turn = sympy.Matrix([[1 - q**2, -2 * q], [2 * q, 1 - q**2]]) / (1 + q**2)
    equal = [(turn * sympy.diag(v, v) * turn.T - sympy.diag(v, v)).applyfunc(sympy.simplify) for v in (d, e)]
    on.corrected.support(all(residual == sympy.zeros(2, 2) for residual in equal),
                         "without distinct ratios: with N(0, d I) and N(0, e I) every rotation keeps both covariances",
                         cases=1, evidence=Evidence.EXACT)


def _neighbourhoods() -> Universal[Table]:
    def factorises(table: Table) -> bool:
        by = [table.acting([t]) for t in range(table.m)]
        return all(table.laws[u][t] == table.laws[v][t] for t in range(table.m) for u, v in
                   combinations(table.live, 2) if all(u[i] == v[i] for i in by[t]))

    return Universal(
        "the law of Z_t given U is a function of the variables whose neighbourhood contains t",
        cases=lambda dropped: tables(zeros="positivity" in dropped, clashes=True),
        hypotheses={"positivity": lambda table: table.is_positive}, conclusion=factorises, needed=("positivity",),
        show=show)


@chapter.claim(
    "kivva.def3.2", place="Definition 3.2", kind=Kind.DEFINITION, covers=("Definition 3.2",),
    statement="ne(U_i) holds the coordinates that are not independent of U_i given the other hidden variables; these "
              "are the direct dependences of Z on U.",
    hypotheses=("every configuration of U has positive probability",), universal=_neighbourhoods)
def neighbourhoods(on: Record) -> None:
    on.printed.search(cases=200)
    on.printed.search(Universal(
        "the toolkit reads the same neighbourhoods off a mixture, zero weights or not",
        lambda _: tables(zeros=True, clashes=True),
        lambda table: [frozenset(row) for row in HiddenTable(table.prior).neighbourhoods] == table.neighbourhoods,
        show=show), cases=200)


def _antichains() -> Universal[Table]:
    """P3 without (b), on both sides by definition; the toolkit decides the same."""
    return Universal(
        "(a) and (c) for all sets of coordinates, positivity and no childless variable are what the toolkit calls P3",
        cases=lambda _: st.one_of(tables(), tables(zeros=True), tables(clashes=True)),
        conclusion=lambda table: (table.satisfies_a and table.satisfies_c and table.is_positive and table.all_act)
        == (prior_findings(table.prior)["P3"].status is Status.HOLDS), show=show)


@chapter.claim(
    "kivva.p3.definition", place="Sec. 3.2 (P3)(a), (c)", kind=Kind.DEFINITION,
    statement="P3(a): for every set of coordinates, two configurations of the variables that act on it give it "
              "different laws; P3(c): no neighbourhood is a subset of another.",
    scope="Part (b) is kivva.p3b.", universal=_antichains)
def nondegenerate_antichain(on: Record) -> None:
    on.printed.search(cases=100)


#: Two coin tosses, each seen in a coordinate of its own.
COINS = Table((2, 2), {u: Fraction(1 + 2 * u[0] + u[1], 8) if u != (1, 1) else Fraction(2, 8)
                       for u in product(range(2), repeat=2)},
              {u: tuple((Fraction(v), Fraction(1)) for v in u) for u in product(range(2), repeat=2)})


def literal_b(table: Table, others: list[Table]) -> bool:
    """P3(b) as printed: no U' with the same law of (U', Z, X) has more variables. Laws live on R^(k + m + n)."""
    joint = {(u, table.laws[u], w) for u, w in table.weights.items()}
    return all(other.k <= table.k for other in others
               if {(u, other.laws[u], w) for u, w in other.weights.items()} == joint)


def with_coin(table: Table) -> Table:
    """A fair coin that nothing reads, as one more hidden variable."""
    cells = [(*u, c) for u in table.cells for c in range(2)]
    return Table((*table.states, 2), {u: table.weights[u[:-1]] / 2 for u in cells},
                 {u: table.laws[u[:-1]] for u in cells})


ANTICHAINS = ([{0}, {1}], [{0, 1}, {1, 2}], [{0}, {1, 2}], [{0}, {1}, {2}], [{0, 1}, {1, 2}, {0, 2}])


def _merging() -> Universal[Table]:
    return Universal(
        "merging two hidden variables keeps P(Z), and the merged table violates (a)",
        cases=lambda dropped: tables((2, 3), (2, 3), clashes=True) if dropped else st.one_of(
            tables(edges=st.sampled_from(ANTICHAINS)), tables(edges=st.sampled_from(ANTICHAINS), clashes=True)),
        hypotheses={"(c)": lambda table: table.satisfies_c},
        conclusion=lambda table: all(
            (one := table.merged(i, j)).mixture == table.mixture and not one.satisfies_a
            for i, j in combinations(range(table.k), 2)), needed=("(c)",), show=show)


@chapter.claim(
    "kivva.p3b", place="Sec. 3.2 (P3)(b)", kind=Kind.CLAIM,
    statement="P3(b) asks that U be maximal: if U' has the same joint law with (Z, X) as U, it has no more variables.",
    correction=Correction("(b) is left out: (a) already excludes a U with merged variables. Comparing the laws of (Z, "
                          "X) alone is no remedy, for an independent coin can always be added.", notational=True),
    universal=_merging)
def maximality_is_void(on: Record) -> None:
    merged = COINS.merged(0, 1)
    on.printed.refute(
        literal_b(merged, [COINS, with_coin(merged), with_coin(COINS), merged]) and COINS.mixture == merged.mixture
        and COINS.k > merged.k,
        "one variable of four states passes (b) although two variables of two states give the same law of (Z, X): "
        "equal laws of (U', Z, X) and (U, Z, X) have equal dimensions, so (b) never excludes anything",
        shown=show(merged))
    more = [with_coin(COINS), with_coin(with_coin(COINS))]
    on.corrected.support(all(t.mixture == COINS.mixture for t in more) and [t.k for t in more] == [3, 4],
                         "with U left out of the comparison this table does not satisfy (b), and no other would: a "
                         "coin that nothing reads can be added again and again", cases=2, evidence=Evidence.EXACT)
    on.corrected.search(cases=100)


def _nested() -> Universal[Table]:
    def lost(table: Table) -> bool:
        inner, outer = _inner_outer(table)
        other = table.swapped(inner, {outer: 0})
        return (other.mixture == table.mixture and other.neighbourhoods == table.neighbourhoods
                and other.satisfies_a and not other.same_joint(table))

    return Universal(
        "with one neighbourhood inside another, turning the states of the inner variable round in one state of the "
        "outer gives another P(U, Z) with the same P(Z), neighbourhoods and (a)",
        cases=lambda dropped: tables(edges=st.sampled_from(
            [[{0}, {1}], [{0, 1}, {1, 2}], [{0}, {1, 2}]] if "nested" in dropped else [[set(), {0}], [set(), {0, 1}]]
            if "every variable acts" in dropped else [[{0}, {0, 1}], [{0, 1}, {0, 1}], [{1}, {0, 1, 2}], [{0}, {0}]]),
            zeros="positivity" in dropped, clashes="(a)" in dropped),
        hypotheses={"nested": lambda table: not table.satisfies_c, "(a)": lambda table: table.satisfies_a,
                    "positivity": lambda table: table.is_positive,
                    "every variable acts": lambda table: table.all_act},
        conclusion=lost, needed=("nested", "(a)", "positivity", "every variable acts"), show=show)


def _inner_outer(table: Table) -> tuple[int, int]:
    near = table.neighbourhoods
    return next(((i, j) for i, j in permutations(range(table.k), 2) if near[i] <= near[j]), (0, 1))


def _nested_table(rows: list[list[int]]) -> Table:
    cells = list(product(range(2), repeat=2))
    total = sum(map(sum, rows))
    return Table((2, 2), {u: Fraction(rows[u[0]][u[1]], total) for u in cells},
                 {u: ((Fraction(2 * u[0] + u[1]), Fraction(1)), (Fraction(u[1]), Fraction(1))) for u in cells})


def readings(table: Table) -> list[Table]:
    """Every way to name the components of a 2 x 2 table with the same neighbourhoods and (a)."""
    near = set(table.neighbourhoods)
    found = []
    for order in permutations(table.cells):
        other = Table(table.states, {v: table.weights[u] for u, v in zip(table.cells, order, strict=True)},
                      {v: table.laws[u] for u, v in zip(table.cells, order, strict=True)})
        if set(other.neighbourhoods) == near and other.satisfies_a:
            found.append(other)
    return found


@chapter.claim(
    "kivva.p3.necessary", place="Sec. 3.2 after (P3), Remark 3.4", kind=Kind.CLAIM, covers=("Remark 3.4",),
    statement="If the neighbourhood of one hidden variable lies inside that of another, P(U) cannot be identified; "
              "condition P3 is necessary.",
    correction=Correction("P(U, Z) cannot, if every hidden variable acts on some latent; P(U) cannot unless the table "
                          "is special, as a uniform one is.", ("every hidden variable acts on some latent",)),
    universal=_nested)
def nested_neighbourhoods(on: Record) -> None:
    uniform, lopsided = _nested_table([[1, 1], [1, 1]]), _nested_table([[4, 2], [1, 3]])
    ways = readings(uniform)
    on.printed.refute(
        not uniform.satisfies_c and uniform.satisfies_a and len(ways) > 1
        and all(way.same_structure(uniform) for way in ways) and not uniform.merged(0, 1).satisfies_a,
        f"ne(U_1) = {{1}} inside ne(U_2) = {{1, 2}} and a uniform 2 x 2 table: all {len(ways)} ways to name the four "
        "components with these neighbourhoods give the same P(U), and one variable of four states violates "
        "(a)", shown=show(uniform))
    other = lopsided.swapped(0, {1: 1})
    on.corrected.support(
        other.mixture == lopsided.mixture and not other.same_structure(lopsided)
        and other.neighbourhoods == lopsided.neighbourhoods
        and any(not way.same_joint(uniform) for way in ways),
        "the tables ((.4, .2), (.1, .3)) and ((.4, .3), (.1, .2)) give one P(Z) and differ by more than names; with "
        "the uniform table P(U, Z) is lost all the same", cases=2, evidence=Evidence.EXACT)
    on.corrected.search(cases=100)


def has_anchors(near: tuple[frozenset[int], ...], m: int) -> bool:
    """Whether every hidden variable has a coordinate on which it acts alone."""
    return all(any([i for i, row in enumerate(near) if t in row] == [j] for t in range(m)) for j in range(len(near)))


@chapter.claim(
    "kivva.rem3.4", place="Remark 3.4", kind=Kind.REMARK, covers=("Remark 3.4",),
    statement="If every hidden variable has a coordinate on which it acts alone, no neighbourhood lies inside another; "
              "the converse fails.")
def anchors(on: Record) -> None:
    acts = sympy.symbols("acts_i acts_j")
    only_first = sympy.And(acts[0], sympy.Not(acts[1]))
    within = sympy.Implies(*acts)
    triangle = tuple(frozenset(pair) for pair in ((0, 1), (1, 2), (0, 2)))
    systems = [near for k in (1, 2, 3) for near in product(
        [frozenset(c) for r in range(4) for c in combinations(range(3), r)], repeat=k)]
    exceptions = [near for near in systems if has_anchors(near, 3) and any(a <= b for a, b in permutations(near, 2))]
    on.printed.prove(
        sympy.satisfiable(sympy.And(only_first, within)) is False and not exceptions
        and not has_anchors(triangle, 3) and not any(a <= b for a, b in permutations(triangle, 2)),
        "at the coordinate on which only U_i acts, ne(U_i) inside ne(U_j) is contradictory, for whatever k, m and "
        f"other edges; the {len(systems)} systems of up to 3 sets of 3 coordinates have no exception; {{1, 2}}, "
        "{2, 3}, {1, 3} has no anchor and no inclusion", Evidence.EXACT)
    cells = list(product(range(2), repeat=3))
    table = Table((2, 2, 2), {u: Fraction(1 + r, 36) for r, u in enumerate(cells)},
                  {u: tuple((Fraction(sum(u[i] << i for i in range(3) if t in triangle[i])), Fraction(1))
                            for t in range(3)) for u in cells})
    graph = latent_graph(table.prior)
    on.printed.prove(graph.status is Status.HOLDS and sorted(graph.neighbourhoods) == [(0, 1), (0, 2), (1, 2)],
                     "that system is recovered from its mixture of eight components")


#: Two variables of two states, each seen in a coordinate of its own, with variances of distinct ratios.
ALONE = Table((2, 2), COINS.weights, {(r, s): ((Fraction(r), Fraction(1 + r)), (Fraction(s), Fraction(1 + 2 * s)))
                                      for r, s in product(range(2), repeat=2)})


def _anchored() -> Universal[Table]:
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Table]:
        systems = [[{0, 1}, {1, 2}], [{0}, {0, 1}]] if "alone" in dropped else [
            [{0}], [{0}, {1}], [{0, 2}, {1, 2}], [{0}, {1}, {2}], [{0, 1}, {2}]]
        drawn = tables(edges=st.sampled_from(systems), zeros="positivity" in dropped)
        return drawn.map(lambda table: table.merged(0, 1) if table.k == 2 else table) if "(a)" in dropped else drawn

    def recovered(table: Table) -> bool:
        graph = latent_graph(table.prior)
        if graph.status is not Status.HOLDS or graph.table is None:
            return False
        found = Table(graph.states, {u: Fraction(graph.table[u]) for u in product(*map(range, graph.states))}, {})
        return table.satisfies_c and table.same_structure(found)

    return Universal(
        "where every hidden variable has a coordinate on which it acts alone, no neighbourhood lies inside another, "
        "and the numbers of variables and states and P(U) are recovered from P(Z)", cases=cases,
        hypotheses={"alone": lambda table: has_anchors(tuple(table.neighbourhoods), table.m),
                    "(a)": lambda table: table.satisfies_a, "positivity": lambda table: table.is_positive},
        conclusion=recovered, needed=("alone", "(a)", "positivity"), show=show)


@chapter.claim(
    "kivva.rem3.4.sufficient", place="Remark 3.4", kind=Kind.REMARK, covers=("Remark 3.4",),
    statement="That every hidden variable has a coordinate on which it acts alone is a stronger assumption than P3, "
              "and sufficient to identify U.",
    hypotheses=("P1", "P2", "every configuration of U has positive probability"),
    correction=Correction("It is stronger than (c), and sufficient together with (a).", ("P3(a)",)),
    universal=_anchored)
def anchors_alone(on: Record) -> None:
    merged = ALONE.merged(0, 1)
    on.printed.refute(
        all(has_anchors(tuple(t.neighbourhoods), t.m) and t.is_positive and is_factorial(t.prior)
            and has_distinct_ratios(t.prior) for t in (ALONE, merged))
        and ALONE.mixture == merged.mixture and (ALONE.k, merged.k) == (2, 1) and not merged.satisfies_a,
        "two binary variables, each seen in one coordinate, and one variable of four states that acts on both: each "
        "variable has a coordinate to itself, and P(Z) is the same; the second violates (a)", shown=show(merged))
    on.corrected.search(cases=100)


@chapter.claim(
    "kivva.sec3.2.notnecessary", place="Sec. 3.2, preamble", kind=Kind.CLAIM,
    statement="The assumptions on Z of Section 3.2 are sufficient for the stronger results, not necessary.",
    scope="One example for P2 and one for P3(c). That P3 is called necessary further on is kivva.p3.necessary.")
def conditions_on_the_latents_are_not_necessary(on: Record) -> None:
    variances = [[1, 1, 1], [1, 1, 2], [1, 2, 2]]
    prior = GaussianMixture(["1/2", "1/4", "1/4"], [[0, 0, 0]] * 3, variances)
    on.printed.prove(
        is_factorial(prior) and not has_distinct_ratios(prior) and sympy.Matrix(variances).rank() == 3
        and _unmixes(prior),
        "variances (1, 1, 1), (1, 1, 2), (1, 2, 2): no two states have three distinct ratios. The squares of the "
        "coordinates are combinations of the three quadratic forms, so if A makes all covariances diagonal again, no "
        "two rows of A share a coordinate: A is order and factors, without P2")
    uniform = _nested_table([[1, 1], [1, 1]])
    on.printed.prove(
        not uniform.satisfies_c and all(way.same_structure(uniform) for way in readings(uniform))
        and not uniform.merged(0, 1).satisfies_a,
        "of a uniform table with nested neighbourhoods P(U) is determined, without (c)")
