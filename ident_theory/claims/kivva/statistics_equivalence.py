"""Appendix G: the equivalence relation of iVAE, set against affine maps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb, ctx
from sympy.combinatorics.free_groups import free_group

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, GaussianNoise, Model, PiecewiseAffineMap
from ident_theory.numerics import Evidence, Status

chapter = Chapter(KIVVA)

#: Three normal laws of one latent, by natural parameters of (z, z^2), and a decoder of slope 1 below 1 and 3 above.
NATURAL = [[[0, "-1/2"]], [[1, "-1/2"]], [["1/2", -1]]]
DECODER = PiecewiseAffineMap([1], [1, 3], [0, -2])
NOISE = GaussianNoise("1/4")


def first_model() -> Model:
    """f and T = (z, z^2)."""
    return Model(ConditionalPrior("normal", NATURAL), DECODER, NOISE)


def carried_model(base: str = "1 + Heaviside(z)") -> Model:
    """f o phi and T o phi for phi(z) = z below zero and 2 z above; the base measure takes up phi'."""
    prior = ConditionalPrior("custom", NATURAL, statistics=["z + Max(z, 0)", "(z + Max(z, 0))**2"], base=base)
    return Model(prior, PiecewiseAffineMap([0, "1/2"], [1, 2, 6], [0, 0, -2]), NOISE)


@chapter.claim(
    "kivva.defG.1", place="App. G.1, Definition G.1 and (25)", kind=Kind.DEFINITION, covers=("Definition G.1",),
    statement="Two models are equivalent when, along the inverses of their decoders, the mt statistics of one are an "
              "invertible linear map A of those of the other plus a constant c in R^N, where T_i = (T_1, ..., T_i); "
              "this is an equivalence relation.",
    hypotheses=("A is an invertible mt x mt matrix",),
    correction=Correction("T_i = (T_i1, ..., T_it), so that T has mt entries, and c lies in R^mt.", notational=True),
    scope="matrices of symbols up to mt = 3; the identities hold for any size")
def definition_g_1(on: Record) -> None:
    lengths = {(m, t): sum(range(1, m + 1)) for m in (1, 2, 3) for t in (1, 2)}
    misfits = [pair for pair, found in lengths.items() if found != pair[0] * pair[1]]
    on.printed.refute((2, 2) in misfits, "T_i = (T_1, ..., T_i) has i entries: for m = t = 2 that makes 3 in all, and "
                      f"A has 4 columns; N is not defined either (misfits among m <= 3, t <= 2: {misfits})")
    for size in (1, 2, 3):
        a, b = (sp.Matrix(size, size, sp.symbols(f"{name}0:{size * size}")) for name in "ab")
        c, d, t = (sp.Matrix(sp.symbols(f"{name}0:{size}")) for name in "cdt")
        # Symmetric: adj(A) / det(A) leads back. Transitive: the composed matrix is A B, the constant A d + c.
        back = (a.adjugate() * ((a * t + c) - c)).expand() - (a.det() * t).expand()
        chained = (a * (b * t + d) + c).expand() - ((a * b) * t + (a * d + c)).expand()
        products = sp.expand((a * b).det(method="berkowitz") - a.det() * b.det())
        on.corrected.prove(back.is_zero_matrix is True and chained.is_zero_matrix is True and products == 0,
                           f"inverse and composition of the relation, generic matrices, mt = {size}")
    z = sp.Symbol("z")
    source, target = sp.Matrix([z, z**2]), sp.Matrix([z, 0])
    reach = sp.Matrix([[sp.Poly(entry, z).coeff_monomial(z**k) for k in (1, 2)] for entry in target])
    bends = max(sp.Poly(entry, z).degree() for entry in target if entry != 0)
    on.corrected.prove(reach.rank() < 2 and (reach * source - target).is_zero_matrix is True and bends < 2,
                       "a singular A would relate (z, 0) to (z, z^2) in one direction only")


@chapter.claim(
    "kivva.lemG.1a", place="App. G.1, Lemma G.1, first part", kind=Kind.LEMMA, covers=("Lemma G.1",),
    statement="For every invertible phi, the decoder f o phi with the statistics T o phi is equivalent to f with T: "
              "A is the identity and c is zero.",
    hypotheses=("f and phi are invertible",),
    scope="whether T o phi is still of the factorial form of (25): that is Remark G.2")
def lemma_g_1_relation(on: Record) -> None:
    _, f, phi = free_group("f phi")
    # Composition written left to right as a product, g o h = g h; T is applied last on both sides.
    on.printed.prove(phi * (f * phi) ** -1 == f ** -1 and phi ** -1 * (f * phi) ** -1 != f ** -1,
                     "T' o f'^-1 and T o f^-1 are the same word in f and phi, hence the same map for all bijections")
    found = equivalence(first_model(), carried_model())
    found.verify()
    assert found.statistics is not None
    matrix, shift = found.statistics
    entries = [sp.Rational(str(v)) for v in [*sp.flatten(sp.Matrix(matrix).tolist()), *shift]]
    on.printed.support(found.equivalence is Equivalence.AFFINE_STATISTICS and entries == [1, 0, 0, 1, 0, 0],
                       "phi piecewise linear: the toolkit finds A = I and c = 0 and no affine map of the latent",
                       cases=1, evidence=Evidence.EXACT)


