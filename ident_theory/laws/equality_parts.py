"""Whether two laws of f(Z) that stand as formal sums are the same law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flint import ctx, fmpq

from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.geometry.plane import PlaneCell, iter_plane_cells
from ident_theory.laws.identity import Sums, add_line_law
from ident_theory.laws.line_terms import components_of as line_components
from ident_theory.laws.plane_identity import LawParts, plane_law
from ident_theory.laws.plane_identity_masses import NumberName, total
from ident_theory.laws.plane_terms import components_of as plane_components
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.numerics import Status, Stopwatch

#: Bits with which a formal sum of numbers is evaluated, in turn.
BITS = (128, 256, 512, 1024)
#: A formal sum of numbers for each place at which two laws differ formally.
Gaps = dict[tuple[Any, ...], dict[NumberName, fmpq]]


@dataclass(frozen=True)
class Difference:
    """How two laws differ.

    Attributes
    ----------
    status : Status
        HOLDS when they are equal, FAILS when not, UNKNOWN when only numbers differ as formal sums that balls
        cannot tell from zero.
    is_formal : bool
        Whether rationals decide: the formal sums are the same, or coefficients that stand for numbers by
        themselves differ. Otherwise balls do, or, for HOLDS, that all masses sum to one and one atom is left over.
    reason : str
    planes, lines, atoms : dict
        First minus second: coefficients of the names of `LawParts`, and by place the formal sums of numbers that
        are the coefficients on lines and the masses of atoms.
    """

    status: Status
    is_formal: bool
    reason: str
    planes: Sums
    lines: Gaps
    atoms: Gaps


#: The pieces of a decoder: an interval each for one latent, a polygon each for two.
Pieces = LinePieces | list[PlaneCell]


def pieces_of(decoder: ReLUNetwork | PiecewiseAffineMap, watch: Stopwatch) -> Pieces:
    """The affine pieces of a decoder of one or two latents.

    Raises
    ------
    BudgetExceeded
        When the time is over before all cells are found.
    """
    if decoder.latent_dim == 1:
        return line_pieces(decoder)
    cells = []
    for cell in iter_plane_cells(decoder):
        cells.append(cell)
        if watch.is_over:
            raise BudgetExceeded(f"the budget of {watch.seconds:g} s is spent after {len(cells)} cells of a network; "
                                 "raise it")
    return cells


def law_parts(prior: GaussianMixture, pieces: Pieces) -> LawParts:
    """The law of f(Z) as formal sums."""
    if isinstance(pieces, LinePieces):
        parts = LawParts()
        add_line_law(parts.lines, parts.atoms, pieces, line_components(prior))
        return parts
    return plane_law(pieces, plane_components(prior))


def difference(first: LawParts, second: LawParts) -> Difference:
    """Decide whether two laws are equal, from their formal sums; see `plane_identity.plane_law`."""
    planes = _minus(first.planes, second.planes)
    lines = _by_place(_minus(first.lines, second.lines), _line_place)
    atoms = _by_place(_minus(first.atoms, second.atoms), lambda name: (name[:1], name[1:]))
    if not (planes or lines or atoms):
        return Difference(Status.HOLDS, True, "The reduced lists agree on every cell of the common refinement of the "
                          "images.", planes, lines, atoms)
    if planes:
        return Difference(Status.FAILS, True, "The reduced lists of Gaussians differ on a part of the image that has "
                          "a density on a plane.", planes, lines, atoms)
    for gaps, reason in ((lines, "The reduced lists of Gaussians differ on a part of the image that has a density on a "
                                 "line."), (atoms, "The masses of an atom differ.")):
        if gaps is atoms and len(atoms) == 1 and not lines:
            return Difference(Status.HOLDS, False, "All parts but the mass of one atom agree, so that mass agrees, "
                              "too.", planes, lines, atoms)
        if any(len(terms) == 1 for terms in gaps.values()):  # the numbers that names stand for are positive
            return Difference(Status.FAILS, True, reason, planes, lines, atoms)
        if any(_is_nonzero(terms) for terms in gaps.values()):
            return Difference(Status.FAILS, False, reason, planes, lines, atoms)
    return Difference(Status.UNKNOWN, False, f"Sums of normal probabilities differ as formal sums, but not as numbers "
                      f"to {BITS[-1]} bits; a proof that they are equal, or more bits, would settle it.", planes, lines,
                      atoms)


def _minus(first: Sums, second: Sums) -> Sums:
    out = dict(first)
    for name, value in second.items():
        out[name] = out.get(name, fmpq(0)) - value
    return {name: value for name, value in out.items() if value}


def _line_place(name: tuple[Any, ...]) -> tuple[tuple[Any, ...], NumberName]:
    """A name of `LawParts.lines` as function and place, and the number that it multiplies."""
    if len(name) == 4 or isinstance(name[4][0], tuple):
        return name, ()
    return name[:4], name[4:]


def _by_place(sums: Sums, split: Any) -> Gaps:
    out: Gaps = {}
    for name, value in sums.items():
        place, number = split(name)
        out.setdefault(place, {})[number] = value
    return out


def _is_nonzero(terms: Mapping[NumberName, fmpq]) -> bool:
    """Whether a formal sum that is not zero is proved to be another number than zero."""
    for bits in BITS:
        with ctx.workprec(bits):
            if not total(terms).contains(0):
                return True
    return False
