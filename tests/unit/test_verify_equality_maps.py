"""The verifier of equivalences between two models, and of their absence."""

from fractions import Fraction

import numpy as np
import pytest
from common.equality_models import Random, accepted, changed, numbers, refusal
from common.pairs import EXAMPLE_4, LEAKY, PAIRS
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import ConditionalPrior, GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.alternatives import alternatives
from ident_theory.exact.equality_forms import same_form
from ident_theory.exact.pair_trees import decoder
from ident_theory.exact.proof_kinds import PROVES
from ident_theory.exact.verifier import VERIFIERS
from ident_theory.geometry.cells import CellWalk, plain_tree
from ident_theory.models.change import AffineChange
from ident_theory.models.value import plain_numbers

KINDS = ("equal", "permutation", "orthogonal", "monomial", "affine")
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
#: One map of each kind and no finer one; equal: the identity.
MAPS = {
    "equal": AffineChange([[1, 0], [0, 1]], [0, 0]),
    "permutation": AffineChange([[0, 1], [1, 0]], [0, 0]),
    "orthogonal": AffineChange([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0]),
    "monomial": AffineChange([[0, 2], [-3, 0]], [1, 0]),
    "affine": AffineChange([[1, 2], [0, -1]], ["1/2", 3]),
}
#: Which kinds each of these maps is of.
IS = {"equal": KINDS, "permutation": KINDS[1:], "orthogonal": ("orthogonal", "affine"),
      "monomial": ("monomial", "affine"), "affine": ("affine",)}
PRIOR = GaussianMixture(["1/3", "2/3"], [[0, 1], [2, -1]], [[[2, 1], [1, 3]], [[1, 0], [0, 5]]])
NETWORK = ReLUNetwork([[[1, 0], [1, 1], [0, 1]], [[1, 2, 0], [0, 1, -1], [1, 1, 0]]], [[0, 1, -1], [0, 0, 0]], "1/10")


def tree_of(network):
    """The cells of a network, as the proofs list them."""
    walk = CellWalk(network)
    assert list(walk)
    return plain_tree(walk.tree)


def common_tree(f, g):
    """The cells of one network, each cut by the units of another one."""
    walk = CellWalk(f)
    for cell in walk:
        assert list(CellWalk(g, cell, walk.tree))
    return plain_tree(walk.tree)


def test_every_kind_is_registered_with_what_it_proves():
    for name in KINDS:
        holds = {c.removeprefix("equivalent.") for c, v in PROVES[f"equivalence.{name}"].items()
                 if v and c.startswith("equivalent.")}
        fails = {c.removeprefix("equivalent.") for c, v in PROVES[f"equivalence.not_{name}"].items() if not v}
        assert holds == set(IS[name])
        assert fails == {finer for finer in KINDS if name in IS[finer]}
    for kind in ("law.equal", "law.change", "law.formal", "law.set", "latents.affine", "latents.not_affine"):
        assert kind in VERIFIERS
        assert PROVES[kind]


@pytest.mark.parametrize("name", KINDS)
def test_maps_of_each_kind(name):
    first, change = Model(PRIOR, NETWORK), MAPS[name]
    second = Random(5).equivalent(first, change)
    for kind in KINDS:
        data = {"second": second, **change.plain()}
        assert (refusal(f"equivalence.{kind}", first, **data) is None) is (kind in IS[name])
        refuted = accepted(f"equivalence.not_{kind}", first, second=second, at=["1/3", "1/7"])
        assert refuted is (kind not in IS[name])
    assert accepted("latents.affine", first, second=second, **change.plain())
    assert not accepted("latents.not_affine", first, second=second)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40)
