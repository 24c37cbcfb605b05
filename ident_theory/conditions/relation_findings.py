"""Findings about two models, from the maps that relate them and from their laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from ident_theory.conditions.lattice import Equivalence, finest
from ident_theory.conditions.relation_maps import Maps
from ident_theory.conditions.relation_priors import AFFINE_KINDS, LatentRelation, is_of, rank
from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.geometry.cell_images import plain_point
from ident_theory.geometry.cells import plain_tree
from ident_theory.geometry.changes import Changes
from ident_theory.models import AffineChange, Model
from ident_theory.numerics import Evidence, Status

_P = TypeVar("_P", Certificate, Witness)

LAW, LATENTS = "equal_in_law", "latents.affine"
#: What is said when maps exist over the reals and the list of rational ones is empty.
UNLISTED = "affine maps relate the models, but none in rationals was found"
REFERENCES = {LAW: ("kivva.thmC.3",), LATENTS: ("kivva.def2.1",)}


def condition_of(kind: Equivalence) -> str:
    """The id of the condition that an equivalence relates two models."""
    return f"equivalent.{kind}"


def finding(condition: str, status: Status, reason: str, proof: Certificate | Witness | None = None,
            **details: Any) -> Finding:
    """An exact finding about two models."""
    return Finding(condition, status, Evidence.EXACT, reason, proof, references=REFERENCES.get(condition, ()),
                   details=details)


def map_proof(second: Model, kind: Equivalence, maps: Maps, k: int) -> Certificate:
    """The certificate that map number k relates the models."""
    change, tree = maps.changes[k], maps.trees[k]
    data = {"second": second.plain(), **change.plain()}
    return Certificate(f"equivalence.{kind}", data if tree is None else {**data, "tree": plain_tree(tree)}, str(change))


def held_kinds(maps: Maps) -> dict[Equivalence, int]:
    """The kinds of maps that relate the models, each with the position of a map of the finest kind there is."""
    order = sorted(range(len(maps.changes)), key=lambda k: rank(maps.changes[k]))
    return {kind: next(k for k in order if is_of(maps.changes[k], kind)) for kind in AFFINE_KINDS
            if any(is_of(change, kind) for change in maps.changes)}


def findings_of_maps(first: Model, second: Model, maps: Maps, decoders: Changes | None) -> dict[str, Finding]:
    """The finest kinds that relate the models, and the coarsest that do not; at least one map was found."""
    held = held_kinds(maps)
    found = {}
    for kind in finest(held):
        change = maps.changes[held[kind]]
        found[condition_of(kind)] = finding(condition_of(kind), Status.HOLDS, _held_words(maps, change),
                                            map_proof(second, kind, maps, held[kind]))
    missing = [kind for kind in AFFINE_KINDS if kind not in held]
    for kind in missing:
        if not any(kind.is_finer(other) for other in missing):
            found[condition_of(kind)] = _not_related(first, second, kind, maps, decoders)
    return found


def _held_words(maps: Maps, change: AffineChange) -> str:
    count = len(maps.changes)
    which = "the only affine map that relates the models is" if maps.complete and count == 1 else \
        f"one of {count} affine maps that relate the models is" if maps.complete else "a map that relates the models is"
    return f"{which} h: {change}"


def _not_related(first: Model, second: Model, kind: Equivalence, maps: Maps, decoders: Changes | None) -> Finding:
    condition = condition_of(kind)
    if not maps.complete:
        return finding(condition, Status.UNKNOWN, f"no such map was found, but others are not excluded: {maps.reason}")
    count = len(maps.changes)
    reason = "the only affine map that relates the models is not of this kind" if count == 1 else \
        f"none of the {count} affine maps that relate the models is of this kind"
    return _excluded(first, second, kind, reason, decoders)


def _excluded(first: Model, second: Model, kind: Equivalence, reason: str, decoders: Changes | None) -> Finding:
    """That no map of a kind relates the models; the reason says where there is no proof of it to be checked again."""
    proof = not_proof(first, second, kind, decoders)
    if proof is None:
        reason += "; found by an exact search, without a proof that could be checked apart from it"
        if decoders is not None:
            reason += f" ({decoders.reason})"
    return finding(condition_of(kind), Status.FAILS, reason, proof)


def not_proof(first: Model, second: Model, kind: Equivalence, decoders: Changes | None) -> Witness | None:
    """The witness that no map of a kind relates the models, where the maps between the decoders are all known.

    Decoders without a cell of full rank leave more open, but the verifier may then decide with the priors.
    """
    data: dict[str, Any] = {"second": second.plain()}
    text = "the decoders leave no map of this kind"
    if decoders is None or not decoders.complete:
        is_flat = decoders is None or decoders.at is None
        return accepted(Witness(f"equivalence.not_{kind}", data, text), first) if is_flat else None
    if decoders.at is not None:
        data["at"] = plain_point(decoders.at)
        text = f"around z = {data['at']} the decoders leave finitely many maps, none of which will do"
    if decoders.tree is not None:
        data["tree"] = plain_tree(decoders.tree)
    if decoders.points:
        data["points"] = [plain_point(z) for z in decoders.points]
    return Witness(f"equivalence.not_{kind}", data, text)


def unrelated(first: Model, second: Model, maps: Maps, decoders: Changes | None, latents: Finding,
              law: Finding) -> Finding:
    """What is known about `equivalent.affine` when no rational map was found."""
    condition = condition_of(Equivalence.AFFINE)
    if maps.unlisted:
        return finding(condition, Status.HOLDS, f"{UNLISTED}: {maps.reason}")
    if law.status is Status.FAILS:
        return replace(law, condition=condition, reason="the laws differ, and equivalent models have one law",
                       references=())
    if latents.witness is not None:
        return finding(condition, Status.FAILS, latents.reason, latents.witness)
    if maps.complete:
        reason = latents.reason if latents.status is Status.FAILS else \
            "no affine map carries prior and decoder together"
        return _excluded(first, second, Equivalence.AFFINE, reason, decoders)
    return finding(condition, Status.UNKNOWN, f"no map was found, and none is excluded: {maps.reason}")


def latents_finding(first: Model, second: Model, latents: LatentRelation) -> Finding:
    """Whether some affine map carries the prior, whatever the decoders."""
    if latents.exist is None:
        return finding(LATENTS, Status.UNKNOWN, latents.reason)
    tree = second.plain()
    if not latents.exist:
        return finding(LATENTS, Status.FAILS, f"no invertible affine map carries one prior to the other: "
                       f"{latents.reason}", accepted(Witness("latents.not_affine", {"second": tree}, latents.reason),
                                                     first))
    change = latents.change
    if change is None:
        return finding(LATENTS, Status.HOLDS, f"a map with irrational numbers carries one prior to the other: "
                       f"{latents.reason}")
    proof = Certificate("latents.affine", {"second": tree, **change.plain()}, str(change))
    return finding(LATENTS, Status.HOLDS, f"h: {change} carries one prior to the other", accepted(proof, first))


def accepted(proof: _P, first: Model) -> _P | None:
    """A proof that the independent verifier accepts; None for one that it does not follow."""
    try:
        proof.verify(first)
    except CertificateRejected:
        return None
    return proof
