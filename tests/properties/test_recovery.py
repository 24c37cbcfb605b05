"""Recovery on random mixtures with a known answer: affine maps, mixing matrices, hidden variables."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from scipy import integrate, stats

from ident_theory import AffineChange, Evidence, GaussianMixture, Status, affine_distance
from ident_theory.metrics import l2_distance
from ident_theory.recovery import LatentGraph, align_mixtures, exact_alignments, latent_graph, unmix_factorial
from ident_theory.testing.matrices import Matrix, Vector, apply, identity, inverse, plus, times, transposed
from ident_theory.testing.random_models import number, random_covariance, random_prior
from ident_theory.testing.rewriting import reshuffled
from ident_theory.testing.strategies_pairs import KINDS, carried, random_change


def moved(prior: GaussianMixture, a: Matrix, b: Vector) -> GaussianMixture:
    means = [plus(apply(a, mean), b) for mean in prior.means_exact.tolist()]
    return GaussianMixture(prior.weights_exact.tolist(), means,
                           [times(times(a, c), transposed(a)) for c in prior.covariances_exact.tolist()])


def law_of(prior: GaussianMixture):
    m = prior.latent_dim
    return carried(prior, identity(m), [Fraction(0)] * m)


def is_carried(h: AffineChange, a: GaussianMixture, b: GaussianMixture) -> bool:
    return carried(a, h.matrix_exact.tolist(), h.shift_exact.tolist()) == law_of(b)


def mixture_pairs(seeds: range, m: int, singular: bool | None = None) -> Iterator[tuple]:
    for seed in seeds:
        rng = Random(seed)
        first = random_prior(rng, m, singular)
        kind = rng.choice(KINDS)
        a, b = random_change(rng, m, kind)
        second, _ = reshuffled(rng, moved(first, a, b), 3)
        yield rng, first, second, a, b


# Exact maps between mixtures


def run_alignments(seeds: range, m: int) -> Counter:
    seen: Counter = Counter()
    for rng, first, second, a, b in mixture_pairs(seeds, m):
        found = exact_alignments(first, second)
        maps = [(h.matrix_exact.tolist(), h.shift_exact.tolist()) for h in found.changes]
        assert found.exist is True
        assert all(is_carried(h, first, second) for h in found.changes)
        assert len({str(h) for h in maps}) == len(maps)
        if found.complete:
            assert (a, b) in maps
        seen["complete" if found.complete else "infinite" if maps else "no rational map found"] += 1
        means = second.means_exact.tolist()
        means[rng.randrange(len(means))][rng.randrange(m)] += Fraction(1, rng.choice((1, 7, 10**12)))
        changed = GaussianMixture(second.weights_exact, means, second.covariances_exact.tolist())
        one, other = exact_alignments(first, changed), exact_alignments(changed, first)
        assert one.exist is other.exist
        assert all(is_carried(h, first, changed) for h in one.changes)
        assert (len(one.changes) > 0) <= (one.exist is True)
        seen["still affine" if one.exist else "refuted"] += 1
    return seen


@pytest.mark.parametrize("m", [1, 2, 3])
def test_all_exact_maps_between_random_mixtures(m):
    seen = run_alignments(range(120), m)
    assert seen["complete"] > 40
    assert seen["refuted"] > 25
    assert seen["no rational map found"] <= 10


@pytest.mark.slow
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_thousands_of_exact_maps(m):
    run_alignments(range(1000, 3000), m)


def test_the_maps_are_all_maps_on_the_line():
    """On the line a map is fixed by where the standard deviation and the mean go: two candidates at most."""
    for _, first, second, _, _ in mixture_pairs(range(150), 1):
        moments = []
        for p in (first, second):
            mean = sum(w * mu[0] for w, mu in zip(p.weights_exact, p.means_exact, strict=True))
            square = sum(w * (c[0][0] + (mu[0] - mean) ** 2)
                         for w, mu, c in zip(p.weights_exact, p.means_exact, p.covariances_exact, strict=True))
            moments.append((mean, square))
        (mean_a, var_a), (mean_b, var_b) = moments
        if not var_a:
            continue
        ratio = var_b / var_a
        root = Fraction(round(Fraction(ratio.numerator) ** 0.5), round(Fraction(ratio.denominator) ** 0.5))
        if root * root != ratio:
            continue
        truth = [s for s in (root, -root) if carried(first, [[s]], [mean_b - s * mean_a]) == law_of(second)]
        found = exact_alignments(first, second)
        assert found.complete
        assert sorted(h.matrix_exact[0, 0] for h in found.changes) == sorted(truth)


def test_triangles_of_means_are_told_apart():
    """Equal covariances leave isometries only: a triangle goes to congruent ones."""
    unit = identity(2)
    third = Fraction(1, 3)
    one = GaussianMixture([third] * 3, [[0, 0], [1, 0], [0, 2]], [unit] * 3)
    two = GaussianMixture([third] * 3, [[0, 0], [1, 0], [1, 2]], [unit] * 3)
    sheared = GaussianMixture([third] * 3, [[0, 0], [1, 0], ["1/2", 2]], [unit] * 3)
    assert len(exact_alignments(one, two).changes) == 1
    assert exact_alignments(one, sheared).exist is False
    assert len(exact_alignments(sheared, sheared).changes) == 2


# Alignment in floating point


def test_rounded_copies_are_aligned():
    """The map of a rounded copy is found to 1e-6 where it is unique and the problem well conditioned."""
    checked = 0
    for _, first, second, a, b in mixture_pairs(range(60), 2, singular=False):
        unique = exact_alignments(first, second)
        copy = GaussianMixture(second.weights, second.means * (1 + 1e-12), second.covariances)
        found = align_mixtures(first, copy)
        assert found.residual < 1e-6
        assert found.distance is not None
        assert found.distance < 1e-6
        if unique.complete and len(unique.changes) == 1 and found.design_condition < 1e4:
            np.testing.assert_allclose(found.matrix, [[float(v) for v in row] for row in a], atol=1e-6)
            np.testing.assert_allclose(found.shift, [float(v) for v in b], atol=1e-6)
            checked += 1
    assert checked > 15


def test_exact_copies_have_residual_zero():
    for _, first, second, _, _ in mixture_pairs(range(60), 2, singular=False):
        found = align_mixtures(first, second)
        if found.exact is not None:
            assert is_carried(found.exact, first, second)
        assert found.residual < 1e-6


# The distance up to affine maps


def test_affine_copies_have_distance_zero():
    for _, first, second, _, _ in mixture_pairs(range(40), 2, singular=False):
        assert float(affine_distance(first, second)) < 1e-7


def test_the_distance_is_that_of_the_map_and_symmetric():
    for seed in range(2):
        rng = Random(seed)
        m = seed + 1
        first, second = (random_prior(rng, m, singular=False) for _ in range(2))
        one, other = affine_distance(first, second), affine_distance(second, first)
        assert float(one) == pytest.approx(float(other), abs=1e-9)
        image = one.change.carry(first)
        assert l2_distance(image, second) == pytest.approx(float(one), abs=1e-7)
        if one.means_matching_value is not None:
            assert float(one) <= one.means_matching_value + 1e-12
        assert 0 <= float(one) < np.sqrt(2)


def test_the_distance_beats_a_grid_on_the_line():
    """No map z -> s z + t of a fine grid comes below it."""
    for seed in (0, 1):
        rng = Random(seed)
        first, second = (random_prior(rng, 1, singular=False) for _ in range(2))
        found = float(affine_distance(first, second))
        centers = [float(p.weights @ p.means[:, 0]) for p in (first, second)]
        deviations = [np.sqrt(float(p.weights @ (p.covariances[:, 0, 0] + (p.means[:, 0] - center) ** 2)))
                      for p, center in zip((first, second), centers, strict=True)]
        for factor, sign, step in itertools.product(np.geomspace(0.2, 5, 13), (1, -1), np.linspace(-2, 2, 13)):
            s = sign * factor * deviations[1] / deviations[0]
            t = centers[1] + step * deviations[1] - s * centers[0]
            image = GaussianMixture(first.weights, first.means * s + t, first.covariances * s * s)
            assert found <= l2_distance(image, second) + 1e-9


def test_the_closed_form_is_the_integral():
    for seed in range(3):
        rng = Random(seed)
        p, q = (random_prior(rng, 1, singular=False) for _ in range(2))

        def density(x, mixture):
            return sum(w * stats.norm.pdf(x, mu, np.sqrt(v)) for w, mu, v in zip(
                mixture.weights, mixture.means[:, 0], mixture.covariances[:, 0, 0], strict=True))

        def inner(f, g):
            return integrate.quad(lambda x: density(x, f) * density(x, g), -60, 60, limit=400, points=[-5, 0, 5])[0]

        value = np.sqrt(max(inner(p, p) + inner(q, q) - 2 * inner(p, q), 0) / np.sqrt(inner(p, p) * inner(q, q)))
        assert l2_distance(p, q) == pytest.approx(value, abs=1e-6)


# Unmixing


def factorial_mixture(rng: Random, m: int, count: int, ratios: str) -> GaussianMixture:
    """Diagonal components; ratios of variances all different, or some equal in all pairs of components."""
    while True:
        variances = [[Fraction(rng.randint(1, 9), rng.randint(1, 4)) for _ in range(m)] for _ in range(count)]
        if ratios == "equal":
            for row in variances:
                row[1] = 3 * row[0]
        told_apart = all(any(u[s] * v[t] != u[t] * v[s] for u, v in itertools.combinations(variances, 2))
                         for s, t in itertools.combinations(range(m), 2))
        if told_apart is (ratios == "different"):
            weights = [rng.randint(1, 3) for _ in range(count)]
            return GaussianMixture([Fraction(w, sum(weights)) for w in weights],
                                   [[number(rng) for _ in range(m)] for _ in range(count)], variances)


def random_matrix(rng: Random, m: int) -> Matrix:
    while True:
        a = [[number(rng) for _ in range(m)] for _ in range(m)]
        if inverse(a) is not None:
            return a


def monomial_part(found, a: Matrix) -> np.ndarray:
    """A'^{-1} A, which should have one entry in each row and column."""
    return np.asarray(found.inverse, float) @ np.array([[float(v) for v in row] for row in a])


