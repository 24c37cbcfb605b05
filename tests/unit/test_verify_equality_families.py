"""The verifier of changes of one latent given u, for all families; constants are checked by quadrature."""

from fractions import Fraction

import numpy as np
import pytest
from common.equality_models import Random, accepted, changed, numbers, refusal
from scipy import stats

from ident_theory import ConditionalPrior, GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models.change import AffineChange

LEAKY = ReLUNetwork([[[2], [1]], [[1, 1], [0, 1]]], [[0, 1], [0, 3]], "1/3")
CURVE = PiecewiseAffineMap([0, 2], [[1, 0], [1, 1], [0, 2]], [[0, 0], [0, 0], [2, -2]])
U = [0, 1, 2]

#: family: first parameters, change (scale, shift), second parameters, second location.
CASES = {
    "normal": ([[1, -1], [0, "-1/2"]], (2, 1), [[1, "-1/4"], ["1/4", "-1/8"]], None),
    "normal, reflected": ([[1, -1]], (-1, 3), [[5, -1]], None),
    "normal_mean": ([[1], [3]], (-1, 2), [[1], [-1]], None),
    "normal_variance": ([[-2], [-1]], (-2, 0), [["-1/2"], ["-1/4"]], None),
    "gamma": ([[2, -3], ["1/2", -1]], (3, 0), [[2, -1], ["1/2", "-1/3"]], None),
    "inverse_gamma": ([[-2, -3]], ("1/2", 0), [[-2, "-3/2"]], None),
    "lognormal": ([[1, -1]], (1, 0), [[1, -1]], None),
    "beta": ([[2, 3], ["1/2", 1]], (-1, 1), [[3, 2], [1, "1/2"]], None),
    "inverse_gaussian": ([[-1, -2]], (2, 0), [["-1/2", -4]], None),
    "laplace": ([[-1], [-3]], (-2, 5), [["-1/2"], ["-3/2"]], 3),
}


def prior(family, natural, location=None):
    options = {} if location is None else {"location": location}
    return ConditionalPrior(family.split(",")[0], [[v] for v in natural], **options)


def pair(name, decoder=CURVE):
    natural, (scale, shift), other, location = CASES[name]
    change = AffineChange(scale, shift)
    first = Model(prior(name, natural, 1 if location else None), decoder)
    second = Model(prior(name, other, location), change.precompose(decoder))
    return first, second, {"breaks": [], "slopes": [str(scale)], "intercepts": [str(shift)]}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("decoder", [CURVE, LEAKY], ids=["pieces", "network"])
def test_affine_changes(name, decoder):
    first, second, data = pair(name, decoder)
    assert refusal("law.change", first, second=second, **data) is None
    change = {"matrix": [[data["slopes"][0]]], "shift": data["intercepts"]}
    assert refusal("equivalence.affine", first, second=second, **change) is None
    assert accepted("latents.affine", first, second=second, **change)
    tree = second.plain()
    for place in [("prior", *p) for p in numbers(tree["prior"])] + [("decoder", *p) for p in numbers(tree["decoder"])]:
        wrong = changed(tree, place, lambda v: v - Fraction(1, 64))
        taken = accepted("law.change", first, second=wrong, **data)
        if taken:  # only where the decoder is not seen, outside of the support
            assert place[0] == "decoder"
            assert _same_on_support(first, wrong, data, name)
    for key in data:
        for place in numbers(data[key]):
            assert not accepted("law.change", first, second=second,
                                **{**data, key: changed(data[key], place, lambda v: v + Fraction(1, 3))})
    assert not accepted("law.change", first, second=second, **data, more=1)


SUPPORT = {"gamma": (0, np.inf), "inverse_gamma": (0, np.inf), "lognormal": (0, np.inf), "beta": (0, 1),
           "inverse_gaussian": (0, np.inf)}


def _same_on_support(first, wrong, data, name):
    tree = wrong["decoder"]
    g = (ReLUNetwork(tree["weights"], tree["biases"], tree["negative_slope"]) if tree["type"] == "relu_network" else
         PiecewiseAffineMap(tree["breakpoints"], tree["slopes"], tree["intercepts"]))
    low, high = SUPPORT.get(name, (-np.inf, np.inf))
    z = np.linspace(max(low, -50) + 1e-3, min(high, 50) - 1e-3, 3001)
    scale, shift = (float(Fraction(data[key][0])) for key in ("slopes", "intercepts"))
    return np.allclose(first.decoder(z), g(scale * z + shift), atol=1e-9)


