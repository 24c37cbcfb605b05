"""The verifier of decoder certificates: hand-made and brute-force proofs pass, everything else is rejected."""

import json
from fractions import Fraction

import numpy as np
import pytest
from common.pattern_proofs import (
    Patterns,
    accepted,
    certificate,
    cover,
    decided_injective,
    model,
    mutations,
)

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import CertificateRejected
from ident_theory.exact import verify_networks
from ident_theory.exact.network_cells import Network, read_tree
from ident_theory.exact.verifier import verify

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
LEAKY = ReLUNetwork([[[1, 0], [0, 1]], [[2, 1], [1, 1]]], [[0, 1], [0, 0]], "1/10")
DOUBLED = ReLUNetwork([[[1, 0], [0, 1], [-1, 0], [0, -1]], np.hstack([np.eye(2), -np.eye(2)]).astype(int).tolist()],
                      [[0, 0, 0, 0], [0, 0]])
HALF = ReLUNetwork([[[1, 0], [0, 1], [0, -1]], [[1, 0, 0], [0, 1, -1]]], [[0, 0, 0], [0, 0]])
OUTER = ReLUNetwork([[[1, 0], [0, 1], [-1, 0], [0, -2]], [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1],
                                                         [1, 1, 1, 1]]], [[0, 1, 0, "1/2"], [0, 0, 0, 0, 0]])
EXAMPLE5 = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]], "1/2")
ROTATED = ReLUNetwork([[["3/5", "-4/5"], ["4/5", "3/5"]], [["3/5", "4/5"], ["-4/5", "3/5"], [1, 1]]],
                      [[0, 0], [0, 0, 0]], "1/3")
# A plane folded back over a line to which one of its cells is squeezed, but only half of it.
TENT = ReLUNetwork([[[1, 0], [0, 1], [1, 0]], [[1, 0, -2], [-2, 1, 0]]], [[0, 0, -1], [0, 0]])
# The absolute value again, with a kink at 1 that is not used.
TWICE = ReLUNetwork([[[1], [-1], [1]], [[1, 1, 0]]], [[0, 0, -1], [0]])
# Two copies of one unit that is identically zero, beside the absolute value.
DEAD = ReLUNetwork([[[0], [0], [1], [-1]], [[1, 1, 1, 1]]], [[0, 0, 0, 0], [0]])


def twice_covered():
    """|z| with cells z < 0, 0 < z < 1 and 1 < z: the first one is covered in two parts."""
    p = Patterns(TWICE)
    left, near, far = (p.leaves.index(s) for s in ("-+-", "+--", "+-+"))
    cut = {"cut": [near, 2], "pos": cover(p, left, near, [[Fraction(1), Fraction(1)]]),
           "neg": cover(p, left, far, [[Fraction(-1), Fraction(-1)]])}
    return {"tree": p.tree, "covers": {str(left): cut, str(near): cover(p, near, left), str(far): cover(p, far, left)}}


def absolute_covered():
    p = Patterns(ABSOLUTE)
    return {"tree": p.tree, "covers": {"0": cover(p, 0, 1), "1": cover(p, 1, 0)}}


