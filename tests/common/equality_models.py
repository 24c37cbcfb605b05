"""Random models in rationals and random ways to write the same model differently."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.errors import CertificateRejected, ModelError
from ident_theory.exact.verifier import verify
from ident_theory.models.change import AffineChange


def accepted(kind: str, model: Any, **data: Any) -> bool:
    """Whether the verifier accepts a proof; models among the data are written as trees."""
    return refusal(kind, model, **data) is None


def refusal(kind: str, model: Any, **data: Any) -> str | None:
    """Why the verifier rejects a proof; None when it accepts."""
    tree = model.plain() if hasattr(model, "plain") else model
    data = {key: item.plain() if hasattr(item, "plain") else item for key, item in data.items()}
    try:
        verify(kind, json.loads(json.dumps(data)), tree)
    except CertificateRejected as error:
        return str(error)
    return None


class Random:
    """Random models with small rational numbers."""

    def __init__(self, seed: int, size: int = 4) -> None:
        self.rng, self.size = np.random.default_rng(seed), size

    def number(self) -> Fraction:
        return Fraction(int(self.rng.integers(-self.size, self.size + 1)), int(self.rng.choice([1, 1, 2, 3])))

    def positive(self) -> Fraction:
        return Fraction(int(self.rng.integers(1, self.size + 1)), int(self.rng.choice([1, 2, 3])))

    def matrix(self, rows: int, columns: int) -> list[list[Fraction]]:
        return [[self.number() for _ in range(columns)] for _ in range(rows)]

    def row(self, size: int) -> list[Fraction]:
        return [self.number() for _ in range(size)]

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def network(self, m: int, n: int, hidden: list[int], slope: Any = 0) -> ReLUNetwork:
        dims = [m, *hidden, n]
        return ReLUNetwork([self.matrix(b, a) for a, b in zip(dims[:-1], dims[1:], strict=True)],
                           [self.row(b) for b in dims[1:]], slope)

    def pieces(self, count: int, n: int) -> PiecewiseAffineMap:
        breaks = sorted({self.number() for _ in range(count - 1)})
        return PiecewiseAffineMap(breaks, self.matrix(len(breaks) + 1, n), self.matrix(len(breaks) + 1, n))

    def covariance(self, m: int, rank: int | None = None) -> list[list[Fraction]]:
        """A covariance of a given rank at most; None: regular."""
        while True:
            root = np.array(self.matrix(m, m), dtype=object)
            if rank is not None:
                root[:, rank:] = Fraction(0)
            square = root @ root.T
            if rank is not None or (square[0, 0] if m == 1 else
                                    square[0, 0] * square[1, 1] - square[0, 1] ** 2 if m == 2 else 1):
                return square.tolist()

    def mixture(self, m: int, count: int, singular: bool = False) -> GaussianMixture:
        weights = [self.positive() for _ in range(count)]
        ranks = [self.pick([None, 0, 1]) if singular else None for _ in range(count)]
        return GaussianMixture([w / sum(weights) for w in weights], self.matrix(count, m),
                               [self.covariance(m, rank) for rank in ranks])

    def change(self, m: int) -> AffineChange:
        while True:
            try:
                return AffineChange(self.matrix(m, m), self.row(m))
            except ModelError:
                continue

    def model(self, m: int, n: int, singular: bool = False) -> Model:
        hidden = self.pick([[3], [2, 2], [4], [3, 2], []])
        f = self.network(m, n, hidden, self.pick([0, 0, Fraction(1, 5), -1, 1]))
        return Model(self.mixture(m, int(self.rng.integers(1, 4)), singular), f)

    def rewritten_network(self, f: ReLUNetwork) -> ReLUNetwork:
        """The same function: units permuted and rescaled, one of them split in two."""
        weights, biases = [w.copy() for w in f.weights_exact], [b.copy() for b in f.biases_exact]
        for l in range(len(weights) - 1):
            order = self.rng.permutation(len(weights[l]))
            scale = np.array([self.positive() for _ in order], dtype=object)
            weights[l], biases[l] = weights[l][order] * scale[:, None], biases[l][order] * scale
            weights[l + 1] = weights[l + 1][:, order] / scale[None, :]
            share = self.number()
            last = weights[l + 1][:, -1:]
            weights[l] = np.vstack([weights[l], weights[l][-1:]])
            biases[l] = np.append(biases[l], biases[l][-1])
            weights[l + 1] = np.hstack([weights[l + 1][:, :-1], share * last, (1 - share) * last])
        return ReLUNetwork(weights, biases, f.negative_slope_exact)

    def rewritten_mixture(self, prior: GaussianMixture) -> GaussianMixture:
        """The same law: components permuted, one of them split, one of weight zero added."""
        order = [*self.rng.permutation(prior.n_components), 0, 0]
        weights = [prior.weights_exact[j] for j in order]
        first = next(i for i, j in enumerate(order) if j == 0)
        weights[first], weights[-2], weights[-1] = weights[first] / 3, weights[first] * 2 / 3, Fraction(0)
        return GaussianMixture(weights, [prior.means_exact[j].tolist() for j in order],
                               [prior.covariances_exact[j].tolist() for j in order])

    def equivalent(self, model: Model, change: AffineChange) -> Model:
        """The model carried by a change of the latent and written differently."""
        f = change.precompose(model.decoder)
        return Model(self.rewritten_mixture(change.carry(model.prior)),
                     self.rewritten_network(f) if isinstance(f, ReLUNetwork) else f, model.noise)


def numbers(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all numbers of a plain tree (also of rationals as texts)."""
    if isinstance(tree, dict):
        return [place for key, item in tree.items() if key not in ("type", "family")
                for place in numbers(item, (*path, key))]
    if isinstance(tree, list):
        return [place for i, item in enumerate(tree) for place in numbers(item, (*path, i))]
    return [path]


def changed(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place; a function is applied to the number there."""
    tree = copy.deepcopy(tree)
    node = tree
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = str(value(Fraction(node[place[-1]]))) if callable(value) else value
    return tree


def mutations(tree: Any) -> Iterator[Any]:
    """The same tree with one entry dropped, doubled, or replaced by another number or by what is none."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield {k: v for k, v in tree.items() if k != key}
            for other in mutations(item):
                yield {**tree, key: other}
        yield {**tree, "more": 1}
    elif isinstance(tree, list):
        for i, item in enumerate(tree):
            yield [*tree[:i], *tree[i + 1:]]
            yield [*tree[:i], item, *tree[i:]]
            for other in mutations(item):
                yield [*tree[:i], other, *tree[i + 1:]]
        yield {str(i): item for i, item in enumerate(tree)}
    else:
        yield from ([], None, 0, -1, 1.5, "1/0", "x", True, "-7/3", 10**400)
