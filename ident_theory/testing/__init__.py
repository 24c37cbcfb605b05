"""The testing kit for users' own CI: strategies, assertions, conformance suites and a plugin of pytest.

Names load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.testing import profiles
    from ident_theory.testing.assertions import (
        assert_condition,
        assert_equal_in_law,
        assert_equivalent,
        assert_identifiable,
        assert_L_invertible,
        assert_not_equal_in_law,
    )
    from ident_theory.testing.conformance import (
        ConditionConformance,
        EstimatorConformance,
        LawConformance,
        StoreConformance,
    )
    from ident_theory.testing.recovering import Recovery, assert_recovers
    from ident_theory.testing.strategies import gaussian_mixtures, models, noises, observations, piecewise_maps
    from ident_theory.testing.strategies_networks import relu_networks
    from ident_theory.testing.strategies_pairs import EquivalentPair, equivalent_pairs, perturbed_models
    from ident_theory.testing.strategies_priors import FactorialTruth, conditional_priors, factorial_mixtures
    from ident_theory.testing.verdicts import UndecidedError, VerdictError, VerdictRow

__all__ = [
    "ConditionConformance",
    "EquivalentPair",
    "EstimatorConformance",
    "FactorialTruth",
    "LawConformance",
    "Recovery",
    "StoreConformance",
    "UndecidedError",
    "VerdictError",
    "VerdictRow",
    "assert_L_invertible",
    "assert_condition",
    "assert_equal_in_law",
    "assert_equivalent",
    "assert_identifiable",
    "assert_not_equal_in_law",
    "assert_recovers",
    "conditional_priors",
    "equivalent_pairs",
    "factorial_mixtures",
    "gaussian_mixtures",
    "models",
    "noises",
    "observations",
    "perturbed_models",
    "piecewise_maps",
    "profiles",
    "relu_networks",
]

_load, __dir__ = lazy_names(__name__, {
    "assertions": ("assert_L_invertible", "assert_condition", "assert_equal_in_law", "assert_equivalent",
                   "assert_identifiable", "assert_not_equal_in_law"),
    "conformance": ("ConditionConformance", "EstimatorConformance", "LawConformance", "StoreConformance"),
    "recovering": ("Recovery", "assert_recovers"),
    "strategies": ("gaussian_mixtures", "models", "noises", "observations", "piecewise_maps"),
    "strategies_networks": ("relu_networks",),
    "strategies_pairs": ("EquivalentPair", "equivalent_pairs", "perturbed_models"),
    "strategies_priors": ("FactorialTruth", "conditional_priors", "factorial_mixtures"),
    "verdicts": ("UndecidedError", "VerdictError", "VerdictRow"),
})


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.profiles") if name == "profiles" else _load(name)
