"""Affine alignment of Gaussian mixtures, exact and estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ident_theory.errors import DegenerateLawError, InputError
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_errors import AlignmentErrors, alignment_errors
from ident_theory.recovery.alignment_exact import ExactAlignments, exact_alignments
from ident_theory.recovery.alignment_fit import jacobian, matched, open_directions, refine, residuals
from ident_theory.recovery.alignment_guesses import (
    Pairs,
    Whitened,
    assignment,
    discrepancies,
    guesses,
    invariants,
    means_map,
    means_matchings,
    to_whitened,
    unwhitened,
    whitened,
)
from ident_theory.recovery.alignment_l2 import Loss, Parts, parts_of
from ident_theory.recovery.estimates import MixtureEstimate

__all__ = ["Alignment", "AlignmentErrors", "ExactAlignments", "align_mixtures", "alignment_errors", "exact_alignments",
           "exact_between"]

By = Literal["means and covariances", "means"]
#: Guesses that are refined to the end.
REFINED = 4
#: Residuals of whitened means this close to the least one tie; ties go to the L2 distance.
TIE = 1e-9
#: A map, or a covariance scaled to unit diagonal, worse conditioned than this counts as singular in float64.
SINGULAR = 1e13


@dataclass(frozen=True, eq=False)
class Alignment:
    r"""An affine map h(z) = A z + t that brings one Gaussian mixture onto another.

    Attributes
    ----------
    by : str
        "means and covariances" or "means".
    matrix, shift : ndarray, shapes (m, m) and (m,)
        A and t.
    pairs : tuple of (int, int)
        Component j of the first goes to component k of the second; as many as there are on both sides. Components of
        weight zero are left out.
    residual : float
        By means and covariances: :math:`\sqrt{R / \sum_j \omega_j}` with the objective R of `Matched`, in units of
        the components' spreads, hence the same for any affine change of both mixtures. By means:
        :math:`\sqrt{\sum_j |G (A \mu_j + t - \nu_j)|^2}`, where G whitens P'.
    distance : float or None
        Normalised L2 distance of h#P and P' (see `affine_distance`); None when a covariance is singular. Not told
        from zero below 1e-7.
    exact : AffineChange or None
        A map in rationals with h#P = P' exactly, if there is one; `matrix` and `shift` are then its float64 view.
    condition : float
        Condition number of A as a map between the whitened mixtures, one for affinely equivalent ones.
    design_condition : float
        Condition number of the least squares problem in coordinates where both mixtures are whitened (by means: of
        the centred means), open directions left out.
    metric : ndarray, shape (m, m), or None
        The common G of the objective when a matched covariance of the second is singular.
    open_directions : ndarray, shape (k, m, m + 1)
        Directions [dA | dt] in which the data leave the map open; empty as a rule.
    reason : str
        What the map rests on, and what is left open.
    """

    by: By
    matrix: FloatArray
    shift: FloatArray
    pairs: Pairs
    residual: float
    distance: float | None
    exact: AffineChange | None
    condition: float
    design_condition: float
    metric: FloatArray | None
    open_directions: FloatArray
    reason: str

    @property
    def change(self) -> AffineChange:
        """The map; its float64 entries as rationals unless an exact one is known."""
        return AffineChange(self.matrix, self.shift) if self.exact is None else self.exact

    def __call__(self, z: FloatArray) -> FloatArray:
        """Images of points, (N, m) -> (N, m)."""
        return self.change(z)


def align_mixtures(a: GaussianMixture | MixtureEstimate, b: GaussianMixture | MixtureEstimate, *,
                   by: By = "means and covariances") -> Alignment:
    r"""The affine map that best brings the mixture P onto P'.

    An exact map in rationals is looked for first. Otherwise, *by means*: least squares on the means for matchings of
    the components (Kivva et al. 2022, Appendix J.1), for all of them while they are few, else for those that iterated
    assignment reaches from several starts; matchings that fit equally well, which for J = m + 1 are all, are told
    apart by the L2 distance. *By means and covariances*: guesses come from rotations of the whitened mixtures,
    from whitening with one component and diagonalising another, and from invariants; matching and fit are iterated,
    and the objective R of `alignment_fit.Matched` is minimised by damped Newton steps. Matchings that no start
    leads to are not seen, so for large J the map is the best found.

    Parameters
    ----------
    a, b : GaussianMixture or MixtureEstimate
        P and P', of one dimension m; the numbers of components and the weights need not agree.
    by : {"means and covariances", "means"}

    Returns
    -------
    Alignment

    Raises
    ------
    InputError
        For another `by` or mixtures of different dimensions.
    DegenerateLawError
        When one mixture lies on a plane; by means also when the means do not span (always for J < m + 1), or when no
        matching gives an invertible map. The message names the open directions.
    """
    if by not in ("means and covariances", "means"):
        raise InputError(f"align_mixtures: expected by=\"means and covariances\" or \"means\", got {by!r}")
    one, two = (item.mixture if isinstance(item, MixtureEstimate) else item for item in (a, b))
    for item in (one, two):
        if not isinstance(item, GaussianMixture):
            raise InputError(f"align_mixtures: expected GaussianMixture or MixtureEstimate, got {type(item).__name__}")
    if one.latent_dim != two.latent_dim:
        raise InputError(f"align_mixtures: expected mixtures of one dimension, got {one.latent_dim} and "
                         f"{two.latent_dim}")
    p, q = parts_of(one), parts_of(two)
    for name, parts in (("first", p), ("second", q)):
        _spans(parts.moments()[1], f"align_mixtures: the {name} mixture lies on a plane")
    if by == "means":
        for name, parts in (("first", p), ("second", q)):
            gaps = parts.means - parts.means.mean(0)
            _spans(gaps.T @ gaps, f"align_mixtures: the means of the {name} mixture do not span, so they leave the map "
                                  "open", "use by=\"means and covariances\"")
        if min(p.count, q.count) <= p.dim:
            raise DegenerateLawError(f"align_mixtures: {min(p.count, q.count)} matched means leave a map of {p.dim} "
                                     "latents open; use by=\"means and covariances\"")
    first, second = whitened(p), whitened(q)
    exact = exact_between(one, two)
    if exact is not None:
        return _finished(by, p, q, first, second, exact.matrix, exact.shift, None, exact, one, two)
    if by == "means":
        matrix, shift, pairs = _by_means(first, second)
    else:
        matrix, shift, pairs = _by_both(first, second)
    return _finished(by, p, q, first, second, matrix, shift, pairs, None, one, two)


def _spans(gram: FloatArray, what: str, advice: str = "align in the coordinates of that plane") -> None:
    scale = np.sqrt(np.diag(gram))
    scale = np.where(scale > 1e-150, scale, 1.0)
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    null = values <= values[-1] / SINGULAR
    if null.any():
        raise DegenerateLawError(f"{what} in the directions {(vectors[:, null].T * (1 / scale)).tolist()}; {advice}")


def exact_between(a: GaussianMixture, b: GaussianMixture) -> AffineChange | None:
    """An exact map, looked for only where weights agree and invariants nearly do."""
    one, two = a.reduced(), b.reduced()
    if sorted(one.weights_exact) != sorted(two.weights_exact):
        return None
    first, second = (np.sort(invariants(whitened(parts_of(item)).parts), axis=0) for item in (one, two))
    if not np.allclose(first, second, rtol=1e-4, atol=1e-4):
        return None
    found = exact_alignments(a, b, limit=1).changes
    return found[0] if found else None


def _metric(p: Parts, q: Parts, pairs: Pairs) -> FloatArray | None:
    """None when all matched covariances of the target are regular, else G with G S' G^T the unit matrix."""
    spread = q.covariances[[k for _, k in pairs]]
    scale = np.sqrt(np.einsum("jaa->ja", spread))
    if scale.all() and np.linalg.cond(spread / (scale[:, :, None] * scale[:, None])).max() < SINGULAR:
        return None
    return np.linalg.inv(np.linalg.cholesky(q.moments()[1]))


