"""Conditions on Gaussian mixture priors, decided in rationals: P1, P2, P3 and L1 to L4 of Kivva et al. (2022).

Components, hidden variables ``U[i]`` and latent coordinates ``z[t]`` are counted from 0.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from ident_theory.conditions.prior_splits import check_l2
from ident_theory.conditions.prior_states import (
    HiddenTable,
    check_l1,
    check_l3,
    check_l4,
    check_neighbourhoods,
    check_p3,
    zero_weight,
)
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.exact.rationals import nearest_float, rational
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.value import ExactArray, FloatArray, flat_key, plain_numbers
from ident_theory.numerics import Evidence, Status


def prior_findings(prior: GaussianMixture) -> dict[str, Finding]:
    """Decide every condition on a mixture prior.

    Parameters
    ----------
    prior : GaussianMixture

    Returns
    -------
    dict
        Condition id -> finding, for P1, P1.distinct, positivity, P2, neighbourhoods (only when they were declared),
        P3, L1, L2, L3 and L4. Every `holds` has a certificate and every `fails` a witness.

    Notes
    -----
    **Accuracy**: exact. Only L2 may stay `unknown`: with a zero weight, or for a hidden variable of more than eight
    states whose splits would all have to be tried.

    References
    ----------
    Kivva et al. 2022, section 3 and appendix F, as corrected in the ledger (``kivva.p1`` to ``kivva.thmF.1``).
    """
    table = HiddenTable(prior)
    findings = [check_p1(prior), check_p1_distinct(prior), check_positivity(prior), check_p2(prior)]
    if prior.neighbourhoods is not None:
        findings.append(check_neighbourhoods(table))
    findings += [check_p3(table), check_l1(table), check_l2(table), check_l3(table), check_l4(table)]
    return {finding.condition: finding for finding in findings}


def check_p1(prior: GaussianMixture) -> Finding:
    """P1: the prior is a finite Gaussian mixture.

    Published: finitely many Gaussian components with positive weights; singular ones are let in by the wording.
    Checked: in reduced form every covariance is positive definite, which all theorems need (``kivva.p1``).
    Taken on trust: nothing. When it fails, each degenerate component is named with a direction in which it has no
    spread.
    """
    parts: dict[Any, int] = {}
    for j, weight in enumerate(prior.weights_exact):
        if weight > 0:
            parts.setdefault((tuple(prior.means_exact[j]), flat_key(prior.covariances_exact[j])), j)
    pivots: list[dict[str, Any]] = []
    flat: list[dict[str, Any]] = []
    for j in parts.values():
        found = _pivots(prior.covariances_exact[j])
        if all(pivot > 0 for pivot in found):
            pivots.append({"component": j, "pivots": [_plain(pivot) for pivot in found]})
        else:
            flat.append({"component": j, "vector": _kernel_vector(prior.covariances_exact[j])})
    references = ("kivva.p1", "kivva.defC.1")
    if flat:
        names = ", ".join(str(item["component"]) for item in flat)
        reason = (f"Component{'s' if len(flat) > 1 else ''} {names} of {prior.n_components} "
                  f"{'have' if len(flat) > 1 else 'has'} a singular covariance. The printed P1 admits that, but the "
                  "theorems are false with it (kivva.p1): every component needs a positive definite covariance.")
        text = "; ".join(f"covariances[{item['component']}] annuls ({', '.join(map(str, item['vector']))})"
                         for item in flat)
        return Finding("P1", Status.FAILS, Evidence.EXACT, reason, Witness("mixture.degenerate", {"components": flat},
                       text), references=references, details={"degenerate": [item["component"] for item in flat]})
    reason = (f"In reduced form the prior is a mixture of {len(parts)} Gaussian{'s' if len(parts) > 1 else ''} with "
              "positive weights and positive definite covariances; the printed P1 leaves the definiteness out "
              "(kivva.p1).")
    return Finding("P1", Status.HOLDS, Evidence.EXACT, reason,
                   Certificate("mixture.definite", {"components": pivots},
                               "the pivots of each covariance are positive"),
                   references=references, details={"reduced_components": len(parts)})


def check_p1_distinct(prior: GaussianMixture) -> Finding:
    """P1.distinct: the hidden state is the component.

    Published: a standing assumption that J is the product of the numbers of states, used as if it followed from P1.
    Checked: all weights positive and no two components equal, so that the given list is its own reduced form and
    the state u is the component index (``kivva.defC.1``, ``kivva.sec3.J``). Taken on trust: nothing. When it fails,
    P(Z) is as good as before, but P(U) is not determined by it.
    """
    references = ("kivva.defC.1", "kivva.sec3.J")
    empty = zero_weight(prior)
    if empty is not None:
        return Finding("P1.distinct", Status.FAILS, Evidence.EXACT,
                       f"Component {empty.data['component']} has weight zero, so that state of U leaves no trace in "
                       "P(Z); drop it.", empty, references=references)
    order = sorted(range(prior.n_components), key=lambda j: (tuple(prior.means_exact[j]),
                                                             tuple(prior.covariances_exact[j].ravel())))
    for a, b in itertools.pairwise(order):
        if np.array_equal(prior.means_exact[a], prior.means_exact[b]) \
                and np.array_equal(prior.covariances_exact[a], prior.covariances_exact[b]):
            first, second = sorted((a, b))
            return Finding("P1.distinct", Status.FAILS, Evidence.EXACT,
                           f"Components {first} and {second} are equal, so how their weight is shared cannot be read "
                           "off P(Z); merge them.",
                           Witness("mixture.repeated", {"first": first, "second": second},
                                   f"components {first} and {second} have equal means and covariances"),
                           references=references)
    return Finding("P1.distinct", Status.HOLDS, Evidence.EXACT,
                   "All weights are positive and all components distinct, so U is the component index up to "
                   "relabelling. This is an assumption beside P1, not a consequence of it (kivva.sec3.J).",
                   Certificate("mixture.distinct", {"order": order},
                               "in this order the parameters strictly increase"), references=references)


def check_positivity(prior: GaussianMixture) -> Finding:
    """Positivity: P(U = u) > 0 for every cell u of the table.

    Published: asked for in Theorem F.1, not in Theorem 3.3(c), which needs it too (``kivva.thm3.3c``). Checked: all
    weights. Taken on trust: nothing.
    """
    references = ("kivva.thm3.3c", "kivva.sec3.J")
    empty = zero_weight(prior)
    if empty is not None:
        return Finding("positivity", Status.FAILS, Evidence.EXACT,
                       f"A cell of the table P(U = u) is zero: {empty.text}.", empty, references=references)
    least = min(range(prior.n_components), key=lambda j: prior.weights_exact[j])
    weight = plain_numbers(prior.weights_exact[least])
    return Finding("positivity", Status.HOLDS, Evidence.EXACT,
                   "Every cell of the table P(U = u) is positive. The printed Theorem 3.3(c) needs this without "
                   "saying so (kivva.thm3.3c).",
                   Certificate("mixture.positive", {"component": least, "least": weight},
                               f"the least weight is {weight}"), references=references)


def check_p2(prior: GaussianMixture) -> Finding:
    """P2: independent coordinates given U, and two states whose variance ratios are pairwise distinct.

    Published: Z_s and Z_t are independent given U for s != t, and for some states u1, u2 the m ratios of variances
    are distinct. Checked: all covariances of positive weight are diagonal, and some pair of states with positive
    variances has distinct ratios; for m = 1 the second part is empty (``kivva.p2``). Taken on trust: nothing. What
    follows is signed scaling: negative factors cannot be excluded (``kivva.thmE.1``).

    Notes
    -----
    The margin of a pair is the least of ``r_s / r_t - 1`` over pairs of its ratios ``r_s > r_t`` (a number that
    does not change when the two states change places); that of the prior is the largest over pairs of states. The
    best pair is picked by logarithms in float64, its margin is then exact.
    """
    references = ("kivva.p2", "kivva.thmE.1")
    m = prior.latent_dim
    live = [j for j in range(prior.n_components) if prior.weights_exact[j] > 0]
    for j in live:
        sigma = prior.covariances_exact[j]
        entry = next(((s, t) for s in range(m) for t in range(s + 1, m) if sigma[s, t] != 0), None)
        if entry is not None:
            s, t = entry
            return Finding("P2", Status.FAILS, Evidence.EXACT,
                           f"z[{s}] and z[{t}] are not independent given U: component {j} has the covariance "
                           f"{plain_numbers(sigma[s, t])} between them.",
                           Witness("mixture.dependent", {"component": j, "coordinates": [s, t]},
                                   f"covariances[{j}][{s}][{t}] = {plain_numbers(sigma[s, t])}"),
                           references=references, details={"diagonal": False})
    if m == 1:
        return Finding("P2", Status.HOLDS, Evidence.EXACT,
                       "With one latent coordinate there is nothing to be independent of and no second ratio: P2 says "
                       "nothing for m = 1, also for J = 1 (kivva.p2).",
                       Certificate("mixture.scalar", {"latent_dim": 1}, "m = 1"), references=references,
                       details={"diagonal": True})
    variances = {j: [prior.covariances_exact[j][t, t] for t in range(m)] for j in live}
    spread = [j for j in live if all(v > 0 for v in variances[j])]
    labels = _proportions([variances[j] for j in spread], m)
    best = _best_pair([variances[j] for j in spread], labels)
    if best is not None:
        first, second = (spread[i] for i in best)
        ratios = [a / b for a, b in zip(variances[first], variances[second], strict=True)]
        margin = min(high / low for low, high in itertools.pairwise(sorted(ratios))) - 1
        shown = [plain_numbers(r) for r in ratios]
        return Finding("P2", Status.HOLDS, Evidence.EXACT,
                       f"The covariances are diagonal, and the variance ratios of components {first} and {second} are "
                       "pairwise distinct. The latents then follow up to permutation, translation and non-zero "
                       "factors, negative ones included, where the printed theorem says positive (kivva.thmE.1).",
                       Certificate("mixture.ratios", {"pair": [first, second], "ratios": shown},
                                   f"variances of {first} over those of {second}: {', '.join(map(str, shown))}"),
                       references=references,
                       details={"diagonal": True, "pair": [first, second], "margin": nearest_float(margin),
                                "margin_exact": str(margin)})
    degenerate = [[j, next(t for t in range(m) if variances[j][t] == 0)] for j in live if j not in spread]
    groups = _covering_groups(spread, labels, m)
    why = "there is only one state with positive variances" if len(spread) == 1 else \
        "no state has positive variances" if not spread else \
        "in every pair of states two coordinates have the same variance ratio"
    return Finding("P2", Status.FAILS, Evidence.EXACT,
                   f"The covariances are diagonal, but {why}, so a rotation can hide (kivva.p2).",
                   Witness("mixture.equal_ratios", {"degenerate": degenerate, "groups": groups},
                           "; ".join(f"z{group['coordinates']}: variances in one proportion over components "
                                     f"{group['components']}" for group in groups) or why),
                   references=references, details={"diagonal": True, "margin": 0.0})


def _pivots(matrix: ExactArray) -> list[fmpq]:
    """The D of a semidefinite L D L^T; it ends at the first pivot that is zero."""
    work = [[rational(v) for v in row] for row in matrix]
    found: list[fmpq] = []
    for i in range(len(work)):
        pivot = work[i][i]
        found.append(pivot)
        if pivot == 0:
            break
        for j in range(i + 1, len(work)):
            factor = work[j][i] / pivot
            if factor != 0:
                work[j] = [a - factor * b for a, b in zip(work[j], work[i], strict=True)]
    return found


def _kernel_vector(matrix: ExactArray) -> list[int | str]:
    """A non-zero vector that a singular matrix annuls: its first free variable set to one."""
    size = len(matrix)
    reduced, rank = fmpq_mat(size, size, [rational(v) for v in matrix.ravel()]).rref()
    leads = [next(c for c in range(size) if reduced[r, c] != 0) for r in range(rank)]
    free = next(c for c in range(size) if c not in leads)
    vector = [fmpq(0)] * size
    vector[free] = fmpq(1)
    for r, lead in enumerate(leads):
        vector[lead] = -reduced[r, free]
    return [_plain(v) for v in vector]


def _proportions(variances: list[list[Fraction]], m: int) -> np.ndarray:
    """Labels (J, m (m - 1) / 2): for each two coordinates s < t, which states share the quotient of variances s : t.

    Ratios a_s / b_s and a_t / b_t of states a and b are equal exactly when a_s / a_t = b_s / b_t.
    """
    labels = np.empty((len(variances), m * (m - 1) // 2), dtype=np.int64)
    for column, (s, t) in enumerate(itertools.combinations(range(m), 2)):
        codes: dict[Fraction, int] = {}
        labels[:, column] = [codes.setdefault(row[s] / row[t], len(codes)) for row in variances]
    return labels


def _best_pair(variances: list[list[Fraction]], labels: np.ndarray) -> tuple[int, int] | None:
    """The pair of states without equal ratios whose margin is largest, to the accuracy of float64."""
    logs = np.array([[_log(v) for v in row] for row in variances])
    best, pair = -1.0, None
    for a in range(len(variances) - 1):
        good = ~(labels[a + 1:] == labels[a]).any(axis=1)
        if good.any():
            gaps: FloatArray = np.diff(np.sort(logs[a] - logs[a + 1:], axis=1), axis=1).min(axis=1)
            b = int(np.argmax(np.where(good, gaps, -1.0)))
            if gaps[b] > best:
                best, pair = float(gaps[b]), (a, a + 1 + b)
    return pair


def _covering_groups(states: list[int], labels: np.ndarray, m: int) -> list[dict[str, list[int]]]:
    """Groups of states with one quotient of variances at two coordinates, such that every pair is in a group."""
    open_pairs = np.triu(np.ones((len(states), len(states)), dtype=bool), 1)
    groups: list[dict[str, list[int]]] = []
    for column, coordinates in enumerate(itertools.combinations(range(m), 2)):
        for label in np.unique(labels[:, column]):
            members = np.flatnonzero(labels[:, column] == label)
            block = np.ix_(members, members)
            if open_pairs[block].any():
                open_pairs[block] = False
                groups.append({"coordinates": list(coordinates), "components": [states[i] for i in members]})
    return groups


def _plain(value: fmpq) -> int | str:
    return int(value.p) if value.q == 1 else str(value)


def _log(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)
