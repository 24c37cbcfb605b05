"""Exact maximum likelihood as an estimator: what it refuses, runs beside each other, learning, conformance."""

import math
from contextlib import nullcontext

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ident_theory as it  # noqa: E402
from ident_theory.errors import InputError, UnsupportedError  # noqa: E402
from ident_theory.estimators import fit, load_fit  # noqa: E402
from ident_theory.estimators.exact_likelihood import (  # noqa: E402
    ConditionalExactLikelihood,
    ExactLikelihood,
)
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402
from tests.common.runs import batch_of, numbers, set_up  # noqa: E402

LINE = it.Model(it.GaussianMixture(["0.4", "0.6"], [-2, 1.5], ["0.3", "0.5"]),
                it.ReLUNetwork([[[1], [-1]], [["1", "0.3"], ["-0.4", "1"]]], [[0, 1], [0, 0]], "0.1"),
                it.GaussianNoise(std="0.3"))


def sample(model, size, seed=0):
    return it.law(model).sample(size, np.random.default_rng(seed))


@pytest.mark.parametrize(("options", "text"), [
    ({"components": 0}, "components: expected a whole number >= 1"),
    ({"hidden": 2.5}, "hidden: expected a whole number >= 1"),
    ({"layers": True}, "layers: expected a whole number >= 1"),
    ({"covariance": "round"}, "covariance: expected one of diagonal, full"),
    ({"slope": -1}, "slope: expected a finite number >= 0"),
    ({"slope": math.nan}, "slope: expected a finite number"),
    ({"noise_std": 0}, "noise_std: expected a finite number > 0"),
    ({"noise_std": "small"}, "noise_std: expected a finite number > 0"),
])
def test_settings_are_checked(options, text):
    with pytest.raises(InputError, match=text):
        ExactLikelihood(**options)


def test_given_u_covariances_are_diagonal():
    with pytest.raises(InputError, match="covariance: expected one of diagonal"):
        ConditionalExactLikelihood(covariance="full")


@pytest.mark.parametrize("estimator", ["exact-ml", "exact-ml-given-u"])
@pytest.mark.parametrize("rate", [1e3, 1e200])
def test_a_run_whose_parameters_explode_leaves_the_others_alone(estimator, rate):
    """Its noise has no deviation in float64 after the first step."""
    x, u = sample(LINE, 60), np.arange(60) % 2
    options = {"latent_dim": 1, "steps": 4, "batch_size": 20, "precision": "float64"}
    with pytest.warns(it.estimators.FewConditionsWarning) if estimator != "exact-ml" else nullcontext():
        beside = fit(estimator, x, u, runs=2, learning_rate=(rate, 1e-2), **options)
        alone = fit(estimator, x, u, seed=1, learning_rate=1e-2, **options)
    assert beside.alive == (False, True)
    np.testing.assert_allclose(beside.scores, [-np.inf, alone.scores[0]], rtol=1e-9)


def test_three_latents_and_float32_are_refused():
    x = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(UnsupportedError, match="one or two latents, found 3; give latent_dim=1 or 2"):
        fit("exact-ml", x, precision="float64")
    with pytest.raises(InputError, match="precision: expected 'float64'"):
        fit("exact-ml", x, latent_dim=1, steps=2)


@pytest.mark.parametrize("m", [1, 2])
def test_a_run_alone_is_the_run_among_others(m):
    x = sample(LINE, 60)
    estimator = ExactLikelihood(latent_dim=m, components=2, hidden=2, batch_size=20, steps=8)
    together = fit(estimator, x, runs=3, precision="float64")
    alone = fit(estimator, x, runs=1, seed=1, precision="float64")
    for name, value in alone[0].values().items():
        assert together[1].values()[name] == pytest.approx(value, rel=1e-12, abs=1e-14)
    assert together.scores[1] == pytest.approx(alone.scores[0], rel=1e-12)
    assert together.latents(x)[1] == pytest.approx(alone.latents(x)[0], rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("m", [1, 2])
def test_a_run_that_is_not_finite_does_not_touch_the_others(m):
    estimator = ExactLikelihood(components=2, hidden=2, noise_std=0.5)
    network, parameters = set_up(estimator, Shape(20, 2, m), runs=3)
    batch = batch_of(estimator, parameters, sample(LINE, 20))
    before = numbers(network.score(batch)), numbers(network.loss(batch))
    with torch.no_grad():
        parameters.values["decoder.weight0"][1] = math.nan
    loss = network.loss(batch)
    parameters.differentiate(loss.sum(), parameters.groups, slice(0, parameters.size))
    for run in (0, 2):
        assert np.array_equal(numbers(network.score(batch))[run], before[0][run])
        assert numbers(loss)[run] == before[1][run]
        assert np.isfinite(parameters.gradient[run].numpy()).all()
    assert np.isnan(numbers(loss)[1])
    assert np.isnan(numbers(network.score(batch))[1]).all()
    assert np.isnan(parameters.gradient[1].numpy()).any()


def test_it_begins_on_the_data():
    """The image of the prior has the mean and the spread of the data, and half of it is the noise."""
    x = 1000 + 50 * sample(LINE, 500)
    found = fit("exact-ml", x, latent_dim=1, steps=1, learning_rate=1e-9, precision="float64")
    model = found.model()
    z = model.prior.sample(4000, np.random.default_rng(0))[0]
    image = model.decoder(z)
    assert image.mean(0) == pytest.approx(x.mean(0), abs=0.15 * x.std())
    assert image.std(0) == pytest.approx(x.std(0), rel=0.15)
    assert float(model.noise.root(1)[0, 0]) == pytest.approx(x.std(0).mean() / 2, rel=0.15)


def test_it_reaches_the_likelihood_of_the_truth():
    """On its own data it may be above; on others it is below by about parameters / 2 N, 0.03."""
    x, others = sample(LINE, 400), sample(LINE, 2000, 1)
    found = fit("exact-ml", x, runs=2, latent_dim=1, components=2, hidden=4, steps=150, learning_rate=0.03,
                precision="float64")
    truth = it.law(LINE)
    law = it.law(found.model())
    assert found.best.score == pytest.approx(law.log_density(x).mean(), rel=1e-10)
    assert found.best.score > truth.log_density(x).mean() - 0.02
    assert law.log_density(others).mean() > truth.log_density(others).mean() - 0.06
    assert float(it.law(LINE).kl(law)) < 0.06


def test_a_stored_fit_is_read_back(tmp_path):
    x = sample(LINE, 50)
    found = fit("exact-ml", x, latent_dim=2, components=2, hidden=2, covariance="full", steps=3, precision="float64")
    found.save(tmp_path)
    again = load_fit(tmp_path)
    assert again.model() == found.model()
    assert again.score(x) == pytest.approx(found.scores, rel=1e-14)


class _Quick:
    """Affine decoders: one cell, so that two latents are as quick as one."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, x, u, rng):
        return self.estimator.fit(x, u, rng, precision="float64")


class TestConformance(EstimatorConformance):
    """Without u: a mixture of five components is unmixed up to an affine map."""

    uses_u = False
    size = 400

    @pytest.fixture
    def estimator(self):
        return _Quick(ExactLikelihood(latent_dim=2, components=5, layers=1, steps=60, learning_rate=0.1))


class TestConformanceGivenU(EstimatorConformance):
    """Given u."""

    transform_uses_u = True
    size = 600

    @pytest.fixture
    def estimator(self):
        return _Quick(ConditionalExactLikelihood(latent_dim=2, layers=1, steps=60, learning_rate=0.1))
