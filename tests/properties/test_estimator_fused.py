"""The kernels against the same operations in torch: values, gradients, gradients of gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory.estimators import fused  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.ivae import IVAE, IVAENetwork  # noqa: E402
from ident_theory.estimators.network import Batch, Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402
from ident_theory.estimators.training import Table, Training  # noqa: E402
from ident_theory.estimators.vae import VAE, BetaVAE  # noqa: E402

CPU = torch.device("cpu")


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def both_ways(function, plain, leaves, generator):
    """Compare values, gradients and the gradients of a function of the gradients."""
    one, other = function(), plain()
    close(one, other)
    outer = torch.randn(one.shape, generator=generator, dtype=torch.float64, requires_grad=True)
    close(torch.autograd.grad(one, leaves, outer, retain_graph=True, allow_unused=True, materialize_grads=True),
          torch.autograd.grad(other, leaves, outer, allow_unused=True, materialize_grads=True))
    second = []
    for found in (function(), plain()):
        parts = torch.autograd.grad(found, leaves, outer, create_graph=True, allow_unused=True,
                                    materialize_grads=True)
        total = torch.stack([(part.square() + part).sum() for part in parts]).sum()
        second.append(torch.autograd.grad(total, [*leaves, outer], allow_unused=True, materialize_grads=True))
    close(*second)


@settings(max_examples=60)
@given(st.data())
def test_normal_samples(data):
    runs, size, d = (data.draw(st.integers(1, limit)) for limit in (3, 9, 4))
    tables, conditions = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))

    def random(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    posterior, table = random(runs, 2, size, d).requires_grad_(), random(runs, tables, conditions, d).requires_grad_()
    noise, u = random(runs, size, d), torch.randint(conditions, (runs, size), generator=generator)
    exact = data.draw(st.booleans())
    weights = random(runs, size, d), random(runs, size)

    def joined(found):
        return (found[0] * weights[0]).sum(-1) + found[1] * weights[1]

    both_ways(lambda: joined(fused.normal_sample(posterior, table, noise, u, exact)),
              lambda: joined(fused.plain_sample(posterior, table, noise, u, exact)), [posterior, table], generator)


def set_up(estimator, shape, seeds=(0, 1, 2), size=8):
    """Network, parameters whose gradient is not yet anything, and a batch."""
    network = estimator.network(shape)
    parameters = Parameters(network.parameters(), seeds, CPU, torch.float64)
    parameters.gradient.fill_(torch.nan)
    x = torch.stack([torch.randn((size, shape.observed_dim), dtype=torch.float64,
                                 generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    u = torch.arange(size).expand(len(seeds), -1) % shape.conditions if shape.conditions else None
    return network, parameters, Batch(parameters.values, x, u, Draws(seeds, CPU, torch.float64), {})


def by_autograd(network, parameters, batch):
    """Loss and gradient by torch's operations alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "applies", lambda *_, **__: False)
        assert network.direct(batch, parameters) is None
        loss = network.loss(batch)
    parameters.differentiate(loss.sum(), parameters.groups, parameters.columns(parameters.groups))
    return loss.detach(), parameters.gradient.clone()


