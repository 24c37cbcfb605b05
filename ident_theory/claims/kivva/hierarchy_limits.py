"""Section 3.3: what is left without injectivity (Remarks 3.5 to 3.7), and that weak injectivity is not necessary."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, pairwise, product
from typing import Any

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hierarchy_cones import (
    LEFT,
    MIRROR,
    RIGHT,
    F,
    G,
    P,
    double_directions,
    mirrored_on_the_left,
)
from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, Pair, joined, loops, show, turned_pairs
from ident_theory.claims.kivva.hierarchy_relations import affinely_related, changes_of_the_line
from ident_theory.claims.kivva.injectivity_lines import (
    Piece,
    as_network,
    coverage,
    inside,
    is_observably_injective,
    is_weakly_injective,
    pieces_of,
    preimages,
    several_preimages,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation_priors import latent_relation
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.equality import equal_in_law
from ident_theory.laws.identity import Relation, compare, law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Status
from ident_theory.testing.strategies import models
from ident_theory.testing.strategies_networks import relu_networks

chapter = Chapter(KIVVA)

ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])


def _components(pieces: list[Piece]) -> list[tuple[Fraction | None, Fraction | None]]:
    """The intervals of the line off the closure of the points whose value has another preimage."""
    points = several_preimages(pieces)
    ends: list[Fraction | None] = [None, *sorted(points), None]
    flat = [p for p in pieces if p.is_flat]
    return [(a, b) for a, b in pairwise(ends) if not any(p.contains(inside(a, b)) for p in flat)]


def _agree(f: list[Piece], g: list[Piece], low: Fraction | None, high: Fraction | None) -> bool:
    """Whether two maps are the same between two points."""
    cuts = sorted({p.low for p in (*f, *g) if p.low is not None and (low is None or low < p.low)
                   and (high is None or p.low < high)})
    at = [inside(a, b) for a, b in pairwise([low, *cuts, high])]
    return all(len({(p.slope, p.intercept) for p in (*f, *g) if p.contains(z)}) == 1 for z in at)


def _by_components(pair: Pair) -> bool | None:
    """On each of those intervals some affine h with h#P = P' has f = g o h."""
    f, g = pair.decoders
    changes = changes_of_the_line(*pair.priors)
    if changes is None:
        return None
    back = [pieces_of(change.inverse().precompose(g)) for change in changes]
    own = pieces_of(f)
    return all(any(_agree(own, other, low, high) for other in back) for low, high in _components(own))


def _on_components() -> Universal[Pair]:
    # Observable injectivity only makes the components cover almost everything, so dropping it gives no counterexample.
    return Universal(
        "equal laws and continuous decoders, observably injective: on each component off the closure of the points "
        "with several preimages, some affine h with h#P = P' carries one decoder to the other",
        cases=lambda dropped: turned_pairs(dropped),
        hypotheses={"observably injective": lambda pair: all(is_observably_injective(pieces_of(f))
                                                             for f in pair.decoders),
                    **{name: HYPOTHESES[name] for name in ("continuous", "positive definite covariances",
                                                           "equal laws")}},
        conclusion=_by_components, needed=("continuous", "positive definite covariances"), show=show)


@chapter.claim(
    "kivva.rem3.5a", place="Remark 3.5", kind=Kind.REMARK, covers=("Remark 3.5",),
    statement="If f is observably injective, it is determined up to an affine map on every connected component of the "
              "complement of f^{-1}(S), S the values with several preimages.",
    hypotheses=("f continuous",),
    correction=Correction("The same with the closure of S in place of S.", ("S closed",)), universal=_on_components)
