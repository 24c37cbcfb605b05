"""The relaxed VQ-VAE, whose latents are entries of a codebook at each place of a grid, and its autoencoder baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.architectures import ARCHITECTURES, Decoder, Encoder, make_decoder, make_encoder
from ident_theory.estimators.convolutions import (
    Activation,
    BatchNorm,
    Chain,
    Convolution,
    Layer,
    Residual,
    images,
    rows,
)
from ident_theory.estimators.layers import MLP, Values
from ident_theory.estimators.likelihood import Likelihood, check_observation
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, uniform


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Estimator):
    r"""Autoencoder, the baseline of the relaxed VQ-VAE (Willetts and Paige 2021, Appendix D).

    It maximises :math:`\log p(x \mid g(h(x)))`.
    The code h(x) has `latent_dim` coordinates at each of L places. Latents are all of them, place by place, so that
    ``z.reshape(N, L, d)`` has those of a place; the paper compares runs place by place.

    Attributes
    ----------
    architecture : str
        ``grid``: two halvings by convolutions with batch normalisation and two residual blocks, and back, for images;
        the places are the (height / 4) x (width / 4) pixels that remain. Others as in `architectures`.
    positions : int
        Places L, for architectures other than ``grid``.
    channels : int
        For ``grid``: 256 in github.com/bshall/VectorQuantizedVAE. (The code of the paper asks for 128, but builds
        networks as narrow as an image has channels.)
    hidden, layers : int
        For ``mlp``: width, and number of affine layers.
    slope : float
        Negative slope of leaky ReLUs.
    observation : {"gaussian", "bernoulli"}
        The paper has discretised logistic laws.
    noise_std : float
        Standard deviation of Gaussian noise.
    learn_noise : bool
        Whether it is trained, from `noise_std`.
    """

    architecture: str = "mlp"
    positions: int = 1
    channels: int = 128
    hidden: int = 50
    layers: int = 3
    slope: float = 0.1
    observation: Literal["gaussian", "bernoulli"] = "gaussian"
    noise_std: float = 0.1
    learn_noise: bool = False
    batch_size: int = 128
    learning_rate: float | tuple[float, ...] = 5e-4

    name: ClassVar[str] = "autoencoder"
    score_name: ClassVar[str] = "log-likelihood of the reconstruction"

    def __post_init__(self) -> None:
        super().__post_init__()
        where = type(self).__name__
        check_observation(self, where)
        arguments.choice(self.architecture, f"{where}: architecture", ("grid", *ARCHITECTURES))
        for key in ("positions", "channels", "hidden", "layers"):
            arguments.count(getattr(self, key), f"{where}: {key}")
        arguments.number(self.slope, f"{where}: slope", 0, 1)
        if self.architecture == "grid" and self.positions != 1:
            raise InputError(f"{where}: positions: the image gives them with architecture='grid'; expected 1, found "
                             f"{self.positions}")

    def network(self, shape: Shape) -> AutoencoderNetwork:
        """The networks for data of this shape."""
        return AutoencoderNetwork(self, shape)


@dataclass(frozen=True, kw_only=True)
class RelaxedVQVAE(Autoencoder):
    r"""Relaxed vector-quantised VAE (Sonderby et al. 2017; Willetts and Paige 2021, Appendix D).

    The latents are codes :math:`k_1, \dots, k_L`, uniform on K entries :math:`e_k` of one codebook, and
    :math:`x \mid k \sim p(x \mid g(e_{k_1}, \dots, e_{k_L}))`. The posterior of a code is the responsibilities of a
    mixture with equal weights and identity covariances,

    .. math:: q(k_l = k \mid x) \propto \exp(-\tfrac12 |h_l(x) - e_k|^2),

    and the objective the negative of :math:`\log p(x \mid g(z)) - \sum_l KL(q(k_l \mid x) \| 1/K)`, where
    :math:`z_l = \sum_k w_{lk} e_k` has relaxed codes :math:`w_l = \operatorname{softmax}((\log q(k_l \mid x) +
    \gamma_l) / \tau)`, :math:`\gamma` standard Gumbel noise. It becomes the one-sample ELBO as :math:`\tau \to 0`;
    the score is that ELBO, with codes drawn from q. Latents are the codes' places h(x), which the paper compares.

    Batch, rate, K and :math:`\tau` are those of the code of the paper, which has d = 50 for CIFAR10 and no factor 1/2
    in the exponent, covariances I / 2 that is.

    Attributes
    ----------
    components : int
        Entries K.
    temperature : float or tuple of float
        :math:`\tau`; a tuple has an entry a run.
    relaxation : {"gumbel", "mean"}
        ``mean`` leaves :math:`\gamma` out: at :math:`\tau = 1` z is the posterior mean of :math:`e_k`, at small ones
        the nearest entry.
    """

    components: int = 128
    temperature: float | tuple[float, ...] = 0.5
    relaxation: Literal["gumbel", "mean"] = "gumbel"

    name: ClassVar[str] = "vq-vae"
    per_run: ClassVar[tuple[str, ...]] = ("learning_rate", "temperature")
    score_name: ClassVar[str] = "ELBO"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.count(self.components, "RelaxedVQVAE: components", 2)
        arguments.choice(self.relaxation, "RelaxedVQVAE: relaxation", ("gumbel", "mean"))
        for value in self.temperature if isinstance(self.temperature, tuple) else (self.temperature,):
            arguments.number(value, "RelaxedVQVAE: temperature", 0, above=True)

    def network(self, shape: Shape) -> RelaxedVQVAENetwork:
        """The networks for data of this shape."""
        return RelaxedVQVAENetwork(self, shape)


class AutoencoderNetwork(Network):
    """Encoder and decoder of `Autoencoder`."""

    settings: Autoencoder
    random_score: ClassVar[bool] = False
    encoder: MLP | Encoder | Chain
    decoder: MLP | Decoder

    def __init__(self, settings: Autoencoder, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.likelihood = Likelihood(settings)
        if settings.architecture == "grid":
            self.encoder, self.decoder = _grid(settings, shape)
            self.positions = self.decoder.start[1] * self.decoder.start[2]
            return
        self.positions = settings.positions
        width = self.positions * shape.latent_dim
        sizes = {"hidden": settings.hidden, "layers": settings.layers}
        self.encoder = make_encoder(settings.architecture, "encoder", shape, outputs=width, heads=1,
                                    slope=settings.slope, **sizes)
        self.decoder = make_decoder(settings.architecture, "decoder", shape, inputs=width, slope=settings.slope,
                                    **sizes)

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, decoder, noise."""
        return {**self.encoder.parameters(), **self.decoder.parameters(), **self.likelihood.parameters()}

    def begin(self, beginning: Beginning) -> None:
        """Refuse data that are no Bernoulli probabilities."""
        self.likelihood.check(beginning, type(self.settings).__name__)

    def codes(self, batch: Batch) -> Tensor:
        """h(x), shape (R, B, L, d)."""
        draws = batch.training_draws
        runs, size, d = len(batch.x), batch.size, self.shape.latent_dim
        if isinstance(self.encoder, Chain):
            assert self.shape.image is not None
            h = rows(self.encoder(batch.p, images(batch.x, self.shape.image), draws), runs)
            return h.reshape(runs, size, d, self.positions).transpose(2, 3)
        return self.encoder(batch.p, batch.x, None, draws).view(runs, size, self.positions, d)

    def likelihoods(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x | g(z)) of each row, from z of shape (R, B, L, d)."""
        if isinstance(self.encoder, Chain):
            z = z.transpose(2, 3)
        output = self.decoder(batch.p, z.reshape(len(z), batch.size, -1), None, batch.training_draws)
        return self.likelihood(batch.p, batch.x, output)

    def score(self, batch: Batch) -> Tensor:
        """log p(x | g(h(x)))."""
        return self.likelihoods(batch, self.codes(batch))

    def loss(self, batch: Batch) -> Tensor:
        """The negative mean of the scores."""
        return -self.score(batch).mean(1)

    def encode(self, batch: Batch) -> Tensor:
        """h(x), place by place."""
        return self.codes(batch).flatten(2)


class RelaxedVQVAENetwork(AutoencoderNetwork):
    """Encoder, codebook and decoder of `RelaxedVQVAE`."""

    settings: RelaxedVQVAE
    random_score: ClassVar[bool] = True

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, codebook, decoder, noise."""
        count = self.settings.components
        book = {"codebook.entries": Parameter((count, self.shape.latent_dim), uniform(1 / count))}
        return {**self.encoder.parameters(), **book, **self.decoder.parameters(), **self.likelihood.parameters()}

    def log_responsibilities(self, p: Values, codes: Tensor) -> Tensor:
        """log q(k_l = k | x), shape (R, B, L, K), from h(x), shape (R, B, L, d)."""
        entries = p["codebook.entries"]
        # The square of h(x) is the same for all entries.
        logits = torch.baddbmm(-0.5 * entries.square().sum(-1)[:, None], codes.flatten(1, 2), entries.mT)
        return torch.log_softmax(logits, -1).view(*codes.shape[:3], -1)

    def divergence(self, log_chances: Tensor) -> Tensor:
        """Sum over places of the divergence of q from the uniform law, shape (R, B)."""
        return (log_chances.exp() * log_chances).sum((2, 3)) + self.positions * math.log(self.settings.components)

    def score(self, batch: Batch) -> Tensor:
        """One-sample ELBO of each row, with codes drawn from q."""
        log_chances = self.log_responsibilities(batch.p, self.codes(batch))
        chosen = (log_chances + self._gumbel(batch)).argmax(-1)
        index = chosen.flatten(1)[..., None].expand(-1, -1, self.shape.latent_dim)
        z = batch.p["codebook.entries"].gather(1, index).view(*chosen.shape, -1)
        return self.likelihoods(batch, z) - self.divergence(log_chances)

    def relaxed(self, batch: Batch, log_chances: Tensor) -> Tensor:
        """z at the temperature of each run, shape (R, B, L, d)."""
        noisy = log_chances + self._gumbel(batch) if self.settings.relaxation == "gumbel" else log_chances
        weights = torch.softmax(noisy / batch.hyper["temperature"].view(-1, 1, 1, 1), -1)
        return torch.bmm(weights.flatten(1, 2), batch.p["codebook.entries"]).view(*weights.shape[:3], -1)

    def loss(self, batch: Batch) -> Tensor:
        """The negative relaxed ELBO."""
        log_chances = self.log_responsibilities(batch.p, self.codes(batch))
        likelihoods = self.likelihoods(batch, self.relaxed(batch, log_chances))
        return (self.divergence(log_chances) - likelihoods).mean(1)

    def _gumbel(self, batch: Batch) -> Tensor:
        """Standard Gumbel noise, shape (R, B, L, K); a uniform number 0 gives minus infinity, which no code has."""
        draws = batch.draws.uniform("codes", batch.size, self.positions, self.settings.components)
        return -torch.log(-torch.log(draws))


