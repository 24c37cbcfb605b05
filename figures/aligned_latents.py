"""Latents of two runs before and after weak alignment, and what the MCC sees of runs that bend their latents.

Reads the results stored in experiments/alignment/results and computes nothing (`make alignment` renews them).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory.report import save_figure
from ident_theory.report.align_figures import Aligned, draw_matrix

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "alignment" / "results"
#: Name, legend, colour (after Okabe and Ito), marker, line style.
CURVES = (("weak", "weak, after affine alignment", "#0072B2", "o", "-"),
          ("strong", "strong, after a permutation", "#D55E00", "s", (0, (5, 2))))


def stored_pair(arrays: Any, name: str) -> Aligned:
    """One of the two matrices as it was stored."""
    columns = arrays[f"{name}_columns"]
    if name == "after":
        names = [f"c_{i}" for i in range(columns.shape[1])]
        return Aligned(arrays["after_a"], arrays["after_b"], names, names)
    first = [f"z_{i}" for i in columns[0]]
    second = [f"{'-' if sign < 0 else ''}z_{i}" for i, sign in zip(columns[1], columns[2], strict=True)]
    return Aligned(arrays["before_a"], arrays["before_b"], first, second)


def draw_curves(axes: Axes, outcomes: list[dict[str, Any]]) -> None:
    """Mean over the pairs of runs, with the interval that takes runs, not pairs, for independent."""
    slopes = [item["slope"] for item in outcomes]
    for name, label, colour, marker, style in CURVES:
        low, high = np.array([item[name]["interval"] for item in outcomes]).T
        axes.fill_between(slopes, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(slopes, [item[name]["mean"] for item in outcomes], color=colour, marker=marker, ms=5, lw=1.8,
                  ls=style, label=label)
    axes.set_xlim(max(slopes) + 0.03, min(slopes) - 0.03)
    axes.set_ylim(0.5, 1.01)
    axes.set_xlabel("slope of the leaky ReLU in each run\n(1: latents are affine copies)")
    axes.set_ylabel(f"mean MCC of {outcomes[0]['weak']['n_pairs']} pairs of {outcomes[0]['weak']['n_runs']} runs, "
                    "held out")
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")


def main() -> None:
    """Draw the three parts beside this script."""
    outcomes = json.loads((RESULTS / "mcc.json").read_text(encoding="utf-8"))["outcomes"]
    figure = Figure(figsize=(16.0, 6.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    before, after, curves = figure.subfigures(1, 3, width_ratios=(1, 1, 0.62), wspace=0.03)
    with np.load(RESULTS / "pair.npz") as arrays:
        for part, name, words in ((before, "before", "(a) Two runs as saved, columns matched: strong MCC"),
                                  (after, "after", "(b) The same after weak alignment: weak MCC")):
            draw_matrix(part, stored_pair(arrays, name), labels=arrays["labels"])
            part.suptitle(f"{words} {float(arrays[f'{name}_value']):.3f}", x=0.01, ha="left", fontsize=11)
            part.supylabel("run 1", fontsize=10)
            part.supxlabel("run 2", fontsize=10)
    draw_curves(curves.subplots(), outcomes)
    curves.suptitle("(c) Runs that bend their latents", x=0.01, ha="left", fontsize=11)
    save_figure(figure, HERE / "aligned_latents.png")


if __name__ == "__main__":
    main()