def test_random_equivalent_pairs(seed):
    """Accepted with the right map, rejected with another one; every changed number of the second model is rejected,
    unless the network is the same function, or the prior the same law."""
    draw = Random(seed, 3)
    m = 1 + seed % 2
    if m == 1 and seed % 4 == 0:
        first = Model(draw.mixture(1, 2, singular=seed % 3 == 0), draw.pieces(4, 2))
    else:
        first = draw.model(m, 2 + seed % 2, singular=seed % 3 == 0)
    change = draw.change(m)
    if isinstance(first.decoder, PiecewiseAffineMap) and change.matrix_exact[0, 0] < 0:
        change = AffineChange(-change.matrix_exact, change.shift_exact)
    second = draw.equivalent(first, change)
    data = change.plain()
    assert refusal("equivalence.affine", first, second=second, **data) is None
    assert not accepted("equivalence.affine", first, second=second, **data, more=1)
    tree = second.plain()
    z = np.random.default_rng(seed).normal(size=(400, m)) * 5
    for place in few(draw, numbers(tree["decoder"]), 6):
        wrong = changed(tree["decoder"], place, lambda v: v + Fraction(1, 5))
        f = (PiecewiseAffineMap(*(wrong[k] for k in ("breakpoints", "slopes", "intercepts")))
             if isinstance(first.decoder, PiecewiseAffineMap) and _ordered(wrong["breakpoints"]) else
             None if isinstance(first.decoder, PiecewiseAffineMap) else
             ReLUNetwork(*(wrong[k] for k in ("weights", "biases", "negative_slope"))))
        taken = accepted("equivalence.affine", first, second={**tree, "decoder": wrong}, **data)
        if taken:  # the same function at points all over the plane
            assert f is not None
            np.testing.assert_allclose(f(change(z)), first.decoder(z), rtol=1e-8, atol=1e-8)
    for place in numbers(tree["prior"]):
        wrong = changed(tree["prior"], place, lambda v: v + Fraction(1, 5))
        if accepted("equivalence.affine", first, second={**tree, "prior": wrong}, **data):
            assert GaussianMixture(**wrong).reduced() == GaussianMixture(**tree["prior"]).reduced()
    for key in data:
        for place in numbers(data[key]):
            wrong = changed(data[key], place, lambda v: v + Fraction(1, 5))
            other = {**data, key: wrong}
            if accepted("equivalence.affine", first, second=second, **other):
                np.testing.assert_allclose(second.decoder(AffineChange(**other)(z)), first.decoder(z), rtol=1e-8,
                                           atol=1e-8)


def few(draw, items, count):
    return [draw.pick(items) for _ in range(count)]


def _ordered(breaks):
    values = [Fraction(v) for v in breaks]
    return values == sorted(set(values))


def interior(first):
    """A point inside a cell of full column rank, by its slopes in floats, or None."""
    draw = Random(11, 20)
    for _ in range(40):
        z = [v + Fraction(1, 97) for v in draw.row(first.latent_dim)]
        at = np.array([[float(v) for v in z]])
        steps = np.vstack([at + 1e-3 * e for e in np.eye(first.latent_dim)])
        jacobian = (first.decoder(steps) - first.decoder(at)) / 1e-3
        if np.linalg.matrix_rank(jacobian, tol=1e-6) == first.latent_dim:
            return [str(v) for v in z]
    return None


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40)
def test_equivalent_pairs_are_never_refuted(seed):
    draw = Random(seed, 3)
    m = 1 + seed % 2
    first = draw.model(m, 2, singular=seed % 3 == 0)
    second = draw.equivalent(first, draw.change(m))
    for z in (interior(first), None):
        data = {} if z is None else {"at": z}
        assert not accepted("equivalence.not_affine", first, second=second, **data)
    assert not accepted("latents.not_affine", first, second=second)


@pytest.mark.parametrize("seed", range(40))
def test_one_changed_number_breaks_the_equivalence(seed):
    """Where the decoder has a cell of full rank and its changed values differ at sampled points, or the prior differs
    in an invariant that no symmetry of the decoder undoes (weights)."""
    draw = Random(seed + 200, 3)
    m = 1 + seed % 2
    first = draw.model(m, 2 + seed % 2)
    z = interior(first)
    if z is None:
        pytest.skip("no cell of full rank")
    second = draw.equivalent(first, draw.change(m)).plain()
    weights = [Fraction(1, 3**(j + 1)) for j in range(len(second["prior"]["weights"]))]
    weights[0] += 1 - sum(weights)
    wrong = {**second, "prior": {**second["prior"], "weights": [str(w) for w in weights]}}
    one = len(first.prior.reduced().weights_exact) == 1
    assert (refusal("equivalence.not_affine", first, second=wrong, at=z) is None) is not one


@pytest.mark.parametrize("name", [name for name, (item, kind, refutes) in PAIRS.items()
                                  if refutes in KINDS and kind != "pair.label_swap"])
