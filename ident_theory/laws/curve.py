"""Expectations under noiseless laws on curves in R^n, with respect to arc length and counting on atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from flint import fmpq
from scipy.special import logsumexp

from ident_theory.geometry.line import LinePieces
from ident_theory.geometry.stretches import Stretch
from ident_theory.laws.line_terms import Component
from ident_theory.models.value import FloatArray


def overlap(a: Stretch, b: Stretch) -> tuple[float, float] | None:
    """The interval of z in both stretches, None when they are of different pieces or do not meet."""
    if a.piece != b.piece:
        return None
    low = max((float(s.left) for s in (a, b) if s.left is not None), default=-math.inf)
    high = min((float(s.right) for s in (a, b) if s.right is not None), default=math.inf)
    return (low, high) if low < high else None


def log_density_along(stretch: Stretch, q: LinePieces, components: Sequence[Component], z: FloatArray) -> FloatArray:
    """Log density of the law of `q` with respect to arc length, at the images of z in a stretch."""
    terms = []
    for m in stretch.maps:
        speed = math.sqrt(float(sum((a * a for a in q.slopes[m.piece]), fmpq(0))))
        for c in components:
            tau = math.sqrt(float(c.variance))
            # Around the preimage of the mean nothing cancels.
            center, scale = float((c.mean - m.shift) / m.ratio), float(m.ratio) / tau
            terms.append(math.log(float(c.weight)) - math.log(tau * speed) - 0.5 * math.log(2 * math.pi)
                         - 0.5 * ((z - center) * scale) ** 2)
    return np.asarray(logsumexp(terms, axis=0)) if terms else np.full(len(z), -math.inf)
