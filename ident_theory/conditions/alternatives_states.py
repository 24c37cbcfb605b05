"""Second models that differ in the table of several hidden variables: labels swapped inside one state of another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations

import numpy as np

from ident_theory.conditions.alternatives_candidate import Candidate
from ident_theory.models import GaussianMixture, Model


def state_candidates(model: Model) -> Iterator[Candidate]:
    r"""Where the neighbourhood of U_a lies inside that of U_b: two labels of U_a change places where U_b = s.

    The components stay, so P(Z) does; every latent still depends on the same hidden variables (kivva.p3.necessary).
    """
    prior = model.prior
    if not isinstance(prior, GaussianMixture) or len(prior.states) < 2:
        return
    m = prior.latent_dim
    if any(prior.covariances_exact[:, ~np.eye(m, dtype=bool)].ravel()):
        return
    near = _neighbourhoods(prior)
    places = np.arange(prior.n_components).reshape(prior.states)
    for inner, outer in permutations(range(len(prior.states)), 2):
        if not near[inner] <= near[outer]:
            continue
        for state in range(prior.states[outer]):
            for first, second in combinations(range(prior.states[inner]), 2):
                order = np.moveaxis(places.copy(), (outer, inner), (0, 1))
                order[state, [first, second]] = order[state, [second, first]]
                source = np.moveaxis(order, (0, 1), (outer, inner)).ravel()
                swapped = GaussianMixture(prior.weights_exact[source], prior.means_exact[source].tolist(),
                                          prior.covariances_exact[source].tolist(), states=prior.states,
                                          neighbourhoods=prior.neighbourhoods)
                tree = Model(swapped, model.decoder, model.noise).plain()
                yield Candidate("labels", "pair.label_swap",
                                {"second": tree, "inner": inner, "outer": outer, "state": state,
                                 "swap": [first, second]},
                                f"the neighbourhood of hidden variable {inner} lies inside that of {outer}, and its "
                                f"states {first} and {second} change places where {outer} is in state {state}")


def _neighbourhoods(prior: GaussianMixture) -> list[set[int]]:
    """The latents whose law changes with each hidden variable."""
    table = np.concatenate([prior.means_exact, prior.covariances_exact.diagonal(axis1=1, axis2=2)], axis=1)
    table = table.reshape(*prior.states, 2, prior.latent_dim)
    near = []
    for axis, _ in enumerate(prior.states):
        change = table != np.take(table, [0], axis=axis)
        near.append(set(np.flatnonzero(change.any(axis=tuple(range(change.ndim - 1)))).tolist()))
    return near
