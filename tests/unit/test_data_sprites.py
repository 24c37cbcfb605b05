"""The sprite renderer against closed forms and a brute-force count of covered points."""

import math

import numpy as np
import pytest
from scipy import stats

from ident_theory.data.rendering import HEART_DEPTH, HEART_SIDE, SHAPES, area, render_sprites, sprites
from ident_theory.errors import InputError

WIDTH = 32
EACH = range(len(SHAPES))


def inside(shape, s, q1, q2):
    """Whether points of the frame lie in a shape: its definition, without distances."""
    if shape == "square":
        return (np.abs(q1) <= s / math.sqrt(2)) & (np.abs(q2) <= s / math.sqrt(2))
    if shape == "ellipse":
        return (q1 / s) ** 2 + (2 * q2 / s) ** 2 <= 1
    side, q2 = HEART_SIDE * s, q2 + HEART_DEPTH * s
    at = side / math.sqrt(8)
    discs = [(q1 - sign * at) ** 2 + (q2 - at) ** 2 <= side**2 / 4 for sign in (-1, 1)]
    return (np.abs(q1) + np.abs(q2) <= side / math.sqrt(2)) | discs[0] | discs[1]


def covered(shape, s, angle, x, y, width=WIDTH, points=16):
    """Share of points of a pixel that lie in the shape."""
    fine = (np.arange(width * points) + 0.5) / (width * points) * 2 - 1
    right, up = fine[None] - x, -fine[:, None] - y
    cos, sin = math.cos(angle), math.sin(angle)
    hit = inside(shape, s, cos * right + sin * up, cos * up - sin * right)
    return hit.reshape(width, points, width, points).mean((1, 3))


def drawn(number, s, angle=0.0, x=0.0, y=0.0, width=WIDTH):
    return render_sprites([number], [s], [angle], [x], [y], width=width)[0]


def draws(seed, count, low=0.25, high=0.45):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(low, high, count), rng.uniform(0, 2 * math.pi, count),
                            rng.uniform(-0.5, 0.5, (count, 2))])


@pytest.mark.parametrize("number", EACH)
def test_a_pixel_is_the_share_that_is_covered(number):
    # The brute-force count itself is off by at most 1/16, by 1/32 where edges are not along the axes.
    shape, right = SHAPES[number], (np.arange(WIDTH) + 0.5) * 2 / WIDTH - 1
    for s, angle, x, y in draws(number, 60):
        error = np.abs(drawn(number, s, angle, x, y) - covered(shape, s, angle, x, y))
        if shape == "heart":  # the notch, where the two discs and the square meet, is worse
            notch = HEART_SIDE * s / math.sqrt(2) - HEART_DEPTH * s
            far = np.hypot(right[None] - (x - notch * math.sin(angle)), -right[:, None] - (y + notch * math.cos(angle)))
            assert error.max() < 0.3
            error = error[far > 3 / WIDTH]
        assert error.max() < 0.12


def test_edges_along_the_axes_are_exact():
    rng = np.random.default_rng(1)
    ends = np.arange(WIDTH) * 2 / WIDTH - 1
    for s, x, y in zip(rng.uniform(0.2, 0.5, 20), *rng.uniform(-0.6, 0.6, (2, 20)), strict=True):
        half = s / math.sqrt(2)
        across, upwards = (np.clip(np.minimum(ends + 2 / WIDTH, c + half) - np.maximum(ends, c - half), 0, None)
                           * WIDTH / 2 for c in (x, y))
        np.testing.assert_allclose(drawn(0, s, 0.0, x, y), np.outer(upwards[::-1], across), rtol=0, atol=1e-12)


@pytest.mark.parametrize("number", EACH)
def test_area(number):
    shape = SHAPES[number]
    # The closed form against a count of 4 million points: 2000 of them a row, an edge is off by a point at most.
    assert area(shape, 0.9) == pytest.approx(4 * covered(shape, 0.9, 0.3, 0, 0, 8, 250).mean(), rel=2e-3)
    pixels = [4 * drawn(number, *draw).mean() / area(shape, draw[0]) - 1 for draw in draws(2, 300)]
    assert np.abs(pixels).max() < 0.03
    fine = [4 * drawn(number, *draw, width=256).mean() / area(shape, draw[0]) - 1 for draw in draws(3, 20)]
    assert np.abs(fine).max() < 1e-3


