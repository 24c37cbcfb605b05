"""Where laws on the line have their features, for integrals over x."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import stats

from ident_theory.geometry.line import REMEMBERED, line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.laws.base import Law
from ident_theory.laws.draws import draws
from ident_theory.laws.line_terms import components_of
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise, IndependentNoise
from ident_theory.models.value import FloatArray

#: Probability left outside the integration range, on each side of each component and of the noise.
TAIL = 1e-22


@lru_cache(REMEMBERED)
def split_points(model: Model) -> FloatArray:
    """Where a law on the line has its features: the ends of the range first and last.

    Images of breakpoints and flat pieces with the noise scale around them, images of the components with
    theirs; the range leaves out a probability below 1e-21 a component.
    """
    pieces, components = line_pieces(model.decoder), components_of(model.mixture)
    noise, reach = noise_reach(model)
    steps = [0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 10.0]  # fine enough that no node pattern misses a spike's flank
    while steps[-1] < reach:
        steps.append(2 * steps[-1])
    around = np.array([*(-t for t in steps), 0.0, *steps])
    z_reach = float(stats.norm.isf(TAIL))
    bell = np.array([-8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0])
    points: list[float] = []
    low, high = math.inf, -math.inf
    for k in range(pieces.n_pieces):
        left, right = (None if end is None else float(end) for end in pieces.ends(k))
        a, c = float(pieces.slopes[k][0]), float(pieces.intercepts[k][0])
        for component in components:
            mu, tau = float(component.mean), math.sqrt(float(component.variance))
            z_low = mu - z_reach * tau if left is None else max(left, mu - z_reach * tau)
            z_high = mu + z_reach * tau if right is None else min(right, mu + z_reach * tau)
            if z_low > z_high:
                continue
            ends = sorted((a * z_low + c, a * z_high + c))
            low, high = min(low, ends[0] - reach * noise), max(high, ends[1] + reach * noise)
            for end in ends:
                points.extend(end + noise * around)
            spread = math.hypot(a * tau, noise)
            inner = a * mu + c + spread * bell
            points.extend(inner[(inner > ends[0]) & (inner < ends[1])])
    inside = np.array([x for x in points if low < x < high])
    out = np.unique(np.concatenate([[low], inside, [high if high > low else np.nextafter(low, math.inf)]]))
    out.flags.writeable = False
    return out


def split_points_of_plane(p: Law) -> FloatArray:
    """The same for a law of two latents on the line: quantiles of draws, and images of the corners of the cells."""
    noise, reach = noise_reach(p.model)
    x = np.sort(draws(p, 0, 1024, density=False)[0][:, 0])
    corners = np.array([[float(v) for v in corner] for cell in plane_cells(p.model.decoder)
                        for corner in cell.points]).reshape(-1, 2)
    images = np.unique(p.model.decoder(corners)[:, 0])
    ends = []
    for end, sign in ((x[0], -1.0), (x[-1], 1.0)):
        step = reach * noise + 0.1 * (x[-1] - x[0])
        while p.log_density([end])[0] > math.log(TAIL) - 10:
            end, step = end + sign * step, 2 * step
        ends.append(float(end))
    features = np.concatenate([x[::16], (images[:, None] + noise * np.array([-10, -5, -2, 0, 2, 5, 10])).ravel()])
    inside = features[(features > ends[0]) & (features < ends[1])]
    return np.unique(np.concatenate([[ends[0]], inside, [ends[1]]]))


def noise_reach(model: Model) -> tuple[float, float]:
    """Scale of the noise for n = 1, and how many scales hold all but a negligible part of it."""
    noise = model.noise
    if noise is None:
        return 0.0, 0.0
    if isinstance(noise, GaussianNoise):
        return float(noise.root(1)[0, 0]), float(stats.norm.isf(TAIL))
    assert isinstance(noise, IndependentNoise)
    if noise.family == "student":
        return float(noise.scales(1)[0]), float(min(stats.t.isf(1e-15, noise.shape_parameter), 1e30))
    return float(noise.scales(1)[0]), -math.log(TAIL)
