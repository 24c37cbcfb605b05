"""Tiles on a real dask cluster of two worker processes on this machine, one of which is killed on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from ident_theory.errors import IdentTheoryError, InputError
from ident_theory.landscape import executors
from ident_theory.landscape.executors import executor_for, run_tiles
from ident_theory.landscape.tiles import Layout, TileStore

pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'ident_theory[cluster]'")

TILES = 24
#: The scheduler gives up a task as soon as a worker died with it, so that submitting again is up to us.
NO_SECOND_CHANCE = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}

# The workers import the work; it is written into a folder on their path.
WORK = """
import os, time
import numpy as np
from ident_theory.landscape.tiles import TileStore

def work(folder, tile):
    time.sleep(0.1)
    TileStore.open(folder).write_tile(tile, {"v": np.random.default_rng(tile).normal(size=(1, 5))})
    return tile, os.getpid()

def idle(tile):
    time.sleep(0.3)

def fail(tile):
    raise ZeroDivisionError("no inverse")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "cluster_work.py").write_text(WORK)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def cluster(folder):
    """Address of a scheduler, its two workers, and itself; all of it ends with the test."""
    processes = []

    def start(kind, *arguments):
        with open(folder / f"{kind}-{len(processes)}.log", "w") as log:
            processes.append(subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"], cwd=folder,
                env={**os.environ, **NO_SECOND_CHANCE, "PYTHONPATH": str(folder)}, stdout=log, stderr=log))
        return processes[-1]

    contact = folder / "scheduler.json"
    contact.unlink(missing_ok=True)
    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(contact))
    late = time.monotonic() + 30
    while not contact.exists() and time.monotonic() < late:
        time.sleep(0.02)
    address = json.loads(contact.read_text())["address"]
    options = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny")
    yield address, [start("worker", address, *options) for _ in range(2)], scheduler
    for process in reversed(processes):
        process.kill()
        process.wait()


def test_a_worker_that_is_killed_is_survived(cluster, folder, monkeypatch):
    from cluster_work import work

    address, workers, _ = cluster
    layouts = [Layout("v", (TILES, 5), "float64", ("a", "b"))]
    store = TileStore.create(folder / "store", {}, {}, layouts, TILES, 1)
    seen, lost = [], []
    proper = executors._is_loss
    monkeypatch.setattr(executors, "_is_loss", lambda error: lost.append(type(error).__name__) or proper(error))

    def progress(done, total):
        seen.append(done)
        if done == 6:
            workers[0].send_signal(signal.SIGKILL)

    with executor_for(scheduler=address) as executor:
        records = run_tiles(executor, partial(work, str(store.path)), store.open_tiles(), progress, 4)
    assert seen == list(range(1, TILES + 1))
    assert set(lost) == {"KilledWorker"}
    assert [tile for tile, _ in records] == list(range(TILES))
    assert store.done.all()
    expected = [np.random.default_rng(tile).normal(size=5) for tile in range(TILES)]
    assert np.array_equal(store.read("v"), expected)
    assert workers[0].wait(10) == -signal.SIGKILL
    assert workers[1].poll() is None


def test_what_the_work_raises_arrives(cluster):
    from cluster_work import fail

    with executor_for(scheduler=cluster[0]) as executor, pytest.raises(ZeroDivisionError, match="no inverse") as caught:
        run_tiles(executor, fail, range(9), None, 2)
    assert re.search(r"tile \d;", caught.value.__notes__[-1])


def test_a_scheduler_that_goes_away_is_an_error_and_no_endless_wait(cluster, monkeypatch):
    import dask
    from cluster_work import idle

    monkeypatch.setattr(executors, "CHECK_SECONDS", 0.1)
    (scheduler,) = cluster[2:]
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), \
            pytest.raises(IdentTheoryError, match="no longer answers"), executor_for(scheduler=cluster[0]) as executor:
        run_tiles(executor, idle, range(50), lambda done, total: scheduler.kill(), 3)


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "", "tcp://", "bla://127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_addresses_without_a_scheduler(address):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}), \
            pytest.raises(InputError, match="scheduler: "), executor_for(scheduler=address):
        pass
