"""Appendix H: leaky ReLU networks, Example 5, and when a ReLU network is injective after all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.kivva.networks_cases import (
    ENTRIES,
    decided,
    has_growing_widths,
    is_injective_layer,
    networks,
    shown,
    spans_everywhere,
    widths_of,
    with_two_activations,
)
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.exact.rationals import fraction
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.line import line_pieces
from ident_theory.models import ReLUNetwork
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

LEAKY = ("1/2", "1/100", 2, 1)
SHAPES = ([1, 1], [1, 2], [1, 1, 1], [1, 2, 2], [1, 2, 3, 3], [2, 2], [2, 2, 2], [2, 2, 3], [2, 3, 3], [2, 2, 2, 2],
          [2, 3, 4], [3, 3], [3, 3, 3])


def injective_layers(network: ReLUNetwork) -> bool:
    """Whether every affine layer is injective."""
    return all(map(is_injective_layer, network.weights_exact))


@dataclass(frozen=True)
class Mixed:
    """A network, and a slope of its own for every hidden unit."""

    network: ReLUNetwork
    slopes: tuple[tuple[Fraction, ...], ...]

    def rewritten(self) -> ReLUNetwork:
        """The same function with one slope for all units."""
        return with_two_activations(self.network, self.slopes)

    def show(self) -> str:
        """The function as a model file."""
        return shown(self.rewritten())


def mixed_activations() -> Universal[Mixed]:
    """Corollary H.4 with units of different slopes."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[Mixed]:
        slopes = [Fraction(1, 2), Fraction(2), Fraction(1, 100), Fraction(1)]
        if "slopes positive" in dropped:
            slopes = [Fraction(-1), Fraction(0), *slopes]

        @st.composite
        def draw_cases(draw: Any) -> Mixed:
            network = draw(networks(([1, 1], [1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 1, 2, 2], [2, 2, 3])))
            return Mixed(network, tuple(tuple(draw(st.sampled_from(slopes)) for _ in w)
                                        for w in network.weights_exact[:-1]))

        return draw_cases()

    return Universal(
        "a network of injective layers whose hidden units have different positive slopes is injective (F4)",
        cases, lambda case: decided(case.rewritten(), "F4"),
        {"injective layers": lambda case: injective_layers(case.network),
         "slopes positive": lambda case: all(v > 0 for row in case.slopes for v in row)},
        needed=("injective layers", "slopes positive"), show=Mixed.show)


@chapter.claim(
    "kivva.remH.2", place="App. H, Remark H.2", kind=Kind.REMARK, covers=("Remark H.2",),
    statement="The arguments do not need one activation for all layers, or for all units of a layer.",
    hypotheses=("the layers are injective", "the slopes are positive"), universal=mixed_activations,
    scope="the leaky case; Lemma H.1 and Corollary H.2 are false with one activation already")
def different_activations(on: Record) -> None:
    on.printed.search(cases=100)


def inverse_is_locally_affine() -> Universal[ReLUNetwork]:
    """Lemma H.3: single preimages, and every cell of full rank."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[ReLUNetwork]:
        return networks(SHAPES, (-1, 0, *LEAKY) if "slope positive" in dropped else LEAKY)

    def holds(network: ReLUNetwork) -> bool | None:
        if any(cell.rank < network.latent_dim for cell in CellWalk(network)):
            return False
        return decided(network, "F4")

    return Universal(
        "a leaky ReLU network of injective layers is injective and has rank m on every cell", cases, holds,
        {"injective layers": injective_layers,
         "slope positive": lambda network: network.negative_slope_exact > 0},
        needed=("injective layers", "slope positive"), show=shown)


@chapter.claim(
    "kivva.lemH.3", place="App. H, Lemma H.3", kind=Kind.LEMMA, covers=("Lemma H.3",),
    statement="A leaky ReLU network with non-decreasing widths and injective affine layers has, near almost every "
              "value, an inverse that is single-valued and affine.",
    hypotheses=("every layer is injective; the paper says invertible, though the widths may grow",
                "the slope is positive"),
    universal=inverse_is_locally_affine,
    scope="for finitely many pieces the conclusion follows from F4 and full rank on every cell, which is decided")
def lemma_h_3(on: Record) -> None:
    on.printed.search(cases=150)


def generically_injective() -> Universal[ReLUNetwork]:
    """Corollary H.4, with maximal rank of every matrix for generic."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[ReLUNetwork]:
        shapes = (*SHAPES, [1, 2, 2, 1], [2, 3, 2], [1, 2, 1]) if "non-decreasing widths" in dropped else SHAPES
        return networks(shapes, (-1, 0, *LEAKY) if "slope positive" in dropped else LEAKY)

    return Universal(
        "a leaky ReLU network with non-decreasing widths and matrices of maximal rank is injective (F4)",
        cases, lambda network: decided(network, "F4"),
        {"non-decreasing widths": has_growing_widths,
         "maximal ranks": lambda network: all(rank(w.tolist()) == min(w.shape) for w in network.weights_exact),
         "slope positive": lambda network: network.negative_slope_exact > 0},
        needed=("non-decreasing widths", "maximal ranks", "slope positive"), show=shown)