def cantor_intervals(depth: int) -> list[tuple[Fraction, Fraction, Fraction]]:
    """The intervals that cover the Cantor set at a depth: both ends, and the Cantor function C at the left end.

    C rises by 2^-depth on each and is constant between them.
    """
    found = [(Fraction(0), Fraction(1), Fraction(0))]
    for level in range(1, depth + 1):
        rise = Fraction(1, 2**level)
        found = [part for left, right, value in found for third in [(right - left) / 3]
                 for part in ((left, left + third, value), (right - third, right, value + rise))]
    return found


def stretched(depth: int) -> tuple[Fraction, Fraction, bool]:
    """Length of the cover of the Cantor set, length of its image under z + C(z), and whether the image is in order.

    In order: the images of the intervals are disjoint, between 0 and 2, and what lies between them is only shifted.
    """
    parts = cantor_intervals(depth)
    images = [(left + value, right + value + Fraction(1, 2**depth)) for left, right, value in parts]
    gaps = [(b[0] - a[1], y[0] - x[1]) for a, b, x, y in zip(parts, parts[1:], images, images[1:], strict=False)]
    ordered = all(gap == image > 0 for gap, image in gaps) and images[0][0] == 0 and images[-1][1] == 2
    cover, image = (sum((b - a for a, b, *_ in items), Fraction(0)) for items in (parts, images))
    return cover, image, ordered


def phi_prime_terms() -> list[sp.Expr]:
    """Density of phi^-1(Z) minus p(phi) |phi'|, for an increasing and a decreasing phi, all generic."""
    z = sp.Symbol("z", real=True)
    phi, cdf = sp.Function("phi")(z), sp.Function("F")
    slope = sp.Symbol("y")
    density = sp.diff(cdf(slope), slope).subs(slope, phi)
    rising = sp.diff(cdf(phi), z) - density * sp.diff(phi, z)
    falling = sp.diff(1 - cdf(phi), z) - density * (-sp.diff(phi, z))
    return [sp.simplify(term.doit()) for term in (rising, falling)]


@chapter.claim(
    "kivva.lemG.1b", place="App. G.1, Lemma G.1, second part", kind=Kind.LEMMA, covers=("Lemma G.1",),
    statement="For every invertible phi, phi^-1(Z) has a density of exponential family form with the statistics "
              "T o phi, and f o phi of it has the law of f(Z).",
    hypotheses=("Z has a density of exponential family form", "phi is invertible"),
    correction=Correction("The density exists, and is h(phi) |det D phi| g exp(lambda T(phi)), when phi is a "
                          "diffeomorphism up to a null set and carries null sets to null sets both ways.",
                          hypotheses=("phi and its inverse are differentiable almost everywhere and keep null sets",)),
    scope="the formula is proved on the line")
def lemma_g_1_density(on: Record) -> None:
    depths = range(1, 9)
    covers = [stretched(depth) for depth in depths]
    shrinks = all(cover == Fraction(2, 3) ** depth and image == 1 + cover and ordered
                  for depth, (cover, image, ordered) in zip(depths, covers, strict=True))
    with ctx.workprec(80):
        least = (-arb(2)).exp() / (2 * arb.pi()).sqrt()  # the density of N(0, 1) at 2, on [0, 2] the smallest value
        holds_mass = bool(least > arb("0.05"))
    on.printed.refute(shrinks and holds_mass, shown=(
        "phi(z) = z + C(z) with the Cantor function C (0 below 0, 1 above 1), a homeomorphism of the line; "
        "Z ~ N(0, 1)."),
        text="phi^-1(Z) lies in the Cantor set with probability P(Z in phi(Cantor set)) > 0.05, since that image lies "
             "in [0, 2] and has length 1; the cover of the Cantor set at depth k has length (2/3)^k and its image "
             f"length 1 + (2/3)^k (k = {depths[0]}, ..., {depths[-1]}), so there is no density. phi is continuous and "
             "differentiable almost everywhere",
        evidence=Evidence.CERTIFIED)
    on.corrected.prove(phi_prime_terms() == [0, 0], "derivative of the distribution function of phi^-1(Z), generic F "
                       "and phi, rising and falling: p(phi) |phi'|, with p = h g exp(lambda T)")
    first = first_model()
    same = equal_in_law(first, carried_model())
    same.verify(first)
    on.corrected.support(same.status is Status.HOLDS, "law of x for phi = z below 0 and 2 z above, decided exactly",
                         cases=1, evidence=Evidence.EXACT)
    without = equal_in_law(first, carried_model("1"))
    on.corrected.support(without.status is not Status.HOLDS, "without the factor |phi'| the laws are not found equal",
                         cases=1, evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.eq28", place="App. G.1, (28)", kind=Kind.IDENTITY,
    statement="The density of phi^-1(Z) at z is that of Z at phi(z) times the determinant of the absolute value of the "
              "Jacobian of phi, taken at phi^-1(z).",
    hypotheses=("phi is a diffeomorphism up to a null set",), scope="the corrected formula is proved on the line",
    correction=Correction("The factor is the absolute value of the determinant of the Jacobian, taken at z.",
                          notational=True))
