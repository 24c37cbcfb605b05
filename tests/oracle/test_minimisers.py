"""Global minimisers of searches against exact brute force over all members; neighbours and local minima likewise."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork, law
from ident_theory.errors import InputError
from ident_theory.geometry.injectivity import is_weakly_injective
from ident_theory.geometry.line import line_pieces
from ident_theory.kernels.grid_minima import plateaus
from ident_theory.landscape.exhaustive import search
from ident_theory.landscape.families import ParameterFamily
from ident_theory.landscape.minimisers import Verdict, member_model, prior_components
from ident_theory.landscape.neighbours import ROUNDING, Neighbours, grid_neighbours, local_minima
from ident_theory.landscape.plan import enumerate_members
from ident_theory.laws.identity import Relation, compare, law_key
from ident_theory.laws.line_terms import components_of

NOISE = GaussianNoise("1/4")
#: Rounding of the values (1e-12) and quadrature (1e-10) stay far below; the smallest positive excess far above.
ZERO = 1e-9


def model_of(alpha, beta, pi, weights, means, variances=None) -> Model:
    prior = GaussianMixture(weights, means, variances or [1] * len(means))
    return Model(prior, ReLUNetwork([[[b] for b in beta], [list(alpha)]], [list(pi), [0]]), NOISE)


@cache
def appendix(largest_mean: int) -> ParameterFamily:
    """Kivva et al. (2022), appendix J.3.1, two components, weights in quarters."""
    entries = [-1, 0, 1]
    model = model_of([1, 1], [1, 1], [0, 0], ["1/2", "1/2"], [0, 0])
    return ParameterFamily(model, {
        "prior.weights": {"simplex": 4}, "prior.means": list(range(-largest_mean, largest_mean + 1)),
        "decoder.weights": entries, "decoder.biases[0]": entries})


@cache
def members_of(largest_mean: int):
    return enumerate_members(appendix(largest_mean))


@cache
def law_keys(largest_mean: int) -> dict:
    members = members_of(largest_mean)
    return {(f, p): law_key(function, prior_components(members, p))
            for f, function in enumerate(members.networks.functions) for p in range(len(members.priors.rows))}


@cache
def law_groups(largest_mean: int) -> dict:
    groups = defaultdict(list)
    for pair, key in law_keys(largest_mean).items():
        groups[key].append(pair)
    return dict(groups)


# --- affine classes by hand: with variance one, h is a shift, or a reflection and a shift ---------------------------

def as_fraction(value) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def plain(model: Model):
    """Pieces and reduced prior of a model with n = 1, in fractions."""
    pieces, prior = line_pieces(model.decoder), model.prior.reduced()
    rows = [[as_fraction(row[0]) for row in part] for part in (pieces.slopes, pieces.intercepts)]
    parts = zip(prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0], prior.weights_exact, strict=True)
    return ([as_fraction(t) for t in pieces.breakpoints], *rows), sorted(parts)


def moved(function, prior, s, t):
    """Function and prior after the change of latent h(z) = s z + t."""
    breaks, slopes, intercepts = function
    order = slice(None, None, 1 if s > 0 else -1)
    image = ([s * b + t for b in breaks][order], [a / s for a in slopes][order],
             [c - a * t / s for a, c in zip(slopes, intercepts, strict=True)][order])
    return image, sorted((s * m + t, s * s * v, w) for m, v, w in prior)


def affine_class(model: Model):
    """The lesser of the two orientations with the mean of the prior at zero."""
    function, prior = plain(model)
    mean = sum(w * m for m, _, w in prior)
    return min(repr(moved(function, prior, s, -s * mean)) for s in (1, -1))


def prior_shape(model: Model):
    """The prior alone up to shift and reflection."""
    _, prior = plain(model)
    mean = sum(w * m for m, _, w in prior)
    return min(repr(sorted((s * (m - mean), v, w) for m, v, w in prior)) for s in (1, -1))


@cache
def affine_classes(largest_mean: int) -> dict:
    """Class of every pair whose function is not constant."""
    members = members_of(largest_mean)
    return {(f, p): affine_class(member_model(members, f, p)) for f, p in law_keys(largest_mean)
            if not is_constant(members.networks.functions[f])}


def is_constant(pieces) -> bool:
    return pieces.n_pieces == 1 and pieces.is_flat(0)


@cache
def raw_counts(largest_mean: int) -> Counter:
    """Raw points of every function and prior, visited one by one without the enumeration."""
    functions, priors = Counter(), Counter()
    for a in itertools.product([-1, 0, 1], repeat=6):
        functions[line_pieces(ReLUNetwork([[[a[2]], [a[3]]], [[a[0], a[1]]]], [[a[4], a[5]], [0]]))] += 1
    means = range(-largest_mean, largest_mean + 1)
    for w, *mu in itertools.product(range(5), means, means):
        prior = GaussianMixture([Fraction(w, 4), Fraction(4 - w, 4)], mu, [1, 1])
        priors[frozenset(components_of(prior.reduced()))] += 1
    return Counter({(f, p): functions[f] * priors[p] for f in functions for p in priors})


# --- the family of the appendix -------------------------------------------------------------------------------------

def witness(means) -> Model:
    return model_of([1, 1], [1, -1], [-1, -1], ["1/4", "3/4"], means)


@cache
def drawn():
    """Random truths, two constant ones among them, and one search over all of them."""
    rng = np.random.default_rng(7)
    truths = [appendix(1).draw(rng) for _ in range(24)]
    truths += [model_of([1, 1], [0, 0], [1, 1], ["1/4", "3/4"], [-1, 1]),
               model_of([0, 0], [1, 1], [1, 1], ["1/4", "3/4"], [-1, 1]),
               model_of([1, 1], [1, -1], [0, 0], ["1/4", "3/4"], [-1, 1]),
               model_of([1, 1], [1, -1], [-1, -1], ["1/4", "3/4"], [-1, 1])]
    return search(appendix(1), truths, keep=True)


def test_size_of_the_family():
    members = members_of(1)
    assert appendix(1).size == 32_805
    assert (len(members.networks.functions), len(members.priors.rows)) == (113, 12)
    assert sum(raw_counts(1).values()) == 32_805
    assert len(raw_counts(1)) == 1356


def test_minimisers_are_the_pairs_with_the_law_of_the_truth():
    result, members, keys = drawn(), members_of(1), law_keys(1)
    verdicts = Counter()
    for t, truth in enumerate(result.settings.targets):
        found = result.minimisers(t)
        key = law_key(line_pieces(truth.decoder), components_of(truth.prior))
        expected = {pair for pair, other in keys.items() if other == key}
        assert {pair for item in found.classes for pair in item.pairs} == expected
        assert sum(len(item.pairs) for item in found.classes) == len(expected)
        constant = is_constant(line_pieces(truth.decoder))
        # Classes against compare(), pair by pair.
        relations = {}
        for item in found.classes:
            for pair in item.pairs:
                relations[pair] = compare(truth, member_model(members, *pair)).relation
                assert relations[pair] is item.relation
            first = compare(truth, item.representative)
            assert (first.scale, first.shift) == (item.scale, item.shift)
            raw = sum(raw_counts(1)[members.networks.functions[f], frozenset(prior_components(members, p))]
                      for f, p in item.pairs)
            assert item.raw == raw > 0
        assert [item.relation for item in found.classes] == sorted(
            [item.relation for item in found.classes], key=list(Relation).index)
        assert found.classes[0].relation is Relation.SAME
        assert len(found.classes[0].pairs) == 1
        inequivalent = Relation.LAW in relations.values()
        assert found.verdict is (Verdict.CONSTANT if constant else
                                 Verdict.INEQUIVALENT if inequivalent else Verdict.UNIQUE)
        assert found.raw == sum(item.raw for item in found.classes)
        assert found.weakly_injective == is_weakly_injective(line_pieces(truth.decoder))
        assert found.explained
        assert found.near_misses == ()
        assert abs(found.lowest_excess) < ZERO
        verdicts[found.verdict] += 1
        if not constant:  # one class for each affine class by hand
            by_hand = Counter(affine_classes(1)[pair] for pair in expected)
            own = affine_class(truth)
            law_sizes = sorted(len(item.pairs) for item in found.classes if item.relation is Relation.LAW)
            assert law_sizes == sorted(size for name, size in by_hand.items() if name != own)
    assert all(verdicts[v] >= 2 for v in (Verdict.UNIQUE, Verdict.INEQUIVALENT, Verdict.CONSTANT))


def test_excess_vanishes_exactly_at_equal_laws():
    """Numbers against rationals, all members and all truths of the search."""
    result, keys = drawn(), law_keys(1)
    for t, truth in enumerate(result.settings.targets):
        key = law_key(line_pieces(truth.decoder), components_of(truth.prior))
        equal = np.array([[keys[f, p] == key for p in range(12)] for f in range(113)])
        values = result.excess[:, :, t]
        assert np.abs(values[equal]).max() < 1e-10
        assert values[~equal].min() > 1e-6  # the gap of the grid, cf. 1.1e-6 for means in -2..2
        assert np.array_equal(result.best[:, t], values.min(axis=1))


def test_near_misses_are_no_minimisers():
    """With a generous threshold, points of other laws are near; only rationals tell them from the truth."""
    truths = drawn().settings.targets[:8]
    generous = search(appendix(1), truths, near=1e-2)
    count = 0
    for t in range(len(truths)):
        found, strict = generous.minimisers(t), drawn().minimisers(t)
        assert found.classes == strict.classes
        pairs = {pair for item in found.classes for pair in item.pairs}
        values = drawn().excess[:, :, t]
        near = {(int(f), int(p)) for f, p in zip(*np.nonzero(values <= 1e-2), strict=True)}
        assert {(f, p) for f, p, _ in found.near_misses} == near - pairs
        listed = [excess for *_, excess in found.near_misses]
        assert listed == sorted(listed)
        # The two searches have nodes of their own, each within 1e-10.
        assert listed == pytest.approx([values[f, p] for f, p, _ in found.near_misses], abs=2e-10)
        count += len(found.near_misses)
    assert count > 0


@pytest.mark.parametrize("t", range(0, 28, 3))
def test_h_carries_the_truth_to_the_representative(t):
    result = drawn()
    truth = result.settings.targets[t]
    for item in result.minimisers(t, minima=False).classes:
        if item.relation is Relation.LAW:
            assert item.scale is item.shift is None
        else:
            assert moved(*plain(truth), item.scale, item.shift) == plain(item.representative)


def test_constant_truths():
    """Every prior minimises; priors that no affine map explains are one class."""
    result = drawn()
    for t, truth in enumerate(result.settings.targets):
        if not is_constant(line_pieces(truth.decoder)):
            continue
        found = result.minimisers(t)
        pairs = {pair for item in found.classes for pair in item.pairs}
        assert found.verdict is Verdict.CONSTANT
        assert {p for _, p in pairs} == set(range(12))
        assert len({f for f, _ in pairs}) == 1
        # By hand: all variances are one, so a change of latent is a shift, with or without a reflection.
        shapes = Counter(prior_shape(member_model(members_of(1), f, p)) for f, p in pairs)
        alike = shapes[prior_shape(truth)]
        sizes = {item.relation: len(item.pairs) for item in found.classes}
        expected = {Relation.SAME: 1, Relation.AFFINE: alike - 1, Relation.LAW: 12 - alike}
        assert sizes == {relation: size for relation, size in expected.items() if size}
        assert len(found.classes) == len(sizes)
        assert not found.weakly_injective


@pytest.mark.parametrize("largest_mean", [1, 2])
def test_theorem_over_all_truths(largest_mean):
    """Theorem 3.2(a) without exception, and the share of truths that fail F2 and identifiability (ledger, D.5)."""
    members, classes, groups = members_of(largest_mean), affine_classes(largest_mean), law_groups(largest_mean)
    assert len(law_keys(largest_mean)) == {1: 1356, 2: 3955}[largest_mean]
    injective = [is_weakly_injective(f) for f in members.networks.functions]
    assert 0 < sum(injective) < len(injective)
    bad = total = 0
    most = 1
    for pairs in groups.values():
        if pairs[0] not in classes:  # constant: then all pairs of the group are
            assert not any(pair in classes for pair in pairs)
            continue
        kinds = {classes[pair] for pair in pairs}
        raw = sum(int(members.networks.counts[f]) * int(members.priors.counts[p]) for f, p in pairs)
        total += raw
        if len(kinds) > 1:
            bad += raw
            assert not any(injective[f] for f, _ in pairs)
        most = max(most, len(kinds))
    # An affine class never splits into several laws.
    law_of = defaultdict(set)
    for pair, name in classes.items():
        law_of[name].add(law_keys(largest_mean)[pair])
    assert all(len(keys) == 1 for keys in law_of.values())
    assert most > 1
    if largest_mean == 2:
        assert float(Fraction(bad, total)) == pytest.approx(0.055, abs=0.001)


# --- witnesses ------------------------------------------------------------------------------------------------------

def test_witness_with_two_components():
    truth, other = witness([-2, 1]), witness([2, 1])
    result = search(appendix(2), [truth, other])
    for t, partner in enumerate([other, truth]):
        found = result.minimisers(t, minima=False)
        assert found.verdict is Verdict.INEQUIVALENT
        assert not found.weakly_injective
        assert found.explained
        (item,) = [c for c in found.classes if c.relation is Relation.LAW and
                   compare(c.representative, partner).relation in (Relation.SAME, Relation.AFFINE)]
        assert compare(result.settings.targets[t], item.representative).relation is Relation.LAW
        # Floats agree: the densities are equal to rounding.
        x = np.linspace(-3, 6, 50)
        assert law(item.representative).log_density(x) == pytest.approx(
            law(result.settings.targets[t]).log_density(x), abs=1e-12)


def test_witness_with_three_components():
    """f = |z|, thirds: mu = (-2, -1, 3) against (-2, 1, 3), two mirror pairs of four classes."""
    thirds = ["1/3"] * 3
    truth, other = (model_of([1, 1], [1, -1], [0, 0], thirds, means) for means in ([-2, -1, 3], [-2, 1, 3]))
    family = ParameterFamily(truth, {"prior.means": [-3, -2, -1, 0, 1, 2, 3]})
    found = search(family, [truth]).minimisers(0, minima=False)
    assert found.verdict is Verdict.INEQUIVALENT
    assert [c.relation for c in found.classes] == [Relation.SAME, Relation.AFFINE] + [Relation.LAW] * 3
    # Of |z| only the absolute means matter: 8 choices of signs, 6 orders, in mirror pairs.
    assert found.raw == 48
    assert [c.raw for c in found.classes] == [6, 6, 12, 12, 12]
    assert sum(compare(c.representative, other).relation in (Relation.SAME, Relation.AFFINE)
               for c in found.classes) == 1


def test_point_masses_are_beyond_the_theorem():
    """relu(Z) and |Z'| agree in law for Z' equal to Z or 0 with probability one half each; relu satisfies F2."""
    truth = model_of([1, 0], [1, -1], [0, 0], [1, 0], [0, 0])
    family = ParameterFamily(truth, {"decoder.weights[1][0,1]": [0, 1], "prior.covariances[1]": [0, 1],
                                     "prior.weights": {"simplex": 2}})
    found = search(family, [truth]).minimisers(0)
    assert found.verdict is Verdict.INEQUIVALENT
    assert found.weakly_injective
    assert found.explained
    (item,) = [c for c in found.classes if c.relation is Relation.LAW]
    x = np.linspace(-2, 3, 40)
    assert law(item.representative).log_density(x) == pytest.approx(law(truth).log_density(x), abs=1e-12)


# --- truths off the grid --------------------------------------------------------------------------------------------

def test_truth_that_is_absent():
    truths = [model_of([1, 1], [1, -1], [0, "1/3"], ["1/3", "2/3"], ["-1/2", 1]),
              model_of([1, 1], ["3/2", 0], [0, 0], ["1/2", "1/2"], [0, 1]),
              model_of([3, 0], [0, 0], [1, 0], ["1/2", "1/2"], [0, 1])]  # a constant off the grid
    result, members = search(appendix(1), truths, keep=True), members_of(1)
    rng = np.random.default_rng(5)
    for t, truth in enumerate(truths):
        found = result.minimisers(t)
        assert found.verdict is Verdict.ABSENT
        assert found.classes == ()
        assert found.raw == 0
        assert found.explained
        assert found.lowest_excess > ZERO
        # Brute force: the best pairs by the search, and random ones, each by the law's own route.
        order = np.argsort(result.excess[:, :, t], axis=None)
        chosen = [*order[:6], *rng.choice(order, 24, replace=False)]
        exact = {}
        for flat in chosen:
            f, p = divmod(int(flat), 12)
            exact[f, p] = float(law(truth).kl(law(member_model(members, f, p))).value)
            # Certified errors of both routes, 1e-10 and 1e-12 of the value.
            assert result.excess[f, p, t] == pytest.approx(exact[f, p], rel=1e-9, abs=1e-9)
        assert found.lowest_excess == pytest.approx(min(exact.values()), rel=1e-9, abs=1e-9)
        assert found.local_minima.runner_up is not None
        assert found.local_minima.runner_up[2] == pytest.approx(found.lowest_excess, abs=1e-15)


@pytest.mark.parametrize(("s", "t"), [(Fraction(1), Fraction(1, 3)), (Fraction(-1), Fraction(2, 7)),
                                      (Fraction(5, 2), Fraction(-1)), (Fraction(-1, 3), Fraction(0))])
def test_truth_in_affine_disguise(s, t):
    """A member with its latent changed by h: no parameter stays on the grid, the law does."""
    plain_member = model_of([1, -1], [1, 1], [1, -1], ["1/4", "3/4"], [-1, 1])
    beta, pi = [1 / s, 1 / s], [1 - t / s, -1 - t / s]
    truth = model_of([1, -1], beta, pi, ["1/4", "3/4"], [t - s, t + s], [s * s, s * s])
    found = search(appendix(1), [truth]).minimisers(0)
    assert found.verdict is Verdict.UNIQUE
    assert [c.relation for c in found.classes] == [Relation.AFFINE]
    (item,) = found.classes
    assert moved(*plain(truth), item.scale, item.shift) == plain(item.representative)
    assert abs(item.scale) == 1 / abs(s)
    key = law_key(line_pieces(plain_member.decoder), components_of(plain_member.prior))
    assert set(item.pairs) == set(law_groups(1)[key])


def test_targets_that_are_data_have_no_minimisers():
    result = search(appendix(1), [[0.1, 0.7, -0.2]])
    with pytest.raises(InputError, match="target 0 is a data set"):
        result.minimisers(0)


# --- neighbours -----------------------------------------------------------------------------------------------------

def tiny_families():
    prior = GaussianMixture(["1/2", "1/4", "1/4"], [0, 1, 1], [1, 1, 1])
    for vary, weights, biases in [
        ({"decoder.weights": [-1, 0, 1]}, [[[1], [1]], [[1, 1]]], [[0, 1], [0]]),
        ({"decoder.weights[0]": [-1, 2], "decoder.biases": ["-1/3", 0, 1], "decoder.negative_slope": [0, "1/2", 1]},
         [[[1]], [[1]]], [[0], [0]]),
        ({"decoder.weights[0]": [0, 1, 3], "decoder.biases[1][1]": [0, 1], "prior.means[2]": [0, 1, 5],
          "prior.covariances[0]": [1, 2], "prior.weights": {"simplex": 3}}, [[[1]], [[1], [2]]], [[0], [0, 0]]),
        ({"prior.weights": [["1/2", "1/2", 0], ["1/4", "3/4", 0], [0, 1, 0], ["1/2", 0, "1/2"], ["1/4", 0, "3/4"],
                            ["1/4", "1/4", "1/2"]], "prior.means[0]": [0, 1]}, [[[1]]], [[0]]),
        ({"prior.weights": {"simplex": 4}, "prior.means": [0, 1, 2]}, [[[1]]], [[0]]),
    ]:
        yield ParameterFamily(Model(prior, ReLUNetwork(weights, biases), NOISE), vary)


def brute_edges(family, section, identify) -> set:
    """Visit all raw points: identities of those one grid step apart in one entry."""
    paths = [p for p in family.grids if p.startswith(section)]
    points = {index: identify({p: family.grids[p][i] for p, i in zip(paths, index, strict=True)})
              for index in itertools.product(*(range(len(family.grids[p])) for p in paths))}
    edges = set()
    for index, here in points.items():
        for axis in range(len(index)):
            there = points.get((*index[:axis], index[axis] + 1, *index[axis + 1:]))
            if there is not None and there != here:
                edges.add(frozenset([here, there]))
    return edges


def weight_moves(weights):
    """Mass between two components, none of the grid's vectors on the way."""
    for a, b in itertools.combinations(weights, 2):
        changed = [k for k in range(len(a)) if a[k] != b[k]]
        if len(changed) != 2:
            continue
        i = changed[0]
        between = [c for c in weights if all(c[k] == a[k] for k in range(len(a)) if k not in changed)
                   and min(a[i], b[i]) < c[i] < max(a[i], b[i])]
        if not between:
            yield a, b


