"""What an accepted proof of each kind says about which condition, so that no proof can stand beside another claim."""

from __future__ import annotations

from ident_theory.exact import verify_equality, verify_lines, verify_networks
from ident_theory.numerics import Evidence

_PRIOR: dict[str, dict[str, bool]] = {
    "mixture.definite": {"P1": True},
    "mixture.degenerate": {"P1": False},
    "mixture.distinct": {"P1.distinct": True},
    "mixture.repeated": {"P1.distinct": False},
    "mixture.zero_weight": {"P1.distinct": False, "positivity": False, "P3": False, "L3": False},
    "mixture.positive": {"positivity": True},
    "mixture.scalar": {"P2": True},
    "mixture.ratios": {"P2": True},
    "mixture.dependent": {"P2": False, "L2": True},
    "mixture.equal_ratios": {"P2": False},
    "mixture.neighbourhoods": {"neighbourhoods": True},
    "mixture.undeclared": {"neighbourhoods": False},
    "mixture.unused": {"neighbourhoods": False},
    "mixture.childless": {"P3": False},
    "mixture.equal_law": {"P3": False, "L3": False},
    "mixture.nested": {"P3": False, "L4": False},
    "mixture.p3": {"P3": True},
    "mixture.no_twins": {"L1": True},
    "mixture.twins": {"L1": False},
    "mixture.nondegenerate": {"L2": True, "L3": True},
    "mixture.unsplittable": {"L2": True},
    "mixture.split": {"L2": False},
    "mixture.antichain": {"L4": True},
}

_GIVEN_U: dict[str, dict[str, bool]] = {
    "family.slopes": {"ivae.statistics": True},
    "family.flat_statistic": {"ivae.statistics": False},
    "family.minimal_points": {"exp.minimal": True},
    "family.relation": {"exp.minimal": False, "exp.strong": False},
    "family.derivative_points": {"ivae.lem1": True},
    "family.no_derivative_points": {"ivae.lem1": False},
    "family.strong": {"exp.strong": True},
    "family.flat_piece": {"exp.strong": False},
    "family.positive": {"exp.positive": True},
    "family.base_zero": {"exp.positive": False},
    "family.base_negative": {"exp.positive": False},
    "family.bounded": {"exp.bounded": True},
    "family.unbounded": {"exp.bounded": False},
    "family.analytic": {"exp.analytic": True},
    "family.smooth": {"exp.C1": True},
    "family.jump": {"exp.C1": False},
    "l_matrix.invertible": {"ivae.L": True},
    "l_matrix.statistical": {"ivae.L": True},
    "l_matrix.direction": {"ivae.L": False},
    "l_matrix.count": {"ivae.L": False},
    "noise.characteristic_function": {"ivae.noise": True},
    "noise.vanishing": {"ivae.noise": False},
}

#: Kind -> condition id -> True (it holds) or False (it fails).
PROVES: dict[str, dict[str, bool]] = {
    **verify_networks.PROVES, **verify_lines.PROVES, **_PRIOR, **_GIVEN_U, **verify_equality.PROVES}
#: The strongest evidence that a kind can carry, where it is not exact.
BEST_EVIDENCE: dict[str, Evidence] = {
    "l_matrix.statistical": Evidence.STATISTICAL,
    "law.set": Evidence.CERTIFIED,
    **dict.fromkeys((f"family.{name}" for name in ("slopes", "minimal_points", "derivative_points", "strong",
                                                   "base_negative", "jump")), Evidence.CERTIFIED),
}
