"""MFCVAE: several mixtures over parts of the latents, so that the data are clustered in several ways at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.estimators.layers import MLP, Values, activation_of
from ident_theory.estimators.likelihood import Likelihood
from ident_theory.estimators.mixture_networks import MixtureEstimator, MixtureNetwork, all_rows, check_counts
from ident_theory.estimators.mixture_prior import MixturePrior
from ident_theory.estimators.mixtures_fit import fit_mixtures
from ident_theory.estimators.network import Batch, Beginning, Shape
from ident_theory.estimators.parameters import Parameter
from ident_theory.estimators.plan import Phase
from ident_theory.models import GaussianMixture, Model, ReLUNetwork
from ident_theory.models.value import FloatArray

#: Factor of a rung where it joins the backbone of the decoder.
GATE = Fraction(1, 10)


@dataclass(frozen=True, kw_only=True)
class MFCVAE(MixtureEstimator):
    r"""Multi-facet clustering variational autoencoder (Falck et al. 2021).

    The latents are J facets, :math:`z = (z_1, \dots, z_J)`, each with clusters of its own:
    :math:`z_j \sim \sum_c \pi_{jc} N(\mu_{jc}, \Sigma_{jc})`, independent of the others. The objective is the
    negative ELBO

    .. math:: E_q \log p(x \mid z) - \sum_j \beta_j \big(KL(q(z_j \mid x) \| p(z_j \mid c_j))
              + KL(q(c_j \mid x) \| p(c_j))\big),

    whose two divergences, with one sample and :math:`q(c_j \mid x) = p(c_j \mid z_j)` as in the published code, add
    up to :math:`\log q(z_j \mid x) - \log p(z_j)`: the objective ``"marginal"`` of `MixturePrior.bound`.

    The networks are ladders (Zhao et al. 2017): the last J layers of the encoder have a branch each, the first of them
    to z_1; the decoder starts from z_J, and before each of its last J - 1 hidden layers a rung joins it, one layer
    from the next facet, times 0.1. Training is progressive (Li et al. 2020): J stretches of `steps` or `epochs` each,
    in which the facets join from the last to the first. A facet that joins is faded in over `fade_steps`: its rung and
    its :math:`\beta_j` grow from 0 to 1 linearly. Adam starts anew with each stretch; in the published code it does
    not.

    Attributes
    ----------
    facets : tuple of int
        Latents of each facet; their sum is `latent_dim`.
    components : tuple of int
        Clusters of each.
    encoder : tuple of int
        Hidden widths, at least J. The default is the published one for MNIST.
    decoder : tuple of int
        Hidden widths from z_J on, at least J.
    progressive : bool
        False: all facets together, in one stretch.
    fade_steps : int
    start : {"mixture", "random"}
        Means of the priors at the beginning: by EM on the codes of the encoder as it starts, or Xavier uniform.
    start_variance : float
        Variances of the priors at the beginning, with ``start="mixture"``; the weights start equal.
    covariance, objective, activation, slope, observation, noise_std, learn_noise, learn_weights
        As in `VaDE`.
    """

    facets: tuple[int, ...] = (5, 5)
    components: tuple[int, ...] = (25, 25)
    encoder: tuple[int, ...] = (500, 2000)
    decoder: tuple[int, ...] = (2000, 500, 500)
    progressive: bool = True
    fade_steps: int = 15_000
    start_variance: float = 0.01
    objective: Literal["vade", "sampled", "marginal"] = "marginal"
    activation: str = "relu"
    observation: Literal["gaussian", "bernoulli"] = "bernoulli"
    batch_size: int = 512
    learning_rate: float | tuple[float, ...] = 5e-4

    name: ClassVar[str] = "mfcvae"

    def __post_init__(self) -> None:
        check_counts(self.facets, "MFCVAE: facets", 1)
        if self.latent_dim is None:
            object.__setattr__(self, "latent_dim", sum(self.facets))
        super().__post_init__()
        if self.latent_dim != sum(self.facets):
            raise InputError(f"MFCVAE: latent_dim: expected the sum {sum(self.facets)} of the facets or none, found "
                             f"{self.latent_dim}")
        for key in ("components", "encoder", "decoder"):
            check_counts(getattr(self, key), f"MFCVAE: {key}", len(self.facets))
        if len(self.components) != len(self.facets):
            raise InputError(f"MFCVAE: components: expected {len(self.facets)} numbers, one a facet, found "
                             f"{self.components!r}")
        arguments.switch(self.progressive, "MFCVAE: progressive")
        arguments.count(self.fade_steps, "MFCVAE: fade_steps")
        arguments.number(self.start_variance, "MFCVAE: start_variance", 0, above=True)

    def network(self, shape: Shape) -> MFCVAENetwork:
        """The networks for data of this shape."""
        if max(self.components) > shape.rows:
            raise InputError(f"MFCVAE: components: expected at most as many as the {shape.rows} observations, found "
                             f"{max(self.components)}")
        return MFCVAENetwork(self, shape)


class MFCVAENetwork(MixtureNetwork):
    """Ladders and priors of `MFCVAE`; lists have the first facet first."""

    settings: MFCVAE

    def __init__(self, settings: MFCVAE, shape: Shape) -> None:
        super().__init__(settings, shape)
        n, facets = shape.observed_dim, settings.facets
        self.depth = len(settings.decoder)
        first = len(settings.encoder) - len(facets)
        widths = [n, *settings.encoder]
        self.encoder = [MLP(f"encoder.layer{k}", pair) for k, pair in enumerate(pairwise(widths))]
        self.branches = [MLP(f"encoder.branch{j}", [widths[first + j + 1], 2 * d]) for j, d in enumerate(facets)]
        widths = [facets[-1], *settings.decoder, n]
        self.decoder = [MLP(f"decoder.layer{k}", pair) for k, pair in enumerate(pairwise(widths))]
        self.rungs = [MLP(f"decoder.rung{j}", [d, widths[self.depth - j - 1]]) for j, d in enumerate(facets[:-1])]
        self.priors = [MixturePrior(f"prior.facet{j}", components, d, settings.covariance, settings.learn_weights)
                       for j, (components, d) in enumerate(zip(settings.components, facets, strict=True))]
        self.activate = activation_of(settings.activation, settings.slope)
        self.likelihood = Likelihood(settings)

    def parameters(self) -> dict[str, Parameter]:
        """Groups encoder, decoder, prior, noise."""
        parts: list[MLP | MixturePrior | Likelihood] = [*self.encoder, *self.branches, *self.decoder, *self.rungs,
                                                        *self.priors, self.likelihood]
        return {name: parameter for part in parts for name, parameter in part.parameters().items()}

    def phases(self) -> tuple[Phase, ...]:
        """One stretch for each facet, the last facet first."""
        settings = self.settings
        steps = settings.total_steps(self.shape.rows)
        if not settings.progressive:
            return (Phase("train", steps, schedule=settings.schedule),)
        return tuple(Phase(f"facet {j}", steps, schedule=settings.schedule)
                     for j in range(len(settings.facets) - 1, -1, -1))

    def begin(self, beginning: Beginning) -> None:
        """At the start: means of the priors from the codes of all data."""
        settings = self.settings
        self.likelihood.check(beginning, "MFCVAE")
        if settings.start == "random" or beginning.phase.name not in ("train", f"facet {len(settings.facets) - 1}"):
            return
        codes = all_rows(beginning, self.encode).split(settings.facets, -1)
        for prior, points in zip(self.priors, codes, strict=True):
            fitted = fit_mixtures(points, prior.components, beginning.seeds)
            prior.start_at(beginning.parameters, fitted, settings.start_variance)

    def shares(self, batch: Batch) -> list[float]:
        """How far each facet is faded in, in [0, 1]."""
        if not batch.phase.startswith("facet"):
            return [1.0] * len(self.settings.facets)
        joining, last = int(batch.phase.split()[1]), len(self.settings.facets) - 1
        done = batch.progress * self.settings.total_steps(self.shape.rows) / self.settings.fade_steps
        # The last facet is there from the start.
        share = 1.0 if joining == last else min(done, 1.0)
        return [0.0 if j < joining else share if j == joining else 1.0 for j in range(last + 1)]

    def posteriors(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Means and log-variances of q for each facet, shape (R, B, d_j) each."""
        h, means, log_variances = batch.x, [], []
        first = len(self.encoder) - len(self.branches)
        for k, layer in enumerate(self.encoder):
            h = self.activate(layer(batch.p, h))
            if k >= first:
                mean, log_variance = self.branches[k - first](batch.p, h).chunk(2, -1)
                means.append(mean)
                log_variances.append(log_variance)
        return means, log_variances

    def decode(self, p: Values, z: list[Tensor], shares: list[float] | None = None) -> Tensor:
        """Means or logits of the observations, shape (R, B, n), from the latents of each facet."""
        h = z[-1]
        for k, layer in enumerate(self.decoder):
            j = self.depth - 1 - k
            # Rung j joins before layer depth - 1 - j.
            if 0 <= j < len(self.rungs):
                share = 1.0 if shares is None else shares[j]
                h = torch.add(h, self.activate(self.rungs[j](p, z[j])), alpha=float(GATE) * share)
            h = layer(p, h)
            if k < self.depth:
                h = self.activate(h)
        return h

    def score(self, batch: Batch) -> Tensor:
        """One-sample ELBO of each row; while facets are faded in, with their shares."""
        means, log_variances = self.posteriors(batch)
        facets = self.settings.facets
        noises = batch.draws.normal("posterior", batch.size, sum(facets)).split(facets, -1)
        z = [torch.addcmul(mean, noise, torch.exp(0.5 * log_variance))
             for mean, log_variance, noise in zip(means, log_variances, noises, strict=True)]
        shares = self.shares(batch)
        total = self.likelihood(batch.p, batch.x, self.decode(batch.p, z, shares))
        for share, prior, *rest in zip(shares, self.priors, means, log_variances, noises, strict=True):
            if share:
                total = total + share * prior.bound(batch.p, self.settings.objective, *rest)
        return total

    def loss(self, batch: Batch) -> Tensor:
        """The negative ELBO."""
        return -self.score(batch).mean(1)

    def encode(self, batch: Batch) -> Tensor:
        """Posterior means, the first facet first."""
        return torch.cat(self.posteriors(batch)[0], -1)

    def cluster_chances(self, batch: Batch) -> Tensor:
        """Responsibilities in each facet, shape (R, B, J, K), zero beyond the clusters of a facet."""
        parts = [prior.responsibilities(batch.p, *pair)
                 for prior, *pair in zip(self.priors, *self.posteriors(batch), strict=True)]
        most = max(self.settings.components)
        return torch.stack([torch.nn.functional.pad(part, (0, most - part.shape[-1])) for part in parts], 2)

    def model(self, values: Mapping[str, FloatArray]) -> Model | None:
        """Prior with a hidden variable for each facet, ladder decoder, Gaussian noise; None for Bernoulli
        observations, which are no f(z) + noise."""
        noise = self.likelihood.noise(values)
        return None if noise is None else Model(self.prior_of(values), self.decoder_of(values), noise)

    def prior_of(self, values: Mapping[str, FloatArray]) -> GaussianMixture:
        """The product of the mixtures: its table of weights is exactly of rank one."""
        facets = self.settings.facets
        parts = [prior.mixture(values) for prior in self.priors]
        weights = np.array(Fraction(1), dtype=object)
        for part in parts:
            own = np.array([Fraction(float(weight)) for weight in part[0]], dtype=object)
            weights = np.multiply.outer(weights, own / own.sum())
        cells = list(np.ndindex(*weights.shape))
        starts = np.cumsum([0, *facets])
        means = np.array([np.concatenate([part[1][c] for part, c in zip(parts, cell, strict=True)]) for cell in cells])
        if self.settings.covariance == "diagonal":
            covariances = np.array([np.concatenate([part[2][c] for part, c in zip(parts, cell, strict=True)])
                                    for cell in cells])
        else:
            covariances = np.zeros((len(cells), starts[-1], starts[-1]))
            for row, cell in enumerate(cells):
                for part, c, (low, high) in zip(parts, cell, pairwise(starts), strict=True):
                    covariances[row, low:high, low:high] = part[2][c]
        return GaussianMixture(weights, means, covariances,
                               neighbourhoods=[range(low, high) for low, high in pairwise(starts)])

    def decoder_of(self, values: Mapping[str, FloatArray]) -> ReLUNetwork:
        r"""The ladder as one `ReLUNetwork` of the latents, exactly.

        A facet that joins later is carried along by pairs of neurons: :math:`t = (s(t) - s(-t)) / (1 + a)` for the
        leaky ReLU s of slope a.
        """
        settings = self.settings
        if settings.activation not in ("leaky_relu", "relu"):
            raise UnsupportedError(f"model: expected a decoder with ReLUs or leaky ReLUs, found {settings.activation}; "
                                   "train with activation='leaky_relu' for an exact model")
        slope = Fraction(settings.slope if settings.activation == "leaky_relu" else 0)
        facets, last = settings.facets, len(settings.facets) - 1
        # Columns of what enters a layer: the backbone, then the facets that have not joined, each with its inverse.
        waiting = list(range(last))
        starts = np.cumsum([0, *facets])
        reads = {j: _selection(int(starts[-1]), range(starts[j], starts[j + 1])) for j in range(last + 1)}
        backbone = reads[last]
        weights, biases = [], []
        for k, layer in enumerate(self.decoder):
            (weight, bias), = layer.layers(values)
            rows, constants = [_exact(weight) @ backbone], [_exact(bias)]
            if k == self.depth:
                weights.append(rows[0])
                biases.append(constants[0])
                break
            width = len(bias)
            joining = [j for j in waiting if self.depth - 2 - k == j]
            for j in joining:
                (rung, shift), = self.rungs[j].layers(values)
                rows.append(_exact(rung) @ reads[j])
                constants.append(_exact(shift))
            waiting = [j for j in waiting if j not in joining]
            for j in waiting:
                rows += [reads[j], -reads[j]]
                constants.append(np.full(2 * facets[j], Fraction(0), dtype=object))
            weights.append(np.concatenate(rows))
            biases.append(np.concatenate(constants))
            total = len(biases[-1])
            backbone = _selection(total, range(width))
            if joining:
                backbone = backbone + GATE * _selection(total, range(width, 2 * width))
            place = width * (1 + len(joining))
            for j in waiting:
                plus, minus = (_selection(total, range(start, start + facets[j]))
                               for start in (place, place + facets[j]))
                reads[j] = (plus - minus) / (1 + slope)
                place += 2 * facets[j]
        return ReLUNetwork(weights, biases, slope)


def _exact(values: FloatArray) -> np.ndarray:
    """Floats as the fractions that they hold."""
    return np.array([Fraction(float(value)) for value in np.ravel(values)], dtype=object).reshape(np.shape(values))


def _selection(width: int, columns: range) -> np.ndarray:
    """The matrix that takes some coordinates of a vector."""
    out = np.full((len(columns), width), Fraction(0), dtype=object)
    out[np.arange(len(columns)), np.asarray(columns)] = Fraction(1)
    return out
