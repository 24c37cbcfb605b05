"""GMM-flow: an autoregressive flow whose base law is a Gaussian mixture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.autoregressive import AutoregressiveLayer
from ident_theory.estimators.couplings import Reordering, orders
from ident_theory.estimators.densities import normal_log_density
from ident_theory.estimators.gin import SMOOTH
from ident_theory.estimators.layers import Values, activation_of
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, constant, generator_of
from ident_theory.models import DeclaredMap, GaussianMixture, Model
from ident_theory.models.value import FloatArray


@dataclass(frozen=True, kw_only=True)
class GMMFlow(Estimator):
    r"""Flow with a Gaussian mixture as its base law (Willetts and Paige 2021, Appendix F).

    An invertible g takes x to as many latents z, and training maximises (eq. F.4, with the logarithm of the
    determinant, which it leaves out)

    .. math:: \log p(x) = \log \sum_{k=1}^K \pi_k N(g(x); \mu_k, \operatorname{diag} \sigma_k^2)
              + \log |\det J_g(x)|.

    g standardises x, by its mean and deviation over the data, and passes affine autoregressive layers. The paper has
    10 layers, 50 components and batches of 256; it does not say which layers, their widths, orders, rates or
    steps, which are choices here. zuko has such layers for one run, without a run axis.

    Attributes
    ----------
    layers : int
    components : int
        K; their means begin at random observations.
    hidden : tuple of int
        Hidden widths of the masked networks.
    order : {"reverse", "random"}
        Of the coordinates before each layer: turned round, or at random, for each run.
    activation : str
        Of these networks; with ReLUs the flow is no diffeomorphism, but continuous and injective.
    clamp : float
        Largest logarithm of a scale.
    """

    layers: int = 10
    components: int = 50
    hidden: tuple[int, ...] = (50, 50)
    order: str = "reverse"
    activation: str = "relu"
    clamp: float = 5.0
    batch_size: int = 256

    name: ClassVar[str] = "gmm-flow"
    score_name: ClassVar[str] = "log-likelihood"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("layers", "components", "hidden"):
            value = getattr(self, key)
            for entry in value if key == "hidden" and isinstance(value, tuple) else (value,):
                if isinstance(entry, bool) or not isinstance(entry, int) or entry < 1:
                    raise InputError(f"GMMFlow: {key}: expected whole numbers >= 1, found {value!r}")
        activation_of(self.activation, 0.1)
        if self.order not in ("reverse", "random"):
            raise InputError(f"GMMFlow: order: expected reverse or random, found {self.order!r}")
        if not 0 < self.clamp < math.inf:
            raise InputError(f"GMMFlow: clamp: expected a number > 0, found {self.clamp!r}")

    def network(self, shape: Shape) -> GMMFlowNetwork:
        """The network for data of this shape."""
        return GMMFlowNetwork(self, shape)


class GMMFlowNetwork(Network):
    """The flow and the mixture of `GMMFlow`.

    Raises
    ------
    InputError
        When the latents are to be other in number than the coordinates of x.
    """

    settings: GMMFlow
    random_score: ClassVar[bool] = False

    def __init__(self, settings: GMMFlow, shape: Shape) -> None:
        super().__init__(settings, shape)
        n = shape.observed_dim
        if settings.latent_dim not in (None, n):
            raise InputError(f"GMMFlow: latent_dim: expected {n}, the coordinates of x, found {settings.latent_dim}")
        self.layers = [AutoregressiveLayer(f"flow.{k}", n, settings.hidden, settings.activation, settings.clamp)
                       for k in range(settings.layers)]

    def parameters(self) -> dict[str, Parameter]:
        """Groups flow and base; the orders and the standardisation are not trained."""
        n, many = self.shape.observed_dim, self.settings.components
        start = orders if self.settings.order == "random" else _reversals
        out = {"orders.0": Parameter((self.settings.layers, n), start, trained=False),
               "scale.mean": Parameter((n,), constant(0), trained=False),
               "scale.log_std": Parameter((n,), constant(0), trained=False)}
        for layer in self.layers:
            out.update(layer.network.parameters())
        out["base.logits"] = Parameter((many,), constant(0))
        out["base.mean"] = Parameter((many, n), constant(0))
        out["base.log_variance"] = Parameter((many, n), constant(0))
        return out

    def begin(self, beginning: Beginning) -> None:
        """Mean and deviation of the data; random observations as means of the components."""
        parameters, x = beginning.parameters, beginning.x
        mean = torch.stack([own.mean(0) for own in x])
        std = torch.stack([own.std(0, correction=0) for own in x])
        std = torch.where(std > 0, std, 1)
        parameters.set("scale.mean", mean)
        parameters.set("scale.log_std", std.log())
        chosen = [own[_rows(len(own), self.settings.components, seed).to(own.device)]
                  for own, seed in zip(x, beginning.seeds, strict=True)]
        h = ((torch.stack(chosen) - mean[:, None]) / std[:, None]).transpose(1, 2)
        parameters.set("base.mean", self._through(parameters.values, h.contiguous())[0].transpose(1, 2))

    def flow(self, p: Values, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and log-determinants of observations (R, B, n), shapes (R, n, B) and (R, B)."""
        h = (x - p["scale.mean"][:, None]) * torch.exp(-p["scale.log_std"])[:, None]
        z, log_det = self._through(p, h.transpose(1, 2).contiguous())
        return z, log_det - p["scale.log_std"].sum(1)[:, None]

    def _through(self, p: Values, h: Tensor) -> tuple[Tensor, Tensor]:
        """The layers alone."""
        reorder, total = Reordering(p["orders.0"]), h.new_zeros(())
        for k, layer in enumerate(self.layers):
            h, log_det = layer(p, reorder(h, k))
            total = total + log_det
        return h, total

    def inverse(self, p: Values, z: Tensor) -> Tensor:
        """Observations (R, B, n) of latents (R, n, B)."""
        reorder, h = Reordering(p["orders.0"]), z
        for k, layer in reversed(list(enumerate(self.layers))):
            h = reorder(layer.inverse(p, h), k, back=True)
        return h.transpose(1, 2) * torch.exp(p["scale.log_std"])[:, None] + p["scale.mean"][:, None]

    def score(self, batch: Batch) -> Tensor:
        """The log-likelihood of each row."""
        p = batch.p
        z, log_det = self.flow(p, batch.x)
        parts = normal_log_density(z.transpose(1, 2)[:, :, None], p["base.mean"][:, None],
                                   p["base.log_variance"][:, None])
        return torch.logsumexp(parts + torch.log_softmax(p["base.logits"], 1)[:, None], 2) + log_det

    def loss(self, batch: Batch) -> Tensor:
        """The negative log-likelihood, never in half precision, which log-determinants do not bear."""
        with torch.autocast(batch.x.device.type, enabled=False):
            return -self.score(batch).mean(1)

    def encode(self, batch: Batch) -> Tensor:
        """The latents."""
        return self.flow(batch.p, batch.x)[0].transpose(1, 2)

    def model(self, values: Mapping[str, FloatArray]) -> Model:
        """The mixture, and the flow as a declared map."""
        n = self.shape.observed_dim
        weights = np.exp(values["base.logits"] - np.logaddexp.reduce(values["base.logits"]))
        variances = np.exp(np.clip(values["base.log_variance"], -600, 600))
        smooth = ["diffeomorphism"] if self.settings.activation in SMOOTH else ["continuous", "injective"]
        return Model(GaussianMixture(weights, values["base.mean"], variances), DeclaredMap(n, n, smooth))


def _reversals(shape: tuple[int, ...], _: torch.Generator) -> Tensor:
    """As given first, then turned round before each layer."""
    order = torch.arange(shape[1], dtype=torch.float64)
    return torch.stack([order, *[order.flip(0)] * (shape[0] - 1)])


def _rows(size: int, count: int, seed: int) -> Tensor:
    """Some of `size` rows at random, without repetitions as far as they go."""
    order = torch.randperm(size, generator=generator_of("cpu", seed, "components"))
    return order.repeat(-(-count // size))[:count]
