"""L2, maximality: whether a hidden variable can be split in two without making twins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ident_theory.conditions.prior_states import HiddenTable, is_nondegenerate, nondegenerate
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.numerics import Evidence, Status

#: Trying all grids of a variable with more states takes minutes, also for the verifier.
MOST_STATES = 8


def check_l2(table: HiddenTable) -> Finding:
    """L2: no hidden variable can be split in two.

    Published: there is no U' from which U comes by merging two variables such that P(U', Z) is Markov and U' has no
    twins. Checked: no U[i] can be read as a pair (A, B) over a full grid, A and B with two or more states each,
    without two variables acting on the same coordinates. The grid must be full: otherwise a deterministic function
    of a variable would always split off.

    With L3 no split exists: if A and B act on different coordinates, then some coordinate sees only one of them, so
    two states of U[i] give it one law (``kivva.F.P3toL``; the printed step from P3(b) is empty). Without L3 it is
    decided by the classes of states that single coordinates cannot tell apart, else by trying all grids. With
    coordinates that depend on each other given U no U' is Markov, so nothing can be split.

    Taken on trust: nothing. `unknown` with independent coordinates and a zero weight, and for more than eight states
    left to try.
    """
    references = ("kivva.F.P3toL", "kivva.F.necessary", "kivva.p3b")
    if is_nondegenerate(table):
        return Finding("L2", Status.HOLDS, Evidence.EXACT,
                       "L3 holds, and it already gives maximality: a coordinate that saw only one half of a split "
                       "variable would have one law in two states. The printed derivation from P3(b) is empty "
                       "(kivva.F.P3toL).", nondegenerate(table), references=references)
    dependent = _dependent(table)
    if dependent is not None:
        return Finding("L2", Status.HOLDS, Evidence.EXACT,
                       "Coordinates depend on each other given U (P2 fails), so no split variable has the Markov "
                       "property that maximality asks about.", dependent, references=references)
    if not table.live.all():
        return Finding("L2", Status.UNKNOWN, Evidence.EXACT,
                       "A cell of the table P(U = u) is zero, and splits are only tried on full tables. Give every "
                       "cell a weight, or drop states that have none, to settle it.", references=references)
    reasons: list[dict[str, Any]] = []
    unknown: list[int] = []
    for i in range(table.k):
        found = _split(table, i)
        if isinstance(found, Witness):
            return Finding("L2", Status.FAILS, Evidence.EXACT,
                           f"U[{i}] is two variables in one: {found.text}. The same law has a model with "
                           f"{table.k + 1} hidden variables and no twins.", found, references=references)
        reasons.append(found)
        if not found:
            unknown.append(i)
    if unknown:
        names = ", ".join(f"U[{i}] ({table.states[i]} states)" for i in unknown)
        return Finding("L2", Status.UNKNOWN, Evidence.EXACT,
                       f"Not all ways to split {names} were tried. Fewer than {MOST_STATES + 1} states, or laws of the "
                       "coordinates that differ between all states (L3), would settle it.", references=references)
    return Finding("L2", Status.HOLDS, Evidence.EXACT,
                   "However a hidden variable is split in two, two variables act on the same coordinates.",
                   Certificate("mixture.unsplittable", {"reasons": reasons}, "; ".join(map(_shown, reasons))),
                   references=references)


def _split(table: HiddenTable, i: int) -> Witness | dict[str, Any]:
    """A split of U[i] without twins, or the reason why there is none, or an empty one when that stays open."""
    near = table.neighbourhoods
    twins = next(([a, b] for a, b in itertools.combinations(range(table.k), 2)
                  if i not in (a, b) and near[a] == near[b]), None)
    if twins is not None:
        return {"variable": i, "twins": twins}
    classes = {t: _classes(table, i, t) for t in near[i]}
    sizes = [(t, sorted(len(block) for block in blocks)) for t, blocks in classes.items()]
    # A part that t does not see moves inside the classes of t, so its number of states divides all their sizes.
    if all(math.gcd(*row) == 1 for _, row in sizes):
        return {"variable": i, "sizes": [list(item) for item in sizes]}
    others = {tuple(near[j]) for j in range(table.k) if j != i}
    profiles = {t: np.array([next(c for c, block in enumerate(blocks) if u in block) for u in range(table.states[i])])
                for t, blocks in classes.items()}
    tried = 0
    small = table.states[i] <= MOST_STATES
    for grid in _all_grids(table.states[i]) if small else _nested_grids(classes):
        tried += 1
        row_near = tuple(t for t, label in profiles.items() if (label[grid] != label[grid[:1]]).any())
        column_near = tuple(t for t, label in profiles.items() if (label[grid] != label[grid[:, :1]]).any())
        if row_near != column_near and row_near not in others and column_near not in others:
            return Witness("mixture.split", {"variable": i, "grid": grid.tolist()},
                           f"with its states in the grid {grid.tolist()}, the row acts on {list(row_near)} and the "
                           f"column on {list(column_near)}")
    return {"variable": i, "grids": tried} if small else {}


def _classes(table: HiddenTable, i: int, t: int) -> list[list[int]]:
    """Classes of states of U[i] that give z[t] the same law in every configuration of the other variables."""
    along = np.moveaxis(table.labels[t], i, 0).reshape(table.states[i], -1)
    blocks: dict[bytes, list[int]] = {}
    for u, row in enumerate(along):
        blocks.setdefault(row.tobytes(), []).append(u)
    return list(blocks.values())


def _all_grids(d: int) -> Iterator[np.ndarray]:
    """Every way to write d states as a grid, up to exchanging rows, columns, and rows with columns of other size."""
    for height in (a for a in range(2, d) if d % a == 0 and a * a <= d):
        for rows in _partitions(tuple(range(d)), d // height):
            for orders in itertools.product(*(itertools.permutations(row) for row in rows[1:])):
                yield np.array([rows[0], *orders])


def _partitions(items: tuple[int, ...], size: int) -> Iterator[list[tuple[int, ...]]]:
    """Every partition into blocks of one size."""
    if not items:
        yield []
        return
    for rest in itertools.combinations(items[1:], size - 1):
        left = tuple(item for item in items[1:] if item not in rest)
        for blocks in _partitions(left, size):
            yield [(items[0], *rest), *blocks]


def _nested_grids(classes: dict[int, list[list[int]]]) -> Iterator[np.ndarray]:
    """Some grids whose columns lie inside the classes of a coordinate, which then does not see the row."""
    for blocks in classes.values():
        divisor = math.gcd(*(len(block) for block in blocks))
        for height in (a for a in range(2, divisor + 1) if divisor % a == 0):
            for shift in range(max(len(block) for block in blocks)):
                turned = [block[shift % len(block):] + block[:shift % len(block)] for block in blocks]
                yield np.array([block[c:c + height] for block in turned for c in range(0, len(block), height)]).T


def _dependent(table: HiddenTable) -> Certificate | None:
    for j in np.flatnonzero(table.live).tolist():
        sigma = table.prior.covariances_exact[j]
        for s, t in itertools.combinations(range(len(sigma)), 2):
            if sigma[s, t] != 0:
                return Certificate("mixture.dependent", {"component": j, "coordinates": [s, t]},
                                   f"covariances[{j}][{s}][{t}] is not zero")
    return None


def _shown(reason: dict[str, Any]) -> str:
    name = f"U[{reason['variable']}]"
    if "twins" in reason:
        return f"{name}: U[{reason['twins'][0]}] and U[{reason['twins'][1]}] are twins already"
    if "sizes" in reason:
        return f"{name}: no coordinate can see only a part of it"
    return f"{name}: all {reason['grids']} grids leave twins"
