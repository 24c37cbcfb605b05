"""Shards partition the tiles, and the order of kills and resumes leaves no trace in the store."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.landscape.executors import SerialExecutor, parse_shard, run_tiles
from ident_theory.landscape.tiles import Layout, TileStore

ROWS, PER_TILE, SPEC = 9, 2, {"seed": 1}
STEPS = ("at", "values", "errors", "extra", "flag", "after")


def make():
    constants = {"a": (("a",), np.arange(float(ROWS)))}
    layouts = [Layout(name, (ROWS, 3), "float64", ("a", "b")) for name in ("values", "errors")]
    return constants, layouts, ROWS, PER_TILE


class Killed(BaseException):
    """Stands for a kill: nothing that runs afterwards may depend on it having been seen."""


def work(store: TileStore, kill: dict[int, str], tile: int) -> int:
    """Store a tile whose values depend on nothing but its number; be killed at the step that `kill` names."""
    generator = np.random.default_rng(tile)
    length = store.rows_of(tile).stop - store.rows_of(tile).start
    values = {name: generator.normal(size=(length, 3)) for name in ("values", "errors")}
    step = kill.get(tile)
    if step == "at":
        raise Killed
    if step in ("values", "errors"):  # as far as a write had come, with rubbish to be replaced
        store._group[step][store.rows_of(tile)] = np.full((length, 3), 99.0)
        raise Killed
    extra = {"minima": generator.normal(size=(tile, 2))}
    if step == "extra":
        store._write_extra(store.path / "extra" / str(tile), {"rubbish": np.zeros(3), **extra})
        raise Killed
    if step == "flag":
        store.write_tile(tile, values, extra)
        store._flag(tile, False)
        raise Killed
    store.write_tile(tile, values, extra)
    if step == "after":
        raise Killed
    return tile


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@cache
def undisturbed() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        store = TileStore.create(Path(name, "store"), SPEC, *make())
        run_tiles(SerialExecutor(), lambda tile: work(store, {}, tile), store.open_tiles(), None, 1)
        return files(store.path)


@given(st.integers(1, 30), st.integers(1, 12), st.data())
def test_shards_partition_the_open_tiles(n_tiles, parts, data):
    done = data.draw(st.sets(st.integers(0, n_tiles - 1)))
    store = TileStore.__new__(TileStore)
    flags = np.isin(np.arange(n_tiles), list(done))
    store._group = {"done": flags}
    shards = [store.open_tiles(parse_shard(f"{part}/{parts}")) for part in range(parts)]
    assert store.open_tiles() == sorted(set(range(n_tiles)) - done)
    assert sorted(tile for shard in shards for tile in shard) == store.open_tiles()
    assert max(map(len, shards)) <= -(-n_tiles // parts)


#: One session: its shard, the order of its tiles, and where it is killed.
SESSIONS = st.lists(st.tuples(st.integers(1, 3).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))),
                              st.permutations(range(5)),
                              st.dictionaries(st.integers(0, 4), st.sampled_from(STEPS), max_size=2)), max_size=5)


@settings(max_examples=30)
@given(SESSIONS)
def test_kills_and_resumes_leave_no_trace(sessions):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "store")
        for shard, order, kill in [*sessions, ((0, 1), range(5), {})]:
            store = TileStore.open_or_create(folder, SPEC, make)
            mine = set(store.open_tiles(shard))
            with suppress(Killed):
                run_tiles(SerialExecutor(), lambda tile, s=store, k=kill: work(s, k, tile),
                          [tile for tile in order if tile in mine], None, 2)
            shown = np.isfinite(store.read("errors")).all(axis=1)
            assert np.array_equal(shown, np.repeat(store.done, PER_TILE)[:ROWS])
        assert store.done.all()
        assert files(folder) == undisturbed()
