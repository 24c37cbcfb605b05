"""Sections 3.4 and 3.5: special cases and counterexamples."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.proof_c_line import is_injective, is_injective_inside, marks, pieces_of, preimages
from ident_theory.claims.kivva.proof_c_pairs import continuous_maps, listed, rearranged, small
from ident_theory.claims.kivva.proof_e_unmixing import changes, rotations
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.geometry.changes import affine_changes
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery import exact_alignments

chapter = Chapter(KIVVA)

Matrix = list[list[Fraction]]


@dataclass(frozen=True)
class Models:
    """Two models without noise."""

    first: Model
    second: Model

    def show(self) -> str:
        """As model files."""
        return show_models(first=self.first, second=self.second)


def _standard(m: int) -> GaussianMixture:
    return GaussianMixture([1], [[0] * m], [[1] * m])


@cache
def decoder_up_to_rotations() -> Universal[Models]:
    """Section 3.4 for a standard normal prior."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Models:
        m = 1 if dropped & {"continuity", "injectivity"} else draw(st.integers(1, 2))
        h = AffineChange(draw(rotations(m)), [0] * m)
        f: Any
        g: Any
        if m == 1:
            f = draw(continuous_maps(increasing=not dropped & {"injectivity"}))
            g = rearranged(f, [abs(draw(small.filter(bool)))]) if draw(st.booleans()) or dropped else f
        else:
            rows = [[draw(small.filter(bool)), draw(small)], [Fraction(0), draw(small.filter(bool))]]
            last = [[Fraction(1), Fraction(0)], [draw(small), Fraction(1)], [draw(small), draw(small)]]
            f = g = ReLUNetwork([rows, last], [[draw(small), draw(small)], [0, 0, 0]], draw(st.sampled_from(
                [Fraction(1, 2), Fraction(1, 10)])))
        return Models(Model(_standard(m), f), Model(_standard(m), h.precompose(g)))

    def injective(model: Model) -> bool:
        if isinstance(model.decoder, PiecewiseAffineMap):
            return is_injective_inside(pieces_of(model.decoder))
        return check(model)["F4"].status is Status.HOLDS

    return Universal("continuous injective decoders of standard normal latents with one law are related by an "
                     "orthogonal map of the latents; one or two latents", cases,
                     lambda case: equivalence(case.first, case.second).equivalence.implies(Equivalence.ORTHOGONAL), {
                         "equal laws": lambda case: equal_in_law(case.first, case.second).status is Status.HOLDS,
                         "continuity": lambda case: all(getattr(m.decoder, "is_continuous", True)
                                                        for m in (case.first, case.second)),
                         "injectivity": lambda case: injective(case.first) and injective(case.second)},
                     ("continuity", "injectivity"), lambda case: case.show())


@chapter.claim(
    "kivva.sec3.4.vae", place="Sec. 3.4, classical VAE", kind=Kind.CLAIM, universal=decoder_up_to_rotations,
    statement="For J = 1 an affine map makes the prior standard normal, and a continuous injective decoder is then "
              "determined by the law of X up to an orthogonal map.",
    hypotheses=("J = 1, covariance positive definite", "F1, F4, f continuous", "no noise, or noise of known law"),
    scope="Decoders of one or two latents. Not the remark that this follows from results on the parameters of ReLU "
          "networks.")
def standard_normal_prior(on: Record) -> None:
    d, (p, r) = sympy.Symbol("d", real=True), sympy.symbols("p r", positive=True)
    root = sympy.Matrix([[p, 0], [d, r]])
    covariance, change = root * root.T, sympy.Matrix([[1 / p, 0], [-d / (p * r), 1 / r]])
    on.printed.support((change * covariance * change.T).applyfunc(sympy.simplify) == sympy.eye(2),
                       "symbolically, two latents: the inverse of the triangular root of any covariance makes it the "
                       "identity", cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=60)


@dataclass(frozen=True)
class Linear:
    """X = A Z and X = B Z'."""

    a: Matrix
    p: GaussianMixture
    b: Matrix
    q: GaussianMixture


