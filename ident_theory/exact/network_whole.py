"""Checks of decoder certificates that need no cells: dimensions, ranks of layers, and networks that are affine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ident_theory.exact.network_cells import Network
from ident_theory.exact.network_linear import index, only_keys, rank, reject
from ident_theory.exact.verify_lines import Line

Tree = Mapping[str, Any]


def read_decoder(model: Tree) -> Network | Line:
    """The decoder of a model tree that has values."""
    return Line(model) if model["decoder"]["type"] == "piecewise_affine" else Network(model)


def _dimensions(model: Tree) -> tuple[int, int]:
    """The dimensions m and n of a decoder, which may be declared only."""
    decoder = model["decoder"]
    if decoder["type"] != "declared":
        f = read_decoder(model)
        return f.m, f.n
    m, n = decoder["latent_dim"], decoder["observed_dim"]
    if type(m) is not int or type(n) is not int or m < 1 or n < 1:
        reject(f"decoder: expected dimensions >= 1, got latent_dim = {m!r} and observed_dim = {n!r}")
    return m, n


def dimension(model: Tree, data: Tree) -> None:
    """Proves m <= n."""
    only_keys(data, (), "data")
    m, n = _dimensions(model)
    if m > n:
        reject(f"m = {m} is larger than n = {n}")


def overcomplete(model: Tree, data: Tree) -> None:
    """Refutes m <= n, and nothing more: a declared map that is not continuous may be injective all the same."""
    only_keys(data, (), "data")
    m, n = _dimensions(model)
    if m <= n:
        reject(f"m = {m} is not larger than n = {n}")


def narrow(model: Tree, data: Tree) -> None:
    """Refutes F2, F3 and F4: the weights of ``layer`` have rank < m.

    Every piece is a product with this matrix, so its rank is < m, and inside every full-dimensional cell the preimage
    of a value holds a segment. A ball around a point of the image has an open preimage; it meets the inside of a cell,
    so the ball holds a value with infinitely many preimages (not F2). The image of the inside of a cell of largest rank
    has positive measure in the dimension of the image (not F3).
    """
    only_keys(data, ("layer",), "data")
    net = Network(model)
    rows = net.weights[index(data["layer"], net.depth + 1, "layer")]
    if rank(rows, len(rows[0])) >= net.m:
        reject(f"weights[{data['layer']}] has rank at least {net.m}")


def _affine_rank(model: Tree, data: Tree) -> tuple[int, int]:
    """The rank of f, and m, for a network that is one affine map."""
    only_keys(data, (), "data")
    net = Network(model)
    if net.depth and net.slope != 1:
        reject(f"expected one layer or a negative slope of 1, got {net.depth + 1} layers and slope {net.slope}")
    rows, blocks = net.preactivations(0, (), ""), ()  # type: tuple[list[Any], tuple[list[Any], ...]]
    for layer in range(net.depth):
        blocks = (*blocks, rows)
        rows = net.preactivations(layer + 1, blocks, "+" * net.offsets[layer + 1])
    return rank(rows, net.m), net.m


def affine(model: Tree, data: Tree) -> None:
    """Proves F4: one layer or an activation that is the identity, and the product of the weights has rank m.

    Then f is one affine map, on all of R^m, and its matrix has no kernel.
    """
    found, m = _affine_rank(model, data)
    if found < m:
        reject(f"the product of the weights has rank {found} < m = {m}")


def affine_flat(model: Tree, data: Tree) -> None:
    """Refutes F2, F3 and F4: f is one affine map as in `affine`, and its rank is < m.

    Every value of the image is taken on a whole line.
    """
    found, m = _affine_rank(model, data)
    if found == m:
        reject(f"the product of the weights has rank m = {m}")


def continuous(model: Tree, data: Tree) -> None:
    """Proves continuity: a network is a composition of continuous maps."""
    only_keys(data, (), "data")
    Network(model)


def piecewise_affine(model: Tree, data: Tree) -> None:
    """Proves F1: a network, and an explicit map with sorted breakpoints, have finitely many affine pieces."""
    only_keys(data, (), "data")
    read_decoder(model)
