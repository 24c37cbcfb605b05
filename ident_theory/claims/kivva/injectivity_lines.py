"""Images of piecewise affine maps of the line, worked out in fractions and without the toolkit's geometry.

What the checks hold against `ident_theory.conditions.decoder`: how often each part of the image is covered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, pairwise

from ident_theory.models import PiecewiseAffineMap, ReLUNetwork

Row = tuple[Fraction, ...]
End = Fraction | None


@dataclass(frozen=True)
class Piece:
    """f(z) = slope z + intercept for low <= z < high (low < z < high if `is_open`); None is infinity."""

    low: End
    high: End
    slope: Row
    intercept: Row
    is_open: bool = False

    def at(self, z: Fraction) -> Row:
        """The affine map of the piece at any z."""
        return tuple(a * z + c for a, c in zip(self.slope, self.intercept, strict=True))

    def contains(self, z: Fraction) -> bool:
        """Whether z belongs to the piece."""
        return (self.low is None or self.low < z or (self.low == z and not self.is_open)) and (
            self.high is None or z < self.high)

    @property
    def is_flat(self) -> bool:
        """Whether f is constant on the piece."""
        return not any(self.slope)

    @property
    def axis(self) -> int:
        """First coordinate that moves."""
        return next(i for i, a in enumerate(self.slope) if a)

    @property
    def line(self) -> tuple[Row, Row]:
        """The line in R^n that carries the image: its direction, and its point with coordinate `axis` zero."""
        lead, foot = self.slope[self.axis], self.intercept[self.axis]
        direction = tuple(a / lead for a in self.slope)
        return direction, tuple(c - foot * u for c, u in zip(self.intercept, direction, strict=True))

    @property
    def span(self) -> tuple[End, End]:
        """The image in coordinate `axis`, lower end first."""
        ends = [None if z is None else self.at(z)[self.axis] for z in (self.low, self.high)]
        return (ends[0], ends[1]) if self.slope[self.axis] > 0 else (ends[1], ends[0])


def pieces_of(f: PiecewiseAffineMap | ReLUNetwork) -> list[Piece]:
    """The affine pieces of a map of the line; neighbours with one affine map are merged."""
    found = _of_network(f) if isinstance(f, ReLUNetwork) else _of_map(f)
    merged: list[Piece] = []
    for piece in found:
        if merged and (merged[-1].slope, merged[-1].intercept) == (piece.slope, piece.intercept):
            piece = Piece(merged.pop().low, piece.high, piece.slope, piece.intercept)
        merged.append(piece)
    return merged


def _of_map(f: PiecewiseAffineMap) -> list[Piece]:
    ends: list[End] = [None, *f.breakpoints_exact.tolist(), None]
    return [Piece(low, high, tuple(a), tuple(c)) for (low, high), a, c in
            zip(pairwise(ends), f.slopes_exact.tolist(), f.intercepts_exact.tolist(), strict=True)]


def _of_network(f: ReLUNetwork) -> list[Piece]:
    pieces = [Piece(None, None, (Fraction(1),), (Fraction(0),))]
    last = f.depth - 1
    for layer, (weights, biases) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        moved = [Piece(p.low, p.high, tuple(sum((w * a for w, a in zip(row, p.slope, strict=True)), Fraction(0))
                                            for row in weights.tolist()),
                       tuple(sum((w * c for w, c in zip(row, p.intercept, strict=True)), b)
                             for row, b in zip(weights.tolist(), biases.tolist(), strict=True))) for p in pieces]
        pieces = moved if layer == last else [part for p in moved for part in _activated(p, f.negative_slope_exact)]
    return pieces


def _activated(piece: Piece, negative: Fraction) -> list[Piece]:
    kinks = sorted({-c / a for a, c in zip(piece.slope, piece.intercept, strict=True) if a})
    ends: list[End] = [piece.low, *(z for z in kinks if piece.contains(z) and z != piece.low), piece.high]
    parts = []
    for low, high in pairwise(ends):
        value = piece.at(inside(low, high))
        factor = [Fraction(1) if v > 0 else negative for v in value]
        parts.append(Piece(low, high, tuple(s * a for s, a in zip(factor, piece.slope, strict=True)),
                           tuple(s * c for s, c in zip(factor, piece.intercept, strict=True))))
    return parts


def as_network(f: PiecewiseAffineMap) -> ReLUNetwork:
    """A continuous map of the line as a network of one hidden layer."""
    pieces = pieces_of(f)
    start = pieces[1].low if len(pieces) > 1 else Fraction(0)
    assert start is not None
    rows = [([-1], start, [-a for a in pieces[0].slope])]
    before = [Fraction(0)] * len(pieces[0].slope)
    for p in pieces[1:] or pieces:
        rows.append(([1], -(p.low if p.low is not None else start),
                     [a - b for a, b in zip(p.slope, before, strict=True)]))
        before = list(p.slope)
    return ReLUNetwork([[row[0] for row in rows], [list(column) for column in zip(*(row[2] for row in rows),
                                                                                  strict=True)]],
                       [[row[1] for row in rows], list(pieces[0].at(start))])


def inside(low: End, high: End) -> Fraction:
    """A point strictly between."""
    if low is None:
        return Fraction(0) if high is None else high - 1
    return low + 1 if high is None else (low + high) / 2


def coverage(pieces: Iterable[Piece]) -> list[int]:
    """How often each part of the image is covered: counts over the open intervals between ends of images.

    Only intervals that are covered at all; isolated values are left out, they are null in an image of dimension one.
    """
    spans = defaultdict(list)
    for piece in pieces:
        if not piece.is_flat:
            spans[piece.line].append(piece.span)
    counts = []
    for parts in spans.values():
        ends: list[End] = [None, *sorted({s for part in parts for s in part if s is not None}), None]
        for low, high in pairwise(ends):
            at = inside(low, high)
            count = sum((a is None or a < at) and (b is None or at < b) for a, b in parts)
            counts += [count] if count else []
    return counts


def is_weakly_injective(pieces: Iterable[Piece]) -> bool:
    """F2 with the ball around a point of the image, and positive measure in it: some part is covered once."""
    return 1 in coverage(pieces)


def is_observably_injective(pieces: Iterable[Piece]) -> bool:
    """F3 with the measure of the dimension of the image; a constant map is not."""
    counts = coverage(pieces)
    return bool(counts) and max(counts) == 1


def is_injective(pieces: list[Piece]) -> bool:
    """F4: no flat piece, and no two pieces with a common value."""
    return not any(p.is_flat for p in pieces) and not any(_meet(p, q) for p, q in combinations(pieces, 2))


def without_jumps(pieces: list[Piece]) -> list[Piece]:
    """The map off its jumps, where nothing says which of the two pieces the value is taken from."""
    found = [replace(p, is_open=p.at(p.low) != before.at(p.low)) for before, p in pairwise(pieces) if p.low is not None]
    return [pieces[0], *found]


def infinite_values(pieces: Iterable[Piece]) -> set[Row]:
    """The values with infinitely many preimages: those of flat pieces."""
    return {piece.intercept for piece in pieces if piece.is_flat}


def preimages(pieces: Iterable[Piece], x: Row) -> list[Fraction] | None:
    """All z with f(z) = x; None for infinitely many."""
    found = []
    for piece in pieces:
        if piece.is_flat:
            if piece.intercept == x:
                return None
            continue
        z = (x[piece.axis] - piece.intercept[piece.axis]) / piece.slope[piece.axis]
        if piece.contains(z) and piece.at(z) == x:
            found.append(z)
    return found


def several_preimages(pieces: list[Piece]) -> set[Fraction]:
    """Ends of stretches, and single points, of the line whose value has another preimage.

    For observably injective maps: all such points, but for the insides of flat pieces, where f has one value anyway.
    """
    values = {p.at(z) for p in pieces for z in (p.low, p.high) if z is not None}
    values |= {p.intercept for p in pieces if p.is_flat}
    for p, q in combinations(pieces, 2):
        z = _crossing(p, q)
        values |= set() if z is None else {p.at(z)}
    found: set[Fraction] = set()
    for x in values:
        several = preimages(pieces, x)
        if several is None:
            found |= {z for p in pieces if p.is_flat and p.intercept == x for z in (p.low, p.high) if z is not None}
            found |= {z for p in pieces if not p.is_flat for z in preimages([p], x) or []}
        elif len(several) > 1:
            found |= set(several)
    return found


def _meet(p: Piece, q: Piece) -> bool:
    if p.line == q.line:
        ends = [end for piece in (p, q) for end in piece.span if end is not None]
        tries = [*ends, *(inside(a, b) for a, b in pairwise([None, *sorted(set(ends)), None]))]
        direction, foot = p.line
        return any(len(preimages((p, q), tuple(s * u + v for u, v in zip(direction, foot, strict=True))) or []) > 1
                   for s in tries)
    z = _crossing(p, q)
    return z is not None and p.contains(z) and len(preimages((q,), p.at(z)) or []) == 1


def _crossing(p: Piece, q: Piece) -> Fraction | None:
    """Where p would take the value of q in two coordinates that determine it."""
    for i, j in combinations(range(len(p.slope)), 2):
        det = p.slope[i] * -q.slope[j] + q.slope[i] * p.slope[j]
        if det:
            right = [q.intercept[k] - p.intercept[k] for k in (i, j)]
            return (right[0] * -q.slope[j] + q.slope[i] * right[1]) / det
    return None
