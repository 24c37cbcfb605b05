"""The exceptions of the toolkit: one root, one class a situation.

Every message says what was expected, what came, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake in a model description.

    Attributes
    ----------
    path : str
        Where it is, as a user would address it: ``prior.weights[1]``.
    expected, found : str
        What should stand there and what stands there.
    advice : str
        What to do about it; may be empty.
    """

    path: str
    expected: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        tail = f"; {self.advice}" if self.advice else ""
        return f"{self.path}: expected {self.expected}, found {self.found}{tail}"


class IdentTheoryError(Exception):
    """Root of every exception that this package raises on purpose."""


class InputError(IdentTheoryError, ValueError):
    """An argument of a call is not usable; nothing was computed or written."""


class ModelError(InputError):
    """A model was described with mistakes; ``problems`` lists all of them."""

    def __init__(self, problems: Sequence[Problem], where: str = "model") -> None:
        self.problems, self.where = tuple(problems), where
        count = len(self.problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{where}: {count} mistake{'s' if count != 1 else ''}\n{lines}")

    def __reduce__(self) -> tuple[type[ModelError], tuple[Sequence[Problem], str]]:
        return type(self), (self.problems, self.where)  # so that it comes whole out of another process


class SpecError(ModelError):
    """A model file cannot be read as a model; ``problems`` lists every mistake with its path."""


class DegenerateLawError(IdentTheoryError):
    """The asked-for quantity does not exist for this law (it has atoms, or lives on a curve)."""


class UnsupportedError(IdentTheoryError):
    """A legal request that this version cannot serve; the message names what can be used instead."""


class BudgetExceeded(IdentTheoryError):
    """The work allowed was used up before the asked accuracy was met; raise the budget or the tolerance."""


class StoreMismatchError(IdentTheoryError):
    """A stored result belongs to other settings; the message names them. Start afresh or choose another place."""


class StoreWriteError(IdentTheoryError):
    """A result could not be written; what was stored before stays usable. Free space or rights and run again."""


class CertificateRejected(IdentTheoryError):
    """A certificate or witness does not prove what it claims; the message names the step that fails."""


class UnsupportedLayerError(UnsupportedError, InputError):
    """A torch module holds layers that cannot be converted; the message lists all of them."""
