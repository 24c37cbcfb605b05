"""Section 3.1: what is assumed of the decoder (Definition 3.1, Remarks 3.1 to 3.3, Example 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hierarchy_relations import affinely_related
from ident_theory.claims.kivva.injectivity_infinite import (
    crowded_ball,
    is_crossed,
    segments_of_round,
    signed_at,
    signed_place,
)
from ident_theory.claims.kivva.injectivity_lines import (
    Piece,
    coverage,
    infinite_values,
    inside,
    is_injective,
    is_observably_injective,
    is_weakly_injective,
    pieces_of,
    preimages,
)
from ident_theory.claims.kivva.injectivity_plane import generic_preimages, value
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.exact.findings import Finding
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Evidence, Status
from ident_theory.testing.strategies import piecewise_maps
from ident_theory.testing.strategies_networks import relu_networks

chapter = Chapter(KIVVA)

Decoder = PiecewiseAffineMap | ReLUNetwork
RELU = ReLUNetwork([[[1]], [[1]]], [[0], [0]])
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
#: ReLU(-ReLU(z)).
VANISHING = ReLUNetwork([[[1]], [[-1]], [[1]]], [[0], [0], [0]])
CONSTANT = PiecewiseAffineMap([], [0], [5])
#: f of (15): covered once outside [-2, 2], three times in between.
EXAMPLE_4 = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])

OWN: dict[str, Callable[[list[Piece]], bool]] = {
    "F2": is_weakly_injective, "F3": is_observably_injective, "F4": is_injective}


def holds(f: Decoder, condition: str) -> bool | None:
    """The toolkit's decision."""
    status = decoder_findings(f)[condition].status
    return None if status is Status.UNKNOWN else status is Status.HOLDS


def line_maps() -> st.SearchStrategy[Decoder]:
    """Maps of one latent, explicit ones (also with jumps) and networks of zero to three hidden layers."""
    return st.one_of(piecewise_maps((1, 2), (1, 5)), relu_networks(1, (1, 2), (0, 3), (1, 3)))


def show(f: Decoder) -> str:
    """A decoder as the section of a model file."""
    return str({"decoder": f.plain()})


def agreement(condition: str) -> Universal[Decoder]:
    """The toolkit decides a condition as the covering of the image does, over all maps of one latent."""
    return Universal(
        f"for one latent the toolkit's decision of {condition} is that of counting how often the image is covered",
        cases=lambda _: line_maps(),
        conclusion=lambda f: None if holds(f, condition) is None else holds(f, condition) == OWN[condition](
            pieces_of(f)), show=show)


def _places(f: ReLUNetwork, findings: dict[str, Finding]) -> list[list[Fraction]]:
    """Random points, and points near those that the toolkit names."""
    rng = Random(7)
    found = [[Fraction(rng.randint(-4000, 4000), 1009) for _ in range(f.latent_dim)] for _ in range(6)]
    for finding in findings.values():
        data = finding.proof.data if finding.proof is not None else {}
        for key in ("z", "other", "point"):
            named = [Fraction(str(v)) for v in data.get(key, [])]
            found += [[v + Fraction(3 + j, scale) for j, v in enumerate(named)] for scale in (10**4, 10**7) if named]
    return found


def _fits(f: ReLUNetwork) -> bool | None:
    """Whether preimages counted at some points are what each decision says, both ways."""
    findings = decoder_findings(f)
    weak, observable, injective = (findings[name].status for name in OWN)
    counts = {generic_preimages(f, z) for z in _places(f, {name: findings[name] for name in ("F2", "F3")})} - {None}
    proof = findings["F4"].proof
    if injective is Status.FAILS and proof is not None and proof.kind == "decoder.collision":
        z, other = ([Fraction(str(v)) for v in proof.data[key]] for key in ("z", "other"))
        if z == other or value(f, z) != value(f, other):
            return False
    if not counts or Status.UNKNOWN in (weak, observable, injective):
        return None
    return (counts == {1}) == (observable is Status.HOLDS) and (1 in counts) == (weak is Status.HOLDS) and (
        injective is Status.FAILS or counts == {1})


def _plane_networks() -> st.SearchStrategy[ReLUNetwork]:
    slopes = st.sampled_from([0, 0, Fraction(1, 100), Fraction(1, 2), 2])
    widths = [(2, 2, 2), (2, 3, 2), (2, 3, 3), (2, 2, 3), (2, 4, 2), (2, 2, 2, 2), (2, 1, 2), (2, 2)]
    return st.sampled_from(widths).flatmap(lambda found: _of_widths(found, slopes))


