"""Appendix C: generic values, numbers of preimages, and maps that are invertible on the same values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_line import (
    LineMap,
    Piece,
    between,
    counts,
    equal_laws,
    gaps,
    has_length,
    is_continuous,
    is_generic,
    is_injective,
    is_stable,
    marks,
    merge,
    pieces_of,
    preimages,
    printed_weak_injectivity,
    with_value,
    written,
)
from ident_theory.claims.kivva.proof_c_mixtures import (
    ABSOLUTE,
    ALONE,
    LEFT,
    OFF,
    PUNCTURED,
    RIGHT,
    isolated_value_counterexample,
    off_the_image,
)
from ident_theory.claims.kivva.proof_c_pairs import (
    HYPOTHESES,
    Pair,
    continuous_maps,
    is_definite,
    line_pairs,
    listed,
    matched,
    mixtures,
    small,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.geometry.line import line_pieces
from ident_theory.laws import law
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

STANDARD = GaussianMixture([1], [0], [1])
#: z below 1 and z - 1 above: 1 = f(2) is a limit of values on the left of the jump.
JUMP = PiecewiseAffineMap([1], [1, 1], [0, -1])


def example_4() -> Pair:
    """Example 4."""
    prior = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1])
    return Pair(PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4]), prior,
                PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4]), prior)


@dataclass(frozen=True)
class AtValue:
    """A map, a mixture and a value in R."""

    f: PiecewiseAffineMap
    p: GaussianMixture
    x: Fraction

    @property
    def pieces(self) -> LineMap:
        """The map as pieces."""
        return pieces_of(self.f)


@st.composite
def at_values(draw: st.DrawFn, dropped: frozenset[str] = frozenset()) -> AtValue:
    """Values between the marks and on them; jumps where continuity or the like is dropped."""
    f = draw(continuous_maps())
    if dropped & {"continuity", "no limit value"}:
        f = PiecewiseAffineMap(f.breakpoints_exact, f.slopes_exact,
                               [[c[0] + draw(small)] for c in f.intercepts_exact])
    pieces = pieces_of(f)
    p = draw(mixtures())
    if draw(st.booleans()):  # a component twice: reduced form is not needed here
        p = GaussianMixture(*zip(*listed(p), *[(0, mean, v) for _, mean, v in listed(p)], strict=True))
    return AtValue(f, p, draw(st.sampled_from([*gaps(pieces), *marks(pieces)])))


def _count(pieces: LineMap, x: Fraction) -> int | None:
    found = preimages(pieces, x)
    return None if found is None else len(found)


def _neighbours(pieces: LineMap, x: Fraction) -> tuple[Fraction, Fraction]:
    """A value on either side of x with no mark between."""
    ends = sorted({*marks(pieces), x})
    k = ends.index(x)
    return (x - 1 if k == 0 else (ends[k - 1] + x) / 2), (x + 1 if k + 1 == len(ends) else (x + ends[k + 1]) / 2)


def _constant_near(case: AtValue) -> bool:
    return len({_count(case.pieces, v) for v in (case.x, *_neighbours(case.pieces, case.x))}) == 1


@cache
def generic_values() -> Universal[AtValue]:
    """What Lemma C.5 uses of Definition C.6."""
    return Universal("near a generic value that is no limit of values at an end of a piece, all values have as many "
                     "preimages", at_values, _constant_near,
                     {"generic value": lambda case: is_generic(case.pieces, case.x),
                      "no limit value": lambda case: is_stable(case.pieces, case.x)},
                     ("no limit value",), repr)


@chapter.claim(
    "kivva.defC.6", place="App. C.1, Definition C.6 and its use for (12)", kind=Kind.DEFINITION,
    covers=("Definition C.6",), universal=generic_values,
    statement="A value is generic when it has finitely many preimages and f is affine near each of them; values near "
              "a generic value then have as many preimages, as the proof of Lemma C.5 takes for granted.",
    correction=Correction("The same if, besides, the value is no limit of values of other pieces at their ends, which "
                          "is automatic for finitely many pieces and continuous f.",
                          ("the value is no limit of other pieces",)))
def definition_of_generic_value(on: Record) -> None:
    pieces, x = pieces_of(JUMP), Fraction(1)
    near = [_count(pieces, v) for v in (Fraction(9, 10), x, Fraction(11, 10))]
    on.printed.refute(is_generic(pieces, x) and near == [2, 1, 1],
                      "f(z) = z below 1 and z - 1 from 1 on: the value 1 has the one preimage 2, near which f is "
                      f"affine, and values next to it have {near[0]} preimages below and {near[2]} above",
                      shown=repr(JUMP))
    on.corrected.search(cases=300)


def _infinite_fibres_null(f: LineMap) -> bool:
    flat = {piece.intercept for piece in f if not piece.slope and (piece.low is None or piece.low != piece.high)}
    # Finitely many values are null in an image with length; points of a finite image have mass.
    return not flat or any(preimages(f, x) for x in gaps(f))


@cache
def almost_all_values_generic() -> Universal[PiecewiseAffineMap]:
    """Lemma C.4 on the line."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> PiecewiseAffineMap:
        f = draw(continuous_maps())
        slopes = [a * draw(st.sampled_from([0, 1])) for a in f.slopes_exact[:, 0]]
        jumps = [c[0] + draw(small) for c in f.intercepts_exact]
        return draw(st.sampled_from([f, PiecewiseAffineMap(f.breakpoints_exact, slopes, jumps)]))

    def holds(f: PiecewiseAffineMap) -> bool:
        pieces = pieces_of(f)
        return has_length(pieces) and all(is_generic(pieces, x) for x in gaps(pieces) if preimages(pieces, x))

    return Universal("if values with infinitely many preimages are null in the image, the image has the dimension of "
                     "the latent and almost every value is generic", cases, holds,
                     {"infinite fibres null": lambda f: _infinite_fibres_null(pieces_of(f))},
                     ("infinite fibres null",), repr)


