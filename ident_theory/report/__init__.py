"""Results made readable: figures of likelihood landscapes."""

from ident_theory.report.figures import plane_figure, save_figure, slice_figure

__all__ = ["plane_figure", "save_figure", "slice_figure"]
