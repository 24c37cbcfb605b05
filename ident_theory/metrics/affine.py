"""The distance of Gaussian mixtures up to invertible affine maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ident_theory.errors import InputError
from ident_theory.metrics.affine_descent import STATIONARY, End, descend, newton
from ident_theory.metrics.affine_starts import (
    Map,
    default_restarts,
    matched_starts,
    means_span,
    means_starts,
    random_starts,
    unmatched_starts,
)
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.numerics import Evidence
from ident_theory.recovery.alignment import exact_between
from ident_theory.recovery.alignment_guesses import to_whitened, unwhitened, whitened
from ident_theory.recovery.alignment_l2 import Loss, log_inner, log_square_norm, precise_distance, regular_parts

#: Below this the squared distance in float64 has lost four digits, and balls take over.
SMALL = 1e-4
#: Iterations of every descent, and of those from the best `FINALISTS` ends.
FIRST_ITERATIONS, ITERATIONS, FINALISTS = 60, 1000, 3
#: Matched starts that end at a smaller distance make further ones unnecessary.
NEAR = 0.03
#: Squared distances that rounding may leave of zero, and that tell two ends apart.
NOTHING, DISTINCT = 1e-13, 1e-9


@dataclass(frozen=True, eq=False)
class AffineDistance:
    r"""The value of `affine_distance`, and how it was reached; ``float()`` gives the value.

    Attributes
    ----------
    value : float
        In :math:`[0, \sqrt 2)`. The least value found: an upper bound of the minimum, which a global minimiser that
        no start leads to may undercut.
    change : AffineChange
        The map h of the first mixture that attains it.
    start_values : mapping of str to (float, float)
        For every start its value and the value that the first descent from it reached.
    means_matching_value : float or None
        The least value over matchings of the means by least squares (Kivva et al. 2022, Appendix J.1), of those of
        either mixture to those of the other; one of the starts. None when the means do not span. All matchings
        are tried while they are at most 720, of more those of the least residuals.
    n_evaluations : int
        Evaluations of the squared distance with its gradient.
    converged : bool
        Whether the end is exact, or the gradient there is below 1e-6 between whitened mixtures.
    evidence : Evidence
        ``numerical``.
    metric : bool
        False: the triangle inequality fails, for the normalised L2 distance and for its minimum over affine maps
        (claim ``kivva.distaff.metric``).
    """

    value: float
    change: AffineChange
    start_values: Mapping[str, tuple[float, float]]
    means_matching_value: float | None
    n_evaluations: int
    converged: bool
    evidence: Evidence = Evidence.NUMERICAL
    metric: ClassVar[bool] = False

    def __float__(self) -> float:
        return self.value


def affine_distance(a: GaussianMixture, b: GaussianMixture, *, restarts: int | None = None,
                    rng: np.random.Generator | None = None, start: AffineChange | None = None) -> AffineDistance:
    r"""The least normalised L2 distance of the densities of h#P and P' over invertible affine h.

    .. math:: d(P, P') = \min_h \frac{\|h_\# p - p'\|}{\|h_\# p\|^{1/2} \|p'\|^{1/2}}

    (dist_Aff,L2 of Kivva et al. 2022, eq. (34), restricted to invertible maps of either orientation). The inner
    products have closed forms. Starts: an exact map, matchings of the means, matchings of means and covariances, the
    identity, unit maps between the whitened mixtures, component on component, random maps, and random sets of means.
    L-BFGS descends from each in a chart that keeps the determinant from zero, and Newton steps finish. Starts without
    a matching are left out once a distance below 0.03 is reached. The two arguments are put in an order that does not
    depend on the call, so the value is symmetric. For unrelated mixtures there are many local minima: raise `restarts`
    where the least one matters.

    Parameters
    ----------
    a, b : GaussianMixture
        P and P', of one dimension, every covariance definite.
    restarts : int, optional
        Number of random starts; by default 48 for small problems down to 8 for large ones.
    rng : numpy.random.Generator, optional
        For these; by default a generator with a fixed seed.
    start : AffineChange, optional
        One more start.

    Returns
    -------
    AffineDistance
        `value` is correct to 1e-11 for the map `change`; below 1e-4 it is evaluated in balls for that map, so zero is
        returned for exact copies and rounding of the inputs shows at its own size.

    Raises
    ------
    InputError
        For mixtures or a start of different dimensions, or a negative number of restarts.
    DegenerateLawError
        For a singular covariance: there is no density.
    """
    _check(a, b, "affine_distance")
    if restarts is not None and restarts < 0:
        raise InputError(f"affine_distance: expected restarts >= 0, got {restarts}")
    if start is not None and start.latent_dim != a.latent_dim:
        raise InputError(f"affine_distance: expected a start of {a.latent_dim} latents, got {start.latent_dim}")
    p, q = regular_parts(a, "affine_distance"), regular_parts(b, "affine_distance")
    if _order(b) < _order(a):
        back = affine_distance(b, a, restarts=restarts, rng=rng, start=None if start is None else start.inverse())
        return AffineDistance(back.value, back.change.inverse(), back.start_values, back.means_matching_value,
                              back.n_evaluations, back.converged)
    exact = exact_between(a, b)
    first, second = whitened(p), whitened(q)
    if exact is not None:
        known = 0.0 if means_span(first.parts, second.parts) else None
        return AffineDistance(0.0, exact, {"exact": (0.0, 0.0)}, known, 0, True)
    loss = Loss(first.parts, second.parts)
    means = means_starts(first.parts, second.parts, loss)
    starts = {f"means {i + 1}": end[1:] for i, end in enumerate(means)}
    starts["identity"] = to_whitened(first, second, np.eye(p.dim), np.zeros(p.dim))
    if start is not None:
        starts["given"] = to_whitened(first, second, start.matrix, start.shift)
    starts.update(matched_starts(first.parts, second.parts))
    count = default_restarts(p, q) if restarts is None else restarts
    generator = np.random.default_rng(0) if rng is None else rng
    ends, record = _minimise(loss, starts, lambda: {
        **unmatched_starts(first.parts, second.parts, loss),
        **random_starts(first.parts, second.parts, loss, count, generator)})

    def valued(end: End) -> tuple[float, AffineChange]:
        h = AffineChange(*unwhitened(first, second, *end[1:]))
        return (math.sqrt(end[0]) if end[0] > SMALL**2 else precise_distance(a, b, h)), h

    value, change = min(map(valued, ends), key=lambda item: item[0])
    known = None
    if means:
        known, matching = valued(means[0])
        if known < value:  # by rounding, where both are nearly zero
            value, change = known, matching
    slope = loss(*ends[-1][1:])[1:]
    return AffineDistance(value, change, record, known, loss.evaluations,
                          max(float(np.abs(part).max()) for part in slope) < STATIONARY)


def _minimise(loss: Loss, starts: Mapping[str, Map], further: Callable[[], Mapping[str, Map]]
              ) -> tuple[list[End], dict[str, tuple[float, float]]]:
    """The best end of all descents, and its refinement by Newton steps if that succeeds, last; and the record."""
    ends: list[End] = []
    record = {}
    for group, enough in ((lambda: starts, NOTHING), (further, NEAR**2)):
        if ends and min(end[0] for end in ends) < enough:
            break
        for name, (matrix, shift) in group().items():
            before = loss(matrix, shift)[0]
            end = descend(loss, matrix, shift, FIRST_ITERATIONS)
            record[name] = (math.sqrt(max(before, 0.0)), math.sqrt(max(end[0], 0.0)))
            ends.append(end)
            if end[0] < enough:
                break
    ends.sort(key=lambda item: item[0])
    finals = [ends[0]]
    for end in ends[1:]:
        if len(finals) < FINALISTS and end[0] > finals[-1][0] + DISTINCT and finals[0][0] > NEAR**2:
            finals.append(end)
    settled = []
    for end in finals:
        finished = newton(loss, *end)
        if finished is None:
            end = descend(loss, *end[1:], ITERATIONS)
            finished = newton(loss, *end)
        settled.append([end] if finished is None else [end, finished])
    return min(settled, key=lambda pair: pair[-1][0]), record


def l2_distance(a: GaussianMixture, b: GaussianMixture) -> float:
    r"""The normalised L2 distance :math:`\|p - p'\| / (\|p\|^{1/2} \|p'\|^{1/2})` of two densities, unaligned.

    Zero for equal laws, symmetric, without the triangle inequality, and not bounded. Relative accuracy 1e-11 or
    better; evaluated in balls below 1e-4.

    Raises
    ------
    InputError
        For mixtures of different dimensions.
    DegenerateLawError
        For a singular covariance.
    """
    _check(a, b, "l2_distance")
    p, q = regular_parts(a, "l2_distance"), regular_parts(b, "l2_distance")
    half_p, half_q = log_square_norm(p) / 2, log_square_norm(q) / 2
    cosine = float(np.exp(log_inner(p, q) - half_p - half_q).sum())
    square = 2 * math.cosh(half_p - half_q) - 2 * cosine if abs(half_p - half_q) < 700 else math.inf
    if square > SMALL**2:
        return math.sqrt(square)
    m = a.latent_dim
    return precise_distance(a, b, AffineChange(np.eye(m, dtype=int), np.zeros(m, dtype=int)))


def _check(a: GaussianMixture, b: GaussianMixture, what: str) -> None:
    for item in (a, b):
        if not isinstance(item, GaussianMixture):
            raise InputError(f"{what}: expected two GaussianMixture, got {type(item).__name__}")
    if a.latent_dim != b.latent_dim:
        raise InputError(f"{what}: expected mixtures of one dimension, got {a.latent_dim} and {b.latent_dim}")


def _order(mixture: GaussianMixture) -> tuple[float, ...]:
    return (mixture.n_components, *mixture.weights, *mixture.means.ravel(), *mixture.covariances.ravel())
