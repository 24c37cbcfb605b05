"""The inner loops of the search: logarithms of mixtures against mpmath, codes of priors against fractions."""

from __future__ import annotations

import math
from collections import Counter

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from ident_theory.kernels.mixtures import DEEP, deep_logs, lowest_of, mixture_logs, rescale, row_codes

#: Promised is one unit in the last place, 2.2e-16 to 4.4e-16 relative; half a unit more for comparing in float64.
ULP = 4.5e-16


def sums(densities, rows, weights):
    """The mixtures themselves, added up in the order of the kernel, in plain numpy."""
    out = np.empty((len(rows), densities.shape[1]))
    for r, (row, w) in enumerate(zip(rows, weights, strict=True)):
        out[r] = w[0] * densities[row[0]]
        for c, v in zip(row[1:], w[1:], strict=True):
            if v == 0:
                break
            out[r] += v * densities[c]
    return out


def logs_of(densities, rows, weights, first=0, last=None, start=0, stop=None):
    last, stop = len(rows) if last is None else last, densities.shape[1] if stop is None else stop
    out = np.full((last - first, stop - start), math.nan)
    mixture_logs(densities, rows, weights, first, last, start, stop, out)
    return out


def one_by_one(values):
    """Logarithms of an array of numbers as they come out of the kernel."""
    return logs_of(np.asarray(values, dtype=float)[None, :], np.zeros((1, 1), dtype=np.int64), np.ones((1, 1)))[0]


# --- the logarithm itself -------------------------------------------------------------------------------------------

def worst_error(values):
    with mp.workdps(40):
        exact = [mp.log(mp.mpf(float(v))) for v in values]
        return max(float(abs((mp.mpf(float(found)) - e) / e)) if e else abs(float(found)) * 1e300
                   for found, e in zip(one_by_one(values), exact, strict=True))


@given(st.lists(st.floats(2.3e-308, 1.7e308, allow_subnormal=False), min_size=1, max_size=20))
@settings(max_examples=150)
def test_logarithms_of_any_normal_number(values):
    assert worst_error(values) <= ULP


@pytest.mark.parametrize("center", [1.0, math.sqrt(0.5), math.sqrt(2.0), 2.0, 0.5, 1e-260, 2.2250738585072014e-308])
def test_logarithms_where_exponent_and_mantissa_meet(center):
    near = center * (1 + np.concatenate([np.arange(0, 40), 2.0 ** np.arange(6, 50)]) * 2.0**-52)
    below = center * (1 - np.concatenate([np.arange(0, 40), 2.0 ** np.arange(6, 50)]) * 2.0**-53)
    values = np.unique(np.concatenate([near, below[below >= 2.2250738585072014e-308]]))
    assert worst_error(values) <= ULP


def test_logarithms_on_a_dense_set_of_mantissas():
    rng = np.random.default_rng(0)
    assert worst_error(rng.uniform(0.5, 2, 3000)) <= ULP
    assert one_by_one([1.0])[0] == 0.0


# --- sums of components ---------------------------------------------------------------------------------------------

@st.composite
def mixtures(draw):
    """Densities over many orders of magnitude, and rows of up to five components that end in zero weights."""
    components, nodes = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    count, places = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.0, 1.0, 200.0]))
    densities = np.exp(-spread * rng.uniform(size=(components, nodes)))
    rows = rng.integers(0, components, size=(count, places))
    units = rng.integers(1, 5, size=(count, places))
    for r in range(count):
        units[r, rng.integers(1, places + 1):] = 0
    return densities, rows, units / units.sum(axis=1, keepdims=True)


