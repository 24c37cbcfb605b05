"""The repairs: what each verdict should be, that every hypothesis is needed, and that wrong mathematics is caught."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from common.mutations import assert_is_needed, first_of_each

from ident_theory.claims import FAST, Universal, find, run_claim
from ident_theory.claims.repair import affine_hull, facets, noise_removal, sum_of_curves

#: By reading, apart from the checks.
EXPECTED = {
    "repair.r1": "supported", "repair.r1.dense": "verified", "repair.r2": "verified", "repair.r2.star": "verified",
    "repair.r3": "verified", "repair.r3.rows": "verified", "repair.r4": "supported", "repair.r4.graph": "verified",
}
MUTATIONS = [(claim.id, name) for claim in find(paper="repair") if claim.universal is not None
             for name in claim.universal().needed]


def test_every_repair_has_an_expectation():
    assert set(EXPECTED) == {claim.id for claim in find(paper="repair")}


@pytest.mark.parametrize("id", EXPECTED)
def test_verdict(id):
    outcome = run_claim(find([id])[0])
    assert (str(outcome.verdict), outcome.problems) == (EXPECTED[id], ())


@pytest.mark.parametrize(("id", "name"), first_of_each(MUTATIONS))
def test_hypothesis_is_needed(id, name):
    assert_is_needed(find([id])[0].universal(), name)


def test_minimality_as_a_whole_is_needed():
    found = affine_hull.affine_hull().search(without=("1, T independent", "modulo null sets"))
    assert found.counterexample is not None


def test_independence_without_the_constant_is_too_weak():
    assert affine_hull.without_the_constant().search().counterexample is not None


def test_counterexamples_are_small():
    assert find(["repair.r3"])[0].universal().search(without=("onto",)).value.a == ((1, 1), (0, 1))
    mixed = find(["repair.r4"])[0].universal().search(without=("k >= 2",)).value
    assert mixed.k == 1
    assert len(mixed.targets) <= 2


def test_block_permutations_by_hand():
    one, two, zero = ((1, 0), (1, 2)), ((0, 1), (3, 0)), ((0, 0), (0, 0))
    blocks = {name: tuple(tuple(Fraction(v) for v in row) for row in rows)
              for name, rows in {"1": one, "2": two, "0": zero, "s": ((1, 2), (2, 4))}.items()}

    def decided(*rows):
        return sum_of_curves.is_block_permutation([[blocks[name] for name in row] for row in rows])

    assert decided("10", "02")
    assert decided("02", "10")
    assert decided("010", "002")
    assert not any([decided("12", "01"), decided("10", "20"), decided("00", "01"), decided("s0", "01")])


def test_searches_are_not_vacuous():
    """Of the cases that are drawn a third or more meets all hypotheses."""
    for claim in find(paper="repair"):
        if claim.universal is not None:
            found = claim.universal().search(cases=60)
            assert found.cases >= 60
            assert found.discarded <= 2 * found.cases
            assert found.undecided == 0


def test_idle_statistics_leave_the_laws_alone():
    """Pairs with equal laws, whose second model has more statistics than the first, are among the cases."""
    universal = noise_removal.noise_removal()
    found = replace(universal, conclusion=lambda pair: len(pair[1].statistics[0]) <= len(pair[0].statistics[0]))
    assert found.search().counterexample is not None


def test_other_statistics_of_a_family_would_be_noticed(monkeypatch):
    monkeypatch.setitem(sum_of_curves.SECOND_OF_FIRST, "gamma", ("exp(2*x)", "-oo", "oo"))
    assert str(run_claim(find(["repair.r4.graph"])[0]).verdict) == "open"


def stronger(universal: Universal, conclusion) -> Universal:
    return replace(universal, conclusion=conclusion)


def test_stronger_conclusions_are_refuted():
    hull, boxes = affine_hull.affine_hull(), facets.facets()
    assert stronger(hull, lambda case: affine_hull.rank(case.a) == len(case.a[0])).search().counterexample
    assert stronger(boxes, lambda case: all(v >= 0 for row in case.a for v in row)).search().counterexample
    curves = sum_of_curves.sum_of_curves()
    assert stronger(curves, lambda case: all(block[r][s] == 0 for row in case.blocks for block in row
                                             for r in range(case.k) for s in range(r))).search().counterexample


def test_the_relation_without_b_is_refuted():
    def without_b(pair):
        first, second = pair
        return all(noise_removal._statistic(first, u, z) == noise_removal._statistic(second, u, w)
                   for u in range(1, len(first.natural)) for z, at in enumerate(first.decoder)
                   for w, other in enumerate(second.decoder) if at == other)

    assert stronger(noise_removal.noise_removal(), without_b).search(cases=60).counterexample is not None


def test_a_relation_that_does_not_hold_is_no_case():
    case = affine_hull.affine_hull().search(without=("Z is a product",)).value
    moved = replace(case, shift=tuple(c + 1 for c in case.shift))
    assert affine_hull.affine_hull().meets(case, without=("Z is a product",))
    assert not affine_hull.affine_hull().meets(moved, without=("Z is a product",))


def test_onto_is_decided_as_by_vertices():
    """The image of a box is the box of its rows exactly if their volumes agree."""
    rng = np.random.default_rng(0)
    both = set()
    for _ in range(200):
        a = tuple(tuple(Fraction(int(v)) for v in row) for row in rng.integers(-1, 2, (2, 2)))
        source = tuple((Fraction(0), Fraction(int(v))) for v in rng.integers(1, 3, 2))
        target = tuple(facets.row_range(row, Fraction(0), source) for row in a)
        case = facets.BoxCase(a, (Fraction(0),) * 2, source, target)
        det = a[0][0] * a[1][1] - a[0][1] * a[1][0]
        if det == 0:
            continue
        lengths = [high - low for low, high in target]
        by_volume = abs(det) * source[0][1] * source[1][1] == lengths[0] * lengths[1]
        assert facets.is_onto(case) == by_volume
        both.add(by_volume)
    assert both == {True, False}


def test_integer_automorphisms_are_counted_right():
    """Permutations with scales 1, 2, 3 for the quadrant; signed permutations for the square and the cube."""
    assert facets.monomial_counts() == {"orthant, n = 2": (18, 0), "cube, n = 2": (8, 0), "orthant, n = 3": (6, 0),
                                        "cube, n = 3": (48, 0)}


def test_a_wrong_face_would_be_noticed(monkeypatch):
    right = facets.face_dimensions()
    monkeypatch.setattr(facets, "face_dimensions", lambda: {**right, (1, "up"): 1})
    assert str(run_claim(find(["repair.r3"])[0], FAST).verdict) == "open"
    assert str(run_claim(find(["repair.r3.rows"])[0], FAST).verdict) == "open"


def test_a_straight_family_would_be_noticed(monkeypatch):
    monkeypatch.setitem(sum_of_curves.SECOND_OF_FIRST, "gamma", ("2*x", "-oo", "oo"))
    assert str(run_claim(find(["repair.r4.graph"])[0]).verdict) == "open"
