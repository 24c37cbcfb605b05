"""The tables of the benchmarks: what was measured, as text.

Each takes a dictionary from the name of a row to its best time in seconds and what the benchmark noted about it.
"""

from __future__ import annotations


def time_text(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def law_table(rows) -> str:
    one, two = rows["ours"][0], rows.get("ours, two threads", (None,))[0]
    lines = ["| what | time a point | ours is faster by | against |", "| --- | ---: | ---: | --- |"]
    for name, (seconds, info) in rows.items():
        if name.startswith("scaling") or info["points"] == 1:
            continue
        base, against = (two, "two threads") if "2 threads" in name and two else (one, "one thread")
        ratio = "" if name.startswith("ours") else f"{seconds / base:,.3g} x"
        note = f" ({info['note']})" if "note" in info else ""
        lines.append(f"| {name}{note} | {time_text(seconds)} | {ratio} | {against if ratio else ''} |")
    lines += ["", f"Evaluations a second: {1 / one / 1e6:.3g} million on one thread"
              + (f", {1 / two / 1e6:.3g} million on two." if two else ".")]
    lines += ["", "| one call | time |", "| --- | ---: |"]
    lines += [f"| {name} | {time_text(seconds)} |" for name, (seconds, info) in rows.items() if info["points"] == 1]
    lines += ["", "| scaling | time a point and term |", "| --- | ---: |"]
    lines += [f"| {name.removeprefix('scaling: ')} | {time_text(seconds / info['terms'])} |"
              for name, (seconds, info) in rows.items() if name.startswith("scaling")]
    return "\n".join(lines)


def search_table(rows) -> str:
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
            lines.append(f"| {name} | {time_text(seconds[name]) if mine else ''} | {time_text(each[name])} | "
                         f"{'' if mine else f'{each[name] / each[whole]:,.3g} x'} |")
    torch = min((name for name in rows if name.startswith("torch")), key=lambda name: each[name])
    pair = seconds[engine] / i["distinct"] / 50
    log_time = next(each[name] for name in rows if info[name].get("peak") == "logs")
    flop_time = next(each[name] for name in rows if info[name].get("peak") == "flops")
    logs, products = i["logs"] * log_time / i["cores"], i["flops"] * flop_time / i["cores"]
    lines += ["", f"Per distinct point and truth the values take {time_text(pair)}, {each[torch] / pair:,.3g} times "
              f"less than the {torch}. At the measured peak (the mixture kernel in the first-level cache "
              f"{time_text(log_time)} a logarithm, the matrix product {1 / flop_time / 1e9:.3g} Gflop/s a core) their "
              f"logarithms would take {time_text(logs)} and their products {time_text(products)} on {i['cores']} "
              "cores, "
              f"{(logs + products) / seconds[engine]:.0%} of the time taken; the rest is tables of component densities "
              "and small blocks, which larger families do not notice:", "",
              "| scaling | time a network, prior and node | share of the measured peak |", "| --- | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "scaling":
            ideal = (item["work"][0] * log_time + item["work"][1] * flop_time) / item["cores"]
            lines.append(f"| {name} | {time_text(each[name])} | {ideal / seconds[name]:.0%} |")
    return "\n".join(lines)


def check_table(rows) -> str:
    seconds = {name: best for name, (best, _) in rows.items()}
    info = {name: item for name, (_, item) in rows.items()}
    lines = ["| network | cells | time a cell | cells a second | faster than layer by layer in rationals by |",
             "| --- | ---: | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "cells" and item["way"] == "ours":
            each, other = seconds[name] / item["count"], f"{name}, layer by layer"
            ratio = f"{seconds[other] / seconds[name]:.3g} x" if other in rows else ""
            lines.append(f"| {name} | {item['count']:,} | {time_text(each)} | {1 / each:,.0f} | {ratio} |")
    lines += ["", "| network, random weights | F4, F3, F2 | cells | decided in | verified in | proofs | z3, F4 alone |",
              "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "decide" and "answers" in item:
            other = f"{name}, z3"
            z3 = "" if other not in rows else info[other]["note"] or \
                f"{time_text(seconds[other])} ({seconds[other] / seconds[name]:.3g} x)"
            cells = "not needed" if item["cells"] is None else f"{item['cells']:,}"
            lines.append(f"| {name} | {', '.join(item['answers'].values())} | {cells} | {time_text(seconds[name])} | "
                         f"{time_text(seconds[f'{name}, verified'])} | {item['size'] / 1e3:,.3g} kB | {z3} |")
    return "\n".join(lines)


def metrics_table(rows) -> str:
    seconds = {name: best for name, (best, _) in rows.items()}
    info = {name: item for name, (_, item) in rows.items()}
    lines = ["| MCC, 10,000 observations x 200 latents | time |", "| --- | ---: |"]
    lines += [f"| {name} | {time_text(best)} |" for name, best in seconds.items() if info[name]["group"] == "mcc"]
    lines += ["", "| canonical correlations | time | scikit-learn | ours is faster by | largest difference |",
              "| --- | ---: | ---: | ---: | ---: |"]
    for name, best in seconds.items():
        if info[name]["group"] == "canonical" and "difference" not in info[name]:
            other = f"{name}, scikit-learn"
            theirs = (time_text(seconds[other]), f"{seconds[other] / best:.3g} x", f"{info[other]['difference']:.1g}") \
                if other in rows else ("", "", "")
            lines.append(f"| {name} | {time_text(best)} | {' | '.join(theirs)} |")
    return "\n".join(lines)


def affine_table(rows) -> str:
    seconds = {name: best for name, (best, _) in rows.items()}
    info = {name: item for name, (_, item) in rows.items()}
    lines = ["| squared affine distance with its gradient | time | loop over pairs | torch autograd |",
             "| --- | ---: | ---: | ---: |"]
    for name, best in seconds.items():
        if info[name]["group"] == "gradient" and info[name]["way"] == "ours":
            others = [f"{time_text(seconds[other])} ({seconds[other] / best:.3g} x)" if other in rows else ""
                      for other in (f"{name}, loop over pairs", f"{name}, torch autograd")]
            lines.append(f"| {name} | {time_text(best)} | {' | '.join(others)} |")
    lines += ["", "| affine distance of a mixture and its | time | value | by means alone | evaluations |",
              "| --- | ---: | ---: | ---: | ---: |"]
    for name, item in info.items():
        if item["group"] == "distance":
            means = "" if item["means"] is None else f"{item['means']:.3g}"
            lines.append(f"| {name} | {time_text(seconds[name])} | {item['value']:.3g} | {means} | "
                         f"{item['evaluations']:,} |")
    lines += ["", "| map between mixtures | time | residual |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {time_text(seconds[name])} | {item['residual']:.2g} |" for name, item in info.items()
              if item["group"] == "align"]
    return "\n".join(lines)


def equality_table(rows) -> str:
    def cell(size: str, group: str) -> str:
        found = rows.get(f"{size}, {group}")
        return "" if found is None else time_text(found[0])

    sizes = list(dict.fromkeys(info["size"] for _, info in rows.values() if info["group"] == "equivalent"))
    lines = ["| decoders, random weights, four components | pieces | equal in law: decided | verified | different: "
             "decided, with | map found | verified |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for size in sizes:
        count = rows.get(f"{size}, equal", (0, {"pieces": None}))[1]["pieces"]
        pieces = "" if count is None else f"{count:,}"
        proof = rows.get(f"{size}, different", (0, {"proof": ""}))[1]["proof"]
        different = f"{cell(size, 'different')} {proof}".strip()
        lines.append(f"| {size} | {pieces} | {cell(size, 'equal')} | {cell(size, 'equal verified')} | {different} | "
                     f"{cell(size, 'equivalent')} | {cell(size, 'equivalent verified')} |")
    lines += ["", "| one function, written in two ways | cell by cell | z3 |", "| --- | ---: | ---: |"]
    for _, info in rows.values():
        if info["group"] == "z3":
            lines.append(f"| {info['size']} | {cell(info['size'], 'functions')} | "
                         f"{info['note'] or cell(info['size'], 'z3')} |")
    return "\n".join(lines)


def train_table(rows) -> str:
    runs = list(next(iter(rows.values()))[1]["ours"])
    lines = ["| estimator | plain loop | " + " | ".join(f"{r} run{'s' if r > 1 else ''}" for r in runs)
             + " | limit | memory |",
             "| --- |" + " ---: |" * (len(runs) + 3)]
    for name, (_, info) in rows.items():
        cells = [f"{r / info['ours'][r]:,.0f} ({r * info['plain'] / info['ours'][r]:.3g} x)" for r in runs]
        lines.append(f"| {name} | {1 / info['plain']:,.0f} | {' | '.join(cells)} | {1 / info['limit']:,.0f} | "
                     f"{info['bytes'][runs[-1]] / 1e6:.3g} MB |")
    peak = max(info["peak"] for _, info in rows.values())
    return "\n".join([*lines, "", "Runs x steps a second of processor time, and how many times those of the plain "
                      "PyTorch loop with a DataLoader, measured in turns. The limit: as many as the matrix products "
                      f"of a step allow at the measured {peak / 1e9:.3g} Gflop/s of a large one. Memory: parameters, "
                      f"gradients, moments and noise of {runs[-1]} runs."])