@given(mixtures())
@settings(max_examples=150)
def test_mixtures_of_one_to_five_components(case):
    densities, rows, weights = case
    found, total = logs_of(densities, rows, weights), sums(densities, rows, weights)
    for r, q in np.ndindex(*found.shape):
        with mp.workdps(40):
            exact = mp.log(mp.mpf(float(total[r, q])))
            assert abs(found[r, q] - exact) <= ULP * abs(exact)
            # And against the sum in 40 digits: every term and every addition rounds by half a unit of the sum.
            whole = mp.log(sum(mp.mpf(float(w)) * mp.mpf(float(densities[c, q]))
                               for c, w in zip(rows[r], weights[r], strict=True)))
            assert abs(found[r, q] - whole) <= ULP * abs(whole) + 2 * weights.shape[1] * 1.2e-16


@given(mixtures(), st.data())
def test_a_block_is_a_part_of_the_whole(case, data):
    densities, rows, weights = case
    first, start = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, densities.shape[1] - 1))
    part = logs_of(densities, rows, weights, first, len(rows), start, densities.shape[1])
    assert np.array_equal(part, logs_of(densities, rows, weights)[first:, start:])


def test_what_stands_behind_a_zero_weight_does_not_matter():
    densities = np.array([[0.5, 0.25], [1e-3, 1.0], [0.75, 1.0]])
    for places in range(1, 6):
        rows, weights = np.full((1, places), 2), np.zeros((1, places))
        rows[0, 0], weights[0, 0] = 0, 1.0
        assert np.array_equal(logs_of(densities, rows, weights)[0], np.log(densities[0]))


# --- rescaling and deep nodes ---------------------------------------------------------------------------------------

@st.composite
def log_tables(draw):
    """Log densities of components of which some are further apart than float64 reaches."""
    components, nodes = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = np.array([0.0, 1.0, 590.0, 610.0, 800.0, 1e5])[rng.integers(0, 6, size=nodes)]
    return -width * rng.uniform(size=(components, nodes)) + draw(st.sampled_from([0.0, -1e4, 3.0]))


def rescaled(logs):
    densities, scale = np.empty_like(logs), np.empty(logs.shape[1])
    deep = rescale(logs, densities, scale)
    return densities, scale, deep


@given(log_tables(), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_mixtures_over_deep_nodes_agree_with_logsumexp(logs, seed):
    densities, scale, deep = rescaled(logs)
    assert np.array_equal(scale, logs.max(axis=0))
    assert np.array_equal(deep, np.flatnonzero(logs.max(axis=0) - logs.min(axis=0) > DEEP))
    shallow = np.setdiff1d(np.arange(logs.shape[1]), deep)
    assert np.allclose(densities[:, shallow], np.exp(logs - scale)[:, shallow], rtol=1e-15, atol=0)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(logs), size=(7, 3))
    units = rng.integers(1, 5, size=(7, 3))
    units[:3, 2] = units[:2, 1] = 0
    weights = units / units.sum(axis=1, keepdims=True)
    found = logs_of(densities, rows, weights)
    deep_logs(logs, scale, deep, rows, weights, 0, 7, 0, logs.shape[1], found)
    with np.errstate(divide="ignore"):
        expected = logsumexp(np.log(weights)[:, :, None] + (logs - scale)[rows], axis=1)
    assert np.allclose(found, expected, rtol=1e-14, atol=1e-14)


def test_deep_nodes_outside_the_block_are_left_alone():
    logs = np.array([[0.0, 0.0, 0.0, 0.0], [-1e3, -2e3, -1.0, -3e3]])
    _, scale, deep = rescaled(logs)
    assert deep.tolist() == [0, 1, 3]
    out = np.full((1, 2), math.nan)
    deep_logs(logs, scale, deep, np.array([[0, 0], [1, 1]]), np.array([[1.0, 0.0], [1.0, 0.0]]), 1, 2, 1, 3, out)
    assert out[0, 0] == -2000.0
    assert math.isnan(out[0, 1])


# --- codes of priors ------------------------------------------------------------------------------------------------

