"""Latents from observations, where the causes enter linearly."""

from __future__ import annotations

import numpy as np


class Encoder:
    """Principal components, scaled to variance one."""

    def __init__(self, latent_dim: int) -> None:
        self.latent_dim = latent_dim

    def fit(self, x: np.ndarray, u: np.ndarray | None, rng: np.random.Generator) -> Encoder:
        """Fit the projection; u and rng are not needed."""
        self._check(x)
        self.mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x.T))
        top = np.argsort(values)[::-1][:self.latent_dim]
        self.projection = vectors[:, top] / np.sqrt(values[top])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Latents, shape (N, d)."""
        self._check(x)
        if x.shape[1] != len(self.mean):
            raise ValueError(f"x: expected {len(self.mean)} columns, found {x.shape[1]}")
        return (x - self.mean) @ self.projection

    @staticmethod
    def _check(x: np.ndarray) -> None:
        if x.ndim != 2 or not np.isfinite(x).all():
            raise ValueError("x: expected finite numbers of shape (N, n)")
