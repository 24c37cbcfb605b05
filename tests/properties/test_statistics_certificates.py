"""Proofs about sufficient statistics: they verify, survive a round trip, and every tampered entry is rejected."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest

from ident_theory.conditions.statistics import statistics_findings
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Finding
from ident_theory.exact.verifier import verify
from ident_theory.exact.verify_families import VERIFIERS
from ident_theory.models.families import FAMILY_NAMES, custom_family, family

FAMILIES = [
    *(family(name, location="1/3" if name == "laplace" else 0) for name in FAMILY_NAMES if name != "custom"),
    custom_family(["z", "2*z"]),
    custom_family(["z", "z + Heaviside(z)"]),
    custom_family(["z", "z + Max(z, 0)"]),
    custom_family(["Max(z, 0)**2", "z**2"]),
    custom_family(["z", "Abs(z**2 - 2)"], "exp(-z**2)"),
    custom_family(["z**2/(1 + z**2)"]),
    custom_family(["1/z"]),
    custom_family(["z", "pi*z"], "z"),
    custom_family(["sin(z)**2", "cos(z)**2"], "Heaviside(z - 1)"),
    custom_family(["exp(z)", "sinh(z)", "cosh(z)"], "1/cosh(z)"),
    custom_family(["log(z)", "log(3*z)"], "1/z", (0, "oo")),
]


def proofs(chosen):
    for finding in statistics_findings(chosen).values():
        if finding.proof is not None:
            yield finding


def is_rejected(kind, data, model):
    try:
        verify(kind, data, model)
    except CertificateRejected:
        return True
    return False


ALL = [(chosen, finding) for chosen in FAMILIES for finding in proofs(chosen)]


def tampered(data):
    """Copies of the data with one entry made false: (what was done, data)."""
    def changed(key, value):
        tree = copy.deepcopy(data)
        tree[key] = value
        return tree

    for key, value in data.items():
        yield f"{key} left out", {name: item for name, item in data.items() if name != key}
        yield f"{key} of another type", changed(key, {"a": 1})
        if key in ("piece", "statistic", "break", "order"):
            yield f"{key} out of range", changed(key, 99)
            yield f"{key} negative", changed(key, -1)
            yield f"{key} a truth value", changed(key, True)
        if key == "point":
            yield "point where the base is not negative", changed(key, "3")
        if key in ("up", "down"):
            other = {"low": "high", "high": "low"}[value["end"]]
            for part in ({"piece": 99}, {"end": "middle"}, {"end": other}):
                yield f"{key} {part}", changed(key, {**value, **part})
        if key == "breaks":
            sample, old = Fraction(data["samples"][0]), [Fraction(item) for item in value]
            times = [a - sample * b for a, b in zip([0, *old], [*old, 0], strict=True)]
            yield "a cut more, through a sample", changed(key, [str(item) for item in times])
            yield "zero polynomial", changed(key, ["0"] * len(value))
        if key == "samples":
            yield "a sample twice", changed(key, [*value, value[-1]])
            yield "no samples", changed(key, [])
            for i in range(len(value)):
                yield f"sample {i} left out", changed(key, value[:i] + value[i + 1:])
                yield f"sample {i} moved", changed(key, [*value[:i], "-123457", *value[i:]])
        if key == "theta":
            yield "theta zero", changed(key, ["0"] * len(value))
            yield "theta too long", changed(key, [*value, "1"])
            yield "theta with z", changed(key, [*value[:-1], "z"])
        if key == "bounds":
            for i, bound in enumerate(value):
                sign = 1 if bound["side"] == "below" else -1
                for item in ({**bound, "value": str(sign * 1000)}, {**bound, "side": "beside"}):
                    yield f"bound {i}", changed(key, [*value[:i], item, *value[i + 1:]])
            yield "bound left out", changed(key, value[:-1])
        if key == "points":
            yield "points left out", changed(key, value[:-1])
            single = isinstance(value[0], str)
            for i, item in enumerate([value] if single else value):
                for new in (item[1:], [*item, "1/7"], ["x", *item[1:]]):
                    yield f"points {new}", changed(key, new if single else [*value[:i], new, *value[i + 1:]])


@pytest.mark.parametrize("place", range(len(ALL)))
def test_proof_verifies_and_no_tampered_one_does(place):
    chosen, finding = ALL[place]
    model = {"prior": chosen.plain()}
    copied = Finding.from_dict(json.loads(json.dumps(finding.to_dict())))
    assert copied == finding
    copied.verify(model)
    for what, data in tampered(finding.proof.data):
        assert is_rejected(finding.proof.kind, data, model), what


def test_every_kind_of_proof_occurs():
    assert {finding.proof.kind for _, finding in ALL} == set(VERIFIERS)


@pytest.mark.parametrize("place", [place for place, (_, finding) in enumerate(ALL) if finding.proof.kind in (
    "family.minimal_points", "family.derivative_points", "family.strong")])
def test_points_that_do_not_separate_are_rejected(place):
    chosen, finding = ALL[place]
    data = finding.proof.data
    value = data["points"]
    single = isinstance(value[0], str)
    for i, item in enumerate([value] if single else value):
        if len(item) > 1:
            same = [item[0]] * len(item)
            other = same if single else [*value[:i], same, *value[i + 1:]]
            with pytest.raises(CertificateRejected):
                verify(finding.proof.kind, {**data, "points": other}, {"prior": chosen.plain()})


@pytest.mark.parametrize(("kind", "data", "prior"), [
    # A point outside the support, and one where T is not differentiable.
    ("family.minimal_points", {"points": ["1", "-2", "3"]}, family("gamma").plain()),
    ("family.minimal_points", {"points": ["0", "2"]}, family("laplace").plain()),
    ("family.derivative_points", {"points": ["0"]}, family("laplace").plain()),
    # Points of one piece offered for another.
    ("family.strong", {"breaks": ["0", "1"], "samples": ["-1", "1"], "points": [["1", "2"], ["1", "2"]]},
     family("laplace").plain()),
    # A kink inside a piece.
    ("family.slopes", {"breaks": ["1"], "samples": ["1"], "points": [["1"]]}, family("laplace").plain()),
    ("family.smooth", {"breaks": ["1"], "samples": ["1"]}, family("laplace").plain()),
    # The kink is a break, but the slope jumps there.
    ("family.smooth", {"breaks": ["0", "1"], "samples": ["-1", "1"]}, family("laplace").plain()),
    # A relation that holds on each side of a jump with two constants.
    ("family.relation", {"breaks": ["0", "1"], "samples": ["-1", "1"], "theta": ["-1", "1"]},
     custom_family(["z", "z + Heaviside(z)"]).plain()),
    # One that nearly holds.
    ("family.relation", {"breaks": ["1"], "samples": ["1"], "theta": ["-314159/100000", "1"]},
     custom_family(["z", "pi*z"]).plain()),
    # No jump, no limit at infinity, no zero, no negative value.
    ("family.jump", {"breaks": ["0", "1"], "samples": ["-1", "1"], "statistic": 0, "break": 0, "order": 0},
     family("laplace").plain()),
    ("family.unbounded", {"breaks": ["1"], "samples": ["1"], "statistic": 0,
                          "up": {"piece": 0, "end": "high"}, "down": {"piece": 0, "end": "low"}},
     family("normal_variance").plain()),
    ("family.base_zero", {"breaks": ["1"], "samples": ["1"], "piece": 0}, family("normal_mean").plain()),
    ("family.base_negative", {"point": "1"}, family("normal_mean").plain()),
    ("family.positive", {"breaks": ["1"], "samples": ["1"]}, custom_family(["z"], "z").plain()),
    ("family.positive", {"breaks": ["-1", "1"], "samples": ["0", "2"]},
     custom_family(["z"], "Heaviside(z - 1)").plain()),
    ("family.bounded", {"breaks": ["1"], "samples": ["1"], "bounds": [{"side": "below", "value": "1/1000"}]},
     family("normal_variance").plain()),
    # A logarithm of a negative number, a pole inside, an irrational kink without its cut.
    ("family.analytic", {"breaks": ["1"], "samples": ["1"]}, custom_family(["log(z)"]).plain()),
    ("family.analytic", {"breaks": ["1"], "samples": ["1"]}, custom_family(["1/z"]).plain()),
    ("family.analytic", {"breaks": ["1"], "samples": ["0"]}, custom_family(["Abs(z**2 - 2)"]).plain()),
    ("family.analytic", {"breaks": ["1"], "samples": ["1"]}, custom_family(["tan(z)"]).plain()),
    ("family.analytic", {"breaks": ["1"], "samples": ["1"]}, {"family": "unheard of"}),
    ("family.analytic", {"breaks": ["1"], "samples": ["1"]},
     {"family": "custom", "statistics": ["__import__('os')"], "base": "1", "support": ["-oo", "oo"]}),
])
def test_false_claims_are_rejected(kind, data, prior):
    with pytest.raises(CertificateRejected):
        verify(kind, data, {"prior": prior})


def test_proof_of_one_family_is_none_of_another():
    gamma, laplace = family("gamma"), family("laplace", location=1)
    for finding in proofs(gamma):
        if finding.condition == "exp.positive":
            with pytest.raises(CertificateRejected):
                finding.verify({"prior": custom_family(["z"], "z - 5").plain()})
    for finding in proofs(laplace):
        if "breaks" in finding.proof.data and finding.condition != "exp.positive":
            with pytest.raises(CertificateRejected):
                finding.verify({"prior": family("laplace", location=2).plain()})
