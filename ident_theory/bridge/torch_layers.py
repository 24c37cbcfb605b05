"""Read a torch module layer by layer into affine maps and activations, collecting all that cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from ident_theory.bridge.convolutions import conv_matrix, conv_size, same_padding
from ident_theory.bridge.exact_layers import MAX_ENTRIES, Activation, Affine, Dense, Diagonal, constant, exact_array
from ident_theory.errors import Problem
from ident_theory.models.value import ExactArray, FloatArray

Shape = tuple[int, ...]

SUPPORTED = ("Linear, ReLU, LeakyReLU, PReLU, Identity, Flatten, Unflatten, Dropout and BatchNorm1d/2d in eval mode, "
             "Conv2d, ConvTranspose2d, AvgPool2d, Sequential")
_SMOOTH = "it is not piecewise affine; train the decoder with ReLU or LeakyReLU"
_BENT = "write it with ReLU and Linear layers"
_NORM = "it divides by statistics of its input; use BatchNorm in eval mode"
_INSTEAD = {
    **dict.fromkeys(("Tanh", "Sigmoid", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Softsign",
                     "LogSigmoid", "Softmax", "LogSoftmax", "Softmax2d", "Softmin", "Tanhshrink", "GLU"), _SMOOTH),
    **dict.fromkeys(("ReLU6", "Hardtanh", "Softshrink", "RReLU", "MaxPool1d", "MaxPool2d"), _BENT),
    **dict.fromkeys(("Hardsigmoid", "Hardswish", "Hardshrink", "Threshold"), "use ReLU or LeakyReLU"),
    **dict.fromkeys(("LayerNorm", "GroupNorm", "RMSNorm", "InstanceNorm1d", "InstanceNorm2d"), _NORM),
    **dict.fromkeys(("Conv1d", "ConvTranspose1d"), "use the 2d layer with a kernel of height 1"),
    **dict.fromkeys(("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "PixelShuffle"), "use ConvTranspose2d"),
    "AdaptiveAvgPool2d": "use AvgPool2d",
    "OptimizedModule": "give the module itself, before torch.compile",
    "ModuleList": "it has no forward; use Sequential",
}


@dataclass(frozen=True)
class Step:
    """One layer as read.

    Attributes
    ----------
    matrix, bias : ndarray of float64 or None
        The affine map, when the layer is one with a matrix; the numbers are exact.
    diagonal : Diagonal or None
        The map, when the layer treats every unit by itself.
    shift_size : ndarray of float64 or None
        Bound on the numbers that are added up to the shift of `diagonal`, for the analysis of rounding.
    activation : Activation or None
    """

    matrix: FloatArray | None = None
    bias: FloatArray | None = None
    diagonal: Diagonal | None = None
    shift_size: FloatArray | None = None
    activation: Activation | None = None

    def exact(self) -> Affine | Activation:
        """The map with rational entries."""
        if self.activation is not None:
            return self.activation
        if self.diagonal is not None:
            return self.diagonal
        assert self.matrix is not None
        assert self.bias is not None
        return Dense(exact_array(self.matrix), exact_array(self.bias))


@dataclass
class Reader:
    """What was found while walking through a module.

    Attributes
    ----------
    shape : tuple of int or None
        Shape of one sample where the walk stands, without the batch axis; None while nothing fixes it.
    input_shape : tuple of int or None
        Shape of one sample at the start.
    steps : list of Step
    problems : list of Problem
        Everything that cannot be converted.
    repairs : list of str
        Numbers that had to be replaced by others.
    """

    shape: Shape | None
    input_shape: Shape | None = None
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.input_shape = self.shape

    def read(self, module: nn.Module, path: str) -> None:
        """Read one module, whose forward function is known to be that of its class, or record a problem."""
        kind = type(module).__name__
        forward = None if "forward" in vars(module) else type(module).forward
        reader = _READERS.get(forward)
        if forward is nn.Sequential.forward:
            for name, child in module._modules.items():  # named_children leaves out a layer's second use
                if child is not None:
                    self.read(child, f"{path}.{name}")
        elif reader is None or (reader is _batch_norm and not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)):
            advice = _INSTEAD.get(kind, f"supported are {SUPPORTED}")
            children = [name for name, _ in module.named_children()]
            if kind not in _INSTEAD and children:
                advice = f"its own forward code is not read; give a Sequential, maybe one of its {', '.join(children)}"
            self.refuse(path, "a layer that is affine or a leaky ReLU", kind, advice)
            self.shape = None
        else:
            before = len(self.problems)
            reader(self, module, path)
            if len(self.problems) > before:
                self.shape = None

    def refuse(self, path: str, expected: str, found: str, advice: str = "") -> None:
        """Record that something cannot be converted."""
        self.problems.append(Problem(path, expected, found, advice))

    def enter(self, path: str, kind: str, fits: Callable[[Shape], bool], wanted: str, inferred: Shape | None) -> bool:
        """Check the shape that a layer gets, or infer it at the start; False when the layer cannot be read on."""
        if self.shape is None:
            if inferred is None and self.input_shape is None and not self.problems:
                self.refuse(path, "a known shape of its input", f"{kind} before any layer that fixes it",
                            "give input_shape, for images (channels, height, width)")
            if inferred is None:
                return False
            self.shape = inferred
            if self.input_shape is None and not self.problems:
                self.input_shape = inferred
            return True
        if not fits(self.shape):
            self.refuse(path, f"input of shape {wanted}", f"shape {self.shape}", "the batch axis is not counted")
            return False
        return True

    def tensor(self, value: Any, path: str) -> FloatArray | None:
        """A parameter as float64, which holds every narrower float exactly; None after a problem."""
        if isinstance(value, nn.parameter.UninitializedTensorMixin):
            self.refuse(path, "numbers", "a lazy parameter without a shape", "run the module once on a batch")
        elif value.is_meta:
            self.refuse(path, "numbers", "a tensor on the meta device", "load the weights first")
        elif not value.is_floating_point():
            self.refuse(path, "real floating-point numbers", f"dtype {value.dtype}")
        else:
            array = np.array(value.detach().cpu().to(torch.float64).numpy(), dtype=np.float64)
            if np.isfinite(array).all():
                return array
            self.refuse(path, "finite numbers", f"{int((~np.isfinite(array)).sum())} that are not")
        return None

    def weight_and_bias(self, layer: Any, path: str, width: int) -> tuple[FloatArray, FloatArray] | None:
        """The parameters of a linear or convolution layer, zeros for no bias; None after a problem."""
        weight = self.tensor(layer.weight, f"{path}.weight")
        bias = np.zeros(width) if layer.bias is None else self.tensor(layer.bias, f"{path}.bias")
        return None if weight is None or bias is None else (weight, bias)

    def small_enough(self, rows: int, columns: int, path: str) -> bool:
        """Whether a dense matrix of that size is allowed; records a problem when not."""
        if rows * columns > MAX_ENTRIES:
            self.refuse(path, f"a dense matrix of at most {MAX_ENTRIES} entries", f"{rows} x {columns}",
                        "convert a smaller decoder, or smaller images")
        return rows * columns <= MAX_ENTRIES


def _linear(reader: Reader, layer: Any, path: str) -> None:
    if isinstance(layer.weight, nn.parameter.UninitializedTensorMixin):
        reader.tensor(layer.weight, f"{path}.weight")
        return
    rows, columns = layer.weight.shape
    if not reader.enter(path, "Linear", lambda shape: shape == (columns,), f"({columns},)", (columns,)):
        return
    if reader.small_enough(rows, columns, path) and (numbers := reader.weight_and_bias(layer, path, rows)):
        reader.steps.append(Step(matrix=numbers[0], bias=numbers[1]))
        reader.shape = (rows,)


def _unchanged(reader: Reader, layer: Any, path: str) -> None:
    if isinstance(layer, _DROPOUTS) and layer.training and layer.p > 0:
        reader.refuse(path, "Dropout in eval mode", f"training mode with p={layer.p}", "call module.eval() first")


def _activation(reader: Reader, layer: Any, path: str) -> None:
    slopes: FloatArray | None = np.zeros(1)
    if isinstance(layer, nn.LeakyReLU):
        slopes = reader.tensor(torch.tensor(layer.negative_slope, dtype=torch.float64), f"{path}.negative_slope")
    elif isinstance(layer, nn.PReLU):
        slopes = reader.tensor(layer.weight, f"{path}.weight")
    if slopes is None:
        return
    count = slopes.size
    if not reader.enter(path, type(layer).__name__, lambda shape: count in (1, shape[0]), f"({count}, ...)",
                        (count,) if count > 1 else None):
        return
    assert reader.shape is not None
    repeat = math.prod(reader.shape) // count
    reader.steps.append(Step(activation=Activation(np.repeat(exact_array(slopes.ravel()), repeat))))


def _flatten(reader: Reader, layer: Any, path: str) -> None:
    if not reader.enter(path, "Flatten", lambda shape: True, "", None):
        return
    assert reader.shape is not None
    ndim = len(reader.shape) + 1
    first, last = (dim + ndim if dim < 0 else dim for dim in (layer.start_dim, layer.end_dim))
    if not 1 <= first <= last < ndim:
        reader.refuse(path, "Flatten of axes after the batch axis", f"start_dim={layer.start_dim}, "
                      f"end_dim={layer.end_dim} on samples of shape {reader.shape}")
        return
    shape = reader.shape
    reader.shape = (*shape[:first - 1], math.prod(shape[first - 1:last]), *shape[last:])


def _unflatten(reader: Reader, layer: Any, path: str) -> None:
    sizes = layer.unflattened_size
    if not isinstance(layer.dim, int) or not all(isinstance(size, int) for size in sizes):
        reader.refuse(path, "Unflatten with a numbered axis", f"dim={layer.dim!r}", "named axes are not read")
        return
    known = math.prod(size for size in sizes if size != -1)
    whole = layer.dim == 1 and -1 not in sizes
    if not reader.enter(path, "Unflatten", lambda shape: True, "", (known,) if whole else None):
        return
    assert reader.shape is not None
    shape = reader.shape
    axis = layer.dim - 1 if layer.dim > 0 else layer.dim + len(shape)
    if (layer.dim == 0 or not 0 <= axis < len(shape) or known < 1
            or (shape[axis] % known if -1 in sizes else shape[axis] != known)):
        reader.refuse(path, f"an axis that divides into {tuple(sizes)}",
                      f"axis {layer.dim} of samples of shape {shape}")
        return
    full = tuple(shape[axis] // known if size == -1 else size for size in sizes)
    reader.shape = (*shape[:axis], *full, *shape[axis + 1:])


def _batch_norm(reader: Reader, layer: Any, path: str) -> None:
    kind = type(layer).__name__
    if layer.training:
        reader.refuse(path, f"{kind} in eval mode", "training mode", "call module.eval() first")
        return
    if layer.running_mean is None or layer.running_var is None:
        reader.refuse(path, f"{kind} with running statistics", "track_running_stats=False",
                      "it divides by the statistics of each batch; train with track_running_stats=True")
        return
    mean, var = (reader.tensor(getattr(layer, name), f"{path}.{name}") for name in ("running_mean", "running_var"))
    gamma, beta = (reader.tensor(value, f"{path}.{name}") if value is not None else np.full(layer.num_features, default)
                   for name, value, default in (("weight", layer.weight, 1.0), ("bias", layer.bias, 0.0)))
    if mean is None or var is None or gamma is None or beta is None:
        return
    count, ndims = len(mean), (3,) if isinstance(layer, nn.BatchNorm2d) else (1, 2)
    if not reader.enter(path, kind, lambda shape: len(shape) in ndims and shape[0] == count,
                        f"({count}, height, width)" if ndims == (3,) else f"({count},) or ({count}, length)",
                        None if ndims == (3,) else (count,)):
        return
    assert reader.shape is not None
    variances = exact_array(var) + Fraction(layer.eps)
    if any(value <= 0 for value in variances):
        reader.refuse(path, "running_var + eps > 0", f"{float(min(variances)):g}")
        return
    inverse = exact_array(np.array([1 / math.sqrt(value) for value in variances]))
    if worst := max(abs(root * root * value - 1) / 2 for root, value in zip(inverse, variances, strict=True)):
        reader.repairs.append(f"{path}: 1/sqrt(running_var + eps) replaced by the nearest floats, "
                              f"a relative change of {float(worst):.2g} at most")
    scale = exact_array(gamma) * inverse
    shift = exact_array(beta) - exact_array(mean) * scale
    repeat = math.prod(reader.shape) // count
    size = np.abs(beta) + np.abs(mean) * np.abs(scale.astype(np.float64))
    reader.steps.append(Step(diagonal=Diagonal(np.repeat(scale, repeat), np.repeat(shift, repeat)),
                             shift_size=np.repeat(size, repeat)))


def _enter_image(reader: Reader, layer: Any, path: str, channels: int | None) -> Shape | None:
    """Shape of the image that a layer gets; None after a problem."""
    wanted = f"({channels if channels else 'channels'}, height, width)"
    fits = reader.enter(path, type(layer).__name__,
                        lambda shape: len(shape) == 3 and channels in (None, shape[0]), wanted, None)
    return reader.shape if fits else None


def _convolution(reader: Reader, layer: Any, path: str) -> None:
    if isinstance(layer.weight, nn.parameter.UninitializedTensorMixin):
        reader.tensor(layer.weight, f"{path}.weight")
        return
    if layer.padding_mode != "zeros":
        reader.refuse(path, "padding_mode='zeros'", f"padding_mode={layer.padding_mode!r}")
        return
    shape = _enter_image(reader, layer, path, layer.in_channels)
    if shape is None:
        return
    kernel, stride, dilation, size = layer.kernel_size, layer.stride, layer.dilation, (shape[1], shape[2])
    transposed = isinstance(layer, nn.ConvTranspose2d)
    before: tuple[int, int]
    if transposed:
        before = layer.padding
        out = [(n - 1) * s - 2 * p + d * (k - 1) + extra + 1 for n, s, p, d, k, extra in
               zip(size, stride, before, dilation, kernel, layer.output_padding, strict=True)]
        out_size = (out[0], out[1])
    else:
        if layer.padding == "same":
            pads = same_padding(kernel, dilation)
        else:
            rows, columns = (0, 0) if layer.padding == "valid" else layer.padding
            pads = (rows, rows), (columns, columns)
        before = (pads[0][0], pads[1][0])
        out_size = conv_size(size, kernel, stride, pads, dilation)
    if min(out_size) < 1:
        reader.refuse(path, "an image at least as large as the kernel", f"shape {shape}")
        return
    rows, columns = layer.out_channels * math.prod(out_size), math.prod(shape)
    if not reader.small_enough(rows, columns, path):
        return
    if numbers := reader.weight_and_bias(layer, path, layer.out_channels):
        small, big = (size, out_size) if transposed else (out_size, size)
        matrix = conv_matrix(numbers[0], big, small, stride, before, dilation, layer.groups)
        reader.steps.append(Step(matrix=matrix.T if transposed else matrix,
                                 bias=np.repeat(numbers[1], math.prod(out_size))))
        reader.shape = (layer.out_channels, *out_size)


def _average_pool(reader: Reader, layer: Any, path: str) -> None:
    if layer.ceil_mode:
        reader.refuse(path, "ceil_mode=False", "ceil_mode=True", "pad the image instead")
        return
    shape = _enter_image(reader, layer, path, None)
    if shape is None:
        return
    kernel, stride, padding = (value if isinstance(value, tuple) else (value, value)
                               for value in (layer.kernel_size, layer.stride, layer.padding))
    out_size = conv_size((shape[1], shape[2]), kernel, stride, ((padding[0],) * 2, (padding[1],) * 2), (1, 1))
    if min(out_size) < 1:
        reader.refuse(path, "an image at least as large as the kernel", f"shape {shape}")
        return
    rows = shape[0] * math.prod(out_size)
    if not reader.small_enough(rows, math.prod(shape), path):
        return
    sums = conv_matrix(np.ones((shape[0], 1, *kernel)), (shape[1], shape[2]), out_size, stride, padding, (1, 1),
                       shape[0])
    counts = np.full(rows, math.prod(kernel)) if layer.count_include_pad else sums.sum(axis=1)
    if layer.divisor_override:
        counts = np.full(rows, layer.divisor_override)
    reader.steps.append(Step(matrix=sums, bias=np.zeros(rows)))
    inverse: ExactArray = 1 / exact_array(counts.astype(np.float64))
    reader.steps.append(Step(diagonal=Diagonal(inverse, constant(0, rows)), shift_size=np.zeros(rows)))
    reader.shape = (shape[0], *out_size)


_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
# By the forward function, not the class: a subclass with its own forward is something else.
_READERS: dict[Any, Callable[[Reader, Any, str], None]] = {
    nn.Linear.forward: _linear,
    nn.Identity.forward: _unchanged,
    **{kind.forward: _unchanged for kind in _DROPOUTS},
    nn.ReLU.forward: _activation,
    nn.LeakyReLU.forward: _activation,
    nn.PReLU.forward: _activation,
    nn.Flatten.forward: _flatten,
    nn.Unflatten.forward: _unflatten,
    nn.BatchNorm2d.forward: _batch_norm,  # one function serves BatchNorm1d too
    nn.Conv2d.forward: _convolution,
    nn.ConvTranspose2d.forward: _convolution,
    nn.AvgPool2d.forward: _average_pool,
}
