"""Pairs of models that are equivalent by construction, and models one number away from another.

Written with fractions and lists: the second model is never made with the package's own changes of the latent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from random import Random
from typing import Any

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.lattice import Equivalence
from ident_theory.models import LaplaceNoise

Matrix = list[list[Fraction]]
Vector = list[Fraction]
#: A network as weights, biases and slope, so that it can be edited.
Layers = tuple[list[Matrix], list[Vector], Fraction]

KINDS = (Equivalence.EQUAL, Equivalence.PERMUTATION, Equivalence.ORTHOGONAL, Equivalence.MONOMIAL, Equivalence.AFFINE)
#: ReLU, leaky, the identity, a fold, and a slope above one.
SLOPES = (Fraction(0), Fraction(0), Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(-1),
          Fraction(2))


@dataclass(frozen=True)
class Pair:
    """Two models with P_b = h#P_a and f_b = f_a o h^-1 for h(z) = matrix z + shift, an equivalence of this kind."""

    first: Model
    second: Model
    matrix: Matrix
    shift: Vector
    kind: Equivalence
    steps: tuple[str, ...]


def identity(m: int) -> Matrix:
    return [[Fraction(int(i == j)) for j in range(m)] for i in range(m)]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in zip(*b, strict=True)]
            for row in a]


def apply(a: Matrix, v: Sequence[Fraction]) -> Vector:
    return [sum((x * y for x, y in zip(row, v, strict=True)), Fraction(0)) for row in a]


def plus(v: Sequence[Fraction], w: Sequence[Fraction]) -> Vector:
    return [x + y for x, y in zip(v, w, strict=True)]


def transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def inverse(a: Matrix) -> Matrix | None:
    """By Gauss and Jordan; None for a singular matrix."""
    size = len(a)
    rows = [[*row, *unit] for row, unit in zip(a, identity(size), strict=True)]
    for j in range(size):
        pivot = next((i for i in range(j, size) if rows[i][j]), None)
        if pivot is None:
            return None
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [v / rows[j][j] for v in rows[j]]
        for i in range(size):
            if i != j and rows[i][j]:
                rows[i] = [v - rows[i][j] * u for v, u in zip(rows[i], rows[j], strict=True)]
    return [row[size:] for row in rows]


# Models


def number(rng: Random, size: int = 3) -> Fraction:
    """A small rational; zero, one and whole numbers are common."""
    return Fraction(rng.randint(-size, size), rng.choice((1, 1, 1, 2, 3)))


def random_network(rng: Random, m: int, n: int, layers: int | None = None, most: int = 3) -> ReLUNetwork:
    """A network of one to three layers; half of them with dead, doubled, cancelling or parallel units and folds."""
    layers = rng.choice((1, 2, 2, 2, 2, 3)) if layers is None else layers
    easy = rng.random() < 0.5
    low = m if easy and m <= most else 1
    widths = [m, *(rng.randint(low, most if layers == 2 else max(low, 2)) for _ in range(layers - 1)), n]
    entry: Callable[[], Fraction] = (lambda: Fraction(rng.randint(-1, 1))) if rng.random() < 0.4 else (
        lambda: number(rng))
    weights = [[[entry() or entry() if easy else entry() for _ in range(a)] for _ in range(b)]
               for a, b in pairwise(widths)]
    biases = [[entry() for _ in range(b)] for b in widths[1:]]
    if layers > 1 and not easy:
        _trouble(rng, weights, biases, entry)
    return ReLUNetwork(weights, biases, rng.choice(SLOPES[3:] if easy and rng.random() < 0.7 else SLOPES))


