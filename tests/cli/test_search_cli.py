"""The commands search and minimisers: every option, every refusal, resuming, shards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ident_theory.cli import main as cli
from ident_theory.cli.common import progress
from ident_theory.landscape import exhaustive, load_search
from ident_theory.landscape.tiles import TileStore
from ident_theory.laws.identity import Relation, compare
from ident_theory.spec import load, to_json

ROOT = Path(__file__).resolve().parents[2]
FAMILY = """
[prior]
weights = [0.5, 0.5]
means = [-1, 1]
covariances = [1, 1]
[decoder]
type = "relu_network"
weights = [[[1], [-1]], [[1, 1]]]
biases = [[0, 0], [0]]
[noise]
type = "gaussian"
std = 0.5
[vary]
"prior.weights" = {simplex = 2}
"prior.means" = [-1, 0, 1]
"decoder.weights[1]" = [-1, 0, 1]
"""
#: The template: |z|, whose law has several priors.
TRUTH = FAMILY.split("[vary]")[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("family.toml").write_text(FAMILY)
    Path("truth.toml").write_text(TRUTH)
    return tmp_path


@pytest.fixture
def small_tiles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four functions, one a tile: 0, both rectifiers, and the absolute value."""
    monkeypatch.setattr(exhaustive, "TILE_SECONDS", 0.0)
    Path("family.toml").write_text(FAMILY.replace('weights[1]" = [-1, 0, 1]', 'weights[1]" = [0, 1]'))


def test_a_search_prints_stores_and_draws(run):
    np.save("x.npy", np.abs(np.random.default_rng(0).normal(size=30)))
    code, out, err = run("search", "family.toml", "--truths", 2, "--seed", 3, "--truth", "truth.toml",
                         "--data", "x.npy")
    assert code == 0
    assert "inequivalent" in out
    assert "target 2: truth.toml" in err
    assert "target 3: x.npy" in err
    assert sorted(p.name for p in Path("search").iterdir()) == ["family.json", "family.png", "family.zarr"]
    report = json.loads(Path("search/family.json").read_text())
    result = load_search("search/family.zarr")
    assert report["points"] == result.settings.family.size
    assert report["truths"][2]["raw"] == result.minimisers(2).raw
    for truth in report["truths"]:
        runner_up = result.minimisers(truth["index"]).local_minima.runner_up
        assert truth["runner_up"] == (None if runner_up is None else runner_up[2])
    assert report["data"][0]["value"] == result.best[:, 3].min()
    rng = np.random.default_rng(3)
    assert [result.settings.targets[i] for i in range(2)] == [result.settings.family.draw(rng) for _ in range(2)]


def test_the_printed_witness_can_be_pasted(run):
    _, out, _ = run("search", "family.toml", "--truth", "truth.toml")
    section = out.split("# truth 0:")[1].split("\n\n")[0]
    for name, part in zip(("one", "other"), section.split("# other:"), strict=True):
        Path(f"{name}.toml").write_text(part.split("\n", 1)[1])
    assert compare(load("one.toml"), load("other.toml")).relation is Relation.LAW


def test_every_setting_arrives(run):
    code, out, _ = run("search", "family.toml", "--truth", "truth.toml", "--out", "deep/out", "--tolerance", 1e-6,
                       "--no-keep", "--format", "svg")
    assert code == 0
    assert ">=" in out
    assert Path("deep/out/family.svg").read_bytes().startswith(b"<?xml")
    settings = load_search("deep/out/family.zarr").settings
    assert (settings.tolerance, settings.near, settings.keep) == (1e-6, 2e-6, False)
    run("search", "family.toml", "--truth", "truth.toml", "--out", "b", "--near", 1e-5, "--keep")
    settings = load_search("b/family.zarr").settings
    assert (settings.tolerance, settings.near, settings.keep) == (1e-10, 1e-5, True)


def test_worker_processes_give_the_same(run, small_tiles):
    words = ("search", "family.toml", "--truth", "truth.toml")
    assert run(*words, "--out", "one")[0] == 0
    code, _, err = run(*words, "--out", "two", "--jobs", 2)
    assert (code, "Traceback" in err) == (0, False)
    assert Path("one/family.json").read_text() == Path("two/family.json").read_text()


