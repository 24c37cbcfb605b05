"""Writing models as JSON that reads back to the same rationals."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from ident_theory.exact.rationals import format_exact
from ident_theory.models import GaussianNoise, Model, PiecewiseAffineMap, StudentNoise


def to_dict(model: Model) -> dict[str, Any]:
    """The model as nested dictionaries and lists, with integers as int and other rationals as ``"p/q"``."""
    prior, decoder, noise = model.prior, model.decoder, model.noise
    tree: dict[str, Any] = {"prior": {"weights": _plain(prior.weights_exact), "means": _plain(prior.means_exact),
                                      "covariances": _plain(prior.covariances_exact)}}
    if isinstance(decoder, PiecewiseAffineMap):
        tree["decoder"] = {"type": "piecewise_affine", "breakpoints": _plain(decoder.breakpoints_exact),
                           "slopes": _plain(decoder.slopes_exact), "intercepts": _plain(decoder.intercepts_exact)}
    else:
        tree["decoder"] = {"type": "relu_network", "weights": [_plain(w) for w in decoder.weights_exact],
                           "biases": [_plain(b) for b in decoder.biases_exact],
                           "negative_slope": _plain(decoder.negative_slope_exact)}
    if isinstance(noise, GaussianNoise):
        tree["noise"] = {"type": "gaussian"}
        if noise.full_exact is not None:
            tree["noise"]["covariance"] = _plain(noise.full_exact)
        else:
            tree["noise"]["std"] = _plain(noise.std_exact)
    elif noise is not None:
        tree["noise"] = {"type": noise.family, "scale": _plain(noise.scale_exact)}
        if isinstance(noise, StudentNoise):
            tree["noise"]["df"] = _plain(noise.df_exact)
    return tree


def to_json(model: Model, indent: int | None = None) -> str:
    """Write a model as JSON; ``loads(to_json(model), "json") == model`` holds exactly.

    Parameters
    ----------
    model : Model
    indent : int, optional
        Spaces of indentation; by default everything stands on one line.
    """
    return json.dumps(to_dict(model), indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else format_exact(value)
    return [_plain(item) for item in value] if value.ndim else _plain(value.item())
