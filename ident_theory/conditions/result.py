"""The report of a check: findings, what follows from them, and what would be needed for more."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.rule import Verdict
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.findings import Finding, Proof
from ident_theory.numerics import Evidence, Status

if TYPE_CHECKING:
    from ident_theory.conditions.alternatives import Alternative

#: Of the JSON form; raised when it changes in a way that old readers would misread.
FORMAT = 1
KIND = "identifiability report"


@dataclass(frozen=True)
class Missing:
    """A condition as a theorem sees it: its status, evidence and reason."""

    condition: str
    status: Status
    evidence: Evidence
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"condition": self.condition, "status": str(self.status), "evidence": str(self.evidence),
                "reason": self.reason}

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Missing:
        """Read back what `to_dict` wrote."""
        return Missing(str(tree["condition"]), Status(tree["status"]), Evidence(tree["evidence"]), str(tree["reason"]))


@dataclass(frozen=True)
class TheoremResult:
    """What one theorem says about the model.

    Attributes
    ----------
    theorem : str
    verdict : Verdict
    in_scope : bool
        Whether it speaks about models of this form at all.
    evidence : Evidence
        The weakest of the premises that hold.
    missing : tuple of Missing
        Premises that fail or are undecided; for a theorem out of scope, the facts it asks for.
    """

    theorem: str
    verdict: Verdict
    in_scope: bool
    evidence: Evidence
    missing: tuple[Missing, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"theorem": self.theorem, "verdict": str(self.verdict), "in_scope": self.in_scope,
                "evidence": str(self.evidence), "missing": [item.to_dict() for item in self.missing]}

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> TheoremResult:
        """Read back what `to_dict` wrote."""
        return TheoremResult(str(tree["theorem"]), Verdict(tree["verdict"]), bool(tree["in_scope"]),
                             Evidence(tree["evidence"]), tuple(Missing.from_dict(item) for item in tree["missing"]))


@dataclass(frozen=True)
class Conclusion:
    """What is identified, up to what, by which theorem, and on which evidence."""

    target: Target
    equivalence: Equivalence
    theorem: str
    evidence: Evidence
    detail: str = ""

    @property
    def text(self) -> str:
        """One sentence for a reader."""
        if self.equivalence is Equivalence.NONE:
            return f"{self.target.label}: {self.equivalence.sentence}"
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.target.label}: identified {self.equivalence.sentence}{detail}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"target": str(self.target), "equivalence": str(self.equivalence), "theorem": self.theorem,
                "evidence": str(self.evidence), "detail": self.detail}

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Conclusion:
        """Read back what `to_dict` wrote."""
        return Conclusion(Target(tree["target"]), Equivalence(tree["equivalence"]), str(tree["theorem"]),
                          Evidence(tree["evidence"]), str(tree["detail"]))


@dataclass(frozen=True)
class NextStep:
    """The nearest stronger theorem about a target, what it misses, and what would supply each missing condition."""

    target: Target
    equivalence: Equivalence
    theorem: str
    missing: tuple[Missing, ...]
    supply: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"target": str(self.target), "equivalence": str(self.equivalence), "theorem": self.theorem,
                "missing": [item.to_dict() for item in self.missing], "supply": list(self.supply)}

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> NextStep:
        """Read back what `to_dict` wrote."""
        return NextStep(Target(tree["target"]), Equivalence(tree["equivalence"]), str(tree["theorem"]),
                        tuple(Missing.from_dict(item) for item in tree["missing"]), tuple(map(str, tree["supply"])))


@dataclass(frozen=True)
class Report:
    """What is known about the identifiability of a model.

    Attributes
    ----------
    model : mapping
        The model as a plain tree; ``ident_theory.spec.from_dict`` reads it.
    findings : dict of str to Finding
        By condition, in a fixed order.
    theorems : tuple of TheoremResult
        Every theorem asked for.
    conclusions : tuple of Conclusion
        The strongest for each target; several for one target when they do not compare.
    next_steps : tuple of NextStep
    alternatives : tuple of Alternative
        Second models with the same law that are not equivalent.
    scope : tuple of str
        Why the model lies outside of all theorems, with the nearest model inside; empty as a rule.
    declared : tuple of str
        Premises taken on the user's word.
    budget : float or None
        Seconds allowed; None is no limit.
    seconds : float
        Seconds used.
    versions : mapping of str to str
    """

    model: Mapping[str, Any]
    findings: Mapping[str, Finding]
    theorems: tuple[TheoremResult, ...]
    conclusions: tuple[Conclusion, ...]
    next_steps: tuple[NextStep, ...]
    alternatives: tuple[Alternative, ...] = ()
    scope: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    budget: float | None = None
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, condition: str) -> Finding:
        """The finding about one condition, ``report["F3"]``.

        Raises
        ------
        InputError
            When the report has none; lists those it has.
        """
        if condition not in self.findings:
            near = difflib.get_close_matches(str(condition), self.findings, 1, 0.4)
            raise InputError(f"report: expected a condition among {', '.join(self.findings)}; got {condition!r}"
                             + (f"; did you mean {near[0]!r}?" if near else ""))
        return self.findings[condition]

    @property
    def conclusion(self) -> Conclusion:
        """The strongest conclusion about the law of the latent; with the equivalence NONE when there is none."""
        nothing = Conclusion(Target.LATENT, Equivalence.NONE, "", Evidence.EXACT)
        return next((item for item in self.conclusions if item.target is Target.LATENT), nothing)

    def status(self, equivalence: Equivalence | None = None, theorem: str | None = None) -> Status:
        """Whether the law of the latent is identified at least up to an equivalence, or a theorem applies.

        Parameters
        ----------
        equivalence : Equivalence, optional
            By default any conclusion about the law of the latent counts.
        theorem : str, optional
            Ask whether this theorem applies instead.

        Returns
        -------
        Status
            UNKNOWN when undecided conditions stand in the way.
        """
        from ident_theory.conditions.theorems import THEOREMS

        if theorem is not None:
            results = [item for item in self.theorems if item.theorem == theorem]
            if not results:
                raise InputError(f"report: expected a theorem that was checked, among "
                                 f"{', '.join(item.theorem for item in self.theorems)}; got {theorem!r}")
        else:
            wanted = Equivalence.NONE if equivalence is None else equivalence
            results = [item for item in self.theorems
                       if (offer := THEOREMS[item.theorem].conclusions.get(Target.LATENT)) is not None
                       and offer.implies(wanted)]
        verdicts = {item.verdict for item in results}
        if Verdict.APPLIES in verdicts:
            return Status.HOLDS
        return Status.UNKNOWN if Verdict.UNDECIDED in verdicts else Status.FAILS

    def citations(self) -> str:
        """BibTeX entries of exactly the sources that this report rests on."""
        from ident_theory.conditions.bibliography import bibtex, keys_of
        from ident_theory.conditions.theorems import THEOREMS

        keys = {key for item in self.conclusions for key in THEOREMS[item.theorem].references}
        keys |= keys_of(reference for finding in self.findings.values() for reference in finding.references)
        return bibtex(keys)

    def verify(self) -> None:
        """Check every certificate and witness again without searching, and derive the conclusions again.

        Raises
        ------
        CertificateRejected
            Lists everything that was rejected.
        """
        from ident_theory.conditions.verification import verify_report

        rejected = [f"{what}: {message}" for what, accepted, message in verify_report(self.to_dict()) if not accepted]
        if rejected:
            raise CertificateRejected("; ".join(rejected))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, in a fixed order."""
        return {"format": FORMAT, "kind": KIND, "model": dict(self.model),
                "findings": _written(self.findings.values()),
                "theorems": [item.to_dict() for item in self.theorems],
                "conclusions": [item.to_dict() for item in self.conclusions],
                "next_steps": [item.to_dict() for item in self.next_steps],
                "alternatives": [item.to_dict() for item in self.alternatives],
                "scope": list(self.scope), "declared": list(self.declared), "budget": self.budget,
                "seconds": self.seconds, "versions": dict(self.versions)}

    def to_json(self, indent: int | None = None) -> str:
        """The report as JSON text, from which it can be read and verified again."""
        return json.dumps(self.to_dict(), indent=indent)

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> Report:
        """Read back what `to_dict` wrote; nothing is verified.

        Raises
        ------
        InputError
            When the tree is no report, or one of another format.
        """
        from ident_theory.conditions.alternatives import Alternative

        if not isinstance(tree, Mapping) or tree.get("kind") != KIND:
            raise InputError(f'report: expected an object with "kind": "{KIND}", as check writes it')
        if tree.get("format") != FORMAT:
            raise InputError(f"report: expected format {FORMAT}, got {tree.get('format')!r}; check the model again")
        try:
            findings = [Finding.from_dict(item) for item in _resolved(tree["findings"])]
            report = Report(dict(tree["model"]), {item.condition: item for item in findings},
                            tuple(TheoremResult.from_dict(item) for item in tree["theorems"]),
                            tuple(Conclusion.from_dict(item) for item in tree["conclusions"]),
                            tuple(NextStep.from_dict(item) for item in tree["next_steps"]),
                            tuple(Alternative.from_dict(item) for item in tree["alternatives"]),
                            tuple(map(str, tree["scope"])), tuple(map(str, tree["declared"])), tree["budget"],
                            float(tree["seconds"]), dict(tree["versions"]))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"report: expected the keys that check writes, {error!r} is missing or wrong") from None
        if len(report.findings) < len(findings):
            raise InputError("report: expected one finding for each condition, got two for one")
        return report

    @staticmethod
    def from_json(text: str) -> Report:
        """Read back what `to_json` wrote; nothing is verified."""
        try:
            return Report.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"report: expected JSON, got text that cannot be read ({error})") from None


def _written(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain JSON; a proof that an earlier finding has is named, not repeated."""
    trees: list[dict[str, Any]] = []
    homes: list[tuple[Proof, str]] = []
    for finding in findings:
        tree = finding.to_dict()
        if finding.proof is not None:
            home = next((name for proof, name in homes if proof == finding.proof), None)
            if home is None:
                homes.append((finding.proof, finding.condition))
            else:
                tree["certificate" if finding.certificate else "witness"] = {"same_as": home}
        trees.append(tree)
    return trees


def _resolved(trees: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Findings with the proofs that `_written` named put back, as one and the same object."""
    seen: dict[tuple[str, Any], Any] = {}
    for tree in trees:
        whole = dict(tree)
        for side in ("certificate", "witness"):
            if side in whole:
                if "same_as" in whole[side]:
                    # A name that leads nowhere is left as a kind that proves nothing.
                    home = whole[side]["same_as"]
                    whole[side] = seen.get((side, home), {"kind": f"same_as {home}", "data": {}})
                seen[side, whole["condition"]] = whole[side]
        yield whole
