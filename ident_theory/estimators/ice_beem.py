"""ICE-BeeM: a conditional energy whose features are identifiable, trained by contrast or by denoising scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.densities import LOG_2PI
from ident_theory.estimators.layers import MLP, take
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, constant

#: What settings may be.
CHOICES = {"objective": ("contrast", "dsm"), "noise": ("gaussian", "mixture", "conditional"),
           "statistic": ("both", "linear", "squares")}
#: Added to variances of the noise, relative to their mean: a condition may have few rows, or lie in a plane.
RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ICEBeeM(Estimator):
    r"""Identifiable conditional energy-based model (Khemakhem et al. 2020, eq. 4, Sections 3 and 5.1).

    .. math:: \log p(x \mid u) = -\tilde f(x) \cdot g(u) - b(x) - \log Z(u), \qquad \tilde f = (f, f^2),

    with a network f, a table g and a learnt table of normalisers. It is trained to tell data from noise with known
    density and the same u (Gutmann and Hyvarinen 2012),

    .. math:: -E \log s(h(x, u)) - E \log s(-h(y, u)), \qquad h = \log p(\cdot \mid u) - \log p_{noise}(\cdot \mid u),

    s the logistic function, or with ``objective="dsm"`` by denoising score matching (Vincent 2011), with
    :math:`\epsilon \sim N(0, I)`,

    .. math:: E \tfrac12 | \sigma \nabla_x \log p(x + \sigma \epsilon \mid u) + \epsilon |^2.

    Latents are the features f, without FastICA, which the paper applies to them; runs are chosen by the negative
    objective, for contrast the log-likelihood of the classification. b stands for one more feature, whose entry of g
    is the same for all u: without it x given u has an exponential family with constant base measure, which mixed
    latents have not, as the Jacobian of the mixing enters. The paper's simulations are without.

    The public implementation differs: its noise is a flow that is trained in turn with the energy, the width is 32
    with batch normalisation, one normaliser is shared by all u, and g is trained alone at first.

    Attributes
    ----------
    objective : {"contrast", "dsm"}
    noise : {"gaussian", "mixture", "conditional"}
        Normal law fitted to all x, mixture of those fitted for each u, or the latter given u. Fitted before training.
    statistic : {"both", "linear", "squares"}
        :math:`\tilde f`: both, f alone, or :math:`f^2` alone. With one of the two, k = 1, as for
        latents of mean zero whose variances depend on u.
    base : bool
        Whether there is a network b.
    positive : bool
        A ReLU after f.
    hidden, layers : int
        Width and number of affine layers of f and b.
    activation : str
        Leaky ReLUs for contrast; "dsm" needs a smooth one for a smooth score, as "softplus".
    slope : float
        Negative slope of leaky ReLUs.
    noise_std : float or tuple of float
        sigma of "dsm".
    """

    batch_size: int = 128
    objective: Literal["contrast", "dsm"] = "contrast"
    noise: Literal["gaussian", "mixture", "conditional"] = "mixture"
    statistic: Literal["both", "linear", "squares"] = "both"
    base: bool = True
    positive: bool = False
    hidden: int = 32
    layers: int = 4
    activation: str = "leaky_relu"
    slope: float = 0.1
    noise_std: float | tuple[float, ...] = 0.1

    name: ClassVar[str] = "ice-beem"
    uses_u: ClassVar[bool] = True
    score_name: ClassVar[str] = "contrastive log-likelihood"
    per_run: ClassVar[tuple[str, ...]] = (*Estimator.per_run, "noise_std")

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, known in CHOICES.items():
            arguments.choice(getattr(self, key), f"ICEBeeM: {key}", known)
        for key in ("base", "positive"):
            arguments.switch(getattr(self, key), f"ICEBeeM: {key}")
        for key in ("hidden", "layers"):
            arguments.count(getattr(self, key), f"ICEBeeM: {key}")
        arguments.number(self.slope, "ICEBeeM: slope", 0, 1)
        if not min(self.noise_std if isinstance(self.noise_std, tuple) else (self.noise_std,)) > 0:
            raise InputError(f"ICEBeeM: noise_std: expected numbers > 0, found {self.noise_std!r}")

    def conditions_needed(self, shape: Shape) -> int:
        """n k + 1 with k statistics of a feature."""
        return shape.latent_dim * (2 if self.statistic == "both" else 1) + 1

    def network(self, shape: Shape) -> ICEBeeMNetwork:
        """The networks for data of this shape."""
        return ICEBeeMNetwork(self, shape)


class ICEBeeMNetwork(Network):
    """Features, table and normalisers of `ICEBeeM`, with the law of the noise."""

    settings: ICEBeeM

    def __init__(self, settings: ICEBeeM, shape: Shape) -> None:
        super().__init__(settings, shape)
        n, d = shape.observed_dim, shape.latent_dim
        inner = [settings.hidden] * (settings.layers - 1)
        self.features = MLP("features", [n, *inner, d], activation=settings.activation, slope=settings.slope)
        self.base = MLP("base", [n, *inner, 1], activation=settings.activation, slope=settings.slope)
        self.components = 1 if settings.noise == "gaussian" else shape.conditions

    def parameters(self) -> dict[str, Parameter]:
        """Groups features, base, energy; of the noise shares (K,), means (K, n), factors (K, n, n) and inverses."""
        d, m, n, k = self.shape.latent_dim, self.shape.conditions, self.shape.observed_dim, self.components
        width = d * (2 if self.settings.statistic == "both" else 1)
        out = self.features.parameters()
        if self.settings.base:
            out.update(self.base.parameters())
        out["energy.table"] = Parameter((m, width), constant(1))
        out["energy.normaliser"] = Parameter((m, 1), constant(0))
        for name, shape in (("shares", (k,)), ("means", (k, n)), ("factors", (k, n, n)), ("inverses", (k, n, n))):
            out[f"noise.{name}"] = Parameter(shape, constant(0), trained=False)
        return out

    def begin(self, beginning: Beginning) -> None:
        """Fit the noise: shares, means and covariances of the rows, of each u apart unless it is one normal law."""
        assert beginning.u is not None
        laws = [self._fitted(x, u) for x, u in zip(beginning.x, beginning.u, strict=True)]
        for name, values in zip(("shares", "means", "factors", "inverses"), zip(*laws, strict=True), strict=True):
            beginning.parameters.set(f"noise.{name}", torch.stack(values))

    def _fitted(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        groups = [x] if self.components == 1 else [x[u == value] for value in range(self.components)]
        shares = torch.tensor([len(rows) / len(x) for rows in groups], dtype=torch.float64)
        means = torch.stack([rows.mean(0) for rows in groups]).double()
        ridge = RIDGE * x.double().var(0, correction=0).mean() * torch.eye(x.shape[1], dtype=torch.float64,
                                                                             device=x.device)
        spreads = [torch.cov(rows.double().T, correction=0).reshape(ridge.shape) + ridge for rows in groups]
        factors = torch.linalg.cholesky(torch.stack(spreads))
        return shares, means, factors, torch.linalg.inv(factors)

    def noise_log_density(self, batch: Batch, x: Tensor) -> Tensor:
        """Of the noise at x given u, shape (R, B)."""
        means, inverses = batch.p["noise.means"], batch.p["noise.inverses"]
        scales = torch.diagonal(inverses, dim1=-2, dim2=-1).log().sum(-1)
        if self.settings.noise == "conditional":
            assert batch.u is not None
            white = torch.einsum("rbij,rbj->rbi", _at(inverses, batch.u), x - _at(means, batch.u))
            return _at(scales, batch.u) - 0.5 * (white.square().sum(-1) + x.shape[-1] * LOG_2PI)
        white = torch.einsum("rkij,rkbj->rkbi", inverses, x[:, None] - means[:, :, None])
        logs = (scales + batch.p["noise.shares"].log())[..., None] - 0.5 * white.square().sum(-1)
        return torch.logsumexp(logs, dim=1) - 0.5 * x.shape[-1] * LOG_2PI

    def noise_sample(self, batch: Batch) -> Tensor:
        """Of the noise given u, shape (R, B, n)."""
        if self.settings.noise == "conditional":
            assert batch.u is not None
            which = batch.u
        else:
            uniform = batch.draws.uniform("component", batch.size)
            ends = batch.p["noise.shares"].cumsum(1)
            which = torch.searchsorted(ends, uniform.contiguous()).clamp_max(self.components - 1)
        normal = batch.draws.normal("contrast", *batch.x.shape[1:])
        factors, means = _at(batch.p["noise.factors"], which), _at(batch.p["noise.means"], which)
        return means + torch.einsum("rbij,rbj->rbi", factors, normal)

    def raw_features(self, batch: Batch, x: Tensor) -> Tensor:
        """f, shape (R, B, d)."""
        out = self.features(batch.p, x)
        return F.relu(out) if self.settings.positive else out

    def log_density(self, batch: Batch, x: Tensor, u: Tensor) -> Tensor:
        """log p(x | u) with the learnt normaliser, shape (R, B)."""
        f = self.raw_features(batch, x)
        kind = self.settings.statistic
        augmented = f if kind == "linear" else f.square() if kind == "squares" else torch.cat([f, f.square()], -1)
        energy = (augmented * take(batch.p["energy.table"], u)).sum(-1) + take(batch.p["energy.normaliser"], u)[..., 0]
        if self.settings.base:
            energy = energy + self.base(batch.p, x)[..., 0]
        return -energy

    def loss(self, batch: Batch) -> Tensor:
        """The contrast or the score matching objective."""
        return -self.score(batch).mean(1)

    def score(self, batch: Batch) -> Tensor:
        """The negative objective of each row."""
        return self._matching(batch) if self.settings.objective == "dsm" else self._contrast(batch)

    def _contrast(self, batch: Batch) -> Tensor:
        assert batch.u is not None
        both = torch.cat([batch.x, self.noise_sample(batch)], dim=1)
        twice = replace(batch, x=both, u=torch.cat([batch.u, batch.u], dim=1))
        assert twice.u is not None
        log_odds = self.log_density(twice, both, twice.u) - self.noise_log_density(twice, both)
        of_data, of_noise = log_odds.split(batch.size, dim=1)
        return F.logsigmoid(of_data) + F.logsigmoid(-of_noise)

    def _matching(self, batch: Batch) -> Tensor:
        assert batch.u is not None
        std = batch.hyper["noise_std"][:, None, None]
        noise = batch.draws.normal("denoising", *batch.x.shape[1:])
        # Scores are computed without gradients: the one by x is needed all the same.
        trains = torch.is_grad_enabled()
        with torch.enable_grad():
            x = (batch.x + std * noise).detach().requires_grad_()
            slope, = torch.autograd.grad(self.log_density(batch, x, batch.u).sum(), x, create_graph=trains)
        return -0.5 * (std * slope + noise).square().sum(-1)

    def encode(self, batch: Batch) -> Tensor:
        """Features f."""
        return self.raw_features(batch, batch.x)


def _at(table: Tensor, which: Tensor) -> Tensor:
    """Entries of tables by index: (R, K, ...) and (R, B) give (R, B, ...)."""
    runs, count = table.shape[:2]
    flat = table.reshape(runs, count, -1)
    return take(flat, which).view(*which.shape, *table.shape[2:])
