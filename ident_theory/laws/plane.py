"""The exact law of x for two latents: sums over the polygons on which the network is affine."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq

from ident_theory.errors import DegenerateLawError, UnsupportedError
from ident_theory.exact.rationals import rational
from ident_theory.geometry.plane import PlaneCell, plane_cells
from ident_theory.kernels.elementary import LOWEST
from ident_theory.kernels.polygon_sums import plane_log_density
from ident_theory.laws.base import TIGHTEST, Atoms, ErrorKind, Law, LawKind, LogDensity, add_logs, observations
from ident_theory.laws.line import LineLaw
from ident_theory.laws.noiseless import NoiselessLineLaw
from ident_theory.laws.parallel import in_parts
from ident_theory.laws.plane_bounds import PlaneBalls, plane_bounds
from ident_theory.laws.plane_noiseless import NoiselessPlane
from ident_theory.laws.plane_scalar import NoiselessScalar
from ident_theory.laws.plane_terms import (
    Component,
    PlaneTerms,
    Posterior,
    as_fraction,
    components_of,
    plane_terms,
    posteriors,
    ratio,
)
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

#: Points below which a second thread costs more than it brings.
POINTS_PER_THREAD = 32


class PlaneLaw(Law):
    r"""Law of :math:`x = f(z) + \epsilon` for two latents, a ReLU or leaky ReLU network and Gaussian noise.

    The density is :math:`\sum_{k,j} w_j N(x; A_k\mu_j + c_k, A_k S_j A_k^T + \Omega)\, \Gamma_{kj}(x)`, a sum
    over the cells k of the network and the components j of the prior; :math:`\Gamma_{kj}(x)` is the mass of
    the polygon of the cell under the posterior :math:`N(m_x, V)`, :math:`V = (S_j^{-1} +
    A_k^T\Omega^{-1}A_k)^{-1}`. A component whose covariance has rank 1 is a model with one latent, one of
    rank 0 the term :math:`w_j N(x; f(\mu_j), \Omega)`.

    Without noise and n = 1 the density is :math:`\sum w_j N(x; a_k\cdot\mu_j + c_k, a_k^T S_j a_k)
    [\Phi(t_{max}) - \Phi(t_{min})]`: the line :math:`a_k\cdot z + c_k = x` cuts a chord out of the cell, whose
    conditional mass the bracket is. Cells on which f is constant are atoms. `log_density` describes the
    continuous part, -inf where no cell reaches x.

    Without noise and n = 2 the law is supported when every cell has an invertible matrix: the density is
    :math:`\sum w_j N(A_k^{-1}(x - c_k); \mu_j, S_j) / |\det A_k|` over the cells that contain the preimage,
    and `log_density` is -inf where no cell maps to. (A constant network gives an atom.)

    **Accuracy.** One-dimensional adaptive quadrature of positive integrands in logs; the error figure adds
    its estimate and the effect of rounding (which grows like 1e-16 / noise standard deviation). It is an
    estimate, not a proof. As a rule the error is below 1e-12 max(1, \|log p\|).

    **Cost.** Linear in cells x components x points; terms that cannot matter are skipped after a bound.

    Raises
    ------
    UnsupportedError
        For other numbers of latents or other noise.
    DegenerateLawError
        Without noise and n > 1, when part of the law lives on a curve or a surface.
    """

    route = "polygons"

    def __init__(self, model: Model) -> None:
        if model.latent_dim != 2 or not isinstance(model.noise, GaussianNoise | None):
            raise UnsupportedError(f"PlaneLaw: expected two latents and Gaussian noise or none, got latent_dim="
                                   f"{model.latent_dim} and noise={model.noise!r}; use ident_theory.law(model)")
        if model.noise is None and model.observed_dim > 2:
            raise DegenerateLawError(
                f"without noise x lives on a piecewise flat surface in R^{model.observed_dim}, so it has no "
                "density there; add Gaussian noise to the model")
        self._noiseless = None if model.noise is not None else self._without_noise(model)
        super().__init__(model, LawKind.DENSITY if self._noiseless is None else self._noiseless.kind)

    @staticmethod
    def _cells_of(model: Model) -> tuple[PlaneCell, ...]:
        return plane_cells(model.decoder)

    @classmethod
    def _without_noise(cls, model: Model) -> NoiselessPlane | NoiselessScalar:
        cells, components = cls._cells_of(model), components_of(model.mixture)
        if model.observed_dim == 2:
            return NoiselessPlane(cells, components)
        return NoiselessScalar(cells, [c for c in components if c.rank == 2],
                               [(c.weight, NoiselessLineLaw(line_model(model, c))) for c in components if c.rank < 2])

    @cached_property
    def cells(self) -> tuple[PlaneCell, ...]:
        """The cells on which the network is affine."""
        return self._cells_of(self.model)

    @cached_property
    def _posteriors(self) -> list[Posterior]:
        assert isinstance(self.model.noise, GaussianNoise)
        regular = [c for c in components_of(self.model.mixture) if c.rank == 2]
        return posteriors(self.cells, regular, self.model.noise, self.observed_dim) if regular else []

    @cached_property
    def _terms(self) -> PlaneTerms | None:
        return plane_terms(self._posteriors, self.observed_dim) if self._posteriors else None

    @cached_property
    def singular_parts(self) -> tuple[tuple[fmpq, LineLaw], ...]:
        """Weights and laws of the components with a singular covariance, each as a model with one latent."""
        return tuple((c.weight, LineLaw(line_model(self.model, c)))
                     for c in components_of(self.model.mixture) if c.rank < 2)

    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density at points, (N, n) or (N,) when n = 1, with an estimated absolute error for each.

        With noise every value is finite: what lies below the range of float64 is cut to its lowest number,
        and has an infinite error. Without noise the values are those of the continuous part.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity.
        """
        points = observations(x, self.observed_dim)
        if self._noiseless is not None:
            return LogDensity(*self._noiseless.log_density(points), ErrorKind.ESTIMATED)
        value, error = np.full(len(points), -np.inf), np.zeros(len(points))
        terms = self._terms
        if terms is not None:
            arguments = terms.arguments()
            in_parts(lambda part: plane_log_density(points[part], *arguments, value[part], error[part]), len(points),
                     POINTS_PER_THREAD)
        for weight, law in self.singular_parts:
            part = law.log_density_with_error(points)
            value, error = add_logs(value, error, part.value + np.log(ratio(weight)), part.error)
        return LogDensity(np.maximum(value, LOWEST), error, ErrorKind.ESTIMATED)

    def log_density_bounds(self, x: Any, rtol: float = 1e-12) -> tuple[FloatArray, FloatArray]:
        """Rigorous enclosure of the log density that also contains the value of `log_density`.

        Integrals in ball arithmetic at rising precision, until the width is below ``rtol * max(1, |log p|)``;
        the interval is then widened to the float64 result, so its width bounds the error of that result. Slow:
        some 10 to 50 ms a point for each cell and component that matters.

        Parameters
        ----------
        x : array_like, shape (N, n), or (N,) when n = 1
        rtol : float, default 1e-12

        Returns
        -------
        lo, hi : ndarray, shape (N,)
            ``lo`` is -inf where the log density lies beyond the range of float64.

        Raises
        ------
        BudgetExceeded
            When the largest precision does not reach the width.
        UnsupportedError
            Without noise.
        """
        if self._noiseless is not None:
            raise UnsupportedError("log_density_bounds: not available for two latents without noise; "
                                   "log_density_with_error gives the effect of rounding there")
        points = observations(x, self.observed_dim)
        other_lo, other_hi = np.full(len(points), -np.inf), np.full(len(points), -np.inf)
        for weight, law in self.singular_parts:
            lo, hi = law.log_density_bounds(points, max(TIGHTEST, rtol / 8))
            share = math.log(ratio(weight))
            # Two outward steps cover the rounding of the logarithms and of the sum.
            other_lo, other_hi = (_widened(np.logaddexp(other_lo, lo + share), -1.0),
                                  _widened(np.logaddexp(other_hi, hi + share), 1.0))
        terms = self._terms
        balls = None if terms is None else PlaneBalls(self._posteriors, terms, self.observed_dim)
        lo, hi = plane_bounds(balls, points, other_lo, other_hi, rtol)
        value = self.log_density(points)
        return np.minimum(lo, value), np.maximum(hi, value)

    def atoms(self) -> Atoms:
        """Points of positive probability with their masses: without noise, the values on flat cells."""
        return super().atoms() if self._noiseless is None else self._noiseless.atoms()


