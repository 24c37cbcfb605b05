"""Noiseless laws of one latent: density, atoms, curve; against closed forms, sums over preimages and samples."""

import math

import numpy as np
import pytest
from common.strategies import networks, piecewise_maps, priors
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.errors import UnsupportedError
from ident_theory.laws import LawKind

STANDARD = GaussianMixture([1], [0], [1])


def test_folded_normal():
    """|Z| has density 2 phi(x) on x >= 0 and no atoms."""
    exact = law(Model(STANDARD, PiecewiseAffineMap([0], [-1, 1], [0, 0])))
    assert exact.kind is LawKind.DENSITY
    x = np.array([1e-9, 0.5, 3.0, 30.0])
    np.testing.assert_allclose(exact.log_density(x), math.log(2) + stats.norm.logpdf(x), rtol=1e-14)
    assert exact.log_density([-1e-300])[0] == -math.inf
    np.testing.assert_allclose(exact.cdf([-1, 0.5, 3]), [0, 2 * stats.norm.cdf(0.5) - 1, 2 * stats.norm.cdf(3) - 1])


def test_rectified_normal():
    """relu(Z): half the mass at zero, the rest half a normal density."""
    exact = law(Model(STANDARD, ReLUNetwork([[[1]], [[1]]], [[0], [0]])))
    assert exact.kind is LawKind.DENSITY_AND_ATOMS
    atoms = exact.atoms()
    assert atoms.locations.tolist() == [[0.0]]
    assert atoms.masses.tolist() == [0.5]
    np.testing.assert_allclose(exact.log_density([0.5]), stats.norm.logpdf(0.5))
    np.testing.assert_allclose(exact.cdf([-1e-9, 0.0, 1.0]), [0, 0.5, stats.norm.cdf(1.0)])


def test_constant_map_and_degenerate_prior_are_atoms():
    flat = law(Model(STANDARD, ReLUNetwork([[[0]], [[1]]], [[2], [0]])))
    assert flat.kind is LawKind.ATOMS
    assert (flat.atoms().locations.tolist(), flat.atoms().masses.tolist()) == ([[2.0]], [1.0])
    assert flat.log_density([2.0, 1.0]).tolist() == [-math.inf] * 2
    points = law(Model(GaussianMixture(["1/4", "1/4", "1/2"], [-1, 1, 3], [0, 0, 0]),
                       PiecewiseAffineMap([0], [-1, 1], [0, 0])))
    assert points.kind is LawKind.ATOMS
    assert points.atoms().locations.ravel().tolist() == [1, 3]
    assert points.atoms().masses.tolist() == [0.5, 0.5]
    assert points.entropy().value == pytest.approx(math.log(2), abs=1e-15)


def test_far_atom_has_its_tiny_mass():
    exact = law(Model(STANDARD, PiecewiseAffineMap([30], [1, 0], [0, 100])))
    np.testing.assert_allclose(exact.atoms().masses, stats.norm.sf(30), rtol=1e-13)
    beyond = law(Model(STANDARD, PiecewiseAffineMap([300], [1, 0], [0, 1000])))
    assert beyond.atoms().masses.tolist() == [0.0]
    np.testing.assert_allclose(beyond.atoms().log_masses, stats.norm.logsf(300), rtol=1e-13)
    assert beyond.entropy().value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-9)


@given(prior=priors(degenerate=True), decoder=st.one_of(networks(1), piecewise_maps(1)))
@settings(max_examples=60)
def test_atoms_and_distribution_function_against_samples(prior, decoder):
    """Kolmogorov distance of 4000 draws: above 1.95/sqrt(4000) has probability 1e-3 in any one case."""
    exact = law(Model(prior, decoder))
    draws = np.sort(exact.sample(4000, np.random.default_rng(1))[:, 0])
    locations = exact.atoms().locations[:, 0]
    assume(len(set(draws)) == 1 or draws.std() > 1e-6)  # finer laws drown in the rounding of f below
    # A sampled atom is f(mu) in floats; compare the laws away from rounding by moving draws onto near atoms.
    if len(locations):
        near = locations[np.abs(draws[:, None] - locations).argmin(axis=1)]
        draws = np.sort(np.where(np.abs(draws - near) <= 1e-9 * (1 + np.abs(near)), near, draws))
    upper = np.searchsorted(draws, draws, side="right") / len(draws)
    assert np.abs(exact.cdf(draws) - upper).max() < 0.045
    assert exact.cdf([-1.7e308])[0] == pytest.approx(0, abs=1e-12)
    assert exact.cdf([1.7e308])[0] == pytest.approx(1, abs=1e-12)


