"""A user's repository passes its own tests in under a minute; with mistakes in it they fail and say what is wrong."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2] / "experiments" / "user_repository"


@pytest.fixture
def repository(tmp_path):
    place = tmp_path / "repository"
    shutil.copytree(REPOSITORY, place, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return place


def run(repository, *arguments):
    """Its tests in a process of their own, as its CI runs them; the outcome and the seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--ident-json",
                           "verdicts.json", *arguments], cwd=repository, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def edit(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new))


def test_it_passes_in_under_a_minute(repository):
    done, seconds = run(repository)
    assert done.returncode == 0, done.stdout
    assert seconds < 60
    rows = json.loads((repository / "verdicts.json").read_text())["verdicts"]
    assert [row["passed"] for row in rows] == [True] * 5
    assert "identifiability verdicts" not in done.stdout


def test_mistakes_are_in_the_table(repository):
    """A decoder that folds, sites that do not vary enough, and pruning that forgets a constant."""
    source = repository / "src" / "sensors" / "model.py"
    edit(source, "SLOPE = 0.25", "SLOPE = -1.0")
    edit(source, "[[1, 1], [1, 2], [3, 1], [2, 2], [1, 4]]", "[[1, 1], [1, 1], [1, 1], [1, 1], [1, 1]]")
    edit(source, "value = value if value > 0 else net.negative_slope_exact * value", "value = max(value, 0)")
    edit(repository / "src" / "sensors" / "encoder.py", "        return (x - self.mean) @ self.projection\n",
         "        return ((x - self.mean) @ self.projection)[:, :1]\n")
    done, _ = run(repository)
    assert done.returncode == 1
    table = done.stdout.split("identifiability verdicts")[1]
    lines = [line for line in table.splitlines() if line.startswith("tests/")]
    assert any("sensors" in line and "F4" in line and "fails" in line and "exact" in line for line in lines), table
    assert any("five sites" in line and "ivae.L" in line and "fails" in line for line in lines), table
    assert any("pruned" in line and "recovers equal" in line and "missed" in line for line in lines), table
    assert any("model.toml / sensors" in line and "equivalent equal" in line for line in lines), table
    assert "expected (300, 2), found (300, 1)" in done.stdout  # an ordinary failure: not in the table
    failed = [row for row in json.loads((repository / "verdicts.json").read_text())["verdicts"] if not row["passed"]]
    assert len(failed) == len(lines) == 4


def test_the_workflow_only_calls_pytest():
    text = (REPOSITORY / "ci.yml").read_text()
    commands = [line.split("run:")[1].strip() for line in text.splitlines() if "run:" in line]
    assert commands == ['python -m pip install ".[test]"', "python -m pytest --ident-json verdicts.json"]
