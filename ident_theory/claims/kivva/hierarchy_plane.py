"""Pairs of models of two latents with one law of x: other latents of one model, and folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, WEIGHTS, Pair, Strategy
from ident_theory.claims.kivva.injectivity_lines import as_network
from ident_theory.models import AffineChange, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing.strategies_pairs import equivalent_pairs

PLANE_DECODERS = (
    ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]]),
    ReLUNetwork([[[1, 0], [1, 1]], [[1, 2], [0, 1], [1, 0]]], [[0, 1], [0, 0, 0]], "1/10"),
    ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, -1, 0, 0], [0, 0, 1, -2]]], [[0] * 4, [0, 0]]),
    ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [0, 1]], [[1, 0], [1, 1]]], [[1, 0], [0, -1], [0, 0]], "1/2"),
)
#: x_1 = |z_1|, with one and two hidden layers; and z_1 + z_2 alone.
FOLDS = (ReLUNetwork([[[1, 0], [-1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]], [[0, 0, 0], [0, 0]], "1/10"),
         ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]], [[1, 0], [0, 1]]],
                     [[0] * 4, [0, 0], [0, 0]], "1/2"))


@st.composite
def _plane_prior(draw: st.DrawFn, kind: str = "diagonal") -> GaussianMixture:
    weights = draw(st.sampled_from(WEIGHTS[1:4]))
    means = [[draw(st.integers(-2, 2)), draw(st.integers(-2, 2))] for _ in weights]
    size = st.integers(1, 3)
    if kind == "round":
        return GaussianMixture(weights, means, [[[v, 0], [0, v]] for v in (draw(size) for _ in weights)])
    if kind == "thin":
        thin = st.integers(0, 2)
        return GaussianMixture(weights, means, [[draw(thin), draw(thin)] for _ in weights])
    if kind == "tilted":
        return GaussianMixture(weights, means, [[[2, c], [c, v]] for c, v in (
            (draw(st.integers(-1, 1)), draw(size)) for _ in weights)])
    return GaussianMixture(weights, means, [[draw(size), draw(size)] for _ in weights])


@st.composite
def _moved(draw: st.DrawFn, matrices: Sequence[Any], kind: str = "diagonal") -> Pair:
    """The same model with another latent."""
    f, prior = draw(st.sampled_from(PLANE_DECODERS)), draw(_plane_prior(kind))
    change = AffineChange(draw(st.sampled_from(matrices)), [draw(st.integers(-1, 1)), 0])
    return Pair(Model(prior, f), Model(change.carry(prior), change.precompose(f)))


@st.composite
def _plane_fold(draw: st.DrawFn) -> Pair:
    f, prior = draw(st.sampled_from(FOLDS)), draw(_plane_prior())
    means = [[-mu[0] if draw(st.booleans()) else mu[0], mu[1]] for mu in prior.means_exact.tolist()]
    return Pair(Model(prior, f), Model(GaussianMixture(prior.weights_exact, means, prior.covariances_exact), f))


MONOMIAL = ([[1, 0], [0, 1]], [[0, 1], [1, 0]], [[-1, 0], [0, 2]], [[0, -2], [1, 0]])
ROTATIONS = ([["3/5", "-4/5"], ["4/5", "3/5"]], [["5/13", "12/13"], ["-12/13", "5/13"]])
SHEARS = ([[1, 1], [0, 1]], [[2, 1], [1, 1]], [[1, -1], [1, 1]])


def plane_pairs(dropped: frozenset[str]) -> Strategy[Pair]:
    """Pairs of two latents."""
    let_in = {"weakly injective": [_plane_fold()], "distinct ratios": [_moved(ROTATIONS, "round")],
              "independent given U": [_moved(SHEARS), _moved(SHEARS, "tilted")]}
    wanted = [kind for name in sorted(dropped) for kind in let_in.get(name, [])]
    return st.one_of(*wanted * 4, *[_moved(MONOMIAL)] * 4, _moved([*MONOMIAL, *ROTATIONS, *SHEARS]),
                     _moved(SHEARS, "tilted"), _plane_fold())


def mixed_plane_pairs() -> Strategy[Pair]:
    """Pairs of two latents some of whose components have no variance along an axis."""
    return _moved(MONOMIAL, "thin")


def lifted(pairs: Strategy[Pair]) -> Strategy[Pair]:
    """Continuous noiseless pairs of the line with a second latent N(0, 1), independent of the first and observed."""
    def lift(model: Model) -> Model:
        prior, f = model.mixture, model.decoder
        net = as_network(f) if isinstance(f, PiecewiseAffineMap) else f
        assert isinstance(net, ReLUNetwork)
        (first, last), (b, c) = (w.tolist() for w in net.weights_exact), (b.tolist() for b in net.biases_exact)
        size = len(first)
        network = ReLUNetwork([[[row[0], 0] for row in first] + [[0, 1], [0, -1]],
                               [[*row, 0, 0] for row in last] + [[0] * size + [1, -1]]], [[*b, 0, 0], [*c, 0]])
        return Model(GaussianMixture(prior.weights_exact, [[mu, 0] for mu in prior.means_exact[:, 0]],
                                     [[v, 1] for v in prior.covariances_exact[:, 0, 0]]), network)

    plain = pairs.filter(lambda pair: pair.first.noise is None and HYPOTHESES["continuous"](pair))
    return plain.map(lambda pair: Pair(lift(pair.first), lift(pair.second)))


def equivalent() -> Strategy[Pair]:
    """Models behind an affine map with rewritten networks, of one and two latents."""
    return equivalent_pairs(latent_dim=(1, 2)).map(lambda found: Pair(found.first, found.second))
