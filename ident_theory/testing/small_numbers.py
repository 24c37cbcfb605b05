"""Numbers that the strategies are made of: small rationals first, then numbers of any size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import strategies as st

#: Sizes at which rounding and cancellation show.
_EXTREME = tuple(Fraction(10) ** e for e in (-12, -6, -3, 3, 6))


# One list of values each, and one strategy each for good: building strategies anew costs more than drawing from them.


def _quotients(numerators: Sequence[int]) -> tuple[Fraction, ...]:
    """Over denominators up to three, mostly whole; smallest first, for that is where examples shrink to."""
    values = [Fraction(p, q) for p in numerators for q in (1, 1, 1, 2, 3)]
    return tuple(sorted(values, key=lambda v: (v != 0, v.denominator, abs(v), v < 0)))


@cache
def rationals(size: int = 3) -> st.SearchStrategy[Fraction]:
    """Rationals of at most this size with denominators up to three, mostly whole; they shrink to zero."""
    return st.sampled_from(_quotients(range(-size, size + 1)))


@cache
def whole_numbers(size: int) -> st.SearchStrategy[Fraction]:
    """Whole numbers of at most this size, which shrink to zero."""
    return st.sampled_from(tuple(Fraction(v) for v in sorted(range(-size, size + 1), key=lambda v: (abs(v), v < 0))))


@cache
def positive_rationals(size: int = 3) -> st.SearchStrategy[Fraction]:
    """Rationals as those above zero; they shrink to one."""
    return st.sampled_from(_quotients(range(1, size + 1)))


@cache
def extreme_rationals() -> st.SearchStrategy[Fraction]:
    """Rationals between a millionth of a millionth and millions, of either sign, and small ones."""
    return st.one_of(rationals(), st.sampled_from(tuple(sign * size for size in _EXTREME for sign in (1, -1))))


@cache
def extreme_positive() -> st.SearchStrategy[Fraction]:
    """The same above zero."""
    return st.one_of(positive_rationals(), st.sampled_from(_EXTREME))


@cache
def powers(low: float, high: float) -> st.SearchStrategy[float]:
    """Positive floats spread evenly in the exponent."""
    return st.floats(low, high).map(lambda e: float(10.0**e))


@cache
def moderate() -> st.SearchStrategy[float]:
    """Floats of size at most ten with twelve decimals."""
    return st.floats(-10, 10, allow_subnormal=False).map(lambda v: round(v, 12))


@cache
@st.composite
def signed(draw: st.DrawFn, low: float = -8, high: float = 8) -> float:
    """Zero, a moderate number, or one of any size between 10**low and 10**high."""
    kind = draw(st.sampled_from(["zero", "moderate", "any size"]))
    if kind == "zero":
        return 0.0
    if kind == "moderate":
        return draw(moderate())
    return draw(powers(low, high)) * draw(st.sampled_from([-1.0, 1.0]))


def table(draw: st.DrawFn, number: st.SearchStrategy[Any], rows: int, columns: int) -> list[list[Any]]:
    """Rows of numbers, drawn one by one."""
    return [[draw(number) for _ in range(columns)] for _ in range(rows)]


def normalised(weights: Sequence[int | Fraction]) -> list[Fraction]:
    """Weights over their sum; the first stands for all when they are all zero."""
    total = sum(weights, Fraction(0))
    return [Fraction(w) / total for w in weights] if total else [Fraction(int(j == 0)) for j in range(len(weights))]
