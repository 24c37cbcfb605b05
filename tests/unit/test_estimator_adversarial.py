"""iVAE-GAN and ICE-BeeM: settings, who moves what, runs as if alone, learning, models."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import FewConditionsWarning, estimator, fit, load_fit  # noqa: E402
from ident_theory.estimators.ice_beem import ICEBeeM  # noqa: E402
from ident_theory.estimators.ivae_gan import IVAEGAN  # noqa: E402
from ident_theory.estimators.plan import Cosine  # noqa: E402
from ident_theory.models import ConditionalPrior, ReLUNetwork  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

JOINT = {"sees": "x,z,u", "divergence": 0.0}
GANS = [{}, {"source": "prior", "reconstruction": 1.0}, {"sees": "x,u", "instance_noise": 0.1}, JOINT,
        {**JOINT, "gradient_penalty": 0.1, "prior_mean": True}]
BEEMS = [{}, {"noise": "gaussian", "base": False}, {"noise": "conditional", "positive": True},
         {"objective": "dsm", "activation": "softplus"}]


def small(kind, **options):
    """Two steps' worth of a small estimator."""
    sizes = {"hidden": 5, "layers": 3, "batch_size": 32, "steps": 4, **options}
    return IVAEGAN(**{"discriminator_hidden": 6, "discriminator_layers": 3, **sizes}) if kind == "gan" else \
        ICEBeeM(**sizes)


def data(seed=0, size=330, conditions=5):
    """Two sources with means and variances by condition, rotated."""
    rng = np.random.default_rng(seed)
    u = np.arange(size) % conditions
    z = (rng.uniform(-3, 3, size=(conditions, 2))[u]
         + rng.normal(size=(size, 2)) * rng.uniform(0.3, 1.5, size=(conditions, 2))[u])
    return Dataset(z @ np.linalg.qr(rng.normal(size=(2, 2)))[0], u, z)


@pytest.mark.parametrize(("name", "options", "words"), [
    ("ivae-gan", {"sees": "z"}, "sees: expected one of x, x,u, x,z,u, found 'z'"),
    ("ivae-gan", {"source": "data"}, "source: expected one of posterior, prior"),
    ("ivae-gan", {"discriminator_hidden": 0}, "discriminator_hidden: expected a whole number >= 1"),
    ("ivae-gan", {"discriminator_steps": 1.5}, "discriminator_steps: expected a whole number"),
    ("ivae-gan", {"divergence": -1.0}, "divergence: expected numbers >= 0, found -1.0"),
    ("ivae-gan", {"reconstruction": (1.0, -1.0)}, "reconstruction: expected numbers >= 0"),
    ("ivae-gan", {"gradient_penalty": float("nan")}, "gradient_penalty: expected a number"),
    ("ivae-gan", {"discriminator_rate": 0}, "discriminator_rate: expected a finite number > 0"),
    ("ivae-gan", {"observation": "bernoulli"}, "observation: expected 'gaussian'"),
    ("ivae-gan", {"annealed": True, "exact_kl": False}, "annealed: expected False"),
    ("ivae-gan", {"learn_noise": True}, "expected reconstruction > 0"),
    ("ice-beem", {"noise": "flow"}, "noise: expected one of gaussian, mixture, conditional, found 'flow'"),
    ("ice-beem", {"objective": "nce"}, "objective: expected one of contrast, dsm"),
    ("ice-beem", {"statistic": "cubes"}, "statistic: expected one of both, linear, squares"),
    ("ice-beem", {"base": 1}, "base: expected True or False"),
    ("ice-beem", {"layers": 0}, "layers: expected a whole number >= 1"),
    ("ice-beem", {"noise_std": 0.0}, "noise_std: expected numbers > 0"),
])
def test_settings_are_checked(name, options, words):
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        estimator(name, **options)


def test_conditions_are_needed_and_enough():
    x = np.random.default_rng(0).normal(size=(40, 2))
    for kind in ("gan", "beem"):
        with pytest.raises(InputError, match="expected conditions u"):
            small(kind).fit(x)
        with pytest.raises(InputError, match="at least two conditions"):
            small(kind).fit(x, np.zeros(40, int))
    with pytest.warns(FewConditionsWarning, match="= 5"):
        small("beem").fit(x, np.arange(40) % 3)
    small("beem", statistic="squares").fit(x, np.arange(40) % 3)


