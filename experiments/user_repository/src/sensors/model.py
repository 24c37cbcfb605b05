"""The decoder and the prior, in numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import ident_theory as it

SLOPE = 0.25  # of the activation below zero


class Decoder:
    """x = W2 s(W1 z + b1) + b2 with a leaky activation s."""

    w1 = np.array([[2.0, 1.0], [0.0, 1.0], [1.0, -1.0]])
    b1 = np.array([0.5, 0.0, -1.0])
    w2 = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.5]])
    b2 = np.zeros(3)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        hidden = z @ self.w1.T + self.b1
        return np.where(hidden > 0, hidden, SLOPE * hidden) @ self.w2.T + self.b2


def model() -> it.Model:
    """The whole model, with a prior of three modes and the noise of the sensors."""
    prior = it.GaussianMixture(["1/4", "1/4", "1/2"], [[0, 0], [3, 1], [-1, 2]], [[1, 2], [3, "1/2"], [2, 2]])
    decoder = it.ReLUNetwork([Decoder.w1, Decoder.w2], [Decoder.b1, Decoder.b2], SLOPE)
    return it.Model(prior, decoder, it.GaussianNoise("1/10"))


def sites() -> it.ConditionalPrior:
    """The prior of the causes at each of five sites, from their means and variances there."""
    means = [[0, 0], [2, 0], [0, 1], [1, 1], [-1, 2]]
    variances = [[1, 1], [1, 2], [3, 1], [2, 2], [1, 4]]
    return it.ConditionalPrior.from_means_variances(means, variances)


def pruned(model: it.Model) -> it.Model:
    """The same model without hidden units that no later layer reads, or that are constant."""
    net = model.decoder
    assert isinstance(net, it.ReLUNetwork)
    weights: list[Any] = [w.copy() for w in net.weights_exact]
    biases: list[Any] = [b.copy() for b in net.biases_exact]
    for layer in range(len(weights) - 1):
        constant = [not any(row) for row in weights[layer]]
        for i in np.flatnonzero(constant):
            value = biases[layer][i]
            value = value if value > 0 else net.negative_slope_exact * value
            biases[layer + 1] = biases[layer + 1] + weights[layer + 1][:, i] * value
        read = [any(column) for column in weights[layer + 1].T]
        keep = [i for i, (still, seen) in enumerate(zip(constant, read, strict=True)) if seen and not still]
        if not keep:  # a layer needs a unit; this one is read no more
            keep, weights[layer + 1] = [0], weights[layer + 1] * 0
        weights[layer], biases[layer] = weights[layer][keep], biases[layer][keep]
        weights[layer + 1] = weights[layer + 1][:, keep]
    return it.Model(model.prior, it.ReLUNetwork(weights, biases, net.negative_slope_exact), model.noise)
