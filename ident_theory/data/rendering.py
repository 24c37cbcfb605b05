r"""Pictures of one shape whose factors are known: a renderer in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ident_theory.data.arguments import choice, count, generator, interval, switch
from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError
from ident_theory.models.value import FloatArray

#: The shapes, in the order of their numbers.
SHAPES = ("square", "ellipse", "heart")
#: Half the distance of the heart's disc centres for a square of side 1. At circumscribed radius 1: the side, and the
#: depth of the square's centre below the heart's, whose lowest point is as far away as the farthest of the discs.
_H = math.sqrt(0.125)
_DEPTH = (0.25 - (2 * _H - 0.5) ** 2) / (6 * _H - 1)
HEART_SIDE = 1 / (2 * _H + _DEPTH)
HEART_DEPTH = _DEPTH * HEART_SIDE
#: Images rendered at a time: their coordinates stay in the processor's cache.
BLOCK = 64


def area(shape: str, scale: float) -> float:
    r"""The area of a shape of circumscribed radius s, in squared units of `scale`.

    :math:`2 s^2` for the square, :math:`\pi s^2 / 2` for the ellipse, :math:`(1 + \pi/4)\, l^2` for the heart with
    side :math:`l \approx 1.1213\, s`.
    """
    unit = {"square": 2.0, "ellipse": math.pi / 2, "heart": (1 + math.pi / 4) * HEART_SIDE**2}
    return unit[choice(shape, "area: shape", SHAPES)] * scale**2


def render_sprites(shape: np.ndarray, scale: np.ndarray, orientation: np.ndarray, x: np.ndarray, y: np.ndarray, *,
                   width: int = 32) -> FloatArray:
    r"""Draw one shape an image, white on black, edges anti-aliased.

    A pixel's centre lies at :math:`p \in [-1, 1]^2`, the first axis to the right and the second upwards, the pixel
    side being :math:`\delta = 2 / w`. In the frame of the shape it lies at :math:`q = R(-\theta)(p - (x, y))`, and its
    value approximates the share of it that is covered. At signed distance d of a straight edge that is

    .. math:: c(d) = \min(1, \max(0, \tfrac12 - d / \delta)),

    exact for edges along the axes and within :math:`(3 - 2\sqrt2)/4 < 0.043` for others. With the radius s,

    * square: :math:`c(|q_1| - s/\sqrt2)\, c(|q_2| - s/\sqrt2)`;
    * ellipse: :math:`c(k (k - 1) / k')` with :math:`k = |(q_1/a, q_2/b)|`, :math:`k' = |(q_1/a^2, q_2/b^2)|`,
      a = s, b = s/2, the distance to first order;
    * heart: the largest of the coverages of a square of side :math:`l`, standing on its corner, and of the two discs
      that have its upper sides as diameters.

    Parameters
    ----------
    shape : array_like of int, shape (N,)
        Positions in `SHAPES`.
    scale : array_like, shape (N,)
        Radius s of the circumscribed circle, 1 being half the image; at least two pixels long.
    orientation : array_like, shape (N,)
        Angle :math:`\theta` against the clock, in radians.
    x, y : array_like, shape (N,)
        Centre of the circumscribed circle.
    width : int
        Pixels a side, at least 8.

    Returns
    -------
    ndarray, shape (N, width, width)
        In [0, 1], the first row on top. For radii of at least four pixels a pixel is within 0.12 of its covered share
        (0.3 in the heart's notch), and the sum within 3 % of the area.

    Raises
    ------
    InputError
        For numbers that are not finite, other shapes, or shapes of a radius below two pixels.
    """
    width = count(width, "render_sprites: width", 8)
    numbers = np.asarray(shape)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not np.isin(numbers, range(len(SHAPES))).all():
        raise InputError(f"render_sprites: shape: expected whole numbers from 0 to {len(SHAPES) - 1}, found "
                         f"{shape!r}")
    factors = []
    for name, values in (("scale", scale), ("orientation", orientation), ("x", x), ("y", y)):
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.shape != numbers.shape or not np.isfinite(array).all():
            raise InputError(f"render_sprites: {name}: expected {len(numbers)} finite numbers, one for each shape, "
                             f"found {values!r}")
        factors.append(array)
    if len(numbers) and factors[0].min() < 4 / width:
        raise InputError(f"render_sprites: scale: expected at least two pixels, which is {4 / width:g} at width "
                         f"{width}, found {factors[0].min():g}")
    images = np.empty((len(numbers), width, width))
    for number, draw in enumerate((_square, _ellipse, _heart)):
        rows = np.flatnonzero(numbers == number)
        for start in range(0, len(rows), BLOCK):
            block = rows[start:start + BLOCK]
            s, angle, x0, y0 = (factor[block, None, None] for factor in factors)
            # In pixels: the frame's coordinates are sums of a row and a column.
            right = (np.arange(width) - (width - 1) / 2)[None, None, :] - x0 * (width / 2)
            up = ((width - 1) / 2 - np.arange(width))[None, :, None] - y0 * (width / 2)
            cos, sin = np.cos(angle), np.sin(angle)
            images[block] = draw(cos * right + sin * up, cos * up - sin * right, s * (width / 2))
    return images


def _ramp(distance: FloatArray) -> FloatArray:
    np.subtract(0.5, distance, out=distance)
    return np.clip(distance, 0.0, 1.0, out=distance)


def _square(q1: FloatArray, q2: FloatArray, s: FloatArray) -> FloatArray:
    half = s * math.sqrt(0.5)
    covered = _ramp(np.abs(q1) - half)
    covered *= _ramp(np.abs(q2) - half)
    return covered


def _ellipse(q1: FloatArray, q2: FloatArray, s: FloatArray) -> FloatArray:
    v1, v2 = q1 / s, q2 * (2 / s)
    v1 *= v1
    v2 *= v2
    v2 += 1e-18  # so that at the centre, where both vanish, the distance is that of the nearest edge
    k = np.sqrt(v1 + v2)
    v2 *= 4.0
    slope = np.sqrt(v1 + v2)
    slope /= s
    return _ramp(k * (k - 1.0) / slope)


def _heart(q1: FloatArray, q2: FloatArray, s: FloatArray) -> FloatArray:
    side = s * HEART_SIDE
    q2 = q2 + s * HEART_DEPTH
    covered = _square((q1 + q2) * math.sqrt(0.5), (q2 - q1) * math.sqrt(0.5), side * math.sqrt(0.5))
    # The nearer disc is the one on the same side.
    distance = np.sqrt((np.abs(q1) - side * _H) ** 2 + (q2 - side * _H) ** 2)
    distance -= side / 2
    return np.maximum(covered, _ramp(distance), out=covered)


def sprites(rng: np.random.Generator, *, size: int = 10_000, width: int = 32, shapes: tuple[str, ...] = SHAPES,
            colour: bool = False, distribution: Literal["uniform", "normal"] = "uniform",
            conditions: str | None = "shape", levels: int = 5,
            scale: tuple[float, float] = (0.25, 0.45), orientation: tuple[float, float] = (0.0, math.pi / 2),
            x: tuple[float, float] = (-0.5, 0.5), y: tuple[float, float] = (-0.5, 0.5)) -> Dataset:
    r"""Pictures of one shape with independent factors: shape, scale, orientation, place and hue.

    The pictures are `render_sprites` of the factors; with `colour` the channels k = 0, 1, 2 are that picture times
    :math:`\min(1, \max(0, 2 - 6 |h - k/3|))`, from red at h = 0 over green to blue at h = 2/3. In the default ranges
    the whole shape is inside the picture and no two settings of the factors give one shape at one place: a quarter
    turn is what the square's symmetry leaves. There is no `Model` of the renderer.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Number of pictures.
    width : int
        Pixels a side.
    shapes : tuple of str
        Of ``square``, ``ellipse``, ``heart``; equally likely.
    colour : bool
        Three channels, and the hue as a further factor.
    distribution : str
        Of the continuous factors: ``uniform`` on the range, or ``normal`` with the range's centre as mean and a
        sixth of its length as standard deviation, cut off at the range.
    conditions : str, optional
        What u is: ``shape`` (its position in `shapes`), or a continuous factor, whose range is cut into `levels`
        equal parts; None for no u.
    levels : int
        Number of parts, at least 2.
    scale, orientation, x, y : (float, float)
        Ranges, as in `render_sprites`. A range of one point fixes the factor, which is then no latent.

    Returns
    -------
    Dataset
        With z the continuous factors that vary, in the order scale, orientation, x, y, hue, and all factors by name;
        ``factors["shape"]`` is the position in ("square", "ellipse", "heart").

    Raises
    ------
    InputError
        For other arguments, or when a condition is not drawn.

    References
    ----------
    The factors are those of dSprites (Matthey, Higgins, Hassabis and Lerchner 2017), which takes them on grids.
    """
    where = "sprites"
    rng = generator(rng, where)
    size, levels, width = (count(value, f"{where}: {name}", least) for name, value, least in (
        ("size", size, 1), ("levels", levels, 2), ("width", width, 8)))
    choice(distribution, f"{where}: distribution", ("uniform", "normal"))
    colour = switch(colour, f"{where}: colour")
    if isinstance(shapes, str) or not isinstance(shapes, Sequence) or not shapes or len(set(shapes)) != len(shapes):
        raise InputError(f"{where}: shapes: expected distinct names out of {', '.join(SHAPES)}, found {shapes!r}")
    chosen = np.array([SHAPES.index(choice(name, f"{where}: shapes", SHAPES)) for name in shapes])
    ranges = {name: interval(ends, f"{where}: {name}", positive=name == "scale") for name, ends in (
        ("scale", scale), ("orientation", orientation), ("x", x), ("y", y))}
    if colour:
        ranges["hue"] = (0.0, 2 / 3)
    varying = [name for name, (low, high) in ranges.items() if low < high]
    if conditions is not None:
        choice(conditions, f"{where}: conditions", ["shape", *varying])

    place = rng.integers(len(chosen), size=size)
    factors: dict[str, np.ndarray] = {"shape": chosen[place]}
    # Every factor is drawn whether it varies or not, so that fixing one leaves the others as they were.
    shares = {name: _shares(rng, distribution, size) for name in ranges}
    for name, (low, high) in ranges.items():
        factors[name] = low + (high - low) * shares[name]
    u = None
    if conditions == "shape":
        u = place
    elif conditions is not None:
        u = np.minimum((shares[conditions] * levels).astype(np.int64), levels - 1)
    images = render_sprites(*(factors[name] for name in ("shape", "scale", "orientation", "x", "y")), width=width)
    images = images[:, None]
    if colour:
        hue = factors["hue"][:, None] - np.arange(3) / 3
        images = images * np.clip(2 - 6 * np.abs(hue), 0, 1)[:, :, None, None]
    settings: dict[str, Any] = {"size": size, "width": width, "shapes": tuple(shapes), "distribution": distribution,
                                "conditions": conditions, "levels": levels, "colour": colour,
                                **{name: ranges[name] for name in ("scale", "orientation", "x", "y")}}
    return Dataset(images.reshape(size, -1), u=u,
                   z=np.column_stack([factors[name] for name in varying]) if varying else None,
                   image_shape=images.shape[1:], factors=factors, name=where, settings=settings)


def _shares(rng: np.random.Generator, distribution: str, size: int) -> FloatArray:
    """Places in the range, from 0 to 1."""
    if distribution == "uniform":
        return rng.random(size)
    drawn = rng.standard_normal(size)
    while (outside := np.abs(drawn) > 3).any():
        drawn[outside] = rng.standard_normal(int(outside.sum()))
    return 0.5 + drawn / 6
