"""A data set: observations with everything that is known about how they came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from ident_theory.errors import InputError
from ident_theory.models import ConditionalPrior, Model
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, eq=False)
class Dataset:
    r"""Observations of :math:`u \to z \to x = f(z) + \epsilon`, with what is known of u, z and the model.

    Parameters
    ----------
    x : array_like, shape (N, n)
        Observations, images flattened row by row, channels first.
    u : array_like, shape (N,), optional
        Conditions: whole numbers 0, ..., M - 1, each of which occurs.
    z : array_like, shape (N, d), optional
        Latents.
    model : Model, optional
        The model that generated the data, where it is a `Model`. It may have more latents than z has columns, and
        more values of u than occur: the first ones are meant.
    image_shape : tuple of int, optional
        Channels, height and width, with product n.
    factors : mapping of str to array_like, shape (N,) or (N, ...) each
        Labels and other known quantities of each observation.
    name : str
    settings : mapping
        What it was made with: the arguments of the generator, or the file.

    Attributes
    ----------
    x, z : ndarray of float64
    u : ndarray of int64 or None
    factors : dict of str to ndarray

    Raises
    ------
    InputError
        For other shapes, numbers that are not finite, or labels that are no whole numbers 0, ..., M - 1.
    """

    x: FloatArray
    u: np.ndarray | None = None
    z: FloatArray | None = None
    model: Model | None = None
    image_shape: tuple[int, int, int] | None = None
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    name: str = "data"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"data set {self.name!r}"
        x = _numbers(self.x, f"{where}: x")
        self._set("x", x)
        if self.u is not None:
            self._set("u", conditions(self.u, len(x), where))
        if self.z is not None:
            self._set("z", _rows(_numbers(self.z, f"{where}: z"), len(x), f"{where}: z"))
        if self.model is not None:
            self._check_model(self.model, where)
        if self.image_shape is not None:
            self._set("image_shape", _image_shape(self.image_shape, x.shape[1], where))
        self._set("factors", {key: _factor(key, value, len(x), where) for key, value in self.factors.items()})
        self._set("settings", dict(self.settings))

    def _check_model(self, model: Model, where: str) -> None:
        if not isinstance(model, Model):
            raise InputError(f"{where}: model: expected a Model, found {type(model).__name__}")
        if model.observed_dim != self.observed_dim:
            raise InputError(f"{where}: model: expected {self.observed_dim} observed coordinates, found "
                             f"{model.observed_dim}")
        if model.latent_dim < (self.latent_dim or 0):
            raise InputError(f"{where}: model: expected at least {self.latent_dim} latents, found {model.latent_dim}")
        if isinstance(model.prior, ConditionalPrior) and model.prior.n_values < self.conditions:
            raise InputError(f"{where}: model: expected at least {self.conditions} values of u, found "
                             f"{model.prior.n_values}")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def conditions(self) -> int:
        """Number M of values of u; 0 where there is none."""
        return 0 if self.u is None else int(self.u.max()) + 1

    @property
    def latent_dim(self) -> int | None:
        """Number d of latents, where they are known."""
        return None if self.z is None else self.z.shape[1]

    @property
    def observed_dim(self) -> int:
        """Number n of coordinates of an observation."""
        return self.x.shape[1]

    def rows(self, which: Any) -> Dataset:
        """The data set of some rows, by index, mask or slice; conditions keep their numbers.

        Raises
        ------
        InputError
            When a condition no longer occurs.
        """
        u, z = (None if part is None else part[which] for part in (self.u, self.z))
        return replace(self, x=self.x[which], u=u, z=z,
                       factors={key: value[which] for key, value in self.factors.items()})

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` file, atomically: `ident_theory.data.storage.save_dataset`."""
        from ident_theory.data.storage import save_dataset

        return save_dataset(self, path)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
        """A random split, within each condition where there are some: (the rest, the held-out `fraction`).

        Parameters
        ----------
        fraction : float
            Held out, between 0 and 1; of each condition at least one row goes to either side.
        rng : numpy.random.Generator

        Raises
        ------
        InputError
            For another fraction, or a condition with fewer than two rows.
        """
        if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
            raise InputError(f"split: fraction: expected a number between 0 and 1, found {fraction!r}")
        u = np.zeros(len(self), dtype=np.int64) if self.u is None else self.u
        held = np.zeros(len(self), dtype=bool)
        for value in range(int(u.max()) + 1):
            rows = np.flatnonzero(u == value)
            if len(rows) < 2:
                raise InputError(f"split: expected at least two rows of each condition, found one of condition {value}")
            count = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
            held[rng.permutation(rows)[:count]] = True
        return self.rows(~held), self.rows(held)


