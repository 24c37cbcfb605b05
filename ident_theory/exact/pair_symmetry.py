"""Affine symmetries of networks, decided on their first two layers, for the checks of pairs.

Written for the verifier alone: nothing here is used where pairs are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ident_theory.exact.pair_trees import Matrix, Network, Row, dot, moved, times, transposed


@dataclass(frozen=True)
class Folded:
    r"""A map :math:`a^T z + c + \sum_H k_H |n_H^T z + d_H|`; the same for equal maps.

    Attributes
    ----------
    linear : tuple of m Fraction
    constant : Fraction
    kinks : frozenset of ((n, d), k)
        Normals with 1 as first non-zero entry, k not zero.
    """

    linear: Row
    constant: Fraction
    kinks: frozenset[tuple[tuple[Row, Fraction], Fraction]]


def folded(net: Network) -> list[Folded]:
    """What enters the second layer of units (for two affine layers: the values), coordinate by coordinate."""
    first, shift = net.weights[0], net.biases[0]
    if len(net.weights) == 1:
        return [Folded(r, b, frozenset()) for r, b in zip(first, shift, strict=True)]
    return [_folded_sum(first, shift, out, b, net.slope)
            for out, b in zip(net.weights[1], net.biases[1], strict=True)]


def _folded_sum(first: Matrix, shift: Row, out: Row, bias: Fraction, slope: Fraction) -> Folded:
    linear, constant = [Fraction(0)] * len(first[0]), bias
    kinks: dict[tuple[Row, Fraction], Fraction] = {}
    for w, normal, offset in zip(out, first, shift, strict=True):
        half_sum, half_gap = w * (1 + slope) / 2, w * (1 - slope) / 2
        linear = [a + half_sum * n for a, n in zip(linear, normal, strict=True)]
        constant += half_sum * offset
        lead = next((n for n in normal if n), None)
        if lead is None:
            constant += half_gap * abs(offset)
        else:
            plane = (tuple(n / lead for n in normal), offset / lead)
            kinks[plane] = kinks.get(plane, Fraction(0)) + half_gap * abs(lead)
    return Folded(tuple(linear), constant, frozenset((plane, k) for plane, k in kinks.items() if k))


def is_invariant(net: Network, a: Matrix, shift: Row) -> bool:
    r"""Whether f(a z + shift) = f(z) for all z; True is a proof.

    The first two layers are compared as functions; beyond them the units may change places, if the layers that
    follow undo it. For one or two affine layers False is a proof, too.
    """
    changed = Network((times(net.weights[0], a), *net.weights[1:]),
                      (moved(net.weights[0], net.biases[0], shift), *net.biases[1:]), net.slope)
    order = _places(folded(net), folded(changed))
    for layer in range(2, len(net.weights)):
        if order is None:
            return False
        rows = list(zip(net.weights[layer], net.biases[layer], strict=True))
        order = _places(rows, [(tuple(_undone(w, order)), b) for w, b in rows])
    return order is not None and order == list(range(len(order)))


def _undone(weights: Row, order: list[int]) -> list[Fraction]:
    """Weights on units that changed places, as weights on those in the old places."""
    out = [Fraction(0)] * len(weights)
    for place, w in zip(order, weights, strict=True):
        out[place] = w
    return out


def _places(old: Sequence[object], new: Sequence[object]) -> list[int] | None:
    """Where each new item stands among the old ones, equal ones in turn; None unless the lists hold the same."""
    free = list(range(len(old)))
    order = []
    for item in new:
        place = next((i for i in free if old[i] == item), None)
        if place is None:
            return None
        free.remove(place)
        order.append(place)
    return order


def ignores(net: Network, direction: Row) -> bool:
    """Whether f(z + t direction) = f(z) for all z and t; True is a proof.

    Only units of the second layer from which a path of non-zero weights leads to x are asked.
    """
    if len(net.weights) == 1:
        return not any(dot(r, direction) for r in net.weights[0])
    live = [True] * len(net.weights[-1])
    for w in net.weights[:1:-1]:
        live = [any(v and alive for v, alive in zip(column, live, strict=True)) for column in transposed(w)]
    return all(not dot(form.linear, direction) and not any(dot(n, direction) for (n, _), _ in form.kinks)
               for form, alive in zip(folded(net), live, strict=True) if alive)
