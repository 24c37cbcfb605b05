"""iVAE-GAN: encoder, generator and conditional prior of an iVAE, the generator trained against a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.ivae import IVAE, IVAENetwork
from ident_theory.estimators.layers import MLP, take
from ident_theory.estimators.network import Batch, Shape
from ident_theory.estimators.parameters import Parameter
from ident_theory.estimators.plan import Constant, Phase, Schedule, Update
from ident_theory.models import Model
from ident_theory.models.value import FloatArray

#: What the discriminator may see.
SEES = ("x", "x,u", "x,z,u")


@dataclass(frozen=True, kw_only=True)
class IVAEGAN(IVAE):
    r"""Identifiable VAE-GAN (Dideriksen et al. 2022, eqs. 10 to 13 and 25 to 26, Algorithm 1).

    Prior, encoder q and generator G are those of `IVAE`. With :math:`\tilde x = G(z)`, z drawn from q, the
    discriminator D and the other networks minimise in turn

    .. math:: -E \log D(x) - E \log (1 - D(\tilde x)), \qquad
              -E \log D(\tilde x) + \beta\, E\, KL(q(z \mid x, u) \,\|\, p(z \mid u))
              - \rho\, E \log p(x \mid z),

    in the paper with :math:`\beta = 1`, :math:`\rho = 0`; the divergence has the sign that a minimised loss needs,
    in eq. 26 it is printed with the other one. For the best D the first is :math:`\log 4 - 2\, JSD`.

    The paper's objective does not tie q to x: an encoder that ignores x reaches its minimum. Nor does a D that sees x
    alone tie G to u. Latents can be identified with a D that sees x and u and :math:`\rho > 0`, or with
    ``sees="x,z,u"``, where (x, z) from data and encoder is told from (G(z), z) with z from the prior (Donahue et al.
    2017, Dumoulin et al. 2017): then q is the posterior at the optimum.

    A run is chosen by its ELBO with Gaussian noise of deviation `noise_std`, whatever the objective. `model` has no
    noise, as samples have none.

    Attributes
    ----------
    hidden, layers : int
        Three hidden layers of 4 in Table 1.
    sees : {"x", "x,u", "x,z,u"}
        Arguments of D.
    source : {"posterior", "prior"}
        Law of z in generated samples: "posterior" in Algorithm 1, "prior" in eq. 12, and always with "x,z,u".
    divergence, reconstruction : float or tuple of float
        beta and rho.
    discriminator_hidden, discriminator_layers : int
        Six hidden layers of 32 in Table 1 for at most 200 observations a segment, up to 1,024 for 2,000.
    discriminator_steps : int
        Steps of D for one of the others; the paper does not say how many.
    discriminator_rate : float
        Factor of the learning rate of D.
    gradient_penalty : float or tuple of float
        gamma of :math:`\frac{\gamma}{2} E |\nabla_{x, z} \operatorname{logit} D|^2` on real data (Mescheder et al.
        2018); 0 in the paper.
    instance_noise : float or tuple of float
        Deviation of noise on whatever D sees of x, real or generated; the laws that D tells apart are equal if and
        only if they are without. 0 in the paper.
    batch_size : int
        The paper takes all rows at every one of 300,000 steps.
    """

    hidden: int = 4
    layers: int = 4
    exact_kl: bool = True
    batch_size: int = 256
    schedule: Schedule = Constant()
    sees: Literal["x", "x,u", "x,z,u"] = "x"
    source: Literal["posterior", "prior"] = "posterior"
    divergence: float | tuple[float, ...] = 1.0
    reconstruction: float | tuple[float, ...] = 0.0
    discriminator_hidden: int = 32
    discriminator_layers: int = 7
    discriminator_steps: int = 1
    discriminator_rate: float = 1.0
    gradient_penalty: float | tuple[float, ...] = 0.0
    instance_noise: float | tuple[float, ...] = 0.0

    name: ClassVar[str] = "ivae-gan"
    per_run: ClassVar[tuple[str, ...]] = (*IVAE.per_run, "divergence", "reconstruction", "gradient_penalty",
                                          "instance_noise")

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.choice(self.sees, "IVAEGAN: sees", SEES)
        arguments.choice(self.source, "IVAEGAN: source", ("posterior", "prior"))
        for key in ("discriminator_hidden", "discriminator_layers", "discriminator_steps"):
            arguments.count(getattr(self, key), f"IVAEGAN: {key}")
        for key in ("divergence", "reconstruction", "gradient_penalty", "instance_noise"):
            if not min(_entries(getattr(self, key))) >= 0:
                raise InputError(f"IVAEGAN: {key}: expected numbers >= 0, found {getattr(self, key)!r}")
        arguments.number(self.discriminator_rate, "IVAEGAN: discriminator_rate", 0, above=True)
        if self.observation != "gaussian":
            raise InputError(f"IVAEGAN: observation: expected 'gaussian', found {self.observation!r}: the "
                             "discriminator sees what the generator gives, which would be logits")
        if self.annealed:
            raise InputError("IVAEGAN: annealed: expected False; divergence and reconstruction are its weights")
        if self.learn_noise and not min(_entries(self.reconstruction)) > 0:
            raise InputError("IVAEGAN: learn_noise: only the reconstruction moves the noise; expected reconstruction > "
                             f"0, found {self.reconstruction!r}")

    def network(self, shape: Shape) -> IVAEGANNetwork:
        """The networks for data of this shape."""
        return IVAEGANNetwork(self, shape)


def _entries(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


class IVAEGANNetwork(IVAENetwork):
    """The networks of an iVAE, and a discriminator."""

    settings: IVAEGAN

    def __init__(self, settings: IVAEGAN, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.joint = settings.sees == "x,z,u"
        widths = [shape.observed_dim + (shape.latent_dim if self.joint else 0),
                  *[settings.discriminator_hidden] * (settings.discriminator_layers - 1), 1]
        self.discriminator = MLP("discriminator", widths, slope=settings.slope,
                                 conditions=0 if settings.sees == "x" else shape.conditions)
        self.penalised = max(_entries(settings.gradient_penalty)) > 0
        self.noisy = max(_entries(settings.instance_noise)) > 0
        self.reconstructs = max(_entries(settings.reconstruction)) > 0

    def parameters(self) -> dict[str, Parameter]:
        """Groups of the iVAE, discriminator."""
        return {**super().parameters(), **self.discriminator.parameters()}

    def phases(self) -> tuple[Phase, ...]:
        """Adam with first moment 0.5 for two objectives in turn (Section IV.D)."""
        settings = self.settings
        others = tuple(dict.fromkeys(name.split(".")[0] for name in super().parameters()))
        betas = (0.5, 0.999)
        updates = (Update("discriminator", ("discriminator",), settings.discriminator_rate, betas),
                   Update("generator", others, betas=betas, every=settings.discriminator_steps))
        return (Phase("train", settings.total_steps(self.shape.rows), updates, schedule=settings.schedule),)

    def logits(self, p: Mapping[str, Tensor], x: Tensor, z: Tensor, u: Tensor) -> Tensor:
        """Logit of D, the log-odds of real against generated, shape (R, B)."""
        seen = torch.cat([x, z], dim=-1) if self.joint else x
        return self.discriminator(p, seen, u)[..., 0]

    def loss(self, batch: Batch) -> Tensor:
        """The objective ``"discriminator"`` or ``"generator"``."""
        return self._discriminator_loss(batch) if batch.objective == "discriminator" else self._generator_loss(batch)

    def _generated_from(self, batch: Batch, encoded: Tensor) -> Tensor:
        """z of generated samples: from the posterior the one encoded, or a draw from the prior."""
        if not self.joint and self.settings.source == "posterior":
            return encoded
        assert batch.u is not None
        table = take(self.prior_table(batch.p), batch.u)
        mean, log_variance = table.unbind(1) if self.settings.prior_mean else (0.0, table)
        return mean + batch.draws.normal("prior", *log_variance.shape[1:]) * torch.exp(0.5 * log_variance)

    def _decoded(self, batch: Batch, z: Tensor) -> Tensor:
        return self.decoder(batch.p, z, None, batch.training_draws)

    def _shown(self, batch: Batch, x: Tensor, name: str) -> Tensor:
        """What D sees of x."""
        if not self.noisy:
            return x
        return x + batch.hyper["instance_noise"][:, None, None] * batch.draws.normal(name, *x.shape[1:])

    def _discriminator_loss(self, batch: Batch) -> Tensor:
        u = batch.u
        assert u is not None
        with torch.no_grad():
            encoded = self.sample(batch, self.both(batch))[0]
            z = self._generated_from(batch, encoded)
            real = self._shown(batch, batch.x, "real")
            generated = self._shown(batch, self._decoded(batch, z), "generated")
        if self.penalised:
            real, encoded = real.detach().requires_grad_(), encoded.detach().requires_grad_()
        logits = self.logits(batch.p, torch.cat([real, generated], 1), torch.cat([encoded, z], 1), torch.cat([u, u], 1))
        of_real, of_generated = logits.split(batch.size, dim=1)
        loss = F.softplus(-of_real).mean(1) + F.softplus(of_generated).mean(1)
        if self.penalised:
            inputs = [real, encoded] if self.joint else [real]
            slopes = torch.autograd.grad(of_real.sum(), inputs, create_graph=True)
            squares = torch.cat(slopes, dim=-1).square().sum(-1).mean(1)
            loss = loss + 0.5 * batch.hyper["gradient_penalty"] * squares
        return loss

    def _generator_loss(self, batch: Batch) -> Tensor:
        u = batch.u
        assert u is not None
        encoded, gap = self.sample(batch, self.both(batch))
        z = self._generated_from(batch, encoded)
        generated = self._decoded(batch, z)
        shown = self._shown(batch, generated, "generated")
        loss = batch.hyper["divergence"] * gap.mean(1)
        if self.joint:
            # The encoder moves towards the discriminator's wrong side as the generator does.
            loss = loss + F.softplus(self.logits(batch.p, self._shown(batch, batch.x, "real"), encoded, u)).mean(1)
        loss = loss + F.softplus(-self.logits(batch.p, shown, z, u)).mean(1)
        if self.reconstructs:
            decoded = generated if z is encoded else self._decoded(batch, encoded)
            error = -self.likelihood(batch.p, batch.x, decoded).mean(1)
            loss = loss + batch.hyper["reconstruction"] * error
        return loss

    def model(self, values: Mapping[str, FloatArray]) -> Model | None:
        """Normal conditional prior and ReLU network, without noise."""
        found = super().model(values)
        return None if found is None else Model(found.prior, found.decoder)
