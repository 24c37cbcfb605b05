"""The law of x for one latent by numerical integration: the second route, and the only one for other noises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.exact.balls import to_float, to_pair
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.kernels.panels import GAUSSIAN, LAPLACE, LOGISTIC, STUDENT, T_MAX
from ident_theory.kernels.quadrature import quadrature_line
from ident_theory.laws.base import ErrorKind, Law, LawKind, LogDensity, observations
from ident_theory.laws.parallel import in_parts
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise, IndependentNoise, Noise
from ident_theory.models.value import FloatArray

#: Working precision of the constants; 106 bits are kept.
BITS = 512
#: Points of the Gauss-Legendre rule on one panel.
RULE_POINTS = 16
#: Panels allowed for one observation, beyond three for each piece and component.
PANEL_BUDGET = 20_000
#: Observations handed to the kernel at once, so that an interrupt is heard.
CHUNK = 4096
#: Points below which a second thread costs more than it brings.
POINTS_PER_THREAD = 32

_FAMILIES = {"laplace": LAPLACE, "logistic": LOGISTIC, "student": STUDENT}
Pair = tuple[float, float]


@dataclass(frozen=True)
class Whitening:
    """Coordinates in which the noise is standard: ``roots[i] * (lower @ (x - f(z)))[i]``.

    `lower` is unit lower triangular, exact; None stands for the identity.
    """

    lower: list[list[fmpq]] | None
    roots: list[arb]

    def constant(self, vector: Sequence[fmpq]) -> list[arb]:
        """An exact vector in whitened coordinates."""
        exact = list(vector)
        if self.lower is not None:
            exact = [sum((w * v for w, v in zip(row, vector, strict=True)), fmpq(0)) for row in self.lower]
        return [root * arb(v) for root, v in zip(self.roots, exact, strict=True)]

    def matrix(self) -> FloatArray:
        """The map as pairs: (n, n, 2), or (n, 1, 2) when it is diagonal."""
        if self.lower is None:
            return np.array([[to_pair(root)] for root in self.roots])
        return np.array([[to_pair(root * arb(w)) for w in row]
                         for root, row in zip(self.roots, self.lower, strict=True)])


@dataclass(frozen=True)
class QuadratureTerms:
    """Arguments of `kernels.quadrature.quadrature_line` between `x` and `rtol`, in its order."""

    arrays: tuple[Any, ...]
    n_roots: int


class QuadratureLaw(Law):
    r"""Law of :math:`x = f(z) + \epsilon` for one latent, f piecewise affine, any noise; any n >= 1.

    The density :math:`\sum_j w_j \int N(z; \mu_j, \tau_j^2)\, p_\epsilon(x - f(z))\, dz` is integrated
    numerically, piece by piece; a component of variance zero contributes :math:`w_j p_\epsilon(x - f(\mu_j))`.
    For Gaussian noise this is independent of the closed form and serves as its check.

    Parameters
    ----------
    model : Model
        One latent, with noise.
    rtol : float, default 1e-12
        Relative truncation error aimed at, between 1e-14 and 1e-2.

    Notes
    -----
    **Accuracy.** The error returned with each value is near ``rtol + 1e-15 * abs(log p)``. Truncation and mass left
    out are bounded by analysis, rounding is estimated (`ErrorKind.ESTIMATED`). Where the allowed panels run out the
    error covers what is missing; where whitened numbers pass 1e70, or the log density is so low (about -1e28, with
    Gaussian noise) that pairs of floats cannot resolve it, or leaves float64, it may be inf.
    Every value is finite; log densities below -1.797e308 are cut there.
    """

    route = "quadrature"

    def __init__(self, model: Model, rtol: float = 1e-12) -> None:
        if model.latent_dim != 1 or model.noise is None:
            raise UnsupportedError(f"QuadratureLaw: expected one latent and noise, got latent_dim={model.latent_dim} "
                                   f"and noise={model.noise!r}; use ident_theory.law(model)")
        if not isinstance(rtol, int | float | np.floating) or not 1e-14 <= rtol <= 1e-2:
            raise InputError(f"QuadratureLaw: expected 1e-14 <= rtol <= 1e-2, got rtol={rtol!r}")
        super().__init__(model, LawKind.DENSITY)
        self.rtol = float(rtol)

    @cached_property
    def _terms(self) -> QuadratureTerms:
        assert self.model.noise is not None
        return quadrature_terms(self.model, self.model.noise)

    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density at points, (N, n) or (N,) when n = 1, with an error for each.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity.
        """
        points = observations(x, self.observed_dim)
        value, error = np.empty(len(points)), np.empty(len(points))
        terms = self._terms
        panels = PANEL_BUDGET + 3 * terms.n_roots
        for start in range(0, len(points), CHUNK):
            chunk, chunk_value, chunk_error = (a[start:start + CHUNK] for a in (points, value, error))

            def work(part: slice, x: FloatArray = chunk, v: FloatArray = chunk_value,
                     e: FloatArray = chunk_error) -> None:
                quadrature_line(x[part], *terms.arrays, self.rtol, panels, v[part], e[part])

            in_parts(work, len(chunk), POINTS_PER_THREAD)
        return LogDensity(value, error, ErrorKind.ESTIMATED)