@pytest.mark.parametrize("family", list(tiny_families()))
def test_neighbours_against_all_raw_points(family):
    members = enumerate_members(family)
    graph = grid_neighbours(members)
    place = {f: i for i, f in enumerate(members.networks.functions)}
    expected = brute_edges(family, "decoder", lambda values: place[
        line_pieces(family.member(values, family.weights[0]).decoder)])
    assert {frozenset(edge) for edge in graph.functions.tolist()} == expected
    assert len(graph.functions) == len(expected)
    spot = {frozenset(prior_components(members, p)): p for p in range(len(members.priors.rows))}

    def prior(values, weights):
        return spot[frozenset(components_of(family.member(values, weights).prior.reduced()))]

    expected = set()
    for weights in family.weights:
        expected |= brute_edges(family, "prior", lambda values, w=weights: prior(values, w))
    paths = [p for p in family.grids if p.startswith("prior")]
    for a, b in weight_moves(family.weights):
        for row in itertools.product(*(family.grids[p] for p in paths)):
            values = dict(zip(paths, row, strict=True))
            expected.add(frozenset([prior(values, a), prior(values, b)]))
    expected = {edge for edge in expected if len(edge) == 2}
    assert {frozenset(edge) for edge in graph.priors.tolist()} == expected
    assert len(graph.priors) == len(expected)


