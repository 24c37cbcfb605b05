"""Bad input of the metrics: a named error that says what came and what to do, never a number."""

import numpy as np
import pytest

from ident_theory.errors import InputError
from ident_theory.metrics.canonical import canonical_correlations
from ident_theory.metrics.correlation import mcc
from ident_theory.metrics.methods import compare_methods
from ident_theory.metrics.pairs import mcc_against, mcc_pairs
from ident_theory.metrics.samples import energy_distance, sliced_wasserstein

RNG = np.random.default_rng(0)
GOOD = RNG.normal(size=(40, 3))
OTHER = RNG.normal(size=(40, 3))

#: Every metric of two sets of numbers.
METRICS = {
    "mcc strong": mcc,
    "mcc weak": lambda a, b: mcc(a, b, "weak"),
    "mcc fit": lambda a, b: mcc(a, b, "weak", alignment="least squares"),
    "mcc split": lambda a, b: mcc(a, b, split="half", rng=np.random.default_rng(0)),
    "mcc spearman": lambda a, b: mcc(a, b, correlation="spearman"),
    "pairs": lambda a, b: mcc_pairs([a, b]),
    "against": lambda a, b: mcc_against(a, [b]),
    "canonical": canonical_correlations,
    "energy": energy_distance,
    "sliced": lambda a, b: sliced_wasserstein(a, b, rng=np.random.default_rng(0)),
}


def spoiled(value):
    bad = GOOD.copy()
    bad[5, 1] = value
    return bad


