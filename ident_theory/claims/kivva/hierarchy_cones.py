"""Two piecewise linear maps of the plane into R^4 with one law, equal on one cone and mirrored on another.

Each is linear on the cones between neighbouring rays. On the right and on the left cone |v| < |u| both are injective;
the edges v = u and v = -u all go to the ray of p, and so do the cones above and below, where f(u, v) = |v| p.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy

RIGHT = ((1, -1), (3, -1), (3, 1), (1, 1))
LEFT = ((-1, 1), (-3, 1), (-3, -1), (-1, -1))
RAYS = (*RIGHT, *LEFT)
P, Q1, Q2, S1, S2 = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, -1, -1, 1)
MIRROR = sympy.Matrix([[1, 0], [0, -1]])


@dataclass(frozen=True)
class ConeMap:
    """The continuous map that is linear between neighbouring rays, with these values on them."""

    values: tuple[tuple[int, ...], ...]

    def cones(self) -> list[tuple[sympy.Matrix, sympy.Matrix]]:
        """The generators of each cone as columns, and the linear map on it."""
        found = []
        for k in range(len(RAYS)):
            j = (k + 1) % len(RAYS)
            rays = sympy.Matrix([RAYS[k], RAYS[j]]).T
            found.append((rays, sympy.Matrix([self.values[k], self.values[j]]).T * rays.inv()))
        return found

    def at(self, u: Fraction | int, v: Fraction | int) -> sympy.Matrix:
        """The value at a point."""
        point = sympy.Matrix([u, v])
        return next(linear * point for rays, linear in self.cones() if min(rays.inv() * point) >= 0)


F = ConeMap((P, Q1, Q2, P, P, S1, S2, P))
G = ConeMap((P, Q1, Q2, P, P, S2, S1, P))


def double_directions(f: ConeMap) -> list[sympy.Matrix] | None:
    """Values other than 0 that two cones of full rank share, apart from common edges; None if in two dimensions."""
    full = [(rays, linear * rays) for rays, linear in f.cones() if linear.rank() == 2]
    found = []
    for i, (rays, values) in enumerate(full):
        for other_rays, other in full[:i]:
            null = sympy.Matrix.hstack(values, -other).nullspace()
            if len(null) > 1:
                return None
            for vector in null:
                if min(vector) >= 0 or max(vector) <= 0:
                    first, second = rays * vector[:2, :], other_rays * vector[2:, :]
                    if first != second:
                        found.append(values * vector[:2, :])
    return found


def mirrored_on_the_left() -> bool:
    """Whether g = f o T, T turning v round on the left cone and nowhere else: T keeps N(0, I)."""
    left = set(LEFT)
    for (rays, linear), (_, other) in zip(F.cones(), G.cones(), strict=True):
        on_left = {tuple(rays[:, 0]), tuple(rays[:, 1])} <= left
        # The cone of f that T carries this cone to.
        target = MIRROR * rays if on_left else rays
        through = next(m for r, m in F.cones() if {tuple(r[:, 0]), tuple(r[:, 1])} == {
            tuple(target[:, 0]), tuple(target[:, 1])})
        if other != (through * MIRROR if on_left else linear):
            return False
    return sympy.eye(2) == MIRROR * MIRROR.T and {tuple(MIRROR * sympy.Matrix(ray)) for ray in LEFT} == left
