"""The store of tiled results: what it keeps, refuses, and survives."""

from __future__ import annotations

import errno
import json
import math
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray
from zarr.storage import LocalStore

from ident_theory.errors import InputError, ModelError, Problem, StoreMismatchError, StoreWriteError
from ident_theory.landscape import tiles as module
from ident_theory.landscape.results import spec_hash
from ident_theory.landscape.tiles import Layout, TileStore

ROWS, PER_TILE = 7, 2
A, B = np.linspace(0, 1, ROWS), np.linspace(-1, 1, 3)
SPEC = {"model": {"prior": {"means": ["1/2", "-1"]}}, "grids": [[0, 1], [2, 3]], "rtol": 1e-6}
CONSTANTS = {"a": (("a",), A), "b": (("b",), B), "reference": ((), np.float64(0.5))}
LAYOUTS = [Layout("values", (ROWS, 3), "float64", ("a", "b"), attributes={"units": "nats"}),
           Layout("count", (ROWS,), "int32", ("a",), fill=-1)]


def make():
    return CONSTANTS, LAYOUTS, ROWS, PER_TILE


def new(path, **changes):
    return TileStore.open_or_create(path, {**SPEC, **changes}, make)


def tile_values(store, tile, shift=0.0):
    a = A[store.rows_of(tile)]
    return {"values": np.add.outer(a, B) + shift, "count": np.arange(len(a), dtype=np.int32)}


def fill(store, tiles=None):
    for tile in store.open_tiles() if tiles is None else tiles:
        store.write_tile(tile, tile_values(store, tile), {"minima": np.ones((tile, 2)), "plateau": np.array(True)})
    return store


def files(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


# --- what it keeps -------------------------------------------------------------------------------------------------

def test_tiles_read_back(tmp_path):
    store = TileStore.create(tmp_path / "deep" / "s", SPEC, *make(), {"precision": "float64"})
    assert (store.n_tiles, store.rows_of(3), store.open_tiles()) == (4, slice(6, 7), [0, 1, 2, 3])
    assert store.notes == ()
    fill(store, [3, 1])
    again = TileStore.open(tmp_path / "deep" / "s")
    assert again.done.tolist() == [False, True, False, True]
    assert again.open_tiles() == [0, 2]
    expected = np.where(np.array([0, 0, 1, 1, 0, 0, 1], bool)[:, None], np.add.outer(A, B), math.nan)
    assert np.array_equal(again.read("values"), expected, equal_nan=True)
    assert again.read("count").tolist() == [-1, -1, 0, 1, -1, -1, 0]
    assert np.array_equal(again.constant("a"), A)
    assert again.constant("reference") == 0.5
    extra = again.read_extra(3)
    assert {name: array.shape for name, array in extra.items()} == {"minima": (3, 2), "plateau": ()}
    assert again.read_extra(0) == {}
    assert (again.spec, again.spec_hash, again.numerics) == (SPEC, spec_hash(SPEC), {"precision": "float64"})
    assert {"numpy", "zarr", "python"} <= set(again.versions)
    assert pickle.loads(pickle.dumps(again)).open_tiles() == [0, 2]
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["s"]


def test_extras_are_replaced(tmp_path):
    store = fill(new(tmp_path / "s"))
    store.write_tile(2, tile_values(store, 2), {"other": np.zeros((0, 2))})
    assert {name: array.shape for name, array in store.read_extra(2).items()} == {"other": (0, 2)}
    store.write_tile(2, tile_values(store, 2))
    assert store.read_extra(2) == {}
    assert store.done.all()


def test_xarray_opens_a_half_filled_store(tmp_path):
    fill(new(tmp_path / "s"), [1])
    with xarray.open_zarr(tmp_path / "s", consolidated=False) as dataset:
        assert dataset["values"].dims == ("a", "b")
        assert dataset["values"].attrs["units"] == "nats"
        assert set(dataset.coords) == {"a", "b"}
        assert dataset["values"].sel(b=-1).isnull().values.tolist() == [True, True, False, False, True, True, True]
        assert dataset["count"].values.tolist() == [-1, -1, 0, 1, -1, -1, -1]
        assert dataset["done"].values.tolist() == [False, True, False, False]
        assert dataset.attrs["spec"] == SPEC


def test_complete_stores_of_the_same_values_are_identical(tmp_path):
    fill(new(tmp_path / "one"))
    fill(fill(new(tmp_path / "two"), [2, 0]), [3, 1])
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_split_chunks_and_values_that_are_all_fill(tmp_path):
    layout = Layout("v", (4, 5), "float64", ("a", "b"), chunk=(2,))
    store = TileStore.create(tmp_path / "s", {}, {}, [layout], 4, 3)
    store.write_tile(0, {"v": np.arange(15.0).reshape(3, 5)})
    store.write_tile(1, {"v": np.full((1, 5), math.nan)})
    assert store.done.all()
    assert np.array_equal(store.read("v")[:3], np.arange(15.0).reshape(3, 5))
    assert (tmp_path / "s" / "v" / "c" / "0" / "2").exists()


# --- what it refuses -----------------------------------------------------------------------------------------------

def test_other_settings_are_named_by_their_path(tmp_path):
    fill(new(tmp_path / "s"), [0])
    before = files(tmp_path / "s")
    asked = json.loads(json.dumps(SPEC).replace('"-1"', '"-2"').replace("[2, 3]", "[2, 4, 5]").replace("1e-06", "1e-7"))
    asked["seed"] = 3
    with pytest.raises(StoreMismatchError) as caught:
        TileStore.open_or_create(tmp_path / "s", asked, make)
    for words in ('model.prior.means[1]: "-1" there, "-2" asked for', "grids[1]: 2 entries there, 3 asked for",
                  "grids[1][1]: 3 there, 4 asked for", "rtol: 1e-06 there, 1e-07 asked for", '"<nothing>" there, 3'):
        assert words in str(caught.value)
    assert "means[0]" not in str(caught.value)
    with pytest.raises(StoreMismatchError, match=r"grids\[0\]\[1\]: 1 there, 1\.0 asked for"):
        new(tmp_path / "s", grids=[[0, 1.0], [2, 3]])
    assert files(tmp_path / "s") == before
    assert new(tmp_path / "s", grids=((0, 1), (2, 3))).done.any(), "tuples and lists are one to JSON"


def test_starting_afresh_removes_tile_stores_only(tmp_path):
    fill(new(tmp_path / "s"))
    store = TileStore.open_or_create(tmp_path / "s", {"other": 1}, make, resume=False)
    assert not store.done.any()
    assert store.spec == {"other": 1}
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "zarr.json").write_text('{"attributes": {"kind": "my own zarr group"}}')
    for resume in (True, False):
        with pytest.raises(InputError, match="my own zarr group"):
            TileStore.open_or_create(other, SPEC, make, resume=resume)
    assert [file.name for file in other.iterdir()] == ["zarr.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s", "thesis"]


