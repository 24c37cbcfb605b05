"""Whether two models of one or two latents are equal in law, by brute force and without the package's geometry.

Cells are all sign patterns that Fourier and Motzkin leave; the part with a density on planes is compared Gaussian by
Gaussian at a rational point of every face of the arrangement of all edges (exact), the parts on lines and the atoms
in 60 digits.
"""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import mpmath as mp
from flint import fmpq

from ident_theory import Model, PiecewiseAffineMap, ReLUNetwork

Row = tuple[fmpq, ...]
#: Linear functions [g, g0], positive in the open cell.
Cell = list[Row]
ZERO, ONE, TWO = fmpq(0), fmpq(1), fmpq(2)
DIGITS = 60
#: Relative differences below this are rounding at 60 digits; terms of one sum cancel by far less than 20 digits.
SAME = mp.mpf(10) ** -40


class Verdict(enum.Enum):
    EQUAL = "equal, decided exactly"
    AGREES = "equal to 40 digits wherever it was looked"
    DIFFERENT = "different"


@dataclass
class Pieces:
    """What a law consists of, each part under the plane, line or point that carries it."""

    planes: dict[Any, list[tuple[Any, Cell, fmpq]]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[Any, list[tuple[Any, Any, fmpq]]] = field(default_factory=lambda: defaultdict(list))
    atoms: dict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))


def exact(value: Any) -> fmpq:
    return fmpq(int(value.numerator), int(value.denominator))


def dot(row: Sequence[fmpq], v: Sequence[fmpq]) -> fmpq:
    return sum((a * b for a, b in zip(row, v, strict=True)), ZERO)


def at(g: Row, z: Sequence[fmpq]) -> fmpq:
    return dot(g[:-1], z) + g[-1]


def real(value: fmpq) -> mp.mpf:
    return mp.mpf(int(value.p)) / int(value.q)


def interior_point(cell: Sequence[Row], m: int) -> list[fmpq] | None:
    """A point where all functions are positive, by the elimination of Fourier and Motzkin; None without one."""
    if m == 0:
        return [] if all(g[0] > 0 for g in cell) else None
    low = [g for g in cell if g[m - 1] > 0]
    high = [g for g in cell if g[m - 1] < 0]
    rest = [(*g[:m - 1], g[m]) for g in cell if g[m - 1] == 0]
    for u in low:
        for v in high:
            rest.append(tuple(a / u[m - 1] - b / v[m - 1] for a, b in zip((*u[:m - 1], u[m]), (*v[:m - 1], v[m]),
                                                                          strict=True)))
    z = interior_point(list(dict.fromkeys(rest)), m - 1)
    if z is None:
        return None
    floor = max((-at((*g[:m - 1], g[m]), z) / g[m - 1] for g in low), default=None)
    top = min((-at((*g[:m - 1], g[m]), z) / g[m - 1] for g in high), default=None)
    if floor is None or top is None:
        last = ZERO if floor is None and top is None else (top - 1 if floor is None else floor + 1)
    else:
        last = (floor + top) / 2
    return [*z, last]


def cells_of(f: ReLUNetwork | PiecewiseAffineMap) -> Iterator[tuple[Cell, list[Row]]]:
    """Open cells with interior, and the affine map of each as rows [a, c]."""
    if isinstance(f, PiecewiseAffineMap):
        breaks = [exact(t) for t in f.breakpoints_exact]
        for k, (a, c) in enumerate(zip(f.slopes_exact, f.intercepts_exact, strict=True)):
            cell: Cell = [] if k == 0 else [(ONE, -breaks[k - 1])]
            cell += [] if k == len(breaks) else [(-ONE, breaks[k])]
            yield cell, [(exact(s), exact(i)) for s, i in zip(a, c, strict=True)]
        return
    m, slope = f.latent_dim, exact(f.negative_slope_exact)
    start = [tuple(ONE if i == j else ZERO for j in range(m + 1)) for i in range(m)]
    open_cells: list[tuple[Cell, list[Row]]] = [([], start)]
    for layer, (weights, biases) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        grown = []
        for cell, rows in open_cells:
            after = []
            for w, b in zip(weights, biases, strict=True):
                total = [ZERO] * m + [exact(b)]
                for v, row in zip(w, rows, strict=True):
                    total = [t + exact(v) * r for t, r in zip(total, row, strict=True)]
                after.append(tuple(total))
            grown.append((cell, after))
        if layer == f.depth - 1:
            yield from grown
            return
        open_cells = []
        for cell, rows in grown:
            parts: list[tuple[Cell, list[Row]]] = [(cell, [])]
            for row in rows:
                minus, leaky = tuple(-v for v in row), tuple(slope * v for v in row)
                following = []
                for part, done in parts:
                    if not any(row[:-1]):
                        following.append((part, [*done, row if row[-1] > 0 else leaky]))
                        continue
                    for side, out in ((row, row), (minus, leaky)):
                        if interior_point([*part, side], m) is not None:
                            following.append(([*part, side], [*done, out]))
                parts = following
            open_cells += parts


