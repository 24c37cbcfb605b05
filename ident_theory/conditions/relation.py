"""How two models are related: the finest equivalence, the map, and the proofs."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from ident_theory.conditions.comparison import Correspondence
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation_findings import (
    LATENTS,
    LAW,
    UNLISTED,
    accepted,
    condition_of,
    finding,
    findings_of_maps,
    held_kinds,
    latents_finding,
    unrelated,
)
from ident_theory.conditions.relation_maps import Maps, find_maps
from ident_theory.conditions.relation_priors import LatentRelation, latent_relation
from ident_theory.conditions.relation_statistics import Statistics, statistics_of_change, statistics_of_law
from ident_theory.errors import BudgetExceeded, InputError, UnsupportedError
from ident_theory.exact.findings import Certificate, Finding
from ident_theory.geometry.changes import Changes, affine_changes
from ident_theory.laws.identity import require_one_noise
from ident_theory.models import ConditionalPrior, DeclaredMap, Model
from ident_theory.models.model import Prior
from ident_theory.models.value import plain_numbers
from ident_theory.numerics import Status, Stopwatch

__all__ = ["Correspondence", "equivalence"]

#: Of the budget left when all maps are known, for the proof that there are no others of some kind.
PROOF_SHARE = 0.25


def equivalence(model_a: Model, model_b: Model, *, budget: float | None = 60.0) -> Correspondence:
    r"""The finest equivalence that relates two models, with the map and a proof; or a proof that none does.

    Two models are equivalent when an invertible affine h carries the law of the latent, :math:`P_b = h_\# P_a`, and the
    decoder, :math:`f_b = f_a \circ h^{-1}` on all of :math:`R^m`; the kinds of h are ordered as in `Equivalence`.
    Where the decoder of the first model has a cell of full column rank, finitely many h are possible, and each is
    decided in rationals; otherwise the maps between the priors are the candidates. Conditional priors are compared for
    every value of u, in order; for these the last resort is an affine relation of the sufficient statistics.

    Parameters
    ----------
    model_a, model_b : Model
        With one noise and observations of one dimension. Several hidden variables count through P(Z) alone.
    budget : float, optional
        Seconds of wall time; None is no limit.

    Returns
    -------
    Correspondence
        Also when nothing could be decided: the findings say which step ran out.

    Raises
    ------
    InputError
        For something that is no model, different observations or noises, a conditional prior against a mixture, other
        values of u, a decoder without values, or a budget that is not positive.
    UnsupportedError
        For priors with estimated parameters.

    Notes
    -----
    **Accuracy.** Exact. The list of maps is complete unless a finding says otherwise.

    References
    ----------
    Kivva et al. 2022, Definition 2.1, Theorem C.3 and Lemma G.1 (ledger ``kivva.def2.1``, ``kivva.lemG.1a``).
    """
    _check(model_a, model_b, budget)
    clock = Stopwatch(budget)
    if model_a.latent_dim != model_b.latent_dim:
        found = _other_dimension(model_a, model_b, clock)
    else:
        latents = latent_relation(model_a.prior, model_b.prior)
        maps = find_maps(model_a, model_b, latents, clock)
        found = (_related if maps.changes else _not_related)(model_a, model_b, latents, maps, clock)
    repairs = tuple(f"{name} model, {repair}" for name, model in (("first", model_a), ("second", model_b))
                    for repair in model.prior.repairs)
    findings = {name: replace(item, assumptions=tuple(dict.fromkeys((*repairs, *item.assumptions))))
                for name, item in found.findings.items()}
    return replace(found, findings=findings, seconds=clock.spent)


def _related(model_a: Model, model_b: Model, latents: LatentRelation, maps: Maps, clock: Stopwatch) -> Correspondence:
    """What some maps show, at least one."""
    held = held_kinds(maps)
    best = next(iter(held))
    found = findings_of_maps(model_a, model_b, maps, _decoders(model_a, model_b, maps, clock))
    certificate = found[condition_of(best)].certificate
    assert certificate is not None
    change = maps.changes[held[best]]
    findings = {LAW: finding(LAW, Status.HOLDS, "an affine map of the latent carries one model to the other",
                             certificate), **found,
                LATENTS: finding(LATENTS, Status.HOLDS, "the map that relates the models carries the prior",
                                 certificate)}
    return Correspondence(model_a, model_b, best, change, len(maps.changes) if maps.complete else None,
                          best if best.implies(latents.equivalence) else latents.equivalence,
                          statistics_of_change(change, model_a.prior, model_b.prior), findings, clock.spent)


def _not_related(model_a: Model, model_b: Model, latents: LatentRelation, maps: Maps,
                 clock: Stopwatch) -> Correspondence:
    """What is known when no rational map was found."""
    law = _law(model_a, model_b, clock)
    if maps.unlisted and law.status is Status.UNKNOWN:
        law = finding(LAW, Status.HOLDS, UNLISTED)
    about_latents = latents_finding(model_a, model_b, latents)
    decoders = maps.decoders if law.status is Status.FAILS else _decoders(model_a, model_b, maps, clock)
    about_models = unrelated(model_a, model_b, maps, decoders, about_latents, law)
    findings = {LAW: law, about_models.condition: about_models, LATENTS: about_latents}
    best, statistics = _beyond_affine(model_a, model_b, law, findings)
    return Correspondence(model_a, model_b, best, None, 0 if about_models.status is Status.FAILS else None,
                          latents.equivalence, statistics, findings, clock.spent)


def _check(model_a: Model, model_b: Model, budget: float | None) -> None:
    for name, model in (("first", model_a), ("second", model_b)):
        if not isinstance(model, Model):
            raise InputError(f"equivalence: expected two Models, the {name} is of type {type(model).__name__}; read a "
                             "file with ident_theory.load")
        if isinstance(model.decoder, DeclaredMap):
            raise InputError(f"equivalence: expected decoders with values, that of the {name} model is a DeclaredMap; "
                             "give it as a ReLUNetwork or a PiecewiseAffineMap")
    require_one_noise(model_a, model_b, "equivalence")
    priors = model_a.prior, model_b.prior
    if isinstance(priors[0], ConditionalPrior) is not isinstance(priors[1], ConditionalPrior):
        raise InputError("equivalence: expected two mixtures or two conditional priors, got one of each; at one value "
                         "of u a normal prior is a GaussianMixture with one component")
    about_u = [_about_u(prior, name) for prior, name in zip(priors, ("first", "second"), strict=True)]
    if about_u[0] != about_u[1]:
        raise InputError(f"equivalence: expected conditional priors with the same number of values of u, labels and "
                         f"weights, in one order, got {about_u[0]} and {about_u[1]}")
    if budget is not None and not (isinstance(budget, int | float) and not isinstance(budget, bool)
                                   and isfinite(budget) and budget > 0):
        raise InputError(f"equivalence: expected a budget of seconds > 0 or None, got budget={budget!r}")


def _about_u(prior: Prior, name: str) -> tuple[object, ...] | None:
    """Number of values of u, their labels and weights; None for a mixture."""
    if not isinstance(prior, ConditionalPrior):
        return None
    if prior.is_estimated:
        raise UnsupportedError(f"equivalence: the parameters of the {name} prior are estimates, whose law is not "
                               "exact; leave out their covariances to compare the estimates as they are")
    return (prior.n_values, prior.labels,
            None if prior.weights_exact is None else tuple(map(str, prior.weights_exact)))


def _decoders(model_a: Model, model_b: Model, maps: Maps, clock: Stopwatch) -> Changes | None:
    """The maps between the decoders alone, for the proof that some kind of map does not relate the models."""
    if maps.decoders is not None or not maps.complete:
        return maps.decoders
    assert not isinstance(model_a.decoder, DeclaredMap)
    assert not isinstance(model_b.decoder, DeclaredMap)
    seconds = None if clock.seconds is None else PROOF_SHARE * clock.left
    return affine_changes(model_a.decoder, model_b.decoder, seconds)


def _law(model_a: Model, model_b: Model, clock: Stopwatch) -> Finding:
    """Whether the laws are equal, decided from the laws themselves."""
    from ident_theory.laws.equality import equal_in_law

    if min(model_a.latent_dim, model_b.latent_dim) > 2:
        return finding(LAW, Status.UNKNOWN, "no affine map was found, and laws of models with three or more "
                       "latents are not compared otherwise")
    try:
        return equal_in_law(model_a, model_b, budget=None if clock.seconds is None else max(clock.left, 1e-3))
    except (UnsupportedError, BudgetExceeded) as error:
        return finding(LAW, Status.UNKNOWN, str(error))


def _other_dimension(model_a: Model, model_b: Model, clock: Stopwatch) -> Correspondence:
    why = f"the latents have dimensions {model_a.latent_dim} and {model_b.latent_dim}"
    try:
        law = _law(model_a, model_b, clock)
    except InputError:
        law = finding(LAW, Status.UNKNOWN, f"{why}, and laws are compared for latents of one dimension")
    affine = condition_of(Equivalence.AFFINE)
    findings = {LAW: law, affine: finding(affine, Status.FAILS, why), LATENTS: finding(LATENTS, Status.FAILS, why)}
    return Correspondence(model_a, model_b, Equivalence.NONE, None, 0, Equivalence.NONE, None, findings, clock.spent)


def _beyond_affine(model_a: Model, model_b: Model, law: Finding,
                   findings: dict[str, Finding]) -> tuple[Equivalence, Statistics | None]:
    """Affine where an unlisted map relates the models; else whether an affine map relates the statistics."""
    affine = findings[condition_of(Equivalence.AFFINE)]
    if affine.status is Status.HOLDS:
        return Equivalence.AFFINE, None
    statistics = statistics_of_law(model_a, model_b, law)
    if statistics is None:
        return Equivalence.NONE, None
    condition = condition_of(Equivalence.AFFINE_STATISTICS)
    matrix, shift = (plain_numbers(v) for v in statistics)
    assert law.certificate is not None
    proof = Certificate("equivalence.statistics", {**law.certificate.data, "matrix": matrix, "shift": shift},
                        "an affine map of the statistics along the change of the latent")
    findings[condition] = replace(law, condition=condition, proof=accepted(proof, model_a), reason="T_a(z) = A "
                                  f"T_b(phi(z)) + c for A = {matrix} and c = {shift}, with phi the change that the "
                                  "decoders leave")
    return Equivalence.AFFINE_STATISTICS, statistics
