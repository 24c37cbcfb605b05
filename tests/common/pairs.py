"""Models with a known kind of second model, shared by the tests of alternatives."""

from __future__ import annotations

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models import ConditionalPrior, DeclaredMap

NOISE = GaussianNoise("1/4")
IDENTITY = PiecewiseAffineMap([], [1], [0])
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
#: Injective: full column rank layers and a leaky activation.
LEAKY = ReLUNetwork([[[1, 0], [1, 1]], [[1, 2], [0, 1], [1, 0]]], [[0, 1], [0, 0, 0]], "1/10")
HALVES = ["1/2", "1/2"]
FULL = [[[2, 1], [1, 2]], [[1, 0], [0, 1]]]
EXAMPLE_4 = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])
FOLD_FIRST = ReLUNetwork([[[1, 0], [-1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]], [[0, 0, 0], [0, 0]], "1/10")
EXCHANGE = ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]], [[2]]], [[0, 0], [0], [0]], "1/10")
PLANE = GaussianMixture(HALVES, [[-1, 0], [2, 3]], [[1, 2], [4, 4]])
#: Normal latents given u whose variances do not vary with u.
MEANS_ONLY = [[[0, "-1/2"], [1, "-1/2"]], [[2, "-1/2"], [1, "-1/2"]], [[3, "-1/2"], [5, "-1/2"]]]


def line(weights, means, variances, decoder) -> Model:
    return Model(GaussianMixture(weights, means, variances), decoder, NOISE)


#: Name: model, kind of the witness, what it refutes.
PAIRS: dict[str, tuple[Model, str, str]] = {
    "absolute value": (line(["1/3"] * 3, [-2, -1, 3], [1, 1, 1], ABSOLUTE), "pair.line", "affine"),
    "absolute value, two components": (line(["1/4", "3/4"], [-2, 1], [1, 1], ABSOLUTE), "pair.line", "affine"),
    "absolute value, one component": (line([1], [1], [1], ABSOLUTE), "pair.line", "affine"),
    "partial fold": (line(["1/2", "1/4", "1/4"], [0, 5, 3], [1, 0, 1],
                          PiecewiseAffineMap([0, 2, 4], [1, -1, 1, 0], [0, 0, -4, 0])), "pair.line", "affine"),
    "atom under a ReLU": (line(["1/2", "1/4", "1/4"], [0, -1, 3], [1, 0, 1],
                               ReLUNetwork([[[1]], [[1]]], [[0], [0]])), "pair.line", "affine"),
    "step": (line([1], [0], [1], PiecewiseAffineMap([1], [0, 0], [0, 2])), "pair.line", "affine"),
    "Example 4": (line(HALVES, [-2, 2], [1, 1], EXAMPLE_4), "pair.swap", "affine"),
    "three atoms": (line(["1/3"] * 3, [0, 1, 3], [0, 0, 0], IDENTITY), "pair.stretch", "affine"),
    "three atoms at kinks": (line(["1/4", "1/4", "1/2"], ["1/2", 1, 3], [0, 0, 0],
                                  PiecewiseAffineMap([0, 2], [1, 2, "1/3"], [0, 0, "10/3"])), "pair.stretch", "affine"),
    "constant": (line(["1/3", "2/3"], [0, 1], [1, 1], PiecewiseAffineMap([], [0], [5])), "pair.kernel", "affine"),
    "constant, one component": (line([1], [0], [1], PiecewiseAffineMap([], [0], [5])), "pair.kernel", "affine"),
    "sum of two latents": (Model(PLANE, ReLUNetwork([[[1, 1]]], [[0]]), NOISE), "pair.kernel", "affine"),
    "ignored direction": (Model(PLANE, ReLUNetwork([[[1, 2], [2, 4], [0, 1]], [[1, 1, 0]]], [[0, 1, 0], [0]]), NOISE),
                          "pair.kernel", "affine"),
    "sum, one component": (Model(GaussianMixture([1], [[0, 0]], [[1, 2]]), ReLUNetwork([[[1, 1]]], [[0]]), NOISE),
                           "pair.kernel", "affine"),
    "fold of one latent": (Model(PLANE, FOLD_FIRST, NOISE), "pair.reflection", "affine"),
    "exchange of latents, three layers": (Model(PLANE, EXCHANGE, NOISE), "pair.reflection", "affine"),
    "vanilla VAE": (Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), LEAKY, NOISE), "pair.affine_map", "monomial"),
    "unequal variances": (Model(GaussianMixture([1], [[0, 0]], [[1, 2]]), LEAKY, NOISE), "pair.affine_map", "monomial"),
    "proportional covariances": (Model(GaussianMixture(HALVES, [[0, 0], [1, 3]], [[1, 2], [4, 8]]), LEAKY, NOISE),
                                 "pair.affine_map", "monomial"),
    "full covariances": (Model(GaussianMixture(HALVES, [[0, 0], [1, 3]], FULL), LEAKY, NOISE),
                         "pair.affine_map", "monomial"),
    "scaling is always left": (line(HALVES, [-2, 1], [1, 2], IDENTITY), "pair.affine_map", "permutation"),
    "nested neighbourhoods": (Model(GaussianMixture([["2/5", "1/5"], ["1/10", "3/10"]],
                                                    [[[0, 0], [0, 1]], [[5, 3], [5, 7]]], [[1, 2], [1, 1]] * 2,
                                                    neighbourhoods=[[0, 1], [1]]), LEAKY, NOISE),
                              "pair.label_swap", "permutation"),
    "means only given u": (Model(ConditionalPrior("normal", MEANS_ONLY), LEAKY, NOISE), "pair.given_u_map",
                           "affine_statistics"),
    "means only given u, declared decoder": (
        Model(ConditionalPrior("normal", MEANS_ONLY), DeclaredMap(2, 2, ["injective", "volume_preserving"]), NOISE),
        "pair.given_u_map", "affine_statistics"),
    "dependent statistics": (
        Model(ConditionalPrior("custom", [[[0, 0]], [[1, 0]], [[0, 1]]], statistics=["z", "2*z"],
                               base="exp(-z**2/2)"), IDENTITY, NOISE), "pair.statistics", "affine_statistics"),
}
