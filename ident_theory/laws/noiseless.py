"""The exact law of x = f(z) without noise, for one latent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq
from scipy.special import ndtr

from ident_theory.errors import UnsupportedError
from ident_theory.exact.balls import from_float, log_mass, log_sum, outward, settle, to_float, to_pair
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.laws.base import Atoms, ErrorKind, Law, LawKind, LogDensity, check_width, observations
from ident_theory.laws.line_terms import BITS, Component, components_of
from ident_theory.models.model import Model
from ident_theory.models.value import FloatArray

#: Relative error of the noiseless density: a few roundings and one exponential a term.
PROMISE = 1e-12
#: Distance from the curve, relative to the size of x, within which a float observation counts as on it.
ON_CURVE = 1e-9


@dataclass(frozen=True)
class _Branch:
    """One piece with a non-zero slope: the inverse map z = (q.(x - c)) / |a|^2 and its components."""

    slope: tuple[fmpq, ...]
    intercept: tuple[fmpq, ...]
    left: fmpq | None
    right: fmpq | None


class NoiselessLineLaw(Law):
    r"""Law of :math:`x = f(z)` for one latent and f piecewise affine.

    n = 1: a density :math:`\sum_{k,j} w_j N(x; a_k\mu_j + c_k, a_k^2\tau_j^2) 1[x \in f(\mathrm{piece}\ k)]`
    with respect to Lebesgue measure, plus an atom for every flat piece with its prior mass, and for every
    component of variance zero.

    n > 1: the law lives on a polygonal curve; the density is with respect to arc length, the sum over the
    preimages z of x of the prior density divided by the speed :math:`|a_k|`. A float observation is taken to
    be on a segment when its distance is at most 1e-9 times max(1, |x|); elsewhere the log density is -inf.

    `kind` says which of these the law is. `log_density` describes the continuous part; at an atom use `atoms`.

    **Accuracy.** Error at most 1e-12 max(1, |log p|) (n = 1); for n > 1 that of the projection on the curve.
    """

    route = "closed form"

    def __init__(self, model: Model) -> None:
        if model.latent_dim != 1 or model.noise is not None:
            raise UnsupportedError(f"NoiselessLineLaw: expected one latent and noise=None, got latent_dim="
                                   f"{model.latent_dim}, noise={model.noise!r}; use ident_theory.law(model)")
        self.pieces: LinePieces = line_pieces(model.decoder)
        self._components = components_of(model.mixture)
        super().__init__(model, self._find_kind(model))

    def _find_kind(self, model: Model) -> LawKind:
        spread = any(c.variance > 0 for c in self._components)
        point = any(c.variance == 0 for c in self._components)
        flat = any(self.pieces.is_flat(k) for k in range(self.pieces.n_pieces))
        moving = any(not self.pieces.is_flat(k) for k in range(self.pieces.n_pieces))
        if not (spread and moving):
            return LawKind.ATOMS
        has_atoms = point or flat
        if model.observed_dim == 1:
            return LawKind.DENSITY_AND_ATOMS if has_atoms else LawKind.DENSITY
        return LawKind.CURVE_AND_ATOMS if has_atoms else LawKind.CURVE

    @cached_property
    def _branches(self) -> list[_Branch]:
        return [_Branch(self.pieces.slopes[k], self.pieces.intercepts[k], *self.pieces.ends(k))
                for k in range(self.pieces.n_pieces) if not self.pieces.is_flat(k)]

    @cached_property
    def _spread(self) -> list[Component]:
        return [c for c in self._components if c.variance > 0]

    def atoms(self) -> Atoms:
        """Atoms with their masses, sorted by location; pieces with one image are one atom."""
        places: dict[tuple[fmpq, ...], list[tuple[int, Component]]] = {}
        for k in range(self.pieces.n_pieces):
            for component in self._components:
                if component.variance == 0:
                    if self.pieces.contains(k, component.mean):
                        places.setdefault(self.pieces.value(k, component.mean), []).append((k, component))
                elif self.pieces.is_flat(k):
                    places.setdefault(self.pieces.intercepts[k], []).append((k, component))
        order = sorted(places)
        logs = [self._log_mass(places[x]) for x in order]
        locations = np.array([[to_float(v) for v in x] for x in order]).reshape(len(order), self.observed_dim)
        return Atoms(locations, np.array(logs))

    def _log_mass(self, parts: Sequence[tuple[int, Component]]) -> float:
        with ctx.workprec(BITS):
            logs = []
            for k, component in parts:
                logs.append(arb(component.weight).log())
                if component.variance > 0:
                    left, right = (None if end is None else end - component.mean for end in self.pieces.ends(k))
                    logs[-1] += log_mass(left, right, component.variance)
            return to_float(log_sum(logs))

    def log_density(self, x: Any) -> FloatArray:
        """Log density of the continuous part: (N, n), or (N,) when n = 1, -> (N,).

        -inf where the continuous part has no mass (outside the image, or off the curve).
        """
        points = observations(x, self.observed_dim)
        total = np.full(len(points), -math.inf)
        with ctx.workprec(BITS):
            for branch in self._branches:
                inside, standards = self._preimages(branch, points)
                for component, standard in zip(self._spread, standards, strict=True):
                    tau = arb(component.variance).sqrt()
                    speed = _length(branch.slope)
                    constant = to_float((arb(component.weight) / (tau * speed)).log() - (2 * arb.pi()).log() / 2)
                    total[inside] = np.logaddexp(total[inside], constant - 0.5 * standard[inside] ** 2)
        return total

    def log_density_with_error(self, x: Any) -> LogDensity:
        """Log density with the promised error 1e-12 max(1, |log p|)."""
        value = self.log_density(x)
        size = np.where(np.isfinite(value), np.abs(value), 0.0)
        return LogDensity(value, PROMISE * np.maximum(1.0, size), ErrorKind.PROMISED)

    def _preimages(self, branch: _Branch, points: FloatArray) -> tuple[np.ndarray, list[FloatArray]]:
        """Which points a branch reaches, and their preimages standardised by each component."""
        with np.errstate(over="ignore"):
            return self._reach_and_standardise(branch, points)

    def _reach_and_standardise(self, branch: _Branch, points: FloatArray) -> tuple[np.ndarray, list[FloatArray]]:
        if self.observed_dim == 1:
            a, c = branch.slope[0], branch.intercept[0]
            x = points[:, 0]
            signed = 1.0 if a > 0 else -1.0
            inside = np.ones(len(x), dtype=bool)
            if branch.left is not None:
                inside &= signed * _residual(x, a * branch.left + c) >= 0
            if branch.right is not None:
                inside &= signed * _residual(x, a * branch.right + c) < 0
            return inside, [_residual(x, a * component.mean + c) / to_float(arb(a) * arb(component.variance).sqrt())
                            for component in self._spread]
        slope = np.array([float(v) for v in branch.slope])
        gap = points - np.array([float(v) for v in branch.intercept])
        z = gap @ slope / (slope @ slope)
        distance = np.linalg.norm(gap - z[:, None] * slope, axis=1)
        inside = distance <= ON_CURVE * np.maximum(1.0, np.linalg.norm(points, axis=1))
        if branch.left is not None:
            inside &= z >= float(branch.left)
        if branch.right is not None:
            inside &= z < float(branch.right)
        return inside, [(z - float(component.mean)) / math.sqrt(float(component.variance))
                        for component in self._spread]

    def log_density_bounds(self, x: Any, rtol: float = 1e-12) -> tuple[FloatArray, FloatArray]:
        """Rigorous enclosure of the log density of the continuous part, for n = 1.

        Both ends are -inf where the continuous part has no mass. The interval also contains `log_density`.
        """
        if self.observed_dim != 1:
            raise UnsupportedError("log_density_bounds: for noiseless laws with n = 1; whether a float lies on a "
                                   f"curve in R^{self.observed_dim} has no rigorous answer")
        check_width(rtol)
        points = observations(x, 1)
        value = self.log_density(points)
        lo, hi = np.empty(len(points)), np.empty(len(points))
        bits = max(64, math.ceil(-math.log2(rtol)) + 4)
        for i, row in enumerate(points[:, 0]):
            point = from_float(row)
            if any(self._reaches(branch, point) for branch in self._branches):
                lo[i], hi[i] = outward(_log_settled(partial(self._density, point), bits))
            else:
                lo[i] = hi[i] = -math.inf
        return np.minimum(lo, value), np.maximum(hi, value)

    def _reaches(self, branch: _Branch, x: fmpq) -> bool:
        z = (x - branch.intercept[0]) / branch.slope[0]
        return (branch.left is None or branch.left <= z) and (branch.right is None or z < branch.right)

    def _density(self, x: fmpq) -> arb:
        total = arb(0)
        for branch in self._branches:
            if self._reaches(branch, x):
                z = (x - branch.intercept[0]) / branch.slope[0]
                for component in self._spread:
                    e = z - component.mean
                    scale = (2 * arb.pi() * arb(component.variance)).sqrt() * abs(arb(branch.slope[0]))
                    total += arb(component.weight) * arb(-e * e / component.variance / 2).exp() / scale
        return total

    def cdf(self, x: Any) -> FloatArray:
        """P(X <= x) for n = 1, atoms included; absolute error at most 1e-14 a piece and component.

        Parameters
        ----------
        x : array_like, shape (N,) or (N, 1)
        """
        if self.observed_dim != 1:
            raise UnsupportedError(f"cdf: defined for n = 1, this law has n = {self.observed_dim}")
        points = observations(x, 1)[:, 0]
        total = np.zeros(len(points))
        with ctx.workprec(BITS):
            for branch in self._branches:
                for component in self._spread:
                    total += to_float(arb(component.weight)) * self._branch_cdf(branch, component, points)
        atoms = self.atoms()
        for location, mass in zip(atoms.locations[:, 0], atoms.masses, strict=True):
            total += mass * (points >= location)
        return np.clip(total, 0.0, 1.0)

    def _branch_cdf(self, branch: _Branch, component: Component, x: FloatArray) -> FloatArray:
        """P(z in the piece, a z + c <= x): an interval of z that ends at the preimage of x."""
        a, c = branch.slope[0], branch.intercept[0]
        tau = arb(component.variance).sqrt()
        with np.errstate(over="ignore"):
            preimage = _residual(x, a * component.mean + c) / to_float(arb(a) * tau)
        low = -math.inf if branch.left is None else to_float(arb(branch.left - component.mean) / tau)
        high = math.inf if branch.right is None else to_float(arb(branch.right - component.mean) / tau)
        cut = np.clip(preimage, low, high)
        return np.asarray(ndtr(cut) - ndtr(low) if a > 0 else ndtr(-cut) - ndtr(-high))


def _residual(x: FloatArray, center: fmpq) -> FloatArray:
    hi, lo = to_pair(center)
    return np.asarray((x - hi) - lo)


def _length(vector: Sequence[fmpq]) -> arb:
    return sum((arb(v) ** 2 for v in vector), arb(0)).sqrt()


def _log_settled(function: Callable[[], arb], bits: int) -> arb:
    with ctx.workprec(4 * bits):
        return settle(function, bits, 4 * bits).log()
