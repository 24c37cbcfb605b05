"""The report of a check as text, and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from ident_theory.conditions.lattice import Equivalence, Target
from ident_theory.conditions.result import NextStep, Report
from ident_theory.conditions.rule import Verdict
from ident_theory.conditions.theorems import THEOREMS
from ident_theory.numerics import Status
from ident_theory.report.search_text import toml

if TYPE_CHECKING:
    from rich.table import Table

    from ident_theory.exact.findings import Finding

WIDTH = 120
#: Lines of a second model longer than this are no use on a terminal.
LONGEST_LINE = 1000
HEADINGS = ("condition", "status", "evidence", "reason")
_STYLES = {Status.HOLDS: "green", Status.FAILS: "red", Status.UNKNOWN: "yellow"}


def finding_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Condition, status, evidence and reason of every finding; an undecided one has no evidence."""
    return [(name, str(item.status), "-" if item.status is Status.UNKNOWN else str(item.evidence), _reason(item))
            for name, item in report.findings.items()]


def _reason(item: Finding) -> str:
    """The reason, and the counterexample where there is one that can be pasted."""
    witness = item.witness
    return f"{item.reason}: {witness.text}" if witness is not None and witness.text not in ("", item.reason) \
        else item.reason


def finding_table(report: Report) -> Table:
    """The findings as a table of `rich`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*HEADINGS)
    for (name, status, evidence, reason), item in zip(finding_rows(report), report.findings.values(), strict=True):
        table.add_row(name, Text(status, style=_STYLES[item.status]), evidence, Text(reason))
    return table


def finding_text(report: Report, width: int = WIDTH) -> str:
    """The findings as plain text, reasons wrapped."""
    rows = [HEADINGS, *finding_rows(report)]
    sizes = [max(len(row[i]) for row in rows) for i in range(3)]
    left = sum(sizes) + 6
    lines = []
    for row in rows:
        head = "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=False)) + "  "
        reason = wrap(row[3], max(20, width - left)) or [""]
        lines += [(head + reason[0]).rstrip(), *(" " * left + line for line in reason[1:])]
    return "\n".join(lines)


def outcome_text(report: Report, width: int = WIDTH) -> str:
    """What follows: theorems if asked for, conclusions, what is missing for more, second models, what lies outside."""
    parts = [_theorems(report, width), _conclusions(report, width), _corrections(report, width), _steps(report, width),
             _alternatives(report, width), _block("outside of the theorems", report.scope, width)]
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)


def check_text(report: Report, width: int = WIDTH) -> str:
    """Everything, as plain text."""
    return f"{finding_text(report, width)}\n\n{outcome_text(report, width)}"


def _block(title: str, items: tuple[str, ...] | list[str], width: int) -> Iterator[str]:
    if items:
        yield title
    for item in items:
        yield from _wrapped(item, width, "  ")


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _theorems(report: Report, width: int) -> Iterator[str]:
    """Verdicts one by one, when only some theorems were asked for."""
    if len(report.theorems) == len(THEOREMS):
        return
    yield "theorems"
    for item in report.theorems:
        yield from _wrapped(f"{item.theorem} {item.verdict}. {THEOREMS[item.theorem].statement}", width, "  ")
        for lack in item.missing:
            yield from _wrapped(f"{lack.condition} {lack.status}: {lack.reason}", width, "    ")


def _conclusions(report: Report, width: int) -> Iterator[str]:
    items = [f"{item.text} - {item.theorem}, evidence {item.evidence}" for item in report.conclusions]
    if report.conclusion.equivalence is Equivalence.NONE:
        open_ones = [item.theorem for item in report.theorems if item.verdict is Verdict.UNDECIDED
                     and Target.LATENT in THEOREMS[item.theorem].conclusions]
        what = f"undecided ({', '.join(open_ones)})" if open_ones else "no theorem applies"
        items.insert(0, f"{Target.LATENT.label}: {what}")
    yield from _block("conclusions", [*items, *_assumptions(report)], width)


def _assumptions(report: Report) -> Iterator[str]:
    """What the premises of the conclusions take on trust."""
    used = {name for item in report.conclusions for name in THEOREMS[item.theorem].conditions}
    texts = dict.fromkeys(text for name, item in report.findings.items() if name in used for text in item.assumptions)
    if texts:
        yield f"assumed: {'; '.join(texts)}"


def _corrections(report: Report, width: int) -> Iterator[str]:
    used = dict.fromkeys(item.theorem for item in report.conclusions)
    items = [f"{name}: {THEOREMS[name].correction}" for name in used if THEOREMS[name].correction]
    yield from _block("corrections to the printed theorems", items, width)


def _steps(report: Report, width: int) -> Iterator[str]:
    """Targets for which the same is missing share one list of it."""
    if report.next_steps:
        yield "for more"
    together: dict[tuple[str, ...], list[NextStep]] = {}
    for step in report.next_steps:
        together.setdefault(tuple(item.condition for item in step.missing), []).append(step)
    for steps in together.values():
        for step in steps:
            yield from _wrapped(f"{step.target.label}, {step.equivalence.sentence}, by {step.theorem}", width, "  ")
        for lack, advice in zip(steps[0].missing, steps[0].supply, strict=True):
            word = "undecided" if lack.status is Status.UNKNOWN else "missing"
            yield from _wrapped(f"{lack.condition} is {word}: {advice}", width, "    ")


def _alternatives(report: Report, width: int) -> Iterator[str]:
    for item in report.alternatives:
        yield from _wrapped(f"another model with the same law of x, not the same "
                            f"{Equivalence(item.refutes).sentence}: {item.differs}", width, "")
        for line in toml(item.model):
            yield f"  {line}" if len(line) <= LONGEST_LINE else \
                f"  {line[:width - 40]} ... ({len(line)} characters; whole in the JSON report)"
