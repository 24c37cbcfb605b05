"""A search for two points of a box with the same value, by mixed integer programming; what it finds is then proved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory.exact.rationals import rational
from ident_theory.geometry.flat_cells import flat_pair
from ident_theory.geometry.images import Collision, Piece, collision
from ident_theory.geometry.linear_programs import Point, interior
from ident_theory.geometry.local import cell_around
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.value import FloatArray
from ident_theory.numerics import Stopwatch

#: Half the side of the smallest box that is searched.
SMALLEST_BOX = Fraction(8)
#: Differences below this share of the box are beneath the tolerances of the solver.
LEAST_DIFFERENCE = 1e-3
#: Seconds left below which the search is not begun.
LEAST_TIME = 0.5


@dataclass
class BoxSearch:
    """A search that found no proven collision: what it covered, in words and as plain JSON."""

    text: str
    details: dict[str, Any] = field(default_factory=dict)


def collision_in_box(network: ReLUNetwork, clock: Stopwatch) -> Collision | BoxSearch:
    r"""Look for two points of a box :math:`[-B, B]^m` with equal values, one coordinate of the difference at a time.

    A solution of HiGHS is a proposal: its activation patterns are fixed and the collision is solved in rationals.
    An answer "none" is a statement of the solver, not a proof. What is proved is how far the box reaches: without
    biases in the hidden layers f is positively homogeneous but for a constant, so a collision anywhere can be scaled
    into the box; otherwise every border of a unit of the first layer passes through it.
    """
    if clock.left < LEAST_TIME:
        return BoxSearch("No time was left to search a box by integer programming.")
    half = _half_width(network)
    homogeneous = not any(v for b in network.biases_exact[:-1] for v in b)
    covers = "f is positively homogeneous up to a constant, so the box stands for all of R^m (proved)" if homogeneous \
        else "every border of a unit of the first layer that is no constant passes through the box (proved)"
    problem = _Problem(network, float(half))
    searched, tried = 0, 0
    for k in range(network.latent_dim):
        answer = problem.largest_difference(k, clock.left / (network.latent_dim - k))
        if answer is None:
            continue
        size, pair = answer
        if pair is not None and size > LEAST_DIFFERENCE * float(half):
            tried += 1
            found = _proved(network, *pair)
            if found is not None:
                return found
        elif pair is not None:
            searched += 1
    details = {"box": str(half), "covers": covers, "least_difference": LEAST_DIFFERENCE * float(half),
               "coordinates_searched": searched, "proposals_not_confirmed": tried}
    if searched == network.latent_dim:
        text = (f"HiGHS finds no two points of [-{half}, {half}]^{network.latent_dim} with equal values that differ by "
                f"more than {LEAST_DIFFERENCE * float(half):g} (tolerances 1e-6, no proof); {covers}.")
    else:
        text = (f"Integer programming over [-{half}, {half}]^{network.latent_dim} settled {searched} of "
                f"{network.latent_dim} coordinates of the difference; {covers}.")
    return BoxSearch(text, details)


def _half_width(network: ReLUNetwork) -> Fraction:
    """Half a side with every hyperplane of the first layer through the box: |b| <= B |w|_1."""
    reach = [abs(b) / total for row, b in zip(network.weights_exact[0], network.biases_exact[0], strict=True)
             if (total := sum((abs(v) for v in row), Fraction(0)))]
    return max([SMALLEST_BOX, *(Fraction(2) ** int(r).bit_length() * 2 for r in reach)])


class _Problem:
    """Two copies of the network over a box, with one binary a unit whose sign is not settled by interval bounds."""

    def __init__(self, network: ReLUNetwork, half: float) -> None:
        from scipy.sparse import lil_matrix

        m = network.latent_dim
        rows: list[tuple[dict[int, float], float, float]] = []
        low, high = [-half] * (2 * m), [half] * (2 * m)
        integral = [0] * (2 * m)

        def variable(lo: float, hi: float, binary: bool = False) -> int:
            low.append(lo)
            high.append(hi)
            integral.append(int(binary))
            return len(low) - 1

        outputs: list[list[tuple[dict[int, float], float]]] = []
        slope = network.negative_slope
        for copy in range(2):
            # A value is an affine expression of variables; its range comes from interval arithmetic.
            values = [({copy * m + i: 1.0}, 0.0) for i in range(m)]
            ranges = [(-half, half)] * m
            for layer, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
                sums = [_combined(row, values, bias) for row, bias in zip(w, b, strict=True)]
                bounds = [_interval(row, ranges, bias) for row, bias in zip(w, b, strict=True)]
                if layer == network.depth - 1:
                    outputs.append(sums)
                    break
                values, ranges = [], []
                for expression, (lo, hi) in zip(sums, bounds, strict=True):
                    if lo >= 0 or hi <= 0:
                        factor = 1.0 if lo >= 0 else slope
                        values.append(({k: factor * v for k, v in expression[0].items()}, factor * expression[1]))
                    else:
                        values.append(_activated(expression, lo, hi, slope, variable, rows))
                    ends = [t if t > 0 else slope * t for t in (lo, hi)] + [0.0] * (lo < 0 < hi)
                    ranges.append((min(ends), max(ends)))
        for (a, c), (b_, d) in zip(*outputs, strict=True):
            row = dict(a)
            for k, v in b_.items():
                row[k] = row.get(k, 0.0) - v
            rows.append((row, d - c, d - c))
        matrix = lil_matrix((len(rows), len(low)))
        for r, (entries, _, _) in enumerate(rows):
            for k, v in entries.items():
                matrix[r, k] = v
        self.m = m
        self.matrix = matrix.tocsr()
        self.sides = np.array([[lo, hi] for _, lo, hi in rows])
        self.low, self.high, self.integral = np.array(low), np.array(high), np.array(integral)

    def largest_difference(self, k: int, seconds: float) -> tuple[float, tuple[FloatArray, FloatArray] | None] | None:
        """The largest z_k - z'_k among points with equal values, and such a pair; None when nothing was settled."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        if seconds < LEAST_TIME:
            return None
        objective = np.zeros(len(self.low))
        objective[k], objective[self.m + k] = -1.0, 1.0
        result = milp(objective, integrality=self.integral, bounds=Bounds(self.low, self.high),
                      constraints=LinearConstraint(self.matrix, self.sides[:, 0], self.sides[:, 1]),
                      options={"time_limit": seconds})
        if result.x is None:
            return None
        difference = float(-result.fun)
        if result.status != 0 and difference <= LEAST_DIFFERENCE * float(self.high[0]):
            return None
        return difference, (result.x[:self.m], result.x[self.m:2 * self.m])


