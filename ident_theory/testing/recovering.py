"""Hold an algorithm that recovers latents, mixtures or models against random truths."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException, Unsatisfiable

from ident_theory.conditions import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.errors import IdentTheoryError, InputError
from ident_theory.laws import law
from ident_theory.metrics import affine_distance, l2_distance, mcc
from ident_theory.models import GaussianMixture, Model
from ident_theory.numerics import Evidence, Status
from ident_theory.spec import to_json
from ident_theory.testing import options
from ident_theory.testing.strategies import linear_models, models
from ident_theory.testing.verdicts import UndecidedError, VerdictError, VerdictRow, tell

#: Kinds up to which estimates of each type can be compared.
_LATENT_KINDS = (Equivalence.MONOMIAL, Equivalence.AFFINE)
_MIXTURE_KINDS = (Equivalence.EQUAL, Equivalence.AFFINE)
KINDS = (Equivalence.EQUAL, Equivalence.PERMUTATION, Equivalence.ORTHOGONAL, Equivalence.MONOMIAL, Equivalence.AFFINE)
GIVEN = ("data", "law", "model")
#: Seconds for making a truth that is missed smaller.
SHRINK_SECONDS = 20.0


@dataclass(frozen=True)
class Recovery:
    """What `assert_recovers` saw.

    Attributes
    ----------
    cases : int
        Truths that were recovered.
    worst : float or None
        The least correlation or the largest distance; None for exact comparisons.
    """

    cases: int
    worst: float | None


@dataclass(frozen=True)
class _Score:
    """How one estimate compares with its truth: None is undecided."""

    passed: bool | None
    text: str
    value: float | None = None
    measure: str = ""


class _MissedError(Exception):
    """A truth that was not recovered."""


def assert_recovers(algorithm: Callable[..., Any], up_to: str | Equivalence = "affine",
                    truths: st.SearchStrategy[Model] | None = None, *, given_as: str = "data", cases: int = 50,
                    size: int = 2000, least_mcc: float = 0.95, largest_distance: float = 0.1, random_seed: int = 0,
                    budget: float | None = 60.0, name: str | None = None) -> Recovery:
    """Assert that an algorithm recovers random truths up to an equivalence.

    Parameters
    ----------
    algorithm : callable
        With ``given_as="data"``: ``(x, rng) -> estimate`` for x of shape (size, n); with "law": ``law -> estimate``;
        with "model": ``model -> estimate``. An estimate is an array of latents for the rows of x (data only), a
        `GaussianMixture` for the law of the latent, or a `Model`.
    up_to : Equivalence or str
        "equal", "permutation", "orthogonal", "monomial" or "affine". Latents are compared by `mcc`: strong for
        "monomial", weak for "affine". Mixtures: by their L2 distance for "equal", by `affine_distance` for "affine".
        Models: exactly, by `ident_theory.equivalence`, for every kind.
    truths : strategy, optional
        Of models. By default what can be recovered at all: from a model `models` with nondegenerate priors; from data
        or the law, up to "affine", `linear_models`. For finer kinds from data or the law it has to be given.
    given_as : {"data", "law", "model"}
    cases : int
        Truths to draw. The same arguments draw the same truths and the same data.
    size : int
        Observations.
    least_mcc, largest_distance : float
        What latents and mixtures have to reach.
    random_seed : int
    budget : float, optional
        Seconds for one exact comparison.
    name : str, optional
        Of the algorithm, in messages and tables.

    Raises
    ------
    InputError
        For arguments that are none of these, or an estimate of a type that cannot be compared so.
    VerdictError
        When a truth is missed, or the algorithm raises on one: the message has the smallest such truth as a model file,
        and `report` is that model.
    UndecidedError
        When an exact comparison could not be decided.
    """
    where = "assert_recovers"
    options.function(where, "algorithm", algorithm, "a function that estimates")
    wanted = options.member(where, "up_to", up_to, KINDS)
    kind = options.name(where, given_as, GIVEN, "given_as")
    options.whole(where, "cases", cases, 1)
    options.whole(where, "size", size, 3)
    options.whole(where, "random_seed", random_seed, 0)
    for argument, value in (("least_mcc", least_mcc), ("largest_distance", largest_distance)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
            raise InputError(f"{where}: {argument}: expected a number >= 0, found {value!r}")
    if least_mcc > 1:
        raise InputError(f"{where}: least_mcc: expected a number <= 1, found {least_mcc!r}")
    options.seconds(where, budget)
    if truths is None and kind != "model" and wanted is not Equivalence.AFFINE:
        raise InputError(f"{where}: truths: expected a strategy of models that can be recovered {wanted.sentence} "
                         f"with given_as={kind!r}, found None")
    if truths is None:
        truths = models(degenerate=False) if kind == "model" else linear_models()
    options.instance(where, "truths", truths, st.SearchStrategy)
    label = options.label(where, name) or str(getattr(algorithm, "__name__", type(algorithm).__name__))
    passed: list[_Score] = []
    missed: list[tuple[Model, _Score]] = []
    ends: list[float] = []

    @seed(random_seed)
    @settings(max_examples=cases, database=None, deadline=None, derandomize=False, print_blob=False,
              report_multiple_bugs=False, phases=(Phase.generate, Phase.shrink), verbosity=Verbosity.quiet,
              suppress_health_check=list(HealthCheck))
    @given(truths)
    def decide(truth: Model) -> None:
        options.instance(where, "truths", truth, Model)
        if missed and monotonic() > ends[0]:  # no smaller one is looked for; the smallest has to fail once more
            passes = truth != missed[0][0]
        else:
            score = _score(algorithm, kind, truth, wanted, size, least_mcc, largest_distance, random_seed, budget)
            # Once a truth is missed, an undecided one is no smaller example of that.
            passes = score.passed is not False if missed and missed[0][1].passed is False else bool(score.passed)
            if passes and not missed:
                passed.append(score)
            elif not passes:
                if not missed:
                    ends.append(monotonic() + SHRINK_SECONDS)
                missed[:] = [(truth, score)]
        if not passes:
            raise _MissedError

    with suppress(_MissedError, Unsatisfiable, Flaky):  # flaky: what is missed once counts
        decide()
    question = f"recovers {wanted}"
    if not missed and passed:
        values = [score.value for score in passed if score.value is not None]
        worst = (min if passed[0].measure == "MCC" else max)(values) if values else None
        grade = str(Evidence.NUMERICAL if values else Evidence.EXACT)
        tell(VerdictRow(label, question, "recovered", "recovered", grade, f"{len(passed)} truths", True))
        return Recovery(len(passed), worst)
    if not missed:
        raise VerdictError(f"{label}: no truth was drawn, so nothing was tested: `truths` gives no model",
                           (VerdictRow(label, question, "recovered", "not tested", "-", "no truth", False),))
    truth, score = missed[0]
    undecided = score.passed is None
    row = VerdictRow(label, question, "recovered", "undecided" if undecided else "missed",
                     "-" if undecided else str(Evidence.NUMERICAL if score.value is not None else Evidence.EXACT),
                     " ".join(score.text.split()), False)
    text = (f"{label}: to recover the truth {wanted.sentence}; "
            f"{'UNDECIDED' if undecided else 'missed'} after {len(passed)} that passed: {score.text}\n"
            f"the smallest truth of this kind, as a model file:\n{to_json(truth)}")
    raise (UndecidedError if undecided else VerdictError)(text, (row,), truth)


def _score(algorithm: Callable[..., Any], kind: str, truth: Model, wanted: Equivalence, size: int, least: float,
           largest: float, random_seed: int, budget: float | None) -> _Score:
    rng = np.random.default_rng(random_seed)
    z, given_law = None, law(truth) if kind == "law" else None
    try:
        if kind == "data":
            z, _ = truth.mixture.sample(size, rng)
            x = truth.decoder(z)
            if truth.noise is not None:
                x = x + truth.noise.sample(size, truth.observed_dim, rng)
            estimate = algorithm(x, np.random.default_rng(random_seed + 1))
        else:
            estimate = algorithm(truth if given_law is None else given_law)
    except HypothesisException:  # of `assume`, say, in the algorithm
        raise
    except Exception as error:
        return _Score(False, f"the algorithm raises {type(error).__name__}: {error}")
    if isinstance(estimate, Model):
        return _compare_models(truth, estimate, wanted, budget)
    if isinstance(estimate, GaussianMixture):
        return _compare_mixtures(truth.mixture, estimate, wanted, largest)
    if z is None:
        raise InputError(f"assert_recovers: estimate: expected a GaussianMixture or a Model from a {kind}, found "
                         f"{type(estimate).__name__}; latents can be compared where given_as is \"data\"")
    return _compare_latents(z, estimate, wanted, least)


def _compare_models(truth: Model, estimate: Model, wanted: Equivalence, budget: float | None) -> _Score:
    try:
        found = equivalence(truth, estimate, budget=budget)
    except InputError as error:
        return _Score(False, f"the models cannot be equivalent: {error}")
    item = found.findings.get(f"equivalent.{wanted}")
    if found.equivalence.implies(wanted) or (item is not None and item.status is Status.HOLDS):
        return _Score(True, f"equivalent {found.equivalence}")
    reasons = [f"{key} {finding.status}: {finding.reason}" for key, finding in found.findings.items()]
    fails = any(finding.status is Status.FAILS and (key == "equal_in_law" or (
        key.startswith("equivalent.") and wanted.implies(Equivalence(key.removeprefix("equivalent.")))))
        for key, finding in found.findings.items())
    return _Score(False if fails else None, "; ".join(reasons))


def _compare_mixtures(truth: GaussianMixture, estimate: GaussianMixture, wanted: Equivalence,
                      largest: float) -> _Score:
    if wanted not in _MIXTURE_KINDS:
        raise InputError(f"assert_recovers: up_to: expected {' or '.join(_MIXTURE_KINDS)} for mixtures, found {wanted}")
    try:
        value = float(l2_distance(truth, estimate) if wanted is Equivalence.EQUAL else
                      affine_distance(truth, estimate).value)
    except IdentTheoryError as error:
        return _Score(False, f"the mixtures cannot be compared: {error}")
    what = "L2 distance" if wanted is Equivalence.EQUAL else "affine distance"
    return _Score(value <= largest, f"{what} {value:.4g}, at most {largest:g} asked for", value, what)


def _compare_latents(z: np.ndarray, estimate: Any, wanted: Equivalence, least: float) -> _Score:
    if wanted not in _LATENT_KINDS:
        raise InputError(f"assert_recovers: up_to: expected {' or '.join(_LATENT_KINDS)} for latents, found {wanted}")
    shape = np.shape(estimate)
    if shape != z.shape:
        return _Score(False, f"expected latents of shape {z.shape}, found {shape or type(estimate).__name__}")
    kind = "strong" if wanted is Equivalence.MONOMIAL else "weak"
    try:
        value = float(mcc(z, estimate, kind, constant="zero").value)
    except InputError as error:
        return _Score(False, f"the latents cannot be compared: {error}")
    return _Score(value >= least, f"{kind} MCC {value:.4f}, at least {least:g} asked for", value, "MCC")
