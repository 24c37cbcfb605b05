"""Error bars of an alignment from the sampling errors of the two mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from ident_theory.errors import InputError
from ident_theory.models import GaussianMixture
from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_fit import Matched, jacobian, matched, open_directions, refine
from ident_theory.recovery.alignment_guesses import means_map
from ident_theory.recovery.alignment_l2 import Parts
from ident_theory.recovery.estimates import MixtureEstimate

if TYPE_CHECKING:
    from ident_theory.recovery.alignment import Alignment


@dataclass(frozen=True, eq=False)
class AlignmentErrors:
    """Standard errors of the map of an alignment.

    Attributes
    ----------
    matrix, shift : ndarray, shapes (m, m) and (m,)
        The map.
    matrix_error, shift_error : ndarray, shapes (m, m) and (m,)
        Standard errors by perturbation theory, infinite where the data leave the map open.
    matrix_bootstrap, shift_bootstrap : ndarray, shapes (m, m) and (m,)
        Standard deviations of the bootstrap maps; NaN without any.
    draws : ndarray, shape (n_boot, m, m + 1)
        The bootstrap maps [A | t], for the matching of the alignment.
    basis : str
        What the errors of the two mixtures rest on.
    """

    matrix: FloatArray
    shift: FloatArray
    matrix_error: FloatArray
    shift_error: FloatArray
    matrix_bootstrap: FloatArray
    shift_bootstrap: FloatArray
    draws: FloatArray
    basis: str

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of normal confidence intervals of the entries of [A | t], shapes (m, m + 1)."""
        if not 0 < level < 1:
            raise InputError(f"AlignmentErrors.interval: expected a level between 0 and 1, got {level}")
        center = np.concatenate([self.matrix, self.shift[:, None]], axis=1)
        error = np.concatenate([self.matrix_error, self.shift_error[:, None]], axis=1)
        reach = float(ndtri((1 + level) / 2)) * error
        return center - reach, center + reach


def alignment_errors(estimate_a: MixtureEstimate | GaussianMixture, estimate_b: MixtureEstimate | GaussianMixture,
                     alignment: Alignment, *, n_boot: int = 0, rng: np.random.Generator | None = None
                     ) -> AlignmentErrors:
    r"""Error bars of an alignment, by perturbation theory and by bootstrap.

    The map minimises a sum of squares of r(theta, x), x the parameters of both mixtures, so to first order
    :math:`d\theta = -(J^T J)^{-1} J^T (\partial r / \partial x)\, dx` with :math:`J = \partial r / \partial\theta`; the
    variance follows from the sampling covariance of x. Terms in which the residual itself multiplies dx are left out:
    they vanish when the mixtures are affinely equivalent in the population. The bootstrap refits the map to draws of
    both estimates. Both hold the matching of the components, and the weights of the objective, fixed.

    Parameters
    ----------
    estimate_a, estimate_b : MixtureEstimate or GaussianMixture
        The mixtures that were aligned; a GaussianMixture has no error.
    alignment : Alignment
    n_boot : int
        Number of bootstrap draws; zero for none.
    rng : numpy.random.Generator, optional
        Needed for the bootstrap.

    Raises
    ------
    InputError
        When neither mixture is an estimate, the mixtures do not fit the alignment, or `rng` is missing.
    """
    if not any(isinstance(item, MixtureEstimate) for item in (estimate_a, estimate_b)):
        raise InputError("alignment_errors: expected a MixtureEstimate on at least one side, got two mixtures without "
                         "error")
    if n_boot < 0 or (n_boot and rng is None):
        raise InputError(f"alignment_errors: expected n_boot >= 0 and a generator rng for the bootstrap, got "
                         f"n_boot={n_boot} and rng={rng}")
    p, q = _parts(estimate_a), _parts(estimate_b)
    if p.dim != len(alignment.shift) or q.dim != p.dim or \
            any(j >= p.count or k >= q.count for j, k in alignment.pairs):
        raise InputError("alignment_errors: expected the mixtures of the alignment, with "
                         f"{len(alignment.shift)} latents, got {p.count} components in dimension {p.dim} and "
                         f"{q.count} in dimension {q.dim}")
    errors = np.sqrt(_variances(estimate_a, estimate_b, alignment, p, q))
    draws = np.empty((n_boot, p.dim, p.dim + 1))
    for i in range(n_boot):
        assert rng is not None
        one, two = _drawn(estimate_a, rng), _drawn(estimate_b, rng)
        if alignment.by == "means":
            matrix, shift, _ = means_map(one, two, alignment.pairs)
        else:
            # Weights of the objective are those of the estimate, as the delta method has it.
            data = matched(Parts(p.weights, one.means, one.covariances), Parts(q.weights, two.means, two.covariances),
                           alignment.pairs, alignment.metric)
            matrix, shift, _ = refine(data, alignment.matrix, alignment.shift, tolerance=1e-9)
        draws[i] = np.concatenate([matrix, shift[:, None]], axis=1)
    spread = draws.std(axis=0, ddof=1) if n_boot > 1 else np.full(draws.shape[1:], np.nan)
    basis = "; ".join(f"{name}: {item.basis if isinstance(item, MixtureEstimate) else 'without error'}"
                      for name, item in (("first", estimate_a), ("second", estimate_b)))
    return AlignmentErrors(alignment.matrix, alignment.shift, errors[:, :-1], errors[:, -1], spread[:, :-1],
                           spread[:, -1], draws, basis)


