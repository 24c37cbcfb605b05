"""Section IV, Algorithm 1 and the tables: losses and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.gan.bound_cases import HALF
from ident_theory.claims.gan.logs import LogSum, log, normal_divergence
from ident_theory.claims.gan.pointwise import A, B, Y, logarithm_below_tangent, value_term
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import GAN
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.l_matrix import l_matrix_finding, largest_latent_dim
from ident_theory.models import ConditionalPrior, Model, ReLUNetwork
from ident_theory.numerics import Evidence, Status, Stopwatch

chapter = Chapter(GAN)

#: Table 1: hidden widths of the discriminator, one row a number of observations per segment.
DISCRIMINATORS = {100: (32,) * 6, 200: (32,) * 6, 500: (256,) * 6, 1000: (1024,) * 6, 2000: (1024,) * 6}
HIDDEN = (4, 4, 4)
#: Table 2.
DATA_DIM, SEGMENTS, MIXING_LAYERS = 2, 5, 3
BALANCED = {"(": 1, ")": -1}


def bracket_sum(formula: str) -> int:
    """Opening minus closing brackets."""
    return sum(BALANCED.get(letter, 0) for letter in formula)


@chapter.claim(
    "gan.eq25", place="Algorithm 1, eq. 25", kind=Kind.DEFINITION,
    statement="The discriminator minimises its cross entropy with label 1 on data and label 0 on generated samples.",
    correction=Correction("B(D(x), 1) + B(D(G(z)), 0): one bracket more; this is -V(D, G)", notational=True))
def discriminator_loss(on: Record) -> None:
    printed, mended = "B(D(x),1)+B(D(G(z),0)", "B(D(x),1)+B(D(G(z)),0)"
    on.printed.refute(bracket_sum(printed) != 0 and bracket_sum(mended) == 0,
                      f"the formula leaves {bracket_sum(printed)} bracket open: D would take the label as an argument")
    label, output = sp.symbols("label y", positive=True)
    entropy = -label * sp.log(output) - (1 - label) * sp.log(1 - output)
    loss = A * entropy.subs({label: 1, output: Y}) + B * entropy.subs({label: 0, output: Y})
    on.corrected.prove(sp.simplify(loss + value_term(Y)) == 0, "the loss is -V for every D (symbolic, per state)")


@dataclass(frozen=True)
class GeneratorStep:
    """One term of the loss of the generator step: a discriminator value and a normal encoder under N(0, 1)."""

    score: Fraction
    mean: Fraction
    variance: Fraction
    sign: int

    def loss(self) -> LogSum:
        """Cross entropy with label 1, plus or minus the divergence."""
        encoder, prior = (self.mean, self.variance), (Fraction(0), Fraction(1))
        return -log(self.score) + normal_divergence(encoder, prior).times(self.sign)


@st.composite
def _generator_steps(draw: st.DrawFn, signs: tuple[int, ...]) -> GeneratorStep:
    score = draw(st.sampled_from([HALF, Fraction(1, 100), Fraction(99, 100)]))
    mean = draw(st.sampled_from([Fraction(m) for m in (0, 1, 2, 10, 1000)]))
    variance = draw(st.sampled_from([Fraction(1), Fraction(1, 100), Fraction(100)]))
    return GeneratorStep(score, mean, variance, draw(st.sampled_from(signs)))


def _bounded_loss() -> Universal[GeneratorStep]:
    return Universal(
        statement="the loss of a generator step is at least 0",
        cases=lambda dropped: _generator_steps((1, -1) if dropped else (1,)),
        hypotheses={"the divergence is added": lambda case: case.sign == 1},
        conclusion=lambda case: case.loss().sign() >= 0, needed=("the divergence is added",))


@chapter.claim(
    "gan.eq26", place="Algorithm 1, eq. 26", kind=Kind.DEFINITION,
    statement="The generator step minimises the cross entropy of generated samples with label 1, minus KL(q, p(z|u)).",
    correction=Correction("plus KL(q, p(z|u)): then the loss is bounded below by 0", notational=True),
    universal=_bounded_loss)
def generator_loss(on: Record) -> None:
    losses = [GeneratorStep(HALF, Fraction(m), Fraction(1), -1).loss() for m in (1, 10, 100)]
    on.printed.refute(all((later - earlier).sign() < 0 for earlier, later in pairwise(losses))
                      and (losses[-1] + LogSum(4999)).sign() < 0,
                      f"encoder N(m, 1), prior N(0, 1), D = 1/2: the printed loss is {losses} at m = 1, 10, 100, "
                      "and log 2 - m^2/2 has no minimum: the encoder is driven away from the prior")
    on.printed.search(without=("the divergence is added",))
    on.corrected.prove(logarithm_below_tangent(), "-log D >= 0 for D <= 1; KL >= 0 since -log t >= 1 - t (symbolic)")
    on.corrected.search()


def count(widths: tuple[int, ...]) -> int:
    """Weights and biases of a fully connected network."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


