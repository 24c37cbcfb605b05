"""What the theory says about our model, decided at every commit."""

from pathlib import Path

import numpy as np
from sensors.model import Decoder, model, pruned, sites

import ident_theory as it
from ident_theory.testing import (
    assert_condition,
    assert_equivalent,
    assert_identifiable,
    assert_L_invertible,
    assert_recovers,
    models,
)

ROOT = Path(__file__).parents[1]


def test_the_causes_are_identified_up_to_order_scale_and_shift():
    assert_identifiable(model(), "monomial", evidence="exact", name="sensors")


def test_the_decoder_is_injective():
    assert_condition(model(), "F4", name="sensors")


def test_the_sites_vary_enough():
    assert_L_invertible(sites(), name="five sites")


def test_the_deployed_file_is_the_model():
    assert_equivalent(ROOT / "model.toml", model(), "equal", name="model.toml / sensors")


def test_the_model_computes_what_the_decoder_does():
    z = np.random.default_rng(0).normal(size=(100, 2))
    np.testing.assert_allclose(model().decoder(z), Decoder()(z), atol=1e-12)


def test_pruning_keeps_every_model():
    truths = models((1, 2), decoders="relu", depth=(1, 2), width=(1, 3), components=(1, 2), noise="gaussian")
    assert_recovers(pruned, "equal", truths, given_as="model", cases=25, name="pruned")


def test_pruning_makes_the_model_smaller():
    f = model().decoder
    wide = it.ReLUNetwork([np.vstack([f.weights[0], [[0, 0]]]), np.hstack([f.weights[1], [[1], [2], [3]]])],
                          [np.append(f.biases[0], 2), f.biases[1]], f.negative_slope)
    small = pruned(it.Model(model().prior, wide, model().noise))
    assert [len(b) for b in small.decoder.biases] == [3, 3]
