"""What a store of results has to satisfy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ident_theory.testing.conformance.killing import namespace
from ident_theory.testing.conformance.refusing import refused_with_a_message


class StoreConformance:
    """Checks of a store; subclass it, name the subclass ``Test...`` and give `source`.

    The source is Python that runs in a process of its own, where it is killed at many moments. It defines
    ``save(path, number)``, which stores one of two values, number 0 or 1, under a path, over what is there;
    ``load(path)``, which returns the number of the value stored, or raises; and, if the store resumes interrupted work,
    ``work(path)``, which does the work or goes on with it, whole when it returns.  ``contents(path)`` may give what has
    to be the same after every run; by default it is all bytes of the file or folder.

    Attributes
    ----------
    source : str
    name : str
        Of the file or folder.
    most : int
        Moments to be killed at: half of them at the disk, the others evenly spread.
    detects_damage : bool
        Whether a file cut short is to be refused.

    Examples
    --------
    ::

        class TestMyStore(StoreConformance):
            source = '''
        from mine import Store
        def save(path, number): Store(path).write([number, number])
        def load(path): return Store(path).read()[0]
        '''
    """

    source = ""
    name = "stored"
    most = 40
    detects_damage = True

    def test_what_is_stored_comes_back(self, tmp_path: Path) -> None:
        """Also over what was there before."""
        store, path = self._store(), tmp_path / self.name
        for number in (0, 1, 0):
            store["save"](path, number)
            found = store["load"](path)
            assert found == number, f"stored value {number}, read back {found!r}"

    def test_the_same_value_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """In two places, and again in one of them."""
        store, places = self._store(), (tmp_path / "a" / self.name, tmp_path / "b" / self.name)
        for path in (*places, places[0]):
            path.parent.mkdir(exist_ok=True)
            store["save"](path, 1)
        assert store["contents"](places[0]) == store["contents"](places[1]), "one value, other bytes"

    def test_what_is_damaged_is_refused(self, tmp_path: Path) -> None:
        """A file cut short raises a `ValueError`, an `OSError` or an error of this package, with a message."""
        store, path = self._store(), tmp_path / self.name
        store["save"](path, 1)
        if not self.detects_damage or path.is_dir():
            pytest.skip("not promised: detects_damage is False, or the store is a folder")
        whole = path.read_bytes()
        for size in (0, len(whole) // 3, len(whole) * 9 // 10):
            path.write_bytes(whole[:size])
            refused_with_a_message(lambda: store["load"](path), f"{size} of {len(whole)} bytes", OSError)

    def test_what_is_missing_is_refused(self, tmp_path: Path) -> None:
        """A path at which nothing is stored, likewise."""
        refused_with_a_message(lambda: self._store()["load"](tmp_path / "missing" / self.name), "nothing is stored",
                               OSError, LookupError)

    def test_a_kill_leaves_the_old_or_the_new_value(self, tmp_path: Path) -> None:
        """At any moment of a write over another value; writing again then works."""
        self._check(self._killed(tmp_path, "save", 0), {0, 1}, may_be_missing=False)

    def test_a_kill_of_the_first_write_leaves_nothing_or_the_value(self, tmp_path: Path) -> None:
        """At any moment; writing again then works."""
        self._check(self._killed(tmp_path, "save", None), {1}, may_be_missing=True)

    def test_killed_work_resumes_to_the_same_bytes(self, tmp_path: Path) -> None:
        """At any moment: what is left is usable, and the work goes on to the bytes of a run that nothing disturbed."""
        if "work" not in self._store():
            pytest.skip("the store has no work() to resume")
        self._check(self._killed(tmp_path, "work", None), None, may_be_missing=True)

    def _store(self) -> dict[str, Any]:
        names = namespace(self.source)
        missing = [name for name in ("save", "load") if name not in names]
        assert not missing, f"source: expected functions save and load, found no {missing[0]}"
        return names

    def _killed(self, folder: Path, call: str, before: int | None) -> list[dict[str, Any]]:
        if not hasattr(os, "fork"):
            pytest.skip("killing at every moment needs a system that can fork")
        job = {"source": self.source, "folder": str(folder), "name": self.name, "most": self.most, "call": call,
               "before": before}
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run([sys.executable, "-W", "ignore", "-m", "ident_theory.testing.conformance.killing"],
                              input=json.dumps(job), capture_output=True, text=True, check=False,
                              env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        assert done.returncode == 0, f"the store does not run in a process of its own:\n{done.stderr[-2000:]}"
        cases: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["cases"]
        assert any(case["killed"] for case in cases), "no kill took place"
        return cases

    @staticmethod
    def _check(cases: list[dict[str, Any]], allowed: set[int] | None, *, may_be_missing: bool) -> None:
        for case in cases:
            at = f"killed at moment {case['moment']} of {cases[-1]['moment']} ({case['place']})"
            if not case["exists"]:
                assert may_be_missing, f"{at}: what was stored before is gone"
            else:
                readable, found = "result" in case["loaded"], case["loaded"].get("result")
                assert readable, f"{at}: what is left cannot be read: {case['loaded'].get('error', 'killed')}"
                assert allowed is None or found in allowed, f"{at}: read {found!r}, which is torn"
            goes_on = "result" in case["again"]
            assert goes_on, f"{at}: it cannot go on: {case['again'].get('error', 'killed')}"
            assert case["same"], f"{at}: going on gives other bytes than a run that nothing disturbed"
