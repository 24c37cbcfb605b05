"""How the strong and the weak MCC see runs whose latents are affine copies of each other, or bent ones.

    python experiments/alignment/run.py [--config FILE] [--out FOLDER]

Seconds; the same configuration gives the same numbers.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

import ident_theory as it
from ident_theory.metrics import mcc, mcc_pairs
from ident_theory.metrics.correlation import halves

HERE = Path(__file__).resolve().parent


def matrix(size: int, condition: float, rng: np.random.Generator) -> np.ndarray:
    """A random matrix with given condition number and singular values spaced evenly in logarithm."""
    left, right = (np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(2))
    return (left * np.geomspace(np.sqrt(condition), 1 / np.sqrt(condition), size)) @ right


def run_latents(z: np.ndarray, slope: float, config: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """What one run learns: the latents mixed, bent by a leaky ReLU, mixed again, with noise."""
    size = z.shape[1]
    inner = z @ matrix(size, config["condition"], rng).T
    inner -= np.median(inner, axis=0)  # half of the observations on each side of every kink
    bent = np.where(inner > 0, inner, slope * inner)
    seen = bent @ matrix(size, config["condition"], rng).T
    return seen + config["noise"] * seen.std(axis=0) * rng.standard_normal(z.shape)


def runs_of(config: dict[str, Any], slope: float) -> tuple[list[np.ndarray], np.ndarray]:
    """All runs of one slope, and the components that the observations come from; runs draw the same for every slope."""
    rng = np.random.default_rng(config["seed"])
    z, component = it.GaussianMixture(**config["prior"]).sample(config["observations"], rng)
    return [run_latents(z, slope, config, np.random.default_rng([config["seed"], k]))
            for k in range(config["runs"])], component


def summary(config: dict[str, Any], slope: float) -> dict[str, Any]:
    """Mean over all pairs of runs, with the interval over runs; held out, and for the weak kind in sample too."""
    runs, _ = runs_of(config, slope)
    tree: dict[str, Any] = {"slope": slope}
    for kind, split in (("strong", "half"), ("weak", "half"), ("weak", None)):
        found = mcc_pairs(runs, kind, split=split, rng=np.random.default_rng(config["seed"]))
        tree[kind if split else f"{kind} in sample"] = {
            "mean": rounded(found.mean), "std": rounded(found.std), "interval": [rounded(v) for v in found.interval],
            "n_pairs": found.n_pairs, "n_runs": found.n_runs, "n_align": found.n_align, "n_score": found.n_score}
    return tree


def pair(config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Two runs on the held-out half, as saved (matched by the strong MCC) and after the weak alignment."""
    (first, second, *_), component = runs_of(config, config["stored_slope"])
    seed = config["seed"]
    arrays: dict[str, np.ndarray] = {}
    rows = halves(len(first), "half", np.random.default_rng(seed))[1]
    assert rows is not None
    for kind, name in (("strong", "before"), ("weak", "after")):
        found = mcc(first, second, kind, split="half", rng=np.random.default_rng(seed))
        a, b = found.aligned(first[rows], second[rows])
        arrays |= {f"{name}_a": a.astype(np.float32), f"{name}_b": b.astype(np.float32),
                   f"{name}_value": np.float64(rounded(found.value)),
                   f"{name}_columns": np.stack([found.columns_a, found.columns_b, found.signs]).astype(np.int8)}
    return {**arrays, "labels": component[rows].astype(np.int8)}


def rounded(value: float) -> float:
    return float(f"{float(value):.6g}")


def write(path: Path, content: bytes) -> None:
    """Write atomically: a killed run leaves the old file or the new one."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    outcomes = [summary(config, slope) for slope in config["slopes"]]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **pair(config))
    write(arguments.out / "pair.npz", buffer.getvalue())
    text = json.dumps({"settings": config, "outcomes": outcomes}, indent=1)
    write(arguments.out / "mcc.json", (text + "\n").encode())
    for item in outcomes:
        print(f"slope {item['slope']}: " + ", ".join(
            f"{kind} {item[kind]['mean']:.4f} [{item[kind]['interval'][0]:.4f}, {item[kind]['interval'][1]:.4f}]"
            for kind in ("strong", "weak", "weak in sample")))


if __name__ == "__main__":
    main()
