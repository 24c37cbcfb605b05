"""Linear programs in rationals against HiGHS, and their proofs recomputed."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ident_theory.geometry.linear_programs import Constraint, Interior, Maximum, evaluate, interior, maximise

#: Data are whole numbers of at most 4 in dimension <= 5, so true values differ from a bound by more than this.
TOLERANCE = 1e-7
NO_OPTIMUM = (3, 4)  # HiGHS: unbounded, or infeasible or unbounded


@st.composite
def programs(draw, most: int = 9):
    """Constraints and an objective: cones, flat and empty polyhedra, copies and rows of zeros are common."""
    d = draw(st.integers(1, 5))
    entry = st.integers(-4, 4) if draw(st.booleans()) else st.integers(-1, 1)
    rows = [[draw(entry) for _ in range(d + 1)] for _ in range(draw(st.integers(0, most)))]
    kind = draw(st.sampled_from(["plain", "plain", "cone", "flat", "repeated", "box"]))
    if kind == "cone":
        rows = [[*row[:-1], 0] for row in rows]
    elif kind == "flat" and rows:
        rows.append([-v for v in rows[0]])
    elif kind == "repeated" and rows:
        rows += [rows[0], [2 * v for v in rows[-1]]]
    elif kind == "box":
        rows += [[*(int(i == j) * s for j in range(d)), 3] for i in range(d) for s in (1, -1)]
    if rows and draw(st.booleans()):
        rows.insert(draw(st.integers(0, len(rows))), [0] * d + [draw(st.integers(-1, 1))])
    return [[fmpq(v) for v in row] for row in rows], [fmpq(draw(entry)) for _ in range(d)]


def floats(constraints, d: int) -> np.ndarray:
    return np.array([[int(v.p) / int(v.q) for v in row] for row in constraints]).reshape(-1, d + 1)


def combination(constraints, multipliers, d: int) -> list[fmpq]:
    """Sum of multipliers times constraints, as a function [a, b]."""
    total = [fmpq(0)] * (d + 1)
    for k, y in multipliers.items():
        assert y > 0
        total = [t + y * v for t, v in zip(total, constraints[k], strict=True)]
    return total


def is_feasible(constraints, point) -> bool:
    return all(evaluate(g, point) >= 0 for g in constraints)


def check_interior(constraints: list[Constraint], d: int) -> Interior:
    """Compare with HiGHS and recompute the proof."""
    found = interior(constraints, d)
    table = floats(constraints, d)
    result = linprog([0.0] * d + [-1.0], np.hstack([-table[:, :-1], np.ones((len(table), 1))]) if len(table) else None,
                     table[:, -1] if len(table) else None, bounds=[(None, None)] * d + [(None, 1.0)])
    assert result.status == 0
    assert (found.point is not None) == (-result.fun > TOLERANCE)
    if found.point is not None:
        assert all(evaluate(g, found.point) > 0 for g in constraints)
        assert is_feasible(constraints, found.feasible)
        return found
    assert float(found.level.p) / float(found.level.q) == pytest.approx(-result.fun, abs=TOLERANCE)
    assert combination(constraints, found.multipliers, d) == [fmpq(0)] * d + [found.level]
    assert found.multipliers
    assert found.level <= 0
    assert (found.feasible is None) == (found.level < 0)
    assert found.feasible is None or is_feasible(constraints, found.feasible)
    return found


def objective_at(objective, point) -> fmpq:
    return sum((c * t for c, t in zip(objective, point, strict=True)), fmpq(0))


def check_maximum(constraints, objective, best: Maximum) -> None:
    """The value is attained, and value - c . t is the claimed non-negative combination for all t."""
    d = len(objective)
    assert is_feasible(constraints, best.point)
    assert objective_at(objective, best.point) == best.value
    assert combination(constraints, best.multipliers, d) == [*(-c for c in objective), best.value]


@settings(max_examples=400)
@given(programs())
def test_interior(program) -> None:
    constraints, objective = program
    check_interior(constraints, len(objective))


@settings(max_examples=400)
@given(programs(), st.integers(-6, 6))
def test_maximum_and_early_stop(program, level: int) -> None:
    constraints, objective = program
    d = len(objective)
    table = floats(constraints, d)
    cost = [-float(int(c.p)) for c in objective]
    result = linprog(cost, -table[:, :-1] if len(table) else None, table[:, -1] if len(table) else None,
                     bounds=[(None, None)] * d)
    start = interior(constraints, d).feasible
    if start is None:
        assert result.status == 2
        return
    best = maximise(constraints, objective, start)
    if best.value is None:
        assert result.status in NO_OPTIMUM
        assert is_feasible(constraints, best.point)
    else:
        assert result.status == 0
        assert float(best.value.p) / float(best.value.q) == pytest.approx(-result.fun, abs=TOLERANCE)
        check_maximum(constraints, objective, best)
    threshold = fmpq(level, 2)
    stopped = maximise(constraints, objective, start, threshold)
    assert (stopped.value is None) == (best.value is None or best.value > threshold)
    if stopped.value is None:
        assert is_feasible(constraints, stopped.point)
        assert objective_at(objective, stopped.point) > threshold
    else:
        check_maximum(constraints, objective, stopped)


def test_from_every_start_the_same_maximum() -> None:
    """A vertex, an edge and the interior of a degenerate octahedron with each constraint given twice."""
    signs = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    constraints = [[fmpq(v) for v in (*s, 1)] for s in signs] * 2
    objective = [fmpq(3), fmpq(1), fmpq(1)]
    for start in ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1], ["1/2", "-1/2", 0]):
        best = maximise(constraints, objective, [fmpq(*map(int, str(v).split("/"))) for v in start])
        assert best.value == 3
        check_maximum(constraints, objective, best)


def test_beale_s_example_does_not_cycle() -> None:
    """The standard program on which the largest-coefficient rule cycles: maximum 1/20 (Beale 1955)."""
    rows = [["-1/4", 60, "1/25", -9, 0], ["-1/2", 90, "1/50", -3, 0], [0, 0, -1, 0, 1],
            *([*(int(i == j) for j in range(4)), 0] for i in range(4))]
    constraints = [[fmpq(*map(int, str(v).split("/"))) for v in row] for row in rows]
    objective = [fmpq(3, 4), fmpq(-150), fmpq(1, 50), fmpq(-6)]
    best = maximise(constraints, objective, [fmpq(0)] * 4)
    assert best.value == fmpq(1, 20)
    check_maximum(constraints, objective, best)


def test_without_constraints() -> None:
    assert interior([], 3).point == [0, 0, 0]
    assert maximise([], [fmpq(0)] * 2, [fmpq(5)] * 2).value == 0
    assert maximise([], [fmpq(1), fmpq(0)], [fmpq(0)] * 2).value is None
