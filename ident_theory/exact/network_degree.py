"""The degree of a network between spaces of one dimension, for the verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.network_cells import Leaf, Network, read_tree
from ident_theory.exact.network_linear import (
    ZERO,
    index,
    multipliers,
    numbers,
    only_keys,
    reject,
    slope_along,
    solutions,
)

Tree = Mapping[str, Any]


def degree(model: Tree, data: Tree) -> None:
    r"""Refutes F2, F3 and F4 for n = m: f is proper, and its degree is neither 1 nor -1.

    f is proper. If f stayed bounded on an unbounded sequence, a subsequence would lie in one closed cell
    :math:`\{g_k \ge 0\}`, and a limit of its directions would be some r != 0 with A r = 0 and (linear part of g_k) r
    >= 0 for all k. For an invertible A there is none; for the other leaves ``proper`` shows it (`_check_proper`).

    The degree of a proper map of R^m is one integer d, the sum of the local degrees over the preimages of any value
    whose preimages are isolated. The preimages of ``value`` are found leaf by leaf. A leaf without full rank must have
    no candidate. A leaf of full rank has one; it must violate a constraint, or lie so far inside the cell that f is
    affine around it, and then its local degree is the sign of the determinant. A point that several leaves hold (they
    differ in units that are identically zero there) counts once.

    Take any value off the images of the leaves without full rank and of the boundaries of the others; what is left out
    is null. It has finitely many preimages, each with the sign +1 or -1, and the signs add up to d. So their number is
    >= abs(d) and has the parity of d: as abs(d) != 1, it is not 1. A ball around a point of the image has an open,
    non-empty preimage. Inside a cell without full rank it holds a value with infinitely many preimages, inside any
    other cell a value with at least two (not F2). Values with at least two preimages are all but a null set of the
    image in its own dimension, m or, if no cell with interior has full rank, by the argument of `narrow` (not F3).

    Raises
    ------
    CertificateRejected
        A step of this proof does not hold.
    """
    only_keys(data, ("proper", "tree", "value"), "data")
    net = Network(model)
    if net.n != net.m:
        reject(f"expected equal dimensions, got m = {net.m} and n = {net.n}")
    value = numbers(data["value"], net.n, "value")
    leaves = read_tree(net, data["tree"])
    proofs: dict[int, Any] = {}
    for key, entries in data["proper"].items():
        i = index(key, len(leaves), "proper")
        if i in proofs:
            reject(f"proper: leaf {i} is named twice")
        proofs[i] = entries
    signs: dict[tuple[Any, ...], int] = {}
    for i, leaf in enumerate(leaves):
        matrix = fmpq_mat(net.m, net.m, [x for row in leaf.image for x in row[:-1]])
        det = matrix.det()
        if not det:
            if i not in proofs:
                reject(f"proper: leaf {i} is singular and has no entry")
            _check_proper(net, leaf, proofs[i], f"proper[{i}]")
            if solutions([[*row[:-1], v - row[-1]] for row, v in zip(leaf.image, value, strict=True)],
                         net.m) is not None:
                reject(f"value lies in the image plane of leaf {i}, which is singular; another value is needed")
            continue
        if i in proofs:
            reject(f"proper[{i}]: leaf {i} is invertible, so the entry is superfluous")
        shifted = fmpq_mat(net.m, 1, [v - row[-1] for v, row in zip(value, leaf.image, strict=True)])
        point = [row[0] for row in matrix.solve(shifted).tolist()]
        if leaf.holds_inside(point):
            signs[tuple(point)] = 1 if det > 0 else -1
        elif not leaf.is_violated(point):
            reject(f"value is taken at {point}, on the boundary of leaf {i}; another value is needed")
    total = sum(signs.values())
    if abs(total) == 1:
        reject(f"the degree is {total}")


def _check_proper(net: Network, leaf: Leaf, entries: Any, where: str) -> None:
    """Accept when `entries` show that no ray of the cell has a constant value.

    Let v_1, ..., v_e be the basis of the kernel of A that `solutions` gives, and t coordinates on it. The entries for
    k are a + and a - one: multipliers y >= 0 with sum y_i (linear part of g_i)(t) = -t_k, and = t_k. The left sides are
    >= 0 for a direction of the cell, so every t_k = 0.
    """
    found = solutions([[*row[:-1], ZERO] for row in leaf.image], net.m)
    basis: Sequence[Any] = found.directions if found is not None else ()
    if not isinstance(entries, list | tuple) or len(entries) != 2 * len(basis):
        reject(f"{where}: expected {2 * len(basis)} objects of multipliers, got {entries!r:.80}")
    for position, entry in enumerate(entries):
        total = leaf.combine(multipliers(entry, net.size, f"{where}[{position}]"), net.m)
        wanted = fmpq(2 * (position % 2) - 1)
        for k, direction in enumerate(basis):
            if slope_along(total, direction) != (wanted if k == position // 2 else 0):
                reject(f"{where}[{position}]: the sum does not bound coordinate {position // 2} of the kernel")
