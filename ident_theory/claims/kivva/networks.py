"""Appendix H: classes of networks, and architectures that should make a ReLU network observably injective."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.networks_cases import (
    decided,
    evaluate,
    has_full_dimension,
    has_growing_widths,
    is_injective_layer,
    networks,
    shown,
    widths_of,
)
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.line import line_pieces
from ident_theory.models import ReLUNetwork
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

#: (|z|, |z|): the second layer has rank one, the image dimension one.
RANK_ONE = ReLUNetwork([[[1], [-1]], [[1, 1], [1, 1]]], [[0, 0], [0, 0]])
#: (|z|, 0): every layer has full column rank.
FULL_RANK = ReLUNetwork([[[1], [-1]], [[1, 1], [-1, -2]], [[1, 0], [0, 1]]], [[0, 0]] * 3)

NARROW = ([1, 1], [1, 2], [1, 1, 1], [1, 2, 2], [1, 1, 2, 2], [1, 1, 1, 2, 3], [1, 3, 3], [2, 2, 2], [2, 3, 3],
          [2, 4, 4], [2, 2, 3, 3], [2, 2, 2, 3, 4], [3, 3, 3], [3, 4, 4])
WIDE = ([1, 2, 2, 2], [1, 2, 2, 2], [1, 3, 3, 3], [2, 3, 3, 3])


@dataclass(frozen=True)
class At:
    """A network and a latent."""

    network: ReLUNetwork
    z: tuple[Fraction, ...]


def networks_are_piecewise_affine() -> Universal[At]:
    """Members of the classes of Definition H.2 at latents near and on the borders of their cells."""
    @st.composite
    def draw_cases(draw: Any) -> At:
        network = draw(networks(([1, 1], [1, 2, 2], [1, 1, 2, 3], [2, 2], [2, 3, 2], [2, 2, 2, 3], [3, 3, 3]),
                                (0, "1/100", "1/2", 2)))
        z = draw(st.lists(st.sampled_from([Fraction(v, 2) for v in (0, 1, -1, 2, -2, 5, -7)]),
                          min_size=network.latent_dim, max_size=network.latent_dim))
        return At(network, tuple(z))

    def agrees(case: At) -> bool:
        point, value = [rational(v) for v in case.z], evaluate(case.network, case.z)
        found = [[fraction(v) for v in cell.value(point)] for cell in CellWalk(case.network) if cell.contains(point)]
        return bool(found) and all(item == value for item in found)

    return Universal("layer by layer, f(z) is the value of the affine map of every closed cell that contains z",
                     lambda dropped: draw_cases(), agrees, show=lambda case: f"z = {case.z}\n{shown(case.network)}")


@chapter.claim(
    "kivva.defH", place="App. H, (31), Definitions H.1 and H.2", kind=Kind.DEFINITION,
    covers=("Definition H.1", "Definition H.2", "Remark H.3"),
    statement="ReLU and leaky ReLU act coordinatewise; a class of networks consists of all alternating compositions of "
              "affine maps with an activation, of any number of layers, none narrower than the latent. Its members are "
              "continuous and piecewise affine.",
    hypotheses=("the slope of the leaky ReLU is positive and not 1",),
    scope="Remark H.3 names another paper and states nothing",
    universal=networks_are_piecewise_affine)
def classes_of_networks(on: Record) -> None:
    for slope in (Fraction(0), Fraction(1, 100)):
        unit = ReLUNetwork([[[1]], [[1]]], [[0], [0]], slope)
        pieces = line_pieces(unit)
        on.printed.support([fraction(a[0]) for a in pieces.slopes] == [slope, 1] and list(pieces.breakpoints) == [0]
                           and evaluate(unit, [Fraction(0)]) == [0], f"the activation with slope {slope}: x above 0, "
                           f"{slope} x below, 0 at 0", cases=1, evidence=Evidence.EXACT)
    on.printed.search(cases=150)


def tents(depth: int) -> ReLUNetwork:
    """The tent map 2 relu(x) - 4 relu(x - 1/2), `depth` times over."""
    weights, biases = [[[1], [1]]], [[0, "-1/2"]]
    for _ in range(depth - 1):
        weights.append([[2, -4], [2, -4]])
        biases.append([0, "-1/2"])
    return ReLUNetwork([*weights, [[2, -4]]], [*biases, [0]])


@chapter.claim(
    "kivva.remH.1", place="App. H, Remark H.1", kind=Kind.REMARK, covers=("Remark H.1",),
    statement="The classes are non-parametric: no finite architecture contains all their members.",
    hypotheses=("the number of layers is not bounded",))
def no_architecture_is_enough(on: Record) -> None:
    counts = []
    for depth in range(1, 8):
        pieces = line_pieces(tents(depth))
        counts.append(sum(1 for k in range(pieces.n_pieces)
                          if (left := pieces.ends(k)[0]) is not None and 0 <= left < 1))
    on.printed.support(counts == [2**k for k in range(1, 8)],
                       f"tents of depth 1, ..., 7 with two units a layer bend into {counts} pieces on [0, 1], while H "
                       "hidden units in all allow 2^H sign patterns at most", cases=len(counts),
                       evidence=Evidence.EXACT)


def observably_injective() -> Universal[ReLUNetwork]:
    """Corollary H.2 with the two hypotheses that it lacks."""
    def cases(dropped: frozenset[str]) -> st.SearchStrategy[ReLUNetwork]:
        shapes = NARROW[:8] if "last layer injective" in dropped else NARROW
        shapes = (*shapes, *WIDE) if "earlier layers of width m" in dropped else shapes
        if "non-decreasing widths" in dropped:
            shapes = (*shapes, [1, 2, 1], [2, 3, 2])
        return networks(shapes)

    # Non-decreasing widths are not needed: they follow from an injective last layer and hidden layers of width m.
    return Universal(
        "a ReLU network is observably injective (F3)", cases, lambda network: decided(network, "F3"),
        {"non-decreasing widths": has_growing_widths, "dim f(R^m) = m": has_full_dimension,
         "last layer injective": lambda network: is_injective_layer(network.weights_exact[-1]),
         "earlier layers of width m": lambda network: set(widths_of(network)[:-2]) <= {network.latent_dim}},
        needed=("dim f(R^m) = m", "last layer injective", "earlier layers of width m"), show=shown)


def is_even(network: ReLUNetwork) -> bool:
    """Whether f(-z) = f(z) for all z, from the pieces of a decoder of the line that bends at 0 alone."""
    pieces = line_pieces(network)
    return list(pieces.breakpoints) == [0] and pieces.intercepts[0] == pieces.intercepts[1] \
        and all(a == -b for a, b in zip(*pieces.slopes, strict=True)) and any(pieces.slopes[0])


def refute_observable_injectivity(on: Record, cases: int) -> None:
    """Both counterexamples, a minimal one that the search finds, and the two steps of the proof that fail."""
    for name, network in (("widths 1, 2, 2", RANK_ONE), ("widths 1, 2, 2, 2, injective layers", FULL_RANK)):
        on.printed.refute(has_growing_widths(network) and has_full_dimension(network) and is_even(network)
                          and decided(network, "F3") is False and decided(network, "F2") is False,
                          f"{name}: the image has dimension 1 and f(-z) = f(z), so no value but one has a single "
                          "preimage", shown=shown(network))
    on.printed.search(cases=cases, without=("last layer injective", "earlier layers of width m"))
    on.argument.refute(has_full_dimension(RANK_ONE) and rank(RANK_ONE.weights_exact[-1].tolist()) == 1
                       and RANK_ONE.weights_exact[-1].shape == (2, 2),
                       "the image of the widths 1, 2, 2 network has dimension m = 1, its last layer has rank 1 of 2")
    inner = ReLUNetwork([w.tolist() for w in FULL_RANK.weights_exact[:2]], [[0, 0], [0, 0]])
    pieces = line_pieces(inner)
    second = [(fraction(a[1]), fraction(c[1])) for a, c in zip(pieces.slopes, pieces.intercepts, strict=True)]
    below = list(pieces.breakpoints) == [0] and second[0][0] > 0 > second[1][0] and second[0][1] == second[1][1] == 0
    on.argument.refute(below and decided(inner, "F4") is True and all(map(is_injective_layer, FULL_RANK.weights_exact)),
                       "before its last activation the other network is injective and its second coordinate nowhere "
                       f"positive (slopes {second[0][0]} and {second[1][0]} about 0), so it never meets the orthant D")
    on.corrected.search(cases=cases)


ARGUMENT = "dim f(R^m) = m makes the last layer injective, and the image before the last activation meets the " \
           "positive orthant in positive measure, which accounts for almost all of the image of f."
WHAT_HOLDS = ("the last layer is injective", "all hidden layers but the last one have width m")


@chapter.claim(
    "kivva.lemH.1", place="App. H, Lemma H.1", kind=Kind.LEMMA, covers=("Lemma H.1",), argument=ARGUMENT,
    statement="A ReLU network with non-decreasing widths whose image has dimension m has, near almost every value, an "
              "inverse that is single-valued and affine.",
    hypotheses=("the widths do not decrease", "dim f(R^m) = m"),
    correction=Correction("It has if, moreover, the last layer is injective and all hidden layers but the last one "
                          "have width m.", hypotheses=WHAT_HOLDS),
    universal=observably_injective,
    scope="for finitely many pieces the conclusion says the same as F3, by which it is decided")
def lemma_h_1(on: Record) -> None:
    refute_observable_injectivity(on, 60)


@chapter.claim(
    "kivva.corH.2", place="App. H, Corollary H.2", kind=Kind.COROLLARY, covers=("Corollary H.2",), argument=ARGUMENT,
    statement="A ReLU network with non-decreasing widths whose image has dimension m is observably injective (F3).",
    hypotheses=("the widths do not decrease", "dim f(R^m) = m"),
    correction=Correction("It is if, moreover, the last layer is injective and all hidden layers but the last one have "
                          "width m.", hypotheses=WHAT_HOLDS),
    universal=observably_injective)
def corollary_h_2(on: Record) -> None:
    refute_observable_injectivity(on, 150)


@chapter.claim(
    "kivva.corH.2.open", place="App. H, Corollary H.2", kind=Kind.ADDED,
    statement="Corollary H.2 is not even true generically: with widths 1, 2, 2, n it fails for a set of weights with "
              "interior, whatever the biases and the last layer.",
    hypotheses=("first layer (a, -b), second layer with rows (p, q) and (-r, -s), all six numbers positive",))
def failure_on_an_open_set(on: Record) -> None:
    a, b, p, q, r, s, z = sp.symbols("a b p q r s z", positive=True)
    c1, c2, d1, d2 = sp.symbols("c1 c2 d1 d2", real=True)
    # Far out one unit of the first layer is dead: a z + c1 on the right, b z + c2 at -z on the left.
    right = [p * (a * z + c1) + d1, -r * (a * z + c1) + d2]
    left = [q * (b * z + c2) + d1, -s * (b * z + c2) + d2]
    active = [sp.Poly(side, z).LC() for side in (a * z + c1, b * z + c2)]
    dead = [sp.Poly(side, z).LC() for side in (-a * z + c1, -b * z + c2)]
    first, second = ([sp.Poly(side[k], z).LC() for side in (right, left)] for k in (0, 1))
    on.printed.prove(all(v.is_positive for v in [*active, *first]) and all(v.is_negative for v in [*dead, *second]),
                     f"for z to both infinities the second layer gives (slope {first[0]} resp. {first[1]}, 0): both "
                     "ends of the line run through one ray, which the last layer cannot undo")
    near = [FULL_RANK, ReLUNetwork([[["9/10"], ["-11/10"]], [["11/10", "9/10"], ["-1", "-21/10"]], [[1, "1/10"], [0, 1],
                                    [1, 1]]], [["1/10", "-1/10"], ["1/20", "1/10"], [0, 0, 1]])]
    signs = [[[int(np.sign(v)) for v in w.ravel()] for w in network.weights_exact[:2]] for network in near]
    on.printed.support(all(decided(network, "F3") is False for network in near)
                       and signs == [[[1, -1], [1, 1, -1, -1]]] * 2, "two members, from their cells",
                       cases=len(near), evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.corH.2.least", place="App. H, Corollary H.2", kind=Kind.ADDED,
    statement="With injective layers, widths 1, 2, 2, 2 are the least at which Corollary H.2 fails: with one hidden "
              "layer, or hidden layers of width one before the last, it holds.",
    hypotheses=("every layer is injective", "dim f(R^m) = m", "m = 1"),
    scope="entries of the first layers in {-1, 0, 1}, biases in {-1, 0, 1}; the last layer is the identity")
def least_counterexample(on: Record) -> None:
    grid = [(w, v, b, c) for w in (-1, 0, 1) for v in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if w or v]
    shallow = [ReLUNetwork([[[w], [v]], [[1, 0], [0, 1]]], [[b, c], [0, 0]]) for w, v, b, c in grid]
    cut = [ReLUNetwork([[[u]], [[w], [v]], [[1, 0], [0, 1]]], [[0], [b, c], [0, 0]]) for u in (1, -1)
           for w, v, b, c in grid]
    both = [network for network in shallow + cut if has_full_dimension(network)]
    on.printed.support(all(decided(network, "F3") is True for network in both) and len(both) > 100,
                       f"widths 1, 2, 2 and 1, 1, 2, 2: all {len(both)} of the networks whose image has dimension 1",
                       cases=len(both), evidence=Evidence.EXACT)
    wide = widths_of(FULL_RANK)
    on.printed.support(decided(FULL_RANK, "F3") is False and wide == [1, 2, 2, 2] and has_full_dimension(FULL_RANK)
                       and all(map(is_injective_layer, FULL_RANK.weights_exact)),
                       f"widths {wide}, injective layers: fails", cases=1, evidence=Evidence.EXACT)
