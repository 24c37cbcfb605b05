"""Layers with a leading run axis: every weight has shape (R, ...), every batch (R, B, ...)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.draws import Draws
from ident_theory.estimators.parameters import Parameter, Start, constant, fan_in, xavier

Values = Mapping[str, Tensor]

#: Activations by name; in place where autograd allows, which saves memory traffic.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "elu": F.elu_,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid_,
    "identity": lambda h: h,
}


def activation_of(name: str, slope: float) -> Callable[[Tensor], Tensor]:
    """An activation by name; ``"leaky_relu"`` takes the negative slope."""
    if name == "leaky_relu":
        return lambda h: F.leaky_relu_(h, slope)
    if name not in ACTIVATIONS:
        raise InputError(f"activation: expected one of {', '.join(['leaky_relu', *ACTIVATIONS])}, found {name!r}")
    return ACTIVATIONS[name]


def take(table: Tensor, u: Tensor) -> Tensor:
    """Rows of tables by condition: (R, ..., M, k) and u of shape (R, B) give (R, ..., B, k)."""
    runs, *heads, conditions, width = table.shape
    tables = table.numel() // (conditions * width)
    first = torch.arange(0, tables * conditions, conditions, device=u.device).view(runs, -1, 1)
    index = (first + u[:, None]).view(-1)
    return table.reshape(-1, width).index_select(0, index).view(runs, *heads, -1, width)


class MLP:
    r"""Fully connected networks :math:`W_L s(\dots s(W_1 x + b_1) \dots) + b_L`, `heads` of them side by side.

    Parameters
    ----------
    name : str
        Prefix of its parameters; its first part is their group.
    widths : sequence of int
        Input, hidden, output.
    slope : float
        Negative slope of ``leaky_relu``.
    heads : int
        Networks of one shape on one input; with more than one the output has shape (R, heads, B, out).
    conditions : int
        Number M of values of u; the input is then (x, one-hot u), the product with the one-hot part being a row of a
        table.
    activation : str
    init : {"xavier", "torch"}
        Weights: Xavier uniform, or what torch gives to a linear layer; biases always the latter.
    last : callable, optional
        Initial weights of the last layer, with biases zero.
    dropout : mapping of int to float
        Rate after the activation of a hidden layer, counted from 0, while training.
    """

    def __init__(self, name: str, widths: Sequence[int], *, slope: float = 0.1, heads: int = 1, conditions: int = 0,
                 activation: str = "leaky_relu", init: str = "xavier", last: Start | None = None,
                 dropout: Mapping[int, float] | None = None) -> None:
        self.name, self.widths, self.heads, self.conditions = name, tuple(widths), heads, conditions
        self.slope, self.activation, self.dropout = slope, activation, dict(dropout or {})
        self._activate = activation_of(activation, slope)
        self._init, self._last = init, last
        self._names = [(f"{name}.weight{k}", f"{name}.bias{k}") for k in range(len(self.widths) - 1)]

    def parameters(self) -> dict[str, Parameter]:
        """Weights of shape (in, out), biases (out,), the table (M, out); with a head axis before that for several."""
        out: dict[str, Parameter] = {}
        heads = () if self.heads == 1 else (self.heads,)
        for k, (inputs, outputs) in enumerate(pairwise(self.widths)):
            fan = inputs + (self.conditions if k == 0 else 0)
            weights = xavier(fan, outputs) if self._init == "xavier" else fan_in(fan)
            biases = fan_in(fan)
            if self._last is not None and k == len(self.widths) - 2:
                weights, biases = self._last, constant(0)
            if k == 0 and self.conditions:
                out[f"{self.name}.table"] = Parameter((*heads, self.conditions, outputs), weights)
            out[self._names[k][0]] = Parameter((*heads, inputs, outputs), weights)
            out[self._names[k][1]] = Parameter((*heads, outputs), biases)
        return out

    def __call__(self, p: Values, x: Tensor, u: Tensor | None = None, draws: Draws | None = None) -> Tensor:
        """From x, shape (R, B, in), and u, shape (R, B); `draws` switches dropout on."""
        if self.heads > 1:
            x = x[:, None].expand(-1, self.heads, -1, -1).reshape(-1, *x.shape[1:])
        h = torch.bmm(x, _matrices(p[self._names[0][0]]))
        if self.conditions:
            assert u is not None
            h.add_(take(p[f"{self.name}.table"], u).view(h.shape))
        return self._rest(p, h.add_(_rows(p[self._names[0][1]])), draws)

    def at_conditions(self, p: Values) -> Tensor:
        """At all one-hot inputs, shape (R, in, out) or (R, heads, in, out): the first product is the weight itself."""
        weight, bias = self._names[0]
        return self._rest(p, _matrices(p[weight]) + _rows(p[bias]), None)

    def _rest(self, p: Values, h: Tensor, draws: Draws | None) -> Tensor:
        """What follows the first layer, whose output has shape (R or R times heads, B, width)."""
        for k, (weight, bias) in enumerate(self._names[1:]):
            h = self._activate(h)
            if draws is not None and self.dropout.get(k):
                h = dropped(h, self.dropout[k], draws, f"{self.name}.dropout{k}")
            h = torch.bmm(h, _matrices(p[weight])).add_(_rows(p[bias]))
        return h if self.heads == 1 else h.view(-1, self.heads, *h.shape[1:])

    def layers(self, values: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Weights (out, in) and biases (out,) of one run without heads and conditions, from its parameters."""
        return [(values[weight].T, values[bias]) for weight, bias in self._names]


def _matrices(weight: Tensor) -> Tensor:
    """Weights with or without a head axis as (R or R times heads, in, out)."""
    return weight if weight.dim() == 3 else weight.reshape(-1, *weight.shape[-2:])


def _rows(bias: Tensor) -> Tensor:
    """Biases with or without a head axis as (R or R times heads, 1, out)."""
    return bias[:, None] if bias.dim() == 2 else bias.reshape(-1, 1, bias.shape[-1])


def dropped(h: Tensor, rate: float, draws: Draws, name: str) -> Tensor:
    """Dropout of a batch of shape (R or R times heads, B, width) by the streams of the runs."""
    runs, (_, size, width) = len(draws.seeds), h.shape
    keep = draws.uniform(name, size, h.shape[0] // runs, width).transpose(1, 2).reshape(h.shape) >= rate
    return h * keep / (1 - rate)