def plane_agreement() -> Universal[ReLUNetwork]:
    """The same for two latents, where the other route solves for preimages in every activation pattern."""
    return Universal("for two latents preimages counted by activation patterns are one everywhere, or one somewhere, "
                     "where the toolkit says F3, or F2, and only there", cases=lambda _: _plane_networks(),
                     conclusion=_fits, show=show)


def _plane_implication(stronger: str, weaker: str) -> Universal[ReLUNetwork]:
    """For two latents: the hypothesis by the toolkit, the conclusion by counting preimages."""
    return Universal(
        f"for two latents {stronger} implies {weaker}: values in general position have one preimage",
        cases=lambda _: _plane_networks(), hypotheses={stronger: lambda f: bool(holds(f, stronger))},
        conclusion=lambda f: {generic_preimages(f, z) for z in _places(f, {})} <= {1, None}, needed=(stronger,),
        show=show)


def passes_as_printed(f: Decoder) -> bool:
    """(i) of F2 read literally, for finitely many pieces: some ball of R^n holds no value with two preimages.

    A ball that misses the image will do, and there is one unless the image is dense.
    """
    pieces = pieces_of(f)
    if f.observed_dim > 1:
        return True
    spans = [piece.span for piece in pieces if not piece.is_flat]
    ends: list[Fraction | None] = [None, *sorted({s for span in spans for s in span if s is not None}), None]
    covered = [[(low is None or low < at) and (high is None or at < high) for low, high in spans]
               for at in (inside(a, b) for a, b in pairwise(ends))]
    misses = not all(map(any, covered))
    return misses or is_weakly_injective(pieces)


def _image_dimension(f: Decoder) -> int:
    """0 or 1, by the toolkit's pieces; finitely many values are null in an image of dimension 1."""
    found = line_pieces(f)
    return int(not all(found.is_flat(k) for k in range(found.n_pieces)))


def _weak() -> Universal[Decoder]:
    return Universal(
        "if a ball meets the image in values with one preimage only, the values with infinitely many are null in the "
        "image", cases=lambda _: line_maps(),
        conclusion=lambda f: not infinite_values(pieces_of(f)) or _image_dimension(f) > 0,
        hypotheses={"a ball covered at most once": passes_as_printed,
                    "centre in the image and positive measure": lambda f: is_weakly_injective(pieces_of(f))},
        needed=("centre in the image and positive measure",), show=show)


@chapter.claim(
    "kivva.def3.1.F2", place="Definition 3.1 (F2)", kind=Kind.DEFINITION, covers=("Definition 3.1",),
    statement="Weak injectivity: (i) there are x_0 in R^n and a radius such that all values of f in that ball have one "
              "preimage, (ii) the values with infinitely many are null in the image; |z| and constants are not weakly "
              "injective.",
    correction=Correction("x_0 is a value of f and the ball meets the image in positive m-dimensional measure; then "
                          "(ii) follows from (i) where the pieces are finitely many.",
                          ("x_0 in the image", "positive measure of the image in the ball")),
    universal=_weak)
def weak_injectivity(on: Record) -> None:
    pieces = pieces_of(ABSOLUTE)
    ball = [Fraction(-6) + Fraction(k, 50) for k in range(101)]
    misses = all(preimages(pieces, (x,)) == [] for x in ball) and min(p.at(Fraction(0))[0] for p in pieces) == 0
    on.printed.refute(
        misses and passes_as_printed(ABSOLUTE) and not infinite_values(pieces) and set(coverage(pieces)) == {2},
        "f = |z| passes: the ball of radius 1 around x_0 = -5 contains no value of f, and no value has infinitely many "
        "preimages; yet every positive value has two", shown=show(ABSOLUTE))
    punctured = [replace(p, is_open=p.low is not None) for p in pieces]  # |z| but for z = 0, where f is -100
    around = [Fraction(-101) + Fraction(k, 50) for k in range(101)]
    on.printed.refute(
        all(preimages(punctured, (x,)) == [] for x in around) and preimages(punctured, (Fraction(0),)) == []
        and set(coverage(punctured)) == {2} and min(p.at(Fraction(0))[0] for p in pieces) > -99,
        "with x_0 in the image as well: f(z) = |z| but for f(0) = -100 passes with x_0 = -100, an isolated value whose "
        "one preimage is 0; every other value has two")
    on.corrected.search(cases=120)
    on.corrected.search(agreement("F2"), cases=120)
    on.corrected.search(plane_agreement(), cases=60)


