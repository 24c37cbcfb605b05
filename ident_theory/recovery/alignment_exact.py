"""All exact affine maps between two Gaussian mixtures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from flint import fmpq_mat

from ident_theory.errors import BudgetExceeded, InputError
from ident_theory.exact.rationals import from_flint
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.recovery.alignment_frames import (
    Frame,
    colours,
    columns_of,
    frame,
    kernel,
    left_inverse,
    side_by_side,
)
from ident_theory.recovery.alignment_matching import matchings
from ident_theory.recovery.alignment_roots import Isometries, Space, intertwiners, isometries, turns

#: Matchings that keep the invariants of pairs but belong to no map, before the search is given up.
MAX_FAILURES = 2000

#: A basis vector of the span: the mean of component j, or the map of component j applied to basis vector i.
Recipe = tuple[int, int | None]


@dataclass(frozen=True)
class ExactAlignments:
    """The exact invertible affine maps h with h#P = P'.

    Attributes
    ----------
    changes : tuple of AffineChange
        Maps in rationals, each checked; the identity and translations first.
    complete : bool
        Whether these are all maps over the real numbers.
    reason : str
        Why they are not all, or why there is none; else how they were found.
    exist : bool or None
        Whether there is any over the real numbers, rational or not; None when that was left undecided.
    """

    changes: tuple[AffineChange, ...]
    complete: bool
    reason: str
    exist: bool | None = None


def exact_alignments(a: GaussianMixture, b: GaussianMixture, limit: int = 64) -> ExactAlignments:
    r"""All invertible affine h(z) = A z + t with h#P = P', for mixtures in rationals.

    Components (after reduction) are matched by numbers that affine maps keep: weights, and with the covariance S of
    the whole mixture :math:`u_j^T S^{-1} u_k` and :math:`\mathrm{tr}(\Sigma_j S^{-1} \Sigma_k S^{-1})`. For a
    matching, A is linear algebra on the smallest space that holds the centred means u_j and is kept by all
    :math:`\Sigma_j S^{-1}`. On its complement A is an isometry that intertwines these maps: finitely many, or a group
    of rotations. Which of the two, and whether the finitely many are rational, is decided exactly.

    Parameters
    ----------
    a, b : GaussianMixture
        P and P'; covariances may be singular, components split, permuted or of weight zero.
    limit : int
        Maps to list at most.

    Returns
    -------
    ExactAlignments

    Raises
    ------
    InputError
        When the mixtures have different numbers of latents, or `limit` is less than one.
    """
    if a.latent_dim != b.latent_dim:
        raise InputError(f"exact_alignments: expected mixtures of one dimension, got {a.latent_dim} and {b.latent_dim}")
    if limit < 1:
        raise InputError(f"exact_alignments: expected a limit of at least 1, got {limit}")
    one, two = a.reduced(), b.reduced()
    if one.n_components != two.n_components:
        return _none(f"{one.n_components} components against {two.n_components}")
    if sorted(one.weights_exact) != sorted(two.weights_exact):
        return _none("the weights differ")
    first, second = frame(one), frame(two)
    if first.rank != second.rank:
        return _none(f"the mixtures lie on planes of dimension {first.rank} and {second.rank}")
    return _Search(first, second, limit).run()


def _none(reason: str) -> ExactAlignments:
    return ExactAlignments((), True, reason, False)


class _Search:
    def __init__(self, first: Frame, second: Frame, limit: int) -> None:
        self.first, self.second, self.limit = first, second, limit
        self.recipes, self.basis = _span(first)

    def run(self) -> ExactAlignments:
        changes: list[AffineChange] = []
        reasons: list[str] = []
        exist, failures = False, 0
        try:
            for order in matchings(*colours(self.first, self.second)):
                found = self._linear_parts(order)
                exist, failures = exist or found.exist, failures + (not found.exist)
                if failures > MAX_FAILURES:
                    raise BudgetExceeded(f"matchings of components: more than {MAX_FAILURES} keep the invariants of "
                                         "the pairs without a map")
                if not found.complete:
                    reasons.append(found.reason)
                changes.extend(self._change(part) for part in found.found)
                if len(changes) > self.limit:
                    reasons.append(f"more than {self.limit} maps")
                    break
        except BudgetExceeded as stop:
            return ExactAlignments(_ordered(changes)[:self.limit], False, str(stop), exist or None)
        if exist and self.first.free.ncols():
            reasons.append(f"infinitely many maps: the mixtures lie on planes of dimension {self.first.rank} and leave "
                           "the other directions open")
        reason = "; ".join(dict.fromkeys(reasons)) or (
            "every matching of components that keeps the invariants was tried" if exist
            else "no matching of components keeps the means and covariances")
        return ExactAlignments(_ordered(changes)[:self.limit], not reasons, reason, exist)

    def _linear_parts(self, order: Sequence[int]) -> Isometries:
        """The linear parts, in coordinates of the carrying planes, that belong to one matching."""
        images = _follow(self.second, self.recipes, order)
        if images.rank() < len(self.recipes):
            return Isometries([], False, True)
        if len(self.recipes) == self.first.rank:
            part = images * self.basis.inv() if self.recipes else fmpq_mat(0, 0)
            fits = self._carries(part, order)
            return Isometries([part] if fits else [], fits, True)
        if images.transpose() * self.second.metric * images != self.basis.transpose() * self.first.metric * self.basis \
                or not self._intertwines(images, order):
            return Isometries([], False, True)
        (near, rest), (other, other_rest) = self._rest, self._other_rest
        found = isometries(near, other, order, self._commuting, self._other_commuting, self._turns, self.limit)
        whole = [side_by_side([*columns_of(images), *columns_of(other_rest * x)], self.first.rank)
                 * side_by_side([*columns_of(self.basis), *columns_of(rest)], self.first.rank).inv()
                 for x in found.found]
        assert all(self._carries(part, order) for part in whole)
        return Isometries(whole, found.exist, found.complete, found.reason)

    def _intertwines(self, images: fmpq_mat, order: Sequence[int]) -> bool:
        """Whether the map of the spans fits the means and covariances there."""
        back, other = left_inverse(self.basis), left_inverse(images)
        means = images * (back * self.first.means)
        return all(column == columns_of(self.second.means)[order[j]] for j, column in enumerate(columns_of(means))) \
            and all(back * m * self.basis == other * self.second.maps[k] * images
                    for m, k in zip(self.first.maps, order, strict=True))

    def _carries(self, part: fmpq_mat, order: Sequence[int]) -> bool:
        """Whether u_j goes to u'_order[j] and the covariances likewise."""
        targets = columns_of(self.second.means)
        return all(column == targets[k] for column, k in zip(columns_of(part * self.first.means), order, strict=True)) \
            and all(part * c * part.transpose() == self.second.covariances[k]
                    for c, k in zip(self.first.covariances, order, strict=True))

    @cached_property
    def _rest(self) -> tuple[Space, fmpq_mat]:
        return _complement(self.first, self.basis)

    @cached_property
    def _other_rest(self) -> tuple[Space, fmpq_mat]:
        return _complement(self.second, _span(self.second)[1])

    @cached_property
    def _commuting(self) -> int:
        return len(self._commutant)

    @cached_property
    def _other_commuting(self) -> int:
        space = self._other_rest[0]
        return len(intertwiners(space.maps, space.maps, space.dim))

    @cached_property
    def _commutant(self) -> list[fmpq_mat]:
        space = self._rest[0]
        return intertwiners(space.maps, space.maps, space.dim)

    @cached_property
    def _turns(self) -> bool:
        return turns(self._rest[0], self._commutant)

    def _change(self, part: fmpq_mat) -> AffineChange:
        """The map of the whole latent space; off the carrying plane it takes one complement to the other."""
        m = self.first.carrier.nrows()
        matrix = side_by_side([*columns_of(self.second.carrier * part), *columns_of(self.second.free)], m) \
            * side_by_side([*columns_of(self.first.carrier), *columns_of(self.first.free)], m).inv()
        shift = self.second.center - matrix * self.first.center
        return AffineChange(from_flint(matrix), from_flint(shift).ravel())