@st.composite
def renamed_priors(draw):
    """Priors as units of weight, with zero weights in any place, and a renaming that may merge components."""
    components, places = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    unit, count = draw(st.integers(1, 4)), draw(st.integers(2, 12))
    weights = np.zeros((count, places), dtype=np.int64)
    rows = np.array(draw(st.lists(st.lists(st.integers(0, components - 1), min_size=places, max_size=places),
                                  min_size=count, max_size=count)))
    for p in range(count):
        for _ in range(unit):
            weights[p, draw(st.integers(0, places - 1))] += 1
    image = np.array(draw(st.lists(st.integers(0, 3), min_size=components, max_size=components)))
    return rows, weights, image, 4 * (unit + 1) + 1


def codes_of(rows, weights, image, base):
    codes = np.full(len(rows), -1, dtype=np.int64)
    row_codes(rows, weights, image, base, codes)
    return codes


@given(renamed_priors(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_codes_are_equal_for_equal_mixtures_only(case, random):
    rows, weights, image, base = case
    mixture = [Counter() for _ in rows]
    for p, (row, weight) in enumerate(zip(rows, weights, strict=True)):
        for c, w in zip(row, weight, strict=True):
            if w:
                mixture[p][int(image[c])] += int(w)
    codes = codes_of(rows, weights, image, base)
    for p in range(len(rows)):
        for r in range(p):
            assert (codes[p] == codes[r]) == (mixture[p] == mixture[r])
    order = list(range(rows.shape[1]))
    random.shuffle(order)
    assert np.array_equal(codes_of(rows[:, order], weights[:, order], image, base), codes)


def test_codes_hold_the_mixture_itself():
    codes = codes_of(np.array([[2, 0, 1], [1, 1, 0]]), np.array([[1, 2, 1], [3, 1, 0]]), np.array([3, 0, 3]), 100)
    assert codes.tolist() == [(0 * 5 + 1) * 100 + 3 * 5 + 3, 0 * 5 + 4]


# --- lowest values --------------------------------------------------------------------------------------------------

@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_lowest_value_and_its_first_place(rows, count, targets, seed):
    rng = np.random.default_rng(seed)
    values, place = rng.integers(0, 3, size=(rows, targets)).astype(float), rng.integers(0, rows, size=count)
    best, index = np.empty(targets), np.empty(targets, dtype=np.int32)
    lowest_of(values, place, best, index)
    assert np.array_equal(best, values[place].min(axis=0))
    assert np.array_equal(index, values[place].argmin(axis=0))


# --- the torch twin -------------------------------------------------------------------------------------------------

@given(log_tables(), st.integers(0, 2**32 - 1), st.integers(1, 5), st.booleans())
@settings(max_examples=60)
def test_torch_gives_the_same_sums(logs, seed, places, split):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'ident_theory[torch]'")
    from ident_theory.kernels import mixtures_torch

    densities, scale, deep = rescaled(logs)
    rng = np.random.default_rng(seed)
    count, nodes = 9, logs.shape[1]
    rows = rng.integers(0, len(logs), size=(count, places))  # with repetitions
    units = rng.integers(1, 5, size=(count, places))
    for r in range(count):
        units[r, rng.integers(1, places + 1):] = 0
    weights = units / units.sum(axis=1, keepdims=True)
    targets = rng.uniform(0, 1, size=(2, nodes)) * (rng.uniform(size=(2, nodes)) < 0.8)
    expected = logs_of(densities, rows, weights)
    deep_logs(logs, scale, deep, rows, weights, 0, count, 0, nodes, expected)
    with pytest.MonkeyPatch.context() as patch:
        if split:  # several blocks of mixtures
            patch.setattr(mixtures_torch, "BLOCK", 4 * nodes)
        found = mixtures_torch.mixture_sums(logs, densities, scale, rows, weights, targets, "torch-cpu")
    # Relative to the sum of absolute terms: a sum near zero is a difference of rounded logarithms.
    assert np.all(np.abs(found - targets @ expected.T) <= 1e-12 * np.maximum(1e-3, targets @ np.abs(expected).T))