def test_the_mixing_matrix_comes_back():
    for seed in range(150):
        rng = Random(seed)
        m = rng.randint(1, 5)
        count = rng.choice((2, 2, 3, 4)) if m > 1 else rng.randint(1, 3)
        z = factorial_mixture(rng, m, count, "different")
        a, b = random_matrix(rng, m), [number(rng) for _ in range(m)]
        found = unmix_factorial(moved(z, a, b))
        assert found.status is Status.HOLDS, (seed, found.reason)
        product = monomial_part(found, a)
        size = np.abs(product) / np.abs(product).max(axis=1, keepdims=True)
        assert (np.sort(size, axis=1)[:, :-1] < 1e-9).all(), seed
        assert sorted(np.argmax(size, axis=1)) == list(range(m))
        if found.inverse_exact is not None:
            exact = times(found.inverse_exact.tolist(), a)
            assert all(sum(map(bool, row)) == 1 for row in exact)


def test_it_says_when_coordinates_are_not_told_apart():
    for seed in range(60):
        rng = Random(seed)
        m = rng.randint(2, 4)
        z = factorial_mixture(rng, m, rng.randint(1, 4), "equal")
        a = random_matrix(rng, m)
        found = unmix_factorial(moved(z, a, [Fraction(0)] * m))
        assert found.status is Status.FAILS, seed
        assert any(len(block) > 1 for block in found.blocks)
        assert sorted(itertools.chain(*found.blocks)) == list(range(m))


