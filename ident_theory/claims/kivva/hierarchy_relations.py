"""How two mixtures or two decoders are related: decided here, apart from the toolkit's theorems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction
from itertools import permutations, product
from math import isqrt

from ident_theory.claims.kivva.injectivity_lines import Piece, pieces_of
from ident_theory.conditions.relation_priors import latent_relation
from ident_theory.models import AffineChange, GaussianMixture, PiecewiseAffineMap, ReLUNetwork

Number = tuple[Fraction, Fraction]
Decoder = PiecewiseAffineMap | ReLUNetwork


def affinely_related(first: GaussianMixture, second: GaussianMixture, labelled: bool = False) -> bool | None:
    """Whether an invertible affine map carries one law of the latent to the other; None if undecided.

    With `labelled`, whether it carries P(U, Z) to P(U, Z), U the component up to the names of its states: equal
    components are then not merged. One latent is decided here, by standardised components; more by the toolkit.
    """
    if labelled and _weights(first) != _weights(second):
        return False
    if first.latent_dim == 1:
        forms = [_standardised(prior, labelled) for prior in (first, second)]
        return forms[0] == forms[1] or _mirrored(forms[0]) == forms[1]
    if labelled and first.reduced().n_components < first.n_components:
        return None
    return latent_relation(first, second).exist


def _weights(prior: GaussianMixture) -> Counter[Fraction]:
    return Counter(prior.weights_exact.tolist())


def _standardised(prior: GaussianMixture, labelled: bool) -> frozenset[tuple[Hashable, Fraction]]:
    """Components of (Z - mean) / sd, in squares so that everything stays rational."""
    parts = list(zip(prior.weights_exact.tolist(), prior.means_exact[:, 0].tolist(),
                     prior.covariances_exact[:, 0, 0].tolist(), strict=True))
    mean = sum((w * mu for w, mu, _ in parts), Fraction(0))
    total = sum((w * (v + (mu - mean) ** 2) for w, mu, v in parts), Fraction(0)) or Fraction(1)
    sums: dict[Hashable, Fraction] = {}
    for w, mu, v in parts:
        gap = mu - mean
        key = (gap * abs(gap) / total, v / total)
        if labelled:  # count states, each with its weight
            sums[(*key, w)] = sums.get((*key, w), Fraction(0)) + 1
        elif w:
            sums[key] = sums.get(key, Fraction(0)) + w
    return frozenset(sums.items())


def _mirrored(form: frozenset[tuple[Hashable, Fraction]]) -> frozenset[tuple[Hashable, Fraction]]:
    return frozenset(((-key[0], *key[1:]), w) for key, w in form)  # type: ignore[index]


def monomially_related(first: GaussianMixture, second: GaussianMixture) -> bool:
    """Whether h(z) = (order, non-zero factors, shifts) carries one law to the other; diagonal components.

    Tries every matching of components and of coordinates; the factors may be irrational.
    """
    one, two = first.reduced(), second.reduced()
    if one.n_components != two.n_components or one.latent_dim != two.latent_dim:
        return False
    size, m = one.n_components, one.latent_dim
    rows = [[_column(prior, t) for t in range(m)] for prior in (one, two)]
    for match in permutations(range(size)):
        if any(one.weights_exact[j] != two.weights_exact[k] for j, k in enumerate(match)):
            continue
        for order in permutations(range(m)):
            if all(_on_one_line(rows[0][t], [rows[1][s][k] for k in match]) for t, s in enumerate(order)):
                return True
    return False


def _column(prior: GaussianMixture, t: int) -> list[Number]:
    return list(zip(prior.means_exact[:, t].tolist(), prior.covariances_exact[:, t, t].tolist(), strict=True))


def _on_one_line(first: Sequence[Number], second: Sequence[Number]) -> bool:
    """Whether some z -> a z + b carries the first normal laws to the second, one by one; not all variances zero."""
    ratio = next((w / v for (_, v), (_, w) in zip(first, second, strict=True) if v), Fraction(0))
    if not ratio:
        return False
    gaps = [(mu - first[0][0], nu - second[0][0]) for (mu, _), (nu, _) in zip(first, second, strict=True)]
    return all(w == ratio * v for (_, v), (_, w) in zip(first, second, strict=True)) and any(
        all(d * abs(d) == sign * ratio * c * abs(c) for c, d in gaps) for sign in (1, -1))


def is_factorial(prior: GaussianMixture) -> bool:
    """Whether every component has independent coordinates."""
    m = prior.latent_dim
    return all(c[s][t] == 0 for c in prior.covariances_exact.tolist() for s in range(m) for t in range(m) if s != t)


def has_distinct_ratios(prior: GaussianMixture) -> bool:
    """Whether two states have pairwise distinct variance ratios, with no variance zero in the second."""
    m = prior.latent_dim
    rows = [[c[t][t] for t in range(m)] for c in prior.covariances_exact.tolist()]
    return any(all(v for v in b) and len({v / w for v, w in zip(a, b, strict=True)}) == m
               for a, b in product(rows, repeat=2))


def is_definite(prior: GaussianMixture) -> bool:
    """Whether all covariances are positive definite, by leading minors."""
    def minor(matrix: list[list[Fraction]]) -> Fraction:
        if not matrix:
            return Fraction(1)
        return sum(((-1) ** j * v * minor([[*row[:j], *row[j + 1:]] for row in matrix[1:]])
                    for j, v in enumerate(matrix[0])), Fraction(0))

    return all(minor([row[:k] for row in c[:k]]) > 0 for c in prior.covariances_exact.tolist()
               for k in range(1, prior.latent_dim + 1))


def is_reduced(prior: GaussianMixture) -> bool:
    """Whether no two components are equal and no weight is zero."""
    keys = {(tuple(mu), tuple(map(tuple, c)))
            for mu, c in zip(prior.means_exact.tolist(), prior.covariances_exact.tolist(), strict=True)}
    return len(keys) == prior.n_components and all(w > 0 for w in prior.weights_exact)


def changes_of_the_line(prior: GaussianMixture, other: GaussianMixture) -> list[AffineChange] | None:
    """All affine h of the line that carry one mixture to the other; None if their factors are irrational."""
    if not affinely_related(prior, other):
        return []
    (mean, variance), (to_mean, to_variance) = (_moments(p) for p in (prior, other))
    root = _root(to_variance / variance) if variance else None
    if root is None:
        return None
    changes = [AffineChange(scale, to_mean - scale * mean) for scale in (root, -root)]
    return [change for change in changes if change.carry(prior).by_component() == other.by_component()]


def decoder_follows(first: tuple[GaussianMixture, Decoder], second: tuple[GaussianMixture, Decoder]) -> bool | None:
    """Whether one affine h of the line carries prior and decoder at once; None if all such h are irrational."""
    changes = changes_of_the_line(first[0], second[0])
    if changes is None:
        return None
    target = _function(pieces_of(second[1]))
    return any(_function(pieces_of(change.precompose(first[1]))) == target for change in changes)


def _function(pieces: Sequence[Piece]) -> list[tuple[Hashable, ...]]:
    return [(p.low, p.slope, p.intercept) for p in pieces]


def _moments(prior: GaussianMixture) -> Number:
    parts = list(zip(prior.weights_exact.tolist(), _column(prior, 0), strict=True))
    mean = sum((w * mu for w, (mu, _) in parts), Fraction(0))
    return mean, sum((w * (v + (mu - mean) ** 2) for w, (mu, v) in parts), Fraction(0))


def _root(square: Fraction) -> Fraction | None:
    root = Fraction(isqrt(square.numerator), isqrt(square.denominator))
    return root if root and root * root == square else None
