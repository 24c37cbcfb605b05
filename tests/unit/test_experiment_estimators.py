"""The experiment on the estimators: every part is well formed, and a short one runs, goes on and is tabulated."""

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from ident_theory.data import generators  # noqa: E402
from ident_theory.estimators import estimator  # noqa: E402
from ident_theory.estimators.recipes import presets  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "estimators"
CONFIG = tomllib.loads((FOLDER / "config.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run_estimators", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CONFIG["parts"])
def test_every_part_names_settings_that_exist(run, name):
    part = CONFIG["parts"][name]
    assert {"preset", "data", "model"} & part.keys()
    assert part.get("preset", "khemakhem2019") in presets()
    assert part.get("data", "digits") in generators()
    for kind in part["estimators"]:
        made = estimator(kind, **run.settings_of(part, kind))
        assert made.steps is None or made.epochs is None
    if "model" in part:
        assert run.known_model(part["model"]).latent_dim in (1, 2)


def test_a_short_part_is_stored_tabulated_and_not_trained_again(run, tmp_path):
    part = {"preset": "khemakhem2019", "runs": 3, "data_settings": {"samples": 20, "segments": 6},
            "estimators": {"ivae": {"steps": 6, "hidden": 4}, "vae": {"steps": 4}}}
    config = {"seed": 0, "data_seed": 1, "held_out": 0.2, "parts": {"short": part}}
    first = run.run_part("short", config, tmp_path)
    stamps = {path: path.read_text() for path in tmp_path.rglob("log.jsonl")}
    assert len(stamps) == 2
    second = run.run_part("short", config, tmp_path)
    assert {path: path.read_text() for path in stamps} == stamps
    assert json.dumps(first["results"]["ivae"]["evaluation"]) == json.dumps(second["results"]["ivae"]["evaluation"])
    rows = run.table([json.loads(json.dumps(first))]).splitlines()
    assert len(rows) == 4
    assert rows[2].startswith("| short | ivae | strong 0.")
    assert "Figure 2a" in rows[2]


def test_a_part_with_a_known_model(run, tmp_path):
    part = {**CONFIG["parts"]["exact-ml-1"], "size": 80, "runs": 1,
            "estimators": {"exact-ml": {"latent_dim": 1, "components": 2, "hidden": 2, "steps": 3}}}
    found = run.run_part("exact", {"seed": 0, "data_seed": 1, "held_out": 0.2, "parts": {"exact": part}}, tmp_path)
    exact = found["results"]["exact-ml"]["exact"]
    assert exact["gap"] == pytest.approx(0, abs=1e-9)  # its score is the exact likelihood
    assert found["truth"] > exact["log_likelihood"]  # after three steps
    assert "of the truth" in run.table([found])
