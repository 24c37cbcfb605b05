"""A box on which two models with Gaussian noise give different probabilities, by densities in balls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat

from ident_theory.exact.balls import outward
from ident_theory.exact.findings import Witness
from ident_theory.exact.rationals import format_exact, fraction, nearest_float, rational, to_float
from ident_theory.geometry.line import line_pieces
from ident_theory.geometry.plane import plane_cells
from ident_theory.laws import law
from ident_theory.laws.equality_densities import density_gap
from ident_theory.laws.equality_parts import Difference
from ident_theory.models.model import Model
from ident_theory.models.noise import GaussianNoise, Noise
from ident_theory.models.value import FloatArray, plain_numbers
from ident_theory.numerics import Stopwatch

#: Points of one kind that are tried as centers (fewer and fewer beyond so many pairs of cells and components), centers
#: that are improved, and steps of the improvement.
FEW, MANY_PAIRS, STARTS, ROUNDS = 60, 200, 3, 40
#: Log densities closer than this, relatively, are not told apart by floats.
VISIBLE = 1e-9
#: Centers of either kind that are tried in balls when floats see no difference.
TRIALS = 8
#: Amounts below two to minus this are not claimed.
SMALLEST = 10_000
#: Coordinates beyond this are not tried: floats would overflow.
FAR = 1e100
#: What is claimed stays below what was computed by this factor, so that another rounding proves it, too.
MARGIN = fmpq(1, 2)


@dataclass(frozen=True)
class SetWitness:
    """A set with different probabilities: the data of a witness, and figures behind it."""

    data: dict[str, Any]
    text: str
    details: dict[str, Any] = field(default_factory=dict)


def witness(found: SetWitness, second: Model, u: int | None) -> Witness:
    """The witness of a set, for the law given one u if any."""
    given = {} if u is None else {"u": u}
    return Witness("law.set", {"second": second.plain(), **given, **found.data}, found.text)


def short_below(value: Fraction, digits: int = 3) -> Fraction:
    """The largest decimal with so many digits, or a few more, that is at most a positive number."""
    shift = digits + math.ceil((value.denominator.bit_length() - value.numerator.bit_length()) * math.log10(2))
    scale = Fraction(10) ** shift
    return Fraction(math.floor(value * scale)) / scale


def can_be_written(value: Fraction) -> bool:
    """Whether a number is positive and not so small that its decimals fill pages."""
    return value > 0 and value.denominator.bit_length() - value.numerator.bit_length() < SMALLEST


def brief(value: Fraction) -> str:
    """A number of any size to three digits, for people."""
    return str(arb(rational(value)).str(3, radius=False))


def lower_end(ball: arb) -> Fraction:
    """The lower end of a ball, or a bound of it when it is closer to zero than 2^-20000."""
    mantissa, exponent = ball.lower().man_exp()
    if int(exponent) < -2 * SMALLEST:  # so small that writing it out is no help, or takes for ever
        return Fraction(0 if mantissa >= 0 else -1)
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def steepest(noise: GaussianNoise, n: int) -> arb:
    r"""A bound of :math:`\sup |\nabla \varphi|` for the noise density.

    The gradient is :math:`\Omega^{-1} e\, \varphi(e)`, so its length is at most
    :math:`(2\pi)^{-n/2} (\det\Omega)^{-1/2} e^{-1/2}` over the root of the least eigenvalue of :math:`\Omega`, whose
    inverse is at most the trace of :math:`\Omega^{-1}`.
    """
    omega = fmpq_mat([[rational(v) for v in row] for row in noise.covariance_exact(n)])
    inverse = omega.inv()
    trace = sum((inverse[i, i] for i in range(n)), fmpq(0))
    return (arb(trace) / arb(omega.det())).sqrt() * arb(-fmpq(1, 2)).exp() / (2 * arb.pi()) ** (arb(n) / 2)


def most_curved(noise: GaussianNoise, n: int) -> arb:
    r"""A bound of :math:`\sup \|\nabla^2 \varphi\|_2` for the noise density.

    With :math:`y = \Omega^{-1/2} e` the Hessian is :math:`\varphi(0) e^{-|y|^2/2}\, \Omega^{-1/2} (y y^T - I)
    \Omega^{-1/2}`, whose norm is at most :math:`\varphi(0)` times the largest eigenvalue of :math:`\Omega^{-1}`: the
    trace is larger.
    """
    omega = fmpq_mat([[rational(v) for v in row] for row in noise.covariance_exact(n)])
    inverse = omega.inv()
    trace = sum((inverse[i, i] for i in range(n)), fmpq(0))
    return arb(trace) / (arb(omega.det()).sqrt() * (2 * arb.pi()) ** (arb(n) / 2))


#: A center, and there the two densities and their distance.
Center = tuple[list[fmpq], tuple[arb, arb, arb]]


def best_center(first: Model, second: Model, gaps: Difference, watch: Stopwatch) -> Center | None:
    """Of some points the one at which the densities differ most, by balls; None when none was found in time.

    The search for points is in floats, with Gaussian noise and one or two latents.
    """
    best: Center | None = None
    for center in _centers(first, second, gaps, watch):
        found = density_gap(first, second, center)
        if found is not None and (best is None or found[2] > best[1][2]):
            best = center, found
        if watch.is_over or (best is not None and max(first.latent_dim, second.latent_dim) > 1):
            break  # balls are slow for two latents, and the first center is as a rule the best one
    return best


def gaussian_set(first: Model, second: Model, gaps: Difference, watch: Stopwatch) -> SetWitness | None:
    r"""A box that one model gives more probability than the other.

    With densities p, q that differ by d at the center, and C the largest curvature of the noise density, which bounds
    that of p and q, the probabilities of the box of half width r differ by at least
    :math:`(d - C n r^2 / 3)(2r)^n`: in Taylor's formula about the center the linear terms cancel, and the mean of
    :math:`|x|^2` over the box is :math:`n r^2/3`; r makes this large. None when `best_center` finds no center, or the
    amount is below 2^-10000.
    """
    noise, n = first.noise, first.observed_dim
    assert isinstance(noise, GaussianNoise)
    best = best_center(first, second, gaps, watch)
    if best is None:
        return None
    center, (p, q, gap) = best
    with ctx.workprec(128):
        bend = most_curved(noise, n) * fmpq(n, 3)
        width = lower_end((gap / bend * fmpq(n, n + 2)).sqrt())
        if not can_be_written(width):
            return None
        radius = short_below(width)
        r = arb(rational(radius))
        volume = (2 * r) ** n
        amount = lower_end((gap - bend * r * r) * volume * MARGIN)
        if not can_be_written(amount):
            return None
        claim = short_below(amount)
        blur = (-bend * r * r / 2).union(bend * r * r / 2)
        probabilities = [list(outward((v + blur) * volume)) for v in (p, q)]
    exact = [fraction(v) for v in center]
    data = {"center": [plain_numbers(v) for v in exact], "radius": format_exact(radius),
            "directions": [[int(i == j) for j in range(n)] for i in range(n)], "at_least": format_exact(claim)}
    details = {"density_first": list(outward(p)), "density_second": list(outward(q)),
               "probability_first": probabilities[0], "probability_second": probabilities[1]}
    where = ", ".join(f"{nearest_float(v):.6g}" for v in exact)
    return SetWitness(data, f"the box around ({where}) with half width {brief(radius)}; the densities at its center "
                      f"are {p.str(6, radius=False)} and {q.str(6, radius=False)}, its probabilities differ by "
                      f"{brief(claim)} at least", details)


def largest_difference(first: Model, second: Model, gaps: Difference) -> float:
    """The largest distance of the densities that floats see at some points; for any noise with a law, one latent."""
    points = _points(first, second, gaps)
    return float(np.max(np.abs(np.exp(law(first).log_density(points)) - np.exp(law(second).log_density(points)))))


def _points(first: Model, second: Model, gaps: Difference) -> FloatArray:
    """Points worth a look, those at which the formal laws differ first."""
    n = first.observed_dim
    few = min(_few(first), _few(second))
    places = [[nearest_float(fraction(v)) for v in x] for x in _places(gaps, first.noise, n, few)]
    points = np.vstack([np.array(places).reshape(-1, n), _pool(first, few), _pool(second, few)])
    return points[(np.abs(points) < FAR).all(axis=1)]


def _centers(first: Model, second: Model, gaps: Difference, watch: Stopwatch) -> Iterator[list[fmpq]]:
    """Centers worth a look in balls, the most promising first."""
    points = _points(first, second, gaps)
    laws = law(first), law(second)
    assert isinstance(first.noise, GaussianNoise)
    scale = np.sqrt(np.diag(to_float(first.noise.covariance_exact(first.observed_dim))))

    def score(x: FloatArray) -> FloatArray:
        """Log of the distance of the densities; -inf where floats do not tell it from zero."""
        a, b = laws[0].log_density(x), laws[1].log_density(x)
        gap = np.abs(a - b)
        visible = gap > VISIBLE * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
        with np.errstate(divide="ignore"):
            return np.where(visible, np.maximum(a, b) + np.log(-np.expm1(-gap)), -np.inf)

    if not len(points):
        return
    scores = score(points)
    order = np.argsort(-scores)
    seen = False
    for k in order[:STARTS]:
        if scores[k] > -np.inf and not (seen and watch.is_over):
            seen = True
            yield _short(_improved(points[k], float(scores[k]), score, scale, watch), scale)
    if not seen:
        order = np.argsort(-np.maximum(laws[0].log_density(points), laws[1].log_density(points)))
        for k in dict.fromkeys([*order[:TRIALS], *range(min(TRIALS, len(order)))]):
            yield _short(points[k], scale)


def _improved(x: FloatArray, value: float, score: Any, scale: FloatArray, watch: Stopwatch) -> FloatArray:
    """Climb by steps along the coordinates."""
    step = scale.copy()
    for _ in range(ROUNDS):
        if watch.is_over or step.max() < scale.max() / 64:
            break
        moves = np.vstack([x + np.diag(step), x - np.diag(step)])
        values = score(moves)
        k = int(np.argmax(values))
        if values[k] > value:
            x, value = moves[k], float(values[k])
        else:
            step = step / 2
    return x


def _short(x: FloatArray, scale: FloatArray) -> list[fmpq]:
    """A point as short rationals, moved by a small part of the noise."""
    out = []
    for v, s in zip(x, scale, strict=True):
        bits = max(0, 8 - math.frexp(float(s))[1])
        out.append(fmpq(round(Fraction(float(v)) * 2**bits), 2**bits))
    return out


def _few(model: Model) -> int:
    """How many points of one kind to try."""
    if model.latent_dim == 1:
        return FEW
    return max(6, min(FEW, FEW * MANY_PAIRS // (len(plane_cells(model.decoder)) * model.mixture.n_components)))


def _pool(model: Model, few: int) -> FloatArray:
    """Values at the means of the prior and at corners of cells, and some observations drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    prior = model.mixture
    found: list[tuple[fmpq, ...]]
    if model.latent_dim == 1:
        found = [(t,) for t in line_pieces(model.decoder).breakpoints]
    else:
        found = list(dict.fromkeys(point for cell in plane_cells(model.decoder) for point in cell.points))
    corners = np.array([[nearest_float(fraction(v)) for v in point] for point in found]).reshape(-1, model.latent_dim)
    if len(corners) > few:
        corners = corners[np.linspace(0, len(corners) - 1, few).astype(int)]
    z, _ = prior.sample(few, rng)
    assert model.noise is not None
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(model.decoder(np.vstack([prior.means, corners, z])))
        return np.vstack([values, values[-few:] + model.noise.sample(few, model.observed_dim, rng)])


