"""What a landscape run gives: values with their errors, the minima, and all that is needed to make it again."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ident_theory.models.value import FloatArray


@dataclass(frozen=True)
class Minimum:
    """A local minimum of the negative log-likelihood within the window.

    Attributes
    ----------
    location : tuple of float
        One coordinate for a slice, two for a plane. For a plateau its middle (slice) or lowest point (plane).
    value, error : float
        Negative log-likelihood there, in nats per observation, and its error.
    is_global : bool
        Whether no other point found is lower by more than the errors.
    at_boundary : bool
        Whether it lies on the edge of the window, so that lower values may lie outside.
    plateau : tuple of (low, high) or None
        Extent along each axis where the values on the grid are equal within their errors.
    polished : bool
        Whether it was refined between grid points.
    isolated : bool or None
        Planes only: False when the second differences vanish in some direction (a valley of minima),
        None when that was not decided (edges, plateaus, unpolished minima).
    """

    location: tuple[float, ...]
    value: float
    error: float
    is_global: bool = False
    at_boundary: bool = False
    plateau: tuple[tuple[float, float], ...] | None = None
    polished: bool = False
    isolated: bool | None = None


@dataclass(frozen=True)
class Landscape:
    """What slices and planes share.

    Attributes
    ----------
    spec : dict
        Everything the values depend on: model, truth, data digest, paths, grids, tolerance. Plain JSON.
    objective : str
        ``"population"`` (cross-entropy of the truth with the candidate) or ``"data"`` (mean over a data set).
    values, errors : ndarray
        Negative log-likelihood in nats per observation and its error at every grid point. ``inf`` with error 0
        is infinite; ``inf`` with error ``inf`` could not be computed, and `notes` says why; NaN is not done yet.
        By quasi-Monte Carlo an error is that of the excess; the error of the reference is common to all values.
    error_kind : str
        Name of the weakest `ErrorKind` among the values.
    reference, reference_error : float or None
        Entropy of the truth, or the truth's negative log-likelihood on the data when a truth was given.
    minima : tuple of Minimum
        Lowest first.
    notes : tuple of str
        What could not be computed, and why.
    versions : dict
        Versions of the packages that made the values.
    """

    spec: dict[str, Any]
    objective: str
    values: FloatArray
    errors: FloatArray
    error_kind: str
    reference: float | None
    reference_error: float | None
    minima: tuple[Minimum, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def spec_hash(self) -> str:
        """SHA-256 of `spec`."""
        return spec_hash(self.spec)

    @property
    def global_minima(self) -> tuple[Minimum, ...]:
        """The minima that share the lowest value."""
        return tuple(minimum for minimum in self.minima if minimum.is_global)

    @property
    def excess(self) -> FloatArray | None:
        """Values above the reference: for a population the Kullback-Leibler divergence from the truth."""
        return None if self.reference is None else self.values - self.reference

    def excess_of(self, minimum: Minimum) -> float | None:
        """How far a minimum lies above the reference; None without a reference."""
        return None if self.reference is None else minimum.value - self.reference

    def excess_error_of(self, minimum: Minimum) -> float:
        """Error of `excess_of`."""
        shared = self.objective == "population" and self.error_kind == "STANDARD_ERROR"
        return minimum.error + (0.0 if shared else self.reference_error or 0.0)


@dataclass(frozen=True)
class Slice(Landscape):
    """The negative log-likelihood as a function of one parameter.

    Attributes
    ----------
    path : str
    grid : ndarray, shape (N,)
    model_value : float
        The parameter in the model that was varied.
    truth_value : float or None
        The parameter in the truth, where there is one and it has this parameter.
    """

    path: str = ""
    grid: FloatArray = field(default_factory=lambda: np.empty(0))
    model_value: float = math.nan
    truth_value: float | None = None


@dataclass(frozen=True)
class Plane(Landscape):
    """The negative log-likelihood as a function of two parameters; `values` has shape (N_a, N_b).

    Attributes
    ----------
    paths : tuple of str
    grid_a, grid_b : ndarray
    model_point : tuple of float
    truth_point : tuple of float or None
    """

    paths: tuple[str, str] = ("", "")
    grid_a: FloatArray = field(default_factory=lambda: np.empty(0))
    grid_b: FloatArray = field(default_factory=lambda: np.empty(0))
    model_point: tuple[float, float] = (math.nan, math.nan)
    truth_point: tuple[float, float] | None = None

    @property
    def rows_done(self) -> int:
        """Number of finished rows; less than ``len(grid_a)`` in a run that was interrupted."""
        return int((~np.isnan(self.values).any(axis=1)).sum())


def spec_hash(spec: dict[str, Any]) -> str:
    """SHA-256 of a description, over its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
