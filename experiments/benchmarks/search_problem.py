"""The search benchmark: the family of Kivva et al. (2022), J.3.1, on five points an entry, and the alternatives.

Each alternative computes what one raw parameter point costs without the structure of the family: the
cross-entropy of truths against that point, from its parameters, as a user would write it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate

from ident_theory import GaussianMixture, GaussianNoise, Model, ParameterFamily, ReLUNetwork

NOISE = 0.25
LOG_2PI = math.log(2 * math.pi)


def family(values=(-2, -1, 0, 1, 2), simplex=4, units=2) -> ParameterFamily:
    """J = 3, weights in multiples of 1 / simplex, all other entries on `values`."""
    values = list(values)
    template = Model(GaussianMixture(["1/3"] * 3, [0] * 3, [1] * 3),
                     ReLUNetwork([[[1]] * units, [[1] * units]], [[0] * units, [0]]), GaussianNoise("1/4"))
    return ParameterFamily(template, {"prior.weights": {"simplex": simplex}, "prior.means": values,
                                      "decoder.weights": values, "decoder.biases[0]": values})


def raw_points(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Raw parameter points of the family as arrays: weights and means (count, 3), a, b, p (count, 2)."""
    rng = np.random.default_rng(seed)
    simplex = [row for row in np.ndindex(5, 5, 5) if sum(row) == 4]
    pick = rng.integers(len(simplex), size=count)
    return {"weights": np.array(simplex)[pick] / 4, "means": rng.integers(-2, 3, (count, 3)).astype(float),
            **{name: rng.integers(-2, 3, (count, 2)).astype(float) for name in "abp"}}


def scipy_cross_entropy(point: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    """-E log p_point under the truth by `scipy.integrate.quad` to 1e-9, the closed form with math.erf."""
    candidate, target = _scalar_terms(point), _scalar_terms(truth)
    reach = max(abs(m) + 9 * s for _, m, s, _, _, _, _ in target)

    def integrand(x: float) -> float:
        return -_scalar_density(target, x) * math.log(max(_scalar_density(candidate, x), 1e-300))

    return integrate.quad(integrand, -reach, reach, points=sorted({m for _, m, s, *_ in target})[:20], limit=500,
                          epsabs=1e-9, epsrel=1e-9)[0]


def _scalar_terms(point: dict[str, np.ndarray]) -> list[tuple[float, ...]]:
    """weight, mean, std of x, and what standardises the two ends, for every piece and component."""
    a, b, p = point["a"], point["b"], point["p"]
    kinks = sorted(-p[i] / b[i] for i in range(2) if b[i])
    edges = [-math.inf, *kinks, math.inf]
    terms = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        if low == high:
            continue
        z = high - 1 if low == -math.inf and high < math.inf else low + 1 if high == math.inf and low > -math.inf \
            else 0.0 if low == -math.inf else (low + high) / 2
        active = b * z + p > 0
        slope, intercept = float((a * b * active).sum()), float((a * p * active).sum())
        spread = math.hypot(slope, NOISE)
        for w, mu in zip(point["weights"], point["means"], strict=True):
            if w:
                terms.append((w, slope * mu + intercept, spread, low, high, slope, mu))
    return terms


def _scalar_density(terms: list[tuple[float, ...]], x: float) -> float:
    total = 0.0
    for w, mean, spread, low, high, slope, mu in terms:
        gap = x - mean
        center, width = mu + slope * gap / spread**2, NOISE / spread * math.sqrt(2)
        mass = 0.5 * (math.erf((high - center) / width) - math.erf((low - center) / width))
        total += w * math.exp(-0.5 * (gap / spread) ** 2) / (spread * 2.5066282746310002) * mass
    return total


def torch_cross_entropies(points: dict[str, np.ndarray], nodes: np.ndarray, weights: np.ndarray, block: int = 4):
    """-sum_q weights[t, q] log p(nodes_q) for raw points: the closed form in torch, float64, vectorised over both."""
    import torch

    x, targets = torch.from_numpy(nodes)[None, :, None, None], torch.from_numpy(weights)
    out = []
    for first in range(0, len(points["a"]), block):
        w, mu, a, b, p = (torch.from_numpy(points[name][first:first + block])
                          for name in ("weights", "means", "a", "b", "p"))
        kinks = torch.where(b == 0, torch.full_like(b, 1e6), -p / b).sort(dim=1).values
        low = torch.cat([torch.full_like(kinks[:, :1], -1e9), kinks], dim=1)
        high = torch.cat([kinks, torch.full_like(kinks[:, :1], 1e9)], dim=1)
        active = (b[:, None, :] * ((low + high) / 2)[:, :, None] + p[:, None, :] > 0).double()
        slope = (active * (a * b)[:, None, :]).sum(2)[:, None, :, None]
        intercept = (active * (a * p)[:, None, :]).sum(2)[:, None, :, None]
        low, high, mu = low[:, None, :, None], high[:, None, :, None], mu[:, None, None, :]
        variance = slope**2 + NOISE**2
        gap = x - (slope * mu + intercept)
        center, spread = mu + slope * gap / variance, NOISE / variance.sqrt()
        alpha, beta = (low - center) / spread, (high - center) / spread
        flip = alpha > 0
        upper = torch.special.log_ndtr(torch.where(flip, -alpha, beta))
        lower = torch.special.log_ndtr(torch.where(flip, -beta, alpha))
        terms = w.log()[:, None, None, :] - 0.5 * (gap**2 / variance + variance.log() + LOG_2PI)
        terms = terms + upper + torch.log1p(-torch.exp(lower - upper))
        out.append(-torch.logsumexp(terms.flatten(2).nan_to_num(nan=-1e300), 2) @ targets.T)
    return torch.cat(out).numpy()
