"""What a search computes, laid out as arrays: functions by orbit, priors, components, nodes, targets.

Functions that differ by an affine change of the latent that keeps lengths up to one scale form an orbit. All of them
are evaluated in the coordinates of the orbit's normal form, where the same law written with two networks is the same
point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np
from flint import fmpq
from threadpoolctl import threadpool_limits

from ident_theory.errors import InputError
from ident_theory.exact.rationals import rational
from ident_theory.geometry.affine import AffineForm, affine_form
from ident_theory.geometry.line import LinePieces
from ident_theory.kernels.component_tables import component_log_densities
from ident_theory.landscape.enumeration import Networks, Priors, distinct_networks, distinct_priors
from ident_theory.landscape.families import ParameterFamily
from ident_theory.landscape.targets import Progress, Quadrature, product_quadrature, quadratures_on_line
from ident_theory.laws.components import component_tables
from ident_theory.models import GaussianNoise, Model
from ident_theory.models.value import FloatArray

#: Nodes worked on together.
BLOCK_NODES = 256
#: Members on which the error is estimated for n > 1.
CHECKED = 6
#: Observations of all data sets together up to which they take fewer nodes, or little more, than rules for n = 1.
FEW_OBSERVATIONS = 10_000


@dataclass(frozen=True)
class Block:
    """Nodes start..stop, the targets with weight on them, and those weights, shape (targets, nodes)."""

    start: int
    stop: int
    targets: np.ndarray
    weights: FloatArray


@dataclass(frozen=True)
class TargetRule:
    """Nodes (Q, n), weights of the targets (T, Q), their references and errors (T,); the nodes once more in blocks.

    A block lists the targets that have weight on its nodes: far out few truths do.
    """

    nodes: FloatArray
    weights: FloatArray
    reference: FloatArray
    errors: FloatArray
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that computing a tile needs.

    Attributes
    ----------
    orbit : ndarray of int32, shape (F,)
        Orbit of each function; functions of an orbit stand together.
    image, mirror : ndarray of int32, shape (F, C)
        What each component of the priors becomes in the coordinates of the orbit, and its mirror image where
        the normal form is symmetric (elsewhere the same as `image`).
    means, variances : ndarray, shape (G,)
        The components in those coordinates.
    n_pieces : ndarray of int32, shape (O,)
    breaks, slopes, intercepts : ndarray, shape (O, K - 1), (O, K, n), (O, K, n)
        The normal forms.
    rows, weights : ndarray, shape (P, J)
        The priors, weights in units of 1 / `denominator`.
    noise_root : ndarray, shape (n, n)
        Lower triangular root of the noise covariance.
    rule_of : ndarray of int32, shape (O,)
        The rule that each orbit takes.
    rule_starts : ndarray of int, shape (R + 1,)
        Nodes ``rule_starts[r]:rule_starts[r + 1]`` belong to rule r.
    rule_nodes : ndarray, shape (Q, n)
    rule_weights : ndarray, shape (T, Q)
        What is computed is ``-weights @ log p(nodes) - reference``, over the nodes of one rule.
    rule_references, rule_errors : ndarray, shape (R, T)
        Entropies of the truths by each rule (zero for data), and bounds of the quadrature error.
    truths : ndarray of bool, shape (T,)
        Which targets are truths, the others being data.
    """

    orbit: np.ndarray
    image: np.ndarray
    mirror: np.ndarray
    means: FloatArray
    variances: FloatArray
    n_pieces: np.ndarray
    breaks: FloatArray
    slopes: FloatArray
    intercepts: FloatArray
    rows: np.ndarray
    weights: np.ndarray
    denominator: int
    noise_root: FloatArray
    rule_of: np.ndarray
    rule_starts: np.ndarray
    rule_nodes: FloatArray
    rule_weights: FloatArray
    rule_references: FloatArray
    rule_errors: FloatArray
    truths: np.ndarray

    @property
    def n_targets(self) -> int:
        """Number of truths and data sets."""
        return len(self.rule_weights)

    @cached_property
    def rules(self) -> tuple[TargetRule, ...]:
        """The rules; the last one serves every function."""
        rules = []
        for r, (a, b) in enumerate(itertools.pairwise(self.rule_starts)):
            nodes, weights = self.rule_nodes[a:b], np.ascontiguousarray(self.rule_weights[:, a:b])
            blocks = []
            for start in range(0, len(nodes), BLOCK_NODES):
                stop = min(start + BLOCK_NODES, len(nodes))
                targets = np.flatnonzero(weights[:, start:stop].any(axis=1))
                blocks.append(Block(start, stop, targets, np.ascontiguousarray(weights[targets, start:stop])))
            rules.append(TargetRule(nodes, weights, self.rule_references[r], self.rule_errors[r], tuple(blocks)))
        return tuple(rules)

    @property
    def nodes(self) -> FloatArray:
        """Nodes of the rule that serves every function, shape (Q, n)."""
        return self.rules[-1].nodes

    @property
    def target_weights(self) -> FloatArray:
        """Weights of the rule that serves every function, shape (T, Q)."""
        return self.rules[-1].weights

    @property
    def reference(self) -> FloatArray:
        """Entropies by the rule that serves every function, shape (T,)."""
        return self.rules[-1].reference

    @property
    def errors(self) -> FloatArray:
        """Bound of the quadrature error of every target's values, shape (T,)."""
        worst: FloatArray = self.rule_errors.max(axis=0)
        return worst

    def tables(self, orbit: int, components: np.ndarray, x: FloatArray) -> FloatArray:
        """Log densities at `x` (shape (Q, n)) of components pushed through an orbit's normal form: (C, Q)."""
        k = int(self.n_pieces[orbit])
        out = np.empty((len(components), len(x)))
        if self.slopes.shape[2] == 1:
            component_log_densities(self.breaks[orbit, :k - 1], self.slopes[orbit, :k, 0],
                                    self.intercepts[orbit, :k, 0], self.means[components],
                                    self.variances[components], self.noise_root[0, 0], x[:, 0], out)
            return out
        # Exact constants take longer, but the nodes are many and the families small.
        form = LinePieces(tuple(map(as_rational, self.breaks[orbit, :k - 1])),
                          *(tuple(tuple(map(as_rational, row)) for row in part[orbit, :k])
                            for part in (self.slopes, self.intercepts)))
        pairs = [(as_rational(self.means[c]), as_rational(self.variances[c])) for c in components]
        return component_tables(form, pairs, GaussianNoise(covariance=self.noise_root @ self.noise_root.T), x)

    def arrays(self) -> dict[str, np.ndarray]:
        """The plan as named arrays."""
        return {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}

    @staticmethod
    def from_arrays(read: Callable[[str], np.ndarray]) -> Plan:
        """The plan from named arrays."""
        values: dict[str, Any] = {item.name: read(item.name) for item in fields(Plan)}
        values["denominator"] = int(values["denominator"])
        return Plan(**values)


