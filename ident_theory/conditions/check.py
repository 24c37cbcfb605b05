"""Check a model: every condition, every theorem, what follows, what is missing, and what goes wrong."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any

from ident_theory.conditions.result import Report
from ident_theory.conditions.theorems import Premises, check_declared, choose, conclusions, next_steps
from ident_theory.errors import InputError
from ident_theory.exact.findings import Finding
from ident_theory.models import ConditionalPrior, Model
from ident_theory.numerics import Status, Stopwatch

#: The fixed order of conditions in a report; what is not named here comes last, by name.
ORDER = ("P1", "P1.distinct", "positivity", "P2", "neighbourhoods", "P3", "L1", "L2", "L3", "L4",
         "ivae.statistics", "exp.minimal", "ivae.lem1", "exp.strong", "exp.positive", "exp.bounded", "exp.analytic",
         "exp.C1", "ivae.L",
         "F1", "continuous", "dimension", "F2", "F3", "F4", "ivae.injective", "noise.known", "ivae.noise")


def check(model: Model, theorems: Iterable[str] | None = None, budget: float | None = 60.0, *,
          declared: Iterable[str] = ()) -> Report:
    """Decide the identifiability conditions of a model, and what follows from them.

    Parameters
    ----------
    model : Model
    theorems : iterable of str, optional
        Ids of the theorems to apply; all of them by default.
    budget : float, optional
        Seconds of wall time; None is no limit. What is not decided by then is reported as unknown.
    declared : iterable of str
        Premises that no model shows and that its user vouches for, ids of
        `ident_theory.conditions.theorems.DECLARABLE`; conclusions from them have the evidence ``declared``.

    Returns
    -------
    Report
        Also when nothing could be decided, and for models outside of every theorem.

    Raises
    ------
    InputError
        For something that is no model, an unknown theorem or declaration, or a budget that is not positive.

    Notes
    -----
    **Accuracy.** Findings with the evidence ``exact`` or ``certified`` carry proofs, which ``report.verify()`` checks
    again. A theorem that does not apply says nothing: only an alternative in the report proves that a model is not
    identifiable.
    """
    if not isinstance(model, Model):
        raise InputError(f"check: expected a Model, got {type(model).__name__}; read a file with ident_theory.load, "
                         "convert a torch module with ident_theory.from_torch")
    chosen, vouched = choose(theorems), check_declared(declared)
    if budget is not None and not (isinstance(budget, int | float) and not isinstance(budget, bool)
                                   and isfinite(budget) and budget > 0):
        raise InputError(f"check: expected a budget of seconds > 0 or None, got budget={budget!r}")
    watch = Stopwatch(budget)
    findings = gather(model, watch)
    tree = model.plain()
    known = Premises(findings, tree, vouched)
    results = tuple(known.apply(theorem) for theorem in chosen)
    reached = conclusions(results)
    from ident_theory.conditions.alternatives import alternatives

    others = alternatives(model, findings)
    return Report(tree, findings, results, reached, next_steps(results, reached, known), tuple(others),
                  scope_notes(model, findings), vouched, budget, watch.spent, versions())


def gather(model: Model, watch: Stopwatch) -> dict[str, Finding]:
    """Findings about every condition that concerns the parts of a model, in the order of `ORDER`."""
    from ident_theory.conditions.decoder import decoder_findings
    from ident_theory.conditions.noise import noise_findings

    found: dict[str, Finding] = {}
    if isinstance(model.prior, ConditionalPrior):
        from ident_theory.conditions.l_matrix import l_matrix_finding
        from ident_theory.conditions.statistics import statistics_findings

        found |= statistics_findings(model.prior.family)
        found["ivae.L"] = l_matrix_finding(model.prior)
    else:
        from ident_theory.conditions.prior import prior_findings

        found |= prior_findings(model.prior)
    found |= noise_findings(model.noise)
    found |= decoder_findings(model.decoder, watch)
    if "F4" in found:
        found["ivae.injective"] = replace(found["F4"], condition="ivae.injective")
    rank = {name: place for place, name in enumerate(ORDER)}
    return {name: found[name] for name in sorted(found, key=lambda name: (rank.get(name, len(ORDER)), name))}


def scope_notes(model: Model, findings: dict[str, Finding]) -> tuple[str, ...]:
    """Why no theorem speaks about a model, each with the nearest model about which one does."""
    notes = []
    m, n = model.latent_dim, model.observed_dim
    if m > n:
        notes.append(f"{m} latents and {n} observed coordinate{'s' if n > 1 else ''}: with more latents than "
                     "observations some direction of z leaves no trace (kivva.rem3.3). Nearest model inside: the same "
                     f"with {n} latent{'s' if n > 1 else ''}, or with {m} or more observed coordinates.")
    proper = findings.get("P1")
    if proper is not None and proper.status is Status.FAILS:
        notes.append("The prior has a component without a density, which no theorem covers (kivva.p1). Nearest model "
                     "inside: a positive definite covariance in its place, or fewer latents.")
    noise = findings.get("ivae.noise")
    if noise is not None and noise.status is Status.FAILS and isinstance(model.prior, ConditionalPrior):
        notes.append("The characteristic function of the noise vanishes on an open set, so the noise cannot be "
                     "removed. Nearest model inside: the same with Gaussian noise.")
    return tuple(notes)


def versions() -> dict[str, str]:
    """Versions of what made a report."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in ("ident_theory", "numpy", "scipy", "python-flint", "sympy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
