"""Checks of certificates and witnesses about conditions on mixture priors.

Components, variables and latent coordinates are counted from 0; component j is the j-th cell, in C order, of the
table of the hidden variables. Everything is recomputed from the plain numbers of the prior.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.mixture_trees import MixtureTree, Row, demand, index, neighbours, number

TreeCheck = Callable[[MixtureTree, Mapping[str, Any]], None]
ModelCheck = Callable[[Mapping[str, Any], Mapping[str, Any]], None]


def _definite(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """Sylvester's criterion: the leading minors are the products of the pivots, all positive."""
    listed: dict[tuple[tuple[Fraction, ...], ...], int] = {}
    for item in data["components"]:
        j, pivots = index(item["component"], prior.size), [number(pivot) for pivot in item["pivots"]]
        demand(prior.weights[j] > 0 and prior.parameters(j) not in listed,
               f"component {j} is no component of the reduced form or listed twice")
        listed[prior.parameters(j)] = j
        demand(len(pivots) == prior.dim and all(pivot > 0 for pivot in pivots),
               f"component {j}: {prior.dim} positive pivots were expected")
        matrix = [[fmpq(v.numerator, v.denominator) for v in row] for row in prior.covariances[j]]
        demand(all(matrix[a][b] == matrix[b][a] for a in range(prior.dim) for b in range(a)),
               f"covariances[{j}] is not symmetric")
        product = Fraction(1)
        for size, pivot in enumerate(pivots, 1):
            product *= pivot
            minor = fmpq_mat(size, size, [v for row in matrix[:size] for v in row[:size]]).det()
            demand(minor == fmpq(product.numerator, product.denominator),
                   f"covariances[{j}]: its leading minor of size {size} is {minor}, not {product}")
    for j in prior.live:
        demand(prior.parameters(j) in listed, f"component {j} is missing")


def _degenerate(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    demand(len(data["components"]) > 0, "no component is named")
    seen: set[int] = set()
    for item in data["components"]:
        j, vector = index(item["component"], prior.size), [number(v) for v in item["vector"]]
        demand(prior.weights[j] > 0 and j not in seen, f"component {j} has no weight or is listed twice")
        seen.add(j)
        demand(len(vector) == prior.dim and any(vector), f"component {j}: a vector of {prior.dim} numbers, not all "
                                                         "zero, was expected")
        demand(all(sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) == 0
                   for row in prior.covariances[j]), f"covariances[{j}] does not annul the vector")


