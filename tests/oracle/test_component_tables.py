"""Tables of component log densities against rigorous bounds, 120-digit references, quadrature and the law itself."""

import math

import mpmath as mp
import numba as nb
import numpy as np
import pytest
from common.reference import reference_log_density
from common.strategies import networks, noises
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, law
from ident_theory.exact.balls import from_float, log_mass
from ident_theory.geometry.line import line_pieces
from ident_theory.kernels.component_tables import _log_mass, component_log_densities, log_positive
from ident_theory.laws.components import component_tables, float_pieces
from ident_theory.laws.line_bounds import line_bounds
from ident_theory.testing.small_numbers import powers
from ident_theory.testing.strategies import observations

#: Promised is 1e-12; the worst of many thousand cases was 3e-15.
HELD = 1e-14


@nb.njit
def log_all(x, out):
    for i in range(x.size):
        out[i] = log_positive(x[i])


@nb.njit(error_model="numpy")
def log_mass_of(left, right, mean, tau, series):
    return _log_mass(left, right, mean, tau, series)


def table(breaks, slopes, intercepts, means, variances, std, x):
    """The kernel on lists."""
    out = np.empty((len(means), len(x)))
    component_log_densities(*(np.array(v, dtype=float) for v in (breaks, slopes, intercepts, means, variances)),
                            float(std), np.array(x, dtype=float), out)
    return out


def single(breaks, slopes, intercepts, mean, variance, std):
    """The model with one component only."""
    return Model(GaussianMixture([1], [mean], [variance]), PiecewiseAffineMap(breaks, slopes, intercepts),
                 GaussianNoise(std))


def excess(breaks, slopes, intercepts, means, variances, std, x):
    """Largest error of the table, in units of max(1, |log p|), against bounds of relative width 1e-15."""
    values = table(breaks, slopes, intercepts, means, variances, std, x)
    assert np.isfinite(values).all()
    worst = 0.0
    for row, mean, variance in zip(values, means, variances, strict=True):
        model = single(breaks, slopes, intercepts, mean, variance, std)
        lo, hi = line_bounds(model, line_pieces(model.decoder), np.array(x, dtype=float)[:, None], 1e-15)
        worst = max(worst, float((np.maximum(hi - row, row - lo) / np.maximum(1, np.abs(row))).max()))
    return worst


def sizes(low, high):
    """Zero, a small integer, or of any size between two powers of ten and either sign."""
    return st.one_of(st.just(0.0), st.integers(-3, 3).map(float),
                     st.tuples(powers(low, high), st.sampled_from([-1.0, 1.0])).map(lambda v: v[0] * v[1]))


@st.composite
def cases(draw):
    """Arguments of `excess`: pieces down to 1e-6 wide, flat ones, jumps, point masses on breakpoints, far tails."""
    gaps = draw(st.lists(st.one_of(st.just(1e-6), powers(-6, 4)), max_size=7))
    start = draw(sizes(-4, 4))
    breaks = np.unique(start + np.cumsum([0.0, *gaps[1:]])) if gaps else np.empty(0)
    count = len(breaks) + 1
    slopes = [draw(sizes(-4, 4)) for _ in range(count)]
    intercepts = [draw(sizes(-4, 4)) for _ in range(count)]
    if draw(st.booleans()):  # continuous up to rounding, so that terms compete
        for k, t in enumerate(breaks):
            intercepts[k + 1] = slopes[k] * t + intercepts[k] - slopes[k + 1] * t
    near = st.sampled_from([*breaks, 0.0]) if count > 1 else st.just(0.0)
    means = draw(st.lists(st.one_of(sizes(-4, 4), near), min_size=1, max_size=3))
    stds = draw(st.lists(st.one_of(st.just(0.0), st.just(1.0), powers(-3, 3)), min_size=len(means),
                         max_size=len(means)))
    std = draw(powers(-3, 3))
    x = []
    for _ in range(3):
        z = draw(st.one_of(st.sampled_from(means), near)) + draw(st.sampled_from([0.0, 1e-3, -1.0, 5.0]))
        k = int(np.searchsorted(breaks, z, side="right"))
        x.append(slopes[k] * z + intercepts[k] + std * draw(st.sampled_from([0.0, 1.0, -3.0, 30.0, -447.0, 1e6])))
    return breaks, slopes, intercepts, means, [s * s for s in stds], std, x


