"""Three slices of the demo's negative log-likelihood, as in Figure 1 of Kivva et al. (2022).

Reads the results stored in experiments/demo/results and computes nothing (`make results` renews them).
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory.landscape import Slice, load_landscape
from ident_theory.report import save_figure
from ident_theory.report.figures import draw_slice

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "experiments" / "demo" / "results"
NAMES = ("model-prior.means-1", "model-prior.means-0", "model-decoder.weights-0-1-0")


def main() -> None:
    """Draw the row of slices beside this script."""
    figure = Figure(figsize=(11.0, 3.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    row = figure.subplots(1, len(NAMES))
    legend = {}
    for axes, name in zip(row, NAMES, strict=True):
        landscape = load_landscape(RESULTS / f"{name}.nc")
        assert isinstance(landscape, Slice)
        draw_slice(axes, landscape)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            legend[label.partition(" (")[0]] = handle  # without the values, which differ from panel to panel
    row[0].set_ylabel("negative log-likelihood\n[nats per observation]")
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, HERE / "landscape_slices.png")


if __name__ == "__main__":
    main()