@chapter.claim(
    "kivva.lemC.4", place="App. C.1, Lemma C.4", kind=Kind.LEMMA, covers=("Lemma C.4",),
    universal=almost_all_values_generic, scope="Maps of the line with finitely many pieces, jumps allowed.",
    statement="If the values with infinitely many preimages are a null set of the image, in the measure of the image's "
              "own dimension, then the image has dimension m and almost every value is generic.",
    hypotheses=("f piecewise affine", "values with infinitely many preimages are null in the image"))
def almost_every_value_is_generic(on: Record) -> None:
    on.printed.search(cases=400)


def _integral_of_extension(case: AtValue) -> Fraction:
    """The integral over R of the analytic continuation of the density near x; 0 where there is none.

    Read from the law as the package describes it: which normal densities enter and leave at which place.
    """
    density: Any = law_key(line_pieces(case.f), components_of(case.p))[0]  # type: ignore[index]
    places = [(None if name[-1] is None else Fraction(*name[-1]), Fraction(*w)) for name, w in density]
    if any(place == case.x for place, _ in places):
        return Fraction(0)
    return sum((w for place, w in places if place is None or place < case.x), Fraction(0))


@cache
def preimages_by_integration() -> Universal[AtValue]:
    """Lemma C.5 for n = m = 1."""
    return Universal("at a generic value of a continuous map the number of preimages is the integral of the analytic "
                     "continuation of the density of f(Z) near that value", at_values,
                     lambda case: _integral_of_extension(case) == _count(case.pieces, case.x),
                     {"generic value": lambda case: is_generic(case.pieces, case.x),
                      "continuity": lambda case: is_continuous(case.pieces),
                      "definite covariances": lambda case: is_definite(case.p)},
                     ("generic value", "continuity"), repr)


@chapter.claim(
    "kivva.lemC.5", place="App. C.1, Lemma C.5", kind=Kind.LEMMA, covers=("Lemma C.5",),
    universal=preimages_by_integration,
    statement="For a piecewise affine f whose image has dimension m, the number of preimages of a generic value is the "
              "integral over the whole space of the analytic continuation of the density of f(Z) near the value.",
    hypotheses=("f: R^m -> R^m piecewise affine with an image of dimension m", "the value is generic",
                "components non-degenerate"),
    correction=Correction("The same for continuous f with finitely many pieces, or for values that are no limits of "
                          "other pieces; no limit is needed, nor a reduced form.", ("f continuous, finitely many "
                                                                                   "pieces",)))
def number_of_preimages(on: Record) -> None:
    case = AtValue(JUMP, STANDARD, Fraction(1))
    left, right = (merge(case.pieces, v, STANDARD) for v in _neighbours(case.pieces, case.x))
    on.printed.refute(is_generic(case.pieces, case.x) and has_length(case.pieces) and left != right
                      and _integral_of_extension(case) == 0 and _count(case.pieces, case.x) == 1,
                      "f(z) = z below 1 and z - 1 from 1 on, Z ~ N(0, 1): the value 1 is generic with one preimage, "
                      f"the density is a sum of {len(left)} normal terms below 1 and of {len(right)} above, so it has "
                      "no continuation and the integral is 0", shown=repr(JUMP))
    f = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])
    prior = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1])
    integrals = [_integral_of_extension(AtValue(f, prior, Fraction(x))) for x in (-3, -1, 1, 3)]
    on.corrected.support(integrals == [1, 3, 3, 1] == [_count(pieces_of(f), Fraction(x)) for x in (-3, -1, 1, 3)],
                         "the map f of Example 4: integrals 1, 3, 3, 1 at the values -3, -1, 1, 3", cases=4,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=300)


