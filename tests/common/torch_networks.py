"""The encoders and decoders of Willetts and Paige 2021 in torch's own layers, and our names for their parameters."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ident_theory.estimators import architectures


def elu_or_leaky(kind):
    return nn.ELU() if kind == "convnet" else nn.LeakyReLU(0.1)


class Block(nn.Module):
    """A residual block of Table B.4 in torch's layers."""

    def __init__(self, inputs, outputs, output_padding=None):
        super().__init__()
        normed = nn.utils.parametrizations.weight_norm
        self.conv0 = normed(nn.Conv2d(inputs, inputs, 3, 1, 1))
        if output_padding is None:
            self.conv1, self.skip = (normed(nn.Conv2d(inputs, outputs, 3, 2, 1)) for _ in range(2))
        else:
            self.conv1, self.skip = (normed(nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding))
                                     for _ in range(2))

    def forward(self, h):
        return self.skip(h) + self.conv1(self.conv0(h.relu()).relu())


def trunk_and_head(kind, shape, heads, outputs):
    """The encoder of a table in torch's layers: convolutions, and what follows them."""
    c, high, wide = shape.image
    if kind == "resnet":
        sizes = [(high, wide)]
        for _ in range(5):
            sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
        first = architectures.CHANNELS
        trunk = nn.Sequential(nn.Conv2d(c, first, 1), *(Block(first * 2**k, 2 * first * 2**k) for k in range(5)),
                              nn.ReLU(), nn.Flatten())
        width = 32 * first * sizes[-1][0] * sizes[-1][1]
        return trunk, nn.Sequential(nn.Linear(width + shape.conditions, heads * outputs))
    trunk = nn.Sequential(
        nn.Conv2d(c, 8, 3, padding=1), nn.BatchNorm2d(8), elu_or_leaky(kind),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), elu_or_leaky(kind), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), elu_or_leaky(kind),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), elu_or_leaky(kind), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, (high // 4, wide // 4)), nn.Flatten())
    return trunk, nn.Sequential(nn.Linear(64 + shape.conditions, 64), nn.LeakyReLU(0.1), nn.Linear(64, heads * outputs))


def plain_decoder(kind, shape, inputs):
    """The decoder of a table in torch's layers."""
    c, high, wide = shape.image
    if kind == "resnet":
        sizes = [(high, wide)]
        for _ in range(5):
            sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
        first, blocks = architectures.CHANNELS, []
        for k in reversed(range(5)):
            padding = tuple(a - (2 * b - 1) for a, b in zip(sizes[k], sizes[k + 1], strict=True))
            blocks.append(Block(2 * first * 2**k, first * 2**k, padding))
        start = (32 * first, *sizes[-1])
        return nn.Sequential(nn.Linear(inputs, int(np.prod(start))), nn.Unflatten(1, start), *blocks, nn.ReLU(),
                             nn.Conv2d(first, c, 1), nn.Flatten())
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.LeakyReLU(0.1), nn.Linear(64, 64), nn.Unflatten(1, (64, 1, 1)),
        nn.ConvTranspose2d(64, 64, (high // 4, wide // 4)), nn.BatchNorm2d(64), elu_or_leaky(kind),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), elu_or_leaky(kind),
        nn.ConvTranspose2d(32, 16, 3, 1, 1), nn.BatchNorm2d(16), elu_or_leaky(kind),
        nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), elu_or_leaky(kind),
        nn.Conv2d(8, c, 3, padding=1), nn.Flatten())


def pairs(modules, name):
    """(our name, torch's tensor) for all parameters and running statistics of modules in our naming."""
    found, counts = [], {"conv": 0, "norm": 0, "block": 0, "linear": 0}

    def tensors(module, ours):
        if hasattr(module, "parametrizations"):
            scale, weight = module.parametrizations.weight.original0, module.parametrizations.weight.original1
            found.extend([(f"{ours}.scale", scale), (f"{ours}.weight", weight)])
        else:
            found.append((f"{ours}.weight", module.weight))
        found.append((f"{ours}.bias", module.bias))

    resnet = any(isinstance(module, Block) for module in modules)
    decodes = resnet and any(isinstance(module, nn.Unflatten) for module in modules)
    for module in modules:
        if isinstance(module, nn.Linear):
            found += [(f"{name}.head.weight{counts['linear']}", module.weight),
                      (f"{name}.head.bias{counts['linear']}", module.bias)]
            counts["linear"] += 1
        elif isinstance(module, Block):
            number = 4 - counts["block"] if decodes else counts["block"]
            for part in ("conv0", "conv1", "skip"):
                tensors(getattr(module, part), f"{name}.block{number}.{part}")
            counts["block"] += 1
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            tensors(module, f"{name}.conv" if resnet else f"{name}.conv{counts['conv']}")
            counts["conv"] += 1
        elif isinstance(module, nn.BatchNorm2d):
            ours = f"{name}.norm{counts['norm']}"
            found += [(f"{ours}.weight", module.weight), (f"{ours}.bias", module.bias),
                      (f"{ours}.mean", module.running_mean), (f"{ours}.variance", module.running_var)]
            counts["norm"] += 1
    return found


def copied(modules, name, values, run):
    """Fill torch's modules with the numbers of one run; conditions are the last columns of a first linear layer."""
    used = set()
    for ours, theirs in pairs(modules, name):
        value = values[ours][run].detach()
        if theirs.dim() == 2 and "head" in ours:
            value = value.T
            if f"{name}.head.table" in values and ours.endswith("weight0"):
                value = torch.cat([value, values[f"{name}.head.table"][run].detach().T], dim=1)
                used.add(f"{name}.head.table")
        with torch.no_grad():
            theirs.copy_(value.reshape(theirs.shape))
        used.add(ours)
    assert used == set(values)
