"""Proofs about mixture priors: all verify, survive JSON, and prove nothing when tampered with or moved elsewhere."""

import copy
import json
from collections import Counter
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from common.forged_proofs import CLAIMS, Forger
from common.mixture_tables import hidden_mixtures
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import Matrix, Rational, diag

from ident_theory import GaussianMixture
from ident_theory.conditions.prior import prior_findings
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Finding
from ident_theory.exact.verifier import verify
from ident_theory.exact.verify_mixtures import VERIFIERS
from ident_theory.numerics import Status

#: Proofs that consist of facts about the prior alone, with nothing to choose: every change makes them wrong.
WITHOUT_CHOICE = {"mixture.distinct", "mixture.scalar", "mixture.neighbourhoods", "mixture.nondegenerate",
                  "mixture.no_twins", "mixture.unsplittable"}


def tree_of(prior: GaussianMixture) -> dict:
    return json.loads(json.dumps({"prior": prior.plain()}))


def is_accepted(kind, data, tree) -> bool:
    try:
        verify(kind, data, tree)
    except CertificateRejected:
        return False
    return True


def changed(value):
    """Every copy of a JSON tree in which one entry is another, is gone, or stands twice."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: other} for other in changed(item))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield value[:i] + value[i + 1:]
            yield [*value[:i + 1], *value[i:]]
            yield from ([*value[:i], other, *value[i + 1:]] for other in changed(item))
        yield [*value, 0]
    else:
        yield from (str(Fraction(value) + step) if isinstance(value, str) else value + step for step in (1, -1))
        yield from (float(Fraction(value)), None, [value], "x", value == 1)


def is_true(kind, data, prior) -> bool:
    """What a proof with a choice in it says, by sympy and numpy; True where only the prior's table could tell."""
    w, mu, sigma = prior.weights_exact, prior.means_exact, prior.covariances_exact

    def matrix(j):
        return Matrix([[Rational(str(v)) for v in row] for row in sigma[j]])
    if kind == "mixture.degenerate":
        vectors = [(c["component"], Matrix([Rational(str(v)) for v in c["vector"]])) for c in data["components"]]
        return all(w[j] > 0 and any(v) and not any(matrix(j) * v) for j, v in vectors)
    if kind == "mixture.definite":
        minors = [(matrix(c["component"]), [Rational(str(p)) for p in c["pivots"]]) for c in data["components"]]
        return all(a.LDLdecomposition(hermitian=False)[1] == diag(*pivots) for a, pivots in minors)
    if kind == "mixture.repeated":
        a, b = data["first"], data["second"]
        return a != b and bool((mu[a] == mu[b]).all() and (sigma[a] == sigma[b]).all())
    if kind == "mixture.zero_weight":
        return w[data["component"]] == 0
    if kind == "mixture.positive":
        return w[data["component"]] == min(w) == Fraction(data["least"]) > 0
    if kind == "mixture.dependent":
        s, t = data["coordinates"]
        return s != t and sigma[data["component"]][s, t] != 0
    if kind == "mixture.ratios":
        a, b = (np.diag(sigma[j]) for j in data["pair"])
        return len(set(a / b)) == len(a) and list(a / b) == [Fraction(r) for r in data["ratios"]]
    return True


@given(hidden_mixtures())
@settings(max_examples=200)
def test_every_decision_has_a_proof_that_verifies(prior):
    tree = tree_of(prior)
    for name, finding in prior_findings(prior).items():
        assert finding.condition == name
        assert (finding.certificate is not None) == (finding.status is Status.HOLDS)
        assert (finding.witness is not None) == (finding.status is Status.FAILS)
        assert finding.references
        finding.verify(tree)
        Finding.from_dict(json.loads(json.dumps(finding.to_dict()))).verify(tree)


