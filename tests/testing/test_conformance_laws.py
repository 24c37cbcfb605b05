"""Our laws pass the suite, and a law that breaks one rule fails the check of that rule."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import ident_theory as it
from ident_theory import GaussianMixture, GaussianNoise, LaplaceNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.laws.base import Atoms, LawKind
from ident_theory.testing import LawConformance

PRIOR = GaussianMixture(["1/3", "2/3"], [-1, 2], [1, "1/4"])
PLANE = GaussianMixture(["1/2", "1/2"], [[0, 0], [2, 1]], [[[1, 0], [0, 1]], [[1, "1/2"], ["1/2", 1]]])
LEAKY = ReLUNetwork([[[1], [-2]], [[1, "1/2"]]], [[0, 1], ["1/2"]], "1/5")
MODELS = {
    "leaky, noise": Model(PRIOR, LEAKY, GaussianNoise("1/4")),
    "leaky, no noise": Model(PRIOR, LEAKY),
    "ReLU, no noise": Model(PRIOR, ReLUNetwork([[[1]], [[1]]], [[0], [0]])),
    "jump, Laplace noise": Model(PRIOR, PiecewiseAffineMap([0], [[1], [2]], [[0], [3]]), LaplaceNoise("1/3")),
    "constant, no noise": Model(PRIOR, PiecewiseAffineMap([], [[0]], [[2]])),
    "curve in the plane, noise": Model(PRIOR, ReLUNetwork([[[1], [-1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]]),
                                       GaussianNoise("1/2")),
    "plane, noise": Model(PLANE, ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [0, 1]]], [[0, 1], [0, 0]]),
                          GaussianNoise("1/2")),
    "plane, no noise": Model(PLANE, ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [0, 1]]], [[0, 1], [0, 0]], "1/2")),
}


def changed(model: Model, scale: float, shift: float) -> Model:
    """The model of scale X + shift."""
    s, t = Fraction(scale), Fraction(shift)
    f = model.decoder
    if isinstance(f, ReLUNetwork):
        decoder = ReLUNetwork([*f.weights_exact[:-1], f.weights_exact[-1] * s],
                              [*f.biases_exact[:-1], f.biases_exact[-1] * s + t], f.negative_slope_exact)
    else:
        decoder = PiecewiseAffineMap(f.breakpoints_exact, f.slopes_exact * s, f.intercepts_exact * s + t)
    noise = model.noise
    if isinstance(noise, GaussianNoise):
        noise = GaussianNoise(noise.std_exact * abs(s))
    elif isinstance(noise, LaplaceNoise):
        noise = LaplaceNoise(noise.scale_exact * abs(s))
    return Model(model.prior, decoder, noise)


class TestLaws(LawConformance):
    sample_size = 5000

    @pytest.fixture(params=list(MODELS))
    def law(self, request):
        return it.law(MODELS[request.param])

    def points(self, law):
        return super().points(law)[-40:]

    def transformed(self, law, scale, shift):
        return it.law(changed(law.model, scale, shift))


class Normal:
    """N(0, 1), with one rule broken on request."""

    observed_dim = 1
    kind = LawKind.DENSITY

    def __init__(self, broken: str = "", scale: float = 1.0, shift: float = 0.0) -> None:
        self.broken, self.scale, self.shift = broken, scale, shift

    def log_density(self, x):
        x = np.asarray(x, float)
        if self.broken != "accepts NaN" and (x.ndim != 2 or x.shape[1] != 1 or not np.isfinite(x).all()):
            raise ValueError("x: expected finite numbers of shape (N, 1)")
        x = x[:, 0]
        t = (x - self.shift) / self.scale
        value = -t**2 / 2 - np.log(2 * np.pi) / 2 - np.log(abs(self.scale))
        if self.broken == "mass":
            value = value + 0.01
        elif self.broken == "shape":
            return value[:, None]
        elif self.broken == "other points":
            value = value + 1e-3 * (x - x.mean())
        elif self.broken == "NaN":
            value = np.where(np.abs(t) > 1, np.nan, value)
        elif self.broken == "units":
            value = value + np.log(abs(self.scale)) / 2
        return value

    def log_density_bounds(self, x):
        value = Normal("", self.scale, self.shift).log_density(x)
        if self.broken == "bounds":
            return value + 1e-3, value + 2e-3
        return (value + 1e-9, value - 1e-9) if self.broken == "crossed bounds" else (value - 1e-9, value + 1e-9)

    def cdf(self, x):
        from scipy.stats import norm

        t = (np.asarray(x, float)[:, 0] - self.shift) / self.scale
        value = norm.cdf(t)
        if self.broken == "slope":
            value = value + 0.02 * np.sin(5 * t) * np.exp(-t**2)
        elif self.broken == "falling":
            value = 1 - value
        elif self.broken == "ends":
            value = 0.01 + 0.98 * value
        return value

    def atoms(self):
        masses = {"atom": [0.0], "atoms in the cdf": [0.25]}.get(self.broken, [])
        return Atoms(np.zeros((len(masses), 1)), np.log(masses, where=np.array(masses) > 0,
                                                         out=np.full(len(masses), -np.inf)))

    def sample(self, size, rng):
        x = self.shift + self.scale * rng.normal(size=(size, 1))
        if self.broken == "draws":
            x = x * 1.1
        elif self.broken == "seed":
            x = x + np.random.default_rng().normal(size=(size, 1)) * 1e-9
        elif self.broken == "draw shape":
            return x[:, 0]
        return x


class TestNormal(LawConformance):
    @pytest.fixture
    def law(self):
        return Normal()

    def transformed(self, law, scale, shift):
        return Normal("", scale, shift)


CHECKS = [
    ("test_total_mass_is_one", "mass", "the mass is"),
    ("test_log_density_has_one_number_a_point", "shape", "expected shape"),
    ("test_log_density_has_one_number_a_point", "other points", "another density"),
    ("test_log_density_has_one_number_a_point", "NaN", "log density nan"),
    ("test_bounds_enclose_the_density", "bounds", "is not in"),
    ("test_bounds_enclose_the_density", "crossed bounds", "above its upper"),
    ("test_cdf_differences_are_the_density", "slope", "the distribution function has the slope"),
    ("test_cdf_is_a_distribution_function", "falling", "falls"),
    ("test_cdf_is_a_distribution_function", "ends", "far away"),
    ("test_cdf_jumps_at_atoms", "atom", "without mass"),
    ("test_cdf_jumps_at_atoms", "atoms in the cdf", "jumps"),
    ("test_samples_follow_the_law", "draws", "the draws are"),
    ("test_samples_have_their_shape_and_repeat", "seed", "other draws"),
    ("test_samples_have_their_shape_and_repeat", "draw shape", "expected"),
]


@pytest.mark.parametrize(("check", "broken", "text"), CHECKS, ids=[broken for _, broken, _ in CHECKS])
def test_a_broken_law_fails_its_check(check, broken, text):
    with pytest.raises(AssertionError, match=text):
        getattr(LawConformance(), check)(Normal(broken))


def test_a_law_that_takes_nan_fails():
    with pytest.raises(AssertionError, match="log_density of NaN: expected a ValueError"):
        LawConformance().test_points_that_are_none_are_refused(Normal("accepts NaN"))


def test_a_density_that_does_not_change_with_the_units_fails():
    class Suite(LawConformance):
        def transformed(self, law, scale, shift):
            return Normal("units", scale, shift)

    with pytest.raises(AssertionError, match="does not change as it should"):
        Suite().test_affine_changes_of_x(Normal(), 2.0, 0.0)


class Plane:
    """N(0, I) in the plane, its density or its draws wrong on request."""

    observed_dim = 2

    def __init__(self, log: float = 0.0, stretch: float = 1.0) -> None:
        self.log, self.stretch = log, stretch

    def log_density(self, x):
        return -(x**2).sum(axis=1) / 2 - np.log(2 * np.pi) + self.log

    def sample(self, size, rng):
        return rng.normal(size=(size, 2)) * self.stretch  # about the same centre


def test_two_dimensions():
    suite = LawConformance()
    suite.sample_size = 5000
    suite.test_total_mass_is_one(Plane())
    suite.test_samples_follow_the_law(Plane())
    with pytest.raises(AssertionError, match="the mass is"):
        suite.test_total_mass_is_one(Plane(log=0.1))
    with pytest.raises(AssertionError, match="half-space"):
        suite.test_samples_follow_the_law(Plane(stretch=1.3))


class Frozen:
    """A law of scipy without a distribution function, its draws from another one on request."""

    def __init__(self, law, drawn=None, n=1, repeats=False):
        self.law, self.drawn, self.observed_dim, self.repeats = law, drawn or law, n, repeats

    def log_density(self, x):
        return self.law.logpdf(x).sum(axis=1)

    def sample(self, size, rng):
        return self.drawn.rvs(size=(size, self.observed_dim), random_state=5 if self.repeats else rng)


@pytest.mark.parametrize("law", [stats.cauchy(), stats.uniform(), stats.gamma(0.7), stats.norm(0, 1e-9),
                                 stats.norm(1e9, 1), stats.t(2)], ids=lambda law: f"{law.dist.name}{law.args}")
def test_right_laws_with_edges_tails_and_sizes_pass(law):
    suite = LawConformance()
    suite.sample_size = 3000
    suite.test_total_mass_is_one(Frozen(law))
    suite.test_samples_follow_the_law(Frozen(law))


def test_draws_are_held_against_the_density_where_there_is_no_distribution_function():
    with pytest.raises(AssertionError, match="half-space"):
        LawConformance().test_samples_follow_the_law(Frozen(stats.norm(), stats.norm(0, 1.3)))


def test_a_law_that_does_not_draw_from_its_generator_fails():
    with pytest.raises(AssertionError, match="the same draws twice"):
        LawConformance().test_samples_have_their_shape_and_repeat(Frozen(stats.norm(), repeats=True))


@pytest.mark.slow
@pytest.mark.parametrize("law", [Frozen(stats.norm(), n=2), Frozen(stats.t(3), n=2), Frozen(stats.laplace())],
                         ids=["normal", "t", "laplace"])
def test_false_alarms_are_as_rare_as_said(law):
    """None in 200 seeds, at a probability of a millionth each."""
    for seed in range(200):
        suite = LawConformance()
        suite.sample_size, suite.random_seed = 2000, seed
        suite.test_total_mass_is_one(law)
        suite.test_samples_follow_the_law(law)
