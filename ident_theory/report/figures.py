"""Figures of likelihood landscapes, drawn without matplotlib's global state."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator

from ident_theory.errors import InputError
from ident_theory.files import write_atomically
from ident_theory.landscape import Landscape, Minimum, Plane, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
_CURVE, _TRUTH, _GLOBAL, _LOCAL = "#1f3b73", "#2a8a4a", "#c0392b", "#e08a00"
_YLABEL = "negative log-likelihood\n[nats per observation]"
#: Values above this multiple of the range of the lower nine tenths are cut off at the top of a slice.
_HEADROOM = 2.5
#: Decades of excess that a plane shows.
_DECADES = 6


def slice_figure(landscape: Slice, title: str = "") -> Figure:
    """The curve of a slice with the truth, the global minimiser and the other local minima.

    Parameters
    ----------
    landscape : Slice
    title : str, optional
        Such as the name of the model file.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_slice(axes, landscape)
    axes.set_ylabel(_YLABEL)
    if title:
        axes.set_title(title)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def draw_slice(axes: Axes, landscape: Slice) -> None:
    """Draw a slice on given axes: curve, vertical lines and dots, the label of the horizontal axis."""
    # The refined minima join the curve, so that it reaches down to its dots between two grid points.
    x = np.concatenate([landscape.grid, [minimum.location[0] for minimum in landscape.minima]])
    y = np.concatenate([landscape.values, [minimum.value for minimum in landscape.minima]])
    order = np.argsort(x, kind="stable")
    finite = np.isfinite(y)
    axes.plot(x[order], np.where(finite, y, np.nan)[order], color=_CURVE, lw=1.8, label="negative log-likelihood",
              zorder=2)
    mark, label = (landscape.model_value, "model") if landscape.truth_value is None \
        else (landscape.truth_value, "truth")
    if landscape.grid[0] <= mark <= landscape.grid[-1]:
        axes.axvline(mark, color=_TRUTH, lw=3.2, alpha=0.55, label=f"{label} ({_number(mark)})", zorder=1)
    lowest = [minimum for minimum in landscape.global_minima if minimum.plateau is None]
    for minimum in lowest:
        own = f"global minimiser ({_number(minimum.location[0])})" if len(lowest) == 1 else \
            f"{len(lowest)} global minimisers"
        axes.axvline(minimum.location[0], color=_GLOBAL, lw=1.4, ls=(0, (4, 3)), zorder=3,
                     label=own if minimum is lowest[0] else None)
    others = [minimum for minimum in landscape.minima if not minimum.is_global]
    for edge, marker, own in ((False, "o", "other local minimum"), (True, "s", "minimum at the edge of the window")):
        chosen = [minimum for minimum in others if minimum.at_boundary is edge and minimum.plateau is None]
        if chosen:
            axes.plot([minimum.location[0] for minimum in chosen], [minimum.value for minimum in chosen], marker,
                      color=_LOCAL, mec="white", ms=8, clip_on=False, zorder=4, ls="none", label=own)
    for is_global, colour, own in ((True, _GLOBAL, "global minimisers (plateau)"), (False, _LOCAL, "local plateau")):
        flat = [minimum for minimum in landscape.minima if minimum.plateau is not None
                and minimum.is_global is is_global]
        for minimum in flat:
            assert minimum.plateau is not None
            axes.plot(minimum.plateau[0], [minimum.value] * 2, color=colour, lw=6, alpha=0.5,
                      solid_capstyle="butt", zorder=4, label=own if minimum is flat[0] else None)
    axes.set_xlabel(landscape.path)
    axes.margins(x=0)
    _limit(axes, y[finite])
    axes.spines[["top", "right"]].set_visible(False)


def _limit(axes: Axes, values: np.ndarray) -> None:
    """Cut a steep wall so that the rest stays readable."""
    if values.size < 10:
        return
    low, shoulder, top = values.min(), np.quantile(values, 0.9), values.max()
    if top - low > _HEADROOM * (shoulder - low) > 0:
        axes.set_ylim(low - 0.06 * (shoulder - low), low + 1.3 * (shoulder - low))


