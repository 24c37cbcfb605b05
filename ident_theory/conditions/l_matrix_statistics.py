"""A test of the L matrix for estimated parameters."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from scipy.stats import chi2

from ident_theory.conditions.l_matrix_choice import table
from ident_theory.exact.rationals import to_float
from ident_theory.exact.verify_matrices import SMALLEST_PROBABILITY
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.value import FloatArray, pivots_semidefinite

#: Relative steps back from the floats until rationals prove the bound.
_STEPS = (1e-5, 1e-3, 1e-1)
#: Eigenvalues below this share of the largest are rounding errors: some hundred units in the last place.
SINGULAR = 1e-13
#: A value of u known far better than the others counts at most this many times more than the least known.
_LARGEST_RATIO = 1e6


@dataclass(frozen=True)
class DegeneracyTest:
    r"""A test of the hypothesis that the true parameters are degenerate.

    Attributes
    ----------
    weights : tuple of Fraction, length n_u
    bound : Fraction
        A proven lower bound t of the statistic.
    probability : Fraction
        The chance, at most, that degenerate parameters give estimates as far from degenerate as these.
    """

    weights: tuple[Fraction, ...]
    bound: Fraction
    probability: Fraction


def degeneracy_test(prior: ConditionalPrior) -> DegeneracyTest | None:
    r"""Test whether some :math:`c \ne 0` makes :math:`c \cdot \lambda(u)` the same at every u.

    If it does, then for Gaussian estimates with covariances :math:`C_u`, independent over u,

    .. math:: \min_\gamma \sum_u (c \cdot \hat\lambda(u) - \gamma)^2 / (c^T C_u c)

    is chi-square with n_u - 1 degrees of freedom, exactly. The test rejects when the least value over all c is
    too large for that, so nothing has to be corrected for the choice of c or of values of u. With
    :math:`C = \sum_u C_u` and weights :math:`w_u C_u \preceq C`, that least value is at least the smallest
    generalised eigenvalue t of the weighted scatter of the estimates against C: a bound that is sharp when the
    covariances are proportional to each other, and otherwise on the safe side.

    Returns
    -------
    DegeneracyTest or None
        None when the bound is zero: the estimates themselves are degenerate, or too nearly so for float64.

    **Accuracy.** Floats propose; the weights and the bound are then proven in rationals.
    """
    assert prior.covariance_exact is not None
    try:
        with np.errstate(all="raise"):
            proposal = _propose(to_float(table(prior)), to_float(prior.covariance_exact))
    except (FloatingPointError, np.linalg.LinAlgError):
        return None
    if proposal is None:
        return None
    weights, statistic = proposal
    for step in _STEPS:
        w = tuple(_rounded(item * (1 - step)) for item in weights)
        t = _rounded(statistic * (1 - 3 * step))
        if _is_proven(prior, w, t):
            tail = float(chi2.sf(float(t), prior.n_values - 1)) * (1 + 1e-9)
            probability = SMALLEST_PROBABILITY if tail < SMALLEST_PROBABILITY else Fraction(Decimal(f"{tail:.12e}"))
            return DegeneracyTest(w, t, probability)
    return None


def needed_statistic(prior: ConditionalPrior, level: float) -> float:
    """The statistic above which the chance of error is below a level."""
    return float(chi2.isf(level, prior.n_values - 1))


def _propose(rows: FloatArray, covariances: FloatArray) -> tuple[FloatArray, float] | None:
    """Weights and the smallest generalised eigenvalue of the scatter, in floats."""
    total = covariances.sum(axis=0)
    weights = _weights(covariances, total)
    values, vectors = np.linalg.eigh(_scatter(rows, weights))
    if not values[0] > SINGULAR * values[-1]:
        return None
    root = vectors / np.sqrt(values)
    largest = float(np.linalg.eigvalsh(root.T @ total @ root)[-1])
    return (weights, 1 / largest) if largest > 0 else None


def _weights(covariances: FloatArray, total: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(total)
    kept = values > SINGULAR * max(values[-1], 0.0)
    root = vectors[:, kept] / np.sqrt(values[kept])
    shares = np.array([np.linalg.eigvalsh(root.T @ matrix @ root)[-1] if kept.any() else 0.0
                       for matrix in covariances])
    largest = float(shares.max())
    return np.asarray(1 / np.maximum(shares, (largest or 1.0) / _LARGEST_RATIO))


def _scatter(rows: FloatArray, weights: FloatArray) -> FloatArray:
    centered = rows - weights @ rows / weights.sum()
    return np.asarray((centered * weights[:, None]).T @ centered)


def _rounded(value: float) -> Fraction:
    """To six digits, so that certificates stay readable."""
    return Fraction(Decimal(f"{value:.5e}"))


def _is_proven(prior: ConditionalPrior, weights: tuple[Fraction, ...], bound: Fraction) -> bool:
    covariances, rows = prior.covariance_exact, table(prior)
    assert covariances is not None
    total = covariances.sum(axis=0)
    if not all(pivots_semidefinite(np.asarray(total - w * matrix))[0]
               for w, matrix in zip(weights, covariances, strict=True)):
        return False
    column = np.array(weights, dtype=object)
    centered = rows - (column @ rows) / sum(weights, Fraction(0))
    scatter = np.asarray((centered * column[:, None]).T @ centered)
    semidefinite, determinant = pivots_semidefinite(scatter)
    return semidefinite and determinant != 0 and pivots_semidefinite(np.asarray(scatter - bound * total))[0]
