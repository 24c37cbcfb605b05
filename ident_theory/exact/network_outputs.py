"""Proofs about some outputs of a network that say the same about all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from ident_theory.exact.network_linear import index, numbers, rank, reject

Tree = Mapping[str, Any]
Check = Callable[[Tree, Tree], None]


def about_outputs(check: Check) -> Check:
    """A check that also accepts the key ``outputs``, the outputs of the network that its data is about.

    The rows of the last layer of all outputs must be combinations of the rows of these. Then f is an affine map of
    the network with these outputs alone, and f determines them; so two points have equal values under both or under
    neither, and the images are carried into each other by an affine bijection: F2, F3 and F4 are the same.
    """
    @wraps(check)
    def run(model: Tree, data: Tree) -> None:
        if "outputs" not in data:
            check(model, data)
            return
        check({**model, "decoder": _reduced(model["decoder"], data["outputs"])},
              {key: value for key, value in data.items() if key != "outputs"})

    return run


def _reduced(decoder: Tree, outputs: Any) -> Tree:
    """The network with the named outputs alone."""
    if decoder["type"] != "relu_network" or not isinstance(outputs, list | tuple) or not outputs:
        reject("outputs: expected a network and a list of its outputs")
    *weights, last = decoder["weights"]
    *biases, shifts = decoder["biases"]
    chosen = [index(k, len(last), "outputs") for k in outputs]
    if len(set(chosen)) != len(chosen):
        reject("outputs: expected each output once")
    rows = [numbers(row, len(last[0]), "weights") for row in last]
    if rank(rows, len(rows[0])) != rank([rows[k] for k in chosen], len(rows[0])):
        reject("outputs: the other outputs are no combinations of these")
    return {**decoder, "weights": [*weights, [last[k] for k in chosen]],
            "biases": [*biases, [shifts[k] for k in chosen]]}
