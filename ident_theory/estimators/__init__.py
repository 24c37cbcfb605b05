"""Estimators of latent-variable models, trained many runs at once. Importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ident_theory.errors import UnsupportedError
from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.estimators.catalogue import estimator, estimator_class, names
    from ident_theory.estimators.fitting import FewConditionsWarning, fit
    from ident_theory.estimators.ivae import IVAE
    from ident_theory.estimators.network import Estimator
    from ident_theory.estimators.plan import Constant, Cosine, Plateau, Steps
    from ident_theory.estimators.result import Fit, Run, load_fit

__all__ = [
    "IVAE",
    "Constant",
    "Cosine",
    "Estimator",
    "FewConditionsWarning",
    "Fit",
    "Plateau",
    "Run",
    "Steps",
    "estimator",
    "estimator_class",
    "fit",
    "load_fit",
    "names",
]

_load, __dir__ = lazy_names(__name__, {
    "catalogue": ("estimator", "estimator_class", "names"),

    "fitting": ("FewConditionsWarning", "fit"),
    "ivae": ("IVAE",),
    "network": ("Estimator",),
    "plan": ("Constant", "Cosine", "Plateau", "Steps"),
    "result": ("Fit", "Run", "load_fit"),
})

def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise UnsupportedError(f"estimators.{name}: expected torch and safetensors to be installed, found no "
                               f"{error.name}; run: pip install 'ident_theory[train]'") from error
