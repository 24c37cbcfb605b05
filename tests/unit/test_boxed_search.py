"""The search of a box by integer programming against the exact decision."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from common.decoder_oracle import evaluate
from common.network_strategies import random_network, random_widths

from ident_theory import ReLUNetwork
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.geometry.boxed_search import BoxSearch, collision_in_box
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.images import Collision
from ident_theory.numerics import Stopwatch

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
PAIRED = ReLUNetwork([[[1, 2], [0, 1], [-1, -2], [0, -1]], [[1, 0, -1, 0], [0, 1, 0, -1]]], [[0] * 4, [0, 5]])


def searched(network: ReLUNetwork, seconds: float | None = 20.0) -> Collision | BoxSearch:
    """The answer; a collision is checked here by the oracle's own arithmetic."""
    found = collision_in_box(network, Stopwatch(seconds))
    if isinstance(found, Collision):
        z, other = ([Fraction(int(v.p), int(v.q)) for v in point] for point in (found.z, found.other))
        assert z != other
        assert evaluate(network, z) == evaluate(network, other)
    else:
        assert found.text
    return found


def check_statement(network: ReLUNetwork, found: BoxSearch) -> None:
    """A box said to be free of collisions holds none of the exact side's, by more than the least difference."""
    if found.details["coordinates_searched"] < network.latent_dim:
        return
    finding = decoder_findings(network)["F4"]
    if finding.witness is not None:
        z, other = ([Fraction(str(v)) for v in finding.witness.data[name]] for name in ("z", "other"))
        outside = max(abs(v) for v in (*z, *other)) > Fraction(found.details["box"])
        near = max(abs(a - b) for a, b in zip(z, other, strict=True)) <= found.details["least_difference"]
        assert outside or near


def test_the_absolute_value() -> None:
    found = searched(ABSOLUTE)
    assert isinstance(found, Collision)
    assert found.z == [-v for v in found.other]


@pytest.mark.parametrize("slope", [0, "1/2", 2, -1])
def test_collisions_of_sheets_are_found(slope) -> None:
    """Networks whose cells all have full rank and that the exact side finds to be not injective."""
    rng = Random(1)
    met = found = 0
    while met < 6:
        network = random_network(rng, random_widths(rng, rng.choice([2, 3]), rng.choice([1, 2]), 5, 8), 2, slope)
        if slope == 0 and met < 3:  # cells of full rank are rare for a ReLU: opposite rows help
            network = _with_opposite_rows(network)
        m = network.latent_dim
        if decoder_findings(network)["F4"].witness is None \
                or (slope and any(cell.rank < m for cell in CellWalk(network))):
            continue
        met += 1
        answer = searched(network)
        if isinstance(answer, Collision):
            found += 1
        else:
            check_statement(network, answer)
    assert found >= (0.9 if slope else 0.7) * met


def _with_opposite_rows(network: ReLUNetwork) -> ReLUNetwork:
    weights = [w.tolist() for w in network.weights_exact]
    first = weights[0] + [[-v for v in row] for row in weights[0]]
    second = [[*row, *(2 * v for v in row)] for row in weights[1]]
    biases = [b.tolist() for b in network.biases_exact]
    return ReLUNetwork([first, second, *weights[2:]], [biases[0] * 2, *biases[1:]], network.negative_slope_exact)


def test_nothing_unproved_about_injective_networks() -> None:
    rng = Random(2)
    met = 0
    while met < 15:
        network = random_network(rng, random_widths(rng, 2, rng.choice([1, 2]), 5, 6), 2, "1/2")
        if decoder_findings(network)["F4"].certificate is None:
            continue
        met += 1
        found = searched(network)
        assert isinstance(found, BoxSearch)
        assert found.details["coordinates_searched"] + found.details["proposals_not_confirmed"] \
            <= network.latent_dim
        if found.details["coordinates_searched"] == network.latent_dim:
            assert found.text.startswith("HiGHS finds no two points")
            assert "no proof" in found.text


def test_what_is_said_of_a_homogeneous_network() -> None:
    """A constant in the last layer moves the values, and scaling about it still takes the plane into the box."""
    found = searched(PAIRED)
    assert isinstance(found, BoxSearch)
    assert found.details["coordinates_searched"] == 2
    assert "positively homogeneous up to a constant" in found.text
    rng = Random(4)
    base = evaluate(PAIRED, [Fraction(0)] * 2)
    for _ in range(20):
        z, t = [Fraction(rng.randint(-50, 50), 7) for _ in range(2)], Fraction(rng.randint(1, 40), 9)
        assert [v - b for v, b in zip(evaluate(PAIRED, [t * v for v in z]), base, strict=True)] \
            == [t * (v - b) for v, b in zip(evaluate(PAIRED, z), base, strict=True)]


def test_the_box_reaches_every_border_of_the_first_layer() -> None:
    """|z - 1000| folds far out: the box grows with the bias, and the collision there is found."""
    network = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[-1000, 1000], [0]])
    found = searched(network)
    assert isinstance(found, Collision)
    assert found.z[0] + found.other[0] == 2000
    shifted = ReLUNetwork([[[1], [-1]], [[1, -1]]], [[-1000, 1000], [0]])
    answer = searched(shifted)
    assert isinstance(answer, BoxSearch)
    assert Fraction(answer.details["box"]) >= 1000
    assert "passes through the box" in answer.text


def test_a_box_can_miss_a_fold_of_a_later_layer() -> None:
    """The second layer folds at z = 5000, beyond the box: no statement about the whole line is made."""
    network = ReLUNetwork([[[1], [-1]], [[1, -1], [-1, 1]], [[1, 1]]], [[0, 0], [-5000, 5000], [0]])
    assert decoder_findings(network)["F4"].witness is not None
    found = searched(network)
    assert isinstance(found, BoxSearch)
    assert "homogeneous" not in found.text


def test_no_time() -> None:
    found = searched(ABSOLUTE, 0.0)
    assert isinstance(found, BoxSearch)
    assert "No time" in found.text
    assert found.details == {}


def test_without_a_limit_of_time() -> None:
    assert isinstance(searched(ABSOLUTE, None), Collision)


def test_past_the_exact_budget_the_finding_says_what_was_searched() -> None:
    """A network with far more cells than a second lists: unknown with the search's words, or a proved collision."""
    rng = Random(0)
    network = random_network(rng, [4, 24, 24, 8], 3)
    finding = decoder_findings(network, Stopwatch(2.0), shortcuts=False)["F4"]
    if finding.witness is not None:
        finding.verify({"decoder": network.plain()})
    else:
        assert finding.status == "unknown"
        assert "the budget of 2 s ran out while" in finding.reason
        assert "box" in finding.reason or "nteger programming" in finding.reason