def _parts(item: MixtureEstimate | GaussianMixture) -> Parts:
    mixture = item.mixture if isinstance(item, MixtureEstimate) else item
    return Parts(mixture.weights, mixture.means, mixture.covariances)


def _drawn(item: MixtureEstimate | GaussianMixture, rng: np.random.Generator) -> Parts:
    return Parts(*item.draw_arrays(rng)) if isinstance(item, MixtureEstimate) else _parts(item)


def _variances(a: MixtureEstimate | GaussianMixture, b: MixtureEstimate | GaussianMixture, alignment: Alignment,
               p: Parts, q: Parts) -> FloatArray:
    """Variances of the entries of [A | t], shape (m, m + 1)."""
    m, matrix, count = p.dim, alignment.matrix, len(alignment.pairs)
    rows, columns = np.array(alignment.pairs).T
    if alignment.by == "means":
        even = np.full(count, 1.0)
        data = Matched(p.means[rows], p.covariances[rows], q.means[columns], q.covariances[columns], even,
                       np.broadcast_to(np.eye(m), (count, m, m)))
        slope = jacobian(data, matrix)
        slope[:, m:] = 0.0
    else:
        data = matched(p, q, alignment.pairs, alignment.metric)
        slope = jacobian(data, matrix)
    flat = slope.reshape(-1, m * m + m)
    scale = 1 / np.linalg.norm(flat, axis=0)
    still, _ = open_directions((flat * scale).T @ (flat * scale))
    influence = (np.linalg.pinv(flat * scale, rcond=1e-7) * scale[:, None]).reshape(m * m + m, count, -1)
    weighted = influence * np.sqrt(data.weights)[None, :, None]
    g = data.metrics
    by_target = np.einsum("pja,jab->pjb", weighted[:, :, :m], g)
    lower = np.zeros((m * m + m, count, m, m))
    low, high = np.tril_indices(m)
    lower[:, :, low, high] = weighted[:, :, m:] * np.where(low == high, np.sqrt(0.5), 1.0)
    by_spread = np.einsum("jca,pjcd,jdb->pjab", g, lower, g, optimize=True)
    total = np.zeros(m * m + m)
    for item, places, means, spreads in (
            (a, rows, by_target @ matrix, np.einsum("ca,pjcd,db->pjab", matrix, by_spread, matrix, optimize=True)),
            (b, columns, by_target, by_spread)):
        if isinstance(item, MixtureEstimate):
            size = item.mixture.n_components
            all_means, all_spreads = np.zeros((len(total), size, m)), np.zeros((len(total), size, m, m))
            all_means[:, places], all_spreads[:, places] = means, spreads
            total = total + item.variance(means=all_means, covariances=all_spreads)
    if len(still):
        total = np.where(np.abs(still).max(axis=0) > 1e-7, np.inf, total)
    return np.concatenate([total[:m * m].reshape(m, m), total[m * m:, None]], axis=1)
