"""The benchmark problem and the alternatives: a mixture of three, two hidden units, noise 1/4.

Each alternative computes log p(x) for the same model from float64 parameters, as a user would write it with
that library.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, special

from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork

MODEL = Model(GaussianMixture(["1/3", "1/3", "1/3"], [-2, -1, 3], [1, 1, 1]),
              ReLUNetwork([[[1], [1]], [[1, "-1/2"]]], [[0, -1], [0]]), GaussianNoise("1/4"))
WEIGHTS, MEANS, STD, NOISE = np.full(3, 1 / 3), np.array([-2.0, -1.0, 3.0]), 1.0, 0.25
BREAKS = np.array([0.0, 1.0])
SLOPES, INTERCEPTS = np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.5])
LOG_2PI = math.log(2 * math.pi)


def deep_model(width: int, components: int) -> Model:
    """One hidden layer of `width` units with distinct kinks and a mixture of `components`: width + 1 pieces."""
    kinks = np.linspace(-3, 3, width)
    weights = [np.ones((width, 1)), np.where(np.arange(width) % 2, -1.0, 1.0)[None, :]]
    prior = GaussianMixture([f"1/{components}"] * components, np.linspace(-3, 3, components), np.ones(components))
    return Model(prior, ReLUNetwork(weights, [-kinks, [0.0]]), GaussianNoise("1/4"))


def scipy_quad(x: np.ndarray) -> np.ndarray:
    """`scipy.integrate.quad` over z, breakpoints given, to 1e-10."""

    def integrand(z: float, value: float) -> float:
        prior = float(WEIGHTS @ np.exp(-0.5 * (z - MEANS) ** 2)) / math.sqrt(2 * math.pi)
        f = max(z, 0.0) - 0.5 * max(z - 1.0, 0.0)
        return prior * math.exp(-0.5 * ((value - f) / NOISE) ** 2) / (NOISE * math.sqrt(2 * math.pi))

    return np.array([math.log(integrate.quad(integrand, -12, 13, args=(v,), points=[0.0, 1.0], limit=200,
                                             epsabs=0, epsrel=1e-10)[0]) for v in x])


class NumpyQuadrature:
    """Composite Gauss-Legendre over z in [low, high], all observations at once; `order` nodes on every panel.

    The plain form sums exponentials and is accurate where they do not underflow; the safe form subtracts the
    largest exponent first, as log densities far from the data need.
    """

    def __init__(self, order: int, panels: int, low: float, high: float, safe: bool) -> None:
        ends = np.unique(np.concatenate([np.linspace(low, high, panels + 1), BREAKS]))
        nodes, weights = np.polynomial.legendre.leggauss(order)
        half = np.diff(ends)[:, None] / 2
        z = ((ends[:-1, None] + half) + half * nodes).ravel()
        log_prior = special.logsumexp(np.log(WEIGHTS) - 0.5 * (z[:, None] - MEANS) ** 2, axis=1) - 0.5 * LOG_2PI
        piece = np.searchsorted(BREAKS, z, side="right")
        self.image = (SLOPES[piece] * z + INTERCEPTS[piece]) / NOISE
        self.log_weight = np.log((half * weights).ravel()) + log_prior - math.log(NOISE) - 0.5 * LOG_2PI
        self.weight = np.exp(self.log_weight)
        self.nodes, self.safe = len(z), safe

    def __call__(self, x: np.ndarray) -> np.ndarray:
        out = np.empty(len(x))
        for first in range(0, len(x), 256):
            r = x[first:first + 256, None] / NOISE - self.image
            np.multiply(r, r, out=r)
            np.multiply(r, -0.5, out=r)
            if self.safe:
                r += self.log_weight
                top = r.max(axis=1)
                r -= top[:, None]
                np.exp(r, out=r)
                out[first:first + 256] = top + np.log(r.sum(axis=1))
            else:
                np.exp(r, out=r)
                out[first:first + 256] = np.log(r @ self.weight)
        return out


def cheapest_numpy_quadrature(x: np.ndarray, exact: np.ndarray, low: float, high: float,
                              safe: bool) -> NumpyQuadrature:
    """The rule with fewest nodes whose error on `x` is within 1e-12 max(1, |log p|), the promise of our law."""
    fits = []
    for order in (6, 8, 10, 12, 16, 20, 24):
        for panels in range(4, 400, 4):
            rule = NumpyQuadrature(order, panels, low, high, safe)
            if (np.abs(rule(x) - exact) <= 1e-12 * np.maximum(1, np.abs(exact))).all():
                fits.append(rule)
                break
    return min(fits, key=lambda rule: rule.nodes)


def numpy_closed_form(x: np.ndarray) -> np.ndarray:
    """The same closed form, vectorised with NumPy and scipy.special.log_ndtr."""
    low, high = np.array([-np.inf, 0.0, 1.0])[:, None], np.array([0.0, 1.0, np.inf])[:, None]
    a, c = SLOPES[:, None], INTERCEPTS[:, None]
    variance = a**2 + NOISE**2
    gap = x[:, None, None] - (a * MEANS + c)
    center, spread = MEANS + a * gap / variance, NOISE / np.sqrt(variance)
    alpha, beta = (low - center) / spread, (high - center) / spread
    flip = alpha > 0
    upper = special.log_ndtr(np.where(flip, -alpha, beta))
    lower = special.log_ndtr(np.where(flip, -beta, alpha))
    terms = np.log(WEIGHTS) - 0.5 * (gap**2 / variance + np.log(variance) + LOG_2PI)
    terms = terms + upper + np.log1p(-np.exp(lower - upper))
    return special.logsumexp(terms.reshape(len(x), -1), axis=1)


def torch_closed_form():
    """The same closed form in torch (CPU, float64), in blocks of 4096 observations, its fastest size here."""
    import torch

    weights, means = torch.tensor(WEIGHTS), torch.tensor(MEANS)
    low = torch.tensor([-math.inf, 0.0, 1.0]).double()[:, None]
    high = torch.tensor([0.0, 1.0, math.inf]).double()[:, None]
    a, c = torch.tensor(SLOPES)[:, None], torch.tensor(INTERCEPTS)[:, None]
    variance = a**2 + NOISE**2
    spread = NOISE / variance.sqrt()
    constant = weights.log() - 0.5 * (variance.log() + LOG_2PI)

    def block(x):
        gap = x[:, None, None] - (a * means + c)
        center = means + a * gap / variance
        alpha, beta = (low - center) / spread, (high - center) / spread
        flip = alpha > 0
        upper = torch.special.log_ndtr(torch.where(flip, -alpha, beta))
        lower = torch.special.log_ndtr(torch.where(flip, -beta, alpha))
        terms = constant - 0.5 * gap**2 / variance + upper + torch.log1p(-torch.exp(lower - upper))
        return torch.logsumexp(terms.flatten(1), 1)

    return lambda x: torch.cat([block(part) for part in torch.from_numpy(x).split(4096)]).numpy()