@chapter.claim(
    "kivva.corH.4", place="App. H, Corollary H.4", kind=Kind.COROLLARY, covers=("Corollary H.4",),
    statement="A leaky ReLU network with non-decreasing widths is injective (F4) for generic weights.",
    hypotheses=("the widths do not decrease", "every matrix has maximal rank", "the slope is positive"),
    universal=generically_injective)
def corollary_h_4(on: Record) -> None:
    minors = {}
    for size in (1, 2, 3, 4):
        matrix = sp.Matrix(size, size, sp.symbols(f"w0:{size * size}"))
        det = matrix.det(method="berkowitz")
        minors[size] = sp.expand(det) != 0 and det.subs(dict(zip(matrix, sp.eye(size), strict=True))) == 1
    on.printed.support(all(minors.values()), "full column rank fails where all maximal minors vanish, polynomials that "
                       "are not zero: a null set of weights", cases=len(minors), evidence=Evidence.EXACT)
    on.printed.search(cases=150)


@chapter.claim(
    "kivva.corH.4.converse", place="App. H, Corollary H.4", kind=Kind.ADDED,
    statement="Injective layers are sufficient, not necessary: a leaky ReLU network can be injective although a layer "
              "is not.",
    hypotheses=("the slope is positive", "the widths do not decrease"))
def ranks_are_not_necessary(on: Record) -> None:
    network = ReLUNetwork([[[1], [1]], [[1, 0], [1, 0]]], [[0, 0], [0, 0]], "1/2")
    on.printed.prove(has_growing_widths(network) and rank(network.weights_exact[1].tolist()) == 1
                     and decided(network, "F4") is True,
                     "widths 1, 2, 2: z is copied, and one copy is kept twice; the second layer has rank 1 of 2")


@chapter.claim(
    "kivva.ex5", place="App. H, Example 5", kind=Kind.EXAMPLE, covers=("Example 5",),
    statement="The leaky network of slope 1/2 with layers (1, -1), ((1, -1), (1, 1)), (0, 1) computes |x| / 2, by way "
              "of the two tables of values in the text, and is not even weakly injective.",
    hypotheses=("no biases",))
def example_5(on: Record) -> None:
    half = Fraction(1, 2)
    layers: list[Any] = [[[1], [-1]], [[1, -1], [1, 1]], [[0, 1]]]
    whole = ReLUNetwork(layers, [[0, 0], [0, 0], [0]], half)
    stages: dict[str, tuple[ReLUNetwork, list[Any]]] = {
        "sigma h1": (ReLUNetwork([*layers[:1], [[1, 0], [0, 1]]], [[0, 0], [0, 0]], half),
                     [(half, Fraction(-1)), (Fraction(1), -half)]),
        "h2 sigma h1": (ReLUNetwork(layers[:2], [[0, 0], [0, 0]], half), [(3 * half, -half), (3 * half, half)]),
        "f": (whole, [(-half,), (half,)])}
    for name, (network, slopes) in stages.items():
        pieces = line_pieces(network)
        found = [tuple(fraction(v) for v in row) for row in pieces.slopes]
        at_zero = list(pieces.breakpoints) == [0] and not any(v for row in pieces.intercepts for v in row)
        on.printed.prove(found == slopes and at_zero, f"{name}: slopes "
                         + " below 0 and ".join(f"({', '.join(map(str, row))})" for row in slopes) + " above")
    on.printed.prove([decided(whole, c) for c in ("F4", "F3", "F2")] == [False, False, False]
                     and not has_growing_widths(whole),
                     "F4, F3 and F2 fail; the last width decreases, so Corollary H.4 says nothing")


OPPOSITE = ([1, 2, 2], [1, 2, 3], [1, 3, 3], [1, 2, 4, 4], [2, 4, 4], [2, 5, 5])


