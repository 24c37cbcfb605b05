"""The kernels against the same operations in torch: values, gradients, gradients of gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory.estimators import fused  # noqa: E402
from ident_theory.estimators.layers import MLP  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402

CPU = torch.device("cpu")


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def network(data, **options):
    widths = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    mlp = MLP("net", widths, heads=data.draw(st.integers(1, 3)), slope=data.draw(st.sampled_from([0.0, 0.1, 1.0])),
              activation=data.draw(st.sampled_from(["leaky_relu", "relu"])), **options)
    runs = data.draw(st.integers(1, 3))
    return mlp, Parameters(mlp.parameters(), range(runs), CPU, torch.float64).values, runs


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
def test_a_leaky_relu_network(data):
    conditions = data.draw(st.integers(0, 4))
    mlp, p, runs = network(data, conditions=conditions)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    size = data.draw(st.integers(1, 70))
    x = torch.randn((runs, size, mlp.widths[0]), generator=generator, dtype=torch.float64, requires_grad=True)
    u = torch.randint(max(conditions, 1), (runs, size), generator=generator) if conditions else None
    assert fused.applies(x)
    both_ways(lambda: mlp(p, x, u), lambda: mlp._plain(p, x, u, None), [x, *p.values()], generator)


@settings(max_examples=30)
@given(st.data())
def test_a_leaky_relu_network_at_all_conditions(data):
    mlp, p, _ = network(data)
    generator = torch.Generator().manual_seed(0)
    both_ways(lambda: mlp.at_conditions(p), lambda: mlp._at_plain(p), list(p.values()), generator)


def test_the_gradient_of_what_needs_none_is_not_computed():
    mlp = MLP("net", [2, 3, 1])
    p = Parameters(mlp.parameters(), [0], CPU, torch.float64).values
    x = torch.ones((1, 4, 2), dtype=torch.float64)
    mlp(p, x).sum().backward()
    assert x.grad is None
    assert all(value.grad is not None for value in p.values())


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


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4))
def test_squared_distances(runs, size, n):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((runs, size, n), generator=generator, dtype=torch.float64)
    y = torch.randn((runs, size, n), generator=generator, dtype=torch.float64, requires_grad=True)
    both_ways(lambda: fused.squared_distance(x, y), lambda: (x - y).square().sum(-1), [y], generator)


def test_other_tensors_take_the_plain_way():
    x, y = torch.ones(2, 3, 4, dtype=torch.float64), torch.zeros(2, 3, 4, dtype=torch.float64)
    by_x = torch.func.grad(lambda a: fused.squared_distance(a, y).sum())(x)
    close(by_x, 2 * (x - y))
    assert not fused.applies(x.to(torch.bfloat16))
    assert not fused.applies(x, rows=fused.MOST_ROWS + 1)
    assert not fused.applies(x, widest=fused.WIDEST + 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fused.applies(x)
