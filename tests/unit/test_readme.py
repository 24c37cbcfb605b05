"""The README's Python runs as printed, and its table of benchmarks is the one that was measured."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(block: str) -> dict:
    names: dict = {}
    exec(block, names)
    return names


def test_first_python_example_runs():
    minimum = run(BLOCKS[0])["slice_"].minima[0]
    assert minimum.is_global
    assert minimum.location == pytest.approx((-2,))


def test_check_example_runs(capsys):
    names = run(BLOCKS[1])
    report = names["report"]
    assert (report.conclusion.equivalence, report.conclusion.theorem) == ("monomial", "kivva.thm3.2b")
    assert report["F4"].status == "holds"
    report.verify()
    assert names["folded"]["F2"].status == "fails"
    assert names["folded"].alternatives
    assert "kivva2022" in capsys.readouterr().out


def test_equality_example_runs(capsys):
    names = run(BLOCKS[2])
    assert names["found"].equivalence == "affine"
    assert names["found"].change == names["h"]
    names["found"].verify()
    pair = names["it"].equivalence(names["first"], names["second"])
    assert (pair.equivalence, pair.latent, pair.findings["equal_in_law"].status) == ("none", "equal", "holds")
    assert "half width" in capsys.readouterr().out


def test_recovery_example_runs(capsys):
    names = run(BLOCKS[3])
    assert names["graph"].states == (2, 2)
    assert sorted(names["graph"].table.ravel()) == [Fraction(i, 10) for i in (1, 2, 3, 4)]
    aligned = names["it"].recovery.align_mixtures(names["prior"], names["mixed"])
    assert aligned.exact.carry(names["prior"]) == names["mixed"]
    assert float(names["it"].affine_distance(names["prior"], names["mixed"])) < 1e-8
    assert "weak MCC over 15 pairs of 6 runs" in capsys.readouterr().out


def test_training_example_runs(capsys):
    pytest.importorskip("torch")
    names = run(BLOCKS[4])
    assert names["found"].half.count == 2
    assert [item.name for item in names["found"].baselines][:2] == ["FastICA of x", "independent noise"]
    assert (names["report"]["ivae.L"].status, names["report"]["F4"].status) == ("holds", "fails")
    assert names["model"].latent_dim == 2
    assert "log_likelihood" in capsys.readouterr().out


def test_testing_example_passes():
    names = run(BLOCKS[5])
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()


def test_search_example_runs(capsys):
    names = run(BLOCKS[6])
    assert names["found"].verdict == "inequivalent minimisers"
    assert names["found"].explained
    assert "equal in law, not affinely equivalent" in capsys.readouterr().out
    assert len(BLOCKS) == 7


def test_model_file_example_is_read():
    import ident_theory as it

    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert it.loads(block) == it.load(ROOT / "experiments/demo/model.toml")


def test_table_is_the_measured_one():
    table = README.split("<!-- benchmark table -->\n")[1].split("<!-- end of the table -->")[0]
    assert table == (ROOT / "experiments/benchmarks/results.md").read_text()


def test_family_file_is_read():
    import ident_theory as it

    assert it.load_family(ROOT / "experiments/demo/family.toml").size == 29_296_875


@pytest.mark.parametrize("name", ["search", "check", "equality", "metrics", "affine", "train"])
def test_named_table_is_the_measured_one(name):
    table = README.split(f"<!-- {name} benchmark -->\n")[1].split(f"<!-- end of the {name} benchmark -->")[0]
    assert table == (ROOT / f"experiments/benchmarks/{name}_results.md").read_text()


def test_table_of_the_ledger_is_the_measured_one():
    table = README.split("<!-- ledger table -->\n")[1].split("<!-- end of the ledger table -->")[0]
    assert table == (ROOT / "experiments/ledger/results/table.md").read_text()


def test_number_of_theorems_is_the_printed_one():
    from ident_theory.conditions import THEOREMS

    assert f"\n{len(THEOREMS)} theorems of the five seed papers" in README
