"""R1: noise is removed from measures, not densities; then likelihood ratios relate the statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.matrices import INTEGERS, Matrix, Row, apply, inverse_or_none, matrices, rank, shown_matrix
from ident_theory.claims.papers import REPAIRS
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(REPAIRS)


@dataclass(frozen=True)
class FiniteModel:
    """z in finitely many points, p(z | u) proportional to Q(z) 2^(lambda(u) . T(z)), x = f(z) + e in Z_N.

    Attributes
    ----------
    base : Row
        Q.
    statistics : Matrix
        T at every z, integers.
    natural : Matrix
        lambda at u_0, u_1, ..., integers.
    decoder : tuple of int
        f at every z.
    noise : Row
        Law of e on Z_N.
    """

    base: Row
    statistics: Matrix
    natural: Matrix
    decoder: tuple[int, ...]
    noise: Row

    def weight(self, u: int, z: int) -> Fraction:
        """Q(z) 2^(lambda(u) . T(z))."""
        exponent = sum((a * b for a, b in zip(self.natural[u], self.statistics[z], strict=True)), Fraction(0))
        return self.base[z] * Fraction(2) ** int(exponent)

    def normaliser(self, u: int) -> Fraction:
        """Z(u)."""
        return sum((self.weight(u, z) for z in range(len(self.base))), Fraction(0))

    def image_law(self, u: int) -> Row:
        """The push-forward of p(z | u) by f."""
        masses = [Fraction(0)] * len(self.noise)
        for z, at in enumerate(self.decoder):
            masses[at] += self.weight(u, z) / self.normaliser(u)
        return tuple(masses)

    def observed_law(self, u: int) -> Row:
        """The law of x given u."""
        image, size = self.image_law(u), len(self.noise)
        return tuple(sum((image[m] * self.noise[(x - m) % size] for m in range(size)), Fraction(0))
                     for x in range(size))

    def __str__(self) -> str:
        return (f"Q = {shown_matrix([self.base])}, T = {shown_matrix(self.statistics)}, "
                f"lambda = {shown_matrix(self.natural)}, "
                f"f = {list(self.decoder)}, noise on Z_{len(self.noise)}: {shown_matrix([self.noise])}")


Pair = tuple[FiniteModel, FiniteModel]


def _conclusion(pair: Pair) -> bool:
    """Equal push-forwards, and L^T T = L'^T T' + b on the common image with b from the normalisers."""
    first, second = pair
    values = range(len(first.natural))
    if any(first.image_law(u) != second.image_law(u) for u in values):
        return False
    for u in values[1:]:
        b = {_statistic(first, u, z) - _statistic(second, u, w) for z, at in enumerate(first.decoder)
             for w, other in enumerate(second.decoder) if at == other}
        ratio = (second.normaliser(0) * first.normaliser(u)) / (first.normaliser(0) * second.normaliser(u))
        if len(b) > 1 or any(Fraction(2) ** int(v) != ratio for v in b):
            return False
    return True


def _statistic(model: FiniteModel, u: int, z: int) -> Fraction:
    """(lambda(u) - lambda(u_0)) . T(z)."""
    return sum(((a - b) * t for a, b, t in zip(model.natural[u], model.natural[0], model.statistics[z], strict=True)),
               Fraction(0))


def _no_zero(pair: Pair) -> bool:
    """Whether the characteristic function has no zero on Z_N: convolution with the noise is then injective."""
    size = len(pair[0].noise)
    return all(rank([[model.noise[(x - m) % size] for m in range(size)] for x in range(size)]) == size
               for model in pair)


def _is_injective(pair: Pair) -> bool:
    return all(len(set(model.decoder)) == len(model.decoder) for model in pair)


@st.composite
def _pairs(draw: st.DrawFn, dropped: frozenset[str]) -> Pair:
    """A model, and the same one after renumbering z, recombining T, and moving a factor into the base measure."""
    size = draw(st.sampled_from((3, 4, 6) if "non-zero characteristic function" in dropped else (3, 4, 5)))
    points, count = draw(st.integers(2, 3)), draw(st.integers(1, 2))
    shift = draw(st.integers(0, size - 1)) if "same noise" in dropped else 0
    coset = 0
    if "non-zero characteristic function" in dropped and draw(st.booleans()):
        divisor = 2 if size % 2 == 0 else 3
        coset = divisor  # noise uniform on the multiples of this: the law of x does not feel shifts by them
        noise: Row = tuple(Fraction(divisor * (x % divisor == 0), size) for x in range(size))
    else:
        weights = [draw(st.sampled_from((1, 2, 0, 5, 1000))) for _ in range(size)]
        weights[0] = weights[0] or 1
        noise = tuple(Fraction(w, sum(weights)) for w in weights)
    base = [Fraction(draw(st.sampled_from((1, 2, 3)))) for _ in range(points)]
    if "base measure positive" in dropped:
        base[draw(st.integers(1, points - 1))] = Fraction(0)
    statistics = draw(matrices(points, count))
    natural = draw(matrices(count + 1, count))
    others = draw(matrices(points, count)) if "equal laws" in dropped and draw(st.booleans()) else statistics
    decoder = draw(st.lists(st.integers(0, size - 1), min_size=points, max_size=points,
                            unique="f injective" not in dropped))
    first = FiniteModel(tuple(base), statistics, natural, tuple(decoder), noise)
    order = draw(st.permutations(range(points)))
    mixing = [[Fraction(int(i == j)) for j in range(count)] for i in range(count)]
    if count == 2:
        mixing[0][1] = draw(INTEGERS)
    back = inverse_or_none(mixing)
    assert back is not None
    offset, factor = draw(matrices(1, count))[0], draw(matrices(1, count))[0]
    moved = [apply(mixing, others[z], offset) for z in order]
    if "base measure positive" in dropped:
        moved = [draw(matrices(1, count))[0] if base[z] == 0 else row for z, row in zip(order, moved, strict=True)]
    # lambda' = B^-T lambda + factor, and Q' makes up for the factor.
    dual = tuple(zip(*back, strict=True))
    second = FiniteModel(
        tuple(base[z] * Fraction(2) ** int(-sum((a * b for a, b in zip(factor, row, strict=True)), Fraction(0)))
              for z, row in zip(order, moved, strict=True)),
        tuple(moved), tuple(apply(dual, row, factor) for row in natural),
        tuple((decoder[z] - shift + coset * draw(st.integers(0, 1))) % size if coset else (decoder[z] - shift) % size
              for z in order),
        tuple(noise[(x - shift) % size] for x in range(size)))
    return first, _with_idle_statistic(draw, second) if draw(st.booleans()) else second


def _with_idle_statistic(draw: st.DrawFn, model: FiniteModel) -> FiniteModel:
    """The same laws with one statistic more, of any values, whose natural parameter is the same for all u."""
    values = draw(st.lists(st.integers(-2, 2).map(Fraction), min_size=len(model.base), max_size=len(model.base)))
    weight = draw(st.integers(-2, 2).map(Fraction))
    return replace(model, statistics=tuple((*row, v) for row, v in zip(model.statistics, values, strict=True)),
                   natural=tuple((*row, weight) for row in model.natural),
                   base=tuple(q * Fraction(2) ** int(-weight * v) for q, v in zip(model.base, values, strict=True)))


def noise_removal() -> Universal[Pair]:
    """R1 on a finite cyclic group, where every law is rational: "dense" means all frequencies there."""
    return Universal(
        "equal laws of x given u under one noise without zeros of its characteristic function give equal "
        "push-forwards, and L^T T = L'^T T' + b on the common image",
        cases=_pairs, conclusion=_conclusion,
        hypotheses={
            "equal laws": lambda pair: all(pair[0].observed_law(u) == pair[1].observed_law(u)
                                           for u in range(len(pair[0].natural))),
            "same noise": lambda pair: pair[0].noise == pair[1].noise,
            "non-zero characteristic function": _no_zero, "f injective": _is_injective,
            "base measure positive": lambda pair: all(q > 0 for model in pair for q in model.base)},
        needed=("equal laws", "same noise", "non-zero characteristic function", "f injective", "base measure positive"),
        show=lambda pair: f"first: {pair[0]}; second: {pair[1]}")


@chapter.claim(
    "repair.r1", place="audit, section 0, R1", kind=Kind.REPAIR,
    statement="Let f and f' be injective Borel maps into R^d and let x = f(z) + e and x' = f'(z') + e with one law of "
              "e, whose characteristic function is not zero on a dense set of frequencies. If x and x' have the same "
              "law given u for all u in U0, then so have f(z) and f'(z'). For exponential families with positive base "
              "measures and u_0, ..., u_l in U0 the likelihood ratios give L^T T(f^-1(m)) = L'^T T'(f'^-1(m)) + b for "
              "almost every m in the common image. Nothing is differentiated, and n < d is allowed.",
    hypotheses=("f and f' injective and Borel (for the second part)", "one law of the noise, independent of (z, u)",
                "its characteristic function is not zero on a dense set", "the laws agree for all u that occur in L",
                "Q > 0 on the set of values of z, if almost every m is to mean almost every z (the P_u have the same "
                "null sets in any case)"),
    scope="the step from a dense set of frequencies to all is continuity of characteristic functions, quoted; the "
          "search is on finite cyclic groups",
    universal=noise_removal)
def noise_from_measures(on: Record) -> None:
    """The ratio of two members of an exponential family, symbolically; then exact models on cyclic groups."""
    on.printed.support(_ratio_identity(2, 2) and _ratio_identity(3, 2),
                       "log of (P_u / P_u0) at z is (lambda(u) - lambda(u_0)) . T(z) + log Z(u_0) / Z(u), Q cancels "
                       "(symbolic, n = 2, 3 and k = 2)", cases=2, evidence=Evidence.EXACT)
    on.printed.search(cases=200)


def _ratio_identity(n: int, k: int) -> bool:
    q, z0, zu = sp.symbols("Q Z0 Zu", positive=True)
    size = n * k
    statistics, start, end = (sp.symbols(f"{name}:{size}", real=True) for name in ("T", "a", "b"))

    def density(natural: tuple[sp.Symbol, ...], normaliser: sp.Symbol) -> sp.Expr:
        return q / normaliser * sp.exp(sum(lam * t for lam, t in zip(natural, statistics, strict=True)))

    left = sp.expand_log(sp.log(density(end, zu) / density(start, z0)), force=True)
    right = sum((b - a) * t for a, b, t in zip(start, end, statistics, strict=True)) + sp.log(z0) - sp.log(zu)
    return bool(sp.expand(left - right) == 0)


@chapter.claim(
    "repair.r1.dense", place="after R1", kind=Kind.ADDED,
    statement="The set of frequencies has to be dense: with noise whose characteristic function is max(1 - |t|, 0), "
              "two different laws on the line give the same law of x, although f is the identity in both models.",
    hypotheses=("f = f' = identity on R", "the noise has density (1 - cos x) / (pi x^2)"),
    scope="Polya's criterion, by which the two functions and that of the noise are characteristic functions, is quoted")
def zeros_on_an_interval(on: Record) -> None:
    """exp(-|t|), and the same up to 1 and then along the tangent to zero: both are of Polya's kind."""
    t = sp.Symbol("t", nonnegative=True)
    one = sp.Integer(1)
    first = sp.exp(-t)
    tangent = first.subs(t, one) + first.diff(t).subs(t, one) * (t - one)
    end = sp.solve(tangent, t)[0]
    slope = tangent.diff(t)
    polya = (first.subs(t, 0) == 1 and first.diff(t, 2).is_positive and slope == first.diff(t).subs(t, one)
             and slope < 0 and end == 2)
    second = sp.Piecewise((first, t < 1), (tangent, t < end), (0, True))
    noise = sp.Piecewise((1 - t, t < 1), (0, True))
    same = sp.simplify(sp.piecewise_fold(noise * (first - second))) == 0
    differ = sp.simplify((first - second).subs(t, sp.Rational(3, 2)))
    on.printed.prove(bool(polya and same and differ != 0),
                     "the second function is exp(-t) up to 1 and (2 - t)/e up to 2: value 1 at 0, convex, decreasing "
                     "to 0, hence a characteristic function; where they differ (t > 1) that of the noise is 0")
