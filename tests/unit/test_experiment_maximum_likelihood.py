"""The experiment runs on a tiny family, and what it has stored agrees with the library."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

import ident_theory as it
from ident_theory.laws.identity import Relation, compare

HERE = Path(__file__).resolve().parents[2] / "experiments" / "maximum_likelihood"
TINY = """
[template]
prior = {weights = ["1/2", "1/2"], means = [0, 0], covariances = [1, 1]}
decoder = {type = "relu_network", weights = [[[1], [1]], [[1, 1]]], biases = [[0, 0], [0]]}
noise = {type = "gaussian", std = "1/4"}

[families.tiny]
entries = [-1, 0, 1]
simplex = 3

[families.small]
entries = [-1, 0, 1]
means = [-2, -1, 0, 1, 2]
simplex = 4

[draw]
truths = 5
components = [2]
seed = 3

[share]
exact = ["small"]
"""


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, HERE / "run.py", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(TINY)
    return path


def stored(name: str) -> dict:
    return json.loads((HERE / "results" / f"{name}.json").read_text())


def model(given: dict) -> it.Model:
    zeros = [0] * len(given["alpha"])
    prior = it.GaussianMixture(given["weights"], given["means"], [1] * len(given["means"]))
    decoder = it.ReLUNetwork([[[b] for b in given["beta"]], [given["alpha"]]], [given["pi"], zeros[:1]])
    return it.Model(prior, decoder, it.GaussianNoise("1/4"))


def test_tiny_run_resumes_and_writes_what_it_found(config, tmp_path):
    arguments = ("tiny", "--config", config, "--results", tmp_path, "--store", tmp_path / "store")
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    report = json.loads((tmp_path / "tiny.json").read_text())
    assert report["size"]["parameter points"] == 4 * 3**2 * 3**6
    assert report["size"]["error bound"] <= 1e-10
    assert report["summary"]["counts"]["all"]["truths"] == len(report["truths"]) == 5
    for truth in report["truths"]:
        same = truth["classes"][0]
        assert same["relation"] == "SAME"
        assert compare(model(truth["truth"]), model(same["member"])).relation is Relation.SAME
        assert truth["explained"]
        for item in truth["classes"]:
            assert compare(model(truth["truth"]), model(item["member"])).relation.name == item["relation"]
    assert first.stdout.strip() == (tmp_path / "tiny.md").read_text().strip()

    second = run(*arguments)
    assert second.returncode == 0, second.stderr
    assert json.loads((tmp_path / "tiny.json").read_text())["truths"] == report["truths"]


def test_exact_share_on_the_small_family_is_the_stored_one(config, tmp_path):
    config.write_text(TINY.replace('weights = ["1/2", "1/2"], means = [0, 0], covariances = [1, 1]',
                                   'weights = ["1/3", "1/3", "1/3"], means = [0, 0, 0], covariances = [1, 1, 1]')
                      .replace("components = [2]", "components = [2, 3]"))
    found = run("share", "--config", config, "--results", tmp_path)
    assert found.returncode == 0, found.stderr
    new, old = json.loads((tmp_path / "share.json").read_text())["exact"]["small"], stored("share")["exact"]["small"]
    assert {**new, "seconds": 0} == {**old, "seconds": 0}
    # Counted before by another program: 7,345 pairs; 5.5% with two components, 6.3% with three.
    assert new["pairs"] == 7345
    assert new["components"]["2"]["share_among_j"] == pytest.approx(0.055, abs=5e-4)
    assert new["components"]["3"]["share"] == pytest.approx(0.063, abs=6e-4)


def test_stored_witnesses_have_equal_laws_and_are_not_equivalent():
    for item in stored("share")["exact"].values():
        assert len(item["witnesses"]) >= 5
        assert item["exceptions_to_theorem"] == 0
        for a, b in item["witnesses"]:
            assert compare(model(a), model(b)).relation is Relation.LAW


def test_stored_numbers_fit_together():
    share, coarse = stored("share"), stored("coarse")
    exact, sample = share["exact"]["coarse"], share["sample"]
    low, high = sample["share_interval_95"]
    assert low <= exact["share_of_draws"] <= high
    assert sample["not_explained"] == 0
    assert coarse["size"]["pairs"] == exact["pairs"] == 176215
    assert coarse["size"]["parameter points"] == exact["parameter_points"] == 29296875
    assert coarse["summary"]["exact"]["share_of_draws"] == exact["share_of_draws"]
    for row in exact["components"].values():
        assert Fraction(row["inequivalent"], row["not_constant"]) == pytest.approx(row["share"])
    assert len(coarse["truths"]) == 50
    assert all(truth["explained"] for truth in coarse["truths"])
