"""Unmixing a conditionally factorial mixture: from Y = A Z + b to A up to permutation, signs and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq_mat
from scipy.sparse.csgraph import connected_components

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.exact.balls import from_float, outward, to_float
from ident_theory.exact.rationals import from_flint, to_flint
from ident_theory.models.change import AffineChange
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import ExactArray, FloatArray
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery.estimates import MixtureEstimate
from ident_theory.recovery.factorial_estimated import EstimatedBasis
from ident_theory.recovery.factorial_exact import clashing_pair, common_basis, pivot_of, sum_of
from ident_theory.recovery.factorial_joint import (
    amplification,
    correlations,
    images_of,
    joint_basis,
    ratio_gaps,
    sensitivities,
    tied_pairs,
)

Blocks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Unmixing:
    r"""What a mixture says about A in Y = A Z + b, Z with independent coordinates in every component.

    Columns of :math:`A'` are scaled so that their largest entry is 1 (the first of several of equal size, up to
    1e-9 of it), and stand in ascending order of :math:`\sum_j x^j v_{sj} / \sum_j v_{sj}`, v being the latent
    variances and x = 2 unless that hides a difference (for two components: of the ratio of the second variance to the
    first). Then :math:`A'^{-1} A` has one non-zero entry in each row and column. Negative ones cannot be excluded,
    and b cannot be recovered.

    Attributes
    ----------
    status : Status
        HOLDS: :math:`A'` is determined up to permutation, signs and scales. FAILS: it is not, because no A makes all
        components diagonal or because coordinates have variances in one proportion in all components. UNKNOWN: the
        estimate does not tell some coordinates apart.
    evidence : Evidence
        EXACT (rational entries), CERTIFIED (enclosed within the radii), NUMERICAL (a tolerance) or STATISTICAL.
    reason : str
    components : tuple of int
        The components whose covariances were used.
    matrix, inverse : ndarray, shape (m, m), or None
        :math:`A'` and its inverse, rounded; None when no basis makes all components diagonal.
    matrix_exact, inverse_exact : ndarray of Fraction, or None
        With evidence EXACT.
    radius, inverse_radius : float
        No entry of the rounded matrices is farther than this from the true one; NaN for NUMERICAL and STATISTICAL.
    mixture : GaussianMixture or None
        The law of :math:`Z' = A'^{-1} Y`, diagonal in the components used: exact with evidence EXACT, else rounded.
    blocks : tuple of tuple of int
        Columns that are not told apart from each other stand together; only the span of a block is determined.
    gap : float
        Least over pairs of coordinates of the relative distance of variance ratios: for two components
        :math:`|d_s - d_t| / \max(d_s, d_t)`, for more the largest such distance over pairs of components. Infinite
        for m = 1.
    condition : float
        Columns of :math:`A'` change relatively by at most this number times the largest relative change of the
        covariances (Euclidean norms, first order). Infinite when some coordinates are not told apart, or not by
        float64 (a gap below 1e-13 or so).
    residual : float
        Largest correlation left between coordinates of :math:`Z'` in a component.
    p_value : float or None
        STATISTICAL: that of the hypothesis that one A makes all components diagonal.
    standard_errors : ndarray, shape (m, m), or None
        STATISTICAL: those of the entries of :math:`A'` by perturbation theory.
    bootstrap_errors : ndarray, shape (m, m), or None
        The same by bootstrap.
    agreement : float or None
        Share of the bootstrap draws whose columns can be matched beyond doubt.
    estimate : MixtureEstimate or None
        `mixture` with the unmixed bootstrap draws as replicates, which carry the errors of :math:`A'` on; what
        `latent_graph` takes.
    """

    status: Status
    evidence: Evidence
    reason: str
    components: tuple[int, ...]
    matrix: FloatArray | None = None
    inverse: FloatArray | None = None
    matrix_exact: ExactArray | None = None
    inverse_exact: ExactArray | None = None
    radius: float = float("nan")
    inverse_radius: float = float("nan")
    mixture: GaussianMixture | None = None
    blocks: Blocks = ()
    gap: float = float("nan")
    condition: float = float("inf")
    residual: float = 0.0
    p_value: float | None = None
    standard_errors: FloatArray | None = None
    bootstrap_errors: FloatArray | None = None
    agreement: float | None = None
    estimate: MixtureEstimate | None = None

    @property
    def is_determined(self) -> bool:
        """Whether A' is determined up to permutation, signs and scales."""
        return self.status is Status.HOLDS

    @property
    def change(self) -> AffineChange:
        """The map z' -> A' z', which carries `mixture` to the law of Y.

        Raises
        ------
        UnsupportedError
            When there is no A'.
        """
        if self.matrix is None:
            raise UnsupportedError(f"Unmixing.change: no matrix was found. {self.reason}")
        matrix = self.matrix if self.matrix_exact is None else self.matrix_exact
        return AffineChange(matrix, [0] * len(matrix))

    def __str__(self) -> str:
        lines = [f"unmixing: {self.status} ({self.evidence})", self.reason]
        if self.matrix is not None:
            lines.append("A' = " + np.array2string(self.matrix, prefix="A' = ", precision=6))
            lines.append(f"gap {self.gap:.3g}, condition {self.condition:.3g}, residual correlation "
                         f"{self.residual:.1e}")
        return "\n".join(lines)


