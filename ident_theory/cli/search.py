"""The commands ``search`` and ``minimisers``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ident_theory.cli.common import FigureFormat, check_folder, print_repairs, progress
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.landscape import ParameterFamily
    from ident_theory.report import SearchReport


class Device(enum.StrEnum):
    """Where values can be computed."""

    CPU = "cpu"
    CUDA = "cuda"
    TORCH_CPU = "torch-cpu"


def search(
    family: Annotated[Path, typer.Argument(help="Family file: a model file with a section [vary].",
                                           show_default=False)],
    truths: Annotated[int, typer.Option(min=0, metavar="N", help="Draw N truths from the family's grid.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of these draws.")] = 0,
    truth: Annotated[list[Path] | None, typer.Option(metavar="MODEL", help=(
        "Model file of a truth. Repeatable."), show_default=False)] = None,
    data: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=(
        "Observations instead of a truth: .npy, .npz (one array), .csv or .txt. Repeatable."),
        show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for store, report and figure.")] = Path("search"),
    tolerance: Annotated[float, typer.Option(help="Bound of the quadrature error of every value.")] = 1e-10,
    near: Annotated[float | None, typer.Option(help=(
        "Compare laws exactly up to this excess [default: 1e-9, at least 2 tolerances]."), show_default=False)] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help=(
        "Worker processes; 1 is this process, with all its cores."))] = 1,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help=(
        "Only every N-th tile, from the I-th on (I from 0); all shards share one --out."), show_default=False)] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help=(
        "Compute on the workers of this dask scheduler, tcp://host:port."), show_default=False)] = None,
    device: Annotated[Device, typer.Option(help="Where values are computed.")] = Device.CPU,
    resume: Annotated[bool, typer.Option(help="Go on with an interrupted search, or start afresh.")] = True,
    keep: Annotated[bool | None, typer.Option("--keep/--no-keep", help=(
        "Keep the excess of every point, or of the best prior of each function only [default: keep up to 1 GiB]."),
        show_default=False)] = None,
    figure_format: Annotated[FigureFormat, typer.Option("--format", help="Format of the figure.")] = FigureFormat.PNG,
) -> None:
    """Compare every member of a family with every truth, and list all global minimisers."""
    from ident_theory.landscape import executor_for, load_family, parse_shard
    from ident_theory.landscape import search as run_search
    from ident_theory.landscape.executors import ClusterWorkers
    from ident_theory.landscape.tiles import TileStore
    from ident_theory.report import save_figure, search_figure, search_report

    declared = load_family(family)
    print_repairs(family, declared.model)
    targets = _targets(declared, truths, seed, truth or [], data or [])
    part = None if shard is None else parse_shard(shard)
    if part is not None and not resume:
        raise InputError("--no-resume: removes what other shards have stored; give it without --shard")
    check_folder(out)
    store = out / f"{family.stem}.zarr"
    for given in (family, *(truth or ()), *(data or ())):
        if given.resolve() in (store.with_suffix(end).resolve() for end in (".json", f".{figure_format}")):
            raise InputError(f"--out: the results would replace {given}; choose another folder")
    if near is None:
        near = max(1e-9, 2 * tolerance)
    tiles: list[int] = []

    def rate(what: str, speed: float) -> str:
        if what != "tiles":
            return f"{speed:.3g} shapes/s"
        if not tiles:  # a shard, or a search that goes on, has fewer tiles to do than the store holds
            tiles.append(TileStore.open(store).n_tiles)
        return f"{speed * declared.size / tiles[0]:.3g} parameter points/s"

    with executor_for(jobs, scheduler) as executor, progress("members", rate) as step:
        workers = executor.workers() if isinstance(executor, ClusterWorkers) else jobs
        result = run_search(declared, targets, store=store, tolerance=tolerance, near=near, keep=keep,
                            device=device.value, resume=resume, shard=part, executor=executor, jobs=workers,
                            progress=step)
    opened = TileStore.open(store)
    for note in opened.notes:
        typer.echo(f"note: {note}", err=True)
    if result is None:
        typer.echo(f"{int(opened.done.sum())} of {opened.n_tiles} tiles of {store} are done; the shard that finishes "
                   "last reports")
        return
    report = search_report(result)
    typer.echo(report.text())
    written = _write_report(report, store.with_suffix(".json"))
    drawn = save_figure(search_figure(result, report, family.name), store.with_suffix(f".{figure_format}"))
    typer.echo(f"\nstored in {store}, reported in {written}, drawn in {drawn}")


def minimisers(
    store: Annotated[Path, typer.Argument(help="Store of a finished search, DIR/FAMILY.zarr.", show_default=False)],
    truth: Annotated[list[int] | None, typer.Option(min=0, metavar="I", help=(
        "Only this truth, by its number in the report. Repeatable."), show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON too.",
                                              show_default=False)] = None,
) -> None:
    """Report the global minimisers of a finished search again."""
    from ident_theory.landscape import load_search
    from ident_theory.report import search_report

    if json is not None and json.is_dir():
        raise InputError(f"--json: expected a file, {json} is a folder")
    report = search_report(load_search(store), None if truth is None else truth)
    typer.echo(report.text())
    if json is not None:
        typer.echo(f"\nreported in {_write_report(report, json)}")


def _targets(family: ParameterFamily, count: int, seed: int, models: list[Path], files: list[Path]) -> list[Any]:
    """Drawn truths, then those of model files, then data sets; says which number belongs to which file."""
    import numpy as np

    from ident_theory.cli.data import read_data
    from ident_theory.spec import load

    rng = np.random.default_rng(seed)
    targets: list[Any] = [family.draw(rng) for _ in range(count)]
    read = [load(path) for path in models]
    observed = [read_data(path) for path in files]
    if not targets and not read and not observed:
        raise InputError("search: expected at least one of --truths N, --truth MODEL and --data FILE")
    for path, model in zip(models, read, strict=True):
        print_repairs(path, model)
    for i, path in enumerate([*models, *files], len(targets)):
        typer.echo(f"target {i}: {path}", err=True)
    return [*targets, *read, *observed]


def _write_report(report: SearchReport, path: Path) -> Path:
    from ident_theory.files import write_atomically

    write_atomically(path, (report.to_json(indent=1) + "\n").encode())
    return path
