"""Is the truth the only global minimiser? All members of a family against truths drawn as in appendix J.3.1.

    python experiments/maximum_likelihood/run.py coarse     # exhaustive search for 50 truths; also: fine, small
    python experiments/maximum_likelihood/run.py share      # the exact share of truths with inequivalent minimisers
    python experiments/maximum_likelihood/run.py slices     # curves for figures/maximum_likelihood.py

Results go to results/NAME.json, tables to results/NAME.md. The exit code is 1 when the theory does not allow what
was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

import ident_theory as it
from ident_theory.geometry.injectivity import is_weakly_injective
from ident_theory.geometry.line import line_pieces
from ident_theory.landscape import Minimisers, Verdict
from ident_theory.landscape.minimisers import member_model, prior_components
from ident_theory.landscape.plan import Members, enumerate_members
from ident_theory.laws.identity import Relation, compare_parts, law_key

HERE = Path(__file__).resolve().parent
#: The paper's runs, in all of which the truth was the only minimiser up to affine maps (section 4).
PAPER = 50
#: A slice counts as convex when no second difference is below this share of the largest.
FLAT = 1e-9
#: Points of the first look at slices.
LOOK = 49


# ---------------------------------------------------------------- families and truths

def family_of(config: dict[str, Any], name: str) -> it.ParameterFamily:
    """A family of the configuration."""
    grids = config["families"][name]
    entries = grids["entries"]
    vary = {"prior.weights": {"simplex": grids["simplex"]}, "prior.means": grids.get("means", entries),
            "decoder.weights": entries, "decoder.biases[0]": entries}
    return it.ParameterFamily.from_dict({**config["template"], "vary": vary})


def draw_truths(family: it.ParameterFamily, components: list[int], count: int, seed: int) -> list[tuple[int, it.Model]]:
    """Number of components drawn, and a truth with all but those at weight zero."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        j = int(rng.choice(components))
        rows = [row for row in family.weights if not any(row[j:])]
        weights = rows[rng.integers(len(rows))]
        values = {path: grid[rng.integers(len(grid))] for path, grid in family.grids.items()}
        drawn.append((j, family.member(values, weights)))
    return drawn


def parameters(model: it.Model) -> dict[str, list[str]]:
    """The parameters under the paper's names, as exact strings."""
    first, last = model.decoder.weights_exact
    rows = {"alpha": last[0], "beta": [row[0] for row in first], "pi": model.decoder.biases_exact[0],
            "weights": model.prior.weights_exact, "means": [row[0] for row in model.prior.means_exact]}
    return {name: [str(Fraction(v)) for v in row] for name, row in rows.items()}


def model_of(family: it.ParameterFamily, given: dict[str, list[Any]]) -> it.Model:
    """The inverse of `parameters`."""
    values = {}
    for j, (a, b, p) in enumerate(zip(given["alpha"], given["beta"], given["pi"], strict=True)):
        values.update({f"decoder.weights[1][0,{j}]": Fraction(a), f"decoder.weights[0][{j},0]": Fraction(b),
                       f"decoder.biases[0][{j}]": Fraction(p)})
    values.update({f"prior.means[{j}]": Fraction(m) for j, m in enumerate(given["means"])})
    return family.member(values, [Fraction(w) for w in given["weights"]])


def flags_of(drawn: int, truth: it.Model, weakly_injective: bool) -> dict[str, Any]:
    """In which ways a truth departs from the paper's assumptions, or needs less than the family has."""
    given = parameters(truth)
    positive = sum(w != "0" for w in given["weights"])
    slopes = {slope for (slope,) in line_pieces(truth.decoder).slopes}
    flags = {"components_drawn": drawn, "components": len(truth.prior.reduced().weights_exact),
             "weight_zero": positive < drawn, "means_equal": len(truth.prior.reduced().weights_exact) < positive,
             "coefficient_zero": "0" in given["alpha"] + given["beta"], "weakly_injective": weakly_injective,
             "injective": all(s > 0 for s in slopes) or all(s < 0 for s in slopes), "constant": not any(slopes)}
    flags["well_specified"] = (flags["components"] == len(given["weights"]) and not flags["coefficient_zero"]
                               and weakly_injective)
    return flags


# ---------------------------------------------------------------- search