def line_model(model: Model, component: Component) -> Model:
    r"""The model with one latent that a component with a singular covariance amounts to.

    For :math:`S = d d^T / s` the latent is :math:`z = \mu + d t` with :math:`t \sim N(0, 1/s)`; the first
    layer of the network absorbs the line.
    """
    assert isinstance(model.decoder, ReLUNetwork)
    (a, b), (_, c) = component.covariance
    direction, size = ((a, b), a) if a else ((b, c), c)
    variance = 1 / size if size else fmpq(0)
    first = [[rational(v) for v in row] for row in model.decoder.weights_exact[0]]
    bias = [rational(v) for v in model.decoder.biases_exact[0]]
    mu = component.mean
    column = [[as_fraction(w[0] * direction[0] + w[1] * direction[1])] for w in first]
    shifted = [as_fraction(w[0] * mu[0] + w[1] * mu[1] + v) for w, v in zip(first, bias, strict=True)]
    network = ReLUNetwork([column, *model.decoder.weights_exact[1:]], [shifted, *model.decoder.biases_exact[1:]],
                          model.decoder.negative_slope_exact)
    return Model(GaussianMixture([1], [0], [as_fraction(variance)]), network, model.noise)


def _widened(value: FloatArray, sign: float) -> FloatArray:
    """Move a log outwards by more than the rounding errors of adding a weight and of logaddexp."""
    return value + sign * 8 * np.finfo(np.float64).eps * (1 + np.abs(np.where(np.isfinite(value), value, 0.0)))