def test_an_empty_folder_is_taken_and_a_full_one_is_not(tmp_path):
    (tmp_path / "s").mkdir()
    new(tmp_path / "s")
    with pytest.raises(InputError, match="in use"):
        TileStore.create(tmp_path / "s", SPEC, *make())


@pytest.mark.parametrize("place", ["file/s", "file", "missing", "half"])
def test_places_without_a_store(tmp_path, place):
    (tmp_path / "file").write_text("text")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(InputError, match=place):
        TileStore.open(tmp_path / place)
    if place != "missing":
        with pytest.raises(InputError, match=place):
            new(tmp_path / place)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which nobody can write")
def test_a_place_that_cannot_be_written():
    with pytest.raises(InputError, match=r"/proc/s.*choose another place"):
        new("/proc/s")


def test_other_layouts_and_damage_are_named(tmp_path):
    new(tmp_path / "s")
    header = tmp_path / "s" / "zarr.json"
    text = header.read_text()
    for old, changed, words in (('"layout": 1', '"layout": 9', "layout 9"), ('"-1"', '"-3"', "checksum"),
                                ('"rows": 7', '"rows": null', "TypeError"), ('"numerics"', '"x"', "KeyError")):
        assert old in text
        header.write_text(text.replace(old, changed))
        with pytest.raises(InputError, match=words):
            TileStore.open(tmp_path / "s")


def test_other_versions_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "package_versions", lambda: {"numpy": "1.0"})
    TileStore.open_or_create(tmp_path / "s", SPEC, make, numerics={"threads": 1})
    monkeypatch.undo()
    store = TileStore.open_or_create(tmp_path / "s", SPEC, make, numerics={"threads": 2})
    assert any(f"numpy 1.0, here it is {np.__version__}" in note for note in store.notes)
    assert any("threads 1, here it is 2" in note for note in store.notes)


