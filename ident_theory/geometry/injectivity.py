"""Injectivity of piecewise affine maps of the line, decided in rationals."""

from __future__ import annotations

from collections.abc import Hashable

from flint import fmpq

from ident_theory.geometry.line import LinePieces

#: An interval of a line in R^n, by a coordinate along it; None stands for an infinite end.
Interval = tuple[fmpq | None, fmpq | None]


def is_weakly_injective(pieces: LinePieces) -> bool:
    r"""Whether some relatively open part of the image, of positive length, is covered exactly once.

    This is condition F2 of Kivva et al. (2022) with positive length asked for, as its proofs need: pieces whose
    images cross in single points do not matter, pieces whose images overlap along a line do.
    """
    lines: dict[Hashable, list[Interval]] = {}
    for k in range(pieces.n_pieces):
        if not pieces.is_flat(k):
            line, image = _image(pieces, k)
            lines.setdefault(line, []).append(image)
    return any(_covered_once(images) for images in lines.values())


def _image(pieces: LinePieces, k: int) -> tuple[Hashable, Interval]:
    """The supporting line of a piece's image and the interval on it, by the first coordinate that moves."""
    slope, intercept = pieces.slopes[k], pieces.intercepts[k]
    axis = next(i for i, a in enumerate(slope) if a)
    direction = [a / slope[axis] for a in slope]
    foot = [c - d * intercept[axis] for c, d in zip(intercept, direction, strict=True)]
    line = tuple((int(v.p), int(v.q)) for v in (*direction, *foot))
    ends = [None if t is None else slope[axis] * t + intercept[axis] for t in pieces.ends(k)]
    low, high = ends if slope[axis] > 0 else reversed(ends)
    return line, (low, high)


def _covered_once(images: list[Interval]) -> bool:
    """Whether some open interval lies in exactly one of the given ones."""
    cuts = sorted({end for image in images for end in image if end is not None})
    probes = [(a + b) / 2 for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    probes += [cuts[0] - 1, cuts[-1] + 1] if cuts else [fmpq(0)]
    return any(sum((low is None or low < x) and (high is None or x < high) for low, high in images) == 1
               for x in probes)

