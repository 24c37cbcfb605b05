"""The clamp of Appendix D, and whether a volume-preserving estimator can reach the law of x given u."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb, fmpq
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.algebra import coefficients, forced_by, regular
from ident_theory.claims.gin.couplings import Coupling
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)


@dataclass(frozen=True)
class Clamped:
    """Raw scales, and whether the clamp 2 tanh comes before the zero sum."""

    raw: tuple[Fraction, ...]
    clamp_first: bool

    @property
    def scales(self) -> list[arb]:
        """The scales that act; the last raw one is replaced by the zero sum."""
        free = [arb(fmpq(v.numerator, v.denominator)) for v in self.raw[:-1]]
        if self.clamp_first:
            free = [2 * v.tanh() for v in free]
        full = [*free, -sum(free, arb(0))]
        return full if self.clamp_first else [2 * v.tanh() for v in full]

    @property
    def preserves_volume(self) -> bool:
        """Whether the enclosure of the sum of the scales contains 0; False is certain."""
        return bool(sum(self.scales, arb(0)).contains(0))

    def show(self) -> str:
        """The numbers to paste."""
        order = "clamp, then zero sum" if self.clamp_first else "zero sum, then clamp"
        return f"# free scales {[str(v) for v in self.raw[:-1]]}, {order}"


def clamped_scales() -> Universal[Clamped]:
    """Zero-sum scales with a clamp before or after."""
    value = st.sampled_from([Fraction(v) for v in ("0", "1", "-1", "2", "1/2", "-3", "10")])

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Clamped]:
        first = st.booleans() if "clamp before the zero sum" in dropped else st.just(True)
        return st.builds(Clamped, st.lists(value, min_size=1, max_size=5).map(tuple), first)

    return Universal("clamped zero-sum scales preserve volume", cases, lambda case: case.preserves_volume,
                     {"clamp before the zero sum": lambda case: case.clamp_first},
                     needed=("clamp before the zero sum",), show=Clamped.show, evidence=Evidence.CERTIFIED)


@chapter.claim("gin.clamp", place="App. D, with Sec. 4.1", kind=Kind.CLAIM,
               statement="The scales pass through 2 tanh, which keeps them in (-2, 2), and the layer preserves volume.",
               hypotheses=("at least three changed outputs",),
               correction=Correction("The clamp comes before the zero sum; then volume is preserved, and the last of "
                                     "m scales lies in (-2(m - 1), 2(m - 1)).",
                                     ("the clamp comes before the zero sum",)),
               universal=clamped_scales)
def clamp_and_zero_sum(on: Record) -> None:
    after = Clamped((Fraction(1), Fraction(1), Fraction(0)), clamp_first=False)
    total = sum(after.scales, arb(0))
    before = Clamped((Fraction(2), Fraction(2), Fraction(0)), clamp_first=True)
    last = before.scales[-1]
    on.printed.refute(not after.preserves_volume and bool(total > 1) and before.preserves_volume and bool(last < -2),
                      f"clamp last: s = (1, 1, -2) has clamped sum {float(total.mid()):.4f}, not 0; clamp first: s = "
                      f"(2, 2, .) gets the last scale {float(last.mid()):.4f}, outside (-2, 2)", shown=after.show(),
                      evidence=Evidence.CERTIFIED)
    m = 5
    free = [2 * sp.tanh(sp.Symbol(f"s_{i}", real=True)) for i in range(m - 1)]
    on.corrected.prove(Coupling.generic(m + 1, 1).with_scales([*free, -sum(free)]).determinant == 1,
                       "five scales, the first four generic and clamped: determinant 1")
    extreme = Clamped((Fraction(10),) * m, clamp_first=True).scales[-1]
    on.corrected.support(bool(extreme > -2 * (m - 1)) and bool(extreme < -2 * (m - 1) + fmpq(1, 1000)),
                         f"raw scales 10, {m} of them: the last one is within 1/1000 of -{2 * (m - 1)}, and above it",
                         cases=1, evidence=Evidence.CERTIFIED)
    on.corrected.search(cases=60)


@dataclass(frozen=True)
class Cubic:
    """x = a z + c z^3 with z ~ N(m, v)."""

    a: Fraction
    c: Fraction
    mean: Fraction
    variance: Fraction

    def central(self, order: int) -> Fraction:
        """Central moment of x."""
        def moment(power: int) -> Fraction:  # of z
            values = [Fraction(1), self.mean]
            for p in range(2, power + 1):
                values.append(self.mean * values[p - 1] + (p - 1) * self.variance * values[p - 2])
            return values[power]

        z = sp.Symbol("z")
        centre = self.a * moment(1) + self.c * moment(3)
        a, c, start = (sp.Rational(*v.as_integer_ratio()) for v in (self.a, self.c, centre))
        polynomial = sp.Poly((a * z + c * z**3 - start) ** order, z)
        return sum((Fraction(int(k.p), int(k.q)) * moment(p[0]) for p, k in polynomial.terms()), Fraction(0))

    @property
    def may_be_normal(self) -> bool:
        """Whether the third and fourth moments are those of a normal law."""
        return self.central(3) == 0 and self.central(4) == 3 * self.central(2) ** 2


def attainable() -> Universal[Cubic]:
    """A volume-preserving map of the line is x = +-w + b, so w has the shape of x."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Cubic]:
        def value(*texts: str) -> st.SearchStrategy[Fraction]:
            return st.sampled_from([Fraction(v) for v in texts])

        bend = value("0", "1", "1/2") if "constant volume factor" in dropped else st.just(Fraction(0))
        return st.builds(Cubic, value("1", "2", "1/3", "-1"), bend, value("0", "1", "-2"), value("1", "1/2", "4"))

    return Universal("some w = +-x + b is normal", cases, lambda case: case.may_be_normal,
                     {"constant volume factor": lambda case: case.c == 0},
                     needed=("constant volume factor",),
                     show=lambda case: f"# x = {case.a} z + {case.c} z^3, z ~ N({case.mean}, {case.variance})")