def value(f: ReLUNetwork | PiecewiseAffineMap, z: Sequence[fmpq]) -> tuple[fmpq, ...]:
    """f(z), exactly; a breakpoint belongs to the piece on its right."""
    if isinstance(f, PiecewiseAffineMap):
        k = sum(exact(t) <= z[0] for t in f.breakpoints_exact)
        return tuple(exact(a) * z[0] + exact(c)
                     for a, c in zip(f.slopes_exact[k], f.intercepts_exact[k], strict=True))
    hidden, slope = list(z), exact(f.negative_slope_exact)
    for layer, (w, b) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        hidden = [dot([exact(v) for v in row], hidden) + exact(c) for row, c in zip(w, b, strict=True)]
        if layer < f.depth - 1:
            hidden = [h if h > 0 else slope * h for h in hidden]
    return tuple(hidden)


def on_line(f: ReLUNetwork, point: Sequence[Any], direction: Sequence[Any]) -> ReLUNetwork:
    """t -> f(point + t direction)."""
    w, b = f.weights_exact[0], f.biases_exact[0]
    return ReLUNetwork([[[v] for v in w @ direction], *f.weights_exact[1:]],
                       [b + w @ point, *f.biases_exact[1:]], f.negative_slope_exact)


def pieces_of(model: Model) -> Pieces:
    """The law of f(Z)."""
    found, f, prior = Pieces(), model.decoder, model.mixture
    cells = [(cell, list(zip(*rows, strict=True))) for cell, rows in cells_of(f)]
    for w, mean, covariance in zip(prior.weights_exact, prior.means_exact, prior.covariances_exact, strict=True):
        if not w:
            continue
        weight, m = exact(w), len(mean)
        mu, sigma = [exact(v) for v in mean], [[exact(v) for v in row] for row in covariance]
        if not any(v for row in sigma for v in row):
            found.atoms[value(f, mu)].append(weight)
        elif m == 1:
            for cell, columns in cells:
                _add_line_cell(found, cell, columns, mu[0], sigma[0][0], weight)
        elif sigma[0][0] * sigma[1][1] == sigma[0][1] ** 2:
            j = 0 if sigma[0][0] else 1
            for cell, rows in cells_of(on_line(f, mean, covariance[j])):
                _add_line_cell(found, cell, list(zip(*rows, strict=True)), ZERO, 1 / sigma[j][j], weight)
        else:
            for cell, columns in cells:
                _add_plane_cell(found, cell, columns, mu, sigma, weight)
    return found


def _line_of(slope: Row, intercept: Row) -> tuple[Any, int]:
    """The line of intercept + t slope, and the coordinate that runs along it."""
    axis = next(i for i, a in enumerate(slope) if a)
    direction = tuple(a / slope[axis] for a in slope)
    return (direction, tuple(c - intercept[axis] * d for c, d in zip(intercept, direction, strict=True))), axis


def _add_line_cell(found: Pieces, cell: Cell, columns: list[Row], mu: fmpq, variance: fmpq, weight: fmpq) -> None:
    slope, intercept = columns
    if not any(slope):
        found.atoms[intercept].append(("interval", cell, mu, variance, weight))
        return
    line, axis = _line_of(slope, intercept)
    a, c = slope[axis], intercept[axis]
    image = [(g[0] / a, g[1] - g[0] * c / a) for g in cell]
    found.lines[line].append(((a * mu + c, a * a * variance), ("whole", image), weight))


def _add_plane_cell(found: Pieces, cell: Cell, columns: list[Row], mu: list[fmpq], sigma: list[list[fmpq]],
                    weight: fmpq) -> None:
    u, v, c = columns
    pair = next(((i, j) for i, j in combinations(range(len(c)), 2) if u[i] * v[j] != u[j] * v[i]), None)
    if pair is not None:
        a = [[u[i], v[i]] for i in pair]
        det = a[0][0] * a[1][1] - a[0][1] * a[1][0]
        back = [[a[1][1] / det, -a[0][1] / det], [-a[1][0] / det, a[0][0] / det]]
        axes = tuple(tuple(u[k] * back[0][i] + v[k] * back[1][i] for k in range(len(c))) for i in (0, 1))
        start = [c[i] for i in pair]
        foot = tuple(c[k] - axes[0][k] * start[0] - axes[1][k] * start[1] for k in range(len(c)))
        mean = tuple(dot(row, mu) + s for row, s in zip(a, start, strict=True))
        moved = [dot(row, [dot(s, other) for s in sigma]) for row in a for other in a]
        image = []
        for g in cell:
            h = [g[0] * back[0][i] + g[1] * back[1][i] for i in (0, 1)]
            image.append((*h, g[2] - dot(h, start)))
        found.planes[axes, foot].append(((mean, tuple(moved)), image, weight))
        return
    if not any(u) and not any(v):
        found.atoms[c].append(("polygon", cell, mu, sigma, weight))
        return
    main = u if any(u) else v
    line, axis = _line_of(main, c)
    beta, alpha = [u[axis], v[axis]], c[axis]
    spread = [dot(row, beta) for row in sigma]
    found.lines[line].append(((dot(beta, mu) + alpha, dot(spread, beta)),
                              ("chord", cell, beta, alpha, mu, spread, sigma), weight))