def run_search(config: dict[str, Any], name: str, store: Path | None, device: str,
               results: Path) -> tuple[dict[str, Any], str]:
    """Search a family for all minimisers of the drawn truths."""
    family, draw = family_of(config, name), config["draw"]
    drawn = draw_truths(family, draw["components"], draw["truths"], draw["seed"])
    print(f"{name}: {family.size:,} parameter points, {len(drawn)} truths", file=sys.stderr)
    if store is None and config["families"][name].get("store"):
        store = HERE / "store"
    path = None if store is None else store / f"{name}.zarr"
    label = "search" if path is None or not path.exists() else "search, continued from a store"
    started = time.perf_counter()
    result = it.search(family, [truth for _, truth in drawn], device=device, progress=Printer(), store=path)
    assert result is not None
    searched, started = time.perf_counter() - started, time.perf_counter()
    truths = []
    for i, (j, truth) in enumerate(drawn):
        found = result.minimisers(i)
        truths.append({"truth": parameters(truth), **flags_of(j, truth, found.weakly_injective),
                       **described(found, float(result.plan.errors[i]))})
    timing = {label: round(searched, 2), "classes and local minima": round(time.perf_counter() - started, 2)}
    size = {"parameter points": family.size, "functions": len(result.members.networks.functions),
            "priors": len(result.members.priors.rows), "pairs": result.points, "laws evaluated": result.evaluated,
            "nodes": sum(len(rule.nodes) for rule in result.plan.rules),
            "quadrature rules": len(result.plan.rules), "error bound": float(result.plan.errors.max())}
    summary = {**summarise(truths), "exact": stored_share(results, name)}
    report = {"run": name, "family": config["families"][name], "draw": draw, "seconds": timing, "size": size,
              "summary": summary, "truths": truths}
    return report, search_table(report)


def described(found: Minimisers, error: float) -> dict[str, Any]:
    """What a search found for one truth, as JSON."""
    classes = [{"relation": item.relation.name, "h": None if item.scale is None else [str(item.scale), str(item.shift)],
                "pairs": len(item.pairs), "points": item.raw, "member": parameters(item.representative)}
               for item in found.classes]
    local = found.local_minima
    assert local is not None
    # ABSENT cannot be: every truth is a point of the grid.
    allowed = found.explained and found.verdict is not Verdict.ABSENT \
        and classes[0]["relation"] == Relation.SAME.name and abs(found.lowest_excess) <= 2 * error + 1e-12
    return {"verdict": found.verdict.name, "explained": allowed, "lowest_excess": found.lowest_excess,
            "classes": classes, "near_misses": [excess for _, _, excess in found.near_misses],
            "local_minima": local.count, "all_points_compared": local.exact,
            "runner_up_excess": None if local.runner_up is None else local.runner_up[2]}


