"""MFCVAE: ladder, progressive training, clusters of each facet, exact models; one facet is VaDE."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.special import log_softmax, logsumexp, softmax  # noqa: E402
from scipy.stats import bernoulli, norm  # noqa: E402

import ident_theory as it  # noqa: E402
from ident_theory.errors import InputError, UnsupportedError  # noqa: E402
from ident_theory.estimators import fit, load_fit  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.mfcvae import MFCVAE  # noqa: E402
from ident_theory.estimators.mixture_networks import cluster_accuracy, clusters  # noqa: E402
from ident_theory.estimators.network import Batch, Shape  # noqa: E402
from ident_theory.estimators.vade import VaDE  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

SMALL = {"facets": (2, 1), "components": (3, 2), "encoder": (12, 10), "decoder": (9, 8, 7), "steps": 12,
         "fade_steps": 6, "batch_size": 50, "observation": "gaussian", "learning_rate": 2e-3}


def two_ways(size=300, seed=0):
    """Observations with two independent clusterings, three and two clusters; both labels."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(3, size=size), rng.integers(2, size=size)
    z = np.column_stack([np.array([[0, 0], [4, 0], [0, 4]])[first], 6 * second]) + 0.3 * rng.normal(size=(size, 3))
    x = z @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:3] + 0.1 * rng.normal(size=(size, 5))
    return x, first, second


def batch_of(found, x, seed=None, **options):
    """All observations as one batch of a fit, float64."""
    values = {name: value.detach().double() for name, value in found.parameters.values.items()}
    draws = Draws(found.seeds if seed is None else seed, torch.device("cpu"), torch.float64, "test")
    tensor = torch.as_tensor(x, dtype=torch.float64).expand(len(found), -1, -1)
    return Batch(values, tensor, None, draws, found.hyper, **options)


@pytest.mark.slow
class TestMFCVAE(EstimatorConformance):
    """A linear decoder would need no facets; with both of them all latents are there."""

    uses_u = False

    @pytest.fixture
    def estimator(self):
        return MFCVAE(facets=(1, 1), components=(3, 3), encoder=(24, 24), decoder=(24, 24), steps=80, fade_steps=20,
                      batch_size=60, observation="gaussian", learning_rate=1e-2, activation="leaky_relu", slope=0.5)


def test_the_facets_join_one_after_the_other():
    network = MFCVAE(**SMALL | {"facets": (1, 1, 2), "components": (2, 2, 2), "encoder": (4, 4, 4)}).network(
        Shape(100, 5, 4))
    assert [(phase.name, phase.steps) for phase in network.phases()] == [("facet 2", 12), ("facet 1", 12),
                                                                         ("facet 0", 12)]
    found = fit(network.settings, two_ways(100)[0])
    x = two_ways(5)[0]
    for phase, progress, expected in (("facet 2", 0.0, [0, 0, 1]), ("facet 2", 0.9, [0, 0, 1]),
                                      ("facet 1", 0.0, [0, 0, 1]), ("facet 1", 0.25, [0, 0.5, 1]),
                                      ("facet 1", 0.5, [0, 1, 1]), ("facet 0", 1 / 12, [1 / 6, 1, 1]),
                                      ("train", 0.0, [1, 1, 1])):
        assert network.shares(batch_of(found, x, phase=phase, progress=progress)) == pytest.approx(expected)
    one = MFCVAE(**SMALL | {"progressive": False}).network(Shape(100, 5, 3))
    assert [(phase.name, phase.steps) for phase in one.phases()] == [("train", 12)]


def test_a_facet_that_has_not_joined_gets_no_gradient():
    x = two_ways(50)[0]
    found = fit(MFCVAE(**SMALL), x, precision="float64")
    values = found.parameters.values
    for phase, moved in (("facet 1", False), ("facet 0", True)):
        batch = batch_of(found, x, phase=phase, progress=0.4)
        batch.p = values
        loss = found.network.loss(batch).sum()
        names = ["encoder.branch0.weight0", "decoder.rung0.weight0", "prior.facet0.means"]
        parts = torch.autograd.grad(loss, [values[name] for name in names], allow_unused=True, materialize_grads=True)
        assert [bool(part.abs().max() > 0) for part in parts] == [moved] * 3


