"""Prints the benchmark table, writes it to results.md and into the README between its marks."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np

START, END = "<!-- benchmark table -->", "<!-- end of the table -->"


def _rows(benchmarks):
    found = {}
    for bench in benchmarks:
        info = bench.extra_info
        if "row" in info:
            found[info["row"]] = (bench.stats.min / info["points"], info)
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _table(rows) -> str:
    one, two = rows["ours"][0], rows.get("ours, two threads", (None,))[0]
    lines = ["| what | time a point | ours is faster by | against |", "| --- | ---: | ---: | --- |"]
    for name, (seconds, info) in rows.items():
        if name.startswith("scaling") or info["points"] == 1:
            continue
        base, against = (two, "two threads") if "2 threads" in name and two else (one, "one thread")
        ratio = "" if name.startswith("ours") else f"{seconds / base:,.3g} x"
        note = f" ({info['note']})" if "note" in info else ""
        lines.append(f"| {name}{note} | {_time(seconds)} | {ratio} | {against if ratio else ''} |")
    lines += ["", f"Evaluations a second: {1 / one / 1e6:.3g} million on one thread"
              + (f", {1 / two / 1e6:.3g} million on two." if two else ".")]
    lines += ["", "| one call | time |", "| --- | ---: |"]
    lines += [f"| {name} | {_time(seconds)} |" for name, (seconds, info) in rows.items() if info["points"] == 1]
    lines += ["", "| scaling | time a point and term |", "| --- | ---: |"]
    lines += [f"| {name.removeprefix('scaling: ')} | {_time(seconds / info['terms'])} |"
              for name, (seconds, info) in rows.items() if name.startswith("scaling")]
    return "\n".join(lines)


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    rows = _rows(session.benchmarks) if session else {}
    if "ours" not in rows:
        return
    head = (f"Measured with `make bench` on {_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"NumPy {np.__version__}; best of several rounds, three pieces x three components.\n\n")
    text = head + _table(rows)
    here = Path(__file__).parent
    (here / "results.md").write_text(text + "\n")
    readme = here.parent.parent / "README.md"
    before, _, after = readme.read_text().partition(START)
    readme.write_text(before + START + "\n" + text + "\n" + END + after.partition(END)[2])
    terminalreporter.write_sep("=", "benchmark table (also in README.md and experiments/benchmarks/results.md)")
    terminalreporter.write_line(text)
