"""The commands ``check``, ``verify`` and ``example``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ident_theory.cli.common import check_outputs, print_repairs, write_report
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.conditions.lattice import Equivalence
    from ident_theory.conditions.result import Report
    from ident_theory.models import Model

NEGATIVE, UNDECIDED = 1, 3
_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}
_BUDGET = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*")
_ATTRIBUTE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=(
        "Model file, .toml or .json, or a torch module as package.module:attribute."), show_default=False)],
    prior: Annotated[Path | None, typer.Option(metavar="FILE", help=(
        "Model file with [prior] and perhaps [noise], for a torch module."), show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON too.",
                                              show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the decoder and what was found, as .png or "
                                                ".svg.", show_default=False)] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="Time allowed: 60s, 2min, 500ms, or seconds.")] = "60s",
    theorem: Annotated[list[str] | None, typer.Option(metavar="ID", help=(
        "Ask for this theorem only, e.g. kivva.thm3.2a. Repeatable."), show_default=False)] = None,
    require: Annotated[str | None, typer.Option(metavar="EQUIVALENCE", help=(
        "Ask for the law of the latent at least up to this, e.g. affine."), show_default=False)] = None,
    declare: Annotated[list[str] | None, typer.Option(metavar="ID", help=(
        "Vouch for a premise that no model shows, e.g. training.posterior. Repeatable."),
        show_default=False)] = None,
) -> None:
    """Decide the identifiability conditions of a model, with proofs, and what follows from them.

    Exit codes: 0 what was asked holds, 1 it does not, 2 bad input, 3 undecided.
    """
    seconds = parse_budget(budget)
    wanted = None if require is None else parse_equivalence(require)
    check_outputs(json, figure, [Path(model), *filter(None, [prior])])
    from ident_theory.conditions.theorems import check_declared, choose

    choose(theorem)
    check_declared(declare or ())
    read = _read(model, prior)
    from ident_theory.conditions.check import check as run_check

    report = run_check(read, theorem, seconds, declared=declare or ())
    _print(report)
    if json is not None:
        write_report(report, json)
        typer.echo(f"\nreported in {json}; check every proof again with: ident-theory verify {json}")
    else:
        typer.echo("\nto check every proof again: add --json FILE, then ident-theory verify FILE")
    if figure is not None:
        from ident_theory.report import check_figure, save_figure

        name = Path(model).stem if Path(model).suffix.lower() in (".toml", ".json") else model
        typer.echo(f"drawn in {save_figure(check_figure(report, name), figure)}")
    code = exit_code(report, wanted, theorem)
    if code:
        raise SystemExit(code)


def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="JSON file that check or compare wrote.",
                                           show_default=False)],
) -> None:
    """Check every certificate and witness of a report or comparison again, without searching, and its conclusions.

    What a comparison states without a proof, such as the number of maps, is searched for again.

    Exit codes: 0 everything accepted, 1 something rejected, 2 not a report.
    """
    import json

    try:
        tree = json.loads(report.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{report}: expected a report in JSON, got text that cannot be read ({error})") from None
    if isinstance(tree, dict) and tree.get("type") == "comparison":
        from ident_theory.conditions.comparison import verify_comparison as check_again
    else:
        from ident_theory.conditions.verification import verify_report as check_again
    lines = check_again(tree)
    width = max(len(what) for what, _, _ in lines)
    for what, accepted, message in lines:
        typer.echo(f"{what.ljust(width)}  {'accepted' if accepted else 'REJECTED'}  {message}")
    rejected = sum(not accepted for _, accepted, _ in lines)
    typer.echo(f"\n{len(lines) - rejected} of {len(lines)} accepted" + (f", {rejected} rejected" if rejected else ""))
    if rejected:
        raise SystemExit(NEGATIVE)


def example(
    name: Annotated[str | None, typer.Argument(help="Name of an example; all names when left out.",
                                               show_default=False)] = None,
) -> None:
    """List the model files that come with the package, or print one."""
    from ident_theory.examples import example_names, example_text

    if name is not None:
        typer.echo(example_text(name), nl=False)
        return
    for item in example_names():
        typer.echo(f"{item:<24}{example_text(item).splitlines()[0].lstrip('# ')}")


def parse_budget(text: str) -> float:
    """Seconds out of ``60s``, ``2min``, ``500ms``, ``1h`` or a plain number.

    Raises
    ------
    InputError
        For anything else, and for no time at all.
    """
    match = _BUDGET.fullmatch(text)
    if match is None or match[2] not in _UNITS or not 0.0 < float(match[1]) * _UNITS[match[2]] < float("inf"):
        raise InputError(f"--budget: expected a time > 0 such as 60s, 2min, 500ms or a number of seconds, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def parse_equivalence(text: str) -> Equivalence:
    """An equivalence by its name.

    Raises
    ------
    InputError
        For another name; lists them.
    """
    import difflib

    from ident_theory.conditions.lattice import Equivalence

    names = [str(item) for item in Equivalence if item is not Equivalence.NONE]
    if text not in names:
        near = difflib.get_close_matches(text, names, 1, 0.4)
        raise InputError(f"--require: expected one of {', '.join(names)}, got {text!r}"
                         + (f"; did you mean {near[0]!r}?" if near else ""))
    return Equivalence(text)


def exit_code(report: Report, require: Equivalence | None, theorems: list[str] | None) -> int:
    """0 when everything asked for holds, 1 when something fails, 3 when undecided conditions stand in the way."""
    from ident_theory.numerics import Status

    answers = [report.status(theorem=name) for name in theorems or ()]
    if require is not None or not theorems:
        answers.append(report.status(require))
    if Status.FAILS in answers:
        return NEGATIVE
    return UNDECIDED if Status.UNKNOWN in answers else 0


def _read(place: str, prior: Path | None) -> Model:
    from ident_theory.spec import load

    is_file = place.lower().endswith((".toml", ".json"))
    if is_file or not _ATTRIBUTE.fullmatch(place):
        if prior is not None:
            raise InputError("--prior: expected with a torch module, package.module:attribute; a model file has its "
                             "own [prior]")
        read = load(place)
        print_repairs(Path(place), read)
        return read
    if prior is None:
        raise InputError(f"check: expected --prior FILE beside the torch module {place}")
    return _with_prior(place, prior)


def _with_prior(place: str, path: Path) -> Model:
    """A torch module with the prior and noise of a file, which is read as if the decoder stood in it."""
    from ident_theory.bridge import convert, load_object
    from ident_theory.models import Model
    from ident_theory.spec.reading import from_dict, read_tree

    tree = read_tree(path)
    if "decoder" in tree:
        raise InputError(f"--prior: expected [prior] and perhaps [noise], {path} has a [decoder] of its own")
    converted = convert(load_object(place))
    for kind, lines in (("repaired", converted.repairs), ("note", converted.notes)):
        for line in lines:
            typer.echo(f"{place}: {kind}: {line}", err=True)
    network = converted.decoder
    stand_in = {"type": "declared", "latent_dim": network.latent_dim, "observed_dim": network.observed_dim,
                "properties": []}
    parts = from_dict({**tree, "decoder": stand_in}, str(path))
    print_repairs(path, parts)
    return Model(parts.prior, network, parts.noise)


def _print(report: Report) -> None:
    from rich.console import Console

    from ident_theory.report.check_text import check_text, finding_table, outcome_text

    console = Console()
    if console.is_terminal:
        console.print(finding_table(report))
        typer.echo()
        typer.echo(outcome_text(report, console.width))
    else:
        typer.echo(check_text(report))