BAD = {
    "nan": (spoiled(np.nan), r"found nan at \[5, 1\] \(1 such entries\)"),
    "inf": (spoiled(-np.inf), r"found -inf at \[5, 1\]"),
    "huge": (spoiled(1e300), "at most 1e\\+280"),
    "three axes": (GOOD.reshape(40, 3, 1), r"found shape \(40, 3, 1\)"),
    "number": (3.0, r"found shape \(\)"),
    "no rows": (np.empty((0, 3)), r"found shape \(0, 3\)"),
    "no columns": (np.empty((40, 0)), r"found shape \(40, 0\)"),
    "text": (np.full((40, 3), "a"), "expected real numbers"),
    "objects": (np.full((40, 3), None), "expected (real|finite) numbers"),
    "complex": (GOOD * 1j, "expected real numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "expected real numbers"),
    "masked": (np.ma.masked_greater(GOOD, 1), "masked entries"),
    "none": (None, "expected (real|finite) numbers|found shape"),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", BAD)
def test_numbers_that_are_none(metric, case):
    data, message = BAD[case]
    with pytest.raises(InputError, match=message):
        METRICS[metric](data, OTHER)
    with pytest.raises(InputError, match=message):
        METRICS[metric](OTHER, data)


@pytest.mark.parametrize("metric", [name for name in METRICS if name not in ("energy", "sliced")])
def test_latents_that_do_not_fit(metric):
    with pytest.raises(InputError, match=r"same observations in the same order on all sides, found .* has 40"):
        METRICS[metric](GOOD, OTHER[:39])
    with pytest.raises(InputError, match="observations"):
        METRICS[metric](GOOD[:2], OTHER[:2])
    with pytest.raises(InputError, match="rows"):
        METRICS[metric](GOOD.T, OTHER.T)  # shape (d, N)


@pytest.mark.parametrize("metric", [name for name in METRICS if name not in ("energy", "sliced", "canonical")])
def test_constant_latents_are_named(metric):
    dead = GOOD.copy()
    dead[:, 1] = 0.1
    for pair in ((dead, OTHER), (OTHER, dead)):
        with pytest.raises(InputError, match=r"constant .*1.*constant='zero'"):
            METRICS[metric](*pair)


def test_constant_on_one_half_only():
    """The message says on which half."""
    rare = GOOD.copy()
    rare[:, 0] = 0
    rare[7, 0] = 1
    with pytest.raises(InputError, match=r"za \(half of the (alignment|score)\).*constant columns 0"):
        mcc(rare, OTHER, split="half", rng=np.random.default_rng(0))
    found = mcc(rare, OTHER, split="half", rng=np.random.default_rng(0), constant="zero")
    assert any("score 0" in note for note in found.notes)
    assert found.per_dimension[list(found.columns_a).index(0)] == 0


def test_dependent_latents_are_named():
    copied = np.column_stack([GOOD, GOOD[:, 0] - GOOD[:, 2]])
    with pytest.raises(InputError, match=r"expected 4 independent latents .* ranks 3 .* pass dimension=3"):
        mcc(copied, np.column_stack([OTHER, OTHER[:, 0] ** 2]), "weak")


@pytest.mark.parametrize(("options", "message"), [
    ({"kind": "medium"}, "expected kind to be one of 'strong', 'weak', got 'medium'"),
    ({"correlation": "kendall"}, "expected correlation to be one of"),
    ({"split": "third"}, "expected split to be one of None, 'half'"),
    ({"split": "half"}, r"split='half' needs rng=np.random.default_rng\(seed\), got NoneType"),
    ({"split": "half", "rng": 0}, "got int"),
    ({"dimension": 2}, "dimension belongs to kind='weak'"),
    ({"kind": "weak", "dimension": 0}, "at least 1, got 0"),
    ({"kind": "weak", "dimension": 1.5}, "got 1.5"),
    ({"kind": "weak", "dimension": True}, "got True"),
    ({"kind": "weak", "dimension": 4}, "expected dimension <= 3"),
    ({"constant": "drop"}, "expected constant to be one of"),
])
def test_options(options, message):
    with pytest.raises(InputError, match=message):
        mcc(GOOD, OTHER, **options)
    with pytest.raises(InputError, match=message):
        mcc_pairs([GOOD, OTHER, GOOD + OTHER], **options)
    with pytest.raises(InputError, match=message):
        mcc_against(GOOD, [OTHER], **options)


def test_alignment_option():
    with pytest.raises(InputError, match="expected alignment to be one of"):
        mcc(GOOD, OTHER, "weak", alignment="procrustes")


def test_runs():
    for runs, message in (([], "at least two runs, got 0"), ([GOOD], "at least two runs, got 1"),
                          (GOOD[0, 0], "sequence of arrays"), ({"a": GOOD, "b": OTHER}, "sequence .* got dict"),
                          ([GOOD, OTHER, GOOD[1:]], r"runs\[2\] has 39")):
        with pytest.raises(InputError, match=message):
            mcc_pairs(runs)
    with pytest.raises(InputError, match=r"runs\[1\]: expected finite"):
        mcc_pairs([GOOD, spoiled(np.nan)])
    for options, message in (({"n_boot": -1}, "n_boot"), ({"level": 1.0}, "0 < level < 1"), ({"level": "0.9"}, "level"),
                             ({"rng": 3}, "the bootstrap needs rng")):
        with pytest.raises(InputError, match=message):
            mcc_pairs([GOOD, OTHER, GOOD + OTHER], **options)
    with pytest.raises(InputError, match="at least one run"):
        mcc_against(GOOD, [])
    with pytest.raises(InputError, match="level"):
        mcc_against(GOOD, [OTHER], level=0)


def test_samples():
    for metric in ("energy", "sliced"):
        with pytest.raises(InputError, match=r"same space, found x of shape \(40, 3\) and y of shape \(40, 2\)"):
            METRICS[metric](GOOD, OTHER[:, :2])
    with pytest.raises(InputError, match="x: expected at least 2 observations, found 1"):
        energy_distance(GOOD[:1], OTHER)
    with pytest.raises(InputError, match="the permutation test needs rng"):
        energy_distance(GOOD, OTHER, n_permutations=10)
    with pytest.raises(InputError, match="n_permutations"):
        energy_distance(GOOD, OTHER, n_permutations=-1)
    for options, message in (({"p": 0.5}, "p >= 1"), ({"p": np.inf}, "p >= 1"), ({"n_projections": 1}, "at least 2"),
                             ({"rng": None}, "needs rng")):
        with pytest.raises(InputError, match=message):
            sliced_wasserstein(GOOD, OTHER, **({"rng": np.random.default_rng(0)} | options))


def test_scores_of_methods():
    good = {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 5.0]}
    for scores, message in (
            ({"a": [1.0, 2.0], "b": [1.0]}, r"lengths \{'a': 2, 'b': 1\}"), ({"a": [1.0]}, "at least two methods"),
            ([[1.0], [2.0]], "mapping"), ({"a": [1.0, np.nan], "b": [1.0, 2.0]}, r"scores\['a'\]: expected finite"),
            ({"a": [], "b": []}, "found shape"), ({"a": np.ones((2, 2)), "b": np.ones((2, 2))}, "one score a unit")):
        with pytest.raises(InputError, match=message):
            compare_methods(scores)
    with pytest.raises(InputError, match="baseline"):
        compare_methods(good, baseline="c")
    with pytest.raises(InputError, match="correction"):
        compare_methods(good, correction="tukey")
    with pytest.raises(InputError, match="level"):
        compare_methods(good, level=95)
    with pytest.raises(InputError, match="no comparison"):
        compare_methods(good)["b", "a"]


def test_global_state_of_numpy_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    mcc_pairs([GOOD, OTHER, GOOD + OTHER], "weak", split="half", rng=np.random.default_rng(0), n_boot=10)
    energy_distance(GOOD, OTHER, n_permutations=5, rng=np.random.default_rng(0))
    sliced_wasserstein(GOOD, OTHER, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
