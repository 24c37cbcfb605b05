"""Second models with the same law: densities compared by the laws, inequivalence by brute force in floats."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from common.pairs import ABSOLUTE, IDENTITY, LEAKY, NOISE, PAIRS, line
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.conditions.alternatives import Alternative, alternatives
from ident_theory.errors import CertificateRejected, InputError
from ident_theory.exact.findings import Finding
from ident_theory.laws.identity import Relation, compare
from ident_theory.models import ConditionalPrior, DeclaredMap
from ident_theory.numerics import Evidence, Status
from ident_theory.spec.reading import from_dict

HAVE_LAW = [name for name, (model, _, _) in PAIRS.items()
            if isinstance(model.prior, GaussianMixture) and not isinstance(model.decoder, DeclaredMap)]


def of_kind(name: str) -> tuple[Model, Alternative]:
    model, kind, refutes = PAIRS[name]
    (found,) = (item for item in alternatives(model, {}) if item.proof.kind == kind)
    assert found.refutes == refutes
    return model, found


@pytest.mark.parametrize("name", PAIRS)
def test_every_construction_is_found_and_survives_json(name: str) -> None:
    model, found = of_kind(name)
    again = Alternative.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    again.verify(json.loads(json.dumps(model.plain())))
    assert from_dict(again.model).plain() == again.proof.data["second"]


@pytest.mark.parametrize("name", HAVE_LAW)
def test_log_densities_of_the_pair_agree(name: str) -> None:
    model, found = of_kind(name)
    second = from_dict(found.model)
    z, _ = model.prior.sample(8, np.random.default_rng(5))
    x = model.decoder(z) + np.random.default_rng(6).normal(size=(8, model.observed_dim)) * 0.25
    np.testing.assert_allclose(law(second).log_density(x), law(model).log_density(x), rtol=1e-10, atol=1e-10)


def centred(prior: GaussianMixture):
    """Weights, centred means, covariances, whole covariance of the reduced prior."""
    p = prior.reduced()
    center = p.weights @ p.means
    c = p.means - center
    return p.weights, c, p.covariances, np.einsum("j,jkl->kl", p.weights, p.covariances) + (c.T * p.weights) @ c, center


def affinely_related(p: GaussianMixture, q: GaussianMixture) -> bool:
    """Whether some matching of components fits weights, whitened inner products of means and spectra."""
    (w, c, s, whole, _), (v, d, t, other, _) = centred(p), centred(q)
    if len(w) != len(v):
        return False
    gram, gram2 = c @ np.linalg.solve(whole, c.T), d @ np.linalg.solve(other, d.T)
    spectra = [np.sort(np.linalg.eigvals(np.linalg.solve(whole, x)).real) for x in s]
    spectra2 = [np.sort(np.linalg.eigvals(np.linalg.solve(other, x)).real) for x in t]
    return any(np.allclose(w, v[list(o)]) and np.allclose(gram, gram2[np.ix_(o, o)])
               and all(np.allclose(spectra[j], spectra2[k]) for j, k in enumerate(o))
               for o in map(list, itertools.permutations(range(len(w)))))


def monomial_maps(p: GaussianMixture, q: GaussianMixture):
    """Signed scaled orders H and shifts that carry p to q, within rounding."""
    (w, c, s, whole, a), (v, d, t, other, b) = centred(p), centred(q)
    m = len(a)
    for order in itertools.permutations(range(m)):
        for signs in itertools.product((1, -1), repeat=m):
            h = np.zeros((m, m))
            for i, place in enumerate(order):
                h[place, i] = signs[i] * np.sqrt(other[place, place] / whole[i, i])
            free = list(range(len(v)))
            for j in range(len(w)):
                free = [k for k in free if not (np.isclose(w[j], v[k]) and np.allclose(h @ c[j], d[k], atol=1e-9)
                                                and np.allclose(h @ s[j] @ h.T, t[k], atol=1e-9))]
            if not free and len(w) == len(v):
                yield h, b - h @ a


@pytest.mark.parametrize("name", HAVE_LAW)
def test_the_pair_is_not_equivalent_by_brute_force(name: str) -> None:
    model, found = of_kind(name)
    second, differs = from_dict(found.model), found.proof.data["differs"]
    if differs == "structure":
        first, other = (np.array(x.prior.weights).reshape(x.prior.states) for x in (model, second))
        tables = [np.transpose(other, order)[::a, ::b] for order in ((0, 1), (1, 0)) for a in (1, -1) for b in (1, -1)]
        assert not any(np.allclose(first, table) for table in tables)
    elif (found.refutes, differs) == ("affine", "latent"):
        if model.latent_dim == 1:
            assert not list(monomial_maps(model.prior, second.prior))
        else:
            assert not affinely_related(model.prior, second.prior)
    elif (found.refutes, differs) == ("monomial", "latent"):
        assert not list(monomial_maps(model.prior, second.prior))
    elif found.refutes == "permutation":
        assert not any(np.allclose(np.abs(h), h.round()) and np.allclose(shift, 0)
                       for h, shift in monomial_maps(model.prior, second.prior))
    else:
        z = np.random.default_rng(3).normal(size=(2000, model.latent_dim)) * 4
        maps = list(monomial_maps(model.prior, second.prior))
        assert maps
        for h, shift in maps:
            assert np.abs(second.decoder(z @ h.T + shift) - model.decoder(z)).max() > 1e-2


def test_example_4_is_the_published_pair() -> None:
    _, found = of_kind("Example 4")
    g = from_dict(found.model).decoder
    assert g == PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4])


def test_remark_3_6_flips_one_component() -> None:
    model, found = of_kind("absolute value")
    assert compare(model, from_dict(found.model)).relation is Relation.LAW
    assert len(found.proof.data["components"]) == 1


def test_means_given_u_are_those_of_the_mixed_latents() -> None:
    """N(mu, D) and rows of A: the laws of A z given u, drawn and counted."""
    model, found = of_kind("means only given u")
    second, a = from_dict(found.model), np.array([[float(Fraction(v)) for v in r] for r in found.proof.data["matrix"]])
    assert isinstance(second.prior, ConditionalPrior)
    for natural, other in zip(model.prior.natural, second.prior.natural, strict=True):
        variances, others = -0.5 / natural[:, 1], -0.5 / other[:, 1]
        np.testing.assert_allclose(a @ (natural[:, 0] * variances), other[:, 0] * others, atol=1e-12)
        np.testing.assert_allclose(a @ np.diag(variances) @ a.T, np.diag(others), atol=1e-12)
    z = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(second.decoder(z @ a.T), model.decoder(z), atol=1e-12)
    # The square of a latent is no affine function of the other latents and their squares.
    new = z @ a.T
    table = np.column_stack([np.ones(50), new, new**2])
    residual = np.linalg.lstsq(table, z[:, 0] ** 2, rcond=None)[1]
    assert residual[0] > 1e-3


def holds(condition: str) -> Finding:
    return Finding(condition, Status.HOLDS, Evidence.EXACT, "for the test")


def test_findings_say_where_to_look() -> None:
    model = Model(GaussianMixture(["1/2", "1/2"], [[0, 0], [1, 3]], [[1, 2], [4, 4]]), LEAKY, NOISE)
    known = {name: holds(name) for name in ("P1", "P2", "F2")}
    assert [item.refutes for item in alternatives(model, known)] == ["permutation"]


@pytest.mark.parametrize("model", [
    line(["1/3", "2/3"], [-1, 2], [1, 1], PiecewiseAffineMap([0], [-1, 2], [0, 0])),
    line(["1/3", "2/3"], [-1, 2], [1, 2], IDENTITY),
    line([1], [0], [1], ABSOLUTE),
])
def test_a_condition_that_fails_is_no_alternative(model: Model) -> None:
    """Row kivva.f2.notnecessary: a V with two slopes; nothing coarser than scaling is claimed."""
    assert [item.refutes for item in alternatives(model, {})] == ["permutation"]


def test_estimated_parameters_and_one_latent_give_nothing() -> None:
    estimated = ConditionalPrior("normal", MEANS, standard_errors=[[["1/10", "1/10"]] * 2] * 2)
    assert alternatives(Model(estimated, LEAKY, NOISE), {}) == ()
    single = ConditionalPrior("normal", [[[0, "-1/2"]], [[1, "-1/2"]]])
    assert alternatives(Model(single, IDENTITY, NOISE), {}) == ()


MEANS = [[[0, "-1/2"], [1, "-1/2"]], [[2, "-1/2"], [1, "-1/2"]]]


def test_a_proof_about_something_else_is_rejected() -> None:
    model, found = of_kind("absolute value")
    for other in (replace(found, model=model.plain()), replace(found, refutes="permutation")):
        with pytest.raises(CertificateRejected, match="about others"):
            other.verify(model)


def test_a_tree_that_is_no_alternative_is_refused() -> None:
    for tree in ({}, {"model": {}, "refutes": "affine", "differs": "", "proof": {}}, [], 3):
        with pytest.raises(InputError, match="alternative: expected model"):
            Alternative.from_dict(tree)  # type: ignore[arg-type]


small = st.integers(-2, 2)


@st.composite
def line_models(draw):
    count = draw(st.integers(1, 3))
    weights = [draw(st.integers(1, 2)) for _ in range(count)]
    prior = GaussianMixture([f"{w}/{sum(weights)}" for w in weights],
                            [draw(small) for _ in range(count)],
                            [draw(st.sampled_from([0, 1, 1, 2])) for _ in range(count)])
    n, width = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    if draw(st.booleans()):
        decoder = ReLUNetwork([[[draw(small)] for _ in range(width)], [[draw(small) for _ in range(width)]
                                                                      for _ in range(n)]],
                              [[draw(small) for _ in range(width)], [0] * n], draw(st.sampled_from([0, "1/2", -1])))
    else:
        breaks = sorted(draw(st.sets(small, max_size=3)))
        rows = [[draw(st.integers(-1, 1)) for _ in range(n)] for _ in range(2 * len(breaks) + 2)]
        decoder = PiecewiseAffineMap(breaks, rows[::2], rows[1::2])
    return Model(prior, decoder, NOISE)


@given(line_models())
@settings(max_examples=60)
def test_one_latent_every_pair_has_one_law_and_is_inequivalent(model: Model) -> None:
    for found in alternatives(model, {}):
        relation = compare(model, from_dict(found.model)).relation
        assert relation is (Relation.AFFINE if found.refutes == "permutation" else Relation.LAW)


@st.composite
def plane_models(draw):
    count, width = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    prior = GaussianMixture([f"{1}/{count}"] * count, [[draw(small), draw(small)] for _ in range(count)],
                            [[draw(st.integers(1, 2)), draw(st.integers(1, 2))] for _ in range(count)])
    rows = [[draw(small), draw(small)] for _ in range(width)]
    out = [[draw(small) for _ in range(width)] for _ in range(draw(st.integers(1, 2)))]
    return Model(prior, ReLUNetwork([rows, out], [[draw(st.integers(-1, 1)) for _ in range(width)], [0] * len(out)],
                                    draw(st.sampled_from([0, "1/2", -1]))), NOISE)


@given(plane_models())
@settings(max_examples=30)
def test_two_latents_every_pair_has_one_density(model: Model) -> None:
    z, _ = model.prior.sample(3, np.random.default_rng(1))
    x = model.decoder(z) + 0.1
    for found in alternatives(model, {}):
        second = from_dict(found.model)
        np.testing.assert_allclose(law(second).log_density(x), law(model).log_density(x), rtol=1e-9, atol=1e-9)
        if found.refutes == "affine":
            assert not affinely_related(model.prior, second.prior)
        elif found.proof.data["differs"] == "latent" and found.refutes == "monomial":
            assert not list(monomial_maps(model.prior, second.prior))
