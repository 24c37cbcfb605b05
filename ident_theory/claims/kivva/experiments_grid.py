"""Appendix J.3.1 on whole grids: every truth, its law, and the parameters that minimise its likelihood."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from flint import fmpq
from scipy.special import ndtr

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.kivva.experiments_family import (
    COARSE,
    MEANS,
    NO_ZERO,
    SMALL,
    Function,
    Mixture,
    Sorter,
    count_preimages,
    covered_once,
    functions,
    law_of,
    preimages,
    priors,
)
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.exact.rationals import rational
from ident_theory.geometry.line import LinePieces
from ident_theory.laws.components import component_tables
from ident_theory.laws.identity import law_key
from ident_theory.laws.line_terms import Component
from ident_theory.models import GaussianNoise
from ident_theory.numerics import Evidence

chapter = Chapter(KIVVA)

Pair = tuple[Function, Mixture]
#: Moments of laws that are equal agree to rounding; this is far above it.
APART = 1e-8


def line_pieces_of(f: Function) -> LinePieces:
    """A function as the toolkit's exact pieces."""
    pieces = f.pieces()
    return LinePieces(tuple(rational(t) for t, _ in f.bends), tuple((rational(a),) for _, _, a, _ in pieces),
                      tuple((rational(c),) for _, _, _, c in pieces))


def components(prior: Mixture) -> tuple[Component, ...]:
    """A prior as the toolkit's exact components."""
    return tuple(Component(rational(w), rational(Fraction(mean)), fmpq(1)) for mean, w in prior)


