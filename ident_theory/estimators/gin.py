"""GIN: a flow that preserves volume, with a normal law for each condition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.couplings import SQUASHES, IncompressibleCoupling, Reordering, orders
from ident_theory.estimators.densities import LOG_2PI, normal_log_density
from ident_theory.estimators.draws import RowDraws
from ident_theory.estimators.layers import Values, activation_of, take
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, constant
from ident_theory.estimators.plan import Phase, Schedule, Steps
from ident_theory.models import ConditionalPrior, DeclaredMap, Model
from ident_theory.models.value import FloatArray

#: Activations with a continuous derivative: with them the flow is a diffeomorphism.
SMOOTH = ("tanh", "elu", "softplus", "sigmoid", "identity")
#: Rows of all runs together whose moments are taken at once.
ROWS = 2**16
#: Settings of the paper's second data set, images of 28 x 28 (Section 4.4.1 and Table 3).
EMNIST: dict[str, Any] = {"image_blocks": (4, 4), "image_widths": (16, 32), "blocks": 2, "hidden": (392, 392),
                          "batch_size": 240, "epochs": 95, "learning_rate": 3e-4, "schedule": Steps((45 / 95,))}


@dataclass(frozen=True, kw_only=True)
class GIN(Estimator):
    r"""General incompressible-flow network (Sorrenson et al. 2020).

    An invertible g with :math:`|\det J_g| = 1` takes x to as many latents w, normal and independent given u, so that
    the negative log-likelihood is (eq. 7, times n and with its constant)

    .. math:: -\log p(x \mid u) = \sum_{i=1}^n \frac{(w_i - \mu_i(u))^2}{2 \sigma_i^2(u)} + \log \sigma_i(u)
              + \tfrac12 \log 2\pi, \qquad w = g(x).

    While training, the moments are those of the batch (eqs. 36 and 37), a condition with fewer than two rows there
    being left out, and x carries fresh normal noise. At the last step the moments of all data, with noise, are taken;
    the score is the log-likelihood given u under these, at x without noise. It is a density of the noisy x: that of
    pixels, which are constant here and there, would have no bound.

    All n latents are given, those of the largest standard deviation first; `spectrum` says how many are informative.
    With `latent_dim` only so many are given. The defaults are the paper's artificial data (Table 2) with the recipe
    of its published code. zuko and FrEIA have these layers for one run, without a run axis.

    Attributes
    ----------
    blocks, hidden : int, tuple of int
        Fully connected coupling blocks and the hidden widths of their networks.
    image_blocks, image_widths : tuple of int
        For images: stages, each of which halves height and width and has so many convolutional blocks of two hidden
        layers with so many channels, before the fully connected ones. See `EMNIST`.
    activation : str
        Of these networks; with ReLUs the flow is no diffeomorphism, but continuous and injective.
    clamp, squash
        Logarithms of scales are ``clamp tanh(s)``, as the paper says, or with "arctan", as FrEIA.
    zero_sum : {"mean", "last"}
        How they come to sum to zero: by their mean, as in the code, whose numbers of parameters the paper has; or by
        the last one, as in the paper's words.
    noise_std : float
        Of the noise on x; 0 for none, which with discrete data has no maximum.
    moments : {"batch", "learnt"}
        "learnt": means and variances are parameters. The paper expects that to work equally well; at the same rate
        it is slower, having to bring the variances down.
    """

    blocks: int = 8
    hidden: tuple[int, ...] = (10, 10)
    image_blocks: tuple[int, ...] = ()
    image_widths: tuple[int, ...] = ()
    activation: str = "relu"
    clamp: float = 2.0
    squash: str = "tanh"
    zero_sum: str = "mean"
    noise_std: float = 0.01
    moments: str = "batch"
    batch_size: int = 1000
    learning_rate: float | tuple[float, ...] = 1e-2
    schedule: Schedule = Steps((0.625,))

    name: ClassVar[str] = "gin"
    uses_u: ClassVar[bool] = True
    score_name: ClassVar[str] = "log-likelihood"
    default_steps: ClassVar[int] = 8_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("blocks", 0), ("hidden", 1), ("image_blocks", 1), ("image_widths", 1)):
            value = getattr(self, key)
            for entry in value if key != "blocks" and isinstance(value, tuple) else (value,):
                if isinstance(entry, bool) or not isinstance(entry, int) or entry < least:
                    raise InputError(f"GIN: {key}: expected whole numbers >= {least}, found {value!r}")
        if len(self.image_blocks) != len(self.image_widths):
            raise InputError(f"GIN: image_widths: expected {len(self.image_blocks)}, one for each entry of "
                             f"image_blocks, found {self.image_widths!r}")
        if not self.blocks and not self.image_blocks:
            raise InputError("GIN: blocks: expected at least one block, found none")
        activation_of(self.activation, 0.1)
        for key, known in (("squash", tuple(SQUASHES)), ("zero_sum", ("mean", "last")),
                           ("moments", ("batch", "learnt"))):
            if getattr(self, key) not in known:
                raise InputError(f"GIN: {key}: expected {' or '.join(known)}, found {getattr(self, key)!r}")
        if not 0 < self.clamp < math.inf:
            raise InputError(f"GIN: clamp: expected a number > 0, found {self.clamp!r}")
        if not 0 <= self.noise_std < math.inf:
            raise InputError(f"GIN: noise_std: expected a number >= 0, found {self.noise_std!r}")

    def conditions_needed(self, shape: Shape) -> int:
        """n k + 1 for the number n of informative latents where it is known, else for one of them."""
        known = self.latent_dim is not None or shape.latent_dim < shape.observed_dim
        return (shape.latent_dim if known else 1) * self.statistics + 1

    def network(self, shape: Shape) -> GINNetwork:
        """The network for data of this shape."""
        return GINNetwork(self, shape)


class GINNetwork(Network):
    """The flow of `GIN`, and the moments of its latents given u.

    Raises
    ------
    InputError
        For fewer than two coordinates, more latents than coordinates, or images that cannot be halved so often.
    """

    settings: GIN
    coupled = True
    random_score: ClassVar[bool] = False
    ranked: ClassVar[bool] = True

    def __init__(self, settings: GIN, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.learnt = settings.moments == "learnt"
        self.coupled = not self.learnt
        n = shape.observed_dim
        if n < 2:
            raise InputError("GIN: expected at least two coordinates of x, one half of which moves the other, found 1")
        if settings.latent_dim is not None and settings.latent_dim > n:
            raise InputError(f"GIN: latent_dim: expected at most {n}, the coordinates of x, found "
                             f"{settings.latent_dim}")
        made: dict[str, Any] = {"activation": settings.activation, "clamp": settings.clamp,
                                "squash": settings.squash, "zero_sum": settings.zero_sum}
        self.stages: list[list[IncompressibleCoupling]] = []
        if settings.image_blocks:
            factor = 2 ** len(settings.image_blocks)
            if shape.image is None or shape.image[1] % factor or shape.image[2] % factor:
                found = "no images" if shape.image is None else f"{shape.image[1]} x {shape.image[2]}"
                raise InputError(f"GIN: image_blocks: expected images whose height and width are multiples of "
                                 f"{factor}, found {found}")
            for k, (count, width) in enumerate(zip(settings.image_blocks, settings.image_widths, strict=True)):
                channels = shape.image[0] * 4 ** (k + 1)
                self.stages.append([IncompressibleCoupling(f"flow.image{k}.{j}", channels, (width, width), image=True,
                                                           **made) for j in range(count)])
        self.dense = [IncompressibleCoupling(f"flow.dense.{j}", n, settings.hidden, **made)
                      for j in range(settings.blocks)]

    def parameters(self) -> dict[str, Parameter]:
        """Groups flow and, where its moments are learnt, prior."""
        n, conditions = self.shape.observed_dim, self.shape.conditions
        out: dict[str, Parameter] = {}
        for k, stage in enumerate([*self.stages, self.dense]):
            if stage:
                out[f"orders.{k}"] = Parameter((len(stage), stage[0].size), orders, trained=False)
            for block in stage:
                out.update(block.parameters())
        out["prior.mean"] = Parameter((conditions, n), constant(0), self.learnt)
        out["prior.log_variance"] = Parameter((conditions, n), constant(0), self.learnt)
        out["prior.weights"] = Parameter((conditions,), constant(1 / conditions), trained=False)
        return out

    def flow(self, p: Values, x: Tensor) -> Tensor:
        """g: observations (R, B, n) to latents (R, n, B), in the order of the last block."""
        if not self.stages:
            h = x.transpose(1, 2).contiguous()
        else:
            assert self.shape.image is not None
            h = x.view(*x.shape[:2], *self.shape.image).transpose(0, 1).flatten(1, 2)
            for k, stage in enumerate(self.stages):
                h = self._through(p, F.pixel_unshuffle(h, 2), k, stage)
            h = h.reshape(len(h), len(x), -1).permute(1, 2, 0).contiguous()
        return self._through(p, h, len(self.stages), self.dense) if self.dense else h

    def inverse(self, p: Values, w: Tensor) -> Tensor:
        """The inverse of `flow`: latents (R, n, B) to observations (R, B, n)."""
        h = self._through(p, w, len(self.stages), self.dense, back=True) if self.dense else w
        if not self.stages:
            return h.transpose(1, 2)
        assert self.shape.image is not None
        channels, height, width = self.shape.image
        factor = 2 ** len(self.stages)
        runs, n, size = h.shape
        h = h.permute(2, 0, 1).reshape(size, runs * channels * factor**2, height // factor, width // factor)
        for k, stage in reversed(list(enumerate(self.stages))):
            h = F.pixel_shuffle(self._through(p, h, k, stage, back=True), 2)
        return h.reshape(size, runs, n).transpose(0, 1)

    def _through(self, p: Values, h: Tensor, number: int, stage: list[IncompressibleCoupling],
                 back: bool = False) -> Tensor:
        """One stage of blocks, each after its reordering, or all of it backwards."""
        reorder = Reordering(p[f"orders.{number}"])
        if back:
            for k, block in reversed(list(enumerate(stage))):
                h = reorder(block.inverse(p, h), k, back=True)
            return h
        for k, block in enumerate(stage):
            h = block(p, reorder(h, k))
        return h

    def phases(self) -> tuple[Phase, ...]:
        """The training, whose last step only takes the moments of all data, unless they are learnt."""
        if self.learnt:
            return super().phases()
        steps = self.settings.total_steps(self.shape.rows)
        return (Phase("train", steps - 1, schedule=self.settings.schedule), Phase("moments", 1, rate=0.0))

    def begin(self, beginning: Beginning) -> None:
        """Moments of the latents of all data given u, with noise, by the network as it is."""
        parameters, x = beginning.parameters, beginning.x
        assert beginning.u is not None
        u, rows = beginning.u, max(1, ROWS // len(x))
        runs, n, conditions = len(x), self.shape.observed_dim, self.shape.conditions
        draws = RowDraws(beginning.seeds, x[0].device, x[0].dtype, "moments")
        totals = x[0].new_zeros((runs, 2 * n + 1, conditions), dtype=torch.float64)
        for start in range(0, len(x[0]), rows):
            part = slice(start, start + rows)
            noisy = torch.stack([own[part] for own in x])
            if self.settings.noise_std:
                draws.first = start
                noisy += self.settings.noise_std * draws.normal("noise", *noisy.shape[1:])
            w = self.flow(parameters.values, noisy).double()
            both = torch.cat([w, w.square(), torch.ones_like(w[:, :1])], dim=1)
            totals += torch.bmm(both, _one_hot(torch.stack([own[part] for own in u]), conditions, both))
        counts = totals[:, -1:]
        if not self.learnt and bool((counts < 2).any()):
            raise InputError("GIN: u: expected at least two rows of each condition, from which its moments come, found "
                             f"one of condition {int((counts < 2).nonzero()[0, 2])}; join conditions")
        mean, square = (totals[:, :-1] / counts.clamp_min(1)).split(n, dim=1)
        variance = (square - mean.square()).clamp_min(torch.finfo(torch.float32).tiny)
        parameters.set("prior.mean", mean.transpose(1, 2))
        parameters.set("prior.log_variance", variance.log().transpose(1, 2))
        parameters.set("prior.weights", counts[:, 0] / counts.sum(2))

    def loss(self, batch: Batch) -> Tensor:
        """The negative log-likelihood under the moments of the batch, or the learnt ones."""
        x = batch.x
        if self.settings.noise_std:
            x = torch.add(x, batch.draws.normal("noise", *x.shape[1:]), alpha=self.settings.noise_std)
        # Half precision would neither keep volumes nor tell small deviations from none.
        with torch.autocast(x.device.type, enabled=False):
            w = self.flow(batch.p, x)
            return -self._log_density(batch, w).mean(1) if self.learnt else self._entropy(batch, w)

    def _entropy(self, batch: Batch, w: Tensor) -> Tensor:
        """The mean of the negative log-density under the moments of the batch, shape (R,)."""
        assert batch.u is not None
        one_hot = _one_hot(batch.u, self.shape.conditions, w)
        counts = one_hot.sum(1)
        # The derivative of a variance with respect to its mean is zero.
        mean = torch.bmm(w.detach(), one_hot) / counts[:, None].clamp_min(1)
        squares = (w - torch.bmm(mean, one_hot.transpose(1, 2))).square()
        enough = counts >= 2
        variance = torch.bmm(squares, one_hot) / counts[:, None].clamp_min(1)
        variance = torch.where(enough[:, None], variance, 1).clamp_min(torch.finfo(w.dtype).tiny)
        weights = torch.where(enough, counts, 0)
        weights = weights / weights.sum(1, keepdim=True).clamp_min(1)
        return 0.5 * ((variance.log().sum(1) * weights).sum(1) + w.shape[1] * (1 + LOG_2PI))

    def score(self, batch: Batch) -> Tensor:
        """The log-likelihood of each row given u."""
        return self._log_density(batch, self.flow(batch.p, batch.x))

    def _log_density(self, batch: Batch, w: Tensor) -> Tensor:
        """Of latents (R, n, B) given u, shape (R, B)."""
        assert batch.u is not None
        mean, log_variance = (take(batch.p[f"prior.{name}"], batch.u) for name in ("mean", "log_variance"))
        return normal_log_density(w.transpose(1, 2), mean, log_variance)

    def encode(self, batch: Batch) -> Tensor:
        """The latents, those of the largest standard deviation first."""
        order = self.ranking(batch.p)[:, :self.settings.latent_dim, None]
        w = self.flow(batch.p, batch.x)
        return w.gather(1, order.expand(-1, -1, w.shape[2])).transpose(1, 2)

    def ranking(self, p: Values) -> Tensor:
        """Coordinates of the flow by the standard deviation that the moments give them over all data, shape (R, n)."""
        weights, mean = p["prior.weights"][:, :, None], p["prior.mean"]
        centred = mean - (weights * mean).sum(1, keepdim=True)
        variance = (weights * (p["prior.log_variance"].exp() + centred.square())).sum(1)
        return torch.argsort(variance, dim=1, descending=True, stable=True)

    def model(self, values: Mapping[str, FloatArray]) -> Model:
        """Normal conditional prior of all n latents, in the order of `encode`, and the flow as a declared map."""
        p = {name: torch.as_tensor(value)[None] for name, value in values.items() if name.startswith("prior.")}
        order, n = self.ranking(p)[0].numpy(), self.shape.observed_dim
        variance = np.exp(np.clip(values["prior.log_variance"][:, order], -600, 600))
        prior = ConditionalPrior.from_means_variances(values["prior.mean"][:, order], variance)
        smooth = ["diffeomorphism"] if self.settings.activation in SMOOTH else ["continuous", "injective"]
        return Model(prior, DeclaredMap(n, n, [*smooth, "volume_preserving"]))


def _one_hot(u: Tensor, conditions: int, like: Tensor) -> Tensor:
    """Conditions (R, B) as (R, B, M), of the type of `like`."""
    return like.new_zeros((*u.shape, conditions)).scatter_(2, u[:, :, None], 1)
