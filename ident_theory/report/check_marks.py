"""What the figures of a check share: the prior's densities, the marked points, the words on top, the colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from textwrap import wrap
from typing import Any

import numpy as np
from flint import fmpq
from matplotlib.axes import Axes
from scipy import stats

from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import Report
from ident_theory.conditions.rule import Verdict
from ident_theory.conditions.theorems import THEOREMS
from ident_theory.exact.rationals import nearest_float
from ident_theory.models import ConditionalPrior, GaussianMixture, Model
from ident_theory.models.value import FloatArray
from ident_theory.spec import from_dict

#: The palette of Okabe and Ito, told apart by colour-blind readers too; yellow is too pale for lines.
CURVE, PAIR, SINGLE, SECOND = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
COLOURS = (CURVE, "#e69f00", SINGLE, SECOND, "#56b4e9", PAIR, "black", "0.55")
#: Components, or values of u, that are drawn one by one; and that are named.
MOST_PARTS, MOST_NAMES = 60, 12
#: How much wider than the bulk of the prior marked points may make the window.
MARK_STRETCH = 20.0
#: The witnesses of these conditions are two latents with one image.
_PAIRED = ("F4", "F3")
_SINGLE = ("line.single_preimage", "network.single_preimage")
_CONDITIONS = ("F1", "continuous", "F2", "F3", "F4")


@dataclass(frozen=True)
class Pair:
    """Two latents with the same image, and the conditions that fail by them."""

    z: FloatArray
    other: FloatArray
    conditions: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What it shows, for a legend."""
        fail = f"{self.conditions[0]} fails" if len(self.conditions) == 1 else f"{' and '.join(self.conditions)} fail"
        return f"{fail}: f({point_text(self.z)}) = f({point_text(self.other)})"


@dataclass(frozen=True)
class Part:
    """One component, or the prior at one value of u: a distribution for each latent, or a covariance for all.

    Attributes
    ----------
    name : str
    weight : float
        1 for every value of u.
    marginals : tuple of frozen scipy distributions or None
        None where a variance is zero.
    mean, covariance : ndarray or None
        Of normal ones only.
    """

    name: str
    weight: float
    marginals: tuple[Any, ...] | None
    mean: FloatArray | None = None
    covariance: FloatArray | None = None

    def bulk(self, deviations: float) -> FloatArray:
        """Mean plus and minus so many standard deviations, else the central 99 %; shape (2, m)."""
        if self.mean is not None and self.covariance is not None:
            width = deviations * np.sqrt(np.diag(self.covariance))
            return np.array([self.mean - width, self.mean + width])
        return np.array([[d.ppf(tail) for d in self.marginals or ()] for tail in (0.005, 0.995)])


def number(value: float) -> str:
    """Four digits, with a real minus sign."""
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def point_text(z: FloatArray) -> str:
    """A latent as it reads in a formula."""
    return ", ".join(map(number, z))


def pairs_of(report: Report) -> list[Pair]:
    """The witnesses against F4 and F3, equal ones once."""
    found: dict[str, Pair] = {}
    for name in _PAIRED:
        witness = report.findings[name].witness if name in report.findings else None
        if witness is not None and {"z", "other"} <= witness.data.keys():
            pair = found.setdefault(repr((witness.data["z"], witness.data["other"])),
                                    Pair(_point(witness.data["z"]), _point(witness.data["other"])))
            pair.conditions.insert(0, name)
    return list(found.values())


def single_of(report: Report) -> FloatArray | None:
    """The only preimage of its value that certifies F2."""
    certificate = report.findings["F2"].certificate if "F2" in report.findings else None
    return _point(certificate.data["z"]) if certificate is not None and certificate.kind in _SINGLE else None


def single_label(z: FloatArray) -> str:
    """What the point of `single_of` shows, for a legend."""
    return f"F2 holds: only z = {point_text(z) if len(z) == 1 else f'({point_text(z)})'} has this value"


def _point(data: Sequence[Any]) -> FloatArray:
    return np.array([nearest_float(Fraction(value)) for value in data])


def parts_of(prior: Any) -> list[Part]:
    """The components of a mixture that have weight, or the values of u; none for a custom family."""
    if isinstance(prior, GaussianMixture):
        reduced = prior.reduced()
        return [_normal_part(str(j), w, mu, sigma) for j, (w, mu, sigma)
                in enumerate(zip(reduced.weights, reduced.means, reduced.covariances, strict=True))]
    assert isinstance(prior, ConditionalPrior)
    if prior.family.name == "custom":
        return []
    parts = []
    for u, table in enumerate(prior.natural):
        marginals = tuple(distribution(prior, row) for row in table)
        if prior.family.name.startswith("normal"):
            parts.append(_normal_part(prior.label(u), 1.0, np.array([d.mean() for d in marginals]),
                                      np.diag([d.var() for d in marginals])))
        else:
            parts.append(Part(prior.label(u), 1.0, marginals))
    return parts


def _normal_part(name: str, weight: float, mean: FloatArray, covariance: FloatArray) -> Part:
    deviations = np.sqrt(np.diag(covariance))
    marginals = tuple(map(stats.norm, mean, deviations)) if np.all(deviations > 0) else None
    return Part(name, float(weight), marginals, mean, covariance)


