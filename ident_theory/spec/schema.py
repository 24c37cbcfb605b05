"""The shape of a model file: which sections and keys there are, and which belong together.

The schema knows keys and tags only. Numbers pass through untouched: the readers of `ident_theory.models`
judge them, because they name each bad entry of a nested list with its own path.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

_NUMBER = {"type": ["number", "string"], "description": "a number, or an exact fraction such as \"1/3\""}
_NESTED = {"type": ["number", "string", "array"], "description": "a number or a rectangular nested list of numbers"}

Number = Annotated[Any, WithJsonSchema(_NUMBER)]
Numbers = Annotated[Any, WithJsonSchema(_NESTED)]


class Section(BaseModel):
    """Base of all sections: no conversions, no unknown keys, frozen."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class MixtureSpec(Section):
    """``[prior]``: a Gaussian mixture."""

    weights: Numbers
    means: Numbers
    covariances: Numbers


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


DecoderSpec = Annotated[NetworkSpec | PiecewiseSpec, Field(discriminator="type")]
NoiseSpec = Annotated[GaussianNoiseSpec | LaplaceNoiseSpec | LogisticNoiseSpec | StudentNoiseSpec,
                      Field(discriminator="type")]


class ModelSpec(Section):
    """A whole model file; a file without ``[noise]`` describes a noiseless model."""

    prior: MixtureSpec
    decoder: DecoderSpec
    noise: NoiseSpec | None = None


#: The kinds a section can have, by the value of its key ``type``.
KINDS: dict[str, dict[str, type[Section]]] = {
    "decoder": {"relu_network": NetworkSpec, "piecewise_affine": PiecewiseSpec},
    "noise": {"gaussian": GaussianNoiseSpec, "laplace": LaplaceNoiseSpec, "logistic": LogisticNoiseSpec,
              "student": StudentNoiseSpec},
}


def section_class(name: str, kind: Any = None) -> type[Section] | None:
    """The schema of a section, None for a section or kind that does not exist."""
    if name == "prior":
        return MixtureSpec
    return KINDS.get(name, {}).get(kind) if isinstance(kind, str) else None
