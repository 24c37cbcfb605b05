"""How many observations the maximum-likelihood estimate needs to have the truth's law.

Reads the results stored in experiments/sample_complexity/results and computes nothing (`make sample-complexity`
renews them).
"""

from __future__ import annotations

import argparse
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ident_theory.report import save_figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "sample_complexity" / "results"
#: Name, legend and colour (after Okabe and Ito, told apart by colour-blind readers) of the truths of both left panels.
TRUTHS = (("injective", "injective: 2 ReLU(z) − ReLU(−z), means −2, 2", "#0072B2", "o"),
          ("fold", "not weakly injective: |z|, means 1, 2", "#D55E00", "s"),
          ("rectifier", "close competitor: ReLU(z), means −1, 1", "#009E73", "^"))
SEPARATED = (("bent decoder, 2 ReLU(z) − ReLU(−z)", ("injective-1", "injective-2", "injective-3", "injective"),
              "#0072B2", "o"),
             ("straight decoder, z", ("linear-1", "linear-2", "linear-3", "linear-4"), "#AA4499", "D"))
NOISY = (("injective", "#0072B2", "o"), ("fold", "#D55E00", "s"))
NOISE = "1/2"
#: Standard normal quantile of 0.9.
Z90 = 1.2815515655446004
Results = dict[tuple[str, str], dict[str, Any]]


def column(result: dict[str, Any], *keys: str) -> np.ndarray:
    """One number of every size, NaN where there is none."""
    values = []
    for item in result["outcomes"]:
        for key in keys:
            item = None if item is None else item[key]
        values.append(math.nan if item is None else item)
    return np.array(values, dtype=float)


def crossing(sizes: np.ndarray, rates: np.ndarray, level: float = 0.9) -> float:
    """Size at which a rate first reaches the level, linear in log N; infinite when it never does."""
    rates = np.maximum.accumulate(rates)
    if rates[-1] < level:
        return math.inf
    if rates[0] >= level:
        return float(sizes[0])
    return float(np.exp(np.interp(level, rates, np.log(sizes))))


def draw_recovery(axes: Axes, results: Results) -> None:
    for name, label, colour, marker in TRUTHS:
        result = results[name, NOISE]
        sizes = column(result, "size")
        axes.fill_between(sizes, column(result, "low"), column(result, "high"), color=colour, alpha=0.18, lw=0)
        axes.plot(sizes, column(result, "rate"), color=colour, marker=marker, ms=5, lw=1.8, label=label)
        axes.plot(sizes, 1 - column(result, "predicted_error", "max_rival"), color=colour, lw=1.2, ls=(0, (5, 3)))
        axes.plot(sizes, 1 - column(result, "predicted_error", "joint_normal"), color=colour, lw=1.4, ls=(0, (1, 1.5)))
        if result["affine_share_of_ties"] < 1:
            axes.plot(sizes, column(result, "affine_rate"), color=colour, lw=1.0, marker=marker, ms=4, mfc="white",
                      label="the same, and affinely equivalent, ties drawn at random")
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("observations N")
    axes.set_ylabel("probability that the estimate\nhas the truth's law")
    axes.set_title(f"(a) Recovery, noise std {NOISE}", loc="left", fontsize=10)


def draw_need(axes: Axes, x: np.ndarray, chosen: list[dict[str, Any]], label: str, colour: str, marker: str) -> None:
    """Sizes at which nine of ten estimates are right, with both predictions."""
    sizes = [column(result, "size") for result in chosen]
    middle = np.array([crossing(s, column(r, "rate")) for s, r in zip(sizes, chosen, strict=True)])
    low = np.array([crossing(s, column(r, "high")) for s, r in zip(sizes, chosen, strict=True)])
    high = np.array([crossing(s, column(r, "low")) for s, r in zip(sizes, chosen, strict=True)])
    largest = max(s[-1] for s in sizes)
    known = np.isfinite(middle)
    bars = [(middle - low)[known], np.minimum(high, largest)[known] - middle[known]]
    axes.errorbar(x[known], middle[known], yerr=bars, color=colour, marker=marker, ms=6, lw=1.8, capsize=3,
                  label=label)
    axes.plot(x[~known], np.full((~known).sum(), largest), color=colour, marker=r"$\uparrow$", ms=11, ls="none")
    axes.plot(x, [(Z90 * r["hardest"]["sd"] / r["hardest"]["kl"])**2 for r in chosen], color=colour, lw=1.2,
              ls=(0, (5, 3)))
    axes.plot(x, [crossing(s, 1 - column(r, "predicted_error", "joint_normal"))
                  for s, r in zip(sizes, chosen, strict=True)], color=colour, lw=1.4, ls=(0, (1, 1.5)))
    axes.set_yscale("log")
    axes.set_ylabel("observations needed for\nprobability 0.9")