def _trouble(rng: Random, weights: list[Matrix], biases: list[Vector], entry: Callable[[], Fraction]) -> None:
    rows = len(weights[0])
    row = rng.randrange(rows)
    kind = rng.choice(("zero row", "copy", "opposite", "zero column", "rank", "kink through zero"))
    if kind == "zero row":
        weights[0][row] = [Fraction(0) for _ in weights[0][row]]
    elif kind in ("copy", "opposite") and rows > 1:
        sign, other = 1 if kind == "copy" else -1, (row + 1) % rows
        weights[0][other], biases[0][other] = [sign * v for v in weights[0][row]], sign * biases[0][row]
        if rng.random() < 0.5:
            for last in weights[1]:
                last[other] = -last[row]
    elif kind == "zero column":
        for last in weights[1]:
            last[row] = Fraction(0)
    elif kind == "rank":
        weights[0] = [[k * v for v in weights[0][0]] for k in (entry() for _ in range(rows))]
    elif kind == "kink through zero":
        biases[0] = [Fraction(0) for _ in biases[0]]


def random_map(rng: Random, n: int) -> PiecewiseAffineMap:
    """A map of the line, continuous or not, with flat pieces and equal neighbours now and then."""
    breaks = sorted({number(rng) for _ in range(rng.randint(0, 4))})
    slopes = [[Fraction(rng.randint(-2, 2)) for _ in range(n)] for _ in range(len(breaks) + 1)]
    intercepts = [[number(rng) for _ in range(n)] for _ in slopes]
    if rng.random() < 0.6:
        for k, t in enumerate(breaks):
            intercepts[k + 1] = [c + (a - b) * t for c, a, b in zip(intercepts[k], slopes[k], slopes[k + 1],
                                                                    strict=True)]
    return PiecewiseAffineMap(breaks, slopes, intercepts)


def random_covariance(rng: Random, m: int, singular: bool) -> Matrix:
    """A Gram matrix of small whole numbers; of rank below m when `singular`."""
    shape = rng.choice(("full", "diagonal", "scalar"))
    if shape != "full":
        diagonal = [Fraction(rng.choice((1, 1, 2, 4, 9)), rng.choice((1, 1, 2, 4))) for _ in range(m)]
        if shape == "scalar":
            diagonal = diagonal[:1] * m
        if singular:
            diagonal[rng.randrange(m)] = Fraction(0)
        return [[d * u for u in row] for d, row in zip(diagonal, identity(m), strict=True)]
    while True:
        root = [[Fraction(rng.randint(-2, 2)) for _ in range(m)] for _ in range(m)]
        if singular:
            root = [[*row[:-1], Fraction(0)] for row in root]
        if singular or inverse(root) is not None:
            return times(root, transposed(root))


def random_prior(rng: Random, m: int, singular: bool | None = None) -> GaussianMixture:
    """One to four components; repeated ones, zero weights, symmetric sets of means and singular ones now and then."""
    count = rng.choice((1, 2, 2, 3, 3, 4))
    singular = rng.random() < 0.15 if singular is None else singular
    means = [[number(rng) for _ in range(m)] for _ in range(count)]
    if rng.random() < 0.25:
        covariances = [random_covariance(rng, m, False)] * count
    else:
        covariances = [random_covariance(rng, m, singular and rng.random() < 0.6) for _ in range(count)]
    weights = [Fraction(rng.randint(1, 4)) for _ in range(count)]
    special = rng.choice(("none", "none", "repeated", "zero weight", "symmetric"))
    if special == "repeated" and count > 1:
        means[1], covariances[1] = means[0], covariances[0]
    elif special == "zero weight" and count > 1:
        weights[rng.randrange(count)] = Fraction(0)
    elif special == "symmetric":
        means = [*means, *([-v for v in mean] for mean in means)]
        covariances, weights = covariances * 2, weights * 2
    total = sum(weights)
    return GaussianMixture([w / total for w in weights], means, covariances)


def random_noise(rng: Random, n: int) -> GaussianNoise | LaplaceNoise | None:
    """No noise half of the time; else Gaussian noise of each form, or Laplace noise."""
    kind = rng.choice(("none", "none", "none", "scalar", "diagonal", "full", "laplace"))
    if kind == "none":
        return None
    if kind == "scalar":
        return GaussianNoise(Fraction(1, 4))
    if kind == "laplace":
        return LaplaceNoise(Fraction(1, 3))
    if kind == "diagonal":
        return GaussianNoise([Fraction(1, i + 2) for i in range(n)])
    return GaussianNoise(covariance=random_covariance(rng, n, False))


