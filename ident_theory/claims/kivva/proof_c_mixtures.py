"""Appendices B and C: the law of the latent up to an affine map."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_line import (
    LineMap,
    equal_laws,
    is_weakly_injective,
    line_map,
    marks,
    pieces_of,
    preimages,
    printed_weak_injectivity,
    with_value,
    written,
)
from ident_theory.claims.kivva.proof_c_pairs import (
    HYPOTHESES,
    Pair,
    is_definite,
    is_reduced,
    line_pairs,
    listed,
    matched,
    mixtures,
    positive,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Evidence, Status

chapter = Chapter(KIVVA)

HALF = Fraction(1, 2)
IDENTITY = PiecewiseAffineMap([], [1], [0])
ABSOLUTE = line_map([0], [-1, 1])
#: Two priors that \|z\| does not tell apart and no affine map relates.
LEFT, RIGHT = (GaussianMixture(["1/2", "1/2"], [mean, 1], [1, 1]) for mean in (-2, 2))
#: \|z\| with the one value f(0) = -1, which makes -1 an isolated value that is taken once.
PUNCTURED = with_value(pieces_of(ABSOLUTE), Fraction(0), Fraction(-1))


def off_the_image() -> bool:
    """Whether \\|z\\| with LEFT and RIGHT refutes what asks for a ball only: it may lie where \\|z\\| has no values."""
    f, x = pieces_of(ABSOLUTE), Fraction(-5)
    inside = [v for v in marks(f) if abs(v - x) <= 1]
    return (not inside and all(preimages(f, x + t) == [] for t in (-1, 0, 1)) and equal_laws(f, LEFT, f, RIGHT)
            and matched(LEFT, RIGHT) is False and is_reduced(LEFT) and is_reduced(RIGHT))


#: How the two counterexamples to a ball of values read the text.
OFF = ("as printed, the ball may lie off the image: |z| takes no value within 1 of -5, which is then no restriction; "
       "priors with means (-2, 1) and (2, 1), no affine map between them, give one law of |Z|")
ALONE = ("with x_0 a value, and a single point admitted as a piece: |z| with the one value f(0) = -1 takes one value "
         "within 1/2 of -1, once; priors with means (-2, 1) and (2, 1) have one law of f(Z)")


def isolated_value_counterexample(f: LineMap, x: Fraction) -> bool:
    """Whether (f, LEFT) and (f, RIGHT) meet F2 as printed at the value x, have one law, and no affine map relates."""
    return (printed_weak_injectivity(f, x, HALF) and equal_laws(f, LEFT, f, RIGHT)
            and matched(LEFT, RIGHT) is False)


@cache
def prior_is_determined() -> Universal[Pair]:
    """Theorem C.2 on the line, with a hypothesis of the corrected form on one of the two maps only."""
    names = ("equal laws", "weak injectivity", "reduced form", "definite covariances")
    return Universal(
        "equal laws of f(Z) and g(Z') and an interval of values that f or g takes once give an affine h that carries "
        "the components of Z to those of Z', weights included; m = n = 1, jumps and flat pieces allowed",
        line_pairs, lambda pair: matched(pair.p, pair.q), {name: HYPOTHESES[name] for name in names},
        ("weak injectivity", "reduced form", "definite covariances"), lambda pair: pair.show())


@dataclass(frozen=True)
class ModelPair:
    """Two models without noise."""

    first: Model
    second: Model


@st.composite
def model_pairs(draw: st.DrawFn, dropped: frozenset[str] = frozenset()) -> ModelPair:
    """Pairs on the line, and networks of two latents: injective ones, and ones with a coordinate folded."""
    line = draw(st.booleans())
    if line:
        return ModelPair(*draw(line_pairs(dropped)).models)
    entry = st.integers(-2, 2).map(Fraction)
    matrix = [[draw(entry) for _ in range(2)] for _ in range(2)]
    a = AffineChange(matrix, [0, 0]) if matrix[0][0] * matrix[1][1] != matrix[0][1] * matrix[1][0] else \
        AffineChange.identity(2)
    folded = draw(st.booleans()) if "weak injectivity" in dropped else False
    count = draw(st.integers(1, 3))
    means = [[draw(entry), draw(entry)] for _ in range(count)]
    variances = [[draw(positive), draw(positive)] for _ in range(count)]
    prior = GaussianMixture([Fraction(1, count)] * count, means, variances).reduced()
    other = prior
    if folded:  # (|z_1|, z_2): the sign of a first mean is lost
        decoder = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0] * 4, [0, 0]])
        flips = [draw(st.sampled_from([1, -1])) for _ in range(prior.n_components)]
        other = GaussianMixture(prior.weights_exact, [[s * u, v] for s, (u, v) in zip(flips, prior.means_exact,
                                                                                     strict=True)],
                                prior.covariances_exact.tolist()).reduced()
    else:
        rows = [[1, 0], [0, 1], [draw(entry), draw(entry)]]
        decoder = ReLUNetwork([rows, [[draw(entry) for _ in range(3)] for _ in range(3)]],
                              [[draw(entry) for _ in range(3)], [0, 0, 0]], draw(st.sampled_from([Fraction(1, 2), 0])))
    moved, prior = a.precompose(decoder), a.carry(prior)
    h = AffineChange([[draw(st.sampled_from([1, -1, 2])), draw(entry)], [0, draw(st.sampled_from([1, -1]))]],
                     [draw(entry), 0])
    other = h.carry(a.carry(other))
    if "reduced form" in dropped and draw(st.booleans()):
        w = other.weights_exact.tolist()
        other = GaussianMixture([w[0] / 3, 2 * w[0] / 3, *w[1:]], [other.means_exact[0].tolist(),
                                                                  *other.means_exact.tolist()],
                                [other.covariances_exact[0].tolist(), *other.covariances_exact.tolist()])
    return ModelPair(Model(prior, moved), Model(other, h.precompose(moved)))


def _weakly_injective(pair: ModelPair) -> bool:
    return check(pair.first, theorems=["kivva.thmC.1"])["F2"].status is Status.HOLDS


@cache
def model_is_determined() -> Universal[ModelPair]:
    """Theorem C.1 with one hidden variable, as a statement about models."""
    return Universal(
        "models of m = 1 or 2 latents with one law, P1, k = 1 and F2 have tables P(U, Z) that an affine map and a "
        "relabelling relate",
        model_pairs, lambda pair: matched(pair.first.mixture, pair.second.mixture), {
            "equal laws": lambda pair: equal_in_law(pair.first, pair.second).status is Status.HOLDS,
            "weak injectivity": _weakly_injective,
            "reduced form": lambda pair: is_reduced(pair.first.mixture) and is_reduced(pair.second.mixture),
        }, ("weak injectivity", "reduced form"), lambda pair: show_models(first=pair.first, second=pair.second))


def line_moments(p: GaussianMixture, order: int) -> list[Fraction]:
    """E Z^k for k = 1, ..., order: E Z^k = mu E Z^(k-1) + (k - 1) sigma^2 E Z^(k-2) for each component."""
    total = [Fraction(0)] * (order + 1)
    for w, mean, v in listed(p):
        own = [Fraction(1), mean]
        for k in range(2, order + 1):
            own.append(mean * own[-1] + (k - 1) * v * own[-2])
        total = [s + w * value for s, value in zip(total, own, strict=True)]
    return total[1:]


def _collapsed(p: GaussianMixture) -> GaussianMixture:
    """One normal component with the mean and the variance of a mixture."""
    first, second = line_moments(p, 2)
    return GaussianMixture([1], [first], [second - first**2])


@cache
def table_is_read_off() -> Universal[tuple[GaussianMixture, GaussianMixture]]:
    """Appendix B for one hidden variable; laws are compared by their moments, not by their components."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> tuple[GaussianMixture, GaussianMixture]:
        p = draw(mixtures())
        if draw(st.integers(0, 3)) == 0:  # another mixture, which may share mean and variance
            return p, draw(st.one_of(mixtures(), st.just(_collapsed(p))))
        order = draw(st.permutations(range(p.n_components)))
        rows = [(p.weights_exact[j], p.means_exact[j, 0], p.covariances_exact[j, 0, 0]) for j in order]
        split, part = draw(st.booleans()), draw(st.sampled_from([HALF, Fraction(3, 10)]))
        if dropped and split:
            w, mu, v = rows[0]
            rows[:1] = [(w * part, mu, v), (w * (1 - part), mu, v)]
        return p, GaussianMixture(*zip(*rows, strict=True))

    return Universal("mixtures of one law have one table (weight, component) up to the order of the states", cases,
                     lambda pair: listed(pair[0]) == listed(pair[1]),
                     {"one law": lambda pair: line_moments(pair[0], 12) == line_moments(pair[1], 12),
                      "reduced form": lambda pair: is_reduced(pair[0]) and is_reduced(pair[1])},
                     ("one law", "reduced form"), lambda pair: repr(pair))


