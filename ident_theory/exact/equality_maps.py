"""Affine maps of the latent that may carry one model to another: their kind, the priors, the decoders.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.exact.equality_cells import PlaneNetwork, all_cells, composed, contains, exact
from ident_theory.exact.equality_forms import same_form
from ident_theory.exact.equality_pairs import Pair, Side
from ident_theory.exact.network_cells import Blocks, Leaf, read_tree
from ident_theory.exact.network_cells import Network as Tiling
from ident_theory.exact.pair_equivalence import inverse
from ident_theory.exact.pair_trees import (
    Matrix,
    Network,
    Pieces,
    Row,
    dot,
    image,
    matrix,
    moved,
    pieces,
    reduced,
    reject,
    row,
    times,
    transposed,
)

#: A matrix and a shift.
Map = tuple[Matrix, Row]
#: Rows [a_1, ..., a_m, c] of an affine map.
Rows = list[list[Any]]


def read_map(matrix_tree: Any, shift_tree: Any, m: int) -> Map:
    """An invertible affine map of m latents."""
    a, b = matrix(matrix_tree), row(shift_tree)
    if len(a) != m or len(a[0]) != m or len(b) != m or inverse(a) is None:
        reject(f"expected an invertible affine map of {m} latents")
    return a, b


def _identity(m: int) -> Matrix:
    return tuple(tuple(Fraction(i == k) for k in range(m)) for i in range(m))


def _is_monomial(a: Matrix) -> bool:
    return all(sum(map(bool, r)) == 1 for r in a)


#: Whether an invertible map is of each kind.
KINDS: dict[str, Callable[[Matrix, Row], bool]] = {
    "equal": lambda a, b: a == _identity(len(a)) and not any(b),
    "permutation": lambda a, b: _is_monomial(a) and all(v in (0, 1) for r in a for v in r) and not any(b),
    "orthogonal": lambda a, b: times(a, transposed(a)) == _identity(len(a)) and not any(b),
    "monomial": lambda a, b: _is_monomial(a),
    "affine": lambda a, b: True,
}


def priors_differ(pair: Pair, change: Map) -> bool:
    """Whether h#P_a is another law than P_b, for some u; both must be known (`Pair.laws`)."""
    return any(reduced([image(*change, part) for part in parts]) != reduced(others) for parts, others in pair.laws())


def decoders_agree(f: Side, g: Side, change: Map, tree: Any = None) -> bool:
    """Whether g(h(z)) = f(z) for all z, but for jumps of maps of the line where the prior has no mass.

    For three or more latents `tree` lists the cells of f, each cut further by the units of g(h(z)); without it both
    must have one form (`equality_forms`).
    """
    a, b = change
    if f.m == 1:
        first, second = pieces(f.decoder), pieces(g.decoder)
        masses = {mean[0] for parts in f.laws or () for w, mean, c in parts if w and not c[0][0]}
        return second.precomposed(a[0][0], b[0]) == first and all(
            second.at(a[0][0] * z + b[0]) == first.at(z) for z in masses)
    assert isinstance(f.decoder, Network)
    assert isinstance(g.decoder, Network)
    other = composed(g.decoder, a, b)
    if tree is None and same_form(f.decoder, other):
        return True
    if f.m == 2:
        second_net = PlaneNetwork(other)
        return all(rows == others for polygon, rows in PlaneNetwork(f.decoder).cells()
                   for _, others in second_net.cells([polygon]))
    if tree is None:
        return False
    n = len(f.decoder.weights[-1])
    both = _Chain(Tiling({"decoder": plain(f.decoder)}), Tiling({"decoder": plain(other)}))
    return all(leaf.image[:n] == leaf.image[n:] for leaf in read_tree(both, tree))


class _Chain(Tiling):
    """Two networks of the same latents as one: the units of the first, then those of the second; both values."""

    def __init__(self, first: Tiling, second: Tiling) -> None:
        self._first, self._second = first, second
        self.m, self.n, self.depth = first.m, first.n + second.n, first.depth + second.depth
        self.size = first.size + second.size
        self.units = [*first.units, *((first.depth + l, i) for l, i in second.units)]

    def preactivations(self, layer: int, blocks: Blocks, signs: str) -> list[Any]:
        """Those of the first network, and beyond its hidden layers those of the second."""
        depth = self._first.depth
        if layer < depth:
            return self._first.preactivations(layer, blocks, signs)
        own = self._second.preactivations(layer - depth, blocks[depth:], signs[self._first.size:])
        return own if layer < self.depth else [*self._first.preactivations(depth, blocks, signs), *own]


def plain(net: Network) -> dict[str, Any]:
    """A network as the tree of a model file."""
    return {"type": "relu_network", "weights": [[[str(v) for v in r] for r in w] for w in net.weights],
            "biases": [[str(v) for v in b] for b in net.biases], "negative_slope": str(net.slope)}


def value(f: Network | Pieces, z: Row) -> Row:
    """f(z)."""
    if isinstance(f, Pieces):
        return f.at(z[0])
    for layer, (w, b) in enumerate(zip(f.weights, f.biases, strict=True)):
        z = moved(w, b, z)
        if layer < len(f.weights) - 1:
            z = tuple(v if v > 0 else f.slope * v for v in z)
    return z


