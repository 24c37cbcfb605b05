"""Two piecewise affine maps with infinitely many pieces: observably injective, but crowded everywhere.

The first: f(z) = z for z < 0 and f(z) = -q_k for k <= z < k + 1, with q_0, q_1, ... the positive rationals, each once.

The second is continuous, a curve in the plane of segments along the axes, one for each unit of z >= 0, and a ray
before. With r_0, r_1, ... all rationals, round i goes along y = r_i from x = -M to x = M, up to y = M, back to x = r_i,
along x = r_i down to y = -M, on to x = -M and up to y = r_{i + 1}. Each M is another number k + sqrt(2) with k >= i, so
that no two segments lie on one line: values with two preimages are single crossings.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import count
from math import sqrt


def rational_at(k: int) -> Fraction:
    """The k-th positive rational in the order of Calkin and Wilf, counted from 0."""
    q = Fraction(1)
    for bit in bin(k + 1)[3:]:
        q = q + 1 if bit == "1" else q / (q + 1)
    return q


def plateau_of(q: Fraction) -> int:
    """The number k with `rational_at(k)` = q."""
    bits: list[int] = []
    while q != 1:
        if q > 1:
            steps = -(-q.numerator // q.denominator) - 1
            bits += [1] * steps
            q -= steps
        else:
            steps = -(-q.denominator // q.numerator) - 1
            bits += [0] * steps
            q = 1 / (1 / q - steps)
    return int("1" + "".join(map(str, reversed(bits))), 2) - 1


PLATEAUS = tuple(rational_at(k) for k in range(200))


def value(z: Fraction) -> Fraction:
    """f(z)."""
    return z if z < 0 else -rational_at(z.numerator // z.denominator)


def crowded_ball(center: Fraction, radius: Fraction) -> bool:
    """Whether a value within the ball around a negative number has several preimages: a plateau is looked up."""
    target = -(center + radius / 3)
    if target <= 0:
        return False
    k = plateau_of(target)
    # k may be astronomically large as an integer, but the plateau is at k all the same.
    points = (-target, Fraction(k), Fraction(k) + Fraction(1, 2))
    return len({value(z) for z in points}) == 1 and abs(value(points[0]) - center) < radius


def signed_at(k: int) -> Fraction:
    """The k-th rational: 0, then the positive ones and their negatives in turn."""
    return Fraction(0) if k == 0 else rational_at((k - 1) // 2) * (1 if k % 2 else -1)


def signed_place(q: Fraction) -> int:
    """The number k with `signed_at(k)` = q."""
    return 0 if q == 0 else 2 * plateau_of(abs(q)) + (1 if q > 0 else 2)


def crossing_round(at: float, low: Fraction, high: Fraction) -> int:
    """A round of the curve whose long segment crosses a segment on the line `at` between `low` and `high`.

    The long segments at r_i reach from below -i to above i.
    """
    for parts in count(3):
        i = signed_place(low + (high - low) / parts)
        if i >= abs(at):
            return i
    raise AssertionError


def segments_of_round(i: int) -> list[tuple[float, float, float]]:
    """Line, lower and upper end of the six segments of round i, along either axis in turn."""
    r, after = float(signed_at(i)), float(signed_at(i + 1))
    m = [(6 * i - 2 if i else 2) + sqrt(2), *(6 * i + k + sqrt(2) for k in range(1, 5))]
    return [(r, -m[0], m[1]), (m[1], r, m[2]), (m[2], r, m[1]), (r, -m[3], m[2]), (-m[3], -m[4], r),
            (-m[4], min(-m[3], after), max(-m[3], after))]
