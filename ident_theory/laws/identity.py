"""Whether two models with one latent have the same law, and whether an affine change of the latent explains it.

Everything is decided in rationals. By deconvolution the noise plays no part: it is the same in both models and
its characteristic function has no zeros, so the laws of x agree exactly when those of f(z) do.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import fmpq

from ident_theory.errors import InputError, UnsupportedError
from ident_theory.geometry.affine import ONE, ZERO, AffineForm, affine_form
from ident_theory.geometry.line import LinePieces, Vector, line_pieces
from ident_theory.laws.line_terms import Component, components_of
from ident_theory.models.model import Model, require_law
from ident_theory.models.noise import GaussianNoise, Noise

#: A rational as numerator and denominator in Python integers, which hash many times faster than flint's rationals.
Plain = tuple[int, int]
#: Rational coefficients of named things.
Sums = dict[tuple[Any, ...], fmpq]


class Relation(enum.StrEnum):
    """How two models with the same noise are related; the first that holds."""

    SAME = "same function and prior"
    AFFINE = "affinely equivalent"
    LAW = "equal in law, not affinely equivalent"
    DIFFERENT = "different laws"


@dataclass(frozen=True)
class Comparison:
    r"""What `compare` found.

    Attributes
    ----------
    relation : Relation
    scale, shift : Fraction or None
        For SAME and AFFINE the change of latent h(z) = scale z + shift that carries the first model to the
        second, :math:`f_b = f_a \circ h^{-1}` and :math:`P_b = h_\# P_a`; of two such h the increasing one.
        None for LAW and DIFFERENT, and for AFFINE when every such h has an irrational scale (which only
        happens for a constant f, or one with a single step between two constants).
    """

    relation: Relation
    scale: Fraction | None = None
    shift: Fraction | None = None


def law_key(pieces: LinePieces, components: Sequence[Component]) -> Hashable:
    r"""What the law of f(Z) consists of, for Z under a Gaussian mixture: equal keys mean equal laws.

    The key is a pair of sets. The first describes the continuous part. On every line of :math:`R^n` that carries
    some (for n = 1 the only one) the density is, between breakpoints, a sum of Gaussian densities
    :math:`w N(a\mu + c, a^2\tau^2)`; recorded is where the weight of which Gaussian changes and by how much,
    weights of equal Gaussians summed and changes of zero dropped. Gaussians are linearly independent on every
    interval, so the densities are equal exactly when these sets are. The second set describes the atoms: for
    each location the mass as :math:`q + \sum_i c_i \Phi(t_i)` with rational q, :math:`c_i \ne 0` and
    :math:`t_i^2`, :math:`t_i > 0`, after :math:`\Phi(-t) = 1 - \Phi(t)`.

    **Accuracy.** Exact, and equal keys always mean equal laws. Unequal keys mean unequal laws

    - when there is at most one atom: as formal sums, too, its mass is 1 minus that of the continuous part;
    - with more atoms, unless the difference of the two formal sums at some location is a sum
      :math:`q + \sum_i c_i \Phi(t_i)` that vanishes as a number. Write it
      :math:`A + (2\pi)^{-1/2} \sum_i c_i \int_0^{t_i} e^{-s^2/2} ds` with rational A. If A = 0, all
      :math:`c_i` vanish (the integrals are values of E-functions and linearly independent over the algebraic
      numbers, by the theorem of Siegel and Shidlovskii as refined by Beukers). For other A it would express
      :math:`\sqrt{2\pi}` by such integrals; no case is known, but none is excluded by proof. The masses of all
      atoms together never decide: their formal sum follows from the continuous part.

    Parameters
    ----------
    pieces : LinePieces
        The decoder f, any n.
    components : sequence of Component
        The prior; variance 0 is a point mass. Weights of zero and repeated components are allowed.

    Returns
    -------
    Hashable
        Compare with ``==``; its hash is no identity.
    """
    density: Sums = {}
    atoms: Sums = {}
    add_line_law(density, atoms, pieces, components)
    return nonzero(density), nonzero(atoms)


def add_line_law(density: Sums, atoms: Sums, pieces: LinePieces, components: Sequence[Component]) -> None:
    """Add the law of f(Z) to the two formal sums that `law_key` describes.

    The names in `density` are (line, mean, variance, place where the weight changes), with None for minus infinity;
    those in `atoms` are (location,) for a rational mass and (location, t^2) for Phi(t).
    """
    for k, (slope, intercept) in enumerate(zip(pieces.slopes, pieces.intercepts, strict=True)):
        left, right = pieces.ends(k)
        axis = next((i for i, a in enumerate(slope) if a), None)
        line = None if axis is None else line_name(slope, intercept, axis)
        location = plain_vector(intercept)
        for component in components:
            if component.variance == 0:
                if pieces.contains(k, component.mean):
                    add_term(atoms, (plain_vector(pieces.value(k, component.mean)),), component.weight)
            elif axis is None:
                _add_mass(atoms, location, left, right, component)
            else:
                _add_image(density, line, slope[axis], intercept[axis], (left, right), component)


def plain(value: fmpq) -> Plain:
    """A rational as a name."""
    return int(value.p), int(value.q)


def plain_vector(vector: Iterable[fmpq]) -> tuple[Plain, ...]:
    """Rationals as a name."""
    return tuple([plain(v) for v in vector])


def line_name(slope: Vector, intercept: Vector, axis: int) -> tuple[tuple[Plain, ...], tuple[Plain, ...]]:
    """The line that carries a piece: direction with 1, and foot with 0, in coordinate `axis`."""
    direction = [a / slope[axis] for a in slope]
    foot = [c - intercept[axis] * u for c, u in zip(intercept, direction, strict=True)]
    return plain_vector(direction), plain_vector(foot)


def _add_image(density: Sums, line: Hashable, a: fmpq, c: fmpq,
               ends: tuple[fmpq | None, fmpq | None], component: Component) -> None:
    """Record where the image of a component under one piece begins and where it ends, on its line."""
    start, end = (None if z is None else a * z + c for z in (ends if a > 0 else ends[::-1]))
    gaussian = (line, plain(a * component.mean + c), plain(a * a * component.variance))
    add_term(density, (*gaussian, None if start is None else plain(start)), component.weight)
    if end is not None:
        add_term(density, (*gaussian, plain(end)), -component.weight)


def _add_mass(atoms: Sums, location: Hashable, left: fmpq | None, right: fmpq | None, component: Component) -> None:
    """Record the mass that a component gives to a flat piece."""
    if right is None:
        add_term(atoms, (location,), component.weight)
    else:
        _add_below(atoms, location, right, component, component.weight)
    if left is not None:
        _add_below(atoms, location, left, component, -component.weight)


def _add_below(atoms: Sums, location: Hashable, end: fmpq, component: Component, weight: fmpq) -> None:
    """Add weight times P(Z < end)."""
    gap = end - component.mean
    if gap == 0:
        add_term(atoms, (location,), weight / 2)
        return
    if gap < 0:
        add_term(atoms, (location,), weight)
        weight = -weight
    add_term(atoms, (location, plain(gap * gap / component.variance)), weight)


def add_term(sums: Sums, name: tuple[Any, ...], value: fmpq) -> None:
    """Add a coefficient to a formal sum."""
    sums[name] = sums.get(name, ZERO) + value


def nonzero(sums: Sums) -> frozenset[tuple[tuple[Any, ...], Plain]]:
    """A formal sum as a value: its names with coefficients other than zero."""
    return frozenset([(name, plain(value)) for name, value in sums.items() if value])


def compare(a: Model, b: Model) -> Comparison:
    r"""Decide how two models with one latent and the same noise are related.

    Affine equivalence is that of the functions on the whole line, also where the prior has no mass. A constant
    f satisfies :math:`f \circ h^{-1} = f` for every h, so there the priors alone decide. Values at jumps of f
    without prior mass are ignored.

    **Accuracy.** Exact, up to what `law_key` says on unequal keys with two or more atoms.

    Raises
    ------
    UnsupportedError
        When a model has more than one latent.
    InputError
        When the models differ in the dimension of x or in their noise, or one is no Model.
    """
    for name, model in (("first", a), ("second", b)):
        if not isinstance(model, Model):
            raise InputError(f"compare: expected two models, the {name} is of type {type(model).__name__}")
        require_law(model, "compare")
        if model.latent_dim != 1:
            raise UnsupportedError(f"compare: available for one latent, the {name} model has {model.latent_dim}; "
                                   "compare laws by their log densities instead")
    require_one_noise(a, b, "compare")
    return compare_parts(line_pieces(a.decoder), components_of(a.mixture), line_pieces(b.decoder),
                         components_of(b.mixture))


def compare_parts(pieces_a: LinePieces, components_a: Sequence[Component], pieces_b: LinePieces,
                  components_b: Sequence[Component]) -> Comparison:
    """Decide how two pairs of decoder and prior are related; see `compare`.

    Raises
    ------
    InputError
        When the decoders differ in the dimension of their values, or a prior has no component.
    """
    if pieces_a.observed_dim != pieces_b.observed_dim:
        raise InputError(f"compare_parts: expected decoders with values of one dimension, got "
                         f"{pieces_a.observed_dim} and {pieces_b.observed_dim}")
    prior_a, prior_b = _reduced(components_a), _reduced(components_b)
    if not prior_a or not prior_b:
        raise InputError("compare_parts: expected priors with at least one component of positive weight")
    if pieces_a == pieces_b and prior_a == prior_b:
        return Comparison(Relation.SAME, Fraction(1), Fraction(0))
    form_a, form_b = affine_form(pieces_a), affine_form(pieces_b)
    if form_a.form == form_b.form:
        if form_a.stretchable:
            found = _stretch(pieces_a, prior_a, form_a, pieces_b, prior_b, form_b)
            if found is not None:
                return found
        else:
            for scale, shift in _changes(form_a, form_b):
                if _carries(pieces_a, prior_a, prior_b, scale, shift):
                    return _affine(scale, shift)
    equal = law_key(pieces_a, components_a) == law_key(pieces_b, components_b)
    return Comparison(Relation.LAW if equal else Relation.DIFFERENT)


#: A mixture as weights of (mean, variance).
Prior = dict[tuple[fmpq, fmpq], fmpq]


def _reduced(components: Sequence[Component]) -> Prior:
    weights: Prior = {}
    for c in components:
        if c.weight:
            weights[c.mean, c.variance] = weights.get((c.mean, c.variance), ZERO) + c.weight
    return weights


def _changes(a: AffineForm, b: AffineForm) -> list[tuple[fmpq, fmpq]]:
    """The one or two h with f_b = f_a o h^-1 for forms that are equal and not stretchable.

    Of two the increasing one comes first: with a mirror both orientations are the form, and both scales positive.
    """
    changes = [(a.scale / b.scale, (a.shift - b.shift) / b.scale)]
    if a.mirror is not None:
        changes.append((-a.scale / b.scale, (a.mirror - a.shift - b.shift) / b.scale))
    return changes


def _carries(pieces_a: LinePieces, prior_a: Prior, prior_b: Prior, scale: fmpq, shift: fmpq) -> bool:
    """Whether h carries the first prior to the second, and no point mass sits where reversing f changes it."""
    square = scale * scale
    image = {(scale * mean + shift, square * variance): w for (mean, variance), w in prior_a.items()}
    return image == prior_b and (scale > 0 or not _mass_at_jump(pieces_a, prior_a))


def _mass_at_jump(pieces: LinePieces, prior: Prior) -> bool:
    return any((t, ZERO) in prior and pieces.value(k, t) != pieces.value(k + 1, t)
               for k, t in enumerate(pieces.breakpoints))


def _stretch(pieces_a: LinePieces, prior_a: Prior, form_a: AffineForm, pieces_b: LinePieces, prior_b: Prior,
             form_b: AffineForm) -> Comparison | None:
    """Look for h(z) = center_b + r (z - center_a) when f allows every |r|; second moments fix |r|.

    The centers are the steps of the two maps or, for constants, the means of the priors.
    """
    if form_a.constant:
        center_a, center_b = _mean(prior_a), _mean(prior_b)
        signs = [1, -1]
    else:
        center_a, center_b = pieces_a.breakpoints[0], pieces_b.breakpoints[0]
        signs = [1 if form_a.scale * form_b.scale > 0 else -1]
    moment_a, moment_b = _moment(prior_a, center_a), _moment(prior_b, center_b)
    if not moment_a and not moment_b:  # all mass at the centers: any |r| will do
        moment_a = moment_b = ONE
    if not moment_a or not moment_b:
        return None
    square = moment_b / moment_a
    size = rational_root(square)
    if size is not None:
        for scale in (sign * size for sign in signs):
            shift = center_b - scale * center_a
            if _carries(pieces_a, prior_a, prior_b, scale, shift):
                return _affine(scale, shift)
        return None
    # An irrational scale carries rational means to rational ones only when all sit at the center; if they do not,
    # the image below has another second moment than the prior it is compared with.
    image = {(mean + center_b - center_a, square * variance): w for (mean, variance), w in prior_a.items()}
    if image == prior_b and (signs[0] > 0 or not _mass_at_jump(pieces_a, prior_a)):
        return Comparison(Relation.AFFINE)
    return None


def _mean(prior: Prior) -> fmpq:
    total = sum(prior.values(), ZERO)
    return sum((w * mean for (mean, _), w in prior.items()), ZERO) / total


def _moment(prior: Prior, center: fmpq) -> fmpq:
    """Second moment about `center`."""
    return sum((w * (variance + (mean - center) ** 2) for (mean, variance), w in prior.items()), ZERO)


def rational_root(square: fmpq) -> fmpq | None:
    """The rational root of a positive rational, None when it has none."""
    p, q = math.isqrt(int(square.p)), math.isqrt(int(square.q))
    return fmpq(p, q) if p * p == square.p and q * q == square.q else None


def _affine(scale: fmpq, shift: fmpq) -> Comparison:
    return Comparison(Relation.AFFINE, Fraction(*plain(scale)), Fraction(*plain(shift)))


def require_one_noise(a: Model, b: Model, what: str) -> None:
    """Refuse two models, for `what`, whose observations differ in their dimension or in the law of their noise.

    Raises
    ------
    InputError
    """
    if a.observed_dim != b.observed_dim:
        raise InputError(f"{what}: expected models of observations of one dimension, got n={a.observed_dim} and "
                         f"n={b.observed_dim}")
    if _noise_key(a.noise, a.observed_dim) != _noise_key(b.noise, b.observed_dim):
        raise InputError(f"{what}: expected models with the same noise, got {a.noise!r} and {b.noise!r}; give both "
                         "models one noise")


def _noise_key(noise: Noise | None, n: int) -> Hashable:
    """Noise on R^n as its exact law, so that one standard deviation equals n equal ones."""
    if noise is None:
        return None
    if isinstance(noise, GaussianNoise):
        return tuple(noise.covariance_exact(n).ravel())
    scales = [noise.scale_exact.item()] * n if noise.scale_exact.ndim == 0 else noise.scale_exact.tolist()
    return type(noise).__name__, tuple(scales), getattr(noise, "df_exact", None)
