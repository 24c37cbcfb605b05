"""Trained models as the rest of the package takes them: conditions, equality, alignment, landscapes."""

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ident_theory as it  # noqa: E402
from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.estimators import fit  # noqa: E402
from ident_theory.estimators.exact_likelihood import ConditionalExactLikelihood, ExactLikelihood  # noqa: E402
from ident_theory.numerics import Status  # noqa: E402
from ident_theory.recovery import align_mixtures  # noqa: E402

PERMUTED = [1, 0]


def data(d=2, size=200):
    rng = np.random.default_rng(0)
    u = np.arange(size) % 5
    z = rng.normal(size=(5, d))[u] + rng.uniform(0.3, 1.5, size=(5, d))[u] * rng.normal(size=(size, d))
    return Dataset(z @ rng.normal(size=(d, 3)) + 0.1 * rng.normal(size=(size, 3)), u, z)


@cache
def model_of(name, d):
    """What one short training has learnt."""
    x, options = data(d), {"latent_dim": d, "steps": 12, "batch_size": 50, "precision": "float64"}
    if name == "exact-ml":
        return fit("exact-ml", x, components=2, hidden=3, **options).model()
    if name == "exact-ml-given-u":
        settings = {key: value for key, value in options.items() if key != "precision"}
        return fit(ConditionalExactLikelihood(hidden=3, **settings), x, precision="float64").model()
    if name == "vade":
        return fit("vade", x, components=2, encoder=(6,), decoder=(4,), pretrain_epochs=1, **options).model()
    if name == "ivae":
        return fit("ivae", x, hidden=4, layers=2, prior_mean=True, **options).model()
    return fit(name, x, hidden=4, layers=2, **options).model()


NAMES = ["vae", "ivae", "vade", "exact-ml", "exact-ml-given-u"]


def permuted(model):
    """The same law, the latents in another order."""
    first, *rest = model.decoder.weights_exact
    decoder = it.ReLUNetwork([first[:, PERMUTED], *rest], model.decoder.biases_exact,
                             model.decoder.negative_slope_exact)
    prior = model.prior
    if isinstance(prior, it.ConditionalPrior):
        return it.Model(it.ConditionalPrior(prior.family.name, prior.natural_exact[:, PERMUTED]), decoder, model.noise)
    covariances = prior.covariances_exact[:, PERMUTED][:, :, PERMUTED]
    return it.Model(it.GaussianMixture(prior.weights_exact, prior.means_exact[:, PERMUTED], covariances), decoder,
                    model.noise)


@pytest.mark.parametrize("name", NAMES)
def test_conditions_of_a_trained_model_are_decided(name):
    report = it.check(model_of(name, 1), budget=20)
    statuses = {condition: finding.status for condition, finding in report.findings.items()}
    assert statuses
    assert all(isinstance(status, Status) for status in statuses.values())
    if name in ("ivae", "exact-ml-given-u"):
        assert statuses["ivae.L"] is Status.HOLDS  # five different normal laws of one latent, k = 2


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_model_has_the_law_of_its_permutation(name):
    model = model_of(name, 2)
    assert it.equal_in_law(model, model).status is Status.HOLDS
    other = permuted(model)
    assert other != model
    assert it.equal_in_law(model, other, budget=60).status is Status.HOLDS
    shifted = it.ReLUNetwork(model.decoder.weights_exact, [*model.decoder.biases_exact[:-1],
                                                           model.decoder.biases_exact[-1] + 1],
                             model.decoder.negative_slope_exact)
    assert it.equal_in_law(model, it.Model(model.prior, shifted, model.noise), budget=60).status is Status.FAILS


def test_alignment_finds_the_permutation_of_a_trained_prior():
    model = model_of("exact-ml", 2)
    found = align_mixtures(model.prior, permuted(model).prior)
    assert found.matrix == pytest.approx(np.eye(2)[PERMUTED], abs=1e-8)
    assert found.shift == pytest.approx(0, abs=1e-8)


def test_latents_of_two_runs_are_compared():
    x = data(1)
    found = fit(ExactLikelihood(latent_dim=1, components=2, layers=1, steps=150, learning_rate=0.05), x, runs=2,
                precision="float64")
    one, other = found.latents(x)
    assert float(it.mcc(one, other)) > 0.99
    assert float(it.mcc(x.z, one)) > 0.9


def test_the_landscape_of_a_trained_model_has_its_score():
    """Along a parameter, the mean over the data at the trained value is minus the score."""
    x = data(1)
    found = fit("exact-ml", x, latent_dim=1, components=2, hidden=3, steps=40, precision="float64")
    model = found.model()
    value = float(model.prior.means[0, 0])
    line = it.landscape_slice(model, "prior.means[0,0]", np.array([value - 1, value, value + 1]), data=x.x)
    assert line.values[1] == pytest.approx(-found.scores[0], rel=1e-9)
    assert line.values[1] < max(line.values[0], line.values[2])
