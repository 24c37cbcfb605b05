"""What several commands share: formats, checks, notes and progress on the terminal."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.models import Model

#: Characters of a report above which it is written without line breaks: proofs of large decoders are for machines.
LARGE = 300_000
#: Called with what is being done, how much of it is finished, and how much there is.
Step = Callable[[str, int, int], None]


class Written(Protocol):
    """A result that can be written as JSON."""

    def to_json(self, indent: int | None = None) -> str:
        """As text."""


class FigureFormat(enum.StrEnum):
    """Figure files that can be written."""

    PNG = "png"
    SVG = "svg"


def print_repairs(path: Path, model: Model) -> None:
    """Tell what was repaired while a file was read."""
    for repair in model.prior.repairs:
        typer.echo(f"{path.name}: repaired: prior.{repair}", err=True)


def check_folder(out: Path) -> None:
    """InputError when the folder for results is something else."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: expected a folder, {out} is a file")


def check_outputs(json: Path | None, figure: Path | None, inputs: Iterable[Path]) -> None:
    """InputError when a file to be written cannot be one, or would replace an input or another output."""
    if json is not None and json.is_dir():
        raise InputError(f"--json: expected a file, {json} is a folder")
    if json is not None and json.resolve() in [path.resolve() for path in inputs]:
        raise InputError(f"--json: the report would replace {json}; choose another file")
    if figure is None:
        return
    if figure.suffix not in (".png", ".svg"):
        raise InputError(f"--figure: expected a file name ending in .png or .svg, got {str(figure)!r}")
    if figure.is_dir():
        raise InputError(f"--figure: expected a file, {figure} is a folder")
    if json is not None and json.resolve() == figure.resolve():
        raise InputError(f"--figure: expected another file than --json, got {figure} for both")


def names_of(files: Sequence[Path]) -> list[str]:
    """File names, or whole paths where two files have one name."""
    short = [path.name for path in files]
    return short if len(set(short)) == len(short) else [str(path) for path in files]


def write_report(report: Written, path: Path) -> None:
    """Write a report as JSON, atomically; with line breaks unless it is large."""
    from ident_theory.files import write_atomically

    text = report.to_json()
    readable = report.to_json(indent=1) if len(text) < LARGE else text
    write_atomically(path, (readable + "\n").encode())


@contextlib.contextmanager
def progress(first: str, rate: Callable[[str, float], str]) -> Iterator[Step]:
    """A bar a phase on stderr with rate and time left; nothing at all when stderr is no terminal.

    Parameters
    ----------
    first : str
        What to show until the first step; another phase takes its place.
    rate : callable
        Words for a phase and its speed in steps a second.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {first: bar.add_task(first, total=None, rate="")}
        lock = threading.Lock()  # some phases report from several threads

        def step(what: str, done: int, total: int) -> None:
            with lock:
                if what not in tasks:
                    bar.update(tasks[first], visible=False)
                    tasks[what] = bar.add_task(what, total=total, rate="")
                task = next(item for item in bar.tasks if item.id == tasks[what])
                bar.update(task.id, completed=max(done, task.completed), total=total,
                           rate=rate(what, task.speed) if task.speed else "")

        yield step