def test_shards_meet_in_one_store(run, small_tiles):
    words = ("search", "family.toml", "--truth", "truth.toml", "--out", "out")
    code, out, _ = run(*words, "--shard", "0/2")
    assert code == 0
    tiles = TileStore.open("out/family.zarr")
    assert "2 of 4 tiles of out/family.zarr are done" in out
    assert tiles.done.tolist() == [True, False] * 2
    assert not Path("out/family.json").exists()
    code, _, err = run("minimisers", "out/family.zarr")
    assert (code, "are open" in err) == (2, True)
    code, out, _ = run(*words, "--shard", "1/2")
    assert code == 0
    assert "inequivalent" in out
    assert run("search", "family.toml", "--truth", "truth.toml", "--out", "whole")[0] == 0
    assert Path("out/family.json").read_text() == Path("whole/family.json").read_text()


def test_an_interrupted_search_goes_on(run, small_tiles, monkeypatch):
    words = ("search", "family.toml", "--truth", "truth.toml", "--out", "out")
    proper, done = exhaustive._fill_tile, []

    def fill(path: str, device: str, tile: int):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(tile)
        return proper(path, device, tile)

    monkeypatch.setattr(exhaustive, "_fill_tile", fill)
    monkeypatch.setattr("sys.argv", ["ident-theory", *words])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        cli.main()
    assert TileStore.open("out/family.zarr").done.sum() == 3
    later: list[int] = []
    monkeypatch.setattr(exhaustive, "_fill_tile", lambda *a: (later.append(a[2]), proper(*a))[1])
    assert run(*words)[0] == 0
    assert not set(done) & set(later)
    count = len(later)
    assert run(*words)[0] == 0
    assert len(later) == count
    assert run(*words, "--no-resume")[0] == 0
    assert len(later) == 2 * count + len(done)


def test_minimisers_report_again(run):
    _, first, _ = run("search", "family.toml", "--truths", 3, "--truth", "truth.toml", "--out", "out")
    code, again, _ = run("minimisers", "out/family.zarr", "--json", "again.json")
    assert code == 0
    assert again.split("reported in")[0].strip() == first.split("stored in")[0].strip()
    assert Path("again.json").read_text() == Path("out/family.json").read_text()
    code, out, _ = run("minimisers", "out/family.zarr", "--truth", 3, "--json", "three.json")
    assert code == 0
    assert [t["index"] for t in json.loads(Path("three.json").read_text())["truths"]] == [3]
    assert "of 1 truths" in out
    for words, message in ((("--truth", 4), "from 0 to 3, got 4"), (("--json", "out"), "is a folder")):
        code, out, err = run("minimisers", "out/family.zarr", *words)
        assert (code, out) == (2, "")
        assert message in err
    code, _, err = run("minimisers", "absent.zarr")
    assert (code, "found none" in err) == (2, True)


BAD_FAMILIES = [
    ('"prior.means" = [-1, 0, 1]', '"prior.means" = []', "non-empty list"),
    ('"prior.means" = [-1, 0, 1]', '"prior.means" = [0, nan]', "NaN"),
    ('"prior.means" = [-1, 0, 1]', '"prior.maens" = [0, 1]', "prior.means"),
    ("simplex = 2", "simplex = 0", "k >= 1"),
    ("[vary]", "[very]", "very"),
    (FAMILY[FAMILY.index("[vary]"):], "", "a section with parameter paths"),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD_FAMILIES)
def test_bad_families_are_refused(run, folder, old, new, words):
    assert old in FAMILY
    Path("family.toml").write_text(FAMILY.replace(old, new))
    code, out, err = run("search", "family.toml", "--truths", 1)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert sorted(p.name for p in folder.iterdir()) == ["family.toml", "truth.toml"]


