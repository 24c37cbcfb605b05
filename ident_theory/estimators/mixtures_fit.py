"""Gaussian mixtures fitted to many sets of points at once: k-means++, Lloyd's algorithm, EM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ident_theory.errors import InputError
from ident_theory.estimators.densities import LOG_2PI
from ident_theory.estimators.parameters import generator_of

Covariance = Literal["diagonal", "full"]
#: Numbers of the largest table, (R, N, K), that is held at once.
BLOCK = 2**25
#: Rounds of Lloyd's algorithm at most.
ROUNDS = 100


@dataclass(frozen=True)
class Mixtures:
    """A Gaussian mixture for each of R runs, float64.

    Attributes
    ----------
    weights : Tensor, shape (R, K)
    means : Tensor, shape (R, K, d)
    covariances : Tensor, shape (R, K, d) or (R, K, d, d)
        Variances, or full matrices.
    log_likelihoods : Tensor, shape (R,)
        Mean over the points, in nats, under the mixture before the last step.
    iterations : Tensor of int64, shape (R,)
        Steps that were done.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    log_likelihoods: Tensor
    iterations: Tensor

    def log_joint(self, points: Tensor) -> Tensor:
        """Logarithms of weight times density for each point and component, (R, N, d) to (R, N, K)."""
        if self.covariances.dim() == 3:
            precisions = 1 / self.covariances
            squares = (torch.bmm(points.square(), precisions.mT)
                       - 2 * torch.bmm(points, (precisions * self.means).mT)
                       + (precisions * self.means.square()).sum(-1)[:, None])
            log_determinants = self.covariances.log().sum(-1)
        else:
            factors = torch.linalg.cholesky_ex(self.covariances)[0]
            squares = torch.stack([
                torch.linalg.solve_triangular(factors[:, k], (points - self.means[:, k, None]).mT, upper=False)
                .square().sum(1) for k in range(self.means.shape[1])], dim=-1)
            log_determinants = 2 * torch.diagonal(factors, dim1=-2, dim2=-1).log().sum(-1)
        constants = self.weights.log() - 0.5 * (log_determinants + points.shape[-1] * LOG_2PI)
        return constants[:, None] - 0.5 * squares


