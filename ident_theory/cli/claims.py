"""The command ``claims``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ident_theory.cli.check import NEGATIVE, UNDECIDED
from ident_theory.cli.common import check_outputs, progress, write_report
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.claims import Claim, LedgerReport, Outcome


def claims(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=(
        "Claims to check, e.g. ivae.thm1, or 'kivva.thm*' for all that begin so [default: all].")
        , show_default=False)] = None,
    paper: Annotated[str | None, typer.Option(metavar="P", help=(
        "Only claims of this paper: ivae, gan, idnu, gin, kivva, or our own repairs."), show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write verdicts and evidence as JSON too.",
                                              show_default=False)] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the ledger as a page of Markdown too.",
                                              show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw every claim in the colour of its verdict, "
                                                "as .png or .svg.", show_default=False)] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out slow claims, and draw a tenth of the cases.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only list the claims; check nothing.")] = False,
    without: Annotated[list[str] | None, typer.Option(metavar="HYPOTHESIS", help=(
        "Drop this hypothesis of one claim and look for a counterexample. Repeatable."), show_default=False)] = None,
    cases: Annotated[int, typer.Option(min=1, help="Random cases of a search with --without.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of a search with --without.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes [default: one a core].",
                                             show_default=False)] = None,
) -> None:
    """Check claims of the papers: a table of verdicts, or statement, evidence and counterexample of one claim.

    Exit codes: 0 every check came to a verdict (a refuted claim is one), 1 a check failed or contradicts itself,
    2 bad input, 3 a claim is open; with --without: 0 a counterexample was found, 3 none was.
    """
    check_outputs(json, figure, [])
    _check_page(page, json)
    from ident_theory.claims import find, run_claims
    from ident_theory.report.claims_text import claim_list, claim_text, ledger_page, verdict_table

    chosen = find(ids or (), paper)
    if listed:
        typer.echo(claim_list(chosen))
        return
    if without:
        _search(chosen, without, cases, seed)
        return
    if fast and all(claim.slow for claim in chosen):
        raise InputError("--fast: every claim asked for is slow and would be left out; leave out --fast")
    with progress("checking claims", lambda _, speed: f"{speed:.1f} claims/s") as step:
        def show(_: Outcome, done: int, total: int) -> None:
            step("checking claims", done, total)

        report = run_claims(chosen, fast=fast, jobs=1 if len(chosen) == 1 else jobs, progress=show)
    typer.echo(claim_text(report.outcomes[0]) if len(report.outcomes) == 1 else verdict_table(report))
    if json is not None:
        write_report(report, json)
        typer.echo(f"\nverdicts and evidence in {json}")
    if page is not None:
        from ident_theory.files import write_atomically

        write_atomically(page, ledger_page(report).encode())
        typer.echo(f"\nthe ledger as a page in {page}")
    if figure is not None:
        from json import loads

        from ident_theory.report import ledger_figure, save_figure

        typer.echo(f"\ndrawn in {save_figure(ledger_figure(loads(report.to_json())), figure)}")
    code = _exit_code(report)
    if code:
        raise SystemExit(code)


def _exit_code(report: LedgerReport) -> int:
    if any(outcome.problems for outcome in report.outcomes):
        return NEGATIVE
    from ident_theory.claims import Verdict

    return UNDECIDED if report.counts()[Verdict.OPEN] else 0


def _search(chosen: list[Claim], without: list[str], cases: int, seed: int) -> None:
    from ident_theory.report.claims_text import search_text

    if len(chosen) != 1:
        raise InputError(f"--without: expected one claim, found {len(chosen)}; give the id of the claim")
    claim = chosen[0]
    if claim.universal is None:
        raise InputError(f"--without: {claim.id} has no quantified form that could be searched")
    found = claim.universal().search(cases=cases, without=without, random_seed=seed, seconds=None)
    typer.echo(search_text(claim, found))
    if found.counterexample is None:
        raise SystemExit(UNDECIDED)


def _check_page(page: Path | None, json: Path | None) -> None:
    if page is None:
        return
    if page.suffix != ".md":
        raise InputError(f"--page: expected a file name ending in .md, got {str(page)!r}")
    if page.is_dir():
        raise InputError(f"--page: expected a file, {page} is a folder")
    if json is not None and json.resolve() == page.resolve():
        raise InputError(f"--page: expected another file than --json, got {page} for both")
