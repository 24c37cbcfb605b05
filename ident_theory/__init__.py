"""Exact laws and likelihood landscapes of latent-variable models z ~ P, x = f(z) + noise.

Names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ident_theory.errors import (
        BudgetExceeded,
        DegenerateLawError,
        IdentTheoryError,
        InputError,
        ModelError,
        Problem,
        SpecError,
        StoreMismatchError,
        StoreWriteError,
        UnsupportedError,
    )
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
    from ident_theory.models import (
        GaussianMixture,
        GaussianNoise,
        LaplaceNoise,
        LogisticNoise,
        Model,
        PiecewiseAffineMap,
        ReLUNetwork,
        StudentNoise,
    )
    from ident_theory.spec import load, loads, to_json

    __version__: str

_HOMES = {
    "errors": ("BudgetExceeded", "DegenerateLawError", "IdentTheoryError", "InputError", "ModelError", "Problem",
               "SpecError", "StoreMismatchError", "StoreWriteError", "UnsupportedError"),
    "landscape": ("ParameterFamily", "Plane", "SearchResult", "Slice", "landscape_plane", "landscape_slice",
                  "load_family", "load_landscape", "load_search", "search"),
    "laws": ("Law", "law"),
    "models": ("GaussianMixture", "GaussianNoise", "LaplaceNoise", "LogisticNoise", "Model", "PiecewiseAffineMap",
               "ReLUNetwork", "StudentNoise"),
    "spec": ("load", "loads", "to_json"),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "BudgetExceeded",
    "DegenerateLawError",
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
    "SearchResult",
    "Slice",
    "SpecError",
    "StoreMismatchError",
    "StoreWriteError",
    "StudentNoise",
    "UnsupportedError",
    "__version__",
    "landscape_plane",
    "landscape_slice",
    "law",
    "load",
    "load_family",
    "load_landscape",
    "load_search",
    "loads",
    "search",
    "to_json",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("ident_theory")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