def _by_both(first: Whitened, second: Whitened) -> tuple[FloatArray, FloatArray, Pairs]:
    p, q = first.parts, second.parts
    found = []
    for guess in guesses(p, q, np.random.default_rng(0))[:REFINED]:
        data = matched(p, q, guess.pairs, _metric(p, q, guess.pairs))
        matrix, shift, value = refine(data, guess.matrix, guess.shift)
        if np.linalg.cond(matrix) < SINGULAR:
            found.append((value / float(data.weights.sum()), matrix, shift, guess.pairs))
    if not found:
        raise DegenerateLawError("align_mixtures: every matching of the components that was tried gives a singular map")
    _, matrix, shift, pairs = min(found, key=lambda item: item[0])
    return *unwhitened(first, second, matrix, shift), pairs


def _by_means(first: Whitened, second: Whitened) -> tuple[FloatArray, FloatArray, Pairs]:
    p, q = first.parts, second.parts
    fits = [(*means_map(p, q, pairs), pairs) for pairs in means_matchings(p, q, np.random.default_rng(0))]
    fits = [fit for fit in fits if np.linalg.cond(fit[0]) < SINGULAR]
    if not fits:
        raise DegenerateLawError("align_mixtures: every matching of the means that was tried gives a singular map")
    limit = min(fit[2] for fit in fits) + TIE
    ties = [fit for fit in fits if fit[2] <= limit]
    loss = Loss(p, q) if _regular(p) and _regular(q) else None

    def order(fit: tuple[FloatArray, FloatArray, float, Pairs]) -> float:
        matrix, shift, _, pairs = fit
        if loss is not None:
            return loss(matrix, shift)[0]
        rows, columns = np.array(pairs).T
        return float(discrepancies(p, q, matrix, shift)[rows, columns].sum())

    matrix, shift, _, pairs = min(ties, key=order) if len(ties) > 1 else ties[0]
    return *unwhitened(first, second, matrix, shift), pairs