def components_of_the_complement(on: Record) -> None:
    shared = [double_directions(f) for f in (F, G)]
    ray = sympy.Matrix(P)
    right = [linear for rays, linear in F.cones() if {tuple(rays[:, 0]), tuple(rays[:, 1])} <= set(RIGHT)]
    same = [linear for rays, linear in G.cones() if {tuple(rays[:, 0]), tuple(rays[:, 1])} <= set(RIGHT)]
    flat = [linear for _, linear in F.cones() if linear.rank() == 1]
    on.printed.refute(
        all(found is not None and all(sympy.Matrix.hstack(x, ray).rank() == 1 for x in found) for found in shared)
        and mirrored_on_the_left() and right == same and all(linear.rank() == 2 for linear in right)
        and all(linear * sympy.Matrix([0, s]) == ray for linear, s in zip(flat, (1, -1), strict=True))
        and F.at(-3, 1) != G.at(-3, 1),
        "m = 2, n = 4, Z ~ N(0, I): f is linear between eight rays, S is the ray of p without 0, so f^{-1}(S) leaves "
        "the cones |v| < |u| together with 0, one component. g is f but for v turned round on the left cone, so f(Z) "
        "and g(Z) have one law; f = g is injective on the right cone, so an affine h with f = g o h on the component "
        "is the identity, but f(-3, 1) is not g(-3, 1)",
        shown=f"rays {(*RIGHT, *LEFT)}; f {F.values}; g {G.values}")
    halves = [all(f == g * h for (rays, f), (_, g) in zip(F.cones(), _matched(h), strict=True)
                  if {tuple(rays[:, 0]), tuple(rays[:, 1])} <= set(side))
              for side, h in ((RIGHT, sympy.eye(2)), (LEFT, MIRROR))]
    on.corrected.prove(all(halves), "the closure of S contains 0 = f(0), which separates the cones; on the right one "
                       "f = g, on the left one f(u, v) = g(u, -v)")
    on.corrected.search(cases=80)


def _matched(h: sympy.Matrix) -> list[tuple[sympy.Matrix, sympy.Matrix]]:
    """For each cone, the one of g that h carries it to."""
    cones = {frozenset((tuple(r[:, 0]), tuple(r[:, 1]))): (r, m) for r, m in G.cones()}
    return [cones.get(frozenset((tuple(h * r[:, 0]), tuple(h * r[:, 1]))), (r, sympy.zeros(4, 2)))
            for r, _ in F.cones()]


def _atoms() -> Universal[ReLUNetwork]:
    def maps(dropped: frozenset[str]) -> st.SearchStrategy[ReLUNetwork]:
        nets = relu_networks(1, 1, (0, 2), (1, 3), negative_slope=0)
        return st.one_of(nets, loops().map(as_network)) if "n = 1" in dropped else nets

    def all_atoms(f: ReLUNetwork) -> bool:
        pieces = pieces_of(f)
        return max(coverage(pieces), default=0) < 2 and all(
            preimages(pieces, next(p for p in pieces if p.contains(z)).at(z)) is None
            for z in several_preimages(pieces))

    return Universal("every value with several preimages has a half line or an interval of them, hence positive mass",
                     cases=maps, conclusion=all_atoms,
                     hypotheses={"n = 1": lambda f: f.observed_dim == 1,
                                 "observably injective": lambda f: is_observably_injective(pieces_of(f))},
                     needed=("n = 1", "observably injective"), show=lambda f: str({"decoder": f.plain()}))


@chapter.claim(
    "kivva.rem3.5b", place="Remark 3.5", kind=Kind.REMARK, covers=("Remark 3.5",),
    statement="For ReLU networks the points of S are atoms of P(X).", hypotheses=("f observably injective",),
    correction=Correction("For m = n = 1 they are.", ("m = n = 1",)), universal=_atoms)
