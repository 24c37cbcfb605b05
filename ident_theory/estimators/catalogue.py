"""The estimators by name."""

from __future__ import annotations

import difflib
from dataclasses import fields
from importlib import import_module
from typing import Any

from ident_theory.errors import InputError
from ident_theory.estimators.network import Estimator
from ident_theory.estimators.plan import Constant, Cosine, Plateau, Steps

#: Name on the command line: module and class.
HOMES = {
    "vae": ("vae", "VAE"),
    "beta-vae": ("vae", "BetaVAE"),
    "beta-tc-vae": ("vae", "BetaTCVAE"),
    "ivae": ("ivae", "IVAE"),
    "vade": ("vade", "VaDE"),
    "hashed-vae": ("hashed", "HashedVAE"),
    "mfcvae": ("mfcvae", "MFCVAE"),
    "ivae-gan": ("ivae_gan", "IVAEGAN"),
    "gin": ("gin", "GIN"),
    "ice-beem": ("ice_beem", "ICEBeeM"),
    "gmm-flow": ("gmm_flow", "GMMFlow"),
    "vq-vae": ("vq_vae", "RelaxedVQVAE"),
    "autoencoder": ("vq_vae", "Autoencoder"),
    "exact-ml": ("exact_likelihood", "ExactLikelihood"),
    "exact-ml-given-u": ("exact_likelihood", "ConditionalExactLikelihood"),
}


def names() -> tuple[str, ...]:
    """Names of the estimators."""
    return tuple(HOMES)


def estimator_class(name: str) -> type[Estimator]:
    """The settings class of an estimator.

    Raises
    ------
    InputError
        For a name that is none; the message lists them.
    """
    if name not in HOMES:
        near = difflib.get_close_matches(str(name), HOMES, 1)
        raise InputError(f"estimator: expected one of {', '.join(HOMES)}, found {name!r}"
                         + (f"; did you mean {near[0]!r}?" if near else ""))
    module, attribute = HOMES[name]
    found: type[Estimator] = getattr(import_module(f"ident_theory.estimators.{module}"), attribute)
    return found


def estimator(name: str, **settings: Any) -> Estimator:
    """An estimator with some settings.

    Raises
    ------
    InputError
        For a name or a setting that does not exist; the message lists those that do.
    """
    made = estimator_class(name)
    known = [field.name for field in fields(made)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise InputError(f"{name}: settings: expected some of {', '.join(known)}, found {key!r}"
                             + (f"; did you mean {near[0]!r}?" if near else ""))
    return made(**settings)


def from_plain(plain: dict[str, Any]) -> Estimator:
    """The estimator that `Estimator.plain` describes."""
    settings = {key: tuple(value) if isinstance(value, list) else value
                for key, value in plain.items() if key != "name"}
    schedule: dict[str, Any] = dict(settings["schedule"])
    kind: Any = {made.__name__: made for made in (Constant, Cosine, Plateau, Steps)}[schedule.pop("type")]
    settings["schedule"] = kind(**{key: tuple(value) if isinstance(value, list) else value
                                   for key, value in schedule.items()})
    return estimator(plain["name"], **settings)
