"""Strategies of the testing kit in floats of many sizes, for models with one latent and Gaussian noise."""

from __future__ import annotations

from hypothesis import strategies as st

from ident_theory import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork, testing
from ident_theory.models.noise import Noise


def priors(degenerate: bool = True) -> st.SearchStrategy[GaussianMixture]:
    return testing.gaussian_mixtures(degenerate=degenerate, exact=False)


def networks(n: int = 1) -> st.SearchStrategy[ReLUNetwork]:
    return testing.relu_networks(1, n, width=(1, 8), exact=False)


def piecewise_maps(n: int = 1) -> st.SearchStrategy[PiecewiseAffineMap]:
    return testing.piecewise_maps(n, exact=False)


def noises(n: int = 1) -> st.SearchStrategy[Noise | None]:
    return testing.noises(n, "gaussian", exact=False)


def line_models(n: int = 1, degenerate: bool = True) -> st.SearchStrategy[Model]:
    return testing.models(1, n, depth=(0, 3), width=(1, 8), noise="gaussian", degenerate=degenerate, exact=False)
