"""Choosing the nk + 1 values of u of an L matrix, and how far that matrix is from a singular one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz, fmpz_mat, nmod_mat
from scipy.linalg import qr

from ident_theory.errors import InputError
from ident_theory.exact.rationals import to_float
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.value import ExactArray, FloatArray

#: The first prime modulo which determinants are shown not to vanish: below 2^31, so that JSON readers keep it.
MODULUS = 2**31 - 1
#: An exchange of two values of u must enlarge the volume by this factor, so that rounding cannot cycle.
EXCHANGE_GAIN = 1.001


def table(prior: ConditionalPrior) -> ExactArray:
    """The parameters as one flat vector a value of u: shape (n_u, n k), latent by latent."""
    return prior.natural_exact.reshape(prior.n_values, -1)


def l_matrix(prior: ConditionalPrior, points: Sequence[int]) -> ExactArray:
    r"""The matrix :math:`L = [\lambda(u_1) - \lambda(u_0), \dots, \lambda(u_{nk}) - \lambda(u_0)]`, exactly.

    Parameters
    ----------
    prior : ConditionalPrior
    points : sequence of n k + 1 indices of values of u
        The first is u_0.

    Returns
    -------
    ndarray of Fraction, shape (n k, n k)
        Row i k + j belongs to statistic j of latent i, column l to u_(l + 1).
    """
    rows = table(prior)
    size = rows.shape[1]
    indices = [int(u) for u in points]
    if len(indices) != size + 1 or not all(0 <= u < len(rows) for u in indices):
        raise InputError(f"l_matrix: expected {size + 1} indices of values of u below {len(rows)}, got {indices}")
    return np.asarray((rows[indices[1:]] - rows[indices[0]]).T, dtype=object)


def integer_rows(rows: ExactArray) -> list[list[int]]:
    """Every row times the least common denominator of its entries."""
    scaled = []
    for row in rows:
        common = math.lcm(*(item.denominator for item in row))
        scaled.append([item.numerator * (common // item.denominator) for item in row])
    return scaled


def residues(rows: ExactArray, modulus: int) -> nmod_mat | None:
    """A rational matrix modulo a prime; None when the prime divides a denominator."""
    if any(item.denominator % modulus == 0 for item in rows.ravel().tolist()):
        return None
    entries = [item.numerator * pow(item.denominator, -1, modulus) % modulus for item in rows.ravel().tolist()]
    return nmod_mat(*rows.shape, entries, modulus)


def exact_rank(rows: ExactArray) -> int:
    """The rank of a rational matrix: modulo a prime where that is full already, else by elimination in integers."""
    if not rows.size:
        return 0
    quick = residues(rows, MODULUS)
    if quick is not None and quick.rank() == min(rows.shape):
        return min(rows.shape)
    return int(fmpz_mat(integer_rows(rows if rows.shape[0] > rows.shape[1] else rows.T)).rank())


def nonzero_residue(prior: ConditionalPrior, points: Sequence[int], attempts: int | None = None,
                    ) -> tuple[int, int] | None:
    """A prime and the determinant of L modulo it, not 0: that proves L invertible.

    Primes are tried downwards from `MODULUS`; None after `attempts` of them. Without a limit, only for an L that
    is known to be invertible: then some prime does not divide its determinant.
    """
    matrix = l_matrix(prior, points)
    modulus, tried = MODULUS, 0
    while attempts is None or tried < attempts:
        if fmpz(modulus).is_prime():
            reduced = residues(matrix, modulus)
            determinant = 0 if reduced is None else int(reduced.det())
            if determinant:
                return modulus, determinant
            tried += 1
        modulus -= 2
    return None


def choose_points(prior: ConditionalPrior) -> tuple[int, ...] | None:
    r"""The nk + 1 values of u whose parameters span a simplex of large volume, shown to be non-degenerate.

    The volume is :math:`|\det L| / (nk)!`, whichever of the values is u_0. Pivoted QR proposes values in floats;
    then single values are exchanged while that enlarges the volume. The result is one that no single exchange
    improves by more than a tenth of a percent, within :math:`(nk + 1)^{(nk + 1)/2}` of the largest, and as a
    rule much closer. Should rounding mislead the floats, independent rows are picked by exact elimination.

    Returns
    -------
    tuple of int or None
        First u_0, the chosen value nearest to the mean of the chosen, then the others in ascending order. None
        when no choice is invertible, which exact elimination then has shown.
    """
    rows = table(prior)
    size = rows.shape[1]
    if len(rows) < size + 1:
        return None
    scaled = _unit_scaled(rows)
    proposal = None if scaled is None else _maximal_volume(scaled)
    if scaled is not None and proposal is not None and nonzero_residue(prior, proposal, attempts=2) is not None:
        return _with_base(scaled, proposal)
    bordered = np.concatenate([np.full((len(rows), 1), Fraction(1)), rows], axis=1)
    if exact_rank(bordered) < size + 1:
        return None
    exact = _pivot_columns(fmpz_mat(integer_rows(bordered)).transpose())
    return exact if scaled is None else _with_base(scaled, exact)


def _unit_scaled(rows: ExactArray) -> FloatArray | None:
    """Every parameter shifted and scaled to [0, 1] before it is rounded; None when one of them is constant."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    if np.any(low == high):
        return None
    return to_float((rows - low) / (high - low))


def _maximal_volume(scaled: FloatArray) -> list[int] | None:
    count, size = scaled.shape
    basis, _ = np.linalg.qr(np.concatenate([np.ones((count, 1)), scaled], axis=1))
    _, _, order = qr(basis.T, mode="economic", pivoting=True)
    chosen = [int(u) for u in order[:size + 1]]
    for _ in range(20 * (size + 1)):
        try:
            ratios = np.linalg.solve(basis[chosen].T, basis.T).T  # ratio of the volumes after each exchange
        except np.linalg.LinAlgError:
            return None
        u, place = np.unravel_index(int(np.argmax(np.abs(ratios))), ratios.shape)
        if not abs(ratios[u, place]) > EXCHANGE_GAIN:
            break
        chosen[int(place)] = int(u)
    return chosen if len(set(chosen)) == size + 1 else None


def _with_base(scaled: FloatArray, chosen: Sequence[int]) -> tuple[int, ...]:
    points = scaled[list(chosen)]
    base = chosen[int(np.argmin(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))]
    return (base, *sorted(u for u in chosen if u != base))


def _pivot_columns(matrix: fmpz_mat) -> tuple[int, ...]:
    reduced, _, rank = matrix.rref()
    pivots, column = [], 0
    for row in range(rank):
        while reduced[row, column] == 0:
            column += 1
        pivots.append(column)
    return tuple(pivots)


def margins(prior: ConditionalPrior, points: Sequence[int]) -> dict[str, Any]:
    """How far L is from a singular matrix, in floats, as it is and with every row divided by its spread over u.

    **Accuracy.** The relative error of the smallest singular value is about 1e-16 times the condition number; a
    condition number above 1e15 says only that it is at least of that order. None stands for overflow.
    """
    exact = l_matrix(prior, points)
    rows = table(prior)
    spread = rows.max(axis=0) - rows.min(axis=0)
    found: dict[str, Any] = {}
    for name, matrix in (("", exact), ("scaled_", exact / spread[:, None])):
        values = np.linalg.svd(to_float(matrix), compute_uv=False)
        with np.errstate(all="ignore"):
            figures = {"condition_number": float(values[0] / values[-1]), "smallest_singular_value": float(values[-1])}
        found |= {name + key: value if math.isfinite(value) else None for key, value in figures.items()}
    return found
