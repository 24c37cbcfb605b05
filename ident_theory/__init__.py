"""Exact laws, likelihood landscapes and identifiability checks of latent-variable models z ~ P, x = f(z) + noise.

Names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory import data, estimators, metrics, recovery
    from ident_theory.bridge import from_torch
    from ident_theory.conditions import Equivalence, Report, verify_report
    from ident_theory.conditions.check import check
    from ident_theory.conditions.comparison import verify_comparison
    from ident_theory.conditions.relation import Correspondence, equivalence
    from ident_theory.errors import (
        BudgetExceeded,
        CertificateRejected,
        DegenerateLawError,
        IdentTheoryError,
        InputError,
        ModelError,
        Problem,
        SpecError,
        StoreMismatchError,
        StoreWriteError,
        UnsupportedError,
        UnsupportedLayerError,
    )
    from ident_theory.exact.findings import Certificate, Finding, Witness
    from ident_theory.examples import example_names, load_example
    from ident_theory.landscape import (
        ParameterFamily,
        Plane,
        SearchResult,
        Slice,
        landscape_plane,
        landscape_slice,
        load_family,
        load_landscape,
        load_search,
        search,
    )
    from ident_theory.laws import Law, law
    from ident_theory.laws.equality import equal_in_law
    from ident_theory.metrics import affine_distance, mcc, mcc_pairs
    from ident_theory.models import (
        AffineChange,
        ConditionalPrior,
        DeclaredMap,
        FejerNoise,
        GaussianMixture,
        GaussianNoise,
        LaplaceNoise,
        LogisticNoise,
        Model,
        PiecewiseAffineMap,
        ReLUNetwork,
        StudentNoise,
        UniformNoise,
    )
    from ident_theory.numerics import Evidence, Status
    from ident_theory.spec import load, loads, to_json

    __version__: str

_HOMES = {
    "bridge": ("from_torch",),
    "conditions": ("Equivalence", "Report", "verify_report"),
    "conditions.check": ("check",),
    "conditions.comparison": ("verify_comparison",),
    "conditions.relation": ("Correspondence", "equivalence"),
    "errors": ("BudgetExceeded", "CertificateRejected", "DegenerateLawError", "IdentTheoryError", "InputError",
               "ModelError", "Problem", "SpecError", "StoreMismatchError", "StoreWriteError", "UnsupportedError",
               "UnsupportedLayerError"),
    "exact.findings": ("Certificate", "Finding", "Witness"),
    "examples": ("example_names", "load_example"),
    "landscape": ("ParameterFamily", "Plane", "SearchResult", "Slice", "landscape_plane", "landscape_slice",
                  "load_family", "load_landscape", "load_search", "search"),
    "laws": ("Law", "law"),
    "laws.equality": ("equal_in_law",),
    "metrics": ("affine_distance", "mcc", "mcc_pairs"),
    "models": ("AffineChange", "ConditionalPrior", "DeclaredMap", "FejerNoise", "GaussianMixture", "GaussianNoise",
               "LaplaceNoise", "LogisticNoise", "Model", "PiecewiseAffineMap", "ReLUNetwork", "StudentNoise",
               "UniformNoise"),
    "numerics": ("Evidence", "Status"),
    "spec": ("load", "loads", "to_json"),
}

__all__ = [
    "AffineChange",
    "BudgetExceeded",
    "Certificate",
    "CertificateRejected",
    "ConditionalPrior",
    "Correspondence",
    "DeclaredMap",
    "DegenerateLawError",
    "Equivalence",
    "Evidence",
    "FejerNoise",
    "Finding",
    "GaussianMixture",
    "GaussianNoise",
    "IdentTheoryError",
    "InputError",
    "LaplaceNoise",
    "Law",
    "LogisticNoise",
    "Model",
    "ModelError",
    "ParameterFamily",
    "PiecewiseAffineMap",
    "Plane",
    "Problem",
    "ReLUNetwork",
    "Report",
    "SearchResult",
    "Slice",
    "SpecError",
    "Status",
    "StoreMismatchError",
    "StoreWriteError",
    "StudentNoise",
    "UniformNoise",
    "UnsupportedError",
    "UnsupportedLayerError",
    "Witness",
    "__version__",
    "affine_distance",
    "check",
    "data",
    "equal_in_law",
    "equivalence",
    "estimators",
    "example_names",
    "from_torch",
    "landscape_plane",
    "landscape_slice",
    "law",
    "load",
    "load_example",
    "load_family",
    "load_landscape",
    "load_search",
    "loads",
    "mcc",
    "mcc_pairs",
    "metrics",
    "recovery",
    "search",
    "to_json",
    "verify_comparison",
    "verify_report",
]


_load, __dir__ = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("ident_theory")
    elif name in ("data", "estimators", "metrics", "recovery"):
        value = import_module(f"{__name__}.{name}")
    else:
        return _load(name)
    globals()[name] = value
    return value
