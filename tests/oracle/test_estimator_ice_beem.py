"""The objectives of ICE-BeeM against quadrature, closed forms and finite differences."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

torch = pytest.importorskip("torch")

from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.ice_beem import RIDGE, ICEBeeM  # noqa: E402
from ident_theory.estimators.network import Batch, Beginning, Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402
from ident_theory.estimators.plan import Cosine  # noqa: E402

CPU = torch.device("cpu")
NOISES = ["gaussian", "mixture", "conditional"]
#: p(x | u) = N(MEAN, STD^2) at u = 0, 1.
MEAN, STD = np.array([-1.0, 1.5]), np.array([0.8, 1.6])


def made(x, u, **options):
    """Network and parameters of one run, its noise fitted to the data, and a batch of these."""
    x = np.asarray(x, dtype=float).reshape(len(u), -1)
    settings = ICEBeeM(**{"hidden": 6, "layers": 3, **options})
    network = settings.network(Shape(len(x), x.shape[1], x.shape[1], int(u.max()) + 1))
    parameters = Parameters(network.parameters(), (5,), CPU, torch.float64)
    hyper = settings.hyper(1, CPU, torch.float64)
    tensors = torch.tensor(x), torch.tensor(u)
    network.begin(Beginning(network.phases()[0], parameters, tensors[:1], tensors[1:], (5,), hyper))
    batch = Batch(parameters.values, tensors[0][None], tensors[1][None], Draws((5,), CPU, torch.float64), hyper)
    return network, parameters, batch


def line(rows, seed=0):
    u = np.arange(rows) % 2
    return MEAN[u] + STD[u] * np.random.default_rng(seed).normal(size=rows), u


def plane(rows, conditions=3, seed=0):
    """Normal laws in the plane, each u another one and another share."""
    rng = np.random.default_rng(seed)
    u = np.minimum(rng.geometric(0.5, size=rows) - 1, conditions - 1)
    a = rng.normal(size=(conditions, 2, 2))
    return np.einsum("bij,bj->bi", a[u], rng.normal(size=(rows, 2))) + 2 * rng.normal(size=(conditions, 2))[u], u


def fitted_laws(x, u, noise):
    """Shares and normal laws of the noise, by numpy."""
    groups = [x] if noise == "gaussian" else [x[u == k] for k in range(u.max() + 1)]
    ridge = RIDGE * x.var(axis=0).mean() * np.eye(x.shape[1])
    return ([len(g) / len(x) for g in groups],
            [multivariate_normal(g.mean(axis=0), np.cov(g.T, ddof=0) + ridge) for g in groups])


@pytest.mark.parametrize("noise", NOISES)
def test_the_density_of_the_noise_is_that_of_the_fitted_normal_laws(noise):
    x, u = plane(400)
    network, _, batch = made(x, u, noise=noise)
    at = np.random.default_rng(1).normal(size=x.shape) * 3
    shares, laws = fitted_laws(x, u, noise)
    logs = np.stack([law.logpdf(at) for law in laws])
    wanted = logs[u, np.arange(len(u))] if noise == "conditional" else logsumexp(logs.T, axis=1, b=np.array(shares))
    found = network.noise_log_density(batch, torch.tensor(at)[None])[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_the_noise_is_drawn_from_its_density(noise):
    """Means of functions of the draws against the laws' own, up to five standard errors."""
    x, u = plane(60_000)
    network, _, batch = made(x, u, noise=noise)
    y = network.noise_sample(batch)[0].numpy()
    shares, laws = fitted_laws(x, u, noise)
    weights = {"gaussian": [1.0], "mixture": shares, "conditional": np.bincount(u) / len(u)}[noise]
    draws = [law.rvs(400_000, random_state=k) for k, law in enumerate(laws)]
    for function in (lambda a: a[:, 0], lambda a: a[:, 0] * a[:, 1], lambda a: np.cos(a[:, 0] - 2 * a[:, 1])):
        wanted = sum(w * function(d).mean() for w, d in zip(weights, draws, strict=True))
        values = function(y)
        assert abs(values.mean() - wanted) < 6 * values.std() / math.sqrt(len(y))
    if noise == "conditional":
        for k, law in enumerate(laws):
            np.testing.assert_allclose(y[u == k].mean(axis=0), law.mean, atol=6 * math.sqrt(law.cov.max() / 5000))


@pytest.mark.parametrize("noise", NOISES)
def test_the_contrast_is_least_at_the_truth_where_it_is_log_4_minus_twice_the_jensen_shannon_divergence(noise):
    rows = 200_000
    x, u = line(rows)
    network, _, batch = made(x, u, noise=noise)
    grid, step = np.linspace(-20, 20, 20_001, retstep=True)
    shares, laws = fitted_laws(x[:, None], u, noise)
    densities = [law.pdf(grid) for law in laws]
    wanted = math.log(4)
    for k in range(2):
        p = norm.pdf(grid, MEAN[k], STD[k])
        q = densities[k] if noise == "conditional" else np.array(shares) @ densities
        m = np.maximum((p + q) / 2, 1e-300)
        wanted -= 0.5 * step * sum(np.sum(a * np.log(np.maximum(a, 1e-300) / m)) for a in (p, q))
    truth = lambda batch, a, b: torch.tensor(norm.logpdf(a[0, :, 0].numpy(), MEAN[b[0]], STD[b[0]]))[None]  # noqa: E731
    network.log_density = truth
    # The loss of a row has a deviation of about one.
    assert abs(float(network.loss(batch)) - wanted) < 5 / math.sqrt(rows)
    assert network.score(batch).shape == (1, rows)
    for change in (lambda t, a: t + 0.5, lambda t, a: t - 0.5, lambda t, a: t - 0.3 * a[..., 0]):
        network.log_density = lambda batch, a, b, c=change: c(truth(batch, a, b), a)
        assert float(network.loss(batch)) > wanted + 5 / math.sqrt(rows)


