"""The closed form against 50-digit references and its own rigorous bounds, over adversarial models."""

import math
import tracemalloc

import mpmath as mp
import numpy as np
import pytest
from common.reference import reference_log_density
from common.strategies import line_models
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.laws.line import PROMISE, LineLaw
from ident_theory.laws.line_bounds import line_bounds
from ident_theory.testing.strategies import observations


def check(model: Model, x: np.ndarray, digits: int = 120) -> None:
    """Float, bounds and reference agree as promised at one point."""
    exact = LineLaw(model)
    value = float(exact.log_density(x[None])[0])
    truth = reference_log_density(model, x, digits)
    assert math.isfinite(value)
    assert abs(mp.mpf(value) - truth) <= PROMISE * max(1, abs(truth)), (float(truth), value)
    lo, hi = line_bounds(model, exact.pieces, x[None], 1e-12)
    assert mp.mpf(float(lo[0])) <= truth <= mp.mpf(float(hi[0]))
    assert hi[0] - lo[0] <= 1.01e-12 * max(1, abs(float(truth)))
    wide_lo, wide_hi = exact.log_density_bounds(x[None])
    assert wide_lo[0] <= value <= wide_hi[0]
    assert wide_lo[0] <= lo[0] <= hi[0] <= wide_hi[0]


@given(data=st.data(), n=st.sampled_from([1, 1, 1, 2, 3]))
@settings(max_examples=250)
def test_error_is_within_the_promise(data, n):
    model = data.draw(line_models(n))
    check(model, data.draw(observations(model)))


@pytest.mark.slow
@given(data=st.data(), n=st.integers(1, 4))
@settings(max_examples=8000)
def test_error_is_within_the_promise_at_length(data, n):
    model = data.draw(line_models(n))
    check(model, data.draw(observations(model)))


@pytest.mark.parametrize("offset", [0.0, 1e2, 4.5e2, 1e4])
@pytest.mark.parametrize("std", [1e-6, 1e-3, 1.0, 1e3])
def test_far_tails(std, offset):
    """log p runs down to -5e7; the noise scale covers nine decades."""
    model = Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.01]),
                  ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]]), GaussianNoise(std))
    for x in (offset * std, -offset * std, 3 + offset, -3 - offset):
        check(model, np.array([x]))


def test_depth_four_width_eight():
    rng = np.random.default_rng(5)
    widths = [1, 8, 8, 8, 8, 2]
    weights = [rng.normal(size=(o, i)) for i, o in zip(widths[:-1], widths[1:], strict=True)]
    biases = [rng.normal(size=o) for o in widths[1:]]
    model = Model(GaussianMixture([0.25, 0.75], [-1, 1], [0.5, 2]), ReLUNetwork(weights, biases), GaussianNoise(0.01))
    for z in np.linspace(-4, 4, 9):
        check(model, model.decoder(np.array([[z]]))[0] + 0.02)


def test_breakpoints_close_together_carry_their_share():
    """A spike between breakpoints 1e-12 apart, made dominant by its height: the narrow series at work."""
    model = Model(GaussianMixture([1], [0], [1]),
                  PiecewiseAffineMap([1, 1 + 2.0**-40], [0, 1e8, 0], [0, 50, 0]), GaussianNoise(1e-3))
    for x in (1e8 + 50, 1e8 + 50 + 5e-5, 1e8 + 49.99):
        check(model, np.array([x]))


def test_direction_with_an_entry_that_whitening_cancels():
    """An entry that is zero as a number is a ball around zero, whose power is no number."""
    model = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[-2, 1]], [[0, 0]]),
                  GaussianNoise(covariance=[[8, -4], [-4, 4]]))
    for x in ([0, 0], [1, 2], [-30, 7]):
        check(model, np.array(x, dtype=float))


