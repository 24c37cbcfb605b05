"""Conditions on the table of several hidden variables and on what they act on: P3, L1, L3 and L4."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.models.mixture import GaussianMixture
from ident_theory.numerics import Evidence, Status
from ident_theory.recovery.graph_tables import labelled

Labels = NDArray[np.int64]


class HiddenTable:
    """The components of a mixture as a table over the hidden variables.

    Attributes
    ----------
    prior : GaussianMixture
    states : tuple of int
        (d_1, ..., d_k).
    live : ndarray of bool, shape (d_1, ..., d_k)
        Where the weight is positive.
    labels : ndarray of int, shape (m, d_1, ..., d_k)
        Number of the law of z[t] in each component: equal labels, equal mean and variance.
    """

    def __init__(self, prior: GaussianMixture) -> None:
        self.prior, self.states = prior, prior.states
        self.live = np.array([w > 0 for w in prior.weights_exact]).reshape(self.states)
        laws = [list(zip(prior.means_exact[:, t], prior.covariances_exact[:, t, t], strict=True))
                for t in range(prior.latent_dim)]
        self.labels: Labels = labelled(laws).reshape(prior.latent_dim, *self.states)

    @property
    def k(self) -> int:
        """Number of hidden variables."""
        return len(self.states)

    @cached_property
    def edges(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(i, t) -> two components of positive weight that differ in U[i] alone and give z[t] different laws.

        z[t] is in ne(U[i]), Definition 3.2, exactly when there is such a pair: independence of z[t] and U[i] given
        the other variables is a statement on the marginal law of z[t] in the states that have a weight.
        """
        found: dict[tuple[int, int], tuple[int, int]] = {}
        number = np.arange(self.live.size).reshape(self.states)
        for i, d in enumerate(self.states):
            live, cells = (np.moveaxis(a, i, 0).reshape(d, -1) for a in (self.live, number))
            for t, labels in enumerate(self.labels):
                along = np.moveaxis(labels, i, 0).reshape(d, -1)
                low = np.where(live, along, labels.size)
                high = np.where(live, along, -1)
                lines = np.flatnonzero((high.max(axis=0) > low.min(axis=0)) & live.any(axis=0))
                if lines.size:
                    line = lines[0]
                    pair = sorted(int(cells[row, line]) for row in (low[:, line].argmin(), high[:, line].argmax()))
                    found[i, t] = (pair[0], pair[1])
        return found

    @cached_property
    def neighbourhoods(self) -> list[list[int]]:
        """ne(U[i]) for each i, sorted."""
        return [[t for t in range(len(self.labels)) if (i, t) in self.edges] for i in range(self.k)]

    @cached_property
    def counts(self) -> list[int]:
        """Number of different laws of each coordinate."""
        return [int(labels.max()) + 1 for labels in self.labels]

    def configurations(self, t: int) -> int:
        """Number of configurations of the variables that act on z[t]."""
        return math.prod(d for d, near in zip(self.states, self.neighbourhoods, strict=True) if t in near)

    @property
    def shown(self) -> str:
        """The neighbourhoods for a reader."""
        return ", ".join(f"ne(U[{i}]) = {{{', '.join(map(str, near))}}}" for i, near in enumerate(self.neighbourhoods))


def zero_weight(prior: GaussianMixture) -> Witness | None:
    """The first component without weight, if there is one."""
    for j, weight in enumerate(prior.weights_exact):
        if weight == 0:
            cell = [int(u) for u in np.unravel_index(j, prior.states)]
            return Witness("mixture.zero_weight", {"component": j},
                           f"weights[{j}] = 0" + (f", the cell u = {tuple(cell)}" if len(cell) > 1 else ""))
    return None


def check_neighbourhoods(table: HiddenTable) -> Finding:
    """The declared neighbourhoods are those of Definition 3.2.

    Published: ne(U_i) holds the coordinates that depend on U_i given the other hidden variables. Checked: the mean
    or the variance of z[t] changes with U[i] somewhere, the others fixed, if and only if t is declared for it.
    States without weight do not count. Taken on trust: nothing.
    """
    declared = table.prior.neighbourhoods or ()
    for i, near in enumerate(declared):
        for t in sorted(set(near) ^ set(table.neighbourhoods[i])):
            if t in near:
                return _finding("neighbourhoods", f"U[{i}] is declared to act on z[{t}], but no component parameter of "
                                f"z[{t}] changes with it.",
                                Witness("mixture.unused", {"variable": i, "coordinate": t},
                                        f"z[{t}] not in ne(U[{i}])"))
            pair = table.edges[i, t]
            return _finding("neighbourhoods", f"U[{i}] acts on z[{t}], which is not declared: components {pair[0]} and "
                            f"{pair[1]} differ in U[{i}] alone and give z[{t}] different laws.",
                            Witness("mixture.undeclared", {"variable": i, "coordinate": t, "states": list(pair)},
                                    f"z[{t}] in ne(U[{i}])"))
    return _finding("neighbourhoods", "The declared neighbourhoods are those that the components show.",
                    Certificate("mixture.neighbourhoods", {"neighbourhoods": table.neighbourhoods}, table.shown))


