"""What variational autoencoders share: networks, the sample from the posterior, the evidence lower bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.estimators import fused
from ident_theory.estimators.architectures import make_decoder, make_encoder
from ident_theory.estimators.densities import LOG_2PI
from ident_theory.estimators.fused import KernelMLP, normal_sample
from ident_theory.estimators.layers import MLP
from ident_theory.estimators.likelihood import Likelihood, check_observation
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, Parameters
from ident_theory.estimators.to_model import network_of
from ident_theory.models import Model
from ident_theory.models.model import Prior
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, kw_only=True)
class Variational(Estimator):
    """Settings of variational autoencoders with a normal, factorial posterior; the subclasses say the rest.

    Attributes
    ----------
    architecture : str
        Of encoder and decoder, see `ident_theory.estimators.architectures`.
    hidden : int
        Width of the hidden layers, with ``architecture="mlp"``.
    layers : int
        Affine layers of each network, likewise.
    slope : float
        Negative slope of the leaky ReLUs.
    observation : {"gaussian", "bernoulli"}
        What x is given z; Bernoulli probabilities are for x in [0, 1].
    noise_std : float
        Standard deviation s of Gaussian noise.
    learn_noise : bool
        Whether s is learnt, from `noise_std` on.
    exact_kl : bool
        Whether the divergence of the posterior from the prior is in closed form; otherwise it is estimated at the one
        sample that the decoder sees.
    """

    architecture: str = "mlp"
    hidden: int = 50
    layers: int = 3
    slope: float = 0.1
    observation: str = "gaussian"
    noise_std: float = 0.1
    learn_noise: bool = False
    exact_kl: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        where = type(self).__name__
        for key in ("hidden", "layers"):
            arguments.count(getattr(self, key), f"{where}: {key}")
        arguments.number(self.slope, f"{where}: slope", 0, 1)
        arguments.switch(self.exact_kl, f"{where}: exact_kl")
        check_observation(self, where)


class VariationalNetwork(Network):
    """Encoder, decoder and noise; a subclass has the prior.

    Parameters
    ----------
    settings, shape
    conditions : int
        Values of u that the encoder sees.

    Attributes
    ----------
    kernels : tuple of KernelMLP
        For `direct`; empty if the loss has to be differentiated by autograd. A subclass sets it for itself alone:
        its own subclasses may change the objective.
    """

    settings: Variational
    kernels: tuple[KernelMLP, ...] = ()

    def __init__(self, settings: Variational, shape: Shape, conditions: int = 0) -> None:
        super().__init__(settings, shape)
        kind, d = settings.architecture, shape.latent_dim
        self.encoder = make_encoder(kind, "encoder", shape, outputs=d, heads=2, hidden=settings.hidden,
                                    layers=settings.layers, slope=settings.slope, conditions=conditions)
        self.decoder = make_decoder(kind, "decoder", shape, inputs=d, hidden=settings.hidden, layers=settings.layers,
                                    slope=settings.slope)
        self.likelihood = Likelihood(settings)

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, decoder, those of the prior, noise."""
        return {**self.encoder.parameters(), **self.decoder.parameters(), **self.prior_parameters(),
                **self.likelihood.parameters()}

    def prior_parameters(self) -> dict[str, Parameter]:
        """Those of the prior; none by default."""
        return {}

    def prior_table(self, p: Mapping[str, Tensor]) -> Tensor:
        """Log-variances of the prior at all u, or means and log-variances, shape (R, M, d) or (R, 2, M, d)."""
        raise NotImplementedError

    def conditions_of(self, batch: Batch) -> Tensor:
        """u of each row, shape (R, B)."""
        assert batch.u is not None
        return batch.u

    def begin(self, beginning: Beginning) -> None:
        """Refuses observations that are no Bernoulli probabilities, with these."""
        self.likelihood.check(beginning, type(self.settings).__name__)

    def both(self, batch: Batch) -> Tensor:
        """Means and log-variances of the posterior, shape (R, 2, B, d)."""
        return self.encoder(batch.p, batch.x, batch.u, batch.training_draws)

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same apart, shape (R, B, d) each."""
        mean, log_variance = self.both(batch).unbind(1)
        return mean, log_variance

    def sample(self, batch: Batch, both: Tensor) -> tuple[Tensor, Tensor]:
        r"""z from the posterior, shape (R, B, d), and :math:`\log q(z) - \log p(z)` or its mean, shape (R, B)."""
        table = self.prior_table(batch.p)
        noise = batch.draws.normal("posterior", *both.shape[2:])
        return normal_sample(both, table if table.dim() == 4 else table[:, None], noise, self.conditions_of(batch),
                             self.settings.exact_kl)

    def fit_of(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x | z), shape (R, B)."""
        return self.likelihood(batch.p, batch.x, self.decoder(batch.p, z, None, batch.training_draws))

    def score(self, batch: Batch) -> Tensor:
        """ELBO of each row, under one sample."""
        z, gap = self.sample(batch, self.both(batch))
        return self.fit_of(batch, z) - gap

    def loss(self, batch: Batch) -> Tensor:
        """The negative ELBO."""
        return -self.score(batch).mean(1)

    def kernels_with(self, prior: MLP | None) -> tuple[KernelMLP, ...]:
        """`kernels` for a class that leaves `score` and what it calls as they are; empty where none serve.

        `prior` is what gives `prior_table`; None if it is a parameter, or 0 and no parameter.
        """
        encoder, decoder = self.encoder, self.decoder
        if (not isinstance(encoder, MLP) or not isinstance(decoder, MLP) or self.likelihood.bernoulli
                or self.likelihood.learnt):
            return ()
        first = KernelMLP(encoder, 0)
        second = KernelMLP(decoder, first.stop)
        return first, second, *(() if prior is None else [KernelMLP(prior, second.stop, of_u=True)])

    def direct(self, batch: Batch, parameters: Parameters) -> Tensor | None:
        """The negative ELBO by `negative_elbo`, where there are `kernels`."""
        widest = max(self.settings.hidden, self.shape.observed_dim, self.shape.latent_dim)
        if not self.kernels or not fused.applies(batch.x, rows=batch.size, widest=widest):
            return None
        noise = batch.draws.normal("posterior", batch.size, self.shape.latent_dim)
        x, u, noise = (tensor.contiguous() for tensor in (batch.x, self.conditions_of(batch), noise))
        return torch.from_numpy(fused.negative_elbo(
            parameters.matrix.numpy(), parameters.gradient.numpy(), x.numpy(), u.numpy(), noise.numpy(), self.kernels,
            self.likelihood.std**2, self.settings.exact_kl))

    def encode(self, batch: Batch) -> Tensor:
        """Posterior means."""
        return self.posterior(batch)[0]

    def prior_of(self, values: Mapping[str, FloatArray]) -> Prior:
        """The prior of one run."""
        raise NotImplementedError

    def table_of(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """`prior_table` of one run."""
        found = self.prior_table({name: torch.as_tensor(value)[None] for name, value in values.items()})[0]
        return np.asarray(found.numpy())

    def model(self, values: Mapping[str, FloatArray]) -> Model | None:
        """Prior, decoder and Gaussian noise; None for Bernoulli observations, which are no f(z) plus noise."""
        noise = self.likelihood.noise(values)
        return None if noise is None else Model(self.prior_of(values), network_of(self.decoder, values), noise)


def variances(log_variance: FloatArray) -> FloatArray:
    """Their exponentials, none of which is zero or infinite."""
    return np.exp(np.clip(log_variance, -600, 600))


def decomposed(z: Tensor, both: Tensor, gap: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""The sampled divergence as mutual information, total correlation and divergence of each dimension.

    .. math:: \log\frac{q(z \mid x)}{p(z)} = \log\frac{q(z \mid x)}{q(z)} + \log\frac{q(z)}{\prod_j q(z_j)}
              + \log\frac{\prod_j q(z_j)}{p(z)}

    with :math:`q(z) \approx \frac{1}{N B} \sum_b q(z \mid x_b)` over the rows of the batch: minibatch-weighted sampling
    (Chen et al. 2018, eqs. 2 and 3), and the same for each dimension.

    Parameters
    ----------
    z : Tensor, shape (R, B, d)
    both : Tensor, shape (R, 2, B, d)
        Means and log-variances of q(z | x).
    gap : Tensor, shape (R, B)
        The left side at z.
    rows : int
        Observations N.

    Returns
    -------
    tuple of Tensor, shape (R, B) each
        Their sum is `gap`.
    """
    mean, log_variance = both[:, 0, None], both[:, 1, None]
    pairs = -0.5 * ((z[:, :, None] - mean).square() * torch.exp(-log_variance) + log_variance + LOG_2PI)
    own = pairs.diagonal(dim1=1, dim2=2).sum(1)
    weight = math.log(rows * z.shape[1])
    joint = pairs.sum(-1).logsumexp(2) - weight
    apart = (pairs.logsumexp(2) - weight).sum(-1)
    return own - joint, joint - apart, apart - own + gap
