"""The verifier of pairs: tampered witnesses are rejected, and its own routes agree with those of the searchers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from common.pairs import LEAKY, NOISE, PAIRS, line
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from ident_theory import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.alternatives import Alternative, alternatives
from ident_theory.errors import CertificateRejected
from ident_theory.exact import pair_trees
from ident_theory.exact.equality_laws import are_equal, law_of
from ident_theory.exact.pair_equivalence import violated
from ident_theory.exact.pair_symmetry import ignores, is_invariant
from ident_theory.exact.verifier import verify
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.identity import Relation, compare


def of_kind(name: str) -> tuple[Model, Alternative]:
    model, kind, _ = PAIRS[name]
    (found,) = (item for item in alternatives(model, {}) if item.proof.kind == kind)
    return model, found


def mutations(tree: Any) -> Iterator[Any]:
    """The same tree with one entry changed, dropped or doubled."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield {k: v for k, v in tree.items() if k != key}
            for changed in mutations(value):
                yield {**tree, key: changed}
        yield {**tree, "more": 1}
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield [*tree[:i], *tree[i + 1:]]
            for changed in mutations(value):
                yield [*tree[:i], changed, *tree[i + 1:]]
    elif isinstance(tree, int):
        yield tree + 1
        yield -tree - 1
        yield float(tree)
    else:
        try:
            yield str(Fraction(tree) + 1)
            yield str(-Fraction(tree))
        except ValueError:
            yield tree + "x"
        yield None


@pytest.mark.parametrize("name", PAIRS)
def test_every_tampered_witness_is_rejected(name: str) -> None:
    model, found = of_kind(name)
    tree, data = model.plain(), dict(found.proof.data)
    verify(found.proof.kind, data, tree)
    accepted = []
    for changed in mutations(copy.deepcopy(data)):
        try:
            verify(found.proof.kind, changed, tree)
        except CertificateRejected:
            continue
        accepted.append(changed)
    assert not accepted, json.dumps(accepted[:3])


@pytest.mark.parametrize("name", PAIRS)
def test_a_witness_proves_nothing_about_another_model(name: str) -> None:
    model, found = of_kind(name)
    for other, _, _ in PAIRS.values():
        if other != model:
            with pytest.raises(CertificateRejected):
                found.proof.verify(other)


@pytest.mark.parametrize("name", PAIRS)
def test_a_model_is_no_alternative_to_itself(name: str) -> None:
    model, found = of_kind(name)
    with pytest.raises(CertificateRejected):
        verify(found.proof.kind, {**found.proof.data, "second": model.plain()}, model.plain())


small = st.builds(Fraction, st.integers(-3, 3), st.integers(1, 2))
maps = st.integers(0, 3).flatmap(lambda k: st.builds(
    lambda t, a, c: PiecewiseAffineMap(sorted(t), a, c), st.sets(small, min_size=k, max_size=k),
    st.lists(st.integers(-2, 2), min_size=k + 1, max_size=k + 1),
    st.lists(st.integers(-2, 2), min_size=k + 1, max_size=k + 1)))
components = st.lists(st.tuples(st.integers(1, 2), small, st.sampled_from([0, 1, 2])), min_size=1, max_size=3)


def prior(parts) -> GaussianMixture:
    total = sum(w for w, _, _ in parts)
    return GaussianMixture([Fraction(w, total) for w, _, _ in parts], [m for _, m, _ in parts],
                           [v for _, _, v in parts])


def read(model: Model):
    tree = model.plain()
    f = pair_trees.decoder(tree["decoder"])
    return f, pair_trees.pieces(f), pair_trees.reduced(pair_trees.components(tree["prior"]))


