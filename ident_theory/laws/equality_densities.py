"""Densities of x under Gaussian noise as balls at rational points, for one and two latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from flint import arb, ctx, fmpq

from ident_theory.geometry.line import REMEMBERED, line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.laws.line_bounds import LineBalls
from ident_theory.laws.plane import line_model
from ident_theory.laws.plane_bounds import PlaneBalls
from ident_theory.laws.plane_terms import components_of, plane_terms, posteriors
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise

#: Relative accuracy in bits that is tried, in turn.
BITS = (60, 120, 240, 480)


@lru_cache(REMEMBERED)
def density(model: Model) -> Callable[[Sequence[fmpq], int], arb]:
    """The density of x at a rational point as a ball with about so many correct bits: (x, bits) -> ball.

    The model has one or two latents and Gaussian noise. The ball is good at the working precision of the caller,
    which has to be larger than the bits asked for.
    """
    assert isinstance(model.noise, GaussianNoise)
    if model.latent_dim == 1:
        line = LineBalls(model, line_pieces(model.decoder))
        return lambda x, bits: _scaled(line, x)
    components = components_of(model.mixture)
    singular = [(c.weight, _line_balls(line_model(model, c))) for c in components if c.rank < 2]
    regular = [c for c in components if c.rank == 2]
    n = model.observed_dim
    plane: PlaneBalls | None = None
    if regular:
        pairs = posteriors(plane_cells(model.decoder), regular, model.noise, n)
        plane = PlaneBalls(pairs, plane_terms(pairs, n), n)

    def value(x: Sequence[fmpq], bits: int) -> arb:
        total = sum((arb(weight) * _scaled(balls, x) for weight, balls in singular), arb(0))
        if plane is not None:
            exponent, mantissa = plane.density(x, bits, float("-inf"))
            total += arb(exponent).exp() * mantissa
        return total

    return value


def _line_balls(model: Model) -> LineBalls:
    return LineBalls(model, line_pieces(model.decoder))


def _scaled(balls: LineBalls, x: Sequence[fmpq]) -> arb:
    exponent, mantissa = balls.scaled_density(x)
    return arb(exponent).exp() * mantissa


def density_gap(first: Model, second: Model, x: Sequence[fmpq], most: int = BITS[-1]) -> tuple[arb, arb, arb] | None:
    """The densities of two models at a point and their distance, 8 bits of it at least; None when they look equal."""
    for bits in (b for b in BITS if b <= most):
        with ctx.workprec(2 * bits + 64):
            a, b = density(first)(x, bits), density(second)(x, bits)
            gap = abs(a - b)
            if gap.is_finite() and gap > 0 and gap.rel_accuracy_bits() >= 8:
                return a, b, gap
    return None