@chapter.claim(
    "kivva.b.k1", place="App. B, proof outline", kind=Kind.CLAIM, universal=table_is_read_off,
    statement="For a single hidden variable the joint law of (U, Z) can be read off the law of Z, because finite "
              "Gaussian mixtures are identifiable.",
    hypotheses=("k = 1", "P1, components non-degenerate"),
    correction=Correction("The joint law of (U, Z) can be read off up to a relabelling of the states when different "
                          "states have different components.", ("reduced form",)))
def joint_law_for_one_variable(on: Record) -> None:
    fair, biased = (GaussianMixture([w, 1 - w], [0, 0], [1, 1]) for w in (HALF, Fraction(3, 10)))
    on.printed.refute(line_moments(fair, 12) == line_moments(biased, 12) and listed(fair) != listed(biased)
                      and is_definite(fair) and is_definite(biased),
                      "two states with the component N(0, 1) each: P(U) = (1/2, 1/2) and (3/10, 7/10) give one P(Z)",
                      shown=f"{fair!r}\n{biased!r}")
    on.corrected.search(cases=200)


@chapter.claim(
    "kivva.thmC.1", place="App. C, Theorem C.1", kind=Kind.THEOREM, covers=("Theorem C.1",),
    universal=model_is_determined,
    statement="In model (3) with a weakly injective decoder the joint law of (U, Z) is determined by the law of X up "
              "to an affine map.",
    hypotheses=("P1, components non-degenerate", "F1", "F2"),
    correction=Correction("With one hidden variable, different components for different states, a noise of known law "
                          "and a set of values of positive measure that are taken once, P(U, Z) is determined up to "
                          "an affine map and a relabelling of the states.",
                          ("k = 1", "reduced form", "known noise law", "F2 on a set of positive measure")))
