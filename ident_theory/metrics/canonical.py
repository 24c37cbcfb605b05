"""Canonical correlations of two sets of latents, by QR and singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from ident_theory.errors import InputError
from ident_theory.metrics.latents import Columns, columns, listed, positive_int, same_length
from ident_theory.models.value import FloatArray

#: Correlations from which angles are taken from sines: an arc cosine errs by the error of its argument over the sine.
NEAR_ONE = 0.99


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal basis of the span of centred columns, and how it comes from them.

    Attributes
    ----------
    vectors : ndarray, shape (N, r)
        Orthonormal; r is the numerical rank.
    weights : ndarray, shape (d, r)
        ``vectors = (z - mean) @ weights``.
    dropped : ndarray, shape (d, d - r)
        Unit vectors w for which ``z @ w`` does not vary beyond rounding.
    """

    vectors: FloatArray
    weights: FloatArray
    dropped: FloatArray

    @property
    def rank(self) -> int:
        """Numerical rank r."""
        return self.vectors.shape[1]


def basis(z: Columns) -> Basis:
    """Basis of the span of the centred columns.

    The columns are scaled to length 1 first. A singular value counts as zero when it is at most
    max(N, d) eps times the largest, plus the length of the rounding errors that the data came with (for entries
    of size M and columns of standard deviation s that is eps M / s a column, with the eps of their own precision).
    """
    live = np.flatnonzero(z.lengths > 0)
    unit = z.unit if len(live) == z.width else z.unit[:, live]
    size, width = len(z), z.width
    if not len(live):
        return Basis(np.empty((size, 0)), np.empty((width, 0)), np.eye(width))
    q, r = np.linalg.qr(unit)
    left, values, right = np.linalg.svd(r)
    least = max(unit.shape) * np.finfo(np.float64).eps * values[0] + float(np.linalg.norm(z.roundings))
    rank = int((values > least).sum())
    weights = np.zeros((width, rank))
    weights[live] = right[:rank].T / values[:rank] / z.lengths[live, None]
    dropped = np.zeros((width, width - rank))
    still = np.flatnonzero(z.lengths == 0)
    dropped[still, np.arange(len(still))] = 1.0
    null = right[rank:].T / (z.lengths[live, None] / z.lengths[live].max())
    dropped[np.ix_(live, np.arange(len(still), width - rank))] = null / np.linalg.norm(null, axis=0)
    return Basis(q @ left[:, :rank], weights, dropped)


@dataclass(frozen=True, eq=False)
class CanonicalCorrelations:
    """Canonical correlations and the maps to the canonical variates.

    Attributes
    ----------
    correlations : ndarray, shape (k,)
        Descending, in [0, 1]. k = `n_components`.
    angles : ndarray, shape (k,)
        Their arc cosines in radians, ascending; accurate to rounding near 0 also, where the correlations are 1.
    weights_a, weights_b : ndarray, shapes (d_a, k) and (d_b, k)
        Variates of unit sample variance (divisor N - 1) on the data of the fit.
    means_a, means_b : ndarray, shapes (d_a,) and (d_b,)
    rank_a, rank_b : int
        Numerical ranks of the two sets.
    dropped_a, dropped_b : ndarray, shapes (d_a, d_a - rank_a) and (d_b, d_b - rank_b)
        Unit vectors w for which ``z @ w`` does not vary: these directions have no canonical variate. Constant
        latents come first, as unit coordinate vectors.
    n_observations : int
    notes : tuple of str
        What was dropped, in words.
    """

    correlations: FloatArray
    angles: FloatArray
    weights_a: FloatArray
    weights_b: FloatArray
    means_a: FloatArray
    means_b: FloatArray
    rank_a: int
    rank_b: int
    dropped_a: FloatArray
    dropped_b: FloatArray
    n_observations: int
    notes: tuple[str, ...] = ()

    @property
    def n_components(self) -> int:
        """Number of canonical variates: the lower of the two ranks, or `dimension` when that is lower."""
        return len(self.correlations)

    def variates_a(self, za: Any) -> FloatArray:
        """Canonical variates of observations of the first set, held out or not; shape (N, k)."""
        return self._apply(za, "za", self.means_a, self.weights_a)

    def variates_b(self, zb: Any) -> FloatArray:
        """Canonical variates of observations of the second set; shape (N, k)."""
        return self._apply(zb, "zb", self.means_b, self.weights_b)

    @staticmethod
    def _apply(data: Any, name: str, means: FloatArray, weights: FloatArray) -> FloatArray:
        z = columns(data, name)
        if z.width != len(means):
            raise InputError(f"{name}: expected {len(means)} latents as in the fit, found {z.width}")
        return np.asarray((z.values - means) @ weights)

    def __str__(self) -> str:
        lines = [f"{self.n_components} canonical correlations from {self.n_observations:,} observations, ranks "
                 f"{self.rank_a} and {self.rank_b}: {np.array2string(self.correlations, precision=4, threshold=12)}"]
        return "\n".join([*lines, *self.notes])