@chapter.claim(
    "gan.tab1", place="Table 1", kind=Kind.TABLE,
    statement="Encoder, decoder and auxiliary network have the same three hidden layers of width 4 in both models; the "
              "discriminator has six hidden layers, whose width does not fall as the data grow.",
    covers=("Table 1",), scope="the reported training outcomes themselves")
def network_sizes(on: Record) -> None:
    rows = [DISCRIMINATORS[size] for size in sorted(DISCRIMINATORS)]
    on.printed.prove(all(len(row) == 6 and len(set(row)) == 1 for row in rows)
                     and all(small[0] <= large[0] for small, large in pairwise(rows)) and len(set(HIDDEN)) == 1,
                     f"widths {[row[0] for row in rows]} at {sorted(DISCRIMINATORS)} observations per segment")


@chapter.claim(
    "gan.tab1.distinct", place="Section IV.C with Table 1", kind=Kind.CLAIM,
    statement="Each of the five numbers of observations per segment needed a discriminator width of its own.",
    correction=Correction("three widths served the five sizes: 32 up to 200, 256 at 500, 1024 from 1000 on",
                          notational=True),
    scope="the other reading, widths that depend on the size, with which the table agrees")
def widths_repeat(on: Record) -> None:
    widths = [DISCRIMINATORS[size][0] for size in sorted(DISCRIMINATORS)]
    on.printed.refute(len(set(widths)) < len(widths), f"Table 1 lists {widths}")
    on.corrected.prove({size: row[0] for size, row in DISCRIMINATORS.items()}
                       == {size: 32 if size <= 200 else 256 if size <= 500 else 1024 for size in DISCRIMINATORS},
                       "all five rows")


@chapter.claim(
    "gan.tab1.params", place="Fig. 3 with Table 1", kind=Kind.NUMBER,
    statement="The models that are compared have networks of similar size.",
    hypotheses=("two-dimensional data and latents, five segments coded one-hot", "fully connected layers with biases"),
    correction=Correction("all networks but the discriminator are of equal size; the discriminator alone has 5409, "
                          "329985 or 5252097 parameters against fewer than 300 in the other three networks together"))
def parameter_counts(on: Record) -> None:
    inputs = DATA_DIM + SEGMENTS
    # The largest reading: every network sees data and segment, and returns mean and variance of two latents.
    others = 3 * count((inputs, *HIDDEN, 2 * DATA_DIM))
    counts = [count((DATA_DIM, *row, 1)) for row in DISCRIMINATORS.values()]
    explicit = [sum(np.zeros((b, a)).size + np.zeros(b).size for a, b in pairwise((DATA_DIM, *row, 1)))
                for row in list(DISCRIMINATORS.values())[:3]]
    on.printed.refute(min(counts) > 10 * others,
                      f"discriminator {counts[0]} parameters at least, the three other networks {others} at most")
    on.corrected.prove(sorted(set(counts)) == [5409, 329985, 5252097] and others < 300 and explicit == counts[:3],
                       f"sum of (inputs + 1) * outputs over the layers: {sorted(set(counts))} and {others}")


@chapter.claim(
    "gan.tab1.decoder", place="Appendix on experiments, A, with Tables 1 and 2", kind=Kind.CLAIM,
    statement="A decoder with three hidden layers of width 4 can be the mixing map: two-dimensional, three layers.",
    hypotheses=("leaky ReLU in mixing map and decoder, of the same slope", "affine last layer",
                "mixing layers of width 2"))
