"""Decoders of one latent that come with the package, with what proves or refutes that they are injective.

Kivva et al. (2022), Section 3 and Appendix A: relu, |z|, ReLU(-ReLU(z)), and Examples 4 and 5. The checks take no time,
so they are run here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory import check, load_example
from ident_theory.models import DeclaredMap
from ident_theory.report import save_figure
from ident_theory.report.check_lines import draw_line

HERE = Path(__file__).resolve().parent
NAMES = {"relu": "relu($z$)", "absolute_value": "|$z$|", "relu_of_minus_relu": "relu(−relu($z$))",
         "example4_f": "Example 4, $f$", "example4_g": "Example 4, $g$", "example5": "Example 5"}


def main() -> None:
    """Draw the six panels beside this script."""
    figure = Figure(figsize=(12.6, 9.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    legend: dict[str, Any] = {}
    for part, (name, title) in zip(figure.subfigures(2, 3, wspace=0.04, hspace=0.04).flat, NAMES.items(), strict=True):
        model = load_example(name)
        report = check(model)
        assert not isinstance(model.decoder, DeclaredMap)
        draw_line(part, report, model.prior, model.decoder)
        statuses = ", ".join(f"{item} {report[item].status}" for item in ("F2", "F3", "F4"))
        part.axes[0].set_title(f"{title}: {statuses}", loc="left", fontsize=11)
        for axes in part.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                legend[words(label)] = handle
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, HERE / "decoder_checks.png")


def words(label: str) -> str:
    """A label without what differs from panel to panel."""
    if "fail" in label:
        return "two latents with one value, f(z) = f(z')"
    return "the only latent with its value" if label.startswith("F2") else label


if __name__ == "__main__":
    main()
