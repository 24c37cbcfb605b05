"""check, the report, and its verification: what is stored can be derived again, and what was changed is rejected."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
from common.strategies import line_models
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.conditions.bibliography import ENTRIES
from ident_theory.conditions.check import ORDER, check
from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import Report
from ident_theory.conditions.rule import Verdict
from ident_theory.conditions.theorems import THEOREMS
from ident_theory.conditions.verification import verify_report
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.proof_kinds import BEST_EVIDENCE, PROVES
from ident_theory.exact.verifier import VERIFIERS
from ident_theory.examples import example_names, example_text, load_example
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.identity import Relation, compare, law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import (
    ConditionalPrior,
    DeclaredMap,
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
)
from ident_theory.numerics import Evidence, Status

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
LEAKY = ReLUNetwork([[[1], [2]], [[1, -1], [1, 1]]], [[0, 1], [0, 0]], "1/2")
TWO = GaussianMixture(["1/3", "2/3"], [-1, 2], [1, 2])
IDENTIFIED = Model(TWO, LEAKY, GaussianNoise("1/2"))
FOLDED = Model(TWO, ABSOLUTE)
#: Five values of u, two latents: L is invertible.
VARIED = ConditionalPrior.from_means_variances([[0, 0], [1, 0], [0, 1], [2, 1], [1, 3]],
                                               [[1, 1], [1, 2], [3, 1], [2, 5], [4, 1]])
GIVEN_U = Model(VARIED, DeclaredMap(2, 3, ["injective", "continuous"]), GaussianNoise("1/2"))


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    named = {"identified": IDENTIFIED, "folded": FOLDED, "given u": GIVEN_U}
    return {name: check(model) for name, model in named.items()}


def rejected(tree):
    return [what for what, accepted, _ in verify_report(tree) if not accepted]


def held(report):
    return {(str(item.target), str(item.equivalence)) for item in report.conclusions}


# --- what a report says ----------------------------------------------------------------------------------------------


def test_an_identified_model(reports):
    report = reports["identified"]
    assert held(report) == {("latent", "monomial"), ("joint", "monomial"), ("decoder", "monomial"),
                            ("structure", "permutation")}
    assert report.conclusion.equivalence is Equivalence.MONOMIAL
    assert report.conclusion.evidence is Evidence.EXACT
    assert report["F4"].status is Status.HOLDS
    assert report["F4"].certificate is not None
    assert report.status() is report.status(Equivalence.AFFINE) is Status.HOLDS
    assert report.status(Equivalence.EQUAL) is Status.FAILS
    assert report.status(theorem="kivva.thm3.2b") is Status.HOLDS
    assert report.status(theorem="ivae.thm1") is Status.FAILS
    # Scaling the latent never changes the law, so nothing finer than a factor and a shift can be had.
    assert [item.refutes for item in report.alternatives] == ["permutation"]


def test_a_folded_decoder(reports):
    report = reports["folded"]
    assert not report.conclusions
    assert report.conclusion.equivalence is Equivalence.NONE
    assert report["F2"].status is Status.FAILS
    assert report["F2"].witness is not None
    assert report.status() is Status.FAILS
    latent = next(item for item in report.next_steps if item.target is Target.LATENT)
    assert {item.condition for item in latent.missing} == {"F2"}
    assert report.alternatives[0].refutes == "affine"


def test_u_observed(reports):
    report = reports["given u"]
    assert held(report) == {("latent", "monomial"), ("decoder", "monomial"), ("statistics", "block_permutation"),
                            ("dimension", "equal")}
    assert report.conclusion.evidence is Evidence.DECLARED, "the decoder is the user's word"
    assert report["ivae.injective"].status is Status.HOLDS


def test_conditions_stand_in_a_fixed_order(reports):
    for report in reports.values():
        named = [name for name in report.findings if name in ORDER]
        assert named == sorted(named, key=ORDER.index)
        assert list(report.findings)[:len(named)] == named


def test_more_latents_than_observations():
    report = check(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0]]], [[0]])))
    assert report["dimension"].status is Status.FAILS
    assert not report.conclusions
    assert "Nearest model inside" in report.scope[0]
    assert report.alternatives
    assert not rejected(report.to_dict())


def test_a_singular_component_and_noise_that_cannot_be_removed():
    singular = check(Model(GaussianMixture(["1/2", "1/2"], [0, 1], [0, 1]), LEAKY))
    assert singular.scope[0].startswith("The prior has a component without a density")
    assert not singular.conclusions
    vanishing = check(Model(VARIED, DeclaredMap(2, 2, ["injective"]), FejerNoise(1)))
    assert "Gaussian noise" in vanishing.scope[0]
    assert not vanishing.conclusions


def test_only_the_theorems_asked_for():
    report = check(IDENTIFIED, ["kivva.thm3.2a", "ivae.thm1"])
    assert [item.theorem for item in report.theorems] == ["kivva.thm3.2a", "ivae.thm1"]
    assert held(report) == {("latent", "affine"), ("joint", "affine")}
    assert report.theorems[1].verdict is Verdict.MISSES
    assert not report.theorems[1].in_scope
    with pytest.raises(InputError, match=r"a theorem that was checked, among kivva\.thm3\.2a, ivae\.thm1"):
        report.status(theorem="kivva.thm3.2b")


def test_declared_premises():
    training = ["training.posterior", "training.well_specified", "training.global_maximum"]
    assert check(GIVEN_U, ["ivae.thm3"]).status(theorem="ivae.thm3") is Status.UNKNOWN
    report = check(GIVEN_U, ["ivae.thm3"], declared=training)
    assert report.conclusion.theorem == "ivae.thm3"
    assert report.conclusion.evidence is Evidence.DECLARED
    assert not rejected(report.to_dict())
    tree = report.to_dict()
    tree["declared"] = []
    assert rejected(tree)


def test_no_time_at_all_still_gives_a_report():
    deep = ReLUNetwork([[[(3 * i + 5 * j) % 7 - 3 for j in range(2)] for i in range(24)],
                        [[(5 * i + 3 * j) % 11 - 5 for j in range(24)] for i in range(24)],
                        [[(2 * i + 7 * j) % 5 - 2 for j in range(24)] for i in range(2)]],
                       [[1] * 24, [-1] * 24, [0, 0]])
    report = check(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), deep), budget=1e-9)
    undecided = [finding for finding in report.findings.values() if finding.status is Status.UNKNOWN]
    assert undecided
    assert all(finding.reason for finding in undecided)
    assert report.status() is Status.UNKNOWN
    assert not rejected(report.to_dict())


def test_citations_are_those_of_what_was_used(reports):
    assert set(_keys(reports["identified"])) >= {"kivva2022"}
    assert "sorrenson2020" not in _keys(reports["identified"])
    assert {"khemakhem2020", "sorrenson2020"} <= set(_keys(reports["given u"]))


def _keys(report):
    return [key for key in ENTRIES if f"{{{key}," in report.citations()]


def test_reports_are_deterministic():
    first, second = (check(FOLDED).to_dict() for _ in range(2))
    for tree in (first, second):
        tree["seconds"] = 0
    assert _timeless(first) == _timeless(second)


def _timeless(tree):
    if isinstance(tree, dict):
        return {key: _timeless(item) for key, item in tree.items() if "seconds" not in key}
    return [_timeless(item) for item in tree] if isinstance(tree, list) else tree


def test_models_with_one_law_are_as_alike_as_the_conclusions_say():
    """Every pair of a grid of models that has one law, against the exact comparison of laws, which knows no theorem."""
    priors = [GaussianMixture(["1/3", "2/3"], [mu, 2], [1, 1]) for mu in (-2, -1, 0, 1)]
    signs = (-1, 1)
    functions = [ReLUNetwork([[[b], [c]], [[a, 1]]], [[p, 0], [0]])
                 for a in (-2, -1, 0, 1, 2) for b in signs for c in signs for p in (-1, 0, 1)]
    alike: dict[object, list[Model]] = {}
    for prior, function in itertools.product(priors, functions):
        key = law_key(line_pieces(function), components_of(prior))
        alike.setdefault(key, []).append(Model(prior, function))
    constant = PiecewiseAffineMap([], [0], [0])
    related = {Relation.SAME, Relation.AFFINE}
    seen = dict.fromkeys((True, False), 0)
    for group in alike.values():
        claims = [{item.target for item in check(model).conclusions if item.equivalence.implies(Equivalence.AFFINE)}
                  for model in group] if len(group) > 1 else []
        for (a, claims_a), (b, claims_b) in itertools.combinations(zip(group, claims, strict=False), 2):
            both = claims_a & claims_b
            same_priors = compare(Model(a.prior, constant), Model(b.prior, constant)).relation in related
            same_models = compare(a, b).relation in related
            assert same_priors or Target.LATENT not in both
            assert same_models or Target.DECODER not in both
            seen[same_models] += 1
    assert min(seen.values()) > 30


# --- stored and verified ---------------------------------------------------------------------------------------------


def test_a_report_reads_back_and_verifies(reports):
    for report in reports.values():
        text = report.to_json()
        again = Report.from_json(text)
        assert again.to_json() == text
        assert again == Report.from_dict(json.loads(text))
        again.verify()
        lines = verify_report(again.to_dict())
        assert len(lines) == len(report.findings) + len(report.alternatives) + 3


@settings(max_examples=15)
@given(line_models())
def test_every_report_verifies(model):
    report = check(model, budget=5.0)
    assert not rejected(json.loads(report.to_json()))
    for finding in report.findings.values():
        assert finding.reason
        decided = finding.status is not Status.UNKNOWN
        assert (finding.proof is not None) == (decided and finding.condition != "noise.known")
    for theorem in report.theorems:
        assert theorem.missing or theorem.verdict is Verdict.APPLIES


def test_every_kind_of_proof_says_something():
    kinds = {kind for kind in VERIFIERS if not kind.startswith("pair.")}
    assert set(PROVES) == kinds
    assert set(BEST_EVIDENCE) <= kinds
    about_pairs = {"equal_in_law", "latents.affine", *(f"equivalent.{kind}" for kind in Equivalence)}
    assert {condition for claims in PROVES.values() for condition in claims} <= {*ORDER, *about_pairs}


@pytest.mark.parametrize("name", ["identified", "folded", "given u"])
def test_a_changed_status_is_rejected(reports, name):
    tree = reports[name].to_dict()
    for i, finding in enumerate(tree["findings"]):
        for status in {"holds", "fails"} - {finding["status"]}:
            changed = copy.deepcopy(tree)
            changed["findings"][i]["status"] = status
            proof = changed["findings"][i].pop("certificate", None) or changed["findings"][i].pop("witness", None)
            if proof:
                changed["findings"][i]["certificate" if status == "holds" else "witness"] = proof
            assert rejected(changed), (finding["condition"], status)
            changed["findings"][i].pop("certificate", None)
            changed["findings"][i].pop("witness", None)
            assert rejected(changed), "without a proof"
            changed["findings"][i]["evidence"] = "declared"
            assert rejected(changed), "and called the user's word"


def test_changed_conclusions_are_rejected(reports):
    tree = reports["identified"].to_dict()
    for edit in (
            lambda t: t["conclusions"][0].update(equivalence="equal"),
            lambda t: t["conclusions"][0].update(evidence="declared"),
            lambda t: t["conclusions"][0].update(theorem="kivva.thm3.2a"),
            lambda t: t["conclusions"].pop(),
            lambda t: t["theorems"][0].update(verdict="does not apply"),
            lambda t: t["theorems"].append(t["theorems"][0]),
            lambda t: t["theorems"][0].update(theorem="kivva.nothing"),
            lambda t: t["findings"].pop(0),
            lambda t: t["model"].clear(),
            lambda t: t["model"].update(decoder={"type": "relu_network"}),
            lambda t: t["model"].update(decoder=ABSOLUTE.plain()),
            lambda t: t.update(declared=["anything"]),
            lambda t: t["alternatives"][0].update(refutes="affine"),
            lambda t: t["alternatives"][0].update(model=IDENTIFIED.plain()),
            lambda t: t["alternatives"][0]["proof"]["data"].update(refutes="monomial"),
            lambda t: t["alternatives"][0]["proof"].update(kind="mixture.definite"),
    ):
        changed = copy.deepcopy(tree)
        edit(changed)
        assert rejected(changed)
        with pytest.raises(CertificateRejected):
            Report.from_dict(changed).verify()
    with pytest.raises(InputError, match="two for one"):
        Report.from_dict({**tree, "findings": tree["findings"] * 2})


def test_the_user_s_word_must_stand_in_the_model(reports):
    tree = reports["given u"].to_dict()
    assert "F4" not in rejected(tree)
    tree["model"]["decoder"]["properties"] = ["continuous"]
    assert {"F4", "ivae.injective"} <= set(rejected(tree))
    assert "continuous" not in rejected(tree)


def test_better_evidence_than_the_proof_has_is_rejected():
    prior = ConditionalPrior("normal_variance", [[-1], [-2]], standard_errors=[["1/100"], ["1/100"]])
    report = check(Model(prior, DeclaredMap(1, 1, ["injective"])))
    assert report["ivae.L"].evidence is Evidence.STATISTICAL
    assert report["ivae.L"].status is Status.HOLDS
    tree = report.to_dict()
    assert not rejected(tree)
    next(item for item in tree["findings"] if item["condition"] == "ivae.L")["evidence"] = "exact"
    assert "ivae.L" in rejected(tree)


@pytest.mark.parametrize("tree", [None, [], {}, {"kind": "search report"}, {"kind": "identifiability report"},
                                  {"kind": "identifiability report", "format": 1},
                                  {"kind": "identifiability report", "format": 99}])
def test_what_is_no_report(tree):
    with pytest.raises(InputError, match="report"):
        verify_report(tree)


def test_text_that_is_no_report():
    with pytest.raises(InputError, match="expected JSON"):
        Report.from_json("{")


@settings(max_examples=30)
@given(st.data())
def test_a_report_with_a_part_missing_is_no_report(reports, data):
    tree = reports["folded"].to_dict()
    key = data.draw(st.sampled_from(sorted(tree)))
    del tree[key]
    with pytest.raises(InputError):
        Report.from_dict(tree)


# --- wrong input -----------------------------------------------------------------------------------------------------


def test_wrong_input():
    with pytest.raises(InputError, match="expected a Model, got str"):
        check("model.toml")
    for budget in (0, -1, float("nan"), float("inf"), "60s", True):
        with pytest.raises(InputError, match="budget"):
            check(IDENTIFIED, budget=budget)
    with pytest.raises(InputError, match=r"did you mean 'kivva\.thm3\.2a'"):
        check(IDENTIFIED, ["kivva.thm3.2.a"])
    with pytest.raises(InputError, match="declared"):
        check(IDENTIFIED, declared=["injective"])


def test_an_unknown_condition(reports):
    with pytest.raises(InputError, match="did you mean 'F3'"):
        reports["identified"]["F33"]


def test_examples_come_with_the_package():
    assert "relu" in example_names()
    for name in example_names():
        assert load_example(name)
        assert example_text(name).startswith("# ")
    with pytest.raises(InputError, match="did you mean 'absolute_value'"):
        load_example("absolutevalue")


def test_every_theorem_has_a_verdict(reports):
    for report in reports.values():
        assert [item.theorem for item in report.theorems] == list(THEOREMS)


def test_a_discontinuous_decoder_is_not_identified_itself():
    jump = PiecewiseAffineMap([0], [1, 1], [0, 1])
    report = check(Model(TWO, jump))
    assert report["continuous"].status is Status.FAILS
    assert report["F4"].status is Status.HOLDS
    assert ("latent", "monomial") in held(report)
    assert Target.DECODER not in {item.target for item in report.conclusions}
