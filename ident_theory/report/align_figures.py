"""Pictures of aligned latents: a matrix of scatter plots for two runs, a table of pairs for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from scipy import stats

from ident_theory.metrics.canonical import CanonicalCorrelations
from ident_theory.metrics.correlation import MCC
from ident_theory.report.check_marks import COLOURS, CURVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ident_theory.models.value import FloatArray

#: Dimensions that get a row and a column, points of a panel, classes with a colour of their own.
MOST_DIMENSIONS, _MOST_POINTS, _MOST_CLASSES = 6, 1200, 8
#: Inches of a panel, and shares of its width around the points.
_PANEL, _MARGIN = 1.55, 0.12
#: Letters of a title that fit into an inch.
_LETTERS = 12.5
#: Observations outside of these quantiles may lie outside of the window.
_TAIL = 0.002
_SEED = 0


@dataclass(frozen=True)
class Aligned:
    """Two sets of latents in which column i of one belongs to column i of the other, best first.

    Attributes
    ----------
    first, second : ndarray, shapes (N, k)
    names_first, names_second : sequence of str
        Labels of the columns, such as ``z_3``; they are set as mathematics.
    correlation : str
        Which one the panels show: ``"pearson"`` or ``"spearman"``.
    """

    first: FloatArray
    second: FloatArray
    names_first: Sequence[str]
    names_second: Sequence[str]
    correlation: str = "pearson"


def aligned_latents(za: FloatArray, zb: FloatArray, result: MCC | CanonicalCorrelations) -> Aligned:
    """Both sides mapped by an alignment, with names of their columns.

    Parameters
    ----------
    za, zb : ndarray, shapes (N, d_a) and (N, d_b)
        The observations to show; those of the score when they were held out.
    result : MCC or CanonicalCorrelations
        What was computed from such latents.
    """
    if isinstance(result, CanonicalCorrelations):
        names = [f"c_{{{i}}}" for i in range(result.n_components)]
        return Aligned(result.variates_a(za), result.variates_b(zb), names, names)
    first, second = result.aligned(za, zb)
    live = result.columns_a >= 0
    first, second = first[:, live], second[:, live]
    if result.kind == "strong":
        names_first = [f"z_{{{i}}}" for i in result.columns_a]
        names_second = [f"{'-' if sign < 0 else ''}z_{{{i}}}"
                        for i, sign in zip(result.columns_b, result.signs, strict=True)]
    else:
        names_first = names_second = [f"c_{{{i}}}" for i in range(first.shape[1])]
    return Aligned(first, second, names_first, names_second, result.correlation)


def align_figure(aligned: Aligned, *, labels: Any = None, title: str = "") -> Figure:
    """A matrix of scatter plots: rows are dimensions of A, columns the dimensions of B matched to them.

    Matched pairs lie on the diagonal, best first; at most six dimensions and 1200 points are drawn, chosen with a fixed
    seed. Every panel says its correlation, over all observations given.

    Parameters
    ----------
    aligned : Aligned
    labels : array_like, shape (N,), optional
        Classes or numbers that colour the points.
    title : str, optional
        It is wrapped.
    """
    k = min(aligned.first.shape[1], MOST_DIMENSIONS)
    figure = Figure(figsize=(max(4.8, 1.1 + _PANEL * k), max(3.6, 1.5 + _PANEL * k)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    handles = draw_matrix(figure, aligned, labels=labels)
    _title(figure, title)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=max(2, int(1.2 * k)), frameon=False, fontsize=9)
    return figure


def draw_matrix(part: Figure | SubFigure, aligned: Aligned, *, labels: Any = None) -> list[Line2D]:
    """Draw the panels of `align_figure` into a part of a figure; what a legend of the classes needs."""
    k = min(aligned.first.shape[1], MOST_DIMENSIONS)
    a, b = aligned.first[:, :k], aligned.second[:, :k]
    table = _correlations(a, b, aligned.correlation)
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(a))[:_MOST_POINTS]  # in random order, so that no class hides the others
    colours, handles, bar = _colours(labels, chosen)
    panels = part.subplots(k, k, sharex="col", sharey="row", squeeze=False)
    for i in range(k):
        for j in range(k):
            _draw_panel(panels[i, j], b[chosen, j], a[chosen, i], colours, table[i, j], is_match=i == j)
        _limit(panels[i, 0].set_ylim, a[:, i])
        _limit(panels[-1, i].set_xlim, b[:, i])
        panels[i, 0].set_ylabel(f"${aligned.names_first[i]}$")
        panels[-1, i].set_xlabel(f"${aligned.names_second[i]}$")
    if bar is not None:
        part.colorbar(bar, ax=list(panels.flat), shrink=0.7, label="labels", pad=0.02)
    return handles


def pairs_figure(values: FloatArray, names: Sequence[str], title: str = "") -> Figure:
    """A table of the values of all pairs of runs.

    Parameters
    ----------
    values : ndarray, shape (R, R)
        Symmetric; the diagonal is not drawn.
    names : sequence of str
        Of the runs.
    title : str, optional
    """
    count = len(values)
    side = max(4.2, 1.6 + 0.55 * count)
    figure = Figure(figsize=(side + 1.0, side), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    table = np.where(np.eye(count, dtype=bool), np.nan, values)
    lowest = min(0.5, float(np.nanmin(table)))
    image = axes.imshow(table, cmap="viridis", vmin=lowest, vmax=1.0)
    if count <= 15:
        for i in range(count):
            for j in range(count):
                if i != j:
                    axes.text(j, i, f"{values[i, j]:.3f}", ha="center", va="center", fontsize=8,
                              color="black" if values[i, j] > 0.4 * lowest + 0.6 else "white")
    places = range(0, count, -(-count // 25))
    words = [_shorten(names[i], 18) for i in places]
    axes.set_xticks(places, words, rotation=45, ha="right", fontsize=8, parse_math=False)
    axes.set_yticks(places, words, fontsize=8, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.8)
    _title(figure, title)
    return figure


def _title(figure: Figure, text: str) -> None:
    lines = [piece for line in text.split("\n") for piece in wrap(line, int(_LETTERS * figure.get_figwidth()))]
    if lines:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10, parse_math=False)


def _draw_panel(axes: Axes, x: FloatArray, y: FloatArray, colours: dict[str, Any], value: float, *,
                is_match: bool) -> None:
    axes.scatter(x, y, s=4, lw=0, alpha=0.55, rasterized=True, **colours)
    number = f"{value:.3f}".replace("-0.000", "0.000").replace("-", "\N{MINUS SIGN}")
    axes.text(0.05, 0.95, number, transform=axes.transAxes, va="top", fontsize=8,
              weight="bold" if is_match else "normal", zorder=5,
              bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8})
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=3)
    for spine in axes.spines.values():
        spine.set(color="black" if is_match else "0.75", lw=1.6 if is_match else 0.8)


def _correlations(a: FloatArray, b: FloatArray, kind: str) -> FloatArray:
    """Of every column of a with every column of b, shape (k, k)."""
    if kind == "spearman":
        a, b = (np.asarray(stats.rankdata(z, axis=0)) for z in (a, b))
    a, b = (z - z.mean(axis=0) for z in (a, b))
    scale = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    table: FloatArray = a.T @ b / np.where(scale > 0, scale, 1.0)
    return table


def _limit(setter: Any, values: FloatArray) -> None:
    """The bulk of the observations and a margin, at the top also for the number."""
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    span = high - low if high > low else 1.0
    setter(low - _MARGIN * span, high + 2 * _MARGIN * span)


def _colours(labels: Any, chosen: np.ndarray) -> tuple[dict[str, Any], list[Line2D], Any]:
    """Colours of the points that were chosen, the legend of few classes, or the scale of many."""
    if labels is None:
        return {"color": CURVE}, [], None
    values = np.asarray(labels)
    classes, index = np.unique(values, return_inverse=True)
    if len(classes) <= _MOST_CLASSES:
        handles = [Line2D([], [], marker="o", ms=5, ls="none", color=COLOURS[i], label=f"{name}")
                   for i, name in enumerate(classes)]
        return {"color": np.array(COLOURS, dtype=object)[index[chosen]].tolist()}, handles, None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    numbers = values.astype(float) if values.dtype.kind in "biuf" else index.astype(float)
    scale = Normalize(float(numbers.min()), float(numbers.max()))
    return {"c": numbers[chosen], "cmap": "viridis", "norm": scale}, [], ScalarMappable(scale, "viridis")


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"...{text[3 - most:]}"