CASES = [
    ("decoder.collision", ABSOLUTE, {"z": ["1/2"], "other": ["-1/2"]}),
    ("decoder.collision", RELU, {"z": [-1], "other": [-2]}),
    ("decoder.collision", EXAMPLE5, {"z": [1], "other": [-1]}),
    ("decoder.overlap", ABSOLUTE, {"z": ["1/2"], "other": ["-1/2"]}),
    ("decoder.overlap", DEAD, {"z": [2], "other": [-2]}),
    ("decoder.overlap", PiecewiseAffineMap([0], [-1, 1], [0, 0]), {"z": [3], "other": [-3]}),
    ("network.narrow", ReLUNetwork([[[1, 1], [2, 2]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]]), {"layer": 0}),
    ("network.injective_layers", LEAKY, {"rows": [[0, 1], [0, 1]]}),
    ("network.injective_layers", ROTATED, {"rows": [[0, 1], [2, 0]]}),
    ("network.spanning_layers", OUTER, {"pairs": [[[0, 2], [3, 1]]], "rows": [0, 1, 4, 3]}),
    ("network.homeomorphism", LEAKY, {"tree": Patterns(LEAKY).tree, "z": [1, 1]}),
    ("network.homeomorphism", LEAKY, {"tree": Patterns(LEAKY, True).tree, "z": ["-1/2", 1]}),
    ("network.homeomorphism", DOUBLED, {"tree": Patterns(DOUBLED).tree, "z": [1, 1]}),
    ("network.injective_cells", ROTATED, certificate(ROTATED, "network.injective_cells")),
    ("network.injective_cells", DOUBLED, certificate(DOUBLED, "network.injective_cells", True)),
    ("network.injective_cells", LEAKY, certificate(LEAKY, "network.injective_cells", True, [[1, 0], [1, -1]])),
    ("network.observably_injective", RELU, certificate(RELU, "network.observably_injective")),
    ("network.observably_injective", HALF, certificate(HALF, "network.observably_injective", True)),
    ("network.observably_injective", HALF,
     {**certificate(HALF, "network.observably_injective", False, [[0, 1]]), "pairs": []}),
    ("network.single_preimage", RELU, {"tree": [["b"]], "z": [1], "flat": {}}),
    ("network.single_preimage", TENT, {"tree": Patterns(TENT).tree, "z": [2, 1], "flat": {"4": {"1": "1"}}}),
    ("network.covered", ABSOLUTE, absolute_covered()),
    ("network.covered", TWICE, twice_covered()),
    ("network.degree", ABSOLUTE, {"tree": Patterns(ABSOLUTE).tree, "value": [1], "proper": {}}),
    ("network.degree", TWICE, {"tree": Patterns(TWICE).tree, "value": ["-1/2"], "proper": {}}),
    ("network.continuous", LEAKY, {}),
    ("decoder.piecewise_affine", LEAKY, {}),
    ("decoder.piecewise_affine", PiecewiseAffineMap([0], [0, 1], [0, 0]), {}),
    ("decoder.dimension", RELU, {}),
    ("decoder.dimension", PiecewiseAffineMap([0], [0, 1], [0, 0]), {}),
    ("decoder.overcomplete", ReLUNetwork([[[1, 1]]], [[0]]), {}),
    ("network.affine", ReLUNetwork([[[2, 1], [1, 1]]], [[0, 1]]), {}),
    ("network.affine", ReLUNetwork([[[1], [-1]], [[1, 1], [1, 0]]], [[0, 0], [0, 0]], 1), {}),
    ("network.affine_flat", ReLUNetwork([[[1, 1], [2, 2]]], [[0, 1]]), {}),
    ("network.affine_flat", ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]], 1), {}),
]
IDS = [f"{i}-{case[0]}" for i, case in enumerate(CASES)]


@pytest.mark.parametrize(("kind", "decoder", "data"), CASES, ids=IDS)
def test_accepts(kind, decoder, data):
    verify(kind, json.loads(json.dumps(data)), model(decoder))


def is_another_proof(kind, decoder, data, mutant):
    """Whether a changed proof proves the same in another way: another point, bound or row, a finer tree, a scale."""
    changed = {key for key in {*data, *mutant} if data.get(key) != mutant.get(key)}
    if changed <= {"z", "other", "point", "boxes", "rows", "value"} or kind == "network.spanning_layers":
        return True
    if changed == {"flat"}:
        return all(set(mutant["flat"][k]) == set(data["flat"][k]) for k in data["flat"])
    net = Network(model(decoder))
    return changed == {"tree"} and ({leaf.signs for leaf in read_tree(net, mutant["tree"])}
                                    > {leaf.signs for leaf in read_tree(net, data["tree"])})


@pytest.mark.parametrize(("kind", "decoder", "data"), CASES, ids=IDS)
def test_rejects_every_change(kind, decoder, data):
    data = json.loads(json.dumps(data))
    for mutant in mutations(data):
        if mutant != data and accepted(kind, decoder, mutant):
            assert is_another_proof(kind, decoder, data, mutant), mutant
    assert not accepted(kind, decoder, {**data, "more": 1})


#: What is true of the networks above.
TRUE = {ABSOLUTE: "", EXAMPLE5: "", DEAD: "", TWICE: "", RELU: "F2 F3", HALF: "F2 F3", TENT: "F2",
        LEAKY: "F2 F3 F4", DOUBLED: "F2 F3 F4", ROTATED: "F2 F3 F4", OUTER: "F2 F3 F4"}


def test_no_proof_is_accepted_for_a_network_that_it_is_false_for():
    proofs = [(kind, data) for kind, _, data in CASES]
    proofs += [(kind, {**data, "tree": Patterns(d).tree}) for kind, _, data in CASES if "tree" in data for d in TRUE]
    for decoder, true in TRUE.items():
        for kind, data in proofs:
            if accepted(kind, decoder, data):
                for condition, holds in verify_networks.PROVES[kind].items():
                    if condition in ("F2", "F3", "F4"):
                        assert holds == (condition in true.split()), (kind, decoder)


