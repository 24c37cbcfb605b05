"""Recovery of the hidden variables: random instances, all tables of small mixtures, the Check room's decision of P3."""

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from common.mixture_tables import hidden_mixtures
from hypothesis import given, settings

from ident_theory import Evidence, GaussianMixture, InputError, Status, UnsupportedError
from ident_theory.conditions.prior import prior_findings
from ident_theory.recovery import MixtureEstimate, latent_graph, unmix_factorial

F = Fraction


def antichain(rng, k, m):
    """k non-empty sets of coordinates, none inside another."""
    while True:
        near = [tuple(np.flatnonzero(rng.random(m) < rng.uniform(0.2, 0.7)).tolist()) for _ in range(k)]
        if all(near) and not any(set(a) <= set(b) for a, b in itertools.permutations(near, 2)):
            return near


def instance(rng, near, states, m, spread=1):
    """A mixture with these neighbourhoods, its laws one-to-one with the configurations, its components shuffled.

    Returns the mixture and the cell of each component.
    """
    cells = list(itertools.product(*map(range, states)))
    rows = []
    for t in range(m):
        acting = [i for i, items in enumerate(near) if t in items]
        keys = list(itertools.product(*(range(states[i]) for i in acting)))
        laws = [(x * spread, v) for x in range(len(keys)) for v in (1, 2)]  # means or variances often coincide
        law = dict(zip(keys, (laws[i] for i in rng.permutation(len(laws))), strict=False))
        rows.append([law[tuple(cell[i] for i in acting)] for cell in cells])
    weights = rng.integers(1, 50, len(cells)).tolist()
    order = rng.permutation(len(cells)).tolist()
    mixture = GaussianMixture([F(weights[j], sum(weights)) for j in order],
                              [[row[j][0] for row in rows] for j in order],
                              [[row[j][1] for row in rows] for j in order])
    return mixture, [cells[j] for j in order]


