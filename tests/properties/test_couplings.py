"""Couplings and autoregressive layers of any size are invertible, with the determinant that they say; spectra."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from common.flows import jacobians, points  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory.estimators.autoregressive import AutoregressiveLayer  # noqa: E402
from ident_theory.estimators.couplings import IncompressibleCoupling  # noqa: E402
from ident_theory.estimators.informative import LEAST_GAP, spectrum  # noqa: E402

widths = st.lists(st.integers(1, 6), max_size=2).map(tuple)
activations = st.sampled_from(["relu", "tanh", "elu", "softplus"])


def filled(specs, seed, runs=2):
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.7 * torch.randn((runs, *spec.shape), generator=generator, dtype=torch.float64)
            for name, spec in specs.items()}


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 7), widths, activations, st.floats(0.1, 3), st.sampled_from(["tanh", "arctan"]),
       st.sampled_from(["mean", "last"]), st.integers(0, 2**32))
def test_couplings_preserve_volume_and_are_invertible(size, hidden, activation, clamp, squash, zero_sum, seed):
    block = IncompressibleCoupling("flow", size, hidden, activation=activation, clamp=clamp, squash=squash,
                                   zero_sum=zero_sum)
    p, x = filled(block.parameters(), seed), points(2, 3, size, seed)
    y = block(p, x.transpose(1, 2))
    found = jacobians(lambda h: block(p, h.transpose(1, 2)), x)
    # The rounding of a determinant grows with the condition of its matrix.
    assert torch.linalg.slogdet(found)[1].abs().max() < 1e-14 * max(float(torch.linalg.cond(found).max()), 1e3)
    back = block.inverse(p, y).transpose(1, 2)
    assert torch.allclose(back, x, rtol=0, atol=1e-13 * max(float(torch.linalg.cond(found).max()), 1e3))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.lists(st.integers(1, 6), min_size=1, max_size=2), activations, st.floats(0.1, 3),
       st.integers(0, 2**32))
def test_autoregressive_layers_are_triangular_and_invertible(size, hidden, activation, clamp, seed):
    layer = AutoregressiveLayer("flow", size, hidden, activation, clamp)
    p, x = filled(layer.network.parameters(), seed), points(2, 3, size, seed)
    y, log_det = layer(p, x.transpose(1, 2))
    found = jacobians(lambda h: layer(p, h.transpose(1, 2))[0], x)
    assert not found.triu(1).any()
    diagonal = found.diagonal(dim1=2, dim2=3)
    assert torch.allclose(log_det, diagonal.log().sum(2), rtol=0, atol=1e-12)
    assert bool((diagonal.log().abs() <= clamp).all())
    back = layer.inverse(p, y).transpose(1, 2)
    assert torch.allclose(back, x, rtol=0, atol=1e-13 * max(float(torch.linalg.cond(found).max()), 1e3))


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8), st.randoms(use_true_random=False),
       st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_a_spectrum_does_not_depend_on_order_scale_or_shift(deviations, random, scale, shift):
    rows = np.array([[1.0], [-1.0]]) * deviations
    found = spectrum(rows)
    assert found.deviations.tolist() == sorted(deviations, reverse=True)
    shuffled = random.sample(range(len(deviations)), len(deviations))
    other = spectrum(scale * rows[:, shuffled] + scale * shift)
    assert np.allclose(other.deviations, scale * found.deviations, rtol=1e-9)
    assert 1 <= found.informative <= len(deviations)
    ratios = found.deviations[:-1] / found.deviations[1:]
    if len(ratios) and ratios.max() >= LEAST_GAP:
        assert ratios[found.informative - 1] == ratios.max() == found.gap
    else:
        assert found.informative == len(deviations)