def _image(a: Matrix, p: GaussianMixture) -> dict[Any, Fraction]:
    matrix = np.array(a, dtype=object)
    sums: dict[Any, Fraction] = {}
    for w, mean, c in zip(p.weights_exact, p.means_exact, p.covariances_exact, strict=True):
        key = (tuple(matrix @ mean), tuple((matrix @ c @ matrix.T).ravel()))
        sums[key] = sums.get(key, Fraction(0)) + w
    return sums


@cache
def linear_decoders() -> Universal[Linear]:
    """Section 3.4 for X = A Z."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Linear:
        m = draw(st.integers(1, 2))
        a = [[draw(small) for _ in range(m)] for _ in range(draw(st.integers(m, 3)))]
        if dropped:
            a = [[*row[:-1], Fraction(0)] for row in a]
        count = draw(st.integers(1, 3))
        roots = [np.array([[draw(small) if j < i else draw(st.sampled_from([Fraction(1), Fraction(2)])) if i == j else
                            Fraction(0) for j in range(m)] for i in range(m)], dtype=object) for _ in range(count)]
        p = GaussianMixture([Fraction(1, count)] * count, [[draw(small) for _ in range(m)] for _ in range(count)],
                            [(root @ root.T).tolist() for root in roots]).reduced()
        last = [[*row[:-1], row[-1] + (draw(small) if dropped else 0)] for row in p.means_exact.tolist()]
        q = GaussianMixture(p.weights_exact, last, p.covariances_exact.tolist())
        h = draw(changes(m))
        h = AffineChange(h.matrix_exact.tolist(), [0] * m)
        b = np.array(a, dtype=object) @ h.inverse().matrix_exact
        return Linear(a, p, b.tolist(), h.carry(q))

    def holds(case: Linear) -> bool | None:
        a, b = (np.array(x, dtype=object) for x in (case.a, case.b))
        gram = sympy.Matrix(case.b).T * sympy.Matrix(case.b)
        if gram.det():  # B has a left inverse, so that h can only be this
            h = np.array([[Fraction(int(v.p), int(v.q)) for v in row]
                          for row in (gram.inv() * sympy.Matrix(case.b).T * sympy.Matrix(case.a)).tolist()])
            return bool((b @ h == a).all()) and AffineChange(h.tolist(), [0] * len(h)).carry(
                case.p).by_component() == case.q.by_component()
        found = exact_alignments(case.p, case.q)
        if any((b @ h.matrix_exact == a).all() and not (b @ h.shift_exact).any() for h in found.changes):
            return True
        return False if found.complete else None

    return Universal("X = A Z = B Z' in law with A and B injective and Gaussian mixtures Z and Z' has Z' = h(Z) in law "
                     "and A = B h for an invertible h", cases, holds, {
                         "equal laws": lambda case: _image(case.a, case.p) == _image(case.b, case.q),
                         "injectivity": lambda case: sympy.Matrix(case.a).rank() == case.p.latent_dim},
                     ("injectivity",), repr)


@chapter.claim(
    "kivva.sec3.4.ica", place="Sec. 3.4, linear ICA", kind=Kind.CLAIM, universal=linear_decoders,
    statement="For X = A Z with A injective the observation is a Gaussian mixture itself, and P(Z) is recovered up to "
              "an affine map without independent components.",
    hypotheses=("f linear and injective", "P1", "no noise"))
def linear_mixing(on: Record) -> None:
    on.printed.search(cases=200)


@chapter.claim(
    "kivva.sec3.4.nica", place="Sec. 3.4, nonlinear ICA", kind=Kind.CLAIM,
    statement="That nonlinear ICA is not identifiable does not contradict the theorems: a map that keeps the law of "
              "independent latents and is used there is not piecewise affine, Darmois' construction included.",
    scope="Two such maps: independent normal latents turned by an angle that grows with the radius, and the map of "
          "Darmois, x -> F(x), for a mixture of two normal laws.")
def no_conflict_with_nonlinear_ica(on: Record) -> None:
    x, y = sympy.symbols("x y", real=True)
    z, square = x + sympy.I * y, x**2 + y**2
    turned = z * sympy.exp(sympy.I * square)
    across, up, bend = (sympy.expand(value * sympy.exp(-sympy.I * square)) for value in (
        turned.diff(x), turned.diff(y), turned.diff(x, 2) + turned.diff(y, 2)))
    volume = sympy.expand(sympy.im(sympy.expand(sympy.conjugate(across) * up)))
    norm = sympy.simplify(turned * sympy.conjugate(turned) - square)
    size = sympy.expand(bend * sympy.conjugate(bend))
    on.printed.support(volume == 1 and norm == 0 and sympy.expand(size - 64 * square - 16 * square**3) == 0,
                       "z turned by |z|^2 keeps volume and norm, hence N(0, I); its Laplacian has the square norm "
                       "64 r^2 + 16 r^6 > 0 for r > 0, so it is affine on no open set", cases=1,
                       evidence=Evidence.EXACT)
    half = sympy.Rational(1, 2)
    slope = half * (sympy.exp(-(x - 2)**2 / 2) + sympy.exp(-(x + 2)**2 / 2)) / sympy.sqrt(2 * sympy.pi)
    ratio = sympy.simplify(slope.diff(x) * 2 * sympy.sqrt(2 * sympy.pi) * sympy.exp((x + 2)**2 / 2))
    on.printed.support(sympy.simplify(ratio - ((2 - x) * sympy.exp(4 * x) - (x + 2))) == 0
                       and ratio.subs(x, 3).evalf(30) < -1 and sympy.limit(slope, x, sympy.oo) == 0,
                       "the distribution function F of 1/2 N(-2, 1) + 1/2 N(2, 1) makes X uniform; the sign of F'' is "
                       "that of (2 - x) e^(4x) - (2 + x), an analytic function that is not 0 at 3, so F is affine on "
                       "no interval", cases=1, evidence=Evidence.EXACT)


def _cdf(p: GaussianMixture, x: Fraction) -> arb:
    total = arb(0)
    for w, mean, v in listed(p):
        z = (arb((x - mean).numerator) / (x - mean).denominator) / (2 * arb(v.numerator) / v.denominator).sqrt()
        total += arb(w.numerator) / w.denominator * (1 + z.erf()) / 2
    return total


def _transported(p: GaussianMixture, q: GaussianMixture, z: Fraction) -> tuple[Fraction, Fraction]:
    """Rationals that certainly enclose the value x with P(Z <= z) = Q(Z <= x)."""
    low, high, level = Fraction(-64), Fraction(64), _cdf(p, z)
    for _ in range(50):
        middle = (low + high) / 2
        value = _cdf(q, middle)
        if value < level:
            low = middle
        elif value > level:
            high = middle
        else:
            break
    if not (_cdf(q, low) < level < _cdf(q, high)):
        raise ArithmeticError("transport: the balls are too wide")
    return low, high


@chapter.claim(
    "kivva.ex2", place="Sec. 3.5, Example 2", kind=Kind.EXAMPLE, covers=("Example 2",),
    statement="Under P1 alone, with any decoder allowed, the model is not identifiable: a transport map T with "
              "T#P' = P gives g = f o T with g#P' = f#P for mixtures P and P' that no affine map relates.",
    hypotheses=("P1, components non-degenerate",),
    scope="One pair of mixtures on the line; for any two the map is F_P^-1 o F_P'.")
def arbitrary_decoders(on: Record) -> None:
    p, q = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1]), _standard(1)
    with ctx.workprec(200):
        one, two, three = (_transported(q, p, Fraction(z)) for z in (1, 2, 3))
    # Certain bounds of T(2) - T(1) and of T(3) - T(2), which an affine T has equal.
    first, second = (two[0] - one[1], two[1] - one[0]), (three[0] - two[1], three[1] - two[0])
    on.printed.prove(exact_alignments(q, p).exist is False and (first[1] < second[0] or second[1] < first[0]),
                     "P' = N(0, 1), P = 1/2 N(-2, 1) + 1/2 N(2, 1), f = id: the increasing T with T#P' = P has "
                     f"T(2) - T(1) = {float(first[0]):.10f} and T(3) - T(2) = {float(second[0]):.10f}, certain to "
                     f"{float(max(first[1] - first[0], second[1] - second[0])):.1e}, so T is not affine; one component "
                     "against two, so no affine map relates P' and P", Evidence.CERTIFIED)


def _inverse_slopes(f: PiecewiseAffineMap, g: PiecewiseAffineMap) -> set[tuple[Fraction, Fraction]]:
    """The affine pieces (slope, intercept) of g^-1 o f for increasing maps of the line onto itself."""
    f_pieces, g_pieces = pieces_of(f), pieces_of(g)
    found = set()
    for p, q in itertools.product(f_pieces, g_pieces):
        ends = [(None if t is None else part.at(t)) for part in (p, q) for t in (part.low, part.high)]
        low = max((v for v in (ends[0], ends[2]) if v is not None), default=None)
        high = min((v for v in (ends[1], ends[3]) if v is not None), default=None)
        if low is None or high is None or low < high:
            found.add((p.slope / q.slope, (p.intercept - q.intercept) / q.slope))
    return found


@cache
def decoders_with_one_image() -> Universal[tuple[PiecewiseAffineMap, PiecewiseAffineMap]]:
    """Example 3, corrected."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> tuple[PiecewiseAffineMap, PiecewiseAffineMap]:
        f = draw(continuous_maps(increasing=True))
        copy = AffineChange(draw(st.sampled_from([1, 2])), draw(small)).precompose(f)
        assert isinstance(copy, PiecewiseAffineMap)
        return f, copy if draw(st.booleans()) else draw(continuous_maps(increasing=True))

    return Universal("increasing piecewise affine maps f and g of the line onto itself with g^-1 o f not affine are "
                     "related by no affine change of the latent", cases,
                     lambda case: not affine_changes(*case).changes,
                     {"g^-1 o f not affine": lambda case: len(_inverse_slopes(*case)) > 1},
                     ("g^-1 o f not affine",), repr)


