"""Samples of any model."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ident_theory.data import arguments
from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.exact.rationals import nearest_float, to_float
from ident_theory.models import ConditionalPrior, DeclaredMap, GaussianMixture, Model
from ident_theory.models.families import FAMILY_NAMES, Family
from ident_theory.models.value import FloatArray


def sampled(rng: np.random.Generator, *, model: Model, size: int = 1000,
            conditions: Literal["weights", "equal"] = "weights",
            labels: Literal["conditions", "factors"] = "conditions") -> Dataset:
    r"""Samples of a model.

    Drawn are u or a component, then :math:`z \sim P(z \mid u)`, then :math:`x = f(z) + \epsilon`.

    Parameters
    ----------
    rng : numpy.random.Generator
    model : Model
        With a decoder that has values; a conditional prior of any family but a custom one.
    size : int
        Number of samples.
    conditions : {"weights", "equal"}
        Draw u by the prior's weights (equal ones where it has none), or take each value of u equally often up to
        one, one after the other. For a mixture the same of its components.
    labels : {"conditions", "factors"}
        For a mixture: give the component as u too, or as ``factors["component"]`` only, as for learning without
        labels.

    Returns
    -------
    Dataset
        For a mixture with several hidden variables their states are ``factors["state_1"]``, ...

    Raises
    ------
    InputError
        When a value of u does not occur in the sample.
    UnsupportedError
        For a decoder without values or a custom family; the message says what can be sampled.
    """
    rng, where = arguments.generator(rng, "sampled"), "sampled"
    if not isinstance(model, Model):
        raise InputError(f"{where}: model: expected a Model, found {type(model).__name__}; "
                         "read a file with ident_theory.load")
    size = arguments.count(size, f"{where}: size")
    arguments.choice(conditions, f"{where}: conditions", ("weights", "equal"))
    arguments.choice(labels, f"{where}: labels", ("conditions", "factors"))
    if isinstance(model.decoder, DeclaredMap):
        raise UnsupportedError(f"{where}: a DeclaredMap has no values; use a ReLUNetwork or a PiecewiseAffineMap")
    prior, factors = model.prior, {}
    if isinstance(prior, GaussianMixture):
        u = _indices(prior.weights / prior.weights.sum(), size, conditions, rng)
        z = _mixture_latents(prior, u, rng)
        factors["component"] = u
        if len(prior.states) > 1:
            states = np.unravel_index(u, prior.states)
            factors.update({f"state_{i}": state for i, state in enumerate(states, start=1)})
        given = labels == "conditions"
    else:
        equal = np.full(prior.n_values, 1 / prior.n_values)
        u = _indices(equal if prior.weights_exact is None else to_float(prior.weights_exact), size, conditions, rng)
        z = conditional_latents(prior, u, rng)
        given = True
    if given:
        _check_all_occur(u, prior, size)
    x = model.decoder(z)
    if model.noise is not None:
        x = x + model.noise.sample(size, model.observed_dim, rng)
    return Dataset(x, u=u if given else None, z=z, model=model, factors=factors, name="sampled",
                   settings={"size": size, "conditions": conditions, "labels": labels})


def conditional_latents(prior: ConditionalPrior, u: np.ndarray, rng: np.random.Generator) -> FloatArray:
    """Latents given u, shape (N, d), from a prior of any family known by name.

    Parameters
    ----------
    prior : ConditionalPrior
    u : ndarray of int, shape (N,)
    rng : numpy.random.Generator

    Raises
    ------
    UnsupportedError
        For a custom family.
    """
    return _draw(prior.family, np.moveaxis(prior.natural[u], -1, 0), rng)


def _draw(family: Family, natural: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Independent draws, one for each column of natural parameters, shape (k, ...)."""
    a, b = natural[0], natural[-1]  # the same for k = 1
    match family.name:
        case "normal":
            return rng.normal(-a / (2 * b), np.sqrt(-1 / (2 * b)))
        case "normal_mean":
            return rng.normal(a, 1.0)
        case "normal_variance":
            return rng.normal(0.0, np.sqrt(-1 / (2 * a)))
        case "lognormal":
            return np.exp(rng.normal(-a / (2 * b), np.sqrt(-1 / (2 * b))))
        case "gamma":
            return rng.gamma(a, -1 / b)
        case "inverse_gamma":
            return -b / rng.gamma(-a, 1.0)
        case "beta":
            return rng.beta(a, b)
        case "inverse_gaussian":
            return _inverse_gaussian(a, -2 * b, rng)
        case "laplace":
            return rng.laplace(nearest_float(family.location), -1 / a)
    names = ", ".join(name for name in FAMILY_NAMES if name != "custom")
    raise UnsupportedError(f"sampled: prior: expected one of the families {names}, found {family.name!r}, from which "
                           "this version cannot draw; draw the latents yourself and make a Dataset of them")


def _inverse_gaussian(a: FloatArray, shape: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Mean sqrt(shape / (-2 a)); for a = 0 the mean is infinite and the law is that of shape / N(0, 1)^2."""
    heavy = a == 0
    mean = np.sqrt(shape / np.where(heavy, 1.0, -2 * a))
    return np.where(heavy, shape / rng.standard_normal(a.shape) ** 2, rng.wald(mean, shape))


def _indices(weights: FloatArray, size: int, conditions: str, rng: np.random.Generator) -> np.ndarray:
    if conditions == "equal":
        return np.sort(np.arange(size) % len(weights))
    return rng.choice(len(weights), size=size, p=weights / weights.sum())


def _mixture_latents(prior: GaussianMixture, component: np.ndarray, rng: np.random.Generator) -> FloatArray:
    z = np.empty((len(component), prior.latent_dim))
    for j in np.unique(component):
        rows = component == j
        single = GaussianMixture([1], [list(prior.means_exact[j])], [prior.covariances_exact[j].tolist()])
        z[rows] = single.sample(int(rows.sum()), rng)[0]
    return z


def _check_all_occur(u: np.ndarray, prior: GaussianMixture | ConditionalPrior, size: int) -> None:
    total = prior.n_components if isinstance(prior, GaussianMixture) else prior.n_values
    missing = np.setdiff1d(np.arange(total), u)
    if missing.size:
        what = "component" if isinstance(prior, GaussianMixture) else "value of u"
        advice = "raise size" if size < total else 'raise size, or use conditions="equal"'
        if isinstance(prior, GaussianMixture):
            advice += ', or labels="factors"; components of weight zero go with prior.reduced()'
        raise InputError(f"sampled: size: expected each {what} among the draws, found none of number {missing[0]} "
                         f"among {size}; {advice}")
