"""VaDE: its phases, clusters, models, settings; runs that do not touch each other."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import multivariate_normal  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import FewConditionsWarning, fit, load_fit  # noqa: E402
from ident_theory.estimators.ivae import IVAE  # noqa: E402
from ident_theory.estimators.mixture_networks import cluster_accuracy, clusters  # noqa: E402
from ident_theory.estimators.network import Beginning  # noqa: E402
from ident_theory.estimators.vade import VaDE  # noqa: E402
from ident_theory.metrics import mcc  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

SMALL = {"encoder": (16,), "decoder": (16,), "components": 3, "latent_dim": 2, "pretrain_epochs": 2, "batch_size": 50,
         "steps": 30}


def blobs(size=300, seed=0, noise=0.1):
    """Three clusters in the plane, bent into three coordinates; labels and latents."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=size)
    z = np.array([[0, 0], [3, 0], [0, 3]])[labels] + 0.3 * rng.normal(size=(size, 2))
    x = np.column_stack([z, np.maximum(z[:, 0] - 1, 0)]) + noise * rng.normal(size=(size, 3))
    return x, labels, z


class TestVaDE(EstimatorConformance):
    """Clusters of the truth are the values of u, which VaDE does not see."""

    uses_u = False

    @pytest.fixture
    def estimator(self):
        return VaDE(latent_dim=2, components=5, encoder=(32,), decoder=(), steps=60, pretrain_epochs=3, batch_size=60,
                    learning_rate=1e-2)


@pytest.mark.parametrize(("objective", "covariance"), [
    ("vade", "diagonal"), ("marginal", "full"), pytest.param("vade", "full", marks=pytest.mark.slow),
    pytest.param("sampled", "diagonal", marks=pytest.mark.slow)])
def test_it_finds_clusters_and_latents(objective, covariance):
    x, labels, z = blobs()
    found = fit(VaDE(**SMALL | {"objective": objective, "covariance": covariance, "pretrain_epochs": 25, "steps": 80,
                                "learning_rate": 5e-3}), x, runs=2)
    best = clusters(found, x)[found.best.number]
    assert best.shape == labels.shape
    assert cluster_accuracy(best, labels) > 0.98
    assert float(mcc(z, found.transform(x), "weak")) > 0.95


def test_pretraining_leaves_the_prior_alone_and_em_starts_it():
    x, *_ = blobs()
    estimator = VaDE(**SMALL | {"steps": 1, "pretrain_epochs": 30, "learning_rate": 5e-3, "noise_std": 0.5,
                                "learn_noise": True})
    network = estimator.network(fit(estimator, x, runs=1).network.shape)
    names = [(phase.name, phase.steps, phase.updates[0].groups) for phase in network.phases()]
    assert names == [("pretrain", 30 * 6, ("encoder", "decoder")), ("train", 1, ())]
    found = fit(estimator, x, precision="float64")
    network.begin(Beginning(network.phases()[1], found.parameters, (torch.as_tensor(x),), None, found.seeds,
                            found.hyper))
    mixture, codes = found.model().prior, found[0].transform(x)
    chances = np.stack([w * multivariate_normal(mean, c).pdf(codes) for w, mean, c in zip(
        mixture.weights, mixture.means, mixture.covariances, strict=True)], -1)
    chances /= chances.sum(1, keepdims=True)
    # Where EM stands still, weights and means are those of the responsibilities.
    np.testing.assert_allclose(mixture.weights, chances.mean(0), atol=0.01)
    np.testing.assert_allclose(mixture.means, chances.T @ codes / chances.sum(0)[:, None], atol=0.05)
    residuals = x - found.model().decoder(codes)
    assert found[0].values()["noise.log_variance"][0] == pytest.approx(np.log((residuals**2).mean()), abs=1e-9)


def test_a_random_start_has_the_weights_of_willetts_and_paige():
    x, *_ = blobs(200)
    found = fit(VaDE(**SMALL | {"pretrain_epochs": 0, "start": "random", "learn_weights": False, "steps": 3}), x)
    values = found[0].values()
    bound = np.sqrt(6 / (3 + 2)) + 3 * 2e-3
    assert np.abs(values["prior.means"]).max() <= bound
    assert np.abs(values["prior.log_variances"]).max() <= bound
    np.testing.assert_array_equal(found.model().prior.weights, np.full(3, 1 / 3))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_run_is_the_same_alone_and_with_others(covariance):
    x, *_ = blobs(300)
    estimator = VaDE(**SMALL | {"covariance": covariance})
    together = fit(estimator, x, runs=3, precision="float64")
    alone = fit(estimator, x, runs=1, seed=1, precision="float64")
    one, other = together[1].values(), alone[0].values()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-8, atol=1e-9, err_msg=name)
    assert together.scores[1] == pytest.approx(alone.scores[0], rel=1e-8)


