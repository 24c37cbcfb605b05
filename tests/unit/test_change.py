"""Invertible affine changes of the latent."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ident_theory import AffineChange, GaussianMixture, PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.relation_priors import AFFINE_KINDS, is_of
from ident_theory.errors import InputError, ModelError
from ident_theory.testing.random_models import random_model
from ident_theory.testing.strategies_pairs import KINDS, carried, changed, equivalent_pair, is_of_kind, random_change

entries = st.lists(st.fractions(-3, 3, max_denominator=4), min_size=6, max_size=6)


def change_of(values) -> AffineChange | None:
    a = [values[:2], values[2:4]]
    return AffineChange(a, values[4:]) if a[0][0] * a[1][1] != a[0][1] * a[1][0] else None


@given(entries, entries)
def test_inverse_and_composition(first, second) -> None:
    h, k = change_of(first), change_of(second)
    if h is None or k is None:
        return
    assert h.after(h.inverse()).is_identity
    assert h.inverse().after(h).is_identity
    z = np.array([[0.5, -2.0], [3.0, 1.0]])
    np.testing.assert_allclose(h.after(k)(z), h(k(z)), rtol=1e-9, atol=1e-9)
    assert h.after(k).inverse() == k.inverse().after(h.inverse())


@pytest.mark.parametrize("m", [1, 2, 3])
def test_kinds_agree_with_lists(m) -> None:
    rng = Random(m)
    for kind in KINDS:
        for _ in range(20):
            a, b = random_change(rng, m, kind)
            assert [is_of(AffineChange(a, b), each) for each in AFFINE_KINDS] == [is_of_kind(a, b, each)
                                                                                 for each in AFFINE_KINDS]


def test_carry_and_precompose_agree_with_lists() -> None:
    rng = Random(8)
    for _ in range(100):
        model = random_model(rng)
        a, b = random_change(rng, model.latent_dim, rng.choice(KINDS))
        h = AffineChange(a, b)
        law = {(*mean, *(v for row in c for v in row)): w
               for (mean, c), w in h.carry(model.mixture).by_component().items()}
        assert law == carried(model.mixture, a, b)
        assert h.precompose(model.decoder) == changed(model, a, b).decoder


def test_a_reflection_takes_the_value_of_the_other_side_of_a_jump() -> None:
    f = PiecewiseAffineMap([1], [0, 0], [2, 5])
    g = AffineChange(-1, 0).precompose(f)
    assert g == PiecewiseAffineMap([-1], [0, 0], [5, 2])
    assert (float(g([-1.0])[0, 0]), float(f([1.0])[0, 0])) == (2.0, 5.0)


def test_carry_keeps_states_and_drops_neighbourhoods() -> None:
    prior = GaussianMixture([["1/4", "1/4"], ["1/8", "3/8"]], [[0], [1], [2], [3]], [1, 1, 1, 1],
                            neighbourhoods=[[0], [0]])
    moved = AffineChange(2, 1).carry(prior)
    assert (moved.states, moved.neighbourhoods) == ((2, 2), None)


def test_values() -> None:
    h = AffineChange([["1/2", 0], [0, 3]], ["0.1", 2])
    assert h == AffineChange([[Fraction(1, 2), 0], [0, 3]], [Fraction(1, 10), 2])
    assert hash(h) == hash(AffineChange(**h.plain()))
    assert str(h) == "z' = [[1/2, 0], [0, 3]] z + [1/10, 2]"
    assert str(AffineChange(-2, "1/3")) == "z' = -2 z + 1/3"
    assert str(AffineChange.identity(3)) == "z' = z"
    assert AffineChange.identity(2).is_identity
    assert repr(h) == "AffineChange(matrix=[[0.5, 0.0], [0.0, 3.0]], shift=[0.1, 2.0])"
    with pytest.raises(AttributeError, match="immutable"):
        h.matrix = np.eye(2)


@pytest.mark.parametrize(("matrix", "shift", "message"), [
    ([[1, 2], [2, 4]], [0, 0], "invertible"), ([[1, 2]], [0], "square"), ([], [], "square"),
    ([[1, 0], [0, 1]], [0], "2 numbers"), ([[float("nan")]], [0], "finite"), (0, 1, "invertible"), ("x", 1, "number"),
    ([[1, 0], [0]], [0, 0], "shape"), (True, 0, "number")])
def test_bad_input(matrix, shift, message) -> None:
    with pytest.raises(ModelError, match=message):
        AffineChange(matrix, shift)


def test_dimensions_have_to_fit() -> None:
    h = AffineChange.identity(2)
    with pytest.raises(InputError, match="2 latents"):
        h.carry(GaussianMixture([1], [0], [1]))
    with pytest.raises(InputError, match="2 latents"):
        h.precompose(ReLUNetwork([[[1]]], [[0]]))
    with pytest.raises(InputError, match="2 latents"):
        h.after(AffineChange(1, 0))
    with pytest.raises(InputError, match="shape"):
        h([1.0, 2.0])


def test_pairs_are_carried_by_their_map() -> None:
    rng = Random(12)
    for _ in range(50):
        pair = equivalent_pair(rng)
        h = AffineChange(pair.matrix, pair.shift)
        assert h.carry(pair.first.mixture).by_component() == pair.second.mixture.by_component()
        assert h.inverse().carry(pair.second.mixture).by_component() == pair.first.mixture.by_component()
