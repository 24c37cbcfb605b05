"""Ball arithmetic helpers: enclosures of normal probabilities, and rounding balls to floats.

python-flint keeps its working precision in a global context; everything here runs inside
``ctx.workprec`` blocks of the caller and leaves it as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from flint import arb, ctx, fmpq

from ident_theory.errors import BudgetExceeded

#: Bits tried by `settle` before it gives up.
MAX_BITS = 1 << 16
_HUGE = float(np.finfo(np.float64).max)


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


def upper_tail(x: arb) -> arb:
    """Q(x) = P(N(0, 1) > x), with relative accuracy in the far tail."""
    return (x / arb(2).sqrt()).erfc() / 2


def normal_mass(left: arb | None, right: arb | None) -> arb:
    """P(left < N(0, 1) < right); None stands for an infinite end.

    The difference is taken on the side where the tails are small, so the working precision is lost only to
    ends that lie close together.
    """
    if left is None:
        return arb(1) if right is None else upper_tail(-right)
    if right is None:
        return upper_tail(left)
    if left > 0:
        return upper_tail(left) - upper_tail(right)
    if right < 0:
        return upper_tail(-right) - upper_tail(-left)
    return 1 - upper_tail(-left) - upper_tail(right)


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
