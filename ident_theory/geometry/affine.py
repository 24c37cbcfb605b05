"""Piecewise affine maps of the line up to invertible affine changes of their argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flint import fmpq

from ident_theory.geometry.line import LinePieces

ZERO, ONE = fmpq(0), fmpq(1)


@dataclass(frozen=True)
class AffineForm:
    r"""Normal form of a piecewise affine f of the line: :math:`f(z) = \mathrm{form}(s z + t)`.

    Attributes
    ----------
    form : LinePieces
        The same for f and for :math:`f \circ h^{-1}`, whatever the invertible affine h.
    scale, shift : fmpq
        The change of argument s z + t that leads from f to `form`; s is not zero.
    mirror : fmpq or None
        A number M with form(z) = form(M - z) for all z, None when no reflection leaves `form` alone.
    constant : bool
        f is constant, so every h leaves it alone; then `scale` is 1, `shift` 0 and `mirror` 0.
    """

    form: LinePieces
    scale: fmpq
    shift: fmpq
    mirror: fmpq | None
    constant: bool

    @property
    def stretchable(self) -> bool:
        """Whether form(z) = form(r z) for every r > 0: a constant, or one step at 0 between two constants."""
        return self.constant or (len(self.form.breakpoints) == 1 and not any(map(any, self.form.slopes)))


def affine_form(pieces: LinePieces) -> AffineForm:
    r"""The normal form of f under :math:`f \mapsto f \circ h^{-1}`, h affine and invertible.

    - two or more breakpoints: the first at 0 and the last at 1;
    - one breakpoint: at 0, and the first non-zero coordinate of the change of slope has size 1 (if the slope
      does not change, the first non-zero coordinate of the slope; if that is zero too, the scale is left at 1);
    - of the two orientations of these, the lexicographically smaller one;
    - no breakpoint: :math:`u z + c` with 1 as first non-zero coordinate of u and 0 as that coordinate of c;
    - a constant: itself.

    For two maps f and f', ``form`` is equal exactly when :math:`f' = f \circ h^{-1}` for some h. Where f jumps
    its value is the one on the right, and a reflection would turn it into the one on the left; values at jumps
    are therefore ignored, and maps that differ at their jumps alone count as equal. For continuous maps nothing
    is ignored. Exact; never raises.
    """
    breaks, slopes = pieces.breakpoints, pieces.slopes
    if len(breaks) > 1:
        return _lesser_orientation(pieces, 1 / (breaks[-1] - breaks[0]))
    if breaks:
        change = _first_nonzero(b - a for a, b in zip(slopes[0], slopes[1], strict=True))
        size = change or _first_nonzero(slopes[0]) or ONE
        return _lesser_orientation(pieces, abs(size))
    for slope, intercept in zip(slopes[0], pieces.intercepts[0], strict=True):
        if slope:
            return AffineForm(_moved(pieces, slope, -intercept / slope), slope, intercept, None, False)
    return AffineForm(pieces, ONE, ZERO, ZERO, True)


def _lesser_orientation(pieces: LinePieces, scale: fmpq) -> AffineForm:
    """Of the map with its first breakpoint moved to 0, and its mirror image moved likewise, the smaller one."""
    first, last = pieces.breakpoints[0], pieces.breakpoints[-1]
    ahead, back = _moved(pieces, scale, first), _moved(pieces, -scale, last)
    ahead_key = (ahead.breakpoints, ahead.slopes, ahead.intercepts)
    back_key = (back.breakpoints, back.slopes, back.intercepts)
    mirror = scale * (last - first) if ahead_key == back_key else None
    if back_key < ahead_key:
        return AffineForm(back, -scale, scale * last, mirror, False)
    return AffineForm(ahead, scale, -scale * first, mirror, False)


def _moved(pieces: LinePieces, scale: fmpq, base: fmpq) -> LinePieces:
    r""":math:`f \circ k^{-1}` for k(z) = scale (z - base)."""
    inverse = 1 / scale
    breaks = [(t - base) * scale for t in pieces.breakpoints]
    slopes = [tuple([a * inverse for a in row]) for row in pieces.slopes]
    intercepts = [tuple([c + a * base for a, c in zip(rows[0], rows[1], strict=True)])
                  for rows in zip(pieces.slopes, pieces.intercepts, strict=True)]
    if scale < 0:
        breaks.reverse()
        slopes.reverse()
        intercepts.reverse()
    return LinePieces(tuple(breaks), tuple(slopes), tuple(intercepts))


def _first_nonzero(values: Iterable[fmpq]) -> fmpq | None:
    return next((v for v in values if v), None)
