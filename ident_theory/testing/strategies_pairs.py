"""Pairs of models that are equivalent by construction, and models one number away from another.

Written with fractions and lists: the second model is never made with the package's own changes of the latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from inspect import signature
from itertools import chain
from random import Random
from typing import Any

from hypothesis import strategies as st

from ident_theory.conditions.lattice import Equivalence
from ident_theory.errors import InputError
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing import options
from ident_theory.testing.matrices import Matrix, Vector, apply, identity, inverse, plus, times, transposed
from ident_theory.testing.options import Span
from ident_theory.testing.random_models import number, random_model
from ident_theory.testing.rewriting import layers_of, reshuffled, rewritten, split_pieces
from ident_theory.testing.strategies import models

KINDS = (Equivalence.EQUAL, Equivalence.PERMUTATION, Equivalence.ORTHOGONAL, Equivalence.MONOMIAL, Equivalence.AFFINE)


@dataclass(frozen=True)
class EquivalentPair:
    """Two models with P_b = h#P_a and f_b = f_a o h^-1 for h(z) = matrix z + shift, an equivalence of this kind.

    Attributes
    ----------
    first, second : Model
    matrix, shift : lists of Fraction
    up_to : Equivalence
        What h was drawn as; by accident it may be of a finer kind.
    steps : tuple of str
        How the second model was written otherwise afterwards.
    """

    first: Model
    second: Model
    matrix: Matrix
    shift: Vector
    up_to: Equivalence
    steps: tuple[str, ...]

    @property
    def change(self) -> AffineChange:
        """The map h."""
        return AffineChange(self.matrix, self.shift)


def equivalent_pairs(up_to: str | Equivalence | None = None, latent_dim: Span = (1, 2),
                     observed_dim: Span | None = None, *, rewrite: bool = True,
                     **options_of_models: Any) -> st.SearchStrategy[EquivalentPair]:
    """Pairs of models that are equivalent by construction, with the map between their latents.

    Parameters
    ----------
    up_to : Equivalence or str, optional
        The kind of map: "equal", "permutation", "orthogonal", "monomial" or "affine"; by default any of these.
    latent_dim, observed_dim : int or (int, int)
        Numbers m and n, or the least and the largest; by default n is m or m + 1.
    rewrite : bool
        Write the second model otherwise as well: units permuted, rescaled, split, added where they do nothing, layers
        added; components permuted, split, added with weight zero.
    options_of_models
        Further arguments of `models`; numbers are always rationals.

    Raises
    ------
    InputError
        For arguments that are none of these.
    """
    where = "equivalent_pairs"
    kinds = KINDS if up_to is None else (options.member(where, "up_to", up_to, KINDS),)
    steps = None if options.flag(where, "rewrite", rewrite) else 0
    if "exact" in options_of_models:
        raise InputError(f"{where}: exact: expected nothing, for the pairs are exact, found "
                         f"{options_of_models['exact']!r}")
    known = [name for name in signature(models).parameters if name not in ("latent_dim", "observed_dim", "exact")]
    if unknown := [name for name in options_of_models if name not in known]:
        raise InputError(f"{where}: {unknown[0]}: expected arguments of models among {', '.join(known)}, found "
                         f"{unknown[0]}={options_of_models[unknown[0]]!r}")
    generators = st.randoms(use_true_random=False)
    return st.builds(lambda first, kind, rng: equivalent_pair(rng, first, kind, steps),
                     models(latent_dim, observed_dim, **options_of_models), st.sampled_from(kinds), generators)


def perturbed_models(of: st.SearchStrategy[Model] | None = None, size: Any = None) -> st.SearchStrategy[
        tuple[Model, Model, str]]:
    """Models, the same with one number changed, and which one by how much.

    Parameters
    ----------
    of : strategy, optional
        Of models; by default `models()`.
    size : number, optional
        By how much, not zero; by default something between 1 and 1e-9. The law may be the same all the same: the
        number may belong to a unit that nothing reads, or to a component without weight.

    Raises
    ------
    InputError
        For arguments that are none of these, or models without a Gaussian mixture and a decoder with numbers.
    """
    where = "perturbed_models"
    step = None if size is None else options.number(where, "size", size)
    if step == 0:
        raise InputError(f"{where}: size: expected a number other than 0, found {size!r}")
    known = models() if of is None else options.instance(where, "of", of, st.SearchStrategy)

    def build(model: Any, rng: Random) -> tuple[Model, Model, str]:
        options.instance(where, "of", model, Model)
        options.instance(where, "of: prior", model.prior, GaussianMixture)
        options.instance(where, "of: decoder", model.decoder, ReLUNetwork, PiecewiseAffineMap)
        return model, *perturbed(rng, model, step)

    return st.builds(build, known, st.randoms(use_true_random=False))


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
    for _ in range(20):
        a = [[number(rng) for _ in range(m)] for _ in range(m)]
        if inverse(a) is not None:
            return a, shift
    return identity(m), shift  # a generator that shrinks gives zeros for ever


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
        assert isinstance(f, PiecewiseAffineMap)
        decoder = PiecewiseAffineMap(
            [s * v + t for v in f.breakpoints_exact][::step], [[v / s for v in row] for row in f.slopes_exact][::step],
            [[c - v * t / s for c, v in zip(cs, vs, strict=True)]
             for cs, vs in zip(f.intercepts_exact, f.slopes_exact, strict=True)][::step])
    return Model(moved, decoder, model.noise)


def equivalent_pair(rng: Random, first: Model | None = None, kind: Equivalence | None = None, steps: int | None = None,
                    **options: Any) -> EquivalentPair:
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
    more: tuple[str, ...] = ()
    decoder = second.decoder
    if isinstance(decoder, ReLUNetwork):
        decoder, more = rewritten(rng, decoder, steps)
    elif isinstance(decoder, PiecewiseAffineMap) and steps:
        decoder, more = split_pieces(rng, decoder), ("split pieces",)
    return EquivalentPair(first, Model(prior, decoder, second.noise), a, b, kind, names + more)


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
        i = rng.choice([k for k, w in enumerate(weights) if w])
        j = rng.choice([k for k in range(len(weights)) if k != i])
        size = min(abs(size), weights[i] / 2)
        weights[i], weights[j] = weights[i] - size, weights[j] + size
        where = f"weights {i} -> {j}"
    elif part == "covariances":
        j, i = rng.randrange(len(means)), rng.randrange(m)
        size = abs(size)
        covariances[j][i][i] += size
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