@pytest.mark.parametrize(("words", "message"), [
    ([], "at least one of --truths N, --truth MODEL and --data FILE"),
    (["--truths", "-1"], "--truths"),
    (["--truth", "absent.toml"], "no such file"),
    (["--truth", "family.toml"], "vary"),
    (["--truth", "noisy.toml"], "noise of the family"),
    (["--data", "absent.npy"], "missing"),
    (["--data", "nan.npy"], "NaN"),
    (["--data", "wide.npy"], "(4, 2)"),
    (["--truths", "1", "--tolerance", "nan"], "tolerance between"),
    (["--truths", "1", "--near", "1e-12"], "near >= 2 * tolerance"),
    (["--truths", "1", "--shard", "3/2"], "0 <= i < n"),
    (["--truths", "1", "--shard", "0/2", "--no-resume"], "without --shard"),
    (["--truths", "1", "--jobs", "0"], "jobs: expected at least 1"),
    (["--truths", "1", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"], "1 with a scheduler"),
    (["--truths", "1", "--device", "tpu"], "tpu"),
    (["--truths", "1", "--format", "gif"], "gif"),
    (["--truths", "1", "--out", "truth.toml"], "is a file"),
    (["--truths", "1", "--out", "full"], "found none"),
])
def test_bad_options_are_refused_and_nothing_is_written(run, folder, words, message):
    np.save("nan.npy", [0.0, np.nan])
    np.save("wide.npy", np.zeros((4, 2)))
    Path("noisy.toml").write_text(TRUTH.replace("0.5\n", "0.25\n"))
    Path("full/family.zarr").mkdir(parents=True)
    Path("full/family.zarr/mine").write_text("kept")
    before = sorted(folder.rglob("*"))
    code, out, err = run("search", "family.toml", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert sorted(folder.rglob("*")) == before


def test_missing_family(run):
    code, _, err = run("search", "absent.toml", "--truths", 1)
    assert (code, "no such file" in err) == (2, True)


def test_results_never_replace_what_they_come_from(run):
    from ident_theory.landscape import load_family

    Path("own.json").write_text(json.dumps(load_family("family.toml").to_dict()))
    kept = Path("own.json").read_text()
    code, _, err = run("search", "own.json", "--truths", 1, "--out", ".")
    assert (code, "would replace own.json" in err) == (2, True)
    assert Path("own.json").read_text() == kept
    assert not Path("own.zarr").exists()
    assert run("search", "own.json", "--truths", 1)[0] == 0


def test_a_store_of_other_settings_is_refused(run):
    assert run("search", "family.toml", "--truths", 1, "--out", "out")[0] == 0
    Path("family.toml").write_text(FAMILY.replace("[-1, 0, 1]", "[-1, 0]", 1))
    before = Path("out/family.json").read_bytes()
    code, _, err = run("search", "family.toml", "--truths", 1, "--out", "out")
    assert code == 2
    assert "family.vary.prior.means[0]" in err
    assert "--no-resume" in err
    assert Path("out/family.json").read_bytes() == before
    assert run("search", "family.toml", "--truths", 1, "--out", "out", "--no-resume")[0] == 0


def test_a_scheduler_that_is_not_there(run, folder):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    with dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}):
        code, out, err = run("search", "family.toml", "--truths", 1, "--scheduler", "tcp://127.0.0.1:1")
    assert (code, out) == (2, "")
    assert "no dask scheduler answers" in err
    assert not (folder / "search").exists()


def test_what_cannot_be_computed_has_another_exit_code(run):
    Path("family.toml").write_text(FAMILY.replace('type = "gaussian"\nstd', 'type = "laplace"\nscale'))
    code, _, err = run("search", "family.toml", "--truths", 1)
    assert (code, "Gaussian noise" in err) == (3, True)


def test_the_example_family_is_read_and_searched(run):
    file = ROOT / "experiments/demo/family.toml"
    code, out, _ = run("search", file, "--truths", 1, "--no-keep", "--tolerance", 1e-4)
    assert code == 0
    assert "29,296,875" in out
    assert "2,711 functions x 65 priors" in out


def test_progress_on_a_terminal_only(monkeypatch, capsys):
    def show() -> str:
        with progress("members", lambda what, speed: f"{what} at full speed") as step:
            for what in ("nodes", "tiles"):
                for done in (2, 1, 3):  # threads may report out of order
                    step(what, done, 3)
        return capsys.readouterr().err

    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    assert show() == ""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", show())
    for words in ("nodes", "tiles", "3/3"):
        assert words in shown


def test_progress_of_a_search_counts_parameter_points(run, small_tiles, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "140")
    code, _, err = run("search", "family.toml", "--truth", "truth.toml")
    assert code == 0
    assert "parameter points/s" in err


def test_a_model_of_the_truth_prints_as_json(run):
    Path("truth.json").write_text(to_json(load("truth.toml")))
    assert run("search", "family.toml", "--truth", "truth.json")[0] == 0
