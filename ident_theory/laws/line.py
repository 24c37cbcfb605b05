"""The exact law of x for one latent and Gaussian noise, in closed form."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ident_theory.errors import UnsupportedError
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.kernels.closed_form import line_log_density
from ident_theory.kernels.elementary import LOWEST
from ident_theory.laws.base import ErrorKind, Law, LawKind, LogDensity, observations
from ident_theory.laws.line_bounds import line_bounds
from ident_theory.laws.line_cdf import line_cdf
from ident_theory.laws.line_terms import LineTerms, components_of, line_terms
from ident_theory.laws.parallel import in_parts
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

#: Promised error of `LineLaw.log_density`, times max(1, |log p|).
PROMISE = 1e-12
#: Points below which a second thread costs more than it brings.
POINTS_PER_THREAD = 20_000


class LineLaw(Law):
    r"""Law of :math:`x = f(z) + \epsilon` for one latent, f piecewise affine, Gaussian noise; any n >= 1.

    The density is :math:`\sum_{k,j} w_j N(x; a_k\mu_j + c_k, \tau_j^2 a_k a_k^T + \Omega)
    [\Phi(\beta_{kj}) - \Phi(\alpha_{kj})]`, a sum over the affine pieces k of the decoder and the components
    j of the prior, with the ends of the piece standardised by the posterior of z given x. A component of
    variance zero contributes :math:`w_j N(x; f(\mu_j), \Omega)`.

    **Accuracy.** The error of `log_density` is at most 1e-12 max(1, \|log p\|); `log_density_bounds` proves
    an enclosure point by point.
    """

    route = "closed form"

    def __init__(self, model: Model) -> None:
        if model.latent_dim != 1 or not isinstance(model.noise, GaussianNoise):
            raise UnsupportedError(f"LineLaw: expected one latent and Gaussian noise, got latent_dim="
                                   f"{model.latent_dim} and noise={model.noise!r}; use ident_theory.law(model)")
        super().__init__(model, LawKind.DENSITY)

    @cached_property
    def pieces(self) -> LinePieces:
        """The affine pieces of the decoder."""
        return line_pieces(self.model.decoder)

    @cached_property
    def _terms(self) -> LineTerms:
        assert isinstance(self.model.noise, GaussianNoise)
        return line_terms(self.pieces, components_of(self.model.mixture), self.model.noise)

    def log_density(self, x: Any) -> FloatArray:
        """Log density at points: (N, n), or (N,) when n = 1, -> (N,). Every value is finite.

        Large inputs are spread over the available cores; memory beyond input and output does not grow with N.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity.
        """
        points = observations(x, self.observed_dim)
        out = np.empty(len(points))
        terms = self._terms

        def work(part: slice) -> None:
            line_log_density(points[part], terms.inv_s, terms.projections, terms.kinds, terms.starts, terms.terms,
                             terms.series, out[part])

        in_parts(work, len(points), POINTS_PER_THREAD)
        if points.size and max(-points.min(), points.max()) > terms.reach:
            far = np.flatnonzero(np.abs(points).max(axis=1) > terms.reach)
            lo, hi = line_bounds(self.model, self.pieces, points[far], PROMISE)
            out[far] = np.maximum(lo, LOWEST) / 2 + np.maximum(hi, LOWEST) / 2
        return out

    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density with the promised error 1e-12 max(1, |log p|)."""
        value = self.log_density(x)
        return LogDensity(value, PROMISE * np.maximum(1.0, np.abs(value)), ErrorKind.PROMISED)

    def log_density_bounds(self, x: Any, rtol: float = 1e-12) -> tuple[FloatArray, FloatArray]:
        """Rigorous enclosure of the log density that also contains the value of `log_density`.

        Balls are evaluated at rising precision until their width is below ``rtol * max(1, |log p|)``; the
        interval is then widened to the float64 result, so its width is a proven bound on that result's error.

        Parameters
        ----------
        x : array_like, shape (N, n), or (N,) when n = 1
        rtol : float, default 1e-12

        Returns
        -------
        lo, hi : ndarray, shape (N,)
            ``lo`` is -inf where the log density lies beyond the range of float64.
        """
        points = observations(x, self.observed_dim)
        lo, hi = line_bounds(self.model, self.pieces, points, rtol)
        value = self.log_density(points)
        return np.minimum(lo, value), np.maximum(hi, value)

    def cdf(self, x: Any) -> FloatArray:
        """P(X <= x) for n = 1, by Owen's T function; absolute error at most 1e-13 a piece.

        Parameters
        ----------
        x : array_like, shape (N,) or (N, 1)
        """
        if self.observed_dim != 1:
            raise UnsupportedError(f"cdf: defined for n = 1, this law has n = {self.observed_dim}")
        return line_cdf(self.model, self.pieces, observations(x, 1)[:, 0])
