"""Clusters in the plane that are no Gaussians: the pinwheel and random parallelograms of Kivva et al. 2022."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ident_theory.data import arguments
from ident_theory.data.dataset import Dataset
from ident_theory.models.value import FloatArray

#: Distance kept between parallelograms.
GAP = 0.25


def pinwheel(rng: np.random.Generator, *, size: int = 5000, clusters: int = 3, radial_std: float = 0.3,
             tangential_std: float = 0.05, rate: float = 0.25, scale: float = 10.0,
             labels: Literal["factors", "conditions"] = "factors") -> Dataset:
    r"""The pinwheel: arms of a star, twisted the more the farther out they go.

    A point of arm c has coordinates :math:`r \sim N(1, s_r^2)` along and :math:`t \sim N(0, s_t^2)` across its arm
    and lies at

    .. math:: x = a\, R\big(2\pi c / C + \rho e^r\big) (r, t), \qquad
              R(\alpha) = \begin{pmatrix} \cos\alpha & \sin\alpha \\ -\sin\alpha & \cos\alpha \end{pmatrix}.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Number of points, the same in each arm up to one; at least one each.
    clusters : int
        Number C of arms.
    radial_std, tangential_std : float
        :math:`s_r, s_t > 0`.
    rate : float
        Twist :math:`\rho`.
    scale : float
        Size :math:`a > 0`.
    labels : {"factors", "conditions"}
        Give the arm as ``factors["cluster"]`` only, as for learning without labels, or as u too.

    Returns
    -------
    Dataset
        In random order. z is the star before its twist, :math:`R(2\pi c/C)(r, t)`, a Gaussian mixture in the plane;
        ``factors`` have ``cluster``, ``radial`` and ``tangential``. There is no model: the twist depends on the arm,
        so x is no function of z.

    References
    ----------
    Johnson et al. 2016 (SVAE), published code, for formula and constants (with 5 arms). Kivva et al. 2022, Section 4,
    Figure 2, J.3.2: 3 clusters, 5,000 samples, m = n = 2; its constants are not stated.
    """
    rng, where = arguments.generator(rng, "pinwheel"), "pinwheel"
    clusters = arguments.count(clusters, f"{where}: clusters")
    size = arguments.count(size, f"{where}: size", clusters)
    radial_std = arguments.number(radial_std, f"{where}: radial_std", 0.0, above=True)
    tangential_std = arguments.number(tangential_std, f"{where}: tangential_std", 0.0, above=True)
    rate = arguments.number(rate, f"{where}: rate")
    scale = arguments.number(scale, f"{where}: scale", 0.0, above=True)
    arguments.choice(labels, f"{where}: labels", ("factors", "conditions"))
    cluster = rng.permutation(np.arange(size) % clusters)
    radial = 1 + radial_std * rng.standard_normal(size)
    tangential = tangential_std * rng.standard_normal(size)
    arm = 2 * np.pi * cluster / clusters
    x = scale * _rotated(arm + rate * np.exp(radial), radial, tangential)
    return Dataset(x, u=cluster if labels == "conditions" else None, z=_rotated(arm, radial, tangential),
                   factors={"cluster": cluster, "radial": radial, "tangential": tangential}, name="pinwheel",
                   settings={"size": size, "clusters": clusters, "radial_std": radial_std,
                             "tangential_std": tangential_std, "rate": rate, "scale": scale, "labels": labels})


def _rotated(angle: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([cos * first + sin * second, cos * second - sin * first])


def parallelograms(rng: np.random.Generator, *, copy: Literal[1, 2, 3] | None = 1, size: int = 5000,
                   clusters: int = 3, observed_dim: int = 2, noise_std: float = 0.1,
                   shares: Literal["equal", "area"] = "equal",
                   labels: Literal["factors", "conditions"] = "factors") -> Dataset:
    r"""Uniform points of random parallelograms in the plane, with noise.

    .. math:: z = p_c + s\, v_c + t\, w_c, \quad s, t \sim U(0, 1), \qquad x = E z + \epsilon.

    Corners :math:`p_c` and sides :math:`v_c, w_c` are random: centres uniform on :math:`[-3, 3]^2`, sides of lengths
    uniform on [1, 3] with an angle uniform on [30°, 150°] between them, turned by a uniform angle, all drawn again
    until the parallelograms are at least 0.25 apart.

    Parameters
    ----------
    rng : numpy.random.Generator
    copy : {1, 2, 3} or None
        One of three fixed sets of parallelograms (for each number of them), or None for random ones; points and
        noise are always random.
    size : int
        Number of points.
    clusters : int
        Number of parallelograms, at most 6.
    observed_dim : int
        n >= 2. For n = 2, E is the identity; otherwise it has orthonormal columns, fixed or random like the
        parallelograms.
    noise_std : float
        Standard deviation of :math:`\epsilon`, Gaussian; 0 for none.
    shares : {"equal", "area"}
        Points of each: the same number up to one, or at random in proportion to the area.
    labels : {"factors", "conditions"}
        Give the parallelogram as ``factors["cluster"]`` only, as for learning without labels, or as u too.

    Returns
    -------
    Dataset
        In random order. z is the point before the noise; ``factors`` have ``cluster`` and ``first``, ``second``, its
        coordinates s and t. There is no model: a uniform law on parallelograms is not among the priors.

    References
    ----------
    Kivva et al. 2022, J.3.2, Table 2, Figures 5-7: 3 parallelograms, 5,000 samples, m = 2. Sizes, the noise, n and
    the law of the clusters are not stated there; those here are ours, and so are the three copies.
    """
    rng, where = arguments.generator(rng, "parallelograms"), "parallelograms"
    if copy is not None and arguments.count(copy, f"{where}: copy") > 3:
        arguments.number(copy, f"{where}: copy", 1, 3)
    clusters = arguments.count(clusters, f"{where}: clusters")
    arguments.number(clusters, f"{where}: clusters", 1, 6)
    size = arguments.count(size, f"{where}: size", clusters)
    observed_dim = arguments.count(observed_dim, f"{where}: observed_dim", 2)
    noise_std = arguments.number(noise_std, f"{where}: noise_std", 0.0)
    arguments.choice(shares, f"{where}: shares", ("equal", "area"))
    arguments.choice(labels, f"{where}: labels", ("factors", "conditions"))
    fixed = rng if copy is None else np.random.default_rng([2022, copy])
    corner, sides = _shapes(fixed, clusters)
    embedding = np.eye(2) if observed_dim == 2 else np.linalg.qr(fixed.standard_normal((observed_dim, 2)))[0]
    if shares == "equal":
        cluster = rng.permutation(np.arange(size) % clusters)
    else:
        area = np.abs(np.linalg.det(sides))
        cluster = rng.choice(clusters, size=size, p=area / area.sum())
    within = rng.random((size, 2))
    z = corner[cluster] + np.einsum("ij,ijk->ik", within, sides[cluster])
    x = z @ embedding.T + noise_std * rng.standard_normal((size, observed_dim))
    return Dataset(x, u=cluster if labels == "conditions" else None, z=z,
                   factors={"cluster": cluster, "first": within[:, 0], "second": within[:, 1]}, name="parallelograms",
                   settings={"copy": copy, "size": size, "clusters": clusters, "observed_dim": observed_dim,
                             "noise_std": noise_std, "shares": shares, "labels": labels})


def _shapes(rng: np.random.Generator, clusters: int) -> tuple[FloatArray, FloatArray]:
    """Corners, shape (C, 2), and the two sides as rows, shape (C, 2, 2), of parallelograms that are apart."""
    while True:
        turn, between = rng.uniform(0, 2 * np.pi, clusters), rng.uniform(np.pi / 6, 5 * np.pi / 6, clusters)
        angle = np.column_stack([turn, turn + between])
        sides = rng.uniform(1, 3, size=(clusters, 2, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=2)
        corner = rng.uniform(-3, 3, size=(clusters, 2)) - sides.sum(axis=1) / 2
        if all(_gap(corner[[i, j]], sides[[i, j]]) >= GAP for i in range(clusters) for j in range(i)):
            return corner, sides


def _gap(corner: FloatArray, sides: FloatArray) -> float:
    """Widest gap between the shadows of two parallelograms along the normals of their sides.

    It is at most their distance, and not positive when they overlap: convex polygons that are apart are separated by
    the line of some side.
    """
    normals = sides.reshape(4, 2)[:, ::-1] * [1.0, -1.0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    corners = corner[:, None] + np.einsum("ab,ibk->iak", [[0, 0], [0, 1], [1, 0], [1, 1]], sides)
    shadow = corners @ normals.T
    low, high = shadow.min(axis=1), shadow.max(axis=1)
    return float(np.maximum(low[0] - high[1], low[1] - high[0]).max())
