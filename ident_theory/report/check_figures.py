"""One picture of a check: the decoder and the prior with what proves or refutes the decoder's conditions."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ident_theory.conditions.result import Report
from ident_theory.models import DeclaredMap, ReLUNetwork
from ident_theory.numerics import Status
from ident_theory.report.check_lines import draw_line
from ident_theory.report.check_marks import PAIR, SINGLE, heading
from ident_theory.report.check_planes import draw_planes, place
from ident_theory.spec import from_dict

_STATUSES = {Status.HOLDS: ("o", SINGLE), Status.FAILS: ("X", PAIR), Status.UNKNOWN: ("s", "0.55")}
#: Inches for the two panels of a decoder of one latent.
_LINE_HEIGHT = 5.2
#: Characters of a reason in the table.
_REASON = 100


def check_figure(report: Report, title: str = "") -> Figure:
    """The decoder, the prior, and the points that decide the decoder's conditions.

    One latent: the graph of f, or for n = 2 its curve coloured by z, over the density of the prior. Two latents: the
    cells of f and their images. Otherwise, and for a declared decoder: the findings as a table. Witnesses f(z) = f(z')
    are joined, the point that certifies F2 is marked, and the prior of a second model with the same law is dashed.

    Parameters
    ----------
    report : Report
        Of any check.
    title : str, optional
        Such as the name of the model file.

    Accuracy
    --------
    For the eye: exact pieces and points are rounded to float64.
    """
    model = from_dict(report.model)
    decoder, is_plane = model.decoder, model.latent_dim == 2 and isinstance(model.decoder, ReLUNetwork)
    is_table = isinstance(decoder, DeclaredMap) or model.latent_dim > 2
    size = (10.0, 1.5 + 0.27 * len(report.findings)) if is_table else (7.4, 6.4)
    figure = Figure(figsize=size, dpi=150, layout=None if is_plane else "constrained")
    FigureCanvasAgg(figure)
    if is_plane:
        assert isinstance(decoder, ReLUNetwork)
        draw_planes(figure, report, model.prior, decoder)
    elif is_table:
        _draw_table(figure, report)
    else:
        assert not isinstance(decoder, DeclaredMap)
        draw_line(figure, report, model.prior, decoder)
    text = heading(report, title, 168 if is_plane else 138 if is_table else 112)
    legend: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        legend.update(zip(labels, handles, strict=True))
    columns = 2 if size[0] < 8 and not is_plane else 3
    if columns * max(map(len, legend), default=0) > (150 if is_plane else 120):
        columns -= 1
    lines, rows = text.count("\n") + 1, -(-len(legend) // columns)
    if is_plane:
        place(figure, lines, rows)
    elif not is_table:
        figure.set_size_inches(size[0], _LINE_HEIGHT + 0.18 * lines + 0.2 * rows)
    # Without a height of its own the layout finds the place of the title.
    figure.suptitle(text, x=0.01, y=0.99 if is_plane else None, ha="left", va="top", fontsize=9.5, parse_math=False)
    figure.legend(list(legend.values()), list(legend), frameon=False, fontsize=9, ncols=columns,
                  loc="lower left" if is_plane else "outside lower left")
    return figure


def _draw_table(figure: Figure, report: Report) -> None:
    """A line for every finding: status as a marker and a word, evidence, reason."""
    axes = figure.add_subplot()
    rows = list(report.findings.values())
    for status, (marker, colour) in _STATUSES.items():
        chosen = [k for k, item in enumerate(rows) if item.status is status]
        if chosen:
            axes.plot([0.17] * len(chosen), chosen, marker, color=colour, ms=8, ls="none",
                      label=f"{status} ({len(chosen)})")
    for k, item in enumerate(rows):
        evidence = "" if item.status is Status.UNKNOWN else str(item.evidence)
        for x, text in ((0.0, item.condition), (0.19, str(item.status)), (0.26, evidence),
                        (0.35, shorten(item.reason, _REASON, placeholder=" ..."))):
            axes.text(x, k, text, va="center", fontsize=9, parse_math=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.hlines([k + 0.5 for k in range(len(rows) - 1)], 0, 1, color="0.9", lw=0.6)
    axes.axis("off")
