"""Appendix H of Kivva et al. 2022: networks that should be (observably) injective, against the exact decision.

Corollary H.2 (ReLU, non-decreasing widths, dim f(R^m) = m, therefore F3) is false. The printed proof of Lemma H.1
takes two steps that fail. "Since dim f(R^m) = m, the map h_t has full column rank" fails for widths 1, 2, 2. "The image
of g meets the positive orthant D in positive measure, and such x form a set of full measure" fails for widths
1, 2, 2, 2 with full column rank in every layer: outside D the activation projects, and may project two parts of the
image of g onto one. What the exact side finds to be true: with all layers injective and one hidden layer, or with all
widths equal to m, F3 holds.

Corollary H.4 (leaky ReLU, generic) is confirmed, with full column rank of every layer for "generic".
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from random import Random

import pytest
from common.decoder_oracle import affine_maps, evaluate, preimages
from common.network_strategies import random_network, with_numbers
from common.pattern_proofs import rank

from ident_theory import ReLUNetwork
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.shortcuts import spanning_layers

#: (|z|, |z|): the second layer has rank one though the image has dimension one.
RANK_ONE = ReLUNetwork([[[1], [-1]], [[1, 1], [1, 1]]], [[0, 0], [0, 0]])
#: (|z|, 0): every layer has full column rank.
FULL_RANK = ReLUNetwork([[[1], [-1]], [[1, 1], [-1, -2]], [[1, 0], [0, 1]]], [[0, 0]] * 3)


def answers(network: ReLUNetwork, shortcuts: bool = True) -> tuple[str, str, str]:
    """Status of F4, F3 and F2, each verified."""
    found = decoder_findings(network, None, shortcuts)
    for finding in found.values():
        finding.verify({"decoder": network.plain()})
    return str(found["F4"].status), str(found["F3"].status), str(found["F2"].status)


def has_full_ranks(network: ReLUNetwork) -> bool:
    return all(rank(w.tolist()) == w.shape[1] for w in network.weights_exact)


def has_full_dimension(network: ReLUNetwork) -> bool:
    return any(cell.rank == network.latent_dim for cell in CellWalk(network))


def qualified(rng: Random, widths: list[int], largest: int = 2) -> ReLUNetwork:
    """A random network to which Corollary H.2 applies, with full column rank in every layer on top."""
    while True:
        network = random_network(rng, widths, largest)
        if has_full_ranks(network) and has_full_dimension(network):
            return network


@pytest.mark.parametrize("network", [RANK_ONE, FULL_RANK])
def test_corollary_h2_fails(network: ReLUNetwork) -> None:
    """Not even weakly injective: z and -z share every value."""
    assert has_full_dimension(network)
    assert answers(network) == ("fails", "fails", "fails")
    maps = list(affine_maps(network))
    for z in (Fraction(1), Fraction(-7, 3), Fraction(100)):
        assert preimages(network, evaluate(network, [z]), maps) == {(z,), (-z,)}


def test_which_step_of_the_proof_fails() -> None:
    """The last layer of the first counterexample has rank one; the second one's g never meets the positive orthant."""
    assert rank(RANK_ONE.weights_exact[-1].tolist()) == 1
    assert has_full_ranks(FULL_RANK)
    inner = ReLUNetwork([w.tolist() for w in FULL_RANK.weights_exact[:2]], [[0, 0], [0, 0]])
    assert answers(inner) == ("holds", "holds", "holds")
    assert all(min(evaluate(inner, [Fraction(k, 8)])) <= 0 for k in range(-80, 81))


def test_the_counterexample_holds_on_an_open_set_of_weights() -> None:
    """So "generically" does not save the corollary: every entry moved by up to 1/10, F3 still fails."""
    rng = Random(1)
    for _ in range(100):
        moved = ReLUNetwork([[[v + Fraction(rng.randint(-100, 100), 1000) for v in row] for row in w.tolist()]
                             for w in FULL_RANK.weights_exact],
                            [[v + Fraction(rng.randint(-100, 100), 1000) for v in b.tolist()]
                             for b in FULL_RANK.biases_exact])
        assert has_full_ranks(moved)
        assert answers(moved)[:2] == ("fails", "fails")


def test_no_smaller_counterexample_with_full_ranks() -> None:
    """One hidden layer and an injective last one: the positive activations tell which rows they came from.

    All widths 1, 2, 2 with entries in -1, 0, 1 (the last layer may be taken as the identity, being injective); and
    widths 1, 1, 2, 2, where the first layer only cuts the line.
    """
    for w, v, b, c in product((-1, 0, 1), repeat=4):
        if w or v:
            network = ReLUNetwork([[[w], [v]], [[1, 0], [0, 1]]], [[b, c], [0, 0]])
            assert answers(network)[1] == "holds"
    rng = Random(2)
    for _ in range(100):
        assert answers(qualified(rng, [1, 1, 2, 2]))[1] == "holds"


@pytest.mark.parametrize("widths", [[2, 3, 3], [2, 4, 5], [3, 4, 4], [2, 2, 2, 2], [3, 3, 3], [2, 2, 3, 4]])
def test_where_corollary_h2_is_true(widths: list[int]) -> None:
    """One hidden layer that widens at most, injective layers; before it, hidden layers of width m."""
    rng = Random(3)
    for _ in range(40):
        assert answers(qualified(rng, widths))[1] == "holds"