def _regular(p: Parts) -> bool:
    return _metric(p, p, tuple((j, j) for j in range(p.count))) is None


def _finished(by: By, p: Parts, q: Parts, first: Whitened, second: Whitened, matrix: FloatArray, shift: FloatArray,
              pairs: Pairs | None, exact: AffineChange | None, a: GaussianMixture, b: GaussianMixture) -> Alignment:
    """The alignment with everything that is reported about it."""
    m = p.dim
    turn, move = to_whitened(first, second, matrix, shift)
    if pairs is None:
        pairs = assignment(discrepancies(first.parts, second.parts, turn, move))
    metric = _metric(p, q, pairs)
    near = matched(first.parts, second.parts, pairs, None if metric is None else np.eye(m))
    left_open = np.empty((0, m, m + 1))
    if by == "means":
        rows, columns = np.array(pairs).T
        residual = float(np.linalg.norm(first.parts.means[rows] @ turn.T + move - second.parts.means[columns]))
        design = float(np.linalg.cond(first.parts.means[rows] - first.parts.means[rows].mean(0)))
        reason = f"least squares on {len(pairs)} matched means"
        if len(pairs) == m + 1:
            reason += "; m + 1 means are fitted by every matching, so the L2 distance chose among them"
    else:
        residual = math.sqrt(float((residuals(near, turn, move)**2).sum()) / float(near.weights.sum()))
        slope = jacobian(near, turn).reshape(-1, m * m + m)
        kept, design = open_directions(slope.T @ slope)
        reason = f"least squares on means and covariances of {len(pairs)} matched components"
        if len(kept):
            left_open = np.array([_unwhitened_direction(first, second, d, m) for d in kept])
            reason += f"; they leave {len(kept)} directions of the map open"
    distance = math.sqrt(max(Loss(p, q)(matrix, shift)[0], 0.0)) if _regular(p) and _regular(q) else None
    if exact is not None:
        residual, distance = 0.0, None if distance is None else 0.0
        reason = "an exact map in rationals" + ("; the means and covariances leave others" if len(left_open) else "")
    places = [np.flatnonzero(item.weights > 0) for item in (a, b)]
    kept_pairs = tuple((int(places[0][j]), int(places[1][k])) for j, k in pairs)
    return Alignment(by, matrix, shift, kept_pairs, residual, distance, exact, float(np.linalg.cond(turn)), design,
                     metric, left_open, reason)


def _unwhitened_direction(first: Whitened, second: Whitened, direction: FloatArray, m: int) -> FloatArray:
    """A direction [dA | dt] of whitened maps in the coordinates of the mixtures."""
    matrix = second.root @ direction[:m * m].reshape(m, m) @ np.linalg.inv(first.root)
    shift = second.root @ direction[m * m:] - matrix @ first.center
    return np.concatenate([matrix, shift[:, None]], axis=1)
