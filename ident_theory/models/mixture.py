"""Finite Gaussian mixtures."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory.errors import Problem
from ident_theory.exact.rationals import nearest_float, parse_array, shown, to_float
from ident_theory.models.states import (
    Neighbourhoods,
    States,
    entry_path,
    flatten_states,
    is_sequence,
    read_neighbourhoods,
    read_states,
)
from ident_theory.models.value import (
    ExactArray,
    FloatArray,
    Value,
    check_covariance,
    flat_key,
    freeze,
    plain_numbers,
    raise_if,
)

#: Weights given as floats (thirds, say) miss 1 by rounding; up to this gap they are divided by their sum.
WEIGHT_SUM_TOLERANCE = Fraction(1, 10**9)


class GaussianMixture(Value):
    r"""A Gaussian mixture :math:`P(z) = \sum_j w_j\, N(z; \mu_j, \Sigma_j)` on :math:`R^m`.

    The component index j is the state of a discrete hidden variable U. It may stand for several hidden variables
    (U_1, ..., U_k) with d_1, ..., d_k states: then J = d_1 ... d_k, and the components are the cells of the table
    P(U = u) in C order (the last variable moves first).

    Parameters
    ----------
    weights : array_like, shape (J,) or (d_1, ..., d_k)
        Non-negative, summing to one. Zero weights are legal. A sum off by at most 1e-9 (rounding of floats)
        is repaired exactly by division, and the repair is recorded in `repairs`. A table of two or more axes
        says that there are as many hidden variables.
    means : array_like, shape (J, m) or (J,)
        A flat list means m = 1. With several hidden variables the axis J may be written as the table's axes
        (d_1, ..., d_k); no shape has two different readings.
    covariances : array_like, shape (J, m, m), (J, m) or (J,)
        Full matrices, diagonals, or variances when m = 1; the axis J as for the means. Positive semidefinite; a
        singular one puts its component on a lower-dimensional plane, and the law of the model says what follows.
    states : sequence of int, optional
        The numbers (d_1, ..., d_k), for flat weights; by default those of the table, or (J,).
    neighbourhoods : sequence of k sequences of int, optional
        The latent coordinates, counted from 0, that each hidden variable is said to act on. Only their form is
        checked here; whether the components agree is the condition ``neighbourhoods`` of `prior_findings`.

    Attributes
    ----------
    states : tuple of int
        Numbers of states, (J,) for one hidden variable.
    neighbourhoods : tuple of tuple of int, or None
        As declared, each sorted.
    weights, means, covariances : ndarray of float64
        Rounded views, shapes (J,), (J, m), (J, m, m).
    weights_exact, means_exact, covariances_exact : ndarray of Fraction
        The numbers themselves: a float is the dyadic rational it holds, a string or Decimal what it shows.
    repairs : tuple of str
        What had to be changed to make the input a mixture; empty as a rule.

    Raises
    ------
    ModelError
        Lists every mistake: wrong shapes, negative weights, a sum that is not one, a matrix that is no
        covariance, NaN, empty arrays.
    """

    weights_exact: ExactArray
    means_exact: ExactArray
    covariances_exact: ExactArray
    weights: FloatArray
    means: FloatArray
    covariances: FloatArray
    states: States
    neighbourhoods: Neighbourhoods | None
    repairs: tuple[str, ...]

    def __init__(self, weights: Any, means: Any, covariances: Any, *, states: Any = None,
                 neighbourhoods: Any = None) -> None:
        problems: list[Problem] = []
        fields = read_mixture(weights, means, covariances, "", problems, states, neighbourhoods)
        raise_if(problems, "GaussianMixture")
        assert fields is not None
        w, mu, sigma, repairs, sizes, near = fields
        self._set(weights_exact=w, means_exact=mu, covariances_exact=sigma, repairs=repairs, states=sizes,
                  neighbourhoods=near, weights=to_float(w), means=to_float(mu), covariances=to_float(sigma))

    @property
    def n_components(self) -> int:
        """Number of components J, zero weights included."""
        return len(self.weights_exact)

    @property
    def latent_dim(self) -> int:
        """Dimension m of the latent space."""
        return int(self.means_exact.shape[1])

    def reduced(self) -> GaussianMixture:
        """The same law with zero weights dropped and equal components merged (Kivva et al. 2022, Def. C.1).

        It has one hidden variable, the component; the table of several is not kept.
        """
        merged: dict[Hashable, Fraction] = {}
        parts: dict[Hashable, tuple[ExactArray, ExactArray]] = {}
        for w, mu, sigma in zip(self.weights_exact, self.means_exact, self.covariances_exact, strict=True):
            if w != 0:
                key = (tuple(mu), flat_key(sigma))
                merged[key] = merged.get(key, Fraction(0)) + w
                parts[key] = (mu, sigma)
        keys = list(merged)
        return GaussianMixture([merged[k] for k in keys], [list(parts[k][0]) for k in keys],
                               [parts[k][1].tolist() for k in keys])

    def by_component(self) -> dict[tuple[tuple[Fraction, ...], tuple[tuple[Fraction, ...], ...]], Fraction]:
        """The reduced form as weights of (mean, rows of the covariance); equal exactly for equal laws."""
        law = self.reduced()
        return {(tuple(mean), tuple(map(tuple, c))): w
                for w, mean, c in zip(law.weights_exact, law.means_exact, law.covariances_exact, strict=True)}

    def sample(self, size: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        """Draw latents.

        Returns
        -------
        z : ndarray, shape (size, m)
        component : ndarray of int, shape (size,)
        """
        component = rng.choice(self.n_components, size=size, p=self.weights / self.weights.sum())
        z = np.empty((size, self.latent_dim))
        for j in range(self.n_components):
            rows = np.flatnonzero(component == j)
            if rows.size:
                values, vectors = np.linalg.eigh(self.covariances[j])
                root = vectors * np.sqrt(np.clip(values, 0.0, None))
                z[rows] = self.means[j] + rng.standard_normal((rows.size, self.latent_dim)) @ root.T
        return z, component

    def plain(self) -> dict[str, Any]:
        """The section ``[prior]`` of a model file."""
        return {"weights": plain_numbers(self.weights_exact), "means": plain_numbers(self.means_exact),
                "covariances": plain_numbers(self.covariances_exact), **self._structure()}

    def _structure(self) -> dict[str, Any]:
        """What the user said about the hidden variables beyond their being one component index."""
        tree: dict[str, Any] = {}
        if len(self.states) > 1:
            tree["states"] = list(self.states)
        if self.neighbourhoods is not None:
            tree["neighbourhoods"] = [list(row) for row in self.neighbourhoods]
        return tree

    def _key(self) -> Hashable:
        key = flat_key(self.weights_exact), flat_key(self.means_exact), flat_key(self.covariances_exact)
        return (*key, self.states, self.neighbourhoods) if self._structure() else key

    def __repr__(self) -> str:
        tail = "".join(f", {name}={value}" for name, value in self._structure().items())
        return (f"GaussianMixture(weights={self.weights.tolist()}, means={self.means.tolist()}, "
                f"covariances={self.covariances.tolist()}{tail})")


MixtureParts = tuple[ExactArray, ExactArray, ExactArray, tuple[str, ...], States, Neighbourhoods | None]


def read_mixture(weights: Any, means: Any, covariances: Any, path: str, problems: list[Problem],
                 states: Any = None, neighbourhoods: Any = None) -> MixtureParts | None:
    """Parse and validate the parts of a mixture, recording every problem under `path`.

    Returns
    -------
    (weights, means, covariances, repairs, states, neighbourhoods) or None
        Weights (J,), means (J, m) and covariances (J, m, m) as exact arrays; None when there was a problem.
    """
    before = len(problems)
    dot = f"{path}." if path else ""
    w = parse_array(weights, f"{dot}weights", problems)
    mu = parse_array(means, f"{dot}means", problems)
    sigma = parse_array(covariances, f"{dot}covariances", problems)
    repairs: tuple[str, ...] = ()
    if w is not None and (not w.ndim or not w.size):
        problems.append(Problem(f"{dot}weights", "a non-empty list of J numbers, or a table of them",
                                f"shape {w.shape}"))
        w = None
    sizes = read_states(states, w, f"{dot}states", problems)
    if w is not None:
        w, repairs = _read_weights(w, f"{dot}weights", problems)
    if mu is not None:
        mu = _read_means(flatten_states(mu, sizes), None if w is None else len(w), f"{dot}means", problems)
    if sigma is not None:
        lead = sizes if sizes is not None and sigma.shape[:len(sizes)] == sizes else sigma.shape[:1]
        sigma = flatten_states(sigma, sizes)
        if 1 <= sigma.ndim <= 3:
            # Unreadable means must not hide a bad covariance: its own shape then says what it was meant for.
            own = (len(sigma), 1 if sigma.ndim == 1 else sigma.shape[1])
            sigma = _read_covariances(sigma, own if mu is None else mu.shape, lead, f"{dot}covariances", problems)
        else:
            problems.append(Problem(f"{dot}covariances", "J variances, diagonals or matrices",
                                    f"shape {sigma.shape}"))
    count = len(states) if sizes is None and is_sequence(states) else None if sizes is None else len(sizes)
    near = read_neighbourhoods(neighbourhoods, count, None if mu is None else mu.shape[1],
                               f"{dot}neighbourhoods", problems)
    if len(problems) > before:
        return None
    assert w is not None
    assert mu is not None
    assert sigma is not None
    assert sizes is not None
    return w, mu, sigma, repairs, sizes, near


def _read_means(mu: ExactArray, count: int | None, path: str, problems: list[Problem]) -> ExactArray | None:
    if mu.ndim == 1:
        mu = freeze(mu.reshape(-1, 1))
    if mu.ndim != 2 or not mu.size:
        problems.append(Problem(path, "J rows of m numbers (or J numbers for m = 1)", f"shape {mu.shape}"))
        return None
    if count is not None and len(mu) != count:
        problems.append(Problem(path, f"{count} rows, one for each weight", f"{len(mu)}"))
    return mu


def _read_weights(w: ExactArray, path: str, problems: list[Problem]) -> tuple[ExactArray, tuple[str, ...]]:
    lead, w = w.shape, freeze(w.reshape(-1))
    for j, value in enumerate(w):
        if value < 0:
            problems.append(Problem(entry_path(path, j, lead), "a weight >= 0", shown(value)))
    total = sum(w, Fraction(0))
    if total == 1:
        return w, ()
    if abs(total - 1) > WEIGHT_SUM_TOLERANCE:
        problems.append(Problem(path, "weights that sum to 1", f"the sum {nearest_float(total):.12g}",
                                "divide them by their sum, or write thirds as \"1/3\""))
        return w, ()
    return freeze(w / total), (f"{path}: divided by their sum, which is 1 {nearest_float(total - 1):+.3g}",)


def _read_covariances(sigma: ExactArray, shape: tuple[int, ...], lead: tuple[int, ...], path: str,
                      problems: list[Problem]) -> ExactArray | None:
    count, dim = shape
    if dim == 1 and sigma.shape in ((count,), (count, 1)):
        sigma = sigma.reshape(count, 1, 1)
    elif sigma.shape == (count, dim):
        full = np.full((count, dim, dim), Fraction(0), dtype=object)
        for j in range(count):
            for i in range(dim):
                full[j, i, i] = sigma[j, i]
        sigma = full
    if sigma.shape != (count, dim, dim):
        problems.append(Problem(path, f"shape {(count, dim, dim)} (or {(count, dim)} for diagonals)",
                                f"shape {sigma.shape}"))
        return None
    for j in range(count):
        check_covariance(sigma[j], entry_path(path, j, lead), problems, definite=False)
    return freeze(sigma)
