"""Values of decoders at rational points, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flint import fmpq, fmpq_mat

from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import REMEMBERED, line_pieces
from ident_theory.geometry.linear_programs import Point
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap


def exact_values(decoder: ReLUNetwork | PiecewiseAffineMap, points: Sequence[Point]) -> list[Point]:
    """f(z) for each of the points, in rationals.

    Parameters
    ----------
    decoder : ReLUNetwork or PiecewiseAffineMap
    points : sequence of lists of m fmpq

    Returns
    -------
    list of lists of n fmpq
    """
    if isinstance(decoder, PiecewiseAffineMap):
        pieces = line_pieces(decoder)
        places = [next(k for k in range(pieces.n_pieces) if pieces.contains(k, z)) for (z,) in points]
        return [list(pieces.value(k, z)) for k, (z,) in zip(places, points, strict=True)]
    if not points:
        return []
    slope = rational(decoder.negative_slope_exact)
    values = _columns(points)
    for layer, (weights, bias) in enumerate(_layers(decoder)):
        values = weights * values
        rows = values.tolist()
        for i, (row, b) in enumerate(zip(rows, bias, strict=True)):
            rows[i] = [v + b for v in row]
            if layer < decoder.depth - 1:
                rows[i] = [v if v > 0 else slope * v for v in rows[i]]
        values = fmpq_mat(rows)
    return [list(column) for column in zip(*values.tolist(), strict=True)]


def _columns(points: Sequence[Point]) -> fmpq_mat:
    return fmpq_mat([list(row) for row in zip(*points, strict=True)])


@lru_cache(REMEMBERED)
def _layers(network: ReLUNetwork) -> tuple[tuple[fmpq_mat, list[fmpq]], ...]:
    return tuple((fmpq_mat([[rational(v) for v in row] for row in w]), [rational(v) for v in b])
                 for w, b in zip(network.weights_exact, network.biases_exact, strict=True))
