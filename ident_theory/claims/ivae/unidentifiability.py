"""Appendix F: why unconditional priors do not identify the latents."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import sympy
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(IVAE)

t = sympy.Symbol("t", real=True)
ATOMLESS = "no atoms"


def orthogonal_plane() -> list[sympy.Matrix]:
    """All orthogonal 2 x 2 matrices: rotations and reflections."""
    c, s = sympy.cos(t), sympy.sin(t)
    return [sympy.Matrix([[c, -s], [s, c]]), sympy.Matrix([[c, s], [s, -c]])]


@dataclass(frozen=True)
class Mixed:
    """A law on the line: weights of atoms at 0, 1, ... and of uniform pieces on (0, 1), (1, 2), ...; they sum to 1."""

    atoms: tuple[Fraction, ...]
    pieces: tuple[Fraction, ...]

    def below(self, x: Fraction) -> Fraction:
        """P(Z <= x)."""
        total = sum((w for i, w in enumerate(self.atoms) if i <= x), Fraction(0))
        return total + sum((w * min(max(x - i, Fraction(0)), Fraction(1)) for i, w in enumerate(self.pieces)),
                           Fraction(0))

    def image_below(self, level: Fraction) -> Fraction:
        """P(F(Z) <= level): F is constant on flat stretches and linear on the others, so add what lies below."""
        total = sum((w for i, w in enumerate(self.atoms) if self.below(Fraction(i)) <= level), Fraction(0))
        for i, w in enumerate(self.pieces):
            if w:
                start = self.below(Fraction(i))
                total += w * min(max((level - start) / w, Fraction(0)), Fraction(1))
        return total


def uniform_images() -> Universal[Mixed]:
    """The distribution function of a random variable, applied to it."""
    @st.composite
    def cases(draw: st.DrawFn, dropped: frozenset[str]) -> Mixed:
        size = draw(st.integers(1, 3))
        pieces = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
        atoms = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)) if ATOMLESS in dropped else [0] * size
        total = sum(pieces) + sum(atoms)
        if total == 0:
            pieces, total = [1, *pieces[1:]], 1
        return Mixed(tuple(Fraction(w, total) for w in atoms), tuple(Fraction(w, total) for w in pieces))

    levels = [Fraction(i, 12) for i in range(13)]
    return Universal("F(Z) is uniform on (0, 1)", cases,
                     lambda law: all(law.image_below(level) == level for level in levels),
                     {ATOMLESS: lambda law: not any(law.atoms)}, (ATOMLESS,))


@chapter.claim(
    "ivae.eq30", place="App. F.1, eq. 30", kind=Kind.IDENTITY, hypotheses=("M is orthogonal", "z ~ N(0, I), n latents"),
    statement="The density of M z is that of z, with normaliser (2 pi)^(d/2), because det M = 1.",
    correction=Correction("The normaliser is (2 pi)^(n/2), and |det M| = 1: det M is 1 or -1.", notational=True),
    scope="corrected statement: n = 2, every orthogonal matrix")
def rotation_invariance(on: Record) -> None:
    turn, mirror = orthogonal_plane()
    on.printed.refute(sympy.simplify(mirror.T * mirror) == sympy.eye(2) and sympy.simplify(mirror.det()) == -1,
                      "the reflection [[cos t, sin t], [sin t, -cos t]] is orthogonal with determinant -1")
    x = sympy.Symbol("x", real=True)
    mass = sympy.integrate(sympy.exp(-x ** 2 / 2), (x, -sympy.oo, sympy.oo)) / (2 * sympy.pi)
    on.printed.refute(sympy.simplify(mass - 1 / sympy.sqrt(2 * sympy.pi)) == 0,
                      f"n = 1, d = 2: with (2 pi)^(d/2) the density of z integrates to {mass}")
    xi = sympy.Matrix(sympy.symbols("xi1 xi2", real=True))
    for matrix in (turn, mirror):
        moved = matrix.T * xi
        density = sympy.exp(-moved.dot(moved) / 2) * sympy.Abs(sympy.simplify(matrix.det())) / (2 * sympy.pi)
        on.corrected.prove(sympy.simplify(density - sympy.exp(-xi.dot(xi) / 2) / (2 * sympy.pi)) == 0,
                           "n = 2, for every rotation and every reflection of the plane")


@chapter.claim(
    "ivae.F1", place="App. F.1", kind=Kind.CLAIM, hypotheses=("a factorial prior, of any marginal laws F_i",),
    statement="Mapping each latent to a Gaussian by Phi^-1(F_i), rotating, and mapping back gives latents with the "
              "same law, so the original ones are not identifiable.",
    correction=Correction("The same for marginal laws without atoms.", ("every F_i is continuous",)),
    universal=uniform_images, scope="corrected statement: that F_i(z_i) is uniform; the rotation is eq. 30")
def gaussian_detour(on: Record) -> None:
    p = Fraction(3, 10)
    bernoulli = Mixed((1 - p, p), (Fraction(0), Fraction(0)))
    values = [bernoulli.below(Fraction(i)) for i in (0, 1)]
    level = sympy.erfinv(2 * sympy.Rational(values[1].numerator, values[1].denominator) - 1)
    on.printed.refute(values == [1 - p, 1] and level == sympy.oo and bernoulli.image_below(Fraction(1, 2)) == 0,
                      "Bernoulli(3/10): F(z) is 7/10 or 1, not uniform (P(F(z) <= 1/2) = 0), and Phi^-1(1) is infinite")
    on.printed.search(cases=60, without=(ATOMLESS,))
    on.corrected.search(cases=200)
    x = sympy.Symbol("x", positive=True)
    u = 1 - sympy.exp(-x)
    on.corrected.support(sympy.simplify(sympy.diff(u, x) - sympy.exp(-x)) == 0 and u.subs(x, 0) == 0,
                         "for an exponential latent F(z) has density 1 on (0, 1): dF/dz is the density of z", cases=1,
                         evidence=Evidence.EXACT)


@chapter.claim(
    "ivae.thm4", place="App. F.2, Theorem 4", kind=Kind.THEOREM, covers=("Theorem 4",),
    hypotheses=("a random vector of any distribution",),
    statement="Some map takes it to independent standard Gaussian variables, the first a monotone function of z_1.",
    correction=Correction("The same when every conditional distribution function of z_i given z_1, ..., z_{i-1} is "
                          "continuous, for instance for a joint density.", ("continuous conditional laws",)),
    universal=uniform_images, scope="corrected statement: two and three variables with smooth conditional distribution "
                                    "functions, and single laws that need not be smooth")
def independent_gaussians(on: Record) -> None:
    atoms = Mixed((Fraction(1), Fraction(0)), (Fraction(0), Fraction(0)))
    on.printed.refute(atoms.below(Fraction(0)) == 1 and atoms.below(Fraction(-1, 100)) == 0,
                      "z = 0 almost surely: any image g(z) is constant, and a Gaussian variable is not")
    z1, z2 = sympy.symbols("z1 z2", positive=True)
    share, w = sympy.symbols("p w", real=True)
    half = sympy.integrate(sympy.exp(-w ** 2 / 2) / sympy.sqrt(2 * sympy.pi), (w, -sympy.oo, 0))
    certain = sympy.solveset(share ** 2 - share, share, sympy.S.Reals)
    on.printed.refute(certain == sympy.FiniteSet(0, 1) and half == sympy.Rational(1, 2),
                      "z = (z_1, z_1), z_1 ~ N(0, 1), no atoms: z'_1, strictly monotone in z_1, determines z'_2, so "
                      "the event z'_2 <= 0 is one about z'_1; if z'_2 is independent of z'_1 its probability p has "
                      f"p = p^2, but a standard Gaussian z'_2 has p = {half}")
    u, v = 1 - sympy.exp(-z1), 1 - sympy.exp(-z1 * z2)
    jacobian = sympy.Matrix([u, v]).jacobian([z1, z2]).det()
    joint = sympy.exp(-z1) * z1 * sympy.exp(-z1 * z2)
    on.corrected.support(sympy.simplify(jacobian - joint) == 0 and v.subs(z2, 0) == 0
                         and sympy.limit(v.subs(z1, 1), z2, sympy.oo) == 1,
                         "z_1 ~ Exp(1), z_2 given z_1 ~ Exp(z_1): (u, v) = (1 - exp(-z_1), 1 - exp(-z_1 z_2)) has the "
                         "joint density as its Jacobian, so it is uniform on the square", cases=1,
                         evidence=Evidence.EXACT)
    x = sympy.symbols("x1:4", real=True)
    conditionals = [sympy.Function(f"F{i + 1}")(*x[:i + 1]) for i in range(3)]
    triangular = sympy.Matrix(conditionals).jacobian(x).det()
    density = sympy.prod(sympy.diff(f, x[i]) for i, f in enumerate(conditionals))
    on.corrected.support(sympy.simplify(triangular - density) == 0,
                         "in three dimensions with any smooth conditional distribution functions the Jacobian of "
                         "(F_1, F_2, F_3) is the product of the conditional densities", cases=1,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=60)


@chapter.claim(
    "ivae.F2.absurd", place="App. F.2", kind=Kind.CLAIM, hypotheses=("x has a joint density", "d variables"),
    statement="Applied to permuted data, the theorem makes any x_i one of the independent components.",
    scope="two variables, the first exponential and the second exponential with the first as its rate")
def any_variable_is_a_component(on: Record) -> None:
    x1, x2, c = sympy.symbols("x1 x2 c", positive=True)
    joint = x1 * sympy.exp(-x1 * (1 + x2))
    second = sympy.integrate(joint, (x1, 0, sympy.oo))
    f2 = sympy.simplify(sympy.integrate(second.subs(x2, c), (c, 0, x2)))
    given = sympy.simplify(sympy.integrate((joint / second).subs(x1, c), (c, 0, x1)))
    jacobian = sympy.Matrix([f2, given]).jacobian([x2, x1]).det()
    slope = sympy.factor(sympy.diff(f2, x2))
    ends = [sympy.limit(f, at, end) for f, at in ((f2, x2), (given, x1)) for end in (0, sympy.oo)]
    on.printed.support(sympy.simplify(jacobian - joint) == 0 and not f2.has(x1) and slope.is_positive is True
                       and ends == [0, 1, 0, 1],
                       f"with x_2 first: u = {f2} is increasing in x_2 alone, v = F(x_1|x_2), and their Jacobian is "
                       "the joint density; so either variable is, up to a monotone map, an independent component",
                       cases=2, evidence=Evidence.EXACT)


@chapter.claim(
    "ivae.F2.law", place="App. F.2, last paragraph", kind=Kind.CLAIM,
    hypotheses=("g maps z to independent standard Gaussian variables", "g is invertible on the support",
                "M is orthogonal"),
    statement="g^-1(M g(z)) has the law of z.", scope="two latents, g smooth")
def detour_keeps_the_law(on: Record) -> None:
    # g(z') = M g(z): the density of z' is phi(M^T g(z')) |det M| |det Dg(z')|, that of z is phi(g(z)) |det Dg(z)|.
    z1, z2 = sympy.symbols("z1 z2", real=True)
    g = sympy.Matrix([sympy.Function("g1")(z1, z2), sympy.Function("g2")(z1, z2)])
    volume = sympy.Symbol("D", positive=True)

    def phi(point: sympy.Matrix) -> sympy.Expr:
        return sympy.exp(-(point[0] ** 2 + point[1] ** 2) / 2) / (2 * sympy.pi)

    for matrix in orthogonal_plane():
        ratio = sympy.simplify(phi(matrix.T * g) * sympy.Abs(sympy.simplify(matrix.det())) * volume
                               / (phi(g) * volume))
        on.printed.prove(ratio == 1, "the two densities agree, for every orthogonal M and arbitrary g")
    # The map bends: (u, v) of Theorem 4 for the exponential pair, a quarter turn takes u to v, so 1 - exp(-z'_1) = v.
    p1, p2, c = sympy.symbols("p1 p2 c", positive=True)
    moved = sympy.expand_log(-sympy.log(1 - (1 - sympy.exp(-p1 * p2))), force=True)
    beyond = sympy.integrate(sympy.exp(-p1) * sympy.exp(-p1 * (c / p1)), (p1, 0, sympy.oo))
    on.printed.support(sympy.simplify(moved - p1 * p2) == 0 and beyond == sympy.exp(-c),
                       "for z_1 ~ Exp(1) and z_2 given z_1 ~ Exp(z_1), with g from the theorem and M a quarter turn, "
                       "the first latent becomes z_1 z_2, which is Exp(1) again", cases=1, evidence=Evidence.EXACT)


@chapter.claim(
    "ivae.F2.any", place="Sec. 2.2; App. F", kind=Kind.CLAIM, hypotheses=("any unconditional prior",),
    statement="Whatever the unconditional prior, the latents are not identifiable: some other map keeps its law.",
    correction=Correction("The same for priors without atoms.", ("the prior has no atoms",)),
    universal=uniform_images, scope="corrected statement: one latent; F(z) is uniform, and so is 1 - F(z)")
def any_prior(on: Record) -> None:
    p = {0: Fraction(7, 10), 1: Fraction(3, 10)}
    keeping = []
    for image in product((0, 1), repeat=2):
        law = {v: sum((w for z, w in p.items() if image[z] == v), Fraction(0)) for v in (0, 1)}
        if law == p:
            keeping.append(image)
    on.printed.refute(keeping == [(0, 1)] and sum(p.values()) == 1,
                      "Bernoulli(3/10), one latent: of the four maps of {0, 1} into itself only the identity keeps the "
                      "law, so the latent is known from an injective decoder")
    x = sympy.Symbol("x", real=True)
    f = 1 / (1 + sympy.exp(-x))
    other = sympy.log((1 - f) / f)  # F^-1(1 - F): the orthogonal map -1 of one Gaussian
    on.corrected.support(sympy.simplify(sympy.exp(other) - sympy.exp(-x)) == 0
                         and sympy.simplify(sympy.diff(f, x) - sympy.diff(f, x).subs(x, -x)) == 0,
                         "one logistic latent: F^-1(1 - F(z)) = -z has the same law and is not the identity", cases=1,
                         evidence=Evidence.EXACT)
    on.corrected.search(cases=100)
