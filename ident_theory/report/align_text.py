"""Alignments of latents as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ident_theory.report.compare_text import map_lines

if TYPE_CHECKING:
    from ident_theory.metrics.affine import AffineDistance
    from ident_theory.metrics.canonical import CanonicalCorrelations
    from ident_theory.metrics.correlation import MCC
    from ident_theory.metrics.pairs import MCCPairs

WIDTH = 120
#: Dimensions, and pairs of runs, that a table lists.
_ROWS, _PAIRS = 25, 45
_BIAS = ("in sample: the alignment saw the observations that it is scored on, so the value is biased upwards; "
         "--split half holds one half out")


def mcc_text(result: MCC, first: str = "A", second: str = "B", width: int = WIDTH) -> str:
    """The value, what it rests on, and a line for every matched pair of dimensions, best first."""
    lines = [f"A: {first}", f"B: {second}", *_wrapped(str(result).split("\n")[0], width)]
    lines += _wrapped(_BIAS, width) if result.in_sample else []
    lines += [line for note in result.notes for line in _wrapped(f"note: {note}", width)]
    if result.n_flipped:
        lines += _wrapped(f"note: {result.n_flipped} correlations have another sign on the observations of the score "
                          "than on those of the alignment", width)
    is_strong = result.kind == "strong"
    head = ["column of A", "column of B", "sign"] if is_strong else ["aligned dimension"]
    rows = []
    for i, (value, mean) in enumerate(zip(result.per_dimension, result.cumulative, strict=True)):
        found = result.columns_a[i] >= 0
        place = [str(result.columns_a[i]), str(result.columns_b[i]), "-" if result.signs[i] < 0 else "+"] \
            if is_strong else [str(i) if found else "none"]
        rows.append([*place, f"{value:.6f}", f"{mean:.6f}"])
    return "\n".join([*lines, "", *_table([*head, "|correlation|", "mean so far"], rows)])


def canonical_text(result: CanonicalCorrelations, first: str = "A", second: str = "B", width: int = WIDTH) -> str:
    """The canonical correlations in sample, with the ranks and what was dropped."""
    mean = float(result.correlations.mean())
    lines = [f"A: {first}", f"B: {second}",
             *_wrapped(f"{result.n_components} canonical correlations, mean {mean:.4f} (in sample, "
                       f"{result.n_observations:,} observations; ranks {result.rank_a} and {result.rank_b})", width)]
    lines += [line for note in result.notes for line in _wrapped(f"note: {note}", width)]
    rows = [[str(i), f"{rho:.6f}", f"{angle:.3e}"]
            for i, (rho, angle) in enumerate(zip(result.correlations, result.angles, strict=True))]
    return "\n".join([*lines, "", *_table(["dimension", "correlation", "angle [rad]"], rows)])


def pairs_text(result: MCCPairs, names: Sequence[str], width: int = WIDTH) -> str:
    """Mean, spread and interval over all pairs of runs, and a line for every pair."""
    summary, *_ = str(result).split("\n")
    lines = _wrapped(summary, width)
    lines += _wrapped(f"{result.n_align:,} observations gave the alignments, {result.n_score:,} the scores", width)
    lines += _wrapped(_BIAS, width) if result.in_sample else []
    lines += [line for note in result.notes for line in _wrapped(f"note: {note}", width)]
    rows = [[names[i], names[k], f"{result.values[i, k]:.6f}"]
            for i in range(result.n_runs) for k in range(i + 1, result.n_runs)]
    return "\n".join([*lines, "", *_table(["run", "run", "MCC"], rows, _PAIRS)])


def distance_text(result: AffineDistance, first: str = "A", second: str = "B", width: int = WIDTH) -> str:
    """The distance, the map that attains it, and what matching the means alone gives."""
    lines = [f"A: {first}", f"B: {second}", f"affine distance {result.value:.6g}"]
    if result.value == 0.0:
        lines += _wrapped("the map h carries A to B exactly", width)
    else:
        lines += _wrapped(f"the least normalised L2 distance of h#A and B that was found over invertible affine maps h "
                          f"({len(result.start_values)} starts, {result.n_evaluations:,} evaluations; evidence "
                          f"{result.evidence}: an upper bound of the minimum)", width)
        known = result.means_matching_value
        lines += _wrapped("matching of the means by least squares: the means do not span" if known is None else
                          f"matching of the means by least squares: {known:.6g}", width)
        lines += [] if result.converged else _wrapped("the descent has not converged: the gradient is not zero there",
                                                      width)
    return "\n".join([*lines, *(line for text in map_lines(result.change) for line in _wrapped(text, width))])


def distance_tree(result: AffineDistance) -> dict[str, Any]:
    """The same as plain JSON."""
    return {"value": result.value, "matrix": result.change.matrix.tolist(), "shift": result.change.shift.tolist(),
            "means_matching_value": result.means_matching_value, "n_evaluations": result.n_evaluations,
            "converged": result.converged, "evidence": str(result.evidence), "metric": result.metric,
            "starts": {name: list(values) for name, values in result.start_values.items()}}


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], most: int = _ROWS) -> Iterator[str]:
    """Columns of equal width, right-aligned; long tables are cut, which is said."""
    shown = rows[:most]
    sizes = [max(len(row[i]) for row in [head, *shown]) for i in range(len(head))]
    for row in [head, *shown]:
        yield "  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True))
    if len(rows) > most:
        yield f"... {len(rows) - most:,} more; --json has all of them"