#: Failures of F3 and of F2 among 100 networks with entries in -2..2 (seed 7) that meet all hypotheses.
FAILURES = {(1, 2, 2, 2): (13, 8), (1, 3, 3, 3): (11, 1), (2, 3, 3, 3): (35, 6), (2, 4, 4, 4): (54, 2),
            (2, 3, 3, 3, 3): (41, 8)}



@pytest.mark.parametrize("widths", FAILURES)
def test_how_often_corollary_h2_fails(widths: tuple[int, ...]) -> None:
    rng = Random(7)
    found = [answers(qualified(rng, list(widths))) for _ in range(100)]
    assert (sum(f3 == "fails" for _, f3, _ in found), sum(f2 == "fails" for _, _, f2 in found)) == FAILURES[widths]


@pytest.mark.parametrize(("widths", "count"), [([1, 2, 3, 3], 60), ([2, 2, 3], 60), ([2, 3, 4], 60), ([2, 2, 3, 3], 40),
                                               ([3, 3, 4], 30), ([2, 3, 3, 4], 30)])
@pytest.mark.parametrize("slope", ["1/2", "1/100", 2])
def test_corollary_h4_holds_for_full_ranks(widths: list[int], count: int, slope) -> None:
    """The exact comparison of all cells, without looking at the layers, never finds a collision."""
    rng = Random(4)
    left = count
    while left:
        network = random_network(rng, widths, 2, slope)
        if has_full_ranks(network):
            left -= 1
            assert answers(network, shortcuts=False) == ("holds", "holds", "holds")


def test_corollary_h4_asks_for_more_than_needed() -> None:
    """(z, z) kept once is injective though its second layer has rank one."""
    network = ReLUNetwork([[[1], [1]], [[1, 0], [1, 0]]], [[0, 0], [0, 0]], "1/2")
    assert not has_full_ranks(network)
    assert answers(network) == ("holds", "holds", "holds")


def test_example_5_narrows_at_the_end() -> None:
    network = ReLUNetwork([[[1], [-1]], [[1, -1], [1, 1]], [[0, 1]]], [[0, 0], [0, 0], [0]], "1/2")
    assert answers(network) == ("fails", "fails", "fails")
    wider = ReLUNetwork([w.tolist() for w in network.weights_exact[:2]], [[0, 0], [0, 0]], "1/2")
    assert answers(wider, shortcuts=False) == ("holds", "holds", "holds")


def paired(rng: Random, width: int, gap: Fraction) -> tuple[list[list[Fraction]], list[Fraction]]:
    """Rows B and -D B, B invertible and D positive, and biases with b_l + c b_k = gap for one pair, >= 0 for others."""
    while True:
        rows = [[Fraction(rng.randint(-2, 2)) for _ in range(width)] for _ in range(width)]
        square = ReLUNetwork([rows], [[0] * width])
        if has_full_ranks(square):
            break
    scales = [Fraction(rng.randint(1, 5), rng.randint(1, 3)) for _ in range(width)]
    biases = [Fraction(rng.randint(-3, 3)) for _ in range(width)]
    gaps = [gap, *(rng.choice([Fraction(0), Fraction(1, 1000), Fraction(2)]) for _ in range(width - 1))]
    order = rng.sample(range(2 * width), 2 * width)
    all_rows = rows + [[-c * v for v in row] for c, row in zip(scales, rows, strict=True)]
    all_biases = biases + [g - c * b for g, c, b in zip(gaps, scales, biases, strict=True)]
    return [all_rows[k] for k in order], [all_biases[k] for k in order]


def spanning(rng: Random, m: int, layers: int, gap: Fraction) -> ReLUNetwork:
    """Hidden layers of widths 2 m, 4 m, ... of opposite rows; the first one has the given gap. The last is random."""
    weights, biases = [], []
    width = m
    for layer in range(layers):
        rows, bias = paired(rng, width, Fraction(0) if layer else gap)
        weights.append(rows)
        biases.append(bias)
        width *= 2
    while True:
        last = with_numbers([width, width], lambda: rng.randint(-2, 2))
        if has_full_ranks(last):
            return ReLUNetwork([*weights, last.weights_exact[0].tolist()], [*biases, last.biases_exact[0].tolist()])


@pytest.mark.parametrize(("m", "layers", "count"), [(1, 1, 60), (1, 2, 60), (2, 1, 80), (3, 1, 30), (2, 2, 6)])
def test_directed_spanning_sets_make_networks_injective(m: int, layers: int, count: int) -> None:
    """Pairs with b_l + c b_k >= 0, zero included: the layers decide, and the comparison of all cells agrees."""
    rng = Random(5)
    for _ in range(count):
        network = spanning(rng, m, layers, rng.choice([Fraction(0), Fraction(1, 1000), Fraction(1)]))
        assert spanning_layers(network) is not None
        assert answers(network)[0] == "holds"
        assert answers(network, shortcuts=False) == ("holds", "holds", "holds")


@pytest.mark.parametrize(("m", "layers", "count"), [(1, 1, 60), (1, 2, 60), (2, 1, 80), (3, 1, 30), (2, 2, 6)])
def test_a_slight_gap_between_opposite_rows_breaks_injectivity(m: int, layers: int, count: int) -> None:
    """b_l + c b_k = -1/1000 for one pair of the first layer: a slab on which neither row is active, so F4 fails."""
    rng = Random(6)
    for _ in range(count):
        network = spanning(rng, m, layers, Fraction(-1, 1000))
        assert spanning_layers(network) is None
        assert answers(network)[0] == "fails"
        assert answers(network, shortcuts=False)[0] == "fails"
