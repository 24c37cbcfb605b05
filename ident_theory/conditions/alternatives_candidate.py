"""What the searches for second models hand to the verifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations, islice
from typing import Any

import numpy as np

from ident_theory.exact.rationals import format_exact
from ident_theory.models import AffineChange, GaussianMixture, Model
from ident_theory.models.value import ExactArray, plain_numbers

#: Weight, mean and covariance of a component.
Part = tuple[Fraction, ExactArray, ExactArray]
#: Choices of components that are tried for one symmetry.
MAX_CHOICES = 32


@dataclass(frozen=True)
class Candidate:
    """A second model that may have the same law: not proven yet.

    Attributes
    ----------
    name : str
        The construction; one pair of each is enough.
    kind : str
        Key of `ident_theory.exact.verifier.VERIFIERS`.
    data : mapping
        The witness without its claim; the second model stands under ``second``.
    text : str
        How the second model is made.
    """

    name: str
    kind: str
    data: Mapping[str, Any]
    text: str


def plain(value: Any) -> Any:
    """Rationals, arrays and nested sequences of them as JSON."""
    return plain_numbers(np.array(value, dtype=object) if isinstance(value, list | tuple) else value)


def exact(rows: Sequence[Any]) -> ExactArray:
    """Nested lists of numbers as an array of Fraction."""
    array = np.array(rows, dtype=object)
    return np.array([Fraction(v) for v in array.ravel()], dtype=object).reshape(array.shape)


def parts_of(prior: GaussianMixture) -> Iterator[Part]:
    """Its components."""
    return zip(prior.weights_exact, prior.means_exact, prior.covariances_exact, strict=True)


def choices(components: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Components to move and the share of their weight, few and whole ones first."""
    subsets = chain.from_iterable(combinations(components, size) for size in range(1, len(components) + 1))
    yield from ((chosen, Fraction(1)) for chosen in islice(subsets, MAX_CHOICES))
    yield from (((j,), Fraction(1, 2)) for j in components[:MAX_CHOICES])


def flipped(model: Model, chosen: Sequence[int], share: Fraction,
            change: AffineChange) -> tuple[Model, dict[str, Any]]:
    """The model with a share of some components moved by an affine map, and the witness data."""
    prior = model.mixture
    parts: list[Part] = []
    for j, (old, new) in enumerate(zip(parts_of(prior), parts_of(change.carry(prior)), strict=True)):
        w = old[0]
        if j not in chosen or share < 1:
            parts.append((w * (1 - share) if j in chosen else w, *old[1:]))
        if j in chosen:
            parts.append((w * share, *new[1:]))
    second = Model(mixture_of(parts), model.decoder, model.noise)
    return second, {"second": second.plain(), "components": list(chosen), "share": plain(share), **change.plain()}


def mixture_of(parts: Sequence[Part]) -> GaussianMixture:
    """A mixture from weights, means and covariances; those of weight zero are left out."""
    alive = [part for part in parts if part[0]]
    return GaussianMixture([w for w, _, _ in alive], [list(mean) for _, mean, _ in alive],
                           [c.tolist() for _, _, c in alive])


def shifted(model: Model, j: int, moves: Sequence[ExactArray]) -> Candidate:
    """Component j replaced by copies moved along directions that the decoder ignores."""
    prior = model.mixture
    parts: list[Part] = []
    for i, (w, mean, c) in enumerate(parts_of(prior)):
        parts.extend([(w, mean, c)] if i != j else [(w / len(moves), mean + move, c) for move in moves])
    second = Model(mixture_of(parts), model.decoder, model.noise)
    way = " and ".join(f"({', '.join(map(format_exact, move))})" for move in moves)
    how = "moved by" if len(moves) == 1 else "split into halves moved by"
    return Candidate("kernel", "pair.kernel", {"second": second.plain(), "component": j,
                                               "moves": [plain(move) for move in moves]},
                     f"the decoder ignores a direction of z, and component {j} is {how} {way}")


def ignored_direction(model: Model, direction: ExactArray) -> Iterator[Candidate]:
    """Priors that differ along a direction that the decoder ignores."""
    prior = model.mixture
    alive = [j for j, w in enumerate(prior.weights_exact) if w]
    if len(alive) > 1:
        for j in alive[:4]:
            for size in (1, 2):
                yield shifted(model, j, [direction * Fraction(size)])
    yield shifted(model, alive[0], [direction, -direction])
    yield shifted(model, alive[0], [2 * direction, -direction])
