"""The whole claims ledger, its fast part, and what the refutation search finds when a hypothesis is dropped.

    python experiments/ledger/run.py [--out FOLDER]

Minutes on two cores. Verdicts, cases and counterexamples repeat themselves; times do not. Run from here, it also renews
the table of the README.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from os import cpu_count
from pathlib import Path
from typing import Any

from ident_theory.claims import LedgerReport, Verdict, find, run_claims
from ident_theory.claims.papers import PAPERS
from ident_theory.files import write_atomically

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
MARKS = "<!-- ledger table -->\n", "<!-- end of the ledger table -->"
#: Random cases that a search without a hypothesis may draw.
CASES = 20_000


def tell(line: str) -> None:
    """A line about how far the run is."""
    print(line, file=sys.stderr, flush=True)


def ledger(fast: bool) -> LedgerReport:
    """The ledger on all cores, told claim by claim."""
    name = "fast part" if fast else "whole ledger"
    return run_claims(find(), fast=fast, progress=lambda outcome, done, total: tell(
        f"{name}: {done}/{total}  {outcome.claim.id}: {outcome.verdict}, {outcome.seconds:.2f} s"))


def mutations() -> list[dict[str, Any]]:
    """For every hypothesis that a claim is known to need: the counterexample that is found without it."""
    found = []
    for claim in find():
        universal = claim.universal() if claim.universal is not None else None
        for name in () if universal is None else universal.needed:
            search = universal.search(cases=CASES, without=(name,))
            tell(f"{claim.id} without {name}: {search.cases} cases, {search.seconds:.2f} s")
            found.append({"claim": claim.id, "without": name, "cases": search.cases,
                          "seconds": round(search.seconds, 2), "counterexample": search.counterexample})
    return found


def brief(report: LedgerReport) -> dict[str, Any]:
    """Verdicts without statements and evidence, which the source and ``ident-theory claims --json`` have."""
    names = ("id", "paper", "place", "kind", "verdict", "evidence", "cases", "seconds")
    plain = json.loads(report.to_json())
    return {**plain, "claims": [{name: item[name] for name in names} for item in plain["claims"]]}


def table(full: LedgerReport, fast: LedgerReport, dropped: list[dict[str, Any]]) -> str:
    """Verdicts by paper, the times, and the mutations in one sentence."""
    rows = [(paper.authors, full.counts(paper.key)) for paper in PAPERS] + [("all", full.counts())]
    lines = ["| paper | " + " | ".join(Verdict) + " | claims |", "| --- |" + " ---: |" * (len(Verdict) + 1)]
    lines += [f"| {name} | " + " | ".join(str(counts[v] or "") for v in Verdict) + f" | {sum(counts.values())} |"
              for name, counts in rows]
    caught = [item for item in dropped if item["counterexample"] is not None]
    slowest = max(item["seconds"] for item in dropped)
    return "\n".join([
        *lines, "",
        f"Measured with `make ledger` on {cpu_count()} cores, Python {platform.python_version()}: the whole ledger in "
        f"{full.seconds:.0f} s, its fast part ({len(fast.outcomes)} claims, `--fast`) in {fast.seconds:.0f} s.",
        f"{len(dropped)} times a hypothesis of a claim was dropped, and {len(caught)} times the search found a "
        f"counterexample, the slowest in {slowest:.1f} s.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for the results")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    fast, full, dropped = ledger(fast=True), ledger(fast=False), mutations()
    text = table(full, fast, dropped)
    write_atomically(out / "claims.json", (json.dumps(brief(full), indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(out / "mutations.json", (json.dumps(dropped, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(out / "table.md", text.encode())
    print(text)
    if out == HERE / "results":
        before, rest = README.read_text().split(MARKS[0])
        write_atomically(README, (before + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1])[1]).encode())


if __name__ == "__main__":
    main()