@pytest.mark.parametrize(("values", "words"), [
    ({"values": np.zeros((2, 3))}, r"expected the arrays \['count', 'values'\]"),
    ({"values": np.zeros((1, 3)), "count": np.zeros(2, int)}, r"'values' for rows 2 to 3 of shape \(2, 3\)"),
    ({"values": np.zeros((2, 3)), "count": np.zeros(2)}, "int32, got .* float64"),
])
def test_only_whole_tiles_are_written(tmp_path, values, words):
    store = new(tmp_path / "s")
    with pytest.raises(InputError, match=words):
        store.write_tile(1, values)
    assert not store.done.any()


@pytest.mark.parametrize(("call", "words"), [
    (lambda store: store.write_tile(4, {}), "0 to 3, got 4"),
    (lambda store: store.write_tile(0, tile_values(store, 0), {"../x": np.zeros(1)}), "without /"),
    (lambda store: store.write_tile(0, tile_values(store, 0), {"x": np.array("text")}), "numbers or booleans"),
    (lambda store: store.open_tiles((2, 2)), "0 <= i < n"),
    (lambda store: store.read("a"), "values, count; got 'a'"),
    (lambda store: store.constant("values"), "a, b, reference; got 'values'"),
])
def test_bad_calls(tmp_path, call, words):
    with pytest.raises(InputError, match=words):
        call(new(tmp_path / "s"))


@pytest.mark.parametrize(("changes", "words"), [
    ({"rows": 0}, "at least one row"),
    ({"rows": 8}, "that many rows"),
    ({"spec": {"x": math.nan}}, "JSON"),
    ({"spec": {"x": np.float32(1)}}, "JSON"),
    ({"constants": {"a": (("a",), np.array(["text"]))}}, "numbers or booleans"),
    ({"constants": {"a": (("a", "b"), A)}}, "array 'a'"),
    ({"constants": {"done": (("done",), A)}}, "differ"),
    ({"layouts": [Layout("v", (ROWS, 2), "float64", ("a",))]}, "array 'v'"),
    ({"layouts": [Layout("v", (ROWS, 2), "float64", ("a", "b"), chunk=(1, 1))]}, "array 'v'"),
])
def test_arguments_that_do_not_fit_together_leave_nothing(tmp_path, changes, words):
    arguments = {"spec": SPEC, "constants": CONSTANTS, "layouts": LAYOUTS, "rows": ROWS, "rows_per_tile": 2, **changes}
    with pytest.raises(InputError, match=words):
        TileStore.create(tmp_path / "s", **arguments)
    assert not list(tmp_path.iterdir())


# --- what it survives ----------------------------------------------------------------------------------------------

FULL_DISK = """
import resource, sys
import numpy as np
from ident_theory.errors import StoreWriteError
from ident_theory.landscape.tiles import Layout, TileStore

layouts = [Layout("v", (4, 5000), "float64", ("a", "b"))]
store = TileStore.open_or_create("s", {}, lambda: ({}, layouts, 4, 1))
noise = np.random.default_rng(0).normal(size=(1, 5000))
store.write_tile(0, {"v": noise})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for place, write in (("tile 1", lambda: store.write_tile(1, {"v": noise})),
                     ("new", lambda: TileStore.create("new", {}, {"x": (("x",), noise[0])}, [], 4, 1))):
    try:
        write()
    except StoreWriteError as error:
        assert place in str(error) and "File too large" in str(error) and "run again" in str(error), error
    else:
        sys.exit("no error")
store.write_tile(2, {"v": np.zeros((1, 5000))})
"""