def distribution(prior: ConditionalPrior, natural: FloatArray) -> Any:
    """A member of a named family as a distribution of scipy, from its natural parameters."""
    name, a, b = prior.family.name, float(natural[0]), float(natural[-1])
    if name == "normal_mean":
        return stats.norm(a, 1.0)
    if name in ("normal", "normal_variance"):
        variance = -0.5 / b
        return stats.norm(a * variance if name == "normal" else 0.0, math.sqrt(variance))
    if name == "lognormal":
        return stats.lognorm(math.sqrt(-0.5 / b), scale=math.exp(-0.5 * a / b))
    if name == "gamma":
        return stats.gamma(a, scale=-1.0 / b)
    if name == "inverse_gamma":
        return stats.invgamma(-a, scale=-b)
    if name == "beta":
        return stats.beta(a, b)
    if name == "inverse_gaussian":
        return stats.levy(scale=-2.0 * b) if a == 0.0 else stats.invgauss(0.5 / math.sqrt(a * b), scale=-2.0 * b)
    assert name == "laplace", name
    return stats.laplace(nearest_float(prior.family.location), -1.0 / a)


def window_of(parts: Sequence[Part], marks: Iterable[FloatArray], others: Iterable[FloatArray], dim: int,
              deviations: float, stretch: float) -> tuple[FloatArray, FloatArray]:
    """Lower and upper corner of what is drawn: the bulk of the prior, and points that do not lie too far away.

    The window grows for one of `others` by the factor `stretch` at most, for one of `marks` by `MARK_STRETCH`. Without
    a prior to draw, its place is that of the standard normal.
    """
    corners = np.vstack([part.bulk(deviations) for part in parts] or [np.full((2, dim), [[-deviations], [deviations]])])
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, span = (low + high) / 2, high - low
    span = np.where(span > 0, span, max(1.0, float(span.max())))
    for points, most in ((marks, MARK_STRETCH), (others, stretch)):
        near = [z for z in map(np.atleast_2d, points) if np.all(np.abs(z - middle) <= most * span / 2)]
        corners = np.vstack([corners, *near])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 0.05 * np.where(high > low, high - low, span)
    return low - margin, high + margin


def heading(report: Report, title: str, width: int) -> str:
    """The name of the model, what is identified, and the status of the decoder's conditions."""
    items = [f"{item.text}, by {item.theorem}" for item in report.conclusions
             if item.target in (Target.LATENT, Target.DECODER)]
    if report.conclusion.equivalence is Equivalence.NONE:
        is_open = any(item.verdict is Verdict.UNDECIDED and Target.LATENT in THEOREMS[item.theorem].conclusions
                      for item in report.theorems)
        items.insert(0, f"{Target.LATENT.label}: {'undecided' if is_open else 'no theorem applies'}")
    statuses = ", ".join(f"{name} {report.findings[name].status}" for name in _CONDITIONS if name in report.findings)
    lines = [title, *items, statuses]
    return "\n".join(piece for line in lines for piece in wrap(line, width))


def second_of(report: Report) -> Model | None:
    """The second model with the same law that is drawn: one with another prior, if there is one."""
    models = [from_dict(item.model) for item in report.alternatives]
    latents = from_dict(report.model).prior
    models = [item for item in models if item.latent_dim == latents.latent_dim]
    return next((item for item in models if item.prior != latents), models[0] if models else None)


def nearest(value: fmpq) -> float:
    """The float64 nearest to a rational of flint."""
    return nearest_float(Fraction(int(value.p), int(value.q)))


def marks_of(pairs: Sequence[Pair], single: FloatArray | None) -> list[FloatArray]:
    """Every pair as an array of shape (2, m), and the single point."""
    return [np.array([pair.z, pair.other]) for pair in pairs] + ([] if single is None else [single])


def mark(axes: Axes, draw: Callable[[FloatArray], FloatArray], window: tuple[FloatArray, FloatArray],
         pairs: Sequence[Pair], single: FloatArray | None, label: bool = True) -> None:
    """Mark pairs with one image, joined, and the point that certifies F2.

    Those outside of the window are only named.

    Parameters
    ----------
    axes : Axes
    draw : callable
        Latents, shape (N, m), to points of the axes, shape (N, 2).
    window : pair of ndarray
        Lower and upper corner in the latents.
    pairs, single
    label : bool
        Whether the marks enter the legend.
    """
    signs = [(pair.label, "D" if k == 0 else "^", PAIR, 8) for k, pair in enumerate(pairs)]
    signs += [] if single is None else [(single_label(single), "*", SINGLE, 15)]
    for z, (text, marker, colour, size) in zip(map(np.atleast_2d, marks_of(pairs, single)), signs, strict=True):
        inside = bool(np.all(z >= window[0]) and np.all(z <= window[1]))
        words = text if inside else f"{text} (out of view)"
        axes.plot(*(draw(z) if inside else np.empty((0, 2))).T, marker, color=colour, mec="white", mew=0.8, ms=size,
                  lw=1.4, ls=(0, (2, 2)) if len(z) > 1 else "none", clip_on=not inside, zorder=6,
                  label=words if label else None)