@pytest.mark.parametrize("noise", NOISES)
def test_training_finds_density_and_normaliser(noise):
    """Normal laws are in the family, with one affine feature: the learnt log-density against the true one."""
    x, u = line(4000)
    settings = ICEBeeM(layers=1, base=False, noise=noise, steps=900, batch_size=250, learning_rate=1e-1,
                       schedule=Cosine())
    with pytest.warns(UserWarning, match="n k"):
        fitted = settings.fit(x[:, None], u, precision="float64")
    _, _, batch = made(*line(2000, seed=3), layers=1)
    batch.p = fitted.parameters.values
    found = fitted.network.log_density(batch, batch.x, batch.u)[0].detach().numpy()
    wanted = norm.logpdf(batch.x[0, :, 0].numpy(), MEAN[batch.u[0]], STD[batch.u[0]])
    # What 4,000 rows leave of the parameters, whose relative errors are a few percent.
    assert np.abs(found - wanted).mean() < 0.06
    # Before training it is far off.
    network, _, batch = made(*line(2000, seed=3), layers=1, base=False)
    assert np.abs(network.log_density(batch, batch.x, batch.u)[0].detach().numpy() - wanted).mean() > 0.5


def test_score_matching_is_the_distance_to_the_noise_by_quadrature():
    """One linear feature: the slope is known, the mean over the noise by Gauss-Hermite."""
    rows = 100_000
    x, u = np.tile([-1.0, 0.4, 2.0, 0.0], rows // 4), np.arange(rows) % 4 % 2
    network, parameters, batch = made(x, u, objective="dsm", layers=1, base=False, noise_std=0.4)
    table = np.array([[0.3, -0.2], [0.5, 0.7]])
    parameters.set("energy.table", torch.tensor(table)[None])
    parameters.set("features.weight0", torch.tensor([[[1.3]]]).double())
    parameters.set("features.bias0", torch.tensor([[0.2]]).double())
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    wanted = []
    for point, (one, two) in zip(x[:4], table[u[:4]], strict=True):
        slope = -(one + 2 * two * (1.3 * (point + 0.4 * nodes) + 0.2)) * 1.3
        wanted.append(np.sum(weights * 0.5 * (0.4 * slope + nodes)**2) / weights.sum())
    found = -network.score(batch)[0].detach().numpy()
    assert abs(found.mean() - np.mean(wanted)) < 5 * found.std() / math.sqrt(rows)
    with torch.no_grad():
        np.testing.assert_allclose(-network.score(batch)[0].numpy(), found, rtol=1e-12)


def test_score_matching_is_least_at_the_smoothed_law():
    """N(m, s^2) with noise of deviation t: N(m, s^2 + t^2), whatever the normaliser."""
    rows, t = 200_000, 0.5
    x, u = line(rows)
    network, parameters, batch = made(x, u, objective="dsm", layers=1, base=False, noise_std=t)
    parameters.set("features.weight0", torch.ones((1, 1, 1), dtype=torch.float64))
    parameters.set("features.bias0", torch.zeros((1, 1), dtype=torch.float64))
    variance = STD**2 + t**2
    best = torch.tensor(np.stack([-MEAN / variance, 0.5 / variance], axis=-1))[None]
    parameters.set("energy.table", best)
    least = network.score(batch)[0].mean().item()
    for way in np.eye(4).reshape(4, 2, 2):
        for sign in (0.1, -0.1):
            parameters.set("energy.table", best + sign * torch.tensor(way)[None])
            assert network.score(batch)[0].mean().item() < least
    # Loss = (1 - t^2 / variance) / 2 there.
    assert -least == pytest.approx(np.mean(0.5 * (1 - t**2 / variance)), abs=5 / math.sqrt(rows))


@pytest.mark.parametrize(("objective", "activation", "statistic", "positive"), [
    ("contrast", "leaky_relu", "both", False), ("contrast", "tanh", "linear", True),
    ("dsm", "softplus", "both", False), ("dsm", "tanh", "squares", False), ("dsm", "leaky_relu", "both", True)])
def test_gradients_are_those_of_finite_differences(objective, activation, statistic, positive):
    """Of all parameters together, along random directions; with the second derivatives of score matching."""
    x, u = plane(40)
    network, parameters, batch = made(x, u, objective=objective, activation=activation, statistic=statistic,
                                      positive=positive)
    # So that the features are not zero everywhere where they are positive parts.
    parameters.set("features.bias2", torch.ones((1, 2), dtype=torch.float64))
    p = parameters.values
    names = [name for name in p if not name.startswith("noise")]
    gradients = torch.autograd.grad(network.loss(batch).sum(), [p[name] for name in names], materialize_grads=True,
                                    allow_unused=True)
    # Scores do not depend on normalisers and the last bias of b, nor on its others where b is piecewise affine.
    still = [name for name, gradient in zip(names, gradients, strict=True) if not gradient.abs().sum() > 0]
    flat = ["base.bias0", "base.bias1"] if activation == "leaky_relu" else []
    assert still == ([*flat, "base.bias2", "energy.normaliser"] if objective == "dsm" else [])
    rng, h = np.random.default_rng(2), 1e-6
    for name, gradient in zip(names, gradients, strict=True):
        way = torch.tensor(rng.normal(size=gradient.shape))
        values = []
        for sign in (h, -h):
            batch.p = {**p, name: (p[name].detach() + sign * way).requires_grad_()}
            values.append(float(network.loss(batch).detach()))
        # Kinks make leaky ReLUs' slopes jump, which few of the rows come near.
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(float((gradient * way).sum()), rel=1e-4, abs=1e-6)
