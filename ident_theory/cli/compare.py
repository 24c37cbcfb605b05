"""The command ``compare``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ident_theory.cli.check import NEGATIVE, UNDECIDED, parse_budget
from ident_theory.cli.common import check_outputs, names_of, print_repairs, write_report
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.conditions.relation import Correspondence
    from ident_theory.models import Model
    from ident_theory.numerics import Status


class Relation(enum.StrEnum):
    """What can be asked of two models."""

    LAW = "law"
    AFFINE = "affine"
    MONOMIAL = "monomial"
    ORTHOGONAL = "orthogonal"
    PERMUTATION = "permutation"
    EQUAL = "equal"


class Numbers(enum.StrEnum):
    """How the numbers of the model files are meant."""

    EXACT = "exact"
    ROUNDED = "rounded"


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Model file, .toml or .json.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as JSON too.",
                                              show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw both laws, and for one latent the decoders "
                                                "with the map between them, as .png or .svg.",
                                                show_default=False)] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="Time allowed: 60s, 2min, 500ms, or seconds.")] = "60s",
    require: Annotated[Relation, typer.Option(help="What the exit code tells: equality in law, or an equivalence at "
                                                   "least this fine.")] = Relation.LAW,
    numbers: Annotated[Numbers, typer.Option(help="Whether numbers of the files are meant as they stand, or are "
                                                  "rounded to float64.")] = Numbers.EXACT,
) -> None:
    """Decide whether two models have one law of x, and which affine map of z takes one to the other, with proofs.

    Exit codes: 0 what was asked holds, 1 it does not, 2 bad input, 3 undecided.
    """
    seconds = parse_budget(budget)
    check_outputs(json, figure, [first, second])
    models = _read(first, second)
    if figure is not None:
        _check_drawable(models, (first, second))
    from ident_theory.conditions.relation import equivalence
    from ident_theory.report.compare_text import compare_text

    found = equivalence(*models, budget=seconds)
    is_rounded, note = numbers is Numbers.ROUNDED, ""
    if is_rounded:
        found, note = as_rounded(found, seconds)
    names = names_of((first, second))
    typer.echo(compare_text(found, names[0], names[1], note))
    _print_verification(found)
    if json is not None:
        write_report(found, json)
        typer.echo(f"\nreported in {json}; check every proof again with: ident-theory verify {json}")
    if figure is not None:
        from ident_theory.report import compare_figure, save_figure

        typer.echo(f"drawn in {save_figure(compare_figure(found, names[0], names[1]), figure)}")
    code = exit_code(found, Relation.LAW if is_rounded else require)
    if code:
        raise SystemExit(code)


def as_rounded(found: Correspondence, seconds: float) -> tuple[Correspondence, str]:
    """The same for numbers that stand for all within their rounding, and why: what fails must fail beyond it."""
    from dataclasses import replace

    from ident_theory.laws.equality import equal_in_law
    from ident_theory.numerics import Status

    law = equal_in_law(found.first, found.second, numbers=str(Numbers.ROUNDED), budget=seconds)
    if law.status is Status.FAILS:
        return found, f"the laws differ by more than the rounding of the numbers explains (evidence {law.evidence}): " \
                      f"{law.reason}"
    findings = dict(found.findings)
    for name, item in found.findings.items():
        if name == law.condition:
            findings[name] = replace(item, status=Status.UNKNOWN, proof=None, reason=law.reason)
        elif item.status is Status.FAILS:
            findings[name] = replace(item, status=Status.UNKNOWN, proof=None, reason=(
                "it fails for the numbers as they stand, which says little about all within their rounding"))
    return replace(found, n_changes=None, findings=findings), "a map is that of the numbers as they stand"


def exit_code(found: Correspondence, require: Relation) -> int:
    """0 when what is asked for holds, 1 when it fails, 3 when it is undecided."""
    from ident_theory.numerics import Status

    return {Status.HOLDS: 0, Status.FAILS: NEGATIVE, Status.UNKNOWN: UNDECIDED}[relation_status(found, require)]


def relation_status(found: Correspondence, require: Relation) -> Status:
    """Whether the models are related at least so finely.

    An equivalence fails when the laws differ, and when a coarser one fails.
    """
    from ident_theory.conditions.lattice import Equivalence
    from ident_theory.numerics import Status

    law = found.findings["equal_in_law"].status
    if require is Relation.LAW:
        return law
    wanted = Equivalence(require)
    kinds = {Equivalence(name.removeprefix("equivalent.")): item.status for name, item in found.findings.items()
             if name.startswith("equivalent.")}
    if any(status is Status.HOLDS and kind.implies(wanted) for kind, status in kinds.items()):
        return Status.HOLDS
    is_excluded = law is Status.FAILS or any(status is Status.FAILS and wanted.implies(kind)
                                             for kind, status in kinds.items())
    return Status.FAILS if is_excluded else Status.UNKNOWN


def _read(*paths: Path) -> list[Model]:
    """All models, or one error that names the mistakes of every file."""
    from ident_theory.spec import load

    models, mistakes = [], []
    for path in paths:
        try:
            models.append(load(path))
            print_repairs(path, models[-1])
        except InputError as error:
            mistakes.append(error)
        except OSError as error:
            mistakes.append(InputError(f"{path}: {error.strerror or error}"))
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise InputError("\n".join(map(str, mistakes)))
    return models


def _check_drawable(models: list[Model], paths: tuple[Path, Path]) -> None:
    """Refuse a figure of decoders without values before anything is computed."""
    from ident_theory.models import DeclaredMap

    for model, path in zip(models, paths, strict=True):
        if isinstance(model.decoder, DeclaredMap):
            raise InputError(f"--figure: expected decoders with values, {path} has a declared one")


def _print_verification(found: Correspondence) -> None:
    """Check every proof at once by the independent verifier, which does not search."""
    from ident_theory.errors import CertificateRejected

    proven = [item for item in found.findings.values() if item.proof is not None]
    rejected = []
    for item in proven:
        try:
            item.verify(found.first)
        except CertificateRejected as error:
            rejected.append(f"          REJECTED {item.condition}: {error}")
    unproven = [name for name, item in found.findings.items() if item.proof is None and item.status != "unknown"]
    typer.echo(f"verified  {len(proven) - len(rejected)} of {len(proven)} proofs accepted by the independent verifier"
               + (f"; without a proof: {', '.join(unproven)}" if unproven else ""))
    for line in rejected:
        typer.echo(line)
