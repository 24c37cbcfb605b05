"""Modes of a normal posterior inside the activation regions of a network.

In a region the network is affine, so the posterior is normal, and its mode in the region is the point of a
polyhedron nearest to the posterior mean: a small quadratic programme. Regions are explored from known ones
through the faces on which their modes lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ident_theory.models.value import FloatArray

#: Regions more than this many nats below the best mode are not looked at.
REACH = 35.0
#: Regions examined for one observation.
MAX_REGIONS = 200


@dataclass(frozen=True)
class Regions:
    """Activation regions {xi : G xi + o >= 0} with the affine maps J xi + c on them.

    Attributes
    ----------
    keys : list of bytes
        The activation patterns.
    jacobians, offsets : ndarray, shapes (K, n, d), (K, n)
    normals, margins : ndarray, shapes (K, H, d), (K, H)
        G and o; one row a hidden unit.
    """

    keys: list[bytes]
    jacobians: FloatArray
    offsets: FloatArray
    normals: FloatArray
    margins: FloatArray


@dataclass(frozen=True)
class Mode:
    """A normal law that covers the posterior near its mode in one region: center, root, level of the mode.

    `root` R has R R^T the covariance of the posterior without the region; `squeezed` is narrower in the
    directions in which the region's faces cut it off.
    """

    level: float
    center: FloatArray
    root: FloatArray
    squeezed: FloatArray


def region_modes(known: Regions, x: FloatArray, root_precision: FloatArray, constant: float,
                 find: Callable[[FloatArray], Regions]) -> list[Mode]:
    """Constrained modes of the posterior under Gaussian noise.

    Parameters
    ----------
    known : Regions
        Where to start.
    x : ndarray, shape (n,)
    root_precision : ndarray, shape (n, n)
        R with R^T R the precision of the noise.
    constant : float
        Log joint density where both squares vanish.
    find : callable
        The regions of points, (K, d) -> Regions.

    Returns
    -------
    list of Mode
        Empty when the observation is so far away that squares overflow.
    """
    seen = set(known.keys)
    modes: list[Mode] = []
    best = -math.inf
    batch = known
    examined = 0
    while len(batch.keys) and examined < MAX_REGIONS:
        whitened = root_precision @ batch.jacobians
        residuals = (x - batch.offsets) @ root_precision.T
        d = whitened.shape[2]
        lower = np.linalg.cholesky(np.eye(d) + whitened.transpose(0, 2, 1) @ whitened)
        pull = np.einsum("kij,ki->kj", whitened, residuals)
        means = np.linalg.solve(lower @ lower.transpose(0, 2, 1), pull[..., None])[..., 0]
        rest = residuals - np.einsum("kij,kj->ki", whitened, means)
        tops = constant - 0.5 * (rest * rest).sum(axis=1) - 0.5 * (means * means).sum(axis=1)
        tops = np.where(np.isfinite(tops), tops, -np.inf)
        probes: list[FloatArray] = []
        for k in np.argsort(-tops, kind="stable"):
            if tops[k] == -np.inf or tops[k] < best - REACH or examined >= MAX_REGIONS:
                break
            examined += 1
            root = np.linalg.inv(lower[k]).T
            y, active = nearest_in_polyhedron(batch.normals[k] @ root,
                                              -(batch.margins[k] + batch.normals[k] @ means[k]))
            if y is None:
                continue
            level = float(tops[k] - 0.5 * y @ y)
            best = max(best, level)
            center, squeeze = _squeezed(y, (batch.normals[k] @ root)[active])
            modes.append(Mode(level, means[k] + root @ center, root, root @ squeeze))
            if level > best - REACH:
                corner = means[k] + root @ y
                for face in batch.normals[k][active]:
                    probes.append(corner - 1e-7 * (1.0 + np.linalg.norm(corner)) * face / np.linalg.norm(face))
        if not probes:
            break
        found = find(np.array(probes))
        fresh = [i for i, key in enumerate(found.keys) if key not in seen and found.keys.index(key) == i]
        seen.update(found.keys)
        batch = Regions([found.keys[i] for i in fresh], found.jacobians[fresh], found.offsets[fresh],
                        found.normals[fresh], found.margins[fresh])
    return [mode for mode in modes if mode.level > best - REACH]


def nearest_in_polyhedron(g: FloatArray, h: FloatArray) -> tuple[FloatArray | None, np.ndarray]:
    """The point y of {g y >= h} nearest to the origin, and the rows that hold with equality.

    Least distance programming by non-negative least squares (Lawson and Hanson 1974, chapter 23). None when
    the set is empty or the iteration fails.
    """
    size = np.linalg.norm(g, axis=1)
    rows = np.flatnonzero(size > 0)
    if not len(rows) or np.all(h <= 0):
        return np.zeros(g.shape[1]), np.empty(0, dtype=int)
    unit, distance = g[rows] / size[rows, None], h[rows] / size[rows]
    scale = max(float(distance.max()), 1e-300)
    if scale <= 0:
        return np.zeros(g.shape[1]), np.empty(0, dtype=int)
    stacked = np.vstack([unit.T, distance / scale])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    try:
        u, _ = nnls(stacked, target)
    except RuntimeError:
        return None, np.empty(0, dtype=int)
    r = stacked @ u - target
    if abs(r[-1]) < 1e-12:
        return None, np.empty(0, dtype=int)
    return -scale * r[:-1] / r[-1], rows[u > 0]


def _squeezed(y: FloatArray, faces: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Center and root, for a standard normal law cut off by faces through its mode y in a region.

    Away from the face the density falls at the rate |y|, so the directions across the faces shrink by that.
    """
    distance = float(np.linalg.norm(y))
    eye = np.eye(len(y))
    if distance <= 1.0 or not len(faces):
        return y, eye
    u, s, _ = np.linalg.svd(faces.T / np.linalg.norm(faces, axis=1), full_matrices=False)
    across = u[:, s > 1e-9 * s[0]]
    return y + y / distance**2, eye - (1.0 - 1.0 / distance) * across @ across.T