@pytest.mark.parametrize("number", EACH)
def test_a_centre_on_the_centre_of_a_pixel(number):
    made = drawn(number, 0.5, 0.3, width=31)
    np.testing.assert_array_equal(made[14:17, 14:17], 1)
    assert made[0, 0] == 0


@pytest.mark.parametrize("number", EACH)
def test_a_move_by_pixels_moves_the_picture(number):
    for s, angle, x, y in draws(4, 20):
        moved = drawn(number, s, angle, x - 3 * 2 / WIDTH, y + 2 / WIDTH)
        still = drawn(number, s, angle, x, y)
        np.testing.assert_allclose(moved, np.roll(still, (-1, -3), (0, 1)), rtol=0, atol=1e-9)
        assert np.abs(moved - still).max() > 0.3


@pytest.mark.parametrize(("number", "turn"), [(0, math.pi / 2), (1, math.pi), (2, 2 * math.pi)])
def test_symmetry_of_rotation(number, turn):
    for s, angle, x, y in draws(5, 20):
        first = drawn(number, s, angle, x, y)
        np.testing.assert_allclose(drawn(number, s, angle + turn, x, y), first, rtol=0, atol=1e-9)
        assert np.abs(drawn(number, s, angle + turn / 2, x, y) - first).max() > 0.1  # and no smaller turn
        # A quarter turn of the scene turns the picture, against the clock.
        np.testing.assert_allclose(drawn(number, s, angle + math.pi / 2, -y, x), np.rot90(first), rtol=0, atol=1e-9)


@pytest.mark.parametrize("number", EACH)
def test_scale_is_the_radius_of_the_circumscribed_circle(number):
    centres = (np.arange(128) + 0.5) / 64 - 1
    for s, angle, *_ in draws(6, 20):
        far = np.hypot(centres[None], centres[:, None])[drawn(number, s, angle, width=128) > 0.05].max()
        assert s - 1.5 / 64 < far < s + 1.5 / 64


def test_pictures_do_not_depend_on_their_neighbours():
    made = draws(7, 200)
    numbers = np.arange(200) % 3
    together = render_sprites(numbers, *made.T)
    for row in (0, 1, 2, 63, 64, 199):
        np.testing.assert_array_equal(together[row], drawn(numbers[row], *made[row]))
    assert render_sprites(np.empty(0, int), [], [], [], []).shape == (0, 32, 32)


def test_the_data_set_is_what_its_factors_render():
    made = sprites(np.random.default_rng(0), size=90, width=24)
    assert made.image_shape == (1, 24, 24)
    assert made.x.min() >= 0
    assert made.x.max() <= 1
    for column, name in zip(made.z.T, ("scale", "orientation", "x", "y"), strict=True):
        np.testing.assert_array_equal(column, made.factors[name])
    np.testing.assert_array_equal(made.u, made.factors["shape"])
    again = render_sprites(*(made.factors[k] for k in ("shape", "scale", "orientation", "x", "y")), width=24)
    np.testing.assert_array_equal(made.x, again.reshape(90, -1))
    # The whole shape is inside: the area is its own, also for the largest at the margin.
    edge = sprites(np.random.default_rng(0), size=60, scale=(0.45, 0.45), x=(0.5, 0.5), y=(-0.5, -0.5), width=64)
    expected = [area(SHAPES[k], 0.45) / 4 for k in edge.factors["shape"]]
    np.testing.assert_allclose(edge.x.mean(1), expected, rtol=0.02)


def test_settings_make_the_data_again():
    made = sprites(np.random.default_rng(0), size=np.int64(60), colour=True, scale=[0.3, 0.4], conditions="hue")
    np.testing.assert_array_equal(sprites(np.random.default_rng(0), **made.settings).x, made.x)


