"""Quasi-random draws of x under a model, kept with their log densities for as long as the law lives."""

from __future__ import annotations

import weakref

import numpy as np
from scipy import stats

from ident_theory.laws.base import Law
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

_Draws = tuple[FloatArray, FloatArray | None]
#: A landscape asks for the draws of one truth at every point; they are some megabytes at most.
_KEPT: weakref.WeakKeyDictionary[Law, dict[tuple[int, int], _Draws]] = weakref.WeakKeyDictionary()


def draws(law: Law, seed: int, count: int, density: bool) -> _Draws:
    """`count` scrambled Sobol draws of x, and their log densities if asked for (or known already)."""
    kept = _KEPT.setdefault(law, {})
    x, log_p = kept.get((seed, count), (None, None))
    if x is None:
        x = sobol_observations(law.model, seed, count)
    if density and log_p is None:
        log_p = law.log_density(x)
    kept[seed, count] = (x, log_p)
    return x, log_p


def sobol_observations(model: Model, seed: int, count: int) -> FloatArray:
    """Draws of x from `count` scrambled Sobol points: component, latent and noise by inverse distributions."""
    m, n = model.latent_dim, model.observed_dim
    u = stats.qmc.Sobol(1 + m + n, seed=seed).random(count)
    u = np.clip(u, 1e-16, 1 - 1e-16)
    component = np.searchsorted(np.cumsum(model.mixture.weights), u[:, 0] * model.mixture.weights.sum(), side="right")
    component = np.minimum(component, model.mixture.n_components - 1)
    normal = stats.norm.ppf(u[:, 1:1 + m])
    z = np.empty((len(u), m))
    for j in range(model.mixture.n_components):
        values, vectors = np.linalg.eigh(model.mixture.covariances[j])
        rows = component == j
        z[rows] = model.mixture.means[j] + normal[rows] @ (vectors * np.sqrt(np.clip(values, 0.0, None))).T
    x = model.decoder(z)
    noise, tail = model.noise, u[:, 1 + m:]
    if isinstance(noise, GaussianNoise):
        return x + stats.norm.ppf(tail) @ noise.root(n).T
    if noise is None:
        return x
    family = {"laplace": stats.laplace, "logistic": stats.logistic}.get(noise.family)
    standard = family.ppf(tail) if family is not None else stats.t.ppf(tail, noise.shape_parameter)
    return x + noise.scales(n) * standard
