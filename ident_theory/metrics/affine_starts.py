"""Affine maps between whitened mixtures from which the distance is minimised."""

from __future__ import annotations

import itertools

import numpy as np

from ident_theory.metrics.affine_descent import End
from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_fit import matched, refine
from ident_theory.recovery.alignment_guesses import guesses, means_map, means_matchings
from ident_theory.recovery.alignment_l2 import Loss, Parts, log_inner

#: Matchings of the means whose distance is evaluated, those that become starts, and guesses that do.
EVALUATED, MEANS_STARTS, GUESSES = 720, 2, 4
#: Starts that map components on components; components considered for them, pairs of components on the line.
COMPONENT_STARTS, COMPONENTS, LINE_PAIRS = 4, 6, 2500
#: Rotations of which a random start is the best.
POOL = 4
#: Numbers of random starts up to a product J J' m^2 of numbers of components and latents; and beyond.
RESTARTS, FEWEST_RESTARTS = ((600, 48), (6000, 16)), 8

Map = tuple[FloatArray, FloatArray]


def means_span(p: Parts, q: Parts) -> bool:
    """Whether the means of both whitened mixtures span, so that matched ones determine a map."""
    return all(np.linalg.matrix_rank(x.means - x.means.mean(0), tol=1e-10) == p.dim for x in (p, q)) \
        and min(p.count, q.count) > p.dim


def means_starts(p: Parts, q: Parts, loss: Loss) -> list[End]:
    """The best matchings of the means, by their distance; none when the means do not span.

    Means of either mixture are fitted by least squares to those of the other, so the arguments play the same part.
    """
    if not means_span(p, q):
        return []
    ends = []
    for one, two, backwards in ((p, q, False), (q, p, True)):
        fits = [means_map(one, two, pairs) for pairs in means_matchings(one, two, np.random.default_rng(0))]
        for matrix, shift, _ in sorted(fits, key=lambda fit: fit[2])[:EVALUATED]:
            if np.linalg.cond(matrix) < 1e12:
                if backwards:
                    matrix = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
                    shift = -matrix @ shift
                ends.append((loss(matrix, shift)[0], matrix, shift))
    return sorted(ends, key=lambda end: end[0])[:MEANS_STARTS]


def matched_starts(p: Parts, q: Parts) -> dict[str, Map]:
    """Matchings of means and covariances."""
    starts: dict[str, Map] = {}
    for i, guess in enumerate(guesses(p, q, np.random.default_rng(0))[:GUESSES]):
        matrix, shift, _ = refine(matched(p, q, guess.pairs), guess.matrix, guess.shift)
        if np.linalg.cond(matrix) < 1e12:
            starts[f"means and covariances {i + 1}"] = (matrix, shift)
    return starts


def unmatched_starts(p: Parts, q: Parts, loss: Loss) -> dict[str, Map]:
    """Unit maps of both orientations, and single components on others."""
    m = p.dim
    mirror = np.diag([-1.0, *([1.0] * (m - 1))])
    starts: dict[str, Map] = {"whitened": (np.eye(m), np.zeros(m)), "whitened, reflected": (mirror, np.zeros(m))}
    ends = [(loss(matrix, shift)[0], i, matrix, shift) for i, (matrix, shift) in enumerate(_components(p, q))]
    for i, (_, _, matrix, shift) in enumerate(sorted(ends, key=lambda end: end[:2])[:COMPONENT_STARTS]):
        starts[f"component on component {i + 1}"] = (matrix, shift)
    return starts


def _components(p: Parts, q: Parts) -> list[Map]:
    """Maps of a component on a component, of those that make up most of the norms; on the line also two on two."""
    m = p.dim
    maps: list[Map] = []
    heavy, other = (np.argsort(-np.diag(log_inner(x, x)))[:COMPONENTS] for x in (p, q))
    for j, k in itertools.product(heavy, other):
        root, target = _root(p.covariances[j]), _root(q.covariances[k])
        for sign in (1.0, -1.0):
            turn = np.eye(m)
            turn[0, 0] = sign
            matrix = target @ turn @ np.linalg.inv(root)
            maps.append((matrix, q.means[k] - matrix @ p.means[j]))
    if m == 1 and p.count**2 * q.count**2 <= LINE_PAIRS:
        u, v = p.means[:, 0], q.means[:, 0]
        for (i, j), (k, l) in itertools.product(itertools.combinations(range(p.count), 2),
                                                itertools.permutations(range(q.count), 2)):
            if u[i] != u[j] and v[k] != v[l]:
                scale = (v[l] - v[k]) / (u[j] - u[i])
                maps.append((np.array([[scale]]), np.array([v[k] - scale * u[i]])))
    return maps


def _root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def random_starts(p: Parts, q: Parts, loss: Loss, count: int, rng: np.random.Generator) -> dict[str, Map]:
    """In turn rotations with scales and shifts, the best of a few, and maps of m + 1 means on m + 1 means.

    Means are drawn half at random and half by their components' share of the norm, which decides where minima lie.
    """
    m = p.dim
    size = min(m + 1, p.count, q.count)
    odds = []
    for x in (p, q):
        share = np.diag(log_inner(x, x)) / 2
        share = np.exp(share - share.max())
        odds.append(0.5 * share / share.sum() + 0.5 / x.count)
    starts: dict[str, Map] = {}
    for i in range(count):
        pool = [_rotation(m, rng) for _ in range(POOL)]
        if i % 2:
            picks = [rng.choice(x.count, size, replace=False, p=o) for x, o in zip((p, q), odds, strict=True)]
            matrix, shift, _ = means_map(p, q, list(zip(*picks, strict=True)))
            pool = [(matrix, shift)] if size == m + 1 and np.linalg.cond(matrix) < 1e12 else pool
        starts[f"random {i + 1}"] = min(pool, key=lambda item: loss(*item)[0])
    return starts


def _rotation(m: int, rng: np.random.Generator) -> Map:
    turn = np.linalg.qr(rng.standard_normal((m, m)))[0] * rng.choice([-1.0, 1.0], m)
    return turn * np.exp(0.5 * rng.standard_normal(m)), 0.5 * rng.standard_normal(m)


def default_restarts(p: Parts, q: Parts) -> int:
    """Random starts when the caller does not say: many while an evaluation is cheap."""
    work = p.count * q.count * p.dim**2
    return next((count for limit, count in RESTARTS if work <= limit), FEWEST_RESTARTS)
