"""ReLU networks with small whole numbers: zero units, copies, parallel rows and collisions are common on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import strategies as st

from ident_theory import ReLUNetwork
from ident_theory.testing.strategies_networks import SLOPES


def with_numbers(widths: Sequence[int], number: Callable[[], Any], slope: Any = 0) -> ReLUNetwork:
    """A network of given widths, its entries drawn one by one."""
    return ReLUNetwork([[[number() for _ in range(a)] for _ in range(b)] for a, b in pairwise(widths)],
                       [[number() for _ in range(b)] for b in widths[1:]], slope)


def random_network(rng: Random, widths: Sequence[int], largest: int = 2, slope: Any = 0) -> ReLUNetwork:
    """A network with whole entries of at most a given size."""
    return with_numbers(widths, lambda: rng.randint(-largest, largest), slope)


def random_widths(rng: Random, depth: int, m: int, most: int, hidden: int) -> list[int]:
    """Widths of `depth` layers from m to `most`, with at most `hidden` hidden units in total."""
    while True:
        widths = [m, *(rng.randint(min(m, most), most) for _ in range(depth))]
        if sum(widths[1:-1]) <= hidden:
            return widths


@st.composite
def small_networks(draw: Any, m: int | None = None, n: int | None = None, hidden: int = 7,
                   slopes: Sequence[Any] = SLOPES, least: int = 1) -> ReLUNetwork:
    """Networks of m <= 3 latents with at most `hidden` hidden units in one to three layers.

    With a rare plain affine map, repeated rows and rows of zeros.
    """
    m = m or draw(st.integers(1, 3))
    layers = draw(st.sampled_from([0, 1, 1, 2, 2, 3]))
    widths, left = [m], hidden
    for k in range(layers):
        low = min(max(m, least), left - (layers - 1 - k) * max(m, least))
        if low < max(m, least):
            break
        widths.append(draw(st.integers(low, max(low, min(5, left - (layers - 1 - k) * max(m, least))))))
        left -= widths[-1]
    widths.append(n or draw(st.integers(max(1, m - (not draw(st.integers(0, 5)))), 4)))
    size = draw(st.sampled_from([1, 1, 2]))
    net = with_numbers(widths, lambda: draw(st.integers(-size, size)), draw(st.sampled_from(slopes)))
    kind = draw(st.sampled_from(["plain", "plain", "plain", "repeated row", "zero row", "opposite row"]))
    if kind == "plain" or widths[1] < 2:
        return net
    weights, biases = [w.tolist() for w in net.weights_exact], [b.tolist() for b in net.biases_exact]
    if kind == "repeated row":
        weights[0][1], biases[0][1] = weights[0][0], biases[0][0]
    elif kind == "zero row":
        weights[0][0], biases[0][0] = [0] * m, draw(st.integers(-1, 1))
    else:
        weights[0][1] = [-v for v in weights[0][0]]
    return ReLUNetwork(weights, biases, net.negative_slope_exact)
