"""The verifier of decoder certificates on random small networks, against exact decisions by brute force."""

import copy
import itertools
from fractions import Fraction

import numpy as np
from common.pattern_proofs import (
    Patterns,
    accepted,
    certificate,
    covering,
    decided_injective,
    has_full_cells,
    model,
    null_supports,
    plain,
    rank,
    small_networks,
    solve,
)
from flint import fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import CertificateRejected
from ident_theory.exact.network_cells import Network, read_tree


def numbers(values):
    return [str(v) for v in values]


def numbers_exact(values):
    return [fmpq(v.numerator, v.denominator) for v in values]


def no_boxes(patterns):
    return {"directions": [], "bounds": [[] for _ in patterns.leaves]}


@settings(max_examples=150)
@given(small_networks(), st.booleans(), st.booleans())
def test_injective_cells_are_accepted_exactly_when_f_is_injective(net, as_lists, with_boxes):
    p = Patterns(net, as_lists)
    assume(has_full_cells(p))
    truth = decided_injective(p)
    pairs = p.injective_pairs()
    boxes = p.boxes([[1] * p.n, [1, -2, 3][:p.n]]) if with_boxes else no_boxes(p)
    assert accepted("network.injective_cells", net, {"tree": p.tree, "boxes": boxes, "pairs": pairs or []}) == truth
    if truth:
        points = [np.array(z) / 2 for z in itertools.product(range(-6, 7), repeat=p.m)]
        values = {tuple(np.round(v, 9)) for v in net(np.array(points))}
        assert len(values) == len(points)


@settings(max_examples=100)
@given(small_networks(), st.booleans())
def test_observable_injectivity_is_accepted_exactly_when_images_do_not_overlap(net, with_boxes):
    data = certificate(net, "network.observably_injective", directions=[[1] * net.observed_dim] if with_boxes else ())
    assume(data is not None and has_full_cells(Patterns(net)))
    truth = data["pairs"] is not None
    assert accepted("network.observably_injective", net, {**data, "pairs": data["pairs"] or []}) == truth


@settings(max_examples=150)
@given(small_networks(m=2, n=2))
def test_homeomorphisms_are_injective(net):
    p = Patterns(net)
    points = ([Fraction(a, 7), Fraction(b, 5)] for a, b in itertools.product(range(-9, 10, 6), repeat=2))
    if any(accepted("network.homeomorphism", net, {"tree": p.tree, "z": numbers(z)}) for z in points):
        assert decided_injective(p)


@settings(max_examples=150)
@given(small_networks(), st.integers(-20, 20), st.integers(-20, 20))
def test_single_preimages_are_accepted_exactly_when_no_other_cell_takes_the_value(net, a, b):
    z = [Fraction(a, 7), Fraction(b, 5)][:net.latent_dim]
    tree = model(net)
    p, network = Patterns(net), Network(tree)
    fz = [Fraction(int(v.p), int(v.q)) for v in network(numbers_exact(z))]
    flat, others, own = {}, 0, None
    for i, signs in enumerate(p.leaves):
        cell, image = p.functions(signs)
        values = [sum(x * y for x, y in zip(r, z, strict=False)) + r[-1] for r in cell]
        if own is None and all(v > 0 or not any(r) for v, r in zip(values, cell, strict=True)):
            own = i
            continue
        found = solve([[*r[:-1], v - r[-1]] for r, v in zip(image, fz, strict=True)], p.m)
        if found is None:
            continue
        point, directions = found
        rows = [[*(sum(x * y for x, y in zip(r, d, strict=False)) for d in directions),
                 sum(x * y for x, y in zip(r, point, strict=False)) + r[-1]] for r in cell]
        gone = next((y for _, y in null_supports(rows) if sum(x * rows[k][-1] for k, x in y.items()) < 0), None)
        others += gone is None
        if gone is not None and directions:
            flat[str(i)] = plain(gone)
    assume(own is not None and has_full_cells(p))
    truth = p.plane(own) is not None and not others
    assert accepted("network.single_preimage", net, {"tree": p.tree, "z": numbers(z), "flat": flat}) == truth


@settings(max_examples=300)
@given(small_networks(), st.data())
def test_trees_with_arbitrary_entries_still_cover(net, data):
    """Entries drawn at random: whatever tree is accepted, its closed cells hold every point of a grid."""
    network = Network(model(net))
    good = Patterns(net).tree
    tree = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 3))):
        k = data.draw(st.integers(0, max(0, len(tree) - 1)))
        supports = st.lists(st.integers(0, network.size - 1), min_size=1, max_size=3, unique=True)
        entry = [data.draw(st.sampled_from("+-")), data.draw(supports)]
        tree[k:k + 1] = data.draw(st.sampled_from([[entry], [], [["b"]], [entry, entry]]))
    try:
        leaves = read_tree(network, tree)
    except CertificateRejected:
        return
    for z in itertools.product(range(-4, 5), repeat=network.m):
        point = numbers_exact([Fraction(x, 2) for x in z])
        inside = [leaf for leaf in leaves if not leaf.is_violated(point)]
        assert inside
        for leaf in inside:
            assert [sum((a * x for a, x in zip(r, point, strict=False)), r[-1]) for r in leaf.image] == network(point)


