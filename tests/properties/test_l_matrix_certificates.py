"""Proofs about the L matrix and the noise: accepted as made, rejected after any change."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.conditions.l_matrix import l_matrix_finding
from ident_theory.conditions.noise import noise_findings
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Finding
from ident_theory.exact.verifier import verify
from ident_theory.models import ConditionalPrior, FejerNoise, GaussianNoise, LaplaceNoise, UniformNoise
from ident_theory.numerics import Status


def entries(data: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all numbers and words in a tree."""
    if isinstance(data, dict):
        return [p for key, item in data.items() for p in entries(item, (*path, key))]
    if isinstance(data, list):
        return [p for i, item in enumerate(data) for p in entries(item, (*path, i))]
    return [path]


def changed(data: Any, path: tuple, value: Any) -> Any:
    """A copy with one entry replaced."""
    tree = copy.deepcopy(data)
    spot = tree
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value(spot[path[-1]])
    return tree


def other(item: Any) -> list[Any]:
    """Wrong values for an entry."""
    try:
        number = Fraction(item)
    except (ValueError, TypeError):
        return ["fejer", "", None, 3, "uniform", "countable"]
    moved = [number + 1, number - 1, -number, 2 * number, number * Fraction(1001, 1000)]
    shown = [int(v) if v.denominator == 1 else str(v) for v in moved if v != number]
    return [*shown, None, "x", True, [], 0.5]


def reject_all_changes(finding: Finding, tree: dict) -> None:
    data = json.loads(json.dumps(dict(finding.proof.data)))
    verify(finding.proof.kind, data, tree)
    for path in entries(data):
        spot = data
        for key in path:
            spot = spot[key]
        for wrong in other(spot):
            if wrong == spot and type(wrong) is type(spot):
                continue
            with pytest.raises(CertificateRejected):
                verify(finding.proof.kind, changed(data, path, lambda _, wrong=wrong: wrong), tree)
    for key in data:
        with pytest.raises(CertificateRejected):
            verify(finding.proof.kind, {name: item for name, item in data.items() if name != key}, tree)
        if isinstance(data[key], list):
            for shorter in (data[key][:-1], [*data[key], data[key][-1]]):
                with pytest.raises(CertificateRejected):
                    verify(finding.proof.kind, {**data, key: shorter}, tree)


def generic(count: int, n: int, seed: int, **options: Any) -> ConditionalPrior:
    """Normal laws in general position."""
    rng = np.random.default_rng(seed)
    return ConditionalPrior.from_means_variances(
        rng.integers(-50, 50, size=(count, n)), [[Fraction(int(v), 7) for v in row] for row in
                                                 rng.integers(1, 60, size=(count, n))], **options)


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_certificate_is_rejected(seed):
    prior = generic(7, 2, seed)
    finding = l_matrix_finding(prior)
    assert finding.status is Status.HOLDS
    reject_all_changes(finding, {"prior": prior.plain()})


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_direction_is_rejected(seed):
    rng = np.random.default_rng(seed)
    variances = rng.integers(1, 60, size=(7, 1))
    means = 2 - 3 * variances
    more = generic(7, 1, seed + 20).natural_exact
    first = ConditionalPrior.from_means_variances(means, variances).natural_exact
    prior = ConditionalPrior("normal", np.concatenate([more, first], axis=1))
    finding = l_matrix_finding(prior)
    assert finding.details["missing_directions"] == 1
    reject_all_changes(finding, {"prior": prior.plain()})


def test_a_changed_count_is_rejected():
    prior = generic(4, 2, 1)
    finding = l_matrix_finding(prior)
    assert finding.proof.kind == "l_matrix.count"
    reject_all_changes(finding, {"prior": prior.plain()})
    with pytest.raises(CertificateRejected, match="enough"):
        verify("l_matrix.count", {"values": 7, "needed": 5}, {"prior": generic(7, 2, 1).plain()})


