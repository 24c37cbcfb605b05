"""What every metric does with its input: check it, centre it, find the columns that do not vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from ident_theory.errors import InputError
from ident_theory.models.value import FloatArray

#: A column is constant when its range is at most this many rounding errors of its largest entry.
CONSTANT_ROUNDINGS = 4
#: Largest size of an entry; a range below its inverse counts as none, so that weights of columns stay finite.
LARGEST = 1e280


@dataclass(frozen=True, eq=False)
class Columns:
    """Observations in rows, latents in columns, with what several metrics derive from them.

    Attributes
    ----------
    name : str
        How error messages call them.
    values : ndarray, shape (N, d)
        Float64.
    precision : float
        Relative rounding error of the numbers as they came: that of float32 for float32.
    """

    name: str
    values: FloatArray
    precision: float

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """Number of latents d."""
        return self.values.shape[1]

    def rows(self, chosen: Any, name: str) -> Columns:
        """Some of the observations."""
        return Columns(name, self.values[chosen], self.precision)

    @cached_property
    def _extent(self) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Size of the largest entry of each column, and whether the column varies."""
        low, high = self.values.min(axis=0), self.values.max(axis=0)
        largest = np.maximum(-low, high)
        return largest, high - low > np.maximum(CONSTANT_ROUNDINGS * self.precision * largest, 1 / LARGEST)

    @cached_property
    def _centred(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Centred columns of unit length (0 when constant), their means, lengths and relative rounding errors."""
        largest, live = self._extent
        # By powers of two, which is exact: neither sums nor squares overflow or underflow.
        scale = np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0))))
        work = self.values / scale
        first = work.mean(axis=0)
        work -= first
        second = work.mean(axis=0)
        work -= second  # removes the rounding of the first mean
        if not live.all():
            work[:, ~live] = 0.0
        lengths = np.where(live, np.sqrt(np.einsum("ij,ij->j", work, work)), 1.0)
        work /= lengths
        error = np.where(live, self.precision * np.sqrt(len(work)) * (largest / scale) / lengths, 0.0)
        return work, (first + second) * scale, np.where(live, lengths * scale, 0.0), error

    @property
    def unit(self) -> FloatArray:
        """Centred columns of length 1; zeros for a constant column. Shape (N, d)."""
        return self._centred[0]

    @property
    def means(self) -> FloatArray:
        """Column means, shape (d,)."""
        return self._centred[1]

    @property
    def lengths(self) -> FloatArray:
        """Euclidean lengths of the centred columns, 0 for a constant one; shape (d,)."""
        return self._centred[2]

    @property
    def roundings(self) -> FloatArray:
        """Length of the rounding errors of each column relative to its centred length; shape (d,)."""
        return self._centred[3]

    @property
    def constant(self) -> tuple[int, ...]:
        """Indices of the columns that are constant to rounding."""
        return tuple(int(i) for i in np.flatnonzero(~self._extent[1]))

    @cached_property
    def ranks(self) -> Columns:
        """Ranks within each column, ties averaged."""
        rows = np.ascontiguousarray(self.values.T)
        order = np.argsort(rows, axis=1)
        ranks = np.empty_like(rows)
        np.put_along_axis(ranks, order, np.arange(1.0, len(self) + 1)[None], axis=1)
        ordered = np.take_along_axis(rows, order, axis=1)
        tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if tied.any():  # four times slower, so only where it is needed
            ranks[tied] = stats.rankdata(rows[tied], axis=1)
        return Columns(self.name, ranks.T, float(np.finfo(np.float64).eps))


def columns(data: Any, name: str) -> Columns:
    """Latents of a user as `Columns`: a real array (N, d), or (N,) for one latent; torch tensors are converted.

    Raises
    ------
    InputError
        For no observations or latents, other shapes, entries that are no finite real numbers, or masked entries.
    """
    if hasattr(data, "detach") and hasattr(data, "cpu"):
        data = data.detach().cpu()  # a torch tensor
    if np.ma.is_masked(data):
        raise InputError(f"{name}: expected an entry everywhere, found {int(np.ma.count_masked(data))} masked entries; "
                         "drop those observations from both sides")
    try:
        array = np.asarray(data)
        kind = array.dtype.kind
        if kind not in "biufO":
            raise TypeError
        values = np.array(array, dtype=np.float64, order="F")  # all work goes by columns
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected real numbers, shape (N, d), found {_described(data)}") from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not values.size:
        raise InputError(f"{name}: expected shape (N, d) with N observations in rows and d latents in columns, "
                         f"found shape {values.shape}; flatten further axes first")
    if not np.isfinite(values).all():
        bad = ~np.isfinite(values)
        row, column = np.argwhere(bad)[0]
        raise InputError(f"{name}: expected finite numbers, found {values[row, column]} at [{row}, {column}] "
                         f"({int(bad.sum())} such entries); drop those observations from both sides")
    if np.abs(values).max() > LARGEST:
        raise InputError(f"{name}: expected entries of size at most {LARGEST:g}, found {np.abs(values).max():.3g}; "
                         "divide by a common scale")
    precision = float(np.finfo(array.dtype if kind == "f" else np.float64).eps)
    return Columns(name, values, max(precision, float(np.finfo(np.float64).eps)))


def _described(data: Any) -> str:
    array_type = getattr(data, "dtype", None)
    return f"{type(data).__name__}" + (f" of {array_type}" if array_type is not None else "")


def same_length(sets: Sequence[Columns]) -> None:
    """Raise `InputError` unless all hold the same number of observations."""
    if len({len(item) for item in sets}) > 1:
        found = ", ".join(f"{item.name} has {len(item)}" for item in sets)
        raise InputError(f"expected the same observations in the same order on all sides, found {found} rows")


def one_of(value: Any, allowed: Sequence[str | None], name: str) -> None:
    """Raise `InputError` unless an option has one of its values."""
    if not any(value is item or (isinstance(value, str) and value == item) for item in allowed):
        raise InputError(f"expected {name} to be one of {', '.join(map(repr, allowed))}, got {value!r}")


def generator(rng: Any, what: str) -> np.random.Generator:
    """The generator that was passed in, or `InputError`."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"{what} needs rng=np.random.default_rng(seed), got {type(rng).__name__}")
    return rng


def positive_int(value: Any, name: str, least: int = 1) -> int:
    """An option that counts something, or `InputError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"expected {name} to be an integer of at least {least}, got {value!r}")
    return int(value)


def listed(indices: Sequence[int], limit: int = 8) -> str:
    """Some indices as text."""
    return ", ".join(map(str, indices[:limit])) + (f" and {len(indices) - limit} more" if len(indices) > limit else "")
