"""Estimators of latent-variable models, trained many runs at once. Importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ident_theory.errors import UnsupportedError
from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.estimators.catalogue import estimator, estimator_class, names
    from ident_theory.estimators.evaluation import Evaluation, evaluate
    from ident_theory.estimators.exact_likelihood import ConditionalExactLikelihood, ExactLikelihood
    from ident_theory.estimators.exact_side import BesideReport, beside
    from ident_theory.estimators.fitting import FewConditionsWarning, fit
    from ident_theory.estimators.gin import GIN
    from ident_theory.estimators.gmm_flow import GMMFlow
    from ident_theory.estimators.hashed import HashedVAE
    from ident_theory.estimators.ice_beem import ICEBeeM
    from ident_theory.estimators.informative import Spectrum, spectrum
    from ident_theory.estimators.ivae import IVAE
    from ident_theory.estimators.ivae_gan import IVAEGAN
    from ident_theory.estimators.mfcvae import MFCVAE
    from ident_theory.estimators.network import Estimator
    from ident_theory.estimators.plan import Constant, Cosine, Plateau, Steps
    from ident_theory.estimators.recipes import Preset, preset, presets
    from ident_theory.estimators.result import Fit, Run, load_fit
    from ident_theory.estimators.vade import VaDE
    from ident_theory.estimators.vae import VAE, BetaTCVAE, BetaVAE
    from ident_theory.estimators.vq_vae import Autoencoder, RelaxedVQVAE

__all__ = [
    "GIN",
    "IVAE",
    "IVAEGAN",
    "MFCVAE",
    "VAE",
    "Autoencoder",
    "BesideReport",
    "BetaTCVAE",
    "BetaVAE",
    "ConditionalExactLikelihood",
    "Constant",
    "Cosine",
    "Estimator",
    "Evaluation",
    "ExactLikelihood",
    "FewConditionsWarning",
    "Fit",
    "GMMFlow",
    "HashedVAE",
    "ICEBeeM",
    "Plateau",
    "Preset",
    "RelaxedVQVAE",
    "Run",
    "Spectrum",
    "Steps",
    "VaDE",
    "beside",
    "estimator",
    "estimator_class",
    "evaluate",
    "fit",
    "load_fit",
    "names",
    "preset",
    "presets",
    "spectrum",
]

_load, __dir__ = lazy_names(__name__, {
    "catalogue": ("estimator", "estimator_class", "names"),
    "evaluation": ("Evaluation", "evaluate"),
    "exact_likelihood": ("ConditionalExactLikelihood", "ExactLikelihood"),
    "exact_side": ("BesideReport", "beside"),
    "fitting": ("FewConditionsWarning", "fit"),
    "gin": ("GIN",),
    "gmm_flow": ("GMMFlow",),
    "hashed": ("HashedVAE",),
    "ice_beem": ("ICEBeeM",),
    "informative": ("Spectrum", "spectrum"),
    "ivae": ("IVAE",),
    "ivae_gan": ("IVAEGAN",),
    "mfcvae": ("MFCVAE",),
    "network": ("Estimator",),
    "plan": ("Constant", "Cosine", "Plateau", "Steps"),
    "recipes": ("Preset", "preset", "presets"),
    "result": ("Fit", "Run", "load_fit"),
    "vade": ("VaDE",),
    "vae": ("VAE", "BetaTCVAE", "BetaVAE"),
    "vq_vae": ("Autoencoder", "RelaxedVQVAE"),
})


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise UnsupportedError(f"estimators.{name}: expected torch and safetensors to be installed, found no "
                               f"{error.name}; run: pip install 'ident_theory[train]'") from error