@given(prior=priors(degenerate=False), decoder=networks(1), x=st.floats(-20, 20))
@settings(max_examples=80)
def test_bounds_contain_the_density(prior, decoder, x):
    exact = law(Model(prior, decoder))
    assume(exact.kind is not LawKind.ATOMS)
    value = exact.log_density([x])
    lo, hi = exact.log_density_bounds([x])
    assert lo[0] <= value[0] <= hi[0]
    if np.isfinite(value[0]):
        assert hi[0] - lo[0] <= 2e-12 * max(1, abs(value[0]))


@given(decoder=networks(1))
@settings(max_examples=40)
def test_total_mass_is_one(decoder):
    """Density between its jumps plus atoms: 1e-9 is the quadrature's tolerance."""
    exact = law(Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.25]), decoder))
    total = exact.atoms().masses.sum()
    if exact.kind is not LawKind.ATOMS:
        pieces = exact.pieces
        ends = [-9.0, *(float(t) for t in pieces.breakpoints if -9 < float(t) < 9), 9.0]
        jumps = np.unique(decoder(np.array(ends)))
        near = np.unique([v for c in decoder(np.array([-1.0, 2.0])).ravel() for v in c + np.linspace(-3, 3, 7)])
        for a, b in zip(jumps[:-1], jumps[1:], strict=True):
            cuts = [a, *near[(near > a) & (near < b)], b]
            total += sum(integrate.quad(lambda x: float(np.exp(exact.log_density([x])[0])), u, v, epsabs=1e-11,
                                        limit=200)[0]
                         for u, v in zip(cuts[:-1], cuts[1:], strict=True) if v - u > 1e-13)
    assert total == pytest.approx(1, abs=1e-8)


def test_curve_density_is_prior_over_speed():
    f = PiecewiseAffineMap([0], [[3, 4], [1, -1]], [[0, 0], [0, 0]])
    exact = law(Model(STANDARD, f))
    assert exact.kind is LawKind.CURVE
    z = np.array([-2.0, -0.5, 0.5, 1.0])
    speed = np.where(z < 0, 5.0, math.sqrt(2))
    np.testing.assert_allclose(exact.log_density(f(z)), stats.norm.logpdf(z) - np.log(speed), rtol=1e-12)
    assert exact.log_density([[0.0, 1.0]])[0] == -math.inf
    # -E log of a standard normal density plus the mean log speed.
    expected = 0.5 * math.log(2 * math.pi * math.e) + 0.5 * math.log(5) + 0.25 * math.log(2)
    entropy = exact.entropy()
    assert abs(entropy.value - expected) <= entropy.error < 1e-9
    with pytest.raises(UnsupportedError, match="n = 1"):
        exact.log_density_bounds([[0.0, 0.0]])
    with pytest.raises(UnsupportedError, match="n = 2"):
        exact.cdf([[0.0, 0.0]])


def test_curve_with_atoms_and_double_points():
    """A flat piece becomes an atom in the plane; a curve traced twice adds its densities."""
    f = PiecewiseAffineMap([-1, 1], [[-1, -1], [0, 0], [1, 1]], [[0, 0], [1, 1], [0, 0]])
    exact = law(Model(STANDARD, f))
    assert exact.kind is LawKind.CURVE_AND_ATOMS
    np.testing.assert_allclose(exact.atoms().masses, 2 * stats.norm.cdf(1) - 1)
    np.testing.assert_allclose(exact.log_density([[2.0, 2.0]]), math.log(2) + stats.norm.logpdf(2) - 0.5 * math.log(2))


