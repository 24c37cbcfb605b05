"""Working on tiles in this process and in worker processes, whatever happens to them."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from ident_theory.errors import IdentTheoryError, InputError
from ident_theory.landscape.executors import ATTEMPTS, SerialExecutor, executor_for, parse_shard, run_tiles

# Work for other processes has to be importable there, so it is written as a module into a folder on the path.
WORK = """
import os, signal, time
from pathlib import Path

def square(folder, tile):
    Path(folder, f"{tile}-{os.getpid()}").touch()
    return tile * tile

def die(folder, tile, at, times):
    if tile in at and len(list(Path(folder).glob(f"death-{tile}-*"))) < times:
        Path(folder, f"death-{tile}-{time.monotonic_ns()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return square(folder, tile)

def fail(folder, tile, at):
    if tile == at:
        raise ZeroDivisionError("no inverse")
    time.sleep(0.05)
    return square(folder, tile)

def environment(tile):
    return {name: os.environ.get(name) for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

def hang(folder, tile):
    square(folder, tile)
    time.sleep(600)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "tile_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("tile_work")
    del sys.modules["tile_work"]


def worked_on(folder):
    return sorted(int(file.name.split("-")[0]) for file in folder.glob("[0-9]*-*"))


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition, seconds=20):
    late = time.monotonic() + seconds
    while not condition() and time.monotonic() < late:
        time.sleep(0.01)
    return condition()


# --- in this process -----------------------------------------------------------------------------------------------

def test_serial_work_is_reported_tile_by_tile():
    seen = []
    with executor_for() as executor:
        assert isinstance(executor, Executor)
        found = run_tiles(executor, lambda tile: seen.append(tile) or -tile, [3, 1, 2],
                          lambda done, total: seen.append((done, total)), in_flight=4)
    assert found == [-3, -1, -2]
    assert seen == [3, (1, 3), 1, (2, 3), 2, (3, 3)]


def test_nothing_to_do():
    assert run_tiles(SerialExecutor(), abs, [], None, 1) == []


def test_an_error_of_the_work_stops_it_and_names_the_tile():
    seen = []

    def work(tile):
        seen.append(tile)
        return 1 / (tile - 2)

    with pytest.raises(ZeroDivisionError) as caught:
        run_tiles(SerialExecutor(), work, range(5), None, 3)
    assert seen == [0, 1, 2]
    assert "tile 2" in caught.value.__notes__[0]


class Held(Executor):
    """Holds what is submitted until it is released."""

    def __init__(self):
        self.held = []

    def submit(self, fn, *args):
        self.held.append((Future(), fn, args))
        return self.held[-1][0]

    def release(self, index=0):
        future, fn, args = self.held.pop(index)
        future.set_result(fn(*args))


def test_a_bounded_number_is_in_flight_and_an_interrupt_cancels_it(monkeypatch):
    executor, most = Held(), []

    def wait(futures, *arguments):
        most.append(len(futures))
        if len(most) == 5:
            raise KeyboardInterrupt
        executor.release(-1)
        return proper(futures, *arguments)

    module = importlib.import_module("ident_theory.landscape.executors")
    proper = module.wait_for
    monkeypatch.setattr(module, "wait_for", wait)
    with pytest.raises(KeyboardInterrupt):
        run_tiles(executor, abs, range(20), None, 3)
    assert most == [3] * 5
    assert len(executor.held) == 3
    assert all(future.cancelled() for future, *_ in executor.held)


@pytest.mark.parametrize("text", ["0/1", "3/4", " 7 / 10 "])
def test_shards_are_read(text):
    assert parse_shard(text) == tuple(int(part) for part in text.split("/"))


@pytest.mark.parametrize("text", ["", "1", "1/1", "2/1", "-1/2", "0/0", "1/2/3", "a/b", "0.5/2", "³/4"])
def test_bad_shards(text):
    with pytest.raises(InputError, match="0 <= i < n"):
        parse_shard(text)


@pytest.mark.parametrize(("arguments", "words"), [
    ((0,), "at least 1"), ((2, "tcp://127.0.0.1:1"), "1 with a scheduler"),
])
def test_bad_numbers_of_jobs(arguments, words):
    with pytest.raises(InputError, match=words), executor_for(*arguments):
        pass
    with pytest.raises(InputError, match="in_flight"):
        run_tiles(SerialExecutor(), abs, [1], None, 0)


def test_a_cluster_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'ident_theory\[cluster\]'"), executor_for(1, "tcp://x:1"):
        pass


# --- in worker processes -------------------------------------------------------------------------------------------

def test_worker_processes(work, tmp_path):
    before, seen = dict(os.environ), []
    with executor_for(2) as executor:
        found = run_tiles(executor, partial(work.square, tmp_path), [5, 1, 4], lambda *now: seen.append(now), 4)
        (threads,) = run_tiles(executor, work.environment, [0], None, 4)
    assert found == [25, 1, 16]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert set(threads.values()) == {"1"}
    assert dict(os.environ) == before


def test_dead_workers_are_replaced(work, tmp_path):
    with executor_for(2) as executor:
        found = run_tiles(executor, partial(work.die, tmp_path, at=(2, 5), times=1), range(8), None, 4)
    assert found == [tile * tile for tile in range(8)]


def test_a_tile_that_kills_its_workers_is_named(work, tmp_path):
    words = f"tile 2: .* lost {ATTEMPTS} times"
    with pytest.raises(IdentTheoryError, match=words) as caught, executor_for(2) as executor:
        run_tiles(executor, partial(work.die, tmp_path, at=(2,), times=9), range(6), None, 4)
    assert caught.value.__cause__ is not None
    assert len(list(tmp_path.glob("death-2-*"))) == ATTEMPTS


def test_a_pool_that_stays_broken_is_no_endless_loop(work, tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor, \
            pytest.raises(IdentTheoryError, match="lost"):
        run_tiles(executor, partial(work.die, tmp_path, at=(0,), times=1), [0, 1, 2], None, 2)


def test_an_error_in_a_worker_lets_the_others_finish(work, tmp_path):
    seen = []
    with executor_for(2) as executor, pytest.raises(ZeroDivisionError, match="no inverse") as caught:
        run_tiles(executor, partial(work.fail, tmp_path, at=1), range(40), lambda done, total: seen.append(done), 4)
    assert "tile 1" in caught.value.__notes__[-1]
    assert len(worked_on(tmp_path)) == len(seen) <= 6


HANG = """
import signal
from functools import partial
import tile_work
from ident_theory.landscape.executors import executor_for, run_tiles

if __name__ == "__main__":
    # A shell that starts the tests in the background lets them ignore Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with executor_for(2) as executor:
        run_tiles(executor, partial(tile_work.hang, "."), range(9), None, 4)
"""


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_run(work, tmp_path, signal_sent):
    """Ctrl-C, which all processes of a terminal get, leaves at once; a killed run leaves no worker behind."""
    (tmp_path / "run.py").write_text(HANG)
    with subprocess.Popen([sys.executable, "-W", "error", "run.py"], cwd=tmp_path, start_new_session=True,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            assert wait_until(lambda: len(worked_on(tmp_path)) == 2)
            (os.killpg if signal_sent == signal.SIGINT else os.kill)(process.pid, signal_sent)
            assert process.wait(10) != 0
            workers = [int(file.name.split("-")[1]) for file in tmp_path.glob("[0-9]*-*")]
            assert wait_until(lambda: all(map(gone, workers)))
            assert worked_on(tmp_path) == [0, 1]
            said = process.stderr.read()
            assert said.count("Traceback") == (signal_sent == signal.SIGINT), said
        finally:  # a failed assertion must not wait for the hanging work
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
