"""A training as a picture: learning curves of all runs, and what the best run recovered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from ident_theory.metrics import mcc
from ident_theory.report.align_figures import aligned_latents, draw_matrix
from ident_theory.report.check_marks import CURVE, PAIR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ident_theory.models.value import FloatArray

#: Latents shown as scatter plots; more are shown as a table of correlations.
MOST_SCATTERED = 3
#: Share of the losses of the longest phase, and of others, that set the window of the curves, the largest being left
#: out; its margin.
_BULK, _SHORTER, _MARGIN = 0.85, 0.5, 0.06
#: Share of the width from which on a phase is named, and of the longest phase from which on it sets the window.
_NAMED = 0.12
_GREY = "0.72"


@dataclass(frozen=True)
class Curves:
    """What the log of a training says of its losses.

    Attributes
    ----------
    steps : sequence of int
        Of the records.
    phases : sequence of str
        Of the records; losses of different phases may be of different kinds.
    losses : ndarray, shape (runs, records)
        NaN from where a run failed.
    """

    steps: Sequence[int]
    phases: Sequence[str]
    losses: FloatArray


def train_figure(tree: Mapping[str, Any], curves: Curves, found: FloatArray | None, truth: FloatArray | None,
                 labels: Any = None) -> Figure:
    """Learning curves on the left; on the right the recovered latents, or the agreement of the runs.

    Parameters
    ----------
    tree : mapping
        As ``ident-theory train --json`` writes it.
    curves : Curves
    found : ndarray, shape (N, d), or None
        Held-out latents of the best run.
    truth : ndarray, shape (N, d'), or None
        The true ones.
    labels : array_like, shape (N,), optional
    """
    evaluation, pairs = tree["evaluation"], tree["evaluation"]["pairs"]
    ranked = [run for run in evaluation["runs"] if run["deviations"]]
    parts = [name for name, is_there in (
        ("latents", found is not None and truth is not None), ("pairs", pairs is not None),
        ("spectrum", bool(ranked))) if is_there]
    figure = Figure(figsize=(5.6 + 5.4 * len(parts), 5.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    sides = figure.subfigures(1, 1 + len(parts), width_ratios=(1.05, *([1.0] * len(parts))), squeeze=False)[0]
    draw_curves(sides[0].subplots(), evaluation, curves)
    for letter, side, name in zip("bcd", sides[1:], parts, strict=False):
        if name == "latents" and found is not None and truth is not None:
            draw_latents(side, found, truth, labels, evaluation, letter)
        elif name == "pairs":
            draw_pairs(side, pairs, letter)
        else:
            draw_spectrum(side, ranked, evaluation["best"], letter)
    return figure


def draw_curves(axes: Axes, evaluation: Mapping[str, Any], curves: Curves) -> None:
    """Mean loss between the records of the log, a line a run, broken between phases."""
    steps, named = np.asarray(curves.steps), set()
    stretches = [[i for i, _ in part] for _, part in groupby(enumerate(curves.phases), key=lambda item: item[1])]
    for run in sorted(evaluation["runs"], key=lambda run: (run["number"] == evaluation["best"], run["chosen"])):
        is_best = run["number"] == evaluation["best"]
        colour, width, name = (PAIR, 2.0, "best run") if is_best else \
            (CURVE, 1.0, "chosen half") if run["chosen"] else \
            (_GREY, 1.0, "other runs") if run["alive"] else ("black", 1.0, "failed")
        for part in stretches:
            axes.plot(steps[part], curves.losses[run["number"], part], color=colour, lw=width,
                      ls="-" if run["alive"] else (0, (1, 1.5)), label=None if name in named else name)
            named.add(name)
    for part in stretches[1:]:
        axes.axvline(steps[part[0] - 1], color="0.4", lw=0.8, ls=(0, (4, 3)))
    span = steps[-1] - steps[0] if len(steps) else 0
    for part in stretches if len(stretches) > 1 else ():
        if steps[part[-1]] - steps[part[0]] < _NAMED * span:
            continue
        axes.text((steps[part[0]] + steps[part[-1]]) / 2, 1.0, curves.phases[part[0]], ha="center", va="bottom",
                  fontsize=8, color="0.3", transform=axes.get_xaxis_transform())
    _limit_losses(axes, [curves.losses[:, part] for part in stretches])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel("loss, mean between two records")
    axes.set_title(f"(a) Learning curves, runs chosen by their {evaluation['score_name']}", loc="left", fontsize=10,
                   pad=16 if len(stretches) > 1 else 6)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=9, loc="upper right", framealpha=0.8, edgecolor="none")


def _limit_losses(axes: Axes, phases: Sequence[FloatArray]) -> None:
    """The bulk of the losses of each phase but short ones: the first are often larger by orders of magnitude."""
    finite = [losses[np.isfinite(losses)] for losses in phases]
    most = max((seen.size for seen in finite), default=0)
    bulks = [(float(seen.min()), float(np.quantile(seen, _BULK if seen.size == most else _SHORTER)))
             for seen in finite if seen.size > _NAMED * most]
    if bulks:
        low, high = min(bulk[0] for bulk in bulks), max(bulk[1] for bulk in bulks)
        span = high - low if high > low else max(abs(low), 1.0)
        axes.set_ylim(low - _MARGIN * span, high + _MARGIN * span)


def draw_latents(part: SubFigure, found: FloatArray, truth: FloatArray, labels: Any,
                 evaluation: Mapping[str, Any], letter: str = "b") -> None:
    """True latents against those of the best run: scatter plots for few, correlations for many."""
    best = next(run for run in evaluation["runs"] if run["number"] == evaluation["best"])
    value = "not a number" if best["strong"] is None else f"{best['strong']:.3f}"
    part.suptitle(f"({letter}) Latents of the best run: strong MCC {value}", x=0.01, ha="left", fontsize=10)
    result = mcc(truth, found, constant="zero")
    if max(truth.shape[1], found.shape[1]) <= MOST_SCATTERED:
        draw_matrix(part, aligned_latents(truth, found, result), labels=labels)
        part.supylabel("true", fontsize=9)
        part.supxlabel("recovered", fontsize=9)
        return
    axes = part.subplots()
    rows = np.concatenate([result.columns_a, np.setdiff1d(np.arange(truth.shape[1]), result.columns_a)])
    columns = np.concatenate([result.columns_b, np.setdiff1d(np.arange(found.shape[1]), result.columns_b)])
    table = np.abs(_correlations(truth[:, rows], found[:, columns]))
    image = axes.imshow(table, cmap="viridis", vmin=0, vmax=1)
    if table.size <= 144:
        for i, j in np.ndindex(*table.shape):
            axes.text(j, i, f"{table[i, j]:.2f}", ha="center", va="center", fontsize=8,
                      color="black" if table[i, j] > 0.6 else "white")
    axes.set_xticks(range(len(columns)), [f"{j}" for j in columns])
    axes.set_yticks(range(len(rows)), [f"{i}" for i in rows])
    axes.set_xlabel("recovered latent")
    axes.set_ylabel("true latent")
    part.colorbar(image, ax=axes, shrink=0.8, label="|correlation|, all held-out observations")


def _correlations(a: FloatArray, b: FloatArray) -> FloatArray:
    """Of every column of a with every column of b; 0 for a column that does not vary."""
    a, b = (z - z.mean(axis=0) for z in (a, b))
    scale = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    table: FloatArray = a.T @ b / np.where(scale > 0, scale, 1.0)
    return table


def draw_pairs(part: SubFigure, pairs: Mapping[str, Any], letter: str = "b") -> None:
    """Agreement of all pairs of runs: strong above the diagonal, weak below where there is one."""
    lower = pairs["weak"] or pairs["strong"]
    strong, weak = (np.array([[np.nan if value is None else value for value in row] for row in item["values"]])
                    for item in (pairs["strong"], lower))
    table = np.where(np.triu(np.ones_like(strong), 1) > 0, strong, weak)
    axes = part.subplots()
    lowest = min(0.5, float(np.nanmin(table)))
    image = axes.imshow(table, cmap="viridis", vmin=lowest, vmax=1)
    if len(table) <= 12:
        for i, j in np.ndindex(*table.shape):
            if i != j:
                axes.text(j, i, f"{table[i, j]:.2f}", ha="center", va="center", fontsize=8,
                          color="black" if table[i, j] > 0.4 * lowest + 0.6 else "white")
    places = range(0, len(table), -(-len(table) // 20))
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(places, [str(pairs["numbers"][i]) for i in places])
    axes.set_xlabel("run")
    axes.set_ylabel("run")
    where = "" if pairs["weak"] is None else " above the diagonal"
    words = [f"({letter}) Runs with each other: strong MCC{where} (mean {pairs['strong']['mean']:.3f})"]
    words += [] if pairs["weak"] is None else [f"weak MCC below it (mean {pairs['weak']['mean']:.3f})"]
    part.suptitle(",\n".join(words), x=0.01, ha="left", fontsize=10)
    part.colorbar(image, ax=axes, shrink=0.8, label="MCC")


def draw_spectrum(part: SubFigure, runs: Sequence[Mapping[str, Any]], best: int | None, letter: str = "b") -> None:
    """Standard deviations of the latents, largest first, a line a run."""
    axes = part.subplots()
    for run in runs:
        is_best = run["number"] == best
        places, values = range(1, len(run["deviations"]) + 1), run["deviations"]
        axes.plot(places, values, marker="o", ms=5 if is_best else 3, lw=1.8 if is_best else 0.9,
                  color=PAIR if is_best else _GREY, zorder=3 if is_best else 2)
        if is_best:
            axes.axvline(run["informative"] + 0.5, color="black", lw=1.0, ls=(0, (4, 3)))
            part.suptitle(f"({letter}) Standard deviations of the latents: {run['informative']} informative in the "
                          "best run", x=0.01, ha="left", fontsize=10)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("latent, largest first")
    axes.set_ylabel("standard deviation")
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
