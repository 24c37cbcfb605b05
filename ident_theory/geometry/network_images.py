"""Injectivity of ReLU networks, decided exactly: F4 and F3 of Kivva et al. (2022), each with its proof."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from flint import fmpq_mat

from ident_theory.exact.findings import Certificate, Witness
from ident_theory.geometry.boxed_search import collision_in_box
from ident_theory.geometry.cell_images import (
    CellImages,
    Decision,
    OutOfTime,
    plain_multipliers,
    plain_point,
    point_near,
    random_point,
    shown,
)
from ident_theory.geometry.cells import Cell
from ident_theory.geometry.flat_cells import flat_pair
from ident_theory.geometry.images import Apart, Collision, Piece, collision, overlap
from ident_theory.geometry.linear_programs import Point
from ident_theory.geometry.local import cell_at, cells_between
from ident_theory.geometry.shortcuts import (
    has_linear_rank,
    injective_layers,
    is_linear,
    narrow_layer,
    spanning_layers,
)
from ident_theory.models.network import ReLUNetwork
from ident_theory.numerics import Stopwatch

#: Random points tried before the cells are enumerated.
TRIALS = 64
#: Share of the time left that goes into the exact decision before a search by integer programming is tried.
EXACT_SHARE = 0.6


class NetworkImages(CellImages):
    """Decides F4 and F3 for one network.

    Parameters
    ----------
    network : ReLUNetwork
    clock : Stopwatch
        Shared budget; what is not decided when it is over stays open.
    shortcuts : bool
        Whether proved sufficient conditions on the architecture may answer first.
    """

    def __init__(self, network: ReLUNetwork, clock: Stopwatch, shortcuts: bool = True) -> None:
        super().__init__(network, clock)
        self.shortcuts = shortcuts
        self._injective: Decision | None = None
        self._observably: Decision | None = None

    def injective(self) -> Decision:
        """F4: f(z) = f(z') only for z = z'."""
        if self._injective is None:
            self._injective = self.guarded(self._decide_injective)
        return self._injective

    def _decide_injective(self) -> Decision:
        network = self.network
        if (shortcut := self._shortcut()) is not None:
            return shortcut
        flat = self._sampled_flat_cell()
        if flat is not None:
            return _collided(*flat_pair(flat), "a cell on which the matrix has rank below m")
        try:
            with self.part_of_the_time(EXACT_SHARE):
                return self._decide_by_cells()
        except OutOfTime as error:
            # Half of the time left stays for F3 and F2.
            found = collision_in_box(network, Stopwatch(self.clock.left / 2))
            if isinstance(found, Collision):
                return _collided(found.z, found.other, "found by mixed integer programming, proved in rationals")
            return Decision(None, f"{self.ran_out(error)}. {found.text}", details=found.details)

    def _decide_by_cells(self) -> Decision:
        """Enumerate the cells and compare their images."""
        for cell in self.walk():
            if cell.rank < self.network.latent_dim:
                return _collided(*flat_pair(cell), "a cell on which the matrix has rank below m")
        if self.network.latent_dim == self.network.observed_dim:
            return self._same_dimension()
        return self._pairwise_injective()

    def _shortcut(self) -> Decision | None:
        """What the layers alone decide."""
        layer = narrow_layer(self.network)
        if layer is not None or (is_linear(self.network) and not has_linear_rank(self.network)):
            flat = None
            rng = random.Random(0)
            while flat is None:  # almost every point lies inside a cell
                flat = cell_at(self.network, random_point(self.network.latent_dim, rng))
            return _collided(*flat_pair(flat), "f is affine with a matrix of rank below m" if layer is None else
                             f"layer {layer} has rank below m, so every matrix has", True)
        if is_linear(self.network):
            return Decision(Certificate("network.affine", {}), "f is one affine map with a matrix of rank m", True)
        if not self.shortcuts:
            return None
        rows = injective_layers(self.network)
        if rows is not None:
            return Decision(Certificate("network.injective_layers", {"rows": rows}),
                            "every layer has full column rank and the activation is injective", True)
        spanning = spanning_layers(self.network)
        if spanning is not None:
            return Decision(Certificate("network.spanning_layers", spanning),
                            "at every point of every layer the active rows span", True)
        return None

    def _sampled_flat_cell(self) -> Cell | None:
        """A cell of low rank met by random points, near and far."""
        rng = random.Random(1)
        for trial in range(TRIALS):
            cell = cell_at(self.network, random_point(self.network.latent_dim, rng, 4 ** (trial % 5)))
            if cell is not None and cell.rank < self.network.latent_dim:
                return cell
        return None

    def _same_dimension(self) -> Decision:
        """n = m and every matrix invertible: f is proper, so its degree decides."""
        cells = self.cells()
        signs = [self.determinant(cell) > 0 for cell in cells]
        if True in signs and False in signs:
            first, second = cells[signs.index(True)], cells[signs.index(False)]
            for one, two in self._neighbours(first, second):
                if (self.determinant(one) > 0) is not (self.determinant(two) > 0):
                    found = collision(Piece(one), Piece(two))
                    if isinstance(found, Collision):
                        return _collided(found.z, found.other, "two neighbouring cells are folded onto each other")
            return self._pairwise_injective()
        z = cells[0].point
        x = fmpq_mat(self.network.observed_dim, 1, cells[0].value(z))
        for piece in self.pieces[1:]:
            other = piece.preimage(x)
            assert other is not None
            if piece.cell.contains(other):
                return _collided(z, other, "two cells have overlapping images")
        return Decision(Certificate("network.homeomorphism", {"tree": self.tree_data(), "z": plain_point(z)}),
                        f"all {len(cells)} matrices have determinants of one sign and one value has one preimage, so "
                        "the map has degree one and is a homeomorphism")

    def _neighbours(self, first: Cell, second: Cell) -> Iterator[tuple[Cell, Cell]]:
        """Pairs of cells next to each other along a segment from one cell to another."""
        rng = random.Random(2)
        for _ in range(8):
            yield from pairwise(cells_between(self.network, point_near(first, rng), point_near(second, rng)))

    def _pairwise_injective(self) -> Decision:
        pieces, boxes = self.pieces, self.boxes
        entries: list[list[Any]] = []
        count = 0
        for i, j in boxes.pairs():
            count += 1
            self.check("comparing the images of pairs of cells", count)
            found = collision(pieces[i], pieces[j])
            if isinstance(found, Collision):
                return _collided(found.z, found.other, "the images of two cells meet")
            if found.kind != "direct":
                entries.append(_pair_entry(i, j, found))
        data = {"tree": self.tree_data(), "boxes": self.boxes_data(), "pairs": entries}
        return Decision(Certificate("network.injective_cells", data),
                        f"every matrix has rank m, and the images of all pairs of the {len(pieces)} cells meet only "
                        f"where the cells do ({count} pairs not separated by boxes)")


    def observably_injective(self) -> Decision:
        """F3: almost every value in the image has one preimage."""
        if self._observably is None:
            self._observably = self.guarded(self._decide_observably)
        return self._observably

    def _decide_observably(self) -> Decision:
        injective = self.injective()
        if isinstance(injective.proof, Certificate):
            return Decision(injective.proof, f"F4 holds: {injective.reason}", injective.shortcut)
        if (rank := self.low_rank()) is not None:
            return rank
        cells = self.cells()
        pieces = self.pieces
        leaves = self.leaves
        if not pieces:
            return self.all_flat()
        boxes = self.boxes
        planes: dict[Any, list[int]] = defaultdict(list)
        for i, piece in enumerate(pieces):
            planes[piece.plane].append(i)
        plane_of = {i: number for number, members in enumerate(planes.values()) for i in members}
        entries: list[list[Any]] = []
        count = 0
        for i, j in boxes.pairs():
            if plane_of[i] != plane_of[j]:
                continue
            count += 1
            self.check("comparing the images of pairs of cells", count)
            found = overlap(pieces[i], pieces[j])
            if isinstance(found, Collision):
                return Decision(_pair("decoder.overlap", found.z, found.other),
                                "the images of two cells overlap in more than measure zero")
            assert found is not None
            entries.append([leaves[i], leaves[j], "apart", *(plain_multipliers(y) for y in found.parts[0])])
        data = {"tree": self.tree_data(), "leaf": leaves[0], "point": plain_point(pieces[0].cell.point),
                "boxes": self.boxes_data(), "pairs": entries}
        return Decision(Certificate("network.observably_injective", data),
                        f"the images of the {len(pieces)} cells of rank m (of {len(cells)}) overlap in measure zero")

    def low_rank(self) -> Decision | None:
        """A layer of rank below m leaves no piece of full rank; nor does an affine map of low rank."""
        layer = narrow_layer(self.network)
        if layer is None:
            if is_linear(self.network) and not has_linear_rank(self.network):
                return Decision(Witness("network.affine_flat", {}, "f is affine with a matrix of rank < m"),
                                "f is affine with a matrix of rank below m", True)
            return None
        return Decision(Witness("network.narrow", {"layer": layer}, f"rank(W_{layer + 1}) < m"),
                        f"layer {layer} has rank below m, so every value in the image has infinitely many preimages "
                        "but for a null set", True)

    def all_flat(self) -> Decision:
        return Decision(Witness("network.flat", {"tree": self.tree_data()}, "every cell has a matrix of rank < m"),
                        f"all {len(self.cells())} cells have matrices of rank below m, so the image has a smaller "
                        "dimension")


def _collided(z: Point, other: Point, why: str, shortcut: bool = False) -> Decision:
    return Decision(_pair("decoder.collision", z, other), why, shortcut)


def _pair(kind: str, z: Point, other: Point) -> Witness:
    return Witness(kind, {"z": plain_point(z), "other": plain_point(other)},
                   f"f(z) = f(z') for z = {shown(z)}, z' = {shown(other)}")


def _pair_entry(i: int, j: int, found: Apart) -> list[Any]:
    parts = [[plain_multipliers(a), plain_multipliers(b)] for a, b in found.parts]
    return [i, j, "empty", *parts[0]] if found.kind == "empty" else [i, j, "diagonal", parts]
