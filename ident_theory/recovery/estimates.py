"""Estimated mixtures: a fitted Gaussian mixture together with how well the data determine it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from ident_theory.errors import InputError
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, eq=False)
class MixtureEstimate:
    r"""A Gaussian mixture estimated from data: what the recovery algorithms take when their input has error bars.

    Give the number of observations, or bootstrap replicates of the fit, or both; replicates go first wherever there
    are some.

    With :math:`N_j = w_j N` observations in component j and known labels, to first order in 1 / N,

    .. math:: Cov(\hat\mu_j) = \Sigma_j / N_j, \quad
              Cov(\hat w) = (diag(w) - w w^T) / N, \quad
              Cov(\hat\Sigma_{j,ik}, \hat\Sigma_{j,ln})
              = (\Sigma_{j,il} \Sigma_{j,kn} + \Sigma_{j,in} \Sigma_{j,kl}) / N_j,

    means, covariances and components being independent. **When the labels are latent this is a lower bound**: overlap
    of the components adds variance (in the sense of symmetric matrices). Replicates of the whole fit, labels
    included, have no such gap.

    Parameters
    ----------
    mixture : GaussianMixture
        The estimate. With `n_observations` alone every weight must be positive and every covariance definite.
    n_observations : int, optional
        Number N of independent observations behind it; every component must expect at least m + 2 of them.
    replicates : sequence of GaussianMixture, optional
        The same fit on bootstrap samples, at least two; components in the order of `mixture`.

    Raises
    ------
    InputError
        For anything else.
    """

    mixture: GaussianMixture
    n_observations: int | None = None
    replicates: Sequence[GaussianMixture] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.mixture, GaussianMixture):
            raise InputError(f"MixtureEstimate: expected a GaussianMixture, got {type(self.mixture).__name__}")
        if not isinstance(self.replicates, Sequence):
            raise InputError("MixtureEstimate: expected a sequence of GaussianMixture as replicates, got "
                             f"{type(self.replicates).__name__}")
        object.__setattr__(self, "replicates", tuple(self.replicates))
        shape = self.mixture.means_exact.shape
        for r, item in enumerate(self.replicates):
            if not isinstance(item, GaussianMixture):
                raise InputError(f"MixtureEstimate: replicates[{r}]: expected a GaussianMixture, got "
                                 f"{type(item).__name__}")
            if item.means_exact.shape != shape:
                raise InputError(f"MixtureEstimate: replicates[{r}]: expected {shape[0]} components in {shape[1]} "
                                 f"dimensions as in `mixture`, got {item.means_exact.shape[0]} in "
                                 f"{item.means_exact.shape[1]}")
        if len(self.replicates) == 1 or (not self.replicates and self.n_observations is None):
            raise InputError(f"MixtureEstimate: expected n_observations or at least two replicates, got "
                             f"{len(self.replicates)} replicate{'s'[:len(self.replicates) != 1]}; for numbers without "
                             "error pass the GaussianMixture itself")
        if self.n_observations is not None:
            self._read_count()

    def _read_count(self) -> None:
        count = self.n_observations
        if not isinstance(count, Integral) or isinstance(count, bool | np.bool_) or count < 1:
            raise InputError(f"MixtureEstimate: expected a positive integer as n_observations, got {count!r}")
        object.__setattr__(self, "n_observations", int(count))
        if self.replicates:
            return
        least, m = int(np.argmin(self.counts)), self.mixture.latent_dim
        if self.counts[least] < m + 2:
            raise InputError(f"MixtureEstimate: expected at least m + 2 = {m + 2} observations in every component, got "
                             f"{self.counts[least]:.3g} in component {least}; drop it, or pass bootstrap replicates")
        for j, matrix in enumerate(self.mixture.covariances):
            try:
                np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                raise InputError(f"MixtureEstimate: expected definite covariances, got the singular "
                                 f"covariances[{j}] = {matrix.tolist()}; pass bootstrap replicates, or more "
                                 "regularisation") from None

    @property
    def counts(self) -> FloatArray:
        """Expected number of observations N_j = w_j N, shape (J,); the weights themselves without N."""
        return self.mixture.weights * (1.0 if self.n_observations is None else self.n_observations)

    @property
    def basis(self) -> str:
        """What the error bars rest on, for a reader."""
        if self.replicates:
            return f"{len(self.replicates)} bootstrap replicates"
        return (f"{self.n_observations} observations, as if their components were known (a lower bound on the "
                "standard errors when they are latent)")

    @cached_property
    def _deviations(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weights (R, J), means (R, J, m) and covariances (R, J, m, m) of the replicates, less their averages."""
        parts = [np.stack([getattr(item, name) for item in self.replicates])
                 for name in ("weights", "means", "covariances")]
        return parts[0] - parts[0].mean(0), parts[1] - parts[1].mean(0), parts[2] - parts[2].mean(0)

    def weight_covariance(self) -> FloatArray:
        """Sampling covariance of the weights, shape (J, J)."""
        if self.replicates:
            return self._moment(self._deviations[0])
        w = self.mixture.weights
        assert self.n_observations is not None
        return np.asarray((np.diag(w) - np.outer(w, w)) / self.n_observations)

    def mean_covariance(self, j: int) -> FloatArray:
        """Sampling covariance of the mean of component j, shape (m, m)."""
        self._component(j)
        if self.replicates:
            return self._moment(self._deviations[1][:, j])
        return np.asarray(self.mixture.covariances[j] / self.counts[j])

    def covariance_covariance(self, j: int) -> FloatArray:
        """Sampling covariance of the covariance of component j: entry [i, k, l, n] is that of its [i, k] and [l, n]."""
        self._component(j)
        m = self.mixture.latent_dim
        if self.replicates:
            flat = self._deviations[2][:, j].reshape(len(self.replicates), m * m)
            return self._moment(flat).reshape(m, m, m, m)
        s = self.mixture.covariances[j]
        return np.asarray((np.einsum("il,kn->ikln", s, s) + np.einsum("in,kl->ikln", s, s)) / self.counts[j])

    def variance(self, *, weights: FloatArray | None = None, means: FloatArray | None = None,
                 covariances: FloatArray | None = None) -> FloatArray:
        r"""Delta method: the sampling variance of functions of the parameters, from their derivatives.

        Parameters
        ----------
        weights, means, covariances : ndarray, shapes (..., J), (..., J, m), (..., J, m, m), optional
            Derivatives of each function; what is left out is zero. Those of the covariances need not be symmetric.

        Returns
        -------
        ndarray, shape (...)
            :math:`Var(\sum_j a_j \hat w_j + b_j^T \hat\mu_j + tr(C_j^T \hat\Sigma_j))` with the sampling covariance of
            the class, or that of the replicates (divided by R - 1), which then includes all dependence.
        """
        given = [(np.asarray(part, dtype=np.float64), axes) for part, axes in
                 ((weights, 1), (means, 2), (covariances, 3)) if part is not None]
        if not given:
            raise InputError("MixtureEstimate.variance: expected derivatives by the weights, means or covariances, "
                             "got none")
        for part, axes in given:
            expected = (self.mixture.n_components, *(self.mixture.latent_dim,) * (axes - 1))
            if part.ndim < axes or part.shape[part.ndim - axes:] != expected:
                raise InputError(f"MixtureEstimate.variance: expected derivatives of shape (..., "
                                 f"{', '.join(map(str, expected))}), got {part.shape}")
        if self.replicates:
            effects = sum(np.tensordot(part, self._deviations[axes - 1],
                                       (tuple(range(part.ndim - axes, part.ndim)), tuple(range(1, axes + 1))))
                          for part, axes in given)
            return np.asarray(np.var(effects, axis=-1, ddof=1))
        total: FloatArray = np.zeros(())
        for part, axes in given:
            if axes == 1:
                total = total + np.einsum("...i,ik,...k", part, self.weight_covariance(), part)
            elif axes == 2:
                total = total + np.einsum("...ji,jik,...jk,j", part, self.mixture.covariances, part, 1 / self.counts)
            else:
                product = (part + np.swapaxes(part, -1, -2)) / 2 @ self.mixture.covariances
                total = total + np.einsum("...jik,...jki,j", product, product, 2 / self.counts)
        return np.asarray(total)

    def draw_arrays(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One bootstrap draw as arrays: weights (J,), means (J, m) and covariances (J, m, m)."""
        if not isinstance(rng, np.random.Generator):
            raise InputError(f"MixtureEstimate.draw: expected a numpy.random.Generator, got {type(rng).__name__}")
        if self.replicates:
            one = self.replicates[int(rng.integers(len(self.replicates)))]
            return one.weights, one.means, one.covariances
        assert self.n_observations is not None
        mixture, m = self.mixture, self.mixture.latent_dim
        counts = np.maximum(rng.multinomial(self.n_observations, mixture.weights / mixture.weights.sum()), m + 2)
        means, covariances = np.empty_like(mixture.means), np.empty_like(mixture.covariances)
        for j, count in enumerate(counts):
            root = np.linalg.cholesky(mixture.covariances[j])
            means[j] = mixture.means[j] + root @ rng.standard_normal(m) / np.sqrt(count)
            # Bartlett: the triangular root of a standard Wishart matrix with count - 1 degrees of freedom.
            triangle = np.tril(rng.standard_normal((m, m)), -1)
            np.fill_diagonal(triangle, np.sqrt(rng.chisquare(count - 1 - np.arange(m))))
            factor = root @ triangle
            square = factor @ factor.T / (count - 1)
            covariances[j] = (square + square.T) / 2
        return counts / counts.sum(), means, covariances

    def draw(self, rng: np.random.Generator) -> GaussianMixture:
        """One bootstrap draw of the estimate.

        One of the replicates, each with equal chance; without replicates a parametric draw with known labels:
        multinomial counts (at least m + 2 each), normal means, Wishart covariances.

        Parameters
        ----------
        rng : numpy.random.Generator
        """
        weights, means, covariances = self.draw_arrays(rng)
        return GaussianMixture(weights, means, covariances, states=self.mixture.states,
                               neighbourhoods=self.mixture.neighbourhoods)

    def _component(self, j: int) -> None:
        if not 0 <= j < self.mixture.n_components:
            raise InputError(f"MixtureEstimate: expected a component from 0 to {self.mixture.n_components - 1}, got "
                             f"{j}")

    def _moment(self, deviations: FloatArray) -> FloatArray:
        return np.asarray(deviations.T @ deviations / (len(deviations) - 1))
