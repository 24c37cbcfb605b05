"""The command ``align``: latents that a user saved, compared."""

from __future__ import annotations

import enum
import json as json_text
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ident_theory.cli.common import check_outputs, names_of, print_repairs
from ident_theory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from ident_theory.metrics import MCC, CanonicalCorrelations
    from ident_theory.models import GaussianMixture

_SUFFIXES = (".npz", ".npy")
_LATENTS, _LABELS = "z", "labels"
_MIXTURE = ("weights", "means", "covariances")
#: How the metrics call their arguments.
_ARGUMENT = re.compile(r"\bz([ab])\b|runs\[(\d+)\]")


class Metric(enum.StrEnum):
    """What is measured."""

    MCC_STRONG = "mcc-strong"
    MCC_WEAK = "mcc-weak"
    CCA = "cca"
    AFFINE_DISTANCE = "affine-distance"


class Correlation(enum.StrEnum):
    """Which correlation the MCC averages."""

    PEARSON = "pearson"
    SPEARMAN = "spearman"


class Split(enum.StrEnum):
    """Whether observations are held out."""

    HALF = "half"
    NONE = "none"


class Constant(enum.StrEnum):
    """What happens to latents that do not vary."""

    ERROR = "error"
    ZERO = "zero"


@dataclass(frozen=True)
class Options:
    """What the metrics are asked for."""

    metric: Metric
    correlation: Correlation
    split: Split
    seed: int
    dimension: int | None
    constant: Constant

    @property
    def is_mcc(self) -> bool:
        """Whether it is an MCC."""
        return self.metric in (Metric.MCC_STRONG, Metric.MCC_WEAK)

    @property
    def half(self) -> str | None:
        """The split as the metrics know it."""
        return None if self.split is Split.NONE else str(self.split)

    def rng(self) -> np.random.Generator:
        """A fresh generator: the same halves every time."""
        from numpy.random import default_rng

        return default_rng(self.seed)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `mcc` and `mcc_pairs`."""
        return {"kind": str(self.metric).removeprefix("mcc-"), "correlation": str(self.correlation),
                "split": self.half, "rng": self.rng(), "dimension": self.dimension, "constant": str(self.constant)}


def align(
    files: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B [RUN...]", help=(
        "Latents of the same observations in the same order: .npz with an array z of shape (N, d), or .npy. For "
        "affine-distance: model files, or .npz with weights, means and covariances."), show_default=False)],
    metric: Annotated[Metric, typer.Option(help="What to measure; the MCC takes more than two runs, in all pairs.")] =
    Metric.MCC_STRONG,
    correlation: Annotated[Correlation, typer.Option(help="Correlation that the MCC averages.")] = Correlation.PEARSON,
    split: Annotated[Split, typer.Option(help="half: align on one half of the observations, score on the other.")] =
    Split.NONE,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the halves, of the bootstrap over runs, and of restarts.")] =
    0,
    key: Annotated[str | None, typer.Option(metavar="NAME", help="Array of the .npz files that holds the latents "
                                            "[default: z, or the only one].", show_default=False)] = None,
    dimension: Annotated[int | None, typer.Option(min=1, help="Keep so many aligned dimensions (mcc-weak, cca).",
                                                  show_default=False)] = None,
    constant: Annotated[Constant, typer.Option(help="Refuse latents that do not vary, or score them 0 (MCC).")] =
    Constant.ERROR,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help=(
        "Draw the aligned latents as a matrix of scatter plots, .png or .svg; for more than two runs the values of all "
        "pairs."), show_default=False)] = None,
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=(
        "Array of the .npz files that colours the points of the figure [default: labels, where there is one]."),
        show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON too.",
                                              show_default=False)] = None,
) -> None:
    """Align latents of two or more runs, and measure how well they agree; or the distance of two mixtures.

    Exit codes: 0 done, 2 bad input, 3 not computable.
    """
    check_outputs(json, figure, files)
    options = Options(metric, correlation, split, seed, dimension, constant)
    _check_options(options, files, key, figure, labels)
    names = names_of(files)
    if metric is Metric.AFFINE_DISTANCE:
        tree = _distance(files, names, seed)
    else:
        runs, classes = _read_runs(files, names, key, labels, wants_labels=figure is not None)
        try:
            tree = _all_pairs(runs, names, options, figure) if len(files) > 2 else \
                _one_pair(runs, names, options, figure, classes)
        except InputError as error:
            raise InputError(_ARGUMENT.sub(lambda found: _name_of(found, names), str(error))) from None
    if json is not None:
        from ident_theory.files import write_atomically
        from ident_theory.landscape.store import package_versions

        whole = {"type": "alignment", "metric": str(metric), "files": [str(path) for path in files], "seed": seed,
                 "result": tree, "versions": package_versions()}
        write_atomically(json, (json_text.dumps(whole, indent=1) + "\n").encode())
        typer.echo(f"\nwritten to {json}")
    if figure is not None:
        typer.echo(f"drawn in {figure}")


def _check_options(options: Options, files: Sequence[Path], key: str | None, figure: Path | None,
                   labels: str | None) -> None:
    """Refuse options that say nothing about what is asked, all of them at once."""
    mistakes, metric, is_mcc = [], options.metric, options.is_mcc
    if len(files) < 2 or (len(files) > 2 and not is_mcc):
        mistakes.append(f"expected {'at least ' if is_mcc else ''}two files for {metric}, got {len(files)}")
    for name, is_given, fits, where in (
            ("--correlation", options.correlation is not Correlation.PEARSON, is_mcc, "the MCC"),
            ("--split", options.split is not Split.NONE, is_mcc, "the MCC"),
            ("--constant", options.constant is not Constant.ERROR, is_mcc, "the MCC"),
            ("--dimension", options.dimension is not None, metric in (Metric.MCC_WEAK, Metric.CCA), "mcc-weak and cca"),
            ("--key", key is not None, metric is not Metric.AFFINE_DISTANCE, "saved latents"),
            ("--figure", figure is not None, metric is not Metric.AFFINE_DISTANCE, "saved latents"),
            ("--labels", labels is not None, figure is not None and len(files) == 2, "--figure of two runs")):
        if is_given and not fits:
            mistakes.append(f"{name}: belongs to {where}, not to what is asked here")
    _raise(mistakes)


def _raise(mistakes: Sequence[str]) -> None:
    if len(mistakes) == 1:
        raise InputError(f"align: {mistakes[0]}")
    if mistakes:
        raise InputError("\n".join([f"align: {len(mistakes)} mistakes", *(f"  - {item}" for item in mistakes)]))


def _name_of(found: re.Match[str], names: Sequence[str]) -> str:
    return names["ab".index(found[1])] if found[1] else names[int(found[2])]


def _read_runs(files: Sequence[Path], names: Sequence[str], key: str | None, labels: str | None,
               *, wants_labels: bool) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any] | None]:
    """Latents of every file, and labels where there are some; every mistake in any file is named."""
    from ident_theory.metrics.latents import columns

    runs, found, mistakes = [], [], []
    for path, name in zip(files, names, strict=True):
        try:
            arrays = _arrays(path)
            latents = _choose(arrays, key, labels, name)
            columns(latents, name)
            runs.append(latents)  # as stored: float32 keeps its own rounding error
            found.append(arrays.get(labels or _LABELS))
        except InputError as error:
            mistakes.append(str(error))
    lengths = [len(run) for run in runs]
    if not mistakes and len(set(lengths)) > 1:
        mistakes.append("expected the same observations in the same order in all files, found "
                        + ", ".join(f"{count} in {name}" for count, name in zip(lengths, names, strict=True)))
    if not mistakes and wants_labels:
        given = [(item, name) for item, name in zip(found, names, strict=True) if item is not None]
        mistakes += [f"{name}: expected one label for each of {lengths[0]} observations, found shape {item.shape}"
                     for item, name in given if item.shape != (lengths[0],)]
        if labels is not None and not given:
            mistakes.append(f"--labels: expected an array {labels!r} in one of the files, found none")
        if not mistakes and given:
            _warn_of_labels(given)
            return runs, given[0][0]
    _raise(mistakes)
    return runs, None


def _warn_of_labels(given: Sequence[tuple[Any, str]]) -> None:
    """Labels that differ say that rows may not correspond."""
    first, name = given[0]
    for other, second in given[1:]:
        count = int((first != other).sum())
        if count:
            typer.echo(f"note: {count} of {len(first)} labels differ between {name} and {second}; are these the same "
                       "observations in the same order?", err=True)


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file by name; that of an .npy file has none."""
    import numpy as np

    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path}: expected a file name ending in {' or '.join(_SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: expected a file, it is {'a folder' if path.is_dir() else 'missing'}")
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as numbers ({error})") from None


def _choose(arrays: dict[str, Any], key: str | None, labels: str | None, name: str) -> Any:
    """The latents among the arrays of a file."""
    if "" in arrays:
        return arrays[""]
    if key is not None:
        if key not in arrays:
            raise InputError(f"{name}: expected an array {key!r}, found {', '.join(arrays) or 'none'}")
        return arrays[key]
    if _LATENTS in arrays:
        return arrays[_LATENTS]
    others = [item for item in arrays if item != (labels or _LABELS)]
    if len(others) != 1:
        raise InputError(f"{name}: expected an array {_LATENTS!r} or one array only, found "
                         f"{', '.join(others) or 'none'}; choose with --key")
    return arrays[others[0]]


def _one_pair(runs: Sequence[np.ndarray[Any, Any]], names: Sequence[str], options: Options, figure: Path | None,
              classes: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    from ident_theory.metrics import canonical_correlations, mcc
    from ident_theory.report.align_text import canonical_text, mcc_text

    result: MCC | CanonicalCorrelations
    if options.is_mcc:
        result = mcc(runs[0], runs[1], **options.arguments())
        typer.echo(mcc_text(result, names[0], names[1]))
        tree = result.to_dict()
    else:
        result = canonical_correlations(runs[0], runs[1], dimension=options.dimension)
        typer.echo(canonical_text(result, names[0], names[1]))
        tree = {"correlations": result.correlations.tolist(), "angles": result.angles.tolist(),
                "ranks": [result.rank_a, result.rank_b], "n_observations": result.n_observations,
                "weights_a": result.weights_a.tolist(), "weights_b": result.weights_b.tolist(),
                "means_a": result.means_a.tolist(), "means_b": result.means_b.tolist(), "in_sample": True,
                "notes": list(result.notes)}
    if figure is not None:
        _draw(runs, names, options, figure, classes, result)
    return tree


def _draw(runs: Sequence[np.ndarray[Any, Any]], names: Sequence[str], options: Options, figure: Path,
          classes: np.ndarray[Any, Any] | None, result: MCC | CanonicalCorrelations) -> None:
    """The matrix of scatter plots over the observations of the score."""
    from ident_theory.metrics.correlation import MCC, halves
    from ident_theory.report import align_figure, save_figure
    from ident_theory.report.align_figures import MOST_DIMENSIONS, aligned_latents

    rows = halves(len(runs[0]), options.half, options.rng())[1]
    if rows is not None:
        runs, classes = [run[rows] for run in runs], None if classes is None else classes[rows]
    aligned = aligned_latents(runs[0], runs[1], result)
    count = aligned.first.shape[1]
    what = f"{options.metric} {result.value:.4f}" if isinstance(result, MCC) else "canonical variates"
    more = f", the best {MOST_DIMENSIONS} of {count} dimensions" if count > MOST_DIMENSIONS else ""
    title = (f"{what}; {str(options.correlation).capitalize()}, {'in sample' if rows is None else 'held out'}{more}\n"
             f"rows: A, {names[0]}; columns: B, {names[1]}")
    save_figure(align_figure(aligned, labels=classes, title=title), figure)


def _all_pairs(runs: Sequence[np.ndarray[Any, Any]], names: Sequence[str], options: Options,
               figure: Path | None) -> dict[str, Any]:
    from ident_theory.metrics import mcc_pairs
    from ident_theory.report.align_text import pairs_text

    result = mcc_pairs(runs, **options.arguments())
    typer.echo(pairs_text(result, names))
    if figure is not None:
        from ident_theory.report import pairs_figure, save_figure

        title = f"{options.metric}, {result.n_pairs} pairs of {result.n_runs} runs, mean {result.mean:.4f}"
        save_figure(pairs_figure(result.values, names, title), figure)
    return result.to_dict()


def _distance(files: Sequence[Path], names: Sequence[str], seed: int) -> dict[str, Any]:
    from numpy.random import default_rng

    from ident_theory.metrics import affine_distance
    from ident_theory.report.align_text import distance_text, distance_tree

    mixtures, mistakes = [], []
    for path in files:
        try:
            mixtures.append(_mixture(path))
        except InputError as error:
            mistakes.append(str(error))
    _raise(mistakes)
    result = affine_distance(*mixtures, rng=default_rng(seed))
    typer.echo(distance_text(result, names[0], names[1]))
    return distance_tree(result)


def _mixture(path: Path) -> GaussianMixture:
    """The prior of a model file, or the mixture that an .npz file holds."""
    from ident_theory.models import GaussianMixture

    if path.suffix.lower() in (".toml", ".json"):
        from ident_theory.spec import load

        try:
            model = load(path)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        print_repairs(path, model)
        if not isinstance(model.prior, GaussianMixture):
            raise InputError(f"{path}: expected a Gaussian mixture as [prior], found a conditional prior")
        return model.prior
    arrays = _arrays(path)
    missing = [name for name in _MIXTURE if name not in arrays]
    if missing:
        raise InputError(f"{path}: expected the arrays {', '.join(_MIXTURE)}, found {', '.join(arrays) or 'none'}")
    try:
        return GaussianMixture(*(arrays[name].tolist() for name in _MIXTURE))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
