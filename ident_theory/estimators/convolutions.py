"""Convolutions with a leading run axis: images as (B, R C, H, W), so that the runs are the groups of a convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ident_theory.errors import UnsupportedError
from ident_theory.estimators.draws import Draws
from ident_theory.estimators.layers import Values, activation_of
from ident_theory.estimators.parameters import Parameter, constant, fan_in

#: Of batch normalisation, as torch has them.
MOMENTUM, EPS = 0.1, 1e-5

Size = tuple[int, int]


class Layer(Protocol):
    """A map of images of all runs; `draws` are given while training only."""

    def parameters(self) -> dict[str, Parameter]:
        """Its parameters by name."""

    def __call__(self, p: Values, h: Tensor, draws: Draws | None) -> Tensor:
        """From shape (B, R C, H, W) to shape (B, R C', H', W')."""

    def size(self, size: Size) -> Size:
        """Height and width of what it makes of an image."""

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """The same layer of one run, in evaluation, as a float64 module of torch."""


class Convolution:
    r"""A convolution, or a transposed one, with a bias unless told otherwise.

    With `weight_norm` the kernel is :math:`g_o v_o / |v_o|` (Salimans and Kingma 2016, eq. 2), o being the first axis
    of the kernel as in torch's ``weight_norm``: the output channel, the input channel of a transposed convolution.

    Parameters
    ----------
    name : str
        Prefix of its parameters.
    inputs, outputs : int
        Channels.
    kernel : int or pair of int
    stride, padding, output_padding : int or pair of int
        As in torch.
    transposed, bias, weight_norm : bool
    """

    def __init__(self, name: str, inputs: int, outputs: int, kernel: int | Size, *, stride: int = 1, padding: int = 0,
                 output_padding: Size = (0, 0), transposed: bool = False, bias: bool = True,
                 weight_norm: bool = False) -> None:
        self.name, self.inputs, self.outputs = name, inputs, outputs
        self.kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.transposed, self.bias, self.weight_norm = transposed, bias, weight_norm

    def parameters(self) -> dict[str, Parameter]:
        """Kernel (out, in, height, width), the first two exchanged when transposed; scale and bias."""
        first, second = (self.inputs, self.outputs) if self.transposed else (self.outputs, self.inputs)
        fan = second * math.prod(self.kernel)  # of a transposed convolution torch takes the outputs too
        out = {f"{self.name}.weight": Parameter((first, second, *self.kernel), fan_in(fan))}
        if self.weight_norm:
            # The expected norm of a row of the kernel, as a tensor of its own has no access to it.
            out[f"{self.name}.scale"] = Parameter((first,), constant(1 / math.sqrt(3)))
        if self.bias:
            out[f"{self.name}.bias"] = Parameter((self.outputs,), fan_in(fan))
        return out

    def _kernel(self, p: Values) -> Tensor:
        weight = p[f"{self.name}.weight"]
        if not self.weight_norm:
            return weight
        norms = torch.linalg.vector_norm(weight, dim=(-3, -2, -1), keepdim=True)
        return weight * (p[f"{self.name}.scale"][..., None, None, None] / norms)

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        kernel = self._kernel(p)
        runs = kernel.shape[0]
        weight = kernel.reshape(-1, *kernel.shape[2:])
        bias = p[f"{self.name}.bias"].reshape(-1) if self.bias else None
        if self.transposed:
            return F.conv_transpose2d(h, weight, bias, self.stride, self.padding, self.output_padding, runs)
        return F.conv2d(h, weight, bias, self.stride, self.padding, 1, runs)

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        s, p = self.stride, self.padding
        if self.transposed:
            high, wide = ((n - 1) * s - 2 * p + k + o
                          for n, k, o in zip(size, self.kernel, self.output_padding, strict=True))
        else:
            high, wide = ((n + 2 * p - k) // s + 1 for n, k in zip(size, self.kernel, strict=True))
        return high, wide

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """See `Layer`."""
        options: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "bias": self.bias}
        module: nn.Module
        if self.transposed:
            module = nn.ConvTranspose2d(self.inputs, self.outputs, self.kernel, output_padding=self.output_padding,
                                        **options)
        else:
            module = nn.Conv2d(self.inputs, self.outputs, self.kernel, **options)
        one = {name: torch.as_tensor(value)[None] for name, value in values.items() if name.startswith(self.name)}
        filled = {"weight": self._kernel(one)[0]}
        if self.bias:
            filled["bias"] = one[f"{self.name}.bias"][0]
        module.double().load_state_dict(filled)
        return module


class BatchNorm:
    """Batch normalisation of each run; running means and variances are parameters that are not trained.

    With data-parallel training the statistics are those of the whole batch (gradients included), so that the result
    does not depend on the number of processes.

    Parameters
    ----------
    name : str
    channels : int
    """

    def __init__(self, name: str, channels: int) -> None:
        self.name, self.channels = name, channels

    def parameters(self) -> dict[str, Parameter]:
        """Scale, shift, running mean and variance, shape (channels,) each."""
        shape = (self.channels,)
        return {f"{self.name}.weight": Parameter(shape, constant(1)),
                f"{self.name}.bias": Parameter(shape, constant(0)),
                f"{self.name}.mean": Parameter(shape, constant(0), trained=False),
                f"{self.name}.variance": Parameter(shape, constant(1), trained=False)}

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        weight, bias, mean, variance = (p[f"{self.name}.{part}"].reshape(-1)
                                        for part in ("weight", "bias", "mean", "variance"))
        if draws is None:
            return F.batch_norm(h, mean, variance, weight, bias, False, MOMENTUM, EPS)
        if draws.share[1] == 1:
            # torch moves these copies, since a run that fails must not spoil what it keeps.
            mean, variance = mean.clone(), variance.clone()
            out = F.batch_norm(h, mean, variance, weight, bias, True, MOMENTUM, EPS)
        else:
            out, mean, variance = self._synchronised(h, weight, bias, mean, variance, draws.share[1])
        with torch.no_grad():
            finite = torch.isfinite(mean) & torch.isfinite(variance)
            for part, value in (("mean", mean), ("variance", variance)):
                old = p[f"{self.name}.{part}"]
                old.copy_(torch.where(finite.view_as(old), value.view_as(old), old))
        return out

    def _synchronised(self, h: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor,
                      world: int) -> tuple[Tensor, Tensor, Tensor]:
        """The same with the statistics of all processes, which have equally many rows."""
        axes = (0, 2, 3)
        centre = _SumOverProcesses.apply(h.mean(axes)) / world
        centred = h - centre[:, None, None]
        spread = _SumOverProcesses.apply(centred.square().mean(axes)) / world
        out = centred * (weight * torch.rsqrt(spread + EPS))[:, None, None] + bias[:, None, None]
        count = world * h.numel() // h.shape[1]
        with torch.no_grad():
            mean = mean.lerp(centre, MOMENTUM)
            variance = variance.lerp(spread * (count / max(count - 1, 1)), MOMENTUM)
        return out, mean, variance

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        return size

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """See `Layer`."""
        module = nn.BatchNorm2d(self.channels, eps=EPS).double().eval()
        names = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
        module.load_state_dict({theirs: torch.as_tensor(values[f"{self.name}.{ours}"])
                                for theirs, ours in names.items()} | {"num_batches_tracked": torch.tensor(0)})
        return module


class _SumOverProcesses(torch.autograd.Function):
    """A sum over processes whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        out = value.clone()
        torch.distributed.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        out = gradient.clone()
        torch.distributed.all_reduce(out)
        return out


class Activation:
    """An activation by its name in `layers`; ``leaky_relu`` takes the slope."""

    def __init__(self, name: str, slope: float = 0.1) -> None:
        self.name, self.slope = name, slope
        self._activate = activation_of(name, slope)

    def parameters(self) -> dict[str, Parameter]:
        """None."""
        return {}

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        return self._activate(h)

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        return size

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """See `Layer`."""
        return nn.ELU() if self.name == "elu" else nn.LeakyReLU(0.0 if self.name == "relu" else self.slope)


class MaxPool:
    """The largest of each two by two pixels."""

    def parameters(self) -> dict[str, Parameter]:
        """None."""
        return {}

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        return F.max_pool2d(h, 2)

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        return size[0] // 2, size[1] // 2

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """See `Layer`."""
        return nn.MaxPool2d(2)


class Chain:
    """Layers one after the other."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)

    def parameters(self) -> dict[str, Parameter]:
        """Of all layers."""
        return {name: spec for layer in self.layers for name, spec in layer.parameters().items()}

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        for layer in self.layers:
            h = layer(p, h, draws)
        return h

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        for layer in self.layers:
            size = layer.size(size)
        return size

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """See `Layer`."""
        return nn.Sequential(*(layer.plain(values) for layer in self.layers)).double().eval()


class Residual:
    """``skip(h) + main(h)``; without `skip` the first term is h."""

    def __init__(self, main: Chain, skip: Layer | None = None) -> None:
        self.main, self.skip = main, skip

    def parameters(self) -> dict[str, Parameter]:
        """Of both."""
        return {**self.main.parameters(), **({} if self.skip is None else self.skip.parameters())}

    def __call__(self, p: Values, h: Tensor, draws: Draws | None = None) -> Tensor:
        """See `Layer`."""
        # The main part may begin with an activation in place.
        return self.main(p, h.clone(), draws) + (h if self.skip is None else self.skip(p, h, draws))

    def size(self, size: Size) -> Size:
        """See `Layer`."""
        return self.main.size(size)

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """No chain of torch's layers.

        Raises
        ------
        UnsupportedError
            Always.
        """
        raise UnsupportedError("model: expected a decoder without residual blocks for an exact model, found one; train "
                               "with architecture='convnet-leaky', 'mlp' or another fully connected one")


def images(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Flat images (R, B, C H W) as (B, R C, H, W)."""
    runs, size, _ = x.shape
    channels, high, wide = shape
    return x.reshape(runs, size, channels, high, wide).transpose(0, 1).reshape(size, runs * channels, high, wide)


def rows(h: Tensor, runs: int) -> Tensor:
    """Images (B, R C, H, W) as flat ones (R, B, C H W)."""
    return h.reshape(h.shape[0], runs, -1).transpose(0, 1)
