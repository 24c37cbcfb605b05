"""Strips and nodes of a family: zeros in the complex plane by mpmath, integrals on far finer panels."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, law
from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.line import line_pieces
from ident_theory.landscape.targets import data_weights
from ident_theory.laws.components import component_tables
from ident_theory.laws.line_terms import components_of
from ident_theory.laws.nodes import (
    MAX_ORDER,
    Strips,
    Target,
    build_rule,
    interpolation_weights,
    log_bound,
    root_mean_square,
    tail_bound,
    tail_edge,
)

#: The tables' promise, times max(1, |log p|); integrals against a density inherit it.
ROUNDING = 1e-12


@st.composite
def maps(draw, jumps=False):
    """Piecewise affine maps with flat pieces, mostly continuous, slopes up to 3."""
    count = draw(st.integers(1, 4))
    breaks = sorted(draw(st.lists(st.integers(-8, 8), min_size=count - 1, max_size=count - 1, unique=True)))
    slopes = draw(st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, -1.0, -2.0, 3.0]), min_size=count, max_size=count))
    intercepts = [draw(st.integers(-2, 2)) * 0.5]
    for t, (a, b) in zip(breaks, zip(slopes, slopes[1:], strict=False), strict=False):
        jump = draw(st.integers(-3, 3)) * 1.0 if jumps else 0.0
        intercepts.append(intercepts[-1] + (a - b) * t / 4 + jump)
    return PiecewiseAffineMap([t / 4 for t in breaks], [[a] for a in slopes], [[c] for c in intercepts])


noise_stds = st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 2.0])
moments = st.tuples(st.integers(-8, 8).map(lambda v: v / 4), st.sampled_from([0.0, 0.01, 0.25, 1.0, 2.25]))


def components(decoder, pairs, std):
    """A law for each component alone."""
    return [Model(GaussianMixture([1], [m], [v]), decoder, GaussianNoise(std)) for m, v in pairs]


def mixture(decoder, pairs, weights, std):
    return Model(GaussianMixture([*weights[:-1], 1 - sum(weights[:-1])], *zip(*pairs, strict=True)), decoder,
                 GaussianNoise(std))


def table(decoder, pairs, std, x):
    """Log densities of the components, one row each."""
    pieces = line_pieces(decoder)
    parts = [components_of(GaussianMixture([1], [m], [v]))[0] for m, v in pairs]
    return component_tables(pieces, [(c.mean, c.variance) for c in parts], GaussianNoise(std), x)


def strips_of(families, low, high, std):
    """The strips of all mixtures over each family (decoder, pairs of mean and variance)."""
    strips = Strips(low, high, std)
    for decoder, pairs in families:
        strips.widen(table(decoder, pairs, std, strips.points), np.arange(len(pairs)))
    return strips


def reach_of(families):
    return max(root_mean_square(line_pieces(f), m, math.sqrt(v)) for f, pairs in families for m, v in pairs)


# --- strips ---------------------------------------------------------------------------------------------------------

def complex_density(decoder, mean, variance, std, x):
    """p(x) of one component at a complex x, by completing the square with a complex error function."""
    s2, mean, variance = mp.mpf(std) ** 2, mp.mpf(mean), mp.mpf(variance)
    ends = [-mp.inf, *(mp.mpf(float(t)) for t in decoder.breakpoints), mp.inf]
    total = mp.mpc(0)
    for k, (low, high) in enumerate(zip(ends, ends[1:], strict=False)):
        a, c = mp.mpf(float(decoder.slopes[k, 0])), mp.mpf(float(decoder.intercepts[k, 0]))
        if variance == 0:
            if low <= mean < high:
                total += mp.exp(-(x - a * mean - c) ** 2 / (2 * s2)) / mp.sqrt(2 * mp.pi * s2)
            continue
        spread = a * a * variance + s2
        center = mean + variance * a * (x - a * mean - c) / spread
        scale = mp.sqrt(2 * variance * s2 / spread)
        lower, upper = ((end - center) / scale for end in (low, high))
        if mp.re(lower) > 0 or mp.re(upper) < 0:  # in a tail: differences of what is small
            lower, upper = (lower, upper) if mp.re(lower) > 0 else (-upper, -lower)
            mass = mp.erfc(lower) - (0 if mp.isinf(upper) else mp.erfc(upper))
        else:
            mass = (1 if mp.isinf(upper) else mp.erf(upper)) - (-1 if mp.isinf(lower) else mp.erf(lower))
        total += mp.exp(-(x - a * mean - c) ** 2 / (2 * spread)) / mp.sqrt(2 * mp.pi * spread) * mass / 2
    return total


def test_the_complex_density_is_the_integral_over_the_latent():
    decoder = PiecewiseAffineMap([-0.5, 0.75], [[0.5], [0.0], [-2.0]], [[0.25], [0.0], [1.5]])
    with mp.workdps(30):
        x, std = mp.mpc("0.3", "0.4"), mp.mpf("0.25")
        def joint(z):
            k = int(z >= -0.5) + int(z >= 0.75)
            f = mp.mpf(float(decoder.slopes[k, 0])) * z + mp.mpf(float(decoder.intercepts[k, 0]))
            return mp.exp(-(x - f) ** 2 / (2 * std**2)) / mp.sqrt(2 * mp.pi * std**2) * mp.npdf(z, 0.25, 0.5)
        direct = mp.quad(joint, [-5, -2, -1, -0.5, 0, 0.25, 0.5, 0.75, 1, 2, 5])
        assert abs(complex_density(decoder, 0.25, 0.25, 0.25, x) - direct) < 1e-18


@given(decoder=maps(jumps=True), pairs=st.lists(moments, min_size=1, max_size=3), std=noise_stds, data=st.data())
@settings(max_examples=60)
def test_every_mixture_is_near_one_term_on_the_claimed_strip(decoder, pairs, std, data):
    strips = strips_of([(decoder, pairs)], -2.5, 2.5, std)
    widths = strips.half_widths(reach_of([(decoder, pairs)]))
    assert len(widths) == len(strips.edges) - 1
    place = data.draw(st.integers(0, len(widths) - 1))
    share, height = data.draw(st.sampled_from([0.0, 0.5, 1.0])), data.draw(st.sampled_from([1.0, -1.0, 0.7]))
    with mp.workdps(60):
        x = mp.mpf(float(strips.edges[place])) * (1 - share) + mp.mpf(float(strips.edges[place + 1])) * share
        alone = [complex_density(decoder, m, v, std, x).real for m, v in pairs]
        # Weights that leave the posterior undecided are the worst; others are drawn too.
        raw = [1 / p for p in alone] if data.draw(st.booleans()) else \
            [mp.mpf(10) ** data.draw(st.integers(-6, 0)) for _ in pairs]

        def p(z):
            return sum(w * complex_density(decoder, m, v, std, z) for w, (m, v) in zip(raw, pairs, strict=True))

        s2, h = mp.mpf(std) ** 2, mp.mpf(std) * mp.mpf(10) ** -15
        here, up, down = p(x).real, p(x + h).real, p(x - h).real
        first, second = (up - down) / (2 * h) / here, (up - 2 * here + down) / h**2 / here
        mean, variance = x + s2 * first, s2 + s2**2 * (second - first**2)
        y = mp.mpf(float(widths[place]))
        assert y**2 * variance <= s2**2 * (1 + mp.mpf(10) ** -9)
        y *= height
        if abs(y) < 40 * std:  # beyond, the numbers of `p` are too large for these digits; the variance says it all
            value = p(x + 1j * y) / here * mp.exp(-y**2 / (2 * s2)) * mp.exp(1j * y * (x - mean) / s2)
            assert abs(value - 1) <= 0.5 + mp.mpf(10) ** -9


@pytest.mark.parametrize("gap", [0.5, 1.0, 3.0, 20.0, 200.0])
@pytest.mark.parametrize("std", [0.05, 1.0])
@pytest.mark.parametrize("flat", [True, False])
def test_strips_stay_below_the_zeros_of_two_atoms(gap, std, flat):
    gap *= std
    if flat:  # a map with two flat pieces, under one component that is cut by the step
        decoder, pairs = PiecewiseAffineMap([0.0], [[0.0], [0.0]], [[-gap / 2], [gap / 2]]), [(0.0, 1.0), (0.5, 2.0)]
    else:
        decoder, pairs = PiecewiseAffineMap([], [[1.0]], [[0.0]]), [(-gap / 2, 0.0), (gap / 2, 0.0)]
    strips = strips_of([(decoder, pairs)], -gap, gap, std)
    widths = strips.half_widths(reach_of([(decoder, pairs)]))
    zero = math.pi * std**2 / gap  # of cosh(x gap / 2 s^2) and its shifts
    middle = np.searchsorted(strips.edges, 0.0)
    assert widths[middle - 1:middle + 1].max() < zero
    if not flat:  # and not far below: the posterior variance is up to gap^2 / 4
        assert widths[middle] == pytest.approx(std**2 / (gap / 2), rel=1e-6)
        assert widths.max() < zero, "some mixture balances the atoms anywhere"


def test_a_single_gaussian_is_known_exactly_up_to_the_interval():
    decoder, std = PiecewiseAffineMap([], [[2.0]], [[1.0]]), 0.5
    widths = strips_of([(decoder, [(0.0, 1.0)])], -3, 3, std).half_widths(3.0)
    variance = 4 * std**2 / (4 + std**2)
    assert np.all(widths**2 * variance <= std**4)
    assert np.all(widths**2 * variance >= 0.7 * std**4)


def test_strips_merge_to_those_of_the_union():
    families = [(PiecewiseAffineMap([], [[1.0]], [[0.0]]), [(0.0, 1.0), (1.0, 0.25)]),
                (PiecewiseAffineMap([0.0], [[0.0], [1.0]], [[0.0], [0.0]]), [(0.0, 1.0), (-1.0, 0.5)])]
    both = strips_of(families, -2, 2, 0.25)
    merged = Strips(-2, 2, 0.25)
    for family in families:
        np.maximum(merged.excess, strips_of([family], -2, 2, 0.25).excess, out=merged.excess)
    assert np.array_equal(both.excess, merged.excess)
    assert np.isfinite(both.half_widths(5.0)).all()


# --- bounds ---------------------------------------------------------------------------------------------------------

@given(decoder=maps(jumps=True), mean=st.integers(-8, 8).map(lambda v: v / 4),
       std=st.sampled_from([0.0, 0.1, 1.0, 3.0]))
@settings(max_examples=30)
def test_root_mean_square(decoder, mean, std):
    bound = root_mean_square(line_pieces(decoder), mean, std)
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    z = mean + std * nodes
    moment = float(weights @ decoder(z[:, None])[:, 0] ** 2 / weights.sum())
    # The rule is no good at jumps: one node's weight is the error, times the square there.
    slack = 0.0 if std == 0 else 0.05 * max(1.0, moment)
    assert moment <= bound**2 + slack


def test_root_mean_square_knows_of_jumps():
    decoder = PiecewiseAffineMap([0.1], [[0.0], [0.0]], [[0.0], [100.0]])
    exact = 100 * math.sqrt(0.5 * math.erfc(0.1 / math.sqrt(2)))
    assert exact <= root_mean_square(line_pieces(decoder), 0.0, 1.0)


@given(decoder=maps(), pairs=st.lists(moments, min_size=1, max_size=3), std=noise_stds, data=st.data())
@settings(max_examples=60)
def test_log_densities_are_bounded(decoder, pairs, std, data):
    raw = np.array([data.draw(st.integers(1, 8)) for _ in pairs], dtype=float)
    member = law(mixture(decoder, pairs, list(raw / raw.sum()), std))
    x = np.linspace(-30 * std, 30 * std, 41) + data.draw(st.integers(-4, 4))
    assert np.all(np.abs(member.log_density(x)) <= log_bound(x, reach_of([(decoder, pairs)]), std) * (1 + 1e-12))


def test_the_bound_of_log_densities_is_attained_by_an_atom():
    model = Model(GaussianMixture([1], [3.0], [0.0]), PiecewiseAffineMap([], [[1.0]], [[0.0]]), GaussianNoise(2.0))
    x = np.array([-5.0, 0.0, -60.0])
    assert np.allclose(-law(model).log_density(x), log_bound(x, 3.0, 2.0), rtol=1e-12)


@given(decoder=maps(jumps=True), pairs=st.lists(moments, min_size=1, max_size=2), std=noise_stds,
       sign=st.sampled_from([-1, 1]), reach=st.sampled_from([0.0, 3.0, 50.0]),
       tolerance=st.sampled_from([1e-2, 1e-6, 1e-12]))
@settings(max_examples=60)
def test_tails_are_bounded(decoder, pairs, std, sign, reach, tolerance):
    weights = [1 / len(pairs)] * len(pairs)
    model = mixture(decoder, pairs, weights, std)
    target = Target(line_pieces(decoder), components_of(model.prior))
    edge = tail_edge(target, sign, std, reach, tolerance)
    bound = tail_bound(target, edge, sign, std, reach)
    assert bound <= tolerance
    density = law(model).log_density

    # |log q| is at most log_bound for every law within reach: the worst member there could be.
    def worst(t):
        x = edge + sign * t
        return math.exp(density(np.array([x]))[0]) * float(log_bound(x, reach, std))

    # Beyond some 40 spreads of the widest image nothing is left.
    far = 40 * (std + 3 * 1.5)
    found = sum(quad(worst, a, b, epsabs=0, epsrel=1e-8, limit=200)[0]
                for a, b in ((0, std / 2), (std / 2, 4 * std), (4 * std, 4 * std + far)))
    assert found <= bound * (1 + 1e-6)


def test_tail_bounds_are_close_and_edges_not_wasteful():
    target = Target(line_pieces(PiecewiseAffineMap([], [[2.0]], [[0.5]])),
                    components_of(GaussianMixture([1], [0.25], [1.0])))
    spread = math.hypot(2.0, 0.5)
    edge = 1.0 + 6 * spread
    exact = quad(lambda x: math.exp(-0.5 * ((x - 1) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
                 * float(log_bound(x, 4.0, 0.5)), edge, edge + 20 * spread, epsabs=0)[0]
    assert exact <= tail_bound(target, edge, 1, 0.5, 4.0) <= 1.1 * exact
    assert tail_bound(target, edge, -1, 0.5, 4.0) == math.inf
    edge = tail_edge(target, 1, 0.5, 4.0, 1e-12)
    assert tail_bound(target, edge - 0.1 * 0.5, 1, 0.5, 4.0) > 1e-12


def test_the_tail_of_a_piece_that_ends_is_that_of_the_noise_at_its_end():
    decoder, std, edge = PiecewiseAffineMap([1.0], [[3.0], [0.0]], [[0.0], [0.0]]), 0.1, 3.5
    prior = GaussianMixture([1], [0.0], [1.0])
    density = law(Model(prior, decoder, GaussianNoise(std))).log_density
    exact = quad(lambda x: math.exp(density(np.array([x]))[0]) * float(log_bound(x, 3.0, std)), edge, edge + 1,
                 epsabs=0)[0]
    assert exact <= tail_bound(Target(line_pieces(decoder), components_of(prior)), edge, 1, std, 3.0) <= 3000 * exact


# --- rules for expectations -----------------------------------------------------------------------------------------

def fine_nodes(low, high, std):
    """Twenty nodes on panels of a sixteenth of the noise: a rule that knows nothing of strips."""
    edges = np.linspace(low, high, math.ceil((high - low) * 16 / std) + 1)
    x, w = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half + half * x).ravel(), (half * w).ravel()


def setting(families, truths, std, tolerance, interpolate=False):
    """Rule for truths [(family, weights)] over all mixtures of the families."""
    models = [mixture(*families[f], weights, std) for f, weights in truths]
    targets = [Target(line_pieces(m.decoder), components_of(m.prior)) for m in models]
    reach = reach_of(families)
    low, high = (sign * max(sign * tail_edge(t, sign, std, reach, tolerance / 40) for t in targets)
                 for sign in (-1, 1))
    strips = strips_of(families, low, high, std)
    tails = [tail_bound(t, low, -1, std, reach) + tail_bound(t, high, 1, std, reach) for t in targets]
    logs = np.array([law(m).log_density(strips.points) for m in models])
    return models, build_rule(strips, reach, 0.9 * tolerance, logs, tails, interpolate), (low, high), strips


@given(first=maps(), second=maps(), pairs=st.lists(moments, min_size=1, max_size=3), std=st.sampled_from(
    [0.1, 0.25, 1.0, 2.0]), tolerance=st.sampled_from([1e-11, 1e-6, 1e-3]), interpolate=st.booleans(),
    seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_cross_entropies_are_within_the_stated_errors(first, second, pairs, std, tolerance, interpolate, seed):
    rng = np.random.default_rng(seed)
    families = [(first, pairs), (second, pairs)]
    truths = [(0, rng.dirichlet(np.ones(len(pairs)))), (1, rng.dirichlet(np.ones(len(pairs))))]
    models, rule, (low, high), _ = setting(families, truths, std, tolerance, interpolate)
    assert np.all(rule.errors <= tolerance)
    x, w = fine_nodes(low - 6 * std, high + 6 * std, std)
    for _ in range(4):
        sharp = rng.dirichlet(np.full(len(pairs), 0.3)) * 0.999 + 0.001 / len(pairs)
        member = law(mixture(*families[rng.integers(2)], sharp, std))
        log_q, fine_q = member.log_density(rule.nodes), member.log_density(x)
        for truth, error in zip(models, rule.errors, strict=True):
            found = -(rule.weights * np.exp(law(truth).log_density(rule.nodes))) @ log_q
            expected = -(w * np.exp(law(truth).log_density(x))) @ fine_q
            assert abs(found - expected) <= error + 2 * ROUNDING * max(1.0, abs(expected))


def test_cross_entropies_by_other_routes():
    relu = PiecewiseAffineMap([0.0], [[0.0], [1.0]], [[0.0], [0.0]])
    fold = PiecewiseAffineMap([0.5], [[-1.0], [0.5]], [[0.5], [-0.25]])
    pairs = [(-1.0, 1.0), (1.0, 0.25)]
    (truth, _), rule, _, _ = setting([(relu, pairs), (fold, pairs)], [(0, [0.5, 0.5]), (1, [0.25, 0.75])], 0.25, 1e-10)
    member = mixture(fold, pairs, [0.25, 0.75], 0.25)
    found = -(rule.weights * np.exp(law(truth).log_density(rule.nodes))) @ law(member).log_density(rule.nodes)
    adaptive = law(truth).cross_entropy(law(member), rtol=1e-12)
    assert abs(found - adaptive.value) <= rule.errors[0] + adaptive.error + 1e-12

    with mp.workdps(20):
        def integrand(x):
            p, q = (sum(mp.mpf(v) * complex_density(f, m, t, 0.25, x).real for v, (m, t) in zip(u, pairs, strict=True))
                    for f, u in ((relu, [0.5, 0.5]), (fold, [0.25, 0.75])))
            return -p * mp.log(q)
        third = mp.quad(integrand, [-2, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2, 3, 5, 7.5], maxdegree=5)
    assert abs(found - third) <= rule.errors[0] + 1e-11


def test_coarser_tolerances_take_fewer_nodes_that_stay_inside():
    decoder = PiecewiseAffineMap([0.0], [[0.0], [1.0]], [[0.0], [0.0]])
    counts = []
    for tolerance in (1e-12, 1e-9, 1e-6, 1e-3):
        _, rule, _, strips = setting([(decoder, [(-1.0, 1.0), (1.0, 0.25)])], [(0, [0.5, 0.5])], 0.25, tolerance)
        counts.append(len(rule.nodes))
        assert rule.errors[0] <= tolerance
        assert len(rule.nodes) == rule.orders.sum() == len(rule.weights)
        assert rule.orders.max() <= MAX_ORDER
        assert np.all(np.diff(rule.nodes) > 0)
        assert np.all(rule.panels[1:, 0] >= rule.panels[:-1, 1])
        assert strips.edges[0] < rule.nodes[0]
        assert rule.nodes[-1] < strips.edges[-1]
        panel = np.repeat(np.arange(len(rule.panels)), rule.orders)
        assert np.all((rule.panels[panel, 0] < rule.nodes) & (rule.nodes < rule.panels[panel, 1]))
        assert np.allclose(np.bincount(panel, rule.weights), np.diff(rule.panels)[:, 0], rtol=1e-12)
    assert sorted(counts, reverse=True) == counts
    assert counts[-1] < counts[0] / 2


@pytest.mark.parametrize("gap", [50.0, 500.0])
def test_atoms_many_noise_stds_apart(gap):
    """The strip is as narrow as 2 s^2 / gap, a small part of an interval."""
    std = 0.1
    families = [(PiecewiseAffineMap([], [[1.0]], [[0.0]]), [(0.0, 0.0), (gap * std, 0.0)])]
    (truth,), rule, (low, high), _ = setting(families, [(0, [0.5, 0.5])], std, 1e-9)
    assert rule.errors[0] <= 1e-9
    x, w = fine_nodes(low - std, high + std, std)
    for weight in (0.5, 0.999, 1e-9):
        member = law(mixture(*families[0], [weight, 1 - weight], std))
        found = -(rule.weights * np.exp(law(truth).log_density(rule.nodes))) @ member.log_density(rule.nodes)
        expected = -(w * np.exp(law(truth).log_density(x))) @ member.log_density(x)
        assert abs(found - expected) <= rule.errors[0] + ROUNDING * max(1.0, expected)


def test_more_nodes_than_allowed_is_an_error(monkeypatch):
    from ident_theory.laws import nodes as module

    monkeypatch.setattr(module, "MAX_NODES", 100)
    with pytest.raises(BudgetExceeded, match="nodes"):
        setting([(PiecewiseAffineMap([], [[1.0]], [[0.0]]), [(0.0, 0.0), (5.0, 0.0)])], [(0, [0.5, 0.5])], 0.1, 1e-9)


# --- rules for data -------------------------------------------------------------------------------------------------

@given(order=st.integers(3, MAX_ORDER), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_interpolation_reproduces_polynomials(order, seed):
    rng = np.random.default_rng(seed)
    nodes = 3.0 + 0.25 * np.polynomial.legendre.leggauss(order)[0]
    x = np.concatenate([rng.uniform(2.75, 3.25, 20), nodes[:3], [2.75, 3.25]])
    weights = interpolation_weights(nodes, x)
    polynomial = np.polynomial.Chebyshev(rng.normal(size=order), domain=[2.75, 3.25])
    # The Lebesgue constant of these nodes is below 2 sqrt(order): rounding is little amplified.
    assert np.allclose(weights @ polynomial(nodes), polynomial(x), rtol=0, atol=2e-12)
    assert np.array_equal(weights[20:23], np.eye(order)[:3])
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-12)


@given(decoder=maps(), other=maps(), pairs=st.lists(moments, min_size=1, max_size=3), std=st.sampled_from(
    [0.1, 0.25, 1.0, 2.0]), tolerance=st.sampled_from([1e-11, 1e-6, 1e-3]), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_mean_log_likelihoods_of_data(decoder, other, pairs, std, tolerance, seed):
    rng = np.random.default_rng(seed)
    families = [(decoder, pairs), (other, pairs)]
    x = np.concatenate([rng.normal(size=30), [-3.0, 3.0]])
    strips = strips_of(families, x.min() - std, x.max() + std, std)
    rule = build_rule(strips, reach_of(families), tolerance, np.empty((0, len(strips.points))), (), interpolate=True)
    assert rule.pointwise <= tolerance
    assert np.array_equal(rule.panels[1:, 0], rule.panels[:-1, 1]), "no gaps"
    assert rule.panels[0, 0] <= x.min() < x.max() <= rule.panels[-1, 1]
    inside = (rule.panels[:, 0] >= -3) & (rule.panels[:, 1] <= 3)
    data = [x, rule.panels[inside].ravel(), rule.nodes[::7], x[:1], rule.panels[-1, 1:], rule.panels[0, :1]]
    for _ in range(3):
        member = law(mixture(*families[rng.integers(2)], rng.dirichlet(np.full(len(pairs), 0.3)) * 0.999
                             + 0.001 / len(pairs), std))
        at_nodes = member.log_density(rule.nodes)
        for points in data:
            if len(points):
                weights, values = data_weights(rule, points), member.log_density(points)
                # Lebesgue constants amplify the rounding of the values by less than 20.
                assert abs(weights @ at_nodes - values.mean()) <= \
                    rule.pointwise + 20 * ROUNDING * max(1.0, np.abs(values).max())
