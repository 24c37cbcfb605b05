"""What the training loop asks of an estimator: settings, and a network made for the shape of some data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.draws import Draws
from ident_theory.estimators.parameters import Parameter, Parameters
from ident_theory.estimators.plan import Constant, Phase, Schedule
from ident_theory.models import Model
from ident_theory.models.value import FloatArray

if TYPE_CHECKING:
    from ident_theory.estimators.fitting import Fit


@dataclass(frozen=True)
class Shape:
    """Sizes that a network is made for.

    Attributes
    ----------
    rows : int
        Observations N.
    observed_dim : int
        Coordinates n of one.
    latent_dim : int
        Latents d.
    conditions : int
        Values M of u, 0 without u.
    image : tuple of int or None
        Channels, height, width.
    """

    rows: int
    observed_dim: int
    latent_dim: int
    conditions: int = 0
    image: tuple[int, int, int] | None = None


@dataclass
class Batch:
    r"""What an objective is computed from; every tensor has a leading run axis.

    Attributes
    ----------
    p : mapping of str to Tensor, shapes (R, \*shape)
        Parameters.
    x : Tensor, shape (R, B, n)
    u : Tensor of int64, shape (R, B), or None
    draws : Draws
    hyper : mapping of str to Tensor, shapes (R,)
        Settings that may differ from run to run, `Estimator.per_run`.
    objective : str
        `Update.objective`.
    progress : float
        Done part of the phase, in [0, 1).
    phase : str
        `Phase.name`.
    training : bool
        False for scores and latents: no dropout, batch normalisation by running statistics.
    """

    p: Mapping[str, Tensor]
    x: Tensor
    u: Tensor | None
    draws: Draws
    hyper: Mapping[str, Tensor]
    objective: str = "loss"
    progress: float = 0.0
    phase: str = "train"
    training: bool = True

    @property
    def size(self) -> int:
        """Rows B of the batch."""
        return self.x.shape[1]

    @property
    def training_draws(self) -> Draws | None:
        """`draws` while training, None otherwise: what switches dropout and batch statistics of a network on."""
        return self.draws if self.training else None


@dataclass
class Beginning:
    """What a network sees when a phase begins: all data, all parameters, a generator for each run.

    Attributes
    ----------
    phase : Phase
    parameters : Parameters
        Change them by `Parameters.set`.
    x : tuple of Tensor, shapes (N, n), a run each
    u : tuple of Tensor or None
    seeds : tuple of int
    hyper : mapping of str to Tensor, shapes (R,)
    """

    phase: Phase
    parameters: Parameters
    x: tuple[Tensor, ...]
    u: tuple[Tensor, ...] | None
    seeds: tuple[int, ...]
    hyper: Mapping[str, Tensor]


class Network:
    """An estimator's networks for data of one shape; no state but its settings: the numbers are in `Parameters`.

    Attributes
    ----------
    coupled : bool
        Whether an observation's share of the objective depends on the other rows of the batch, but for batch
        normalisation, whose statistics processes share.
    random_score : bool
        Whether `score` draws noise, so that several draws are averaged.
    ranked : bool
        Whether latents come by standard deviation, largest first, the leading ones being those that count.
    """

    coupled: bool = False
    random_score: ClassVar[bool] = True
    ranked: ClassVar[bool] = False

    def __init__(self, settings: Any, shape: Shape) -> None:
        self.settings, self.shape = settings, shape

    def parameters(self) -> dict[str, Parameter]:
        """Its parameters by name, ``group.rest``."""
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        """What training consists of; one phase by default."""
        settings: Estimator = self.settings
        return (Phase("train", settings.total_steps(self.shape.rows), schedule=settings.schedule),)

    def begin(self, beginning: Beginning) -> None:
        """Called once before each phase: initial values that need the data. Deterministic given the seeds."""

    def loss(self, batch: Batch) -> Tensor:
        """The objective to be minimised, shape (R,): a mean over the rows of the batch."""
        raise NotImplementedError

    def direct(self, batch: Batch, parameters: Parameters) -> Tensor | None:
        """What `loss` gives, its gradient being in `parameters.gradient` already; None: differentiate `loss`."""
        return None

    def score(self, batch: Batch) -> Tensor:
        """ELBO or log-likelihood of each row, in nats, shape (R, B): by it runs are chosen, larger is better."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> Tensor:
        """Latents of each row, shape (R, B, d): posterior means, or inverses."""
        raise NotImplementedError

    def model(self, values: Mapping[str, FloatArray]) -> Model | None:
        """The `Model` that one run has learnt, from its parameters; None where it is none."""
        return None


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Settings of an estimator; subclasses add their own and say by which network they are trained.

    Attributes
    ----------
    latent_dim : int, optional
        Latents d; as many as the data's generator has, or as observations have coordinates.
    batch_size : int
        Rows of a step, drawn without replacement within an epoch; an epoch leaves out what remains after division.
    steps, epochs : int, optional
        Length of the training, one of the two.
    learning_rate : float or tuple of float
        Of Adam; a tuple has an entry a run.
    schedule : Constant, Steps, Plateau or Cosine
    """

    latent_dim: int | None = None
    batch_size: int = 64
    steps: int | None = None
    epochs: int | None = None
    learning_rate: float | tuple[float, ...] = 1e-3
    schedule: Schedule = Constant()

    #: Name on the command line.
    name: ClassVar[str] = ""
    #: Whether conditions are needed.
    uses_u: ClassVar[bool] = False
    #: Settings that may have a value a run.
    per_run: ClassVar[tuple[str, ...]] = ("learning_rate",)
    #: Sufficient statistics k of a latent given u: 2 for normal laws with free means and variances.
    statistics: ClassVar[int] = 2
    #: Narrowest precision that it is sensibly trained in.
    precision: ClassVar[str] = "float32"
    #: What `Network.score` is.
    score_name: ClassVar[str] = "ELBO"
    #: Steps where neither `steps` nor `epochs` is given.
    default_steps: ClassVar[int] = 20_000

    def __post_init__(self) -> None:
        where = type(self).__name__
        for key in ("latent_dim", "batch_size", "steps", "epochs"):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{where}: {key}: expected a whole number >= 1, found {value!r}")
        if self.steps is not None and self.epochs is not None:
            raise InputError(f"{where}: expected steps or epochs, found both")
        for key in self.per_run:
            value = getattr(self, key)
            for entry in value if isinstance(value, tuple) else (value,):
                if isinstance(entry, bool) or not isinstance(entry, int | float) or not np.isfinite(entry):
                    raise InputError(f"{where}: {key}: expected a number, or a tuple with one for each run, found "
                                     f"{value!r}")
        rates = self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)
        if min(rates) <= 0:
            raise InputError(f"{where}: learning_rate: expected a number > 0, found {self.learning_rate!r}")

    def network(self, shape: Shape) -> Network:
        """The networks for data of this shape."""
        raise NotImplementedError

    def conditions_needed(self, shape: Shape) -> int:
        """Values of u that the identifiability theorem of the estimator asks for, n k + 1; 0 without u."""
        return shape.latent_dim * self.statistics + 1 if self.uses_u else 0

    def total_steps(self, rows: int) -> int:
        """Steps of the training for so many rows."""
        if self.epochs is not None:
            return self.epochs * self.epoch_steps(rows)
        return self.default_steps if self.steps is None else self.steps

    def epoch_steps(self, rows: int) -> int:
        """Steps of one epoch."""
        return max(rows // self.batch_size, 1)

    def hyper(self, runs: int, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """The settings that may have a value a run, shape (R,) each."""
        out = {}
        for key in self.per_run:
            value = getattr(self, key)
            if isinstance(value, tuple) and len(value) != runs:
                raise InputError(f"{type(self).__name__}: {key}: expected one number or {runs}, one a run, found "
                                 f"{len(value)}")
            out[key] = torch.tensor(value, device=device, dtype=dtype).expand(runs).clone()
        return out

    def plain(self) -> dict[str, Any]:
        """Name and settings as plain values, for files."""
        out: dict[str, Any] = {"name": self.name}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Schedule):
                value = {"type": type(value).__name__, **{f.name: getattr(value, f.name) for f in fields(value)}}
            out[field.name] = list(value) if isinstance(value, tuple) else value
        return out

    def fit(self, x: Any, u: Any = None, rng: np.random.Generator | None = None, **options: Any) -> Fit:
        """Train; see `ident_theory.estimators.fit`, whose `options` are taken.

        Parameters
        ----------
        x : array_like, shape (N, n), or Dataset
        u : array_like, shape (N,), optional
        rng : numpy.random.Generator, optional
            Where the seeds of the runs come from; otherwise they are 0, 1, ...
        """
        from ident_theory.estimators.fitting import fit

        return fit(self, x, u, rng=rng, **options)
