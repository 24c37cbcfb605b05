"""Sorrenson et al.: GIN."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = (
    "setting", "theorem", "remarks", "gaussian", "two_parameters", "table_rows", "segments", "flow", "volume",
    "training", "experiments", "architecture")
