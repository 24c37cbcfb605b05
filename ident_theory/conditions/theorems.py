"""The catalogue of theorems, and what follows from the findings about a model.

Everything here is a function of the findings' statuses and of the plain tree of the model, so that a stored report can
be derived again and compared.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ident_theory.conditions import theorems_ivae, theorems_kivva
from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import Conclusion, Missing, NextStep, TheoremResult
from ident_theory.conditions.rule import Premise, Theorem, Verdict
from ident_theory.conditions.scope import FACTS, facts
from ident_theory.conditions.supply import supply
from ident_theory.errors import InputError
from ident_theory.exact.findings import Finding
from ident_theory.numerics import Evidence, Status, weakest

#: Every theorem, in the order in which ties between equally strong conclusions are settled.
THEOREMS: dict[str, Theorem] = {item.id: item for item in (*theorems_kivva.THEOREMS, *theorems_ivae.THEOREMS)}
DECLARABLE = theorems_ivae.DECLARABLE
#: Part of the question rather than of the answer: the noise law that a model holds is the one that is known. It does
#: not lower the evidence of a conclusion; the finding states the assumption.
CONVENTIONS = ("noise.known",)


def choose(ids: Iterable[str] | None) -> tuple[Theorem, ...]:
    """Theorems by id, in the order of the catalogue; all of them for None.

    Raises
    ------
    InputError
        For an id that does not exist; says which one may have been meant.
    """
    if ids is None:
        return tuple(THEOREMS.values())
    if isinstance(ids, str):
        raise InputError(f"theorems: expected a list of theorem ids, got the text {ids!r}; write [{ids!r}]")
    wanted = list(ids)
    for name in wanted:
        if name not in THEOREMS:
            raise InputError(f"theorems: expected ids among {', '.join(THEOREMS)}; got {name!r}"
                             f"{_suggestion(name, THEOREMS)}")
    if not wanted:
        raise InputError("theorems: expected at least one theorem id, got none; leave it out for all theorems")
    return tuple(item for name, item in THEOREMS.items() if name in wanted)


def check_declared(names: Iterable[str]) -> tuple[str, ...]:
    """Ids of premises that a user declares, sorted and without doubles.

    Raises
    ------
    InputError
        For an id that cannot be declared.
    """
    given = tuple(sorted(set(names)))
    for name in given:
        if name not in DECLARABLE:
            raise InputError(f"declared: expected ids among {', '.join(DECLARABLE)}; got {name!r}"
                             f"{_suggestion(name, DECLARABLE)}; what a decoder is like is declared in the model, "
                             'type = "declared"')
    return given


def _suggestion(name: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


class Premises:
    """What is known about every condition that a theorem can ask for.

    Parameters
    ----------
    findings : mapping of str to Finding
    tree : mapping
        The model as a plain tree.
    declared : iterable of str
        Premises that rest on the user's word, keys of `DECLARABLE`.
    """

    def __init__(self, findings: Mapping[str, Finding], tree: Mapping[str, Any], declared: Iterable[str] = ()) -> None:
        self.findings, self.tree = findings, tree
        self.facts = facts(tree)
        self.declared = set(declared)
        if "volume_preserving" in tree["decoder"].get("properties", ()):
            self.declared.add("decoder.volume_preserving")

    def look_up(self, condition: str) -> Missing:
        """Status, evidence and reason of one condition; unknown when nothing was found out about it."""
        if condition in self.findings:
            finding = self.findings[condition]
            evidence = Evidence.EXACT if condition in CONVENTIONS else finding.evidence
            return Missing(condition, finding.status, evidence, finding.reason)
        if condition in self.facts:
            holds = self.facts[condition]
            text = FACTS[condition][0]
            return Missing(condition, Status.HOLDS if holds else Status.FAILS, Evidence.EXACT,
                           text if holds else f"needed: {text}")
        if condition in self.declared:
            return Missing(condition, Status.HOLDS, Evidence.DECLARED, f"declared: {DECLARABLE[condition]}")
        if condition in DECLARABLE:
            return Missing(condition, Status.UNKNOWN, Evidence.DECLARED,
                           f"no model shows whether {DECLARABLE[condition]}; it can be declared")
        return Missing(condition, Status.UNKNOWN, Evidence.DECLARED, "nothing was found out about this condition")

    def judge(self, premise: Premise) -> tuple[Status, Evidence, tuple[Missing, ...]]:
        """Status and evidence of one premise, and what is missing for it (empty when it holds).

        Of several groups that hold, the strongest evidence counts; of several that do not, the one with the fewest
        conditions missing is named, undecided ones first.
        """
        open_groups: list[tuple[Missing, ...]] = []
        held: list[Evidence] = []
        for group in premise.groups:
            parts = [self.look_up(name) for name in group]
            lacking = tuple(part for part in parts if part.status is not Status.HOLDS)
            if lacking:
                open_groups.append(lacking)
            else:
                held.append(weakest(part.evidence for part in parts))
        if held:
            return Status.HOLDS, min(held, key=list(Evidence).index), ()
        undecided = [group for group in open_groups if not _has_failure(group)]
        nearest = min(undecided or open_groups, key=len)
        return Status.UNKNOWN if undecided else Status.FAILS, Evidence.EXACT, nearest

    def apply(self, theorem: Theorem) -> TheoremResult:
        """What one theorem says about the model."""
        outside = tuple(self.look_up(name) for name in theorem.scope if not self.facts[name])
        if outside:
            return TheoremResult(theorem.id, Verdict.MISSES, False, Evidence.EXACT, outside)
        judged = [self.judge(premise) for premise in theorem.premises]
        lacking = tuple(part for _, _, parts in judged for part in parts)
        if any(status is Status.FAILS for status, _, _ in judged):
            verdict = Verdict.MISSES
        else:
            verdict = Verdict.UNDECIDED if lacking else Verdict.APPLIES
        return TheoremResult(theorem.id, verdict, True, weakest(evidence for _, evidence, _ in judged), lacking)


def _has_failure(parts: Iterable[Missing]) -> bool:
    return any(part.status is Status.FAILS for part in parts)


def conclusions(results: Sequence[TheoremResult]) -> tuple[Conclusion, ...]:
    """The strongest conclusions target by target; several for one target when they do not compare.

    Among theorems that say the same, the one with the strongest evidence counts, then one that says more in detail,
    then the first of the catalogue.
    """
    found: list[Conclusion] = []
    for target in Target:
        offers = [_conclusion(result, target) for result in results
                  if result.verdict is Verdict.APPLIES and target in THEOREMS[result.theorem].conclusions]
        best: dict[Equivalence, Conclusion] = {}
        for offer in offers:
            if any(other.equivalence.is_finer(offer.equivalence) for other in offers):
                continue
            held = best.get(offer.equivalence)
            if held is None or _rank(offer) < _rank(held):
                best[offer.equivalence] = offer
        found += sorted(best.values(), key=lambda item: list(Equivalence).index(item.equivalence))
    return tuple(found)


def _rank(offer: Conclusion) -> tuple[int, bool]:
    return list(Evidence).index(offer.evidence), not offer.detail


def _conclusion(result: TheoremResult, target: Target) -> Conclusion:
    theorem = THEOREMS[result.theorem]
    return Conclusion(target, theorem.conclusions[target], theorem.id, result.evidence, theorem.detail.get(target, ""))


#: What a condition brings with it, among those that steps can miss.
_IMPLIED = {"F4": ("F2", "F3"), "F3": ("F2",), "P3": ("L1", "L2", "L3", "L4", "prior.several")}


def next_steps(results: Sequence[TheoremResult], reached: Sequence[Conclusion],
               known: Premises) -> tuple[NextStep, ...]:
    """For each target, the stronger theorems that miss fewest conditions, and what would supply those.

    Of theorems that ask for as much, only those that say most; smaller steps first.
    """
    steps: list[NextStep] = []
    for target in Target:
        have = [item.equivalence for item in reached if item.target is target] or [Equivalence.NONE]
        offers = [(result, THEOREMS[result.theorem].conclusions[target]) for result in results if result.in_scope
                  and result.verdict is not Verdict.APPLIES and target in THEOREMS[result.theorem].conclusions]
        offers = [(result, offer) for result, offer in offers if any(offer.is_finer(item) for item in have)]
        fewest = min((len(result.missing) for result, _ in offers), default=0)
        near = [NextStep(target, offer, result.theorem, result.missing,
                         tuple(supply(part, known.findings, known.tree) for part in result.missing))
                for result, offer in offers if len(result.missing) == fewest]
        kept: list[NextStep] = []
        for step in near:  # of equally good ones the first stays
            if not any(_is_better(other, step) for other in kept):
                kept = [*(other for other in kept if not _is_better(step, other)), step]
        steps += sorted(kept, key=lambda step: -list(Equivalence).index(step.equivalence))
    return tuple(steps)


def _is_better(step: NextStep, other: NextStep) -> bool:
    """Whether a step asks for no more than the other one and says no less."""
    asked = {name for item in other.missing for name in (item.condition, *_IMPLIED.get(item.condition, ()))}
    return step.equivalence.implies(other.equivalence) and all(item.condition in asked for item in step.missing)
