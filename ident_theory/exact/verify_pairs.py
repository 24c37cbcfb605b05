"""Checks of witnesses that a second model has the same law and is not equivalent.

Every witness holds the plain tree of the second model (``second``), how it was made from the first, and the claim:
``refutes``, the coarsest equivalence that is shown to fail, and ``differs``, in what. The check repeats the making,
proves that both models have one law, and proves that no map of the claimed kind relates them. The noise is the same in
both, so that equal laws of f(z) give equal laws of x.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ident_theory.exact.equality_laws import are_equal, law_of
from ident_theory.exact.pair_equivalence import inverse, mean_of, violated
from ident_theory.exact.pair_symmetry import ignores, is_invariant
from ident_theory.exact.pair_trees import (
    Matrix,
    Mixture,
    Network,
    Pieces,
    Row,
    between,
    components,
    decoder,
    identical,
    image,
    index,
    is_continuous,
    latent_dim,
    matrix,
    merged,
    moved,
    number,
    observed_dim,
    pieces,
    reduced,
    reject,
    row,
    times,
)
from ident_theory.exact.verify_pairs_given_u import check_given_u_map, check_statistics
from ident_theory.exact.verify_pairs_states import check_label_swap

Tree = Mapping[str, Any]
Part = tuple[Fraction, Row, Matrix]


@dataclass(frozen=True)
class Pair:
    """Both models, read: decoders f and g, component lists and reduced priors p and q."""

    f: Network | Pieces
    g: Network | Pieces
    parts: list[Part]
    p: Mixture
    q: Mixture

    @property
    def m(self) -> int:
        """Number of latents."""
        return latent_dim(self.f)


def _read(model: Tree, data: Tree, keys: set[str]) -> Pair:
    if set(data) != {"second", "refutes", "differs", *keys}:
        reject(f"expected the entries second, refutes, differs, {', '.join(sorted(keys))}, got {', '.join(data)}")
    second = data["second"]
    if set(second) != set(model) or not identical(model.get("noise"), second.get("noise")):
        reject("the two models have different noise")
    if not identical(second["prior"], model["prior"]) and set(second["prior"]) != {"weights", "means", "covariances"}:
        reject("expected a second prior of weights, means and covariances alone")
    f, g = decoder(model["decoder"]), decoder(second["decoder"])
    parts, others = components(model["prior"]), components(second["prior"])
    if latent_dim(f) != latent_dim(g) or observed_dim(f) != observed_dim(g) \
            or len(parts[0][1]) != latent_dim(f) or len(others[0][1]) != latent_dim(f):
        reject("the two models have different dimensions")
    p, q = reduced(parts), reduced(others)
    if _is_diagonal(p) and not _is_diagonal(q):
        reject("the covariances of the first prior are diagonal, those of the second are not")
    return Pair(f, g, parts, p, q)


def _is_diagonal(p: Mixture) -> bool:
    return not any(v for _, c in p for i, r in enumerate(c) for k, v in enumerate(r) if i != k)


def _claim(pair: Pair, data: Tree) -> None:
    found = violated(pair.f, pair.p, pair.g, pair.q)
    if found is None:
        reject("the two models are not shown to be inequivalent")
    if (data["refutes"], data["differs"]) != found:
        reject(f"the pair violates {found[0]} equivalence of the {found[1]}, not {data['refutes']} equivalence of the "
               f"{data['differs']}")


def _expect(found: Mixture, expected: Mixture) -> None:
    if found != expected:
        reject("the prior of the second model is not the one described")


def _same_decoder(model: Tree, data: Tree) -> None:
    if not identical(data["second"]["decoder"], model["decoder"]):
        reject("the decoders differ")


def check_affine_map(model: Tree, data: Tree) -> None:
    r"""z' = A z + b: the prior is :math:`h_\# P`, the decoder :math:`f \circ h^{-1}`. Entries matrix, shift."""
    pair = _read(model, data, {"matrix", "shift"})
    a, b = matrix(data["matrix"]), row(data["shift"])
    if len(a) != pair.m or len(a[0]) != pair.m or inverse(a) is None:
        reject("the matrix is not invertible")
    _expect(pair.q, reduced([image(a, b, part) for part in pair.parts]))
    if isinstance(pair.f, Pieces) and isinstance(pair.g, Pieces):
        if a[0][0] < 0 and any(not c[0][0] for _, c in pair.p):
            reject("a reflection may move a point mass across a jump")
        if pair.g.precomposed(a[0][0], b[0]) != pair.f:
            reject("the second decoder is not f o h^-1")
    elif isinstance(pair.f, Network) and isinstance(pair.g, Network):
        f, g = pair.f, pair.g
        if f.slope != g.slope or f.weights[1:] != g.weights[1:] or f.biases[1:] != g.biases[1:] \
                or times(g.weights[0], a) != f.weights[0] or moved(g.weights[0], g.biases[0], b) != f.biases[0]:
            reject("the second decoder is not f o h^-1")
    else:
        reject("the decoders are of two kinds")
    _claim(pair, data)


def _flipped(pair: Pair, data: Tree) -> None:
    a, b, share = matrix(data["matrix"]), row(data["shift"]), number(data["share"])
    chosen = data["components"]
    if len({index(j, len(pair.parts)) for j in chosen}) != len(chosen) or not 0 < share <= 1:
        reject("expected different component numbers and a share of their weight in (0, 1]")
    if len(a) != pair.m or len(a[0]) != pair.m:
        reject("the matrix does not fit the latents")
    _expect(pair.q, reduced([new for j, part in enumerate(pair.parts) for new in (
        [part] if j not in chosen else
        [((1 - share) * part[0], *part[1:]), image(a, b, (share * part[0], *part[1:]))])]))