@pytest.mark.parametrize(("kind", "options"), [*(("gan", o) for o in GANS), *(("beem", o) for o in BEEMS)])
def test_a_run_alone_is_the_run_with_others(kind, options):
    """To rounding, whatever the objective; a run that fails does not count."""
    chosen, sets = small(kind, **options), data()
    together = fit(chosen, sets, runs=3, seed=4, precision="float64")
    alone = fit(chosen, sets, runs=1, seed=5, precision="float64")
    for name, value in alone[0].values().items():
        np.testing.assert_allclose(together[1].values()[name], value, rtol=1e-7, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(together.scores[1], alone.scores[0], rtol=1e-7)
    failing = fit(replace(chosen, learning_rate=(1e-3, 1e-3, 1e300)), sets, runs=3, seed=4, precision="float64")
    assert failing.alive == (True, True, False)
    np.testing.assert_array_equal(failing.latents(sets)[:2], together.latents(sets)[:2])


@pytest.mark.parametrize("options", GANS)
def test_each_objective_moves_its_own_networks(options):
    """The discriminator at every step, the others at every second one."""
    runs = [fit(small("gan", steps=steps, discriminator_steps=2, **options), data())[0].values() for steps in (1, 2, 3)]
    for name, values in runs[0].items():
        moved = [not np.array_equal(values, other[name]) for other in runs[1:]]
        assert moved[0] == name.startswith("discriminator"), name
        assert moved[1], name


def test_settings_that_differ_from_run_to_run():
    """As if each run had been trained with its own."""
    keys = {"divergence": (0.0, 2.0), "reconstruction": (1.0, 0.0), "gradient_penalty": (0.0, 0.3),
            "instance_noise": (0.2, 0.0)}
    both = fit(small("gan", sees="x,u", **keys), data(), runs=2, precision="float64")
    for run in range(2):
        one = small("gan", sees="x,u", **{key: value[run] for key, value in keys.items()})
        alone = fit(one, data(), runs=1, seed=run, precision="float64")
        for name, value in alone[0].values().items():
            np.testing.assert_allclose(both[run].values()[name], value, rtol=1e-6, atol=1e-9, err_msg=name)
    stds = fit(small("beem", objective="dsm", noise_std=(0.1, 0.5)), data(), runs=2, seed=0)
    assert stds.scores[0] != stds.scores[1]


@pytest.mark.parametrize("source", ["posterior", "prior"])
def test_the_learned_model_generates_without_noise(source):
    fitted = fit(small("gan", source=source), data())
    model = fitted.model()
    assert isinstance(model.prior, ConditionalPrior)
    assert isinstance(model.decoder, ReLUNetwork)
    assert model.noise is None
    z = np.random.default_rng(0).normal(size=(6, 2))
    network, p = fitted.network, fitted.parameters.values
    wanted = network.decoder(p, torch.tensor(z, dtype=torch.float32)[None])[0].detach().numpy()
    np.testing.assert_allclose(model.decoder(z), wanted, atol=1e-5)
    assert fit(small("beem"), data()).model() is None


@pytest.mark.parametrize("kind", ["gan", "beem"])
def test_a_training_is_read_back(kind, tmp_path):
    options = {"schedule": Cosine(), **(JOINT if kind == "gan" else {"noise": "conditional"})}
    fitted = fit(small(kind, **options), data(), runs=2, directory=tmp_path)
    again = load_fit(tmp_path)
    assert again.estimator == fitted.estimator
    np.testing.assert_array_equal(again.latents(data()), fitted.latents(data()))
    np.testing.assert_array_equal(again.score(data()), fitted.scores)


def test_conditions_with_a_single_row_and_flat_data_are_noise_all_the_same():
    """A covariance that is zero, or singular, is widened."""
    x = np.zeros((30, 3))
    x[:, 0] = np.random.default_rng(0).normal(size=30)
    u = np.r_[0, np.arange(29) % 4 + 1]
    with pytest.warns(FewConditionsWarning):
        fitted = small("beem", noise="conditional").fit(x, u)
    assert fitted.alive == (True,)
    assert np.isfinite(fitted.scores).all()


def test_the_features_are_the_positive_part():
    fitted = fit(small("beem", positive=True), data())
    f = fitted.latents(data())
    assert f.min() == 0
    raw = fitted.network.features(fitted.parameters.values, torch.tensor(data().x, dtype=torch.float32)[None])
    np.testing.assert_allclose(f[0], np.maximum(raw[0].detach().numpy(), 0), rtol=1e-6)


def test_contrast_rises_from_chance():
    """A classifier of chance has log-likelihood -2 log 2, no more than which an untrained one reaches."""
    fitted = fit(small("beem", hidden=16, steps=150, noise="gaussian", learning_rate=1e-2), data(size=1000))
    assert fitted.scores[0] > -2 * math.log(2) + 0.1


def test_reconstruction_ties_the_encoder_to_the_data():
    """Without it the posterior becomes the prior, which correlates with x through u alone."""
    sets = data(size=1000)
    settings = small("gan", hidden=16, steps=150, learning_rate=5e-3, divergence=5.0)
    left, tied = fit(replace(settings, reconstruction=(0.0, 1.0)), sets, runs=2).runs
    assert tied.score > left.score + 10
    spreads = [np.mean([np.std(run.transform(sets)[sets.u == k], axis=0).max() for k in range(5)])
               for run in (left, tied)]
    assert spreads[0] < 0.5 * spreads[1]


class Adapter:
    """An estimator as the conformance kit calls it."""

    def __init__(self, settings):
        self.settings = settings

    def fit(self, x, u, rng):
        return self.settings.fit(x, u, rng, precision="float64")


class TestIVAEGAN(EstimatorConformance):
    transform_uses_u = True

    @pytest.fixture
    def estimator(self):
        return Adapter(small("gan", latent_dim=2, sees="x,u", reconstruction=1.0, prior_mean=True, hidden=16, epochs=6,
                             steps=None, learning_rate=5e-3))


class TestICEBeeM(EstimatorConformance):
    transform_uses_u = True
    # Observations have four coordinates with little noise in two: a short training gets this far.
    least_mcc = 0.8

    @pytest.fixture
    def estimator(self):
        return Adapter(small("beem", latent_dim=2, hidden=16, epochs=6, steps=None, learning_rate=5e-3))
