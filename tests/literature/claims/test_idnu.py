"""Willetts and Paige 2021: what each verdict should be, needed hypotheses, and that wrong formulas are caught."""

from dataclasses import replace
from fractions import Fraction
from math import comb, isclose

import numpy as np
import pytest
from common.mutations import assert_is_needed, first_of_each
from scipy import stats

from ident_theory.claims import FAST, find, run_claim
from ident_theory.claims.idnu import alignment, appendices, bounds, clustering, counts, logarithms, theorems, wilcoxon
from ident_theory.claims.idnu.printed_tables import TABLE_I5, TABLE_I6, TABLE_I7

#: By reading the paper and the audit, apart from the checks.
EXPECTED = {
    "idnu.def1": "supported", "idnu.eq1": "typo", "idnu.eq1.diagonal": "verified", "idnu.prop1": "repaired",
    "idnu.def2": "repaired", "idnu.thm1": "repaired", "idnu.thm1.i": "typo", "idnu.thm1.iii": "typo",
    "idnu.thm1.iv": "typo", "idnu.thm2": "repaired", "idnu.weak=strong": "verified", "idnu.thm1.check": "supported",
    "idnu.thm2.check": "supported", "idnu.thm1.both": "verified", "idnu.appA.mixing": "verified",
    "idnu.eq3": "typo", "idnu.s2.must": "repaired", "idnu.eq4": "repaired", "idnu.eq5": "verified",
    "idnu.bayes": "verified", "idnu.mc0": "verified", "idnu.eq6": "repaired", "idnu.mcc.strong": "repaired",
    "idnu.mcc.weak": "repaired", "idnu.insample": "supported", "idnu.cum": "verified", "idnu.480": "repaired",
    "idnu.5mo": "verified", "idnu.arch": "repaired", "idnu.55": "repaired", "idnu.3250": "repaired",
    "idnu.dzdx": "verified", "idnu.mixK": "repaired", "idnu.dz4": "verified", "idnu.L200": "verified",
    "idnu.appA": "verified", "idnu.F50": "verified", "idnu.E128": "verified", "idnu.tabB1": "verified",
    "idnu.tabB": "verified", "idnu.W5": "verified", "idnu.W6": "verified", "idnu.W7": "verified",
    "idnu.Wcons": "typo", "idnu.Wmult": "gap", "idnu.Wdir": "verified", "idnu.09": "verified",
    "idnu.power": "repaired", "idnu.resp": "verified", "idnu.E1": "typo", "idnu.E2": "repaired",
    "idnu.E3": "verified", "idnu.E.orthants": "supported", "idnu.F4": "typo", "idnu.CN": "repaired",
    "idnu.appH.noise": "verified", "idnu.appH.notnec": "verified",
}
CLAIMS = [pytest.param(claim.id, marks=pytest.mark.slow) if claim.slow else claim.id for claim in find(paper="idnu")]
#: Claims whose quantified form is a repair's: the mutations are those of tests/literature/claims/test_repair.py.
OF_REPAIRS = ("idnu.thm1.i", "idnu.thm2")
MUTATIONS = [(claim.id, name) for claim in find(paper="idnu") if claim.universal and claim.id not in OF_REPAIRS
             for name in claim.universal().needed]


def test_every_claim_has_an_expectation():
    assert set(EXPECTED) == {claim.id for claim in find(paper="idnu")}


@pytest.mark.parametrize("id", CLAIMS)
def test_verdict(id):
    outcome = run_claim(find([id])[0])
    assert (str(outcome.verdict), outcome.problems) == (EXPECTED[id], ())


@pytest.mark.parametrize(("id", "name"), first_of_each(MUTATIONS))
def test_hypothesis_is_needed(id, name):
    assert_is_needed(find([id])[0].universal(), name)


def verdict(id):
    return str(run_claim(find([id])[0], FAST).verdict)


# Numbers by another route


