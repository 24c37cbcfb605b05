"""The ledger: every claim of the five papers as an executable check whose verdict is computed.

Names load on first use.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.claims.catalogue import find, ledger
    from ident_theory.claims.claim import Chapter, Claim, Correction, Effect, Kind, Outcome, Paper, Part, Piece, Verdict
    from ident_theory.claims.record import Record
    from ident_theory.claims.result import LedgerReport
    from ident_theory.claims.run import run_claim, run_claims
    from ident_theory.claims.universal import FAST, FULL, Effort, Search, Universal

__all__ = [
    "FAST",
    "FULL",
    "Chapter",
    "Claim",
    "Correction",
    "Effect",
    "Effort",
    "Kind",
    "LedgerReport",
    "Outcome",
    "Paper",
    "Part",
    "Piece",
    "Record",
    "Search",
    "Universal",
    "Verdict",
    "find",
    "ledger",
    "run_claim",
    "run_claims",
]

__getattr__, __dir__ = lazy_names(__name__, {
    "claim": ("Chapter", "Claim", "Correction", "Effect", "Kind", "Outcome", "Paper", "Part", "Piece", "Verdict"),
    "catalogue": ("find", "ledger"),
    "record": ("Record",),
    "result": ("LedgerReport",),
    "run": ("run_claim", "run_claims"),
    "universal": ("FAST", "FULL", "Effort", "Search", "Universal"),
})
