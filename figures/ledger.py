"""Every claim of the ledger as a square in the colour of its verdict, paper by paper.

Reads the results stored in experiments/ledger/results and computes nothing (`make ledger` renews them).
"""

from __future__ import annotations

import json
from pathlib import Path

from ident_theory.report import ledger_figure, save_figure

HERE = Path(__file__).resolve().parent
STORED = HERE.parent / "experiments" / "ledger" / "results" / "claims.json"

if __name__ == "__main__":
    save_figure(ledger_figure(json.loads(STORED.read_text())), HERE / "ledger.png")
