"""The negative log-likelihood of a model, over a population or a data set, with its error."""

from __future__ import annotations

import abc
import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.errors import BudgetExceeded, DegenerateLawError, InputError, UnsupportedError
from ident_theory.laws import ErrorKind, law
from ident_theory.laws.base import observations
from ident_theory.models import Model

#: From the strongest promise to the weakest.
_STRENGTH = (ErrorKind.RIGOROUS, ErrorKind.PROMISED, ErrorKind.ESTIMATED, ErrorKind.STANDARD_ERROR)


@dataclass(frozen=True)
class Evaluation:
    """The objective at one model, in nats per observation; `note` says why a value could not be had."""

    value: float
    error: float
    kind: ErrorKind
    note: str = ""


class Objective(abc.ABC):
    """A function of models; lower is likelier.

    Attributes
    ----------
    name : str
        ``"population"`` or ``"data"``.
    reference : Evaluation or None
        The value at the truth, which no model undercuts in the population case.
    """

    name: str
    reference: Evaluation | None

    @abc.abstractmethod
    def evaluate(self, model: Model) -> Evaluation:
        """The objective at a model; errors of the law are passed on."""

    @abc.abstractmethod
    def description(self) -> dict[str, Any]:
        """What the values depend on besides the model, as plain JSON."""

    def attempt(self, model: Model) -> Evaluation:
        """The objective at a model; what cannot be computed is ``inf`` with error ``inf`` and a note."""
        try:
            result = self.evaluate(model)
        except (DegenerateLawError, UnsupportedError, BudgetExceeded, ArithmeticError) as error:
            return Evaluation(math.inf, math.inf, ErrorKind.ESTIMATED, f"{type(error).__name__}: {error}")
        if math.isnan(result.value):
            return Evaluation(math.inf, math.inf, result.kind, "the value is undefined (NaN)")
        if result.value == -math.inf:
            return Evaluation(math.inf, math.inf, result.kind, "the likelihood is unbounded at this model")
        return result


class PopulationObjective(Objective):
    """Cross-entropy ``-E log q(X)`` of the candidate's law q, X from the truth's law.

    By quasi-Monte Carlo all values use the same points; their error is then that of the excess over the
    reference, and the reference's own error is common to all of them.

    Parameters
    ----------
    truth : Model
    rtol : float
        Passed to `Law.cross_entropy`.
    """

    name = "population"
    reference: Evaluation

    def __init__(self, truth: Model, rtol: float = 1e-10) -> None:
        self._truth = law(truth)
        self._rtol = rtol
        entropy = self._truth.entropy(rtol=rtol)
        self.reference = Evaluation(entropy.value, entropy.error, entropy.kind)

    def evaluate(self, model: Model) -> Evaluation:
        """Cross-entropy of the truth with a model."""
        candidate = law(model)
        if self.reference.kind is ErrorKind.STANDARD_ERROR:
            # The points are shared, so this is the cross-entropy itself, with the error that matters.
            excess = self._truth.kl(candidate, rtol=self._rtol)
            return Evaluation(self.reference.value + excess.value, excess.error, excess.kind)
        estimate = self._truth.cross_entropy(candidate, rtol=self._rtol)
        return Evaluation(estimate.value, estimate.error, estimate.kind)

    def description(self) -> dict[str, Any]:
        """Name and tolerance; the truth is described by its own entry."""
        return {"objective": self.name, "rtol": self._rtol}


class DataObjective(Objective):
    """Mean of ``-log q(x)`` over a data set.

    Parameters
    ----------
    data : array_like, shape (N, n), or (N,) when n = 1
    n : int
        Observed dimension of the models to come.
    truth : Model, optional
        Gives the reference.
    """

    name = "data"

    def __init__(self, data: Any, n: int, truth: Model | None = None) -> None:
        self._data = observations(data, n)
        if not len(self._data):
            raise InputError(f"data: expected at least one observation, got shape {np.shape(data)}")
        self.reference = None if truth is None else self.evaluate(truth)

    def evaluate(self, model: Model) -> Evaluation:
        """Mean negative log density of the data under a model; the error is the mean of the errors."""
        result = law(model).log_density_with_error(self._data)
        if np.isneginf(result.value).any():
            return Evaluation(math.inf, 0.0, result.kind)
        count = len(self._data)
        return Evaluation(-math.fsum(result.value) / count, math.fsum(result.error) / count, result.kind)

    def description(self) -> dict[str, Any]:
        """Name, size and digest of the data."""
        return {"objective": self.name, "observations": len(self._data),
                "data_sha256": hashlib.sha256(self._data.tobytes()).hexdigest()}


def weakest(kinds: set[ErrorKind]) -> ErrorKind:
    """The kind of error figure that holds for all of several values."""
    return max(kinds, key=_STRENGTH.index)
