"""Sums of logarithms of rationals, compared exactly, and finite models whose bounds are such sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, fmpz
from hypothesis import strategies as st

from ident_theory.exact.rationals import rational

Row = tuple[Fraction, ...]
Table = tuple[Row, ...]
#: Prime -> coefficient of its logarithm.
LogSum = dict[int, Fraction]


def log_sum(terms: Iterable[tuple[Fraction, Fraction]]) -> LogSum:
    """Sum of coefficient times log of a positive rational, by primes; terms with coefficient 0 are left out."""
    found: LogSum = {}
    for coefficient, value in terms:
        if not coefficient:
            continue
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            for prime, exponent in fmpz(part).factor():
                found[int(prime)] = found.get(int(prime), Fraction(0)) + sign * int(exponent) * coefficient
    return {prime: value for prime, value in found.items() if value}


def minus(a: LogSum, b: LogSum) -> LogSum:
    """The difference, which is empty exactly if the sums are equal: logarithms of primes are independent."""
    found = dict(a)
    for prime, value in b.items():
        found[prime] = found.get(prime, Fraction(0)) - value
    return {prime: value for prime, value in found.items() if value}


def ball(a: LogSum) -> arb:
    """The value, enclosed."""
    return sum((arb(rational(value)) * arb(prime).log() for prime, value in a.items()), arb(0))


def sign(a: LogSum) -> int | None:
    """Sign of the value, certified; None if the ball is too wide."""
    if not a:
        return 0
    value = ball(a)
    return 1 if value > 0 else -1 if value < 0 else None


def show(a: LogSum) -> str:
    """Six digits."""
    return f"{float(ball(a).mid()):.6g}"


@dataclass(frozen=True)
class FiniteBound:
    """One observation x of a model u -> z -> x with finitely many values of z and u.

    Attributes
    ----------
    joint : Table
        p(u, z), one row a value of u; positive.
    likelihood : Row
        p(x | z) at the x that was observed; positive.
    q_z, q_u : Row
        Approximate posteriors of z and of u; entries may be 0.
    """

    joint: Table
    likelihood: Row
    q_z: Row
    q_u: Row

    @property
    def prior_z(self) -> Row:
        """p(z)."""
        return tuple(sum(column, Fraction(0)) for column in zip(*self.joint, strict=True))

    @property
    def prior_u(self) -> Row:
        """p(u)."""
        return tuple(sum(row, Fraction(0)) for row in self.joint)

    def evidence(self) -> LogSum:
        """log p(x)."""
        return log_sum([(Fraction(1), sum((p * l for p, l in zip(self.prior_z, self.likelihood, strict=True)),
                                          Fraction(0)))])

    def evidence_given(self, u: int) -> LogSum:
        """log p(x | u)."""
        total = sum((p * l for p, l in zip(self.joint[u], self.likelihood, strict=True)), Fraction(0))
        return log_sum([(Fraction(1), total / self.prior_u[u])])

    def joint_bound(self) -> LogSum:
        """E of log p(x, z, u) / (q(z) q(u)), term by term: the ELBO with z and u latent."""
        return log_sum((qz * qu, self.likelihood[z] * self.joint[u][z] / (qz * qu))
                       for u, qu in enumerate(self.q_u) for z, qz in enumerate(self.q_z) if qu * qz)

    def reconstruction(self) -> LogSum:
        """E log p(x | z)."""
        return log_sum(zip(self.q_z, self.likelihood, strict=True))

    def divergence_z(self, prior: Row) -> LogSum:
        """KL(q(z), prior)."""
        return log_sum((q, q / p) for q, p in zip(self.q_z, prior, strict=True) if q)

    def divergence_u(self) -> LogSum:
        """E KL(q(u), p(u | z))."""
        prior = self.prior_z
        return log_sum((qz * qu, qu * prior[z] / self.joint[u][z])
                       for u, qu in enumerate(self.q_u) for z, qz in enumerate(self.q_z) if qu * qz)


def normalised(weights: Iterable[int]) -> Row:
    """Weights divided by their sum."""
    entries = list(weights)
    return tuple(Fraction(w, sum(entries)) for w in entries)


@st.composite
def finite_bounds(draw: st.DrawFn) -> FiniteBound:
    """Small models: equal entries, entries that differ by a thousand, posteriors with zeros or on one value."""
    count, points = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    positive = st.sampled_from((1, 2, 3, 1000))
    weights = normalised(draw(st.lists(positive, min_size=count * points, max_size=count * points)))
    joint = tuple(weights[u * points:(u + 1) * points] for u in range(count))
    likelihood = tuple(Fraction(1, draw(st.sampled_from((1, 2, 3, 1000)))) for _ in range(points))

    def posterior(size: int) -> Row:
        entries = draw(st.lists(st.sampled_from((1, 0, 2, 1000)), min_size=size, max_size=size))
        return normalised(entries if any(entries) else [1] + [0] * (size - 1))

    return FiniteBound(joint, likelihood, posterior(points), posterior(count))
