"""Appendix D: the decoder up to an affine map."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import cache

import numpy as np
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_counts import example_4
from ident_theory.claims.kivva.proof_c_line import (
    counts,
    equal_laws,
    gaps,
    is_continuous,
    is_injective,
    is_observably_injective,
    is_weakly_injective,
    marks,
    pieces_of,
    preimages,
)
from ident_theory.claims.kivva.proof_c_mixtures import IDENTITY
from ident_theory.claims.kivva.proof_c_pairs import (
    HYPOTHESES,
    Pair,
    continuous_maps,
    is_reduced,
    line_pairs,
    matched,
    mixtures,
    node_map,
    positive,
    rearranged,
    same_law,
    small,
)
from ident_theory.claims.kivva.proof_d_curves import (
    TIP,
    TRIANGLE,
    OnParts,
    SelfMap,
    agree_on,
    bent,
    loops,
    orbits,
    repeated_times,
    tip,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.identity import Relation, compare, law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import exact_alignments

chapter = Chapter(KIVVA)

ONE = Fraction(1)
STANDARD = GaussianMixture([1], [0], [1])
#: -z for \|z\| < 1, else z.
SWAP = rearranged(IDENTITY, [ONE])


def _equivalent(pair: Pair) -> bool:
    return compare(*pair.models).relation in (Relation.SAME, Relation.AFFINE)


@cache
def table_and_decoder() -> Universal[Pair]:
    """Theorem D.1 for one hidden variable on the line."""
    names = ("equal laws", "continuity", "injectivity", "reduced form")
    return Universal("continuous injective piecewise affine maps of the line and mixtures with one law are related by "
                     "one affine h: f' = f o h^-1, and h carries the components one by one",
                     lambda dropped: line_pairs(dropped, increasing=True),
                     lambda pair: _equivalent(pair) and matched(pair.p, pair.q),
                     {name: HYPOTHESES[name] for name in names}, names[1:], lambda pair: pair.show())


@chapter.claim(
    "kivva.thmD.1", place="App. D, Theorem D.1", kind=Kind.THEOREM, covers=("Theorem D.1",),
    universal=table_and_decoder, scope="The search is over maps of the line.",
    statement="In model (3) with a continuous, injective, piecewise affine decoder the joint law of (U, Z) and the "
              "decoder are determined by the law of X up to an affine map.",
    hypotheses=("P1, components non-degenerate", "f continuous, piecewise affine, injective"),
    correction=Correction("The same for one hidden variable with different components for different states and a "
                          "noise of known law, up to a relabelling of the states; f has finitely many pieces.",
                          ("k = 1", "reduced form", "known noise law", "finitely many pieces")))
def table_and_decoder_up_to_affine_maps(on: Record) -> None:
    fair, biased = (Model(GaussianMixture([w, 1 - w], [0, 0], [1, 1]), IDENTITY) for w in (ONE / 2, ONE / 5))
    on.printed.refute(check(fair)["F4"].status is Status.HOLDS and equal_in_law(fair, biased).status is Status.HOLDS
                      and matched(fair.mixture, biased.mixture) is False,
                      "f = id, two equal components: weights (1/2, 1/2) and (1/5, 4/5) give one law of X",
                      shown=show_models(first=fair, second=biased))
    on.corrected.search(cases=300)


@chapter.claim(
    "kivva.ex4", place="App. D, Example 4", kind=Kind.EXAMPLE, covers=("Example 4",),
    statement="The two maps of (15), both weakly injective, push 1/2 N(-2, 1) + 1/2 N(2, 1) to one law, and no affine "
              "map of the latent relates them.")
def two_maps_one_law(on: Record) -> None:
    pair = example_4()
    f, g = pieces_of(pair.f), pieces_of(pair.g)
    on.printed.prove(equal_laws(f, pair.p, g, pair.q) and same_law(pair), "the densities agree branch by branch on "
                     "every interval of values, and as formal sums")
    on.printed.prove(is_continuous(f) and is_continuous(g) and is_weakly_injective(f) and is_weakly_injective(g)
                     and counts(f) == [1, 3, 3, 1] and not is_observably_injective(f)
                     and not is_observably_injective(g), "both continuous, F2 but not F3; preimages of values: 1, 3, "
                     "3, 1 for f")
    on.printed.prove(len(pair.f.breakpoints_exact) == 3 and len(pair.g.breakpoints_exact) == 4
                     and compare(*pair.models).relation is Relation.LAW,
                     "three kinks against four, which no change of the latent repairs")


@chapter.claim(
    "kivva.D.order", place="App. D, before Lemma D.2", kind=Kind.CLAIM,
    statement="For a mixture P and continuous injective piecewise affine f and g with f#P = g#P there is an invertible "
              "affine h with f = h o g.",
    correction=Correction("f = g o h: the affine map acts on the latent.", notational=True))
def order_of_composition(on: Record) -> None:
    g, f = PiecewiseAffineMap([0], [1, 2], [0, 0]), PiecewiseAffineMap([0], [-2, -1], [0, 0])
    # h o g has the slopes a and 2 a for the slope a of h.
    factors = {u / v for u, v in zip(f.slopes_exact[:, 0], g.slopes_exact[:, 0], strict=True)}
    pair = Pair(g, STANDARD, f, STANDARD)
    on.printed.refute(same_law(pair) and all(is_continuous(pieces_of(m)) and is_injective(pieces_of(m)) for m in (f, g))
                      and len(factors) == 2,
                      "P = N(0, 1), g(z) = z below 0 and 2 z above, f(z) = g(-z): h would have the slope -2 on one "
                      "side and -1/2 on the other", shown=pair.show())
    on.corrected.support(compare(*pair.models).relation in (Relation.SAME, Relation.AFFINE), "f = g o h with "
                         "h(z) = -z for the same pair", cases=1, evidence=Evidence.EXACT)
    on.corrected.search(table_and_decoder(), cases=100)


def _keeps_law(case: SelfMap) -> bool:
    if isinstance(case.decoder, PiecewiseAffineMap):
        parts = components_of(case.prior)
        return law_key(line_pieces(case.decoder), parts) == law_key(line_pieces(IDENTITY), parts)
    plain = ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]])
    return equal_in_law(Model(case.prior, case.decoder), Model(case.prior, plain)).status is Status.HOLDS


def _is_affine(case: SelfMap) -> bool:
    if isinstance(case.decoder, PiecewiseAffineMap):
        return line_pieces(case.decoder).n_pieces == 1
    first, last = case.decoder.weights_exact
    return not (first[4].any() and last[:, 4].any())


@cache
def self_maps_are_affine() -> Universal[SelfMap]:
    """Lemma D.2 on the line and, for maps with one kink, in the plane."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> SelfMap:
        line = draw(st.booleans())
        if line or "continuity" in dropped:
            p = draw(mixtures(symmetric=True, most=2))
            radii = [abs(draw(small.filter(bool)))]
            kept = draw(st.sampled_from([IDENTITY, PiecewiseAffineMap([], [-1], [0])]))
            f = rearranged(kept, radii) if "continuity" in dropped else \
                draw(st.one_of(st.just(kept), continuous_maps())) if not dropped else draw(continuous_maps())
            return SelfMap(p, f)
        # L R L^-1 with R orthogonal keeps N(0, L L^T): the pieces keep the law, the bend is what is tested.
        c, s = draw(st.sampled_from([(ONE, 0 * ONE), (0 * ONE, ONE), (Fraction(3, 5), Fraction(4, 5))]))
        sign = draw(st.sampled_from([1, -1]))
        low, size = draw(small), draw(positive)
        r = AffineChange([[c, -s * sign], [s, c * sign]], [0, 0])
        root = AffineChange([[1, 0], [low, size]], [0, 0])
        a = root.after(r).after(root.inverse())
        mean = draw(st.sampled_from([[[0, 0]], [[0, 0], [0, 0]]]))
        square = (root.matrix_exact @ root.matrix_exact.T).tolist()
        p = GaussianMixture([Fraction(1, len(mean))] * len(mean), mean,
                            [[[k**2 * v for v in row] for row in square] for k in range(1, len(mean) + 1)])
        n = [draw(small), draw(small)]
        if draw(st.booleans()):  # the reflection along n in the metric of the covariance, or no bend at all
            toward = [sum(square[i][k] * n[k] for k in range(2)) for i in range(2)]
            length = sum(x * y for x, y in zip(n, toward, strict=True))
            w = [-2 * v / length if length else 0 * ONE for v in toward]
            w = (a.matrix_exact @ w).tolist()
        else:
            w = [draw(small), draw(small)]
        b = draw(st.sampled_from([0 * ONE, ONE]))
        return SelfMap(p, bent(a.matrix_exact.tolist(), [0 * ONE, 0 * ONE], w, n, b))

    return Universal("a continuous piecewise affine map of the line or plane that keeps a Gaussian mixture is affine",
                     cases, _is_affine, {
                         "law kept": _keeps_law,
                         "continuity": lambda case: not isinstance(case.decoder, PiecewiseAffineMap)
                         or case.decoder.is_continuous},
                     ("law kept", "continuity"), lambda case: show_models(model=Model(case.prior, case.decoder)))


