"""Appendix on identifiability, Lemmas 2 and 3: derivatives of strongly exponential statistics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.piecewise import Statistics, linear_pieces, statistics
from ident_theory.claims.matrices import Matrix, degenerate_matrices, kernel_vector, rank, shown_matrix, transpose
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)

ZERO, ONE = Fraction(0), Fraction(1)


def _flat_somewhere() -> Universal[Statistics]:
    return Universal(
        statement="not strongly exponential: on some cell theta . T' = 0 for a theta other than 0",
        cases=lambda dropped: statistics(), hypotheses={"not strongly exponential": lambda t: not t.strong()},
        conclusion=lambda t: any(rank([t.derivative(c, at) for c, at in t.points() if c == cell]) < t.k
                                 for cell in range(len(t.coefficients))),
        needed=("not strongly exponential",), show=Statistics.shown)


@chapter.claim(
    "gan.lem2.step", place="Appendix on identifiability, proof of Lemma 2", kind=Kind.CLAIM,
    statement="Where a family is not strongly exponential, the derivative of the exponent is zero everywhere for some "
              "theta other than 0.",
    hypotheses=("T is differentiable almost everywhere",),
    correction=Correction("for some theta other than 0 it is zero almost everywhere on a set of positive measure"),
    universal=_flat_somewhere)
def flat_exponent(on: Record) -> None:
    ramp = linear_pieces(((0, 0),), ((0, 1),))
    slopes = {cell: ramp.derivative(cell, at)[0] for cell, at in ramp.points()}
    on.printed.refute(not ramp.strong() and slopes == {0: 0, 1: 1},
                      "T = max(z, 0) is not strongly exponential, and theta T' vanishes for z < 0 only, unless theta "
                      "= 0",
                      shown=ramp.shown())
    on.corrected.search()


def fat_cantor_gaps(steps: int) -> list[tuple[Fraction, Fraction]]:
    """Open intervals removed from [0, 1] in this many steps, of length 4^-j in step j."""
    kept, gaps = [(ZERO, ONE)], []
    for step in range(1, steps + 1):
        following = []
        for low, high in kept:
            middle, half = (low + high) / 2, Fraction(1, 2 * 4**step)
            gaps.append((middle - half, middle + half))
            following += [(low, middle - half), (middle + half, high)]
        kept = following
    return sorted(gaps)


@chapter.claim(
    "gan.lem2", place="Appendix on identifiability, Lemma 2", kind=Kind.LEMMA, covers=("Lemma 2",),
    statement="The statistics of a strongly exponential family have derivatives that are non-zero almost everywhere.",
    hypotheses=("T is differentiable almost everywhere",),
    correction=Correction("no T_i' is zero almost everywhere on an interval; for (piecewise) analytic statistics T_i' "
                          "is non-zero almost everywhere",
                          hypotheses=("T is locally absolutely continuous; analytic for the stronger form",)),
    universal=lambda: Universal(
        statement="piecewise polynomial statistics: T_i' vanishes at isolated points only",
        cases=lambda dropped: statistics(), hypotheses={"strongly exponential": Statistics.strong},
        conclusion=Statistics.nowhere_flat, needed=("strongly exponential",), show=Statistics.shown))
def vanishing_derivatives(on: Record) -> None:
    # K = [0, 1] without the middle intervals of length 4^-j: a closed set of measure 1/2 without interior points.
    j = sp.Symbol("j", integer=True, positive=True)
    removed = sp.summation(2 ** (j - 1) * sp.Rational(1, 4) ** j, (j, 1, sp.oo))
    depth = 7
    gaps = fat_cantor_gaps(depth)
    total = sum((b - a for a, b in gaps), ZERO)
    disjoint = all(left[1] < right[0] for left, right in pairwise(gaps))
    longest = max(right[0] - left[1] for left, right in pairwise(gaps))
    # T(z) = integral of dist(., K): a gap of length g adds g^2/4, so that T increases across every gap.
    rises = [(b - a) ** 2 / 4 for a, b in gaps]
    on.printed.refute(
        removed == HALF and total < HALF and total == HALF - Fraction(1, 2 ** (depth + 1)) and disjoint
        and longest < Fraction(1, 2**depth) and all(rise > 0 for rise in rises),
        "k = 1, T(z) = integral of the distance to a fat Cantor set K of measure 1 - 1/2: T is continuously "
        "differentiable and strictly increasing, since every interval meets a gap (after n steps no piece is longer "
        "than 2^-n), so its level sets are points and the family is strongly exponential; yet T' = dist(., K) is 0 on "
        f"K. The distance to K makes sense because {len(gaps)} gaps of total length {total} are disjoint",
        shown="T(z) = integral_0^z dist(t, K) dt on the line; K: [0, 1] without the middle intervals of length 4^-j "
              "removed in step j")
    on.corrected.search(cases=100)


def coin_slopes(depth: int) -> list[Fraction]:
    """Slopes of the distribution function of a coin with success probability 1/3 over the dyadic intervals."""
    slopes = [ONE]
    for _ in range(depth):
        slopes = [2 * p * slope for slope in slopes for p in (Fraction(2, 3), Fraction(1, 3))]
    return slopes


def _enough_points() -> Universal[Statistics]:
    return Universal(
        statement="k points x_1, ..., x_k with linearly independent T'(x_1), ..., T'(x_k) exist",
        cases=lambda dropped: statistics(continuous="locally absolutely continuous" not in dropped),
        hypotheses={"minimal": Statistics.minimal, "locally absolutely continuous": Statistics.continuous},
        conclusion=lambda t: t.derivative_rank() == t.k,
        needed=("minimal", "locally absolutely continuous"), show=Statistics.shown)


@chapter.claim(
    "gan.lem3", place="Appendix on identifiability, Lemma 3", kind=Kind.LEMMA, covers=("Lemma 3",),
    statement="For a strongly exponential family of k >= 2 statistics there are k points where the vectors of "
              "derivatives are linearly independent.",
    hypotheses=("T is differentiable almost everywhere",),
    correction=Correction("they exist for minimal families whose statistics are locally absolutely continuous",
                          hypotheses=("T is locally absolutely continuous",)),
    universal=_enough_points,
    scope="in the counterexample: that increasing functions are differentiable almost everywhere, with one limit of "
          "slopes over shrinking intervals around a point of differentiability")
def independent_derivatives(on: Record) -> None:
    depth = 10
    levels = [coin_slopes(level) for level in range(depth + 1)]
    ratios = {later[index] / slope for earlier, later in pairwise(levels) for i, slope in enumerate(earlier)
              for index in (2 * i, 2 * i + 1)}
    increments = [slope / 2**depth for slope in levels[depth]]
    # A finite limit other than 0 would need ratios that tend to 1.
    nearest = min(abs(ratio - 1) for ratio in ratios)
    on.printed.refute(
        nearest == Fraction(1, 3) and min(increments) > 0 and max(increments) == Fraction(2, 3) ** depth
        and sum(increments) == 1,
        "T = (z, z + F(z)), F the distribution function of binary digits that are 1 with probability 1/3: increasing "
        f"(every dyadic interval has mass, at most (2/3)^{depth} at depth {depth}, so F is continuous too). Slopes of "
        "nested dyadic intervals change by 2/3 or 4/3, so a finite F' can only be 0: T' = (1, 1) wherever it exists, "
        "rank 1. theta . T is monotone or takes a value on a null set only (F' = 0 almost everywhere excludes a slope "
        "on more)",
        shown="T(z) = (z, z + F(z)), F(x) = P(sum of b_j 2^-j <= x), P(b_j = 1) = 1/3, F(z + 1) = F(z) + 1")
    jump = linear_pieces(((0, 1), (0, 1)), ((0, 1), (1, 1)))
    on.corrected.support(jump.minimal() and not jump.continuous() and jump.derivative_rank() == 1,
                         "a jump already shows that minimality alone is not enough: T = (z, z + 1{z > 0})", cases=1,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=300)


@dataclass(frozen=True)
class ChosenPoints:
    """Statistics and points at which their derivatives are taken."""

    statistics: Statistics
    indices: tuple[int, ...]

    def columns(self) -> Matrix:
        """T' at the chosen points, one row a point."""
        points = self.statistics.points()
        return tuple(self.statistics.derivative(*points[i % len(points)]) for i in self.indices)

    def largest_rank(self) -> bool:
        """Whether no other points have derivatives of larger rank."""
        return rank(self.columns()) == self.statistics.derivative_rank()

    def carries_over(self) -> bool:
        """Whether a vector orthogonal to T' at the chosen points is so everywhere."""
        theta = kernel_vector(self.columns())
        if theta is None:
            return True
        return all(sum((a * b for a, b in zip(theta, self.statistics.derivative(*point), strict=True)), ZERO) == 0
                   for point in self.statistics.points())


