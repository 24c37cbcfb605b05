"""Hidden states of a mixture: how many variables, how many states each, and the latents that each acts on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from ident_theory.errors import Problem
from ident_theory.models.value import ExactArray, freeze

States = tuple[int, ...]
Neighbourhoods = tuple[tuple[int, ...], ...]


def read_states(states: Any, weights: ExactArray | None, path: str, problems: list[Problem]) -> States | None:
    """The numbers of states (d_1, ..., d_k), stated or read off the shape of the table of weights.

    Parameters
    ----------
    states : sequence of int or None
    weights : ndarray of Fraction or None
        As given: flat or a table; None when it could not be read.
    path : str
        Where `states` stands, for the messages.
    problems : list of Problem
        Receives every mistake.

    Returns
    -------
    tuple of int or None
        None when neither argument says it.
    """
    shape = None if weights is None or not weights.ndim or not weights.size else weights.shape
    if states is None:
        return shape
    if not is_sequence(states) or not len(states):
        problems.append(Problem(path, "a list of k numbers of states", f"{states!r}"))
        return None
    sizes = [_whole(item, f"{path}[{i}]", "a number of states >= 1", 1, None, problems)
             for i, item in enumerate(states)]
    found = tuple(size for size in sizes if size is not None)
    if len(found) < len(sizes):
        return None
    if shape is not None and len(shape) > 1 and shape != found:
        problems.append(Problem(path, f"{list(shape)}, the shape of the table of weights", f"{list(found)}"))
        return shape
    if shape is not None and math.prod(shape) != math.prod(found):
        problems.append(Problem(path, f"numbers of states whose product is {shape[0]}, the number of weights",
                                f"{list(found)} with product {math.prod(found)}"))
        return None
    return found


def read_neighbourhoods(value: Any, k: int | None, m: int | None, path: str,
                        problems: list[Problem]) -> Neighbourhoods | None:
    """The latent coordinates that each hidden variable acts on, sorted; `k` and `m` may be unknown."""
    if value is None:
        return None
    if not is_sequence(value) or (k is not None and len(value) != k):
        found = f"{len(value)} lists" if is_sequence(value) else f"{value!r}"
        problems.append(Problem(path, f"{'k' if k is None else k} lists of latent coordinates, one a hidden variable",
                                found, "a mixture without `states` has one hidden variable"))
        return None
    before = len(problems)
    rows: list[tuple[int, ...]] = []
    for i, row in enumerate(value):
        if not is_sequence(row):
            problems.append(Problem(f"{path}[{i}]", "a list of latent coordinates", f"{row!r}"))
            continue
        expected = "a latent coordinate >= 0" if m is None else f"a latent coordinate from 0 to {m - 1}"
        items = [_whole(item, f"{path}[{i}][{j}]", expected, 0, m, problems) for j, item in enumerate(row)]
        numbers = [item for item in items if item is not None]
        if len(set(numbers)) < len(numbers):
            problems.append(Problem(f"{path}[{i}]", "every coordinate once", f"{numbers}"))
        rows.append(tuple(sorted(numbers)))
    return tuple(rows) if len(problems) == before else None


def flatten_states(array: ExactArray, states: States | None) -> ExactArray:
    """Join the leading table axes of an array of component parameters to one axis of components, in C order.

    No shape can be read in two ways: a list of J = d_1 ... d_k rows whose shape also begins with the table has
    sizes one on every axis but one, and then both readings hold the same numbers in the same order.
    """
    k = 0 if states is None else len(states)
    if states is None or k < 2 or array.shape[:k] != states:
        return array
    return freeze(array.reshape(math.prod(states), *array.shape[k:]))


def entry_path(path: str, j: int, lead: tuple[int, ...]) -> str:
    """Where component `j` stands in an array whose leading axes have the shape `lead`."""
    return path + "".join(f"[{int(i)}]" for i in np.unravel_index(j, lead))


def is_sequence(value: Any) -> bool:
    """Whether it is a list, a tuple or an array with axes."""
    return (isinstance(value, Sequence) and not isinstance(value, str | bytes)) \
        or (isinstance(value, np.ndarray) and value.ndim > 0)


def _whole(value: Any, path: str, expected: str, least: int, end: int | None, problems: list[Problem]) -> int | None:
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool | np.bool_) else least - 1
    if number < least or (end is not None and number >= end):
        problems.append(Problem(path, expected, f"{value!r}"))
        return None
    return number
