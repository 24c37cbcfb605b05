"""The command ``train``."""

from __future__ import annotations

import contextlib
import json as json_text
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ident_theory.cli.common import check_folder, check_outputs, progress
from ident_theory.cli.train_settings import data_of, estimator_of, pairs_of
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.data import Dataset
    from ident_theory.estimators import Estimator, Fit
    from ident_theory.estimators.recipes import Preset

ALL_FAILED = 1
#: Runs and held-out share where neither the command nor a preset says so.
RUNS, HELD_OUT = 5, 0.1
#: Files in the folder of the results that no report may replace.
OWN = ("model.json", "checkpoint.safetensors", "log.jsonl", "latents.npz")
_MATHEMATICS = re.compile(r":math:`([^`]*)`")


@dataclass(frozen=True)
class Plan:
    """What the command was asked for: options before preset before defaults."""

    estimator: Estimator
    data: Dataset
    source: str
    runs: int
    preset: Preset | None


def train(
    estimator: Annotated[str | None, typer.Argument(metavar="[ESTIMATOR]", help=(
        "Name of an estimator [default: the first of the preset]."), show_default=False)] = None,
    data: Annotated[str | None, typer.Option(metavar="NAME|FILE", help=(
        "A generator (tcl, pinwheel, ...), observations in .npz (x, perhaps u and z), .npy, .csv or .txt, or a model "
        "file to draw from, .toml or .json."), show_default=False)] = None,
    data_set: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help=(
        "Setting of the generator or reader, e.g. segments=20. Repeatable."), show_default=False)] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=(
        "Setting of the estimator, e.g. hidden=20; some take a value a run, e.g. beta=1,2,4. Repeatable."),
        show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help=(
        "Data, settings and runs of a paper; other options go before it."), show_default=False)] = None,
    runs: Annotated[int | None, typer.Option(min=1, metavar="N", help=(
        f"Runs, trained together [default: the preset's, or {RUNS}]."), show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Run r has seed SEED + r.")] = 0,
    data_seed: Annotated[int, typer.Option(min=0, help="Seed of the data and of what is held out.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Length of the training.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="The same in passes over the data.",
                                               show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Observations of a step.", show_default=False)] = None,
    learning_rate: Annotated[str | None, typer.Option(metavar="RATE", help=(
        "Of Adam; with commas one for each run."), show_default=False)] = None,
    device: Annotated[str, typer.Option(help="As torch names it: cpu, cuda, cuda:1.")] = "cpu",
    precision: Annotated[str | None, typer.Option(help=(
        "float32, float64, or bfloat16, which is mixed [default: float32, and float64 for exact-ml]."),
        show_default=False)] = None,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help=(
        "Your files, for the readers idx, cifar10, svhn and npz."), show_default=False)] = None,
    held_out: Annotated[float, typer.Option(metavar="FRACTION", help=(
        "Share of the observations held out for the evaluation; 0: evaluate on the training data."))] = HELD_OUT,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for checkpoint, log, model and latents.")] =
    Path("train"),
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted training, or start afresh.")] = True,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch on the CPU.")] = 1,
    list_names: Annotated[bool, typer.Option("--list", help="List estimators, data and presets, and stop.")] = False,
    check: Annotated[bool, typer.Option(help="Decide the identifiability conditions of the best run's model.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON too.",
                                              show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help=(
        "Draw learning curves and recovered latents, as .png or .svg."), show_default=False)] = None,
) -> None:
    """Train several runs of an estimator together, and say how well they recover the latents.

    The same command goes on with an interrupted training; when that is finished, it evaluates again only.

    Exit codes: 0 done, 1 all runs failed, 2 bad input, 3 not computable.
    """
    if list_names:
        print_names()
        return
    check_folder(out)
    check_outputs(json, figure, [*_files_read(data, data_set, data_dir), *(out / name for name in OWN)])
    check_inputs(data, out)
    with _processes(device) as (rank, own_device), _notes_on_stderr(quiet=rank > 0):
        lengths = {key: value for key, value in (
            ("steps", steps), ("epochs", epochs), ("batch_size", batch_size), ("learning_rate", learning_rate))
            if value is not None}
        plan = plan_of(estimator, data, pairs_of(data_set, "--data-set"), {**pairs_of(settings, "--set"), **lengths},
                       preset, runs, data_seed, data_dir)
        training, held = split(plan.data, held_out, data_seed, plan.estimator)
        found = _fit(plan, training, seed, own_device, precision or plan.estimator.precision, out, resume, threads,
                     quiet=rank > 0)
    if rank > 0:
        return
    from ident_theory.cli.train_results import conclude

    tree = conclude(plan, found, training, held, data_seed, out, device=own_device, check=check)
    from ident_theory.report.train_text import train_text

    typer.echo(train_text(tree))
    if json is not None:
        from ident_theory.files import write_atomically

        write_atomically(json, (json_text.dumps(tree, indent=1) + "\n").encode())
        typer.echo(f"reported in {json}")
    if figure is not None:
        from ident_theory.cli.train_results import draw

        typer.echo(f"drawn in {draw(found, held, tree, figure)}")
    if not found.ranking:
        raise SystemExit(ALL_FAILED)


