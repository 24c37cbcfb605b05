"""Random numbers of a training step that depend on the run's seed, a name and the step, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ident_theory.estimators.parameters import generator_of

#: Numbers of one run that are drawn at once, and steps at most: seeding a generator costs as much as these.
CHUNK = 2**15
LONGEST = 64
#: Rows of a data set whose numbers are drawn together.
BLOCK = 256


class Draws:
    """Noise for many runs, step by step.

    The numbers of a run are the same whether it is trained alone or with others, from the start or resumed: a stream
    is seeded by the run's seed, a name and the number of a chunk of steps, so there is no state.

    Parameters
    ----------
    seeds : sequence of int
        One a run.
    device, dtype
    purpose : str
        Streams of different purposes are independent.
    share : tuple of int
        (rank, world): which part of the rows of a batch this process has, with data-parallel training.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device, dtype: torch.dtype, purpose: str = "train",
                 share: tuple[int, int] = (0, 1)) -> None:
        self.seeds, self.device, self.dtype, self.purpose, self.share = tuple(seeds), device, dtype, purpose, share
        self.step = 0
        self._chunks: dict[str, tuple[int, tuple[int, ...], Tensor]] = {}

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers, shape (R, *shape); the first axis of `shape` is the row of the batch."""
        return self._rows(name, shape, lambda out, generator: out.normal_(generator=generator))

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), shape (R, *shape); the first axis of `shape` is the row of the batch."""
        return self._rows(name, shape, lambda out, generator: out.uniform_(generator=generator))

    def _rows(self, name: str, shape: tuple[int, ...], draw: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
        rank, world = self.share
        whole = (shape[0] * world, *shape[1:])
        size = 1
        for side in whole:
            size *= side
        length = max(1, min(CHUNK // max(size, 1), LONGEST))
        number, place = divmod(self.step, length)
        known = self._chunks.get(name)
        if known is None or known[0] != number or known[1] != whole:
            chunk = torch.empty((len(self.seeds), length, *whole), device=self.device, dtype=self.dtype)
            for run, seed in enumerate(self.seeds):
                draw(chunk[run], generator_of(self.device, seed, self.purpose, name, number))
            known = self._chunks[name] = number, whole, chunk
        return known[2][:, place, rank * shape[0]:(rank + 1) * shape[0]]


class RowDraws(Draws):
    """Noise for the rows of a data set: that of a row is the same in whatever parts they are evaluated.

    Attributes
    ----------
    first : int
        Number of the row that comes first in the part.
    """

    first: int = 0

    def _rows(self, name: str, shape: tuple[int, ...], draw: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
        numbers = range(self.first // BLOCK, -(-(self.first + shape[0]) // BLOCK))
        out = torch.empty((len(self.seeds), len(numbers), BLOCK, *shape[1:]), device=self.device, dtype=self.dtype)
        for run, seed in enumerate(self.seeds):
            for place, number in enumerate(numbers):
                draw(out[run, place], generator_of(self.device, seed, self.purpose, name, number))
        start = self.first - numbers.start * BLOCK
        return out.flatten(1, 2)[:, start:start + shape[0]]