def values_with_several_preimages(on: Record) -> None:
    f = ReLUNetwork([[[1, 0], [0, 1], [0, -1]], [[1, 0, 0], [0, 1, -1]]], [[0, 0, 0], [0, 0]])
    model = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), f)
    findings = decoder_findings(f)
    fibre = [tuple(f([[a, b]])[0]) for a, b in product((-1, -2), (0, 5))]
    u = sympy.Symbol("u", real=True)
    mass = sympy.integrate(sympy.exp(-u**2 / 2) / sympy.sqrt(2 * sympy.pi), (u, -sympy.oo, 0))
    # A definite normal law has no atoms under a linear map of rank one or more.
    no_atoms = sorted(cell.rank for cell in CellWalk(f)) == [1, 1, 2, 2]
    on.printed.refute(
        findings["F3"].status is Status.HOLDS and fibre[0] == fibre[2] and fibre[1] == fibre[3] and fibre[0] != fibre[1]
        and mass == sympy.Rational(1, 2) and no_atoms,
        "f(u, v) = (ReLU(u), v), Z ~ N(0, I): S is the line {0} x R, which has mass 1/2, but no point of it has any",
        shown=show_models(model=model))
    loop = as_network(joined_loop())
    crossing = several_preimages(pieces_of(loop))
    on.printed.refute(is_observably_injective(pieces_of(loop)) and len(crossing) == 2
                      and not any(p.is_flat for p in pieces_of(loop)),
                      "a network 1-5-2 that runs through the origin twice: S is one point with two preimages, of mass "
                      "zero", shown=str({"decoder": loop.plain()}))
    on.corrected.search(cases=100)


def joined_loop() -> PiecewiseAffineMap:
    """Through the origin at -1 and at 1, around a triangle in between."""
    third = Fraction(1, 3)
    return PiecewiseAffineMap([-1, -third, third, 1], [[1, 0], [0, 3], [3, 0], [-3, -3], [-1, -1]],
                              [[1, 0], [0, 3], [1, 2], [3, 3], [1, 1]])


@chapter.claim(
    "kivva.rem3.6", place="Remark 3.6, eq. 4", kind=Kind.REMARK, covers=("Remark 3.6",),
    statement="Without F2, Theorem 3.2 fails: under |z| the mixtures of three equal weights and variances with means "
              "(-2, -1, 3) and (-2, 1, 3) have one law of f(Z), and no affine map carries one to the other.")
def the_absolute_value_hides_a_sign(on: Record) -> None:
    x, s = sympy.symbols("x sigma", positive=True)

    def density(means: tuple[int, ...]) -> sympy.Expr:
        return sum(sympy.exp(-(y - mu)**2 / (2 * s**2)) for mu in means for y in (x, -x)) / (
            3 * s * sympy.sqrt(2 * sympy.pi))

    residual = sympy.simplify((density((-2, -1, 3)) - density((-2, 1, 3))).expand())
    gaps = [[b - a for a, b in pairwise(means)] for means in ((-2, -1, 3), (-2, 1, 3))]
    proportional = any(g[0] * h[1] == g[1] * h[0] for g, h in product(gaps[:1], (gaps[1], gaps[1][::-1])))
    on.printed.prove(residual == 0 and not proportional and not is_weakly_injective(pieces_of(ABSOLUTE)),
                     f"densities of |Z| on x > 0 are one function of x and sigma; gaps of the means {gaps[0]} and "
                     f"{gaps[1]} are not proportional in either order, and equal weights and variances leave no other "
                     "match")
    pair = [Model(GaussianMixture(["1/3"] * 3, means, [2, 2, 2]), ABSOLUTE) for means in ([-2, -1, 3], [-2, 1, 3])]
    two = [Model(GaussianMixture(["1/4", "3/4"], means, [1, 1]), ABSOLUTE) for means in ([-2, 1], [2, 1])]
    on.printed.prove(all(compare(*models).relation is Relation.LAW for models in (pair, two)),
                     "the toolkit says the same at sigma^2 = 2, and already of two components with means (-2, 1) and "
                     "(2, 1)")


Moved = tuple[Model, AffineChange]


