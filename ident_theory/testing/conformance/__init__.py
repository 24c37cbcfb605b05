"""Conformance suites to subclass in a test module: what a law, a condition, an estimator or a store has to satisfy.

Names load on first use; the suites need pytest.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.testing.conformance.conditions import ConditionConformance
    from ident_theory.testing.conformance.estimators import EstimatorConformance
    from ident_theory.testing.conformance.laws import LawConformance
    from ident_theory.testing.conformance.stores import StoreConformance

__all__ = ["ConditionConformance", "EstimatorConformance", "LawConformance", "StoreConformance"]

__getattr__, __dir__ = lazy_names(__name__, {
    "conditions": ("ConditionConformance",),
    "estimators": ("EstimatorConformance",),
    "laws": ("LawConformance",),
    "stores": ("StoreConformance",),
})
