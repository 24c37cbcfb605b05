"""GMM-flow: what training gives, its settings and refusals."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import fit  # noqa: E402
from ident_theory.estimators.gmm_flow import GMMFlow  # noqa: E402
from ident_theory.models import GaussianMixture  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

SMALL = {"layers": 2, "components": 5, "hidden": (8,), "batch_size": 100}


def bent(seed=0, size=600):
    """Three clusters in the plane, bent along a parabola."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(size, 2)) * 0.3 + np.array([[-3.0, 0], [0, 1], [3, -1]])[rng.integers(3, size=size)]
    return np.column_stack([z[:, 0], z[:, 1] + 0.3 * z[:, 0] ** 2])


def test_the_likelihood_of_bent_clusters_comes_near_its_maximum():
    # Bending keeps volumes: the density is that of the clusters.
    train, test = bent(size=3000), bent(1, 2000)
    found = GMMFlow(**{**SMALL, "components": 6}, steps=500, learning_rate=1e-2).fit(train)
    clusters = GaussianMixture([1 / 3] * 3, [[-3.0, 0], [0, 1], [3, -1]], [[0.09, 0.09]] * 3)
    z = np.column_stack([test[:, 0], test[:, 1] - 0.3 * test[:, 0] ** 2])
    squares = (z[:, None] - clusters.means) ** 2 / 0.09
    best = np.log(np.exp(-0.5 * squares.sum(2)).mean(1) / (2 * math.pi * 0.09)).mean()
    held = found.score(test)
    assert np.all(held < best + 0.05)
    assert np.all(held > best - 0.15), (held, best)
    # A single normal law is far from that.
    assert best > -0.5 * np.linalg.slogdet(np.cov(test.T))[1] - 1 - math.log(2 * math.pi) + 1


@pytest.mark.parametrize("order", ["reverse", "random"])
def test_runs_trained_together_are_those_trained_alone(order):
    made, x = GMMFlow(order=order, steps=20, **SMALL), bent()
    together = fit(made, x, runs=3, precision="float64")
    assert len(np.unique(np.round(together.scores, 9))) == 3
    for run in range(3):
        alone = fit(made, x, seed=run, precision="float64")
        assert alone.scores[0] == pytest.approx(together.scores[run], rel=1e-10)
        assert np.allclose(alone.transform(x), together[run].transform(x), rtol=0, atol=1e-9)


def test_a_run_that_fails_leaves_the_others_alone():
    found = fit(GMMFlow(steps=20, learning_rate=(1e-3, 1e30), **SMALL), bent(), runs=2)
    assert found.alive == (True, False)
    assert found.scores[0] == pytest.approx(fit(GMMFlow(steps=20, **SMALL), bent()).scores[0], rel=1e-4)


def test_orders_are_turned_round_or_drawn_for_each_run():
    x = np.random.default_rng(0).normal(size=(50, 4))
    reverse = fit(GMMFlow(steps=1, **{**SMALL, "layers": 3}), x, runs=2).parameters.values["orders.0"]
    assert reverse[0].tolist() == reverse[1].tolist() == [[0, 1, 2, 3], [3, 2, 1, 0], [3, 2, 1, 0]]
    drawn = fit(GMMFlow(steps=1, order="random", **SMALL), x, runs=2).parameters.values["orders.0"]
    assert drawn[0].tolist() != drawn[1].tolist()


def test_its_model_is_the_mixture_and_a_declared_map():
    found = fit(GMMFlow(steps=20, activation="tanh", **SMALL), bent())
    model, values = found.model(), found[0].values()
    assert model.prior.weights.sum() == pytest.approx(1)
    assert np.allclose(model.prior.means, values["base.mean"])
    assert np.allclose([np.diag(c) for c in model.prior.covariances], np.exp(values["base.log_variance"]))
    assert model.decoder.properties == ("diffeomorphism",)
    line = fit(GMMFlow(steps=2, **{**SMALL, "components": 1}), bent()[:, :1]).model()
    assert line.decoder.properties == ("continuous", "injective")
    assert line.observed_dim == line.prior.n_components == 1


def test_mixed_precision_does_not_touch_the_flow():
    mixed, full = (fit(GMMFlow(steps=5, **SMALL), bent(), precision=name) for name in ("bfloat16", "float32"))
    assert np.array_equal(mixed.scores, full.scores)


def test_few_or_constant_observations_do_no_harm():
    x = np.column_stack([np.arange(3.0), np.ones(3)])
    found = fit(GMMFlow(steps=5, **SMALL), x)
    assert found.alive == (True,)
    assert np.isfinite(found.transform(x)).all()


@pytest.mark.parametrize(("options", "text"), [
    ({"layers": 0}, "layers: expected whole numbers >= 1"),
    ({"components": True}, "components: expected whole numbers"),
    ({"hidden": (3, 1.5)}, "hidden: expected whole numbers"),
    ({"order": "sorted"}, "order: expected reverse or random"),
    ({"clamp": -1.0}, "clamp: expected a number > 0"),
    ({"activation": "cube"}, "activation: expected one of"),
])
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        GMMFlow(**options)


def test_latents_are_as_many_as_coordinates():
    with pytest.raises(InputError, match="latent_dim: expected 2, the coordinates of x, found 3"):
        fit(GMMFlow(steps=1, latent_dim=3), bent())


class TestGMMFlowConforms(EstimatorConformance):
    """No recovery of latents is promised without conditions; a truth in the plane, so that there are as many."""

    uses_u = False
    least_mcc = 0.95

    @pytest.fixture
    def estimator(self):
        class Adapter:
            def fit(self, x, u, rng):
                return GMMFlow(epochs=1, **SMALL).fit(x, None, rng)

        return Adapter()

    def truth(self, rng, size):
        u = rng.integers(5, size=size)
        z = rng.normal(size=(5, 2))[u] * 2 + rng.uniform(0.3, 1.5, size=(5, 2))[u] * rng.normal(size=(size, 2))
        return z @ np.linalg.qr(rng.normal(size=(2, 2)))[0], u, z