@cache
def density_near_a_value() -> Universal[AtValue]:
    """Formula (13) against the law of the package."""
    def holds(case: AtValue) -> bool:
        terms = merge(case.pieces, case.x, case.p)
        places = np.array([float(v) for v in (case.x, *_neighbours(case.pieces, case.x))])
        by_branch = sum(float(w) * np.exp(-(places - float(mean))**2 / (2 * float(v))) / np.sqrt(2 * np.pi * float(v))
                        for (mean, v), w in terms.items())
        exact = np.exp([law(Model(case.p, case.f)).log_density(np.array([x]))[0] for x in places])
        return bool(np.all(np.abs(exact - by_branch) <= 1e-12 * np.maximum(1.0, by_branch)))

    return Universal("near a generic value the density of f(Z) is the sum over preimages i and components j of "
                     "lambda_j times the normal density with A_i mu_j + b_i and A_i Sigma_j A_i^T", at_values, holds,
                     {"generic value": lambda case: is_generic(case.pieces, case.x),
                      "continuity": lambda case: is_continuous(case.pieces),
                      # A flat piece has no density, only an atom; it is away from every generic value.
                      "all pieces steep": lambda case: all(piece.slope for piece in case.pieces)},
                     ("continuity",), repr, Evidence.NUMERICAL)


@chapter.claim(
    "kivva.eq13", place="App. C.1, proof of Lemma C.5, eq. 13", kind=Kind.IDENTITY, universal=density_near_a_value,
    statement="Near a generic value the density of f(Z) is the double sum over preimages i and components j of "
              "lambda_j times the normal density with mean A_i mu_k + b_i and covariance A_i Sigma_j A_i^T.",
    hypotheses=("the value is generic, and no limit of other pieces (kivva.lemC.5)",),
    correction=Correction("The mean is A_i mu_j + b_i, with the index of the sum.", notational=True))
def density_as_a_sum_over_branches(on: Record) -> None:
    prior = GaussianMixture(["1/2", "1/2"], [0, 3], [1, 1])
    case = AtValue(PiecewiseAffineMap([], [2], [1]), prior, Fraction(0))
    true = merge(case.pieces, case.x, prior)
    means = [2 * Fraction(mean) + 1 for mean in (0, 3)]
    printed = [{(mean, Fraction(4)): Fraction(1)} for mean in means]
    on.printed.refute(true not in printed and set(true) == {(mean, Fraction(4)) for mean in means},
                      "f(z) = 2 z + 1, weights (1/2, 1/2), means (0, 3), variances 1: with one k for all j the formula "
                      "gives N(1, 4) or N(7, 4), the law is half of each", shown=repr(case))
    on.corrected.search(cases=80)


def gap_at_zero(closed: bool) -> LineMap:
    """z below 0 and z + 1 above; 0 belongs to the left piece where it is closed, else to the right one."""
    return (Piece(None, Fraction(0), Fraction(1), Fraction(0), (True, closed)),
            Piece(Fraction(0), None, Fraction(1), Fraction(1), (not closed, False)))


def _counts_agree(pair: Pair) -> bool:
    """Whether g takes once whatever f takes once, up to finitely many values."""
    f, g = pieces_of(pair.f), pieces_of(pair.g)
    return all(_count(g, x) == 1 for x in between([*marks(f), *marks(g)]) if _count(f, x) == 1)


@cache
def both_invertible() -> Universal[Pair]:
    """Corollary C.6 on the line."""
    names = ("equal laws", "definite covariances")
    return Universal("if f(Z) and g(Z') are equally distributed, every interval of values that f takes once has "
                     "subintervals that g takes once, whatever g is elsewhere", line_pairs, _counts_agree,
                     {name: HYPOTHESES[name] for name in names}, names, lambda pair: pair.show())


@chapter.claim(
    "kivva.corC.6", place="App. C.1, Corollary C.6", kind=Kind.COROLLARY, covers=("Corollary C.6",),
    universal=both_invertible,
    statement="If f and g satisfy F2, f(Z) and g(Z') are equally distributed and f is invertible on the values of a "
              "ball, then both are invertible on the values of a ball around some value in it.",
    hypotheses=("f and g piecewise affine with F2", "equal laws", "components non-degenerate",
                "the balls contain values of f", "every piece has inner points"),
    argument="The image of f is the support of f(Z), so f and g have one image; almost every value in the ball is "
             "generic for both, so there is one.",
    scope="Checked on the line. Where a single point may be a piece, the ball may hold a value that only f takes; its "
          "values then have to have positive measure.")
