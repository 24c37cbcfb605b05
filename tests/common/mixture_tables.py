"""Hypothesis strategies for mixtures over several hidden variables: small integers, so that coincidences are common."""

from __future__ import annotations

import itertools
import math

from hypothesis import strategies as st

from ident_theory import GaussianMixture


@st.composite
def hidden_mixtures(draw, most_cells: int = 12, most_coordinates: int = 3):
    """Tables of one to three hidden variables; each coordinate follows a few of them, often with repeated laws.

    Some are two variables in one, with their states in any order.
    """
    shapes = [d for k in (1, 2, 3) for d in itertools.product((2, 3, 4, 6), repeat=k) if math.prod(d) <= most_cells]
    sizes = draw(st.sampled_from([*shapes, *(d for d in shapes if len(d) > 1), (1,), (2, 1), (1, 3)]))
    cells = list(itertools.product(*(range(d) for d in sizes)))
    m = draw(st.integers(1, most_coordinates))
    means, variances = [[0] * m for _ in cells], [[1] * m for _ in cells]
    faithful = draw(st.booleans())
    for t in range(m):
        acting = draw(st.sets(st.integers(0, len(sizes) - 1), min_size=int(faithful), max_size=len(sizes)))
        rows: dict[tuple[int, ...], tuple[int, int]] = {}
        all_new = faithful or draw(st.booleans())
        for j, cell in enumerate(cells):
            key = tuple(cell[i] for i in sorted(acting))
            if key not in rows:
                rows[key] = (len(rows) if all_new else draw(st.integers(0, 1)), draw(st.sampled_from([1, 1, 2, 3])))
            means[j][t], variances[j][t] = rows[key]
    covariances = [[[variances[j][s] if s == t else 0 for t in range(m)] for s in range(m)] for j in range(len(cells))]
    if len(sizes) > 1 and draw(st.booleans()):
        rest = len(cells) // (sizes[0] * sizes[1])
        order = [u * rest + v for u in draw(st.permutations(range(sizes[0] * sizes[1]))) for v in range(rest)]
        means, covariances = [means[j] for j in order], [covariances[j] for j in order]
        sizes = (sizes[0] * sizes[1], *sizes[2:])
    weights = [1] * len(cells)
    flaw = draw(st.sampled_from(["none", "none", "none", "zero weight", "singular", "dependent", "equal components"]))
    j = draw(st.integers(0, len(cells) - 1))
    if flaw == "zero weight" and len(cells) > 1:
        weights[j] = 0
    elif flaw == "singular":
        t = draw(st.integers(0, m - 1))
        covariances[j][t][t] = 0
    elif flaw == "dependent" and m > 1:
        covariances[j][0][:2], covariances[j][1][:2] = draw(st.sampled_from([([2, 1], [1, 2]), ([1, 1], [1, 1])]))
    elif flaw == "equal components":
        means[j], covariances[j] = means[0], covariances[0]
    total = sum(weights)
    declared = draw(st.one_of(st.none(), st.lists(st.lists(st.integers(0, m - 1), unique=True, max_size=m),
                                                  min_size=len(sizes), max_size=len(sizes))))
    return GaussianMixture([f"{w}/{total}" for w in weights], means, covariances, states=sizes, neighbourhoods=declared)