def draw_distance(axes: Axes, results: Results) -> None:
    for name, _, colour, marker in TRUTHS:
        result = results[name, NOISE]
        sizes = column(result, "size")
        quantiles = [column(result, "wrong", "kl_quantiles", q) for q in ("0.05", "0.5", "0.95")]
        axes.fill_between(sizes, quantiles[0], quantiles[2], color=colour, alpha=0.18, lw=0)
        axes.plot(sizes, quantiles[1], color=colour, marker=marker, ms=5, lw=1.8)
        axes.axhline(result["runner_up"]["kl"], color=colour, lw=1.0, ls=(0, (2, 2, 6, 2)), zorder=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("observations N")
    axes.set_ylabel("KL(truth, estimate) of wrong\nestimates [nats per observation]")
    axes.set_title(f"(d) How wrong the wrong ones are, noise std {NOISE}", loc="left", fontsize=10)


def main() -> None:
    """Draw the four panels beside this script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE / "sample_complexity.png")
    arguments = parser.parse_args()
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(arguments.results.glob("*.json"))]
    results = {(item["name"], item["noise_std"]): item for item in read}
    figure = Figure(figsize=(11.0, 8.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    (recovery, separation), (noise, distance) = figure.subplots(2, 2)
    draw_recovery(recovery, results)
    for label, names, colour, marker in SEPARATED:
        chosen = [results[name, NOISE] for name in names]
        draw_need(separation, np.array([item["separation"] for item in chosen]), chosen, label, colour, marker)
    separation.set_xlabel("distance of the means [standard deviations of a component]")
    separation.set_xticks([1, 2, 3, 4])
    separation.set_title(f"(b) Separation, noise std {NOISE}", loc="left", fontsize=10)
    separation.legend(frameon=False, fontsize=8.5)
    for name, colour, marker in NOISY:
        chosen = sorted((item for key, item in results.items() if key[0] == name), key=lambda item: stds(item))
        draw_need(noise, np.array([stds(item) for item in chosen]), chosen, name, colour, marker)
    noise.set_xscale("log", base=2)
    noise.set_xticks([1 / 8, 1 / 4, 1 / 2, 1], ["1/8", "1/4", "1/2", "1"])
    noise.set_xlabel("standard deviation of the noise")
    noise.set_title("(c) Noise", loc="left", fontsize=10)
    draw_distance(distance, results)
    for axes in (recovery, separation, noise, distance):
        axes.grid(color="0.9", lw=0.6)
        axes.set_axisbelow(True)
    replications = read[0]["settings"]["replications"]
    grey = "0.35"
    styles = [Line2D([], [], color=grey, lw=1.8, marker="o", ms=4, label=f"measured, {replications} data sets each"),
              Patch(color=grey, alpha=0.25, lw=0, label="95 % interval; in (d) 5 % to 95 % of the wrong estimates"),
              Line2D([], [], color=grey, lw=1.2, ls=(0, (5, 3)), label="predicted by the one hardest rival"),
              Line2D([], [], color=grey, lw=1.4, ls=(0, (1, 1.5)),
                     label=f"predicted by the {read[0]['settings']['rivals']} closest rivals together"),
              Line2D([], [], color=grey, lw=1.0, ls=(0, (2, 2, 6, 2)), label="KL of the closest wrong law, in (d)")]
    handles = [*recovery.get_legend_handles_labels()[0], *styles]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    save_figure(figure, arguments.out)


def stds(item: dict[str, Any]) -> float:
    return float(Fraction(item["noise_std"]))


if __name__ == "__main__":
    main()
