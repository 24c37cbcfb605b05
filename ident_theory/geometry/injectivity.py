"""Injectivity of piecewise affine maps of the line, decided in rationals."""

from __future__ import annotations

from ident_theory.geometry.line import LinePieces
from ident_theory.geometry.stretches import stretches


def is_weakly_injective(pieces: LinePieces) -> bool:
    r"""Whether some relatively open part of the image, of positive length, is covered exactly once.

    This is condition F2 of Kivva et al. (2022) with positive length asked for, as its proofs need: pieces whose
    images cross in single points do not matter, pieces whose images overlap along a line do.
    """
    # Every piece runs along itself; where no other does, the image is covered once.
    return any(len(stretch.maps) == 1 for stretch in stretches(pieces, pieces))
