"""Trained networks as the exact objects of this package."""

from __future__ import annotations

from collections.abc import Mapping

from ident_theory.errors import UnsupportedError
from ident_theory.estimators.layers import MLP
from ident_theory.models import ReLUNetwork
from ident_theory.models.value import FloatArray


def network_of(mlp: MLP, values: Mapping[str, FloatArray]) -> ReLUNetwork:
    """A decoder as a `ReLUNetwork`: its floats are taken as the dyadic rationals that they hold.

    Parameters
    ----------
    mlp : MLP
        With ReLUs or leaky ReLUs, one head, no conditions.
    values : mapping of str to ndarray
        Parameters of one run, as `Parameters.one` gives them.

    Raises
    ------
    UnsupportedError
        For other activations.
    """
    if mlp.activation not in ("leaky_relu", "relu"):
        raise UnsupportedError(f"model: expected a decoder with ReLUs or leaky ReLUs, found {mlp.activation}; "
                               "train with activation='leaky_relu' for an exact model")
    slope = mlp.slope if mlp.activation == "leaky_relu" else 0.0
    weights, biases = zip(*mlp.layers(values), strict=True)
    return ReLUNetwork(list(weights), list(biases), slope)