@settings(max_examples=100)
@given(st.data())
def test_the_bound_of_ivae_and_vae(data):
    n, d, hidden, layers, conditions = (data.draw(st.integers(1, limit)) for limit in (6, 5, 9, 4, 6))
    options = {"hidden": hidden, "layers": layers, "slope": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
               "noise_std": data.draw(st.sampled_from([0.1, 1.0, 3.0])), "exact_kl": data.draw(st.booleans())}
    if data.draw(st.booleans()):
        estimator = IVAE(**options, prior=data.draw(st.sampled_from(["mlp", "table"])),
                         prior_mean=data.draw(st.booleans()))
    else:
        estimator, conditions = VAE(**options), 0
    network, parameters, batch = set_up(estimator, Shape(100, n, d, conditions), range(data.draw(st.integers(1, 3))),
                                        data.draw(st.integers(1, 70)))
    loss, gradient = network.direct(batch, parameters), parameters.gradient.clone()
    for found, other in zip((loss, gradient), by_autograd(network, parameters, batch), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-10, atol=1e-10 * float(other.abs().max()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
def test_a_run_that_fails_stays_alone(bad):
    estimator, shape = IVAE(hidden=5), Shape(100, 3, 2, 4)
    network, parameters, batch = set_up(estimator, shape)
    parameters.values["encoder.bias2"].data[1] = bad
    loss = network.direct(batch, parameters)
    assert torch.isfinite(loss).tolist() == [True, False, True]
    assert torch.isfinite(parameters.gradient).all(1).tolist() == [True, False, True]
    for run in (0, 2):
        alone, own, part = set_up(estimator, shape, seeds=(run,))
        close(alone.direct(part, own)[0], loss[run])
        close(own.gradient[0], parameters.gradient[run])


class Halved(IVAENetwork):
    """Another objective."""

    def loss(self, batch):
        return 0.5 * super().loss(batch)


class Half(IVAE):
    """Trained by it."""

    def network(self, shape):
        return Halved(self, shape)


@pytest.mark.parametrize("estimator", [
    Half(hidden=5), IVAE(hidden=5, annealed=True), IVAE(hidden=5, learn_noise=True), IVAE(architecture="mlp-table"),
    IVAE(hidden=5, observation="bernoulli"), VAE(hidden=5, prior="laplace"), BetaVAE(hidden=5),
    IVAE(hidden=fused.WIDEST + 1)])
def test_other_objectives_are_differentiated_by_autograd(estimator):
    network, parameters, batch = set_up(estimator, Shape(100, 3, 2, 4 if estimator.uses_u else 0))
    assert network.direct(batch, parameters) is None


@pytest.mark.parametrize(("n", "size"), [(fused.WIDEST + 1, 8), (3, fused.MOST_ROWS + 1)])
def test_wide_data_and_large_batches_take_matrix_products(n, size):
    network, parameters, batch = set_up(VAE(hidden=5), Shape(3000, n, 2), size=size)
    assert network.direct(batch, parameters) is None


@pytest.mark.parametrize("estimator", [IVAE(hidden=6, steps=40, batch_size=16), Half(hidden=6, steps=40),
                                       VAE(hidden=6, steps=40)])
def test_both_ways_train_alike(estimator):
    generator = torch.Generator().manual_seed(0)
    x, u = torch.randn((90, 3), generator=generator, dtype=torch.float64), torch.arange(90) % 4

    def trained():
        shape = Shape(90, 3, 2, 4 if estimator.uses_u else 0)
        training = Training(estimator, estimator.network(shape), Table.of([(x, u if estimator.uses_u else None)], 2),
                            (0, 1), CPU, torch.float64)
        training.run()
        return training.parameters.matrix, training.state.losses

    found = trained()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "applies", lambda *_, **__: False)
        torch.testing.assert_close(found, trained(), rtol=1e-7, atol=1e-9)


def test_other_tensors_take_the_plain_way():
    x = torch.ones(2, 3, 4, dtype=torch.float64)
    posterior, table = torch.ones(1, 2, 3, 4, dtype=torch.float64), torch.ones(1, 1, 2, 4, dtype=torch.float64)
    u = torch.zeros((1, 3), dtype=torch.int64)
    slope = torch.func.grad(lambda a: fused.normal_sample(a, table, x[:1], u, True)[1].sum())(posterior)
    close(slope[:, 0], torch.full((1, 3, 4), 1 / torch.e, dtype=torch.float64))
    assert not fused.applies(x.to(torch.bfloat16))
    assert not fused.applies(x, rows=fused.MOST_ROWS + 1)
    assert not fused.applies(x, widest=fused.WIDEST + 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fused.applies(x)
