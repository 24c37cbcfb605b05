"""The targets of the estimators: every part trains, evaluates, and stores its figures beside those of the papers.

    python experiments/estimators/run.py [PART ...] [--config FILE] [--out FOLDER]

Without names all parts run, one after the other; two processes may take different parts. A part goes on where it was
stopped: its trainings keep checkpoints in the folder store. Results go to results/PART.json, the table of all parts
that are done to results/table.md.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import ident_theory as it
from ident_theory.data import Dataset, generate
from ident_theory.errors import IdentTheoryError
from ident_theory.estimators import FewConditionsWarning, Fit, estimator, fit
from ident_theory.estimators.evaluation import evaluate, trained_seconds
from ident_theory.estimators.exact_side import beside
from ident_theory.estimators.recipes import preset
from ident_theory.files import write_atomically

HERE = Path(__file__).resolve().parent


def known_model(tree: dict[str, Any]) -> it.Model:
    """The model of a part that has one of its own."""
    return it.Model(it.GaussianMixture(tree["weights"], tree["means"], tree["covariances"]),
                    it.ReLUNetwork(tree["matrices"], tree["biases"], tree["slope"]),
                    it.GaussianNoise(std=tree["noise_std"]))


def data_of(part: dict[str, Any], config: dict[str, Any]) -> tuple[Dataset, Dataset]:
    """Training and held-out observations of a part."""
    seed = config["data_seed"]
    rng = np.random.default_rng(seed)
    if "model" in part:
        data = generate("sampled", rng, model=known_model(part["model"]), size=part["size"], labels="factors")
    elif "preset" in part:
        paper = preset(part["preset"])
        data = generate(paper.data, rng, **{**paper.data_settings, **part.get("data_settings", {})})
    else:
        data = generate(part["data"], rng, **part.get("data_settings", {}))
    return data.split(config["held_out"], np.random.default_rng([seed, 1]))


def settings_of(part: dict[str, Any], name: str) -> dict[str, Any]:
    """Those of the preset with what the part replaces; a length replaces a length."""
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in part["estimators"][name].items()}
    base = dict(preset(part["preset"]).estimators[name]) if "preset" in part else {}
    if {"steps", "epochs"} & own.keys():
        base = {key: value for key, value in base.items() if key not in ("steps", "epochs")}
    return {**base, **own}


def run_part(name: str, config: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train and evaluate every estimator of a part."""
    part = config["parts"][name]
    paper = preset(part["preset"]) if "preset" in part else None
    training, held = data_of(part, config)
    results = {}
    for kind in part["estimators"]:
        made = estimator(kind, **settings_of(part, kind))
        started = time.process_time()
        found = fit(made, training, runs=part.get("runs") or (paper.runs if paper else 1), seed=config["seed"],
                    precision=made.precision, directory=out / "store" / name / kind)
        scored = evaluate(found, held, train=training, rng=np.random.default_rng([config["data_seed"], 2]),
                          kind=paper.kind if paper else None, unmix=paper.unmix.get(kind) if paper else None)
        results[kind] = {
            "settings": made.plain(), "evaluation": scored.to_dict(), "steps": found.log[-1].step,
            "seconds": trained_seconds(found),
            "reported": [vars(item) for item in paper.reported if item.estimator in (kind, "all")] if paper else [],
            "exact": exact_of(found, held) if "model" in part else None}
        print(f"{name}: {kind}: {time.process_time() - started:.0f} s of processor time", flush=True)
    truth = None
    if "model" in part:
        truth = float(it.law(known_model(part["model"])).log_density(held.x).mean())
    return {"part": name, "settings": part, "preset": paper.name if paper else None, "truth": truth,
            "differs": paper.differs if paper else "", "training": len(training), "held_out": len(held),
            "results": results}


def exact_of(found: Fit, held: Dataset) -> dict[str, Any] | None:
    """The best run's exact log-likelihood beside its score, held out."""
    try:
        return vars(beside(found.best, held))
    except IdentTheoryError as error:
        print(f"no exact likelihood: {error}")
        return None


def table(results: list[dict[str, Any]]) -> str:
    """All parts as Markdown."""
    head = ["part", "estimator", "best half of the runs by score", "all runs", "best run", "the paper", "FastICA of x",
            "noise", "time"]
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: |"]
    for item in results:
        for kind, entry in item["results"].items():
            lines.append(row(item, kind, entry))
    return "\n".join(lines) + "\n"


def row(item: dict[str, Any], kind: str, entry: dict[str, Any]) -> str:
    """One estimator of one part: strong and weak MCC with the latents, or of pairs of runs."""
    found, pairs = entry["evaluation"], entry["evaluation"]["pairs"]
    paper = "; ".join(f"{part['value']} ({part['place']})" for part in entry["reported"]) or "-"
    if found["half"] is not None:
        chosen = sum(run["chosen"] for run in found["runs"])
        cells = [f"{text(found['half'])}, n = {chosen}", f"{text(found['all'])}, n = {found['all']['count']}"]
        best = next(run for run in found["runs"] if run["number"] == found["best"])
        cells.append(f"{best['strong']:.3f}")
    else:
        cells = ["-", "-", "-"]
    base = {line["name"]: line for line in (found["baselines"] or (pairs or {}).get("baselines", []))}
    counts = [run["informative"] for run in found["runs"] if run["informative"] is not None]
    if counts:
        cells[1] += f"; informative latents: {', '.join(map(str, counts))}"
    if pairs is not None:
        spreads = {key: pairs[key] for key in ("strong", "weak") if pairs[key] is not None}
        words = ", ".join(f"{key} {part['mean']:.3f} ({part['std'] or 0:.3f})" for key, part in spreads.items())
        cells[1] += f"; pairs: {words}"
    if item["truth"] is not None and entry["exact"] is not None:
        exact = entry["exact"]
        paper = (f"log-likelihood of the truth {item['truth']:.4f}, of the best run {exact['log_likelihood']:.4f}, its "
                 f"{exact['score_name']} {exact['score']:.4f} (exact, held out)")
    ica = next((line for name, line in base.items() if name.startswith("FastICA")), None)
    noise = base.get("independent noise")
    cells += [paper, *("-" if line is None else f"{line['strong']:.3f}" for line in (ica, noise)),
              f"{entry['seconds']:.0f} s"]
    return f"| {item['part']} | {kind} | " + " | ".join(cells) + " |"


def text(part: dict[str, Any]) -> str:
    """Strong and weak MCC with their spreads."""
    def one(key: str) -> str:
        std = part[f"{key}_std"]
        return f"{part[key]:.3f}" + ("" if std is None else f" ({std:.3f})")

    return f"strong {one('strong')}, weak {one('weak')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    unknown = [name for name in arguments.parts if name not in config["parts"]]
    if unknown:
        parser.error(f"expected parts among {', '.join(config['parts'])}, found {', '.join(unknown)}")
    warnings.simplefilter("ignore", FewConditionsWarning)  # GIN's second experiment is about few conditions
    results = arguments.out / "results"
    for name in arguments.parts or config["parts"]:
        found = run_part(name, config, arguments.out)
        write_atomically(results / f"{name}.json", (json.dumps(found, indent=1) + "\n").encode())
    done = [json.loads((results / f"{name}.json").read_text(encoding="utf-8")) for name in config["parts"]
            if (results / f"{name}.json").exists()]
    write_atomically(results / "table.md", table(done).encode())
    print(table(done))


if __name__ == "__main__":
    main()
