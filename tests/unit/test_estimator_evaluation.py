"""How runs are scored: known latents give known values, runs are chosen by score, baselines always stand beside."""

import builtins
import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError
from ident_theory.estimators.evaluation import Spread, evaluate
from ident_theory.metrics import mcc


@dataclass
class KnownFit:
    """A fit whose runs have given latents, as functions of the observations."""

    maps: list
    scores: np.ndarray
    alive: tuple = ()
    ranked: bool = False
    estimator: object = field(default_factory=lambda: SimpleNamespace(name="known", score_name="ELBO"))

    def __post_init__(self):
        self.scores = np.asarray(self.scores, dtype=float)
        self.alive = self.alive or (True,) * len(self.maps)
        self.seeds = tuple(range(10, 10 + len(self.maps)))
        self.network = SimpleNamespace(ranked=self.ranked)

    @property
    def ranking(self):
        return tuple(r for r in np.argsort(-self.scores, kind="stable").tolist() if self.alive[r])

    def latents(self, data):
        return np.stack([made(data) for made in self.maps])

    def score(self, data):
        return self.scores - 0.5


def data(seed=0, size=2000, d=2, n=None):
    """Latents of unequal variances mixed by a rotation, so that x itself is not the answer."""
    rng = np.random.default_rng(seed)
    z = rng.laplace(size=(size, d)) * np.arange(1, d + 1)
    matrix = np.linalg.qr(np.random.default_rng(9).normal(size=(n or d, n or d)))[0][:, :d]  # whatever the seed
    return Dataset(z @ matrix.T, rng.integers(3, size=size), z)


def truth(part):
    return part.z


def swapped(part):
    return part.z[:, ::-1] * [-2, 3] + 1


def mixed(part):
    return part.z @ np.array([[1.0, 1.0], [-1.0, 1.0]])


def noise(part):
    return np.random.default_rng(len(part)).normal(size=part.z.shape)


def run(fit, part, **options):
    return evaluate(fit, part, rng=np.random.default_rng(0), train=options.pop("train", data(1)), **options)


def test_known_latents_give_known_values():
    found = run(KnownFit([truth, swapped, mixed, noise], [4, 3, 2, 1]), data())
    strong, weak = ([getattr(item, kind) for item in found.runs] for kind in ("strong", "weak"))
    assert strong[:2] == pytest.approx([1, 1], abs=1e-12)
    assert weak[:3] == pytest.approx([1, 1, 1], abs=1e-12)
    # z_1 +- z_2 with variances 2 and 8: correlations 1 / sqrt(5) and 2 / sqrt(5), less what 1,000 draws leave open
    assert strong[2] == pytest.approx((1 + 2) / (2 * math.sqrt(5)), abs=0.03)
    # independent: the mean of |N(0, 1 / 1000)| over two dimensions is 0.025
    assert max(strong[3], weak[3]) < 0.1
    assert [item.held_out_score for item in found.runs] == [3.5, 2.5, 1.5, 0.5]
    assert [item.seed for item in found.runs] == [10, 11, 12, 13]


def test_values_are_those_of_mcc_on_the_same_halves():
    part = data()
    found = run(KnownFit([mixed, noise], [1, 0]), part)
    halves = int(np.random.default_rng(0).integers(2**32, size=3)[0])
    for item, made in zip(found.runs, (mixed, noise), strict=True):
        for kind in ("strong", "weak"):
            value = mcc(made(part), part.z, kind, split="half", rng=np.random.default_rng(halves)).value
            assert getattr(item, kind) == value


