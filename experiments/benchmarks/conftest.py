"""Prints the benchmark table, writes it to results.md and into the README between its marks."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np

START, END = "<!-- benchmark table -->", "<!-- end of the table -->"
SEARCH_START, SEARCH_END = "<!-- search benchmark -->", "<!-- end of the search benchmark -->"
CHECK_START, CHECK_END = "<!-- check benchmark -->", "<!-- end of the check benchmark -->"


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


def _search_table(rows) -> str:
    seconds = {name: best for name, (best, _) in rows.items()}
    each = {name: best / info["count"] for name, (best, info) in rows.items()}
    info = {name: item for name, (_, item) in rows.items()}
    whole, engine = "whole search, process start included", "all values"
    i = info[engine]
    lines = [f"{i['functions']:,} distinct networks x {i['priors']} distinct priors, {i['evaluated']:,} distinct laws "
             f"of {i['distinct']:,} pairs, {i['nodes']:,} nodes on average, proven quadrature error {i['bound']:.1g}.",
             "",
             "| what | time | a raw point and truth | the whole search is faster by |", "| --- | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "raw":
            mine = name in (whole, engine)
            lines.append(f"| {name} | {_time(seconds[name]) if mine else ''} | {_time(each[name])} | "
                         f"{'' if mine else f'{each[name] / each[whole]:,.3g} x'} |")
    torch = min((name for name in rows if name.startswith("torch")), key=lambda name: each[name])
    pair = seconds[engine] / i["distinct"] / 50
    log_time = next(each[name] for name in rows if info[name].get("peak") == "logs")
    flop_time = next(each[name] for name in rows if info[name].get("peak") == "flops")
    logs, products = i["logs"] * log_time / i["cores"], i["flops"] * flop_time / i["cores"]
    lines += ["", f"Per distinct point and truth the values take {_time(pair)}, {each[torch] / pair:,.3g} times less "
              f"than the {torch}. At the measured peak (the mixture kernel in the first-level cache {_time(log_time)} "
              f"a logarithm, the matrix product {1 / flop_time / 1e9:.3g} Gflop/s a core) their logarithms would take "
              f"{_time(logs)} and their products {_time(products)} on {i['cores']} cores, "
              f"{(logs + products) / seconds[engine]:.0%} of the time taken; the rest is tables of component densities "
              "and small blocks, which larger families do not notice:", "",
              "| scaling | time a network, prior and node | share of the measured peak |", "| --- | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "scaling":
            ideal = (item["work"][0] * log_time + item["work"][1] * flop_time) / item["cores"]
            lines.append(f"| {name} | {_time(each[name])} | {ideal / seconds[name]:.0%} |")
    return "\n".join(lines)


def _check_table(rows) -> str:
    seconds = {name: best for name, (best, _) in rows.items()}
    info = {name: item for name, (_, item) in rows.items()}
    lines = ["| network | cells | time a cell | cells a second | faster than layer by layer in rationals by |",
             "| --- | ---: | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "cells" and item["way"] == "ours":
            each, other = seconds[name] / item["count"], f"{name}, layer by layer"
            ratio = f"{seconds[other] / seconds[name]:.3g} x" if other in rows else ""
            lines.append(f"| {name} | {item['count']:,} | {_time(each)} | {1 / each:,.0f} | {ratio} |")
    lines += ["", "| network, random weights | F4, F3, F2 | cells | decided in | verified in | proofs | z3, F4 alone |",
              "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "decide" and "answers" in item:
            other = f"{name}, z3"
            z3 = "" if other not in rows else info[other]["note"] or \
                f"{_time(seconds[other])} ({seconds[other] / seconds[name]:.3g} x)"
            cells = "not needed" if item["cells"] is None else f"{item['cells']:,}"
            lines.append(f"| {name} | {', '.join(item['answers'].values())} | {cells} | {_time(seconds[name])} | "
                         f"{_time(seconds[f'{name}, verified'])} | {item['size'] / 1e3:,.3g} kB | {z3} |")
    return "\n".join(lines)


def _write(readme: Path, start: str, end: str, text: str) -> None:
    before, _, after = readme.read_text().partition(start)
    readme.write_text(before + start + "\n" + text + "\n" + end + after.partition(end)[2])


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    if not session:
        return
    here = Path(__file__).parent
    machine = f"{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"
    rows = _rows(session.benchmarks)
    if "ours" in rows:
        text = (f"Measured with `make bench` on {machine}; best of several rounds, three pieces x three components.\n\n"
                + _table(rows))
        (here / "results.md").write_text(text + "\n")
        _write(here.parent.parent / "README.md", START, END, text)
        terminalreporter.write_line(text)
    found = {bench.extra_info["search"]: (bench.stats.min, bench.extra_info) for bench in session.benchmarks
             if "search" in bench.extra_info}
    if len({info["group"] for _, info in found.values()}) == 3:
        text = f"Measured with `make bench` on {machine}; best of the rounds.\n\n" + _search_table(found)
        (here / "search_results.md").write_text(text + "\n")
        _write(here.parent.parent / "README.md", SEARCH_START, SEARCH_END, text)
        terminalreporter.write_line(text)
    found = {bench.extra_info["check"]: (bench.stats.min, bench.extra_info) for bench in session.benchmarks
             if "check" in bench.extra_info}
    if {info["group"] for _, info in found.values()} == {"cells", "decide"}:
        text = f"Measured with `make bench` on {machine}, one thread; best of the rounds.\n\n" + _check_table(found)
        (here / "check_results.md").write_text(text + "\n")
        _write(here.parent.parent / "README.md", CHECK_START, CHECK_END, text)
        terminalreporter.write_line(text)
