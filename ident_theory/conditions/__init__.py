"""Identifiability: conditions on decoder, prior and noise, theorems as rules, and what follows.

Names load on first use. The function that puts it all together is ``check.check``, as `ident_theory.check`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ident_theory.conditions.lattice import Equivalence, Target
    from ident_theory.conditions.result import Conclusion, Missing, NextStep, Report, TheoremResult
    from ident_theory.conditions.rule import Theorem, Verdict
    from ident_theory.conditions.theorems import THEOREMS
    from ident_theory.conditions.verification import verify_report

_HOME_OF = {"Equivalence": "lattice", "Target": "lattice", "Conclusion": "result",
            "Missing": "result", "NextStep": "result", "Report": "result", "TheoremResult": "result",
            "Theorem": "rule", "Verdict": "rule", "THEOREMS": "theorems", "verify_report": "verification"}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
