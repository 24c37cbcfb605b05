"""Two pairs of models with one law of x that no affine map of the latent relates.

Kivva et al. (2022): Example 4, two decoders with one prior, and Remark 3.6, two priors with one decoder. Both are
decided exactly in about a second, so they are compared here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory import law, load_example
from ident_theory.conditions.relation import equivalence
from ident_theory.numerics import Status
from ident_theory.report import save_figure
from ident_theory.report.check_marks import CURVE, PAIR
from ident_theory.report.compare_latents import draw_latents

HERE = Path(__file__).resolve().parent
#: Title, the two examples, what to call them, window of x.
PAIRS = (("Example 4: two decoders, one prior", ("example4_f", "example4_g"), (-2.6, 2.6)),
         ("Remark 3.6: two priors, one decoder", ("remark36_p", "remark36_q"), (-1.2, 7.0)))
STYLES = ({"color": CURVE, "lw": 3.0, "label": "A"}, {"color": PAIR, "lw": 1.9, "ls": (0, (5, 2.5)), "label": "B"})
WORDS = {Status.HOLDS: "yes", Status.FAILS: "no", Status.UNKNOWN: "undecided"}


def main() -> None:
    """Draw both pairs beside this script."""
    figure = Figure(figsize=(11.0, 7.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    legend: dict[str, Any] = {}
    for part, (title, names, window) in zip(figure.subfigures(1, 2, wspace=0.04), PAIRS, strict=True):
        models = [load_example(name) for name in names]
        found = equivalence(*models)
        found.verify()
        decoders, priors, laws = part.subplots(3, 1, height_ratios=(1.5, 1, 1.2))
        draw_latents((decoders, priors), found)
        x = np.linspace(*window, 1201)
        for model, style in zip(models, STYLES, strict=True):
            laws.plot(x, np.exp(law(model).log_density(x)), **style)
        laws.fill_between(x, np.exp(law(models[0]).log_density(x)), color=CURVE, alpha=0.18, lw=0)
        laws.set_xlim(*window)
        laws.set_ylim(0, None)
        laws.set_xlabel("observation $x$")
        laws.set_ylabel("density of $x$")
        laws.spines[["top", "right"]].set_visible(False)
        answers = [f"{words}: {WORDS[found.findings[name].status]} ({found.findings[name].evidence})"
                   for words, name in (("equal in law", "equal_in_law"), ("affinely equivalent", "equivalent.affine"))]
        part.suptitle(f"{title}\n{'; '.join(answers)}", x=0.02, ha="left", fontsize=11)
        part.align_ylabels()
        for handle, label in zip(*laws.get_legend_handles_labels(), strict=True):
            legend[f"model {label}"] = handle
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, HERE / "equal_laws.png")


if __name__ == "__main__":
    main()
