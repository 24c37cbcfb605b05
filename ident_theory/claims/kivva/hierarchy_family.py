"""All pairs of a two-unit network with small parameters and a small mixture, compared by the law of f(Z)."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

from ident_theory.claims.kivva.injectivity_lines import is_weakly_injective, pieces_of
from ident_theory.geometry.line import line_pieces
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import components_of
from ident_theory.models import GaussianMixture, PiecewiseAffineMap, ReLUNetwork


def simple_family() -> tuple[int, int, int]:
    """All maps a relu(bz + p) + c relu(dz + q) with parameters -1, 0, 1, and two components with means -2 to 2.

    Returns
    -------
    tuple of int
        Pairs of a map and a prior; those with a weakly injective map; among these, those whose law of f(Z) also
        belongs to a pair with a prior that no affine map relates.
    """
    parameters = list(product((-1, 0, 1), repeat=3))
    functions: dict[Any, PiecewiseAffineMap] = {}
    for (a, b, p), (c, d, q) in product(parameters, repeat=2):
        pieces = pieces_of(ReLUNetwork([[[b], [d]], [[a, c]]], [[p, q], [0]]))
        functions[tuple((x.low, x.slope, x.intercept) for x in pieces)] = PiecewiseAffineMap(
            [x.low for x in pieces[1:]], [x.slope for x in pieces], [x.intercept for x in pieces])
    priors: dict[Any, GaussianMixture] = {}
    for w in (1, 2, 3):
        for mu, nu in product(range(-2, 3), repeat=2):
            prior = GaussianMixture([Fraction(w, 4), Fraction(4 - w, 4)], [mu, nu], [1, 1])
            priors[frozenset(prior.by_component().items())] = prior
    shapes = {key: _shape(prior) for key, prior in priors.items()}
    classes: dict[Any, set[Any]] = {}
    weak = []
    for f in functions.values():
        exact, covered_once = line_pieces(f), is_weakly_injective(pieces_of(f))
        for key, prior in priors.items():
            law = law_key(exact, components_of(prior))
            classes.setdefault(law, set()).add(shapes[key])
            weak += [law] if covered_once else []
    return len(functions) * len(priors), len(weak), sum(len(classes[law]) > 1 for law in weak)


def _shape(prior: GaussianMixture) -> frozenset[Any]:
    """The affine class of a mixture of unit variances with two components: weights and gap, either way round."""
    parts = sorted((mean, w) for (mean, _), w in prior.by_component().items())
    gap = parts[-1][0][0] - parts[0][0][0]
    weights = tuple(w for _, w in parts)
    return frozenset({(gap, weights), (gap, weights[::-1])})
