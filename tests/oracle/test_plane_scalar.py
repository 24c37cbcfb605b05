"""The noiseless scalar law of two latents against independent routes."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from ident_theory import law
from ident_theory.errors import UnsupportedError
from ident_theory.kernels.polygons import log_normal_interval, log_normal_stretch
from ident_theory.laws.base import ErrorKind, LawKind
from ident_theory.laws.noiseless import NoiselessLineLaw
from ident_theory.laws.plane import PlaneLaw
from ident_theory.models import GaussianMixture, Model, ReLUNetwork

#: |z1| + |z2| and relu(z1) + relu(z2).
FOLDS = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]], [[0, 0, 0, 0], [0]])
RAMPS = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
SKEWED = GaussianMixture([0.25, 0.75], [[0.5, -1.0], [3.0, 2.0]], [[[1.5, 0.5], [0.5, 0.75]], [[0.25, 0], [0, 2]]])


def random_law(widths: tuple[int, ...], slope: float, seed: int, components: int = 2) -> PlaneLaw:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)]
    biases = [rng.normal(size=b) for b in widths[1:]]
    root = rng.normal(size=(components, 2, 2))
    covariances = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    prior = GaussianMixture(rng.dirichlet(np.ones(components)), rng.normal(size=(components, 2)), covariances)
    return PlaneLaw(Model(prior, ReLUNetwork(weights, biases, slope), None))


def splits(law: PlaneLaw) -> np.ndarray:
    """Where the density has kinks or jumps (values at corners), and points on the scales of its terms."""
    places = [float(v) for cell in law.cells for corner in cell.points
              for v in [int(cell.value(*corner)[0].p) / int(cell.value(*corner)[0].q)]]
    for cell in law.cells:
        a = np.array([[float(int(v.p) / int(v.q)) for v in row] for row in cell.matrix])[0]
        c = float(int(cell.offset[0].p) / int(cell.offset[0].q))
        for mu, s in zip(law.model.prior.means, law.model.prior.covariances, strict=True):
            places += [a @ mu + c + k * math.sqrt(a @ s @ a) for k in (-9, -4, -2, 0, 2, 4, 9)]
    return np.unique(places)


def mass_between(law: PlaneLaw, low: float, high: float) -> float:
    return float(quad(lambda x: math.exp(law.log_density([x])[0]), low, high, epsabs=1e-9, epsrel=1e-8)[0])


# Densities ------------------------------------------------------------------------------------------------


def mp_folds(prior: GaussianMixture, x: float) -> mp.mpf:
    """Log density of |z1| + |z2|: an integral over the four sides of a square that stands on its corner."""
    radius, total = mp.mpf(x), mp.mpf(0)
    for w, mu, s in zip(prior.weights, prior.means, prior.covariances, strict=True):
        (a, b), (_, c) = ((mp.mpf(float(v)) for v in row) for row in s)
        m1, m2 = mp.mpf(float(mu[0])), mp.mpf(float(mu[1]))
        det = a * c - b * b
        for sign1, sign2 in itertools.product((1, -1), repeat=2):
            def log_density(u: mp.mpf, p=sign1, q=sign2, a=a, b=b, c=c, m1=m1, m2=m2, det=det) -> mp.mpf:
                e1, e2 = p * u - m1, q * (radius - u) - m2
                return -(c * e1 * e1 - 2 * b * e1 * e2 + a * e2 * e2) / det / 2

            # The exponent is a parabola in u: cut the side at its peak and at distances on its scale.
            g1, g2 = mp.mpf(sign1), -mp.mpf(sign2)
            curvature = (c * g1 * g1 - 2 * b * g1 * g2 + a * g2 * g2) / det
            slope = (log_density(mp.mpf(1)) - log_density(mp.mpf(-1))) / 2
            peak, scale = slope / curvature, 1 / mp.sqrt(curvature)
            top = min(max(peak, mp.mpf(0)), radius)
            reach = scale / (1 + abs(top - peak) / scale)  # at the end of a side the fall is exponential
            cuts = sorted({mp.mpf(0), radius, *(v for k in range(-60, 61) if 0 < (v := top + k * reach / 2) < radius)})
            level = log_density(top)
            part = mp.quad(lambda u, f=log_density, level=level: mp.exp(f(u) - level), cuts)
            total += mp.mpf(float(w)) * part * mp.exp(level) / (2 * mp.pi * mp.sqrt(det))
    return mp.log(total)


@pytest.mark.parametrize("x", [1e-12, 0.1, 2.5, 30.0, 1000.0])
def test_folds_agree_with_quadrature(x: float) -> None:
    result = PlaneLaw(Model(SKEWED, FOLDS, None)).log_density_with_error([x])
    with mp.workdps(30):
        gap = float(abs(mp.mpf(float(result.value[0])) - mp_folds(SKEWED, x)))
    assert result.kind is ErrorKind.ESTIMATED
    assert gap <= result.error[0] <= 3e-15 * (1 + 4 * abs(result.value[0]))


def test_folds_do_not_reach_below_zero() -> None:
    noiseless = law(Model(SKEWED, FOLDS, None))
    assert noiseless.kind is LawKind.DENSITY
    assert len(noiseless.atoms().masses) == 0
    result = noiseless.log_density_with_error([-1e-300, -3.0, 0.0])
    np.testing.assert_array_equal(result.value, -np.inf)
    np.testing.assert_array_equal(result.error, 0.0)


@pytest.mark.parametrize("cut", [False, True])
def test_linear_maps_are_normal(cut: bool) -> None:
    # s(t) - s(-t) = t for units along and across the map: the cuts along its level lines must not count twice.
    units = np.array([[1.0, 2.0], [1.0, -1.0], [0.5, 0.25]])
    network = ReLUNetwork([np.vstack([units, -units]), [[1, 0, 0, -1, 0, 0]]], [np.zeros(6), [0.5]]) if cut else (
        ReLUNetwork([[[1, 2]]], [[0.5]]))
    noiseless = PlaneLaw(Model(SKEWED, network, None))
    x = np.array([0.5, -3.0, 0.0, 8.25, 40.0, -300.0])
    terms = [math.log(w) + norm.logpdf(x, np.array([1, 2]) @ mu + 0.5, math.sqrt([1, 2] @ s @ [1, 2]))
             for w, mu, s in zip(SKEWED.weights, SKEWED.means, SKEWED.covariances, strict=True)]
    assert noiseless.kind is LawKind.DENSITY
    np.testing.assert_allclose(noiseless.log_density(x), np.logaddexp(*terms), rtol=4e-15, atol=1e-14)


@pytest.mark.parametrize("slope", [0, "1/4"])
def test_an_unused_latent_changes_nothing(slope: int | str) -> None:
    hidden, out = [[1], [-2], [1]], [[1, 0.5, -1.5]]
    one = NoiselessLineLaw(Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.5]),
                                 ReLUNetwork([hidden, out], [[0, 1, -1], [0.25]], slope), None))
    prior = GaussianMixture([0.5, 0.5], [[-1, 0], [2, 1]], [[[1, 0.5], [0.5, 2]], [[0.5, 0], [0, 3]]])
    two = PlaneLaw(Model(prior, ReLUNetwork([[[*row, 0] for row in hidden], out], [[0, 1, -1], [0.25]], slope), None))
    assert two.kind is one.kind
    # Off the images of kinks, at which the two laws take limits from different sides.
    x = np.concatenate([np.linspace(-20, 20, 81) + 0.1, [0.251, 0.499, -1e3, 1e3]])
    np.testing.assert_allclose(two.log_density(x), one.log_density(x), rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(two.atoms().locations, one.atoms().locations)
    np.testing.assert_allclose(two.atoms().log_masses, one.atoms().log_masses, rtol=1e-12)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([(2, 2, 1), (2, 3, 1), (2, 2, 2, 1)]), st.sampled_from([0.0, 0.25]),
       st.integers(0, 2**32 - 1))
def test_total_mass_is_one(widths: tuple[int, ...], slope: float, seed: int) -> None:
    noiseless = random_law(widths, slope, seed)
    inner = splits(noiseless)
    total = sum(mass_between(noiseless, a, b) for a, b in itertools.pairwise(inner))
    assert total + noiseless.atoms().masses.sum() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize(("slope", "seed"), [(0.0, 3), (0.25, 4)])
def test_samples_follow_the_law(slope: float, seed: int) -> None:
    noiseless = random_law((2, 3, 1), slope, seed)
    count = 100_000
    x = noiseless.sample(count, np.random.default_rng(seed))[:, 0]
    atoms = noiseless.atoms()
    assert bool(len(atoms.masses)) == (slope == 0)
    inner = splits(noiseless)
    # Shifted off the atoms, whose draws are rounded.
    cumulated = np.cumsum([mass_between(noiseless, a, b) for a, b in itertools.pairwise(inner)])
    edges = inner[1:] + 1e-9
    expected = cumulated + atoms.masses @ (atoms.locations <= edges)
    found = np.searchsorted(np.sort(x), edges, side="right") / count
    assert np.abs(found - expected).max() * math.sqrt(count) < 1.95


def test_the_far_tail_is_accurate() -> None:
    noiseless = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), RAMPS, None))
    x = np.array([5.0, 40.0, 1e4, 1e100])
    ramps = noiseless.log_density_with_error(x)
    # With one ramp closed (probability 1/2 each) f is the other latent; with both open the chord has length sqrt(2) x.
    both = norm.logpdf(x, 0, math.sqrt(2)) + np.log1p(-2 * norm.sf(x / math.sqrt(2)))
    np.testing.assert_allclose(ramps.value, np.logaddexp(norm.logpdf(x), both), rtol=1e-14)
    assert (ramps.error <= 1e-14 * np.abs(ramps.value)).all()
    beyond = noiseless.log_density_with_error([1e160, 1e308, -1e308])
    np.testing.assert_array_equal(beyond.value, [-np.finfo(np.float64).max] * 2 + [-np.inf])
    np.testing.assert_array_equal(beyond.error, [np.inf, np.inf, 0.0])
    assert noiseless.log_density([]).shape == (0,)


def test_slivers_keep_their_digits() -> None:
    # Near its least value the density of |z1| + |z2| is that of the four corners: 4 x p(0).
    prior = GaussianMixture([1], [[3.0, 2.0]], [[[0.5, 0.25], [0.25, 1]]])
    noiseless = PlaneLaw(Model(prior, FOLDS, None))
    x = np.array([1e-9, 1e-15, 1e-200])
    reference = np.log(4 * x) + multivariate_normal([3, 2], [[0.5, 0.25], [0.25, 1]]).logpdf([0, 0])
    np.testing.assert_allclose(noiseless.log_density(x[1:]), reference[1:], rtol=1e-15, atol=1e-14)
    np.testing.assert_allclose(noiseless.log_density(x[:1]), reference[:1], atol=1e-8)


def test_stretches_are_intervals() -> None:
    for b, width in ((0.0, 0.5), (0.3, 2.0), (7.0, 1e-3), (40.0, math.inf)):
        assert log_normal_stretch(b, width) == pytest.approx(log_normal_interval(b, b + width), rel=1e-12)


# Atoms and singular components ----------------------------------------------------------------------------


def test_flat_cells_are_atoms() -> None:
    noiseless = PlaneLaw(Model(SKEWED, RAMPS, None))
    assert noiseless.kind is LawKind.DENSITY_AND_ATOMS
    atoms = noiseless.atoms()
    np.testing.assert_array_equal(atoms.locations, [[0.0]])
    orthants = [multivariate_normal(mu, s).cdf([0, 0]) for mu, s in zip(SKEWED.means, SKEWED.covariances, strict=True)]
    assert atoms.masses[0] == pytest.approx(SKEWED.weights @ orthants, rel=1e-7)
    known = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[[1, 0.5], [0.5, 1]]]), RAMPS, None))
    assert known.atoms().masses[0] == pytest.approx(1 / 3, rel=1e-13)  # 1/4 + asin(1/2) / (2 pi)


def test_equal_atoms_are_one_and_constants_are_all() -> None:
    # f = min(relu(z1), 1); a unit of z2 that does not count cuts each plateau into two cells.
    steps = ReLUNetwork([[[1, 0], [1, 0], [0, 1]], [[1, -1, 0]]], [[0, -1, 0], [0]])
    atoms = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), steps, None)).atoms()
    np.testing.assert_array_equal(atoms.locations, [[0.0], [1.0]])
    np.testing.assert_allclose(atoms.masses, [0.5, norm.sf(1)], rtol=1e-13)
    constant = PlaneLaw(Model(SKEWED, ReLUNetwork([[[0, 0]]], [[2]]), None))
    assert constant.kind is LawKind.ATOMS
    np.testing.assert_array_equal(constant.atoms().locations, [[2.0]])
    assert constant.atoms().masses[0] == pytest.approx(1, abs=1e-15)
    assert constant.log_density([2.0])[0] == -math.inf


def test_far_atoms_keep_the_logs_of_their_masses() -> None:
    noiseless = PlaneLaw(Model(GaussianMixture([1], [[60, 80]], [[1, 1]]), RAMPS, None))
    with mp.workdps(30):
        reference = float(mp.log(mp.ncdf(-60)) + mp.log(mp.ncdf(-80)))
    assert noiseless.atoms().log_masses[0] == pytest.approx(reference, rel=1e-14)


def test_singular_components() -> None:
    # 1/4 at the point (1, 2); 1/4 at (-1, -3), where both ramps are closed; 1/4 on a line; 1/4 regular.
    zero = [[0, 0], [0, 0]]
    prior = GaussianMixture([0.25] * 4, [[1, 2], [-1, -3], [0.5, 0], [0, 0]],
                            [zero, zero, [[1, 2], [2, 4]], [[1, 0], [0, 1]]])
    noiseless = PlaneLaw(Model(prior, RAMPS, None))
    assert noiseless.kind is LawKind.DENSITY_AND_ATOMS
    atoms = noiseless.atoms()
    np.testing.assert_array_equal(atoms.locations, [[0.0], [3.0]])
    # On the line z = (1/2 + t, 2 t): closed for t < -1/2.
    np.testing.assert_allclose(atoms.masses, [0.25 * (1 + norm.cdf(-0.5) + 0.25), 0.25], rtol=1e-12)
    regular = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), RAMPS, None))
    x = np.array([0.25, 1.0, 7.0, -1.0])
    # f = 1/2 + t up to t = 0, then 1/2 + 3 t.
    line = np.where(x < 0.5, norm.pdf(x - 0.5), norm.pdf((x - 0.5) / 3) / 3) * (x > 0)
    value = noiseless.log_density_with_error(x)
    np.testing.assert_allclose(np.exp(value.value), 0.25 * (line + np.exp(regular.log_density(x))), rtol=1e-12)
    assert value.value[-1] == -math.inf
    assert not np.isnan(value.error).any()


def test_points_alone_are_atoms() -> None:
    zero = [[0, 0], [0, 0]]
    noiseless = PlaneLaw(Model(GaussianMixture([0.5, 0.5], [[1, 2], [2, 1]], [zero, zero]), RAMPS, None))
    assert noiseless.kind is LawKind.ATOMS
    np.testing.assert_array_equal(noiseless.atoms().locations, [[3.0]])
    assert noiseless.atoms().masses[0] == pytest.approx(1, abs=1e-15)
    assert noiseless.log_density([3.0])[0] == -math.inf
    line = PlaneLaw(Model(GaussianMixture([1], [[0, 0]], [[[1, 1], [1, 1]]]), FOLDS, None))
    assert line.kind is LawKind.DENSITY
    result = line.log_density_with_error([1.0, 1e200])
    assert result.value[0] == pytest.approx(norm.logpdf(0.5), abs=1e-14)  # f = 2 |t|


def test_what_is_not_offered_says_so() -> None:
    noiseless = PlaneLaw(Model(SKEWED, RAMPS, None))
    with pytest.raises(UnsupportedError, match="m = 2"):
        noiseless.cdf([0.0])
    with pytest.raises(UnsupportedError, match="without noise"):
        noiseless.log_density_bounds([0.0])
