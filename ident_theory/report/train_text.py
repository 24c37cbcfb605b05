"""A training as text: runs, baselines, the best run's model, from the tree that ``train --json`` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ident_theory.conditions.result import Report

WIDTH = 120
#: Runs and pairs that a table lists.
_ROWS = 25
#: Conditions of the learned model that concern what training decides: its parameters, its decoder.
_LEARNT = ("P1", "P1.distinct", "positivity", "P2", "ivae.L", "F1", "F2", "F3", "F4", "ivae.injective")


def train_text(tree: Mapping[str, Any], width: int = WIDTH) -> str:
    """Everything about a training.

    Parameters
    ----------
    tree : mapping
        As ``ident-theory train --json`` writes it.
    width : int
        Columns at most, but for tables.
    """
    parts = _head(tree), _summary(tree), _pairs(tree["evaluation"]), _model(tree), _notes(tree), _files(tree)
    first, *rest = ([piece for line in part for piece in _wrapped(line, width)] for part in parts)
    blocks = [first, list(_table(tree["evaluation"])), *rest]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def condition_lines(report: Report, width: int = WIDTH) -> list[str]:
    """The conditions that training decides, a line each, and what follows."""
    lines = []
    for name, item in report.findings.items():
        if name in _LEARNT:
            lines.append(f"{name.ljust(14)}  {str(item.status).ljust(7)}  {item.reason}")
    lines += [f"{item.text} - {item.theorem}, evidence {item.evidence}" for item in report.conclusions] or \
        ["no theorem gives a conclusion about the latents"]
    most = width - 2  # they are indented
    return [line if len(line) <= most else f"{line[:most - 4]} ..." for line in lines]


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table, a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def spread(mean: float | None, std: float | None) -> str:
    """A mean with its standard deviation."""
    return number(mean) if std is None else f"{number(mean)} (sd {std:.4f})"


def _head(tree: Mapping[str, Any]) -> Iterator[str]:
    data, estimator, found = tree["data"], tree["estimator"], tree["evaluation"]
    known = [f"{data['training']:,} observations of {_counted(data['observed_dim'], 'coordinate')}"]
    known += [_counted(data["latent_dim"], "true latent")] if data["latent_dim"] else []
    known += [f"{data['conditions']} conditions"] if data["conditions"] else []
    held = f"{data['held_out']:,} held out" if data["held_out"] else "none held out"
    paper = f" (preset {tree['preset']})" if tree["preset"] else ""
    yield f"{estimator['name']} on {data['name']}{paper}: {', '.join(known)}; {held}"
    done, total = ((tree[key] or [0])[0] for key in ("steps", "total"))
    seconds, count = tree["trained_seconds"], len(found["runs"])
    length = f"{done:,} steps" if done == total else f"{done:,} of {total:,} steps"
    speed = f", {count * done / seconds:,.0f} runs x steps/s" if seconds > 0 else ""
    yield (f"{_counted(count, 'run')} of {length} with batches of {estimator['batch_size']:,} in {_time(seconds)} on "
           f"{tree['device']}, {tree['precision']}{speed}")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _table(found: Mapping[str, Any]) -> Iterator[str]:
    """Runs, best score first, then the baselines."""
    has_latents, has_unmixed = found["half"] is not None, any(run["unmixed_strong"] is not None
                                                              for run in found["runs"])
    score = found["score_name"]
    head = ["run", "seed", score, f"{score} held out"]
    head += ["MCC strong", "MCC weak"] if has_latents else []
    head += ["unmixed strong", "unmixed weak"] if has_unmixed else []
    has_spectrum = any(run["informative"] is not None for run in found["runs"])
    head += ["informative"] if has_spectrum else []
    rows = []
    order = sorted(found["runs"], key=lambda run: -(run["score"] if run["score"] is not None else float("-inf")))
    for run in order[:_ROWS]:
        row = [str(run["number"]), str(run["seed"]), number(run["score"], 3), number(run["held_out_score"], 3)]
        row += [number(run[key]) for key in ("strong", "weak")] if has_latents else []
        row += [number(run[key]) for key in ("unmixed_strong", "unmixed_weak")] if has_unmixed else []
        row += ["-" if run["informative"] is None else str(run["informative"])] if has_spectrum else []
        mark = "failed" if not run["alive"] else "best" if run["number"] == found["best"] else \
            "chosen" if run["chosen"] else ""
        rows.append([*row, mark])
    if has_latents:
        rows += [["", "", "", item["name"], number(item["strong"]), number(item["weak"]),
                  *([""] * (2 * has_unmixed + has_spectrum)), "baseline"] for item in found["baselines"]]
    yield from columns([*head, ""], rows)
    if len(order) > _ROWS:
        yield f"... {len(order) - _ROWS:,} more runs; --json has all of them"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of equal width, right-aligned but for the last."""
    sizes = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [cell.rjust(size) for cell, size in zip(row[:-1], sizes, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _summary(tree: Mapping[str, Any]) -> Iterator[str]:
    found = tree["evaluation"]
    if found["half"] is not None:
        chosen = sum(run["chosen"] for run in found["runs"])
        for name, part in ((f"best half of the runs by {found['score_name']} ({chosen})", found["half"]),
                           (f"all runs that did not fail ({found['all']['count']})", found["all"])):
            yield (f"{name}: strong MCC {spread(part['strong'], part['strong_std'])}, "
                   f"weak MCC {spread(part['weak'], part['weak_std'])}")
        yield (f"Pearson, aligned on {found['observations'] // 2:,} observations, scored on "
               f"{found['observations'] - found['observations'] // 2:,} others")
    yield from (f"reported: {item['estimator']} {item['value']} ({item['place']})" for item in tree["reported"])
    if tree["differs"]:
        yield f"unlike the paper: {tree['differs']}"


def _pairs(found: Mapping[str, Any]) -> Iterator[str]:
    pairs = found["pairs"]
    if pairs is None:
        return
    for kind in ("strong", "weak"):
        part = pairs[kind]
        if part is None:
            continue
        interval = "" if part["interval"] is None else \
            f", {part['level']:.0%} interval [{part['interval'][0]:.4f}, {part['interval'][1]:.4f}]"
        chosen, std = pairs["chosen"][kind], pairs["chosen"][f"{kind}_std"]
        yield (f"runs with each other, {kind} MCC over {part['n_pairs']} pairs: {spread(part['mean'], part['std'])}"
               f"{interval}; best half of the runs {spread(chosen, std)}")
    for item in pairs["baselines"]:
        yield (f"{item['name']}, {item['runs']} runs with each other: strong {number(item['strong'])}, "
               f"weak {number(item['weak'])}")


def _model(tree: Mapping[str, Any]) -> Iterator[str]:
    model = tree["model"]
    if model is None:
        return
    beside = model["beside"]
    if beside is not None:
        yield (f"best run at {beside['rows']:,} observations: exact log-likelihood {beside['log_likelihood']:.4f}, "
               f"{beside['score_name']} {beside['score']:.4f}; the first is larger by {beside['gap']:z.4f} "
               f"(standard error {number(beside['gap_error'])})")
    if model["conditions"] is not None:
        yield f"conditions of the best run's model ({_time(model['conditions']['seconds'])}):"
        yield from (f"  {line}" for line in model["conditions"]["lines"])


def _notes(tree: Mapping[str, Any]) -> Iterator[str]:
    for note in dict.fromkeys([*tree["notes"], *tree["evaluation"]["notes"]]):
        yield f"note: {note}"
    if tree["evaluation"]["best"] is None:
        yield ("all runs failed: their loss stopped being finite; lower --learning-rate, or check the scale of the "
               "data")


def _files(tree: Mapping[str, Any]) -> Iterator[str]:
    files = tree["files"]
    if "latents" in files:
        pairs = f"; compare runs with: ident-theory align {_quoted(files['runs'])}" if files["count"] > 1 else ""
        yield f"latents of the best run in {files['latents']}, of all runs in {files['runs']}{pairs}"
    if "model" in files:
        yield f"model of the best run in {files['model']}; decide its conditions with: ident-theory check " \
              f"{_quoted(files['model'])}"


def _quoted(path: str) -> str:
    """For a shell, which still finds the files of a pattern."""
    folder, sign, name = path.rpartition("/")
    return f"{quote(folder)}{sign}{name}" if sign else path


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return wrap(text, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False)
