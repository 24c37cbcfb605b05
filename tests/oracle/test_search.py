"""Exhaustive search against the divergences of the members' own laws, one raw parameter point at a time."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork, law
from ident_theory.landscape import ParameterFamily, engine, exhaustive, search
from ident_theory.laws.identity import Relation, compare

#: Asked of every value: this times max(1, value), besides the stated errors of both routes.
CLOSE = 1e-9
THREE = ["-1", "0", "1"]


def template(hidden=1, slope=0, std="1/2", n=1, components=2, layers=1):
    """A network with `layers` hidden layers of `hidden` units, under two components at -1 and 1."""
    widths = [1, *[hidden] * layers, n]
    weights = [[[1] * i] * o for i, o in zip(widths, widths[1:], strict=False)]
    biases = [[Fraction(j, 2) for j in range(o)] for o in widths[1:]]
    prior = GaussianMixture([Fraction(1, components)] * components, [2 * j - 1 for j in range(components)],
                            [1] * components)
    return Model(prior, ReLUNetwork(weights, biases, slope), GaussianNoise(std))


FAMILIES = {
    "one unit": ParameterFamily(template(), {"prior.weights": {"simplex": 2}, "prior.means": THREE,
                                             "decoder.weights": THREE, "decoder.biases": THREE}),
    "two units": ParameterFamily(template(2, "1/10"), {"prior.means[0]": THREE, "prior.weights": {"simplex": 3},
                                                       "decoder.weights": ["-1", "1/2", "2"]}),
    "three units": ParameterFamily(template(3), {"prior.means": ["-1", "1/3"], "decoder.weights[1]": THREE,
                                                 "decoder.biases[0]": ["-1/2", "1"]}),
    "slopes": ParameterFamily(template(2, std="1/4"), {"decoder.negative_slope": ["-1", "0", "1/10", "1"],
                                                       "decoder.weights[1]": THREE, "prior.weights": {"simplex": 4}}),
    "two layers": ParameterFamily(template(2, "1/5", layers=2), {
        "decoder.weights[1]": ["-1", "1"], "decoder.biases[1]": ["0", "1"], "prior.means[1]": ["0", "2"]}),
    "variances": ParameterFamily(template(2, std="1/4"), {
        "prior.covariances": ["0", "1/10", "1", "4"], "decoder.weights[1]": ["-1", "1"], "prior.means[0]": THREE}),
    "no hidden layer": ParameterFamily(template(0, layers=0), {
        "prior.covariances": ["1/4", "1"], "prior.means": THREE, "decoder.weights": ["-2", "0", "1"]}),
    "one of three": ParameterFamily(template(1, components=3), {
        "prior.weights": [["1", "0", "0"], ["1/3", "1/3", "1/3"], ["1/2", "0", "1/2"]], "decoder.weights": THREE}),
}


def raw_point(result, rng):
    """A raw parameter point, as its model and as its place among functions and priors."""
    family, members = result.settings.family, result.members
    index = {path: int(rng.integers(len(grid))) for path, grid in family.grids.items()}
    w = int(rng.integers(len(family.weights)))
    model = family.member({path: family.grids[path][i] for path, i in index.items()}, family.weights[w])
    f = members.networks.member[tuple(index[path] for path in members.networks.paths)]
    p = members.priors.member[(w, *(index[path] for path in members.priors.paths))]
    return model, int(f), int(p)


def outside(noise):
    """Truths in no family: a jump, a fold, a component far out."""
    return [Model(GaussianMixture(["1/3", "2/3"], ["1/7", -1], ["1/2", "2"]),
                  PiecewiseAffineMap([0.25], [[0.5], [-1.0]], [[0.0], [2.0]]), noise),
            Model(GaussianMixture([1], [0.1], [0.0]), PiecewiseAffineMap([0.0], [[0.0], [0.0]], [[-1.0], [1.5]]),
                  noise)]


def check(result, rng, count, rtol=1e-10):
    """Compare `count` random raw points with every target."""
    for _ in range(count):
        model, f, p = raw_point(result, rng)
        member = law(model)
        for t, target in enumerate(result.settings.targets):
            found, error = result.excess[f, p, t], result.plan.errors[t]
            if isinstance(target, Model):
                expected = law(target).kl(member, rtol=rtol)
                value, slack = expected.value, expected.error
            else:
                value, slack = -float(member.log_density(target).mean()), 0.0
            assert abs(found - value) <= CLOSE * max(1.0, abs(value)) + error + slack


@pytest.mark.parametrize("name", FAMILIES)
def test_excess_is_the_divergence(name):
    family, rng = FAMILIES[name], np.random.default_rng(len(name))
    truths = [family.draw(rng), family.draw(rng), *outside(family.model.noise)]
    result = search(family, truths, keep=True)
    assert np.all(result.plan.errors <= 1e-10)
    check(result, rng, 8)
    for t in range(2):  # members: found, and nothing is below them
        assert result.best[:, t].min() >= -2e-13
        assert abs(result.best[:, t].min()) <= result.plan.errors[t] + 2e-13
        f, p = np.argwhere(result.excess[:, :, t] == result.excess[:, :, t].min())[0]
        assert [f, p, t] in result.near.tolist()
    assert result.best[:, 2:].min() > 0


def test_some_divergences_against_rigorous_bounds():
    family, rng = FAMILIES["two units"], np.random.default_rng(5)
    truth = outside(family.model.noise)[0]
    result = search(family, [truth], keep=True)
    edges = np.linspace(-14, 14, 113)
    x, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[:, None] / 2
    nodes, weights = (edges[:-1, None] + half + half * x).ravel(), (half * w).ravel()
    low_p, high_p = law(truth).log_density_bounds(nodes)
    for _ in range(2):
        model, f, p = raw_point(result, rng)
        low_q, high_q = law(model).log_density_bounds(nodes)
        least, most = weights @ (np.exp(low_p) * (low_p - high_q)), weights @ (np.exp(high_p) * (high_p - low_q))
        assert most - least < 1e-9
        # The panels are an eighth of what the strips allow with this many nodes.
        assert least - 1e-10 <= result.excess[f, p, 0] <= most + 1e-10


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(FAMILIES)),
       tolerance=st.sampled_from([1e-12, 1e-7, 1e-3]))
@settings(max_examples=12)
def test_other_tolerances_hold_too(seed, name, tolerance):
    family, rng = FAMILIES[name], np.random.default_rng(seed)
    data = rng.normal(size=20)
    result = search(family, [family.draw(rng), data], keep=True, tolerance=tolerance, near=max(1e-9, 2 * tolerance))
    assert np.all(result.plan.errors <= tolerance)
    check(result, rng, 2)


@pytest.mark.parametrize("name", ["one unit", "variances", "two layers"])
def test_best_near_and_keep(name):
    family, rng = FAMILIES[name], np.random.default_rng(3)
    targets = [family.draw(rng), rng.normal(size=40), family.draw(rng)]
    full, lean = search(family, targets, keep=True, near=1e-2), search(family, targets, keep=False, near=1e-2)
    assert lean.excess is None
    assert np.array_equal(full.best, full.excess.min(axis=1))
    assert np.array_equal(full.best_prior, full.excess.argmin(axis=1))
    for name in ("best", "best_prior", "near", "near_excess", "evaluated"):
        assert np.array_equal(getattr(full, name), getattr(lean, name))
    listed = np.argwhere(full.excess <= 1e-2)
    assert sorted(map(tuple, listed.tolist())) == sorted(map(tuple, full.near.tolist()))
    assert np.array_equal(full.near_excess, full.excess[tuple(full.near.T)])
    assert full.evaluated <= full.points == full.excess.shape[0] * full.excess.shape[1]


@pytest.mark.parametrize("name", ["one unit", "slopes", "variances"])
def test_equal_laws_tie_to_rounding(name):
    family, rng = FAMILIES[name], np.random.default_rng(11)
    truth = family.draw(rng)
    result = search(family, [truth, outside(family.model.noise)[0]], keep=True)
    found = result.minimisers(0, minima=False)
    pairs = [pair for item in found.classes for pair in item.pairs]
    assert pairs
    values = np.array([result.excess[f, p] for f, p in pairs])
    assert np.ptp(values, axis=0).max() <= 1e-13
    # What is near without the same law is told apart by the exact comparison, and so is what was found, by models.
    for _ in range(30):
        model, f, p = raw_point(result, rng)
        assert ((f, p) in pairs) == (compare(truth, model).relation != Relation.DIFFERENT)


def test_data_with_repetitions_and_far_points():
    family = FAMILIES["two units"]
    for data in ([0.0], [0.5] * 7, [-30.0, 30.0], np.linspace(-2, 2, 33)):
        result = search(family, [np.array(data)], keep=True)
        assert result.plan.errors[0] <= 1e-10
        check(result, np.random.default_rng(0), 4)
    both = search(family, [np.array([-30.0, 30.0]), np.array([0.5] * 7)], keep=True)
    assert np.allclose(both.excess[:, :, 0], search(family, [np.array([-30.0, 30.0])], keep=True).excess[:, :, 0],
                       rtol=1e-11, atol=0)


def test_mixed_truths_and_data_with_coarse_tolerance():
    """The nodes that interpolate for data also integrate under the truth: both errors are proven."""
    family = ParameterFamily(template(1, std=2), {"decoder.weights[1]": ["0", "1/100"], "prior.means": THREE})
    rng = np.random.default_rng(2)
    truth = family.draw(rng)
    result = search(family, [truth, np.array([-20.0, 20.0])], keep=True, tolerance=1e-3, near=1e-2)
    assert np.all(result.plan.errors <= 1e-3)
    check(result, rng, 5)


def test_two_observed_dimensions():
    family = ParameterFamily(template(2, "1/10", n=2, std="1/2"), {
        "prior.means": ["-1", "1"], "decoder.weights[1][0,0]": ["-1", "1"], "decoder.weights[1][1,1]": ["0", "2"]})
    rng = np.random.default_rng(4)
    data = rng.normal(size=(25, 2))
    result = search(family, [family.draw(rng), data], keep=True)
    check(result, rng, 3, rtol=1e-7)
    assert abs(result.best[:, 0].min()) <= 1e-12
    assert result.plan.errors[0] < 1e-6


def test_torch_agrees():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'ident_theory[torch]'")
    rng = np.random.default_rng(8)
    for name in ("two units", "variances"):
        family = FAMILIES[name]
        targets = [family.draw(rng), rng.normal(size=10), np.array([-40.0, 3.0])]
        cpu = search(family, targets, keep=True)
        torch = search(family, targets, keep=True, device="torch-cpu")
        # An excess is a difference from the entropy, some nats.
        assert np.all(np.abs(cpu.excess - torch.excess) <= 1e-12 * np.maximum(1, np.abs(cpu.excess)))
        assert cpu.near[:, :2].tolist() == torch.near[:, :2].tolist()


# --- what may not matter --------------------------------------------------------------------------------------------

def arrays(result):
    return [result.best, result.best_prior, result.excess, result.near, result.near_excess]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


@pytest.mark.parametrize("name", ["one unit", "two units", "variances"])
def test_threads_and_tiles_do_not_matter(name, monkeypatch):
    family, rng = FAMILIES[name], np.random.default_rng(6)
    targets = [family.draw(rng), rng.normal(size=15)]
    results = []
    for cores, per_tile in ((1, None), (3, None), (2, 7), (1, 1)):
        with monkeypatch.context() as patch:
            for module in (engine, sys.modules["ident_theory.landscape.targets"]):
                patch.setattr(module, "available_cores", lambda cores=cores: cores)
            if per_tile:
                patch.setattr(exhaustive, "_rows_per_tile", lambda plan, n=per_tile: n)
            results.append(search(family, targets, keep=True, near=1e-6))
    assert same(results[0], results[1]), "threads"
    # A tile that ends within an orbit sums other rows together; products of matrices may round differently then.
    for other in results[2:]:
        assert np.allclose(other.excess, results[0].excess, rtol=1e-13, atol=1e-13)
        assert other.near.tolist() == results[0].near.tolist()


SCRIPT = """
import hashlib
import numpy as np
from ident_theory import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.landscape import ParameterFamily, search
for n in (1, 2):
    model = Model(GaussianMixture(["1/2", "1/2"], [-1, 1], [1, 1]),
                  ReLUNetwork([[[1], [1]], [[1, -1]] * n], [[0, "1/2"], [0] * n], "1/10"), GaussianNoise("1/4"))
    family = ParameterFamily(model, {"prior.means": [-1, 0, 1], "decoder.weights[1][0,0]": [-1, 0, "1/3", 1]})
    targets = [model, np.random.default_rng(0).normal(size=(50, n))]
    result = search(family, targets, keep=True)
    print(hashlib.sha256(result.excess.tobytes() + result.best.tobytes() + result.near.tobytes()).hexdigest())
