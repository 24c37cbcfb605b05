"""The networks of the benchmark of the cells of two latents, and the alternative that it is measured against."""

from __future__ import annotations

import itertools

import numpy as np
from flint import fmpq

from ident_theory import ReLUNetwork

Corner = tuple[fmpq, fmpq, fmpq]
#: Corners, and one row (a, b, c) of the affine map an output.
Cell = tuple[list[Corner], list[tuple[fmpq, fmpq, fmpq]]]


def network(widths, slope, seed=0) -> ReLUNetwork:
    """Standard normal weights and biases, drawn layer by layer, all weights before the biases."""
    rng = np.random.default_rng(seed)
    return ReLUNetwork([rng.normal(size=(b, a)) for a, b in itertools.pairwise(widths)],
                       [rng.normal(size=b) for b in widths[1:]], slope)


def integer_network(widths, slope, seed=0) -> ReLUNetwork:
    """Weights and biases uniform in {-2, ..., 2}: degenerate cells are common."""
    rng = np.random.default_rng(seed)
    return ReLUNetwork([rng.integers(-2, 3, (b, a)) for a, b in itertools.pairwise(widths)],
                       [rng.integers(-2, 3, b) for b in widths[1:]], slope)


def layerwise_cells(decoder: ReLUNetwork) -> list[Cell]:
    """All cells at once, layer by layer, every number a flint rational: what the walk replaced."""
    exact = [([[fmpq(v.numerator, v.denominator) for v in row] for row in w],
              [fmpq(v.numerator, v.denominator) for v in b])
             for w, b in zip(decoder.weights_exact, decoder.biases_exact, strict=True)]
    slope = fmpq(decoder.negative_slope_exact.numerator, decoder.negative_slope_exact.denominator)
    zero, one = fmpq(0), fmpq(1)
    cells: list[Cell] = [([(one, zero, zero), (zero, one, zero), (-one, zero, zero), (zero, -one, zero)],
                          [(one, zero, zero), (zero, one, zero)])]
    for layer, (rows, bias) in enumerate(exact):
        cells = [(corners, [(*(sum((w * form[k] for w, form in zip(row, forms, strict=True)), zero) for k in (0, 1)),
                             sum((w * form[2] for w, form in zip(row, forms, strict=True)), b))
                            for row, b in zip(rows, bias, strict=True)]) for corners, forms in cells]
        if layer < len(exact) - 1:
            cells = [part for corners, forms in cells for part in _bend(corners, forms, slope)]
    return cells


def _bend(corners: list[Corner], forms: list[tuple[fmpq, fmpq, fmpq]], slope: fmpq) -> list[Cell]:
    parts: list[Cell] = [(corners, [])]
    for form in forms:
        below = tuple(slope * v for v in form)
        parts = [(side, [*done, kept]) for corners, done in parts
                 for side, kept in zip(_cut(corners, *form), (form, below), strict=True) if side]
    return parts


def _cut(corners: list[Corner], a: fmpq, b: fmpq, c: fmpq) -> tuple[list[Corner], list[Corner]]:
    """The parts on either side of a line, empty where they have no interior."""
    if not (a or b):
        return (corners, []) if c >= 0 else ([], corners)
    values = [a * x + b * y + c * w for x, y, w in corners]
    if min(values) >= 0:
        return corners, []
    if max(values) <= 0:
        return [], corners
    size = a * a + b * b
    foot = (-c * a / size, -c * b / size, fmpq(1))
    return _kept(corners, values, foot), _kept(corners, [-v for v in values], foot)


def _kept(corners: list[Corner], values: list[fmpq], foot: Corner) -> list[Corner]:
    kept, on_line = [], []
    for i, (p, v) in enumerate(zip(corners, values, strict=True)):
        q, after = corners[(i + 1) % len(corners)], values[(i + 1) % len(corners)]
        if v >= 0:
            kept.append(p)
            on_line.append(v == 0)
        if v * after < 0:
            x, y, w = (abs(after) * s + abs(v) * t for s, t in zip(p, q, strict=True))
            scale = w or abs(x) + abs(y)
            kept.append((x / scale, y / scale, fmpq(1 if w else 0)))
            on_line.append(True)
    for i in range(len(kept)):
        j = (i + 1) % len(kept)
        if on_line[i] and on_line[j] and not (kept[i][2] or kept[j][2]):
            return [*kept[:i + 1], foot, *kept[i + 1:]]
    return kept
