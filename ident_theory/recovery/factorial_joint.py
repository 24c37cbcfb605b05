"""The basis in which estimated or rounded covariances are as nearly diagonal as they can be, and its derivatives.

Notation: W = A'^-1 (rows w_s), F_j = W S_j W^T, v_sj = F_j[s, s], n_j the weight of component j. The criterion is
sum_j n_j (log det diag F_j - log det F_j), which is zero when all F_j are diagonal and whose minimiser is the
maximum likelihood estimate when n_j S_j are independent Wishart matrices (Flury 1984; Pham 2001).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat

from ident_theory.exact.balls import from_float, to_float
from ident_theory.models.value import FloatArray
from ident_theory.recovery.factorial_exact import sum_of

#: Random combinations tried as starts beside the pairs of components; more do not help, the scoring does the rest.
_RANDOM_STARTS = 16
_PAIR_STARTS = 45
_STEPS = 500
_SMALL_STEP = 1e-15
#: Mean square of half the differences of log ratios below which they are nothing but rounding.
_TIED = 1e-28
#: Bits of the rows of W: conditionings of A up to 2^100 lose nothing that a float64 shows.
_BITS = 320


def joint_basis(covariances: Sequence[fmpq_mat], weights: FloatArray) -> tuple[fmpq_mat, fmpq_mat]:
    """Columns A' and rows A'^-1 that minimise the criterion, held as rationals.

    Products with the covariances are formed in rationals, so that rounding errors grow with neither the conditioning
    of A nor the size of the covariances: for covariances that one basis does make diagonal, the directions are right
    to about 1e-15 / gap relatively, with `gap` the least relative distance of variance ratios.
    """
    covariances = unit_traces(covariances)
    rows = _whitening(covariances)
    images = images_of(rows, covariances)
    rows = _shortened(_dyadic(start(images, weights)) * rows)
    for _ in range(3):
        step = refine(images_of(rows, covariances), weights)
        rows = _shortened(_dyadic(step) * rows)
        if np.abs(step - np.diag(np.diag(step))).max() < 1e-13:
            break
    return rows.inv(), rows


def start(images: FloatArray, weights: FloatArray) -> FloatArray:
    """A first W, shape (m, m), from combinations of two whitened matrices: the one of least criterion."""
    count = len(images)
    values, vectors = np.linalg.eigh(images.sum(axis=0))
    whiten = (vectors / np.sqrt(values)).T
    images = whiten @ images @ whiten.T
    pairs = list(itertools.combinations(range(count), 2))[:_PAIR_STARTS]
    tries = np.zeros((len(pairs), count))
    for row, (a, b) in zip(tries, pairs, strict=True):
        row[a], row[b] = 1.0, -1.0
    tries = np.concatenate([np.eye(count)[-1:], tries,
                            np.random.default_rng(0).standard_normal((_RANDOM_STARTS if count > 2 else 0, count))])
    candidates = np.linalg.eigh(np.tensordot(tries, images, 1))[1].transpose(0, 2, 1)
    best = min(candidates, key=lambda rows: criterion(rows @ images @ rows.T, weights))
    return np.asarray(best @ whiten)


def criterion(images: FloatArray, weights: FloatArray) -> float:
    """The sum over j of n_j (log det diag F_j - log det F_j)."""
    diagonals = np.einsum("jss->js", images)
    signs, logs = np.linalg.slogdet(images)
    if (diagonals <= 0).any() or (signs <= 0).any():
        return float("inf")
    return float(weights @ (np.log(diagonals).sum(axis=1) - logs))


def refine(images: FloatArray, weights: FloatArray) -> FloatArray:
    """The W that minimises the criterion, shape (m, m), by Fisher scoring with step halving from the identity."""
    total = unit = np.eye(images.shape[1])
    current = images
    value, best, stalled = criterion(current, weights), float("inf"), 0
    for _ in range(_STEPS):
        step = scoring_step(current, weights)
        largest = float(np.abs(step).max())
        stalled = 0 if largest < best / 2 else stalled + 1
        best = min(best, largest)
        if not np.isfinite(largest):
            break
        length = 1.0 / max(1.0, float(np.linalg.norm(step)))
        while True:
            # Between nearly equal ratios a step is a rotation, and Cayley's transform keeps it one.
            half = length / 2 * step
            move = np.linalg.solve(unit + half, unit - half)
            trial = move @ current @ move.T
            # The criterion is quadratic in the correlations, so rounding hides what the last small steps gain.
            if length * largest < 1e-4 or criterion(trial, weights) <= value:
                break
            length /= 2
        total, current = move @ total, (trial + trial.transpose(0, 2, 1)) / 2
        value = criterion(current, weights)
        if largest <= _SMALL_STEP or (stalled > 3 and largest < 1e-6):
            break
    return np.asarray(total)


def sensitivities(variances: FloatArray, weights: FloatArray) -> FloatArray:
    r"""The derivative of the basis: k of shape (m, m, J) with :math:`\delta A = A C, C_{st} = \sum_j k_{stj} F_{j,st}`.

    For small off-diagonal entries F_j,st = C_st v_tj + C_ts v_sj + noise of variance v_sj v_tj / n_j: weighted least
    squares in the two unknowns, for each pair s, t by itself.

    Parameters
    ----------
    variances : ndarray, shape (m, J)
    weights : ndarray, shape (J,)
    """
    even, odd, root = _responses(variances, weights)
    scale = np.sqrt(variances)
    k = (even - odd) / 2 * root[:, :, None] / (scale[:, None] * scale[None])
    k[np.diag_indices(len(variances))] = 0.0
    return np.asarray(k)


def scoring_step(images: FloatArray, weights: FloatArray) -> FloatArray:
    """C of one step W <- (I + C / 2)^-1 (I - C / 2) W."""
    even, odd, root = _responses(np.einsum("jss->sj", images), weights)
    left = correlations(images)
    # Between nearly equal ratios the odd part is large and the even part small: they must not be mixed before.
    return np.asarray((np.einsum("stj,jst->st", even, left) - np.einsum("stj,jst->st", odd, left)) / 2 * root)


def tied_pairs(variances: FloatArray, weights: FloatArray) -> np.ndarray:
    """Pairs s != t with equal ratios up to rounding, shape (m, m): no direction in their plane beats another."""
    return np.asarray(~_responses(variances, weights)[1].any(axis=2) & ~np.eye(len(variances), dtype=bool))


def _responses(variances: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The normal equations of C_st and C_ts, solved for their sum and difference.

    With h_j = log v_sj - log v_tj, its weighted mean 2 log q and x_j = h_j / 2 - log q, correlations are
    F_j,st / sqrt(v_sj v_tj) = e cosh x_j + o sinh x_j with C_st = q (e - o) / 2 and C_ts = (e + o) / (2 q).

    Returns
    -------
    even, odd : ndarray, shape (m, m, J)
        Coefficients of e and o in the correlations; those of o are zero for ratios equal up to rounding.
    root : ndarray, shape (m, m)
        q.
    """
    logs = np.log(variances)
    halves = (logs[:, None] - logs[None]) / 2
    middle = halves @ weights / weights.sum()
    x = halves - middle[:, :, None]
    even, odd = np.cosh(x), np.sinh(x)
    square, cross, odd_square = (even**2) @ weights, (even * odd) @ weights, (odd**2) @ weights
    tied = (odd_square <= _TIED * weights.sum())[:, :, None]
    determinant = np.where(tied[:, :, 0], 1.0, square * odd_square - cross**2)[:, :, None]
    on_even = weights * (odd_square[:, :, None] * even - cross[:, :, None] * odd) / determinant
    on_odd = weights * (square[:, :, None] * odd - cross[:, :, None] * even) / determinant
    return np.where(tied, weights * even / square[:, :, None], on_even), np.where(tied, 0.0, on_odd), np.exp(middle)


