"""The pairs of models of the benchmark of equality."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from check_problem import network

from ident_theory import AffineChange, GaussianMixture, GaussianNoise, Model, ReLUNetwork

COMPONENTS = 4
#: Maps of the latent, by their number.
MATRICES = {1: [[-3]], 2: [[2, 1], [1, 3]], 3: [[2, 1, 0], [1, 3, 1], [0, 1, 1]]}


def model(widths, slope, seed=0) -> Model:
    """Random Gaussian weights; four components with full covariances."""
    m = widths[0]
    rng = np.random.default_rng(seed)
    roots = np.round(8 * rng.normal(size=(COMPONENTS, m, m))) / 8
    covariances = roots @ roots.transpose(0, 2, 1) + np.eye(m)
    means = np.round(16 * rng.normal(size=(COMPONENTS, m))) / 8
    return Model(GaussianMixture(["1/4"] * COMPONENTS, means, covariances), network(widths, slope),
                 GaussianNoise("1/2"))


def copy(first: Model) -> tuple[Model, AffineChange]:
    """An affine copy with its components in another order, and the map."""
    h = AffineChange(MATRICES[first.latent_dim], [1] * first.latent_dim)
    carried = h.carry(first.mixture)
    prior = GaussianMixture(carried.weights_exact[::-1], carried.means_exact[::-1], carried.covariances_exact[::-1])
    return Model(prior, h.precompose(first.decoder), first.noise), h


def changed(first: Model) -> Model:
    """The same model with one weight of the last layer larger by 2^-10."""
    decoder = first.decoder
    last = decoder.weights_exact[-1].copy()
    last[0, 0] += Fraction(1, 2**10)
    return Model(first.prior, ReLUNetwork([*decoder.weights_exact[:-1], last], decoder.biases_exact,
                                          decoder.negative_slope_exact), first.noise)


def twice(f: ReLUNetwork) -> tuple[ReLUNetwork, ReLUNetwork]:
    """A ReLU network and the same function written with its first activation applied twice."""
    width = len(f.biases_exact[0])
    again = ReLUNetwork([f.weights_exact[0], np.eye(width, dtype=int), *f.weights_exact[1:]],
                        [f.biases_exact[0], [0] * width, *f.biases_exact[1:]])
    return f, again
