"""Relaxed VQ-VAE and autoencoder: fits, images, runs apart, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import estimator, fit, load_fit, result  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.network import Batch  # noqa: E402
from ident_theory.estimators.vq_vae import Autoencoder, RelaxedVQVAE  # noqa: E402
from ident_theory.metrics import mcc  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

CLASSES = {"autoencoder": Autoencoder, "vq-vae": RelaxedVQVAE}


def clusters(rng, size=600):
    """Three tight clusters in the plane."""
    place = rng.integers(3, size=size)
    return np.array([[2.0, 0], [-2, 1], [0, -2]])[place] + 0.1 * rng.normal(size=(size, 2)), place


def bars(rng, size=60, width=8):
    """Images with a bright row or column."""
    x = 0.1 * rng.uniform(size=(size, width, width))
    place, upright = rng.integers(width, size=size), rng.random(size) < 0.5
    x[np.arange(size)[upright], place[upright]] += 0.8
    x[np.arange(size)[~upright], :, place[~upright]] += 0.8
    return Dataset(x.reshape(size, -1), image_shape=(1, width, width))


def grid(name, **settings):
    small = {"components": 6} if name == "vq-vae" else {}
    return estimator(name, **{"architecture": "grid", "channels": 4, "latent_dim": 3, "batch_size": 20, "steps": 6,
                              **small, **settings})


class TestAutoencoder(EstimatorConformance):
    """Linear ones find the principal components: latents up to an affine map."""

    uses_u = False

    @pytest.fixture
    def estimator(self):
        return Autoencoder(latent_dim=2, layers=1, steps=150, learning_rate=0.05, noise_std=1.0)


@pytest.mark.slow
class TestRelaxedVQVAE(EstimatorConformance):
    """Linear maps on both sides of the codebook: latents up to an affine map, as far as the codes reach."""

    uses_u = False
    least_mcc = 0.9

    @pytest.fixture
    def estimator(self):
        return RelaxedVQVAE(latent_dim=2, layers=1, components=32, steps=300, learning_rate=0.02, noise_std=0.5)


@pytest.mark.slow
def test_codes_settle_on_clusters():
    """A codebook of six entries: each cluster has codes of its own, and the ELBO is near the entropy of the truth."""
    x, place = clusters(np.random.default_rng(1))
    found = fit("vq-vae", x, latent_dim=2, components=6, hidden=20, steps=700, learning_rate=0.01, noise_std=0.1,
                batch_size=64, runs=3)
    # log p(x) of the truth is log(1/3) + 2 log N; codes that tell the clusters apart come within a nat.
    truth = -np.log(3) - 2 * (0.5 * np.log(2 * np.pi * 0.01) + 0.5)
    assert truth - 1 < found.best.score < truth + 0.1
    z = found.transform(x)
    centres = np.stack([z[place == k].mean(0) for k in range(3)])
    spread = np.sqrt(np.mean([z[place == k].var(0).sum() for k in range(3)]))
    assert spread < 0.5 * min(np.linalg.norm(centres[j] - centres[k]) for j in range(3) for k in range(j))


def test_the_autoencoder_reconstructs_what_codes_cannot():
    """A line: a continuous code has a better reconstruction than two entries."""
    rng = np.random.default_rng(2)
    x = np.linspace(-1, 1, 200)[:, None] * [1.0, 0.5] + 0.01 * rng.normal(size=(200, 2))
    options = {"latent_dim": 1, "hidden": 10, "steps": 200, "learning_rate": 0.02, "batch_size": 50}
    plain, coded = fit("autoencoder", x, **options), fit("vq-vae", x, components=2, **options)
    assert plain.best.score > coded.best.score + 1
    assert float(mcc(x[:, :1], plain.transform(x), "strong")) > 0.95
    assert plain.model() is None
    assert coded.model() is None


@pytest.mark.parametrize("name", CLASSES)
def test_images_have_latents_place_by_place(name):
    """Two by two places of three numbers."""
    data = bars(np.random.default_rng(3))
    found = fit(grid(name), data, runs=2)
    z = found.latents(data)
    assert z.shape == (2, 60, 4 * 3)
    assert np.isfinite(z).all()
    assert np.isfinite(found.scores).all()
    # The pixels of the encoder's output, one by one; the decoder gets them back in their places.
    network, p = found.network, found.parameters.values
    x = torch.as_tensor(data.x[:3], dtype=torch.float32)
    grids = network.encoder(p, x.view(3, 1, 8, 8).repeat(1, 2, 1, 1)).detach().view(3, 2, 3, 2, 2)
    for place, (i, j) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        np.testing.assert_allclose(z[:, :3].reshape(2, 3, 4, 3)[:, :, place], grids[..., i, j].transpose(0, 1),
                                   rtol=1e-5, atol=1e-6)
    batch = Batch(p, x.expand(2, 3, 64), None, Draws(found.seeds, torch.device("cpu"), torch.float32), found.hyper,
                  training=False)
    images = network.decoder.trunk(p, grids.view(3, 6, 2, 2)).detach().view(3, 2, 64).transpose(0, 1)
    expected = torch.distributions.Normal(images, 0.1).log_prob(batch.x).sum(-1)
    found = network.likelihoods(batch, network.codes(batch)).detach()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "architecture"), [
    ("vq-vae", "grid"), ("autoencoder", "mlp-table"), pytest.param("autoencoder", "grid", marks=pytest.mark.slow),
    *(pytest.param("vq-vae", kind, marks=pytest.mark.slow) for kind in ("mlp", "mlp-table", "convnet"))])
def test_a_run_alone_is_the_run_among_others(name, architecture):
    """In float64, with its noise, its dropout and its running statistics."""
    data = bars(np.random.default_rng(4))
    options = {"architecture": architecture, "positions": 2 if architecture != "grid" else 1}
    together = fit(grid(name, **options), data, runs=3, seed=5, precision="float64")
    alone = fit(grid(name, **options), data, runs=1, seed=6, precision="float64")
    for key, value in alone.runs[0].values().items():
        np.testing.assert_allclose(together.runs[1].values()[key], value, rtol=1e-8, atol=1e-10, err_msg=key)
    np.testing.assert_allclose(together.scores[1], alone.scores[0], rtol=1e-9)


@pytest.mark.parametrize("name", CLASSES)
def test_a_training_that_was_stopped_goes_on(name, tmp_path):
    """Running statistics and codebook come back from the store."""
    data = bars(np.random.default_rng(5))
    whole = fit(grid(name), data, runs=2, precision="float64", directory=tmp_path)
    again = load_fit(tmp_path)
    np.testing.assert_array_equal(again.latents(data), whole.latents(data))
    np.testing.assert_array_equal(again.scores, whole.scores)


def test_large_data_are_evaluated_in_parts(monkeypatch):
    """With the same latents; so few rows at once that their pixels fit in memory."""
    data = bars(np.random.default_rng(8))
    found = fit(grid("vq-vae"), data, runs=2)
    whole = found.latents(data)
    monkeypatch.setattr(result, "NUMBERS", 64 * 14)
    assert result.rows_at_once(2, 64) == 7
    np.testing.assert_allclose(found.latents(data), whole, rtol=1e-5, atol=1e-6)


def test_temperatures_may_differ_from_run_to_run():
    """A tuple of them is a sweep: each run is the one that has its temperature for all."""
    data = bars(np.random.default_rng(6))
    both = fit(grid("vq-vae", temperature=(0.1, 2.0)), data, runs=2, precision="float64")
    cold = fit(grid("vq-vae", temperature=2.0), data, runs=2, precision="float64")
    np.testing.assert_allclose(both.latents(data)[1], cold.latents(data)[1], rtol=1e-8, atol=1e-10)
    assert not np.allclose(both.latents(data)[0], cold.latents(data)[0])


def test_bernoulli_and_learnt_noise():
    """The other observations: likelihoods of pixels, a noise that shrinks to what is left."""
    data = bars(np.random.default_rng(7))
    assert fit(grid("vq-vae", observation="bernoulli"), data).best.score < 0
    with pytest.raises(InputError, match="expected x in"):
        fit(grid("vq-vae", observation="bernoulli"), Dataset(data.x + 1, image_shape=(1, 8, 8)))
    learnt = fit(grid("autoencoder", learn_noise=True, steps=40, learning_rate=0.03), data)
    variance = float(np.exp(learnt.best.values()["noise.log_variance"][0]))
    assert 0.001 < variance < 0.05


@pytest.mark.parametrize(("settings", "message"), [
    ({"architecture": "cnn"}, r"architecture: expected one of grid, mlp.*found 'cnn'"),
    ({"architecture": "grid", "positions": 2}, "positions"),
    ({"components": 1}, "components"),
    ({"temperature": 0.0}, "temperature"),
    ({"temperature": (0.5, -1.0)}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"relaxation": "hard"}, "relaxation"),
    ({"observation": "logistic"}, "observation"),
    ({"noise_std": 0}, "noise_std"),
    ({"channels": 0}, "channels"),
])
def test_settings_that_do_not_fit_are_refused(settings, message):
    """With their name."""
    with pytest.raises(InputError, match=message):
        RelaxedVQVAE(**settings)


def test_data_that_are_no_images_are_refused_by_grids():
    """And images that do not halve twice."""
    with pytest.raises(InputError, match="image_shape"):
        fit(grid("vq-vae"), np.random.default_rng(1).normal(size=(30, 64)))
    with pytest.raises(InputError, match="multiples of 4"):
        fit(grid("vq-vae"), Dataset(np.zeros((30, 36)), image_shape=(1, 6, 6)))