def check_p3(table: HiddenTable) -> Finding:
    """P3, corrected: (a) different configurations, different laws; (c) no neighbourhood inside another.

    Published: (a) for all sets S of coordinates the law of Z_S differs between any two configurations of ne(S);
    (b) no representation with the same joint law has more hidden variables; (c) ne(U_i) is no subset of ne(U_j).
    Checked: (a) and (c) with P(U = u) > 0 everywhere and every ne(U_i) non-empty. (b) is dropped: as printed it is
    empty, and Theorem F.1 holds without it (``kivva.p3b``, ``kivva.thmF.1``). Taken on trust: nothing.

    With k = 1, (c) is empty and (a) says that every coordinate on which U acts has a different law in every state.

    Notes
    -----
    (a) is decided on single coordinates, which settles all 2^m sets: two different configurations of ne(S) differ
    in a variable that acts on some t in S, hence differ on ne(Z_t); if that gives Z_t different laws, it gives Z_S
    different laws. For one coordinate, the law given ne(Z_t) is the one in any matching component (positivity), so
    (a) holds for {t} when the laws are as many as the configurations of ne(Z_t).
    """
    empty = zero_weight(table.prior)
    clash = None if empty else _equal_law(table)
    nested = _nested(table)
    childless = next((i for i, near in enumerate(table.neighbourhoods) if not near), None)
    details = {"positivity": empty is None, "neighbourhoods": table.neighbourhoods,
               "all_act": childless is None, "a": None if empty else clash is None, "c": nested is None}
    if empty is not None:
        reason = f"A cell of the table P(U = u) is zero ({empty.text}), which the theorem excludes (kivva.thm3.3c)."
        return _finding("P3", reason, empty, details)
    if childless is not None:
        return _finding("P3", f"U[{childless}] acts on no latent coordinate, so Z says nothing about it. The printed "
                        "P3 forgets to exclude that (kivva.thm3.3c).",
                        Witness("mixture.childless", {"variable": childless}, f"ne(U[{childless}]) is empty"), details)
    if clash is not None:
        return _finding("P3", f"Part (a) fails: {clash.text}. It must hold for every set of coordinates, single ones "
                        "included (kivva.a.mfcvae).", clash, details)
    if nested is not None:
        return _finding("P3", f"Part (c) fails: {nested.text}. The joint law P(U, Z) is then not identifiable, P(U) "
                        "only for special tables (kivva.p3.necessary).", nested, details)
    data = {"neighbourhoods": table.neighbourhoods, "counts": table.counts, "outside": _outside(table)}
    return _finding("P3", "Parts (a) and (c) hold, every P(U = u) is positive and every hidden variable acts on some "
                    "coordinate. The printed part (b) is empty and not needed (kivva.p3b, kivva.thmF.1).",
                    Certificate("mixture.p3", data, table.shown), details)


def check_l1(table: HiddenTable) -> Finding:
    """L1: no twins.

    Published: ne(U_i) and ne(U_j) differ for i != j. Checked: that, on the neighbourhoods of Definition 3.2. Taken
    on trust: nothing.
    """
    for i, j in itertools.combinations(range(table.k), 2):
        if table.neighbourhoods[i] == table.neighbourhoods[j]:
            near = table.neighbourhoods[i]
            return _finding("L1", f"U[{i}] and U[{j}] are twins: both act on the coordinates {near}; as one variable "
                            "they give the same law.",
                            Witness("mixture.twins", {"variables": [i, j], "neighbourhood": near},
                                    f"ne(U[{i}]) = ne(U[{j}]) = {near}"))
    return _finding("L1", "No two hidden variables act on the same coordinates." if table.k > 1 else
                    "There is one hidden variable, so no twins.",
                    Certificate("mixture.no_twins", {"neighbourhoods": table.neighbourhoods}, table.shown))


