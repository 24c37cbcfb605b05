"""p(x | z) of autoencoders: Gaussian with known or learnt noise, or Bernoulli."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.densities import bernoulli_log_density, normal_log_density
from ident_theory.estimators.layers import Values
from ident_theory.estimators.network import Beginning
from ident_theory.estimators.parameters import Parameter, constant
from ident_theory.models import GaussianNoise
from ident_theory.models.value import FloatArray


class Settings(Protocol):
    """What is asked of an estimator's settings."""

    @property
    def observation(self) -> str:
        """``"gaussian"`` or ``"bernoulli"``."""

    @property
    def noise_std(self) -> float:
        """Standard deviation of Gaussian noise, or where it starts."""

    @property
    def learn_noise(self) -> bool:
        """Whether it is learnt."""


def check_observation(settings: Settings, where: str) -> None:
    """Check the three settings.

    Raises
    ------
    InputError
    """
    arguments.choice(settings.observation, f"{where}: observation", ("gaussian", "bernoulli"))
    arguments.switch(settings.learn_noise, f"{where}: learn_noise")
    arguments.number(settings.noise_std, f"{where}: noise_std", 0, above=True)
    if settings.learn_noise and settings.observation == "bernoulli":
        raise InputError(f"{where}: learn_noise: Bernoulli observations have no noise to learn; expected False")


class Likelihood:
    """p(x | z) around the output of a decoder, and the noise of Gaussian observations."""

    def __init__(self, settings: Settings) -> None:
        self.bernoulli = settings.observation == "bernoulli"
        self.learnt, self.std = settings.learn_noise, settings.noise_std

    def parameters(self) -> dict[str, Parameter]:
        """The logarithm of the variance of the noise, where it is learnt."""
        return {"noise.log_variance": Parameter((1,), constant(2 * math.log(self.std)))} if self.learnt else {}

    def check(self, beginning: Beginning, where: str) -> None:
        """Refuse observations that are no Bernoulli probabilities."""
        for x in beginning.x if self.bernoulli else ():
            low, high = float(x.min()), float(x.max())
            if low < 0 or high > 1:
                raise InputError(f"{where}: observation='bernoulli': expected x in [0, 1], found {low:g} to {high:g}; "
                                 "scale the data or use observation='gaussian'")

    def __call__(self, p: Values, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z), shape (R, B)."""
        if self.bernoulli:
            return bernoulli_log_density(x, output)
        if self.learnt:
            return normal_log_density(x, output, p["noise.log_variance"][:, None].expand(x.shape))
        return normal_log_density(x, output, 2 * math.log(self.std))

    def error(self, x: Tensor, output: Tensor) -> Tensor:
        """What an autoencoder minimises: half the squared error, or the Bernoulli likelihood; shape (R, B)."""
        return -bernoulli_log_density(x, output) if self.bernoulli else 0.5 * (x - output).square().sum(-1)

    def noise(self, values: Mapping[str, FloatArray]) -> GaussianNoise | None:
        """That of one run; None for Bernoulli observations."""
        if self.bernoulli:
            return None
        return GaussianNoise(std=math.exp(0.5 * values["noise.log_variance"][0]) if self.learnt else self.std)