@pytest.mark.parametrize("x", [1e139, -1e141, 1e160, -1.7e308])
@pytest.mark.parametrize("n", [1, 2])
def test_never_nan_nor_infinite(x, n):
    """The log density may leave float64; it is then clamped to the lowest finite number and bounds say so."""
    model = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([0], [[1] * n, [2] * n], [[0] * n, [0] * n]),
                  GaussianNoise(1e-6))
    exact = LineLaw(model)
    point = np.full((1, n), x)
    value = exact.log_density(point)
    lo, hi = exact.log_density_bounds(point)
    assert np.isfinite(value).all()
    assert lo[0] <= value[0] <= hi[0]
    assert not np.isnan([lo[0], hi[0]]).any()


def test_memory_is_bounded_by_a_tile():
    """A million points cost their own result and less than 100 kB besides."""
    model = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([0], [-1, 1], [0, 0]), GaussianNoise(1))
    exact, x = law(model), np.random.default_rng(0).normal(size=(1_000_000, 1))
    exact.log_density(x[:1])
    tracemalloc.start()
    out = exact.log_density(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.nbytes + 100_000


def test_parts_agree():
    """Blocks, threads and single points give the same bits."""
    model = Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 1]),
                  ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]]), GaussianNoise(0.25))
    exact = law(model)
    x = np.random.default_rng(0).normal(size=100_003) * 3
    whole = exact.log_density(x)
    picks = np.array([0, 255, 256, 50_001, 100_002])
    np.testing.assert_array_equal(whole[picks], [exact.log_density(x[i:i + 1])[0] for i in picks])
    assert exact.log_density(np.empty(0)).shape == (0,)


@given(data=st.data())
@settings(max_examples=40)
def test_density_never_exceeds_the_noise_peak(data):
    """p(x) <= sup of the noise density, whatever the model; 1e-14 is rounding of the log."""
    model = data.draw(line_models(1))
    x = np.array([data.draw(observations(model)) for _ in range(5)])
    peak = -0.5 * math.log(2 * math.pi * float(model.noise.covariance_exact(1)[0, 0]))
    assert (law(model).log_density(x) <= peak + 1e-14 * max(1, abs(peak))).all()


def test_bad_input_is_named():
    model = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [1], [0]), GaussianNoise(1))
    exact = law(model)
    for bad, word in ((np.array([0.0, np.nan]), r"x\[1, 0\]=nan"), (np.array([[np.inf]]), "finite"),
                      (np.zeros((2, 2)), "shape"), (np.array([1j]), "complex"), (["a"], "dtype"),
                      ([[1], [1, 2]], "x:")):
        with pytest.raises(ValueError, match=word):
            exact.log_density(bad)
    with pytest.raises(ValueError, match="rtol"):
        exact.log_density_bounds([0.0], rtol=1e-20)
    with pytest.raises(ValueError, match="route"):
        law(model, route="magic")
    with pytest.raises(ValueError, match="Generator"):
        exact.sample(3, 7)


@pytest.mark.parametrize("std", [1e-200, 1e-30, 1e30, 1e150])
def test_noise_beyond_any_reason(std):
    """Standard deviations whose squares leave float64: the density, its bounds, draws and entropy are still there."""
    model = Model(GaussianMixture([0.5, 0.5], [0, 1], [1, 1]), ReLUNetwork([[[1], [1]], [[1, -0.5]]], [[0, -1], [0]]),
                  GaussianNoise(std))
    exact, points = LineLaw(model), np.array([0.0, 1.0, 3 * std])
    if 1e-100 < std < 1e100:  # mpmath's error function does not go further, the balls do
        for x in points:
            check(model, np.array([x]), digits=400)
    lo, hi = exact.log_density_bounds(points)
    assert (hi - lo <= 2e-12 * np.maximum(1, np.abs(lo))).all()
    assert np.isfinite(exact.log_density(exact.sample(5, np.random.default_rng(0)))).all()
    assert np.isfinite(exact.entropy().value)
