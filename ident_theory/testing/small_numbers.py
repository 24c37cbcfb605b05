"""Numbers that the strategies are made of: small rationals first, then numbers of any size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

#: Sizes at which rounding and cancellation show.
_EXTREME = tuple(Fraction(10) ** e for e in (-12, -6, -3, 3, 6))


def rationals(size: int = 3) -> st.SearchStrategy[Fraction]:
    """Rationals of at most this size with denominators up to three, mostly whole; they shrink to zero."""
    return st.builds(Fraction, st.integers(-size, size), st.sampled_from((1, 1, 1, 2, 3)))


def positive_rationals(size: int = 3) -> st.SearchStrategy[Fraction]:
    """The same above zero; they shrink to one."""
    return st.builds(Fraction, st.integers(1, size), st.sampled_from((1, 1, 1, 2, 3)))


def extreme_rationals() -> st.SearchStrategy[Fraction]:
    """Rationals between a millionth of a millionth and millions, of either sign, and small ones."""
    return st.one_of(rationals(), st.builds(lambda size, sign: size * sign, st.sampled_from(_EXTREME),
                                            st.sampled_from((1, -1))))


def extreme_positive() -> st.SearchStrategy[Fraction]:
    """The same above zero."""
    return st.one_of(positive_rationals(), st.sampled_from(_EXTREME))


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    """Positive floats spread evenly in the exponent."""
    return st.floats(low, high).map(lambda e: float(10.0**e))


def moderate() -> st.SearchStrategy[float]:
    """Floats of size at most ten with twelve decimals."""
    return st.floats(-10, 10, allow_subnormal=False).map(lambda v: round(v, 12))


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
