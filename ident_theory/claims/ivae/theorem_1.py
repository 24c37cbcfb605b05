"""Theorem 1: what the law of x given u says about the sufficient statistics."""

from __future__ import annotations

from fractions import Fraction

import sympy
from flint import arb, ctx

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.ivae.noise import noise_removal
from ident_theory.claims.ivae.pairs import (
    EQUAL,
    INVERTIBLE,
    MINIMAL,
    POSITIVE,
    SLOPES,
    Pair,
    affinely_related,
    has_slopes,
    is_minimal,
    l_determinants,
    laws_agree,
    pairs,
    second_has_slopes,
    second_is_minimal,
    second_l_is_invertible,
    show_pair,
    theorem,
    weak_identifiability,
)
from ident_theory.claims.ivae.whole_models import laws_from_the_toolkit
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)

_PRINTED = ("f and f' are bijective", "both models have the same noise law",
            "(i) the characteristic function of the noise vanishes on a null set only",
            "(ii) every T_ij is differentiable with a non-zero derivative almost everywhere",
            "(iii) nk + 1 conditions with an invertible L", "x given u has the same law in both models")
_MISSING = ("1, T_i1, ..., T_ik are linearly independent modulo null sets, for every i",
            "every base density is positive almost everywhere on the common support",
            "f and f' are Borel maps; the zeros in (i) are counted in frequency space")

z = sympy.Symbol("z", real=True)


def normal_log_density(mean: sympy.Expr, variance: sympy.Expr) -> sympy.Expr:
    """Logarithm of a normal density at z."""
    return -(z - mean) ** 2 / (2 * variance) - sympy.log(2 * sympy.pi * variance) / 2


def affine_coefficients(images: dict[int, int | Fraction | sympy.Expr]) -> bool:
    """Whether the points (z, image) of a dictionary lie on one line."""
    (x0, y0), (x1, y1), *rest = images.items()
    return all(sympy.simplify((y1 - y0) * (x - x0) - (y - y0) * (x1 - x0)) == 0 for x, y in rest)


@chapter.claim(
    "ivae.thm1", place="Sec. 4, Theorem 1", kind=Kind.THEOREM, covers=("Theorem 1",), hypotheses=_PRINTED,
    statement="Under (i), (ii) and (iii) two models with the same law of x given u have stacked statistics that are "
              "invertible affine images of each other.",
    correction=Correction("The same with minimal statistics and positive base densities, almost everywhere; condition "
                          "(ii) is then not needed.", _MISSING),
    universal=weak_identifiability)
def theorem_1(on: Record) -> None:
    first = (z, 2 * z)
    second = (z, z ** 2)
    natural = [(0, 0), (1, 0), (0, 1)]
    other = [(a + 2 * b, 0) for a, b in natural]
    l_matrix = sympy.Matrix([[natural[u][j] - natural[0][j] for u in (1, 2)] for j in (0, 1)])
    means = (0, 1, 2)  # the exponents complete to those of N(mean, 1) over the base N(0, 1)
    exponents = [[sum(v * t for v, t in zip(row, statistics, strict=True)) for row in table]
                 for statistics, table in ((first, natural), (second, other))]
    same = all(sympy.expand(-z ** 2 / 2 + exponent + (z - mean) ** 2 / 2).is_number
               for row in exponents for exponent, mean in zip(row, means, strict=True))
    entries = sympy.symbols("a11 a12 a21 a22 c1 c2")
    a, c = sympy.Matrix(2, 2, entries[:4]), sympy.Matrix(2, 1, entries[4:])
    residual = sympy.Matrix(first) - a * sympy.Matrix(second) - c
    solutions = sympy.solve([v for row in residual for v in sympy.Poly(row, z).coeffs()], entries, dict=True)
    singular = len(solutions) == 1 and a.subs(solutions[0]).det() == 0
    slopes = all(sympy.diff(t, z).is_zero is False for t in first)
    on.printed.refute(
        same and singular and slopes and l_matrix.det() == 1,
        "n = d = 1, k = 2, f = f' = identity, base N(0, 1): T = (z, 2z) with lambda = (0,0), (1,0), (0,1), and "
        "T' = (z, z^2) with lambda' = (lambda_1 + 2 lambda_2, 0): det L = 1, the three densities are equal, and the "
        f"only A with T = A T' + c is {a.subs(solutions[0]).tolist() if solutions else None}. The proof of Lemma 1 "
        "takes such a T to be excluded by the definition of an exponential family; eq. 7 does not exclude it",
        shown="T = (z, 2*z), natural = [[0, 0], [1, 0], [0, 1]]; T' = (z, z**2), natural' = [[0, 0], [1, 0], [2, 0]]")
    on.corrected.search(cases=100, without=(SLOPES,))


