"""Kivva et al., Sections 2 to 3.3: the expected verdicts by another route, mutations, and checks that would fail."""

from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from itertools import product

import pytest
from common.mutations import assert_is_needed, first_of_each
from hypothesis import strategies as st

from ident_theory.claims import FAST, Verdict, run_claim
from ident_theory.claims.kivva import (
    hidden_variables,
    hierarchy,
    hierarchy_cones,
    hierarchy_limits,
    hierarchy_relations,
    injectivity,
    injectivity_infinite,
)
from ident_theory.claims.kivva.hidden_variables_tables import Table
from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, Pair, continuous, line_pairs, turned_inside
from ident_theory.claims.kivva.injectivity_infinite import (
    plateau_of,
    rational_at,
    segments_of_round,
    signed_at,
    signed_place,
)
from ident_theory.claims.kivva.injectivity_lines import coverage, pieces_of
from ident_theory.claims.kivva.injectivity_plane import generic_preimages
from ident_theory.models import AffineChange, GaussianMixture, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Status

MODULES = ("assumptions", "assumptions_preview", "injectivity", "hidden_variables", "hierarchy", "hierarchy_limits")
CLAIMS = {claim.id: claim for name in MODULES
          for claim in import_module(f"ident_theory.claims.kivva.{name}").chapter.claims}
MUTATIONS = [(id, name) for id, claim in CLAIMS.items() if claim.universal for name in claim.universal().needed]

#: By the audit, read against the paper: "needs an extra hypothesis" is repaired; a slip of notation is a typo; a
#: general statement that could only be searched is supported where the audit calls it verified by argument.
EXPECTED = {
    "kivva.p1": "repaired", "kivva.p1.onedefinite": "supported", "kivva.f1": "repaired",
    "kivva.rem2.1": "supported", "kivva.univ": "supported", "kivva.def2.1": "supported", "kivva.noise": "repaired",
    "kivva.eq3": "repaired", "kivva.sec2.ivaeJ": "typo", "kivva.sec3.J": "repaired", "kivva.cor3.1a": "repaired",
    "kivva.cor3.1b": "repaired", "kivva.def3.1.F2": "repaired", "kivva.def3.1.F3": "typo",
    "kivva.def3.1.F4": "supported", "kivva.rem3.1a": "supported", "kivva.rem3.1b": "repaired",
    "kivva.rem3.1c": "verified", "kivva.ex1a": "verified", "kivva.ex1b": "verified", "kivva.rem3.2": "repaired",
    "kivva.rem3.3": "verified", "kivva.p2": "repaired", "kivva.def3.2": "supported",
    "kivva.p3.definition": "supported", "kivva.p3b": "typo", "kivva.p3.necessary": "repaired",
    "kivva.rem3.4": "verified", "kivva.rem3.4.sufficient": "repaired", "kivva.sec3.2.notnecessary": "verified",
    "kivva.thm3.2a": "repaired", "kivva.thm3.2b": "repaired", "kivva.thm3.2c": "repaired",
    "kivva.thm3.2c.P2": "repaired", "kivva.thm3.3a": "repaired", "kivva.thm3.3b": "repaired",
    "kivva.thm3.3c": "repaired", "kivva.thm3.3d": "repaired", "kivva.thm3.3d.P2": "repaired",
    "kivva.table1": "repaired",
    "kivva.rem3.5a": "repaired", "kivva.rem3.5b": "repaired", "kivva.rem3.6": "verified", "kivva.rem3.7": "supported",
    "kivva.f2.notnecessary": "verified",
}


def test_every_claim_has_an_expectation():
    assert set(EXPECTED) == set(CLAIMS)


@pytest.mark.parametrize("id", EXPECTED)
def test_verdicts(id):
    outcome = run_claim(CLAIMS[id])
    assert (outcome.verdict, outcome.problems) == (EXPECTED[id], ())


@pytest.mark.slow
@pytest.mark.parametrize("id", EXPECTED)
def test_fewer_cases_give_the_same_verdict(id):
    assert run_claim(CLAIMS[id], FAST).verdict == EXPECTED[id]


@pytest.mark.parametrize(("id", "name"), first_of_each(MUTATIONS))
def test_a_dropped_hypothesis_lets_a_counterexample_in(id, name):
    assert_is_needed(CLAIMS[id].universal(), name)


def test_there_are_many_mutations():
    assert len(MUTATIONS) >= 75


# Checks that a wrong formula would not pass


def verdict(id: str) -> Verdict:
    return run_claim(CLAIMS[id], FAST).verdict


