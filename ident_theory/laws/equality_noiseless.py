"""A set to which two models without noise give different probabilities, from the formal sums of their laws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from flint import arb, ctx, fmpq

from ident_theory.exact.rationals import format_exact, fraction, nearest_float, rational
from ident_theory.laws.equality_parts import BITS, Difference
from ident_theory.laws.equality_sets import MARGIN, SetWitness, brief, can_be_written, lower_end, short_below
from ident_theory.laws.identity import Plain
from ident_theory.laws.plane_identity import LawParts
from ident_theory.laws.plane_identity_masses import total
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Stopwatch

#: Places at which the laws differ that are tried, those with an answer that are enough, and halvings of a box.
FEW, ENOUGH, HALVINGS = 40, 6, 60
#: Gaussians near whose means boxes are tried on every interval of a line.
SPOTS = 4
#: The share of its size at the center that a density difference keeps on a box, as enclosed; what the verifier
#: encloses in other terms may be wider.
KEPT = fmpq(7, 8)
Enclosure = Callable[[Sequence[arb]], arb]


def noiseless_set(first: LawParts, second: LawParts, gaps: Difference, watch: Stopwatch) -> SetWitness | None:
    """An atom, a stretch of a line or a parallelogram in a plane with different probabilities.

    None when none was found. The time ends the search for a better one.
    """
    for name, terms in list(gaps.atoms.items())[:FEW]:
        for bits in BITS:
            with ctx.workprec(bits):
                gap = abs(total(terms))
                if gap > 0:
                    center = [Fraction(*v) for v in name[0]]
                    return _found(center, [], Fraction(0), gap, "the point")
    return _line_set(first, second, gaps, watch) or _plane_set(first, second, gaps, watch)


def _found(center: Sequence[Fraction], directions: Sequence[Sequence[fmpq]], radius: Fraction, gap: arb,
           what: str) -> SetWitness | None:
    amount = lower_end(gap * MARGIN)
    if not can_be_written(amount):
        return None
    claim = short_below(amount)
    data = {"center": [plain_numbers(v) for v in center], "radius": format_exact(radius),
            "directions": [[plain_numbers(fraction(v)) for v in row] for row in directions],
            "at_least": format_exact(claim)}
    where = ", ".join(f"{nearest_float(v):.6g}" for v in center)
    return SetWitness(data, f"{what} around ({where}): its probabilities differ by {brief(claim)} at least")


def _shrunk(enclosure: Enclosure, center: Sequence[fmpq], radius: fmpq) -> tuple[fmpq, arb] | None:
    """A half width for which a density difference keeps most of its size on the box, and the least it gives the box."""
    for bits in BITS:
        with ctx.workprec(bits):
            middle = abs(enclosure([arb(v) for v in center]))
            if middle > 0:
                break
    else:
        return None
    for _ in range(HALVINGS):
        with ctx.workprec(bits):
            box = [arb(v - radius).union(arb(v + radius)) for v in center]
            least = abs(enclosure(box))
            if least > middle * KEPT:
                return radius, least.lower() * (2 * arb(radius)) ** len(center)
        radius /= 2
    return None


class _Best:
    """Of some boxes the one whose probabilities differ most, until enough answers are in or the time is over."""

    def __init__(self, watch: Stopwatch) -> None:
        self.found: tuple[list[fmpq], fmpq, arb] | None = None
        self._watch = watch
        self._answers = 0

    @property
    def is_enough(self) -> bool:
        return self._answers > 0 and (self._answers >= ENOUGH or self._watch.is_over)

    def offer(self, enclosure: Enclosure, center: list[fmpq], room: fmpq) -> None:
        """Try a box with this center and a half width below `room`."""
        box = _shrunk(enclosure, center, rational(short_below(fraction(room / 2))))
        if box is not None:
            self._answers += 1
            if self.found is None or box[1] > self.found[2]:
                self.found = center, *box


def _of(name: Plain) -> fmpq:
    return fmpq(*name)


def _normal(x: arb, mean: fmpq, variance: fmpq) -> arb:
    gap = x - arb(mean)
    return (-gap * gap / (2 * arb(variance))).exp() / (2 * arb.pi() * arb(variance)).sqrt()


def _line_set(first: LawParts, second: LawParts, gaps: Difference, watch: Stopwatch) -> SetWitness | None:
    """A stretch of a line on which the densities differ."""
    for line in list(dict.fromkeys(place[0] for place in gaps.lines))[:FEW]:
        direction, foot = ([_of(v) for v in part] for part in line)
        axis = next(i for i, v in enumerate(direction) if v)
        jumps = [(place, terms) for place, terms in gaps.lines.items() if place[0] == line]
        marks = {_of(name[3]) for part in (first, second) for name in part.lines
                 if name[0] == line and name[3] is not None}
        for part in (first, second):
            for name in part.atoms:
                x = [_of(v) for v in name[0]]
                if all(v == f + x[axis] * d for v, f, d in zip(x, foot, direction, strict=True)):
                    marks.add(x[axis])
        boxes: list[tuple[float, Enclosure, list[fmpq], fmpq]] = []
        for low, high in pairwise([None, *sorted(marks), None]):
            active = [(place, terms) for place, terms in jumps
                      if place[3] is None or (low is not None and _of(place[3]) <= low)]
            density = _line_density(active)
            for center, room in _line_spots(low, high, active) if active else ():
                boxes.append((_promise(density, center, room), density, center, room))
        best = _Best(watch)
        for _, density, center, room in sorted(boxes, key=lambda box: -box[0]):
            if not best.is_enough:
                best.offer(density, center, room)
        if best.found is not None:
            (x,), radius, gap = best.found
            center = [fraction(f + x * d) for f, d in zip(foot, direction, strict=True)]
            return _found(center, [direction], fraction(radius), gap, "the stretch")
    return None


def _promise(density: Enclosure, center: Sequence[fmpq], room: fmpq) -> float:
    """About how much the probabilities of a box differ."""
    with ctx.workprec(BITS[0]):
        return abs(float((density([arb(v) for v in center]) * arb(room)).mid()))


def _line_spots(low: fmpq | None, high: fmpq | None, active: Sequence[tuple[Any, Any]],
                ) -> Iterator[tuple[list[fmpq], fmpq]]:
    """Points of an interval, with their distance to its ends: near the means of some Gaussians, and its middle."""
    if low is not None and high is not None:
        yield [(low + high) / 2], (high - low) / 2
    for place, _ in active[:SPOTS]:
        mean, spread = _of(place[1]), _of(place[2])
        step = rational(short_below(Fraction(max(nearest_float(fraction(spread)) ** 0.5, 1e-300))))
        for x in (mean, mean + step, mean - step):
            if low is not None and x < low + step:
                x = low + step
            if high is not None and x > high - step:
                x = high - step
            room = min([step, *(abs(x - e) for e in (low, high) if e is not None)])
            if room > 0 and (low is None or x > low) and (high is None or x < high):
                yield [x], room


def _line_density(active: Sequence[tuple[Any, Any]]) -> Enclosure:
    """The difference of the densities on an interval, from the terms that have begun there.

    What stands as Phi(t) may elsewhere stand as 1 - Phi(-t), with a wider enclosure on an interval: the width of every
    Gaussian is added once more, so that a box that is small enough here is so in other terms, too.
    """
    terms = [(_of(place[1]), _of(place[2]), [_of(v) for v in place[4]] if len(place) == 5 else None, numbers,
              sum((abs(v) for v in numbers.values()), fmpq(0))) for place, numbers in active]

    def value(point: Sequence[arb]) -> arb:
        x, = point
        out, slack = arb(0), arb(0)
        for mean, variance, factor, numbers, size in terms:
            bell = _normal(x, mean, variance)
            slack += arb(size) * bell.rad()
            part = total(numbers) * bell
            if factor is not None:
                t = arb(factor[0]).sqrt() * x + arb(abs(factor[1])).sqrt() * (1 if factor[1] > 0 else -1)
                part *= (1 + (t / arb(2).sqrt()).erf()) / 2
            out += part
        return out + (-slack).union(slack)

    return value


def _plane_set(first: LawParts, second: LawParts, gaps: Difference, watch: Stopwatch) -> SetWitness | None:
    """A square of a plane on which the densities differ."""
    for plane in list(dict.fromkeys(name[0] for name in gaps.planes))[:FEW]:
        weights = PlaneWeights(name_value for name_value in gaps.planes.items() if name_value[0][0] == plane)
        pivots, numbers = plane
        n = len(numbers) // 3
        rows = [[_of(v) for v in numbers[i * n:(i + 1) * n]] for i in range(3)]
        lines = {tuple(_of(v) for v in name[2]) for part in (first, second) for name in part.planes
                 if name[0] == plane and len(name) == 4}
        points: list[list[fmpq]] = []
        for part in (first, second):
            for direction, foot in dict.fromkeys(name[0] for name in part.lines):
                _cross(rows, pivots, [_of(v) for v in direction], [_of(v) for v in foot], lines, points)
            for place in dict.fromkeys(name[0] for name in part.atoms):
                y = _inside(rows, pivots, [_of(v) for v in place])
                points += [] if y is None else [y]

        def room(y: Sequence[fmpq], lines: Any = lines, points: Any = points) -> fmpq | None:
            """Half width of a square around y that meets no border and no thinner carrier; None when there is none."""
            gaps = [abs(a * y[0] + b * y[1] - o) / (abs(a) + abs(b)) for a, b, o in lines]
            gaps += [max(abs(y[0] - p[0]), abs(y[1] - p[1])) for p in points]
            least = min(gaps, default=fmpq(1))
            return least or None

        best = _Best(watch)
        for y in weights.spots(lines, room):
            free = room(y)
            if free is not None:
                best.offer(weights.density(y), y, min(free, weights.reach))
            if best.is_enough:
                break
        if best.found is not None:
            y, radius, gap = best.found
            center = [fraction(f + y[0] * p + y[1] * q) for p, q, f in zip(*rows, strict=True)]
            return _found(center, rows[:2], fraction(radius), gap, "the parallelogram")
    return None


class PlaneWeights:
    """The weights of Gaussians on a plane as functions of the place, from their jumps and their values far out."""

    def __init__(self, terms: Iterable[tuple[tuple[Any, ...], fmpq]]) -> None:
        self.far: dict[Any, fmpq] = {}
        self.steps: dict[Any, dict[tuple[fmpq, ...], list[tuple[Any, fmpq]]]] = {}
        for name, value in terms:
            if len(name) == 2:
                self.far[name[1]] = value
            else:
                line = tuple(_of(v) for v in name[2])
                at = None if name[3] is None else _of(name[3])
                self.steps.setdefault(name[1], {}).setdefault(line, []).append((at, value))
        self.gaussians = list(dict.fromkeys([*self.far, *self.steps]))
        for borders in self.steps.values():
            for jumps in borders.values():
                jumps.sort(key=lambda jump: (jump[0] is not None, jump[0] or fmpq(0)))
        least = min(min(nearest_float(Fraction(*g[2])), nearest_float(Fraction(*g[4]))) for g in self.gaussians)
        #: A half width on which the Gaussians do not change much.
        self.reach = rational(short_below(Fraction(max(least ** 0.5, 1e-150))))

    def at(self, gaussian: Any, y: Sequence[fmpq]) -> fmpq:
        """The weight at a point off all borders: that far out plus the jumps on the way there.

        The way runs along (1, 0), turned a little towards (0, 1).
        """
        weight = self.far.get(gaussian, fmpq(0))
        for (a, b, o), jumps in self.steps.get(gaussian, {}).items():
            if a * y[0] + b * y[1] < o:
                weight += sum((v for t, v in jumps if not a or t is None or t <= y[1]), fmpq(0))
        return weight

    def density(self, y: Sequence[fmpq]) -> Enclosure:
        """The difference of the densities on the part of the plane that holds a point."""
        weights = [(g, w) for g in self.gaussians if (w := self.at(g, y))]

        def value(point: Sequence[arb]) -> arb:
            out = arb(0)
            for (m1, m2, s, t, u), w in ((tuple(_of(v) for v in g), w) for g, w in weights):
                det = s * u - t * t
                p, q = point[0] - arb(m1), point[1] - arb(m2)
                square = (arb(u) * p * p - 2 * arb(t) * p * q + arb(s) * q * q) / arb(det)
                out += arb(w) * (-square / 2).exp() / arb(det).sqrt()
            return out / (2 * arb.pi())

        return value

    def spots(self, lines: Any, room: Callable[[Sequence[fmpq]], fmpq | None]) -> Iterator[list[fmpq]]:
        """Points at which the weights may differ: near means, and on both sides of borders where they jump."""
        for g in self.gaussians[:FEW]:
            yield [_of(g[0]) + self.reach * fmpq(17, 97), _of(g[1]) + self.reach * fmpq(13, 89)]
        for borders in list(self.steps.values())[:FEW]:
            for line, jumps in list(borders.items())[:4]:
                a, b, o = line
                marks = sorted({t for t, _ in jumps if t is not None} | _crossings(line, lines))
                for t in _between(marks, self.reach):
                    if not sum((v for at, v in jumps if at is None or at <= t), fmpq(0)):
                        continue
                    y = [o - b * t, t] if a else [t, o]
                    others = [abs(c * y[0] + d * y[1] - e) / (abs(c) + abs(d)) for c, d, e in lines
                              if (c, d, e) != line]
                    step = min([self.reach, *others]) / 2
                    for sign in (1, -1):
                        yield [y[0] + sign * a * step, y[1] + (sign * step if not a else fmpq(0))]


def _crossings(line: tuple[fmpq, ...], lines: Iterable[tuple[fmpq, ...]]) -> set[fmpq]:
    """Where other lines cross a line, in its own coordinate."""
    a, b, o = line
    out = set()
    for c, d, e in lines:
        slope, rest = (d - c * b, e - c * o) if a else (c, e - d * o)
        if slope:
            out.add(rest / slope)
    return out


def _between(marks: Sequence[fmpq], step: fmpq) -> Iterator[fmpq]:
    """A point of every interval that some marks leave, most of them the middles."""
    if not marks:
        yield fmpq(0)
        return
    yield marks[0] - step
    for low, high in pairwise(marks):
        yield (low + high) / 2
    yield marks[-1] + step


def _inside(rows: Sequence[Sequence[fmpq]], pivots: Sequence[int], x: Sequence[fmpq]) -> list[fmpq] | None:
    """The coordinates of a point in a plane, None when it is not there."""
    y = [x[j] for j in pivots]
    fits = all(v == f + y[0] * p + y[1] * q for v, p, q, f in zip(x, *rows, strict=True))
    return y if fits else None


def _cross(rows: Sequence[Sequence[fmpq]], pivots: Sequence[int], direction: Sequence[fmpq], foot: Sequence[fmpq],
           lines: set[tuple[fmpq, ...]], points: list[list[fmpq]]) -> None:
    """Add what a line has in common with a plane: itself as a line of the plane, or a point."""
    # off(v) = 0 for vectors of the plane; then foot - plane foot + t direction must vanish there.
    def off(v: Sequence[fmpq]) -> list[fmpq]:
        return [x - v[pivots[0]] * p - v[pivots[1]] * q for x, p, q in zip(v, rows[0], rows[1], strict=True)]

    gap = [x - f for x, f in zip(off(foot), rows[2], strict=True)]
    turn = off(direction)
    axis = next((i for i, v in enumerate(turn) if v), None)
    if axis is None:
        if not any(gap):
            d1, d2 = (direction[j] for j in pivots)
            n1, n2 = d2, -d1
            lead = n1 or n2
            offset = n1 * foot[pivots[0]] + n2 * foot[pivots[1]]
            lines.add((n1 / lead, n2 / lead, offset / lead))
        return
    t = -gap[axis] / turn[axis]
    if not any(g + t * v for g, v in zip(gap, turn, strict=True)):
        points.append([foot[j] + t * direction[j] for j in pivots])
