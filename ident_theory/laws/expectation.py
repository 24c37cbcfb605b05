"""Expectations under a law: cross-entropy, entropy, Kullback-Leibler divergence, each with its error.

Three routes: for one latent and n = 1 an adaptive Gauss-Kronrod integral over x; for one latent and n = 2 or
3 with Gaussian noise a product rule over the latent and the noise, at two orders; for everything else
randomised quasi-Monte Carlo with a standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from ident_theory.errors import DegenerateLawError, InputError
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.geometry.stretches import Stretch, stretches
from ident_theory.kernels.gauss_kronrod import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS
from ident_theory.laws.base import ErrorKind, Estimate, Law, LawKind
from ident_theory.laws.curve import log_density_along, overlap
from ident_theory.laws.draws import draws
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.laws.splits import split_points, split_points_of_plane
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

#: Relative error that a log density may carry into an integral.
DENSITY_ERROR = 1e-13
MAX_PANELS = 100_000
MAX_ROUNDS = 60
#: Gauss-Hermite orders compared for the noise of n = 2, 3.
HERMITE_ORDERS = (16, 22)
QMC_REPLICATES = 16
#: Points of one replicate, by the route of the costlier law: a log density costs from 1e-7 to 1e-2 s.
QMC_POINTS = {"closed form": 4096, "quadrature": 1024, "polygons": 512, "quasi-Monte Carlo": 32}



def cross_entropy(p: Law, q: Law, rtol: float = 1e-10) -> Estimate:
    """-E_p log q(X) in nats.

    When q has a density on R^n this is an expectation for any p, atoms and curves included. When q is noiseless
    the reference measure is its own: Lebesgue measure (n = 1) or arc length, plus counting on the atoms of q;
    +inf when p gives probability to what q does not reach, which is decided exactly for curves.

    Raises
    ------
    InputError
        When the laws have different observed dimensions or `rtol` is no positive number.
    DegenerateLawError
        When p has several latents and no density on R^n.
    """
    return _expect(p, q, rtol, ratio=False)


def divergence(p: Law, q: Law, rtol: float = 1e-10) -> Estimate:
    """KL(p || q) = E_p [log p(X) - log q(X)] in nats; +inf when p is not absolutely continuous to q."""
    if p.kind is not LawKind.DENSITY and q.kind is LawKind.DENSITY and len(p.atoms().masses):
        return Estimate(math.inf, 0.0, ErrorKind.RIGOROUS)
    return _expect(p, q, rtol, ratio=True)


def _expect(p: Law, q: Law, rtol: float, ratio: bool) -> Estimate:
    """E_p of log p - log q (`ratio`) or of -log q."""
    if not (math.isfinite(rtol) and 0 < rtol < 1):
        raise InputError(f"expected 0 < rtol < 1, got rtol={rtol}")
    if p.observed_dim != q.observed_dim:
        raise InputError(f"expected two laws on one space, got n={p.observed_dim} and n={q.observed_dim}")
    if p.observed_dim == 1 and p.route != "quasi-Monte Carlo":
        return _on_the_line(p, q, rtol, ratio)
    if p.model.latent_dim == 1 and p.model.noise is None:
        return _on_a_curve(p, q, rtol, ratio)
    p.require_density("expectations for several latents")
    if q.kind not in (LawKind.DENSITY, LawKind.DENSITY_AND_ATOMS):
        return Estimate(math.inf, 0.0, ErrorKind.RIGOROUS)  # q lives on a null set of R^n, which p does not charge
    if p.model.latent_dim == 1 and p.observed_dim <= 3 and isinstance(p.model.noise, GaussianNoise):
        return _product_rule(p, q, rtol, ratio)
    return _quasi_monte_carlo(p, q, ratio)


def _logs(p: Law, q: Law, x: FloatArray, ratio: bool) -> FloatArray:
    log_q = q.log_density(x)
    return p.log_density(x) - log_q if ratio else -log_q


def _on_the_atoms(p: Law, q: Law, ratio: bool) -> float:
    """The share of the atoms of p in the expectation; inf where q gives one of them nothing."""
    atoms = p.atoms()
    if not len(atoms.masses):
        return 0.0
    parts = (atoms.log_masses if ratio else 0.0) - _log_at_atoms(q, atoms.locations)
    return math.inf if np.isinf(parts).any() else float(atoms.masses @ parts)


def _on_a_curve(p: Law, q: Law, rtol: float, ratio: bool) -> Estimate:
    """p noiseless with one latent and n > 1: an integral over z on every stretch of the curve."""
    if q.kind is LawKind.DENSITY:
        if ratio:
            return Estimate(math.inf, 0.0, ErrorKind.RIGOROUS)  # a curve is a null set of q
        value, error = _latent_mean(p.model, lambda z: -q.log_density(p.model.decoder(z)), rtol)
        return Estimate(value, error, ErrorKind.ESTIMATED)
    if q.model.latent_dim != 1:
        raise DegenerateLawError(f"expectations: not available between a {p.kind.value} and a law of several latents "
                                 f"without noise ({q.kind.value}); add noise to the models")
    value, error = _on_the_atoms(p, q, ratio), 0.0
    own, other = line_pieces(p.model.decoder), line_pieces(q.model.decoder)
    spread_p, spread_q = ([c for c in components_of(law.model.mixture) if c.variance > 0] for law in (p, q))
    if math.isinf(value) or not spread_p:
        return Estimate(value, 4e-16 * abs(value), ErrorKind.PROMISED)
    # Cut by both curves, so that both densities are one sum of Gaussians on every stretch.
    with_self = stretches(own, own)
    for stretch in stretches(own, other):
        if not stretch.maps:
            return Estimate(math.inf, 0.0, ErrorKind.RIGOROUS)
        for part in with_self:
            both = overlap(stretch, part)
            if both is not None:
                piece = _stretch_mean(both, part, own, spread_p, stretch, other, spread_q, rtol, ratio)
                value, error = value + piece[0], error + piece[1]
    return Estimate(value, error, ErrorKind.ESTIMATED)


def _stretch_mean(ends: tuple[float, float], own_stretch: Stretch, own: LinePieces, spread_p: list[Component],
                  stretch: Stretch, other: LinePieces, spread_q: list[Component], rtol: float,
                  ratio: bool) -> tuple[float, float]:
    """Integral over z in an interval of the prior density of p times the logs."""
    value = error = 0.0
    for component in spread_p:
        w, mu, tau = float(component.weight), float(component.mean), math.sqrt(float(component.variance))

        def weighted(z: FloatArray, w: float = w, mu: float = mu, tau: float = tau) -> FloatArray:
            log_q = log_density_along(stretch, other, spread_q, z)
            log_p = log_density_along(own_stretch, own, spread_p, z) if ratio else 0.0
            return np.asarray(w * stats.norm.pdf(z, mu, tau) * (log_p - log_q))

        splits = mu + tau * np.array([-9.5, -6, -4, -2, 0, 2, 4, 6, 9.5])
        low, high = max(ends[0], splits[0]), min(ends[1], splits[-1])
        if low < high:
            inner = splits[(splits > low) & (splits < high)]
            part, part_error = adaptive_integral(weighted, np.concatenate([[low], inner, [high]]), rtol)
            value, error = value + part, error + part_error
    return value, error


def _on_the_line(p: Law, q: Law, rtol: float, ratio: bool) -> Estimate:
    total = _on_the_atoms(p, q, ratio)
    if math.isinf(total):
        return Estimate(math.inf, 0.0, ErrorKind.RIGOROUS)
    if p.kind is LawKind.ATOMS:
        return Estimate(total, 4e-16 * abs(total), ErrorKind.PROMISED)

    def weighted(x: FloatArray) -> FloatArray:
        log_p = p.log_density(x)
        density = np.exp(log_p)
        live = np.flatnonzero(density)
        log_q = log_p[live] if q is p else q.log_density(x[live])
        out = np.zeros_like(density)
        out[live] = density[live] * ((log_p[live] if ratio else 0.0) - log_q)
        return out

    splits = (split_points(p.model) if p.model.latent_dim == 1
              else split_points_of_plane(p))
    if q is not p and q.model.latent_dim == 1:
        inner = split_points(q.model)
        splits = np.union1d(splits, inner[(inner > splits[0]) & (inner < splits[-1])])
    value, error = adaptive_integral(weighted, splits, rtol)
    return Estimate(total + value, error, ErrorKind.ESTIMATED)


def _log_at_atoms(q: Law, locations: FloatArray) -> FloatArray:
    """log q at the atoms of p: a density when q has one everywhere, else the mass q has at that very point."""
    if q.kind is LawKind.DENSITY:
        return q.log_density(locations)
    own = q.atoms()
    out = np.full(len(locations), -math.inf)
    for i, x in enumerate(locations):
        same = np.flatnonzero((own.locations == x).all(axis=1))
        if same.size:
            out[i] = own.log_masses[same[0]]
    return out


def adaptive_integral(function: Callable[[FloatArray], FloatArray], splits: FloatArray,
                      rtol: float) -> tuple[float, float]:
    """Integral over [splits[0], splits[-1]] with an error estimate, by Gauss-Kronrod panels in rounds.

    All panels of a round are evaluated in one call. A panel is halved while its share of the error is too
    large; the estimate is the sum of |K15 - G7|, which exceeds the error of K15 by far on smooth panels,
    plus the rounding of the integrand and of the nodes. A budget that runs out shows as a large estimate.

    Returns
    -------
    value, error : float
        ``value`` is inf when the integrand is.
    """
    low, high = splits[:-1], splits[1:]
    done_value = done_error = rounding = 0.0
    count = len(low)
    for _ in range(MAX_ROUNDS):
        half = (high - low) / 2
        values = function((low + half)[:, None].repeat(15, 1).ravel()
                          + np.outer(half, KRONROD_NODES).ravel()).reshape(-1, 15)
        if np.isinf(values).any():
            return math.inf, 0.0
        kronrod = half * (values @ KRONROD_WEIGHTS)
        errors = np.abs(kronrod - half * (values @ GAUSS_WEIGHTS))
        # Nodes are rounded, which moves the integral by the integrand's variation times an ulp or two.
        variation = np.abs(np.diff(values, axis=1)).sum(axis=1)
        slack = (DENSITY_ERROR * half * (np.abs(values) @ KRONROD_WEIGHTS)
                 + 2.3e-16 * np.maximum(np.abs(low), np.abs(high)) * variation)
        total = done_value + float(kronrod.sum())
        target = rtol * max(1.0, abs(total))
        narrow = half <= 4e-16 * np.maximum(np.abs(low), np.abs(high))
        keep = (errors <= target / max(count, 1) / 2) | narrow
        if done_error + float(errors.sum()) <= target or count > MAX_PANELS:
            keep[:] = True
        done_value += float(kronrod[keep].sum())
        done_error += float(errors[keep].sum())
        rounding += float(slack[keep].sum())
        if keep.all():
            break
        middle = (low + half)[~keep]
        low, high = np.concatenate([low[~keep], middle]), np.concatenate([middle, high[~keep]])
        count += len(middle)
    else:
        done_value += float(kronrod[~keep].sum())
        done_error += float(errors[~keep].sum())
    return done_value, done_error + rounding


def _product_rule(p: Law, q: Law, rtol: float, ratio: bool) -> Estimate:
    """E over z by adaptive Gauss-Kronrod panels, over the noise by Gauss-Hermite at two orders."""
    results = []
    for order in HERMITE_ORDERS:
        nodes, weights = _noise_nodes(p.model, order)

        def given_latent(z: FloatArray, nodes: FloatArray = nodes, weights: FloatArray = weights) -> FloatArray:
            mean = np.empty(len(z))
            for first in range(0, len(z), 1024):
                part = slice(first, first + 1024)
                x = (p.model.decoder(z[part])[:, None, :] + nodes).reshape(-1, p.observed_dim)
                mean[part] = _logs(p, q, x, ratio).reshape(-1, len(nodes)) @ weights
            return mean

        results.append(_latent_mean(p.model, given_latent, rtol))
    (rough, _), (fine, error) = results
    return Estimate(fine, abs(fine - rough) + error, ErrorKind.ESTIMATED)


def _noise_nodes(model: Model, order: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Hermite nodes (order**n, n) and weights for Gaussian noise."""
    n = model.observed_dim
    assert isinstance(model.noise, GaussianNoise)
    root = model.noise.root(n)
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[nodes] * n, indexing="ij"), -1).reshape(-1, n)
    joint = np.prod(np.stack(np.meshgrid(*[weights] * n, indexing="ij"), -1).reshape(-1, n), axis=1)
    return grid @ root.T, joint