def conditions(u: Any, size: int, where: str, count: int | None = None) -> np.ndarray:
    """Conditions as int64, checked: `size` whole numbers 0, ..., M - 1, each of which occurs unless M is given."""
    try:
        values = np.asarray(u)
    except ValueError as error:
        raise InputError(f"{where}: u: expected {size} conditions, found {type(u).__name__}: {error}") from error
    if values.shape != (size,):
        raise InputError(f"{where}: u: expected {size} conditions, one a row of x, found an array of shape "
                         f"{values.shape}")
    if values.dtype.kind == "f" and np.all(np.abs(values) < 2.0**53) and np.array_equal(values, np.floor(values)):
        values = values.astype(np.int64)
    if values.dtype.kind not in "iub":
        raise InputError(f"{where}: u: expected whole numbers 0, 1, ..., found an array of {values.dtype}; "
                         "use numpy.unique(u, return_inverse=True)[1] for other labels")
    values = values.astype(np.int64)
    if count is not None:
        if values.size and not 0 <= values.min() <= values.max() < count:
            wrong = values[(values < 0) | (values >= count)][0]
            raise InputError(f"{where}: u: expected conditions 0, ..., {count - 1}, found {wrong}")
        return values
    found = np.unique(values)
    gaps = np.flatnonzero(found != np.arange(len(found)))
    if gaps.size:
        what = f"the condition {found[0]}" if found[0] < 0 else f"no row of condition {gaps[0]}"
        raise InputError(f"{where}: u: expected the conditions 0, ..., M - 1, each of which occurs, found {what}; "
                         "use numpy.unique(u, return_inverse=True)[1]")
    return values


def _numbers(values: Any, where: str) -> FloatArray:
    """A finite matrix of float64 with at least one row and one column."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"entries of type {array.dtype}")
        if np.ma.is_masked(values):
            raise TypeError("masked entries; fill or drop them")
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: expected a matrix of numbers, found {type(values).__name__}: {error}") from error
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{where}: expected a matrix with a row an observation, found an array of shape {array.shape}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"{where}: expected finite numbers, found {array[row, column]} in row {row}, column {column}")
    return array


def _image_shape(value: Any, size: int, where: str) -> tuple[int, int, int]:
    whole = isinstance(value, Sequence | np.ndarray) and all(isinstance(item, Integral) for item in value)
    if not whole or len(value) != 3 or min(value) < 1 or math.prod(value) != size:
        raise InputError(f"{where}: image_shape: expected (channels, height, width) with product {size}, "
                         f"found {value!r}")
    channels, height, width = (int(item) for item in value)
    return channels, height, width


def _factor(key: Any, value: Any, size: int, where: str) -> np.ndarray:
    if not isinstance(key, str) or not key or not key.isprintable():
        raise InputError(f"{where}: factors: expected names of printable characters, found {key!r}")
    array = np.asarray(value)
    if array.dtype.kind == "O":
        raise InputError(f"{where}: factors[{key!r}]: expected numbers or texts, found an array of objects")
    return _rows(array, size, f"{where}: factors[{key!r}]")


def _rows(values: np.ndarray, size: int, where: str) -> np.ndarray:
    if values.shape[:1] != (size,):
        raise InputError(f"{where}: expected {size} rows like x, found an array of shape {values.shape}")
    return values
