"""GMM-flow by second routes: Jacobians by autograd, quadrature, scipy's normal laws, zuko's flow."""

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from common.flows import batch, jacobians, points, random_network  # noqa: E402
from scipy import stats  # noqa: E402

from ident_theory.estimators.autoregressive import AutoregressiveLayer  # noqa: E402
from ident_theory.estimators.gmm_flow import GMMFlow  # noqa: E402
from ident_theory.estimators.network import Beginning, Shape  # noqa: E402

SMALL = {"layers": 3, "components": 4, "hidden": (7, 5)}


@pytest.mark.parametrize(("n", "order", "activation"),
                         list(product([1, 2, 5], ["reverse", "random"], ["relu", "tanh"])))
def test_log_determinants_are_those_of_the_jacobian_and_the_inverse_inverts(n, order, activation):
    network, parameters = random_network(GMMFlow(order=order, activation=activation, **SMALL), n)
    parameters.set("scale.mean", torch.full((2, n), 0.3))
    parameters.set("scale.log_std", torch.full((2, n), -0.4))
    x = points(2, 6, n, scale=1.0)
    z, log_det = network.flow(parameters.values, x)
    found = torch.linalg.slogdet(jacobians(lambda y: network.flow(parameters.values, y)[0], x))[1]
    assert found.abs().max() > 0.1
    assert torch.allclose(log_det, found, rtol=0, atol=1e-10)
    assert torch.allclose(network.inverse(parameters.values, z), x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("hidden", [(3,), (9, 2)])
def test_a_layer_is_triangular_and_depends_on_all_that_comes_before(n, hidden):
    layer = AutoregressiveLayer("flow", n, hidden, "tanh", 5.0)
    generator = torch.Generator().manual_seed(0)
    p = {name: torch.randn((1, *spec.shape), generator=generator, dtype=torch.float64)
         for name, spec in layer.network.parameters().items()}
    found = jacobians(lambda y: layer(p, y.transpose(1, 2))[0], points(1, 20, n))[0].abs().amax(0)
    assert torch.equal(found.triu(1), torch.zeros(n, n, dtype=torch.float64))
    # With fewer hidden units than degrees some dependences are missing.
    complete = min(hidden) >= n - 1
    assert bool((found.tril() > 0).sum() == n * (n + 1) // 2) or not complete


@pytest.mark.parametrize("n", [1, 2])
def test_the_density_integrates_to_one(n):
    network, parameters = random_network(GMMFlow(layers=2, components=3, hidden=(6,), activation="tanh"), n,
                                         seeds=(3,), spread=0.3)
    axis = torch.linspace(-16, 16, 4001 if n == 1 else 501, dtype=torch.float64)
    grid = (axis[:, None] if n == 1 else torch.cartesian_prod(axis, axis))[None]
    total = network.score(batch(parameters, grid)).exp().detach().sum() * (axis[1] - axis[0]) ** n
    assert total.item() == pytest.approx(1, abs=1e-6)


def test_a_flow_that_has_not_been_trained_is_a_mixture_of_standardised_observations():
    network = GMMFlow(**SMALL).network(Shape(50, 3, 3))
    _, parameters = random_network(GMMFlow(**SMALL), 3, spread=0)
    x = points(2, 50, 3, scale=1.0) * torch.tensor([0.1, 1.0, 30.0]) + 5
    network.begin(Beginning(network.phases()[0], parameters, tuple(x), None, (0, 1), {}))
    found = network.score(batch(parameters, x)).detach().numpy()
    for run in range(2):
        own, values = x[run].numpy(), parameters.one(run)
        centre, spread = own.mean(0), own.std(0)
        # Three layers, of which the last two turn the coordinates round: as given again.
        means = values["base.mean"] * spread + centre
        assert all(np.abs(own - mean).max(1).min() < 1e-9 for mean in means)
        expected = np.log(np.mean([stats.multivariate_normal(mean, np.diag(spread**2)).pdf(own) for mean in means], 0))
        assert np.allclose(found[run], expected, rtol=1e-10)


def test_weights_of_the_mixture_count():
    network, parameters = random_network(GMMFlow(layers=1, components=2, hidden=(3,)), 2, seeds=(1,))
    parameters.set("base.logits", torch.tensor([[3.0, -2.0]]))
    x = points(1, 5, 2)
    z, log_det = (part[0].detach().numpy() for part in network.flow(parameters.values, x))
    weights = np.exp([3.0, -2.0]) / np.exp([3.0, -2.0]).sum()
    values = parameters.one(0)
    laws = [stats.norm(mean, np.exp(0.5 * log)).pdf(z.T).prod(1)
            for mean, log in zip(values["base.mean"], values["base.log_variance"], strict=True)]
    expected = np.log(weights @ np.array(laws)) + log_det
    assert np.allclose(network.score(batch(parameters, x)).detach().numpy()[0], expected, rtol=1e-12)


#: zuko switches the validation of torch.distributions off for a whole process, so it has one of its own.
ZUKO = """
import sys, numpy as np, torch, zuko
stored = {name: torch.from_numpy(value) for name, value in np.load(sys.argv[1]).items()}
flow = zuko.flows.MAF(3, transforms=2, hidden_features=(7, 5), randperm=False).double()
for k, transform in enumerate(flow.transform.transforms):
    for j, layer in enumerate(layer for layer in transform.hyper if isinstance(layer, torch.nn.Linear)):
        layer.weight.data, layer.bias.data = stored[f"weight{k}{j}"], stored[f"bias{k}{j}"]
        layer.mask = torch.ones_like(layer.mask)
flow.base = zuko.mixtures.GMM(3, components=4, covariance_type="diagonal", epsilon=0.0).double()
for parameter, name in zip(flow.base.phi, ("logits", "mean", "log_std")):
    parameter.data = stored[name]
np.save(sys.argv[2], flow().log_prob(stored["x"]).detach().numpy())
"""


def test_the_density_is_that_of_zuko(tmp_path):
    pytest.importorskip("zuko")
    # The bound of zuko's scales.
    network, parameters = random_network(GMMFlow(layers=2, components=4, hidden=(7, 5), clamp=3 * math.log(10)), 3,
                                         seeds=(2,))
    x, values = points(1, 40, 3), parameters.one(0)
    stored = {"x": x[0].numpy(), "logits": values["base.logits"], "mean": values["base.mean"][:, ::-1],
              "log_std": 0.5 * values["base.log_variance"][:, ::-1]}
    for k, layer in enumerate(network.layers):
        # Coordinates are turned round before our second layer; zuko has shift and scale of each side by side.
        place = range(3)[::-1] if k else range(3)
        for j, mask in enumerate(layer.network.masks):
            weight, bias = (values[f"flow.{k}.{part}{j}"] for part in ("weight", "bias"))
            weight = (weight * mask.numpy()).T
            if j == 0:
                weight = weight[:, place]
            if j == 2:
                rows = [row for i in place for row in (3 + i, i)]
                weight, bias = weight[rows], bias[rows]
            stored[f"weight{k}{j}"], stored[f"bias{k}{j}"] = weight, bias
    np.savez(tmp_path / "in.npz", **{name: np.ascontiguousarray(value) for name, value in stored.items()})
    subprocess.run([sys.executable, "-c", ZUKO, tmp_path / "in.npz", tmp_path / "out.npy"], check=True, timeout=120)
    found = network.score(batch(parameters, x)).detach().numpy()[0]
    assert np.allclose(found, np.load(tmp_path / "out.npy"), rtol=1e-11)
