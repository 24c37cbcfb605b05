"""Second models for networks of several latents: ignored directions, symmetries, and latents mixed by affine maps."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np
from flint import fmpq, fmpq_mat

from ident_theory.conditions.alternatives_candidate import (
    Candidate,
    choices,
    exact,
    flipped,
    ignored_direction,
)
from ident_theory.exact.rationals import fraction, rational
from ident_theory.geometry.same_function import difference_at
from ident_theory.models import AffineChange, DeclaredMap, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models.value import ExactArray

#: Ignored directions and symmetries that are tried.
MAX_DIRECTIONS, MAX_SYMMETRIES = 3, 8
#: Kinks whose pairs are asked for symmetries.
MAX_KINKS = 24
#: Symmetries that miss by more than this in floats are not looked at in rationals.
SIEVE = 1e-6


def space_candidates(model: Model, weakly_injective: bool) -> Iterator[Candidate]:
    """Priors that the decoder cannot tell apart; none when the law of the latent is known to be identified."""
    net = model.decoder
    if weakly_injective or not isinstance(net, ReLUNetwork):
        return
    normals, offsets, linear = _kinks(net)
    for direction in _kernel(np.concatenate([normals, linear]))[:MAX_DIRECTIONS]:
        yield from ignored_direction(model, direction)
    for change in _symmetries(net, normals, offsets)[:MAX_SYMMETRIES]:
        for chosen, share in choices([j for j, w in enumerate(model.mixture.weights_exact) if w]):
            _, data = flipped(model, chosen, share, change)
            part = "half of " if share < 1 else ""
            yield Candidate("symmetry", "pair.reflection", data,
                            f"the decoder has the symmetry {change}, and {part}component"
                            f"{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))} can be moved by it")


def _kinks(net: ReLUNetwork) -> tuple[ExactArray, ExactArray, ExactArray]:
    """Normals and offsets of the kinks of what enters the second layer, scaled by their sizes, and its linear part."""
    first, shift = net.weights_exact[0], net.biases_exact[0]
    m = first.shape[1]
    if net.depth == 1:
        return np.empty((0, m), dtype=object), np.empty(0, dtype=object), first
    out, slope = net.weights_exact[1], net.negative_slope_exact
    sizes: dict[tuple[Fraction, ...], ExactArray] = {}
    for k, normal in enumerate(first):
        lead = next((v for v in normal if v), None)
        if lead is not None:
            key = (*(normal / lead), shift[k] / lead)
            sizes[key] = sizes.get(key, 0) + out[:, k] * (abs(lead) * (1 - slope))
    kept = [np.array(key, dtype=object) * sum(abs(size)) for key, size in sizes.items() if any(size)]
    stacked = np.array(kept, dtype=object).reshape(len(kept), m + 1)
    return stacked[:, :m], stacked[:, m], out @ first * (1 + slope)


def _kernel(rows: ExactArray) -> list[ExactArray]:
    """A basis of the vectors that all rows map to zero."""
    m = rows.shape[1]
    reduced, rank = fmpq_mat([[rational(v) for v in r] for r in rows] or [[fmpq(0)] * m]).rref()
    pivots = [next(k for k in range(m) if reduced[i, k]) for i in range(rank)]
    basis = []
    for free in (k for k in range(m) if k not in pivots):
        vector = exact([0] * m)
        vector[free] = Fraction(1)
        for i, k in enumerate(pivots):
            vector[k] = -fraction(reduced[i, free])
        basis.append(vector)
    return basis


def _solution(rows: list[ExactArray], values: list[Fraction]) -> tuple[ExactArray, int] | None:
    """One solution of rows u = values with free entries zero, and the rank; None when there is no solution."""
    m = len(rows[0])
    table, rank = fmpq_mat([[*(rational(v) for v in r), rational(v)] for r, v in zip(rows, values, strict=True)]).rref()
    out = exact([0] * m)
    for i in range(rank):
        k = next(k for k in range(m + 1) if table[i, k])
        if k == m:
            return None
        out[k] = fraction(table[i, m])
    return out, rank


def _symmetries(net: ReLUNetwork, normals: ExactArray, offsets: ExactArray) -> list[AffineChange]:
    """Affine involutions that seem to leave the network alone: reflections that turn over one kink or exchange two.

    A reflection is R z = z - (n.z) u with n.u = 2. It turns over the kink (w, b) when n = w, and carries w to s w'
    when n = w - s w', u.w = 1; the kinks beside these should stay, u.w'' = 0 for as many as possible.
    """
    count = min(len(normals), MAX_KINKS)
    found: list[AffineChange] = []
    m = net.latent_dim

    def ask(normal: ExactArray, rows: list[ExactArray], values: list[Fraction], rest: list[int], rho: Fraction) -> None:
        found_u = _solution(rows, values)
        for j in rest:
            if found_u is None or found_u[1] == m:
                break
            more = _solution([*rows, normals[j]], [*values, Fraction(0)])
            if more is not None:
                rows, values, found_u = [*rows, normals[j]], [*values, Fraction(0)], more
        if found_u is not None:
            keep(exact(np.eye(m, dtype=int).tolist()) - np.outer(found_u[0], normal), rho * found_u[0])

    def keep(matrix: ExactArray, shift: ExactArray) -> None:
        change = AffineChange(matrix, shift)
        if change not in found and _seems_invariant(net, change):
            found.append(change)

    for k in range(count):
        ask(normals[k], [normals[k]], [Fraction(2)], [j for j in range(count) if j != k], -offsets[k])
    for k, l in combinations(range(count), 2):
        for sign in (1, -1):
            if any(normals[k] - sign * normals[l]):
                ask(normals[k] - sign * normals[l], [normals[k], normals[l]], [Fraction(1), Fraction(-sign)],
                    [j for j in range(count) if j not in (k, l)], sign * offsets[l] - offsets[k])
    if count:
        center = _solution(list(normals), [-b for b in offsets])
        if center is not None:
            keep(exact((-np.eye(m, dtype=int)).tolist()), 2 * center[0])
    return found


def _seems_invariant(net: ReLUNetwork, change: AffineChange) -> bool:
    """Whether f(h(z)) = f(z) at some points: a cheap sieve before the proof."""
    m = net.latent_dim
    points = [[(3 * i * i + 7 * k * i + k) % 11 - 5 for k in range(m)] for i in range(6)]
    if not np.allclose(net(points), net(change(points)), rtol=SIEVE, atol=SIEVE):
        return False
    return difference_at(net, change.inverse().precompose(net), [[fmpq(v) for v in z] for z in points]) is None


def affine_candidates(model: Model) -> Iterator[Candidate]:
    """Two latents mixed by z' = A z (Remark 3.7); if all covariances are diagonal, so that they stay diagonal."""
    net = model.decoder
    prior = model.prior
    if not isinstance(net, ReLUNetwork) or not isinstance(prior, GaussianMixture) or model.latent_dim == 1:
        return
    m = model.latent_dim
    diagonal = not any(prior.covariances_exact[:, ~np.eye(m, dtype=bool)].ravel())
    for i, k in combinations(range(m), 2):
        blocks = [[[Fraction(1), t], [Fraction(0), Fraction(1)]] for t in (Fraction(1), Fraction(1, 2), Fraction(2))]
        if diagonal:
            first, second = prior.covariances_exact[:, i, i], prior.covariances_exact[:, k, k]
            if not all(first) or not all(second) or any(first[0] * second != second[0] * first):
                continue
            blocks = [orthogonal_rows(second[0] / first[0], t) for t in (Fraction(1, 3), Fraction(1, 2), Fraction(1))]
        for block in blocks:
            a = exact(np.eye(m, dtype=int).tolist())
            a[np.ix_([i, k], [i, k])] = np.array(block, dtype=object)
            yield _changed(model, "mixing", AffineChange(a, [0] * m), f"latents {i} and {k} are mixed")