"""


def test_the_number_of_threads_of_the_libraries_does_not_matter():
    found = [subprocess.run([sys.executable, "-c", SCRIPT], env={**os.environ, "OMP_NUM_THREADS": str(threads),
                                                                "OPENBLAS_NUM_THREADS": str(threads)},
                            check=True, capture_output=True, text=True).stdout for threads in (1, 4)]
    assert found[0].count("\n") == 2
    assert found[0] == found[1]


def test_progress_counts_up():
    seen = []
    family = FAMILIES["one unit"]
    search(family, outside(family.model.noise), progress=lambda what, done, total: seen.append((what, done, total)))
    assert {what for what, _, _ in seen} == {"nodes", "tiles"}
    for what in ("nodes", "tiles"):
        counts = [done for kind, done, _ in seen if kind == what]
        assert sorted(counts) == list(range(1, len(counts) + 1))
        assert max(counts) == next(total for kind, _, total in seen if kind == what)
    assert math.isfinite(seen[-1][1])


def test_few_observations_are_nodes_themselves():
    """Mean log-likelihoods of small data sets carry no quadrature error, however narrow the noise."""
    network = ReLUNetwork([[[1], [1]], [[1, 1]]], [[0, 0], [0]])
    template = Model(GaussianMixture(["1/2", "1/2"], [0, 0], [1, 1]), network, GaussianNoise("1/400"))
    family = ParameterFamily(template, {"prior.means": [-1, 1], "decoder.weights": [-1, 1],
                                        "decoder.biases[0]": [0, 1]})
    data = [law(family.draw(np.random.default_rng(seed))).sample(50, np.random.default_rng(seed)) for seed in range(3)]
    result = search(family, data, keep=True)
    assert (result.plan.errors == 0).all()
    assert len(result.plan.nodes) == 150
    for f, p in ((0, 0), (len(result.best) // 2, 1), (len(result.best) - 1, 2)):
        for t, x in enumerate(data):
            exact = -law(result.member(f, p)).log_density(x).mean()
            assert abs(result.excess[f, p, t] - exact) <= 1e-12 * max(1.0, abs(exact))
