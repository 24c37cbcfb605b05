"""What the law of f(Z) consists of for a network of two latents, as formal sums in rationals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flint import fmpq, fmpq_mat

from ident_theory.geometry.line import LinePieces
from ident_theory.geometry.plane import PlaneCell, Side
from ident_theory.laws.identity import Plain, Sums, add_line_law, add_term, line_name, nonzero, plain, plain_vector
from ident_theory.laws.line_terms import Component as LineComponent
from ident_theory.laws.plane_identity_masses import add_flat_masses
from ident_theory.laws.plane_terms import Component

_ZERO = fmpq(0)
_HALF = fmpq(1, 2)
#: A plane: its pivot coordinates, and the rows of its reduced basis and its foot as plain rationals.
PlaneName = tuple[tuple[int, ...], tuple[Plain, ...]]
Pair = tuple[fmpq, fmpq]


@dataclass
class LawParts:
    r"""The law of f(Z) as formal sums: names with rational coefficients.

    Attributes
    ----------
    planes : dict
        The part with a density on planes of :math:`R^n`. Names: (plane, Gaussian, line, place) for the change of
        the weight of a Gaussian along a line of the plane, (plane, Gaussian) for its weight far out.
    lines : dict
        The part with a density on lines: (line, mean, variance, place), and with a fifth entry
        :math:`t^2` for the factor :math:`\Phi(t)`, :math:`t > 0`, or :math:`(\alpha^2, \pm\beta^2)` for the factor
        :math:`\Phi(\alpha x + \beta)`, :math:`\alpha > 0`.
    atoms : dict
        The masses of points: (location, ...) with the names of numbers of `plane_identity_masses`.
    """

    planes: Sums = field(default_factory=dict)
    lines: Sums = field(default_factory=dict)
    atoms: Sums = field(default_factory=dict)

    def key(self) -> Hashable:
        """The parts as one value."""
        return nonzero(self.planes), nonzero(self.lines), nonzero(self.atoms)


def plane_law(cells: Sequence[PlaneCell], components: Sequence[Component]) -> LawParts:
    r"""The law of f(Z) as formal sums, cf. `laws.identity.law_key` for one latent.

    **Planes** (cells of rank 2, components of rank 2). On a plane of :math:`R^n` the density is
    :math:`\sum w_j N(y; B_k\mu_j + b_k, B_k S_j B_k^T)\, 1[y \in f(C_k)]` in the pivot coordinates y of the plane.
    Distinct Gaussians are linearly independent on every open set, so the laws agree there exactly when for every
    Gaussian the weighted sums of polygons agree almost everywhere. Such a sum is determined by its derivative in the
    sense of distributions and its value in one place. The derivative lives on the lines that carry the sides, on
    each a step function, which is recorded by its jumps; the place is :math:`(s, \epsilon s)` for :math:`s \to\infty`
    and then small :math:`\epsilon > 0`.

    **Lines.** A cell of rank 1 has the density :math:`w N(x; m, v) [\Phi(u(x)) - \Phi(l(x))]` with u and l
    affine, one for each side that a fibre may end on: given x, the fibre coordinate is normal with a mean affine in x
    and a constant variance. Written with :math:`\Phi(-t) = 1 - \Phi(t)`, the functions :math:`N_i(x)` and
    :math:`N_i(x) \Phi(\alpha x + \beta)`, :math:`\alpha > 0`, are linearly independent on every interval, so their
    coefficients are determined, and are recorded by their jumps. Proof: let K be the field generated over
    :math:`C(x)` by the exponentials of quadratics. By the theorem of Kolchin and Ostrowski, functions
    :math:`\Phi(\alpha_i x + \beta_i)` satisfy an algebraic relation over K only if a linear combination of
    their derivatives :math:`\sum c_i \exp(-q_i)` has an antiderivative in K. The :math:`q_i` differ by more than
    constants, so by Liouville each :math:`c_i \exp(-q_i) = (R_i \exp(-q_i))'` with :math:`R_i` rational:
    :math:`R_i' - q_i' R_i = c_i`. A pole of :math:`R_i` cannot cancel, and for a polynomial :math:`R_i \ne 0` the
    left side has degree :math:`\deg R_i + 1`; so :math:`c_i = 0`. A relation without any :math:`\Phi` is one
    between the :math:`N_i`. A component on a line has the law of one latent.

    **Atoms.** A flat cell gives the mass of its polygon: see `add_flat_masses`. A component of rank 0 is an atom.

    **Accuracy.** Exact. Equal keys mean equal laws. Unequal keys mean unequal laws where the parts with coefficients
    that are rational differ; other coefficients are formal sums of numbers, and whether such a sum vanishes as
    a number is for balls to say.

    Parameters
    ----------
    cells : sequence of PlaneCell
        They cover the plane, and their maps fit together to a continuous f.
    components : sequence of Component
        Of any rank. Weights of zero and repeated components are allowed.
    """
    law = LawParts()
    regular = [c for c in components if c.rank == 2]
    flat: dict[tuple[Plain, ...], list[PlaneCell]] = {}
    for cell in cells if regular else ():
        rank = cell.rank()
        if rank == 2:
            _add_full(law.planes, cell, regular)
        elif rank == 1:
            _add_thin(law.lines, cell, regular)
        else:
            flat.setdefault(plain_vector(cell.offset), []).append(cell)
    for location, group in flat.items():
        add_flat_masses(law.atoms, location, group, regular)
    for component in components:
        if component.rank < 2:
            pieces, latent = on_its_line(cells, component)
            add_line_law(law.lines, law.atoms, pieces, [latent])
    return law


@dataclass(frozen=True)
class Carrier:
    """The plane of a cell of full rank.

    Attributes
    ----------
    name : PlaneName
    pivots : tuple of int
        The two coordinates of x that serve as coordinates y of the plane.
    basis : list of two rows of n fmpq
        The directions in which y moves.
    foot : list of n fmpq
        The point y = 0.
    """

    name: PlaneName
    pivots: tuple[int, int]
    basis: list[list[fmpq]]
    foot: list[fmpq]

    def frame(self, cell: PlaneCell) -> tuple[tuple[Pair, Pair], Pair]:
        """B and b with y = B z + b on the cell."""
        p, q = self.pivots
        return (cell.matrix[p], cell.matrix[q]), (cell.offset[p], cell.offset[q])


def carrier(cell: PlaneCell) -> Carrier:
    """The plane that holds the image of a cell of rank 2."""
    reduced = fmpq_mat([list(column) for column in zip(*cell.matrix, strict=True)]).rref()[0].tolist()
    p, q = (next(j for j, v in enumerate(row) if v) for row in reduced)
    foot = list(cell.offset)
    for row, pivot in zip(reduced, (p, q), strict=True):
        height = foot[pivot]
        if height:
            foot = [o - height * v for o, v in zip(foot, row, strict=True)]
    return Carrier(((p, q), plain_vector([*reduced[0], *reduced[1], *foot])), (p, q), reduced, foot)


def gaussian_name(frame: tuple[tuple[Pair, Pair], Pair], component: Component) -> tuple[Plain, ...]:
    """Mean and covariance of a component in the coordinates y = B z + b."""
    ((a, b), (c, d)), (e, f) = frame
    (s, t), (_, u) = component.covariance
    x, y = component.mean
    k, l, m, n = a * s + b * t, a * t + b * u, c * s + d * t, c * t + d * u
    return plain_vector((a * x + b * y + e, c * x + d * y + f, k * a + l * b, k * c + l * d, m * c + n * d))


def image_line(side: Side, frame: tuple[tuple[Pair, Pair], Pair]) -> tuple[tuple[fmpq, fmpq, fmpq], int]:
    """The line that carries the image of a side, as (a1, a2, o) with a.y = o, and the sign of the outward normal.

    The first non-zero entry of a is 1; the sign says whether a points outwards.
    """
    ((a, b), (c, d)), (e, f) = frame
    det = a * d - b * c
    n1, n2 = (side.normal[0] * d - side.normal[1] * c) / det, (side.normal[1] * a - side.normal[0] * b) / det
    lead = n1 or n2
    offset = side.offset + n1 * e + n2 * f
    return (n1 / lead, n2 / lead, offset / lead), 1 if lead > 0 else -1


def _add_full(planes: Sums, cell: PlaneCell, components: Sequence[Component]) -> None:
    """Record the borders of the image of a cell of rank 2, for every component."""
    plane = carrier(cell)
    frame = plane.frame(cell)
    points = cell.points
    jumps: list[tuple[tuple[Any, ...], int]] = []
    far = True
    for side in cell.sides():
        line, sign = image_line(side, frame)
        far = far and sign * (line[0] or line[1]) < 0
        # The coordinate along the line, and whether the side runs anticlockwise towards larger ones.
        (a, b), shift = (frame[0][1], frame[1][1]) if line[0] else (frame[0][0], frame[1][0])
        ends = [None if i is None else plain(a * points[i][0] + b * points[i][1] + shift)
                for i in (side.start, side.end)]
        if b * side.normal[0] < a * side.normal[1]:
            ends.reverse()
        name = plain_vector(line)
        jumps.append(((name, ends[0]), sign))
        if ends[1] is not None:
            jumps.append(((name, ends[1]), -sign))
    for component in components:
        gaussian = (plane.name, gaussian_name(frame, component))
        if far:
            add_term(planes, gaussian, component.weight)
        for place, sign in jumps:
            add_term(planes, (*gaussian, *place), component.weight if sign > 0 else -component.weight)


def fibre(cell: PlaneCell) -> tuple[int, Pair]:
    """For a cell of rank 1 the first coordinate of x that moves, and its gradient."""
    axis = next(i for i, row in enumerate(cell.matrix) if row[0] or row[1])
    return axis, cell.matrix[axis]


def _add_thin(lines: Sums, cell: PlaneCell, components: Sequence[Component]) -> None:
    """Record the law on its line that a cell of rank 1 gives every component."""
    axis, (g1, g2) = fibre(cell)
    offset = cell.offset[axis]
    lead = g1 or g2
    slope = [(row[0] if g1 else row[1]) for row in cell.matrix]
    line = line_name(tuple(v / lead for v in slope), _moved_foot(cell, slope, lead, axis), axis)
    along = [g1 * x + g2 * y + (offset if w else _ZERO) for x, y, w in cell.corners]
    finite = [v for v, corner in zip(along, cell.corners, strict=True) if corner[2]]
    low = None if any(v < 0 for v, c in zip(along, cell.corners, strict=True) if not c[2]) else min(finite)
    high = None if any(v > 0 for v, c in zip(along, cell.corners, strict=True) if not c[2]) else max(finite)
    sides = [(side, g1 * side.normal[1] - g2 * side.normal[0]) for side in cell.sides()]
    places = [g1 * x + g2 * y + offset for x, y in cell.points]
    for component in components:
        (s, t), (_, u) = component.covariance
        mu1, mu2 = component.mean
        k1, k2 = s * g1 + t * g2, t * g1 + u * g2
        variance = g1 * k1 + g2 * k2
        mean = g1 * mu1 + g2 * mu2 + offset
        square = variance / (s * u - t * t)
        gaussian = (line, plain(mean), plain(variance))
        if all(cross <= 0 for _, cross in sides):
            _add_stretch(lines, gaussian, (low, high), (), component.weight)
        for side, cross in sides:
            if not cross:
                continue
            n1, n2 = side.normal
            pull = (n1 * k1 + n2 * k2) / variance
            slope_here = -pull / cross
            constant = (side.offset - n1 * mu1 - n2 * mu2 + mean * pull) / cross
            ends = [None if i is None else places[i] for i in (side.start, side.end)]
            if cross > 0:
                ends.reverse()
            _add_chord_end(lines, gaussian, (ends[0], ends[1]), (slope_here, constant, square),
                           component.weight if cross > 0 else -component.weight)


def _moved_foot(cell: PlaneCell, slope: Sequence[fmpq], lead: fmpq, axis: int) -> tuple[fmpq, ...]:
    """The point of the line of a cell where x[axis] = 0."""
    height = cell.offset[axis] / lead
    return tuple(c - height * v for c, v in zip(cell.offset, slope, strict=True))


def _add_chord_end(lines: Sums, gaussian: tuple[Any, ...], ends: tuple[fmpq | None, fmpq | None],
                   function: tuple[fmpq, fmpq, fmpq], weight: fmpq) -> None:
    """Add weight times N(x) Phi((slope x + constant) sqrt(square)) between two values of x."""
    slope, constant, square = function
    lead = slope or constant
    if not lead:
        _add_stretch(lines, gaussian, ends, (), weight * _HALF)
        return
    if lead < 0:
        _add_stretch(lines, gaussian, ends, (), weight)
        slope, constant, weight = -slope, -constant, -weight
    level = constant * abs(constant) * square
    factor = (plain(slope * slope * square), plain(level)) if slope else plain(level)
    _add_stretch(lines, gaussian, ends, (factor,), weight)


def _add_stretch(lines: Sums, gaussian: tuple[Any, ...], ends: tuple[fmpq | None, fmpq | None],
                 factor: tuple[Any, ...], weight: fmpq) -> None:
    """Record where a term begins and where it ends."""
    low, high = ends
    add_term(lines, (*gaussian, None if low is None else plain(low), *factor), weight)
    if high is not None:
        add_term(lines, (*gaussian, plain(high), *factor), -weight)


def on_its_line(cells: Sequence[PlaneCell], component: Component) -> tuple[LinePieces, LineComponent]:
    r"""f along the line that carries a component of rank 1, and the component there; a point for rank 0.

    For :math:`S = d d^T / s` the latent is t with :math:`z = \mu + d t`, :math:`t \sim N(0, 1/s)`.
    """
    (a, b), (_, c) = component.covariance
    direction, size = ((a, b), a) if a else ((b, c), c)
    found: list[tuple[fmpq | None, fmpq | None, PlaneCell]] = []
    for cell in cells:
        span = _clipped(cell, component.mean, direction)
        if span is not None:
            found.append((*span, cell))
    found.sort(key=lambda item: (item[0] is not None, item[0] or _ZERO))
    slopes: list[tuple[fmpq, ...]] = []
    intercepts: list[tuple[fmpq, ...]] = []
    breaks: list[fmpq] = []
    reached: fmpq | None = None
    for _, high, cell in found:
        if slopes:
            # A line along a border runs through the cells on both sides of it, which agree there.
            if reached is None or (high is not None and high <= reached):
                continue
            breaks.append(reached)
        slopes.append(tuple(r[0] * direction[0] + r[1] * direction[1] for r in cell.matrix))
        intercepts.append(cell.value(*component.mean))
        reached = high
    pieces = LinePieces(tuple(breaks), tuple(slopes), tuple(intercepts))
    return pieces, LineComponent(component.weight, _ZERO, 1 / size if size else _ZERO)


def _clipped(cell: PlaneCell, point: Pair, direction: Pair) -> tuple[fmpq | None, fmpq | None] | None:
    """The t for which point + t direction lies in a cell, None where these fill no length."""
    low: fmpq | None = None
    high: fmpq | None = None
    for side in cell.sides():
        slope = side.normal[0] * direction[0] + side.normal[1] * direction[1]
        gap = side.offset - side.normal[0] * point[0] - side.normal[1] * point[1]
        if not slope:
            if gap < 0:
                return None
        elif slope > 0:
            high = gap / slope if high is None else min(high, gap / slope)
        else:
            low = gap / slope if low is None else max(low, gap / slope)
    return None if low is not None and high is not None and low >= high else (low, high)