def joint_law_up_to_affine_maps(on: Record) -> None:
    fair, biased = (Model(GaussianMixture([w, 1 - w], [0, 0], [1, 1]), IDENTITY) for w in (HALF, Fraction(3, 10)))
    on.printed.refute(check(fair)["F2"].status is Status.HOLDS and equal_in_law(fair, biased).status is Status.HOLDS
                      and matched(fair.mixture, biased.mixture) is False,
                      "f = id, two equal components: weights (1/2, 1/2) and (3/10, 7/10) give one law of X",
                      shown=show_models(first=fair, second=biased))
    truth, other = (GaussianMixture(["1/2", "1/2"], [-1, 2], variances) for variances in ([1, 4], ["3/2", "9/2"]))
    noisy = [[v + s for v in p.covariances_exact[:, 0, 0]] for p, s in ((truth, 1), (other, HALF))]
    on.printed.refute(noisy[0] == noisy[1] and matched(truth, other) is False,
                      "f = id and noise whose variance is not given, as in (3): 1 with latent variances (1, 4), 1/2 "
                      "with (3/2, 9/2); X has variances (2, 5) both times", shown=f"{truth!r}\n{other!r}")
    on.printed.refute(off_the_image(), OFF, shown=f"f = |z|; {LEFT!r}; {RIGHT!r}")
    on.printed.refute(isolated_value_counterexample(PUNCTURED, Fraction(-1)), ALONE,
                      shown=f"f = {written(PUNCTURED)}; {LEFT!r}; {RIGHT!r}")
    on.corrected.search(cases=80)


@cache
def maps_with_jumps(full: bool) -> tuple[int, int, int, int]:
    """Pairs on a grid: all, those with F2, and those with F2 or at all whose law another prior has too."""
    offsets = (-2, 0, 2) if full else (0, 2)
    maps = [PiecewiseAffineMap([0, 2], slopes, list(shifts)) for slopes in itertools.product((-1, 1), repeat=3)
            for shifts in itertools.product(offsets, repeat=3)]
    priors = [GaussianMixture([w, 1 - w], means, [1, 1]) for w in (HALF, Fraction(1, 3))
              for means in ([-1, 1], [1, -1], [-1, 2], [1, 2], [1, -2])]
    classes: dict[Any, list[tuple[bool, GaussianMixture]]] = {}
    for f in maps:
        good, line = is_weakly_injective(pieces_of(f)), line_pieces(f)
        for p in priors:
            classes.setdefault(law_key(line, components_of(p)), []).append((good, p))
    exceptions = shared = 0
    for members in classes.values():
        for good, p in members:
            twin = any(matched(p, q) is False for _, q in members if q is not p)
            shared += twin
            exceptions += twin and good
    return len(maps) * len(priors), sum(good for members in classes.values() for good, _ in members), exceptions, shared


