"""The shape of a model file: which sections and keys there are, and which belong together.

The schema knows keys and tags only. Numbers pass through untouched: the readers of `ident_theory.models`
judge them, because they name each bad entry of a nested list with its own path.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

_NUMBER = {"type": ["number", "string"], "description": "a number, or an exact fraction such as \"1/3\""}
_NESTED = {"type": ["number", "string", "array"], "description": "a number or a rectangular nested list of numbers"}

_WORDS = {"type": "array", "items": {"type": ["string", "number"]}}
_INTEGERS = {"type": "array", "items": {"type": "integer"}}

Number = Annotated[Any, WithJsonSchema(_NUMBER)]
Numbers = Annotated[Any, WithJsonSchema(_NESTED)]
Words = Annotated[Any, WithJsonSchema(_WORDS)]
Integers = Annotated[Any, WithJsonSchema(_INTEGERS)]
IntegerRows = Annotated[Any, WithJsonSchema({"type": "array", "items": _INTEGERS})]
Word = Annotated[Any, WithJsonSchema({"type": "string"})]


class Section(BaseModel):
    """Base of all sections: no conversions, no unknown keys, frozen."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class MixtureSpec(Section):
    """``[prior]``: a Gaussian mixture."""

    weights: Numbers
    means: Numbers
    covariances: Numbers
    states: Integers = None
    neighbourhoods: IntegerRows = None


class ConditionalSpec(Section):
    """``[prior]`` with ``family``: an exponential family whose natural parameters depend on u.

    Normal laws may be given by `means` and `variances` in place of `natural_parameters`.
    """

    family: Word
    natural_parameters: Numbers = None
    means: Numbers = None
    variances: Numbers = None
    weights: Numbers = None
    labels: Words = None
    statistics: Words = None
    base: Word = None
    support: Words = None
    location: Number = None
    covariance_of_estimates: Numbers = None
    standard_errors: Numbers = None


class NetworkSpec(Section):
    """``[decoder]`` with ``type = "relu_network"``."""

    type: Literal["relu_network"]
    weights: Numbers
    biases: Numbers
    negative_slope: Number = 0


class PiecewiseSpec(Section):
    """``[decoder]`` with ``type = "piecewise_affine"``."""

    type: Literal["piecewise_affine"]
    breakpoints: Numbers
    slopes: Numbers
    intercepts: Numbers


class DeclaredSpec(Section):
    """``[decoder]`` with ``type = "declared"``: properties without values."""

    type: Literal["declared"]
    latent_dim: Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 1})]
    observed_dim: Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 1})]
    properties: Words


class GaussianNoiseSpec(Section):
    """``[noise]`` with ``type = "gaussian"``: `std` or `covariance`."""

    type: Literal["gaussian"]
    std: Numbers = None
    covariance: Numbers = None


class LaplaceNoiseSpec(Section):
    """``[noise]`` with ``type = "laplace"``."""

    type: Literal["laplace"]
    scale: Numbers


class LogisticNoiseSpec(Section):
    """``[noise]`` with ``type = "logistic"``."""

    type: Literal["logistic"]
    scale: Numbers


class StudentNoiseSpec(Section):
    """``[noise]`` with ``type = "student"``."""

    type: Literal["student"]
    scale: Numbers
    df: Number


class UniformNoiseSpec(Section):
    """``[noise]`` with ``type = "uniform"``."""

    type: Literal["uniform"]
    scale: Numbers


class FejerNoiseSpec(Section):
    """``[noise]`` with ``type = "fejer"``."""

    type: Literal["fejer"]
    scale: Numbers


def prior_kind(section: Any) -> str:
    """Which of `PRIORS` a section ``[prior]`` is: a key that only one of them has decides, misspelt or not."""
    if not isinstance(section, Mapping):
        return "conditional" if isinstance(section, ConditionalSpec) else "mixture"
    keys = {name: set(kind.model_fields) for name, kind in PRIORS.items()}
    only = {"mixture": keys["mixture"] - keys["conditional"], "conditional": keys["conditional"] - keys["mixture"]}
    known = keys["mixture"] | keys["conditional"]
    votes = {"mixture": 0, "conditional": 0}
    for key in section:
        near = [key] if key in known else difflib.get_close_matches(str(key), known, 1, 0.7)
        for name in votes:
            votes[name] += bool(near) and near[0] in only[name]
    if "family" in section and votes["mixture"] <= 1:
        return "conditional"
    return "conditional" if votes["conditional"] > votes["mixture"] else "mixture"


PriorSpec = Annotated[Annotated[MixtureSpec, Tag("mixture")] | Annotated[ConditionalSpec, Tag("conditional")],
                      Discriminator(prior_kind)]
DecoderSpec = Annotated[NetworkSpec | PiecewiseSpec | DeclaredSpec, Field(discriminator="type")]
NoiseSpec = Annotated[GaussianNoiseSpec | LaplaceNoiseSpec | LogisticNoiseSpec | StudentNoiseSpec | UniformNoiseSpec
                      | FejerNoiseSpec, Field(discriminator="type")]


class ModelSpec(Section):
    """A whole model file; a file without ``[noise]`` describes a noiseless model."""

    prior: PriorSpec
    decoder: DecoderSpec
    noise: NoiseSpec | None = None


#: The kinds of priors; their keys tell them apart.
PRIORS: dict[str, type[Section]] = {"mixture": MixtureSpec, "conditional": ConditionalSpec}

#: The kinds a section can have, by the value of its key ``type``.
KINDS: dict[str, dict[str, type[Section]]] = {
    "decoder": {"relu_network": NetworkSpec, "piecewise_affine": PiecewiseSpec, "declared": DeclaredSpec},
    "noise": {"gaussian": GaussianNoiseSpec, "laplace": LaplaceNoiseSpec, "logistic": LogisticNoiseSpec,
              "student": StudentNoiseSpec, "uniform": UniformNoiseSpec, "fejer": FejerNoiseSpec},
}


def section_class(name: str, section: Mapping[str, Any]) -> type[Section] | None:
    """The schema of a section, None for a section or kind that does not exist."""
    if name == "prior":
        return PRIORS[prior_kind(section)]
    kind = section.get("type")
    return KINDS.get(name, {}).get(kind) if isinstance(kind, str) else None