def test_every_kind_says_what_it_proves():
    assert set(verify_networks.PROVES) == set(verify_networks.VERIFIERS)


ZERO_UNITS = ReLUNetwork([[[0], [0], [1], [-1]], [[1, 1, 1, -1]]], [[0, 0, 0, 0], [0]])


@pytest.mark.parametrize(("tree", "good"), [
    ([["+", [0]], ["+", [1]], ["b"], ["b"], ["b"]], True),
    ([["+", {"0": "1"}], ["+", {"0": "1"}], ["b"], ["b"], ["b"]], False),  # the other unit stands for nothing
    ([["-", [0]], ["+", [1]], ["b"], ["b"], ["b"]], False),
    ([["-", {"0": "1"}], ["-", {"1": "1"}], ["b"], ["b"], ["b"]], False),
    ([["+", [0]], ["-", [1]], ["b"], ["b"], ["b"]], False),
    ([["+", [0]], ["+", [1]], ["b"], ["b"]], False),  # a branch is missing
    ([["+", [0]], ["+", [1]], ["b"], ["b"], ["b"], ["b"]], False),  # an entry too many
    ([["+", [0]], ["+", [1]], ["b"], ["-", [2, 3]], ["+", [2, 3]]], True),
    ([["+", [0]], ["+", [1]], ["b"], ["+", [2, 3]], ["+", [2, 3]]], False),  # the wrong side of the second unit
    ([["+", [0]], ["+", [1]], ["+", {"2": "0"}], ["b"]], False),
    ([["+", [0]], ["+", [1]], ["+", [2]], ["b"]], False),
    ([["+", [0]], ["+", [1]], ["b"], ["-", {"2": "1", "3": "-1"}], ["+", [2, 3]]], False),
    ([["+", [0]], ["+", [-3]], ["b"], ["b"], ["b"]], False),
])
def test_trees(tree, good):
    try:
        leaves = read_tree(Network(model(ZERO_UNITS)), tree)
    except CertificateRejected:
        assert not good
    else:
        assert good
        assert len(leaves) == (4 if ["b"] in tree[3:] else 2)


def test_copies_of_a_cell_do_not_cover_each_other():
    """Both signs of an identically zero unit are listed, so every cell has a copy with the same map."""
    net = ReLUNetwork([[[0], [1], [-1]], [[1, 1, -1]]], [[0, 0, 0], [0]])
    p = Patterns(net)
    p.tree = [["b"], *p.tree[1:], *p.tree[1:]]
    p.leaves = [s + leaf[1:] for s in "+-" for leaf in p.leaves]
    count = len(p.leaves)
    covers = {str(i): cover(p, i, (i + count // 2) % count) for i in range(count)}
    for node in covers.values():
        node["y"]["0"] = {}  # the zero unit is open in this tree
    assert not accepted("network.covered", net, {"tree": p.tree, "covers": covers})
    # A copy of the own cell is no second preimage either.
    assert accepted("network.single_preimage", net, {"tree": p.tree, "z": [1], "flat": {}})
    assert accepted("network.homeomorphism", net, {"tree": p.tree, "z": [1]})


@pytest.mark.parametrize("slope", [0, "1/10"])
@pytest.mark.parametrize("shift", [0, "1/3", "-1/3"])
def test_opposite_rows_need_an_overlap(slope, shift):
    """z -> (relu(z), relu(-z + shift)) loses the points between the kinks when shift < 0."""
    net = ReLUNetwork([[[1], [-1]], [[1, 0], [0, 1]]], [[0, shift], [0, 0]], slope)
    assert accepted("network.spanning_layers", net, {"pairs": [[[0, 1]]], "rows": [0, 1]}) == (Fraction(shift) >= 0)
    assert decided_injective(Patterns(net)) == (Fraction(shift) >= 0 or slope != 0)


@pytest.mark.parametrize("number", [1.0, True, "x", "1/0", None, [1]])
def test_numbers_that_are_not_exact_are_rejected(number):
    assert not accepted("decoder.collision", ABSOLUTE, {"z": [number], "other": [-1]})
    tree = model(ABSOLUTE)
    tree["decoder"]["weights"][0][0][0] = number
    with pytest.raises(CertificateRejected):
        verify("network.continuous", {}, tree)