def correlations(images: FloatArray) -> FloatArray:
    """Correlations left in F_j, shape (J, m, m), with zeros on the diagonal."""
    roots = np.sqrt(np.einsum("jss->js", images))
    left = images / roots[:, :, None] / roots[:, None]
    left[:, np.arange(left.shape[1]), np.arange(left.shape[1])] = 0.0
    return np.asarray(left)


def ratio_gaps(variances: FloatArray) -> FloatArray:
    """For coordinates s, t: 1 - min r over pairs of components, r the smaller of the ratio of ratios and its inverse.

    For two components: |d_s - d_t| / max(d_s, d_t) with d = v_2 / v_1. Zero exactly when the variances of s and t are
    in one proportion in all components. Infinite on the diagonal.

    Parameters
    ----------
    variances : ndarray, shape (m, J)

    Returns
    -------
    ndarray, shape (m, m)
    """
    logs = np.log(variances)
    differences = logs[:, None] - logs[None]
    gaps = -np.expm1(-np.ptp(differences, axis=2))
    np.fill_diagonal(gaps, np.inf)
    return np.asarray(gaps)


def amplification(columns: FloatArray, rows: FloatArray, covariances: FloatArray, k: FloatArray) -> float:
    """Largest relative change of a column of A', first order, for relative changes of size one of the covariances.

    Both are measured by the Euclidean (Frobenius) norm, and the bound sums the effects of the components:
    max_s sum_j |sum_t k_tsj a_t w_t^T|_2 |w_s| |S_j|_F / |a_s|.
    """
    sizes = np.linalg.norm(covariances, axis=(1, 2))
    worst = 0.0
    for s in range(len(rows)):
        effects = np.einsum("tj,it,tk->jik", k[:, s], columns, rows)
        total = np.linalg.norm(effects, ord=2, axis=(1, 2)) @ sizes
        worst = max(worst, float(total * np.linalg.norm(rows[s]) / np.linalg.norm(columns[:, s])))
    return worst


