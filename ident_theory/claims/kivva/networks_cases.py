"""Networks for the claims of Appendix H: how they are drawn, and what decides about them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from hypothesis import strategies as st

from ident_theory.claims.matrices import rank
from ident_theory.claims.shown import show_models
from ident_theory.conditions.decoder import decoder_findings
from ident_theory.exact.rationals import rational
from ident_theory.geometry.cells import CellWalk
from ident_theory.geometry.linear_programs import interior
from ident_theory.models import GaussianMixture, Model, ReLUNetwork
from ident_theory.numerics import Status, Stopwatch

#: Entries of weights and biases: small whole numbers first, halves at last.
ENTRIES = [Fraction(v) for v in (0, 1, -1, 2, -2)] + [Fraction(1, 2), Fraction(-3, 2)]
#: Seconds after which a decision about one network is left open.
BUDGET = 5.0


def is_injective_layer(matrix: Any) -> bool:
    """Whether the columns are linearly independent."""
    return rank(matrix.tolist()) == matrix.shape[1]


def widths_of(network: ReLUNetwork) -> list[int]:
    """n_0, ..., n_t."""
    return [network.latent_dim, *(len(w) for w in network.weights_exact)]


def has_growing_widths(network: ReLUNetwork) -> bool:
    """n_0 <= n_1 <= ... <= n_t."""
    widths = widths_of(network)
    return all(a <= b for a, b in zip(widths, widths[1:], strict=False))


def has_full_dimension(network: ReLUNetwork) -> bool:
    """Whether the image has dimension m: some cell has a matrix of rank m."""
    return any(cell.rank == network.latent_dim for cell in CellWalk(network))


def decided(network: ReLUNetwork, condition: str) -> bool | None:
    """F2, F3 or F4 from all cells and their images, never from the layers; the proof is verified."""
    finding = decoder_findings(network, Stopwatch(BUDGET), shortcuts=False)[condition]
    if finding.status is Status.UNKNOWN:
        return None
    finding.verify({"decoder": network.plain()})
    return finding.status is Status.HOLDS


def evaluate(network: ReLUNetwork, z: Sequence[Fraction]) -> list[Fraction]:
    """f(z) in fractions, by the definition."""
    hidden = list(z)
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        hidden = [sum((a * h for a, h in zip(row, hidden, strict=True)), Fraction(0)) + c
                  for row, c in zip(w, b, strict=True)]
        if layer < network.depth - 1:
            hidden = [h if h > 0 else network.negative_slope_exact * h for h in hidden]
    return hidden


def shown(network: ReLUNetwork) -> str:
    """A network as a model file, with a standard normal latent."""
    m = network.latent_dim
    return show_models(model=Model(GaussianMixture([1], [[0] * m], [np.eye(m, dtype=int).tolist()]), network))


@st.composite
def networks(draw: Any, shapes: Sequence[Sequence[int]], slopes: Sequence[Any] = (0,),
             entries: Sequence[Fraction] = ENTRIES) -> ReLUNetwork:
    """A network of one of these shapes, zero, equal and opposite units among its units."""
    widths = draw(st.sampled_from(list(shapes)))
    number = st.sampled_from(list(entries))
    weights = []
    for a, b in zip(widths, widths[1:], strict=False):
        rows = [draw(st.lists(number, min_size=a, max_size=a)) for _ in range(b)]
        if b > 1 and draw(st.integers(0, 3)) == 0:
            rows[-1] = [draw(st.sampled_from([0, 1, -1, 2])) * v for v in rows[0]]
        weights.append(rows)
    biases = [draw(st.lists(number, min_size=b, max_size=b)) for b in widths[1:]]
    return ReLUNetwork(weights, biases, draw(st.sampled_from(list(slopes))))


def spans_everywhere(weights: Any, biases: Any) -> bool:
    """Whether at every point x the rows with a preactivation w x + b >= 0 span the inputs.

    They fail to at a point exactly when all rows outside some subspace are negative there at once; the subspaces that
    matter are spanned by rows. Decided by rational linear programs.
    """
    rows = [[rational(v) for v in row] for row in weights]
    shifts = [rational(v) for v in biases]
    d = len(rows[0])
    for outside in _outside_of_subspaces(rows, d):
        constraints = [[*(-v for v in rows[i]), -shifts[i]] for i in outside]
        if interior(constraints, d).point is not None:
            return False
    return True


def _outside_of_subspaces(rows: list[list[fmpq]], d: int) -> list[list[int]]:
    """For every proper subspace spanned by rows, the rows outside it."""
    def span(chosen: list[int]) -> int:
        return int(fmpq_mat(len(chosen), d, [v for i in chosen for v in rows[i]]).rank()) if chosen else 0

    found: set[tuple[int, ...]] = set()

    def grow(chosen: list[int]) -> None:
        r = span(chosen)
        if r == d:
            return
        found.add(tuple(i for i in range(len(rows)) if span([*chosen, i]) > r))
        for i in range(chosen[-1] + 1 if chosen else 0, len(rows)):
            if span([*chosen, i]) > r:
                grow([*chosen, i])

    grow([])
    return [list(item) for item in found]


def with_two_activations(network: ReLUNetwork, slopes: Sequence[Sequence[Fraction]]) -> ReLUNetwork:
    """The network whose hidden units have these slopes on the negative half line, written with its one slope a.

    s_c(t) = p s_a(t) + q s_a(-t) with q = (c - a) / (a^2 - 1) and p = 1 + a q, so every unit becomes two.
    """
    a = network.negative_slope_exact
    weights, biases = [], []
    mix: Any = None
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        rows = w if mix is None else w @ mix
        if layer == network.depth - 1:
            weights.append(rows.tolist())
            biases.append(b.tolist())
            break
        weights.append(np.concatenate([rows, -rows]).tolist())
        biases.append(np.concatenate([b, -b]).tolist())
        q = [(c - a) / (a * a - 1) for c in slopes[layer]]
        width = len(w)
        mix = np.full((width, 2 * width), Fraction(0), dtype=object)
        for i in range(width):
            mix[i, i], mix[i, width + i] = 1 + a * q[i], q[i]
    return ReLUNetwork(weights, biases, a)
