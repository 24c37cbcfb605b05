"""Checks of the arguments of generators: a clear error, or the value in its type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ident_theory.errors import InputError


def generator(rng: Any, where: str) -> np.random.Generator:
    """A random generator."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"{where}: rng: expected a numpy.random.Generator, found {rng!r}; "
                         "use numpy.random.default_rng(seed)")
    return rng


def count(value: Any, where: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_) or value < least:
        raise InputError(f"{where}: expected a whole number >= {least}, found {value!r}")
    return int(value)


def number(value: Any, where: str, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """A finite number between `low` and `high`, ends included; `above` leaves `low` out."""
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not real or not math.isfinite(value) or not low <= value <= high or (above and value == low):
        ends = [f"{'>' if above else '>='} {low:g}"] * (low > -math.inf) + [f"<= {high:g}"] * (high < math.inf)
        raise InputError(f"{where}: expected {' '.join(['a finite number', ' and '.join(ends)]).strip()}, "
                         f"found {value!r}")
    return float(value)


def interval(value: Any, where: str, *, positive: bool = False) -> tuple[float, float]:
    """Two finite numbers (low, high) with low <= high, both > 0 if `positive`."""
    wanted = f"two {'numbers > 0' if positive else 'finite numbers'} (low, high) with low <= high"
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise InputError(f"{where}: expected {wanted}, found {value!r}")
    low, high = (number(end, where) for end in value)
    if low > high or (positive and low <= 0):
        raise InputError(f"{where}: expected {wanted}, found {value!r}")
    return low, high


def choice(value: Any, where: str, options: Sequence[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in options:
        raise InputError(f"{where}: expected one of {', '.join(options)}, found {value!r}")
    return value


def switch(value: Any, where: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{where}: expected True or False, found {value!r}")
    return bool(value)
