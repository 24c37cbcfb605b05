"""Exact maximum likelihood for one or two latents: the law of x itself, with its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.estimators.exact_line import line_pieces
from ident_theory.estimators.exact_plane import Polygons, no_polygons, polygons_of
from ident_theory.estimators.exact_posterior import posterior_pass
from ident_theory.estimators.layers import MLP
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network, Shape
from ident_theory.estimators.parameters import Parameter, constant, generator_of, normal
from ident_theory.estimators.to_model import network_of
from ident_theory.geometry.plane import iter_plane_cells
from ident_theory.models import ConditionalPrior, GaussianMixture, GaussianNoise, Model
from ident_theory.models.value import FloatArray

#: Latents of the prior by which the scale of a fresh decoder is measured.
_PROBES = 1024
#: Logarithms of deviations beyond it are taken as not finite: their squares have no exponential in float64.
LARGEST_LOG = 300


@dataclass(frozen=True, kw_only=True)
class ExactLikelihood(Estimator):
    r"""Maximum of the exact likelihood of a mixture prior and a piecewise affine decoder, m = 1 or 2 latents.

    The model is :math:`z \sim \sum_j w_j N(\mu_j, S_j)`, :math:`x = f(z) + \epsilon`, f a network with (leaky) ReLUs,
    :math:`\epsilon \sim N(0, s^2 I)`; the objective is

    .. math:: -\log p(x) = -\log \sum_{j, k} w_j \int_{cell_k} N(z; \mu_j, S_j) N(x; A_k z + b_k, s^2 I)\, dz,

    no bound and no sample. The integrand is continuous across the borders of the cells, so that moving a border
    changes nothing to first order, and the gradient is :math:`E[\nabla \log p(x, z, j) \mid x]` with the maps
    :math:`A_k, b_k` of the cells as parameters (Fisher's identity; Dempster, Laird and Rubin 1977, sec. 3): it needs
    the masses, means and covariances of normal laws cut to intervals or polygons. The rest is autograd through
    :math:`A_k, b_k` with each unit's sign held. Values agree with `ident_theory.law` up to rounding, which grows like
    1e-16 \|x\| / s.

    With n > m and a flexible decoder the likelihood grows without bound as a learned s goes to 0 while the image runs
    through the observations: give `noise_std` where there are few.

    Attributes
    ----------
    components : int
        J.
    covariance : {"diagonal", "full"}
        Of a component; both are the same for one latent.
    hidden : int
        Width of the hidden layers. Two latents have up to 1 + h (h + 1) / 2 cells with one hidden layer, and the time
        of a step is linear in cells x J x rows.
    layers : int
        Affine layers of the decoder, 1 for an affine one.
    slope : float
        Negative slope of the leaky ReLUs, 0 for ReLUs.
    noise_std : float, optional
        s, when it is known; otherwise it is learned, from half the spread of the data on.

    Notes
    -----
    Needs ``precision="float64"``: log densities reach :math:`-(x - f(z))^2 / 2 s^2`, whose rounding in float32 is
    larger than what a step changes. Runs go through a compiled kernel on the CPU one by one, so that a step takes as
    many times longer as there are runs.
    """

    components: int = 3
    covariance: str = "diagonal"
    hidden: int = 8
    layers: int = 2
    slope: float = 0.1
    noise_std: float | None = None
    batch_size: int = 1000
    learning_rate: float | tuple[float, ...] = 1e-2

    name: ClassVar[str] = "exact-ml"
    precision: ClassVar[str] = "float64"
    score_name: ClassVar[str] = "log-likelihood"
    default_steps: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        where = type(self).__name__
        for key in ("components", "hidden", "layers"):
            arguments.count(getattr(self, key), f"{where}: {key}")
        arguments.choice(self.covariance, f"{where}: covariance", ("diagonal", "full"))
        arguments.number(self.slope, f"{where}: slope", 0)
        if self.noise_std is not None:
            arguments.number(self.noise_std, f"{where}: noise_std", 0, above=True)

    def network(self, shape: Shape) -> ExactNetwork:
        """Prior and decoder for data of this shape.

        Raises
        ------
        UnsupportedError
            For more than two latents.
        """
        if shape.latent_dim > 2:
            raise UnsupportedError(f"{self.name}: the exact likelihood has a gradient for one or two latents, found "
                                   f"{shape.latent_dim}; give latent_dim=1 or 2, or use a bound: vae, vade, ivae")
        return ExactNetwork(self, shape)


@dataclass(frozen=True, kw_only=True)
class ConditionalExactLikelihood(ExactLikelihood):
    r"""Maximum of the exact likelihood given an observed u, the one that iVAE bounds, m = 1 or 2 latents.

    `ExactLikelihood` with :math:`z \mid u \sim N(\mu(u), S(u))`: the objective is :math:`-\log p(x \mid u)`. Means and
    variances are free for each u, `covariance` is ``"diagonal"``, as a `ConditionalPrior` has it, and `components` is
    not used.
    """

    name: ClassVar[str] = "exact-ml-given-u"
    uses_u: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.choice(self.covariance, f"{type(self).__name__}: covariance", ("diagonal",))


class ExactNetwork(Network):
    """Prior and decoder of `ExactLikelihood`; there is no encoder."""

    random_score: ClassVar[bool] = False
    settings: ExactLikelihood

    def __init__(self, settings: ExactLikelihood, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.count = shape.conditions if settings.uses_u else settings.components
        self.full = settings.covariance == "full" and shape.latent_dim == 2
        self.decoder = MLP("decoder", [shape.latent_dim, *[settings.hidden] * (settings.layers - 1),
                                       shape.observed_dim], slope=settings.slope)

    def parameters(self) -> dict[str, Parameter]:
        """Groups decoder, prior, noise; the prior has the triangular root of its precision."""
        m, settings = self.shape.latent_dim, self.settings
        out = dict(self.decoder.parameters())
        if not settings.uses_u:
            out["prior.logits"] = Parameter((self.count,), constant(0))
        out["prior.means"] = Parameter((self.count, m), normal())
        out["prior.log_scales"] = Parameter((self.count, m), constant(0))
        if self.full:
            out["prior.shears"] = Parameter((self.count,), constant(0))
        known = settings.noise_std is not None
        out["noise.log_std"] = Parameter((), constant(math.log(settings.noise_std or 1)), trained=not known)
        return out

    def begin(self, beginning: Beginning) -> None:
        """Shift and scale the decoder, so that the prior is mapped onto the range of the data."""
        parameters = beginning.parameters
        _check_type(parameters.matrix)
        values = parameters.values
        last = len(self.decoder.widths) - 2
        names = f"decoder.weight{last}", f"decoder.bias{last}"
        weight, bias = (values[name].clone() for name in names)
        noise = values["noise.log_std"].clone()
        for run, seed in enumerate(beginning.seeds):
            generator = generator_of("cpu", seed, "begin")
            row = torch.randint(self.count, (_PROBES,), generator=generator)
            z = torch.randn((_PROBES, self.shape.latent_dim), generator=generator, dtype=torch.float64)
            z = values["prior.means"][run].cpu()[row] + z
            one = {name: value[run:run + 1].cpu() for name, value in values.items()}
            image = self.decoder(one, z[None])[0]
            spread, mean = image.std(0).clamp_min(1e-12), image.mean(0)
            x = beginning.x[run if len(beginning.x) > 1 else 0].cpu()
            wanted, centre = x.std(0, correction=0), x.mean(0)
            factor = (wanted / spread).to(weight)
            weight[run] *= factor
            bias[run] = (bias[run] - mean.to(bias)) * factor + centre.to(bias)
            if self.settings.noise_std is None:
                noise[run] = torch.log(wanted.square().mean().sqrt() / 2).clamp_min(-30)
        parameters.set(names[0], weight)
        parameters.set(names[1], bias)
        parameters.set("noise.log_std", noise)

    def loss(self, batch: Batch) -> Tensor:
        """Minus the mean exact log-likelihood, with its exact gradient."""
        _check_type(batch.x)
        p = batch.p
        factors, places = self._cells(p)
        slopes, intercepts = affine_maps([(p[weight], p[bias]) for weight, bias in self._names()], factors)
        arguments = slopes, intercepts, self._log_weights(p), p["prior.means"], self._whites(p), p["noise.log_std"]
        found: Tensor = _MeanLogLikelihood.apply(*arguments, batch.x, batch.u, places)
        return -found

    def score(self, batch: Batch) -> Tensor:
        """The exact log-likelihood of each row."""
        return self._evaluated(batch)[0]

    def encode(self, batch: Batch) -> Tensor:
        """Exact posterior means E[z | x], or E[z | x, u]."""
        return self._evaluated(batch)[1]

    def model(self, values: Mapping[str, FloatArray]) -> Model:
        """Mixture or conditional prior, ReLU network, Gaussian noise."""
        white = self._whites({name: torch.as_tensor(value)[None] for name, value in values.items()})[0].numpy()
        root = np.linalg.inv(white)
        covariances = root @ root.transpose(0, 2, 1)
        noise = GaussianNoise(std=math.exp(values["noise.log_std"]))
        decoder, means = network_of(self.decoder, values), values["prior.means"]
        variances = np.diagonal(covariances, axis1=1, axis2=2)
        if self.settings.uses_u:
            return Model(ConditionalPrior.from_means_variances(means, variances), decoder, noise)
        logits = values["prior.logits"]
        weights = np.exp(logits - logits.max())
        return Model(GaussianMixture(weights / weights.sum(), means, covariances if self.full else variances), decoder,
                     noise)

    @torch.no_grad()
    def _evaluated(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log-likelihoods and posterior means, shapes (R, B) and (R, B, m)."""
        _check_type(batch.x)
        p = batch.p
        factors, places = self._cells(p)
        slopes, intercepts = affine_maps([(p[weight], p[bias]) for weight, bias in self._names()], factors)
        arguments = slopes, intercepts, self._log_weights(p), p["prior.means"], self._whites(p), p["noise.log_std"]
        value, latents, _ = _passes([_array(a) for a in arguments], batch.x, batch.u, places, gradient=False)
        return torch.as_tensor(value).to(batch.x.device), torch.as_tensor(latents).to(batch.x.device)

    def _names(self) -> list[tuple[str, str]]:
        return [(f"decoder.weight{k}", f"decoder.bias{k}") for k in range(len(self.decoder.widths) - 1)]

    def _log_weights(self, p: Mapping[str, Tensor]) -> Tensor:
        """log w, zeros where u says which component it is, shape (R, J)."""
        if self.settings.uses_u:
            return torch.zeros_like(p["prior.means"][..., 0])
        return torch.log_softmax(p["prior.logits"], -1)

    def _whites(self, p: Mapping[str, Tensor]) -> Tensor:
        """Lower triangular W with W^T W the precisions, shape (R, J, m, m)."""
        out = torch.diag_embed(torch.exp(-p["prior.log_scales"]))
        if self.full:
            lower = torch.zeros_like(out[0, 0])
            lower[1, 0] = 1
            out = out + p["prior.shears"][..., None, None] * lower
        return out

    def _cells(self, p: Mapping[str, Tensor]) -> tuple[Tensor, list[_Place | None]]:
        """What each hidden unit multiplies by on each cell, shape (R, K, H), padded, and where the cells lie."""
        runs = p["prior.means"].shape[0]
        leaves = [p[name] for name in (*sum(self._names(), ()), "prior.means", "prior.log_scales", "noise.log_std")]
        known = [torch.isfinite(leaf).reshape(runs, -1).all(1) for leaf in leaves]
        known += [(p[name].abs() < LARGEST_LOG).reshape(runs, -1).all(1) for name in ("prior.log_scales",
                                                                                     "noise.log_std")]
        finite = torch.stack(known).all(0).tolist()
        found = [self._cells_of({name: _array(value[run]) for name, value in p.items()}) if finite[run] else None
                 for run in range(runs)]
        most = max((len(one[0]) for one in found if one is not None), default=1)
        hidden = sum(self.decoder.widths[1:-1])
        factors = np.zeros((runs, most, hidden))
        for run, one in enumerate(found):
            if one is not None:
                factors[run, :len(one[0])] = one[0]
        places = [None if one is None else _Place(len(one[0]), one[1], one[2]) for one in found]
        return torch.as_tensor(factors).to(p["prior.means"].device), places

    def _cells_of(self, values: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray, Polygons]:
        if self.shape.latent_dim == 1:
            flat = np.concatenate([part.ravel() for pair in self.decoder.layers(values) for part in pair])
            ends, factors = line_pieces(flat, np.array(self.decoder.widths), float(self.settings.slope))
            return factors, ends, no_polygons()
        cells = tuple(iter_plane_cells(network_of(self.decoder, values)))
        signs = [[1.0 if sign == "+" else self.settings.slope for sign in cell.pattern] for cell in cells]
        return np.array(signs, dtype=np.float64).reshape(len(cells), -1), np.empty(0), polygons_of(cells)


@dataclass(frozen=True)
class _Place:
    """The cells of one run: their number, and their ends or polygons."""

    count: int
    ends: FloatArray
    polygons: Polygons


class _MeanLogLikelihood(torch.autograd.Function):
    """Mean log-likelihood of each run, shape (R,), from what `posterior_pass` takes; its gradient comes with it."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        """Values, and the gradients for `backward`."""
        *leaves, x, u, places = inputs
        value, _, gradients = _passes([_array(leaf) for leaf in leaves], x, u, places, gradient=True)
        ctx.save_for_backward(*(torch.as_tensor(part / x.shape[1]).to(x.device) for part in gradients))
        return torch.as_tensor(value.mean(1)).to(x.device)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Each run's gradients times the one that comes in."""
        weight = outputs[0]
        scaled = [part * weight.view(-1, *[1] * (part.dim() - 1)) for part in ctx.saved_tensors]
        return (*scaled, None, None, None)


def _passes(leaves: Sequence[FloatArray], x: Tensor, u: Tensor | None, places: Sequence[_Place | None],
            gradient: bool) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """`posterior_pass` for each run: values (R, B), latents (R, B, m), gradients by the leaves, summed over rows."""
    slopes, intercepts, log_weights, means, whites, log_std = leaves
    runs, size, _ = x.shape
    points = _array(x)
    chosen = np.full((runs, size), -1) if u is None else np.ascontiguousarray(u.cpu().numpy())
    value, latents = np.full((runs, size), np.nan), np.full((runs, size, means.shape[2]), np.nan)
    gradients = [np.zeros_like(leaf) for leaf in leaves]
    nothing = np.empty((0, 0, 0))
    for run, place in enumerate(places):
        if place is None:
            for part in gradients:
                part[run] = np.nan
            continue
        by = [part[run:run + 1] if part.ndim == 1 else part[run] for part in gradients]
        posterior_pass(points[run], chosen[run], slopes[run, :place.count], intercepts[run, :place.count],
                       log_weights[run], means[run], whites[run], math.exp(log_std[run]), place.ends, *place.polygons,
                       value[run], latents[run], by[0] if gradient else nothing, *by[1:])
    return value, latents, gradients


def affine_maps(layers: Sequence[tuple[Tensor, Tensor]], factors: Tensor) -> tuple[Tensor, Tensor]:
    """The maps z -> A z + b of networks, each unit multiplying its input by a given factor.

    Parameters
    ----------
    layers : sequence of (Tensor of shape (R, in, out), Tensor of shape (R, out))
    factors : Tensor, shape (R, K, H)
        Of the H hidden units, layer by layer.

    Returns
    -------
    A, b : Tensor, shapes (R, K, n, m) and (R, K, n)
    """
    weight, bias = layers[0]
    # Rows: the columns of A, then b.
    maps = torch.cat([weight, bias[:, None]], dim=1)[:, None]
    start = 0
    for weight, bias in layers[1:]:
        stop = start + weight.shape[1]
        maps = torch.matmul(maps * factors[:, :, None, start:stop], weight[:, None])
        maps = torch.cat([maps[:, :, :-1], maps[:, :, -1:] + bias[:, None, None]], dim=2)
        start = stop
    return maps[:, :, :-1].transpose(2, 3).contiguous(), maps[:, :, -1].contiguous()


def _array(tensor: Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _check_type(values: Tensor) -> None:
    if values.dtype != torch.float64:
        raise InputError("exact-ml: precision: expected 'float64', found a narrower one: residuals over the noise's "
                         "standard deviation are squared, and float32 rounds away what a step changes; give "
                         "precision='float64'")
