"""Cross-entropies of whole blocks of a family against all targets: what one tile of a search computes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from ident_theory.kernels.mixtures import deep_logs, lowest_of, mixture_logs, rescale, row_codes
from ident_theory.landscape.plan import BLOCK_NODES, Plan, orbits_in
from ident_theory.laws.parallel import available_cores
from ident_theory.models.value import FloatArray

#: Mixtures worked on together; with the nodes of a block, their logarithms stay in the second-level cache.
BLOCK_ROWS = 256
BACKENDS = ("cpu", "cuda", "torch-cpu")


@dataclass(frozen=True)
class TileValues:
    """What a tile holds, for its functions (F'), all priors (P) and targets (T).

    Attributes
    ----------
    best : ndarray, shape (F', T)
        Lowest excess of each function over all priors.
    best_prior : ndarray of int32, shape (F', T)
    excess : ndarray, shape (F', P, T), or None
    near : ndarray of int32, shape (N, 3)
        Function, prior and target of every point whose excess is at most the threshold.
    near_excess : ndarray, shape (N,)
    evaluated : int
        Laws evaluated: points that differ after reduction to orbits.
    """

    best: FloatArray
    best_prior: np.ndarray
    excess: FloatArray | None
    near: np.ndarray
    near_excess: FloatArray
    evaluated: int


def compute_tile(plan: Plan, functions: slice, near: float, keep: bool, device: str = "cpu") -> TileValues:
    """Evaluate a block of functions with all priors.

    The result does not depend on the number of threads: each orbit is summed by one thread in blocks of fixed
    size, and the matrix products of the linear algebra library are held to one thread.

    Parameters
    ----------
    plan : Plan
    functions : slice
        Functions of the tile.
    near : float
        Points up to this excess over a truth are listed.
    keep : bool
        Whether to return the excess of every point.
    device : {"cpu", "cuda", "torch-cpu"}
        Where mixtures, logarithms and products are computed; the tables always come from the CPU.
    """
    count, priors, targets = functions.stop - functions.start, len(plan.rows), plan.n_targets
    best, best_prior = np.empty((count, targets)), np.empty((count, targets), dtype=np.int32)
    excess = np.empty((count, priors, targets)) if keep else None

    def work(members: slice) -> tuple[np.ndarray, FloatArray, int]:
        values, place = orbit_values(plan, members, device)
        for i, m in enumerate(range(members.start - functions.start, members.stop - functions.start)):
            lowest_of(values, place[i], best[m], best_prior[m])
            if excess is not None:
                excess[m] = values[place[i]]
        listed = []
        truths = np.flatnonzero(plan.truths)
        close = np.flatnonzero(values[:, truths].min(axis=1, initial=np.inf) <= near)
        if close.size:
            for i in range(len(place)):
                found = np.flatnonzero(np.isin(place[i], close))
                p, t = np.nonzero(values[place[i][found]][:, truths] <= near)
                listed.append(np.stack([np.full(len(p), members.start + i), found[p], truths[t]], axis=1))
        index = np.concatenate(listed) if listed else np.empty((0, 3), dtype=np.int64)
        return index, values[place[index[:, 0] - members.start, index[:, 1]], index[:, 2]], len(values)

    orbits = orbits_in(plan.orbit, functions)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(available_cores() if device == "cpu" else 1) as pool:
        parts = list(pool.map(work, orbits))
    return TileValues(best, best_prior, excess, np.concatenate([index for index, _, _ in parts]).astype(np.int32),
                      np.concatenate([value for _, value, _ in parts]), sum(n for _, _, n in parts))


def orbit_values(plan: Plan, members: slice, device: str) -> tuple[FloatArray, np.ndarray]:
    """Excess of the distinct laws of some functions of one orbit.

    Returns
    -------
    values : ndarray, shape (U, T)
    place : ndarray of int, shape (functions, P)
        Row of `values` for every function and prior.
    """
    ids, rows, weights, place = distinct_rows(plan, members)
    orbit = int(plan.orbit[members.start])
    rule = plan.rules[plan.rule_of[orbit]]
    logs = plan.tables(orbit, ids, rule.nodes)
    densities, scale = np.empty_like(logs), np.empty(logs.shape[1])
    deep = rescale(logs, densities, scale)
    if device == "cpu":
        sums = np.zeros((plan.n_targets, len(rows)))
        buffer = np.empty((BLOCK_ROWS, BLOCK_NODES))
        for first in range(0, len(rows), BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, len(rows))
            for block in rule.blocks:
                part = buffer[:last - first, :block.stop - block.start]
                mixture_logs(densities, rows, weights, first, last, block.start, block.stop, part)
                if deep.size:
                    deep_logs(logs, scale, deep, rows, weights, first, last, block.start, block.stop, part)
                sums[block.targets, first:last] += block.weights @ part.T
    else:
        from ident_theory.kernels.mixtures_torch import mixture_sums

        sums = mixture_sums(logs, densities, scale, rows, weights, rule.weights, device)
    sums += (rule.weights @ scale + rule.reference)[:, None]
    return np.ascontiguousarray(-sums.T), place


def distinct_rows(plan: Plan, members: slice) -> tuple[np.ndarray, np.ndarray, FloatArray, np.ndarray]:
    """Components, mixtures over them, their weights, and the mixture of every function and prior.

    Mixtures of different functions that coincide in the orbit's coordinates, or mirror each other where the normal
    form is symmetric, are one row.
    """
    image, mirror = plan.image[members], plan.mirror[members]
    ids, local = np.unique(np.concatenate([image, mirror]), return_inverse=True)
    local = local.reshape(2, *image.shape)
    symmetric = not np.array_equal(local[0], local[1])
    count, priors = len(image), len(plan.rows)
    base = len(ids) * (plan.denominator + 1) + 1
    if (count == 1 and not symmetric and len(ids) > 1) or base ** plan.rows.shape[1] >= 2**63:
        rows = local[0][:, plan.rows].reshape(count * priors, -1)
        place = np.arange(count * priors).reshape(count, priors)
        return ids, rows, np.tile(plan.weights / plan.denominator, (count, 1)), place
    codes = np.empty((2, count, priors), dtype=np.int64)
    for m in range(count):
        row_codes(plan.rows, plan.weights, local[0, m], base, codes[0, m])
        if symmetric:
            row_codes(plan.rows, plan.weights, local[1, m], base, codes[1, m])
    lesser = codes.min(axis=0) if symmetric else codes[0]
    distinct, place = np.unique(lesser, return_inverse=True)
    rows = np.zeros((len(distinct), plan.rows.shape[1]), dtype=np.int64)
    weights = np.zeros(rows.shape)
    rest, used = distinct.copy(), np.zeros(len(distinct), dtype=np.int64)
    while rest.any():  # digits from the last to the first; their order does not matter
        digit = rest % base
        there = np.flatnonzero(digit)
        rows[there, used[there]] = digit[there] // (plan.denominator + 1)
        weights[there, used[there]] = digit[there] % (plan.denominator + 1)
        used[there] += 1
        rest //= base
    return ids, rows, weights / plan.denominator, place.reshape(count, priors)
