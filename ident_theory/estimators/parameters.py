"""Parameters of many runs in one buffer: a row a run, a column a number."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ident_theory.models.value import FloatArray

#: Initial values of one run: (shape, generator) -> tensor of float64 on the CPU.
Start = Callable[[tuple[int, ...], torch.Generator], Tensor]


@dataclass(frozen=True)
class Parameter:
    """One array of a network.

    Attributes
    ----------
    shape : tuple of int
        Of one run.
    start : callable
        Its initial values.
    trained : bool
        False for what the objective does not move: fixed projections, permutations, running statistics.
    """

    shape: tuple[int, ...]
    start: Start
    trained: bool = True

    @property
    def size(self) -> int:
        """Number of entries of one run."""
        return math.prod(self.shape)


def constant(value: float) -> Start:
    """All entries equal."""
    return lambda shape, _: torch.full(shape, float(value), dtype=torch.float64)


def uniform(bound: float) -> Start:
    """Independent and uniform on [-bound, bound]."""
    return lambda shape, generator: (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound


def normal(std: float = 1.0) -> Start:
    """Independent and normal around zero."""
    return lambda shape, generator: torch.randn(shape, generator=generator, dtype=torch.float64) * std


def xavier(inputs: int, outputs: int, gain: float = 1.0) -> Start:
    """Uniform with variance ``2 gain^2 / (inputs + outputs)`` (Glorot and Bengio 2010)."""
    return uniform(gain * math.sqrt(6 / (inputs + outputs)))


def fan_in(inputs: int) -> Start:
    """Uniform on ``+-1 / sqrt(inputs)``, what torch gives to the weights and biases of a linear layer."""
    return uniform(1 / math.sqrt(max(inputs, 1)))


def generator_of(device: torch.device | str, *key: int | str) -> torch.Generator:
    """A generator that depends on `key` only, so that no state has to be kept between steps."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in key]
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))


class Parameters:
    r"""All parameters of R runs, with their gradients and the moments that Adam keeps.

    The trained ones lie in one matrix of shape (R, P), so that an optimiser step is a handful of operations however
    many layers there are, and that a run that fails can be masked by its row. `values` has them by name, as views of
    shape (R, \*shape).

    Parameters
    ----------
    specs : mapping of str to Parameter
        Names are ``group.rest``; parameters of one group have to follow each other.
    seeds : sequence of int
        One a run. Initial values depend on the seed and the name only.
    device, dtype
    """

    def __init__(self, specs: Mapping[str, Parameter], seeds: Sequence[int], device: torch.device,
                 dtype: torch.dtype) -> None:
        self.specs, self.runs = dict(specs), len(seeds)
        trained = {name: spec for name, spec in self.specs.items() if spec.trained}
        self.size = sum(spec.size for spec in trained.values())
        options = {"device": device, "dtype": dtype}
        self.matrix = torch.zeros((self.runs, self.size), **options)
        self.gradient, self.first, self.second = (torch.zeros_like(self.matrix) for _ in range(3))
        self.fixed: dict[str, Tensor] = {}
        self.values: dict[str, Tensor] = {}
        self._columns: dict[str, slice] = {}
        start = 0
        for name, spec in self.specs.items():
            if spec.trained:
                columns = slice(start, start + spec.size)
                start = columns.stop
                self._columns[name] = columns
                view = self.matrix[:, columns].view(self.runs, *spec.shape)
                self.values[name] = view.detach().requires_grad_()
            else:
                self.fixed[name] = self.values[name] = torch.zeros((self.runs, *spec.shape), **options)
        self.groups = tuple(dict.fromkeys(name.split(".")[0] for name in trained))
        for name, spec in self.specs.items():
            for run, seed in enumerate(seeds):
                value = spec.start(spec.shape, generator_of("cpu", seed, "start", name))
                self.values[name].data[run] = value.to(dtype)

    def columns(self, groups: Iterable[str]) -> slice:
        """The columns of some groups, which have to be neighbours."""
        names = [name for name in self._columns if name.split(".")[0] in set(groups)]
        slices = [self._columns[name] for name in names]
        whole = slice(slices[0].start, slices[-1].stop)
        if sum(part.stop - part.start for part in slices) != whole.stop - whole.start:
            raise ValueError(f"the groups {list(groups)} are not neighbours among {self.groups}")
        return whole

    def differentiate(self, loss: Tensor, groups: Iterable[str], columns: slice) -> None:
        """The gradient of a sum of losses with respect to some groups, in those columns of `gradient`."""
        chosen = set(groups)
        leaves = [self.values[name] for name in self._columns if name.split(".")[0] in chosen]
        parts = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        torch.cat([part.reshape(self.runs, -1) for part in parts], dim=1, out=self.gradient[:, columns])

    def set(self, name: str, value: Tensor) -> None:
        """Replace a parameter, all runs at once; its moments start anew."""
        with torch.no_grad():
            self.values[name].copy_(value)
            if name in self._columns:
                self.first[:, self._columns[name]] = 0
                self.second[:, self._columns[name]] = 0

    def one(self, run: int) -> dict[str, FloatArray]:
        """The parameters of one run, as float64 arrays by name."""
        return {name: value[run].detach().to("cpu", torch.float64).numpy().copy()
                for name, value in self.values.items()}

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed training needs, by name."""
        return {"matrix": self.matrix, "first": self.first, "second": self.second,
                **{f"fixed.{name}": value for name, value in self.fixed.items()}}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave."""
        with torch.no_grad():
            for name, value in self.state().items():
                value.copy_(state[name])
