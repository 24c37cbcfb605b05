"""A variational autoencoder whose u is a hash of x by a fixed random projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.network import Batch, Beginning, Shape
from ident_theory.estimators.parameters import Parameter, constant, normal
from ident_theory.estimators.variational import Variational, VariationalNetwork, variances
from ident_theory.models import GaussianMixture
from ident_theory.models.value import FloatArray

#: 2^16 components are more than any data set here has rows.
MOST_BITS = 16


@dataclass(frozen=True, kw_only=True)
class HashedVAE(Variational):
    r"""Mixture-prior autoencoder with a Rademacher hash for u (Willetts and Paige 2021, Appendix E, eqs. E.1 to E.3).

    With a matrix A of independent signs, fixed and different for each run,

    .. math:: u(x) = \sum_{i=0}^{N-1} 2^i\, 1\{(A (x - c))_i \geq 0\}, \qquad
              E_{q(z \mid x)}[\log p(x \mid z) + \log p(z \mid u(x)) - \log q(z \mid x)] + \log p(u(x))

    is the ELBO of the model :math:`u \sim p(u)`, :math:`z \mid u \sim N(\mu_u, \operatorname{diag} \sigma_u^2)`,
    :math:`x = f(z) + \epsilon`: the posterior of u is the point mass at u(x), whose entropy is zero.

    In the paper c = 0 and b = (sign h + 1) / 2, which is no bit where h = 0 (a black image); such an x counts as
    positive here. For data far from the origin, pixels in [0, 1] say, few orthants are hit unless `centre` is set. The
    factor :math:`1 / \sqrt N` that makes A an isometry on average, missing in E.1, does not change signs.

    Attributes
    ----------
    bits : int
        N; the prior has 2^N components. The paper has 7.
    weights : {"learnt", "counted"}
        p(u): parameters, or the shares of the training data with one added to each count.
    centre : bool
        Whether c is the mean of the training data.
    """

    bits: int = 7
    weights: Literal["learnt", "counted"] = "learnt"
    centre: bool = False

    name: ClassVar[str] = "hashed-vae"

    def __post_init__(self) -> None:
        super().__post_init__()
        if arguments.count(self.bits, "HashedVAE: bits") > MOST_BITS:
            raise InputError(f"HashedVAE: bits: expected at most {MOST_BITS}, found {self.bits}")
        arguments.choice(self.weights, "HashedVAE: weights", ("learnt", "counted"))
        arguments.switch(self.centre, "HashedVAE: centre")

    def network(self, shape: Shape) -> HashedNetwork:
        """The networks for data of this shape."""
        return HashedNetwork(self, shape)


class HashedNetwork(VariationalNetwork):
    """Encoder, decoder, projection and components of `HashedVAE`."""

    settings: HashedVAE

    def prior_parameters(self) -> dict[str, Parameter]:
        """Group prior: means and log-variances, log-weights up to a constant; and the hash, which is not trained."""
        count, n = 2**self.settings.bits, self.shape.observed_dim
        return {"prior.table": Parameter((2, count, self.shape.latent_dim), normal(0.1)),
                "prior.logits": Parameter((count,), constant(0), self.settings.weights == "learnt"),
                "hash.signs": Parameter((self.settings.bits, n), _signs, False),
                "hash.centre": Parameter((n,), constant(0), False)}

    def prior_table(self, p: Mapping[str, Tensor]) -> Tensor:
        """Means and log-variances of the components, shape (R, 2, 2^N, d)."""
        return p["prior.table"]

    def begin(self, beginning: Beginning) -> None:
        """Centre and counts."""
        super().begin(beginning)
        parameters, count = beginning.parameters, 2**self.settings.bits
        if self.settings.centre:
            parameters.set("hash.centre", torch.stack([x.mean(0) for x in beginning.x]))
        if self.settings.weights == "counted":
            counts = []
            for run, x in enumerate(beginning.x):
                one = {name: value[run:run + 1] for name, value in parameters.values.items()}
                counts.append(torch.bincount(self.hashed(one, x[None])[0], minlength=count))
            parameters.set("prior.logits", torch.log(torch.stack(counts) + 1.0))

    def hashed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """u of each row, shape (R, B)."""
        positive = torch.bmm(x - p["hash.centre"][:, None], p["hash.signs"].transpose(1, 2)) >= 0
        return (positive * 2 ** torch.arange(self.settings.bits, device=x.device)).sum(-1)

    def conditions_of(self, batch: Batch) -> Tensor:
        """The hash of each row, shape (R, B)."""
        return self.hashed(batch.p, batch.x)

    def fit_of(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x | z) + log p(u), shape (R, B)."""
        weights = batch.p["prior.logits"].log_softmax(-1)
        return super().fit_of(batch, z) + weights.gather(1, self.conditions_of(batch))

    def prior_of(self, values: Mapping[str, FloatArray]) -> GaussianMixture:
        """All components, also those that no observation has."""
        mean, log_variance = values["prior.table"]
        weights = np.exp(values["prior.logits"] - values["prior.logits"].max())
        return GaussianMixture(weights / weights.sum(), mean, variances(log_variance))


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent, 1 or -1."""
    return 2.0 * torch.randint(2, shape, generator=generator, dtype=torch.float64) - 1
