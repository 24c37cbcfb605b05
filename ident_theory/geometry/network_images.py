"""Injectivity of ReLU networks, decided exactly: F4, F3 and F2 of Kivva et al. (2022), each with its proof."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.findings import Certificate, Witness
from ident_theory.geometry.boxes import Boxes
from ident_theory.geometry.cells import Branch, Cell, CellWalk
from ident_theory.geometry.covering import Uncovered, cover_tree, pulled_back
from ident_theory.geometry.flat_cells import bounded_kernel, flat_pair, unreached
from ident_theory.geometry.images import Apart, Collision, Piece, collision, overlap
from ident_theory.geometry.linear_programs import Multipliers, Point, evaluate
from ident_theory.geometry.local import cell_at, cells_between
from ident_theory.geometry.screening import Screen
from ident_theory.geometry.shortcuts import injective_layers, narrow_layer, spanning_layers
from ident_theory.models.network import ReLUNetwork
from ident_theory.numerics import Stopwatch

#: Pairs of cells a cell that are left to be decided one by one before more directions are tried.
PAIRS_A_CELL = 12
#: Random points tried before the cells are enumerated.
TRIALS = 64


class OutOfTime(Exception):
    """The budget is spent; the text says at which step."""


@dataclass
class Decision:
    """One condition decided, or not.

    Attributes
    ----------
    proof : Certificate, Witness or None
        None when undecided.
    reason : str
        How it was decided, or which step ran out.
    shortcut : bool
        The architecture alone decided it.
    """

    proof: Certificate | Witness | None
    reason: str
    shortcut: bool = False


@dataclass
class _State:
    cells: list[Cell] = field(default_factory=list)
    tree: list[Branch] = field(default_factory=list)
    complete: bool = False


class NetworkImages:
    """The images of the cells of one network, and what they decide.

    Parameters
    ----------
    network : ReLUNetwork
    clock : Stopwatch
        Shared budget; what is not decided when it is over stays open.
    shortcuts : bool
        Whether proved sufficient conditions on the architecture may answer first.
    """

    def __init__(self, network: ReLUNetwork, clock: Stopwatch, shortcuts: bool = True) -> None:
        self.network, self.clock, self.shortcuts = network, clock, shortcuts
        self._state = _State()
        self._pieces: list[Piece] | None = None
        self._boxes: Boxes | None = None
        self._injective: Decision | None = None
        self._observably: Decision | None = None

    @property
    def n_cells(self) -> int | None:
        """Number of cells, None when they were not all enumerated."""
        return len(self._state.cells) if self._state.complete else None

    # F4 ---------------------------------------------------------------------------------------------------------

    def injective(self) -> Decision:
        """F4: f(z) = f(z') only for z = z'."""
        if self._injective is None:
            self._injective = self._guarded(self._decide_injective)
        return self._injective

    def _decide_injective(self) -> Decision:
        network = self.network
        if (shortcut := self._shortcut()) is not None:
            return shortcut
        flat = self._sampled_flat_cell()
        if flat is not None:
            return _collided(*flat_pair(flat), "a cell on which the matrix has rank below m")
        for cell in self._walk():
            if cell.rank < network.latent_dim:
                return _collided(*flat_pair(cell), "a cell on which the matrix has rank below m")
        if network.latent_dim == network.observed_dim:
            return self._same_dimension()
        return self._pairwise_injective()

    def _shortcut(self) -> Decision | None:
        """What the layers alone decide."""
        if (layer := narrow_layer(self.network)) is not None:
            flat = None
            rng = random.Random(0)
            while flat is None:  # almost every point lies inside a cell
                flat = cell_at(self.network, _random_point(self.network.latent_dim, rng))
            return _collided(*flat_pair(flat), f"layer {layer} has rank below m, so every matrix has", True)
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
            cell = cell_at(self.network, _random_point(self.network.latent_dim, rng, 4 ** (trial % 5)))
            if cell is not None and cell.rank < self.network.latent_dim:
                return cell
        return None

    def _same_dimension(self) -> Decision:
        """n = m and every matrix invertible: f is proper, so its degree decides."""
        cells = self._all_cells()
        signs = [self._determinant(cell) > 0 for cell in cells]
        if True in signs and False in signs:
            first, second = cells[signs.index(True)], cells[signs.index(False)]
            for one, two in self._neighbours(first, second):
                if (self._determinant(one) > 0) is not (self._determinant(two) > 0):
                    found = collision(Piece(one), Piece(two))
                    if isinstance(found, Collision):
                        return _collided(found.z, found.other, "two neighbouring cells are folded onto each other")
            return self._pairwise_injective()
        z = cells[0].point
        x = fmpq_mat(self.network.observed_dim, 1, cells[0].value(z))
        for piece in self._full_pieces()[1:]:
            other = piece.preimage(x)
            assert other is not None
            if piece.cell.contains(other):
                return _collided(z, other, "two cells have overlapping images")
        return Decision(Certificate("network.homeomorphism", {"tree": self._tree_data(), "z": _plain(z)}),
                        f"all {len(cells)} matrices have determinants of one sign and one value has one preimage, so "
                        "the map has degree one and is a homeomorphism")

    def _neighbours(self, first: Cell, second: Cell) -> Iterator[tuple[Cell, Cell]]:
        """Pairs of cells next to each other along a segment from one cell to another."""
        rng = random.Random(2)
        for _ in range(8):
            yield from pairwise(cells_between(self.network, self._near(first, rng), self._near(second, rng)))

    @staticmethod
    def _near(cell: Cell, rng: random.Random) -> Point:
        """A random point of the interior near the one that the cell holds."""
        for shrink in range(4, 40):
            point = [p + fmpq(rng.randint(-999, 999), 1000 * 2**shrink) for p in cell.point]
            if cell.contains_inside(point):
                return point
        return cell.point

    def _determinant(self, cell: Cell) -> fmpq:
        m = self.network.latent_dim
        return fmpq_mat(m, m, [v for row in cell.matrix for v in row]).det()

    def _pairwise_injective(self) -> Decision:
        pieces, boxes = self._full_pieces(), self._all_boxes()
        entries: list[list[Any]] = []
        count = 0
        for i, j in boxes.pairs():
            count += 1
            self._check("comparing the images of pairs of cells", count)
            found = collision(pieces[i], pieces[j])
            if isinstance(found, Collision):
                return _collided(found.z, found.other, "the images of two cells meet")
            if found.kind != "direct":
                entries.append(_pair_entry(i, j, found))
        data = {"tree": self._tree_data(), "boxes": self._boxes_data(), "pairs": entries}
        return Decision(Certificate("network.injective_cells", data),
                        f"every matrix has rank m, and the images of all pairs of the {len(pieces)} cells meet only "
                        f"where the cells do ({count} pairs not separated by boxes)")

    # F3 ---------------------------------------------------------------------------------------------------------

    def observably_injective(self) -> Decision:
        """F3: almost every value in the image has one preimage."""
        if self._observably is None:
            self._observably = self._guarded(self._decide_observably)
        return self._observably

    def _decide_observably(self) -> Decision:
        injective = self.injective()
        if isinstance(injective.proof, Certificate):
            return Decision(injective.proof, f"F4 holds: {injective.reason}", injective.shortcut)
        if (rank := self._no_rank()) is not None:
            return rank
        cells = self._all_cells()
        pieces = self._full_pieces()
        leaves = self._leaves()
        if not pieces:
            return self._flat()
        boxes = self._all_boxes()
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
            self._check("comparing the images of pairs of cells", count)
            found = overlap(pieces[i], pieces[j])
            if isinstance(found, Collision):
                return Decision(Witness("decoder.overlap", {"z": _plain(found.z), "other": _plain(found.other)},
                                        _pair_text(found.z, found.other)),
                                "the images of two cells overlap in more than measure zero")
            assert found is not None
            entries.append([leaves[i], leaves[j], "apart", *(_multipliers(y) for y in found.parts[0])])
        data = {"tree": self._tree_data(), "leaf": leaves[0], "point": _plain(pieces[0].cell.point),
                "boxes": self._boxes_data(), "pairs": entries}
        return Decision(Certificate("network.observably_injective", data),
                        f"the images of the {len(pieces)} cells of rank m (of {len(cells)}) overlap in measure zero")

    def _no_rank(self) -> Decision | None:
        """A layer of rank below m leaves no piece of full rank."""
        layer = narrow_layer(self.network)
        if layer is None:
            return None
        return Decision(Witness("network.narrow", {"layer": layer}, f"rank(W_{layer + 1}) < m"),
                        f"layer {layer} has rank below m, so every value in the image has infinitely many preimages "
                        "but for a null set", True)

    def _flat(self) -> Decision:
        return Decision(Witness("network.flat", {"tree": self._tree_data()}, "every cell has a matrix of rank < m"),
                        f"all {len(self._state.cells)} cells have matrices of rank below m, so the image has a smaller "
                        "dimension")

    # F2 ---------------------------------------------------------------------------------------------------------

    def weakly_injective(self) -> Decision:
        """F2: some relatively open part of the image, of positive measure, is covered exactly once."""
        return self._guarded(self._decide_weakly)

    def _decide_weakly(self) -> Decision:
        for name, decision in (("F4", self.injective()), ("F3", self.observably_injective())):
            if isinstance(decision.proof, Certificate):
                return Decision(decision.proof, decision.reason if decision.reason.startswith("F") else
                                f"{name} holds: {decision.reason}", decision.shortcut)
        if (rank := self._no_rank()) is not None:
            return rank
        self._all_cells()
        pieces = self._full_pieces()
        if not pieces:
            return self._flat()
        if (twice := self._degree()) is not None:
            return twice
        screen = Screen(pieces)
        for i, piece in enumerate(pieces):
            self._check("looking for a value with one preimage", i)
            if screen.single(i, piece.cell.point) and \
                    (single := self._single_preimage(piece.cell, piece.cell.point)) is not None:
                return single
        return self._covered()

    def _degree(self) -> Decision | None:
        """n = m and |f| grows in every direction: with a degree other than 1 and -1 no value has just one preimage."""
        m = self.network.latent_dim
        if m != self.network.observed_dim:
            return None
        cells = self._all_cells()
        proper: dict[str, Any] = {}
        for leaf, cell in enumerate(cells):
            if cell.rank < m:
                proofs = bounded_kernel(cell)
                if proofs is None:
                    return None
                proper[str(leaf)] = [_multipliers(y) for y in proofs]
        home = self._full_pieces()[0].cell
        rng = random.Random(4)
        for _ in range(8):
            x = fmpq_mat(m, 1, home.value(self._near(home, rng)))
            count, degree = self._signed_count(x)
            if count is not None:
                break
        else:
            return None
        if abs(degree) == 1:
            return None
        return Decision(Witness("network.degree", {"tree": self._tree_data(), "value": _plain(list(x.entries())),
                                                   "proper": proper},
                                f"the degree is {degree}: almost every value has no preimage, or two or more"),
                        f"f grows in every direction and has degree {degree}, so no value of a set of positive "
                        "measure has just one preimage")

    def _signed_count(self, x: fmpq_mat) -> tuple[int | None, int]:
        """Preimages of a value, and their sum with signs; None when one lies on a border or on a flat cell."""
        count = degree = 0
        for cell in self._state.cells:
            if cell.rank < self.network.latent_dim and unreached(cell, x) is None:
                return None, 0
        for piece in self._full_pieces():
            z = piece.preimage(x)
            assert z is not None
            if piece.cell.contains(z):
                if not piece.cell.contains_inside(z):
                    return None, 0
                count += 1
                degree += 1 if piece.matrix.det() > 0 else -1
        return count, degree

    def _single_preimage(self, home: Cell, z: Point) -> Decision | None:
        """The certificate that f(z) has no other preimage; None when it has one."""
        x = fmpq_mat(self.network.observed_dim, 1, home.value(z))
        for piece in self._full_pieces():
            other = piece.preimage(x)
            if other is not None and piece.cell is not home and piece.cell.contains(other):
                return None
        flat: dict[str, Any] = {}
        for leaf, cell in enumerate(self._state.cells):
            if cell.rank < self.network.latent_dim:
                multipliers = unreached(cell, x)
                if multipliers is None:
                    return None
                if multipliers:
                    flat[str(leaf)] = _multipliers(multipliers)
        return Decision(Certificate("network.single_preimage",
                                    {"tree": self._tree_data(), "z": _plain(z), "flat": flat},
                                    f"f^-1(f(z)) = {{z}} for z = {_shown(z)}"),
                        "a point inside a cell is the only preimage of its value, and so are its neighbours")

    def _covered(self) -> Decision:
        """Cover the image of every cell by those of the others; what stays uncovered proves F2."""
        pieces, leaves, boxes = self._full_pieces(), self._leaves(), self._all_boxes()
        near: dict[int, list[int]] = defaultdict(list)
        for i, j in boxes.pairs():
            if pieces[i].plane == pieces[j].plane and isinstance(overlap(pieces[i], pieces[j]), Collision):
                near[i].append(j)
                near[j].append(i)
            self._check("looking for overlapping images")
        n_units = len(self._state.cells[0].pattern)
        rng = random.Random(3)
        trees: dict[str, Any] = {}
        implied = {str(leaves[i]): [[unit, _multipliers(y)] for unit, y in piece.cell.implied]
                   for i, piece in enumerate(pieces) if piece.cell.implied}
        for i, piece in enumerate(pieces):
            covers = [pulled_back(piece, pieces[j], leaves[j]) for j in near[i]]
            result = cover_tree(piece, n_units, covers, lambda: self._check("covering the images of cells"))
            if isinstance(result, Uncovered):
                return self._uncovered(piece, result, rng)
            trees[str(leaves[i])] = self._completed(result)
        return Decision(Witness("network.covered", {"tree": self._tree_data(), "implied": implied, "covers": trees},
                                "every value in the image, but for a null set, has two preimages or more"),
                        f"the image of each of the {len(pieces)} cells of rank m is covered by those of others")

    def _uncovered(self, piece: Piece, part: Uncovered, rng: random.Random) -> Decision:
        """A generic point of an uncovered part has one preimage."""
        for shrink in range(4, 64):
            self._check("looking for a value with one preimage")
            z = [p + fmpq(rng.randint(-999, 999), 1000 * 2**shrink) for p in part.point]
            if all(evaluate(g, z) > 0 for g in part.constraints):
                decision = self._single_preimage(piece.cell, z)
                if decision is not None:
                    return decision
        raise OutOfTime("looking for a generic point of a part of the image that is covered once")

    @staticmethod
    def _completed(node: dict[str, Any]) -> dict[str, Any]:
        """A node of a covering as plain JSON."""
        if "cut" in node:
            return {"cut": node["cut"], **{side: NetworkImages._completed(node[side]) for side in ("neg", "pos")}}
        return {"in": node["in"], "y": {str(unit): _multipliers(y) for unit, y in node["y"].items()}}

    # Shared -----------------------------------------------------------------------------------------------------

    def _walk(self) -> Iterator[Cell]:
        """All cells; those already enumerated first. Keeps what it sees."""
        state = self._state
        yield from list(state.cells)
        if state.complete:
            return
        walk = CellWalk(self.network)
        state.cells.clear()
        state.tree = walk.tree
        for cell in walk:
            self._check("enumerating cells", len(state.cells))
            state.cells.append(cell)
            yield cell
        state.complete = True

    def _all_cells(self) -> list[Cell]:
        if not self._state.complete:
            for _ in self._walk():
                pass
        return self._state.cells

    def _full_pieces(self) -> list[Piece]:
        if self._pieces is None:
            m = self.network.latent_dim
            self._pieces = [Piece(cell) for cell in self._all_cells() if cell.rank == m]
        return self._pieces

    def _leaves(self) -> list[int]:
        m = self.network.latent_dim
        return [leaf for leaf, cell in enumerate(self._all_cells()) if cell.rank == m]

    def _all_boxes(self) -> Boxes:
        if self._boxes is None:
            self._boxes = Boxes(self._full_pieces())
            self._boxes.separate(PAIRS_A_CELL)
        return self._boxes

    def _check(self, step: str, done: int | None = None) -> None:
        if self.clock.is_over:
            raise OutOfTime(step if done is None else f"{step} ({done} done)")

    def _guarded(self, decide: Any) -> Decision:
        try:
            decision: Decision = decide()
        except OutOfTime as error:
            return Decision(None, f"the budget of {self.clock.seconds:g} s ran out while {error}; a larger --budget "
                                  "would settle it")
        return decision

    def _tree_data(self) -> list[Any]:
        return [[sign] if sign == "b" else [sign, sorted(y)] for sign, y in self._state.tree]

    def _boxes_data(self) -> dict[str, Any]:
        assert self._boxes is not None
        bounds: list[list[Any]] = [[[None, None]] * len(self._boxes.directions) for _ in self._state.cells]
        for leaf, supports in zip(self._leaves(), self._boxes.supports, strict=True):
            bounds[leaf] = [[low, high] for low, high in supports]
        return {"directions": self._boxes.directions, "bounds": bounds}


def _random_point(m: int, rng: random.Random, scale: int = 1) -> Point:
    return [fmpq(scale * rng.randint(-10**6, 10**6), 10**6) for _ in range(m)]


def _collided(z: Point, other: Point, why: str, shortcut: bool = False) -> Decision:
    return Decision(Witness("decoder.collision", {"z": _plain(z), "other": _plain(other)}, _pair_text(z, other)),
                    why, shortcut)


def _pair_text(z: Point, other: Point) -> str:
    return f"f(z) = f(z') for z = {_shown(z)}, z' = {_shown(other)}"


def _shown(z: Point) -> str:
    return "[" + ", ".join(f'"{v}"' if v.q != 1 else str(v) for v in z) + "]"


def _plain(z: Point) -> list[Any]:
    return [int(v.p) if v.q == 1 else str(v) for v in z]


def _multipliers(y: Multipliers) -> dict[str, Any]:
    return {str(k): int(v.p) if v.q == 1 else str(v) for k, v in y.items() if v}


def _pair_entry(i: int, j: int, found: Apart) -> list[Any]:
    parts = [[_multipliers(a), _multipliers(b)] for a, b in found.parts]
    return [i, j, "empty", *parts[0]] if found.kind == "empty" else [i, j, "diagonal", parts]