@settings(max_examples=150)
@given(small_networks(most=4))
def test_layer_shortcuts_agree_with_the_exact_decision(net):
    p = Patterns(net)
    rows = []
    for w in p.weights:
        choices = itertools.combinations(range(len(w)), len(w[0]))
        rows.append(list(next((c for c in choices if rank([w[k] for k in c]) == len(c)), [])))
    if accepted("network.injective_layers", net, {"rows": rows}):
        assert decided_injective(p)
    pairs = [[[k, l] for k in range(len(w)) for l in range(len(w))] for w in p.weights[:-1]]
    kept = [[q for q in layer if is_opposite(p, l, *q)] for l, layer in enumerate(pairs)]
    if accepted("network.spanning_layers", net, {"pairs": kept, "rows": rows[-1]}):
        assert decided_injective(p)


def is_opposite(p, layer, k, l):
    a, b = p.weights[layer][k], p.weights[layer][l]
    c = next((-y / x for x, y in zip(a, b, strict=True) if x), 0)
    return (c > 0 and all(y == -c * x for x, y in zip(a, b, strict=True))
            and p.biases[layer][l] + c * p.biases[layer][k] >= 0)


@st.composite
def opposite_networks(draw):
    """Hidden layers of opposite rows with biases that often, but not always, overlap; an injective last layer."""
    dim = m = draw(st.integers(1, 2))
    entry = st.integers(-1, 2)
    weights, biases = [], []
    for _ in range(draw(st.integers(1, 2)) if m == 1 else 1):
        rows = [[draw(entry) for _ in range(dim)] for _ in range(dim)]
        bias = [draw(entry) for _ in range(dim)]
        scale = draw(st.integers(1, 2))
        weights.append(rows + [[-scale * x for x in row] for row in rows])
        biases.append(bias + [-scale * b + draw(st.sampled_from([0, 0, 1, -1])) for b in bias])
        dim *= 2
    weights.append([[int(i == j) for j in range(dim)] for i in range(dim)])
    biases.append([0] * dim)
    return ReLUNetwork(weights, biases, draw(st.sampled_from([0, "1/2"])))


@settings(max_examples=60)
@given(opposite_networks())
def test_opposite_rows_agree_with_the_exact_decision(net):
    p = Patterns(net)
    halves = [len(w) // 2 for w in p.weights[:-1]]
    data = {"pairs": [[[k, k + half] for k in range(half)] for half in halves], "rows": list(range(len(p.weights[-1])))}
    if accepted("network.spanning_layers", net, data):
        assert decided_injective(p)


def as_line(p):
    """A network of one latent as an explicit map; the leaves have interior."""
    pieces = []
    for signs in p.leaves:
        cell, image = p.functions(signs)
        low = max((-b / a for a, b in cell if a > 0), default=None)
        pieces.append((low is not None, low or 0, [a for a, _ in image], [c for _, c in image]))
    pieces.sort()
    return PiecewiseAffineMap([low for bounded, low, _, _ in pieces if bounded], [a for _, _, a, _ in pieces],
                              [c for _, _, _, c in pieces])


@settings(max_examples=200)
@given(small_networks(m=1))
def test_both_verifiers_agree_on_networks_of_one_latent(net):
    p = Patterns(net)
    assume(has_full_cells(p))
    f = as_line(p)
    covers = {str(i): covering(p, i) for i in range(len(p.leaves)) if p.plane(i) is not None}
    covers = {i: node for i, node in covers.items() if node is not None}
    assert accepted("network.covered", net, {"tree": p.tree, "covers": covers}) == accepted("line.covered", f, {})
    assert accepted("network.flat", net, {"tree": p.tree}) == accepted("line.flat", f, {})
    cells = {"tree": p.tree, "boxes": no_boxes(p), "pairs": p.injective_pairs() or []}
    assert accepted("network.injective_cells", net, cells) == accepted("line.injective", f, {})
    for z in ("-9/2", "1/7", "23/10"):
        data = {"tree": p.tree, "z": [z], "flat": {}}
        assert accepted("network.single_preimage", net, data) == accepted("line.single_preimage", f, {"z": [z]})


@settings(max_examples=60)
@given(small_networks(m=2, n=2, most=3, deepest=1))
def test_covered_cells_have_a_second_preimage(net):
    """An accepted cover leaves no point with a single preimage."""
    p = Patterns(net)
    full = [i for i in range(len(p.leaves)) if p.plane(i) is not None]
    assume(full)
    covers = {str(i): covering(p, i) for i in full}
    if not all(covers.values()):
        left = {i: node for i, node in covers.items() if node}
        assert not accepted("network.covered", net, {"tree": p.tree, "covers": left})
        return
    assert accepted("network.covered", net, {"tree": p.tree, "covers": covers})
    for a, b in itertools.product(range(-9, 10, 3), repeat=2):
        assert not accepted("network.single_preimage", net, {"tree": p.tree, "z": [f"{a}/7", f"{b}/5"], "flat": {}})
