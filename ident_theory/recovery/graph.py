"""The hidden variables of a factorial mixture: how many, with how many states, acting on which latents, and P(U)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import ExactArray, FloatArray, freeze
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery.estimates import MixtureEstimate
from ident_theory.recovery.factorial import Unmixing
from ident_theory.recovery.graph_rows import (
    EstimatedRows,
    Merged,
    averaged,
    clear_correlation,
    merged,
    tolerance_distances,
)
from ident_theory.recovery.graph_tables import Hidden, Labels, Neighbours, hidden_variables, labelled

Cell = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LatentGraph:
    r"""The hidden variables :math:`U_0, ..., U_{k-1}` behind a factorial mixture, up to permutation and relabelling.

    Variables stand in lexicographic order of their neighbourhoods; the states of a variable in lexicographic order of
    the least row of (mean, variance) pairs, over its neighbourhood, among the components with that state. The order
    of the components of the input therefore does not matter.

    Attributes
    ----------
    status : Status
        HOLDS: the mixture satisfies P3 for exactly one table, which is given. FAILS: it does not for any. UNKNOWN: an
        estimate, or a tolerance, does not settle which laws are equal.
    evidence : Evidence
        EXACT, NUMERICAL (a tolerance) or STATISTICAL (an estimate).
    reason : str
    failed : str
        What fails: ``""``, ``"factorial"`` (coordinates dependent given U), ``"a"`` (part (a) of P3 or positivity),
        ``"c"`` (a neighbourhood inside another) or ``"ambiguous"`` (closeness of laws is not transitive).
    states : tuple of int
        (d_0, ..., d_{k-1}). When (c) fails, those that (a) and positivity would imply; so for `neighbourhoods`.
    neighbourhoods : tuple of tuple of int
        The coordinates that each variable acts on, counted from 0.
    table : ndarray of Fraction, shape (d_0, ..., d_{k-1}), or None
        P(U = u); None unless `status` is HOLDS.
    assignment : tuple of (tuple of int or None), or None
        The state u of each component of the input, None for components of weight zero.
    set_weights : mapping from tuple of int to Fraction
        w(T) for the sets T of coordinates where it is not one; those that are no integers refute P3.
    margins : (float, float)
        For rounded and estimated input: largest distance of laws taken as equal and least of laws taken as different,
        in units of the largest that counts as equal. (0, inf) for exact input.
    stability : float or None
        Share of bootstrap draws about the graph found that give it again.
    """

    status: Status
    evidence: Evidence
    reason: str
    failed: str = ""
    states: tuple[int, ...] = ()
    neighbourhoods: Neighbours = ()
    table: ExactArray | None = None
    assignment: tuple[Cell | None, ...] | None = None
    set_weights: Mapping[Cell, Fraction] = field(default_factory=dict)
    margins: tuple[float, float] = (0.0, float("inf"))
    stability: float | None = None
    _cells: GaussianMixture | None = None

    @property
    def n_variables(self) -> int:
        """Number k of hidden variables."""
        return len(self.states)

    def prior(self) -> GaussianMixture:
        """The mixture as a table over the hidden variables, with `states` and `neighbourhoods`.

        Rounded or estimated laws that were taken as equal are averaged.

        Raises
        ------
        UnsupportedError
            When `status` is not HOLDS.
        """
        if self._cells is None:
            raise UnsupportedError(f"LatentGraph.prior: there is no table P(U). {self.reason}")
        return self._cells

    @property
    def text(self) -> str:
        """The graph drawn in text: one line a variable, then the table."""
        lines = [f"U[{i}] ({d} states) -> {', '.join(f'z[{t}]' for t in near)}"
                 for i, (d, near) in enumerate(zip(self.states, self.neighbourhoods, strict=True))]
        if self.table is not None:
            names = ", ".join(f"U[{i}]" for i in range(self.n_variables))
            lines += [f"P({names} = {', '.join(map(str, u))}) = {float(p):.6g}" for u, p in np.ndenumerate(self.table)
                      if self.n_variables]
        return "\n".join(lines)

    def __str__(self) -> str:
        tail = "" if self.stability is None else f"\nthe same in {self.stability:.1%} of the bootstrap draws"
        return f"latent graph: {self.status} ({self.evidence})\n{self.reason}\n{self.text}".rstrip() + tail


def latent_graph(prior: GaussianMixture | MixtureEstimate | Unmixing, *, tolerance: float | None = None,
                 level: float = 0.05, n_boot: int = 0, rng: np.random.Generator | None = None) -> LatentGraph:
    r"""Recover the discrete hidden variables of a factorial mixture P(Z) (Theorem F.1).

    From the components alone: the number k of hidden variables, their numbers of states d_i, which coordinates each
    acts on, and the table P(U). The mixture is first reduced: components without weight are dropped and equal ones
    merged; states and neighbourhoods that it declares are not used. Variables that act on the same coordinates (twins)
    are one variable here.

    Parameters
    ----------
    prior : GaussianMixture, MixtureEstimate or Unmixing
        The law of Z with diagonal covariances. Of an unmixing, the unmixed mixture (its `estimate` when it is
        STATISTICAL, which needs ``n_boot`` there).
    tolerance : float, optional
        For rounded numbers: laws of a coordinate are equal when their means differ by at most `tolerance` overall
        standard deviations and their variances relatively by at most that; correlations up to it count as zero.
    level : float
        For estimates: probability with which some equal laws may be taken for different (Bonferroni over all pairs
        of components and coordinates); level of the test of independence given U. Laws that differ by less than the
        error bars are taken as equal: `margins` says how close it was.
    n_boot : int
        For estimates: number of bootstrap draws for `stability`.
    rng : numpy.random.Generator, optional
        For `n_boot` > 0.

    Returns
    -------
    LatentGraph
        A refusal is a result too; read `status`, `failed` and `reason`.

    Raises
    ------
    InputError
        For arguments out of range, or an unmixing with rounded numbers and no tolerance.
    UnsupportedError
        For more than 20 coordinates with different patterns of equal laws: all their subsets are counted.

    Notes
    -----
    **Accuracy**: exact for exact input: HOLDS when P3 (a), (c), positivity and non-empty neighbourhoods hold for the
    table returned, and otherwise no table satisfies them.

    References
    ----------
    Kivva et al. 2022, Theorem F.1, as corrected in the ledger (``kivva.thmF.1``: without (b)); recovery of section C.
    """
    source = _source(prior, tolerance)
    if isinstance(source, LatentGraph):
        return source
    _check_options(source, tolerance, level, n_boot, rng)
    if isinstance(source, MixtureEstimate):
        return _estimated(source, level, n_boot, rng)
    return _exact(source) if tolerance is None else _within(source, float(tolerance))


def _source(prior: Any, tolerance: Any) -> GaussianMixture | MixtureEstimate | LatentGraph:
    """What to read, or the refusal when it is an unmixing without a result."""
    if not isinstance(prior, Unmixing):
        if not isinstance(prior, GaussianMixture | MixtureEstimate):
            raise InputError("latent_graph: expected a GaussianMixture, a MixtureEstimate or an Unmixing, got "
                             f"{type(prior).__name__}")
        return prior
    if prior.mixture is None or not prior.is_determined:
        return LatentGraph(prior.status, prior.evidence, f"The latents were not recovered. {prior.reason}", "factorial")
    if prior.evidence is Evidence.STATISTICAL:
        if prior.estimate is None:
            raise InputError("latent_graph: expected an unmixing with bootstrap draws, which carry the errors of A' "
                             "on; call unmix_factorial with n_boot and rng")
        return prior.estimate
    if prior.evidence is not Evidence.EXACT and tolerance is None:
        raise InputError(f"latent_graph: expected a tolerance for an unmixing whose numbers are rounded (evidence "
                         f"{prior.evidence}), got none")
    return prior.mixture


def _check_options(source: GaussianMixture | MixtureEstimate, tolerance: Any, level: Any, n_boot: Any,
                   rng: Any) -> None:
    estimated = isinstance(source, MixtureEstimate)
    if tolerance is not None and (not isinstance(tolerance, int | float) or not 0 < tolerance < 1):
        raise InputError(f"latent_graph: expected a tolerance between 0 and 1, got {tolerance!r}")
    if tolerance is not None and estimated:
        raise InputError("latent_graph: expected no tolerance with an estimate, whose error bars take its place; set "
                         "`level`")
    if not isinstance(level, float) or not 0 < level < 1:
        raise InputError(f"latent_graph: expected a level between 0 and 1, got {level!r}")
    if not isinstance(n_boot, Integral) or isinstance(n_boot, bool) or n_boot < 0:
        raise InputError(f"latent_graph: expected a number of draws n_boot >= 0, got {n_boot!r}")
    if n_boot and not estimated:
        raise InputError("latent_graph: expected a MixtureEstimate for a bootstrap, got numbers without error bars")
    if n_boot and not isinstance(rng, np.random.Generator):
        raise InputError(f"latent_graph: expected a numpy.random.Generator as rng, got {type(rng).__name__}")


def _exact(mixture: GaussianMixture) -> LatentGraph:
    live = _live(mixture)
    for j in live:
        matrix = mixture.covariances_exact[j]
        for s, t in zip(*np.triu_indices(len(matrix), 1), strict=True):
            if matrix[s, t] != 0:
                return _dependent(Evidence.EXACT, j, int(s), int(t), "is not zero")
    means, variances = mixture.means_exact[live], mixture.covariances_exact[live].diagonal(axis1=1, axis2=2)
    labels = labelled([list(zip(means[:, t], variances[:, t], strict=True)) for t in range(mixture.latent_dim)])
    return _graph(mixture, live, labels, means, variances, Evidence.EXACT)


def _within(mixture: GaussianMixture, tolerance: float) -> LatentGraph:
    clear = clear_correlation(mixture, tolerance)
    if clear is not None:
        return _dependent(Evidence.NUMERICAL, *clear, f"is above the tolerance {tolerance:g}, as a correlation")
    live = _live(mixture)
    means, variances = mixture.means[live], np.einsum("jtt->jt", mixture.covariances[live])
    found = merged(tolerance_distances(means, variances, tolerance))
    if found.chain is not None:
        return _ambiguous(found, live, Evidence.NUMERICAL, f"the tolerance {tolerance:g}")
    weights = mixture.weights[live]
    return _graph(mixture, live, found.labels, averaged(means, found.labels, weights),
                  averaged(variances, found.labels, weights), Evidence.NUMERICAL, found.margins)


def _estimated(estimate: MixtureEstimate, level: float, n_boot: int, rng: np.random.Generator | None) -> LatentGraph:
    live = _live(estimate.mixture)
    rows = EstimatedRows(estimate, live, level)
    dependence = rows.dependence()
    if dependence is not None:
        return _dependent(Evidence.STATISTICAL, *dependence[:3], f"is not zero (p = {dependence[3]:.2g})")
    found = rows.merge(rows.means, rows.variances)
    if found.chain is not None:
        return _ambiguous(found, live, Evidence.STATISTICAL, f"the error bars (level {level:g}, {estimate.basis})")
    means, variances = (averaged(values, found.labels, estimate.counts[live])
                        for values in (rows.means, rows.variances))
    stability = None
    if n_boot:
        assert rng is not None
        draws = [rows.draw(means, variances, rng) for _ in range(n_boot)]
        same = _pattern(found.labels)
        stability = float(np.mean([draw.chain is None and _pattern(draw.labels) == same for draw in draws]))
    return _graph(estimate.mixture, live, found.labels, means, variances, Evidence.STATISTICAL, found.margins,
                  stability)


def _graph(mixture: GaussianMixture, live: list[int], labels: Labels, means: ExactArray | FloatArray,
           variances: ExactArray | FloatArray, evidence: Evidence, margins: tuple[float, float] = (0.0, float("inf")),
           stability: float | None = None) -> LatentGraph:
    """The result for the equalities `labels` (m, J) of the components `live`."""
    merging = labelled([[tuple(column) for column in labels.T.tolist()]])[0]
    firsts = [int(np.flatnonzero(merging == c)[0]) for c in range(int(merging.max()) + 1)]
    hidden = hidden_variables(labels[:, firsts])
    common: dict[str, Any] = {"neighbourhoods": hidden.neighbourhoods, "states": hidden.states,
                              "set_weights": hidden.set_weights, "margins": margins, "stability": stability}
    if hidden.values is None:
        return LatentGraph(Status.FAILS, evidence, hidden.reason, hidden.part, **common)
    values = _ordered(hidden, means[firsts], variances[firsts])
    cells = [tuple(int(u) for u in column) for column in values.T]
    table = np.full(hidden.states, Fraction(0), dtype=object)
    assignment: list[Cell | None] = [None] * mixture.n_components
    for j, c in zip(live, merging.tolist(), strict=True):
        table[cells[c]] += mixture.weights_exact[j]
        assignment[j] = cells[c]
    order = [firsts[c] for c in sorted(range(len(cells)), key=lambda c: cells[c])]
    prior = GaussianMixture(table.reshape(-1).tolist(), means[order], variances[order],
                            **({"states": hidden.states, "neighbourhoods": hidden.neighbourhoods} if cells[0] else {}))
    count = len(hidden.states)
    reason = "There is one component, so no hidden variable." if not count else \
        f"P3 holds for {'one hidden variable' if count == 1 else f'{count} hidden variables'} with " \
        f"{' x '.join(map(str, hidden.states))} states, and for no other table up to permutation and relabelling."
    return LatentGraph(Status.HOLDS, evidence, reason, table=freeze(table), assignment=tuple(assignment),
                       _cells=prior, **common)


def _ordered(hidden: Hidden, means: ExactArray | FloatArray, variances: ExactArray | FloatArray) -> Labels:
    """The states of each variable, shape (k, J), renumbered by the least row of each over its neighbourhood."""
    assert hidden.values is not None
    out = np.empty_like(hidden.values)
    for i, near in enumerate(hidden.neighbourhoods):
        rows = [tuple((means[c, t], variances[c, t]) for t in near) for c in range(len(means))]
        least = [min(rows[c] for c in np.flatnonzero(hidden.values[i] == u)) for u in range(hidden.states[i])]
        rank = {u: r for r, u in enumerate(sorted(range(len(least)), key=least.__getitem__))}
        out[i] = [rank[int(u)] for u in hidden.values[i]]
    return out


def _pattern(labels: Labels) -> list[list[int]]:
    return labelled(labels.tolist()).tolist()


def _live(mixture: GaussianMixture) -> list[int]:
    return [j for j, weight in enumerate(mixture.weights_exact) if weight > 0]


def _dependent(evidence: Evidence, j: int, s: int, t: int, why: str) -> LatentGraph:
    return LatentGraph(Status.FAILS, evidence, f"z[{s}] and z[{t}] are not independent given U: their covariance in "
                       f"component {j} {why}. Recover factorial latents first with unmix_factorial.", "factorial")


def _ambiguous(found: Merged, live: Sequence[int], evidence: Evidence, measure: str) -> LatentGraph:
    assert found.chain is not None
    t, a, b = found.chain
    return LatentGraph(Status.UNKNOWN, evidence, f"Which laws are equal is not settled by {measure}: those of z[{t}] "
                       f"in components {live[a]} and {live[b]} differ, but a chain of components joins them, each "
                       "close to the next. More data, or a smaller tolerance, would settle it.", "ambiguous",
                       margins=found.margins)
