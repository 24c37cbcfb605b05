"""The report of an exhaustive search as numbers: what every truth's global minimisers are, and a count of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq

from ident_theory.errors import InputError
from ident_theory.geometry.affine import affine_form
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.landscape import Minimisers, SearchResult, Verdict
from ident_theory.landscape.minimisers import MinimiserClass
from ident_theory.models import GaussianMixture, Model, ReLUNetwork
from ident_theory.spec import to_dict

#: Ways in which a truth falls short of the family's full model, in the order of the report.
FEWER, ZERO, FOLDED, CONSTANT = ("fewer components than declared", "a decoder weight is zero",
                                 "decoder not weakly injective", "constant decoder")
SHORTFALLS = (FEWER, ZERO, FOLDED, CONSTANT)


@dataclass(frozen=True)
class ClassReport:
    """Global minimisers that are affinely equivalent.

    Attributes
    ----------
    relation : {"same", "affine", "law"}
        To the truth: itself, an affine image, equal in law only.
    scale, shift : str or None
        h(z) = scale z + shift carries the truth to the representative, for "same" and "affine"; exact.
    raw : int
        Raw parameter points.
    prior, function : str
        The representative in words.
    model : dict
        The representative as a model file holds it.
    """

    relation: str
    scale: str | None
    shift: str | None
    raw: int
    prior: str
    function: str
    model: dict[str, Any]


@dataclass(frozen=True)
class TruthReport:
    """One truth.

    Attributes
    ----------
    index : int
        Its number among the targets.
    prior, function : str
        The truth in words.
    model : dict
        The truth as a model file holds it.
    verdict : {"unique", "inequivalent", "constant", "absent"}
    classes : tuple of ClassReport
    raw : int
        Raw parameter points that minimise.
    weakly_injective, explained : bool
        Condition F2, and whether the theory allows what was found.
    shortfalls : tuple of str
        Which of `SHORTFALLS` apply.
    minima : int
        Local minima of the grid; a lower bound unless `minima_exact`.
    runner_up : float or None
        Excess of the lowest local minimum that is not global.
    near_misses : int
        Points with another law within the search's threshold.
    lowest_excess : float
    """

    index: int
    prior: str
    function: str
    model: dict[str, Any]
    verdict: str
    classes: tuple[ClassReport, ...]
    raw: int
    weakly_injective: bool
    explained: bool
    shortfalls: tuple[str, ...]
    minima: int
    minima_exact: bool
    runner_up: float | None
    near_misses: int
    lowest_excess: float


@dataclass(frozen=True)
class DataReport:
    """One data set: its best member (of several the first) and that member's mean negative log-likelihood."""

    index: int
    prior: str
    function: str
    model: dict[str, Any]
    value: float


@dataclass(frozen=True)
class Count:
    """How many truths of a kind there are, by verdict, and how many of them the theory does not explain."""

    kind: str
    truths: int
    unique: int
    inequivalent: int
    constant: int
    absent: int
    not_explained: int


