r"""The law of f(Z) for one or two latents as formal objects, for the verifier of equal and different laws.

The law is a sum of three mutually singular parts: a density on planes of R^n (cells of rank 2 under regular
components), a density on lines (cells of rank 1, and singular components of rank 1), and atoms.

- On a plane the density is a sum of Gaussians times step functions. Gaussians are linearly independent on every open
  set, so the step function of each of them is determined. It is recorded by its jumps along lines, and its value far
  out in the direction -(1, epsilon).
- On a line with coordinate t it is a sum of N(t; mean, variance) Phi(a t + b), a > 0, and of N(t; mean, variance)
  times constants, between breakpoints; recorded is what changes where. These functions are linearly independent on
  every interval: by Liouville's theorem no combination of the exp(-(a t + b)^2 / 2) with different (a, b) has an
  integral that is rational in t and exponentials of quadratics, so by Ostrowski's theorem the Phi(a t + b) are
  algebraically independent over such functions, and different Gaussians are linearly independent.
- The mass of an atom is a formal sum of `equality_masses`.

So equal objects are equal laws, and different densities show different laws, once constants are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flint import arb, ctx, fmpq

from ident_theory.exact.equality_cells import Name, Polygon, all_cells, at, composed, edges, exact, moved, name
from ident_theory.exact.equality_masses import (
    ONE,
    Formal,
    Vector,
    add,
    add_scaled,
    evaluate,
    interval_mass,
    polygon_mass,
)
from ident_theory.exact.network_linear import Row
from ident_theory.exact.pair_trees import Matrix, Network, Pieces, latent_dim, pieces
from ident_theory.exact.pair_trees import Row as Fractions

Part = tuple[Fraction, Fractions, Matrix]
#: Pivot coordinates, direction columns (unit vectors in the pivots) and foot (zero in the pivots).
Carrier = tuple[tuple[int, ...], tuple[tuple[Any, ...], ...], tuple[Any, ...]]
#: Mean and covariance (11, 12, 22) of a Gaussian in the pivot coordinates of its carrier.
Gaussian = tuple[Name, ...]
#: A normal (1, a) or (0, 1) and an offset: the points with normal . y = offset.
Line = tuple[Any, Any, Any]

#: Balls that are to exclude zero are tried at these precisions.
BITS = (128, 256, 512, 1024)


@dataclass
class PlaneDensity:
    """One Gaussian on a plane: the weighted polygons that show it, and the jumps of their sum, with names as keys.

    ``jumps[line, s]`` is the change at s of the jump across the line (positive when the side left of increasing s
    is higher); s is the coordinate along the line, None for minus infinity.
    """

    polygons: list[tuple[Any, Polygon]] = field(default_factory=list)
    jumps: Formal = field(default_factory=dict)


@dataclass
class Law:
    """The three parts. ``lines[carrier][mean, variance, term, position]``: see `terms`; position None: from -oo."""

    planes: dict[Carrier, dict[Gaussian, PlaneDensity]] = field(default_factory=dict)
    lines: dict[Carrier, Formal] = field(default_factory=dict)
    atoms: dict[tuple[Any, ...], Formal] = field(default_factory=dict)

    def jumps(self) -> dict[Any, Formal]:
        """The densities on planes, without what cancels."""
        return {(carrier, gaussian): density.jumps for carrier, by_gaussian in self.planes.items()
                for gaussian, density in by_gaussian.items() if density.jumps}


def law_of(decoder: Network | Pieces, parts: Sequence[Part]) -> Law:
    """The law of f(Z), Z a mixture with one or two latents."""
    law = Law()
    if latent_dim(decoder) == 1:
        f = pieces(decoder)
        for weight, mean, covariance in parts:
            if weight:
                _add_line(law, f, exact(weight), exact(mean[0]), exact(covariance[0][0]))
        return law
    assert isinstance(decoder, Network)
    regular = []
    for weight, mean, covariance in parts:
        (a, b), (_, d) = covariance
        if weight and a * d != b * b:
            regular.append((exact(weight), [exact(v) for v in mean], [[exact(v) for v in r] for r in covariance]))
        elif weight:
            along, variance = singular_axis(covariance)
            _add_line(law, restricted(decoder, along, mean), exact(weight), fmpq(0), exact(variance))
    if regular:
        _add_plane(law, decoder, regular)
    return law


def singular_axis(covariance: Matrix) -> tuple[Fractions, Fraction]:
    """Direction e and variance v of a singular covariance v e e^T of two latents."""
    (a, b), (_, d) = covariance
    return ((Fraction(1), b / a), a) if a else ((Fraction(0), Fraction(1)), d)


def restricted(net: Network, direction: Fractions, point: Fractions) -> Pieces:
    """The map s -> f(point + s direction)."""
    return pieces(composed(net, tuple((v,) for v in direction), point))


def _add_line(law: Law, f: Pieces, weight: Any, mean: Any, variance: Any) -> None:
    """One latent: images of a Gaussian or a point mass under every piece."""
    if not variance:
        value = f.at(Fraction(int(mean.p), int(mean.q)))
        add(law.atoms.setdefault(tuple(map(exact, value)), {}), ONE, weight)
        return
    for k, (slope, intercept) in enumerate(zip(f.slopes, f.intercepts, strict=True)):
        low, high = (None if end is None else exact(end) for end in f.ends(k))
        a, c = [exact(v) for v in slope], [exact(v) for v in intercept]
        if not any(a):
            add_scaled(law.atoms.setdefault(tuple(c), {}), interval_mass(low, high, mean, variance), weight)
            continue
        carrier = line_carrier(a, c)
        axis = carrier[0][0]
        start, end = (None if z is None else a[axis] * z + c[axis]
                      for z in ((low, high) if a[axis] > 0 else (high, low)))
        gaussian = name(a[axis] * mean + c[axis]), name(a[axis] * a[axis] * variance)
        density = law.lines.setdefault(carrier, {})
        add(density, (*gaussian, ONE, None if start is None else name(start)), weight)
        if end is not None:
            add(density, (*gaussian, ONE, name(end)), -weight)


def line_carrier(slope: Vector, intercept: Vector) -> Carrier:
    """The line of the points intercept + s slope."""
    axis = next(i for i, v in enumerate(slope) if v)
    direction = tuple(v / slope[axis] for v in slope)
    return (axis,), (direction,), tuple(c - intercept[axis] * v for c, v in zip(intercept, direction, strict=True))


def plane_carrier(rows: Sequence[Row]) -> tuple[Carrier, list[Row]] | None:
    """The plane that an affine map with rows [a, b, c] spans, and its pivot rows; None for rank below 2."""
    i = next((i for i, r in enumerate(rows) if r[0] or r[1]), None)
    j = next((j for j, r in enumerate(rows) if i is not None and rows[i][0] * r[1] != rows[i][1] * r[0]), None)
    if i is None or j is None:
        return None
    (a, b, e), (c, d, f) = rows[i], rows[j]
    scale = a * d - b * c
    directions = tuple(((r[0] * d - r[1] * c) / scale, (r[1] * a - r[0] * b) / scale) for r in rows)
    foot = tuple(r[2] - u * e - v * f for r, (u, v) in zip(rows, directions, strict=True))
    return ((i, j), tuple(zip(*directions, strict=True)), foot), [rows[i], rows[j]]


def _add_plane(law: Law, net: Network, parts: Sequence[tuple[Any, Vector, Sequence[Vector]]]) -> None:
    """Two latents, regular components: images under every cell."""
    flat: dict[tuple[Any, ...], list[Polygon]] = {}
    for polygon, rows in all_cells(net):
        found = plane_carrier(rows)
        if found is not None:
            _add_polygon(law.planes.setdefault(found[0], {}), moved(polygon, found[1]), found[1], parts)
        elif any(r[0] or r[1] for r in rows):
            _add_ridge(law, polygon, rows, parts)
        else:
            flat.setdefault(tuple(r[2] for r in rows), []).append(polygon)
    for location, polygons in flat.items():
        for weight, mean, covariance in parts:
            add_scaled(law.atoms.setdefault(location, {}), polygon_mass(polygons, mean, covariance), weight)


def carried(t: Sequence[Row], mean: Vector, covariance: Sequence[Vector]) -> tuple[Any, ...]:
    """Mean and covariance (11, 12, 22) of a Gaussian under a map with two rows [a, b, c]."""
    (a, b), (_, d) = covariance
    (p, q, _), (r, s, _) = t
    u, v = p * a + q * b, p * b + q * d
    point = (mean[0], mean[1], 1)
    return at(t[0], point), at(t[1], point), u * p + v * q, u * r + v * s, \
        r * (a * r + b * s) + s * (b * r + d * s)


def _add_polygon(by_gaussian: dict[Gaussian, PlaneDensity], polygon: Polygon, t: Sequence[Row],
                 parts: Sequence[tuple[Any, Vector, Sequence[Vector]]]) -> None:
    jumps: Formal = {}
    for p, q in edges(polygon):
        if not (p[2] or q[2]):
            if _is_far_within(p, q):
                add(jumps, ("far",), fmpq(1))
            continue
        line = line_through(p, q)
        line_name = tuple(map(name, line))
        for corner, step in ((p, 1), (q, -1)):
            place = _along(line, corner)
            if place != "end":
                add(jumps, (line_name, place if place is None else name(place)), fmpq(step))
    for weight, mean, covariance in parts:
        density = by_gaussian.setdefault(tuple(map(name, carried(t, mean, covariance))), PlaneDensity())
        density.polygons.append((weight, polygon))
        add_scaled(density.jumps, jumps, weight)


def line_through(p: Any, q: Any) -> Line:
    """The line of a side, with a normal (1, a) or (0, 1)."""
    x, y = (q[0] - p[0], q[1] - p[1]) if p[2] and q[2] else (q[0], q[1]) if p[2] else (p[0], p[1])
    anchor = p if p[2] else q
    normal = (fmpq(1), -x / y) if y else (fmpq(0), fmpq(1))
    return (*normal, normal[0] * anchor[0] + normal[1] * anchor[1])


def _along(line: Line, corner: Any) -> Any:
    """Coordinate of a corner along a line: y for the normal (1, a), -x for (0, 1); None and "end" for infinity."""
    s = corner[1] if line[0] else -corner[0]
    if corner[2]:
        return s
    return "end" if s > 0 else None


def _is_far_within(p: Any, q: Any) -> bool:
    """Whether -(1, epsilon) lies inside the cone from the ray p to the ray q."""
    first = (p[1], -p[0])  # the cross product of p and -(1, epsilon), by powers of epsilon
    second = (-q[1], q[0])
    return first > (0, 0) and second > (0, 0)


def _add_ridge(law: Law, polygon: Polygon, rows: Sequence[Row],
               parts: Sequence[tuple[Any, Vector, Sequence[Vector]]]) -> None:
    """A cell of rank 1: on its line, N(t; m, s2) times the conditional mass of the fibre over t within the polygon.

    The fibre is mean + gain (t - m) + r u with r ~ N(0, rho), u = (-v2, v1) for t = v . z + e. Sides along which t
    falls are upper ends of fibres and give + Phi(r / sqrt(rho)), the others lower ends.
    """
    axis = next(i for i, r in enumerate(rows) if r[0] or r[1])
    v = rows[axis]
    direction = [r[0] / v[0] if v[0] else r[1] / v[1] for r in rows]
    carrier = line_carrier(direction, [r[2] for r in rows])
    density = law.lines.setdefault(carrier, {})
    rays = [i for i, corner in enumerate(polygon) if not corner[2]]
    if len(rays) == 1:  # two parallel sides: the arc between them is short, but fibres may end there
        polygon = (*polygon[:rays[0]], polygon[rays[0]], *polygon[rays[0]:])
    for weight, mean, ((a, b), (_, d)) in parts:
        gain = (a * v[0] + b * v[1], b * v[0] + d * v[1])
        variance = v[0] * gain[0] + v[1] * gain[1]
        rho = (a * d - b * b) / variance
        center = at(v, (mean[0], mean[1], 1))
        gaussian = name(center), name(variance)
        size = v[0] * v[0] + v[1] * v[1]

        def height(x: Any, y: Any, t: Any, gain: Any = gain, variance: Any = variance, size: Any = size) -> Any:
            return (v[0] * (y - gain[1] * t / variance) - v[1] * (x - gain[0] * t / variance)) / size

        for i, (p, q) in enumerate(edges(polygon)):
            start, end = _position(polygon, i, v, 1), _position(polygon, (i + 1) % len(polygon), v, -1)
            if start == end:
                continue
            if p[2] or q[2]:
                x, y = (q[0] - p[0], q[1] - p[1]) if p[2] and q[2] else (q[0], q[1]) if p[2] else (p[0], p[1])
                anchor = p if p[2] else q
                rise = height(x, y, v[0] * x + v[1] * y) / (v[0] * x + v[1] * y)
                t = at(v, anchor)
                level = height(anchor[0] - mean[0], anchor[1] - mean[1], t - center) - rise * t
                found = terms(rise, level, rho)
            elif _falls(start, end):  # along the arc: fibres without an upper end
                found = {ONE: fmpq(1)}
            else:
                continue
            for term, factor in found.items():
                for place, step in ((start, -weight), (end, weight)):
                    if place != "end":
                        add(density, (*gaussian, term, place if place is None else name(place)), factor * step)


def _falls(start: Any, end: Any) -> bool:
    """Whether t falls from one position to another; see `_position`."""
    return start == "end" or end is None or (start is not None and end != "end" and start > end)


def _position(polygon: Polygon, i: int, v: Row, step: int) -> Any:
    """Where t = v . z + e is at a corner, on the way to the next (step 1) or from the one before (step -1).

    A number, None for -oo, "end" for oo. For a ray along which t stays, that of the point at the other end of the
    side; on the arc at infinity, of the point from which the ray comes.
    """
    corner = polygon[i]
    t = at(v, corner)
    if not corner[2] and not t:
        near = polygon[(i + step) % len(polygon)]
        return at(v, near if near[2] else polygon[(i - step) % len(polygon)])
    return t if corner[2] else "end" if t > 0 else None


def terms(rise: Any, level: Any, rho: Any) -> Formal:
    """Phi((rise t + level) / sqrt(rho)) in terms ("Phi", a|a|, b|b|), a > 0, and formal constants."""
    total: Formal = {}
    if not rise:
        return interval_mass(None, level, fmpq(0), rho)
    if rise < 0:
        add(total, ONE, fmpq(1))
    sign = 1 if rise > 0 else -1
    add(total, ("Phi", name(rise * rise / rho), name(sign * level * abs(level) / rho)), fmpq(sign))
    return total


def difference(first: Any, second: Any) -> Formal:
    """first - second for one formal sum each, without zeros."""
    total = dict(first)
    add_scaled(total, second, fmpq(-1))
    return total


def unequal_atoms(first: Law, second: Law) -> list[Formal]:
    """Formal differences of the masses of atoms, where they are not zero."""
    return [gap for place in first.atoms.keys() | second.atoms.keys()
            if (gap := difference(first.atoms.get(place, {}), second.atoms.get(place, {})))]


def line_differences(first: Law, second: Law) -> Iterable[Formal]:
    """By line, the formal differences of the densities, where they are not zero."""
    for carrier in first.lines.keys() | second.lines.keys():
        gap = difference(first.lines.get(carrier, {}), second.lines.get(carrier, {}))
        if gap:
            yield gap


def are_equal(first: Law, second: Law) -> bool:
    """Whether the formal objects agree. With one unequal atom left its mass is what is missing to 1 in both."""
    return first.jumps() == second.jumps() and not any(line_differences(first, second)) \
        and len(unequal_atoms(first, second)) <= 1


def are_different(first: Law, second: Law) -> bool:
    """Whether some density differs formally, constants told apart in balls, or some atom by balls."""
    if first.jumps() != second.jumps():
        return True
    for gap in line_differences(first, second):
        constants: dict[Any, Formal] = {}
        for (mean, variance, term, place), value in gap.items():
            if term[0] == "Phi":
                return True
            add(constants.setdefault((mean, variance, place), {}), term, value)
        if any(map(is_nonzero, constants.values())):
            return True
    return any(map(is_nonzero, unequal_atoms(first, second)))


def is_nonzero(total: Formal) -> bool:
    """Whether a formal sum is shown to be a number other than zero."""
    return set(total) == {ONE} or (bool(total) and settled(lambda: evaluate(total)))


def settled(value: Callable[[], arb]) -> bool:
    """Whether a ball excludes zero at one of the precisions."""
    for bits in BITS:
        with ctx.workprec(bits):
            ball = value()
            if ball.is_finite() and (ball > 0 or ball < 0):
                return True
    return False
