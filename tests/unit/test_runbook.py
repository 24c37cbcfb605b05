"""The scripts of the cluster runbook do what it says, with the scheduler's variables set by hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CLUSTER = Path(__file__).resolve().parents[2] / "experiments/cluster"
FAMILY = """
[prior]
weights = [1]
means = [0]
covariances = [1]
[decoder]
type = "relu_network"
weights = [[[1]], [[1]]]
biases = [[0], [0]]
[noise]
type = "gaussian"
std = 0.5
[vary]
"prior.means" = [-1, 0, 1]
"decoder.weights" = [-1, 0, 1]
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(command, env={**os.environ, "PATH": path, **variables}, capture_output=True, text=True,
                          timeout=120)


def test_slurm_array_fills_one_store(tmp_path):
    family, out = tmp_path / "family.toml", tmp_path / "out"
    family.write_text(FAMILY)
    script = str(CLUSTER / "slurm_array.sh")
    for task in ("7", "8"):  # an array may start anywhere
        done = run(script, str(family), str(out), "--truths", "2", SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_MIN="7",
                   SLURM_ARRAY_TASK_COUNT="2", SLURM_CPUS_PER_TASK="1")
        assert done.returncode == 0, done.stderr
    found = run("ident-theory", "minimisers", str(out / "family.zarr"))
    assert found.returncode == 0, found.stderr
    assert "unique" in found.stdout or "constant" in found.stdout


@pytest.mark.parametrize(("arguments", "words"), [(("family.toml",), "usage"), (("family.toml", "out"), "job array")])
def test_slurm_array_says_how_it_is_run(arguments, words):
    done = run(str(CLUSTER / "slurm_array.sh"), *arguments, SLURM_ARRAY_TASK_ID="0")
    assert done.returncode != 0
    assert words in done.stderr


def test_kubernetes_job_has_as_many_shards_as_completions():
    text = (CLUSTER / "kubernetes_job.yaml").read_text()
    completions = re.findall(r"^  completions: (\d+)$", text, re.MULTILINE)
    assert re.findall(r"--shard \$JOB_COMPLETION_INDEX/(\d+)", text) == completions != []