@pytest.mark.parametrize(("table", "printed"), [(TABLE_I5, 0.422), (TABLE_I6, 0.029), (TABLE_I7, 0.039)])
def test_p_values_by_random_signs(table, printed):
    """The same law of the statistic by drawing signs."""
    differences = np.array([float(d) for d in table.differences()])
    ranks = stats.rankdata(np.round(np.abs(differences), 6))
    signs = np.random.default_rng(0).choice([-1, 1], (400_000, len(ranks)))
    drawn = np.abs(signs @ ranks)
    estimate = np.mean(drawn >= abs(float(np.sign(differences) @ ranks)) - 1e-9)
    assert abs(estimate - printed) < 0.002
    assert isclose(estimate, float(wilcoxon.signed_ranks(table.differences())[1]), abs_tol=0.002)


def test_signed_ranks_of_small_samples_by_listing():
    from itertools import product

    differences = (Fraction(3), Fraction(-1), Fraction(1), Fraction(7), Fraction(2))
    ranks = [4, 1.5, 1.5, 5, 3]
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product([0, 1], repeat=5)]
    reach = 1.5
    assert wilcoxon.signed_ranks(differences) == (Fraction(3, 2), Fraction(2 * sum(s <= reach for s in sums), 32))


def test_conv_arithmetic_against_numbers():
    assert [counts.conv(28, 1, 3), counts.conv(28, 0, 2, 2), counts.transposed(7, 1, 4, 2)] == [28, 14, 14]


# Wrong formulas are caught


def test_another_digit_in_a_table_is_noticed(monkeypatch):
    wrong = replace(TABLE_I6, first=("0.7270", *TABLE_I6.first[1:]), p_value="0.031")
    monkeypatch.setattr(wilcoxon, "TABLE_I6", wrong)
    assert verdict("idnu.W6") == "open"


def test_consistent_differences_would_leave_the_table_claim_open(monkeypatch):
    mended = replace(TABLE_I7, difference=tuple("0.0054" if d == "0.0051" else d for d in TABLE_I7.difference))
    monkeypatch.setattr(wilcoxon, "TABLES", (TABLE_I5, TABLE_I6, mended))
    assert verdict("idnu.Wcons") == "open"


def test_enough_components_would_leave_the_claim_open(monkeypatch):
    monkeypatch.setattr(counts, "COMPONENTS", {"MNIST": 401, "CIFAR10": 401, "SVHN": 401})
    assert verdict("idnu.mixK") == "open"


def test_eleven_seeds_would_be_fifty_five_pairs(monkeypatch):
    assert comb(11, 2) == 55
    monkeypatch.setattr(counts, "SEEDS", 11)
    assert verdict("idnu.55") == "open"


def test_a_wrong_sign_in_eq5_is_refuted(monkeypatch):
    right = logarithms.FiniteBound.divergence_u
    monkeypatch.setattr(logarithms.FiniteBound, "divergence_u",
                        lambda self: {p: -v for p, v in right(self).items()})
    assert find(["idnu.eq5"])[0].universal().search().counterexample is not None


def test_if_eq6_were_eq5_nothing_would_be_refuted(monkeypatch):
    monkeypatch.setattr(clustering, "eq6", lambda case: case.joint_bound())
    assert verdict("idnu.eq6") == "open"


def test_a_bound_with_the_prior_term_is_not_refuted(monkeypatch):
    right = bounds._eq4
    monkeypatch.setattr(bounds, "_eq4", lambda case, u: logarithms.minus(
        right(case, u), logarithms.log_sum([(Fraction(-1), case.prior_u[u])])))
    assert verdict("idnu.eq4") == "open"


def test_a_missing_gibbs_inequality_is_noticed(monkeypatch):
    monkeypatch.setattr(bounds, "divergence_is_positive", lambda: False)
    assert verdict("idnu.eq5") == "open"


def test_a_lax_score_is_refuted(monkeypatch):
    monkeypatch.setattr(alignment, "NEAR_ONE", 0.8)
    line = tuple((Fraction(v),) for v in (-2, -1, 0, 1, 2, 3))
    bent = alignment.Codes(line, tuple((v**3,) for (v,) in line))
    for universal in (alignment.strong_score(), alignment.weak_score()):
        assert universal.meets(bent)
        assert universal.conclusion(bent) is False


