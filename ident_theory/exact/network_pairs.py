"""Pairs of cells, for the network verifier: which images meet, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal

import numpy as np
from flint import fmpq_mat
from numpy.typing import NDArray

from ident_theory.exact.network_cells import Leaf, Network
from ident_theory.exact.network_linear import (
    AffineSet,
    Row,
    evaluate,
    index,
    is_constant,
    multipliers,
    numbers,
    only_keys,
    reject,
    represent,
    slope_along,
    solutions,
    weighted_sum,
)

Ranks = NDArray[np.int64]


class Boxes:
    r"""Proved bounds of the images of cells along directions, as ranks among all bounds of a direction.

    A lower bound names independent constraints of the cell. With the unique y >= 0 such that
    :math:`\lambda^T A = \sum_k y_k a_k`, where :math:`g_k(z) = a_k^T z + b_k`, every z of the cell has
    :math:`\lambda^T f(z) = \sum_k y_k g_k(z) + const \ge const`. An upper bound is a lower bound of
    :math:`-\lambda^T f`.

    Attributes
    ----------
    directions : list of list of fmpq
    low, high : ndarray of int64, shape (directions, leaves)
        Equal numbers have equal ranks; no bound is -1 below and the largest integer above.
    """

    def __init__(self, net: Network, leaves: Sequence[Leaf], data: Any) -> None:
        only_keys(data, ("directions", "bounds"), "boxes")
        self.directions = [numbers(row, net.n, "boxes.directions") for row in data["directions"]]
        bounds, count = data["bounds"], len(self.directions)
        if len(bounds) != len(leaves) or any(len(row) != count for row in bounds):
            reject(f"boxes.bounds: expected {len(leaves)} leaves with {count} directions each")
        self.low = np.full((count, len(leaves)), -1, dtype=np.int64)
        self.high = np.full((count, len(leaves)), np.iinfo(np.int64).max, dtype=np.int64)
        for d, direction in enumerate(self.directions):
            found: list[tuple[Any, Ranks, int]] = []
            for i, leaf in enumerate(leaves):
                lo, hi = bounds[i][d]
                if lo is None and hi is None:
                    continue
                target = weighted_sum(leaf.image, direction, net.m + 1)
                where = f"boxes.bounds[{i}][{d}]"
                if lo is not None:
                    found.append((_lower_bound(leaf, target, lo, where), self.low[d], i))
                if hi is not None:
                    found.append((-_lower_bound(leaf, [-x for x in target], hi, where), self.high[d], i))
            found.sort(key=itemgetter(0))
            place, last = -1, None
            for value, ranks, i in found:
                if last is None or value != last:
                    place, last = place + 1, value
                ranks[i] = place

    def touching(self, group: Ranks, along: Sequence[int], *, strict: bool) -> Iterator[tuple[int, int]]:
        """Pairs i < j of a group that no direction of `along` separates.

        A direction separates when one upper bound is below the other lower bound, or equals it if not `strict`.
        """
        if not along:
            for p, i in enumerate(group):
                for j in group[p + 1:]:
                    yield int(i), int(j)
            return
        low, high = self.low[along][:, group], self.high[along][:, group]
        side: Literal["left", "right"] = "right" if strict else "left"
        below = np.less_equal if strict else np.less
        # Sweep along the direction that leaves the fewest pairs.
        left = [np.searchsorted(np.sort(lo), hi, side=side).sum() for lo, hi in zip(low, high, strict=True)]
        first = int(np.argmin(left))
        order = np.argsort(low[first], kind="stable")
        low, high, members = low[:, order], high[:, order], group[order]
        ends = np.searchsorted(low[first], high[first], side=side)
        for p in range(len(members)):
            span = slice(p + 1, max(p + 1, int(ends[p])))
            meets = np.ones(span.stop - span.start, dtype=bool)
            for lo, hi in zip(low, high, strict=True):
                meets &= below(lo[span], hi[p]) & below(lo[p], hi[span])
            for j in members[span][meets]:
                yield int(min(members[p], j)), int(max(members[p], j))


def _lower_bound(leaf: Leaf, target: Row, support: Any, where: str) -> Any:
    """The bound of an affine function on a cell that the named constraints prove."""
    rows = [leaf.constraint(index(k, len(leaf.signs), where)) for k in support]
    y = represent(rows, target)
    if y is None or any(value < 0 for value in y):
        reject(f"{where}: the constraints {support} bound nothing in this direction")
    return target[-1] - sum(value * row[-1] for value, row in zip(y, rows, strict=True))


def image_plane(net: Network, leaf: Leaf) -> tuple[Any, ...]:
    """The image plane of a leaf of rank m in a form that equal planes share: reduced basis, and the reduced offset."""
    columns = [list(column) for column in zip(*leaf.image, strict=True)]
    basis = fmpq_mat(net.m, net.n, [x for column in columns[:net.m] for x in column]).rref()[0].tolist()
    offset = columns[net.m]
    for row in basis:
        factor = offset[next(c for c, x in enumerate(row) if x)]
        offset = [o - factor * x for o, x in zip(offset, row, strict=True)]
    return (*(x for row in basis for x in row), *offset)


def read_pairs(pairs: Any, count: int, sizes: Mapping[str, int]) -> dict[tuple[int, int], Sequence[Any]]:
    """Entries ``[i, j, word, ...]`` by their leaves i < j; `sizes` gives the length of an entry for every word."""
    out: dict[tuple[int, int], Sequence[Any]] = {}
    for position, entry in enumerate(pairs):
        where = f"pairs[{position}]"
        if not isinstance(entry, list | tuple) or len(entry) < 3 or sizes.get(entry[2]) != len(entry):
            reject(f"{where}: expected [i, j, word, ...] with a word of {sorted(sizes)}, got {entry!r:.80}")
        i, j = index(entry[0], count, where), index(entry[1], count, where)
        if i >= j or (i, j) in out:
            reject(f"{where}: expected one entry a pair, with i < j, got {i} and {j}")
        out[i, j] = entry
    return out


def meeting(net: Network, first: Leaf, second: Leaf) -> AffineSet | None:
    """All (z, z') in R^2m at which the two affine maps agree; None when there are none."""
    return solutions([[*a[:-1], *(-x for x in b[:-1]), b[-1] - a[-1]]
                      for a, b in zip(first.image, second.image, strict=True)], 2 * net.m)


def meet_only_on_diagonal(net: Network, first: Leaf, second: Leaf, both: AffineSet | None, where: str) -> None:
    """Accept when the cells hold no z != z' with equal values, decided directly for at most a line of candidates.

    `both` is the set of all candidates (`meeting`). A point is checked against the constraints. On a line the
    constraints leave an interval; it must be empty or consist of points with z = z'.
    """
    if both is None:
        return
    m, p = net.m, both.point
    if not both.directions:
        if p[:m] != p[m:] and not first.is_violated(p[:m]) and not second.is_violated(p[m:]):
            reject(f"{where}: the images meet at z = {p[:m]}, z' = {p[m:]}")
        return
    if len(both.directions) > 1:
        reject(f"{where}: the maps agree on a set of dimension {len(both.directions)}; an entry of pairs is missing")
    d = both.directions[0]
    span = _interval(m, first, second, p, d)
    if span is None:
        return
    offset = [x - y for x, y in zip(p[:m], p[m:], strict=True)]
    drift = [x - y for x, y in zip(d[:m], d[m:], strict=True)]
    if not any(offset) and not any(drift):
        return
    lo, hi = span
    if lo is None or lo != hi or any(o + lo * v for o, v in zip(offset, drift, strict=True)):
        reject(f"{where}: the images meet along a line, off the diagonal")


def _interval(m: int, first: Leaf, second: Leaf, p: list[Any], d: list[Any]) -> tuple[Any, Any] | None:
    """The t with p + t d in both cells, as (lo, hi) with None for no bound; None when there are none."""
    lo = hi = None
    for leaf, start, step in ((first, p[:m], d[:m]), (second, p[m:], d[m:])):
        for row in leaf.constraints():
            value, change = evaluate(row, start), slope_along(row, step)
            if change:
                bound = -value / change
                if change > 0:
                    lo = bound if lo is None or bound > lo else lo
                else:
                    hi = bound if hi is None or bound < hi else hi
                if lo is not None and hi is not None and lo > hi:
                    return None
            elif value < 0:
                return None
    return lo, hi


class _OnBoth:
    """Sums of constraints of two cells, as functions on the candidates of a pair."""

    def __init__(self, net: Network, first: Leaf, second: Leaf, both: AffineSet, where: str) -> None:
        self.m, self.first, self.second, self.both, self.where = net.m, first, second, both, where

    def constant(self, yi: Any, yj: Any, extra: Sequence[Any]) -> tuple[Any, list[Row]]:
        """The value of sum yi g(z) + sum yj g(z') + extra . (z, z'), which must be constant; supported rows too."""
        m, where = self.m, self.where
        left = multipliers(yi, len(self.first.signs), where)
        right = multipliers(yj, len(self.second.signs), where)
        a, b = self.first.combine(left, m), self.second.combine(right, m)
        total = [x + e for x, e in zip((*a[:m], *b[:m]), extra, strict=True)]
        total.append(a[-1] + b[-1])
        if any(slope_along(total, direction) for direction in self.both.directions):
            reject(f"{where}: the sum is not constant where the two maps agree")
        return (evaluate(total, self.both.point),
                [*map(self.first.constraint, left), *map(self.second.constraint, right)])


def check_entry(net: Network, first: Leaf, second: Leaf, both: AffineSet | None, entry: Sequence[Any],
                where: str) -> None:
    """Accept an entry about the pairs (z, z') of two cells with equal values.

    ``empty``: a sum of non-negative functions that is a negative constant: no such pair. ``diagonal``: for every
    coordinate k and both signs s, s (z_k - z'_k) plus such a sum is a constant <= 0, so z = z'. ``apart`` (for cells
    whose images lie in one plane of dimension m): such a sum is a constant <= 0. If it is negative there is no pair.
    If it is zero, a supported function with a linear part vanishes at every pair; both z and z' depend affinely and
    bijectively on the value, so the values lie in a hyperplane of the plane.
    """
    if both is None:
        reject(f"{where}: the two maps never agree, so the entry is superfluous")
    sums, m = _OnBoth(net, first, second, both, where), net.m
    nothing = [0] * (2 * m)
    if entry[2] == "diagonal":
        if len(entry[3]) != 2 * m:
            reject(f"{where}: expected {2 * m} pairs of multipliers, got {len(entry[3])}")
        for position, (yi, yj) in enumerate(entry[3]):
            k, sign = position // 2, 1 - 2 * (position % 2)
            extra = list(nothing)
            extra[k], extra[m + k] = sign, -sign
            if sums.constant(yi, yj, extra)[0] > 0:
                reject(f"{where}: coordinate {k} is not shown to agree")
        return
    value, rows = sums.constant(entry[3], entry[4], nothing)
    if value > 0 or (value == 0 and (entry[2] == "empty" or all(map(is_constant, rows)))):
        reject(f"{where}: the constants add up to {value}, which shows nothing")
