"""Changes of the latent under which conditional exponential families, or their statistics alone, agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.models import AffineChange, ConditionalPrior
from ident_theory.models.families import Family
from ident_theory.models.value import ExactArray, freeze

if TYPE_CHECKING:
    from ident_theory.exact.findings import Finding
    from ident_theory.models.model import Model, Prior

#: A and c with T_a(z) = A T_b(phi(z)) + c, stacked latent by latent.
Statistics = tuple[ExactArray, ExactArray]
#: Differences above this, computed with 40 digits, are not zero.
VISIBLE = 1e-20


@dataclass(frozen=True)
class Bend:
    """A piecewise affine map of the line, phi(z) = slopes[k] z + intercepts[k] between breaks[k - 1] and breaks[k]."""

    breaks: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    intercepts: tuple[Fraction, ...]

    def piece(self, z: Fraction) -> tuple[Fraction, Fraction]:
        """Slope and intercept at a point that is no break."""
        k = sum(t < z for t in self.breaks)
        return self.slopes[k], self.intercepts[k]


def family_carries(change: AffineChange, first: Prior, second: Prior) -> bool | None:
    """Whether h carries one conditional prior to another for every u; None when undecided."""
    if not isinstance(first, ConditionalPrior) or not isinstance(second, ConditionalPrior):
        return None
    if first.family == second.family and change.is_permutation:
        same = all(np.array_equal(first.natural_exact[:, i], second.natural_exact[:, k])
                   for i, k in _places(change).items())
        if same or first.family.name != "custom":  # statistics of the families known by name are minimal
            return same
    if not change.is_monomial:
        return None
    verdicts = [_carries_latent(first, i, second, k, _bend(change, i, k)) for i, k in _places(change).items()]
    return False if False in verdicts else None if None in verdicts else True


def statistics_of_change(change: AffineChange, first: Prior, second: Prior) -> Statistics | None:
    """A and c with T_a(z) = A T_b(h(z)) + c, proved symbolically; None when there are none in rationals or none found.

    Looked for where h keeps the latents apart, and for the statistics z.
    """
    if not isinstance(first, ConditionalPrior) or not isinstance(second, ConditionalPrior) or first.k != second.k:
        return None
    m, k = first.latent_dim, first.k
    if first.family.statistics == second.family.statistics == ("z",):
        back = change.inverse()
        return back.matrix_exact, back.shift_exact
    if not change.is_monomial:
        return None
    matrix, shift = np.full((m * k, m * k), Fraction(0), dtype=object), np.full(m * k, Fraction(0), dtype=object)
    for i, place in _places(change).items():
        block = statistics_along(first.family, second.family, _bend(change, i, place))
        if block is None:
            return None
        matrix[i * k:(i + 1) * k, place * k:(place + 1) * k], shift[i * k:(i + 1) * k] = block
    return freeze(matrix), freeze(shift)


def statistics_along(first: Family, second: Family, phi: Bend) -> Statistics | None:
    """A and c with T_a(z) = A T_b(phi(z)) + c on the support of the first family, for one latent; A is invertible."""
    k = first.k
    both = _Overlap.of(first, first.statistics, second, second.statistics, phi) if second.k == k else None
    if both is None:
        return None
    identity = np.array([[Fraction(int(i == j)) for j in range(k)] for i in range(k)], dtype=object)
    for candidate in ((identity, identity[0] * 0), _proposed(both, k)):
        if candidate is None or not _is_regular(candidate[0]):
            continue
        if all(_is_zero(own - sum((_number(v) * t for v, t in zip(row, both.moved(region), strict=True)), _number(c)),
                        region)
               for region in both.regions for own, row, c in zip(both.own(region), *candidate, strict=True)):
            return freeze(candidate[0]), freeze(candidate[1])
    return None


def statistics_of_law(first: Model, second: Model, law: Finding) -> Statistics | None:
    """A and c with T_a(z) = A T_b(phi(z)) + c for the piecewise affine phi of a proof that the laws are equal."""
    if not isinstance(first.prior, ConditionalPrior) or not isinstance(second.prior, ConditionalPrior) \
            or law.certificate is None or law.certificate.kind != "law.change":
        return None
    data = law.certificate.data
    phi = Bend(*(tuple(Fraction(v) for v in data[key]) for key in ("breaks", "slopes", "intercepts")))
    return statistics_along(first.prior.family, second.prior.family, phi)


def _is_regular(matrix: ExactArray) -> bool:
    return bool(fmpq_mat([[rational(v) for v in row] for row in matrix]).det() != 0)


def _places(change: AffineChange) -> dict[int, int]:
    """Where a monomial h puts each latent."""
    return {int(np.flatnonzero(row)[0]): k for k, row in enumerate(change.matrix_exact)}


def _bend(change: AffineChange, i: int, k: int) -> Bend:
    return Bend((), (change.matrix_exact[k, i],), (change.shift_exact[k],))


def _carries_latent(first: ConditionalPrior, i: int, second: ConditionalPrior, k: int, phi: Bend) -> bool | None:
    """Whether an affine map of one latent carries its laws given u: log p_a(z|u) - log p_b(phi(z)|u) is constant."""
    import sympy

    from ident_theory.conditions.statistics_search import SYMBOL

    if not _maps_onto(first.family, second.family, phi):
        return False
    texts = [(*prior.family.statistics, prior.family.base) for prior in (first, second)]
    both = _Overlap.of(first.family, texts[0], second.family, texts[1], phi)
    if both is None:
        return None
    verdicts: list[bool | None] = []
    for own, other in zip(first.natural_exact[:, i], second.natural_exact[:, k], strict=True):
        gaps = [_log_density(both.own(region), own) - _log_density(both.moved(region), other)
                for region in both.regions]
        verdicts += [_is_zero(sympy.diff(gap, SYMBOL), region)
                     for gap, region in zip(gaps, both.regions, strict=True)]
        values = [gap.subs(SYMBOL, _number(region.points(1)[0]))
                  for gap, region in zip(gaps, both.regions, strict=True)]
        verdicts += [_is_zero(value - values[0], both.regions[0]) for value in values[1:]]
    return False if False in verdicts else None if None in verdicts else True


def _log_density(functions: Sequence[Any], natural: Sequence[Fraction]) -> Any:
    import sympy

    *statistics, base = functions
    return sympy.log(base) + sum(_number(v) * t for v, t in zip(natural, statistics, strict=True))


def _maps_onto(first: Family, second: Family, phi: Bend) -> bool:
    """Whether an affine phi takes one support to the other."""
    (s,), (t,) = phi.slopes, phi.intercepts
    images = []
    for end in first.support:
        if end in ("oo", "-oo"):
            images.append(end if s > 0 else "-oo" if end == "oo" else "oo")
        else:
            images.append(str(s * Fraction(end) + t))
    return tuple(images[::1 if s > 0 else -1]) == second.support


@dataclass(frozen=True)
class _Region:
    """An open interval; None is an infinite end."""

    low: Fraction | None
    high: Fraction | None

    def holds(self, z: Fraction) -> bool:
        """Whether a point lies inside."""
        return (self.low is None or self.low < z) and (self.high is None or z < self.high)

    def points(self, count: int) -> list[Fraction]:
        """Points inside."""
        steps = [Fraction(3 * j + 2, 3 * count + 4) for j in range(count)]
        if self.low is not None and self.high is not None:
            return [self.low + (self.high - self.low) * step for step in steps]
        if self.low is not None:
            return [self.low + 3 * step for step in steps]
        return [(Fraction(1) if self.high is None else self.high) - 3 * step for step in steps]


@dataclass(frozen=True)
class _Overlap:
    """Functions of z, others of phi(z), and the intervals on which phi is affine and none of them has a kink."""

    first: Any
    second: Any
    phi: Bend
    regions: tuple[_Region, ...]

    @staticmethod
    def of(first: Family, texts: Sequence[str], second: Family, others: Sequence[str], phi: Bend) -> _Overlap | None:
        """None when the kinks cannot be told, or are irrational."""
        from ident_theory.conditions.statistics_search import cut

        own, theirs = cut(texts, first.support), cut(others, second.support)
        stops, images = _kinks(own), _kinks(theirs)
        if stops is None or images is None:
            return None
        ends = [None, *phi.breaks, None]
        for (low, high), s, t in zip(pairwise(ends), phi.slopes, phi.intercepts, strict=True):
            stops |= {z for z in ((v - t) / s for v in images) if _Region(low, high).holds(z)}
        low, high = (None if end in ("oo", "-oo") else Fraction(end) for end in first.support)
        inner = sorted(z for z in stops.union(phi.breaks) if _Region(low, high).holds(z))
        return _Overlap(own.items[0], theirs.items[0], phi,
                        tuple(_Region(*ends) for ends in pairwise([low, *inner, high])))

    def own(self, region: _Region) -> list[Any]:
        """The functions of z on a region, in sympy and without kinks."""
        near: list[Any] = self.first.near(region.points(1)[0])
        return near

    def moved(self, region: _Region) -> list[Any]:
        """The functions of phi(z) on a region."""
        from ident_theory.conditions.statistics_search import SYMBOL

        (z,) = region.points(1)
        s, t = self.phi.piece(z)
        return [item.subs(SYMBOL, _number(s) * SYMBOL + _number(t)) for item in self.second.near(s * z + t)]


def _kinks(pieces: Any) -> set[Fraction] | None:
    """The breaks of a support as rationals; None when one is irrational, or when there may be more."""
    import sympy

    if not all(item.is_settled for item in pieces.items):
        return None
    poly = sympy.Poly([_number(v) for v in reversed(pieces.breaks)], sympy.Symbol("z"), domain="QQ")
    roots = sympy.real_roots(poly) if poly.degree() > 0 else []
    return {Fraction(int(r.p), int(r.q)) for r in roots} if all(r.is_Rational for r in roots) else None


def _proposed(both: _Overlap, k: int) -> Statistics | None:
    """A and c from points of all regions, where they are seen to be rational."""
    import mpmath

    from ident_theory.conditions.statistics_search import DIGITS, SMALL, SYMBOL

    left, right = [], []
    with mpmath.workdps(DIGITS):
        for region in both.regions:
            own, moved = both.own(region), both.moved(region)
            for z in region.points(2 * k + 2):
                values = [mpmath.re(mpmath.mpmathify(item.subs(SYMBOL, _number(z)).evalf(DIGITS)))
                          for item in (*moved, *own)]
                left.append([*values[:k], mpmath.mpf(1)])
                right.append(values[k:])
        table = np.full((k, k + 1), Fraction(0), dtype=object)
        for j in range(k):
            try:
                solved = mpmath.lu_solve(mpmath.matrix(left), mpmath.matrix([row[j] for row in right]))
            except ZeroDivisionError:  # the statistics depend on each other
                return None
            for l in range(k + 1):
                near = Fraction(str(mpmath.nstr(solved[l], DIGITS))).limit_denominator(10**9)
                if abs(solved[l] - mpmath.mpf(near.numerator) / near.denominator) > SMALL * max(1, abs(solved[l])):
                    return None
                table[j, l] = near
    return table[:, :k].copy(), table[:, k].copy()


def _is_zero(expression: Any, region: _Region) -> bool | None:
    """Whether a function without kinks vanishes on a region: proved, refuted by its size at a point, or open."""
    import sympy

    from ident_theory.conditions.statistics_search import SYMBOL

    if sympy.expand(expression) == 0:
        return True
    for z in region.points(2):
        if abs(expression.subs(SYMBOL, _number(z)).evalf(40)) > VISIBLE:
            return False
    return True if sympy.simplify(sympy.expand_log(expression, force=True)) == 0 else None


def _number(value: Fraction) -> Any:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)