@given(prior=priors(degenerate=True), decoder=st.one_of(networks(2), piecewise_maps(2)))
@settings(max_examples=30)
def test_entropy_of_a_curve_against_samples(prior, decoder):
    """Minus the mean log density of draws, five standard errors; atoms by their masses."""
    exact = law(Model(prior, decoder))
    entropy = exact.entropy(rtol=1e-8)
    assume(exact.kind is LawKind.CURVE)
    draws = exact.sample(4000, np.random.default_rng(0))
    assume(np.abs(draws).max() < 1e4)  # beyond, the float image of a point is off the curve by more than allowed
    logs = exact.log_density(draws)
    assert np.isfinite(logs).all()
    assert abs(entropy.value + logs.mean()) <= entropy.error + 5 * logs.std() / math.sqrt(len(logs)) + 1e-6


def test_divergence_between_curves():
    """The diagonal of the plane: |Z| against 2 Z on it, in closed form; off it everything is infinite."""
    folded = law(Model(STANDARD, PiecewiseAffineMap([0], [[-1, -1], [1, 1]], [[0, 0], [0, 0]])))
    wide = law(Model(STANDARD, PiecewiseAffineMap([], [[2, 2]], [[0, 0]])))
    tilted = law(Model(STANDARD, PiecewiseAffineMap([], [[2, 2.0000001]], [[0, 0]])))
    noisy = law(Model(STANDARD, PiecewiseAffineMap([], [[1, 1]], [[0, 0]]), GaussianNoise(1)))
    # log(2 phi(t)) - log(phi(t/2)/2) has mean 2 log 2 - 1/2 + 1/8 for t = |Z|.
    assert folded.kl(wide).value == pytest.approx(2 * math.log(2) - 0.375, abs=1e-10)
    assert wide.kl(folded).value == math.inf
    assert folded.kl(tilted).value == math.inf
    assert folded.kl(folded).value == 0
    assert folded.kl(noisy).value == noisy.kl(folded).value == noisy.cross_entropy(folded).value == math.inf
    mean = -noisy.log_density(folded.sample(200_000, np.random.default_rng(0))).mean()
    assert folded.cross_entropy(noisy).value == pytest.approx(mean, abs=0.01)


def test_curves_with_atoms_against_each_other():
    flat = PiecewiseAffineMap([-1, 1], [[-1, -1], [0, 0], [1, 1]], [[0, 0], [1, 1], [0, 0]])
    p = law(Model(STANDARD, flat))
    q = law(Model(GaussianMixture([1], [0], [4]), flat))
    atom_p, atom_q = 2 * stats.norm.cdf(1) - 1, 2 * stats.norm.cdf(0.5) - 1
    tail = integrate.quad(lambda z: 2 * stats.norm.pdf(z) * (stats.norm.logpdf(z) - stats.norm.logpdf(z, 0, 2)),
                          1, 12)[0]
    assert p.kl(q).value == pytest.approx(atom_p * math.log(atom_p / atom_q) + tail, abs=1e-9)
    moved = PiecewiseAffineMap([-1, 1], [[-1, -1], [0, 0], [1, 1]], [[0, 0], [1, 2], [0, 0]])
    assert p.kl(law(Model(STANDARD, moved))).value == math.inf


def test_expectations_across_kinds():
    """A law with an atom against one with a density is singular; the other way round its support decides."""
    rectified = law(Model(STANDARD, ReLUNetwork([[[1]], [[1]]], [[0], [0]])))
    folded = law(Model(STANDARD, PiecewiseAffineMap([0], [-1, 1], [0, 0])))
    normal = law(Model(STANDARD, PiecewiseAffineMap([], [1], [0])))
    noisy = law(Model(STANDARD, PiecewiseAffineMap([], [1], [0]), GaussianNoise(1)))
    assert rectified.kl(normal).value == math.inf
    assert normal.kl(folded).value == math.inf
    assert folded.kl(normal).value == pytest.approx(math.log(2), abs=1e-12)
    assert folded.cross_entropy(rectified).value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-10)
    assert normal.entropy().value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-12)
    # An atom at 0 with mass 1/2 and half a normal, coded with N(0, 2).
    expected = 0.5 * math.log(4 * math.pi) + 0.25 * 0.5
    assert rectified.cross_entropy(noisy).value == pytest.approx(expected, abs=1e-10)