def plane_figure(landscape: Plane, title: str = "") -> Figure:
    """Filled contours of a plane on a logarithmic scale of the excess, with the truth and the minima.

    The excess is taken over the truth's value in a population, over the lowest value found for data.
    """
    figure = Figure(figsize=(6.6, 5.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    excess, name = _excess(landscape)
    positive = excess[np.isfinite(excess) & (excess > 0)]
    if positive.size:
        high = float(positive.max())
        low = max(float(positive.min()), high * 10.0**-_DECADES)
        bottom, top = math.floor(4 * math.log10(low)) / 4, math.ceil(4 * math.log10(high)) / 4
        levels = 10.0 ** np.arange(bottom, max(top, bottom + 0.5) + 0.01, 0.25)
        shown = np.ma.masked_invalid(np.where(np.isfinite(excess), np.clip(excess, levels[0], levels[-1]), np.nan))
        filled = axes.contourf(landscape.grid_a, landscape.grid_b, shown.T, levels=levels, cmap="viridis_r",
                               norm=LogNorm(levels[0], levels[-1]))
        axes.contour(landscape.grid_a, landscape.grid_b, shown.T, levels=levels[::2], colors="white", linewidths=0.4,
                     alpha=0.6)
        bar = figure.colorbar(filled, ax=axes, label=f"{name} [nats per observation]")
        bar.ax.yaxis.set_major_locator(LogLocator(10.0))
        bar.ax.yaxis.set_major_formatter(LogFormatterMathtext(10.0))
        bar.ax.minorticks_off()
    axes.set_facecolor("0.9")  # what could not be computed stays grey
    _mark_plane(axes, landscape)
    axes.set_xlabel(landscape.paths[0])
    axes.set_ylabel(landscape.paths[1])
    if title:
        axes.set_title(title)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9, markerscale=0.6)
    return figure


def _mark_plane(axes: Axes, landscape: Plane) -> None:
    groups: dict[tuple[str, str, str], list[Minimum]] = {}
    for minimum in landscape.minima:
        if minimum.is_global:
            name = "global minimum, in a flat valley" if minimum.isolated is False else "global minimum"
            key = (name, "o", _GLOBAL)
        elif minimum.at_boundary:
            key = ("minimum at the edge of the window", "s", _LOCAL)
        else:
            key = ("other local minimum", "o", _LOCAL)
        groups.setdefault(key, []).append(minimum)
    for (label, marker, colour), members in groups.items():
        axes.plot([m.location[0] for m in members], [m.location[1] for m in members], marker, color=colour,
                  mec="white", ms=8, ls="none", label=label, clip_on=False, zorder=6)  # above the cross
    point, label = (landscape.model_point, "model") if landscape.truth_point is None \
        else (landscape.truth_point, "truth")
    if landscape.grid_a[0] <= point[0] <= landscape.grid_a[-1] and \
            landscape.grid_b[0] <= point[1] <= landscape.grid_b[-1]:
        axes.plot(*point, "+", color="white", ms=21, mew=4.5, zorder=4)
        axes.plot(*point, "+", color="black", ms=19, mew=2.0, ls="none", label=label, zorder=5)


def _excess(landscape: Landscape) -> tuple[np.ndarray, str]:
    excess = landscape.excess
    if landscape.objective == "population" and excess is not None:
        return excess, "excess over the truth's entropy"
    finite = landscape.values[np.isfinite(landscape.values)]
    lowest = min([*(minimum.value for minimum in landscape.minima), *finite[:1], float(finite.min())]) \
        if finite.size else 0.0
    return landscape.values - lowest, "excess over the lowest value"


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG or SVG, atomically; the same figure gives the same bytes.

    Raises
    ------
    InputError
        For another suffix.
    """
    file = Path(path)
    form = file.suffix.lstrip(".")
    if form not in FORMATS:
        raise InputError(f"figure: expected a file name ending in .png or .svg, got {str(path)!r}")
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "ident_theory"}):
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None)
    write_atomically(file, buffer.getvalue())
    return file


def _number(value: float) -> str:
    return f"{value:.4g}"
