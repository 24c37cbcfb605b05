"""The verifier of claims about maps of the line, against preimages counted at all critical points."""

import json
from bisect import bisect_right
from fractions import Fraction

import pytest
from common.pattern_proofs import accepted, model
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import PiecewiseAffineMap
from ident_theory.exact import verify_lines
from ident_theory.exact.verifier import verify

ABSOLUTE = PiecewiseAffineMap([0], [-1, 1], [0, 0])
RELU = PiecewiseAffineMap([0], [0, 1], [0, 0])
FOLDED = PiecewiseAffineMap([-2, 1], [-1, 1, "1/2"], [-2, 2, "5/2"])
ZIGZAG = PiecewiseAffineMap([-1, 1], [1, -1, 1], [2, 0, -2])
SPLIT = PiecewiseAffineMap([0], [1, 1], [0, 1])
MET = PiecewiseAffineMap([0], [1, -1], [0, -1])  # two pieces on one line, the first end open
LOOP = PiecewiseAffineMap([0, 1, 2], [[1, 0], [0, 1], [-1, -1], [0, -1]], [[0, 0], [0, 0], [2, 2], [0, 2]])
STEPS = PiecewiseAffineMap([0], [0, 0], [1, 2])

CASES = [
    ("line.continuous", ABSOLUTE, {}),
    ("line.continuous", ZIGZAG, {}),
    ("line.jump", SPLIT, {"breakpoint": 0}),
    ("line.injective", SPLIT, {}),
    ("line.observably_injective", RELU, {}),
    ("line.single_preimage", ZIGZAG, {"z": [4]}),
    ("line.single_preimage", RELU, {"z": ["1/3"]}),
    ("line.covered", ABSOLUTE, {}),
    ("line.covered", FOLDED, {}),
    ("line.covered", STEPS, {}),
    ("line.flat", STEPS, {}),
]


@pytest.mark.parametrize(("kind", "decoder", "data"), CASES)
def test_accepts(kind, decoder, data):
    verify(kind, json.loads(json.dumps(data)), model(decoder))
    assert not accepted(kind, decoder, {**data, "more": 1})


@pytest.mark.parametrize(("kind", "decoder", "data"), [
    ("line.continuous", SPLIT, {}),
    ("line.jump", ABSOLUTE, {"breakpoint": 0}),
    ("line.jump", SPLIT, {"breakpoint": 1}),
    ("line.jump", SPLIT, {"breakpoint": -1}),
    ("line.injective", RELU, {}),
    ("line.injective", ZIGZAG, {}),
    ("line.injective", LOOP, {}),
    ("line.observably_injective", ABSOLUTE, {}),
    ("line.observably_injective", STEPS, {}),
    ("line.single_preimage", ZIGZAG, {"z": [0]}),
    ("line.single_preimage", ZIGZAG, {"z": [-3]}),  # the value of the right end of another piece: touched, not taken
    ("line.single_preimage", RELU, {"z": [0]}),
    ("line.single_preimage", RELU, {"z": [-1]}),
    ("line.single_preimage", RELU, {"z": 1}),
    ("line.single_preimage", RELU, {}),
    ("line.covered", RELU, {}),
    ("line.covered", ZIGZAG, {}),
    ("line.flat", RELU, {}),
])
def test_rejects(kind, decoder, data):
    assert not accepted(kind, decoder, data)


def test_the_map_must_be_explicit():
    assert set(verify_lines.PROVES) == set(verify_lines.VERIFIERS)
    network = {"type": "relu_network", "weights": [[[1]]], "biases": [[0]], "negative_slope": 0}
    for kind in verify_lines.VERIFIERS:
        assert not _accepts_tree(kind, {"decoder": network})
    plain = ABSOLUTE.plain()
    for change in ({"breakpoints": [0, 0]}, {"breakpoints": []}, {"slopes": [[1], [1, 2]]}, {"slopes": [[1]]},
                   {"intercepts": [[0], [0.5]]}):
        assert not _accepts_tree("line.covered", {"decoder": {**plain, **change}})


def _accepts_tree(kind, tree):
    from ident_theory.errors import CertificateRejected

    try:
        verify(kind, {}, tree)
    except CertificateRejected:
        return False
    return True


