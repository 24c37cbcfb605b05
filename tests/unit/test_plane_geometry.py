"""The cells of networks of two latents."""

from __future__ import annotations

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ident_theory.errors import BudgetExceeded, InputError
from ident_theory.geometry.plane import PlaneCell, iter_plane_cells, plane_cells
from ident_theory.models import PiecewiseAffineMap, ReLUNetwork

small = st.integers(-3, 3)


@st.composite
def networks(draw: st.DrawFn, hidden: int = 2, width: int = 4) -> ReLUNetwork:
    """Networks with small integer weights: parallel, equal and dead units are frequent."""
    widths = [2, *draw(st.lists(st.integers(1, width), min_size=1, max_size=hidden)), draw(st.integers(1, 3))]
    weights = [[[draw(small) for _ in range(a)] for _ in range(b)] for a, b in itertools.pairwise(widths)]
    biases = [[draw(small) for _ in range(b)] for b in widths[1:]]
    return ReLUNetwork(weights, biases, draw(st.sampled_from([0, "1/4", -1, 1])))


def exact(z: np.ndarray) -> tuple[fmpq, fmpq]:
    return fmpq(*float(z[0]).as_integer_ratio()), fmpq(*float(z[1]).as_integer_ratio())


def as_float(values: tuple[fmpq, ...]) -> np.ndarray:
    return np.array([float(Fraction(int(v.p), int(v.q))) for v in values])


def turns_left(cell: PlaneCell) -> bool:
    """Whether all corners, in homogeneous coordinates, follow one another anticlockwise."""
    c = cell.corners
    for p, q, r in zip(c, c[1:] + c[:1], c[2:] + c[:2], strict=True):
        det = (p[0] * (q[1] * r[2] - q[2] * r[1]) - p[1] * (q[0] * r[2] - q[2] * r[0])
               + p[2] * (q[0] * r[1] - q[1] * r[0]))
        if det < 0:
            return False
    return True


@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks(), st.integers(0, 2**32 - 1))
def test_cells_partition_the_plane_and_carry_the_map(network: ReLUNetwork, seed: int) -> None:
    cells = plane_cells(network)
    assert all(turns_left(cell) for cell in cells)
    for cell in cells:
        inside = cell.interior_point()
        assert sum(other.contains(*inside) for other in cells) == 1
        assert all(s.normal[0] * inside[0] + s.normal[1] * inside[1] < s.offset for s in cell.sides())
    rng = np.random.default_rng(seed)
    for z in rng.normal(size=(12, 2)) * 4:
        home = [cell for cell in cells if cell.contains(*exact(z))]
        assert len(home) == 1
        np.testing.assert_allclose(as_float(home[0].value(*exact(z))), network(z[None])[0], rtol=1e-12, atol=1e-10)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(networks())
def test_corners_lie_in_the_cell_and_sides_run_through_their_ends(network: ReLUNetwork) -> None:
    for cell in plane_cells(network):
        for x, y in cell.points:
            assert cell.contains(x, y)
        assert cell.is_bounded == all(c[2] != 0 for c in cell.corners)
        x0, y0 = cell.interior_point()
        for x, y, w in cell.corners:
            if not w:
                assert cell.contains(x0 + 1000 * x, y0 + 1000 * y)
        for side in cell.sides():
            for end in (side.start, side.end):
                if end is not None:
                    x, y = cell.points[end]
                    assert side.normal[0] * x + side.normal[1] * y == side.offset


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_lines_in_general_position(count: int) -> None:
    rng = np.random.default_rng(count)
    network = ReLUNetwork([rng.normal(size=(count, 2)), np.ones((1, count))], [rng.normal(size=count), [0]])
    assert len(plane_cells(network)) == 1 + count + count * (count - 1) // 2


def test_count_agrees_with_sign_patterns_found_by_linear_programs() -> None:
    rng = np.random.default_rng(5)
    w, b = rng.integers(-3, 4, size=(6, 2)), rng.integers(-2, 3, size=6)
    count = 0
    for signs in itertools.product([-1, 1], repeat=6):
        # Largest margin t with signs (w z + b) >= t, t <= 1.
        a = np.column_stack([-np.array(signs)[:, None] * w, np.ones(6)])
        result = linprog([0, 0, -1], A_ub=a, b_ub=np.array(signs) * b, bounds=[(None, None)] * 2 + [(None, 1)])
        count += result.status == 0 and result.x[2] > 1e-9
    dead = np.all(w == 0, axis=1) & (b == 0)
    assert not dead.any()
    assert len(plane_cells(ReLUNetwork([w, np.ones((1, 6))], [b, [0]]))) == count


