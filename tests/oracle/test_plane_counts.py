"""Counts, patterns and areas of the cells of two latents against independent enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ident_theory.geometry.plane import PlaneCell, plane_cells
from ident_theory.models import ReLUNetwork

Line = tuple[Fraction, Fraction, Fraction]
Point = tuple[Fraction, Fraction]
small = st.integers(-2, 2)


def of_lines(lines: Sequence[Sequence[object]]) -> ReLUNetwork:
    """One hidden unit a line a x + b y + c = 0."""
    return ReLUNetwork([[list(line[:2]) for line in lines], [[1] * len(lines)]], [[line[2] for line in lines], [0]])


def count_by_incidences(lines: Sequence[Sequence[object]]) -> int:
    """Zaslavsky: 1 + number of distinct lines + sum over points where lines meet of (lines through it - 1)."""
    distinct: set[Line] = set()
    for a, b, c in (map(Fraction, line) for line in lines):  # type: ignore[arg-type]
        if a or b:
            lead = a or b
            distinct.add((a / lead, b / lead, c / lead))
    through: dict[Point, set[Line]] = {}
    for (a, b, c), (d, e, f) in itertools.combinations(distinct, 2):
        det = a * e - b * d
        if det:
            point = (b * f - c * e) / det, (c * d - a * f) / det
            through.setdefault(point, set()).update([(a, b, c), (d, e, f)])
    return 1 + len(distinct) + sum(len(group) - 1 for group in through.values())


@pytest.mark.parametrize("count", [1, 4, 9, 40, 120])
@pytest.mark.parametrize("slope", [0, "1/8"])
def test_general_position(count: int, slope: object) -> None:
    rng = np.random.default_rng(count)
    network = ReLUNetwork([rng.normal(size=(count, 2)), np.ones((1, count))], [rng.normal(size=count), [0]], slope)
    cells = plane_cells(network)
    assert len(cells) == 1 + count + comb(count, 2)
    assert sum(not cell.is_bounded for cell in cells) == 2 * count


ADVERSARIAL = {
    "repeated": [(1, 2, 3)] * 4 + [(2, 4, 6), (-1, -2, -3)],
    "zero rows": [(0, 0, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0), (0, 1, 0)],
    "parallel": [(1, 1, k) for k in range(6)] + [(-2, -2, 5), (1, -1, 0)],
    "pencil": [(np.cos(k), np.sin(k), 0) for k in range(7)],
    "three through a far point": [(1, 0, -(10**30)), (0, 1, -(10**30)), (1, -1, 0), (1, 1, -2 * 10**30)],
    "nearly three through a point": [(1, 0, -1), (0, 1, -1), (1, 1, Fraction(-2 * 10**40 + 1, 10**40))],
    "nearly parallel": [(1, 1, 0), (1, Fraction(10**40 + 1, 10**40), 0), (1, 1, Fraction(1, 10**60))],
    "grid": [(1, 0, k) for k in range(5)] + [(0, 1, k) for k in range(5)] + [(1, 1, k) for k in range(5)],
    "tiny and huge": [(Fraction(1, 10**320), 1, 3), (10**320, 1, -2), (1, 10**200, Fraction(1, 10**400)),
                      (Fraction(1, 10**350), Fraction(3, 10**350), 7), (10**310, -(10**310), 10**315)],
    # Neighbouring Fibonacci numbers: nearly parallel integer lines through (900, -700), and others that just miss it.
    "integers too long for exact floats": [
        *[(a, b, 700 * b - 900 * a + d) for a, b, d in [(701408733, 1134903170, 0), (1134903170, 1836311903, 0),
                                                       (1836311903, 2971215073, 1)]],
        (1, 0, -900), (0, 1, 700), (1, 1, -200), (1000, -1, -900700), (1, -1, -1600), (999, 1000, -199099)],
    "thirds through a point": [(Fraction(1, 3), Fraction(2, 3), -1), (Fraction(1, 7), Fraction(1, 7), Fraction(-2, 7)),
                               (1, 0, -1), (0, 1, -1), (Fraction(1, 10**20), Fraction(-1, 10**20), 0)],
}


@pytest.mark.parametrize("lines", ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
def test_degenerate_arrangements(lines: list[tuple[object, ...]]) -> None:
    cells = plane_cells(of_lines(lines))
    assert len(cells) == count_by_incidences(lines)
    assert len({cell.pattern for cell in cells}) == len(cells)
    for cell in cells:
        check_pattern(of_lines(lines), cell)


@settings(max_examples=150)
@given(st.lists(st.tuples(small, small, small), min_size=1, max_size=9),
       st.sampled_from([Fraction(1), Fraction(1, 3), Fraction(10) ** 25, Fraction(1, 10**330)]))
def test_random_arrangements(lines: list[tuple[int, int, int]], factor: Fraction) -> None:
    scaled = [(a * factor, b * factor, c * factor) if k % 2 else (a, b, c) for k, (a, b, c) in enumerate(lines)]
    assert len(plane_cells(of_lines(scaled))) == count_by_incidences(lines)


@st.composite
def deep_networks(draw: st.DrawFn) -> ReLUNetwork:
    """Up to depth 4 with small integers, sometimes with rows repeated, negated, zero, tiny or huge."""
    widths = [2, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)), draw(st.integers(1, 2))]
    weights = [[[Fraction(draw(small)) for _ in range(a + 1)] for _ in range(b)] for a, b in itertools.pairwise(widths)]
    for layer in weights[:-1]:
        for k in range(1, len(layer)):
            factor = draw(st.sampled_from([None, None, None, -1, 1, Fraction(1, 3), 10**25, Fraction(1, 10**330)]))
            if factor is not None:
                layer[k] = [factor * v for v in layer[draw(st.integers(0, k - 1))]]
    return ReLUNetwork([[row[:-1] for row in layer] for layer in weights],
                       [[row[-1] for row in layer] for layer in weights],
                       draw(st.sampled_from([0, "1/4", "1/3", -1, "-1/2"])))


@st.composite
def nearly_degenerate_networks(draw: st.DrawFn) -> ReLUNetwork:
    """The chords of the second layer meet in one point of the plane, or miss it by very little."""
    slope = draw(st.sampled_from([Fraction(1, 4), Fraction(1, 3), Fraction(0), Fraction(-1)]))
    factors = st.sampled_from([Fraction(1), Fraction(1, 3), Fraction(2**30 + 1), Fraction(10) ** 25,
                               Fraction(2, 7), Fraction(10) ** 90, Fraction(10) ** 307])
    first = []
    for _ in range(draw(st.integers(2, 4))):
        factor = draw(factors)
        first.append([factor * draw(st.integers(-5, 5)) for _ in range(3)])
    x, y = Fraction(draw(st.integers(-9, 9)), 7), Fraction(draw(st.integers(-9, 9)), 11)
    hidden = [a * x + b * y + c for a, b, c in first]
    hidden = [v if v > 0 else slope * v for v in hidden]
    second, offsets = [], []
    for _ in range(draw(st.integers(2, 5))):
        factor = draw(factors)
        row = [factor * draw(st.integers(-5, 5)) for _ in hidden]
        off = draw(st.sampled_from([Fraction(0), Fraction(1, 10**14), Fraction(-1, 10**20), Fraction(1, 10**40)]))
        second.append(row)
        offsets.append(off - sum(w * v for w, v in zip(row, hidden, strict=True)))
    return ReLUNetwork([[row[:2] for row in first], second, [[1] * len(second)]],
                       [[row[2] for row in first], offsets, [0]], slope)


def fractions(values: Sequence[fmpq]) -> list[Fraction]:
    return [Fraction(int(v.p), int(v.q)) for v in values]


def check_pattern(network: ReLUNetwork, cell: PlaneCell) -> None:
    """In Fractions: every unit has its sign at all corners and, strictly, at an inner point; the value of the map."""
    rows = region(network, cell.pattern)
    assert rows is not None
    corners = [fractions(corner) for corner in cell.corners]
    assert all(a * x + b * y + c * w >= 0 for a, b, c in rows for x, y, w in corners)
    point = cell.interior_point()
    hidden, signs = fractions(point), ""
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        hidden = [sum((v * x for v, x in zip(row, hidden, strict=True)), start=c) for row, c in zip(w, b, strict=True)]
        if layer < network.depth - 1:
            signs += "".join("+" if v >= 0 else "-" for v in hidden)
            hidden = [v if v > 0 else network.negative_slope_exact * v for v in hidden]
    assert cell.pattern == signs
    assert fractions(cell.value(*point)) == hidden


def region(network: ReLUNetwork, pattern: str) -> list[Line] | None:
    """The rows a x + b y + c >= 0 of a pattern, by substitution; None where a unit is constant of the other sign."""
    rows: list[Line] = []
    zero, one = Fraction(0), Fraction(1)
    forms: list[Line] = [(one, zero, zero), (zero, one, zero)]
    signs = iter(pattern)
    for w, bias in zip(network.weights_exact[:-1], network.biases_exact[:-1], strict=True):
        units = [tuple(sum((v * form[k] for v, form in zip(row, forms, strict=True)), start=c if k == 2 else zero)
                       for k in range(3)) for row, c in zip(w, bias, strict=True)]
        forms = []
        for a, b, c in units:
            positive = next(signs) == "+"
            if not (a or b) and (c >= 0) != positive:
                return None
            if a or b:
                rows.append((a, b, c) if positive else (-a, -b, -c))
            factor = Fraction(1) if positive else network.negative_slope_exact
            forms.append((factor * a, factor * b, factor * c))
    return rows


def has_interior(rows: list[Line]) -> bool:
    """Whether rows hold strictly somewhere: proposed by a linear program, then proved in Fractions.

    Where no inner point is proposed, the program's multipliers, rounded, must prove that there is none.
    """
    if not rows:
        return True
    scaled = [tuple(v / max(map(abs, row[:2])) for v in row) for row in rows]
    table = np.array(scaled, dtype=float)
    result = linprog([0, 0, -1], A_ub=np.column_stack([-table[:, :2], np.ones(len(rows))]), b_ub=table[:, 2],
                     bounds=[(None, None)] * 2 + [(None, 1)], method="highs-ds")
    assert result.status == 0
    x, y = (Fraction(float(v)) for v in result.x[:2])
    if all(a * x + b * y + c > 0 for a, b, c in scaled):
        return True
    # sum m (a, b) = 0, sum m c <= 0, m >= 0 not all 0: no point has all rows positive.
    active = [k for k, m in enumerate(result.ineqlin.marginals) if m < -1e-9]
    assert any(proves_empty([scaled[k] for k in group]) for size in (2, 3)
               for group in itertools.combinations(active, size)), (result.x, scaled)
    return False


def proves_empty(rows: list[tuple[Fraction, ...]]) -> bool:
    """Whether the multipliers that cancel two or three normals have no negative entry and give sum m c <= 0."""
    if len(rows) == 2:
        (a, b, _), (d, e, _) = rows
        if a * e != b * d:
            return False
        multipliers = [abs(d) + abs(e), abs(a) + abs(b)]
    else:
        (a, b, _), (d, e, _), (g, h, _) = rows
        multipliers = [d * h - e * g, g * b - h * a, a * e - b * d]
        if max(multipliers) <= 0:
            multipliers = [-m for m in multipliers]
    if min(multipliers) < 0 or not any(multipliers):
        return False
    sums = [sum(m * row[k] for m, row in zip(multipliers, rows, strict=True)) for k in range(3)]
    return not (sums[0] or sums[1]) and sums[2] <= 0


@st.composite
def small_networks(draw: st.DrawFn) -> ReLUNetwork:
    """At most six hidden units."""
    hidden = draw(st.sampled_from([[2], [5], [2, 2], [3, 2], [2, 3], [2, 2, 2], [1, 2, 3]]))
    widths = [2, *hidden, 1]
    weights = [[[draw(small) for _ in range(a)] for _ in range(b)] for a, b in itertools.pairwise(widths)]
    return ReLUNetwork(weights, [[draw(small) for _ in range(b)] for b in widths[1:]],
                       draw(st.sampled_from([0, "1/4", -1])))


@settings(max_examples=60)
@given(small_networks())
def test_patterns_are_those_with_an_interior(network: ReLUNetwork) -> None:
    units = sum(len(b) for b in network.biases_exact[:-1])
    feasible = set()
    for signs in itertools.product("+-", repeat=units):
        rows = region(network, "".join(signs))
        if rows is not None and has_interior(rows):
            feasible.add("".join(signs))
    assert [cell.pattern for cell in plane_cells(network)] == sorted(feasible)


def area_in_box(cell: PlaneCell, size: Fraction) -> Fraction:
    """Area of the part with |x|, |y| <= size: the square cut by the sides of the cell."""
    square = [(size, size), (-size, size), (-size, -size), (size, -size)]
    for side in cell.sides():
        a, b, c = fractions([*side.normal, side.offset])
        kept: list[Point] = []
        for (x, y), (u, v) in zip(square, square[1:] + square[:1], strict=True):
            here, there = a * x + b * y - c, a * u + b * v - c
            if here <= 0:
                kept.append((x, y))
            if here * there < 0:
                t = here / (here - there)
                kept.append((x + t * (u - x), y + t * (v - y)))
        square = kept
        if not square:
            return Fraction(0)
    return sum((x * v - u * y for (x, y), (u, v) in zip(square, square[1:] + square[:1], strict=True)),
               start=Fraction(0)) / 2


def float_patterns(network: ReLUNetwork, z: np.ndarray) -> list[str]:
    """Patterns of points of which no unit is close to zero."""
    hidden, signs, clear = z, [], np.ones(len(z), dtype=bool)
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = hidden @ w.T + b
        clear &= (np.abs(hidden) > 1e-9 * (1 + np.abs(hidden).max())).all(axis=1)
        signs.append(hidden > 0)
        hidden = np.where(hidden > 0, hidden, network.negative_slope * hidden)
    return ["".join("+" if s else "-" for s in row) for row in np.hstack(signs)[clear]]


def check_cells(network: ReLUNetwork, size: Fraction) -> None:
    """Areas in a box sum to that of the box, patterns are distinct and right, and so are the maps."""
    cells = plane_cells(network)
    assert sum(area_in_box(cell, size) for cell in cells) == 4 * size**2
    assert len({cell.pattern for cell in cells}) == len(cells)
    for cell in cells:
        check_pattern(network, cell)


@settings(max_examples=80)
@given(deep_networks(), st.sampled_from([Fraction(1, 3), Fraction(7)]))
def test_deep_networks(network: ReLUNetwork, size: Fraction) -> None:
    check_cells(network, size)


@settings(max_examples=150)
@given(nearly_degenerate_networks())
def test_nearly_degenerate_networks(network: ReLUNetwork) -> None:
    check_cells(network, Fraction(2))


def test_a_unit_that_floats_cancel() -> None:
    # (2^60 + 1) h - 2^60 h = h in exact numbers, 0 in floats.
    long, short = (ReLUNetwork([[[1, 0], [1, 0], [0, 1]], [row, [1, 0, 1], [0, 1, -1]], [[1, 1, 1]]],
                               [[3, 3, 0], [-2, 0, 0], [0]], "1/2") for row in ([2**60 + 1, -(2**60), 0], [1, 0, 0]))
    assert plane_cells(long) == plane_cells(short)


def test_short_lines_through_a_corner_of_long_ones() -> None:
    # The first two units meet in (900, -700) at a tiny angle; the second layer's chords are short, on and off it.
    a, b, c = 701408733, 1134903170, 1836311903
    network = ReLUNetwork([[[a, b], [b, c], [1, 0], [0, 1]], [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 2, -1]], [[1, 1, 1]]],
                          [[700 * b - 900 * a, 700 * c - 900 * b, 1000, 1000], [-2200, -2201, -3500], [0]], 0)
    check_cells(network, Fraction(2000))


@pytest.mark.parametrize("widths", [(2, 12, 12, 2), (2, 6, 6, 6, 1)])
@pytest.mark.parametrize("slope", [0, 0.01])
def test_sampled_patterns_of_random_networks_are_cells(widths: tuple[int, ...], slope: float) -> None:
    rng = np.random.default_rng(17)
    network = ReLUNetwork([rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)],
                          [rng.normal(size=b) for b in widths[1:]], slope)
    cells = plane_cells(network)
    patterns = {cell.pattern for cell in cells}
    assert len(patterns) == len(cells)
    sampled = {p for scale in (0.3, 1, 4, 1000) for p in float_patterns(network, rng.normal(size=(20000, 2)) * scale)}
    assert sampled <= patterns
    assert len(sampled) > len(cells) / 2
    assert sum(area_in_box(cell, Fraction(3)) for cell in cells) == 36
    for cell in cells[::7]:
        check_pattern(network, cell)