def change_of_variables(on: Record) -> None:
    # phi(z) = 2 z below 1 and z + 1 above; phi^-1(z) < 1 means z < 2, so the factor stays 2 up to 2.
    with ctx.workprec(80):
        def below(x: int) -> arb:
            return (1 + (arb(x) / arb(2).sqrt()).erf()) / 2
        total = below(2) + 2 * (below(3) - below(2)) + (1 - below(3))
        on.printed.refute(bool(total > 1), f"phi = 2 z below 1, z + 1 above, Z ~ N(0, 1): total mass {total.str(8)}",
                          shown="phi = PiecewiseAffineMap([1], [2, 1], [0, 1]), Z ~ N(0, 1)",
                          evidence=Evidence.CERTIFIED)
    on.corrected.prove(phi_prime_terms() == [0, 0], "on the line, generic rising and falling phi: the factor is "
                       "|phi'|, taken where the density is")
    turn = sp.Matrix([[1, 1], [-1, 1]])
    on.printed.refute(turn.applyfunc(abs).det() == 0 and abs(turn.det()) == 2,
                      "phi(z) = (z1 + z2, z2 - z1): the entrywise |J| has determinant 0, while |det J| = 2")


def mixed_derivative(statistic: Callable[[Any], Any], change: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    """The mixed derivative of the log density of phi^-1(Z), two coordinates, zero for a product law."""
    a, b = sp.symbols("z1 z2", positive=True)
    u, v = change(a, b)
    base = sp.Function("logQ1")(u) + sp.Function("logQ2")(v)
    l1, l2 = sp.symbols("lambda1 lambda2")
    jacobian = sp.Matrix([u, v]).jacobian([a, b]).det()
    log_density = base + l1 * statistic(u) + l2 * statistic(v) + sp.log(jacobian**2) / 2
    return sp.simplify(sp.diff(log_density, a, b).doit())


@chapter.claim(
    "kivva.remG.1", place="App. G.1, Remark G.1", kind=Kind.REMARK, covers=("Remark G.1",),
    statement="The relation allows highly non-linear changes of the latent: f o phi is equivalent to f although no "
              "affine map relates the latents.",
    hypotheses=("the statistics of the second model are free",))
def arbitrary_changes(on: Record) -> None:
    z = sp.Symbol("z", real=True)
    phi = z**3 + z
    slope = sp.Poly(sp.diff(phi, z), z)
    _, f, change = free_group("f phi")
    on.printed.prove(sp.Poly(phi, z).degree() > 1 and sp.discriminant(slope.as_expr(), z) < 0
                     and change * (f * change) ** -1 == f ** -1,
                     "phi(z) = z^3 + z is a bijection of the line (phi' has no real root) of degree 3, and the "
                     "relation holds with A = I, c = 0 for every bijection")
    found = equivalence(first_model(), carried_model())
    on.printed.prove(not found.equivalence.implies(Equivalence.AFFINE)
                     and found.equivalence is Equivalence.AFFINE_STATISTICS,
                     "a pair of models related by the statistics and, decided exactly, by no affine map of the latent")


@chapter.claim(
    "kivva.remG.2", place="App. G.1, Remark G.2", kind=Kind.REMARK, covers=("Remark G.2",),
    statement="With conditionally factorial priors every invertible coordinatewise phi is still allowed, while a phi "
              "that mixes coordinates is not in general.",
    hypotheses=("phi is differentiable almost everywhere",),
    scope="that nothing else is allowed: permutations are, too; two coordinates, of which any pair is an instance")
def coordinatewise_changes(on: Record) -> None:
    t, g1, g2 = sp.Function("T"), sp.Function("phi1"), sp.Function("phi2")
    on.printed.prove(mixed_derivative(t, lambda a, b: (g1(a), g2(b))) == 0,
                     "log density of phi^-1(Z) has no mixed derivative: generic base measures, T and phi_i")
    on.printed.prove(mixed_derivative(t, lambda a, b: (b, a)) == 0, "nor for the permutation, which is not "
                     "coordinatewise")
    l1, l2 = sp.symbols("lambda1 lambda2")
    turned = mixed_derivative(lambda u: u**2, lambda a, b: (a + b, b - a)).subs(
        {sp.Function("logQ1"): sp.Lambda(sp.Symbol("u"), 0), sp.Function("logQ2"): sp.Lambda(sp.Symbol("u"), 0)}).doit()
    on.printed.prove(sp.expand(turned - 2 * (l1 - l2)) == 0 and sp.expand(turned) != 0,
                     f"turning by 45 degrees with T = z^2 leaves {sp.expand(turned)}")
