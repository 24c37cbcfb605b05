"""Speed of the exhaustive search as ratios against named alternatives, measured in one run (``make bench``).

Fifty truths against the 29,296,875 raw points of the family in search_problem.py, two cores. The alternatives are
timed on a few points each; their cost does not depend on the family. Best of the rounds.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from search_problem import NOISE, family, raw_points, scipy_cross_entropy, torch_cross_entropies

import ident_theory as it
from ident_theory.kernels.mixtures import mixture_logs
from ident_theory.landscape.engine import BLOCK_ROWS, compute_tile, distinct_rows
from ident_theory.landscape.plan import BLOCK_NODES, enumerate_members, make_plan, orbits_in
from ident_theory.laws.parallel import available_cores

TRUTHS = 50
WHOLE = """
import sys; sys.path.insert(0, {folder!r})
import numpy as np
from search_problem import family
from ident_theory import search
f = family()
rng = np.random.default_rng(0)
result = search(f, [f.draw(rng) for _ in range({truths})])
print(len([result.minimisers(t, minima=False) for t in range({truths})]))
"""


@pytest.fixture(scope="module")
def setup():
    grid = family()
    rng = np.random.default_rng(0)
    truths = [grid.draw(rng) for _ in range(TRUTHS)]
    members = enumerate_members(grid)
    return grid, truths, members, make_plan(members, truths, 1e-10)


def _work(plan) -> tuple[int, int]:
    """Logarithms and floating-point operations of the matrix products that all values take."""
    logs = flops = 0
    for orbit in orbits_in(plan.orbit, slice(0, len(plan.orbit))):
        rows, rule = len(distinct_rows(plan, orbit)[1]), plan.rules[plan.rule_of[plan.orbit[orbit.start]]]
        logs += rows * len(rule.nodes)
        flops += 2 * rows * sum(block.weights.size for block in rule.blocks)
    return logs, flops


def _usual_rule(plan):
    """The rule that most functions take."""
    return plan.rules[int(np.bincount(plan.rule_of[plan.orbit]).argmax())]


def _model(points, i):
    return it.Model(it.GaussianMixture(points["weights"][i], points["means"][i], [1] * 3),
                    it.ReLUNetwork([[[v] for v in points["b"][i]], [list(points["a"][i])]],
                                   [list(points["p"][i]), [0]]), it.GaussianNoise(NOISE))


def test_whole_search_from_process_start(benchmark, setup):
    """A fresh Python process: imports, enumeration, nodes, all values, minimisers in classes."""
    code = WHOLE.format(folder=str(Path(__file__).parent), truths=TRUTHS)
    benchmark.pedantic(lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True),
                       rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(search="whole search, process start included", count=setup[0].size * TRUTHS,
                                unit="raw point and truth", group="raw")


def test_engine(benchmark, setup):
    """The values alone, and the share of the hardware's measured peak."""
    grid, _, members, plan = setup
    count = len(members.forms)
    result = benchmark.pedantic(lambda: compute_tile(plan, slice(0, count), 1e-9, True), rounds=5, warmup_rounds=1)
    logs, flops = _work(plan)
    benchmark.extra_info.update(
        search="all values", count=grid.size * TRUTHS, unit="raw point and truth", group="raw",
        evaluated=result.evaluated, nodes=round(logs / result.evaluated), distinct=count * len(members.priors.rows),
        functions=count, priors=len(members.priors.rows), cores=available_cores(),
        logs=logs, flops=flops, bound=float(plan.errors.max()))


def test_scipy_quad(benchmark):
    points = raw_points(8)

    def run():
        return [scipy_cross_entropy({k: v[i] for k, v in points.items()}, {k: v[i + 4] for k, v in points.items()})
                for i in range(4)]

    with warnings.catch_warnings(action="ignore"):  # quad complains where erf has no digits left
        benchmark.pedantic(run, rounds=3)
    benchmark.extra_info.update(search="scipy.integrate.quad, closed form with math.erf", count=4,
                                unit="raw point and truth", group="raw")


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_closed_form(benchmark, setup, threads):
    """The nodes that most functions take and the same truths, for eight raw points at a time."""
    import torch

    _, truths, _, plan = setup
    rule = _usual_rule(plan)
    points = raw_points(8)
    torch.set_num_threads(threads)
    values = benchmark.pedantic(lambda: torch_cross_entropies(points, rule.nodes[:, 0], rule.weights),
                                rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(search=f"torch closed form, {threads} thread{'s' * (threads > 1)}",
                                count=8 * TRUTHS, unit="raw point and truth", group="raw")
    exact = it.law(truths[0]).cross_entropy(it.law(_model(points, 0))).value
    assert abs(values[0, 0] - exact) <= 1e-8 * max(1, exact)  # the alternative computes the same thing


def test_peak_logarithms(benchmark):
    """The mixture kernel on data that never leave the first-level cache, one thread."""
    rng = np.random.default_rng(0)
    table = np.exp(-rng.random((4, BLOCK_NODES)))
    rows = np.tile(np.array([[0, 1, 2]]), (BLOCK_ROWS, 1))
    weights, out = np.full((BLOCK_ROWS, 3), 1 / 3), np.empty((16, BLOCK_NODES))

    def run():
        for r in range(0, BLOCK_ROWS, len(out)):
            mixture_logs(table, rows, weights, r, r + len(out), 0, BLOCK_NODES, out)

    benchmark.pedantic(run, rounds=200, warmup_rounds=2)
    benchmark.extra_info.update(search="peak: sum of three components and its logarithm", unit="number", group="peak",
                                count=BLOCK_ROWS * BLOCK_NODES, peak="logs")


def test_peak_multiply_add(benchmark):
    """A large square matrix product of the linear algebra library, one thread."""
    from threadpoolctl import threadpool_limits

    a = np.random.default_rng(0).random((2048, 2048))
    with threadpool_limits(1, "blas"):
        benchmark.pedantic(lambda: a @ a, rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(search="peak: matrix product, floating-point operations", unit="operation",
                                count=2 * 2048**3, group="peak", peak="flops")


@pytest.mark.parametrize(("values", "simplex"), [((-1, 0, 1), 4), ((-2, -1, 0, 1, 2), 4), ((-2, -1, 0, 1, 2), 12)])
def test_scaling(benchmark, values, simplex):
    """Time per distinct network, prior and node must not rise."""
    grid = family(values, simplex)
    rng = np.random.default_rng(0)
    members = enumerate_members(grid)
    plan = make_plan(members, [grid.draw(rng) for _ in range(TRUTHS)], 1e-10)
    count, priors = len(members.forms), len(members.priors.rows)
    benchmark.pedantic(lambda: compute_tile(plan, slice(0, count), 1e-9, False), rounds=3, warmup_rounds=1)
    nodes = round(float(np.diff(plan.rule_starts)[plan.rule_of[plan.orbit]].mean()))
    benchmark.extra_info.update(search=f"{count:,} networks x {priors:,} priors x {nodes:,} nodes",
                                count=count * priors * nodes, unit="network, prior and node",
                                group="scaling", work=_work(plan), cores=available_cores())
