"""The exact log-likelihood of a trained model beside the score by which it was trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.data import arguments
from ident_theory.errors import BudgetExceeded, UnsupportedError
from ident_theory.estimators.result import SAMPLES, Run
from ident_theory.geometry.plane import iter_plane_cells
from ident_theory.laws import law
from ident_theory.laws.equality import NORMAL, normal_given
from ident_theory.models import ConditionalPrior, GaussianNoise, Model, ReLUNetwork
from ident_theory.models.value import FloatArray


@dataclass(frozen=True)
class BesideReport:
    """Means over observations, in nats.

    Attributes
    ----------
    rows : int
        Observations.
    score_name : str
        ``"ELBO"``, ``"log-likelihood"``, ...
    score : float
        What the estimator says of its own model.
    log_likelihood : float
        The exact one, of x, or of x given u.
    gap : float
        ``log_likelihood - score``: for an ELBO the divergence of the encoder from the posterior, not negative but for
        its sampling noise.
    gap_error : float
        Standard error of `gap` over the observations, the noise of a sampled score included; nan for one.
    route : str
        How `ident_theory.law` computed it.
    error : float
        Largest error of one exact log density, as the law states it.
    """

    rows: int
    score_name: str
    score: float
    log_likelihood: float
    gap: float
    gap_error: float
    route: str
    error: float


def beside(run: Run, x: Any, u: Any = None, *, most: int = 1000, cells: int = 1000,
           samples: int = SAMPLES) -> BesideReport:
    """The exact log-likelihood of ``run.model()`` at observations, and the gap to the run's ELBO.

    Parameters
    ----------
    run : Run
    x : Dataset, or array_like of shape (N, n)
    u : array_like, shape (N,), optional
    most : int
        Observations beyond so many are thinned out evenly: two latents cost about 1 ms for each and 50 cells.
    cells : int
        Polygons of a decoder of two latents, at most.
    samples : int
        Draws of the noise over which a sampled score is averaged.

    Returns
    -------
    BesideReport

    Raises
    ------
    UnsupportedError
        When the run has no `Model` with an exact law: no ReLU network (a flow), more than two latents, a prior that is
        not normal, more than `cells` polygons.
    InputError
        For observations or conditions that do not fit.
    """
    arguments.count(most, "beside: most")
    arguments.count(cells, "beside: cells")
    arguments.count(samples, "beside: samples")
    fit, network = run.fit, run.fit.network
    model = run.model()
    if model is None:
        raise UnsupportedError(f"beside: {fit.estimator.name} learns no Model, so there is no exact likelihood")
    if not isinstance(model.decoder, ReLUNetwork) or not isinstance(model.noise, GaussianNoise):
        raise UnsupportedError(f"beside: expected a network with (leaky) ReLUs and Gaussian noise, found "
                               f"{type(model.decoder).__name__} and {type(model.noise).__name__}")
    if model.latent_dim > 2:
        raise UnsupportedError(f"beside: the exact law is for one or two latents, found {model.latent_dim}; "
                               "ident_theory.law(model) estimates it with a standard error")
    if isinstance(model.prior, ConditionalPrior) and model.prior.family.name not in NORMAL:
        raise UnsupportedError(f"beside: expected a prior of normal laws, found the family {model.prior.family.name}")
    if model.latent_dim == 2:
        try:
            for _ in iter_plane_cells(model.decoder, cells):
                pass
        except BudgetExceeded as error:
            raise UnsupportedError(f"beside: the decoder has more than {cells} cells; raise cells, or train with fewer "
                                   "hidden units") from error
    points, conditions = fit._checked(x, u)
    thin = np.unique(np.linspace(0, len(points) - 1, min(len(points), most)).round().astype(int))
    points, conditions = points[thin], None if conditions is None else conditions[thin]
    draws = range(samples if network.random_score else 1)
    scores = np.mean([fit._evaluate(network.score, points, conditions, f"score{k}", run.number)[0] for k in draws],
                     axis=0)
    exact, errors, route = _log_densities(model, points, conditions)
    gaps = exact - scores
    spread = float(gaps.std(ddof=1)) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
    return BesideReport(len(points), fit.estimator.score_name, float(scores.mean()), float(exact.mean()),
                        float(gaps.mean()), spread, route, float(errors.max()))


def _log_densities(model: Model, x: FloatArray, u: np.ndarray | None) -> tuple[FloatArray, FloatArray, str]:
    """Exact log densities with their errors; u is needed for a conditional prior with several values."""
    if not isinstance(model.prior, ConditionalPrior):
        exact = law(model)
        found = exact.log_density_with_error(x)
        return found.value, found.error, exact.route
    which = np.zeros(len(x), dtype=np.int64) if u is None else u
    value, error, route = np.empty(len(x)), np.empty(len(x)), ""
    for condition in np.unique(which):
        rows = which == condition
        at = Model(normal_given(model.prior, int(condition)), model.decoder, model.noise)
        part, doubt, route = _log_densities(at, x[rows], None)
        value[rows], error[rows] = part, doubt
    return value, error, route
