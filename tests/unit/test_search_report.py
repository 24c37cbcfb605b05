"""The report and the figure of a search: numbers, words, witnesses and what a reader is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ident_theory.errors import InputError
from ident_theory.geometry.line import line_pieces
from ident_theory.landscape import ParameterFamily, search
from ident_theory.laws.identity import Relation, compare
from ident_theory.models import GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.report import save_figure, search_figure, search_report
from ident_theory.report.search import CONSTANT, FEWER, FOLDED, ZERO, affine_words, function_words, prior_words
from ident_theory.report.search_text import WIDTH, toml
from ident_theory.spec import from_dict, loads

NOISE = GaussianNoise("1/2")
THREE = [-1, 0, 1]


def model(weights, means, outer, inner=((1,), (-1,)), biases=(0, 0), noise=NOISE) -> Model:
    return Model(GaussianMixture(weights, means, [1] * len(weights)),
                 ReLUNetwork([[list(row) for row in inner], [list(outer)]], [list(biases), [0]]), noise)


#: In order: |z| with a tie that is not affine, a full member, a constant, one outside the family.
TRUTHS = [model(["1/2", "1/2"], [-1, 1], [1, 1]), model(["1/2", "1/2"], [0, 1], [1, -1]),
          model(["1/2", "1/2"], [0, 1], [0, 0]), model(["1/3", "2/3"], [-1, 1], [1, 3])]


@pytest.fixture(scope="module")
def result():
    family = ParameterFamily(TRUTHS[0], {"prior.weights": {"simplex": 2}, "prior.means": THREE,
                                         "decoder.weights[1]": THREE})
    data = np.abs(np.random.default_rng(0).normal(size=40))
    return search(family, [*TRUTHS, data])


@pytest.fixture(scope="module")
def report(result):
    return search_report(result)


def test_verdicts_classes_and_shortfalls(report, result):
    assert [t.verdict for t in report.truths] == ["inequivalent", "unique", "constant", "absent"]
    assert [t.index for t in report.truths] == [0, 1, 2, 3]
    assert [c.relation for c in report.truths[0].classes][:2] == ["same", "law"]
    assert [t.shortfalls for t in report.truths] == \
        [(FOLDED,), (), (ZERO, FOLDED, CONSTANT), (FOLDED,)]
    assert all(t.explained for t in report.truths)
    assert report.truths[3].lowest_excess > 0
    assert report.points == result.settings.family.size == 3 * 9 * 9
    for truth in report.truths:
        found = result.minimisers(truth.index)
        assert truth.raw == found.raw == sum(c.raw for c in truth.classes)
        assert truth.minima == found.local_minima.count
        assert from_dict(truth.model) == found.truth


def test_counts(report):
    counts = {c.kind: c for c in report.counts()}
    every = counts["all truths"]
    assert (every.truths, every.unique, every.inequivalent, every.constant, every.absent) == (4, 1, 1, 1, 1)
    assert (counts["full model"].truths, counts["full model"].unique) == (1, 1)
    assert counts[FOLDED].truths == 3
    assert counts[FEWER].truths == 0


def test_fewer_components_are_noticed(result):
    family = result.settings.family
    fewer = [model(["1", "0"], [0, 1], [1, -1]), model(["1/2", "1/2"], [1, 1], [1, -1])]
    found = search_report(search(family, fewer))
    assert [t.shortfalls for t in found.truths] == [(FEWER,), (FEWER,)]


def test_data_name_their_best_member(report, result):
    (data,) = report.data
    assert data.index == 4
    assert data.value == result.best[:, 4].min()
    from ident_theory.laws import law

    x = np.abs(np.random.default_rng(0).normal(size=40))
    assert data.value == pytest.approx(-law(from_dict(data.model)).log_density(x[:, None]).mean(), abs=1e-9)


def test_json_holds_the_numbers(report):
    tree = json.loads(report.to_json())
    assert tree["truths"][0]["raw"] == report.truths[0].raw
    assert tree["truths"][1]["runner_up"] == report.truths[1].runner_up
    assert tree["error"] == report.error
    assert tree["counts"][0]["truths"] == 4
    assert tree == json.loads(json.dumps(report.to_dict()))


def test_witness_in_the_text_is_one(report):
    text = report.text()
    section = text.split("# truth 0:")[1].split("\n\n")[0]
    truth, other = (part.split("\n", 1)[1] for part in section.split("# other:"))
    assert compare(loads(truth), loads(other)).relation is Relation.LAW
    assert loads(truth) == TRUTHS[0]


def test_affine_images_carry_the_truth(report):
    for truth in report.truths[:2]:
        for item in truth.classes:
            if item.relation == "law":
                assert item.scale is None
                continue
            s, t = Fraction(item.scale), Fraction(item.shift)
            a, b = from_dict(truth.model).decoder, from_dict(item.model).decoder
            z = np.linspace(-3, 3, 13)
            assert np.allclose(a(z[:, None]), b(float(s) * z[:, None] + float(t)))


def test_text_says_it_all_in_120_columns(report):
    text = report.text()
    assert max(map(len, text.splitlines())) <= WIDTH
    for words in ("243", "proven", "pruned", "inequivalent", "S L", "1 of 4 truths (25.0%)", "0 not explained",
                  "Not in the family", "Data: the member"):
        assert words in text
    many = replace(report, truths=tuple(replace(t, index=i, function="1/3*z+1 [2] " * 9)
                                        for i in range(8) for t in report.truths[1:2]), data=())
    lines = many.text().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum(bool(re.match(r"\d  1/2@0", line)) for line in lines) == 8


def test_profile_only_counts_are_lower_bounds(result):
    family = result.settings.family
    bound = search_report(search(family, TRUTHS[1:2], keep=False))
    assert not bound.truths[0].minima_exact
    assert f">={bound.truths[0].minima}" in bound.text()


def test_a_contradiction_to_the_theory_would_be_shouted(report):
    broken = replace(report, truths=(replace(report.truths[0], explained=False),))
    assert " NO " in broken.text()
    assert "contradiction" in broken.text()


def test_chosen_targets(result):
    assert [t.index for t in search_report(result, [1, 0, 1]).truths] == [1, 0]
    assert [d.index for d in search_report(result, [4]).data] == [4]
    assert "summary" not in search_report(result, [4]).text()
    with pytest.raises(InputError, match="from 0 to 4, got 5"):
        search_report(result, [5])


def test_words():
    assert [affine_words(a, c) for a, c in [(0, 0), (1, 0), (-1, 2), ("3/2", "-1/2"), (0, "1/3")]] == \
        ["0", "z", "-z+2", "3/2*z-1/2", "1/3"]
    assert function_words(line_pieces(TRUTHS[0].decoder)) == "-z [0] z"
    plane = PiecewiseAffineMap([0], [[1, 0], [0, 2]], [[0, 0], [0, 0]])
    assert function_words(line_pieces(plane)) == "(z, 0) [0] (0, 2z)"
    assert prior_words(TRUTHS[3].prior) == "1/3@-1 2/3@1"
    assert prior_words(GaussianMixture(["1/2", "1/2"], [0, 1], [1, 2])) == "1/2@0(1) 1/2@1(2)"


def test_toml_of_other_noise_is_read_back():
    for noise in (GaussianNoise("1/3"), GaussianNoise(covariance=[["1/2"]])):
        own = model(["1/3", "2/3"], ["-1/2", 1], [1, 1], noise=noise)
        from ident_theory.spec import to_dict

        assert loads("\n".join(toml(to_dict(own)))) == own


@pytest.mark.parametrize("chosen", [None, [1], [4], [2]])
def test_figure(result, tmp_path, chosen):
    report = search_report(result, chosen)
    figure = search_figure(result, report, "a family")
    (axes, *_) = figure.axes
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert len([label for label in labels if "(1)" in label]) == (5 if chosen is None else 1)
    assert "nats" in axes.get_ylabel()
    names = {tick.get_text() for tick in axes.get_yticklabels()}
    assert "0" in names
    first = save_figure(figure, tmp_path / "a.svg").read_bytes()
    assert first == save_figure(search_figure(result, report, "a family"), tmp_path / "b.svg").read_bytes()
