"""Searches that go to a store: what survives kills, full disks and lost workers, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import BudgetExceeded, InputError, StoreMismatchError, StoreWriteError
from ident_theory.landscape import ParameterFamily, executor_for, exhaustive, load_search, search
from ident_theory.landscape.tiles import TileStore

#: Written into a folder as the module `store_work`, so that other processes run the very same search.
WORK = '''
import os, sys, time
import numpy as np
from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.landscape import ParameterFamily, executor_for, exhaustive, search

model = Model(GaussianMixture(["1/2", "1/2"], [-1, 1], [1, 1]), ReLUNetwork([[[1]], [[1]]], [[0], [0]], 0),
              GaussianNoise("1/4"))
vary = {"prior.means": ["-1", "0", "1"], "decoder.weights[1]": ["-1", "1", "2"],
        "decoder.biases[0]": ["-1", "0", "1"]}
targets = [model, np.linspace(-1, 2, 7)]
exhaustive._rows_per_tile = lambda plan: 1

def family(**changes):
    return ParameterFamily(model, {**vary, **changes})

def run(store, pause=0.0, **options):
    """Search with tiles of one function, with a rest after each."""
    def progress(what, done, total):
        time.sleep(pause if what == "tiles" else 0)
    return search(family(), targets, store=store, progress=progress, keep=True, **options)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    (folder / "store_work.py").write_text(WORK)
    sys.path.insert(0, str(folder))
    before = exhaustive._rows_per_tile
    yield folder
    exhaustive._rows_per_tile = before
    sys.path.remove(str(folder))
    sys.modules.pop("store_work", None)


@pytest.fixture(scope="module")
def work(folder):
    import store_work

    return store_work


@pytest.fixture(scope="module")
def whole(folder, work):
    """The store of an undisturbed run, and its result."""
    return folder / "whole", work.run(folder / "whole")


def files(store):
    """What a store holds, but for leftovers of kills, which nothing reads."""
    found = {str(file.relative_to(store)): file.read_bytes() for file in Path(store).rglob("*") if file.is_file()}
    return {name: text for name, text in found.items() if not name.endswith(".partial") and "extra/." not in name}


def start(folder, code, **environment):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", f"import store_work as w\n{code}"], cwd=folder,
                            env={**os.environ, "PYTHONPATH": str(folder), **environment})


def wait_for_tiles(store, enough, process=None):
    late = time.monotonic() + 60
    while time.monotonic() < late and len(list(Path(store).glob("done/c/*"))) < enough:
        assert process is None or process.poll() is None, "it ended too soon"
        time.sleep(0.005)


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name))
               for name in ("best", "best_prior", "excess", "near", "near_excess", "evaluated"))


# --- what is kept ---------------------------------------------------------------------------------------------------

def test_a_store_holds_what_memory_would(whole, work):
    path, result = whole
    assert TileStore.open(path).n_tiles == len(result.best) == 9
    assert same(search(work.family(), work.targets, keep=True), result)
    read = load_search(path)
    assert same(read, result)
    assert read.settings.family.to_dict() == result.settings.family.to_dict()
    assert read.settings.targets[0] == work.model
    assert read.minimisers(0).verdict == result.minimisers(0).verdict
    before = files(path)
    assert same(work.run(path), result), "a finished store is read"
    assert files(path) == before


def test_a_store_without_the_excess_of_every_point(tmp_path, whole, work):
    result = search(work.family(), work.targets, store=tmp_path / "lean", keep=False)
    assert result.excess is None
    assert "excess" not in TileStore.open(tmp_path / "lean").names
    assert np.array_equal(result.best, whole[1].best)
    assert load_search(tmp_path / "lean").excess is None


def test_a_killed_run_is_resumed(tmp_path, whole, folder, work):
    store = tmp_path / "killed"
    for enough in (2, 5):
        process = start(folder, f"w.run({str(store)!r}, pause=0.1)")
        wait_for_tiles(store, enough, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        done = TileStore.open(store).done
        assert enough - 1 <= done.sum() < len(done)
        with pytest.raises(InputError, match=rf"{(~done).sum()} of {len(done)} tiles"):
            load_search(store)
    computed = []
    proper = exhaustive.compute_tile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhaustive, "compute_tile", lambda *a, **k: computed.append(1) or proper(*a, **k))
        result = work.run(store)
    assert len(computed) == (~done).sum(), "what was done is not done again"
    assert same(result, whole[1])
    assert files(store) == files(whole[0])


def test_a_run_killed_before_the_first_tile(tmp_path, whole, folder, work):
    code = "w.exhaustive._layout = lambda *a: print('plan', flush=True) or w.time.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", f"import store_work as w\n{code}w.run({str(tmp_path / 's')!r})"],
                               cwd=folder, stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        process.kill()
    assert work.run(tmp_path / "s").points == whole[1].points
    assert files(tmp_path / "s") == files(whole[0])


def test_shards_fill_one_store(tmp_path, whole, work):
    store = tmp_path / "shards"
    assert work.run(store, shard=(0, 2)) is None
    tiles = TileStore.open(store)
    assert tiles.done.tolist() == [tile % 2 == 0 for tile in range(tiles.n_tiles)]
    assert work.run(store, shard=(0, 2)) is None
    result = work.run(store, shard=(1, 2))
    assert same(result, whole[1])
    assert files(store) == files(whole[0])


def test_shards_at_the_same_time(tmp_path, whole, folder):
    store = tmp_path / "both"
    processes = [start(folder, f"w.run({str(store)!r}, shard=({i}, 2))") for i in (0, 1)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert same(load_search(store), whole[1])
    assert files(store) == files(whole[0])


def test_worker_processes_write_the_same_bytes(tmp_path, whole, work):
    with executor_for(jobs=2) as executor:
        result = work.run(tmp_path / "jobs", executor=executor, jobs=2)
    assert same(result, whole[1])
    assert files(tmp_path / "jobs") == files(whole[0])


def test_a_worker_that_dies_is_survived(tmp_path, whole, work):
    killed = []

    def progress(what, done, total):
        if what == "tiles" and done == 2 and not killed:
            killed.append(next(iter(executor._pool._processes)))
            os.kill(killed[0], signal.SIGKILL)

    with executor_for(jobs=2) as executor:
        result = search(work.family(), work.targets, store=tmp_path / "s", keep=True, executor=executor, jobs=2,
                        progress=progress)
    assert killed
    assert same(result, whole[1])


def test_starting_afresh(tmp_path, whole, work):
    store = tmp_path / "s"
    search(work.family(), [work.model], store=store)
    with pytest.raises(StoreMismatchError, match="targets: 1 entries there, 2 asked for"):
        work.run(store)
    assert same(work.run(store, resume=False), whole[1])
    computed = []
    proper = exhaustive.compute_tile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhaustive, "compute_tile", lambda *a, **k: computed.append(1) or proper(*a, **k))
        assert same(work.run(store, resume=False), whole[1])
    assert len(computed) == len(whole[1].best)


# --- a dask cluster -------------------------------------------------------------------------------------------------

def test_a_cluster_that_loses_a_worker_loses_nothing(tmp_path, whole, folder, work):
    pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'ident_theory[cluster]'")
    processes = []

    def begin(kind, *arguments):
        with open(tmp_path / f"{kind}-{len(processes)}.log", "w") as log:
            processes.append(subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"], cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(folder), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"},
                stdout=log, stderr=log))
        return processes[-1]

    contact, killed = tmp_path / "scheduler.json", []
    try:
        begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(contact))
        late = time.monotonic() + 30
        while not contact.exists() and time.monotonic() < late:
            time.sleep(0.02)
        address = json.loads(contact.read_text())["address"]
        workers = [begin("worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny") for _ in range(2)]

        def progress(what, done, total):
            if what == "tiles" and done == 3 and not killed:
                killed.append(workers[0].pid)
                workers[0].send_signal(signal.SIGKILL)

        with executor_for(scheduler=address) as executor:
            result = search(work.family(), work.targets, store=tmp_path / "s", keep=True, executor=executor, jobs=2,
                            progress=progress)
        assert killed
        assert workers[0].wait(10) == -signal.SIGKILL
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
    assert same(result, whole[1])
    assert files(tmp_path / "s") == files(whole[0])


# --- what is refused ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("family", "options", "words"), [
    ({"decoder.biases[0]": ["-1", "0", "2"]}, {}, r'family\.vary\.decoder\.biases\[0\]\[0\]\[2\]: "1" there, "2"'),
    ({}, {"tolerance": 1e-11}, "tolerance: 1e-10 there, 1e-11 asked for"),
    ({}, {"near": 1e-8}, "near: 1e-09 there, 1e-08 asked for"),
    ({}, {"keep": False}, "keep: true there, false asked for"),
    ({}, {"targets": [0, np.linspace(-1, 2, 8)]}, r"targets\[1\]\.size: 7 there, 8 asked for"),
    ({}, {"targets": [0, np.linspace(-1, 3, 7)]}, r"targets\[1\]\.data: "),
])
def test_other_settings_are_named(whole, work, family, options, words):
    before = files(whole[0])
    targets = [work.model, options.pop("targets")[1]] if "targets" in options else work.targets
    with pytest.raises(StoreMismatchError, match=words) as caught:
        search(work.family(**family), targets, store=whole[0], **{"keep": True, **options})
    assert str(caught.value).count(" asked for") == 1 + ("size" in words), "nothing else is blamed"
    assert files(whole[0]) == before


def other_noise(work):
    return Model(work.model.prior, work.model.decoder, GaussianNoise("1/3"))


def two_dimensional(work):
    return Model(work.model.prior, PiecewiseAffineMap([], [[1.0, 2.0]], [[0.0, 0.0]]), GaussianNoise("1/4"))


@pytest.mark.parametrize(("targets", "options", "words"), [
    (None, {"tolerance": 0}, "tolerance between 1e-13 and 1e-3, got 0"),
    (None, {"tolerance": float("nan")}, "tolerance between"),
    (None, {"near": 1e-10}, r"near >= 2 \* tolerance = 2e-10, got 1e-10"),
    (None, {"near": float("inf")}, "near >= 2"),
    (None, {"tolerance": 1e-4}, r"near >= 2 \* tolerance"),
    (None, {"device": "gpu"}, "device out of cpu, cuda, torch-cpu, got 'gpu'"),
    (None, {"shard": (0, 2)}, "give store=PATH"),
    ([], {}, "at least one truth or data set"),
    ([np.array([0.0, np.nan])], {}, r"target 0: .* with NaN or infinity"),
    ([np.zeros(3), np.array([np.inf])], {}, r"target 1: .* with NaN or infinity"),
    ([np.zeros((3, 2))], {}, r"target 0: .* of shape \(N, 1\), got shape \(3, 2\)"),
    ([np.zeros(0)], {}, r"target 0: .* got shape \(0, 1\)"),
    ([3.0], {}, r"target 0: .* got shape \(\)"),
    ([np.zeros(2), other_noise], {}, "truth 1: .*noise of the family"),
    ([two_dimensional], {}, "truth 0: .*observed_dim=2"),
])
def test_unusable_arguments_are_named(tmp_path, work, targets, options, words):
    made = [work.model] if targets is None else [t(work) if callable(t) else t for t in targets]
    with pytest.raises(InputError, match=words):
        search(work.family(), made, **options)
    if "shard" not in options:
        with pytest.raises(InputError, match=words):
            search(work.family(), made, store=tmp_path / "s", **options)
        assert not list(tmp_path.iterdir()), "nothing was made"


def test_executors_need_a_store(work):
    with executor_for() as executor, pytest.raises(InputError, match="give store=PATH"):
        search(work.family(), work.targets, executor=executor)


def test_a_device_that_is_not_there(work):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ident_theory[torch]'")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match="torch sees no such device"):
        search(work.family(), work.targets, device="cuda")


def test_torch_that_is_not_installed(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="needs torch; pip install"):
        search(work.family(), work.targets, device="torch-cpu")


def test_a_family_too_large_to_hold(tmp_path):
    hundred = [str(v) for v in range(100)]
    model = Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1]] * 3, [[1] * 3]], [[0] * 3, [0]]),
                  GaussianNoise(1))
    with pytest.raises(BudgetExceeded, match="coarser grids"):
        search(ParameterFamily(model, {"decoder.weights": hundred}), [model], store=tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_stores_of_something_else(tmp_path):
    with pytest.raises(InputError, match="expected one at"):
        load_search(tmp_path / "missing")
    TileStore.create(tmp_path / "other", {"search": "random"}, {}, [], 1, 1)
    with pytest.raises(InputError, match="something else"):
        load_search(tmp_path / "other")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which nobody can write")
def test_a_place_that_cannot_be_written(work):
    with pytest.raises(InputError, match=r"/proc/s.*choose another place"):
        work.run("/proc/s")


FULL_DISK = """
import resource, sys
import store_work as w
from ident_theory.errors import StoreWriteError
from ident_theory.landscape import exhaustive
proper, computed = exhaustive.compute_tile, []

def compute(*arguments):
    computed.append(1)
    if len(computed) == 5:  # from here on no chunk of excess fits on the disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    return proper(*arguments)

exhaustive.compute_tile = compute
try:
    w.run("s")
except StoreWriteError as error:
    assert "tile 4" in str(error) and "File too large" in str(error) and "run again" in str(error), error
else:
    sys.exit("no error")
"""


def test_a_full_disk_keeps_what_was_computed(tmp_path, whole, folder, work):
    subprocess.run([sys.executable, "-W", "error", "-c", FULL_DISK], cwd=tmp_path, check=True,
                   env={**os.environ, "PYTHONPATH": str(folder)})
    store = TileStore.open(tmp_path / "s")
    assert store.open_tiles() == list(range(4, store.n_tiles))
    assert np.array_equal(store.read("best")[:4], whole[1].best[:4])
    assert same(work.run(tmp_path / "s"), whole[1])
    assert files(tmp_path / "s") == files(whole[0])


def test_a_disk_too_full_for_the_plan(tmp_path, monkeypatch, work):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ident_theory.landscape.tiles._add", full)
    with pytest.raises(StoreWriteError, match="No space left on device"):
        work.run(tmp_path / "s")
    assert not list(tmp_path.iterdir())
