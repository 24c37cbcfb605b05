"""Appendix on identifiability, eqs. 36-62: removing the noise, and the linear system."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.cyclic import NoisyPair, noise_removal_statement
from ident_theory.claims.gan.logs import LogSum, log
from ident_theory.claims.matrices import inverse, is_regular, product, solve, transpose
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GAN)


@chapter.claim(
    "gan.eq36-44", place="Appendix on identifiability, eqs. 36-44", kind=Kind.CLAIM,
    statement="Equal laws of x given u in two models with the same noise have equal noise-free parts.",
    hypotheses=("the characteristic function of the noise vanishes nowhere (a dense set of frequencies will do)",
                "the noise does not depend on the latent"),
    argument="Both laws are integrals over R^d of a density on the image of f, for every latent dimension.",
    universal=noise_removal_statement, scope="laws that are not on cyclic groups, where convolutions and transforms "
                                             "are finite")
def noise_removal(on: Record) -> None:
    on.printed.search(cases=100)
    # n = 1, d = 2, f(z) = (z, 0): the image is the first axis.
    y = sp.Symbol("y", real=True)
    on_axis = sp.Piecewise((1, sp.Eq(y, 0)), (0, True))
    area = sp.integrate(on_axis, (y, -1, 1))
    density = sp.integrate(sp.exp(-y**2 / 2) / sp.sqrt(2 * sp.pi) * sp.exp(-y**2 / 2) / (2 * sp.pi), (y, -sp.oo, sp.oo))
    on.argument.refute(area == 0 and density.is_positive,
                       "f(z) = (z, 0), z ~ N(0, 1), noise N(0, I): the image is a line, the double integral of any "
                       f"function that lives on it is {area}, while the density of x at the origin is {density}; "
                       "measures in place of densities repair "
                       "it", shown="n = 1, d = 2, f(z) = (z, 0), z ~ N(0, 1), noise N(0, I), x = 0")


@chapter.claim(
    "gan.vol", place="Appendix on identifiability, before eq. 38", kind=Kind.CLAIM,
    statement="Where f raises the dimension, the volume of the Jacobian of f^-1 takes the place of the determinant.",
    hypotheses=("volume means the square root of det J J^T for wide J", "the Jacobian of f is injective",
                "J is the pseudo-inverse of that Jacobian: f^-1 is differentiated along the image alone",
                "integrals are over the image of f with its own area"),
    scope="the area formula that turns the factor into an integral, computed for a line only")
def volume_of_the_jacobian(on: Record) -> None:
    # Symbols that do not commute stand for matrices of any size: J, its transpose, and J^T J, which is square.
    jacobian, gram = sp.symbols("J G", commutative=False)
    turned = sp.Symbol("Jt", commutative=False)
    back, back_turned = gram**-1 * turned, jacobian * gram**-1
    squares = sp.expand(back * back_turned).subs(turned * jacobian, gram)
    left_inverse = sp.expand(back * jacobian).subs(turned * jacobian, gram)
    on.printed.prove(squares == gram**-1 and left_inverse == 1,
                     "with G = J^T J and the left inverse P = G^-1 J^T, for any n <= d: P P^T = G^-1, so the volume of "
                     "P is one over that of J (symbolic)")
    g = sp.Matrix(sp.symbols("g1:4", positive=True))
    length = sp.sqrt(g.dot(g))
    along = (g / g.dot(g)).T
    volume = sp.sqrt((along * along.T).det())
    # Along the line, at distance s = |g| z from the origin.
    s, r = sp.Symbol("s", real=True), sp.Symbol("r", positive=True)
    area = sp.integrate(sp.exp(-((s / r) ** 2) / 2) / sp.sqrt(2 * sp.pi) * (volume * length / r), (s, -sp.oo, sp.oo))
    on.printed.prove(sp.simplify(volume * length) == 1 and sp.simplify((along.T * along).det()) == 0
                     and sp.simplify(area) == 1,
                     "f(z) = g z into three dimensions, generic g: the volume of the inverse is 1/|g|, the density "
                     "along the line integrates to 1, and det J^T J, the other reading, is 0 (symbolic)")
    # (x1, x2) -> x1 and (x1, x2) -> x1 + x2 both undo f(z) = (z, 0).
    volumes = [sp.sqrt((sp.Matrix([row]) * sp.Matrix([row]).T).det()) for row in ((1, 0), (1, 1))]
    on.printed.support(volumes[0] == 1 != volumes[1],
                       f"the third hypothesis is needed: x1 and x1 + x2 both undo f(z) = (z, 0), their volumes are "
                       f"{volumes[0]} and {volumes[1]}", cases=1, evidence=Evidence.EXACT)


@chapter.claim(
    "gan.eq38", place="Appendix on identifiability, eqs. 38 and 40", kind=Kind.IDENTITY,
    statement="After the change of variables the second model's side has the prior with T, lambda at f~^-1.",
    correction=Correction("T~ and lambda~ on the right, and one integration variable", notational=True))
def missing_tildes(on: Record) -> None:
    x, latent = sp.symbols("x w", real=True)
    first = sp.exp(-x**2 / 2) / sp.sqrt(2 * sp.pi)
    second = sp.exp(-latent**2 / 8) / sp.sqrt(8 * sp.pi)
    # f(z) = z, z ~ N(0, 1) against f~(w) = w/2, w ~ N(0, 4): the volume factor of f~^-1 is 2.
    literal, mended = 2 * first.subs(x, 2 * x), 2 * second.subs(latent, 2 * x)
    on.printed.refute(sp.simplify(literal - first) != 0 and sp.simplify((literal - first).subs(x, 0)) != 0,
                      "z ~ N(0, 1), f(z) = z against w = 2z, f~(w) = w/2: with the first prior on both sides the "
                      f"densities at 0 differ by {sp.N((literal - first).subs(x, 0), 5)}")
    on.corrected.prove(sp.simplify(mended - first) == 0, "with the second prior they agree for every x (symbolic)")


@chapter.claim(
    "gan.eq42", place="Appendix on identifiability, after eq. 42", kind=Kind.CLAIM,
    statement="It is enough that the characteristic function of the noise does not vanish at the points of the image "
              "of f.",
    correction=Correction("it must not vanish on a dense set of frequencies: it is a function of the frequency, not of "
                          "the data", notational=True),
    universal=noise_removal_statement,
    scope="laws on the line: the counterexample lives on a finite group, where points and frequencies are alike")
def frequencies_not_points(on: Record) -> None:
    # The integers modulo 4, where points and frequencies are the same numbers; the image is {0, 2}.
    noise = (HALF, Fraction(0), HALF, Fraction(0))
    pair = NoisyPair(noise, (Fraction(1, 4), Fraction(0), Fraction(3, 4), Fraction(0)), noise)
    values = [sp.expand(sum(sp.Rational(p.numerator, p.denominator) * sp.I ** (w * k) for k, p in enumerate(noise)))
              for w in range(4)]
    image = [k for k in range(4) if pair.first[k] or pair.second[k]]
    on.printed.refute(values == [1, 0, 1, 0] and image == [0, 2] and pair.same_noisy() and pair.first != pair.second,
                      f"modulo 4, signals in {image}, noise uniform on 0 and 2: its transform {values} vanishes at odd "
                      "frequencies only, so not on the image, and two signal laws give one noisy "
                      "law", shown=pair.shown())
    on.corrected.search(cases=100)


@chapter.claim(
    "gan.eq45", place="Appendix on identifiability, before eq. 45", kind=Kind.DEFINITION,
    statement="True and estimated parameters are both written with tildes.",
    correction=Correction("the true ones are f, T, lambda, the estimated ones carry the tilde", notational=True),
    scope="whether the tildes in the text layer of the source are those of the printed page")
def two_sets_of_parameters(on: Record) -> None:
    # z ~ exp(lambda z) base, f(z) = z against z~ = 2z, T~(z~) = z~: the relation between the two sets is not trivial.
    z = sp.Symbol("z", real=True)
    slope = sp.Symbol("A", real=True)
    solved = sp.solve(sp.Eq(z, slope * 2 * z), slope)
    on.printed.refute(solved == [HALF] and solved != [1],
                      "T(z) = z, f(z) = z against T~(z~) = z~, f~(z~) = z~/2: A = 1/2; were both sets one, A would be "
                      "1")
    on.corrected.prove(sp.expand(z - solved[0] * (2 * z)) == 0, "T(f^-1(x)) = A T~(f~^-1(x)) with A = 1/2 (symbolic)")


def _log_densities(n: int, k: int) -> tuple[dict[str, list[sp.Expr]], list[sp.Expr], list[sp.Expr]]:
    """Generic log densities of both models at u_0 and u_l, with the symbols they are made of."""
    symbols: dict[str, list[sp.Expr]] = {}
    sides = []
    for tag in ("", "t"):
        statistics = list(sp.symbols(f"T{tag}0:{n * k}"))
        base, volume = sp.symbols(f"q{tag} v{tag}")
        per_point = []
        for point in ("0", "l"):
            natural = list(sp.symbols(f"m{tag}{point}_0:{n * k}"))
            normaliser = list(sp.symbols(f"Z{tag}{point}_0:{n}", positive=True))
            symbols[f"natural{tag}{point}"], symbols[f"normaliser{tag}{point}"] = natural, normaliser
            per_point.append(base + volume - sum(sp.log(zz) for zz in normaliser)
                             + sum(a * b for a, b in zip(statistics, natural, strict=True)))
        symbols[f"statistics{tag}"] = statistics
        sides.append(per_point)
    return symbols, sides[0], sides[1]


@chapter.claim(
    "gan.eq46-58", place="Appendix on identifiability, eqs. 45-58", kind=Kind.IDENTITY,
    statement="Differences of log densities at u_l and u_0 lose base measure and volume: what is left is the sum over "
              "statistics of T times the change of parameter, plus the logarithms of ratios of normalisers.",
    hypotheses=("the base density is positive", "x lies in the image"),
    scope="sizes other than n = k = 1 and n = k = 2, where terms of the same form are added")
def pivot(on: Record) -> None:
    for n, k in ((1, 1), (2, 2)):
        s, left, _ = _log_densities(n, k)
        stated = sum(t * (b - a) for t, a, b in zip(s["statistics"], s["natural0"], s["naturall"], strict=True)) \
            + sum(sp.log(a / b) for a, b in zip(s["normaliser0"], s["normaliserl"], strict=True))
        rest = sp.expand(sp.expand_log(left[1] - left[0] - stated, force=True))
        on.printed.prove(rest == 0, f"n = {n}, k = {k}, generic symbols; every latent and statistic enters linearly")


@chapter.claim(
    "gan.eq46.indicator", place="Appendix on identifiability, after eq. 46", kind=Kind.CLAIM,
    statement="The indicator of the image may be dropped because no integral is left.",
    correction=Correction("it may be dropped for x in the image, where it is 1"))
def indicator(on: Record) -> None:
    # f(z) = (z, 0) with the left inverse (x1, x2) -> x1, whose volume factor is 1.
    first, second = sp.symbols("x1 x2", real=True)
    formula = sp.exp(-first**2 / 2) / sp.sqrt(2 * sp.pi)
    masked = formula * sp.Piecewise((1, sp.Eq(second, 0)), (0, True))
    off, on_image = {first: 0, second: 1}, {second: 0}
    on.printed.refute(masked.subs(off) == 0 and formula.subs(off).is_positive,
                      f"f(z) = (z, 0), z ~ N(0, 1): at (0, 1) the density is 0 and the formula without indicator "
                      f"{formula.subs(off)}, no integral in sight", shown="f(z) = (z, 0), z ~ N(0, 1), x = (0, 1)")
    on.corrected.prove(sp.simplify(masked.subs(on_image) - formula.subs(on_image)) == 0, "on the image both agree "
                                                                                         "(symbolic)")


@chapter.claim(
    "gan.eq59-61", place="Appendix on identifiability, eqs. 59-61", kind=Kind.IDENTITY,
    statement="In inner products: L^T T(f^-1(x)) = L~^T T~(f~^-1(x)) + b, b_l the sum over latents of "
              "log Z~(u_0) Z(u_l) / (Z~(u_l) Z(u_0)).",
    scope="sizes other than n = k = 1 and n = k = 2, where terms of the same form are added")
def matrix_form(on: Record) -> None:
    for n, k in ((1, 1), (2, 2)):
        s, left, right = _log_densities(n, k)
        rows = [sum(t * (b - a) for t, a, b in zip(s[f"statistics{tag}"], s[f"natural{tag}0"], s[f"natural{tag}l"],
                                                   strict=True)) for tag in ("", "t")]
        shift = sum(sp.log(c * b / (d * a)) for a, b, c, d in zip(s["normaliser0"], s["normaliserl"], s["normalisert0"],
                                                                  s["normalisertl"], strict=True))
        difference = (left[1] - left[0]) - (right[1] - right[0]) - (rows[0] - rows[1] - shift)
        on.printed.prove(sp.expand(sp.expand_log(difference, force=True)) == 0,
                         f"n = {n}, k = {k}: equal differences of the log densities are exactly this row (symbolic)")


@dataclass(frozen=True)
class NormalPair:
    """Normal latents given u and the same scaled, shifted and permuted.

    Attributes
    ----------
    means, variances : tuple of tuple of Fraction
        One row a value of u.
    order, scales, shifts : tuple
        Latent j of the second model is scales[j] * z[order[j]] + shifts[j].
    """

    means: tuple[tuple[Fraction, ...], ...]
    variances: tuple[tuple[Fraction, ...], ...]
    order: tuple[int, ...]
    scales: tuple[Fraction, ...]
    shifts: tuple[Fraction, ...]

    def other(self) -> NormalPair:
        """The parameters of the second model in place of the first."""
        means = tuple(tuple(s * row[i] + t for i, s, t in zip(self.order, self.scales, self.shifts, strict=True))
                      for row in self.means)
        variances = tuple(tuple(s * s * row[i] for i, s in zip(self.order, self.scales, strict=True))
                          for row in self.variances)
        return NormalPair(means, variances, self.order, self.scales, self.shifts)

    def matrix(self) -> tuple[tuple[Fraction, ...], ...]:
        """L: natural parameters (m/v, -1/(2v)) at u_l minus those at u_0, one column a point."""
        rows = [tuple(entry for m, v in zip(ms, vs, strict=True) for entry in (m / v, Fraction(-1) / (2 * v)))
                for ms, vs in zip(self.means, self.variances, strict=True)]
        return transpose([tuple(a - b for a, b in zip(row, rows[0], strict=True)) for row in rows[1:]])

    def log_normalisers(self) -> list[LogSum]:
        """The sum over latents of log Z(u), up to the constant from 2 pi, for every u."""
        result = []
        for ms, vs in zip(self.means, self.variances, strict=True):
            terms = LogSum()
            for m, v in zip(ms, vs, strict=True):
                terms = terms + LogSum(m * m / (2 * v)) + log(v).times(HALF)
            result.append(terms)
        return result

    def statistics(self, z: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
        """T(z) = (z_1, z_1^2, z_2, ...)."""
        return tuple(entry for value in z for entry in (value, value * value))

    def moved(self, z: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
        """The second model's latents."""
        return tuple(s * z[i] + t for i, s, t in zip(self.order, self.scales, self.shifts, strict=True))

    def spanning(self) -> bool:
        """Whether L is invertible."""
        return is_regular(self.matrix())

    def relation_holds(self) -> bool:
        """T(z) = A T~(z~) + c at several points, exactly, for a solution of L^T A = L~^T and c = L^-T b.

        For a singular L only differences between points are compared, which do not depend on c.
        """
        other = self.other()
        system, target = transpose(self.matrix()), transpose(other.matrix())
        solved = [solve(system, column) for column in transpose(target)]
        columns = [column for column in solved if column is not None]
        if len(columns) < len(solved):
            return False
        matrix = transpose(columns)
        size = len(self.order)
        points = [tuple(Fraction(step * (i + 1), 2) for i in range(size)) for step in (0, 1, -3)]
        rests = []
        for z in points:
            image = product(matrix, [(entry,) for entry in self.statistics(self.moved(z))])
            rests.append([value - row[0] for value, row in zip(self.statistics(z), image, strict=True)])
        if not self.spanning():
            return all(rest == rests[0] for rest in rests)
        first, second = self.log_normalisers(), other.log_normalisers()
        shifts = [second[0] + first[i] - second[i] - first[0] for i in range(1, len(first))]
        constants = [sum((b.times(a) for a, b in zip(row, shifts, strict=True)), LogSum()) for row in inverse(system)]
        return all((LogSum(value) - constant).sign() == 0
                   for rest in rests for value, constant in zip(rest, constants, strict=True))