@settings(max_examples=12, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_half_is_chosen_by_score_and_never_by_mcc(scores, random):
    maps = [random.choice([truth, mixed, noise]) for _ in scores]
    alive = tuple(random.random() < 0.8 for _ in scores)
    fit = KnownFit(maps, np.where(alive, scores, -np.inf), alive)
    found = run(fit, data(size=60), train=data(1, size=60))
    chosen = [item for item in found.runs if item.chosen]
    others = [item for item in found.runs if not item.chosen and item.alive]
    assert len(chosen) == min(math.ceil(len(scores) / 2), sum(alive))
    assert all(item.alive for item in chosen)
    assert not others or min(item.score for item in chosen) >= max(item.score for item in others)
    assert found.best == (max(chosen, key=lambda item: item.score).number if chosen else None)
    assert found.half == Spread.of([item.strong for item in chosen], [item.weak for item in chosen])
    assert found.all.count == sum(alive)


def test_the_worst_run_by_score_is_left_out_though_it_has_the_best_mcc():
    found = run(KnownFit([truth, noise, noise, mixed], [-9, 2, 1, 0]), data())
    assert found.best == 1
    assert [item.chosen for item in found.runs] == [False, True, True, False]
    assert found.half.strong < 0.1 < 0.4 < found.all.strong


def test_mean_and_spread():
    assert Spread.of([0.5, 0.7, math.nan], [0.1, 0.1, math.nan]) == \
        Spread(2, pytest.approx(0.6), pytest.approx(0.1), pytest.approx(0.02**0.5), pytest.approx(0))
    assert Spread.of([], []).count == 0
    assert math.isnan(Spread.of([], []).strong)
    assert math.isnan(Spread.of([1.0], [1.0]).strong_std)


def test_baselines_stand_beside():
    found = run(KnownFit([noise], [0]), data())
    by_name = {item.name: item for item in found.baselines}
    assert list(by_name) == ["FastICA of x", "independent noise", "x itself"]
    assert by_name["FastICA of x"].strong > 0.99  # Laplace sources, linear mixture: what ICA is made for
    assert by_name["independent noise"].strong < 0.1
    assert by_name["x itself"].weak == pytest.approx(1, abs=1e-10)
    assert by_name["x itself"].strong < by_name["FastICA of x"].strong


def test_x_itself_only_where_dimensions_fit_and_fastica_capped_by_them():
    wide = run(KnownFit([truth], [0]), data(n=4), train=data(1, n=4))
    assert [item.name for item in wide.baselines] == ["FastICA of x", "independent noise"]
    part = data(d=3)
    narrow = Dataset(part.x[:, :2], part.u, part.z)
    found = run(KnownFit([truth], [0]), narrow, train=narrow)
    assert any(note.startswith("FastICA of x: 2 and 3 latents") for note in found.notes)


def test_runs_that_failed_or_are_not_finite_have_no_mcc():
    def broken(part):
        return np.full(part.z.shape, np.inf)

    found = run(KnownFit([truth, broken, truth], [1, 2, -np.inf], (True, True, False)), data())
    assert [math.isnan(item.strong) for item in found.runs] == [False, True, True]
    assert math.isnan(found.runs[2].held_out_score)
    assert any("run 1 are not finite" in note for note in found.notes)
    assert found.best == 1  # by score, as always
    none = run(KnownFit([truth], [-np.inf], (False,)), data())
    assert none.best is None
    assert math.isnan(none.all.strong)
    assert len(none.baselines) == 3


def test_a_latent_that_does_not_vary_scores_zero():
    found = run(KnownFit([lambda part: part.z * [1, 0]], [0]), data())
    assert found.runs[0].strong == pytest.approx(0.5, abs=1e-12)
    assert any("score 0" in note for note in found.notes)


def test_pairs_where_no_latents_are_known():
    part = data()
    blind, maps = Dataset(part.x, part.u), [lambda _: part.z, lambda _: swapped(part), lambda _: noise(part)]
    found = run(KnownFit(maps, [3, 2, 1]), blind)
    assert found.half is None
    assert found.baselines == ()
    assert found.pairs.strong.values[0, 1] == pytest.approx(1, abs=1e-12)
    assert found.pairs.strong.values[0, 2] < 0.1
    assert found.pairs.chosen.strong == pytest.approx(1, abs=1e-12)
    assert found.pairs.chosen.count == 1
    names = [item.name for item in found.pairs.baselines]
    assert names == ["FastICA of x, other starts", "independent noise"]
    assert found.pairs.baselines[1].strong < 0.1
    single = run(KnownFit(maps[:1], [0]), blind)
    assert single.pairs is None
    assert any("at least two runs" in note for note in single.notes)


def test_both_kinds_and_numbers_of_the_runs_in_pairs():
    fit = KnownFit([truth, noise, mixed], [3, -np.inf, 1], (True, False, True))
    found = run(fit, data(), kind="both")
    assert found.pairs.numbers == (0, 2)
    assert found.pairs.weak.values[0, 1] == pytest.approx(1, abs=1e-12)
    assert found.half.strong == pytest.approx(np.mean([found.runs[0].strong, found.runs[2].strong]))


def test_unmixed_latents_have_columns_of_their_own():
    found = run(KnownFit([mixed, noise], [1, 0]), data(), unmix="fastica")
    assert found.runs[0].strong < 0.8 < 0.99 < found.runs[0].unmixed_strong
    assert found.runs[1].unmixed_strong < 0.1
    assert math.isnan(run(KnownFit([mixed], [1]), data()).runs[0].unmixed_strong)


def test_ranked_latents_are_compared_by_the_leading_ones():
    def many(part):
        extra = np.random.default_rng(1).normal(size=(len(part), 7)) * 0.01
        return np.hstack([noise(part)[:, :1] * 9, part.z[:, 1:], extra[:, :1], part.z[:, :1] * 0.01, extra[:, 1:]])

    found = run(KnownFit([many], [0], ranked=True), data()).runs[0]
    assert found.informative == 2
    assert len(found.deviations) == 10
    assert found.deviations[0] == pytest.approx(9, rel=0.1)
    # one of two is recovered; among all ten both would be found
    assert found.strong == pytest.approx(0.5, abs=0.05)
    assert run(KnownFit([many], [0]), data()).runs[0].strong > 0.9


def test_warnings_of_scikit_learn_become_notes(monkeypatch):
    import sklearn.decomposition

    monkeypatch.setattr(sklearn.decomposition, "FastICA", _Poor)
    found = run(KnownFit([truth], [0]), data())
    assert any("FastICA of x" in note and "did not converge" in note for note in found.notes)
    monkeypatch.setattr(_Poor, "fails", True)
    lost = run(KnownFit([truth], [0]), data())
    assert [item.name for item in lost.baselines] == ["independent noise", "x itself"]
    assert any("FastICA of x: failed: no sources" in note for note in lost.notes)


class _Poor:
    fails = False

    def __init__(self, count, **_):
        self.count = count

    def fit(self, x):
        import warnings

        if self.fails:
            raise ValueError("no sources")
        warnings.warn("did not converge", UserWarning, stacklevel=2)
        return self

    def transform(self, x):
        return x[:, :self.count]


def test_without_scikit_learn_a_note_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def blocked(name, *rest, **more):
        if name.startswith("sklearn"):
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", blocked)
    found = run(KnownFit([truth], [0]), data(), kind="both")
    assert [item.name for item in found.baselines] == ["independent noise", "x itself"]
    assert any("pip install 'ident_theory[data]'" in note for note in found.notes)


def test_images_of_constant_pixels_do_not_stop_the_baseline():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(100, 2)), np.zeros((100, 5))])
    found = evaluate(KnownFit([lambda part: part.x[:, :3], lambda part: part.x[:, :2][:, [0, 1, 1]]], [1, 0]),
                     Dataset(x), rng=rng)
    assert found.pairs is not None
    assert any("held-out" in note for note in found.notes)


