"""The command line: what it writes, what it refuses, and how little it imports for --help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ident_theory.cli import main as cli
from ident_theory.landscape import load_landscape

MODEL = """
[prior]
weights = [0.5, 0.5]
means = [-1, 1]
covariances = [0.2, 0.2]
[decoder]
type = "relu_network"
weights = [[[1], [-1]], [[2, 1]]]
biases = [[0, 0], [0]]
[noise]
type = "gaussian"
std = 0.25
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.toml"
    path.write_text(MODEL)
    return path


def test_help_is_quick_and_light():
    script = ("import sys; sys.argv = ['ident-theory', '--help']\n"
              "from ident_theory.cli.main import main\n"
              "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
              "heavy = {'numpy', 'scipy', 'numba', 'torch', 'matplotlib', 'xarray', 'pandas', 'flint', 'pydantic'}\n"
              "print(sorted(heavy & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "landscape" in done.stdout


def test_importing_the_package_is_light_and_its_names_are_there():
    script = ("import sys, ident_theory\nassert not {'numpy', 'torch', 'scipy'} & set(sys.modules)\n"
              "for name in set(ident_theory.__all__) - {'from_torch'}:\n    getattr(ident_theory, name)\n"
              "assert set(ident_theory.__all__) <= set(dir(ident_theory))\n"
              "assert 'torch' not in sys.modules\n"
              "try:\n    ident_theory.nothing\nexcept AttributeError as error:\n    print(error)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "'nothing'" in done.stdout


def test_version():
    result = CliRunner().invoke(cli.app, ["version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("ident-theory 0.")


@pytest.mark.parametrize(("store", "form"), [("nc", "png"), ("json", "svg")])
def test_slices_and_planes_are_drawn_and_stored(model, tmp_path, store, form, run):
    out = tmp_path / "out" / "deep"
    code, printed, error = run("landscape", model, "--slice", "prior.means[0]", "--slice", "noise.std",
        "--plane", "decoder.weights[1][0,1], noise.std", "--range", 0.2, 1.5, "--points", 5, "--out", out,
        "--store", store, "--format", form)
    assert (code, error) == (0, "")
    names = ("prior.means-0", "noise.std", "decoder.weights-1-0-1--noise.std")
    assert {file.name for file in out.iterdir()} == \
        {f"model-{name}.{suffix}" for name in names for suffix in (store, form)}
    assert printed.count("global minimum") >= 3
    assert "excess" in printed
    stored = load_landscape(out / f"model-noise.std.{store}")
    assert stored.global_minima[0].location == (0.25,)
    start = (out / f"model-noise.std.{form}").read_bytes()[:5]
    assert start in (b"\x89PNG\r", b"<?xml")


def test_negative_ranges_data_and_truth(model, tmp_path, run):
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=50))
    files = {".npy": lambda path: np.save(path, x), ".npz": lambda path: np.savez(path, x=x),
             ".csv": lambda path: path.write_text("value\n" + "\n".join(map(str, x))),
             ".txt": lambda path: np.savetxt(path, x)}
    values = []
    for suffix, write in files.items():
        write(tmp_path / f"data{suffix}")
        code, printed, _ = run("landscape", model, "--slice", "prior.means[0]", "--range", -2, -1, "--points", 3,
            "--data", tmp_path / f"data{suffix}", "--truth", model, "--out", tmp_path / suffix, "--store", "json")
        assert code == 0
        assert "truth on the data" in printed
        values.append(json.loads((tmp_path / suffix / "model-prior.means-0.json").read_text())["values"])
    assert np.allclose(values, values[0], rtol=1e-12)


def test_law(model, tmp_path, run):
    code, printed, _ = run("law", model, "--at", -0.5, "--at", "1e3")
    assert code == 0
    for words in ("closed form", "pieces of the decoder: 2", "atoms: none", "entropy: ", "x = -0.5", "x = 1000",
                  "proven to lie in"):
        assert words in printed
    flat = tmp_path / "flat.toml"
    flat.write_text(MODEL.replace("[[2, 1]]", "[[2, 0]]").split("[noise]")[0])
    code, printed, _ = run("law", flat)
    assert code == 0
    assert "atom at 0: probability 0.5" in printed


BAD_MODELS = [
    ("[0.5, 0.5]", "[0.5, 0.6]", "prior.weights: expected weights that sum to 1, found the sum 1.1"),
    ("[0.5, 0.5]", "[]", "prior.weights"),
    ("[0.5, 0.5]", "[nan, 0.5]", "prior.weights[0]: expected a finite number, found NaN"),
    ("[0.5, 0.5]", "[-0.5, 1.5]", "prior.weights[0]: expected a weight >= 0, found -0.5"),
    ("covariances = [0.2, 0.2]", "covariances = [0.2, -0.2]", "prior.covariances[1]: expected a variance >= 0"),
    ("[[2, 1]]", "[[2, 1, 3]]", "decoder.weights[1]: expected 2 columns"),
    ("std = 0.25", "sdt = 0.25", 'unknown key "sdt"; did you mean "std"?'),
    ("std = 0.25", "std = -1", "noise.std: expected a number > 0, found -1.0"),
    ("std = 0.25", "std = ", "line 12, column 7"),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD_MODELS)
def test_bad_models_are_refused_and_nothing_is_written(model, tmp_path, old, new, words, run):
    assert old in MODEL
    model.write_text(MODEL.replace(old, new))
    for command in (["landscape", model, "--slice", "noise.std", "--out", tmp_path / "out"], ["law", model]):
        code, printed, error = run(*command)
        assert (code, printed) == (2, "")
        assert words in error
        assert "Traceback" not in error
    assert [file.name for file in tmp_path.iterdir()] == ["model.toml"]


@pytest.mark.parametrize(("words", "message"), [
    ([], "at least one --slice"),
    (["--slice", "noise.st"], "did you mean noise.std?"),
    (["--slice", "noise.std", "--range", "-1", "1"], "noise.std=-1 gives no model"),
    (["--slice", "noise.std", "--slice", "prior.weights[0]", "--range", "0.5", "2"], "gives no model: prior.weights"),
    (["--slice", "noise.std", "--points", "1"], "points=1"),
    (["--slice", "noise.std", "--range", "nan", "1"], "finite"),
    (["--plane", "noise.std"], "two parameters"),
    (["--plane", "noise.std,noise.std"], "two different"),
    (["--slice", "noise.std", "--data", "absent.npy"], "missing"),
    (["--slice", "noise.std", "--data", "model.toml"], ".npy"),
    (["--slice", "noise.std", "--data", "empty.csv"], "empty"),
    (["--slice", "noise.std", "--data", "words.csv"], "cannot be read"),
    (["--slice", "noise.std", "--data", "two.npz"], "2: a, b"),
    (["--slice", "noise.std", "--data", "nan.npy"], "x[1, 0]=nan"),
    (["--slice", "noise.std", "--data", "wide.npy"], "(4, 2)"),
    (["--slice", "noise.std", "--truth", "absent.toml"], "no such file"),
    (["--slice", "noise.std", "--format", "gif"], "gif"),
    (["--slice", "noise.std", "--out", "model.toml"], "is a file"),
    (["--slices", "noise.std"], "--slices"),
])
def test_bad_options_are_refused_and_nothing_is_written(model, tmp_path, monkeypatch, words, message, run):
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("")
    Path("words.csv").write_text("x\n1\nthree\n")
    np.savez("two.npz", a=[1.0], b=[2.0])
    np.save("nan.npy", [0.0, np.nan])
    np.save("wide.npy", np.zeros((4, 2)))
    before = sorted(Path().iterdir())
    code, _, error = run("landscape", "model.toml", *words)
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert sorted(Path().iterdir()) == before


def test_bad_points_of_a_law(model, run):
    for point in ("abc", "nan", "1,2"):
        code, printed, error = run("law", model, "--at", point)
        assert (code, printed) == (2, "")
        assert point in error


def test_other_settings_need_no_resume(model, tmp_path, run):
    common = ["landscape", model, "--plane", "prior.means[0],noise.std", "--range", 0.5, 1, "--out", tmp_path / "out"]
    assert run(*common, "--points", 3)[0] == 0
    code, _, error = run(*common, "--points", 4)
    assert code == 2
    assert "3 points over [0.5, 1]" in error
    assert "--no-resume" in error
    assert run(*common, "--points", 4, "--no-resume")[0] == 0


def test_what_cannot_be_computed_is_told_apart_from_bad_input(model, tmp_path, run):
    model.write_text("""[prior]
weights = [1]
means = [[0, 0]]
covariances = [[1, 1]]
[decoder]
type = "relu_network"
weights = [[[1, 0], [0, 1], [1, 1]]]
biases = [[0, 0, 0]]
""")
    code, printed, error = run("landscape", model, "--slice", "prior.means[0][0]", "--out",
                               tmp_path / "out")
    assert (code, printed) == (3, "")
    assert "surface" in error
    assert not (tmp_path / "out").exists()


def test_repairs_are_told(model, run):
    """Rounded thirds are divided by their sum, and the user hears of it."""
    model.write_text("""[prior]
weights = [0.3333333333, 0.3333333333, 0.3333333333]
means = [0, 1, 2]
covariances = [1, 1, 1]
[decoder]
type = "piecewise_affine"
breakpoints = []
slopes = [1]
intercepts = [0]
""")
    code, _, error = run("law", model)
    assert code == 0
    assert "repaired: prior.weights: divided by their sum" in error
