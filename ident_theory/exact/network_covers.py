"""Cells covered by the images of other cells, for the network verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flint import fmpq_mat

from ident_theory.exact.network_cells import Leaf, Network
from ident_theory.exact.network_linear import (
    Row,
    check_thin,
    index,
    is_constant,
    multipliers,
    only_keys,
    reject,
    weighted_sum,
)


def transfer(net: Network, source: Leaf, target: Leaf) -> list[Row] | None:
    """The affine map T with target(T(z)) = source(z) for all z, as m rows; None when there is no unique one.

    It exists, and is unique, exactly if the target matrix has rank m and the plane of the source lies in its plane.
    """
    m = net.m
    flat = [x for s, t in zip(source.image, target.image, strict=True) for x in (*t[:m], *s[:m], s[m] - t[m])]
    reduced, found = fmpq_mat(net.n, 2 * m + 1, flat).rref()
    if found != m or any(reduced[i, i] != 1 for i in range(m)):
        return None
    return [row[m:] for row in reduced.tolist()[:m]]


def pulled_back(row: Row, transfer_rows: Sequence[Row], m: int) -> Row:
    """The affine function ``row`` after T."""
    out = weighted_sum(transfer_rows, row[:m], m + 1)
    out[m] += row[m]
    return out


def read_walls(net: Network, leaves: Sequence[Leaf], implied: Mapping[str, Any]) -> list[list[int]]:
    """For every leaf, units whose constraints g_k >= 0 define its closed cell: the others follow from them.

    `implied` lists, for some leaves, open units as ``[unit, y]``: g_unit = sum y_k g_k + const, y >= 0, const >= 0,
    over open units that are not listed at or before this entry. So the last entry follows from the walls (open units
    that are not listed), the one before it from the walls and the last one, and so on. Then the units that are not
    open follow one after the other from the units before them (`network_cells.read_tree`).

    Raises
    ------
    CertificateRejected
        An entry does not follow, or names a unit that is not open or that was named before.
    """
    walls = [list(leaf.open_units) for leaf in leaves]
    done: set[int] = set()
    for key, entries in implied.items():
        i = index(key, len(leaves), "implied")
        if i in done:
            reject(f"implied: leaf {i} is named twice")
        done.add(i)
        for unit, y in entries:
            where = f"implied[{i}], unit {unit}"
            u = index(unit, net.size, where)
            if u not in walls[i]:
                reject(f"{where}: expected an open unit that no entry before this one names")
            walls[i].remove(u)
            part = multipliers(y, net.size, where)
            if not set(part) <= set(walls[i]):
                reject(f"{where}: expected multipliers of {walls[i]}, got {sorted(part)}")
            _check_sum(leaves[i].constraint(u), leaves[i].combine(part, net.m), where)
    return walls


def _check_sum(line: Row, part: Row, where: str) -> None:
    """Accept when `line` is `part` plus a constant >= 0."""
    rest = [a - b for a, b in zip(line, part, strict=True)]
    if not is_constant(rest) or rest[-1] < 0:
        reject(f"{where}: the constraint is not shown to follow")


def check_cover(net: Network, leaves: Sequence[Leaf], walls: Sequence[Sequence[int]], i: int, root: Any) -> None:
    """Accept a proof that almost every point of cell i shares its value with another point.

    The nodes split the cell into regions. ``in j``: T with f_j(T(z)) = f_i(z) maps the region into the closed cell j,
    because every wall of j (`read_walls`) after T is a non-negative combination of the constraints of the region plus
    a constant >= 0. T is not the identity, so T(z) != z off a proper affine subspace; without this, a second copy of
    the same cell (a unit that is identically zero) would pass for a second preimage. ``cut``: the two parts cover
    the region. ``empty``: the region can be left out (`check_thin`).
    """
    leaf = leaves[i]
    m, size = net.m, net.size
    maps: dict[int, list[Row]] = {}

    def transfer_to(j: Any, where: str) -> tuple[int, list[Row]]:
        other = index(j, len(leaves), where)
        if other not in maps:
            rows = transfer(net, leaf, leaves[other])
            if rows is None:
                reject(f"{where}: the image of leaf {other} is no piece of the plane of leaf {i}")
            maps[other] = rows
        return other, maps[other]

    stack: list[tuple[Any, list[Row], str]] = [(root, leaf.constraints(), f"covers.{i}")]
    while stack:
        node, region, where = stack.pop()
        if not isinstance(node, Mapping):
            reject(f"{where}: expected a node, got {node!r:.80}")
        if "cut" in node:
            only_keys(node, ("cut", "neg", "pos"), where)
            j, k = node["cut"]
            other, rows = transfer_to(j, where)
            line = pulled_back(leaves[other].constraint(index(k, size, where)), rows, m)
            stack.append((node["neg"], [*region, [-x for x in line]], where + ".neg"))
            stack.append((node["pos"], [*region, line], where + ".pos"))
        elif "empty" in node:
            only_keys(node, ("empty",), where)
            y = multipliers(node["empty"], len(region), where)
            minus = any(r < size and leaf.signs[r] == "-" for r in y)
            check_thin([region[r] for r in y], list(y.values()), minus, where)
        else:
            only_keys(node, ("in", "y"), where)
            other, rows = transfer_to(node["in"], where)
            if all(row[c] == int(r == c) for r, row in enumerate(rows) for c in range(m + 1)):
                reject(f"{where}: leaf {other} is a copy of leaf {i}, so its preimages are the same points")
            _check_inside(leaves[other], walls[other], rows, region, node["y"], where)


def _check_inside(other: Leaf, walls: Sequence[int], rows: Sequence[Row], region: Sequence[Row], y: Any,
                  where: str) -> None:
    given = {index(k, len(other.signs), where): multipliers(value, len(region), where) for k, value in y.items()}
    if len(given) != len(y) or set(given) != set(walls):
        reject(f"{where}: expected one entry for each of the walls {list(walls)} of the covering leaf, got {list(y)}")
    m = len(rows)
    for k, part in given.items():
        _check_sum(pulled_back(other.constraint(k), rows, m),
                   weighted_sum([region[r] for r in part], part.values(), m + 1),
                   f"{where}: constraint {k} of the covering leaf")
