"""Other parameters for the same function and the same mixture, from a generator `random.Random`."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from ident_theory.models import GaussianMixture, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing.matrices import Matrix, Vector, identity
from ident_theory.testing.random_models import number, random_covariance

#: A network as weights, biases and slope, so that it can be edited.
Layers = tuple[list[Matrix], list[Vector], Fraction]


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