def spanning_networks(dropped: frozenset[str], shapes: Any = OPPOSITE) -> st.SearchStrategy[ReLUNetwork]:
    """ReLU networks whose hidden layers have pairs of opposite rows; the gap of a pair may be negative."""
    gaps = (0, 1, Fraction(-1, 1000), -1) if "spanning" in dropped else (0, 0, 1, Fraction(1, 1000), Fraction(-1, 1000))
    number = st.sampled_from(ENTRIES)

    @st.composite
    def draw_cases(draw: Any) -> ReLUNetwork:
        widths = draw(st.sampled_from(list(shapes)))
        weights, biases = [], []
        for layer, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            rows = [draw(st.lists(number, min_size=a, max_size=a)) for _ in range(b)]
            shifts = [draw(number) for _ in range(b)]
            if layer < len(widths) - 2:
                for k in range(min(a, b // 2)):
                    c = draw(st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 3)]))
                    rows[k] = [Fraction(int(i == k)) if draw(st.booleans()) else v for i, v in enumerate(rows[k])]
                    rows[a + k] = [-c * v for v in rows[k]]
                    shifts[a + k] = draw(st.sampled_from(gaps)) - c * shifts[k]
            elif draw(st.integers(0, 3)):
                rows = [[Fraction(int(i == j)) for i in range(a)] for j in range(b)]
            weights.append(rows)
            biases.append(shifts)
        return ReLUNetwork(weights, biases)

    return draw_cases()


def spanning_layers(network: ReLUNetwork) -> bool:
    """Whether every hidden layer has spanning rows with preactivations >= 0 at every point."""
    return all(spans_everywhere(w, b)
               for w, b in zip(network.weights_exact[:-1], network.biases_exact[:-1], strict=True))


def last_layer_injective(network: ReLUNetwork) -> bool:
    """Whether the last layer is injective."""
    return is_injective_layer(network.weights_exact[-1])


def injective_relu() -> Universal[ReLUNetwork]:
    """A sufficient condition for F4 of a ReLU network."""
    return Universal(
        "a ReLU network is injective (F4) if at every point the rows with preactivations >= 0 span, in every hidden "
        "layer, and the last layer is injective", spanning_networks, lambda network: decided(network, "F4"),
        {"spanning": spanning_layers, "last layer injective": last_layer_injective},
        needed=("spanning", "last layer injective"), show=shown)


@chapter.claim(
    "kivva.H.repair2", place="App. H", kind=Kind.ADDED,
    statement="A ReLU network is injective (F4) if every hidden layer has, at every point of its input space, rows of "
              "non-negative preactivation that span, and the last layer is injective.",
    hypotheses=("a directed spanning set at every point, in every hidden layer", "the last layer is injective"),
    universal=injective_relu)
def spanning_rows_make_injective(on: Record) -> None:
    on.printed.search(cases=100)


@chapter.claim(
    "kivva.H.repair2.sharp", place="App. H", kind=Kind.ADDED,
    statement="With one hidden layer and an injective last layer that condition is necessary, too.",
    hypotheses=("one hidden layer", "the last layer is injective"),
    universal=lambda: Universal(
        "with one hidden layer and an injective last one: injective (F4) exactly when the rows span everywhere",
        lambda dropped: st.one_of(
            spanning_networks(frozenset(), ([1, 2, 2], [1, 3, 3], [2, 4, 4])),
            spanning_networks(frozenset(["spanning"]), ([1, 2, 2], [2, 4, 4])),
            networks(([1, 1, 1], [1, 2, 2], [1, 3, 3], [2, 3, 3], [2, 4, 4]))),
        lambda network: None if (answer := decided(network, "F4")) is None
        else answer == spanning_layers(network),
        {"last layer injective": last_layer_injective}, needed=("last layer injective",), show=shown))
def spanning_rows_are_necessary(on: Record) -> None:
    on.printed.search(cases=120)


@chapter.claim(
    "kivva.H.repair2.width", place="App. H", kind=Kind.ADDED,
    statement="The condition asks for a width of at least twice that of the layer before.",
    hypotheses=("spanning rows at every point",),
    universal=lambda: Universal(
        "a layer whose active rows span at every point has at least twice as many rows as columns",
        lambda dropped: st.one_of(networks(([1, 1], [1, 2], [1, 3], [2, 3], [2, 5])),
                                  spanning_networks(frozenset(), ([1, 2, 2], [1, 3, 3], [2, 4, 4])),
                                  spanning_networks(frozenset(), ([1, 2, 2], [2, 5, 5], [3, 6, 6]))),
        lambda network: len(network.weights_exact[0]) >= 2 * network.latent_dim,
        {"spanning": lambda network: spans_everywhere(network.weights_exact[0], network.biases_exact[0])},
        needed=("spanning",), show=lambda network: f"widths {widths_of(network)}\n{shown(network)}"))
def spanning_layers_are_wide(on: Record) -> None:
    on.printed.search(cases=150)
