"""Which rows of a labelled set of images become a data set, and with which conditions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.data.arguments import choice, count, generator, number
from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError


@dataclass(frozen=True)
class Subset:
    """The rows to take from labelled images, and what their labels are for.

    Parameters
    ----------
    where : str
        Who asks, for messages.
    size : int, optional
        That many rows of the chosen classes, drawn without replacement; by default all, in their order.
    fraction : float, optional
        That share of them instead, in (0, 1].
    classes : sequence of int, optional
        Labels to keep; their positions in this sequence become the conditions. By default all that occur, the
        conditions in ascending order of the labels.
    labels : str
        ``conditions``: u is the renumbered label. ``factors``: no u. ``factors["label"]`` holds the label as it was
        found either way.
    """

    where: str
    size: int | None = None
    fraction: float | None = None
    classes: tuple[int, ...] | None = None
    labels: str = "conditions"

    def __post_init__(self) -> None:
        where, fraction = self.where, self.fraction
        if self.size is not None:
            object.__setattr__(self, "size", count(self.size, f"{where}: size"))
        if fraction is not None:
            if self.size is not None:
                raise InputError(f"{where}: expected size or fraction, found both")
            object.__setattr__(self, "fraction", number(fraction, f"{where}: fraction", 0, 1, above=True))
        choice(self.labels, f"{where}: labels", ("conditions", "factors"))
        if self.classes is not None:
            chosen = tuple(self.classes) if isinstance(self.classes, Iterable) else ()
            if not chosen or isinstance(self.classes, str) or len(set(chosen)) != len(chosen):
                raise InputError(f"{where}: classes: expected distinct labels, found {self.classes!r}")
            for value in chosen:
                if isinstance(value, bool) or not isinstance(value, int | np.integer):
                    raise InputError(f"{where}: classes: expected whole numbers, found {value!r}")
            object.__setattr__(self, "classes", tuple(map(int, chosen)))

    def rows(self, labels: np.ndarray | None, total: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of the rows, ascending, of `total` rows with these labels."""
        rows = np.arange(total)
        if self.classes is not None:
            if labels is None:
                raise InputError(f"{self.where}: classes: expected labels to choose by, found none")
            missing = sorted(set(self.classes) - set(labels.tolist()))
            if missing:
                raise InputError(f"{self.where}: classes: expected labels that occur, found {missing[0]}; those that "
                                 f"occur: {_listed(np.unique(labels))}")
            rows = np.flatnonzero(np.isin(labels, self.classes))
        size = self.size
        if self.fraction is not None:
            size = max(round(self.fraction * len(rows)), 1)
        if size is None:
            return rows
        if size > len(rows):
            raise InputError(f"{self.where}: size: expected at most the {len(rows)} images there are, found {size}")
        return np.sort(generator(rng, self.where).choice(rows, size, replace=False))

    def conditions(self, labels: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Conditions of these rows, where the labels are for that."""
        if self.labels == "factors":
            return None
        known = np.array(self.classes) if self.classes is not None else np.unique(labels)
        found = labels[rows]
        lost = np.setdiff1d(known, found)
        if lost.size:
            raise InputError(f"{self.where}: size: expected every label among the {len(rows)} rows drawn, found none "
                             f"of {_listed(lost)}; draw more, or use labels='factors'")
        order = np.argsort(known)
        return order[np.searchsorted(known, found, sorter=order)]

    def dataset(self, images: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator, *, scale: float,
                settings: Mapping[str, Any], factors: Mapping[str, np.ndarray] | None = None,
                z: np.ndarray | None = None, name: str | None = None) -> Dataset:
        """The data set of these rows, pixels divided by `scale`.

        Parameters
        ----------
        images : ndarray, shape (N, C, H, W) or (N, n)
            Numbers of any kind; only the rows that are taken become float64.
        labels : ndarray of whole numbers, shape (N,), optional
        factors : mapping of str to ndarray, shape (N, ...)
        z : ndarray, shape (N, d), optional
        name : str, optional
            By default who asks.
        """
        rows = self.rows(labels, len(images), rng)
        known = {key: value[rows] for key, value in (factors or {}).items()}
        if labels is not None:
            known["label"] = labels[rows].astype(np.int64)
        shape = images.shape[1:]
        options = {"size": self.size, "fraction": self.fraction, "classes": self.classes, "labels": self.labels}
        return Dataset(images[rows].reshape(len(rows), math.prod(shape)) / scale,
                       u=None if labels is None else self.conditions(labels, rows),
                       z=None if z is None else z[rows], image_shape=shape if len(shape) == 3 else None,
                       factors=known, name=name or self.where, settings={**settings, **options})


def _listed(values: np.ndarray, limit: int = 12) -> str:
    """Some labels as text."""
    words = [str(value) for value in values.tolist()]
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if len(words) > limit else "")
