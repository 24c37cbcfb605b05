"""The models of Appendix J.3.1 by an enumeration of its own: functions, laws and affine classes in fractions.

Nothing here uses the geometry, laws or landscape of the toolkit, whose answers are held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Any

from ident_theory.landscape.families import ParameterFamily

#: Grids: entries of alpha, beta and pi; the means are -2, ..., 2, the weights multiples of 1/4, the variances 1.
SMALL, COARSE, NO_ZERO = (-1, 0, 1), (-2, -1, 0, 1, 2), (-2, -1, 1, 2)
MEANS, QUARTERS = (-2, -1, 0, 1, 2), 4

Parameters = tuple[Any, ...]


@dataclass(frozen=True)
class Function:
    """A continuous piecewise affine function of the line: bends (place, change of slope), and the map far left."""

    bends: tuple[tuple[Fraction, Fraction], ...]
    slope: Fraction
    intercept: Fraction

    @cached_property
    def _hash(self) -> int:
        return hash(self.key())

    def __hash__(self) -> int:
        return self._hash

    @property
    def constant(self) -> bool:
        """Whether it takes one value."""
        return not self.bends and not self.slope

    def pieces(self) -> list[tuple[Fraction | None, Fraction | None, Fraction, Fraction]]:
        """Left end, right end, slope and intercept of every piece."""
        ends = [None, *(t for t, _ in self.bends), None]
        a, c = self.slope, self.intercept
        found = []
        for k, (left, right) in enumerate(zip(ends, ends[1:], strict=False)):
            if k:
                t, change = self.bends[k - 1]
                a, c = a + change, c - change * t
            found.append((left, right, a, c))
        return found

    def key(self) -> tuple[Any, ...]:
        """Itself as a tuple."""
        return self.bends, self.slope, self.intercept

    def changed(self, sign: int, shift: Fraction) -> Function:
        """z -> f(sign z + shift)."""
        pieces = self.pieces()
        bends = [((t - shift) * sign, change) for t, change in self.bends][::sign]
        _, _, a, c = pieces[0 if sign > 0 else -1]
        return Function(tuple(bends), sign * a, c + a * shift)


class Mixture(tuple[tuple[Any, Fraction], ...]):
    """A prior with components of variance one: (mean, weight), by increasing means."""

    @cached_property
    def _hash(self) -> int:
        return tuple.__hash__(self)

    def __hash__(self) -> int:
        return self._hash


def function_of(alpha: Sequence[Any], beta: Sequence[Any], pi: Sequence[Any]) -> Function:
    """The sum of a_i relu(b_i z + p_i), from a relu(b z + p) = a |b| relu(+-(z - t)) and relu(-s) = relu(s) - s."""
    bends: dict[Fraction, Fraction] = {}
    slope = intercept = Fraction(0)
    for a, b, p in zip(alpha, beta, pi, strict=True):
        if b == 0:
            intercept += Fraction(a) * max(p, 0)
            continue
        t, change = Fraction(-p) / b, Fraction(a) * abs(b)
        bends[t] = bends.get(t, Fraction(0)) + change
        if b < 0:
            slope, intercept = slope - change, intercept + change * t
    return Function(tuple(sorted((t, d) for t, d in bends.items() if d)), slope, intercept)


def parameters(entries: Sequence[int]) -> Iterator[tuple[Parameters, Parameters, Parameters]]:
    """All (alpha, beta, pi)."""
    yield from product(product(entries, repeat=2), repeat=3)


def functions(entries: Sequence[int]) -> dict[Function, int]:
    """The distinct functions, and how many parameters give each."""
    counts: dict[Function, int] = {}
    for point in parameters(entries):
        f = function_of(*point)
        counts[f] = counts.get(f, 0) + 1
    return counts


def priors(count: int) -> dict[Mixture, int]:
    """The distinct priors of this many components, zero weights and equal means allowed, with their numbers."""
    found: dict[Mixture, int] = {}
    vectors = [v for v in product(range(QUARTERS + 1), repeat=count) if sum(v) == QUARTERS]
    for weights, means in product(vectors, product(MEANS, repeat=count)):
        prior: dict[int, Fraction] = {}
        for w, mean in zip(weights, means, strict=True):
            if w:
                prior[mean] = prior.get(mean, Fraction(0)) + Fraction(w, QUARTERS)
        key = Mixture(sorted(prior.items()))
        found[key] = found.get(key, 0) + 1
    return found


def component_terms(f: Function, mean: Any) -> dict[Any, Fraction]:
    """The law of f(Z) for one component: changes of the density along the line, and atoms.

    (mean, variance, place) -> change of the weight of this Gaussian there, with place None far left; and
    (location, distance) -> coefficient of Phi(distance) in the mass of the atom there, with None for the constant.
    """
    terms: dict[Any, Fraction] = {}

    def add(key: Any, value: Fraction) -> None:
        terms[key] = terms.get(key, Fraction(0)) + value

    for left, right, a, c in f.pieces():
        if a:
            low, high = (left, right) if a > 0 else (right, left)
            gaussian = (a * mean + c, a * a)
            add((*gaussian, None if low is None else a * low + c), Fraction(1))
            if high is not None:
                add((*gaussian, a * high + c), Fraction(-1))
            continue
        for end, sign in ((right, 1), (left, -1)):
            gap = None if end is None else end - mean
            if gap is None:
                add((c, None), Fraction(sign > 0))
            elif gap > 0:
                add((c, gap), Fraction(sign))
            else:  # Phi(-t) = 1 - Phi(t), Phi(0) = 1/2
                add((c, None), Fraction(sign) if gap else Fraction(sign, 2))
                if gap:
                    add((c, -gap), Fraction(-sign))
    return terms


def law_of(f: Function, prior: Sequence[tuple[Any, Fraction]]) -> tuple[Any, Any]:
    """The law of f(Z), density and atoms, as `component_terms` describes it; equal data mean equal laws."""
    total: dict[Any, Fraction] = {}
    for mean, w in prior:
        for key, value in component_terms(f, mean).items():
            total[key] = total.get(key, Fraction(0)) + w * value
    kept = [(key, value) for key, value in total.items() if value]
    return frozenset(item for item in kept if len(item[0]) == 3), frozenset(item for item in kept if len(item[0]) == 2)


def preimages(law: tuple[Any, Any], x: Fraction) -> Fraction:
    """The total weight of the Gaussians at x, which Lemma C.5 says is the number of preimages."""
    return sum((v for (_, _, place), v in law[0] if place is None or place < x), Fraction(0))


def covered_once(f: Function) -> bool:
    """F2 on the line: some interval of values without flat pieces over it has one preimage."""
    pieces = f.pieces()
    ends = sorted({a * t + c for left, right, a, c in pieces for t in (left, right) if t is not None})
    probes = [Fraction(0)] if not ends else [ends[0] - 1, *((u + v) / 2 for u, v in zip(ends, ends[1:], strict=False)),
                                             ends[-1] + 1]
    return any(count_preimages(f, x) == 1 for x in probes)


def count_preimages(f: Function, x: Fraction) -> int:
    """How many z have f(z) = x, for an x that is no value at a bend or on a flat piece."""
    count = 0
    for left, right, a, c in f.pieces():
        if a:
            z = (x - c) / a
            count += (left is None or left < z) and (right is None or z < right)
    return count


def affine_class(f: Function, prior: Sequence[tuple[Any, Fraction]]) -> Any:
    """A key that two pairs share exactly when a translation or reflection of the latent carries one to the other."""
    center = sum((w * mean for mean, w in prior), Fraction(0))
    return min((f.changed(sign, center).key(), moved(prior, sign, center)) for sign in (1, -1))


def moved(prior: Sequence[tuple[Any, Fraction]], sign: int, center: Fraction) -> tuple[tuple[Fraction, Fraction], ...]:
    """The prior of sign (z - center)."""
    return tuple(sorted((sign * (mean - center), w) for mean, w in prior))


class Sorter:
    """Sorts many pairs by law and by affine class: the same data as `law_of` and `affine_class`, each kept as a number.

    What belongs to a function and a mean, or to a function and a center, is worked out once.
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._terms: dict[Any, list[tuple[int, int]]] = {}
        self._normal: dict[Any, Any] = {}

    def _number(self, item: Any) -> int:
        return self._numbers.setdefault(item, len(self._numbers))

    def law(self, f: Function, prior: Mixture) -> Any:
        """Equal for pairs of one law."""
        total: dict[int, int] = {}
        for mean, w in prior:
            if (f, mean) not in self._terms:
                self._terms[f, mean] = [(self._number(key), int(2 * value))
                                        for key, value in component_terms(f, mean).items()]
            share = int(w * QUARTERS)
            for name, value in self._terms[f, mean]:
                total[name] = total.get(name, 0) + share * value
        return frozenset(item for item in total.items() if item[1])

    def affine(self, f: Function, prior: Mixture) -> Any:
        """Equal for pairs of one affine class."""
        if prior not in self._normal:
            center = sum((w * mean for mean, w in prior), Fraction(0))
            self._normal[prior] = center
            for sign in (1, -1):
                self._normal[prior, sign] = self._number(moved(prior, sign, center))
        center = self._normal[prior]
        keys = []
        for sign in (1, -1):
            if (f, center, sign) not in self._normal:
                self._normal[f, center, sign] = self._number(f.changed(sign, center).key())
            keys.append((self._normal[f, center, sign], self._normal[prior, sign]))
        return min(keys)


def family(entries: Sequence[int]) -> ParameterFamily:
    """The same models as a family of the toolkit, with noise of standard deviation 1/4."""
    values = [int(v) for v in entries]
    return ParameterFamily.from_dict({
        "prior": {"weights": ["1/3", "1/3", "1/3"], "means": [0, 0, 0], "covariances": [1, 1, 1]},
        "decoder": {"type": "relu_network", "weights": [[[1], [1]], [[1, 1]]], "biases": [[0, 0], [0]]},
        "noise": {"type": "gaussian", "std": "1/4"},
        "vary": {"prior.weights": {"simplex": QUARTERS}, "prior.means": list(MEANS), "decoder.weights": values,
                 "decoder.biases[0]": values}})