def grouped(pairs: Sequence[Pair], key: Callable[[Function, Mixture], Any]) -> list[list[Pair]]:
    """The pairs that share a key."""
    found: dict[Any, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[key(*pair)].append(pair)
    return list(found.values())


@chapter.claim(
    "kivva.j31.law", slow=True, place="App. J.3.1 and Lemma C.5", kind=Kind.ADDED,
    statement="The law of f(Z) can be decided in rationals: between breakpoints it is a reduced sum of normal "
              "densities whose weights sum to the number of preimages, and there are atoms; two laws are equal exactly "
              "when these data are.",
    hypotheses=("entries in {-1, 0, 1}, means in {-2, ..., 2}, variances one",))
def laws_as_rational_data(on: Record) -> None:
    found, drawn = functions(SMALL), list(priors(3))
    counted = []
    for f in found:
        corners = {a * t + c for left, right, a, c in f.pieces() for t in (left, right) if t is not None}
        probes = [x for k in range(-30, 31, 4) if (x := Fraction(k, 7)) not in corners]
        for prior in drawn[::30]:
            known = law_of(f, prior)
            counted += [preimages(known, x) == count_preimages(f, x) for x in probes]
    on.printed.support(all(counted), "weights at a point against preimages found by solving on every piece",
                       cases=len(counted), evidence=Evidence.EXACT)
    pairs = [(f, prior) for f in found for prior in drawn]
    own = {pair: k for k, group in enumerate(grouped(pairs, law_of)) for pair in group}
    keys = {pair: law_key(line_pieces_of(pair[0]), components(pair[1])) for pair in pairs}
    blocks = {(own[pair], keys[pair]) for pair in pairs}
    on.printed.support(len(blocks) == len(set(own.values())) == len(set(keys.values())) == 2302,
                       f"{len(pairs):,} pairs fall into {len(blocks):,} laws, the same by two programs",
                       cases=len(pairs), evidence=Evidence.EXACT)


@chapter.claim(
    "kivva.j31.kl", slow=True, place="App. J.3.1", kind=Kind.ADDED,
    statement="The minimisers that quadrature finds are the exact laws of the truth: with noise of standard deviation "
              "1/4 the excess of the likelihood is zero to rounding within a law and more than 1e-6 between laws.",
    hypotheses=("entries in {-1, 0, 1}, means in {-2, ..., 2}, weights in quarters, variances one",
                "the same known noise for all"))
def quadrature_agrees_with_laws(on: Record) -> None:
    found, drawn = functions(SMALL), list(priors(3))
    nodes = np.linspace(-24, 24, 1201)
    step = nodes[1] - nodes[0]
    logs = []
    mix = np.array([[float(dict(prior).get(mean, 0)) for mean in MEANS] for prior in drawn])
    single = [(rational(Fraction(mean)), fmpq(1)) for mean in MEANS]
    for f in found:
        table = component_tables(line_pieces_of(f), single, GaussianNoise("1/4"), nodes)
        # What underflows has no weight: a floor can only lower the excess between laws, which is far above it.
        logs.append(np.log(np.maximum(mix @ np.exp(table), 1e-300)))
    log_density = np.concatenate(logs)
    pairs = [(f, prior) for f in found for prior in drawn]
    place = {pair: k for k, pair in enumerate(pairs)}
    groups = [[place[pair] for pair in group] for group in grouped(pairs, Sorter().law)]
    mass = np.exp(log_density).sum(axis=1) * step
    within, first = 0.0, []
    for group in groups:
        first.append(group[0])
        gaps = log_density[group[0]] - log_density[group]
        within = max(within, float(np.abs(gaps @ np.exp(log_density[group[0]]) * step).max()))
    chosen = log_density[first]
    density = np.exp(chosen) * step
    excess = (density * chosen).sum(axis=1)[:, None] - density @ chosen.T
    np.fill_diagonal(excess, np.inf)
    on.printed.support(bool(np.abs(mass - 1).max() < 1e-12), "total mass of every density on the nodes",
                       cases=len(pairs))
    on.printed.support(within < 1e-12 and float(excess.min()) > 1e-6,
                       f"{len(pairs):,} pairs, {len(groups):,} laws: within a law {within:.0e} at most, between laws "
                       f"{excess.min():.2e} at least", cases=len(groups))


@chapter.claim(
    "kivva.j31.levels", slow=True, place="App. J.3.1", kind=Kind.ADDED,
    statement="Same function and prior, affine equivalence and equality in law are three levels, each strictly coarser "
              "than the one before, also among decoders that are not constant.",
    hypotheses=("entries in {-1, 0, 1}, means in {-2, ..., 2}, weights in quarters, variances one",))
def three_levels(on: Record) -> None:
    pairs = [(f, prior) for f in functions(SMALL) if not f.constant for prior in priors(3)]
    laws, classes = grouped(pairs, Sorter().law), grouped(pairs, Sorter().affine)
    law_number = {pair: k for k, group in enumerate(laws) for pair in group}
    nested = all(len({law_number[pair] for pair in group}) == 1 for group in classes)
    on.printed.prove(nested and len(laws) < len(classes) < len(pairs),
                     f"{len(pairs):,} pairs, {len(classes):,} affine classes, {len(laws):,} laws, every class within "
                     "one law: all enumerated")


def shares(found: dict[Function, int], pairs: Sequence[Pair]) -> tuple[dict[int, Fraction], int, int]:
    """Share of truths whose law has a second affine class, by J; how many of their decoders satisfy F2; classes."""
    drawn = {count: priors(count) for count in (2, 3)}
    hits = {2: 0, 3: 0}
    exceptions, most = 0, 1
    sorter = Sorter()
    for group in grouped(pairs, sorter.law):
        classes = grouped(group, sorter.affine)
        most = max(most, len(classes))
        if len(classes) > 1:
            hits[3] += sum(found[f] * drawn[3][prior] for f, prior in group)
            exceptions += sum(covered_once(f) for f, _ in group)
        own = [sum(found[f] * drawn[2].get(prior, 0) for f, prior in part) for part in classes]
        hits[2] += sum(own) if sum(map(bool, own)) > 1 else 0
    varying = sum(n for f, n in found.items() if not f.constant)
    return ({count: Fraction(hits[count], varying * sum(drawn[count].values())) for count in hits}, exceptions, most)


@chapter.claim(
    "kivva.j31.share", slow=True, place="App. J.3.1 and section 4", kind=Kind.ADDED,
    statement="With entries in {-1, 0, 1}, of all truths with a decoder that is not constant 5.5% (J = 2) and 6.2% "
              "(J = 3) have a global minimiser that no affine map explains; up to four affine classes share a law, and "
              "no decoder among them is weakly injective.",
    hypotheses=("minimisers are sought among models of the same J", "weights in quarters, means in {-2, ..., 2}"))
def share_on_the_small_grid(on: Record) -> None:
    found = functions(SMALL)
    share, exceptions, most = shares(found, [(f, prior) for f in found if not f.constant for prior in priors(3)])
    on.printed.prove(share == {2: Fraction(17_000, 307_500), 3: Fraction(57_624, 922_500)} and exceptions == 0
                     and most == 4, f"J = 2: {float(share[2]):.3%}, J = 3: {float(share[3]):.3%}, up to {most} "
                     f"classes, {exceptions} decoders with F2: all {sum(found.values()):,} decoders, all priors")


def moments(found: Sequence[Function]) -> np.ndarray:
    """E f(Z) and E f(Z)^2 in float64 for Z ~ N(mean, 1), shape (functions, means, 2)."""
    table = np.zeros((len(found), len(MEANS), 2))
    at = np.array(MEANS, dtype=float)
    for row, f in zip(table, found, strict=True):
        for left, right, a, c in f.pieces():
            ends = [(-np.inf if left is None else float(left)) - at, (np.inf if right is None else float(right)) - at]
            mass = ndtr(ends[1]) - ndtr(ends[0])
            heights = [np.exp(-e * e / 2) / np.sqrt(2 * np.pi) for e in ends]
            slope = heights[0] - heights[1]
            edge = [np.where(np.isinf(e), 0.0, e) * height for e, height in zip(ends, heights, strict=True)]
            square = mass + edge[0] - edge[1]
            value, rate = float(c) + float(a) * at, float(a)
            row[:, 0] += value * mass + rate * slope
            row[:, 1] += value**2 * mass + 2 * value * rate * slope + rate**2 * square
    return table


def separated(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether no row of one table is as close to a row of the other as rounding of equal laws would leave it."""
    rows = np.concatenate([one, two])
    kind = np.repeat([0, 1], [len(one), len(two)])
    order = np.argsort(rows[:, 0])
    rows, kind = rows[order], kind[order]
    cuts = [0, *(np.flatnonzero(np.diff(rows[:, 0]) > APART) + 1).tolist(), len(rows)]
    for a, b in pairwise(cuts):
        if len(set(kind[a:b].tolist())) > 1:
            gaps = np.abs(rows[a:b][kind[a:b] == 0][:, None, 1] - rows[a:b][kind[a:b] == 1][None, :, 1])
            if gaps.min() < APART:
                return False
    return True


@chapter.claim(
    "kivva.j31.share.coarse", place="App. J.3.1 and section 4", kind=Kind.ADDED, slow=True,
    statement="With entries in {-2, ..., 2} the shares are 2.28% (J = 2) and 2.56% (J = 3), with entries in "
              "{-2, -1, 1, 2} 4.7% (J = 3); weakly injective decoders share no law with others.",
    hypotheses=("minimisers are sought among models of the same J", "weights in quarters, means in {-2, ..., 2}"),
    scope="among weakly injective decoders nothing is enumerated: there Theorem 3.2(a) rules out a second class")
def share_on_the_coarse_grid(on: Record) -> None:
    drawn = list(priors(3))
    mix = np.array([[float(dict(prior).get(mean, 0)) for mean in MEANS] for prior in drawn])
    for entries, expected in ((COARSE, {2: Fraction(192_400, 8_435_000), 3: Fraction(648_624, 25_305_000)}),
                              (NO_ZERO, None)):
        found = functions(entries)
        varying = [f for f in found if not f.constant]
        single = [f for f in varying if covered_once(f)]
        others = [f for f in varying if not covered_once(f)]
        apart = [np.einsum("pm,fmk->fpk", mix, moments(part)).reshape(-1, 2) for part in (single, others)]
        ones = len(apart[0])
        on.printed.support(separated(*apart), f"entries {entries}: the first two moments of x tell {ones:,} pairs with "
                           f"F2 from {len(apart[1]):,} without, by {APART:.0e} at least", cases=ones)
        share, _, most = shares(found, [(f, prior) for f in others for prior in drawn])
        on.printed.support((share == expected if expected else round(share[3], 3) == Fraction(47, 1000)) and most == 4,
                           f"entries {entries}: J = 2 {float(share[2]):.3%}, J = 3 {float(share[3]):.3%}, up to "
                           f"{most} classes, counted exactly", cases=len(apart[1]), evidence=Evidence.EXACT)
