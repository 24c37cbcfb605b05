"""What assertions found, as rows that the pytest plugin collects. Only the standard library is imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

#: Listeners of the running test; the plugin puts one here.
_LISTENERS: list[Callable[[VerdictRow], None]] = []


@dataclass(frozen=True)
class VerdictRow:
    """One line of the table of verdicts.

    Attributes
    ----------
    model : str
        Name of the model, or what it is made of.
    question : str
        The condition, theorem or equivalence asked about.
    expected : str
        The answer that the test asks for.
    verdict : str
        The answer.
    evidence : str
        What it rests on; "-" for an undecided one.
    reason : str
        One line.
    passed : bool
    """

    model: str
    question: str
    expected: str
    verdict: str
    evidence: str
    reason: str
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


class VerdictError(AssertionError):
    """A model, pair or algorithm is not what the test asks for.

    Attributes
    ----------
    rows : tuple of VerdictRow
        What failed.
    report : object
        The `Report`, `Finding` or `Correspondence` behind it, or the smallest failing truth; None where there is none.
    """

    def __init__(self, message: str, rows: tuple[VerdictRow, ...] = (), report: Any = None) -> None:
        super().__init__(message)
        self.rows, self.report = rows, report

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.rows, self.report)


class UndecidedError(VerdictError):
    """The question could not be decided: neither a pass nor a counterexample."""


def tell(row: VerdictRow) -> None:
    """Tell the plugin, if it listens, what an assertion found."""
    for listener in tuple(_LISTENERS):
        listener(row)


@contextmanager
def listening(listener: Callable[[VerdictRow], None]) -> Iterator[None]:
    """Give every row to a listener for a while."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def failing_rows(error: BaseException | None) -> tuple[VerdictRow, ...]:
    """The rows of the verdict errors behind an exception: itself, its group, its causes."""
    rows: list[VerdictRow] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        item = waiting.pop(0)
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, VerdictError):
            rows += item.rows
        elif isinstance(item, BaseExceptionGroup):
            waiting += item.exceptions
        else:
            waiting += [item.__cause__, item.__context__]
    return tuple(dict.fromkeys(rows))