def test_f2_as_printed_is_found_out(monkeypatch):
    """With the ball anywhere in R^n the absolute value counts as weakly injective, and the theorem falls."""
    monkeypatch.setitem(HYPOTHESES, "weakly injective", lambda pair: injectivity.passes_as_printed(pair.decoders[0]))
    assert verdict("kivva.thm3.2a") is Verdict.OPEN


def test_factors_have_to_be_signed():
    """Theorem 3.2(b) with positive factors only is false: -Z is as good as Z."""
    def positive(pair: Pair) -> bool:
        return any(change.matrix_exact[0, 0] > 0 for change in hierarchy_relations.changes_of_the_line(*pair.priors))

    universal = replace(hierarchy.theorem_32b(), cases=lambda dropped: line_pairs(dropped), conclusion=positive)
    assert universal.search(cases=100).counterexample is not None


@pytest.mark.parametrize("condition", ["F2", "F3", "F4"])
def test_a_wrong_count_is_found_out(condition, monkeypatch):
    monkeypatch.setitem(injectivity.OWN, condition, lambda pieces: max(coverage(pieces), default=1) == 1)
    assert injectivity.agreement(condition).search(cases=200).counterexample is not None


def test_a_decision_of_the_toolkit_that_is_wrong_is_found_out(monkeypatch):
    monkeypatch.setattr(injectivity, "holds", lambda f, condition: True)
    for id in ("kivva.def3.1.F4", "kivva.rem3.1c", "kivva.ex1b", "kivva.rem3.3"):
        assert verdict(id) in (Verdict.OPEN, Verdict.REFUTED), id


@pytest.mark.parametrize("count", [1, 2])
def test_a_wrong_count_in_the_plane_is_found_out(count, monkeypatch):
    monkeypatch.setattr(injectivity, "generic_preimages", lambda f, z: count)
    assert verdict("kivva.def3.1.F2") is Verdict.OPEN
    assert verdict("kivva.def3.1.F4") is Verdict.REFUTED


def test_wrong_decisions_in_the_plane_are_found_out_both_ways(monkeypatch):
    decide = injectivity.decoder_findings
    for condition, status in product(("F2", "F3", "F4"), (Status.HOLDS, Status.FAILS)):
        monkeypatch.setattr(injectivity, "decoder_findings", lambda f, name=condition, as_status=status: {
            **decide(f), name: replace(decide(f)[name], status=as_status)})
        found = injectivity.plane_agreement().search(cases=60)
        # A network that is injective and said not to be has no pair of points to look at.
        assert (found.counterexample is not None) is ((condition, status) != ("F4", Status.FAILS))


def test_plateaus_have_to_be_everywhere(monkeypatch):
    monkeypatch.setattr(injectivity_infinite, "signed_at", lambda k: abs(signed_at(k)))
    assert verdict("kivva.rem3.1b") is Verdict.OPEN
    assert verdict("kivva.f1") is Verdict.OPEN


def test_table_1_needs_a_jump(monkeypatch):
    monkeypatch.setitem(HYPOTHESES, "continuous", lambda pair: True)
    assert verdict("kivva.table1") is Verdict.OPEN


def test_affine_copies_have_to_be_made_rightly(monkeypatch):
    monkeypatch.setattr(AffineChange, "precompose", lambda self, decoder: decoder)
    assert verdict("kivva.rem3.7") is Verdict.REFUTED


def test_the_label_swap_has_to_swap(monkeypatch):
    monkeypatch.setattr(Table, "swapped", lambda self, i, given: self)
    assert verdict("kivva.p3.necessary") is Verdict.OPEN


def test_a_merged_table_that_kept_p3_is_found_out(monkeypatch):
    monkeypatch.setattr(Table, "merged", lambda self, i, j: self)
    assert verdict("kivva.p3b") is Verdict.OPEN


@pytest.mark.parametrize("values", [
    (*hierarchy_cones.F.values[:5], (0, 1, 0, 0), (0, -1, -1, 1), (1, 0, 0, 0)),  # not the mirror image
    hierarchy_cones.F.values,  # the same map
])
def test_the_cones_have_to_be_mirrored(values, monkeypatch):
    wrong = hierarchy_cones.ConeMap(values)
    for module in (hierarchy_cones, hierarchy_limits):
        monkeypatch.setattr(module, "G", wrong)
    assert verdict("kivva.rem3.5a") is Verdict.OPEN


def test_cones_that_meet_are_seen():
    p, q, r, s = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)
    assert hierarchy_cones.double_directions(hierarchy_cones.ConeMap((p, q, r, p, p, q, r, p))) is None
    crossing = hierarchy_cones.ConeMap((p, q, r, p, p, s, (0, 1, 1, -1), p))
    found = hierarchy_cones.double_directions(crossing)
    assert found
    assert any(tuple(value) == (0, 1, 1, 0) or tuple(-value) == (0, 1, 1, 0) for value in found)