def test_second_models_of_the_check_are_not_equivalent(name):
    """Built and proven by other parts of the package; the decoder must move with full rank, or be one of the line."""
    first, _, _ = PAIRS[name]
    z = interior(first)
    for found in alternatives(first, {}):
        if z is not None or first.latent_dim == 1:
            data = {} if z is None else {"at": z}
            assert refusal(f"equivalence.not_{found.refutes}", first, second=found.model, **data) is None


def test_jumps_without_mass_are_ignored_and_with_mass_are_not():
    step = PiecewiseAffineMap([0], [1, 2], [0, 1])
    change = AffineChange(-1, 0)
    for variances, taken in (([1, 1], True), ([1, 0], False)):
        first = Model(GaussianMixture(["1/2", "1/2"], [1, 0], variances), step)
        second = Model(change.carry(first.prior), change.precompose(step))
        assert accepted("equivalence.affine", first, second=second, **change.plain()) is taken
        assert accepted("equivalence.not_affine", first, second=second, at=[1]) is not taken


STEPS = PiecewiseAffineMap([1], [0, 0], [0, 3])
FLAT = [
    # Constant maps: irrational scales, reflections, point masses.
    (PiecewiseAffineMap([], [0], [1]), [0, 1], [1, 1], PiecewiseAffineMap([], [0], [1]), [0, 1], [1, 1], "equal"),
    (PiecewiseAffineMap([], [0], [1]), [0], [1], PiecewiseAffineMap([], [0], [1]), [5], [2], "monomial"),
    (PiecewiseAffineMap([], [0], [1]), [0, 1], [1, 1], PiecewiseAffineMap([], [0], [1]), [0, -1], [1, 1],
     "orthogonal"),
    (PiecewiseAffineMap([], [0], [1]), [0, 1], [1, 1], PiecewiseAffineMap([], [0], [1]), [0, 1], [1, 2], None),
    (PiecewiseAffineMap([], [0], [1]), [0], [1], PiecewiseAffineMap([], [0], [2]), [0], [1], None),
    (PiecewiseAffineMap([], [0], [1]), [3], [0], PiecewiseAffineMap([], [0], [1]), [-3], [0], "orthogonal"),
    (PiecewiseAffineMap([], [0], [1]), [3], [0], PiecewiseAffineMap([], [0], [1]), [3], [1], None),
    # One step: the distance of mean and step decides.
    (STEPS, [0], [1], PiecewiseAffineMap([1], [0, 0], [3, 0]), [2], [1], "monomial"),
    (STEPS, [0], [1], STEPS, [-1], [4], "monomial"),
    (STEPS, [0], [1], STEPS, [-1], [2], None),
    (STEPS, [1], [1], STEPS, [1], [2], "monomial"),
    (STEPS, [1], [1], STEPS, ["1/2"], [1], None),
    (STEPS, [0], [0], STEPS, [-4], [0], "monomial"),
    (STEPS, [1], [0], STEPS, [1], [0], "equal"),
    (STEPS, [1], [0], STEPS, [0], [0], None),
    (STEPS, [0], [1], PiecewiseAffineMap([1], [0, 0], [0, 4]), [0], [1], None),
    # Two steps fix the map.
    (PiecewiseAffineMap([0, 1], [0, 0, 0], [0, 1, 2]), [0], [1],
     PiecewiseAffineMap([1, 3], [0, 0, 0], [0, 1, 2]), [1], [4], "monomial"),
    (PiecewiseAffineMap([0, 1], [0, 0, 0], [0, 1, 2]), [0], [1],
     PiecewiseAffineMap([1, 3], [0, 0, 0], [2, 1, 0]), [3], [4], "monomial"),
    (PiecewiseAffineMap([0, 1], [0, 0, 0], [0, 1, 2]), [0], [1],
     PiecewiseAffineMap([1, 3], [0, 0, 0], [2, 1, 0]), [1], [4], None),
    (STEPS, [0], [1], PiecewiseAffineMap([0, 1], [0, 0, 0], [0, 1, 3]), [0], [1], None),
]


