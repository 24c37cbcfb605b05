"""The activation cells of a ReLU network with any number of latents, exactly, with the proof that they are all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.geometry.linear_programs import (
    ONE,
    ZERO,
    Constraint,
    Multipliers,
    Point,
    evaluate,
    maximise,
    step_inside,
    towards,
)
from ident_theory.models.network import ReLUNetwork

#: One unit in the tree of cells: "b" when both signs occur, "+" or "-" when only that one does, and then the proof
#: that the other does not: multipliers of constraints (by unit) whose sum is a constant <= 0.
Branch = tuple[str, Multipliers]

#: Constraints a latent that a cell may gather before those that follow from others are dropped.
THIN_ABOVE = 3


@dataclass(frozen=True)
class Cell:
    r"""A full-dimensional cell :math:`\{z : g_u(z) \ge 0\}` on which the network is :math:`f(z) = A z + c`.

    Attributes
    ----------
    pattern : str
        One sign a hidden unit, layer by layer: '+' where its preactivation is >= 0 on the cell.
    units : tuple of int
        The units whose constraints cut the cell out; those of the other units follow from these.
    constraints : tuple of lists of m + 1 fmpq
        The constraints of `units`: [a, b] stands for a . z + b >= 0.
    implied : tuple of (unit, multipliers by unit)
        Constraints that cut an ancestor of the cell and follow from those of `units` and of later entries here.
    matrix : tuple of n lists of m fmpq
    offset : tuple of n fmpq
    point : list of m fmpq
        A point of the interior.
    """

    pattern: str
    units: tuple[int, ...]
    constraints: tuple[Constraint, ...]
    implied: tuple[tuple[int, Multipliers], ...]
    matrix: tuple[list[fmpq], ...]
    offset: tuple[fmpq, ...]
    point: Point

    @cached_property
    def rank(self) -> int:
        """Rank of A."""
        return int(fmpq_mat(len(self.matrix), len(self.point), [v for row in self.matrix for v in row]).rank())

    def value(self, z: Point) -> list[fmpq]:
        """The affine map of this cell at a point."""
        return [evaluate([*row, c], z) for row, c in zip(self.matrix, self.offset, strict=True)]

    def contains(self, z: Point) -> bool:
        """Whether a point lies in the closed cell."""
        return all(evaluate(g, z) >= 0 for g in self.constraints)

    def contains_inside(self, z: Point) -> bool:
        """Whether a point lies in the interior of the cell."""
        return all(evaluate(g, z) > 0 for g in self.constraints)


@dataclass
class _Node:
    """A state of the walk: units before `unit` of this layer have their sign."""

    signs: str
    units: tuple[int, ...]
    constraints: tuple[Constraint, ...]
    implied: tuple[tuple[int, Multipliers], ...]
    point: Point
    layer: int
    forms: list[list[fmpq]]


class CellWalk:
    """Walks over the cells of a network, depth first, '+' before '-', and records the tree that proves them complete.

    Parameters
    ----------
    network : ReLUNetwork
    within : Cell, optional
        A cell of another network of the same latents: then the parts into which this network cuts it, with the units
        of the other network before its own.
    tree : list of Branch, optional
        The record to continue; a new one by default.

    Attributes
    ----------
    tree : list of Branch
        After the walk: one entry a node in depth-first order, for the independent verifier.

    Notes
    -----
    Cost: one linear program in m variables a cell and unit. Memory: the depth of the tree, and the record of it.
    """

    def __init__(self, network: ReLUNetwork, within: Cell | None = None, tree: list[Branch] | None = None) -> None:
        self.network = network
        self.tree: list[Branch] = [] if tree is None else tree
        self._within = within or Cell("", (), (), (), (), (), [ZERO] * network.latent_dim)
        self._slope = rational(network.negative_slope_exact)
        self._weights = [fmpq_mat(w.shape[0], w.shape[1], [rational(v) for v in w.ravel()])
                         for w in network.weights_exact]
        self._biases = [[rational(v) for v in b] for b in network.biases_exact]

    def __iter__(self) -> Iterator[Cell]:
        m = self.network.latent_dim
        identity = [[ONE if i == j else ZERO for j in range(m + 1)] for i in range(m)]
        start = self._within
        stack = [_Node(start.pattern, start.units, start.constraints, start.implied, start.point, 0,
                       self._forms(0, identity))]
        first_units = [len(start.pattern)]
        for w in self._weights[:-1]:
            first_units.append(first_units[-1] + w.nrows())
        while stack:
            node = stack.pop()
            while len(node.signs) == first_units[node.layer + 1] if node.layer < len(self._biases) - 1 else False:
                node = self._next_layer(node, first_units)
            if node.layer == len(self._biases) - 1:
                yield Cell(node.signs, node.units, node.constraints, node.implied,
                           tuple(form[:-1] for form in node.forms), tuple(form[-1] for form in node.forms), node.point)
                continue
            stack.extend(self._children(node, node.forms[len(node.signs) - first_units[node.layer]]))

    def _forms(self, layer: int, inputs: list[list[fmpq]]) -> list[list[fmpq]]:
        """Preactivations of a layer as affine functions of z, from those that enter it."""
        columns = len(inputs[0])
        product = (self._weights[layer] * fmpq_mat(len(inputs), columns, [v for row in inputs for v in row])).tolist()
        for row, bias in zip(product, self._biases[layer], strict=True):
            row[-1] += bias
        return product

    def _next_layer(self, node: _Node, first_units: list[int]) -> _Node:
        signs = node.signs[first_units[node.layer]:]
        active = [form if sign == "+" else [self._slope * v for v in form]
                  for sign, form in zip(signs, node.forms, strict=True)]
        return replace(node, layer=node.layer + 1, forms=self._forms(node.layer + 1, active))

    def _children(self, node: _Node, form: list[fmpq]) -> list[_Node]:
        """The cells of the two signs of the next unit, the '+' one last; those without interior are left out."""
        unit = len(node.signs)
        if not any(form[:-1]):
            sign = "+" if form[-1] >= 0 else "-"
            self.tree.append((sign, {unit: ONE}))
            return [_grown(node, sign)]
        height = evaluate(form, node.point)
        sign, opposite = ("+", "-") if height >= 0 else ("-", "+")
        here, there = (form, [-v for v in form]) if height >= 0 else ([-v for v in form], form)
        if height:
            best = maximise(node.constraints, there[:-1], node.point, -there[-1])
            if best.value is not None:
                multipliers = {node.units[k]: y for k, y in best.multipliers.items()}
                self.tree.append((sign, {**multipliers, unit: ONE}))
                return [_grown(node, sign)]
            other = towards(best.point, node.point, evaluate(there, best.point), height)
            same = node.point
        else:
            # The border runs through the interior point: a small step to either side.
            step = step_inside(node.constraints, node.point, form)
            same = [p + step * a for p, a in zip(node.point, here, strict=False)]
            other = [p - step * a for p, a in zip(node.point, here, strict=False)]
        self.tree.append(("b", {}))
        units = (*node.units, unit)
        parts = {}
        for s, g, p in ((sign, here, same), (opposite, there, other)):
            constraints = (*node.constraints, g)
            part = _Node(node.signs + s, units, constraints, node.implied, simple_point(constraints, p), node.layer,
                         node.forms)
            parts[s] = _thinned(part) if len(units) > THIN_ABOVE * len(p) else part
        return [parts["-"], parts["+"]]


def plain_tree(tree: list[Branch]) -> list[list[Any]]:
    """A tree of cells as plain JSON, as `ident_theory.exact.network_cells` reads it."""
    return [[sign] if sign == "b" else [sign, sorted(y)] for sign, y in tree]


def _grown(node: _Node, sign: str) -> _Node:
    return replace(node, signs=node.signs + sign)


def _thinned(node: _Node) -> _Node:
    """The same cell without the constraints that follow from the others."""
    units, constraints, implied = list(node.units), list(node.constraints), list(node.implied)
    for k in reversed(range(len(units))):
        others = constraints[:k] + constraints[k + 1:]
        best = maximise(others, [-a for a in constraints[k][:-1]], node.point, constraints[k][-1])
        if best.value is not None:
            rest = units[:k] + units[k + 1:]
            implied.append((units[k], {rest[i]: y for i, y in best.multipliers.items()}))
            constraints, units = others, rest
    return replace(node, units=tuple(units), constraints=tuple(constraints), implied=tuple(implied))


def simple_point(constraints: tuple[Constraint, ...], point: Point) -> Point:
    """A point with short numbers near an interior point, still inside: keeps the rationals from growing."""
    if max(max(abs(v.p).bit_length(), v.q.bit_length()) for v in point) < 24:
        return point
    exact = [Fraction(int(v.p), int(v.q)) for v in point]
    for bits in (4, 8, 16, 32, 64):
        near = [fmpq(round(v * 2**bits), 2**bits) for v in exact]
        if all(evaluate(g, near) > 0 for g in constraints):
            return near
    return point
