"""Hypothesis strategies for priors with more structure: conditional ones, and tables of hidden variables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ident_theory.errors import InputError
from ident_theory.models import ConditionalPrior, GaussianMixture
from ident_theory.models.families import FAMILY_NAMES
from ident_theory.models.value import ExactArray
from ident_theory.testing import options
from ident_theory.testing.options import Span
from ident_theory.testing.small_numbers import (
    extreme_positive,
    extreme_rationals,
    normalised,
    positive_rationals,
    powers,
    rationals,
    signed,
    whole_numbers,
)

#: Signs of the natural parameters: -1 negative, 1 positive, 0 any.
_SIGNS = {"normal": (0, -1), "normal_mean": (0,), "normal_variance": (-1,), "lognormal": (0, -1), "gamma": (1, -1),
          "inverse_gamma": (-1, -1), "beta": (1, 1), "inverse_gaussian": (-1, -1), "laplace": (-1,)}
#: Statistics of custom families with the signs that make the density integrable; some are dependent on purpose.
_CUSTOM: tuple[tuple[tuple[str, ...], tuple[int, ...], tuple[str, str]], ...] = (
    (("z", "z**2"), (0, -1), ("-oo", "oo")), (("z**2", "z**4"), (0, -1), ("-oo", "oo")),
    (("Abs(z)",), (-1,), ("-oo", "oo")), (("z**2", "2*z**2"), (-1, -1), ("-oo", "oo")),
    (("z", "z**3"), (0, 0), ("0", "1")), (("z", "3*z + 1"), (-1, -1), ("0", "oo")),
)


def conditional_priors(latent_dim: Span = 1, values: Span = (1, 5), families: str | Sequence[str] | None = None, *,
                       degenerate: bool = True, exact: bool = True) -> st.SearchStrategy[ConditionalPrior]:
    """Conditional exponential families on a finite set of values of u.

    Parameters
    ----------
    latent_dim, values : int or (int, int)
        Numbers of latents and of values of u, or the least and the largest.
    families : str or sequence of str, optional
        Of `FAMILY_NAMES`; by default all that are known by name. "custom" adds statistics of various kinds, some of
        them affinely dependent.
    degenerate : bool
        Also values of u with equal parameters, latents that do not depend on u, and parameters on a line.
    exact : bool
        Small rationals, with extreme ones now and then; or floats of many sizes.

    Raises
    ------
    InputError
        For arguments that are none of these.
    """
    where = "conditional_priors"
    chosen = (tuple(_SIGNS) if families is None else options.names(where, "families", families, FAMILY_NAMES))
    return _conditional(options.span(where, "latent_dim", latent_dim, 1), options.span(where, "values", values, 1),
                        chosen, options.flag(where, "degenerate", degenerate), options.flag(where, "exact", exact))


@cache
@st.composite
def _conditional(draw: st.DrawFn, dims: tuple[int, int], values: tuple[int, int], families: tuple[str, ...],
                 degenerate: bool, exact: bool) -> ConditionalPrior:
    n, count = draw(st.integers(*dims)), draw(st.integers(*values))
    name = draw(st.sampled_from(families))
    given: dict[str, Any] = {}
    signs = _SIGNS.get(name, ())
    if name == "custom":
        statistics, signs, support = draw(st.sampled_from(_CUSTOM))
        given = {"statistics": list(statistics), "support": list(support)}
    elif name == "laplace":
        given = {"location": draw(rationals())}
    kind = draw(st.sampled_from(("plain", "plain", "extreme", "repeated", "constant", "line")[:6 if degenerate else 3]))
    number: st.SearchStrategy[Any] = signed(-3, 3) if not exact else (
        extreme_rationals() if kind == "extreme" else rationals())
    size: st.SearchStrategy[Any] = powers(-3, 3) if not exact else (
        extreme_positive() if kind == "extreme" else positive_rationals())

    def row() -> list[Any]:
        return [draw(number) if sign == 0 else sign * draw(size) for sign in signs]

    natural = [[row() for _ in range(n)] for _ in range(count)]
    if kind == "repeated":
        natural[-1] = natural[0]
    elif kind == "constant":
        i = draw(st.integers(0, n - 1))
        for u in range(count):
            natural[u][i] = natural[0][i]
    elif kind == "line":  # all on a ray, on which no sign changes
        factors = [draw(size) for _ in range(count)]
        natural = [[[t * v for v in statistics_of] for statistics_of in natural[0]] for t in factors]
    weights = None
    if draw(st.booleans()):
        weights = normalised([draw(st.integers(1, 4)) for _ in range(count)])
    return ConditionalPrior(name, natural, weights=weights, **given)


@dataclass(frozen=True, eq=False)
class FactorialTruth:
    """A factorial mixture and the hidden variables it was made from.

    Attributes
    ----------
    mixture : GaussianMixture
        Diagonal components in random order, with nothing said about the hidden variables.
    states : tuple of int
        (d_1, ..., d_k).
    neighbourhoods : tuple of tuple of int
        The coordinates that each variable acts on, counted from 0.
    table : ndarray of Fraction, shape (d_1, ..., d_k)
        P(U = u).
    cells : tuple of tuple of int
        The state u of each component of `mixture`.
    """

    mixture: GaussianMixture
    states: tuple[int, ...]
    neighbourhoods: tuple[tuple[int, ...], ...]
    table: ExactArray
    cells: tuple[tuple[int, ...], ...]

    @property
    def n_variables(self) -> int:
        """Number k of hidden variables."""
        return len(self.states)

    @property
    def prior(self) -> GaussianMixture:
        """The mixture with its components in the order of the table, states and neighbourhoods declared."""
        order = [self.cells.index(u) for u in np.ndindex(self.states)]
        mixture = self.mixture
        return GaussianMixture(self.table.ravel().tolist(), mixture.means_exact[order].tolist(),
                               mixture.covariances_exact[order].tolist(), states=self.states,
                               neighbourhoods=self.neighbourhoods)

    @property
    def satisfies_p3(self) -> bool:
        """Whether P3 of Kivva et al. (2022), corrected, holds: the variables are then determined by the mixture.

        Positive table; every variable has two states or more and acts on some coordinate; a coordinate has different
        laws for different states of what acts on it; no neighbourhood inside another.
        """
        near = [set(row) for row in self.neighbourhoods]
        nested = any(u <= v for i, u in enumerate(near) for j, v in enumerate(near) if i != j)
        if nested or not all(near) or min(self.states) < 2 or not all(self.table.ravel()):
            return False
        for t in range(self.mixture.latent_dim):
            laws: dict[Any, set[Any]] = {}
            for j, u in enumerate(self.cells):
                law = self.mixture.means_exact[j, t], self.mixture.covariances_exact[j, t, t]
                laws.setdefault(law, set()).add(tuple(s for s, row in zip(u, near, strict=True) if t in row))
            if any(len(configurations) > 1 for configurations in laws.values()):
                return False
        return True


def factorial_mixtures(variables: Span = (1, 2), states: Span = (2, 3), latent_dim: Span | None = None, *,
                       degenerate: bool = True, exact: bool = True) -> st.SearchStrategy[FactorialTruth]:
    """Mixtures with diagonal components that are a table over several hidden discrete variables, and the truth.

    Parameters
    ----------
    variables, states : int or (int, int)
        Numbers k and d_i, or the least and the largest.
    latent_dim : int or (int, int), optional
        Number of latents, by default k to k + 2. Variables may act on the same ones.
    degenerate : bool
        Also cells of weight zero, two configurations with one law, a variable inside the neighbourhood of another, one
        that acts on nothing, and coordinates of variance zero. Without it every mixture satisfies P3.
    exact : bool
        Small rationals; or floats of many sizes as means and variances.

    Raises
    ------
    InputError
        For arguments that are none of these, or too few latents for so many variables none inside another.
    """
    where = "factorial_mixtures"
    k = options.span(where, "variables", variables, 1)
    d = options.span(where, "states", states, 2)
    dims = None if latent_dim is None else options.span(where, "latent_dim", latent_dim, 1)
    if dims is not None and comb(dims[0], dims[0] // 2) < k[1]:
        raise InputError(f"{where}: latent_dim: expected enough latents for {k[1]} variables with none inside "
                         f"another, found {latent_dim!r}")
    return _factorial(k, d, dims, options.flag(where, "degenerate", degenerate), options.flag(where, "exact", exact))


@cache
@st.composite
def _factorial(draw: st.DrawFn, variables: tuple[int, int], each: tuple[int, int], dims: tuple[int, int] | None,
               degenerate: bool, exact: bool) -> FactorialTruth:
    k = draw(st.integers(*variables))
    m = draw(st.integers(*((k, k + 2) if dims is None else dims)))
    states = tuple(draw(st.integers(*each)) for _ in range(k))
    near = _antichain(draw, k, m)
    kind = draw(st.sampled_from(("none", "none", "none", "zero cell", "one law", "nested", "idle", "zero variance")[
        :8 if degenerate else 1]))
    if kind == "nested" and k > 1:
        near[0] = near[1][:1]
    elif kind == "idle":
        near[-1] = []
    cells = list(itertools.product(*(range(d) for d in states)))
    raw: list[Any] = [draw(st.integers(1, 4)) for _ in cells]
    if kind == "zero cell":
        raw[draw(st.integers(0, len(raw) - 1))] = 0
    weights = dict(zip(cells, normalised(raw), strict=True))
    laws = [_laws(draw, [i for i in range(k) if t in near[i]], states, exact) for t in range(m)]
    if kind in ("one law", "zero variance"):
        t = draw(st.integers(0, m - 1))
        first, *rest = laws[t]
        if kind == "one law" and rest:
            laws[t][rest[0]] = laws[t][first]
        elif kind == "zero variance":
            laws[t] = {u: (j, 0) for j, u in enumerate(laws[t])}
    cells = draw(st.permutations(cells))
    rows = [[laws[t][tuple(u[i] for i in range(k) if t in near[i])] for t in range(m)] for u in cells]
    mixture = GaussianMixture([weights[u] for u in cells], [[mean for mean, _ in row] for row in rows],
                              [[variance for _, variance in row] for row in rows])
    table = np.empty(states, dtype=object)
    for u, w in weights.items():
        table[u] = w
    table.flags.writeable = False
    return FactorialTruth(mixture, states, _acting(near, laws), table, tuple(cells))


def _acting(near: list[list[int]], laws: list[dict[Any, tuple[Any, Any]]]) -> tuple[tuple[int, ...], ...]:
    """The coordinates whose law changes with a state of each variable: one law for two configurations may take some."""
    acting: list[list[int]] = [[] for _ in near]
    for t, of in enumerate(laws):
        for place, i in enumerate(k for k, row in enumerate(near) if t in row):
            others: dict[Any, set[Any]] = {}
            for configuration, law in of.items():
                others.setdefault((*configuration[:place], *configuration[place + 1:]), set()).add(law)
            if any(len(several) > 1 for several in others.values()):
                acting[i].append(t)
    return tuple(map(tuple, acting))


def _antichain(draw: st.DrawFn, k: int, m: int) -> list[list[int]]:
    """k sets of coordinates, none inside another: one coordinate of its own each and shared ones, or of one size."""
    sizes = [size for size in range(1, m + 1) if comb(m, size) >= k]
    if m >= k and draw(st.booleans()):
        return [[i, *draw(st.lists(st.integers(k, m - 1), unique=True, max_size=m - k))] if m > k else [i]
                for i in range(k)]
    size = draw(st.sampled_from(sizes))
    sets = list(itertools.combinations(range(m), size))
    chosen = draw(st.lists(st.sampled_from(sets), min_size=k, max_size=k, unique=True))
    return [list(row) for row in chosen]


def _laws(draw: st.DrawFn, acting: list[int], states: tuple[int, ...], exact: bool) -> dict[Any, tuple[Any, Any]]:
    """(mean, variance) of a coordinate for each configuration of what acts on it, all different."""
    configurations = list(itertools.product(*(range(states[i]) for i in acting)))
    pair: st.SearchStrategy[Any] = (st.tuples(whole_numbers(3), positive_rationals()) if exact else
                                    st.tuples(signed(-3, 3), powers(-3, 3)))
    chosen = draw(st.lists(pair, min_size=len(configurations), max_size=len(configurations), unique=True))
    return dict(zip(configurations, chosen, strict=True))
