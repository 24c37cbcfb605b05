"""F2, F3 and F4 of networks and piecewise maps against brute force, z3 and the verifier."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from common.decoder_oracle import affine_maps, collides, evaluate, preimages
from common.network_strategies import random_network, random_widths, small_networks
from flint import fmpq, fmpq_mat
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import Matrix

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.geometry.local import cell_at
from ident_theory.models import DeclaredMap
from ident_theory.numerics import Status, Stopwatch

#: What an accepted proof says, by kind: the conditions it settles and how.
CLAIMS = {
    **dict.fromkeys(("network.injective_layers", "network.spanning_layers", "network.homeomorphism",
                     "network.injective_cells", "network.affine"), ({"F4", "F3", "F2"}, "holds")),
    "network.observably_injective": ({"F3", "F2"}, "holds"),
    "network.single_preimage": ({"F2"}, "holds"),
    "decoder.collision": ({"F4"}, "fails"),
    "decoder.overlap": ({"F4", "F3"}, "fails"),
    **dict.fromkeys(("network.narrow", "network.flat", "network.covered", "network.degree", "network.affine_flat"),
                    ({"F4", "F3", "F2"}, "fails")),
    "line.injective": ({"F4"}, "holds"), "line.observably_injective": ({"F3", "F2"}, "holds"),
    "line.single_preimage": ({"F2"}, "holds"), "line.covered": ({"F2"}, "fails"), "line.flat": ({"F3", "F2"}, "fails"),
}
#: The other side of each condition, to see that a proof of one is none of the other.
OPPOSITE = {"F4": ("network.injective_cells", "decoder.collision"),
            "F3": ("network.observably_injective", "decoder.overlap"),
            "F2": ("network.single_preimage", "network.covered")}


def statuses(findings: dict[str, Finding]) -> dict[str, str]:
    return {condition: str(findings[condition].status) for condition in ("F4", "F3", "F2")}


def tree(decoder) -> dict[str, Any]:
    return {"decoder": decoder.plain()}


def decided(decoder, shortcuts: bool = True) -> dict[str, Finding]:
    """Findings that are decided, verified, stored and read back, and ordered as F4 => F3 => F2."""
    found = decoder_findings(decoder, None, shortcuts)
    model = tree(decoder)
    for condition, finding in found.items():
        assert finding.status is not Status.UNKNOWN, (condition, finding.reason)
        assert finding.reason
        assert finding.proof is not None
        assert isinstance(finding.proof, Certificate if finding.status is Status.HOLDS else Witness)
        if condition in ("F4", "F3", "F2"):
            claimed, side = CLAIMS[finding.proof.kind]
            assert condition in claimed
            assert side == finding.status
        finding.verify(model)
        Finding.from_dict(json.loads(json.dumps(finding.to_dict()))).verify(model)
    answers = statuses(found)
    assert not (answers["F4"] == "holds" and answers["F3"] == "fails")
    assert not (answers["F3"] == "holds" and answers["F2"] == "fails")
    return found


def accepted(kind: str, data: Any, model: dict[str, Any]) -> bool:
    try:
        Certificate(kind, data).verify(model)
    except CertificateRejected:
        return False
    return True


def check_against_preimages(network: ReLUNetwork, answers: dict[str, str], trials: int, rng: Random) -> None:
    """Preimages of generic values, for all 2^H patterns.

    The points are rationals with a denominator that no small network has, so no point lies on a border or on the
    finitely many lower-dimensional sets where images cross.
    """
    maps = list(affine_maps(network))
    for _ in range(trials):
        z = [Fraction(rng.randint(-4000, 4000), 997) for _ in range(network.latent_dim)]
        found = preimages(network, evaluate(network, z), maps)
        if tuple(z) not in found:
            assert answers["F4"] == "fails"  # a cell of low rank
            continue
        if len(found) > 1:
            assert answers["F4"] == answers["F3"] == "fails"
        else:
            assert answers["F2"] == "holds"


def check_witnesses(network: ReLUNetwork, found: dict[str, Finding]) -> None:
    """Points of witnesses and certificates by the oracle's own arithmetic."""
    for finding in found.values():
        data = finding.proof.data
        if finding.proof.kind in ("decoder.collision", "decoder.overlap"):
            z, other = ([Fraction(str(v)) for v in data[name]] for name in ("z", "other"))
            assert z != other
            assert evaluate(network, z) == evaluate(network, other)
        if finding.proof.kind in ("network.single_preimage", "network.homeomorphism"):
            z = [Fraction(str(v)) for v in data["z"]]
            assert preimages(network, evaluate(network, z), list(affine_maps(network))) == {tuple(z)}


