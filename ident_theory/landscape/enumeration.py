"""The distinct members of a family: its networks as functions, its priors as mixtures, each counted once.

The parameters of a network reach its function only through the sum of its last hidden layer, so functions are
built by adding one unit after the other to the distinct sums so far; raw parameter points are never visited one
by one. Which raw points give which function is kept as a table, for counting and for grid neighbours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq

from ident_theory.errors import BudgetExceeded
from ident_theory.exact.rationals import rational
from ident_theory.geometry.kinked import IDENTITY, Kinked, activate, add, constant, scale
from ident_theory.geometry.line import LinePieces
from ident_theory.landscape.families import ParameterFamily
from ident_theory.models import ReLUNetwork

IntArray = np.ndarray[Any, np.dtype[np.int64]]
#: Pairs of partial sums that one step may form; beyond, the family is too large to enumerate in memory.
MAX_PAIRS = 50_000_000
#: Raw networks or priors up to which the table of members is kept.
MAX_RAW = 200_000_000


@dataclass(frozen=True)
class Networks:
    """The distinct decoders of a family.

    Attributes
    ----------
    functions : tuple of LinePieces
    member : ndarray of int32
        Function of every raw network; one axis for each free entry of the decoder.
    paths : tuple of str
        The free entries, in the order of the axes.
    counts : ndarray of int
        Raw networks of each function.
    first : ndarray of int
        Flat index of the first raw network of each function.
    """

    functions: tuple[LinePieces, ...]
    member: np.ndarray
    paths: tuple[str, ...]
    counts: IntArray
    first: IntArray

    def reordered(self, order: IntArray) -> Networks:
        """The same with function `order[i]` at place i."""
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return Networks(tuple(self.functions[i] for i in order), place[self.member], self.paths,
                        self.counts[order], self.first[order])


@dataclass(frozen=True)
class Priors:
    """The distinct priors of a family: reduced mixtures.

    Attributes
    ----------
    components : tuple of (fmpq, fmpq)
        Mean and variance of every component that occurs.
    rows : ndarray of int32, shape (P, J)
        Components of each prior, increasing; those beyond its own number are 0 and have weight 0.
    weights : ndarray of int64, shape (P, J)
        Weights times `denominator`.
    denominator : int
    member : ndarray of int32
        Prior of every raw point; the first axis is the weight vector, then one for each free entry.
    paths, counts, first
        As for `Networks`.
    """

    components: tuple[tuple[fmpq, fmpq], ...]
    rows: np.ndarray
    weights: IntArray
    denominator: int
    member: np.ndarray
    paths: tuple[str, ...]
    counts: IntArray
    first: IntArray

    def parts(self, p: int) -> tuple[tuple[fmpq, fmpq, fmpq], ...]:
        """Weight, mean and variance of each component of prior `p`."""
        return tuple((fmpq(int(w), self.denominator), *self.components[c])
                     for c, w in zip(self.rows[p], self.weights[p], strict=True) if w)


def distinct_networks(family: ParameterFamily) -> Networks:
    """Every function that a member's decoder can be, once.

    Raises
    ------
    BudgetExceeded
        When the sums of units no longer fit in memory.
    """
    return _Enumerator(family).run()


class _Enumerator:
    """Builds the table of functions, raw axes in the order: slope of the activation, then unit by unit."""

    def __init__(self, family: ParameterFamily) -> None:
        decoder = family.model.decoder
        assert isinstance(decoder, ReLUNetwork)
        self.family, self.depth = family, decoder.depth
        self.widths = [len(w) for w in decoder.weights_exact]
        self.functions: dict[Kinked, int] = {}
        self.seen: dict[tuple[int, fmpq, tuple[Kinked, ...]], np.ndarray] = {}
        self.paths: list[str] = []

    def run(self) -> Networks:
        raw = math.prod(len(g) for p, g in self.family.grids.items() if p.startswith("decoder"))
        if raw > MAX_RAW:
            raise BudgetExceeded(f"family: expected at most {MAX_RAW:,} raw networks, got {raw:,}; "
                                 "take coarser grids or free fewer entries of the decoder")
        slopes = self._grid("decoder.negative_slope")
        first_units = range(1) if self.depth == 1 else range(self.widths[0])
        self.paths += self._free("decoder.negative_slope") if self.depth > 1 else []
        self._note_paths(1, first_units)
        tables = [self._from_layer(0, (IDENTITY,), slope) for slope in (slopes if self.depth > 1 else slopes[:1])]
        shape = [len(self.family.grid(path)) for path in self.paths]
        member = np.concatenate(tables).astype(np.int32).reshape(shape)
        flat = member.ravel()
        _, first, counts = np.unique(flat, return_index=True, return_counts=True)
        if "decoder.negative_slope" in self.family.grids and self.depth == 1:
            counts = counts * len(slopes)
        return Networks(tuple(f.pieces() for f in self.functions), member, tuple(self.paths), counts, first)

    def _grid(self, path: str) -> list[fmpq]:
        return [rational(v) for v in self.family.grid(path)]

    def _free(self, path: str) -> list[str]:
        return [path] if path in self.family.grids else []

    def _note_paths(self, layer: int, units: Any) -> None:
        """The axes below `layer`, in the order in which the tables are built."""
        inputs = 1
        for l in range(self.depth - 1):
            for unit in range(self.widths[l]):
                names = [f"decoder.weights[{l}][{unit},{i}]" for i in range(inputs)] + [f"decoder.biases[{l}][{unit}]"]
                if l == self.depth - 2:
                    names += [f"decoder.weights[{l + 1}][{o},{unit}]" for o in range(self.widths[-1])]
                self.paths += [name for name in names if name in self.family.grids]
            inputs = self.widths[l]
        last = self.depth - 1
        if self.depth == 1:
            self.paths += [name for o in range(self.widths[0])
                           if (name := f"decoder.weights[0][{o},0]") in self.family.grids]
        self.paths += [name for o in range(self.widths[-1])
                       if (name := f"decoder.biases[{last}][{o}]") in self.family.grids]

    def _from_layer(self, layer: int, state: tuple[Kinked, ...], slope: fmpq) -> np.ndarray:
        """Function of every raw choice from `layer` on, given the units before it."""
        key = (layer, slope, state)
        if key not in self.seen:
            self.seen[key] = self._sums(layer, state, slope) if layer >= self.depth - 2 else \
                self._states(layer, state, slope)
        return self.seen[key]

    def _states(self, layer: int, state: tuple[Kinked, ...], slope: fmpq) -> np.ndarray:
        choices = [_interned([activate(f, slope) for f in self._inputs(layer, unit, state)])
                   for unit in range(self.widths[layer])]
        below = np.stack([self._from_layer(layer + 1, combination, slope)
                          for combination in itertools.product(*(distinct for distinct, _ in choices))])
        below = below.reshape(*(len(distinct) for distinct, _ in choices), -1)
        return below[np.ix_(*(table for _, table in choices), np.arange(below.shape[-1]))].ravel()

    def _inputs(self, layer: int, unit: int, state: tuple[Kinked, ...]) -> list[Kinked]:
        """What a unit adds up, for every raw choice of its weights and bias."""
        sums = [constant((fmpq(0),))]
        for i, f in enumerate(state):
            scaled = [scale(f, (w,)) for w in self._grid(f"decoder.weights[{layer}][{unit},{i}]")]
            sums = [add(total, term) for total in sums for term in scaled]
        biases = [constant((b,)) for b in self._grid(f"decoder.biases[{layer}][{unit}]")]
        return [add(total, bias) for total in sums for bias in biases]

    def _sums(self, layer: int, state: tuple[Kinked, ...], slope: fmpq) -> np.ndarray:
        """Functions of the last layer, adding its units one after the other."""
        out, last = range(self.widths[-1]), self.depth - 1
        terms: list[tuple[list[Kinked], np.ndarray]] = []
        for unit in range(self.widths[layer] if self.depth > 1 else 1):
            units, table = _interned([activate(f, slope) for f in self._inputs(layer, unit, state)]) \
                if self.depth > 1 else ([IDENTITY], np.zeros(1, dtype=np.int64))
            vectors = list(itertools.product(*(self._grid(f"decoder.weights[{last}][{o},{unit}]") for o in out)))
            scaled, inner = _interned([scale(f, v) for f in units for v in vectors])
            terms.append((scaled, inner.reshape(len(units), len(vectors))[table].ravel()))
        terms.append(_interned([constant(b) for b in itertools.product(
            *(self._grid(f"decoder.biases[{last}][{o}]") for o in out))]))
        functions, table = _all_sums(terms)
        ids = np.array([self.functions.setdefault(f, len(self.functions)) for f in functions], dtype=np.int32)
        return ids[table]


def _interned(items: Sequence[Kinked]) -> tuple[list[Kinked], np.ndarray]:
    """Distinct items in order of appearance, and the place of every item among them."""
    places: dict[Kinked, int] = {}
    table = np.array([places.setdefault(item, len(places)) for item in items], dtype=np.int64)
    return list(places), table


def _all_sums(terms: Sequence[tuple[list[Kinked], np.ndarray]]) -> tuple[list[Kinked], np.ndarray]:
    """Distinct sums of one item of each term, and the sum of every combination of raw choices.

    The maps are written over a common denominator in integers, one column a number, so a step is an integer
    addition of all pairs and a sort.
    """
    kinks = sorted({t for items, _ in terms for f in items for t, _ in f.kinks})
    n = len(terms[0][0][0].slope)
    column = {t: 2 * n + n * i for i, t in enumerate(kinks)}
    denominator = 1
    for items, _ in terms:
        for f in items:
            for v in (*f.slope, *f.intercept, *(e for _, d in f.kinks for e in d)):
                denominator = math.lcm(denominator, int(v.q))
    rows: np.ndarray = np.zeros((1, 2 * n + n * len(kinks)), dtype=np.int64)
    table = np.zeros(1, dtype=np.int64)
    for items, raw in terms:
        block = [[0] * rows.shape[1] for _ in items]
        for row, f in zip(block, items, strict=True):
            row[:2 * n] = [int(v * denominator) for v in (*f.slope, *f.intercept)]
            for t, d in f.kinks:
                row[column[t]:column[t] + n] = [int(v * denominator) for v in d]
        if len(rows) * len(block) > MAX_PAIRS:
            raise BudgetExceeded(f"family: adding up the hidden units would form {len(rows) * len(block):,} sums, "
                                 f"{MAX_PAIRS:,} are allowed; take coarser grids or fewer hidden units")
        largest = max(abs(v) for row in block for v in row) + max(abs(int(rows.max())), abs(int(rows.min())))
        added = np.array(block, dtype=np.int64 if largest < 2**62 else object)
        pairs = (rows[:, None, :] + added[None, :, :]).reshape(-1, rows.shape[1])
        rows, place = unique_rows(pairs)
        table = place.reshape(-1, len(block))[table[:, None], raw[None, :]].ravel()
    return [_from_row(row, kinks, n, denominator) for row in rows.tolist()], table


def _from_row(row: list[int], kinks: Sequence[fmpq], n: int, denominator: int) -> Kinked:
    def vector(start: int) -> tuple[fmpq, ...]:
        return tuple([fmpq(v, denominator) for v in row[start:start + n]])

    changes = tuple([(t, vector(2 * n + n * i)) for i, t in enumerate(kinks)
                     if any(row[2 * n + n * i:3 * n + n * i])])
    return Kinked(vector(0), vector(n), changes)


def unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of an integer matrix in a fixed order, and the place of every row among them."""
    if rows.dtype == object:
        places: dict[tuple[int, ...], int] = {}
        table = np.array([places.setdefault(tuple(row), len(places)) for row in rows.tolist()], dtype=np.int64)
        return np.array(list(places), dtype=object).reshape(len(places), rows.shape[1]), table
    low = rows.min(axis=0)
    spans = [int(s) + 1 for s in (rows.max(axis=0) - low)]
    words: list[np.ndarray] = []
    room = 0
    for j, span in enumerate(spans):  # as many columns to a 63-bit word as fit
        if span == 1:
            continue
        if not words or room * span >= 2**63:
            words.append(rows[:, j] - low[j])
            room = span
        else:
            words[-1] = words[-1] * span + (rows[:, j] - low[j])
            room *= span
    if not words:
        return rows[:1], np.zeros(len(rows), dtype=np.int64)
    if len(words) == 1:
        _, first, table = np.unique(words[0], return_index=True, return_inverse=True)
        return rows[first], table.ravel()
    order = np.lexsort(words)
    changed = np.zeros(len(rows), dtype=bool)
    for word in words:
        sorted_word = word[order]
        changed[1:] |= sorted_word[1:] != sorted_word[:-1]
    table = np.empty(len(rows), dtype=np.int64)
    table[order] = np.cumsum(changed)
    changed[0] = True
    return rows[order[changed]], table


