"""Mean correlation coefficient (MCC) of two sets of latents, strong and weak."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ident_theory.errors import InputError
from ident_theory.metrics.canonical import Basis, basis, canonical, enough, rank_notes
from ident_theory.metrics.latents import (
    Columns,
    columns,
    generator,
    listed,
    one_of,
    positive_int,
    same_length,
)
from ident_theory.models.value import FloatArray
from ident_theory.numerics import Evidence

IntArray = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, eq=False)
class MCC:
    """A mean correlation coefficient; ``float(result)`` is its value.

    Attributes
    ----------
    value : float
        Mean of the absolute correlations of the matched pairs, in [0, 1].
    per_dimension : ndarray, shape (k,)
        Their absolute correlations, descending.
    columns_a, columns_b : ndarray of int, shape (k,)
        Which column of each side is matched, in the order of `per_dimension`. For the weak kind columns of the aligned
        latents; -1 where the numerical rank left none, which scores 0.
    signs : ndarray, shape (k,)
        Signs of the correlations on the observations of the alignment; 0 where there is none.
    n_flipped : int
        How many matched correlations have the other sign on the observations of the score.
    n_align, n_score : int
        Observations that gave the alignment (permutation, affine map) and the score.
    in_sample : bool
        Whether these are the same observations; the value is then biased upwards.
    kind, correlation, alignment, constant : str
        As asked; `alignment` is ``"permutation"`` for the strong kind.
    weights_a, weights_b : ndarray, shapes (d_a, k) and (d_b, k)
        The alignment: ``(z - means) @ weights``, columns in the order of `per_dimension`.
    means_a, means_b : ndarray, shapes (d_a,) and (d_b,)
    notes : tuple of str
        Conventions that were applied, in words.
    """

    value: float
    per_dimension: FloatArray
    columns_a: IntArray
    columns_b: IntArray
    signs: FloatArray
    n_flipped: int
    n_align: int
    n_score: int
    in_sample: bool
    kind: str
    correlation: str
    alignment: str
    constant: str
    weights_a: FloatArray
    weights_b: FloatArray
    means_a: FloatArray
    means_b: FloatArray
    notes: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value

    @property
    def cumulative(self) -> FloatArray:
        """Mean over the best 1, 2, ..., k dimensions, shape (k,); the last entry is `value`."""
        return np.cumsum(self.per_dimension) / np.arange(1, len(self.per_dimension) + 1)

    @property
    def permutation(self) -> IntArray:
        """Which column of b each column of a is matched with, -1 for none; shape (columns of a,)."""
        matched = self.columns_a >= 0
        width = len(self.means_a) if self.kind == "strong" else int(self.columns_a.max(initial=-1)) + 1
        found = np.full(width, -1, dtype=np.intp)
        found[self.columns_a[matched]] = self.columns_b[matched]
        return found

    def aligned(self, za: Any, zb: Any) -> tuple[FloatArray, FloatArray]:
        """Both sides after the alignment, shape (N, k) each: matched columns, best first, positively correlated.

        The alignment comes from the observations of the fit; these may be others.
        """
        sides = []
        for data, name, means, weights in ((za, "za", self.means_a, self.weights_a),
                                           (zb, "zb", self.means_b, self.weights_b)):
            z = columns(data, name)
            if z.width != len(means):
                raise InputError(f"{name}: expected {len(means)} latents as in the fit, found {z.width}")
            sides.append(np.asarray((z.values - means) @ weights))
        return sides[0], sides[1]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without the maps."""
        return {"kind": self.kind, "correlation": self.correlation, "alignment": self.alignment, "value": self.value,
                "per_dimension": self.per_dimension.tolist(), "cumulative": self.cumulative.tolist(),
                "columns_a": self.columns_a.tolist(), "columns_b": self.columns_b.tolist(),
                "signs": self.signs.tolist(), "n_flipped": self.n_flipped, "n_align": self.n_align,
                "n_score": self.n_score, "in_sample": self.in_sample, "constant": self.constant,
                "evidence": str(Evidence.STATISTICAL), "notes": list(self.notes)}

    def __str__(self) -> str:
        where = f"in sample, {self.n_score:,} observations" if self.in_sample else \
            f"aligned on {self.n_align:,} observations, scored on {self.n_score:,} others"
        by = "matched by a permutation" if self.kind == "strong" else f"aligned by {self.alignment}"
        return "\n".join([f"{self.kind} MCC {self.value:.4f} ({self.correlation.capitalize()}, "
                          f"{len(self.per_dimension)} dimensions {by}; {where})", *self.notes])