def test_a_run_that_fails_does_not_hurt_the_others():
    x, *_ = blobs(300)
    settings = SMALL | {"learning_rate": (2e-3, 1e30, 2e-3)}
    with_failure = fit(VaDE(**settings), x, runs=3, precision="float64")
    assert with_failure.alive == (True, False, True)
    fine = fit(VaDE(**settings | {"learning_rate": 2e-3}), x, runs=3, precision="float64")
    np.testing.assert_allclose(with_failure[2].transform(x), fine[2].transform(x), rtol=1e-7, atol=1e-8)


def test_a_stored_training_is_resumed_and_read(tmp_path):
    x, *_ = blobs(200)
    estimator = VaDE(**SMALL)
    whole = fit(estimator, x, runs=2, directory=tmp_path)
    again = load_fit(tmp_path)
    assert again.estimator == estimator
    np.testing.assert_array_equal(again.latents(x), whole.latents(x))
    np.testing.assert_array_equal(clusters(again, x), clusters(whole, x))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_model_is_what_was_learnt(covariance):
    x, *_ = blobs(200)
    found = fit(VaDE(**SMALL | {"covariance": covariance, "noise_std": 0.3}), x)
    model = found.model()
    assert model.prior.n_components == 3
    assert float(model.noise.covariance_exact(3)[0, 0]) == pytest.approx(0.09)
    z = np.random.default_rng(0).normal(size=(5, 2))
    p = {name: torch.as_tensor(value)[None] for name, value in found[0].values().items()}
    decoded = found.network.decoder(p, torch.as_tensor(z)[None])[0].numpy()
    np.testing.assert_allclose(model.decoder(z), decoded, rtol=1e-12, atol=1e-12)
    report = it.check(model)
    assert "F1" in str(report) or len(str(report)) > 50


def test_bernoulli_observations():
    rng = np.random.default_rng(0)
    x = (rng.random((200, 6)) < np.where(rng.integers(2, size=(200, 1)), 0.9, 0.1)).astype(float)
    found = fit(VaDE(**SMALL | {"observation": "bernoulli", "components": 2}), x)
    assert found.model() is None
    assert np.isfinite(found.scores).all()
    with pytest.raises(InputError, match=r"expected x in \[0, 1\], found"):
        fit(VaDE(**SMALL | {"observation": "bernoulli"}), x + 0.5)


@pytest.mark.parametrize(("change", "text"), [
    ({"components": 0}, "components: expected a whole number >= 1, found 0"),
    ({"components": 2.5}, "components"),
    ({"pretrain_epochs": -1}, "pretrain_epochs: expected a whole number >= 0"),
    ({"covariance": "spherical"}, "covariance: expected one of diagonal, full, found 'spherical'"),
    ({"objective": "elbo"}, "objective: expected one of marginal, vade, sampled"),
    ({"start": "zeros"}, "start: expected one of mixture, random"),
    ({"architecture": "transformer"}, "architecture: expected one of mlp"),
    ({"encoder": 64}, "encoder: expected a tuple"),
    ({"decoder": (64, 0)}, "decoder: expected a whole number >= 1, found 0"),
    ({"activation": "gelu"}, "activation: expected one of"),
    ({"slope": 2}, "slope"),
    ({"noise_std": 0.0}, "noise_std: expected a finite number > 0"),
    ({"observation": "bernoulli", "learn_noise": True}, "no noise to learn"),
])
def test_settings_that_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        VaDE(**SMALL | change)


def test_data_that_are_refused():
    with pytest.raises(InputError, match="at most as many as the 2 observations, found 3"):
        fit(VaDE(**SMALL), np.zeros((2, 2)))
    x, *_ = blobs(50)
    x[3, 0] = np.nan
    with pytest.raises(InputError, match="expected finite numbers"):
        fit(VaDE(**SMALL), x)
    with pytest.raises(InputError, match="is for images"):
        fit(VaDE(**SMALL | {"architecture": "convnet"}), blobs(50)[0])


def test_clusters_are_for_estimators_with_clusters():
    x, labels, _ = blobs(60)
    with pytest.raises(InputError, match="expected a fit of an estimator with clusters, found NoneType"):
        clusters(None, x)
    with pytest.warns(FewConditionsWarning):
        other = fit(IVAE(latent_dim=3, steps=1, hidden=4, batch_size=60), x, labels)
    with pytest.raises(InputError, match="found Fit of ivae"):
        clusters(other, x)


@pytest.mark.parametrize(("found", "labels", "value"), [
    ([0, 0, 1, 1], [5, 5, 7, 7], 1.0),
    ([0, 0, 1, 1], [5, 7, 5, 7], 0.5),
    ([3, 3, 9, 9, 9], ["a", "a", "b", "b", "a"], 0.8),
    ([0, 1, 2], [1, 1, 1], 1.0),
    ([0, 0, 0], [1, 2, 2], 2 / 3),
])
def test_accuracy_of_clusters(found, labels, value):
    assert cluster_accuracy(found, labels) == pytest.approx(value)


@pytest.mark.parametrize(("found", "labels"), [([], []), ([0, 1], [0]), ([[0]], [[0]])])
def test_accuracy_of_unlike_arrays(found, labels):
    with pytest.raises(InputError, match="a cluster and a label for each observation"):
        cluster_accuracy(found, labels)
