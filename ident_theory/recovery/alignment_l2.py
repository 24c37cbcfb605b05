"""L2 inner products of Gaussian mixtures in closed form, and their derivatives by an affine map of the first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat, ctx

from ident_theory.errors import DegenerateLawError
from ident_theory.exact.rationals import rational
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.models.value import ExactArray, FloatArray

#: Smallest eigenvalue of a covariance scaled to unit diagonal that counts as regular in float64.
LEAST_EIGENVALUE = 1e-13
LOG_2PI = math.log(2 * math.pi)
#: Bits with which small distances are evaluated again.
BITS = 128
#: Bits of a squared distance that are enough: more than 1e-12.
ENOUGH = 42


@dataclass(frozen=True)
class Parts:
    """Components of a mixture in float64: weights (J,), means (J, m), covariances (J, m, m)."""

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    @property
    def count(self) -> int:
        """Number of components J."""
        return len(self.weights)

    @property
    def dim(self) -> int:
        """Dimension m."""
        return int(self.means.shape[1])

    def moved(self, matrix: FloatArray, shift: FloatArray) -> Parts:
        """The mixture of A z + t."""
        return Parts(self.weights, self.means @ matrix.T + shift, matrix @ self.covariances @ matrix.T)

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean (m,) and covariance (m, m) of the whole mixture."""
        center = self.weights @ self.means
        gaps = self.means - center
        return center, np.einsum("j,jab->ab", self.weights, self.covariances) + (gaps.T * self.weights) @ gaps


def parts_of(mixture: GaussianMixture) -> Parts:
    """The components of positive weight."""
    keep = mixture.weights > 0
    return Parts(mixture.weights[keep], mixture.means[keep], mixture.covariances[keep])


def regular_parts(mixture: GaussianMixture, what: str) -> Parts:
    """The components of positive weight, all of which must have densities.

    Raises
    ------
    DegenerateLawError
        When a covariance is singular in float64.
    """
    p = parts_of(mixture)
    scale = np.sqrt(np.einsum("jaa->ja", p.covariances))
    for j in range(p.count):
        if not np.all(scale[j] > 0) or \
                np.linalg.eigvalsh(p.covariances[j] / np.outer(scale[j], scale[j]))[0] <= LEAST_EIGENVALUE:
            raise DegenerateLawError(
                f"{what}: expected components with a density, got the singular covariance "
                f"{p.covariances[j].tolist()}; the L2 distance does not exist. Drop the component, or add a small "
                "multiple of the unit matrix to all covariances of both mixtures")
    return p


