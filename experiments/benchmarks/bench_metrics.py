"""Speed of the metrics of latents (``make bench``); BLAS may use all cores.

MCC of one pair and of the 45 pairs of ten runs of 10,000 observations and 200 latents; the named alternative is a
plain loop of `numpy.corrcoef` with the assignment. Canonical correlations against `sklearn.cross_decomposition.CCA`
with the tolerance that it needs to agree to 1e-6.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.cross_decomposition import CCA

from ident_theory.metrics.canonical import canonical_correlations
from ident_theory.metrics.correlation import mcc
from ident_theory.metrics.pairs import mcc_pairs

OBSERVATIONS, LATENTS, RUNS = 10_000, 200, 10
PAIRS = [{"kind": kind, "correlation": correlation, "split": split}
         for kind in ("strong", "weak") for correlation in ("pearson", "spearman") for split in (None, "half")]
#: Observations and latents.
SIZES = [(200, 2), (1000, 5), (5000, 10), (10_000, 20), (10_000, 200)]
#: What scikit-learn ends in seconds.
SMALL = [size for size in SIZES if size[1] <= 20]


@pytest.fixture(scope="module")
def runs():
    """Affine images of one set of latents, with noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(OBSERVATIONS, LATENTS))
    return [truth @ rng.normal(size=(LATENTS, LATENTS)) + 5 * rng.normal(size=(OBSERVATIONS, LATENTS))
            for _ in range(RUNS)]


def _label(options) -> str:
    return f"{options['kind']}, {options['correlation'].capitalize()}" + (", held out" if options["split"] else "")


@pytest.mark.parametrize("options", PAIRS, ids=_label)
def test_pairs(benchmark, runs, options):
    found = benchmark.pedantic(lambda: mcc_pairs(runs, rng=np.random.default_rng(0), **options), rounds=1)
    benchmark.extra_info.update(metric=f"{_label(options)}, {found.n_pairs} pairs", group="mcc")


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_one_pair(benchmark, runs, kind):
    benchmark.pedantic(lambda: mcc(runs[0], runs[1], kind), rounds=3)
    benchmark.extra_info.update(metric=f"{kind}, Pearson, one pair", group="mcc")


def test_plain_loop(benchmark, runs):
    """Strong, Pearson."""
    def loop():
        values = []
        for a, b in itertools.combinations(runs, 2):
            table = np.abs(np.corrcoef(a.T, b.T)[:LATENTS, LATENTS:])
            values.append(table[linear_sum_assignment(table, maximize=True)].mean())
        return values
    values = benchmark.pedantic(loop, rounds=1)
    benchmark.extra_info.update(metric=f"numpy.corrcoef, strong, Pearson, {len(values)} pairs", group="mcc")
    assert np.mean(values) == pytest.approx(mcc_pairs(runs, n_boot=0).mean, abs=1e-12)


def _sets(size):
    count, d = size
    rng = np.random.default_rng(d)
    shared = rng.normal(size=(count, d))
    return [shared @ rng.normal(size=(d, d)) + 2 * rng.normal(size=(count, d)) for _ in range(2)]


def _name(size) -> str:
    return f"{size[0]:,} x {size[1]}"


@pytest.mark.parametrize("size", SIZES, ids=_name)
def test_canonical(benchmark, size):
    za, zb = _sets(size)
    benchmark.pedantic(lambda: canonical_correlations(za, zb), rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(metric=_name(size), group="canonical")


@pytest.mark.parametrize("size", SMALL, ids=_name)
def test_scikit_learn(benchmark, size):
    za, zb = _sets(size)
    d = size[1]
    fitted = benchmark.pedantic(lambda: CCA(d, max_iter=100_000, tol=1e-10).fit(za, zb), rounds=2)
    x, y = fitted.transform(za, zb)
    theirs = np.sort([abs(np.corrcoef(x[:, i], y[:, i])[0, 1]) for i in range(d)])[::-1]
    difference = float(np.abs(theirs - canonical_correlations(za, zb).correlations).max())
    assert difference < 1e-6
    benchmark.extra_info.update(metric=f"{_name(size)}, scikit-learn", group="canonical", difference=difference)
