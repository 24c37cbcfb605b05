"""First guesses of an affine map between two mixtures in float64: matchings by invariants, joint diagonalisation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ident_theory.models.value import FloatArray
from ident_theory.recovery.alignment_fit import matched, refine
from ident_theory.recovery.alignment_l2 import Parts

#: Assignments, as pairs (j, k) in the order of j.
Pairs = tuple[tuple[int, int], ...]
#: Different matchings that are iterated to an end: while the best of them is bad, and when it is good.
KEPT, KEPT_WHEN_GOOD = 16, 6
#: Discrepancy of whitened mixtures that is good; random rotations among the raw guesses.
GOOD, ROTATIONS = 0.02, 32
#: Weight matchings of all components are enumerated up to this number.
ALL_MATCHINGS = 5040


@dataclass(frozen=True)
class Whitened:
    """A mixture with mean zero and unit covariance: z = root x + center."""

    parts: Parts
    root: FloatArray
    center: FloatArray


@dataclass(frozen=True)
class Guess:
    """A map between whitened mixtures, the matching it rests on, and its discrepancy there."""

    matrix: FloatArray
    shift: FloatArray
    pairs: Pairs
    cost: float


def whitened(p: Parts) -> Whitened:
    """Whiten by the whole covariance, which must be definite."""
    center, spread = p.moments()
    root = np.asarray(np.linalg.cholesky(spread), dtype=np.float64)
    back: FloatArray = np.asarray(np.linalg.inv(root))
    return Whitened(p.moved(back, -back @ center), root, center)


def unwhitened(a: Whitened, b: Whitened, matrix: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The map of the mixtures themselves that a map of the whitened ones stands for."""
    whole = b.root @ matrix @ np.linalg.inv(a.root)
    return whole, b.center + b.root @ shift - whole @ a.center