def test_it_says_when_no_basis_makes_three_components_diagonal():
    for seed in range(60):
        rng = Random(seed)
        m = rng.randint(2, 3)
        z = factorial_mixture(rng, m, 3, "different")
        covariances = z.covariances_exact.tolist()
        size = min(covariances[2][0][0], covariances[2][1][1]) / rng.choice((2, 10**6))
        covariances[2][0][1] = covariances[2][1][0] = size
        bent = GaussianMixture(z.weights_exact, z.means_exact.tolist(), covariances)
        apart = any(covariances[0][0][0] * covariances[1][1][1] != covariances[0][1][1] * covariances[1][0][0]
                    for _ in "1")
        if not apart:
            continue
        found = unmix_factorial(moved(bent, random_matrix(rng, m), [Fraction(0)] * m))
        assert found.status is Status.FAILS, seed


def test_full_covariances_of_two_components_are_always_diagonal_somewhere():
    """Two positive definite matrices have a common basis; what it is told apart by is the spectrum."""
    for seed in range(40):
        rng = Random(seed)
        s, t = (np.array([[float(v) for v in row] for row in random_covariance(rng, 3, False)]) for _ in range(2))
        found = unmix_factorial(GaussianMixture([0.5, 0.5], np.zeros((2, 3)), [s, t]))
        ratios = np.sort(np.linalg.eigvals(np.linalg.solve(s, t)).real)
        gap = np.min(np.diff(ratios) / ratios[1:])
        assert (found.status is Status.HOLDS) == (gap > 1e-9), seed
        if found.status is Status.HOLDS:
            for c in (s, t):
                image = found.inverse @ c @ found.inverse.T
                scale = np.sqrt(np.diag(image))
                off = image / scale / scale[:, None] - np.eye(3)
                assert np.abs(off).max() < 1e-8 / min(gap, 1)


