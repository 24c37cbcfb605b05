"""Two simple estimators pass the suite, and an estimator that breaks one rule fails the check of that rule."""

from __future__ import annotations

import numpy as np
import pytest

from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.testing import EstimatorConformance


def checked(x):
    x = np.asarray(x, float)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError("x: expected finite numbers of shape (N, n)")
    return x


class Linear:
    """Latents z = B (x - mean), and the linear-Gaussian model they come from."""

    def __init__(self, mean, b, noise):
        self.mean, self.b, self.noise = mean, b, noise

    def transform(self, x):
        x = checked(x)
        if x.shape[1] != len(self.mean):
            raise ValueError(f"x: expected {len(self.mean)} columns, found {x.shape[1]}")
        return (x - self.mean) @ self.b.T

    def model(self):
        a = np.linalg.pinv(self.b)
        return Model(GaussianMixture([1], [[0] * len(self.b)], [[1] * len(self.b)]), ReLUNetwork([a], [self.mean]),
                     GaussianNoise(self.noise))


class MaximumLikelihood:
    """Probabilistic principal components: the closed-form maximum of the likelihood of a linear-Gaussian model."""

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim

    def fit(self, x, u, rng):
        x = checked(x)
        mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
        noise = values[:-self.latent_dim].mean()
        top, scales = vectors[:, ::-1][:, :self.latent_dim], values[::-1][:self.latent_dim]
        return Linear(mean, (top / np.sqrt(scales - noise)).T, float(np.sqrt(noise)))


class Unmixing(MaximumLikelihood):
    """Then a rotation that makes the covariances given u diagonal: by fixed-point sweeps of Jacobi rotations."""

    def fit(self, x, u, rng):
        first = super().fit(x, u, rng)
        z = first.transform(x)
        covariances = np.array([np.cov(z[u == value].T) for value in np.unique(u)])
        turn = np.eye(self.latent_dim)
        for _ in range(30):
            for i in range(self.latent_dim):
                for k in range(i + 1, self.latent_dim):
                    c = np.einsum("ab,jbc,dc->jad", turn, covariances, turn)
                    t = np.array([c[:, i, i] - c[:, k, k], 2 * c[:, i, k]])
                    (p, q), (_, r) = t @ t.T
                    angle = np.arctan2(2 * q, p - r) / 4
                    step = np.eye(self.latent_dim)
                    step[[i, k], [i, k]] = np.cos(angle)
                    step[i, k], step[k, i] = np.sin(angle), -np.sin(angle)
                    turn = step @ turn
        return Linear(first.mean, turn @ first.b, first.noise)


class TestMaximumLikelihood(EstimatorConformance):
    uses_u = False
    order_invariant = True

    @pytest.fixture
    def estimator(self):
        return MaximumLikelihood(2)


class TestUnmixing(EstimatorConformance):
    kind = "strong"
    latent_dim = 3
    least_mcc = 0.99

    @pytest.fixture
    def estimator(self):
        return Unmixing(3)

    def truth(self, rng, size):
        """Means that do not depend on u, which whitening would mix with the variances."""
        u = rng.integers(7, size=size)
        z = rng.uniform(0.3, 1.5, size=(7, 3))[u] * rng.normal(size=(size, 3))
        a = np.linalg.qr(rng.normal(size=(5, 3)))[0] * rng.uniform(1, 2, size=3)
        return z @ a.T + 0.01 * rng.normal(size=(size, 5)), u, z


class Conditional:
    """Latents whose part along u is what the means given u say: the law of z given (x, u), as an iVAE has it."""

    def __init__(self, inner, centres):
        self.inner, self.centres = inner, centres

    def transform(self, x, u):
        if len(u) != len(x):
            raise ValueError(f"u: expected {len(x)} values, found {len(u)}")
        return 0.9 * self.inner.transform(x) + 0.1 * self.centres[u]


class Conditioning(MaximumLikelihood):
    def fit(self, x, u, rng):
        if len(u) != len(x):
            raise ValueError(f"u: expected {len(x)} values, found {len(u)}")
        inner = super().fit(x, u, rng)
        z = inner.transform(x)
        return Conditional(inner, np.array([z[u == value].mean(axis=0) for value in range(u.max() + 1)]))


class TestConditioning(EstimatorConformance):
    transform_uses_u = True

    @pytest.fixture
    def estimator(self):
        return Conditioning(2)


