"""Torch decoders as exact ReLU networks, checked against the module itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from ident_theory.bridge.exact_layers import network
from ident_theory.bridge.torch_layers import Reader, Shape, Step
from ident_theory.errors import InputError, Problem, UnsupportedError, UnsupportedLayerError
from ident_theory.models.model import Model, Prior
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import Noise
from ident_theory.models.value import FloatArray

#: What the decoder is called in messages: its place in a Model.
ROOT = "decoder"


class ConversionMismatchError(UnsupportedError, InputError):
    """The converted network and the module differ at a point, so the module does more than its layers say.

    ``point`` is the latent point, flattened. Give a module whose layers are all it computes.
    """

    def __init__(self, message: str, point: FloatArray) -> None:
        self.point = point
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ConversionMismatchError], tuple[str, FloatArray]]:
        return type(self), (str(self), self.point)


@dataclass(frozen=True)
class Conversion:
    """A torch module as an exact network, and what was done on the way.

    Attributes
    ----------
    decoder : ReLUNetwork
        From the flattened input to the flattened output of the module.
    input_shape, output_shape : tuple of int
        Shapes of one sample of the module, without the batch axis.
    repairs : tuple of str
        Numbers that had to be replaced by others nearby (square roots of batch normalisation); the decoder is
        exactly the module with these numbers. Empty as a rule.
    notes : tuple of str
        How the module was written as a network, where that is not its own form.
    check_points : int
        How many random points were compared.
    max_difference : float
        Largest absolute difference between the module and the decoder, both run in float64.
    tolerance : float
        Largest difference allowed at any of these points; see `convert`.
    """

    decoder: ReLUNetwork
    input_shape: Shape
    output_shape: Shape
    repairs: tuple[str, ...]
    notes: tuple[str, ...]
    check_points: int
    max_difference: float
    tolerance: float


def from_torch(module: nn.Module, prior: Prior, noise: Noise | None = None, *,
               input_shape: Sequence[int] | None = None, check_points: int = 64, seed: int = 0) -> Model:
    """The model of a torch decoder with a prior and noise.

    Parameters
    ----------
    module : torch.nn.Module
        The decoder, in eval mode; see `convert` for what it may consist of.
    prior : GaussianMixture or ConditionalPrior
        Law of the latent, which is the input of the module, flattened row by row.
    noise : Noise or None
    input_shape, check_points, seed
        As for `convert`.

    Returns
    -------
    Model

    Raises
    ------
    UnsupportedLayerError, ConversionMismatchError, InputError
        As for `convert`.
    ModelError
        When prior, decoder and noise do not fit together.
    """
    decoder = decoder_from_torch(module, input_shape=input_shape, check_points=check_points, seed=seed)
    return Model(prior, decoder, noise)


def decoder_from_torch(module: nn.Module, *, input_shape: Sequence[int] | None = None, check_points: int = 64,
                       seed: int = 0) -> ReLUNetwork:
    """The ReLU network that a torch module computes; parameters and errors as for `convert`."""
    return convert(module, input_shape=input_shape, check_points=check_points, seed=seed).decoder


def convert(module: nn.Module, *, input_shape: Sequence[int] | None = None, check_points: int = 64,
            seed: int = 0) -> Conversion:
    r"""Write a torch module as an exact ReLU network and compare the two on random points.

    Weights are the dyadic rationals that their floats are. Affine layers in a row are multiplied exactly.
    Different negative slopes in one module are written with ReLUs, exactly. Neither the module nor any setting
    of torch is changed.

    Parameters
    ----------
    module : torch.nn.Module
        Linear, ReLU, LeakyReLU, PReLU, Identity, Flatten, Unflatten, Dropout and BatchNorm in eval mode,
        Conv2d, ConvTranspose2d, AvgPool2d, in nested Sequential. Parametrized weights count as they are now.
    input_shape : sequence of int, optional
        Shape of one sample, without the batch axis. Needed when the first layer does not fix it: images.
    check_points : int, default 64
        Number of random points, at least one: standard normal, times 1, 1/10 and 10 in turn.
    seed : int
        Of the random points.

    Returns
    -------
    Conversion

    Accuracy
    --------
    The network is exact, but for the square roots of batch normalisation listed in ``repairs``. The comparison
    runs the module's float64 copy and the network in float64. Each run is off by at most :math:`K u B`, where B
    bounds the sum of absolute values of all terms of an output, K counts the operations in a row and
    :math:`u = 2^{-53}`; a difference beyond the sum of both bounds is no rounding.

    Raises
    ------
    UnsupportedLayerError
        Lists every layer that cannot be converted, with its path and what to use instead.
    ConversionMismatchError
        When the module computes something else than its layers say.
    InputError
        For arguments of a wrong kind.
    """
    shape = _read_arguments(module, input_shape, check_points)
    frozen, problems = _frozen_copy(module)
    reader = Reader(shape)
    if frozen is not None:
        reader.read(frozen, ROOT)
        if reader.input_shape is None and not reader.problems:
            reader.refuse(ROOT, "a layer that fixes the shape of the input", "none", "give input_shape")
    problems += reader.problems
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        count = f"{len(problems)} thing" + ("s" if len(problems) > 1 else "")
        raise UnsupportedLayerError(f"{type(module).__name__}: {count} that cannot be converted\n{lines}")
    assert frozen is not None
    assert reader.shape is not None
    assert reader.input_shape is not None
    decoder, notes = network([step.exact() for step in reader.steps], math.prod(reader.input_shape))
    difference, tolerance = _compare(frozen, decoder, reader, check_points, seed)
    return Conversion(decoder, reader.input_shape, reader.shape, tuple(reader.repairs), notes, check_points,
                      difference, tolerance)


def _read_arguments(module: Any, input_shape: Any, check_points: Any) -> Shape | None:
    if not isinstance(module, nn.Module):
        advice = "; call it to make an instance" if isinstance(module, type) else ""
        raise InputError(f"module: expected a torch.nn.Module, got {module!r} of type {type(module).__name__}{advice}")
    if isinstance(check_points, bool) or not isinstance(check_points, int) or check_points < 1:
        raise InputError(f"check_points: expected an integer >= 1, got {check_points!r}")
    if input_shape is None:
        return None
    given = tuple(input_shape) if isinstance(input_shape, Sequence) else (input_shape,)
    if not given or not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in given):
        raise InputError("input_shape: expected positive integers, the shape of one sample without the batch axis, "
                         f"got {input_shape!r}")
    return given


def _frozen_copy(module: nn.Module) -> tuple[nn.Module | None, list[Problem]]:
    """A copy whose parametrized tensors are plain, and what forbids one; None when there is no copy."""
    problems: list[Problem] = []
    for name, part in module.named_modules(prefix=ROOT):
        hooked = bool(part._forward_hooks or part._forward_pre_hooks)
        if hooked and not isinstance(part, nn.modules.lazy.LazyModuleMixin):  # whose own hook waits for its first input
            problems.append(Problem(name, "a layer without hooks", f"{type(part).__name__} with forward hooks",
                                    "remove them; weight_norm and spectral_norm of torch.nn.utils.parametrizations "
                                    "need none"))
        if parametrize.is_parametrized(part) and part.training:
            problems.append(Problem(name, "parametrized weights in eval mode", "training mode",
                                    "call module.eval() first"))
    try:
        frozen = copy.deepcopy(module)
    except (RuntimeError, TypeError, ValueError) as error:
        if not problems:
            problems.append(Problem(ROOT, "a module that can be copied", f"{type(error).__name__}: {error}"))
        return None, problems
    for part in list(frozen.modules()):
        if parametrize.is_parametrized(part):
            _freeze(part)
    return frozen, problems


def _freeze(part: nn.Module) -> None:
    """Make parametrized tensors plain; torch's own function alters the class, which the user's module shares."""
    assert isinstance(part.parametrizations, nn.ModuleDict)
    with torch.no_grad():
        values = {name: getattr(part, name).detach().clone() for name in part.parametrizations}
    original = parametrize.type_before_parametrizations(part)
    del part.parametrizations
    part.__class__ = original
    for name, value in values.items():
        part.register_buffer(name, value)


def _compare(module: nn.Module, decoder: ReLUNetwork, reader: Reader, count: int, seed: int) -> tuple[float, float]:
    """Largest difference between a module, which is made float64, and its network, and what was allowed."""
    assert reader.input_shape is not None
    assert reader.shape is not None
    rng = np.random.default_rng(seed)
    spread = np.array([1.0, 0.1, 10.0])[np.arange(count) % 3]
    points = rng.standard_normal((count, decoder.latent_dim)) * spread[:, None]
    with torch.no_grad():
        out = module.cpu().double()(torch.from_numpy(points).reshape(count, *reader.input_shape))
    wanted = (count, *reader.shape)
    shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
    if shape != wanted:
        raise ConversionMismatchError(f"{ROOT}: expected outputs of shape {wanted}, the module gives {shape}",
                                      points[0])
    theirs = out.numpy().reshape(count, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        ours = decoder(points)
        allowed = _rounding_bound(reader.steps, decoder, points)
    usable = np.isfinite(allowed)
    if not usable.any():
        raise ConversionMismatchError(f"{ROOT}: expected finite outputs, found numbers beyond the range of float64 at "
                                      "every point tried; rescale the weights", points[0])
    gap = np.where(usable, np.abs(theirs - ours), 0.0)
    wrong = ~(gap <= allowed) & usable
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ConversionMismatchError(
            f"{ROOT}: expected the module and its layers to agree, output {column} is {theirs[row, column]!r} and "
            f"{ours[row, column]!r} at the latent point {points[row].tolist()}, which differ by more than "
            f"{allowed[row, column]:.3g}, the bound on rounding; the module does more than its layers say",
            points[row])
    return float(gap.max()), float(allowed[usable].max())


def _rounding_bound(steps: Sequence[Step], decoder: ReLUNetwork, points: FloatArray) -> FloatArray:
    """Bound on the rounding of the module and of the network together, one for each point and output.

    A sum of k products is off by at most (k + 1) u times the sum of their absolute values. These sums pass
    through the steps with absolute values everywhere; merging layers only makes them smaller.
    """
    size = np.abs(points)
    operations = 0
    for step in steps:
        if step.activation is not None:
            # 1 + |a| rather than max(1, |a|): a unit of slope a may have been split in two.
            size = size * (1 + np.abs(step.activation.slopes.astype(np.float64)))
            operations += 2
        elif step.diagonal is not None:
            assert step.shift_size is not None
            size = size * np.abs(step.diagonal.scale.astype(np.float64)) + step.shift_size
            operations += 16  # a square root, a quotient, products and rounded coefficients, on both sides
        else:
            assert step.matrix is not None
            assert step.bias is not None
            size = size @ np.abs(step.matrix).T + np.abs(step.bias)
            operations += step.matrix.shape[1] + 4
    operations += sum(weight.shape[1] + 4 for weight in decoder.weights)
    return 2.0 ** -53 * operations * size + np.finfo(np.float64).tiny