@dataclass(frozen=True)
class Members:
    """The exact side of a plan: distinct functions in the plan's order, with their normal forms, and priors."""

    family: ParameterFamily
    networks: Networks
    forms: tuple[AffineForm, ...]
    orbit: np.ndarray
    priors: Priors


def enumerate_members(family: ParameterFamily) -> Members:
    """Distinct functions sorted by orbit, and distinct priors.

    Functions of one normal form but different scale are kept apart: with a fixed variance they share no law, and
    the densities of their components would span many more orders of magnitude.
    """
    networks = distinct_networks(family)
    forms = [affine_form(f) for f in networks.functions]
    orbits: dict[tuple[LinePieces, fmpq], int] = {}
    orbit = np.array([orbits.setdefault((form.form, abs(form.scale)), len(orbits)) for form in forms], dtype=np.int32)
    order = np.argsort(orbit, kind="stable")
    return Members(family, networks.reordered(order), tuple(forms[i] for i in order), orbit[order],
                   distinct_priors(family))


def orbits_in(orbit: np.ndarray, functions: slice) -> list[slice]:
    """The runs of functions of one orbit each."""
    starts = functions.start + np.flatnonzero(np.diff(orbit[functions], prepend=-1))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise([*starts, functions.stop])]


def make_plan(members: Members, targets: Sequence[Model | FloatArray], tolerance: float,
              progress: Progress | None = None) -> Plan:
    """Lay out a search.

    Parameters
    ----------
    members : Members
    targets : sequence of Model or ndarray
        Truths, whose law the expectation is taken under, or observations to average over, shape (N, n).
    tolerance : float
        Bound of the quadrature error of every value.
    """
    noise = members.family.model.noise
    assert isinstance(noise, GaussianNoise)
    n = members.family.model.observed_dim
    _check_targets(members.family.model, targets)
    image, mirror, components = _images(members)
    normal = [members.forms[run.start].form for run in orbits_in(members.orbit, slice(0, len(members.orbit)))]
    most = max(form.n_pieces for form in normal)
    breaks = np.zeros((len(normal), most - 1))
    slopes, intercepts = np.zeros((2, len(normal), most, n))
    for o, form in enumerate(normal):
        k = form.n_pieces
        breaks[o, :k - 1] = [float(t) for t in form.breakpoints]
        slopes[o, :k] = [[float(v) for v in a] for a in form.slopes]
        intercepts[o, :k] = [[float(v) for v in c] for c in form.intercepts]
    none, empty = np.empty(0, dtype=np.int32), np.empty(0)
    bare = Plan(members.orbit, image, mirror, np.array([float(m) for m, _ in components]),
                np.array([float(v) for _, v in components]), np.array([f.n_pieces for f in normal], dtype=np.int32),
                breaks, slopes, intercepts, members.priors.rows, members.priors.weights,
                members.priors.denominator, noise.root(n), none, none, empty, empty, empty, empty,
                np.array([isinstance(target, Model) for target in targets]))
    with threadpool_limits(1, "blas"):  # sums over many nodes would depend on the number of threads
        rule_of, rules = _quadratures(bare, members, targets, tolerance, progress)
    return replace(bare, rule_of=rule_of, rule_starts=np.cumsum([0, *(len(r.nodes) for r in rules)]),
                   rule_nodes=np.concatenate([r.nodes for r in rules]),
                   rule_weights=np.concatenate([r.weights for r in rules], axis=1),
                   rule_references=np.stack([r.reference for r in rules]),
                   rule_errors=np.stack([r.errors for r in rules]))


