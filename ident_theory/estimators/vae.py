"""VAE, beta-VAE and beta-TC-VAE: no u, a fixed prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.densities import laplace_log_density, normal_log_density
from ident_theory.estimators.network import Batch, Shape
from ident_theory.estimators.variational import Variational, VariationalNetwork, decomposed
from ident_theory.models import ConditionalPrior, GaussianMixture
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, kw_only=True)
class VAE(Variational):
    r"""Variational autoencoder (Kingma and Welling 2014, eqs. 3 and 10).

    The model is :math:`z \sim N(0, I)` or Laplace with density :math:`\prod_i e^{-|z_i|} / 2`, :math:`x = f(z) +
    \epsilon`, the objective the negative ELBO :math:`-E_{q(z \mid x)}[\log p(x \mid z)] + KL(q(z \mid x) \| p(z))`.

    A Laplace prior has no closed form here: the divergence is estimated at one sample, whatever `exact_kl` says. Its
    `model()` has a `ConditionalPrior` with one value of u, which can be checked but has no `law`.

    Attributes
    ----------
    prior : {"normal", "laplace"}
    """

    exact_kl: bool = True
    prior: Literal["normal", "laplace"] = "normal"

    name: ClassVar[str] = "vae"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.choice(self.prior, f"{type(self).__name__}: prior", ("normal", "laplace"))

    def network(self, shape: Shape) -> VAENetwork:
        """The networks for data of this shape."""
        return VAENetwork(self, shape)


class VAENetwork(VariationalNetwork):
    """Encoder and decoder of `VAE`."""

    settings: VAE

    def __init__(self, settings: VAE, shape: Shape) -> None:
        super().__init__(settings, shape)
        if type(self) is VAENetwork and settings.prior == "normal":
            self.kernels = self.kernels_with(None)

    def prior_table(self, p: Mapping[str, Tensor]) -> Tensor:
        """Log-variances 0 at the only u, shape (R, 1, d)."""
        some = next(iter(p.values()))
        return some.new_zeros((len(some), 1, self.shape.latent_dim))

    def conditions_of(self, batch: Batch) -> Tensor:
        """Zeros, shape (R, B)."""
        return batch.x.new_zeros(batch.x.shape[:2], dtype=torch.int64)

    def sample(self, batch: Batch, both: Tensor) -> tuple[Tensor, Tensor]:
        """z and its divergence from the prior."""
        if self.settings.prior == "normal":
            return super().sample(batch, both)
        mean, log_variance = both.unbind(1)
        noise = batch.draws.normal("posterior", *mean.shape[1:])
        z = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
        own = normal_log_density(noise, 0.0, 0.0) - 0.5 * log_variance.sum(-1)
        return z, own - laplace_log_density(z, 0.0, torch.zeros_like(z))

    def prior_of(self, values: Mapping[str, FloatArray]) -> GaussianMixture | ConditionalPrior:
        """One normal component, or a Laplace prior with one value of u."""
        d = self.shape.latent_dim
        if self.settings.prior == "laplace":
            return ConditionalPrior("laplace", -np.ones((1, d)))
        return GaussianMixture([1], np.zeros((1, d)), np.ones((1, d)))


@dataclass(frozen=True, kw_only=True)
class BetaVAE(VAE):
    r"""Beta-VAE (Higgins et al. 2017, eq. 4): the divergence counts beta times.

    .. math:: -E_{q(z \mid x)}[\log p(x \mid z)] + \beta\, KL(q(z \mid x) \| p(z))

    `Fit.scores` are ELBOs, with beta = 1.

    Attributes
    ----------
    beta : float or tuple of float
        A tuple has an entry a run.
    """

    beta: float | tuple[float, ...] = 4.0

    name: ClassVar[str] = "beta-vae"
    per_run: ClassVar[tuple[str, ...]] = (*VAE.per_run, "beta")

    def __post_init__(self) -> None:
        super().__post_init__()
        _not_negative(self, "beta")

    def network(self, shape: Shape) -> BetaVAENetwork:
        """The networks for data of this shape."""
        return BetaVAENetwork(self, shape)


class BetaVAENetwork(VAENetwork):
    """The networks of `VAE` with the objective of `BetaVAE`."""

    settings: BetaVAE

    def loss(self, batch: Batch) -> Tensor:
        """Reconstruction plus beta times the divergence."""
        z, gap = self.sample(batch, self.both(batch))
        return (batch.hyper["beta"][:, None] * gap - self.fit_of(batch, z)).mean(1)


@dataclass(frozen=True, kw_only=True)
class BetaTCVAE(VAE):
    r"""Beta-TC-VAE (Chen et al. 2018, eq. 4): the total correlation of the aggregate posterior counts beta times.

    .. math:: -E[\log p(x \mid z)] + \alpha\, I(z; x) + \beta\, KL\Big(q(z) \Big\| \prod_j q(z_j)\Big)
              + \gamma \sum_j KL(q(z_j) \| p(z_j))

    :math:`q(z)` is estimated by minibatch-weighted sampling, `ident_theory.estimators.variational.decomposed`, whose
    constants :math:`\log(N B)` shift the three parts against each other but not their sum. With all weights 1 it is
    the sampled ELBO. `Fit.scores` are ELBOs.

    Attributes
    ----------
    alpha, beta, gamma : float or tuple of float
        A tuple has an entry a run. The paper takes alpha = gamma = 1.
    """

    exact_kl: bool = False
    alpha: float | tuple[float, ...] = 1.0
    beta: float | tuple[float, ...] = 6.0
    gamma: float | tuple[float, ...] = 1.0

    name: ClassVar[str] = "beta-tc-vae"
    per_run: ClassVar[tuple[str, ...]] = (*VAE.per_run, "alpha", "beta", "gamma")

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("alpha", "beta", "gamma"):
            _not_negative(self, key)
        if self.exact_kl:
            raise InputError("BetaTCVAE: exact_kl: the parts of the divergence are estimated at a sample; expected "
                             "False")

    def network(self, shape: Shape) -> BetaTCVAENetwork:
        """The networks for data of this shape."""
        return BetaTCVAENetwork(self, shape)


class BetaTCVAENetwork(VAENetwork):
    """The networks of `VAE` with the objective of `BetaTCVAE`."""

    coupled = True
    settings: BetaTCVAE

    def loss(self, batch: Batch) -> Tensor:
        """Reconstruction plus the weighted parts of the divergence."""
        both = self.both(batch)
        z, gap = self.sample(batch, both)
        total = -self.fit_of(batch, z)
        for key, part in zip(("alpha", "beta", "gamma"), decomposed(z, both, gap, self.shape.rows), strict=True):
            total = total + batch.hyper[key][:, None] * part
        return total.mean(1)


def _not_negative(settings: VAE, key: str) -> None:
    value = getattr(settings, key)
    if min(value if isinstance(value, tuple) else (value,)) < 0:
        raise InputError(f"{type(settings).__name__}: {key}: expected numbers >= 0, found {value!r}")