@chapter.claim("gin.vp.suff", place="Secs. 3.1, 3.3 and 4", kind=Kind.CLAIM,
               statement="With enough data and training a GIN gives the law of x given u of the true process, eq. 3, "
                         "so the theory covers it.",
               hypotheses=("f is invertible", "the estimating map preserves volume", "normal latents in both models",
                           "n = d"),
               correction=Correction("The volume factor of f is constant; this is also necessary for exact recovery.",
                                     ("|det J_f| is constant",)),
               universal=attainable, scope="n = d = 1, and recovery by affine maps in any dimension")
def volume_preserving_estimator(on: Record) -> None:
    # z ~ N(0, 1) and x = sinh z: E exp(k z) = exp(k^2/2).
    def moment(order: int) -> sp.Expr:
        t = sp.Symbol("t", positive=True)
        terms = sp.Poly(sp.expand((t - 1 / t) ** order * t**order), t).terms()
        return sum(c * sp.exp(sp.Rational((p[0] - order) ** 2, 2)) for p, c in terms) / 2**order

    kurtosis = sp.simplify(moment(4) / moment(2) ** 2)
    ball = (arb(8).exp() - 4 * arb(2).exp() + 3) / 8 / ((arb(2).exp() - 1) / 2) ** 2
    gap = sp.simplify(kurtosis - (sp.exp(8) - 4 * sp.exp(2) + 3) / 2 / (sp.exp(2) - 1) ** 2)
    odd = sp.simplify(moment(1)) == 0 and sp.simplify(moment(3)) == 0
    on.printed.refute(gap == 0 and odd and bool(ball > 36),
                      "n = d = 1, x = sinh z, z ~ N(0, 1): the maps with |g'| = 1 give w = +-x + b, whose kurtosis is "
                      f"{float(ball.mid()):.2f} and not 3, so no normal w fits at any u",
                      shown="x = sinh(z), z ~ N(0, 1)", evidence=Evidence.CERTIFIED)
    on.printed.search(without=("constant volume factor",), cases=40)
    on.corrected.search(cases=40)
    w, a, b, *bends = sp.symbols("w a b f_1:4")
    slope = sp.diff(sum(f * (a * w + b) ** p for p, f in enumerate(bends, 1)), w)
    system, extra = regular(coefficients(slope**2 - 1, w), a)
    on.corrected.support(all(forced_by(system, f, (a, b, *bends, extra)) for f in bends[1:]),
                         "generic f of degree 3, g(w) = f(a w + b): |g'| = 1 forces f to be of degree 1", cases=1,
                         evidence=Evidence.EXACT)
