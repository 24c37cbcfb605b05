"""What would supply a missing condition: advice about the model, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ident_theory.conditions.result import Missing
from ident_theory.conditions.scope import statistics_count
from ident_theory.exact.findings import Finding
from ident_theory.numerics import Status

_ADVICE = {
    "P1": "give every component a positive definite covariance, or drop the latent directions without variance",
    "P1.distinct": "merge components with equal mean and covariance, or let them differ",
    "positivity": "give every combination of states of U a positive probability",
    "P2": "take diagonal covariances and let the variances differ between two states, with pairwise distinct ratios",
    "P3": "let every state change the law of every latent it acts on, and no hidden variable act only where another "
          "one acts",
    "L1": "let no two hidden variables act on the same latents; merge those that do",
    "L2": "split a hidden variable that stands for several",
    "L3": "let every state change the law of every latent it acts on",
    "L4": "let no hidden variable act only where another one acts",
    "F1": "take a piecewise affine decoder, such as a ReLU network",
    "F2": "let some open part of the image be reached by one latent point only: break the fold there, by an output "
          "that tells its two sides apart or unequal ranges of values",
    "F3": "let overlapping pieces of the decoder have different images, almost everywhere: further outputs, or wider "
          "layers of full column rank",
    "F4": "let the decoder be injective: leaky ReLU with layers of full column rank and non-decreasing widths is, "
          "ReLU needs about twice the width in each layer",
    "continuous": "let neighbouring pieces of the decoder meet at their breakpoints",
    "dimension": "observe at least as many coordinates as there are latents",
    "noise.known": "fix the law of the noise, with its scale",
    "ivae.noise": "take noise whose characteristic function has no zeros on an open set: Gaussian, Laplace, logistic, "
                  "Student or uniform, or none",
    "exp.positive": "take a base measure that is positive on the whole support",
    "exp.minimal": "drop sufficient statistics that are linear combinations of the others and a constant",
    "exp.strong": "let the sufficient statistics be independent of 1 on every set of positive measure",
    "exp.bounded": "take statistics that are bounded on one side, such as z^2 with the variances varying",
    "exp.C1": "take continuously differentiable sufficient statistics",
    "prior.standard": "standardise the prior: an affine map of z moves its mean and covariance into the decoder",
}
_ADVICE["ivae.injective"] = _ADVICE["F4"]


def supply(missing: Missing, findings: Mapping[str, Finding], tree: Mapping[str, Any]) -> str:
    """One sentence on what to change, or, for an undecided condition, on what would decide it."""
    if missing.status is Status.UNKNOWN:
        return missing.reason
    if missing.condition == "ivae.L":
        return _more_values(findings, tree)
    return _ADVICE.get(missing.condition, missing.reason)


def _more_values(findings: Mapping[str, Finding], tree: Mapping[str, Any]) -> str:
    """What keeps L singular: too few values of u, or parameters that vary in too few directions."""
    rows = tree["prior"]["natural_parameters"]
    needed, have = len(rows[0]) * statistics_count(tree) + 1, len(rows)
    if have < needed:
        fewer = (have - 1) // statistics_count(tree)
        tail = f"; or use at most {fewer} latent{'s' if fewer > 1 else ''}" if fewer else ""
        values = f"{needed - have} more value{'s' if needed - have > 1 else ''} of u"
        return f"add {values}: nk + 1 = {needed} are needed, the prior has {have}{tail}"
    return f"let the parameters vary in every direction: {findings['ivae.L'].reason}"
