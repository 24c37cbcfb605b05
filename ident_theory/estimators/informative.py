"""Dimension discovery: how many latents of a volume-preserving model carry more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.data.dataset import conditions
from ident_theory.errors import InputError
from ident_theory.models.value import FloatArray

#: Ratio of neighbouring deviations that counts as a knee; without one all latents are called informative.
LEAST_GAP = 3.0
#: Nats about u that a latent has to carry to count as dependent on it.
LEAST_INFORMATION = 0.05


@dataclass(frozen=True)
class Spectrum:
    """Standard deviations of latents, largest first.

    Attributes
    ----------
    deviations : ndarray, shape (n,)
    order : ndarray of int, shape (n,)
        Columns of the latents in that order.
    informative : int
        How many come before the knee, the largest ratio of neighbouring deviations; n where no ratio reaches
        `LEAST_GAP`.
    gap : float
        That ratio, infinite when the rest is constant.
    information : ndarray, shape (n,), or None
        What each latent, in that order, says about u, in nats, see `spectrum`; None without u.
    """

    deviations: FloatArray
    order: np.ndarray
    informative: int
    gap: float
    information: FloatArray | None = None

    @property
    def dependent(self) -> int | None:
        """Latents with `LEAST_INFORMATION` about u or more; None without u."""
        return None if self.information is None else int(np.sum(self.information >= LEAST_INFORMATION))


def spectrum(latents: Any, u: Any = None) -> Spectrum:
    r"""Spectrum of latents (Sorrenson et al. 2020, Sections 3.3 and 4.3, Figures 2 and 3).

    In a model that preserves volume a latent's standard deviation over the data says how much it explains. The paper
    draws the line by eye; here it is at the largest ratio of neighbours.

    A flow that preserves the volume of all latents may still enlarge one at the cost of others, noise included, which
    blurs the knee. By the theory noise is what does not depend on u, whatever its size; with u given this is measured
    by :math:`\log \sigma_i - E \log \sigma_i(u)`, for normal laws given u at least their mutual information with u.

    Parameters
    ----------
    latents : array_like, shape (N, n)
        All latents of the model at no fewer than two observations.
    u : array_like, shape (N,), optional
        Conditions.

    Raises
    ------
    InputError
        For other shapes, numbers that are not finite, or labels that do not match.

    Examples
    --------
    >>> found = spectrum([[0.01, 2.0, -3.0], [-0.01, -2.0, 3.0]])
    >>> found.deviations.tolist(), found.order.tolist(), found.informative
    ([3.0, 2.0, 0.01], [2, 1, 0], 2)
    """
    try:
        z = np.asarray(latents, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"spectrum: latents: expected a matrix of numbers, found {type(latents).__name__}") from error
    if z.ndim != 2 or len(z) < 2 or not z.shape[1]:
        raise InputError(f"spectrum: latents: expected shape (N, n) with at least two rows, found {z.shape}")
    if not np.isfinite(z).all():
        raise InputError(f"spectrum: latents: expected finite numbers, found {z[~np.isfinite(z)][0]}")
    deviations = z.std(axis=0)
    order = np.argsort(-deviations, kind="stable")
    ranked = deviations[order]
    upper, lower = ranked[:-1], ranked[1:]
    ratios = np.ones_like(upper)
    np.divide(upper, lower, out=ratios, where=lower > 0)
    ratios[(lower == 0) & (upper > 0)] = np.inf
    place = int(np.argmax(ratios)) if len(ratios) else 0
    gap = float(ratios[place]) if len(ratios) else 1.0
    information = None if u is None else _information(z[:, order], conditions(u, len(z), "spectrum"))
    return Spectrum(ranked, order, place + 1 if gap >= LEAST_GAP else len(ranked), gap, information)


def _information(z: FloatArray, u: np.ndarray) -> FloatArray:
    """Of each column; zero where it is constant."""
    total = z.std(axis=0)
    out = np.zeros(z.shape[1])
    for value in range(int(u.max()) + 1):
        rows = u == value
        ratio = np.divide(z[rows].std(axis=0), total, out=np.ones_like(total), where=total > 0)
        with np.errstate(divide="ignore"):
            out -= rows.mean() * np.log(ratio)
    return out
