"""The ledger of claims as text: a table of verdicts, one claim in full, and a page of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent, wrap
from typing import TYPE_CHECKING

from ident_theory.claims.claim import Claim, Effect, Outcome, Part, Piece, Verdict
from ident_theory.claims.papers import PAPERS

if TYPE_CHECKING:
    from ident_theory.claims.result import LedgerReport
    from ident_theory.claims.universal import Search

WIDTH = 120
#: Columns of the left margin of one claim in full.
_LEFT = 12
#: Lines of a counterexample that are printed; a file of results has all.
_MOST_LINES = 60
_MEANING = {
    Verdict.VERIFIED: "holds as printed: exact, symbolic or certified",
    Verdict.SUPPORTED: "no counterexample in the cases tried; not a proof",
    Verdict.REFUTED: "false as printed: a counterexample was checked again",
    Verdict.GAP: "stands, but a step of the printed argument has a counterexample",
    Verdict.REPAIRED: "false as printed, and the corrected statement passed a check of its own",
    Verdict.TYPO: "false as printed, mended by notation alone",
    Verdict.OPEN: "no check, or a check that failed or contradicts itself",
}


def verdict_table(report: LedgerReport) -> str:
    """One line a claim, then how many of each paper have which verdict."""
    lines = [_row("claim", "place", "verdict", "evidence", "cases", "seconds", "first of the evidence"), "-" * WIDTH]
    for o in report.outcomes:
        lines.append(_row(o.claim.id, o.claim.place, f"{o.verdict}{'*' if o.claim.scope else ''}", str(o.evidence),
                          f"{o.cases:,}" if o.cases else "", f"{o.seconds:.2f}", _first_line(o)))
    return "\n".join([*lines, "", *_counts(report), *_notes(report)])


def claim_list(claims: Sequence[Claim]) -> str:
    """Ids and places, without running anything."""
    lines = [f"{claim.id:<24} {claim.kind:<12} {claim.place}{'  (slow)' if claim.slow else ''}" for claim in claims]
    return "\n".join([*lines, _claims(len(claims))])


def claim_text(outcome: Outcome) -> str:
    """One claim: statement, hypotheses, correction, evidence, counterexamples."""
    claim, paper = outcome.claim, outcome.claim.paper
    cases = f", {outcome.cases:,} cases" if outcome.cases else ""
    lines = [f"{claim.id}: {outcome.verdict}   ({outcome.evidence}{cases}, {outcome.seconds:.2f} s)",
             f"{claim.kind}, {claim.place}; {paper.authors} ({paper.year}), {paper.title}", "",
             *_field("says", claim.statement)]
    for i, hypothesis in enumerate(claim.hypotheses):
        lines += _field("provided" if i == 0 else "", f"- {hypothesis}")
    if claim.argument:
        lines += _field("argument", claim.argument)
    if claim.correction is not None:
        lines += _field("corrected", claim.correction.statement)
        for i, hypothesis in enumerate(claim.correction.hypotheses):
            lines += _field("also needs" if i == 0 else "", f"- {hypothesis}")
    if claim.scope:
        lines += _field("left out", claim.scope)
    lines += ["", *_field("verdict", f"{outcome.verdict}: {_MEANING[outcome.verdict]}")]
    for problem in outcome.problems:
        lines += _field("problem", problem)
    lines.append("")
    for piece in outcome.pieces:
        lines += _piece(piece)
    if claim.universal is not None:
        universal = claim.universal()
        for i, name in enumerate(universal.hypotheses):
            needed = "; needed" if name in universal.needed else ""
            lines += _field("search" if i == 0 else "",
                            f"ident-theory claims {claim.id} --without {_quoted(name)}{needed}")
    return "\n".join(lines)


def search_text(claim: Claim, found: Search) -> str:
    """A search for a counterexample, with or without some of the hypotheses."""
    rest = f"; {found.discarded:,} cases did not meet the hypotheses" if found.discarded else ""
    lines = [f"{claim.id}: {found.text}", f"{found.seconds:.2f} s{rest}"]
    if found.counterexample is not None:
        lines += ["", "the smallest counterexample:", found.counterexample]
    return "\n".join(lines)


def ledger_page(report: LedgerReport) -> str:
    """The ledger as a page of Markdown: verdicts, and every claim with its evidence."""
    number = len(report.outcomes)
    left_out = f", {len(report.left_out)} slow ones left out" if report.left_out else ""
    lines = ["# The claims ledger", "",
             f"{_claims(number)}{left_out}; written by `ident-theory claims --page FILE`. Every verdict was computed "
             "when this page was made; passing random cases is support, not proof.", "",
             *(f"- **{verdict}**: {_MEANING[verdict]}" for verdict in Verdict), "",
             *_markdown_counts(report)]
    for paper in PAPERS:
        outcomes = [o for o in report.outcomes if o.claim.paper == paper]
        if outcomes:
            lines += ["", f"## {paper.authors} ({paper.year}): {paper.title}", "",
                      "| claim | place | verdict | evidence | cases |", "| --- | --- | --- | --- | ---: |"]
            lines += [f"| [{o.claim.id}](#{_anchor(o.claim.id)}) | {_cell(o.claim.place)} | {o.verdict} | {o.evidence} "
                      f"| {o.cases or ''} |" for o in outcomes]
            for outcome in outcomes:
                lines += ["", *_markdown_claim(outcome)]
    return "\n".join(lines) + "\n"


def _row(id: str, place: str, verdict: str, evidence: str, cases: str, seconds: str, what: str) -> str:
    head = f"{id:<24} {_cut(place, 26):<26} {verdict:<10} {evidence:<11} {cases:>7} {seconds:>7}  "
    return head + _cut(what, WIDTH - len(head))


def _first_line(outcome: Outcome) -> str:
    if outcome.problems:
        return outcome.problems[0]
    decisive = outcome.counterexamples or outcome.pieces
    return decisive[0].text if decisive else ""


def _counts(report: LedgerReport) -> Iterator[str]:
    yield f"{'':<10}" + "".join(f"{verdict:>11}" for verdict in Verdict) + f"{'all':>8}"
    for key, counts in _by_paper(report):
        yield f"{key:<10}" + "".join(f"{counts[v] or '':>11}" for v in Verdict) + f"{sum(counts.values()):>8}"


def _by_paper(report: LedgerReport) -> Iterator[tuple[str, dict[Verdict, int]]]:
    present = [paper.key for paper in PAPERS if any(o.claim.paper == paper for o in report.outcomes)]
    for key in present:
        yield key, report.counts(key)
    if len(present) != 1:
        yield "all", report.counts()


def _notes(report: LedgerReport) -> Iterator[str]:
    work = sum(o.seconds for o in report.outcomes)
    yield f"\n{_claims(len(report.outcomes))} in {report.seconds:.1f} s ({work:.1f} s of checks)"
    if any(o.claim.scope for o in report.outcomes):
        yield "*: the check leaves something out; ident-theory claims ID says what"
    if report.counts()[Verdict.SUPPORTED]:
        yield "supported: no counterexample in the cases tried, each decided with the evidence shown; not a proof"
    if report.left_out:
        yield f"left out because slow: {_claims(len(report.left_out))}; run without --fast"
    for outcome in report.outcomes:
        for problem in outcome.problems:
            yield f"{outcome.claim.id}: {problem}"


def _piece(piece: Piece) -> Iterator[str]:
    yield from _field(str(piece.part), f"{piece.effect} ({piece.evidence}): {piece.text}")
    if piece.shown:
        shown = piece.shown.splitlines()
        cut = shown[:_MOST_LINES]
        yield indent("\n".join(cut), " " * (_LEFT + 2))
        if len(cut) < len(shown):
            yield " " * (_LEFT + 2) + f"... {len(shown) - len(cut)} lines more: --json FILE has them"


def _field(name: str, text: str) -> Iterator[str]:
    for i, line in enumerate(wrap(text, WIDTH - _LEFT, subsequent_indent="  " if text.startswith("- ") else "")):
        yield f"{name if i == 0 else '':<{_LEFT}}{line}"


def _markdown_counts(report: LedgerReport) -> Iterator[str]:
    yield "| paper | " + " | ".join(Verdict) + " | all |"
    yield "| --- |" + " ---: |" * (len(Verdict) + 1)
    for key, counts in _by_paper(report):
        yield f"| {key} | " + " | ".join(str(counts[v] or "") for v in Verdict) + f" | {sum(counts.values())} |"


def _markdown_claim(outcome: Outcome) -> Iterator[str]:
    claim = outcome.claim
    yield f"### {claim.id}"
    yield ""
    yield f"{claim.place} ({claim.kind}): **{outcome.verdict}**"
    yield ""
    yield _prose(claim.statement)
    yield from _markdown_items("Provided:", claim.hypotheses)
    if claim.argument:
        yield _prose(f"\nThe printed argument: {claim.argument}")
    if claim.correction is not None:
        yield _prose(f"\nCorrected: {claim.correction.statement}")
        yield from _markdown_items("It also needs:", claim.correction.hypotheses)
    if claim.scope:
        yield _prose(f"\nLeft out: {claim.scope}")
    yield from _markdown_items("Evidence:", (_markdown_piece(piece) for piece in outcome.pieces), prose=False)
    yield from _markdown_items("Problems:", outcome.problems)


def _markdown_piece(piece: Piece) -> str:
    what = {Part.PRINTED: "the printed statement", Part.ARGUMENT: "the argument", Part.CORRECTED: "the corrected one"}
    line = _prose(f"{piece.effect} {what[piece.part]} ({piece.evidence}): {piece.text}")
    if not piece.shown or piece.effect is not Effect.REFUTES:
        return line
    return f"{line}\n\n{indent('```' + chr(10) + piece.shown + chr(10) + '```', '  ')}\n"


def _markdown_items(title: str, items: Iterable[str], prose: bool = True) -> Iterator[str]:
    listed = [f"- {_prose(item) if prose else item}" for item in items]
    if listed:
        yield f"\n{title}\n"
        yield from listed


def _anchor(id: str) -> str:
    return "".join(c for c in id.lower() if c.isalnum() or c in "-_")


def _prose(text: str) -> str:
    """Formulas as they are: no emphasis, no tags."""
    return text.replace("*", "\\*").replace("<", "&lt;")


def _claims(number: int) -> str:
    return f"{number} claim{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[:max(width - 1, 0)] + "…"


def _quoted(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f"'{name}'"
