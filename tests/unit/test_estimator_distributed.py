"""Two processes do the training that one does: the same losses and parameters, one store, clear refusals."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ident_theory.errors import InputError, UnsupportedError  # noqa: E402
from ident_theory.estimators.distributed import Group, process_group  # noqa: E402
from tests.common import two_processes  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
                                reason="torch without gloo")


def environment(**numbers):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **numbers}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes wrote, started with the variables that torchrun sets."""
    place = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    processes = [subprocess.Popen(
        [sys.executable, two_processes.__file__, str(place)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=environment(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                                   MASTER_PORT=port)) for rank in range(2)]
    try:
        for process in processes:
            text, _ = process.communicate(timeout=300)
            assert process.returncode == 0, text
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", two_processes.CASES)
def test_two_processes_train_what_one_does(folder, name):
    """Losses of all steps, parameters, running statistics and scores; rounding apart.

    (Networks with biases before batch normalisation do not belong here: the gradient of these is rounding, which Adam
    blows up.)
    """
    alone = two_processes.trained(name)
    for rank in range(2):
        with np.load(folder / f"process{rank}" / f"{name}.npz") as both:
            np.testing.assert_allclose(both["losses"], [record.loss for record in alone.log], rtol=1e-9)
            np.testing.assert_allclose(both["latents"], alone.latents(two_processes.data()), rtol=1e-7,
                                       atol=1e-9)
            for key, value in alone.parameters.values.items():
                np.testing.assert_allclose(both[f"values.{key}"], value.numpy(force=True), rtol=1e-7, atol=1e-9,
                                           err_msg=key)
            np.testing.assert_allclose(both["scores"], alone.scores, rtol=1e-9)


@pytest.mark.slow
def test_the_first_process_alone_writes(folder):
    """Checkpoint and log; the other one gives the same result without files."""
    for name in two_processes.CASES:
        assert sorted(os.listdir(folder / "process0" / name)) == ["checkpoint.safetensors", "log.jsonl"]
        assert not (folder / "process1" / name).exists()


@pytest.mark.slow
def test_each_process_knows_its_place(folder):
    """And what cannot be shared is refused by every one, with the reason."""
    for rank in range(2):
        found = json.loads((folder / f"process{rank}" / "group.json").read_text())
        messages = found.pop("messages")
        assert found == {"rank": rank, "world": 2, "device": "cpu", "writes": rank == 0}
        assert "batch of 3 rows cannot be shared equally" in messages["odd"]
        assert "batch of 5 rows cannot be shared equally" in messages["few"]
        assert "couples the rows" in messages["coupled"]


@pytest.mark.slow
def test_torchrun_starts_them(folder, tmp_path):
    """Its variables are those that the other tests set: the same numbers come out."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         two_processes.__file__, str(tmp_path)], capture_output=True, text=True, timeout=300, env=environment())
    assert done.returncode == 0, done.stderr
    for name in two_processes.CASES:
        with np.load(tmp_path / "process1" / f"{name}.npz") as one, \
                np.load(folder / "process1" / f"{name}.npz") as other:
            for key in one:
                np.testing.assert_array_equal(one[key], other[key])


def test_without_torchrun_there_is_one_process(monkeypatch):
    """The block is the same, no group is made, the device is the given one."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group("cuda:1") as group:
        assert group == Group(0, 1, "cuda:1")
        assert group.writes
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("numbers", "message"), [
    ({"WORLD_SIZE": "2"}, "RANK"),
    ({"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0"}, "'?two"),
    ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}, "RANK < WORLD_SIZE"),
    ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "1"}, "LOCAL_RANK <= RANK"),
    ({"WORLD_SIZE": "2", "RANK": "-1", "LOCAL_RANK": "0"}, "-1"),
])
def test_variables_that_torchrun_would_not_set_are_refused(monkeypatch, numbers, message):
    """By their names."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in numbers.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message), process_group():
        pass
    assert not torch.distributed.is_initialized()


def test_devices_that_processes_cannot_have_are_refused(monkeypatch):
    """A numbered GPU for all of them, or more processes than GPUs."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="found 'cuda:0'"), process_group("cuda:0"):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UnsupportedError, match="found 1 for process 1"), process_group("cuda"):
        pass
    assert not torch.distributed.is_initialized()


def test_a_process_that_waits_in_vain_says_so(monkeypatch):
    """The other one never starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnsupportedError, match="did not find each other"), process_group(timeout_seconds=1):
        pass
    assert not torch.distributed.is_initialized()
