"""Section 4.2 and Appendix D.1: the loss and the means and variances of the mixture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb, fmpq
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Points:
    """Two latent points under one normal law N(mean, diag(variances)), and how many dimensions the loss sums."""

    first: Row
    second: Row
    mean: Row
    variances: Row
    n: int

    def quadratic(self, point: Row, count: int) -> Fraction:
        """sum of (w_i - mu_i)^2/(2 sigma_i^2) over the first `count` dimensions."""
        terms = list(zip(point, self.mean, self.variances, strict=True))[:count]
        return sum(((w - m) ** 2 / (2 * v) for w, m, v in terms), Fraction(0))

    @property
    def agree(self) -> bool:
        """Whether n times the loss differs between the points as the negative log-likelihood does."""
        d = len(self.first)
        return (self.quadratic(self.first, self.n) - self.quadratic(self.second, self.n)
                == self.quadratic(self.first, d) - self.quadratic(self.second, d))


def loss_is_likelihood() -> Universal[Points]:
    """Differences of the loss between two points with one label."""
    number = st.integers(-2, 2).map(Fraction)
    scale = st.sampled_from([Fraction(v) for v in ("1", "2", "1/4")])

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Points]:
        def build(d: int) -> st.SearchStrategy[Points]:
            rows = st.tuples(*[number] * d)
            return st.builds(Points, rows, rows, rows, st.tuples(*[scale] * d),
                             st.integers(1, d) if "all d dimensions" in dropped else st.just(d))

        return st.integers(1, 4).flatmap(build)

    return Universal("the loss orders points as their likelihood does", cases, lambda case: case.agree,
                     {"all d dimensions": lambda case: case.n == len(case.first)}, needed=("all d dimensions",))


@chapter.claim("gin.eq7", place="Sec. 4.2, eq. 7", kind=Kind.IDENTITY,
               statement="The negative log-likelihood of the data is, up to a constant and a factor, the mean over "
                         "the n generating dimensions of (w_i - mu_i)^2/(2 sigma_i^2) + log sigma_i.",
               hypotheses=("the map preserves volume", "n is the number of generating latents, as in Sec. 3"),
               correction=Correction("The mean runs over all d latent dimensions; the constant is log(2 pi)/2.",
                                     notational=True),
               universal=loss_is_likelihood)
def loss_over_all_dimensions(on: Record) -> None:
    zero, one = Fraction(0), Fraction(1)
    case = Points((zero, zero), (zero, Fraction(5)), (zero, zero), (one, one), 1)
    on.printed.refute(case.quadratic(case.first, 1) == case.quadratic(case.second, 1) and not case.agree,
                      "n = 1, d = 2, standard normal: w = (0, 0) and (0, 5) have one loss, and log densities 25/2 "
                      "apart",
                      shown="w = (0, 0) and w = (0, 5), mu = 0, sigma = 1, n = 1, d = 2")
    d = 3
    w, mean = sp.symbols(f"w_1:{d + 1}", real=True), sp.symbols(f"m_1:{d + 1}", real=True)
    scale = sp.symbols(f"s_1:{d + 1}", positive=True)
    density = sp.prod([sp.exp(-(x - m) ** 2 / (2 * s**2)) / (s * sp.sqrt(2 * sp.pi))
                       for x, m, s in zip(w, mean, scale, strict=True)])
    loss = sum((x - m) ** 2 / (2 * s**2) + sp.log(s) for x, m, s in zip(w, mean, scale, strict=True)) / d
    gap = -sp.expand_log(sp.log(density), force=True) / d - loss - sp.log(2 * sp.pi) / 2
    on.corrected.prove(sp.simplify(sp.expand_log(sp.expand(gap), force=True)) == 0,
                       "d = 3, generic means and scales; another dimension adds a like term")
    x, y = sp.symbols("x y", real=True)
    t, s = sp.Function("t"), sp.Function("s")
    back = sp.Matrix([x, (y - t(x)) * sp.exp(-s(x))])
    term = sp.log(sp.Abs(back.jacobian([x, y]).det()))
    on.corrected.prove(sp.simplify(term.subs(s(x), 0).doit()) == 0 and sp.simplify(term.subs(s(x), 1).doit()) != 0,
                       "the Jacobian term of the change of variables is 0 with zero scales, and not in general")


@dataclass(frozen=True)
class Batch:
    """Transformed points of one class, the divisor of the variance, and other parameters (mean, variance)."""

    points: Row
    divisor: int
    other: tuple[Fraction, Fraction]

    @property
    def mean(self) -> Fraction:
        """Mean of the points."""
        return sum(self.points, Fraction(0)) / len(self.points)

    @property
    def variance(self) -> Fraction:
        """Sum of the square deviations over the divisor."""
        return sum(((w - self.mean) ** 2 for w in self.points), Fraction(0)) / self.divisor

    def loss(self, mean: Fraction, variance: Fraction) -> arb:
        """Eq. 7 for one dimension and one class."""
        square = sum(((w - mean) ** 2 for w in self.points), Fraction(0)) / (2 * len(self.points) * variance)
        return arb(fmpq(square.numerator, square.denominator)) \
            + arb(fmpq(variance.numerator, variance.denominator)).log() / 2

    @property
    def is_best(self) -> bool | None:
        """Whether the other parameters do no better; None where the enclosures leave it open."""
        if self.other == (self.mean, self.variance):
            return True
        if self.variance == 0:  # no parameter; half the other one does better with the same mean
            return bool(self.loss(self.mean, self.other[1]) <= self.loss(self.mean, self.other[1] / 2))
        gap = self.loss(*self.other) - self.loss(self.mean, self.variance)
        return True if gap >= 0 else False if gap < 0 else None


def best_moments() -> Universal[Batch]:
    """Mean and variance of a batch against other parameters."""
    number = st.integers(-3, 3).map(Fraction)

    @st.composite
    def cases(draw: st.DrawFn, any_divisor: bool) -> Batch:
        points = tuple(draw(st.lists(number, min_size=2, max_size=4)))
        divisor = len(points) - int(any_divisor and draw(st.booleans()))
        batch = Batch(points, divisor, (Fraction(0), Fraction(1)))
        other = draw(st.sampled_from([Fraction(v) for v in ("1", "1/2", "2", "9/10")])) * (batch.variance or 1)
        return Batch(points, divisor, (batch.mean + draw(st.sampled_from([Fraction(0), Fraction(1)])), other))

    return Universal("no other mean and variance have a lower loss than those of the batch",
                     lambda dropped: cases("divisor is the number of points" in dropped), lambda case: case.is_best,
                     {"positive variance": lambda case: case.variance > 0,
                      "divisor is the number of points": lambda case: case.divisor == len(case.points)},
                     needed=("positive variance", "divisor is the number of points"), evidence=Evidence.CERTIFIED)


@chapter.claim("gin.eq36-37", place="App. D.1, eqs. 36-37", kind=Kind.IDENTITY,
               statement="For a fixed map the means and variances of the transformed points of each class minimise "
                         "the loss over the parameters of the mixture.",
               hypotheses=("the variance is the mean square deviation, divided by the number of points",
                           "it is positive"), universal=best_moments,
               scope="the identities are shown for three points; other numbers are alike")
def batch_moments_are_optimal(on: Record) -> None:
    count = 3
    w = sp.Matrix(sp.symbols(f"w_1:{count + 1}", real=True))
    mu, spread = sp.symbols("mu", real=True), sp.Symbol("sigma", positive=True)
    mean = sum(w) / count
    variance = sum((v - mean) ** 2 for v in w) / count
    loss = sum((v - mu) ** 2 for v in w) / (2 * count * spread**2) + sp.log(spread)
    split = ((mean - mu) ** 2 + variance) / (2 * spread**2) + sp.log(spread)
    on.printed.prove(sp.expand((loss - split) * spread**2) == 0,
                     "three generic points: the loss depends on the mean and the variance with divisor 3 only; any "
                     "number is alike")
    r = sp.Symbol("r", positive=True)
    excess = (r - 1 - sp.log(r)) / 2
    best = sp.Symbol("v", positive=True)
    gap = best / (2 * spread**2) + sp.log(spread) - sp.Rational(1, 2) - sp.log(best) / 2
    on.printed.prove(sp.simplify(sp.expand_log(gap - excess.subs(r, best / spread**2), force=True)) == 0
                     and sp.solve(sp.diff(excess, r), r) == [1] and excess.subs(r, 1) == 0
                     and sp.diff(excess, r, 2).is_positive,
                     "with mu at the mean the loss is above its value at sigma^2 = v by (r - 1 - log r)/2, r = "
                     "v/sigma^2: convex, with its only minimum 0 at r = 1")
    on.printed.search(cases=60)


def missing_gradient(divisor: int) -> sp.Expr:
    """Total less partial derivative of the loss of three points by a weight of the map, at the batch moments."""
    weight, mu, spread = sp.Symbol("theta", real=True), sp.Symbol("mu", real=True), sp.Symbol("v", positive=True)
    w = [sp.Function(f"w_{i}", real=True)(weight) for i in range(3)]
    mean = sum(w) / 3
    variance = sum((v - mean) ** 2 for v in w) / divisor
    loss = sum((v - mu) ** 2 for v in w) / (6 * spread) + sp.log(spread) / 2
    moments = {mu: mean, spread: variance}
    return sp.simplify(sp.diff(loss.subs(moments), weight) - sp.diff(loss, weight).subs(moments))


@chapter.claim("gin.D1.gradient", place="App. D.1", kind=Kind.ADDED,
               statement="At the batch moments the loss has the same gradient in the weights of the map whether mean "
                         "and variance are functions of the map, as in the paper, or parameters of their own, as it "
                         "proposes instead.",
               hypotheses=("the variance is divided by the number of points", "it is positive"),
               scope="three points of one class in one dimension; other numbers are alike")
def moments_need_no_gradient(on: Record) -> None:
    on.printed.prove(missing_gradient(3) == 0 and missing_gradient(2) != 0,
                     "generic dependence of the points on a weight: the terms through the mean and the variance "
                     "vanish with divisor 3, and not with divisor 2")


def interpolated(points: tuple[tuple[Fraction, Fraction], ...]) -> tuple[list[Fraction], sp.Expr]:
    """Values of y - t(x) at data points, t the polynomial through them, and the determinant of (x, y - t(x))."""
    x, y = sp.symbols("x y")
    data = [(sp.Rational(*a.as_integer_ratio()), sp.Rational(*b.as_integer_ratio())) for a, b in points]
    t = sp.sympify(sp.interpolate(data, x))
    layer = sp.Matrix([x, y - t])
    values = [b - t.subs(x, a) for a, b in data]
    return [Fraction(int(v.p), int(v.q)) for v in values], layer.jacobian([x, y]).det()


def loss_without_bound() -> Universal[tuple[tuple[Fraction, Fraction], ...]]:
    """Finite data in the plane: a volume-preserving layer with one latent that does not vary."""
    number = st.integers(-4, 4).map(Fraction)

    def conclusion(points: tuple[tuple[Fraction, Fraction], ...]) -> bool:
        if len({a for a, _ in points}) < len(set(points)):
            return False  # no function t passes through two points above each other
        values, determinant = interpolated(tuple(set(points)))
        return determinant == 1 and not any(values)

    return Universal(
        "a layer of determinant 1 maps the data to points with a constant second latent",
        lambda dropped: st.lists(st.tuples(number, number), min_size=1, max_size=5).map(tuple), conclusion,
        {"different first coordinates": lambda points: len({a for a, _ in points}) == len(points)},
        needed=("different first coordinates",))


@chapter.claim("gin.eq7.unbounded", place="Sec. 4.2 with App. D.1", kind=Kind.ADDED,
               statement="On finite data without added noise the loss with the updates of the means and variances has "
                         "no lower bound over volume-preserving maps: an additive layer can make a latent constant on "
                         "the data.",
               hypotheses=("the data have different first coordinates",), universal=loss_without_bound,
               scope="generic points are three; other numbers are searched")
def finite_data(on: Record) -> None:
    x, y, spread = sp.Symbol("x"), sp.Symbol("y"), sp.Symbol("sigma", positive=True)
    data = [sp.symbols(f"a_{i} b_{i}") for i in range(3)]
    t = sp.interpolate(data, x)
    left = [sp.simplify(b - t.subs(x, a)) for a, b in data]
    fit = sum(v**2 for v in left) / (2 * len(data) * spread**2) + sp.log(spread)
    on.printed.prove(sp.Matrix([x, y - t]).jacobian([x, y]).det() == 1 and sp.limit(fit, spread, 0, "+") == -sp.oo,
                     "three generic points: the polynomial t through them gives a layer of determinant 1 whose second "
                     "latent is 0 on the data, and its part of the loss goes to minus infinity with sigma; any number "
                     "of points is alike")
    on.printed.search(cases=60)