def fit_mixtures(points: Tensor, components: int, seeds: Sequence[int], *, covariance: Covariance = "diagonal",
                 restarts: int = 1, iterations: int = 100, tolerance: float = 1e-3, floor: float = 1e-6) -> Mixtures:
    r"""Maximum-likelihood Gaussian mixtures by EM (Dempster, Laird and Rubin 1977), a set of points for each run.

    The start is a partition: centres by k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's algorithm. A run
    stops, and stays as it is, once its mean log-likelihood grows by less than `tolerance`; so runs do not depend on
    each other. Accuracy: a local maximum; of several `restarts` the best is taken.

    Parameters
    ----------
    points : Tensor, shape (R, N, d)
        A run with numbers that are not finite gets a mixture without meaning; the others are not affected.
    components : int
        K, at most N.
    seeds : sequence of int
        One a run.
    covariance : {"diagonal", "full"}
    restarts, iterations : int
    tolerance : float
        In nats for a point.
    floor : float
        Added to the variances in each step, times the mean variance of the coordinates of the run.

    Returns
    -------
    Mixtures

    Raises
    ------
    InputError
        For fewer points than components.
    """
    runs, count, dim = points.shape
    if components > count:
        raise InputError(f"fit_mixtures: components: expected at most as many as the {count} points, found "
                         f"{components}")
    step = max(1, BLOCK // (count * max(components, dim) * restarts))
    parts = []
    for start in range(0, runs, step):
        part = points[start:start + step].to(torch.float64)
        part = torch.where(part.isfinite().all(-1).all(-1)[:, None, None], part, 0.0)
        # Centred, so that squares of distances may be expanded without loss.
        centre = part.mean(1, keepdim=True)
        part = part - centre
        scale = part.square().mean((1, 2))
        ridge = floor * torch.where(scale > 0, scale, 1.0)
        found = []
        for restart in range(restarts):
            labels = partition(part, components, seeds[start:start + step], restart)
            chances = torch.nn.functional.one_hot(labels, components).to(torch.float64)
            found.append(expectation_maximisation(part, _maximised(part, chances, covariance, ridge), ridge,
                                                  iterations, tolerance))
        best = torch.stack([one.log_likelihoods for one in found]).argmax(0)
        rows = torch.arange(len(part), device=points.device)
        fields = {name: torch.stack([getattr(one, name) for one in found])[best, rows] for name in vars(found[0])}
        parts.append(Mixtures(**{**fields, "means": fields["means"] + centre}))
    return Mixtures(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def expectation_maximisation(points: Tensor, start: Mixtures, ridge: Tensor, iterations: int,
                             tolerance: float) -> Mixtures:
    """Steps of EM from given mixtures; `ridge`, shape (R,), is added to the variances."""
    covariance: Covariance = "diagonal" if start.covariances.dim() == 3 else "full"
    now, last = start, points.new_full((len(points),), -math.inf)
    moving = torch.ones(len(points), dtype=torch.bool, device=points.device)
    for _ in range(iterations):
        joint = now.log_joint(points)
        totals = torch.logsumexp(joint, -1)
        level = totals.mean(1)
        moving = moving & (level - last >= tolerance)
        if not bool(moving.any()):
            break
        new = _maximised(points, torch.exp(joint - totals[..., None]), covariance, ridge)
        now = Mixtures(*(torch.where(moving.view(-1, *[1] * (after.dim() - 1)), after, before) for before, after in (
            (now.weights, new.weights), (now.means, new.means), (now.covariances, new.covariances),
            (now.log_likelihoods, level), (now.iterations, now.iterations + 1))))
        last = level
    return now


def partition(points: Tensor, components: int, seeds: Sequence[int], restart: int = 0) -> Tensor:
    """Labels 0, ..., K - 1 of centred points by k-means, shape (R, N)."""
    runs, count, dim = points.shape
    generators = [generator_of("cpu", seed, "k-means++", restart) for seed in seeds]
    lots = torch.stack([torch.rand(components, generator=generator, dtype=torch.float64) for generator in generators])
    lots = lots.to(points.device)
    rows = torch.arange(runs, device=points.device)
    centres = points.new_zeros((runs, components, dim))
    nearest = points.new_ones((runs, count))
    for k in range(components):
        cumulated = nearest.cumsum(1)
        chosen = torch.searchsorted(cumulated, lots[:, k:k + 1] * cumulated[:, -1:], right=True)[:, 0]
        centres[:, k] = points[rows, chosen.clamp_max(count - 1)]
        distances = (points - centres[:, k, None]).square().sum(-1)
        nearest = distances if k == 0 else torch.minimum(nearest, distances)
    labels = points.new_full((runs, count), -1, dtype=torch.int64)
    for _ in range(ROUNDS):
        squares = centres.square().sum(-1)[:, None] - 2 * torch.bmm(points, centres.mT)
        last, labels = labels, squares.argmin(-1)
        if torch.equal(last, labels):
            break
        members = torch.nn.functional.one_hot(labels, components).to(points.dtype)
        sizes = members.sum(1)[..., None]
        centres = torch.where(sizes > 0, torch.bmm(members.mT, points) / sizes.clamp_min(1), centres)
    return labels


def _maximised(points: Tensor, chances: Tensor, covariance: Covariance, ridge: Tensor) -> Mixtures:
    """The M-step from responsibilities, shape (R, N, K)."""
    runs, _, components = chances.shape
    sizes = chances.sum(1) + 10 * torch.finfo(chances.dtype).eps
    means = torch.bmm(chances.mT, points) / sizes[..., None]
    if covariance == "diagonal":
        covariances = (torch.bmm(chances.mT, points.square()) / sizes[..., None] - means.square()).clamp_min(0)
        covariances = covariances + ridge[:, None, None]
    else:
        parts = []
        for k in range(components):
            centred = points - means[:, k, None]
            parts.append(torch.bmm((chances[..., k, None] * centred).mT, centred) / sizes[:, k, None, None])
        covariances = torch.stack(parts, dim=1)
        covariances = covariances + ridge[:, None, None, None] * torch.eye(points.shape[-1], dtype=points.dtype,
                                                                           device=points.device)
    return Mixtures(sizes / sizes.sum(1, keepdim=True), means, covariances,
                    points.new_full((runs,), -math.inf), torch.zeros(runs, dtype=torch.int64, device=points.device))