def test_piecewise_changes_that_keep_the_law():
    """A symmetric law with its halves exchanged, each as it is; Abs, Max and jumps of custom families."""
    swap = {"breaks": [0], "slopes": [-1, -1], "intercepts": [0, 0]}
    f = PiecewiseAffineMap([], [1], [0])
    first = Model(prior("laplace", [[-1]], 0), f)
    mirrored = Model(first.prior, PiecewiseAffineMap([], [-1], [0]))
    assert refusal("law.change", first, second=mirrored, **swap) is None
    # Mass moved piece by piece: (0, 1) and (1, 2) of a uniform law on (0, 2) change places.
    uniform = ConditionalPrior("custom", [[[0]]], statistics=["z"], base="1", support=["0", "2"])
    step = {"breaks": [1], "slopes": [1, 1], "intercepts": [1, -1]}
    exchanged = PiecewiseAffineMap([0, 1, 2], [1, 1, 1, 1], [0, 1, -1, 0])
    assert refusal("law.change", Model(uniform, f), second=Model(uniform, exchanged), **step) is None
    # Onto a part only: the images must tile the support.
    squeezed = {"breaks": [1], "slopes": [1, -1], "intercepts": [0, 2]}
    assert not accepted("law.change", Model(uniform, f), second=Model(uniform, f), **squeezed)
    # Stretched by pieces: densities 3/4 on (0, 1) and 1/4 on (1, 2) from a uniform law.
    stretched = {"breaks": ["3/2"], "slopes": ["2/3", 2], "intercepts": [0, -2]}
    bent = ConditionalPrior("custom", [[[1]]], statistics=["0*z"], base="3 - 2*Heaviside(z - 1)", support=["0", "2"])
    unbent = ConditionalPrior("custom", [[[0]]], statistics=["0*z"], base="1", support=["0", "2"])
    decoder = PiecewiseAffineMap([1], ["3/2", "1/2"], [0, 1])
    assert refusal("law.change", Model(unbent, f), second=Model(bent, decoder), **stretched) is None
    wrong = ConditionalPrior("custom", [[[1]]], statistics=["0*z"], base="4 - 2*Heaviside(z - 1)", support=["0", "2"])
    assert "one law given u" in refusal("law.change", Model(unbent, f), second=Model(wrong, decoder), **stretched)


def test_one_law_in_two_families():
    """A gamma law of shape 1 is exponential: a custom family; the normal family under two names."""
    gamma = Model(prior("gamma", [[1, -2], [1, -3]]), CURVE)
    custom = Model(ConditionalPrior("custom", [[[-2]], [[-3]]], statistics=["z"], support=["0", "oo"]), CURVE)
    identity = {"breaks": [], "slopes": [1], "intercepts": [0]}
    assert refusal("law.change", gamma, second=custom, **identity) is None
    assert accepted("equivalence.equal", gamma, second=custom, matrix=[[1]], shift=[0])
    other = Model(ConditionalPrior("custom", [[[-2]], [[-4]]], statistics=["z"], support=["0", "oo"]), CURVE)
    assert not accepted("law.change", gamma, second=other, **identity)
    whole = Model(ConditionalPrior("custom", [[[-2]], [[-3]]], statistics=["Abs(z)"]), CURVE)
    assert not accepted("law.change", gamma, second=whole, **identity)
    mean = Model(prior("normal_mean", [[1], [2]]), CURVE)
    normal = Model(prior("normal", [[1, "-1/2"], [2, "-1/2"]]), CURVE)
    assert accepted("law.change", mean, second=normal, **identity)
    trigonometric = [Model(ConditionalPrior("custom", [[[1, c]]], statistics=["cos(z)**2", "sin(z)**2"],
                                            base="exp(-z**2)"), CURVE) for c in (0, -1)]
    assert not accepted("law.change", trigonometric[0], second=trigonometric[1], **identity)
    same = [Model(ConditionalPrior("custom", [[[a, b]]], statistics=["cos(z)**2", "sin(z)**2"],
                                   base="exp(-z**2)"), CURVE) for a, b in ((1, 0), (0, -1))]
    assert accepted("law.change", same[0], second=same[1], **identity)


def test_densities_that_may_vanish_are_refused():
    identity = {"breaks": [], "slopes": [1], "intercepts": [0]}
    item = Model(ConditionalPrior("custom", [[[-1]]], statistics=["z**2"], base="z**2"), CURVE)
    assert "positive" in refusal("law.change", item, second=item, **identity)


def test_forms_that_are_none():
    first, second, data = pair("normal")
    for key, value in [("breaks", [1]), ("slopes", [0]), ("slopes", [1, 1]), ("intercepts", []), ("slopes", [2.0]),
                       ("breaks", "x"), ("slopes", None)]:
        assert not accepted("law.change", first, second=second, **{**data, key: value})
    assert not accepted("law.change", first, second=second, breaks=[1, 0], slopes=[2] * 3, intercepts=[1] * 3)
    assert not accepted("law.change", first, second=second, breaks=[0, 0], slopes=[2] * 3, intercepts=[1] * 3)
    assert accepted("law.change", first, second=second, breaks=[0, 1], slopes=[2] * 3, intercepts=[1] * 3)
    mixture = Model(GaussianMixture([1], [0], [1]), CURVE)
    assert "given u" in refusal("law.change", mixture, second=mixture, **data)
    plane = Model(ConditionalPrior("normal", [[[0, -1], [0, -1]]]), Random(0).network(2, 2, [2]))
    assert "one latent" in refusal("law.change", plane, second=plane, **data)
    noisy = [Model(item.prior, item.decoder, GaussianNoise(s)) for item, s in ((first, 1), (second, 2))]
    assert "noise" in refusal("law.change", noisy[0], second=noisy[1], **data)
    estimated = ConditionalPrior("normal", first.prior.natural_exact.tolist(), standard_errors=[[["1/9", "1/9"]]] * 2)
    assert "estimates" in refusal("law.change", Model(estimated, CURVE), second=second, **data)


