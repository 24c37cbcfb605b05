"""Two piecewise affine maps with infinitely many pieces: observably injective, but crowded everywhere.

The first: f(z) = z for z < 0 and f(z) = r_k for k <= z < k + 1, with r_0, r_1, ... all rationals, each once. Its image
is dense in the line, so that no ball misses it.

The second is continuous, a curve in the plane of segments along the axes, one for each unit of z >= 0, and a ray
before. Round i goes along y = r_i from x = -M to x = M, up to y = M, back to x = r_i,
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


def crowded_ball(center: Fraction, radius: Fraction) -> bool:
    """Whether a value in the ball has several preimages: the plateau of a rational in it is looked up."""
    k = signed_place(center + radius / 3)
    # k may be astronomically large as an integer, but the plateau is at k all the same.
    values = {value(z) for z in (Fraction(k), k + Fraction(1, 2))}
    return len(values) == 1 and abs(values.pop() - center) < radius


def value(z: Fraction) -> Fraction:
    """f(z)."""
    return z if z < 0 else signed_at(z.numerator // z.denominator)


def signed_at(k: int) -> Fraction:
    """The k-th rational: 0, then the positive ones and their negatives in turn."""
    return Fraction(0) if k == 0 else rational_at((k - 1) // 2) * (1 if k % 2 else -1)


def signed_place(q: Fraction) -> int:
    """The number k with `signed_at(k)` = q."""
    return 0 if q == 0 else 2 * plateau_of(abs(q)) + (1 if q > 0 else 2)


def _ends(i: int) -> list[int]:
    """The numbers M of round i, less sqrt(2)."""
    return [6 * i - 2 if i else 2, *(6 * i + k for k in range(1, 5))]


def segments_of_round(i: int) -> list[tuple[float, float, float]]:
    """Line, lower and upper end of the six segments of round i, along either axis in turn."""
    r, after = float(signed_at(i)), float(signed_at(i + 1))
    m = [end + sqrt(2) for end in _ends(i)]
    return [(r, -m[0], m[1]), (m[1], r, m[2]), (m[2], r, m[1]), (r, -m[3], m[2]), (-m[3], -m[4], r),
            (-m[4], min(-m[3], after), max(-m[3], after))]


def is_crossed(axis: int, at: float, low: Fraction, high: Fraction) -> bool:
    """Whether a segment of the curve along the other axis crosses the line `at` strictly between `low` and `high`.

    `axis` is 0 for a segment along the first axis. The long segments of round i are the first, along that axis, and the
    fourth; they lie on the line r_i and reach from below -i to above i.
    """
    for parts in count(3):
        i = signed_place(low + (high - low) / parts)
        if i >= abs(at):
            ends = _ends(i)
            # sqrt(2) > 1, and i may be too large for a float.
            start, end = ((-ends[3] - 1, ends[2] + 1), (-ends[0] - 1, ends[1] + 1))[axis]
            return low < signed_at(i) < high and start < at < end
    raise AssertionError