def check_l3(table: HiddenTable) -> Finding:
    """L3: (a) P(U = u) > 0, and (b) different configurations of ne(S) give Z_S different laws, for every S.

    Published: so. Checked: (a) on all weights, (b) on single coordinates, which settles all sets (see `check_p3`).
    Taken on trust: nothing. (b) is part (a) of P3 (``kivva.F.P3toL``).
    """
    empty = zero_weight(table.prior)
    if empty is not None:
        return _finding("L3", f"Part (a) fails: {empty.text}.", empty)
    clash = _equal_law(table)
    if clash is not None:
        return _finding("L3", f"Part (b) fails: {clash.text}.", clash)
    return _finding("L3", "Every P(U = u) is positive, and every coordinate has a law of its own for each "
                    "configuration of the variables that act on it.", nondegenerate(table))


def check_l4(table: HiddenTable) -> Finding:
    """L4: the subset condition.

    Published: ne(U_i) is no subset of ne(U_j) for i != j. Checked: that. Taken on trust: nothing. It is needed for
    the joint law P(U, Z), for P(U) alone only generically (``kivva.p3.necessary``).
    """
    nested = _nested(table)
    if nested is not None:
        return _finding("L4", f"{nested.text}. This always costs the joint law P(U, Z), and P(U) alone unless the "
                        "table is special (kivva.p3.necessary).", nested)
    data = {"neighbourhoods": table.neighbourhoods, "outside": _outside(table)}
    return _finding("L4", "No neighbourhood contains another." if table.k > 1 else
                    "There is one hidden variable, so no neighbourhood contains another.",
                    Certificate("mixture.antichain", data, table.shown))


def nondegenerate(table: HiddenTable) -> Certificate:
    """Why L3 holds: as many laws of each coordinate as configurations of the variables that act on it."""
    return Certificate("mixture.nondegenerate", {"neighbourhoods": table.neighbourhoods, "counts": table.counts},
                       "laws of the coordinates: " + ", ".join(f"z[{t}] {n}" for t, n in enumerate(table.counts)))


def is_nondegenerate(table: HiddenTable) -> bool:
    """Whether L3 holds."""
    return bool(table.live.all()) and all(n == table.configurations(t) for t, n in enumerate(table.counts))


def _equal_law(table: HiddenTable) -> Witness | None:
    """Two configurations that differ on ne(Z_t) only and give z[t] one law; all weights are positive."""
    for t, labels in enumerate(table.labels):
        if table.counts[t] == table.configurations(t):
            continue
        acting = [i for i in range(table.k) if (i, t) in table.edges]
        seen: dict[int, tuple[int, ...]] = {}
        for part in itertools.product(*(range(table.states[i]) for i in acting)):
            cell = [0] * table.k
            for i, u in zip(acting, part, strict=True):
                cell[i] = u
            first = seen.setdefault(int(labels[tuple(cell)]), tuple(cell))
            if first != tuple(cell):
                variable = next(i for i in acting if first[i] != cell[i])
                return Witness("mixture.equal_law",
                               {"coordinate": t, "first": list(first), "second": cell, "variable": variable,
                                "states": list(table.edges[variable, t])},
                               f"z[{t}] has the same mean and variance at u = {_cell(first)} and u = {_cell(cell)}, "
                               f"though U[{variable}] acts on it")
    return None


def _cell(u: tuple[int, ...] | list[int]) -> str:
    return str(u[0]) if len(u) == 1 else f"({', '.join(map(str, u))})"


def _nested(table: HiddenTable) -> Witness | None:
    near = table.neighbourhoods
    for i, j in itertools.permutations(range(table.k), 2):
        if set(near[i]) <= set(near[j]):
            return Witness("mixture.nested", {"inner": i, "outer": j, "neighbourhoods": [near[i], near[j]]},
                           f"ne(U[{i}]) = {near[i]} lies inside ne(U[{j}]) = {near[j]}")
    return None


def _outside(table: HiddenTable) -> list[list[int]]:
    near = table.neighbourhoods
    return [[i, j, next(t for t in near[i] if t not in near[j])] for i, j in itertools.permutations(range(table.k), 2)]


REFERENCES = {"neighbourhoods": ("kivva.def3.2", "kivva.F.markov"),
              "P3": ("kivva.p3b", "kivva.p3.necessary", "kivva.a.mfcvae", "kivva.thmF.1"),
              "L1": ("kivva.F.necessary", "kivva.F.P3toL"), "L3": ("kivva.F.necessary", "kivva.F.P3toL"),
              "L4": ("kivva.p3.necessary", "kivva.F.necessary", "kivva.F.P3toL")}


def _finding(condition: str, reason: str, proof: Certificate | Witness,
             details: dict[str, Any] | None = None) -> Finding:
    status = Status.HOLDS if isinstance(proof, Certificate) else Status.FAILS
    return Finding(condition, status, Evidence.EXACT, reason, proof, references=REFERENCES[condition],
                   details=details or {})