# Comparison


def compare_laws(a: Model, b: Model) -> tuple[Verdict, str]:
    """Whether the laws of f(Z) are equal, and where they differ."""
    with mp.workdps(DIGITS):
        first, second = pieces_of(a), pieces_of(b)
        for plane in {*first.planes, *second.planes}:
            where = _plane_differs(first.planes.get(plane, []), second.planes.get(plane, []))
            if where is not None:
                return Verdict.DIFFERENT, f"at {where} in a plane"
        doubt = False
        for line in {*first.lines, *second.lines}:
            where, is_exact = _line_differs(first.lines.get(line, []), second.lines.get(line, []))
            if where is not None:
                return Verdict.DIFFERENT, f"at {where} on a line"
            doubt |= not is_exact
        places = {*first.atoms, *second.atoms}
        for place in places if len(places) > 1 else ():
            parts = [side.atoms.get(place, []) for side in (first, second)]
            if Counter(map(str, parts[0])) == Counter(map(str, parts[1])):
                continue
            masses = [mp.fsum(map(_mass, items)) for items in parts]
            coarse = any("polygon" in item for items in parts for item in items if isinstance(item, tuple))
            if abs(masses[0] - masses[1]) > (mp.mpf(10) ** -18 if coarse else SAME * max(masses)):
                return Verdict.DIFFERENT, f"atom at {place}: {mp.nstr(masses[0], 20)}, {mp.nstr(masses[1], 20)}"
            doubt = True
    return (Verdict.AGREES if doubt else Verdict.EQUAL), ""


def _plane_differs(one: list[Any], other: list[Any]) -> Any:
    """A rational point inside a face of the arrangement where the two sums of Gaussians differ."""
    gaussians = defaultdict(list)
    for parts, sign in ((one, ONE), (other, -ONE)):
        for gaussian, cell, weight in parts:
            gaussians[gaussian].append((cell, sign * weight))
    for signed in gaussians.values():
        for point in _face_points([g for cell, _ in signed for g in cell]):
            if sum((w for cell, w in signed if all(at(g, point) > 0 for g in cell)), ZERO):
                return point
    return None


def _face_points(functions: Sequence[Row]) -> Iterator[list[fmpq]]:
    """A point in every face of an arrangement of lines: slabs between the vertices, then gaps between the lines."""
    lines = list({(1, g[1] / g[0], g[2] / g[0]) if g[0] else (0, ONE, g[2] / g[1]) for g in functions if any(g[:2])})
    crossings = {(u[1] * v[2] - v[1] * u[2]) / (u[0] * v[1] - v[0] * u[1]) for u, v in combinations(lines, 2)
                 if u[0] * v[1] != v[0] * u[1]} | {-g[2] for g in lines if not g[1]}
    for x in _between(sorted(crossings)):
        for y in _between(sorted({-(g[0] * x + g[2]) / g[1] for g in lines if g[1]})):
            yield [x, y]


def _between(values: Sequence[fmpq]) -> list[fmpq]:
    if not values:
        return [ZERO]
    return [values[0] - 1, *((a + b) / 2 for a, b in zip(values[:-1], values[1:], strict=True)), values[-1] + 1]


def _line_differs(one: list[Any], other: list[Any]) -> tuple[Any, bool]:
    """A point of a line near which the two densities differ, and whether that was decided in rationals.

    Gaussian by Gaussian: sums of different Gaussians, each times finitely many normal distribution functions of
    affine functions, vanish on an interval only term by term.
    """
    gaussians = defaultdict(list)
    for parts, sign in ((one, ONE), (other, -ONE)):
        for gaussian, shape, weight in parts:
            gaussians[gaussian].append((shape, sign * weight))
    is_exact = True
    for gaussian, signed in gaussians.items():
        breaks = sorted({s for shape, _ in signed for s in _breaks(shape)})
        plain = [w for shape, w in signed if shape[0] == "whole"]
        if len(plain) == len(signed):
            for s in _between(breaks):
                if sum((w for shape, w in signed if all(g[0] * s + g[1] > 0 for g in shape[1])), ZERO):
                    return s, True
            continue
        is_exact = False
        thirds = {u + (v - u) / 3 for u, v in zip(breaks[:-1], breaks[1:], strict=True)}
        for s in {*_between(breaks), *thirds}:
            shares = [real(w) * _share(shape, gaussian, s) for shape, w in signed]
            if abs(mp.fsum(shares)) > SAME * mp.fsum(map(abs, shares)):
                return s, False
    return None, is_exact


