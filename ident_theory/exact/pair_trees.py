"""Plain trees of models as rational data, for the checks of pairs: mixtures, decoders, their pieces and laws.

Written for the verifier alone: nothing here is used where pairs are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from flint import arb, arb_mat, fmpq

from ident_theory.errors import CertificateRejected

Row = tuple[Fraction, ...]
Matrix = tuple[Row, ...]
#: A mixture in reduced form: the weight of every (mean, covariance).
Mixture = dict[tuple[Row, Matrix], Fraction]


def reject(step: str) -> NoReturn:
    """Refuse the proof, naming the step that fails."""
    raise CertificateRejected(f"pair: {step}")


def identical(a: Any, b: Any) -> bool:
    """Whether two plain trees are the same, where 1, 1.0 and true are three different things."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def number(value: Any) -> Fraction:
    """An integer or a text such as ``"1/3"``."""
    if type(value) is int or (isinstance(value, str) and re.fullmatch(r"-?[0-9]+(/[0-9]+)?", value)):
        return Fraction(value)
    reject(f"expected an integer or a fraction as text, got {value!r}"[:200])


def index(value: Any, end: int) -> int:
    """An integer from 0 to end - 1."""
    if type(value) is not int or not 0 <= value < end:
        reject(f"expected a whole number below {end}, got {value!r}")
    return value


def row(values: Any) -> Row:
    """A list of numbers."""
    if not isinstance(values, list | tuple):
        reject(f"expected a list of numbers, got {values!r}")
    return tuple(number(v) for v in values)


def matrix(values: Any) -> Matrix:
    """A rectangular list of lists of numbers."""
    rows = tuple(row(v) for v in values)
    if len({len(r) for r in rows}) > 1:
        reject("expected rows of one length")
    return rows


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """Inner product."""
    return sum((x * y for x, y in zip(a, b, strict=True) if x and y), Fraction(0))


def times(a: Matrix, b: Matrix) -> Matrix:
    """Product of matrices."""
    columns = tuple(zip(*b, strict=True))
    return tuple(tuple(dot(r, c) for c in columns) for r in a)


def transposed(a: Matrix) -> Matrix:
    """Rows as columns."""
    return tuple(zip(*a, strict=True))


def moved(a: Matrix, shift: Row, point: Row) -> Row:
    """a point + shift."""
    return tuple(dot(r, point) + s for r, s in zip(a, shift, strict=True))


def components(prior: Mapping[str, Any]) -> list[tuple[Fraction, Row, Matrix]]:
    """Weight, mean and covariance of every component, in the order of the tree."""
    weights, means = row(prior["weights"]), matrix(prior["means"])
    covariances = tuple(matrix(c) for c in prior["covariances"])
    if any(w < 0 for w in weights) or sum(weights) != 1:
        reject("weights of a prior are no probabilities")
    m = len(means[0])
    if any(len(c) != m or len(c[0]) != m for c in covariances):
        reject("covariances do not fit the means")
    return list(zip(weights, means, covariances, strict=True))


def diagonal(values: Row) -> Matrix:
    """The matrix with these entries on its diagonal."""
    return tuple(tuple(v if i == k else Fraction(0) for k in range(len(values))) for i, v in enumerate(values))


def normal_moments(prior: Mapping[str, Any]) -> list[tuple[Row, Row]]:
    """Means and variances of the latents for every u, for one of the normal families."""
    family, out = prior["family"], []
    for table in prior["natural_parameters"]:
        rows = matrix(table)
        if any(len(r) != (2 if family == "normal" else 1) or (family != "normal_mean" and r[-1] >= 0) for r in rows):
            reject("expected natural parameters of normal laws")
        variances = tuple(Fraction(1) if family == "normal_mean" else -1 / (2 * r[-1]) for r in rows)
        means = tuple(Fraction(0) if family == "normal_variance" else r[0] * v
                      for r, v in zip(rows, variances, strict=True))
        out.append((means, variances))
    return out


