"""The depth-first walk through the cells of a network of two latents.

All maps are integer matrices over one common denominator a layer, so lines and corners are integers too. Which line
cuts what is decided by `plane_filter` in floats where they prove the sign, here in integers where they do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import NamedTuple

import numpy as np
from flint import fmpq, fmpz, fmpz_mat

from ident_theory.geometry import plane_filter as filter_
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.value import FloatArray

#: A corner in homogeneous coordinates: (x, y, 1) is a point, (x, y, 0) the direction of a ray to infinity.
Corner = tuple[fmpq, fmpq, fmpq]
#: Corners, rows of A, c, pattern.
RawCell = tuple[tuple[Corner, ...], tuple[tuple[fmpq, fmpq], ...], tuple[fmpq, ...], str]
Integers = tuple[fmpz, fmpz, fmpz]

_INFINITY_LINE: Integers = (fmpz(0), fmpz(0), fmpz(1))
_AXES: tuple[Integers, ...] = tuple((fmpz(x), fmpz(y), fmpz(0)) for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)))
_WHOLE_PLANE = np.array([(0, k, filter_.INFINITY) for k in range(4)], dtype=np.int32)
_ZERO, _ONE = fmpq(0), fmpq(1)
#: Corners kept for the parts that follow; in a depth-first walk most are needed again soon or never.
_REMEMBERED = 1024
_U = 2.0**-53
#: Integers below are floats.
_EXACT = 2.0**53
#: Products of three floats up to here do not overflow.
_HUGE = 1e100


class _Floats(NamedTuple):
    """Float64 entries, shape (k, 3), with a bound of the error of each."""

    values: FloatArray
    errors: FloatArray


class _Scaled(NamedTuple):
    """Lines as `plane_filter.Workspace` takes them."""

    values: FloatArray
    errors: FloatArray
    small: np.ndarray


class _Layer:
    """An affine layer over one denominator: x -> (W x + b) / q."""

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        common = lcm(*(v.denominator for v in (*weights.flat, *bias)))
        self.q = fmpz(common)
        integers = [[int(v * common) for v in row] for row in weights]
        self.weights = fmpz_mat(integers)
        self.bias = [int(v * common) for v in bias]
        self.columns = [fmpz_mat([[v] for v in column]) for column in zip(*integers, strict=True)]
        entries, offsets = _to_floats([v for row in integers for v in row]), _to_floats(self.bias)
        self._floats = None if entries is None or offsets is None else (entries.reshape(weights.shape), offsets)

    def after(self, rows: fmpz_mat, q: fmpz) -> fmpz_mat:
        """Numerators, over q times this layer's q, of the layer applied to the affine map rows / q, (width, 3)."""
        out = self.weights * rows
        for i, b in enumerate(self.bias):
            if b:
                out[i, 2] += b * q
        return out

    def after_floats(self, rows: _Floats, q: fmpz) -> _Floats | None:
        """The same in floats; None where they overflow. Integers below 2^53 stay free of error."""
        if self._floats is None or q >= int(_HUGE):
            return None
        weights, bias = self._floats
        scale = float(int(q))
        shift, sizes = bias * scale, np.abs(weights)
        values, size = weights @ rows.values, sizes @ np.abs(rows.values)
        values[:, 2] += shift
        size[:, 2] += np.abs(shift)
        top = max(size.max(), sizes.max(), np.abs(bias).max(), scale)
        if top < _EXACT and not rows.errors.any():
            return _Floats(values, np.zeros_like(values))
        # Roundings of both factors, the product, a sum of any order and the bias.
        errors = (sizes @ rows.errors + (len(rows.values) + 8) * _U * size) * (1 + 2.0**-40)
        return _Floats(values, errors) if top < _HUGE else None


