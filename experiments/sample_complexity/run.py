"""How often the maximum-likelihood estimate over a finite family has the truth's law, from N observations.

    python experiments/sample_complexity/run.py [--config FILE] [--out FOLDER] [--fresh]

One JSON file a truth and noise; those that are there with the same settings are kept, so a killed run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm

import ident_theory as it

HERE = Path(__file__).resolve().parent
#: Raised when the meaning of the results changes, so that older files are not kept.
FORMAT = 1
#: Laws whose KL agrees to this are taken as one; the values' own error is 1e-10 at most.
SAME_KL = 1e-10
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Case:
    """One truth with one noise, and the family it is looked for in."""

    name: str
    noise: str
    family: it.ParameterFamily
    truth: it.Model
    settings: dict[str, Any]

    @property
    def file_name(self) -> str:
        return f"{self.name}-noise-{self.noise.replace('/', 'over')}.json"

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    def rng(self, size: int, replication: int) -> np.random.Generator:
        """A generator for each data set, so that neither batches nor the other cases matter."""
        own = int.from_bytes(hashlib.sha256(f"{self.name} {self.noise}".encode()).digest()[:8])
        return np.random.default_rng([self.settings["seed"], own, size, replication])


def read_cases(config: dict[str, Any]) -> list[Case]:
    """Every truth of the configuration with each of its noises."""
    common = {key: config[key] for key in ("seed", "sizes", "replications", "rivals", "simulations")}
    cases = []
    for item in config["truths"]:
        for std in item["noise"]:
            tree = {**config["family"], "noise": {"type": "gaussian", "std": std}}
            family = it.ParameterFamily.from_dict(tree)
            prior = it.GaussianMixture(item["weights"], item["means"], tree["prior"]["covariances"])
            truth = it.Model(prior, it.ReLUNetwork(**item["decoder"]), it.GaussianNoise(std))
            settings = {"format": FORMAT, **common, "family": family.to_dict(), "truth": json.loads(it.to_json(truth))}
            cases.append(Case(item["name"], std, family, truth, settings))
    return cases


@dataclass(frozen=True)
class Population:
    """What the exact law of the truth says about the family: who ties with it, and who comes close."""

    result: it.SearchResult
    kl: np.ndarray
    same_law: frozenset[tuple[int, int]]
    affine_share: float
    prior_only: np.ndarray
    summary: dict[str, Any]
    means: np.ndarray
    covariance: np.ndarray


def population(case: Case) -> Population:
    """Search under the truth's law, and log-likelihood ratios against the closest other laws."""
    result = it.search(case.family, [case.truth], keep=True)
    found = result.minimisers(0, minima=False)
    if not found.classes:
        raise SystemExit(f"{case.name}: the truth's law is not in the family")
    kl = result.excess[:, :, 0]
    pairs = {pair for item in found.classes for pair in item.pairs}
    own = [pair for item in found.classes if item.relation.name != "LAW" for pair in item.pairs]
    # Laws that a wrong prior alone explains: members with the truth's decoder up to shift and reflection.
    orbit = result.members.orbit
    prior_only = np.sort(kl[orbit == orbit[own[0][0]]], axis=None)
    rivals = closest(kl, pairs, case.settings["rivals"])
    nodes, weights = result.plan.nodes[:, 0], result.plan.target_weights[0]
    log_truth = it.law(case.truth).log_density(nodes)
    ratios = np.stack([log_truth - it.law(result.member(*pair)).log_density(nodes) for pair in rivals])
    means = ratios @ weights
    covariance = (ratios * weights) @ ratios.T - np.outer(means, means)
    gap = float(np.abs(means - [kl[pair] for pair in rivals]).max())
    assert gap < 1e-8, f"KL from the laws and from the search differ by {gap}"
    sds = np.sqrt(np.diag(covariance))
    hardest = int((means / sds).argmin())
    summary = {
        "verdict": found.verdict.name, "weakly_injective": found.weakly_injective, "laws": result.points,
        "classes": [{"relation": item.relation.name, "members": len(item.pairs), "raw": item.raw}
                    for item in found.classes],
        "runner_up": describe_rival(result, rivals[0], means[0], sds[0], ratios[0], weights),
        "hardest": describe_rival(result, rivals[hardest], means[hardest], sds[hardest], ratios[hardest], weights)}
    affine = sum(item.raw for item in found.classes if item.relation.name != "LAW") / found.raw
    return Population(result, kl, frozenset(pairs), affine, prior_only, summary, means, covariance)


