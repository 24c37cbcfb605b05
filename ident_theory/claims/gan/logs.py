"""Exact sums of logarithms: signs without rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import isfinite

from flint import arb, ctx, fmpq
from sympy import factorint

from ident_theory.errors import BudgetExceeded

#: Stands for the number pi among the primes.
PI = 0
_MAX_BITS = 1 << 14


class LogSum:
    """A rational number plus rational multiples of the logarithms of primes and of pi.

    Logarithms of different primes and 1 are linearly independent over the rationals (unique factorisation, and
    Lindemann: e to a non-zero rational power is not algebraic), so that without pi zero is recognised exactly.
    """

    def __init__(self, constant: Fraction | int = 0, powers: Mapping[int, Fraction] | None = None) -> None:
        self.constant = Fraction(constant)
        self.powers = {base: power for base, power in (powers or {}).items() if power}

    def __add__(self, other: LogSum) -> LogSum:
        powers = dict(self.powers)
        for base, power in other.powers.items():
            powers[base] = powers.get(base, Fraction(0)) + power
        return LogSum(self.constant + other.constant, powers)

    def __neg__(self) -> LogSum:
        return self.times(Fraction(-1))

    def __sub__(self, other: LogSum) -> LogSum:
        return self + -other

    def times(self, factor: Fraction | int) -> LogSum:
        """A rational multiple."""
        return LogSum(factor * self.constant, {base: factor * power for base, power in self.powers.items()})

    def ball(self) -> arb:
        """An enclosure at the working precision of the caller."""
        value = arb(_fmpq(self.constant))
        for base, power in self.powers.items():
            value += arb(_fmpq(power)) * (arb.pi() if base == PI else arb(base)).log()
        return value

    def sign(self) -> int:
        """-1, 0 or 1."""
        if not self.powers:
            return (self.constant > 0) - (self.constant < 0)
        precision = 64
        while precision <= _MAX_BITS:
            with ctx.workprec(precision):
                value = self.ball()
                if value > 0 or value < 0:
                    return 1 if value > 0 else -1
            precision *= 2
        raise BudgetExceeded(f"sign of a sum of logarithms: not settled with {_MAX_BITS} bits")

    def __float__(self) -> float:
        with ctx.workprec(96):
            return float(self.ball().mid())

    def __repr__(self) -> str:
        return f"{float(self):.6g}"


def _fmpq(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)


@lru_cache(maxsize=1 << 14)
def _factors(number: int) -> tuple[tuple[int, int], ...]:
    return tuple(factorint(number).items())


def log(value: Fraction | int) -> LogSum:
    """The logarithm of a positive rational."""
    value = Fraction(value)
    powers = {base: Fraction(power) for base, power in _factors(value.numerator)}
    powers |= {base: Fraction(-power) for base, power in _factors(value.denominator)}
    return LogSum(0, powers)


def total(terms: Sequence[LogSum]) -> LogSum:
    """The sum."""
    result = LogSum()
    for term in terms:
        result = result + term
    return result


Law = tuple[Fraction, ...]


def divergence(p: Law, q: Law) -> LogSum:
    """KL(p, q) of finite measures; q must be positive where p is."""
    return total([log(a / b).times(a) for a, b in zip(p, q, strict=True) if a])


def jensen_shannon(p: Law, q: Law) -> LogSum:
    """The Jensen-Shannon divergence of two finite laws, from its definition."""
    middle = tuple((a + b) / 2 for a, b in zip(p, q, strict=True))
    return (divergence(p, middle) + divergence(q, middle)).times(Fraction(1, 2))


def adversarial_value(p: Law, q: Law, discriminator: Sequence[Fraction]) -> LogSum:
    """V = E_p log D + E_q log(1 - D); D must lie in (0, 1) wherever p or q has mass."""
    return total([log(d).times(a) for a, d in zip(p, discriminator, strict=True) if a]
                 + [log(1 - d).times(b) for b, d in zip(q, discriminator, strict=True) if b])


def log_normal(x: Fraction, mean: Fraction, variance: Fraction) -> LogSum:
    """The log density of a normal law at x."""
    half = Fraction(1, 2)
    scale = log(2 * variance).times(-half) + LogSum(0, {PI: -half})
    return scale + LogSum(-(x - mean) ** 2 / (2 * variance))


def normal_divergence(p: tuple[Fraction, Fraction], q: tuple[Fraction, Fraction]) -> LogSum:
    """KL of two normal laws, given by mean and variance."""
    (m, v), (a, b) = p, q
    return (log(b / v) + LogSum((v + (m - a) ** 2) / b - 1)).times(Fraction(1, 2))


def log_mixture_sign(terms: Sequence[tuple[Fraction, LogSum]], threshold: LogSum) -> int:
    """Sign of log(sum of weight * exp(log)) minus a threshold; the two must differ."""
    precision = 64
    while precision <= _MAX_BITS:
        with ctx.workprec(precision):
            edge = threshold.ball()
            value = sum((arb(_fmpq(weight)) * (term.ball() - edge).exp() for weight, term in terms), arb(0)) - 1
            if value > 0 or value < 0:
                return 1 if value > 0 else -1
        precision *= 2
    raise BudgetExceeded(f"sign of a log mixture: not settled with {_MAX_BITS} bits")


def log_mixture(terms: Sequence[tuple[Fraction, LogSum]]) -> float:
    """The value, for texts."""
    with ctx.workprec(96):
        value = float(sum((arb(_fmpq(weight)) * term.ball().exp() for weight, term in terms), arb(0)).log().mid())
    assert isfinite(value)
    return value