def _grid(settings: Autoencoder, shape: Shape) -> tuple[Chain, Decoder]:
    """The networks of github.com/bshall/VectorQuantizedVAE, but for rectifying what skips a residual block."""
    where = f"{type(settings).__name__}: architecture"
    if shape.image is None:
        raise InputError(f"{where}: 'grid' is for images, found data without image_shape; give a Dataset with "
                         "image_shape=(channels, height, width), or another architecture")
    colours, high, wide = shape.image
    if high % 4 or wide % 4:
        raise InputError(f"{where}: 'grid' needs images whose height and width are multiples of 4, found {high} x "
                         f"{wide}; crop or pad them")
    width, d = settings.channels, shape.latent_dim
    encoder: list[Layer] = []
    for k, before in enumerate((colours, width)):
        encoder += _normed(f"encoder.{k}", Convolution(f"encoder.{k}.conv", before, width, 4, stride=2, padding=1,
                                                       bias=False))
        encoder += [Activation("relu")] if k == 0 else []
    encoder += [_block(f"encoder.block{k}", width) for k in range(2)]
    encoder.append(Convolution("encoder.conv", width, d, 1))
    decoder = _normed("decoder.in", Convolution("decoder.in.conv", d, width, 1, bias=False))
    decoder += [_block(f"decoder.block{k}", width) for k in range(2)]
    for k in range(2):
        decoder += [*_normed(f"decoder.{k}", Convolution(f"decoder.{k}.conv", width, width, 4, stride=2, padding=1,
                                                         transposed=True, bias=False)), Activation("relu")]
    decoder.append(Convolution("decoder.conv", width, colours, 1))
    return Chain(encoder), Decoder(None, (d, high // 4, wide // 4), Chain(decoder))


def _normed(name: str, convolution: Convolution) -> list[Layer]:
    """A convolution and its batch normalisation."""
    return [convolution, BatchNorm(f"{name}.norm", convolution.outputs)]


def _block(name: str, width: int) -> Residual:
    first = Convolution(f"{name}.conv0", width, width, 3, padding=1, bias=False)
    second = Convolution(f"{name}.conv1", width, width, 1, bias=False)
    return Residual(Chain([Activation("relu"), *_normed(f"{name}.0", first), Activation("relu"),
                           *_normed(f"{name}.1", second)]))
