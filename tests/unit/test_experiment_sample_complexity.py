"""The experiment on sample complexity: its estimates, its numbers, and that it goes on where it stopped."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import ident_theory as it

RUN = Path(__file__).resolve().parents[2] / "experiments" / "sample_complexity" / "run.py"
CONFIG = """
seed = 3
sizes = [10, 100, 2000]
replications = 20
rivals = 30
simulations = 1000
batch_sets = 25
batch_observations = 100000

[family.prior]
weights = ["1/2", "1/2"]
means = [0, 0]
covariances = ["1/4", "1/4"]

[family.decoder]
type = "relu_network"
weights = [[[1], [1]], [[1, 1]]]
biases = [[0, 0], [0]]

[family.vary]
"prior.weights" = { simplex = 4 }
"prior.means" = [-1, 1]
"decoder.weights" = [-1, 1]
"decoder.biases[0]" = [0, 1]

[[truths]]
name = "fold"
weights = ["1/4", "3/4"]
means = [-1, 1]
decoder = { weights = [[[1], [-1]], [[1, 1]]], biases = [[0, 0], [0]] }
noise = ["1/2"]

[[truths]]
name = "line"
weights = ["1/4", "3/4"]
means = [-1, 1]
decoder = { weights = [[[1], [-1]], [[1, -1]]], biases = [[0, 0], [0]] }
noise = ["1/8"]
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(RUN), "--config", str(folder / "config.toml"), "--out",
                           str(folder / "results"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample_complexity")
    (folder / "config.toml").write_text(CONFIG)
    assert "a second" in run(folder)
    return folder


@pytest.fixture(scope="module")
def experiment():
    spec = importlib.util.spec_from_file_location("sample_complexity_run", RUN)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def result(folder: Path, name: str) -> dict:
    return json.loads((folder / "results" / name).read_text(encoding="utf-8"))


def test_estimates_are_those_of_brute_force(experiment):
    for case in experiment.read_cases(tomllib.loads(CONFIG)):
        draws = [(10, 0), (10, 1), (100, 0), (100, 1), (2000, 0)]
        pairs, gains, doubts = experiment.sample_minimisers(case, draws)
        people = experiment.population(case)
        truth = it.law(case.truth)
        data = [truth.sample(size, case.rng(size, replication)) for size, replication in draws]
        laws = [it.law(case.family.member(dict(zip(case.family.grids, values, strict=True)), weights))
                for weights in case.family.weights for values in itertools.product(*case.family.grids.values())]
        every = np.concatenate(data)
        starts = np.cumsum([0, *(len(x) for x in data)])
        logs = {}  # members repeat each other's laws often; one evaluation each of those that differ as models
        for law in laws:
            logs.setdefault(it.to_json(law.model), law)
        means = np.array([[-part.mean() for part in np.split(law.log_density(every), starts[1:-1])]
                          for law in logs.values()])
        for t, (f, p) in enumerate(pairs):
            found = it.law(people.result.member(int(f), int(p)))
            assert -found.log_density(data[t]).mean() == pytest.approx(means[:, t].min(), abs=1e-9)
            own = -truth.log_density(data[t]).mean()
            assert gains[t] == pytest.approx(own - means[:, t].min(), abs=max(1e-9, doubts[t]))
            # The truth's class is right exactly when nothing beats the truth.
            assert ((int(f), int(p)) in people.same_law) == (own - means[:, t].min() < 1e-9)


def test_recovery_of_an_easy_truth_tends_to_one(finished):
    rates = [item["rate"] for item in result(finished, "line-noise-1over8.json")["outcomes"]]
    assert rates == sorted(rates)
    assert rates[-1] == 1
    predicted = result(finished, "line-noise-1over8.json")["outcomes"][-1]["predicted_error"]
    assert predicted["max_rival"] <= predicted["union"] < 0.01


def test_a_fold_leaves_the_class_open(finished):
    fold = result(finished, "fold-noise-1over2.json")
    assert fold["verdict"] == "INEQUIVALENT"
    assert not fold["weakly_injective"]
    last = fold["outcomes"][-1]
    assert last["affine_rate"] == pytest.approx(last["rate"] * fold["affine_share_of_ties"], rel=1e-5)
    assert fold["affine_share_of_ties"] < 1


def test_rivals_have_the_moments_of_their_laws(finished):
    for name in ("line-noise-1over8.json", "fold-noise-1over2.json"):
        item = result(finished, name)
        truth = it.law(it.loads(json.dumps(item["settings"]["truth"]), "json"))
        rival = it.law(it.loads(json.dumps(item["runner_up"]["model"]), "json"))
        assert item["runner_up"]["kl"] == pytest.approx(truth.kl(rival).value, rel=1e-5)
        x = truth.sample(200_000, np.random.default_rng(0))
        assert item["runner_up"]["sd"] == pytest.approx((truth.log_density(x) - rival.log_density(x)).std(), rel=0.03)


def test_interval_is_wilsons(experiment):
    low, high = experiment.wilson(8, 10)
    for bound in (low, high):  # where the score test just fails to reject
        assert abs(0.8 - bound) == pytest.approx(1.959964 * (bound * (1 - bound) / 10) ** 0.5, rel=1e-6)
    assert experiment.wilson(0, 10)[0] == 0
    assert experiment.wilson(10, 10)[1] == 1


def test_it_goes_on_where_it_stopped(finished):
    kept, lost = (finished / "results" / name for name in ("line-noise-1over8.json", "fold-noise-1over2.json"))
    text, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.write_bytes(text[:100])  # no result
    (finished / "config.toml").write_text(CONFIG.replace("batch_sets = 25", "batch_sets = 40"))
    assert "1 of 2 truths to compute" in run(finished)
    assert lost.read_bytes() == text  # neither the kill nor other batches matter
    assert kept.stat().st_mtime_ns == stamp
    assert not list((finished / "results").glob("*.part"))
