"""Log densities and divergences that objectives share; sums over the last axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def normal_log_density(x: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    r""":math:`\sum_i \log N(x_i; \mu_i, \sigma_i^2)`, in nats, shape (..., d) to (...)."""
    if isinstance(log_variance, float):
        return -0.5 * ((x - mean).square().sum(-1) * math.exp(-log_variance) + x.shape[-1] * (LOG_2PI + log_variance))
    return -0.5 * ((x - mean).square() * torch.exp(-log_variance) + log_variance).sum(-1) - 0.5 * x.shape[-1] * LOG_2PI


def laplace_log_density(x: Tensor, mean: Tensor | float, log_scale: Tensor) -> Tensor:
    r""":math:`\sum_i \log (e^{-|x_i - \mu_i| / b_i} / (2 b_i))`, shape (..., d) to (...)."""
    return -((x - mean).abs() * torch.exp(-log_scale) + log_scale + math.log(2)).sum(-1)


def normal_divergence(mean: Tensor, log_variance: Tensor, other_mean: Tensor | float = 0.0,
                      other_log_variance: Tensor | float = 0.0) -> Tensor:
    r"""KL of factorial normal laws, :math:`KL(N(\mu, \sigma^2) \| N(\mu', \sigma'^2))`, shape (..., d) to (...)."""
    ratio = log_variance - other_log_variance
    if isinstance(other_log_variance, float):
        scaled = (mean - other_mean).square() * math.exp(-other_log_variance)
    else:
        scaled = (mean - other_mean).square() * torch.exp(-other_log_variance)
    return 0.5 * (torch.exp(ratio) + scaled - 1 - ratio).sum(-1)


def bernoulli_log_density(x: Tensor, logits: Tensor) -> Tensor:
    r""":math:`\sum_i x_i \log p_i + (1 - x_i) \log (1 - p_i)` with p the logistic of the logits, for x in [0, 1]."""
    return -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