@given(hidden_mixtures(most_cells=6, most_coordinates=2))
@settings(max_examples=100)
def test_tampered_proofs_are_rejected_or_true(prior):
    tree = tree_of(prior)
    for finding in prior_findings(prior).values():
        if finding.proof is None:
            continue
        kind, data = finding.proof.kind, json.loads(json.dumps(dict(finding.proof.data)))
        rejected = total = 0
        for other in changed(copy.deepcopy(data)):
            total += 1
            if not is_accepted(kind, other, tree):
                rejected += 1
                continue
            assert kind not in WITHOUT_CHOICE, (kind, other)
            assert is_true(kind, other, prior), (kind, other)
        assert 2 * rejected > total, (kind, rejected, total)


@given(hidden_mixtures(), st.data())
@settings(max_examples=200)
def test_a_proof_accepted_for_another_prior_is_right_about_it(prior, data):
    """Soundness: what the verifier accepts agrees with the decision for that prior."""
    tree = prior.plain()
    other = json.loads(json.dumps(tree))
    j = data.draw(st.integers(0, prior.n_components - 1))
    t = data.draw(st.integers(0, prior.latent_dim - 1))
    place = data.draw(st.sampled_from(["weights", "means", "covariances"]))
    if place == "weights":
        assume(prior.weights_exact[j] < 1)
        moved = [0 if i == j else w for i, w in enumerate(prior.weights_exact)]
        other["weights"] = [str(w / sum(moved)) for w in moved]
    elif place == "means":
        other["means"][j][t] = data.draw(st.integers(0, 2))
    else:
        other["covariances"][j][t] = [0] * prior.latent_dim
        for row in other["covariances"][j]:
            row[t] = 0
        other["covariances"][j][t][t] = data.draw(st.integers(0, 3))
    changed_prior = GaussianMixture(**other)
    found = prior_findings(changed_prior)
    for name, finding in prior_findings(prior).items():
        if finding.proof is not None and is_accepted(finding.proof.kind, finding.proof.data,
                                                     tree_of(changed_prior)):
            assert found[name].status is finding.status, (name, finding.proof)


@given(hidden_mixtures(most_cells=8), st.integers(0, 2**32 - 1))
@settings(max_examples=400)
def test_made_up_proofs_are_rejected_unless_what_they_say_is_so(prior, seed):
    """Soundness: well-formed proofs with true figures but a false claim do not pass."""
    found, tree, forger = prior_findings(prior), tree_of(prior), Forger(prior, Random(seed))
    for kind, (holding, failing) in CLAIMS.items():
        for _ in range(3):
            data = forger.make(kind)
            if is_accepted(kind, data, tree):
                for names, status in ((holding, Status.HOLDS), (failing, Status.FAILS)):
                    for name in names:
                        assert name in found, (kind, data)
                        assert found[name].status in (status, Status.UNKNOWN), (kind, data)


@given(st.sampled_from(sorted(kind for kind in VERIFIERS)), hidden_mixtures(),
       st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["component", "components", "order", "pair", "ratios", "groups", "degenerate", "reasons",
                         "variable", "neighbourhoods", "counts", "outside", "grid"]), inner, max_size=4), max_leaves=8))
@settings(max_examples=200)
def test_nonsense_is_rejected_by_name(kind, prior, data):
    """Only CertificateRejected leaves the verifier, whatever the data."""
    is_accepted(kind, data, tree_of(prior))


def test_long_numbers_verify_and_other_spellings_are_rejected():
    entry = str(Fraction(2**1000 + 1, 3**700))
    prior = GaussianMixture([1], [[0] * 6], [[[Fraction(entry) ** (i + j) + (i == j) for j in range(6)]
                                              for i in range(6)]])
    proof = prior_findings(prior)["P1"].certificate
    assert proof is not None
    assert max(len(str(pivot)) for pivot in proof.data["components"][0]["pivots"]) > 4300
    proof.verify(tree_of(prior))
    for spelling in ("1e9999999999", "0.5", "1/0", " 1", "1_0", "nan", ""):
        assert not is_accepted("mixture.positive", {"component": 0, "least": spelling}, tree_of(prior))


