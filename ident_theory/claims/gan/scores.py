"""Section IV.B and Fig. 2: scoring recovered latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.metrics import mcc

chapter = Chapter(GAN)

Pair = tuple[int, int]


@dataclass(frozen=True)
class ScoreCase:
    """Latents, their image under a matrix, and whether the moduli of correlations count."""

    latents: tuple[Pair, ...]
    matrix: tuple[Pair, Pair]
    absolute: bool

    def images(self) -> list[list[int]]:
        """The recovered latents."""
        return [[a * z[0] + b * z[1] for a, b in self.matrix] for z in self.latents]

    def varies(self) -> bool:
        """Whether both latents take two values at least."""
        return all(len(set(column)) > 1 for column in zip(*self.latents, strict=True))

    def monomial(self) -> bool:
        """Whether the matrix is a scaled permutation."""
        lines = [*self.matrix, *zip(*self.matrix, strict=True)]
        return all(sum(1 for entry in line if entry) == 1 for line in lines)

    def scored_one(self) -> bool:
        """Whether the best matching has correlations that are all 1, decided in integers."""
        columns, images = list(zip(*self.latents, strict=True)), list(zip(*self.images(), strict=True))
        return any(all(self._perfect(columns[i], images[j]) for i, j in enumerate(order))
                   for order in permutations(range(2)))

    def _perfect(self, a: Sequence[int], b: Sequence[int]) -> bool:
        """Whether a correlation is 1: equality in Cauchy's inequality, with the right sign."""
        cross, first, second = (_covariance(*pair) for pair in ((a, b), (a, a), (b, b)))
        return first * second > 0 and cross**2 == first * second and (self.absolute or cross > 0)

    def shown(self) -> str:
        """As text."""
        return f"z = {list(self.latents)}, z~ = {[list(row) for row in self.matrix]} z, moduli: {self.absolute}"


def _covariance(a: Sequence[int], b: Sequence[int]) -> int:
    """The covariance times the squared number of points."""
    return len(a) * sum(x * y for x, y in zip(a, b, strict=True)) - sum(a) * sum(b)


@st.composite
def _score_cases(draw: st.DrawFn, absolute: tuple[bool, ...], free: bool) -> ScoreCase:
    entries, scale = st.integers(-3, 3), st.sampled_from([1, -1, 7, -1000])
    latents = tuple(draw(st.lists(st.tuples(entries, entries), min_size=3, max_size=6)))
    if free:
        row = st.tuples(entries, entries)
        matrix = draw(st.tuples(row, row))
    else:
        first, second = draw(scale), draw(scale)
        matrix = draw(st.sampled_from([((first, 0), (0, second)), ((0, first), (second, 0))]))
    return ScoreCase(latents, matrix, draw(st.sampled_from(absolute)))


def _score_of_recovery() -> Universal[ScoreCase]:
    return Universal(
        statement="a recovery up to a scaled permutation has mean absolute correlation 1",
        cases=lambda dropped: _score_cases((False, True) if "absolute correlations" in dropped else (True,),
                                           "scaled permutation" in dropped),
        hypotheses={"absolute correlations": lambda case: case.absolute, "latents vary": ScoreCase.varies,
                    "scaled permutation": ScoreCase.monomial},
        conclusion=ScoreCase.scored_one, needed=("absolute correlations", "latents vary", "scaled permutation"),
        show=ScoreCase.shown)


@chapter.claim(
    "gan.mcc", place="Section IV.B", kind=Kind.DEFINITION,
    statement="The score is the largest mean of correlation coefficients over matchings of recovered and true latents; "
              "it is 1 for latents that are recovered as the theory allows.",
    correction=Correction("the largest mean of absolute correlations is 1 for latents recovered up to a scaled "
                          "permutation; for other linear maps, which eq. 9 allows, it is less",
                          hypotheses=("absolute values", "the recovery is a scaled permutation")),
    universal=_score_of_recovery)
def mean_correlation(on: Record) -> None:
    latents = ((0, 0), (1, 0), (0, 1), (2, 3))
    flipped = ScoreCase(latents, ((-1, 0), (0, -1)), False)
    on.printed.refute(flipped.monomial() and flipped.varies() and not flipped.scored_one(),
                      "z~ = -z at the points (0,0), (1,0), (0,1), (2,3): a signed recovery, no matching has positive "
                      "correlations throughout", shown=flipped.shown())
    turned = ScoreCase(((1, 0), (-1, 0), (0, 1), (0, -1)), ((1, 1), (1, -1)), True)
    columns, images = zip(*turned.latents, strict=True), list(zip(*turned.images(), strict=True))
    squares = {sp.Rational(_covariance(a, b) ** 2, _covariance(a, a) * _covariance(b, b))
               for a in columns for b in images}
    on.printed.refute(squares == {sp.Rational(1, 2)} and not turned.scored_one(),
                      "one statistic T(z) = z: z~ = (z1 + z2, z1 - z2) is related to z as in eq. 9; for uncorrelated "
                      "latents of equal variance every correlation is 1/sqrt(2) in modulus, and so is the score",
                      shown=turned.shown())
    on.printed.search(without=("absolute correlations",))
    scores = [mcc(np.array(case.latents, dtype=float), np.array(case.images(), dtype=float)).value
              for case in (flipped, turned)]
    on.corrected.support(abs(scores[0] - 1) < 1e-12 and abs(scores[1] - 0.5**0.5) < 1e-12,
                         "the toolkit's scores of the two examples are 1 and 1/sqrt(2)", cases=2)
    on.corrected.search()


@chapter.claim(
    "gan.fig2", place="Section IV.E, Fig. 2", kind=Kind.CLAIM,
    statement="Latents recovered up to a rotation by a right angle are recovered as the theory says: linearly, here "
              "with coordinates exchanged and a sign changed.",
    scope="what the picture shows of the training run itself")
def right_angle(on: Record) -> None:
    angle, first, second = sp.symbols("theta v1 v2", real=True)
    rotation = sp.Matrix([[sp.cos(angle), -sp.sin(angle)], [sp.sin(angle), sp.cos(angle)]])
    covariance = rotation * sp.diag(first, second) * rotation.T
    clockwise = rotation.subs(angle, -sp.pi / 2)
    off_diagonal = sp.simplify(covariance[0, 1] - (first - second) * sp.sin(2 * angle) / 2)
    monomial = all(sum(1 for entry in clockwise.row(i) if entry != 0) == 1 for i in range(2))
    on.printed.prove(off_diagonal == 0 and monomial and clockwise * sp.Matrix([0, 1]) == sp.Matrix([1, 0]),
                     "the clockwise right angle is a signed permutation; sources of different variances stay "
                     "uncorrelated under an angle t only if sin 2t = 0, so no other kind of rotation fits (symbolic)")
