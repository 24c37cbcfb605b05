"""Willetts and Paige: identifiable models without side information."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = ("relations", "theorems", "gaussians", "bounds", "clustering", "alignment", "counts",
                             "wilcoxon", "appendices")
