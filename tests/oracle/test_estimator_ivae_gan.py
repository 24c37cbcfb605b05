"""The objectives of iVAE-GAN against quadrature, closed forms and finite differences."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.special import log_expit
from scipy.stats import multivariate_normal, norm

torch = pytest.importorskip("torch")

from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.ivae_gan import IVAEGAN  # noqa: E402
from ident_theory.estimators.network import Batch, Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402

CPU = torch.device("cpu")
ROWS = 200_000
#: Of the mean of so many losses, whose deviation is about one: five standard errors.
TOLERANCE = 5 / math.sqrt(ROWS)
#: G(z) = SCALE z + SHIFT, the prior, and the data, each at u = 0, 1.
SCALE, SHIFT = 1.5, 0.3
PRIOR_MEAN, PRIOR_STD = np.array([-1.0, 0.8]), np.array([0.7, 1.2])
DATA_MEAN, DATA_STD = np.array([-1.5, 1.0]), np.array([1.3, 0.9])
#: q(z | x, u) = N(SLOPE x + OFFSET(u), STD^2).
SLOPE, OFFSET, STD = 0.4, np.array([0.1, -0.2]), 0.6


def linear(**options):
    """Network and parameters of one run: linear maps of one dimension, two conditions."""
    settings = IVAEGAN(**{"layers": 1, "prior": "table", "prior_mean": True, "discriminator_layers": 3,
                          "discriminator_hidden": 8, **options})
    network = settings.network(Shape(ROWS, 1, 1, 2))
    parameters = Parameters(network.parameters(), (3,), CPU, torch.float64)
    for name, value in (("encoder.weight0", [[[SLOPE]], [[0.0]]]), ("encoder.bias0", [[0.0], [2 * math.log(STD)]]),
                        ("encoder.table", [OFFSET[:, None], np.zeros((2, 1))]), ("decoder.weight0", [[SCALE]]),
                        ("decoder.bias0", [SHIFT]),
                        ("prior.table", [PRIOR_MEAN[:, None], 2 * np.log(PRIOR_STD)[:, None]])):
        parameters.set(name, torch.tensor(np.array(value))[None])
    return network, parameters


def batch_of(network, parameters, x, u, objective):
    hyper = network.settings.hyper(1, CPU, torch.float64)
    return Batch(parameters.values, torch.tensor(x)[None, :, None], torch.tensor(u)[None],
                 Draws((3,), CPU, torch.float64), hyper, objective=objective)


def data(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    u = np.arange(rows) % 2
    return DATA_MEAN[u] + DATA_STD[u] * rng.normal(size=rows), u


def generated_law(source):
    """Mean and deviation of G(z) at each u."""
    mean, std = PRIOR_MEAN, PRIOR_STD
    if source == "posterior":
        mean, std = SLOPE * DATA_MEAN + OFFSET, np.sqrt((SLOPE * DATA_STD)**2 + STD**2)
    return SCALE * mean + SHIFT, SCALE * std


def jensen_shannon(p, q, weight):
    m = (p + q) / 2
    return weight * 0.5 * (np.sum(p * np.log(np.maximum(p, 1e-300) / np.maximum(m, 1e-300)))
                           + np.sum(q * np.log(np.maximum(q, 1e-300) / np.maximum(m, 1e-300))))


@pytest.mark.parametrize(("sees", "source"), list(product(("x", "x,u"), ("posterior", "prior"))))
def test_the_best_discriminator_gives_log_4_minus_twice_the_jensen_shannon_divergence(sees, source):
    network, parameters = linear(sees=sees, source=source)
    mean, std = generated_law(source)
    grid, step = np.linspace(-15, 15, 20_001, retstep=True)
    real = norm.pdf(grid[:, None], DATA_MEAN, DATA_STD).T
    fake = norm.pdf(grid[:, None], mean, std).T
    if sees == "x":
        wanted = math.log(4) - 2 * jensen_shannon(real.mean(0), fake.mean(0), step)
    else:
        wanted = math.log(4) - 2 * np.mean([jensen_shannon(p, q, step) for p, q in zip(real, fake, strict=True)])

    def ratio(x, u):
        def log_density(means, stds):
            if sees == "x,u":
                return norm.logpdf(x, means[u], stds[u])
            return np.logaddexp(*(norm.logpdf(x, m, s) - math.log(2) for m, s in zip(means, stds, strict=True)))
        return log_density(DATA_MEAN, DATA_STD) - log_density(mean, std)

    x, u = data()
    for change, exact in ((0.0, True), (0.5, False), (-0.5, False)):
        network.logits = lambda p, a, z, b, c=change: torch.tensor(ratio(a[0, :, 0].numpy(), b[0].numpy()) + c)[None]
        found = float(network.loss(batch_of(network, parameters, x, u, "discriminator")))
        if exact:
            assert abs(found - wanted) < TOLERANCE
        else:
            assert found > wanted + TOLERANCE


@pytest.mark.parametrize("instance_noise", [0.3, 0.8])
def test_the_joint_discriminator_compares_encoded_with_generated_pairs(instance_noise):
    """Both pairs are normal given u; the divergence by quadrature in the plane."""
    s = instance_noise
    network, parameters = linear(sees="x,z,u", instance_noise=s)
    real, fake = [], []
    for u in range(2):
        v, w = DATA_STD[u]**2, PRIOR_STD[u]**2
        real.append(multivariate_normal([DATA_MEAN[u], SLOPE * DATA_MEAN[u] + OFFSET[u]],
                                        [[v + s**2, SLOPE * v], [SLOPE * v, SLOPE**2 * v + STD**2]]))
        fake.append(multivariate_normal([SCALE * PRIOR_MEAN[u] + SHIFT, PRIOR_MEAN[u]],
                                        [[SCALE**2 * w + s**2, SCALE * w], [SCALE * w, w]]))
    axis, step = np.linspace(-12, 12, 601, retstep=True)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1)
    wanted = math.log(4) - 2 * np.mean([jensen_shannon(p.pdf(plane), q.pdf(plane), step**2)
                                        for p, q in zip(real, fake, strict=True)])

    def ratio(p, x, z, u):
        pairs, rows = torch.cat([x, z], -1)[0].numpy(), u[0].numpy()
        both = np.stack([real[k].logpdf(pairs) - fake[k].logpdf(pairs) for k in range(2)])
        return torch.tensor(both[rows, np.arange(len(rows))])[None]

    network.logits = ratio
    x, u = data()
    assert abs(float(network.loss(batch_of(network, parameters, x, u, "discriminator"))) - wanted) < TOLERANCE


def test_a_trained_discriminator_reaches_the_best_value():
    """From below the value, as no discriminator is better than the best."""
    x, u = data(rows=4000)
    # The other networks move once only, by the learning rate.
    settings = IVAEGAN(layers=1, prior="table", prior_mean=True, sees="x,u", source="prior", latent_dim=1, steps=600,
                       discriminator_steps=10**6, discriminator_hidden=16, discriminator_layers=3,
                       learning_rate=5e-3, batch_size=250)
    with pytest.warns(UserWarning, match="n k"):
        fitted = settings.fit(x[:, None], u, precision="float64")
    values = fitted[0].values()
    mean, log_variance = values["prior.table"][..., 0]
    scale, shift = float(values["decoder.weight0"][0, 0]), float(values["decoder.bias0"][0])
    grid, step = np.linspace(-15, 15, 20_001, retstep=True)
    wanted = math.log(4) - 2 * np.mean([
        jensen_shannon(norm.pdf(grid, DATA_MEAN[k], DATA_STD[k]),
                       norm.pdf(grid, scale * mean[k] + shift, abs(scale) * math.exp(log_variance[k] / 2)), step)
        for k in range(2)])
    x, u = data(1)
    batch = batch_of(fitted.network, fitted.parameters, x, u, "discriminator")
    found = float(fitted.network.loss(batch).detach())
    # What 4,000 rows and a small network leave.
    assert -TOLERANCE < found - wanted < 0.03
    assert wanted < math.log(4) - 0.2


@pytest.mark.parametrize("source", ["posterior", "prior"])
def test_the_generator_minimises_cross_entropy_divergence_and_reconstruction(source):
    network, parameters = linear(source=source, sees="x,u", divergence=0.7, reconstruction=0.2, noise_std=0.5)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    x = np.tile([-1.0, 0.2, 2.5, 0.7], ROWS // 4)
    u = np.arange(ROWS) % 4 % 2
    terms = []
    for point, k in zip(x[:4], u[:4], strict=True):
        mean, std = SLOPE * point + OFFSET[k], STD
        m, s = (mean, std) if source == "posterior" else (PRIOR_MEAN[k], PRIOR_STD[k])
        at = torch.tensor(SCALE * (m + s * nodes) + SHIFT)[None, :, None]
        logits = network.logits(parameters.values, at, at[..., :0], torch.full((1, 60), int(k)))[0].detach().numpy()
        entropy = -np.sum(weights * log_expit(logits))
        a, b = PRIOR_MEAN[k], PRIOR_STD[k]
        divergence = math.log(b / std) + (std**2 + (mean - a)**2) / (2 * b**2) - 0.5
        square = (point - SCALE * mean - SHIFT)**2 + (SCALE * std)**2
        error = 0.5 * square / 0.25 + 0.5 * math.log(2 * math.pi * 0.25)
        terms.append(entropy + 0.7 * divergence + 0.2 * error)
    found = float(network.loss(batch_of(network, parameters, x, u, "generator")).detach())
    # The squared error has a deviation of about ten.
    assert abs(found - np.mean(terms)) < 10 * 0.2 * TOLERANCE


def test_the_joint_encoder_is_moved_to_the_other_side():
    network, parameters = linear(sees="x,z,u", divergence=0.0)
    x, u = data(rows=50)
    batch = batch_of(network, parameters, x, u, "generator")
    found = float(network.loss(batch).detach())
    p, d = parameters.values, batch.draws
    z = SLOPE * batch.x + torch.tensor(OFFSET[u])[None, :, None] + STD * d.normal("posterior", 50, 1)
    drawn = torch.tensor(PRIOR_MEAN[u] + PRIOR_STD[u] * d.normal("prior", 50, 1)[0, :, 0].numpy())[None, :, None]
    real, fake = (network.logits(p, a, b, batch.u)[0].detach().numpy()
                  for a, b in ((batch.x, z), (SCALE * drawn + SHIFT, drawn)))
    assert found == pytest.approx(-np.mean(log_expit(-real)) - np.mean(log_expit(fake)), rel=1e-12)


@pytest.mark.parametrize("sees", ["x", "x,u", "x,z,u"])
def test_the_gradient_penalty_is_half_the_mean_squared_slope_on_real_data(sees):
    """Against central differences of the logits; its own gradient against those of the objective."""
    with_it, parameters = linear(sees=sees, gradient_penalty=3.0)
    without, _ = linear(sees=sees)
    x, u = data(rows=20)
    batches = [batch_of(network, parameters, x, u, "discriminator") for network in (with_it, without)]
    gap = float((with_it.loss(batches[0]) - without.loss(batches[1])).detach())
    p, h = parameters.values, 1e-6
    real = batches[0].x
    z = SLOPE * real + torch.tensor(OFFSET[u])[None, :, None] + STD * batches[0].draws.normal("posterior", 20, 1)
    with torch.no_grad():
        slopes = [(with_it.logits(p, real + h, z, batches[0].u) - with_it.logits(p, real - h, z, batches[0].u))]
        if sees == "x,z,u":
            slopes.append(with_it.logits(p, real, z + h, batches[0].u) - with_it.logits(p, real, z - h, batches[0].u))
    squares = sum((slope / (2 * h)).square().mean() for slope in slopes)
    assert gap == pytest.approx(1.5 * float(squares), rel=1e-6)
    names = [name for name in p if name.startswith("discriminator")]
    gradients = torch.autograd.grad(with_it.loss(batches[0]).sum(), [p[name] for name in names])
    rng = np.random.default_rng(5)
    for name, gradient in zip(names, gradients, strict=True):
        way = torch.tensor(rng.normal(size=gradient.shape))
        values = []
        for sign in (1, -1):
            moved = {**p, name: (p[name].detach() + sign * 1e-6 * way).requires_grad_()}
            batches[0].p = moved
            values.append(float(with_it.loss(batches[0]).detach()))
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float((gradient * way).sum()), rel=1e-4, abs=1e-7)


def test_the_published_objective_is_least_for_an_encoder_that_ignores_x():
    """The generator is the truth; q equal to the prior has loss log 2, the exact posterior loses I(x; z | u)."""
    x, u = data()
    network, parameters = linear(source="posterior")
    network.logits = lambda p, a, z, b: torch.zeros(a.shape[:2], dtype=torch.float64)
    zero, one = torch.zeros((1, 2, 1, 1), dtype=torch.float64), torch.tensor([1.0, 1.0]).double()
    # z is N(+-2, 1) given u and x = z + e with e of deviation 0.1.
    means = torch.tensor([-2.0, 2.0]).double()[:, None]
    parameters.set("prior.table", torch.stack([means, torch.zeros_like(means)])[None])
    parameters.set("encoder.weight0", zero)
    parameters.set("encoder.bias0", torch.zeros((1, 2, 1), dtype=torch.float64))
    parameters.set("encoder.table", torch.stack([means, torch.zeros_like(means)])[None])
    batch = batch_of(network, parameters, x, u, "generator")
    assert float(network.loss(batch).detach()) == pytest.approx(math.log(2), abs=1e-12)
    noise = 0.01
    x = np.random.default_rng(2).normal(size=ROWS) * math.sqrt(1 + noise) + np.array([-2.0, 2.0])[u]
    parameters.set("encoder.weight0", (one / (1 + noise) * torch.tensor([1.0, 0.0]).double()).view(1, 2, 1, 1))
    log_variance = math.log(noise / (1 + noise))
    parameters.set("encoder.bias0", torch.tensor([0.0, log_variance]).double().view(1, 2, 1))
    parameters.set("encoder.table", torch.stack([means * noise / (1 + noise), torch.zeros_like(means)])[None])
    batch = batch_of(network, parameters, x, u, "generator")
    information = 0.5 * math.log((1 + noise) / noise)
    assert float(network.loss(batch).detach()) == pytest.approx(math.log(2) + information, abs=TOLERANCE)
