"""Sections 3.3 and 4.1 and the clamp of Appendix D: coupling layers and volume."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gin.couplings import Coupling, Network, networks
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.numerics import Evidence

chapter = Chapter(GIN)


_SIZES = ((2, 1), (3, 1), (3, 2), (4, 2), (5, 2))


@chapter.claim("gin.s33.pca", place="Sec. 3.3", kind=Kind.CLAIM,
               statement="For a normal law with diagonal covariance the standard deviations are proportional to the "
                         "principal axes of the ellipsoids of constant density.",
               scope="three dimensions; in others an axis is found in the same way")
def axes_of_the_ellipsoid(on: Record) -> None:
    r = sp.Symbol("r", positive=True)
    x, mean = sp.Matrix(sp.symbols("x_1:4", real=True)), sp.symbols("m_1:4", real=True)
    scale = sp.symbols("s_1:4", positive=True)
    form = sum((v - m) ** 2 / s**2 for v, m, s in zip(x, mean, scale, strict=True))
    gradient = sp.Matrix([sp.diff(form, v) for v in x])
    for i in range(3):
        point = {v: m + (r * scale[i] if j == i else 0) for j, (v, m) in enumerate(zip(x, mean, strict=True))}
        normal = gradient.subs(point, simultaneous=True)
        radius = sp.sqrt(sum((point[v] - m) ** 2 for v, m in zip(x, mean, strict=True)))
        on.printed.prove(sp.simplify(form.subs(point, simultaneous=True) - r**2) == 0
                         and [sp.simplify(v) == 0 for v in normal] == [j != i for j in range(3)]
                         and sp.simplify(radius / scale[i] - r) == 0,
                         f"axis {i + 1} of 3, generic: the point at distance r s_i along it is on the level set r^2 "
                         "and the normal there is along the axis")


@dataclass(frozen=True)
class Rescaling:
    """x normal with standard deviations `spread`, independent; w = diag(factors) x."""

    spread: tuple[Fraction, Fraction]
    factors: tuple[Fraction, Fraction]

    @property
    def latent(self) -> tuple[Fraction, Fraction]:
        """Standard deviations of w = diag(factors) x."""
        return tuple(abs(f) * s for f, s in zip(self.factors, self.spread, strict=True))  # type: ignore[return-value]


def importance() -> Universal[Rescaling]:
    """Linear models of one normal law with two standard deviations."""
    value = st.sampled_from([Fraction(v) for v in ("1", "2", "1/2", "3", "1/4", "-1", "4")])
    positive = value.filter(lambda v: v > 0)

    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Rescaling]:
        factors = st.one_of(st.tuples(value, value), value.map(lambda v: (v, 1 / v)),
                            st.sampled_from([(Fraction(1), Fraction(-1)), (Fraction(1), Fraction(1))]))
        return st.builds(Rescaling, st.tuples(positive, positive), factors)

    def ordered(case: Rescaling) -> bool:
        return all((a < b) == (c < d) for (a, c), (b, d) in permutations(zip(case.spread, case.latent, strict=True), 2))

    return Universal(
        "latents of larger standard deviation explain the directions in which x varies more", cases, ordered,
        {"volume preserving": lambda case: abs(case.factors[0] * case.factors[1]) == 1,
         "orthogonal Jacobian": lambda case: all(abs(f) == 1 for f in case.factors)},
        needed=("orthogonal Jacobian",),
        show=lambda case: f"# x ~ N(0, diag{tuple(str(s**2) for s in case.spread)}), w = "
                          f"diag{tuple(map(str, case.factors))} x")


@chapter.claim("gin.s33.importance", place="Sec. 3.3; Sec. 4.1", kind=Kind.CLAIM,
               statement="If the map between latents and data preserves volumes, the standard deviation of a latent "
                         "tells how much it matters for the data.",
               hypotheses=("the Jacobian determinant is 1",),
               correction=Correction("The same for an orthogonal Jacobian; volume preservation fixes only the product "
                                     "of the standard deviations.", ("the Jacobian is orthogonal",)),
               universal=importance,
               scope="linear maps of normal data in two dimensions, where both models have the same likelihood")
def standard_deviations_and_importance(on: Record) -> None:
    case = Rescaling((Fraction(2), Fraction(1)), (Fraction(1, 4), Fraction(4)))
    a, b = case.factors
    on.printed.refute(a * b == 1 and case.spread[0] > case.spread[1] and case.latent[0] < case.latent[1],
                      "x ~ N(0, diag(4, 1)) and w = (x_1/4, 4 x_2), determinant 1: the law of w is normal and "
                      f"factorial, as with w = x, and its standard deviations are {case.latent[0]} and "
                      f"{case.latent[1]}, in reverse",
                      shown="x ~ N(0, diag(4, 1)), w = (x_1/4, 4 x_2)")
    on.printed.search(without=("orthogonal Jacobian",), cases=100)
    on.corrected.search(cases=60)
    s, t, f = sp.symbols("s t f", positive=True)
    covariance = sp.diag(f, 1 / f) * sp.diag(s**2, t**2) * sp.diag(f, 1 / f)
    on.corrected.prove(sp.simplify(covariance.det() - s**2 * t**2) == 0 and sp.diff(covariance[0, 0], f) != 0,
                       "generic factors f and 1/f: the product of the standard deviations stays, each of them does not")


@chapter.claim("gin.vp.strength", place="Sec. 4.1", kind=Kind.ADDED,
               statement="Among the linear maps of d dimensions, unit determinant is one condition and orthonormality "
                         "d(d + 1)/2: the two are comparable in strength only for d = 1.")
def conditions_on_a_matrix(on: Record) -> None:
    counts = []
    for d in range(1, 6):
        entries = sp.symbols(f"e_0:{d * d}")
        small = sp.Matrix(d, d, entries)
        # Linearised at the identity: det gives the trace, Q^T Q the symmetric part.
        volume = sp.Matrix([small.trace()]).jacobian(entries).rank()
        orthogonal = sp.Matrix([*(small + small.T)]).jacobian(entries).rank()
        counts.append((volume, orthogonal) == (1, d * (d + 1) // 2))
    on.printed.support(all(counts), "ranks of the linearised conditions at the identity, d = 1, ..., 5", cases=5,
                       evidence=Evidence.EXACT)


@chapter.claim("gin.eq5-6", place="Sec. 4.1, eqs. 5-6", kind=Kind.IDENTITY,
               statement="The log Jacobian determinant of a coupling layer is the sum of its scales, and the layer is "
                         "invertible in closed form.",
               scope="up to five dimensions; the Jacobian is triangular in blocks for any number")
def determinant_of_a_coupling(on: Record) -> None:
    for size, d in _SIZES:
        layer = Coupling.generic(size, d)
        y = layer.outputs
        back = [(v - t) * sp.exp(-s) for v, s, t in zip(y[d:], layer.scales, layer.shifts, strict=True)]
        on.printed.prove(sp.simplify(layer.determinant - sp.exp(sum(layer.scales))) == 0
                         and all(sp.simplify(v - x) == 0 for v, x in zip(back, layer.inputs[d:], strict=True)),
                         f"D = {size}, d = {d}, generic functions s and t: the Jacobian is triangular in blocks for "
                         "any sizes")


def volume_of_networks() -> Universal[Network]:
    """Networks of coupling layers and permutations at a point."""
    return Universal("a network of layers with zero-sum scales has a Jacobian determinant of absolute value 1",
                     lambda dropped: networks(zero_sum="zero-sum scales" not in dropped),
                     lambda case: case.preserves_volume,
                     {"zero-sum scales": lambda case: all(layer.is_zero_sum for layer in case.layers)},
                     needed=("zero-sum scales",), show=Network.show, evidence=Evidence.CERTIFIED)


@chapter.claim("gin.vp", place="Sec. 4.1; Sec. 1", kind=Kind.CLAIM,
               statement="With the last scale set to minus the sum of the others the Jacobian determinant of a "
                         "coupling layer is 1, so some outputs grow only as others shrink; NICE is the case of zero "
                         "scales.",
               scope="the index of the last scale is read as that of the last of the D - d scales; up to five "
                     "dimensions",
               universal=volume_of_networks)
def zero_sum_scales(on: Record) -> None:
    for size, d in _SIZES:
        layer = Coupling.generic(size, d)
        nice = layer.with_scales([sp.S.Zero] * (size - d))
        on.printed.prove(layer.zero_sum().determinant == 1 and nice.determinant == 1 and layer.determinant != 1,
                         f"D = {size}, d = {d}, generic functions: determinant 1 with the zero sum, 1 for NICE, not 1 "
                         "without")
    on.printed.search(cases=60)


@chapter.claim("gin.nice", place="Sec. 1; Sec. 4.1", kind=Kind.CLAIM,
               statement="A GIN layer is more general than the additive layer of NICE.",
               hypotheses=("at least two outputs are changed",))
def more_general_than_nice(on: Record) -> None:
    layer = Coupling.generic(3, 1)
    x = layer.inputs
    example = layer.with_scales([x[0], -x[0]])
    stretch = sp.diff(example.outputs[1], x[1])
    additive = sp.diff(layer.with_scales([sp.S.Zero] * 2).outputs[1], x[1])
    on.printed.prove(example.determinant == 1 and additive == 1 and sp.simplify(stretch - additive) != 0,
                     "D = 3, s = (x_1, -x_1): determinant 1, and the second output has slope e^x_1 in x_2, where that "
                     "of an additive layer is 1")
    on.printed.prove(Coupling.generic(2, 1).zero_sum().scales == sp.zeros(1, 1),
                     "the hypothesis is needed: with one changed output the zero sum leaves s = 0, which is NICE")


@chapter.claim("gin.det.sign", place="Sec. 1; Sec. 4.1; App. D", kind=Kind.CLAIM,
               statement="The Jacobian determinant of the network is 1.",
               hypotheses=("fixed permutations of the dimensions between the blocks",),
               correction=Correction("Its absolute value is 1, which is all that the likelihood needs.",
                                     notational=True))
def sign_of_the_determinant(on: Record) -> None:
    swap = Coupling.generic(2, 1).zero_sum()
    x = swap.inputs
    network = sp.Matrix([swap.outputs[1], swap.outputs[0]])
    on.printed.refute(sp.simplify(network.jacobian(x).det()) == -1,
                      "D = 2, one layer after which the two outputs are exchanged: determinant -1",
                      shown="y = (x_2 + t(x_1), x_1)")
    layer = Coupling.generic(3, 1).zero_sum()
    values = {sp.simplify(sp.Matrix([layer.outputs[i] for i in order]).jacobian(layer.inputs).det())
              for order in permutations(range(3))}
    on.corrected.prove(values == {1, -1},
                       "D = 3, generic functions, all permutations of the outputs; chain rule for several blocks")
