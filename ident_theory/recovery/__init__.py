"""Recovery algorithms: what a mixture determines, computed together with how well it is determined.

Names load on first use.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.recovery.alignment import (
        Alignment,
        AlignmentErrors,
        ExactAlignments,
        align_mixtures,
        alignment_errors,
        exact_alignments,
    )
    from ident_theory.recovery.estimates import MixtureEstimate
    from ident_theory.recovery.factorial import Unmixing, unmix_factorial
    from ident_theory.recovery.graph import LatentGraph, latent_graph

__all__ = [
    "Alignment",
    "AlignmentErrors",
    "ExactAlignments",
    "LatentGraph",
    "MixtureEstimate",
    "Unmixing",
    "align_mixtures",
    "alignment_errors",
    "exact_alignments",
    "latent_graph",
    "unmix_factorial",
]

__getattr__, __dir__ = lazy_names(__name__, {
    "alignment": ("Alignment", "AlignmentErrors", "ExactAlignments", "align_mixtures", "alignment_errors",
                  "exact_alignments"),
    "estimates": ("MixtureEstimate",),
    "factorial": ("Unmixing", "unmix_factorial"),
    "graph": ("LatentGraph", "latent_graph"),
})
