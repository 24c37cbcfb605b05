"""Training loops as a user would write them: modules, an optimiser, a DataLoader, one run.

Each takes observations (N, n) and conditions (N,) as tensors and gives a function that does one step.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def mlp(*widths, slope=0.1):
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])


def endless(batch, *tensors):
    loader = DataLoader(TensorDataset(*tensors), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        yield from loader


def log_normal(x, mean, log_variance):
    return (-0.5 * ((x - mean) ** 2 / torch.exp(log_variance) + log_variance + math.log(2 * math.pi))).sum(1)


def ivae_loop(x, u, batch, hidden):
    n, m = x.shape[1], int(u.max()) + 1
    prior, decoder = mlp(m, hidden, hidden, n), mlp(n, hidden, hidden, n)
    mean, log_variance = mlp(n + m, hidden, hidden, n), mlp(n + m, hidden, hidden, n)
    optimiser = torch.optim.Adam([p for net in (prior, decoder, mean, log_variance) for p in net.parameters()])
    batches = endless(batch, x, F.one_hot(u, m).to(x.dtype))
    noise = torch.full((batch, n), math.log(0.01))

    def step():
        seen, code = next(batches)
        optimiser.zero_grad()
        both = torch.cat([seen, code], 1)
        centre, spread = mean(both), log_variance(both)
        z = centre + torch.randn_like(centre) * torch.exp(0.5 * spread)
        bound = log_normal(seen, decoder(z), noise) + log_normal(z, 0.0, prior(code)) - log_normal(z, centre, spread)
        loss = -bound.mean()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def gan_loop(x, u, batch, hidden):
    """iVAE-GAN: the discriminator, then the other networks."""
    n, m = x.shape[1], int(u.max()) + 1
    inner = [hidden] * 3
    prior, decoder = mlp(m, *inner, n), mlp(n, *inner, n)
    mean, log_variance = mlp(n + m, *inner, n), mlp(n + m, *inner, n)
    discriminator = mlp(n, *[32] * 6, 1)
    others = [p for net in (prior, decoder, mean, log_variance) for p in net.parameters()]
    first = torch.optim.Adam(discriminator.parameters(), betas=(0.5, 0.999))
    second = torch.optim.Adam(others, betas=(0.5, 0.999))
    batches = endless(batch, x, F.one_hot(u, m).to(x.dtype))
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def step():
        seen, code = next(batches)
        both = torch.cat([seen, code], 1)
        centre, spread = mean(both), log_variance(both)
        made = decoder(centre + torch.randn_like(centre) * torch.exp(0.5 * spread))
        loss = (F.binary_cross_entropy_with_logits(discriminator(seen), ones)
                + F.binary_cross_entropy_with_logits(discriminator(made.detach()), zeros))
        first.zero_grad()
        loss.backward()
        first.step()
        given = prior(code)
        divergence = 0.5 * (given - spread + (spread.exp() + centre**2) / given.exp() - 1).sum(1).mean()
        loss = F.binary_cross_entropy_with_logits(discriminator(made), ones) + divergence
        second.zero_grad()
        loss.backward()
        second.step()

    return step


class Mixture(nn.Module):
    """log p(z) averaged over a normal q, for the best q(c | x)."""

    def __init__(self, components, d):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, d))
        self.log_variances = nn.Parameter(torch.zeros(components, d))

    def forward(self, mean, log_variance):
        spread = log_variance.exp()[:, None] + (mean[:, None] - self.means) ** 2
        inner = -0.5 * (spread / self.log_variances.exp() + self.log_variances + math.log(2 * math.pi)).sum(-1)
        return torch.logsumexp(torch.log_softmax(self.logits, 0) + inner, -1)


def vade_loop(x, u, batch, hidden):
    """VaDE with ten components; no use for u."""
    n = x.shape[1]
    encoder, decoder = mlp(n, hidden, hidden, 2 * n, slope=0.01), mlp(n, hidden, hidden, n, slope=0.01)
    prior = Mixture(10, n)
    optimiser = torch.optim.Adam([p for net in (encoder, decoder, prior) for p in net.parameters()])
    batches = endless(batch, x)
    noise = torch.full((batch, n), math.log(0.01))

    def step():
        (seen,) = next(batches)
        optimiser.zero_grad()
        centre, spread = encoder(seen).chunk(2, dim=1)
        z = centre + torch.randn_like(centre) * torch.exp(0.5 * spread)
        entropy = 0.5 * (spread + 1 + math.log(2 * math.pi)).sum(1)
        loss = -(log_normal(seen, decoder(z), noise) + prior(centre, spread) + entropy).mean()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


class Block(nn.Module):
    """A permutation and two couplings whose scales have mean zero."""

    def __init__(self, size, hidden):
        super().__init__()
        self.half = size // 2
        self.register_buffer("order", torch.randperm(size))
        sides = ((self.half, size - self.half), (size - self.half, self.half))
        self.nets = nn.ModuleList(mlp(other, hidden, hidden, 2 * part, slope=0.0) for part, other in sides)
        for net in self.nets:
            nn.init.zeros_(net[-1].weight)
            nn.init.zeros_(net[-1].bias)

    def forward(self, x):
        x = x[:, self.order]
        a, b = x[:, :self.half], x[:, self.half:]
        a = self.move(self.nets[0](b), a)
        return torch.cat([a, self.move(self.nets[1](a), b)], 1)

    @staticmethod
    def move(out, part):
        scale, shift = out.chunk(2, 1)
        scale = 2 * torch.tanh(scale)
        return part * torch.exp(scale - scale.mean(1, keepdim=True)) + shift


def gin_loop(x, u, batch, hidden):
    """GIN with eight blocks."""
    conditions = int(u.max()) + 1
    flow = nn.Sequential(*[Block(x.shape[1], hidden) for _ in range(8)])
    optimiser = torch.optim.Adam(flow.parameters(), 1e-2)
    batches = endless(batch, x, u)

    def step():
        seen, labels = next(batches)
        w = flow(seen + 0.01 * torch.randn_like(seen))
        loss = torch.zeros(())
        for condition in range(conditions):
            own = w[labels == condition]
            if len(own) > 1:
                loss = loss + len(own) / len(w) * 0.5 * own.var(0, correction=0).log().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


#: By the name of the estimator.
LOOPS = {"ivae": ivae_loop, "ivae-gan": gan_loop, "vade": vade_loop, "gin": gin_loop}
