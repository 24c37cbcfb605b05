"""The affine pieces of a decoder of one latent variable, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from flint import fmpq

from ident_theory.errors import InputError
from ident_theory.exact.rationals import rational
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap

Vector = tuple[fmpq, ...]


@dataclass(frozen=True)
class LinePieces:
    r"""A piecewise affine map of the line, :math:`f(z) = a_k z + c_k` for :math:`t_{k-1} \le z < t_k`.

    Neighbouring pieces differ, so the description is canonical: two maps are equal exactly when their
    `LinePieces` are.

    Attributes
    ----------
    breakpoints : tuple of fmpq, length K - 1
    slopes, intercepts : tuple of K tuples of n fmpq
    """

    breakpoints: tuple[fmpq, ...]
    slopes: tuple[Vector, ...]
    intercepts: tuple[Vector, ...]

    @property
    def n_pieces(self) -> int:
        """Number of pieces K."""
        return len(self.slopes)

    @property
    def observed_dim(self) -> int:
        """Dimension n of the image space."""
        return len(self.slopes[0])

    def ends(self, k: int) -> tuple[fmpq | None, fmpq | None]:
        """Left and right end of piece `k`; None where it is unbounded."""
        left = self.breakpoints[k - 1] if k > 0 else None
        right = self.breakpoints[k] if k < len(self.breakpoints) else None
        return left, right

    def contains(self, k: int, z: fmpq) -> bool:
        """Whether `z` belongs to piece `k`; a breakpoint belongs to the piece on its right."""
        left, right = self.ends(k)
        return (left is None or left <= z) and (right is None or z < right)

    def value(self, k: int, z: fmpq) -> Vector:
        """The affine map of piece `k` at `z`."""
        return tuple(a * z + c for a, c in zip(self.slopes[k], self.intercepts[k], strict=True))

    def is_flat(self, k: int) -> bool:
        """Whether the map is constant on piece `k`."""
        return not any(self.slopes[k])


#: Models are values, so what follows from one is worked out once; a landscape asks for its truth at every point.
REMEMBERED = 64


@lru_cache(REMEMBERED)
def line_pieces(decoder: ReLUNetwork | PiecewiseAffineMap) -> LinePieces:
    """Split the line into the maximal intervals on which a decoder with m = 1 is affine.

    Runs layer by layer in rationals: on each interval every hidden unit is affine, so its sign changes at
    one rational point at most. Cost: pieces x weights.

    Raises
    ------
    InputError
        When the decoder has more than one latent.
    """
    if decoder.latent_dim != 1:
        raise InputError(f"line_pieces: expected a decoder with one latent, got latent_dim={decoder.latent_dim}")
    if isinstance(decoder, PiecewiseAffineMap):
        breaks = [rational(t) for t in decoder.breakpoints_exact]
        slopes = [tuple(rational(v) for v in row) for row in decoder.slopes_exact]
        intercepts = [tuple(rational(v) for v in row) for row in decoder.intercepts_exact]
    else:
        breaks, slopes, intercepts = _network_pieces(decoder)
    return _merged(breaks, slopes, intercepts)


def _network_pieces(network: ReLUNetwork) -> tuple[list[fmpq], list[Vector], list[Vector]]:
    breaks: list[fmpq] = []
    slopes: list[Vector] = [(fmpq(1),)]
    intercepts: list[Vector] = [(fmpq(0),)]
    negative = rational(network.negative_slope_exact)
    for layer in range(network.depth):
        rows = [[rational(v) for v in row] for row in network.weights_exact[layer]]
        bias = [rational(v) for v in network.biases_exact[layer]]
        slopes = [tuple(dot(row, a) for row in rows) for a in slopes]
        intercepts = [tuple(dot(row, c) + b for row, b in zip(rows, bias, strict=True)) for c in intercepts]
        if layer < network.depth - 1:
            breaks, slopes, intercepts = _activate(breaks, slopes, intercepts, negative)
    return breaks, slopes, intercepts


def dot(row: Sequence[fmpq], vector: Sequence[fmpq]) -> fmpq:
    """Inner product of rationals, zeros skipped."""
    total = fmpq(0)
    for w, v in zip(row, vector, strict=True):
        if w and v:
            total += w * v
    return total


def _activate(breaks: list[fmpq], slopes: list[Vector], intercepts: list[Vector],
              negative: fmpq) -> tuple[list[fmpq], list[Vector], list[Vector]]:
    """Apply the activation to every unit, cutting each interval where a unit changes sign."""
    out_breaks: list[fmpq] = []
    out_slopes: list[Vector] = []
    out_intercepts: list[Vector] = []
    for k, (a, c) in enumerate(zip(slopes, intercepts, strict=True)):
        left = breaks[k - 1] if k > 0 else None
        right = breaks[k] if k < len(breaks) else None
        zeros = {-ci / ai for ai, ci in zip(a, c, strict=True) if ai}
        cuts = sorted(z for z in zeros if (left is None or left < z) and (right is None or z < right))
        edges = [left, *cuts, right]
        for i in range(len(edges) - 1):
            inner = point_inside(edges[i], edges[i + 1])
            scale = [fmpq(1) if ai * inner + ci > 0 else negative for ai, ci in zip(a, c, strict=True)]
            out_slopes.append(tuple(s * ai for s, ai in zip(scale, a, strict=True)))
            out_intercepts.append(tuple(s * ci for s, ci in zip(scale, c, strict=True)))
        out_breaks.extend(cuts)
        if right is not None:
            out_breaks.append(right)
    return out_breaks, out_slopes, out_intercepts


def point_inside(left: fmpq | None, right: fmpq | None) -> fmpq:
    """A point strictly inside an interval; None stands for an infinite end."""
    if left is None:
        return fmpq(0) if right is None else right - 1
    return left + 1 if right is None else (left + right) / 2


def _merged(breaks: list[fmpq], slopes: list[Vector], intercepts: list[Vector]) -> LinePieces:
    """Join neighbouring pieces that carry the same affine map."""
    kept_breaks: list[fmpq] = []
    kept_slopes, kept_intercepts = [slopes[0]], [intercepts[0]]
    for t, a, c in zip(breaks, slopes[1:], intercepts[1:], strict=True):
        if a != kept_slopes[-1] or c != kept_intercepts[-1]:
            kept_breaks.append(t)
            kept_slopes.append(a)
            kept_intercepts.append(c)
    return LinePieces(tuple(kept_breaks), tuple(kept_slopes), tuple(kept_intercepts))