@given(case=cases())
@settings(max_examples=200)
def test_error_is_within_the_promise(case):
    assert excess(*case) <= HELD


@pytest.mark.slow
@given(case=cases())
@settings(max_examples=20_000)
def test_error_is_within_the_promise_at_length(case):
    assert excess(*case) <= HELD


@pytest.mark.parametrize("slopes", [[1, 0, 2], [0, 3, 0], [1e4, -1e4, 1e-4]])
def test_against_the_textbook_formulas(slopes):
    """The 120-digit reference, which shares nothing with the kernel but the definition."""
    breaks, intercepts, x = [1, 1 + 1e-6], [0, 7, -3], [0.0, 7.0, 60.0, -4470.0]
    values = table(breaks, slopes, intercepts, [0, 1, 40], [1, 0, 0.01], 0.25, x)
    for row, mean, variance in zip(values, [0, 1, 40], [1, 0, 0.01], strict=True):
        model = single(breaks, slopes, intercepts, mean, variance, 0.25)
        for value, point in zip(row, x, strict=True):
            truth = reference_log_density(model, [point], 120 if mean < 40 else 2000)
            assert abs(mp.mpf(float(value)) - truth) <= HELD * max(1, abs(truth))


def test_against_quadrature():
    """Adaptive quadrature over the latent, which knows nothing of closed forms."""
    breaks, slopes, intercepts = [-1.0, 0.5, 0.75, 2.0], [1.0, 0.0, -2.0, 0.0, 0.5], [0.0, 3.0, 1.0, -2.0, 1.0]
    mean, tau, std = 0.3, 1.25, 0.5

    def joint(z, x, k):
        r = (x - slopes[k] * z - intercepts[k]) / std
        t = (z - mean) / tau
        return math.exp(-0.5 * (r * r + t * t)) / (2 * math.pi * std * tau)

    x = [-3.0, -0.4, 0.7, 3.1]
    edges = [-12.0, *breaks, 12.0]
    expected = [math.log(sum(quad(joint, edges[k], edges[k + 1], (v, k), epsabs=1e-13, epsrel=1e-12)[0]
                             for k in range(5))) for v in x]
    np.testing.assert_allclose(table(breaks, slopes, intercepts, [mean], [tau**2], std, x)[0], expected, atol=1e-10)


@given(data=st.data())
@settings(max_examples=150)
def test_log_mass_of_an_interval(data):
    """The log of a normal probability is relatively accurate, in far tails and on slivers too."""
    tau = data.draw(powers(-3, 3))
    left = data.draw(st.one_of(st.just(-math.inf), sizes(-4, 4)))
    width = data.draw(st.one_of(st.just(math.inf), powers(-6, 4)))
    right = math.inf if math.isinf(width) else (left if math.isfinite(left) else 0.0) + width
    mean = data.draw(sizes(-4, 4))
    value = log_mass_of(left, right, mean, tau, np.empty(10))
    with ctx.workprec(256):
        ends = [None if math.isinf(v) else from_float(v) - from_float(mean) for v in (left, right)]
        truth = float(log_mass(*ends, from_float(tau) ** 2)) if ends != [None, None] else 0.0
    # The mass itself, near one, is known to 64 bits only, in the reference too.
    assert abs(value - truth) <= 1e-13 * abs(truth) + 1e-20