@chapter.claim(
    "kivva.lemD.2", place="App. D, Lemma D.2", kind=Kind.LEMMA, covers=("Lemma D.2",), universal=self_maps_are_affine,
    statement="A continuous piecewise affine map of R^m to itself that keeps the law of a Gaussian mixture is affine.",
    hypotheses=("components non-degenerate", "f continuous, finitely many pieces", "f(Z) ~ Z"),
    argument="If B = A_1^-1 A_2 is the identity on a hyperplane and has determinant +-1, it maps the unit normal v of "
             "the hyperplane to v or to -v.")
def self_maps_that_keep_a_mixture(on: Record) -> None:
    on.printed.search(cases=200)
    kept = tried = 0
    values, slopes = [Fraction(v) for v in (-2, -1, 0, 1, 2)], [Fraction(v) for v in (-2, -1, 1, 2)]
    priors = [GaussianMixture(["1/2", "1/2"], [-1, 1], [1, 1]), GaussianMixture(["1/4", "1/2", "1/4"], [-2, 0, 2],
                                                                               [1, 4, 1])]
    straight = []
    grid = values if on.effort.share == 1 else values[1:4]
    for (s, t), (u, v) in itertools.product(itertools.combinations(grid, 2), itertools.product(grid, repeat=2)):
        for left, right in itertools.product(slopes, repeat=2):
            tried += 1
            f = node_map([s, t], [u, v], left, right)
            for p in priors:
                if law_key(line_pieces(f), components_of(p)) == law_key(line_pieces(IDENTITY), components_of(p)):
                    kept += 1
                    straight.append(line_pieces(f).n_pieces == 1)
    on.printed.support(all(straight) and kept > 0, f"of all {tried} maps with two nodes and values in {min(grid)}.."
                       f"{max(grid)} and slopes +-1, +-2 outside, those that keep a mixture ({kept}) are z and -z",
                       cases=tried, evidence=Evidence.EXACT)
    square = [[ONE, ONE / 2], [ONE / 2, ONE]]
    prior = GaussianMixture([1], [[0, 0]], [square])
    b = AffineChange([[1, -1], [0, -1]], [0, 0])
    normal = b.matrix_exact @ [0, 1]
    determinant = b.matrix_exact[0, 0] * b.matrix_exact[1, 1] - b.matrix_exact[0, 1] * b.matrix_exact[1, 0]
    on.argument.refute(b.carry(prior) == prior and (b.matrix_exact @ [1, 0]).tolist() == [1, 0] and determinant == -1
                       and normal.tolist() not in ([0, 1], [0, -1]),
                       "B = [[1, -1], [0, -1]] keeps N(0, [[1, 1/2], [1/2, 1]]), fixes the first axis, has determinant "
                       f"-1 and maps the normal (0, 1) to {tuple(map(int, normal))}: a reflection, but oblique",
                       shown=repr(b))