def invertible_on_the_same_values(on: Record) -> None:
    on.printed.search(cases=400)
    left, right = (gap_at_zero(closed) for closed in (True, False))
    values = [preimages(f, x) for f in (left, right) for x in (Fraction(0), Fraction(1))]
    on.argument.refute(equal_laws(left, STANDARD, right, STANDARD) and is_injective(left) and is_injective(right)
                       and values == [[0], [], [], [0]],
                       "f and g are z below 0 and z + 1 above, with f(0) = 0 and g(0) = 1: both injective, one law, "
                       "whose support contains 0 and 1; g does not take 0 and f does not take 1",
                       shown=f"f = {written(left)}\ng = {written(right)}")
    other = with_value(pieces_of(ABSOLUTE), Fraction(0), Fraction(-2))
    met = (printed_weak_injectivity(PUNCTURED, Fraction(-1), Fraction(1, 2))
           and printed_weak_injectivity(other, Fraction(-2), Fraction(1, 2)))
    on.argument.refute(met and equal_laws(PUNCTURED, LEFT, other, LEFT) and preimages(PUNCTURED, Fraction(-1)) == [0]
                       and preimages(other, Fraction(-1)) == [],
                       "with a single point as a piece: f and g are |z| but for f(0) = -1 and g(0) = -2; equal laws, "
                       "F2 for both around a value, f is invertible on the one value -1 of the ball of radius 1/2 "
                       "about -1, which is null, and g does not take it",
                       shown=f"f = {written(PUNCTURED)}\ng = {written(other)}")


def _common_values(pair: Pair) -> list[Fraction]:
    f, g = pieces_of(pair.f), pieces_of(pair.g)
    return [x for x in between([*marks(f), *marks(g)]) if _count(f, x) == _count(g, x) == 1]


def _change_at(pair: Pair, x: Fraction) -> AffineChange:
    """h_g^-1 o h_f for the affine pieces of f and g over a value that both take once."""
    (f, z), (g, w) = ((pieces_of(h), (preimages(pieces_of(h), x) or [])[0]) for h in (pair.f, pair.g))
    first, second = next(p for p in f if p.has(z)), next(p for p in g if p.has(w))
    return AffineChange(first.slope / second.slope, (first.intercept - second.intercept) / second.slope)


def _explicit_change(pair: Pair) -> bool | None:
    places = _common_values(pair)
    if not places:
        return matched(pair.p, pair.q)
    return all(listed(_change_at(pair, x).carry(pair.p)) == listed(pair.q) for x in places)


@cache
def explicit_change() -> Universal[Pair]:
    """Theorem C.7 on the line, with the map of the proof."""
    names = ("equal laws", "reduced form", "definite covariances")
    return Universal("if f(Z) and g(Z') are equally distributed, then over every interval of values that both maps "
                     "take once the affine map between their pieces carries the components of Z to those of Z'",
                     line_pairs, _explicit_change, {
                         **{name: HYPOTHESES[name] for name in names},
                         "weak injectivity": lambda pair: bool(_common_values(pair))},
                     ("equal laws", "reduced form", "definite covariances", "weak injectivity"),
                     lambda pair: pair.show())


@chapter.claim(
    "kivva.thmC.7", place="App. C.2, Theorem C.7", kind=Kind.THEOREM, covers=("Theorem C.7",),
    universal=explicit_change,
    statement="If f(Z) and g(Z') are equally distributed and both maps are invertible on the values in one ball, an "
              "invertible affine h carries the components of Z to those of Z'.",
    hypotheses=("f and g piecewise affine", "reduced form", "components non-degenerate"),
    correction=Correction("The same if the values in the ball have positive measure in the image; h is the affine map "
                          "between the pieces of f and g over the ball.",
                          ("the values in the ball have positive measure",)))
def maps_invertible_on_one_ball(on: Record) -> None:
    on.printed.refute(off_the_image(), OFF, shown=f"f = g = |z|; {LEFT!r}; {RIGHT!r}")
    on.printed.refute(isolated_value_counterexample(PUNCTURED, Fraction(-1)), ALONE,
                      shown=f"f = g = {written(PUNCTURED)}; {LEFT!r}; {RIGHT!r}")
    on.corrected.search(cases=250)
    classic = example_4()
    on.corrected.support(counts(pieces_of(classic.f)) == [1, 3, 3, 1] and _explicit_change(classic) is True,
                         "the two maps of Example 4: the pieces over values below -2 and above 2 give h = id", cases=1,
                         evidence=Evidence.EXACT)