def _places(gaps: Difference, noise: Noise | None, n: int, few: int) -> Iterator[list[fmpq]]:
    r"""Points of R^n at which the formal laws differ, and observations that point at them.

    For a Gaussian with mean m and covariance S in the coordinates of its carrier, noise with covariance
    :math:`\Omega` and a place y, the most likely value of f(z) is y when x lies :math:`\Omega w` from it, where w is
    :math:`S^{-1}(y - m)` on the carrier. Nothing for a difference far out.
    """
    omega = noise.covariance_exact(n) if isinstance(noise, GaussianNoise) else np.full((n, n), Fraction(0))

    def pulled(x: list[fmpq], pull: dict[int, fmpq]) -> list[fmpq]:
        return [v + sum((rational(row[i]) * p for i, p in pull.items()), fmpq(0))
                for v, row in zip(x, omega, strict=True)]

    names: list[tuple[Any, ...]] = [name for name in gaps.planes if len(name) == 4 and name[3] is not None]
    for (pivots, numbers), gaussian, line, place in names[:few]:
        p, q, foot = (_rationals(numbers[i * n:(i + 1) * n]) for i in range(3))
        (a, b, o), t = _rationals(line), fmpq(*place)
        # The coordinate along the line is the second one, except on lines on which that is constant.
        y1, y2 = (o - b * t, t) if a else (t, o)
        m1, m2, s, c, u = _rationals(gaussian)
        det = s * u - c * c
        x = [f + y1 * v + y2 * w for f, v, w in zip(foot, p, q, strict=True)]
        yield x
        yield pulled(x, {pivots[0]: (u * (y1 - m1) - c * (y2 - m2)) / det,
                         pivots[1]: (s * (y2 - m2) - c * (y1 - m1)) / det})
    for name in list(gaps.lines)[:few]:
        if name[3] is not None:
            direction, foot = (_rationals(part) for part in name[0])
            mean, variance, t = _rationals(name[1:4])
            x = [f + t * v for f, v in zip(foot, direction, strict=True)]
            yield x
            yield pulled(x, {next(i for i, v in enumerate(direction) if v): (t - mean) / variance})
    for name in list(gaps.atoms)[:few]:
        yield _rationals(name[0])


def _rationals(numbers: Sequence[tuple[int, int]]) -> list[fmpq]:
    return [fmpq(*v) for v in numbers]