@chapter.claim(
    "kivva.thmC.2", place="App. C, Theorem C.2", kind=Kind.THEOREM, covers=("Theorem C.2",),
    universal=prior_is_determined,
    statement="If f and g are piecewise affine and weakly injective, and f(Y) and g(Y') are equally distributed for "
              "Gaussian mixtures Y and Y' in reduced form, an invertible affine map carries the components and the "
              "weights of Y to those of Y'.",
    hypotheses=("f and g piecewise affine with F2", "reduced form", "components non-degenerate", "m <= n"),
    correction=Correction("The same where one of the two maps takes a set of values of positive measure exactly once; "
                          "continuous maps with F2 around one of their values do.",
                          ("F2 on a set of positive measure, for one of the maps",)))
def mixtures_behind_piecewise_maps(on: Record) -> None:
    on.printed.refute(off_the_image(), OFF, shown=f"f = g = |z|; {LEFT!r}; {RIGHT!r}")
    on.printed.refute(isolated_value_counterexample(PUNCTURED, Fraction(-1)), ALONE,
                      shown=f"f = g = {written(PUNCTURED)}; {LEFT!r}; {RIGHT!r}")
    on.corrected.search(cases=250)
    pairs, weak, exceptions, shared = maps_with_jumps(on.effort.share == 1)
    on.corrected.support(exceptions == 0 < shared and 0 < weak < pairs,
                         f"all {pairs} pairs of a map with three pieces (breaks at 0 and 2, slopes +-1, jumps "
                         f"allowed) and a prior of two components on a grid, by their laws: {shared} share theirs "
                         f"with a prior that no affine map relates, none of the {weak} with F2", cases=pairs,
                         evidence=Evidence.EXACT)


@cache
def pushforward_is_linear() -> Universal[tuple[PiecewiseAffineMap, GaussianMixture]]:
    """The display after Theorem C.2."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> tuple[PiecewiseAffineMap, GaussianMixture]:
        pair = draw(line_pairs())
        return pair.f, pair.p

    def holds(case: tuple[PiecewiseAffineMap, GaussianMixture]) -> bool:
        f, prior = case
        together: tuple[Any, Any] = law_key(line_pieces(f), components_of(prior))  # type: ignore[assignment]
        sums: tuple[dict[Any, Fraction], dict[Any, Fraction]] = ({}, {})
        for w, mean, c in zip(prior.weights_exact, prior.means_exact, prior.covariances_exact, strict=True):
            alone: Any = law_key(line_pieces(f), components_of(GaussianMixture([1], [mean], [c])))
            for total, part in zip(sums, alone, strict=True):
                for name, (p, q) in part:
                    total[name] = total.get(name, Fraction(0)) + w * Fraction(p, q)
        return all({name: v for name, v in total.items() if v} == {name: Fraction(p, q) for name, (p, q) in part}
                   for total, part in zip(sums, together, strict=True))

    return Universal("the law of f(Z) is the mixture of the laws of f(Z_j) over the components", cases, holds,
                     show=repr)


@chapter.claim(
    "kivva.C.linear", place="App. C, display after Theorem C.2", kind=Kind.IDENTITY, universal=pushforward_is_linear,
    statement="The sum over j from 1 to J of lambda_k times the image of N(mu_k, sigma_k) is the law of the image of "
              "the mixture.",
    correction=Correction("The sum over j of lambda_j times the image of N(mu_j, Sigma_j) is the law of the image of "
                          "the mixture.", notational=True))
def image_of_a_mixture(on: Record) -> None:
    weights = [Fraction(1, 4), Fraction(3, 4)]
    masses = [len(weights) * w for w in weights]
    on.printed.refute(all(mass != 1 for mass in masses),
                      f"the index of the terms is not that of the sum: with weights (1/4, 3/4) the left side has mass "
                      f"J lambda_k = {', '.join(map(str, masses))} for k = 1, 2, and is no law", shown=f"{weights}")
    on.corrected.search(cases=150)