def decoder_contains_the_mixing(on: Record) -> None:
    a, t = sp.symbols("a t", positive=True)
    # s(x) - s(-x) = (1 + a) x on both half-lines: four units carry two numbers unchanged through a hidden layer.
    identity = [sp.expand((t - a * (-t)) - (1 + a) * t), sp.expand((a * (-t) - t) - (1 + a) * (-t))]
    on.printed.prove(identity == [0, 0] and min(HIDDEN) >= 2 * DATA_DIM and len(HIDDEN) == MIXING_LAYERS,
                     "two of the three hidden layers copy the two of the mixing map (2 of 4 units each), the third "
                     "passes both coordinates on as (s(x) - s(-x))/(1 + a) (symbolic, slope a, either sign of x)")
    mixing = (((1, 2), (-1, 1)), ((2, 1), (1, -3)), ((1, 1), (0, -1)))
    # First layer (s(x), s(-x)); its combinations are x again, on which the mixing map's own layers act.
    undo = [[(Fraction(4, 5) if j % 2 == i else 0) * (1 if j < 2 else -1) for j in range(4)] for i in range(2)]
    first = [[sum(a * row[j] for a, row in zip(weights, undo, strict=True)) for j in range(4)]
             for weights in mixing[0]]
    wide = (((1, 0), (0, 1), (-1, 0), (0, -1)), (*first, *[(0,) * 4] * 2),
            (*[(*row, 0, 0) for row in mixing[1]], *[(0,) * 4] * 2), [(*row, 0, 0) for row in mixing[2]])
    points = list(product((Fraction(-3), Fraction(-1, 2), Fraction(0), Fraction(2)), repeat=2))
    on.printed.support(all(_leaky(wide, x) == _leaky(mixing, x) for x in points),
                       f"a mixing map of slope 1/4 and the decoder with hidden widths {[len(w) for w in wide[:-1]]} "
                       "built so agree", cases=len(points), evidence=Evidence.EXACT)


def _leaky(layers: Sequence[Sequence[Sequence[Fraction | int]]], at: Sequence[Fraction]) -> list[Fraction]:
    """A leaky ReLU network of slope 1/4 without shifts, its last layer linear."""
    values = list(at)
    for depth, weights in enumerate(layers):
        values = [sum((a * x for a, x in zip(row, values, strict=True)), Fraction(0)) for row in weights]
        if depth + 1 < len(layers):
            values = [x if x > 0 else x / 4 for x in values]
    return values


@dataclass(frozen=True)
class SmallNetwork:
    """A leaky ReLU network of one latent or two, layer by layer."""

    weights: tuple[tuple[tuple[int, ...], ...], ...]

    def network(self) -> ReLUNetwork:
        """The decoder, with slope 1/4 and shifts that are not all zero."""
        return ReLUNetwork(weights=[[list(row) for row in w] for w in self.weights],
                           biases=[[(-1) ** i for i in range(len(w))] for w in self.weights], negative_slope="1/4")

    def invertible(self) -> bool:
        """Whether every layer is square and invertible."""
        return all(len(w) == len(w[0]) == rank(w) for w in self.weights)


@st.composite
def _small_networks(draw: st.DrawFn, square: bool) -> SmallNetwork:
    latents, depth = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    widths = [latents, *(latents if square else draw(st.integers(1, 2)) for _ in range(depth))]
    entry = st.sampled_from([0, 1, -1, 2])
    weights = [draw(st.lists(st.lists(entry, min_size=a, max_size=a).map(tuple), min_size=b, max_size=b).map(tuple))
               for a, b in pairwise(widths)]
    return SmallNetwork(tuple(weights))


def _injective_networks() -> Universal[SmallNetwork]:
    def conclusion(case: SmallNetwork) -> bool | None:
        status = decoder_findings(case.network(), Stopwatch(10.0))["F4"].status
        return None if status is Status.UNKNOWN else status is Status.HOLDS

    return Universal(
        statement="the leaky ReLU network is injective",
        cases=lambda dropped: _small_networks(not dropped), conclusion=conclusion,
        hypotheses={"square invertible layers": SmallNetwork.invertible}, needed=("square invertible layers",),
        show=lambda case: show_models(model=Model(
            ConditionalPrior.from_means_variances([[0] * len(case.weights[0][0])], [[1] * len(case.weights[0][0])]),
            case.network())))


@chapter.claim(
    "gan.s2d.injective", place="Sections II.D and IV.C with eq. 6", kind=Kind.CLAIM,
    statement="The implemented model, a leaky ReLU network as decoder, is of the form to which the theory applies.",
    hypotheses=("the theory asks for an injective decoder",),
    correction=Correction("it is for parameters that make the decoder injective, square invertible layers for example",
                          hypotheses=("the trained map is injective",)),
    universal=_injective_networks)