def unmix_factorial(y: GaussianMixture | MixtureEstimate, *, components: Sequence[int] | None = None,
                    tolerance: float | None = None, level: float = 0.05, n_boot: int = 0,
                    rng: np.random.Generator | None = None) -> Unmixing:
    r"""Find A in Y = A Z + b, Z with independent coordinates in every component (Theorem E.1).

    Two covariances :math:`A D_1 A^T` and :math:`A D_2 A^T` with distinct ratios :math:`D_2 / D_1` determine A up to
    permutation, signs and scales; here all components are used together, so that two coordinates are told apart as
    soon as any two components do so.

    Parameters
    ----------
    y : GaussianMixture or MixtureEstimate
        The law of Y. Numbers are taken as exact unless `tolerance` is given or they come as an estimate.
    components : sequence of int, optional
        The components to use; by default all of positive weight.
    tolerance : float, optional
        For rounded numbers: the largest correlation that may be left between coordinates, and the least `gap` that
        counts as one. Without it the numbers are exact: three or more rounded covariances are then, as a rule, not
        diagonal in any common basis.
    level : float
        For estimates: level of the test that one basis makes all components diagonal (Bonferroni over residuals),
        and of the tests that two coordinates have equal ratios (Bonferroni over pairs).
    n_boot : int
        For estimates: number of bootstrap draws, unmixed from scratch and matched to the columns found.
    rng : numpy.random.Generator, optional
        For `n_boot` > 0.

    Returns
    -------
    Unmixing
        A refusal is a result too; read `status` and `reason`.

    Raises
    ------
    InputError
        For arguments out of range.
    UnsupportedError
        For a component with a singular covariance.
    BudgetExceeded
        When irrational eigenvalues are not separated at the highest precision.

    Notes
    -----
    **Accuracy**: exact input: rational entries are exact, irrational ones enclosed by balls below 1e-19 relative to
    the largest entry, then rounded. With a tolerance: directions to about 1e-15 / gap as a function of the given
    numbers, whatever the conditioning of A; what the rounding of these numbers does is `condition` times 1e-16.
    Standard errors are of first order in the sampling errors; with latent labels see `MixtureEstimate`.

    References
    ----------
    Kivva et al. 2022, Theorem E.1, as corrected in the ledger (``kivva.thmE.1``: signed scales). The estimator is
    that of Pham (2001), "Joint approximate diagonalization of positive definite Hermitian matrices".
    """
    estimate = y if isinstance(y, MixtureEstimate) else None
    mixture = y.mixture if isinstance(y, MixtureEstimate) else y
    if not isinstance(mixture, GaussianMixture):
        raise InputError("unmix_factorial: expected a GaussianMixture or a MixtureEstimate, got "
                         f"{type(mixture).__name__}")
    _check_options(estimate, tolerance, level, n_boot, rng)
    used = _read_components(mixture, components)
    covariances = [to_flint(mixture.covariances_exact[j]) for j in used]
    for j, matrix in zip(used, covariances, strict=True):
        if matrix.det() == 0:
            raise UnsupportedError(f"unmix_factorial: component {j} has a singular covariance, where Theorem E.1 needs "
                                   "definite ones (condition P1); leave it out by `components`")
    if estimate is not None:
        return _from_estimate(estimate, used, covariances, level, n_boot, rng)
    if tolerance is not None:
        return _within(mixture, used, covariances, float(tolerance))
    return _exactly(mixture, used, covariances)