def random_model(rng: Random, m: int | None = None, n: int | None = None, *, singular: bool | None = None,
                 most: int = 3) -> Model:
    """A model of at most three latents; n >= m mostly."""
    m = rng.choice((1, 1, 2, 2, 2, 3)) if m is None else m
    n = (rng.randint(m, m + 1) if rng.random() < 0.85 else rng.randint(1, m)) if n is None else n
    decoder = random_map(rng, n) if m == 1 and rng.random() < 0.3 else random_network(rng, m, n, most=most)
    return Model(random_prior(rng, m, singular), decoder, random_noise(rng, n))


# Changes of the latent


def random_change(rng: Random, m: int, kind: Equivalence) -> tuple[Matrix, Vector]:
    """An invertible affine map of a kind; nothing keeps it from being of a finer one by accident."""
    shift = [number(rng) for _ in range(m)]
    zero = [Fraction(0)] * m
    order = rng.sample(range(m), m)
    permutation = [identity(m)[i] for i in order]
    if kind is Equivalence.EQUAL:
        return identity(m), zero
    if kind is Equivalence.PERMUTATION:
        return permutation, zero
    if kind is Equivalence.ORTHOGONAL:
        a = [[rng.choice((-1, 1)) * v for v in row] for row in permutation]
        if m > 1 and rng.random() < 0.8:
            i, j = rng.sample(range(m), 2)
            p, q, r = rng.choice(((3, 4, 5), (5, 12, 13), (8, 15, 17)))
            turn = identity(m)
            turn[i][i] = turn[j][j] = Fraction(p, r)
            turn[i][j], turn[j][i] = Fraction(-q, r), Fraction(q, r)
            a = times(turn, a)
        return a, zero
    if kind is Equivalence.MONOMIAL:
        scales = [rng.choice((-1, 1)) * Fraction(rng.randint(1, 5), rng.randint(1, 4)) for _ in range(m)]
        return [[s * v for v in row] for s, row in zip(scales, permutation, strict=True)], shift
    while True:
        a = [[number(rng) for _ in range(m)] for _ in range(m)]
        if inverse(a) is not None:
            return a, shift


def is_of_kind(a: Matrix, b: Vector, kind: Equivalence) -> bool:
    """Whether h(z) = a z + b is of a kind of the lattice."""
    m = len(a)
    if kind is Equivalence.EQUAL:
        return a == identity(m) and not any(b)
    if kind is Equivalence.PERMUTATION:
        return not any(b) and sorted(map(tuple, a)) == sorted(map(tuple, identity(m)))
    if kind is Equivalence.ORTHOGONAL:
        return not any(b) and times(transposed(a), a) == identity(m)
    if kind is Equivalence.MONOMIAL:
        return all(sum(map(bool, row)) == 1 for row in a)
    return inverse(a) is not None


def carried(prior: GaussianMixture, a: Matrix, b: Vector) -> dict[tuple[Any, ...], Fraction]:
    """The law of h(Z) as weights of (mean, covariance), reduced."""
    law: dict[tuple[Any, ...], Fraction] = {}
    for w, mean, covariance in zip(prior.weights_exact, prior.means_exact.tolist(),
                                   prior.covariances_exact.tolist(), strict=True):
        key = (*plus(apply(a, mean), b), *chain(*times(times(a, covariance), transposed(a))))
        law[key] = law.get(key, Fraction(0)) + w
    return {key: w for key, w in law.items() if w}


