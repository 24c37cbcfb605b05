"""Local minima of values on the product of two graphs."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(inline="always")
def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@nb.njit(inline="always")
def _compare(values: np.ndarray, tolerance: float, error: float, parent: np.ndarray, lower: np.ndarray,
             i: int, j: int) -> None:
    gap = values[i] - values[j]
    if abs(gap) <= error + tolerance * (1.0 + abs(values[i])):
        a, b = _root(parent, i), _root(parent, j)
        if a != b:
            parent[max(a, b)] = min(a, b)
    elif gap > 0.0:
        lower[i] = True
    else:
        lower[j] = True


@nb.njit(error_model="numpy", nogil=True, cache=True)
def plateaus(values: np.ndarray, edges_a: np.ndarray, edges_b: np.ndarray, tolerance: float,
             error: float = 0.0) -> np.ndarray:
    """Label of the plateau of every local minimum, -1 elsewhere.

    Points (a, b) are neighbours when one coordinate agrees and the other is joined by an edge. Neighbours whose
    values agree within ``error + tolerance * (1 + |value|)`` form a plateau; one that no neighbour undercuts is a
    minimum.

    Parameters
    ----------
    values : ndarray, shape (A, B)
    edges_a, edges_b : ndarray of int, shape (E, 2)

    Returns
    -------
    ndarray of int64, shape (A, B)
        The smallest flat index of the plateau.
    """
    count_a, count_b = values.shape
    flat = values.ravel()
    parent = np.arange(flat.size)
    lower = np.zeros(flat.size, dtype=np.bool_)
    for e in range(edges_a.shape[0]):
        i, j = edges_a[e, 0] * count_b, edges_a[e, 1] * count_b
        for b in range(count_b):
            _compare(flat, tolerance, error, parent, lower, i + b, j + b)
    for e in range(edges_b.shape[0]):
        for a in range(count_a):
            _compare(flat, tolerance, error, parent, lower, a * count_b + edges_b[e, 0], a * count_b + edges_b[e, 1])
    for i in range(flat.size):
        if lower[i]:
            lower[_root(parent, i)] = True
    labels = np.empty(flat.size, dtype=np.int64)
    for i in range(flat.size):
        root = _root(parent, i)
        labels[i] = -1 if lower[root] else root
    return labels.reshape(values.shape)
