"""Theorems as rules: each applies when all of its premises hold, and never when one of them is missing."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ident_theory.conditions.bibliography import ENTRIES, bibtex, keys_of
from ident_theory.conditions.lattice import Equivalence, Target, finest
from ident_theory.conditions.result import TheoremResult
from ident_theory.conditions.rule import Premise, Theorem, Verdict
from ident_theory.conditions.scope import FACTS, facts
from ident_theory.conditions.statistics import latent_ambiguity
from ident_theory.conditions.theorems import (
    CONVENTIONS,
    DECLARABLE,
    THEOREMS,
    Premises,
    check_declared,
    choose,
    conclusions,
    next_steps,
)
from ident_theory.errors import InputError
from ident_theory.exact.findings import Finding
from ident_theory.models import ConditionalPrior, DeclaredMap, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models.families import family
from ident_theory.numerics import Evidence, Status

EQUIVALENCES = st.sampled_from(Equivalence)
AFFINE_MAP = ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]])
MIXTURE = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), AFFINE_MAP).plain()
#: For each family, a prior of it: two values of u, two latents.
NATURAL = {"normal": (0, -1), "lognormal": (0, -1), "gamma": (1, -1), "inverse_gamma": (-1, -1), "beta": (1, 1),
           "inverse_gaussian": (-1, -1), "normal_variance": (-1,)}


CONDITIONS = sorted({name for theorem in THEOREMS.values() for name in theorem.conditions} - {*DECLARABLE, *FACTS})


def conditional(family: str) -> dict[str, object]:
    parameters = list(NATURAL[family])
    return Model(ConditionalPrior(family, [[parameters, parameters]] * 2), AFFINE_MAP).plain()


def fitting(theorem: Theorem) -> dict[str, object]:
    """A model of the form that a theorem speaks about."""
    if "prior.mixture" in theorem.scope:
        return MIXTURE
    named = [fact.removeprefix("family.") for fact in theorem.scope if fact.startswith("family.")]
    return conditional("normal_variance" if "statistics.one" in theorem.scope else (named or ["normal"])[0])


def finding(condition: str, status: Status = Status.HOLDS, evidence: Evidence = Evidence.EXACT) -> Finding:
    return Finding(condition, status, evidence, f"reason of {condition}")


def all_hold(theorem: Theorem, **changed: Finding) -> dict[str, Finding]:
    return {**{name: finding(name) for name in theorem.conditions}, **changed}


def judge(theorem: Theorem, findings: dict[str, Finding], tree: dict[str, object] | None = None) -> TheoremResult:
    return Premises(findings, fitting(theorem) if tree is None else tree).apply(theorem)


# --- the lattice -----------------------------------------------------------------------------------------------------


@given(EQUIVALENCES, EQUIVALENCES, EQUIVALENCES)
def test_the_equivalences_are_partially_ordered(a, b, c):
    assert a.implies(a)
    assert not (a.implies(b) and b.implies(a)) or a is b
    assert not (a.implies(b) and b.implies(c)) or a.implies(c)
    assert Equivalence.EQUAL.implies(a)
    assert a.implies(Equivalence.NONE)
    assert a.is_finer(b) == (a.implies(b) and a is not b)
    order = list(Equivalence)
    assert not a.is_finer(b) or order.index(a) < order.index(b)


@given(EQUIVALENCES, EQUIVALENCES, EQUIVALENCES)
def test_the_join_is_the_least_upper_bound(a, b, c):
    top = a.join_with(b)
    assert a.implies(top)
    assert b.implies(top)
    assert top is b.join_with(a)
    assert not (a.implies(c) and b.implies(c)) or top.implies(c)
    assert a.join_with(b).join_with(c) is a.join_with(b.join_with(c))


@given(st.lists(EQUIVALENCES))
def test_the_finest_are_what_nothing_given_is_finer_than(items):
    best = finest(items)
    assert set(best) <= set(items)
    assert all(any(one.implies(item) for one in best) for item in items)
    assert not any(one.is_finer(other) for one in best for other in best)


def test_the_order_is_that_of_the_groups_of_maps():
    """The equivalences of z itself against sets of maps z -> A z + b of the plane, by enumeration."""
    fifths = [((Fraction(3, 5), Fraction(4, 5)), (Fraction(-4, 5), Fraction(3, 5)))]
    matrices = [((a, b), (c, d)) for a, b, c, d in itertools.product(range(-2, 3), repeat=4)] + fifths
    maps = [(m, b) for m in matrices for b in ((0, 0), (1, 0)) if m[0][0] * m[1][1] != m[0][1] * m[1][0]]

    def is_permutation(m, b):
        return b == (0, 0) and m in (((1, 0), (0, 1)), ((0, 1), (1, 0)))

    def is_orthogonal(m, b):
        rows = [[sum(m[i][k] * m[j][k] for k in range(2)) for j in range(2)] for i in range(2)]
        return b == (0, 0) and rows == [[1, 0], [0, 1]]

    tests = {Equivalence.EQUAL: lambda m, b: m == ((1, 0), (0, 1)) and b == (0, 0),
             Equivalence.PERMUTATION: is_permutation, Equivalence.ORTHOGONAL: is_orthogonal,
             Equivalence.MONOMIAL: lambda m, b: all(sum(x != 0 for x in row) == 1 for row in m),
             Equivalence.AFFINE: lambda m, b: True}
    members = {item: {pair for pair in maps if test(*pair)} for item, test in tests.items()}
    for a, b in itertools.product(tests, repeat=2):
        assert a.implies(b) == (members[a] <= members[b]), (a, b)


def test_what_does_not_compare():
    assert Equivalence.MONOMIAL.join_with(Equivalence.ORTHOGONAL) is Equivalence.AFFINE
    assert Equivalence.AFFINE.join_with(Equivalence.BLOCK_PERMUTATION) is Equivalence.AFFINE_STATISTICS
    assert finest([Equivalence.AFFINE, Equivalence.BLOCK_PERMUTATION, Equivalence.AFFINE_STATISTICS]) == \
        (Equivalence.AFFINE, Equivalence.BLOCK_PERMUTATION)
    assert len({item.sentence for item in Equivalence}) == len(Equivalence)
    assert len({item.label for item in Target}) == len(Target)


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_every_theorem_of_the_five_papers_is_there():
    expected = {f"kivva.{name}" for name in (
        "cor3.1a", "cor3.1b", "thm3.2a", "thm3.2b", "thm3.2c", "thm3.3a", "thm3.3b", "thm3.3c", "thm3.3d", "thmC.1",
        "thmD.1", "thmD.4", "thmE.1", "thmE.2", "thmF.1", "sec3.4.vae")}
    expected |= {"ivae.thm1", "ivae.thm2", "ivae.thm3", "idnu.thm1", "idnu.thm2", "gin.thm1", "gin.appB", "gin.appC",
                 "gin.vp.suff", "gin.dim", "gan.thm"}
    assert expected <= set(THEOREMS)
    for theorem in THEOREMS.values():
        assert theorem.statement.endswith(".")
        assert theorem.correction, "the ledger corrects every one of them"
        assert set(theorem.scope) <= set(FACTS)
        assert set(theorem.references) <= set(ENTRIES)
        assert set(theorem.detail) <= set(theorem.conclusions)
        assert Equivalence.NONE not in theorem.conclusions.values()


@pytest.mark.parametrize("theorem", THEOREMS.values(), ids=THEOREMS)
def test_a_theorem_needs_each_of_its_premises(theorem):
    applied = judge(theorem, all_hold(theorem))
    assert applied == TheoremResult(theorem.id, Verdict.APPLIES, True, Evidence.EXACT, ())
    for premise in theorem.premises:
        for status, verdict in ((Status.FAILS, Verdict.MISSES), (Status.UNKNOWN, Verdict.UNDECIDED)):
            broken = {group[-1]: finding(group[-1], status) for group in premise.groups}
            result = judge(theorem, all_hold(theorem, **broken))
            assert result.verdict is verdict, premise
            assert [(item.condition, item.status) for item in result.missing] == [(premise.groups[0][-1], status)]
            assert result.missing[0].reason == f"reason of {premise.groups[0][-1]}"
        for name in premise.conditions:
            if len(premise.groups) == 1:
                weak = judge(theorem, all_hold(theorem, **{name: finding(name, evidence=Evidence.STATISTICAL)}))
                assert weak.verdict is Verdict.APPLIES
                assert weak.evidence is (Evidence.EXACT if name in CONVENTIONS else Evidence.STATISTICAL)


@pytest.mark.parametrize("theorem", THEOREMS.values(), ids=THEOREMS)
def test_a_failure_outweighs_what_is_undecided(theorem):
    first, second = (premise.conditions[0] for premise in theorem.premises[:2])
    result = judge(theorem, all_hold(theorem, **{first: finding(first, Status.UNKNOWN),
                                                 second: finding(second, Status.FAILS)}))
    assert result.verdict is Verdict.MISSES
    assert [item.condition for item in result.missing] == [first, second]


@pytest.mark.parametrize("theorem", THEOREMS.values(), ids=THEOREMS)
def test_a_theorem_says_nothing_outside_of_its_scope(theorem):
    assert all(facts(fitting(theorem))[name] for name in theorem.scope)
    other = conditional("normal") if "prior.mixture" in theorem.scope else MIXTURE
    result = judge(theorem, all_hold(theorem), other)
    assert (result.verdict, result.in_scope) == (Verdict.MISSES, False)
    assert result.missing[0].condition == theorem.scope[0]
    assert not conclusions([result])


def test_one_of_several_groups_is_enough_and_the_strongest_counts():
    theorem = THEOREMS["kivva.thmF.1"]
    fails = {name: finding(name, Status.FAILS) for name in ("P3", "L1", "L2", "L3", "L4")}
    ells = {name: finding(name, evidence=Evidence.NUMERICAL) for name in ("L1", "L2", "L3", "L4")}
    assert judge(theorem, all_hold(theorem, **fails)).verdict is Verdict.MISSES
    by_ells = judge(theorem, all_hold(theorem, **{**ells, "P3": fails["P3"]}))
    assert (by_ells.verdict, by_ells.evidence) == (Verdict.APPLIES, Evidence.NUMERICAL)
    assert judge(theorem, all_hold(theorem, **ells)).evidence is Evidence.EXACT
    assert judge(theorem, all_hold(theorem, **{**ells, "P3": fails["P3"], "L2": fails["L2"]})).verdict is Verdict.MISSES
    undecided = judge(theorem, all_hold(theorem, **{**ells, "P3": fails["P3"], "L2": finding("L2", Status.UNKNOWN)}))
    assert undecided.verdict is Verdict.UNDECIDED
    assert [item.condition for item in undecided.missing] == ["L2"]
    assert str(theorem.premises[-2]) == "P3 or L1+L2+L3+L4+prior.several"


def test_what_was_not_looked_at_is_undecided():
    theorem = THEOREMS["kivva.thm3.2a"]
    result = judge(theorem, {})
    assert result.verdict is Verdict.UNDECIDED
    assert len(result.missing) == len(theorem.premises)


# --- facts about the form of a model ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "expected"), [
    (Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [2], [0])),
     "prior.mixture prior.single prior.gaussian prior.standard decoder.affine decoder.square_affine"),
    (Model(GaussianMixture(["1/2", "1/2"], [0, 0], [1, 1]), PiecewiseAffineMap([], [[2, 1]], [[0, 0]])),
     "prior.mixture prior.single prior.gaussian prior.standard decoder.affine"),
    (Model(GaussianMixture([1, 0], [1, 0], [1, 1]), PiecewiseAffineMap([0], [1, 2], [0, 0])),
     "prior.mixture prior.single prior.gaussian"),
    (Model(GaussianMixture([["1/4"] * 2] * 2, [1, 2, 3, 4], [1] * 4), ReLUNetwork([[[1]], [[1]]], [[0], [0]])),
     "prior.mixture prior.several decoder.network"),
    (Model(ConditionalPrior("normal", [[[0, -1]]]), DeclaredMap(1, 1, ["volume_preserving"])),
     "prior.conditional statistics.more statistics.two family.normal"),
    (Model(ConditionalPrior("laplace", [[[-1]]]), DeclaredMap(1, 2, [])), "prior.conditional statistics.one"),
])
def test_facts(model, expected):
    assert {name for name, holds in facts(model.plain()).items() if holds} == set(expected.split())


def test_a_declared_property_is_a_premise_on_the_user_s_word():
    theorem = THEOREMS["gin.vp.suff"]
    base = {name: finding(name) for name in theorem.conditions if not name.startswith("decoder.")}
    prior = ConditionalPrior("normal", [[[0, -1]]])
    held = judge(theorem, base, Model(prior, DeclaredMap(1, 1, ["volume_preserving"])).plain())
    assert (held.verdict, held.evidence) == (Verdict.APPLIES, Evidence.DECLARED)
    assert judge(theorem, base, Model(prior, DeclaredMap(1, 1, [])).plain()).verdict is Verdict.UNDECIDED
    affine = judge(theorem, base, Model(prior, PiecewiseAffineMap([], [2], [0])).plain())
    assert (affine.verdict, affine.evidence) == (Verdict.APPLIES, Evidence.EXACT)


def test_training_is_never_seen_in_a_model():
    theorem = THEOREMS["ivae.thm3"]
    base = {name: finding(name) for name in theorem.conditions if name not in DECLARABLE}
    assert judge(theorem, base).verdict is Verdict.UNDECIDED
    known = Premises(base, fitting(theorem), ["training.posterior", "training.well_specified",
                                              "training.global_maximum"])
    result = known.apply(theorem)
    assert (result.verdict, result.evidence) == (Verdict.APPLIES, Evidence.DECLARED)


# --- what follows ----------------------------------------------------------------------------------------------------


def everything(tree, *broken, **changed):
    findings = {name: finding(name) for theorem in THEOREMS.values() for name in theorem.conditions
                if name not in DECLARABLE and name not in FACTS}
    findings |= {name: finding(name, Status.FAILS) for name in broken} | changed
    known = Premises(findings, tree)
    results = tuple(known.apply(theorem) for theorem in THEOREMS.values())
    reached = conclusions(results)
    return reached, next_steps(results, reached, known)


def held(reached):
    return {(str(item.target), str(item.equivalence)) for item in reached}


def test_the_strongest_conclusion_for_each_target():
    reached, steps = everything(MIXTURE)
    # An orthogonal map and a signed scaling do not compare, so both are kept for the decoder of a vanilla VAE.
    assert held(reached) == {("latent", "monomial"), ("joint", "monomial"), ("decoder", "orthogonal"),
                             ("decoder", "monomial"), ("structure", "permutation")}
    assert not steps
    assert held(everything(MIXTURE, "P2")[0]) == {("latent", "affine"), ("joint", "affine"), ("decoder", "orthogonal")}
    assert held(everything(MIXTURE, "F4", "P2")[0]) == {
        ("latent", "affine"), ("joint", "affine"), ("decoder", "affine_on_components")}
    assert held(everything(MIXTURE, "F4", "F3", "P2")[0]) == {("latent", "affine"), ("joint", "affine")}
    assert held(everything(MIXTURE, "P1.distinct", "F4", "F3", "P2")[0]) == {("latent", "affine")}
    assert not everything(MIXTURE, "F4", "F3", "F2")[0]
    assert not everything(MIXTURE, "P1")[0]


def test_conclusions_with_u_observed():
    assert held(everything(conditional("normal"))[0]) == {
        ("latent", "monomial"), ("decoder", "monomial"), ("statistics", "block_permutation"), ("dimension", "equal")}
    lognormal = everything(conditional("lognormal"))[0]
    assert held(lognormal) == {(name, "block_permutation") for name in ("latent", "decoder", "statistics")}
    assert held(everything(conditional("gamma"))[0]) >= {("latent", "monomial")}
    assert held(everything(conditional("gamma"), "exp.C1")[0]) == {
        (name, "affine_statistics") for name in ("latent", "decoder", "statistics")}
    assert held(everything(conditional("normal_variance"))[0]) == {
        (name, "block_permutation") for name in ("latent", "decoder", "statistics")}
    assert held(everything(conditional("normal_variance"), "exp.bounded")[0]) == {
        (name, "affine_statistics") for name in ("latent", "decoder", "statistics")}
    assert not everything(conditional("normal"), "exp.minimal")[0]


@pytest.mark.parametrize("theorem", [item for item in THEOREMS if item.startswith("gin.tab.")])
def test_rows_of_the_table_say_what_the_family_leaves_open(theorem):
    """The same relation as from the side of the statistics, which solve T(z) = A T(w) + c within the family."""
    name = next(fact for fact in THEOREMS[theorem].scope if fact.startswith("family.")).removeprefix("family.")
    assert latent_ambiguity(family(name)) == f"{THEOREMS[theorem].detail[Target.LATENT]} [{theorem}]"
    rows = [conclusion for conclusion in everything(conditional(name))[0] if conclusion.target is Target.LATENT]
    assert [row.theorem for row in rows] == [theorem]


def test_the_next_step_names_what_is_missing_and_what_supplies_it():
    _, steps = everything(MIXTURE, "P2")
    step = next(item for item in steps if item.target is Target.LATENT)
    assert step.equivalence is Equivalence.MONOMIAL
    assert [item.condition for item in step.missing] == ["P2"]
    assert "variances" in step.supply[0]
    _, steps = everything(MIXTURE, "F2", "F3", "F4")
    assert [(item.target, item.equivalence, *(part.condition for part in item.missing)) for item in steps] == [
        ("latent", "monomial", "F2"), ("joint", "monomial", "F2"), ("decoder", "affine_on_components", "F3"),
        ("decoder", "monomial", "F4"), ("decoder", "orthogonal", "F4"), ("structure", "permutation", "F2")]
    _, steps = everything(conditional("normal"), "ivae.L")
    step = next(item for item in steps if item.target is Target.LATENT)
    assert step.supply == ("add 3 more values of u: nk + 1 = 5 are needed, the prior has 2",)


def test_among_equal_conclusions_the_strongest_evidence_counts():
    reached, _ = everything(MIXTURE, "P2", F2=finding("F2", evidence=Evidence.NUMERICAL))
    joint = next(item for item in reached if item.target is Target.JOINT)
    assert (joint.theorem, joint.evidence) == ("kivva.cor3.1a", Evidence.EXACT)


STATUSES = st.dictionaries(st.sampled_from(CONDITIONS), st.sampled_from(Status))
TREES = st.sampled_from([MIXTURE, *(conditional(name) for name in NATURAL)])


def decided(tree, statuses):
    known = Premises({name: finding(name, statuses.get(name, Status.HOLDS)) for name in CONDITIONS}, tree)
    return [known.apply(theorem) for theorem in THEOREMS.values()]


@given(TREES, STATUSES)
def test_conclusions_are_what_the_premises_give(tree, statuses):
    """The same by plain logic: a theorem counts when its scope and, of each premise, one group hold."""
    holds = {**facts(tree), **{name: statuses.get(name, Status.HOLDS) is Status.HOLDS for name in CONDITIONS}}
    valid = [theorem for theorem in THEOREMS.values() if all(holds[name] for name in theorem.scope) and all(
        any(all(holds.get(name, False) for name in group) for group in premise.groups) for premise in theorem.premises)]
    reached = conclusions(decided(tree, statuses))
    for target in Target:
        expected = finest(theorem.conclusions[target] for theorem in valid if target in theorem.conclusions)
        assert tuple(item.equivalence for item in reached if item.target is target) == expected


@given(TREES, STATUSES, st.sampled_from(CONDITIONS))
def test_knowing_more_never_takes_a_conclusion_away(tree, statuses, improved):
    before = conclusions(decided(tree, statuses))
    after = conclusions(decided(tree, {**statuses, improved: Status.HOLDS}))
    for item in before:
        assert any(other.target is item.target and other.equivalence.implies(item.equivalence) for other in after)


@given(TREES, STATUSES)
def test_undecided_means_that_it_could_go_either_way(tree, statuses):
    unknown = {name for name, status in statuses.items() if status is Status.UNKNOWN}
    best = decided(tree, {**statuses, **dict.fromkeys(unknown, Status.HOLDS)})
    worst = decided(tree, {**statuses, **dict.fromkeys(unknown, Status.FAILS)})
    for now, high, low in zip(decided(tree, statuses), best, worst, strict=True):
        if now.verdict is Verdict.UNDECIDED and not set(DECLARABLE) & set(THEOREMS[now.theorem].conditions):
            assert (high.verdict, low.verdict) == (Verdict.APPLIES, Verdict.MISSES)
        if now.verdict is not Verdict.UNDECIDED:
            assert high.verdict is low.verdict is now.verdict


# --- wrong input -----------------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_a_suggestion():
    with pytest.raises(InputError, match=r"did you mean 'kivva\.thm3\.2a'"):
        choose(["kivva.thm32a"])
    with pytest.raises(InputError, match="a list of theorem ids"):
        choose("ivae.thm1")
    with pytest.raises(InputError, match="at least one theorem id"):
        choose([])
    with pytest.raises(InputError, match=r"did you mean 'training\.posterior'"):
        check_declared(["training.posteriour"])
    assert [item.id for item in choose(["ivae.thm1", "kivva.thm3.2a", "ivae.thm1"])] == ["kivva.thm3.2a", "ivae.thm1"]


def test_the_bibliography():
    assert keys_of(["kivva.thm3.2a", "gin.appB", "puthawala2022", "somewhere"]) == \
        {"kivva2022", "sorrenson2020", "puthawala2022"}
    text = bibtex(["kivva2022", "dideriksen2022", "kivva2022"])
    assert text.index("dideriksen2022") < text.index("kivva2022")
    assert text.count("@") == 2
    for key, entry in ENTRIES.items():
        assert entry.startswith("@")
        assert f"{{{key}," in entry
        assert entry.count("{") == entry.count("}")
    with pytest.raises(InputError, match="nobody"):
        bibtex(["nobody"])


def test_a_premise_in_words():
    assert Premise((("P3",), ("L1", "L2"))).conditions == ("P3", "L1", "L2")
