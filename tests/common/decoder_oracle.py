"""Injectivity of small ReLU networks by other routes: all sign patterns one by one, and z3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from ident_theory import ReLUNetwork

Vector = list[Fraction]


def evaluate(network: ReLUNetwork, z: Sequence[Fraction]) -> Vector:
    """f(z) in fractions, layer by layer."""
    hidden = list(z)
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        hidden = [sum((a * h for a, h in zip(row, hidden, strict=True)), Fraction(0)) + c
                  for row, c in zip(w, b, strict=True)]
        if layer < network.depth - 1:
            hidden = [h if h > 0 else network.negative_slope_exact * h for h in hidden]
    return hidden


def affine_maps(network: ReLUNetwork) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The affine map of every one of the 2^H sign patterns, whether it occurs or not."""
    widths = [w.shape[0] for w in network.weights_exact[:-1]]
    for signs in product((True, False), repeat=sum(widths)):
        a = np.array([[Fraction(int(i == j)) for j in range(network.latent_dim)] for i in range(network.latent_dim)])
        c = np.array([Fraction(0)] * network.latent_dim)
        place = 0
        for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
            a, c = w.dot(a), w.dot(c) + b
            if layer < network.depth - 1:
                scale = [Fraction(1) if s else network.negative_slope_exact for s in signs[place:place + len(c)]]
                place += len(c)
                a, c = a * np.array(scale)[:, None], c * np.array(scale)
        yield a, c


def solve(a: np.ndarray, x: Vector) -> Vector | None:
    """The solution of a z = x where the columns of a are independent; None without one or with several."""
    rows = [[*row, v] for row, v in zip(a.tolist(), x, strict=True)]
    columns, rank = a.shape[1], 0
    for j in range(columns):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][j]), None)
        if pivot is None:
            return None
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        rows[rank] = [v / rows[rank][j] for v in rows[rank]]
        for i in range(len(rows)):
            if i != rank and rows[i][j]:
                factor = rows[i][j]
                rows[i] = [v - factor * u for v, u in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    if any(row[columns] for row in rows[rank:]):
        return None
    return [row[columns] for row in rows[:rank]]


def preimages(network: ReLUNetwork, x: Vector, maps: Sequence[tuple[np.ndarray, np.ndarray]]) -> set[tuple[Any, ...]]:
    """Preimages of a value that lie in cells of full rank: solve for every pattern, keep what f maps to x."""
    found = set()
    for a, c in maps:
        z = solve(a, [v - u for v, u in zip(x, c, strict=True)])
        if z is not None and evaluate(network, z) == x:
            found.add(tuple(z))
    return found


def collides(network: ReLUNetwork, timeout_ms: int = 10_000) -> bool | None:
    """Whether two different points share a value, by z3; None when it gives up."""
    import z3

    solver = _solver(timeout_ms)
    points = [[z3.Real(f"{name}{i}") for i in range(network.latent_dim)] for name in "zy"]
    values = [_outputs(solver, network, point, f"h{p}") for p, point in enumerate(points)]
    solver.add(*[a == b for a, b in zip(*values, strict=True)])
    solver.add(z3.Or(*[a != b for a, b in zip(*points, strict=True)]))
    return _answer(solver)


def differ(f: ReLUNetwork, g: ReLUNetwork, timeout_ms: int = 10_000) -> bool | None:
    """Whether two networks have different values at some point, by z3; None when it gives up."""
    import z3

    solver = _solver(timeout_ms)
    z = [z3.Real(f"z{i}") for i in range(f.latent_dim)]
    values = [_outputs(solver, network, z, name) for network, name in ((f, "f"), (g, "g"))]
    solver.add(z3.Or(*[a != b for a, b in zip(*values, strict=True)]))
    return _answer(solver)


def _solver(timeout_ms: int) -> Any:
    import z3

    solver = z3.Solver()
    solver.set("timeout", timeout_ms)
    return solver


def _outputs(solver: Any, network: ReLUNetwork, z: Sequence[Any], prefix: str) -> list[Any]:
    """The values of a network at a point of unknowns; hidden units become unknowns with these names."""
    import z3

    def number(value: Fraction) -> Any:
        return z3.Q(value.numerator, value.denominator)

    hidden: list[Any] = list(z)
    for layer, (w, b) in enumerate(zip(network.weights_exact, network.biases_exact, strict=True)):
        hidden = [z3.Sum([number(v) * h for v, h in zip(row, hidden, strict=True)]) + number(c)
                  for row, c in zip(w, b, strict=True)]
        if layer < network.depth - 1:
            fresh = [z3.Real(f"{prefix}_{layer}_{i}") for i in range(len(hidden))]
            for name, h in zip(fresh, hidden, strict=True):
                solver.add(name == z3.If(h > 0, h, number(network.negative_slope_exact) * h))
            hidden = list(fresh)
    return hidden


def _answer(solver: Any) -> bool | None:
    import z3

    answer = solver.check()
    return None if answer == z3.unknown else answer == z3.sat