def quadrature_terms(model: Model, noise: Noise) -> QuadratureTerms:
    """All constants of the integrals: differences in rationals, roots and logs in balls, then rounded to pairs."""
    pieces = line_pieces(model.decoder)
    n = pieces.observed_dim
    centres: list[list[Pair]] = []
    slopes: list[list[Pair]] = []
    edges: list[list[float]] = []
    log_roots: list[float] = []
    atom_centres: list[list[Pair]] = []
    atom_logs: list[float] = []
    prior = model.mixture.reduced()
    with ctx.workprec(BITS):
        whitening = _whitening(noise, n)
        for w, mu, variance in zip(prior.weights_exact, prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0],
                                   strict=True):
            mean, log_weight = rational(mu), arb(rational(w)).log()
            if variance == 0:
                k = sum(1 for t in pieces.breakpoints if t <= mean)
                atom_centres.append(_pairs(whitening.constant(pieces.value(k, mean))))
                atom_logs.append(to_float(log_weight))
                continue
            tau = arb(rational(variance)).sqrt()
            log_root = to_float(log_weight - (2 * arb.pi()).log() / 2)
            for k in range(pieces.n_pieces):
                ends = _standard_ends(pieces, k, mean, tau)
                if ends is not None:
                    edges.append(ends)
                    log_roots.append(log_root)
                    centres.append(_pairs(whitening.constant(pieces.value(k, mean))))
                    slopes.append(_pairs([tau * a for a in whitening.constant(pieces.slopes[k])]))
        nodes, weights = _legendre_rule(RULE_POINTS)
        matrix, log_constant = whitening.matrix(), to_float(_log_constant(noise, whitening))
    family = GAUSSIAN if isinstance(noise, GaussianNoise) else _FAMILIES[noise.family]
    nu = noise.shape_parameter if isinstance(noise, IndependentNoise) else 0.0
    arrays = (matrix, np.array(centres).reshape(-1, n, 2), np.array(slopes).reshape(-1, n, 2),
              np.array(edges).reshape(-1, 5), np.array(log_roots), np.array(atom_centres).reshape(-1, n, 2),
              np.array(atom_logs), family, nu, log_constant, nodes, weights)
    return QuadratureTerms(arrays, len(log_roots))


def _pairs(values: Sequence[arb]) -> list[Pair]:
    return [to_pair(value) for value in values]


def _whitening(noise: Noise, n: int) -> Whitening:
    if isinstance(noise, IndependentNoise):
        return Whitening(None, [1 / arb(rational(s)) for s in np.broadcast_to(noise.scale_exact, (n,))])
    if noise.std_exact is not None:
        return Whitening(None, [1 / arb(rational(s)) for s in np.broadcast_to(noise.std_exact, (n,))])
    covariance = [[rational(v) for v in row] for row in noise.covariance_exact(n)]
    if noise.is_diagonal:
        return Whitening(None, [1 / arb(covariance[i][i]).sqrt() for i in range(n)])
    return _decorrelated(covariance)


def _decorrelated(covariance: list[list[fmpq]]) -> Whitening:
    """Exact elimination: ``lower @ covariance @ lower.T`` is the diagonal of pivots, whatever its conditioning."""
    n = len(covariance)
    work = [row[:] for row in covariance]
    lower = [[fmpq(int(i == j)) for j in range(n)] for i in range(n)]
    for i in range(n):
        for j in range(i + 1, n):
            factor = work[j][i] / work[i][i]
            if factor:
                work[j] = [u - factor * v for u, v in zip(work[j], work[i], strict=True)]
                lower[j] = [u - factor * v for u, v in zip(lower[j], lower[i], strict=True)]
    return Whitening(lower, [1 / arb(work[i][i]).sqrt() for i in range(n)])


def _standard_ends(pieces: LinePieces, k: int, mean: fmpq, tau: arb) -> list[float] | None:
    """Ends of piece `k` in t = (z - mean) / tau as pairs, and the width; None beyond `T_MAX`."""
    left, right = pieces.ends(k)
    reach = arb(T_MAX)
    low = -reach if left is None else arb(left - mean) / tau
    high = reach if right is None else arb(right - mean) / tau
    if low > reach or high < -reach:
        return None
    width = high - low if left is None or right is None else arb(right - left) / tau
    if low < -reach or high > reach:
        low, high = (-reach if low < -reach else low), (reach if high > reach else high)
        width = high - low
    return [*to_pair(low), *to_pair(high), to_float(width)]


def _log_constant(noise: Noise, whitening: Whitening) -> arb:
    """Log of the constant of the noise density in the original coordinates."""
    n = len(whitening.roots)
    scales = sum((root.log() for root in whitening.roots), arb(0))
    if isinstance(noise, GaussianNoise):
        return scales - (2 * arb.pi()).log() * n / 2
    if noise.family == "laplace":
        return scales - arb(2).log() * n
    if noise.family == "logistic":
        return scales
    nu = arb(rational(noise.df_exact))  # type: ignore[attr-defined]
    each = ((nu + 1) / 2).lgamma() - (nu / 2).lgamma() - (nu * arb.pi()).log() / 2
    return scales + n * each


def _legendre_rule(points: int) -> tuple[FloatArray, FloatArray]:
    rule = [arb.legendre_p_root(points, k, weight=True) for k in range(points)]
    nodes = np.array([to_float(node) for node, _ in rule])
    weights = np.array([to_float(weight) for _, weight in rule])
    assert math.isclose(float(weights.sum()), 2.0, rel_tol=1e-14)
    return nodes, weights
