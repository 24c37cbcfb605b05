"""The law of x for any number of latents, by randomised quasi-Monte Carlo."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp, ndtri
from scipy.stats import qmc

from ident_theory.errors import DegenerateLawError, InputError, UnsupportedError
from ident_theory.laws.base import ErrorKind, Law, LawKind, LogDensity, observations
from ident_theory.laws.cells_proposal import NoiseDensity, Proposal, Restriction, restrictions
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.value import FloatArray

_LOWEST = -float(np.finfo(np.float64).max)
#: Scrambled Sobol points come arbitrarily close to 0 and 1; the normal quantile needs a margin.
_MARGIN = 2.0**-40


class CellsLaw(Law):
    r"""Law of :math:`x = f(z) + \epsilon` for a network with any number of latents and any noise.

    For each component of the prior, written as :math:`z = \mu_j + B_j \xi` with :math:`\xi \sim N(0, I)`,

    .. math:: p_j(x) = \int N(\xi; 0, I)\, p_\epsilon(x - f(\mu_j + B_j\xi))\, d\xi

    is estimated by importance sampling with `replicates` independently scrambled Sobol sequences of `points`
    points. The proposal follows the posterior: cells of the network are found by the activation patterns of a
    pilot sample and of a local search for modes started in each of them, and the proposal is the mixture of
    the posterior normals of these cells around the modes with heavier copies and the prior (a defensive
    mixture; every weight is bounded). For noise that is not Gaussian the posterior normals are those of
    Gaussian noise with the same curvature at the mode.

    **Accuracy.** `error` is the standard error of the log density over the replicates (delta method). It is
    statistical, not a bound, and it is blind to a mode that the search did not find. This law is never exact.
    The same seed gives the same numbers, whichever other points are asked for.

    **Cost.** points x replicates evaluations of the network for each observation and component.

    Parameters
    ----------
    model : Model
        With noise and a `ReLUNetwork`.
    points : int, default 1024
        Points a replicate; a power of two.
    replicates : int, default 16
        Independent scramblings, at least two.
    seed : int, default 0
        Seed of the scramblings.

    Raises
    ------
    DegenerateLawError
        Without noise.
    UnsupportedError
        For a decoder that is not a network.
    InputError
        For unusable settings.

    References
    ----------
    A. B. Owen, "Monte Carlo theory, methods and examples", chapters 9 (defensive mixtures) and 17
    (randomised quasi-Monte Carlo).
    """

    route = "quasi-Monte Carlo"

    def __init__(self, model: Model, points: int = 1024, replicates: int = 16, seed: int = 0) -> None:
        if not isinstance(model.decoder, ReLUNetwork):
            raise UnsupportedError("CellsLaw: expected a ReLUNetwork as decoder; for an explicit piecewise map of one "
                                   "latent use ident_theory.law(model)")
        if model.noise is None:
            raise DegenerateLawError("without noise the law of x is the image of the prior under the network, whose "
                                     "density (if any) this route cannot give; add noise to the model")
        for name, value, least in (("points", points, 2), ("replicates", replicates, 2), ("seed", seed, 0)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise InputError(f"CellsLaw: expected an integer {name} >= {least}, got {name}={value!r}")
        if points & (points - 1):
            raise InputError(f"CellsLaw: expected a power of two, got points={points}; the nearest above is "
                             f"{1 << int(points).bit_length()}")
        super().__init__(model, LawKind.DENSITY)
        self.points, self.replicates, self.seed = int(points), int(replicates), int(seed)

    @cached_property
    def _restrictions(self) -> list[Restriction]:
        """The network seen from each component of the prior with positive weight."""
        return restrictions(self.model, self.seed)

    @cached_property
    def _noise(self) -> NoiseDensity:
        return NoiseDensity(self.model)

    def _uniforms(self, dim: int) -> FloatArray:
        """Scrambled Sobol points, shape (replicates, points, dim)."""
        if dim not in self._uniform_cache:
            seeds = np.random.SeedSequence([self.seed, dim]).spawn(self.replicates)
            draws = [qmc.Sobol(dim, scramble=True, rng=np.random.default_rng(s)).random(self.points) for s in seeds]
            self._uniform_cache[dim] = np.clip(np.array(draws), _MARGIN, 1 - _MARGIN)
        return self._uniform_cache[dim]

    @cached_property
    def _uniform_cache(self) -> dict[int, FloatArray]:
        return {}

    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density at points, (N, n) or (N,) when n = 1, with its standard error for each.

        Every value is finite; what lies below the range of float64 is cut and has an infinite error.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity.
        """
        data = observations(x, self.observed_dim)
        value, error = np.empty(len(data)), np.empty(len(data))
        # Squares of far residuals may overflow: such points have no weight.
        with np.errstate(over="ignore", invalid="ignore"):
            for i, row in enumerate(data):
                value[i], error[i] = self._one(row)
        return LogDensity(value, error, ErrorKind.STANDARD_ERROR)

    def _one(self, x: FloatArray) -> tuple[float, float]:
        total = np.full(self.replicates, -np.inf)
        for part in self._restrictions:
            total = np.logaddexp(total, part.log_weight + self._component(part, x))
        peak = total.max()
        if not np.isfinite(peak):
            return _LOWEST, math.inf
        shares = np.exp(total - peak)
        mean = shares.mean()
        value = float(peak + math.log(mean))
        spread = float(shares.std(ddof=1) / math.sqrt(self.replicates) / mean)
        # Rounding stays when nothing varies (a point prior, say).
        return value, spread + 1e-15 * (1.0 + abs(value))

    def _component(self, part: Restriction, x: FloatArray) -> FloatArray:
        """Log of the integral over one component, one value a replicate."""
        if part.dim == 0:
            return np.full(self.replicates, self._noise(x - part.value(np.zeros((1, 0))))[0])
        # The first coordinate chooses the part of the proposal, the others a point of it.
        uniforms = self._uniforms(part.dim + 1).reshape(-1, part.dim + 1)
        proposal: Proposal = part.proposal(x, self._noise)
        xi = proposal.points(uniforms[:, 0], ndtri(uniforms[:, 1:]))
        log_ratio = part.log_joint(xi, x, self._noise) - proposal.log_density(xi)
        log_ratio = np.where(np.isnan(log_ratio), -np.inf, log_ratio)
        return np.asarray(logsumexp(log_ratio.reshape(self.replicates, -1), axis=1)) - math.log(self.points)