def mcc(za: Any, zb: Any, kind: str = "strong", *, correlation: str = "pearson", split: str | None = None,
        rng: np.random.Generator | None = None, dimension: int | None = None, alignment: str = "cca",
        constant: str = "error") -> MCC:
    r"""Mean correlation coefficient of two sets of latents of the same observations.

    Strong: :math:`\max_\pi \frac1k \sum_i |\operatorname{corr}(z_{A,i}, z_{B,\pi(i)})|` over all matchings of
    k = min(d_a, d_b) columns, solved as an assignment problem. It is 1 exactly when the latents agree up to a
    permutation and affine maps of the coordinates: a recovery up to z -> z^3 scores less by Pearson.
    Weak: first both sides are mapped affinely, by default to their canonical variates, then the same.
    With canonical variates the weak value can be *below* the strong one; with a least-squares fit, Pearson and in
    sample, it cannot as long as the columns of each side are linearly independent.

    Parameters
    ----------
    za, zb : array_like, shapes (N, d_a) and (N, d_b)
        The same observations in the same order; d_a and d_b may differ. Torch tensors will do.
    kind : {"strong", "weak"}
    correlation : {"pearson", "spearman"}
        Spearman: Pearson of the ranks, ties averaged. The affine alignment always uses the values.
    split : {None, "half"}
        ``"half"``: the alignment (permutation, signs, affine maps) comes from one half of the observations, drawn with
        `rng`, and the score from the other. None: in sample, biased upwards.
    rng : numpy.random.Generator, optional
        Needed for ``split="half"``.
    dimension : int, optional
        Weak only: how many aligned dimensions, the best ones of the alignment; min(d_a, d_b) by default.
    alignment : {"cca", "least squares"}
        Weak only. ``"least squares"``: za is mapped to the affine fit of zb, and compared with zb itself.
    constant : {"error", "zero"}
        What to do with latents that are constant to rounding (range at most 4 rounding errors of the largest entry,
        in the precision of the data), and, for the weak kind, with aligned dimensions that are missing because the
        numerical rank (see `canonical_correlations`) is too low: refuse, or score them 0.

    Returns
    -------
    MCC
        The correlations are computed from columns centred in two passes, so that an offset costs no digits beyond
        those that the data lost by it.

    Raises
    ------
    InputError
        For different numbers of observations, entries that are not finite, fewer observations than latents,
        constant or too few independent latents (see `constant`), or options that do not fit.

    References
    ----------
    Khemakhem et al. (2020), ICE-BeeM, Appendix A.2; Kivva et al. (2022), Appendix J.1.
    """
    settings = Settings(kind, correlation, alignment, constant, dimension)
    a, b = columns(za, "za"), columns(zb, "zb")
    same_length((a, b))
    fit, score = halves(len(a), split, rng)
    return compare(Side(a, fit, score), Side(b, fit, score), settings)


@dataclass(frozen=True)
class Settings:
    """The options of `mcc` that do not depend on the data, checked."""

    kind: str
    correlation: str
    alignment: str
    constant: str
    dimension: int | None

    def __post_init__(self) -> None:
        one_of(self.kind, ("strong", "weak"), "kind")
        one_of(self.correlation, ("pearson", "spearman"), "correlation")
        one_of(self.alignment, ("cca", "least squares"), "alignment")
        one_of(self.constant, ("error", "zero"), "constant")
        if self.dimension is not None:
            positive_int(self.dimension, "dimension")
            if self.kind == "strong":
                raise InputError("dimension belongs to kind='weak'; the strong MCC of the best k dimensions is "
                                 "cumulative[k - 1] of the result")


Rows = IntArray | None


