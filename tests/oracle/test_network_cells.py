"""The cells of networks of any number of latents: all sign patterns one by one, counts, and the verifier."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest
from common.network_strategies import SLOPES, random_network, small_networks
from hypothesis import given, settings
from scipy.optimize import linprog

from ident_theory import ReLUNetwork
from ident_theory.exact.network_cells import Network, read_tree
from ident_theory.geometry.cells import Cell, CellWalk
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.linear_programs import evaluate
from ident_theory.geometry.plane import plane_cells

#: The widest ball in a cell of a network of few units with entries of at most 2 is far wider.
LEAST_WIDTH = 1e-7


def walked(network: ReLUNetwork) -> tuple[list[Cell], list]:
    walk = CellWalk(network)
    return list(walk), [[sign] if sign == "b" else [sign, sorted(y)] for sign, y in walk.tree]


def preactivations(network: ReLUNetwork, signs) -> tuple[np.ndarray, np.ndarray]:
    """Rows [a, b] of all hidden units along a pattern, and of the outputs, in fractions."""
    m = network.latent_dim
    forms = np.array([[Fraction(int(i == j)) for j in range(m + 1)] for i in range(m)])
    hidden = np.empty((0, m + 1), dtype=object)
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        forms = w.dot(forms)
        forms[:, m] += b
        if layer < network.depth - 1:
            part = signs[len(hidden):len(hidden) + len(forms)]
            hidden = np.vstack([hidden, forms])
            forms = forms * np.array([Fraction(1) if s == "+" else network.negative_slope_exact for s in part])[:, None]
    return hidden, forms


def has_interior(hidden: np.ndarray, signs) -> bool:
    """By HiGHS: the largest margin of all constraints, each scaled to a row of norm about one."""
    rows = []
    for row, sign in zip(hidden, signs, strict=True):
        if any(row[:-1]):
            factor = (1 if sign == "+" else -1) / max(abs(v) for v in row[:-1])
            rows.append([float(v * factor) for v in row])
        elif (row[-1] >= 0) != (sign == "+"):
            return False
    if not rows:
        return True
    table = np.array(rows)
    d = table.shape[1] - 1
    result = linprog([0.0] * d + [-1.0], np.hstack([-table[:, :-1], np.ones((len(table), 1))]), table[:, -1],
                     bounds=[(None, None)] * d + [(None, 1.0)])
    assert result.status == 0
    return bool(-result.fun > LEAST_WIDTH)


def check_cells(network: ReLUNetwork) -> list[Cell]:
    """Every cell by itself: the point, the map, the constraints left out; then the whole tree by the verifier."""
    cells, tree = walked(network)
    leaves = read_tree(Network({"decoder": network.plain()}), tree)
    assert [leaf.signs for leaf in leaves] == [cell.pattern for cell in cells]
    for cell, leaf in zip(cells, leaves, strict=True):
        assert leaf.holds_inside(cell.point)
        assert leaf.image == [[*row, c] for row, c in zip(cell.matrix, cell.offset, strict=True)]
        assert cell.contains_inside(cell.point)
        assert list(cell.constraints) == [leaf.constraint(k) for k in cell.units]
        functions = {k: leaf.constraint(k) for k in range(len(cell.pattern))}
        known = set(cell.units)
        for unit, multipliers in reversed(cell.implied):
            assert set(multipliers) <= known
            assert all(y > 0 for y in multipliers.values())
            rest = [v - sum((y * functions[k][j] for k, y in multipliers.items()), 0 * v)
                    for j, v in enumerate(functions[unit])]
            assert not any(rest[:-1])
            assert rest[-1] >= 0
            known.add(unit)
        assert known <= set(functions)
    return cells


@settings(max_examples=120)
@given(small_networks(hidden=6))
def test_all_sign_patterns_with_an_interior(network: ReLUNetwork) -> None:
    cells = check_cells(network)
    size = sum(w.shape[0] for w in network.weights_exact[:-1])
    expected = []
    for signs in product("+-", repeat=size):
        hidden, _ = preactivations(network, signs)
        if has_interior(hidden, signs):
            expected.append("".join(signs))
    assert [cell.pattern for cell in cells] == expected


@settings(max_examples=60)
@given(small_networks(m=2, hidden=10, slopes=[slope for slope in SLOPES if slope != 1]))
def test_patterns_of_the_plane(network: ReLUNetwork) -> None:
    """The walk over polygons of the plane shares nothing with linear programs. (For slope 1 it makes no cuts.)"""
    cells = {cell.pattern: cell for cell in check_cells(network)}
    polygons = plane_cells(network)
    assert sorted(cells) == sorted(polygon.pattern for polygon in polygons)
    for polygon in polygons:
        assert cells[polygon.pattern].contains_inside(list(polygon.interior_point()))


@settings(max_examples=80)
@given(small_networks(m=1, hidden=12))
def test_pieces_of_the_line(network: ReLUNetwork) -> None:
    """Every piece of the line is made of whole cells, with the same values."""
    cells = check_cells(network)
    pieces = line_pieces(network)
    met = set()
    for cell in cells:
        z = cell.point[0]
        homes = [k for k in range(pieces.n_pieces) if pieces.contains(k, z)]
        assert len(homes) == 1
        k = homes[0]
        met.add(k)
        assert [row[0] for row in cell.matrix] == list(pieces.slopes[k])
        assert list(cell.offset) == list(pieces.intercepts[k])
        assert not any(cell.contains_inside([t]) for t in pieces.breakpoints)
    assert met == set(range(pieces.n_pieces))


@pytest.mark.parametrize("slope", SLOPES)
def test_every_slope(slope) -> None:
    """The cells of the first layer do not depend on the slope; those of later ones do, and verify."""
    rng = Random(5)
    for widths in ([2, 3, 3, 2], [3, 4, 3, 3], [1, 3, 2, 2, 1]):
        network = random_network(rng, widths, 2, slope)
        cells = check_cells(network)
        shallow = ReLUNetwork([w.tolist() for w in network.weights_exact[:2]],
                              [b.tolist() for b in network.biases_exact[:2]], slope)
        first = {cell.pattern for cell in walked(shallow)[0]}
        assert {cell.pattern[:widths[1]] for cell in cells} == first


@pytest.mark.parametrize(("m", "units"), [(1, 9), (2, 8), (3, 7), (4, 6), (4, 3)])
def test_arrangements_in_general_position(m: int, units: int) -> None:
    r"""Hyperplanes in general position cut R^m into :math:`\sum_{k \le m} \binom{n}{k}` cells (Zaslavsky 1975)."""
    # Rows (1, t, t^2, ...) are independent in every choice (Vandermonde), and so are those with t^m as the bias.
    rows = [[t**k for k in range(m)] for t in range(1, units + 1)]
    network = ReLUNetwork([rows, [[1] * units]], [[t**m for t in range(1, units + 1)], [0]])
    assert len(check_cells(network)) == sum(math.comb(units, k) for k in range(m + 1))


@pytest.mark.parametrize(("m", "units"), [(2, 5), (3, 5), (4, 5)])
def test_central_arrangements_in_general_position(m: int, units: int) -> None:
    r"""Through the origin: :math:`2 \sum_{k < m} \binom{n - 1}{k}` cones (Schlaefli)."""
    rows = [[t**k for k in range(m)] for t in range(1, units + 1)]
    network = ReLUNetwork([rows, [[1] * units]], [[0] * units, [0]])
    assert len(check_cells(network)) == 2 * sum(math.comb(units - 1, k) for k in range(m))


def test_units_that_are_zero_and_rows_that_repeat() -> None:
    """A unit that is zero counts as '+', copies and opposites add no cells."""
    network = ReLUNetwork([[[0, 0], [1, 0], [1, 0], [-1, 0], [0, 0], [0, 1]], [[1] * 6]], [[0, 1, 1, -1, -1, 0], [0]])
    assert [cell.pattern for cell in check_cells(network)] == ["+++--+", "+++---", "+--+-+", "+--+--"]


def test_a_unit_of_a_later_layer_that_is_zero_on_one_cell_only() -> None:
    """relu(z) is zero on the left, so the second layer's unit is zero there and '+'."""
    network = ReLUNetwork([[[1]], [[-1]], [[1]]], [[0], [0], [0]])
    assert [cell.pattern for cell in check_cells(network)] == ["+-", "-+"]


def test_a_plain_affine_map_is_one_cell() -> None:
    cells = check_cells(ReLUNetwork([[[1, 2, 3]]], [[4]]))
    assert [cell.pattern for cell in cells] == [""]
    assert evaluate([*cells[0].matrix[0], cells[0].offset[0]], cells[0].point) == 4


def test_many_constraints_are_thinned() -> None:
    """Enough units that constraints are dropped; what was dropped follows from the rest (see check_cells)."""
    network = random_network(Random(1), [2, 8, 8, 2])
    assert any(cell.implied for cell in check_cells(network))
