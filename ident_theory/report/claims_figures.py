"""The ledger as a picture: every claim a square in the colour of its verdict, paper by paper."""

from __future__ import annotations

from collections import Counter
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ident_theory.claims.claim import Verdict
from ident_theory.claims.papers import PAPERS

#: Colour of the square, letter in it, colour of the letter.
_LOOKS = {
    Verdict.VERIFIED: ("#1b7837", "V", "white"),
    Verdict.SUPPORTED: ("#a6dba0", "S", "black"),
    Verdict.GAP: ("#fee08b", "G", "black"),
    Verdict.TYPO: ("#bcd9ea", "T", "black"),
    Verdict.REPAIRED: ("#2166ac", "P", "white"),
    Verdict.REFUTED: ("#b2182b", "R", "white"),
    Verdict.OPEN: ("#ffffff", "?", "black"),
}
_WORDS = {Verdict.REPAIRED: "false as printed, repaired", Verdict.REFUTED: "refuted",
          Verdict.TYPO: "false as printed, a typo", Verdict.GAP: "gap in the printed proof",
          Verdict.SUPPORTED: "supported by random cases", Verdict.VERIFIED: "verified", Verdict.OPEN: "open"}
#: Squares in a row, and inches of a square.
_ACROSS, _SIDE = 32, 0.27


def ledger_figure(report: dict[str, Any]) -> Figure:
    """Draw the ledger.

    Parameters
    ----------
    report : dict
        A report as ``LedgerReport.to_json`` writes it, read again.
    """
    verdicts = {paper: [Verdict(item["verdict"]) for item in report["claims"] if item["paper"] == paper.key]
                for paper in PAPERS}
    shown = {paper: found for paper, found in verdicts.items() if found}
    rows = sum(-(-len(found) // _ACROSS) + 1.8 for found in shown.values())
    figure = Figure(figsize=(_ACROSS * _SIDE + 0.5, rows * _SIDE + 0.95), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.75 / (rows * _SIDE + 0.95), 0.96, 1 - 0.8 / (rows * _SIDE + 0.95)))
    axes.set_xlim(0, _ACROSS)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal")
    axes.axis("off")
    top = 0.0
    for paper, found in shown.items():
        number = "1 claim" if len(found) == 1 else f"{len(found)} claims"
        axes.text(0.05, top + 1.1, f"{paper.authors} ({paper.year}): {number}", fontsize=9, va="bottom",
                  weight="bold")
        for i, verdict in enumerate(found):
            row, column = divmod(i, _ACROSS)
            face, letter, ink = _LOOKS[verdict]
            axes.add_patch(FancyBboxPatch((column + 0.08, top + 1.28 + row), 0.84, 0.84, lw=0.5, ec="#555555",
                                          boxstyle="round,pad=0,rounding_size=0.12", fc=face))
            axes.text(column + 0.5, top + 1.7 + row, letter, ha="center", va="center", fontsize=6.5, color=ink)
        top += -(-len(found) // _ACROSS) + 1.8
    counts = Counter(verdict for found in shown.values() for verdict in found)
    present = [verdict for verdict in _LOOKS if counts[verdict]]
    handles = [FancyBboxPatch((0, 0), 1, 1, fc=_LOOKS[v][0], ec="#555555", lw=0.5) for v in present]
    labels = [f"{_LOOKS[v][1]}  {_WORDS[v]}: {counts[v]}" for v in present]
    figure.legend(handles, labels, loc="lower left", ncols=3, frameon=False, fontsize=8.5)
    return figure
