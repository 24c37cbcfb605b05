"""The cells of a network of two latents beside their images, for the figure of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ident_theory.conditions.result import Report
from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.plane import PlaneCell, iter_plane_cells
from ident_theory.models import ReLUNetwork
from ident_theory.models.model import Prior
from ident_theory.models.value import FloatArray
from ident_theory.report.check_marks import (
    MOST_NAMES,
    MOST_PARTS,
    SECOND,
    Part,
    mark,
    marks_of,
    nearest,
    pairs_of,
    parts_of,
    second_of,
    single_of,
    window_of,
)

#: Most cells that are drawn.
CELL_LIMIT = 20_000
#: Standard deviations of each component that are shown, and how much wider a second prior may make the window.
_DEVIATIONS, _STRETCH = 3.5, 2.0
#: The two axes of a panel have one scale unless one range is so much longer.
_LONG = 3.0
#: More edges than this are no lines but a grey veil, and a heavy file.
_EDGES = 3000
_POSITIVE, _NEGATIVE, _FULL, _FLAT = "det > 0", "det < 0", "rank 2", "rank < 2"
_FILLS = {_POSITIVE: "#9ecbe6", _FULL: "#9ecbe6", _NEGATIVE: "#f3c27a", _FLAT: "#a6a6a6"}
#: Sides of the panels and widths around them, in inches.
_PANEL, _LEFT, _GAP, _RIGHT = 4.3, 0.75, 1.05, 0.9
_ANGLES = np.linspace(0, 2 * np.pi, 181)


@dataclass(frozen=True)
class _Shape:
    """A cell within the window, its image, and the name of its class."""

    corners: FloatArray
    image: FloatArray
    kind: str


def draw_planes(figure: Figure, report: Report, prior: Prior, decoder: ReLUNetwork) -> None:
    """Draw cells, prior and marked points on the left, and their images on the right."""
    pairs, single, second = pairs_of(report), single_of(report), second_of(report)
    parts = parts_of(prior)
    others = [] if second is None or second.prior == prior else parts_of(second.prior)
    low, high = window_of(parts, marks_of(pairs, single), [part.bulk(2.0) for part in others], 2, _DEVIATIONS, _STRETCH)
    low, high = _squared(low, high)
    shapes, is_complete = _shapes(decoder, low, high)
    left, right = figure.subplots(1, 2)
    _draw_cells(left, [(s.corners, s.kind) for s in shapes], 1.0)
    _draw_parts(left, parts, "black", "-", "prior")
    _draw_parts(left, others, SECOND, (0, (5, 3)), "a second model with the same law", named=False)
    mark(left, lambda z: z, (low, high), pairs, single)
    left.set_xlim(low[0], high[0])
    left.set_ylim(low[1], high[1])
    left.set_xlabel("latent $z_1$")
    left.set_ylabel("latent $z_2$")
    left.set_title(f"{len(shapes):,} cell{'s' if len(shapes) != 1 else ''} in the window" if is_complete else
                   f"the first {CELL_LIMIT:,} cells only; white: not drawn", fontsize=9.5)
    if decoder.observed_dim == 1:
        _draw_levels(right, decoder, low, high)
        mark(right, lambda z: z, (low, high), pairs, single)
    else:
        project = _projection(right, decoder, low, high)
        _draw_cells(right, [(project(s.image), s.kind) for s in shapes], 0.5)
        if len(parts) <= MOST_PARTS:
            for outline in filter(None, map(_outline, parts)):
                right.plot(*project(decoder(_refined(outline[0]))).T, color="black", lw=1.2, zorder=4)
        mark(right, lambda z: project(decoder(z)), (low, high), pairs, single)
        right.autoscale_view()
    for axes in (left, right):
        low, high = _squared(*np.array([axes.get_xlim(), axes.get_ylim()]).T)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect((high[0] - low[0]) / (high[1] - low[1]))
        axes.spines[["top", "right"]].set_visible(False)


def place(figure: Figure, heading_lines: int, legend_rows: int) -> None:
    """Give the two panels the same square place, and the figure the height that its text needs.

    Panels of a fixed aspect shrink within the place that a layout engine gives them, which then measures the text
    around them wrongly; so they get their place in inches.
    """
    top, bottom = 0.5 + 0.18 * heading_lines, 0.6 + 0.21 * legend_rows
    width, height = 2 * _PANEL + _LEFT + _GAP + _RIGHT, _PANEL + top + bottom
    figure.set_size_inches(width, height)
    for k, axes in enumerate(figure.axes[:2]):
        axes.set_position(((_LEFT + k * (_PANEL + _GAP)) / width, bottom / height, _PANEL / width, _PANEL / height))


def _squared(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A window with both sides as long as the longer one, unless that is much longer."""
    middle, span = (low + high) / 2, high - low
    if span.max() > _LONG * span.min():
        return low, high
    return middle - span.max() / 2, middle + span.max() / 2


def _shapes(decoder: ReLUNetwork, low: FloatArray, high: FloatArray) -> tuple[list[_Shape], bool]:
    """Cells that meet the window, and whether there are no more than the limit."""
    shapes: list[_Shape] = []
    try:
        for cell in iter_plane_cells(decoder, CELL_LIMIT):
            corners = _clipped(cell, low, high)
            if len(corners) > 2:
                matrix = np.array([[nearest(a), nearest(b)] for a, b in cell.matrix])
                offset = np.array([nearest(c) for c in cell.offset])
                shapes.append(_Shape(corners, corners @ matrix.T + offset, _kind(cell)))
    except BudgetExceeded:
        return shapes, False
    return shapes, True


