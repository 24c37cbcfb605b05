"""Hypothesis strategies for models with one latent: degenerate and extreme cases are common on purpose."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.geometry.line import line_pieces


def powers(low: float, high: float):
    """Positive floats spread evenly in the exponent."""
    return st.floats(low, high).map(lambda e: float(10.0**e))


moderate = st.floats(-10, 10, allow_subnormal=False).map(lambda v: round(v, 12))


@st.composite
def signed(draw, low: float = -8, high: float = 8):
    """Zero, a moderate number, or one of any size between 10**low and 10**high."""
    kind = draw(st.sampled_from(["zero", "moderate", "any size"]))
    if kind == "zero":
        return 0.0
    if kind == "moderate":
        return draw(moderate)
    return draw(powers(low, high)) * draw(st.sampled_from([-1.0, 1.0]))


@st.composite
def priors(draw, degenerate: bool = True):
    """Mixtures of one latent: zero weights, repeated components, tiny, huge and zero variances."""
    count = draw(st.integers(1, 4))
    raw = np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), dtype=float)
    if raw.sum() == 0:
        raw[0] = 1.0
    means = draw(st.lists(moderate, min_size=count, max_size=count))
    variance = st.one_of(st.just(1.0), powers(-6, 4), st.just(0.0) if degenerate else st.just(0.25))
    variances = draw(st.lists(variance, min_size=count, max_size=count))
    if count > 1 and draw(st.booleans()):
        means[1], variances[1] = means[0], variances[0]
    return GaussianMixture(raw / raw.sum(), means, variances)


@st.composite
def networks(draw, n: int = 1):
    """Networks of one latent: up to four layers of width eight, dead units, leaky, folding and linear slopes."""
    hidden = draw(st.lists(st.integers(1, 8), min_size=0, max_size=3))
    widths = [1, *hidden, n]
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    first = draw(powers(-3, 3))
    weights = [rng.normal(size=(o, i)) * (first if l == 0 else 1.0)
               for l, (i, o) in enumerate(zip(widths[:-1], widths[1:], strict=True))]
    biases = [rng.normal(size=o) for o in widths[1:]]
    if hidden and draw(st.booleans()):
        weights[0][0] = 0.0
    if hidden and draw(st.booleans()):
        weights[-1][:, 0] = 0.0
    slope = draw(st.sampled_from([0.0, 0.0, 0.01, 0.2, -1.0, 1.0]))
    return ReLUNetwork(weights, biases, slope)


@st.composite
def piecewise_maps(draw, n: int = 1):
    """Explicit maps: breakpoints down to 1e-12 apart, slopes from 1e-8 to 1e8 and zero, jumps."""
    count = draw(st.integers(1, 5))
    start = draw(moderate)
    gaps = draw(st.lists(st.one_of(st.just(1e-12), powers(-12, 1)), min_size=count - 1, max_size=count - 1))
    breaks = np.unique(start + np.concatenate([[0.0], np.cumsum(gaps)]))[:-1] if count > 1 else np.empty(0)
    count = len(breaks) + 1
    slopes = [[draw(signed()) for _ in range(n)] for _ in range(count)]
    intercepts = [[draw(moderate) for _ in range(n)] for _ in range(count)]
    return PiecewiseAffineMap(breaks, slopes, intercepts)


@st.composite
def noises(draw, n: int = 1):
    """Gaussian noise from 1e-6 to 1e3: isotropic, diagonal, or full."""
    kind = draw(st.sampled_from(["isotropic", "diagonal", "full"])) if n > 1 else "isotropic"
    if kind == "isotropic":
        return GaussianNoise(draw(powers(-6, 3)))
    stds = draw(st.lists(powers(-6, 3), min_size=n, max_size=n))
    if kind == "diagonal":
        return GaussianNoise(stds)
    root = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=(n, n)) * stds[0]
    covariance = root @ root.T
    return GaussianNoise(covariance=(covariance + covariance.T) / 2 + 1e-3 * stds[0] ** 2 * np.eye(n))


@st.composite
def line_models(draw, n: int = 1, degenerate: bool = True):
    """Models with one latent and Gaussian noise."""
    decoder = draw(st.one_of(networks(n), piecewise_maps(n)))
    return Model(draw(priors(degenerate)), decoder, draw(noises(n)))


@st.composite
def observations(draw, model: Model):
    """A point where the law has something to show: near images of means and breakpoints, or far in a tail."""
    centers = [*model.prior.means[:, 0], *(float(t) for t in line_pieces(model.decoder).breakpoints)]
    z = draw(st.sampled_from(centers)) + draw(st.sampled_from([0.0, 1e-3, -1.0, 5.0]))
    scale = float(np.sqrt(float(model.noise.covariance_exact(model.observed_dim)[0, 0])))
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, -3.0, 30.0, -440.0]),
                          min_size=model.observed_dim, max_size=model.observed_dim))
    return model.decoder(np.array([[z]]))[0] + scale * np.array(steps)
