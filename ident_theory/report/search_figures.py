"""One picture of a search: for every truth how high its functions lie, and what its global minimisers are."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ident_theory.landscape import SearchResult
from ident_theory.report.search import SearchReport

#: Marker, fill, edge and words of a verdict; they differ in shape and lightness as well as in colour.
_VERDICTS = {
    "unique": ("o", "#0072b2", "#0072b2", "unique up to affine maps"),
    "inequivalent": ("^", "#d55e00", "black", "inequivalent minimisers"),
    "constant": ("s", "white", "black", "constant decoder"),
    "absent": ("X", "black", "white", "not in the family (at its lowest excess)"),
    "data": ("D", "#009e73", "black", "data: lowest value"),
}
_NEXT = ("v", "#f0e442", "black", "lowest other local minimum")
#: Bins a decade of the strips, and decades that are shown at most.
_BINS, _DECADES = 8, 14
#: Width of a column in inches, and of the whole picture.
_COLUMN, _NARROW, _WIDE = 0.16, 6.4, 14.0


def search_figure(result: SearchResult, report: SearchReport, title: str = "") -> Figure:
    """A strip for every truth: how many functions have which excess with their best prior.

    Below the logarithmic axis a band for zero holds the global minimisers, marked by the verdict. For a data set
    the excess is taken over its lowest value.

    Parameters
    ----------
    result : SearchResult
    report : SearchReport
        Of the same search; only what it reports on is drawn.
    title : str, optional
        Such as the name of the family file.
    """
    verdicts = {t.index: t.verdict for t in report.truths} | {d.index: "data" for d in report.data}
    shown = sorted(verdicts)
    runners = {t.index: t.runner_up for t in report.truths if t.runner_up is not None and t.runner_up > 0}
    lowest = {t.index: t.lowest_excess for t in report.truths if t.verdict == "absent"} \
        | {d.index: d.value for d in report.data}
    missed = {t.index for t in report.truths if t.near_misses}
    columns = [result.best[:, i] - lowest[i] if verdicts[i] == "data" else _excesses(result, i, i in missed)
               for i in shown]
    bottom, top = _decades([*columns, np.array(list(runners.values()))])
    figure = Figure(figsize=(min(_WIDE, max(_NARROW, 2.4 + _COLUMN * len(shown))), 5.2), dpi=150,
                    layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    # Zero has no place on a logarithmic axis: its band takes the decade and a half below the lowest tick.
    floor, zero = 10.0 ** (bottom - 1.5), 10.0 ** (bottom - 0.75)
    edges = 10.0 ** np.linspace(bottom, top, (top - bottom) * _BINS + 1)
    # What lies lower stays visible in the lowest bin; only the best member of a data set has excess zero.
    counts = np.array([np.histogram(np.clip(c[c > 0], edges[0], edges[-1]), edges)[0] for c in columns]).T
    if counts.any():
        sides = (np.arange(len(shown))[:, None] + [-0.41, 0.41]).ravel()
        spaced = np.zeros((len(counts), len(sides) - 1))  # empty columns keep the strips apart
        spaced[:, ::2] = counts
        strips = axes.pcolormesh(sides, edges, np.ma.masked_equal(spaced, 0), cmap="Greys",
                                 norm=LogNorm(0.3, max(10, counts.max() * 2)), linewidth=0, rasterized=True)
        bar = figure.colorbar(strips, ax=axes, label="functions, each with its best prior", shrink=0.7, pad=0.01)
        bar.ax.set_ylim(1, max(2, counts.max()))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.axhspan(floor, 10.0**bottom, color="#e8eef4", zorder=0)
    axes.axhline(10.0**bottom, color="0.4", lw=0.8)
    size = float(np.clip(400 / len(shown), 3.5, 9))
    for name, (marker, fill, edge, words) in _VERDICTS.items():
        chosen = [k for k, i in enumerate(shown) if verdicts[i] == name]
        if chosen:
            heights = [max(lowest[shown[k]], 10.0**bottom) if name == "absent" else zero for k in chosen]
            # The few that matter most stand out, and in front.
            grow = 1.35 if name in ("inequivalent", "absent") else 1
            axes.plot(chosen, heights, marker, color=fill, mec=edge, mew=0.7, ms=size * grow, ls="none",
                      zorder=5 if grow > 1 else 4, label=f"{words} ({len(chosen)})")
    if runners:
        marker, fill, edge, words = _NEXT
        axes.plot([k for k, i in enumerate(shown) if i in runners], [runners[i] for i in shown if i in runners],
                  marker, color=fill, mec=edge, mew=0.7, ms=size, ls="none", zorder=3, label=words)
    _frame(figure, shown, bottom, top, bool(report.data))
    if title:
        axes.set_title(title)
    return figure


def _excesses(result: SearchResult, target: int, missed: bool) -> np.ndarray:
    """Excesses of the functions that are no global minimisers, whatever prior they come with."""
    close = result.near[result.near[:, 2] == target, 0]
    if missed:  # some of those close by have another law
        close = np.array([f for item in result.minimisers(target, minima=False).classes for f, _ in item.pairs], int)
    return np.delete(result.best[:, target], np.unique(close))


def _decades(values: list[np.ndarray]) -> tuple[int, int]:
    joined = np.concatenate(values)
    positive = joined[np.isfinite(joined) & (joined > 0)]
    if not positive.size:
        return -1, 1
    top = math.ceil(math.log10(positive.max()) + 1e-9)
    return max(min(math.floor(math.log10(positive.min())), top - 1), top - _DECADES), top


def _frame(figure: Figure, shown: list[int], bottom: int, top: int, data: bool) -> None:
    (axes, *_) = figure.axes
    axes.set_xlim(-0.7, len(shown) - 0.3)
    axes.set_ylim(10.0 ** (bottom - 1.5), 10.0**top)
    powers = [10.0**k for k in range(bottom, top + 1, max(1, (top - bottom) // 8))]
    axes.yaxis.set_major_locator(FixedLocator([10.0 ** (bottom - 0.75), *powers]))
    axes.yaxis.set_major_formatter(FuncFormatter(
        lambda v, _: "0" if v < 10.0 ** (bottom - 0.5) else f"$10^{{{round(math.log10(v))}}}$"))
    axes.yaxis.set_minor_locator(LogLocator(10, range(2, 10)) if top - bottom <= 4 else NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(
        lambda v, _: str(shown[round(v)]) if 0 <= round(v) < len(shown) else ""))
    axes.set_xlabel("number of the truth or data set" if data else "number of the truth")
    over = "the truth's entropy" + (", for data over\nthe lowest value " if data else "\n")
    axes.set_ylabel(f"excess over {over}[nats per observation]")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if figure.get_figwidth() > _NARROW else 2,
                  frameon=False, fontsize=9)
