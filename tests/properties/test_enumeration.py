"""Distinct members of families against all raw points, the algebra of kinks, and weak injectivity by counting."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.injectivity import is_weakly_injective
from ident_theory.geometry.kinked import IDENTITY, Kinked, activate, add, constant, scale
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.landscape import enumeration
from ident_theory.landscape.enumeration import distinct_networks, distinct_priors, unique_rows
from ident_theory.landscape.families import ParameterFamily
from ident_theory.landscape.minimisers import member_model
from ident_theory.landscape.paths import parameter_paths
from ident_theory.landscape.plan import enumerate_members

#: Values that collide often: kinks coincide, units cancel, and 1/3 and 1/7 have no float.
VALUES = [Fraction(v) for v in ("-2", "-1", "-1/3", "0", "0", "1/7", "1/2", "1", "1", "2")]
LARGEST_RAW = 250


def as_fraction(value: fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


value = st.sampled_from(VALUES)
hidden_layers = st.sampled_from([[], [1], [2], [2], [3], [3], [1, 1], [2, 1], [1, 2], [2, 2], [1, 1, 1], [1, 2, 1]])


@st.composite
def networks(draw, n: int):
    widths = [1, *draw(hidden_layers), n]
    weights = [[[draw(value) for _ in range(i)] for _ in range(o)] for i, o in itertools.pairwise(widths)]
    biases = [[draw(value) for _ in range(o)] for o in widths[1:]]
    return ReLUNetwork(weights, biases, draw(st.sampled_from([0, 0, "1/10", -1, 1])))


@st.composite
def weight_vectors(draw, count: int):
    if draw(st.booleans()):
        return {"simplex": draw(st.integers(1, 3))}
    raw = draw(st.lists(st.lists(st.integers(0, 3), min_size=count, max_size=count).filter(any),
                        min_size=1, max_size=3, unique_by=lambda row: tuple(Fraction(v, sum(row)) for v in row)))
    return [[Fraction(v, sum(row)) for v in row] for row in raw]


@st.composite
def families(draw, part: str = "decoder prior"):
    """Some entries free, each with a grid of its own; at most LARGEST_RAW raw decoders and as many priors."""
    n, count = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    raw = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count).filter(any))
    prior = GaussianMixture([Fraction(v, sum(raw)) for v in raw], [draw(value) for _ in range(count)],
                            [draw(st.sampled_from([0, "1/2", 1, 1])) for _ in range(count)])
    model = Model(prior, draw(networks(n)), GaussianNoise(1))
    vary = {}
    if "prior" in part:
        vary["prior.weights"] = draw(weight_vectors(count))
    sizes = Counter()
    paths = [p for p in parameter_paths(model) if p.split(".")[0] in part.split() and "prior.weights" not in p]
    for path in draw(st.permutations(paths)):
        section = path.split(".")[0]
        choices = st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1)]) if "covariances" in path else value
        grid = sorted(draw(st.sets(choices, min_size=1, max_size=3)))
        if max(sizes[section], 1) * len(grid) <= LARGEST_RAW and draw(st.booleans() | st.just(True)):
            sizes[section] = max(sizes[section], 1) * len(grid)
            vary[path] = grid
    return ParameterFamily(model, vary or {"decoder.biases": [0]})


def points(part, family):
    """Every raw index of a table, with the values it stands for."""
    skip = part.member.ndim - len(part.paths)
    for index in np.ndindex(*part.member.shape):
        yield index, {path: family.grids[path][i] for path, i in zip(part.paths, index[skip:], strict=True)}


def mixture(prior: GaussianMixture) -> frozenset:
    reduced = prior.reduced()
    return frozenset(zip(reduced.weights_exact, reduced.means_exact[:, 0], reduced.covariances_exact[:, 0, 0],
                         strict=True))


def prior_parts(priors, p) -> frozenset:
    parts = priors.parts(p)
    assert len(set(parts)) == len(parts)
    return frozenset(tuple(as_fraction(v) for v in part) for part in parts)


def check_table(part, values, brute, hidden: int = 1):
    """`values[member]` is what brute force finds, and counts and first indices are those of the table."""
    assert len(set(values)) == len(values)
    found = Counter()
    first = {}
    for flat, (index, expected) in enumerate(brute):
        assert values[part.member[index]] == expected
        found[expected] += hidden
        first.setdefault(expected, flat)
    assert set(found) == set(values)
    assert [found[v] for v in values] == part.counts.tolist()
    assert [first[v] for v in values] == part.first.tolist()


# --- functions ------------------------------------------------------------------------------------------------------

def check_networks(family):
    networks = distinct_networks(family)
    slope = "decoder.negative_slope"
    unused = len(family.grids[slope]) if slope in family.grids and slope not in networks.paths else 1
    assert set(networks.paths) == {p for p in family.grids if p.startswith("decoder")} - (
        {slope} if family.model.decoder.depth == 1 else set())
    weights = family.weights[0]
    brute = [(index, line_pieces(family.member(values, weights).decoder))
             for index, values in points(networks, family)]
    check_table(networks, networks.functions, brute, unused)
    assert networks.counts.sum() == math.prod(len(g) for p, g in family.grids.items() if p.startswith("decoder"))


@given(family=families("decoder"))
@settings(max_examples=60)
def test_functions_against_all_raw_networks(family):
    check_networks(family)


def family_of(weights, biases, vary, slope=0):
    return ParameterFamily(Model(GaussianMixture([1], [0], [1]), ReLUNetwork(weights, biases, slope),
                                 GaussianNoise(1)), vary)


@pytest.mark.parametrize("family", [
    # relu(relu(z)) = relu(z): the same units in two layers of three
    family_of([[[1]], [[1]], [[1]], [[1]]], [[0], [0], [0], [0]], {"decoder.weights": ["1/2", 1, 2]}),
    # all units are the latent itself in every layer
    family_of([[[1]], [[1]], [[1]]], [[0], [0], [0]], {"decoder.weights": [-1, 1], "decoder.negative_slope": [0, 1]}),
    # kinks that cancel, units that double, and a flat family of one function
    family_of([[[1], [1]], [[1, -1]]], [[0, 0], [0]], {"decoder.weights": [-1, 0, 1], "decoder.biases[0][0]": [0, 1]}),
    family_of([[[0]], [[1]]], [[0], [5]], {"decoder.weights[1]": [1, 2, 3]}),
    # neither slope nor weights of a zero column matter; depth one has no activation at all
    family_of([[[1], [0]]], [[0, 1]], {"decoder.negative_slope": [-1, 0, 3], "decoder.weights[0][1,0]": [0, 1]}),
    # integers beyond 64 bits: denominators of many primes
    family_of([[[1], [-1]], [["1/1000000007", "1/998244353"]]], [[0, "1/999999937"], ["1/1000000009"]],
              {"decoder.weights[1][0,0]": ["1/1000000021", "1/1000000007"], "decoder.biases[1]": [0, "1/1000000033"],
               "decoder.weights[0][0,0]": ["-1/999999893", "1/7"]}),
])
def test_functions_of_awkward_families(family):
    check_networks(family)


def test_functions_beyond_64_bits_are_told_apart():
    """Two sums that differ in the last of 200 bits."""
    tiny = Fraction(1, 2**200)
    family = family_of([[[1], [1]], [[1, 1]]], [[0, 0], [0]],
                       {"decoder.weights[1]": [1, 1 + tiny], "decoder.biases[1]": [0, tiny]})
    check_networks(family)
    assert len(distinct_networks(family).functions) == 6  # sums 2, 2 + tiny, 2 + 2 tiny; two biases


@pytest.mark.parametrize(("name", "limit"), [("MAX_PAIRS", 5), ("MAX_RAW", 80)])
def test_too_many_networks(monkeypatch, name, limit):
    family = family_of([[[1], [1]], [[1, 1]]], [[0, 0], [0]], {"decoder.weights": [-1, 0, 1]})
    assert len(distinct_networks(family).functions) > 5
    monkeypatch.setattr(enumeration, name, limit)
    with pytest.raises(BudgetExceeded, match=r"family: .* coarser grids"):
        distinct_networks(family)


def test_limits_hold_without_forming_the_sums():
    grid = list(range(60))
    family = family_of([[[1]] * 4, [[1] * 4]], [[0] * 4, [0]], {"decoder.weights": grid})
    with pytest.raises(BudgetExceeded, match="raw networks"):
        distinct_networks(family)
    prior = GaussianMixture(["1/4"] * 4, [0] * 4, [1] * 4)
    family = ParameterFamily(Model(prior, ReLUNetwork([[[1]]], [[0]]), GaussianNoise(1)),
                             {"prior.means": list(range(1000))})
    with pytest.raises(BudgetExceeded, match="raw priors"):
        distinct_priors(family)


# --- priors ---------------------------------------------------------------------------------------------------------

@given(family=families("prior"))
@settings(max_examples=60)
def test_priors_against_all_raw_points(family):
    priors = distinct_priors(family)
    assert priors.member.shape[0] == len(family.weights)
    brute = [(index, mixture(family.member(values, family.weights[index[0]]).prior))
             for index, values in points(priors, family)]
    check_table(priors, [prior_parts(priors, p) for p in range(len(priors.rows))], brute)
    for row, weight in zip(priors.rows.tolist(), priors.weights.tolist(), strict=True):
        used = sum(w > 0 for w in weight)
        assert sum(weight) == priors.denominator
        assert row[:used] == sorted(set(row[:used]))
        assert not any(row[used:])
        assert not any(weight[used:])


@given(family=families())
@settings(max_examples=30)
def test_member_models_have_their_function_and_prior(family):
    members = enumerate_members(family)
    assert np.all(np.diff(members.orbit) >= 0)  # functions of an orbit stand together
    total = 0
    for f, p in itertools.product(range(len(members.networks.functions)), range(len(members.priors.rows))):
        total += int(members.networks.counts[f]) * int(members.priors.counts[p])
        if (f + 7 * p) % 5 == 0:
            model = member_model(members, f, p)
            assert line_pieces(model.decoder) == members.networks.functions[f]
            assert mixture(model.prior) == prior_parts(members.priors, p)
            assert tuple(model.prior.weights_exact) in family.weights
    assert total == family.size
    brute = [(index, line_pieces(family.member(values, family.weights[0]).decoder))
             for index, values in points(members.networks, family)]
    depth_one = family.model.decoder.depth == 1
    check_table(members.networks, members.networks.functions, brute,
                len(family.grid("decoder.negative_slope")) if depth_one else 1)


# --- distinct rows --------------------------------------------------------------------------------------------------

def check_rows(rows):
    distinct, place = unique_rows(rows)
    listed = [tuple(row) for row in rows.tolist()]
    assert len(distinct) == len(set(listed)) == len({tuple(row) for row in distinct.tolist()})
    assert [tuple(distinct[i].tolist()) for i in place] == listed
    again, _ = unique_rows(rows[::-1].copy())
    if rows.dtype != object:
        assert again.tolist() == distinct.tolist()  # the order does not depend on the order of the rows


@given(rows=arrays.arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 8)),
                          elements=st.sampled_from([-2**61, -1, 0, 1, 2, 2**40, 2**61])))
@example(rows=np.array([[0, -2**61], [0, 2**61], [0, 2**61 - 1]]))
@example(rows=np.full((4, 3), 7))
@example(rows=np.array([[5]]))
def test_distinct_rows_against_a_dictionary(rows):
    check_rows(rows)
    check_rows(rows.astype(object))
    check_rows(rows.astype(object) * 3**60)


def test_distinct_rows_of_many_words():
    rng = np.random.default_rng(1)
    base = rng.integers(-2**40, 2**40, size=(20, 12))
    rows = base[rng.integers(20, size=400)]
    rows[::7, rng.integers(12)] += 1
    check_rows(rows)
    # Spans that fill a word to the last bit: 2**31 * 2**32 fits 63 bits, one more does not.
    for span in (2**31, 2**31 + 1):
        check_rows(np.array(list(itertools.product([0, span - 1], [0, 2**32 - 1], [0, 1]))) - 5)


# --- sums of kinks --------------------------------------------------------------------------------------------------

small = st.builds(Fraction, st.integers(-6, 6), st.integers(1, 3))


def flint(v: Fraction) -> fmpq:
    return fmpq(v.numerator, v.denominator)


@st.composite
def kinked(draw, n: int = 1):
    def vector(nonzero=False):
        entries = st.lists(small, min_size=n, max_size=n)
        return tuple(map(flint, draw(entries.filter(any) if nonzero else entries)))

    kinks = sorted(draw(st.sets(small, max_size=4)))
    return Kinked(vector(), vector(), tuple((flint(t), vector(True)) for t in kinks))


def at(f: Kinked, z: fmpq) -> list[fmpq]:
    """The defining sum, term by term."""
    return [a * z + c + sum((d[i] * (z - t) for t, d in f.kinks if z > t), fmpq(0))
            for i, (a, c) in enumerate(zip(f.slope, f.intercept, strict=True))]


def probes(*maps: Kinked) -> list[fmpq]:
    """Kinks, points between and beyond: two maps with these kinks that agree here are equal."""
    cuts = sorted({t for f in maps for t, _ in f.kinks} | {fmpq(0)})
    return [cuts[0] - 2, cuts[0] - 1, *cuts, *((a + b) / 2 for a, b in itertools.pairwise(cuts)), cuts[-1] + 1,
            cuts[-1] + 2]


def canonical(f: Kinked) -> bool:
    times = [t for t, _ in f.kinks]
    return times == sorted(set(times)) and all(any(d) for _, d in f.kinks)


@given(f=kinked(2), g=kinked(2))
def test_sums(f, g):
    total = add(f, g)
    assert canonical(total)
    assert total == add(g, f)
    for z in probes(f, g):
        assert at(total, z) == [a + b for a, b in zip(at(f, z), at(g, z), strict=True)]
    opposite = Kinked(*(tuple(-v for v in part) for part in f[:2]), tuple((t, tuple(-v for v in d)) for t, d in f[2]))
    assert add(f, opposite) == constant((fmpq(0),) * 2)


@given(f=kinked(), vector=st.lists(small, min_size=1, max_size=3))
def test_multiples(f, vector):
    scaled = scale(f, list(map(flint, vector)))
    assert canonical(scaled)
    for z in probes(f):
        assert at(scaled, z) == [flint(v) * at(f, z)[0] for v in vector]


@given(f=kinked(), slope=st.sampled_from([Fraction(v) for v in ("0", "1/10", "1", "-1", "2")]))
@example(f=constant((fmpq(0),)), slope=Fraction(0))
@example(f=Kinked((fmpq(0),), (fmpq(0),), ((fmpq(1), (fmpq(1),)), (fmpq(2), (fmpq(-2),)))), slope=Fraction(0))
def test_activations(f, slope):
    out = activate(f, flint(slope))
    assert canonical(out)
    # Sign changes of f are the only new kinks; probing between all of them decides equality.
    for z in probes(f, out):
        (v,) = at(f, z)
        assert at(out, z) == [v if v > 0 else flint(slope) * v]
        # Float evaluation: numbers below 100 in size, a few dozen roundings.
        (a,), (c,) = f.slope, f.intercept
        x = float(as_fraction(z))
        approximate = float(as_fraction(a)) * x + float(as_fraction(c)) + sum(
            float(as_fraction(d)) * max(x - float(as_fraction(t)), 0.0) for t, (d,) in f.kinks)
        approximate = max(approximate, 0.0) + float(slope) * min(approximate, 0.0)
        assert float(as_fraction(at(out, z)[0])) == pytest.approx(approximate, abs=1e-10)
    if slope == 1:
        assert out == f


@given(f=kinked(2))
def test_pieces_of_kinks_and_back(f):
    pieces = f.pieces()
    assert pieces.breakpoints == tuple(t for t, _ in f.kinks)
    assert all(s != t for s, t in itertools.pairwise(zip(pieces.slopes, pieces.intercepts, strict=True)))
    for z in probes(f):
        k = next(k for k in range(pieces.n_pieces) if pieces.contains(k, z))
        assert list(pieces.value(k, z)) == at(f, z)
    # As a network: one unit a kink and two that add up to the latent.
    kinks = [(as_fraction(t), [as_fraction(v) for v in d]) for t, d in f.kinks]
    rows = [[as_fraction(f.slope[i]), -as_fraction(f.slope[i]), *(d[i] for _, d in kinks)] for i in range(2)]
    network = ReLUNetwork([[[1], [-1], *([1] for _ in kinks)], rows],
                          [[0, 0, *(-t for t, _ in kinks)], [as_fraction(c) for c in f.intercept]])
    assert line_pieces(network) == pieces


@given(network=networks(2))
@settings(max_examples=60)
def test_layers_of_kinks_are_the_network(network):
    state = [IDENTITY]
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        units = []
        for row, bias in zip(w, b, strict=True):
            total = constant((flint(bias),))
            for v, f in zip(row, state, strict=True):
                total = add(total, scale(f, (flint(v),)))
            units.append(total if layer == network.depth - 1 else activate(total, flint(network.negative_slope_exact)))
        state = units
    first, second = (scale(f, v) for f, v in zip(state, ((fmpq(1), fmpq(0)), (fmpq(0), fmpq(1))), strict=True))
    assert add(first, second).pieces() == line_pieces(network)


# --- weak injectivity -----------------------------------------------------------------------------------------------

def preimages(pieces: LinePieces, x: list[fmpq]) -> float:
    """Number of z with f(z) = x, piece by piece; infinite when a flat piece hits x."""
    count = 0.0
    for k in range(pieces.n_pieces):
        slope, intercept = pieces.slopes[k], pieces.intercepts[k]
        if not any(slope):
            count += math.inf if list(intercept) == x else 0
            continue
        axis = next(i for i, a in enumerate(slope) if a)
        z = (x[axis] - intercept[axis]) / slope[axis]
        count += pieces.contains(k, z) and list(pieces.value(k, z)) == x
    return count


def covered_once(pieces: LinePieces) -> bool:
    """Whether some short stretch of the image is hit once: counts at three points off all special ones.

    Special are the z whose image is that of a breakpoint, or a crossing of two pieces; between them the number of
    preimages of f(z) does not change.
    """
    special = set(pieces.breakpoints) | {fmpq(0)}
    for k, j in itertools.product(range(pieces.n_pieces), repeat=2):
        a, c = pieces.slopes[k], pieces.intercepts[k]
        targets = [pieces.value(j, t) for t in pieces.ends(j) if t is not None]
        targets += [pieces.intercepts[j]] if pieces.is_flat(j) else []
        for i in range(pieces.observed_dim):
            special |= {(target[i] - c[i]) / a[i] for target in targets if a[i]}
        if pieces.observed_dim == 2:  # crossing: a_k z + c_k on the line of piece j
            (u, v), (p, q) = pieces.slopes[j], pieces.intercepts[j]
            across = a[0] * v - a[1] * u
            if across:
                special.add(((p - c[0]) * v - (q - c[1]) * u) / across)
    cuts = sorted(special)
    stretches = [(cuts[0] - 3, cuts[0]), *itertools.pairwise(cuts), (cuts[-1], cuts[-1] + 3)]
    for low, high in stretches:
        counts = []
        for share in (fmpq(1, 3), fmpq(1, 2), fmpq(5, 7)):
            z = low + (high - low) * share
            k = next(k for k in range(pieces.n_pieces) if pieces.contains(k, z))
            counts.append(preimages(pieces, list(pieces.value(k, z))))
        assert len(set(counts)) == 1  # the brute force itself: counts are constant on a stretch
        if counts[0] == 1:
            return True
    return False


@given(f=st.integers(1, 2).flatmap(kinked))
@settings(max_examples=200)
def test_weak_injectivity_against_counting(f):
    pieces = f.pieces()
    assert is_weakly_injective(pieces) == covered_once(pieces)


slopes = st.integers(-1, 1)


@given(breaks=st.lists(st.integers(-3, 3), max_size=4, unique=True), data=st.data())
@settings(max_examples=200)
def test_weak_injectivity_of_lattice_paths(breaks, data):
    """Slopes out of -1, 0, 1: images overlap often, and along whole lines when n = 2."""
    n = data.draw(st.integers(1, 2))
    rows = data.draw(st.lists(st.tuples(*[slopes] * n), min_size=len(breaks) + 1, max_size=len(breaks) + 1))
    changes = zip(sorted(breaks), itertools.pairwise(rows), strict=True)
    kinks = tuple((fmpq(t), tuple(fmpq(b - a) for a, b in zip(*pair, strict=True))) for t, pair in changes)
    f = Kinked(tuple(map(fmpq, rows[0])), (fmpq(0),) * n, tuple(k for k in kinks if any(k[1])))
    assert is_weakly_injective(f.pieces()) == covered_once(f.pieces())


def path(breaks, slopes, start=0):
    """A continuous map with these slopes; `start` is the intercept of the leftmost piece."""
    rows = [row if isinstance(row, tuple) else (row,) for row in slopes]
    base = start if isinstance(start, tuple) else (start,) * len(rows[0])
    intercepts = [tuple(map(Fraction, base))]
    for t, (left, right) in zip(breaks, itertools.pairwise(rows), strict=True):
        intercepts.append(tuple(c + (a - b) * t for c, a, b in zip(intercepts[-1], left, right, strict=True)))
    return line_pieces(PiecewiseAffineMap(breaks, [list(r) for r in rows], [list(c) for c in intercepts]))


@pytest.mark.parametrize(("pieces", "expected"), [
    (path([], [1]), True),
    (path([], [0]), False),
    (path([0], [0, 1]), True),                       # relu
    (path([0], [-1, 1]), False),                     # |z|
    (path([0], [-1, 2]), False),                     # V of unequal slopes: every value twice
    (path([0, 1], [-1, 0, 3]), False),               # with a flat bottom
    (path([0, 1, 2], [-1, 1, -1, 1]), False),        # W: four times below, twice above
    (path([0, 1], [1, -1, 1]), True),                # N: once outside [0, 1]
    (path([0, 1], [0, 1, 0]), True),                 # ramp, bounded image
    (path([0, 1, 2], [0, 1, -1, 0]), False),         # hat, bounded image: twice
    (path([0, 1, 3], [0, 1, -1, 0]), True),          # uneven hat: once between -1 and 0
    (path([0, 1, 2], [-1, 1, 0, 1]), False),         # V with a landing
    (path([0, 1, 2, 3], [0, 1, 0, -1, 0]), False),   # trapezoid
    (path([0], [(1, 0), (0, 1)]), True),             # a corner in the plane
    (path([0], [(1, 1), (-1, -1)]), False),          # there and back along one line
    (path([0], [(1, 1), (-2, -2)]), False),
    (path([0], [(0, 1), (0, -1)]), False),           # and on a vertical one
    (path([0, 1], [(1, 0), (0, 1), (-1, 0)]), True),
    # a loop that crosses its own beginning in one point only
    (path([0, 1, 2], [(1, 0), (0, 1), (-1, 0), (0, -1)]), True),
    # twice along each of its two lines
    (path([0, 1, 2], [(1, 0), (0, 1), (0, -1), (-1, 0)]), False),
    (path([0, 1, 3], [(1, 0), (0, 1), (0, -1), (-1, 0)]), True),
    # there and back on parallel lines, by a jump
    (line_pieces(PiecewiseAffineMap([0], [[1, 0], [-1, 0]], [[0, 0], [0, 1]])), True),
    (line_pieces(PiecewiseAffineMap([0], [[1, 0], [-1, 0]], [[0, 0], [0, 0]])), False),
])
def test_weak_injectivity_of_known_maps(pieces, expected):
    assert is_weakly_injective(pieces) == expected
    assert covered_once(pieces) == expected
