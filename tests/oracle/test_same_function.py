"""Decoders as functions: rewritten networks are the same, and a point always shows a difference.

Oracles: values by Fraction arithmetic of the tests' own; for the plane the walk over cells of any dimension; for maps
between decoders those that the pair was made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from random import Random

import pytest

from ident_theory import PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import InputError
from ident_theory.exact.network_cells import Network, read_tree
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cells import CellWalk, plain_tree
from ident_theory.geometry.changes import affine_changes
from ident_theory.geometry.exact_values import exact_values
from ident_theory.geometry.network_form import same_form
from ident_theory.geometry.same_function import _same_in_space, same_function
from ident_theory.models import AffineChange
from ident_theory.numerics import Stopwatch
from ident_theory.testing.matrices import apply, plus
from ident_theory.testing.random_models import number, random_map, random_model, random_network
from ident_theory.testing.rewriting import rewritten, split_pieces
from ident_theory.testing.strategies_pairs import KINDS, equivalent_pair, perturbed


def value(f: ReLUNetwork | PiecewiseAffineMap, z: Sequence[Fraction]) -> list[Fraction]:
    """f(z), layer by layer in fractions."""
    if isinstance(f, PiecewiseAffineMap):
        k = sum(t <= z[0] for t in f.breakpoints_exact)
        return [a * z[0] + c for a, c in zip(f.slopes_exact[k], f.intercepts_exact[k], strict=True)]
    hidden = list(z)
    for layer, (w, b) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        hidden = plus(apply(w.tolist(), hidden), b.tolist())
        if layer < f.depth - 1:
            hidden = [v if v > 0 else f.negative_slope_exact * v for v in hidden]
    return hidden


def differ_at(f, g, point) -> bool:
    z = [fraction(v) for v in point]
    return value(f, z) != value(g, z)


@pytest.mark.parametrize("seed", range(4))
def test_values_agree_with_fractions(seed) -> None:
    rng = Random(seed)
    for _ in range(40):
        f = random_model(rng).decoder
        points = [[number(rng, 9) for _ in range(f.latent_dim)] for _ in range(3)]
        found = exact_values(f, [[rational(v) for v in z] for z in points])
        assert [[fraction(v) for v in x] for x in found] == [value(f, z) for z in points]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_rewritten_networks_are_the_same_function(m) -> None:
    rng = Random(m)
    for _ in range(60 if m < 3 else 30):
        f = random_network(rng, m, rng.randint(1, 3))
        g, steps = rewritten(rng, f, 3)
        answer = same_function(f, g)
        assert answer.same, (f, steps)
        assert answer.point is None
        again = same_function(g, f)
        assert again.same


def test_one_number_away_a_point_shows_the_difference() -> None:
    rng, counts = Random(5), {True: 0, False: 0}
    grid = {m: list(product([Fraction(k, 3) for k in range(-8, 9, 16 // 2**(4 - m))], repeat=m)) for m in (1, 2, 3)}
    for _ in range(200):
        model = random_model(rng)
        f, g = model.decoder, perturbed(rng, model)[0].decoder
        answer = same_function(f, g)
        counts[answer.same] += 1
        if answer.same:
            assert all(value(f, z) == value(g, z) for z in grid[f.latent_dim])
        else:
            assert differ_at(f, g, answer.point)
    assert min(counts.values()) > 50, counts


def test_a_difference_far_from_all_samples_is_found() -> None:
    """A bump of width 1e-9 at (1e6, 1e6), one of one cell, and a kink along one ray only."""
    def bump(x, width):
        return ReLUNetwork([[[1, 0]] * 3 + [[0, 1]] * 3, [[1, -2, 1, 1, -2, 1]], [[1]]],
                           [[-x - width, -x, -x + width] * 2, [-width], [0]])

    flat = ReLUNetwork([[[0, 0]], [[0]]], [[0], [0]])
    for x, width in ((10**6, Fraction(1, 10**9)), (Fraction(1, 7), Fraction(1, 1000)), (0, 1)):
        answer = same_function(bump(x, width), flat)
        assert answer.same is False
        assert differ_at(bump(x, width), flat, answer.point)
    first = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [-1], [0]])
    second = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[1]]], [[0, 0], [Fraction(-1) - Fraction(1, 10**12)], [0]])
    answer = same_function(first, second)
    assert answer.same is False
    assert differ_at(first, second, answer.point)


def test_the_plane_agrees_with_the_walk_over_cells() -> None:
    rng, seen = Random(11), set()
    for _ in range(120):
        f = random_network(rng, 2, rng.randint(1, 2), most=3)
        g = rewritten(rng, f, 2, most=6)[0]
        if rng.random() < 0.5:
            rows = [b.tolist() for b in g.biases_exact]
            rows[rng.randrange(len(rows))][0] += rng.choice((1, -1))
            g = ReLUNetwork(g.weights_exact, rows, g.negative_slope_exact)
        route = _same_in_space(f, g, Stopwatch(None))
        answer = same_function(f, g)
        assert answer.same == route.same
        seen.add(answer.same)
        for item in (answer, route):
            assert item.same or differ_at(f, g, item.point)
    assert seen == {True, False}


def test_equal_forms_mean_equal_functions() -> None:
    """Rewritten networks have one form; networks that are another function never do."""
    rng = Random(3)
    for _ in range(150):
        f = random_network(rng, rng.choice((1, 2, 3)), 2)
        g, steps = rewritten(rng, f, 2)
        assert same_form(f, g), (f, steps)
        model = random_model(rng)
        other = perturbed(rng, model)[0].decoder
        if isinstance(other, ReLUNetwork) and same_form(model.decoder, other):
            assert same_function(model.decoder, other).same


def twice(f: ReLUNetwork) -> ReLUNetwork:
    """The same function with its first activation applied twice: s(s(t)) = s(t) for the ReLU, seen on cells only."""
    width = len(f.biases_exact[0])
    again = [[int(i == k) for i in range(width)] for k in range(width)]
    return ReLUNetwork([f.weights_exact[0], again, *f.weights_exact[1:]],
                       [f.biases_exact[0], [0] * width, *f.biases_exact[1:]])


@pytest.mark.parametrize("m", [2, 3])
def test_what_only_cells_show(m) -> None:
    rng = Random(m)
    for _ in range(10):
        f = random_network(rng, m, 2, 2)
        f = ReLUNetwork(f.weights_exact, f.biases_exact)
        answer = same_function(f, twice(f))
        assert answer.same
        if any(any(row) for row in f.weights_exact[0]) and m == 3 and not same_form(f, twice(f)):
            assert answer.tree
        other = twice(f)
        changed = ReLUNetwork(other.weights_exact, [other.biases_exact[0], [Fraction(1, 10**6)] * len(
            other.biases_exact[0]), *other.biases_exact[2:]])
        different = same_function(f, changed)
        assert different.same or differ_at(f, changed, different.point)


def test_large_networks_are_compared_without_cells() -> None:
    """Ten latents and 40 hidden units have too many cells, but order and scaling of units are seen at once."""
    rng = Random(1)
    first = [[number(rng) for _ in range(10)] for _ in range(40)]
    out = [[number(rng) for _ in range(40)] for _ in range(3)]
    f = ReLUNetwork([first, out], [[0] * 40, [0] * 3])
    order = rng.sample(range(40), 40)
    g = ReLUNetwork([[[3 * v for v in first[i]] for i in order], [[row[i] / 3 for i in order] for row in out]],
                    [[0] * 40, [0] * 3])
    answer = same_function(f, g, 5.0)
    assert answer.same
    assert answer.tree is None


def test_the_tree_of_both_networks_covers_space() -> None:
    """The verifier accepts the tree of the second network within every cell of the first."""
    rng = Random(2)
    for _ in range(15):
        f = random_network(rng, 3, 2)
        walk = CellWalk(f)
        alone = list(walk)
        leaves = read_tree(Network({"decoder": f.plain()}), plain_tree(walk.tree))
        assert len(leaves) == len(alone)
        outer = CellWalk(f)
        parts = [part for cell in outer for part in CellWalk(f, cell, outer.tree)]
        assert len(parts) == len(alone)
        assert all(part.pattern[:len(part.pattern) // 2] == part.pattern[len(part.pattern) // 2:] for part in parts)


@pytest.mark.parametrize(("m", "count"), [(1, 80), (2, 60), (3, 25)])
def test_the_map_of_an_equivalent_pair_is_among_the_changes(m, count) -> None:
    rng, complete = Random(m), 0
    for _ in range(count):
        pair = equivalent_pair(rng, m=m)
        f, g = pair.first.decoder, pair.second.decoder
        found = affine_changes(f, g)
        h = AffineChange(pair.matrix, pair.shift)
        complete += found.complete
        assert h in found.changes or not found.complete, pair
        for change in found.changes:
            z = [number(rng, 40) for _ in range(m)]
            image = plus(apply(change.matrix_exact.tolist(), z), change.shift_exact.tolist())
            assert isinstance(f, PiecewiseAffineMap) or value(g, image) == value(f, z)
    assert complete > count // 3


def test_symmetries_of_a_decoder_are_all_found() -> None:
    """Eight of (|z1| + |z2|, ||z1| - |z2||), four of (|z1|, |z2|), fewer where kinks are not symmetric."""
    first = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    square = ReLUNetwork([first, [[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]], [[1, 0, 0], [0, 1, 1]]],
                         [[0] * 4, [0] * 3, [0, 0]])
    others = {4: [[1, 1, 0, 0], [0, 0, 1, 1]], 2: [[1, 2, 0, 0], [0, 0, 1, 1]], 1: [[1, 2, 0, 0], [0, 0, 1, 3]]}
    maps = {8: square, **{count: ReLUNetwork([first, last], [[0] * 4, [0, 0]]) for count, last in others.items()}}
    for count, f in maps.items():
        found = affine_changes(f, f)
        assert (found.complete, len(found.changes)) == (True, count)
        assert all(change.is_orthogonal for change in found.changes)
    line = PiecewiseAffineMap([-1, 1], [-1, 0, 1], [-1, 0, -1])
    found = affine_changes(line, line)
    assert set(found.changes) == {AffineChange(1, 0), AffineChange(-1, 0)}
    for constant in (PiecewiseAffineMap([], [0], [3]), PiecewiseAffineMap([2], [0, 0], [0, 1])):
        assert not affine_changes(constant, constant).complete


def test_split_pieces_and_jumps_of_the_line() -> None:
    rng = Random(9)
    for _ in range(60):
        f = random_map(rng, rng.randint(1, 2))
        assert same_function(f, split_pieces(rng, f)).same
        g = random_map(rng, f.observed_dim)
        answer = same_function(f, g)
        assert answer.same or differ_at(f, g, answer.point)


def test_budget_and_bad_input() -> None:
    rng = Random(4)
    f = ReLUNetwork([[[number(rng, 99) for _ in range(3)] for _ in range(14)], [[1] * 14]], [list(range(14)), [0]])
    answer = same_function(f, twice(f), 1e-9)
    assert answer.same is None
    assert "1e-09 s ran out" in answer.reason
    assert not affine_changes(f, f, 1e-9).complete
    with pytest.raises(InputError, match="same dimensions"):
        same_function(f, ReLUNetwork([[[1, 1]]], [[0]]))
    with pytest.raises(InputError, match="same dimensions"):
        affine_changes(f, ReLUNetwork([[[1, 1, 1]] * 2], [[0, 0]]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_equivalent_pairs(kind) -> None:
    rng = Random(str(kind))
    for _ in range(400):
        pair = equivalent_pair(rng, kind=kind)
        found = affine_changes(pair.first.decoder, pair.second.decoder)
        assert not found.complete or AffineChange(pair.matrix, pair.shift) in found.changes