@cache
def pieces_permute_means() -> Universal[tuple[GaussianMixture, AffineChange]]:
    """The multiset step of Lemma D.2."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> tuple[GaussianMixture, AffineChange]:
        p = draw(mixtures(symmetric=True, most=2)) if draw(st.booleans()) else draw(orbits())
        h = AffineChange(np.eye(p.latent_dim, dtype=int), [draw(small) for _ in range(p.latent_dim)])
        p = h.carry(p)
        if dropped:
            w, *rest = p.weights_exact
            p = GaussianMixture([w / 2, w / 2, *rest], [p.means_exact[0], *p.means_exact],
                                [p.covariances_exact[0], *p.covariances_exact])
        return p, draw(st.sampled_from(exact_alignments(p, p).changes or [AffineChange.identity(p.latent_dim)]))

    def holds(case: tuple[GaussianMixture, AffineChange]) -> bool:
        p, a = case
        center = sum(p.means_exact) / Fraction(p.n_components)
        fixed = (a.matrix_exact @ center + a.shift_exact == center).all()
        return sorted(p.means_exact.tolist()) == sorted(a.carry(p).means_exact.tolist()) and bool(fixed)

    return Universal("an affine map that keeps a mixture permutes the multiset of means and fixes their unweighted "
                     "mean", cases, holds, {"law kept": lambda case: case[1].carry(case[0]).by_component()
                                            == case[0].by_component(),
                                            "reduced form": lambda case: is_reduced(case[0])},
                     ("reduced form",), repr)


@chapter.claim(
    "kivva.lemD.2.means", place="App. D, proof of Lemma D.2", kind=Kind.CLAIM, universal=pieces_permute_means,
    statement="Each affine piece of a map that keeps a mixture permutes the multiset of the means, so it fixes the "
              "unweighted mean of the means.",
    correction=Correction("The same for a mixture in reduced form, whose (weight, mean, covariance) are permuted; the "
                          "weighted mean is fixed in every form.", ("reduced form",)))
def means_as_a_multiset(on: Record) -> None:
    p, mirror = GaussianMixture(["1/2", "1/4", "1/4"], [-1, 1, 1], [1, 1, 1]), AffineChange(-1, 0)
    images = sorted(mirror.carry(p).means_exact[:, 0])
    on.printed.refute(mirror.carry(p).by_component() == p.by_component() and images == [-1, -1, 1]
                      and sorted(p.means_exact[:, 0]) == [-1, 1, 1],
                      "1/2 N(-1, 1) + 1/4 N(1, 1) + 1/4 N(1, 1) is kept by z -> -z: means {-1, 1, 1} against images "
                      "{-1, -1, 1}, and the unweighted mean 1/3 goes to -1/3", shown=repr(p))
    on.corrected.search(cases=200)


@chapter.claim(
    "kivva.lemD.2.cont", place="App. D, Lemma D.2", kind=Kind.ADDED,
    statement="In Lemma D.2 continuity cannot be dropped: -z for |z| < 1 and z elsewhere keeps N(0, 1).")
def continuity_is_needed(on: Record) -> None:
    pair = Pair(SWAP, STANDARD, IDENTITY, STANDARD)
    on.printed.prove(same_law(pair) and equal_laws(pieces_of(SWAP), STANDARD, pieces_of(IDENTITY), STANDARD)
                     and not is_continuous(pieces_of(SWAP)) and line_pieces(SWAP).n_pieces == 3,
                     "three pieces, jumps at -1 and 1, and the law is kept in each of the three intervals")


@cache
def decoders_agree() -> Universal[Pair]:
    """Theorem D.3 on the line."""
    names = ("equal laws", "continuity", "injectivity", "reduced form")
    return Universal("f and g continuous, injective and piecewise affine with f(Z) ~ g(Z') satisfy g = f o h^-1 for an "
                     "affine h with h(Z) ~ Z'", lambda dropped: line_pairs(dropped, increasing=True), _equivalent,
                     {name: HYPOTHESES[name] for name in names}, ("continuity", "injectivity"),
                     lambda pair: pair.show())


@chapter.claim(
    "kivva.thmD.3", place="App. D, Theorem D.3", kind=Kind.THEOREM, covers=("Theorem D.3",),
    universal=decoders_agree, scope="Checked for m = n = 1; theorems on networks of several latents: kivva.thm3.2c.",
    statement="If f and g are continuous, injective and piecewise affine and f(Z) and g(Z') are equally distributed, "
              "then g = f o h^-1 for an affine h with h(Z) ~ Z'.",
    hypotheses=("f and g continuous, injective, piecewise affine with finitely many pieces", "reduced form",
                "components non-degenerate"))
def decoders_up_to_an_affine_map(on: Record) -> None:
    on.printed.search(cases=300)


def _one_map_on_parts(case: OnParts) -> bool | None:
    f, g = case.pair.f, case.pair.g
    times = repeated_times(f)
    if times is None:
        return None
    ends = [None, *times, None]
    changes = exact_alignments(case.pair.p, case.pair.q).changes
    return any(all(agree_on(f, g, h, ends[k], ends[k + 1]) for k in case.parts) for h in changes)


@cache
def decoders_agree_on_parts() -> Universal[OnParts]:
    """Theorem D.4 for curves in the plane."""
    return Universal("f and g continuous with F3 and one law: on every connected part of the latent line where f takes "
                     "each value once, g o h = f for an affine h with h(Z) ~ Z'", loops, _one_map_on_parts, {
                         "equal laws": lambda case: same_law(case.pair),
                         "observably injective": lambda case: repeated_times(case.pair.f) is not None,
                         "connected trace": lambda case: len(case.parts) == 1},
                     ("connected trace",), lambda case: case.pair.show())


def _loop_pair() -> Pair:
    return Pair(TRIANGLE, STANDARD, rearranged(TRIANGLE, [Fraction(3)]), STANDARD)


@chapter.claim(
    "kivva.thmD.4", place="App. D.1, Theorem D.4", kind=Kind.THEOREM, covers=("Theorem D.4",),
    universal=decoders_agree_on_parts,
    statement="Let f and g be continuous, piecewise affine with F3 and f(Z) ~ g(Z'), and let D be a connected open set "
              "of R^n onto which both are injective. Then g = f o h^-1 on g^-1(D) for one affine h with h(Z) ~ Z'.",
    hypotheses=("f and g continuous, piecewise affine with F3", "reduced form", "components non-degenerate",
                "D open and connected in R^n"),
    correction=Correction("The same for a set D of values that is connected and open in the image, so that f^-1(D) is "
                          "connected; for m = n this is what is printed.", ("D connected as a part of the image",)))
def decoders_on_connected_sets(on: Record) -> None:
    pair = _loop_pair()
    first, second = pair.models
    crossing = repeated_times(pair.f)
    values = [pair.f([float(t)]).tolist() for t in crossing or ()]
    met = (all(m.decoder.is_continuous and check(m)["F3"].status is Status.HOLDS  # type: ignore[union-attr]
               for m in (first, second)) and same_law(pair) and crossing == repeated_times(pair.g) == [-3, 3]
           and values == [[[0.0, 0.0]]] * 2)
    on.printed.refute(met and compare(first, second).relation is Relation.LAW,
                      "a curve in the plane with tails along the negative axes and a triangle from the origin to the "
                      "origin between the times -3 and 3, and the same curve with the triangle run through backwards, "
                      "under N(0, 1). D, the plane without the origin, is open and connected, both curves take each "
                      "of their values in D once, and no affine map relates them on the line without -3 and 3. Read "
                      "with points in D that are no values: for m < n no open D is without them",
                      shown=pair.show())
    on.corrected.search(cases=200)


@cache
def repeated_values_on_the_line() -> Universal[PiecewiseAffineMap]:
    """Remark D.1 for m = n = 1."""
    return Universal("a value that a continuous map of the line with F3 takes more than once is taken infinitely often",
                     lambda dropped: continuous_maps(), lambda f: all(
                         (found := preimages(pieces_of(f), x)) is None or len(found) <= 1
                         for x in [*marks(pieces_of(f)), *gaps(pieces_of(f))]), {
                         "observably injective": lambda f: is_observably_injective(pieces_of(f))},
                     ("observably injective",), repr)


@chapter.claim(
    "kivva.remD.1", place="App. D.1, Remark D.1", kind=Kind.REMARK, covers=("Remark D.1",),
    universal=repeated_values_on_the_line,
    statement="For continuous piecewise affine f with F3 every value with more than one preimage has infinitely many.",
    hypotheses=("f continuous, piecewise affine", "F3"),
    correction=Correction("True for real functions of one latent; for m = n = 2 it is false.", ("m = n = 1",)))
def repeated_values(on: Record) -> None:
    model = Model(STANDARD, TRIANGLE)
    times = repeated_times(TRIANGLE)
    places = [TRIANGLE([float(t)]).tolist() for t in times or ()]
    on.printed.refute(TRIANGLE.is_continuous and check(model)["F3"].status is Status.HOLDS and times == [-3, 3]
                      and places == [[[0.0, 0.0]]] * 2,
                      "a curve in the plane with tails along the negative axes and a triangle from the origin to the "
                      "origin between the times -3 and 3: F3 holds, and the origin has the two preimages -3 and 3",
                      shown=repr(TRIANGLE))
    grid = [(Fraction(a, 2), Fraction(b, 2)) for a, b in itertools.product(range(-8, 9), repeat=2)]
    values = [tip(*z) for z in grid]
    on.printed.refute(np.array_equal(TIP(np.array(grid, dtype=float)), np.array(values, dtype=float))
                      and [z for z, v in zip(grid, values, strict=True) if v == (0, 0)] == [(0, 0), (2, 2)]
                      and check(Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), TIP))["F3"].status is Status.HOLDS,
                      "a ReLU network from the plane to the plane: f(a, b) = (S(a) - t, S(b) - t) with t = min(1, "
                      "max(|a|, |b|)) and S(a) the excess of a over the interval from -1 to 1. F3 holds, and f = 0 "
                      "where t = 0 or S(a) = S(b) = t = 1: at (0, 0) and (2, 2) only", shown=repr(TIP))
    on.corrected.search(cases=300)
