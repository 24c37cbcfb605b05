"""The ELBO of VaDE against the exact law: equal where q is the posterior, below elsewhere, between by importance."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.special import logsumexp  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory.estimators import fit  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.network import Batch  # noqa: E402
from ident_theory.estimators.vade import VaDE  # noqa: E402


def batch_of(found, x, phase="train"):
    """All observations as one batch of a fit, float64."""
    values = {name: value.detach().double() for name, value in found.parameters.values.items()}
    draws = Draws(found.seeds, torch.device("cpu"), torch.float64, "test")
    tensor = torch.as_tensor(x, dtype=torch.float64).expand(len(found), -1, -1)
    return Batch(values, tensor, None, draws, found.hyper, phase=phase, training=False)


def sampled_scores(network, found, x, count):
    """`count` one-sample ELBOs of each observation, shape (count, N)."""
    return network.score(batch_of(found, np.tile(x, (count, 1))))[0].numpy().reshape(count, len(x))


@pytest.mark.parametrize("objective", ["marginal", "vade"])
def test_the_exact_posterior_gives_the_exact_likelihood(objective):
    """One component, a decoder W z + b with orthogonal columns: the posterior is factorial, and put into the encoder.

    The marginal bound is then the log-likelihood whatever is drawn; the other one, whose divergence is in closed
    form, in the mean over draws.
    """
    rng = np.random.default_rng(0)
    n, d, std = 4, 2, 0.3
    w = np.linalg.qr(rng.normal(size=(n, d)))[0] * [1.5, 0.7]
    b, mean, variance = rng.normal(size=n), rng.normal(size=d), np.array([0.5, 2.0])
    x = rng.normal(size=(30, n)) * 2
    found = fit(VaDE(latent_dim=d, components=1, encoder=(), decoder=(), steps=1, pretrain_epochs=0, noise_std=std,
                     objective=objective, batch_size=30), x, precision="float64")
    precision = 1 / variance + (w**2).sum(0) / std**2
    # The posterior mean is P^{-1} (W^T (x - b) / s^2 + mean / variance), affine in x.
    slope = (w / std**2) / precision
    parameters = found.parameters
    parameters.set("decoder.weight0", torch.as_tensor(w.T))
    parameters.set("decoder.bias0", torch.as_tensor(b))
    parameters.set("prior.means", torch.as_tensor(mean))
    parameters.set("prior.log_variances", torch.as_tensor(np.log(variance)))
    parameters.set("encoder.weight0", torch.as_tensor(np.hstack([slope, np.zeros((n, d))])))
    parameters.set("encoder.bias0", torch.as_tensor(np.concatenate([mean / variance / precision - b @ slope,
                                                                    -np.log(precision)])))
    exact = it.law(found.model()).log_density(x)
    draws = sampled_scores(found.network, found, x, 4000)
    if objective == "marginal":
        np.testing.assert_allclose(draws, np.broadcast_to(exact, draws.shape), rtol=1e-10)
        return
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - exact) < 5 * error).all()
    assert error.max() < 0.1


@pytest.mark.parametrize("covariance", [pytest.param("diagonal", marks=pytest.mark.slow), "full"])
def test_trained_bounds_lie_below_the_exact_law_in_their_order(covariance):
    """Two latents, three clusters, a ReLU decoder: the law by polygons, and an importance-weighted estimate of it."""
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=400)
    z = np.array([[0, 0], [3, 0], [0, 3]])[labels] + 0.5 * rng.normal(size=(400, 2))
    x = np.column_stack([z[:, 0] + 0.5 * np.abs(z[:, 1]), z[:, 1]]) + 0.3 * rng.normal(size=(400, 2))
    found = fit(VaDE(latent_dim=2, components=3, encoder=(16,), decoder=(4,), steps=150, pretrain_epochs=15,
                     batch_size=50, noise_std=0.5, covariance=covariance, learning_rate=1e-2), x)
    points = x[:12]
    exact = it.law(found.model()).log_density(points)
    scores = {}
    for objective in ("marginal", "vade", "sampled"):
        network = VaDE(**{**vars(found.estimator), "objective": objective}).network(found.network.shape)
        scores[objective] = sampled_scores(network, found, points, 2000)
    means = {name: value.mean(0) for name, value in scores.items()}
    errors = {name: value.std(0) / np.sqrt(2000) for name, value in scores.items()}
    assert (means["marginal"] <= exact + 5 * errors["marginal"]).all()
    assert (means["vade"] <= means["marginal"] + 5 * (errors["marginal"] + errors["vade"])).all()
    assert (means["sampled"] <= means["vade"] + 5 * (errors["sampled"] + errors["vade"])).all()
    # Weights exp(log p(x, z) - log q(z | x)) have the mean p(x): the marginal bound is their logarithm.
    weighted = logsumexp(scores["marginal"], axis=0) - np.log(2000)
    ratios = np.exp(scores["marginal"] - weighted)
    assert (np.abs(weighted - exact) < 6 * ratios.std(0) / np.sqrt(2000) + 1e-3).all()
    assert (weighted >= means["marginal"]).all()


def test_pretraining_is_the_error_of_the_reconstruction():
    """In torch's own layers."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 3))
    found = fit(VaDE(latent_dim=2, components=2, encoder=(5,), decoder=(4,), steps=1, pretrain_epochs=1,
                     batch_size=20), x, precision="float64")
    values = found[0].values()
    h = np.tensordot(x, values["encoder.weight0"], 1) + values["encoder.bias0"]
    h = np.where(h > 0, h, 0.01 * h) @ values["encoder.weight1"] + values["encoder.bias1"]
    h = h[:, :2] @ values["decoder.weight0"] + values["decoder.bias0"]
    h = np.where(h > 0, h, 0.01 * h) @ values["decoder.weight1"] + values["decoder.bias1"]
    expected = 0.5 * ((x - h)**2).sum(1).mean()
    assert float(found.network.loss(batch_of(found, x, "pretrain"))[0]) == pytest.approx(expected, rel=1e-10)