class PlaneWalk:
    """Yields the cells of one network; holds one workspace a hidden layer."""

    def __init__(self, network: ReLUNetwork) -> None:
        self._layers = [_Layer(w, b) for w, b in zip(network.weights_exact, network.biases_exact, strict=True)]
        slope = network.negative_slope_exact
        self._below, self._above = fmpz(slope.numerator), fmpz(slope.denominator)
        self._factors = _to_floats([slope.numerator, slope.denominator])
        self._spaces: list[filter_.Workspace | None] = [None] * len(self._layers)

    def cells(self) -> Iterator[RawCell]:
        """All cells, in the order of their patterns."""
        layer, identity = self._layers[0], [[1, 0, 0], [0, 1, 0]]
        floats = layer.after_floats(_Floats(np.array(identity, dtype=np.float64), np.zeros((2, 3))), fmpz(1))
        infinity = _Scaled(np.array([[0.0, 0.0, 1.0]]), np.zeros((1, 3)), np.array([True]))
        yield from self._visit(0, [_INFINITY_LINE], infinity, _WHOLE_PLANE,
                               layer.after(fmpz_mat(identity), fmpz(1)), floats, layer.q, "")

    def _visit(self, level: int, lines: list[Integers], scaled: _Scaled, polygon: np.ndarray,
               numerators: fmpz_mat, floats: _Floats | None, q: fmpz, pattern: str) -> Iterator[RawCell]:
        """The cells inside one cell of the layers before `level`, whose units are numerators / q on it.

        `lines` are those that `polygon` refers to; `scaled` and `floats` are `lines` and `numerators` in floats.
        """
        corners = _Corners(lines, numerators)
        if level == len(self._layers) - 1:  # reached at once by networks without a hidden layer
            yield _finished(corners, polygon, numerators, q, pattern)
            return
        layer, last = self._layers[level + 1], level + 2 == len(self._layers)
        following, next_q, bent_q = None, q * self._above * layer.q, q * self._above
        steps: dict[int, fmpz_mat] = {}
        previous = np.empty(0)
        for part, signs in self._parts(level, corners, scaled, polygon, floats):
            if following is None:
                factors = [self._above if s == filter_.PLUS else self._below for s in signs.tolist() for _ in range(3)]
                bent = [v * f for v, f in zip(numerators.entries(), factors, strict=True)]
                following = layer.after(fmpz_mat(len(signs), 3, bent), bent_q)
            else:
                for u in np.flatnonzero(signs != previous).tolist():
                    if u not in steps:
                        row = [(self._above - self._below) * v for v in corners.unit(u)]
                        steps[u] = layer.columns[u] * fmpz_mat(1, 3, row)
                    following = following + steps[u] if signs[u] == filter_.PLUS else following - steps[u]
            previous = signs
            longer = pattern + signs.tobytes().decode("ascii")
            if last:
                yield _finished(corners, part, following, next_q, longer)
                continue
            kept, renamed = corners.restrict(part)
            work = self._spaces[level]
            known = scaled if work is None else _Scaled(work.lines[kept], work.line_errors[kept], work.small[kept])
            yield from self._visit(level + 1, [corners.line(k) for k in kept], known, renamed, following,
                                   self._floats_after(layer, floats, signs, bent_q), next_q, longer)

    def _floats_after(self, layer: _Layer, floats: _Floats | None, signs: np.ndarray, q: fmpz) -> _Floats | None:
        if floats is None or self._factors is None:
            return None
        factor = np.where(signs == filter_.PLUS, self._factors[1], self._factors[0])[:, None]
        values, errors = floats.values * factor, floats.errors * np.abs(factor)
        if errors.any() or np.abs(values).max() >= _EXACT or np.abs(self._factors).max() >= _EXACT:
            errors = (errors + 4 * _U * np.abs(values)) * (1 + 2.0**-40)
        return layer.after_floats(_Floats(values, errors), q)

    def _parts(self, level: int, corners: _Corners, scaled: _Scaled, polygon: np.ndarray,
               floats: _Floats | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Cut a cell by the zero lines of its units: the corners and sides of each part, and its signs."""
        first, count = len(scaled.values), corners.n_units
        if self._below == self._above:
            yield polygon, np.full(count, filter_.PLUS, dtype=np.uint8)
            return
        if floats is None:
            floats = _rounded([corners.unit(u) for u in range(count)])
        work = self._spaces[level]
        if work is None or len(work.lines) < first + count or work.corners.shape[1] < len(polygon) + 2 * count + 2:
            work = filter_.workspace(2 * first + count + 8, 2 * len(polygon) + 8, count)
            self._spaces[level] = work
        size = np.abs(floats.values).max(axis=1)
        small = (size <= filter_.SMALL) & ~floats.errors.any(axis=1)
        scale = np.where(small, 0, -np.frexp(size)[1])[:, None]
        work.lines[:first], work.line_errors[:first], work.small[:first] = scaled
        units = slice(first, first + count)
        work.lines[units], work.line_errors[units] = np.ldexp(floats.values, scale), np.ldexp(floats.errors, scale)
        work.small[units] = small
        pattern = np.full(count, filter_.PLUS, dtype=np.uint8)
        may_cut = np.any(np.abs(floats.values[:, :2]) > floats.errors[:, :2], axis=1)
        for u in np.flatnonzero(~may_cut).tolist():
            a, b, c = corners.unit(u)
            may_cut[u] = bool(a or b)
            pattern[u] = filter_.PLUS if c >= 0 else filter_.MINUS
        cutting = np.flatnonzero(may_cut).astype(np.int32)
        status = filter_.begin(work, first, polygon, cutting, pattern)
        while True:
            if status == filter_.UNSETTLED:
                _settle(work, corners, cutting)
            status = filter_.advance(work, first, count)
            start = 0
            for k in range(work.state[1]):
                end = int(work.found_ends[k])
                yield work.found_refs[start:end], work.found_patterns[k].copy()
                start = end
            if status == filter_.DONE:
                return


class _Corners:
    """Exact lines of one cell and its units, and the corners where they meet."""

    def __init__(self, lines: list[Integers], numerators: fmpz_mat) -> None:
        self._lines, self._numerators = lines, numerators
        self.n_units = numerators.nrows()
        self._units: dict[int, Integers] = {}
        self._known: dict[tuple[int, int], Corner] = {}

    def unit(self, u: int) -> Integers:
        """The line of unit u."""
        found = self._units.get(u)
        if found is None:
            found = self._units[u] = self._numerators[u, 0], self._numerators[u, 1], self._numerators[u, 2]
        return found

    def line(self, k: int) -> Integers:
        """Line k: those of the cell come first, its units after them."""
        return self._lines[k] if k < len(self._lines) else self.unit(k - len(self._lines))

    def homogeneous(self, r: int, s: int) -> Integers:
        """Integers (X, Y, W) of a corner, W >= 0."""
        if r == 0:
            return _AXES[s]
        a, b, c = self.line(abs(r) - 1)
        if r == s:
            return -c * a, -c * b, a * a + b * b
        d, e, f = self.line(abs(s) - 1)
        if (r > 0) != (s > 0):
            d, e, f = -d, -e, -f
        return b * f - c * e, c * d - a * f, a * e - b * d

    def corner(self, key: tuple[int, int]) -> Corner:
        """The same in rationals: W is 1, or 0 with |X| + |Y| = 1."""
        found = self._known.get(key)
        if found is None:
            x, y, w = self.homogeneous(*key)
            if w:
                found = fmpq(x, w), fmpq(y, w), _ONE
            else:
                size = abs(x) + abs(y)
                found = fmpq(x, size), fmpq(y, size), _ZERO
            if len(self._known) == _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found

    def restrict(self, part: np.ndarray) -> tuple[list[int], np.ndarray]:
        """The lines that a part refers to, that at infinity first, and the part with its references renamed."""
        names = {1: 1}
        renamed: list[list[int]] = []
        for row in part.tolist():
            out = row[:0] if row[0] else row[:2]
            for r in row[len(out):]:
                name = names.setdefault(abs(r), len(names) + 1)
                out.append(name if r > 0 else -name)
            renamed.append(out)
        return [line - 1 for line in names], np.array(renamed, dtype=np.int32)


def _finished(corners: _Corners, part: np.ndarray, numerators: fmpz_mat, q: fmpz, pattern: str) -> RawCell:
    values = [fmpq(v, q) for v in numerators.entries()]
    return (tuple([corners.corner((r, s)) for r, s, _ in part.tolist()]),
            tuple(zip(values[0::3], values[1::3], strict=True)), tuple(values[2::3]), pattern)


def _settle(work: filter_.Workspace, corners: _Corners, cutting: np.ndarray) -> None:
    """Fill in the open signs at the newest corners from integers."""
    for k in range(int(work.state[3]), int(work.state[4])):
        x, y, w = corners.homogeneous(*work.corner_refs[k].tolist())
        for u in cutting[work.signs[k, cutting] == filter_.OPEN].tolist():
            a, b, c = corners.unit(u)
            value = a * x + b * y + c * w
            work.signs[k, u] = (value > 0) - (value < 0)


def _to_floats(row: list[int]) -> FloatArray | None:
    """Integers correctly rounded; None where one is so large that products of it may overflow."""
    return np.array([float(v) for v in row]) if all(abs(v) < _HUGE for v in row) else None


def _rounded(lines: list[Integers]) -> _Floats:
    """Lines of any size, each over a power of two of its own."""
    shifts = [max(0, max(int(v.bit_length()) for v in line) - 1000) for line in lines]
    values = np.array([[int(v) / (1 << shift) for v in line] for line, shift in zip(lines, shifts, strict=True)])
    errors = _U * np.abs(values)
    errors[np.abs(values).max(axis=1) < _EXACT] = 0.0
    return _Floats(values, errors)