def reduced(parts: Sequence[tuple[Fraction, Row, Matrix]]) -> Mixture:
    """Equal components merged, those of weight zero dropped."""
    out: Mixture = {}
    for w, mean, covariance in parts:
        if w:
            out[mean, covariance] = out.get((mean, covariance), Fraction(0)) + w
    return out


def image(a: Matrix, shift: Row, part: tuple[Fraction, Row, Matrix]) -> tuple[Fraction, Row, Matrix]:
    """A component under z -> a z + shift."""
    w, mean, covariance = part
    return w, moved(a, shift, mean), times(times(a, covariance), transposed(a))


@dataclass(frozen=True)
class Network:
    """A fully connected network with one activation: t above 0, slope * t below."""

    weights: tuple[Matrix, ...]
    biases: tuple[Row, ...]
    slope: Fraction


@dataclass(frozen=True)
class Pieces:
    """A piecewise affine map of the line; a breakpoint belongs to the piece on its right. Equal neighbours merged."""

    breaks: Row
    slopes: tuple[Row, ...]
    intercepts: tuple[Row, ...]

    def ends(self, k: int) -> tuple[Fraction | None, Fraction | None]:
        """Where piece k begins and ends; None for infinity."""
        return (self.breaks[k - 1] if k else None, self.breaks[k] if k < len(self.breaks) else None)

    def at(self, z: Fraction) -> Row:
        """The value at z."""
        k = sum(t <= z for t in self.breaks)
        return tuple(a * z + c for a, c in zip(self.slopes[k], self.intercepts[k], strict=True))

    def precomposed(self, scale: Fraction, shift: Fraction) -> Pieces:
        """The map z -> f(scale z + shift); for scale < 0 jumps take the value of the other side."""
        breaks = [(t - shift) / scale for t in self.breaks]
        slopes = [tuple(a * scale for a in r) for r in self.slopes]
        intercepts = [tuple(c + a * shift for a, c in zip(ra, rc, strict=True))
                      for ra, rc in zip(self.slopes, self.intercepts, strict=True)]
        step = 1 if scale > 0 else -1
        return Pieces(tuple(breaks[::step]), tuple(slopes[::step]), tuple(intercepts[::step]))


def decoder(tree: Mapping[str, Any]) -> Network | Pieces:
    """Read a decoder."""
    if tree["type"] == "relu_network" and set(tree) == {"type", "weights", "biases", "negative_slope"}:
        weights, biases = tuple(matrix(w) for w in tree["weights"]), tuple(row(b) for b in tree["biases"])
        if any(len(w) != len(b) for w, b in zip(weights, biases, strict=True)) \
                or any(len(w[0]) != len(v) for v, w in zip(weights[:-1], weights[1:], strict=True)):
            reject("layers of a network do not fit together")
        return Network(weights, biases, number(tree["negative_slope"]))
    if tree["type"] == "piecewise_affine" and set(tree) == {"type", "breakpoints", "slopes", "intercepts"}:
        breaks, slopes, intercepts = row(tree["breakpoints"]), matrix(tree["slopes"]), matrix(tree["intercepts"])
        if list(breaks) != sorted(set(breaks)) or not len(slopes) == len(intercepts) == len(breaks) + 1 \
                or len(slopes[0]) != len(intercepts[0]):
            reject("breakpoints, slopes and intercepts do not fit together")
        return merged(breaks, slopes, intercepts)
    reject(f"expected a network or a piecewise affine map, got {dict(tree)!r}"[:200])


def latent_dim(f: Network | Pieces) -> int:
    """Number of latents of a decoder."""
    return len(f.weights[0][0]) if isinstance(f, Network) else 1


def observed_dim(f: Network | Pieces) -> int:
    """Number of coordinates of x."""
    return len(f.weights[-1]) if isinstance(f, Network) else len(f.slopes[0])


