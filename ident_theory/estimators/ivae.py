"""iVAE: a variational autoencoder whose prior depends on an observed u."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.densities import normal_log_density
from ident_theory.estimators.layers import MLP, take
from ident_theory.estimators.network import Batch, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter
from ident_theory.estimators.plan import Plateau, Schedule
from ident_theory.estimators.to_model import network_of
from ident_theory.models import ConditionalPrior, GaussianNoise, Model
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, kw_only=True)
class IVAE(Estimator):
    r"""Identifiable variational autoencoder (Khemakhem et al. 2019, eqs. 4 to 8).

    The model is :math:`z \mid u \sim N(\mu(u), \operatorname{diag} \sigma^2(u))`, :math:`x = f(z) + \epsilon` with
    :math:`\epsilon \sim N(0, s^2 I)`, the objective the negative ELBO with one sample,

    .. math:: E_{q(z \mid x, u)}[\log p(x \mid z) + \log p(z \mid u) - \log q(z \mid x, u)],

    with :math:`q` normal and factorial. :math:`\mu, \log \sigma^2` are networks of the one-hot u, as is the encoder's
    second argument.

    Attributes
    ----------
    hidden : int
        Width of the hidden layers; the public implementations have 50, or 2 d, which is a bottleneck.
    layers : int
        Affine layers of each network.
    slope : float
        Negative slope of the leaky ReLUs.
    noise_std : float
        s, known.
    prior_mean : bool
        Whether the prior has a mean that depends on u; 0 otherwise, as in the implementations.
    """

    hidden: int = 50
    layers: int = 3
    slope: float = 0.1
    noise_std: float = 0.1
    prior_mean: bool = False
    schedule: Schedule = Plateau(patience=20)

    name: ClassVar[str] = "ivae"
    uses_u: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.noise_std > 0 or not math.isfinite(self.noise_std):
            raise InputError(f"IVAE: noise_std: expected a number > 0, found {self.noise_std!r}")

    def conditions_needed(self, shape: Shape) -> int:
        """n k + 1 with k = 1 for a prior that has no mean."""
        return shape.latent_dim * (2 if self.prior_mean else 1) + 1

    def network(self, shape: Shape) -> IVAENetwork:
        """The networks for data of this shape."""
        return IVAENetwork(self, shape)


class IVAENetwork(Network):
    """Encoder, decoder and prior of `IVAE`."""

    settings: IVAE

    def __init__(self, settings: IVAE, shape: Shape) -> None:
        super().__init__(settings, shape)
        n, d, m = shape.observed_dim, shape.latent_dim, shape.conditions
        inner = [settings.hidden] * (settings.layers - 1)
        slope = settings.slope
        self.encoder = MLP("encoder", [n, *inner, d], slope=slope, heads=2, conditions=m)
        self.decoder = MLP("decoder", [d, *inner, n], slope=slope)
        self.prior = MLP("prior", [m, *inner, d], slope=slope, heads=2 if settings.prior_mean else 1)
        self.log_noise = 2 * math.log(settings.noise_std)

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, decoder, prior."""
        return {**self.encoder.parameters(), **self.decoder.parameters(), **self.prior.parameters()}

    def prior_table(self, p: Mapping[str, Tensor]) -> Tensor:
        """Log-variances at all u, or means and log-variances, shape (R, M, d) or (R, 2, M, d)."""
        return self.prior.at_conditions(p)

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q, shape (R, B, d) each."""
        mean, log_variance = self.encoder(batch.p, batch.x, batch.u).unbind(1)
        return mean, log_variance

    def score(self, batch: Batch) -> Tensor:
        """One-sample ELBO of each row."""
        assert batch.u is not None
        mean, log_variance = self.posterior(batch)
        noise = batch.draws.normal("posterior", *mean.shape[1:])
        z = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
        table = self.prior_table(batch.p)
        if self.settings.prior_mean:
            prior_mean, prior_log_variance = take(table, batch.u).unbind(1)
            centred = z - prior_mean
        else:
            prior_log_variance = take(table, batch.u)
            centred = z
        # log q at its own sample needs the noise and the log-variance only; the constants of p and q cancel.
        inner = (log_variance - prior_log_variance + noise.square()
                 - centred.square() * torch.exp(-prior_log_variance)).sum(-1)
        return normal_log_density(batch.x, self.decoder(batch.p, z), self.log_noise) + 0.5 * inner

    def loss(self, batch: Batch) -> Tensor:
        """The negative ELBO."""
        return -self.score(batch).mean(1)

    def encode(self, batch: Batch) -> Tensor:
        """Posterior means."""
        return self.posterior(batch)[0]

    def model(self, values: Mapping[str, FloatArray]) -> Model:
        """Normal conditional prior, ReLU network, Gaussian noise."""
        table = self.prior_table({name: torch.as_tensor(value)[None] for name, value in values.items()})[0].numpy()
        mean, log_variance = table if self.settings.prior_mean else (0 * table, table)
        prior = ConditionalPrior.from_means_variances(mean, _exp(log_variance))
        return Model(prior, network_of(self.decoder, values), GaussianNoise(std=self.settings.noise_std))


def _exp(values: FloatArray) -> FloatArray:
    """Exponentials, none of which is zero or infinite."""
    import numpy as np

    return np.exp(np.clip(values, -600, 600))
