"""Findings: the answer about one condition, with the proof or the counterexample that anyone can check again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ident_theory.errors import InputError
from ident_theory.numerics import Evidence, Status, weakest


@dataclass(frozen=True)
class Proof:
    """Something that `ident_theory.exact.verifier` can check without searching.

    Attributes
    ----------
    kind : str
        Which check applies; a key of `ident_theory.exact.verifier.VERIFIERS`.
    data : mapping
        Plain JSON: integers, rationals as ``"p/q"`` strings, lists, dictionaries with text keys.
    text : str
        The same for people, short enough to paste.
    """

    kind: str
    data: Mapping[str, Any]
    text: str = ""

    def verify(self, model: Any) -> None:
        """Check this proof against a model, in rationals or balls and without searching.

        Parameters
        ----------
        model : Model or mapping
            The model that the finding is about, or its plain tree (``to_dict``).

        Raises
        ------
        CertificateRejected
            When it proves nothing about this model; the message says which step fails.
        """
        from ident_theory.exact.verifier import verify

        verify(self.kind, self.data, model if isinstance(model, Mapping) else model.plain())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"kind": self.kind, "data": dict(self.data), "text": self.text}


@dataclass(frozen=True)
class Certificate(Proof):
    """Why a condition holds."""


@dataclass(frozen=True)
class Witness(Proof):
    """Why a condition fails: a counterexample."""


@dataclass(frozen=True)
class Finding:
    """What is known about one condition.

    Attributes
    ----------
    condition : str
        Its id in the literature: ``F2``, ``P3``, ``ivae.L``.
    status : Status
    evidence : Evidence
    reason : str
        One or two sentences for a reader. For `unknown`: which step ran out and what would settle it.
    proof : Certificate or Witness or None
        A certificate when it holds, a witness when it fails.
    assumptions : tuple of str
        What is taken on trust.
    references : tuple of str
        Claim ids of the ledger or keys of the bibliography.
    details : mapping
        Figures behind the answer, as plain JSON: margins, counts, seconds.
    """

    condition: str
    status: Status
    evidence: Evidence
    reason: str
    proof: Certificate | Witness | None = None
    assumptions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def certificate(self) -> Certificate | None:
        """The proof that it holds."""
        return self.proof if isinstance(self.proof, Certificate) else None

    @property
    def witness(self) -> Witness | None:
        """The proof that it fails."""
        return self.proof if isinstance(self.proof, Witness) else None

    def verify(self, model: Any) -> None:
        """Check the proof against a model, and that it is about this condition, side and evidence.

        A finding without a proof has nothing to check.

        Raises
        ------
        CertificateRejected
            When the proof proves nothing about this model, or something else than this finding says.
        """
        self.check_claim()
        if self.proof is not None:
            self.proof.verify(model)

    def check_claim(self) -> None:
        """Check that a proof of this kind, if accepted, shows what this finding says; the proof itself is not read.

        Raises
        ------
        CertificateRejected
            When it shows something else.
        """
        from ident_theory.errors import CertificateRejected
        from ident_theory.exact.proof_kinds import BEST_EVIDENCE, PROVES

        if self.proof is None:
            return
        kind = self.proof.kind
        if self.status is Status.UNKNOWN or isinstance(self.proof, Certificate) is not (self.status is Status.HOLDS) \
                or PROVES.get(kind, {}).get(self.condition) is not (self.status is Status.HOLDS):
            raise CertificateRejected(f"a proof of the kind {kind!r} does not show that {self.condition} {self.status}")
        best = BEST_EVIDENCE.get(kind, Evidence.EXACT)
        if weakest([best, self.evidence]) is not self.evidence or self.evidence is Evidence.DECLARED:
            raise CertificateRejected(f"a proof of the kind {kind!r} is not of the evidence {self.evidence}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        tree: dict[str, Any] = {"condition": self.condition, "status": str(self.status),
                                "evidence": str(self.evidence), "reason": self.reason,
                                "assumptions": list(self.assumptions), "references": list(self.references),
                                "details": json.loads(json.dumps(dict(self.details)))}
        if self.proof is not None:
            tree["certificate" if self.certificate else "witness"] = self.proof.to_dict()
        return tree

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Finding:
        """Read back what `to_dict` wrote.

        Raises
        ------
        InputError
            When the tree is no finding.
        """
        try:
            proof: Certificate | Witness | None = None
            for name, kind in (("certificate", Certificate), ("witness", Witness)):
                if name in tree:
                    item = tree[name]
                    if not isinstance(item["data"], dict):
                        raise TypeError("data is no object")
                    proof = kind(str(item["kind"]), item["data"], str(item.get("text", "")))
            return Finding(str(tree["condition"]), Status(tree["status"]), Evidence(tree["evidence"]),
                           str(tree["reason"]), proof, tuple(tree.get("assumptions", ())),
                           tuple(tree.get("references", ())), dict(tree.get("details", {})))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"finding: expected condition, status, evidence and reason as Finding.to_dict writes "
                             f"them, got {str(tree)[:80]} ({error!r})") from None
