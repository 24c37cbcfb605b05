"""The global minimisers of a search: which laws tie exactly with the truth, and how each tie comes about."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ident_theory.geometry.affine import affine_form
from ident_theory.geometry.injectivity import is_weakly_injective
from ident_theory.geometry.line import line_pieces
from ident_theory.landscape.neighbours import LocalMinima
from ident_theory.landscape.plan import Members
from ident_theory.laws.identity import Relation, compare_parts, law_key
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.models import Model


class Verdict(enum.StrEnum):
    """What the global minimisers of one truth amount to."""

    UNIQUE = "unique up to affine maps"
    INEQUIVALENT = "inequivalent minimisers"
    CONSTANT = "constant decoder: every prior is a minimiser"
    ABSENT = "the truth's law is not in the family"


@dataclass(frozen=True)
class MinimiserClass:
    """Global minimisers that are affinely equivalent to each other.

    Attributes
    ----------
    relation : Relation
        To the truth: SAME for the truth's own function and prior, AFFINE for the rest of its class, LAW for a
        class with the same law that no affine map explains (the representative is then the witness: its law and
        the truth's are equal, and `compare` finds no h).
    representative : Model
        A member of the family.
    scale, shift : Fraction or None
        For SAME and AFFINE, h(z) = scale z + shift carries the truth to the representative.
    pairs : tuple of (int, int)
        Its distinct members: function and prior.
    raw : int
        Raw parameter points it takes up.
    """

    relation: Relation
    representative: Model
    scale: Fraction | None
    shift: Fraction | None
    pairs: tuple[tuple[int, int], ...]
    raw: int


@dataclass(frozen=True)
class Minimisers:
    """What a search found for one truth.

    Attributes
    ----------
    truth : Model
    verdict : Verdict
    classes : tuple of MinimiserClass
        SAME first, then AFFINE, then one for each inequivalent class. With a constant decoder the prior does not
        reach the law, and all inequivalent ones are one entry.
    weakly_injective : bool
        Whether the truth's decoder covers some open part of its image once (condition F2): then theorem 3.2(a) of
        Kivva et al. (2022) rules inequivalent minimisers out.
    near_misses : tuple of (int, int, float)
        Function, prior and excess of points with another law whose excess is below the search's threshold.
    local_minima : LocalMinima or None
    lowest_excess : float
        Excess of the best point of the grid: zero up to rounding unless the verdict is ABSENT.
    """

    truth: Model
    verdict: Verdict
    classes: tuple[MinimiserClass, ...]
    weakly_injective: bool
    near_misses: tuple[tuple[int, int, float], ...]
    local_minima: LocalMinima | None
    lowest_excess: float

    @property
    def explained(self) -> bool:
        """Whether the theory allows what was found: inequivalence needs a failing F2, or point masses.

        Point masses are beyond the theorem: relu(Z) has the law of |Z'| if Z' is Z or 0 with probability 1/2 each.
        """
        models = (self.truth, *(item.representative for item in self.classes))
        degenerate = any(w and not v for model in models for w, v in zip(
            model.mixture.weights_exact, model.mixture.covariances_exact.ravel(), strict=True))
        return self.verdict is not Verdict.INEQUIVALENT or not self.weakly_injective or degenerate

    @property
    def raw(self) -> int:
        """Raw parameter points that minimise."""
        return sum(item.raw for item in self.classes)


def find_minimisers(members: Members, truth: Model,
                    near: list[tuple[int, int, float]]) -> tuple[Verdict, tuple[MinimiserClass, ...], bool,
                                                                 tuple[tuple[int, int, float], ...]]:
    """Decide in rationals which of the near points have the truth's law, and sort them into classes.

    Parameters
    ----------
    members : Members
    truth : Model
    near : list of (function, prior, excess)
        All points whose excess is within the threshold, which exceeds the error of the values.
    """
    pieces, components = line_pieces(truth.decoder), components_of(truth.mixture)
    key = law_key(pieces, components)
    groups: list[tuple[Relation, Fraction | None, Fraction | None, list[tuple[int, int]]]] = []
    misses: list[tuple[int, int, float]] = []
    constant = affine_form(pieces).constant
    for f, p, excess in near:
        function, prior = members.networks.functions[f], prior_components(members, p)
        if law_key(function, prior) != key:
            misses.append((f, p, excess))
            continue
        found = compare_parts(pieces, components, function, prior)
        for relation, _, _, pairs in groups:
            if relation is found.relation and (relation is not Relation.LAW or constant or _equivalent(
                    members, pairs[0], (f, p))):
                pairs.append((f, p))
                break
        else:
            groups.append((found.relation, found.scale, found.shift, [(f, p)]))
    order = [Relation.SAME, Relation.AFFINE, Relation.LAW]
    groups.sort(key=lambda group: (order.index(group[0]), group[3][0]))
    classes = tuple(MinimiserClass(relation, member_model(members, *pairs[0]), scale, shift, tuple(pairs),
                                   sum(_raw(members, *pair) for pair in pairs))
                    for relation, scale, shift, pairs in groups)
    if not classes:
        verdict = Verdict.ABSENT
    elif constant:
        verdict = Verdict.CONSTANT
    else:
        verdict = Verdict.INEQUIVALENT if classes[-1].relation is Relation.LAW else Verdict.UNIQUE
    return verdict, classes, is_weakly_injective(pieces), tuple(sorted(misses, key=lambda item: item[2]))


def prior_components(members: Members, p: int) -> tuple[Component, ...]:
    """The prior with index `p` as the laws take it."""
    return tuple(Component(*part) for part in members.priors.parts(p))


def member_model(members: Members, f: int, p: int) -> Model:
    """The first raw parameter point with function `f` and prior `p`, as a model."""
    family = members.family
    networks, priors = members.networks, members.priors
    weights, *in_prior = np.unravel_index(priors.first[p], priors.member.shape)
    in_network = np.unravel_index(networks.first[f], networks.member.shape) if networks.paths else ()
    values = {path: family.grids[path][i] for paths, places in ((networks.paths, in_network), (priors.paths, in_prior))
              for path, i in zip(paths, places, strict=True)}
    return family.member(values, family.weights[weights])


def _equivalent(members: Members, a: tuple[int, int], b: tuple[int, int]) -> bool:
    found = compare_parts(members.networks.functions[a[0]], prior_components(members, a[1]),
                          members.networks.functions[b[0]], prior_components(members, b[1]))
    return found.relation in (Relation.SAME, Relation.AFFINE)


def _raw(members: Members, f: int, p: int) -> int:
    return int(members.networks.counts[f]) * int(members.priors.counts[p])
