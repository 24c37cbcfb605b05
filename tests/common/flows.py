"""Flows with random parameters, and their Jacobians by autograd."""

from __future__ import annotations

import torch

from ident_theory.estimators.network import Batch, Shape
from ident_theory.estimators.parameters import Parameters


def random_network(estimator, n, conditions=0, image=None, seeds=(0, 1), spread=0.5, rows=100):
    """A network, and parameters in float64 that are random where the estimator begins at zero."""
    network = estimator.network(Shape(rows, n, n, conditions, image))
    parameters = Parameters(network.parameters(), seeds, torch.device("cpu"), torch.float64)
    generator = torch.Generator().manual_seed(sum(seeds) + 17)
    for value in parameters.values.values():
        if value.requires_grad:
            value.data += spread * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return network, parameters


def points(runs, rows, n, seed=0, scale=2.0):
    return scale * torch.randn((runs, rows, n), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jacobians(function, x):
    """Of a function of one observation at each row, shape (R, B, n, n); `function` maps (R, B, n) to (R, n, B)."""
    whole = torch.autograd.functional.jacobian(lambda y: function(y).transpose(1, 2).sum((0, 1)), x)
    return whole.permute(1, 2, 0, 3)


def batch(parameters, x, u=None, **options):
    """A batch without noise."""
    return Batch(parameters.values, x, u, None, {}, training=False, **options)