# Hidden variables


@dataclass(frozen=True)
class Hidden:
    """A factorial mixture over a table: states, neighbourhoods, weights by cell, and the mixture in random order."""

    states: tuple[int, ...]
    neighbourhoods: tuple[frozenset[int], ...]
    table: dict[tuple[int, ...], Fraction]
    mixture: GaussianMixture
    cells: list[tuple[int, ...]]


def hidden(rng: Random, neighbourhoods: Sequence[set[int]], states: Sequence[int], m: int,
           table: dict[tuple[int, ...], Fraction] | None = None) -> Hidden:
    """Laws of z[t] all different between configurations of the variables that act on it; else means or variances."""
    cells = list(itertools.product(*(range(d) for d in states)))
    if table is None:
        raw = [rng.randint(1, 3) for _ in cells]
        table = {cell: Fraction(w, sum(raw)) for cell, w in zip(cells, raw, strict=True)}
    rows: list[dict] = []
    for t in range(m):
        acting = [i for i, near in enumerate(neighbourhoods) if t in near]
        configurations = list(itertools.product(*(range(states[i]) for i in acting)))
        choices = [(Fraction(u), Fraction(v)) for u in range(-3, 4) for v in (1, 2, 3)]
        while len(choices) < len(configurations):
            choices.append((Fraction(len(choices)), Fraction(1)))
        rows.append(dict(zip(configurations, rng.sample(choices, len(configurations)), strict=True)))
    rng.shuffle(cells)
    laws = [[rows[t][tuple(u[i] for i, near in enumerate(neighbourhoods) if t in near)] for t in range(m)]
            for u in cells]
    mixture = GaussianMixture([table[u] for u in cells], [[mean for mean, _ in law] for law in laws],
                              [[variance for _, variance in law] for law in laws])
    return Hidden(tuple(states), tuple(map(frozenset, neighbourhoods)), table, mixture, cells)


def antichain(rng: Random, m: int, k: int) -> list[set[int]]:
    """k non-empty sets of coordinates, none inside another."""
    while True:
        sets = [set(rng.sample(range(m), rng.randint(1, m))) for _ in range(k)]
        if not any(u <= v for i, u in enumerate(sets) for j, v in enumerate(sets) if i != j):
            return sets


