"""Reference log densities by mpmath, to 50 digits, for one latent and Gaussian noise.

Written from the definition, not from the package: the joint normal law of (z, x) on each affine piece,
conditioned by textbook formulas in floating point of so many digits that cancellation does not matter.
"""

from __future__ import annotations

import mpmath as mp
import numpy as np

from ident_theory import Model
from ident_theory.geometry.line import line_pieces


def _mpf(value) -> mp.mpf:
    return mp.mpf(int(value.numerator)) / int(value.denominator)


def _rational(value) -> mp.mpf:
    return mp.mpf(int(value.p)) / int(value.q)


def _interval(a: mp.mpf, b: mp.mpf) -> mp.mpf:
    """P(a < N(0, 1) < b) on the side of the smaller tail."""
    if a > 0:
        a, b = -b, -a
    root2 = mp.sqrt(2)
    return (mp.erfc(-b / root2) - mp.erfc(-a / root2)) / 2


def reference_log_density(model: Model, x, digits: int = 120) -> mp.mpf:
    """log p(x) at one observation, x a sequence of n floats; good to 50 digits and more."""
    pieces = line_pieces(model.decoder)
    n = pieces.observed_dim
    with mp.workdps(digits):
        point = mp.matrix([mp.mpf(float(v)) for v in x])
        covariance = mp.matrix([[_mpf(v) for v in row] for row in model.noise.covariance_exact(n)])
        total = mp.mpf(0)
        for k in range(pieces.n_pieces):
            left, right = pieces.ends(k)
            low = -mp.inf if left is None else _rational(left)
            high = mp.inf if right is None else _rational(right)
            a = mp.matrix([_rational(v) for v in pieces.slopes[k]])
            c = mp.matrix([_rational(v) for v in pieces.intercepts[k]])
            for w, mu, var in zip(model.prior.weights_exact, model.prior.means_exact[:, 0],
                                  model.prior.covariances_exact[:, 0, 0], strict=True):
                weight, mean, variance = _mpf(w), _mpf(mu), _mpf(var)
                if weight == 0 or (variance == 0 and not low <= mean < high):
                    continue
                joint = covariance + variance * a * a.T
                gap = point - (mean * a + c)
                solved = mp.lu_solve(joint, gap) if n > 1 else gap / joint[0]
                log_evidence = -(gap.T * solved)[0] / 2 - mp.log((2 * mp.pi) ** n * mp.det(joint)) / 2
                mass = mp.mpf(1)
                if variance > 0:
                    gain = mp.lu_solve(joint, variance * a) if n > 1 else variance * a / joint[0]
                    center = mean + (gain.T * gap)[0]
                    spread = mp.sqrt(variance - variance * (gain.T * a)[0])
                    mass = _interval((low - center) / spread, (high - center) / spread)
                total += weight * mp.exp(log_evidence) * mass
        return mp.log(total)


def reference_log_densities(model: Model, points: np.ndarray, digits: int = 120) -> list[mp.mpf]:
    """`reference_log_density` at every row of `points`."""
    return [reference_log_density(model, np.atleast_1d(x), digits) for x in points]