def _check_options(estimate: MixtureEstimate | None, tolerance: Any, level: Any, n_boot: Any, rng: Any) -> None:
    if tolerance is not None:
        if not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
            raise InputError(f"unmix_factorial: expected a tolerance between 0 and 1, got {tolerance!r}")
        if estimate is not None:
            raise InputError("unmix_factorial: expected no tolerance with an estimate, whose error bars take its "
                             "place; set `level`")
    if not isinstance(level, float) or not 0 < level < 1:
        raise InputError(f"unmix_factorial: expected a level between 0 and 1, got {level!r}")
    if not isinstance(n_boot, Integral) or isinstance(n_boot, bool | np.bool_) or n_boot < 0 or n_boot == 1:
        raise InputError(f"unmix_factorial: expected n_boot = 0 or at least 2 draws, got {n_boot!r}")
    if n_boot and estimate is None:
        raise InputError("unmix_factorial: expected a MixtureEstimate for a bootstrap, got exact numbers")
    if n_boot and not isinstance(rng, np.random.Generator):
        raise InputError(f"unmix_factorial: expected a numpy.random.Generator as rng, got {type(rng).__name__}")
    if n_boot and estimate is not None:
        for r, item in enumerate(estimate.replicates):
            if np.linalg.matrix_rank(item.covariances, hermitian=True).min() < item.latent_dim:
                raise InputError("unmix_factorial: expected definite covariances in every replicate, got a singular "
                                 f"one in replicates[{r}]")


def _read_components(mixture: GaussianMixture, components: Any) -> tuple[int, ...]:
    live = [j for j, weight in enumerate(mixture.weights_exact) if weight > 0]
    if components is None:
        return tuple(live)
    chosen = list(components) if isinstance(components, Sequence | np.ndarray) else []
    legal = all(isinstance(j, Integral) and not isinstance(j, bool) and j in live for j in chosen)
    if not chosen or not legal or len(set(chosen)) < len(chosen):
        raise InputError(f"unmix_factorial: expected components among {live}, each once, got {components!r}")
    return tuple(int(j) for j in chosen)


def _exactly(mixture: GaussianMixture, used: tuple[int, ...], covariances: list[fmpq_mat]) -> Unmixing:
    weights = mixture.weights[list(used)]
    clash = clashing_pair(covariances)
    if clash is not None:
        left = _residual(_conventional(joint_basis(covariances, weights), covariances)[2])
        reason = ("No A makes all components diagonal, so Z is not factorial given U: with T the sum of the "
                  f"covariances and S, S' those of components {used[clash[0]]} and {used[clash[1]]}, S T^-1 S' is not "
                  f"symmetric. The best basis leaves a correlation of {left:.2e}; if that is rounding, pass a "
                  "tolerance.")
        return Unmixing(Status.FAILS, Evidence.EXACT, reason, used, residual=left)
    basis = common_basis(covariances)
    (columns, radius), (rows, inverse_radius) = _rounded(basis.columns), _rounded(basis.rows)
    exact = (from_flint(basis.columns), from_flint(basis.rows)) if basis.is_exact else (None, None)
    fields = {"matrix_exact": exact[0], "inverse_exact": exact[1], "radius": radius, "inverse_radius": inverse_radius,
              **_measures(mixture, used, columns, rows, basis.blocks, weights, exact[1])}
    if any(len(block) > 1 for block in basis.blocks):
        fields["gap"] = 0.0
    return _judged(Status.FAILS, Evidence.EXACT if basis.is_exact else Evidence.CERTIFIED, used, fields,
                   "have variances in one proportion in all components, so a rotation can hide (P2 fails)")