def _distinct(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """Listed in strictly increasing order of their parameters, no two components are equal."""
    order = [index(j, prior.size) for j in data["order"]]
    demand(sorted(order) == list(range(prior.size)), "the order is no permutation of the components")
    demand(len(prior.live) == prior.size, "a weight is zero")
    for a, b in itertools.pairwise(order):
        demand(prior.parameters(a) < prior.parameters(b), f"components {a} and {b} are not in increasing order")


def _repeated(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    first, second = (index(data[key], prior.size) for key in ("first", "second"))
    demand(first != second and prior.parameters(first) == prior.parameters(second),
           f"components {first} and {second} are not two equal ones")


def _zero_weight(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    j = index(data["component"], prior.size)
    demand(prior.weights[j] == 0, f"weights[{j}] is not zero")


def _positive(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    j = index(data["component"], prior.size)
    demand(number(data["least"]) == prior.weights[j] == min(prior.weights) > 0,
           f"weights[{j}] is not the least weight, positive and equal to {data['least']}")


def _factorial(prior: MixtureTree) -> None:
    """Every component with a weight has a diagonal covariance."""
    for j in prior.live:
        demand(all(v == 0 for a, row in enumerate(prior.covariances[j]) for b, v in enumerate(row) if a != b),
               f"covariances[{j}] is not diagonal")


def _scalar(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    demand(prior.dim == 1 == index(data["latent_dim"], None), f"the latent has dimension {prior.dim}, not 1")


def _ratios(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    _factorial(prior)
    first, second = (index(j, prior.size) for j in data["pair"])
    demand(prior.weights[first] > 0 and prior.weights[second] > 0, "a state of the pair has no weight")
    top, bottom = ([prior.covariances[j][t][t] for t in range(prior.dim)] for j in (first, second))
    demand(all(v > 0 for v in (*top, *bottom)), "a variance of the pair is not positive")
    ratios = [a / b for a, b in zip(top, bottom, strict=True)]
    demand([number(v) for v in data["ratios"]] == ratios, "the ratios are not those of the pair")
    demand(len(set(ratios)) == prior.dim, "two ratios are equal")


def _dependent(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    j, (row, column) = index(data["component"], prior.size), (index(t, prior.dim) for t in data["coordinates"])
    demand(prior.weights[j] > 0, f"component {j} has no weight")
    demand(row != column and prior.covariances[j][row][column] != 0,
           f"covariances[{j}][{row}][{column}] is no non-zero entry beside the diagonal")


def _equal_ratios(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """Each group holds states whose variances at two coordinates are in one proportion: no pair inside it will do."""
    demand(prior.dim > 1, "with one coordinate there are no two ratios to be equal")
    flat = set()
    for item in data["degenerate"]:
        j, t = index(item[0], prior.size), index(item[1], prior.dim)
        demand(prior.covariances[j][t][t] == 0, f"covariances[{j}][{t}][{t}] is not zero")
        flat.add(j)
    covered: set[tuple[int, int]] = set()
    for group in data["groups"]:
        s, t = (index(item, prior.dim) for item in group["coordinates"])
        states = sorted(index(j, prior.size) for j in group["components"])
        demand(s != t and len(set(states)) == len(states), "a group repeats a coordinate or a component")
        proportions = {prior.covariances[j][s][s] / prior.covariances[j][t][t] for j in states}
        demand(len(proportions) == 1, f"variances {s} and {t} are not in one proportion over a group")
        covered.update(itertools.combinations(states, 2))
    for pair in itertools.combinations([j for j in prior.live if j not in flat], 2):
        demand(pair in covered, f"states {pair[0]} and {pair[1]} are in no common group")


def _claimed(value: Any, prior: MixtureTree, computed: list[list[int]]) -> None:
    claimed = [[index(t, prior.dim) for t in row] for row in value]
    demand(claimed == computed, f"the neighbourhoods are {computed}, not {claimed}")


def _neighbourhoods(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    _claimed(data["neighbourhoods"], prior, prior.neighbourhoods)
    demand([sorted(row) for row in prior.declared or ()] == prior.neighbourhoods,
           "the declared neighbourhoods are others")


def _changes(prior: MixtureTree, variable: int, t: int, states: Sequence[Any]) -> None:
    """Two states of the hidden variables show that the variable acts on the coordinate."""
    a, b = (index(j, prior.size) for j in states)
    demand(prior.weights[a] > 0 and prior.weights[b] > 0, "one of the two states has no weight")
    demand([i for i, (x, y) in enumerate(zip(prior.cells[a], prior.cells[b], strict=True)) if x != y] == [variable],
           f"components {a} and {b} do not differ in variable {variable} alone")
    demand(prior.row(a, t) != prior.row(b, t), f"coordinate {t} has one law in components {a} and {b}")


def _undeclared(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    i, t = index(data["variable"], len(prior.states)), index(data["coordinate"], prior.dim)
    demand(prior.declared is not None and t not in prior.declared[i], f"coordinate {t} is declared for variable {i}")
    _changes(prior, i, t, data["states"])


def _unused(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    i, t = index(data["variable"], len(prior.states)), index(data["coordinate"], prior.dim)
    demand(prior.declared is not None and t in prior.declared[i], f"coordinate {t} is not declared for variable {i}")
    demand(t not in prior.neighbourhoods[i], f"variable {i} does act on coordinate {t}")


def _childless(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    i = index(data["variable"], len(prior.states))
    demand(prior.neighbourhoods[i] == [], f"variable {i} acts on {prior.neighbourhoods[i]}")


def _nondegenerate(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """Every coordinate has as many laws as the variables acting on it have configurations.

    For a set S of coordinates: two configurations of ne(S) differ in a variable that acts on some t in S, so they
    differ on ne(Z_t) and give Z_t, and with it Z_S, different laws. Single coordinates therefore suffice.
    """
    demand(len(prior.live) == prior.size, "a weight is zero")
    _claimed(data["neighbourhoods"], prior, prior.neighbourhoods)
    demand(len(data["counts"]) == prior.dim, f"{prior.dim} counts were expected")
    for t, count in enumerate(data["counts"]):
        laws = len({prior.row(j, t) for j in range(prior.size)})
        cells = math.prod(d for d, near in zip(prior.states, prior.neighbourhoods, strict=True) if t in near)
        demand(index(count, None) == laws == cells, f"coordinate {t} has {laws} laws for {cells} configurations of "
                                                     f"the variables acting on it; claimed: {count}")


def _equal_law(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """With all weights positive the law of Z_t given the variables acting on it is that in any matching component."""
    demand(len(prior.live) == prior.size, "a weight is zero, so a conditional law may mix several components")
    variable, t = index(data["variable"], len(prior.states)), index(data["coordinate"], prior.dim)
    first, second = (tuple(index(x, None) for x in data[key]) for key in ("first", "second"))
    demand(first in prior.cells and second in prior.cells, "a configuration is no cell of the table")
    demand(first[variable] != second[variable], f"the configurations agree in variable {variable}")
    _changes(prior, variable, t, data["states"])
    demand(prior.row(prior.cells.index(first), t) == prior.row(prior.cells.index(second), t),
           f"coordinate {t} has different laws in the two configurations")


def _antichain(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    _claimed(data["neighbourhoods"], prior, prior.neighbourhoods)
    near, pairs = prior.neighbourhoods, []
    for item in data["outside"]:
        i, j, t = (index(v, None) for v in item)
        demand(t in near[i] and t not in near[j], f"coordinate {t} does not tell ne(U[{i}]) from ne(U[{j}])")
        pairs.append((i, j))
    demand(sorted(pairs) == list(itertools.permutations(range(len(near)), 2)), "not every ordered pair stands once")


def _nested(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    inner, outer = (index(data[key], len(prior.states)) for key in ("inner", "outer"))
    near = [prior.neighbourhoods[inner], prior.neighbourhoods[outer]]
    _claimed(data["neighbourhoods"], prior, near)
    demand(inner != outer and set(near[0]) <= set(near[1]), f"ne(U[{inner}]) is not inside ne(U[{outer}])")


def _p3(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    _nondegenerate(prior, data)
    _antichain(prior, data)
    demand(all(prior.neighbourhoods), "a variable acts on no coordinate")


def _no_twins(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    _claimed(data["neighbourhoods"], prior, prior.neighbourhoods)
    demand(_are_different(prior.neighbourhoods), "two neighbourhoods are equal")


def _twins(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    i, j = (index(v, len(prior.states)) for v in data["variables"])
    _claimed([data["neighbourhood"]] * 2, prior, [prior.neighbourhoods[i], prior.neighbourhoods[j]])
    demand(i != j, "one variable is no pair of twins")


def _are_different(near: Sequence[Sequence[int]]) -> bool:
    return len({tuple(row) for row in near}) == len(near)


def _after_split(prior: MixtureTree, i: int, grid: Sequence[Sequence[int]]) -> list[list[int]]:
    """Neighbourhoods when variable `i` is two: its states stand in a grid, one variable a row, the other a column."""
    place = {state: (a, b) for a, row in enumerate(grid) for b, state in enumerate(row)}
    cells = [(*place[cell[i]], *cell[:i], *cell[i + 1:]) for cell in prior.cells]
    return neighbours(cells, prior.live, prior.columns)


def _split(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    demand(len(prior.live) == prior.size, "a weight is zero")
    _factorial(prior)
    i = index(data["variable"], len(prior.states))
    grid = [[index(state, prior.states[i]) for state in row] for row in data["grid"]]
    demand(len(grid) > 1 and len(grid[0]) > 1 and all(len(row) == len(grid[0]) for row in grid)
           and sorted(state for row in grid for state in row) == list(range(prior.states[i])),
           f"the grid does not hold every state of variable {i} once in two or more full rows and columns")
    demand(_are_different(_after_split(prior, i, grid)), "after the split there are twins")


def _unsplittable(prior: MixtureTree, data: Mapping[str, Any]) -> None:
    """For each variable a reason why splitting it leaves twins.

    ``twins``: two other variables are twins already. ``sizes``: for each coordinate the variable acts on, the sizes
    of the classes of states that the coordinate cannot tell apart; a part that the coordinate does not see has a
    number of states dividing them all, so with greatest common divisor one both parts act on every coordinate.
    ``grids``: all are tried.
    """
    demand(len(prior.live) == prior.size, "a weight is zero")
    near = prior.neighbourhoods
    demand([index(item["variable"], None) for item in data["reasons"]] == list(range(len(near))),
           "not every variable has its reason")
    for i, item in enumerate(data["reasons"]):
        if "twins" in item:
            a, b = (index(v, len(near)) for v in item["twins"])
            demand(a != b and i not in (a, b) and near[a] == near[b], f"variables {a} and {b} are no other twins")
        elif "sizes" in item:
            sizes = {t: _class_sizes(prior, i, t) for t in near[i]}
            claimed = {index(t, prior.dim): [index(v, None) for v in row] for t, row in item["sizes"]}
            demand(len(item["sizes"]) == len(claimed) and claimed == sizes, f"variable {i}: the classes have the "
                                                                            f"sizes {sizes}, not {claimed}")
            demand(all(math.gcd(*row) == 1 for row in sizes.values()), f"variable {i}: the sizes of the classes of a "
                                                                       "coordinate have a common divisor")
        else:
            demand(index(item["grids"], None) == _count_grids(prior, i), f"variable {i} has another number of grids")


def _class_sizes(prior: MixtureTree, i: int, t: int) -> list[int]:
    """Sizes of the classes of states of variable `i` that coordinate `t` cannot tell apart, in any configuration."""
    profiles: dict[int, list[Row]] = {}
    for j, cell in enumerate(prior.cells):
        profiles.setdefault(cell[i], []).append(prior.row(j, t))
    classes: dict[tuple[Row, ...], int] = {}
    for profile in profiles.values():
        classes[tuple(profile)] = classes.get(tuple(profile), 0) + 1
    return sorted(classes.values())


def _count_grids(prior: MixtureTree, i: int) -> int:
    """The number of ways to write the states as a grid with state 0 in the corner; refuse when one shows no twins."""
    d, count = prior.states[i], 0
    demand(d <= 8, f"variable {i} has {d} states, more than can be tried")
    for height in (a for a in range(2, d) if d % a == 0 and a * a <= d):
        width = d // height
        for order in itertools.permutations(range(1, d)):
            flat = (0, *order)
            grid = [flat[a * width:(a + 1) * width] for a in range(height)]
            if any(row[0] > below[0] for row, below in itertools.pairwise(grid)) or list(grid[0]) != sorted(grid[0]):
                continue  # relabelled states of the two parts: another grid stands for it
            count += 1
            demand(not _are_different(_after_split(prior, i, grid)), f"variable {i} can be split as {grid}")
    return count


_CHECKS: dict[str, TreeCheck] = {
    "mixture.definite": _definite,
    "mixture.degenerate": _degenerate,
    "mixture.distinct": _distinct,
    "mixture.repeated": _repeated,
    "mixture.zero_weight": _zero_weight,
    "mixture.positive": _positive,
    "mixture.scalar": _scalar,
    "mixture.ratios": _ratios,
    "mixture.dependent": _dependent,
    "mixture.equal_ratios": _equal_ratios,
    "mixture.neighbourhoods": _neighbourhoods,
    "mixture.undeclared": _undeclared,
    "mixture.unused": _unused,
    "mixture.childless": _childless,
    "mixture.nondegenerate": _nondegenerate,
    "mixture.equal_law": _equal_law,
    "mixture.antichain": _antichain,
    "mixture.nested": _nested,
    "mixture.p3": _p3,
    "mixture.no_twins": _no_twins,
    "mixture.twins": _twins,
    "mixture.split": _split,
    "mixture.unsplittable": _unsplittable,
}


def _on_model(check: TreeCheck) -> ModelCheck:
    return lambda model, data: check(MixtureTree(model), data)


VERIFIERS: dict[str, ModelCheck] = {kind: _on_model(check) for kind, check in _CHECKS.items()}