def _ordered(changes: list[AffineChange]) -> tuple[AffineChange, ...]:
    return tuple(sorted(changes, key=lambda h: (not h.is_identity, not h.is_translation, not h.is_permutation)))


def _span(f: Frame) -> tuple[list[Recipe], fmpq_mat]:
    """A basis of the smallest space that holds the means and is kept by the maps, and how each vector came about."""
    recipes: list[Recipe] = []
    columns: list[list] = []
    means = columns_of(f.means)

    def grow(vector: list, recipe: Recipe) -> None:
        if len(columns) < f.rank and side_by_side([*columns, vector], f.rank).rank() > len(columns):
            columns.append(vector)
            recipes.append(recipe)

    for j, mean in enumerate(means):
        grow(mean, (j, None))
    for i in itertools.count():
        if i >= len(columns) or len(columns) == f.rank:
            break
        column = fmpq_mat(f.rank, 1, columns[i])
        for j, m in enumerate(f.maps):
            grow(list((m * column).entries()), (j, i))
    return recipes, side_by_side(columns, f.rank)


def _follow(f: Frame, recipes: Sequence[Recipe], order: Sequence[int]) -> fmpq_mat:
    """The vectors that the recipes give with component order[j] in place of j."""
    means = columns_of(f.means)
    columns: list[list] = []
    for j, i in recipes:
        columns.append(means[order[j]] if i is None
                       else list((f.maps[order[j]] * fmpq_mat(f.rank, 1, columns[i])).entries()))
    return side_by_side(columns, f.rank)


def _complement(f: Frame, basis: fmpq_mat) -> tuple[Space, fmpq_mat]:
    """What is orthogonal to the span in the metric S^-1, with the form and the maps in its coordinates."""
    rest = kernel(basis.transpose() * f.metric)
    back = left_inverse(rest)
    return Space(rest.transpose() * f.metric * rest, [back * m * rest for m in f.maps]), rest
