"""Slices through simulated truths, as in Figure 1 of Kivva et al. (2022), and one with a tie the paper did not meet.

Reads experiments/maximum_likelihood/results/slices.json and computes nothing (`make maximum-likelihood` renews it).
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory.report import save_figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "maximum_likelihood" / "results" / "slices.json"
CURVE, TRUTH, GLOBAL, LOCAL = "#1f3b73", "#2a8a4a", "#c0392b", "#e08a00"
#: Values above this multiple of the lower nine tenths' range are cut off.
HEADROOM = 2.5


def main() -> None:
    """Draw the four slices beside this script."""
    panels = json.loads(RESULTS.read_text())["panels"]
    figure = Figure(figsize=(10.0, 7.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
    legend = {}
    for letter, axes, panel in zip("abcd", figure.subplots(2, 2).flat, panels, strict=True):
        draw(axes, panel, letter)
        legend.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=len(legend), frameon=False)
    save_figure(figure, HERE / "maximum_likelihood.png")


def draw(axes: Axes, panel: dict[str, Any], letter: str) -> None:
    """One slice: the curve, the truth, the minimisers; title and the truth in words."""
    minima = panel["minima"]
    # The refined minima join the curve, so that it reaches down to its dots between two grid points.
    x = np.array(panel["grid"] + [m["at"] for m in minima])
    y = np.array(panel["excess"] + [m["excess"] for m in minima])
    order = np.argsort(x, kind="stable")
    axes.plot(x[order], y[order], color=CURVE, lw=2, zorder=3)
    axes.axvline(panel["truth_value"], color=TRUTH, lw=5, alpha=0.5, label="truth", zorder=1)
    for m in minima:
        if m["global"]:
            axes.axvline(m["at"], color=GLOBAL, lw=1.5, ls=(0, (4, 3)), label="global minimiser", zorder=2)
        axes.plot(m["at"], m["excess"], "o", color=GLOBAL if m["global"] else LOCAL, mec="white", ms=8, clip_on=False,
                  zorder=4, label=None if m["global"] else "other local minimum")
    shoulder = np.quantile(y, 0.9)
    top = 1.3 * shoulder if y.max() > HEADROOM * shoulder > 0 else 1.05 * y.max()
    axes.set_ylim(-0.06 * top, top)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"({letter}) {title_of(panel)}", loc="left", fontsize=11, fontweight="bold", pad=38)
    axes.text(0, 1.02, f"{function(panel['truth'])}\n{prior(panel['truth'])}", transform=axes.transAxes, fontsize=9,
              color="0.25", va="bottom", linespacing=1.35)
    axes.set_xlabel(name_of(panel["path"]))
    axes.set_ylabel("negative log-likelihood above\nthe truth's [nats per observation]")


def title_of(panel: dict[str, Any]) -> str:
    """What the panel shows."""
    lowest, count = sum(m["global"] for m in panel["minima"]), len(panel["minima"])
    if panel["kind"] == "tie":
        return f"{words(lowest)} inequivalent global minimisers"
    return {"convex": "convex", "not convex": "not convex, one minimum",
            "several local minima": f"{words(count)} local minima"}[panel["kind"]]


def words(count: int) -> str:
    """Small numbers as words."""
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))


def name_of(path: str) -> str:
    """The paper's name of a parameter."""
    digits = [int(c) for c in path if c.isdigit()]
    if path.startswith("prior.means"):
        return f"mean $\\mu_{digits[0] + 1}$"
    if path.startswith("decoder.biases"):
        return f"bias $\\pi_{digits[1] + 1}$"
    if digits[0] == 0:
        return f"weight $\\beta_{digits[1] + 1}$"
    return f"coefficient $\\alpha_{digits[2] + 1}$"


def function(truth: dict[str, list[str]]) -> str:
    """The decoder, terms of the form a relu(b z + p)."""
    terms = ""
    for a, b, p in zip(truth["alpha"], truth["beta"], truth["pi"], strict=True):
        inner = signed(b, "z", first=True) + (signed(p, "") if Fraction(p) else "")
        terms += signed(a, f" relu({inner})", first=not terms)
    return f"$f$(z) = {terms}".replace("z", "$z$")


def signed(number: str, unit: str, first: bool = False) -> str:
    """A term with its sign."""
    value = Fraction(number)
    size = "" if abs(value) == 1 and unit else str(abs(value)) + ("" if value or not unit else "·")
    if first:
        return ("−" if value < 0 else "") + (size + unit).strip()
    return (" − " if value < 0 else " + ") + (size + unit).strip()


def prior(truth: dict[str, list[str]]) -> str:
    """The prior, components of weight zero left out."""
    parts = [(Fraction(w), Fraction(m)) for w, m in zip(truth["weights"], truth["means"], strict=True)]
    return "$z$ ~ " + " + ".join((f"{w} " if w != 1 else "") + f"N({'−' if m < 0 else ''}{abs(m)}, 1)"
                                 for w, m in parts if w)


if __name__ == "__main__":
    main()
