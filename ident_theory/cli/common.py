"""What several commands share: formats, checks, notes and progress on the terminal."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.models import Model

#: Called with what is being done, how much of it is finished, and how much there is.
Step = Callable[[str, int, int], None]


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
