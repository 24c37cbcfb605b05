"""What a training gives: the runs, chosen by their score, with latents and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ident_theory.data.dataset import Dataset, conditions
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.estimators.catalogue import from_plain
from ident_theory.estimators.draws import RowDraws
from ident_theory.estimators.network import Batch, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameters
from ident_theory.estimators.store import CHECKPOINT, Store, load_checkpoint
from ident_theory.models import Model
from ident_theory.models.value import FloatArray

if TYPE_CHECKING:
    from ident_theory.estimators.training import Record

#: Types of the parameters; bfloat16 is mixed: objectives only, under autocast.
PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
#: Rows of all runs together that are evaluated at once, and numbers in them: convolutions keep many for each pixel.
ROWS, NUMBERS = 2**16, 2**22
#: Samples over which a score is averaged.
SAMPLES = 4


@dataclass(eq=False)
class Fit:
    r"""Trained runs of one estimator.

    Attributes
    ----------
    estimator : Estimator
    network : Network
    parameters : Parameters
        Of all runs.
    seeds : tuple of int
    alive : tuple of bool
        False for runs that failed: their loss or gradient stopped being finite.
    log : tuple of Record
    about : dict
        What was trained on what, as plain values.
    hyper : dict of str to Tensor, shapes (R,)
        Settings that may differ from run to run.
    state : dict of str to Tensor
        What a checkpoint holds besides the parameters.
    scores : ndarray, shape (R,)
        Mean ELBO or log-likelihood of an observation of the training data, in nats, under four draws of the noise;
        minus infinity for runs that failed.
    """

    estimator: Estimator
    network: Network
    parameters: Parameters
    seeds: tuple[int, ...]
    alive: tuple[bool, ...]
    log: tuple[Record, ...]
    about: Mapping[str, Any]
    hyper: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    scores: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.seeds), -np.inf)

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, number: int) -> Run:
        return self.runs[number]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs, by number."""
        return tuple(Run(self, number) for number in range(len(self)))

    @property
    def ranking(self) -> tuple[int, ...]:
        """Numbers of the runs that did not fail, best score first."""
        order = np.argsort(-self.scores, kind="stable")
        return tuple(int(number) for number in order if self.alive[number])

    @property
    def best(self) -> Run:
        """The run with the best score; latents play no part in the choice.

        Raises
        ------
        UnsupportedError
            When all runs failed.
        """
        if not self.ranking:
            raise UnsupportedError(f"{self.estimator.name}: all {len(self)} runs failed: their loss stopped being "
                                   "finite; lower learning_rate or check the scale of the data")
        return self.runs[self.ranking[0]]

    def rate(self, sets: Sequence[Dataset]) -> None:
        """Score the runs on their training data."""
        self.scores = np.where(self.alive, self.score(sets if len(sets) > 1 else sets[0]), -np.inf)

    def score(self, x: Any, u: Any = None, samples: int = SAMPLES) -> FloatArray:
        """Mean ELBO or log-likelihood of an observation, in nats, shape (R,), `samples` draws of the noise each."""
        parts = []
        for number in range(samples if self.network.random_score else 1):
            values = self._evaluate(self.network.score, x, u, f"score{number}")
            parts.append(values.mean(axis=1))
        return np.asarray(np.mean(parts, axis=0))

    def latents(self, x: Any, u: Any = None) -> FloatArray:
        """Latents of all runs, shape (R, N, d): posterior means, or inverses."""
        return self._evaluate(self.network.encode, x, u, "latents")

    def transform(self, x: Any, u: Any = None) -> FloatArray:
        """Latents of the best run, shape (N, d)."""
        return self.best.transform(x, u)

    def model(self) -> Model | None:
        """The `Model` that the best run has learnt; None where it is none."""
        return self.best.model()

    def save(self, directory: str | Path) -> None:
        """Write the checkpoint and the log of a training, for `load_fit`."""
        store = Store(Path(directory), self.about)
        store.begin(self.log)
        store.write(self.tensors(), self.log)

    def tensors(self) -> dict[str, Tensor]:
        """The content of a checkpoint."""
        return {**self.parameters.state(), **self.state, "scores": torch.as_tensor(self.scores)}

    @torch.no_grad()
    def _evaluate(self, function: Any, x: Any, u: Any, purpose: str, only: int | None = None) -> FloatArray:
        sets = list(x) if isinstance(x, Sequence) and len(x) and isinstance(x[0], Dataset) else [x]
        pairs = [self._checked(part, u) for part in sets]
        chosen = range(len(self)) if only is None else [only]
        if len(pairs) not in (1, len(chosen)):
            raise InputError(f"{self.estimator.name}: expected one data set or {len(chosen)}, found {len(pairs)}")
        device, dtype = self.parameters.matrix.device, self.parameters.matrix.dtype
        values, hyper, seeds = self.parameters.values, self.hyper, self.seeds
        if only is not None:
            rows = slice(only, only + 1)
            values = {name: value[rows] for name, value in values.items()}
            hyper, seeds = {name: value[rows] for name, value in hyper.items()}, seeds[rows]
        draws = RowDraws(seeds, device, dtype, purpose)
        count, out = len(pairs[0][0]), []
        size = rows_at_once(len(seeds), self.network.shape.observed_dim)
        for start in range(0, count, size):
            draws.first = start
            part = [(torch.as_tensor(a[start:start + size], dtype=dtype).to(device),
                     None if b is None else torch.as_tensor(b[start:start + size]).to(device)) for a, b in pairs]
            many = part * len(seeds) if len(part) == 1 else part
            batch_u = None if part[0][1] is None else torch.stack([b for _, b in many if b is not None])
            batch = Batch(values, torch.stack([a for a, _ in many]), batch_u, draws, hyper, training=False)
            out.append(function(batch).to("cpu", torch.float64).numpy())
        return np.concatenate(out, axis=1)

    def _checked(self, x: Any, u: Any) -> tuple[FloatArray, np.ndarray | None]:
        """Observations and conditions that fit the network."""
        name, shape = self.estimator.name, self.network.shape
        if isinstance(x, Dataset):
            x, u = x.x, x.u if u is None else u
        try:
            x = np.asarray(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: x: expected a matrix of numbers, found {type(x).__name__}") from error
        if x.ndim != 2 or x.shape[1] != shape.observed_dim or not len(x):
            raise InputError(f"{name}: x: expected shape (N, {shape.observed_dim}), as at the fit, found {x.shape}")
        if not np.isfinite(x).all():
            raise InputError(f"{name}: x: expected finite numbers, found {x[~np.isfinite(x)][0]}")
        if not self.estimator.uses_u:
            return x, None
        if u is None:
            raise InputError(f"{name}: expected the conditions u of the {len(x)} rows too, found none")
        u = conditions(u, len(x), name, shape.conditions)
        return x, u


def rows_at_once(runs: int, observed_dim: int) -> int:
    """How many rows of each of `runs` runs are evaluated at once."""
    return max(1, min(ROWS, NUMBERS // observed_dim) // runs)


def load_fit(directory: str | Path) -> Fit:
    """Read a training from its folder, finished or not.

    Raises
    ------
    InputError
        When there is no checkpoint, or it cannot be read.
    """
    folder = Path(directory)
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder}: expected a folder with {CHECKPOINT}, found none; give the folder that "
                         "ident-theory train wrote")
    tensors, about, records = load_checkpoint(folder / CHECKPOINT)
    try:
        estimator = from_plain(about["estimator"])
        sizes: dict[str, Any] = dict(about["shape"])
        shape = Shape(**{**sizes, "image": None if sizes["image"] is None else tuple(sizes["image"])})
        seeds, dtype = tuple(about["seeds"]), PRECISIONS[about["precision"]]
        network = estimator.network(shape)
        parameters = Parameters(network.parameters(), seeds, torch.device("cpu"), dtype)
        parameters.load(tensors)
        state = {name: value for name, value in tensors.items() if name.startswith("state.")}
        found = Fit(estimator, network, parameters, seeds, tuple(state["state.alive"].tolist()), tuple(records), about,
                    estimator.hyper(len(seeds), torch.device("cpu"), dtype), state)
        found.scores = tensors["scores"].numpy()
    except (LookupError, TypeError, RuntimeError) as error:
        raise InputError(f"{folder / CHECKPOINT}: expected a checkpoint of ident-theory train, found something else: "
                         f"{error}") from error
    return found


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a `Fit`.

    Attributes
    ----------
    fit : Fit
    number : int
        From 0.
    """

    fit: Fit
    number: int

    @property
    def seed(self) -> int:
        """Everything random in the run depends on it."""
        return self.fit.seeds[self.number]

    @property
    def score(self) -> float:
        """See `Fit.scores`."""
        return float(self.fit.scores[self.number])

    @property
    def alive(self) -> bool:
        """False when its loss or gradient stopped being finite."""
        return self.fit.alive[self.number]

    @property
    def losses(self) -> FloatArray:
        """Mean losses between the records of the log, shape (records,)."""
        return np.array([record.loss[self.number] for record in self.fit.log])

    def transform(self, x: Any, u: Any = None) -> FloatArray:
        """Latents, shape (N, d): posterior means, or inverses."""
        return np.asarray(self.fit._evaluate(self.fit.network.encode, x, u, "latents", self.number)[0])

    def values(self) -> dict[str, FloatArray]:
        """Parameters by name, float64."""
        return self.fit.parameters.one(self.number)

    def model(self) -> Model | None:
        """The learned prior, decoder and noise as a `Model`, floats as the dyadic rationals that they hold; None for
        estimators whose model is none.

        Raises
        ------
        UnsupportedError
            When the run failed, or its decoder is not piecewise affine.
        """
        if not self.alive:
            raise UnsupportedError(f"run {self.number}: expected a run that did not fail, found one whose loss stopped "
                                   "being finite; take another, or train with a lower learning_rate")
        return self.fit.network.model(self.values())
