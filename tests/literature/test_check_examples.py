"""Verdicts of the shipped examples, with their reasons, as the literature and the theory ledger have them."""

from __future__ import annotations

import functools

import pytest

from ident_theory.conditions.check import check
from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import Report
from ident_theory.examples import example_names, load_example
from ident_theory.laws.identity import Relation, compare
from ident_theory.numerics import Evidence, Status
from ident_theory.spec.reading import from_dict


@functools.cache
def report_on(name: str) -> Report:
    return check(load_example(name))


def statuses(report: Report, *conditions: str) -> str:
    letters = {Status.HOLDS: "+", Status.FAILS: "-", Status.UNKNOWN: "?"}
    return "".join(letters[report[name].status] for name in conditions)


def held(report: Report) -> set[str]:
    return {f"{item.target} {item.equivalence}" for item in report.conclusions}


#: Name -> F2 F3 F4 and continuity, and the conclusions.
EXPECTED = {
    "relu": ("++-+", {"latent monomial", "joint monomial", "structure permutation", "decoder affine_on_components"}),
    "absolute_value": ("---+", set()),
    "relu_of_minus_relu": ("---+", set()),
    "constant": ("---+", set()),
    "example4_f": ("+--+", {"latent monomial", "joint monomial", "structure permutation"}),
    "example4_g": ("+--+", {"latent monomial", "joint monomial", "structure permutation"}),
    "example5": ("---+", set()),
    "remark36_p": ("---+", set()),
    "remark36_q": ("---+", set()),
    "vanilla_vae": ("++++", {"latent affine", "joint affine", "decoder orthogonal"}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_mixtures(name):
    report = report_on(name)
    conditions, conclusions = EXPECTED[name]
    assert statuses(report, "F2", "F3", "F4", "continuous") == conditions
    assert held(report) == conclusions
    assert all(item.evidence is Evidence.EXACT for item in report.conclusions)
    report.verify()


def test_every_example_is_covered():
    assert set(example_names()) == {*EXPECTED, "gin_three_clusters", "mnist_ten_classes"}


def missing(report: Report, target: Target) -> set[str]:
    return {item.condition for step in report.next_steps if step.target is target for item in step.missing}


@pytest.mark.parametrize("name", ["absolute_value", "example5", "constant", "relu_of_minus_relu"])
def test_without_weak_injectivity_nothing_follows_and_that_is_what_is_missing(name):
    """Example 1 and Example 5."""
    report = report_on(name)
    assert missing(report, Target.LATENT) == {"F2"}
    assert any(item.refutes == "affine" for item in report.alternatives)


@pytest.mark.parametrize(("name", "other"), [("remark36_p", "remark36_q"), ("remark36_q", "remark36_p")])
def test_remark_3_6(name, other):
    """The second model of the report has the law of the first, as the other prior of the remark has."""
    report = report_on(name)
    second = next(item for item in report.alternatives if item.refutes == "affine")
    assert compare(load_example(name), from_dict(second.model)).relation is Relation.LAW
    assert compare(load_example(name), load_example(other)).relation is Relation.LAW


@pytest.mark.parametrize(("name", "other"), [("example4_f", "example4_g"), ("example4_g", "example4_f")])
def test_example_4(name, other):
    """The law of the latent is identified and the decoder is not: f and g have one law."""
    report = report_on(name)
    assert Target.DECODER not in {item.target for item in report.conclusions}
    assert missing(report, Target.DECODER) == {"F3", "F4"}
    assert any(item.refutes == "affine" and item.proof.data["differs"] == "decoder" for item in report.alternatives)
    assert compare(load_example(name), load_example(other)).relation is Relation.LAW


def test_vanilla_vae():
    """J = 1: f up to an orthogonal map; the latents up to rotation, since P2 fails for one Gaussian in the plane."""
    report = report_on("vanilla_vae")
    assert statuses(report, "P1", "P1.distinct", "P2") == "++-"
    decoder = next(item for item in report.conclusions if item.target is Target.DECODER)
    assert decoder.theorem == "kivva.sec3.4.vae"
    assert missing(report, Target.LATENT) == {"P2"}
    assert any(item.refutes == "monomial" for item in report.alternatives)


@pytest.mark.parametrize(("name", "have", "need", "more"), [
    ("gin_three_clusters", 3, 5, "add 2 more values of u"), ("mnist_ten_classes", 10, 11, "add 1 more value of u")])
def test_too_few_classes(name, have, need, more):
    """GIN's second experiment (gin.exp2), and ten classes with d_z = 5 (idnu.dz4): too few values of u for L."""
    report = report_on(name)
    assert report["ivae.L"].status is Status.FAILS
    assert report.conclusion.equivalence is Equivalence.NONE
    assert report.status() is Status.FAILS
    step = next(item for item in report.next_steps if item.target is Target.LATENT)
    assert [item.condition for item in step.missing] == ["ivae.L"]
    assert step.supply[0].startswith(f"{more}: nk + 1 = {need} are needed, the prior has {have}")
    report.verify()
