"""Where the image of one piecewise affine map of the line runs along that of another, in rationals."""

from __future__ import annotations

from dataclasses import dataclass

from flint import fmpq

from ident_theory.geometry.line import LinePieces, Vector, point_inside


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