@chapter.claim(
    "gan.lem3.allx", place="Appendix on identifiability, proof of Lemma 3", kind=Kind.CLAIM,
    statement="A vector orthogonal to the columns of B is orthogonal to T'(x) for every x.",
    correction=Correction("it is if the points of B have the largest possible rank",
                          hypotheses=("no choice of points has a larger rank",)),
    universal=lambda: Universal(
        statement="theta orthogonal to T' at the chosen points: orthogonal everywhere",
        cases=lambda dropped: st.builds(ChosenPoints, statistics(), st.lists(st.integers(0, 8), min_size=1, max_size=4)
                                        .map(tuple)),
        hypotheses={"points of largest rank": ChosenPoints.largest_rank}, conclusion=ChosenPoints.carries_over,
        needed=("points of largest rank",),
        show=lambda case: f"{case.statistics.shown()}; T' at the points {shown_matrix(case.columns())}"))
def orthogonal_everywhere(on: Record) -> None:
    cubic = Statistics((), (((ZERO, ONE, ZERO, ZERO), (ZERO, ZERO, ZERO, ONE)),))
    at_ones = [cubic.derivative(0, Fraction(x)) for x in (1, -1)]
    theta = kernel_vector(at_ones)
    at_zero = cubic.derivative(0, ZERO)
    on.printed.refute(theta is not None and sum(a * b for a, b in zip(theta, at_zero, strict=True)) != 0
                      and cubic.strong(),
                      f"T = (z, z^3), points 1 and -1: B has rank 1, theta = {shown_matrix([theta or ()])} is "
                      f"orthogonal to both columns and not to T'(0) = {shown_matrix([at_zero])}",
                      shown="T(z) = (z, z^3), x_1 = 1, x_2 = -1")
    on.printed.search(cases=100, without=("points of largest rank",))
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.eq69", place="Appendix on identifiability, after eq. 69", kind=Kind.CLAIM,
    statement="If B has not full rank k, the nullity is greater than 1.",
    correction=Correction("the nullity of B^T is at least 1", notational=True),
    universal=lambda: Universal(
        statement="k x k matrices of rank below k: B^T has a non-zero null vector",
        cases=lambda dropped: st.integers(1, 4).flatmap(lambda k: degenerate_matrices(k, k)),
        hypotheses={"rank below k": lambda b: rank(b) < len(b)},
        conclusion=lambda b: kernel_vector(transpose(b)) is not None, needed=("rank below k",), show=shown_matrix))
def nullity(on: Record) -> None:
    b = ((ONE, ONE), (ONE, ONE))
    on.printed.refute(rank(b) == 1 and len(b) - rank(b) == 1 and kernel_vector(transpose(b)) is not None,
                      "B = [[1, 1], [1, 1]]: rank 1 of 2 and nullity 1")
    on.corrected.search(cases=150)
