"""Exact likelihoods beside scores."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ident_theory as it  # noqa: E402
from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError, UnsupportedError  # noqa: E402
from ident_theory.estimators import fit  # noqa: E402
from ident_theory.estimators.exact_side import beside  # noqa: E402
from ident_theory.laws.equality import normal_given  # noqa: E402


def data(size=240, d=1, n=2, seed=0):
    """Five conditions with their own means and scales, mixed linearly."""
    rng = np.random.default_rng(seed)
    u = np.arange(size) % 5
    z = rng.normal(size=(5, d))[u] + rng.uniform(0.3, 1.5, size=(5, d))[u] * rng.normal(size=(size, d))
    return Dataset(z @ rng.normal(size=(d, n)) + 0.1 * rng.normal(size=(size, n)), u, z)


def trained(name, d, **options):
    options = {"hidden": 4, "steps": 30, "latent_dim": d, "batch_size": 40, **options}
    return fit(name, data(d=d), runs=2, **options)


@pytest.mark.parametrize("d", [1, 2])
def test_the_elbo_of_an_ivae_lies_below_the_likelihood_given_u(d):
    found, x = trained("ivae", d, layers=2, noise_std=0.5), data(d=d)
    report = beside(found[1], x, samples=8)
    model = found[1].model()
    by_hand = np.concatenate([
        it.law(it.Model(normal_given(model.prior, k), model.decoder, model.noise)).log_density(x.x[x.u == k])
        for k in range(5)])
    assert report.log_likelihood == pytest.approx(by_hand.mean(), rel=1e-10)
    assert report.score == pytest.approx(found.score(x, samples=8)[1], rel=1e-5)
    assert report.gap == pytest.approx(report.log_likelihood - report.score, rel=1e-9)
    assert report.gap > 3 * report.gap_error > 0
    assert (report.rows, report.score_name) == (len(x), "ELBO")
    assert report.route == ("closed form" if d == 1 else "polygons")
    assert 0 <= report.error < 1e-9


def test_where_the_posterior_is_exact_there_is_no_gap():
    """A linear VAE with its encoder set to the posterior: gap zero but for the noise of the sampled score."""
    x = data().x
    found = fit("vae", x, latent_dim=1, layers=1, noise_std=0.5, steps=1, precision="float64")
    values = found.parameters.values
    weight, bias = values["decoder.weight0"][0], values["decoder.bias0"][0]
    precision = 1 + float(weight.detach().square().sum()) / 0.5**2
    with torch.no_grad():
        gain = weight.T / 0.5**2 / precision
        values["encoder.weight0"][0] = torch.stack([gain, 0 * gain]).view_as(values["encoder.weight0"][0])
        values["encoder.bias0"][0] = torch.stack([-(bias @ gain), -torch.log(torch.full((1,), precision).double())])
    report = beside(found[0], x, samples=400)
    # One draw errs by |weight| / s times the posterior's standard deviation, of the order of one.
    assert abs(report.gap) < 5 * report.gap_error
    assert report.gap_error < 0.02


def test_exact_maximum_likelihood_has_no_gap():
    found = trained("exact-ml", 1, components=2, precision="float64", steps=5)
    report = beside(found[0], data(), most=50)
    assert report.rows == 50
    assert report.gap == pytest.approx(0, abs=1e-11)
    assert report.score_name == "log-likelihood"


def test_what_has_no_exact_likelihood_is_refused():
    with pytest.raises(UnsupportedError, match="one or two latents, found 3"):
        beside(fit("vae", data(n=3).x, latent_dim=3, hidden=4, steps=1)[0], data(n=3))
    with pytest.raises(UnsupportedError, match="prior of normal laws, found the family laplace"):
        beside(fit("vae", data().x, latent_dim=1, hidden=4, steps=1, prior="laplace")[0], data())
    two = trained("ivae", 2, steps=1)
    with pytest.raises(UnsupportedError, match="more than 3 cells"):
        beside(two[0], data(d=2), cells=3)
    with pytest.raises(InputError, match="conditions u"):
        beside(two[0], data(d=2).x)
    with pytest.raises(InputError, match="most: expected a whole number"):
        beside(two[0], data(d=2), most=0)


def test_flows_and_estimators_without_a_model_are_refused():
    found = fit("gin", data(n=2), steps=1, hidden=(4,), batch_size=120)
    with pytest.raises(UnsupportedError, match=r"expected a network with .* found DeclaredMap and NoneType"):
        beside(found[0], data(n=2))
    found = fit("autoencoder", data().x, latent_dim=1, steps=1)
    with pytest.raises(UnsupportedError, match="autoencoder learns no Model"):
        beside(found[0], data())
