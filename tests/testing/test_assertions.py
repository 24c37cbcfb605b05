"""Every assertion passes where it should, fails with what a reader needs, and never passes what is undecided."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

import ident_theory as it
from ident_theory import ConditionalPrior, GaussianMixture, GaussianNoise, Model, ReLUNetwork, Status
from ident_theory.conditions.rule import Verdict
from ident_theory.spec import to_json
from ident_theory.testing import (
    UndecidedError,
    VerdictError,
    VerdictRow,
    assert_condition,
    assert_equal_in_law,
    assert_equivalent,
    assert_identifiable,
    assert_L_invertible,
    assert_not_equal_in_law,
    assertions,
    verdicts,
)

ABSOLUTE, RELU, VANILLA = (it.load_example(name) for name in ("absolute_value", "relu", "vanilla_vae"))
FOURS = it.load_example("example4_f"), it.load_example("example4_g")


def message(call, kind=VerdictError):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value), caught.value


# assert_identifiable


def test_identifiable_models_pass(tmp_path):
    report = assert_identifiable(RELU, "monomial")
    assert report.conclusion.theorem == "kivva.thm3.2b"
    assert assert_identifiable(VANILLA).conclusion.equivalence == "affine"
    assert assert_identifiable(VANILLA, "orthogonal", target="decoder", evidence="exact")
    file = tmp_path / "model.json"
    file.write_text(to_json(RELU))
    told: list[VerdictRow] = []
    with verdicts.listening(told.append):
        assert_identifiable(str(file))
        assert_identifiable(file)
    assert [row.model for row in told] == ["model.json"] * 2


def test_a_second_model_is_shown():
    text, error = message(lambda: assert_identifiable(ABSOLUTE, name="folded"))
    assert text.startswith("folded: law of the latent, P(Z): to be identified up to an invertible affine map of z, but "
                           "a second model with the same law of x is not the same")
    for part in ("F2 fails", "witness: the degree is 0", "to mend it: let some open part of the image", "the check:",
                 "condition       status", "component 0 can be moved by z' = -1 z + 0"):
        assert part in text, part
    assert error.report["F2"].status is Status.FAILS
    (row,) = error.rows
    assert (row.model, row.question, row.verdict, row.evidence, row.passed) == (
        "folded", "latent affine", "not identified", "exact", False)


def test_no_theorem_is_not_called_a_proof():
    text, error = message(lambda: assert_identifiable(VANILLA, "monomial"))
    assert "no theorem shows it" in text
    assert "the second models below differ in something else" in text
    assert error.rows[0].verdict == "not shown"
    text, _ = message(lambda: assert_identifiable(it.load_example("mnist_ten_classes")))
    assert "no second model with the same law was found either" in text
    assert "add 1 more value of u" in text


def test_more_latents_than_observations_says_so():
    model = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 2]]], [[0]]), GaussianNoise(1))
    text, _ = message(lambda: assert_identifiable(model, "affine", target="decoder"))
    assert "2 latents and 1 observed coordinate" in text


def test_undecided_has_a_text_of_its_own():
    """A decoder too large for the time allowed."""
    rng = np.random.default_rng(0)
    net = ReLUNetwork([rng.integers(-3, 4, size=(20, 5)), rng.integers(-3, 4, size=(20, 20)),
                       rng.integers(-3, 4, size=(5, 20))], [rng.integers(-3, 4, size=k) for k in (20, 20, 5)])
    model = Model(GaussianMixture([1], [[0] * 5], [[1] * 5]), net, GaussianNoise(1))
    report = it.check(model, budget=0.05)
    assert any(item.verdict is Verdict.UNDECIDED for item in report.theorems)
    text, error = message(lambda: assert_identifiable(model, budget=0.05), UndecidedError)
    assert "UNDECIDED, which is neither a proof nor a counterexample" in text
    assert (error.rows[0].verdict, error.rows[0].evidence) == ("undecided", "-")
    assert isinstance(error, VerdictError)
    message(lambda: assert_condition(model, "F2", budget=0.05), UndecidedError)


def test_evidence_may_be_asked_for():
    prior = ConditionalPrior("normal", [[[k, -1 - k * k]] for k in range(3)])
    declared = Model(prior, it.DeclaredMap(1, 3, ["injective"]), GaussianNoise(1))
    report = it.check(declared)
    assert report.conclusions
    (first, *_) = report.conclusions
    assert first.evidence == "declared"
    what = {"up_to": first.equivalence, "target": first.target}
    assert_identifiable(declared, **what)
    text, error = message(lambda: assert_identifiable(declared, **what, evidence="exact"))
    assert "with the evidence declared only; exact was asked for" in text
    assert error.rows[0].verdict == "identified"


def test_a_rejected_proof_fails(monkeypatch):
    def forged(model, *arguments, **options):
        report = it.check(model, *arguments, **options)
        other = it.check(ABSOLUTE)
        return replace(report, findings={**report.findings, "F2": replace(report["F2"], proof=other["P1"].proof)})

    monkeypatch.setattr(assertions, "check", forged)
    text, error = message(lambda: assert_identifiable(RELU))
    assert "a proof is rejected" in text
    assert error.rows[0].verdict == "rejected"


# The others


def test_conditions():
    assert assert_condition(RELU, "F2").certificate is not None
    assert assert_condition(ABSOLUTE, "F2", "fails").witness is not None
    text, error = message(lambda: assert_condition(ABSOLUTE, "F2", name="folded"))
    assert text.startswith("folded: expected that F2 holds; it fails (exact)")
    assert "witness: the degree is 0" in text
    assert "to mend it:" in text
    assert "condition       status" in text
    assert error.rows[0].question == "F2"
    text, _ = message(lambda: assert_condition(RELU, "F2", "fails"))
    assert "to mend it" not in text
    with pytest.raises(it.InputError, match="did you mean"):
        assert_condition(RELU, "F22")


def test_the_matrix_l():
    good = ConditionalPrior.from_means_variances([[0], [1], [0]], [[1], [1], [2]])
    assert assert_L_invertible(good).status is Status.HOLDS
    assert assert_L_invertible(Model(good, it.DeclaredMap(1, 2, ["injective"]))).certificate is not None
    text, error = message(lambda: assert_L_invertible(ConditionalPrior("normal", [[[1, -1]], [[2, -2]]])))
    assert "it takes nk + 1 = 3" in text
    assert "witness: latent 0" in text
    assert error.report.condition == "ivae.L"
    message(lambda: assert_L_invertible(it.load_example("gin_three_clusters")))
    with pytest.raises(it.InputError, match="expected a ConditionalPrior"):
        assert_L_invertible(RELU)


def test_laws():
    assert assert_equal_in_law(*FOURS).status is Status.HOLDS
    assert assert_not_equal_in_law(RELU, replace_noise(ABSOLUTE, RELU)).status is Status.FAILS
    text, error = message(lambda: assert_not_equal_in_law(*FOURS))
    assert "expected that equal_in_law fails; it holds (exact)" in text
    assert "/" in error.rows[0].model
    text, error = message(lambda: assert_equal_in_law(RELU, replace_noise(ABSOLUTE, RELU), name="two"))
    assert "probabilities differ by" in text
    assert error.report.status is Status.FAILS


def replace_noise(model, other):
    return Model(model.prior, model.decoder, other.noise)


def test_laws_that_are_not_decided_do_not_pass_either_way(monkeypatch):
    found = replace(it.equal_in_law(*FOURS), status=Status.UNKNOWN, proof=None, reason="the budget ran out")
    monkeypatch.setattr(assertions, "equal_in_law", lambda *args, **options: found)
    for check in (assert_equal_in_law, assert_not_equal_in_law):
        text, _ = message(lambda check=check: check(*FOURS), UndecidedError)
        assert "UNDECIDED" in text
        assert "the budget ran out" in text


def test_equivalent_models():
    f = RELU.decoder
    turned = Model(it.AffineChange(2, 1).carry(RELU.prior), it.AffineChange(2, 1).precompose(f), RELU.noise)
    found = assert_equivalent(RELU, turned)
    assert str(found.change) == "z' = 2 z + 1"
    assert assert_equivalent(RELU, turned, "monomial")
    text, error = message(lambda: assert_equivalent(RELU, turned, "permutation"))
    assert "to be equivalent up to the order" in text
    assert error.report.equivalence != "permutation"
    text, _ = message(lambda: assert_equivalent(*FOURS))
    assert "equivalent.affine fails" in text


def test_equivalence_that_is_not_decided(monkeypatch):
    found = it.equivalence(*FOURS)
    unknown = {key: replace(item, status=Status.UNKNOWN, proof=None) for key, item in found.findings.items()}
    monkeypatch.setattr(assertions, "equivalence", lambda *args, **options: replace(found, findings=unknown))
    monkeypatch.setattr(it.Correspondence, "verify", lambda self: None)
    text, _ = message(lambda: assert_equivalent(*FOURS), UndecidedError)
    assert "UNDECIDED" in text


@pytest.mark.parametrize(("call", "text"), [
    (lambda: assert_identifiable(3), "model: expected Model or str or Path, found int"),
    (lambda: assert_identifiable(RELU, "linear"), "up_to: expected one of equal, .*, found 'linear'"),
    (lambda: assert_identifiable(RELU, "none"), "up_to: expected one of"),
    (lambda: assert_identifiable(RELU, target="z"), "target: expected one of latent"),
    (lambda: assert_identifiable(RELU, evidence="proof"), "evidence: expected one of exact"),
    (lambda: assert_condition(RELU, "F2", "true"), "status: expected one of holds, fails, unknown, found 'true'"),
    (lambda: assert_identifiable(RELU, name=3), "assert_identifiable: name: expected a text or None, found 3"),
    (lambda: assert_identifiable(RELU, budget=-1), "assert_identifiable: budget: expected a number of seconds > 0"),
    (lambda: assert_condition(RELU, 3), "assert_condition: condition: expected str, found int"),
    (lambda: assert_L_invertible(None), "prior: expected ConditionalPrior or Model or str or Path"),
    (lambda: assert_equal_in_law(RELU, 3), "assert_equal_in_law: model_b: expected Model or str or Path, found int"),
    (lambda: assert_equivalent(RELU, VANILLA), "assert_equivalent: model_b: expected observations of dimension 1 .* 3"),
    (lambda: assert_equivalent(RELU, RELU, "block_permutation"), "up_to: expected one of"),
])
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(it.InputError, match=text):
        call()


# Rows


def test_rows_of_passing_assertions_are_told():
    told: list[VerdictRow] = []
    with verdicts.listening(told.append):
        assert_identifiable(RELU, name="one")
        assert_condition(RELU, "F1", name="two")
    assert [(row.model, row.verdict) for row in told] == [("one", "identified"), ("two", "holds")]
    assert all(row.passed for row in told)
    assert_condition(RELU, "F1")
    assert len(told) == 2


def test_rows_behind_groups_and_causes_are_found():
    row = VerdictRow("m", "F2", "holds", "fails", "exact", "why", False)
    error = VerdictError("text", (row,))
    assert verdicts.failing_rows(ExceptionGroup("several", [error, VerdictError("again", (row,))])) == (row,)
    outer = RuntimeError()
    outer.__cause__ = error
    assert verdicts.failing_rows(outer) == (row,)
    assert verdicts.failing_rows(None) == verdicts.failing_rows(ValueError()) == ()


def test_errors_travel_between_processes():
    error = UndecidedError("text", (VerdictRow("m", "F2", "holds", "unknown", "-", "why", False),), RELU)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.rows, again.report) == (UndecidedError, "text", error.rows, RELU)
