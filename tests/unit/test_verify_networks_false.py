"""False claims about decoders and false steps, each with the proof that a careless verifier would let through."""

import pytest
from common.pattern_proofs import Patterns, accepted, model

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import CertificateRejected
from ident_theory.exact.network_cells import Network, read_tree
from ident_theory.exact.network_covers import check_cover, read_walls
from ident_theory.exact.network_pairs import Boxes

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
TURNED = ReLUNetwork([[[-1], [1]], [[1, 1]]], [[0, 0], [0]])
LEAKY = ReLUNetwork([[[1]], [[1]]], [[0], [0]], "1/2")
FLAT_ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1], [0, 0]]], [[0, 0], [0, 0]])
FOLD = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0, 0, 0, 0], [0, 0]])
WITH_ZERO = ReLUNetwork([[[0], [1], [-1]], [[1, 1, 1]]], [[0, 0, 0], [0]])
TWICE = ReLUNetwork([[[1], [-1], [1]], [[1, 1, 0]]], [[0, 0, -1], [0]])
ZIGZAG = ReLUNetwork([[[1], [-1], [1], [1]], [[1, -1, -2, 2]]], [[0, 0, 1, -1], [0]])
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
TENT = ReLUNetwork([[[1, 0], [0, 1], [1, 0]], [[1, 0, -2], [-2, 1, 0]]], [[0, 0, -1], [0, 0]])
# Angles are doubled: (|u| - |v|, |u + v| - |u - v|). All determinants are positive, every value but 0 is taken twice.
DOUBLE = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]],
                      [[1, 1, -1, -1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, -1, -1]]], [[0] * 8, [0, 0]])


def no_boxes(p):
    return {"directions": [], "bounds": [[] for _ in p.leaves]}


def cells(net, pairs, boxes=None, **more):
    p = Patterns(net)
    return {"tree": p.tree, "boxes": boxes or no_boxes(p), "pairs": pairs, **more}


@pytest.mark.parametrize(("kind", "net", "data"), [
    # The line of candidates touches the diagonal at its end and goes on.
    ("network.injective_cells", ABSOLUTE, cells(ABSOLUTE, [])),
    ("network.injective_cells", TURNED, cells(TURNED, [])),
    # The sum is zero on the candidates: they lie on a hyperplane, which is not nothing.
    ("network.injective_cells", LEAKY, cells(LEAKY, [[0, 1, "empty", {"0": "1"}, {"0": "1/2"}]])),
    ("network.injective_cells", FOLD, cells(FOLD, [
        [i, j, "empty", {"0": "1"}, {"0": "1"}] for i in range(4) for j in range(i + 1, 4)])),
    ("network.injective_cells", ABSOLUTE, cells(ABSOLUTE, [[0, 1, "empty", {"0": "1"}, {"0": "-1"}]])),
    ("network.injective_cells", ABSOLUTE, cells(ABSOLUTE, [[0, 1, "diagonal", [[{}, {}], [{}, {}]]]])),
    ("network.injective_cells", ABSOLUTE, cells(ABSOLUTE, [[0, 1, "diagonal", []]])),
    # A multiplier of an identically zero unit proves nothing.
    ("network.observably_injective", WITH_ZERO, cells(WITH_ZERO, [[0, 1, "apart", {"0": "1"}, {}]], leaf=0, point=[1])),
    ("network.observably_injective", ABSOLUTE, cells(ABSOLUTE, [[0, 1, "apart", {"0": "1"}, {"0": "1"}]], leaf=0,
                                                     point=[1])),
    ("network.observably_injective", ABSOLUTE, cells(ABSOLUTE, [], leaf=0, point=[1])),
    # A direction that is constant on the plane bounds both images by the same number.
    ("network.observably_injective", FLAT_ABSOLUTE, cells(
        FLAT_ABSOLUTE, [], {"directions": [[0, 1]], "bounds": [[[[], []]], [[[], []]]]}, leaf=0, point=[1])),
    ("network.observably_injective", RELU, cells(RELU, [], leaf=1, point=[-1])),
    ("network.observably_injective", RELU, cells(RELU, [], leaf=0, point=[0])),
    # One value has a single preimage, but the determinants change their sign.
    ("network.homeomorphism", ZIGZAG, {"tree": Patterns(ZIGZAG).tree, "z": [4]}),
    # The determinants agree, but the value is taken twice.
    ("network.homeomorphism", DOUBLE, {"tree": Patterns(DOUBLE, True).tree, "z": [2, 1]}),
    # Single preimages on a boundary.
    ("network.homeomorphism", DOUBLE, {"tree": Patterns(DOUBLE, True).tree, "z": [0, 0]}),
    ("network.single_preimage", ABSOLUTE, {"tree": Patterns(ABSOLUTE).tree, "z": [0], "flat": {}}),
    ("network.single_preimage", ABSOLUTE, {"tree": Patterns(ABSOLUTE).tree, "z": [1], "flat": {}}),
    ("network.single_preimage", TENT, {"tree": Patterns(TENT).tree, "z": [2, 4], "flat": {"4": {"1": "1"},
                                                                                         "5": {"1": "1"}}}),
    ("network.single_preimage", RELU, {"tree": [["b"]], "z": [-1], "flat": {}}),
    ("network.covered", RELU, {"tree": [["b"]], "covers": {}}),
    ("network.covered", ZIGZAG, {"tree": Patterns(ZIGZAG).tree, "covers": {}}),
    ("network.covered", ABSOLUTE, {"tree": Patterns(ABSOLUTE).tree, "covers": {"0": {"empty": {"0": "1"}},
                                                                               "1": {"empty": {"0": "1"}}}}),
    ("network.flat", RELU, {"tree": [["b"]]}),
    ("network.narrow", RELU, {"layer": 0}),
    ("network.injective_layers", ABSOLUTE, {"rows": [[0], [0]]}),
    ("network.spanning_layers", ReLUNetwork([[[1], [-1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]], -1),
     {"pairs": [[[0, 1]]], "rows": [0, 1]}),
    ("decoder.overlap", ZIGZAG, {"z": [-1], "other": [3]}),
    ("decoder.overlap", ZIGZAG, {"z": [3], "other": [-1]}),
    ("decoder.overlap", PiecewiseAffineMap([1], [[1, 0], [0, 1]], [[0, 0], [0, -2]]), {"z": [0], "other": [2]}),
    ("decoder.overlap", RELU, {"z": [-1], "other": [-2]}),
    ("decoder.collision", ABSOLUTE, {"z": [0], "other": [0]}),
    ("decoder.dimension", ReLUNetwork([[[1, 1]]], [[0]]), {}),
    ("decoder.overcomplete", RELU, {}),
    ("network.affine", RELU, {}),
    ("network.affine", ReLUNetwork([[[1]], [[1]]], [[0], [0]], "1/2"), {}),  # injective, but not affine
    ("network.affine", ReLUNetwork([[[1]], [[1]]], [[0], [0]], -1), {}),
    ("network.affine", ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]], 1), {}),
    ("network.affine", ReLUNetwork([[[1, 1]]], [[0]]), {}),
    ("network.affine", PiecewiseAffineMap([], [1], [0]), {}),
    ("network.affine_flat", ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]]), {}),  # |z|, of product 0
    ("network.affine_flat", ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]]), {}),
    ("network.affine_flat", ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]], 1), {}),
    ("network.affine_flat", ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]]), {}),
    ("network.continuous", PiecewiseAffineMap([], [1], [0]), {}),
])
def test_false_claims(kind, net, data):
    assert not accepted(kind, net, data)