def check_line(model: Tree, data: Tree) -> None:
    """One latent, one decoder: some components are moved by an affine map. Entries components, share, matrix, shift.

    That the law stays is checked on the law itself: intervals, Gaussians and atoms.
    """
    pair = _read(model, data, {"components", "share", "matrix", "shift"})
    _same_decoder(model, data)
    if pair.m != 1:
        reject("this kind is for one latent")
    _flipped(pair, data)
    f = pieces(pair.f)
    if not are_equal(*(law_of(f, [(w, *item) for item, w in mixture.items()]) for mixture in (pair.p, pair.q))):
        reject("the laws of f(z) differ")
    _claim(pair, data)


def check_reflection(model: Tree, data: Tree) -> None:
    """A network with f(R z + r) = f(z): some components are moved by this map. Entries as for `check_line`."""
    pair = _read(model, data, {"components", "share", "matrix", "shift"})
    _same_decoder(model, data)
    if not isinstance(pair.f, Network):
        reject("this kind is for networks")
    _flipped(pair, data)
    if not is_invariant(pair.f, matrix(data["matrix"]), row(data["shift"])):
        reject("the decoder is not shown to be invariant under the map")
    _claim(pair, data)


def check_kernel(model: Tree, data: Tree) -> None:
    """f ignores directions: one component is replaced by copies moved along them. Entries component, moves.

    The copies share its weight equally, one for each of `moves`.
    """
    pair = _read(model, data, {"component", "moves"})
    _same_decoder(model, data)
    j, moves = index(data["component"], len(pair.parts)), matrix(data["moves"])
    if not moves or len(moves[0]) != pair.m:
        reject("expected moves of the mean of a component")
    for move in moves:
        if any(move) and not _is_ignored(pair.f, move):
            reject(f"the decoder is not shown to ignore the direction ({', '.join(map(str, move))})")
    w, mean, covariance = pair.parts[j]
    _expect(pair.q, reduced([*pair.parts[:j], *pair.parts[j + 1:],
                             *((w / len(moves), tuple(x + v for x, v in zip(mean, move, strict=True)), covariance)
                               for move in moves)]))
    _claim(pair, data)


def _is_ignored(f: Network | Pieces, direction: Row) -> bool:
    if len(direction) > 1:
        return isinstance(f, Network) and ignores(f, direction)
    f = pieces(f)
    return not f.breaks and not any(f.slopes[0])


def check_swap(model: Tree, data: Tree) -> None:
    r"""One latent, a prior symmetric about c: the second decoder is f(2c - z) where r < |z - c| < R, else f(z).

    Entries radii, [r, R]; c is the mean.
    """
    pair = _read(model, data, {"radii"})
    low, high = row(data["radii"])
    if pair.m != 1 or not 0 <= low < high:
        reject("this kind is for one latent and radii 0 <= r < R")
    if not identical(data["second"]["prior"], model["prior"]):
        reject("the priors differ")
    (center,) = mean_of(pair.p)
    if any(not c[0][0] for _, c in pair.p):
        reject("a point mass may sit where branches are swapped")
    if {((2 * center - mean[0],), c): w for (mean, c), w in pair.p.items()} != pair.p:
        reject("the prior is not symmetric")
    f, g = pieces(pair.f), pieces(pair.g)
    mirrored = f.precomposed(Fraction(-1), 2 * center)
    edges = {center + s * r for s in (1, -1) for r in (low, high)}
    if _assembled(edges, [f, mirrored], lambda z: int(low < abs(z - center) < high)) != g:
        reject("the second decoder is not the first with its branches swapped")
    if is_continuous(f) and not is_continuous(g):
        reject("the first decoder is continuous, the second is not")
    _claim(pair, data)


def _assembled(edges: set[Fraction], sources: list[Pieces], choose: Callable[[Fraction], int]) -> Pieces:
    """The map that equals ``sources[choose(z)]`` at z, where the choice changes at `edges` only."""
    cuts = sorted(edges.union(*(source.breaks for source in sources)))
    slopes, intercepts = [], []
    for lo, hi in zip([None, *cuts], [*cuts, None], strict=True):
        z = between(lo, hi)
        source = sources[choose(z)]
        k = sum(t <= z for t in source.breaks)
        slopes.append(source.slopes[k])
        intercepts.append(source.intercepts[k])
    return merged(cuts, slopes, intercepts)


def check_stretch(model: Tree, data: Tree) -> None:
    """One latent, a prior of point masses: latents above a point are moved away from it. Entries above, factor."""
    pair = _read(model, data, {"above", "factor"})
    above, factor = number(data["above"]), number(data["factor"])
    if pair.m != 1 or factor <= 0 or any(c[0][0] for _, c in pair.p):
        reject("this kind is for one latent, point masses and a positive factor")

    def move(z: Fraction) -> Fraction:
        return z if z <= above else above + factor * (z - above)

    _expect(pair.q, reduced([(w, (move(mean[0]),), c) for w, mean, c in pair.parts]))
    f, g = pieces(pair.f), pieces(pair.g)
    far = f.precomposed(1 / factor, above * (1 - 1 / factor))
    if _assembled({above}, [f, far], lambda z: int(z > above)) != g:
        reject("the second decoder does not take the moved latents to the old values")
    _claim(pair, data)


VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    "pair.affine_map": check_affine_map,
    "pair.line": check_line,
    "pair.reflection": check_reflection,
    "pair.kernel": check_kernel,
    "pair.swap": check_swap,
    "pair.stretch": check_stretch,
    "pair.label_swap": check_label_swap,
    "pair.given_u_map": check_given_u_map,
    "pair.statistics": check_statistics,
}
