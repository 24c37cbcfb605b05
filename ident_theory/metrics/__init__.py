"""Metrics of the field: correlations of latents after matching, distances of mixtures and samples, tests of methods.

Names load on first use.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.metrics.affine import AffineDistance, affine_distance, l2_distance
    from ident_theory.metrics.canonical import CanonicalCorrelations, canonical_correlations
    from ident_theory.metrics.correlation import MCC, mcc
    from ident_theory.metrics.methods import MethodComparison, compare_methods
    from ident_theory.metrics.pairs import MCCAgainst, MCCPairs, mcc_against, mcc_pairs
    from ident_theory.metrics.samples import energy_distance, sliced_wasserstein

__all__ = [
    "MCC",
    "AffineDistance",
    "CanonicalCorrelations",
    "MCCAgainst",
    "MCCPairs",
    "MethodComparison",
    "affine_distance",
    "canonical_correlations",
    "compare_methods",
    "energy_distance",
    "l2_distance",
    "mcc",
    "mcc_against",
    "mcc_pairs",
    "sliced_wasserstein",
]

__getattr__, __dir__ = lazy_names(__name__, {
    "affine": ("AffineDistance", "affine_distance", "l2_distance"),
    "canonical": ("CanonicalCorrelations", "canonical_correlations"),
    "correlation": ("MCC", "mcc"),
    "methods": ("MethodComparison", "compare_methods"),
    "pairs": ("MCCAgainst", "MCCPairs", "mcc_against", "mcc_pairs"),
    "samples": ("energy_distance", "sliced_wasserstein"),
})
