"""What a training consists of: phases, the updates of a step, schedules of the learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from ident_theory.errors import InputError


@dataclass(frozen=True)
class Constant:
    """The learning rate as it is."""


@dataclass(frozen=True)
class Steps:
    """The learning rate times `factor` at each of the given fractions of a phase."""

    at: tuple[float, ...]
    factor: float = 0.1


@dataclass(frozen=True)
class Plateau:
    """Times `factor` once the mean loss of an epoch has not fallen below the best one for `patience` epochs.

    "Below" means by `threshold` times the size of the best one; for losses >= 0 this is torch's ``ReduceLROnPlateau``,
    which takes an equal loss for a better one where losses are negative. Each run has its own plateau.
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise InputError(f"Plateau: patience: expected a whole number >= 0, found {self.patience}")


@dataclass(frozen=True)
class Cosine:
    """From the full rate to `last` times it along half a cosine over a phase."""

    last: float = 0.0


Schedule = Constant | Steps | Plateau | Cosine


@dataclass(frozen=True)
class Update:
    """One use of the optimiser within a step.

    Attributes
    ----------
    objective : str
        Which objective of the network: `Batch.objective` is this name.
    groups : tuple of str
        Groups of parameters that it moves, neighbours in their order; empty for all.
    rate : float
        Factor of the learning rate.
    betas : pair of float
        Of Adam.
    weight_decay : float
        Added to the gradient, times the parameters.
    clip : float, optional
        Largest norm of the gradient of a run.
    every : int
        At every so many-th step only.
    """

    objective: str = "loss"
    groups: tuple[str, ...] = ()
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float | None = None
    every: int = 1


@dataclass(frozen=True)
class Phase:
    """A stretch of training with the same updates at every step.

    Attributes
    ----------
    name : str
    steps : int
    updates : tuple of Update
    rate : float
        Factor of the learning rate.
    schedule : Schedule
    fresh : bool
        Whether Adam's moments and the schedule start anew; they do in any case when the number of updates changes.
    """

    name: str
    steps: int
    updates: tuple[Update, ...] = (Update(),)
    rate: float = 1.0
    schedule: Schedule = Constant()
    fresh: bool = True
