"""Weak injectivity (F2) of ReLU networks: a value with one preimage, a degree, or a covering; each with its proof."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.findings import Certificate, Witness
from ident_theory.geometry.cell_images import Decision, OutOfTime, plain_multipliers, plain_point, point_near, shown
from ident_theory.geometry.cells import Cell
from ident_theory.geometry.covering import Cover, Uncovered, cover_tree, pulled_back
from ident_theory.geometry.flat_cells import bounded_kernel, unreached
from ident_theory.geometry.images import Piece
from ident_theory.geometry.linear_programs import Point, evaluate
from ident_theory.geometry.network_images import NetworkImages
from ident_theory.geometry.screening import Screen


def weakly_injective(images: NetworkImages) -> Decision:
    """F2: some relatively open part of the image, of positive measure, is covered exactly once."""
    return images.guarded(lambda: _decide(images))


def _decide(images: NetworkImages) -> Decision:
    for name, decision in (("F4", images.injective()), ("F3", images.observably_injective())):
        if isinstance(decision.proof, Certificate):
            return Decision(decision.proof, decision.reason if decision.reason.startswith("F") else
                            f"{name} holds: {decision.reason}", decision.shortcut)
    if (rank := images.low_rank()) is not None:
        return rank
    images.cells()
    pieces = images.pieces
    if not pieces:
        return images.all_flat()
    if (twice := _degree(images)) is not None:
        return twice
    screen = Screen(pieces)
    for i, piece in enumerate(pieces):
        images.check("looking for a value with one preimage", i)
        if screen.single(i, piece.cell.point) and \
                (single := _single_preimage(images, piece.cell, piece.cell.point)) is not None:
            return single
    return _covered(images, screen)


def _degree(images: NetworkImages) -> Decision | None:
    """n = m and |f| grows in every direction: with a degree other than 1 and -1 no value has just one preimage."""
    m = images.network.latent_dim
    if m != images.network.observed_dim:
        return None
    cells = images.cells()
    proper: dict[str, Any] = {}
    for leaf, cell in enumerate(cells):
        if cell.rank < m:
            proofs = bounded_kernel(cell)
            if proofs is None:
                return None
            proper[str(leaf)] = [plain_multipliers(y) for y in proofs]
    home = images.pieces[0].cell
    rng = random.Random(4)
    for _ in range(8):
        x = fmpq_mat(m, 1, home.value(point_near(home, rng)))
        count, degree = _signed_count(images, x)
        if count is not None:
            break
    else:
        return None
    if abs(degree) == 1:
        return None
    return Decision(Witness("network.degree", {"tree": images.tree_data(), "value": plain_point(list(x.entries())),
                                               "proper": proper},
                            f"the degree is {degree}: almost every value has no preimage, or two or more"),
                    f"f grows in every direction and has degree {degree}, so no value of a set of positive "
                    "measure has just one preimage")


def _signed_count(images: NetworkImages, x: fmpq_mat) -> tuple[int | None, int]:
    """Preimages of a value, and their sum with signs; None when one lies on a border or on a flat cell."""
    count = degree = 0
    for cell in images.cells():
        if cell.rank < images.network.latent_dim and unreached(cell, x) is None:
            return None, 0
    for piece in images.pieces:
        z = piece.preimage(x)
        assert z is not None
        if piece.cell.contains(z):
            if not piece.cell.contains_inside(z):
                return None, 0
            count += 1
            degree += 1 if piece.matrix.det() > 0 else -1
    return count, degree


def _single_preimage(images: NetworkImages, home: Cell, z: Point) -> Decision | None:
    """The certificate that f(z) has no other preimage; None when it has one."""
    x = fmpq_mat(images.network.observed_dim, 1, home.value(z))
    for piece in images.pieces:
        other = piece.preimage(x)
        if other is not None and piece.cell is not home and piece.cell.contains(other):
            return None
    flat: dict[str, Any] = {}
    for leaf, cell in enumerate(images.cells()):
        if cell.rank < images.network.latent_dim:
            multipliers = unreached(cell, x)
            if multipliers is None:
                return None
            if multipliers:
                flat[str(leaf)] = plain_multipliers(multipliers)
    return Decision(Certificate("network.single_preimage",
                                {"tree": images.tree_data(), "z": plain_point(z), "flat": flat},
                                f"f^-1(f(z)) = {{z}} for z = {shown(z)}"),
                    "a point inside a cell is the only preimage of its value, and so are its neighbours")


def _covered(images: NetworkImages, screen: Screen) -> Decision:
    """Cover the image of every cell by those of the others; what stays uncovered proves F2."""
    pieces, leaves = images.pieces, images.leaves
    n_units = len(images.cells()[0].pattern)
    trees: dict[str, Any] = {}
    for i, piece in enumerate(pieces):
        images.check("covering the images of cells", i)
        result = cover_tree(piece, n_units, _finder(images, screen, i),
                            lambda: images.check("covering the image of a cell"))
        if isinstance(result, Uncovered):
            return _uncovered(images, piece, result, random.Random(3))
        trees[str(leaves[i])] = _completed(result)
    implied = {str(leaf): [[unit, plain_multipliers(y)] for unit, y in piece.cell.implied]
               for leaf, piece in zip(leaves, pieces, strict=True) if piece.cell.implied}
    return Decision(Witness("network.covered", {"tree": images.tree_data(), "implied": implied, "covers": trees},
                            "every value in the image, but for a null set, has two preimages or more"),
                    f"the image of each of the {len(pieces)} cells of rank m is covered by those of others")


def _finder(images: NetworkImages, screen: Screen, i: int) -> Callable[[Point], Cover | None]:
    """Finds other cells with the same image plane whose image holds the value at a point of piece i."""
    pieces, leaves = images.pieces, images.leaves
    piece = pieces[i]
    seen: dict[int, Cover] = {}

    def find(z: Point) -> Cover | None:
        x = fmpq_mat(images.network.observed_dim, 1, piece.cell.value(z))
        # Floats propose; when none of their proposals holds, all pieces are asked exactly.
        proposals = [int(j) for j in screen.preimages(screen.value(i, z))]
        for j in (*proposals, *range(len(pieces))):
            if j == i or pieces[j].plane != piece.plane:
                continue
            other = pieces[j].preimage(x)
            if other is not None and pieces[j].cell.contains(other):
                if j not in seen:
                    seen[j] = pulled_back(piece, pieces[j], leaves[j])
                return seen[j]
        return None

    return find


def _uncovered(images: NetworkImages, piece: Piece, part: Uncovered, rng: random.Random) -> Decision:
    """A generic point of an uncovered part has one preimage."""
    for shrink in range(4, 64):
        images.check("looking for a value with one preimage")
        z = [p + fmpq(rng.randint(-999, 999), 1000 * 2**shrink) for p in part.point]
        if all(evaluate(g, z) > 0 for g in part.constraints):
            decision = _single_preimage(images, piece.cell, z)
            if decision is not None:
                return decision
    raise OutOfTime("looking for a generic point of a part of the image that is covered once")


def _completed(node: dict[str, Any]) -> dict[str, Any]:
    """A node of a covering as plain JSON."""
    if "cut" in node:
        return {"cut": node["cut"], **{side: _completed(node[side]) for side in ("neg", "pos")}}
    return {"in": node["in"], "y": {str(unit): plain_multipliers(y) for unit, y in node["y"].items()}}
