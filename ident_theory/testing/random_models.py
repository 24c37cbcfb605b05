"""Random models in small rationals from a generator `random.Random`, degenerate ones common on purpose."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from random import Random

from ident_theory.models import GaussianMixture, GaussianNoise, LaplaceNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing.matrices import Matrix, Vector, identity, inverse, times, transposed

#: ReLU, leaky, the identity, a fold, and a slope above one.
SLOPES = (Fraction(0), Fraction(0), Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1), Fraction(-1),
          Fraction(2))


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
    for _ in range(20):
        root = [[Fraction(rng.randint(-2, 2)) for _ in range(m)] for _ in range(m)]
        if singular:
            root = [[*row[:-1], Fraction(0)] for row in root]
        if singular or inverse(root) is not None:
            return times(root, transposed(root))
    return identity(m)  # a generator that shrinks gives zeros for ever


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