@pytest.mark.parametrize("name", ["gamma", "beta", "laplace", "inverse_gaussian"])
def test_the_cases_are_true(name):
    """Distribution functions of scipy before and after the change."""
    natural, (scale, shift), other, location = CASES[name]
    a, b = float(Fraction(scale)), float(Fraction(shift))
    z = np.array([0.2, 0.4, 0.8])
    for p, q in zip(natural, other, strict=True):
        before, after = (law_of(name, [float(Fraction(v)) for v in r], place) for r, place in ((p, 1), (q, location)))
        moved = after.cdf(a * z + b)
        np.testing.assert_allclose(before.cdf(z), moved if a > 0 else 1 - moved, rtol=1e-9)


def law_of(name, natural, location):
    if name == "gamma":
        return stats.gamma(natural[0], scale=-1 / natural[1])
    if name == "beta":
        return stats.beta(*natural)
    if name == "laplace":
        return stats.laplace(location, -1 / natural[0])
    size = -2 * natural[1]  # shape lambda, mean mu with lambda / (2 mu^2) = -natural[0]
    mean = np.sqrt(size / (-2 * natural[0]))
    return stats.invgauss(mean / size, scale=size)


#: phi(z) = z below 0 and 2z above, as an expression; the law of the latent before phi has the factor phi' = 1 or 2.
PHI = "(z + Max(z, 0))"
BEND = {"breaks": [0], "slopes": [1, 2], "intercepts": [0, 0]}
RELATIONS = {
    "Lemma G.1": ([PHI, f"{PHI}**2"], [[1, 0], [0, 1]], [0, 0], lambda a, b: (a, b)),
    "mixed": ([f"2*{PHI} + {PHI}**2 + 1", f"{PHI}**2"], [[2, 1], [0, 1]], [1, 0], lambda a, b: (a / 2, b - a / 2)),
}


def bent_pair(name):
    """A normal law given u behind phi, written with statistics of its own: T_a = A T_b(phi) + c."""
    statistics, matrix, shift, parameters = RELATIONS[name]
    natural = [(Fraction(1), Fraction(-1)), (Fraction(0), Fraction(-1, 2))]
    second = Model(ConditionalPrior("normal", [[list(v)] for v in natural]), CURVE)
    first = Model(ConditionalPrior("custom", [[list(parameters(*v))] for v in natural], statistics=statistics,
                                   base="1 + Heaviside(z)"),
                  PiecewiseAffineMap([0, 1], [[1, 0], [2, 2], [0, 4]], [[0, 0], [0, 0], [2, -2]]))
    return first, second, {**BEND, "matrix": matrix, "shift": shift}


@pytest.mark.parametrize("name", RELATIONS)
def test_statistics_along_a_change(name):
    first, second, data = bent_pair(name)
    assert refusal("equivalence.statistics", first, second=second, **data) is None
    for place in [(key, *p) for key in data for p in numbers({key: data[key]}[key])]:
        wrong = changed(data, place, lambda v: v + Fraction(1, 8))
        assert not accepted("equivalence.statistics", first, second=second, **wrong), place
    for matrix in ([[1]], [[1, 0]], [[0, 0], [0, 0]], "x", [[1, 0], [0]]):
        assert not accepted("equivalence.statistics", first, second=second, **{**data, "matrix": matrix})
    assert not accepted("equivalence.statistics", second, second=first, **data)


def test_relations_of_dependent_statistics_need_an_invertible_matrix():
    """T = (z, 2 z) on both sides: the identity relates them, and so does a singular matrix, which does not count."""
    item = Model(ConditionalPrior("custom", [[[1, 0]], [[0, 1]]], statistics=["z", "2*z"], base="exp(-z**2)"), CURVE)
    data = {"breaks": [], "slopes": [1], "intercepts": [0], "shift": [0, 0]}
    assert accepted("equivalence.statistics", item, second=item, **data, matrix=[[1, 0], [0, 1]])
    assert accepted("equivalence.statistics", item, second=item, **data, matrix=[[-1, 1], [0, 1]])
    assert not accepted("equivalence.statistics", item, second=item, **data, matrix=[[1, 0], [2, 0]])