def test_negative_multipliers_do_not_close_a_branch():
    """z >= 0 and z >= 0 cancel with opposite signs, and leave out half of the line."""
    tree = [["b"], ["+", {"0": "1", "1": "-1"}], ["+", [0, 1]]]
    with pytest.raises(CertificateRejected, match=">= 0"):
        read_tree(Network(model(ABSOLUTE)), tree)


def test_the_covering_cell_must_be_reached():
    """|z| with a kink at 1: the cell z > 1 does not take the values of all z < 0."""
    p = Patterns(TWICE)
    left, far = p.leaves.index("-+-"), p.leaves.index("+-+")
    net = Network(model(TWICE))
    leaves = read_tree(net, p.tree)
    walls = read_walls(net, leaves, {})
    assert [walls[left], walls[far]] == [[0], [0, 2]]
    with pytest.raises(CertificateRejected, match="constraint 2"):
        check_cover(net, leaves, walls, left, {"in": far, "y": {"0": {"0": "1"}, "2": {"0": "1"}}})
    check_cover(net, leaves, walls, far, {"in": left, "y": {"0": {"0": "1"}}})


@pytest.mark.parametrize(("lo", "hi"), [(None, [0]), ([0, 1], None), ([], None), ([2], None), ([-1], None)])
def test_bounds_that_do_not_hold(lo, hi):
    """The image of z > 0 under relu(z): unbounded above; each of z >= 0 and 3 z + 1 >= 0 bounds it below."""
    net = Network(model(ReLUNetwork([[[1], [3]], [[1, 0]]], [[0, 1], [0]])))
    leaves = read_tree(net, [["b"], ["+", {"0": "3", "1": "1"}], ["b"]])
    bounds = [[[None, None]] for _ in leaves]
    Boxes(net, leaves, {"directions": [[1]], "bounds": [[[[0], None]], *bounds[1:]]})
    Boxes(net, leaves, {"directions": [[1]], "bounds": [[[[1], None]], *bounds[1:]]})
    with pytest.raises(CertificateRejected):
        Boxes(net, leaves, {"directions": [[1]], "bounds": [[[lo, hi]], *bounds[1:]]})