@chapter.claim(
    "kivva.ex3", place="Sec. 3.5, Example 3", kind=Kind.EXAMPLE, covers=("Example 3",),
    universal=decoders_with_one_image,
    statement="For any two injective piecewise affine f and g: R^m -> R^m and a law P(X), the two latents behind P(X) "
              "are almost surely not affinely equivalent, so F1 without P1 does not identify the model.",
    hypotheses=("f and g piecewise affine and injective",),
    correction=Correction("For f and g onto with g^-1 o f not affine every P(X) comes from a model with f and one with "
                          "g, and no affine map relates the decoders.",
                          ("f and g onto", "g^-1 o f is not affine")),
    scope="The correction is checked on the line. That the exceptions are rare, which is one reading of 'almost "
          "surely', is left open, as the paper puts no measure on f and g.")
def arbitrary_priors(on: Record) -> None:
    one, double = PiecewiseAffineMap([], [1], [0]), PiecewiseAffineMap([], [2], [0])
    on.printed.refute(bool(affine_changes(one, double).changes) and len(_inverse_slopes(one, double)) == 1,
                      "f(z) = z and g(z) = 2 z: the latents behind every law of X are Z and Z/2",
                      shown=f"{one!r}\n{double!r}")
    jump = PiecewiseAffineMap([0], [1, 1], [0, 1])
    pieces = pieces_of(jump)
    # Without a mark inside (0, 1), one value without preimage stands for all of them.
    on.printed.refute(is_injective(pieces) and not any(0 < v < 1 for v in marks(pieces))
                      and preimages(pieces, Fraction(1, 2)) == [],
                      "f(z) = z below 0 and z + 1 from 0 on is injective and has no value in (0, 1): no latent is "
                      "behind P(X) = N(0, 1), whatever g is", shown=repr(jump))
    on.corrected.search(cases=150)