@given(maps, components, st.sampled_from(["other", "flip", "same"]), components, maps)
def test_laws_and_equivalence_on_the_line_agree_with_compare(f, parts, way, others, g) -> None:
    model = Model(prior(parts), f, NOISE)
    if way == "other":
        second = Model(prior(others), g, NOISE)
    elif way == "flip":
        second = Model(prior([(parts[0][0], -parts[0][1], parts[0][2]), *parts[1:]]), f, NOISE)
    else:
        second = Model(prior([(w, 2 * m + 1, 4 * v) for w, m, v in parts]),
                       PiecewiseAffineMap([2 * t + 1 for t in f.breakpoints_exact], f.slopes_exact / 2,
                                          f.intercepts_exact - f.slopes_exact / 2), NOISE)
    (first, pieces, p), (other, others_pieces, q) = read(model), read(second)
    relation = compare(model, second).relation
    laws = [law_of(g, [(w, *item) for item, w in mixture.items()]) for g, mixture in ((pieces, p), (others_pieces, q))]
    assert are_equal(*laws) == (relation is not Relation.DIFFERENT)
    if relation in (Relation.SAME, Relation.AFFINE):
        claim = violated(first, p, other, q)
        assert claim is None or claim[0] == "permutation"
    elif relation is Relation.LAW and any(c[0][0] for _, c in p) and any(c[0][0] for _, c in q):
        assert violated(first, p, other, q)[0] == "affine"


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=4),
       st.sampled_from([0, "1/2", -1]))
def test_pieces_of_networks_agree_with_geometry(units, slope) -> None:
    net = ReLUNetwork([[[w] for w, _, _ in units], [[v for _, _, v in units], [v + 1 for _, _, v in units]],
                       [[1, -1]]], [[b for _, b, _ in units], [0, 1], [0]], slope)
    own, other = pair_trees.pieces(pair_trees.decoder(net.plain())), line_pieces(net)
    assert [fmpq(t.numerator, t.denominator) for t in own.breaks] == list(other.breakpoints)
    assert [[fmpq(v.numerator, v.denominator) for v in r] for r in own.slopes] == [list(r) for r in other.slopes]
    offsets = [[fmpq(v.numerator, v.denominator) for v in r] for r in own.intercepts]
    assert offsets == [list(r) for r in other.intercepts]


units = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(-1, 1), st.integers(-2, 2)),
                 min_size=1, max_size=3)
ROTATIONS = (((-1, 0), (0, 1)), ((0, 1), (1, 0)), ((-1, 0), (0, -1)), ((1, 0), (0, 1)), ((0, -1), (1, 0)))


@given(units, st.sampled_from([0, "1/2", -1]), st.sampled_from(ROTATIONS), st.booleans())
def test_symmetries_of_networks_are_those_seen_at_points(given_units, slope, matrix, symmetrise) -> None:
    """For two affine layers invariance is decided both ways; a grid of rational points finds every difference."""
    if symmetrise:
        given_units = [unit for w, v, b, c in given_units
                       for unit in ((w, v, b, c), (w * matrix[0][0] + v * matrix[1][0],
                                                   w * matrix[0][1] + v * matrix[1][1], b, c))]
    net = pair_trees.Network((tuple((Fraction(w), Fraction(v)) for w, v, _, _ in given_units),
                              (tuple(Fraction(c) for *_, c in given_units),)),
                             (tuple(Fraction(b) for _, _, b, _ in given_units), (Fraction(0),)), Fraction(slope))
    rows = tuple(tuple(Fraction(v) for v in r) for r in matrix)
    grid = [(Fraction(i, 3), Fraction(j, 3)) for i in range(-9, 10, 2) for j in range(-9, 10)]
    seen = all(value(net, z) == value(net, pair_trees.moved(rows, (Fraction(0),) * 2, z)) for z in grid)
    assert is_invariant(net, rows, (Fraction(0), Fraction(0))) == seen
    for direction in ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1)):
        step = tuple(Fraction(v) for v in direction)
        flat = all(value(net, z) == value(net, (z[0] + k * step[0], z[1] + k * step[1])) for z in grid for k in (1, -4))
        assert ignores(net, step) == flat


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=2),
       st.lists(st.integers(-1, 1), min_size=4, max_size=4), st.lists(st.integers(-2, 2), min_size=2, max_size=2),
       st.integers(-1, 1), st.sampled_from(["symmetric", "other", "broken"]))