def _breaks(shape: Any) -> list[fmpq]:
    """Where a density on a line can fail to be analytic."""
    if shape[0] == "whole":
        return [-g[1] / g[0] for g in shape[1] if g[0]]
    _, cell, beta, alpha, *_ = shape
    found = []
    for g, h in combinations(cell, 2):
        det = g[0] * h[1] - g[1] * h[0]
        if det:
            x, y = (g[1] * h[2] - h[1] * g[2]) / det, (h[0] * g[2] - g[0] * h[2]) / det
            found.append(beta[0] * x + beta[1] * y + alpha)
    for g in cell:
        if g[0] * beta[1] == g[1] * beta[0]:  # an edge across the direction of the line
            k = g[0] / beta[0] if beta[0] else g[1] / beta[1]
            found.append(alpha - g[2] / k)
    return found


def _density(gaussian: tuple[fmpq, fmpq], s: fmpq) -> mp.mpf:
    mean, variance = map(real, gaussian)
    return mp.exp(-(real(s) - mean) ** 2 / (2 * variance)) / mp.sqrt(2 * mp.pi * variance)


def _share(shape: Any, gaussian: tuple[fmpq, fmpq], s: fmpq) -> mp.mpf:
    """The probability that z lies in the cell, given where f(z) is on the line."""
    if shape[0] == "whole":
        return mp.mpf(int(all(g[0] * s + g[1] > 0 for g in shape[1])))
    _, cell, beta, _, mu, spread, sigma = shape
    mean, variance = gaussian
    # z = mu + spread (s - mean) / variance + t across, with across in the kernel of beta.
    middle = [m + k * (s - mean) / variance for m, k in zip(mu, spread, strict=True)]
    across = [-beta[1], beta[0]]
    det = sigma[0][0] * sigma[1][1] - sigma[0][1] ** 2
    spread_across = mp.sqrt(real(det / variance))  # std of t: det(sigma) / variance with |(beta, across)| = |beta|^2
    low, high = -mp.inf, mp.inf
    for g in cell:
        slope, start = dot(g[:2], across), at(g, middle)
        if slope == 0:
            if start <= 0:
                return mp.mpf(0)
        elif slope > 0:
            low = max(low, real(-start / slope))
        else:
            high = min(high, real(-start / slope))
    return _normal(low / spread_across, high / spread_across) if low < high else mp.mpf(0)


def _normal(low: mp.mpf, high: mp.mpf) -> mp.mpf:
    """P(low < N(0, 1) < high), from the nearer tail."""
    if low > 0:
        low, high = -high, -low
    root = mp.sqrt(2)
    return (mp.erfc(-high / root) - mp.erfc(-low / root)) / 2


def _mass(item: Any) -> mp.mpf:
    """The mass of one part of an atom."""
    if isinstance(item, fmpq):
        return real(item)
    kind, cell, mu, spread, weight = item
    if kind == "interval":
        std = mp.sqrt(real(spread))
        low = max((real(-g[1] / g[0] - mu) / std for g in cell if g[0] > 0), default=-mp.inf)
        high = min((real(-g[1] / g[0] - mu) / std for g in cell if g[0] < 0), default=mp.inf)
        return real(weight) * _normal(low, high)
    gaussian = mu[0], spread[0][0]
    shape = ("chord", cell, [ONE, ZERO], ZERO, mu, [spread[0][0], spread[0][1]], spread)
    std = mp.sqrt(real(spread[0][0]))
    ends = sorted({*(real(s) for s in _breaks(shape)), *(real(mu[0]) + k * std for k in (-16, -8, -3, 0, 3, 8, 16))})
    with mp.workdps(25):
        return real(weight) * mp.quad(lambda s: _density(gaussian, _exactly(s)) * _share(shape, gaussian, _exactly(s)),
                                      ends)


def _exactly(s: mp.mpf) -> fmpq:
    """A binary number of mpmath as the rational it is."""
    sign, mantissa, exponent, _ = s._mpf_
    return fmpq((-1) ** sign * int(mantissa)) * (fmpq(2) ** int(exponent))