def test_splittings_of_the_absolute_value_are_not_unique():
    prior = GaussianMixture(["1/4", "3/4"], [-2, 1], [1, 1])
    total = hierarchy_limits.image(prior, 1)
    for key, weight in hierarchy_limits.image(prior, -1).items():
        total[key] = total.get(key, Fraction(0)) + weight
    assert None in [part for _, part in hierarchy_limits.splittings(total)]


def test_splittings_add_up():
    prior = GaussianMixture(["1/4", "3/4"], [-2, 1], [1, 1])
    total = hierarchy_limits.image(prior, -1) | hierarchy_limits.image(prior, 2)
    ways = list(hierarchy_limits.splittings(total))
    assert ways
    for (a, c), part in ways:
        again = dict(part)
        for (mean, variance), weight in part.items():
            key = (a * mean + c, a * a * variance)
            again[key] = again.get(key, Fraction(0)) + weight
        assert again == total


# The second routes themselves


def test_a_stretch_turned_round():
    f = PiecewiseAffineMap([0], [1, 3], [0, 0])
    g = turned_inside(f, Fraction(0), Fraction(2))
    for z in (-3, Fraction(-3, 2), Fraction(1, 2), Fraction(7, 4), 5):
        inside = abs(z) < 2
        assert g([float(z)])[0, 0] == f([float(-z if inside else z)])[0, 0]
    assert not continuous(g)


def test_the_enumeration_of_rationals_inverts():
    assert [plateau_of(rational_at(k)) for k in range(300)] == list(range(300))
    assert len({rational_at(k) for k in range(300)}) == 300
    assert [signed_place(signed_at(k)) for k in range(300)] == list(range(300))


def test_the_curve_is_connected_and_no_two_segments_share_a_line():
    corner, lines = None, []
    for i in range(40):
        segments = segments_of_round(i)
        for k, (line, low, high) in enumerate(segments):
            # Each segment begins where the last one ended: its line is one end of the last, and the last's line of it.
            assert corner is None or (i > 0 and k == 0) or line in corner[1:]
            assert corner is None or corner[0] in (low, high)
            corner = (line, low, high)
            lines.append((k % 2, line))
    assert len(set(lines)) == len(lines)


def test_preimages_of_a_fold_and_of_a_flat_cell():
    fold = ReLUNetwork([[[1, 0], [-1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]], [[0, 0, 0], [0, 0]], "1/10")
    assert generic_preimages(fold, [Fraction(3, 7), Fraction(1, 5)]) == 2
    flat = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])
    assert generic_preimages(flat, [Fraction(-1), Fraction(1)]) is None
    assert generic_preimages(flat, [Fraction(1), Fraction(1)]) == 1


@pytest.mark.parametrize(("first", "second", "related"), [
    (([1], [0], [1]), ([1], [5], [2]), True),
    ((["1/2", "1/2"], [0, 1], [1, 1]), (["1/2", "1/2"], [0, 2], [4, 4]), True),
    ((["1/2", "1/2"], [0, 1], [1, 1]), (["1/2", "1/2"], [0, 2], [2, 2]), False),
    ((["1/4", "3/4"], [0, 1], [1, 2]), (["1/4", "3/4"], [1, 0], [1, 2]), True),
    ((["1/4", "3/4"], [0, 1], [1, 2]), (["3/4", "1/4"], [0, 1], [1, 2]), False),
])
def test_affine_relations_of_the_line(first, second, related):
    pair = GaussianMixture(*first), GaussianMixture(*second)
    assert hierarchy_relations.affinely_related(*pair) is related
    assert hierarchy_relations.affinely_related(*pair[::-1]) is related
    assert hierarchy_relations.monomially_related(*pair) is related


def test_equal_components_count_for_the_labels():
    pair = [GaussianMixture(w, [0, 0], [1, 1]) for w in (["1/2", "1/2"], ["3/10", "7/10"])]
    assert hierarchy_relations.affinely_related(*pair)
    assert hierarchy_relations.affinely_related(*pair, labelled=True) is False


def test_networks_of_loops_compute_them():
    loop = hierarchy_limits.joined_loop()
    z = [-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0]
    assert abs(hierarchy_limits.as_network(loop)(z) - loop(z)).max() < 1e-12
    assert len(pieces_of(hierarchy_limits.as_network(loop))) == 5


def test_hidden_variables_strategy_draws_what_it_says():
    from hypothesis import given, settings

    @settings(max_examples=30, database=None, deadline=None)
    @given(hidden_variables.tables(edges=st.sampled_from(hidden_variables.ANTICHAINS)))
    def check(table):
        assert table.satisfies_a
        assert table.satisfies_c

    check()