def satisfying_p3(rng: Random) -> Hidden:
    """k <= 4 variables and m <= 8 latents, some of which no variable acts on."""
    k = rng.randint(1, 4)
    m = rng.randint(max(k, 4) if k > 2 else k, 8)
    return hidden(rng, antichain(rng, m, k), [rng.choice((2, 2, 3)) for _ in range(k)], m)


def check_graph(found: LatentGraph, truth: Hidden) -> None:
    """The graph is the truth up to the order of variables and the names of their states."""
    assert found.status is Status.HOLDS, found.reason
    near = [frozenset(row) for row in found.neighbourhoods]
    order = [near.index(row) for row in truth.neighbourhoods]
    assert sorted(order) == list(range(len(near)))
    assert [found.states[i] for i in order] == list(truth.states)
    names: list[dict[int, int]] = [{} for _ in order]
    for j, u in enumerate(truth.cells):
        cell = found.assignment[j]
        for i, (place, name) in enumerate(zip(order, names, strict=True)):
            assert name.setdefault(u[i], cell[place]) == cell[place]
        assert found.table[cell] == truth.table[u]
    assert all(len(set(name.values())) == len(name) for name in names)


@pytest.mark.parametrize("start", [0, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_graph_of_every_instance_that_satisfies_p3(start):
    for seed in range(start, start + (60 if start == 0 else 2000)):
        truth = satisfying_p3(Random(seed))
        check_graph(latent_graph(truth.mixture), truth)


def test_the_graph_behind_a_mixing_matrix():
    """Unmixed exactly first: the graph does not change when latents are scaled, and their order is undone."""
    checked = 0
    for seed in range(40):
        rng = Random(seed)
        truth = satisfying_p3(rng)
        m = truth.mixture.latent_dim
        if m > 5 or len(truth.cells) > 12:
            continue
        a = random_matrix(rng, m)
        unmixed = unmix_factorial(moved(truth.mixture, a, [number(rng) for _ in range(m)]))
        if unmixed.status is not Status.HOLDS:
            continue
        product = np.abs(monomial_part(unmixed, a))
        order = np.argmax(product, axis=1)  # Z' coordinate i is Z coordinate order[i]
        tolerance = None if unmixed.evidence is Evidence.EXACT else 1e-7
        found = latent_graph(unmixed, tolerance=tolerance)
        renamed = tuple(frozenset(int(np.flatnonzero(order == t)[0]) for t in row) for row in truth.neighbourhoods)
        check_graph(found, Hidden(truth.states, renamed, truth.table, truth.mixture, truth.cells))
        checked += 1
    assert checked > 5


def test_split_components_and_those_without_weight_change_nothing():
    for seed in range(30):
        rng = Random(seed)
        truth = satisfying_p3(rng)
        one = latent_graph(truth.mixture)
        parts = list(zip(truth.mixture.weights_exact, truth.mixture.means_exact.tolist(),
                         truth.mixture.covariances_exact.tolist(), strict=True))
        w, mean, covariance = parts.pop()
        m = truth.mixture.latent_dim
        parts = [(w / 3, mean, covariance), *parts, (2 * w / 3, mean, covariance),
                 (Fraction(0), [Fraction(9)] * m, identity(m))]
        other = latent_graph(GaussianMixture(*map(list, zip(*parts, strict=True))))
        assert (one.states, one.neighbourhoods) == (other.states, other.neighbourhoods)
        assert np.array_equal(one.table, other.table)
        assert other.assignment[-1] is None
        assert other.assignment[0] == other.assignment[-2]


# Against all tables one by one


def satisfies_p3(values: Sequence[tuple[int, ...]], states: Sequence[int],
                 laws: Sequence[Sequence]) -> tuple[frozenset[int], ...] | None:
    """Neighbourhoods of the table that gives component j the states values[j], when P3 (a) and (c) hold."""
    m, k = len(laws[0]), len(states)
    place = {u: j for j, u in enumerate(values)}
    near = []
    for i in range(k):
        acts = set()
        for u, j in place.items():
            for state in range(states[i]):
                other = place[(*u[:i], state, *u[i + 1:])]
                acts |= {t for t in range(m) if laws[j][t] != laws[other][t]}
        near.append(frozenset(acts))
    if not all(near) or any(u <= v for i, u in enumerate(near) for j, v in enumerate(near) if i != j):
        return None
    for t in range(m):
        acting = [i for i in range(k) if t in near[i]]
        configurations = {(tuple(u[i] for i in acting), laws[j][t]) for u, j in place.items()}
        if len({law for _, law in configurations}) < len({c for c, _ in configurations}):
            return None
    return tuple(near)


def tables(laws: Sequence[Sequence]) -> set:
    """All tables that satisfy P3, as the partitions of the components by each variable, with neighbourhoods."""
    count = len(laws)
    shapes = {1: [(1,)], 2: [(2,)], 3: [(3,)], 4: [(4,), (2, 2)], 5: [(5,)], 6: [(6,), (2, 3)]}[count]
    found = set()
    for states in shapes:
        cells = list(itertools.product(*(range(d) for d in states)))
        for order in itertools.permutations(cells) if len(states) > 1 else [cells]:
            near = satisfies_p3(order, states, laws)
            if near is not None:
                found.add(frozenset((near[i], frozenset(
                    frozenset(j for j in range(count) if order[j][i] == state) for state in range(d)))
                    for i, d in enumerate(states)))
    return found


def test_against_all_tables():
    """Small mixtures with many coincidences: HOLDS exactly when one table satisfies P3, and then that one."""
    seen: Counter = Counter()
    for seed in range(250):
        rng = Random(seed)
        count, m = rng.choice((2, 3, 4, 4, 4, 5, 6)), rng.randint(1, 4)
        laws = [[(rng.randint(0, 2), rng.choice((1, 1, 2))) for _ in range(m)] for _ in range(count)]
        if count in (4, 6) and rng.random() < 0.8:
            half = 2 if count == 4 else 3
            for t in range(m):
                kind = rng.choice(("left", "right", "both", "none"))
                for j, law in enumerate(laws):
                    key = {"left": j % 2, "right": j // 2 % half, "both": j, "none": 0}[kind]
                    law[t] = (key, 1)
            rng.shuffle(laws)
        if len(set(map(tuple, laws))) < count:
            continue
        truth = tables(laws)
        found = latent_graph(GaussianMixture([Fraction(1, count)] * count, [[u for u, _ in law] for law in laws],
                                             [[v for _, v in law] for law in laws]))
        assert len(truth) <= 1, "Theorem F.1"
        assert (found.status is Status.HOLDS) is (len(truth) == 1), (seed, found.reason)
        seen[found.status] += 1
        if truth:
            partitions = frozenset(
                (frozenset(near), frozenset(frozenset(j for j, u in enumerate(found.assignment) if u[i] == state)
                                            for state in range(found.states[i])))
                for i, near in enumerate(found.neighbourhoods))
            assert partitions in truth
    assert min(seen[Status.HOLDS], seen[Status.FAILS]) > 30


def test_perturbed_laws_are_refused():
    """One mean moved breaks a product structure, unless one variable was all there was."""
    refused = 0
    for seed in range(40):
        rng = Random(seed)
        truth = satisfying_p3(rng)
        means = truth.mixture.means_exact.tolist()
        t = rng.choice(sorted(truth.neighbourhoods[0]))
        means[rng.randrange(len(means))][t] += Fraction(1, rng.choice((3, 10**9)))
        found = latent_graph(GaussianMixture(truth.mixture.weights_exact, means,
                                             truth.mixture.covariances_exact.tolist()))
        shared = [near for near in truth.neighbourhoods if t in near]
        if len(truth.states) == 1:
            continue
        if len(shared) < len(truth.states):
            assert found.status is Status.FAILS, (seed, found.reason)
            assert found.table is None
            refused += 1
    assert refused > 10
