"""Grades of answers: whether a condition holds, and how strong the evidence is."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Status(enum.StrEnum):
    """Whether a condition holds."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"


class Evidence(enum.StrEnum):
    """What an answer rests on, strongest first."""

    EXACT = "exact"  #: rational arithmetic or a symbolic proof
    CERTIFIED = "certified"  #: balls: rigorous bounds
    NUMERICAL = "numerical"  #: floating point, with the tolerance stated
    STATISTICAL = "statistical"  #: estimates, with the probability stated
    DECLARED = "declared"  #: the user's word


def weakest(grades: Iterable[Evidence]) -> Evidence:
    """The weakest of several grades: what a conclusion from all of them rests on. EXACT for none."""
    order = list(Evidence)
    return order[max((order.index(grade) for grade in grades), default=0)]


class Stopwatch:
    """A budget of wall time that several steps share; None is no limit."""

    def __init__(self, seconds: float | None) -> None:
        from time import monotonic

        self._now = monotonic
        self.seconds = seconds
        self._start = monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self._now() - self._start

    @property
    def left(self) -> float:
        """Seconds left, infinite without a limit; never negative."""
        return float("inf") if self.seconds is None else max(0.0, self.seconds - self.spent)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0.0