def test_a_changed_statistical_certificate_is_rejected():
    table = [[[0, -1]], [[2, -2]], [[1, -5]], [[4, -3]], [[-2, -1]], [[3, -7]]]
    prior = ConditionalPrior("normal", table, standard_errors=np.linspace(0.4, 0.5, 12).reshape(6, 1, 2))
    finding = l_matrix_finding(prior)
    assert 1e-30 < finding.details["probability"] < 1e-3
    assert finding.proof.kind == "l_matrix.statistical"
    tree, data = {"prior": prior.plain()}, dict(finding.proof.data)
    verify(finding.proof.kind, data, tree)
    wrong = [{**data, "bound": str(Fraction(data["bound"]) * Fraction(11, 10))},
             {**data, "bound": str(Fraction(data["bound"]) / 2)}, {**data, "bound": -1}, {**data, "level": "1/2"},
             {**data, "probability": str(Fraction(data["probability"]) / 2)}, {**data, "level": 0},
             {**data, "probability": str(Fraction(data["probability"]) * 2)},
             {**data, "probability": "1/10"}, {**data, "weights": data["weights"][:-1]}]
    for i, w in enumerate(data["weights"]):
        for value in (str(Fraction(w) * Fraction(101, 100)), 0, -1, "x", None):
            wrong.append({**data, "weights": [*data["weights"][:i], value, *data["weights"][i + 1:]]})
    for item in wrong:
        with pytest.raises(CertificateRejected):
            verify(finding.proof.kind, item, tree)


def test_estimates_need_a_statistical_certificate():
    exact, estimates = generic(7, 2, 2), generic(7, 2, 2, standard_errors=np.full((7, 2, 2), 0.01))
    finding = l_matrix_finding(exact)
    with pytest.raises(CertificateRejected, match="estimates"):
        finding.verify({"prior": estimates.plain()})
    with pytest.raises(CertificateRejected, match="no covariances"):
        l_matrix_finding(estimates).verify({"prior": exact.plain()})
    with pytest.raises(CertificateRejected, match="may be wrong"):
        verify("l_matrix.direction", {"direction": [0, 1], "constant": -1},
               {"prior": ConditionalPrior("normal", [[[0, -1]], [[1, -1]]],
                                          standard_errors=[[[0, 1]], [[0, 1]]]).plain()})


@given(st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=2, max_size=5), st.data())
@settings(max_examples=150)
def test_no_forged_proof_of_the_wrong_side_passes(table, data):
    """Whatever numbers are put in, only what is true of the table is accepted."""
    prior = ConditionalPrior("normal_mean", table)
    tree = {"prior": prior.plain()}
    holds = l_matrix_finding(prior).status is Status.HOLDS
    if holds:
        forged = {"direction": data.draw(st.lists(st.integers(-3, 3), min_size=2, max_size=2)),
                  "constant": data.draw(st.integers(-3, 3))}
        kind = "l_matrix.direction"
    else:
        forged = {"indices": data.draw(st.permutations(range(max(3, len(table)))))[:3], "modulus": 101,
                  "residue": data.draw(st.integers(0, 100))}
        kind = "l_matrix.invertible"
    with pytest.raises(CertificateRejected):
        verify(kind, forged, tree)


@pytest.mark.parametrize("noise", [None, GaussianNoise(1), LaplaceNoise(2), UniformNoise([1, 2]),
                                   FejerNoise(["1/3", 2])])
def test_changed_proofs_about_the_noise_are_rejected(noise):
    finding = noise_findings(noise)["ivae.noise"]
    reject_all_changes(finding, {} if noise is None else {"noise": noise.plain()})


def test_proofs_about_one_noise_do_not_serve_another():
    gaussian, fejer = GaussianNoise(1), FejerNoise(1)
    with pytest.raises(CertificateRejected):
        noise_findings(gaussian)["ivae.noise"].verify({"noise": fejer.plain()})
    with pytest.raises(CertificateRejected):
        noise_findings(fejer)["ivae.noise"].verify({"noise": gaussian.plain()})
    with pytest.raises(CertificateRejected, match="nothing is known"):
        verify("noise.characteristic_function", {"family": "fejer", "zeros": "none"}, {"noise": fejer.plain()})