def is_refuted(pair: Pair, change: Map, points: Sequence[Row]) -> bool:
    """Whether a map is shown not to relate two models: by their priors, or by their decoders.

    For three or more latents the decoders are compared at `points`.
    """
    if pair.first.laws is not None and pair.second.laws is not None and priors_differ(pair, change):
        return True
    if pair.first.m <= 2:
        return not decoders_agree(pair.first, pair.second, change)
    return any(value(pair.first.decoder, z) != value(pair.second.decoder, moved(*change, z)) for z in points)


def around(f: Network | Pieces, z: Row) -> Rows:
    """The affine map that f is around a point, [a_1, ..., a_m, c] for every coordinate."""
    if isinstance(f, Pieces) or len(z) == 1:
        line = pieces(f)
        if z[0] in line.breaks:
            reject("at: the map changes its slope there")
        k = sum(t < z[0] for t in line.breaks)
        return [[exact(a), exact(c)] for a, c in zip(line.slopes[k], line.intercepts[k], strict=True)]
    rows: list[Row] = [(*r, Fraction(0)) for r in _identity(len(z))]
    point = (*z, Fraction(1))
    for layer, (w, b) in enumerate(zip(f.weights, f.biases, strict=True)):
        rows = [(*r[:-1], r[-1] + c) for r, c in zip(times(w, tuple(rows)), b, strict=True)]
        if layer < len(f.weights) - 1:
            heights = [dot(r, point) for r in rows]
            if any(any(r) and not height for r, height in zip(rows, heights, strict=True)):
                reject("at: a unit changes its sign there")
            rows = [r if height > 0 else tuple(f.slope * v for v in r)
                    for r, height in zip(rows, heights, strict=True)]
    return [[exact(v) for v in r] for r in rows]


def candidates(f: Side, g: Side, z: Row, tree: Any = None) -> list[Map]:
    r"""All affine h that can satisfy g(h(z)) = f(z) everywhere, from f around one point.

    Such an h takes every neighbourhood of z to a set with an open part in some cell of g; one cell occurs for
    arbitrarily small ones, so its closure contains h(z). There A_g A = A_f and A_g b + c_g = c_f, and as A_f has rank
    m, so has A_g, and h is the only solution. For three or more latents `tree` lists the cells of g.

    Raises
    ------
    CertificateRejected
        When f is not affine of full column rank around z.
    """
    target = around(f.decoder, z)
    m = len(z)
    if _matrix(target, m).rank() < m:
        reject("at: the map has no full column rank there")
    found: dict[Map, None] = {}
    point = fmpq_mat(m + 1, 1, [*map(exact, z), fmpq(1)])
    for rows, holds in _cells(g.decoder, m, tree):
        change = _solved(rows, target, m)
        if change is not None and holds((change * point).entries()):
            table = change.tolist()
            found[tuple(tuple(_fraction(v) for v in r[:m]) for r in table),
                  tuple(_fraction(r[m]) for r in table)] = None
    return list(found)


def _cells(g: Network | Pieces, m: int, tree: Any) -> Iterator[tuple[Rows, Callable[[Sequence[Any]], bool]]]:
    """The affine maps of all cells of g, with a test whether the closed cell contains a point."""
    if m == 1:
        line = pieces(g)
        for k, (slope, intercept) in enumerate(zip(line.slopes, line.intercepts, strict=True)):
            low, high = (None if end is None else exact(end) for end in line.ends(k))
            yield [[exact(a), exact(c)] for a, c in zip(slope, intercept, strict=True)], partial(_is_between, low, high)
        return
    assert isinstance(g, Network)
    if m == 2:
        for polygon, rows in all_cells(g):
            yield rows, partial(contains, polygon)
        return
    for leaf in read_tree(Tiling({"decoder": plain(g)}), tree):
        yield leaf.image, partial(_holds, leaf)


def _is_between(low: Any, high: Any, z: Sequence[Any]) -> bool:
    return (low is None or low <= z[0]) and (high is None or z[0] <= high)


def _holds(leaf: Leaf, z: Sequence[Any]) -> bool:
    return not leaf.is_violated(z)


def _matrix(rows: Rows, m: int) -> fmpq_mat:
    return fmpq_mat(len(rows), m, [v for r in rows for v in r[:m]])


def _solved(rows: Rows, target: Rows, m: int) -> fmpq_mat | None:
    """[A | b] with A_g [A | b] = A_f | c_f - c_g for A_g of full column rank; None when there is none."""
    left = _matrix(rows, m)
    if left.rank() < m:
        return None
    right = fmpq_mat(len(rows), m + 1, [v for r, t in zip(rows, target, strict=True) for v in (*t[:m], t[m] - r[m])])
    normal = left.transpose()
    change = (normal * left).solve(normal * right)
    return change if left * change == right else None


def _fraction(number: Any) -> Fraction:
    return Fraction(int(number.p), int(number.q))
