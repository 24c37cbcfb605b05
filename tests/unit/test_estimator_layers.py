"""Batched layers and densities against torch's own, run by run."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import densities  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.layers import MLP, take  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402

CPU, DOUBLE = torch.device("cpu"), torch.float64
MODULES = {"leaky_relu": lambda: torch.nn.LeakyReLU(0.3), "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh,
           "elu": torch.nn.ELU, "softplus": torch.nn.Softplus, "sigmoid": torch.nn.Sigmoid,
           "identity": torch.nn.Identity}


def plain(mlp, values, head, activation):
    """One head of one run as a torch module."""
    layers = []
    for k in range(len(mlp.widths) - 1):
        weight, bias = values[f"net.weight{k}"], values[f"net.bias{k}"]
        table = values.get("net.table") if k == 0 else None
        if mlp.heads > 1:
            weight, bias, table = weight[head], bias[head], None if table is None else table[head]
        if table is not None:
            weight = torch.cat([weight, table])
        layer = torch.nn.Linear(*weight.shape, dtype=DOUBLE)
        layer.weight.data, layer.bias.data = weight.T.clone(), bias.clone()
        layers += [layer, MODULES[activation]()]
    return torch.nn.Sequential(*layers[:-1])


@settings(max_examples=40)
@given(widths=st.lists(st.integers(1, 5), min_size=2, max_size=4), runs=st.integers(1, 3), heads=st.integers(1, 3),
       conditions=st.sampled_from([0, 1, 4]), size=st.integers(1, 6), activation=st.sampled_from(sorted(MODULES)),
       seed=st.integers(0, 100))
def test_a_batched_network_is_that_of_each_run(widths, runs, heads, conditions, size, activation, seed):
    mlp = MLP("net", widths, slope=0.3, heads=heads, conditions=conditions, activation=activation)
    parameters = Parameters(mlp.parameters(), range(runs), CPU, DOUBLE)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(runs, size, widths[0], dtype=DOUBLE, generator=generator)
    u = torch.randint(max(conditions, 1), (runs, size), generator=generator)
    weights = torch.randn(runs, heads, size, widths[-1], dtype=DOUBLE, generator=generator)
    found = mlp(parameters.values, x, u if conditions else None)
    assert found.shape == ((runs, size, widths[-1]) if heads == 1 else (runs, heads, size, widths[-1]))
    found = found.view(weights.shape)
    parameters.differentiate((found * weights).sum(), ["net"], slice(None))
    gradient = Parameters(mlp.parameters(), range(runs), CPU, DOUBLE)
    gradient.matrix.copy_(parameters.gradient)
    for run in range(runs):
        values = {name: value[run].detach() for name, value in parameters.values.items()}
        slopes = {name: value[run].detach() for name, value in gradient.values.items()}
        for head in range(heads):
            module = plain(mlp, values, head, activation)
            inputs = torch.cat([x[run], torch.nn.functional.one_hot(u[run], conditions).double()], 1) if conditions \
                else x[run]
            expected = module(inputs)
            assert torch.allclose(expected, found[run, head], rtol=1e-12, atol=1e-13)
            (expected * weights[run, head]).sum().backward()
            for theirs, ours in zip(module, plain(mlp, slopes, head, activation), strict=True):
                if isinstance(theirs, torch.nn.Linear):
                    assert torch.allclose(theirs.weight.grad, ours.weight, rtol=1e-10, atol=1e-12)
                    assert torch.allclose(theirs.bias.grad, ours.bias, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_all_one_hot_inputs_at_once(heads):
    mlp = MLP("net", [4, 3, 2], heads=heads)
    p = Parameters(mlp.parameters(), [0, 1], CPU, DOUBLE).values
    eye = torch.eye(4, dtype=DOUBLE).expand(2, -1, -1)
    assert torch.allclose(mlp.at_conditions(p), mlp(p, eye), rtol=1e-14)


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 2, 4, 2)])
def test_rows_of_tables(shape):
    table = torch.randn(*shape)
    u = torch.randint(4, (3, 5))
    found = take(table, u)
    assert found.shape == (*shape[:-2], 5, 2)
    for run in range(3):
        assert torch.equal(found[run], table[run][..., u[run], :])


def test_dropout_is_a_mask_of_the_run_and_scaled():
    mlp = MLP("net", [3, 400, 1], dropout={0: 0.25}, activation="identity", last=lambda shape, _: torch.ones(shape))
    p = Parameters(mlp.parameters(), [7, 8], CPU, DOUBLE).values
    x = torch.ones(2, 50, 3, dtype=DOUBLE)
    hidden = x @ p["net.weight0"] + p["net.bias0"][:, None]
    draws = Draws([7, 8], CPU, DOUBLE)
    dropped = mlp(p, x, draws=draws)
    kept = draws.uniform("net.dropout0", 50, 1, 400)[:, :, 0] >= 0.25
    assert torch.allclose(dropped, (hidden * kept / 0.75).sum(-1, keepdim=True), rtol=1e-12)
    assert abs(float(kept.double().mean()) - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 40000)
    assert torch.equal(mlp(p, x, draws=Draws([7, 8], CPU, DOUBLE)), dropped)
    assert torch.allclose(mlp(p, x), hidden.sum(-1, keepdim=True), rtol=1e-12)


def test_an_activation_that_is_none():
    with pytest.raises(InputError, match="activation: expected one of leaky_relu"):
        MLP("net", [1, 1], activation="step")


SHAPES = st.tuples(st.integers(0, 2**31), st.sampled_from([(), (4,), (2, 3)]), st.integers(1, 4))


@settings(max_examples=40)
@given(SHAPES)
def test_densities_are_those_of_torch(drawn):
    seed, lead, d = drawn
    generator = torch.Generator().manual_seed(seed)
    x, mean, scale, other, wide = (torch.randn(*lead, d, dtype=DOUBLE, generator=generator) for _ in range(5))
    law, second = (torch.distributions.Normal(m, torch.exp(s / 2)) for m, s in ((mean, scale), (other, wide)))
    close = {"rtol": 1e-11, "atol": 1e-12}
    assert torch.allclose(densities.normal_log_density(x, mean, scale), law.log_prob(x).sum(-1), **close)
    assert torch.allclose(densities.normal_log_density(x, mean, 0.7),
                          torch.distributions.Normal(mean, math.exp(0.35)).log_prob(x).sum(-1), **close)
    assert torch.allclose(densities.laplace_log_density(x, mean, scale),
                          torch.distributions.Laplace(mean, torch.exp(scale)).log_prob(x).sum(-1), **close)
    kl = torch.distributions.kl_divergence
    assert torch.allclose(densities.normal_divergence(mean, scale, other, wide), kl(law, second).sum(-1), **close)
    assert torch.allclose(densities.normal_divergence(mean, scale),
                          kl(law, torch.distributions.Normal(0 * mean, torch.ones_like(mean))).sum(-1), **close)
    assert torch.allclose(densities.normal_divergence(mean, scale, other, -0.4),
                          kl(law, torch.distributions.Normal(other, math.exp(-0.2))).sum(-1), **close)
    pixels = torch.rand(*lead, d, dtype=DOUBLE, generator=generator)
    chance = torch.sigmoid(x)
    expected = (pixels * chance.log() + (1 - pixels) * (1 - chance).log()).sum(-1)
    assert torch.allclose(densities.bernoulli_log_density(pixels, x), expected, rtol=1e-9, atol=1e-10)


def test_weights_start_by_their_law():
    mlp = MLP("net", [30, 40, 20])
    p = Parameters(mlp.parameters(), range(6), CPU, DOUBLE).values
    for k, (inputs, outputs) in enumerate(((30, 40), (40, 20))):
        weight, bias = p[f"net.weight{k}"].detach().numpy(), p[f"net.bias{k}"].detach().numpy()
        bound = math.sqrt(6 / (inputs + outputs))
        assert 0.99 * bound < np.abs(weight).max() <= bound
        # The variance of a uniform law is known to five standard errors of its estimate.
        assert weight.var() == pytest.approx(bound**2 / 3, rel=5 * math.sqrt(0.8 / weight.size))
        assert np.abs(bias).max() <= 1 / math.sqrt(inputs)
