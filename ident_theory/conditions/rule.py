"""A theorem as a rule: which conditions it asks for, and what it concludes about which target."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from ident_theory.conditions.lattice import Equivalence, Target


@dataclass(frozen=True)
class Premise:
    """One hypothesis: at least one of several groups of conditions holds as a whole.

    Attributes
    ----------
    groups : tuple of tuple of str
        Condition ids. A plain condition is one group of one id.
    """

    groups: tuple[tuple[str, ...], ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition id named."""
        return tuple(dict.fromkeys(name for group in self.groups for name in group))

    def __str__(self) -> str:
        return " or ".join("+".join(group) for group in self.groups)


def premises(*items: str | Premise) -> tuple[Premise, ...]:
    """Plain condition ids and whole premises as a tuple of premises."""
    return tuple(item if isinstance(item, Premise) else Premise(((item,),)) for item in items)


class Verdict(enum.StrEnum):
    """What a theorem has to say about a model."""

    APPLIES = "applies"
    UNDECIDED = "undecided"
    MISSES = "does not apply"


@dataclass(frozen=True)
class Theorem:
    """An identifiability theorem, as corrected in the theory ledger.

    Attributes
    ----------
    id : str
        Claim id of the ledger.
    statement : str
        The corrected statement in our own words.
    scope : tuple of str
        Facts about the form of the model (`ident_theory.conditions.scope`) without which it says nothing.
    premises : tuple of Premise
        All of them are needed.
    conclusions : mapping of Target to Equivalence
    correction : str
        What the ledger changed against the printed statement; empty when it stands as printed.
    references : tuple of str
        Keys of the bibliography.
    detail : mapping of Target to str
        What the conclusion says beyond its equivalence.
    """

    id: str
    statement: str
    scope: tuple[str, ...]
    premises: tuple[Premise, ...]
    conclusions: Mapping[Target, Equivalence]
    correction: str
    references: tuple[str, ...]
    detail: Mapping[Target, str] = field(default_factory=dict)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition id that its premises name."""
        return tuple(dict.fromkeys(name for premise in self.premises for name in premise.conditions))