@dataclass(frozen=True)
class SearchReport:
    """What a search found; `text` is for reading, `to_json` for programs.

    Attributes
    ----------
    points : int
        Raw parameter points of the family.
    functions, priors : int
        Distinct ones among them.
    evaluated : int
        Laws evaluated, once for all that an affine change of the latent carries into each other.
    nodes : tuple of int
        Quadrature nodes of each rule; easy functions take a rule with fewer.
    error, data_error : float or None
        Bounds of the quadrature error of every value, for truths and for data sets; theorems if `proven`, estimates
        otherwise. None where there is no such target.
    proven : bool
    near : float
        Points up to this excess were compared with the truth in rationals.
    truths : tuple of TruthReport
    data : tuple of DataReport
    """

    points: int
    functions: int
    priors: int
    evaluated: int
    nodes: tuple[int, ...]
    error: float | None
    data_error: float | None
    proven: bool
    near: float
    truths: tuple[TruthReport, ...]
    data: tuple[DataReport, ...]

    def counts(self) -> tuple[Count, ...]:
        """Verdicts of all truths, of those without a shortfall, and of those with each."""
        def count(kind: str, chosen: Sequence[TruthReport]) -> Count:
            def having(verdict: Verdict) -> int:
                return sum(t.verdict == verdict.name.lower() for t in chosen)

            return Count(kind, len(chosen), having(Verdict.UNIQUE), having(Verdict.INEQUIVALENT),
                         having(Verdict.CONSTANT), having(Verdict.ABSENT), sum(not t.explained for t in chosen))

        return (count("all truths", self.truths), count("full model", [t for t in self.truths if not t.shortfalls]),
                *(count(name, [t for t in self.truths if name in t.shortfalls]) for name in SHORTFALLS))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {**asdict(self), "counts": [asdict(item) for item in self.counts()], "pruned": 0}

    def to_json(self, indent: int | None = None) -> str:
        """The report as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def text(self) -> str:
        """The report for reading, 120 columns wide."""
        from ident_theory.report.search_text import report_text

        return report_text(self)


def search_report(result: SearchResult, targets: Sequence[int] | None = None) -> SearchReport:
    """Collect what a search found.

    Parameters
    ----------
    result : SearchResult
    targets : sequence of int, optional
        Numbers of the truths and data sets to report on; by default all.

    Raises
    ------
    InputError
        For a number that the search does not have.
    """
    given = result.settings.targets
    chosen = range(len(given)) if targets is None else dict.fromkeys(targets)
    for i in chosen:
        if not 0 <= i < len(given):
            raise InputError(f"truth: expected a number from 0 to {len(given) - 1}, got {i}")
    truths = tuple(_truth_report(i, result.minimisers(i)) for i in chosen if isinstance(given[i], Model))
    data = tuple(_data_report(i, result) for i in chosen if not isinstance(given[i], Model))
    errors = result.plan.errors
    return SearchReport(
        points=result.settings.family.size, functions=len(result.members.networks.functions),
        priors=len(result.members.priors.rows), evaluated=result.evaluated,
        nodes=tuple(int(n) for n in np.diff(result.plan.rule_starts)),
        error=max((float(errors[t.index]) for t in truths), default=None),
        data_error=max((float(errors[d.index]) for d in data), default=None),
        proven=result.settings.family.model.observed_dim == 1, near=result.settings.near, truths=truths, data=data)


def _truth_report(index: int, found: Minimisers) -> TruthReport:
    assert found.local_minima is not None
    runner_up = found.local_minima.runner_up
    return TruthReport(
        index=index, prior=prior_words(found.truth.mixture), function=function_words(line_pieces(found.truth.decoder)),
        model=to_dict(found.truth), verdict=found.verdict.name.lower(),
        classes=tuple(_class_report(item) for item in found.classes), raw=found.raw,
        weakly_injective=found.weakly_injective, explained=found.explained,
        shortfalls=shortfalls(found.truth, found.weakly_injective), minima=found.local_minima.count,
        minima_exact=found.local_minima.exact, runner_up=None if runner_up is None else runner_up[2],
        near_misses=len(found.near_misses), lowest_excess=found.lowest_excess)


def _class_report(found: MinimiserClass) -> ClassReport:
    model = found.representative
    scale, shift = (None if v is None else str(v) for v in (found.scale, found.shift))
    return ClassReport(found.relation.name.lower(), scale, shift, found.raw, prior_words(model.mixture),
                       function_words(line_pieces(model.decoder)), to_dict(model))


def _data_report(index: int, result: SearchResult) -> DataReport:
    best = int(np.argmin(result.best[:, index]))
    model = result.member(best, int(result.best_prior[best, index]))
    return DataReport(index, prior_words(model.mixture), function_words(line_pieces(model.decoder)), to_dict(model),
                      float(result.best[best, index]))


def shortfalls(truth: Model, weakly_injective: bool) -> tuple[str, ...]:
    """In which ways a truth is less than a full member: then it lies in a smaller model, or beyond the theorem."""
    prior, decoder = truth.mixture, truth.decoder
    parts = zip(prior.weights_exact, prior.means_exact.ravel(), prior.covariances_exact.ravel(), strict=True)
    distinct = {(mean, variance) for weight, mean, variance in parts if weight}
    zero = isinstance(decoder, ReLUNetwork) and any(not v for w in decoder.weights_exact for v in w.ravel())
    holds = {FEWER: len(distinct) < prior.n_components, ZERO: zero, FOLDED: not weakly_injective,
             CONSTANT: affine_form(line_pieces(decoder)).constant}
    return tuple(name for name in SHORTFALLS if holds[name])


def prior_words(prior: GaussianMixture) -> str:
    """A mixture as ``weight@mean``, with the variance where not all are equal."""
    variances = [prior.covariances_exact[j].ravel()[0] for j in range(prior.n_components)]
    same = len(set(variances)) == 1
    return " ".join(f"{w}@{m}" + ("" if same else f"({v})")
                    for w, m, v in zip(prior.weights_exact, prior.means_exact.ravel(), variances, strict=True))


def function_words(pieces: LinePieces) -> str:
    """A piecewise affine map as its pieces from left to right, with the breakpoints between them in brackets."""
    words = []
    for k in range(pieces.n_pieces):
        row = [affine_words(a, c) for a, c in zip(pieces.slopes[k], pieces.intercepts[k], strict=True)]
        words.append(row[0] if len(row) == 1 else f"({', '.join(row)})")
        if k < len(pieces.breakpoints):
            words.append(f"[{pieces.breakpoints[k]}]")
    return " ".join(words)


def affine_words(slope: fmpq | Fraction | str, intercept: fmpq | Fraction | str) -> str:
    """slope z + intercept, such as ``-2z+1`` or ``3/2*z``."""
    a, c = (Fraction(str(v)) for v in (slope, intercept))
    if not a:
        return str(c)
    factor = {Fraction(1): "", Fraction(-1): "-"}.get(a, str(a) + ("" if a.denominator == 1 else "*"))
    return f"{factor}z" + (f"{'+' if c > 0 else ''}{c}" if c else "")
