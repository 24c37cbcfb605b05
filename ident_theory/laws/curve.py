"""Expectations under noiseless laws on curves in R^n, with respect to arc length and counting on atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from flint import fmpq
from scipy.special import logsumexp

from ident_theory.geometry.line import LinePieces, Vector, point_inside
from ident_theory.laws.line_terms import Component
from ident_theory.models.value import FloatArray


@dataclass(frozen=True)
class Reparametrisation:
    """A piece of one curve on the line of a piece of another: z' = ratio * z + shift, exactly."""

    ratio: fmpq
    shift: fmpq
    piece: int


@dataclass(frozen=True)
class Stretch:
    """An interval of z on which one set of pieces of the other curve runs along the image.

    `maps` is empty where the other curve does not pass.
    """

    piece: int
    left: fmpq | None
    right: fmpq | None
    maps: tuple[Reparametrisation, ...]


def stretches(p: LinePieces, q: LinePieces) -> list[Stretch]:
    """Cut the moving pieces of `p` where pieces of `q` on the same line begin and end, in rationals."""
    found = []
    for k in range(p.n_pieces):
        if p.is_flat(k):
            continue
        left, right = p.ends(k)
        maps = [m for j in range(q.n_pieces) if not q.is_flat(j)
                if (m := _along(p.slopes[k], p.intercepts[k], q.slopes[j], q.intercepts[j], j)) is not None]
        ends = {(end - m.shift) / m.ratio for m in maps for end in q.ends(m.piece) if end is not None}
        cuts = sorted(z for z in ends if (left is None or left < z) and (right is None or z < right))
        edges = [left, *cuts, right]
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            inner = point_inside(a, b)
            active = tuple(m for m in maps if _covers(q, m, inner))
            found.append(Stretch(k, a, b, active))
    return found


def overlap(a: Stretch, b: Stretch) -> tuple[float, float] | None:
    """The interval of z in both stretches, None when they are of different pieces or do not meet."""
    if a.piece != b.piece:
        return None
    low = max((float(s.left) for s in (a, b) if s.left is not None), default=-math.inf)
    high = min((float(s.right) for s in (a, b) if s.right is not None), default=math.inf)
    return (low, high) if low < high else None


def log_density_along(stretch: Stretch, q: LinePieces, components: Sequence[Component], z: FloatArray) -> FloatArray:
    """Log density of the law of `q` with respect to arc length, at the images of z in a stretch."""
    terms = []
    for m in stretch.maps:
        speed = math.sqrt(float(sum((a * a for a in q.slopes[m.piece]), fmpq(0))))
        for c in components:
            tau = math.sqrt(float(c.variance))
            # Around the preimage of the mean nothing cancels.
            center, scale = float((c.mean - m.shift) / m.ratio), float(m.ratio) / tau
            terms.append(math.log(float(c.weight)) - math.log(tau * speed) - 0.5 * math.log(2 * math.pi)
                         - 0.5 * ((z - center) * scale) ** 2)
    return np.asarray(logsumexp(terms, axis=0)) if terms else np.full(len(z), -math.inf)


def _along(a: Vector, c: Vector, b: Vector, d: Vector, piece: int) -> Reparametrisation | None:
    """ratio and shift with a z + c = b (ratio z + shift) + d for all z; None when the lines differ."""
    i = next(i for i, v in enumerate(b) if v)
    ratio, shift = a[i] / b[i], (c[i] - d[i]) / b[i]
    if any(ak != ratio * bk or ck - dk != shift * bk for ak, ck, bk, dk in zip(a, c, b, d, strict=True)):
        return None
    return Reparametrisation(ratio, shift, piece)


def _covers(q: LinePieces, m: Reparametrisation, z: fmpq) -> bool:
    left, right = q.ends(m.piece)
    image = m.ratio * z + m.shift
    return (left is None or left < image) and (right is None or image < right)

