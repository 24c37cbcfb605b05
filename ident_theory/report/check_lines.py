"""The decoder of one latent and the prior below it, for the figure of a check."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from flint import fmpq
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure

from ident_theory.conditions.result import Report
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.models import ConditionalPrior, DeclaredMap, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models.model import Prior
from ident_theory.models.value import FloatArray
from ident_theory.report.check_marks import (
    COLOURS,
    CURVE,
    MOST_NAMES,
    MOST_PARTS,
    SECOND,
    Part,
    mark,
    marks_of,
    nearest,
    number,
    pairs_of,
    parts_of,
    second_of,
    single_of,
    window_of,
)

#: Standard deviations of each component that are shown, fewer for a second model, and how much wider breakpoints may
#: make the window.
_DEVIATIONS, _SECOND_DEVIATIONS, _STRETCH = 4.0, 2.5, 5.0
#: Coordinates of x that are drawn, breakpoints that get a dot, points of a density.
_COORDINATES, _DOTS, _POINTS = 6, 60, 1001
#: Colours of z along a curve in the plane; the curve thins out on its way, so that it shows where it runs twice.
_MAP, _THICK, _THIN = "viridis", 7.0, 1.8


def draw_line(figure: Figure | SubFigure, report: Report, prior: Prior,
              decoder: ReLUNetwork | PiecewiseAffineMap) -> None:
    """Draw the decoder above and the prior below, on one axis for z unless the curve lies in a plane."""
    pairs, single, second = pairs_of(report), single_of(report), second_of(report)
    parts = parts_of(prior)
    others = [] if second is None or second.prior == prior else parts_of(second.prior)
    pieces = line_pieces(decoder)
    breaks = np.array([nearest(t) for t in pieces.breakpoints])
    near = [*breaks[:, None], *(part.bulk(_SECOND_DEVIATIONS) for part in others)]
    window = window_of(parts, marks_of(pairs, single), near, 1, _DEVIATIONS, _STRETCH)
    low, high = (float(end[0]) for end in window)
    is_plane = pieces.observed_dim == 2
    upper, lower = figure.subplots(2, 1, height_ratios=(3.2, 1), sharex=not is_plane)
    if is_plane:
        _draw_curve(upper, pieces, low, high)
        mark(upper, decoder, window, pairs, single)
    else:
        _draw_graphs(upper, pieces, low, high)
        for i in range(min(pieces.observed_dim, _COORDINATES)):
            mark(upper, partial(_graph_point, decoder, i), window, pairs, single, label=i == 0)
        if second is not None and second.decoder != decoder and pieces.observed_dim == 1:
            assert not isinstance(second.decoder, DeclaredMap)
            for z, x in _stretches(line_pieces(second.decoder), low, high):
                upper.plot(z, x[:, 0], color=SECOND, lw=1.8, ls=(0, (5, 3)), zorder=4,
                           label="a second model with the same law")
        upper.tick_params(labelbottom=False)
    outside = int(np.sum((breaks < low) | (breaks > high)))
    if outside:
        upper.set_title(f"{outside} of {len(breaks)} breakpoints lie outside of the window", fontsize=8.5, color="0.3",
                        loc="right")
    _draw_prior(lower, prior, parts, others, low, high)
    if is_plane:
        top = lower.get_ylim()[1]
        depth = 0.16 * top
        lower.imshow(np.linspace(0, 1, 256)[None], cmap=_MAP, aspect="auto", extent=(low, high, -depth, 0))
        lower.set_ylim(-depth, top)
    lower.set_xlabel("latent $z$, with its colour on the curve" if is_plane else "latent $z$")
    lower.set_xlim(low, high)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)


def _graph_point(decoder: ReLUNetwork | PiecewiseAffineMap, i: int, z: FloatArray) -> FloatArray:
    return np.column_stack([z, decoder(z)[:, i]])


def _segments(pieces: LinePieces, low: float, high: float) -> list[tuple[int, float, float]]:
    """Pieces that meet the window, with their ends there."""
    found = []
    for k in range(pieces.n_pieces):
        left, right = pieces.ends(k)
        start = low if left is None else max(low, nearest(left))
        end = high if right is None else min(high, nearest(right))
        if start < end:
            found.append((k, start, end))
    return found


def _at(pieces: LinePieces, k: int, z: float) -> list[float]:
    return [nearest(value) for value in pieces.value(k, fmpq(*z.as_integer_ratio()))]


def _jumps(pieces: LinePieces, k: int) -> bool:
    """Whether the map jumps where piece k begins."""
    at = pieces.breakpoints[k - 1]
    return pieces.value(k - 1, at) != pieces.value(k, at)


def _stretches(pieces: LinePieces, low: float, high: float) -> list[tuple[FloatArray, FloatArray]]:
    """The graph over the window, cut where the map jumps: (z, x) with shapes (N,) and (N, n)."""
    runs: list[tuple[list[float], list[list[float]]]] = []
    for count, (k, start, end) in enumerate(_segments(pieces, low, high)):
        if count == 0 or _jumps(pieces, k):
            runs.append(([start], [_at(pieces, k, start)]))
        runs[-1][0].append(end)
        runs[-1][1].append(_at(pieces, k, end))
    return [(np.array(z), np.array(x)) for z, x in runs]


def _draw_graphs(axes: Axes, pieces: LinePieces, low: float, high: float) -> None:
    """Every coordinate of f as a graph over z."""
    n = pieces.observed_dim
    runs = _stretches(pieces, low, high)
    for i in range(min(n, _COORDINATES)):
        name = "decoder $f$" if n == 1 else f"$f_{{{i + 1}}}$"
        for z, x in runs:
            axes.plot(z, x[:, i], color=CURVE if n == 1 else COLOURS[i], lw=2, label=name, zorder=3)
        for (a, before), (b, after) in pairwise(runs):
            axes.plot(a[-1], before[-1, i], "o", color="white", mec=CURVE if n == 1 else COLOURS[i], ms=5, zorder=5)
            axes.plot(b[0], after[0, i], "o", color=CURVE if n == 1 else COLOURS[i], ms=5, zorder=5)
    flat = [(start, end, _at(pieces, k, start)[0]) for k, start, end in _segments(pieces, low, high)
            if pieces.is_flat(k)]
    if n == 1:
        for start, end, height in flat:
            axes.plot([start, end], [height] * 2, color=CURVE, lw=7, alpha=0.3, solid_capstyle="butt", zorder=2,
                      label="f is constant here")
    inner = [nearest(t) for t in pieces.breakpoints if low <= nearest(t) <= high]
    if len(inner) <= _DOTS:
        for t in inner:
            axes.axvline(t, color="0.8", lw=0.8, zorder=0, label="breakpoint")
    axes.set_ylabel("observation $f(z)$" if n <= _COORDINATES else
                    f"first {_COORDINATES} of the {n} coordinates of $f(z)$")


def _draw_curve(axes: Axes, pieces: LinePieces, low: float, high: float) -> None:
    """The curve z -> f(z) in the plane, coloured by z."""
    colours = colormaps[_MAP]
    for z, x in _stretches(pieces, low, high):
        fine = np.unique(np.concatenate([z, np.linspace(z[0], z[-1], 400)]))
        curve = np.column_stack([np.interp(fine, z, x[:, i]) for i in range(2)])
        place = ((fine[:-1] + fine[1:]) / 2 - low) / (high - low)
        lines = LineCollection(list(np.stack([curve[:-1], curve[1:]], axis=1)), colors=colours(place),
                               linewidths=_THICK + (_THIN - _THICK) * place, capstyle="round", zorder=3)
        lines.set_snap(False)  # rounding to pixels would make level stretches ragged
        axes.add_collection(lines)
    for k, start, end in _segments(pieces, low, high):
        if pieces.is_flat(k):
            axes.plot(*_at(pieces, k, start), "o", color="white", mec="black", ms=13, zorder=4, ls="none",
                      label=f"f is constant for z from {number(start)} to {number(end)}")
    axes.autoscale_view()
    axes.set_xlabel("observation $x_1$")
    axes.set_ylabel("observation $x_2$")


def _draw_prior(axes: Axes, prior: Prior, parts: list[Part], others: list[Part], low: float, high: float) -> None:
    """Density of a mixture, or one for every value of u; that of a second model dashed."""
    conditional = isinstance(prior, ConditionalPrior)
    axes.set_ylabel("density of\n$z$ given $u$" if conditional else "density\nof $z$")
    z = np.linspace(low, high, _POINTS)
    if not parts:
        axes.text(0.5, 0.5, "densities of a custom family are not drawn", transform=axes.transAxes, ha="center",
                  fontsize=9, color="0.3")
        axes.set_yticks([])
        return
    if conditional:
        for i, part in enumerate(parts[:MOST_PARTS]):
            named = len(parts) <= len(COLOURS)
            axes.plot(z, _density([part], z), color=COLOURS[i] if named else "0.4", lw=1.4 if named else 0.8,
                      label=f"prior, u = {part.name[:MOST_NAMES]}" if named else "prior, one curve for each u")
    else:
        axes.fill_between(z, _density(parts, z), color="0.8", lw=0, zorder=0, label="prior")
        axes.plot(z, _density(parts, z), color="0.35", lw=1.2)
    top = axes.get_ylim()[1]
    for part, colour, words in [(part, "black", "point mass of the prior") for part in parts] + [
            (part, SECOND, "point mass of the second model") for part in others]:
        if part.marginals is None and part.mean is not None:
            axes.plot([part.mean[0]] * 2, [0, 0.9 * top], color=colour, lw=2, zorder=4, label=words)
    if others and not conditional:
        axes.plot(z, _density(others, z), color=SECOND, lw=1.8, ls=(0, (5, 3)),
                  label="a second model with the same law")
    elif others:
        for part in others[:MOST_PARTS]:
            axes.plot(z, _density([part], z), color=SECOND, lw=1.2, ls=(0, (5, 3)),
                      label="a second model with the same law")
    axes.set_ylim(0, None)


def _density(parts: list[Part], z: FloatArray) -> FloatArray:
    """The weighted sum of those parts that have a density; infinities at the ends of a support are left out."""
    total = np.zeros_like(z)
    for part in parts:
        if part.marginals is not None:
            total += part.weight * part.marginals[0].pdf(z)
    return np.where(np.isfinite(total), total, np.nan)
