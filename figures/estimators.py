"""MCC of every run of the estimators, by estimator, with baselines and what the papers report.

Reads the results stored in experiments/estimators/results and computes nothing (run.py there renews them).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ident_theory.report import save_figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "estimators" / "results"
#: Colours after Okabe and Ito.
CHOSEN, OTHER, ICA, NOISE, PAPER = "#0072B2", "0.72", "#E69F00", "0.35", "#D55E00"
#: (part, estimator): MCC that the paper or the issue names, strong with the latents, weak for pairs of runs.
TARGETS = {("ivae", "ivae"): 0.95, ("vade-pinwheel", "vade"): 0.87, ("vade-parallelograms-1", "vade"): 0.99,
           ("vade-parallelograms-2", "vade"): 0.99, ("vade-parallelograms-3", "vade"): 0.99}
#: Parts whose runs are compared with each other.
PAIRED = ("vade-pinwheel", "vade-parallelograms-1", "vade-parallelograms-2", "vade-parallelograms-3", "images")
#: Parts whose runs are compared with the true latents.
WITH_LATENTS = ("ivae", "gin-5", "gin-3", "gan")


def stored(names: tuple[str, ...]) -> list[tuple[str, str, dict[str, Any]]]:
    """(part, estimator, evaluation) of the parts that are done."""
    out = []
    for name in names:
        file = RESULTS / f"{name}.json"
        if file.exists():
            tree = json.loads(file.read_text(encoding="utf-8"))
            out += [(name, kind, entry["evaluation"]) for kind, entry in tree["results"].items()]
    return out


def draw(axes: Axes, rows: list[tuple[str, str, dict[str, Any]]], *, paired: bool) -> None:
    """A row an estimator: a point a run or a pair, baselines as ticks."""
    for place, (part, kind, found) in enumerate(rows):
        values, chosen = pair_values(found) if paired else run_values(found)
        spread = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(values, place + spread, s=22, lw=0, color=[CHOSEN if item else OTHER for item in chosen], zorder=3)
        lines = found["pairs"]["baselines"] if paired else found["baselines"]
        for name, colour in (("FastICA", ICA), ("independent noise", NOISE)):
            line = next((item for item in lines if item["name"].startswith(name)), None)
            height = None if line is None else line["weak" if paired else "strong"]
            if height is not None:
                axes.plot([height, height], [place - 0.36, place + 0.36], color=colour, lw=2.2, zorder=2)
        target = TARGETS.get((part, kind))
        if target is not None:
            axes.plot([target, target], [place - 0.42, place + 0.42], color=PAPER, lw=1.6, ls=(0, (3, 2)), zorder=4)
    axes.set_yticks(range(len(rows)), [f"{kind}\n({part})" for part, kind, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def run_values(found: dict[str, Any]) -> tuple[list[float], list[bool]]:
    """Strong MCC of each run with the true latents, and whether its score is in the best half."""
    runs = [run for run in found["runs"] if run["strong"] is not None]
    return [run["strong"] for run in runs], [run["chosen"] for run in runs]


def pair_values(found: dict[str, Any]) -> tuple[list[float], list[bool]]:
    """Weak MCC of each pair of runs, and whether both are in the best half."""
    numbers, table = found["pairs"]["numbers"], found["pairs"]["weak"]["values"]
    chosen = {run["number"] for run in found["runs"] if run["chosen"]}
    pairs = [(i, j) for i in range(len(numbers)) for j in range(i + 1, len(numbers))]
    return [table[i][j] for i, j in pairs], [numbers[i] in chosen and numbers[j] in chosen for i, j in pairs]


def main() -> None:
    """Draw both parts beside this script."""
    truth, pairs = stored(WITH_LATENTS), stored(PAIRED)
    figure = Figure(figsize=(12.5, 1.6 + 0.52 * max(len(truth), len(pairs), 4)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    draw(left, truth, paired=False)
    draw(right, pairs, paired=True)
    left.set_title("(a) Each run with the true latents", loc="left", fontsize=11)
    left.set_xlabel("strong MCC, Pearson, held out")
    right.set_title("(b) Each pair of runs", loc="left", fontsize=11)
    right.set_xlabel("weak MCC, Pearson, held out")
    handles = [Line2D([], [], marker="o", ls="none", color=CHOSEN, label="best half of the runs by score (b: both)"),
               Line2D([], [], marker="o", ls="none", color=OTHER, label="other runs"),
               Line2D([], [], color=ICA, lw=2.2, label="FastICA of x"),
               Line2D([], [], color=NOISE, lw=2.2, label="independent noise"),
               Line2D([], [], color=PAPER, lw=1.6, ls=(0, (3, 2)), label="the paper's figure")]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    save_figure(figure, HERE / "estimators.png")


if __name__ == "__main__":
    main()
