"""Quadrature for one latent against references of many digits: the true error is never above the returned one."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from common.reference import reference_log_density
from common.strategies import line_models, networks, piecewise_maps, priors
from flint import acb, arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import line_pieces
from ident_theory.laws import quadrature
from ident_theory.laws.base import ErrorKind
from ident_theory.laws.quadrature import QuadratureLaw
from ident_theory.models import (
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
)
from ident_theory.models.noise import IndependentNoise
from ident_theory.testing.small_numbers import powers
from ident_theory.testing.strategies import observations

#: What the estimate itself is held to, times max(1, |log p|).
SHARP = 1e-12
BEND = PiecewiseAffineMap(["-1/2", 1], [1, -2, "1/2"], ["1/2", -1, "-7/2"])
MIXTURE = GaussianMixture(["1/5", "3/10", "1/2"], [-1, "1/2", 2], ["1/2", 1, "1/4"])
NOISES = [GaussianNoise("0.3"), LaplaceNoise("0.3"), LogisticNoise("0.3"), StudentNoise("0.3", 3)]


def estimate(model: Model, x: np.ndarray) -> tuple[float, float]:
    """Value and error at one observation."""
    result = QuadratureLaw(model).log_density_with_error(np.asarray(x, dtype=float).reshape(1, -1))
    assert result.kind is ErrorKind.ESTIMATED
    value, error = float(result.value[0]), float(result.error[0])
    assert math.isfinite(value)
    return value, error


def check_gaussian(model: Model, x: np.ndarray) -> None:
    value, error = estimate(model, x)
    truth = reference_log_density(model, x)
    with mp.workdps(60):
        true_error = abs(mp.mpf(value) - truth)
    assert true_error <= error, (float(truth), value, error)
    assert error <= SHARP * max(1.0, abs(float(truth)))


# -- Reference for the other noises: rigorous integration in balls, from the definition of the density ------------


def noise_density(noise: IndependentNoise) -> Callable[[acb, int, bool], acb]:
    """Standard density as a function of the residual, the side of zero it is on, and the analytic flag of flint."""
    if noise.family == "laplace":
        return lambda r, side, analytic: (-side * r).exp() / 2
    if noise.family == "logistic":
        def logistic(r: acb, side: int, analytic: bool) -> acb:
            tail = (-side * r).exp()
            return tail / (1 + tail) ** 2
        return logistic
    nu = arb(rational(noise.df_exact))
    constant = ((nu + 1) / 2).gamma() / ((nu / 2).gamma() * (nu * arb.pi()).sqrt())

    def student(r: acb, side: int, analytic: bool) -> acb:
        base = 1 + r * r / nu
        if analytic and base.imag.contains(0) and not base.real > 0:
            return acb(float("nan"))
        return constant * (-(nu + 1) / 2 * base.log()).exp()
    return student


def cuts(low: fmpq, high: fmpq, scales: list[tuple[fmpq, fmpq]]) -> list[fmpq]:
    """Ends of integration intervals: powers of four of every scale round its centre."""
    found = {low, high}
    for centre, scale in scales:
        for power in range(-1, 40):
            for sign in (-1, 0, 1):
                at = centre + sign * scale * fmpq(4) ** power
                if low < at < high:
                    found.add(at)
    return sorted(found)


def reference_general(model: Model, x: np.ndarray, near: float) -> arb:
    """log p(x) as a ball; pieces of the integral below exp(near - 80) are not refined."""
    pieces = line_pieces(model.decoder)
    noise = model.noise
    assert isinstance(noise, IndependentNoise)
    prior = model.prior
    with ctx.workprec(180):
        density = noise_density(noise)
        scales = [rational(s) for s in np.broadcast_to(noise.scale_exact, (pieces.observed_dim,))]
        point = [fmpq(*float(v).as_integer_ratio()) for v in x]
        total = arb(0)
        for w, mu, variance in zip(prior.weights_exact, prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0],
                                   strict=True):
            for k in range(pieces.n_pieces):
                if w:
                    part = piece_integral(pieces, k, rational(mu), rational(variance), point, scales, density,
                                          4 + noise.shape_parameter, near)
                    total += arb(rational(w)) * part
        return total.log()


def piece_integral(pieces, k, mean, variance, point, scales, density, heaviness, near) -> arb:
    """The integral of one component over one piece."""
    left, right = pieces.ends(k)
    if variance == 0:
        if (left is not None and mean < left) or (right is not None and mean >= right):
            return arb(0)
        product = arb(1)
        for xi, fi, s in zip(point, pieces.value(k, mean), scales, strict=True):
            product *= density(acb((xi - fi) / s), 1 if xi > fi else -1, False).real / arb(s)
        return product
    tau = arb(variance).sqrt()
    spread = fmpq(*float(tau.mid()).as_integer_ratio())
    rows = list(zip(point, pieces.slopes[k], pieces.intercepts[k], scales, strict=True))
    # Log densities of these noises have slopes of at most heaviness / scale, so the mass lies within this reach.
    reach = spread * (80 + 4 * int(heaviness) + 2 * int(heaviness) * sum((abs(a) * spread / s for _, a, _, s in rows),
                                                                      fmpq(0)))
    # It is counted from the point of the piece that is nearest to the mean: a far piece may be all there is.
    start = mean if left is None else max(left, mean)
    start = start if right is None else min(right, start)
    low = start - reach if left is None else max(left, start - reach)
    high = start + reach if right is None else min(right, start + reach)
    if low >= high:
        return arb(0)
    peaks = [(mean, spread), (start, spread), *(((xi - c) / a, abs(s / a)) for xi, a, c, s in rows if a)]
    ends = cuts(low, high, peaks)
    total = arb(0)
    for u, v in zip(ends[:-1], ends[1:], strict=True):
        mid = (u + v) / 2
        sides = [1 if xi - c - a * mid > 0 else -1 for xi, a, c, _ in rows]

        def integrand(y: acb, analytic: bool, mid: fmpq = mid, sides: list[int] = sides) -> acb:
            value = (-((arb(mid - mean) + y) / tau) ** 2 / 2).exp()
            for (xi, a, c, s), side in zip(rows, sides, strict=True):
                value *= density(acb((xi - c - a * mid) / s) - acb(a / s) * y, side, analytic) / arb(s)
            return value

        total += acb.integral(integrand, acb(u - mid), acb(v - mid), rel_tol=arb(2) ** -100,
                              abs_tol=(arb(near) - 80).exp()).real
    return total / (tau * (2 * arb.pi()).sqrt())


def check_general(model: Model, x: np.ndarray) -> None:
    value, error = estimate(model, x)
    truth = reference_general(model, x, value)
    assert float(truth.rad()) <= 1e-17 * max(1.0, abs(value)), truth
    with ctx.workprec(180):
        assert abs(truth - arb(value)) <= arb(error), (truth, value, error)
    assert error <= SHARP * max(1.0, abs(value))


@st.composite
def general_models(draw, n: int):
    """Models with noise that is not Gaussian; scales from 1e-6 to 1e3, degrees of freedom from 0.5 to 60."""
    scale = [draw(powers(-6, 3)) for _ in range(n)]
    kind = draw(st.sampled_from(["laplace", "logistic", "student"]))
    noise: IndependentNoise
    if kind == "student":
        noise = StudentNoise(scale, draw(st.sampled_from(["0.5", 1, "2.5", 7, 60])))
    else:
        noise = LaplaceNoise(scale) if kind == "laplace" else LogisticNoise(scale)
    return Model(draw(priors()), draw(st.one_of(networks(n), piecewise_maps(n))), noise)


@st.composite
def general_observations(draw, model: Model):
    """Near images of means and breakpoints, or many scales away."""
    centers = [*model.prior.means[:, 0], *(float(t) for t in line_pieces(model.decoder).breakpoints)]
    z = draw(st.sampled_from(centers)) + draw(st.sampled_from([0.0, 1e-3, -1.0, 5.0]))
    n = model.observed_dim
    assert isinstance(model.noise, IndependentNoise)
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, -3.0, 30.0, -440.0]), min_size=n, max_size=n))
    return model.decoder(np.array([[z]]))[0] + model.noise.scales(n) * np.array(steps)


# -- The error figure is honest and small --------------------------------------------------------------------------


@given(data=st.data(), n=st.sampled_from([1, 1, 1, 2, 3]))
@settings(max_examples=200)
def test_gaussian_error_is_within_the_estimate(data, n):
    model = data.draw(line_models(n))
    check_gaussian(model, data.draw(observations(model)))


@pytest.mark.slow
@given(data=st.data(), n=st.integers(1, 4))
@settings(max_examples=8000)
def test_gaussian_error_is_within_the_estimate_at_length(data, n):
    model = data.draw(line_models(n))
    check_gaussian(model, data.draw(observations(model)))


@given(data=st.data(), n=st.sampled_from([1, 1, 2]))
@settings(max_examples=60)
def test_other_noises_are_within_the_estimate(data, n):
    model = data.draw(general_models(n))
    check_general(model, data.draw(general_observations(model)))


@pytest.mark.slow
@given(data=st.data(), n=st.integers(1, 3))
@settings(max_examples=1500)
def test_other_noises_are_within_the_estimate_at_length(data, n):
    model = data.draw(general_models(n))
    check_general(model, data.draw(general_observations(model)))


@pytest.mark.parametrize("offset", [0.0, 1e2, 4.5e2, 1e4])
@pytest.mark.parametrize("std", [1e-6, 1e-3, 1.0, 1e3])
def test_far_tails(std, offset):
    """log p down to -5e7 over nine decades of noise."""
    network = ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]])
    prior = GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.01])
    for x in (offset * std, -offset * std, 3 + offset, -3 - offset):
        check_gaussian(Model(prior, network, GaussianNoise(std)), np.array([x]))


def test_depth_four_width_eight():
    rng = np.random.default_rng(5)
    widths = [1, 8, 8, 8, 8, 2]
    weights = [rng.normal(size=(o, i)) for i, o in zip(widths[:-1], widths[1:], strict=True)]
    network = ReLUNetwork(weights, [rng.normal(size=o) for o in widths[1:]])
    model = Model(GaussianMixture([0.25, 0.75], [-1, 1], [0.5, 2]), network, GaussianNoise(0.01))
    for z in np.linspace(-4, 4, 9):
        check_gaussian(model, network(np.array([[z]]))[0] + 0.02)


@pytest.mark.parametrize("gap", [2.0**-40, 2.0**-52])
def test_breakpoints_close_together_carry_their_share(gap):
    """A spike on a tiny interval, made dominant by its height."""
    decoder = PiecewiseAffineMap([1, 1 + gap], [0, 1e8, 0], [0, 50, 0])
    model = Model(GaussianMixture([1], [0], [1]), decoder, GaussianNoise(1e-3))
    for x in (1e8 + 50, 1e8 + 50 + 5e-5, 1e8 + 49.99):
        check_gaussian(model, np.array([x]))


def test_breakpoints_closer_than_pairs_resolve():
    """Exact breakpoints 1e-40 apart: the width is carried on its own."""
    decoder = PiecewiseAffineMap([1, "1." + "0" * 39 + "1"], [0, 0, 0], [0, 50, 0])
    model = Model(GaussianMixture([1], [0], [1]), decoder, GaussianNoise(1))
    check_gaussian(model, np.array([50.0]))


def test_ill_conditioned_covariance():
    """Correlation one minus 1e-12: whitening is exact, so nothing is lost."""
    rho = 1 - 1e-12
    noise = GaussianNoise(covariance=[[1.0, rho], [rho, 1.0]])
    model = Model(MIXTURE, PiecewiseAffineMap([0], [[1, 2], [-1, 0.5]], [[0, 0], [0, 0]]), noise)
    for x in ([1.0, 1.0], [1.0, 1.0 + 1e-6], [30.0, -30.0]):
        check_gaussian(model, np.array(x))


@pytest.mark.parametrize("noise", NOISES[1:], ids=lambda noise: noise.family)
@pytest.mark.parametrize("x", [-40.0, 0.7, 1e5])
def test_other_noises_at_fixed_points(noise, x):
    check_general(Model(MIXTURE, BEND, noise), np.array([x]))


def test_student_peaks_far_apart():
    """Two coordinates that disagree: the integrand has two narrow peaks, and the prior a third."""
    model = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[1, 1]], [[0, 0]]),
                  StudentNoise("1e-5", "0.5"))
    check_general(model, np.array([-3.0, 4.0]))


@pytest.mark.parametrize("noise", NOISES[1:], ids=lambda noise: noise.family)
def test_other_noises_against_mpmath(noise):
    """A second reference, by tanh-sinh quadrature."""
    model = Model(MIXTURE, BEND, noise)
    value, error = estimate(model, np.array([0.7]))
    with mp.workdps(30):
        truth = mpmath_log_density(model, mp.mpf(0.7))
        assert abs(truth - mp.mpf(value)) <= error


def mpmath_log_density(model: Model, x: mp.mpf) -> mp.mpf:
    """log p(x) for n = 1 by mpmath.quad over pieces, cut at the centres of prior and noise."""
    noise, scale = model.noise, mp.mpf(3) / 10

    def density(r: mp.mpf) -> mp.mpf:
        if noise.family == "laplace":
            return mp.exp(-abs(r)) / (2 * scale)
        if noise.family == "logistic":
            return mp.sech(r / 2) ** 2 / (4 * scale)
        return 2 / (mp.pi * mp.sqrt(3) * (1 + r * r / 3) ** 2 * scale)  # three degrees of freedom

    pieces = line_pieces(model.decoder)
    total = mp.mpf(0)
    for w, mu, variance in zip(model.prior.weights_exact, model.prior.means_exact[:, 0],
                               model.prior.covariances_exact[:, 0, 0], strict=True):
        weight, mean, v = (mp.mpf(q.numerator) / q.denominator for q in (w, mu, variance))
        for k in range(pieces.n_pieces):
            a, c = (mp.mpf(int(q.p)) / int(q.q) for q in (pieces.slopes[k][0], pieces.intercepts[k][0]))
            left, right = (e if e is None else mp.mpf(int(e.p)) / int(e.q) for e in pieces.ends(k))
            low, high = max(-20, left or -20), min(20, right or 20)
            inner = sorted(t for t in (mean, (x - c) / a, *range(-19, 20)) if low < t < high)

            def integrand(z: mp.mpf, a: mp.mpf = a, c: mp.mpf = c, mean: mp.mpf = mean, v: mp.mpf = v) -> mp.mpf:
                return mp.exp(-(z - mean) ** 2 / (2 * v)) * density((x - a * z - c) / scale)

            total += weight / mp.sqrt(2 * mp.pi * v) * mp.quad(integrand, [low, *inner, high])
    return mp.log(total)


# -- Laws are laws -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_densities_integrate_to_one(noise):
    """Trapezoids in x = sinh(u), which reach far into the heavy tails; kinks cost the rule some digits."""
    u = np.linspace(-12, 12, 6001)
    density = np.exp(QuadratureLaw(Model(MIXTURE, BEND, noise)).log_density(np.sinh(u)))
    mass = float(np.sum(density * np.cosh(u)) * (u[1] - u[0]))
    assert mass == pytest.approx(1.0, abs=1e-6 if isinstance(noise, LaplaceNoise) else 1e-12)


def test_point_masses_alone():
    """All variances zero: a finite mixture of the noise."""
    model = Model(GaussianMixture([0.25, 0.75, 0], [0, 3, 5], [0, 0, 0]), PiecewiseAffineMap([3], [1, 0], [0, 7]),
                  LaplaceNoise(2))
    value, error = estimate(model, np.array([1.0]))
    truth = math.log(0.25 * math.exp(-0.5) / 4 + 0.75 * math.exp(-3) / 4)  # f(3) = 7, the right piece
    assert abs(value - truth) <= error + 1e-15
    assert error < 1e-13


@pytest.mark.parametrize("x", [1e30, -1e68, 1e71, 1e160, -1.7e308])
@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_never_nan_nor_infinite(noise, x):
    law = QuadratureLaw(Model(MIXTURE, BEND, noise))
    result = law.log_density_with_error([x, 0.0])
    assert np.isfinite(result.value).all()
    assert not np.isnan(result.error).any()
    assert result.error[1] < 1e-12
    assert result.error[0] == math.inf or result.error[0] <= SHARP * abs(result.value[0])


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_error_is_honest_when_the_panels_run_out(noise, monkeypatch):
    model = Model(MIXTURE, BEND, noise)
    x = np.linspace(-6, 6, 13)
    truth = QuadratureLaw(model).log_density(x)
    for budget in (-17, -10, 2, 20):  # on top of 27
        monkeypatch.setattr(quadrature, "PANEL_BUDGET", budget)
        short = QuadratureLaw(model).log_density_with_error(x)
        assert np.isfinite(short.value).all()
        assert (np.abs(short.value - truth) <= short.error + 1e-12).all()
        if budget == -17:
            assert (short.error > 1e-3).any()


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: type(noise).__name__)
def test_coarser_tolerances_are_honest(noise):
    model = Model(MIXTURE, BEND, noise)
    x = np.linspace(-6, 6, 25)
    fine = QuadratureLaw(model, rtol=1e-14).log_density_with_error(x)
    for rtol in (1e-12, 1e-8, 1e-4):
        coarse = QuadratureLaw(model, rtol=rtol).log_density_with_error(x)
        assert (np.abs(coarse.value - fine.value) <= coarse.error + fine.error).all()
        assert (coarse.error <= rtol + 1e-12).all()


def test_points_do_not_influence_each_other():
    law = QuadratureLaw(Model(MIXTURE, BEND, NOISES[1]))
    x = np.random.default_rng(0).normal(size=quadrature.CHUNK + 3) * 3
    whole = law.log_density(x)
    picks = [0, 17, quadrature.CHUNK - 1, quadrature.CHUNK, quadrature.CHUNK + 2]
    np.testing.assert_array_equal(whole[picks], [law.log_density(x[i:i + 1])[0] for i in picks])
    assert law.log_density(np.empty(0)).shape == (0,)


def test_bad_input_is_named():
    law = QuadratureLaw(Model(MIXTURE, BEND, NOISES[0]))
    for bad, word in ((np.array([0.0, np.nan]), r"x\[1, 0\]=nan"), (np.zeros((2, 2)), "shape"),
                      (np.array([1j]), "complex"), (["a"], "dtype")):
        with pytest.raises(InputError, match=word):
            law.log_density(bad)
    for rtol in (0.0, 1e-20, math.nan, "fine"):
        with pytest.raises(InputError, match="rtol"):
            QuadratureLaw(law.model, rtol=rtol)
    with pytest.raises(UnsupportedError, match="noise"):
        QuadratureLaw(Model(MIXTURE, BEND))
    flat = ReLUNetwork([[[1, 2]]], [[0]])
    with pytest.raises(UnsupportedError, match="latent_dim=2"):
        QuadratureLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), flat, NOISES[0]))
