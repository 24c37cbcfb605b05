"""Are two models equal in law? Decided exactly for one and two latents, with a proof that can be checked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ident_theory.errors import BudgetExceeded, CertificateRejected, InputError, UnsupportedError
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.exact.rationals import fraction, nearest_float
from ident_theory.geometry.cells import plain_tree
from ident_theory.geometry.changes import affine_changes
from ident_theory.geometry.line import LinePieces
from ident_theory.laws.equality_change import laws_through_change
from ident_theory.laws.equality_noiseless import noiseless_set
from ident_theory.laws.equality_parts import Difference, Pieces, difference, law_parts, pieces_of
from ident_theory.laws.equality_rounded import rounding_effect
from ident_theory.laws.equality_sets import best_center, gaussian_set, largest_difference, witness
from ident_theory.laws.identity import require_one_noise
from ident_theory.models.conditional import ConditionalPrior
from ident_theory.models.declared import DeclaredMap
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.model import Model
from ident_theory.models.network import ReLUNetwork
from ident_theory.models.noise import LAW_NOISES, FejerNoise, GaussianNoise
from ident_theory.models.piecewise import PiecewiseAffineMap
from ident_theory.numerics import Evidence, Status, Stopwatch

CONDITION = "equal_in_law"
NUMBERS = ("exact", "rounded")
NORMAL = ("normal", "normal_mean", "normal_variance")
_REFERENCES = ("kivva.thmC.3", "kivva.noise")
_CHANGE_REFERENCES = ("kivva.lemG.1a", "kivva.lemG.1b", "ivae.appE.cf")
#: Seconds that the search for a set may take when there is no budget.
SEARCH_SECONDS = 30.0
#: Pairs of a cell and a component beyond which densities with noise take too long for it.
MOST_PAIRS = 3000


@dataclass(frozen=True)
class _Case:
    """The laws of one latent and of the other, given one value of u if any."""

    u: int | None
    first: GaussianMixture
    second: GaussianMixture


def equal_in_law(model_a: Model, model_b: Model, *, numbers: str = "exact", budget: float | None = None) -> Finding:
    r"""Whether two models with the same noise give x the same law.

    The noise has the same law in both, and can be removed: its characteristic function has no open set of zeros, or
    that of f(z) is analytic, as it is for mixtures. So the laws of f(z) are compared. For one and two latents their
    image is cut into the common refinement of both models' image cells; there the density is a finite sum of
    Gaussians, which on any open set has only one reduced list. Parts on lines and atoms are compared separately.

    Parameters
    ----------
    model_a, model_b : Model
        Mixture priors with up to two latents each, the numbers of latents may differ; conditional priors whose laws
        given u are normal, likewise, u by u; conditional priors of any family with one latent and injective decoders.
        For three latents and more the answer is "holds" when an affine map explains it, else "unknown".
    numbers : {"exact", "rounded"}
        ``"exact"``: numbers are what they are. ``"rounded"``: every number of prior and decoder stands for all that
        differ from it by a relative 2^-53 at most; then the answer is "fails" when densities differ by more than
        that explains, else "unknown". One or two latents and Gaussian noise only.
    budget : float, optional
        Seconds. When they are spent the answer is "unknown", or "fails" without a set.

    Returns
    -------
    Finding
        About the first model; the second stands in the proof. "Fails" comes with a set on which the probabilities
        differ and by how much (``law.set``: Gaussian noise or none), or with the differing lists (``law.formal``: also
        for very large networks with noise, and where no set was found in time). What a set shows is certified by
        balls; ``details["differs_formally"]`` says whether the answer itself rests on rationals alone.

    Raises
    ------
    InputError
        For what is no Model, other dimensions of x, other noise, other values of u, unknown `numbers`, a bad budget.
    UnsupportedError
        For declared decoders, priors with estimated parameters, and ``numbers="rounded"`` where it does not apply.

    Notes
    -----
    **Accuracy.** Exact, in rationals; masses of atoms and constant factors are formal sums of values of the normal
    distribution function and of Owen's T, told apart by balls. The answer is "unknown" when balls cannot do so.

    References
    ----------
    Kivva et al. 2022, Theorem C.3; ledger ``kivva.thmC.3``, ``kivva.noise``, ``kivva.lemG.1a``.
    """
    cases = _checked(model_a, model_b, numbers, budget)
    watch = Stopwatch(budget)
    if numbers == "rounded":
        finding = _rounded(model_a, model_b, cases, watch)
    elif cases is None:
        finding = _other_families(model_a, model_b, watch)
    elif max(model_a.latent_dim, model_b.latent_dim) > 2:
        finding = _many_latents(model_a, model_b, cases, watch)
    else:
        finding = _decided(model_a, model_b, cases, watch)
    assumptions = tuple(f"{name} model, {repair}" for name, model in (("first", model_a), ("second", model_b))
                        for repair in model.prior.repairs)
    details = {**finding.details, "latents": [model_a.latent_dim, model_b.latent_dim], "seconds": round(watch.spent, 3)}
    return Finding(CONDITION, finding.status, finding.evidence, finding.reason, finding.proof,
                   (*assumptions, *finding.assumptions), finding.references, details)


def _checked(a: Model, b: Model, numbers: str, budget: float | None) -> list[_Case] | None:
    """The laws to compare; None when some are not normal."""
    for name, model in (("first", a), ("second", b)):
        if not isinstance(model, Model):
            raise InputError(f"equal_in_law: expected two models, the {name} is of type {type(model).__name__}")
        if isinstance(model.decoder, DeclaredMap):
            raise UnsupportedError(f"equal_in_law: the {name} model has a declared decoder, which has properties but "
                                   "no values; give a ReLUNetwork or a PiecewiseAffineMap")
        if isinstance(model.prior, ConditionalPrior) and model.prior.is_estimated:
            raise UnsupportedError(f"equal_in_law: the parameters of the {name} prior are estimates, whose law is not "
                                   "exact; leave out their covariances to compare the estimates as they are")
    if numbers not in NUMBERS:
        raise InputError(f"equal_in_law: expected numbers to be one of {', '.join(NUMBERS)}, got {numbers!r}")
    if budget is not None and not (isinstance(budget, int | float) and budget > 0):
        raise InputError(f"equal_in_law: expected a budget of more than 0 seconds, or none, got {budget!r}")
    require_one_noise(a, b, "equal_in_law")
    p, q = a.prior, b.prior
    if isinstance(p, GaussianMixture) and isinstance(q, GaussianMixture):
        return [_Case(None, p, q)]
    if isinstance(p, GaussianMixture) or isinstance(q, GaussianMixture):
        raise InputError("equal_in_law: expected two mixtures or two conditional priors, got one of each; compare "
                         "laws given u, or write the law over all u as a mixture")
    if p.n_values != q.n_values:
        raise InputError(f"equal_in_law: expected priors for the same values of u, got {p.n_values} and {q.n_values}")
    tables = [None if prior.weights_exact is None else prior.weights_exact.tolist() for prior in (p, q)]
    for what, x, y in (("labels", p.labels, q.labels), ("weights", *tables)):
        if x != y:
            raise InputError(f"equal_in_law: expected priors with the same {what} of u, in the same order, got {x} "
                             f"and {y}")
    if p.family.name not in NORMAL or q.family.name not in NORMAL:
        return None
    return [_Case(u, normal_given(p, u), normal_given(q, u)) for u in range(p.n_values)]


def normal_given(prior: ConditionalPrior, u: int) -> GaussianMixture:
    """The normal law of the latents given the u-th value, for the families normal, normal_mean and normal_variance."""
    means, variances = [], []
    for row in prior.natural_exact[u]:
        variance = 1 if prior.family.name == "normal_mean" else -1 / (2 * row[-1])
        variances.append(variance)
        means.append(0 if prior.family.name == "normal_variance" else row[0] * variance)
    return GaussianMixture([1], [means], [np.diag(variances).tolist()])


def _label(model: Model, u: int | None) -> str:
    """What to put before a reason that is about one value of u."""
    return "" if u is None or not isinstance(model.prior, ConditionalPrior) else f"For u = {model.prior.label(u)}: "


def _decoder(model: Model) -> ReLUNetwork | PiecewiseAffineMap:
    assert not isinstance(model.decoder, DeclaredMap)
    return model.decoder


def _compared(a: Model, b: Model, cases: Sequence[_Case], watch: Stopwatch,
              ) -> tuple[list[tuple[_Case, Difference]], Pieces, Pieces]:
    """How the laws differ, case by case up to the first that differs."""
    f, g = pieces_of(_decoder(a), watch), pieces_of(_decoder(b), watch)
    out = []
    for case in cases:
        out.append((case, difference(law_parts(case.first, f), law_parts(case.second, g))))
        if out[-1][1].status is Status.FAILS:
            break
        if watch.is_over:
            raise BudgetExceeded(f"the budget of {watch.seconds:g} s is spent; raise it")
    return out, f, g


def _decided(a: Model, b: Model, cases: Sequence[_Case], watch: Stopwatch) -> Finding:
    """One or two latents, normal laws."""
    try:
        compared, f, g = _compared(a, b, cases, watch)
    except BudgetExceeded as error:
        return _unknown(f"Not decided: {error}.", _REFERENCES)
    case, last = compared[-1]
    if last.status is Status.FAILS:
        return _different(a, b, case, last, (f, g), watch)
    undecided = next(((c, d) for c, d in compared if d.status is Status.UNKNOWN), None)
    if undecided is not None:
        return _unknown(_label(a, undecided[0].u) + undecided[1].reason, _REFERENCES)
    proof = Certificate("law.equal", {"second": b.plain()}, "the laws of f(z) are equal as formal objects")
    reason = next((d.reason for _, d in compared if not d.is_formal), last.reason)
    return Finding(CONDITION, Status.HOLDS, Evidence.EXACT, reason, proof, references=_REFERENCES)


def _different(a: Model, b: Model, case: _Case, gaps: Difference, pieces: tuple[Pieces, Pieces],
               watch: Stopwatch) -> Finding:
    """The finding for laws that differ, with a set if one is found."""
    first, second = Model(case.first, a.decoder, a.noise), Model(case.second, b.decoder, b.noise)
    search = Stopwatch(SEARCH_SECONDS) if watch.seconds is None else watch
    details: dict[str, Any] = {}
    found = None
    if a.noise is None:
        found = noiseless_set(law_parts(case.first, pieces[0]), law_parts(case.second, pieces[1]), gaps, search)
    elif isinstance(a.noise, GaussianNoise) and _are_small(pieces, case):
        found = gaussian_set(first, second, gaps, search)
    elif isinstance(a.noise, LAW_NOISES) and first.latent_dim == second.latent_dim == 1:
        details["largest_density_difference_seen"] = largest_difference(first, second, gaps)
    proof: Witness | None = Witness("law.formal", {"second": b.plain()}, gaps.reason)
    if found is not None:
        proof = witness(found, b, case.u)
        details = found.details
    elif isinstance(a.noise, FejerNoise):
        proof = None  # the verifier removes noise by its characteristic function alone, and this one has zeros
    reason = gaps.reason if found is None else f"{gaps.reason} A set that shows it: {found.text}."
    evidence = Evidence.EXACT if found is None and gaps.is_formal else Evidence.CERTIFIED
    return Finding(CONDITION, Status.FAILS, evidence, _label(a, case.u) + reason, proof, references=_REFERENCES,
                   details={"differs_formally": gaps.is_formal, **details})


def _are_small(pieces: tuple[Pieces, Pieces], case: _Case) -> bool:
    """Whether densities with noise are quick enough for a search."""
    return all(isinstance(part, LinePieces) or len(part) * prior.n_components <= MOST_PAIRS
               for part, prior in zip(pieces, (case.first, case.second), strict=True))


def _rounded(a: Model, b: Model, cases: Sequence[_Case] | None, watch: Stopwatch) -> Finding:
    """Numbers that stand for balls."""
    if cases is None or max(a.latent_dim, b.latent_dim) > 2 or not isinstance(a.noise, GaussianNoise):
        raise UnsupportedError("equal_in_law: rounded numbers are available for one and two latents, normal laws and "
                               "Gaussian noise; use numbers=\"exact\"")
    try:
        compared, f, g = _compared(a, b, cases, watch)
    except BudgetExceeded as error:
        return _unknown(f"Not decided: {error}.", _REFERENCES)
    case, gaps = compared[-1]
    first, second = Model(case.first, a.decoder, a.noise), Model(case.second, b.decoder, b.noise)
    if gaps.status is not Status.FAILS:
        return _unknown("The numbers as they stand give no two laws that differ, and equality of rounded models cannot "
                        "be proved. More digits would settle it.", _REFERENCES)
    if not _are_small((f, g), case):
        return _unknown("The laws of the numbers as they are differ, but the networks are too large for bounds of "
                        "their densities.", _REFERENCES)
    found = best_center(first, second, gaps, Stopwatch(SEARCH_SECONDS) if watch.seconds is None else watch)
    effect = rounding_effect(first) + rounding_effect(second)
    if found is None or not found[1][2] > effect:
        return _unknown(f"{_label(a, case.u)}The laws of the numbers as they are differ, but rounding may explain the "
                        f"difference of the densities that was found (it may move them by {float(effect.mid()):.3g}). "
                        "More digits would settle it.", _REFERENCES)
    center, (p, q, gap) = found
    where = ", ".join(f"{nearest_float(fraction(v)):.6g}" for v in center)
    return Finding(CONDITION, Status.FAILS, Evidence.CERTIFIED,
                   f"{_label(a, case.u)}At x = ({where}) the densities are {float(p.mid()):.6g} and "
                   f"{float(q.mid()):.6g}, {float(gap.mid()):.3g} apart; rounding moves them by "
                   f"{float(effect.mid()):.3g} at most. Bounds in balls, without a proof that the verifier reads.",
                   references=_REFERENCES,
                   details={"gap": float(gap.mid()), "rounding": float(effect.mid())})


def _other_families(a: Model, b: Model, watch: Stopwatch) -> Finding:
    """Conditional priors not all of which are normal."""
    assert isinstance(a.prior, ConditionalPrior)
    assert isinstance(b.prior, ConditionalPrior)
    if a.latent_dim != 1 or b.latent_dim != 1:
        return _unknown("Laws given u of other than normal latents are compared for one latent only; a change of the "
                        "latents that carries one model to the other would settle it.", _CHANGE_REFERENCES)
    answer = laws_through_change(a.prior, _decoder(a), b.prior, _decoder(b), watch)
    if answer.status is Status.HOLDS:
        proof = Certificate("law.change", {"second": b.plain(), **(answer.data or {})}, "the change of the latent")
        return Finding(CONDITION, Status.HOLDS, Evidence.EXACT, answer.reason, proof, references=_CHANGE_REFERENCES)
    if answer.status is Status.FAILS and not isinstance(a.noise, FejerNoise):
        return Finding(CONDITION, Status.FAILS, Evidence.CERTIFIED, answer.reason + " Shown in balls, without a proof "
                       "that the verifier reads.", references=_CHANGE_REFERENCES)
    reason = answer.reason if answer.status is Status.UNKNOWN else \
        "The laws of f(z) differ, but the characteristic function of the noise vanishes on an interval, and perhaps " \
        "there only."
    return _unknown(reason, _CHANGE_REFERENCES)


def _many_latents(a: Model, b: Model, cases: Sequence[_Case], watch: Stopwatch) -> Finding:
    """Three latents and more: whether an affine map explains equal laws."""
    if a.latent_dim != b.latent_dim:
        return _unknown(f"Laws are compared exactly for up to two latents, and no affine map leads from "
                        f"{a.latent_dim} latents to {b.latent_dim}.", _REFERENCES)
    changes = affine_changes(_decoder(a), _decoder(b), watch)
    proof: Certificate | None
    for change, tree in zip(changes.changes, changes.trees, strict=True):
        if all(change.carry(c.first).by_component() == c.second.by_component() for c in cases):
            data = {"second": b.plain(), **change.plain(), **({} if tree is None else {"tree": plain_tree(tree)})}
            proof = Certificate("equivalence.affine", data, str(change))
            try:
                proof.verify(a)  # it reads networks of one depth and one slope only
            except CertificateRejected:
                proof = None
            return Finding(CONDITION, Status.HOLDS, Evidence.EXACT, f"The affine map {change} of the latents carries "
                           "the first model to the second.", proof, references=("kivva.thmC.2",))
    return _unknown("No affine map of the latents was found that carries the first model to the second "
                    f"({changes.reason}), and laws are compared exactly for up to two latents; a proof that one of the "
                    "decoders is weakly injective would settle it when the list of affine maps is complete.",
                    _REFERENCES)


def _unknown(reason: str, references: tuple[str, ...]) -> Finding:
    return Finding(CONDITION, Status.UNKNOWN, Evidence.EXACT, reason, references=references)