@pytest.mark.parametrize("case", FLAT)
def test_decoders_without_a_moving_piece(case):
    f, means, variances, g, others, spreads, finest = case
    first, second = (Model(GaussianMixture([Fraction(1, len(mu))] * len(mu), mu, s), decoder)
                     for decoder, mu, s in ((f, means, variances), (g, others, spreads)))
    for kind in KINDS:
        refuted = accepted(f"equivalence.not_{kind}", first, second=second)
        allowed = () if finest is None else (*IS[finest], "monomial") if finest == "orthogonal" else IS[finest]
        assert refuted is (kind not in allowed), kind


def test_a_flat_proof_asks_for_a_flat_decoder():
    first = Model(GaussianMixture([1], [0], [1]), ABSOLUTE)
    second = Model(GaussianMixture([1], [0], [1]), STEPS)
    assert "moves somewhere" in refusal("equivalence.not_affine", first, second=second)


@pytest.mark.parametrize("m", [2, 3])
def test_decoders_of_low_rank(m):
    """Without a point: the priors leave finitely many maps latent by latent, and invariants exclude others."""
    draw = Random(m)
    f = draw.network(m, 1, [3], "1/3")
    prior = GaussianMixture(["1/3", "2/3"], draw.matrix(2, m), [draw.covariance(m) for _ in range(2)])
    first = Model(prior, f)
    order = [[int(k == (i + 1) % m) for k in range(m)] for i in range(m)]
    maps = {"permutation": AffineChange(order, [0] * m),
            "monomial": AffineChange([[-2 * v for v in r] for r in order], list(range(m))),
            "affine": AffineChange([[int(k <= i) for k in range(m)] for i in range(m)], [1] * m)}
    if m == 2:
        maps["orthogonal"] = MAPS["orthogonal"]
    for name, change in maps.items():
        second = draw.equivalent(first, change)
        for kind in KINDS:
            refuted = accepted(f"equivalence.not_{kind}", first, second=second)
            assert not (refuted and kind in IS[name])
            assert refuted or kind in IS[name] or kind == "affine"
    other = Model(prior, draw.network(m, 1, [3], "1/3"))
    z = [[str(v) for v in draw.row(m)]]
    for kind in ("equal", "permutation", "monomial"):
        assert accepted(f"equivalence.not_{kind}", first, second=other, points=z)
        assert accepted(f"equivalence.not_{kind}", first, second=other) is (m == 2)
    for kind in ("orthogonal", "affine"):
        assert not accepted(f"equivalence.not_{kind}", first, second=other, points=z)
        heavier = changed(first.plain(), ("prior", "means", 0, 0), lambda v: v + 1)
        assert accepted(f"equivalence.not_{kind}", first, second=heavier)
    # An irrational scale, and a constant latent, whose scale is free: nothing is shown.
    single = Model(GaussianMixture([1], [[0] * m], [np.eye(m, dtype=int).tolist()]), f)
    double = Model(GaussianMixture([1], [[0] * m], [(2 * np.eye(m, dtype=int)).tolist()]), f)
    assert not accepted("equivalence.not_monomial", single, second=double, points=z)
    assert accepted("equivalence.not_orthogonal", single, second=double, points=z)
    assert accepted("equivalence.not_permutation", single, second=double, points=z)
    thin = np.eye(m, dtype=int)
    thin[0, 0] = 0
    flat = [Model(GaussianMixture([1], [[0] * m], [thin.tolist()]), net) for net in (f, other.decoder)]
    assert not accepted("equivalence.not_monomial", flat[0], second=flat[1], points=z)
    assert accepted("equivalence.not_permutation", flat[0], second=flat[1], points=z)


def test_points_must_lie_inside_a_cell_of_full_rank():
    first, second = Model(PRIOR, NETWORK), Model(PRIOR, LEAKY)
    assert accepted("equivalence.not_affine", first, second=second, at=[1, 2])
    for at in ([0, 2], [1, 1], [1, 1, 1], [1], "x", [1.0, 2]):
        assert not accepted("equivalence.not_affine", first, second=second, at=at)
    flat = Model(PRIOR, ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[0, 0], [0, 0]]))
    assert "column rank" in refusal("equivalence.not_affine", flat, second=flat, at=[-1, 1])
    line = Model(GaussianMixture([1], [0], [1]), EXAMPLE_4)
    other = Model(GaussianMixture([1], [1], [1]), EXAMPLE_4)
    assert accepted("equivalence.not_affine", line, second=other, at=[0])
    assert "changes its slope" in refusal("equivalence.not_affine", line, second=other, at=[2])
    assert accepted("equivalence.not_affine", line, second=Model(PRIOR, ReLUNetwork([[[1, 0]]], [[0]])))
    assert accepted("latents.not_affine", line, second=Model(PRIOR, ReLUNetwork([[[1, 0]]], [[0]])))