@settings(max_examples=200)
@given(small_networks(hidden=6), st.integers(0, 2**32))
def test_decided_proved_and_confirmed_by_counting_preimages(network: ReLUNetwork, seed: int) -> None:
    found = decided(network)
    assert statuses(found) == statuses(decided(network, shortcuts=False))
    check_against_preimages(network, statuses(found), 2, Random(seed))
    check_witnesses(network, found)


@settings(max_examples=120)
@given(small_networks(hidden=7))
def test_z3_agrees_about_f4(network: ReLUNetwork) -> None:
    answer = collides(network, 1000)
    assume(answer is not None)
    assert statuses(decided(network, shortcuts=False))["F4"] == ("fails" if answer else "holds")


@settings(max_examples=60)
@given(small_networks(hidden=6), st.integers(0, 2**32))
def test_coordinates_make_no_difference(network: ReLUNetwork, seed: int) -> None:
    """An invertible affine map before f, and an injective one after it, leave F2, F3 and F4 as they are."""
    rng = Random(seed)
    m, n = network.latent_dim, network.observed_dim
    before, after = (Matrix(k, k, lambda i, j: rng.randint(-2, 2) if i < j else int(i == j))[rng.sample(range(k), k), :]
                     for k in (m, n))
    more = Matrix(2, n, lambda i, j: rng.randint(-1, 1))
    weights = [Matrix(w.tolist()) for w in network.weights_exact]
    biases = [b.tolist() for b in network.biases_exact]
    shift = Matrix([rng.randint(-2, 2) for _ in range(m)])
    biases[0] = [b + v for b, v in zip(biases[0], weights[0] * shift, strict=True)]
    weights[0] = weights[0] * before
    last = after.col_join(more)
    weights[-1], biases[-1] = last * weights[-1], list(last * Matrix(biases[-1]))
    moved = ReLUNetwork([[[Fraction(str(v)) for v in row] for row in w.tolist()] for w in weights],
                        [[Fraction(str(v)) for v in b] for b in biases], network.negative_slope_exact)
    assert statuses(decided(moved)) == statuses(decided(network))


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all scalars."""
    if isinstance(data, dict | list):
        for key, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(item, (*path, key))
    else:
        yield path


def tampered(data: Any, rng: Random) -> Any:
    """A copy with one scalar changed, or one entry dropped."""
    copy = json.loads(json.dumps(data))
    options = list(places(copy))
    if not options:
        return {"extra": 0}
    path = rng.choice(options)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    last = path[-1]
    value = holder[last]
    if rng.random() < 0.2:
        del holder[last]
    elif isinstance(value, str) and value in "+-b":
        holder[last] = rng.choice([s for s in "+-b" if s != value])
    elif isinstance(value, int):
        holder[last] = value + rng.choice([-1, 1])
    elif value is None:
        holder[last] = []
    else:  # a rational, or how a pair of cells is kept apart
        holder[last] = str(Fraction(value) + 1) if value[-1].isdigit() else "direct"
    return copy


@settings(max_examples=100)
@given(small_networks(hidden=6), small_networks(hidden=6), st.integers(0, 2**32))
def test_no_proof_passes_for_something_false(network: ReLUNetwork, stranger: ReLUNetwork, seed: int) -> None:
    """Proofs changed at one place, of changed networks, of other networks, and proofs of the other side.

    Whatever the verifier accepts must be true of the network at hand.
    """
    rng = Random(seed)
    found = decided(network, shortcuts=rng.random() < 0.5)
    answers, model = statuses(found), tree(network)
    others = [stranger, *(_one_entry_changed(network, rng) for _ in range(3))]
    truths = [statuses(decided(other)) for other in others]
    for condition in ("F4", "F3", "F2"):
        proof = found[condition].proof
        claimed, side = CLAIMS[proof.kind]
        for _ in range(3):
            data = tampered(proof.data, rng)
            if accepted(proof.kind, data, model):
                assert all(answers[c] == side for c in claimed)
        for other, truth in zip(others, truths, strict=True):
            if accepted(proof.kind, proof.data, tree(other)):
                assert all(truth[c] == side for c in claimed), (condition, proof.kind, other)
        holds, fails = OPPOSITE[condition]
        assert not accepted(fails if found[condition].status is Status.HOLDS else holds, proof.data, model)
        swapped = Witness if isinstance(proof, Certificate) else Certificate
        opposite = Status.FAILS if found[condition].status is Status.HOLDS else Status.HOLDS
        for status, form in ((found[condition].status, swapped), (opposite, swapped), (opposite, type(proof))):
            with pytest.raises(CertificateRejected):
                Finding(condition, status, found[condition].evidence, "", form(proof.kind, proof.data)).verify(model)


def _one_entry_changed(network: ReLUNetwork, rng: Random) -> ReLUNetwork:
    weights, biases = [w.tolist() for w in network.weights_exact], [b.tolist() for b in network.biases_exact]
    layer = rng.randrange(len(weights))
    row = rng.choice([*weights[layer], biases[layer]])
    row[rng.randrange(len(row))] += rng.choice([-1, 1])
    return ReLUNetwork(weights, biases, network.negative_slope_exact)


def test_most_tampered_proofs_are_rejected() -> None:
    """Over every kind met in 60 networks; what is accepted still proves the same claim by another route."""
    rng = Random(11)
    count: dict[str, list[int]] = {}
    for _ in range(60):
        m = rng.choice([1, 2, 2, 3])
        network = random_network(rng, random_widths(rng, rng.choice([2, 3]), m, 4, 6), 2, rng.choice([0, 0, "1/2"]))
        for condition, finding in decoder_findings(network, None, shortcuts=False).items():
            if condition in ("F4", "F3", "F2"):
                entry = count.setdefault(finding.proof.kind, [0, 0])
                for _ in range(4):
                    entry[0] += 1
                    entry[1] += not accepted(finding.proof.kind, tampered(finding.proof.data, rng), tree(network))
    assert set(count) >= {"decoder.collision", "decoder.overlap", "network.injective_cells", "network.single_preimage",
                          "network.observably_injective", "network.homeomorphism", "network.covered"}
    for kind, (all_of_them, rejected) in count.items():
        assert rejected >= 0.5 * all_of_them, (kind, rejected, all_of_them)


RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
EYE2 = [[1, 0], [0, 1]]
#: |u| - |v| and |u + v| - |u - v|: rays are sent to twice their angle.
DOUBLING = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]],
                        [[1, 1, -1, -1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, -1, -1]]], [[0] * 8, [0, 0]])
#: Right along the axis, up, left, and down through the start: it crosses itself at f(0) = f(4) alone.
LOOP = PiecewiseAffineMap([1, 2, 3], [[1, 0], [0, 1], [-1, 0], [0, -1]], [[0, 0], [1, -1], [3, 1], [0, 4]])
#: The same curve by kinks at 1, 2, 3.
LOOP_NETWORK = ReLUNetwork([[[1], [-1], [1], [1], [1]], [[1, -1, -1, -1, 1], [0, 0, 1, -1, -1]]],
                           [[0, 0, -1, -2, -3], [0, 0]])
#: Found among random networks: two of its sheets cross at one point, f(-7/10, -3/4) = f(-13/10, -5/8).
ISOLATED = ReLUNetwork([[[1, -2], [-2, 0], [1, 0], [-2, 2], [-1, 2], [2, 0]],
                        [[1, 2, 1, -1, 2, 1], [-1, 1, 2, -1, -2, 2], [2, 2, -2, -1, 1, -2], [-1, 1, -2, -2, 1, 0]]],
                       [[1, 1, 1, 0, 0, 0], [0, 0, 0, 0]])
HOLDS, FAILS = "holds", "fails"
NAMED: dict[str, tuple[Any, tuple[str, str, str]]] = {
    "relu": (RELU, (FAILS, HOLDS, HOLDS)),
    "absolute value": (ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]]), (FAILS, FAILS, FAILS)),
    "relu of minus relu": (ReLUNetwork([[[1]], [[-1]], [[1]]], [[0], [0], [0]]), (FAILS, FAILS, FAILS)),
    "constant": (ReLUNetwork([[[0]]], [[3]]), (FAILS, FAILS, FAILS)),
    "example 5": (ReLUNetwork([[[1], [-1]], [[1, -1], [1, 1]], [[0, 1]]], [[0, 0], [0, 0], [0]], "1/2"),
                  (FAILS, FAILS, FAILS)),
    "example 4 f": (PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4]), (FAILS, FAILS, HOLDS)),
    "example 4 g": (PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4]),
                    (FAILS, FAILS, HOLDS)),
    "half plane kept": (ReLUNetwork([[[1, 0], [0, 1], [0, -1]], [[1, 0, 0], [0, 1, -1]]], [[0] * 3, [0, 0]]),
                        (FAILS, HOLDS, HOLDS)),
    "loop": (LOOP, (FAILS, HOLDS, HOLDS)),
    "loop as a network": (LOOP_NETWORK, (FAILS, HOLDS, HOLDS)),
    "angle doubling": (DOUBLING, (FAILS, FAILS, FAILS)),
    "angle doubling, a third output": (
        ReLUNetwork([DOUBLING.weights_exact[0].tolist(),
                     [*DOUBLING.weights_exact[1].tolist(), [1, 1, -1, -1, 2, 2, -2, -2]]],
                    [[0] * 8, [0, 0, 7]]), (FAILS, FAILS, FAILS)),
    "a copied output": (ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[2, -1, 0, 0], [0, 0, 1, -3], [2, -1, 0, 0]]],
                                    [[0] * 4, [0, 1, 2]]), (HOLDS, HOLDS, HOLDS)),
    "all of A and -A": (ReLUNetwork([[[1, 2], [0, 1], [-1, -2], [0, -1]], [*([int(i == j) for j in range(4)]
                                                                             for i in range(4))]], [[0] * 4] * 2),
                        (HOLDS, HOLDS, HOLDS)),
    "A and -A put together": (ReLUNetwork([[[1, 2], [0, 1], [-1, -2], [0, -1]], [[1, 0, -1, 0], [0, 1, 0, -1]]],
                                          [[0] * 4, [0, 0]]), (HOLDS, HOLDS, HOLDS)),
    "A and -A with a gap": (ReLUNetwork([[[1], [-1]], EYE2], [[-1, -1], [0, 0]]), (FAILS, HOLDS, HOLDS)),
    "slope 1, rank 2": (ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 0], [0, 1, 1]]], [[1, 2, 3], [0, 0]], 1),
                        (HOLDS, HOLDS, HOLDS)),
    "slope 1, rank 1": (ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [2, 2]]], [[0, 0], [0, 0]], 1), (FAILS, FAILS, FAILS)),
    "slope 1, full ranks, product 0": (ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, 0], [0]], 1), (FAILS, FAILS, FAILS)),
    "affine": (ReLUNetwork([[[1, 2], [3, 4], [5, 6]]], [[0, 1, 2]]), (HOLDS, HOLDS, HOLDS)),
    "more latents": (ReLUNetwork([[[1, 2, 3], [0, 1, 1]]], [[0, 0]]), (FAILS, FAILS, FAILS)),
    "more latents, wide inside": (ReLUNetwork([EYE2, [[1, 1]]], [[0, 0], [0]]), (FAILS, FAILS, FAILS)),
    "slope -1 is the absolute value": (ReLUNetwork([[[1]], [[1]]], [[0], [0]], -1), (FAILS, FAILS, FAILS)),
    "half-open pieces swapped": (PiecewiseAffineMap([0, 1, 2], [1, 1, 1, 1], [0, 1, -1, 0]), (HOLDS, HOLDS, HOLDS)),
    "half-open, one end taken twice": (PiecewiseAffineMap([0, 1], [1, -1, 1], [0, 1, 0]), (FAILS, HOLDS, HOLDS)),
    "half-open, both ends missed": (PiecewiseAffineMap([0, 1], [1, -1, 1], [0, 1, 1]), (HOLDS, HOLDS, HOLDS)),
    "steps": (PiecewiseAffineMap([0], [0, 0], [0, 1]), (FAILS, FAILS, FAILS)),
    "one piece flat": (PiecewiseAffineMap([0], [1, 0], [0, 5]), (FAILS, HOLDS, HOLDS)),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("shortcuts", [True, False])
def test_named(name: str, shortcuts: bool) -> None:
    decoder, expected = NAMED[name]
    assert tuple(statuses(decided(decoder, shortcuts)).values()) == expected


@pytest.mark.parametrize("name", [n for n, (f, _) in NAMED.items() if isinstance(f, ReLUNetwork)])
def test_named_against_the_oracles(name: str) -> None:
    network, (f4, f3, f2) = NAMED[name]
    answer = collides(network)
    assert answer in (None, f4 == FAILS)
    check_against_preimages(network, {"F4": f4, "F3": f3, "F2": f2}, 4, Random(1))


def test_the_loop_as_a_network_is_the_loop() -> None:
    for t in range(-8, 24):
        assert LOOP_NETWORK([t / 4]).tolist() == LOOP([t / 4]).tolist()


def test_ranks_alone_do_not_decide_a_degree() -> None:
    """n = m: the doubled angle is nowhere singular and has determinants of one sign, so its degree is what fails it."""
    found = decided(DOUBLING)
    assert found["F2"].proof.kind == "network.degree"
    assert found["F3"].proof.kind == "decoder.overlap"


def test_a_collision_at_a_single_point() -> None:
    """Two sheets in R^4 that cross in one point, transversally: not injective, but observably so."""
    network = ISOLATED
    found = decided(network)
    assert statuses(found) == {"F4": "fails", "F3": "holds", "F2": "holds"}
    data = found["F4"].proof.data
    first, second = (cell_at(network, [fmpq(*map(int, str(v).split("/"))) for v in data[name]])
                     for name in ("z", "other"))
    assert first is not None
    assert second is not None
    both = [v for a, b in zip(first.matrix, second.matrix, strict=True) for v in (*a, *b)]
    assert fmpq_mat(4, 4, both).rank() == 4


def test_sheets_that_cross_along_a_line() -> None:
    """The loop times a line in R^3: two sheets cross along a line, a null set of the image."""
    loop = LOOP_NETWORK
    first = [[*row, 0] for row in loop.weights_exact[0].tolist()] + [[0, 1], [0, -1]]
    last = [[*row, 0, 0] for row in loop.weights_exact[1].tolist()] + [[0] * 5 + [1, -1]]
    network = ReLUNetwork([first, last], [[*loop.biases_exact[0].tolist(), 0, 0], [0, 0, 0]])
    assert statuses(decided(network)) == {"F4": "fails", "F3": "holds", "F2": "holds"}


@pytest.mark.parametrize("declared", [[], ["injective"], ["weakly_injective", "continuous"]])
def test_declared_maps_rest_on_the_user_s_word(declared: list[str]) -> None:
    decoder = DeclaredMap(2, 3, declared)
    found = decoder_findings(decoder)
    for finding in found.values():
        finding.verify({"decoder": decoder.plain()})
    assert found["dimension"].status is Status.HOLDS
    assert (found["F4"].status is Status.HOLDS) == ("injective" in declared)
    assert found["F4"].status is not Status.FAILS


STEPS = ("enumerating cells", "comparing the images of pairs of cells", "looking for", "covering the image",
         "bounding the images", "inverting the maps of cells")


@pytest.fixture(scope="module")
def larger_networks() -> list[tuple[ReLUNetwork, dict[str, str]]]:
    """Networks that take some tenths of a second, with the truth about them."""
    rng = Random(3)
    networks = [random_network(rng, widths, 2, rng.choice([0, "1/2"]))
                for widths in ([2, 5, 4, 2], [2, 6, 4, 3], [3, 5, 4, 4], [2, 4, 4, 4, 2])]
    return [(network, statuses(decided(network, shortcuts=False))) for network in networks]


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.02, 0.2])
def test_a_small_budget_gives_unknown_or_the_truth(seconds: float, larger_networks) -> None:
    """Never another verdict, and a reason that names the step."""
    for network, truth in larger_networks:
        found = decoder_findings(network, Stopwatch(seconds), shortcuts=False)
        for condition, answer in truth.items():
            finding = found[condition]
            if finding.status is Status.UNKNOWN:
                assert finding.proof is None
                assert f"the budget of {seconds:g} s ran out while" in finding.reason
                assert any(step in finding.reason for step in STEPS)
            else:
                assert finding.status == answer
                finding.verify(tree(network))


def test_no_budget_at_all_leaves_an_injective_network_open() -> None:
    network = ReLUNetwork([[[1, 2], [0, 1], [-1, -2], [0, -1]], [[1, 0, -1, 0], [0, 1, 0, -1]]], [[0] * 4, [0, 0]])
    found = decoder_findings(network, Stopwatch(0.0), shortcuts=False)
    assert {str(found[c].status) for c in ("F4", "F3", "F2")} == {"unknown"}
    assert "enumerating cells" in found["F4"].reason


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_campaign_of_small_networks(seed: int) -> None:
    """300 networks a seed with at most seven hidden units: every answer proved, by both routes, with both oracles."""
    rng = Random(seed)
    for _ in range(300):
        m = rng.choice([1, 2, 2, 3])
        network = random_network(rng, random_widths(rng, rng.choice([1, 2, 2, 3]), m, 5, 7), rng.choice([1, 1, 2]),
                                 rng.choice([0, 0, "1/2", 1, 2, -1]))
        found = decided(network)
        assert statuses(found) == statuses(decided(network, shortcuts=False))
        answer = collides(network, 2000)
        assert answer in (None, statuses(found)["F4"] == "fails")
        check_against_preimages(network, statuses(found), 8, rng)
        check_witnesses(network, found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_campaign_of_wide_networks(seed: int) -> None:
    """250 networks a seed, m <= 3, up to four layers of width eight: decided, proved, and by both routes."""
    rng = Random(seed)
    for _ in range(250):
        m = rng.choice([1, 2, 2, 2, 3])
        depth = rng.choice([1, 2, 2, 3, 3, 4]) if m < 3 else rng.choice([2, 2, 3])
        network = random_network(rng, random_widths(rng, depth, m, 8, 24 if m < 3 else 10), rng.choice([1, 1, 2]),
                                 rng.choice([0, 0, "1/2", 1, 2, -1]))
        assert statuses(decided(network)) == statuses(decided(network, shortcuts=False))
