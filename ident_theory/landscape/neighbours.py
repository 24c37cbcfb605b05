"""Grid neighbours among distinct members of a family, and the local minima they define.

Two functions (or priors) are neighbours when some raw parameter point of one differs from some raw point of the
other in one entry, by one grid step; weight vectors, when mass moves between two components by the smallest step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ident_theory.kernels.grid_minima import plateaus
from ident_theory.landscape.families import ParameterFamily
from ident_theory.landscape.plan import Members
from ident_theory.models.value import FloatArray

#: Values closer than this times (1 + |value|) are rounding apart: equal laws give equal sums but for rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Neighbours:
    """Edges between functions and between priors, each pair once, shape (E, 2)."""

    functions: np.ndarray
    priors: np.ndarray


@dataclass(frozen=True)
class LocalMinima:
    """Local minima of one target.

    Attributes
    ----------
    count : int
        Plateaus of equal value that no neighbour undercuts, the global ones included.
    exact : bool
        Whether all points were compared; otherwise only the profile over the functions (each with its best
        prior) was, whose minima are minima of the whole: `count` is then a lower bound.
    runner_up : tuple of (int, int, float), or None
        Function, prior and excess of the lowest one that is not global.
    """

    count: int
    exact: bool
    runner_up: tuple[int, int, float] | None


def grid_neighbours(members: Members) -> Neighbours:
    """The neighbour graphs of a family."""
    prior_edges = _axis_edges(members.priors.member, range(1, members.priors.member.ndim))
    steps = _weight_steps(members.family)
    if len(steps):
        table = members.priors.member.reshape(len(members.family.weights), -1)
        pairs = np.stack([table[steps[:, 0]].ravel(), table[steps[:, 1]].ravel()], axis=1)
        prior_edges = _distinct(np.concatenate([prior_edges, pairs]))
    networks = members.networks.member
    return Neighbours(_axis_edges(networks, range(networks.ndim)), prior_edges)


def _axis_edges(member: np.ndarray, axes: range) -> np.ndarray:
    found = [np.empty((0, 2), dtype=np.int64)]
    for axis in axes:
        left = np.moveaxis(member, axis, 0)[:-1].ravel()
        right = np.moveaxis(member, axis, 0)[1:].ravel()
        found.append(_distinct(np.stack([left, right], axis=1).astype(np.int64)))
    return _distinct(np.concatenate(found))


def _distinct(pairs: np.ndarray) -> np.ndarray:
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    if not len(pairs):
        return pairs
    size = int(pairs.max()) + 1
    codes = np.unique(pairs[:, 0] * size + pairs[:, 1])
    return np.stack([codes // size, codes % size], axis=1)


def _weight_steps(family: ParameterFamily) -> np.ndarray:
    """Pairs of weight vectors that differ in two entries, with no vector of the grid between them."""
    steps = []
    for i, j in itertools.combinations(range(family.model.mixture.n_components), 2):
        lines: dict[tuple[Fraction, ...], list[tuple[Fraction, int]]] = {}
        for index, row in enumerate(family.weights):
            rest = tuple(w for k, w in enumerate(row) if k not in (i, j))
            lines.setdefault(rest, []).append((row[i], index))
        for line in lines.values():
            steps += [(a, b) for (_, a), (_, b) in itertools.pairwise(sorted(line))]
    return np.array(steps, dtype=np.int64).reshape(-1, 2)


def local_minima(graph: Neighbours, best: FloatArray, best_prior: np.ndarray, excess: FloatArray | None,
                 global_points: set[tuple[int, int]], error: float = 0.0) -> LocalMinima:
    """Local minima of one target.

    Parameters
    ----------
    graph : Neighbours
    best, best_prior : ndarray, shape (F,)
    excess : ndarray, shape (F, P), or None
        None: the profile `best` stands in for it.
    global_points : set of (function, prior)
        The global minimisers.
    error : float
        Error of the values: neighbours closer than that are not told apart.
    """
    values = best[:, None] if excess is None else np.ascontiguousarray(excess)
    priors = graph.priors if excess is not None else np.empty((0, 2), dtype=np.int64)
    labels = plateaus(values, graph.functions, priors, ROUNDING, error)
    roots = np.unique(labels[labels >= 0])
    if excess is None:
        at_top = {f for f, _ in global_points}
        tops = {int(labels[f, 0]) for f in at_top}
    else:
        tops = {int(labels[f, p]) for f, p in global_points}
    others = [int(r) for r in roots if r not in tops]
    runner_up = None
    if others:
        r = min(others, key=lambda i: values.flat[i])
        f, p = divmod(r, values.shape[1])
        runner_up = (f, int(best_prior[f]) if excess is None else p, float(values.flat[r]))
    return LocalMinima(len(roots), excess is not None, runner_up)
