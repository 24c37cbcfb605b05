"""Checks of certificates and witnesses about decoders: cells, injectivity, collisions.

A decoder is a tree ``{"type": "relu_network", ...}`` (or, for a few kinds, ``"piecewise_affine"``). Every check
recomputes in rationals, never searches, and says in its docstring why an accepted proof proves its claim. Conditions
F1 to F4 are those of Kivva et al. (2022), Definition 3.1, as corrected in the ledger (``kivva.def3.1.F2`` and
``kivva.def3.1.F3``): F2 asks for a ball around a point of the image, and null sets of the image are those of Hausdorff
measure in its own dimension.

Two facts carry the checks of cells. On the closed cell of a pattern f equals the affine map of its leaf. The closed
cells of an accepted tree cover R^m (`network_cells.read_tree`). Both hold for every negative slope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from ident_theory.exact.network_cells import Leaf, Network, read_tree
from ident_theory.exact.network_covers import check_cover, read_walls
from ident_theory.exact.network_degree import degree
from ident_theory.exact.network_linear import (
    Row,
    evaluate,
    index,
    multipliers,
    numbers,
    only_keys,
    rank,
    reject,
    slope_along,
    solutions,
)
from ident_theory.exact.network_outputs import about_outputs
from ident_theory.exact.network_pairs import (
    Boxes,
    check_entry,
    image_plane,
    meet_only_on_diagonal,
    meeting,
    read_pairs,
)
from ident_theory.exact.network_whole import (
    affine,
    affine_flat,
    continuous,
    dimension,
    narrow,
    overcomplete,
    piecewise_affine,
    read_decoder,
)
from ident_theory.exact.verify_lines import Line

Tree = Mapping[str, Any]


def _two_points(model: Tree, data: Tree) -> tuple[Network | Line, list[Any], list[Any]]:
    """The decoder and two different points with equal values."""
    only_keys(data, ("z", "other"), "data")
    f = read_decoder(model)
    z, other = (numbers(data[name], f.m, name) for name in ("z", "other"))
    if z == other:
        reject("z and other are the same point")
    if f(z) != f(other):
        reject(f"the values differ: f(z) = {f(z)}, f(other) = {f(other)}")
    return f, z, other


def collision(model: Tree, data: Tree) -> None:
    """Refutes F4: two different points ``z`` and ``other`` with exactly equal values."""
    _two_points(model, data)


def overlap(model: Tree, data: Tree) -> None:
    """Refutes F3 and F4: two points with equal values, inside full-dimensional pieces with one image plane.

    Around ``z`` and around ``other`` f is affine of rank m. Disjoint neighbourhoods of the two points are mapped onto
    neighbourhoods of the common value in the same m-dimensional plane. So a set of positive m-dimensional measure is
    taken twice, and the image has dimension m.
    """
    f, z, other = _two_points(model, data)
    parts = []
    for name, point in (("z", z), ("other", other)):
        if isinstance(f, Line):
            if point[0] in f.breakpoints:
                reject(f"{name} is a breakpoint, not inside a piece")
            parts.append([[a] for a in f.slopes[f.piece(point[0])]])
        else:
            leaf = f.locate(point)
            if not leaf.holds_inside(point):
                reject(f"{name} lies on the boundary of its cell")
            parts.append([row[:f.m] for row in leaf.image])
    ranks = [rank(part, f.m) for part in parts]
    joint = rank([[*a, *b] for a, b in zip(*parts, strict=True)], 2 * f.m)
    if ranks != [f.m, f.m] or joint != f.m:
        reject(f"expected two matrices of rank {f.m} with one column space, got ranks {ranks} and {joint} together")


def flat(model: Tree, data: Tree) -> None:
    """Refutes F2, F3 and F4: every leaf matrix of ``tree`` has rank < m; the argument is that of `narrow`."""
    only_keys(data, ("tree",), "data")
    net = Network(model)
    for i, leaf in enumerate(read_tree(net, data["tree"])):
        if net.has_full_rank(leaf):
            reject(f"leaf {i} has rank {net.m}")


def _invertible_rows(matrix: Sequence[Row], rows: Any, where: str) -> None:
    """Accept when the named rows form an invertible square matrix."""
    width = len(matrix[0])
    chosen = [index(k, len(matrix), where) for k in rows]
    if len(chosen) != width or rank([matrix[k] for k in chosen], width) != width:
        reject(f"{where}: expected {width} independent rows, got {chosen}")


def injective_layers(model: Tree, data: Tree) -> None:
    """Proves F4: for every layer ``rows`` names rows that form an invertible matrix, and the slope is positive.

    Then every affine layer is injective, and so is the activation of positive slope; a composition of injective maps
    is injective. A network of one layer has no activation and needs no slope.
    """
    only_keys(data, ("rows",), "data")
    net = Network(model)
    if net.depth and net.slope <= 0:
        reject(f"expected a negative slope > 0, got {net.slope}")
    if len(data["rows"]) != net.depth + 1:
        reject(f"rows: expected one list for each of {net.depth + 1} layers")
    for l, rows in enumerate(data["rows"]):
        _invertible_rows(net.weights[l], rows, f"rows[{l}]")


def spanning_layers(model: Tree, data: Tree) -> None:
    """Proves F4 for slopes >= 0 by opposite pairs of rows in every hidden layer.

    ``pairs[l]`` lists (k, l') with w_l' = -c w_k, c > 0 and b_l' + c b_k >= 0. Then h_l' >= -c h_k, so at every point
    one of the two preactivations is >= 0, and both rows span the same line; the rows k have full rank. Let a layer
    map x and y to the same values, and look at their midpoint. A row with h >= 0 there has h(x) + h(y) >= 0. If its
    activations agree then h(x) = h(y): for slope 0 the values are either equal and positive, or both are <= 0, and
    then the sum makes both zero; for a positive slope the activation is injective. So x - y is orthogonal to rows
    that span, and x = y. The last layer has an invertible choice of ``rows``.
    """
    only_keys(data, ("pairs", "rows"), "data")
    net = Network(model)
    if net.slope < 0:
        reject(f"expected a negative slope >= 0, got {net.slope}")
    if len(data["pairs"]) != net.depth:
        reject(f"pairs: expected one list for each of {net.depth} hidden layers")
    for l, pairs in enumerate(data["pairs"]):
        rows, bias, where = net.weights[l], net.biases[l], f"pairs[{l}]"
        kept = []
        for first, second in pairs:
            k, o = index(first, len(rows), where), index(second, len(rows), where)
            lead = next((i for i, x in enumerate(rows[k]) if x), None)
            c = fmpq(0) if lead is None else -rows[o][lead] / rows[k][lead]
            if c <= 0 or any(b != -c * a for a, b in zip(rows[k], rows[o], strict=True)) or bias[o] + c * bias[k] < 0:
                reject(f"{where}: rows {k} and {o} are not opposite with one of them always active")
            kept.append(rows[k])
        if not kept or rank(kept, len(rows[0])) != len(rows[0]):
            reject(f"{where}: the rows do not span")
    _invertible_rows(net.weights[-1], data["rows"], "rows")


def _inside(net: Network, values: Any) -> tuple[list[Any], Leaf]:
    """A point strictly inside the cell of its own pattern, with the leaf of that pattern."""
    z = numbers(values, net.m, "z")
    own = net.locate(z)
    if not own.holds_inside(z):
        reject("z lies on the boundary of its cell")
    return z, own


def _equations(leaf: Leaf, value: Sequence[Any]) -> list[Row]:
    """The system A x = value - c of a leaf."""
    return [[*row[:-1], v - row[-1]] for row, v in zip(leaf.image, value, strict=True)]


def homeomorphism(model: Tree, data: Tree) -> None:
    """Proves F4 for n = m: all leaf determinants have one strict sign, and f(z) has the one preimage z, inside a cell.

    All matrices are invertible, so |f(x)| grows without bound, f is proper, and its degree is the sum of the signs of
    the determinants over the preimages of any value that no cell boundary is mapped to. Every value has at most one
    preimage a cell, so preimages are isolated. Around a preimage x of any value, near values off the images of the
    boundaries have all their local preimages with the common sign, and at least one (take the image of a point near x
    inside a cell): the local degree at x has the common sign and size >= 1. The degree is the sum of the local degrees
    and is +1 or -1 by the value f(z), so no value has two preimages.
    """
    only_keys(data, ("tree", "z"), "data")
    net = Network(model)
    if net.n != net.m:
        reject(f"expected equal dimensions, got m = {net.m} and n = {net.n}")
    z, _ = _inside(net, data["z"])
    value, sign = net(z), 0
    for i, leaf in enumerate(read_tree(net, data["tree"])):
        matrix = fmpq_mat(net.m, net.m, [x for row in leaf.image for x in row[:-1]])
        det = matrix.det()
        if not det or (sign and (det > 0) != (sign > 0)):
            reject(f"leaf {i} has determinant {det}")
        sign = 1 if det > 0 else -1
        shifted = fmpq_mat(net.m, 1, [v - row[-1] for v, row in zip(value, leaf.image, strict=True)])
        x = [row[0] for row in matrix.solve(shifted).tolist()]
        if x != z and not leaf.is_violated(x):
            reject(f"f(z) has a second preimage {x}, in leaf {i}")


def injective_cells(model: Tree, data: Tree) -> None:
    """Proves F4: every leaf matrix has rank m, and no two cells hold different points with equal values.

    The cells cover R^m. Points with equal values in one cell are equal by the rank. For two cells either proved bounds
    along a direction separate the images, or the pairs (z, z') with equal values are decided (`network_pairs`).
    """
    only_keys(data, ("tree", "boxes", "pairs"), "data")
    net = Network(model)
    leaves = read_tree(net, data["tree"])
    for i, leaf in enumerate(leaves):
        if not net.has_full_rank(leaf):
            reject(f"leaf {i} has rank < {net.m}")
    boxes = Boxes(net, leaves, data["boxes"])
    entries = _checked_entries(net, leaves, data["pairs"], {"empty": 5, "diagonal": 4})
    for i, j in boxes.touching(np.arange(len(leaves)), range(len(boxes.directions)), strict=True):
        if (i, j) not in entries:
            meet_only_on_diagonal(net, leaves[i], leaves[j], meeting(net, leaves[i], leaves[j]), f"leaves {i} and {j}")


def _checked_entries(net: Network, leaves: Sequence[Leaf], pairs: Any,
                     sizes: Mapping[str, int]) -> Mapping[tuple[int, int], Any]:
    """The entries of ``pairs``, each of which was checked, whether it is needed or not."""
    entries = read_pairs(pairs, len(leaves), sizes)
    for (i, j), entry in entries.items():
        first, second = leaves[i], leaves[j]
        check_entry(net, first, second, meeting(net, first, second), entry, f"pair {i}, {j}")
    return entries


def observably_injective(model: Tree, data: Tree) -> None:
    """Proves F3 (and with it F2, for finitely many pieces): images of cells of rank m overlap in null sets only.

    ``leaf`` has rank m and ``point`` inside its cell, so the image has dimension m. Leaves of lower rank have null
    images. Two leaves of rank m in different image planes meet in a set of lower dimension. For two leaves in one
    plane either an entry ``apart`` proves it, or a direction that is not constant on the plane bounds one image from
    above and the other from below by the same number or better: what they share lies in a hyperplane of the plane. In
    one leaf nothing is taken twice.
    """
    only_keys(data, ("tree", "leaf", "point", "boxes", "pairs"), "data")
    net = Network(model)
    leaves = read_tree(net, data["tree"])
    full = [net.has_full_rank(leaf) for leaf in leaves]
    i = index(data["leaf"], len(leaves), "leaf")
    if not full[i] or not leaves[i].holds_inside(numbers(data["point"], net.m, "point")):
        reject(f"leaf {i}: expected rank {net.m} and a point inside the cell")
    boxes = Boxes(net, leaves, data["boxes"])
    groups: dict[tuple[Any, ...], list[int]] = {}
    planes = [image_plane(net, leaf) if ok else None for leaf, ok in zip(leaves, full, strict=True)]
    for i, plane in enumerate(planes):
        if plane is not None:
            groups.setdefault(plane, []).append(i)
    entries = _checked_entries(net, leaves, data["pairs"], {"apart": 5})
    for i, j in entries:
        if planes[i] is None or planes[i] != planes[j]:
            reject(f"pair {i}, {j}: the images lie in different planes or are null, so the entry is superfluous")
    for members in groups.values():
        matrix = list(zip(*leaves[members[0]].image, strict=True))[:net.m]
        along = [d for d, direction in enumerate(boxes.directions)
                 if any(slope_along([*column, 0], direction) for column in matrix)]
        for pair in boxes.touching(np.array(members), along, strict=False):
            if pair not in entries:
                reject(f"leaves {pair[0]} and {pair[1]}: nothing shows that the images overlap in a null set only")


def single_preimage(model: Tree, data: Tree) -> None:
    """Proves F2: z lies inside its cell, the matrix there has rank m, and f(z) has no preimage in any other leaf.

    Images of closed cells are closed. The other ones do not hold f(z), so a ball around f(z) meets the image in
    values of the own cell only, where f is injective; the values near f(z) have positive m-dimensional measure.
    A leaf of lower rank needs a multiplier object in ``flat`` when A x = f(z) - c has solutions: on all of them the
    sum of constraints is a negative constant. A leaf whose only candidate is z itself is a copy of the own cell: z
    is inside the own cell, so the patterns differ in identically zero units only.
    """
    only_keys(data, ("tree", "z", "flat"), "data")
    net = Network(model)
    leaves = read_tree(net, data["tree"])
    z, own = _inside(net, data["z"])
    if not net.has_full_rank(own):
        reject(f"the matrix at z has rank < {net.m}")
    value = net(z)
    proofs = {index(k, len(leaves), "flat"): y for k, y in data["flat"].items()}
    for i, leaf in enumerate(leaves):
        found = solutions(_equations(leaf, value), net.m)
        if found is None or not found.directions:
            if i in proofs:
                reject(f"flat[{i}]: leaf {i} has at most one candidate, so the entry is superfluous")
            if found is not None and found.point != z and not leaf.is_violated(found.point):
                reject(f"f(z) has a second preimage {found.point}, in leaf {i}")
            continue
        if i not in proofs:
            reject(f"flat: an entry for leaf {i} is missing")
        total = leaf.combine(multipliers(proofs[i], net.size, f"flat[{i}]"), net.m)
        if any(slope_along(total, d) for d in found.directions) or evaluate(total, found.point) >= 0:
            reject(f"flat[{i}]: the sum is no negative constant on the candidates")


def covered(model: Tree, data: Tree) -> None:
    """Refutes F2: almost every point of every cell shares its value with another point.

    Leaves of rank m have a proof in ``covers`` (`network_covers.check_cover`); the optional ``implied`` names
    constraints that need no proof, because they follow from others (`network_covers.read_walls`). In a leaf of lower
    rank, points inside the cell share their value with a segment. So almost every point of R^m shares its value. A
    ball around a point of the image has an open, non-empty preimage, which holds such a point.
    """
    only_keys(data, ("tree", "covers", *(["implied"] if "implied" in data else [])), "data")
    net = Network(model)
    leaves = read_tree(net, data["tree"])
    walls = read_walls(net, leaves, data.get("implied", {}))
    nodes = {index(k, len(leaves), "covers"): node for k, node in data["covers"].items()}
    for i, leaf in enumerate(leaves):
        if i in nodes:
            check_cover(net, leaves, walls, i, nodes[i])
        elif net.has_full_rank(leaf):
            reject(f"covers: leaf {i} has rank {net.m} and no proof")


VERIFIERS: dict[str, Callable[[Tree, Tree], None]] = {
    "decoder.collision": collision,
    "decoder.overlap": overlap,
    "network.narrow": about_outputs(narrow),
    "network.flat": about_outputs(flat),
    "network.affine": about_outputs(affine),
    "network.affine_flat": about_outputs(affine_flat),
    "network.injective_layers": about_outputs(injective_layers),
    "network.spanning_layers": about_outputs(spanning_layers),
    "network.homeomorphism": about_outputs(homeomorphism),
    "network.injective_cells": about_outputs(injective_cells),
    "network.observably_injective": about_outputs(observably_injective),
    "network.single_preimage": about_outputs(single_preimage),
    "network.covered": about_outputs(covered),
    "network.degree": about_outputs(degree),
    "network.continuous": continuous,
    "decoder.piecewise_affine": piecewise_affine,
    "decoder.dimension": dimension,
    "decoder.overcomplete": overcomplete,
}

_F4 = {"F4": True, "F3": True, "F2": True, "ivae.injective": True}
_NOT_F4 = {"F4": False, "ivae.injective": False}
_NOT_F3 = {"F3": False, **_NOT_F4}
_NOT_F2 = {"F2": False, **_NOT_F3}

#: What an accepted proof of a kind says: condition id -> True (it holds) or False (it fails).
PROVES: dict[str, dict[str, bool]] = {
    "decoder.collision": _NOT_F4,
    "decoder.overlap": _NOT_F3,
    "network.narrow": _NOT_F2,
    "network.flat": _NOT_F2,
    "network.affine": _F4,
    "network.affine_flat": _NOT_F2,
    "network.injective_layers": _F4,
    "network.spanning_layers": _F4,
    "network.homeomorphism": _F4,
    "network.injective_cells": _F4,
    "network.observably_injective": {"F3": True, "F2": True},
    "network.single_preimage": {"F2": True},
    "network.covered": _NOT_F2,
    "network.degree": _NOT_F2,
    "network.continuous": {"continuous": True},
    "decoder.piecewise_affine": {"F1": True},
    "decoder.dimension": {"dimension": True},
    "decoder.overcomplete": {"dimension": False},
}