def _quadratures(plan: Plan, members: Members, targets: Sequence[Model | FloatArray], tolerance: float,
                 progress: Progress | None) -> tuple[np.ndarray, list[Quadrature]]:
    family = members.family
    orbits = orbits_in(plan.orbit, slice(0, len(plan.orbit)))
    sizes = [len(target) for target in targets if not isinstance(target, Model)]
    few = len(sizes) == len(targets) and sum(sizes) <= FEW_OBSERVATIONS
    if family.model.observed_dim > 1 or few:  # few observations are nodes themselves, and no error is made
        rng = np.random.default_rng(0)
        rule = product_quadrature(targets, [family.draw(rng) for _ in range(CHECKED)])
        return np.zeros(len(orbits), dtype=np.int32), [rule]
    far = max(abs(float(mean)) + float(variance) ** 0.5 for mean, variance in members.priors.components)
    return quadratures_on_line([partial(_orbit_table, plan, orbit) for orbit in orbits],
                               [(orbit.stop - orbit.start) * len(plan.rows) for orbit in orbits],
                               members.networks.functions, far, targets, float(plan.noise_root[0, 0]), tolerance,
                               progress)


def _orbit_table(plan: Plan, functions: slice, x: FloatArray) -> tuple[FloatArray, np.ndarray]:
    """Log densities of an orbit's components, and the rows that the prior of each of its functions may mix."""
    image = plan.image[functions]
    ids, local = np.unique(image, return_inverse=True)
    return (plan.tables(int(plan.orbit[functions.start]), ids, x[:, None]),
            np.unique(np.sort(local.reshape(image.shape), axis=1), axis=0))


def _check_targets(template: Model, targets: Sequence[Model | FloatArray]) -> None:
    if not len(targets):
        raise InputError("search: expected at least one truth or data set, got none")
    for i, target in enumerate(targets):
        if not isinstance(target, Model):
            continue
        if target.latent_dim != 1 or target.observed_dim != template.observed_dim or target.noise != template.noise:
            raise InputError(f"search: truth {i}: expected one latent, observed_dim={template.observed_dim} and the "
                             f"noise of the family, {template.noise!r}, got latent_dim={target.latent_dim}, "
                             f"observed_dim={target.observed_dim}, noise={target.noise!r}")


def _images(members: Members) -> tuple[np.ndarray, np.ndarray, list[tuple[fmpq, fmpq]]]:
    """Ids of the components in the coordinates of each function's orbit, their mirror images, and the components."""
    places: dict[tuple[fmpq, fmpq], int] = {}
    known: dict[tuple[fmpq, fmpq], list[int]] = {}

    def moved(scale: fmpq, shift: fmpq) -> list[int]:
        key = (scale, shift)
        if key not in known:
            known[key] = [places.setdefault((scale * mean + shift, scale * scale * variance), len(places))
                          for mean, variance in members.priors.components]
        return known[key]

    count = len(members.priors.components)
    image, mirror = np.empty((2, len(members.forms), count), dtype=np.int32)
    for i, form in enumerate(members.forms):
        if form.constant:  # the prior does not reach the law: all components are one
            image[i] = mirror[i] = moved(fmpq(1), fmpq(0))[0]
            continue
        image[i] = mirror[i] = moved(form.scale, form.shift)
        if form.mirror is not None:
            mirror[i] = moved(-form.scale, form.mirror - form.shift)
    return image, mirror, list(places)


def as_rational(value: float) -> fmpq:
    """The dyadic rational that a float holds."""
    return rational(Fraction(float(value)))
