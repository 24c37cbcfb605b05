"""Exact laws of x: `law` picks the route that a model allows."""

from __future__ import annotations

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.laws.base import Atoms, ErrorKind, Estimate, Law, LawKind, LogDensity
from ident_theory.models.model import Model, require_law
from ident_theory.models.noise import GaussianNoise

__all__ = ["Atoms", "ErrorKind", "Estimate", "Law", "LawKind", "LogDensity", "law"]

ROUTES = ("auto", "closed form", "quadrature", "polygons", "quasi-Monte Carlo")


def law(model: Model, route: str = "auto") -> Law:
    """The law of x under a model.

    Parameters
    ----------
    model : Model
    route : {"auto", "closed form", "quadrature", "polygons", "quasi-Monte Carlo"}
        How to compute it. ``"auto"`` takes the most exact route there is: the closed form for one latent
        with Gaussian noise or none, quadrature for one latent with other noise, polygons for two latents
        with Gaussian noise or none, quasi-Monte Carlo with a standard error for everything else.

    Returns
    -------
    Law
        Its `route` and `kind` say how it is computed and what it is a density with respect to.

    Raises
    ------
    InputError
        When `model` is no Model or `route` is unknown.
    UnsupportedError
        When the asked route does not serve this model, or none does: a conditional prior, a declared decoder,
        uniform or Fejér noise.
    DegenerateLawError
        When the model has no noise and its law is of a kind that is not available; the message names it.
    """
    if not isinstance(model, Model):
        raise InputError(f"law: expected a Model, got {type(model).__name__}; build one with Model(prior, decoder, "
                         "noise) or read one with load(path)")
    if route not in ROUTES:
        raise InputError(f"law: expected a route out of {', '.join(ROUTES)}; got {route!r}")
    require_law(model, "law")
    chosen = _best_route(model) if route == "auto" else route
    if chosen == "closed form":
        from ident_theory.laws.line import LineLaw
        from ident_theory.laws.noiseless import NoiselessLineLaw

        if model.latent_dim != 1:
            raise UnsupportedError(f"law: the closed form is for one latent, this model has {model.latent_dim}")
        return NoiselessLineLaw(model) if model.noise is None else LineLaw(model)
    if chosen == "quadrature":
        from ident_theory.laws.quadrature import QuadratureLaw

        return QuadratureLaw(model)
    if chosen == "polygons":
        from ident_theory.laws.plane import PlaneLaw

        return PlaneLaw(model)
    from ident_theory.laws.cells import CellsLaw

    return CellsLaw(model)


def _best_route(model: Model) -> str:
    exact_noise = model.noise is None or isinstance(model.noise, GaussianNoise)
    if model.latent_dim == 1:
        return "closed form" if exact_noise else "quadrature"
    return "polygons" if model.latent_dim == 2 and exact_noise else "quasi-Monte Carlo"
