"""Invertible layers with a leading run axis, coordinates before rows: a batch has shape (R, n, B)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ident_theory.estimators.layers import MLP, Values, activation_of
from ident_theory.estimators.parameters import Parameter, constant, fan_in

#: What bounds the output of a scale network to (-1, 1): the paper's function, and FrEIA's (0.636 is nearly 2/pi).
SQUASHES = {"tanh": torch.tanh, "arctan": lambda s: 0.636 * torch.atan(s)}


def orders(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random orders of 0, ..., n - 1 for shape (k, n), one a row."""
    return torch.stack([torch.randperm(shape[1], generator=generator) for _ in range(shape[0])]).to(torch.float64)


class _Taken(torch.autograd.Function):
    """Rows of a matrix by an index without repetitions: backwards they are taken, which is faster than added."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, index: Tensor, inverse: Tensor, axis: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.axis = axis
        return h.index_select(axis, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        return gradients[0].contiguous().index_select(ctx.axis, inverse), None, None, None


class Reordering:
    """The fixed orders of all blocks of one kind, each run its own.

    Parameters
    ----------
    table : Tensor, shape (R, blocks, n)
        As `orders` made them.
    """

    def __init__(self, table: Tensor) -> None:
        runs, _, self.size = table.shape
        first = torch.arange(0, runs * self.size, self.size, device=table.device)[:, None, None]
        self.index = (table.long() + first).transpose(0, 1).reshape(-1, runs * self.size)
        self.inverse = (torch.argsort(table, dim=2) + first).transpose(0, 1).reshape(-1, runs * self.size)

    def __call__(self, h: Tensor, block: int, back: bool = False) -> Tensor:
        """Coordinates of (R, n, B), or channels of (B, R n, height, width), in the order of a block, or back."""
        index, inverse = self.index[block], self.inverse[block]
        if back:
            index, inverse = inverse, index
        if h.dim() == 4:
            return _Taken.apply(h, index, inverse, 1)
        return _Taken.apply(h.reshape(-1, h.shape[2]), index, inverse, 0).view(h.shape)


class ColumnMLP(MLP):
    """An `MLP` of one head on (R, in, B), where elementwise work runs along the rows of a batch."""

    def __call__(self, p: Values, x: Tensor, *_: Any) -> Tensor:
        """Outputs, shape (R, out, B)."""
        h = x
        for k, (weight, bias) in enumerate(self._names):
            if k:
                h = self._activate(h)
            h = torch.baddbmm(p[bias][:, :, None], p[weight].transpose(1, 2), h)
        return h


class ConvolutionStack:
    """Convolutions of 3 x 3 with padding on images of shape (B, R in, height, width), a group a run.

    Parameters
    ----------
    name : str
        Prefix of its parameters.
    channels : sequence of int
        Input, hidden, output. The last layer begins at zero, the others as torch's do.
    activation : str
    """

    def __init__(self, name: str, channels: Sequence[int], activation: str) -> None:
        self.name, self.channels = name, tuple(channels)
        self._activate = activation_of(activation, 0.1)

    def parameters(self) -> dict[str, Parameter]:
        """Kernels of shape (out, in, 3, 3), biases (out,)."""
        out: dict[str, Parameter] = {}
        for k, (inputs, outputs) in enumerate(pairwise(self.channels)):
            start = constant(0) if k == len(self.channels) - 2 else fan_in(9 * inputs)
            out[f"{self.name}.weight{k}"] = Parameter((outputs, inputs, 3, 3), start)
            out[f"{self.name}.bias{k}"] = Parameter((outputs,), start)
        return out

    def __call__(self, p: Values, x: Tensor) -> Tensor:
        """Outputs, shape (B, R out, height, width)."""
        h = x
        for k in range(len(self.channels) - 1):
            if k:
                h = self._activate(h)
            weight = p[f"{self.name}.weight{k}"]
            h = F.conv2d(h, weight.flatten(0, 1), p[f"{self.name}.bias{k}"].flatten(), padding=1,
                         groups=weight.shape[0])
        return h


class _Subnetwork(Protocol):
    def parameters(self) -> dict[str, Parameter]: ...

    def __call__(self, p: Values, x: Tensor, /) -> Tensor: ...


class IncompressibleCoupling:
    r"""Two affine couplings that preserve volume (Sorrenson et al. 2020, eqs. 5 and 6, Section 4.1, Appendix D).

    The coordinates (a, b) become

    .. math:: a' = a \odot e^{s_1(b)} + t_1(b), \qquad b' = b \odot e^{s_2(a')} + t_2(a'),

    where the entries of each s sum to zero over the coordinates (over the channels at each pixel). Where a half has
    one coordinate, its s is zero: GIN in the plane is the additive coupling of NICE.

    Parameters
    ----------
    name : str
        Prefix of its parameters.
    size : int
        Coordinates or channels, at least 2; a has the first half of them, rounded down.
    hidden : sequence of int
        Widths of the networks that give (s, t).
    activation : str
        Of these networks, after all layers but the last, which begins at zero.
    clamp : float
        The raw outputs r become clamp times a function in (-1, 1) before the sum is made zero.
    squash : {"tanh", "arctan"}
        That function.
    zero_sum : {"mean", "last"}
        Subtract the mean, as FrEIA does, or append minus the sum as a last entry, as the paper's words say.
    image : bool
        Convolutions on (B, R size, height, width) instead of full connections on (R, size, B).
    """

    def __init__(self, name: str, size: int, hidden: Sequence[int], *, activation: str, clamp: float, squash: str,
                 zero_sum: str, image: bool = False) -> None:
        self.size, self.sizes, self.image = size, (size // 2, size - size // 2), image
        self.clamp, self.zero_sum, self._squash = clamp, zero_sum, SQUASHES[squash]
        less = 0 if zero_sum == "mean" else 1
        self.networks: list[_Subnetwork] = []
        for part, other, label in ((*self.sizes, "first"), (*self.sizes[::-1], "second")):
            widths = [other, *hidden, 2 * part - less]
            if image:
                self.networks.append(ConvolutionStack(f"{name}.{label}", widths, activation))
            else:
                self.networks.append(ColumnMLP(f"{name}.{label}", widths, activation=activation, init="torch",
                                               last=constant(0)))

    def parameters(self) -> dict[str, Parameter]:
        """Of both networks."""
        return {**self.networks[0].parameters(), **self.networks[1].parameters()}

    def __call__(self, p: Values, h: Tensor) -> Tensor:
        """From observations towards latents."""
        a, b = self._split(h)
        scale, shift = self._scale_shift(p, 0, b)
        a = torch.addcmul(shift, a, torch.exp(scale))
        scale, shift = self._scale_shift(p, 1, a)
        return self._join(a, torch.addcmul(shift, b, torch.exp(scale)))

    def inverse(self, p: Values, h: Tensor) -> Tensor:
        """From latents towards observations."""
        a, b = self._split(h)
        scale, shift = self._scale_shift(p, 1, a)
        b = (b - shift) * torch.exp(-scale)
        scale, shift = self._scale_shift(p, 0, b)
        return self._join((a - shift) * torch.exp(-scale), b)

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """The halves, (R, size, B) or (B, R, size, height, width)."""
        if self.image:
            h = h.view(len(h), -1, self.size, *h.shape[2:])
        a, b = h.split(self.sizes, dim=-3 if self.image else 1)
        return a, b

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], dim=2).flatten(1, 2) if self.image else torch.cat([a, b], dim=1)

    def _scale_shift(self, p: Values, which: int, other: Tensor) -> tuple[Tensor, Tensor]:
        """s and t of one coupling."""
        axis = -3 if self.image else 1
        if self.image:
            out = self.networks[which](p, other.flatten(1, 2))
            out = out.view(*other.shape[:2], -1, *other.shape[3:])
        else:
            out = self.networks[which](p, other)
        size = self.sizes[which]
        raw, shift = out.split([out.shape[axis] - size, size], dim=axis)
        scale = self.clamp * self._squash(raw)
        total = scale.sum(axis, keepdim=True)
        return (scale - total / size if self.zero_sum == "mean" else torch.cat([scale, -total], dim=axis)), shift
