"""VaDE: a variational autoencoder whose prior is a Gaussian mixture, so that it clusters without labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.architectures import (
    ARCHITECTURES,
    Decoder,
    Encoder,
    make_decoder,
    make_encoder,
)
from ident_theory.estimators.layers import MLP
from ident_theory.estimators.likelihood import Likelihood
from ident_theory.estimators.mixture_networks import MixtureEstimator, MixtureNetwork, all_rows, check_counts
from ident_theory.estimators.mixture_prior import MixturePrior
from ident_theory.estimators.mixtures_fit import fit_mixtures
from ident_theory.estimators.network import Batch, Beginning, Shape
from ident_theory.estimators.parameters import Parameter
from ident_theory.estimators.plan import Phase, Update
from ident_theory.estimators.to_model import network_of
from ident_theory.models import Model
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, kw_only=True)
class VaDE(MixtureEstimator):
    r"""Variational deep embedding (Jiang et al. 2016).

    The model is :math:`z \sim \sum_c \pi_c N(\mu_c, \Sigma_c)` and :math:`x = f(z) + \epsilon` with
    :math:`\epsilon \sim N(0, s^2 I)`, or x Bernoulli with logits f(z). The objective is the negative ELBO

    .. math:: E_q \log p(x \mid z) + \sum_c q(c \mid x) \big(\log \pi_c + E_q \log N(z; \mu_c, \Sigma_c)
              - \log q(c \mid x)\big) + H(q), \qquad q(z \mid x) = N(m(x), \operatorname{diag} s^2(x)).

    Jiang et al. set q(c | x) to the mean of p(c | z) and say that it maximises this (eq. 16). What does is
    :math:`q(c \mid x) \propto \exp E_q \log p(c \mid z)` (Falck et al. 2021; Willetts and Paige 2021, Section 3),
    in closed form proportional to :math:`\pi_c \exp E_q \log N(z; \mu_c, \Sigma_c)`; `objective` says which is used.

    Training begins with `pretrain_epochs` of the autoencoder alone, with squared errors or the Bernoulli likelihood;
    then EM fits the mixture to its codes.

    Attributes
    ----------
    components : int
        Number of clusters.
    covariance : {"diagonal", "full"}
        Of a component; diagonal in the papers.
    objective : {"vade", "sampled", "marginal"}
        The best q(c | x); p(c | z) at the sampled z, as the public implementations have it; the component summed out,
        eq. 6 of Willetts and Paige 2021, a tighter bound than either. See `MixturePrior.bound`.
    architecture : str
        ``"mlp"``, of the widths that follow, or another one of `ident_theory.estimators.architectures`.
    encoder, decoder : tuple of int
        Hidden widths, in the order of the layers. Those of Kivva et al. 2022, J.3.2, which has one layer fewer in the
        decoder than it says; Jiang et al. have (500, 500, 2000) and (2000, 500, 500) for MNIST.
    activation : str
        Of an ``"mlp"``.
    slope : float
        Negative slope of leaky ReLUs.
    observation : {"gaussian", "bernoulli"}
    noise_std : float
        s.
    learn_noise : bool
        Whether s is trained too, from `noise_std` or, after pretraining, from the residuals.
    pretrain_epochs : int
        15 in Kivva et al. 2022.
    start : {"mixture", "random"}
        Prior after pretraining: by EM, or Xavier uniform with equal weights, as in Willetts and Paige 2021.
    learn_weights : bool
        False: the weights stay equal.
    """

    components: int = 10
    architecture: str = "mlp"
    encoder: tuple[int, ...] = (64, 512, 64)
    decoder: tuple[int, ...] = (64, 512)
    pretrain_epochs: int = 15
    batch_size: int = 100
    learning_rate: float | tuple[float, ...] = 2e-3

    name: ClassVar[str] = "vade"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.count(self.components, "VaDE: components")
        arguments.count(self.pretrain_epochs, "VaDE: pretrain_epochs", 0)
        arguments.choice(self.architecture, "VaDE: architecture", ARCHITECTURES)
        check_counts(self.encoder, "VaDE: encoder")
        check_counts(self.decoder, "VaDE: decoder")

    def network(self, shape: Shape) -> VaDENetwork:
        """The networks for data of this shape."""
        if self.components > shape.rows:
            raise InputError(f"VaDE: components: expected at most as many as the {shape.rows} observations, found "
                             f"{self.components}")
        return VaDENetwork(self, shape)


class VaDENetwork(MixtureNetwork):
    """Encoder, decoder and prior of `VaDE`."""

    settings: VaDE

    def __init__(self, settings: VaDE, shape: Shape) -> None:
        super().__init__(settings, shape)
        n, d = shape.observed_dim, shape.latent_dim
        slope, activation, kind = settings.slope, settings.activation, settings.architecture
        self.encoder: MLP | Encoder
        self.decoder: MLP | Decoder
        if kind == "mlp":
            head = MLP("encoder", [n, *settings.encoder, 2 * d], slope=slope, activation=activation)
            self.encoder = Encoder(None, None, head, 2)
            self.decoder = MLP("decoder", [d, *settings.decoder, n], slope=slope, activation=activation)
        else:
            self.encoder = make_encoder(kind, "encoder", shape, outputs=d, heads=2, hidden=0, layers=0, slope=slope)
            self.decoder = make_decoder(kind, "decoder", shape, inputs=d, hidden=0, layers=0, slope=slope)
        self.prior = MixturePrior("prior", settings.components, d, settings.covariance, settings.learn_weights)
        self.likelihood = Likelihood(settings)

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, decoder, prior, noise."""
        return {**self.encoder.parameters(), **self.decoder.parameters(), **self.prior.parameters(),
                **self.likelihood.parameters()}

    def phases(self) -> tuple[Phase, ...]:
        """The autoencoder alone, then the ELBO."""
        settings = self.settings
        train = Phase("train", settings.total_steps(self.shape.rows), schedule=settings.schedule)
        if not settings.pretrain_epochs:
            return (train,)
        steps = settings.pretrain_epochs * settings.epoch_steps(self.shape.rows)
        return Phase("pretrain", steps, (Update(groups=("encoder", "decoder")),)), train

    def begin(self, beginning: Beginning) -> None:
        """Before the ELBO: the prior from the codes of all data, the noise from the residuals."""
        self.likelihood.check(beginning, "VaDE")
        if beginning.phase.name != "train":
            return
        if self.settings.learn_noise and self.settings.pretrain_epochs:
            residuals = all_rows(beginning, lambda batch: (
                (batch.x - self.decode(batch, self.encode(batch))).square().mean(-1, keepdim=True)))
            beginning.parameters.set("noise.log_variance", residuals.mean(1).clamp_min(1e-12).log())
        if self.settings.start == "mixture":
            fitted = fit_mixtures(all_rows(beginning, self.encode), self.settings.components, beginning.seeds,
                                  covariance=self.settings.covariance)
            self.prior.start_at(beginning.parameters, fitted)

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q, shape (R, B, d) each."""
        mean, log_variance = self.encoder(batch.p, batch.x, None, batch.training_draws).unbind(1)
        return mean, log_variance

    def decode(self, batch: Batch, z: Tensor) -> Tensor:
        """Means or logits of the observations, shape (R, B, n)."""
        return self.decoder(batch.p, z, None, batch.training_draws)

    def score(self, batch: Batch) -> Tensor:
        """One-sample ELBO of each row."""
        mean, log_variance = self.posterior(batch)
        noise = batch.draws.normal("posterior", *mean.shape[1:])
        z = torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
        return (self.likelihood(batch.p, batch.x, self.decode(batch, z))
                + self.prior.bound(batch.p, self.settings.objective, mean, log_variance, noise))

    def loss(self, batch: Batch) -> Tensor:
        """The negative ELBO; while pretraining, the error of the reconstruction from the mean."""
        if batch.phase == "pretrain":
            return self.likelihood.error(batch.x, self.decode(batch, self.encode(batch))).mean(1)
        return -self.score(batch).mean(1)

    def encode(self, batch: Batch) -> Tensor:
        """Posterior means."""
        return self.posterior(batch)[0]

    def cluster_chances(self, batch: Batch) -> Tensor:
        """Responsibilities of the best q(c | x), shape (R, B, 1, K)."""
        return self.prior.responsibilities(batch.p, *self.posterior(batch))[:, :, None]

    def model(self, values: Mapping[str, FloatArray]) -> Model | None:
        """Gaussian mixture, ReLU network, Gaussian noise; None for Bernoulli observations, which are no f(z) + noise.
        """
        noise = self.likelihood.noise(values)
        return None if noise is None else Model(self.prior.model(values), network_of(self.decoder, values), noise)