def orthogonal_rows(ratio: Fraction, t: Fraction) -> list[list[Fraction]]:
    """Rows (a, b), (c, d) with a c + ratio b d = 0 and determinant 1; for the ratio 1 a rotation."""
    if ratio == 1:
        cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        return [[cosine, sine], [-sine, cosine]]
    size = 1 + ratio * t * t
    return [[Fraction(1), t], [-ratio * t / size, 1 / size]]


def scaled(model: Model) -> Iterator[Candidate]:
    """The first latent scaled and moved: always the same law (Remark 3.7)."""
    if not isinstance(model.decoder, ReLUNetwork | PiecewiseAffineMap):
        return
    m = model.latent_dim
    matrix = np.diag([2] + [1] * (m - 1))
    yield _changed(model, "scaling", AffineChange(matrix, [1] + [0] * (m - 1)), "one latent is scaled and moved")


def _changed(model: Model, name: str, change: AffineChange, text: str) -> Candidate:
    """The model of z' = h(z); for one latent h increases."""
    assert not isinstance(model.decoder, DeclaredMap)
    second = Model(change.carry(model.mixture.reduced()), change.precompose(model.decoder), model.noise)
    return Candidate(name, "pair.affine_map", {"second": second.plain(), **change.plain()},
                     f"{text}, {change}, and the decoder undoes it")