@st.composite
def _moved(draw: st.DrawFn) -> Moved:
    m = draw(st.integers(1, 2))
    entry = st.integers(-2, 2)
    matrix = draw(st.lists(st.lists(entry, min_size=m, max_size=m), min_size=m, max_size=m).filter(
        lambda rows: sympy.Matrix(rows).det() != 0))
    model = draw(models(m, m if m == 2 else (1, 2), components=(1, 3), depth=(0, 2), width=(1, 3), noise="none",
                        degenerate=False))
    return model, AffineChange(matrix, [draw(entry) for _ in range(m)])


def _affine_freedom() -> Universal[Moved]:
    def same(case: Moved) -> bool | None:
        model, change = case
        other = Model(change.carry(model.mixture), change.precompose(model.decoder))  # type: ignore[arg-type]
        if model.latent_dim == 1:
            keys = [law_key(line_pieces(m.decoder), components_of(m.mixture))
                    for m in (model, other)]
            return keys[0] == keys[1]
        status = equal_in_law(model, other, budget=5.0).status
        return None if status is Status.UNKNOWN else status is Status.HOLDS

    return Universal("(P, f) and (h#P, f o h^{-1}) have one law of x for every invertible affine h", lambda _: _moved(),
                     same, show=lambda case: f"{show_models(model=case[0])}\n# {case[1]}")


@chapter.claim(
    "kivva.rem3.7", place="Remark 3.7", kind=Kind.REMARK, covers=("Remark 3.7",),
    statement="Under P1 alone an affine map of Z is the best that can be had: for every invertible affine h, h(Z) is a "
              "Gaussian mixture, and f o h^{-1} gives the same law of X.", universal=_affine_freedom)
def affine_maps_cannot_be_excluded(on: Record) -> None:
    prior = GaussianMixture(["1/2", "1/2"], [[0, 0], [1, 3]], [[[2, 1], [1, 2]], [[1, 0], [0, 1]]])
    change = AffineChange([[1, 1], [0, 1]], [0, 0])
    t = sympy.Matrix(sympy.symbols("t1 t2"))
    matrix = sympy.Matrix(2, 2, sympy.symbols("a b c d"))
    cov = sympy.Matrix([[sympy.Symbol("r"), sympy.Symbol("q")], [sympy.Symbol("q"), sympy.Symbol("w")]])
    mean, shift = sympy.Matrix(sympy.symbols("m1 m2")), sympy.Matrix(sympy.symbols("h1 h2"))

    def cumulants(arg: sympy.Matrix, mu: sympy.Matrix, sigma: sympy.Matrix) -> sympy.Expr:
        return ((arg.T * mu) + (arg.T * sigma * arg) / 2)[0]

    moved = (t.T * shift)[0] + cumulants(matrix.T * t, mean, cov)
    on.printed.support(
        sympy.expand(moved - cumulants(t, matrix * mean + shift, matrix * cov * matrix.T)) == 0
        and latent_relation(prior, change.carry(prior)).equivalence is Equivalence.AFFINE,
        "two latents, symbolic h: the cumulant function of h(Z) is that of N(A mu + b, A Sigma A^T); and for a shear "
        "of a correlated mixture no finer relation than an affine one is left", cases=1)
    on.printed.search(cases=80)


Measure = dict[tuple[Fraction, Fraction], Fraction]


def image(prior: GaussianMixture, slope: Any, intercept: Any = 0) -> Measure:
    """The components of slope Z + intercept, as a measure on (mean, variance)."""
    found: Measure = {}
    for (mean, covariance), w in prior.by_component().items():
        key = (slope * mean[0] + intercept, slope * slope * covariance[0][0])
        found[key] = found.get(key, Fraction(0)) + w
    return found


def splittings(total: Measure) -> Iterator[tuple[tuple[Fraction, Fraction], Measure | None]]:
    """All ways to write a measure as P' + A#P' with A(z) = a z + c other than the identity.

    None in place of P' where there is a whole interval of them. Variances have rational roots.
    """
    tried = set()
    for (mu, v), (nu, w) in product(total, repeat=2):
        root = sympy.sqrt(sympy.Rational(w.numerator * v.denominator, w.denominator * v.numerator))
        for a in (Fraction(int(root.p), int(root.q)), -Fraction(int(root.p), int(root.q))):
            change = (a, nu - a * mu)
            if change not in tried and change != (1, 0):
                tried.add(change)
                yield from ((change, part) for part in _split(total, change))


