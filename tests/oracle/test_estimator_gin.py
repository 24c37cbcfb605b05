"""GIN by second routes: Jacobians by autograd, FrEIA's block, quadrature, loops over conditions."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from common.flows import batch, jacobians, points, random_network  # noqa: E402
from scipy import stats  # noqa: E402

from ident_theory.estimators.couplings import IncompressibleCoupling  # noqa: E402
from ident_theory.estimators.gin import EMNIST, GIN  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402

IMAGE = {"image_blocks": (2, 1), "image_widths": (3, 2), "blocks": 1, "hidden": (5,)}
VARIANTS = list(itertools.product(["mean", "last"], ["tanh", "arctan"]))


def trained(network):
    """Number of trained numbers of a run."""
    return sum(spec.size for spec in network.parameters().values() if spec.trained)


def test_the_numbers_of_parameters_are_those_of_the_paper():
    assert trained(GIN().network(Shape(100, 10, 10, 5))) == 4480
    assert trained(GIN(**EMNIST).network(Shape(100, 784, 784, 10, (1, 28, 28)))) == 2_620_192
    # By the paper's words the last scale is minus the sum of the others, one output less: the count differs.
    assert trained(GIN(zero_sum="last").network(Shape(100, 10, 10, 5))) == 4304


@pytest.mark.parametrize(("zero_sum", "squash"), VARIANTS)
@pytest.mark.parametrize(("n", "image", "made"), [(5, None, {"blocks": 3, "hidden": (6, 4)}),
                                                  (2, None, {"blocks": 2, "hidden": (7,)}),
                                                  pytest.param(32, (2, 4, 4), IMAGE, marks=pytest.mark.slow)])
def test_the_jacobian_has_determinant_one_and_the_inverse_inverts(zero_sum, squash, n, image, made):
    # The rounding of the determinant grows with the condition of the Jacobian, hence small weights for images.
    network, parameters = random_network(GIN(zero_sum=zero_sum, squash=squash, **made), n, 3, image,
                                         spread=0.1 if image else 0.3)
    x = points(2, 4, n)
    w = network.flow(parameters.values, x)
    found = jacobians(lambda y: network.flow(parameters.values, y), x)
    assert not torch.allclose(found, torch.eye(n, dtype=torch.float64).expand_as(found), atol=0.05)
    assert torch.linalg.slogdet(found)[1].abs().max() < 1e-10
    assert torch.allclose(network.inverse(parameters.values, w), x, rtol=0, atol=1e-10)


def test_runs_have_their_own_orders_and_weights():
    network, parameters = random_network(GIN(blocks=2, hidden=(4,)), 6, 2)
    x = points(1, 5, 6).expand(2, -1, -1)
    w = network.flow(parameters.values, x)
    assert (w[0] - w[1]).abs().max() > 0.1
    for run in (0, 1):
        alone = {name: value[run:run + 1] for name, value in parameters.values.items()}
        assert torch.allclose(network.flow(alone, x[:1]), w[run:run + 1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("image", [False, True])
def test_a_block_is_the_one_of_freia(image):
    modules = pytest.importorskip("FrEIA.modules")
    size, hidden = 6, (5, 4)
    ours = IncompressibleCoupling("flow", size, hidden, activation="relu", clamp=2.0, squash="arctan",
                                  zero_sum="mean", image=image)
    generator = torch.Generator().manual_seed(3)
    p = {name: torch.randn((2, *spec.shape), generator=generator, dtype=torch.float64) * 0.5
         for name, spec in ours.parameters().items()}
    shape = (size, 3, 3) if image else (size,)
    x = torch.randn((2, 7, *shape), generator=generator, dtype=torch.float64)
    h = x.transpose(0, 1).flatten(1, 2) if image else x.transpose(1, 2)
    found = ours(p, h)
    found = found.view(7, 2, *shape).transpose(0, 1) if image else found.transpose(1, 2)

    def subnetwork(inputs, outputs):
        widths = [inputs, *hidden, outputs]
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [torch.nn.Conv2d(before, after, 3, padding=1) if image else torch.nn.Linear(before, after),
                       torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1]).double()

    for run in range(2):
        theirs = modules.GINCouplingBlock([shape], subnet_constructor=subnetwork, clamp=2.0)
        # Its second network acts first, on the first half.
        for network, label in ((theirs.subnet2, "first"), (theirs.subnet1, "second")):
            for k, layer in enumerate(network[::2]):
                weight = p[f"flow.{label}.weight{k}"][run]
                layer.weight.data = weight if image else weight.T.contiguous()
                layer.bias.data = p[f"flow.{label}.bias{k}"][run]
        (expected,), _ = theirs([x[run]])
        assert torch.allclose(found[run], expected, rtol=1e-12, atol=1e-12)


def test_the_density_given_u_integrates_to_one_in_the_plane():
    network, parameters = random_network(GIN(blocks=3, hidden=(8,), activation="tanh", moments="learnt"), 2, 3,
                                         seeds=(4,))
    axis = torch.linspace(-14, 14, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)[None]
    for u in range(3):
        values = network.score(batch(parameters, grid, torch.full(grid.shape[:2], u))).exp()
        # The trapezium rule is exact to rounding for smooth functions that vanish at the border.
        assert float(values.detach().sum()) * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_the_score_is_the_normal_density_of_the_latents():
    network, parameters = random_network(GIN(blocks=2, hidden=(4,), moments="learnt"), 4, 3)
    x, u = points(2, 6, 4), torch.tensor([[0, 1, 2, 2, 1, 0]] * 2)
    found = network.score(batch(parameters, x, u)).detach().numpy()
    w = network.flow(parameters.values, x).detach().numpy()
    for run, row in itertools.product(range(2), range(6)):
        values = parameters.one(run)
        condition = int(u[run, row])
        std = np.exp(0.5 * values["prior.log_variance"][condition])
        expected = stats.norm(values["prior.mean"][condition], std).logpdf(w[run, :, row]).sum()
        assert found[run, row] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 1, 1, 2, 2, 2], [0, 0, 0, 0, 0, 0, 0, 0, 1, 3]])
def test_the_loss_is_the_likelihood_under_the_moments_of_the_batch(labels):
    """Loops over conditions, and the likelihood at its maximum; conditions with one row or none are left out."""
    network, parameters = random_network(GIN(blocks=2, hidden=(4,), noise_std=0), 4, 4)
    x, u = points(2, 10, 4), torch.tensor([labels] * 2)
    found = network.loss(batch(parameters, x, u))
    w = network.flow(parameters.values, x)
    for run in range(2):
        total = rows = 0
        for condition in range(4):
            own = w[run][:, u[run] == condition]
            if own.shape[1] < 2:
                continue
            # With its mean differentiated too, unlike the loss.
            variance = (own - own.mean(1, keepdim=True)).square().mean(1, keepdim=True)
            law = torch.distributions.Normal(own.mean(1, keepdim=True), variance.sqrt())
            total, rows = total - law.log_prob(own).sum(), rows + own.shape[1]
        assert found[run].item() == pytest.approx((total / rows).item(), rel=1e-12)
        weight = parameters.values["flow.dense.0.first.weight0"]
        ours, theirs = (torch.autograd.grad(part, weight, retain_graph=True)[0][run]
                        for part in (found[run], total / rows))
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_trained_score_is_minus_the_known_entropy():
    """x is a rotation of numbers that are independent normal given u, and the flow learns to undo it."""
    rng = np.random.default_rng(0)
    u = rng.integers(3, size=3000)
    means, stds = rng.normal(size=(3, 4)) * 2, rng.uniform(0.3, 2, size=(3, 4))
    z = means[u] + stds[u] * rng.normal(size=(3000, 4))
    x = z @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    entropy = np.log(stds).sum(1)[u].mean() + 2 * (1 + math.log(2 * math.pi))
    found = GIN(blocks=3, steps=250, batch_size=200, noise_std=0, latent_dim=1).fit(x, u)
    # The mean density of 3,000 observations has a standard error of 0.026, and 528 weights fit some of the noise.
    assert np.all(np.abs(found.scores + entropy) < 0.15), (found.scores, entropy)
