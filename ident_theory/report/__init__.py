"""Results made readable: figures of likelihood landscapes, reports and figures of searches."""

from ident_theory.report.figures import plane_figure, save_figure, slice_figure
from ident_theory.report.search import SearchReport, search_report
from ident_theory.report.search_figures import search_figure

__all__ = ["SearchReport", "plane_figure", "save_figure", "search_figure", "search_report", "slice_figure"]
