"""Universally quantified claims, and the search for a counterexample that drops a hypothesis on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, assume, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from ident_theory.errors import InputError
from ident_theory.numerics import Evidence

C = TypeVar("C")


@dataclass(frozen=True)
class Effort:
    """How much of the random search of a check is done."""

    share: float
    least: int = 20

    def scaled(self, cases: int) -> int:
        """This many cases at this effort."""
        return max(min(cases, self.least), round(cases * self.share))


FULL = Effort(1.0)
FAST = Effort(0.1)


@dataclass(frozen=True)
class Search:
    """What a search for a counterexample came to.

    Attributes
    ----------
    statement : str
    without : tuple of str
        Hypotheses that were dropped.
    cases : int
        Cases that met the hypotheses and were decided, up to the first counterexample.
    undecided, discarded : int
        Cases whose conclusion could not be decided; cases that did not meet the hypotheses.
    value : object or None
        The smallest counterexample found.
    counterexample : str or None
        The same as something to paste.
    seconds : float
    """

    statement: str
    without: tuple[str, ...]
    cases: int
    undecided: int
    discarded: int
    value: Any
    counterexample: str | None
    seconds: float

    @property
    def text(self) -> str:
        """One line."""
        dropped = f" without {', '.join(self.without)}" if self.without else ""
        undecided = f", {self.undecided} more undecided" if self.undecided else ""
        cases = "1 random case" if self.cases == 1 else f"{self.cases} random cases"
        if self.counterexample is None:
            return f"no counterexample in {cases}{undecided}{dropped}: {self.statement}"
        return f"counterexample after {cases}{dropped}: {self.statement}"


class _FalsifiedError(Exception):
    """The conclusion does not hold for a case."""


@dataclass(frozen=True)
class Universal(Generic[C]):
    """For every case that meets the hypotheses, the conclusion holds.

    Attributes
    ----------
    statement : str
        The same in words.
    cases : callable
        From the set of dropped hypotheses to a hypothesis strategy. With a hypothesis dropped, cases that violate it
        must be common, and degenerate ones always.
    conclusion : callable
        True, False, or None where it could not be decided.
    hypotheses : mapping of str to callable
        Name -> whether a case meets it, tested on every case unless it is dropped.
    needed : tuple of str
        The hypotheses without which the search is known to find a counterexample.
    show : callable
        A case as text that a user can paste.
    evidence : Evidence
        How the conclusion of a single case is decided.
    """

    statement: str
    cases: Callable[[frozenset[str]], SearchStrategy[C]]
    conclusion: Callable[[C], bool | None]
    hypotheses: Mapping[str, Callable[[C], bool]] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    show: Callable[[C], str] = repr
    evidence: Evidence = Evidence.EXACT

    def __post_init__(self) -> None:
        self._require(self.needed, "needed")

    def meets(self, case: C, without: Iterable[str] = ()) -> bool:
        """Whether a case meets every hypothesis but these."""
        dropped = set(without)
        return all(test(case) for name, test in self.hypotheses.items() if name not in dropped)

    def search(self, *, cases: int = 200, without: Iterable[str] = (), seconds: float | None = 60.0,
               random_seed: int = 0) -> Search:
        """Look for a counterexample, and shrink it if there is one.

        Parameters
        ----------
        cases : int
            Cases to draw.
        without : iterable of str
            Hypotheses to drop.
        seconds : float or None
            No new case is decided after this time; a counterexample is shrunk all the same.
        random_seed : int
            The same seed finds the same cases.
        """
        dropped = tuple(without)
        self._require(dropped, "without")
        counts = {"cases": 0, "undecided": 0, "discarded": 0}
        smallest: list[C] = []
        start = monotonic()

        @seed(random_seed)
        @settings(max_examples=cases, database=None, deadline=None, derandomize=False, print_blob=False,
                  report_multiple_bugs=False, phases=(Phase.generate, Phase.shrink), verbosity=Verbosity.quiet,
                  suppress_health_check=list(HealthCheck))
        @given(self.cases(frozenset(dropped)))
        def decide(case: C) -> None:
            if not smallest and seconds is not None and monotonic() - start > seconds:
                return
            meets = self.meets(case, dropped)
            if not smallest and not meets:
                counts["discarded"] += 1
            assume(meets)
            answer = self.conclusion(case)
            if not smallest:
                counts["undecided" if answer is None else "cases"] += 1
            if answer is not None and not answer:
                smallest[:] = [case]
                raise _FalsifiedError

        with suppress(_FalsifiedError, Unsatisfiable):
            decide()
        value = smallest[0] if smallest else None
        return Search(self.statement, dropped, counts["cases"], counts["undecided"], counts["discarded"], value,
                      self.show(smallest[0]) if smallest else None, monotonic() - start)

    def _require(self, names: Iterable[str], where: str) -> None:
        unknown = [name for name in names if name not in self.hypotheses]
        if unknown:
            raise InputError(f"{where}: unknown hypothesis {unknown[0]!r}; this statement has "
                             + (", ".join(map(repr, self.hypotheses)) or "none that can be dropped"))
