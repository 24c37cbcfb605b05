"""What the statements on normal and on two-parameter families tacitly use: continuity and invertible maps."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from itertools import product as tuples

from hypothesis import strategies as st

import ident_theory as it
from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import Rows, rank, shown_matrix, solve
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal

chapter = Chapter(GIN)

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Segments:
    """Statistics on (0, m), on each segment N < z < N + 1 quadratic in the fractional part.

    ``values[N]`` holds k rows with the coefficients of 1, F and F^2.
    """

    values: tuple[tuple[Row, ...], ...]

    @property
    def k(self) -> int:
        """Number of statistics."""
        return len(self.values[0])

    @property
    def is_continuous(self) -> bool:
        """Whether the ends of neighbouring segments meet."""
        return all(sum(a) == b[0] for left, right in pairwise(self.values) for a, b in zip(left, right, strict=True))

    @property
    def is_minimal(self) -> bool:
        """Whether 1, T_1, ..., T_k are independent on (0, m)."""
        first = self.values[0]
        offsets = [[segment[j][0] - first[j][0] for segment in self.values[1:]] for j in range(self.k)]
        shapes = [[v for segment in self.values for v in segment[j][1:]] for j in range(self.k)]
        return rank([[*a, *b] for a, b in zip(offsets, shapes, strict=True)]) == self.k

    @cached_property
    def split(self) -> Rows | None:
        """Rows (M_1, M_2, c) with T(z) = M_1 T(w_1) + M_2 T(w_2) + c.

        Here w_1 has the segment of z and w_2 its fractional part:
        for all segments N and N' and all fractional parts F and F' of w_1 and w_2:
        T(N + F') = M_1 T(N + F) + M_2 T(N' + F') + c.
        """
        equations, zero = [], Fraction(0)
        right: list[list[Fraction]] = [[] for _ in range(self.k)]
        for own, other in tuples(self.values, repeat=2):
            for e in (0, 1, 2):
                part = [row[e] for row in own]
                shape = [row[e] for row in other]
                equations.append([*(part if e == 0 else [zero] * self.k), *shape, Fraction(int(e == 0))])
                for j in range(self.k):
                    right[j].append(own[j][e])
        for own, e in tuples(self.values, (1, 2)):
            equations.append([*(row[e] for row in own), *[zero] * self.k, zero])
            for j in range(self.k):
                right[j].append(zero)
        rows = [solve(equations, r) for r in right]
        return None if any(row is None for row in rows) else [row for row in rows if row is not None]

    @property
    def depends_on_both(self) -> bool:
        """Whether such a relation exists in which neither M_1 nor M_2 is zero."""
        rows = self.split
        return rows is not None and any(any(row[:self.k]) for row in rows) \
            and any(any(row[self.k:2 * self.k]) for row in rows)

    def show(self) -> str:
        """The numbers to paste."""
        parts = [f"({n}, {n + 1}): coefficients of 1, F, F^2 {shown_matrix(rows)}"
                 for n, rows in enumerate(self.values)]
        relation = "" if self.split is None else f"\n# (M_1, M_2, c) = {shown_matrix(self.split)}"
        return "# T(N + F) on " + "; ".join(parts) + relation


def unsplit_statistics() -> Universal[Segments]:
    """One latent on segments, two estimated latents with the same statistics."""
    small = st.integers(-2, 2).map(Fraction)

    @st.composite
    def cases(draw: st.DrawFn, continuous: bool) -> Segments:
        k, m = draw(st.integers(1, 3)), draw(st.integers(2, 3))
        row = st.tuples(small, small, small)
        segments = [[draw(row) for _ in range(k)]]
        repeat = draw(st.booleans())
        for _ in range(m - 1):
            shapes = segments[0] if repeat else [draw(row) for _ in range(k)]
            starts = [sum(r, Fraction(0)) for r in segments[-1]] if continuous else [draw(small) for _ in range(k)]
            segments.append([(a, shape[1], shape[2]) for a, shape in zip(starts, shapes, strict=True)])
        return Segments(tuple(map(tuple, segments)))

    return Universal(
        "T(z) is not a sum of T(w_1) and T(w_2), both with a matrix that is not zero, where w_1 has the segment of z "
        "and w_2 its fractional part", lambda dropped: cases("continuous statistics" not in dropped),
        lambda case: not case.depends_on_both,
        {"continuous statistics": lambda case: case.is_continuous, "minimality": lambda case: case.is_minimal},
        needed=("continuous statistics", "minimality"), show=Segments.show)


@chapter.claim("gin.appC.continuous", place="App. C", kind=Kind.ADDED,
               statement="Minimal continuous statistics cannot be shared out between two estimated latents by "
                         "exchanging integer parts with the noise; minimal ones with jumps can, which is the "
                         "counterexample of gin.appC.",
               hypotheses=("minimality", "continuous statistics"), universal=unsplit_statistics,
               scope="statistics that are quadratic between the integers")
def jumps_are_what_splits(on: Record) -> None:
    on.printed.search(cases=100)


@dataclass(frozen=True)
class OnTheLine:
    """Two models of one normal latent, (mean, variance) at three conditions, with a bend at 0 in their decoders."""

    first: tuple[tuple[Fraction, Fraction], ...]
    second: tuple[tuple[Fraction, Fraction], ...]
    decoders: tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]

    def models(self) -> tuple[it.Model, it.Model]:
        """The two."""
        made = [it.Model(it.ConditionalPrior.from_means_variances([[m] for m, _ in law], [[v] for _, v in law]),
                         it.PiecewiseAffineMap([0], list(slopes), [0, 0]))
                for law, slopes in zip((self.first, self.second), self.decoders, strict=True)]
        return made[0], made[1]

    @property
    def has_equal_laws(self) -> bool:
        """The toolkit's decision."""
        return it.equal_in_law(*self.models()).status is it.Status.HOLDS

    @property
    def is_invertible(self) -> bool:
        """Whether both decoders are one-to-one."""
        return all(left * right > 0 for left, right in self.decoders)

    @property
    def is_affine(self) -> bool:
        """Whether one a and b carry all laws of the second latent to those of the first."""
        means = solve([[m, Fraction(1)] for m, _ in self.second], [m for m, _ in self.first])
        ratios = {v / w for (_, v), (_, w) in zip(self.first, self.second, strict=True)}
        if means is None or len(ratios) != 1:
            return False
        spread = len({m for m, _ in self.second}) > 1
        return not spread or means[0] ** 2 == ratios.pop()


def affine_on_the_line() -> Universal[OnTheLine]:
    """Two normal models on the line with bent decoders."""
    number = st.sampled_from([Fraction(v) for v in ("1", "0", "-1", "2")])
    scale = st.sampled_from([Fraction(v) for v in ("1", "2", "1/2")])

    @st.composite
    def cases(draw: st.DrawFn, one_to_one: bool) -> OnTheLine:
        law = tuple(draw(st.lists(st.tuples(number, scale), min_size=3, max_size=3)))
        slopes = st.sampled_from([Fraction(v) for v in ("1", "2", "-1", "1/2")])
        left, right = draw(slopes), draw(slopes)
        if one_to_one and left * right < 0:
            left = -left
        a = draw(st.sampled_from([Fraction(1), Fraction(2), Fraction(-1)]))
        # The second latent is w = z/a, with the decoder that makes up for it, and signs that are exchanged.
        signs = draw(st.tuples(*[st.sampled_from([1, 1, -1])] * 3))
        second = tuple((s * m / a, v / a**2) for s, (m, v) in zip(signs, law, strict=True))
        decoder = (a * left, a * right) if a > 0 else (a * right, a * left)
        return OnTheLine(law, second, ((left, right), decoder))

    return Universal(
        "z = a w + b carries every law of w given u to that of z",
        lambda dropped: cases("invertible maps" not in dropped),
        lambda case: case.is_affine,
        {"one law of x": lambda case: case.has_equal_laws, "invertible maps": lambda case: case.is_invertible},
        needed=("one law of x", "invertible maps"),
        show=lambda case: show_models(**dict(zip(("first", "second"), case.models(), strict=True))))


@chapter.claim("gin.eq28.line", place="App. B", kind=Kind.ADDED,
               statement="Two normal models of one latent with bent decoders and one law of x given u have laws of z "
                         "and w that one affine map relates at every u; that the maps are invertible is needed, that L "
                         "is invertible is not.",
               hypotheses=("one law of x given u", "f and g are invertible"),
               universal=affine_on_the_line, scope="n = d = 1, decoders of two affine pieces")
def normal_models_on_the_line(on: Record) -> None:
    on.printed.search(cases=40)
