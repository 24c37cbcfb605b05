"""Log densities of single Gaussian components pushed through one decoder: tables for searches over mixtures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flint import fmpq

from ident_theory.errors import InputError
from ident_theory.exact.rationals import nearest_float
from ident_theory.geometry.line import LinePieces
from ident_theory.kernels.component_tables import component_log_densities
from ident_theory.laws.base import observations
from ident_theory.laws.line import LineLaw
from ident_theory.laws.plane_terms import as_fraction
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.models.value import FloatArray


def float_pieces(pieces: LinePieces) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Breakpoints (K - 1,), slopes (K,) and intercepts (K,) of a scalar map, each the nearest float64."""
    if pieces.observed_dim != 1:
        raise InputError(f"float_pieces: expected a map to the line, got one with n = {pieces.observed_dim}")
    return (_floats(pieces.breakpoints), _floats([a[0] for a in pieces.slopes]),
            _floats([c[0] for c in pieces.intercepts]))


def component_tables(pieces: LinePieces, components_mean_variance: Sequence[tuple[fmpq, fmpq]],
                     noise: GaussianNoise, x: FloatArray) -> FloatArray:
    r"""Log density of every component, alone, at every point.

    Parameters
    ----------
    pieces : LinePieces
    components_mean_variance : sequence of C pairs of fmpq
        Variance zero is a point mass at the mean.
    noise : GaussianNoise
    x : ndarray, shape (Q, n), or (Q,) when n = 1

    Returns
    -------
    ndarray, shape (C, Q)
        Every value is finite.

    Notes
    -----
    For n = 1 every rational is rounded to the nearest float64 first; the error promised for the rounded numbers
    is 1e-12 max(1, \|log p\|), in the range that `component_log_densities` states. For n > 1 the rationals
    themselves enter, by way of `LineLaw`, at some 50 microseconds a component and piece.
    """
    n = pieces.observed_dim
    points = observations(x, n)
    out = np.empty((len(components_mean_variance), len(points)))
    if n == 1:
        component_log_densities(*float_pieces(pieces), _floats([mean for mean, _ in components_mean_variance]),
                                _floats([variance for _, variance in components_mean_variance]),
                                float(noise.root(1)[0, 0]), points[:, 0].copy(), out)
        return out
    decoder = PiecewiseAffineMap([as_fraction(t) for t in pieces.breakpoints],
                                 [[as_fraction(v) for v in a] for a in pieces.slopes],
                                 [[as_fraction(v) for v in c] for c in pieces.intercepts])
    for row, (mean, variance) in zip(out, components_mean_variance, strict=True):
        prior = GaussianMixture([1], [as_fraction(mean)], [as_fraction(variance)])
        row[:] = LineLaw(Model(prior, decoder, noise)).log_density(points)
    return out


def _floats(values: Sequence[fmpq]) -> FloatArray:
    return np.array([nearest_float(as_fraction(v)) for v in values], dtype=np.float64)