def changed(model: Model, a: Matrix, b: Vector) -> Model:
    """The model with prior h#P and decoder f o h^-1. No mass on jumps of the decoder where h turns the line round."""
    prior, back = model.mixture, inverse(a)
    assert back is not None
    moved = GaussianMixture(
        prior.weights_exact.tolist(), [plus(apply(a, mean), b) for mean in prior.means_exact.tolist()],
        [times(times(a, c), transposed(a)) for c in prior.covariances_exact.tolist()])
    if isinstance(model.decoder, ReLUNetwork):
        weights, biases, slope = layers_of(model.decoder)
        lead = times(weights[0], back)
        start = [c - v for c, v in zip(biases[0], apply(lead, b), strict=True)]
        decoder: Any = ReLUNetwork([lead, *weights[1:]], [start, *biases[1:]], slope)
    else:
        s, t, step = a[0][0], b[0], 1 if a[0][0] > 0 else -1
        f = model.decoder
        decoder = PiecewiseAffineMap(
            [s * v + t for v in f.breakpoints_exact][::step], [[v / s for v in row] for row in f.slopes_exact][::step],
            [[c - v * t / s for c, v in zip(cs, vs, strict=True)]
             for cs, vs in zip(f.intercepts_exact, f.slopes_exact, strict=True)][::step])
    return Model(moved, decoder, model.noise)


# Changes of the parameters that keep the function


def layers_of(network: ReLUNetwork) -> Layers:
    return ([w.tolist() for w in network.weights_exact], [b.tolist() for b in network.biases_exact],
            network.negative_slope_exact)


def permute_units(rng: Random, net: Layers) -> Layers:
    weights, biases, slope = net
    k = rng.randrange(len(weights) - 1)
    order = rng.sample(range(len(biases[k])), len(biases[k]))
    weights[k], biases[k] = [weights[k][i] for i in order], [biases[k][i] for i in order]
    weights[k + 1] = [[row[i] for i in order] for row in weights[k + 1]]
    return weights, biases, slope


def rescale_units(rng: Random, net: Layers) -> Layers:
    weights, biases, slope = net
    k = rng.randrange(len(weights) - 1)
    sizes = [Fraction(rng.randint(1, 5), rng.randint(1, 5)) for _ in biases[k]]
    weights[k] = [[s * v for v in row] for s, row in zip(sizes, weights[k], strict=True)]
    biases[k] = [s * v for s, v in zip(sizes, biases[k], strict=True)]
    weights[k + 1] = [[v / s for v, s in zip(row, sizes, strict=True)] for row in weights[k + 1]]
    return weights, biases, slope


def split_unit(rng: Random, net: Layers) -> Layers:
    weights, biases, slope = net
    k = rng.randrange(len(weights) - 1)
    i, part = rng.randrange(len(biases[k])), Fraction(rng.randint(-2, 3), 2)
    weights[k], biases[k] = [*weights[k], weights[k][i]], [*biases[k], biases[k][i]]
    weights[k + 1] = [[*(part * v if j == i else v for j, v in enumerate(row)), (1 - part) * row[i]]
                      for row in weights[k + 1]]
    return weights, biases, slope


def add_dead_unit(rng: Random, net: Layers) -> Layers:
    """A unit that nothing reads, or one that is constant and taken off the next bias."""
    weights, biases, slope = net
    k = rng.randrange(len(weights) - 1)
    unread, width = rng.random() < 0.5, len(weights[k][0])
    row = [number(rng) if unread else Fraction(0) for _ in range(width)]
    bias = number(rng)
    value = bias if bias > 0 else slope * bias
    out = [Fraction(0) if unread else number(rng) for _ in weights[k + 1]]
    weights[k], biases[k] = [*weights[k], row], [*biases[k], bias]
    weights[k + 1] = [[*r, o] for r, o in zip(weights[k + 1], out, strict=True)]
    biases[k + 1] = [b - o * value for b, o in zip(biases[k + 1], out, strict=True)]
    return weights, biases, slope