def test_whole_plane_half_planes_and_strips() -> None:
    whole, = plane_cells(ReLUNetwork([[[1, 2], [3, 4]]], [[5, 6]]))
    assert whole.sides() == ()
    assert whole.points == ()
    assert whole.rank() == 2
    halves = plane_cells(ReLUNetwork([[[0, 1]], [[1]]], [[-3], [0]]))
    assert [len(cell.sides()) for cell in halves] == [1, 1]
    assert all(s.start is None and s.end is None for cell in halves for s in cell.sides())
    strips = plane_cells(ReLUNetwork([[[1, 1], [1, 1], [2, 2]], [[1, 1, 1]]], [[0, -1, -6], [0]]))
    assert sorted(len(cell.sides()) for cell in strips) == [1, 1, 2, 2]
    assert sorted(cell.rank() for cell in strips) == [0, 1, 1, 1]


def test_a_quarter_drops_the_point_of_its_former_line() -> None:
    cells = plane_cells(ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, -5], [0]]))
    assert [len(cell.points) for cell in cells] == [1, 1, 1, 1]
    assert all(len(cell.sides()) == 2 for cell in cells)


def test_slope_one_is_affine() -> None:
    network = ReLUNetwork([[[1, 2], [3, 4]], [[1, 1]]], [[1, 0], [0]], negative_slope=1)
    cell, = plane_cells(network)
    assert cell.pattern == "++"
    deeper = ReLUNetwork([[[1, 2], [3, 4]], [[1, 1]], [[2]]], [[1, 0], [0], [-5]], negative_slope=1)
    assert [(c.pattern, c.matrix, c.offset) for c in plane_cells(deeper)] == [("+++", ((8, 12),), (-3,))]


def test_patterns_name_the_units_of_all_hidden_layers() -> None:
    # Units x, 0 and -1, then x+ - 1 and 0.
    network = ReLUNetwork([[[1, 0], [0, 0], [0, 0]], [[1, 5, 0], [0, 0, 0]], [[1, 1]]], [[0, 0, -1], [-1, 0], [0]])
    assert [cell.pattern for cell in plane_cells(network)] == ["++-++", "++--+", "-+--+"]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(networks())
def test_cells_come_in_the_order_of_their_patterns(network: ReLUNetwork) -> None:
    patterns = [cell.pattern for cell in iter_plane_cells(network)]
    assert patterns == sorted(set(patterns))


@pytest.mark.parametrize("widths", [(2, 30, 40, 1), (2, 80, 1)])
def test_memory_does_not_grow_with_the_cells(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    network = ReLUNetwork([rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)],
                          [rng.normal(size=b) for b in widths[1:]], "1/4")
    peaks = []
    for count in (1, 1200, 3000):  # the first compiles
        tracemalloc.start()
        for _ in itertools.islice(iter_plane_cells(network), count):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_a_limit_is_not_mistaken_for_the_end() -> None:
    network = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
    assert len(list(iter_plane_cells(network, limit=4))) == 4
    cells = iter_plane_cells(network, limit=3)
    assert [next(cells).pattern for _ in range(3)] == ["++", "+-", "-+"]
    with pytest.raises(BudgetExceeded, match="limit=3"):
        next(cells)


@pytest.mark.parametrize("decoder", [
    ReLUNetwork([[[1]], [[1]]], [[0], [0]]), PiecewiseAffineMap([0], [0, 1], [0, 0]),
    ReLUNetwork([[[1, 2, 3]], [[1]]], [[0], [0]])])
def test_other_numbers_of_latents_are_refused(decoder: ReLUNetwork | PiecewiseAffineMap) -> None:
    for cells in (plane_cells, iter_plane_cells):
        with pytest.raises(InputError, match="two latents"):
            cells(decoder)
