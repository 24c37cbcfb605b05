"""Second models for one latent: components moved between pieces, branches swapped, point masses pulled apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np
from flint import fmpq

from ident_theory.conditions.alternatives_candidate import (
    Candidate,
    choices,
    exact,
    flipped,
    ignored_direction,
    parts_of,
    plain,
)
from ident_theory.exact.rationals import format_exact, fraction, rational
from ident_theory.geometry.line import LinePieces, line_pieces, point_inside
from ident_theory.geometry.stretches import stretches
from ident_theory.laws.identity import Relation, compare, law_key
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap

#: Maps between pieces with one image, and intervals of swapped branches, that are tried.
MAX_MAPS = 16


def line_candidates(model: Model, weakly_injective: bool) -> Iterator[Candidate]:
    """All constructions for one latent; `weakly_injective` says that the law of the latent is known to be identified.

    The order of the list is that of `ident_theory.conditions.alternatives.alternatives`.
    """
    pieces = line_pieces(model.decoder)
    if pieces.n_pieces == 1 and pieces.is_flat(0):
        yield from ignored_direction(model, exact([1]))
        return
    if not weakly_injective:
        yield from _moved_components(model, pieces)
        yield from _stretched(model, pieces)
    yield from _swapped(model, pieces)


def _moved_components(model: Model, pieces: LinePieces) -> Iterator[Candidate]:
    """Components moved by the maps that lead from one piece to another one on the same line (Remark 3.6).

    Also point masses moved inside a flat piece, and components stretched about the step of a step function.
    """
    maps = {(m.ratio, m.shift) for stretch in stretches(pieces, pieces) for m in stretch.maps}
    flat = [k for k in range(pieces.n_pieces) if pieces.is_flat(k)]
    if len(flat) == pieces.n_pieces == 2:
        maps.add((fmpq(2), -pieces.breakpoints[0]))  # keeps each side of the only step
    for component in components_of(model.mixture):
        for k in flat if component.variance == 0 else []:
            if pieces.contains(k, component.mean):
                left, right = pieces.ends(k)
                maps.add((fmpq(1), point_inside(component.mean, right) - component.mean))
                if left is None or left < component.mean:
                    maps.add((fmpq(1), point_inside(left, component.mean) - component.mean))
    order = sorted(maps - {(fmpq(1), fmpq(0))}, key=lambda m: (m[0] != -1, abs(m[0]), m))
    for ratio, shift in order[:MAX_MAPS]:
        change = AffineChange(fraction(ratio), fraction(shift))
        for chosen, share in choices(_unnoticed(model, pieces, ratio, shift)):
            second, data = flipped(model, chosen, share, change)
            if compare(model, second).relation is Relation.LAW:
                part = "half of " if share < 1 else ""
                yield Candidate("fold", "pair.line", data,
                                f"the decoder cannot tell some latents apart: {part}component"
                                f"{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))} can be moved by "
                                f"{change}")
                return


def _unnoticed(model: Model, pieces: LinePieces, ratio: fmpq, shift: fmpq) -> list[int]:
    """Components that the map moves and whose own law of f(z) it leaves alone."""
    found = []
    for j, (w, mean, c) in enumerate(parts_of(model.mixture)):
        old = Component(fmpq(1), rational(mean[0]), rational(c[0, 0]))
        new = Component(fmpq(1), ratio * old.mean + shift, ratio * ratio * old.variance)
        if w and new != old and law_key(pieces, [old]) == law_key(pieces, [new]):
            found.append(j)
    return found


def _stretched(model: Model, pieces: LinePieces) -> Iterator[Candidate]:
    """Point masses only: those above the second largest are pulled away, and the decoder follows (kivva.p1)."""
    prior = model.mixture
    if any(prior.covariances_exact.ravel()):
        return
    atoms = sorted({mean[0] for w, mean in zip(prior.weights_exact, prior.means_exact, strict=True) if w})
    if len(atoms) < 3:
        return
    above = atoms[-2]
    for factor in (Fraction(2), Fraction(3)):
        means = [mean[0] if mean[0] <= above else above + factor * (mean[0] - above) for mean in prior.means_exact]

        def source(z: Fraction, factor: Fraction = factor) -> tuple[Fraction, Fraction]:
            return (Fraction(1), Fraction(0)) if z < above else (1 / factor, above * (1 - 1 / factor))

        old = map(fraction, pieces.breakpoints)
        breaks = {above, *(t if t <= above else above + factor * (t - above) for t in old)}
        second = Model(GaussianMixture(prior.weights_exact, means, [0] * len(means)),
                       _composed(pieces, breaks, source), model.noise)
        if compare(model, second).relation is Relation.LAW:
            yield Candidate("stretch", "pair.stretch",
                            {"second": second.plain(), "above": plain(above), "factor": plain(factor)},
                            f"the prior has point masses only, and those above {format_exact(above)} are moved away "
                            f"from it by the factor {factor}, the decoder with them")
            return


def _swapped(model: Model, pieces: LinePieces) -> Iterator[Candidate]:
    """A prior symmetric about c leaves open on which side the decoder takes which value (Example 4)."""
    prior = model.mixture.reduced()
    weights, means, variances = prior.weights_exact, prior.means_exact[:, 0], prior.covariances_exact[:, 0, 0]
    center = sum(weights * means, Fraction(0))
    parts = dict(zip(zip(means, variances, strict=True), weights, strict=True))
    if not all(variances) or any(parts.get((2 * center - mean, v)) != w for (mean, v), w in parts.items()):
        return
    breaks = [fraction(t) for t in pieces.breakpoints]
    for low, high in _radii(pieces, center):
        edges = {center + s * r for s in (1, -1) for r in (low, high)}

        def source(z: Fraction, low: Fraction = low, high: Fraction = high) -> tuple[Fraction, Fraction]:
            return (Fraction(-1), 2 * center) if low < abs(z - center) < high else (Fraction(1), Fraction(0))

        decoder = _composed(pieces, edges.union(breaks, (2 * center - t for t in breaks)), source)
        second = Model(model.prior, decoder, model.noise)
        if compare(model, second).relation is Relation.LAW:
            yield Candidate("swap", "pair.swap", {"second": second.plain(), "radii": plain([low, high])},
                            f"the prior is symmetric about c = {format_exact(center)}, and the decoder takes its "
                            f"values at 2c - z where {format_exact(low)} < |z - c| < {format_exact(high)}")
            return


def _radii(pieces: LinePieces, center: Fraction) -> list[tuple[Fraction, Fraction]]:
    """Rings in which the two sides can be swapped; for a continuous decoder those that keep it continuous."""
    c = rational(center)
    ends = sorted({abs(t - c) for t in pieces.breakpoints} - {fmpq(0)})
    if not all(pieces.value(k, t) == pieces.value(k + 1, t) for k, t in enumerate(pieces.breakpoints)):
        radii = {fmpq(0), fmpq(1), *ends}
    else:
        radii = {fmpq(0)}
        for low, high in zip([fmpq(0), *ends], [*ends, None], strict=True):
            inner = point_inside(low, high)
            k, l = (next(i for i in range(pieces.n_pieces) if pieces.contains(i, c + s * inner)) for s in (1, -1))
            gaps = [((a + b), (a - b) * c + p - q) for a, b, p, q in zip(
                pieces.slopes[k], pieces.slopes[l], pieces.intercepts[k], pieces.intercepts[l], strict=True)]
            roots = {-p / a for a, p in gaps if a}
            if len(roots) == 1 and not any(p for a, p in gaps if not a):
                (root,) = roots
                if low <= root and (high is None or root <= high):
                    radii.add(root)
    return list(combinations(sorted(map(fraction, radii)), 2))[:MAX_MAPS]


def _composed(pieces: LinePieces, cuts: set[Fraction],
              source: Callable[[Fraction], tuple[Fraction, Fraction]]) -> PiecewiseAffineMap:
    """The map z -> f(a z + b), where (a, b) = source(z) and f is one piece between neighbouring cuts."""
    edges = sorted(cuts)
    inner = [edges[0] - 1, *((s + t) / 2 for s, t in zip(edges[:-1], edges[1:], strict=True)), edges[-1] + 1]
    slopes, intercepts = [], []
    for z in inner:
        a, b = (rational(v) for v in source(z))
        place = a * rational(z) + b
        k = next(i for i in range(pieces.n_pieces) if pieces.contains(i, place))
        slopes.append([fraction(v * a) for v in pieces.slopes[k]])
        intercepts.append([fraction(q + v * b) for v, q in zip(pieces.slopes[k], pieces.intercepts[k], strict=True)])
    keep = [i for i in range(len(edges)) if (slopes[i], intercepts[i]) != (slopes[i + 1], intercepts[i + 1])]
    rows = [*keep, len(edges)]
    return PiecewiseAffineMap(np.array([edges[i] for i in keep], dtype=object), [slopes[i] for i in rows],
                              [intercepts[i] for i in rows])