def add_cancelling_units(rng: Random, net: Layers) -> Layers:
    weights, biases, slope = net
    k = rng.randrange(len(weights) - 1)
    row, bias = [number(rng) for _ in weights[k][0]], number(rng)
    scale = Fraction(rng.randint(1, 3))
    out = [number(rng) for _ in weights[k + 1]]
    weights[k] = [*weights[k], row, [scale * v for v in row]]
    biases[k] = [*biases[k], bias, scale * bias]
    weights[k + 1] = [[*r, o, -o / scale] for r, o in zip(weights[k + 1], out, strict=True)]
    return weights, biases, slope


def deepen(rng: Random, net: Layers) -> Layers:
    """A layer more that passes its input through: s(t) - s(-t) = (1 + a) t."""
    weights, biases, slope = net
    if slope == -1:
        return net
    k = rng.randrange(len(weights))
    width = len(weights[k][0])
    both = identity(width) + [[-v for v in row] for row in identity(width)]
    after = [[*(v / (1 + slope) for v in row), *(-v / (1 + slope) for v in row)] for row in weights[k]]
    return ([*weights[:k], both, after, *weights[k + 1:]], [*biases[:k], [Fraction(0)] * (2 * width), *biases[k:]],
            slope)


def as_relu(rng: Random, net: Layers) -> Layers:
    """The same function with slope 0, from s(t) = max(t, 0) - a max(-t, 0)."""
    weights, biases, slope = net
    new_weights, new_biases = [], []
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        read = w if k == 0 else [[*row, *(-slope * v for v in row)] for row in w]
        last = k == len(weights) - 1
        new_weights.append(read if last else [*read, *([-v for v in row] for row in read)])
        new_biases.append(b if last else [*b, *(-v for v in b)])
    return new_weights, new_biases, Fraction(0)


REWRITES = {function.__name__: function for function in (
    permute_units, rescale_units, split_unit, add_dead_unit, add_cancelling_units, deepen, as_relu)}


def rewritten(rng: Random, network: ReLUNetwork, steps: int, most: int = 8) -> tuple[ReLUNetwork, tuple[str, ...]]:
    """The same function written otherwise; at most `most` hidden units."""
    net, names = layers_of(network), []
    for _ in range(steps):
        name = rng.choice([*REWRITES]) if len(net[0]) > 1 else "deepen"
        copy = [[row[:] for row in w] for w in net[0]], [b[:] for b in net[1]], net[2]
        new = REWRITES[name](rng, copy)
        if sum(map(len, new[1][:-1])) <= most:
            net = new
            names.append(name)
    return ReLUNetwork(*net), tuple(names)


def split_pieces(rng: Random, f: PiecewiseAffineMap) -> PiecewiseAffineMap:
    """A map of the line with a breakpoint more at which nothing happens."""
    t = number(rng, 5)
    breaks = f.breakpoints_exact.tolist()
    if t in breaks:
        return f
    k = sum(v < t for v in breaks)
    again = [list(range(len(breaks) + 1))[:k + 1], list(range(len(breaks) + 1))[k:]]
    rows = [*again[0], *again[1]]
    return PiecewiseAffineMap([*breaks[:k], t, *breaks[k:]], [f.slopes_exact[r].tolist() for r in rows],
                              [f.intercepts_exact[r].tolist() for r in rows])


def reshuffled(rng: Random, prior: GaussianMixture, steps: int) -> tuple[GaussianMixture, tuple[str, ...]]:
    """The same mixture written otherwise: components in another order, split, or added with weight zero."""
    parts = list(zip(prior.weights_exact, prior.means_exact.tolist(), prior.covariances_exact.tolist(), strict=True))
    names = []
    for _ in range(steps):
        name = rng.choice(("permute components", "split component", "add weightless component"))
        if name == "permute components":
            rng.shuffle(parts)
        elif name == "split component":
            w, mean, covariance = parts.pop(rng.randrange(len(parts)))
            share = Fraction(rng.randint(1, 4), 5)
            parts += [(share * w, mean, covariance), ((1 - share) * w, mean, covariance)]
        else:
            m = prior.latent_dim
            parts.append((Fraction(0), [number(rng) for _ in range(m)], random_covariance(rng, m, False)))
        names.append(name)
    weights, means, covariances = zip(*parts, strict=True)
    return GaussianMixture(list(weights), list(means), list(covariances)), tuple(names)


