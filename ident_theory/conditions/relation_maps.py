"""All affine maps of the latent that carry one model to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from ident_theory.conditions.relation_joint import joint_candidates
from ident_theory.conditions.relation_priors import LatentRelation, as_mixture, carries
from ident_theory.conditions.relation_statistics import family_carries
from ident_theory.errors import CertificateRejected
from ident_theory.exact.pair_equivalence import mean_of, monomial_maps
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.cells import Branch
from ident_theory.geometry.changes import Changes, affine_changes
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.same_function import Decoder, same_function
from ident_theory.laws.identity import Relation, compare_parts, rational_root
from ident_theory.laws.line_terms import components_of
from ident_theory.models import AffineChange, DeclaredMap, GaussianMixture, Model, PiecewiseAffineMap
from ident_theory.numerics import Stopwatch


@dataclass(frozen=True)
class Maps:
    """Maps h with P_b = h#P_a and f_b = f_a o h^-1.

    Attributes
    ----------
    changes : tuple of AffineChange
    trees : tuple
        For each of them the tree of the common cells of f_a and f_b o h, or None (see `Sameness`).
    complete : bool
        Whether there are no others, over the reals.
    unlisted : bool
        Whether there are some although no rational one was found.
    decoders : Changes or None
        The maps between the decoders alone, where they were asked for.
    reason : str
        Why there are no others, or what was left open.
    """

    changes: tuple[AffineChange, ...]
    trees: tuple[list[Branch] | None, ...]
    complete: bool
    unlisted: bool
    decoders: Changes | None
    reason: str


def find_maps(first: Model, second: Model, latents: LatentRelation, clock: Stopwatch) -> Maps:
    """All affine maps that carry the first model to the second; decoders with values, equal dimensions."""
    if latents.exist is False:
        return Maps((), (), True, False, None, f"no affine map carries the prior: {latents.reason}")
    known = latents.alignments
    if known is not None and known.complete:
        return _checked(first, second, known.changes, True, None, known.reason, clock)
    decoders = affine_changes(_values(first), _values(second), clock)
    if decoders.complete:
        return _carrying(first, second, decoders)
    if first.latent_dim == 1 and isinstance(first.prior, GaussianMixture):
        unlisted = _compare_on_line(first, second)
        if unlisted:
            return Maps((), (), False, True, decoders, "the scale is irrational")
    reason = f"{latents.reason}; {decoders.reason}"
    candidates = [AffineChange.identity(first.latent_dim), *(known.changes if known else ()),
                  *_keeping_latents_apart(first, second)]
    if known is None or first.latent_dim == 1:
        return _checked(first, second, tuple(dict.fromkeys(candidates)), False, decoders, reason, clock)
    joint = joint_candidates(first, second, clock)
    maps = _checked(first, second, tuple(dict.fromkeys([*candidates, *joint.changes])), joint.complete, decoders,
                    joint.reason, clock)
    return replace(maps, unlisted=joint.exist and not maps.changes)


def _keeping_latents_apart(first: Model, second: Model) -> Iterator[AffineChange]:
    """The rational maps of the latents one by one (order, signed scale, shift) that carry the prior."""
    a, b = as_mixture(first.prior), as_mixture(second.prior)
    if a is None or b is None:
        return
    p, q = a.by_component(), b.by_component()
    center, target = mean_of(p), mean_of(q)
    try:
        for h in monomial_maps(p, q):
            roots = [rational_root(rational(v)) for v in h.squares]
            if None in roots:
                continue
            matrix = [[Fraction(0)] * len(center) for _ in center]
            for i, (place, sign, size) in enumerate(zip(h.order, h.signs, roots, strict=True)):
                matrix[place][i] = sign * fraction(size)
            shift = [t - sum((v * c for v, c in zip(row, center, strict=True)), Fraction(0))
                     for row, t in zip(matrix, target, strict=True)]
            yield AffineChange(matrix, shift)
    except CertificateRejected:  # more orders and signs than it tries
        return


def carries_prior(change: AffineChange, first: Model, second: Model) -> bool | None:
    """Whether h#P_a = P_b, and no point mass sits where turning the line round changes the value of f_a."""
    a, b = as_mixture(first.prior), as_mixture(second.prior)
    if a is None or b is None:
        return family_carries(change, first.prior, second.prior)
    return carries(change, a, b) and not _turns_a_mass(change, first)


def _turns_a_mass(change: AffineChange, model: Model) -> bool:
    if not isinstance(model.decoder, PiecewiseAffineMap) or change.matrix_exact[0, 0] > 0 \
            or not isinstance(model.prior, GaussianMixture):
        return False
    pieces, prior = line_pieces(model.decoder), components_of(model.prior)
    masses = {c.mean for c in prior if c.variance == 0 and c.weight}
    return any(t in masses and pieces.value(k, t) != pieces.value(k + 1, t) for k, t in enumerate(pieces.breakpoints))


def _values(model: Model) -> Decoder:
    assert not isinstance(model.decoder, DeclaredMap)
    return model.decoder


def _carrying(first: Model, second: Model, decoders: Changes) -> Maps:
    """Of the maps between the decoders those that carry the prior."""
    verdicts = [carries_prior(h, first, second) for h in decoders.changes]
    kept = [k for k, verdict in enumerate(verdicts) if verdict]
    complete = None not in verdicts
    return Maps(tuple(decoders.changes[k] for k in kept), tuple(decoders.trees[k] for k in kept), complete, False,
                decoders, decoders.reason if complete else "whether a map carries the prior was left open")


def _checked(first: Model, second: Model, candidates: tuple[AffineChange, ...], complete: bool,
             decoders: Changes | None, reason: str, clock: Stopwatch) -> Maps:
    """Of some maps between the priors those that carry the decoder."""
    found, trees = [], []
    for change in candidates:
        if not carries_prior(change, first, second):
            continue
        answer = same_function(_values(first), change.inverse().precompose(_values(second)), clock)
        if answer.same:
            found.append(change)
            trees.append(answer.tree)
        elif answer.same is None:
            complete, reason = False, answer.reason
    return Maps(tuple(found), tuple(trees), complete, False, decoders, reason)


def _compare_on_line(first: Model, second: Model) -> bool:
    """Whether an affine map with an irrational scale relates two models whose decoders leave the scale open."""
    found = compare_parts(line_pieces(_values(first)), components_of(first.mixture), line_pieces(_values(second)),
                          components_of(second.mixture))
    return found.relation is Relation.AFFINE and found.scale is None