def swept(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverses and log determinants of positive definite matrices stored as (m, m, P), pairs last.

    Gauss-Jordan steps on the diagonal, which needs no pivoting there, one step for all pairs at once. A pivot that is
    not positive gives a determinant that is NaN.
    """
    work = matrices.copy()
    logs = np.zeros(matrices.shape[2:])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for i in range(len(work)):
            pivot = work[i, i].copy()
            logs += np.log(pivot)
            row = work[i] / pivot
            column = work[:, i].copy()
            column[i] = 0.0
            work -= column[:, None] * row[None]
            work[:, i] = -column / pivot
            work[i] = row
            work[i, i] = 1.0 / pivot
    return work, logs


def log_inner(p: Parts, q: Parts) -> FloatArray:
    r"""Logarithms of :math:`w_j v_k N(\mu_j; \nu_k, \Sigma_j + \Gamma_k)`, shape (J, K)."""
    total = p.covariances.transpose(1, 2, 0)[..., None] + q.covariances.transpose(1, 2, 0)[:, :, None]
    inverse, logs = swept(total.reshape(p.dim, p.dim, -1))
    gaps = (p.means.T[:, :, None] - q.means.T[:, None]).reshape(p.dim, -1)
    squares = np.einsum("ap,abp,bp->p", gaps, inverse, gaps, optimize=True)
    return np.log(p.weights)[:, None] + np.log(q.weights) \
        - 0.5 * (p.dim * LOG_2PI + logs + squares).reshape(p.count, q.count)


def log_square_norm(p: Parts) -> float:
    """Logarithm of the integral of the squared density."""
    return _log_sum(log_inner(p, p))


def _log_sum(logs: FloatArray) -> float:
    top = float(np.max(logs))
    return top + math.log(float(np.sum(np.exp(logs - top))))


class Loss:
    r"""The squared normalised distance of A z + t from a target, and its gradient.

    .. math:: \Delta^2 = \frac{\|h_\# p - q\|^2}{\|h_\# p\| \|q\|} = r + \frac1r - 2 c, \quad
              r = \frac{\|p\|}{\|q\| \sqrt{|\det A|}}, \quad c = \frac{\langle h_\# p, q\rangle}{\|h_\# p\| \|q\|}.

    Terms of c are formed in logs, so scales of any size do no harm. Rounding leaves an error of about 1e-15 in
    :math:`\Delta^2`, which is why `precise_distance` takes over below 1e-4.
    """

    def __init__(self, p: Parts, q: Parts) -> None:
        self.p, self.q = p, q
        self.log_p, self.log_q = log_square_norm(p), log_square_norm(q)
        self.evaluations = 0
        self._weights = (np.log(p.weights)[:, None] + np.log(q.weights)).ravel()
        self._targets = np.ascontiguousarray(q.covariances.transpose(1, 2, 0))[:, :, None, :]

    def __call__(self, matrix: FloatArray, shift: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, and derivatives by A (m, m) and t (m,); infinite for an A that is singular or overflows."""
        self.evaluations += 1
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._evaluate(matrix, shift)

    def _evaluate(self, matrix: FloatArray, shift: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        p, q, m = self.p, self.q, self.p.dim
        sign, log_det = np.linalg.slogdet(matrix)
        if sign == 0 or not np.isfinite(log_det):
            return math.inf, np.zeros((m, m)), np.zeros(m)
        images = matrix @ p.covariances
        carried = np.ascontiguousarray((images @ matrix.T).transpose(1, 2, 0))
        inverse, logs = swept((carried[..., None] + self._targets).reshape(m, m, -1))
        gaps = ((p.means @ matrix.T + shift).T[:, :, None] - q.means.T[:, None]).reshape(m, -1)
        pulls = np.einsum("abp,bp->ap", inverse, gaps)
        logs = self._weights - 0.5 * (m * LOG_2PI + logs + np.einsum("ap,ap->p", gaps, pulls))
        terms = np.exp(logs - 0.5 * (self.log_p - log_det + self.log_q))
        cosine = float(terms.sum())
        if not math.isfinite(cosine):
            return math.inf, np.zeros((m, m)), np.zeros(m)
        log_ratio = max(min(0.5 * (self.log_p - self.log_q - log_det), 700.0), -700.0)
        value = 2 * math.cosh(log_ratio) - 2 * cosine
        # Sums over the target's components of terms (pull pull^T - inverse), one matrix a component of p.
        weighted = pulls * terms
        spread = np.einsum("ajk,bjk->jab", weighted.reshape(m, p.count, -1), pulls.reshape(m, p.count, -1),
                           optimize=True)
        spread -= np.einsum("abjk,jk->jab", inverse.reshape(m, m, p.count, -1), terms.reshape(p.count, -1))
        force = weighted.reshape(m, p.count, -1).sum(axis=2)
        by_matrix = np.einsum("jab,jbc->ac", spread, images, optimize=True) - force @ p.means
        outward = np.linalg.inv(matrix).T
        slope = -math.sinh(log_ratio) - cosine
        return value, slope * outward - 2 * by_matrix, 2 * force.sum(axis=1)


def precise_distance(a: GaussianMixture, b: GaussianMixture, change: AffineChange) -> float:
    """The normalised distance of h#P and P' in balls, for the exact numbers of both and of h: correct to 1e-12.

    Zero when the squared distance is not told from zero with four times `BITS` bits, hence below about 1e-100.
    """
    for bits in (BITS, 2 * BITS, 4 * BITS):
        with ctx.workprec(bits):
            matrix, one, two = _balls(change.matrix_exact), _ball_parts(a), _ball_parts(b)
            shift = _balls(change.shift_exact[:, None])
            carried = [(w, matrix * mean + shift, matrix * c * matrix.transpose()) for w, mean, c in one]
            square_a, square_b = _ball_norm(one) / abs(matrix.det()), _ball_norm(two)
            square = (square_a + square_b - 2 * _ball_inner(carried, two)) / (square_a * square_b).sqrt()
            if square > 0 and square.rel_accuracy_bits() > ENOUGH:
                return float(square.sqrt())
    return 0.0


Component = tuple[arb, arb_mat, arb_mat]


def _balls(matrix: ExactArray) -> arb_mat:
    rows, columns = matrix.shape
    return arb_mat(rows, columns, [arb(rational(v)) for v in matrix.ravel()])


def _ball_parts(p: GaussianMixture) -> list[Component]:
    return [(arb(rational(w)), _balls(mean[:, None]), _balls(c)) for w, mean, c in
            zip(p.weights_exact, p.means_exact, p.covariances_exact, strict=True) if w]


def _ball_norm(items: list[Component]) -> arb:
    """Squared norm: each pair of components once."""
    return sum((_ball_inner([item], [item]) + 2 * _ball_inner([item], items[:j]) for j, item in enumerate(items)),
               arb(0))


def _ball_inner(p: list[Component], q: list[Component]) -> arb:
    total = arb(0)
    for weight, place, spread in p:
        for other, target, width in q:
            gap, both = place - target, spread + width
            square = (gap.transpose() * both.solve(gap))[0, 0]
            total += weight * other * (-square / 2).exp() / both.det().sqrt()
    return total / (2 * arb.pi()) ** (arb(p[0][1].nrows()) / 2)
