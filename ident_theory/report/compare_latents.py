"""Decoders and priors of two models of one latent, and what the map between them makes of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ident_theory.geometry.line import line_pieces
from ident_theory.models import ConditionalPrior, DeclaredMap
from ident_theory.report.check_marks import CURVE, PAIR, Part, nearest, parts_of, window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ident_theory.conditions.relation import Correspondence
    from ident_theory.models import Model
    from ident_theory.models.value import FloatArray

_FIRST, _SECOND, _CARRIED = CURVE, PAIR, "black"
_CARRIED_LABEL = r"through $h$: $f_B \circ h$ lies on $f_A$, $h_\# P_A$ on $P_B$"
_DASHED, _DOTTED = (0, (5, 2.5)), (0, (1, 2))
#: Coordinates of f that are drawn, points of a graph, standard deviations of each component that are shown, and how
#: much wider breakpoints and the other prior may make the window.
_COORDINATES, _POINTS, _DEVIATIONS, _STRETCH = 3, 1201, 3.5, 3.0


def draw_latents(panels: Sequence[Axes], comparison: Correspondence) -> None:
    """Draw both decoders over z, f_B o h on f_A where there is a map h, and both priors with h#P_A.

    Parameters
    ----------
    panels : two Axes
        For the decoders and for the priors.
    comparison : Correspondence
        Of two models of one latent.
    """
    above, below = panels
    first, second = comparison.first, comparison.second
    change = None if comparison.change is None or comparison.change.is_identity else comparison.change
    low, high = _window(first, second)
    z = np.linspace(low, high, _POINTS)
    _draw_decoder(above, first, z, z, {"color": _FIRST, "lw": 3.0, "label": "A"})
    _draw_decoder(above, second, z, z, {"color": _SECOND, "lw": 1.9, "ls": _DASHED, "label": "B"})
    if change is not None:
        image = change(z[:, None])[:, 0]
        _draw_decoder(above, second, z, image, {"color": _CARRIED, "lw": 1.7, "ls": _DOTTED,
                                                "label": _CARRIED_LABEL})
    n = first.observed_dim
    above.set_ylabel("decoder $f(z)$" if n == 1 else "decoder $f(z)$, every coordinate" if n <= _COORDINATES else
                     f"decoder $f(z)$, first {_COORDINATES} of {n} coordinates")
    above.set_xlabel("latent $z$")
    _draw_prior(below, first, lambda t: t, 1.0, z, {"color": _FIRST, "lw": 3.0, "label": "A"})
    _draw_prior(below, second, lambda t: t, 1.0, z, {"color": _SECOND, "lw": 1.9, "ls": _DASHED,
                                                     "label": "B"})
    if change is not None:
        back, slope = change.inverse(), abs(float(change.matrix[0, 0]))
        _draw_prior(below, first, lambda t: back(t[:, None])[:, 0], slope, z,
                    {"color": _CARRIED, "lw": 1.7, "ls": _DOTTED, "label": _CARRIED_LABEL})
    below.set_xlabel("latent $z$")
    below.set_ylabel("density of\n$z$ given $u$" if isinstance(first.prior, ConditionalPrior) else
                     "density of\nprior $P(z)$")
    below.set_ylim(0, None)
    for axes in (above, below):
        axes.set_xlim(low, high)
        axes.spines[["top", "right"]].set_visible(False)


def _window(first: Model, second: Model) -> tuple[float, float]:
    """The bulk of both priors, and breakpoints nearby."""
    parts, others = parts_of(first.prior), parts_of(second.prior)
    breaks = []
    for model in (first, second):
        assert not isinstance(model.decoder, DeclaredMap)
        breaks += [np.array([[nearest(t)]]) for t in line_pieces(model.decoder).breakpoints]
    near = [*(part.bulk(_DEVIATIONS) for part in others), *breaks]
    low, high = window_of(parts, [], near, 1, _DEVIATIONS, _STRETCH)
    return float(low[0]), float(high[0])


def _draw_decoder(axes: Axes, model: Model, z: FloatArray, argument: FloatArray, style: dict[str, object]) -> None:
    """f(argument) over z, coordinate by coordinate; cut where f jumps."""
    assert not isinstance(model.decoder, DeclaredMap)
    values = model.decoder(argument[:, None])[:, :_COORDINATES]
    steps = np.abs(np.diff(values, axis=0))
    span = np.ptp(values, axis=0)
    jumps = steps > np.maximum(0.05 * span, 20 * np.quantile(steps, 0.9, axis=0))
    shown = np.where(np.vstack([jumps, np.zeros((1, values.shape[1]), bool)]), np.nan, values)
    for i in range(values.shape[1]):
        axes.plot(z, shown[:, i], **{**style, **({} if i == 0 else {"label": None})})  # type: ignore[arg-type]


def _draw_prior(axes: Axes, model: Model, argument: Callable[[FloatArray], FloatArray], slope: float, z: FloatArray,
                style: dict[str, object]) -> None:
    """The density of h#P at z, which is that of P at h^-1(z) over the slope; one curve for each value of u."""
    parts = parts_of(model.prior)
    curves = [[part] for part in parts] if isinstance(model.prior, ConditionalPrior) else [parts]
    at = argument(z)
    for i, group in enumerate(curves):
        axes.plot(z, _density(group, at) / slope, **{**style, **({} if i == 0 else {"label": None})})  # type: ignore[arg-type]


def _density(parts: Sequence[Part], z: FloatArray) -> FloatArray:
    """The weighted sum of the parts that have a density."""
    total = np.zeros_like(z)
    for part in parts:
        if part.marginals is not None:
            total += part.weight * part.marginals[0].pdf(z)
    return np.where(np.isfinite(total), total, np.nan)
