"""GIN: what training gives, its settings and refusals; how many latents are informative."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from common.flows import batch, points, random_network  # noqa: E402

from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import FewConditionsWarning, fit, gin, load_fit  # noqa: E402
from ident_theory.estimators.couplings import Reordering, orders  # noqa: E402
from ident_theory.estimators.gin import EMNIST, GIN  # noqa: E402
from ident_theory.estimators.informative import spectrum  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.metrics import mcc  # noqa: E402
from ident_theory.testing.conformance.estimators import EstimatorConformance  # noqa: E402

SMALL = {"blocks": 3, "hidden": (8,), "batch_size": 200}


def bent(seed=0, size=2000, conditions=5):
    """Two informative latents and two of noise, through a rotation, a bend that preserves volume, a rotation."""
    rng = np.random.default_rng(seed)
    u = np.arange(size) % conditions
    z = rng.uniform(-2, 2, (conditions, 2))[u] + rng.uniform(0.5, 2, (conditions, 2))[u] * rng.normal(size=(size, 2))
    first, second = (np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(2))
    h = np.hstack([z, 0.01 * rng.normal(size=(size, 2))]) @ first
    h[:, 2:] += np.tanh(h[:, :2])
    return Dataset(h @ second, u, z)


def images(size=120, seed=0):
    rng = np.random.default_rng(seed)
    return Dataset(rng.normal(size=(size, 32)), np.arange(size) % 3, image_shape=(2, 4, 4))


def test_it_finds_two_informative_latents_among_noise_and_recovers_them():
    train, test = bent(size=4000).split(0.25, np.random.default_rng(1))
    found = GIN(blocks=2, hidden=(10,), steps=300, batch_size=300).fit(train, runs=2)
    latents = found.latents(test)
    assert latents.shape == (2, 1000, 4)
    assert [spectrum(latents[run]).informative for run in range(2)] == [2, 2]
    assert mcc(test.z, found.transform(test)[:, :2]).value > 0.95


def test_runs_trained_together_are_those_trained_alone():
    data, made = bent(size=600), GIN(steps=25, **SMALL)
    together = fit(made, data, runs=3, precision="float64")
    for run in range(3):
        alone = fit(made, data, seed=run, precision="float64")
        assert np.allclose(alone.scores[0], together.scores[run], rtol=1e-9)
        assert np.allclose(alone.transform(data), together[run].transform(data), rtol=0, atol=1e-8)


def test_a_run_that_fails_leaves_the_others_alone():
    data = bent(size=600)
    found = fit(GIN(steps=20, learning_rate=(1e-2, 1e30), **SMALL), data, runs=2)
    assert found.alive == (True, False)
    assert np.isfinite(found.latents(data)[0]).all()
    alone = fit(GIN(steps=20, **SMALL), data)
    assert found.scores[0] == pytest.approx(alone.scores[0], rel=1e-4)


@pytest.mark.parametrize("moments", ["batch", "learnt"])
def test_the_moments_are_those_of_all_data_and_the_score_is_of_them(moments):
    data = bent(size=600)
    found = fit(GIN(steps=1, moments=moments, learning_rate=1e-9, noise_std=0, **SMALL), data, precision="float64")
    w, values = found.transform(data), found[0].values()
    order = found.network.ranking(found.parameters.values)[0].numpy()
    for u in range(5):
        own = w[data.u == u]
        assert np.allclose(values["prior.mean"][u, order], own.mean(0), atol=1e-6)
        assert np.allclose(values["prior.log_variance"][u, order], np.log(own.var(0)), atol=1e-5)
    assert np.allclose(values["prior.weights"], 0.2)
    # At the moments themselves the mean of the squares over their variances is one.
    expected = -0.5 * (np.mean([np.log(w[data.u == u].var(0)).sum() for u in range(5)])
                       + 4 * (1 + math.log(2 * math.pi)))
    assert found.scores[0] == pytest.approx(expected, rel=1e-6)


def test_latents_come_by_their_deviation_and_no_more_than_asked_for():
    data = bent(size=600)
    found = fit(GIN(steps=30, **SMALL), data)
    w = found.transform(data)
    assert np.all(np.diff(w.std(0)) <= 0)
    less = fit(GIN(steps=30, latent_dim=2, **SMALL), data)
    assert np.array_equal(less.transform(data), w[:, :2])


def test_learnt_moments_are_learnt():
    data, made = bent(size=1000), GIN(steps=100, moments="learnt", noise_std=0, **SMALL)
    found = fit(made, data, runs=2)
    assert np.all(found.scores > fit(replace(made, steps=1), data, runs=2).scores + 1)
    # Given the flow, the moments of the data are the best ones.
    for run in range(2):
        w = found[run].transform(data)
        best = -0.5 * (np.mean([np.log(w[data.u == u].var(0)).sum() for u in range(5)])
                       + 4 * (1 + math.log(2 * math.pi)))
        assert found.scores[run] < best + 1e-4


def test_its_model_has_the_moments_in_the_order_of_the_latents():
    data = bent(size=600)
    found = fit(GIN(steps=30, activation="tanh", noise_std=0, **SMALL), data)
    model, w = found.model(), found.transform(data)
    assert model.decoder.properties == ("diffeomorphism", "volume_preserving")
    assert model.noise is None
    natural = model.prior.natural
    variances = -0.5 / natural[:, :, 1]
    for u in range(5):
        assert np.allclose(natural[u, :, 0] * variances[u], w[data.u == u].mean(0), atol=1e-4)
        assert np.allclose(variances[u], w[data.u == u].var(0), rtol=1e-3)
    kinked = fit(GIN(steps=2, **SMALL), data).model().decoder
    assert kinked.properties == ("continuous", "injective", "volume_preserving")


def test_images_train_by_convolutions(tmp_path):
    made = GIN(image_blocks=(1, 1), image_widths=(4, 3), blocks=1, hidden=(6,), batch_size=30, steps=15,
               learning_rate=3e-3)
    whole = fit(made, images(), runs=2, precision="float64", directory=tmp_path)
    alone = fit(made, images(), seed=1, precision="float64")
    assert alone.scores[0] == pytest.approx(whole.scores[1], rel=1e-9)
    assert np.all(whole.scores > fit(replace(made, steps=1), images(), runs=2).scores)
    with pytest.warns(FewConditionsWarning):
        few = fit(replace(made, latent_dim=2, steps=2), images(), runs=2)
    assert few.latents(images()).shape == (2, 120, 2)
    again = load_fit(tmp_path)
    assert np.array_equal(again.latents(images()), whole.latents(images()))
    assert again.estimator == made


def test_an_interrupted_training_goes_on_to_the_same_moments(tmp_path):
    data, made = bent(size=600), GIN(steps=12, **SMALL)

    class Stop(Exception):
        pass

    def stop(record, _):
        if record.step == 11:
            raise Stop

    with pytest.raises(Stop):
        fit(made, data, directory=tmp_path, progress=stop, log_every=1, checkpoint_seconds=0)
    resumed = fit(made, data, directory=tmp_path)
    assert np.array_equal(resumed.latents(data), fit(made, data).latents(data))


def test_mixed_precision_does_not_touch_the_flow():
    data = bent(size=600)
    mixed, full = (fit(GIN(steps=5, **SMALL), data, precision=name) for name in ("bfloat16", "float32"))
    assert np.array_equal(mixed.scores, full.scores)


def test_a_condition_that_a_batch_lacks_does_no_harm():
    data = bent(size=600)
    u = np.where(np.arange(600) < 2, 5, data.u)
    found = fit(GIN(steps=20, **{**SMALL, "batch_size": 20}), data.x, u)
    assert found.alive == (True,)
    assert np.isfinite(found.scores).all()


def test_moments_do_not_depend_on_how_many_runs_there_are(monkeypatch):
    """With as few rows at once as many runs allow."""
    data, made = bent(size=600), GIN(steps=2, noise_std=0.5, **SMALL)
    alone = fit(made, data, seed=1, precision="float64")[0].values()
    monkeypatch.setattr(gin, "ROWS", 100)
    beside = fit(made, data, runs=2, precision="float64")[1].values()
    for name in ("mean", "log_variance"):
        np.testing.assert_allclose(beside[f"prior.{name}"], alone[f"prior.{name}"], rtol=1e-9, atol=1e-12)


def test_a_condition_with_one_row_has_no_moments():
    data = bent(size=60)
    with pytest.raises(InputError, match=r"at least two rows of each condition.*found one of condition 5"):
        fit(GIN(steps=2, **SMALL), data.x, np.where(np.arange(60) < 1, 5, data.u))
    fit(GIN(steps=2, moments="learnt", **SMALL), data.x, np.where(np.arange(60) < 1, 5, data.u))


def test_the_moments_carry_the_noise():
    """So that a coordinate that is constant in the data has a density at other data."""
    data = bent(size=1000)
    x = np.hstack([data.x, np.ones((1000, 1))])
    values = fit(GIN(steps=1, noise_std=0.5, **SMALL), x, data.u)[0].values()
    constant_one = values["prior.log_variance"].min(1)
    # 200 rows a condition: a variance has a standard error of 10 %.
    assert np.allclose(np.exp(constant_one), 0.25, rtol=0.4)
    found = fit(GIN(steps=20, **SMALL), x, data.u)
    assert found.score(x + 0.01, data.u) > -1e3
    bare = fit(GIN(steps=20, noise_std=0, **SMALL), x, data.u)
    assert bare.alive == (True,)
    assert np.isfinite(bare.transform(x, data.u)).all()


def test_a_number_of_conditions_is_needed_for_the_informative_latents():
    shape = Shape(100, 10, 10, 5)
    assert GIN().conditions_needed(shape) == 3
    assert GIN(latent_dim=2).conditions_needed(replace(shape, latent_dim=2)) == 5
    assert GIN().conditions_needed(replace(shape, latent_dim=2)) == 5
    with pytest.warns(FewConditionsWarning, match="3 conditions for 2 latents"):
        fit(GIN(steps=1, **SMALL), bent(size=300, conditions=3))


@pytest.mark.parametrize(("options", "text"), [
    ({"blocks": 0}, "blocks: expected at least one block"),
    ({"blocks": 1.5}, "blocks: expected whole numbers"),
    ({"hidden": (4, 0)}, "hidden: expected whole numbers >= 1"),
    ({"image_blocks": (2,)}, "image_widths: expected 1, one for each"),
    ({"clamp": 0.0}, "clamp: expected a number > 0"),
    ({"clamp": math.nan}, "clamp: expected a number > 0"),
    ({"noise_std": -0.1}, "noise_std: expected a number >= 0"),
    ({"squash": "sin"}, "squash: expected tanh or arctan"),
    ({"zero_sum": "sum"}, "zero_sum: expected mean or last"),
    ({"moments": "known"}, "moments: expected batch or learnt"),
    ({"activation": "cube"}, "activation: expected one of"),
])
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        GIN(**options)


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="at least two coordinates of x"):
        fit(GIN(steps=1), np.ones((6, 1)), [0, 1, 2] * 2)
    with pytest.raises(InputError, match="latent_dim: expected at most 4"), pytest.warns(FewConditionsWarning):
        fit(GIN(steps=1, latent_dim=5), bent(size=100))
    with pytest.raises(InputError, match="found no images"):
        fit(GIN(steps=1, **{**EMNIST, "epochs": None}), bent(size=100))
    with pytest.raises(InputError, match="multiples of 8, found 4 x 4"):
        fit(GIN(steps=1, image_blocks=(1, 1, 1), image_widths=(2, 2, 2)), images())


def test_reordering_back_is_its_inverse_and_its_gradient_is_right():
    table = torch.stack([orders((3, 5), torch.Generator().manual_seed(seed)) for seed in (0, 1)])
    assert sorted(table[0, 0].tolist()) == [0, 1, 2, 3, 4]
    reorder, h = Reordering(table), points(2, 5, 7).requires_grad_()
    for block in range(3):
        there = reorder(h, block)
        assert torch.equal(there[1], h[1][table[1, block].long()])
        assert torch.equal(reorder(there, block, back=True), h)
        assert torch.autograd.gradcheck(lambda y, k=block: reorder(y, k), h)
    channels = points(4, 10, 6).view(4, 10, 2, 3).requires_grad_()
    assert torch.equal(reorder(channels, 2)[:, 5:], channels[:, 5:][:, table[1, 2].long()])
    assert torch.autograd.gradcheck(lambda y: reorder(y, 1), channels)


def test_gradients_are_those_of_finite_differences():
    network, parameters = random_network(GIN(blocks=1, hidden=(3,), activation="tanh", noise_std=0), 4, 3)
    x, u = points(2, 9, 4), torch.arange(18).view(2, 9) % 3
    names = [name for name, value in parameters.values.items() if value.requires_grad]

    def loss(*values):
        p = {**parameters.values, **dict(zip(names, values, strict=True))}
        made = batch(parameters, x, u)
        made.p = p
        return network.loss(made)

    assert torch.autograd.gradcheck(loss, [parameters.values[name] for name in names], atol=1e-6)


# --- dimension discovery

def test_the_knee_is_the_largest_ratio_of_neighbours():
    rows = np.array([[1.0, -1.0]]).T
    found = spectrum(rows * [0.01, 3, 2, 0.02, 0.011])
    assert found.deviations.tolist() == pytest.approx([3, 2, 0.02, 0.011, 0.01])
    assert (found.order.tolist(), found.informative, found.gap) == ([1, 2, 3, 4, 0], 2, pytest.approx(100))
    assert spectrum(rows * [1, 0.8, 0.5, 0.2]).informative == 4  # no knee
    assert spectrum(rows * [1, 0.8, 0.5, 0.1]).informative == 3
    assert (spectrum(rows * [0, 2, 0]).informative, spectrum(rows * [0, 2, 0]).gap) == (1, math.inf)
    assert (spectrum(rows * [0, 0]).informative, spectrum(rows).informative) == (2, 1)


def test_information_about_u_does_not_depend_on_scales():
    rng = np.random.default_rng(0)
    u = rng.integers(2, size=20000)
    z = rng.normal(size=(20000, 4)) * [1, 0.01, 1, 5]
    z[:, 0] += 2 * u  # a mean that depends on u: log sqrt(1 + 1) nats
    z[:, 1] *= np.array([1, 3])[u]  # a deviation: log sqrt((1 + 9) / 2) - log(3) / 2
    z[:, 3] = 7  # constant
    found = spectrum(z, u)
    assert found.order.tolist() == [0, 2, 1, 3]
    expected = [math.log(2) / 2, 0, math.log(5) / 2 - math.log(3) / 2, 0]
    assert np.allclose(found.information, expected, atol=0.02)
    assert (found.dependent, found.informative, spectrum(z).dependent) == (2, 3, None)
    with pytest.raises(InputError, match="spectrum: u: expected 20000 conditions"):
        spectrum(z, u[1:])


@pytest.mark.parametrize("latents", [[1, 2], [[1.0, 2]], np.zeros((3, 0)), [[1.0], [math.nan]], "text", [["a"], ["b"]]])
def test_latents_without_a_spectrum_are_refused(latents):
    with pytest.raises(InputError, match="spectrum: latents: expected"):
        spectrum(latents)


class TestGINConforms(EstimatorConformance):
    kind = "strong"
    transform_uses_u = True
    tolerance = 1e-5

    @pytest.fixture
    def estimator(self):
        class Adapter:
            def fit(self, x, u, rng):
                # Two latents too many, so that there is no model with the two of the truth.
                found = GIN(latent_dim=2, blocks=2, hidden=(10,), epochs=50, batch_size=200).fit(x, u, rng, runs=3)
                return SimpleNamespace(transform=found.transform)

        return Adapter()
