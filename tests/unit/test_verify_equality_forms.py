"""Proofs of a wrong form are rejected with a message, whatever stands in them."""

import json
from fractions import Fraction

import pytest
from common.equality_models import Random, mutations, refusal

from ident_theory import ConditionalPrior, GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.geometry.cells import CellWalk, plain_tree
from ident_theory.models.change import AffineChange

RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
CORNER = ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]])
LEAKY = ReLUNetwork([[[1, 0], [1, 1]], [[1, 2], [0, 1]]], [[0, 1], [0, 0]], "1/10")
EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def line(mean, noise=None, decoder=RELU):
    return Model(GaussianMixture(["1/2", "1/2"], [mean, 1], [1, 2]), decoder, noise)


def plane(mean, noise=None, decoder=CORNER):
    return Model(GaussianMixture([1], [mean], [[[2, 1], [1, 1]]]), decoder, noise)


def space(mean):
    return Model(GaussianMixture([1], [mean], [EYE]), ReLUNetwork([EYE, EYE], [[0, 1, 2], [0, 0, 0]], "1/2"))


def gamma(rate):
    return Model(ConditionalPrior("gamma", [[[2, rate]]]), PiecewiseAffineMap([1], [1, 2], [0, -1]))


def carried(model, change):
    return Model(change.carry(model.prior), change.precompose(model.decoder), model.noise)


def cells(*networks):
    walk = CellWalk(networks[0])
    for cell in walk:
        if len(networks) == 2:
            assert list(CellWalk(networks[1], cell, walk.tree))
    return plain_tree(walk.tree)


TURN = AffineChange([[0, 1], [-1, 0]], [0, 0])
SHIFT = AffineChange(EYE, [1, 0, 0])
PROOFS = {
    "equal, line": ("law.equal", line(3), {"second": Random(0).equivalent(line(3), AffineChange(-2, 1))}),
    "equal, plane": ("law.equal", plane([1, 0]), {"second": carried(plane([1, 0]), TURN)}),
    "different": ("law.formal", plane([1, 0]), {"second": plane([0, 0])}),
    "atom": ("law.set", line(0), {"second": line(3), "center": [0], "directions": [], "radius": 0,
                                  "at_least": "1/10"}),
    "stretch": ("law.set", plane([1, 0]), {"second": plane([0, 0]), "center": [1, 0], "directions": [[1, 0]],
                                           "radius": "1/100", "at_least": "1/10000"}),
    "parallelogram": ("law.set", plane([1, 0]), {"second": plane([0, 0]), "center": [1, 1], "radius": "1/100",
                                                 "directions": [[1, 0], [1, 1]], "at_least": "1/100000000"}),
    "box": ("law.set", plane([1, 0], GaussianNoise(1)), {
        "second": plane([0, 0], GaussianNoise(1)), "center": [1, 1], "directions": [[1, 0], [0, 1]], "radius": "1/99",
        "at_least": "1/100000000"}),
    "change": ("law.change", gamma(-2), {
        "second": Model(ConditionalPrior("gamma", [[[2, -1]]]),
                        AffineChange(2, 0).precompose(gamma(-2).decoder)), "breaks": [], "slopes": [2],
        "intercepts": [0]}),
    "map, line": ("equivalence.affine", line(3), {"second": carried(line(3), AffineChange(3, 1)), "matrix": [[3]],
                                                  "shift": [1]}),
    "map, plane": ("equivalence.orthogonal", plane([1, 0]), {"second": carried(plane([1, 0]), TURN), **TURN.plain()}),
    "map, space": ("equivalence.affine", space([0, 1, 2]), {
        "second": carried(space([0, 1, 2]), SHIFT), **SHIFT.plain(),
        "tree": cells(space([0, 1, 2]).decoder, space([0, 1, 2]).decoder)}),
    "no map, plane": ("equivalence.not_affine", plane([1, 0], decoder=LEAKY), {
        "second": plane([0, 0], decoder=LEAKY), "at": ["1/2", "1/3"]}),
    "no map, space": ("equivalence.not_affine", space([0, 1, 2]), {
        "second": space([0, 1, 1]), "at": ["1/2", "1/3", "1/5"], "tree": cells(space([0, 1, 2]).decoder),
        "points": [[1, 2, 3]]}),
    "latents": ("latents.affine", plane([1, 0]), {"second": carried(plane([1, 0]), TURN), **TURN.plain()}),
    "no latents": ("latents.not_affine", line(3), {"second": line(4)}),
}


@pytest.mark.parametrize("name", PROOFS)
def test_every_mutation_is_read_or_rejected(name):
    """A mutated entry of the data never ends in anything but acceptance or a rejection; dropped and added entries of
    the data are rejected."""
    kind, model, data = PROOFS[name]
    data = json.loads(json.dumps({k: v.plain() if isinstance(v, Model) else v for k, v in data.items()}))
    assert refusal(kind, model, **data) is None
    for other in mutations(data):
        message = refusal(kind, model, **other)
        if set(other) != set(data) and not set(data) - set(other) <= {"tree", "points", "at"}:
            assert message
    assert refusal(kind, model, **data, more=1)


@pytest.mark.parametrize("name", ["atom", "stretch", "parallelogram", "box"])
def test_amounts_must_not_be_larger_than_shown(name):
    """Doubling the amount until it is rejected takes a few steps, and the sizes of the box bound it from above."""
    kind, model, data = PROOFS[name]
    amount = Fraction(data["at_least"])
    for _ in range(40):
        if refusal(kind, model, **{**data, "at_least": str(amount)}):
            break
        amount *= 2
    area = (2 * float(Fraction(data["radius"]))) ** len(data["directions"])
    assert amount < 2 * area * 0.5  # all densities are below 1/2, and so is the mass of the atom that differs
