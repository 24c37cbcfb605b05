"""Results made readable: figures of landscapes, reports and figures of searches, checks as text.

Names load on first use: text needs no plotting library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ident_theory.report.check_figures import check_figure
    from ident_theory.report.figures import plane_figure, save_figure, slice_figure
    from ident_theory.report.search import SearchReport, search_report
    from ident_theory.report.search_figures import search_figure

_HOME_OF = {"plane_figure": "figures", "save_figure": "figures", "slice_figure": "figures", "SearchReport": "search",
            "search_report": "search", "search_figure": "search_figures", "check_figure": "check_figures"}

__all__ = ["SearchReport", "check_figure", "plane_figure", "save_figure", "search_figure", "search_report",
           "slice_figure"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