# --- local minima ---------------------------------------------------------------------------------------------------

def minima_by_search(values, edges_a, edges_b, tolerance=ROUNDING) -> list[set]:
    """Plateaus that nothing undercuts, grown point by point."""
    near = defaultdict(set)
    rows, columns = map(range, values.shape)
    steps = [((i, b), (j, b)) for i, j in edges_a for b in columns]
    steps += [((a, i), (a, j)) for i, j in edges_b for a in rows]
    for one, other in steps:
        near[one].add(other)
        near[other].add(one)
    found, seen = [], set()
    for start in np.ndindex(*values.shape):
        if start in seen:
            continue
        plateau, todo, minimum = {start}, [start], True
        while todo:
            point = todo.pop()
            for other in near[point]:
                if abs(values[other] - values[point]) <= tolerance * (1 + abs(values[point])):
                    if other not in plateau:
                        plateau.add(other)
                        todo.append(other)
                elif values[other] < values[point]:
                    minimum = False
        seen |= plateau
        if minimum:
            found.append(plateau)
    return found


def edge_lists(size):
    pair = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda e: e[0] < e[1])
    return st.lists(pair, unique=True, max_size=12) if size > 1 else st.just([])


@st.composite
def landscapes(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    numbers = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1e3])
    values = np.array(draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    # Ties up to rounding: far below the tolerance of 1e-12 (1 + |value|).
    values += draw(st.sampled_from([0.0, 1e-14])) * np.random.default_rng(0).integers(-1, 2, values.size)
    return values.reshape(shape), draw(edge_lists(shape[0])), draw(edge_lists(shape[1]))


def as_edges(edges) -> np.ndarray:
    return np.array(edges, dtype=np.int64).reshape(-1, 2)


@given(landscape=landscapes())
@example(landscape=(np.zeros((3, 3)), [], []))  # no edges: every point is a minimum
@example(landscape=(np.array([[0.1, 0.1, 0.1, 0.0]]).T, [(0, 1), (1, 2), (2, 3)], []))  # undercut at the far end
@settings(max_examples=200)
def test_plateaus_against_growing_them(landscape):
    values, edges_a, edges_b = landscape
    labels = plateaus(values, as_edges(edges_a), as_edges(edges_b), ROUNDING)
    found = minima_by_search(values, edges_a, edges_b)
    expected = np.full(values.shape, -1)
    for plateau in found:
        for point in plateau:
            expected[point] = min(a * values.shape[1] + b for a, b in plateau)
    assert labels.tolist() == expected.tolist()
    # And what is made of them, with the points of lowest value as the global ones.
    graph = Neighbours(as_edges(edges_a), as_edges(edges_b))
    lowest = values.min()
    tops = {tuple(map(int, p)) for p in zip(*np.nonzero(values <= lowest + 1e-13), strict=True)}
    best, best_prior = values.min(axis=1), values.argmin(axis=1)
    exact = local_minima(graph, best, best_prior, values, tops)
    others = [plateau for plateau in found if not plateau & tops]
    assert exact.count == len(found)
    assert exact.exact
    if others:
        f, p, excess = exact.runner_up
        assert excess == values[f, p] == pytest.approx(min(values[min(o)] for o in others), abs=1e-13)
        assert any((f, p) in o for o in others)
    else:
        assert exact.runner_up is None
    # The profile over the first coordinate counts no more.
    profile = local_minima(graph, best, best_prior, None, tops)
    assert not profile.exact
    assert 1 <= profile.count <= exact.count
    if profile.runner_up is not None:
        f, p, excess = profile.runner_up
        assert labels[f, p] >= 0
        assert values[f, p] == excess
        assert not any((f, p) in plateau for plateau in found if plateau & tops)


def test_local_minima_of_a_search():
    result = drawn()
    graph = result.neighbours
    short = search(appendix(1), result.settings.targets, keep=False)
    assert short.excess is None
    assert np.array_equal(short.best, result.best)
    for t in (0, 2, 5, 24, 26, 27):
        found = result.minimisers(t)
        values = result.excess[:, :, t]
        expected = minima_by_search(values, graph.functions.tolist(), graph.priors.tolist())
        tops = {pair for item in found.classes for pair in item.pairs}
        assert found.local_minima.count == len(expected)
        assert found.local_minima.exact
        others = [plateau for plateau in expected if not plateau & tops]
        f, p, excess = found.local_minima.runner_up
        assert excess == values[f, p] == pytest.approx(min(values[min(o)] for o in others), abs=1e-12)
        profile = short.minimisers(t).local_minima
        assert not profile.exact
        assert 1 <= profile.count <= len(expected)
        if profile.runner_up is not None:
            f, p, excess = profile.runner_up
            assert any((f, p) in o for o in others)
            assert excess == pytest.approx(values[f, p], abs=1e-15)
        assert short.minimisers(t, minima=False).local_minima is None