def _within(mixture: GaussianMixture, used: tuple[int, ...], covariances: list[fmpq_mat],
            tolerance: float) -> Unmixing:
    weights = mixture.weights[list(used)]
    columns, rows, images = _conventional(joint_basis(covariances, weights), covariances)
    left = _residual(images)
    if left > tolerance:
        reason = (f"No A makes all components diagonal within the tolerance {tolerance:g}: the best basis leaves a "
                  f"correlation of {left:.2e}, so Z is not factorial given U.")
        return Unmixing(Status.FAILS, Evidence.NUMERICAL, reason, used, residual=left)
    blocks = _joined(ratio_gaps(np.einsum("jss->sj", images)) <= tolerance)
    return _judged(Status.FAILS, Evidence.NUMERICAL, used,
                   {"residual": left, **_measures(mixture, used, columns, rows, blocks, weights)},
                   f"have variances in one proportion in all components within the tolerance {tolerance:g}")


def _from_estimate(estimate: MixtureEstimate, used: tuple[int, ...], covariances: list[fmpq_mat], level: float,
                   n_boot: int, rng: np.random.Generator | None) -> Unmixing:
    weights = estimate.counts[list(used)]
    columns, rows, images = _conventional(joint_basis(covariances, weights), covariances)
    basis = EstimatedBasis(estimate, used, columns, rows, images)
    left, p_value = _residual(images), basis.diagonal_p_value()
    if p_value < level:
        reason = (f"No A makes all components diagonal (p = {p_value:.2g}, level {level:g}, error bars from "
                  f"{estimate.basis}): the best basis leaves a correlation of {left:.2g}, so Z is not factorial given "
                  "U.")
        return Unmixing(Status.FAILS, Evidence.STATISTICAL, reason, used, residual=left, p_value=p_value)
    pairs = len(rows) * (len(rows) - 1) // 2
    blocks = _joined(basis.separation_p_values() * pairs > level)
    fields = {"residual": left, "p_value": p_value, "standard_errors": basis.standard_errors(),
              **_measures(estimate.mixture, used, columns, rows, blocks, weights)}
    if n_boot:
        assert rng is not None
        draws = [basis.replicate(rng) for _ in range(n_boot)]
        fields |= {"bootstrap_errors": np.std([draw[0] for draw in draws], axis=0, ddof=1),
                   "agreement": float(np.mean([draw[1] for draw in draws])),
                   "estimate": MixtureEstimate(fields["mixture"], estimate.n_observations,
                                               [draw[2] for draw in draws])}
    return _judged(Status.UNKNOWN, Evidence.STATISTICAL, used, fields,
                   f"are not told apart at the level {level:g} with error bars from {estimate.basis}: their ratios of "
                   "variances may be equal")