@chapter.claim(
    "ivae.thm1.models", place="Sec. 4, Theorem 1", kind=Kind.ADDED, universal=laws_from_the_toolkit,
    hypotheses=("normal latents given u: mean, variance or both free", "invertible affine decoders",
                "the same Gaussian noise", "an invertible L"),
    statement="Two whole models that are equal in law, as decided without the theorem, have affinely related "
              "statistics.")
def whole_models(on: Record) -> None:
    on.printed.search(cases=100)


@chapter.claim(
    "ivae.thm1.i", place="Sec. 4, Theorem 1 (i)", kind=Kind.CLAIM, hypotheses=_PRINTED,
    statement="For (i) it is enough that the zeros of the characteristic function of the noise form a null set within "
              "the data manifold X.",
    correction=Correction("The zeros are to be counted in frequency space R^d; a dense set without zeros is enough.",
                          notational=True),
    universal=noise_removal)
def zeros_in_frequency_space(on: Record) -> None:
    # Both densities are Polya's: mixtures of (1 - |t|/a)_+ over a, with mixing density a psi''(a) and atoms at kinks.
    a, t = sympy.symbols("a t", positive=True)
    tail = sympy.exp(-1) * (2 - t)
    density = a * sympy.exp(-a)
    atom = 2 * sympy.exp(-1)
    mass = sympy.integrate(density, (a, 0, 1)) + atom
    inner = sympy.integrate(density * (1 - t / a), (a, t, 1)) + atom * (1 - t / 2)
    outer = atom * (1 - t / 2)
    polya = (sympy.simplify(mass - 1) == 0 and sympy.simplify(inner - sympy.exp(-t)) == 0
             and sympy.simplify(outer - tail) == 0)
    at_zero = (sympy.integrate(sympy.exp(-t), (t, 0, 1)) + sympy.integrate(tail, (t, 1, 2))) / sympy.pi
    # d = 2, f(z) = (z, 0), noise cf (1 - |w1|)_+ (1 - |w2|)_+: the two cfs agree where it is not zero, |w1| < 1.
    related = _polya_ratios_are_affine()
    slope = sympy.factor(sympy.diff(normal_log_density(sympy.Integer(0), sympy.Integer(1)) + sympy.log(1 + z ** 2), z))
    on.printed.refute(
        polya and related is False and sympy.solveset(slope, z, sympy.S.Reals).is_FiniteSet,
        "n = k = 1, d = 2, f(z) = (z, 0), so X is a null set and (i) says nothing; noise cf (1 - |w1|)_+ (1 - |w2|)_+, "
        "z given u_1 is N(0, 1) in both models, z given u_0 has cf exp(-|t|) in one and in the other that function up "
        "to 1 and then its tangent to 0 at t = 2, a mixture of Fejer cfs, so a positive density. The cfs agree for "
        f"|t| <= 1, so the noisy laws agree; the densities at 0 are 1/pi and {sympy.simplify(at_zero * sympy.pi)}/pi, "
        "and log ratios at z = 0, 1, 2 are not affinely related (balls)", evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=150)


@ctx.workprec(120)
def _polya_ratios_are_affine() -> bool | None:
    """Whether T = log N(0,1)/Cauchy and T' = log N(0,1)/Polya are affinely related at 0, 1 and 2; None if undecided."""
    rows = []
    for point in (0, 1, 2):
        x = arb(point)
        pi, e = arb.pi(), arb(-1).exp()
        if point == 0:
            density = ((1 - e) + e / 2) / pi
        else:
            # (1/pi) int_0^2 psi(t) cos(x t) dt, by parts on each piece.
            near = (1 + e * (x * x.sin() - x.cos())) / (1 + x * x)
            far = e * (-x.sin() / x + (x.cos() - (2 * x).cos()) / (x * x))
            density = (near + far) / pi
        log_normal = -x * x / 2 - (2 * pi).log() / 2
        rows.append((log_normal - (1 / (pi * (1 + x * x))).log(), log_normal - density.log()))
    (p0, q0), (p1, q1), (p2, q2) = rows
    gap = (p1 - p0) * (q2 - q0) - (p2 - p0) * (q1 - q0)
    return False if not gap.contains(0) else None


