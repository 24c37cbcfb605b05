"""Which affine changes carry one law of the latent to another, whatever the decoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ident_theory.conditions.lattice import Equivalence
from ident_theory.errors import CertificateRejected
from ident_theory.exact.pair_equivalence import monomial_maps, permuted
from ident_theory.laws.equality import NORMAL, normal_given
from ident_theory.models import AffineChange, GaussianMixture
from ident_theory.models.model import Prior
from ident_theory.recovery import ExactAlignments, exact_alignments

#: The equivalences that are affine maps of z, finest first.
AFFINE_KINDS = (Equivalence.EQUAL, Equivalence.PERMUTATION, Equivalence.ORTHOGONAL, Equivalence.MONOMIAL,
                Equivalence.AFFINE)
#: Maps that are listed when there are many.
MAX_CHANGES = 64


@dataclass(frozen=True)
class LatentRelation:
    """How the priors of two models are related.

    Attributes
    ----------
    equivalence : Equivalence
        The finest affine one that was shown; NONE when there is none or none was found.
    exist : bool or None
        Whether an invertible affine map carries one prior to the other, over the reals; None when undecided.
    alignments : ExactAlignments or None
        The rational maps; None for conditional priors that are not normal.
    reason : str
    """

    equivalence: Equivalence
    exist: bool | None
    alignments: ExactAlignments | None
    reason: str

    @property
    def change(self) -> AffineChange | None:
        """A rational map of the finest kind that the list has."""
        return None if self.alignments is None else min(self.alignments.changes, key=rank, default=None)


def is_of(change: AffineChange, kind: Equivalence) -> bool:
    """Whether h is an equivalence of this kind."""
    return {Equivalence.EQUAL: change.is_identity, Equivalence.PERMUTATION: change.is_permutation,
            Equivalence.ORTHOGONAL: change.is_orthogonal, Equivalence.MONOMIAL: change.is_monomial}.get(kind, True)


def rank(change: AffineChange) -> int:
    """Place of the first of `AFFINE_KINDS` that h is."""
    return next(i for i, kind in enumerate(AFFINE_KINDS) if is_of(change, kind))


def as_mixture(prior: Prior) -> GaussianMixture | None:
    r"""A mixture that an affine map carries to that of another prior exactly when it carries one prior to the other.

    A mixture stands for itself. Normal laws given u become the components; the weights :math:`2^u` in ratio tell the
    values of u apart, also where several have one law. None for other conditional priors.
    """
    if isinstance(prior, GaussianMixture):
        return prior
    if prior.family.name not in NORMAL:
        return None
    laws = [normal_given(prior, u) for u in range(prior.n_values)]
    return GaussianMixture([Fraction(2**u, 2**len(laws) - 1) for u in range(len(laws))],
                           [law.means_exact[0].tolist() for law in laws],
                           [law.covariances_exact[0].tolist() for law in laws])


def carries(change: AffineChange, first: GaussianMixture, second: GaussianMixture) -> bool:
    """Whether h#P = P' for mixtures."""
    return change.carry(first).by_component() == second.by_component()


def latent_relation(first: Prior, second: Prior) -> LatentRelation:
    """The finest affine equivalence of two priors of one dimension, over the reals."""
    a, b = as_mixture(first), as_mixture(second)
    if a is None or b is None:
        if first == second:
            return LatentRelation(Equivalence.EQUAL, True, None, "the priors are the same")
        return LatentRelation(Equivalence.NONE, None, None, "affine maps between conditional priors are only searched "
                              "for where these are normal")
    found = exact_alignments(a, b, MAX_CHANGES)
    best = min(map(rank, found.changes), default=len(AFFINE_KINDS))
    kinds = {kind for kind, holds in _over_the_reals(a, b, found) if holds}
    kind = next((kind for i, kind in enumerate(AFFINE_KINDS) if i == best or kind in kinds), Equivalence.NONE)
    return LatentRelation(kind, found.exist, found, found.reason)


def _over_the_reals(a: GaussianMixture, b: GaussianMixture,
                    found: ExactAlignments) -> Iterable[tuple[Equivalence, bool]]:
    """Kinds of maps that can exist beside the listed ones."""
    if found.complete or found.exist is False:
        return
    p, q = a.by_component(), b.by_component()
    try:
        yield Equivalence.PERMUTATION, permuted(p, q)
        yield Equivalence.MONOMIAL, any(True for _ in monomial_maps(p, q))
    except CertificateRejected:  # too many orders and signs: what was shown so far stays
        pass
    yield Equivalence.ORTHOGONAL, exact_alignments(marked(a, [], True), marked(b, [], True)).exist is True
    yield Equivalence.AFFINE, found.exist is True


def marked(prior: GaussianMixture, points: Sequence[Sequence[Fraction]], turning: bool = False) -> GaussianMixture:
    """A mixture with point masses, which maps then have to carry, too; for `turning` also with N(0, I).

    The additional components have half of the weight, and their weights tell them apart. Maps that carry N(0, I) to
    itself are the orthogonal ones.
    """
    m, count, half = prior.latent_dim, len(points) + turning, Fraction(1, 2)
    if not count:
        return prior
    means = [*map(list, points), *[[Fraction(0)] * m] * turning]
    unit = [[Fraction(int(i == k)) for k in range(m)] for i in range(m)]
    covariances = [*[[[Fraction(0)] * m] * m] * len(points), *[unit] * turning]
    return GaussianMixture([*(half * w for w in prior.weights_exact),
                            *(half * Fraction(2**i, 2**count - 1) for i in range(count))],
                           [*prior.means_exact.tolist(), *means], [*prior.covariances_exact.tolist(), *covariances])
