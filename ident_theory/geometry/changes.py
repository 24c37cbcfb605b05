"""All affine changes of the latent that carry one decoder to another, in rationals."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from flint import fmpq, fmpq_mat

from ident_theory.errors import InputError
from ident_theory.exact.rationals import fraction
from ident_theory.geometry.affine import affine_form
from ident_theory.geometry.cell_images import OutOfTime, point_near
from ident_theory.geometry.cells import Branch, Cell, CellWalk
from ident_theory.geometry.exact_values import exact_values
from ident_theory.geometry.images import Piece
from ident_theory.geometry.line import line_pieces, point_inside
from ident_theory.geometry.linear_programs import Point
from ident_theory.geometry.local import cell_at
from ident_theory.geometry.plane import PlaneCell, iter_plane_cells
from ident_theory.geometry.same_function import Decoder, same_function, sample_points
from ident_theory.models.change import AffineChange
from ident_theory.models.network import ReLUNetwork
from ident_theory.numerics import Stopwatch


@dataclass(frozen=True)
class Changes:
    """What `affine_changes` found.

    Attributes
    ----------
    changes : tuple of AffineChange
        Maps h with f_b o h = f_a on all of R^m.
    trees : tuple
        For each of them the tree of the common cells of f_a and f_b o h, or None (see `Sameness`).
    complete : bool
        Whether there are no others.
    at : list of m fmpq or None
        A point inside a cell of f_a with a matrix of full column rank; None without such a cell, or when none was
        found in time.
    tree : list of Branch or None
        For m >= 3 the tree of the cells of f_b, when they were all visited.
    points : tuple of points
        At least one for every other map that agrees with f_a around `at`: there f_b o h and f_a differ.
    reason : str
        Why the list is complete, or what stands against it.
    """

    changes: tuple[AffineChange, ...]
    trees: tuple[list[Branch] | None, ...]
    complete: bool
    at: Point | None
    tree: list[Branch] | None
    points: tuple[Point, ...]
    reason: str


def affine_changes(f_a: Decoder, f_b: Decoder, budget: float | Stopwatch | None = None) -> Changes:
    r"""All invertible affine h with :math:`f_b \circ h = f_a` on all of :math:`R^m`.

    Around a point :math:`z_0` inside a cell of f_a with map :math:`A z + c`, A of full column rank, such an h leads to
    some cell of f_b with map :math:`B w + d`, and :math:`B h(z) + d = A z + c` leaves one h for each of these. So the
    candidates are finitely many and rational, and each is checked on all of :math:`R^m` by `same_function`.

    For m = 1 the normal forms of `affine_form` give the at most two maps; values at jumps do not count.

    Parameters
    ----------
    f_a, f_b : ReLUNetwork or PiecewiseAffineMap
    budget : float or Stopwatch, optional
        Seconds; None is no limit.

    Returns
    -------
    Changes
        Complete when f_a has a cell of full column rank (for m = 1: unless f_a is constant or a single step) and the
        budget sufficed.

    Raises
    ------
    InputError
        When the dimensions of the two differ.

    Notes
    -----
    **Accuracy.** Exact. Cost: the cells of f_b, and `same_function` for the few candidates that survive some points.
    """
    if (f_a.latent_dim, f_a.observed_dim) != (f_b.latent_dim, f_b.observed_dim):
        raise InputError(f"affine_changes: expected decoders between spaces of the same dimensions, got "
                         f"R^{f_a.latent_dim} -> R^{f_a.observed_dim} and R^{f_b.latent_dim} -> R^{f_b.observed_dim}")
    if f_a.latent_dim == 1:
        return _on_line(f_a, f_b)
    assert isinstance(f_a, ReLUNetwork)
    assert isinstance(f_b, ReLUNetwork)
    search = _Search(f_a, f_b, budget if isinstance(budget, Stopwatch) else Stopwatch(budget))
    try:
        reason = search.run()
    except OutOfTime as error:
        return search.result(False, f"the budget of {search.clock.seconds:g} s ran out while {error}")
    return search.result(reason == "", reason or f"each of {search.visited} cells of the second decoder leaves one map "
                                                 "at most")


def _on_line(f_a: Decoder, f_b: Decoder) -> Changes:
    pieces = line_pieces(f_a)
    a, b = affine_form(pieces), affine_form(line_pieces(f_b))
    steep = next((k for k in range(pieces.n_pieces) if not pieces.is_flat(k)), None)
    at = None if steep is None else [point_inside(*pieces.ends(steep))]
    if a.form != b.form:
        return Changes((), (), True, at, None, (), "no affine map carries the pieces of one to those of the other")
    if a.stretchable:
        what = "f is constant" if a.constant else "f is one step between two constants"
        return Changes((), (), False, at, None, (), f"{what}, so the decoders leave the scale open")
    maps = [(a.scale / b.scale, (a.shift - b.shift) / b.scale)]
    if a.mirror is not None:
        maps.append((-a.scale / b.scale, (a.mirror - a.shift - b.shift) / b.scale))
    changes = tuple(AffineChange(fraction(scale), fraction(shift)) for scale, shift in maps)
    return Changes(changes, (None,) * len(changes), True, at, None, (), "the pieces leave no other map")


class _Search:
    def __init__(self, f_a: ReLUNetwork, f_b: ReLUNetwork, clock: Stopwatch) -> None:
        self.f_a, self.f_b, self.clock = f_a, f_b, clock
        self.m = f_a.latent_dim
        self.visited = 0
        self.tree: list[Branch] | None = None
        self.at: Point | None = None
        self.found: list[tuple[AffineChange, list[Branch] | None]] = []
        self.points: list[Point] = []
        self._tried: set[tuple[tuple[int, int], ...]] = set()
        self._samples = sample_points(self.m)

    def result(self, complete: bool, reason: str) -> Changes:
        return Changes(tuple(change for change, _ in self.found), tuple(tree for _, tree in self.found), complete,
                       self.at, self.tree if complete else None, tuple(self.points), reason)

    def run(self) -> str:
        """Try the candidate of every cell of f_b; an empty text, or why that does not give all maps."""
        start = next((cell for cell in cells_in_time(self.f_a, self.clock) if cell.rank == self.m), None)
        if start is None:
            return "no cell of the first decoder has a matrix of full column rank"
        self.at = _off_all_units(self.f_a, start)
        source = Piece(start)
        self._samples.extend(_around(self.at))
        self._images = exact_values(self.f_a, self._samples)
        tree: list[Branch] = []
        for cell in cells_in_time(self.f_b, self.clock, tree):
            self.visited += 1
            if cell.rank < self.m:
                continue
            piece = Piece(cell)
            if piece.plane != source.plane:
                continue
            matrix = piece.inverse * source.matrix
            shift = piece.inverse * (source.offset - piece.offset)
            image = matrix * fmpq_mat(self.m, 1, self.at) + shift
            if cell.contains(list(image.entries())):
                self._try(matrix, shift)
        self.tree = tree if self.m > 2 else None
        return ""

    def _try(self, matrix: fmpq_mat, shift: fmpq_mat) -> None:
        key = tuple((int(v.p), int(v.q)) for v in (*matrix.entries(), *shift.entries()))
        if key in self._tried:
            return
        self._tried.add(key)
        for z, x in zip(self._samples, self._images, strict=True):
            if exact_values(self.f_b, [list((matrix * fmpq_mat(self.m, 1, z) + shift).entries())])[0] != x:
                self._refuted(z)
                return
        change = AffineChange([[fraction(v) for v in row] for row in matrix.tolist()],
                              [fraction(v) for v in shift.entries()])
        composed = change.inverse().precompose(self.f_b)
        answer = same_function(self.f_a, composed, self.clock)
        if answer.same is None:
            raise OutOfTime(answer.reason.partition("while ")[2])
        if answer.same:
            self.found.append((change, answer.tree))
        else:
            assert answer.point is not None
            self._refuted(answer.point)

    def _refuted(self, z: Point) -> None:
        if z not in self.points:
            self.points.append(z)


def cells_in_time(network: ReLUNetwork, clock: Stopwatch, tree: list[Branch] | None = None) -> Iterator[Cell]:
    """The cells of a network with two or more latents; for three or more `tree` receives the proof that they are all.

    Raises
    ------
    OutOfTime
        When the budget is spent.
    """
    cells = map(_as_cell, iter_plane_cells(network)) if network.latent_dim == 2 else CellWalk(network, tree=tree)
    for count, cell in enumerate(cells):
        if clock.is_over:
            raise OutOfTime(f"enumerating cells ({count} done)")
        yield cell


def _off_all_units(network: ReLUNetwork, cell: Cell) -> Point:
    """A point inside a cell at which no unit is zero, also none that makes no difference there."""
    rng = random.Random(0)
    point = cell.point
    while cell_at(network, point) is None:
        point = point_near(cell, rng)
    return point


def _around(z: Point) -> list[Point]:
    """Points at growing distances from a point along the axes, both ways."""
    return [[v + sign * fmpq(4)**size if k == i else v for k, v in enumerate(z)]
            for size in (-1, 1, 3) for i in range(len(z)) for sign in (1, -1)]


def _as_cell(cell: PlaneCell) -> Cell:
    """A cell of the plane in the form of those in any dimension; its constraints are its sides."""
    constraints = tuple([-side.normal[0], -side.normal[1], side.offset] for side in cell.sides())
    return Cell(cell.pattern, tuple(range(len(constraints))), constraints, (), tuple(map(list, cell.matrix)),
                cell.offset, list(cell.interior_point()))
