"""What a check writes its evidence into."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from ident_theory.claims.claim import Claim, Effect, Part, Piece
from ident_theory.claims.universal import FULL, Effort, Search, Universal
from ident_theory.errors import InputError
from ident_theory.numerics import Evidence

#: Evidence that may count as a proof.
PROOFS = (Evidence.EXACT, Evidence.CERTIFIED)


class PartRecord:
    """Evidence about one text: the printed statement, its argument, or the corrected statement."""

    def __init__(self, record: Record, part: Part) -> None:
        self._record, self._part = record, part

    def prove(self, holds: bool, text: str, evidence: Evidence = Evidence.EXACT) -> None:
        """A computation that settles the whole text: symbolic, exact over all cases, or with certified bounds.

        An identity that was seen on some instances is no proof: see `support`.
        """
        if evidence not in PROOFS:
            raise InputError(f"prove: expected exact or certified evidence, found {evidence}; use support()")
        self._add(Effect.PROVES if holds else Effect.FAILED, text, evidence)

    def refute(self, contradicts: bool, text: str, *, shown: str = "", evidence: Evidence = Evidence.EXACT) -> None:
        """A counterexample: all hypotheses hold and the conclusion does not, both computed now.

        Parameters
        ----------
        contradicts : bool
        text : str
            What it is, with the numbers.
        shown : str
            The counterexample as something to paste: a model file (`show_model`), or the numbers.
        evidence : Evidence
            NUMERICAL only where the difference is far above the error, and the text says both.
        """
        self._add(Effect.REFUTES if contradicts else Effect.FAILED, text, evidence, shown=shown)

    def support(self, agrees: bool, text: str, *, cases: int, evidence: Evidence = Evidence.NUMERICAL) -> None:
        """The text was seen to hold on this many cases; the evidence grade is that of a single comparison."""
        if cases < 1:
            raise InputError(f"support: expected at least one case, found {cases}")
        self._add(Effect.SUPPORTS if agrees else Effect.FAILED, text, evidence, cases=cases)

    def search(self, universal: Universal[Any] | None = None, *, cases: int = 200,
               without: tuple[str, ...] = ()) -> Search:
        """Look for a counterexample among this many random cases (fewer in the fast part of the ledger).

        What is found refutes the text; nothing found supports it. By default the claim's own quantified form is used.
        """
        factory = self._record.claim.universal
        if universal is None:
            if factory is None:
                raise InputError(f"{self._record.claim.id}: the claim has no quantified form to search")
            universal = factory()
        found = universal.search(cases=self._record.effort.scaled(cases), without=without)
        if found.counterexample is not None:
            self._add(Effect.REFUTES, found.text, universal.evidence, cases=found.cases, shown=found.counterexample)
        else:
            self._add(Effect.SUPPORTS if found.cases else Effect.FAILED, found.text, universal.evidence,
                      cases=found.cases)
        return found

    def _add(self, effect: Effect, text: str, evidence: Evidence, cases: int = 0, shown: str = "") -> None:
        self._record.add(Piece(self._part, effect, evidence, text, cases, shown, self._record.lap()))


class Record:
    """The evidence about one claim while its check runs.

    Attributes
    ----------
    printed, argument, corrected : PartRecord
        Evidence about the statement as printed, a step of its printed proof, and the corrected statement.
    """

    def __init__(self, claim: Claim, effort: Effort = FULL) -> None:
        self.claim, self.effort = claim, effort
        self.pieces: list[Piece] = []
        self.printed = PartRecord(self, Part.PRINTED)
        self.argument = PartRecord(self, Part.ARGUMENT)
        self.corrected = PartRecord(self, Part.CORRECTED)
        self._last = perf_counter()

    def add(self, piece: Piece) -> None:
        """Keep a piece; a correction or an argument has to be stated before there can be evidence about it."""
        if piece.part is Part.CORRECTED and self.claim.correction is None:
            raise InputError(f"{self.claim.id}: evidence about a correction, but the claim states none")
        if piece.part is Part.ARGUMENT and not self.claim.argument:
            raise InputError(f"{self.claim.id}: evidence about the argument, but the claim states none")
        self.pieces.append(piece)

    def lap(self) -> float:
        """Seconds since the last piece."""
        now = perf_counter()
        spent, self._last = now - self._last, now
        return spent