def canonical_correlations(za: Any, zb: Any, *, dimension: int | None = None) -> CanonicalCorrelations:
    r"""Canonical correlations of two sets of latents of the same observations.

    The i-th one is the largest correlation :math:`\operatorname{corr}(a^T z_A, b^T z_B)` over all pairs (a, b)
    uncorrelated with the earlier ones; it does not change under invertible affine maps of either set.
    The columns are centred in two passes and scaled, QR and singular values give orthonormal bases of their spans,
    and the correlations are the singular values of the product of the bases (Bjorck and Golub 1973).

    Parameters
    ----------
    za, zb : array_like, shapes (N, d_a) and (N, d_b)
        The same observations in the same order. A torch tensor will do, and shape (N,) for one latent.
    dimension : int, optional
        Keep this many; by default all, the lower of the two numerical ranks.

    Returns
    -------
    CanonicalCorrelations
        Errors of the correlations are of the order of eps times the condition number of the columns scaled to
        length 1. Constant and linearly dependent latents are no error: the directions without variation are
        dropped and listed in the result. A direction counts as without variation when its singular value, the
        columns scaled to length 1, is at most max(N, d) eps times the largest plus the rounding errors of the data
        in their own precision.

    Raises
    ------
    InputError
        For different numbers of observations, entries that are not finite, no variation at all, `dimension` above
        the lower rank, or too few observations: N <= max(d_a, d_b), or rank_a + rank_b > N - 1, where some
        correlations are 1 whatever the data are.
    """
    a, b = columns(za, "za"), columns(zb, "zb")
    same_length((a, b))
    basis_a, basis_b = enough(a, b, basis(a), basis(b))
    k = min(basis_a.rank, basis_b.rank)
    if dimension is not None and positive_int(dimension, "dimension") > k:
        raise InputError(f"expected dimension <= {k}, the lower of the numerical ranks {basis_a.rank} (za) and "
                         f"{basis_b.rank} (zb), got {dimension}")
    left, rho, right = canonical(basis_a, basis_b)
    keep = k if dimension is None else dimension
    scale = np.sqrt(len(a) - 1)
    weights_a, weights_b = basis_a.weights @ left[:, :keep], basis_b.weights @ right[:, :keep]
    return CanonicalCorrelations(
        rho[:keep], _angles(basis_a, basis_b, left, rho, right)[:keep], weights_a * scale, weights_b * scale,
        a.means, b.means, basis_a.rank, basis_b.rank, basis_a.dropped, basis_b.dropped, len(a),
        (*rank_notes(a, basis_a), *rank_notes(b, basis_b)))


def enough(a: Columns, b: Columns, basis_a: Basis, basis_b: Basis) -> tuple[Basis, Basis]:
    """The two bases, or `InputError` where canonical correlations say nothing."""
    for z, found in ((a, basis_a), (b, basis_b)):
        if len(z) <= z.width:
            raise InputError(f"canonical correlations: expected more observations than latents, {z.name} has shape "
                             f"{z.values.shape}; observations go in rows")
        if not found.rank:
            raise InputError(f"canonical correlations: expected a latent that varies, all {z.width} of {z.name} are "
                             "constant")
    if basis_a.rank + basis_b.rank > len(a) - 1:
        forced = basis_a.rank + basis_b.rank - len(a) + 1
        raise InputError(f"canonical correlations: expected N - 1 >= rank_a + rank_b, found N={len(a)} and ranks "
                         f"{basis_a.rank} and {basis_b.rank}: at least {forced} of the correlations are 1 whatever "
                         "the data are; use more observations or fewer latents")
    return basis_a, basis_b


def canonical(a: Basis, b: Basis) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Singular value decomposition of the product of two bases: left (r_a, k), correlations (k,), right (r_b, k)."""
    left, rho, right = np.linalg.svd(a.vectors.T @ b.vectors, full_matrices=False)
    return left, np.minimum(rho, 1.0), right.T


def _angles(a: Basis, b: Basis, left: FloatArray, rho: FloatArray, right: FloatArray) -> FloatArray:
    """Arc cosines of the correlations; near 1, where these do not resolve the angles, from the sines."""
    angles = np.arccos(rho)
    near = int((rho >= NEAR_ONE).sum())
    if near:
        rest = b.vectors @ right[:, :near] - a.vectors @ (left[:, :near] * rho[:near])
        sines = linalg.svdvals(np.linalg.qr(rest, mode="r"))
        angles[:near] = np.arcsin(np.minimum(sines[::-1], 1.0))
    return angles


def rank_notes(z: Columns, found: Basis) -> tuple[str, ...]:
    """What a rank below the number of latents means, in words."""
    if found.rank == z.width:
        return ()
    constant = f", constant: {listed(z.constant)}" if z.constant else ""
    return (f"{z.name}: {z.width} latents of numerical rank {found.rank}{constant}; directions without canonical "
            f"variate: {z.width - found.rank}",)