def merged(breaks: Sequence[Fraction], slopes: Sequence[Row], intercepts: Sequence[Row]) -> Pieces:
    """Join neighbours that carry one affine map."""
    keep = [i for i in range(len(breaks)) if (slopes[i], intercepts[i]) != (slopes[i + 1], intercepts[i + 1])]
    return Pieces(tuple(breaks[i] for i in keep), tuple(slopes[i] for i in [*keep, len(breaks)]),
                  tuple(intercepts[i] for i in [*keep, len(breaks)]))


def pieces(f: Network | Pieces) -> Pieces:
    """The affine pieces of a decoder with one latent, by recursion over intervals."""
    if isinstance(f, Pieces):
        return f
    cuts: list[Fraction] = []
    slopes: list[Row] = []
    intercepts: list[Row] = []

    def go(layer: int, left: Fraction | None, right: Fraction | None, a: Row, c: Row) -> None:
        a, c = (tuple(dot(w, a) for w in f.weights[layer]),
                tuple(dot(w, c) + b for w, b in zip(f.weights[layer], f.biases[layer], strict=True)))
        if layer == len(f.weights) - 1:
            if left is not None:
                cuts.append(left)
            slopes.append(a)
            intercepts.append(c)
            return
        zeros = sorted({-ci / ai for ai, ci in zip(a, c, strict=True) if ai})
        inside = [z for z in zeros if (left is None or z > left) and (right is None or z < right)]
        for lo, hi in zip([left, *inside], [*inside, right], strict=True):
            point = between(lo, hi)
            gain = [Fraction(1) if ai * point + ci > 0 else f.slope for ai, ci in zip(a, c, strict=True)]
            go(layer + 1, lo, hi, tuple(g * v for g, v in zip(gain, a, strict=True)),
               tuple(g * v for g, v in zip(gain, c, strict=True)))

    go(0, None, None, (Fraction(1),), (Fraction(0),))
    return merged(cuts, slopes, intercepts)


def is_continuous(f: Pieces) -> bool:
    """Whether neighbouring pieces meet."""
    return all(tuple(a * t + c for a, c in zip(f.slopes[k], f.intercepts[k], strict=True)) == f.at(t)
               for k, t in enumerate(f.breaks))


def between(left: Fraction | None, right: Fraction | None) -> Fraction:
    """A point inside an interval; None is infinity."""
    if left is None:
        return Fraction(0) if right is None else right - 1
    return left + 1 if right is None else (left + right) / 2


def ball(value: Fraction) -> arb:
    """A rational as a ball."""
    return arb(fmpq(value.numerator, value.denominator))


def evaluator(f: Network | Pieces) -> Callable[[Sequence[arb]], list[arb]]:
    """The map that encloses the coordinates of f(z); for a z on a breakpoint of a piecewise map they are NaN."""
    if isinstance(f, Pieces):
        def on_line(z: Sequence[arb]) -> list[arb]:
            k = sum(bool(z[0] > ball(t)) for t in f.breaks)
            if k != len(f.breaks) - sum(bool(z[0] < ball(t)) for t in f.breaks):
                return [arb("nan")] * observed_dim(f)
            return [ball(a) * z[0] + ball(c) for a, c in zip(f.slopes[k], f.intercepts[k], strict=True)]

        return on_line
    layers = [(arb_mat([[ball(v) for v in r] for r in w]), arb_mat([[ball(v)] for v in b]))
              for w, b in zip(f.weights, f.biases, strict=True)]
    slope = ball(f.slope)

    def through_layers(z: Sequence[arb]) -> list[arb]:
        hidden = list(z)
        for layer, (w, b) in enumerate(layers):
            hidden = (w * arb_mat([[h] for h in hidden]) + b).entries()
            if layer < len(layers) - 1:
                hidden = [h.max(arb(0)) + slope * h.min(arb(0)) for h in hidden]
        return hidden

    return through_layers
