"""iVAE, VAE, beta-VAE, beta-TC-VAE, hashed VAE: they learn, runs do not meet, settings are checked."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from ident_theory import InputError, UnsupportedError, estimators, mcc
from ident_theory.data.dataset import Dataset
from ident_theory.estimators.hashed import HashedVAE
from ident_theory.estimators.ivae import IVAE
from ident_theory.estimators.network import Shape
from ident_theory.estimators.vae import VAE, BetaTCVAE, BetaVAE
from ident_theory.testing import EstimatorConformance

ALL = {"ivae": {}, "ivae, table": {"prior": "table", "prior_mean": True, "learn_noise": True},
       "ivae, annealed": {"annealed": True}, "vae": {}, "vae, laplace": {"prior": "laplace"},
       "beta-vae": {"beta": 2.0}, "beta-tc-vae": {}, "hashed-vae": {"bits": 3},
       "hashed-vae, counted": {"bits": 3, "weights": "counted", "centre": True}}


def data(size=600, seed=0):
    rng = np.random.default_rng(seed)
    u = np.arange(size) % 5
    z = rng.normal(size=(size, 2)) * rng.uniform(0.3, 2, (5, 2))[u]
    return Dataset(z @ rng.normal(size=(2, 3)), u, z)


def fitted(name, runs=1, seed=0, given=None, **options):
    return estimators.fit(name.split(",")[0], given or data(), runs=runs, seed=seed, hidden=10,
                          **{**ALL[name], "steps": 20, **options})


class InDouble:
    """Rows that come alone have the same latents to 1e-6 in float64 only."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, x, u, rng):
        return self.estimator.fit(x, u, rng, precision="float64")


class TestIVAE(EstimatorConformance):
    transform_uses_u = True

    @pytest.fixture
    def estimator(self):
        return InDouble(IVAE(latent_dim=2, prior_mean=True, hidden=16, steps=500, learning_rate=5e-3))


class TestVAE(EstimatorConformance):
    uses_u = False

    @pytest.fixture
    def estimator(self):
        return InDouble(VAE(latent_dim=2, hidden=16, steps=300, learning_rate=5e-3))


@pytest.mark.parametrize("name", ALL)
def test_a_run_is_the_same_alone_and_with_others(name):
    together, alone = (fitted(name, runs, seed, precision="float64") for runs, seed in ((3, 4), (1, 6)))
    for key, value in together[2].values().items():
        np.testing.assert_allclose(value, alone[0].values()[key], rtol=1e-8, atol=1e-10)
    assert together.scores[2] == pytest.approx(alone.scores[0], rel=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_the_objective_falls_and_the_rest_is_of_the_right_kind(name):
    given = data()
    fit = fitted(name, 2, steps=300, given=given, log_every=50, learning_rate=3e-3)
    if not name.endswith("annealed"):  # whose weights change
        assert all(run.losses[-1] < run.losses[0] for run in fit.runs)
    assert fit.latents(given).shape == (2, 600, 2)
    assert fit.model().latent_dim == 2
    assert float(mcc(given.z, fit.transform(given), "weak")) > 0.8


def test_bernoulli_images():
    rng = np.random.default_rng(0)
    x = (rng.uniform(size=(300, 4)) < 1 / (1 + np.exp(-4 * rng.normal(size=(300, 1))))).astype(float)
    fit = estimators.fit("vae", x, observation="bernoulli", latent_dim=1, steps=300, learning_rate=5e-3)
    assert fit.scores[0] > -4 * np.log(2)  # better than independent fair coins
    assert fit.model() is None
    with pytest.raises(InputError, match=r"expected x in \[0, 1\]"):
        estimators.fit("vae", 2 * x, observation="bernoulli", latent_dim=1, steps=1)


def test_counted_weights_are_the_shares_of_the_data():
    given = data()
    fit = fitted("hashed-vae, counted", 2, given=given)
    for run in fit.runs:
        values = run.values()
        np.testing.assert_allclose(values["hash.centre"], given.x.mean(axis=0), rtol=1e-5, atol=1e-6)
        bits = (given.x - values["hash.centre"]) @ values["hash.signs"].T >= 0
        counts = np.bincount(bits @ [1, 2, 4], minlength=8) + 1
        found = run.model().prior.weights
        np.testing.assert_allclose(found, counts / counts.sum(), rtol=1e-5)


def test_conditions_that_the_theorem_needs():
    shape = Shape(10, 5, 5, 6)
    assert [IVAE(prior_mean=mean).conditions_needed(shape) for mean in (False, True)] == [6, 11]
    assert VAE().conditions_needed(shape) == HashedVAE().conditions_needed(shape) == 0


@pytest.mark.parametrize(("make", "text"), [
    (lambda: IVAE(noise_std=0.0), "IVAE: noise_std"), (lambda: IVAE(noise_std=np.inf), "IVAE: noise_std"),
    (lambda: IVAE(hidden=0), "IVAE: hidden"), (lambda: VAE(layers=0), "VAE: layers"),
    (lambda: VAE(slope=2), "VAE: slope"), (lambda: VAE(prior="cauchy"), "VAE: prior"),
    (lambda: IVAE(prior="net"), "IVAE: prior"), (lambda: IVAE(prior_mean=1), "IVAE: prior_mean"),
    (lambda: IVAE(annealed=True, exact_kl=True), "IVAE: annealed"), (lambda: IVAE(exact_kl="yes"), "IVAE: exact_kl"),
    (lambda: VAE(observation="poisson"), "VAE: observation"),
    (lambda: VAE(observation="bernoulli", learn_noise=True), "VAE: learn_noise"),
    (lambda: BetaVAE(beta=-1.0), "BetaVAE: beta"), (lambda: BetaVAE(beta=(1.0, np.nan)), "BetaVAE: beta"),
    (lambda: BetaTCVAE(gamma=(1.0, -1.0)), "BetaTCVAE: gamma"), (lambda: BetaTCVAE(exact_kl=True), "exact_kl"),
    (lambda: HashedVAE(bits=0), "HashedVAE: bits"), (lambda: HashedVAE(bits=40), "at most 16"),
    (lambda: HashedVAE(weights="equal"), "HashedVAE: weights"),
    (lambda: HashedVAE(centre=None), "HashedVAE: centre"),
])
def test_settings_are_checked(make, text):
    with pytest.raises(InputError, match=text):
        make()


def test_the_exact_model_is_refused_where_there_is_none():
    given = np.random.default_rng(0).uniform(size=(40, 64))
    images = Dataset(given, image_shape=(1, 8, 8))
    fit = estimators.fit("vae", images, architecture="convnet", latent_dim=2, steps=1, batch_size=20)
    with pytest.raises(UnsupportedError, match="convnet-leaky"):
        fit.model()


def test_a_tuple_of_betas_is_a_sweep():
    low, high = estimators.fit("beta-vae", data(), runs=2, beta=(1.0, 50.0), hidden=10, steps=300, learning_rate=3e-3,
                               latent_dim=2).latents(data()).std(axis=(1, 2))
    assert high < low
    with pytest.raises(InputError, match="expected one number or 2"):
        estimators.fit("beta-vae", data(), runs=2, beta=(1.0, 2.0, 3.0), steps=1)
