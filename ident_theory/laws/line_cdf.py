"""Distribution function for one latent, Gaussian noise and n = 1, by Owen's T function."""

from __future__ import annotations

import numpy as np
from flint import arb, ctx
from scipy.special import ndtr, owens_t

from ident_theory.exact.balls import to_float, to_pair
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import LinePieces
from ident_theory.laws.line_terms import BITS, Component, components_of
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray


def line_cdf(model: Model, pieces: LinePieces, x: FloatArray) -> FloatArray:
    r"""P(X <= x): on each piece a difference of bivariate normal probabilities of (z, x).

    Parameters
    ----------
    model : Model
    pieces : LinePieces
    x : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (N,)
        Clipped to [0, 1]; absolute error at most 1e-13 a piece and component, dominated by Owen's T.
    """
    assert isinstance(model.noise, GaussianNoise)
    total = np.zeros(len(x))
    with ctx.workprec(BITS):
        noise = arb(rational(model.noise.covariance_exact(1)[0, 0])).sqrt()
        for k in range(pieces.n_pieces):
            for component in components_of(model.mixture):
                total += to_float(arb(component.weight)) * _term(pieces, k, component, noise, x)
    return np.clip(total, 0.0, 1.0)


def _term(pieces: LinePieces, k: int, component: Component, noise: arb, x: FloatArray) -> FloatArray:
    left, right = pieces.ends(k)
    if component.variance == 0:
        if not pieces.contains(k, component.mean):
            return np.zeros(len(x))
        return ndtr(_residual(x, to_pair(pieces.value(k, component.mean)[0])) / to_float(noise))
    tau = arb(component.variance).sqrt()
    slope = arb(pieces.slopes[k][0])
    spread = (slope**2 * arb(component.variance) + noise**2).sqrt()
    standard = _residual(x, to_pair(pieces.value(k, component.mean)[0])) / to_float(spread)
    tilt = to_float(slope * tau / spread)
    shrink = to_float(noise / spread)
    part = np.zeros(len(x))
    for end, sign in ((right, 1.0), (left, -1.0)):
        if end is None:
            part += ndtr(standard) if sign > 0 else 0.0
            continue
        h = to_float(arb(end - component.mean) / tau)
        rho = _residual(x, to_pair(pieces.value(k, end)[0])) / to_float(noise)
        part += sign * _bivariate(h, standard, rho, shrink * h - tilt * rho, tilt)
    return part


def _residual(x: FloatArray, center: tuple[float, float]) -> FloatArray:
    return np.asarray((x - center[0]) - center[1])


def _bivariate(h: float, k: FloatArray, rho: FloatArray, beta: FloatArray, correlation: float) -> FloatArray:
    r"""P(Z1 <= h, Z2 <= k) for standard normals with the given correlation c.

    `rho` = (k - c h)/sqrt(1 - c^2) and `beta` = (h - c k)/sqrt(1 - c^2) come without cancellation, which the
    textbook form of Owen's formula loses for c near 1.
    """
    first = _owen(np.full_like(k, h), rho)
    second = _owen(k, beta)
    opposite = np.where((h * k < 0) | ((h * k == 0) & (h + k < 0)), 0.5, 0.0)
    value = 0.5 * (ndtr(h) + ndtr(k)) - first - second - opposite
    corner = (h == 0.0) & (k == 0.0)
    return np.where(corner, 0.25 + np.arcsin(np.clip(correlation, -1.0, 1.0)) / (2 * np.pi), value)


def _owen(h: FloatArray, numerator: FloatArray) -> FloatArray:
    """T(h, numerator / h)."""
    zero = h == 0.0
    with np.errstate(over="ignore"):
        ratio = numerator / np.where(zero, 1.0, h)
    return np.asarray(np.where(zero, 0.25 * np.sign(numerator), owens_t(h, ratio)))