def _split(total: Measure, change: tuple[Fraction, Fraction]) -> Iterator[Measure | None]:
    a, c = change
    step = {key: (a * key[0] + c, a * a * key[1]) for key in total}
    part: Measure = {}
    interval = False
    for start in sorted(total, key=lambda key: key in step.values()):
        key, left = start, Fraction(0)
        while key in total and key not in part:
            if step[key] == key:
                part[key] = total[key] / 2
                break
            if step.get(step[key]) == key:  # a mirrored pair: any share, if the two weigh the same
                if total[key] != total[step[key]]:
                    return
                interval = True
                part[key], part[step[key]] = total[key], Fraction(0)
                break
            part[key] = total[key] - left
            left, key = part[key], step[key]
        else:
            if left:
                return
    if min(part.values()) >= 0:
        yield None if interval else {key: w for key, w in part.items() if w}


def _as_prior(measure: Measure) -> GaussianMixture:
    return GaussianMixture(list(measure.values()), [key[0] for key in measure], [key[1] for key in measure])


@chapter.claim(
    "kivva.f2.notnecessary", place="around Theorem C.1", kind=Kind.ADDED,
    statement="Weak injectivity is sufficient, not necessary: under the V with slopes -1 and 2, P = 1/4 N(-2, 1) + 3/4 "
              "N(1, 1) is determined up to an affine map among all mixtures and all maps with finitely many pieces; "
              "1/2 N(-1, 1) + 1/2 N(1, 1) is not.",
    hypotheses=("positive definite covariances", "known noise"),
    scope="That any other map has two preimages where the density has total weight 2 is Lemma C.5, a claim by itself.")
def weak_injectivity_is_not_necessary(on: Record) -> None:
    v_shape = joined([0], [-1, 2])
    skew, even = (GaussianMixture(w, mu, [1, 1]) for w, mu in ((["1/4", "3/4"], [-2, 1]), (["1/2", "1/2"], [-1, 1])))
    totals = []
    for prior in (skew, even):
        parts = image(prior, -1), image(prior, 2)
        totals.append({key: parts[0].get(key, Fraction(0)) + parts[1].get(key, Fraction(0))
                       for key in parts[0] | parts[1]})
    ways = [list(splittings(total)) for total in totals]
    on.printed.prove(
        coverage(pieces_of(v_shape)) == [2] and sum(totals[0].values()) == 2 and len(ways[0]) >= 2
        and all(part is not None and affinely_related(_as_prior(part), skew) for _, part in ways[0]),
        "on (0, inf) the law has total weight 2, so any other map has two preimages there, away from its kinks, and "
        "the components form P' + A#P' up to an affine map; all "
        f"{len(ways[0])} such splittings, found by following A, are affine images of P")
    twin = GaussianMixture(["1/2", "1/2"], [-1, 2], [1, 4])
    relation = compare(Model(even, v_shape), Model(twin, ABSOLUTE)).relation
    on.printed.prove(
        relation is Relation.LAW and affinely_related(twin, even) is False and any(
            part is None or affinely_related(_as_prior(part), even) is False for _, part in ways[1]),
        "1/2 N(-1, 1) + 1/2 N(1, 1) under the same V has the law of |Z'|, Z' ~ 1/2 N(-1, 1) + 1/2 N(2, 4)")
    flipped = [Model(GaussianMixture(["1/4", "3/4"], mu, [1, 1]), v_shape) for mu in ([-2, 1], [2, 1], [-2, -1])]
    on.printed.prove(all(compare(a, b).relation is Relation.DIFFERENT for a, b in combinations(flipped, 2)),
                     "turning one mean round, as under |z|, changes the law")
