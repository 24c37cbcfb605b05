"""The command ``ident-theory``: arguments in, files and text out, exit codes.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import enum
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ident_theory.cli.align import align
from ident_theory.cli.check import check, example, verify
from ident_theory.cli.claims import claims
from ident_theory.cli.common import FigureFormat, check_folder, print_repairs, progress
from ident_theory.cli.compare import compare
from ident_theory.cli.search import minimisers, search
from ident_theory.cli.train import train
from ident_theory.errors import IdentTheoryError, InputError, StoreMismatchError

if TYPE_CHECKING:
    from ident_theory.landscape import Plane, Request, Slice

BAD_INPUT = 2
UNDECIDED = 3

app = typer.Typer(name="ident-theory", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Exact laws, likelihood landscapes and identifiability checks of latent-variable models "
                       "x = f(z) + noise. Exit codes: 0 done, or what was asked holds; 1 it does not; 2 bad input; "
                       "3 not computable, or undecided.")


class StoreFormat(enum.StrEnum):
    """Result files that can be written."""

    NC = "nc"
    JSON = "json"


@app.command()
def landscape(
    model: Annotated[Path, typer.Argument(help="Model file, .toml or .json.", show_default=False)],
    slices: Annotated[list[str] | None, typer.Option("--slice", metavar="PATH", help=(
        "Vary this parameter, e.g. 'decoder.weights[1][0,1]'. Repeatable."), show_default=False)] = None,
    planes: Annotated[list[str] | None, typer.Option("--plane", metavar="PATH,PATH", help=(
        "Vary these two parameters, separated by a comma. Repeatable."), show_default=False)] = None,
    window: Annotated[tuple[float, float] | None, typer.Option("--range", metavar="LO HI", help=(
        "Range of every varied parameter [default: its value -+ 3, cut to its domain]."), show_default=False)] = None,
    points: Annotated[int | None, typer.Option(help=(
        "Points along each axis [default: 241 for slices, 41 for planes]."), show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help=(
        "Use the mean over these observations: .npy, .npz (one array), .csv or .txt."), show_default=False)] = None,
    truth: Annotated[Path | None, typer.Option(metavar="MODEL", help=(
        "Model file of the truth [default: MODEL itself, unless --data is given]."), show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("landscape"),
    figure_format: Annotated[FigureFormat, typer.Option("--format", help="Format of the figures.")] = FigureFormat.PNG,
    store: Annotated[StoreFormat, typer.Option(help="Format of the stored results.")] = StoreFormat.NC,
    resume: Annotated[bool, typer.Option(help="Go on with interrupted planes, or start afresh.")] = True,
) -> None:
    """Draw and store the negative log-likelihood over one or two parameters, and list its minima."""
    from ident_theory.landscape import Plane, plane_request, slice_request
    from ident_theory.report import plane_figure, save_figure, slice_figure
    from ident_theory.spec import load

    base = load(model)
    print_repairs(model, base)
    true_model = None if truth is None else load(truth)
    observed = None if data is None else _read_data(data)
    check_folder(out)
    common: dict[str, Any] = {"truth": true_model, "data": observed, "window": window}
    if points is not None:
        common["points"] = points
    # All requests are checked before the first is computed: bad input leaves nothing behind.
    requests: list[Request[Any]] = [slice_request(base, path, **common) for path in slices or ()]
    requests += [plane_request(base, *_pair(text), **common) for text in planes or ()]
    if not requests:
        raise InputError("landscape: expected at least one --slice PATH or --plane PATH,PATH")
    for request in requests:
        stem = out / f"{model.stem}-{_slug(request.paths)}"
        label = ", ".join(request.paths)
        with progress(label, lambda _, speed: f"{speed:.0f} points/s") as step:
            result = request.run(partial(step, label), stem.with_name(f"{stem.name}.{store}"), resume)
        figure = plane_figure(result, model.name) if isinstance(result, Plane) else slice_figure(result, model.name)
        drawn = save_figure(figure, stem.with_name(f"{stem.name}.{figure_format}"))
        _print_landscape(result, request.paths)
        typer.echo(f"  stored in {stem.with_name(f'{stem.name}.{store}')}, drawn in {drawn}\n")


@app.command("law")
def show_law(
    model: Annotated[Path, typer.Argument(help="Model file, .toml or .json.", show_default=False)],
    at: Annotated[list[str] | None, typer.Option(metavar="X", help=(
        "A point x (coordinates separated by commas). Repeatable."), show_default=False)] = None,
) -> None:
    """Describe the law of x: its kind, atoms, entropy, and log densities with bounds."""
    import numpy as np

    from ident_theory.errors import DegenerateLawError, UnsupportedError
    from ident_theory.laws import law
    from ident_theory.spec import load

    base = load(model)
    print_repairs(model, base)
    result = law(base)
    points = np.array([_point(text, base.observed_dim) for text in at or ()]).reshape(-1, base.observed_dim)
    typer.echo(f"law of x in R^{base.observed_dim}: {result.kind.value}")
    typer.echo(f"route: {result.route}")
    if base.latent_dim == 1:
        from ident_theory.geometry.line import line_pieces

        typer.echo(f"pieces of the decoder: {line_pieces(base.decoder).n_pieces}")
    _print_atoms(result.atoms())
    try:
        entropy = result.entropy()
        typer.echo(f"entropy: {entropy.value:.12g} nats, error {entropy.error:.1g} ({entropy.kind.value})")
    except (DegenerateLawError, UnsupportedError) as error:
        typer.echo(f"entropy: not available ({error})")
    if not len(points):
        return
    density = result.log_density_with_error(points)
    proven: tuple[Any, Any] | None = None
    with contextlib.suppress(UnsupportedError):
        proven = result.log_density_bounds(points)
    for i, point in enumerate(points):
        place = ", ".join(f"{x:.12g}" for x in point)
        bounds = f"error {density.error[i]:.1g} ({density.kind.value})" if proven is None else \
            f"proven to lie in [{proven[0][i]:.17g}, {proven[1][i]:.17g}]"
        typer.echo(f"log density at x = {place}: {density.value[i]:.15g}; {bounds}")


app.command()(check)
app.command()(compare)
app.command()(align)
app.command()(verify)
app.command()(example)
app.command()(search)
app.command()(minimisers)
app.command()(claims)
app.command()(train)


@app.command()
def version() -> None:
    """Print the version."""
    from ident_theory import __version__

    typer.echo(f"ident-theory {__version__}")


def main() -> NoReturn:
    """Run the command line; mistakes in the input end in a message and exit code 2, without a traceback."""
    try:
        app()
    except StoreMismatchError as error:
        _fail(str(error).replace("start afresh without resuming", "start afresh with --no-resume"), BAD_INPUT)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}", BAD_INPUT)
    except IdentTheoryError as error:
        _fail(str(error), UNDECIDED)
    raise SystemExit(0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"ident-theory: {message}", err=True)
    raise SystemExit(code)


def _pair(text: str) -> tuple[str, str]:
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", text)]
    if len(parts) != 2 or not all(parts):
        raise InputError(f"--plane: expected two parameters separated by a comma, got {text!r}")
    return parts[0], parts[1]


def _point(text: str, n: int) -> list[float]:
    import math

    try:
        point = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--at: expected numbers separated by commas, got {text!r}") from None
    if len(point) != n or not all(map(math.isfinite, point)):
        raise InputError(f"--at: expected {n} finite coordinate{'s' if n > 1 else ''}, got {text!r}")
    return point


def _read_data(path: Path) -> Any:
    from ident_theory.cli.data import read_data

    return read_data(path)


def _slug(paths: tuple[str, ...]) -> str:
    return "--".join(re.sub(r"[\[\],]+", "-", path).strip("-") for path in paths)


def _print_landscape(result: Slice | Plane, paths: tuple[str, ...]) -> None:
    typer.echo(", ".join(paths))
    if result.reference is not None:
        what = "entropy of the truth" if result.objective == "population" else "truth on the data"
        typer.echo(f"  {what}: {result.reference:.10g} nats per observation")
    for minimum in result.minima:
        place = ", ".join(f"{x:.8g}" for x in minimum.location)
        excess = result.excess_of(minimum)
        rank = "global minimum" if minimum.is_global else "local minimum"
        parts = [f"{rank} at {place}", f"value {minimum.value:.10g}"]
        if excess is not None:
            parts.append(f"excess {_excess(excess, result.excess_error_of(minimum))}")
        if minimum.plateau is not None:
            parts.append("flat over " + " x ".join(f"[{low:.6g}, {high:.6g}]" for low, high in minimum.plateau))
        if minimum.at_boundary:
            parts.append("at the edge of the window")
        if not minimum.polished and minimum.plateau is None:
            parts.append("a grid point, not refined")
        if minimum.isolated is False:
            parts.append("in a flat valley")
        typer.echo("  " + ", ".join(parts))
    if not result.minima:
        typer.echo("  no finite minimum in the window")
    for note in result.notes:
        typer.echo(f"  note: {note}")


def _excess(value: float, error: float) -> str:
    return f"0 within {error:.1g}" if abs(value) <= error else f"{value:.6g}"


def _print_atoms(atoms: Any) -> None:
    for location, mass in zip(atoms.locations, atoms.masses, strict=True):
        typer.echo(f"atom at {', '.join(f'{x:.12g}' for x in location)}: probability {mass:.12g}")
    if not len(atoms.masses):
        typer.echo("atoms: none")


if __name__ == "__main__":
    main()
