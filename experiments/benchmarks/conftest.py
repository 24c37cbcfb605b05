"""Prints the benchmark tables, writes them to their files and into the README between their marks."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
from tables import affine_table, check_table, equality_table, law_table, metrics_table, search_table, train_table

#: What the benchmarks of a table are noted under, the groups without which there is no table, its file, the name in
#: its marks in the README, how it is made, and what is said above it.
TABLES = (
    ("search", {"raw", "peak", "scaling"}, "search_results.md", "search", search_table, "best of the rounds"),
    ("check", {"cells", "decide"}, "check_results.md", "check", check_table, "one thread; best of the rounds"),
    ("equality", {"equal", "equal verified", "different", "equivalent", "equivalent verified", "functions", "z3"},
     "equality_results.md", "equality", equality_table, "one thread; one round"),
    ("metric", {"mcc", "canonical"}, "metrics_results.md", "metrics", metrics_table, "best of the rounds"),
    ("affine", {"gradient", "distance", "align"}, "affine_results.md", "affine", affine_table,
     "one thread; best of the rounds"),
    ("train", {"train"}, "train_results.md", "train", train_table, "one thread; best of the turns"),
)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _write(readme: Path, start: str, end: str, text: str) -> None:
    before, _, after = readme.read_text().partition(start)
    readme.write_text(before + start + "\n" + text + "\n" + end + after.partition(end)[2])


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    if not session:
        return
    here = Path(__file__).parent
    machine = f"{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"

    def publish(file: str, marks: tuple[str, str], note: str, table: str) -> None:
        text = f"Measured with `make bench` on {machine}{note}.\n\n{table}"
        (here / file).write_text(text + "\n")
        _write(here.parent.parent / "README.md", *marks, text)
        terminalreporter.write_line(text)

    laws = {bench.extra_info["row"]: (bench.stats.min / bench.extra_info["points"], bench.extra_info)
            for bench in session.benchmarks if "row" in bench.extra_info}
    if "ours" in laws:
        publish("results.md", ("<!-- benchmark table -->", "<!-- end of the table -->"),
                "; best of several rounds, three pieces x three components", law_table(laws))
    for key, groups, file, name, table, note in TABLES:
        rows = {bench.extra_info[key]: (bench.stats.min, bench.extra_info) for bench in session.benchmarks
                if key in bench.extra_info}
        if groups <= {info["group"] for _, info in rows.values()}:
            marks = f"<!-- {name} benchmark -->", f"<!-- end of the {name} benchmark -->"
            publish(file, marks, f"{', ' if note.startswith('one') else '; '}{note}", table(rows))
