r"""Sets on which the probabilities of two models differ by a stated amount, in balls, for the verifier.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, ctx, fmpq, fmpq_mat

from ident_theory.exact.equality_cells import Name, Polygon, all_cells, at, edges, exact, side_row
from ident_theory.exact.equality_laws import (
    BITS,
    Gaussian,
    Law,
    difference,
    law_of,
    line_carrier,
    plane_carrier,
    restricted,
    singular_axis,
)
from ident_theory.exact.equality_masses import ONE, Formal, evaluate, interval_mass, polygon_mass
from ident_theory.exact.equality_pairs import Pair, Part, Side, Tree, read_pair
from ident_theory.exact.pair_trees import Network, Pieces, index, latent_dim, matrix, number, pieces, reject, row


@dataclass(frozen=True)
class Box:
    """{center + sum of s_i directions_i, |s_i| <= radius} and the probability by which the models differ there."""

    center: list[Any]
    directions: list[list[Any]]
    radius: Any
    at_least: Any


def check_law_set(model: Tree, data: Tree) -> None:
    r"""|P_a(S) - P_b(S)| >= at_least for a box S. Entries center, directions, radius, at_least; u for laws given u.

    With Gaussian noise the directions are the unit vectors. The densities differ at the center by at least d. Their
    second derivatives are at most :math:`C = \sup \|\nabla^2 p_\epsilon\| \le p_\epsilon(0) \|\Omega^{-1}\|` in any
    direction, the first ones cancel over the box, and the mean of the squared distance from its center is n r^2 / 3:
    so the probabilities differ by at least (d - C n r^2 / 3) (2 r)^n. Without noise S is an atom, or lies in a line or
    plane that carries density, where the densities of both models are enclosed on the whole of S.
    """
    pair = read_pair(model, data, ["center", "directions", "radius", "at_least", *(["u"] if "u" in data else [])])
    if max(pair.first.m, pair.second.m) > 2:
        reject("laws are compared for one and two latents")
    if ("u" in data) != pair.first.is_conditional:
        reject("expected the entry u for laws given u, and only for these")
    laws = pair.laws()
    parts, others = laws[index(data["u"], len(laws)) if "u" in data else 0]
    box = _read_box(data, pair.n)
    if pair.noise is not None:
        _check_noisy(pair, parts, others, box)
        return
    first, second = law_of(pair.first.decoder, parts), law_of(pair.second.decoder, others)
    checks: tuple[Callable[[Law, Law, Box], None], ...] = (_check_atom, _check_segment, _check_parallelogram)
    if len(box.directions) >= len(checks):
        reject("without noise and with two latents no density has more than two dimensions")
    checks[len(box.directions)](first, second, box)


def _read_box(data: Tree, n: int) -> Box:
    center = [exact(v) for v in row(data["center"])]
    directions = [[exact(v) for v in r] for r in matrix(data["directions"])]
    radius, at_least = exact(number(data["radius"])), exact(number(data["at_least"]))
    if len(center) != n or any(len(d) != n for d in directions):
        reject(f"expected a center and directions of {n} numbers")
    if directions and fmpq_mat(directions).rank() < len(directions):
        reject("the directions are linearly dependent")
    if at_least <= 0 or radius < 0 or (directions and not radius):
        reject("expected a positive radius and a positive amount")
    return Box(center, directions, radius, at_least)


def _require(gap: Callable[[], arb], volume: Any, at_least: Any) -> None:
    """Reject unless |gap| volume >= at_least at some precision."""
    for bits in BITS:
        with ctx.workprec(bits):
            amount = abs(gap()) * arb(volume)
            if amount.is_finite() and amount >= arb(at_least):
                return
            if amount < arb(at_least):
                break
    reject("the probabilities of the set are not shown to differ by this much")


def _check_atom(first: Law, second: Law, box: Box) -> None:
    place = tuple(box.center)
    gap = difference(first.atoms.get(place, {}), second.atoms.get(place, {}))
    _require(lambda: evaluate(gap), fmpq(1), box.at_least)


def _check_segment(first: Law, second: Law, box: Box) -> None:
    carrier = line_carrier(box.directions[0], box.center)
    axis = carrier[0][0]
    reach = abs(box.directions[0][axis]) * box.radius
    low, high = box.center[axis] - reach, box.center[axis] + reach
    _reject_atoms(first, second, lambda place: low <= place[axis] <= high and place == tuple(
        foot + place[axis] * v for foot, v in zip(carrier[2], carrier[1][0], strict=True)))
    gap = difference(first.lines.get(carrier, {}), second.lines.get(carrier, {}))
    if any(place is not None and low <= fmpq(*place) <= high for _, _, _, place in gap):
        reject("the density of one of the models changes its form within the set")
    here = {key: value for key, value in gap.items() if key[3] is None or fmpq(*key[3]) < low}

    def density() -> arb:
        t = arb(low).union(arb(high))
        return sum((arb(value) * _normal(t - arb(fmpq(*mean)), fmpq(*variance)) * _term(term, t)
                    for (mean, variance, term, _), value in here.items()), arb(0))

    _require(density, high - low, box.at_least)


def _normal(gap: arb, variance: Any) -> arb:
    return (-gap * gap / arb(2 * variance)).exp() / (2 * arb.pi() * arb(variance)).sqrt()


def _term(term: tuple[Any, ...], t: arb) -> arb:
    """A term of `equality_laws.terms` on a ball."""
    if term[0] != "Phi":
        return evaluate({term: fmpq(1)})
    rise, level = (arb(fmpq(abs(p), q)).sqrt() * (1 if p > 0 else -1) for p, q in term[1:])
    return (-(rise * t + level) / arb(2).sqrt()).erfc() / 2


def _reject_atoms(first: Law, second: Law, is_inside: Callable[[tuple[Any, ...]], bool]) -> None:
    """Reject when an atom whose mass is not shown to be the same in both models lies in the set."""
    for place in first.atoms.keys() | second.atoms.keys():
        if difference(first.atoms.get(place, {}), second.atoms.get(place, {})) and is_inside(place):
            reject("an atom lies in the set")


def _check_parallelogram(first: Law, second: Law, box: Box) -> None:
    frame = _Frame(box)
    _reject_atoms(first, second, lambda place: frame.holds(place) and all(abs(s) <= 1 for s in frame.local(place)))
    for line in first.lines.keys() | second.lines.keys():
        (_,), (direction,), foot = line
        if frame.holds(foot) and frame.holds([a + b for a, b in zip(foot, direction, strict=True)]):
            start = frame.local(foot)
            step = [b - a for a, b in zip(start, frame.local([a + b for a, b in zip(foot, direction, strict=True)]),
                                          strict=True)]
            gap = difference(first.lines.get(line, {}), second.lines.get(line, {}))
            if any(_meets(start, step, *ends) for ends in _intervals(gap)):
                reject("a line that carries probability meets the set")
    sides = [law.planes.get(frame.carrier, {}) for law in (first, second)]
    weights: Formal = {}
    for gaussian in sides[0].keys() | sides[1].keys():
        found = [side.get(gaussian) for side in sides]
        gap = difference(*({} if density is None else density.jumps for density in found))
        for line, *ends in _jump_intervals(gap):
            start, step = frame.along(line)
            if _meets(start, step, *ends):
                reject("the density of one of the models changes its form within the set")
        weight = sum((sign * w for sign, density in zip((1, -1), found, strict=True) if density is not None
                      for w, polygon in density.polygons if _is_within(polygon, frame.middle)), fmpq(0))
        if weight:
            weights[gaussian] = weight
    _require(lambda: sum((arb(w) * frame.normal(gaussian) for gaussian, w in weights.items()), arb(0)),
             frame.area, box.at_least)


class _Frame:
    """The plane of a parallelogram, in the pivot coordinates y of `equality_laws` and its own, |s_i| <= 1.

    Attributes
    ----------
    carrier
        The plane.
    middle : tuple
        The center in y.
    area
        In y.
    """

    def __init__(self, box: Box) -> None:
        n = len(box.center)
        rows = [[box.radius * box.directions[0][i], box.radius * box.directions[1][i], box.center[i]]
                for i in range(n)]
        found = plane_carrier(rows)
        assert found is not None
        self.carrier, self._pivots = found
        (a, b, x), (c, d, y) = self._pivots
        self.middle = x, y
        self._sides = fmpq_mat([[a, b], [c, d]])
        self._back = self._sides.inv()
        self.area = 4 * abs(a * d - b * c)

    def holds(self, point: Sequence[Any]) -> bool:
        """Whether a point lies in the plane."""
        (i, j), (u, v), foot = self.carrier
        return all(x == f + point[i] * a + point[j] * b for x, a, b, f in zip(point, u, v, foot, strict=True))

    def local(self, point: Sequence[Any]) -> list[Any]:
        """The coordinates s of a point of the plane."""
        i, j = self.carrier[0]
        return self._inside([point[i] - self.middle[0], point[j] - self.middle[1]])

    def _inside(self, y: Sequence[Any]) -> list[Any]:
        entries: list[Any] = (self._back * fmpq_mat([[v] for v in y])).entries()
        return entries

    def along(self, line: tuple[Any, Any, Any]) -> tuple[list[Any], list[Any]]:
        """A line of the plane in s: the point with coordinate 0 along it, and the step by 1."""
        a, b, offset = line
        start, step = ((offset, fmpq(0)), (-b, fmpq(1))) if a else ((fmpq(0), offset), (fmpq(-1), fmpq(0)))
        return self._inside([start[0] - self.middle[0], start[1] - self.middle[1]]), self._inside(step)

    def normal(self, gaussian: Gaussian) -> arb:
        """The density of a Gaussian in y, enclosed on the parallelogram."""
        m1, m2, c11, c12, c22 = (fmpq(*v) for v in gaussian)
        determinant = c11 * c22 - c12 * c12
        precision = fmpq_mat([[c22, -c12], [-c12, c11]]) / determinant
        gap = fmpq_mat([[self.middle[0] - m1], [self.middle[1] - m2]])
        slope = (self._sides.transpose() * precision * gap).entries()
        bend = (self._sides.transpose() * precision * self._sides).entries()
        center = (gap.transpose() * precision * gap)[0, 0]
        spread = 2 * sum(map(abs, slope)) + sum(map(abs, bend))
        exponent = arb(center - spread).union(arb(center + spread)) / 2
        return (-exponent).exp() / (2 * arb.pi() * arb(determinant).sqrt())


def _meets(start: Sequence[Any], step: Sequence[Any], low: Any, high: Any) -> bool:
    """Whether start + t step lies in the square |s_i| <= 1 for some t in [low, high]; None is infinity."""
    for x, dx in zip(start, step, strict=True):
        if not dx:
            if abs(x) > 1:
                return False
            continue
        ends = sorted(((-1 - x) / dx, (1 - x) / dx))
        low = ends[0] if low is None else max(low, ends[0])
        high = ends[1] if high is None else min(high, ends[1])
    return low is None or high is None or bool(low <= high)


def _intervals(gap: Formal) -> Iterator[tuple[Any, Any]]:
    """Where the terms of a density on a line are not zero."""
    places: dict[tuple[Any, ...], list[tuple[Any, Any]]] = {}
    for (*term, place), value in gap.items():
        places.setdefault(tuple(term), []).append((place, value))
    for changes in places.values():
        yield from _between(changes)


def _jump_intervals(gap: Formal) -> Iterator[tuple[Any, Any, Any]]:
    """Line and ends of the intervals across which a density on a plane jumps."""
    places: dict[Any, list[tuple[Any, Any]]] = {}
    for key, value in gap.items():
        if key != ("far",):
            places.setdefault(key[0], []).append((key[1], value))
    for line, changes in places.items():
        for low, high in _between(changes):
            yield tuple(fmpq(*v) for v in line), low, high


def _between(changes: Sequence[tuple[Name | None, Any]]) -> Iterator[tuple[Any, Any]]:
    """Intervals between the places of changes on which their sum is not zero."""
    changes = sorted(((None if place is None else fmpq(*place), value) for place, value in changes),
                     key=lambda item: (item[0] is not None, item[0] or 0))
    total = fmpq(0)
    for i, (place, value) in enumerate(changes):
        total += value
        if total:
            yield place, changes[i + 1][0] if i + 1 < len(changes) else None


def _is_within(polygon: Polygon, point: tuple[Any, Any]) -> bool:
    """Whether a polygon contains point + (delta, delta^2) for all small delta > 0."""
    for p, q in edges(polygon):
        if p[2] or q[2]:
            side = side_row(p, q)
            if (at(side, (*point, 1)), side[0], side[1]) < (0, 0, 0):
                return False
    return True


def _check_noisy(pair: Pair, parts: list[Part], others: list[Part], box: Box) -> None:
    n = pair.n
    if pair.noise is None or pair.noise[0] != "gaussian":
        reject("the probabilities of sets are compared without noise and with Gaussian noise")
    if box.directions != [[fmpq(int(i == k)) for k in range(n)] for i in range(n)]:
        reject("with noise the directions must be the unit vectors")
    noise = fmpq_mat([[exact(v) for v in r] for r in pair.noise[1]])
    first, second = (_bumps(side, mixture, noise, box.center)
                     for side, mixture in ((pair.first, parts), (pair.second, others)))
    inverse = noise.inv().tolist()
    # Two bounds of the largest eigenvalue of the inverse.
    largest = min(max(sum(map(abs, r), fmpq(0)) for r in inverse), sum((inverse[i][i] for i in range(n)), fmpq(0)))

    def gap() -> arb:
        scale = (2 * arb.pi()) ** (-arb(n) / 2)
        curvature = scale * arb(largest) / arb(noise.det()).sqrt()
        height = abs(scale * (_height(first) - _height(second))) - curvature * arb(box.radius * box.radius * n / 3)
        return height.max(arb(0))

    _require(gap, (2 * box.radius) ** n, box.at_least)


@dataclass(frozen=True)
class _Bump:
    """weight det(M)^(-1/2) exp(-square / 2) times a mass: a component on a cell, M its covariance of x."""

    weight: Any
    determinant: Any
    square: Any
    mass: Formal


def _height(bumps: Sequence[_Bump]) -> arb:
    return sum((arb(b.weight) * (-arb(b.square) / 2).exp() / arb(b.determinant).sqrt() * evaluate(b.mass)
                for b in bumps), arb(0))


def _bumps(side: Side, parts: Sequence[Part], noise: fmpq_mat, x: Sequence[Any]) -> list[_Bump]:
    r"""The density of f(Z) + noise at x, times :math:`(2 \pi)^{n/2}`.

    On a cell with f = A z + c a component N(mu, S) gives N(x; A mu + c, A S A^T + noise) times the mass of the cell
    under the posterior law of z.
    """
    out: list[_Bump] = []
    regular: list[Part] = []
    for weight, mean, covariance in parts:
        if not weight:
            continue
        if latent_dim(side.decoder) == 1:
            out.extend(_line_bumps(pieces(side.decoder), weight, mean[0], covariance[0][0], noise, x))
            continue
        (a, b), (_, d) = covariance
        if a * d != b * b:
            regular.append((weight, mean, covariance))
            continue
        assert isinstance(side.decoder, Network)
        along, variance = singular_axis(covariance)
        out.extend(_line_bumps(restricted(side.decoder, along, mean), weight, Fraction(0), variance, noise, x))
    if regular:
        assert isinstance(side.decoder, Network)
        for polygon, rows in all_cells(side.decoder):
            for part in regular:
                bump, center, spread = _posterior(rows, part, noise, x)
                out.append(_Bump(*bump, polygon_mass([polygon], center, spread)))
    return out


def _line_bumps(f: Pieces, weight: Fraction, mean: Fraction, variance: Fraction, noise: fmpq_mat,
                x: Sequence[Any]) -> Iterator[_Bump]:
    if not variance:
        rows = [[fmpq(0), exact(v)] for v in f.at(mean)]
        bump, _, _ = _posterior(rows, (weight, (mean,), ((Fraction(0),),)), noise, x)
        yield _Bump(*bump, {ONE: fmpq(1)})
        return
    for k, (slope, intercept) in enumerate(zip(f.slopes, f.intercepts, strict=True)):
        rows = [[exact(a), exact(c)] for a, c in zip(slope, intercept, strict=True)]
        bump, (center,), ((spread,),) = _posterior(rows, (weight, (mean,), ((variance,),)), noise, x)
        low, high = (None if end is None else exact(end) for end in f.ends(k))
        yield _Bump(*bump, interval_mass(low, high, center, spread))


def _posterior(rows: Sequence[Sequence[Any]], part: Part, noise: fmpq_mat,
               x: Sequence[Any]) -> tuple[tuple[Any, Any, Any], list[Any], list[list[Any]]]:
    """Weight, determinant and square of the Gaussian of x, and mean and covariance of z given x."""
    weight, mean, covariance = part
    n, m = len(rows), len(mean)
    a = fmpq_mat(n, m, [v for r in rows for v in r[:m]])
    mu, s = fmpq_mat(m, 1, [exact(v) for v in mean]), fmpq_mat(m, m, [exact(v) for r in covariance for v in r])
    gap = fmpq_mat(n, 1, [v - r[m] for v, r in zip(x, rows, strict=True)]) - a * mu
    spread = a * s * a.transpose() + noise
    solved = spread.solve(gap)
    gain = s * a.transpose()
    square = (gap.transpose() * solved)[0, 0]
    center: list[Any] = (mu + gain * solved).entries()
    return (exact(weight), spread.det(), square), center, (s - gain * spread.solve(gain.transpose())).tolist()