@st.composite
def _normal_pairs(draw: st.DrawFn, degenerate: bool) -> NormalPair:
    n = draw(st.integers(1, 2))
    count = 2 * n + 1
    fixed = degenerate and draw(st.booleans())
    entry = st.sampled_from([Fraction(m) for m in (0, 1, -2, 3)])
    size = st.sampled_from([Fraction(v) for v in (1, 2, 5)] + [HALF])
    means = tuple(tuple(Fraction(0) if fixed else draw(entry) for _ in range(n)) for _ in range(count))
    variances = tuple(tuple(draw(size) for _ in range(n)) for _ in range(count))
    scale = st.sampled_from([Fraction(1), Fraction(-1), Fraction(3), HALF])
    return NormalPair(means, variances, tuple(draw(st.permutations(range(n)))),
                      tuple(draw(scale) for _ in range(n)), tuple(draw(entry) for _ in range(n)))


@chapter.claim(
    "gan.eq62", place="Appendix on identifiability, eq. 62", kind=Kind.IDENTITY,
    statement="T(f^-1(x)) = A T~(f~^-1(x)) + c with A = L^-T L~^T and c = L^-T b.", hypotheses=("L is invertible",),
    universal=lambda: Universal(
        statement="normal latents: A and c from L, L~ and the normalisers relate the statistics at every point",
        cases=lambda dropped: _normal_pairs(bool(dropped)), hypotheses={"L invertible": NormalPair.spanning},
        conclusion=NormalPair.relation_holds, needed=("L invertible",)))
def affine_relation_from_l(on: Record) -> None:
    # Symbols that do not commute: identities for matrices of every size.
    first, second, statistics, shift = sp.symbols("L M t b", commutative=False)
    matrix, constant = first**-1 * second, first**-1 * shift
    on.printed.prove(sp.expand(first * (matrix * statistics + constant) - second * statistics - shift) == 0
                     and sp.expand(first**-1 * (second * statistics + shift) - matrix * statistics - constant) == 0,
                     "L^T T = L~^T T~ + b and T = A T~ + c imply each other, matrices of any size (symbolic)")
    on.printed.search(cases=100)