#: Two binary variables; the last cell has no weight and a component unlike the others.
PUNCHED = GaussianMixture(["1/3", "1/3", "1/3", 0], [[0, 0]] * 4,
                          [[[1, 0], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 1]], [[4, 1], [1, 9]]], states=(2, 2),
                          neighbourhoods=[[], []])
#: One variable of four states whose last has no weight.
SHORT = GaussianMixture(["1/3", "1/3", "1/3", 0], [[0, 0], [0, 1], [1, 0], [1, 1]], [[1, 1], [1, 1], [1, 1], [0, 2]])


@pytest.mark.parametrize(("prior", "kind", "data"), [
    (PUNCHED, "mixture.dependent", {"component": 3, "coordinates": [0, 1]}),
    (PUNCHED, "mixture.undeclared", {"variable": 0, "coordinate": 0, "states": [1, 3]}),
    (PUNCHED, "mixture.definite", {"components": [{"component": 0, "pivots": [1, 1]},
                                                  {"component": 3, "pivots": [4, "35/4"]}]}),
    (SHORT, "mixture.ratios", {"pair": [3, 0], "ratios": [0, 2]}),
    (GaussianMixture(["1/2", "1/2", 0], [[0, 0]] * 3, [[1, 1], [4, 4], [1, 2]]),
     "mixture.ratios", {"pair": [0, 2], "ratios": [1, "1/2"]}),
    (SHORT, "mixture.degenerate", {"components": [{"component": 3, "vector": [1, 0]}]}),
    (SHORT, "mixture.split", {"variable": 0, "grid": [[0, 1], [2, 3]]}),
    (SHORT, "mixture.unsplittable", {"reasons": [{"variable": 0, "sizes": [[0, [1, 3]], [1, [1, 1, 2]]]}]}),
    (SHORT, "mixture.equal_law", {"coordinate": 0, "variable": 0, "first": [0], "second": [1], "states": [0, 2]}),
])
def test_states_without_weight_prove_nothing(prior, kind, data):
    assert not is_accepted(kind, data, tree_of(prior))


def test_two_variables_at_once_show_nothing_about_one():
    prior = GaussianMixture(["1/4"] * 4, [0, 0, 1, 1], [1] * 4, states=(2, 2), neighbourhoods=[[], []])
    states = {"acting": [0, 2], "both": [1, 2]}
    for variable, name, accepted in ((0, "acting", True), (1, "acting", False), (0, "both", False), (1, "both", False)):
        data = {"variable": variable, "coordinate": 0, "states": states[name]}
        assert is_accepted("mixture.undeclared", data, tree_of(prior)) == accepted


def test_a_tree_that_is_no_mixture_is_rejected():
    tree = tree_of(SHORT)
    proof = prior_findings(SHORT)["positivity"].witness
    assert proof is not None
    assert is_accepted(proof.kind, proof.data, tree)
    for broken in ({"states": [3]}, {"means": tree["prior"]["means"][:3]}, {"weights": [0.5, 0.5, 0, 0]},
                   {"covariances": [[[1, 0]]] * 4}, {"means": [[0], [1], [2], [3]]}):
        assert not is_accepted(proof.kind, proof.data, {"prior": {**tree["prior"], **broken}})
    slanted = {"weights": [1], "means": [[0, 0]], "covariances": [[[1, 1], [0, 1]]]}
    pivots = {"components": [{"component": 0, "pivots": [1, 1]}]}
    assert not is_accepted("mixture.definite", pivots, {"prior": slanted})
    assert is_accepted("mixture.definite", pivots, {"prior": {**slanted, "covariances": [[[1, 1], [1, 2]]]}})


def test_every_kind_of_proof_occurs():
    """The strategy reaches every check, so that the properties above speak of all of them."""
    seen: Counter = Counter()

    @given(hidden_mixtures())
    @settings(max_examples=600)
    def collect(prior):
        seen.update(finding.proof.kind for finding in prior_findings(prior).values() if finding.proof is not None)

    collect()
    assert set(VERIFIERS) == set(CLAIMS)
    assert set(VERIFIERS) - set(seen) == set()
