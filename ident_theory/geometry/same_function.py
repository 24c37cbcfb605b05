"""Whether two decoders are the same function on all of R^m, in rationals, with a point where they differ if not."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from flint import fmpq

from ident_theory.errors import InputError
from ident_theory.geometry.cell_images import OutOfTime
from ident_theory.geometry.cells import Branch, Cell, CellWalk
from ident_theory.geometry.exact_values import exact_values
from ident_theory.geometry.line import line_pieces, point_inside
from ident_theory.geometry.linear_programs import ONE, ZERO, Point, step_inside
from ident_theory.geometry.network_form import same_form
from ident_theory.geometry.plane import PlaneCell, Side, iter_plane_cells
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.numerics import Stopwatch

Decoder = ReLUNetwork | PiecewiseAffineMap
#: A numerator and a denominator, or None for minus infinity.
Place = tuple[int, int] | None
#: Jumps of the gradient along one line: where the vector changes, and by how much.
Jumps = dict[Place, list[fmpq]]
#: Points at which two decoders are compared before any cell is worked out.
SAMPLES = 24


@dataclass(frozen=True)
class Sameness:
    """What `same_function` found.

    Attributes
    ----------
    same : bool or None
        None when undecided.
    point : list of m fmpq or None
        Where the two functions differ.
    tree : list of Branch or None
        For m >= 3, equal functions: the tree of the cells of the first network, each cut further by the units of the
        second; None when both are the same sum of absolute values (`same_form`) and no cell was needed.
    reason : str
    """

    same: bool | None
    point: Point | None
    tree: list[Branch] | None
    reason: str


def same_function(f: Decoder, g: Decoder, budget: float | Stopwatch | None = None) -> Sameness:
    r"""Decide whether :math:`f(z) = g(z)` for all z of :math:`R^m`.

    First at some points, and as sums of absolute values (`same_form`). Then m = 1: the affine pieces; m = 2: a
    continuous piecewise affine function of the plane is determined by the jumps of its gradient along lines and by its
    values at three points, and these are compared; m >= 3: on every cell of f, cut by the units of g, both affine maps
    are compared.

    Parameters
    ----------
    f, g : ReLUNetwork or PiecewiseAffineMap
    budget : float or Stopwatch, optional
        Seconds; None is no limit.

    Returns
    -------
    Sameness
        Undecided only when the budget ran out.

    Raises
    ------
    InputError
        When the dimensions of the two differ.

    Notes
    -----
    **Accuracy.** Exact. Cost: linear in the number of cells for m <= 2; for m >= 3 a linear program for each cell and
    unit of the two together.
    """
    m = f.latent_dim
    if (m, f.observed_dim) != (g.latent_dim, g.observed_dim):
        raise InputError(f"same_function: expected decoders between spaces of the same dimensions, got R^{m} -> "
                         f"R^{f.observed_dim} and R^{g.latent_dim} -> R^{g.observed_dim}")
    clock = budget if isinstance(budget, Stopwatch) else Stopwatch(budget)
    if m == 1:
        return _same_on_line(f, g)
    assert isinstance(f, ReLUNetwork)
    assert isinstance(g, ReLUNetwork)
    different = difference_at(f, g, sample_points(m))
    if different is not None:
        return Sameness(False, different, None, "they differ at a point")
    if same_form(f, g):
        return Sameness(True, None, None, "they are the same sum of absolute values")
    try:
        return _same_on_plane(f, g, clock) if m == 2 else _same_in_space(f, g, clock)
    except OutOfTime as error:
        return Sameness(None, None, None, f"the budget of {clock.seconds:g} s ran out while {error}")


def sample_points(m: int, count: int = SAMPLES) -> list[Point]:
    """Points around zero at scales from 1/2 to 32; always the same ones."""
    rng = random.Random(m)
    return [[fmpq(rng.randint(-997, 997) * 2**(k % 7), 1994) for _ in range(m)] for k in range(count)]


def difference_at(f: Decoder, g: Decoder, points: list[Point]) -> Point | None:
    """The first of some points at which two decoders differ."""
    for z, x, y in zip(points, exact_values(f, points), exact_values(g, points), strict=True):
        if x != y:
            return z
    return None


def _same_on_line(f: Decoder, g: Decoder) -> Sameness:
    first, second = line_pieces(f), line_pieces(g)
    if first == second:
        return Sameness(True, None, None, f"{first.n_pieces} pieces agree")
    breaks = sorted({*first.breakpoints, *second.breakpoints})
    edges = [None, *breaks, None]
    # Two affine functions that agree at two points of an interval agree on it.
    inner = [point_inside(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    more = [point_inside(a, z) for a, z in zip(edges[:-1], inner, strict=True)]
    return Sameness(False, difference_at(f, g, [[z] for z in (*inner, *more)]), None, "a piece differs")


def _same_on_plane(f: ReLUNetwork, g: ReLUNetwork, clock: Stopwatch) -> Sameness:
    corners = [[ZERO, ZERO], [ONE, ZERO], [ZERO, ONE]]
    different = difference_at(f, g, corners)
    if different is not None:
        return Sameness(False, different, None, "they differ at a point")
    first, second = _jumps(f, clock), _jumps(g, clock)
    if first == second:
        return Sameness(True, None, None, f"the gradients jump alike along {len(first)} lines")
    line = next(line for line in [*first, *second] if first.get(line) != second.get(line))
    gap = _without_zeros(_difference(first.get(line, {}), second.get(line, {})))
    return Sameness(False, _point_by(f, g, line, gap), None, "their gradients jump differently along a line")


@lru_cache(8)
def _jumps(network: ReLUNetwork, clock: Stopwatch) -> dict[Hashable, Jumps]:
    """The jumps of the gradient along every line on which there are some."""
    lines: dict[Hashable, Jumps] = {}
    for count, cell in enumerate(iter_plane_cells(network)):
        if clock.is_over:
            raise OutOfTime(f"enumerating cells ({count} done)")
        for side in cell.sides():
            _add_side(lines, cell, side)
    kept = {line: _without_zeros(jumps) for line, jumps in lines.items()}
    return {line: jumps for line, jumps in kept.items() if jumps}


def _add_side(lines: dict[Hashable, Jumps], cell: PlaneCell, side: Side) -> None:
    (a, b), c = side.normal, side.offset
    outwards = a > 0 or (a == 0 and b > 0)
    if not outwards:
        a, b, c = -a, -b, -c
    slope = [-(u * a + v * b) if outwards else u * a + v * b for u, v in cell.matrix]
    # The side runs anticlockwise, so its outer normal turned by a quarter is its direction.
    axis = 0 if b else 1
    ascending = (-side.normal[1] if axis == 0 else side.normal[0]) > 0
    low, high = (side.start, side.end) if ascending else (side.end, side.start)
    jumps = lines.setdefault((_plain(a), _plain(b), _plain(c)), {})
    _add(jumps, None if low is None else _plain(cell.points[low][axis]), slope)
    if high is not None:
        _add(jumps, _plain(cell.points[high][axis]), [-v for v in slope])


def _add(jumps: Jumps, place: Place, change: list[fmpq]) -> None:
    known = jumps.get(place)
    jumps[place] = change if known is None else [u + v for u, v in zip(known, change, strict=True)]


def _difference(first: Jumps, second: Jumps) -> Jumps:
    gap = dict(first)
    for place, change in second.items():
        _add(gap, place, [-v for v in change])
    return gap


def _without_zeros(jumps: Jumps) -> Jumps:
    return {place: change for place, change in jumps.items() if any(change)}


def _plain(value: fmpq) -> tuple[int, int]:
    return int(value.p), int(value.q)


def _point_by(f: ReLUNetwork, g: ReLUNetwork, line: Hashable, gap: Jumps) -> Point:
    """A point near a line at which f and g differ, for a difference that has a kink where `gap` begins to jump."""
    a, b, c = (fmpq(*v) for v in line)  # type: ignore[attr-defined]
    places = sorted(fmpq(*place) for place in gap if place is not None)
    ends: list[fmpq | None] = [None if None in gap else places.pop(0), places[0] if places else None]
    for point in _points_by(a, b, c, *ends):
        if difference_at(f, g, [point]) is not None:
            return point
    raise AssertionError("unreachable: the points are dense along the segment")


def _points_by(a: fmpq, b: fmpq, c: fmpq, low: fmpq | None, high: fmpq | None) -> Iterator[Point]:
    """Points on the line a x + b y = c with a coordinate in (low, high), and ever closer beside it."""
    axis = 0 if b else 1
    rng = random.Random(0)
    near, far = point_inside(low, high), point_inside(low, point_inside(low, high))
    step = ONE
    while True:
        t = near + (far - near) * fmpq(rng.randint(0, 2**20), 2**20)
        x, y = (t, (c - a * t) / b) if axis == 0 else ((c - b * t) / a, t)
        yield [x, y]
        for u, v in ((a, b), (-a, -b), (b, -a), (-b, a)):
            yield [x + step * u, y + step * v]
        step /= 2


def _same_in_space(f: ReLUNetwork, g: ReLUNetwork, clock: Stopwatch) -> Sameness:
    outer = CellWalk(f)
    count = 0
    for cell in outer:
        for part in CellWalk(g, cell, outer.tree):
            if clock.is_over:
                raise OutOfTime(f"comparing cell by cell ({count} done)")
            count += 1
            if cell.matrix != part.matrix or cell.offset != part.offset:
                return Sameness(False, _point_inside(f, g, part), None, "the maps of a cell differ")
    return Sameness(True, None, outer.tree, f"the maps of {count} cells agree")


def _point_inside(f: ReLUNetwork, g: ReLUNetwork, cell: Cell) -> Point:
    """A point of a cell at which two functions differ whose affine maps on it are different."""
    m = len(cell.point)
    points = [cell.point]
    for i in range(m):
        step = step_inside(cell.constraints, cell.point, [ONE if k == i else ZERO for k in range(m)])
        points.append([v + step if k == i else v for k, v in enumerate(cell.point)])
    different = difference_at(f, g, points)
    assert different is not None
    return different
