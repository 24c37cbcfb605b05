"""How two models are related: the examples of the literature, conditional priors, undecided cases, bad input."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random

import pytest
from common.pairs import ABSOLUTE, EXAMPLE_4, HALVES, LEAKY, NOISE, PAIRS, line

from ident_theory import (
    AffineChange,
    Correspondence,
    Equivalence,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    equivalence,
    verify_comparison,
)
from ident_theory.conditions.alternatives import alternatives
from ident_theory.conditions.relation_statistics import Bend, statistics_along
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.models import ConditionalPrior, DeclaredMap
from ident_theory.models.families import custom_family, family
from ident_theory.numerics import Status
from ident_theory.spec.reading import from_dict
from ident_theory.testing.random_models import number
from ident_theory.testing.strategies_pairs import equivalent_pair

IDENTITY = PiecewiseAffineMap([], [1], [0])
SQUARE = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, 1]]], [[0] * 4, [0, 0]])


def statuses(found: Correspondence) -> dict[str, str]:
    return {name: str(item.status) for name, item in found.findings.items()}


def second_of(name: str) -> tuple[Model, Model]:
    model, kind, _ = PAIRS[name]
    (other,) = (item for item in alternatives(model, {}) if item.proof.kind == kind)
    return model, from_dict(other.model)


def test_example_4_has_one_law_and_one_prior_but_no_map() -> None:
    """The two decoders of Example 4 have three and four kinks; the priors are equal."""
    prior = GaussianMixture(HALVES, [-2, 2], [1, 1])
    other = PiecewiseAffineMap([-4, -2, 2, 4], ["-1/5", 1, -1, 1, "1/5"], ["-4/5", 4, 0, -4, "-4/5"])
    first, second = second_of("Example 4")
    found = equivalence(first, second)
    assert found.equivalence is Equivalence.NONE
    assert found.latent is Equivalence.EQUAL
    assert statuses(found) == {"equal_in_law": "holds", "equivalent.affine": "fails", "latents.affine": "holds"}
    assert found.findings["equivalent.affine"].witness.kind == "equivalence.not_affine"
    found.verify()
    differing = equivalence(Model(prior, EXAMPLE_4, NOISE), Model(prior, other, NOISE))
    assert statuses(differing) == {"equal_in_law": "fails", "equivalent.affine": "fails", "latents.affine": "holds"}
    differing.verify()


def test_remark_3_6_has_one_law_and_priors_that_no_map_relates() -> None:
    means = ([-2, -1, 3], [-2, 1, 3])
    first, second = (line(["1/3"] * 3, mu, [1, 1, 1], ABSOLUTE) for mu in means)
    found = equivalence(first, second)
    assert (found.equivalence, found.latent, found.n_changes) == (Equivalence.NONE, Equivalence.NONE, 0)
    assert statuses(found) == {"equal_in_law": "holds", "equivalent.affine": "fails", "latents.affine": "fails"}
    found.verify()
    mirrored = equivalence(first, line(["1/3"] * 3, [2, 1, -3], [1, 1, 1], ABSOLUTE))
    assert (mirrored.equivalence, mirrored.change) == (Equivalence.ORTHOGONAL, AffineChange(-1, 0))
    mirrored.verify()


def test_a_symmetric_model_has_two_maps() -> None:
    model = line(HALVES, [-2, 2], [1, 1], ABSOLUTE)
    found = equivalence(model, model)
    assert (found.equivalence, found.n_changes) == (Equivalence.EQUAL, 2)
    plane = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), SQUARE, NOISE)
    found = equivalence(plane, plane)
    assert (found.equivalence, found.n_changes) == (Equivalence.EQUAL, 4)
    found.verify()


@pytest.mark.parametrize(("matrix", "shift", "kind", "failing"), [
    ([[1, 0], [0, 1]], [0, 0], "equal", []),
    ([[0, 1], [1, 0]], [0, 0], "permutation", ["equal"]),
    ([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0], "orthogonal", ["monomial"]),
    ([[0, -1], [1, 0]], [0, 0], "orthogonal", ["permutation"]),
    ([[0, 2], [-3, 0]], [1, 0], "monomial", ["orthogonal"]),
    ([[1, 1], [0, 1]], [0, 0], "affine", ["orthogonal", "monomial"])])
def test_every_kind_of_map_is_named(matrix, shift, kind, failing) -> None:
    prior = GaussianMixture(["1/3", "2/3"], [[0, 1], [2, 5]], [[1, 2], [3, 1]])
    first, h = Model(prior, LEAKY, NOISE), AffineChange(matrix, shift)
    second = Model(h.carry(prior), h.precompose(LEAKY), NOISE)
    found = equivalence(first, second)
    assert (found.equivalence, found.change, found.n_changes) == (Equivalence(kind), h, 1)
    assert found.latent is Equivalence(kind)
    said = statuses(found)
    assert [name for name, status in said.items() if status == "fails"] == [f"equivalent.{name}" for name in failing]
    assert said["equal_in_law"] == said["latents.affine"] == said[f"equivalent.{kind}"] == "holds"
    if h.is_orthogonal and h.is_monomial and kind == "orthogonal":
        assert said["equivalent.monomial"] == "holds"
    found.verify()
    back = equivalence(second, first)
    assert (back.equivalence, back.change) == (found.equivalence, h.inverse())


def test_two_kinds_that_do_not_compare_are_both_named() -> None:
    """N(0, 2 I) under the identity map: turns and flips; an orthogonal map is chosen, the monomial one is mentioned."""
    prior = GaussianMixture([1], [[1, 2]], [[2, 2]])
    h = AffineChange([[-1, 0], [0, 1]], [0, 0])
    found = equivalence(Model(prior, LEAKY), Model(h.carry(prior), h.precompose(LEAKY)))
    assert found.equivalence is Equivalence.ORTHOGONAL
    assert statuses(found)["equivalent.monomial"] == "holds"


@pytest.mark.parametrize("name", [name for name, (model, _, refutes) in PAIRS.items()
                                  if refutes == "affine" and not isinstance(model.decoder, DeclaredMap)])
def test_second_models_that_are_not_equivalent(name) -> None:
    first, second = second_of(name)
    found = equivalence(first, second)
    assert (found.equivalence, found.n_changes) == (Equivalence.NONE, 0)
    assert statuses(found)["equal_in_law"] == "holds"
    found.verify()
    assert all(accepted for _, accepted, _ in verify_comparison(json.loads(found.to_json())))


def test_three_latents_are_compared_cell_by_cell() -> None:
    """Where the second network applies its ReLUs twice only the tree of common cells shows that f_b o h = f_a."""
    rows = [[1, 2, 0], [0, 1, -1], [1, 0, 1], [2, 1, 1]]
    out = [[1, 0, 2, 1], [0, 1, 1, 0], [1, 1, 0, 3]]
    again = [[int(i == k) for i in range(4)] for k in range(4)]
    f = ReLUNetwork([rows, out], [[0, 1, -1, 0], [0, 0, 1]])
    g = ReLUNetwork([rows, again, out], [[0, 1, -1, 0], [0] * 4, [0, 0, 1]])
    prior = GaussianMixture(HALVES, [[0, 0, 0], [1, 2, 3]], [[1, 2, 3], [4, 1, 1]])
    h = AffineChange([[1, 0, 0], [0, 0, 2], [0, 1, 0]], [0, 0, 5])
    found = equivalence(Model(prior, f, NOISE), Model(h.carry(prior), h.precompose(g), NOISE))
    assert (found.equivalence, found.change, found.n_changes) == (Equivalence.MONOMIAL, h, 1)
    assert found.findings["equivalent.monomial"].certificate.data["tree"]
    assert found.findings["equivalent.orthogonal"].witness.data["tree"]
    found.verify()
    broken = g.weights_exact[2].tolist()
    broken[0][0] += Fraction(1, 10**9)
    second = Model(h.carry(prior), h.precompose(ReLUNetwork([rows, again, broken], g.biases_exact)), NOISE)
    found = equivalence(Model(prior, f, NOISE), second)
    assert (found.equivalence, found.n_changes) == (Equivalence.NONE, 0)
    assert found.findings["equivalent.affine"].witness.kind == "equivalence.not_affine"
    assert statuses(found)["equal_in_law"] == "unknown"
    found.verify()


def test_other_hidden_variables_do_not_count() -> None:
    first, second = second_of("nested neighbourhoods")
    assert equivalence(first, second).equivalence is Equivalence.EQUAL


def test_decoders_that_leave_a_direction_open_are_decided_with_the_prior() -> None:
    """f depends on z1 + z2 alone: the decoder fixes one functional of h, three components the rest."""
    f = ReLUNetwork([[[1, 1]], [[1], [2]]], [[0], [0, 1]])
    prior = GaussianMixture(["1/2", "1/3", "1/6"], [[0, 0], [1, 3], [4, -2]], [[[2, 1], [1, 2]], [[1, 0], [0, 3]],
                                                                              [[1, 0], [0, 1]]])
    h = AffineChange([[1, 2], ["1/2", -1]], [3, 0])
    found = equivalence(Model(prior, f), Model(h.carry(prior), h.precompose(f)))
    assert (found.equivalence, found.change, found.n_changes) == (Equivalence.AFFINE, h, 1)
    one = GaussianMixture([1], [[0, 0]], [[1, 1]])
    turned = AffineChange([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0])
    found = equivalence(Model(one, f), Model(turned.carry(one), turned.precompose(f)))
    assert (found.equivalence, found.n_changes) == (Equivalence.ORTHOGONAL, 2)


def test_an_irrational_scale_is_said_to_exist() -> None:
    """A constant decoder and variances in the ratio 2: h(z) = sqrt(2) z."""
    constant = PiecewiseAffineMap([], [0], [5])
    found = equivalence(line([1], [0], [1], constant), line([1], [0], [2], constant))
    assert found.equivalence is Equivalence.AFFINE
    assert (found.change, found.n_changes) == (None, None)
    assert found.latent is Equivalence.MONOMIAL
    assert statuses(found)["equivalent.affine"] == "holds"
    found.verify()


@pytest.mark.parametrize("m", [2, 3])
def test_maps_that_are_irrational_are_said_to_exist(m) -> None:
    """f reads the first latent; N(0, I) and N(0, diag(1, 2, 1)): z2 grows by sqrt(2), and nothing rational will do."""
    first = [[1] + [0] * (m - 1)]
    f = ReLUNetwork([first, [[1], [2]]], [[0], [0, 1]])
    models = [Model(GaussianMixture([1], [[0] * m], [variances[:m]]), f, NOISE) for variances in ([1, 1, 1], [1, 2, 1])]
    found = equivalence(*models)
    assert (found.equivalence, found.change, found.n_changes) == (Equivalence.AFFINE, None, None)
    assert statuses(found) == {"equal_in_law": "holds", "equivalent.affine": "holds", "latents.affine": "holds"}
    assert found.findings["equivalent.affine"].proof is None
    found.verify()
    other = Model(GaussianMixture([1], [[0] * m], [[2] * m]), f, NOISE)
    assert equivalence(models[0], other).equivalence is Equivalence.NONE


def test_latents_of_other_dimension() -> None:
    one = line([1], [0], [1], IDENTITY)
    two = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0]]], [[0]]), NOISE)
    found = equivalence(one, two)
    assert (found.equivalence, found.latent, found.n_changes) == (Equivalence.NONE, Equivalence.NONE, 0)
    assert statuses(found) == {"equal_in_law": "holds", "equivalent.affine": "fails", "latents.affine": "fails"}
    assert "1 and 2" in found.findings["equivalent.affine"].reason
    found.verify()


# Conditional priors


def given(means, variances) -> ConditionalPrior:
    return ConditionalPrior.from_means_variances(means, variances)


def test_normal_laws_given_u_are_carried_for_every_u() -> None:
    first = given([[0, 1], [2, 3], [1, 1]], [[1, 2], [2, 2], [3, 1]])
    second = given([[4, 0], [8, 6], [4, 3]], [[8, 9], [8, 18], [4, 27]])
    h = AffineChange([[0, 2], [3, 0]], [2, 0])
    changed = h.precompose(LEAKY)
    found = equivalence(Model(first, LEAKY, NOISE), Model(second, changed, NOISE))
    assert (found.equivalence, found.change, found.n_changes) == (Equivalence.MONOMIAL, h, 1)
    matrix, shift = found.statistics
    z = [Fraction(5, 7), Fraction(-3)]
    w = [2 * z[1] + 2, 3 * z[0]]
    own, other = [z[0], z[0]**2, z[1], z[1]**2], [w[0], w[0]**2, w[1], w[1]**2]
    assert own == [sum(a * t for a, t in zip(row, other, strict=True)) + c
                   for row, c in zip(matrix.tolist(), shift, strict=True)]
    found.verify()
    swapped = given([[8, 6], [4, 0], [4, 3]], [[8, 18], [8, 9], [4, 27]])
    other = equivalence(Model(first, LEAKY, NOISE), Model(swapped, changed, NOISE))
    assert other.equivalence is Equivalence.NONE
    assert statuses(other)["equal_in_law"] == "fails"
    other.verify()


def test_normal_means_are_mixed_by_any_affine_map() -> None:
    prior = ConditionalPrior("normal_mean", [[0, 1], [2, 2], [1, 5]])
    h = AffineChange([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0])
    moved = ConditionalPrior("normal_mean", [list(h.matrix_exact @ row[:, 0]) for row in prior.natural_exact])
    found = equivalence(Model(prior, LEAKY), Model(moved, h.precompose(LEAKY)))
    assert (found.equivalence, found.change) == (Equivalence.ORTHOGONAL, h)
    assert found.statistics[0].tolist() == h.inverse().matrix_exact.tolist()
    first, second = second_of("means only given u")
    assert equivalence(first, second).statistics is None


def test_families_that_are_carried_latent_by_latent() -> None:
    gamma = [[[2, -1]], [[3, -2]], [[1, -1]]]
    f = PiecewiseAffineMap([0], [1, 2], [0, 0])
    h = AffineChange(2, 0)
    halved = [[[a, Fraction(b, 2)]] for ((a, b),) in gamma]
    first = Model(ConditionalPrior("gamma", gamma), f, NOISE)
    second = Model(ConditionalPrior("gamma", halved), h.precompose(f), NOISE)
    found = equivalence(first, second)
    assert (found.equivalence, found.change) == (Equivalence.MONOMIAL, h)
    found.verify()
    wrong = Model(ConditionalPrior("gamma", [[[2, -1]], [[3, -2]], [[1, -2]]]), h.precompose(f), NOISE)
    assert equivalence(first, wrong).equivalence is Equivalence.NONE
    same = equivalence(first, first)
    assert same.equivalence is Equivalence.EQUAL
    assert [v.tolist() for v in same.statistics] == [[[1, 0], [0, 1]], [0, 0]]


def test_lemma_g1_leaves_an_affine_relation_of_the_statistics() -> None:
    """f o phi, T o phi and the base of phi^-1(Z), for phi(z) = z below 0 and 2 z above: A = I, c = 0."""
    natural = [[[0, -1]], [[1, -1]], [[0, -2]]]
    first = ConditionalPrior("custom", natural, statistics=["z", "z**2"])
    second = ConditionalPrior("custom", natural, statistics=["Max(z, 0) + z", "(Max(z, 0) + z)**2"],
                              base="1 + Heaviside(z)")
    f = PiecewiseAffineMap([1], [1, 3], [0, -2])
    bent = PiecewiseAffineMap([0, "1/2"], [1, 2, 6], [0, 0, -2])
    found = equivalence(Model(first, f, NOISE), Model(second, bent, NOISE))
    assert found.equivalence is Equivalence.AFFINE_STATISTICS
    assert found.change is None
    assert [v.tolist() for v in found.statistics] == [[[1, 0], [0, 1]], [0, 0]]
    assert statuses(found)["equivalent.affine"] == "fails"
    found.verify()
    assert Correspondence.from_json(found.to_json()).statistics[0].tolist() == [[1, 0], [0, 1]]
    scaled = ConditionalPrior("custom", [[[-v, 2 * w]] for ((v, w),) in natural],
                              statistics=["-Max(z, 0) - z", "(Max(z, 0) + z)**2/2"], base="1 + Heaviside(z)")
    found = equivalence(Model(first, f, NOISE), Model(scaled, bent, NOISE))
    assert found.equivalence is Equivalence.AFFINE_STATISTICS
    assert [v.tolist() for v in found.statistics] == [[[-1, 0], [0, 2]], [0, 0]]


@pytest.mark.parametrize(("first", "second", "phi", "expected"), [
    (family("normal"), family("normal"), Bend((), (Fraction(2),), (Fraction(1),)),
     ([["1/2", 0], ["-1/2", "1/4"]], ["-1/2", "1/4"])),
    (family("laplace"), family("laplace"), Bend((), (Fraction(-3),), (Fraction(0),)), ([["1/3"]], [0])),
    (family("laplace"), family("laplace"), Bend((), (Fraction(1),), (Fraction(1),)), None),
    (family("gamma"), family("gamma"), Bend((), (Fraction(2),), (Fraction(0),)), None),
    (custom_family(["z", "2*z"]), custom_family(["z", "2*z"]), Bend((), (Fraction(1),), (Fraction(0),)),
     ([[1, 0], [0, 1]], [0, 0])),
    (custom_family(["z", "exp(z)"]), custom_family(["exp(z)", "3*z + 1"]), Bend((), (Fraction(1),), (Fraction(0),)),
     ([[0, "1/3"], [1, 0]], ["-1/3", 0])),
    (custom_family(["Abs(z)"]), custom_family(["z"]), Bend((Fraction(0),), (Fraction(-1), Fraction(1)),
                                                          (Fraction(0), Fraction(0))), ([[1]], [0])),
    (custom_family(["Abs(z**2 - 2)"]), custom_family(["z"]), Bend((), (Fraction(1),), (Fraction(0),)), None)])
def test_relations_of_statistics(first, second, phi, expected) -> None:
    """In rationals, proved symbolically; log 2 is no rational, and an irrational kink is not followed."""
    found = statistics_along(first, second, phi)
    assert (found is None) == (expected is None)
    if found is not None:
        matrix, shift = expected
        assert found[0].tolist() == [[Fraction(v) for v in row] for row in matrix]
        assert found[1].tolist() == [Fraction(v) for v in shift]


# Undecided and bad input


def test_a_spent_budget_leaves_things_undecided() -> None:
    rng = Random(3)
    f = ReLUNetwork([[[number(rng, 99) for _ in range(3)] for _ in range(16)], [[number(rng) for _ in range(16)]] * 3],
                    [list(range(16)), [0, 0, 0]])
    prior = GaussianMixture([1], [[0, 0, 0]], [[1, 1, 1]])
    h = AffineChange([["3/5", "4/5", 0], ["-4/5", "3/5", 0], [0, 0, 1]], [0, 0, 0])
    found = equivalence(Model(prior, f), Model(prior, h.precompose(f)), budget=0.05)
    assert (found.equivalence, found.n_changes) == (Equivalence.NONE, None)
    assert statuses(found) == {"equal_in_law": "unknown", "equivalent.affine": "unknown", "latents.affine": "holds"}
    assert "0.05 s" in found.findings["equivalent.affine"].reason
    assert "no map found" in str(found)
    same = equivalence(Model(prior, f), Model(prior, f), budget=0.05)
    assert same.equivalence is Equivalence.EQUAL


def test_text_and_json() -> None:
    pair = equivalent_pair(Random(1), m=2)
    found = equivalence(pair.first, pair.second)
    tree = json.loads(found.to_json())
    assert tree["type"] == "comparison"
    assert "second" not in json.dumps([item.get("certificate", {}).get("data") for item in tree["findings"]])
    assert Correspondence.from_dict(tree) == found
    assert str(found).startswith("equal in law; related ")
    for wrong, message in (({}, "type"), ({**tree, "format": 9}, "format 1"), ({**tree, "n_changes": -1}, "n_changes"),
                           ({**tree, "equivalence": "x"}, "wrong"), ({**tree, "findings": tree["findings"] * 2}, "two"),
                           ({key: value for key, value in tree.items() if key != "latent"}, "latent"),
                           ({**tree, "statistics": {"matrix": [["x"]], "shift": [0]}}, "number"),
                           ({**tree, "change": {"matrix": [[1, 1], [1, 1]], "shift": [0, 0]}}, "invertible")):
        with pytest.raises(InputError, match=message):
            Correspondence.from_dict(wrong)
    with pytest.raises(InputError, match="JSON"):
        Correspondence.from_json("{")


def test_bad_input() -> None:
    model = line([1], [0], [1], IDENTITY)
    prior = given([[0], [1]], [[1], [1]])
    declared = Model(GaussianMixture([1], [0], [1]), DeclaredMap(1, 1, ["injective"]), NOISE)
    two = Model(GaussianMixture([1], [0], [1]), PiecewiseAffineMap([], [[1, 2]], [[0, 0]]))
    loud = Model(model.prior, IDENTITY, GaussianNoise(2))
    for first, second, message in ((model, "x", "Model"), (1, model, "first is of type int"),
                                   (model, two, "n=1 and n=2"), (model, loud, "same noise"),
                                   (declared, declared, "DeclaredMap"),
                                   (model, Model(prior, IDENTITY, NOISE), "one of each"),
                                   (Model(prior, IDENTITY), Model(given([[0]], [[1]]), IDENTITY), "values of u"),
                                   (Model(prior, IDENTITY),
                                    Model(ConditionalPrior("normal", prior.natural_exact, labels=["a", "b"]), IDENTITY),
                                    "labels")):
        with pytest.raises(InputError, match=message):
            equivalence(first, second)
    for budget in (0, -1, float("nan"), True, "x"):
        with pytest.raises(InputError, match="budget"):
            equivalence(model, model, budget=budget)
    estimated = Model(ConditionalPrior("normal", prior.natural_exact, standard_errors=[[[1, 1]], [[1, 1]]]), IDENTITY)
    with pytest.raises(UnsupportedError, match="estimates"):
        equivalence(estimated, estimated)


def test_repairs_are_recorded() -> None:
    thirds = GaussianMixture([1 / 3, 1 / 3, 1 / 3], [0, 1, 5], [1, 2, 3])
    found = equivalence(Model(thirds, IDENTITY), Model(thirds, IDENTITY))
    assert found.equivalence is Equivalence.EQUAL
    assert all(any("divided by their sum" in text for text in item.assumptions) for item in found.findings.values())
    assert all(item.status is not Status.UNKNOWN for item in found.findings.values())