@chapter.claim(
    "ivae.thm1.ae", place="App. B, eq. 23 (and eq. 12)", kind=Kind.CLAIM, hypotheses=_PRINTED,
    statement="The affine relation of the statistics holds at every x in X.",
    correction=Correction("It holds for almost every x.", _MISSING),
    universal=weak_identifiability)
def almost_everywhere(on: Record) -> None:
    changed = sympy.Piecewise((5, sympy.Eq(z, 0)), (z, True))
    images: dict[int, int | Fraction | sympy.Expr] = {v: changed.subs(z, v) for v in (-2, -1, 1, 2)}
    with_zero = {**images, 0: changed.subs(z, 0)}
    # The densities differ at one point, so the laws are equal.
    mass = sympy.integrate(sympy.exp(-z ** 2 / 2 + changed) - sympy.exp(-z ** 2 / 2 + z), (z, -sympy.oo, sympy.oo))
    on.printed.refute(
        affine_coefficients(images) and not affine_coefficients(with_zero) and mass == 0,
        "n = d = k = 1, f = f' = identity, N(lambda(u), 1): T(z) = z, T'(z) = z but T'(0) = 5. The laws are equal, "
        "T = T' off 0 forces A = 1 and c = 0, and at z = 0 that says 0 = 5")
    on.corrected.search(cases=20)


@chapter.claim(
    "ivae.thm1.noise", place="Sec. 4, Theorem 1", kind=Kind.ADDED,
    hypotheses=("f, f', T, T' and lambda, lambda' as in the theorem, noise laws that differ",),
    statement="The theorem fails if the two models may have different Gaussian noise: the noise law has to be known.")
@ctx.workprec(100)
def the_noise_law_must_be_common(on: Record) -> None:
    v, w = sympy.Integer(1), sympy.Integer(4)
    noises = [5 - v, 5 - w]

    def mixture(variance: sympy.Expr) -> sympy.Expr:
        return sum(sympy.exp(normal_log_density(sympy.Integer(m), variance)) for m in (-1, 1)) / 2

    ratios = []
    for variance in (v, w):
        ratio = mixture(variance) / sympy.exp(normal_log_density(sympy.Integer(0), variance))
        ratios.append(sympy.simplify(ratio * sympy.exp(1 / (2 * variance))))
    shapes = all(sympy.simplify((r - sympy.cosh(z / s)).rewrite(sympy.exp)) == 0
                 for r, s in zip(ratios, (v, w), strict=True))
    # With q = exp(z/4): cosh(z) = (q^4 + q^-4)/2; equality cosh(z) = C cosh(z/4)^A at three points would be needed.
    t, s = ([(arb(point) / int(scale)).cosh().log() for point in (0, 1, 2)] for scale in (v, w))
    gap = (t[1] - t[0]) * (s[2] - s[0]) - (t[2] - t[0]) * (s[1] - s[0])
    on.printed.prove(
        shapes and not gap.contains(0) and min(noises) > 0 and noises[0] != noises[1],
        "n = d = k = 1, f = f' = identity. First model: z given u_0 is N(0, 1) and given u_1 half N(-1, 1), half "
        "N(1, 1), noise N(0, 4); second model: the same with 4 in place of 1, noise N(0, 1). Both give N(0, 5), and "
        "half N(-1, 5), half N(1, 5). T = log cosh z and T' = log cosh(z/4) are not affinely related at 0, 1, 2",
        Evidence.CERTIFIED)


@chapter.claim(
    "ivae.thm1.more.iii", place="Sec. 4, Theorem 1, last sentence", kind=Kind.THEOREM, hypotheses=_PRINTED,
    statement="Any other parameters with the same law of x given u satisfy (iii) as well: L' is invertible.",
    correction=Correction("The same for minimal statistics and positive base densities, and for the same conditions: "
                          "L'^T = L^T A.", _MISSING),
    universal=lambda: theorem("L' is invertible for the conditions for which L is", second_l_is_invertible,
                              (MINIMAL, POSITIVE, EQUAL)))