def summarise(truths: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the truths: all of them, well specified, misspecified with and without condition F2."""
    groups = {"all": truths, "well specified": [t for t in truths if t["well_specified"]],
              "misspecified, F2 holds": [t for t in truths if not t["well_specified"] and t["weakly_injective"]],
              "misspecified, F2 fails": [t for t in truths if not t["weakly_injective"]]}
    counts = {name: count_group(group) for name, group in groups.items()}
    varying = [t for t in truths if not t["constant"]]
    hits = sum(t["verdict"] == "INEQUIVALENT" for t in varying)
    return {"counts": counts, "inequivalent": hits, "of_not_constant": len(varying),
            "share_interval_95": clopper_pearson(hits, len(varying)),
            "runner_up_excess": quartiles([t["runner_up_excess"] for t in varying if t["runner_up_excess"]]),
            "local_minima": quartiles([t["local_minima"] for t in varying])}


def stored_share(results: Path, name: str) -> dict[str, float] | None:
    """The exact share for this family, where `share` has been run before."""
    file = results / "share.json"
    item = json.loads(file.read_text())["exact"].get(name) if file.exists() else None
    return None if item is None else {key: item[key] for key in ("share_of_draws", "no_tie_in_50_not_constant_draws")}


def count_group(group: list[dict[str, Any]]) -> dict[str, int]:
    """Counts of one group of truths."""
    def number(test: Callable[[dict[str, Any]], Any]) -> int:
        return sum(bool(test(t)) for t in group)

    def relations(t: dict[str, Any]) -> list[str]:
        return [item["relation"] for item in t["classes"]]

    return {
        "truths": len(group),
        "fewer components than the family": number(lambda t: t["components"] < len(t["truth"]["weights"])),
        "a coefficient is zero": number(lambda t: t["coefficient_zero"]),
        "decoder not injective (F4 fails)": number(lambda t: not t["injective"]),
        "decoder not weakly injective (F2 fails)": number(lambda t: not t["weakly_injective"]),
        "verdict: unique up to affine maps": number(lambda t: t["verdict"] == "UNIQUE"),
        "verdict: inequivalent minimisers": number(lambda t: t["verdict"] == "INEQUIVALENT"),
        "verdict: constant decoder, every prior minimises": number(lambda t: t["verdict"] == "CONSTANT"),
        "tie: other parameters of the same function and prior": number(lambda t: t["classes"][0]["points"] > 1),
        "tie: other functions and priors, affinely equivalent": number(lambda t: "AFFINE" in relations(t)),
        "tie: not equivalent, F2 fails (constants included)": number(
            lambda t: "LAW" in relations(t) and not t["weakly_injective"]),
        "ties that the theory does not allow": number(lambda t: not t["explained"]),
        "truths with another law within 1e-9 nats": number(lambda t: t["near_misses"])}


def quartiles(values: list[float]) -> list[float] | None:
    """Minimum, quartiles and maximum."""
    return [float(v) for v in np.quantile(values, [0, 0.25, 0.5, 0.75, 1])] if values else None


def clopper_pearson(hits: int, count: int) -> list[float] | None:
    """The 95% interval for a share."""
    if not count:
        return None
    interval = binomtest(hits, count).proportion_ci(0.95, method="exact")
    return [float(interval.low), float(interval.high)]


# ---------------------------------------------------------------- exact share

def run_share(config: dict[str, Any], device: str) -> tuple[dict[str, Any], str]:
    """The exact share of truths with inequivalent minimisers, and an estimate of it from draws and a search."""
    share, components = config["share"], config["draw"]["components"]
    report: dict[str, Any] = {"run": "share", "exact": {}}
    for name in share["exact"]:
        report["exact"][name] = exact_share(family_of(config, name), components)
        print(f"{name}: done in {report['exact'][name]['seconds']} s", file=sys.stderr)
    if "sample" in share:
        report["sample"] = sample_share(config, share["sample"], components, device)
    return report, share_table(report)


def exact_share(family: it.ParameterFamily, components: list[int]) -> dict[str, Any]:
    """Count the truths with inequivalent minimisers by sorting every pair of function and prior by its law.

    A truth with J components is searched for among members with as many components as the family has. For J below
    that, the share among members with J components is given too.
    """
    started = time.perf_counter()
    members = enumerate_members(family)
    functions, draws = members.networks.functions, {j: prior_counts(members, j) for j in components}
    priors = [prior_components(members, p) for p in range(len(members.priors.rows))]
    constant = np.array([form.constant for form in members.forms])
    f2 = np.array([not flat and is_weakly_injective(f) for f, flat in zip(functions, constant, strict=True)])
    laws: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for f in np.flatnonzero(~constant):
        for p, prior in enumerate(priors):
            laws[law_key(functions[f], prior)].append((int(f), p))
    networks = members.networks.counts
    hits, own, failing, witnesses, sizes = Counter(), Counter(), 0, [], Counter()
    for pairs in laws.values():
        classes = affine_classes(members, priors, pairs)
        sizes[len(classes)] += 1
        for j, counts in draws.items():
            raw = [sum(int(networks[f] * counts[p]) for f, p in group) for group in classes]
            hits[j] += sum(raw) if len(classes) > 1 else 0
            own[j] += sum(raw) if sum(map(bool, raw)) > 1 else 0
        if len(classes) > 1:
            failing += sum(bool(f2[f]) for group in classes for f, _ in group)
            if len(classes) == 2 and len(witnesses) < 12 and len(witnesses) * len(laws) < 12 * sum(sizes.values()):
                witnesses.append([parameters(member_model(members, *group[0])) for group in classes])
    total = int(networks.sum())
    rows = {}
    for j, counts in draws.items():
        raw = total * int(counts.sum())
        varying = int(networks[~constant].sum()) * int(counts.sum())
        unprotected = int(networks[~constant & ~f2].sum()) * int(counts.sum())
        rows[str(j)] = {"truths": raw, "not_constant": varying, "not_constant_without_f2": unprotected,
                        "inequivalent": hits[j], "inequivalent_among_j": own[j],
                        "share": hits[j] / varying, "share_among_j": own[j] / varying,
                        "share_without_f2": hits[j] / unprotected, "share_constant": (raw - varying) / raw}
    q = float(np.mean([row["share"] for row in rows.values()]))
    # Constants have the same share for every J, because priors and decoders are drawn independently.
    c = float(networks[constant].sum() / total)
    return {"parameter_points": family.size, "functions": len(functions), "priors": len(priors),
            "pairs": len(functions) * len(priors), "laws_not_constant": len(laws),
            "laws_by_affine_classes": {str(k): v for k, v in sorted(sizes.items())}, "components": rows,
            "share_of_draws": q, "share_constant": c, "exceptions_to_theorem": failing,
            "no_tie_in_50_not_constant_draws": (1 - q) ** PAPER,
            "no_tie_in_50_draws": (1 - q * (1 - c)) ** PAPER,
            "no_tie_and_no_constant_in_50_draws": ((1 - q) * (1 - c)) ** PAPER,
            "witnesses": witnesses, "seconds": round(time.perf_counter() - started, 1)}


def prior_counts(members: Members, j: int) -> np.ndarray:
    """In how many ways each distinct prior is drawn with J = j."""
    rows = [i for i, row in enumerate(members.family.weights) if not any(row[j:])]
    return np.bincount(members.priors.member[rows].ravel(), minlength=len(members.priors.rows))


def affine_classes(members: Members, priors: list[Any], pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Pairs of one law, sorted into affine classes."""
    classes: list[list[tuple[int, int]]] = []
    for f, p in pairs:
        for group in classes:
            g, q = group[0]
            found = compare_parts(members.networks.functions[g], priors[q], members.networks.functions[f], priors[p])
            if found.relation is Relation.AFFINE:
                group.append((f, p))
                break
        else:
            classes.append([(f, p)])
    return classes


def sample_share(config: dict[str, Any], sample: dict[str, Any], components: list[int], device: str) -> dict[str, Any]:
    """The share among drawn truths, each searched for: quadrature instead of law keys finds the ties."""
    family = family_of(config, sample["family"])
    drawn = draw_truths(family, components, sample["truths"], sample["seed"])
    started = time.perf_counter()
    result = it.search(family, [truth for _, truth in drawn], keep=False, device=device, progress=Printer())
    assert result is not None
    found = [result.minimisers(i, minima=False) for i in range(len(drawn))]
    verdicts = Counter(item.verdict for item in found)
    hits, varying = verdicts[Verdict.INEQUIVALENT], len(found) - verdicts[Verdict.CONSTANT]
    return {**sample, "verdicts": {v.name: verdicts[v] for v in Verdict}, "share": hits / varying,
            "share_interval_95": clopper_pearson(hits, varying),
            "not_explained": sum(not item.explained or item.verdict is Verdict.ABSENT for item in found),
            "truths_with_near_misses": sum(bool(item.near_misses) for item in found),
            "smallest_near_miss": min((abs(x) for item in found for _, _, x in item.near_misses), default=None),
            "seconds": round(time.perf_counter() - started, 1)}


# ---------------------------------------------------------------- slices

def run_slices(config: dict[str, Any], results: Path) -> dict[str, Any]:
    """Curves through truths of a run, one of each kind, and one through a truth with an inequivalent minimiser."""
    settings = config["slices"]
    family = family_of(config, settings["run"])
    window = (float(settings["window"][0]), float(settings["window"][1]))
    stored = json.loads((results / f"{settings['run']}.json").read_text())["truths"]
    truths = {i: model_of(family, item["truth"]) for i, item in enumerate(stored) if item["verdict"] == "UNIQUE"}
    best: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    printer = Printer()
    # Truths that use all they have make the better examples.
    full = {i: (1 + (stored[i]["components"] > 1)) * (1 + (not stored[i]["coefficient_zero"])) for i in truths}
    for done, (i, truth) in enumerate(truths.items()):
        for path in family.grids:
            kind, score = kind_of(it.landscape_slice(truth, path, window=window, points=LOOK))
            best[kind].append((score * full[i], i, path))
        printer("truths", done + 1, len(truths))
    panels, used = [], set()
    for kind in ("several local minima", "not convex", "convex"):
        # The best slices of three truths, through three different kinds of parameters.
        _, i, path = max(item for item in best[kind] if not used & {item[1], group_of(item[2])})
        used |= {i, group_of(path)}
        panels.insert(0, {"kind": kind, "truth_number": i, **curve(truths[i], path, window, settings["points"])})
    tie = settings["tie"]
    truth = model_of(family, {name: tie[name] for name in ("alpha", "beta", "pi", "weights", "means")})
    panels.append({"kind": "tie", "truth_number": None,
                   **curve(truth, tie["path"], (tie["window"][0], tie["window"][1]), settings["points"])})
    return {"run": "slices", "found": {kind: len(items) for kind, items in best.items()}, "panels": panels}


def group_of(path: str) -> str:
    """Means, weights of a layer, biases."""
    return path[:path.rindex("[")]


def kind_of(landscape: it.Slice) -> tuple[str, float]:
    """What a slice looks like, and how well it shows that."""
    excess = landscape.excess
    assert excess is not None
    inside = [m for m in landscape.minima if not m.at_boundary]
    if len(landscape.global_minima) != 1 or any(m.plateau is not None for m in landscape.minima):
        return "plateau or tie", 0.0
    bends = np.diff(excess, 2) / max(np.abs(np.diff(excess, 2)).max(), 1e-300)
    visible = min(float(excess.max()), 1 / float(excess.max()))  # neither flat nor a wall
    if len(landscape.minima) > 1:
        if len(inside) < 2:
            return "minimum at the edge", 0.0
        return "several local minima", visible * barrier(landscape) * len(inside)
    if bends.min() >= -FLAT:
        return "convex", visible
    return "not convex", visible * float(-bends.min())


def barrier(landscape: it.Slice) -> float:
    """The lowest climb out of a local minimum inside, as a share of the curve's height."""
    excess, grid = landscape.excess, landscape.grid
    assert excess is not None
    climbs = []
    for m in landscape.minima:
        if not m.at_boundary:
            left, right = excess[grid <= m.location[0]], excess[grid >= m.location[0]]
            climbs.append(min(left.max(), right.max()) - (m.value - landscape.reference))
    return float(min(climbs) / excess.max())


def curve(truth: it.Model, path: str, window: tuple[float, float], points: int) -> dict[str, Any]:
    """A slice as JSON."""
    found = it.landscape_slice(truth, path, window=window, points=points)
    excess = found.excess
    assert excess is not None
    minima = [{"at": m.location[0], "excess": found.excess_of(m), "global": m.is_global, "edge": m.at_boundary}
              for m in found.minima]
    return {"truth": parameters(truth), "path": path, "truth_value": found.truth_value,
            "grid": [round(float(x), 12) for x in found.grid], "excess": [float(f"{x:.8g}") for x in excess],
            "largest_error": float(found.errors.max()), "entropy": found.reference, "minima": minima}


# ---------------------------------------------------------------- tables and files

def search_table(report: dict[str, Any]) -> str:
    """The summary of a search in Markdown."""
    counts, size, summary = report["summary"]["counts"], report["size"], report["summary"]
    lines = [f"Run `{report['run']}`", "", "| | " + " | ".join(counts) + " |", "| --- |" + " ---: |" * len(counts)]
    lines += [f"| {row} | " + " | ".join(str(group[row]) for group in counts.values()) + " |" for row in counts["all"]]
    interval = summary["share_interval_95"]
    lines += ["", "| truths with inequivalent minimisers, decoder not constant | share | 95% interval |",
              "| --- | ---: | ---: |"]
    if interval is not None:
        hits, n = summary["inequivalent"], summary["of_not_constant"]
        lines.append(f"| here: {hits} of {n} | {hits / n:.1%} | {interval[0]:.1%} to {interval[1]:.1%} |")
    low, high = clopper_pearson(0, PAPER) or (0.0, 1.0)
    lines.append(f"| paper, section 4: 0 of {PAPER} | 0.0% | {low:.1%} to {high:.1%} |")
    exact = summary["exact"]
    if exact is not None:
        lines += [f"| all truths (`share`) | {exact['share_of_draws']:.3%} | exact |", "",
                  f"At the exact share, {PAPER} draws with decoders that are not constant show no such truth with "
                  f"probability {exact['no_tie_in_50_not_constant_draws']:.1%}."]
    whole = "" if all(t["all_points_compared"] for t in report["truths"]) else \
        " (at least: profile over the functions)"
    lines += ["", f"| decoder not constant{whole} | lowest | median | highest |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {label} | {row[0]:.3g} | {row[2]:.3g} | {row[4]:.3g} |" for label, row in (
        ("local minima of the grid, global ones included", summary["local_minima"]),
        ("excess of the lowest other local minimum [nats]", summary["runner_up_excess"])) if row]
    lines += ["", "| size | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.1e} |" if isinstance(value, float) else f"| {name} | {value:,} |"
              for name, value in size.items()]
    lines += [f"| seconds: {name} | {value:.1f} |" for name, value in report["seconds"].items()]
    unequal = [t for t in report["truths"] if t["verdict"] == "INEQUIVALENT"]
    if unequal:
        lines += ["", "Truths with inequivalent minimisers, and one such minimiser each:", "",
                  "| alpha | beta | pi | weights | means | minimiser: alpha | beta | pi | weights | means |",
                  "|" + " --- |" * 10]
        for t in unequal:
            other = next(item["member"] for item in t["classes"] if item["relation"] == "LAW")
            lines.append("| " + " | ".join(", ".join(v) for v in (*t["truth"].values(), *other.values())) + " |")
    return "\n".join(lines) + "\n"


def share_table(report: dict[str, Any]) -> str:
    """The exact shares in Markdown."""
    lines = ["Truths with inequivalent minimisers among all truths with a decoder that is not constant", "",
             "| family | truths drawn with | parameter points of truths | share | share if minimisers have the same J |"
             " share where F2 fails | constant decoders |", "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, item in report["exact"].items():
        for j, row in item["components"].items():
            lines.append(f"| {name} | J = {j} | {row['truths']:,} | {row['share']:.3%} | {row['share_among_j']:.3%} | "
                         f"{row['share_without_f2']:.2%} | {row['share_constant']:.2%} |")
    lines += ["", "| family | share among draws | exceptions to theorem 3.2(a) | 50 draws show none, decoders not "
              "constant | none and no constant decoder |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, item in report["exact"].items():
        lines.append(f"| {name} | {item['share_of_draws']:.3%} | {item['exceptions_to_theorem']} | "
                     f"{item['no_tie_in_50_not_constant_draws']:.1%} | "
                     f"{item['no_tie_and_no_constant_in_50_draws']:.2g} |")
    sample = report.get("sample")
    if sample:
        low, high = sample["share_interval_95"]
        lines += ["", f"By search for {sample['truths']:,} draws ({sample['family']}): {sample['share']:.2%}, 95% "
                  f"interval {low:.2%} to {high:.2%}; {sample['not_explained']} that the theory does not allow."]
    return "\n".join(lines) + "\n"


def write(report: dict[str, Any], table: str | None, results: Path) -> None:
    """Store a report and its table."""
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{report['run']}.json").write_text(laid_out(report) + "\n")
    if table is not None:
        (results / f"{report['run']}.md").write_text(table)


def laid_out(value: Any, depth: int = 0) -> str:
    """JSON with a line for every entry of dictionaries and every truth, so that versions can be compared."""
    pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and depth < 4:
        return "{" + ",".join(f"{pad}{json.dumps(k)}: {laid_out(v, depth + 1)}" for k, v in value.items()) + end + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + ",".join(pad + json.dumps(item) for item in value) + end + "]"
    return json.dumps(value)


class Printer:
    """Prints progress with rate and time left, at most once a second."""

    def __init__(self) -> None:
        self.stage, self.first, self.started, self.printed = "", 0, 0.0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self.stage:  # what a store already holds does not count for the rate
            self.stage, self.first, self.started, self.printed = stage, done, now, now
            return
        if now - self.printed < 1 and done < total:
            return
        self.printed = now
        rate = (done - self.first) / max(now - self.started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        print(f"  {stage} {done:,} of {total:,}, {rate:.3g} a second{left}", file=sys.stderr, flush=True)


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a family of the configuration, or share, or slices")
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--store", type=Path, help="folder of the store that the search writes to and resumes from")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    config = tomllib.loads(options.config.read_text())
    if options.run not in {*config["families"], "share", "slices"}:
        parser.error(f"run: expected one of {', '.join(config['families'])}, share, slices; got {options.run!r}")
    if options.run == "slices":
        write(run_slices(config, options.results), None, options.results)
        return 0
    if options.run == "share":
        report, table = run_share(config, options.device)
        wrong = sum(item["exceptions_to_theorem"] for item in report["exact"].values())
        wrong += report.get("sample", {}).get("not_explained", 0)
    else:
        report, table = run_search(config, options.run, options.store, options.device, options.results)
        wrong = report["summary"]["counts"]["all"]["ties that the theory does not allow"]
    write(report, table, options.results)
    print(table)
    if wrong:
        print(f"{wrong} results that the theory does not allow: see {report['run']}.json", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
