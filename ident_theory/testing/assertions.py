"""Assertions about models and algorithms for a test suite: what is not proven or not decided does not pass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ident_theory.conditions import Equivalence, Report
from ident_theory.conditions.check import check
from ident_theory.conditions.l_matrix import l_matrix_finding
from ident_theory.conditions.lattice import Target
from ident_theory.conditions.relation import Correspondence, equivalence
from ident_theory.conditions.result import Missing
from ident_theory.conditions.rule import Verdict
from ident_theory.conditions.supply import supply
from ident_theory.conditions.theorems import THEOREMS
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.findings import Finding
from ident_theory.laws.equality import equal_in_law
from ident_theory.models import ConditionalPrior, Model
from ident_theory.models.mixture import GaussianMixture
from ident_theory.numerics import Evidence, Status, weakest
from ident_theory.report.check_text import check_text
from ident_theory.spec import load
from ident_theory.testing import options
from ident_theory.testing.verdicts import UndecidedError, VerdictError, VerdictRow, tell

#: A model, or the place of a model file.
ModelOrFile = Model | str | Path
_INDENT = "    "


def assert_identifiable(model: ModelOrFile, up_to: str | Equivalence = "affine", *, target: str | Target = "latent",
                        theorems: Iterable[str] | None = None, declared: Iterable[str] = (),
                        evidence: str | Evidence | None = None, budget: float | None = 60.0,
                        name: str | None = None) -> Report:
    """Assert that a theorem, with all its premises decided on the model, identifies a target up to an equivalence.

    Parameters
    ----------
    model : Model, str or Path
        A model, or a model file.
    up_to : Equivalence or str
        The coarsest equivalence that will do.
    target : Target or str
        What is to be identified: "latent", "decoder", "joint", "statistics", "structure" or "dimension".
    theorems, declared, budget
        As for `ident_theory.check`.
    evidence : Evidence or str, optional
        The weakest evidence that will do; by default any.
    name : str, optional
        Of the model, in messages and tables.

    Returns
    -------
    Report
        With every proof checked again by the independent verifier.

    Raises
    ------
    VerdictError
        When another model with the same law is proven not to be equivalent, when no theorem applies, or when a proof is
        rejected. The message has the failing conditions with their witnesses, what would mend them, and the table of
        the check; `report` is the report.
    UndecidedError
        When nothing is proven either way because conditions are undecided.
    """
    where = "assert_identifiable"
    wanted = options.member(where, "up_to", up_to, (kind for kind in Equivalence if kind is not Equivalence.NONE))
    aim = options.member(where, "target", target, Target)
    least = None if evidence is None else options.member(where, "evidence", evidence, Evidence)
    subject, label = _named(where, model, name)
    options.seconds(where, budget)
    report = check(subject, theorems, budget, declared=declared)
    question = f"{aim} {wanted}"
    rejected = _rejected(report.verify)
    offers = [item for item in report.conclusions if item.target is aim and item.equivalence.implies(wanted)]
    strong = [item for item in offers if least is None or weakest([item.evidence, least]) is least]
    if strong and not rejected:
        best = strong[0]
        tell(VerdictRow(label, question, "identified", "identified", str(best.evidence), f"by {best.theorem}", True))
        return report
    refuted = [item for item in report.alternatives
               if wanted.implies(Equivalence(item.refutes))
               and item.proof.data.get("differs") in (("latent",) if aim is Target.JOINT else (str(aim),))]
    table = f"\nthe check:\n{_indented(check_text(report))}"
    asked = f"{label}: {aim.label}: to be identified {wanted.sentence}"
    if rejected:
        text, verdict, reason, grade = f"{asked}, but a proof is rejected: {rejected}", "rejected", rejected, "-"
    elif refuted:
        verdict, reason, grade = "not identified", refuted[0].differs, str(Evidence.EXACT)
        text = f"{asked}, but a second model with the same law of x is not the same:\n{_INDENT}{reason}"
    elif offers:
        verdict, grade = "identified", str(offers[0].evidence)
        reason = f"by {offers[0].theorem} with the evidence {grade} only; {least} was asked for"
        text = f"{asked}, which is shown {reason}"
    else:
        return _nothing_applies(report, asked, table, VerdictRow(label, question, "identified", "", "-", "", False),
                                aim, wanted)
    text += _mending(report, aim, wanted) + table
    raise VerdictError(text, (VerdictRow(label, question, "identified", verdict, grade, _line(reason), False),), report)


def _nothing_applies(report: Report, asked: str, table: str, row: VerdictRow, aim: Target,
                     wanted: Equivalence) -> Report:
    """Raise for a model about which no theorem says enough."""
    near = [item for item in report.theorems if (offer := THEOREMS[item.theorem].conclusions.get(aim)) is not None
            and offer.implies(wanted)]
    undecided = [item for item in near if item.verdict is Verdict.UNDECIDED]
    mending = _mending(report, aim, wanted)
    if undecided:
        open_ones = [lack for item in undecided for lack in item.missing if lack.status is Status.UNKNOWN]
        names = ", ".join(dict.fromkeys(lack.condition for lack in open_ones))
        reason = f"undecided: {names or 'a premise'}" + (f": {open_ones[0].reason}" if open_ones else "")
        row = VerdictRow(row.model, row.question, row.expected, "undecided", "-", _line(reason), False)
        raise UndecidedError(f"{asked}. UNDECIDED, which is neither a proof nor a counterexample.{mending}{table}",
                             (row,), report)
    lacks = _nearest(report, aim, wanted)
    failing = [lack.condition for lack in lacks if lack.status is Status.FAILS]
    reason = f"{', '.join(failing)} {'fails' if len(failing) == 1 else 'fail'}: {lacks[0].reason}" if failing else (
        report.scope[0] if report.scope else "no theorem is about models of this form")
    row = VerdictRow(row.model, row.question, row.expected, "not shown", "-", _line(reason), False)
    others = ("the second models below differ in something else" if report.alternatives else
              "no second model with the same law was found either")
    raise VerdictError(f"{asked}, but no theorem shows it. (That is no proof of the contrary: {others}.)"
                       f"{mending}{table}", (row,), report)


def _nearest(report: Report, aim: Target, wanted: Equivalence) -> tuple[Missing, ...]:
    """What the theorem with the fewest premises missing lacks, among those that would do."""
    near = [item for item in report.theorems if item.in_scope and item.missing
            and (offer := THEOREMS[item.theorem].conclusions.get(aim)) is not None and offer.implies(wanted)]
    chosen = min(near, key=lambda item: len(item.missing), default=None)
    return () if chosen is None else tuple(sorted(chosen.missing, key=lambda lack: lack.status is not Status.FAILS))


def _mending(report: Report, aim: Target, wanted: Equivalence) -> str:
    """Conditions that fail or are undecided, their witnesses, and what would supply them."""
    lines = []
    for lack in _nearest(report, aim, wanted):
        lines.append(f"{lack.condition} {'is undecided' if lack.status is Status.UNKNOWN else 'fails'}: {lack.reason}")
        finding = report.findings.get(lack.condition)
        if finding is not None and finding.witness is not None and finding.witness.text not in ("", lack.reason):
            lines.append(f"{_INDENT}witness: {finding.witness.text}")
        lines.append(f"{_INDENT}to mend it: {supply(lack, report.findings, dict(report.model))}")
    lines += report.scope
    return "".join(f"\n{_INDENT}{line}" for line in lines)


def assert_condition(model: ModelOrFile, condition: str, status: str | Status = "holds", *,
                     budget: float | None = 60.0, name: str | None = None) -> Finding:
    """Assert the status of one condition, ``assert_condition(model, "F2")``.

    Parameters
    ----------
    model : Model, str or Path
    condition : str
        Its id, as in the report of `ident_theory.check`.
    status : Status or str
    budget, name
        As for `assert_identifiable`.

    Returns
    -------
    Finding
        With its proof checked again.

    Raises
    ------
    InputError
        When the report has no such condition.
    VerdictError, UndecidedError
        When the status is another one, or undecided.
    """
    where = "assert_condition"
    wanted = options.member(where, "status", status, Status)
    options.instance(where, "condition", condition, str)
    options.seconds(where, budget)
    subject, label = _named(where, model, name)
    report = check(subject, budget=budget)
    finding = report[condition]
    return _settle(finding, wanted, label, subject, report, f"\nthe check:\n{_indented(check_text(report))}",
                   supply(Missing(condition, finding.status, finding.evidence, finding.reason), report.findings,
                          dict(report.model)))


def assert_L_invertible(prior: ConditionalPrior | ModelOrFile, *, name: str | None = None) -> Finding:
    """Assert that some values of u make the matrix L of a conditional prior invertible (Khemakhem et al. 2020).

    Parameters
    ----------
    prior : ConditionalPrior, Model, str or Path
    name : str, optional

    Returns
    -------
    Finding
    """
    if isinstance(prior, ConditionalPrior):
        label = options.label("assert_L_invertible", name) or (
            f"{prior.family.name} prior, {prior.n_values} values of u, {prior.latent_dim} latents")
        found = prior
        tree: dict[str, Any] = {"prior": prior.plain()}
    else:
        options.instance("assert_L_invertible", "prior", prior, ConditionalPrior, Model, str, Path)
        model, label = _named("assert_L_invertible", prior, name, "prior")
        if not isinstance(model.prior, ConditionalPrior):
            raise InputError("assert_L_invertible: prior: expected a ConditionalPrior, or a model that has one, found "
                             f"a {type(model.prior).__name__}")
        found, tree = model.prior, model.plain()
    finding = l_matrix_finding(found)
    return _settle(finding, Status.HOLDS, label, tree, finding, "",
                   supply(Missing("ivae.L", finding.status, finding.evidence, finding.reason),
                          {"ivae.L": finding}, tree))


def assert_equal_in_law(model_a: ModelOrFile, model_b: ModelOrFile, *, numbers: str = "exact",
                        budget: float | None = 60.0, name: str | None = None) -> Finding:
    """Assert that two models give x one law; arguments as for `ident_theory.equal_in_law`."""
    return _law(model_a, model_b, Status.HOLDS, numbers, budget, name, "assert_equal_in_law")


def assert_not_equal_in_law(model_a: ModelOrFile, model_b: ModelOrFile, *, numbers: str = "exact",
                            budget: float | None = 60.0, name: str | None = None) -> Finding:
    """Assert that two models give x different laws, so that data tell them apart."""
    return _law(model_a, model_b, Status.FAILS, numbers, budget, name, "assert_not_equal_in_law")


def _law(model_a: ModelOrFile, model_b: ModelOrFile, wanted: Status, numbers: str, budget: float | None,
         name: str | None, where: str) -> Finding:
    (first, one), (second, other) = _pair(where, model_a, model_b, budget)
    finding = equal_in_law(first, second, numbers=numbers, budget=budget)
    return _settle(finding, wanted, options.label(where, name) or f"{one} / {other}", first, finding, "", "")


def assert_equivalent(model_a: ModelOrFile, model_b: ModelOrFile, up_to: str | Equivalence = "affine", *,
                      budget: float | None = 60.0, name: str | None = None) -> Correspondence:
    """Assert that a map of the latent of some kind carries one model to the other: prior and decoder.

    Parameters
    ----------
    model_a, model_b : Model, str or Path
    up_to : Equivalence or str
        The coarsest kind that will do: "equal", "permutation", "orthogonal", "monomial", "affine" or
        "affine_statistics".
    budget, name
        As for `assert_identifiable`.

    Returns
    -------
    Correspondence
        With the map; every proof is checked again.
    """
    where = "assert_equivalent"
    kinds = [kind for kind in Equivalence if kind not in
             (Equivalence.NONE, Equivalence.AFFINE_ON_COMPONENTS, Equivalence.BLOCK_PERMUTATION)]
    wanted = options.member(where, "up_to", up_to, kinds)
    (first, one), (second, other) = _pair(where, model_a, model_b, budget)
    label = options.label(where, name) or f"{one} / {other}"
    found = equivalence(first, second, budget=budget)
    question = f"equivalent {wanted}"
    rejected = _rejected(found.verify)
    held = found.equivalence.implies(wanted) or (
        (item := found.findings.get(f"equivalent.{wanted}")) is not None and item.status is Status.HOLDS)
    if held and not rejected:
        tell(VerdictRow(label, question, "holds", str(found.equivalence), str(Evidence.EXACT),
                        "" if found.change is None else str(found.change), True))
        return found
    rows = [f"{key} {item.status}" + ("" if item.status is Status.UNKNOWN else f" ({item.evidence})")
            + f": {item.reason}" + (f"\n{_INDENT}witness: {item.witness.text}" if item.witness and item.witness.text
                                    else "") for key, item in found.findings.items()]
    refuting = [item for key, item in found.findings.items() if item.status is Status.FAILS
                and (key == "equal_in_law" or _refutes(key, wanted))]
    unknown = not refuting and not rejected
    reason = rejected or (refuting[0].reason if refuting else "no map was found, and none is excluded")
    verdict = "rejected" if rejected else "undecided" if unknown else "fails"
    row = VerdictRow(label, question, "holds", verdict, "-" if unknown else str(refuting[0].evidence if refuting
                                                                               else "-"), _line(reason), False)
    head = (f"{label}: to be equivalent {wanted.sentence}; "
            + ("UNDECIDED, which is neither a proof nor a counterexample" if unknown else
               f"found: {found.equivalence}"))
    raise (UndecidedError if unknown else VerdictError)(
        head + "".join(f"\n{_INDENT}{line}" for item in rows for line in item.split("\n")), (row,), found)


def _refutes(condition: str, wanted: Equivalence) -> bool:
    """Whether a failing ``equivalent.X`` excludes the kind asked for: X is at least as coarse."""
    kind = condition.removeprefix("equivalent.")
    return kind != condition and wanted.implies(Equivalence(kind))


def _settle(finding: Finding, wanted: Status, label: str, model: Any, report: Any, table: str, mend: str) -> Finding:
    """Pass, or raise what a finding with another status calls for."""
    rejected = _rejected(lambda: finding.verify(model))
    row = VerdictRow(label, finding.condition, str(wanted), "rejected" if rejected else str(finding.status),
                     "-" if finding.status is Status.UNKNOWN else str(finding.evidence),
                     _line(rejected or finding.reason), False)
    if rejected:
        raise VerdictError(f"{label}: the proof that {finding.condition} {finding.status} is rejected: {rejected}",
                           (row,), report)
    if finding.status is wanted:
        tell(VerdictRow(label, row.question, row.expected, row.verdict, row.evidence, row.reason, True))
        return finding
    undecided = finding.status is Status.UNKNOWN
    lines = [f"{label}: expected that {finding.condition} {_verb(wanted)}; "
             + ("UNDECIDED, which is neither a proof nor a counterexample" if undecided else
                f"it {_verb(finding.status)} ({finding.evidence})"), f"{_INDENT}{finding.reason}"]
    if finding.proof is not None and finding.proof.text not in ("", finding.reason):
        side = "witness" if finding.witness is not None else "certificate"
        lines.append(f"{_INDENT}{side}: {finding.proof.text}")
    if mend and mend != finding.reason and wanted is Status.HOLDS:
        lines.append(f"{_INDENT}to mend it: {mend}")
    raise (UndecidedError if undecided else VerdictError)("\n".join(lines) + table, (row,), report)


def _verb(status: Status) -> str:
    return "is undecided" if status is Status.UNKNOWN else str(status)


def _rejected(verify: Any) -> str:
    try:
        verify()
    except CertificateRejected as error:
        return str(error)
    return ""


def _named(where: str, model: Any, name: str | None, argument: str = "model") -> tuple[Model, str]:
    """The model, read from a file if need be, and what to call it."""
    called = options.label(where, name)
    if isinstance(model, str | Path):
        return load(model), called or Path(model).name
    options.instance(where, argument, model, Model, str, Path)
    return model, called or describe(model)


def _pair(where: str, model_a: Any, model_b: Any, budget: Any) -> tuple[tuple[Model, str], tuple[Model, str]]:
    """Two models with observations of one dimension."""
    options.seconds(where, budget)
    first, second = _named(where, model_a, None, "model_a"), _named(where, model_b, None, "model_b")
    if first[0].observed_dim != second[0].observed_dim:
        raise InputError(f"{where}: model_b: expected observations of dimension {first[0].observed_dim} as for "
                         f"model_a, found {second[0].observed_dim}")
    return first, second


def describe(model: Model) -> str:
    """A model in a few words, for tables."""
    prior, decoder = model.prior, model.decoder
    parts = (f"{prior.n_components} components" if isinstance(prior, GaussianMixture) else
             f"{prior.family.name} given {prior.n_values} u")
    widths = getattr(decoder, "weights_exact", None)
    shape = "-".join(map(str, [model.latent_dim, *(len(w) for w in widths)])) if widths is not None else \
        f"{model.latent_dim}-{model.observed_dim}"
    return f"{parts}, {type(decoder).__name__} {shape}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str) -> str:
    return "\n".join(f"{_INDENT}{line}".rstrip() for line in text.split("\n"))
