"""Rigorous enclosures of the log density for one latent and Gaussian noise.

Independent of the float kernel: for a rational observation the posterior mean and variance, every exponent
and every determinant are rational numbers, and balls enter only with roots, exponentials and normal tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat

from ident_theory.errors import BudgetExceeded
from ident_theory.exact.balls import MAX_BITS, from_float, outward, scaled_mass
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import LinePieces
from ident_theory.laws.base import check_width
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray


@dataclass(frozen=True)
class _Term:
    """One piece and component: everything that does not depend on x."""

    component: Component
    slope: tuple[fmpq, ...]
    mean: tuple[fmpq, ...]
    pull: tuple[fmpq, ...]  # Omega^-1 a
    posterior_variance: fmpq
    square_scale: fmpq  # det(Omega + tau^2 a a^T)
    left: fmpq | None
    right: fmpq | None


class LineBalls:
    """Ball evaluation of the density of a model with one latent and Gaussian noise.

    Parameters
    ----------
    model : Model
    pieces : LinePieces
    """

    def __init__(self, model: Model, pieces: LinePieces) -> None:
        assert isinstance(model.noise, GaussianNoise)
        self.n = pieces.observed_dim
        covariance = fmpq_mat([[rational(v) for v in row] for row in model.noise.covariance_exact(self.n)])
        self._precision = covariance.inv()
        determinant = covariance.det()
        self._terms = [term for k in range(pieces.n_pieces) for component in components_of(model.mixture)
                       if (term := self._term(pieces, k, component, determinant)) is not None]

    def _term(self, pieces: LinePieces, k: int, component: Component, determinant: fmpq) -> _Term | None:
        left, right = pieces.ends(k)
        if component.variance == 0:
            if not pieces.contains(k, component.mean):
                return None
            left = right = None
        slope = pieces.slopes[k]
        pull = self._apply(slope)
        information = sum((a * p for a, p in zip(slope, pull, strict=True)), fmpq(0))
        inflation = 1 + component.variance * information
        return _Term(component, slope, pieces.value(k, component.mean), pull, component.variance / inflation,
                     determinant * inflation, left, right)

    def _apply(self, vector: Sequence[fmpq]) -> tuple[fmpq, ...]:
        size = self.n
        return tuple(sum((self._precision[i, j] * vector[j] for j in range(size)), fmpq(0)) for i in range(size))

    def scaled_density(self, x: Sequence[fmpq]) -> tuple[fmpq, arb]:
        """Enclosure of the density at a rational point as exp(exponent) * mantissa, the exponent exact."""
        exponents: list[fmpq] = []
        mantissas: list[arb] = []
        for term in self._terms:
            e = [xi - mi for xi, mi in zip(x, term.mean, strict=True)]
            pulled = sum((p * ei for p, ei in zip(term.pull, e, strict=True)), fmpq(0))
            square = sum((a * b for a, b in zip(e, self._apply(e), strict=True)), fmpq(0))
            square -= term.posterior_variance * pulled * pulled
            mantissa = arb(term.component.weight) / arb(term.square_scale).sqrt()
            exponent = -square / 2
            if term.left is not None or term.right is not None:
                center = term.component.mean + term.posterior_variance * pulled
                decay, mass = scaled_mass(None if term.left is None else term.left - center,
                                          None if term.right is None else term.right - center,
                                          term.posterior_variance)
                exponent += decay
                mantissa *= mass
            exponents.append(exponent)
            mantissas.append(mantissa)
        top = max(exponents)
        total = sum((m * arb(e - top).exp() for e, m in zip(exponents, mantissas, strict=True)), arb(0))
        return top, total / (2 * arb.pi()) ** (arb(self.n) / 2)

    def log_density(self, x: Sequence[fmpq], rtol: float) -> arb:
        """Enclosure of the log density of width at most ``rtol * max(1, |log p|)``.

        Raises
        ------
        BudgetExceeded
            When the largest precision does not reach the width.
        """
        bits = 128
        while bits <= MAX_BITS:
            with ctx.workprec(bits):
                exponent, mantissa = self.scaled_density(x)
                if mantissa > 0:
                    value = arb(exponent) + mantissa.log()
                    if 2 * value.rad() <= rtol * (value.abs_lower() if abs(value) > 1 else arb(1)):
                        return value
            bits *= 2
        raise BudgetExceeded(f"log_density_bounds: width {rtol:g} not reached with {MAX_BITS} bits at "
                             f"x={[float(v) for v in x]}; ask for a larger rtol")


def line_bounds(model: Model, pieces: LinePieces, points: FloatArray, rtol: float) -> tuple[FloatArray, FloatArray]:
    """Float64 intervals that contain the log density at each row of `points`."""
    check_width(rtol)
    balls = LineBalls(model, pieces)
    lo, hi = np.empty(len(points)), np.empty(len(points))
    for i, row in enumerate(points):
        exact = [from_float(v) for v in row]
        lo[i], hi[i] = outward(balls.log_density(exact, rtol))
    return lo, hi
