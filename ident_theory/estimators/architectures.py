"""Encoders and decoders by name, those of the papers among them; what is made is called as an `MLP` is.

================  ===================================================================================================
``mlp``           `layers` affine layers of width `hidden`; the heads of an encoder share nothing.
``mlp-table``     Willetts and Paige 2021, Table B.2: 512-384-256-256, dropout 0.1 after the second layer.
``convnet``       The same, Table B.3: convolutions with batch normalisation and ELU, two halvings.
``convnet-leaky``  ``convnet`` with leaky ReLUs for the ELUs, so that the decoder is piecewise affine: an exact model.
``resnet``        The same, Table B.4: five residual blocks with weight normalisation.
``arch1`` to 3    Kivva et al. 2022, J.3.3, for MNIST: encoders 500-1000, 256-512-512, 128-256-128-128, decoders
                  500-500, 512-256, 128-128.
``pinwheel``      Kivva et al. 2022, J.3.2: encoder 64-512-64, decoder 64-512.
``vade``          Jiang et al. 2017, section 4.2: 500-500-2000 and back.
================  ===================================================================================================

Encoders other than ``mlp`` have one trunk and a last affine layer for all heads. Conditions join the input of a fully
connected trunk, and what the convolutions give.

The tables leave open, and are read here as the authors' code (github.com/MatthewWilletts/algostability) has it: that
a residual block is ``skip(h) + conv(relu(conv(relu(h))))`` with kernels of 3 x 3, of which skip and the second
convolution have stride 2 (transposed in the decoder), that the activation is the ReLU, and that 28 is halved to 14,
7, 4, 2, 1. All three convolutions of a block have weight normalisation, as the table says; in the code the first one
has none. Dropout in the decoder of Table B.2 follows the second activation, as printed; the code has it before the
third one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ident_theory.errors import InputError
from ident_theory.estimators.convolutions import (
    Activation,
    BatchNorm,
    Chain,
    Convolution,
    Layer,
    MaxPool,
    Residual,
    images,
    rows,
)
from ident_theory.estimators.draws import Draws
from ident_theory.estimators.layers import MLP, Values
from ident_theory.estimators.network import Shape
from ident_theory.estimators.parameters import Parameter

#: Hidden widths of encoder and decoder, and the hidden layer that dropout follows, from either side.
WIDTHS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mlp-table": ((512, 384, 256, 256), (256, 256, 384, 512)),
    "arch1": ((500, 1000), (500, 500)),
    "arch2": ((256, 512, 512), (512, 256)),
    "arch3": ((128, 256, 128, 128), (128, 128)),
    "pinwheel": ((64, 512, 64), (64, 512)),
    "vade": ((500, 500, 2000), (2000, 500, 500)),
}
DROPOUT = {"mlp-table": {1: 0.1}}
#: Those for images.
CONVOLUTIONAL = ("convnet", "convnet-leaky", "resnet")
ARCHITECTURES = ("mlp", *WIDTHS, *CONVOLUTIONAL)
#: Halvings of the resnet, channels before the first one.
STAGES, CHANNELS = 5, 16


class Encoder:
    """A trunk of convolutions, perhaps none, then fully connected layers whose last one serves all heads.

    Parameters
    ----------
    image : tuple of int or None
        Channels, height, width of the input, with convolutions.
    trunk : Chain or None
    head : MLP
        With `heads` times as many outputs as one head has.
    heads : int
    """

    def __init__(self, image: tuple[int, int, int] | None, trunk: Chain | None, head: MLP, heads: int) -> None:
        self.image, self.trunk, self.head, self.heads = image, trunk, head, heads

    def parameters(self) -> dict[str, Parameter]:
        """Of trunk and head."""
        return {**({} if self.trunk is None else self.trunk.parameters()), **self.head.parameters()}

    def __call__(self, p: Values, x: Tensor, u: Tensor | None = None, draws: Draws | None = None) -> Tensor:
        """From x, shape (R, B, n), to (R, heads, B, out), or (R, B, out) with one head; `draws` mean training."""
        h = x
        if self.trunk is not None:
            assert self.image is not None
            h = rows(self.trunk(p, images(x, self.image), draws), len(x))
        h = self.head(p, h, u, draws)
        if self.heads == 1:
            return h
        runs, size, _ = h.shape
        return h.view(runs, size, self.heads, -1).transpose(1, 2)


class Decoder:
    """Fully connected layers, perhaps none, then convolutions.

    Parameters
    ----------
    head : MLP or None
    start : tuple of int
        Channels, height, width of what the convolutions get.
    trunk : Chain
    """

    def __init__(self, head: MLP | None, start: tuple[int, int, int], trunk: Chain) -> None:
        self.head, self.start, self.trunk = head, start, trunk

    def parameters(self) -> dict[str, Parameter]:
        """Of head and trunk."""
        return {**({} if self.head is None else self.head.parameters()), **self.trunk.parameters()}

    def __call__(self, p: Values, z: Tensor, u: Tensor | None = None, draws: Draws | None = None) -> Tensor:
        """From z, shape (R, B, d), to flat images, shape (R, B, n); `draws` mean training. There is no use for u."""
        h = z if self.head is None else self.head(p, z, None, draws)
        return rows(self.trunk(p, images(h, self.start), draws), len(z))

    @property
    def entries(self) -> int:
        """Entries of its convolutions when they are written as matrices, which model() does."""
        total, (_, *size) = 0, self.start
        before = size[0], size[1]
        for layer in self.trunk.layers:
            after = layer.size(before)
            if isinstance(layer, Convolution):
                total += layer.inputs * before[0] * before[1] * layer.outputs * after[0] * after[1]
            before = after
        return total

    def plain(self, values: Mapping[str, Any]) -> nn.Module:
        """The decoder of one run, in evaluation, as a float64 module of torch, from its parameters.

        Raises
        ------
        UnsupportedError
            With residual blocks.
        """
        steps: list[nn.Module] = []
        if self.head is not None:
            layers = self.head.layers(values)
            for k, (weight, bias) in enumerate(layers):
                linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
                linear.load_state_dict({"weight": torch.as_tensor(weight), "bias": torch.as_tensor(bias)})
                steps += [linear] if k == len(layers) - 1 else [linear, nn.LeakyReLU(self.head.slope)]
        return nn.Sequential(*steps, nn.Unflatten(1, self.start), self.trunk.plain(values), nn.Flatten()).eval()


def make_encoder(kind: str, name: str, shape: Shape, *, outputs: int, heads: int, hidden: int, layers: int,
                 slope: float, conditions: int = 0) -> MLP | Encoder:
    """An encoder by the name of its architecture.

    Parameters
    ----------
    kind : str
        See the head of this module.
    name : str
        Prefix of its parameters.
    shape : Shape
    outputs, heads : int
        Width of each output, and how many outputs there are.
    hidden, layers : int
        For ``mlp`` only: width, and number of affine layers.
    slope : float
        Negative slope of the leaky ReLUs; Willetts and Paige have 0.1.
    conditions : int
        Number M of values of u, where they are an input.

    Raises
    ------
    InputError
        For a name that is none, or data that are no images of a fitting size.
    """
    _check(kind, shape)
    n = shape.observed_dim
    if kind == "mlp":
        return MLP(name, [n, *[hidden] * (layers - 1), outputs], slope=slope, heads=heads, conditions=conditions)
    if kind in WIDTHS:
        return Encoder(None, None, MLP(name, [n, *WIDTHS[kind][0], heads * outputs], slope=slope, init="torch",
                                       conditions=conditions, dropout=DROPOUT.get(kind)), heads)
    assert shape.image is not None
    channels, *size = shape.image
    trunk, width = (_resnet_encoder(name, channels) if kind == "resnet"
                    else _convnet_encoder(name, channels, (size[0], size[1]), kind, slope))
    high, wide = trunk.size((size[0], size[1]))
    inner = [] if kind == "resnet" else [64]
    head = MLP(f"{name}.head", [width * high * wide, *inner, heads * outputs], slope=slope, init="torch",
               conditions=conditions)
    return Encoder(shape.image, trunk, head, heads)


def make_decoder(kind: str, name: str, shape: Shape, *, inputs: int, hidden: int, layers: int,
                 slope: float) -> MLP | Decoder:
    """A decoder by the name of its architecture; its outputs are means, or logits, of the n coordinates.

    Parameters
    ----------
    kind, name, shape, hidden, layers, slope
        As in `make_encoder`.
    inputs : int
        Latents d.

    Raises
    ------
    InputError
        As in `make_encoder`.
    """
    _check(kind, shape)
    n = shape.observed_dim
    if kind == "mlp":
        return MLP(name, [inputs, *[hidden] * (layers - 1), n], slope=slope)
    if kind in WIDTHS:
        return MLP(name, [inputs, *WIDTHS[kind][1], n], slope=slope, init="torch", dropout=DROPOUT.get(kind))
    assert shape.image is not None
    channels, high, wide = shape.image
    if kind == "resnet":
        return _resnet_decoder(name, inputs, channels, (high, wide), slope)
    return _convnet_decoder(name, inputs, channels, (high, wide), kind, slope)


def _check(kind: str, shape: Shape) -> None:
    if kind not in ARCHITECTURES:
        raise InputError(f"architecture: expected one of {', '.join(ARCHITECTURES)}, found {kind!r}")
    if kind not in CONVOLUTIONAL:
        return
    if shape.image is None:
        raise InputError(f"architecture: {kind!r} is for images, found data without image_shape; give a Dataset with "
                         "image_shape=(channels, height, width), or another architecture")
    _, high, wide = shape.image
    if kind != "resnet" and (high % 4 or wide % 4 or min(high, wide) < 8):
        raise InputError(f"architecture: {kind!r} needs images whose height and width are multiples of 4, at least 8, "
                         f"found {high} x {wide}; crop or pad them, or use 'resnet'")


def _convnet_encoder(name: str, channels: int, size: tuple[int, int], kind: str, slope: float) -> tuple[Chain, int]:
    """Table B.3 up to the last convolution, which sees the whole image; and its channels."""
    widths = (channels, 8, 16, 32, 64)
    layers: list[Layer] = []
    for k in range(4):
        layers += [Convolution(f"{name}.conv{k}", widths[k], widths[k + 1], 3, padding=1),
                   BatchNorm(f"{name}.norm{k}", widths[k + 1]), _activation(kind, slope)]
        if k in (1, 3):
            layers.append(MaxPool())
    layers.append(Convolution(f"{name}.conv4", 64, 64, (size[0] // 4, size[1] // 4)))
    return Chain(layers), 64


def _convnet_decoder(name: str, inputs: int, channels: int, size: tuple[int, int], kind: str,
                     slope: float) -> Decoder:
    """Table B.3."""
    first = size[0] // 4, size[1] // 4
    layers: list[Layer] = []
    kernels: Sequence[tuple[int, int, int | tuple[int, int], int, int]] = (
        (64, 64, first, 1, 0), (64, 32, 4, 2, 1), (32, 16, 3, 1, 1), (16, 8, 4, 2, 1))
    for k, (before, after, kernel, stride, padding) in enumerate(kernels):
        layers += [Convolution(f"{name}.conv{k}", before, after, kernel, stride=stride, padding=padding,
                               transposed=True), BatchNorm(f"{name}.norm{k}", after), _activation(kind, slope)]
    layers.append(Convolution(f"{name}.conv4", 8, channels, 3, padding=1))
    return Decoder(MLP(f"{name}.head", [inputs, 64, 64], slope=slope, init="torch"), (64, 1, 1), Chain(layers))


def _activation(kind: str, slope: float) -> Activation:
    return Activation("elu") if kind == "convnet" else Activation("leaky_relu", slope)


def _resnet_encoder(name: str, channels: int) -> tuple[Chain, int]:
    """Table B.4 up to the last ReLU; and its channels."""
    layers: list[Layer] = [Convolution(f"{name}.conv", channels, CHANNELS, 1)]
    for k in range(STAGES):
        width = CHANNELS * 2**k
        options: dict[str, Any] = {"stride": 2, "padding": 1, "weight_norm": True}
        layers.append(_block(f"{name}.block{k}", width, Convolution(f"{name}.block{k}.conv1", width, 2 * width, 3,
                                                                    **options),
                             Convolution(f"{name}.block{k}.skip", width, 2 * width, 3, **options)))
    return Chain([*layers, Activation("relu")]), CHANNELS * 2**STAGES


def _resnet_decoder(name: str, inputs: int, channels: int, size: tuple[int, int], slope: float) -> Decoder:
    """Table B.4."""
    sizes = [size]
    for _ in range(STAGES):
        high, wide = sizes[-1]
        sizes.append(((high + 1) // 2, (wide + 1) // 2))
    layers: list[Layer] = []
    for k in reversed(range(STAGES)):
        width = CHANNELS * 2**(k + 1)
        # A halving rounds up, so that 2 n - 1 or 2 n pixels come out of n.
        rest = tuple(after - 2 * before + 1 for after, before in zip(sizes[k], sizes[k + 1], strict=True))
        options: dict[str, Any] = {"stride": 2, "padding": 1, "output_padding": rest, "transposed": True,
                                   "weight_norm": True}
        layers.append(_block(f"{name}.block{k}", width, Convolution(f"{name}.block{k}.conv1", width, width // 2, 3,
                                                                    **options),
                             Convolution(f"{name}.block{k}.skip", width, width // 2, 3, **options)))
    layers += [Activation("relu"), Convolution(f"{name}.conv", CHANNELS, channels, 1)]
    start = (CHANNELS * 2**STAGES, *sizes[-1])
    head = MLP(f"{name}.head", [inputs, start[0] * start[1] * start[2]], slope=slope, init="torch")
    return Decoder(head, start, Chain(layers))


def _block(name: str, width: int, second: Convolution, skip: Convolution) -> Residual:
    """``skip(h) + second(relu(first(relu(h))))``."""
    first = Convolution(f"{name}.conv0", width, width, 3, padding=1, weight_norm=True)
    return Residual(Chain([Activation("relu"), first, Activation("relu"), second]), skip)
