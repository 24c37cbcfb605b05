"""Our own statements that replace proofs of the papers."""

#: The modules with claims, in the order of the audit.
CHAPTERS: tuple[str, ...] = ("noise_removal", "affine_hull", "facets", "sum_of_curves")
