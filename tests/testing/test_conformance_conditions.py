"""Our conditions pass the suite, and a condition that breaks one rule fails the check of that rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ident_theory import Evidence, Finding, GaussianMixture, Status, Witness
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.prior import prior_findings
from ident_theory.numerics import Stopwatch
from ident_theory.testing import ConditionConformance, equivalent_pairs, models


def about_prior(name):
    return lambda model: prior_findings(model.prior)[name]


def about_decoder(name):
    return lambda model: decoder_findings(model.decoder, Stopwatch(20.0))[name]


class TestP1(ConditionConformance):
    @pytest.fixture
    def condition(self):
        return about_prior("P1")


class TestP2(ConditionConformance):
    up_to = "monomial"

    @pytest.fixture
    def condition(self):
        return about_prior("P2")


class TestInjectivity(ConditionConformance):
    cases = 25

    @pytest.fixture(params=["F2", "F3", "F4", "continuous"])
    def condition(self, request):
        return about_decoder(request.param)

    def models(self):
        return models((1, 2), depth=(0, 2), width=(1, 3))


HOLDS = about_prior("P1")


def no_finding(model):
    return HOLDS(model).status


def no_reason(model):
    return replace(HOLDS(model), reason="")


def no_proof(model):
    return replace(HOLDS(model), proof=None)


def wrong_side(model):
    found = HOLDS(model)
    return found if found.status is not Status.HOLDS else replace(found, status=Status.FAILS)


def random_reason(model, calls=[0]):  # noqa: B006
    calls[0] += 1
    return replace(HOLDS(model), reason=f"call {calls[0]}")


def about_another_model(model):
    """The proof is one for the standard normal prior."""
    other = prior_findings(GaussianMixture([1], [[0] * model.latent_dim], [[1] * model.latent_dim]))["P1"]
    return other


def false_witness(model):
    found = HOLDS(model)
    if found.status is not Status.FAILS:
        return found
    data = {key: ([[0]] if isinstance(item, list) else item) for key, item in found.proof.data.items()}
    return replace(found, proof=Witness(found.proof.kind, data))


def other_proof(model, calls=[0]):  # noqa: B006
    calls[0] += 1
    found = HOLDS(model)
    return found if found.proof is None else replace(found, proof=replace(found.proof, text=f"call {calls[0]}"))


def always_undecided(model):
    return Finding("P1", Status.UNKNOWN, Evidence.NUMERICAL, "who knows")


def two_names(model):
    return replace(HOLDS(model), condition=f"P{model.prior.n_components}", proof=None, evidence=Evidence.NUMERICAL)


def depends_on_the_parameters(model):
    return Finding("P1", Status.HOLDS if model.prior.n_components < 3 else Status.FAILS, Evidence.NUMERICAL, "counted")


def sometimes_undecided(model):
    return Finding("P1", Status.HOLDS if model.prior.n_components < 3 else Status.UNKNOWN, Evidence.NUMERICAL,
                   "counted")


@pytest.mark.parametrize(("check", "condition", "text"), [
    ("test_it_answers_with_findings", no_finding, "expected a Finding"),
    ("test_it_answers_with_findings", no_reason, "without a reason"),
    ("test_it_answers_with_findings", no_proof, "without a proof"),
    ("test_it_answers_with_findings", wrong_side, "with a certificate"),
    ("test_it_answers_alike_every_time", random_reason, "two answers"),
    ("test_it_answers_with_findings", two_names, "one condition with the names"),
    ("test_it_answers_alike_every_time", other_proof, "differ in proof"),
    ("test_certificates_verify", about_another_model, "rejected"),
    ("test_witnesses_verify", false_witness, "rejected"),
    ("test_equivalent_models_have_one_answer", depends_on_the_parameters, "for an equivalent"),
    ("test_equivalent_models_have_one_answer", sometimes_undecided, "for an equivalent"),
], ids=lambda item: getattr(item, "__name__", None))
def test_a_broken_condition_fails_its_check(check, condition, text):
    with pytest.raises(AssertionError, match=text) as caught:
        getattr(ConditionConformance(), check)(condition)
    assert "model file" in str(caught.value)
    assert len(str(caught.value)) < 2000, "the counterexample is not small"


def test_a_condition_that_never_answers_fails():
    with pytest.raises(AssertionError, match="undecided for each of 40 models"):
        ConditionConformance().test_it_answers_with_findings(always_undecided)


def test_a_verifier_that_accepts_everything_fails():
    class Suite(ConditionConformance):
        def verify(self, finding, model):
            pass

    with pytest.raises(AssertionError, match="accepted for the contrary"):
        Suite().test_a_proof_does_not_prove_the_contrary(HOLDS)


def test_a_proof_that_never_occurs_is_not_passed():
    with pytest.raises(pytest.skip.Exception, match="override models"):
        ConditionConformance().test_witnesses_verify(
            lambda model: Finding("F1", Status.HOLDS, Evidence.NUMERICAL, "always"))


def test_an_answer_may_be_undecided_where_that_is_said():
    class Suite(ConditionConformance):
        may_be_undecided = True

    Suite().test_equivalent_models_have_one_answer(sometimes_undecided)


def test_what_speaks_of_coordinates_is_not_unchanged_by_affine_maps():
    class Suite(ConditionConformance):
        def pairs(self):
            return equivalent_pairs("affine", 2, rewrite=False, diagonal=True, degenerate=False, components=2, depth=0)

    with pytest.raises(AssertionError, match="for an equivalent"):
        Suite().test_equivalent_models_have_one_answer(about_prior("P2"))