def test_the_same_generator_gives_the_same_numbers_and_they_are_json():
    first, second = (run(KnownFit([mixed, noise], [1, 0]), data(), kind="both").to_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert json.loads(json.dumps(first)) == first
    assert "NaN" not in json.dumps(run(KnownFit([truth], [-np.inf], (False,)), data()).to_dict())


def test_too_few_observations_for_canonical_correlations_are_a_note():
    found = run(KnownFit([truth, swapped], [1, 0]), data(size=6), kind="both")
    assert found.runs[0].strong == pytest.approx(1)
    assert math.isnan(found.runs[0].weak)
    assert found.pairs.weak is None
    assert any("no weak MCC: canonical correlations" in note for note in found.notes)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("options", "words"), [
    ({"kind": "some"}, "latents, pairs or both"), ({"unmix": "pca"}, "fastica")])
def test_unknown_options(options, words):
    with pytest.raises(InputError, match=words):
        run(KnownFit([truth], [0]), data(), **options)


def test_data_that_cannot_be_evaluated():
    with pytest.raises(InputError, match="at least 6 held-out observations for 2 latents, found 5"):
        run(KnownFit([truth], [0]), data(size=5))
    with pytest.raises(InputError, match="expected a Dataset, found ndarray"):
        run(KnownFit([truth], [0]), np.zeros((5, 2)))
    blind = Dataset(data().x)
    with pytest.raises(InputError, match="true latents z"):
        run(KnownFit([lambda part: part.x], [0]), blind, kind="latents")
