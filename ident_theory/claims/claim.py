"""A claim of the literature, the evidence that its check collects, and the verdict that follows from the evidence.

No verdict is ever written down: `Outcome.verdict` is computed from the pieces of evidence by the rule in its docstring.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ident_theory.errors import InputError
from ident_theory.numerics import Evidence, weakest

if TYPE_CHECKING:
    from ident_theory.claims.record import Record
    from ident_theory.claims.universal import Universal


class Verdict(enum.StrEnum):
    """What the check of a claim found."""

    VERIFIED = "verified"  #: the printed statement holds: exact, symbolic or certified
    SUPPORTED = "supported"  #: no counterexample on the cases tried, their number stated; not a proof
    REFUTED = "refuted"  #: an explicit counterexample to the printed statement, checked again at this run
    GAP = "gap"  #: the statement stands, a step of the printed argument has a counterexample
    REPAIRED = "repaired"  #: the printed statement is refuted, the corrected one passes a check of its own
    TYPO = "typo"  #: as repaired, where the correction only mends notation
    OPEN = "open"  #: no check, or one that did not come to an end, or one that contradicts itself


class Kind(enum.StrEnum):
    """What sort of statement a claim is."""

    DEFINITION = "definition"
    THEOREM = "theorem"
    PROPOSITION = "proposition"
    LEMMA = "lemma"
    COROLLARY = "corollary"
    REMARK = "remark"
    EXAMPLE = "example"
    IDENTITY = "identity"
    TABLE = "table"
    NUMBER = "number"
    CLAIM = "claim"  #: an assertion in the running text
    REPAIR = "repair"  #: ours: a statement that replaces one of the paper's, or its proof
    ADDED = "added"  #: ours: a fact around the paper's claims that the paper does not state


class Part(enum.StrEnum):
    """Which text a piece of evidence is about."""

    PRINTED = "printed"  #: the statement as the paper prints it
    ARGUMENT = "argument"  #: a step of the printed proof
    CORRECTED = "corrected"  #: the corrected statement


class Effect(enum.StrEnum):
    """What a piece of evidence does to its text."""

    PROVES = "proves"
    SUPPORTS = "supports"
    REFUTES = "refutes"
    FAILED = "failed"  #: the computation did not show what it was written to show


@dataclass(frozen=True)
class Paper:
    """A source of claims."""

    key: str  #: prefix of its claim ids
    title: str
    authors: str
    year: int
    citation: str  #: key in `ident_theory.conditions.bibliography`; empty for our own statements


@dataclass(frozen=True)
class Correction:
    """What a false statement should say.

    Attributes
    ----------
    statement : str
        The corrected statement.
    hypotheses : tuple of str
        Those that the printed statement lacks.
    notational : bool
        Whether only notation is mended (an index, a sign in a formula that the text around has right, a wrong symbol).
    """

    statement: str
    hypotheses: tuple[str, ...] = ()
    notational: bool = False


@dataclass(frozen=True)
class Claim:
    """One claim, in our own words, with its check.

    Attributes
    ----------
    id : str
        Stable for ever.
    paper : Paper
    place : str
        Where it stands in the paper.
    kind : Kind
    statement : str
    hypotheses : tuple of str
        Every hypothesis of the printed statement, tacit ones included.
    correction : Correction or None
        Where the printed statement is wrong.
    argument : str
        The printed argument, where a step of it is refuted.
    covers : tuple of str
        The paper's numbered statements that this claim answers for: ``"Theorem 1"``, ``"Table 2"``.
    scope : str
        What the check leaves out; empty if nothing.
    aliases : tuple of str
        Other ids under which it is found: those of theorems in `ident_theory.conditions`, and of tables.
    slow : bool
        Left out of the fast part of the ledger.
    universal : callable or None
        Makes the quantified form of the corrected (or else the printed) statement, for the refutation search.
    check : callable
        Collects evidence into a `Record`.
    """

    id: str
    paper: Paper
    place: str
    kind: Kind
    statement: str
    check: Callable[[Record], None]
    hypotheses: tuple[str, ...] = ()
    correction: Correction | None = None
    argument: str = ""
    covers: tuple[str, ...] = ()
    scope: str = ""
    aliases: tuple[str, ...] = ()
    slow: bool = False
    universal: Callable[[], Universal[Any]] | None = None


@dataclass(frozen=True)
class Piece:
    """One piece of evidence.

    Attributes
    ----------
    part : Part
    effect : Effect
    evidence : Evidence
    text : str
        What was computed, with the numbers.
    cases : int
        Cases that were tried; 0 where none were.
    shown : str
        A counterexample as something a user can paste: a model file, or the numbers.
    seconds : float
    """

    part: Part
    effect: Effect
    evidence: Evidence
    text: str
    cases: int = 0
    shown: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What the check of one claim returned.

    Attributes
    ----------
    claim : Claim
    pieces : tuple of Piece
    seconds : float
    error : str
        Why the check did not come to an end; empty if it did.
    """

    claim: Claim
    pieces: tuple[Piece, ...]
    seconds: float = 0.0
    error: str = ""

    def of(self, part: Part, effect: Effect | None = None) -> tuple[Piece, ...]:
        """The pieces about this text, of this effect."""
        return tuple(p for p in self.pieces if p.part is part and effect in (None, p.effect))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the verdict is open although a check exists: it failed, or it contradicts itself."""
        found = [self.error] if self.error else []
        found += [f"{p.part}: {p.text}" for p in self.pieces if p.effect is Effect.FAILED]
        found += [f"{part}: proved and refuted at once" for part in Part
                  if self.of(part, Effect.PROVES) and self.of(part, Effect.REFUTES)]
        if self.claim.correction is not None and self.of(Part.CORRECTED, Effect.REFUTES):
            found.append("corrected: refuted")
        return tuple(found)

    @property
    def verdict(self) -> Verdict:
        """The verdict that the evidence gives.

        ``open`` with a problem or without evidence about the statement. A refuted statement is ``refuted``, or
        ``repaired`` (``typo`` for notation) if its correction is proved or supported. A statement that is not refuted
        is a ``gap`` if a step of its argument is refuted; otherwise ``verified`` if it is proved and ``supported`` if
        not.
        """
        if self.problems:
            return Verdict.OPEN
        if self.of(Part.PRINTED, Effect.REFUTES):
            if self.claim.correction is None or not self.of(Part.CORRECTED):
                return Verdict.REFUTED
            return Verdict.TYPO if self.claim.correction.notational else Verdict.REPAIRED
        if not self.of(Part.PRINTED):
            return Verdict.OPEN
        if self.of(Part.ARGUMENT, Effect.REFUTES):
            return Verdict.GAP
        return self.standing(Part.PRINTED)

    def standing(self, part: Part) -> Verdict:
        """One text by itself: refuted, verified, supported, or open where there is no evidence."""
        for effect, verdict in ((Effect.REFUTES, Verdict.REFUTED), (Effect.PROVES, Verdict.VERIFIED),
                                (Effect.SUPPORTS, Verdict.SUPPORTED)):
            if self.of(part, effect):
                return verdict
        return Verdict.OPEN

    @property
    def evidence(self) -> Evidence:
        """The weakest grade that the verdict rests on: for each text the strongest of what decides it."""
        order = list(Evidence)
        grades = []
        for part in Part:
            effect = {Verdict.REFUTED: Effect.REFUTES, Verdict.VERIFIED: Effect.PROVES,
                      Verdict.SUPPORTED: Effect.SUPPORTS}.get(self.standing(part))
            if effect is not None:
                grades.append(min((p.evidence for p in self.of(part, effect)), key=order.index))
        return weakest(grades)

    @property
    def cases(self) -> int:
        """Cases tried in support, random ones and instances, of all texts."""
        return sum(p.cases for p in self.pieces if p.effect is Effect.SUPPORTS)

    @property
    def counterexamples(self) -> tuple[Piece, ...]:
        """What refutes the statement or a step of its argument."""
        return tuple(p for p in self.pieces if p.effect is Effect.REFUTES)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        claim = self.claim
        correction = None if claim.correction is None else {
            "statement": claim.correction.statement, "hypotheses": list(claim.correction.hypotheses),
            "notational": claim.correction.notational}
        return {
            "id": claim.id, "paper": claim.paper.key, "place": claim.place, "kind": str(claim.kind),
            "verdict": str(self.verdict), "evidence": str(self.evidence), "cases": self.cases,
            "seconds": round(self.seconds, 4), "problems": list(self.problems), "statement": claim.statement,
            "hypotheses": list(claim.hypotheses), "correction": correction, "argument": claim.argument,
            "covers": list(claim.covers), "aliases": list(claim.aliases), "scope": claim.scope,
            "printed": str(self.standing(Part.PRINTED)), "argument_verdict": str(self.standing(Part.ARGUMENT)),
            "corrected": str(self.standing(Part.CORRECTED)),
            "pieces": [{"part": str(p.part), "effect": str(p.effect), "evidence": str(p.evidence), "text": p.text,
                        "cases": p.cases, "shown": p.shown, "seconds": round(p.seconds, 4)} for p in self.pieces]}


class Chapter:
    """The claims of one module, in the order in which they are written.

    Examples
    --------
    >>> chapter = Chapter(IVAE)                                                           # doctest: +SKIP
    >>> @chapter.claim("ivae.eq21", place="eq. 21", kind=Kind.IDENTITY, statement="...")  # doctest: +SKIP
    ... def differences_remove_normalisers(on: Record) -> None: ...
    """

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.claims: list[Claim] = []

    def claim(self, id: str, *, place: str, kind: Kind, statement: str, **fields: Any,
              ) -> Callable[[Callable[[Record], None]], Callable[[Record], None]]:
        """Decorate a check: it becomes the claim of this id."""
        if not id.startswith(f"{self.paper.key}."):
            raise InputError(f"claim id {id!r}: expected one that begins with {self.paper.key!r} and a dot")

        def enter(check: Callable[[Record], None]) -> Callable[[Record], None]:
            self.claims.append(Claim(id=id, paper=self.paper, place=place, kind=kind, statement=statement,
                                     check=check, **fields))
            return check

        return enter