def _combined(row: FloatArray, values: list[tuple[dict[int, float], float]],
              bias: float) -> tuple[dict[int, float], float]:
    """An affine combination of affine expressions."""
    total: dict[int, float] = {}
    constant = float(bias)
    for weight, (terms, shift) in zip(row, values, strict=True):
        if weight:
            constant += weight * shift
            for k, v in terms.items():
                total[k] = total.get(k, 0.0) + weight * v
    return total, constant


def _interval(row: FloatArray, ranges: list[tuple[float, float]], bias: float) -> tuple[float, float]:
    lows, highs = np.array(ranges).T
    return (float(np.where(row > 0, row * lows, row * highs).sum() + bias),
            float(np.where(row > 0, row * highs, row * lows).sum() + bias))


def _activated(expression: tuple[dict[int, float], float], lo: float, hi: float, slope: float, variable: Any,
               rows: list[tuple[dict[int, float], float, float]]) -> tuple[dict[int, float], float]:
    """slope h + (1 - slope) r with r = max(h, 0) tied to h by a binary."""
    terms, shift = expression
    r, d = variable(0.0, hi), variable(0.0, 1.0, True)
    minus = {k: -v for k, v in terms.items()}
    rows.append(({**minus, r: 1.0}, shift, np.inf))  # r >= h
    rows.append(({r: 1.0, d: -hi}, -np.inf, 0.0))  # r <= hi d
    rows.append(({**minus, r: 1.0, d: -lo}, -np.inf, shift - lo))  # r <= h - lo (1 - d)
    return {**{k: slope * v for k, v in terms.items()}, r: 1.0 - slope}, slope * shift


def _proved(network: ReLUNetwork, z: FloatArray, other: FloatArray) -> Collision | None:
    """A collision in the closed cells around two proposed points, solved in rationals."""
    cells = [cell_around(network, _rounded(point)) for point in (z, other)]
    flat = [cell for cell in cells if cell.rank < network.latent_dim]
    for cell in flat:
        inside = interior(cell.constraints, network.latent_dim).point
        if inside is not None:
            return Collision(*flat_pair(replace(cell, point=inside)))
    if flat:
        return None
    found = collision(Piece(cells[0]), Piece(cells[1]))
    return found if isinstance(found, Collision) else None


def _rounded(point: FloatArray) -> Point:
    """A proposed point in short rationals."""
    return [rational(v) for v in (Fraction(float(x)).limit_denominator(10**9) for x in point)]
