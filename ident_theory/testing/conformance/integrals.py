"""Integrals of a density of which draws are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ident_theory.models.value import FloatArray

#: Nodes and weights on [-1, 1] that integrate, and fewer that tell how well.
_FINE, _COARSE = (np.polynomial.legendre.leggauss(count) for count in (12, 7))


def cuts_at(draws: FloatArray) -> FloatArray:
    """Ends of intervals around ascending, different draws: short ones wherever the density may end or begin.

    From both ends of each wide gap, and outwards, intervals double.
    """
    size = float(np.abs(draws).max())
    local = np.full(len(draws), max(1e-3 * size, 1e-6))
    if len(draws) > 1:  # the mean spacing of some neighbours on the denser side
        near = min(5, len(draws) - 1)
        steps = (draws[near:] - draws[:-near]) / near
        none = np.full(near, np.inf)
        before, after = np.concatenate([none, steps]), np.concatenate([steps, none])
        local = np.maximum(np.minimum(before, after), max(1e-15 * size, 1e-200))
    gaps = np.diff(draws)
    cuts = [draws[::10], draws[-1:]]
    for i in np.flatnonzero(gaps > 30 * np.minimum(local[:-1], local[1:])):
        for start, sign, size in ((draws[i], 1, local[i]), (draws[i + 1], -1, local[i + 1])):
            cuts.append(start + sign * _doubling(size, gaps[i] / 2))
    width = draws[-1] - draws[0] + local[0] + local[-1]
    cuts += [draws[-1] + _doubling(local[-1], 1e6 * width), draws[0] - _doubling(local[0], 1e6 * width)]
    return np.unique(np.concatenate(cuts))


def _doubling(size: float, most: float) -> FloatArray:
    """0, then a hundredth of a size, doubled until it is large."""
    count = int(np.ceil(np.log2(max(most / size, 1.0)))) + 7
    return np.array([0.0, *(np.minimum(size / 100 * 2.0 ** np.arange(count), most))])


def integral(density: Callable[[FloatArray], FloatArray], cuts: FloatArray, tolerance: float = 1e-7) -> float:
    """Of a density over intervals, halved where two rules of Gauss and Legendre differ."""
    low, high = cuts[:-1], cuts[1:]
    total = 0.0
    for _ in range(40):
        if not len(low):
            break
        middle, half = (low + high) / 2, (high - low) / 2
        fine, coarse = (half * (density((middle[:, None] + half[:, None] * nodes).ravel()).reshape(len(low), -1)
                                @ weights) for nodes, weights in (_FINE, _COARSE))
        done = ~(np.abs(fine - coarse) > np.maximum(tolerance / len(cuts), 1e-9 * np.abs(fine)))
        total += float(fine[done].sum())
        rest = ~done
        last = float(fine[rest].sum())
        low, high = np.concatenate([low[rest], middle[rest]]), np.concatenate([middle[rest], high[rest]])
    else:
        total += last
    return total


def heavy_tailed_points(centres: FloatArray, size: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Points from kernels of Student's t with three degrees of freedom around centres, and the density of the points.

    Each centre has a wide kernel and one as wide as its neighbours are near.
    """
    n, count = centres.shape[1], len(centres)
    floor = 1e-9 * np.maximum(np.abs(centres).max(axis=0), 1e-200)
    wide = np.maximum(centres.std(axis=0) * 0.3, floor)
    apart = (((centres[:, None] - centres) / wide) ** 2).sum(axis=2)
    near = centres[np.argsort(apart, axis=1)[:, :max(2, count // 10)]]
    widths = np.stack([np.broadcast_to(wide, centres.shape), np.maximum(near.std(axis=1), 0.01 * wide)])
    which, chosen = rng.integers(2, size=size), rng.integers(count, size=size)
    y = centres[chosen] + widths[which, chosen] * rng.standard_t(3, size=(size, n))
    density = np.zeros(size)
    for rows in np.array_split(np.arange(size), 40):
        for width in widths:
            t = (y[rows, None] - centres) / width
            density[rows] += np.prod(2 / (np.pi * np.sqrt(3) * (1 + t**2 / 3) ** 2) / width, axis=2).mean(axis=1) / 2
    return y, density
