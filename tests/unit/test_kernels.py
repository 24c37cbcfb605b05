"""Elementary kernels against mpmath, quadrature nodes against their degrees of exactness."""

import mpmath as mp
import numba as nb
import numpy as np
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from ident_theory.exact.balls import log_mass, outward, scaled_tail, to_pair
from ident_theory.kernels.elementary import difference, exp_nonpositive, mills
from ident_theory.kernels.gauss_kronrod import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS


@nb.njit(error_model="numpy")
def mills_all(x, out):
    for i in range(x.size):
        out[i] = mills(x[i])


@nb.njit(error_model="numpy")
def exp_all(x, out):
    for i in range(x.size):
        out[i] = exp_nonpositive(x[i])


@nb.njit
def difference_of(a, b, c, d):
    return difference(a, b, c, d)


def exact_mills(x: float) -> mp.mpf:
    with mp.workdps(60):
        x = mp.mpf(x)
        if x > 1e8:
            return 1 / x - 1 / x**3
        return mp.sqrt(mp.pi / 2) * mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2))


def test_mills_ratio():
    """Relative error below 1e-15 from 0 to 1e300, dense where the polynomial is hardest."""
    rng = np.random.default_rng(0)
    x = np.concatenate([[0.0, 4.0, 1e300], 10 ** rng.uniform(-8, 12, 1500), rng.uniform(0, 40, 1500)])
    out = np.empty_like(x)
    mills_all(x, out)
    assert max(abs(mp.mpf(float(v)) / exact_mills(t) - 1) for v, t in zip(out, x, strict=True)) < 1e-15


def test_exponential():
    """Relative error below 4e-16 down to the floor; below it the floor."""
    x = -np.concatenate([[0.0], 10 ** np.random.default_rng(0).uniform(-18, np.log10(599), 4000)])
    out = np.empty_like(x)
    exp_all(x, out)
    assert max(abs(mp.mpf(float(v)) / mp.exp(mp.mpf(float(t))) - 1) for v, t in zip(out, x, strict=True)) < 4e-16
    tail = np.array([-601.0, -1e5, -1.7e308, -np.inf])
    exp_all(tail, tail)
    assert (tail > 0).all()
    assert (tail < 3e-261).all()


@given(st.integers(-10**40, 10**40), st.integers(-10**40, 10**40), st.integers(1, 10**30), st.integers(-3, 3))
def test_difference_of_pairs_has_relative_accuracy(p, q, scale, ulps):
    """Also when the numbers agree in all leading digits, where a float subtraction would give noise."""
    x = fmpq(p, scale)
    near = float(arb(x).mid())
    c = fmpq(*float(np.nextafter(near, near + ulps)).as_integer_ratio()) + fmpq(q, scale) / 10**20
    with ctx.workprec(300):
        a, b = to_pair(x), to_pair(c)
        exact = float((arb(fmpq(*a[0].as_integer_ratio())) + arb(a[1]) - arb(b[0]) - arb(b[1])).mid())
    got = difference_of(*a, *b)
    assert abs(got - exact) <= 4e-16 * abs(exact)


def test_gauss_kronrod_degrees():
    """K15 integrates degree 22 exactly (23 by symmetry), G7 degree 13; the next even power shows the limit."""
    powers = np.arange(0, 24)
    exact = np.where(powers % 2 == 0, 2.0 / (powers + 1), 0.0)
    values = KRONROD_NODES[:, None] ** powers
    assert np.abs(KRONROD_WEIGHTS @ values - exact).max() < 5e-16
    gauss = np.abs(GAUSS_WEIGHTS @ values - exact)
    assert gauss[:14].max() < 5e-16
    assert gauss[14] > 1e-4


@given(st.floats(0, 1e6), st.one_of(st.none(), st.floats(1e-9, 1e3)), st.floats(1e-6, 1e6), st.booleans())
def test_log_mass_of_intervals(start, width, variance, mirrored):
    """Balls against mpmath, to 1e-15 of the log, hundreds of thousands of deviations into the tail."""
    left = fmpq(*start.as_integer_ratio())
    right = None if width is None else left + fmpq(*width.as_integer_ratio())
    v = fmpq(*variance.as_integer_ratio())
    ends = (left, right) if not mirrored else (None if right is None else -right, -left)
    with ctx.workprec(128):
        got = outward(log_mass(*ends, v))
    with mp.workdps(80):
        spread = mp.sqrt(mp.mpf(variance))
        a = mp.mpf(start) / spread
        b = mp.inf if width is None else (mp.mpf(start) + mp.mpf(width)) / spread
        exact = mp.log((mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2)
        assert abs(got[0] - exact) <= 1e-15 * max(1, abs(exact))
        assert abs(got[1] - exact) <= 1e-15 * max(1, abs(exact))


def test_scaled_tail_has_no_seam():
    """Both formulas of the scaled tail agree where they meet."""
    with ctx.workprec(128):
        below, above = arb(8) - arb(2) ** -40, arb(8) + arb(2) ** -40
        assert abs(scaled_tail(below) - scaled_tail(above)) < 1e-11
        assert abs(scaled_tail(arb(8)) - (arb(32)).exp() * (arb(8) / arb(2).sqrt()).erfc() / 2) < 1e-30


def test_outward_rounding_contains_the_ball():
    with ctx.workprec(200):
        third = arb(1) / 3
        lo, hi = outward(third)
        assert arb(lo) < third < arb(hi)
        assert np.nextafter(lo, 1) == hi
        assert outward(arb(10) ** 400)[1] == np.inf
        assert outward(-(arb(10) ** 400)) == (-np.inf, -np.finfo(float).max)
