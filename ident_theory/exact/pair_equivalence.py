"""Which equivalences two models provably violate, for the checks of pairs; rationals throughout, balls for roots.

Written for the verifier alone: nothing here is used where pairs are found.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx

from ident_theory.errors import CertificateRejected
from ident_theory.exact.pair_trees import (
    Matrix,
    Mixture,
    Network,
    Pieces,
    Row,
    ball,
    dot,
    evaluator,
    pieces,
    reduced,
    reject,
    times,
    transposed,
)

#: Orders and signs of the latents that are tried, of those that the laws of the single latents leave open.
MAX_MAPS = 400
#: Points at which decoders of several latents are compared.
MAX_POINTS = 64
#: Working precision where roots are taken.
BITS = 256


def mean_of(p: Mixture) -> Row:
    """Mean of a mixture."""
    m = len(next(iter(p))[0])
    return tuple(sum((w * mean[i] for (mean, _), w in p.items()), Fraction(0)) for i in range(m))


def covariance_of(p: Mixture) -> Matrix:
    """Covariance of a mixture as a whole."""
    center = mean_of(p)
    m = len(center)
    return tuple(tuple(sum((w * (c[i][k] + (mean[i] - center[i]) * (mean[k] - center[k]))
                            for (mean, c), w in p.items()), Fraction(0)) for k in range(m)) for i in range(m))


def inverse(a: Matrix) -> Matrix | None:
    """Inverse of a square matrix by elimination; None when singular."""
    size = len(a)
    work = [[*r, *(Fraction(i == k) for k in range(size))] for i, r in enumerate(a)]
    for i in range(size):
        pivot = next((k for k in range(i, size) if work[k][i]), None)
        if pivot is None:
            return None
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for k in range(size):
            if k != i and work[k][i]:
                work[k] = [v - work[k][i] * u for v, u in zip(work[k], work[i], strict=True)]
    return tuple(tuple(r[size:]) for r in work)


@dataclass(frozen=True)
class Monomial:
    """Latent i goes to place order[i], times signs[i] sqrt(squares[i]), about the means of the two mixtures."""

    order: tuple[int, ...]
    signs: tuple[int, ...]
    squares: Row


def monomial_maps(p: Mixture, q: Mixture) -> Iterator[Monomial]:
    """All maps of the latents one by one (order, signed scale, shift) that carry p to q.

    The scale of latent i is fixed up to sign by its variances under p and q. Images are compared as signed
    squares x|x|, which keeps irrational scales rational. A latent that is constant under p gets scale 1.
    """
    m = len(mean_of(p))
    spread_p, spread_q = covariance_of(p), covariance_of(q)
    centered, target = _signed_squares(p), _signed_squares(q)
    options: list[list[tuple[int, int, Fraction]]] = []
    for i in range(m):
        options.append([])
        for place in range(m):
            before, after = spread_p[i][i], spread_q[place][place]
            square = after / before if before else Fraction(1)
            for sign in (1, -1) if bool(before) == bool(after) else ():
                if _carried(_marginal(centered, i), (0,), (sign * square,)) == _marginal(target, place):
                    options[i].append((place, sign, square))
    for chosen in _assignments(options):
        order = tuple(place for place, _, _ in chosen)
        if _carried(centered, order, [sign * square for _, sign, square in chosen]) == target:
            yield Monomial(order, tuple(sign for _, sign, _ in chosen), tuple(square for _, _, square in chosen))


def _marginal(p: Mixture, i: int) -> Mixture:
    return reduced([(w, (mean[i],), ((covariance[i][i],),)) for (mean, covariance), w in p.items()])


def _assignments(options: list[list[tuple[int, int, Fraction]]]) -> Iterator[list[tuple[int, int, Fraction]]]:
    """One option for every latent, no place twice; refuses more than `MAX_MAPS`.

    Which latents may go to which places is a question of equal laws, so these sets are the same or disjoint.
    """
    places = [frozenset(place for place, _, _ in choice) for choice in options]
    if any(places.count(block) != len(block) for block in places):
        return
    count = math.prod(math.factorial(len(block)) for block in set(places)) \
        * math.prod(len(choice) // len(block) for choice, block in zip(options, places, strict=True))
    if count > MAX_MAPS:
        reject(f"more than {MAX_MAPS} orders and signs of the latents are left to try")
    stack: list[list[tuple[int, int, Fraction]]] = [[]]
    while stack:
        chosen = stack.pop()
        if len(chosen) == len(options):
            yield chosen
        else:
            taken = {place for place, _, _ in chosen}
            stack.extend([*chosen, option] for option in options[len(chosen)] if option[0] not in taken)


def _signed_squares(p: Mixture) -> Mixture:
    center = mean_of(p)
    return {(tuple((x - c) * abs(x - c) for x, c in zip(mean, center, strict=True)),
             tuple(tuple(v * abs(v) for v in r) for r in covariance)): w for (mean, covariance), w in p.items()}


def _carried(p: Mixture, order: Sequence[int], factors: Sequence[Fraction]) -> Mixture:
    """Images of signed squares: a product of signed squares is the signed square of the product."""
    back = [order.index(i) for i in range(len(order))]
    return {(tuple(factors[i] * mean[i] for i in back),
             tuple(tuple(factors[i] * factors[k] * covariance[i][k] for k in back) for i in back)): w
            for (mean, covariance), w in p.items()}


def permuted(p: Mixture, q: Mixture) -> bool:
    """Whether some order of the latents carries p to q."""
    m = len(mean_of(p))
    options = [[(k, 1, Fraction(1)) for k in range(m) if _marginal(p, i) == _marginal(q, k)] for i in range(m)]
    return any(_carried(p, [place for place, _, _ in chosen], [Fraction(1)] * m) == q
               for chosen in _assignments(options))


def affine_invariants_differ(p: Mixture, q: Mixture) -> bool:
    r"""Whether a quantity that invertible affine maps keep tells p from q.

    The weights; the rank of the whole covariance S; when S is regular, for every component its table of
    :math:`c_j^T S^{-1} c_k`, :math:`tr(S^{-1} C_j S^{-1} C_k)`, :math:`c_j^T S^{-1} C_k S^{-1} c_j` and
    :math:`tr(S^{-1} C_j)`, with c the centred means and C the covariances.
    """
    if sorted(p.values()) != sorted(q.values()):
        return True
    first, second = _profiles(p), _profiles(q)
    if first is None or second is None:
        return (first is None) != (second is None)
    return first != second


def _profiles(p: Mixture) -> Counter[tuple[object, ...]] | None:
    metric = inverse(covariance_of(p))
    if metric is None:
        return None
    center = mean_of(p)
    parts = [(w, tuple(x - c for x, c in zip(mean, center, strict=True)), times(metric, covariance))
             for (mean, covariance), w in p.items()]
    duals = [tuple(dot(r, c) for r in metric) for _, c, _ in parts]

    def spread(j: int, k: int) -> Fraction:
        return dot(parts[j][1], tuple(dot(r, duals[j]) for r in parts[k][2]))

    def overlap(j: int, k: int) -> Fraction:
        return sum((dot(r, c) for r, c in zip(parts[j][2], transposed(parts[k][2]), strict=True)), Fraction(0))

    own = [(parts[j][0], sum((parts[j][2][i][i] for i in range(len(center))), Fraction(0)), dot(duals[j], parts[j][1]),
            spread(j, j), overlap(j, j)) for j in range(len(parts))]
    return Counter((own[j], tuple(sorted((own[k], dot(duals[j], parts[k][1]), overlap(j, k), spread(j, k),
                                          spread(k, j)) for k in range(len(parts)) if k != j)))
                   for j in range(len(parts)))


def violated(f: Network | Pieces, p: Mixture, g: Network | Pieces, q: Mixture) -> tuple[str, str] | None:
    """The coarsest equivalence that provably does not relate the two models, and what differs.

    Returns
    -------
    tuple of two str, or None
        ("affine", "monomial" or "permutation"; "latent" when the laws of the latent are not related, "decoder"
        when no map of the kind carries the law of the latent and the decoder together). None: nothing proven.
    """
    one = len(mean_of(p)) == 1
    if not one and affine_invariants_differ(p, q):
        return "affine", "latent"
    try:
        maps = list(monomial_maps(p, q))
    except CertificateRejected:  # too many: what is left to show is the order of the latents
        return None if permuted(p, q) else ("permutation", "latent")
    if not maps:
        return "affine" if one else "monomial", "latent"
    if _has_density(p) and _has_density(q) and all(_decoders_differ(f, p, g, q, h) for h in maps):
        return "affine" if one else "monomial", "decoder"
    return None if permuted(p, q) else ("permutation", "latent")


def _has_density(p: Mixture) -> bool:
    return any(inverse(covariance) is not None for _, covariance in p)


def _decoders_differ(f: Network | Pieces, p: Mixture, g: Network | Pieces, q: Mixture, h: Monomial) -> bool:
    """Whether f(z) and g(h(z)) are proven different at some point inside pieces of both, hence around it."""
    with ctx.workprec(BITS):
        scales = [ball(v).sqrt() * s for v, s in zip(h.squares, h.signs, strict=True)]
        center_p, center_q = mean_of(p), mean_of(q)
        first, second = evaluator(f), evaluator(g)
        for z in _points(f, p, g, q, h):
            moved = [arb(0)] * len(z)
            for i, place in enumerate(h.order):
                moved[place] = scales[i] * ball(z[i] - center_p[i]) + ball(center_q[place])
            if any(not a.overlaps(b) for a, b in zip(first([ball(v) for v in z]), second(moved), strict=True)):
                return True
    return False


def _points(f: Network | Pieces, p: Mixture, g: Network | Pieces, q: Mixture, h: Monomial) -> list[Row]:
    """Where decoders are compared: two points inside every common piece of the line, or a grid about the means."""
    if len(h.order) == 1:
        scale = Fraction(float(h.squares[0]) ** 0.5) * h.signs[0]
        (a,), (b,) = mean_of(p), mean_of(q)
        cuts = sorted({*pieces(f).breaks, *((t - b) / scale + a for t in pieces(g).breaks)}) or [Fraction(0)]
        inner = [lo + (hi - lo) * Fraction(i, 3) for lo, hi in zip(cuts[:-1], cuts[1:], strict=True) for i in (1, 2)]
        return [(z,) for z in [cuts[0] - 2, cuts[0] - 1, *inner, cuts[-1] + 1, cuts[-1] + 2]]
    steps = itertools.product((Fraction(1), Fraction(-5, 3), Fraction(0)), repeat=len(h.order))
    return [tuple(x + s for x, s in zip(mean, step, strict=True))
            for step in itertools.islice(steps, MAX_POINTS) for mean in (mean_of(p), *(mean for mean, _ in p))
            ][:MAX_POINTS]