@pytest.mark.parametrize("seed", range(5))
def test_three_latents(seed):
    """With the cells of both networks, and without them where the networks have one form."""
    draw = Random(seed, 2)
    f = draw.network(3, 3, [4] if seed % 2 else [3, 3], Fraction(seed % 3, 3))
    first = Model(draw.mixture(3, 2), f)
    change = draw.change(3)
    second = draw.equivalent(first, change)
    data = {"second": second, **change.plain()}
    cells = common_tree(f, change.inverse().precompose(second.decoder))
    for trees in ({}, {"tree": cells}):
        assert refusal("equivalence.affine", first, **data, **trees) is None
        for kind in KINDS[:4]:
            assert not accepted(f"equivalence.{kind}", first, **data, **trees)
        for place in few(draw, numbers(second.plain()["decoder"]), 8):
            wrong = changed(second.plain(), ("decoder", *place), lambda v: v + 1)
            if accepted("equivalence.affine", first, **{**data, "second": wrong}, **trees):
                z = draw.rng.normal(size=(300, 3)) * 4
                g = ReLUNetwork(*(wrong["decoder"][k] for k in ("weights", "biases", "negative_slope")))
                np.testing.assert_allclose(g(change(z)), f(z), rtol=1e-8, atol=1e-8)
    for k in few(draw, list(range(len(cells))), 12):
        assert not accepted("equivalence.affine", first, **data, tree=[*cells[:k], *cells[k + 1:]])
    z = interior(first)
    if z is not None:
        cells = tree_of(second.decoder)
        assert not accepted("equivalence.not_affine", first, second=second, at=z, tree=cells)
        heavier = changed(second.plain(), ("prior", "means", 0, 0), lambda v: v + 1)
        assert refusal("equivalence.not_affine", first, second=heavier, at=z, tree=cells) is None
        assert accepted("equivalence.not_monomial", first, second=second, at=z, tree=cells) \
            is not change.is_monomial
        assert not accepted("equivalence.not_affine", first, second=heavier, at=z, tree=cells[1:])
        assert not accepted("equivalence.not_affine", first, second=heavier, at=z)


def test_three_latents_whose_decoders_differ_far_away():
    """The priors agree; a point where the decoders differ is what shows it."""
    eye = np.eye(3, dtype=int).tolist()
    f = ReLUNetwork([eye, eye], [[0, 0, 0], [0, 0, 0]], "1/2")
    # The two last units cancel for z1 < 9.
    g = ReLUNetwork([[*eye, [1, 0, 0], [-1, 0, 0]], [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 2, 1]]],
                    [[0, 0, 0, -9, 9], [0, 0, 0]], "1/2")
    prior = GaussianMixture([1], [[0, 0, 0]], [[[2, 1, 0], [1, 3, 0], [0, 0, 5]]])
    first, data = Model(prior, f), {"second": Model(prior, g), "at": [1, 1, 1], "tree": tree_of(g)}
    assert accepted("equivalence.not_affine", first, **data, points=[None, [10, 1, 1]])
    assert accepted("equivalence.not_affine", first, **data, points={"0": ["19/2", 1, 1]})
    for points in ([], [[8, 1, 1]], [None]):
        assert "may relate" in refusal("equivalence.not_affine", first, **data, points=points)
    assert "may relate" in refusal("equivalence.not_affine", first, **data)