@pytest.mark.parametrize("observation", ["gaussian", "bernoulli"])
def test_the_objective_by_its_five_terms(observation):
    """As the published code adds them up: p(x | z), p(z | c), p(c), q(z | x), q(c | x)."""
    x = two_ways(20)[0]
    x = (x > 0).astype(float) if observation == "bernoulli" else x
    found = fit(MFCVAE(**SMALL | {"observation": observation}), x, runs=2, precision="float64")
    network, batch = found.network, batch_of(found, x)
    means, log_variances = ([part.numpy() for part in parts] for parts in network.posteriors(batch))
    noises = np.split(batch.draws.normal("posterior", 20, 3).numpy(), [2], axis=-1)
    scores = network.score(batch).numpy()
    for run in range(2):
        values = found[run].values()
        z, total = [], np.zeros(20)
        for j in range(2):
            m, s = means[j][run], np.exp(log_variances[j][run] / 2)
            z.append(m + s * noises[j][run])
            weights = softmax(values[f"prior.facet{j}.logits"])
            parts = np.stack([norm(values[f"prior.facet{j}.means"][c],
                                   np.exp(values[f"prior.facet{j}.log_variances"][c] / 2)).logpdf(z[j]).sum(1)
                              for c in range(len(weights))], -1)
            log_chances = log_softmax(parts + np.log(weights), axis=1)
            terms = parts + np.log(weights) - log_chances
            total += (np.exp(log_chances) * terms).sum(1) - norm(m, s).logpdf(z[j]).sum(1)
        output = network.decode({name: torch.as_tensor(value)[None] for name, value in values.items()},
                                [torch.as_tensor(part)[None] for part in z])[0].numpy()
        total += (norm(output, 0.1).logpdf(x) if observation == "gaussian"
                  else bernoulli(1 / (1 + np.exp(-output))).logpmf(x)).sum(1)
        np.testing.assert_allclose(scores[run], total, rtol=1e-9)


def test_one_facet_is_vade():
    """Same networks, same numbers, same bound."""
    x = two_ways(40)[0]
    one = fit(MFCVAE(facets=(2,), components=(3,), encoder=(6,), decoder=(7, 5), steps=2, batch_size=40,
                     observation="gaussian", activation="leaky_relu"), x, precision="float64")
    other = VaDE(latent_dim=2, components=3, encoder=(6,), decoder=(7, 5), steps=1, objective="marginal"
                 ).network(Shape(40, 5, 2))
    batch = batch_of(one, x)
    expected = one.network.score(batch)
    names = {"encoder.layer0.": ("encoder.", 0), "encoder.branch0.": ("encoder.", 1), "prior.facet0.": ("prior.", None),
             **{f"decoder.layer{k}.": ("decoder.", k) for k in range(3)}}
    renamed = {}
    for name, value in batch.p.items():
        prefix = next(key for key in names if name.startswith(key))
        target, layer = names[prefix]
        rest = name.removeprefix(prefix)
        renamed[target + (rest if layer is None else rest.replace("0", str(layer)))] = value
    assert set(renamed) == set(other.parameters())
    batch.p = renamed
    np.testing.assert_allclose(other.score(batch).numpy(), expected.numpy(), rtol=1e-10)


@pytest.mark.parametrize(("activation", "slope"), [("relu", 0.01), ("leaky_relu", 0.25)])
@pytest.mark.parametrize("decoder", [(6, 5, 4), (4, 6, 3, 5)])
def test_the_ladder_as_one_network(activation, slope, decoder):
    """Three facets; the exact network evaluates to what the ladder gives, both in float64."""
    x = two_ways(50)[0]
    found = fit(MFCVAE(**SMALL | {"facets": (1, 2, 1), "components": (2, 2, 3), "encoder": (4, 4, 4), "steps": 3,
                                  "decoder": decoder, "activation": activation, "slope": slope}), x)
    model = found.model()
    z = np.random.default_rng(0).normal(size=(20, 4)) * 3
    batch = batch_of(found, x)
    ladder = found.network.decode(batch.p, list(torch.as_tensor(z)[None].split((1, 2, 1), -1)))[0].numpy()
    np.testing.assert_allclose(model.decoder(z), ladder, rtol=1e-9, atol=1e-9)
    assert model.decoder.depth == len(decoder) + 1
    assert model.prior.states == (2, 2, 3)
    assert model.prior.neighbourhoods == ((0,), (1, 2), (3,))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_prior_is_a_product(covariance):
    """Its density is the product of those of the facets, and its table of weights has rank one exactly."""
    x = two_ways(60)[0]
    found = fit(MFCVAE(**SMALL | {"covariance": covariance}), x)
    prior = found.model().prior
    z = np.random.default_rng(1).normal(size=(10, 3))
    p = {name: torch.as_tensor(value)[None] for name, value in found[0].values().items()}
    expected = sum(logsumexp(part.log_joint(p, torch.as_tensor(own)[None])[0].numpy(), axis=1)
                   for part, own in zip(found.network.priors, (z[:, :2], z[:, 2:]), strict=True))
    whole = [np.log(w) - 0.5 * (np.einsum("ni,ij,nj->n", z - mean, np.linalg.inv(c), z - mean)
                                + np.linalg.slogdet(2 * np.pi * c)[1])
             for w, mean, c in zip(prior.weights, prior.means, prior.covariances, strict=True)]
    np.testing.assert_allclose(logsumexp(whole, axis=0), expected, rtol=1e-9)
    table = prior.weights_exact.reshape(3, 2)
    assert table[0, 0] * table[1, 1] == table[0, 1] * table[1, 0]
    assert not prior.repairs