def _latent_mean(model: Model, function: Callable[[FloatArray], FloatArray], rtol: float) -> tuple[float, float]:
    """E of a function of the latent under the prior, m = 1, with an error estimate."""
    breaks = np.array([float(t) for t in line_pieces(model.decoder).breakpoints])
    value = error = 0.0
    for component in components_of(model.mixture):
        w, mu, tau = float(component.weight), float(component.mean), math.sqrt(float(component.variance))
        if tau == 0.0:
            value += w * float(function(np.array([mu]))[0])
            continue

        def weighted(z: FloatArray, mu: float = mu, tau: float = tau) -> FloatArray:
            return np.asarray(stats.norm.pdf(z, mu, tau) * function(z))

        ends = mu + tau * np.array([-9.5, -6, -4, -2, 0, 2, 4, 6, 9.5])
        part, part_error = adaptive_integral(weighted, np.union1d(ends, breaks[np.abs(breaks - mu) < 9.5 * tau]), rtol)
        value, error = value + w * part, error + w * part_error
    return value, error


def _quasi_monte_carlo(p: Law, q: Law, ratio: bool) -> Estimate:
    """Mean over scrambled Sobol replicates, the same points for every q, with the standard error of the mean.

    The points being shared, cross-entropies of one p differ by much less than their standard errors: the error of
    a difference is that of the divergence.
    """
    count = min(QMC_POINTS[p.route], QMC_POINTS[q.route])
    means = np.empty(QMC_REPLICATES)
    for r in range(QMC_REPLICATES):
        x, log_p = draws(p, r, count, density=ratio or q is p)
        log_q = log_p if q is p else q.log_density(x)
        assert log_q is not None
        means[r] = (log_p - log_q).mean() if ratio and log_p is not None else -log_q.mean()
    return Estimate(float(means.mean()), float(means.std(ddof=1) / math.sqrt(QMC_REPLICATES)),
                    ErrorKind.STANDARD_ERROR)