@chapter.claim(
    "kivva.def3.1.F3", place="Definition 3.1 (F3)", kind=Kind.DEFINITION, covers=("Definition 3.1",),
    statement="Observable injectivity: the values with more than one preimage are null with respect to Lebesgue "
              "measure on the image; it implies weak injectivity.",
    hypotheses=("the measure on the image is m-dimensional",),
    correction=Correction("The measure is the Hausdorff measure of the dimension of the image itself.",
                          ("measure of dimension dim f(R^m)",), notational=True),
    universal=lambda: agreement("F3"))
def observable_injectivity(on: Record) -> None:
    flat = pieces_of(CONSTANT)
    one_dimensional = len(coverage(flat))  # parts of the image with positive length
    on.printed.refute(
        one_dimensional == 0 and preimages(flat, (Fraction(5),)) is None and not is_weakly_injective(flat),
        "the constant map: its one value has infinitely many preimages and is null in dimension m = 1, so it passes; "
        "but it covers nothing once", shown=show(CONSTANT))
    folded = PiecewiseAffineMap([0], [[-1, 0], [1, 0]], [[0, 0], [0, 0]])
    on.printed.refute(
        set(coverage(pieces_of(folded))) == {2} and {p.line for p in pieces_of(folded)} == {((1, 0), (0, 0))},
        "read as area instead: the image of z -> (|z|, 0) lies on one line and is null in the plane, so the map "
        "passes; but it covers nothing once", shown=show(folded))
    on.corrected.support(not is_observably_injective(flat) and holds(CONSTANT, "F3") is False,
                         "with the counting measure of a single point the constant map is not observably injective",
                         cases=1, evidence=Evidence.EXACT)
    on.corrected.search(cases=120)


@chapter.claim(
    "kivva.def3.1.F4", place="Definition 3.1 (F4)", kind=Kind.DEFINITION, covers=("Definition 3.1",),
    statement="Injectivity: every value has one preimage in all of R^m.", universal=lambda: agreement("F4"))
def injectivity(on: Record) -> None:
    on.printed.search(cases=120)
    on.printed.search(plane_agreement(), cases=60)


def _implication(stronger: str, weaker: str, needed: bool = True) -> Universal[Decoder]:
    """The hypothesis by counting, the conclusion by the toolkit."""
    return Universal(f"{stronger} implies {weaker} for finitely many affine pieces", cases=lambda _: line_maps(),
                     hypotheses={stronger: lambda f: OWN[stronger](pieces_of(f))},
                     conclusion=lambda f: holds(f, weaker), needed=(stronger,) if needed else (), show=show)


@chapter.claim("kivva.rem3.1a", place="Remark 3.1", kind=Kind.REMARK, covers=("Remark 3.1",),
               statement="An injective piecewise affine map is observably injective.", hypotheses=("F1",),
               universal=lambda: _implication("F4", "F3"))
def injective_is_observably_injective(on: Record) -> None:
    on.printed.search(cases=120)
    on.printed.search(_plane_implication("F4", "F3"), cases=40)


@chapter.claim(
    "kivva.rem3.1b", place="Remark 3.1", kind=Kind.REMARK, covers=("Remark 3.1",),
    statement="A piecewise affine map that is observably injective is weakly injective.", hypotheses=("F1",),
    correction=Correction("The same for finitely many polyhedral pieces.", ("finitely many pieces",)),
    universal=lambda: _implication("F3", "F2"))
def observably_is_weakly_injective(on: Record) -> None:
    balls = [crowded_ball(Fraction(k, 7), Fraction(1, 11 * abs(k) + 1)) for k in range(-20, 21)]
    on.printed.refute(
        all(balls) and all(signed_place(signed_at(k)) == k for k in range(200)),
        f"f(z) = z for z < 0 and f = r_k on [k, k + 1), with r_0, r_1, ... all rationals: the values with several "
        f"preimages are the countably many r_k, null in the image, but every ball of the line contains one: found in "
        f"all of {len(balls)} small balls, at the place k that inverting the enumeration gives. So F2 fails as printed "
        "and as corrected")
    crossings = []
    for place, (line, low, high) in enumerate(segment for i in range(6) for segment in segments_of_round(i)):
        a, b = Fraction(low), Fraction(high)
        crossings += [is_crossed(place % 2, line, a + (b - a) * k / 20, a + (b - a) * (k + 1) / 20) for k in range(20)]
    on.printed.refute(
        all(crossings) and len(crossings) == 6 * 6 * 20,
        "a continuous curve in the plane as well: segments along the axes on lines that are all different, so that "
        f"double points are countable, and long ones at every rational; each of {len(crossings)} stretches of its "
        "first segments is crossed")
    on.corrected.search(cases=120)
    on.corrected.search(_plane_implication("F3", "F2"), cases=40)


