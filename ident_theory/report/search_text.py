"""The report of a search as text of 120 columns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from ident_theory.report.search import SearchReport, TruthReport, affine_words

WIDTH = 120
#: Affine images are listed for at most this many truths.
LISTED = 20
#: Least width of the words for a prior and for a function.
WORDS = 16
_LETTERS = {"same": "S", "affine": "A", "law": "L"}


def report_text(report: SearchReport) -> str:
    """Header, tables, witnesses and summary."""
    parts = [_header(report)]
    if report.truths:
        parts += [_truths(report), _affine(report), _witnesses(report)]
    if report.data:
        parts.append(_data(report))
    if report.truths:
        parts.append(_summary(report))
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)


def toml(model: Mapping[str, Any]) -> Iterator[str]:
    """A model as TOML, one line a section; strings, numbers and lists are written as in JSON."""
    for name, section in model.items():
        yield f"{name} = {{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in section.items()) + "}"


def _header(report: SearchReport) -> Iterator[str]:
    yield f"parameter points       {report.points:,}"
    yield f"distinct members       {report.functions * report.priors:,} = {report.functions:,} functions x " \
          f"{report.priors:,} priors"
    yield f"laws evaluated         {report.evaluated:,} (members that an affine map of z turns into each other, once)"
    yield "pruned                 nothing: every member has a value for every target"
    nodes = f"{report.nodes[0]:,} nodes" if len(report.nodes) == 1 else \
        f"{len(report.nodes)} rules of {min(report.nodes):,} to {max(report.nodes):,} nodes"
    yield f"quadrature             {nodes}"
    errors = [f"{value:.2g} nats for {what}" for value, what in ((report.error, "truths"), (report.data_error, "data"))
              if value is not None]
    yield f"quadrature error       at most {', '.join(errors)} ({'proven' if report.proven else 'estimated'})"
    if report.truths:
        yield f"minimisers             decided in rationals among the members within {report.near:.2g} nats"


def _truths(report: SearchReport) -> Iterator[str]:
    rows = [[str(t.index), t.prior, t.function, t.verdict, _letters(t), f"{t.raw:,}", "yes" if t.weakly_injective
             else "no", "yes" if t.explained else "NO", f"{'' if t.minima_exact else '>='}{t.minima:,}",
             "-" if t.runner_up is None else f"{t.runner_up:.2g}"] for t in report.truths]
    yield from _table(["#", "prior", "f", "minimisers", "how", "points", "F2", "ok", "minima", "next"], rows,
                      right={0, 5, 8, 9}, cut=(1, 2))
    yield ""
    yield "prior: weight@mean.  f: pieces from left to right, [breakpoints].  how: S the truth, A affine images of it,"
    yield "L equal in law only (number of classes).  points: raw parameter points that minimise.  F2: decoder weakly"
    yield "injective.  ok: theorem 3.2(a) allows it.  minima: local minima of the grid, global ones included."
    yield "next: excess of the lowest other local minimum, nats."
    absent = [t for t in report.truths if t.verdict == "absent"]
    if absent:
        yield from wrap("Not in the family (excess of the best member, nats): " + ", ".join(
            f"{t.index} ({t.lowest_excess:.2g})" for t in absent), WIDTH)
    missed = [t for t in report.truths if t.near_misses]
    if missed:
        yield from wrap(f"Members within {report.near:.2g} nats of a truth that have another law (truth: members): "
                        + ", ".join(f"{t.index}: {t.near_misses}" for t in missed), WIDTH)


def _letters(truth: TruthReport) -> str:
    relations = [item.relation for item in truth.classes]
    counts = {name: relations.count(name) for name in _LETTERS}
    return " ".join(_LETTERS[name] + (str(n) if n > 1 else "") for name, n in counts.items() if n) or "-"


def _affine(report: SearchReport) -> Iterator[str]:
    found = [(t, c) for t in report.truths for c in t.classes if c.relation == "affine" and t.verdict != "constant"]
    if not found:
        return
    yield "Affine images: h carries the truth to one member of its class"
    rows = [[str(t.index), "h(z) = " + affine_words(c.scale, c.shift) if c.scale is not None and c.shift is not None
             else "h irrational", c.prior, c.function] for t, c in found[:LISTED]]
    yield from _table(["#", "h", "prior", "f"], rows, right={0}, cut=(2, 3))
    if len(found) > LISTED:
        yield f"... and {len(found) - LISTED} more, in the JSON report"


def _witnesses(report: SearchReport) -> Iterator[str]:
    found = [t for t in report.truths if t.verdict == "inequivalent"]
    if not found:
        return
    yield "Witnesses: two models with the same law that no affine change of z explains. To check one, put its parts"
    yield "into truth.toml and other.toml and run"
    yield ""
    yield "    from ident_theory import load"
    yield "    from ident_theory.laws.identity import compare"
    yield "    print(compare(load('truth.toml'), load('other.toml')).relation)"
    yield ""
    yield "which prints: equal in law, not affinely equivalent."
    for truth in found:
        others = [item for item in truth.classes if item.relation == "law"]
        yield ""
        yield f"# truth {truth.index}: {truth.prior} | {truth.function}"
        yield from toml(truth.model)
        yield f"# other: {others[0].prior} | {others[0].function}" + \
            (f" (the first of {len(others)} classes)" if len(others) > 1 else "")
        yield from toml(others[0].model)


def _data(report: SearchReport) -> Iterator[str]:
    yield "Data: the member with the lowest mean negative log-likelihood"
    rows = [[str(d.index), f"{d.value:.10g}", d.prior, d.function] for d in report.data]
    yield from _table(["#", "nats", "prior", "f"], rows, right={0, 1}, cut=(2, 3))


def _summary(report: SearchReport) -> Iterator[str]:
    counts = report.counts()
    rows = [[("  " if i > 1 else "") + c.kind, *map(str, (c.truths, c.unique, c.inequivalent, c.constant, c.absent,
                                                         c.not_explained))] for i, c in enumerate(counts)]
    head = ["summary", "truths", "unique", "inequivalent", "constant", "absent", "not explained"]
    yield from _table(head, rows, right=set(range(1, 7)))
    yield "(full model: none of the four below it, which may overlap)"
    everything = counts[0]
    ties = everything.inequivalent
    yield ""
    yield f"{ties} of {everything.truths} truths ({ties / everything.truths:.1%}) have inequivalent minimisers: " \
          f"{ties - everything.not_explained} explained by theory, {everything.not_explained} not explained."
    if everything.not_explained:
        yield "Not explained means a contradiction to theorem 3.2(a), or a mistake here. Check the witness."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = (),
           cut: tuple[int, ...] = ()) -> Iterator[str]:
    """Columns two spaces apart; those in `cut` share what room is left and lose their ends."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - WIDTH
    for i in sorted(cut, key=lambda i: -widths[i]):  # the widest gives first
        less = max(0, min(over, widths[i] - WORDS))
        widths[i], over = widths[i] - less, over - less
    for row in (head, *rows):
        cells = [cell if len(cell) <= w else cell[:w - 3] + "..." for cell, w in zip(row, widths, strict=True)]
        yield "  ".join(cell.rjust(w) if i in right else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(cells, widths, strict=True))).rstrip()
