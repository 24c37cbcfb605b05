"""What a run over many claims came to."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ident_theory.claims.claim import Outcome, Verdict


@dataclass(frozen=True)
class LedgerReport:
    """The outcomes of a run.

    Attributes
    ----------
    outcomes : tuple of Outcome
        In the order of the ledger.
    seconds : float
        Wall time of the run.
    fast : bool
        Whether slow claims were left out and fewer random cases drawn.
    left_out : tuple of str
        Ids of the claims that were asked for and left out because they are slow.
    """

    outcomes: tuple[Outcome, ...]
    seconds: float
    fast: bool = False
    left_out: tuple[str, ...] = ()

    def __getitem__(self, id: str) -> Outcome:
        """The outcome of the claim of this id."""
        return next(outcome for outcome in self.outcomes if outcome.claim.id == id)

    def counts(self, paper: str | None = None) -> dict[Verdict, int]:
        """How many claims (of a paper) have each verdict; every verdict is a key."""
        found = Counter(o.verdict for o in self.outcomes if paper in (None, o.claim.paper.key))
        return {verdict: found[verdict] for verdict in Verdict}

    def to_json(self, indent: int | None = None) -> str:
        """Everything as text."""
        plain: dict[str, Any] = {
            "format": "ident_theory.claims", "version": version("ident_theory"), "fast": self.fast,
            "seconds": round(self.seconds, 3), "counts": {str(v): n for v, n in self.counts().items()},
            "left_out": list(self.left_out), "claims": [outcome.to_dict() for outcome in self.outcomes]}
        return json.dumps(plain, indent=indent, ensure_ascii=False)
