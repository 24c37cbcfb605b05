"""What can be identified, and up to what: one order of equivalences, from the finest to the coarsest.

A conclusion is about a target (the law of the latent, the decoder, ...). Which of two conclusions about one target says
more is `Equivalence.implies`; it is a partial order, because an orthogonal map and a signed scaling do not contain
each other, and neither do affine maps of z and coordinatewise maps of z.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Equivalence(enum.StrEnum):
    """Up to what something is identified, listed so that a finer one never comes after a coarser one."""

    EQUAL = "equal"
    PERMUTATION = "permutation"
    ORTHOGONAL = "orthogonal"
    MONOMIAL = "monomial"
    AFFINE = "affine"
    AFFINE_ON_COMPONENTS = "affine_on_components"
    BLOCK_PERMUTATION = "block_permutation"
    AFFINE_STATISTICS = "affine_statistics"
    NONE = "none"

    @property
    def sentence(self) -> str:
        """What it means, for a reader."""
        return _SENTENCES[self]

    def implies(self, other: Equivalence) -> bool:
        """Whether everything related by this equivalence is related by the other: this one says at least as much."""
        return self is other or any(step.implies(other) for step in _COARSER[self])

    def is_finer(self, other: Equivalence) -> bool:
        """Whether this one says strictly more than the other."""
        return self is not other and self.implies(other)

    def join_with(self, other: Equivalence) -> Equivalence:
        """The finest equivalence that both imply: what is left when only one of the two is known to hold."""
        shared = [item for item in Equivalence if self.implies(item) and other.implies(item)]
        return next(item for item in shared if all(item.implies(each) for each in shared))


_SENTENCES = {
    Equivalence.EQUAL: "exactly",
    Equivalence.PERMUTATION: "up to the order of the coordinates or variables and the names of their states",
    Equivalence.ORTHOGONAL: "up to an orthogonal map of z",
    Equivalence.MONOMIAL: "up to the order of the latents, and a factor (of either sign) and a shift of each",
    Equivalence.AFFINE: "up to an invertible affine map of z",
    Equivalence.AFFINE_ON_COMPONENTS: "up to an affine map of z on each connected region where f is injective",
    Equivalence.BLOCK_PERMUTATION: "up to the order of the latents, and for each an invertible affine map of its own "
                                   "sufficient statistics",
    Equivalence.AFFINE_STATISTICS: "up to an invertible affine map of the stacked sufficient statistics",
    Equivalence.NONE: "not identified by any theorem here",
}

#: The covering relation: the next coarser equivalences. The step from z to its statistics (affine to affine in the
#: statistics, signed scaling to block permutation) holds where statistics are defined: for conditional exponential
#: families with an invertible L, whose likelihood ratios are affine in them.
_COARSER: dict[Equivalence, tuple[Equivalence, ...]] = {
    Equivalence.EQUAL: (Equivalence.PERMUTATION,),
    Equivalence.PERMUTATION: (Equivalence.ORTHOGONAL, Equivalence.MONOMIAL),
    Equivalence.ORTHOGONAL: (Equivalence.AFFINE,),
    Equivalence.MONOMIAL: (Equivalence.AFFINE, Equivalence.BLOCK_PERMUTATION),
    Equivalence.AFFINE: (Equivalence.AFFINE_ON_COMPONENTS, Equivalence.AFFINE_STATISTICS),
    Equivalence.AFFINE_ON_COMPONENTS: (Equivalence.NONE,),
    Equivalence.BLOCK_PERMUTATION: (Equivalence.AFFINE_STATISTICS,),
    Equivalence.AFFINE_STATISTICS: (Equivalence.NONE,),
    Equivalence.NONE: (),
}


class Target(enum.StrEnum):
    """What a conclusion is about."""

    LATENT = "latent"
    JOINT = "joint"
    DECODER = "decoder"
    STATISTICS = "statistics"
    STRUCTURE = "structure"
    DIMENSION = "dimension"

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return _LABELS[self]


_LABELS = {
    Target.LATENT: "law of the latent, P(Z)",
    Target.JOINT: "joint law P(U, Z)",
    Target.DECODER: "decoder f",
    Target.STATISTICS: "sufficient statistics T(z)",
    Target.STRUCTURE: "structure of U: number of variables, states, table P(U), neighbourhoods",
    Target.DIMENSION: "number of latents that depend on u",
}


def finest(items: Iterable[Equivalence]) -> tuple[Equivalence, ...]:
    """Those that no other one is finer than, in the order of `Equivalence`; several when they do not compare."""
    known = set(items)
    return tuple(item for item in Equivalence if item in known and not any(other.is_finer(item) for other in known))