def _kind(cell: PlaneCell) -> str:
    if len(cell.matrix) != 2:
        return _FULL if cell.rank() == 2 else _FLAT
    (a, b), (c, d) = cell.matrix
    det = a * d - b * c
    return _POSITIVE if det > 0 else _NEGATIVE if det < 0 else _FLAT


def _clipped(cell: PlaneCell, low: FloatArray, high: FloatArray) -> FloatArray:
    """Corners of the part of a cell within the window, in order; fewer than three when there is none."""
    points = np.array([[nearest(x), nearest(y)] for x, y in cell.points])
    if cell.is_bounded:
        if np.all(points >= low) and np.all(points <= high):
            return points
        if np.any(points.max(axis=0) <= low) or np.any(points.min(axis=0) >= high):
            return points[:0]
    polygon = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    for side in cell.sides():
        excess = polygon @ [nearest(a) for a in side.normal] - nearest(side.offset)
        kept: list[FloatArray] = []
        for p, q, s, t in zip(polygon, np.roll(polygon, -1, axis=0), excess, np.roll(excess, -1), strict=True):
            if s <= 0:
                kept.append(p)
            if (s < 0 < t) or (t < 0 < s):
                kept.append(p + (q - p) * (s / (s - t)))
        if len(kept) < 3:
            return polygon[:0]
        polygon = np.array(kept)
    return polygon


def _draw_cells(axes: Axes, shapes: Iterable[tuple[FloatArray, str]], alpha: float) -> None:
    """Filled polygons, one collection for each class."""
    groups: dict[str, list[FloatArray]] = {}
    for polygon, kind in shapes:
        groups.setdefault(kind, []).append(polygon)
    many = sum(map(len, groups.values())) > _EDGES
    for kind in sorted(groups, key=list(_FILLS).index):
        axes.add_collection(PolyCollection(groups[kind], facecolors=_FILLS[kind], edgecolors="0.25", alpha=alpha,
                                           linewidths=0.1 if many else 0.5, rasterized=many, zorder=1))
        if alpha == 1.0:
            axes.plot([], [], "s", color=_FILLS[kind], mec="0.25", mew=0.6, ms=10, label=f"cells with {kind}")


def _outline(part: Part) -> tuple[FloatArray, str] | None:
    """The 2-sigma ellipse of a normal part, else the box of its central 95 % in each latent; closed."""
    if part.mean is not None and part.covariance is not None:
        values, vectors = np.linalg.eigh(part.covariance)
        circle = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
        return part.mean + 2.0 * (circle * np.sqrt(np.maximum(values, 0.0))) @ vectors.T, "2-sigma ellipses"
    if part.marginals is None:
        return None
    (a, b), (c, d) = (law.ppf([0.025, 0.975]) for law in part.marginals)
    return np.array([[a, c], [b, c], [b, d], [a, d], [a, c]]), "boxes of the central 95 % of each latent"


def _draw_parts(axes: Axes, parts: list[Part], colour: str, style: Any, label: str, named: bool = True) -> None:
    """Outlines of the components, or of the prior at the values of u, with names when they are few."""
    for part in parts[:MOST_PARTS]:
        outline = _outline(part)
        if outline is not None:
            axes.plot(*outline[0].T, color=colour, lw=1.4, ls=style, label=f"{label}: {outline[1]}", zorder=4)
            if named and 1 < len(parts) <= MOST_NAMES:
                x, y = outline[0][:-1].mean(axis=0)
                axes.text(x, y, part.name[:MOST_NAMES], ha="center", va="center", fontsize=9,
                          parse_math=False, zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white")])


def _refined(line: FloatArray) -> FloatArray:
    """A closed line with many points, so that its image shows its bends."""
    steps = np.linspace(0, len(line) - 1, max(1201, len(line)))
    return np.column_stack([np.interp(steps, np.arange(len(line)), line[:, i]) for i in range(line.shape[1])])


def _grid(low: FloatArray, high: FloatArray, count: int) -> FloatArray:
    x, y = (np.linspace(low[i], high[i], count) for i in range(2))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _projection(axes: Axes, decoder: ReLUNetwork, low: FloatArray, high: FloatArray) -> Callable[..., FloatArray]:
    """The map from R^n to the paper, and the labels of its axes: principal coordinates for n > 2."""
    if decoder.observed_dim == 2:
        axes.set_xlabel("observation $x_1$")
        axes.set_ylabel("observation $x_2$")
        axes.set_title("images of the cells, darker where they overlap", fontsize=9.5)
        return lambda x: x
    values = decoder(_grid(low, high, 60))
    mean = values.mean(axis=0)
    _, sizes, directions = np.linalg.svd(values - mean, full_matrices=False)
    share = np.sum(sizes[:2] ** 2) / max(np.sum(sizes**2), np.finfo(float).tiny)
    axes.set_xlabel("first principal coordinate of $f(z)$")
    axes.set_ylabel("second principal coordinate of $f(z)$")
    axes.set_title(f"images of the cells in $R^{{{decoder.observed_dim}}}$, projected ({100 * share:.3g} % of the "
                   "variance):\noverlaps here need not be overlaps there", fontsize=9.5)
    return lambda x: (x - mean) @ directions[:2].T


def _draw_levels(axes: Axes, decoder: ReLUNetwork, low: FloatArray, high: FloatArray) -> None:
    """For n = 1 the image is an interval: level sets of f over the latents instead."""
    values = decoder(_grid(low, high, 240)).reshape(240, 240)
    x, y = (np.linspace(low[i], high[i], 240) for i in range(2))
    if values.max() > values.min():
        filled = axes.contourf(x, y, values, levels=14, cmap="viridis")
        axes.figure.colorbar(filled, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)))
    axes.set_xlabel("latent $z_1$")
    axes.set_ylabel("latent $z_2$")
    axes.set_title("observation $f(z)$", fontsize=9.5)
