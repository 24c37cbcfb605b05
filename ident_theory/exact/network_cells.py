"""Networks unfolded into cells, for the verifier: patterns, their affine functions, and trees of patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.network_linear import (
    ZERO,
    Row,
    check_thin,
    evaluate,
    index,
    multipliers,
    null_combination,
    number,
    numbers,
    rank,
    reject,
    weighted_sum,
)

Blocks = tuple[list[Row], ...]


class Leaf:
    r"""A full pattern: the closed cell :math:`\{g_k \ge 0\}` and the affine map on it.

    On the closed cell f is ``image``, because an activation is continuous: at zero both branches give zero.

    Attributes
    ----------
    signs : str
        ``+`` or ``-`` for every hidden unit.
    blocks : tuple of list of Row
        Preactivations of every hidden layer as affine functions of z along this pattern, without signs.
    image : list of Row
        f on the cell: n rows ``[A | c]``.
    open_units : tuple of int
        For a leaf of a tree: the units whose constraint the tree does not show to follow from those before it.
    """

    __slots__ = ("blocks", "image", "open_units", "signs", "units")

    def __init__(self, signs: str, blocks: Blocks, image: list[Row], units: Sequence[tuple[int, int]],
                 open_units: tuple[int, ...]) -> None:
        self.signs, self.blocks, self.image, self.units, self.open_units = signs, blocks, image, units, open_units

    def constraint(self, k: int) -> Row:
        """The function g_k, non-negative on the cell."""
        return signed(self.units, self.blocks, self.signs, k)

    def constraints(self) -> list[Row]:
        """All functions g_k."""
        return [self.constraint(k) for k in range(len(self.signs))]

    def combine(self, y: Mapping[int, Any], m: int) -> Row:
        """Sum of y_k g_k."""
        return weighted_sum(map(self.constraint, y), y.values(), m + 1)

    def is_violated(self, point: Sequence[Any]) -> bool:
        """Whether some g_k is negative at a point."""
        signs = iter(self.signs)
        for block in self.blocks:
            for row in block:
                sign, value = next(signs), evaluate(row, point)
                if value and (value > 0) != (sign == "+"):
                    return True
        return False

    def holds_inside(self, point: Sequence[Any]) -> bool:
        """Whether every g_k is positive at a point or identically zero: then the cell is a neighbourhood of it."""
        return all(evaluate(row, point) > 0 or not any(row) for row in self.constraints())


def signed(units: Sequence[tuple[int, int]], blocks: Blocks, signs: str, k: int) -> Row:
    """The function g_k of a pattern or of a prefix that reaches unit k."""
    layer, position = units[k]
    row = blocks[layer][position]
    return row if signs[k] == "+" else [-x for x in row]


class Network:
    """A network read from a model tree, in exact numbers.

    Attributes
    ----------
    m, n : int
        Dimensions of the input and of the output.
    size : int
        Number of hidden units H.
    slope : fmpq
        Slope of the activation on the negative half line, of any sign.
    weights, biases : list
        One list of rows, and one list of numbers, a layer.
    units : list of (int, int)
        Layer and position of every hidden unit.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        decoder = model["decoder"]
        if decoder["type"] != "relu_network":
            reject(f"decoder: expected a relu_network, got {decoder['type']!r}")
        self.slope = number(decoder["negative_slope"], "negative_slope")
        if len(decoder["weights"]) != len(decoder["biases"]) or not decoder["weights"]:
            reject("decoder: expected as many biases as weights, at least one")
        self.weights: list[list[Row]] = []
        self.biases: list[Row] = []
        width: int | None = None
        for l, (matrix, vector) in enumerate(zip(decoder["weights"], decoder["biases"], strict=True)):
            rows = [numbers(row, width if width is not None else len(matrix[0]), f"weights[{l}]") for row in matrix]
            if not rows or not rows[0]:
                reject(f"weights[{l}]: expected a matrix with rows and columns")
            self.weights.append(rows)
            self.biases.append(numbers(vector, len(rows), f"biases[{l}]"))
            width = len(rows)
        self.m, self.n = len(self.weights[0][0]), len(self.weights[-1])
        hidden = [len(rows) for rows in self.weights[:-1]]
        self.depth = len(hidden)
        self.units = [(l, i) for l, count in enumerate(hidden) for i in range(count)]
        self.size = len(self.units)
        self.offsets = [sum(hidden[:l]) for l in range(self.depth + 1)]
        self._layers = [fmpq_mat(len(rows), len(rows[0]) + 1,
                                 [x for row, b in zip(rows, bias, strict=True) for x in (*row, b)])
                        for rows, bias in zip(self.weights, self.biases, strict=True)]
        self._one = [ZERO] * self.m + [fmpq(1)]
        self._identity: list[Row] = [[fmpq(int(i == j)) for j in range(self.m + 1)] for i in range(self.m)]

    def preactivations(self, layer: int, blocks: Blocks, signs: str) -> list[Row]:
        """Affine functions that layer `layer` computes (the last one: f), given the signs of the layers before."""
        if layer == 0:
            inputs = self._identity
        else:
            inputs = [row if sign == "+" else [self.slope * x for x in row]
                      for row, sign in zip(blocks[layer - 1], signs[self.offsets[layer - 1]:self.offsets[layer]],
                                           strict=True)]
        flat = [x for row in inputs for x in row]
        flat.extend(self._one)
        rows: list[Row] = (self._layers[layer] * fmpq_mat(len(inputs) + 1, self.m + 1, flat)).tolist()
        return rows

    def leaf(self, signs: str, blocks: Blocks, open_units: tuple[int, ...]) -> Leaf:
        """The leaf of a full pattern."""
        return Leaf(signs, blocks, self.preactivations(self.depth, blocks, signs), self.units, open_units)

    def locate(self, point: Sequence[Any]) -> Leaf:
        """The leaf of the pattern of a point: ``+`` where the preactivation is >= 0."""
        signs, blocks = "", ()  # type: tuple[str, Blocks]
        for layer in range(self.depth):
            block = self.preactivations(layer, blocks, signs)
            blocks = (*blocks, block)
            signs += "".join("+" if evaluate(row, point) >= 0 else "-" for row in block)
        return self.leaf(signs, blocks, tuple(range(self.size)))

    def __call__(self, point: Sequence[Any]) -> list[Any]:
        """Value of f, layer by layer."""
        values = list(point)
        for l, (rows, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = [sum((w * v for w, v in zip(row, values, strict=True)), b)
                      for row, b in zip(rows, bias, strict=True)]
            if l < self.depth:
                values = [v if v >= 0 else self.slope * v for v in values]
        return values

    def has_full_rank(self, leaf: Leaf) -> bool:
        """Whether the matrix of a leaf has rank m."""
        return rank(leaf.image, self.m) == self.m


def read_tree(net: Network, tree: Any) -> list[Leaf]:
    r"""The leaves of a tree of patterns, after checking that their closed cells cover R^m.

    The tree lists, depth first and ``+`` first, for every prefix of length u < H: ``["b"]`` (both signs of unit u
    follow), ``["+", y]`` or ``["-", y]`` (only this sign follows, y shows that the other one can be left out).
    `y` is a multiplier object, or a list of constraint indices that leave only one combination up to scale.

    Proof of the cover. Every point has one pattern, ``+`` where a preactivation is >= 0 and ``-`` where it is < 0.
    So the points whose pattern was left out lie in finitely many sets, each of which is empty or part of a
    hyperplane (`check_thin`). Their union has no interior. The union of the listed closed cells is closed and holds
    all other points, so its complement is open and without interior: empty.

    A unit is open unless its entry leaves out one sign with a positive multiplier of the constraint of that sign, -g_u.
    Then y_u g_u = sum of y_k g_k over k < u, minus a constant <= 0: on the cell g_u >= 0 follows from what is before.

    Raises
    ------
    CertificateRejected
        An entry proves nothing, is missing, or is left over.
    """
    if not isinstance(tree, list | tuple):
        reject(f"tree: expected a list of entries, got {tree!r:.80}")
    leaves: list[Leaf] = []
    stack: list[tuple[str, Blocks, tuple[int, ...]]] = [("", (), ())]
    position, size, units = 0, net.size, net.units
    while stack:
        signs, blocks, open_units = stack.pop()
        while len(signs) < size:
            u = len(signs)
            layer, first = units[u]
            if first == 0:
                blocks = (*blocks, net.preactivations(layer, blocks, signs))
            if position == len(tree):
                reject(f"tree: ends inside the pattern {signs!r}; entry {position} is missing")
            entry = tree[position]
            if entry == ["b"]:
                open_units = (*open_units, u)
                stack.append((signs + "-", blocks, open_units))
                signs += "+"
            else:
                if not isinstance(entry, list | tuple) or len(entry) != 2 or entry[0] not in ("+", "-"):
                    reject(f"tree[{position}]: expected [\"b\"], [\"+\", y] or [\"-\", y], got {entry!r:.80}")
                other = signs + ("-" if entry[0] == "+" else "+")
                if u not in _check_left_out(net, other, blocks, entry[1], f"tree[{position}]"):
                    open_units = (*open_units, u)
                signs += entry[0]
            position += 1
        leaves.append(net.leaf(signs, blocks, open_units))
    if position != len(tree):
        reject(f"tree: all patterns end at entry {position}, but {len(tree)} entries are given")
    return leaves


def _check_left_out(net: Network, signs: str, blocks: Blocks, y: Any, where: str) -> list[int]:
    """Accept when `y` shows that no point with this prefix has to be looked at; the units with multipliers > 0."""
    if isinstance(y, list | tuple):
        support = [index(k, len(signs), where) for k in y]
        if not support:
            reject(f"{where}: expected at least one constraint")
        rows = [signed(net.units, blocks, signs, k) for k in support]
        weights = null_combination(rows)
        if weights is None or any(weight < 0 for weight in weights):
            reject(f"{where}: the constraints {list(support)} leave no unique non-negative combination")
        used = [i for i, weight in enumerate(weights) if weight]
        rows, weights, support = [rows[i] for i in used], [weights[i] for i in used], [support[i] for i in used]
    else:
        parsed = multipliers(y, len(signs), where)
        support, weights = list(parsed), list(parsed.values())
        rows = [signed(net.units, blocks, signs, k) for k in support]
    check_thin(rows, weights, any(signs[k] == "-" for k in support), where)
    return support