def images_of(rows: fmpq_mat, covariances: Sequence[fmpq_mat]) -> FloatArray:
    """F_j = W S_j W^T, formed in rationals and rounded."""
    back = rows.transpose()
    return np.array([[[to_float(entry) for entry in line] for line in (rows * matrix * back).tolist()]
                     for matrix in covariances])


def unit_traces(covariances: Sequence[fmpq_mat]) -> list[fmpq_mat]:
    """The covariances divided by their traces: the criterion does not see the scale, and no float then over- or
    underflows."""
    size = covariances[0].nrows()
    return [matrix * (1 / sum((matrix[i, i] for i in range(size)), fmpq(0))) for matrix in covariances]


def _whitening(covariances: Sequence[fmpq_mat]) -> fmpq_mat:
    """R with R T R^T = I to the rounding of square roots, T the sum: D^-1/2 L^-1 of T = L D L^T."""
    size = covariances[0].nrows()
    total = sum_of(covariances).tolist()
    lower = fmpq_mat([[fmpq(i == k) for k in range(size)] for i in range(size)]).tolist()
    for i in range(size):
        for r in range(i + 1, size):
            factor = total[r][i] / total[i][i]
            total[r] = [a - factor * b for a, b in zip(total[r], total[i], strict=True)]
            lower[r] = [a - factor * b for a, b in zip(lower[r], lower[i], strict=True)]
    with ctx.workprec(_BITS):
        scales = [(1 / arb(total[i][i]).sqrt()).mid().fmpq() for i in range(size)]
    return _shortened(fmpq_mat([[scale * entry for entry in row] for scale, row in zip(scales, lower, strict=True)]))


def _shortened(matrix: fmpq_mat) -> fmpq_mat:
    """The entries to `_BITS` bits, so that products stay short."""
    with ctx.workprec(_BITS):
        return fmpq_mat([[arb(entry).mid().fmpq() for entry in row] for row in matrix.tolist()])


def _dyadic(matrix: FloatArray) -> fmpq_mat:
    return fmpq_mat([[from_float(entry) for entry in row] for row in matrix.tolist()])
