"""Plugin of pytest: the table of verdicts of failing tests, profiles of hypothesis, verdicts as JSON.

Every run of pytest loads it, so it imports nothing heavy: neither numpy nor hypothesis until an option asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ident_theory.files import write_atomically
from ident_theory.testing.verdicts import VerdictRow, failing_rows, listening

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

#: The profiles of `ident_theory.testing.profiles`, which is imported only when one is asked for.
PROFILES = ("ci", "dev", "thorough")
FORMAT = 1
#: Attribute of reports of tests, which travel between processes; not a user property, which goes into junit files.
_KEY = "ident_theory_verdicts"
#: Rows of passing assertions that one test keeps; a property may make thousands.
_MOST = 100
_HEADINGS = ("test", "model", "question", "expected", "verdict", "evidence", "reason")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("ident_theory", "identifiability checks (ident_theory)")
    group.addoption("--ident-profile", choices=PROFILES, default=None,
                    help="profile of hypothesis: ci draws the same examples everywhere, dev few, thorough many")
    group.addoption("--ident-json", metavar="FILE", default=None, help="write the verdicts of all assertions to FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile asked for, and collect verdicts where the summary is written."""
    name = config.getoption("--ident-profile")
    if name is not None:
        from ident_theory.testing.profiles import load

        load(name)
    config.pluginmanager.register(_Collector(config), "ident_theory_collector")


class _Collector:
    """What one run collects. With several processes only the first one, which has no `workerinput`, writes."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.told: dict[VerdictRow, int] = {}
        self.rows: list[dict[str, Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        """Listen to the assertions of fixtures."""
        return (yield from self._listen())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Listen to the assertions of one test."""
        return (yield from self._listen())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Listen to the assertions of finalizers."""
        return (yield from self._listen())

    def _listen(self) -> Generator[None, None, None]:
        self.told = {}
        with listening(self._hear):
            return (yield)

    def _hear(self, row: VerdictRow) -> None:
        if row in self.told or len(self.told) < _MOST:
            self.told[row] = self.told.get(row, 0) + 1

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any],
                                  ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the rows on the report of the test, which travels between processes."""
        report = yield
        failed = failing_rows(call.excinfo.value) if report.failed and call.excinfo is not None else ()
        rows = [{**row.to_dict(), "times": times} for row, times in self.told.items()]
        rows += [{**row.to_dict(), "times": 1} for row in failed]
        if rows:
            setattr(report, _KEY, json.dumps(rows))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the rows off the report."""
        self.rows += [{"test": report.nodeid, **row} for row in json.loads(getattr(report, _KEY, "[]"))]

    def _sorted(self) -> list[dict[str, Any]]:
        """By test: the same order whichever process was first."""
        return sorted(self.rows, key=lambda row: str(row["test"]))

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the verdicts of failing tests."""
        failing = [row for row in self._sorted() if not row["passed"]]
        if failing:
            terminalreporter.section("identifiability verdicts")
            for line in table(failing, terminalreporter._tw.fullwidth):
                terminalreporter.line(line)

    def pytest_sessionfinish(self) -> None:
        """Write the file of verdicts, whole or not at all."""
        place = self.config.getoption("--ident-json")
        if place is None or hasattr(self.config, "workerinput"):
            return
        file = Path(place)
        text = json.dumps({"format": FORMAT, "kind": "identifiability verdicts", "verdicts": self._sorted()}, indent=1)
        write_atomically(file, f"{text}\n".encode())


def table(rows: list[dict[str, Any]], width: int) -> list[str]:
    """Rows as aligned lines; the reason, last, is cut so that each row is one line of at most `width`."""
    cells = [_HEADINGS, *(tuple(str(row[name]) for name in _HEADINGS) for row in rows)]
    sizes = [max(len(line[i]) for line in cells) for i in range(len(_HEADINGS) - 1)]
    room = max(40, width - sum(sizes) - 2 * len(sizes))
    return ["  ".join([*(cell.ljust(size) for cell, size in zip(line, sizes, strict=False)), _cut(line[-1], room)])
            for line in cells]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[:room - 3] + "..."
