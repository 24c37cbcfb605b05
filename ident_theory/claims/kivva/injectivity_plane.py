"""Preimages under small networks by going through all activation patterns: a second route for two latents."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from flint import fmpq, fmpq_mat

from ident_theory.exact.rationals import rational, to_flint
from ident_theory.models import ReLUNetwork


def value(f: ReLUNetwork, z: list[Fraction]) -> tuple[Fraction, ...]:
    """f(z), straight from the definition of a network."""
    hidden = list(z)
    for layer, (weights, biases) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
        hidden = [sum((w * v for w, v in zip(row, hidden, strict=True)), b)
                  for row, b in zip(weights.tolist(), biases.tolist(), strict=True)]
        if layer < f.depth - 1:
            hidden = [v if v > 0 else f.negative_slope_exact * v for v in hidden]
    return tuple(hidden)


def generic_preimages(f: ReLUNetwork, z: list[Fraction]) -> int | None:
    """Number of preimages of f(z) in cells of full column rank; None where z itself lies in a cell of lower rank.

    For z in general position no cell of lower rank takes the value f(z), so this is the number of all preimages.
    """
    x = value(f, z)
    found, full = set(), False
    for affine, shift, signs in _patterns(f):
        if affine.rank() < f.latent_dim:
            continue
        right = fmpq_mat(len(x), 1, [rational(v) for v in x]) - shift
        normal = affine.transpose()
        solution = (normal * affine).inv() * normal * right
        if affine * solution != right or not all(_agrees(form * solution + offset, on) for form, offset, on in signs):
            continue
        point = tuple(str(v) for v in solution.entries())
        full = full or point == tuple(str(rational(v)) for v in z)
        found.add(point)
    return len(found) if full else None


def _patterns(f: ReLUNetwork) -> Iterator[tuple[fmpq_mat, fmpq_mat, list[tuple[fmpq_mat, fmpq_mat, tuple[bool, ...]]]]]:
    """For every activation pattern: the affine map, and which pre-activations it takes to be positive."""
    widths = [len(b) for b in f.biases_exact[:-1]]
    negative = rational(f.negative_slope_exact)
    for pattern in product(*(product((True, False), repeat=width) for width in widths)):
        m = f.latent_dim
        affine = fmpq_mat(m, m, [fmpq(i == j) for i in range(m) for j in range(m)])
        shift = fmpq_mat(m, 1)
        signs = []
        for layer, (weights, biases) in enumerate(zip(f.weights_exact, f.biases_exact, strict=True)):
            affine, shift = to_flint(weights) * affine, to_flint(weights) * shift + to_flint(biases.reshape(-1, 1))
            if layer < f.depth - 1:
                on = pattern[layer]
                signs.append((affine, shift, on))
                size = len(on)
                slopes = fmpq_mat(size, size, [fmpq(1) if i == j and on[i] else negative if i == j else fmpq(0)
                                               for i in range(size) for j in range(size)])
                affine, shift = slopes * affine, slopes * shift
        yield affine, shift, signs


def _agrees(values: fmpq_mat, on: tuple[bool, ...]) -> bool:
    return all((v > 0) == active for v, active in zip(values.entries(), on, strict=True))
