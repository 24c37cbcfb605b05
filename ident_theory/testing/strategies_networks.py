"""Hypothesis strategies for ReLU networks."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ident_theory.errors import InputError
from ident_theory.models import ReLUNetwork
from ident_theory.testing import options
from ident_theory.testing.options import Span
from ident_theory.testing.small_numbers import extreme_rationals, powers, rationals, table, whole_numbers

#: Slopes of the activation below zero: ReLU, leaky, the identity, an absolute value, and one that is steeper there.
SLOPES = (Fraction(0), Fraction(0), Fraction(1, 2), Fraction(1), Fraction(-1), Fraction(2))
_FLOAT_SLOPES = (Fraction(0), Fraction(0), Fraction(0.01), Fraction(0.2), Fraction(-1), Fraction(1))


def relu_networks(latent_dim: Span = 1, observed_dim: Span = 1, depth: Span = (0, 3), width: Span = (1, 4),
                  negative_slope: Any = None, *, hidden: int | None = None, degenerate: bool = True,
                  exact: bool = True) -> st.SearchStrategy[ReLUNetwork]:
    """ReLU networks, also leaky, folding (slope -1) and linear (slope 1) ones.

    Parameters
    ----------
    latent_dim, observed_dim : int or (int, int)
        Numbers m and n, or the least and the largest.
    depth : int or (int, int)
        Hidden layers, one less than `ReLUNetwork.depth`: with 0 the network is an affine map.
    width : int or (int, int)
        Units of a hidden layer.
    negative_slope : number or sequence of numbers, optional
        Of the activation below zero, or several to choose from.
    hidden : int, optional
        Largest number of hidden units in all layers together; further layers are left out.
    degenerate : bool
        Make dead, doubled, opposite, cancelling and unread units, layers of rank one and units that all fold at the
        origin common. Without it they may still occur by chance.
    exact : bool
        Whole numbers up to two mostly, small rationals and extreme ones now and then; or floats of many sizes.

    Raises
    ------
    InputError
        For arguments that are none of these.
    """
    where = "relu_networks"
    most = None if hidden is None else options.whole(where, "hidden", hidden, 0)
    exact, degenerate = options.flag(where, "exact", exact), options.flag(where, "degenerate", degenerate)
    slopes = options.slopes(where, negative_slope, SLOPES if exact else _FLOAT_SLOPES)
    layers, units = options.span(where, "depth", depth, 0), options.span(where, "width", width, 1)
    if most is not None and most < layers[0] * units[0]:
        raise InputError(f"{where}: hidden: expected at least {layers[0] * units[0]} for depth={depth!r} and "
                         f"width={width!r}, found {hidden!r}")
    return _networks(options.span(where, "latent_dim", latent_dim, 1),
                     options.span(where, "observed_dim", observed_dim, 1), layers, units, slopes, most, degenerate,
                     exact)


@cache
@st.composite
def _networks(draw: st.DrawFn, dims: tuple[int, int], outputs: tuple[int, int], depth: tuple[int, int],
              width: tuple[int, int], slopes: tuple[Fraction, ...], most: int | None, degenerate: bool,
              exact: bool) -> ReLUNetwork:
    widths = [draw(st.integers(*dims))]
    for _ in range(draw(st.integers(*depth))):
        left = width[1] if most is None else min(width[1], most - sum(widths[1:]))
        if left < width[0]:
            break
        widths.append(draw(st.integers(width[0], left)))
    widths.append(draw(st.integers(*outputs)))
    if not exact:
        return _float_network(draw, widths, slopes, degenerate)
    size = draw(st.sampled_from(("unit", "unit", "whole", "rational", "extreme")))
    entry = {"unit": whole_numbers(1), "whole": whole_numbers(2),
             "rational": rationals(), "extreme": extreme_rationals()}[size]
    weights = [table(draw, entry, b, a) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    biases = [table(draw, entry, 1, b)[0] for b in widths[1:]]
    if degenerate and len(widths) > 2:
        _spoil(draw, weights, biases, entry)
    return ReLUNetwork(weights, biases, draw(st.sampled_from(slopes)))


def _spoil(draw: st.DrawFn, weights: list[Any], biases: list[Any], entry: st.SearchStrategy[Fraction]) -> None:
    """Make one hidden layer degenerate, about half of the time."""
    kind = draw(st.sampled_from(("none", "none", "none", "dead", "doubled", "opposite", "cancelling", "unread", "rank",
                                 "through the origin")))
    layer = draw(st.integers(0, len(weights) - 2))
    rows, bias, after = weights[layer], biases[layer], weights[layer + 1]
    i = draw(st.integers(0, len(rows) - 1))
    other = (i + 1) % len(rows)
    if kind == "dead":
        rows[i] = [Fraction(0)] * len(rows[i])
    elif kind in ("doubled", "opposite", "cancelling") and other != i:
        sign = -1 if kind == "opposite" else 1
        rows[other], bias[other] = [sign * v for v in rows[i]], sign * bias[i]
        if kind == "cancelling":
            for row in after:
                row[other] = -row[i]
    elif kind == "unread":
        for row in after:
            row[i] = Fraction(0)
    elif kind == "rank":
        weights[layer] = [[factor * v for v in rows[0]] for factor in (draw(entry) for _ in rows)]
    elif kind == "through the origin":
        biases[layer] = [Fraction(0)] * len(bias)


def _float_network(draw: st.DrawFn, widths: list[int], slopes: tuple[Fraction, ...], degenerate: bool) -> ReLUNetwork:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = draw(powers(-3, 3))
    weights = [rng.normal(size=(b, a)) * (first if k == 0 else 1.0)
               for k, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))]
    biases = [rng.normal(size=b) for b in widths[1:]]
    if degenerate and len(widths) > 2:
        if draw(st.booleans()):
            weights[0][0] = 0.0
        if draw(st.booleans()):
            weights[-1][:, 0] = 0.0
    return ReLUNetwork(weights, biases, draw(st.sampled_from(slopes)))
