"""Linear programs in rationals: small dimensions, every answer with its proof.

A constraint is a list of rationals ``[a_1, ..., a_d, b]`` and stands for a . t + b >= 0. The questions here have a few
variables and some dozens of constraints, where the simplex method on rationals takes less time than handing a problem
to a floating-point solver and proving its proposal afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flint import fmpq

Constraint = Sequence[fmpq]
Point = list[fmpq]
#: Non-negative factors by position of the constraint; those that are zero are left out.
Multipliers = dict[int, fmpq]

ZERO, ONE = fmpq(0), fmpq(1)


@dataclass(frozen=True)
class Maximum:
    """The maximum of c . t over a polyhedron.

    Attributes
    ----------
    value : fmpq or None
        None when unbounded, or when the search stopped early above its threshold.
    point : list of fmpq
        Where it is attained; when stopped early or unbounded, a point above the threshold.
    multipliers : dict
        For a maximum: value - c . t = sum of multipliers times constraints, for all t.
    """

    value: fmpq | None
    point: Point
    multipliers: Multipliers


@dataclass(frozen=True)
class Interior:
    """Whether a polyhedron has an interior.

    Attributes
    ----------
    point : list of fmpq or None
        A point of the interior, None when there is none.
    multipliers : dict
        When there is none: sum of multipliers times constraints is the constant `level` <= 0, for all t.
    level : fmpq
        Negative for an empty polyhedron, zero for one that is not empty but flat.
    feasible : list of fmpq or None
        A point of the polyhedron; None when it is empty.
    """

    point: Point | None
    multipliers: Multipliers
    level: fmpq
    feasible: Point | None


def evaluate(constraint: Constraint, point: Sequence[fmpq]) -> fmpq:
    """a . t + b."""
    total = constraint[-1]
    for a, t in zip(constraint, point, strict=False):
        if a:
            total += a * t
    return total


def towards(start: Sequence[fmpq], inside: Sequence[fmpq], value: fmpq, other: fmpq) -> Point:
    """A point on the way from a boundary point to an interior one, itself in the interior.

    It lies half way to where a function vanishes that is `value` at the start and `other`, of the other sign, inside.
    """
    share = abs(value) / (abs(value) + abs(other)) / 2
    return [q + share * (p - q) for p, q in zip(inside, start, strict=True)]


def step_inside(constraints: Sequence[Constraint], point: Sequence[fmpq], direction: Sequence[fmpq]) -> fmpq:
    """A step along a direction that keeps an interior point inside, both ways."""
    step = ONE
    for g in constraints:
        slope = abs(sum((a * v for a, v in zip(g[:-1], direction, strict=False)), ZERO))
        if slope:
            step = min(step, evaluate(g, point) / slope / 2)
    return step


def maximise(constraints: Sequence[Constraint], objective: Sequence[fmpq], start: Sequence[fmpq],
             threshold: fmpq | None = None) -> Maximum:
    """The maximum of objective . t over all t with every constraint >= 0, from a feasible `start`.

    With a `threshold` the search stops at the first point above it. Exact; Bland's rule, so it always ends.
    """
    d = len(objective)
    # Rows of the dictionary: basic = row[-1] + sum row[j] nonbasic_j. Variables are numbered -1-i for t_i (free,
    # measured from the start) and k for the slack of constraint k.
    nonbasic = [-1 - i for i in range(d)]
    basic = list(range(len(constraints)))
    rows = [[*constraint[:d], evaluate(constraint, start)] for constraint in constraints]
    gain = [*objective, ZERO]
    base = sum((c * t for c, t in zip(objective, start, strict=True)), ZERO)
    while True:
        if threshold is not None and base + gain[-1] > threshold:
            return Maximum(None, _place(rows, basic, nonbasic, start), {})
        entering = _entering(nonbasic, gain)
        if entering is None:
            multipliers = {k: -gain[j] for j, k in enumerate(nonbasic) if k >= 0 and gain[j]}
            return Maximum(base + gain[-1], _place(rows, basic, nonbasic, start), multipliers)
        up = gain[entering] > 0
        leaving, least = -1, ZERO
        for i, row in enumerate(rows):
            slope = row[entering] if up else -row[entering]
            if slope < 0 and basic[i] >= 0:
                step = row[-1] / -slope
                if leaving < 0 or step < least or (step == least and basic[i] < basic[leaving]):
                    leaving, least = i, step
        if leaving < 0:
            return Maximum(None, _far(rows, basic, nonbasic, start, entering, up, base + gain[-1], gain[entering],
                                      threshold), {})
        _pivot(rows, gain, basic, nonbasic, leaving, entering)


def _entering(nonbasic: list[int], gain: list[fmpq]) -> int | None:
    """Position of the variable to move: a free one in either direction, or the first slack that gains."""
    best: int | None = None
    for j, k in enumerate(nonbasic):
        if k < 0:
            if gain[j]:
                return j
        elif gain[j] > 0 and (best is None or k < nonbasic[best]):
            best = j
    return best


def _pivot(rows: list[list[fmpq]], gain: list[fmpq], basic: list[int], nonbasic: list[int], i: int, j: int) -> None:
    pivot = rows[i]
    inverse = 1 / pivot[j]
    solved = [-v * inverse for v in pivot]
    solved[j] = inverse
    rows[i] = solved
    for r, row in enumerate(rows):
        if r != i:
            factor = row[j]
            if factor:
                rows[r] = [v + factor * s for v, s in zip(row, solved, strict=True)]
                rows[r][j] = factor * inverse
    factor = gain[j]
    gain[:] = [v + factor * s for v, s in zip(gain, solved, strict=True)]
    gain[j] = factor * inverse
    basic[i], nonbasic[j] = nonbasic[j], basic[i]


def _place(rows: list[list[fmpq]], basic: list[int], nonbasic: list[int], start: Sequence[fmpq]) -> Point:
    point = list(start)
    for row, k in zip(rows, basic, strict=True):
        if k < 0:
            point[-1 - k] += row[-1]
    return point


def _far(rows: list[list[fmpq]], basic: list[int], nonbasic: list[int], start: Sequence[fmpq], entering: int,
         up: bool, value: fmpq, slope: fmpq, threshold: fmpq | None) -> Point:
    """A point on the unbounded ray that begins at the present vertex, above the threshold."""
    step = ONE
    if threshold is not None and value <= threshold:
        step += (threshold - value) / abs(slope)
    if not up:
        step = -step
    point = _place(rows, basic, nonbasic, start)
    for row, k in zip(rows, basic, strict=True):
        if k < 0:
            point[-1 - k] += step * row[entering]
    if nonbasic[entering] < 0:
        point[-1 - nonbasic[entering]] += step
    return point


def interior(constraints: Sequence[Constraint], d: int) -> Interior:
    """A point where every constraint is > 0, or the proof that there is none.

    A constraint without a linear part counts as its constant: zero or less leaves no interior.
    """
    # The largest s with a . t + b >= s for all constraints, cut off at s <= 1.
    lowest = min((constraint[-1] for constraint in constraints), default=ONE)
    if lowest > 0:
        return Interior([ZERO] * d, {}, ONE, [ZERO] * d)
    lifted: list[list[fmpq]] = [[*constraint[:d], -ONE, constraint[-1]] for constraint in constraints]
    lifted.append([*[ZERO] * d, -ONE, ONE])
    objective = [*[ZERO] * d, ONE]
    best = maximise(lifted, objective, [*[ZERO] * d, lowest], threshold=ZERO)
    if best.value is None:
        return Interior(best.point[:d], {}, ONE, best.point[:d])
    return Interior(None, {k: y for k, y in best.multipliers.items() if k < len(constraints)}, best.value,
                    None if best.value < 0 else best.point[:d])
