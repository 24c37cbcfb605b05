"""Pairs of conditional models with network decoders, decided by the toolkit's own exact procedures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.conditions.l_matrix import l_matrix_finding
from ident_theory.conditions.relation import equivalence
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, GaussianNoise, Model, ReLUNetwork
from ident_theory.numerics import Status, Stopwatch
from ident_theory.testing.strategies_networks import relu_networks

Numbers = tuple[tuple[Fraction, ...], ...]
NOISE = GaussianNoise(std="1/2")


@dataclass(frozen=True)
class ModelPair:
    """Two models with normal latents given u, and the priors and decoders they are made of."""

    priors: tuple[ConditionalPrior, ConditionalPrior]
    decoders: tuple[ReLUNetwork, ReLUNetwork]

    def models(self) -> tuple[Model, Model]:
        """The models."""
        first, second = (Model(*parts, NOISE) for parts in zip(self.priors, self.decoders, strict=True))
        return first, second

    def equal(self) -> bool:
        """Whether p(x|u) is proved to agree for every u."""
        return equal_in_law(*self.models(), budget=5.0).status is Status.HOLDS

    def spanning(self) -> bool:
        """Whether some L of the first model is invertible."""
        return l_matrix_finding(self.priors[0]).status is Status.HOLDS

    def injective(self) -> bool:
        """Whether both decoders are proved to be injective."""
        return all(decoder_findings(d, Stopwatch(5.0))["F4"].status is Status.HOLDS for d in self.decoders)

    def related(self) -> bool:
        """Whether T(z) = A T~(z~) + c is found with an invertible A."""
        return equivalence(*self.models(), budget=10.0).statistics is not None

    def shown(self) -> str:
        """As model files."""
        first, second = self.models()
        return show_models(first=first, second=second)


def _prior(means: Numbers, variances: Numbers) -> ConditionalPrior:
    return ConditionalPrior.from_means_variances([list(row) for row in means], [list(row) for row in variances])


@st.composite
def _changed(draw: st.DrawFn) -> ModelPair:
    """A model and the same with latents permuted, scaled and shifted."""
    n = draw(st.integers(1, 2))
    count = 2 * n + 1
    entry = st.sampled_from([Fraction(m) for m in (0, 1, -2, 3)])
    spread = st.sampled_from([Fraction(v) for v in (1, 2, 5)])
    means = tuple(tuple(draw(entry) for _ in range(n)) for _ in range(count))
    variances = tuple(tuple(draw(spread) for _ in range(n)) for _ in range(count))
    decoder = draw(relu_networks(n, (n, n + 1), (0, 2), (n, n + 1)))
    order = draw(st.permutations(range(n)))
    scales = [draw(st.sampled_from([Fraction(1), Fraction(-1), Fraction(3)])) for _ in range(n)]
    shifts = [draw(entry) for _ in range(n)]
    moved = tuple(tuple(s * row[i] + t for i, s, t in zip(order, scales, shifts, strict=True)) for row in means)
    widened = tuple(tuple(s * s * row[i] for i, s in zip(order, scales, strict=True)) for row in variances)
    # z[order[j]] = (w_j - shift_j) / scale_j goes into the first layer.
    first = decoder.weights_exact[0]
    columns = [[row[i] / s for i, s in zip(order, scales, strict=True)] for row in first]
    bias = [b - sum(c * t for c, t in zip(row, shifts, strict=True))
            for b, row in zip(decoder.biases_exact[0], columns, strict=True)]
    other = ReLUNetwork([columns, *decoder.weights_exact[1:]], [bias, *decoder.biases_exact[1:]],
                        negative_slope=decoder.negative_slope_exact)
    return ModelPair((_prior(means, variances), _prior(moved, widened)), (decoder, other))


@st.composite
def _folded(draw: st.DrawFn) -> ModelPair:
    """x = |z| with signs of the means changed: nothing to see in x."""
    means = tuple((Fraction(draw(st.integers(0, 3))),) for _ in range(3))
    variances = tuple((Fraction(draw(st.integers(1, 3))),) for _ in range(3))
    signs = [draw(st.sampled_from([1, -1])) for _ in means]
    decoder = ReLUNetwork(weights=[[[1], [-1]], [[1, 1]]], biases=[[0, 0], [0]])
    flipped = tuple((s * row[0],) for s, row in zip(signs, means, strict=True))
    return ModelPair((_prior(means, variances), _prior(flipped, variances)), (decoder, decoder))


@st.composite
def _turned(draw: st.DrawFn) -> ModelPair:
    """Standard normal latents for every u, rotated by the angle with cosine 3/5."""
    prior = _prior(((Fraction(0),) * 2,) * 5, ((Fraction(draw(st.integers(1, 2))),) * 2,) * 5)
    c, s = Fraction(3, 5), Fraction(4, 5)
    decoders = [ReLUNetwork(weights=[w], biases=[[0, 0]]) for w in ([[1, 0], [0, 1]], [[c, s], [-s, c]])]
    return ModelPair((prior, prior), (decoders[0], decoders[1]))


@st.composite
def _unrelated(draw: st.DrawFn) -> ModelPair:
    """One decoder, two priors."""
    decoder = ReLUNetwork(weights=[[[1]]], biases=[[0]])
    column = st.lists(st.tuples(st.integers(0, 3).map(Fraction)), min_size=3, max_size=3).map(tuple)
    spread = st.lists(st.tuples(st.integers(1, 3).map(Fraction)), min_size=3, max_size=3).map(tuple)
    return ModelPair((_prior(draw(column), draw(spread)), _prior(draw(column), draw(spread))), (decoder, decoder))


_EXTRA = {"injective decoders": _folded, "L invertible": _turned, "equal p(x|u)": _unrelated}


def identified_models() -> Universal[ModelPair]:
    """The identifiability theorem for normal latents and network decoders."""
    return Universal(
        statement="models with equal p(x|u): T(z) = A T~(z~) + c with an invertible A",
        cases=lambda dropped: st.one_of(*[_EXTRA[name]() for name in sorted(dropped)], _changed()),
        hypotheses={"L invertible": ModelPair.spanning, "injective decoders": ModelPair.injective,
                    "equal p(x|u)": ModelPair.equal},
        conclusion=ModelPair.related, needed=("L invertible", "injective decoders", "equal p(x|u)"),
        show=ModelPair.shown)