@chapter.claim("kivva.rem3.1c", place="Remark 3.1", kind=Kind.REMARK, covers=("Remark 3.1",),
               statement="Neither implication between injectivity, observable and weak injectivity can be reversed.")
def no_implication_reverses(on: Record) -> None:
    found = {name: [own(pieces_of(f)) for own in OWN.values()] for name, f in (("ReLU", RELU), ("f", EXAMPLE_4))}
    toolkit = {name: [holds(f, c) for c in OWN] for name, f in (("ReLU", RELU), ("f", EXAMPLE_4))}
    on.printed.prove(found == toolkit == {"ReLU": [True, True, False], "f": [True, False, False]},
                     "ReLU is observably injective and not injective; f of Example 4 is weakly injective and not "
                     f"observably, its image is covered {coverage(pieces_of(EXAMPLE_4))} times")


@chapter.claim("kivva.ex1a", place="Example 1", kind=Kind.EXAMPLE, covers=("Example 1",),
               statement="z -> ReLU(z) is observably injective and not injective: values y > 0 have one preimage; "
                         "ReLU(-ReLU(z)) vanishes.")
def relu_is_observably_injective(on: Record) -> None:
    pieces = pieces_of(RELU)
    on.printed.prove(
        is_observably_injective(pieces) and not is_injective(pieces) and preimages(pieces, (Fraction(0),)) is None
        and infinite_values(pieces) == {(Fraction(0),)} and coverage(pieces) == [1]
        and [(p.slope, p.intercept) for p in pieces_of(VANISHING)] == [((0,), (0,))],
        "one covered interval, (0, inf), covered once; the value 0 has a half line of preimages; the composition has "
        "one piece, with slope and value 0")


@chapter.claim("kivva.ex1b", place="Example 1", kind=Kind.EXAMPLE, covers=("Example 1",),
               statement="The constant 0 and |z| are not weakly injective.",
               scope="Weak injectivity as corrected (x_0 in the image); as printed |z| is weakly injective, see "
                     "kivva.def3.1.F2.")
def constants_and_the_absolute_value(on: Record) -> None:
    maps = (PiecewiseAffineMap([], [0], [0]), ABSOLUTE)
    on.printed.prove([coverage(pieces_of(f)) for f in maps] == [[], [2]]
                     and [holds(f, "F2") for f in maps] == [False, False],
                     "the constant covers nothing of positive length, |z| covers (0, inf) twice; the toolkit agrees")


def _generic() -> Universal[ReLUNetwork]:
    def networks(dropped: frozenset[str]) -> st.SearchStrategy[ReLUNetwork]:
        if "leaky or one hidden layer" in dropped:
            return st.integers(0, 10**6).map(lambda k: _two_to_one(Random(k)))
        slopes = [0, 0, Fraction(1, 100), Fraction(1, 2), 2]
        return st.sampled_from([(1, 1, 1), (1, 2, 2), (1, 2, 2, 2), (2, 2, 2), (2, 3, 3), (2, 2, 2, 3), (1, 1, 1, 1)]
                               ).flatmap(lambda widths: _of_widths(widths, st.sampled_from(slopes)))

    return Universal(
        "a network whose matrices have full column rank is observably injective if it is leaky, or has one hidden "
        "layer of ReLUs", cases=networks,
        hypotheses={"full column rank": lambda f: all(rank(w.tolist()) == w.shape[1] for w in f.weights_exact),
                    "leaky or one hidden layer": lambda f: f.negative_slope_exact > 0 or f.depth <= 2},
        conclusion=lambda f: is_observably_injective(pieces_of(f)) if f.latent_dim == 1 else holds(f, "F3"),
        needed=("full column rank", "leaky or one hidden layer"), show=show)


