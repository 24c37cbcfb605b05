"""The command train: what it prints and writes, how it goes on, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ident_theory as it  # noqa: E402
from ident_theory.estimators import fit, load_fit  # noqa: E402
from ident_theory.examples import example_text  # noqa: E402

TINY = ("ivae", "--data", "tcl", "--data-set", "segments=5", "--data-set", "samples=40", "--data-set", "latent_dim=2",
        "--set", "hidden=6", "--runs", "3", "--steps", "30")


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def train(run):
    return lambda *words: run("train", *words)


def written(name="out.json"):
    return json.loads(Path(name).read_text())


def table(text):
    """Rows of the table of runs: number, seed, score, held-out score, strong and weak MCC, mark."""
    return [line.split() for line in text.splitlines() if re.match(r"\s*\d+ +\d+ +-?\d", line)]


def test_a_training_with_everything(train, run):
    words = [word.replace("latent_dim=2", "latent_dim=1").replace("hidden=6", "hidden=3") for word in TINY]
    code, out, err = train(*words, "--out", "a", "--json", "out.json", "--figure", "a.png", "--check")
    assert (code, err) == (0, "")
    tree = written()
    rows = table(out)
    assert sorted(int(row[0]) for row in rows) == [0, 1, 2]
    assert rows[0][-1] == "best"
    scores = [float(row[2]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    runs = tree["evaluation"]["runs"]
    assert [run_["chosen"] for run_ in runs].count(True) == 2
    for name in ("FastICA of x", "independent noise", "x itself"):
        assert name in out
    assert "ivae.L" in out
    assert "no theorem" in out or "identified" in out
    assert Path("a.png").read_bytes()[:4] == b"\x89PNG"
    # the files hold what was trained
    stored = load_fit("a")
    assert stored.best.number == tree["evaluation"]["best"]
    model = it.load("a/model.json")
    assert model.plain() == stored.best.model().plain()
    latents = {path.name: np.load(path) for path in Path("a").glob("*.npz")}
    assert sorted(latents) == ["latents.npz", "run-000.npz", "run-001.npz", "run-002.npz"]
    for arrays in latents.values():
        assert arrays["z"].shape == arrays["truth"].shape == (20, 1)
        assert arrays["labels"].shape == (20,)
    best = tree["evaluation"]["best"]
    assert np.array_equal(latents["latents.npz"]["z"], latents[f"run-{best:03d}.npz"]["z"])
    code, aligned, _ = run("align", *sorted(Path("a").glob("run-*.npz")))
    assert code == 0
    assert "3 pairs" in aligned
    assert "exact log-likelihood" in out
    assert tree["model"]["beside"]["gap"] > -4 * tree["model"]["beside"]["gap_error"]  # the ELBO is a lower bound


def test_the_same_as_the_library(train):
    assert train(*TINY, "--out", "a", "--json", "out.json", "--seed", "4", "--data-seed", "7")[0] == 0
    data = it.data.generate("tcl", np.random.default_rng(7), segments=5, samples=40, latent_dim=2)
    training, held = data.split(0.1, np.random.default_rng([7, 1]))
    found = fit("ivae", training, runs=3, seed=4, hidden=6, steps=30)
    assert [run["score"] for run in written()["evaluation"]["runs"]] == pytest.approx(found.scores.tolist(), abs=1e-6)
    assert np.load("a/latents.npz")["truth"].tolist() == held.z.tolist()
    assert found.seeds == (4, 5, 6)


def test_the_same_command_evaluates_again_only(train):
    first = train(*TINY, "--out", "a", "--json", "one.json")
    stamp = Path("a/log.jsonl").read_text()
    second = train(*TINY, "--out", "a", "--json", "two.json")
    assert first[0] == second[0] == 0
    assert Path("a/log.jsonl").read_text() == stamp
    assert written("one.json")["evaluation"] == written("two.json")["evaluation"]


def test_fewer_runs_afresh_leave_no_latents_of_the_others(train):
    train(*TINY, "--out", "a")
    code, _, err = train(*TINY[:-4], "--runs", "2", "--steps", "30", "--out", "a")
    assert code == 2
    assert "another training" in err
    assert "--no-resume" in err
    assert Path("a/run-002.npz").exists()
    assert train(*TINY[:-4], "--runs", "2", "--steps", "30", "--out", "a", "--no-resume")[0] == 0
    assert not Path("a/run-002.npz").exists()


def test_options_go_before_the_preset(train):
    code, out, _ = train("--preset", "khemakhem2019", "--data-set", "segments=6", "--data-set", "samples=30",
                         "--runs", "2", "--epochs", "1", "--set", "hidden=5", "--batch-size", "30",
                         "--learning-rate", "0.01,0.001", "--out", "a", "--json", "out.json")
    assert code == 0
    tree = written()
    assert tree["preset"] == "khemakhem2019"
    assert tree["estimator"]["name"] == "ivae"
    assert (tree["estimator"]["hidden"], tree["estimator"]["batch_size"]) == (5, 30)
    assert tree["estimator"]["learning_rate"] == [0.01, 0.001]
    assert tree["data"]["conditions"] == 6
    assert tree["data"]["latent_dim"] == 5
    assert tree["steps"] == [162 // 30]
    assert "preset khemakhem2019" in out
    assert "reported: ivae" in out


def test_settings_with_a_value_a_run(train):
    code, _, _ = train("beta-vae", *TINY[1:7], "--set", "hidden=4", "--set", "beta=1,2", "--runs", "2", "--steps", "5",
                       "--data-set", "latent_dim=2", "--out", "a", "--json", "out.json")
    assert code == 0
    assert written()["estimator"]["beta"] == [1, 2]


def test_settings_with_a_schedule(train):
    words = ("vae", *TINY[1:7], "--steps", "5", "--runs", "1", "--set")
    for number, (text, kind) in enumerate((("cosine", "Cosine"), ("plateau:7", "Plateau"), ("steps:0.5,0.8", "Steps"),
                                           ("constant", "Constant"))):
        assert train(*words, f"schedule={text}", "--out", f"s{number}", "--json", "out.json")[0] == 0
        assert written()["estimator"]["schedule"]["type"] == kind


def test_data_of_a_file(train):
    rng = np.random.default_rng(0)
    u = np.arange(200) % 4
    x = rng.normal(size=(200, 3)) * (1 + u[:, None])
    np.savez("mine.npz", x=x, u=u)
    np.savetxt("mine.csv", x, delimiter=",")
    it.data.Dataset(x, u, x[:, :2]).save("saved.npz")
    code, out, _ = train("ivae", "--data", "mine.npz", "--steps", "5", "--runs", "3", "--out", "a", "--json",
                         "out.json")
    assert code == 0
    assert "runs with each other" in out
    assert "MCC strong" not in out
    assert written()["evaluation"]["pairs"]["strong"]["n_pairs"] == 3
    code, out, _ = train("ivae", "--data", "saved.npz", "--steps", "5", "--runs", "1", "--out", "b")
    assert code == 0
    assert "2 true latents" in out
    assert train("vae", "--data", "mine.csv", "--steps", "5", "--runs", "2", "--out", "c")[0] == 0


def test_data_of_a_model(train):
    Path("model.toml").write_text(example_text("absolute_value"))
    code, out, err = train("vae", "--data", "model.toml", "--data-set", "size=120", "--steps", "5", "--runs", "2",
                           "--out", "a")
    assert (code, err) == (0, "")
    assert "108 observations" in out
    assert train("vae", "--data", "sampled", "--data-set", "model=model.toml", "--data-set", "size=60", "--steps", "5",
                 "--runs", "1", "--out", "b")[0] == 0


def test_in_sample_where_nothing_is_held_out(train):
    code, out, _ = train(*TINY, "--held-out", "0", "--out", "a")
    assert code == 0
    assert "in sample" in out
    assert "none held out" in out


def test_all_runs_failed(train):
    Path("a").mkdir()
    code, out, _ = train(*TINY, "--learning-rate", "1e30", "--out", "a", "--figure", "a.png")
    assert code == 1
    assert "all runs failed" in out
    assert not Path("a/model.json").exists()
    assert Path("a.png").exists()


def test_few_conditions_are_a_note(train):
    code, _, err = train("ivae", "--data", "tcl", "--data-set", "segments=2", "--data-set", "samples=40", "--data-set",
                         "latent_dim=2", "--steps", "5", "--runs", "1", "--out", "a")
    assert code == 0
    assert err.startswith("note: IVAE: 2 conditions for 2 latents: condition ivae.L")


def test_the_list(train):
    code, out, _ = train("--list")
    assert code == 0
    for word in ("ivae-gan", "exact-ml", "parallelograms", "khemakhem2019", "willetts2021"):
        assert word in out
    assert ":math:" not in out


@pytest.mark.parametrize(("words", "message"), [
    ((), "expected the name of an estimator or --preset"),
    (("ivae",), "expected --data NAME or FILE"),
    (("ivea", "--data", "tcl"), "did you mean 'ivae'"),
    (("ivae", "--data", "tlc"), "did you mean tcl"),
    (("ivae", "--data", "missing.npz"), "missing.npz"),
    (("ivae", "--preset", "khemakem2019"), "did you mean 'khemakhem2019'"),
    (("ivae", "--data", "tcl", "--data-set", "segmnts=4"), "did you mean segments"),
    (("ivae", "--data", "tcl", "--data-set", "segments=four"), "a whole number"),
    (("ivae", "--data", "tcl", "--data-set", "segments"), "--data-set: expected KEY=VALUE"),
    (("ivae", "--data", "tcl", "--set", "hiden=4"), "did you mean hidden"),
    (("ivae", "--data", "tcl", "--set", "hidden=4.5"), "ivae: hidden: expected a whole number, found '4.5'"),
    (("ivae", "--data", "tcl", "--set", "hidden=4", "--set", "hidden=5"), "expected hidden once"),
    (("ivae", "--data", "tcl", "--set", "noise_std=wide"), "a number"),
    (("ivae", "--data", "tcl", "--set", "schedule=steps:2"), "schedule: expected constant"),
    (("ivae", "--data", "tcl", "--learning-rate", "fast"), "learning_rate: expected a number"),
    (("ivae", "--data", "tcl", "--learning-rate", "-1"), "> 0"),
    (("ivae", *TINY[1:9], "--learning-rate", "0.1,0.2", "--runs", "3"), "one number or 3"),
    (("ivae", *TINY[1:9], "--held-out", "1"), "--held-out"),
    (("ivae", *TINY[1:9], "--held-out", "nan"), "--held-out"),
    (("ivae", *TINY[1:9], "--device", "tpu9"), "device"),
    (("ivae", *TINY[1:9], "--device", "cuda:77"), "device"),
    (("ivae", *TINY[1:9], "--device", "meta"), "device"),
    (("ivae", *TINY[1:9], "--set", "schedule=plateau:-1"), "found 'plateau:-1'"),
    (("vae", *TINY[1:9], "--set", "observation=bernoulli"), "expected x in [0, 1]"),
    (("exact-ml", *TINY[1:9], "--precision", "float32"), "expected 'float64'"),
    (("ivae", *TINY[1:9], "--precision", "float8"), "precision"),
    (("ivae", *TINY[1:9], "--steps", "3", "--epochs", "3"), "steps or epochs"),
    (("ivae", *TINY[1:9], "--runs", "0"), "--runs"),
    (("ivae", "--data", "tcl", "--data-dir", "here"), "--data-dir: belongs to --data idx"),
    (("ivae", "--data", "idx", "--data-dir", "here"), "expected a folder"),
    (("ivae", "--data", "sampled"), "a value of model"),
    (("ivae", "--data", "sampled", "--data-set", "model=no.toml"), "no.toml"),
    (("ivae", "--data", "pinwheel"), "expected conditions u"),
    (("ivae", *TINY[1:9], "--figure", "a.gif"), "--figure"),
])
def test_wrong_words(train, words, message):
    code, out, err = train(*words, "--out", "a")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("a").exists()


@pytest.mark.parametrize("words", [
    ("--data", "own.json", "--json", "own.json"),
    ("--data", "sampled", "--data-set", "model=own.json", "--json", "own.json"),
    ("--data", "own.json", "--json", "a/model.json"),
    ("--data", "own.json", "--json", "folder/../a/log.jsonl"),
])
def test_reports_replace_neither_inputs_nor_results(train, words):
    own = it.to_json(it.load_example("relu"))
    Path("own.json").write_text(own)
    Path("folder").mkdir()
    code, _, err = train("vae", *words, "--steps", "2", "--out", "a")
    assert (code, "would replace" in err) == (2, True)
    assert Path("own.json").read_text() == own
    assert not Path("a").exists()


def test_bad_input_leaves_the_log_of_a_training(train):
    train(*TINY, "--out", "a")
    before = {file.name: file.read_bytes() for file in Path("a").iterdir()}
    words = [word.replace("ivae", "vae") for word in TINY]
    assert train(*words, "--set", "observation=bernoulli", "--no-resume", "--out", "a")[0] == 2
    assert {file.name: file.read_bytes() for file in Path("a").iterdir()} == before


def test_another_training_in_the_folder_differs_by_name(train):
    train(*TINY, "--out", "a")
    code, _, err = train(*TINY, "--set", "layers=2", "--out", "a")
    assert code == 2
    assert err.splitlines()[1:] == ["  - estimator.layers: stored 3, asked for 2"]


def test_stopped_by_ctrl_c(train, monkeypatch):
    from ident_theory.estimators import training

    monkeypatch.setattr(training.Training, "run", lambda *_: signal.raise_signal(signal.SIGINT))
    code, out, err = train(*TINY, "--out", "a")
    assert (code, out) == (130, "")
    assert err == "ident-theory: stopped; the same command goes on from the start: no checkpoint yet in a\n"
    monkeypatch.undo()


def _npz(**arrays):
    np.savez("bad.npz", **arrays)


def _torn():
    _npz(x=np.zeros((9, 2)))
    Path("bad.npz").write_bytes(Path("bad.npz").read_bytes()[:60])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Path("bad.npz").write_text("no numbers"), "bad.npz"),
    (_torn, "bad.npz"),
    (lambda: _npz(y=np.zeros((9, 2))), "expected an array 'x'"),
    (lambda: _npz(x=np.zeros((40, 2)), u=np.zeros(7, dtype=int)), "40"),
    (lambda: _npz(x=np.zeros((40, 2)), u=np.linspace(0, 1, 40)), "whole numbers"),
    (lambda: _npz(x=np.where(np.arange(80).reshape(40, 2) == 3, np.nan, 0.0), u=np.arange(40) % 3), "finite"),
    (lambda: _npz(x=np.zeros((90, 2)), u=np.zeros(90, dtype=int)), "found one only"),
    (lambda: _npz(x=np.zeros((90, 2))), "expected conditions u"),
    (lambda: _npz(x=np.zeros((4, 2)), u=[0, 0, 0, 1]), "at least two rows of each condition"),
    (lambda: _npz(x=np.random.default_rng(0).normal(size=(40, 30)), u=np.arange(40) % 2), "at least 60 held-out"),
])
def test_wrong_data(train, make, message):
    make()
    code, out, err = train("ivae", "--data", "bad.npz", "--steps", "3", "--out", "a")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("a").exists()


def test_wrong_folders(train):
    Path("file").write_text("mine")
    assert "it is" in train(*TINY, "--out", "file")[2] or "is a file" in train(*TINY, "--out", "file")[2]
    assert Path("file").read_text() == "mine"
    Path("a").mkdir()
    np.savez("a/run-000.npz", x=np.zeros((30, 2)))
    code, _, err = train("vae", "--data", "a/run-000.npz", "--out", "a")
    assert code == 2
    assert "might replace it" in err
    Path("a/checkpoint.safetensors").write_text("mine")
    assert train(*TINY, "--out", "a")[0] == 2
    assert Path("a/checkpoint.safetensors").read_text() == "mine"


def test_without_torch_the_message_says_what_to_install():
    script = ("import sys; sys.modules['torch'] = None; "
              "sys.argv = ['ident-theory', 'train', 'vae', '--data', 'pinwheel']; "
              "from ident_theory.cli.main import main; main()")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 3
    assert "pip install 'ident_theory[train]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_help_loads_nothing_heavy():
    script = ("import sys; from ident_theory.cli import main; heavy = {'torch', 'sklearn', 'matplotlib', 'scipy'}; "
              "print(sorted(heavy & set(sys.modules)))")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_result(train):
    words = [*TINY[:-1], "6000", "--set", "schedule=constant"]
    command = [sys.executable, "-m", "ident_theory.cli.main", "train", *words, "--out", "a"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    log = Path("a/log.jsonl")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not log.exists() or len(log.read_text().splitlines()) < 3):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(log.read_text().splitlines()) < 100
    assert train(*words, "--out", "a", "--json", "one.json")[0] == 0
    assert train(*words, "--out", "b", "--json", "two.json")[0] == 0
    assert written("one.json")["evaluation"] == written("two.json")["evaluation"]


@pytest.mark.slow
def test_two_processes_of_torchrun_give_what_one_gives():
    words = ["train", *TINY, "--precision", "float64", "--json"]
    alone = subprocess.run([sys.executable, "-m", "ident_theory.cli.main", *words, "one.json", "--out", "a"],
                           capture_output=True, text=True, timeout=200, check=True)
    both = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
                           "ident_theory.cli.main", *words, "two.json", "--out", "b"], capture_output=True, text=True,
                          timeout=200, check=True)
    one, two = (written(name)["evaluation"] for name in ("one.json", "two.json"))
    assert [run["score"] for run in one["runs"]] == pytest.approx([run["score"] for run in two["runs"]], abs=1e-9)
    assert both.stdout.count("MCC strong") == alone.stdout.count("MCC strong") == 1