def plan_of(name: str | None, source: str | None, data_settings: Mapping[str, Any], settings: Mapping[str, Any],
            preset: str | None, runs: int | None, data_seed: int, data_dir: Path | None) -> Plan:
    """Estimator and data from the options, with the preset below them.

    Raises
    ------
    InputError
        For options that are missing or do not fit; the data are made last.
    """
    from ident_theory.estimators.recipes import preset as preset_by_name

    paper = None if preset is None else preset_by_name(preset)
    if name is None:
        if paper is None:
            raise InputError("train: expected the name of an estimator or --preset NAME; --list shows both")
        name = next(iter(paper.estimators))
    own = {} if paper is None else dict(paper.estimators.get(name, {}))
    if "steps" in settings or "epochs" in settings:  # one of the two; the option's
        own = {key: value for key, value in own.items() if key not in ("steps", "epochs")}
    made = estimator_of(name, {**own, **settings})
    if source is None and paper is None:
        raise InputError("train: expected --data NAME or FILE, or --preset NAME; --list shows the names")
    if source is None and paper is not None:
        source, data_settings = paper.data, {**paper.data_settings, **data_settings}
    assert source is not None
    count = runs or (RUNS if paper is None else paper.runs)
    return Plan(made, data_of(source, data_settings, data_seed, data_dir), source, count, paper)


def split(data: Dataset, fraction: float, seed: int, estimator: Estimator) -> tuple[Dataset, Dataset]:
    """Training and held-out observations; the same ones twice for the fraction 0."""
    from numpy.random import default_rng

    from ident_theory.estimators.evaluation import check_size

    if fraction == 0:
        training = held = data
    else:
        if not 0 < fraction < 1:
            raise InputError(f"--held-out: expected a number of at least 0 and below 1, found {fraction}")
        training, held = data.split(fraction, default_rng([seed, 1]))
    latents = estimator.latent_dim or data.latent_dim or data.observed_dim
    check_size(len(held), max(latents, data.latent_dim or 0))
    return training, held


def check_inputs(source: str | None, out: Path) -> None:
    """InputError when the data file is one that the command would write."""
    if source is not None and Path(source).is_file() and Path(source).resolve().parent == out.resolve():
        raise InputError(f"--out: the results would lie beside {source} and might replace it; choose another folder")


def _files_read(source: str | None, data_settings: Sequence[str] | None, data_dir: Path | None) -> list[Path]:
    """Files that the words of the command name as inputs."""
    named = [source or "", pairs_of(data_settings, "--data-set").get("model", ""), data_dir or ""]
    return [path for path in map(Path, named) if path.is_file()]


def _fit(plan: Plan, training: Dataset, seed: int, device: str, precision: str, out: Path, resume: bool, threads: int,
         *, quiet: bool) -> Fit:
    """Train with a bar on the terminal."""
    from ident_theory.estimators import fit

    def rate(_: str, speed: float) -> str:
        return f"{speed * plan.runs:,.0f} runs x steps/s"

    with contextlib.nullcontext() if quiet else progress("starting", rate) as step:
        def tell(record: Any, _: float) -> None:
            if step is not None:
                step(plan.estimator.name, record.step, record.steps)

        try:
            return fit(plan.estimator, training, runs=plan.runs, seed=seed, device=device, precision=precision,
                       directory=out, resume=resume, threads=threads, progress=tell)
        except KeyboardInterrupt:
            if not quiet:
                from ident_theory.estimators.store import CHECKPOINT

                place = "the last checkpoint" if (out / CHECKPOINT).is_file() else "the start: no checkpoint yet"
                typer.echo(f"ident-theory: stopped; the same command goes on from {place} in {out}", err=True)
            raise


@contextlib.contextmanager
def _processes(device: str) -> Iterator[tuple[int, str]]:
    """The number of this process among those that torchrun started, 0 without it, and its device."""
    if "WORLD_SIZE" not in os.environ:
        yield 0, device
        return
    from ident_theory.estimators import fit  # noqa: F401  says what to install where there is no torch
    from ident_theory.estimators.distributed import process_group

    with process_group(device) as group:
        yield group.rank, group.device


@contextlib.contextmanager
def _notes_on_stderr(*, quiet: bool) -> Iterator[None]:
    """Warnings of the estimators as notes."""
    from ident_theory.estimators import FewConditionsWarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if not quiet:
            typer.echo(f"note: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", FewConditionsWarning)
        warnings.showwarning = show
        yield


def print_names() -> None:
    """Estimators, data and presets with a line each."""
    import inspect

    from ident_theory.data import generators
    from ident_theory.estimators import estimator_class, names
    from ident_theory.estimators.recipes import presets

    typer.echo("estimators")
    for name in names():
        line = (inspect.getdoc(estimator_class(name)) or "").partition("\n")[0]
        plain = _MATHEMATICS.sub(lambda found: found[1], line)
        typer.echo(f"  {name:<28}{plain}")
    typer.echo("\ndata")
    for name, item in generators().items():
        needs = f" (needs {item.needs})" if item.needs else ""
        typer.echo(f"  {name:<28}{item.summary}{needs}")
    typer.echo("\npresets")
    for name, preset in presets().items():
        typer.echo(f"  {name:<28}{preset.summary}: {', '.join(preset.estimators)} ({preset.reference})")
