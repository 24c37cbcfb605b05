"""A training as text and as a picture, from the tree that the command writes."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from ident_theory.report.train_figures import Curves, draw_curves, train_figure
from ident_theory.report.train_text import columns, condition_lines, number, spread, train_text


def run(number_, score, strong=None, **more):
    weak = None if strong is None else strong + 0.01
    return {"number": number_, "seed": 10 + number_, "alive": score is not None, "chosen": False, "score": score,
            "held_out_score": None if score is None else score - 0.5, "strong": strong, "weak": weak,
            "unmixed_strong": None, "unmixed_weak": None, "deviations": [], "informative": None, **more}


def tree(runs=None, **evaluation):
    runs = runs or [run(0, -3.0, 0.7), run(1, -1.0, 0.9, chosen=True), run(2, None)]
    part = {"count": 2, "strong": 0.8, "weak": 0.81, "strong_std": 0.1414, "weak_std": None}
    found = {"estimator": "ivae", "score_name": "ELBO", "observations": 101, "runs": runs, "best": 1,
             "baselines": [{"name": "FastICA of x", "strong": 0.55, "weak": 0.65, "runs": 1},
                           {"name": "independent noise", "strong": 0.02, "weak": None, "runs": 1}],
             "half": part, "all": part, "pairs": None, "notes": ["one note", "one note"], **evaluation}
    return {"estimator": {"name": "ivae", "batch_size": 64}, "precision": "float32", "device": "cpu", "preset": None,
            "data": {"name": "tcl", "training": 36_000, "held_out": 101, "observed_dim": 1, "latent_dim": 2,
                     "conditions": 40}, "steps": [500], "total": [500], "trained_seconds": 2.0, "reported": [],
            "differs": "", "evaluation": found, "notes": [], "files": {}, "model": None}


def pairs(weak=True):
    table = {"mean": 0.6, "std": 0.1, "interval": [0.4, 0.8], "level": 0.95, "n_pairs": 3,
             "values": [[None, 0.5, 0.6], [0.5, None, 0.7], [0.6, 0.7, None]]}
    return {"numbers": [0, 1, 4], "strong": table, "weak": table if weak else None, "chosen": {
        "strong": 0.7, "weak": None, "strong_std": None, "weak_std": None},
        "baselines": [{"name": "independent noise", "strong": 0.02, "weak": 0.03, "runs": 3}]}


def test_runs_by_score_then_baselines():
    lines = train_text(tree()).splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["run", "seed"])
    assert [line.split() for line in lines[start + 1:start + 6]] == [
        ["1", "11", "-1.000", "-1.500", "0.9000", "0.9100", "best"],
        ["0", "10", "-3.000", "-3.500", "0.7000", "0.7100"],
        ["2", "12", "-", "-", "-", "-", "failed"],
        ["FastICA", "of", "x", "0.5500", "0.6500", "baseline"],
        ["independent", "noise", "0.0200", "-", "baseline"]]


def test_what_the_head_and_the_summary_say():
    text = train_text(tree())
    assert "36,000 observations of 1 coordinate, 2 true latents, 40 conditions; 101 held out" in text
    assert "3 runs of 500 steps with batches of 64 in 2.0 s on cpu, float32, 750 runs x steps/s" in text
    assert "best half of the runs by ELBO (1): strong MCC 0.8000 (sd 0.1414), weak MCC 0.8100\n" in text
    assert "aligned on 50 observations, scored on 51 others" in text
    assert text.count("note: one note") == 1


def test_a_training_that_stopped_early():
    early = tree() | {"steps": [100], "total": [500]}
    assert "100 of 500 steps" in train_text(early)
    none = tree(runs=[run(0, None)], best=None) | {"steps": [], "total": []}
    assert "all runs failed" in train_text(none)


def test_figures_of_the_paper_and_where_it_differs():
    more = tree() | {"preset": "khemakhem2019", "differs": "fewer steps", "reported": [
        {"estimator": "ivae", "value": "MCC above 0.95", "place": "Figure 2a"}]}
    text = train_text(more)
    assert "(preset khemakhem2019)" in text
    assert "reported: ivae MCC above 0.95 (Figure 2a)" in text
    assert "unlike the paper: fewer steps" in text


def test_pairs_with_and_without_weak_mcc():
    text = train_text(tree(pairs=pairs(), half=None))
    assert "strong MCC over 3 pairs: 0.6000 (sd 0.1000), 95% interval [0.4000, 0.8000]" in text
    assert "MCC strong" not in text
    assert "independent noise, 3 runs with each other: strong 0.0200, weak 0.0300" in text
    assert "weak MCC over" not in train_text(tree(pairs=pairs(weak=False)))


def test_model_and_files():
    beside = {"rows": 500, "score_name": "ELBO", "score": -2.0, "log_likelihood": -1.5, "gap": 0.5, "gap_error": None}
    more = tree() | {"model": {"beside": beside, "conditions": {"seconds": 200.0, "lines": ["ivae.L  holds  why"]}},
                     "files": {"latents": "a/latents.npz", "runs": "a/run-*.npz", "count": 2, "model": "a/model.json"}}
    text = train_text(more)
    assert "exact log-likelihood -1.5000, ELBO -2.0000; the first is larger by 0.5000" in text
    assert "(3.3 min):\n  ivae.L  holds  why" in text
    assert "ident-theory align a/run-*.npz" in text
    assert "ident-theory check a/model.json" in text
    spaced = train_text(more | {"files": {"latents": "a b/l", "runs": "a b/run-*.npz", "count": 2, "model": "a b/m"}})
    assert "align 'a b'/run-*.npz" in spaced
    assert "check 'a b'/m" in spaced
    exact = more["model"]["beside"] | {"gap": -1e-16}
    assert "larger by 0.0000" in train_text(more | {"model": {"beside": exact, "conditions": None}})


def test_columns_for_unmixed_latents_and_spectra():
    runs = [run(0, 1.0, 0.5, unmixed_strong=0.8, unmixed_weak=0.9, informative=2, chosen=True)]
    lines = train_text(tree(runs=runs, best=0)).splitlines()
    row = next(line for line in lines if line.startswith("  0"))
    assert row.split() == ["0", "10", "1.000", "0.500", "0.5000", "0.5100", "0.8000", "0.9000", "2", "best"]


def test_many_runs_are_cut():
    runs = [run(i, float(-i), 0.5) for i in range(60)]
    assert "... 35 more runs; --json has all of them" in train_text(tree(runs=runs, best=0))


def test_small_pieces():
    assert (number(None), number(0.12345), spread(None, None), spread(0.5, None)) == ("-", "0.1235", "-", "0.5000")
    assert list(columns(["a", "bb", ""], [["1", "2", "x"], ["10", "", ""]])) == [" a  bb", " 1   2  x", "10"]


def test_conditions_of_a_model_fit_on_a_line():
    import ident_theory as it

    report = it.check(it.load_example("absolute_value"), budget=5)
    lines = condition_lines(report, width=60)
    assert all(len(line) <= 58 for line in lines)
    assert any(line.startswith("F2") and "fails" in line for line in lines)


def curves(count=3, phases=("pretrain",) * 4 + ("train",) * 6):
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(count, 10)) + 100.0 * (np.arange(10) == 0)
    losses[-1, 5:] = np.nan
    return Curves(list(range(10, 110, 10)), list(phases), losses)


def test_curves_break_between_phases_and_show_the_bulk():
    axes = Figure().subplots()
    shown = curves()
    draw_curves(axes, tree()["evaluation"], shown)
    lengths = sorted(len(line.get_xdata()) for line in axes.lines)
    assert lengths == [2] + [4] * 3 + [6] * 3  # the border between the phases is a line too
    assert axes.get_ylim()[1] < 50
    labels = [item.get_text() for item in axes.get_legend().get_texts()]
    assert sorted(labels) == ["best run", "failed", "other runs"]
    axes = Figure().subplots()
    shown = curves(phases=("pretrain",) * 6 + ("train",) * 4)
    shown.losses[:, 0] = 0
    shown.losses[:, 6:] += 30
    draw_curves(axes, tree()["evaluation"], shown)
    low, high = axes.get_ylim()
    assert low < np.nanmin(shown.losses)  # both phases are in the window
    assert np.nanmedian(shown.losses[:, 6:]) < high < 50


def test_a_phase_of_one_record_does_not_set_the_window():
    axes = Figure().subplots()
    shown = curves(phases=("train",) * 9 + ("last",))
    shown.losses[:2, 9] = 1000
    draw_curves(axes, tree()["evaluation"], shown)
    assert axes.get_ylim()[1] < 50


def test_curves_are_named():
    axes = Figure().subplots()
    shown = curves()
    draw_curves(axes, tree()["evaluation"], shown)
    last = next(line for line in axes.lines if line.get_label() == "best run")
    assert np.array_equal(last.get_ydata(), shown.losses[1, :4])


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 2), (2, 3), (5, 5), (5, 8), (8, 5)])
def test_pictures_of_latents(d, k):
    rng = np.random.default_rng(0)
    found = rng.normal(size=(50, k))
    drawn = train_figure(tree(), curves(), found, rng.normal(size=(50, d)), rng.integers(3, size=50))
    drawn.canvas.draw()
    assert len(drawn.subfigs) == 2


def test_pictures_of_pairs_and_spectra():
    ranked = [run(0, -1.0, deviations=[2.0, 1.0, 0.01], informative=2), run(1, -0.5, deviations=[3.0, 0.1, 0.01],
                                                                             informative=1)]
    for weak in (True, False):
        drawn = train_figure(tree(runs=ranked, pairs=pairs(weak=weak)), curves(2), None, None)
        drawn.canvas.draw()
        assert len(drawn.subfigs) == 3
    words = [part.get_suptitle() for part in drawn.subfigs]
    assert "1 informative" in words[2]
    assert "weak" not in words[1]


def test_a_constant_latent_and_no_run_left():
    z = np.random.default_rng(0).normal(size=(50, 4))
    train_figure(tree(), curves(), z * [1, 0, 1, 1], z).canvas.draw()
    none = tree(runs=[run(0, None)], best=None)
    empty = Curves([10], ["train"], np.full((1, 1), np.nan))
    assert len(train_figure(none, empty, None, z).subfigs) == 1


def test_the_tree_is_json():
    assert train_text(json.loads(json.dumps(tree()))) == train_text(tree())
