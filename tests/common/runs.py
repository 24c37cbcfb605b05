"""Networks of estimators with chosen parameters and chosen noise, without a training."""

from __future__ import annotations

import numpy as np
import torch

from ident_theory.estimators.network import Batch
from ident_theory.estimators.parameters import Parameters

CPU = torch.device("cpu")


class Noise:
    """Draws that are given: whatever is asked for, these numbers come, shape (R, B, ...)."""

    def __init__(self, values):
        self.values = torch.tensor(values, dtype=torch.float64)

    def normal(self, name, *shape):
        assert tuple(self.values.shape[1:]) == shape
        return self.values


def set_up(estimator, shape, runs=1, values=None):
    """Network and parameters, some of them set: values (name to array of one run)."""
    network = estimator.network(shape)
    parameters = Parameters(network.parameters(), range(runs), CPU, torch.float64)
    for name, value in (values or {}).items():
        parameters.set(name, torch.as_tensor(np.asarray(value, dtype=np.float64)).expand_as(parameters.values[name]))
    return network, parameters


def batch_of(estimator, parameters, x, u=None, noise=None, **options):
    """A batch of rows (B, n) that all runs see."""
    runs = parameters.runs
    x = torch.as_tensor(np.asarray(x, dtype=np.float64))
    u = None if u is None else torch.as_tensor(np.asarray(u)).expand(runs, -1)
    hyper = estimator.hyper(runs, CPU, torch.float64)
    draws = None if noise is None else Noise(np.broadcast_to(noise, (runs, *np.shape(noise)[-2:])))
    return Batch(parameters.values, x.expand(runs, -1, -1), u, draws, hyper, **options)


def numbers(tensor):
    """A tensor as an array."""
    return tensor.detach().numpy()
