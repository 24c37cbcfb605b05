"""Signal plus noise on the integers modulo m, where convolutions and characteristic functions are finite."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.gan.finite import laws, shown_law
from ident_theory.claims.gan.logs import Law
from ident_theory.claims.matrices import kernel_vector, product
from ident_theory.claims.universal import Universal


def circulant(noise: Law) -> tuple[Law, ...]:
    """Convolution with the noise on a cyclic group, as a matrix."""
    size = len(noise)
    return tuple(tuple(noise[(row - column) % size] for column in range(size)) for row in range(size))


def convolved(law: Law, noise: Law) -> Law:
    """The law of signal plus noise."""
    return tuple(row[0] for row in product(circulant(noise), [(p,) for p in law]))


def without_zeros(noise: Law) -> bool:
    """Whether the characteristic function vanishes nowhere.

    Its values are those of the noise polynomial at the roots of unity: no zero just if the polynomial and x^m - 1 have
    no common factor.
    """
    x = sp.Symbol("x")
    size = len(noise)
    law = sp.Poly([sp.Rational(p.numerator, p.denominator) for p in reversed(noise)], x)
    return bool(sp.gcd(law, sp.Poly(x**size - 1, x)).degree() == 0)


@dataclass(frozen=True)
class NoisyPair:
    """Two signal laws and a noise law on the integers modulo m."""

    first: Law
    second: Law
    noise: Law

    def same_noisy(self) -> bool:
        """Whether signal plus noise has one law."""
        return convolved(self.first, self.noise) == convolved(self.second, self.noise)

    def transform_without_zeros(self) -> bool:
        """Whether the characteristic function of the noise vanishes nowhere."""
        return without_zeros(self.noise)

    def shown(self) -> str:
        """As text."""
        return (f"modulo {len(self.noise)}: signal {shown_law(self.first)} or {shown_law(self.second)}, "
                f"noise {shown_law(self.noise)}")


@st.composite
def noisy_pairs(draw: st.DrawFn, zeros: bool) -> NoisyPair:
    """Where the noise removes a frequency, the second law differs from the first in it."""
    size = draw(st.integers(2, 6))
    noise = draw(laws(size, least=0))
    if zeros and draw(st.booleans()):
        step = draw(st.sampled_from([d for d in range(2, size + 1) if size % d == 0]))
        noise = tuple(Fraction(int(i % (size // step) == 0), step) for i in range(size))
    first = draw(laws(size))
    hidden = kernel_vector(circulant(noise))
    second = first if draw(st.booleans()) else draw(laws(size))
    if hidden is not None and draw(st.booleans()):
        largest = max(abs(h) for h in hidden)
        least = min(first)
        second = tuple(p + h * least / largest for p, h in zip(first, hidden, strict=True))
    return NoisyPair(first, second, noise)


def noise_removal_statement() -> Universal[NoisyPair]:
    """Noise without zeros in its transform can be removed."""
    return Universal(
        statement="equal laws of signal + noise: equal laws of the signals",
        cases=lambda dropped: noisy_pairs("no zeros" in dropped),
        hypotheses={"same noisy law": NoisyPair.same_noisy, "no zeros": NoisyPair.transform_without_zeros},
        conclusion=lambda case: case.first == case.second, needed=("same noisy law", "no zeros"), show=NoisyPair.shown)


@dataclass(frozen=True)
class NoiseCase:
    """Data signal + noise, the law of the generator's output, and whether noise is added to it."""

    pair: NoisyPair
    added: bool

    def same_law(self) -> bool:
        """Whether the discriminator is shown the data law."""
        output = convolved(self.pair.second, self.pair.noise) if self.added else self.pair.second
        return output == convolved(self.pair.first, self.pair.noise)

    def shown(self) -> str:
        """As text."""
        return (f"modulo {len(self.pair.noise)}: signal {shown_law(self.pair.first)}, noise "
                f"{shown_law(self.pair.noise)}, generator's output {shown_law(self.pair.second)}, "
                f"{'noise added' if self.added else 'shown as it is'}")


@st.composite
def noise_cases(draw: st.DrawFn, added: tuple[bool, ...], zeros: bool) -> NoiseCase:
    """Outputs with the law of the signal and with that of the data are common."""
    pair = draw(noisy_pairs(zeros))
    output = draw(st.sampled_from([pair.first, pair.second, convolved(pair.first, pair.noise)]))
    return NoiseCase(NoisyPair(pair.first, output, pair.noise), draw(st.sampled_from(added)))


def matched_signal_statement() -> Universal[NoiseCase]:
    """A generator that matches the data with the noise added has the law of the signal."""
    return Universal(
        statement="what the discriminator is shown has the data law: the generator has the law of f(z)",
        cases=lambda dropped: noise_cases((False, True) if "noise added" in dropped else (True,),
                                          "no zeros" in dropped),
        hypotheses={"same law": NoiseCase.same_law, "noise added": lambda case: case.added,
                    "no zeros": lambda case: case.pair.transform_without_zeros()},
        conclusion=lambda case: case.pair.first == case.pair.second, needed=("same law", "noise added", "no zeros"),
        show=NoiseCase.shown)