def halves(size: int, split: str | None, rng: np.random.Generator | None) -> tuple[Rows, Rows]:
    """Rows of the alignment and of the score; None, None for all rows in both."""
    one_of(split, (None, "half"), "split")
    if split is None:
        return None, None
    order = generator(rng, "split='half'").permutation(size)
    return np.sort(order[:size // 2]), np.sort(order[size // 2:])


class Side:
    """One set of latents on the rows of the alignment and on those of the score; what is costly is kept."""

    def __init__(self, whole: Columns, fit: Rows, score: Rows) -> None:
        self.whole = whole
        self.in_sample = fit is None
        self.fit = whole if fit is None else whole.rows(fit, f"{whole.name} (half of the alignment)")
        self.score = whole if score is None else whole.rows(score, f"{whole.name} (half of the score)")

    @cached_property
    def basis(self) -> Basis:
        """Orthonormal basis of the columns on the rows of the alignment."""
        return basis(self.fit)

    def mapped(self, weights: FloatArray) -> tuple[Columns, Columns]:
        """Affine images on the rows of the alignment and of the score."""
        parts = [(self.fit, "aligned")] if self.in_sample else \
            [(self.fit, "aligned"), (self.score, "aligned (half of the score)")]
        images = [Columns(f"{self.whole.name} {name}", (part.values - self.fit.means) @ weights, part.precision)
                  for part, name in parts]
        return images[0], images[-1]


def compare(a: Side, b: Side, settings: Settings) -> MCC:
    """The MCC of two prepared sides."""
    for side in (a, b):
        for part in (side.fit, side.score):
            if len(part) < max(3, part.width):
                raise InputError(f"{part.name}: expected at least {max(3, part.width)} observations for {part.width} "
                                 f"latents, found {len(part)}; observations go in rows"
                                 + ("" if side.in_sample else ", and split='half' halves them"))
    if settings.kind == "strong":
        return _strong(a, b, settings)
    if settings.alignment == "cca":
        return _canonical(a, b, settings)
    return _least_squares(a, b, settings)


def _strong(a: Side, b: Side, settings: Settings) -> MCC:
    of_a, of_b, signs = _match(a.fit, b.fit, settings)
    signs[np.isin(of_a, a.fit.constant) | np.isin(of_b, b.fit.constant)] = 0.0
    matched = of_a, of_b, signs
    # A latent that is constant on the half of the alignment has an arbitrary match, whatever it does on the other.
    score = np.where(signs == 0, 0.0, _paired(a.score, b.score, of_a, of_b, settings))
    weights_a, weights_b = np.eye(a.fit.width)[:, matched[0]], np.eye(b.fit.width)[:, matched[1]]
    return _result(a, b, settings, matched, score, weights_a, weights_b, (), centred=False)


def _canonical(a: Side, b: Side, settings: Settings) -> MCC:
    basis_a, basis_b = enough(a.fit, b.fit, a.basis, b.basis)
    wanted, keep = _dimensions(a, b, basis_a.rank, basis_b.rank, settings)
    left, rho, right = canonical(basis_a, basis_b)
    left, right = left[:, :keep], right[:, :keep]
    scale = np.sqrt(len(a.fit) - 1)
    weights_a, weights_b = basis_a.weights @ left * scale, basis_b.weights @ right * scale
    same = np.arange(keep)
    matched = same, same, np.ones(keep)
    if settings.correlation == "pearson" and a.in_sample:
        score = rho[:keep]  # the variates' correlation matrix is diagonal: no permutation does better
    else:
        (fit_a, score_a), (fit_b, score_b) = a.mapped(weights_a), b.mapped(weights_b)
        if settings.correlation == "spearman":
            matched = _match(fit_a, fit_b, settings)
        score = _paired(score_a, score_b, *matched[:2], settings)
    return _result(a, b, settings, matched, score, weights_a[:, matched[0]], weights_b[:, matched[1]],
                   (*rank_notes(a.fit, basis_a), *rank_notes(b.fit, basis_b)), missing=wanted - keep)


def _least_squares(a: Side, b: Side, settings: Settings) -> MCC:
    basis_a, _ = enough(a.fit, b.fit, a.basis, b.basis)
    _no_constants(b.fit, settings)
    wanted, keep = _dimensions(a, b, basis_a.rank, b.fit.width - len(b.fit.constant), settings)
    weights = basis_a.weights @ (basis_a.vectors.T @ (b.fit.unit * b.fit.lengths))
    fit, score = a.mapped(weights)
    matched = _match(fit, b.fit, settings, zeros_allowed=True)
    strength = np.abs(_paired(fit, b.fit, *matched[:2], settings, zeros_allowed=True))
    best = np.argsort(-strength, kind="stable")[:keep]
    matched = matched[0][best], matched[1][best], matched[2][best]
    values = _paired(score, b.score, *matched[:2], settings)
    return _result(a, b, settings, matched, values, weights[:, matched[0]], np.eye(b.fit.width)[:, matched[1]],
                   rank_notes(a.fit, basis_a), missing=wanted - keep)


def _dimensions(a: Side, b: Side, rank_a: int, rank_b: int, settings: Settings) -> tuple[int, int]:
    """How many aligned dimensions count, and how many there are."""
    most = min(a.fit.width, b.fit.width)
    wanted = most if settings.dimension is None else settings.dimension
    if wanted > most:
        raise InputError(f"expected dimension <= {most}, the smaller number of latents of {a.whole.name} and "
                         f"{b.whole.name}, got {wanted}")
    keep = min(wanted, rank_a, rank_b)
    if keep < wanted and settings.constant == "error":
        dead = [f"constant in {side.fit.name}: {listed(side.fit.constant)}" for side in (a, b) if side.fit.constant]
        raise InputError(f"weak MCC: expected {wanted} independent latents on both sides, found numerical ranks "
                         f"{rank_a} ({a.fit.name}) and {rank_b} ({b.fit.name})" + "".join(f"; {item}" for item in dead)
                         + f"; pass dimension={keep} to compare fewer, or constant='zero' to score the missing as 0")
    return wanted, keep


def _units(z: Columns, settings: Settings) -> FloatArray:
    return z.unit if settings.correlation == "pearson" else z.ranks.unit


def _no_constants(z: Columns, settings: Settings, zeros_allowed: bool = False) -> None:
    if z.constant and settings.constant == "error" and not zeros_allowed:
        raise InputError(f"{z.name}: expected latents that vary, found constant columns {listed(z.constant)} of "
                         f"{z.width}; drop them, or pass constant='zero' to score them 0")


def _match(a: Columns, b: Columns, settings: Settings,
           zeros_allowed: bool = False) -> tuple[IntArray, IntArray, FloatArray]:
    """Columns of both sides matched by the assignment problem on absolute correlations, and the signs."""
    for side in (a, b):
        _no_constants(side, settings, zeros_allowed)
    table = _units(a, settings).T @ _units(b, settings)
    rows, cols = linear_sum_assignment(np.abs(table), maximize=True)
    return rows, cols, np.where(table[rows, cols] < 0, -1.0, 1.0)


def _paired(a: Columns, b: Columns, of_a: IntArray, of_b: IntArray, settings: Settings,
            zeros_allowed: bool = False) -> FloatArray:
    """Correlations with signs of matched columns."""
    for side in (a, b):
        _no_constants(side, settings, zeros_allowed)
    found = np.einsum("ij,ij->j", _units(a, settings)[:, of_a], _units(b, settings)[:, of_b])
    return np.clip(found, -1.0, 1.0)


def _result(a: Side, b: Side, settings: Settings, matched: tuple[IntArray, IntArray, FloatArray], score: FloatArray,
            weights_a: FloatArray, weights_b: FloatArray, notes: tuple[str, ...], *, missing: int = 0,
            centred: bool = True) -> MCC:
    """Sorts the matched pairs by their absolute correlation; `missing` dimensions score 0."""
    order = np.argsort(-np.abs(score), kind="stable")
    of_a, of_b, signs = (item[order] for item in matched)
    flipped = int((score[order] * signs < 0).sum())
    dead = any(part.constant for side in (a, b) for part in (side.fit, side.score))
    if settings.constant == "zero" and (missing or dead):
        notes = (*notes, "constant or missing latents score 0, as asked")
    k = len(score) + missing
    if k < max(a.fit.width, b.fit.width):
        notes = (*notes, f"{a.fit.width} and {b.fit.width} latents: the best {k} dimensions of the alignment are "
                 "compared")
    blank, empty = np.full(missing, -1, dtype=np.intp), np.zeros(missing)
    per_dimension = np.concatenate([np.abs(score[order]), empty])
    fill_a, fill_b = np.zeros((len(weights_a), missing)), np.zeros((len(weights_b), missing))
    means = (a.fit.means, b.fit.means) if centred else (np.zeros(a.fit.width), np.zeros(b.fit.width))
    return MCC(
        value=float(per_dimension.mean()), per_dimension=per_dimension, columns_a=np.concatenate([of_a, blank]),
        columns_b=np.concatenate([of_b, blank]), signs=np.concatenate([signs, empty]), n_flipped=flipped,
        n_align=len(a.fit), n_score=len(a.score), in_sample=a.in_sample, kind=settings.kind,
        correlation=settings.correlation,
        alignment="permutation" if settings.kind == "strong" else settings.alignment, constant=settings.constant,
        weights_a=np.hstack([weights_a[:, order], fill_a]), weights_b=np.hstack([weights_b[:, order] * signs, fill_b]),
        means_a=means[0], means_b=means[1], notes=notes)