@st.composite
def _of_widths(draw: st.DrawFn, widths: tuple[int, ...], slopes: st.SearchStrategy) -> ReLUNetwork:
    entry = st.integers(-2, 2)
    weights = [[[draw(entry) for _ in range(a)] for _ in range(b)] for a, b in zip(widths, widths[1:], strict=False)]
    return ReLUNetwork(weights, [[draw(entry) for _ in range(b)] for b in widths[1:]], draw(slopes))


@chapter.claim(
    "kivva.rem3.2", place="Remark 3.2", kind=Kind.REMARK, covers=("Remark 3.2",),
    statement="ReLU and leaky ReLU networks of non-decreasing widths are observably injective for generic weights.",
    hypotheses=("widths do not decrease", "the image has dimension m"),
    correction=Correction("Leaky networks whose matrices have full column rank are; ReLU networks of one hidden layer "
                          "with such matrices are; deeper ReLU networks need more.",
                          ("leaky, or one hidden layer",)),
    universal=_generic)
def generic_networks(on: Record) -> None:
    nets = [_two_to_one(Random(k)) for k in range(40)]
    twice = [set(coverage(pieces_of(f))) == {2} and holds(f, "F2") is False for f in nets]
    ranks = [all(rank(w.tolist()) == w.shape[1] for w in f.weights_exact) for f in nets]
    on.printed.refute(
        all(twice) and all(ranks),
        f"networks 1-2-2-2 of ReLUs with these signs: first layer +, -; second layer (+, +; bias +) and (-, -; bias "
        f"-); the second unit never fires, the first folds the line. An open set of weights: {len(nets)} random ones "
        "have matrices of full rank, an image of dimension 1, and every part of it covered twice", shown=show(nets[0]))
    on.corrected.search(cases=120)


def _two_to_one(rng: Random) -> ReLUNetwork:
    def size() -> Fraction:
        return Fraction(rng.randint(20, 400), 101)

    return ReLUNetwork([[[size()], [-size()]], [[size(), size()], [-size(), -size()]],
                        [[1, Fraction(rng.randint(-100, 100), 101)], [Fraction(rng.randint(-30, 30), 101), 1]]],
                       [[-size(), -size()], [size(), -size()], [size(), -size()]])


def _overcomplete() -> Universal[ReLUNetwork]:
    return Universal("a network with more latents than observed coordinates is not weakly injective",
                     cases=lambda dropped: relu_networks(2, (1, 2) if dropped else 1, (0, 2), (1, 3), hidden=5),
                     hypotheses={"m > n": lambda f: f.latent_dim > f.observed_dim},
                     conclusion=lambda f: None if (found := holds(f, "F2")) is None else not found,
                     needed=("m > n",), show=show)


@chapter.claim(
    "kivva.rem3.3", place="Remark 3.3", kind=Kind.REMARK, covers=("Remark 3.3",),
    statement="With more latents than observations identifiability can fail: under f(x, y) = x any transformation of "
              "y leaves the law of f(Z) alone.", universal=_overcomplete)
def more_latents_than_observations(on: Record) -> None:
    f = ReLUNetwork([[[1, 0]]], [[0]])
    first = GaussianMixture(["1/2", "1/4", "1/4"], [[0, 0], [1, 0], [3, 1]], [[1, 1]] * 3)
    second = GaussianMixture(["1/2", "1/4", "1/4"], [[0, 0], [1, 5], [3, 1]], [[1, 1], [1, 2], [1, 1]])
    same = equal_in_law(Model(first, f), Model(second, f)).status is Status.HOLDS
    marginal = [{(m[0], c[0][0]): w for (m, c), w in prior.by_component().items()} for prior in (first, second)]
    x, y, change = sympy.Symbol("x"), sympy.Symbol("y"), sympy.Function("h")
    project = sympy.Matrix([[1, 0]])
    unchanged = project * sympy.Matrix([x, change(y)]) == project * sympy.Matrix([x, y])
    on.printed.prove(unchanged and same and marginal[0] == marginal[1] and affinely_related(first, second) is False,
                     "f(x, h(y)) = f(x, y) = x for a symbolic h; for instance, two mixtures of equal "
                     "x-marginals, whose variances of y are (1, 1, 1) and (1, 2, 1), have one law of f(Z), and no "
                     "affine map carries one to the other", Evidence.EXACT)
    on.printed.search(cases=100)
