"""Speed of the exact law as ratios against named alternatives, measured in one run.

Run with ``make bench`` (pytest-benchmark); the table is printed at the end and written to results.md.
The best of repeated rounds, since the noise of a busy machine only adds. The kernel runs in one thread unless
the row says two.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numba
import numpy as np
import pytest
from problem import (
    MODEL,
    cheapest_numpy_quadrature,
    deep_model,
    numpy_closed_form,
    scipy_quad,
    torch_closed_form,
)

from ident_theory import GaussianMixture, Model, law
from ident_theory.geometry.line import line_pieces
from ident_theory.kernels.closed_form import line_log_density
from ident_theory.kernels.elementary import exp_nonpositive, mills
from ident_theory.laws.line import LineLaw
from ident_theory.laws.line_terms import components_of

POINTS = 1_000_000


def kernel(exact: LineLaw):
    """The compiled kernel on one thread, as a function of x."""
    t = exact._terms

    def run(x: np.ndarray) -> np.ndarray:
        out = np.empty(len(x))
        line_log_density(x, t.inv_s, t.projections, t.kinds, t.starts, t.terms, t.series, out)
        return out

    return run


def measure(benchmark, name: str, function, argument, points: int, rounds: int) -> None:
    """Time a call after one warm-up and file it under `name` with its points."""
    benchmark.extra_info.update(row=name, points=points)
    benchmark.pedantic(function, args=(argument,), rounds=rounds, warmup_rounds=1)


@pytest.fixture(scope="module")
def exact() -> LineLaw:
    return law(MODEL)


@pytest.fixture(scope="module")
def x(exact) -> np.ndarray:
    return exact.sample(POINTS, np.random.default_rng(0))


def test_ours(benchmark, exact, x):
    measure(benchmark, "ours", kernel(exact), x, POINTS, 40)


def test_ours_two_threads(benchmark, exact, x):
    measure(benchmark, "ours, two threads", exact.log_density, x, POINTS, 40)


def test_scipy_quad(benchmark, exact, x):
    few = x[:40, 0]
    assert np.abs(scipy_quad(few) - exact.log_density(few)).max() < 1e-8
    measure(benchmark, "scipy.integrate.quad", scipy_quad, few, len(few), 20)


def test_numpy_quadrature(benchmark, exact, x):
    """Equal accuracy over the range of the law's promise: samples, and points out to log p = -4000."""
    part = np.concatenate([x[:25_000, 0], np.linspace(-20, 40, 25_000)])
    few = part[::13]
    rule = cheapest_numpy_quadrature(few, exact.log_density(few), -11, 75, safe=True)
    benchmark.extra_info["note"] = f"{rule.nodes} nodes, equal accuracy out to log p = -4000"
    measure(benchmark, "NumPy quadrature", rule, part, len(part), 15)


def test_numpy_quadrature_on_samples_only(benchmark, exact, x):
    """The easiest case for it: only samples of the law, so no logs and few nodes."""
    part = x[:50_000, 0]
    rule = cheapest_numpy_quadrature(part[:4000], exact.log_density(part[:4000]), -11, 12, safe=False)
    benchmark.extra_info["note"] = f"{rule.nodes} nodes, equal accuracy on samples alone"
    measure(benchmark, "NumPy quadrature, no tails", rule, part, len(part), 15)


def test_numpy_closed_form(benchmark, exact, x):
    part = x[:50_000, 0]
    assert np.abs(numpy_closed_form(part) - exact.log_density(part)).max() < 1e-12
    measure(benchmark, "NumPy closed form", numpy_closed_form, part, len(part), 30)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_closed_form(benchmark, exact, x, threads):
    torch = pytest.importorskip("torch")
    part = x[:200_000, 0]
    function = torch_closed_form()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert np.abs(function(part) - exact.log_density(part)).max() < 1e-12
        measure(benchmark, f"torch closed form, {threads} thread{'s' if threads > 1 else ''}", function, part,
                len(part), 15)
    finally:
        torch.set_num_threads(before)


def test_quadrature_route(benchmark, exact, x):
    route = law(MODEL, route="quadrature")
    part = x[:500]
    measure(benchmark, "our quadrature route", route.log_density, part, len(part), 3)


def test_rigorous_bounds(benchmark, exact, x):
    part = x[:500]
    measure(benchmark, "rigorous bounds", exact.log_density_bounds, part, len(part), 3)


def test_arithmetic_floor(benchmark, x):
    """What the elementary functions of one evaluation cost alone: 9 Mills ratios and 16 exponentials."""

    @numba.njit(error_model="numpy")
    def floor(values, out):
        for first in range(0, values.size, 256):
            block, part = values[first:first + 256], out[first:first + 256]
            for _ in range(9):
                for i in range(block.size):
                    part[i] += mills(block[i])
            for _ in range(16):
                for i in range(block.size):
                    part[i] += exp_nonpositive(-block[i])

    values = np.abs(x[:, 0])
    out = np.zeros_like(values)
    measure(benchmark, "limit: its exponentials and Mills ratios alone", lambda v: floor(v, out), values, POINTS, 30)


@pytest.mark.parametrize(("width", "components", "points"),
                         [(4, 3, 200_000), (16, 3, 200_000), (64, 3, 200_000), (16, 12, 200_000), (16, 3, 800_000)])
def test_cost_is_linear(benchmark, width, components, points):
    exact = LineLaw(deep_model(width, components))
    x = exact.sample(points, np.random.default_rng(1))
    benchmark.extra_info["terms"] = (width + 1) * components
    measure(benchmark, f"scaling: {width + 1} pieces x {components} components x {points:,} points", kernel(exact), x,
            points, 5)


def test_building_a_law(benchmark):
    def build(_: None) -> None:
        line_pieces.cache_clear()
        components_of.cache_clear()
        exact = LineLaw(MODEL)
        assert exact._terms.terms.size

    measure(benchmark, "building the law (pieces and constants)", build, None, 1, 50)


def test_landscape_point(benchmark, exact):
    means = itertools.count(1)

    def point(_: None) -> None:
        prior = GaussianMixture(MODEL.prior.weights_exact, [-2, Fraction(-next(means), 100), 3], [1, 1, 1])
        exact.cross_entropy(law(Model(prior, MODEL.decoder, MODEL.noise)))

    measure(benchmark, "one landscape point: a new model, its law, cross-entropy to 1e-10", point, None, 1, 50)