def test_a_bound_on_the_condition_number_that_is_too_good_is_refuted():
    universal = find(["idnu.CN"])[0].universal()

    def twice(case):
        values = np.array([[float(v) for v in row] for row in case.matrix])
        singular = np.linalg.svd(values, compute_uv=False)
        return singular[0] / singular[-1] >= 2 * np.linalg.norm(values) / np.sqrt(len(values)) \
            / abs(np.linalg.det(values)) ** (1 / len(values))

    assert replace(universal, conclusion=twice).search().counterexample is not None


def test_the_printed_theorem_1_is_the_search_without_minimality():
    universal = theorems.weak_identifiability()
    assert universal.search(without=("minimality",)).counterexample is not None
    assert replace(universal, conclusion=lambda pair: pair[0].statistics == pair[1].statistics).search().counterexample


def test_invertible_relations_by_hand():
    line, plane = ((0, 0), (1, 2), (2, 4)), ((0, 0), (1, 0), (0, 1))
    line, plane = (tuple(tuple(Fraction(v) for v in row) for row in rows) for rows in (line, plane))
    moved = tuple((Fraction(1) - b, Fraction(5)) for a, b in line)
    assert theorems.invertibly_related(line, moved)
    assert not theorems.invertibly_related(line, plane)
    assert not theorems.invertibly_related(plane, line)


def test_both_matrices_are_invertible_in_the_counterexample_to_theorem_2():
    for rows in theorems._rotated_parameters():
        values = np.array([[float(v) for v in row] for row in rows])
        assert abs(np.linalg.det(values[1:] - values[0])) > 0.1


def test_a_permutation_instead_of_a_rotation_refutes_nothing(monkeypatch):
    monkeypatch.setattr(theorems, "ROTATION", ((Fraction(0), Fraction(-1)), (Fraction(1), Fraction(0))))
    assert verdict("idnu.thm2") == "open"


def test_weights_without_the_exponential_are_noticed(monkeypatch):
    right = clustering.Competitor.weights
    monkeypatch.setattr(clustering.Competitor, "weights", lambda self: [w.log() for w in right(self)])
    assert verdict("idnu.mc0") == "open"


def test_dropping_what_a_score_needs_leaves_cases_undecided():
    for claim, name in (("idnu.mcc.strong", "no constant latent"), ("idnu.mcc.weak", "no constant combination"),
                        ("idnu.insample", "no constant latent"), ("idnu.CN", "invertible")):
        found = find([claim])[0].universal().search(without=(name,))
        assert found.undecided > 0
        assert found.counterexample is None


def test_significance_after_correction_would_leave_the_claim_open(monkeypatch):
    right = wilcoxon.signed_ranks
    monkeypatch.setattr(wilcoxon, "signed_ranks", lambda d: (right(d)[0], right(d)[1] / 10))
    assert verdict("idnu.Wmult") == "open"


def test_logarithms_are_compared_exactly():
    half, third = Fraction(1, 2), Fraction(1, 3)
    assert logarithms.log_sum([(Fraction(1), Fraction(12)), (Fraction(-2), Fraction(2))]) == \
        logarithms.log_sum([(Fraction(1), Fraction(3))])
    assert logarithms.sign(logarithms.log_sum([(half, Fraction(9)), (Fraction(1), third)])) == 0
    assert logarithms.sign(logarithms.log_sum([(Fraction(1), Fraction(10**12 + 1, 10**12))])) == 1


def test_reached_orthants_against_a_grid():
    """Sign patterns of A x over a grid of x; a grid finds no pattern that is not there."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        shape = rng.integers(1, 4, 2)
        a = rng.choice([-1, 1], shape)
        points = rng.standard_normal((4000, shape[1])) @ a.T
        seen = {tuple(int(v) for v in row) for row in np.sign(points).astype(int)}
        found = appendices.reached(tuple(tuple(Fraction(int(v)) for v in row) for row in a))
        assert seen <= found
        assert (len(seen) == 2 ** len(a)) == (np.linalg.matrix_rank(a) == len(a))
