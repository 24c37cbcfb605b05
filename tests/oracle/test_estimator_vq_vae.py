"""The objective of the relaxed VQ-VAE against sums over all codes, and its temperatures against their limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork, law  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.network import Batch, Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402
from ident_theory.estimators.vq_vae import RelaxedVQVAE  # noqa: E402

SEEDS = (3, 4)


def made(n=3, d=2, positions=2, components=3, temperature=0.5, relaxation="gumbel", **options):
    """A network with two runs, their parameters, and a batch maker."""
    estimator = RelaxedVQVAE(latent_dim=d, positions=positions, components=components, temperature=temperature,
                             relaxation=relaxation, **{"hidden": 4, "noise_std": 0.7, **options})
    network = estimator.network(Shape(10, n, d))
    p = Parameters(network.parameters(), SEEDS, torch.device("cpu"), torch.float64)
    with torch.no_grad():
        p.values["codebook.entries"].normal_(generator=torch.Generator().manual_seed(7))
    return estimator, network, p


def batch_of(estimator, p, x, *, step=0, training=True):
    draws = Draws(SEEDS, torch.device("cpu"), torch.float64)
    draws.step = step
    return Batch(p.values, x, None, draws, estimator.hyper(2, torch.device("cpu"), torch.float64), training=training)


def points(size, n=3):
    return torch.randn(2, size, n, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def by_hand(network, p, x, run, positions, components):
    """For each row: (log q, log p(x | k)) of all codes k, by loops."""
    entries = p.values["codebook.entries"][run].detach()
    values = {name: value[run:run + 1].detach() for name, value in p.values.items()}
    h = network.encoder(values, x[None])[0].detach().view(len(x), positions, -1)
    std = network.settings.noise_std
    out = []
    for row in range(len(x)):
        single = torch.stack([torch.stack([-0.5 * (h[row, l] - e).square().sum() for e in entries])
                              for l in range(positions)])
        single = single - torch.logsumexp(single, 1, keepdim=True)
        found = []
        for code in itertools.product(range(components), repeat=positions):
            z = torch.cat([entries[k] for k in code])
            mean = network.decoder(values, z.view(1, 1, -1)).detach()[0, 0]
            density = torch.distributions.Normal(mean, std).log_prob(x[row]).sum()
            found.append((float(sum(single[l, k] for l, k in enumerate(code))), float(density)))
        out.append(np.array(found))
    return out


@pytest.mark.parametrize("positions", [1, 2])
def test_the_score_is_the_elbo_and_below_the_evidence(positions):
    """Its mean over 4,000 draws is the exact sum over codes, within five standard errors, and the sum is a bound."""
    estimator, network, p = made(positions=positions)
    x = points(4)
    repeated = x.repeat(1, 4000, 1)
    scores = network.score(batch_of(estimator, p, repeated, training=False)).detach().view(2, 4000, 4)
    for run in range(2):
        for row, table in enumerate(by_hand(network, p, x[run], run, positions, 3)):
            log_q, density = table.T
            assert math.isclose(np.exp(log_q).sum(), 1, rel_tol=1e-12)
            prior = -positions * math.log(3)
            exact = (np.exp(log_q) * (density + prior - log_q)).sum()
            evidence = np.logaddexp.reduce(density + prior)
            assert exact < evidence
            found = scores[run, :, row]
            assert abs(float(found.mean()) - exact) < 5 * float(found.std()) / math.sqrt(4000) + 1e-9


def test_the_bound_is_the_density_of_a_gaussian_mixture_where_the_posterior_is_exact():
    """Encoder and decoder the identity, noise one: the responsibilities are p(k | x), so that the ELBO is log p(x).

    The evidence is the package's exact law of a mixture with identity covariances, equal weights and means e_k.
    """
    _, network, p = made(n=2, d=2, positions=1, components=4, layers=1, noise_std=1.0)
    with torch.no_grad():
        for part in ("encoder", "decoder"):
            p.values[f"{part}.weight0"].copy_(torch.eye(2).expand(2, 2, 2))
            p.values[f"{part}.bias0"].zero_()
    x = points(6, 2)
    for run in range(2):
        means = p.values["codebook.entries"][run].detach().numpy()
        # The package's laws have components with a density: half of the variance goes to them, half to the noise.
        prior = GaussianMixture([0.25] * 4, means, [np.eye(2) / 2] * 4)
        identity = ReLUNetwork([np.eye(2)], [np.zeros(2)])
        exact = law(Model(prior, identity, GaussianNoise(std=math.sqrt(0.5)))).log_density(x[run].numpy())
        tables = by_hand(network, p, x[run], run, 1, 4)
        bound = [(np.exp(q) * (density - math.log(4) - q)).sum() for q, density in (table.T for table in tables)]
        np.testing.assert_allclose(bound, exact, rtol=1e-9)


@pytest.mark.parametrize("relaxation", ["gumbel", "mean"])
def test_small_temperatures_make_hard_codes(relaxation):
    """One entry a place: the nearest one without noise; with it the loss is then the ELBO of the drawn codes."""
    estimator, network, p = made(temperature=1e-6, relaxation=relaxation)
    x = points(50)
    batch = batch_of(estimator, p, x)
    codes = network.codes(batch)
    log_chances = network.log_responsibilities(p.values, codes)
    z = network.relaxed(batch, log_chances).detach()
    gaps = torch.cdist(z.flatten(1, 2), p.values["codebook.entries"].detach())
    assert float(gaps.min(-1).values.max()) < 1e-6
    if relaxation == "mean":
        near = torch.cdist(codes.flatten(1, 2), p.values["codebook.entries"]).argmin(-1)
        assert torch.equal(gaps.argmin(-1), near)
    else:
        expected = -network.score(batch).mean(1)
        torch.testing.assert_close(network.loss(batch).detach(), expected.detach(), rtol=1e-6, atol=1e-6)


def test_drawn_codes_have_the_chances_of_the_posterior():
    """Frequencies over 20,000 draws, within five standard errors."""
    estimator, network, p = made(temperature=1e-3, positions=1)
    x = points(1).expand(2, 20000, 3).contiguous()
    batch = batch_of(estimator, p, x)
    log_chances = network.log_responsibilities(p.values, network.codes(batch))
    z = network.relaxed(batch, log_chances).detach()
    near = torch.cdist(z.flatten(1, 2), p.values["codebook.entries"].detach()).argmin(-1)
    chances = log_chances[:, 0, 0].detach().exp()
    for run in range(2):
        found = torch.bincount(near[run], minlength=3) / 20000
        assert bool(((found - chances[run]).abs() < 5 * (chances[run] / 20000).sqrt() + 1e-4).all())


@pytest.mark.parametrize("relaxation", ["gumbel", "mean"])
def test_large_temperatures_make_the_mean_of_the_codebook(relaxation):
    """Uniform weights, whatever x."""
    estimator, network, p = made(temperature=1e9, relaxation=relaxation)
    batch = batch_of(estimator, p, points(20))
    z = network.relaxed(batch, network.log_responsibilities(p.values, network.codes(batch)))
    mean = p.values["codebook.entries"].mean(1)[:, None, None].expand_as(z)
    torch.testing.assert_close(z, mean, rtol=1e-6, atol=1e-6)


def test_temperature_one_without_noise_is_the_posterior_mean():
    """By a loop over the entries."""
    estimator, network, p = made(temperature=1.0, relaxation="mean", positions=1)
    x = points(3)
    batch = batch_of(estimator, p, x)
    z = network.relaxed(batch, network.log_responsibilities(p.values, network.codes(batch))).detach()
    for run in range(2):
        entries = p.values["codebook.entries"][run].detach().numpy()
        for row, table in enumerate(by_hand(network, p, x[run], run, 1, 3)):
            np.testing.assert_allclose(z[run, row, 0], np.exp(table[:, 0]) @ entries, rtol=1e-10)


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(0, 4), st.integers(2, 6))
def test_responsibilities_are_those_of_a_mixture_with_identity_covariances(shift, scale, components):
    """Against exp(-|h - e|^2 / 2) normalised; they do not change when codes and entries move together."""
    _, network, p = made(components=components)
    rng = np.random.default_rng(components)
    codes = torch.as_tensor(scale * rng.normal(size=(2, 5, 2, 2)))
    entries = p.values["codebook.entries"].detach()
    found = network.log_responsibilities(p.values, codes).detach()
    weights = np.exp(-0.5 * ((codes[..., None, :] - entries[:, None, None]).square().sum(-1)).numpy())
    np.testing.assert_allclose(found.exp(), weights / weights.sum(-1, keepdims=True), rtol=1e-9, atol=1e-300)
    moved = network.log_responsibilities({"codebook.entries": entries + shift}, codes + shift)
    torch.testing.assert_close(moved, found, rtol=1e-9, atol=1e-9)
    chances = found.exp()
    expected = torch.special.xlogy(chances, components * chances).sum((2, 3))
    torch.testing.assert_close(network.divergence(found), expected, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    """Of the relaxed objective in the codebook, noise held fixed."""
    estimator, network, p = made(temperature=0.7)
    x = points(4)
    p.differentiate(network.loss(batch_of(estimator, p, x)).sum(), ("codebook",), p.columns(("codebook",)))
    found = p.gradient[:, p.columns(("codebook",))].view(2, 3, 2).clone()
    entries = p.values["codebook.entries"]
    for index in itertools.product(range(2), range(3), range(2)):
        losses = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                entries[index] += step
                losses.append(float(network.loss(batch_of(estimator, p, x))[index[0]]))
                entries[index] -= step
        assert math.isclose((losses[0] - losses[1]) / 2e-6, float(found[index]), rel_tol=1e-5, abs_tol=1e-7)
