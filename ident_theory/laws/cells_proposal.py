"""Where to sample: the posterior of each activation region, found by pilot points and a search for modes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import GaussianNoise, IndependentNoise
from ident_theory.models.value import FloatArray

#: Pilot points a component, for the cells and for starting points.
PILOT = 512
#: Cells of the pilot kept as starting points of the search (the most frequent ones).
MAX_CELLS = 96
#: Parts of a proposal besides the prior.
MAX_PARTS = 24
#: Shares of the prior, and the least share of a part before normalisation.
PRIOR_SHARE, LEAST_SHARE = 0.1, 0.01
#: Each part comes as it is and with its spread multiplied, with these shares.
SPREADS = ((1.0, 0.75), (2.0, 0.25))
SEARCH_STEPS = 12
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Proposal:
    """A mixture of normal laws.

    Attributes
    ----------
    shares : ndarray, shape (K,)
    centers : ndarray, shape (K, d)
    roots : ndarray, shape (K, d, d)
        Lower triangular Cholesky factors of the covariances.
    """

    shares: FloatArray
    centers: FloatArray
    roots: FloatArray

    def points(self, choice: FloatArray, normal: FloatArray) -> FloatArray:
        """Map uniforms (N,) and standard normals (N, d) to points of the mixture."""
        part = np.minimum(np.searchsorted(np.cumsum(self.shares), choice), len(self.shares) - 1)
        out = np.empty_like(normal)
        for k in range(len(self.shares)):
            rows = part == k
            out[rows] = self.centers[k] + normal[rows] @ self.roots[k].T
        return out

    def log_density(self, xi: FloatArray) -> FloatArray:
        """Log density of the mixture, (N, d) -> (N,)."""
        logs = np.empty((len(self.shares), len(xi)))
        for k, root in enumerate(self.roots):
            y = (xi - self.centers[k]) @ np.linalg.inv(root).T
            logs[k] = (math.log(self.shares[k]) - np.log(np.diag(root)).sum() - 0.5 * xi.shape[1] * _LOG_2PI
                       - 0.5 * np.einsum("ij,ij->i", y, y))
        return np.asarray(logsumexp(logs, axis=0))


class NoiseDensity:
    """Log density of the noise, with the whitening and the curvature that the proposals use.

    Attributes
    ----------
    root_precision : ndarray, shape (n, n)
        R with R^T R the precision of the Gaussian noise that has the same curvature.
    """

    def __init__(self, model: Model) -> None:
        n = model.observed_dim
        noise = model.noise
        self._family = "gauss"
        self._scales = np.ones(n)
        self._df = 0.0
        if isinstance(noise, GaussianNoise):
            root = np.linalg.cholesky(noise.covariance_exact(n).astype(np.float64))
            self.root_precision = np.linalg.inv(root)
        else:
            assert isinstance(noise, IndependentNoise)
            self._family, self._scales, self._df = noise.family, noise.scales(n), noise.shape_parameter
            # Standard deviations, or for Student noise the scale matched to the curvature at zero.
            factor = {"laplace": math.sqrt(2.0), "logistic": math.pi / math.sqrt(3.0),
                      "student": math.sqrt(self._df / (self._df + 1.0)) if self._df else 1.0}[self._family]
            self.root_precision = np.diag(1.0 / (factor * self._scales))
        self._constant = float(np.log(np.abs(np.diag(self.root_precision))).sum() if self._family == "gauss"
                               else -np.log(self._scales).sum())

    def __call__(self, residual: FloatArray) -> FloatArray:
        """Log density at residuals: (N, n) -> (N,)."""
        n = residual.shape[1]
        if self._family == "gauss":
            y = residual @ self.root_precision.T
            return np.asarray(self._constant - 0.5 * n * math.log(2 * math.pi) - 0.5 * np.einsum("ij,ij->i", y, y))
        r = np.abs(residual / self._scales)
        if self._family == "laplace":
            return np.asarray(self._constant - n * math.log(2.0) - r.sum(axis=1))
        if self._family == "logistic":
            return np.asarray(self._constant - (r + 2.0 * np.log1p(np.exp(-r))).sum(axis=1))
        nu = self._df
        peak = float(gammaln((nu + 1) / 2) - gammaln(nu / 2)) - 0.5 * math.log(nu * math.pi)
        return np.asarray(self._constant + n * peak - 0.5 * (nu + 1) * np.log1p(r * r / nu).sum(axis=1))


class Restriction:
    r"""The network on one component of the prior, in coordinates with a standard normal prior.

    Attributes
    ----------
    dim : int
        Rank d of the component.
    log_weight : float
    """

    def __init__(self, network: ReLUNetwork, weight: float, mean: FloatArray, covariance: FloatArray,
                 seed: int) -> None:
        values, vectors = np.linalg.eigh(covariance)
        kept = values > 1e-13 * max(values.max(), 0.0)
        self._root = vectors[:, kept] * np.sqrt(values[kept])
        self._mean = mean
        self._network = network
        self.dim = int(kept.sum())
        self.log_weight = math.log(weight)
        self._starts, self._jacobians, self._offsets = self._pilot(np.random.default_rng([seed, self.dim]))

    def _pilot(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Pilot points, one for each activation pattern met, and the affine maps there."""
        xi = np.vstack([np.zeros((1, self.dim)), 1.5 * rng.standard_normal((PILOT, self.dim))])
        _, first, counts = np.unique(self._patterns(xi), axis=0, return_index=True, return_counts=True)
        keep = first[np.argsort(-counts, kind="stable")][:MAX_CELLS]
        starts = xi[keep]
        jacobians = self.jacobians(starts)
        return starts, jacobians, self.value(starts) - np.einsum("kij,kj->ki", jacobians, starts)

    def value(self, xi: FloatArray) -> FloatArray:
        """f at points, (N, d) -> (N, n)."""
        return self._network(self._mean + xi @ self._root.T)

    def _patterns(self, xi: FloatArray) -> np.ndarray:
        hidden = self._mean + xi @ self._root.T
        signs = [np.ones((len(xi), 1), dtype=bool)]
        for w, b in zip(self._network.weights[:-1], self._network.biases[:-1], strict=True):
            hidden = hidden @ w.T + b
            signs.append(hidden > 0)
            hidden = np.where(hidden > 0, hidden, self._network.negative_slope * hidden)
        return np.concatenate(signs, axis=1)

    def jacobians(self, xi: FloatArray) -> FloatArray:
        """Derivative of f at points, shape (N, n, d)."""
        hidden = self._mean + xi @ self._root.T
        slope = np.broadcast_to(self._root, (len(xi), *self._root.shape))
        for w, b in zip(self._network.weights[:-1], self._network.biases[:-1], strict=True):
            hidden = hidden @ w.T + b
            scale = np.where(hidden > 0, 1.0, self._network.negative_slope)
            hidden = scale * hidden
            slope = scale[:, :, None] * (w @ slope)
        return np.asarray(self._network.weights[-1] @ slope)

    def log_joint(self, xi: FloatArray, x: FloatArray, noise: NoiseDensity) -> FloatArray:
        """log N(xi; 0, I) p(x | f(xi)) at points, (N, d) -> (N,)."""
        with np.errstate(over="ignore"):
            return np.asarray(noise(x - self.value(xi)) - 0.5 * np.einsum("ij,ij->i", xi, xi)
                              - 0.5 * self.dim * _LOG_2PI)

    def proposal(self, x: FloatArray, noise: NoiseDensity) -> Proposal:
        """The defensive mixture for one observation."""
        centers, levels = self._modes(x, noise)
        # Just past the mode in direction of the posterior mean a neighbouring cell may begin: take both.
        ahead = self._newton(centers, x, noise)[0] - centers
        size = np.linalg.norm(ahead, axis=1, keepdims=True)
        probes = np.concatenate([centers, centers + 1e-6 * ahead / np.maximum(size, 1e-300)])
        covariances = np.linalg.inv(self._precision(self.jacobians(probes), noise))
        centers, levels = np.concatenate([centers, centers]), np.concatenate([levels, levels])
        # Laplace masses; parts that repeat one another are dropped.
        masses = levels + 0.5 * np.linalg.slogdet(covariances)[1]
        order = np.argsort(-masses, kind="stable")
        chosen: list[int] = []
        for k in order:
            if masses[k] < masses[order[0]] - 30.0 or len(chosen) == MAX_PARTS:
                break
            spread = np.sqrt(np.diagonal(covariances[k]))
            if not any(np.all(np.abs(centers[k] - centers[c]) < 1e-3 * spread)
                       and np.allclose(covariances[k], covariances[c], rtol=1e-3, atol=1e-12) for c in chosen):
                chosen.append(int(k))
        shares = np.exp(masses[chosen] - masses[order[0]])
        shares = shares / shares.sum() + LEAST_SHARE
        shares *= (1.0 - PRIOR_SHARE) / shares.sum()
        roots = np.linalg.cholesky(0.5 * (covariances[chosen] + covariances[chosen].transpose(0, 2, 1)))
        eye = np.eye(self.dim)[None]
        return Proposal(np.concatenate([[PRIOR_SHARE], *[share * shares for _, share in SPREADS]]),
                        np.concatenate([np.zeros((1, self.dim)), *[centers[chosen]] * len(SPREADS)]),
                        np.concatenate([eye, *[spread * roots for spread, _ in SPREADS]]))

    def _precision(self, jacobians: FloatArray, noise: NoiseDensity) -> FloatArray:
        """Posterior precisions I + J^T Omega^-1 J, shape (K, d, d)."""
        whitened = noise.root_precision @ jacobians
        return np.asarray(np.eye(self.dim) + whitened.transpose(0, 2, 1) @ whitened)

    def _newton(self, xi: FloatArray, x: FloatArray, noise: NoiseDensity) -> tuple[FloatArray, FloatArray]:
        """Posterior means of the cells around points, and the maps' derivatives there."""
        jacobians = self.jacobians(xi)
        offsets = self.value(xi) - np.einsum("kij,kj->ki", jacobians, xi)
        return self._means(jacobians, offsets, x, noise), jacobians

    def _means(self, jacobians: FloatArray, offsets: FloatArray, x: FloatArray, noise: NoiseDensity) -> FloatArray:
        whitened = noise.root_precision @ jacobians
        pull = np.einsum("kij,ki->kj", whitened, (x - offsets) @ noise.root_precision.T)
        return np.asarray(np.linalg.solve(self._precision(jacobians, noise), pull[..., None])[..., 0])

    def _modes(self, x: FloatArray, noise: NoiseDensity) -> tuple[FloatArray, FloatArray]:
        """Climb from the pilot points and from the posterior mean of every known cell."""
        xi = np.concatenate([self._starts, self._means(self._jacobians, self._offsets, x, noise)])
        level = self.log_joint(xi, x, noise)
        order = np.argsort(-level, kind="stable")[:MAX_CELLS]
        xi, level = xi[order], level[order]
        for _ in range(SEARCH_STEPS):
            step = self._newton(xi, x, noise)[0] - xi
            improved = False
            for length in (1.0, 0.5, 0.2, 0.05, 0.01):
                trial = xi + length * step
                new = self.log_joint(trial, x, noise)
                better = new > level + 1e-9
                xi = np.where(better[:, None], trial, xi)
                level = np.where(better, new, level)
                step[better] = 0.0
                improved = improved or bool(better.any())
            if not improved:
                break
        return xi, level


def restrictions(model: Model, seed: int) -> list[Restriction]:
    """The decoder seen from every component of the prior, equal components merged."""
    assert isinstance(model.decoder, ReLUNetwork)
    prior = model.prior.reduced()
    return [Restriction(model.decoder, float(w), mean, covariance, seed)
            for w, mean, covariance in zip(prior.weights, prior.means, prior.covariances, strict=True)]