def to_whitened(a: Whitened, b: Whitened, matrix: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The inverse of `unwhitened`."""
    back = np.linalg.inv(b.root)
    return back @ matrix @ a.root, back @ (matrix @ a.center + shift - b.center)


def invariants(p: Parts) -> FloatArray:
    """Numbers of each component that rotations of a whitened mixture keep, shape (J, 7 + m)."""
    u, c = p.means, p.covariances
    once = np.einsum("jab,jb->ja", c, u)
    gram = u @ u.T
    own = [np.sqrt(p.weights), np.linalg.norm(u, axis=1), np.cbrt(np.einsum("ja,ja->j", u, once)),
           np.linalg.norm(once, axis=1), np.cbrt(gram**3 @ p.weights), np.sqrt(np.sqrt(gram**4 @ p.weights)),
           np.cbrt(np.einsum("jab,kbc,kca,k->j", c, c, c, p.weights, optimize=True))]
    return np.concatenate([np.stack(own, axis=1), np.sqrt(np.clip(np.linalg.eigvalsh(c), 0, None))], axis=1)


def assignment(cost: FloatArray) -> Pairs:
    """The cheapest matching of as many components as there are on both sides."""
    rows, columns = linear_sum_assignment(cost)
    return tuple(zip(rows.tolist(), columns.tolist(), strict=True))


def invariant_matchings(p: Parts, q: Parts) -> list[Pairs]:
    """Matchings by all invariants, by those of the means, and by those of the covariances."""
    first, second = invariants(p), invariants(q)
    found = []
    for columns in (slice(None), [0, 1, 4, 5], [0, 2, 3, *range(6, first.shape[1])]):
        gaps = first[:, None, columns] - second[None, :, columns]
        found.append(assignment(np.einsum("jkf,jkf->jk", gaps, gaps)))
    return list(dict.fromkeys(found))


def discrepancies(p: Parts, q: Parts, matrix: FloatArray, shift: FloatArray) -> FloatArray:
    """Squared gaps of means, covariances and roots of weights between images of p and components of q, (J, K)."""
    image = p.moved(matrix, shift)
    gaps = image.means[:, None] - q.means
    one, two = image.covariances.reshape(p.count, -1), q.covariances.reshape(q.count, -1)
    spread = (one**2).sum(1)[:, None] + (two**2).sum(1) - 2 * one @ two.T
    return np.einsum("jka,jka->jk", gaps, gaps) + 0.5 * np.clip(spread, 0, None) \
        + (np.sqrt(p.weights)[:, None] - np.sqrt(q.weights)) ** 2


def raw_guesses(p: Parts, q: Parts, rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Maps between whitened mixtures from several ideas, without any iteration."""
    m = p.dim
    zero = np.zeros(m)
    yield np.eye(m), zero
    for pairs in invariant_matchings(p, q):
        yield from _from_matching(p, q, pairs, rng)
    yield from _from_pairs_of_components(p, q)
    for _ in range(ROTATIONS):
        rotation, upper = np.linalg.qr(rng.standard_normal((m, m)))
        yield rotation * np.sign(np.diag(upper)), zero


def _from_matching(p: Parts, q: Parts, pairs: Pairs, rng: np.random.Generator
                   ) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Rotation by the means; and joint eigenvectors of random combinations of the components' moments."""
    rows, columns = np.array(pairs).T
    u, v, w = p.means[rows], q.means[columns], p.weights[rows]
    c, d = p.covariances[rows], q.covariances[columns]
    left, _, right = np.linalg.svd((v.T * w) @ u)
    yield left @ right, np.zeros(p.dim)
    for _ in range(3):
        mix, outer = rng.standard_normal((2, len(rows)))
        first = np.einsum("j,jab->ab", mix, c) + (u.T * outer) @ u
        second = np.einsum("j,jab->ab", mix, d) + (v.T * outer) @ v
        e, f = np.linalg.eigh(first)[1], np.linalg.eigh(second)[1]
        signs = _signs(e, f, u, v, c, d, w)
        yield (f * signs) @ e.T, np.zeros(p.dim)


def _signs(e: FloatArray, f: FloatArray, u: FloatArray, v: FloatArray, c: FloatArray, d: FloatArray,
           w: FloatArray) -> FloatArray:
    """Signs of eigenvectors: means vote for each, covariances for products of two; the strongest votes first."""
    one, two = u @ e, v @ f
    lone = (one * two * w[:, None]).sum(0)
    first, second = e.T @ c @ e, f.T @ d @ f
    both = np.einsum("j,jab,jab->ab", w, first, second) + np.einsum("j,ja,jb,ja,jb->ab", w, one, one, two, two)
    size = len(lone)
    votes = np.zeros((size + 1, size + 1))
    votes[:size, :size], votes[size, :size], votes[:size, size] = both, lone, lone
    signs, known = np.zeros(size + 1), [size]
    signs[size] = 1.0
    while len(known) < size + 1:
        open_ones = [i for i in range(size) if signs[i] == 0]
        total = votes[np.ix_(open_ones, known)] @ signs[known]
        best = int(np.argmax(np.abs(total)))
        signs[open_ones[best]] = 1.0 if total[best] >= 0 else -1.0
        known.append(open_ones[best])
    return signs[:size]


def _from_pairs_of_components(p: Parts, q: Parts, count: int = 6) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Whiten with one component and diagonalise another, for pairs with like spectra on both sides."""
    if p.count < 2 or q.count < 2:
        return
    first, second = _relative_spectra(p), _relative_spectra(q)
    if first is None or second is None:
        return
    gaps = np.diff(first, axis=2).min(axis=2, initial=math.inf)
    np.fill_diagonal(gaps, -1.0)
    for i, j in itertools.islice(zip(*np.unravel_index(np.argsort(-gaps, axis=None), gaps.shape), strict=True), 3):
        far = ((second - first[i, j]) ** 2).sum(2)
        np.fill_diagonal(far, math.inf)
        for flat in np.argsort(far, axis=None)[:count]:
            k, l = divmod(int(flat), q.count)
            if k == l:
                continue
            e, f = _joint_basis(p.covariances[i], p.covariances[j]), _joint_basis(q.covariances[k], q.covariances[l])
            one, two = np.linalg.inv(e), np.linalg.inv(f)
            # In coordinates e^-1 (z - mean) both components are diagonal; the difference of their means votes on signs.
            lone = (one @ (p.means[j] - p.means[i])) * (two @ (q.means[l] - q.means[k]))
            whole = (one @ p.means.T) ** 3 @ p.weights * ((two @ q.means.T) ** 3 @ q.weights)
            signs = np.where(np.abs(lone) > 1e-9, np.where(lone >= 0, 1.0, -1.0), np.where(whole >= 0, 1.0, -1.0))
            matrix = (f * signs) @ one
            yield matrix, q.means[k] - matrix @ p.means[i]


def _joint_basis(a: FloatArray, b: FloatArray) -> FloatArray:
    """E with E E^T = a and E D E^T = b for a diagonal D, ascending."""
    root = np.linalg.cholesky(a)
    back = np.linalg.inv(root)
    return root @ np.linalg.eigh(back @ b @ back.T)[1]


def _relative_spectra(p: Parts) -> FloatArray | None:
    """Logarithms of the eigenvalues of component j relative to component i, (J, J, m); None for singular ones."""
    try:
        back = np.linalg.inv(np.linalg.cholesky(p.covariances))
    except np.linalg.LinAlgError:
        return None
    table = back[:, None] @ p.covariances[None] @ back[:, None].transpose(0, 1, 3, 2)
    return np.log(np.clip(np.linalg.eigvalsh(table), 1e-300, None))


def guesses(p: Parts, q: Parts, rng: np.random.Generator) -> list[Guess]:
    """Maps between whitened mixtures with their matchings, best first; matching and fit are iterated for a few."""
    ranked: list[tuple[float, int, FloatArray, FloatArray, Pairs]] = []
    for matrix, shift in raw_guesses(p, q, rng):
        cost = discrepancies(p, q, matrix, shift)
        pairs = assignment(cost)
        rows, columns = np.array(pairs).T
        ranked.append((float(p.weights[rows] @ cost[rows, columns]), len(ranked), matrix, shift, pairs))
    ranked.sort(key=lambda item: item[:2])
    found: dict[Pairs, Guess] = {}
    for _, _, matrix, shift, pairs in ranked:
        guess = iterate(p, q, matrix, shift, pairs)
        if guess is not None and (guess.pairs not in found or guess.cost < found[guess.pairs].cost):
            found[guess.pairs] = guess
        best = min((item.cost for item in found.values()), default=math.inf)
        if len(found) >= (KEPT_WHEN_GOOD if best < GOOD else KEPT) or best < 1e-20:
            break
    return sorted(found.values(), key=lambda guess: guess.cost)


def iterate(p: Parts, q: Parts, matrix: FloatArray, shift: FloatArray, pairs: Pairs, rounds: int = 20) -> Guess | None:
    """Fit to the matching, match by the fit, until the matching stays; None when the map becomes singular."""
    whole = np.eye(p.dim)
    cost = math.inf
    for _ in range(rounds):
        matrix, shift, cost = refine(matched(p, q, pairs, whole), matrix, shift, steps=15, tolerance=1e-10)
        if not np.linalg.cond(matrix) < 1e12:
            return None
        again = assignment(discrepancies(p, q, matrix, shift))
        if again == pairs:
            break
        pairs = again
    return Guess(matrix, shift, pairs, cost)


def means_map(p: Parts, q: Parts, pairs: Sequence[tuple[int, int]]) -> tuple[FloatArray, FloatArray, float]:
    """Least squares on the matched means through the singular value decomposition: A, t and the root of the squares."""
    rows, columns = np.array(pairs).T
    u, v = p.means[rows], q.means[columns]
    centre, target = u.mean(0), v.mean(0)
    gaps = u - centre
    scale = np.linalg.norm(gaps, axis=0) + np.finfo(float).tiny
    matrix = (np.linalg.pinv(gaps / scale, rcond=1e-12) @ (v - target)).T / scale
    shift = target - matrix @ centre
    return matrix, shift, float(np.linalg.norm(u @ matrix.T + shift - v))


def means_matchings(p: Parts, q: Parts, rng: np.random.Generator) -> list[Pairs]:
    """Matchings of whitened mixtures to try for the means: all while few, else those of iterated fits from starts."""
    small, large = sorted((p.count, q.count))
    if math.perm(large, small) <= ALL_MATCHINGS:
        if p.count <= q.count:
            return [tuple(enumerate(order)) for order in itertools.permutations(range(q.count), p.count)]
        return [tuple(sorted(zip(order, range(q.count), strict=True)))
                for order in itertools.permutations(range(p.count), q.count)]
    starts = [guess.pairs for guess in guesses(p, q, rng)] + invariant_matchings(p, q)
    if p.count == q.count:
        one, two = _gram_profiles(p.means), _gram_profiles(q.means)
        starts.append(assignment(_squared_gaps(one, two)))
    for _ in range(ROTATIONS):
        rotation = np.linalg.qr(rng.standard_normal((p.dim, p.dim)))[0]
        starts.append(assignment(_squared_gaps(p.means @ rotation.T, q.means)))
    found: list[Pairs] = []
    for pairs in starts:
        found.append(pairs)
        for _ in range(30):
            matrix, shift, _ = means_map(p, q, pairs)
            again = assignment(_squared_gaps(p.means @ matrix.T + shift, q.means))
            if again == pairs:
                break
            pairs = again
        found.append(pairs)
    return list(dict.fromkeys(found))


def _gram_profiles(means: FloatArray) -> FloatArray:
    """Sorted inner products of each mean with the others in the metric of the means' own spread, (J, J)."""
    left, values, _ = np.linalg.svd(means - means.mean(0), full_matrices=False)
    kept = left[:, values > 1e-12 * values[0]]
    return np.sort(kept @ kept.T, axis=1)


def _squared_gaps(one: FloatArray, two: FloatArray) -> FloatArray:
    gaps = one[:, None] - two
    return np.asarray(np.einsum("jka,jka->jk", gaps, gaps))
