"""Appendix J.1: the loss dist_Aff,L2."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, ctx, fmpq, fmpq_mat
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.exact.rationals import rational, to_flint
from ident_theory.metrics.affine import affine_distance, l2_distance
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.numerics import Evidence
from ident_theory.recovery.alignment_exact import exact_alignments

chapter = Chapter(KIVVA)

Line = list[tuple[fmpq, fmpq, fmpq]]


def line(*parts: tuple[Any, Any, Any]) -> Line:
    """A mixture on the line as weights, means and variances."""
    return [(rational(Fraction(w)), rational(Fraction(mu)), rational(Fraction(v))) for w, mu, v in parts]


def inner(p: Line, q: Line) -> arb:
    """The integral of the product of two densities on the line, as a ball."""
    total = arb(0)
    for (u, a, s), (v, b, t) in product(p, q):
        total += arb(u * v) * (-arb((a - b) ** 2 / (2 * (s + t)))).exp() / (2 * arb.pi() * arb(s + t)).sqrt()
    return total


def loss(p: Line, q: Line) -> arb:
    """The normalised L2 distance without alignment, as a ball."""
    a, b = inner(p, p), inner(q, q)
    return ((a + b - 2 * inner(p, q)) / (a * b).sqrt()).sqrt()


ENTRY = st.sampled_from([Fraction(v) for v in (0, 1, -1, 2, -3)] + [Fraction(1, 2), Fraction(1, 10), Fraction(30)])


@st.composite
def mixtures(draw: Any, m: int, definite: bool = True) -> GaussianMixture:
    """A mixture of one to three components; means often equal, covariances of all scales."""
    count = draw(st.integers(1, 3))
    parts = [draw(st.integers(1, 3)) for _ in range(count)]
    weights = [Fraction(v, sum(parts)) for v in parts]
    means = [[draw(ENTRY) for _ in range(m)] for _ in range(count)]
    covariances = []
    for _ in range(count):
        root = np.array([[draw(ENTRY) if i >= j else Fraction(0) for j in range(m)] for i in range(m)], dtype=object)
        for i in range(m if definite else 0):
            root[i, i] = root[i, i] or Fraction(1)
        covariances.append((root @ root.T).tolist())
    return GaussianMixture(weights, means, covariances)


@dataclass(frozen=True)
class Pair:
    """Two mixtures, with maps h and k of the latent."""

    p: GaussianMixture
    q: GaussianMixture
    h: AffineChange
    k: AffineChange

    def show(self) -> str:
        """As constructor calls."""
        return f"p = {self.p!r}\nq = {self.q!r}\nh: {self.h}\nk: {self.k}"


def is_definite(p: GaussianMixture) -> bool:
    """Whether every covariance is invertible."""
    return all(to_flint(c).det() != 0 for c in p.covariances_exact)


def pairs(dropped: frozenset[str]) -> st.SearchStrategy[Pair]:
    """Two mixtures of one dimension, and one or two maps."""
    @st.composite
    def draw_pairs(draw: Any) -> Pair:
        m = draw(st.integers(1, 2))
        definite = "definite covariances" not in dropped
        maps = []
        for _ in range(2):
            matrix = [[draw(ENTRY) for _ in range(m)] for _ in range(m)]
            if fmpq_mat(m, m, [rational(v) for row in matrix for v in row]).det() == 0:
                matrix = [[Fraction(int(i == j) * draw(st.sampled_from([1, -1, 2]))) for j in range(m)]
                          for i in range(m)]
            maps.append(AffineChange(matrix, [draw(ENTRY) for _ in range(m)]))
        return Pair(draw(mixtures(m, definite)), draw(mixtures(m, definite)), maps[0],
                    maps[1] if "one map for both" in dropped else maps[0])

    return draw_pairs()


def terms(p: GaussianMixture, q: GaussianMixture) -> list[tuple[Any, fmpq, fmpq]]:
    """Weight, quadratic form and determinant of every term of the inner product; together they give it."""
    found = []
    for (u, a, s), (v, b, t) in product(zip(p.weights_exact, p.means_exact, p.covariances_exact, strict=True),
                                        zip(q.weights_exact, q.means_exact, q.covariances_exact, strict=True)):
        both, gap = to_flint(s + t), to_flint((a - b)[:, None])
        found.append((u * v, (gap.transpose() * both.solve(gap))[0, 0], both.det()))
    return found


def has_finite_norm(p: GaussianMixture) -> bool:
    """Whether the density is in L2: no term of its product with itself is a normal density without width."""
    return all(to_flint(s + t).rank() == p.latent_dim for s, t in product(p.covariances_exact, repeat=2))


def inner_of(p: GaussianMixture, q: GaussianMixture) -> arb:
    """The inner product of two densities, as a ball."""
    scale = (2 * arb.pi()) ** (arb(p.latent_dim) / 2)
    return sum((arb(rational(w)) * (-arb(form) / 2).exp() / arb(det).sqrt() for w, form, det in terms(p, q)),
               arb(0)) / scale


def reaches_less_than_root_two(case: Pair) -> bool | None:
    """Whether a map that makes the norms equal up to rounding brings the loss below sqrt 2."""
    if not (has_finite_norm(case.p) and has_finite_norm(case.q)):
        return False  # no loss at all: every invertible map leaves the norm infinite
    m = case.p.latent_dim
    with ctx.workprec(200):
        ratio = (inner_of(case.p, case.p) / inner_of(case.q, case.q)) ** (arb(1) / m)
        scale = Fraction(float(ratio))
        near = [case.p.means_exact[0].tolist(), case.q.means_exact[0].tolist()]
        h = AffineChange([[scale if i == j else 0 for j in range(m)] for i in range(m)],
                         [b - scale * a for a, b in zip(*near, strict=True)])
        image = h.carry(case.p)
        a, b, c = inner_of(image, image), inner_of(case.q, case.q), inner_of(image, case.q)
        square = (a + b - 2 * c) / (a * b).sqrt()
        return True if square < 2 else False if square >= 2 else None


@chapter.claim(
    "kivva.distaff", place="App. J.1, (34)", kind=Kind.DEFINITION,
    statement="dist_Aff,L2 of two mixtures is the minimum, over all affine maps A of the latent space, of the L2 "
              "distance of the densities of A#p1 and p2 over the root of the product of their norms.",
    hypotheses=("p1 and p2 are Gaussian mixtures on one space", "A ranges over all affine maps, singular ones too"),
    correction=Correction("The maps are invertible; the infimum then lies in [0, sqrt 2).",
                          hypotheses=("A is invertible", "the covariances are definite")),
    universal=lambda: Universal("some invertible affine map brings the loss below sqrt 2", pairs,
                                reaches_less_than_root_two,
                                {"definite covariances": lambda case: is_definite(case.p) and is_definite(case.q)},
                                needed=("definite covariances",), show=Pair.show, evidence=Evidence.CERTIFIED),
    scope="that the minimum is attained: a loss below sqrt 2 bounds the determinant and keeps the mixtures overlapping")
def definition_of_the_loss(on: Record) -> None:
    scale, norm = sp.symbols("a n", positive=True)
    cosine = sp.Symbol("c", nonnegative=True)
    ratio = norm / sp.sqrt(scale)  # |A#p| / |q|, for |p| / |q| = n and determinant a
    square = ratio + 1 / ratio - 2 * cosine
    on.printed.refute(sp.limit(square.subs(cosine, sp.Rational(1)), scale, 0) == sp.oo,
                      "A = 0 is affine; it takes N(0, 1) to a point mass, which has no density, and the loss tends to "
                      "infinity on the way there, as the norm of A#p grows like |det A|^(-1/2)",
                      shown="p1 = p2 = N(0, 1), A(z) = 0")
    best = sp.solve(sp.diff(square, scale), scale)
    on.corrected.support(best == [norm**2] and sp.simplify(square.subs(scale, norm**2) - (2 - 2 * cosine)) == 0,
                         "squared, the loss is r + 1/r - 2 c with the ratio r of the norms and the cosine c > 0; at "
                         "equal norms 2 - 2 c", cases=1, evidence=Evidence.EXACT)
    on.corrected.search(cases=100)


def trapezoid(p: GaussianMixture, q: GaussianMixture) -> float:
    """The loss by the trapezoidal rule, m = 1 or 2."""
    m = p.latent_dim
    axis = np.linspace(-14, 14, 561)
    points = np.stack(np.meshgrid(*[axis] * m, indexing="ij"), axis=-1).reshape(-1, m)
    values = []
    for mixture in (p, q):
        total = np.zeros(len(points))
        for w, mean, c in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
            gap = points - mean
            form = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(c), gap)
            total += w * np.exp(-form / 2) / np.sqrt((2 * np.pi) ** m * np.linalg.det(c))
        values.append(total)
    cell = (axis[1] - axis[0]) ** m
    one, two = (np.sqrt(np.sum(v**2) * cell) for v in values)
    return float(np.sqrt(np.sum((values[0] - values[1]) ** 2) * cell / (one * two)))


@chapter.claim(
    "kivva.distaff.closed", place="App. J.1", kind=Kind.CLAIM,
    statement="Unlike other distances of mixtures, Delta_L2 has a closed form: the inner product of two densities is "
              "the sum over pairs of components of their weights times the normal density of one mean about the other, "
              "with the sum of both covariances.",
    hypotheses=("the covariances are definite",),
    scope="that total variation and relative entropy have none; the identity is proved on the line, and m > 1 follows "
          "in coordinates in which both covariances are diagonal")
def closed_form(on: Record) -> None:
    x, mu, nu = sp.symbols("x mu nu", real=True)
    s, t = sp.symbols("s t", positive=True)
    spread = sp.sqrt(s**2 * t**2 / (s**2 + t**2))
    middle = (mu * t**2 + nu * s**2) / (s**2 + t**2)

    def exponent(at: Any, mean: Any, variance: Any) -> Any:
        return (at - mean) ** 2 / variance

    square = exponent(x, mu, s**2) + exponent(x, nu, t**2) - exponent(mu, nu, s**2 + t**2) \
        - exponent(x, middle, spread**2)
    factor = s * t - spread * sp.sqrt(s**2 + t**2)
    on.printed.prove(sp.simplify(square) == 0 and sp.simplify(factor) == 0,
                     "N(x; mu, s^2) N(x; nu, t^2) = N(mu; nu, s^2 + t^2) N(x; ., .) for generic numbers, and the last "
                     "factor integrates to one")
    rng = np.random.default_rng(0)
    gaps = []
    for m in (1, 1, 1, 2, 2):
        drawn = []
        for _ in range(2):
            roots = rng.normal(size=(2, m, m))
            drawn.append(GaussianMixture([0.25, 0.75], rng.normal(size=(2, m)),
                                         roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(m)))
        a, b, c = (inner_of(*pair) for pair in ((drawn[0],) * 2, (drawn[1],) * 2, drawn))
        by_balls = float((((a + b - 2 * c) / (a * b).sqrt()).sqrt()).mid())
        direct = trapezoid(*drawn)
        gaps.append(max(abs(l2_distance(*drawn) - direct), abs(by_balls - direct)))
    on.printed.support(max(gaps) < 1e-9, "the sum over pairs of components, here and in the toolkit, against the "
                       f"trapezoidal rule: {max(gaps):.1e} at most", cases=len(gaps))


def is_invariant(case: Pair) -> bool:
    """Whether all terms of all inner products are kept, up to the common factor |det h|."""
    images = case.h.carry(case.p), case.k.carry(case.q)
    square = to_flint(case.h.matrix_exact).det() ** 2
    before = [terms(a, b) for a, b in product((case.p, case.q), repeat=2)]
    after = [[(w, form, det / square) for w, form, det in terms(a, b)] for a, b in product(images, repeat=2)]
    return before == after


@chapter.claim(
    "kivva.distaff.inv", place="App. J.1, (34)", kind=Kind.CLAIM,
    statement="The loss depends on the affine classes of the two mixtures alone, is symmetric, and vanishes exactly "
              "for affinely equivalent mixtures.",
    hypotheses=("the maps are invertible", "the covariances are definite"),
    universal=lambda: Universal("one map of both multiplies all inner products of their densities by 1/|det h|",
                                pairs, is_invariant, {"one map for both": lambda case: case.h == case.k},
                                needed=("one map for both",), show=Pair.show))
def invariance_of_the_loss(on: Record) -> None:
    on.printed.search(cases=200)
    rng = np.random.default_rng(1)
    outcomes, equivalents = [], []
    for number in range(2):
        means, variances = rng.integers(-3, 4, (2, 1)), rng.integers(1, 5, (2, 1))
        p = GaussianMixture(["1/4", "3/4"], means.tolist(), variances.tolist())
        h = AffineChange([[-3]], [1])
        q = h.carry(p)
        if number % 2:  # one mean elsewhere
            q = GaussianMixture(q.weights_exact, [q.means_exact[0].tolist(), (q.means_exact[1] + 1).tolist()],
                                q.covariances_exact.tolist())
        equivalent = exact_alignments(p, q).exist
        there, back = (float(affine_distance(*order, restarts=0)) for order in ((p, q), (q, p)))
        equivalents.append(equivalent)
        outcomes.append((there == 0) == equivalent and (equivalent or there > 1e-3) and abs(there - back) < 1e-9)
    on.printed.support(all(outcomes) and len(set(equivalents)) == 2, "a copy, and one with a mean moved, against the "
                       "exact decision about maps; the same value both ways", cases=len(outcomes))


@chapter.claim(
    "kivva.distaff.unaligned", place="App. J.1", kind=Kind.ADDED,
    statement="Delta_L2 itself, without alignment, violates the triangle inequality.",
    hypotheses=("one latent",))
def unaligned_triangle(on: Record) -> None:
    with ctx.workprec(100):
        narrow, middle, wide = (line((1, 0, 16 ** (2 * k))) for k in range(3))
        short, long = loss(narrow, middle) + loss(middle, wide), loss(narrow, wide)
        on.printed.prove(bool(short < long), f"N(0, 1), N(0, 16^2), N(0, 16^4): {short.str(6)} < {long.str(6)}",
                         Evidence.CERTIFIED)


#: Two narrow peaks far apart with weight w, and the rest so wide that it hardly counts in L2.
PEAK, WIDTH = 6, 10**6
#: Below the loss of the outer two after any alignment, above the sum of the two losses on the way.
BETWEEN = Fraction(95, 100)
#: Boxes of maps to look at before giving up; some hundred are needed.
MOST_BOXES = 2000


def peaks(w: Fraction) -> Line:
    """The mixture with weight w on the peaks."""
    return line((w / 2, -PEAK, 1), (w / 2, PEAK, 1), *([(1 - w, 0, WIDTH**2)] if w < 1 else []))


def loss_stays_above(w: Fraction, bound: Fraction) -> tuple[bool, int]:
    """Whether every alignment of the peaks of weight one with those of weight w leaves a loss above the bound.

    The squared loss is r + 1/r - 2 c with the ratio r of the norms, which depends on the scale k of z -> k z + t alone,
    and the cosine c, of which the wide component makes up at most its share of the norm. Both mixtures are symmetric,
    so k > 0 and t >= 0 will do. Boxes of (k, t) are halved until balls decide each; the number of boxes is returned.
    """
    square = arb(rational(bound)) ** 2
    first, second = peaks(Fraction(1)), peaks(w)
    norm, other = inner(first, first).sqrt(), inner(second, second).sqrt()
    share = inner(second[2:], second[2:]).sqrt() / other
    amount = second[0][0] / (norm * other) / 2  # weights of a pair of peaks, over the norms at k = 1

    def ends(low: fmpq, high: fmpq) -> arb:
        """The least r + 1/r for k in an interval."""
        one, two = norm / (other * arb(high).sqrt()), norm / (other * arb(low).sqrt())
        return one + 1 / one if one > 1 else two + 1 / two if two < 1 else arb(2)

    def cosine(low: fmpq, high: fmpq, left: fmpq, right: fmpq | None) -> arb:
        """An upper bound of c on a box; right None is infinity."""
        total = arb(0)
        for mu, nu in product((-PEAK, PEAK), repeat=2):
            least = min(low * mu, high * mu) + left - nu
            most = None if right is None else max(low * mu, high * mu) + right - nu
            gap = least if least > 0 else -most if most is not None and most < 0 else fmpq(0)
            total += (-arb(gap * gap / (2 * (high * high + 1)))).exp()
        return total * amount * (arb(high) / (2 * arb.pi() * arb(low * low + 1))).sqrt() + share

    # Beyond these scales r + 1/r alone is enough.
    low, high = fmpq(1, 100), fmpq(100)
    if not (ends(fmpq(1, 10**6), low) - 2 > square and ends(high, fmpq(10**6)) - 2 > square):
        return False, 0
    count, boxes = 0, [(low, high, fmpq(0), fmpq(1000)), (low, high, fmpq(1000), None)]
    while boxes:
        a, b, left, right = boxes.pop()
        count += 1
        if count > MOST_BOXES:
            return False, count
        if ends(a, b) - 2 > square or ends(a, b) - 2 * cosine(a, b, left, right) > square:
            continue
        if right is None or (b - a) * PEAK > right - left:
            middle = (a + b) / 2
            boxes += [(a, middle, left, right), (middle, b, left, right)]
        else:
            middle = (left + right) / 2
            boxes += [(a, b, left, middle), (a, b, middle, right)]
    return True, count


@chapter.claim(
    "kivva.distaff.metric", place="App. J.1", kind=Kind.ADDED,
    statement="dist_Aff,L2, which the paper calls a metric as measures of quality are called, is none in the sense of "
              "metric spaces, not even on mixtures up to affine maps: the triangle inequality fails.",
    hypotheses=("the minimum is over invertible affine maps", "the covariances are definite"))
def aligned_triangle(on: Record) -> None:
    with ctx.workprec(80):
        w = Fraction(5, 8)
        one, two, three = peaks(Fraction(1)), peaks(w), peaks(w * w)
        short = loss(one, two) + loss(two, three)
        above, boxes = loss_stays_above(w * w, BETWEEN)
        on.printed.prove(bool(short < arb(rational(BETWEEN))) and above,
                         f"w/2 N(-{PEAK}, 1) + w/2 N({PEAK}, 1) + (1 - w) N(0, {WIDTH}^2) for w = 1, 5/8, 25/64: the "
                         f"two short ways cost at most {short.str(5)} together (no alignment), the long one more than "
                         f"{float(BETWEEN)} whatever the alignment ({boxes} boxes of maps)", Evidence.CERTIFIED)
        narrow, wide = line((1, 0, 1)), line((1, 0, 4))
        aligned = affine_distance(GaussianMixture([1], [0], [1]), GaussianMixture([1], [0], [4]))
        on.printed.prove(bool(loss(narrow, wide) > 0) and float(aligned) == 0,
                         "on the mixtures themselves it is zero for different ones: N(0, 1) and N(0, 4)")
