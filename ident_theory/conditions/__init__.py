"""Identifiability: conditions on decoder, prior and noise, theorems as rules, and what follows.

Names load on first use. The function that puts it all together is ``check.check``, as `ident_theory.check`.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.conditions.lattice import Equivalence, Target
    from ident_theory.conditions.result import Conclusion, Missing, NextStep, Report, TheoremResult
    from ident_theory.conditions.rule import Theorem, Verdict
    from ident_theory.conditions.theorems import THEOREMS
    from ident_theory.conditions.verification import verify_report

__all__ = [
    "THEOREMS",
    "Conclusion",
    "Equivalence",
    "Missing",
    "NextStep",
    "Report",
    "Target",
    "Theorem",
    "TheoremResult",
    "Verdict",
    "verify_report",
]

__getattr__, __dir__ = lazy_names(__name__, {
    "lattice": ("Equivalence", "Target"),
    "result": ("Conclusion", "Missing", "NextStep", "Report", "TheoremResult"),
    "rule": ("Theorem", "Verdict"),
    "theorems": ("THEOREMS",),
    "verification": ("verify_report",),
})