def test_determinism():
    state = np.random.get_state()[1].copy()  # noqa: NPY002 -- it must be left alone
    first, second, other = (sprites(np.random.default_rng(seed), size=50) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, second.x)
    assert not np.array_equal(first.z, other.z)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    fixed = sprites(np.random.default_rng(3), size=50, scale=(0.3, 0.3))
    assert fixed.latent_dim == 3
    np.testing.assert_array_equal(fixed.z, first.z[:, 1:])
    assert (fixed.factors["scale"] == 0.3).all()


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_factors_are_independent_with_their_law(distribution):
    # Fixed seed; a correct generator fails a seed with probability below 5 x 1e-4 + 15 x 1e-4.
    made = sprites(np.random.default_rng(8), size=4000, width=12, scale=(0.4, 0.5), distribution=distribution,
                   colour=True)
    law = stats.uniform() if distribution == "uniform" else stats.truncnorm(-3, 3, loc=0.5, scale=1 / 6)
    ranges = [(0.4, 0.5), (0, math.pi / 2), (-0.5, 0.5), (-0.5, 0.5), (0, 2 / 3)]
    for column, (low, high) in zip(made.z.T, ranges, strict=True):
        assert low <= column.min() < column.max() <= high
        assert np.ptp(column) > 0.9 * (high - low)  # the normal law is cut at three deviations, not before
        assert stats.kstest((column - low) / (high - low), law.cdf).pvalue > 1e-4
    joint = np.corrcoef(np.column_stack([made.z, made.u]).T) - np.eye(6)
    assert np.abs(joint).max() < 3.9 / math.sqrt(4000)
    assert stats.chisquare(np.bincount(made.u)).pvalue > 1e-4


def test_conditions():
    rng = np.random.default_rng
    some = sprites(rng(0), size=40, shapes=("heart", "square"))
    np.testing.assert_array_equal(some.u, np.where(some.factors["shape"] == 2, 0, 1))
    assert set(some.factors["shape"]) == {0, 2}
    parts = sprites(rng(0), size=200, conditions="x", levels=4)
    np.testing.assert_array_equal(parts.u, np.floor((parts.factors["x"] + 0.5) * 4))
    assert sprites(rng(0), size=3, conditions=None).u is None
    with pytest.raises(InputError, match="each of which occurs"):
        sprites(rng(0), size=2)


def test_colour():
    made = sprites(np.random.default_rng(0), size=60, colour=True)
    assert made.image_shape == (3, 32, 32)
    grey = sprites(np.random.default_rng(0), size=60)
    for h, picture, plain in zip(made.factors["hue"], made.x.reshape(60, 3, -1), grey.x, strict=True):
        # Hue of a full colour: one channel at 1, the next rising or falling in a sixth of the circle.
        step = 6 * h
        rgb = [min(1, max(0, 2 - step)), min(1, step, 4 - step), min(1, max(0, step - 2))]
        np.testing.assert_allclose(picture, np.outer(rgb, plain), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("settings", "message"), [
    ({"size": 0}, "size: expected a whole number >= 1"),
    ({"size": True}, "size: expected a whole number"),
    ({"width": 4}, "width: expected a whole number >= 8"),
    ({"width": 8}, "scale: expected at least two pixels, which is 0.5 at width 8"),
    ({"shapes": ("square", "star")}, "shapes: expected one of square, ellipse, heart, found 'star'"),
    ({"shapes": ()}, "shapes: expected distinct names"),
    ({"shapes": ("heart", "heart")}, "shapes: expected distinct names"),
    ({"shapes": "heart"}, "shapes: expected distinct names"),
    ({"scale": (-1.0, 0.5)}, "scale: expected two numbers > 0"),
    ({"x": (0.5, -0.5)}, "x: expected two finite numbers"),
    ({"y": (0.0, math.nan)}, "y: expected a finite number"),
    ({"distribution": "cauchy"}, "distribution: expected one of uniform, normal"),
    ({"conditions": "hue"}, "conditions: expected one of shape, scale, orientation, x, y, found 'hue'"),
    ({"conditions": "x", "x": (0, 0)}, "conditions: expected one of shape, scale, orientation, y"),
    ({"levels": 1}, "levels: expected a whole number >= 2"),
    ({"colour": 3}, "colour: expected True or False"),
])
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        sprites(np.random.default_rng(0), **{"size": 30, **settings})


def test_bad_factors():
    good = [[0], [0.3], [0.0], [0.0], [0.0]]
    for place, bad, message in ((0, [3], "shape: expected whole numbers from 0 to 2"), (0, [0.0], "shape"),
                                (1, [0.1], "scale: expected at least two pixels"), (2, [math.inf], "orientation"),
                                (3, [0.0, 0.0], "x: expected 1 finite numbers"), (3, ["left"], "x: expected"),
                                (4, [math.nan], "y: expected")):
        with pytest.raises(InputError, match=message):
            render_sprites(*good[:place], bad, *good[place + 1:])
    with pytest.raises(InputError, match=r"rng: expected a numpy\.random\.Generator"):
        sprites(0)
    with pytest.raises(InputError, match="area: shape"):
        area("star", 1.0)
