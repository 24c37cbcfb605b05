"""Results made readable: figures of landscapes, checks, comparisons and aligned latents, searches, all as text too.

Names load on first use: text needs no plotting library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.report.align_figures import align_figure, pairs_figure
    from ident_theory.report.check_figures import check_figure
    from ident_theory.report.claims_figures import ledger_figure
    from ident_theory.report.compare_figures import compare_figure
    from ident_theory.report.figures import plane_figure, save_figure, slice_figure
    from ident_theory.report.search import SearchReport, search_report
    from ident_theory.report.search_figures import search_figure

__all__ = ["SearchReport", "align_figure", "check_figure", "compare_figure", "ledger_figure", "pairs_figure",
           "plane_figure", "save_figure", "search_figure", "search_report", "slice_figure"]

__getattr__, __dir__ = lazy_names(__name__, {
    "align_figures": ("align_figure", "pairs_figure"),
    "check_figures": ("check_figure",),
    "claims_figures": ("ledger_figure",),
    "compare_figures": ("compare_figure",),
    "figures": ("plane_figure", "save_figure", "slice_figure"),
    "search": ("SearchReport", "search_report"),
    "search_figures": ("search_figure",),
})