def test_logarithm():
    x = np.concatenate([[1.0, 2.0**0.5, 0.5**0.5, 2.3e-308, 1.7e308], np.nextafter(1.0, [0, 2]),
                        10 ** np.random.default_rng(0).uniform(-300, 300, 3000), np.linspace(0.5, 2, 1001)])
    out = np.empty_like(x)
    log_all(x, out)
    with ctx.workprec(128):
        error = [abs(float(arb(v) - arb(t).log())) for v, t in zip(out, x, strict=True)]
    assert (error <= 3e-16 * np.maximum(1, np.abs(out))).all()


def test_break_belongs_to_the_right_and_empty_pieces_are_left_out():
    """A point mass on a breakpoint; breakpoints that coincide bound nothing."""
    x = [0.0, 1.0, 5.0]
    np.testing.assert_array_equal(table([1.0], [0, 0], [0, 5], [1.0], [0.0], 2.0, x),
                                  table([], [1], [0], [5.0], [0.0], 2.0, x))
    for slope in (0.0, 3.0):
        np.testing.assert_array_equal(table([1.0, 1.0], [1, slope, 2], [0, 9, -1], [0.3], [2.0], 0.1, x),
                                      table([1.0], [1, 2], [0, -1], [0.3], [2.0], 0.1, x))


def test_never_nan_nor_infinite():
    """Densities beyond float64 are clamped, one at a time."""
    values = table([0, 1e-6, 1], [1, 1e4, 0, -1], [0, 0, 1, 2], [0, 1e4, 3], [1e-6, 1e6, 0], 1e-3,
                   [1e100, -1e160, 1.7e308, 0.0])
    assert np.isfinite(values).all()


def test_blocks_and_single_points_agree():
    x = np.random.default_rng(0).normal(size=1003) * 3
    args = [-0.5, 0.75, 0.76], [1.0, 0.0, 30.0, 2.0], [0.0, 1.0, -22.0, 0.0], [0.0, 2.0], [1.0, 0.25], 0.25
    whole = table(*args, x)
    for i in (0, 255, 256, 1002):
        np.testing.assert_array_equal(whole[:, i], table(*args, x[i:i + 1])[:, 0])


@given(data=st.data(), n=st.sampled_from([1, 2, 2, 3]))
@settings(max_examples=40)
def test_weighted_table_is_the_law_of_the_mixture(data, n):
    """log sum_j w_j p_j is the log density of the mixture, for any n."""
    decoder, noise = data.draw(networks(n)), data.draw(noises(n))
    prior = GaussianMixture(["1/4", "1/2", "1/4"], ["-1", "1/3", "5"], ["1", "0", "0.01"])
    model = Model(prior, decoder, noise)
    x = np.array([data.draw(observations(model)) for _ in range(4)])
    parts = [(fmpq(-1), fmpq(1)), (fmpq(1, 3), fmpq(0)), (fmpq(5), fmpq(1, 100))]
    tables = component_tables(line_pieces(decoder), parts, noise, x)
    assert tables.shape == (3, 4)
    mixed = np.logaddexp.reduce(tables + np.log([[0.25], [0.5], [0.25]]), axis=0)
    expected = law(model).log_density(x)
    # For n = 1 the pieces were rounded to floats, which moves the graph by 1e-16 of its height.
    height = 0.0 if n > 1 else max(np.abs(np.concatenate(float_pieces(line_pieces(decoder)))).max(), 1.0)
    std = math.sqrt(float(noise.covariance_exact(n)[0, 0]))
    slack = 1e-15 * height**2 / std * (1 + np.sqrt(np.abs(expected)))
    assert (np.abs(mixed - expected) <= slack + 3e-12 * np.maximum(1, np.abs(expected))).all()


def test_nearest_floats_of_pieces():
    pieces = line_pieces(PiecewiseAffineMap(["1/3"], ["0.1", "-2"], ["1/7", "0"]))
    for got, expected in zip(float_pieces(pieces), ([1 / 3], [0.1, -2.0], [1 / 7, 0.0]), strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.float64
    with pytest.raises(ValueError, match="n = 2"):
        float_pieces(line_pieces(PiecewiseAffineMap([], [[1, 2]], [[0, 0]])))