class Reference:
    """Preimages are counted exactly, at all points where their number may change, and between them."""

    def __init__(self, f):
        self.t = list(f.breakpoints_exact)
        self.a, self.c = f.slopes_exact.tolist(), f.intercepts_exact.tolist()
        ends = {tuple(a * t + c for a, c in zip(self.a[k], self.c[k], strict=True))
                for k in range(len(self.a)) for t in self.t[max(0, k - 1):k + 1]}
        ends |= {tuple(c) for a, c in zip(self.a, self.c, strict=True) if not any(a)}
        critical = set(self.t) | {z for k in range(len(self.a)) for x in ends for z in self.solve(k, x)}
        for k in range(len(self.a)):
            for l in range(k):
                critical |= set(self.crossing(k, l)) | set(self.crossing(l, k))
        points = sorted(critical) or [Fraction(0)]
        between = [(p + q) / 2 for p, q in zip(points, points[1:], strict=False)]
        self.between = [points[0] - 1, *between, points[-1] + 1]
        self.critical = points

    def solve(self, k, x):
        """The z with a_k z + c_k = x on a piece that is not constant, wherever z lies."""
        i = next((i for i, a in enumerate(self.a[k]) if a), None)
        if i is None:
            return []
        z = (x[i] - self.c[k][i]) / self.a[k][i]
        return [z] if all(a * z + c == y for a, c, y in zip(self.a[k], self.c[k], x, strict=True)) else []

    def crossing(self, k, l):
        """The z at which the line of piece k meets the line of piece l, when they are not parallel."""
        for i in range(len(self.a[k])):
            for j in range(i):
                det = -self.a[k][i] * self.a[l][j] + self.a[k][j] * self.a[l][i]
                if det:
                    r, s = self.c[l][i] - self.c[k][i], self.c[l][j] - self.c[k][j]
                    z = (-r * self.a[l][j] + s * self.a[l][i]) / det
                    x = [a * z + c for a, c in zip(self.a[k], self.c[k], strict=True)]
                    return [z] if self.solve(l, x) else []
        return []

    def count(self, z):
        """Number of preimages of f(z); infinite when a constant piece takes the value."""
        own = bisect_right(self.t, z)
        x = [a * z + c for a, c in zip(self.a[own], self.c[own], strict=True)]
        if any(not any(a) and c == x for a, c in zip(self.a, self.c, strict=True)):
            return float("inf")
        return sum(bisect_right(self.t, w) == k for k in range(len(self.a)) for w in self.solve(k, x))

    def moves(self, z):
        return any(self.a[bisect_right(self.t, z)])


@st.composite
def small_maps(draw):
    count, n = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 2]))
    entry = st.integers(-2, 2)
    breaks = sorted(draw(st.sets(st.integers(-3, 3), min_size=count - 1, max_size=count - 1)))
    slopes = [[draw(entry) for _ in range(n)] for _ in range(count)]
    intercepts = [[draw(entry) for _ in range(n)] for _ in range(count)]
    if draw(st.booleans()):  # continuous
        for k, t in enumerate(breaks):
            intercepts[k + 1] = [a * t + c - b * t for a, c, b in zip(slopes[k], intercepts[k], slopes[k + 1],
                                                                      strict=True)]
    return PiecewiseAffineMap(breaks, slopes, intercepts)


@settings(max_examples=400)
@given(small_maps())
def test_claims_are_accepted_exactly_when_they_are_true(f):
    r = Reference(f)
    moving = [z for z in r.between if r.moves(z)]
    single = [z for z in moving if r.count(z) == 1]
    assert accepted("line.injective", f, {}) == all(r.count(z) == 1 for z in r.critical + r.between)
    assert accepted("line.observably_injective", f, {}) == (bool(moving) and len(single) == len(moving))
    assert accepted("line.covered", f, {}) == (not single)
    assert accepted("line.flat", f, {}) == (not moving)
    assert accepted("line.continuous", f, {}) == f.is_continuous
    assert any(accepted("line.jump", f, {"breakpoint": k}) for k in range(len(r.t))) == (not f.is_continuous)
    for z in r.between:
        assert accepted("line.single_preimage", f, {"z": [str(z)]}) == (z in single)


@settings(max_examples=200)
@given(small_maps(), st.fractions(-4, 4, max_denominator=4), st.fractions(-4, 4, max_denominator=4))
def test_pairs_of_points(f, z, other):
    r = Reference(f)
    data = {"z": [str(z)], "other": [str(other)]}

    def value(t):
        k = bisect_right(r.t, t)
        return [a * t + c for a, c in zip(r.a[k], r.c[k], strict=True)]

    assert accepted("decoder.collision", f, data) == (z != other and value(z) == value(other))
    if accepted("decoder.overlap", f, data):
        assert accepted("decoder.collision", f, data)
        assert not accepted("line.observably_injective", f, {})
