"""Our store of landscapes passes the suite under kills; a store that breaks one rule fails the check of that rule."""

from __future__ import annotations

import pytest

from ident_theory.testing import StoreConformance

OURS = """
import numpy as np
from dataclasses import replace
import ident_theory as it
from ident_theory.landscape.store import load_landscape, save_landscape

MODEL = it.load_example("relu")
GRID = np.linspace(-1, 1, 3)
PLANES = []

def planes():
    if not PLANES:
        plane = it.landscape_plane(MODEL, "prior.means[0][0]", "decoder.weights[0][0][0]", GRID, GRID + 2)
        PLANES.extend([plane, replace(plane, values=plane.values + 1.0)])
    return PLANES

planes()

def save(path, number):
    save_landscape(planes()[number], path)

def load(path):
    found = load_landscape(path).values[0, 0]
    return int(found == planes()[1].values[0, 0]) if found in [p.values[0, 0] for p in planes()] else -1
"""

RESUMED = OURS + """
import ident_theory.landscape.scan as scan
scan.SAVE_SECONDS = 0.0  # save after every row

def work(path):
    it.landscape_plane(MODEL, "prior.means[0][0]", "decoder.weights[0][0][0]", GRID, GRID + 2, out=path)
"""


class TestLandscapesAsJson(StoreConformance):
    source = OURS
    name = "plane.json"
    most = 10


@pytest.mark.slow
class TestLandscapesAsNetcdf(StoreConformance):
    source = OURS
    name = "plane.nc"
    most = 6


class TestResumedLandscapes(StoreConformance):
    source = RESUMED
    name = "plane.json"
    most = 8

    # Of single writes TestLandscapesAsJson tells all.
    test_what_is_stored_comes_back = None
    test_the_same_value_gives_the_same_bytes = None
    test_what_is_damaged_is_refused = None
    test_what_is_missing_is_refused = None
    test_a_kill_leaves_the_old_or_the_new_value = None
    test_a_kill_of_the_first_write_leaves_nothing_or_the_value = None


SOUND = """
import json, os

def read(path):
    with open(path) as stream:
        text = stream.read()
    body, _, end = text.rpartition("|")
    if end != "end":
        raise ValueError("cut short")
    return json.loads(body)

def write(path, tree):
    name = f"{path}.tmp"
    with open(name, "w") as stream:
        stream.write(json.dumps(tree) + "|end")
    os.replace(name, path)

def save(path, number):
    write(path, [number] * 50)

def load(path):
    found = read(path)
    return found[0] if len(set(found)) == 1 else -1

def work(path):
    done = read(path) if os.path.exists(path) else []
    while len(done) < 5:
        done.append(len(done) ** 2)
        write(path, done)
"""


class TestASoundStore(StoreConformance):
    source = SOUND


class TestAStoreWithoutWork(StoreConformance):
    source = SOUND[:SOUND.index("def work")]
    most = 5


def changed(*pairs):
    """The sound store with some of its lines replaced."""
    source = SOUND
    for old, new in pairs:
        assert old in source
        source = source.replace(old, new)
    return source


OPEN = '    name = f"{path}.tmp"\n    with open(name, "w")'
READ_ALL = """    if end != "end":
        raise ValueError("cut short")
    return json.loads(body)
"""
NOT_ATOMIC = changed((OPEN, '    with open(path, "w")'), ("    os.replace(name, path)\n", ""),
                     ('        stream.write(json.dumps(tree) + "|end")', """        text = json.dumps(tree)
        stream.write(text + "|end")"""))
REMOVED_FIRST = changed(("    os.replace(name, path)\n", """    if os.path.exists(path):
        os.remove(path)
    os.rename(name, path)
"""))
TORN = changed(("    write(path, [number] * 50)\n", """    old = read(path) if os.path.exists(path) else [number] * 50
    write(path, [number] * 25 + old[25:])
    write(path, [number] * 50)
"""))
STUCK = changed(('open(name, "w")', 'open(name, "x")'))
COUNTS_RUNS = changed(("    while len", "    again = bool(done)\n    while len"),
                      ("len(done) ** 2", "len(done) ** 2 + again"))
FORGETS = changed(("    return found[0]", "    return 1 - found[0]"))
TIMED = changed(('json.dumps(tree)', 'json.dumps(tree) + " " * (os.urandom(1)[0] + 1)'))
UNCHECKED = changed((READ_ALL, "    return json.loads(body) if end == 'end' else [1]\n"))
ONE_LINE = changed((OPEN + """ as stream:
        stream.write(json.dumps(tree) + "|end")
    os.replace(name, path)
""", '    text = (json.dumps(tree) + "|end").encode()\n    open(path, "wb").write(text)\n'))
LATE = changed((OPEN, '    sum(range(9)) if sum(1 for i in range(3000)) else 0\n    with open(path, "w")'),
               ("    os.replace(name, path)\n", "    for i in range(3000):\n        i += 1\n"))
INVENTS = changed(("    found = read(path)\n", "    found = read(path) if os.path.exists(path) else [0]\n"))
NO_DISK = changed(("def save(path, number):\n", "def save(path, number):\n    raise RuntimeError('no disk')\n"))


@pytest.mark.parametrize(("check", "source", "text"), [
    ("test_what_is_stored_comes_back", FORGETS, "read back"),
    ("test_the_same_value_gives_the_same_bytes", TIMED, "other bytes"),
    ("test_what_is_damaged_is_refused", UNCHECKED, "bytes: expected a ValueError .* found none but 1"),
    ("test_what_is_missing_is_refused", INVENTS, "nothing is stored"),
    ("test_a_kill_leaves_the_old_or_the_new_value", NOT_ATOMIC, "cannot be read"),
    ("test_a_kill_leaves_the_old_or_the_new_value", ONE_LINE, "cannot be read"),
    ("test_a_kill_leaves_the_old_or_the_new_value", LATE, r"\(<store>:\d+.*cannot be read"),
    ("test_a_kill_leaves_the_old_or_the_new_value", REMOVED_FIRST, "is gone"),
    ("test_a_kill_leaves_the_old_or_the_new_value", TORN, "torn"),
    ("test_a_kill_leaves_the_old_or_the_new_value", STUCK, "cannot go on"),
    ("test_a_kill_of_the_first_write_leaves_nothing_or_the_value", NOT_ATOMIC, "cannot be read"),
    ("test_killed_work_resumes_to_the_same_bytes", COUNTS_RUNS, "other bytes"),
    ("test_killed_work_resumes_to_the_same_bytes", NOT_ATOMIC, "cannot be read|cannot go on"),
], ids=range(13))
def test_a_broken_store_fails_its_check(check, source, text, tmp_path):
    suite = StoreConformance()
    suite.source = source
    with pytest.raises(AssertionError, match=text):
        getattr(suite, check)(tmp_path)


def test_a_source_without_the_functions_is_named(tmp_path):
    suite = StoreConformance()
    suite.source = "def save(path, number): pass"
    with pytest.raises(AssertionError, match="no load"):
        suite.test_what_is_stored_comes_back(tmp_path)


def test_a_source_that_does_not_run_says_why(tmp_path):
    suite = StoreConformance()
    suite.source = NO_DISK
    with pytest.raises(AssertionError, match="no disk"):
        suite.test_a_kill_leaves_the_old_or_the_new_value(tmp_path)
