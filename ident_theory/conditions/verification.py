"""Check a stored report again: every proof by the independent verifier, every conclusion derived anew.

Nothing here searches. A proof counts only for the conditions that its kind speaks about (`Finding.verify`), and a
finding without a proof only where the model itself holds the user's word for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ident_theory.conditions.alternatives import Alternative
from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import Conclusion, Report
from ident_theory.conditions.theorems import Premises, check_declared, choose, conclusions, next_steps
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.findings import Finding
from ident_theory.models import DeclaredMap
from ident_theory.numerics import Evidence, Status

#: What was checked, whether it was accepted, and why (not).
Line = tuple[str, bool, str]

#: Which property of a declared map is the user's word for which condition; kept apart from what finds the findings.
_DECLARED = {"F1": "piecewise_affine", "F2": "weakly_injective", "F3": "observably_injective", "F4": "injective",
             "ivae.injective": "injective", "continuous": "continuous"}

#: What a proof or a tree of a wrong form runs into.
_MALFORMED = (KeyError, TypeError, IndexError, ValueError, AttributeError)


def verify_report(tree: Mapping[str, Any]) -> list[Line]:
    """Check a report in its JSON form.

    Parameters
    ----------
    tree : mapping
        What ``Report.to_dict`` wrote.

    Returns
    -------
    list of (what, accepted, message)
        One line for each finding, each alternative, the theorems, the conclusions and the next steps.

    Raises
    ------
    InputError
        When the tree is no report at all.
    """
    report = Report.from_dict(tree)
    accepted: set[tuple[str, int]] = set()
    lines = [_finding_line(name, finding, report.model, accepted) for name, finding in report.findings.items()]
    lines += [_alternative_line(f"alternative {i}", item, report) for i, item in enumerate(report.alternatives, 1)]
    try:
        lines += _derived(report)
    except _MALFORMED as error:
        lines.append(("conclusions", False, f"they cannot be derived from this model and these findings ({error!r})"))
    return lines


def _finding_line(condition: str, finding: Finding, model: Mapping[str, Any],
                  accepted: set[tuple[str, int]]) -> Line:
    """The line of one finding; a proof that several findings share is checked once."""
    proof = finding.proof
    if finding.status is Status.UNKNOWN:
        return (condition, proof is None, "undecided: nothing to check" if proof is None else
                "a proof beside the status unknown")
    if proof is None:
        if finding.evidence is Evidence.DECLARED and is_declarable(condition, finding, model):
            return condition, True, f"{finding.status}, on the user's word: nothing to check"
        return condition, False, f"{finding.status} without a proof"
    try:
        finding.check_claim()
        place = (proof.kind, id(proof.data))
        if place not in accepted:
            proof.verify(model)
            accepted.add(place)
    except CertificateRejected as error:
        return condition, False, str(error)
    return condition, True, f"{finding.status}: {proof.kind} accepted"


def is_declarable(condition: str, finding: Finding, model: Mapping[str, Any]) -> bool:
    """Whether the model itself holds the user's word for a finding: a declared map, or a noise law as given."""
    if finding.status is not Status.HOLDS:
        return False
    if condition == "noise.known":
        return True
    try:
        decoder = dict(model["decoder"])
        return decoder.pop("type") == "declared" and _DECLARED.get(condition) in DeclaredMap(**decoder).implied
    except _MALFORMED:
        return False


def _alternative_line(what: str, item: Alternative, report: Report) -> Line:
    data = item.proof.data
    if data.get("second") != item.model or data.get("refutes") != item.refutes:
        return what, False, "the proof is about another second model or another equivalence"
    if not item.proof.kind.startswith("pair."):
        return what, False, f"a proof of the kind {item.proof.kind!r} is not about two models"
    try:
        item.proof.verify(report.model)
    except CertificateRejected as error:
        return what, False, str(error)
    claimed = contradicted(item, report.conclusions)
    if claimed is not None:
        return what, False, f"it refutes what {claimed.theorem} concludes about the {claimed.target.label}"
    return what, True, f"same law of x, not {item.refutes} ({data['differs']}): {item.proof.kind} accepted"


def contradicted(item: Alternative, reached: Iterable[Conclusion]) -> Conclusion | None:
    """The conclusion that claims what an alternative refutes; None as long as all is well."""
    refuted, about = Equivalence(item.refutes), Target(item.proof.data["differs"])
    targets = (about, Target.JOINT) if about is Target.LATENT else (about,)
    return next((each for each in reached if each.target in targets and each.equivalence.implies(refuted)), None)


def _derived(report: Report) -> Iterator[Line]:
    try:
        declared = check_declared(report.declared)
        chosen = choose([item.theorem for item in report.theorems])
    except InputError as error:
        yield "theorems", False, str(error)
        return
    known = Premises(report.findings, report.model, declared)
    results = tuple(known.apply(theorem) for theorem in chosen)
    reached = conclusions(results)
    steps = next_steps(results, reached, known)
    for what, stored, derived in (("theorems", report.theorems, results), ("conclusions", report.conclusions, reached),
                                  ("next steps", report.next_steps, steps)):
        same = stored == derived
        yield what, same, f"derived again from the findings: {len(derived)} the same" if same else \
            "they do not follow from the findings"
