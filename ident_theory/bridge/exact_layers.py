"""Exact composition of affine maps and activations: what a chain of layers is as one ReLU network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import fmpz_mat

from ident_theory.errors import UnsupportedLayerError
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.value import ExactArray, FloatArray

#: Entries of one dense weight matrix beyond which nothing is built: rationals take a hundred bytes each, so
#: this is about a gigabyte and half a minute, and no exact method of this package can use such a layer.
MAX_ENTRIES = 10**7


@dataclass(frozen=True)
class Dense:
    """The map ``h -> weight h + bias``, shapes (out, in) and (out,), entries of Fraction."""

    weight: ExactArray
    bias: ExactArray


@dataclass(frozen=True)
class Diagonal:
    """The map ``h -> scale * h + shift``, both of shape (width,), entries of Fraction."""

    scale: ExactArray
    shift: ExactArray


@dataclass(frozen=True)
class Activation:
    """A leaky ReLU with its own slope for every unit, shape (width,), entries of Fraction."""

    slopes: ExactArray


Affine = Dense | Diagonal


def exact_array(values: FloatArray) -> ExactArray:
    """The dyadic rationals that float64 numbers are; equal numbers share one object."""
    unique, where = np.unique(values, return_inverse=True)
    table = np.empty(len(unique), dtype=object)
    table[:] = [Fraction(value) for value in unique.tolist()]
    return np.asarray(table[where.reshape(values.shape)], dtype=object)


def constant(value: int, width: int) -> ExactArray:
    """A vector of one integer, as Fractions."""
    return np.full(width, Fraction(value), dtype=object)


def check_size(rows: int, columns: int, what: str) -> None:
    """UnsupportedLayerError when a dense matrix of this size would be too large."""
    if rows * columns > MAX_ENTRIES:
        raise UnsupportedLayerError(f"{what}: expected at most {MAX_ENTRIES} entries in a dense weight matrix, found "
                                    f"{rows} x {columns}; convert a smaller decoder, or smaller images")


def product(left: ExactArray, right: ExactArray) -> ExactArray:
    """The exact product of two matrices of Fraction, in integers over one common denominator each."""
    denominators = []
    factors = []
    for matrix in (left, right):
        entries = matrix.ravel().tolist()
        common = math.lcm(*{entry.denominator for entry in entries})
        factors.append(fmpz_mat(*matrix.shape, [entry.numerator * (common // entry.denominator) for entry in entries]))
        denominators.append(common)
    denominator = denominators[0] * denominators[1]
    out = np.empty(left.shape[0] * right.shape[1], dtype=object)
    out[:] = [Fraction(int(entry), denominator) for entry in (factors[0] * factors[1]).entries()]
    return out.reshape(left.shape[0], right.shape[1])


def scaled(matrix: ExactArray, factors: ExactArray) -> ExactArray:
    """``matrix * factors`` with broadcasting; zeros, most of a convolution, cost nothing."""
    out = matrix.copy()
    where = np.nonzero(matrix)
    out[where] = matrix[where] * np.broadcast_to(factors, matrix.shape)[where]
    return out


def compose(first: Affine, second: Affine) -> Affine:
    """The map that applies `first`, then `second`."""
    if isinstance(first, Diagonal):
        if isinstance(second, Diagonal):
            return Diagonal(second.scale * first.scale, second.scale * first.shift + second.shift)
        bias = product(second.weight, first.shift[:, None])[:, 0] + second.bias
        return Dense(scaled(second.weight, first.scale), bias)
    if isinstance(second, Diagonal):
        return Dense(scaled(first.weight, second.scale[:, None]), second.scale * first.bias + second.shift)
    check_size(second.weight.shape[0], first.weight.shape[1], "two affine layers merged into one")
    return Dense(product(second.weight, first.weight),
                 product(second.weight, first.bias[:, None])[:, 0] + second.bias)


def dense(layer: Affine) -> Dense:
    """A layer with its matrix written out."""
    if isinstance(layer, Dense):
        return layer
    width = len(layer.scale)
    check_size(width, width, "a layer that scales its units one by one")
    weight = np.full((width, width), Fraction(0), dtype=object)
    weight[np.arange(width), np.arange(width)] = layer.scale
    return Dense(weight, layer.shift)


def compose_activations(first: Activation, second: Activation) -> Activation:
    """The activation that applies `first`, then `second`: again the identity on positive numbers."""
    # A negative first slope sends negative numbers to positive ones, which the second leaves alone.
    return Activation(np.where(first.slopes >= 0, second.slopes * first.slopes, first.slopes))


def chain(steps: Sequence[Affine | Activation], width: int) -> tuple[list[Dense], list[Activation]]:
    """Merge a sequence of maps into affine layers with one activation between each two.

    Parameters
    ----------
    steps : sequence
        The maps in the order in which they are applied.
    width : int
        Dimension of the input.

    Returns
    -------
    layers : list of Dense
    activations : list of Activation
        One less than there are layers. Slope 1 on all units is the identity and does not appear.
    """
    merged: list[Affine | Activation] = [Diagonal(constant(1, width), constant(0, width))]
    for step in steps:
        last = merged[-1]
        if isinstance(step, Activation):
            if isinstance(last, Activation):
                merged[-1] = compose_activations(last, step)
            else:
                merged.append(step)
            last = merged[-1]
            if isinstance(last, Activation) and all(slope == 1 for slope in last.slopes):
                merged.pop()
        elif isinstance(last, Activation):
            merged.append(step)
        else:
            merged[-1] = compose(last, step)
    last = merged[-1]
    if isinstance(last, Activation):
        width = len(last.slopes)
        merged.append(Diagonal(constant(1, width), constant(0, width)))
    return ([dense(step) for step in merged if not isinstance(step, Activation)],
            [step for step in merged if isinstance(step, Activation)])


def with_relu_only(layers: Sequence[Dense], activations: Sequence[Activation]) -> list[Dense]:
    r"""The same network with plain ReLUs, exactly: :math:`s_a(t) = \max(t, 0) - a \max(-t, 0)`.

    A unit of slope `a` other than 0 becomes two, so layers widen to at most twice their width.
    """
    out = list(layers)
    for l, activation in enumerate(activations):
        split = np.flatnonzero(activation.slopes)
        rows, after = out[l], out[l + 1]
        out[l] = Dense(np.concatenate([rows.weight, -rows.weight[split]]),
                       np.concatenate([rows.bias, -rows.bias[split]]))
        out[l + 1] = Dense(np.concatenate([after.weight, -after.weight[:, split] * activation.slopes[split]], axis=1),
                           after.bias)
    return out


def network(steps: Sequence[Affine | Activation], width: int) -> tuple[ReLUNetwork, tuple[str, ...]]:
    """The ReLU network equal to a sequence of maps, and remarks on how it was written."""
    layers, activations = chain(steps, width)
    slopes = sorted({slope for activation in activations for slope in activation.slopes})
    notes: tuple[str, ...] = ()
    if len(slopes) > 1:
        before = [len(layer.bias) for layer in layers[:-1]]
        layers = with_relu_only(layers, activations)
        after = [len(layer.bias) for layer in layers[:-1]]
        listed = ", ".join(f"{float(slope):g}" for slope in slopes[:6]) + (", ..." if len(slopes) > 6 else "")
        notes = (f"{len(slopes)} different negative slopes ({listed}) written exactly with ReLUs: "
                 f"hidden widths {before} became {after}",)
    slope = slopes[0] if len(slopes) == 1 else Fraction(0)
    return ReLUNetwork([layer.weight for layer in layers], [layer.bias for layer in layers], slope), notes
