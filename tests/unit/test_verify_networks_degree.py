"""Proofs by the degree, implied constraints of covering cells, and dimensions of declared maps."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from common.pattern_proofs import (
    Patterns,
    accepted,
    best_combination,
    cover,
    model,
    mutations,
    plain,
    small_networks,
    solve,
    value,
)
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import DeclaredMap, ReLUNetwork
from ident_theory.errors import CertificateRejected
from ident_theory.exact import verify_networks
from ident_theory.exact.network_cells import Network, read_tree
from ident_theory.exact.network_covers import read_walls


def proper_entries(p):
    """Entries for all singular leaves; None when some cell has a ray on which f is constant."""
    out = {}
    for i, signs in enumerate(p.leaves):
        if p.plane(i) is not None:
            continue
        cell, image = p.functions(signs)
        basis = solve([[*row[:-1], Fraction(0)] for row in image], p.m)[1]
        rows = [[*(sum(a * x for a, x in zip(row, d, strict=False)) for d in basis), Fraction(0)] for row in cell]
        entries = []
        for k, sign in itertools.product(range(len(basis)), (1, -1)):
            proof = best_combination(rows, [*(Fraction(sign * (c == k)) for c in range(len(basis))), Fraction(0)])
            if proof is None:
                return None
            entries.append(plain(proof[1]))
        out[str(i)] = entries
    return out


def degree_data(network, at):
    p = Patterns(network)
    return {"tree": p.tree, "value": [str(Fraction(x)) for x in at], "proper": proper_entries(p) or {}}


FOLD_ROWS = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]]
FOLD_OUT = [[1, 1, -1, -1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, -1, -1]]
# Angles are doubled: (|u| - |v|, |u + v| - |u - v|). The degree is 2.
DOUBLE = ReLUNetwork([FOLD_ROWS, FOLD_OUT], [[0] * 8, [0, 0]])
# The same after u is replaced by 0 on a strip of width 2: a strip of singular cells.
GAP = [[1, -1, 0, 0], [0, 0, 1, -1]]
STRIP = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], (np.array(FOLD_ROWS) @ np.array(GAP)).tolist(), FOLD_OUT],
                    [[-1, -1, 0, 0], [0] * 8, [0, 0]])
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
BASIN = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[-1, -1], [0]])
# Zero on a square, and folded in one coordinate: degree 0 with kernels of dimension 1 and 2.
SQUARE = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[-1, -1, -1, -1], [0, 0]])
SKEW = ReLUNetwork([[[1, 1], [-1, -1], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[-1, -1, -1, -1], [0, 0]])
GOOD = [(DOUBLE, [2, 1]), (DOUBLE, [-3, "1/7"]), (STRIP, [2, 1]), (ABSOLUTE, [1]), (ABSOLUTE, [-1]), (BASIN, ["1/2"]),
        (BASIN, [-1]), (SQUARE, [2, 1]), (SQUARE, [-2, 1]), (SKEW, [2, 1])]


@pytest.mark.parametrize(("network", "at"), GOOD)
def test_degree_is_accepted_and_every_change_rejected(network, at):
    data = json.loads(json.dumps(degree_data(network, at)))
    assert accepted("network.degree", network, data)
    net = Network(model(network))
    for mutant in mutations(data):
        if mutant != data and accepted("network.degree", network, mutant):
            changed = {key for key in data if mutant[key] != data[key]}
            # Another value is another proof, and so is a finer tree, or one with another sign of a zero unit.
            assert changed == {"value"} or (changed == {"tree"} and len(read_tree(net, mutant["tree"]))
                                            >= len(read_tree(net, data["tree"])) + (network is not STRIP))
    assert not accepted("network.degree", network, {**data, "more": 1})


IDENTITY = ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])
TURN = ReLUNetwork([[[1], [-1]], [[-1, 1]]], [[0, 0], [0]])
DEAD_ZONE = ReLUNetwork([[[1], [-1]], [[1, -1]]], [[-1, -1], [0]])
LEAKY = ReLUNetwork([[[1, 0], [0, 1]], [[2, 1], [1, 1]]], [[0, 1], [0, 0]], "1/10")
ZIGZAG = ReLUNetwork([[[1], [-1], [1], [1]], [[1, -1, -2, 2]]], [[0, 0, 1, -1], [0]])
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
# The identity, beside a unit that is identically zero.
ZERO_UNIT = ReLUNetwork([[[0], [1], [-1]], [[1, 1, -1]]], [[0, 0, 0], [0]])
RECTIFIED = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])


@pytest.mark.parametrize(("network", "data"), [
    (IDENTITY, degree_data(IDENTITY, [1])),
    (TURN, degree_data(TURN, [1])),
    (DEAD_ZONE, degree_data(DEAD_ZONE, [1])),
    (LEAKY, degree_data(LEAKY, [1, 2])),
    (ZIGZAG, degree_data(ZIGZAG, ["1/2"])),  # three preimages of degree 1
    (ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]]), {"tree": [], "value": [1, 1], "proper": {}}),
    # Improper: no preimage at all, and yet some values have a single one.
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {}}),
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {"1": [{"0": "1"}, {"0": "1"}]}}),
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {"1": [{"0": "1"}, {}]}}),
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {"1": [{}, {"0": "1"}]}}),
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {"1": [{"0": "1"}, {"0": "-1"}]}}),
    (RELU, {"tree": [["b"]], "value": [-1], "proper": {"1": []}}),
    (RECTIFIED, {"tree": Patterns(RECTIFIED).tree, "value": [-1, -1], "proper": {
        str(i): [{"0": "1"}, {"1": "1"}] * (2 if i == 3 else 1) for i in (1, 2, 3)}}),
    # Values on boundaries, and in the image of a singular leaf.
    (ABSOLUTE, degree_data(ABSOLUTE, [0])),
    (DOUBLE, degree_data(DOUBLE, [0, 0])),
    (DOUBLE, degree_data(DOUBLE, [1, 0])),
    (BASIN, degree_data(BASIN, [0])),
    (STRIP, degree_data(STRIP, [-1, 0])),
    # An entry that is not needed.
    (ABSOLUTE, {**degree_data(ABSOLUTE, [1]), "proper": {"0": []}}),
    (ABSOLUTE, {**degree_data(ABSOLUTE, [1]), "proper": {"2": []}}),
    (BASIN, {**degree_data(BASIN, [1]), "proper": {"2": [{"0": "1"}, {"1": "1"}], "02": [{"0": "1"}, {"1": "1"}]}}),
    # Copies of a leaf count once.
    (ZERO_UNIT, {"tree": [["b"], *Patterns(ZERO_UNIT).tree[1:], *Patterns(ZERO_UNIT).tree[1:]], "value": [1],
                 "proper": {}}),
    (ReLUNetwork([[[1, 1]]], [[0]]), {"tree": [], "value": [1], "proper": {}}),
    (ReLUNetwork([[[1]], [[1], [1]]], [[0], [0, 0]], "1/2"), {"tree": [["b"]], "value": [1, 2], "proper": {}}),
])
def test_degree_of_false_claims_and_false_steps(network, data):
    assert not accepted("network.degree", network, data)


def test_a_tree_with_copies_still_proves_degree_zero():
    folded = ReLUNetwork([[[0], [1], [-1]], [[1, 1, 1]]], [[0, 0, 0], [0]])
    tree = Patterns(folded).tree
    assert accepted("network.degree", folded, {"tree": [["b"], *tree[1:], *tree[1:]], "value": [1], "proper": {}})


GENERIC = [Fraction(1234567, 99991), Fraction(-7654321, 99989)]


@settings(max_examples=250)
@given(small_networks(m=1, n=1))
def test_degree_on_the_line_agrees_with_the_slopes_at_infinity(net):
    far = net(np.array([[-2e6], [-1e6], [1e6], [2e6]]))[:, 0]
    left, right = np.sign(far[1] - far[0]), np.sign(far[3] - far[2])
    truth = bool(left and right and left != right)
    assert accepted("network.degree", net, degree_data(net, GENERIC[:1])) == truth


def winding(net, at):
    """Turns of f(z) - at along a large circle, from many points of it."""
    angles = np.linspace(0, 2 * np.pi, 40001)
    values = net(1e6 * np.stack([np.cos(angles), np.sin(angles)], axis=1)) - np.array([float(x) for x in at])
    turn = np.diff(np.unwrap(np.arctan2(values[:, 1], values[:, 0])))
    assert np.abs(turn).max() < 1
    return round(turn.sum() / (2 * np.pi))


def folds():
    """Random last layers on absolute values: often proper, with all degrees from -2 to 2."""
    entry = st.lists(st.integers(-2, 2), min_size=4, max_size=4)
    return st.builds(lambda a, b, c: ReLUNetwork(
        [FOLD_ROWS, [[x for x in row for _ in range(2)] for row in (a, b)]], [c * 2, [0, 0]]), entry, entry,
        st.lists(st.integers(-1, 1), min_size=4, max_size=4))


@settings(max_examples=60)
@given(st.one_of(small_networks(m=2, n=2, most=3), folds()))
def test_degree_of_the_plane_agrees_with_the_winding_number(net):
    p = Patterns(net)
    proper = proper_entries(p)
    data = {"tree": p.tree, "value": [str(x) for x in GENERIC], "proper": proper or {}}
    if proper is None:
        assert not accepted("network.degree", net, data)
        return
    assert accepted("network.degree", net, data) == (abs(winding(net, GENERIC)) != 1)
    if accepted("network.degree", net, data):
        for z in itertools.product(("-9/7", "3/7", "11/7"), repeat=2):
            assert not accepted("network.single_preimage", net, {"tree": p.tree, "z": list(z), "flat": {}})


# |z| with a kink at -1 that is not used: the constraint z + 1 >= 0 of the cell z > 0 follows from the later z >= 0.
KINK = ReLUNetwork([[[1], [1], [-1]], [[0, 1, 1]]], [[1, 0, 0], [0]])


def kink_covered():
    p = Patterns(KINK)
    right, near, far = (p.leaves.index(s) for s in ("++-", "+-+", "--+"))
    cut = {"cut": [near, 0], "pos": cover(p, right, near, [[Fraction(-1), Fraction(1)]]),
           "neg": cover(p, right, far, [[Fraction(1), Fraction(-1)]])}
    to_right = {"in": right, "y": {"1": {"1": "1"}}}
    return {"tree": p.tree, "implied": {str(right): [[0, {"1": "1"}]]},
            "covers": {str(right): cut, str(near): to_right, str(far): to_right}}


def test_implied_constraints_need_no_proof():
    data = json.loads(json.dumps(kink_covered()))
    assert accepted("network.covered", KINK, data)
    for mutant in mutations(data):
        if mutant != data:
            assert not accepted("network.covered", KINK, mutant), mutant
    assert not accepted("network.covered", KINK, {k: v for k, v in data.items() if k != "implied"})


STAIRS = ReLUNetwork([[[1], [1], [1], [1]], [[1, 1, 1, 1]]], [[2, 1, 0, 0], [0]])


@pytest.mark.parametrize(("entries", "walls"), [
    ([], [0, 1, 2, 3]),
    ([[0, {"1": "1"}], [1, {"2": "1"}]], [2, 3]),
    ([[1, {"2": "1"}], [0, {"2": "1"}]], [2, 3]),
    ([[0, {"1": "1/2", "2": "1/2"}], [3, {"2": "1"}]], [1, 2]),
    ([[2, {"3": "1"}], [3, {"2": "1"}]], None),  # each from the other
    ([[1, {"2": "1"}], [0, {"1": "1"}]], None),  # unit 1 is settled before unit 0
    ([[1, {"0": "1"}]], None),  # the constant is negative
    ([[0, {"0": "1"}]], None),
    ([[0, {"1": "1"}], [0, {"1": "1"}]], None),
    ([[0, {"1": "2"}]], None),
    ([[0, {"1": "2", "2": "-1"}]], None),
    ([[0, {}]], None),
    ([[4, {}]], None),
])
def test_chains_of_implied_constraints(entries, walls):
    net = Network(model(STAIRS))
    tree = [*[["b"]] * 4, ["-", {"2": "1", "3": "1"}], ["-", {"1": "1", "2": "1"}], ["-", {"1": "1", "3": "1"}],
            ["-", {"0": "1", "1": "1"}], ["-", {"0": "1", "2": "1"}], ["-", {"0": "1", "3": "1"}]]
    leaves = read_tree(net, tree)
    assert [leaf.open_units for leaf in leaves] == [(0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2), (0, 1), (0,)]
    try:
        assert read_walls(net, leaves, {"0": entries})[0] == walls
    except CertificateRejected:
        assert walls is None
    # Only open units are named.
    with pytest.raises(CertificateRejected):
        read_walls(net, leaves, {"4": [[1, {"0": "1"}]]})
    with pytest.raises(CertificateRejected, match="twice"):
        read_walls(net, leaves, {"0": [], "00": []})


@settings(max_examples=150)
@given(small_networks(), st.data())
def test_walls_define_the_cell(net, data):
    """Whatever entries are accepted, a point that no wall excludes lies in the cell; complete entries are accepted."""
    p = Patterns(net)
    network = Network(model(net))
    leaves = read_tree(network, p.tree)
    implied = {}
    for i, signs in enumerate(p.leaves):
        cell, entries, left = p.functions(signs)[0], [], p.walls(i)
        for u in p.walls(i):
            rest = [k for k in left if k != u]
            proof = best_combination([cell[k] for k in rest], [-x for x in cell[u]])
            if proof is not None and proof[0] <= 0:
                entries.append([u, plain({rest[k]: x for k, x in proof[1].items()})])
                left = rest
        implied[str(i)] = entries
    walls = read_walls(network, leaves, implied)
    forged = data.draw(st.permutations(range(network.size))) if network.size < 4 else []
    for i in range(len(leaves)):
        entries = implied[str(i)] + [[u, {str(k): "1"}] for u, k in zip(forged, forged[1:], strict=False)]
        try:
            walls[i] = read_walls(network, leaves, {str(i): entries})[i]
        except CertificateRejected:
            continue
    for z in itertools.product(range(-4, 5), repeat=network.m):
        point = [Fraction(x, 2) for x in z]
        for i, signs in enumerate(p.leaves):
            cell = p.functions(signs)[0]
            if all(value(cell[k], point) >= 0 for k in walls[i]):
                assert not leaves[i].is_violated([fmpq(x.numerator, x.denominator) for x in point])


def test_an_entry_without_the_own_constraint_leaves_the_unit_open():
    """No point has z < 0 < z - 1, so either sign of unit 2 can be left out, and neither follows."""
    net = ReLUNetwork([[[1], [1], [1]], [[1, 1, 1]]], [[0, -1, -5], [0]])
    tree = [["b"], ["b"], ["b"], ["b"], ["b"], ["+", {"0": "1", "1": "1"}], ["-", {"0": "1", "2": "1"}]]
    leaves = {leaf.signs: leaf.open_units for leaf in read_tree(Network(model(net)), tree)}
    assert leaves == {"+++": (0, 1, 2), "++-": (0, 1, 2), "+-+": (0, 1, 2), "+--": (0, 1, 2), "-++": (0, 1, 2),
                      "---": (0, 1)}


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (3, 2)])
def test_dimensions_of_declared_maps(m, n):
    f = DeclaredMap(m, n, ["injective"])
    assert accepted("decoder.dimension", f, {}) == (m <= n)
    assert accepted("decoder.overcomplete", f, {}) == (m > n)
    assert not accepted("decoder.dimension", f, {"more": 1})
    assert not accepted("decoder.piecewise_affine", f, {})
    assert not accepted("network.continuous", f, {})


@pytest.mark.parametrize("bad", [0, -1, 1.0, "1", True, None])
@pytest.mark.parametrize("key", ["latent_dim", "observed_dim"])
def test_declared_dimensions_are_positive_integers(key, bad):
    for kind in ("decoder.dimension", "decoder.overcomplete"):
        tree = {"decoder": {**DeclaredMap(1, 1, []).plain(), key: bad}}
        with pytest.raises(CertificateRejected):
            verify_networks.VERIFIERS[kind](tree, {})


def test_too_few_coordinates_say_nothing_about_injectivity():
    """There are injective maps from the plane to the line; they are not continuous."""
    assert accepted("decoder.overcomplete", DeclaredMap(2, 1, ["injective"]), {})
    assert verify_networks.PROVES["decoder.overcomplete"] == {"dimension": False}