def test_the_model_can_be_checked():
    x = two_ways(60)[0]
    found = fit(MFCVAE(**SMALL | {"facets": (1, 1), "components": (2, 2), "decoder": (2, 2)}), x)
    report = it.check(found.model())
    assert "kivva" in str(report).lower() or "f1" in str(report).lower()


@pytest.mark.slow
def test_the_last_facet_finds_clusters():
    """It trains alone first; of six clusters each lies within one label."""
    x, _, second = two_ways(400)
    found = fit(MFCVAE(facets=(2, 2), components=(6, 6), encoder=(32, 32), decoder=(32, 32), steps=200, fade_steps=100,
                       batch_size=100, observation="gaussian", noise_std=0.3, learning_rate=5e-3), x, runs=2)
    labels = clusters(found, x)[found.best.number]
    assert labels.shape == (400, 2)
    assert cluster_accuracy(labels[:, 1], second) > 0.95


def test_a_run_is_the_same_alone_and_with_others():
    x = two_ways(100)[0]
    estimator = MFCVAE(**SMALL)
    together, alone = fit(estimator, x, runs=3, precision="float64"), fit(estimator, x, seed=2, precision="float64")
    for name, value in together[2].values().items():
        np.testing.assert_allclose(value, alone[0].values()[name], rtol=1e-8, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(clusters(together, x)[2], clusters(alone, x)[0])


def test_a_run_that_fails_does_not_hurt_the_others(tmp_path):
    x = two_ways(100)[0]
    settings = SMALL | {"learning_rate": (2e-3, 1e30)}
    with_failure = fit(MFCVAE(**settings), x, runs=2, precision="float64", directory=tmp_path)
    assert with_failure.alive == (True, False)
    fine = fit(MFCVAE(**SMALL), x, precision="float64")
    np.testing.assert_allclose(with_failure[0].transform(x), fine[0].transform(x), rtol=1e-7, atol=1e-8)
    again = load_fit(tmp_path)
    assert again.estimator == with_failure.estimator
    np.testing.assert_array_equal(again[0].transform(x), with_failure[0].transform(x))


def test_the_start_of_the_priors():
    x = two_ways(100)[0]
    for start in ("mixture", "random"):
        found = fit(MFCVAE(**SMALL | {"start": start, "steps": 1, "progressive": False, "start_variance": 0.04}), x)
        values = found[0].values()
        # One step of Adam moves a parameter by its rate at most.
        assert (np.abs(values["prior.facet0.log_variances"] - np.log(0.04)).max() < 3e-3) == (start == "mixture")
        np.testing.assert_allclose(values["prior.facet0.logits"], 0, atol=3e-3)


def test_no_exact_model():
    x = two_ways(50)[0]
    with pytest.raises(UnsupportedError, match="expected a decoder with ReLUs or leaky ReLUs, found tanh"):
        fit(MFCVAE(**SMALL | {"activation": "tanh"}), x).model()
    assert fit(MFCVAE(**SMALL | {"observation": "bernoulli"}), (x > 0).astype(float)).model() is None
    for start in ("mixture", "random"):
        with pytest.raises(InputError, match=r"expected x in \[0, 1\]"):
            fit(MFCVAE(**SMALL | {"observation": "bernoulli", "start": start}), x)


@pytest.mark.parametrize(("change", "text"), [
    ({"facets": ()}, "facets: expected a tuple of whole numbers, at least 1"),
    ({"facets": (2, 0)}, "facets: expected a whole number >= 1, found 0"),
    ({"components": (3,)}, "components: expected a tuple of whole numbers, at least 2"),
    ({"components": (3, 2, 2)}, "components: expected 2 numbers, one a facet"),
    ({"encoder": (12,)}, "encoder: expected a tuple of whole numbers, at least 2"),
    ({"decoder": (12,)}, "decoder: expected a tuple of whole numbers, at least 2"),
    ({"latent_dim": 4}, "latent_dim: expected the sum 3 of the facets or none, found 4"),
    ({"fade_steps": 0}, "fade_steps: expected a whole number >= 1"),
    ({"start_variance": 0}, "start_variance: expected a finite number > 0"),
    ({"progressive": 1}, "progressive: expected True or False"),
    ({"covariance": "tied"}, "covariance: expected one of"),
])
def test_settings_that_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        MFCVAE(**SMALL | change)


def test_more_components_than_observations():
    with pytest.raises(InputError, match="at most as many as the 2 observations, found 3"):
        fit(MFCVAE(**SMALL), two_ways(2)[0])
