"""The experiment on alignment: the stored numbers come out again, the README quotes them, and the stored pair is it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parents[2] / "experiments" / "alignment"


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    out = tmp_path_factory.mktemp("alignment")
    subprocess.run([sys.executable, str(HERE / "run.py"), "--out", str(out)], check=True, capture_output=True)
    return out


def test_the_stored_results_come_out_again(again):
    stored, made = (json.loads((folder / "mcc.json").read_text()) for folder in (HERE / "results", again))
    assert stored["settings"] == made["settings"]
    for one, other in zip(stored["outcomes"], made["outcomes"], strict=True):
        for kind in ("strong", "weak", "weak in sample"):
            # Six digits are stored; another BLAS may round the last one otherwise.
            assert other[kind]["mean"] == pytest.approx(one[kind]["mean"], abs=2e-6)
            assert other[kind]["interval"] == pytest.approx(one[kind]["interval"], abs=2e-5)
    with np.load(HERE / "results" / "pair.npz") as old, np.load(again / "pair.npz") as new:
        assert set(old.files) == set(new.files)
        for name in old.files:
            assert new[name] == pytest.approx(old[name], abs=1e-3)


def test_the_stored_pair_has_the_stored_value():
    with np.load(HERE / "results" / "pair.npz") as arrays:
        for name in ("before", "after"):
            a, b = arrays[f"{name}_a"], arrays[f"{name}_b"]
            found = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])]
            # The arrays are float32, the value has six digits.
            assert np.mean(np.abs(found)) == pytest.approx(float(arrays[f"{name}_value"]), abs=1e-5)
        assert arrays["labels"].shape == (len(arrays["after_a"]),)
    assert (HERE / "results" / "pair.npz").stat().st_size < 200_000


def test_the_readme_quotes_the_results():
    outcomes = {item["slope"]: item for item in json.loads((HERE / "results" / "mcc.json").read_text())["outcomes"]}
    rows = re.findall(r"^\| ([\d.]+)[^|]*\| (.*) \| (.*) \| (.*) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == 5
    for slope, *cells in rows:
        for kind, cell in zip(("strong", "weak", "weak in sample"), cells, strict=True):
            item = outcomes[float(slope)][kind]
            for text, value in zip(re.findall(r"[\d.]+", cell), [item["mean"], *item["interval"]], strict=False):
                assert text == f"{value:.{len(text) - 2}f}", (slope, kind)
