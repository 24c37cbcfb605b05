"""Ball arithmetic helpers: enclosures of normal probabilities, and rounding balls to floats.

python-flint keeps its working precision in a global context; everything here runs inside
``ctx.workprec`` blocks of the caller and leaves it as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from flint import arb, ctx, fmpq

from ident_theory.errors import BudgetExceeded

#: Bits tried by `settle` before it gives up.
MAX_BITS = 1 << 16
_HUGE = float(np.finfo(np.float64).max)


def from_float(value: float) -> fmpq:
    """The dyadic rational that a float64 holds."""
    return fmpq(*float(value).as_integer_ratio())


def settle(function: Callable[[], arb], bits: int, start: int = 128) -> arb:
    """Evaluate a ball at rising precision until its relative error is below ``2**-bits``.

    Raises
    ------
    BudgetExceeded
        When `MAX_BITS` bits do not suffice (a value that is exactly zero, as a rule).
    """
    precision = max(start, 2 * bits)
    while precision <= MAX_BITS:
        with ctx.workprec(precision):
            value = function()
            if value.is_finite() and value.rel_accuracy_bits() >= bits:
                return value
        precision *= 2
    raise BudgetExceeded(f"ball arithmetic: {bits} correct bits not reached with {MAX_BITS} bits of precision")


def scaled_tail(x: arb) -> arb:
    """exp(x^2/2) Q(x) for x >= 0, Q(x) = P(N(0, 1) > x): of moderate size however large x is."""
    if x < 8:
        return (x * x / 2).exp() * (x / arb(2).sqrt()).erfc() / 2
    half, argument = arb(1) / 2, x * x / 2
    return argument.hypgeom_u(half, half) / (2 * arb.pi().sqrt())


def scaled_mass(left: fmpq | None, right: fmpq | None, variance: fmpq) -> tuple[fmpq, arb]:
    """P(left < N(0, variance) < right) as exp(exponent) * mantissa; None stands for an infinite end.

    The exponent is the exact rational minus half the squared distance of the interval from zero, so the
    mantissa neither underflows nor loses more than the cancellation of ends that lie close together.
    """
    spread = arb(variance).sqrt()
    if left is None and right is None:
        return fmpq(0), arb(1)
    if (left is None or left <= 0) and (right is None or right >= 0):
        outside = arb(0)
        for end in (left, right):
            if end is not None:
                outside += (abs(arb(end)) / spread / arb(2).sqrt()).erfc() / 2
        return fmpq(0), 1 - outside
    near, far = (left, right) if left is not None and left > 0 else (right, left)
    assert near is not None
    mantissa = scaled_tail(abs(arb(near)) / spread)
    if far is not None:
        decay = arb((near * near - far * far) / variance / 2).exp()
        mantissa -= decay * scaled_tail(abs(arb(far)) / spread)
    return -near * near / variance / 2, mantissa


def log_mass(left: fmpq | None, right: fmpq | None, variance: fmpq) -> arb:
    """log P(left < N(0, variance) < right) with 64 correct bits of the mass, at any distance from zero."""
    exponent = scaled_mass(left, right, variance)[0]
    mantissa = settle(lambda: scaled_mass(left, right, variance)[1], 64)
    return arb(exponent) + mantissa.log()


def log_sum(logs: Sequence[arb]) -> arb:
    """log of the sum of the exponentials, without leaving the log scale."""
    top = max(logs, key=lambda value: float(value.mid()))
    return top + sum(((value - top).exp() for value in logs), arb(0)).log()


def clipped(value: float) -> float:
    """A float cut to the finite range; NaN is an internal error."""
    if math.isnan(value):
        raise ArithmeticError("ball without a midpoint reached the rounding to float64")
    return min(max(value, -_HUGE), _HUGE)


def to_float(ball: arb | fmpq) -> float:
    """The float64 nearest to the midpoint of a ball, cut to the finite range."""
    return clipped(float(arb(ball).mid()))


def to_pair(ball: arb | fmpq) -> tuple[float, float]:
    """An unevaluated sum of two floats within 2**-104 or so of the midpoint of a ball, relatively."""
    value = arb(ball)
    high = to_float(value)
    return high, to_float(value - arb(high))


def outward(ball: arb) -> tuple[float, float]:
    """A float64 interval that contains a ball; ends past the finite range become infinite."""
    low, high = ball.lower(), ball.upper()
    lo, hi = float(low), float(high)
    if not arb(lo) <= low:
        lo = math.nextafter(lo, -math.inf)
    if not arb(hi) >= high:
        hi = math.nextafter(hi, math.inf)
    return lo, hi