def second_l(on: Record) -> None:
    natural = [(0, 0), (1, 0), (0, 1)]
    other = [(p + 2 * q, 0) for p, q in natural]
    own, second = (sympy.Matrix([[table[u][j] - table[0][j] for u in (1, 2)] for j in (0, 1)])
                   for table in (natural, other))
    exponents = [sympy.expand(p * z + q * 2 * z - r * z - s * z ** 2)
                 for (p, q), (r, s) in zip(natural, other, strict=True)]
    on.printed.refute(own.det() == 1 and second.det() == 0 and not any(exponents),
                      "n = 1, k = 2: T = (z, 2z) with lambda = (0,0), (1,0), (0,1) and T' = (z, z^2) with lambda' = "
                      f"(lambda_1 + 2 lambda_2, 0) have the same exponents; L = {own.tolist()}, L' = {second.tolist()}")
    on.corrected.search(cases=50)


@chapter.claim(
    "ivae.thm1.more.ii", place="Sec. 4, Theorem 1, last sentence; App. B, second observation", kind=Kind.THEOREM,
    hypotheses=_PRINTED,
    statement="Any other parameters with the same law of x given u satisfy (ii) as well: every T'_ij has a non-zero "
              "derivative almost everywhere.")
def second_slopes(on: Record) -> None:
    zero, half, one = Fraction(0), Fraction(1, 2), Fraction(1)
    identity, kink = (one, zero, zero, zero), (half, zero, half, zero)  # z and max(z, 0) = (z + |z|)/2
    natural = [(0, 0), (1, 0), (0, 1)]
    own, other = (tuple((tuple(map(Fraction, row)),) for row in table)
                  for table in (natural, [(a + b, b) for a, b in natural]))
    both = tuple(a + b for a, b in zip(identity, kink, strict=True))
    pair = Pair(((identity, both),), own, ((identity, kink),), other, (0,), (1,), (False,))
    on.printed.refute(
        laws_agree(pair) and is_minimal(pair) and has_slopes(pair) and l_determinants(own) == [1]
        and affinely_related(pair) and not second_has_slopes(pair),
        "n = d = 1, k = 2, f = f' = identity, det L = 1: T = (z, z + max(z, 0)) is minimal and obeys (ii); "
        "T' = (z, max(z, 0)) with lambda' = (lambda_1 + lambda_2, lambda_2) gives the same laws, and T'_2 is constant "
        "for z < 0", shown=show_pair(pair))


@chapter.claim(
    "ivae.thm1.more.minimal", place="Sec. 4, Theorem 1, last sentence", kind=Kind.ADDED,
    hypotheses=("the hypotheses of the corrected Theorem 1",),
    statement="What any other parameters with the same law inherit is minimality: 1, T'_i1, ..., T'_ik are linearly "
              "independent.",
    universal=lambda: theorem("the statistics of the second model are minimal", second_is_minimal,
                              (MINIMAL, INVERTIBLE, EQUAL)))
def second_minimality(on: Record) -> None:
    on.printed.search(cases=50, without=(SLOPES,))


def one_statistic() -> Universal:
    """Theorem 1 for k = 1, where minimality only says that no statistic is constant."""
    full = weak_identifiability()
    return Universal("for k = 1 and statistics that are not constant, A is invertible",
                     lambda dropped: pairs(dropped, ((1, 1), (2, 1), (3, 1))), full.conclusion,
                     {name: test for name, test in full.hypotheses.items() if name != SLOPES},
                     (MINIMAL, INVERTIBLE, EQUAL), full.show)


@chapter.claim(
    "ivae.thm1.k1", place="App. B, after eq. 23", kind=Kind.CLAIM, universal=one_statistic,
    hypotheses=("k = 1", "T_i is not constant almost everywhere", "T = A T' + c with the square matrix A of eq. 23"),
    statement="For k = 1 the matrix A of eq. 23 is invertible.")
def invertible_for_one_statistic(on: Record) -> None:
    # v^T A = 0 makes v . T constant on a product set; moving one latent alone leaves v_i times the step of T_i.
    v, low, rest = sympy.symbols("v low rest")
    step = sympy.Symbol("step", nonzero=True)
    change = (v * (low + step) + rest) - (v * low + rest)  # the other latents, any number of them, stay in `rest`
    on.printed.prove(
        sympy.solve(change, v) == [0],
        "if v^T A = 0 then v . T = v . c is constant; moving latent i alone between two points with different values "
        "of T_i changes v . T by v_i times that difference, so v_i = 0, for every i and any number of latents")
    on.printed.search(cases=50)