def equivalent_pair(rng: Random, first: Model | None = None, kind: Equivalence | None = None, steps: int | None = None,
                    **options: Any) -> Pair:
    """A model and the same model behind an affine change and rewritten parameters."""
    first = random_model(rng, **options) if first is None else first
    kind = rng.choice(KINDS) if kind is None else kind
    m = first.latent_dim
    a, b = random_change(rng, m, kind)
    if (isinstance(first.decoder, PiecewiseAffineMap) and a[0][0] < 0
            and any(not any(chain(*c)) for c in first.mixture.covariances_exact.tolist())):
        a = [[-a[0][0]]]
    second = changed(first, a, b)
    steps = rng.randint(0, 3) if steps is None else steps
    prior, names = reshuffled(rng, second.mixture, steps)
    if isinstance(second.decoder, ReLUNetwork):
        decoder, more = rewritten(rng, second.decoder, steps)
    else:
        decoder, more = (split_pieces(rng, second.decoder), ("split pieces",)) if steps else (second.decoder, ())
    return Pair(first, Model(prior, decoder, second.noise), a, b, kind, names + more)


# One number away


def perturbed(rng: Random, model: Model, size: Fraction | None = None) -> tuple[Model, str]:
    """The model with one number changed: a mean, an entry of a covariance, a share of weight, a number of the decoder.

    A share of weight moves from one component to another, for weights sum to one.
    """
    size = rng.choice((Fraction(1), Fraction(1, 7), Fraction(1, 1000), Fraction(1, 10**9))) if size is None else size
    size *= rng.choice((-1, 1))
    prior, decoder = model.mixture, model.decoder
    weights, means, covariances = (prior.weights_exact.tolist(), prior.means_exact.tolist(),
                                   prior.covariances_exact.tolist())
    m = prior.latent_dim
    part = rng.choice(("weights", "means", "covariances", "decoder", "decoder", "decoder"))
    if part == "weights" and len(weights) > 1:
        i, j = rng.sample(range(len(weights)), 2)
        share = min(abs(size), weights[i] / 2)
        weights[i], weights[j] = weights[i] - share, weights[j] + share
        where = f"weights {i} -> {j}"
    elif part == "covariances":
        j, i = rng.randrange(len(means)), rng.randrange(m)
        covariances[j][i][i] += abs(size)
        where = f"covariances[{j}][{i}][{i}]"
    elif part == "decoder" and isinstance(decoder, ReLUNetwork):
        net = layers_of(decoder)
        k = rng.randrange(len(net[0]))
        i = rng.randrange(len(net[1][k]))
        if rng.random() < 0.4:
            net[1][k][i] += size
            where = f"biases[{k}][{i}]"
        else:
            c = rng.randrange(len(net[0][k][i]))
            net[0][k][i][c] += size
            where = f"weights[{k}][{i}][{c}]"
        decoder = ReLUNetwork(*net)
    elif part == "decoder":
        assert isinstance(decoder, PiecewiseAffineMap)
        slopes, intercepts = decoder.slopes_exact.tolist(), decoder.intercepts_exact.tolist()
        table, name = rng.choice(((slopes, "slopes"), (intercepts, "intercepts")))
        k, i = rng.randrange(len(table)), rng.randrange(len(table[0]))
        table[k][i] += size
        where = f"{name}[{k}][{i}]"
        decoder = PiecewiseAffineMap(decoder.breakpoints_exact.tolist(), slopes, intercepts)
    else:
        j, i = rng.randrange(len(means)), rng.randrange(m)
        means[j][i] += size
        where = f"means[{j}][{i}]"
    return Model(GaussianMixture(weights, means, covariances), decoder, model.noise), f"{where} by {size}"