def test_a_write_that_the_system_refuses_leaves_the_tile_open(tmp_path):
    subprocess.run([sys.executable, "-W", "error", "-c", FULL_DISK], cwd=tmp_path, check=True)
    store = TileStore.open(tmp_path / "s")
    assert store.open_tiles() == [1, 3]
    assert np.isfinite(store.read("v")).all(axis=1).tolist() == [True, False, True, False]
    assert not list(tmp_path.rglob("*.partial"))
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("failing", ["count/c/1", "extra/1", "done/c/1"])
def test_a_full_disk_at_any_step_of_a_tile(tmp_path, monkeypatch, failing):
    store = fill(new(tmp_path / "s"), [0])
    proper = LocalStore.set

    async def write(self, key, value):
        if failing in f"{self.root}/{key}".replace("extra/.1.", "extra/1/"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return await proper(self, key, value)

    monkeypatch.setattr(LocalStore, "set", write)
    with pytest.raises(StoreWriteError, match=r"tile 1 could .* \(No space left on device\).*run again"):
        fill(store, [1])
    assert store.open_tiles() == [1, 2, 3]
    monkeypatch.undo()
    fill(store)
    fill(new(tmp_path / "t"))
    assert files(tmp_path / "s") == files(tmp_path / "t")


def test_a_tile_written_anew_is_open_meanwhile(tmp_path, monkeypatch):
    store = fill(new(tmp_path / "s"))

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_write_extra", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write_tile(2, tile_values(store, 2, shift=9.0))
    assert store.open_tiles() == [2]
    assert np.isnan(store.read("values")[4:6]).all(), "values without a flag are not shown"


def test_a_store_made_anew_gets_no_values_of_the_old_settings(tmp_path):
    store = new(tmp_path / "s")
    TileStore.open_or_create(tmp_path / "s", {"other": 1}, make, resume=False)
    with pytest.raises(StoreWriteError, match="removed or replaced"):
        fill(store, [0])
    assert not TileStore.open(tmp_path / "s").done.any()


def test_who_loses_the_race_of_making_opens_what_the_winner_made(tmp_path):
    def slow():
        fill(new(tmp_path / "s"), [1])
        return make()

    assert TileStore.open_or_create(tmp_path / "s", SPEC, slow).open_tiles() == [0, 2, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["s"]


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from ident_theory.landscape.tiles import Layout, TileStore

folder, shard, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
while not Path("go").exists():
    time.sleep(0.001)
layouts = [Layout("v", (40, 50), "float64", ("a", "b"))]
store = TileStore.open_or_create(folder, {"n": 40}, lambda: ({"a": (("a",), np.arange(40.0))}, layouts, 40, 1))
for tile in store.open_tiles((shard, 2)):
    store.write_tile(tile, {"v": np.random.default_rng(tile).normal(size=(1, 50))}, {"n": np.arange(tile)})
    time.sleep(pause)
"""


def writers(tmp_path, folder, pause=0.0):
    command = [sys.executable, "-W", "error", "-c", WRITER, folder]
    return [subprocess.Popen([*command, shard, str(pause)], cwd=tmp_path) for shard in "01"]


def test_shards_that_start_together_and_are_killed_end_in_the_same_store(tmp_path):
    processes = writers(tmp_path, "calm")
    (tmp_path / "go").touch()
    assert [process.wait(60) for process in processes] == [0, 0]
    for enough in (8, 20):
        processes = writers(tmp_path, "killed", pause=0.02)
        late = time.monotonic() + 60
        while time.monotonic() < late and len(list((tmp_path / "killed").glob("done/c/*"))) < enough:
            time.sleep(0.002)
        for process in processes:
            process.kill()
            process.wait()
        store = TileStore.open(tmp_path / "killed")
        assert enough - 1 <= store.done.sum() < 40
        rows = store.read("v")
        assert np.array_equal(np.isfinite(rows).all(axis=1), store.done)
    assert [process.wait(60) for process in writers(tmp_path, "killed")] == [0, 0]
    assert store.done.all()
    left = {name: text for name, text in files(tmp_path / "killed").items() if not name.endswith(".partial")}
    assert {name: text for name, text in left.items() if "extra/." not in name} == files(tmp_path / "calm")


CREATOR = """
import numpy as np
from ident_theory.landscape.tiles import Layout, TileStore
many = {f"c{i}": (("x",), np.arange(9.0)) for i in range(3000)}
print("ready", flush=True)
TileStore.create("s", {}, many, [], 4, 1)
"""


def test_a_killed_creation_leaves_nothing_that_opens(tmp_path):
    with subprocess.Popen([sys.executable, "-c", CREATOR], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while process.poll() is None and not list(tmp_path.glob(".s.*.new/c9")):
            time.sleep(0.001)
        process.kill()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".s.")
    with pytest.raises(InputError):
        TileStore.open(left)
    assert new(tmp_path / "s").open_tiles() == [0, 1, 2, 3]


def test_lists_of_mistakes_come_whole_out_of_another_process():
    error = pickle.loads(pickle.dumps(ModelError([Problem("noise.std", "a number", "text")], "here.toml")))
    assert str(error) == str(ModelError([Problem("noise.std", "a number", "text")], "here.toml"))
