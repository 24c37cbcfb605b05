"""What VaDE and MFCVAE share: settings, the likelihood of the observations, clusters of a trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ident_theory.data import arguments
from ident_theory.errors import InputError
from ident_theory.estimators.draws import Draws
from ident_theory.estimators.layers import activation_of
from ident_theory.estimators.likelihood import check_observation
from ident_theory.estimators.mixture_prior import OBJECTIVES
from ident_theory.estimators.network import Batch, Beginning, Estimator, Network
from ident_theory.estimators.result import rows_at_once


@dataclass(frozen=True, kw_only=True)
class MixtureEstimator(Estimator):
    """Settings of the autoencoders that have mixtures as priors; `VaDE` and `MFCVAE` say what they mean."""

    covariance: Literal["diagonal", "full"] = "diagonal"
    objective: Literal["vade", "sampled", "marginal"] = "vade"
    activation: str = "leaky_relu"
    slope: float = 0.01
    observation: Literal["gaussian", "bernoulli"] = "gaussian"
    noise_std: float = 0.1
    learn_noise: bool = False
    start: Literal["mixture", "random"] = "mixture"
    learn_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        where = type(self).__name__
        check_observation(self, where)
        for key, options in (("covariance", ("diagonal", "full")), ("objective", OBJECTIVES),
                             ("start", ("mixture", "random"))):
            arguments.choice(getattr(self, key), f"{where}: {key}", options)
        arguments.switch(self.learn_weights, f"{where}: learn_weights")
        arguments.number(self.slope, f"{where}: slope", 0, 1)
        activation_of(self.activation, self.slope)


def check_counts(value: Any, where: str, least: int = 0) -> None:
    """A tuple of at least `least` whole numbers >= 1."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) < least:
        raise InputError(f"{where}: expected a tuple of whole numbers, at least {least}, found {value!r}")
    for number in value:
        arguments.count(number, where)


def all_rows(beginning: Beginning, function: Callable[[Batch], Tensor]) -> Tensor:
    """A function of batches on all observations, shape (R, N, ...)."""
    count, size = len(beginning.x[0]), rows_at_once(len(beginning.seeds), beginning.x[0].shape[1])
    draws = Draws(beginning.seeds, beginning.x[0].device, beginning.x[0].dtype, "begin")
    parts = []
    for start in range(0, count, size):
        x = torch.stack([part[start:start + size] for part in beginning.x])
        parts.append(function(Batch(beginning.parameters.values, x, None, draws, beginning.hyper, training=False)))
    return torch.cat(parts, dim=1)


class MixtureNetwork(Network):
    """A network with q(z | x) and mixtures of which each latent has one: what `clusters` asks for."""

    def cluster_chances(self, batch: Batch) -> Tensor:
        """Responsibilities of each row, shape (R, B, facets, components), zero for components that a facet lacks."""
        raise NotImplementedError


def clusters(fit: Any, x: Any) -> np.ndarray:
    """The likeliest component of each observation in each run, by the responsibilities.

    Parameters
    ----------
    fit : Fit
        Of `VaDE` or `MFCVAE`.
    x : array_like, shape (N, n), or Dataset

    Returns
    -------
    ndarray of int64, shape (R, N), or (R, N, J) for several facets

    Raises
    ------
    InputError
        For other estimators.
    """
    network = getattr(fit, "network", None)
    if not isinstance(network, MixtureNetwork):
        raise InputError(f"clusters: expected a fit of an estimator with clusters, found {type(fit).__name__}"
                         + ("" if network is None else f" of {fit.estimator.name}"))
    found = fit._evaluate(network.cluster_chances, x, None, "clusters").argmax(-1)
    return np.asarray(found[..., 0] if found.shape[-1] == 1 else found)


def cluster_accuracy(found: Any, labels: Any) -> float:
    """Share of the observations whose cluster has their label as its commonest one.

    Several clusters may have one label, as in Falck et al. 2021, so that the accuracy grows with their number: one
    cluster an observation would reach 1.

    Parameters
    ----------
    found, labels : array_like, shape (N,)
    """
    found, labels = np.asarray(found), np.asarray(labels)
    if found.ndim != 1 or found.shape != labels.shape or not len(found):
        raise InputError(f"cluster_accuracy: expected a cluster and a label for each observation, found shapes "
                         f"{found.shape} and {labels.shape}")
    rows = np.unique(found, return_inverse=True)[1]
    columns = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return float(counts.max(axis=1).sum() / len(found))
