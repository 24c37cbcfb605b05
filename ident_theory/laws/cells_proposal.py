"""Where to sample: the posterior of each activation region, found by pilot points and a search for modes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from ident_theory.laws.cells_modes import Mode, Regions, region_modes
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
        Matrices R with R R^T the covariances.
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
            logs[k] = (math.log(self.shares[k]) - np.linalg.slogdet(root)[1] - 0.5 * xi.shape[1] * _LOG_2PI
                       - 0.5 * np.einsum("ij,ij->i", y, y))
        return np.asarray(logsumexp(logs, axis=0))


class NoiseDensity:
    """Log density of the noise, with the whitening and the curvature that the proposals use.

    Attributes
    ----------
    root_precision : ndarray, shape (n, n)
        R with R^T R the precision of the noise, or of a Gaussian stand-in.
    gaussian_constant : float
        Log density at zero of that Gaussian noise.
    is_gaussian : bool
        Whether it is the noise itself.
    """

    def __init__(self, model: Model) -> None:
        n = model.observed_dim
        noise = model.noise
        self.root_precision: FloatArray
        self._family = "gauss"
        self.is_gaussian = isinstance(noise, GaussianNoise)
        self._scales = np.ones(n)
        self._df = 0.0
        if isinstance(noise, GaussianNoise):
            root = noise.root(n)
            self.root_precision = np.asarray(np.linalg.inv(root), dtype=np.float64)
        else:
            assert isinstance(noise, IndependentNoise)
            self._family, self._scales, self._df = noise.family, noise.scales(n), noise.shape_parameter
            # Standard deviations, or for Student noise the scale matched to the curvature at zero.
            factor = {"laplace": math.sqrt(2.0), "logistic": math.pi / math.sqrt(3.0),
                      "student": math.sqrt(self._df / (self._df + 1.0)) if self._df else 1.0}[self._family]
            self.root_precision = np.diag(1.0 / (factor * self._scales))
        self.gaussian_constant = float(np.log(np.diag(self.root_precision)).sum() - 0.5 * n * _LOG_2PI)
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
        fall = np.log(np.hypot(1.0, r / math.sqrt(nu))).sum(axis=1)
        return np.asarray(self._constant + n * peak - (nu + 1) * fall)


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
        self._starts = self._pilot(np.random.default_rng([seed, self.dim]))
        self._regions = self.regions(self._starts)

    def _pilot(self, rng: np.random.Generator) -> FloatArray:
        """Pilot points, one for each activation pattern met."""
        xi = np.vstack([np.zeros((1, self.dim)), 1.5 * rng.standard_normal((PILOT, self.dim))])
        _, first, counts = np.unique(self._patterns(xi), axis=0, return_index=True, return_counts=True)
        return xi[first[np.argsort(-counts, kind="stable")][:MAX_CELLS]]

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
        return np.asarray(noise(x - self.value(xi)) - 0.5 * np.einsum("ij,ij->i", xi, xi)
                          - 0.5 * self.dim * _LOG_2PI)

    def regions(self, xi: FloatArray) -> Regions:
        """The activation regions of points, (K, d)."""
        count = len(xi)
        hidden = self._mean + xi @ self._root.T
        slope = np.broadcast_to(self._root, (count, *self._root.shape))
        normals, margins = [np.empty((count, 0, self.dim))], [np.empty((count, 0))]
        for w, b in zip(self._network.weights[:-1], self._network.biases[:-1], strict=True):
            hidden, slope = hidden @ w.T + b, w @ slope
            sign = np.where(hidden > 0, 1.0, -1.0)
            normals.append(sign[:, :, None] * slope)
            margins.append(sign * (hidden - np.einsum("kij,kj->ki", slope, xi)))
            scale = np.where(hidden > 0, 1.0, self._network.negative_slope)
            hidden, slope = scale * hidden, scale[:, :, None] * slope
        jacobians = self._network.weights[-1] @ slope
        offsets = self.value(xi) - np.einsum("kij,kj->ki", jacobians, xi)
        return Regions([row.tobytes() for row in self._patterns(xi)], jacobians, offsets,
                       np.concatenate(normals, axis=1), np.concatenate(margins, axis=1))

    def proposal(self, x: FloatArray, noise: NoiseDensity) -> Proposal:
        """The defensive mixture for one observation."""
        constant = noise.gaussian_constant - 0.5 * self.dim * _LOG_2PI
        modes = region_modes(self._regions, x, noise.root_precision, constant, self.regions)
        if not noise.is_gaussian:
            modes = self._climbed(modes, x, noise)
        masses = np.array([mode.level + np.linalg.slogdet(mode.squeezed)[1] for mode in modes])
        order = np.argsort(-masses, kind="stable")[:MAX_PARTS]
        weights = np.exp(masses[order] - masses[order[0]]) if len(order) else np.empty(0)
        weights = weights / max(weights.sum(), 1e-300) + LEAST_SHARE
        shares, centers, roots = [PRIOR_SHARE], [np.zeros(self.dim)], [np.eye(self.dim)]
        for k, weight in zip(order, (1.0 - PRIOR_SHARE) * weights / weights.sum(), strict=True):
            for root, share in ((modes[k].squeezed, 0.6), (2.0 * modes[k].squeezed, 0.25), (modes[k].root, 0.15)):
                shares.append(share * weight)
                centers.append(modes[k].center)
                roots.append(root)
        total = sum(shares)
        return Proposal(np.array(shares) / total, np.array(centers), np.array(roots))

    def _climbed(self, modes: list[Mode], x: FloatArray, noise: NoiseDensity) -> list[Mode]:
        """For other noise: climb the true density from the modes of the Gaussian stand-in and the pilot points."""
        starts = np.concatenate([self._starts, *(mode.center[None] for mode in modes)])
        centers, levels = self._modes(starts, x, noise)
        if not len(levels):
            return []
        lower = np.linalg.cholesky(self._precision(self.jacobians(centers), noise))
        roots = np.linalg.inv(lower).transpose(0, 2, 1)
        kept: list[Mode] = []
        for k in np.argsort(-levels, kind="stable"):
            if levels[k] < levels.max() - 30.0 or len(kept) == MAX_PARTS:
                break
            near = 0.05 * np.linalg.norm(roots[k], axis=1)
            if not any(np.all(np.abs(centers[k] - mode.center) < near) for mode in kept):
                kept.append(Mode(float(levels[k]), centers[k], roots[k], roots[k]))
        return kept

    def _precision(self, jacobians: FloatArray, noise: NoiseDensity) -> FloatArray:
        """Posterior precisions I + J^T Omega^-1 J, shape (K, d, d)."""
        whitened = noise.root_precision @ jacobians
        return np.asarray(np.eye(self.dim) + whitened.transpose(0, 2, 1) @ whitened)

    def _means(self, jacobians: FloatArray, offsets: FloatArray, x: FloatArray, noise: NoiseDensity) -> FloatArray:
        whitened = noise.root_precision @ jacobians
        pull = np.einsum("kij,ki->kj", whitened, (x - offsets) @ noise.root_precision.T)
        return np.asarray(np.linalg.solve(self._precision(jacobians, noise), pull[..., None])[..., 0])

    def _modes(self, starts: FloatArray, x: FloatArray, noise: NoiseDensity) -> tuple[FloatArray, FloatArray]:
        """Climb from starting points and from the posterior mean of every known cell."""
        known = self._regions
        xi = np.concatenate([starts, self._means(known.jacobians, known.offsets, x, noise)])
        level = self.log_joint(xi, x, noise)
        usable = np.isfinite(level) & np.isfinite(xi).all(axis=1)
        xi, level = xi[usable], level[usable]
        order = np.argsort(-level, kind="stable")[:MAX_CELLS]
        xi, level = xi[order], level[order]
        for _ in range(SEARCH_STEPS):
            jacobians = self.jacobians(xi)
            offsets = self.value(xi) - np.einsum("kij,kj->ki", jacobians, xi)
            step = self._means(jacobians, offsets, x, noise) - xi
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
    prior = model.mixture.reduced()
    return [Restriction(model.decoder, float(w), mean, covariance, seed)
            for w, mean, covariance in zip(prior.weights, prior.means, prior.covariances, strict=True)]
