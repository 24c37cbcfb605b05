"""From a model with one latent to the constants that the closed-form kernel reads.

Differences are taken in rationals, roots and logarithms in balls; only then are the numbers rounded, once or
to unevaluated pairs, so the float kernel starts from data that carry no cancellation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from flint import arb, arb_mat, ctx, fmpq

from ident_theory.exact.balls import log_mass, log_sum, to_float, to_pair
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import REMEMBERED, LinePieces
from ident_theory.kernels.closed_form import SERIES_TERMS
from ident_theory.models.mixture import GaussianMixture
from ident_theory.models.noise import GaussianNoise
from ident_theory.models.value import FloatArray

#: Working precision of the constants; pairs keep 106 of these bits.
BITS = 256
PEAK, END, WIDE, NARROW = range(4)
#: Residuals beyond this many noise scales overflow when squared; the law sends such observations to balls.
FAR = 1e140
#: Ends closer than this many posterior standard deviations make a narrow term.
NARROW_GAP = 1.0


@dataclass(frozen=True)
class Component:
    """One mixture component of a scalar latent, exactly."""

    weight: fmpq
    mean: fmpq
    variance: fmpq


@dataclass(frozen=True)
class Frame:
    """The coordinate of one piece: q.x, in which the piece has slope `slope` and the noise scale `scale`.

    For n = 1 this is x itself; for n > 1 the observation is whitened and projected on the piece's direction.
    """

    slope: arb
    scale: arb
    direction: tuple[arb, ...]

    def coordinate(self, point: Sequence[fmpq]) -> arb:
        """q.point"""
        total = arb(0)
        for q, v in zip(self.direction, point, strict=True):
            total += q * arb(v)
        return total


@dataclass(frozen=True)
class LineTerms:
    """Arguments of `kernels.closed_form.line_log_density` apart from x and out."""

    inv_s: float
    projections: tuple[np.ndarray, ...]
    kinds: np.ndarray
    starts: np.ndarray
    terms: FloatArray
    series: FloatArray
    reach: float  # observations beyond this overflow when squared


@lru_cache(REMEMBERED)
def components_of(prior: GaussianMixture) -> tuple[Component, ...]:
    """Components with positive weight, equal ones merged."""
    reduced = prior.reduced()
    return tuple(Component(rational(w), rational(mu[0]), rational(sigma[0, 0]))
                 for w, mu, sigma in zip(reduced.weights_exact, reduced.means_exact, reduced.covariances_exact,
                                         strict=True))


def line_terms(pieces: LinePieces, components: Sequence[Component], noise: GaussianNoise) -> LineTerms:
    """All constants of the closed form."""
    n = pieces.observed_dim
    with ctx.workprec(BITS):
        root = cholesky(noise, n)
        log_scale = log_determinant(root)
        inverse = root.inv()
        frames = [_frame(pieces, k, inverse, noise) for k in range(pieces.n_pieces)]
        kinds: list[int] = []
        rows: list[list[float]] = []
        series: list[list[float]] = []
        starts = [0]
        for k in range(pieces.n_pieces):
            for built in _terms_of_piece(pieces, k, components, frames[k], log_scale):
                kinds.append(built[0])
                rows.append(built[1])
                series.append(built[2])
            starts.append(len(kinds))
        inv_s = to_float(1 / frames[0].scale)
        projections = _projections(pieces, frames, inverse) if n > 1 else _no_projections()
        steepest = max([1.0, inv_s, to_float(1 / root[n - 1, n - 1]), *(row[3] for row in rows),
                        *(abs(float(v)) for part in projections[5:] for v in part.ravel())])
    return LineTerms(inv_s, projections, np.array(kinds, dtype=np.int64), np.array(starts, dtype=np.int64),
                     np.array(rows), np.array(series), FAR / steepest)


def cholesky(noise: GaussianNoise, n: int) -> arb_mat:
    """Lower triangular L with L L^T the noise covariance, as balls (at the working precision)."""
    covariance = noise.covariance_exact(n)
    root = arb_mat(n, n)
    for j in range(n):
        for i in range(j, n):
            rest = arb(rational(covariance[i, j]))
            for k in range(j):
                rest -= root[i, k] * root[j, k]
            root[i, j] = rest.sqrt() if i == j else rest / root[j, j]
    return root


def log_determinant(root: arb_mat) -> arb:
    """log det L of a triangular matrix with positive diagonal."""
    total = arb(0)
    for i in range(root.nrows()):
        total += root[i, i].log()
    return total


def _frame(pieces: LinePieces, k: int, inverse: arb_mat, noise: GaussianNoise) -> Frame:
    n = pieces.observed_dim
    if n == 1:
        return Frame(arb(pieces.slopes[k][0]), 1 / inverse[0, 0], (arb(1),))
    if pieces.is_flat(k):
        return Frame(arb(0), arb(1), (arb(0),) * n)
    whitened = inverse * arb_mat([[arb(a)] for a in pieces.slopes[k]])
    length = sum((whitened[i, 0] * whitened[i, 0] for i in range(n)), arb(0)).sqrt()
    covector = inverse.transpose() * whitened
    return Frame(length, arb(1), tuple(covector[i, 0] / length for i in range(n)))


def _projections(pieces: LinePieces, frames: list[Frame], inverse: arb_mat) -> tuple[np.ndarray, ...]:
    n = pieces.observed_dim

    def pairs(vector: Sequence[arb]) -> list[tuple[float, float]]:
        return [to_pair(v) for v in vector]

    direction = [pairs(frame.direction) for frame in frames]
    origin = [pairs([arb(v) for v in c]) for c in pieces.intercepts]
    slope = [pairs([arb(v) for v in a]) for a in pieces.slopes]
    start = [to_pair(frame.coordinate(pieces.intercepts[k])) for k, frame in enumerate(frames)]
    inv_slope = [(0.0, 0.0) if pieces.is_flat(k) else to_pair(1 / frame.slope) for k, frame in enumerate(frames)]
    whiten = [[to_pair(inverse[i, j]) if j <= i else (0.0, 0.0) for j in range(n)] for i in range(n)]
    return tuple(np.array(part) for part in (direction, origin, slope, start, inv_slope, whiten))


def _no_projections() -> tuple[np.ndarray, ...]:
    return (np.empty((0, 0, 2)), np.empty((0, 0, 2)), np.empty((0, 0, 2)), np.empty((0, 2)), np.empty((0, 2)),
            np.empty((0, 0, 2)))


Term = tuple[int, list[float], list[float]]
_NO_SERIES = [0.0] * SERIES_TERMS


def _terms_of_piece(pieces: LinePieces, k: int, components: Sequence[Component], frame: Frame,
                    log_scale: arb) -> list[Term]:
    """The terms of one piece: one for a flat piece, else one a component that reaches it."""
    left, right = pieces.ends(k)
    base = -log_scale - arb(pieces.observed_dim) / 2 * (2 * arb.pi()).log()
    logs: list[arb] = []
    terms: list[Term] = []
    for component in components:
        weight = arb(component.weight).log()
        degenerate = component.variance == 0
        if degenerate and not pieces.contains(k, component.mean):
            continue
        if pieces.is_flat(k):
            logs.append(weight if degenerate else weight + log_mass(
                None if left is None else left - component.mean,
                None if right is None else right - component.mean, component.variance))
        elif degenerate:
            center = to_pair(frame.coordinate(pieces.value(k, component.mean)))
            terms.append((PEAK, _row(base + weight, center, 1 / frame.scale), _NO_SERIES))
        else:
            terms.append(_sloped_term(pieces, k, component, frame, base + weight))
    if logs:
        center = to_pair(frame.coordinate(pieces.intercepts[k]))
        terms.append((PEAK, _row(base + log_sum(logs), center, 1 / frame.scale), _NO_SERIES))
    return terms


def _sloped_term(pieces: LinePieces, k: int, component: Component, frame: Frame, base: arb) -> Term:
    """Kind, constants and series of a component on a piece that is not flat."""
    left, right = pieces.ends(k)
    center = to_pair(frame.coordinate(pieces.value(k, component.mean)))
    tau = arb(component.variance).sqrt()
    spread = (frame.slope ** 2 * arb(component.variance) + frame.scale ** 2).sqrt()
    peak = base + (frame.scale / spread).log()
    row = _row(peak, center, 1 / spread)
    tilt = frame.slope * tau / spread
    offset = peak - (2 * arb.pi()).log() / 2

    def point(z: fmpq, sign: int) -> list[float]:
        """Constants at an end or middle: f(z) as a pair, offset, shift and tilt of the standardised end."""
        t = arb(z - component.mean) / tau
        f = to_pair(frame.coordinate(pieces.value(k, z)))
        return [*f, to_float(offset - t * t / 2), to_float(sign * t * frame.scale / spread), to_float(sign * tilt)]

    if left is None or right is None:
        if left is not None:
            row[4:9] = point(left, 1)
        elif right is not None:
            row[4:9] = point(right, -1)
        else:
            return PEAK, row, _NO_SERIES
        return END, row, _NO_SERIES
    gap = to_float(arb(right - left) * spread / (tau * frame.scale))
    if gap >= NARROW_GAP:
        row[4:9] = point(left, 1)
        row[9:14] = point(right, 1)
        row[14] = gap
        return WIDE, row, _NO_SERIES
    row[4:9] = point((left + right) / 2, 1)
    half = gap / 2
    row[14] = half
    # The gap enters the value as a factor: its rounding is one of the few ulps of the result.
    return NARROW, row, [gap * c for c in _series(half)]


def _row(peak: arb, center: tuple[float, float], inv_spread: arb) -> list[float]:
    return [to_float(peak), *center, to_float(inv_spread), *[0.0] * 12]


def _series(half: float) -> list[float]:
    r"""Coefficients :math:`\int_0^1 x^{2k} e^{-h^2 x^2/2} dx / (2k)!` for k = 0, 1, ..."""
    out = []
    factorial = 1.0
    for k in range(SERIES_TERMS):
        total, power = 0.0, 1.0
        for i in range(12):  # h^2/2 <= 1/8, so the twelfth term is below 1e-19
            total += power / (2 * k + 2 * i + 1)
            power *= -half * half / 2 / (i + 1)
        out.append(total / factorial)
        factorial *= (2 * k + 1) * (2 * k + 2)
    return out
