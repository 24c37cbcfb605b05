"""iVAE: a variational autoencoder whose prior depends on an observed u."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.layers import MLP
from ident_theory.estimators.network import Batch, Shape
from ident_theory.estimators.parameters import Parameter, normal
from ident_theory.estimators.plan import Plateau, Schedule
from ident_theory.estimators.variational import Variational, VariationalNetwork, decomposed, variances
from ident_theory.models import ConditionalPrior
from ident_theory.models.value import FloatArray

#: Part of an annealed training that is annealed.
ANNEALED = 1 / 1.6


@dataclass(frozen=True, kw_only=True)
class IVAE(Variational):
    r"""Identifiable variational autoencoder (Khemakhem et al. 2019, eqs. 4 to 8).

    The model is :math:`z \mid u \sim N(\mu(u), \operatorname{diag} \sigma^2(u))`, :math:`x = f(z) + \epsilon` with
    :math:`\epsilon \sim N(0, s^2 I)`, the objective the negative ELBO with one sample,

    .. math:: E_{q(z \mid x, u)}[\log p(x \mid z) + \log p(z \mid u) - \log q(z \mid x, u)],

    with :math:`q` normal and factorial. The encoder's second argument is the one-hot u. The public implementations
    have s = 0.1 and widths of 50, or 2 d, which is a bottleneck; with a plateau of the loss the learning rate falls.

    Attributes
    ----------
    prior : {"mlp", "table"}
        Whether :math:`\mu, \log \sigma^2` are networks of the one-hot u, as in the implementations, or free.
    prior_mean : bool
        Whether the prior has a mean that depends on u; 0 otherwise, as in the implementations.
    annealed : bool
        Whether the weights of the parts of the ELBO change during the first 5/8 of the training, as they can in the
        implementation of 2019: with :math:`a = 1 / (2 s^2)` and t from 0 to 1, :math:`a (1 + t)` for
        :math:`\log p(x \mid z)`, :math:`\max(1, 0.3 a (1 - t))` for the mutual information of x and z, t for the total
        correlation, and :math:`\max(1, 0.5 a (1 - t))` for the divergence of each dimension from the prior.
    """

    schedule: Schedule = Plateau(patience=20)
    prior: Literal["mlp", "table"] = "mlp"
    prior_mean: bool = False
    annealed: bool = False

    name: ClassVar[str] = "ivae"
    uses_u: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        where = type(self).__name__
        arguments.choice(self.prior, f"{where}: prior", ("mlp", "table"))
        arguments.switch(self.prior_mean, f"{where}: prior_mean")
        if arguments.switch(self.annealed, f"{where}: annealed") and self.exact_kl:
            raise InputError(f"{where}: annealed: the parts of the divergence are estimated at a sample; expected "
                             "exact_kl=False")

    def conditions_needed(self, shape: Shape) -> int:
        """n k + 1 with k = 1 for a prior that has no mean."""
        return shape.latent_dim * (2 if self.prior_mean else 1) + 1

    def network(self, shape: Shape) -> IVAENetwork:
        """The networks for data of this shape."""
        return IVAENetwork(self, shape)


class IVAENetwork(VariationalNetwork):
    """Encoder, decoder and prior of `IVAE`."""

    settings: IVAE

    def __init__(self, settings: IVAE, shape: Shape) -> None:
        super().__init__(settings, shape, shape.conditions)
        self.coupled = settings.annealed
        widths = [shape.conditions, *[settings.hidden] * (settings.layers - 1), shape.latent_dim]
        self.prior = MLP("prior", widths, slope=settings.slope, heads=2 if settings.prior_mean else 1)
        if type(self) is IVAENetwork and not settings.annealed:
            self.kernels = self.kernels_with(self.prior if settings.prior == "mlp" else None)

    def prior_parameters(self) -> dict[str, Parameter]:
        """Group prior."""
        if self.settings.prior == "mlp":
            return self.prior.parameters()
        size = self.shape.conditions, self.shape.latent_dim
        return {"prior.table": Parameter((2, *size) if self.settings.prior_mean else size, normal(0.1))}

    def prior_table(self, p: Mapping[str, Tensor]) -> Tensor:
        """Log-variances at all u, or means and log-variances, shape (R, M, d) or (R, 2, M, d)."""
        return self.prior.at_conditions(p) if self.settings.prior == "mlp" else p["prior.table"]

    def loss(self, batch: Batch) -> Tensor:
        """The negative ELBO, annealed where that is asked for."""
        t = batch.progress / ANNEALED
        if not self.settings.annealed or t >= 1:
            return super().loss(batch)
        both = self.both(batch)
        z, gap = self.sample(batch, both)
        information, correlation, dimensions = decomposed(z, both, gap, self.shape.rows)
        a = 0.5 / self.settings.noise_std**2
        return (max(1, 0.3 * a * (1 - t)) * information + t * correlation + max(1, 0.5 * a * (1 - t)) * dimensions
                - a * (1 + t) * self.fit_of(batch, z)).mean(1)

    def prior_of(self, values: Mapping[str, FloatArray]) -> ConditionalPrior:
        """Normal, with all values of u."""
        table = self.table_of(values)
        if self.settings.prior_mean:
            return ConditionalPrior.from_means_variances(table[0], variances(table[1]))
        return ConditionalPrior("normal_variance", -0.5 / variances(table))
