"""Affine pieces of decoders of one latent, held against evaluation in rationals."""

from fractions import Fraction

import numpy as np
import pytest
from common.strategies import networks, piecewise_maps
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import InputError
from ident_theory.geometry.line import line_pieces


def forward(network: ReLUNetwork, z: Fraction) -> list[Fraction]:
    """The network at a rational point, in rationals."""
    hidden = [z]
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        hidden = [sum(wi * h for wi, h in zip(row, hidden, strict=True)) + bi for row, bi in zip(w, b, strict=True)]
        if layer < network.depth - 1:
            hidden = [h if h > 0 else network.negative_slope_exact * h for h in hidden]
    return hidden


def as_fraction(value: fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


@given(network=st.integers(1, 3).flatmap(networks), z=st.fractions(-20, 20, max_denominator=1000))
@settings(max_examples=150)
def test_pieces_are_the_network(network, z):
    pieces = line_pieces(network)
    points = [z, *(as_fraction(t) for t in pieces.breakpoints)]
    for point in points:
        k = sum(as_fraction(t) <= point for t in pieces.breakpoints)
        value = pieces.value(k, fmpq(point.numerator, point.denominator))
        assert [as_fraction(v) for v in value] == forward(network, point)


@given(network=networks(2))
@settings(max_examples=100)
def test_pieces_are_maximal_sorted_and_continuous(network):
    pieces = line_pieces(network)
    breaks = pieces.breakpoints
    assert all(a < b for a, b in zip(breaks, breaks[1:], strict=False))
    for k, t in enumerate(breaks):
        assert pieces.slopes[k] != pieces.slopes[k + 1]
        assert pieces.value(k, t) == pieces.value(k + 1, t)


@given(decoder=piecewise_maps(2))
@settings(max_examples=50)
def test_explicit_maps_keep_their_function(decoder):
    pieces = line_pieces(decoder)
    for z in [-1e3, *decoder.breakpoints, 1e3]:
        exact = Fraction(float(z))
        k = sum(as_fraction(t) <= exact for t in pieces.breakpoints)
        j = sum(t <= exact for t in decoder.breakpoints_exact)
        at = pieces.value(k, fmpq(exact.numerator, exact.denominator))
        assert [as_fraction(v) for v in at] == [a * exact + c for a, c in zip(
            decoder.slopes_exact[j], decoder.intercepts_exact[j], strict=True)]


def test_a_hidden_layer_of_h_units_has_h_plus_one_pieces():
    """Distinct kinks with non-zero slope change: one breakpoint each."""
    kinks = np.arange(7)
    network = ReLUNetwork([np.ones((7, 1)), np.ones((1, 7))], [-kinks, [0]])
    assert [int(t.p) for t in line_pieces(network).breakpoints] == kinks.tolist()


def test_kinks_that_cancel_vanish():
    """relu(z) - relu(-z) is the identity; a dead unit and slope 1 leave no breakpoint either."""
    assert line_pieces(ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])).n_pieces == 1
    assert line_pieces(ReLUNetwork([[[0], [1]], [[1, 1]]], [[1, 0], [0]], negative_slope=1)).n_pieces == 1
    folded = line_pieces(ReLUNetwork([[[1]], [[1]]], [[0], [0]], negative_slope=-1))
    assert [float(a[0]) for a in folded.slopes] == [-1, 1]
    assert folded == line_pieces(PiecewiseAffineMap([0], [-1, 1], [0, 0]))


def test_more_latents_are_refused():
    with pytest.raises(InputError, match="latent_dim=2"):
        line_pieces(ReLUNetwork([[[1, 2]]], [[0]]))
