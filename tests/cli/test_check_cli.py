"""The commands check, verify and example: exit codes, files, and what they refuse."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from ident_theory.cli.check import parse_budget, parse_equivalence
from ident_theory.conditions.check import check
from ident_theory.errors import InputError
from ident_theory.examples import example_names, example_text, load_example
from ident_theory.report.check_text import finding_table

UNDECIDABLE_IN_NO_TIME = """
[prior]
weights = [1]
means = [[0, 0]]
covariances = [[1, 1]]
[decoder]
type = "relu_network"
weights = {weights}
biases = {biases}
"""


@pytest.fixture
def model(tmp_path):
    def write(name: str) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(example_text(name))
        return path

    return write


def test_an_identified_model(run, model, tmp_path):
    out = tmp_path / "deep" / "report.json"
    code, text, err = run("check", model("vanilla_vae"), "--json", out)
    assert (code, err) == (0, "")
    assert text.splitlines()[0].split() == ["condition", "status", "evidence", "reason"]
    assert "decoder f: identified up to an orthogonal map of z (among models with the standard normal prior) - " \
        "kivva.sec3.4.vae, evidence exact" in " ".join(text.split())
    assert f"ident-theory verify {out}" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()[:-1] if not line.startswith("  decoder = {")) <= 120
    code, text, _ = run("verify", out)
    assert code == 0
    assert "REJECTED" not in text
    assert text.splitlines()[-1].endswith("accepted")
    assert [item.name for item in out.parent.iterdir()] == ["report.json"], "no temporary file is left"


def test_a_model_that_is_not(run, model):
    code, text, _ = run("check", model("absolute_value"))
    assert code == 1
    assert "law of the latent, P(Z): no theorem applies" in text
    assert "another model with the same law of x" in text
    assert 'decoder = {"' not in text
    assert 'decoder = {type = "relu_network"' in text


def test_the_second_model_can_be_pasted(run, model, tmp_path):
    _, text, _ = run("check", model("remark36_p"))
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  prior = {"))
    pasted = tmp_path / "second.toml"
    pasted.write_text("\n".join(line.strip() for line in lines[start:start + 3]))
    assert run("check", pasted)[0] == 1


@pytest.mark.parametrize(("words", "expected"), [
    (["--require", "affine"], 0), (["--require", "monomial"], 1), (["--theorem", "kivva.thm3.3a"], 0),
    (["--theorem", "kivva.thm3.3b"], 1), (["--theorem", "ivae.thm1"], 1),
    (["--theorem", "kivva.thm3.3a", "--require", "monomial"], 1),
    (["--theorem", "kivva.thm3.3a", "--theorem", "kivva.thm3.3b"], 1),
])
def test_what_is_asked_decides_the_exit_code(run, model, words, expected):
    assert run("check", model("vanilla_vae"), *words)[0] == expected


def test_a_theorem_asked_for_is_explained(run, model):
    _, text, _ = run("check", model("vanilla_vae"), "--theorem", "kivva.thm3.3b", "--theorem", "ivae.thm1")
    lines = text.splitlines()
    start = lines.index("theorems")
    assert lines[start + 1].startswith("  kivva.thm3.3b does not apply. If moreover P2 holds")
    assert any(line.startswith("    P2 fails: ") for line in lines[start:])
    assert any(line.startswith("    prior.conditional fails: needed: the prior is a cond") for line in lines[start:])


def test_undecided(run, tmp_path):
    sizes = [2, 24, 24, 2]
    weights = [[[(3 * i + 5 * j + layer) % 7 - 3 for j in range(sizes[layer])] for i in range(sizes[layer + 1])]
               for layer in range(3)]
    path = tmp_path / "wide.toml"
    path.write_text(UNDECIDABLE_IN_NO_TIME.format(weights=weights, biases=[[1] * n for n in sizes[1:]]))
    code, text, _ = run("check", path, "--budget", "0.000001ms")
    assert code == 3
    assert "undecided" in text
    assert "unknown" in text


def test_training_can_be_declared(run, model):
    spec = model("gin_three_clusters")
    assert run("check", spec, "--theorem", "ivae.thm3")[0] == 1, "L is not invertible"
    code, _, err = run("check", spec, "--declare", "training")
    assert code == 2
    assert "training.posterior" in err


@pytest.mark.parametrize(("words", "message"), [
    (["check", "missing.toml"], "no such file"),
    (["check", "model.yaml"], ".toml or .json"),
    (["check", "os:sep"], "--prior"),
    (["check", "MODEL", "--budget", "soon"], "--budget: expected a time"),
    (["check", "MODEL", "--budget", "0s"], "--budget: expected a time"),
    (["check", "MODEL", "--budget", "-1"], "--budget: expected a time"),
    (["check", "MODEL", "--require", "afine"], "did you mean 'affine'"),
    (["check", "MODEL", "--require", "none"], "--require"),
    (["check", "MODEL", "--theorem", "kivva.thm9"], "kivva.thm"),
    (["check", "MODEL", "--json", "."], "is a folder"),
    (["check", "MODEL", "--figure", "."], "--figure: expected a file name ending in .png or .svg"),
    (["check", "MODEL", "--figure", "picture.pdf"], "--figure: expected a file name ending in .png or .svg"),
    (["check", "MODEL", "--figure", "x.png", "--json", "x.png"], "for both"),
    (["check", "MODEL", "--prior", "MODEL"], "--prior"),
    (["check", "MODEL", "--json", "MODEL"], "would replace"),
    (["check", "os:sep", "--prior", "MODEL", "--json", "MODEL"], "would replace"),
    (["verify", "missing.json"], "missing.json"),
    (["verify", "MODEL"], "expected a report in JSON"),
    (["example", "relo"], "did you mean 'relu'"),
])
def test_bad_input(run, model, words, message):
    path = str(model("relu"))
    code, text, err = run(*[path if word == "MODEL" else word for word in words])
    assert code == 2
    assert text == ""
    assert message in err
    assert "Traceback" not in err


def test_a_figure(run, model, tmp_path):
    for name, suffix, start in (("example4_f", "png", b"\x89PNG"), ("vanilla_vae", "svg", b"<?xml")):
        drawn = tmp_path / "deep" / f"{name}.{suffix}"
        code, text, err = run("check", model(name), "--figure", drawn)
        assert (code, err) == (0, "")
        assert f"drawn in {drawn}" in text
        assert drawn.read_bytes().startswith(start)
    (tmp_path / "folder.svg").mkdir()
    code, text, err = run("check", model("relu"), "--figure", tmp_path / "folder.svg")
    assert (code, text) == (2, "")
    assert "is a folder" in err


def test_verify_rejects_what_was_changed(run, model, tmp_path):
    out = tmp_path / "report.json"
    run("check", model("vanilla_vae"), "--json", out)
    tree = json.loads(out.read_text())
    tree["conclusions"][0]["equivalence"] = "equal"
    out.write_text(json.dumps(tree))
    code, text, _ = run("verify", out)
    assert code == 1
    assert [line.split()[0] for line in text.splitlines() if "REJECTED" in line] == ["conclusions"]
    assert text.splitlines()[-1].endswith("1 rejected")
    out.write_text('{"kind": "something"}')
    assert run("verify", out)[0] == 2


def test_examples_are_listed_and_printed(run):
    code, text, _ = run("example")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == list(example_names())
    assert run("example", "relu")[1] == example_text("relu")


def test_a_torch_module(run, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    (tmp_path / "decoders_of_test.py").write_text(
        "import torch\n"
        "leaky = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.LeakyReLU(0.5), torch.nn.Linear(2, 2))\n"
        "with torch.no_grad():\n"
        "    leaky[0].weight.copy_(torch.tensor([[1.0], [2.0]]))\n"
        "    leaky[2].weight.copy_(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))\n")
    prior = tmp_path / "prior.toml"
    prior.write_text('[prior]\nweights = [0.5, 0.5]\nmeans = [-1, 1]\ncovariances = [1, 2]\n'
                     '[noise]\ntype = "gaussian"\nstd = 0.1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    code, text, err = run("check", "decoders_of_test:leaky", "--prior", prior)
    assert (code, err) == (0, "")
    assert "decoder f: identified" in text
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[prior]\nweights = [1]\nmeans = [[0, 0]]\ncovariances = [[1, 1]]\n')
    code, _, err = run("check", "decoders_of_test:leaky", "--prior", wrong)
    assert code == 2
    assert "prior.means" in err
    code, _, err = run("check", "decoders_of_test:leaky", "--prior", tmp_path / "none.toml")
    assert code == 2
    whole = tmp_path / "whole.toml"
    whole.write_text(example_text("relu"))
    assert run("check", "decoders_of_test:leaky", "--prior", whole)[0] == 2


def test_a_table_on_a_terminal():
    from rich.console import Console

    report = check(load_example("absolute_value"))
    shown = io.StringIO()
    Console(file=shown, force_terminal=True, width=100).print(finding_table(report))
    assert "\x1b[31mfails" in shown.getvalue()
    assert "\x1b[32mholds" in shown.getvalue()
    assert all(name in shown.getvalue() for name in report.findings)


@pytest.mark.parametrize(("text", "seconds"), [
    ("60s", 60.0), ("60", 60.0), ("2min", 120.0), ("500ms", 0.5), ("1h", 3600.0), (" 1.5 s ", 1.5), (".5s", 0.5)])
def test_budgets(text, seconds):
    assert parse_budget(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize("text", ["", "s", "1d", "1 s s", "1e3s", "nan", "inf", "-1s", "0", "1,5s", "9" * 400])
def test_no_budgets(text):
    with pytest.raises(InputError, match="--budget"):
        parse_budget(text)


def test_equivalences_by_name():
    assert parse_equivalence("affine_statistics") == "affine_statistics"
    with pytest.raises(InputError, match="monomial"):
        parse_equivalence("up to everything")