def _judged(refusal: Status, evidence: Evidence, used: tuple[int, ...], fields: dict[str, Any], why: str) -> Unmixing:
    """The result when there is a basis: unique, or with blocks that nothing separates."""
    joined = [block for block in fields["blocks"] if len(block) > 1]
    if not joined:
        gap = f"; ratios of variances differ relatively by {fields['gap']:.3g} or more" if np.isfinite(fields["gap"]) \
            else ""
        return Unmixing(Status.HOLDS, evidence, f"A is determined up to permutation, signs and scales{gap}.", used,
                        **fields)
    names = "; ".join(f"z'{list(block)}" for block in joined)
    return Unmixing(refusal, evidence, f"The coordinates {names} {why}. The other columns of A' are determined up to "
                    "order, signs and scales; of these only the span is.", used, **fields)


def _measures(mixture: GaussianMixture, used: tuple[int, ...], columns: FloatArray, rows: FloatArray, blocks: Blocks,
              weights: FloatArray, exact_rows: ExactArray | None = None) -> dict[str, Any]:
    """The matrices, the unmixed mixture, blocks, gap and condition."""
    back = to_flint(exact_rows) if exact_rows is not None else \
        fmpq_mat([[from_float(entry) for entry in row] for row in rows.tolist()])
    means = to_flint(mixture.means_exact) * back.transpose()
    covariances = [from_flint(back * to_flint(matrix) * back.transpose()) for matrix in mixture.covariances_exact]
    for j in used:
        covariances[j] = np.diag(np.diag(covariances[j]))
    unmixed = GaussianMixture(mixture.weights_exact, from_flint(means), np.array(covariances), states=mixture.states)
    variances = np.array([np.diag(unmixed.covariances[j]) for j in used]).T
    condition = float("inf")
    if all(len(block) == 1 for block in blocks) and not tied_pairs(variances, weights).any():
        # A component's scale cancels; without it no square overflows.
        scales = np.abs(mixture.covariances[list(used)]).max(axis=(1, 2))
        k = sensitivities(variances / scales, weights)
        condition = amplification(columns, rows, mixture.covariances[list(used)] / scales[:, None, None], k)
    return {"matrix": columns, "inverse": rows, "mixture": unmixed, "blocks": blocks,
            "gap": float(ratio_gaps(variances).min()), "condition": condition}


def _conventional(basis: tuple[fmpq_mat, fmpq_mat],
                  covariances: list[fmpq_mat]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A' and its inverse in the convention of `Unmixing`, and the covariances W S_j W^T of Z'; rounded at the end."""
    columns, rows = basis
    size = rows.nrows()
    combined = rows * sum_of([matrix * 2**j for j, matrix in enumerate(covariances)]) * rows.transpose()
    total = rows * sum_of(covariances) * rows.transpose()
    order = sorted(range(size), key=lambda s: combined[s, s] / total[s, s])
    lines = columns.transpose().tolist()
    tops = [line[pivot_of([abs(to_float(entry)) for entry in line])] for line in lines]
    scaled = fmpq_mat([[entry / tops[s] for entry in lines[s]] for s in order]).transpose()
    duals = fmpq_mat([[entry * tops[s] for entry in rows.tolist()[s]] for s in order])
    return _rounded(scaled)[0], _rounded(duals)[0], images_of(duals, covariances)


def _residual(images: FloatArray) -> float:
    return float(np.abs(correlations(images)).max())


def _joined(related: np.ndarray) -> Blocks:
    """Classes of the equivalence that a symmetric relation generates, each sorted, in the order of their first."""
    labels = connected_components(related, directed=False)[1]
    return tuple(tuple(int(s) for s in np.flatnonzero(labels == label)) for label in dict.fromkeys(labels.tolist()))


def _rounded(matrix: fmpq_mat | arb_mat) -> tuple[FloatArray, float]:
    """Nearest floats, and a bound on how far any of them is from its entry."""
    with ctx.workprec(256):
        values = np.array([[to_float(entry) for entry in row] for row in matrix.tolist()])
        radius = max(outward(abs(arb(entry) - arb(from_float(value))))[1]
                     for row, line in zip(matrix.tolist(), values.tolist(), strict=True)
                     for entry, value in zip(row, line, strict=True))
    return values, radius