def test_an_estimator_whose_latents_need_u_has_to_say_so():
    with pytest.raises(TypeError, match="u"):
        EstimatorConformance().test_latents_have_their_shape(Conditioning(2))


class Broken(MaximumLikelihood):
    """One rule broken."""

    def __init__(self, broken):
        super().__init__(2)
        self.broken = broken

    def fit(self, x, u, rng):
        broken = self.broken
        if broken == "accepts NaN":
            x = np.nan_to_num(x, posinf=0)
        if broken == "no message" and not np.isfinite(x).all():
            raise ValueError
        if broken == "nothing":
            return None
        if broken == "changes x":
            x -= x.mean(axis=0)
        if broken == "changes u":
            u[0] += 1
        fitted = super().fit(x[:50] if broken == "order" else x, u, rng)
        if broken == "ignores the seed":
            fitted.mean = fitted.mean + np.random.default_rng().normal(size=len(fitted.mean))
        if broken == "global generator":
            np.random.normal()  # noqa: NPY002
        if broken == "no recovery":
            fitted.b = np.vstack([fitted.b[0], np.linalg.svd(fitted.b)[2][-1]])  # the second sees noise alone
        transform = fitted.transform
        if broken == "first latents for ever":
            self.first = first = getattr(self, "first", transform(x))
            fitted.transform = lambda x: first
        if broken == "known points alone":
            known = {tuple(row) for row in x}
            fitted.transform = lambda x: np.where([[tuple(row) in known] for row in x], transform(x), np.nan)
        changes = {"shape": lambda z: z[:, :1], "batch": lambda z: z - z.mean(axis=0), "complex": lambda z: z + 0j,
                   "not finite": lambda z: np.where(z > 1, np.nan, z)}
        if broken in changes:
            fitted.transform = lambda x: changes[broken](transform(x))
        if broken == "any width":
            fitted.transform = lambda x: transform(np.resize(x, (len(x), 4)))
        if broken == "model":
            fitted.model = lambda: Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]] * 4], [[0] * 4]))
        if broken == "no model":
            fitted.model = lambda: "a model"
        return fitted


@pytest.mark.parametrize(("check", "broken", "text"), [
    ("test_latents_have_their_shape", "shape", "expected"),
    ("test_latents_have_their_shape", "not finite", "not finite"),
    ("test_latents_have_their_shape", "batch", "come alone"),
    ("test_latents_have_their_shape", "nothing", "found None"),
    ("test_latents_have_their_shape", "known points alone", "not finite"),
    ("test_latents_have_their_shape", "complex", "real latents"),
    ("test_other_lengths_of_u_are_refused", "", "59 values of u for 60 observations: expected a ValueError"),
    ("test_it_recovers_a_linear_gaussian_truth", "first latents for ever", "expected"),
    ("test_the_same_seed_gives_the_same_fit", "ignores the seed", "two fits"),
    ("test_the_same_seed_gives_the_same_fit", "global generator", "global generator"),
    ("test_the_data_are_not_changed", "changes x", "changes x"),
    ("test_the_data_are_not_changed", "changes u", "changes u"),
    ("test_the_order_of_the_data_does_not_count", "order", "another order"),
    ("test_numbers_that_are_not_finite_are_refused", "accepts NaN", "found none"),
    ("test_numbers_that_are_not_finite_are_refused", "no message", "without a message"),
    ("test_other_widths_are_refused", "any width", "found none"),
    ("test_it_recovers_a_linear_gaussian_truth", "no recovery", "MCC"),
    ("test_its_model_fits_its_latents", "model", "latents and observations"),
    ("test_its_model_fits_its_latents", "no model", "expected a Model"),
])
def test_a_broken_estimator_fails_its_check(check, broken, text):
    suite = EstimatorConformance()
    suite.order_invariant = True
    arguments = (np.nan,) if check == "test_numbers_that_are_not_finite_are_refused" else ()
    with pytest.raises(AssertionError, match=text):
        getattr(suite, check)(Broken(broken), *arguments)


def test_a_weak_estimator_promises_too_much():
    suite = EstimatorConformance()
    suite.kind = "strong"
    with pytest.raises(AssertionError, match="strong MCC"):
        suite.test_it_recovers_a_linear_gaussian_truth(MaximumLikelihood(2))
