"""The one training loop: many runs at once, a row of the parameter matrix each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ident_theory.estimators.draws import Draws
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network
from ident_theory.estimators.parameters import Parameters, generator_of
from ident_theory.estimators.plan import Cosine, Phase, Plateau, Steps, Update
from ident_theory.kernels.adam import adam_step

EPS = 1e-8


@dataclass(frozen=True)
class Table:
    """The observations on the device: one set for all runs, or one for each.

    Attributes
    ----------
    x : Tensor, shape (N, n) or (R N, n)
    u : Tensor of int64, shape (N,) or (R N,), or None
    rows : int
        N.
    offsets : Tensor, shape (R, 1)
        First row of the set of each run.
    """

    x: Tensor
    u: Tensor | None
    rows: int
    offsets: Tensor

    @staticmethod
    def of(sets: Sequence[tuple[Tensor, Tensor | None]], runs: int) -> Table:
        """From one set of (x, u), or one a run."""
        rows = len(sets[0][0])
        device = sets[0][0].device
        own = torch.arange(runs, device=device)[:, None] * (rows if len(sets) > 1 else 0)
        x = torch.cat([part[0] for part in sets]) if len(sets) > 1 else sets[0][0]
        u = None
        if sets[0][1] is not None:
            u = torch.cat([part[1] for part in sets if part[1] is not None]) if len(sets) > 1 else sets[0][1]
        return Table(x, u, rows, own)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rows by index, shape (R, B): x and u."""
        runs, size = index.shape
        flat = (index + self.offsets).view(-1)
        x = self.x.index_select(0, flat).view(runs, size, -1)
        if self.u is None:
            return x, None
        return x, self.u.index_select(0, flat).view(runs, size)

    def parts(self, runs: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """x and u of each run."""
        starts = self.offsets.view(-1).tolist()
        x = tuple(self.x[start:start + self.rows] for start in starts)
        return x, None if self.u is None else tuple(self.u[start:start + self.rows] for start in starts)


@dataclass
class State:
    """What changes while training, besides the parameters; tensors of shape (R,).

    Attributes
    ----------
    step : int
        Steps done.
    counts : list of int
        Uses of each update of the phase, for Adam's correction of its bias.
    alive : Tensor of bool
        Runs whose loss and gradient have been finite so far; the others keep their last finite parameters.
    factor : Tensor
        Of the learning rate, by the plateau.
    best, waited : Tensor
        Best mean loss of an epoch, and epochs since then.
    losses : Tensor, shape (2, R)
        Sums of the losses since the last epoch, and since the last record.
    log_steps : int
    """

    step: int
    counts: list[int]
    alive: Tensor
    factor: Tensor
    best: Tensor
    waited: Tensor
    losses: Tensor
    log_steps: int = 0

    _NAMES: ClassVar[tuple[str, ...]] = ("alive", "factor", "best", "waited", "losses")

    @staticmethod
    def start(runs: int, updates: int, device: torch.device, dtype: torch.dtype) -> State:
        """At the first step."""
        zeros = torch.zeros(runs, device=device, dtype=dtype)
        return State(0, [0] * updates, torch.ones(runs, device=device, dtype=torch.bool), zeros + 1,
                     zeros + math.inf, zeros.clone(), torch.zeros((2, runs), device=device, dtype=dtype))

    def tensors(self) -> dict[str, Tensor]:
        """As tensors by name, for a checkpoint."""
        out = {f"state.{name}": getattr(self, name) for name in self._NAMES}
        out["state.counters"] = torch.tensor([self.step, self.log_steps, *self.counts], dtype=torch.int64)
        return out

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name in self._NAMES:
            getattr(self, name).copy_(tensors[f"state.{name}"])
        self.step, self.log_steps, *self.counts = tensors["state.counters"].tolist()


@dataclass(frozen=True)
class Record:
    """A line of the log: means since the last one.

    Attributes
    ----------
    step, steps : int
        Done, and of the whole training.
    phase : str
    loss, rate : list of float
        Of each run; the loss of a run that failed is nan, `rate` is the learning rate.
    alive : list of bool
    seconds : float
        Since the training was started or resumed.
    """

    step: int
    steps: int
    phase: str
    loss: list[float]
    rate: list[float]
    alive: list[bool]
    seconds: float


def adam_tensors(values: Tensor, gradient: Tensor, first: Tensor, second: Tensor, loss: Tensor, rates: Tensor,
                 factors: Tensor, alive: Tensor, rate: float, beta1: float, beta2: float, count: int, eps: float,
                 decay: float, clip: float) -> None:
    """`kernels.adam.adam_step` in torch's operations, for other devices than the CPU; `gradient` is used up."""
    norms = torch.linalg.vector_norm(gradient, dim=1)
    alive &= torch.isfinite(norms) & torch.isfinite(loss)
    dead = ~alive[:, None]
    if math.isfinite(clip):
        gradient.mul_((clip / norms.clamp_min(clip))[:, None])
    if decay:
        gradient.add_(values, alpha=decay)
    gradient.masked_fill_(dead, 0)
    first.copy_(torch.where(dead, first, first.lerp(gradient, 1 - beta1)))
    second.copy_(torch.where(dead, second, beta2 * second + (1 - beta2) * gradient.square()))
    moves = first / second.sqrt().div_(math.sqrt(1 - beta2**count)).add_(eps)
    lengths = rates * factors * (rate / (1 - beta1**count))
    values.sub_(moves.mul_(lengths[:, None]).masked_fill_(dead, 0))


@dataclass
class Training:
    """A training that can be stopped between any two steps.

    Parameters
    ----------
    estimator, network
    table : Table
    seeds : tuple of int
    device, dtype
    autocast : callable
        Makes the context in which objectives are computed.
    share : tuple of int
        (rank, world) of data-parallel training.
    """

    estimator: Estimator
    network: Network
    table: Table
    seeds: tuple[int, ...]
    device: torch.device
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    share: tuple[int, int] = (0, 1)
    parameters: Parameters = field(init=False)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.phases = self.network.phases()
        self.total = sum(phase.steps for phase in self.phases)
        self.parameters = Parameters(self.network.parameters(), self.seeds, self.device, self.dtype)
        self.hyper = self.estimator.hyper(len(self.seeds), self.device, self.dtype)
        self.state = State.start(len(self.seeds), len(self.phases[0].updates), self.device, self.dtype)
        self.draws = Draws(self.seeds, self.device, self.dtype, share=self.share)
        self.size = min(self.estimator.batch_size, self.table.rows)
        self.epoch_steps = self.estimator.epoch_steps(self.table.rows)
        self._order: tuple[int, Tensor] | None = None

    def place(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and how many of its steps come before."""
        done = step
        for phase in self.phases:
            if done < phase.steps:
                return phase, done
            done -= phase.steps
        return self.phases[-1], self.phases[-1].steps

    def run(self, until: int | None = None) -> None:
        """Do the steps up to number `until`, or all."""
        until = self.total if until is None else min(until, self.total)
        while self.state.step < until:
            phase, done = self.place(self.state.step)
            if done == 0:
                self._begin(phase)
            groups = [update.groups or self.parameters.groups for update in phase.updates]
            columns = [self.parameters.columns(names) for names in groups]
            for number in range(done, min(phase.steps, done + until - self.state.step)):
                self._step(phase, number, groups, columns)

    def _begin(self, phase: Phase) -> None:
        state = self.state
        state.losses[0] = 0
        if phase.fresh or len(state.counts) != len(phase.updates):
            state.counts = [0] * len(phase.updates)
            self.parameters.first.zero_()
            self.parameters.second.zero_()
            state.factor.fill_(1)
            state.best.fill_(math.inf)
            state.waited.zero_()
        x, u = self.table.parts(len(self.seeds))
        with torch.no_grad():
            self.network.begin(Beginning(phase, self.parameters, x, u, self.seeds, self.hyper))

    def _step(self, phase: Phase, number: int, groups: list[tuple[str, ...]], columns: list[slice]) -> None:
        state, parameters = self.state, self.parameters
        self.draws.step = state.step
        x, u = self.table.take(self._rows(state.step))
        batch = Batch(parameters.values, x, u, self.draws, self.hyper, progress=number / phase.steps,
                      phase=phase.name)
        for k, update in enumerate(phase.updates):
            if number % update.every:
                continue
            batch.objective = update.objective
            with self.autocast():
                direct = self.network.direct(batch, parameters)
                loss = self.network.loss(batch) if direct is None else direct
            if direct is None:
                parameters.differentiate(loss.sum(), groups[k], columns[k])
            loss = loss.detach().to(self.dtype)
            if self.share[1] > 1:
                loss = self._reduce(loss, columns[k])
            state.counts[k] += 1
            self._move(update, columns[k], loss, self._rate(phase, number) * update.rate, state.counts[k])
            if k == 0:
                state.losses += loss
        state.step += 1
        state.log_steps += 1
        if state.step % self.epoch_steps == 0:
            # An epoch that began in an earlier phase has no mean.
            if isinstance(phase.schedule, Plateau) and number + 1 >= self.epoch_steps:
                self._plateau(phase.schedule)
            state.losses[0] = 0

    def _rows(self, step: int) -> Tensor:
        """Rows of the batch, shape (R, B): an order a run and an epoch."""
        epoch, place = divmod(step, self.epoch_steps)
        if self._order is None or self._order[0] != epoch:
            orders = [torch.randperm(self.table.rows, generator=generator_of("cpu", seed, "order", epoch))
                      for seed in self.seeds]
            self._order = epoch, torch.stack(orders).to(self.device)
        rank, world = self.share
        size = self.size // world
        start = place * self.size + rank * size
        return self._order[1][:, start:start + size]

    def _reduce(self, loss: Tensor, columns: slice) -> Tensor:
        """Mean of gradients and losses over the processes of a data-parallel training."""
        gradient = self.parameters.gradient[:, columns]
        both = torch.cat([gradient, loss[:, None]], dim=1)
        torch.distributed.all_reduce(both)
        both /= self.share[1]
        gradient.copy_(both[:, :-1])
        return both[:, -1]

    def _rate(self, phase: Phase, number: int) -> float:
        """Factor of the learning rate that all runs have at a step of a phase."""
        schedule, done = phase.schedule, number / phase.steps
        if isinstance(schedule, Steps):
            return float(phase.rate * schedule.factor ** sum(done >= at for at in schedule.at))
        if isinstance(schedule, Cosine):
            return phase.rate * (schedule.last + (1 - schedule.last) * (1 + math.cos(math.pi * done)) / 2)
        return phase.rate

    @torch.no_grad()
    def _move(self, update: Update, columns: slice, loss: Tensor, rate: float, count: int) -> None:
        """One step of Adam (Kingma and Ba 2015) for the runs whose loss and gradient are finite."""
        state, parameters = self.state, self.parameters
        tensors = (parameters.matrix[:, columns], parameters.gradient[:, columns], parameters.first[:, columns],
                   parameters.second[:, columns], loss, self.hyper["learning_rate"], state.factor, state.alive)
        numbers = (rate, *update.betas, count, EPS, update.weight_decay, update.clip or math.inf)
        if self.device.type == "cpu":
            adam_step(*(tensor.numpy() for tensor in tensors), *numbers)
        else:
            adam_tensors(*tensors, *numbers)

    @torch.no_grad()
    def _plateau(self, schedule: Plateau) -> None:
        """The rule of torch's ``ReduceLROnPlateau``, a run at a time but all at once."""
        state = self.state
        mean = state.losses[0] / self.epoch_steps
        better = mean < torch.where(state.best.isinf(), state.best, state.best - schedule.threshold * state.best.abs())
        state.best = torch.where(better, mean, state.best)
        state.waited = torch.where(better, 0, state.waited + 1)
        late = state.waited > schedule.patience
        state.factor = torch.where(late, state.factor * schedule.factor, state.factor)
        state.waited = torch.where(late, 0, state.waited)

    def record(self, started: float) -> Record:
        """The means since the last record; starts them anew."""
        state = self.state
        phase, number = self.place(state.step - 1)
        means = torch.where(state.alive, state.losses[1] / max(state.log_steps, 1), math.nan)
        rates = self.hyper["learning_rate"] * state.factor * self._rate(phase, number)
        state.losses[1] = 0
        state.log_steps = 0
        return Record(state.step, self.total, phase.name, means.tolist(), rates.tolist(), state.alive.tolist(),
                      time.monotonic() - started)