def test_symmetries_through_three_layers_are_sound(rows, second, third, bias, way) -> None:
    """Exchanging the latents exchanges units of both hidden layers; other last weights break the symmetry."""
    first = [*rows, *((b, a) for a, b in rows)]
    k = len(rows)
    weights = [(second[i % 4], second[(i + 1) % 4]) for i in range(k)]
    there, back = [w for w, _ in weights], [v for _, v in weights]
    middle = [[*there, *back], [*back, *there]]
    last = {"symmetric": [third[0], third[0]], "other": third, "broken": [third[0], third[0] + 1]}[way]
    net = pair_trees.decoder({"type": "relu_network", "weights": [list(map(list, first)), middle, [last]],
                              "biases": [[bias] * (2 * k), [bias, bias], [0]], "negative_slope": "1/2"})
    exchange = ((Fraction(0), Fraction(1)), (Fraction(1), Fraction(0)))
    grid = [(Fraction(i, 2), Fraction(j, 3)) for i in range(-7, 8) for j in range(-8, 9, 2)]
    seen = all(value(net, z) == value(net, z[::-1]) for z in grid)
    invariant = is_invariant(net, exchange, (Fraction(0), Fraction(0)))
    assert seen or not invariant
    assert invariant or last[0] != last[1]
    for direction in ((1, 0), (1, 1), (1, -1)):
        step = (Fraction(direction[0]), Fraction(direction[1]))
        if ignores(net, step):
            assert all(value(net, z) == value(net, (z[0] + step[0], z[1] + step[1])) for z in grid)


def test_too_many_orders_are_refused_and_scaling_is_still_shown() -> None:
    """Seven latents of one law: signed orders are not tried, but a scaled latent is seen."""
    m = 7
    net = ReLUNetwork([[[int(i == k) for k in range(m)] for i in range(m)]], [[0] * m])
    (found,) = alternatives(Model(GaussianMixture([1], [[0] * m], [[1] * m]), net, NOISE), {})
    assert found.refutes == "permutation"


@pytest.mark.parametrize("text", ["1e999999999", "0.5", "1/0", "--1", "", "x", 0.5, True, None, [1]])
def test_numbers_that_are_not_plain_are_refused(text) -> None:
    model, found = of_kind("absolute value")
    with pytest.raises(CertificateRejected):
        verify("pair.line", {**found.proof.data, "shift": [text]}, model.plain())


def value(net, z):
    for layer, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        z = pair_trees.moved(w, b, z)
        if layer < len(net.weights) - 1:
            z = tuple(v if v > 0 else net.slope * v for v in z)
    return z


def test_false_claims_are_rejected() -> None:
    """Laws that differ, a prior off the diagonal, a noise that changes, a swap that breaks continuity."""
    bent = line(["1/3", "2/3"], [-1, 2], [1, 1], PiecewiseAffineMap([0], [-1, 2], [0, 0]))
    turned = line(["1/3", "2/3"], [1, 2], [1, 1], PiecewiseAffineMap([0], [-1, 2], [0, 0]))
    data = {"second": turned.plain(), "components": [0], "share": 1, "matrix": [[-1]], "shift": [0],
            "refutes": "affine", "differs": "latent"}
    with pytest.raises(CertificateRejected, match="laws of f"):
        verify("pair.line", data, bent.plain())
    vae = Model(GaussianMixture([1], [[0, 0]], [[1, 2]]), LEAKY, NOISE)
    sheared = Model(GaussianMixture([1], [[0, 0]], [[[3, 2], [2, 2]]]),
                    ReLUNetwork([[[1, -1], [1, 0]], *LEAKY.weights_exact[1:]], LEAKY.biases_exact, "1/10"), NOISE)
    data = {"second": sheared.plain(), "matrix": [[1, 1], [0, 1]], "shift": [0, 0], "refutes": "monomial",
            "differs": "latent"}
    with pytest.raises(CertificateRejected, match="diagonal"):
        verify("pair.affine_map", data, vae.plain())
    with pytest.raises(CertificateRejected, match="noise"):
        verify("pair.affine_map", data, Model(vae.prior, vae.decoder).plain())
    normal = line([1], [0], [1], PiecewiseAffineMap([], [1], [0]))
    jumping = line([1], [0], [1], PiecewiseAffineMap([-1, 1], [1, -1, 1], [0, 0, 0]))
    data = {"second": jumping.plain(), "radii": [0, 1], "refutes": "affine", "differs": "decoder"}
    with pytest.raises(CertificateRejected, match="continuous"):
        verify("pair.swap", data, normal.plain())