def closest(kl: np.ndarray, same_law: set[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """One member of each of the closest other laws: the first, as members of one law tie but for rounding."""
    rivals: list[tuple[int, int]] = []
    last = -math.inf
    for flat in np.argsort(kl, axis=None):
        f, p = divmod(int(flat), kl.shape[1])
        if (f, p) in same_law:
            continue
        if kl[f, p] - last < SAME_KL:
            rivals[-1] = min(rivals[-1], (f, p))
        elif len(rivals) == count:
            break
        else:
            rivals.append((f, p))
            last = kl[f, p]
    return rivals


def describe_rival(result: it.SearchResult, pair: tuple[int, int], kl: float, sd: float, ratio: np.ndarray,
                   weights: np.ndarray) -> dict[str, Any]:
    """A rival with the two exponents of P(it beats the truth): of the normal approximation, and the true one."""
    def log_moment(s: float) -> float:  # log E (p_rival / p_truth)^s
        top = float((-s * ratio).max())
        return top + math.log(float(weights @ np.exp(-s * ratio - top)))

    chernoff = -minimize_scalar(log_moment, bounds=(0, 1), method="bounded").fun
    return {"kl": rounded(kl), "sd": rounded(sd), "normal_exponent": rounded(kl**2 / (2 * sd**2)),
            "chernoff": rounded(chernoff), "model": json.loads(it.to_json(result.member(*pair)))}


def predictions(case: Case, people: Population) -> list[dict[str, float]]:
    """P(some rival has the greater likelihood) by normal approximations of the log-likelihood ratios."""
    sds = np.sqrt(np.diag(people.covariance))
    values, vectors = np.linalg.eigh(people.covariance)
    rng = np.random.default_rng([case.settings["seed"], 1])
    noise = rng.standard_normal((case.settings["simulations"], len(values)))
    noise = noise @ (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # this root moves little with rounding
    out = []
    for size in case.settings["sizes"]:
        single = norm.cdf(-math.sqrt(size) * people.means / sds)
        joint = float((noise + math.sqrt(size) * people.means < 0).any(axis=1).mean())
        out.append({"max_rival": rounded(single.max()), "union": rounded(min(1.0, float(single.sum()))),
                    "joint_normal": rounded(joint)})
    return out


def batches(config: dict[str, Any], case: Case) -> Iterator[list[tuple[int, int]]]:
    """(size, replication) of the data sets that are searched for together."""
    batch: list[tuple[int, int]] = []
    held = 0
    for size in case.settings["sizes"]:
        for replication in range(case.settings["replications"]):
            if batch and (len(batch) == config["batch_sets"] or held + size > config["batch_observations"]):
                yield batch
                batch, held = [], 0
            batch.append((size, replication))
            held += size
    yield batch


def sample_minimisers(case: Case, draws: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each data set a member of greatest likelihood, (T, 2), how far it is above the truth, and the doubt of that.

    Members of equal law tie up to rounding; which of them is returned means nothing.
    """
    law = it.law(case.truth)
    result = it.search(case.family, [law.sample(size, case.rng(size, r)) for size, r in draws], keep=False)
    functions = result.best.argmin(axis=0)
    targets = np.arange(len(draws))
    pairs = np.stack([functions, result.best_prior[functions, targets]], axis=1)
    own = -result.plan.target_weights @ law.log_density(result.plan.nodes)
    return pairs, own - result.best[functions, targets], 2 * result.plan.errors


def outcome(case: Case, people: Population, size: int, pairs: np.ndarray, gains: np.ndarray,
            doubts: np.ndarray) -> dict[str, Any]:
    """What the replications of one size came to."""
    right = np.array([tuple(pair) in people.same_law for pair in pairs.tolist()])
    wrong = people.kl[pairs[~right, 0], pairs[~right, 1]]
    count, n = int(right.sum()), len(right)
    low, high = wilson(count, n)
    found: dict[str, Any] = {
        "size": size, "replications": n, "recovered": count, "rate": rounded(count / n), "low": rounded(low),
        "high": rounded(high), "affine_rate": rounded(count / n * people.affine_share),
        "undecided": int((~right & (gains <= doubts)).sum()), "mean_kl": rounded(wrong.sum() / n), "wrong": None}
    if len(wrong):
        place = np.minimum(np.searchsorted(people.prior_only, wrong - SAME_KL), len(people.prior_only) - 1)
        found["wrong"] = {"mean_kl": rounded(wrong.mean()),
                          "kl_quantiles": {str(q): rounded(v) for q, v in
                                           zip(QUANTILES, np.quantile(wrong, QUANTILES), strict=True)},
                          "distinct_laws": len(np.unique(np.round(wrong, 9))),
                          "wrong_prior_only": rounded((np.abs(people.prior_only[place] - wrong) <= SAME_KL).mean())}
    return found


def wilson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a binomial probability."""
    z = float(norm.ppf((1 + level) / 2))
    rate = count / n
    middle, scale = rate + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # The outer ends are exact without a hit or a miss, where the formula leaves rounding.
    return (middle - half) / scale if count else 0.0, (middle + half) / scale if count < n else 1.0


def rounded(value: float) -> float:
    return float(f"{float(value):.6g}")


class Progress:
    """Lines on stderr with the rate and the time left, by a rough cost of the data sets still to come."""

    def __init__(self, todo: list[Case]) -> None:
        self.total = sum(self.cost(size) * case.settings["replications"] for case in todo
                         for size in case.settings["sizes"])
        self.done, self.sets, self.started = 0.0, 0, time.perf_counter()

    @staticmethod
    def cost(size: int) -> float:
        return 1 + size / 20_000  # laying a data set on the nodes overtakes the search at about this size

    def step(self, what: str, draws: list[tuple[int, int]]) -> None:
        self.done += sum(self.cost(size) for size, _ in draws)
        self.sets += len(draws)
        spent = time.perf_counter() - self.started
        left = max(0.0, spent * (self.total / self.done - 1))
        print(f"{what}, N up to {draws[-1][0]:,}: {self.sets:,} data sets, {self.sets / spent:.0f} a second, "
              f"{self.done / self.total:.0%} done, about {left:.0f} s left", file=sys.stderr, flush=True)


def run_case(config: dict[str, Any], case: Case, progress: Progress) -> dict[str, Any]:
    people = population(case)
    gathered: dict[int, list[tuple[np.ndarray, ...]]] = {size: [] for size in case.settings["sizes"]}
    for draws in batches(config, case):
        found = sample_minimisers(case, draws)
        sizes = np.array([size for size, _ in draws])
        for size in np.unique(sizes):
            gathered[int(size)].append(tuple(part[sizes == size] for part in found))
        progress.step(f"{case.name}, noise {case.noise}", draws)
    outcomes = [outcome(case, people, size, *(np.concatenate(part) for part in zip(*parts, strict=True)))
                for size, parts in gathered.items()]
    for item, prediction in zip(outcomes, predictions(case, people), strict=True):
        item["predicted_error"] = prediction
    means = [float(mean) for mean in np.ravel(case.truth.prior.means_exact)]
    return {"name": case.name, "noise_std": case.noise, "separation": max(means) - min(means),
            "hash": case.hash, **people.summary, "affine_share_of_ties": rounded(people.affine_share),
            "outcomes": outcomes, "settings": case.settings}


def finished(path: Path, case: Case) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["hash"] == case.hash
    except (OSError, ValueError, KeyError):
        return False


def write(path: Path, result: dict[str, Any]) -> None:
    """Write atomically: a killed run leaves the old file or the new one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--fresh", action="store_true", help="compute everything anew")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    cases = read_cases(config)
    todo = [case for case in cases if arguments.fresh or not finished(arguments.out / case.file_name, case)]
    print(f"{len(todo)} of {len(cases)} truths to compute", file=sys.stderr)
    progress = Progress(todo)
    for case in todo:
        write(arguments.out / case.file_name, run_case(config, case, progress))


if __name__ == "__main__":
    main()