def random_instance(rng, most_variables=4, most_coordinates=8, spread=1):
    while True:
        k = int(rng.integers(1, most_variables + 1))
        m = int(rng.integers(max(1, math.ceil(math.log2(k))) + (k > 2), most_coordinates + 1))
        states = tuple(rng.integers(2, 5, k).tolist())
        if math.prod(states) <= 64 and math.comb(m, m // 2) >= k:
            near = antichain(rng, k, m)
            return *instance(rng, near, states, m, spread), near, states


def assert_same(graph, mixture, cells, near, states):
    """The graph is the truth up to the order of the variables and the names of their states."""
    assert graph.status is Status.HOLDS, graph.reason
    order = sorted(range(len(near)), key=lambda i: near[i])
    assert graph.neighbourhoods == tuple(near[i] for i in order)
    assert graph.states == tuple(states[i] for i in order) == graph.table.shape
    for a, i in enumerate(order):
        names = {(cell[i], found[a]) for cell, found in zip(cells, graph.assignment, strict=True)}
        assert len(names) == states[i]
    for j, found in enumerate(graph.assignment):
        assert graph.table[found] == mixture.weights_exact[j]


def law_of(mixture):
    reduced = mixture.reduced()
    return {(tuple(mean), tuple(cov.ravel())): w for w, mean, cov in
            zip(reduced.weights_exact, reduced.means_exact, reduced.covariances_exact, strict=True)}


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_every_random_instance_is_recovered(count):
    """Instances with k <= 4 and m <= 8 satisfying P3: graph, states, table, and P3 as the Check room decides it."""
    rng, seen = np.random.default_rng(0), set()
    for trial in range(count):
        mixture, cells, near, states = random_instance(rng)
        graph = latent_graph(mixture)
        assert graph.evidence is Evidence.EXACT
        assert_same(graph, mixture, cells, near, states)
        seen.add(len(near))
        prior = graph.prior()
        assert law_of(prior) == law_of(mixture)
        if trial % 6 == 0:
            findings = prior_findings(prior)
            assert findings["P3"].status is Status.HOLDS
            assert findings["neighbourhoods"].status is Status.HOLDS
            assert findings["positivity"].status is Status.HOLDS
    assert seen == {1, 2, 3, 4}


def test_the_order_of_components_does_not_matter_and_coordinates_carry_along():
    rng = np.random.default_rng(1)
    for _ in range(40):
        mixture, _, _, _ = random_instance(rng)
        first = latent_graph(mixture)
        m, order = mixture.latent_dim, rng.permutation(mixture.n_components)
        shuffled = GaussianMixture(mixture.weights_exact[order], mixture.means_exact[order],
                                   mixture.covariances_exact[order])
        again = latent_graph(shuffled)
        assert again.prior() == first.prior()
        assert [again.assignment[i] for i in np.argsort(order)] == list(first.assignment)
        places = rng.permutation(m)  # new coordinate t is the old places[t]
        moved = latent_graph(GaussianMixture(mixture.weights_exact, mixture.means_exact[:, places],
                                             mixture.covariances_exact[:, places][:, :, places]))
        assert {frozenset(int(places[t]) for t in near) for near in moved.neighbourhoods} \
            == {frozenset(near) for near in first.neighbourhoods}
        assert sorted(moved.table.ravel()) == sorted(first.table.ravel())


def explains(labels, states, cells):
    """Whether P3 (a), (c) hold, all acting, for a table: component j sits in cells[j]. From the definitions."""
    place = {cell: j for j, cell in enumerate(cells)}
    near = []
    for i, d in enumerate(states):
        acts = set()
        for cell in cells:
            for u in range(d):
                other = place[(*cell[:i], u, *cell[i + 1:])]
                acts |= {t for t, row in enumerate(labels) if row[place[cell]] != row[other]}
        near.append(acts)
    if not all(near) or any(a <= b for a, b in itertools.permutations(near, 2)):
        return None
    for size in range(1, len(labels) + 1):
        for chosen in itertools.combinations(range(len(labels)), size):
            laws = {}
            for j, cell in enumerate(cells):
                configuration = tuple(u for u, acts in zip(cell, near, strict=True) if acts & set(chosen))
                laws.setdefault(tuple(labels[t][j] for t in chosen), set()).add(configuration)
            if any(len(seen) > 1 for seen in laws.values()):
                return None
    return frozenset((frozenset(acts), frozenset(frozenset(j for j, cell in enumerate(cells) if cell[i] == u)
                                                 for u in range(states[i]))) for i, acts in enumerate(near))


def shapes(number, least=2):
    if number == 1:
        yield ()
    for d in range(least, number + 1):
        if number % d == 0:
            yield from ((d, *rest) for rest in shapes(number // d, d))


def all_explanations(labels):
    """All hidden structures with P3, over every shape of table and every placing of the components in it."""
    count, found = len(labels[0]), set()
    for states in shapes(count):
        grid = list(itertools.product(*map(range, states)))
        for rest in itertools.permutations(grid[1:]):  # component 0 in the corner, by renaming states
            structure = explains(labels, states, [grid[0], *rest])
            if structure is not None:
                found.add(structure)
    return found


def test_all_tables_of_small_mixtures():
    """Random equality patterns of 2 to 6 components, and 8 cells in three coordinates: a graph is found exactly when
    some table satisfies P3, and it is then the only one."""
    rng, held = np.random.default_rng(2), 0
    patterns = [rng.integers(0, rng.integers(2, count + 1), (rng.integers(1, 4), count)).tolist()
                for count in rng.integers(2, 7, 150).tolist()]
    for count, m in ((4, 2), (4, 3), (6, 2), (6, 3)) * 16:  # products of two partitions, often a table
        two = [rng.permutation(np.arange(count) % 2), rng.permutation(np.arange(count) // 2)]
        patterns.append([two[int(rng.integers(2))].tolist() if rng.random() < 0.8 else list(range(count))
                         for _ in range(m)])
    for labels in patterns:
        columns = list(zip(*labels, strict=True))
        if len(set(columns)) < len(columns):
            continue
        count = len(columns)
        found = all_explanations(labels)
        assert len(found) <= 1
        graph = latent_graph(GaussianMixture([F(1, count)] * count, columns, np.ones((count, len(labels)), dtype=int)))
        assert (graph.status is Status.HOLDS) == (len(found) == 1), (labels, graph.reason)
        if found:
            held += 1
            structure = frozenset((frozenset(near), frozenset(
                frozenset(j for j in range(count) if graph.assignment[j][i] == u) for u in range(graph.states[i])))
                for i, near in enumerate(graph.neighbourhoods))
            assert structure == next(iter(found))
    assert held > 30


@settings(max_examples=200)
@given(hidden_mixtures())
def test_agrees_with_the_check_room(mixture):
    """Where the declared table satisfies P3 the graph is that table; where no graph is found it does not."""
    findings = prior_findings(mixture)
    holds = findings["P3"].status is Status.HOLDS
    diagonal = findings["P2"].details.get("diagonal") is not False
    graph = latent_graph(mixture)
    if not diagonal:
        assert graph.failed == "factorial"
        assert "unmix_factorial" in graph.reason
    elif holds:
        cells = list(itertools.product(*map(range, mixture.states)))
        near = [tuple(row) for row in findings["P3"].details["neighbourhoods"]]
        assert_same(graph, mixture, cells, near, mixture.states)
    elif graph.status is Status.HOLDS and graph.n_variables and findings["positivity"].status is Status.HOLDS:
        # Another table than the declared one explains the law: twins as one variable, or another split.
        assert prior_findings(graph.prior())["P3"].status is Status.HOLDS
        assert law_of(graph.prior()) == law_of(mixture)


def test_twins_are_one_variable():
    rng = np.random.default_rng(3)
    mixture, _ = instance(rng, [(0, 1), (0, 1), (1, 2)], (2, 3, 2), 3)
    graph = latent_graph(mixture)
    assert graph.states == (6, 2)
    assert graph.neighbourhoods == ((0, 1), (1, 2))


def test_nested_neighbourhoods_are_refused():
    rng = np.random.default_rng(4)
    for near, states in (([(0, 1), (0,)], (2, 3)), ([(0, 1, 2), (0,), (2, 3)], (2, 3, 2))):
        graph = latent_graph(instance(rng, near, states, 4)[0])
        assert graph.status is Status.FAILS
        assert graph.failed == "c"
        assert graph.table is None
        assert sorted(zip(graph.neighbourhoods, graph.states, strict=True)) == sorted(zip(near, states, strict=True))
        assert "lies inside" in graph.reason
        with pytest.raises(UnsupportedError, match="no table"):
            graph.prior()


def test_missing_states_and_repeated_laws_are_refused():
    rng = np.random.default_rng(5)
    mixture, cells = instance(rng, [(0, 1), (1, 2)], (2, 3), 3)
    w = mixture.weights_exact.copy()
    w[2] = 0
    missing = latent_graph(GaussianMixture(w / w.sum(), mixture.means_exact, mixture.covariances_exact))
    assert missing.status is Status.FAILS
    assert missing.failed == "a"
    assert any(weight.denominator > 1 for weight in missing.set_weights.values())
    assert "w({" in missing.reason
    for seed in range(60):  # z[1], on which both act, repeats a law
        rng = np.random.default_rng(seed)
        mixture, cells = instance(rng, [(0, 1), (1, 2)], (2, 3), 3)
        means, covariances = mixture.means_exact.copy(), mixture.covariances_exact.copy()
        a, b = rng.permutation(6)[:2]
        means[a, 1], covariances[a, 1, 1] = means[b, 1], covariances[b, 1, 1]
        graph = latent_graph(GaussianMixture(mixture.weights_exact, means, covariances))
        # Only z[0] and z[2] then tell components apart as a table: (0, 1), (1, 2) with a repeated law of z[1] fails.
        assert graph.status is Status.FAILS
        assert graph.failed == "a"
        assert len(cells) == 6


def test_no_hidden_variable_equal_components_and_zero_weights():
    single = latent_graph(GaussianMixture([1], [[0, 1]], [[1, 2]]))
    assert single.status is Status.HOLDS
    assert single.n_variables == 0
    assert single.table.shape == ()
    assert single.prior().n_components == 1
    assert single.text == ""
    repeated = latent_graph(GaussianMixture(["1/4", "1/4", "1/2", 0], [[0], [0], [1], [5]], [1, 1, 1, 1]))
    assert repeated.states == (2,)
    assert repeated.assignment == ((0,), (0,), (1,), None)
    assert repeated.table.tolist() == [F(1, 2), F(1, 2)]


def test_fifteen_coordinates_take_seconds():
    rng = np.random.default_rng(6)
    near = [(0, 1, 2, 3), (3, 4, 5, 6, 11), (1, 7, 8, 9, 14), (0, 10, 11, 12, 13), (2, 5, 8)]
    mixture, cells = instance(rng, near, (2, 3, 2, 2, 2), 15)
    start = time.perf_counter()
    graph = latent_graph(mixture)
    assert time.perf_counter() - start < 20
    assert_same(graph, mixture, cells, near, (2, 3, 2, 2, 2))
    wide = np.array([[j >> t & 1 or 2 * (j == t) for t in range(21)] for j in range(24)])
    with pytest.raises(UnsupportedError, match="at most 20 coordinates"):
        latent_graph(GaussianMixture([F(1, 24)] * 24, wide, np.ones((24, 21), dtype=int)))


def test_rounded_numbers_need_a_tolerance():
    rng = np.random.default_rng(7)
    for _ in range(20):
        mixture, cells, near, states = random_instance(rng, 3, 5)
        noise = rng.uniform(-1e-10, 1e-10, (2, *mixture.means.shape))
        variances = np.einsum("jtt->jt", mixture.covariances) * (1 + noise[1])
        rounded = GaussianMixture(mixture.weights_exact, mixture.means + noise[0], variances)
        graph = latent_graph(rounded, tolerance=1e-6)
        assert_same(graph, mixture, cells, near, states)
        assert graph.evidence is Evidence.NUMERICAL
        assert graph.margins[0] < 1e-2 < 1e3 < graph.margins[1]
        assert latent_graph(graph.prior()).evidence is Evidence.EXACT  # averaged laws are equal
        assert latent_graph(graph.prior()).neighbourhoods == graph.neighbourhoods


def test_a_chain_of_close_laws_is_ambiguous():
    chain = GaussianMixture([F(1, 3)] * 3, [[0.0], [0.9], [1.8]], [100.0, 100.0, 100.0])
    graph = latent_graph(chain, tolerance=0.1)
    assert graph.status is Status.UNKNOWN
    assert graph.failed == "ambiguous"
    assert "components 0 and 2 differ" in graph.reason
    estimated = latent_graph(MixtureEstimate(GaussianMixture([F(1, 3)] * 3, [[0], [1.5], [3]], [1, 1, 1]), 15))
    assert estimated.status is Status.UNKNOWN
    assert estimated.evidence is Evidence.STATISTICAL


def test_dependent_coordinates_are_sent_to_unmixing():
    mixture = GaussianMixture(["1/2", "1/2"], [[0, 0], [1, 2]], [[[2, "1/100"], ["1/100", 1]], [[1, 0], [0, 3]]])
    for graph in (latent_graph(mixture), latent_graph(mixture, tolerance=1e-3),
                  latent_graph(MixtureEstimate(mixture, 10**6))):
        assert graph.status is Status.FAILS
        assert graph.failed == "factorial"
        assert "unmix_factorial" in graph.reason
    assert latent_graph(mixture, tolerance=0.1).status is Status.HOLDS
    assert latent_graph(MixtureEstimate(mixture, 1000)).status is Status.HOLDS


def sampled(mixture, size, rng):
    z, component = mixture.sample(size, rng)
    parts = [z[component == j] for j in range(mixture.n_components)]
    return GaussianMixture([F(len(p), size) for p in parts], [p.mean(axis=0) for p in parts],
                           [np.atleast_2d(np.cov(p.T)) for p in parts])


def test_estimates_of_well_separated_laws_are_recovered():
    rng, right = np.random.default_rng(8), 0
    for _ in range(20):
        mixture, _, near, _ = random_instance(rng, 3, 5, spread=3)
        size = 400 * mixture.n_components**2
        estimate = MixtureEstimate(sampled(mixture, size, rng), size)
        graph = latent_graph(estimate, level=0.01)
        right += graph.status is Status.HOLDS and graph.neighbourhoods == tuple(sorted(near))
    assert right >= 18  # each may miss with probability 0.02: the level, and that of the test of independence
    graph = latent_graph(estimate, n_boot=50, rng=rng)
    assert graph.stability > 0.8
    assert "bootstrap draws" in str(graph)
    replicates = [sampled(mixture, estimate.n_observations, rng) for _ in range(60)]
    other = latent_graph(MixtureEstimate(estimate.mixture, None, replicates), level=0.01, n_boot=20, rng=rng)
    assert other.neighbourhoods == graph.neighbourhoods
    assert other.stability > 0.5


def test_from_observed_mixture_to_graph():
    """Unmixing first, exactly and from data: coordinates come in another order, with other signs and scales."""
    rng = np.random.default_rng(9)
    near, states = [(0, 1), (1, 2)], (2, 2)
    latent = GaussianMixture(["1/8", "1/4", "1/4", "3/8"], [[0, 0, 0], [0, 9, 5], [7, 4, 0], [7, -6, 5]],
                             [[1, 1, 2], [1, 5, 3], [3, 2, 2], [3, 7, 3]])
    a = np.array([[2, 1, 0], [-1, 3, 1], [1, 0, 2]])
    observed = GaussianMixture(latent.weights_exact, [a @ mean for mean in latent.means_exact],
                               [(a @ c @ a.T).tolist() for c in latent.covariances_exact])
    assert latent_graph(observed).failed == "factorial"
    unmixing = unmix_factorial(observed)
    graph = latent_graph(unmixing)
    assert graph.evidence is Evidence.EXACT
    assert graph.states == states
    order = [int(np.flatnonzero(row)[0]) for row in (unmixing.inverse_exact @ a).astype(float)]
    assert sorted(sorted(order[t] for t in row) for row in graph.neighbourhoods) == [list(row) for row in near]
    assert sorted(graph.table.ravel()) == sorted(latent.weights_exact)
    estimate = MixtureEstimate(sampled(observed, 40000, rng), 40000)
    with pytest.raises(InputError, match="n_boot"):
        latent_graph(unmix_factorial(estimate))
    found = latent_graph(unmix_factorial(estimate, n_boot=200, rng=rng), level=0.01, n_boot=50, rng=rng)
    assert found.status is Status.HOLDS
    assert found.evidence is Evidence.STATISTICAL
    assert found.states == states
    rounded = unmix_factorial(observed, tolerance=1e-9)
    with pytest.raises(InputError, match="expected a tolerance"):
        latent_graph(rounded)
    assert latent_graph(rounded, tolerance=1e-9).states == states
    tied = unmix_factorial(GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [[[2, 1], [1, 2]], [[2, 1], [1, 2]]]))
    assert latent_graph(tied).failed == "factorial"
    assert "P2 fails" in latent_graph(tied).reason


@pytest.mark.slow
def test_equal_laws_are_held_apart_at_most_at_the_level():
    """300 labelled samples of a table with many equal laws, level 0.1: three standard errors of leeway."""
    rng, runs = np.random.default_rng(10), 300
    mixture, _ = instance(rng, [(0, 1), (1, 2)], (3, 3), 3, spread=4)
    right = sum(latent_graph(MixtureEstimate(sampled(mixture, 9000, rng), 9000), level=0.1).status is Status.HOLDS
                for _ in range(runs))
    # Both the equality tests and that of independence may reject, each with probability 0.1.
    assert right / runs > 0.8 - 3 * np.sqrt(0.2 * 0.8 / runs)


@pytest.mark.parametrize(("options", "message"), [
    ({"tolerance": 0}, "between 0 and 1"), ({"tolerance": float("nan")}, "between 0 and 1"),
    ({"level": 2}, "between 0 and 1"), ({"n_boot": 5}, "MixtureEstimate"), ({"n_boot": -1}, "n_boot >= 0"),
    ({"n_boot": True}, "n_boot >= 0"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        latent_graph(GaussianMixture([1], [[0]], [1]), **options)


def test_bad_input_is_named():
    law = GaussianMixture([0.5, 0.5], [[0], [1]], [1, 1])
    with pytest.raises(InputError, match="expected a GaussianMixture"):
        latent_graph({"weights": [1]})
    with pytest.raises(InputError, match="no tolerance with an estimate"):
        latent_graph(MixtureEstimate(law, 100), tolerance=0.1)
    with pytest.raises(InputError, match="Generator"):
        latent_graph(MixtureEstimate(law, 100), n_boot=5)
    flat = GaussianMixture([0.5, 0.5], [[0], [1]], [1, 0])
    with pytest.raises(InputError, match="positive variances"):
        latent_graph(MixtureEstimate(flat, None, [law, law]))


def test_the_result_reads_well():
    graph = latent_graph(GaussianMixture([F(1, 4)] * 4, [[0, 0], [0, 1], [1, 0], [1, 1]], np.ones((4, 2), dtype=int)))
    assert graph.text.splitlines()[:3] == ["U[0] (2 states) -> z[0]", "U[1] (2 states) -> z[1]",
                                           "P(U[0], U[1] = 0, 0) = 0.25"]
    assert str(graph).startswith("latent graph: holds (exact)\nP3 holds for 2 hidden variables with 2 x 2 states")