def test_networks_of_two_depths():
    """The identity: s(t) - s(-t) = (1 + a) t; then |z1| with a unit too many, which no form shows but the cells do."""
    eye = np.eye(3, dtype=int).tolist()
    prior = GaussianMixture([1], [[0, 0, 0]], [eye])
    flat = Model(prior, ReLUNetwork([eye], [[0, 0, 0]]))
    minus = [[-v for v in r] for r in eye]
    deep = Model(prior, ReLUNetwork([eye + minus, [[*(Fraction(2, 3) * v for v in r), *(Fraction(2, 3) * v for v in q)]
                                                   for r, q in zip(eye, minus, strict=True)]],
                                    [[0] * 6, [0, 0, 0]], "1/2"))
    for first, second in ((flat, deep), (deep, flat)):
        assert refusal("equivalence.equal", first, second=second, matrix=eye, shift=[0, 0, 0]) is None
        cells = common_tree(first.decoder, second.decoder)
        assert refusal("equivalence.equal", first, second=second, matrix=eye, shift=[0, 0, 0], tree=cells) is None
    other = Model(prior, ReLUNetwork([eye, eye], [[0, 0, 0], [0, 0, 1]], "1/2"))
    assert not accepted("equivalence.equal", flat, second=other, matrix=eye, shift=[0, 0, 0])
    assert not accepted("equivalence.equal", flat, second=other, matrix=eye, shift=[0, 0, 0],
                        tree=common_tree(flat.decoder, other.decoder))
    positive = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]
    short = Model(prior, ReLUNetwork([positive, [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]], [[0] * 4, [0, 0, 0]]))
    again = [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    long = Model(prior, ReLUNetwork([positive, again, eye], [[0] * 4, [0, 0, 0], [0, 0, 0]]))
    assert not accepted("equivalence.equal", short, second=long, matrix=eye, shift=[0, 0, 0])
    cells = common_tree(short.decoder, long.decoder)
    assert refusal("equivalence.equal", short, second=long, matrix=eye, shift=[0, 0, 0], tree=cells) is None


@given(seed=st.integers(0, 2**31), m=st.integers(1, 3))
@settings(max_examples=60)
def test_networks_of_one_form_are_equal_functions(seed, m):
    """Rewritten networks have one form; where one number is changed and the form stays, so do the values."""
    draw = Random(seed, 2)
    f = draw.network(m, 2, draw.pick([[], [3], [2, 3], [3, 2, 2]]), draw.pick([0, 1, -1, Fraction(1, 3)]))
    g = draw.rewritten_network(f)
    assert same_form(decoder(f.plain()), decoder(g.plain()))
    tree = g.plain()
    for place in few(draw, numbers(tree), 6):
        wrong = changed(tree, place, lambda v: v - 1)
        if same_form(decoder(f.plain()), decoder(wrong)):
            z = draw.rng.normal(size=(300, m)) * 4
            other = ReLUNetwork(*(wrong[k] for k in ("weights", "biases", "negative_slope")))
            np.testing.assert_allclose(other(z), f(z), rtol=1e-8, atol=1e-8)


class TestGivenU:
    MEANS, VARIANCES = [[1, 2], [0, 1], [3, -1]], [[1, 2], [2, 3], ["1/2", 5]]
    PRIOR = ConditionalPrior.from_means_variances(MEANS, VARIANCES)

    def carried(self, change):
        a, b = change.matrix_exact, change.shift_exact
        means = [(a @ np.array([Fraction(v) for v in r], dtype=object) + b).tolist() for r in self.MEANS]
        spreads = [np.diag(a @ np.diag([Fraction(v) for v in r]) @ a.T).tolist() for r in self.VARIANCES]
        return ConditionalPrior.from_means_variances(means, spreads)

    def test_normal_laws(self):
        change = MAPS["monomial"]
        first = Model(self.PRIOR, NETWORK)
        second = Model(self.carried(change), change.precompose(NETWORK))
        for kind in KINDS:
            assert accepted(f"equivalence.{kind}", first, second=second, **change.plain()) is (kind in IS["monomial"])
            assert accepted(f"equivalence.not_{kind}", first, second=second, at=["10/3", "3/7"]) \
                is (kind not in IS["monomial"])
        assert accepted("latents.affine", first, second=second, **change.plain())
        mixed = MAPS["affine"]
        assert not accepted("equivalence.affine", first, second=Model(self.carried(mixed), mixed.precompose(NETWORK)),
                            **mixed.plain())
        tree = second.plain()
        for place in numbers(tree["prior"]):
            wrong = changed(tree, ("prior", *place), lambda v: v - Fraction(1, 7))
            assert not accepted("equivalence.affine", first, second=wrong, **change.plain())
            assert not accepted("latents.affine", first, second=wrong, **change.plain())
            assert accepted("equivalence.not_affine", first, second=wrong, at=["10/3", "3/7"])

    def test_unrelated_latents(self):
        first = Model(self.PRIOR, NETWORK)
        other = ConditionalPrior.from_means_variances(self.MEANS[::-1], self.VARIANCES)
        assert accepted("latents.not_affine", first, second=Model(other, NETWORK))
        one = [Model(ConditionalPrior.from_means_variances(means, [1, 1, 1]), ABSOLUTE)
               for means in ([0, 1, 3], [5, 3, -1], [0, 2, 3])]
        assert accepted("latents.not_affine", one[0], second=one[2])
        scaled = Model(ConditionalPrior.from_means_variances([5, 3, -1], [4, 4, 4]), ABSOLUTE)
        assert not accepted("latents.not_affine", one[0], second=scaled)
        assert accepted("latents.affine", one[0], second=scaled, matrix=[[-2]], shift=[5])
        assert accepted("latents.not_affine", one[0], second=one[1])

    def test_other_families_latent_by_latent(self):
        natural = [[[2, -1], ["1/2", -3]], [[1, -2], [4, -1]]]
        swapped = [[r[1], [r[0][0], Fraction(r[0][1]) / 3]] for r in natural]
        first = Model(ConditionalPrior("gamma", natural), NETWORK)
        change = AffineChange([[0, 1], [3, 0]], [0, 0])
        second = Model(ConditionalPrior("gamma", swapped), change.precompose(NETWORK))
        assert refusal("equivalence.monomial", first, second=second, **change.plain()) is None
        assert accepted("latents.affine", first, second=second, **change.plain())
        assert not accepted("equivalence.permutation", first, second=second, **change.plain())
        for wrong in (AffineChange([[0, 1], [2, 0]], [0, 0]), AffineChange([[0, 1], [3, 0]], [0, 1])):
            assert not accepted("latents.affine", first, second=second, **wrong.plain())
        mixed = AffineChange([[1, 1], [3, 0]], [0, 0])
        assert "one by one" in refusal("latents.affine", first, second=second, **mixed.plain())
        assert not accepted("equivalence.not_affine", first, second=second, at=["10/3", "3/7"])
        assert accepted("equivalence.not_permutation", first, second=second, at=["10/3", "3/7"])
        other = Model(ConditionalPrior("gamma", swapped), LEAKY)
        assert accepted("equivalence.not_affine", first, second=other, at=["10/3", "3/7"])


def test_latents_alone():
    """The decoders do not matter, an irrational scale does not prevent a relation for one latent."""
    p = GaussianMixture(["1/2", "1/2"], [0, 1], [1, 2])
    first = Model(p, ABSOLUTE)
    change = AffineChange(-3, 2)
    second = Model(change.carry(p), STEPS)
    assert accepted("latents.affine", first, second=second, **change.plain())
    assert not accepted("latents.affine", first, second=second, matrix=[[3]], shift=[2])
    assert not accepted("latents.not_affine", first, second=second)
    other = Model(GaussianMixture(["1/2", "1/2"], [0, 1], [1, 3]), STEPS)
    assert accepted("latents.not_affine", first, second=other)
    single = Model(GaussianMixture([1], [0], [1]), ABSOLUTE)
    assert not accepted("latents.not_affine", single, second=Model(GaussianMixture([1], [0], [2]), ABSOLUTE))
    draw = Random(0)
    for _ in range(20):
        q = draw.mixture(2, 3)
        moved = Model(draw.rewritten_mixture(draw.change(2).carry(q)), LEAKY)
        assert not accepted("latents.not_affine", Model(q, LEAKY), second=moved)
        tree = changed(moved.plain(), ("prior", "means", 0, 0), lambda v: v + 1)
        assert accepted("latents.not_affine", Model(q, LEAKY), second=tree)


def test_matrices_that_are_none():
    first = Model(PRIOR, NETWORK)
    for matrix, shift in ([[[1, 0], [0, 0]], [0, 0]], [[[1, 0]], [0, 0]], [[[1, 0], [0, 1]], [0]], [[], []],
                          [[[1, 0], [0, 1, 0]], [0, 0]], [[[1.0, 0], [0, 1]], [0, 0]], [None, [0, 0]]):
        for kind in ("equivalence.affine", "equivalence.equal", "latents.affine"):
            assert not accepted(kind, first, second=first, matrix=matrix, shift=shift)
    assert plain_numbers(MAPS["equal"].matrix_exact) == [[1, 0], [0, 1]]
