"""The cell of a network around one point, and along a segment."""

from __future__ import annotations

from itertools import pairwise

from flint import fmpq_mat

from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cells import Cell
from ident_theory.geometry.line import line_pieces, point_inside
from ident_theory.geometry.linear_programs import ONE, ZERO, Point, evaluate
from ident_theory.models.network import ReLUNetwork


def cell_at(network: ReLUNetwork, z: Point) -> Cell | None:
    """The cell with a point in its interior, with the constraints of all its units; None on the border of cells."""
    cell = cell_around(network, z)
    return cell if cell.contains_inside(z) else None


def cell_around(network: ReLUNetwork, z: Point) -> Cell:
    """A cell that holds a point, perhaps on its border and perhaps without interior: '+' where a unit is zero."""
    m = len(z)
    slope = rational(network.negative_slope_exact)
    forms = [[ONE if i == j else ZERO for j in range(m + 1)] for i in range(m)]
    pattern, units, constraints = "", [], []
    for layer in range(network.depth):
        weights = fmpq_mat(network.weights_exact[layer].shape[0], len(forms),
                           [rational(v) for v in network.weights_exact[layer].ravel()])
        forms = (weights * fmpq_mat(len(forms), m + 1, [v for row in forms for v in row])).tolist()
        for form, bias in zip(forms, network.biases_exact[layer], strict=True):
            form[-1] += rational(bias)
        if layer == network.depth - 1:
            break
        for u, form in enumerate(forms):
            active = evaluate(form, z) >= 0
            if any(form[:-1]):
                units.append(len(pattern))
                constraints.append(form if active else [-v for v in form])
            pattern += "+" if active else "-"
            if not active:
                forms[u] = [slope * v for v in form]
    return Cell(pattern, tuple(units), tuple(constraints), (), tuple(form[:-1] for form in forms),
                tuple(form[-1] for form in forms), z)


def cells_between(network: ReLUNetwork, start: Point, stop: Point) -> list[Cell]:
    """The cells that a segment crosses, in order; pieces where it runs along a border are left out."""
    along = [b - a for a, b in zip(start, stop, strict=True)]
    first = [[sum((rational(w) * v for w, v in zip(row, along, strict=True)), ZERO)]
             for row in network.weights_exact[0]]
    bias = [sum((rational(w) * v for w, v in zip(row, start, strict=True)), rational(b))
            for row, b in zip(network.weights_exact[0], network.biases_exact[0], strict=True)]
    line = ReLUNetwork([[[fraction(v) for v in row] for row in first],
                        *[w.tolist() for w in network.weights_exact[1:]]],
                       [[fraction(v) for v in bias], *[b.tolist() for b in network.biases_exact[1:]]],
                       network.negative_slope_exact)
    cuts = [ZERO, *[t for t in line_pieces(line).breakpoints if 0 < t < 1], ONE]
    found = []
    for left, right in pairwise(cuts):
        t = point_inside(left, right)
        cell = cell_at(network, [a + t * v for a, v in zip(start, along, strict=True)])
        if cell is not None:
            found.append(cell)
    return found
