"""Hidden variables behind a pattern of equalities: which latent has the same law in which components.

Input is a table of labels: equal labels of coordinate t, equal laws of z[t]. Everything is decided with integers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ident_theory.errors import UnsupportedError

Labels = NDArray[np.int64]
Neighbours = tuple[tuple[int, ...], ...]

#: Coordinates with different equality patterns; all their subsets are counted.
MAX_PATTERNS = 20


@dataclass(frozen=True)
class Hidden:
    """The hidden variables of a pattern.

    Attributes
    ----------
    neighbourhoods : tuple of tuple of int
        The coordinates that each variable acts on, in lexicographic order of the variables.
    states : tuple of int
    values : ndarray of int, shape (k, J), or None
        The state of each variable in each component; None without one that fits.
    set_weights : mapping
        w(T) for the sets T of coordinates with w(T) != 1: the number of states of the variables with neighbourhood T
        when P3(a) holds and all states have positive weight.
    part : str
        Which part of P3 fails: ``""`` (none), ``"a"`` (or positivity) or ``"c"``.
    reason : str
        Why it fails.
    """

    neighbourhoods: Neighbours
    states: tuple[int, ...]
    values: Labels | None
    set_weights: dict[tuple[int, ...], Fraction] = field(default_factory=dict)
    part: str = ""
    reason: str = ""


def labelled(rows: Sequence[Sequence[Hashable]]) -> Labels:
    """Labels (m, J) of things (m, J): equal in a row, equal label; numbered in order of appearance."""
    found = np.empty((len(rows), len(rows[0])), dtype=np.int64)
    for t, row in enumerate(rows):
        codes: dict[Hashable, int] = {}
        found[t] = [codes.setdefault(item, len(codes)) for item in row]
    return found


def hidden_variables(labels: Labels) -> Hidden:
    r"""The hidden variables that a factorial mixture with these equalities has when P3 holds, or why it fails.

    N(S) is the number of different components on the coordinates S. Under P3(a) and positivity it is the product of
    the d_i over the variables that act on S, so that Moebius inversion over subsets,
    :math:`\log w(T) = \sum_{Q \subseteq T} (-1)^{|T| - |Q|} (\log N(all) - \log N(Q^c))`, gives the neighbourhoods T
    with their numbers of states w(T). If none lies inside another, two components that agree outside ne(U_i)
    differ in U_i alone, and the classes that the other variables' steps generate are the states of U_i. The table
    found is then checked against every coordinate: if it does not fit, no table does.

    Parameters
    ----------
    labels : ndarray of int, shape (m, J)
        No two components equal.

    Raises
    ------
    UnsupportedError
        For more than `MAX_PATTERNS` different patterns of equality.
    """
    first_of: dict[tuple[int, ...], list[int]] = {}
    for t, row in enumerate(labelled(labels.tolist()).tolist()):
        if max(row) > 0:
            first_of.setdefault(tuple(row), []).append(t)
    groups = list(first_of.values())
    if len(groups) > MAX_PATTERNS:
        raise UnsupportedError(f"latent_graph: at most {MAX_PATTERNS} coordinates with different patterns of equal "
                               f"laws can be served, got {len(groups)}; take a subset of the coordinates")
    patterns = np.array(list(first_of), dtype=np.int64).reshape(len(groups), labels.shape[1])
    weights = _set_weights(_counts(patterns))
    by_set = {tuple(sorted(t for g in bits for t in groups[g])): (bits, weight) for bits, weight in weights.items()}
    sets = dict(sorted((key, weight) for key, (_, weight) in by_set.items()))
    near = tuple(sets)
    if any(weight.denominator != 1 for weight in sets.values()):
        shown = ", ".join(f"w({_braces(key)}) = {weight}" for key, weight in sets.items() if weight.denominator != 1)
        return Hidden((), (), None, sets, "a", "Part (a) of P3 or positivity fails: the numbers of different laws on "
                      f"sets of coordinates give {shown}, where the number of states of a variable should stand.")
    states = tuple(int(weight) for weight in sets.values())
    nested = next(((a, b) for a, b in itertools.permutations(near, 2) if set(a) < set(b)), None)
    if nested is not None:
        return Hidden(near, states, None, sets, "c", "Part (c) of P3 fails (or (a) or positivity does): with (a) and "
                      f"positivity the neighbourhoods are those given, and {_braces(nested[0])} lies inside "
                      f"{_braces(nested[1])}; P(U) is then determined only up to relabelling the inner variable's "
                      "states separately for each state of the outer one.")
    acting = [by_set[key][0] for key in near]
    values = _values(patterns, acting)
    misfit = _misfit(patterns, acting, states, values, groups)
    if misfit:
        return Hidden(near, states, None, sets, "a", "Part (a) of P3 or positivity fails: the numbers of different "
                      f"laws would allow the neighbourhoods {', '.join(map(_braces, near))}, but {misfit}.")
    return Hidden(near, states, values, sets)


def _counts(patterns: Labels) -> Labels:
    """N(S) for all sets of patterns, S as a bit mask."""
    size, components = patterns.shape
    counts = np.ones(1 << size, dtype=np.int64)
    sizes = patterns.max(axis=1, initial=0) + 1

    def visit(mask: int, codes: Labels, start: int) -> None:
        counts[mask] = number = int(codes.max()) + 1
        if number == components:  # no superset tells more apart
            counts[mask | (np.arange(1 << (size - start)) << start)] = number
            return
        for t in range(start, size):
            visit(mask | 1 << t, np.unique(codes * sizes[t] + patterns[t], return_inverse=True)[1], t + 1)

    visit(0, np.zeros(components, dtype=np.int64), 0)
    return counts


def _set_weights(counts: Labels) -> dict[tuple[int, ...], Fraction]:
    """w(T) != 1 by Moebius inversion, on the exponents of the primes in the counts."""
    size = len(counts).bit_length() - 1
    primes = sorted({p for n in np.unique(counts).tolist() for p in _primes(n)})
    exponents = np.zeros((len(counts), len(primes)), dtype=np.int64)
    for column, prime in enumerate(primes):
        left = counts.copy()
        while (divisible := left % prime == 0).any():
            exponents[divisible, column] += 1
            left[divisible] //= prime
    inverted = exponents[-1] - exponents[::-1]  # the complement of a mask is the mask counted from the end
    for t in range(size):
        halves = inverted.reshape(-1, 2, 1 << t, len(primes))
        halves[:, 1] -= halves[:, 0]
    return {tuple(t for t in range(size) if mask >> t & 1):
            math.prod((Fraction(p) ** int(e) for p, e in zip(primes, inverted[mask], strict=True)), start=Fraction(1))
            for mask in np.flatnonzero(inverted.any(axis=1)).tolist()}


def _primes(number: int) -> list[int]:
    found, p = [], 2
    while p * p <= number:
        if number % p == 0:
            found.append(p)
            while number % p == 0:
                number //= p
        p += 1
    return found + [number] * (number > 1)


def _values(patterns: Labels, acting: Sequence[tuple[int, ...]]) -> Labels:
    """The state classes of every variable, shape (k, J), numbered in order of appearance."""
    components = patterns.shape[1]
    steps = []
    for near in acting:
        outside = np.delete(patterns, near, axis=0)
        steps.append(labelled([list(zip(*outside.tolist(), strict=True)) or [()] * components])[0])
    found = []
    for i in range(len(acting)):
        links = [(np.arange(components), components * (1 + j) + step) for j, step in enumerate(steps) if j != i]
        ends = [np.concatenate(part) if part else np.empty(0, dtype=np.int64) for part in zip(*links, strict=True)] \
            or [np.empty(0, dtype=np.int64)] * 2
        nodes = components * (1 + len(acting))
        graph = coo_array((np.ones(len(ends[0])), (ends[0], ends[1])), shape=(nodes, nodes))
        found.append(connected_components(graph, directed=False)[1][:components].tolist())
    return labelled(found) if found else np.empty((0, components), dtype=np.int64)


def _misfit(patterns: Labels, acting: Sequence[tuple[int, ...]], states: Sequence[int], values: Labels,
            groups: Sequence[Sequence[int]]) -> str:
    """What does not fit about a table; empty when every coordinate is one-to-one with the variables that act on it."""
    for i, d in enumerate(states):
        found = int(values[i].max()) + 1
        if found != d:
            return f"the variable on {_braces(sorted(t for g in acting[i] for t in groups[g]))} has {found} states " \
                   f"where {d} were counted"
    for g, row in enumerate(patterns.tolist()):
        mine = [i for i, near in enumerate(acting) if g in near]
        cells = list(zip(*(values[i].tolist() for i in mine), strict=True))
        expected = math.prod(states[i] for i in mine)
        if not len(set(cells)) == len(set(row)) == len(set(zip(row, cells, strict=True))) == expected:
            return f"the laws of z[{groups[g][0]}] do not follow the {expected} configurations of its variables"
    return ""


def _braces(items: Sequence[Any]) -> str:
    return "{" + ", ".join(map(str, items)) + "}"
