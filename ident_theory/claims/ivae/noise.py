"""Removing noise from a law: the quantified form behind condition (i)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from flint import fmpq, fmpq_poly
from hypothesis import strategies as st

from ident_theory.claims.universal import Universal


@dataclass(frozen=True)
class Noisy:
    """Two laws of f(z) on the integers 0, ..., len - 1, and a noise law.

    Attributes
    ----------
    first, second, noise : tuple of Fraction
        Probabilities.
    period : int or None
        Sums are taken modulo this; None for the integers as part of the line.
    """

    first: tuple[Fraction, ...]
    second: tuple[Fraction, ...]
    noise: tuple[Fraction, ...]
    period: int | None

    def noisy(self, law: tuple[Fraction, ...]) -> list[Fraction]:
        """The law of the sum."""
        size = self.period or len(law) + len(self.noise)
        total = [Fraction(0)] * size
        for i, p in enumerate(law):
            for j, q in enumerate(self.noise):
                total[(i + j) % size] += p * q
        return total


def cf_is_nonzero(case: Noisy) -> bool:
    """Whether the characteristic function of the noise has a dense set without zeros.

    On the line that is so for every finitely supported law, whose characteristic function is a trigonometric
    polynomial; modulo m the frequencies are isolated, and there must be no common root with x^m - 1.
    """
    poly = fmpq_poly([fmpq(p.numerator, p.denominator) for p in case.noise])
    if case.period is None:
        return bool(poly != 0)
    cycle = fmpq_poly([-1, *[0] * (case.period - 1), 1])
    return bool(poly.gcd(cycle).degree() == 0)


def laws_return(case: Noisy) -> bool:
    """Equal noisy laws only for equal laws."""
    return case.first == case.second or case.noisy(case.first) != case.noisy(case.second)


def _law(weights: list[int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(w, sum(weights)) for w in weights)


@st.composite
def _cases(draw: st.DrawFn, dropped: frozenset[str]) -> Noisy:
    period = draw(st.sampled_from([2, 3, 4, 6, None]))
    size = period or draw(st.integers(2, 4))

    def weights() -> list[int]:
        return draw(st.lists(st.integers(0, 3), min_size=size, max_size=size).filter(any))

    first = weights()
    second = draw(st.one_of(st.permutations(first), st.just(weights())))
    noise = draw(st.sampled_from([[1] * size, [1] + [0] * (size - 1), [1, 1] + [0] * (size - 2), weights()]))
    return Noisy(_law(first), _law(list(second)), _law(noise), period)


def noise_removal() -> Universal[Noisy]:
    """Two laws with the same noise added differ if they differed before, on lattices and on finite cycles."""
    return Universal(
        "laws on the integers, or modulo m, that agree after independent noise was added agreed before",
        _cases, laws_return, {"nonzero characteristic function": cf_is_nonzero}, ("nonzero characteristic function",))