def decoder_class(on: Record) -> None:
    a, t = sp.symbols("a t", positive=True)
    folded = [sp.expand(t + a * (-t) - (1 - a) * t), sp.expand(a * (-t) + t - (1 - a) * t)]
    network = ReLUNetwork(weights=[[[1], [-1]], [[1, 1]]], biases=[[0, 0], [0]], negative_slope="1/4")
    finding = decoder_findings(network, Stopwatch(10.0))["F4"]
    on.printed.refute(folded == [0, 0] and finding.status is Status.FAILS,
                      "two units fold the line, s(z) + s(-z) = (1 - a)|z| (symbolic); nothing in the architecture or "
                      "in the loss excludes it", shown="f(z) = s(z) + s(-z), s leaky ReLU of slope 1/4",
                      evidence=finding.evidence)
    on.printed.search(cases=60, without=("square invertible layers",))
    on.corrected.search(cases=60)


@dataclass(frozen=True)
class Segments:
    """Means and variances of two latents in five segments."""

    means: tuple[tuple[int, ...], ...]
    variances: tuple[tuple[int, ...], ...]

    def prior(self) -> ConditionalPrior:
        """The normal prior, k = 2."""
        return ConditionalPrior.from_means_variances([list(row) for row in self.means],
                                                     [list(row) for row in self.variances])

    def general_position(self) -> bool:
        """Whether 1 and the four natural parameters are linearly independent over the segments."""
        rows = [[Fraction(1), *(Fraction(m, v) for m, v in zip(means, variances, strict=True)),
                 *(Fraction(-1, 2 * v) for v in variances)]
                for means, variances in zip(self.means, self.variances, strict=True)]
        return rank(rows) == SEGMENTS


@st.composite
def _segments(draw: st.DrawFn) -> Segments:
    constant = draw(st.sampled_from([None, None, None, 0, 1, 2, 3]))
    columns = [draw(st.lists(st.integers(1, 12), min_size=SEGMENTS, max_size=SEGMENTS)) for _ in range(4)]
    if constant is not None:
        columns[constant] = [1] * SEGMENTS
    return Segments(tuple(zip(*columns[:2], strict=True)), tuple(zip(*columns[2:], strict=True)))


def _segments_suffice() -> Universal[Segments]:
    return Universal(
        statement="five segments of two normal latents with means and variances give an invertible L",
        cases=lambda dropped: _segments(), hypotheses={"general position": Segments.general_position},
        conclusion=lambda case: l_matrix_finding(case.prior()).status is Status.HOLDS, needed=("general position",))


@chapter.claim(
    "gan.tab2", place="Table 2", kind=Kind.TABLE,
    statement="Two latents and five segments allow an invertible L, with one or two statistics per latent: parameters "
              "in general position have one.", covers=("Table 2",),
    scope="that the parameters drawn by the generator were in general position", universal=_segments_suffice)
def segments(on: Record) -> None:
    two = ConditionalPrior.from_means_variances([[0, 1], [1, 3], [2, 0], [5, 2], [3, 7]],
                                                [[1, 2], [3, 1], [2, 5], [1, 4], [6, 1]])
    one = ConditionalPrior("normal_variance", [[[-1], [-2]], [[-2], [-1]], [[-3], [-5]], [[-1], [-1]], [[-2], [-2]]])
    enough = [l_matrix_finding(prior).status is Status.HOLDS for prior in (two, one)]
    on.printed.prove(all(enough) and largest_latent_dim(SEGMENTS, 2) == DATA_DIM
                     and largest_latent_dim(SEGMENTS, 1) >= DATA_DIM,
                     "nk + 1 is 5 for k = 2 and 3 for k = 1; explicit parameters with invertible L (exact)")
    on.printed.search(cases=100)


@chapter.claim(
    "gan.s4e.budget", place="Section IV.E with Table 2", kind=Kind.NUMBER,
    statement="iVAE-GAN's full-batch training fits the stated device, and processes more samples than the models that "
              "it is compared with: 300000 full batches against 70000 batches of 256 or 128.",
    scope="the outcomes of the runs; memory for anything but the activations of the discriminator")
def training_budget(on: Record) -> None:
    sizes = [SEGMENTS * count_ for count_ in DISCRIMINATORS]
    seen = [300_000 * size for size in sizes]
    largest = max(size * sum(DISCRIMINATORS[size // SEGMENTS]) * 4 for size in sizes)
    on.printed.prove(min(seen) > 70_000 * 256 > 70_000 * 128 and largest < 32 * 10**9,
                     f"{sizes} samples; {min(seen) / (70_000 * 256):.1f} to {max(seen) / (70_000 * 256):.0f} times "
                     f"iVAE's, and {largest / 1e6:.0f} MB of single-precision activations in the widest discriminator")
