"""Trained networks as the exact objects of this package."""

from __future__ import annotations

from collections.abc import Mapping

from ident_theory.bridge import decoder_from_torch
from ident_theory.errors import UnsupportedError, UnsupportedLayerError
from ident_theory.estimators.architectures import Decoder
from ident_theory.estimators.layers import MLP
from ident_theory.models import ReLUNetwork
from ident_theory.models.value import FloatArray

#: Entries of convolutions as exact matrices; so many take some 40 seconds and 2 GB.
LARGEST = 8_000_000


def network_of(decoder: MLP | Decoder, values: Mapping[str, FloatArray]) -> ReLUNetwork:
    """A decoder as a `ReLUNetwork`: its floats are taken as the dyadic rationals that they hold.

    Parameters
    ----------
    decoder : MLP or Decoder
        With ReLUs or leaky ReLUs, one head, no conditions. Convolutions become matrices, batch normalisation by its
        running statistics an affine map (`ident_theory.bridge.convert`).
    values : mapping of str to ndarray
        Parameters of one run, as `Parameters.one` gives them.

    Raises
    ------
    UnsupportedError
        For other activations, for residual blocks, and for convolutions on large images.
    """
    if isinstance(decoder, Decoder):
        if decoder.entries > LARGEST:
            raise UnsupportedError(f"model: expected convolutions with at most {LARGEST} entries as matrices, found "
                                   f"{decoder.entries}; use smaller images (16 x 16), or a fully connected decoder")
        try:
            return decoder_from_torch(decoder.plain(values))
        except UnsupportedLayerError as error:
            raise UnsupportedError("model: expected a decoder with ReLUs or leaky ReLUs, found another; train with "
                                   "architecture='convnet-leaky' for an exact model") from error
    if decoder.activation not in ("leaky_relu", "relu"):
        raise UnsupportedError(f"model: expected a decoder with ReLUs or leaky ReLUs, found {decoder.activation}; "
                               "train with activation='leaky_relu' for an exact model")
    slope = decoder.slope if decoder.activation == "leaky_relu" else 0.0
    weights, biases = zip(*decoder.layers(values), strict=True)
    return ReLUNetwork(list(weights), list(biases), slope)
