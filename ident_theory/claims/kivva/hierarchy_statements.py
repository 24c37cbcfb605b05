"""The theorems of Section 3.3 as statements about pairs of models with one law of x."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from ident_theory.claims.kivva.hierarchy_pairs import (
    HYPOTHESES,
    Pair,
    Strategy,
    equal_laws,
    line_pairs,
    mixed_pairs,
    show,
)
from ident_theory.claims.kivva.hierarchy_plane import equivalent, lifted, mixed_plane_pairs, plane_pairs
from ident_theory.claims.kivva.hierarchy_relations import (
    affinely_related,
    decoder_follows,
    is_definite,
    monomially_related,
)
from ident_theory.claims.record import Record
from ident_theory.claims.universal import Universal
from ident_theory.conditions.check import check
from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.relation import equivalence
from ident_theory.conditions.theorems import THEOREMS


def theorem(statement: str, assumed: Sequence[str], conclusion: Callable[[Pair], bool | None], needed: Sequence[str],
            cases: Callable[[frozenset[str]], Strategy[Pair]] | None = None) -> Universal[Pair]:
    """Of two models with one law of x that meet what is assumed, the conclusion holds."""
    def drawn(dropped: frozenset[str]) -> Strategy[Pair]:
        if dropped & {"independent given U", "distinct ratios"}:
            return plane_pairs(dropped)
        if dropped & {"known noise", "continuous"}:
            return line_pairs(dropped)
        if dropped:
            return st.one_of(line_pairs(dropped), line_pairs(dropped), lifted(line_pairs(dropped)))
        # Rewritten and lifted models are rarely injective, or factorial after an affine map.
        more = [] if {"injective", "distinct ratios"} & set(assumed) else [equivalent(), lifted(line_pairs(dropped))]
        if "positive definite covariances" not in assumed:
            more += [mixed_pairs(), mixed_plane_pairs()]
        return st.one_of(line_pairs(dropped), line_pairs(dropped), plane_pairs(dropped), *more)

    return Universal(statement, cases or drawn, conclusion,
                     {name: HYPOTHESES[name] for name in (*assumed, "equal laws")}, tuple(needed), show)


def same_joint(pair: Pair) -> bool | None:
    """P(U, Z) up to an affine map, U up to the names of its states."""
    return affinely_related(*pair.priors, labelled=True)


def same_latent(pair: Pair) -> bool | None:
    """P(Z) up to an affine map."""
    return affinely_related(*pair.priors)


def same_coordinates(pair: Pair) -> bool | None:
    """P(Z) up to order, non-zero factors and shifts of the coordinates."""
    return monomially_related(*pair.priors)


def same_decoder(pair: Pair) -> bool | None:
    """One affine map carries prior and decoder."""
    if pair.first.latent_dim == 1:
        return decoder_follows((pair.priors[0], pair.decoders[0]), (pair.priors[1], pair.decoders[1]))
    found = equivalence(pair.first, pair.second, budget=5.0)
    return True if found.equivalence.implies(Equivalence.AFFINE) else None


def same_decoder_and_coordinates(pair: Pair) -> bool | None:
    """One map of the coordinates (order, non-zero factors, shifts) carries prior and decoder.

    The decoders are injective, so at most one affine map carries one to the other.
    """
    if pair.first.latent_dim == 1:
        return same_decoder(pair)
    found = equivalence(pair.first, pair.second, budget=5.0)
    return found.change.is_monomial if found.change is not None else None


def both(*conclusions: Callable[[Pair], bool | None]) -> Callable[[Pair], bool | None]:
    """All of these; None if one is undecided and none fails."""
    def answer(pair: Pair) -> bool | None:
        found = [conclusion(pair) for conclusion in conclusions]
        return False if False in found else None if None in found else True

    return answer


def refute_without(on: Record, *dropped: str) -> None:
    """The printed statement is the corrected one without these hypotheses: each alone has a counterexample.

    Definition 2.1 has both models in the class, so the second decoder has to be weakly injective as well.
    """
    factory, weak = on.claim.universal, HYPOTHESES["weakly injective"]
    assert factory is not None
    universal = factory()
    in_class = {"both in the class": lambda pair: weak(pair) and weak(Pair(pair.second, pair.first))}
    for name in dropped:
        on.printed.search(replace(universal, hypotheses={**universal.hypotheses, **in_class}), without=(name,))


def checked() -> Universal[Pair]:
    """What `ident_theory.check` concludes about the first model is true of the pair."""
    def drawn(_: frozenset[str]) -> Strategy[Pair]:
        return st.one_of(line_pairs(frozenset(HYPOTHESES) - {"equal laws", "known noise"}), plane_pairs(frozenset(
            {"weakly injective"})))

    names = [name for name in THEOREMS if name.startswith(("kivva.thm3", "kivva.cor3"))]

    def true(pair: Pair) -> bool | None:
        report = check(pair.first, theorems=names)
        said = {c.target: c.equivalence for c in report.conclusions}
        answers: list[bool | None] = [True]
        if said.get(Target.LATENT, Equivalence.NONE).implies(Equivalence.AFFINE):
            answers.append(same_latent(pair))
        if said.get(Target.JOINT, Equivalence.NONE).implies(Equivalence.AFFINE) and HYPOTHESES["reduced form"](pair):
            answers.append(same_joint(pair))
        if said.get(Target.DECODER, Equivalence.NONE).implies(Equivalence.AFFINE) \
                and HYPOTHESES["injective"](pair) and HYPOTHESES["continuous"](pair):
            answers.append(same_decoder(pair))
        return False if False in answers else None if None in answers else True

    return Universal(
        "where the toolkit's check says that the latent, U or the decoder is determined up to an affine map, no second "
        "model of the class with the same law of x contradicts it", drawn, true,
        {"known noise": HYPOTHESES["known noise"], "equal laws": equal_laws,
         "second model definite": lambda pair: is_definite(pair.priors[1])}, show=show)
