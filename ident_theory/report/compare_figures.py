"""One picture of a comparison: both laws, where they differ, and for one latent the decoders with the map between."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from ident_theory.conditions.lattice import Equivalence
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.laws.base import LawKind
from ident_theory.models import ConditionalPrior, DeclaredMap
from ident_theory.numerics import Status
from ident_theory.report.check_marks import CURVE, PAIR, SINGLE
from ident_theory.report.compare_latents import draw_latents
from ident_theory.report.compare_text import Separation, label_of, law_of, separation_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ident_theory.conditions.relation import Correspondence
    from ident_theory.laws import Law
    from ident_theory.models import Model
    from ident_theory.models.value import FloatArray

_FIRST, _SECOND, _SET = CURVE, PAIR, SINGLE
_NAMES = ("A", "B")
#: Inches of a figure from which on it counts as wide.
_WIDE = 10.0
#: Points of a density on the line and along a side of the plane; draws that set the window and make the clouds.
_POINTS, _SIDE, _DRAWS, _CLOUD = 1201, 61, 20_000, 1500
#: The window shows all but this share of either law on each side of each coordinate, and a margin.
_TAIL, _MARGIN = 0.002, 0.08
_SEED = 0
#: More latents than this make a density a long quasi-Monte Carlo run at every point.
_MOST_LATENTS = 2
#: Characters of a map above which it is left to the text.
_LONGEST_MAP = 100
_DENSE = (LawKind.DENSITY, LawKind.DENSITY_AND_ATOMS)
_WORDS = {Status.HOLDS: "equal in law", Status.FAILS: "different laws", Status.UNKNOWN: "equality in law undecided"}


def compare_figure(comparison: Correspondence, first: str = "A", second: str = "B") -> Figure:
    """The laws of two models with the set that tells them apart, and for one latent their decoders and priors.

    One coordinate of x: both densities, atoms as stems, and the difference below. Two: a map of each density on one
    scale of colours, and of the difference. With three or more latents or coordinates, and where a law has no density:
    draws, of the first two coordinates. For one latent also both decoders, f_B o h on f_A where a map h was found, and
    the priors.

    Parameters
    ----------
    comparison : Correspondence
    first, second : str
        What the two models are called besides A and B.

    Raises
    ------
    InputError
        For declared decoders, which have no values.

    Accuracy
    --------
    For the eye: rounded to float64, draws with a fixed seed.
    """
    models = (comparison.first, comparison.second)
    for name, model in zip(_NAMES, models, strict=True):
        if isinstance(model.decoder, DeclaredMap):
            raise InputError(f"figure: expected decoders with values, model {name} has a declared map")
    n, is_line = models[0].observed_dim, models[0].latent_dim == models[1].latent_dim == 1
    found = separation_of(comparison)
    u = None if found is None else found.u
    kinds = (*_DENSE, LawKind.ATOMS) if n == 1 else _DENSE
    laws = [law_of(model, u) for model in models if model.latent_dim <= _MOST_LATENTS]
    dense = [law for law in laws if law is not None and law.kind in kinds]
    draws = [_draws(model, u) for model in models]
    as_density, beside = len(dense) == 2 and n <= 2, n == 1 and is_line
    size = (12.4 if beside else 6.8, 5.6) if n == 1 else (12.4, 8.2 if is_line else 4.6)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = [figure]
    if is_line:
        parts = figure.subfigures(1, 2, wspace=0.03) if beside else figure.subfigures(2, 1, hspace=0.03)
    low, high = _window(draws, found)
    if n == 1:
        upper, lower = parts[0].subplots(2, 1, height_ratios=(2, 1), sharex=True)
        _draw_line(upper, lower, dense if as_density else None, draws, found, low[0], high[0])
    elif as_density:
        _draw_maps(parts[0], dense, found, low, high)
    else:
        _draw_clouds(parts[0], draws, found, low, high, n)
    if is_line:
        draw_latents(parts[1].subplots(2, 1, height_ratios=(2, 1)) if beside else parts[1].subplots(1, 2), comparison)
    _label(figure, comparison, first, second)
    return figure


def _label(figure: Figure, comparison: Correspondence, first: str, second: str) -> None:
    """Title and one legend for all panels."""
    law = comparison.findings["equal_in_law"].status
    relation = comparison.equivalence
    answer, width = _WORDS[law], 150 if figure.get_figwidth() > _WIDE else 80
    if relation is not Equivalence.NONE:
        answer += f"; equivalent: {relation}"
    elif any(name.startswith("equivalent.") and item.status is Status.FAILS
             for name, item in comparison.findings.items()):
        answer += "; not equivalent" if law is not Status.FAILS else ""
    change = comparison.change
    if change is not None and not change.is_identity and len(str(change)) < _LONGEST_MAP:
        answer += f", by h: {change}"
    found = separation_of(comparison)
    if found is not None and found.u is not None:
        answer += f"; laws of x given u = {label_of(comparison.first, found.u)}"
    elif isinstance(comparison.first.prior, ConditionalPrior):
        answer += "; laws of x averaged over u"
    lines = wrap(f"A: {first}; B: {second}", width) + wrap(answer, width)
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10.5, parse_math=False)
    legend: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        legend.update(zip(labels, handles, strict=True))
    figure.legend(list(legend.values()), list(legend), frameon=False, fontsize=9, loc="outside lower left",
                  ncols=5 if figure.get_figwidth() > _WIDE else 3)


def _draws(model: Model, u: int | None) -> FloatArray:
    """Observations with a fixed seed; under a conditional prior given u, or with all its values in turn."""
    from ident_theory.report.check_marks import parts_of

    rng = np.random.default_rng(_SEED)
    if isinstance(model.prior, ConditionalPrior):
        parts = parts_of(model.prior)
        if not parts:
            raise UnsupportedError("figure: a prior of a custom family cannot be drawn from")
        parts = parts if u is None else parts[u:u + 1]
        count = -(-_DRAWS // len(parts))
        z = np.concatenate([np.column_stack([law.rvs(count, random_state=rng) for law in part.marginals or ()])
                            for part in parts])
    else:
        z, _ = model.prior.sample(_DRAWS, rng)
    assert not isinstance(model.decoder, DeclaredMap)
    x: FloatArray = model.decoder(z)
    return x if model.noise is None else x + model.noise.sample(len(x), model.observed_dim, rng)


def _window(draws: Sequence[FloatArray], found: Separation | None) -> tuple[FloatArray, FloatArray]:
    """Lower and upper corner of what is shown: the bulk of both laws, and the set."""
    corners = np.concatenate([np.quantile(x, [_TAIL, 1 - _TAIL], axis=0) for x in draws])
    if found is not None:
        corners = np.concatenate([corners, found.corners])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    return low - margin, high + margin


def _draw_line(upper: Axes, lower: Axes, laws: Sequence[Law] | None, draws: Sequence[FloatArray],
               found: Separation | None, low: float, high: float) -> None:
    """Both densities on the line, or histograms where there are none, above their difference."""
    if laws is None:
        edges = np.linspace(low, high, 121)
        x = (edges[:-1] + edges[1:]) / 2
        values = [np.histogram(each[:, 0], edges)[0] / (len(each) * (edges[1] - edges[0])) for each in draws]
        upper.set_ylabel("histogram of draws")
    else:
        x = np.linspace(low, high, _POINTS)
        values = [np.exp(law.log_density(x)) for law in laws]
        upper.set_ylabel("density of $x$")
    upper.fill_between(x, values[0], color=_FIRST, alpha=0.18, lw=0, step="mid" if laws is None else None)
    style = "steps-mid" if laws is None else "default"
    upper.plot(x, values[0], color=_FIRST, lw=3.0, label="A", drawstyle=style)
    upper.plot(x, values[1], color=_SECOND, lw=1.9, ls=(0, (5, 2.5)), label="B", drawstyle=style)
    difference = values[0] - values[1]
    lower.axhline(0, color="0.6", lw=0.8)
    lower.plot(x, difference, color="black", lw=1.4, label="A minus B", drawstyle=style)
    scale = float(max(values[0].max(), values[1].max()))
    if np.abs(difference).max() < 1e-9 * scale:  # rounding alone is no shape to look at
        lower.set_ylim(-0.05 * scale, 0.05 * scale)
    _draw_stems(upper, laws or (), low, high)
    upper.set_ylim(0, None)
    if found is not None:
        a, b = sorted(found.corners[[0, -1], 0])
        for axes in (upper, lower):
            axes.axvspan(a, b, color=_SET, alpha=0.3, lw=1.2 if b - a < 0.003 * (high - low) else 0, zorder=0,
                         label="set S whose probabilities are proven to differ")
    lower.set_ylabel("A minus B")
    lower.set_xlabel("observation $x$")
    lower.set_xlim(low, high)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)


def _draw_stems(axes: Axes, laws: Sequence[Law], low: float, high: float) -> None:
    """Atoms on an axis of their own; those of A thick, so that equal ones of B show on them."""
    atoms = [law.atoms() for law in laws]
    if not any(len(item.masses) for item in atoms):
        return
    twin = axes.twinx()
    for name, item, colour, width in zip(_NAMES, atoms, (_FIRST, _SECOND), (5.0, 1.8), strict=True):
        at = item.locations[:, 0]
        inside = (at >= low) & (at <= high)
        twin.vlines(at[inside], 0, item.masses[inside], color=colour, lw=width, label=f"atoms of {name}, right scale")
        twin.plot(at[inside], item.masses[inside], "o", color=colour, ms=2 * width, clip_on=False)
    twin.set_ylim(0, None)
    twin.set_ylabel("probability of the atoms")
    twin.spines["top"].set_visible(False)


def _draw_maps(part: Figure | SubFigure, laws: Sequence[Law], found: Separation | None, low: FloatArray,
               high: FloatArray) -> None:
    """Both densities in the plane on one scale, and their difference."""
    sides = [np.linspace(low[i], high[i], _SIDE) for i in range(2)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    values = [np.exp(law.log_density(grid)).reshape(_SIDE, _SIDE) for law in laws]
    panels = part.subplots(1, 3, sharex=True, sharey=True)
    scale = max(float(value.max()) for value in values)
    for axes, value, name in zip(panels, values, _NAMES, strict=False):
        filled = axes.pcolormesh(*sides, value, cmap="viridis", vmin=0, vmax=scale, shading="gouraud", rasterized=True)
        axes.set_title(f"density of {name}", fontsize=10)
    part.colorbar(filled, ax=list(panels[:2]), shrink=0.9, pad=0.02)
    difference = values[0] - values[1]
    reach = float(np.abs(difference).max())
    reach = reach if reach > 1e-9 * scale else scale  # rounding alone is no shape to look at
    filled = panels[2].pcolormesh(*sides, difference, cmap="PuOr", vmin=-reach, vmax=reach, shading="gouraud",
                                  rasterized=True)
    panels[2].set_title("A minus B", fontsize=10)
    part.colorbar(filled, ax=panels[2], shrink=0.9, pad=0.02)
    _finish_plane(panels, found, low, high)


def _draw_clouds(part: Figure | SubFigure, draws: Sequence[FloatArray], found: Separation | None, low: FloatArray,
                 high: FloatArray, n: int) -> None:
    """Draws of the first two coordinates, one model a panel, on the same axes."""
    panels = part.subplots(1, 2, sharex=True, sharey=True)
    rng = np.random.default_rng(_SEED)
    for axes, x, name, colour in zip(panels, draws, _NAMES, (_FIRST, _SECOND), strict=True):
        chosen = x[rng.permutation(len(x))[:_CLOUD]]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=5, color=colour, alpha=0.45, lw=0, rasterized=True)
        more = "" if n == 2 else f", first 2 of {n} coordinates"
        axes.set_title(f"{_CLOUD:,} draws of {name}{more}", fontsize=10)
    _finish_plane(panels, found if n == 2 else None, low, high)


def _finish_plane(panels: Any, found: Separation | None, low: FloatArray, high: FloatArray) -> None:
    for axes in panels:
        if found is not None:
            label = "set S whose probabilities are proven to differ"
            if len(found.directions) == 2:
                axes.add_patch(Polygon(found.corners, fill=False, ec="black", lw=2.4, zorder=4))
                axes.add_patch(Polygon(found.corners, fill=False, ec="#56ff9c", lw=1.2, zorder=5, label=label))
            else:
                axes.plot(*found.corners.T, "o-", color="#56ff9c", mec="black", ms=6, lw=2.4, zorder=5, label=label)
            small = np.ptp(found.corners, axis=0) < 0.03 * (high - low)
            if small.all():  # a ring around what is too small to see
                axes.plot(*found.center, "o", mfc="none", mec="white", ms=18, mew=1.2, zorder=6,
                          path_effects=[withStroke(linewidth=3.2, foreground="0.25")])
        axes.set_xlabel("observation $x_1$")
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
    panels[0].set_ylabel("observation $x_2$")