def distinct_priors(family: ParameterFamily) -> Priors:
    """Every prior of a family, once: zero weights dropped, equal components merged."""
    count = family.model.mixture.n_components
    places: dict[tuple[Fraction, Fraction], int] = {}
    choices: list[np.ndarray] = []
    paths: list[str] = []
    for j in range(count):
        grids = [family.grid(f"prior.{name}[{j}]") for name in ("means", "covariances")]
        choices.append(np.array([places.setdefault((mean, variance), len(places))
                                 for mean, variance in itertools.product(*grids)]))
        paths += [p for name in ("means", "covariances") if (p := f"prior.{name}[{j}]") in family.grids]
    denominator = math.lcm(*(w.denominator for row in family.weights for w in row))
    vectors = np.array([[int(w * denominator) for w in row] for row in family.weights], dtype=np.int64)
    raw = len(vectors) * math.prod(map(len, choices))
    if raw > MAX_RAW // count:
        raise BudgetExceeded(f"family: expected at most {MAX_RAW // count:,} raw priors, got {raw:,}; "
                             "take coarser grids")
    combinations = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, count)
    rows = np.tile(combinations, (len(vectors), 1))
    weights = np.repeat(vectors, len(rows) // len(vectors), axis=0)
    _reduce(rows, weights, len(places))
    both, member = unique_rows(np.concatenate([rows, weights], axis=1))
    _, first, counts = np.unique(member, return_index=True, return_counts=True)
    shape = (len(vectors), *(len(family.grids[p]) for p in paths))
    kept, w = both[:, :count], both[:, count:]
    return Priors(tuple((rational(mu), rational(v)) for mu, v in places), np.where(w > 0, kept, 0).astype(np.int32),
                  w, denominator, member.astype(np.int32).reshape(shape), tuple(paths), counts, first)


def _reduce(rows: np.ndarray, weights: np.ndarray, blank: int) -> None:
    """Canonical rows in place: components increasing, equal ones merged, those without weight `blank` and last."""
    def sort() -> None:
        order = np.argsort(rows, axis=1, kind="stable")
        rows[:] = np.take_along_axis(rows, order, axis=1)
        weights[:] = np.take_along_axis(weights, order, axis=1)

    rows[weights == 0] = blank
    sort()
    for j in range(rows.shape[1] - 1, 0, -1):
        same = (rows[:, j] == rows[:, j - 1]) & (rows[:, j] != blank)
        weights[same, j - 1] += weights[same, j]
        weights[same, j] = 0
        rows[same, j] = blank
    sort()
